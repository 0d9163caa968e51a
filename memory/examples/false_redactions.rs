//! How much of ordinary source code is taken for a secret: every finding below some folders, and the rate.
//!
//! `cargo run --release -p harness-memory --example false_redactions -- ~/.cargo/registry/src`

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use harness_memory::redact::Redactor;

/// A larger file is data, not source.
const FILE_BYTES_MAX: u64 = 2 << 20;

fn main() {
    let mut files = Vec::new();
    std::env::args().skip(1).for_each(|folder| find(Path::new(&folder), &mut files));
    let redactor = Redactor::default();
    let (mut lines, mut found, mut bytes) = (0usize, 0usize, 0usize);
    let mut rules: BTreeMap<&str, usize> = BTreeMap::new();
    for file in &files {
        let Ok(text) = fs::read_to_string(file) else { continue };
        lines += text.lines().count();
        bytes += text.len();
        let redacted = redactor.redact(&text);
        for (rule, times) in redacted.hits() {
            found += times;
            *rules.entry(rule).or_insert(0) += times;
        }
        if redacted.hits().next().is_some() {
            for line in redacted.text().lines().filter(|line| line.contains("[REDACTED:")) {
                println!("{}: {}", file.display(), line.trim().chars().take(160).collect::<String>());
            }
        }
    }
    eprintln!("{} files, {lines} lines, {bytes} bytes, {found} findings: {rules:?}", files.len());
    eprintln!("{:.3} a 10,000 lines", found as f64 * 1e4 / lines.max(1) as f64);
}

fn find(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let (path, Ok(kind)) = (entry.path(), entry.file_type()) else { continue };
        if kind.is_dir() {
            find(&path, files);
        } else if entry.metadata().is_ok_and(|facts| facts.is_file() && facts.len() <= FILE_BYTES_MAX) {
            files.push(path);
        }
    }
}

//! Why a hook said nothing: `HOME/log/hooks.log`, one JSON object a line.
//!
//! A hook has no other place to complain: its standard output belongs to the tool. What was said in a session is
//! never written here.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

use jiff::Timestamp;
use serde::Serialize;

/// The folder of the logs within a home.
pub(crate) const LOG_FOLDER: &str = "log";

/// The log of the hooks.
pub(crate) const HOOKS_FILE: &str = "hooks.log";

/// A log starts anew beyond this, and the one before is kept as `….1`: thousands of lines are enough to find a cause.
const LOG_BYTES_MAX: u64 = 512 * 1024;

/// The longest reason that is written.
const REASON_BYTES_MAX: usize = 2 * 1024;

/// One line of the log.
#[derive(Serialize)]
pub(crate) struct Line<'a> {
    pub(crate) at: Timestamp,
    pub(crate) tool: &'a str,
    pub(crate) ms: u64,
    pub(crate) problem: &'a str,
}

/// Adds a line. Nothing depends on its success: a full disk must not stop a tool.
pub(crate) fn add(home: &Path, line: &Line) {
    let clean = harness_memory::redact::Redactor::default().redact(super::head(line.problem, REASON_BYTES_MAX));
    let line = Line { problem: clean.text(), ..*line };
    let Ok(mut text) = serde_json::to_vec(&line) else { return };
    text.push(b'\n');
    if let Some(path) = file(home, HOOKS_FILE)
        && let Ok(mut log) = private().append(true).create(true).open(path)
    {
        let _ = log.write_all(&text);
    }
}

/// Adds a line about a call that began then.
pub(crate) fn add_since(home: &Path, tool: &str, begin: Instant, problem: &str) {
    add(home, &Line { at: Timestamp::now(), tool, ms: begin.elapsed().as_millis() as u64, problem });
}

/// The path of a log, its folder made and the file put aside when it is long.
///
/// `None` where there is no home yet: a hook does not make one to complain in.
pub(crate) fn file(home: &Path, name: &str) -> Option<PathBuf> {
    if !home.is_dir() {
        return None;
    }
    let folder = home.join(LOG_FOLDER);
    fs::create_dir_all(&folder).ok()?;
    let path = folder.join(name);
    if fs::metadata(&path).is_ok_and(|facts| facts.len() > LOG_BYTES_MAX) {
        let _ = fs::rename(&path, folder.join(format!("{name}.1")));
    }
    Some(path)
}

/// Options of a file that only its owner reads.
pub(crate) fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    options
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_is_limited_and_holds_no_secret() {
        let home = tempfile::tempdir().unwrap();
        let secret = format!("gh{}_{}", 'p', "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8");
        let problem = format!("{secret} {}", "x".repeat(4_000));
        for _ in 0..600 {
            add(home.path(), &Line { at: Timestamp::UNIX_EPOCH, tool: "codex", ms: 1, problem: &problem });
        }
        let folder = home.path().join(LOG_FOLDER);
        let sizes: u64 = fs::read_dir(&folder).unwrap().map(|file| file.unwrap().metadata().unwrap().len()).sum();
        assert!(sizes < 3 * LOG_BYTES_MAX, "{sizes}");
        let text = fs::read_to_string(folder.join(HOOKS_FILE)).unwrap();
        assert!(!text.contains(&secret) && text.contains("[REDACTED:github-token]"));
        add(&home.path().join("none"), &Line { at: Timestamp::UNIX_EPOCH, tool: "codex", ms: 1, problem: "x" });
        assert!(!home.path().join("none").exists());
    }
}

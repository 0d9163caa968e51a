//! Writes a made-up Claude Code transcript: `generate_transcript MESSAGES FILE [SEED]`.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (messages, path) = match (arguments.first().and_then(|n| n.parse().ok()), arguments.get(1)) {
        (Some(messages), Some(path)) => (messages, path),
        _ => {
            eprintln!("usage: generate_transcript MESSAGES FILE [SEED]");
            return ExitCode::from(2);
        }
    };
    let seed = arguments.get(2).and_then(|seed| seed.parse().ok()).unwrap_or(1);
    let write = || -> io::Result<()> {
        let mut file = BufWriter::new(File::create(path)?);
        harness_examples::generate::claude_code(&mut file, messages, seed)?;
        file.flush()
    };
    match write() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cannot write {path}: {error}");
            ExitCode::from(2)
        }
    }
}

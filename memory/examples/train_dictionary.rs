//! Trains the dictionary that ships with the program on our own fixtures and sample sessions:
//! `cargo run --release -p harness-memory --example train_dictionary`, from the top of the repository.
//!
//! The dictionary is part of the stored format. Once a version with it was released, a new one needs a
//! new number in `sqlite/codec.rs` beside the old one.

use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use harness_memory::import::{Item, importer_of};
use harness_memory::{Body, Episode, Message, Note, Outcome, Role, ToolUse};
use serde_json::Value;

/// Small beside the program, and enough for the frame of every kind of record and the commonest words.
const DICTIONARY_BYTES: usize = 16 << 10;

const TRANSCRIPTS: &str = "memory/tests/fixtures/claude-code";
const SAMPLES: &str = "recall/cli/src/demo/data";
const TARGET: &str = "memory/src/sqlite/dictionary.zdict";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut bodies: Vec<Vec<u8>> = Vec::new();
    for path in files(Path::new(TRANSCRIPTS))? {
        let Some(importer) = importer_of(&path, &fs::read(&path)?) else { continue };
        importer.read(&path, None, &mut |item| {
            if let Item::Message(record) = item {
                bodies.extend(serde_json::to_vec(&record.body).ok());
            }
            ControlFlow::Continue(())
        })?;
    }
    for line in lines(&Path::new(SAMPLES).join("sessions.jsonl"))? {
        for (position, turn) in (0..).zip(line["turns"].as_array().into_iter().flatten()) {
            let role: Role = turn[0].as_str().unwrap_or("user").parse()?;
            let message = Message::new(role, position, turn[1].as_str().unwrap_or_default());
            bodies.push(serde_json::to_vec(&Body::Message(message))?);
        }
    }
    for line in lines(&Path::new(SAMPLES).join("notes.jsonl"))? {
        bodies.push(serde_json::to_vec(&Body::Note(Note::new(line["text"].as_str().unwrap_or_default())))?);
    }
    for line in lines(&Path::new(SAMPLES).join("episodes.jsonl"))? {
        let mut episode = Episode::new(line["situation"].as_str().unwrap_or_default());
        episode.tools = serde_json::from_value::<Vec<ToolUse>>(line["tools"].clone())?;
        episode.outcome = line["outcome"].as_str().unwrap_or("unknown").parse::<Outcome>()?;
        episode.reason = line["reason"].as_str().map(str::to_owned);
        bodies.push(serde_json::to_vec(&Body::Episode(episode))?);
    }
    let bytes: usize = bodies.iter().map(Vec::len).sum();
    let dictionary = zstd::dict::from_samples(&bodies, DICTIONARY_BYTES)?;
    fs::write(TARGET, &dictionary)?;
    println!("{TARGET}: {} bytes from {} bodies of {bytes} bytes", dictionary.len(), bodies.len());
    Ok(())
}

fn files(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(files(&path)?);
        } else {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

fn lines(path: &Path) -> Result<Vec<Value>, Box<dyn std::error::Error>> {
    Ok(fs::read_to_string(path)?.lines().map(serde_json::from_str).collect::<Result<_, _>>()?)
}

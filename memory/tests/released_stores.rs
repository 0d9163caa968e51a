//! The store of every released schema version opens with this program, says what it said, and goes on.
//!
//! A version that comes gets a fixture of its own (`cargo run -p harness-memory --example store_fixture`); the older
//! ones stay as they are.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]
use std::fs;
use std::path::{Path, PathBuf};

use harness_memory::sqlite::Request;
use harness_memory::store::{Filter, Lookup, ReadingPlace};
use harness_memory::{Intake, Note, Origin, Outcome, Record, Scope, SqliteStore, Store};
use serde_json::Value;

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/store");

/// The packed databases, oldest first.
fn released() -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir(FIXTURES)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "zst"))
        .collect();
    found.sort();
    assert!(!found.is_empty());
    found
}

fn unpack(packed: &Path, folder: &Path) {
    let database = zstd::decode_all(fs::File::open(packed).unwrap()).unwrap();
    fs::write(folder.join("store.db"), database).unwrap();
}

fn version_of(packed: &Path) -> u32 {
    let name = packed.file_name().unwrap().to_str().unwrap();
    name.trim_start_matches('v').trim_end_matches(".db.zst").parse().unwrap()
}

#[test]
fn there_is_a_fixture_of_every_version() {
    let folder = tempfile::tempdir().unwrap();
    let newest = SqliteStore::open(folder.path()).unwrap().version().unwrap();
    let versions: Vec<u32> = released().iter().map(|path| version_of(path)).collect();
    assert_eq!(versions, (1..=newest).collect::<Vec<_>>(), "make the missing one with the example `store_fixture`");
}

fn said(store: &SqliteStore) -> Vec<Value> {
    let listed = store.list(&Filter { with_forgotten: true, ..Filter::default() }).unwrap();
    listed.into_iter().filter_map(Lookup::found).map(|stored| serde_json::to_value(&stored.record).unwrap()).collect()
}

#[test]
fn every_released_store_says_what_it_said_and_goes_on() {
    for packed in released() {
        let folder = tempfile::tempdir().unwrap();
        unpack(&packed, folder.path());
        let expected = fs::read_to_string(packed.with_extension("").with_extension("jsonl")).unwrap();
        let expected: Vec<Value> = expected.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        for round in 0..2 {
            let store = SqliteStore::open(folder.path()).unwrap();
            assert_eq!(said(&store), expected, "{} in round {round}", packed.display());
            assert_eq!(store.check(&mut |_, _| true).unwrap(), [], "{}", packed.display());
        }
        let store = SqliteStore::open(folder.path()).unwrap();
        assert_eq!(store.exposures(10).unwrap().len(), 1);
        let version = version_of(&packed);
        let trial = store.trials(10).unwrap().remove(0);
        assert_eq!((trial.run.as_str(), trial.outcome), ("run-1", Some(Outcome::Success)));
        let task = (version >= 2).then(|| "deploy".to_owned());
        assert_eq!(trial.task, task, "what came with version 2");
        assert_eq!(store.credit_resets().unwrap().len(), usize::from(version >= 2));
        assert_eq!(store.holdout().unwrap(), if version >= 2 { 0.25 } else { 0.0 });
        let place = ReadingPlace { tool: "claude-code".into(), path: "/home/ana/t.jsonl".into(), scope: String::new() };
        let read = store.reading(&place).unwrap().and_then(|reading| reading.fingerprint);
        assert_eq!(read, (version >= 3).then_some(7), "what came with version 3");
        let asked = store.request(&Request { name: [1; 32], print: [2; 32] }).unwrap();
        assert_eq!(asked.is_some(), version >= 5, "what came with version 5");
        let before = store.head().unwrap();
        let record = Record::new(Scope::parse("ana").unwrap(), "cli", Origin::User, Note::new("written by the newer"));
        store.put(vec![Intake::new().admit_one(record).unwrap()]).unwrap();
        assert_eq!(store.head().unwrap().seq, before.seq + 1);
        assert_eq!(said(&store).len(), expected.len() + 1);
        let forgotten = store.counts().unwrap().forgotten;
        assert_eq!(forgotten, 1, "what was forgotten can still be brought back");
        assert_eq!(store.check(&mut |_, _| true).unwrap(), []);
    }
}

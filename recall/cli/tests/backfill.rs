//! Embedding a backlog in the background, with the real binary and a tiny model.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod home;

use std::collections::HashSet;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use harness_index::embed::source::ModelFiles;
use harness_memory::{Note, Origin, Record, Scope, Store};
use harness_recall::Engine;
use harness_recall::models::model_folder;
use home::{Home, rounds};
use serde_json::Value;

/// Bytes of an entry of the cache's list of contents: hash, checksum of the vector, checksum of both.
const ENTRY_BYTES: usize = 32;

/// The cached contents, one for each text that was embedded and kept.
fn cached(home: &Path) -> Vec<Vec<u8>> {
    let Ok(spaces) = fs::read_dir(home.join("embeddings")) else { return Vec::new() };
    let files: Vec<PathBuf> = spaces.map(|space| space.unwrap().path().join("contents")).collect();
    let bytes = files.iter().filter_map(|path| fs::read(path).ok()).next().unwrap_or_default();
    bytes.chunks_exact(ENTRY_BYTES).map(|entry| entry[..16].to_vec()).collect()
}

fn vectors(home: &Home) -> Value {
    let lines = home.run(&["--json", "index", "status"]);
    let mut indexes = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    indexes.find(|index| index["name"] == "vector").unwrap()
}

/// A home with this model and so many notes that nobody indexed.
fn with_backlog(model: &Path, notes: usize) -> Home {
    let home = Home::new();
    ModelFiles::open(&[model]).unwrap().install(&model_folder(&home.path(), "tested"), "tested", &[]).unwrap();
    let engine = Engine::open(&home.path()).unwrap();
    for part in (0..notes).collect::<Vec<_>>().chunks(200) {
        let record = |number: &usize| {
            let text = format!("message {number}: build {} of the shop took {} minutes", number * 3, number * 7);
            let note = Record::new(Scope::parse("ana").unwrap(), "test", Origin::User, Note::new(text));
            engine.intake().admit_one(note).unwrap()
        };
        engine.store().put(part.iter().map(record).collect()).unwrap();
    }
    home
}

/// Kills the one who embeds the backlog again and again, spread over the whole of it, and lets the last one finish.
fn killed_embeds_nothing_twice_and_ends_complete(home: &Home, notes: usize, kills: usize) {
    let mut in_the_middle = 0;
    for kill in 1..=kills {
        let mut follower = home.command(&["index", "follow", "--idle", "0"]);
        let mut follower = follower.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        // Of low priority: beside other work a text may take long, but some come.
        let mut last = (Instant::now(), 0);
        let ended = loop {
            let embedded = cached(&home.path()).len();
            if embedded >= kill * notes / (kills + 2) {
                break false;
            }
            if follower.try_wait().unwrap().is_some() {
                break true;
            }
            if embedded > last.1 {
                last = (Instant::now(), embedded);
            }
            assert!(last.0.elapsed() < Duration::from_secs(120), "nothing is embedded");
            std::thread::sleep(Duration::from_millis(1));
        };
        follower.kill().unwrap();
        follower.wait().unwrap();
        in_the_middle += usize::from(!ended);
        let cached = cached(&home.path());
        let distinct: HashSet<_> = cached.iter().collect();
        assert_eq!(distinct.len(), cached.len(), "kill {kill}: a text was embedded twice");
    }
    assert!(in_the_middle > kills / 2, "most of them in the middle: {in_the_middle}");
    home.run(&["index", "follow", "--idle", "0"]);
    let status = vectors(home);
    assert_eq!((status["lag"].as_u64(), status["documents"].as_u64()), (Some(0), Some(notes as u64)), "{status}");
    let cached = cached(&home.path());
    assert_eq!(cached.len(), notes);
    assert_eq!(cached.iter().collect::<HashSet<_>>().len(), notes);
    assert!(home.output(&["index", "verify"]).status.success());
}

#[test]
fn a_backlog_that_is_killed_ten_times_embeds_nothing_twice_and_ends_complete() {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../index/tests/fixtures/tiny-xlm-r");
    let notes = rounds(1_200, 10_000);
    killed_embeds_nothing_twice_and_ends_complete(&with_backlog(&fixture, notes), notes, 10);
}

#[test]
fn a_backlog_of_the_real_model_that_is_killed_embeds_nothing_twice_and_ends_complete() {
    let Some(model) = std::env::var_os("HARNESS_TEST_MODEL") else {
        let why = "no model, get it with `harness setup` and name its folder in HARNESS_TEST_MODEL";
        let test = "a_backlog_of_the_real_model_that_is_killed_embeds_nothing_twice_and_ends_complete";
        // Past the test runner, which keeps what passing tests print to itself.
        let _ = writeln!(std::io::stderr(), "skipped: {test}: {why}");
        return;
    };
    let (notes, kills) = (rounds(200, 10_000), rounds(2, 10));
    killed_embeds_nothing_twice_and_ends_complete(&with_backlog(Path::new(&model), notes), notes, kills);
}

#[test]
fn a_write_starts_a_follower_that_embeds_it() {
    let home = Home::new();
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../index/tests/fixtures/tiny-xlm-r");
    ModelFiles::open(&[&fixture]).unwrap().install(&model_folder(&home.path(), "tiny"), "tiny", &[]).unwrap();
    fs::write(home.path().join("config.toml"), "[follow]\nidle_seconds = 1\n").unwrap();
    for number in 0..12 {
        home.remember(&format!("note {number} of the shop"));
    }
    let begin = Instant::now();
    while vectors(&home)["lag"].as_u64() != Some(0) && begin.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(Duration::from_millis(50));
    }
    let status = vectors(&home);
    // Fewer than a handful may be left: the next search embeds those by itself.
    assert!(status["lag"].as_u64().unwrap() <= 8, "{status}");
    let answer = home.run(&["--json", "recall", "search", "--mode", "vector", "note 3 of the shop"]);
    let answer: Value = serde_json::from_str(&answer).unwrap();
    // The tiny model knows no digits, so that all these notes are one to it.
    let hits = answer["hits"].as_array().unwrap();
    assert!(hits.iter().any(|hit| hit["text"] == "note 3 of the shop"), "{answer}");
    assert!(hits.iter().all(|hit| hit["why"]["vector"].is_object()), "{answer}");
}

//! Hybrid recall beside each of its arms alone: an arm that knows nothing costs nothing, and one that knows helps.
//!
//! The sets are those of `tests/data`. The test with a real model takes the folder of all-MiniLM-L6-v2 from
//! `HARNESS_TEST_MODEL`; without it it says by name that it was skipped.

#![allow(clippy::unwrap_used, reason = "a test ends where something is not as expected")]

use std::io::Write;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

/// Figures that stand for a set: the first of them that it has.
const FIGURES: [&str; 4] = ["r@10", "mrr@10", "ndcg@10", "f1"];

/// Half a point.
const NOISE: f64 = 0.005;

fn data(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(format!("{name}.jsonl"))
}

/// The sets of these files, measured through the whole program.
fn measured(files: &[&str], flags: &[&str]) -> Vec<Value> {
    let home = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_harness"));
    command.env("HARNESS_HOME", home.path().join("home")).env("TMPDIR", home.path()).args(["eval", "--json"]);
    let output = command.args(files.iter().map(|file| data(file))).args(flags).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    report["sets"].as_array().unwrap().clone()
}

/// Fails where a set is worse than another measurement of it by more than half a point and more than one question.
fn is_no_worse(set: &Value, other: &Value, what: &str) {
    let slack = NOISE.max(1.0 / set["queries"].as_f64().unwrap()) + 1e-4;
    for figure in FIGURES {
        let (Some(one), Some(other)) = (set["metrics"][figure].as_f64(), other["metrics"][figure].as_f64()) else {
            continue;
        };
        assert!(one >= other - slack, "{}, {figure}: {one} hybrid, {other} with {what}", set["set"]);
    }
}

const FILES: [&str; 7] = ["passages", "turns", "sessions", "dates", "experience", "paraphrases-en", "paraphrases-zh"];

#[test]
fn an_embedder_without_meaning_takes_nothing_from_text() {
    let text = measured(&FILES, &["--mode", "text"]);
    let hybrid = measured(&FILES, &["--mode", "hybrid", "--embedder", "random"]);
    assert_eq!(hybrid.len(), text.len());
    hybrid.iter().zip(&text).for_each(|(hybrid, text)| is_no_worse(hybrid, text, "text alone"));
}

#[test]
fn an_embedder_with_meaning_adds_to_text_and_text_to_it() {
    const NAME: &str = "an_embedder_with_meaning_adds_to_text_and_text_to_it";
    let Ok(model) = std::env::var("HARNESS_TEST_MODEL") else {
        // Past the test runner, which keeps what passing tests print to itself.
        let why = "no model, get it with `harness setup` and name its folder in HARNESS_TEST_MODEL";
        let _ = writeln!(std::io::stderr(), "skipped: {NAME}: {why}");
        return;
    };
    // Two thousand messages take a minute to embed in a build for tests.
    let full = std::env::var("HARNESS_TEST_ROUNDS").is_ok_and(|rounds| rounds == "full");
    let files: Vec<&str> = FILES.iter().copied().chain(full.then_some("paraphrases-messages")).collect();
    let embedded = |mode| measured(&files, &["--mode", mode, "--embedder", &model]);
    let (text, meaning, hybrid) = (measured(&files, &["--mode", "text"]), embedded("vector"), embedded("hybrid"));
    for ((hybrid, text), meaning) in hybrid.iter().zip(&text).zip(&meaning) {
        is_no_worse(hybrid, text, "text alone");
        is_no_worse(hybrid, meaning, "meaning alone");
    }
    let english =
        |sets: &[Value]| sets.iter().find(|set| set["set"] == "paraphrases-en").unwrap()["metrics"]["r@10"].as_f64();
    assert!(english(&hybrid) > english(&text), "meaning finds what shares no word");
}

//! `harness eval` on the small labelled set beside this file.

#![allow(clippy::unwrap_used, reason = "a test ends where something is not as expected")]

use std::path::Path;

use assert_cmd::Command;
use serde_json::Value;

fn harness(home: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_harness"));
    command.env("HARNESS_HOME", home.join("home")).env("TMPDIR", home);
    command
}

fn data(name: &str) -> String {
    format!("{}/tests/data/{name}.jsonl", env!("CARGO_MANIFEST_DIR"))
}

/// What `harness eval --json` says of these files.
fn measured(names: &[&str], flags: &[&str]) -> Vec<Value> {
    let folder = tempfile::tempdir().unwrap();
    let mut command = harness(folder.path());
    command.args(["eval", "--json"]).args(flags).args(names.iter().map(|name| data(name)));
    let output = command.assert().code(0).get_output().stdout.clone();
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is left behind, no home is made");
    let report: Value = serde_json::from_slice(&output).unwrap();
    report["sets"].as_array().unwrap().clone()
}

fn floor(set: &Value, metric: &str, least: f64) {
    let found = set["metrics"][metric].as_f64().unwrap_or_else(|| panic!("{metric} is missing in {set}"));
    assert!(found >= least && found <= 1.0, "{}: {metric} is {found}, expected at least {least}", set["set"]);
}

#[test]
fn passages_are_found_in_every_language() {
    let sets = measured(&["passages"], &["--mode", "text"]);
    let set = &sets[0];
    assert_eq!((&set["set"], &set["kind"]), (&"own-passages".into(), &"passage-retrieval".into()));
    assert_eq!((&set["docs"], &set["queries"], &set["mode"]), (&32.into(), &33.into(), &"text".into()));
    floor(set, "mrr@10", 0.9);
    floor(set, "r@10", 0.95);
    for (name, category) in set["categories"].as_object().unwrap() {
        let mrr = category["metrics"]["mrr@10"].as_f64().unwrap();
        assert!(mrr >= 0.75, "{name}: {mrr}");
    }
    let [low, high] = [0, 1].map(|end| set["intervals"]["mrr@10"][end].as_f64().unwrap());
    assert!(low <= set["metrics"]["mrr@10"].as_f64().unwrap() && high <= 1.0);
    assert!(set["latency_ms"]["p50"].as_f64() <= set["latency_ms"]["p95"].as_f64());
}

#[test]
fn haystacks_of_one_set_count_together() {
    let sets = measured(&["turns"], &[]);
    assert_eq!(sets.len(), 1);
    let set = &sets[0];
    assert_eq!((&set["haystacks"], &set["docs"], &set["lang"]), (&2.into(), &16.into(), &"mixed".into()));
    // Twelve questions, of which three have no answer and count for the areas alone.
    assert_eq!((&set["queries"], &set["abstain"]), (&9.into(), &3.into()));
    floor(set, "r@10", 0.9);
    floor(set, "mrr@10", 0.6);
    floor(set, "foreign_auc", 0.5);
    for metric in ["current_first", "above_distractor", "abstain_auc"] {
        floor(set, metric, 0.0);
    }
}

#[test]
fn sessions_and_turns_are_different_units() {
    let sets = measured(&["sessions"], &[]);
    floor(&sets[0], "r@5", 0.8);
    floor(&sets[0], "mrr@10", 0.7);
    let turns = measured(&["turns"], &[]);
    let sessions = measured(&["turns"], &["--unit", "session"]);
    // A session has four turns and more: it is found at least as soon as the turn.
    let mrr = |sets: &[Value]| sets[0]["metrics"]["mrr@10"].as_f64().unwrap();
    assert!(mrr(&sessions) >= mrr(&turns));
}

#[test]
fn the_day_that_a_question_names_comes_first_in_every_language() {
    let sets = measured(&["dates"], &["--mode", "text"]);
    assert!(sets[0]["queries"].as_u64() >= Some(40), "{}", sets[0]);
    floor(&sets[0], "r@1", 0.95);
}

#[test]
fn experience_and_tools_are_recalled() {
    let sets = measured(&["experience"], &[]);
    let (experience, tools) = (&sets[0], &sets[1]);
    floor(experience, "hit@1", 0.7);
    floor(experience, "ndcg@10", 0.7);
    floor(experience, "success_first", 0.4);
    floor(tools, "f1", 0.6);
}

#[test]
fn a_bad_line_is_named_and_the_rest_is_measured() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mixed.jsonl");
    let good = std::fs::read_to_string(data("sessions")).unwrap();
    std::fs::write(&file, format!("{{\"kind\": \"poem\"}}\n{good}")).unwrap();
    let assert = harness(folder.path()).args(["eval", "--json"]).arg(&file).arg("missing.jsonl").assert().code(2);
    let stderr = String::from_utf8_lossy(&assert.get_output().stderr).into_owned();
    assert!(stderr.contains("mixed.jsonl:1: is no haystack: unknown variant `poem`"), "{stderr}");
    assert!(stderr.contains("missing.jsonl: cannot be read"), "{stderr}");
    let report: Value = serde_json::from_slice(&assert.get_output().stdout).unwrap();
    assert_eq!(report["sets"][0]["set"], "own-sessions");
}

#[test]
fn a_question_without_a_word_counts_as_not_found() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("set.jsonl");
    let haystack = serde_json::json!({
        "kind": "passage-retrieval", "set": "s", "docs": [{"id": "a", "text": "a heron on the roof"}],
        "queries": [{"id": 1, "text": "heron", "gold": ["a"]}, {"id": 2, "text": " ", "gold": ["a"]}],
    });
    std::fs::write(&file, haystack.to_string()).unwrap();
    let assert = harness(folder.path()).args(["eval", "--json"]).arg(&file).assert().code(0);
    let report: Value = serde_json::from_slice(&assert.get_output().stdout).unwrap();
    assert_eq!(report["sets"][0]["queries"], 2);
    assert_eq!(report["sets"][0]["metrics"]["r@10"], 0.5);
}

#[test]
fn the_table_has_a_line_for_each_set_and_category() {
    let folder = tempfile::tempdir().unwrap();
    let assert = harness(folder.path()).arg("eval").arg(data("turns")).assert().code(0);
    let stdout = String::from_utf8_lossy(&assert.get_output().stdout).into_owned();
    let first_words: Vec<&str> = stdout.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!(first_words, ["turn-retrieval,", "set", "own-turns", "multi", "single", "update"], "{stdout}");
}

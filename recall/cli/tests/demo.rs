//! `harness demo`: the first thing that a new user sees.

#![allow(clippy::unwrap_used, reason = "a test ends where something is not as expected")]

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

fn demo(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_harness"));
    command.arg("demo").env("HARNESS_HOME", folder.join("home")).env("TMPDIR", folder);
    command
}

fn stdout(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn is_empty(folder: &Path) -> bool {
    std::fs::read_dir(folder).unwrap().next().is_none()
}

#[test]
fn the_demo_shows_what_it_says() {
    let folder = tempfile::tempdir().unwrap();
    let found = stdout(&demo(folder.path()).args(["--json", "--offline"]).output().unwrap());
    let found: Vec<Value> = found.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let first = |query: &str| {
        let search = found.iter().find(|search| search["query"] == query);
        let search = search.unwrap_or_else(|| panic!("the demo does not ask {query:?}"));
        search["answer"]["hits"][0].clone()
    };
    let text = |query: &str| first(query)["text"].as_str().unwrap_or_default().to_owned();
    assert!(text("部署").contains("部署"));
    assert!(text("画像アップロードが失敗する原因は？").contains("画像"));
    assert!(text("报表乱码").contains("亂碼"));
    assert!(text("RETRY_BACKOFF_MS").contains("retryBackoffMs"));
    assert!(text("which vpn does staging use").contains("wg2.kite.example"), "a fresh write is found at once");
    let tried = found.iter().find(|search| search["query"].as_str().is_some_and(|q| q.contains("Postgres"))).unwrap();
    let outcomes: Vec<&str> =
        tried["answer"]["hits"].as_array().unwrap().iter().map(|hit| hit["outcome"].as_str().unwrap()).collect();
    assert_eq!(outcomes, ["success", "failure"], "{tried}");
    assert!(is_empty(folder.path()), "no home is left behind");
}

#[test]
fn the_demo_fits_a_screen_and_ends_with_what_to_try_next() {
    let folder = tempfile::tempdir().unwrap();
    let text = stdout(&demo(folder.path()).arg("--offline").output().unwrap());
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines.len() <= 42, "{} lines:\n{text}", lines.len());
    let commands = ["session import", "recall search", "remember"];
    for (line, command) in lines[lines.len() - 3..].iter().zip(commands) {
        assert!(line.contains(command), "{line}");
    }
}

#[test]
fn the_demo_goes_on_without_a_model_and_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = demo(folder.path());
    command.env("HF_ENDPOINT", "http://127.0.0.1:9").env("NO_PROXY", "127.0.0.1").env_remove("HF_HUB_OFFLINE");
    command.env("HF_HOME", folder.path().join("hf")).env("XDG_CACHE_HOME", folder.path()).env_remove("HF_HUB_CACHE");
    let output = command.env("PATH", folder.path()).output().unwrap();
    assert!(stdout(&output).contains("部署"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("http://127.0.0.1:9 cannot be reached") && said.contains("from text alone"), "{said}");
}

/// With the model in the folder that `HARNESS_TEST_MODEL` names.
#[cfg(unix)]
#[test]
fn the_demo_finds_by_meaning_where_there_is_a_model() {
    let Some(model) = std::env::var_os("HARNESS_TEST_MODEL") else {
        let why = "no model, get it with `harness setup` and name its folder in HARNESS_TEST_MODEL";
        // Past the test runner, which keeps what passing tests print to itself.
        let _ = writeln!(std::io::stderr(), "skipped: the_demo_finds_by_meaning_where_there_is_a_model: {why}");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    // As setup leaves it.
    let mut setup = Command::new(env!("CARGO_BIN_EXE_harness"));
    setup.args(["setup", "--offline", "--from"]).arg(model).env("HARNESS_HOME", folder.path().join("home"));
    assert!(setup.output().unwrap().status.success());
    let found = stdout(&demo(folder.path()).args(["--json", "--offline"]).output().unwrap());
    let found: Vec<Value> = found.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let asked = found.iter().find(|search| search["query"] == "shoppers could not buy anything at midday").unwrap();
    let text = asked["answer"]["hits"][0]["text"].as_str().unwrap();
    assert!(text.contains("whenever the lunch promotion starts"), "{text}");
}

#[cfg(unix)]
#[test]
fn the_temporary_home_is_removed_on_ctrl_c() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = demo(folder.path()).arg("--offline").stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    while is_empty(folder.path()) && child.try_wait().unwrap().is_none() {
        std::thread::yield_now();
    }
    let _ = Command::new("kill").args(["-INT", &child.id().to_string()]).stderr(Stdio::null()).status().unwrap();
    child.wait().unwrap();
    assert!(is_empty(folder.path()), "the home is gone whether it was stopped or had just ended");
}

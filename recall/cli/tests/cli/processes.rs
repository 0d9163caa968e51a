//! Readers that leave early, a person who stops a command, and the follower that others start.

use std::io::Read;
use std::process::Stdio;

use crate::home::Home;

/// Runs a command whose output nobody reads: to its end, or after the first byte.
fn with_a_reader_that_leaves(home: &Home, args: &[&str], read: usize) -> (Option<i32>, String) {
    let mut child = home.std_command().args(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut out = child.stdout.take().unwrap();
    out.read_exact(&mut vec![0; read]).unwrap();
    drop(out);
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    (child.wait().unwrap().code(), said)
}

#[test]
fn a_closed_pipe_is_no_error() {
    let home = Home::new();
    let lines: String =
        (0..3000).map(|n| format!("{{\"situation\": \"try number {n} of the long list\"}}\n")).collect();
    assert_eq!(home.run_with(&["episode", "record", "--json"], lines).code, 0);
    for args in
        [&["episode", "list", "-n", "3000"][..], &["completions", "zsh"], &["recall", "search", "list", "-n", "1000"]]
    {
        for read in [0, 1] {
            let (code, said) = with_a_reader_that_leaves(&home, args, read);
            assert_eq!((code, said.contains("panicked")), (Some(0), false), "{args:?}: {said}");
        }
    }
}

#[cfg(unix)]
#[test]
fn a_follower_that_is_stopped_ends_with_130_and_nothing_is_lost() {
    let home = Home::new();
    home.remember("still here");
    let mut child = home.std_command().args(["index", "follow"]).stderr(Stdio::null()).spawn().unwrap();
    std::thread::sleep(std::time::Duration::from_millis(700));
    let killed = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(killed.success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert_eq!(home.run(&["recall", "search", "still here"]).code, 0);
}

#[cfg(unix)]
#[test]
fn a_follower_whose_home_is_removed_ends() {
    let home = Home::new();
    home.remember("soon gone");
    let mut child = home.std_command().args(["index", "follow"]).stderr(Stdio::null()).spawn().unwrap();
    let begin = std::time::Instant::now();
    while !home.path().join("index/follow.lock").exists() {
        assert!(begin.elapsed().as_secs() < 20, "it follows");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    std::thread::sleep(std::time::Duration::from_millis(300));
    // It may be writing there just now.
    while home.path().exists() {
        let _ = std::fs::remove_dir_all(home.path());
    }
    let begin = std::time::Instant::now();
    while child.try_wait().unwrap().is_none() {
        if begin.elapsed().as_secs() >= 20 {
            child.kill().unwrap();
            panic!("it goes on without its home");
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    assert!(!home.path().exists(), "it makes no new one");
}

#[test]
fn a_long_tail_starts_a_follower_that_indexes_it_and_leaves() {
    let home = Home::new();
    home.write_settings("follow.idle_seconds = 1");
    let lines: String = (0..300).map(|n| format!("{{\"situation\": \"try number {n}\"}}\n")).collect();
    assert_eq!(home.run_with(&["episode", "record", "--json"], lines).code, 0);
    let wait_for = |what: &str, is: &dyn Fn(&serde_json::Value) -> bool| {
        let begin = std::time::Instant::now();
        while !is(&home.json(&["status"])) {
            assert!(begin.elapsed().as_secs() < 60, "{what} within a minute: {}", home.json(&["status"]));
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
    };
    wait_for("all is indexed", &|status| status["indexes"][0]["lag"] == 0);
    wait_for("the follower is gone", &|status| status.get("follower").is_none());
    assert_eq!(home.run(&["index", "verify"]).code, 0);
}

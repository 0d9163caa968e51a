//! Killed at each system call that writes, and calls that fail: with `strace`, which injects both.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;

use reqwest::Method;
use serde_json::{Value, json};

use crate::bit_flips::copy;
use crate::home::{Home, id_of, rounds};
use crate::server::{SERVE, Server};
use crate::web::Web;

/// The calls that change a file or a folder.
const WRITING: &[&str] = &["pwrite64", "write", "fdatasync", "fsync", "ftruncate", "unlink", "rename"];

/// The binary with something injected.
fn tracing(home: &Home, injection: &str, arguments: &[&str]) -> Command {
    let plain = home.command(arguments);
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-o", "/dev/null", "-e", injection]).arg(plain.get_program()).args(plain.get_args());
    command.current_dir(home.outside());
    for (name, value) in plain.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command
}

/// Runs the binary with something injected; `None` where tracing is refused.
fn injected(home: &Home, injection: &str, arguments: &[&str]) -> Option<Output> {
    let output = tracing(home, injection, arguments).output().ok()?;
    let refused = String::from_utf8_lossy(&output.stderr).contains("ptrace");
    (!refused).then_some(output)
}

fn tracing_works(name: &str) -> bool {
    let works = injected(&Home::new(), "trace=none", &["status"]).is_some_and(|output| output.status.success());
    if !works {
        eprintln!("skipped: {name} (strace is not there, or tracing is refused)");
    }
    works
}

/// Kills a command at the Nth of each writing call, for every N or some of them, and calls `check` after each.
fn kill_at_each(
    home: &Home,
    arguments: &[&str],
    few: usize,
    before: &mut dyn FnMut(),
    check: &mut dyn FnMut(&str),
) -> usize {
    let mut kills = 0;
    for call in WRITING {
        let stride = if rounds(0, 1) == 1 { 1 } else { few };
        for n in (1..).step_by(stride) {
            before();
            let injection = format!("inject={call}:signal=KILL:when={n}");
            let output = injected(home, &injection, arguments).unwrap();
            check(&format!("{call} {n} of {arguments:?}"));
            if output.status.success() {
                break;
            }
            kills += 1;
        }
    }
    kills
}

/// Asserts that a copy of the home answers as it does when its index was built from nothing.
fn answers_as_a_rebuild(home: &Home, question: &str, at: &str) {
    let other = Home::new();
    copy(&home.path(), &other.path());
    let before = other.search(question, 500);
    other.run(&["index", "rebuild"]);
    assert_eq!(other.search(question, 500), before, "{at}");
}

#[test]
fn killed_at_any_write_of_a_record_the_store_opens_and_answers_as_a_rebuild() {
    if !tracing_works("killed_at_any_write_of_a_record_the_store_opens_and_answers_as_a_rebuild") {
        return;
    }
    let home = Home::new();
    home.remember("a note before: 备份");
    let kills =
        kill_at_each(&home, &["remember", "a note of which the write is killed: 备份"], 6, &mut || {}, &mut |at| {
            home.assert_no_gap();
            answers_as_a_rebuild(&home, "备份", at);
        });
    assert!(kills > 3, "only {kills} kills");
    eprintln!("a record: {kills} kills");
    home.assert_well();
}

#[test]
fn killed_at_any_write_of_the_first_record_the_home_can_be_used() {
    if !tracing_works("killed_at_any_write_of_the_first_record_the_home_can_be_used") {
        return;
    }
    let home = Home::new();
    let path = home.path();
    let empty = || {
        let _ = fs::remove_dir_all(&path);
    };
    let kills = kill_at_each(&home, &["remember", "the first note: 备份"], 17, &mut || empty(), &mut |at| {
        let id = home.remember("the second note: 备份");
        assert!(home.search_ids("备份").contains(&id), "{at}");
        home.assert_well();
    });
    assert!(kills > 3, "only {kills} kills");
    eprintln!("a new home: {kills} kills");
}

#[test]
fn killed_at_any_write_of_an_index_it_answers_as_a_rebuild() {
    if !tracing_works("killed_at_any_write_of_an_index_it_answers_as_a_rebuild") {
        return;
    }
    let home = Home::new();
    for number in 0..20 {
        home.remember(&format!("note {number} for the index: 备份"));
    }
    home.run(&["index", "follow", "--idle", "0"]);
    let expected = |home: &Home| home.search("备份", 500);
    let mut written = 20;
    let write = std::cell::RefCell::new(|| {
        written += 1;
        home.remember(&format!("note {written} for the index: 备份"));
    });
    let follow = ["index", "follow", "--idle", "0"];
    let kills = kill_at_each(&home, &follow, 15, &mut || (write.borrow_mut())(), &mut |at| {
        answers_as_a_rebuild(&home, "备份", at);
        let killed = expected(&home);
        home.run(&follow);
        assert_eq!(expected(&home), killed, "{at}");
    });
    assert!(kills > 3, "only {kills} kills");
    eprintln!("a commit of an index: {kills} kills");
    let before = expected(&home);
    home.run(&["index", "rebuild"]);
    assert_eq!(expected(&home), before);
    home.assert_well();
}

/// Ends a traced server: whoever traces it ends with it.
fn kill_traced(home: &Path) {
    let facts: Value = serde_json::from_slice(&fs::read(home.join("serve.json")).unwrap()).unwrap();
    let killed = Command::new("kill").args(["-KILL", &facts["pid"].to_string()]).status().unwrap();
    assert!(killed.success());
}

#[test]
fn after_a_sync_that_failed_a_server_only_reads_until_it_is_started_anew() {
    if !tracing_works("after_a_sync_that_failed_a_server_only_reads_until_it_is_started_anew") {
        return;
    }
    for failing in 0..rounds(1, 4) {
        let home = Arc::new(Home::new());
        home.remember("the pool of staging, written before");
        // The calls of each thread are counted by themselves; only one of them fails, then the disk is well again.
        let injection = format!("inject=fdatasync,fsync:error=EIO:when={}", 4 + failing);
        let server = match Server::try_spawn(home.clone(), tracing(&home, &injection, &SERVE)) {
            Ok(server) => server,
            Err(errors) => {
                // A sync of the start failed: it says so and does not serve.
                assert!(failing > 0 && errors.contains("error:") && !errors.contains("panicked"), "{errors}");
                continue;
            }
        };
        let web = Web::of(server);
        let write = |number: usize| {
            let note = json!({ "text": format!("the pool of staging, written as number {number}") });
            web.own(Method::POST, "/v1/notes", Some(&note))
        };
        let mut acknowledged = BTreeSet::new();
        let refused = (0..60).find_map(|number| {
            let (status, said) = write(number);
            if status < 300 {
                acknowledged.insert(id_of(&said));
            }
            (status >= 300).then_some((status, said))
        });
        let (status, said) = refused.expect("one sync fails");
        let problem: Value = serde_json::from_str(&said).unwrap();
        assert!(
            status >= 500 && problem["detail"].as_str().is_some_and(|reason| !reason.is_empty()),
            "{status} {said}"
        );
        // The disk is well again, and nothing is written all the same: what reached it is not known.
        for number in 100..103 {
            let (status, said) = write(number);
            assert!(status >= 500 && said.contains("read-only"), "{status} {said}");
        }
        let (status, said) =
            web.own(Method::POST, "/v1/recall", Some(&json!({ "query": "pool of staging", "limit": 100 })));
        assert_eq!(status, 200, "reading goes on: {said}");
        let answer: Value = serde_json::from_str(&said).unwrap();
        let found = |answer: &Value| -> BTreeSet<String> {
            answer["hits"].as_array().unwrap().iter().map(|hit| hit["id"].as_str().unwrap().to_owned()).collect()
        };
        assert!(found(&answer).is_superset(&acknowledged), "{said}");
        kill_traced(&home.path());
        drop(web);
        let web = Web::start(home.clone());
        let (status, said) =
            web.own(Method::POST, "/v1/notes", Some(&json!({ "text": "written after it was started anew" })));
        assert_eq!(status, 201, "{said}");
        assert!(home.notes().is_superset(&acknowledged));
        drop(web);
        home.assert_well();
    }
}

#[test]
fn a_disk_that_fails_is_named_and_nothing_is_half_written() {
    if !tracing_works("a_disk_that_fails_is_named_and_nothing_is_half_written") {
        return;
    }
    let home = Home::new();
    home.remember("before the disk failed");
    let file = home.outside().join("memory.json");
    let entity = r#"{"type":"entity","name":"pool","entityType":"thing","observations":["holds fifty connections"]}"#;
    fs::write(&file, format!("{entity}\n")).unwrap();
    let export = home.outside().join("all.jsonl");
    let copy = home.outside().join("copy.db");
    for error in ["EIO", "ENOSPC"] {
        for (calls, arguments) in [
            ("fdatasync,fsync", &["remember", "while the disk fails"][..]),
            ("fdatasync,fsync", &["import", file.to_str().unwrap()]),
            ("fdatasync,fsync", &["backup", copy.to_str().unwrap()]),
            ("fsync", &["export", export.to_str().unwrap()]),
        ] {
            let kept = home.notes();
            let injection = format!("inject={calls}:error={error}:when=1+");
            let output = injected(&home, &injection, arguments).unwrap();
            let errors = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(2), "{error} {arguments:?}: {errors}");
            assert!(errors.contains("error:") && !errors.contains("panicked"), "{error} {arguments:?}: {errors}");
            assert!(!export.exists() && !copy.exists(), "{error} {arguments:?}: nothing half-written appears");
            // What was refused may have reached the log of writes before the disk failed; it is whole or not there.
            assert!(home.notes().is_superset(&kept));
            home.assert_no_gap();
        }
    }
    home.remember("after it was mended");
    home.run(&["import", file.to_str().unwrap()]);
    home.run(&["backup", copy.to_str().unwrap()]);
    home.run(&["export", export.to_str().unwrap()]);
    home.run(&["doctor", "--fix"]);
    home.assert_well();
}

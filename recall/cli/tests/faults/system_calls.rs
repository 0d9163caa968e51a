//! Killed at each system call that writes, and calls that fail: with `strace`, which injects both.

use std::fs;
use std::process::{Command, Output};

use crate::home::{Home, rounds};

/// The calls that change a file.
const WRITING: &[&str] = &["pwrite64", "fdatasync", "fsync", "ftruncate", "unlink"];

/// Runs the binary with something injected; `None` where tracing is refused.
fn injected(home: &Home, injection: &str, arguments: &[&str]) -> Option<Output> {
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
    let output = command.output().ok()?;
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

#[test]
fn killed_at_any_write_of_a_record_the_store_opens_and_answers_as_a_rebuild() {
    if !tracing_works("killed_at_any_write_of_a_record_the_store_opens_and_answers_as_a_rebuild") {
        return;
    }
    let home = Home::new();
    home.remember("a note before: 备份");
    let mut number = 0;
    let kills =
        kill_at_each(&home, &["remember", "a note of which the write is killed: 备份"], 6, &mut || {}, &mut |at| {
            number += 1;
            home.assert_no_gap();
            if number % 4 == 0 {
                let before = home.search("备份", 200);
                home.run(&["index", "rebuild"]);
                assert_eq!(home.search("备份", 200), before, "{at}");
            }
        });
    assert!(kills > 3, "only {kills} kills");
    home.assert_well();
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
    let expected = |home: &Home| home.search("备份", 200);
    let mut written = 20;
    let write = std::cell::RefCell::new(|| {
        written += 1;
        home.remember(&format!("note {written} for the index: 备份"));
    });
    kill_at_each(&home, &["index", "follow", "--idle", "0"], 9, &mut || (write.borrow_mut())(), &mut |at| {
        let killed = expected(&home);
        home.run(&["index", "follow", "--idle", "0"]);
        assert_eq!(expected(&home), killed, "{at}");
    });
    let before = expected(&home);
    home.run(&["index", "rebuild"]);
    assert_eq!(expected(&home), before);
    home.assert_well();
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

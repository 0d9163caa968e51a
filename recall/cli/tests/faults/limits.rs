//! Too few open files, a home that cannot be written or belongs to somebody else, clocks that are wrong.

use std::fs;
use std::process::Command;

use serde_json::Value;

use crate::home::Home;

#[cfg(unix)]
#[test]
fn too_many_open_files_is_an_error_that_says_so() {
    let home = Home::new();
    home.remember("one");
    home.run(&["index", "follow", "--idle", "0"]);
    for most in [4, 6, 8, 10, 12, 16, 24] {
        for arguments in [&["remember", "two"][..], &["recall", "search", "one"], &["index", "rebuild"]] {
            let plain = home.command(arguments);
            let mut command = Command::new("sh");
            command.arg("-c").arg(format!("ulimit -n {most}; exec \"$0\" \"$@\"")).arg(plain.get_program());
            command.args(plain.get_args()).current_dir(home.outside());
            command.envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
            let output = command.output().unwrap();
            let errors = String::from_utf8_lossy(&output.stderr);
            // Too few even to start, and the system says so, or an answer, or an error of ours.
            assert!(output.status.code().is_some(), "{most} {arguments:?}: {errors}");
            assert!(!errors.contains("panicked"), "{most} {arguments:?}: {errors}");
            if output.status.code() == Some(2) {
                assert!(errors.contains("error"), "{most} {arguments:?}: {errors}");
            }
        }
    }
    home.assert_well();
}

#[cfg(target_os = "linux")]
#[test]
fn a_home_on_a_disk_that_cannot_be_written_is_named() {
    let home = Home::new();
    home.remember("a note to read");
    let path = home.path();
    let mounted = |arguments: &[&str]| {
        let done = Command::new("mount").args(arguments).output();
        done.is_ok_and(|output| output.status.success())
    };
    let (at, bind) = (path.to_str().unwrap(), ["--bind", path.to_str().unwrap(), path.to_str().unwrap()]);
    if !mounted(&bind) || !mounted(&["-o", "remount,bind,ro", at]) {
        eprintln!("skipped: a_home_on_a_disk_that_cannot_be_written_is_named (mounting is refused here)");
        return;
    }
    let write = home.output(&["remember", "another"]);
    let search = home.output(&["recall", "search", "note"]);
    let doctor = home.output(&["doctor"]);
    let _ = Command::new("umount").args(["--lazy", at]).status();
    let errors = String::from_utf8_lossy(&write.stderr);
    assert_eq!(write.status.code(), Some(2), "{errors}");
    assert!(errors.contains("error:") && errors.contains("hint:"), "{errors}");
    assert!(search.status.code().is_some_and(|code| code == 0 || code == 2));
    assert!(!String::from_utf8_lossy(&search.stderr).contains("panicked"));
    assert!(String::from_utf8_lossy(&doctor.stdout).contains("read-only"));
    home.remember("it works again");
    home.assert_well();
}

#[cfg(unix)]
#[test]
fn a_home_of_somebody_else_is_named() {
    let home = Home::new();
    home.remember("mine");
    let theirs = nix::unistd::chown(&home.path(), Some(nix::unistd::Uid::from_raw(12_345)), None);
    if theirs.is_err() {
        eprintln!("skipped: a_home_of_somebody_else_is_named (only the administrator can give files away)");
        return;
    }
    let output = home.output(&["doctor"]);
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(said.contains("belongs to another user") && said.contains("foreign"), "{said}");
}

#[test]
fn wrong_clocks_change_no_order_and_make_no_nonsense() {
    let home = Home::new();
    let first = home.remember("the password of staging rotates on monday");
    // As if clocks had stood a day back, years ahead and at the end of time.
    let export = home.outside().join("all.jsonl");
    home.run(&["export", export.to_str().unwrap()]);
    let text = fs::read_to_string(&export).unwrap();
    let record = text.lines().find(|line| line.contains(&first)).unwrap();
    let header = text.lines().next().unwrap();
    let mut lines = vec![header.to_owned()];
    let times = [
        "1970-01-01T00:00:00Z",
        "2026-01-01T00:00:00Z",
        "2199-06-01T00:00:00Z",
        "9999-12-30T22:00:00Z",
        "-009999-01-02T01:59:59Z",
    ];
    let mut ids = vec![first.clone()];
    for (number, time) in times.iter().enumerate() {
        let mut value: Value = serde_json::from_str(record).unwrap();
        let id = uuid::Uuid::now_v7().to_string();
        value["id"] = id.clone().into();
        value["created_at"] = (*time).into();
        value["text"] = format!("the password of staging rotates in the year of clock {number}").into();
        lines.push(value.to_string());
        ids.push(id);
    }
    fs::write(&export, lines.join("\n") + "\n").unwrap();
    home.run(&["import", export.to_str().unwrap()]);
    for indexed in [false, true] {
        let output = home.output(&["--json", "recall", "search", "--mode", "text", "-n", "20", "password of staging"]);
        let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
        let hits = answer["hits"].as_array().unwrap();
        assert_eq!(hits.len(), ids.len(), "indexed: {indexed}: {answer}");
        for hit in hits {
            let score = hit["score"].as_f64().expect("a number, not NaN");
            assert!((0.0..=1.0).contains(&score), "{hit}");
        }
        for arguments in [
            &["recall", "search", "password"][..],
            &["status"],
            &["recall", "context", "--budget", "500", "password of staging"],
        ] {
            let output = home.output(arguments);
            let errors = String::from_utf8_lossy(&output.stderr);
            assert!(
                output.status.code().is_some_and(|code| code < 2) || errors.contains("unrecognized"),
                "{arguments:?}: {errors}"
            );
        }
        home.run(&["index", "follow", "--idle", "0"]);
    }
    let doctor = home.output(&["doctor"]);
    assert!(String::from_utf8_lossy(&doctor.stdout).contains("more than a day ahead"));
    // The order of writing holds.
    let last = home.remember("written last");
    let again = home.outside().join("again.jsonl");
    home.run(&["export", again.to_str().unwrap()]);
    let notes = home.notes();
    assert!(notes.contains(&last) && ids.iter().all(|id| notes.contains(id)));
    home.assert_no_gap();
}

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

/// The commands of somebody who may read the home at most.
#[cfg(unix)]
mod another_user {
    use std::fs;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
    use std::path::Path;
    use std::process::{Command, Output};

    use crate::home::Home;

    /// A user and group that own nothing.
    const NOBODY: u32 = 65_534;

    fn set_mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    /// A home, and a copy of the binary that any user can run: the build's own folder may be private.
    fn home_and_program() -> (Home, std::path::PathBuf) {
        let home = Home::new();
        home.remember("a note to read");
        home.run(&["index", "follow", "--idle", "0"]);
        let program = home.outside().join("harness");
        fs::copy(env!("CARGO_BIN_EXE_harness"), &program).unwrap();
        set_mode(home.outside(), 0o755);
        (home, program)
    }

    /// Gives a folder and all in it to a user, with these permissions for folders and files.
    fn give(folder: &Path, user: u32, [of_folders, of_files]: [u32; 2]) -> bool {
        for entry in fs::read_dir(folder).unwrap().flatten() {
            let path = entry.path();
            if path.is_dir() {
                give(&path, user, [of_folders, of_files]);
            } else {
                let _ = chown(&path, Some(user), Some(user));
                set_mode(&path, of_files);
            }
        }
        set_mode(folder, of_folders);
        chown(folder, Some(user), Some(user)).is_ok()
    }

    /// Runs the binary as somebody who is not the administrator: as nobody, where it is he who runs the tests.
    fn run(home: &Home, program: &Path, arguments: &[&str]) -> Option<Output> {
        let plain = home.command(arguments);
        let mut command = if nix::unistd::geteuid().is_root() {
            let mut command = Command::new("setpriv");
            let id = NOBODY.to_string();
            command.args(["--reuid", &id, "--regid", &id, "--clear-groups"]).arg(program);
            command
        } else {
            Command::new(program)
        };
        command.args(plain.get_args()).current_dir("/").env("HOME", "/nonexistent");
        command.envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.output().ok()
    }

    fn can_be_another(home: &Home, program: &Path, name: &str) -> bool {
        let works = run(home, program, &["--version"]).is_some_and(|output| output.status.success());
        if !works {
            eprintln!("skipped: {name} (no other user can be had here: setpriv)");
        }
        works
    }

    fn user() -> u32 {
        if nix::unistd::geteuid().is_root() { NOBODY } else { nix::unistd::geteuid().as_raw() }
    }

    /// Asserts that a command failed with a reason and a hint, or did what it could.
    fn named(output: &Output, what: &str) -> String {
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code().is_some() && !errors.contains("panicked"), "{what}: {errors}");
        if output.status.code() == Some(2) {
            assert!(errors.contains("error:") && errors.contains("hint:"), "{what}: {errors}");
        }
        errors
    }

    #[test]
    fn a_read_only_home_of_ones_own_is_named_and_harmed_by_nothing() {
        let (home, program) = home_and_program();
        if !can_be_another(&home, &program, "a_read_only_home_of_ones_own_is_named_and_harmed_by_nothing") {
            return;
        }
        let before = fs::read(home.path().join("store.db")).unwrap();
        give(&home.path(), user(), [0o500, 0o400]);
        for arguments in [
            &["remember", "another"][..],
            &["forget", "0196a1b2"],
            &["index", "rebuild"],
            &["recall", "search", "note"],
            &["recall", "context", "--budget", "300", "a note to read"],
            &["status"],
            &["export", "-"],
            &["serve", "--addr", "127.0.0.1:0"],
        ] {
            let output = run(&home, &program, arguments).unwrap();
            let errors = named(&output, &format!("{arguments:?}"));
            if ["remember", "index", "serve"].contains(&arguments[0]) {
                assert_eq!(output.status.code(), Some(2), "{arguments:?}: {errors}");
            }
        }
        let doctor = run(&home, &program, &["doctor"]).unwrap();
        let said = String::from_utf8_lossy(&doctor.stdout);
        assert!(said.contains("read-only") && doctor.status.code() != Some(0), "{said}");
        // A hook says nothing and stops nobody.
        let hook = run(&home, &program, &["hook", "claude-code"]).unwrap();
        assert_eq!(hook.status.code(), Some(0));
        assert_eq!(fs::read(home.path().join("store.db")).unwrap(), before);
        give(&home.path(), fs::metadata(home.outside()).unwrap().uid(), [0o700, 0o600]);
        home.remember("it works again");
        home.assert_well();
    }

    #[test]
    fn a_home_of_somebody_else_is_refused_by_name_and_not_changed() {
        let name = "a_home_of_somebody_else_is_refused_by_name_and_not_changed";
        let (home, program) = home_and_program();
        if !nix::unistd::geteuid().is_root() || !can_be_another(&home, &program, name) {
            eprintln!("skipped: {name} (only the administrator can give files away)");
            return;
        }
        let before = fs::read(home.path().join("store.db")).unwrap();
        // Closed to all others, as a home is made; and open for them to read.
        for modes in [[0o700, 0o600], [0o755, 0o644]] {
            give(&home.path(), 0, modes);
            for arguments in [
                &["remember", "x"][..],
                &["recall", "search", "note"],
                &["status"],
                &["serve", "--addr", "127.0.0.1:0"],
            ] {
                let output = run(&home, &program, arguments).unwrap();
                let errors = named(&output, &format!("{modes:?} {arguments:?}"));
                if modes[0] == 0o700 || arguments[0] == "remember" {
                    assert_eq!(output.status.code(), Some(2), "{modes:?} {arguments:?}: {errors}");
                }
            }
            let doctor = run(&home, &program, &["doctor"]).unwrap();
            let said =
                format!("{}{}", String::from_utf8_lossy(&doctor.stdout), String::from_utf8_lossy(&doctor.stderr));
            assert_ne!(doctor.status.code(), Some(0), "{said}");
        }
        assert_eq!(fs::read(home.path().join("store.db")).unwrap(), before);
        // Where one may do everything, `doctor` says whose it is.
        give(&home.path(), 12_345, [0o700, 0o600]);
        let output = home.output(&["doctor"]);
        let said = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert!(said.contains("belongs to another user") && said.contains("foreign"), "{said}");
    }
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

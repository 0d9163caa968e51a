//! `kill -9` in the middle of a backup, a restore, an import and a migration. (That of writers is in `processes.rs`.)

use std::fs;
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use crate::home::{Home, rounds};

/// The fixtures of released stores, kept beside the store's own tests.
const RELEASED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../memory/tests/fixtures/store");

#[test]
fn a_killed_backup_or_restore_leaves_the_memory_whole() {
    let home = Home::new();
    let transcript = home.transcript("t.jsonl", 1_500);
    home.run(&["session", "import", transcript.to_str().unwrap()]);
    let copy = home.outside().join("copy.db");
    home.run(&["backup", copy.to_str().unwrap()]);
    let late = home.remember("written after the backup");
    let mut dice = 3_u64;
    for round in 0..rounds(6, 60) {
        let other = home.outside().join(format!("copy-{round}.db"));
        let arguments =
            if round % 2 == 0 { ["backup", other.to_str().unwrap()] } else { ["restore", copy.to_str().unwrap()] };
        let mut child = home.command(&arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        thread::sleep(Duration::from_millis((dice >> 40) % 150));
        let _ = child.kill();
        let ended = child.wait().unwrap().success();
        assert_eq!(home.messages(), 1_500, "round {round}");
        // Before or after the restore, nothing between.
        let notes = home.notes();
        assert!(notes.is_empty() || notes.contains(&late), "round {round}: {notes:?}");
        home.assert_no_gap();
        if round % 2 == 0 && other.exists() {
            let check = home.output(&[
                "--home",
                home.outside().join("look").to_str().unwrap(),
                "restore",
                other.to_str().unwrap(),
            ]);
            assert!(check.status.success(), "round {round}: a backup that is there is whole");
            // Who follows there may still be writing.
            let look = home.outside().join("look");
            let mut tries = 0;
            while let Err(error) = fs::remove_dir_all(&look) {
                tries += 1;
                assert!(tries < 200, "{error}");
                std::thread::sleep(std::time::Duration::from_millis(50));
            }
        }
        if ended && round % 2 == 1 {
            assert!(notes.is_empty());
        }
    }
    home.run(&["doctor", "--fix"]);
    home.assert_well();
}

#[test]
fn a_released_store_survives_being_killed_while_it_is_brought_up_to_date() {
    let home = Home::new();
    let packed = fs::read_dir(RELEASED).unwrap().flatten().map(|entry| entry.path());
    let mut packed: Vec<_> = packed.filter(|path| path.extension().is_some_and(|e| e == "zst")).collect();
    packed.sort();
    for path in packed {
        let database = zstd::decode_all(fs::File::open(&path).unwrap()).unwrap();
        let records = fs::read_to_string(path.with_extension("").with_extension("jsonl")).unwrap();
        let notes = records.lines().filter(|record| record.contains("\"kind\":\"note\"")).count();
        for round in 0..rounds(5, 60) {
            let _ = fs::remove_dir_all(home.path());
            fs::create_dir_all(home.path()).unwrap();
            fs::write(home.path().join("store.db"), &database).unwrap();
            let mut child = home.command(&["status"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
            thread::sleep(Duration::from_micros(700 * round as u64));
            let _ = child.kill();
            let _ = child.wait();
            // The folder was made by hand, open to others.
            home.run(&["doctor", "--fix"]);
            home.assert_well();
            assert_eq!(home.notes().len(), notes, "{} in round {round}", path.display());
        }
    }
}

#[test]
fn a_newer_store_is_refused_and_never_touched() {
    let home = Home::new();
    home.remember("from the future");
    let database = home.path().join("store.db");
    rusqlite::Connection::open(&database).unwrap().pragma_update(None, "user_version", 99).unwrap();
    let before = fs::read(&database).unwrap();
    for arguments in [&["status"][..], &["remember", "x"], &["recall", "search", "future"], &["export", "-"]] {
        let output = home.output(arguments);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {errors}");
        assert!(errors.contains("version 99"), "{errors}");
    }
    assert_eq!(fs::read(&database).unwrap(), before);
}

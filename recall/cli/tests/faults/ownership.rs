//! Export and import, backup under load, and forgetting for good, through the real binary.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use harness_memory::Store;
use harness_memory::store::Exposure;
use harness_recall::Engine;

use crate::home::{Home, rounds};

fn text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

#[test]
fn export_import_export_is_byte_for_byte_the_same() {
    let (home, other) = (Home::new(), Home::new());
    let transcript = home.transcript("t.jsonl", 300);
    home.run(&["session", "import", &text(&transcript)]);
    let forgotten = home.remember("a note to forget");
    home.remember("staging deploys need the VPN 预发布需要");
    home.run(&["forget", &forgotten]);
    let (first, second) = (home.outside().join("1.jsonl"), home.outside().join("2.jsonl"));
    home.run(&["export", &text(&first)]);
    other.run(&["import", &text(&first)]);
    other.run(&["export", &text(&second)]);
    assert_eq!(fs::read(&first).unwrap(), fs::read(&second).unwrap());
    assert!(!home.output(&["export", &text(&first)]).status.success(), "a file that is there is not overwritten");
    // The transcript's own import knows what the export brought.
    other.run(&["session", "import", &text(&transcript)]);
    assert_eq!(other.messages(), home.messages());
    home.run(&["export", "--format", "markdown", &text(&home.outside().join("md"))]);
    let index = fs::read_to_string(home.outside().join("md/README.md")).unwrap();
    assert!(index.contains("| messages | 300 |"), "{index}");
    other.run(&["index", "rebuild"]);
    home.run(&["index", "rebuild"]);
    let order = |home: &Home| home.search("why did the deploy time out", 50);
    assert_eq!(order(&other).len(), order(&home).len());
    other.assert_well();
}

#[test]
fn a_backup_under_load_restores_to_the_same_answers() {
    let home = Home::new();
    let transcript = home.transcript("t.jsonl", 600);
    home.run(&["session", "import", &text(&transcript)]);
    let stop = AtomicBool::new(false);
    let copy = home.outside().join("copy.db");
    thread::scope(|threads| {
        for writer in 0..2 {
            let (home, stop) = (&home, &stop);
            threads.spawn(move || {
                let mut number = 0;
                while !stop.load(Ordering::Relaxed) {
                    home.remember(&format!("writer {writer} says {number}"));
                    number += 1;
                }
            });
        }
        for round in 0..rounds(1, 10) {
            let copy = home.outside().join(format!("copy-{round}.db"));
            home.run(&["backup", &text(&copy)]);
        }
        home.run(&["backup", &text(&copy)]);
        stop.store(true, Ordering::Relaxed);
    });
    let elsewhere = text(&home.outside().join("elsewhere"));
    home.run(&["--home", &elsewhere, "restore", &text(&copy)]);
    home.run(&["--home", &elsewhere, "index", "rebuild"]);
    home.run(&["--home", &elsewhere, "doctor"]);
    let question = "why did the deploy of shard 17 time out";
    let here = home.search(question, 5);
    let there =
        home.output(&["--home", &elsewhere, "--json", "recall", "search", "--mode", "text", "-n", "5", question]);
    let there: serde_json::Value = serde_json::from_slice(&there.stdout).unwrap();
    let there: Vec<&str> = there["hits"].as_array().unwrap().iter().map(|hit| hit["id"].as_str().unwrap()).collect();
    assert_eq!(here.iter().map(|(id, _)| id.as_str()).collect::<Vec<_>>(), there);
}

/// Whether these bytes stand in any file under a folder.
pub(crate) fn stands_in(folder: &Path, needle: &[u8]) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(stands_in(&path, needle));
        } else if fs::read(&path).unwrap_or_default().windows(needle.len()).any(|window| window == needle) {
            found.push(path.display().to_string());
        }
    }
    found
}

#[test]
fn what_is_forgotten_for_good_is_in_no_file_any_more() {
    let home = Home::new();
    home.remember("a note that stays");
    // Short, so that it is stored as it is, and one that is compressed.
    let short = home.remember("xylophone8842");
    let long = home.remember(&format!(
        "{} quokkasaurus7719 {}",
        "the deploy waits ".repeat(20),
        "for a connection ".repeat(20)
    ));
    home.run(&["index", "follow", "--idle", "0"]);
    assert!(!stands_in(&home.path(), b"xylophone8842").is_empty(), "the test can see it");
    home.run(&["forget", "--for-good", &short, &long]);
    for needle in [&b"xylophone8842"[..], b"quokkasaurus7719", b"quokka"] {
        assert_eq!(stands_in(&home.path(), needle), Vec::<String>::new());
    }
    let copy = home.outside().join("copy.db");
    home.run(&["backup", &text(&copy)]);
    let bytes = fs::read(&copy).unwrap();
    assert!(!bytes.windows(13).any(|window| window == b"xylophone8842"));
    assert_eq!(home.output(&["forget", "--undo", &short]).status.code(), Some(2), "it cannot be brought back");
    assert_eq!(home.search_ids("xylophone8842"), Vec::<String>::new());
    home.assert_well();
}

#[test]
fn what_was_asked_in_a_session_that_is_forgotten_for_good_is_in_no_file_any_more() {
    let home = Home::new();
    let transcript = home.transcript("t.jsonl", 60);
    home.run(&["session", "import", &text(&transcript)]);
    let session = "session-0";
    // As hooks note what a prompt was answered with.
    let exposure = Exposure::new(session, "why is the pool of the deploy small, quokka8842", Vec::new());
    Engine::open(&home.path()).unwrap().store().expose(exposure).unwrap();
    home.run(&["index", "follow", "--idle", "0"]);
    assert!(!stands_in(&home.path(), b"quokka8842").is_empty(), "the test can see it");
    assert!(!stands_in(&home.path(), b"/home/ana/shop").is_empty(), "the test can see it");
    home.run(&["forget", "--session", session, "--for-good"]);
    for needle in [&b"quokka8842"[..], b"/home/ana/shop", b"why did the deploy of shard"] {
        assert_eq!(stands_in(&home.path(), needle), Vec::<String>::new());
    }
    let (copy, export) = (home.outside().join("copies/copy.db"), home.outside().join("copies/all.jsonl"));
    fs::create_dir(home.outside().join("copies")).unwrap();
    home.run(&["backup", &text(&copy)]);
    home.run(&["export", &text(&export)]);
    assert_eq!(stands_in(&home.outside().join("copies"), b"quokka8842"), Vec::<String>::new());
    home.run(&["session", "import", &text(&transcript)]);
    assert_eq!(home.messages(), 0, "importing again does not bring it back");
    assert_eq!(stands_in(&home.path(), b"/home/ana/shop"), Vec::<String>::new());
    home.assert_well();
}

#[test]
fn what_is_due_to_be_removed_is_in_no_copy() {
    let home = Home::new();
    home.remember("a note that stays");
    fs::write(home.path().join("config.toml"), "forget.undo_days = 0\n").unwrap();
    let copies = home.outside().join("copies");
    fs::create_dir(&copies).unwrap();
    for (number, copy) in [("copy.db", "backup"), ("all.jsonl", "export")].into_iter().enumerate() {
        let id = home.remember(&format!("xylophone8842 {number}"));
        home.run(&["index", "follow", "--idle", "0"]);
        home.run(&["forget", &id]);
        assert!(!stands_in(&home.path(), b"xylophone8842").is_empty(), "the test can see it");
        home.run(&[copy.1, &text(&copies.join(copy.0))]);
        assert_eq!(stands_in(&copies, b"xylophone8842"), Vec::<String>::new());
        assert_eq!(stands_in(&home.path(), b"xylophone8842"), Vec::<String>::new());
    }
    home.assert_well();
}

#[test]
fn what_is_no_backup_is_not_restored() {
    let home = Home::new();
    let id = home.remember("what is remembered");
    let (empty, other) = (home.outside().join("empty.db"), home.outside().join("other.db"));
    fs::write(&empty, "").unwrap();
    rusqlite::Connection::open(&other).unwrap().execute_batch("CREATE TABLE observations (text)").unwrap();
    for file in [&empty, &other] {
        let output = home.output(&["restore", &text(file)]);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{errors}");
        assert!(errors.contains("is no backup of a store"), "{errors}");
    }
    assert_eq!(home.search_ids("remembered"), [id]);
    // Nor is another program's database taken for a home.
    let elsewhere = home.outside().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    fs::copy(&other, elsewhere.join("store.db")).unwrap();
    let output = home.output(&["--home", &text(&elsewhere), "remember", "x"]);
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(fs::read(elsewhere.join("store.db")).unwrap(), fs::read(&other).unwrap());
}

#[test]
fn damage_beside_the_records_is_said_by_doctor_and_export() {
    let home = Home::new();
    home.run(&["session", "import", &text(&home.transcript("t.jsonl", 120))]);
    let database = rusqlite::Connection::open(home.path().join("store.db")).unwrap();
    database.execute("UPDATE sessions SET info = replace(info, 'main', 'mean') WHERE number = 1", []).unwrap();
    drop(database);
    let doctor = home.output(&["--json", "doctor"]);
    let said = String::from_utf8_lossy(&doctor.stdout);
    assert!(doctor.status.code() == Some(1) && said.contains("session-damaged"), "{said}");
    let export = home.output(&["export", &text(&home.outside().join("all.jsonl"))]);
    let errors = String::from_utf8_lossy(&export.stderr);
    assert_eq!(export.status.code(), Some(1), "{errors}");
    assert!(errors.contains("session \"session-0\" is damaged"), "{errors}");
    let backup = home.output(&["backup", &text(&home.outside().join("copy.db"))]);
    assert_eq!(backup.status.code(), Some(1), "{}", String::from_utf8_lossy(&backup.stdout));
}

#[test]
fn rules_of_retention_forget_and_then_remove() {
    let home = Home::new();
    let transcript = home.transcript("t.jsonl", 60);
    home.run(&["session", "import", &text(&transcript)]);
    let note = home.remember("a note is kept");
    let settings = "forget.undo_days = 0\n[[retention]]\nkinds = [\"message\", \"episode\"]\ndays = 30\n";
    fs::write(home.path().join("config.toml"), settings).unwrap();
    home.run(&["forget", "--due"]);
    assert_eq!(home.messages(), 0);
    assert_eq!(home.notes().into_iter().collect::<Vec<_>>(), [note]);
    assert_eq!(stands_in(&home.path(), b"why did the deploy of shard"), Vec::<String>::new());
    home.run(&["session", "import", &text(&transcript)]);
    assert_eq!(home.messages(), 0, "importing again does not bring it back");
    home.assert_well();
}

#[test]
fn nothing_is_written_to_a_read_only_scope() {
    let home = Home::new();
    let id = crate::home::id_of(&home.run(&["--json", "remember", "--scope", "team/handbook", "the handbook"]));
    fs::write(home.path().join("config.toml"), "read_only = [\"team\"]\n").unwrap();
    for arguments in [&["remember", "--scope", "team/handbook", "x"][..], &["forget", &id]] {
        let output = home.output(arguments);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(errors.contains("read-only"), "{errors}");
    }
    home.remember("elsewhere is written to");
    assert_eq!(home.search_ids("handbook"), [id]);
}

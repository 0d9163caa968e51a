//! A write-ahead log that was cut, flipped or zeroed, and one bit flipped anywhere: a clean prefix, or damage that is
//! named; never a silently wrong answer.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use harness_index::embed::source::ModelFiles;
use harness_memory::{Intake, Mode, Note, Origin, Query, ReadSet, Record, RecordId, Scope, Store};
use harness_recall::Engine;
use harness_recall::models::model_folder;
use serde_json::Value;

use crate::home::{Home, rounds};

/// A home with some notes, indexed and at rest; answers the notes by id.
fn filled() -> (Home, BTreeMap<String, String>) {
    let home = Home::new();
    let lines: String = (0..60)
        .map(|number| {
            let text = format!("note {number}: the pool of shard {} held fifty connections 连接池 zebra", number * 7);
            serde_json::json!({"type": "entity", "name": format!("shard{number}"), "entityType": "shard", "observations": [text]})
                .to_string()
                + "\n"
        })
        .collect();
    let file = home.outside().join("memory.json");
    fs::write(&file, lines).unwrap();
    home.run(&["import", file.to_str().unwrap()]);
    home.run(&["index", "follow", "--idle", "0"]);
    let said = home.search("zebra", 100).into_iter().collect::<BTreeMap<_, _>>();
    assert_eq!(said.len(), 60);
    (home, said)
}

pub(crate) fn copy(from: &Path, to: &Path) {
    let _ = fs::remove_dir_all(to);
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().flatten() {
        let target = to.join(entry.file_name());
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            copy(&entry.path(), &target);
        } else if kind.is_file() {
            // A socket that a process left behind is nothing to copy.
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

pub(crate) fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.path().is_dir() { found.extend(files(&entry.path())) } else { found.push(entry.path()) }
    }
    found.sort();
    found
}

fn dice(state: &mut u64) -> usize {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*state >> 24) as usize
}

/// What a search answers: nothing that was not said, and what is missing is admitted in some way.
fn answers_are_true(home: &Home, said: &BTreeMap<String, String>, what: &str) {
    let output = home.output(&["--json", "recall", "search", "--mode", "text", "-n", "100", "zebra"]);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code().is_some(), "{what}: a signal ended the search: {errors}");
    assert!(!errors.contains("panicked"), "{what}: {errors}");
    if output.status.code() == Some(2) {
        assert!(errors.contains("error:"), "{what}: it failed without a word");
        return;
    }
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    let hits = answer["hits"].as_array().unwrap();
    for hit in hits {
        let id = hit["id"].as_str().unwrap();
        assert_eq!(said.get(id).map(String::as_str), hit["text"].as_str(), "{what}: {id}");
    }
    if hits.len() < said.len() {
        let degraded = answer["degraded"].as_array().is_some_and(|parts| !parts.is_empty());
        let doctor = home.output(&["--json", "doctor"]);
        assert!(
            degraded || doctor.status.code() != Some(0) || !errors.is_empty(),
            "{what}: {} of {} records are neither found nor reported as damage",
            said.len() - hits.len(),
            said.len()
        );
    }
}

#[test]
fn one_flipped_bit_never_gives_a_silently_wrong_answer() {
    let (home, said) = filled();
    let rest = home.outside().join("rest");
    copy(&home.path(), &rest);
    let all: Vec<PathBuf> = files(&rest)
        .into_iter()
        .filter(|path| {
            !path.extension().is_some_and(|e| e == "lock" || e == "log") && fs::metadata(path).unwrap().len() > 0
        })
        .collect();
    let mut state = 42;
    for round in 0..rounds(16, 500) {
        copy(&rest, &home.path());
        // Half of them in the database, half in the files of the indexes.
        let path = if round % 2 == 0 { rest.join("store.db") } else { all[dice(&mut state) % all.len()].clone() };
        let inner = path.strip_prefix(&rest).unwrap();
        let mut bytes = fs::read(&path).unwrap();
        let bit = dice(&mut state) % (bytes.len() * 8);
        bytes[bit / 8] ^= 1 << (bit % 8);
        fs::write(home.path().join(inner), bytes).unwrap();
        answers_are_true(&home, &said, &format!("bit {bit} of {}", inner.display()));
    }
}

/// The ids and scores of an answer by meaning alone; `None` when it was refused or says that it is not whole.
fn by_meaning(home: &Path) -> Option<Vec<(RecordId, f32)>> {
    // Whoever asks opens the files anew, as every process does.
    let engine = Engine::open(home).ok()?.with_own_model();
    let query = Query { mode: Mode::Vector, limit: 20, ..Query::new("the pool of shard 17 held fifty connections") };
    let answer = engine.recall(&query, &ReadSet::everything()).ok()?;
    answer.degraded.is_empty().then(|| answer.hits.iter().map(|hit| (hit.id, hit.score)).collect())
}

#[test]
fn one_flipped_bit_in_the_vectors_is_named_or_harms_no_answer() {
    let (home, said) = filled();
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../index/tests/fixtures/tiny-xlm-r");
    ModelFiles::open(&[&model]).unwrap().install(&model_folder(&home.path(), "tiny"), "tiny", &[]).unwrap();
    let engine = Engine::open(&home.path()).unwrap().with_own_model();
    engine.embed(&mut |_, _| true).unwrap();
    drop(engine);
    let expected = by_meaning(&home.path()).expect("every arm answers");
    assert!(expected.len() > 4, "{expected:?}");
    let rest = home.outside().join("rest");
    copy(&home.path(), &rest);
    let vectors = |path: &PathBuf| {
        let inner = path.strip_prefix(&rest).unwrap().to_string_lossy().into_owned();
        (inner.contains("vector") || inner.contains("embeddings")) && fs::metadata(path).unwrap().len() > 0
    };
    let all: Vec<PathBuf> = files(&rest).into_iter().filter(vectors).collect();
    assert!(all.len() > 4, "{all:?}");
    let (mut state, mut named) = (97, 0);
    for round in 0..rounds(12, 200) {
        copy(&rest, &home.path());
        let path = &all[round % all.len()];
        let inner = path.strip_prefix(&rest).unwrap();
        let mut bytes = fs::read(path).unwrap();
        let bit = dice(&mut state) % (bytes.len() * 8);
        bytes[bit / 8] ^= 1 << (bit % 8);
        fs::write(home.path().join(inner), bytes).unwrap();
        let what = format!("bit {bit} of {}", inner.display());
        match by_meaning(&home.path()) {
            Some(found) if found == expected => {}
            Some(found) => {
                // Fewer or others are an answer only where the check says what is wrong.
                assert!(found.iter().all(|(id, _)| said.contains_key(&id.to_string())), "{what}");
                let findings = Engine::open(&home.path()).unwrap().with_own_model().verify(&mut |_, _| true).unwrap();
                assert!(!findings.is_empty(), "{what}: {found:?} and not {expected:?}, and nothing is named");
                named += 1;
            }
            None => named += 1,
        }
    }
    assert!(named > 0, "some of it was seen");
}

#[test]
fn a_damaged_write_ahead_log_opens_to_a_clean_prefix_and_its_loss_is_named() {
    let home = Home::new();
    home.remember("the first note is in the database");
    let mut ids = Vec::new();
    // A reader that stays keeps the log from being put away.
    let reader = rusqlite::Connection::open(home.path().join("store.db")).unwrap();
    reader.execute_batch("BEGIN; SELECT count(*) FROM records").unwrap();
    for number in 0..8 {
        ids.push(home.remember(&format!("note {number} is in the log of writes")));
    }
    let rest = home.outside().join("rest");
    copy(&home.path(), &rest);
    drop(reader);
    let whole = fs::read(rest.join("store.db-wal")).unwrap();
    assert!(whole.len() > 8_000, "the log holds the writes");
    let mut state = 7;
    for round in 0..rounds(9, 120) {
        copy(&rest, &home.path());
        let _ = fs::remove_file(home.path().join("store.db-shm"));
        let mut wal = whole.clone();
        let at = dice(&mut state) % wal.len();
        match round % 3 {
            0 => wal.truncate(at),
            1 => wal[at] ^= 1 << (round % 8),
            _ => wal[at..].fill(0),
        }
        fs::write(home.path().join("store.db-wal"), &wal).unwrap();
        let doctor = home.output(&["--json", "doctor"]);
        let findings = String::from_utf8(doctor.stdout).unwrap();
        let kept = home.notes();
        let prefix = ids.iter().take_while(|id| kept.contains(*id)).count();
        assert!(ids[prefix..].iter().all(|id| !kept.contains(id)), "round {round}: a clean prefix");
        if prefix < ids.len() {
            assert!(findings.contains("tail-lost"), "round {round}: the loss is named: {findings}");
        }
        for code in ["row-damaged", "log-damaged", "pages-damaged"] {
            assert!(!findings.contains(code), "round {round}: {findings}");
        }
        home.remember("the store goes on");
    }
}

#[test]
fn the_loss_of_all_that_a_young_home_held_is_named() {
    let home = Home::new();
    let engine = Engine::open(&home.path()).unwrap();
    for number in 0..5 {
        let text = format!("note {number} is in the log of writes");
        let record = Record::new(Scope::parse("ana").unwrap(), "mcp", Origin::User, Note::new(text));
        engine.store().put(vec![Intake::new().admit_one(record).unwrap()]).unwrap();
    }
    // What is there now is what a process leaves that is killed.
    let rest = home.outside().join("rest");
    copy(&home.path(), &rest);
    drop(engine);
    let whole = fs::read(rest.join("store.db-wal")).unwrap();
    assert!(whole.len() > 8_000, "the log holds the writes");
    let flipped = |at: usize| {
        let mut wal = whole.clone();
        wal[at] ^= 1;
        wal
    };
    let no_log = [Vec::new(), vec![0; whole.len()], flipped(0), flipped(40)];
    let cases = no_log.iter().map(|wal| (Some(wal), true)).chain([(None, true), (None, false)]);
    for (number, (wal, has_database)) in cases.enumerate() {
        copy(&rest, &home.path());
        let _ = fs::remove_file(home.path().join("store.db-shm"));
        match wal {
            Some(wal) => fs::write(home.path().join("store.db-wal"), wal).unwrap(),
            // Its database is gone, or empty, whatever stands beside it.
            None if has_database => fs::write(home.path().join("store.db"), "").unwrap(),
            None => fs::remove_file(home.path().join("store.db")).unwrap(),
        }
        // The second look comes after the head file may have been written anew.
        home.remember("the store goes on");
        for look in ["the first", "the second"] {
            let doctor = home.output(&["--json", "doctor"]);
            let findings = String::from_utf8(doctor.stdout).unwrap();
            assert_eq!(doctor.status.code(), Some(1), "case {number}, {look} look: {findings}");
            assert!(findings.contains("the last 5 changes were lost"), "case {number}, {look} look: {findings}");
        }
        home.output(&["doctor", "--fix"]);
        home.assert_well();
    }
}

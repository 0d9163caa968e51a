//! What the SQLite store keeps beyond the contract: damage is named, tails are missed, versions are
//! respected, and many writers lose nothing.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]
use std::fs;
use std::path::Path;

use harness_memory::store::{Filter, Lookup, contract};
use harness_memory::{Admitted, Error, Intake, Note, Origin, Record, RecordId, Scope, SqliteStore, Store};
use rusqlite::Connection;

fn note(text: &str) -> Admitted {
    let record = Record::new(Scope::parse("ana").unwrap(), "test", Origin::User, Note::new(text));
    Intake::new().admit_one(record).unwrap()
}

fn long_note(number: usize) -> Admitted {
    note(&format!("note {number}: the pool held fifty connections and the job asked for sixty, so it waited 连接池"))
}

fn ids_of(store: &SqliteStore, texts: impl IntoIterator<Item = Admitted>) -> Vec<RecordId> {
    store.put(texts.into_iter().collect()).unwrap().into_iter().map(|put| put.id()).collect()
}

fn database(folder: &Path) -> Connection {
    Connection::open(folder.join("store.db")).unwrap()
}

#[test]
fn the_store_keeps_its_contract() {
    let folder = tempfile::tempdir().unwrap();
    let mut number = 0;
    contract::check(|| {
        number += 1;
        SqliteStore::open(&folder.path().join(number.to_string())).unwrap()
    });
}

#[test]
fn what_was_written_is_there_after_reopening() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path()).unwrap();
    let ids = ids_of(&store, (0..100).map(long_note));
    let head = store.head().unwrap();
    drop(store);
    let store = SqliteStore::open(folder.path()).unwrap();
    assert_eq!(store.head().unwrap(), head);
    for (id, lookup) in ids.iter().zip(store.get(&ids).unwrap()) {
        assert_eq!(lookup.found().unwrap().record.id, *id);
    }
    assert_eq!(store.check(&mut |_, _| true).unwrap(), []);
}

#[test]
fn a_store_of_a_newer_program_is_refused_with_both_versions() {
    let folder = tempfile::tempdir().unwrap();
    drop(SqliteStore::open(folder.path()).unwrap());
    database(folder.path()).pragma_update(None, "user_version", 99).unwrap();
    let Err(error) = SqliteStore::open(folder.path()) else { panic!("it must be refused") };
    assert!(matches!(error, Error::TooNew { found: 99, supported: 5, .. }), "{error}");
    assert!(error.to_string().contains("99") && error.to_string().contains("versions up to 5"), "{error}");
}

#[test]
fn a_changed_byte_in_any_column_names_the_row_and_the_rest_stays_readable() {
    let edits = [
        "body = CAST(substr(body, 1, 8) || x'ff' || substr(body, 10) AS BLOB)",
        "body = x''",
        "created_at_ms = created_at_ms + 1",
        "pinned = 1",
        "origin = 2",
        "tags = '[\"x\"]'",
        "scope = (SELECT number FROM scopes WHERE name = 'other')",
        "trust = 9",
        "checksum = checksum + 1",
        "codec = 0",
        "codec = 250",
        "body = 'text instead of bytes'",
        "kind = 'word'",
    ];
    for edit in edits {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(folder.path()).unwrap();
        let ids = ids_of(&store, (0..3).map(long_note));
        let raw = database(folder.path());
        raw.execute("INSERT INTO scopes (name) VALUES ('other')", []).unwrap();
        raw.execute(&format!("UPDATE records SET {edit} WHERE row = 2"), []).unwrap();
        let answers = store.get(&ids).unwrap();
        assert!(matches!(answers[0], Lookup::Found(_)), "{edit}");
        assert!(matches!(answers[1], Lookup::Damaged { .. }), "{edit}: {:?}", answers[1]);
        assert!(matches!(answers[2], Lookup::Found(_)), "{edit}");
        let listed = store.list(&Filter::default()).unwrap();
        assert_eq!(listed.iter().filter(|lookup| matches!(lookup, Lookup::Found(_))).count(), 2, "{edit}");
        let findings = store.check(&mut |_, _| true).unwrap();
        assert!(findings.iter().any(|finding| finding.code == "row-damaged"), "{edit}: {findings:?}");
    }
}

#[test]
fn a_renamed_scope_is_noticed_in_its_records() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path()).unwrap();
    let ids = ids_of(&store, [note("whose is this?")]);
    database(folder.path()).execute("UPDATE scopes SET name = 'eve'", []).unwrap();
    drop(store);
    let store = SqliteStore::open(folder.path()).unwrap();
    assert!(matches!(store.get(&ids).unwrap()[0], Lookup::Damaged { .. }));
}

#[test]
fn a_flipped_bit_anywhere_in_the_file_never_gives_a_wrong_text() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path()).unwrap();
    let texts: Vec<Admitted> = (0..200).map(long_note).collect();
    let said: Vec<(RecordId, String)> = texts.iter().map(|a| (a.record().id, a.record().text().to_owned())).collect();
    store.put(texts).unwrap();
    store.checkpoint().unwrap();
    drop(store);
    let path = folder.path().join("store.db");
    let whole = fs::read(&path).unwrap();
    let mut state = 7_u64;
    for _ in 0..60 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let at = (state >> 20) as usize % (whole.len() * 8);
        let mut bytes = whole.clone();
        bytes[at / 8] ^= 1 << (at % 8);
        fs::write(&path, &bytes).unwrap();
        for suffix in ["store.db-wal", "store.db-shm"] {
            let _ = fs::remove_file(folder.path().join(suffix));
        }
        // Refusing to open, or to answer, is an answer; a wrong text is not.
        let Ok(store) = SqliteStore::open(folder.path()) else { continue };
        for (id, text) in &said {
            if let Ok(answers) = store.get(&[*id])
                && let Some(Lookup::Found(stored)) = answers.into_iter().next()
            {
                assert_eq!(stored.record.text(), text, "bit {at}");
                assert_eq!(stored.record.id, *id, "bit {at}");
            }
        }
    }
}

#[test]
fn a_lost_tail_is_noticed_and_starts_a_new_epoch() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path()).unwrap();
    ids_of(&store, (0..5).map(long_note));
    store.checkpoint().unwrap();
    let kept = store.head().unwrap();
    ids_of(&store, (5..8).map(long_note));
    // The machine dies, and the write-ahead log with it.
    let wal = folder.path().join("store.db-wal");
    assert!(fs::metadata(&wal).unwrap().len() > 0);
    let database_only = fs::read(folder.path().join("store.db")).unwrap();
    drop(store);
    fs::write(folder.path().join("store.db"), database_only).unwrap();
    let _ = fs::remove_file(&wal);
    let _ = fs::remove_file(folder.path().join("store.db-shm"));

    let store = SqliteStore::open(folder.path()).unwrap();
    let lost = store.lost_tail().unwrap().expect("the loss is noticed");
    assert_eq!((lost.acknowledged, lost.found), (8, 5));
    let head = store.head().unwrap();
    assert_eq!((head.seq, head.chain, head.epoch), (kept.seq, kept.chain, kept.epoch + 1));
    assert!(store.check(&mut |_, _| true).unwrap().iter().any(|finding| finding.code == "tail-lost"));
    drop(store);
    let store = SqliteStore::open(folder.path()).unwrap();
    assert_eq!(store.head().unwrap().epoch, kept.epoch + 1, "noticed once");
    store.acknowledge_lost_tail().unwrap();
    assert_eq!(store.check(&mut |_, _| true).unwrap(), []);
}

/// A copy of these files of a store that is open: what is left when its process is killed.
fn killed(home: &Path, names: &[&str]) -> tempfile::TempDir {
    let left = tempfile::tempdir().unwrap();
    for name in names {
        fs::copy(home.join(name), left.path().join(name)).unwrap();
    }
    left
}

#[test]
fn the_loss_of_all_that_a_young_store_held_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path()).unwrap();
    ids_of(&store, (0..5).map(long_note));
    let before = store.head().unwrap();
    // Without its log of writes the store is what it was when it was made; without its database it is another one.
    for (names, is_same) in [(&["store.db", "head"][..], true), (&["head"], false), (&["store.db-wal", "head"], false)]
    {
        let left = killed(folder.path(), names);
        if !is_same {
            fs::write(left.path().join("store.db"), "").unwrap();
        }
        let young = SqliteStore::open(left.path()).unwrap();
        assert_eq!(young.id() == before.store, is_same, "{names:?}");
        let lost = young.lost_tail().unwrap().expect("the loss is noticed");
        assert_eq!((lost.acknowledged, lost.found), (5, 0), "{names:?}");
        let head = young.head().unwrap();
        assert_eq!((head.seq, head.epoch), (0, before.epoch + 1), "{names:?}");
        drop(young);
        let young = SqliteStore::open(left.path()).unwrap();
        assert_eq!(young.head().unwrap(), head, "noticed once");
        assert!(young.check(&mut |_, _| true).unwrap().iter().any(|finding| finding.code == "tail-lost"));
        young.acknowledge_lost_tail().unwrap();
        drop(young);
        let young = SqliteStore::open(left.path()).unwrap();
        assert_eq!(young.check(&mut |_, _| true).unwrap(), []);
        ids_of(&young, [note("and on")]);
        drop(young);
        assert_eq!(SqliteStore::open(left.path()).unwrap().lost_tail().unwrap(), None);
    }
}

#[test]
fn a_database_of_another_program_is_refused_and_left_as_it_is() {
    for version in [0, 1, 3] {
        let folder = tempfile::tempdir().unwrap();
        let raw = database(folder.path());
        raw.execute_batch("CREATE TABLE observations (text); INSERT INTO observations VALUES ('theirs')").unwrap();
        raw.pragma_update(None, "user_version", version).unwrap();
        drop(raw);
        let before = fs::read(folder.path().join("store.db")).unwrap();
        let Err(error) = SqliteStore::open(folder.path()) else { panic!("it must be refused") };
        assert!(error.to_string().contains("another program"), "{error}");
        assert_eq!(fs::read(folder.path().join("store.db")).unwrap(), before);
    }
    // One that lost its version is not made anew.
    let folder = tempfile::tempdir().unwrap();
    ids_of(&SqliteStore::open(folder.path()).unwrap(), [note("kept")]);
    database(folder.path()).pragma_update(None, "user_version", 0).unwrap();
    let Err(error) = SqliteStore::open(folder.path()) else { panic!("it must be refused") };
    assert!(error.to_string().contains("lost the version"), "{error}");
}

#[test]
fn a_store_whose_making_was_interrupted_is_finished() {
    let folder = tempfile::tempdir().unwrap();
    drop(SqliteStore::open(folder.path()).unwrap());
    // Its tables were there and its name was not.
    database(folder.path()).execute("DELETE FROM meta", []).unwrap();
    ids_of(&SqliteStore::open(folder.path()).unwrap(), [note("it goes on")]);
    // A file that has no table yet.
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("store.db"), "").unwrap();
    ids_of(&SqliteStore::open(folder.path()).unwrap(), [note("it goes on")]);
}

#[test]
fn a_gap_in_the_log_is_reported() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path()).unwrap();
    ids_of(&store, (0..5).map(long_note));
    database(folder.path()).execute("DELETE FROM changes WHERE seq = 3", []).unwrap();
    assert_eq!(store.changes(0, 10).unwrap().changes.len(), 2, "what is before the gap is told first");
    assert!(store.changes(2, 10).is_err());
    assert!(store.check(&mut |_, _| true).unwrap().iter().any(|finding| finding.code == "log-damaged"));
}

#[test]
fn many_threads_of_two_stores_on_one_folder_lose_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let stores = [SqliteStore::open(folder.path()).unwrap(), SqliteStore::open(folder.path()).unwrap()];
    std::thread::scope(|threads| {
        for worker in 0..8 {
            let store = &stores[worker % 2];
            threads.spawn(move || {
                for number in 0..50 {
                    store.put(vec![long_note(worker * 1_000 + number)]).unwrap();
                }
            });
        }
    });
    assert_eq!(stores[0].head().unwrap().seq, 400);
    assert_eq!(stores[1].list(&Filter::default()).unwrap().len(), 400);
    assert_eq!(stores[0].check(&mut |_, _| true).unwrap(), []);
}

#[test]
fn bodies_grow_smaller_once_a_dictionary_was_trained() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path()).unwrap();
    let words = ["deploy", "rollback", "迁移脚本", "connection pool", "テスト", "timeout", "retry", "cache miss"];
    let text = |number: usize| {
        let picked: Vec<&str> = (0..60).map(|at| words[(number * 7 + at * at * 3 + at) % words.len()]).collect();
        note(&format!("{number}: {}", picked.join(" ")))
    };
    for batch in 0..6 {
        let ids = ids_of(&store, (0..500).map(|number| text(batch * 500 + number)));
        assert!(store.get(&ids).unwrap().into_iter().all(|lookup| lookup.found().is_some()));
    }
    let raw = database(folder.path());
    let dictionaries: i64 = raw.query_row("SELECT count(*) FROM dictionaries", [], |row| row.get(0)).unwrap();
    assert_eq!(dictionaries, 1);
    let bytes = |codecs: &str| -> f64 {
        raw.query_row(&format!("SELECT avg(length(body)) FROM records WHERE codec {codecs}"), [], |row| row.get(0))
            .unwrap()
    };
    assert!(bytes(">= 100") < bytes("< 100"));
    drop(store);
    let store = SqliteStore::open(folder.path()).unwrap();
    assert_eq!(store.check(&mut |_, _| true).unwrap(), []);
}

//! Exact repeats of a message: stored once, counted, and each session reads as it was said.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::collections::HashMap;
use std::path::Path;

use harness_memory::redact::{OwnRule, Redactor};
use harness_memory::store::Lookup;
use harness_memory::{
    Body, Intake, Message, Origin, Record, RecordId, Role, Row, Scope, SqliteStore, Store, ToolCall, ToolResult,
};
use jiff::{SignedDuration, Timestamp};

/// Text that no compressor makes small, and that is long enough to be kept once.
fn page(number: u64) -> String {
    let mut state = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut words = format!("page {number}:");
    for _ in 0..120 {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        words.push_str(&format!(" {state:x}"));
    }
    words
}

/// A turn as an importer hands it on.
fn turn(scope: &str, session: &str, place: u32, text: &str) -> Record {
    let mut message = Message::new(Role::Tool, place, text);
    message.tool_result = Some(ToolResult { call: format!("{session}-{place}"), tool: "Read".into(), ok: Some(true) });
    let mut record = Record::new(Scope::parse(scope).unwrap(), "claude-code", Origin::Tool, message);
    record.session = Some(session.to_owned());
    record.key = Some(format!("line {place}"));
    record.created_at = Timestamp::from_second(1_770_000_000 + i64::from(place)).unwrap();
    record
}

fn put(store: &SqliteStore, record: Record) -> RecordId {
    let intake = Intake::new();
    store.put(vec![intake.admit_one(record).unwrap()]).unwrap()[0].id()
}

fn found(store: &SqliteStore, id: RecordId) -> Record {
    let lookup = store.get(&[id]).unwrap().remove(0);
    lookup.found().unwrap_or_else(|| panic!("{id} is not found")).record
}

fn repeats(store: &SqliteStore, id: RecordId) -> u32 {
    let row: Row = store.get(&[id]).unwrap().remove(0).found().unwrap().row;
    store.repeats(&[row]).unwrap()[0]
}

fn sound(store: &SqliteStore) {
    assert_eq!(store.check(&mut |_, _| true).unwrap(), []);
}

/// What a query counts in the database itself.
fn count(folder: &Path, sql: &str) -> i64 {
    let database = rusqlite::Connection::open(folder.join("store.db")).unwrap();
    database.query_row(sql, [], |row| row.get(0)).unwrap()
}

#[test]
fn a_session_that_is_written_anew_is_stored_once_counted_and_read_as_it_was_said() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path()).unwrap();
    let session = |name: &str, from: u32| -> Vec<Record> {
        (0..60).map(|place| turn("ana/shop", name, from + place, &page(u64::from(place)))).collect()
    };
    let size = || store.counts().unwrap().bytes;
    let put_all =
        |records: &[Record]| records.iter().map(|record| put(&store, record.clone())).collect::<Vec<RecordId>>();
    let first = session("one", 0);
    let ids = put_all(&first);
    store.checkpoint().unwrap();
    let once = size();
    // The fork begins with a turn of its own, so that every turn has another place and its calls have other names.
    let fork = session("two", 1);
    let forked = put_all(&fork);
    store.checkpoint().unwrap();
    assert!(size() - once < once / 4, "{once} bytes at first, {} after the same again", size());
    for (id, record) in ids.iter().zip(&first).chain(forked.iter().zip(&fork)) {
        assert_eq!(found(&store, *id), *record);
        assert_eq!(repeats(&store, *id), 1);
    }
    // Another person's is their own, another role's is another turn, and a short one says nothing alone.
    let other = put(&store, turn("bo/shop", "one", 0, &page(0)));
    assert_eq!(repeats(&store, other), 0);
    let mut said = turn("ana/shop", "three", 0, &page(0));
    if let Body::Message(message) = &mut said.body {
        (message.role, message.tool_result) = (Role::User, None);
    }
    let said = put(&store, said);
    assert_eq!(repeats(&store, said), 0);
    let short: Vec<RecordId> = (0..3).map(|place| put(&store, turn("ana/shop", "four", place, "yes"))).collect();
    assert_eq!(repeats(&store, short[0]), 0);
    sound(&store);
    // Reading the same again adds nothing.
    let head = store.head().unwrap();
    let again: Vec<RecordId> = fork.into_iter().map(|record| put(&store, record)).collect();
    assert_eq!((again, store.head().unwrap()), (forked, head));
}

#[test]
fn the_arguments_of_calls_are_part_of_what_is_repeated() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path()).unwrap();
    let calling = |session: &str, arguments: &str| {
        let mut message = Message::new(Role::Assistant, 3, "I write it.");
        message.tool_calls.push(ToolCall {
            call: format!("call of {session}"),
            tool: "Write".into(),
            arguments: arguments.into(),
        });
        let mut record = Record::new(Scope::parse("ana").unwrap(), "codex", Origin::Agent, message);
        record.session = Some(session.to_owned());
        record.created_at = Timestamp::from_second(1_770_000_000).unwrap();
        record
    };
    let records = [calling("one", &page(1)), calling("two", &page(1)), calling("three", &page(2))];
    let ids: Vec<RecordId> = records.iter().map(|record| put(&store, record.clone())).collect();
    assert_eq!(ids.iter().map(|id| repeats(&store, *id)).collect::<Vec<_>>(), [1, 1, 0]);
    for (id, record) in ids.iter().zip(&records) {
        assert_eq!(found(&store, *id), *record);
    }
    sound(&store);
}

#[test]
fn words_stay_while_anybody_says_them_and_are_gone_with_the_last() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path()).unwrap();
    let secret = "the heron stands at the weir before dawn and nobody counts the fish it takes from there, \
                  which is why the ledger of the mill has a column that no clerk has ever been able to fill";
    let records: Vec<Record> = (0..5).map(|number| turn("ana", &format!("session {number}"), number, secret)).collect();
    let ids: Vec<RecordId> = records.iter().map(|record| put(&store, record.clone())).collect();
    let now = Timestamp::now();
    for gone in 0..5 {
        store.forget(&[ids[gone]], now).unwrap();
        let left = 4 - gone;
        for id in &ids[gone + 1..] {
            assert_eq!(repeats(&store, *id), left as u32 - 1, "a forgotten record is not counted");
        }
        store.purge(now + SignedDuration::from_secs(1)).unwrap();
        assert!(matches!(store.get(&[ids[gone]]).unwrap()[0], Lookup::Forgotten(_)));
        for (id, record) in ids.iter().zip(&records).skip(gone + 1) {
            assert_eq!(found(&store, *id), *record, "after {} were removed", gone + 1);
        }
        sound(&store);
    }
    for nothing in ["records WHERE body IS NOT NULL", "prints", "repeats"] {
        assert_eq!(count(folder.path(), &format!("SELECT count(*) FROM {nothing}")), 0, "{nothing}");
    }
    // Said once more, it is as new.
    let again = put(&store, turn("ana", "later", 0, secret));
    assert_eq!((found(&store, again).text(), repeats(&store, again)), (secret, 0));
    sound(&store);
}

#[test]
fn a_secret_in_repeated_words_is_removed_from_each() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path()).unwrap();
    let text = format!("{} the door code is mauve-otter-7431", page(7));
    let ids: Vec<RecordId> =
        (0..4).map(|number| put(&store, turn("ana", &format!("s{number}"), number, &text))).collect();
    let rule = OwnRule { name: "door-code".into(), pattern: "[a-z]+-otter-[0-9]+".into() };
    let redactor = Redactor::with(&[rule], &[]).unwrap();
    let secrets = store.find_secrets(&redactor, &mut |_, _| true).unwrap();
    assert_eq!(secrets.records.len(), 4);
    store.remove_secrets(&redactor, &secrets, &mut |_, _| true).unwrap();
    assert!(store.find_secrets(&redactor, &mut |_, _| true).unwrap().is_none());
    for id in &ids {
        assert!(found(&store, *id).text().ends_with("the door code is [REDACTED:door-code]"));
        assert_eq!(repeats(&store, *id), 3, "what is left is a repeat again");
    }
    sound(&store);
    assert_eq!(count(folder.path(), "SELECT count(*) FROM records WHERE codec != 2"), 1, "and stored once");
}

#[test]
fn damaged_words_are_named_in_all_that_say_them_and_never_answered_wrongly() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path()).unwrap();
    let ids: Vec<RecordId> = (0..3).map(|n| put(&store, turn("ana", &format!("s{n}"), n, &page(3)))).collect();
    let other = put(&store, turn("ana", "other", 0, &page(4)));
    drop(store);
    let database = rusqlite::Connection::open(folder.path().join("store.db")).unwrap();
    database.execute("UPDATE records SET body = (SELECT body FROM records WHERE row = 4) WHERE row = 1", []).unwrap();
    drop(database);
    let store = SqliteStore::open(folder.path()).unwrap();
    for id in ids {
        let lookup = store.get(&[id]).unwrap().remove(0);
        assert!(matches!(lookup, Lookup::Damaged { .. }), "{lookup:?}");
    }
    assert_eq!(found(&store, other).text(), page(4));
    assert_eq!(store.check(&mut |_, _| true).unwrap().len(), 3);
    // From now on somebody else holds these words.
    let anew = put(&store, turn("ana", "anew", 0, &page(3)));
    assert_eq!(found(&store, anew).text(), page(3));
}

#[test]
fn whatever_comes_and_goes_each_record_says_what_it_said() {
    let rounds = if std::env::var("HARNESS_TEST_ROUNDS").is_ok_and(|rounds| rounds == "full") { 40 } else { 3 };
    for seed in 1..=rounds {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(folder.path()).unwrap();
        let mut state = u64::wrapping_mul(seed, 0x2545_f491_4f6c_dd1d);
        let mut roll = |end: u64| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state % end
        };
        let mut live: HashMap<RecordId, Record> = HashMap::new();
        let mut now = Timestamp::now() + SignedDuration::from_hours(1);
        for step in 0..150_u32 {
            match roll(10) {
                0..6 => {
                    let scope = ["ana", "bo"][roll(2) as usize];
                    let record = turn(scope, &format!("s{}", roll(4)), step, &page(roll(5)));
                    live.insert(put(&store, record.clone()), record);
                }
                6..9 => {
                    let mut ids: Vec<RecordId> = live.keys().copied().collect();
                    ids.sort();
                    if !ids.is_empty() {
                        let id = ids[roll(ids.len() as u64) as usize];
                        store.forget(&[id], now).unwrap();
                        if roll(3) == 0 && store.undo_forget(id).is_ok() {
                            continue;
                        }
                        live.remove(&id);
                    }
                }
                _ => {
                    now += SignedDuration::from_secs(1);
                    store.purge(now).unwrap();
                }
            }
            for (id, record) in &live {
                assert_eq!(found(&store, *id), *record, "seed {seed}, step {step}");
                let same = |other: &&Record| (other.text(), &other.scope) == (record.text(), &record.scope);
                assert_eq!(repeats(&store, *id) as usize, live.values().filter(same).count() - 1);
            }
        }
        sound(&store);
    }
}

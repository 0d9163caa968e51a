//! What is remembered belongs to its owner: it can be taken out and put back, copied while others write, kept for a
//! time, and forgotten for good.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod forgetting;

use std::path::Path;

use harness_memory::export::{self, Fit, Imported, ReadOptions};
use harness_memory::sqlite::{Retention, restore};
use harness_memory::store::{Exposure, Filter, Lookup, Patch, Reading, ReadingPlace};
use harness_memory::{
    Admitted, Episode, Error, Intake, Kind, Lesson, Message, Note, Origin, Outcome, ReadSet, Record, RecordId, Role,
    Scope, Session, SqliteStore, Store,
};
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

fn scope(path: &str) -> Scope {
    Scope::parse(path).unwrap()
}

fn admit(record: Record) -> Admitted {
    Intake::new().admit_one(record).unwrap()
}

fn note(path: &str, text: &str) -> Record {
    Record::new(scope(path), "test", Origin::User, Note::new(text))
}

fn put(store: &SqliteStore, record: Record) -> RecordId {
    store.put(vec![admit(record)]).unwrap()[0].id()
}

fn later() -> Timestamp {
    Timestamp::now() + SignedDuration::from_hours(24)
}

fn new_store(folder: &Path, name: &str) -> SqliteStore {
    SqliteStore::open(&folder.join(name)).unwrap()
}

fn exported(store: &SqliteStore, reads: &ReadSet) -> String {
    let mut bytes = Vec::new();
    let (_, findings) = export::write(store, reads, &mut bytes, Path::new("-"), &mut |_, _| true).unwrap();
    assert_eq!(findings, []);
    String::from_utf8(bytes).unwrap()
}

fn all(store: &SqliteStore) -> String {
    exported(store, &ReadSet::everything())
}

fn import(store: &SqliteStore, text: &str) -> Imported {
    let mut from = text.as_bytes();
    export::read(store, &Intake::new(), &mut from, Path::new("x"), ReadOptions::default(), &mut |_, _| true).unwrap()
}

fn assert_well(store: &SqliteStore) {
    assert_eq!(store.check(&mut |_, _| true).unwrap(), []);
}

/// A store with something of everything.
fn filled(folder: &Path, name: &str) -> SqliteStore {
    let store = new_store(folder, name);
    let mut session = Session::new("claude-code", "s-1", scope("ana/shop"));
    session.title = Some("the deploy waits".to_owned());
    store.put_session(session).unwrap();
    for position in 0..3 {
        let mut record =
            Record::new(scope("ana/shop"), "claude-code", Origin::User, Message::new(Role::User, position, "部署超时"));
        record.session = Some("s-1".to_owned());
        record.key = Some(format!("k{position}"));
        put(&store, record);
    }
    let mut episode = Episode::new("deploy the shop");
    episode.outcome = Outcome::Success;
    episode.cost_usd = Some(0.1 + 0.2);
    let mut episode = Record::new(scope("ana/shop"), "claude-code", Origin::Agent, episode);
    episode.session = Some("s-1".to_owned());
    let episode = put(&store, episode);
    let lesson = Lesson { text: "look at the pool first".to_owned(), evidence: vec![episode] };
    put(&store, Record::new(scope("ana"), "harness", Origin::Agent, lesson));
    let old = put(&store, note("ana", "the limit is 100"));
    let mut newer = note("ana", "the limit is 300");
    newer.replaces = Some(old);
    newer.tags = vec!["接口".to_owned()];
    let newer = put(&store, newer);
    store.update(newer, Patch { pinned: Some(true), ..Patch::default() }).unwrap();
    let (forgotten, purged) = (put(&store, note("ana", "forgotten")), put(&store, note("eve", "purged")));
    store.forget(&[purged], Timestamp::now() - SignedDuration::from_secs(1)).unwrap();
    assert_eq!(store.purge(Timestamp::now()).unwrap(), 1);
    store.forget(&[forgotten], later()).unwrap();
    store
        .expose(Exposure {
            at: Timestamp::from_second(1_800_000_000).unwrap(),
            ..Exposure::new("r", "why", vec![newer, episode])
        })
        .unwrap();
    store.finish_run("r", Outcome::Failure, Some("exit code 1")).unwrap();
    store.reset_credit(newer, Timestamp::from_second(1_700_000_000).unwrap()).unwrap();
    store
}

#[test]
fn a_file_that_is_imported_is_exported_again_byte_for_byte() {
    let folder = tempfile::tempdir().unwrap();
    let first = all(&filled(folder.path(), "a"));
    let other = new_store(folder.path(), "b");
    let report = import(&other, &first);
    assert_eq!((report.fit, report.skipped_total, report.added, report.known), (Fit::Whole, 0, 9, 0));
    assert_eq!((report.sessions, report.exposures, report.runs), (1, 1, 1));
    assert_eq!(all(&other), first);
    assert_well(&other);
    let again = import(&other, &first);
    assert_eq!((again.added, again.known, again.kept), (0, 9, 0));
    assert_eq!((again.sessions, again.exposures, again.runs), (0, 0, 0));
    assert_eq!(all(&other), first);
}

#[test]
fn a_store_that_has_a_part_of_it_becomes_equal() {
    let folder = tempfile::tempdir().unwrap();
    let whole = filled(folder.path(), "a");
    let early = all(&whole);
    put(&whole, note("ana", "written since"));
    let live = whole.list(&Filter { kinds: vec![Kind::Note], ..Filter::default() }).unwrap();
    let gone = live.into_iter().next().and_then(Lookup::found).unwrap().record.id;
    whole.forget(&[gone], later()).unwrap();
    let late = all(&whole);
    let other = new_store(folder.path(), "b");
    import(&other, &early);
    let report = import(&other, &late);
    assert_eq!((report.added, report.forgotten, report.kept), (1, 1, 0));
    assert_eq!(all(&other), late);
    assert_well(&other);
    // The older file does not bring back what was forgotten since.
    let report = import(&other, &early);
    assert_eq!((report.added, report.forgotten), (0, 0));
    assert_eq!(all(&other), late);
}

#[test]
fn a_scope_is_exported_without_a_trace_of_others() {
    let folder = tempfile::tempdir().unwrap();
    let store = filled(folder.path(), "a");
    let hers = exported(&store, &scope("ana/shop").into());
    assert!(hers.contains("部署超时") && hers.contains("the deploy waits"));
    assert!(!hers.contains("the limit") && !hers.contains("eve") && !hers.contains("\"why\""), "{hers}");
}

#[test]
fn what_is_wrong_with_a_file_is_named_by_line_and_the_rest_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let text = all(&filled(folder.path(), "a"));
    let mut lines: Vec<&str> = text.lines().collect();
    let deep = format!("{}{}", "[".repeat(20_000), "]".repeat(20_000));
    lines.insert(3, "{\"line\":\"record\"");
    lines.insert(4, &deep);
    let other = new_store(folder.path(), "b");
    let report = import(&other, &(lines.join("\n") + "\n"));
    assert_eq!((report.fit, report.skipped_total, report.added), (Fit::Changed, 2, 9));
    assert_eq!(report.skipped.iter().map(|skipped| skipped.line).collect::<Vec<_>>(), [4, 5]);
    let cut: String = text.lines().take(4).map(|line| format!("{line}\n")).collect();
    assert_eq!(import(&new_store(folder.path(), "c"), &cut).fit, Fit::Cut);
    let newer = text.replacen("\"version\":1", "\"version\":9", 1);
    let mut from = newer.as_bytes();
    let third = new_store(folder.path(), "d");
    let refused =
        export::read(&third, &Intake::new(), &mut from, Path::new("x"), ReadOptions::default(), &mut |_, _| true);
    assert!(refused.unwrap_err().to_string().contains("version 9"));
    assert_eq!(third.head().unwrap().seq, 0);
}

#[test]
fn a_dry_run_and_an_untrusted_file_do_what_they_say() {
    let folder = tempfile::tempdir().unwrap();
    let text = all(&filled(folder.path(), "a"));
    let other = new_store(folder.path(), "b");
    let read = |options| {
        let mut from = text.as_bytes();
        export::read(&other, &Intake::new(), &mut from, Path::new("x"), options, &mut |_, _| true).unwrap()
    };
    assert_eq!(read(ReadOptions { dry_run: true, untrusted: false }).added, 9);
    assert_eq!(other.head().unwrap().seq, 0);
    read(ReadOptions { dry_run: false, untrusted: true });
    for lookup in other.list(&Filter::default()).unwrap() {
        let record = lookup.found().unwrap().record;
        assert!(record.trust >= harness_memory::Trust::Untrusted && record.origin >= Origin::Tool, "{record:?}");
    }
}

#[test]
fn a_backup_beside_writers_is_one_moment_of_the_store_and_restores_to_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = filled(folder.path(), "home");
    let file = folder.path().join("copy.db");
    let stop = std::sync::atomic::AtomicBool::new(false);
    let copied = std::thread::scope(|threads| {
        threads.spawn(|| {
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                put(&store, note("ana", "beside the copy"));
            }
        });
        let copied = store.back_up(&file, &mut |_, _| true);
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        copied.unwrap()
    });
    assert_eq!(copied.findings, []);
    assert!(store.back_up(&file, &mut |_, _| true).is_err(), "a file that is there is never overwritten");
    let before = store.head().unwrap();
    assert_eq!(store.position_at(copied.position.seq).unwrap(), Some(copied.position), "a moment of its history");
    let late = put(&store, note("ana", "after the copy"));
    let restored = restore(&folder.path().join("home"), &file, Timestamp::now(), &mut |_, _| true).unwrap();
    // The handle that was open all the time sees what came back.
    let head = store.head().unwrap();
    assert_eq!(head, restored.position);
    assert_eq!((head.seq, head.store), (copied.position.seq, before.store));
    assert!(head.epoch > before.epoch);
    assert!(matches!(store.get(&[late]).unwrap()[0], Lookup::Missing));
    let fresh = put(&store, note("bob", "the store goes on in a scope it did not have"));
    assert_eq!(store.get(&[fresh]).unwrap().remove(0).found().unwrap().record.scope, scope("bob"));
    assert_well(&store);
    let kept = SqliteStore::open(folder.path()).map(drop);
    assert!(kept.is_ok());
    let kept = restored.kept.unwrap();
    restore(&folder.path().join("second"), &kept, Timestamp::now(), &mut |_, _| true).unwrap();
    let second = new_store(folder.path(), "second");
    assert!(second.get(&[late]).unwrap().remove(0).found().is_some(), "what was there was kept");
    let leftovers: Vec<_> = std::fs::read_dir(folder.path().join("home"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .filter(|name| name.ends_with(".partial"))
        .collect();
    assert_eq!(leftovers, Vec::<String>::new());
}

#[test]
fn two_restores_within_a_second_keep_two_stores_and_the_open_handle_sees_both() {
    let folder = tempfile::tempdir().unwrap();
    let store = filled(folder.path(), "home");
    let file = folder.path().join("copy.db");
    store.back_up(&file, &mut |_, _| true).unwrap();
    let now = Timestamp::now();
    let mut kept = Vec::new();
    for number in 0..3 {
        let late = put(&store, note("ana", &format!("written before restore {number}")));
        let restored = restore(&folder.path().join("home"), &file, now, &mut |_, _| true).unwrap();
        assert!(matches!(store.get(&[late]).unwrap()[0], Lookup::Missing), "the handle sees what came back");
        let path = restored.kept.unwrap();
        assert!(path.is_file() && !kept.contains(&path), "{path:?}");
        kept.push(path);
    }
    assert_well(&store);
}

#[test]
fn what_was_forgotten_since_the_backup_stays_forgotten() {
    let folder = tempfile::tempdir().unwrap();
    let store = new_store(folder.path(), "home");
    let (forgotten, purged, kept) =
        (put(&store, note("ana", "one")), put(&store, note("ana", "two")), put(&store, note("ana", "three")));
    let file = folder.path().join("copy.db");
    store.back_up(&file, &mut |_, _| true).unwrap();
    store.forget(&[purged], Timestamp::now() - SignedDuration::from_secs(1)).unwrap();
    store.purge(Timestamp::now()).unwrap();
    store.forget(&[forgotten], later()).unwrap();
    let restored = restore(&folder.path().join("home"), &file, Timestamp::now(), &mut |_, _| true).unwrap();
    assert_eq!(restored.still_forgotten, 2);
    let answers = store.get(&[forgotten, purged, kept]).unwrap();
    assert!(matches!(answers[0], Lookup::Forgotten(_)) && matches!(answers[1], Lookup::Forgotten(_)));
    assert!(matches!(answers[2], Lookup::Found(_)));
    store.undo_forget(forgotten).unwrap();
    store.undo_forget(purged).unwrap_err();
    assert_well(&store);
}

#[test]
fn a_damaged_backup_is_refused_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = filled(folder.path(), "home");
    let file = folder.path().join("copy.db");
    store.back_up(&file, &mut |_, _| true).unwrap();
    let raw = rusqlite::Connection::open(&file).unwrap();
    raw.execute("UPDATE records SET pinned = 1 WHERE row = 2", []).unwrap();
    drop(raw);
    let before = (store.head().unwrap(), all(&store));
    let error = restore(&folder.path().join("home"), &file, Timestamp::now(), &mut |_, _| true).unwrap_err();
    assert!(error.to_string().contains("row 2"), "{error}");
    std::fs::write(&file, "no database at all, but long enough to be looked at as one").unwrap();
    restore(&folder.path().join("home"), &file, Timestamp::now(), &mut |_, _| true).unwrap_err();
    assert_eq!((store.head().unwrap(), all(&store)), before);
}

#[test]
fn a_file_that_is_no_backup_is_refused_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = filled(folder.path(), "home");
    let file = folder.path().join("other.db");
    let sql = |sql: &str| rusqlite::Connection::open(&file).unwrap().execute_batch(sql).unwrap();
    let before = (store.head().unwrap(), all(&store));
    let refused = |why: &str| {
        let error = restore(&folder.path().join("home"), &file, Timestamp::now(), &mut |_, _| true).unwrap_err();
        assert!(error.to_string().contains("other.db is no backup of a store"), "{error}");
        assert!(error.to_string().contains(why), "{error}");
        assert_eq!((store.head().unwrap(), all(&store)), before, "{why}");
        let entries = std::fs::read_dir(folder.path().join("home")).unwrap();
        let left = entries.flatten().any(|entry| entry.file_name().to_string_lossy().starts_with("kept-"));
        assert!(!left, "nothing was kept, because nothing was replaced");
    };
    std::fs::write(&file, "").unwrap();
    refused("it is empty");
    sql("PRAGMA user_version = 4");
    refused("it is empty");
    sql("CREATE TABLE observations (text)");
    refused("another program");
    std::fs::write(&file, "no database at all, but long enough to be looked at as one".repeat(20)).unwrap();
    refused("no SQLite database");
    std::fs::remove_file(&file).unwrap();
    store.back_up(&file, &mut |_, _| true).unwrap();
    sql("DELETE FROM meta WHERE name = 'store'");
    refused("which store");
    sql("PRAGMA user_version = 0");
    refused("version");
}

#[test]
fn damage_beside_the_records_is_named_and_not_left_out_of_an_export_in_silence() {
    let edits = [
        ("session-damaged", "UPDATE sessions SET info = replace(info, 'waits', 'works')"),
        ("session-damaged", "UPDATE sessions SET info = x'00ff'"),
        ("exposure-damaged", "UPDATE exposures SET records = substr(records, 1, 16)"),
        ("exposure-damaged", "UPDATE exposures SET query = x'00ff'"),
        ("run-damaged", "UPDATE runs SET outcome = 1 - outcome"),
        ("run-damaged", "UPDATE runs SET outcome = 'word'"),
        ("credit-damaged", "UPDATE credit_resets SET at_ms = at_ms + 1"),
        ("credit-damaged", "UPDATE credit_resets SET at_ms = 'word'"),
    ];
    for (code, edit) in edits {
        let folder = tempfile::tempdir().unwrap();
        let store = filled(folder.path(), "home");
        let raw = rusqlite::Connection::open(folder.path().join("home/store.db")).unwrap();
        assert!(raw.execute(edit, []).unwrap() > 0, "{edit}");
        let findings = store.check(&mut |_, _| true).unwrap();
        assert_eq!(findings.iter().map(|finding| finding.code).collect::<Vec<_>>(), [code], "{edit}: {findings:?}");
        let mut bytes = Vec::new();
        let (manifest, findings) =
            export::write(&store, &ReadSet::everything(), &mut bytes, Path::new("-"), &mut |_, _| true).unwrap();
        assert_eq!((manifest.damaged, manifest.records), (1, 8), "{edit}");
        assert_eq!(findings.iter().map(|finding| finding.code).collect::<Vec<_>>(), [code], "{edit}");
        let file = folder.path().join("copy.db");
        assert_eq!(store.back_up(&file, &mut |_, _| true).unwrap().findings.len(), 1, "{edit}");
        restore(&folder.path().join("home"), &file, Timestamp::now(), &mut |_, _| true).unwrap_err();
        let markdown = folder.path().join("md");
        let (written, findings) =
            export::markdown::write(&store, &ReadSet::everything(), &markdown, &mut |_, _| true).unwrap();
        assert_eq!((written, findings.len()), (7, usize::from(code == "session-damaged")), "{edit}");
    }
}

#[test]
fn a_damaged_note_of_what_was_read_is_named_and_does_not_keep_a_backup_from_its_way_back() {
    let folder = tempfile::tempdir().unwrap();
    let store = filled(folder.path(), "home");
    let place = ReadingPlace { tool: "claude-code".into(), path: "/t.jsonl".into(), scope: String::new() };
    store.put_reading(&place, &Reading::default()).unwrap();
    let raw = rusqlite::Connection::open(folder.path().join("home/store.db")).unwrap();
    for state in ["'{}'", "x'00ff'"] {
        raw.execute(&format!("UPDATE readings SET state = {state}"), []).unwrap();
        assert_eq!(store.reading(&place).unwrap(), None);
        let findings = store.check(&mut |_, _| true).unwrap();
        assert_eq!(findings.iter().map(|finding| finding.code).collect::<Vec<_>>(), ["reading-damaged"]);
    }
    let file = folder.path().join("copy.db");
    store.back_up(&file, &mut |_, _| true).unwrap();
    restore(&folder.path().join("home"), &file, Timestamp::now(), &mut |_, _| true).unwrap();
    store.put_reading(&place, &Reading::default()).unwrap();
    assert_well(&store);
}

#[test]
fn a_store_that_does_not_open_is_kept_and_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let store = filled(folder.path(), "home");
    let file = folder.path().join("copy.db");
    let copied = store.back_up(&file, &mut |_, _| true).unwrap();
    drop(store);
    let home = folder.path().join("home");
    std::fs::write(home.join("store.db"), vec![7; 5_000]).unwrap();
    assert!(SqliteStore::open(&home).is_err());
    let restored = restore(&home, &file, Timestamp::now(), &mut |_, _| true).unwrap();
    assert_eq!(std::fs::read(restored.kept.unwrap().join("store.db")).unwrap(), vec![7; 5_000]);
    let store = SqliteStore::open(&home).unwrap();
    assert_eq!(store.head().unwrap().seq, copied.position.seq);
    assert!(store.head().unwrap().epoch > copied.position.epoch);
    assert_well(&store);
}

#[test]
fn a_folded_log_goes_on_and_says_where_it_begins() {
    let folder = tempfile::tempdir().unwrap();
    let store = new_store(folder.path(), "home");
    for batch in 0..5 {
        let records = (0..500).map(|number| admit(note("ana", &format!("{batch} {number}")))).collect();
        store.put(records).unwrap();
    }
    let head = store.head().unwrap();
    let now = Timestamp::now();
    assert_eq!(store.fold(&head, now).unwrap(), 0, "a week has not gone");
    let in_a_week = now + SignedDuration::from_hours(24 * 7 + 1);
    let part = store.position_at(1_500).unwrap().unwrap();
    assert_eq!(store.fold(&part, in_a_week).unwrap(), 1_500);
    assert!(matches!(store.changes(10, 10), Err(Error::Folded { after: 10, first: 1_501 })));
    assert_eq!(store.changes(1_500, 5_000).unwrap().changes.len(), 1_000);
    assert_eq!(store.position_at(1_500).unwrap(), Some(part), "who has followed so far goes on");
    assert_eq!(store.position_at(0).unwrap(), None);
    assert_eq!(store.head().unwrap(), head);
    assert_well(&store);
    drop(store);
    let store = new_store(folder.path(), "home");
    assert_eq!(store.fold(&store.head().unwrap(), in_a_week).unwrap(), 0, "too few to be worth a write");
    put(&store, note("ana", "and on"));
    assert_eq!(store.head().unwrap().seq, 2_501);
    assert_well(&store);
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof!["\\PC{1,60}", "[a-z\\u{0}-\\u{1f}\"\\\\<>&\u{202e}\u{feff}]{1,40}x", "[草部署テスト한글]{1,30}"]
        .prop_filter("a text", |text| !text.trim().is_empty())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if std::env::var("HARNESS_TEST_ROUNDS").is_ok() { 300 } else { 12 }))]
    #[test]
    fn any_store_comes_back_byte_for_byte(
        records in prop::collection::vec(
            (text(), 0..4_usize, prop::option::of(0..6_u32), prop::option::of(any::<f64>().prop_filter("finite", |x| x.is_finite())), 0..4_u8),
            1..12,
        ),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let (one, two) = (new_store(folder.path(), "a"), new_store(folder.path(), "b"));
        let intake = Intake::new();
        let mut last: Option<RecordId> = None;
        for (text, kind, key, cost, fate) in records {
            let mut record = match kind {
                0 => note("ana", &text),
                1 => Record::new(scope("bob/x"), "codex", Origin::Tool, Message::new(Role::Tool, 3, text)),
                2 => {
                    let mut episode = Episode::new(text);
                    episode.cost_usd = cost;
                    Record::new(scope("ana"), "test", Origin::Agent, episode)
                }
                _ => Record::new(scope("/"), "x", Origin::Web, Lesson { text, evidence: last.into_iter().collect() }),
            };
            record.key = key.map(|key| key.to_string());
            record.session = (kind == 1).then(|| "s".to_owned());
            record.replaces = last.filter(|_| kind == 0);
            let Ok(admitted) = intake.admit_one(record) else { continue };
            let id = one.put(vec![admitted]).unwrap()[0].id();
            match fate {
                1 => { one.forget(&[id], later()).unwrap(); }
                2 => {
                    one.forget(&[id], Timestamp::UNIX_EPOCH).unwrap();
                    one.purge(Timestamp::now()).unwrap();
                }
                _ => last = Some(id),
            }
        }
        let first = all(&one);
        let report = import(&two, &first);
        prop_assert_eq!(report.skipped_total, 0, "{:?}", report.skipped);
        prop_assert_eq!(all(&two), first);
        assert_well(&two);
    }
}

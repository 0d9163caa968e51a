//! A random walk of everything that is done to a store, beside a model of it in memory: what can be seen is the same
//! after every step, and a forgotten record never comes back.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use harness_memory::export::{self, ReadOptions};
use harness_memory::sqlite::restore;
use harness_memory::store::{Filter, Lookup, Patch};
use harness_memory::{Intake, Note, Origin, Record, RecordId, Scope, SqliteStore, Store};
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

/// One step. Numbers choose among what is there.
#[derive(Clone, Debug)]
enum Step {
    Write {
        key: Option<u8>,
    },
    Tag(usize),
    Forget(usize),
    Undo(usize),
    ForgetForGood(usize),
    Expire(usize),
    Purge,
    Reopen,
    /// What another process sees that opens the files as they are now, without this one having closed them.
    Crash,
    Backup,
    Restore,
    Export,
    Import,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    use Step::*;
    let step = prop_oneof![
        6 => prop::option::of(0..6_u8).prop_map(|key| Write { key }),
        2 => (0..64_usize).prop_map(Tag),
        3 => (0..64_usize).prop_map(Forget),
        2 => (0..64_usize).prop_map(Undo),
        1 => (0..64_usize).prop_map(ForgetForGood),
        1 => (0..64_usize).prop_map(Expire),
        1 => Just(Purge),
        1 => Just(Reopen),
        1 => Just(Crash),
        1 => Just(Backup),
        1 => Just(Restore),
        1 => Just(Export),
        1 => Just(Import),
    ];
    prop::collection::vec(step, 1..40)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Live,
    Forgotten,
    Gone,
}

/// What the store should hold: the state of each record, in the order they were written, and the tags it has.
#[derive(Clone, Default)]
struct Model {
    records: BTreeMap<RecordId, (State, u32)>,
    keys: BTreeMap<u8, RecordId>,
}

impl Model {
    fn pick(&self, number: usize, state: State) -> Option<RecordId> {
        let ids: Vec<RecordId> = self.records.iter().filter(|(_, (s, _))| *s == state).map(|(id, _)| *id).collect();
        (!ids.is_empty()).then(|| ids[number % ids.len()])
    }

    fn live(&self) -> BTreeMap<RecordId, u32> {
        let live = self.records.iter().filter(|(_, (state, _))| *state == State::Live);
        live.map(|(id, (_, tag))| (*id, *tag)).collect()
    }

    fn set(&mut self, id: RecordId, state: State) {
        if let Some(record) = self.records.get_mut(&id) {
            record.0 = state;
        }
    }

    /// What is forgotten here is forgotten there; a record that only this one knows to be forgotten is known there.
    fn forget_into(&self, other: &mut Model) {
        for (id, (state, tag)) in &self.records {
            if *state == State::Live {
                continue;
            }
            let entry = other.records.entry(*id).or_insert((*state, *tag));
            if entry.0 == State::Live || *state == State::Gone {
                entry.0 = *state;
            }
        }
        for (key, id) in &self.keys {
            if self.records[id].0 != State::Live {
                other.keys.entry(*key).or_insert(*id);
            }
        }
    }
}

struct World {
    folder: tempfile::TempDir,
    store: Option<SqliteStore>,
    model: Model,
    backup: Option<(PathBuf, Model)>,
    export: Option<(Vec<u8>, Model)>,
    copies: u32,
    ever_gone: BTreeSet<RecordId>,
}

impl World {
    fn store(&self) -> &SqliteStore {
        self.store.as_ref().unwrap()
    }

    fn step(&mut self, step: Step) {
        let later = Timestamp::now() + SignedDuration::from_hours(24);
        let past = Timestamp::now() - SignedDuration::from_secs(1);
        match step {
            Step::Write { key } => {
                let text = format!("note {}", self.model.records.len());
                let mut record = Record::new(Scope::parse("ana").unwrap(), "test", Origin::User, Note::new(text));
                record.key = key.map(|key| key.to_string());
                let put = self.store().put(vec![Intake::new().admit_one(record).unwrap()]).unwrap()[0];
                match key.and_then(|key| self.model.keys.get(&key)) {
                    Some(known) => assert_eq!((put.id(), put.is_new()), (*known, false)),
                    None => {
                        assert!(put.is_new());
                        self.model.records.insert(put.id(), (State::Live, 0));
                        self.model.keys.extend(key.map(|key| (key, put.id())));
                    }
                }
            }
            Step::Tag(number) => {
                let Some(id) = self.model.pick(number, State::Live) else { return };
                let tag = self.model.records[&id].1 + 1;
                let tags = Some(vec![tag.to_string()]);
                self.store().update(id, Patch { tags, ..Patch::default() }).unwrap();
                self.model.records.insert(id, (State::Live, tag));
            }
            Step::Forget(number) => {
                let Some(id) = self.model.pick(number, State::Live) else { return };
                assert_eq!(self.store().forget(&[id], later).unwrap(), 1);
                self.model.set(id, State::Forgotten);
            }
            Step::Undo(number) => {
                let Some(id) = self.model.pick(number, State::Forgotten) else { return };
                self.store().undo_forget(id).unwrap();
                self.model.set(id, State::Live);
            }
            Step::ForgetForGood(number) => {
                let Some(id) = self.model.pick(number, State::Live) else { return };
                self.store().forget(&[id], past).unwrap();
                self.store().purge(Timestamp::now()).unwrap();
                self.store().undo_forget(id).unwrap_err();
                self.model.set(id, State::Gone);
            }
            Step::Expire(number) => {
                let Some(id) = self.model.pick(number, State::Live) else { return };
                self.store().update(id, Patch { expires_at: Some(Some(past)), ..Patch::default() }).unwrap();
                self.store().purge(Timestamp::now()).unwrap();
                self.model.set(id, State::Gone);
            }
            Step::Purge => {
                assert_eq!(self.store().purge(Timestamp::now()).unwrap(), 0, "nothing was due");
            }
            Step::Reopen => {
                self.store = None;
                self.store = Some(SqliteStore::open(&self.folder.path().join("home")).unwrap());
            }
            Step::Crash => {
                let (home, after) = (self.folder.path().join("home"), self.folder.path().join("after"));
                let _ = std::fs::remove_dir_all(&after);
                std::fs::create_dir(&after).unwrap();
                for name in ["store.db", "store.db-wal", "head"] {
                    let _ = std::fs::copy(home.join(name), after.join(name));
                }
                let crashed = SqliteStore::open(&after).unwrap();
                assert_eq!(crashed.lost_tail().unwrap(), None);
                assert_eq!(seen(&crashed), self.model.live());
            }
            Step::Backup => {
                self.copies += 1;
                let path = self.folder.path().join(format!("copy-{}.db", self.copies));
                assert_eq!(self.store().back_up(&path, &mut |_, _| true).unwrap().findings, []);
                self.backup = Some((path, self.model.clone()));
            }
            Step::Restore => {
                let Some((path, mut model)) = self.backup.clone() else { return };
                self.copies += 1;
                // Each restore keeps what was there under the time of it.
                let now = Timestamp::UNIX_EPOCH + SignedDuration::from_secs(i64::from(self.copies));
                restore(&self.folder.path().join("home"), &path, now, &mut |_, _| true).unwrap();
                self.model.forget_into(&mut model);
                self.model = model;
            }
            Step::Export => {
                let mut bytes = Vec::new();
                let reads = harness_memory::ReadSet::everything();
                export::write(self.store(), &reads, &mut bytes, "-".as_ref(), &mut |_, _| true).unwrap();
                self.export = Some((bytes, self.model.clone()));
            }
            Step::Import => {
                let Some((bytes, other)) = self.export.clone() else { return };
                let mut from = bytes.as_slice();
                let options = ReadOptions::default();
                export::read(self.store(), &Intake::new(), &mut from, "-".as_ref(), options, &mut |_, _| true).unwrap();
                // What the file has and the store lacks is added, unless the store knows its key under another name.
                for (id, (state, tag)) in &other.records {
                    let key = other.keys.iter().find(|(_, named)| *named == id).map(|(key, _)| *key);
                    let here = key.and_then(|key| self.model.keys.get(&key).copied()).unwrap_or(*id);
                    match self.model.records.get(&here).copied() {
                        None => {
                            self.model.records.insert(*id, (*state, *tag));
                            self.model.keys.extend(key.map(|key| (key, *id)));
                        }
                        Some((State::Live, _)) if *state != State::Live => self.model.set(here, *state),
                        Some((State::Forgotten, _)) if *state == State::Gone => self.model.set(here, State::Gone),
                        Some(_) => {}
                    }
                }
            }
        }
    }

    fn check(&mut self) {
        assert_eq!(seen(self.store()), self.model.live());
        let gone = self.model.records.iter().filter(|(_, (state, _))| *state == State::Gone).map(|(id, _)| *id);
        self.ever_gone.extend(gone);
        let ids: Vec<RecordId> = self.ever_gone.iter().copied().collect();
        for (id, lookup) in ids.iter().zip(self.store().get(&ids).unwrap()) {
            assert!(matches!(lookup, Lookup::Forgotten(_)), "{id} came back: {lookup:?}");
        }
    }
}

/// The live records, found both by listing and by name, with their tags.
fn seen(store: &SqliteStore) -> BTreeMap<RecordId, u32> {
    let listed = store.list(&Filter::default()).unwrap();
    let records = listed.into_iter().map(|lookup| lookup.found().unwrap().record);
    let tag = |record: &Record| record.tags.first().map_or(0, |tag| tag.parse().unwrap());
    let seen: BTreeMap<RecordId, u32> = records.map(|record| (record.id, tag(&record))).collect();
    let ids: Vec<RecordId> = seen.keys().copied().collect();
    assert!(store.get(&ids).unwrap().into_iter().all(|lookup| lookup.found().is_some()));
    seen
}

fn cases() -> u32 {
    if std::env::var("HARNESS_TEST_ROUNDS").is_ok_and(|rounds| rounds == "full") { 400 } else { 12 }
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 200, ..ProptestConfig::with_cases(cases()) })]
    #[test]
    fn whatever_is_done_what_is_seen_is_what_was_kept(steps in steps()) {
        let folder = tempfile::tempdir().unwrap();
        let store = Some(SqliteStore::open(&folder.path().join("home")).unwrap());
        let mut world = World {
            folder, store, model: Model::default(), backup: None, export: None, copies: 0, ever_gone: BTreeSet::new(),
        };
        for step in steps {
            world.step(step);
            world.check();
        }
        assert_eq!(world.store().check(&mut |_, _| true).unwrap(), []);
    }
}

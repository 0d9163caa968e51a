//! A random walk of everything that is done to a home, beside a model of it in memory: what a search finds is what is
//! live, however far the index is behind, and a forgotten record never comes back.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use harness_memory::sqlite::restore;
use harness_memory::store::Patch;
use harness_memory::{Mode, Note, Origin, Query, ReadSet, Record, RecordId, Scope, Store};
use harness_recall::Engine;
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

/// One step. Numbers choose among what is there.
#[derive(Clone, Debug)]
enum Step {
    Write(u8),
    Tag(usize),
    Forget(usize),
    Undo(usize),
    ForgetForGood(usize),
    Expire(usize),
    Sweep,
    CatchUp,
    Rebuild,
    LoseIndex,
    Reopen,
    /// The process ends without a word: what another finds are the files as they are.
    Crash,
    Backup,
    Restore,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    use Step::*;
    let step = prop_oneof![
        6 => (1..5_u8).prop_map(Write),
        1 => (0..64_usize).prop_map(Tag),
        3 => (0..64_usize).prop_map(Forget),
        2 => (0..64_usize).prop_map(Undo),
        1 => (0..64_usize).prop_map(ForgetForGood),
        1 => (0..64_usize).prop_map(Expire),
        1 => Just(Sweep),
        4 => Just(CatchUp),
        1 => Just(Rebuild),
        1 => Just(LoseIndex),
        1 => Just(Reopen),
        2 => Just(Crash),
        1 => Just(Backup),
        1 => Just(Restore),
    ];
    prop::collection::vec(step, 1..40)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Live,
    Forgotten,
    /// Its time is over; it is removed for good by the next sweep.
    Expired,
    Gone,
}

type Model = BTreeMap<RecordId, State>;

fn pick(model: &Model, number: usize, state: State) -> Option<RecordId> {
    let ids: Vec<RecordId> = model.iter().filter(|(_, s)| **s == state).map(|(id, _)| *id).collect();
    (!ids.is_empty()).then(|| ids[number % ids.len()])
}

struct World {
    folder: tempfile::TempDir,
    home: PathBuf,
    engine: Option<Engine>,
    model: Model,
    backup: Option<(PathBuf, Model)>,
    /// Counts what must have a name of its own.
    count: u32,
    ever_gone: BTreeSet<RecordId>,
}

impl World {
    fn new() -> World {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().join("home-0");
        let engine = Some(Engine::open(&home).unwrap());
        World { folder, home, engine, model: Model::new(), backup: None, count: 0, ever_gone: BTreeSet::new() }
    }

    fn engine(&self) -> &Engine {
        self.engine.as_ref().unwrap()
    }

    fn next(&mut self) -> u32 {
        self.count += 1;
        self.count
    }

    fn sweep(&mut self) {
        let undo_until = Timestamp::now() + SignedDuration::from_hours(24);
        self.engine().sweep(&[], Timestamp::now(), undo_until, &mut |_, _| true).unwrap();
        self.model.values_mut().filter(|state| **state == State::Expired).for_each(|state| *state = State::Gone);
    }

    fn step(&mut self, step: &Step) {
        let later = Timestamp::now() + SignedDuration::from_hours(24);
        let past = Timestamp::now() - SignedDuration::from_secs(1);
        match *step {
            Step::Write(count) => {
                for _ in 0..count {
                    let number = self.next();
                    let text = format!(
                        "zebra {number}: the pool of shard {} held {} connections 连接池",
                        number * 7,
                        number * 13
                    );
                    let note = Record::new(Scope::parse("ana").unwrap(), "test", Origin::User, Note::new(text));
                    let admitted = self.engine().intake().admit_one(note).unwrap();
                    let id = self.engine().store().put(vec![admitted]).unwrap()[0].id();
                    self.model.insert(id, State::Live);
                }
            }
            Step::Tag(number) => {
                let Some(id) = pick(&self.model, number, State::Live) else { return };
                let patch = Patch { tags: Some(vec![self.next().to_string()]), ..Patch::default() };
                self.engine().store().update(id, patch).unwrap();
            }
            Step::Forget(number) => {
                let Some(id) = pick(&self.model, number, State::Live) else { return };
                self.engine().store().forget(&[id], later).unwrap();
                self.model.insert(id, State::Forgotten);
            }
            Step::Undo(number) => {
                let Some(id) = pick(&self.model, number, State::Forgotten) else { return };
                self.engine().store().undo_forget(id).unwrap();
                self.model.insert(id, State::Live);
            }
            Step::ForgetForGood(number) => {
                let Some(id) = pick(&self.model, number, State::Live) else { return };
                self.engine().store().forget(&[id], past).unwrap();
                self.sweep();
                self.engine().store().undo_forget(id).unwrap_err();
                self.model.insert(id, State::Gone);
            }
            Step::Expire(number) => {
                let Some(id) = pick(&self.model, number, State::Live) else { return };
                let patch = Patch { expires_at: Some(Some(past)), ..Patch::default() };
                self.engine().store().update(id, patch).unwrap();
                self.model.insert(id, State::Expired);
            }
            Step::Sweep => self.sweep(),
            Step::CatchUp => self.engine().catch_up(&mut |_, _| true).unwrap(),
            Step::Rebuild => self.engine().rebuild(&mut |_, _| true).unwrap(),
            Step::LoseIndex => {
                self.engine = None;
                let _ = fs::remove_dir_all(self.home.join("index"));
                self.engine = Some(Engine::open(&self.home).unwrap());
            }
            Step::Reopen => {
                self.engine = None;
                self.engine = Some(Engine::open(&self.home).unwrap());
            }
            Step::Crash => {
                let number = self.next();
                let after = self.folder.path().join(format!("home-{number}"));
                copy(&self.home, &after);
                self.engine = None;
                fs::remove_dir_all(&self.home).unwrap();
                self.home = after;
                self.engine = Some(Engine::open(&self.home).unwrap());
                assert_eq!(self.engine().store().lost_tail().unwrap(), None);
            }
            Step::Backup => {
                let number = self.next();
                let path = self.folder.path().join(format!("copy-{number}.db"));
                self.engine().store().back_up(&path, &mut |_, _| true).unwrap();
                self.backup = Some((path, self.model.clone()));
            }
            Step::Restore => {
                let Some((path, mut model)) = self.backup.clone() else { return };
                // Each restore keeps what was there under the time of it.
                let now = Timestamp::UNIX_EPOCH + SignedDuration::from_secs(i64::from(self.next()));
                restore(&self.home, &path, now, &mut |_, _| true).unwrap();
                // What was forgotten since stays forgotten.
                for (id, state) in &self.model {
                    let kept = model.entry(*id).or_insert(State::Gone);
                    match (*kept, *state) {
                        (State::Live | State::Expired, State::Forgotten) => *kept = State::Forgotten,
                        (_, State::Gone) => *kept = State::Gone,
                        _ => {}
                    }
                }
                // What was written since is not there any more; whether it was forgotten does not matter then.
                let there = self.backup.as_ref().map(|(_, model)| model.clone()).unwrap_or_default();
                model.retain(|id, _| there.contains_key(id));
                self.model = model;
            }
        }
    }

    fn check(&mut self, after: &Step) {
        let query = Query { mode: Mode::Text, limit: 500, ..Query::new("zebra") };
        let answer = self.engine().recall(&query, &ReadSet::everything()).unwrap();
        let found: BTreeSet<RecordId> = answer.hits.iter().map(|hit| hit.id).collect();
        let live: BTreeSet<RecordId> =
            self.model.iter().filter(|(_, state)| **state == State::Live).map(|(id, _)| *id).collect();
        assert_eq!(found, live, "after {after:?}: {:?}", answer.degraded);
        self.ever_gone.extend(self.model.iter().filter(|(_, state)| **state == State::Gone).map(|(id, _)| *id));
        assert!(self.ever_gone.is_disjoint(&found), "one that is gone came back after {after:?}");
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().flatten() {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else if !entry.file_name().to_string_lossy().ends_with("-shm") {
            let _ = fs::copy(entry.path(), target);
        }
    }
}

fn cases() -> u32 {
    if std::env::var("HARNESS_TEST_ROUNDS").is_ok_and(|rounds| rounds == "full") { 200 } else { 6 }
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 100, ..ProptestConfig::with_cases(cases()) })]
    #[test]
    fn whatever_is_done_what_is_found_is_what_is_live(steps in steps()) {
        let mut world = World::new();
        for step in &steps {
            world.step(step);
            world.check(step);
        }
        let order = |engine: &Engine| -> Vec<RecordId> {
            let query = Query { mode: Mode::Text, limit: 500, ..Query::new("zebra pool of shard") };
            engine.recall(&query, &ReadSet::everything()).unwrap().hits.iter().map(|hit| hit.id).collect()
        };
        let before = order(world.engine());
        world.engine().rebuild(&mut |_, _| true).unwrap();
        prop_assert_eq!(order(world.engine()), before, "the order is that of a rebuild");
        prop_assert_eq!(world.engine().store().check(&mut |_, _| true).unwrap(), []);
        prop_assert!(world.engine().verify(&mut |_, _| true).unwrap().is_empty());
    }
}

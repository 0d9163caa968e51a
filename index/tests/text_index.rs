//! Promises of the text index over the SQLite store.

#![expect(clippy::unwrap_used, reason = "the helpers of these tests stop them as the tests themselves do")]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use harness_index::index::contract;
use harness_index::{Beside, FollowLock, Found, Index, Search, State, TextIndex, catch_up, follow};
use harness_memory::{
    Intake, Lookup, Message, MessageForm, Note, Origin, ReadSet, Record, RecordId, Role, Row, Scope, SqliteStore, Store,
};
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use tempfile::TempDir;

struct Home {
    folder: TempDir,
    store: SqliteStore,
}

impl Home {
    fn new() -> Home {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(folder.path()).unwrap();
        Home { folder, store }
    }

    /// A home with these notes, indexed in so many commits.
    fn with(notes: &[String], commits: usize) -> (Home, TextIndex) {
        let home = Home::new();
        let mut index = home.index();
        for part in notes.chunks(notes.len().div_ceil(commits)) {
            home.put_all(part);
            home.follow(&mut index);
        }
        index.settle().unwrap();
        (home, index)
    }

    fn root(&self) -> PathBuf {
        self.folder.path().join("index")
    }

    fn index(&self) -> TextIndex {
        TextIndex::new(&self.root())
    }

    fn follow(&self, index: &mut TextIndex) {
        catch_up(&self.store, index, &mut |_, _| true).unwrap();
    }

    fn put(&self, body: impl Into<harness_memory::Body>) -> RecordId {
        let record = Record::new(Scope::parse("ana").unwrap(), "test", Origin::User, body);
        self.store.put(vec![Intake::new().admit_one(record).unwrap()]).unwrap()[0].id()
    }

    fn put_all(&self, notes: &[String]) -> Vec<RecordId> {
        notes.iter().map(|text| self.put(Note::new(text))).collect()
    }

    fn find(&self, index: &TextIndex, text: &str) -> Found {
        index.search(&self.store, &Search::new(text, &ReadSet::everything(), 10)).unwrap()
    }

    fn rows(&self, index: &TextIndex, text: &str) -> Vec<Row> {
        self.find(index, text).candidates.iter().map(|candidate| candidate.row).collect()
    }

    fn files(&self) -> Vec<PathBuf> {
        files(&self.root())
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() { all.extend(files(&path)) } else { all.push(path) }
    }
    all.sort();
    all
}

fn notes(count: usize) -> Vec<String> {
    const WORDS: [&str; 12] = [
        "deploy",
        "数据库",
        "迁移",
        "cache",
        "ログイン",
        "배포",
        "failed",
        "令牌",
        "retry",
        "password",
        "回滚",
        "server",
    ];
    let word = |i: usize, step: usize| WORDS[(i * step + i / 7) % WORDS.len()];
    (0..count).map(|i| format!("{} {} {} {} number{i}", word(i, 1), word(i, 5), word(i, 7), word(i, 11))).collect()
}

const QUERIES: [&str; 6] =
    ["数据库 迁移", "deploy failed", "ログイン", "number17", "\"failed\" -cache", "배포 server 回滚"];

#[test]
fn the_text_index_keeps_the_contract() {
    let folders: std::cell::RefCell<Vec<TempDir>> = std::cell::RefCell::default();
    let place = || {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().to_owned();
        folders.borrow_mut().push(folder);
        path
    };
    contract::check(|| SqliteStore::open(&place()).unwrap(), || TextIndex::new(&place()));
}

#[test]
fn another_reader_sees_a_commit_and_a_write_at_once() {
    let (home, mut index) = Home::with(&notes(20), 2);
    let other = home.index();
    assert_eq!(home.find(&other, "number3").lag, 0);
    let id = home.put(Note::new("a heron in the pond"));
    let found = home.find(&other, "heron");
    assert_eq!((found.candidates.len(), found.lag), (1, 1));
    home.follow(&mut index);
    let found = home.find(&other, "heron");
    assert_eq!((found.candidates.len(), found.lag), (1, 0));
    home.store.forget(&[id], Timestamp::now() + SignedDuration::from_hours(1)).unwrap();
    assert!(home.find(&other, "heron").candidates.is_empty());
    home.follow(&mut index);
    assert!(home.find(&other, "heron").candidates.is_empty());
    assert_eq!(other.status().unwrap().documents, 20);
}

#[test]
fn a_rebuild_answers_the_same_while_the_old_index_answers() {
    let (home, mut index) = Home::with(&notes(200), 5);
    let reader = home.index();
    let before: Vec<Found> = QUERIES.iter().map(|query| home.find(&reader, query)).collect();
    let mut during = 0;
    index
        .rebuild(&home.store, &mut |_, _| {
            for (query, before) in QUERIES.iter().zip(&before) {
                assert_eq!(&home.find(&reader, query), before);
                during += 1;
            }
            true
        })
        .unwrap();
    assert!(during > 0);
    for (query, before) in QUERIES.iter().zip(&before) {
        assert_eq!(&home.find(&reader, query), before);
        assert_eq!(&home.find(&index, query), before);
    }
    assert_eq!(index.verify(&home.store, &mut |_, _| true).unwrap(), []);
}

#[test]
fn a_deleted_index_costs_time_and_nothing_else() {
    let (home, mut index) = Home::with(&notes(200), 3);
    let before: Vec<Found> = QUERIES.iter().map(|query| home.find(&index, query)).collect();
    let row = home.rows(&index, "number17")[0];
    fs::remove_dir_all(home.root()).unwrap();
    let reader = home.index();
    assert_eq!(reader.status().unwrap().state, State::Missing);
    assert_eq!(home.rows(&reader, "number17").first(), Some(&row), "the tail answers");
    home.follow(&mut index);
    for (query, before) in QUERIES.iter().zip(&before) {
        assert_eq!(&home.find(&reader, query), before);
        assert_eq!(&home.find(&index, query), before);
    }
}

/// Damages one file after another, and wants the right answers from a process that has just started, from one that
/// has the file open, and after the next time somebody follows.
fn no_damage_gives_a_wrong_answer(damage: impl Fn(&mut Vec<u8>, usize) -> bool, rounds: usize) {
    let (home, index) = Home::with(&notes(150), 2);
    drop(index);
    let good: Vec<Vec<Row>> = QUERIES.iter().map(|query| home.rows(&home.index(), query)).collect();
    let originals: Vec<(PathBuf, Vec<u8>)> =
        home.files().into_iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect();
    assert!(originals.len() > 5);
    let mut noticed = 0;
    for (path, original) in &originals {
        for round in 0..rounds {
            let open = home.index();
            home.rows(&open, QUERIES[0]);
            let mut bytes = original.clone();
            if !damage(&mut bytes, round) {
                continue;
            }
            fs::write(path, bytes).unwrap();
            // A process that has read a block before looks for changes from outside every 100 ms.
            std::thread::sleep(Duration::from_millis(110));
            for reader in [open, home.index()] {
                for (query, good) in QUERIES.iter().zip(&good) {
                    let found = home.find(&reader, query);
                    let rows: Vec<Row> = found.candidates.iter().map(|candidate| candidate.row).collect();
                    let tail_alone = found.cuts.iter().any(|cut| cut.code == "text-rebuild") || found.lag > 0;
                    noticed += usize::from(tail_alone);
                    // The tail covers all of this small store, and answers as the index does.
                    assert_eq!(&rows, good, "{query:?} with {} damaged, round {round}", path.display());
                }
            }
            let mut follower = home.index();
            home.follow(&mut follower);
            drop(follower);
            let reader = home.index();
            for (query, good) in QUERIES.iter().zip(&good) {
                assert_eq!(&home.rows(&reader, query), good, "{query:?} after {} was damaged", path.display());
            }
            // The same files again for the next round.
            fs::remove_dir_all(home.root()).unwrap();
            for (path, original) in &originals {
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, original).unwrap();
            }
        }
    }
    assert!(noticed > 0, "no damage was noticed at all");
}

#[test]
fn a_flipped_bit_gives_no_wrong_answer() {
    no_damage_gives_a_wrong_answer(
        |bytes, round| {
            let Some(last) = bytes.len().checked_sub(1) else { return false };
            let at = [last / 3, last / 2, last - last / 50, last][round];
            bytes[at] ^= 1 << (round % 8);
            true
        },
        4,
    );
}

#[test]
fn a_file_cut_short_gives_no_wrong_answer() {
    no_damage_gives_a_wrong_answer(
        |bytes, round| {
            let length = [0, bytes.len() / 2, bytes.len().saturating_sub(1)][round];
            let cut = length < bytes.len();
            bytes.truncate(length);
            cut
        },
        3,
    );
}

#[test]
fn a_missing_file_gives_no_wrong_answer() {
    let (home, index) = Home::with(&notes(150), 2);
    drop(index);
    let good: Vec<Vec<Row>> = QUERIES.iter().map(|query| home.rows(&home.index(), query)).collect();
    for name in home.files() {
        if !name.exists() {
            continue;
        }
        fs::remove_file(&name).unwrap();
        home.rows(&home.index(), QUERIES[0]);
        home.follow(&mut home.index());
        for (query, good) in QUERIES.iter().zip(&good) {
            assert_eq!(&home.rows(&home.index(), query), good, "{query:?} after {} was removed", name.display());
        }
    }
}

#[test]
fn verify_names_what_does_not_fit() {
    let (home, mut index) = Home::with(&notes(50), 2);
    home.put(Note::new("not applied yet is no finding"));
    assert_eq!(index.verify(&home.store, &mut |_, _| true).unwrap(), []);
    home.follow(&mut index);
    let row = match home.store.get(&[home.put(Note::new("applied without its text"))]).unwrap().pop() {
        Some(Lookup::Found(stored)) => stored.row,
        other => panic!("{other:?}"),
    };
    let position = home.store.head().unwrap();
    index.apply(&harness_index::Batch { rows: vec![row], live: Vec::new(), position, ahead: None }).unwrap();
    let findings = index.verify(&home.store, &mut |_, _| true).unwrap();
    assert_eq!(findings.iter().map(|finding| finding.code).collect::<Vec<_>>(), ["index-lacks-record"]);
}

#[test]
fn verify_finds_each_of_many_that_begin_with_the_same_words() {
    let home = Home::new();
    let said = "the heron waits by the old mill until the rain has passed and the water is clear again; ".repeat(2);
    // The shorter they are the higher they stand, so that most are no answer to the words that all begin with.
    for number in 0..200 {
        let note = Note::new(format!("{said}{}", "and then it waits on ".repeat(number)));
        let mut record = Record::new(Scope::parse("ana").unwrap(), "test", Origin::User, note);
        record.created_at = Timestamp::from_second(1_700_000_000 + number as i64).unwrap();
        home.store.put(vec![Intake::new().admit_one(record).unwrap()]).unwrap();
    }
    let mut index = home.index();
    home.follow(&mut index);
    assert_eq!(index.verify(&home.store, &mut |_, _| true).unwrap(), []);
}

#[test]
fn what_is_never_searched_is_never_found() {
    let home = Home::new();
    let mut turn = Message::new(Role::User, 0, "environment heron");
    turn.form = MessageForm::Scaffold;
    home.put(turn);
    let mut index = home.index();
    assert!(home.rows(&index, "heron").is_empty());
    home.follow(&mut index);
    assert!(home.rows(&index, "heron").is_empty());
    assert_eq!(index.verify(&home.store, &mut |_, _| true).unwrap(), []);
}

#[test]
fn a_follower_keeps_up_and_ends_when_there_is_nothing_to_do() {
    let home = Home::new();
    let lock = FollowLock::try_take(&home.root()).unwrap().unwrap();
    let stop = AtomicBool::new(false);
    let begin = Instant::now();
    std::thread::scope(|scope| {
        let following = scope.spawn(|| {
            let mut indexes: Vec<Box<dyn Index>> = vec![Box::new(home.index())];
            follow(&home.store, &mut indexes, &lock, Duration::from_millis(1_500), &stop, &Beside::nothing())
        });
        let reader = home.index();
        for text in notes(40) {
            home.put(Note::new(text));
            std::thread::sleep(Duration::from_millis(10));
        }
        while home.find(&reader, "number39").lag > 0 && begin.elapsed() < Duration::from_secs(30) {
            std::thread::sleep(Duration::from_millis(50));
        }
        assert_eq!(home.find(&reader, "number39").lag, 0);
        following.join().unwrap().unwrap();
        stop.store(true, Ordering::Relaxed);
    });
    assert_eq!(home.index().status().unwrap().documents, 40);
}

#[derive(Clone, Debug)]
enum Step {
    Put(usize),
    Forget(usize),
    Undo(usize),
    Follow,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        5 => (0usize..1_000).prop_map(Step::Put),
        2 => (0usize..40).prop_map(Step::Forget),
        1 => (0usize..40).prop_map(Step::Undo),
        2 => Just(Step::Follow),
    ];
    prop::collection::vec(step, 1..30)
}

/// How often a law is tried: often where time allows.
fn rounds(few: u32, full: u32) -> u32 {
    if std::env::var("HARNESS_TEST_ROUNDS").is_ok_and(|rounds| rounds == "full") { full } else { few }
}

/// Sentences of words in several scripts, many of them overlapping or parts of each other.
fn sentence() -> impl Strategy<Value = String> {
    const WORDS: [&str; 40] = [
        "数据库",
        "数据",
        "连接池",
        "连接",
        "接口",
        "部署",
        "回滚",
        "研究生",
        "研究",
        "生命",
        "起源",
        "上海",
        "海上",
        "自来水",
        "资料库",
        "資料庫",
        "連線",
        "備份",
        "伺服器",
        "的",
        "了",
        "在",
        "和",
        "データ",
        "ベース",
        "移行",
        "する",
        "배포",
        "서버를",
        "롤백",
        "deploy",
        "staging",
        "retry_backoff",
        "v1.2.3",
        "，",
        "。",
        " ",
        "2023年",
        "五月",
        "层",
    ];
    prop::collection::vec(prop::sample::select(&WORDS[..]), 1..16)
        .prop_map(|words| words.concat())
        .prop_filter("a note says something", |text| !text.trim().is_empty())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(rounds(12, 500)) })]

    #[test]
    fn records_in_the_tail_are_ordered_as_after_the_commit(
        texts in prop::collection::vec(sentence(), 2..40),
        queries in prop::collection::vec(sentence(), 6),
        split in any::<prop::sample::Index>(),
        gone in any::<prop::sample::Index>(),
    ) {
        let home = Home::new();
        let (mut follower, reader) = (home.index(), home.index());
        let split = split.index(texts.len());
        let ids = home.put_all(&texts[..split]);
        home.follow(&mut follower);
        if let Some(id) = ids.get(gone.index(texts.len())) {
            home.store.forget(&[*id], Timestamp::now() + SignedDuration::from_hours(1)).unwrap();
        }
        home.put_all(&texts[split..]);
        let ask = |reader: &TextIndex| -> Vec<Vec<(Row, u32)>> {
            let of = |query: &String| {
                let found = home.find(reader, query).candidates;
                found.iter().map(|candidate| (candidate.row, candidate.score.to_bits())).collect()
            };
            queries.iter().map(of).collect()
        };
        let before = ask(&reader);
        // A process that has just started answers the same.
        prop_assert_eq!(&ask(&home.index()), &before);
        home.follow(&mut follower);
        prop_assert_eq!(home.find(&reader, "x").lag, 0);
        prop_assert_eq!(&ask(&reader), &before);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(8) })]

    #[test]
    fn rebuilding_from_nothing_equals_following_step_by_step(steps in steps()) {
        let home = Home::new();
        let (mut grown, reader) = (home.index(), home.index());
        let (texts, mut ids) = (notes(1_000), Vec::new());
        for step in steps {
            match step {
                Step::Put(text) => ids.push(home.put(Note::new(&texts[text]))),
                Step::Forget(which) if which < ids.len() => {
                    home.store.forget(&[ids[which]], Timestamp::now() + SignedDuration::from_hours(1)).unwrap();
                }
                Step::Undo(which) if which < ids.len() => drop(home.store.undo_forget(ids[which])),
                Step::Follow => home.follow(&mut grown),
                Step::Forget(_) | Step::Undo(_) => {}
            }
            for query in &QUERIES[..2] {
                let live = home.find(&reader, query).candidates;
                let rows: Vec<Row> = live.iter().map(|candidate| candidate.row).collect();
                let found = home.store.get_rows(&rows).unwrap();
                prop_assert!(found.iter().all(|lookup| matches!(lookup, Lookup::Found(_))));
            }
        }
        home.follow(&mut grown);
        let folder = tempfile::tempdir().unwrap();
        let mut fresh = TextIndex::new(folder.path());
        home.follow(&mut fresh);
        for query in QUERIES {
            let (grown, fresh, read) = (home.rows(&grown, query), home.rows(&fresh, query), home.rows(&reader, query));
            prop_assert_eq!(&grown, &fresh);
            prop_assert_eq!(&grown, &read);
        }
        prop_assert_eq!(grown.verify(&home.store, &mut |_, _| true).unwrap(), vec![]);
    }
}

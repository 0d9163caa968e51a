//! Promises of the index of meaning over the SQLite store.

#![expect(clippy::unwrap_used, reason = "the helpers of these tests stop them as the tests themselves do")]

use std::path::Path;
use std::sync::Arc;

use harness_index::embed::HashingEmbedder;
use harness_index::index::contract;
use harness_index::{Index, MeaningIndex, Search, State, catch_up};
use harness_memory::{Intake, Note, Origin, ReadSet, Record, RecordId, Row, Scope, SqliteStore, Store};

/// Wide enough that two different words hardly ever share a dimension.
const DIMENSIONS: usize = 4_096;

fn open(folder: &Path) -> MeaningIndex {
    let embedder = Arc::new(HashingEmbedder::new(DIMENSIONS));
    MeaningIndex::new(&folder.join("index"), &folder.join("embeddings"), embedder)
}

#[test]
fn keeps_the_contract_of_an_index() {
    let root = tempfile::tempdir().unwrap();
    let mut count = 0;
    let mut next = |what: &str| {
        count += 1;
        let folder = root.path().join(format!("{what}{count}"));
        std::fs::create_dir(&folder).unwrap();
        folder
    };
    let next = std::cell::RefCell::new(&mut next);
    contract::check(
        || SqliteStore::open(&(next.borrow_mut())("store")).unwrap(),
        || open(&(next.borrow_mut())("index")),
    );
}

fn put(store: &SqliteStore, text: &str) -> RecordId {
    let record = Record::new(Scope::parse("ana").unwrap(), "test", Origin::User, Note::new(text));
    store.put(vec![Intake::new().admit_one(record).unwrap()]).unwrap()[0].id()
}

fn rows(store: &SqliteStore, index: &MeaningIndex, text: &str) -> Vec<Row> {
    let reads = ReadSet::everything();
    let found = index.search(store, &Search::new(text, &reads, 5)).unwrap();
    found.candidates.iter().map(|candidate| candidate.row).collect()
}

#[test]
fn a_long_record_is_answered_once_with_its_best_passage() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path()).unwrap();
    let filler = "The weather was fine and the team went for a walk along the river bank. ".repeat(30);
    let needle = "The staging certificate expires in October and must be renewed by hand. ".repeat(10);
    put(&store, &format!("{filler}{needle}{filler}"));
    put(&store, "something else entirely");
    let mut index = open(folder.path());
    catch_up(&store, &mut index, &mut |_, _| true).unwrap();
    let reads = ReadSet::everything();
    let found = index.search(&store, &Search::new("staging certificate expires October", &reads, 5)).unwrap();
    assert_eq!(found.candidates.iter().filter(|candidate| candidate.row == Row(1)).count(), 1);
    let best = &found.candidates[0];
    let stored = store.get_rows(&[best.row]).unwrap().remove(0).found().unwrap();
    let range = harness_index::meaning::passage_of(&stored.record, best.passage.unwrap()).unwrap();
    assert!(stored.record.text()[range].contains("certificate"));
}

#[test]
fn nothing_is_embedded_twice_and_damage_costs_no_embedding() {
    use harness_index::embed::{Embedder, Languages, Purpose};
    use std::sync::atomic::{AtomicUsize, Ordering};

    struct Counting(HashingEmbedder, AtomicUsize);
    impl Embedder for Counting {
        fn id(&self) -> &str {
            self.0.id()
        }
        fn dimensions(&self) -> usize {
            self.0.dimensions()
        }
        fn languages(&self) -> &Languages {
            self.0.languages()
        }
        fn tokens_max(&self) -> usize {
            self.0.tokens_max()
        }
        fn embed(&self, purpose: Purpose, texts: &[&str]) -> harness_index::embed::Result<Vec<Vec<f32>>> {
            if purpose == Purpose::Passage {
                self.1.fetch_add(texts.len(), Ordering::Relaxed);
            }
            self.0.embed(purpose, texts)
        }
        fn unknown_share(&self, text: &str) -> f32 {
            self.0.unknown_share(text)
        }
    }

    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path()).unwrap();
    for number in 0..300 {
        put(&store, &format!("message number {number} about build {}", number * 7));
        put(&store, "ok, thanks");
    }
    let embedder = Arc::new(Counting(HashingEmbedder::new(DIMENSIONS), AtomicUsize::new(0)));
    let open = || MeaningIndex::new(&folder.path().join("index"), &folder.path().join("embeddings"), embedder.clone());
    // Stopped in the middle again and again, as by a kill: what was embedded is kept.
    let mut rounds = 0;
    loop {
        let mut index = open();
        index.watch(Box::new(|_| false));
        rounds += 1;
        match catch_up(&store, &mut index, &mut |_, _| true) {
            Ok(_) => break,
            Err(error) => assert!(matches!(error, harness_index::Error::Stopped), "{error}"),
        }
    }
    assert!(rounds > 3);
    assert_eq!(embedder.1.load(Ordering::Relaxed), 301);
    let index = open();
    assert_eq!(index.status().unwrap().documents, 600);
    let expected = rows(&store, &index, "message number 77 about build 539");
    drop(index);

    let vectors = std::fs::read_dir(folder.path().join("index")).unwrap().next().unwrap().unwrap().path();
    for file in ["facts", "generation-000001/keys.log", "generation-000001/head.json", "generation-000001/rows.meta"] {
        let path = std::fs::read_dir(&vectors).unwrap().map(|entry| entry.unwrap().path());
        let generation = path.filter(|path| path.to_string_lossy().contains("generation-")).max().unwrap();
        let path = match file.split_once('/') {
            Some((_, name)) => generation.join(name),
            None => vectors.join(file),
        };
        let mut bytes = std::fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(&path, bytes).unwrap();
        let mut index = open();
        let reads = ReadSet::everything();
        let found = index.search(&store, &Search::new("message number 77", &reads, 5)).unwrap();
        assert_eq!(found.cuts.first().map(|cut| cut.code), Some("vector-rebuild"), "{file}");
        assert!(matches!(index.status().unwrap().state, State::Damaged { .. }), "{file}");
        let before = embedder.1.load(Ordering::Relaxed);
        catch_up(&store, &mut index, &mut |_, _| true).unwrap();
        assert_eq!(embedder.1.load(Ordering::Relaxed), before, "{file}: embedded again");
        assert_eq!(rows(&store, &index, "message number 77 about build 539"), expected, "{file}");
        assert_eq!(index.status().unwrap().state, State::Ready, "{file}");
    }
}

#[test]
fn a_backlog_is_taken_over_newest_first_and_who_is_interrupted_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path()).unwrap();
    for number in 0..700 {
        put(&store, &format!("message number {number} about build {}", number * 7));
    }
    let mut index = open(folder.path());
    let stopped = catch_up(&store, &mut index, &mut |_, _| false);
    assert!(matches!(stopped, Err(harness_index::Error::Stopped)));
    drop(index);
    let index = open(folder.path());
    let status = index.status().unwrap();
    assert_eq!((status.applied.unwrap().seq, status.ahead, status.documents), (0, 128, 128));
    let reads = ReadSet::everything();
    let found = index.search(&store, &Search::new("message number 699 about build 4893", &reads, 5)).unwrap();
    assert_eq!((found.candidates[0].row, found.lag, found.unsearched), (Row(700), 572, 572));
    // What is written meanwhile goes before what is old, and what was forgotten meanwhile is not found.
    drop(index);
    let newest = put(&store, "the heron stood in the pond");
    let old = store.get_rows(&[Row(3)]).unwrap().remove(0).found().unwrap().record.id;
    store.forget(&[old], jiff::Timestamp::now() + jiff::SignedDuration::from_hours(1)).unwrap();
    let mut index = open(folder.path());
    let mut rounds = 0;
    while let Err(error) = catch_up(&store, &mut index, &mut |_, _| false) {
        assert!(matches!(error, harness_index::Error::Stopped), "{error}");
        drop(index);
        rounds += 1;
        index = open(folder.path());
        if rounds == 1 {
            let status = index.status().unwrap();
            assert_eq!((status.applied.unwrap().seq, status.ahead), (0, 130));
        }
    }
    assert_eq!(rounds, 6);
    let status = index.status().unwrap();
    assert_eq!((status.applied, status.ahead), (Some(store.head().unwrap()), 0));
    assert_eq!(status.documents, 700);
    let newest = store.get(&[newest]).unwrap().remove(0).found().unwrap().row;
    assert_eq!(rows(&store, &index, "heron in the pond")[0], newest);
    assert!(!rows(&store, &index, "message number 2 about build 14").contains(&Row(3)));
    // Built so, it answers as one that followed from the beginning.
    let mut plain = MeaningIndex::new(
        &folder.path().join("other"),
        &folder.path().join("embeddings"),
        Arc::new(HashingEmbedder::new(DIMENSIONS)),
    );
    drop(index);
    catch_up(&store, &mut plain, &mut |_, _| true).unwrap();
    plain.settle().unwrap();
    let index = open(folder.path());
    for text in ["message number 350", "build 77", "the heron"] {
        // Which of equally good records is the last that is shown may differ.
        let scores = |index: &MeaningIndex| -> Vec<f32> {
            let found = index.search(&store, &Search::new(text, &reads, 5)).unwrap();
            found.candidates.iter().map(|candidate| candidate.score).collect()
        };
        assert_eq!(scores(&index), scores(&plain), "{text}");
    }
}

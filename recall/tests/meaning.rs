//! What recall by meaning promises, through the engine as callers see it: with a tiny model that lies beside the
//! encoder, and knows nothing, but its vectors are its own.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use harness_index::embed::source::ModelFiles;
use harness_memory::{Answer, Mode, Note, Origin, Query, ReadSet, Record, RecordId, Scope, Store};
use harness_recall::models::{choose_model, model_folder};
use harness_recall::{Engine, Error};

/// A sentence that the tiny model reads, and others.
const NEEDLE: &str = "the heron stood in the pond behind the office";

fn install(home: &Path, name: &str) {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("../index/tests/fixtures/tiny-xlm-r");
    ModelFiles::open(&[&fixture]).unwrap().install(&model_folder(home, name), name, &[]).unwrap();
}

fn write(engine: &Engine, text: &str) -> RecordId {
    let record = Record::new(Scope::parse("ana").unwrap(), "test", Origin::User, Note::new(text));
    engine.store().put(vec![engine.intake().admit_one(record).unwrap()]).unwrap()[0].id()
}

fn fill(engine: &Engine, count: usize) -> RecordId {
    for number in 0..count {
        write(engine, &format!("build {number} of the shop took {} minutes", number * 7));
    }
    write(engine, NEEDLE)
}

fn ask(engine: &Engine, mode: Mode) -> Result<Answer, Error> {
    engine.recall(&Query { mode, ..Query::new(NEEDLE) }, &ReadSet::everything())
}

fn code(answer: &Answer) -> Option<&str> {
    answer.degraded.iter().find(|part| part.arm == "vector").map(|part| part.code.as_str())
}

/// Runs `test` while another engine of the same home follows.
fn followed<T>(home: &Path, test: impl FnOnce() -> T) -> T {
    let (follower, stop) = (Engine::open(home).unwrap(), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let following = scope.spawn(|| follower.follow(Duration::from_secs(60), &stop));
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(test));
        stop.store(true, Ordering::Relaxed);
        assert!(following.join().unwrap().unwrap());
        outcome.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

fn wait_for(what: &str, mut done: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !done() {
        assert!(begin.elapsed() < Duration::from_secs(120), "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn vector_lag(engine: &Engine) -> Option<u64> {
    let status = engine.index_status().unwrap();
    status.iter().find(|index| index.name == "vector").map(|index| index.lag)
}

#[test]
#[cfg(unix)]
fn who_follows_makes_way_for_who_rebuilds() {
    let home = tempfile::tempdir().unwrap();
    let (engine, follower) = (Engine::open(home.path()).unwrap(), Engine::open(home.path()).unwrap());
    write(&engine, NEEDLE);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let following = scope.spawn(|| follower.follow(Duration::from_secs(3_600), &stop));
        wait_for("somebody follows", || harness_index::follower(&home.path().join("index")).is_some());
        let rebuilt = engine.rebuild(&mut |_, _| true);
        stop.store(true, Ordering::Relaxed);
        rebuilt.unwrap();
        assert!(following.join().unwrap().unwrap());
    });
    assert_eq!(ask(&engine, Mode::Text).unwrap().hits.len(), 1);
}

#[test]
fn without_a_model_text_answers_and_says_so_and_meaning_alone_is_an_error() {
    let home = tempfile::tempdir().unwrap();
    let engine = Engine::open(home.path()).unwrap();
    let id = write(&engine, NEEDLE);
    let answer = ask(&engine, Mode::Hybrid).unwrap();
    assert_eq!((answer.hits[0].id, code(&answer)), (id, Some("no-model")));
    assert!(matches!(ask(&engine, Mode::Vector), Err(Error::NoModel)));
    assert_eq!(code(&ask(&engine, Mode::Text).unwrap()), None);
    assert!(!engine.has_embedder() && !engine.wants_a_holder());
}

#[test]
fn one_process_holds_the_model_and_others_ask_it() {
    let home = tempfile::tempdir().unwrap();
    let engine = Engine::open(home.path()).unwrap();
    let id = fill(&engine, 30);
    install(home.path(), "tiny");
    let answer = ask(&engine, Mode::Hybrid).unwrap();
    assert_eq!((answer.hits[0].id, code(&answer)), (id, Some("no-holder")), "text answers meanwhile");
    assert!(engine.wants_a_holder());
    assert!(matches!(ask(&engine, Mode::Vector), Err(Error::NoHolder)));
    followed(home.path(), || {
        wait_for("the follower embeds", || vector_lag(&engine) == Some(0));
        let answer = ask(&engine, Mode::Vector).unwrap();
        assert_eq!((answer.hits[0].id, answer.lag["vector"]), (id, 0));
        assert!(answer.hits[0].why.contains_key("vector"));
        let answer = ask(&engine, Mode::Hybrid).unwrap();
        assert_eq!((answer.hits[0].id, code(&answer)), (id, None));
        // What is written now is embedded behind the text.
        let text = "a stork walked over the meadow";
        let newer = write(&engine, text);
        wait_for("the follower embeds what is new", || vector_lag(&engine) == Some(0));
        let query = Query { mode: Mode::Vector, ..Query::new(text) };
        assert_eq!(engine.recall(&query, &ReadSet::everything()).unwrap().hits[0].id, newer);
    });
    // It has left; whoever may load the model does so.
    let fresh = Engine::open(home.path()).unwrap();
    assert!(matches!(ask(&fresh, Mode::Vector), Err(Error::NoHolder)));
    assert_eq!(ask(&fresh.with_own_model(), Mode::Vector).unwrap().hits[0].id, id);
}

#[test]
fn paused_nothing_is_embedded_and_resumed_it_goes_on() {
    let home = tempfile::tempdir().unwrap();
    let engine = Engine::open(home.path()).unwrap();
    fill(&engine, 30);
    install(home.path(), "tiny");
    engine.pause_embedding(true).unwrap();
    followed(home.path(), || {
        wait_for("text is followed", || engine.index_status().unwrap()[0].lag == 0);
        std::thread::sleep(Duration::from_millis(500));
        assert_eq!(vector_lag(&engine), Some(31));
        assert!(engine.index_status().unwrap()[1].paused);
        engine.pause_embedding(false).unwrap();
        wait_for("embedding goes on", || vector_lag(&engine) == Some(0));
    });
}

#[test]
fn the_old_vectors_answer_until_the_new_model_has_embedded_everything() {
    let home = tempfile::tempdir().unwrap();
    install(home.path(), "one");
    let engine = Engine::open(home.path()).unwrap().with_own_model();
    let id = fill(&engine, 200);
    engine.embed(&mut |_, _| true).unwrap();
    let vectors = || {
        let entries = fs::read_dir(home.path().join("index")).unwrap().map(|entry| entry.unwrap().file_name());
        entries.filter(|name| name.to_string_lossy().starts_with("vector-")).count()
    };
    install(home.path(), "two");
    choose_model(home.path(), "two").unwrap();
    let status = |engine: &Engine| engine.index_status().unwrap().remove(1);
    // The new one has begun, and stands nowhere near.
    assert!(matches!(engine.embed(&mut |_, _| false), Err(Error::Stopped)));
    for engine in [&engine, &Engine::open(home.path()).unwrap().with_own_model()] {
        let status = status(engine);
        assert_eq!((status.model.as_deref(), status.answered_by.as_deref()), (Some("two"), Some("one")));
        assert_eq!(vectors(), 2);
        let answer = ask(engine, Mode::Vector).unwrap();
        assert_eq!((answer.hits[0].id, answer.lag["vector"]), (id, 0), "the old one answers all");
    }
    followed(home.path(), || {
        wait_for("the new one stands alone", || vector_lag(&engine) == Some(0) && vectors() == 1);
    });
    let status = status(&engine);
    assert_eq!((status.model.as_deref(), status.answered_by), (Some("two"), None));
    for engine in [&engine, &Engine::open(home.path()).unwrap().with_own_model()] {
        assert_eq!(ask(engine, Mode::Vector).unwrap().hits[0].id, id);
    }
}

/// What happens to the bytes of a file.
type Damage = fn(&mut Vec<u8>);

/// The files of the one vector index, by name.
fn vector_files(home: &Path) -> Vec<PathBuf> {
    fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            match entry.is_dir() {
                true => walk(&entry, files),
                false => files.push(entry),
            }
        }
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(home.join("index")).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.file_name().unwrap().to_string_lossy().starts_with("vector-") {
            walk(&entry, &mut files);
        }
    }
    files.sort();
    files
}

#[test]
fn damaged_vector_files_are_named_and_made_anew_and_never_answer_wrongly() {
    let home = tempfile::tempdir().unwrap();
    install(home.path(), "tiny");
    let engine = Engine::open(home.path()).unwrap().with_own_model();
    let id = fill(&engine, 40);
    engine.embed(&mut |_, _| true).unwrap();
    let expected: Vec<RecordId> = ask(&engine, Mode::Vector).unwrap().hits.iter().map(|hit| hit.id).collect();
    drop(engine);
    let truncate: Damage = |bytes| bytes.truncate(bytes.len() / 2);
    let flip: Damage = |bytes| {
        let middle = bytes.len() / 2;
        bytes[middle] ^= 8;
    };
    let empty: Damage = |bytes| bytes.clear();
    let foreign: Damage = |bytes| *bytes = b"this is another program's file\n".repeat(20);
    let damages: [(&str, Damage); 4] =
        [("truncated", truncate), ("flipped", flip), ("empty", empty), ("foreign", foreign)];
    let files = vector_files(home.path()).into_iter().filter(|path| fs::metadata(path).unwrap().len() > 0);
    let names: Vec<String> = files.map(|path| path.file_name().unwrap().to_string_lossy().into_owned()).collect();
    assert!(names.iter().any(|name| name == "head.json") && names.len() > 4, "{names:?}");
    for name in &names {
        for (damage, make) in &damages {
            let files = vector_files(home.path());
            let path = files.iter().find(|path| path.file_name().unwrap().to_string_lossy() == *name).unwrap();
            let mut bytes = fs::read(path).unwrap();
            make(&mut bytes);
            fs::write(path, bytes).unwrap();
            let engine = Engine::open(home.path()).unwrap().with_own_model();
            // Text answers whatever happens, and a vector that is answered is the right one.
            assert_eq!(ask(&engine, Mode::Hybrid).unwrap().hits[0].id, id, "{name} {damage}");
            if let Some(first) = ask(&engine, Mode::Vector).unwrap().hits.first() {
                assert_eq!(first.id, id, "{name} {damage}");
            }
            engine.verify(&mut |_, _| true).unwrap();
            engine.embed(&mut |_, _| true).unwrap();
            engine.rebuild(&mut |_, _| true).unwrap();
            let found: Vec<RecordId> = ask(&engine, Mode::Vector).unwrap().hits.iter().map(|hit| hit.id).collect();
            assert_eq!(found, expected, "{name} {damage}");
            assert!(engine.verify(&mut |_, _| true).unwrap().is_empty(), "{name} {damage}");
        }
    }
}

#[test]
fn a_model_that_cannot_be_used_is_named_and_text_answers() {
    let home = tempfile::tempdir().unwrap();
    let engine = Engine::open(home.path()).unwrap();
    let id = fill(&engine, 3);
    for (file, bytes) in [
        ("model.safetensors", &b"not a model"[..]),
        ("model.safetensors", b""),
        ("tokenizer.json", b"{"),
        ("config.json", b"{\"hidden_size\": 1e99}"),
    ] {
        let _ = fs::remove_dir_all(model_folder(home.path(), "tiny"));
        install(home.path(), "tiny");
        fs::write(model_folder(home.path(), "tiny").join(file), bytes).unwrap();
        let engine = Engine::open(home.path()).unwrap().with_own_model();
        let answer = ask(&engine, Mode::Hybrid).unwrap();
        assert_eq!((answer.hits[0].id, code(&answer)), (id, Some("model-failed")), "{file}");
        let Err(Error::Model { reason }) = ask(&engine, Mode::Vector) else { panic!("{file}: no error") };
        assert!(reason.contains("tiny") && reason.contains(file), "{reason}");
        let findings = engine.verify(&mut |_, _| true).unwrap();
        assert!(findings.iter().any(|finding| finding.code == "model-failed"), "{file}");
        // Whoever follows goes on with text.
        followed(home.path(), || wait_for("text is followed", || engine.index_status().unwrap()[0].lag == 0));
    }
}

//! Whole models against reference vectors: a tiny XLM-R that lies beside this file, and the real
//! all-MiniLM-L6-v2 where it can be had.
//!
//! The real model is looked for in the folder (or wheel) that `HARNESS_TEST_MODEL` names, else in
//! `target/models/all-MiniLM-L6-v2`; without it these tests say by name that they were skipped.

#![allow(clippy::unwrap_used)]

use harness_index::embed::source::{self, ModelFiles};
use harness_index::embed::{
    BertEmbedder, Embedder, Error, OnnxEmbedder, OnnxRuntime, Options, Purpose, contract, gate,
};
use serde::Deserialize;
use std::io::Write;
use std::path::{Path, PathBuf};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

fn open(path: &Path) -> Result<BertEmbedder, Error> {
    BertEmbedder::open(&ModelFiles::open(&[path])?, &Options::default())
}

#[derive(Deserialize)]
struct Reference {
    text: String,
    ids: Vec<u32>,
    vector: Vec<f64>,
}

fn cosine(a: &[f64], b: &[f32]) -> f64 {
    let dot = |a: &mut dyn Iterator<Item = (f64, f64)>| a.map(|(x, y)| x * y).sum::<f64>();
    let length = dot(&mut a.iter().map(|&x| (x, x))).sqrt();
    dot(&mut a.iter().zip(b).map(|(&x, &y)| (x, f64::from(y)))) / length
}

/// Compares with a list of references, in one call and in calls of one.
fn agrees(embedder: &BertEmbedder, references: &[Reference]) {
    let texts: Vec<&str> = references.iter().map(|reference| reference.text.as_str()).collect();
    let together = embedder.embed(Purpose::Passage, &texts).unwrap();
    for (reference, vector) in references.iter().zip(&together) {
        let start: String = reference.text.chars().take(40).collect();
        assert_eq!(embedder.token_ids(Purpose::Passage, &reference.text), reference.ids, "{start:?}");
        let cosine = cosine(&reference.vector, vector);
        assert!(cosine > 0.9999, "{start:?}: {cosine}");
    }
}

fn references(path: &Path) -> Vec<Reference> {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

#[test]
fn a_tiny_xlm_r_agrees_with_its_reference_vectors() {
    let embedder = open(&fixture("tiny-xlm-r")).unwrap();
    assert_eq!(embedder.dimensions(), 24);
    assert_eq!(embedder.tokens_max(), 64, "two of 66 positions are not for tokens");
    agrees(&embedder, &references(&fixture("tiny-xlm-r/reference.json")));
}

#[test]
fn a_tiny_xlm_r_keeps_the_contract() {
    contract::check(&open(&fixture("tiny-xlm-r")).unwrap());
}

#[test]
fn a_unigram_vocabulary_counts_unknown_characters() {
    let embedder = open(&fixture("tiny-xlm-r")).unwrap();
    assert_eq!(embedder.unknown_share("the disk was full"), 0.0);
    assert!(embedder.unknown_share("龘龘龘龘龘龘龘龘") > 0.8);
}

/// Says that a test was skipped: past the test runner, which keeps what passing tests print to itself.
fn skipped(test: &str, why: &str) {
    let _ = writeln!(std::io::stderr(), "skipped: {test}: {why}");
}

/// The real model, or nothing and a line that says so.
fn real(test: &str) -> Option<PathBuf> {
    let named = std::env::var_os("HARNESS_TEST_MODEL").map(PathBuf::from);
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/models/all-MiniLM-L6-v2");
    let path = named.or_else(|| target.is_dir().then_some(target));
    if path.is_none() {
        skipped(test, "no model, get it with `harness setup` and name its folder in HARNESS_TEST_MODEL");
    }
    path
}

#[test]
fn mini_lm_agrees_with_its_reference_vectors() {
    let Some(path) = real("mini_lm_agrees_with_its_reference_vectors") else { return };
    let embedder = open(&path).unwrap();
    assert_eq!((embedder.dimensions(), embedder.tokens_max()), (384, 512));
    assert!(embedder.id().starts_with("all-MiniLM-L6-v2 53aa5117"), "{}", embedder.id());
    assert!(embedder.id().contains(" mean "), "{}", embedder.id());
    agrees(&embedder, &references(&fixture("mini-lm-reference.json")));
}

#[test]
fn mini_lm_keeps_the_contract_on_two_threads() {
    let Some(path) = real("mini_lm_keeps_the_contract_on_two_threads") else { return };
    let threads = std::num::NonZeroUsize::new(2).unwrap();
    let files = ModelFiles::open(&[&path]).unwrap();
    contract::check(&BertEmbedder::open(&files, &Options { threads, ..Options::default() }).unwrap());
}

#[test]
fn mini_lm_finds_an_answer_that_shares_no_word_with_the_question() {
    let Some(path) = real("mini_lm_finds_an_answer_that_shares_no_word_with_the_question") else { return };
    let embedder = open(&path).unwrap();
    let notes = [
        "The cat prefers sleeping on the warm windowsill.",
        "Invoices are paid within thirty days.",
        "The server ran out of storage, so the release was rolled back.",
    ];
    let notes = embedder.embed(Purpose::Passage, &notes).unwrap();
    let query = embedder.embed(Purpose::Query, &["why did deployment fail? disk full"]).unwrap();
    let dot = |a: &[f32]| -> f32 { a.iter().zip(&query[0]).map(|(x, y)| x * y).sum() };
    assert!(dot(&notes[2]) > dot(&notes[0]) + 0.2 && dot(&notes[2]) > dot(&notes[1]) + 0.2);
}

#[test]
fn mini_lm_says_what_it_does_not_understand() {
    let Some(path) = real("mini_lm_says_what_it_does_not_understand") else { return };
    let embedder = open(&path).unwrap();
    assert!(gate::understood(&embedder, "why does tokio's runtime panic with ECONNREFUSED?") > 0.95);
    for foreign in ["디스크가 가득 찼습니다", "磁盘已满怎么办", "Почему диск заполнен?"]
    {
        assert!(gate::understood(&embedder, foreign) < 0.1, "{foreign}");
    }
    let mixed = gate::understood(&embedder, "怎么配置 kubernetes ingress controller");
    assert!((gate::UNDERSTOOD_MIN..0.9).contains(&mixed), "{mixed}");
}

#[test]
fn known_weights_with_a_foreign_tokenizer_are_refused() {
    let Some(path) = real("known_weights_with_a_foreign_tokenizer_are_refused") else { return };
    let home = tempfile::tempdir().unwrap();
    ModelFiles::open(&[&path]).unwrap().install(home.path(), "mine", &[]).unwrap();
    std::fs::remove_file(home.path().join(source::MANIFEST)).unwrap();
    let tokenizer = home.path().join(source::TOKENIZER);
    let text = std::fs::read_to_string(&tokenizer).unwrap().replace("\"hello\"", "\"hellp\"");
    std::fs::write(&tokenizer, text).unwrap();
    assert!(matches!(open(home.path()), Err(Error::Checksum { path, .. }) if path == tokenizer));
}

/// ONNX Runtime from the file that `HARNESS_TEST_ONNXRUNTIME` names, or nothing and a line that says so.
fn onnx_runtime(test: &str) -> Option<OnnxRuntime> {
    let Some(path) = std::env::var_os("HARNESS_TEST_ONNXRUNTIME") else {
        skipped(test, "no ONNX Runtime, get it with `harness setup --fast` and name it in HARNESS_TEST_ONNXRUNTIME");
        return None;
    };
    Some(OnnxRuntime::load(Path::new(&path)).unwrap())
}

#[test]
fn onnx_runtime_and_the_built_in_encoder_agree() {
    const NAME: &str = "onnx_runtime_and_the_built_in_encoder_agree";
    let Some(runtime) = onnx_runtime(NAME) else { return };
    let mut models = vec![fixture("tiny-xlm-r")];
    models.extend(real(NAME));
    let lengths = [1, 2, 7, 30, 100, 250, 700];
    let long = lengths.map(|words| "the disk of the build server was full again 磁盘 ".repeat(words / 8 + 1));
    let texts =
        ["", "a", "why did the deploy fail?", "部署失败，磁盘已满", "디스크가 가득 찼습니다", "x = y_z + 0x1F;"];
    let texts: Vec<&str> = texts.into_iter().chain(long.iter().map(String::as_str)).collect();
    for model in models {
        let files = ModelFiles::open(&[&model]).unwrap();
        let onnx = OnnxEmbedder::open(&runtime, &files, &Options::default()).unwrap();
        let own = BertEmbedder::open(&files, &Options::default()).unwrap();
        assert_eq!(onnx.id(), own.id(), "the same vectors have the same id");
        for purpose in [Purpose::Query, Purpose::Passage] {
            let (theirs, ours) = (onnx.embed(purpose, &texts).unwrap(), own.embed(purpose, &texts).unwrap());
            for ((text, a), b) in texts.iter().zip(&theirs).zip(&ours) {
                let cosine: f64 = a.iter().zip(b).map(|(&x, &y)| f64::from(x) * f64::from(y)).sum();
                let start: String = text.chars().take(40).collect();
                assert!(cosine > 0.9999, "{}: {start:?}: {cosine}", model.display());
            }
        }
        if !model.join("tokenizer_config.json").exists() {
            // The small model: a real one takes long on what the contract asks.
            contract::check(&onnx);
        }
    }
}

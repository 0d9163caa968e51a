//! The paraphrase sets: what they promise, and that meaning finds what they ask for.
//!
//! Tests with real models take the folder of all-MiniLM-L6-v2 from `HARNESS_TEST_MODEL` and that of a multilingual
//! model from `HARNESS_TEST_MULTILINGUAL_MODEL`; without it they say by name that they were skipped.
//!
//! `paraphrases-en`, `paraphrases-zh`: 50 notes each that a question asks for in other words, among 200 others.
//! `paraphrases-messages`: 60 messages of 2,000, each asked for in other words and literally; `messages` makes it.

#![allow(clippy::unwrap_used, reason = "a test ends where something is not as expected")]

mod messages;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::PathBuf;

use harness_index::embed::source::ModelFiles;
use harness_index::embed::{BertEmbedder, Embedder, Options, Purpose};
use harness_index::text::{Analyzer, Query};
use serde_json::Value;

fn data(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(format!("paraphrases-{name}.jsonl"))
}

/// The one haystack of a set.
fn haystack(name: &str) -> Value {
    let lines = std::fs::read_to_string(data(name)).unwrap();
    assert_eq!(lines.lines().count(), 1);
    serde_json::from_str(&lines).unwrap()
}

/// English words that stand between others and say nothing; the search itself leaves out fewer of them.
const BETWEEN: &str = "a after again all and any at be because before between both but by does during each every for \
    from get give has her his how in into its long make most must new no nobody not of off on one only or our out over \
    should since so some somebody still than that the their them there these they this those to too two until was we \
    were what when where which while who whose why will with without would year";

/// Every question with its category and the texts that answer it.
fn questions(haystack: &Value) -> Vec<(&str, &str, Vec<&str>)> {
    let docs = haystack["docs"].as_array().unwrap();
    let texts: BTreeMap<&str, &str> =
        docs.iter().map(|doc| (doc["id"].as_str().unwrap(), doc["text"].as_str().unwrap())).collect();
    assert_eq!(texts.len(), docs.len(), "ids are unique");
    let queries = haystack["queries"].as_array().unwrap();
    let gold = |query: &Value| {
        let ids = query["gold"].as_array().unwrap().iter();
        ids.map(|id| texts[id.as_str().unwrap()]).collect()
    };
    queries.iter().map(|q| (q["text"].as_str().unwrap(), q["category"].as_str().unwrap_or(""), gold(q))).collect()
}

/// The words that a question and a text share, as the search sees words: stemmed, split, folded. Of Chinese, pairs
/// of characters and more; single ones are shared by any two sentences.
fn shared(question: &str, text: &str) -> Vec<String> {
    let mut terms = BTreeSet::new();
    let mut analyzer = Analyzer::new();
    analyzer.document(text, &mut |term| {
        terms.insert(term.to_owned());
    });
    let mut between = BTreeSet::new();
    analyzer.document(BETWEEN, &mut |term| {
        between.insert(term.to_owned());
    });
    let query = Query::parse(question);
    let asked = query.terms().iter().map(|term| term.term.clone());
    let says = |term: &String| term.chars().count() > 1 && !between.contains(term);
    asked.filter(|term| says(term) && terms.contains(term)).collect()
}

#[test]
fn no_question_shares_a_content_word_with_its_answer() {
    let mut found = Vec::new();
    for name in ["en", "zh", "messages"] {
        let haystack = haystack(name);
        let mut asked = 0;
        for (question, category, gold) in questions(&haystack) {
            assert_eq!(gold.len(), 1, "{question}");
            if category == "literal" {
                continue;
            }
            asked += 1;
            let shared = shared(question, gold[0]);
            if !shared.is_empty() {
                found.push(format!("{shared:?}: {question} | {}", gold[0]));
            }
        }
        let docs = haystack["docs"].as_array().unwrap().len();
        match name {
            "messages" => assert_eq!((asked, docs), (60, 2_000)),
            _ => assert!(asked == 50 && docs >= 250, "{name}: {asked} questions, {docs} documents"),
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn each_literal_question_shares_words_with_its_answer() {
    let haystack = haystack("messages");
    let literal = questions(&haystack).into_iter().filter(|(_, category, _)| *category == "literal");
    let literal: Vec<_> = literal.collect();
    assert_eq!(literal.len(), 60);
    for (question, _, gold) in literal {
        assert!(!shared(question, gold[0]).is_empty(), "{question} | {}", gold[0]);
    }
}

/// The model in the folder that this variable names, or nothing and a line that says so.
fn model(variable: &str, test: &str) -> Option<BertEmbedder> {
    let Some(folder) = std::env::var_os(variable) else {
        // Past the test runner, which keeps what passing tests print to itself.
        let why = format!("no model, get it with `harness setup` and name its folder in {variable}");
        let _ = writeln!(std::io::stderr(), "skipped: {test}: {why}");
        return None;
    };
    let files = ModelFiles::open(&[folder.as_ref()]).unwrap();
    let threads = std::thread::available_parallelism().unwrap();
    Some(BertEmbedder::open(&files, &Options { threads, ..Options::default() }).unwrap())
}

/// The share of a category's questions whose answer is among the five documents nearest in meaning.
fn recall_at_5(model: &BertEmbedder, name: &str, category: &str) -> f64 {
    let haystack = haystack(name);
    let docs = haystack["docs"].as_array().unwrap();
    let texts: Vec<&str> = docs.iter().map(|doc| doc["text"].as_str().unwrap()).collect();
    let questions: Vec<_> = questions(&haystack).into_iter().filter(|(_, of, _)| *of == category).collect();
    let asked: Vec<&str> = questions.iter().map(|(question, _, _)| *question).collect();
    let vectors = model.embed(Purpose::Passage, &texts).unwrap();
    let queries = model.embed(Purpose::Query, &asked).unwrap();
    let mut found = 0;
    for ((question, _, gold), query) in questions.iter().zip(&queries) {
        let near = |vector: &[f32]| vector.iter().zip(query).map(|(x, y)| x * y).sum::<f32>();
        let best =
            texts.iter().zip(&vectors).filter(|(text, _)| **text == gold[0]).map(|(_, v)| near(v)).next().unwrap();
        let nearer = vectors.iter().filter(|vector| near(vector) > best).count();
        found += usize::from(nearer < 5);
        if nearer >= 5 {
            eprintln!("{name}: place {}: {question} | {}", nearer + 1, gold[0]);
        }
    }
    let recall = found as f64 / questions.len() as f64;
    eprintln!("{name}, {category}: recall@5 {recall:.3}");
    recall
}

#[test]
fn an_english_model_finds_english_paraphrases() {
    const NAME: &str = "an_english_model_finds_english_paraphrases";
    let Some(model) = model("HARNESS_TEST_MODEL", NAME) else { return };
    assert!(recall_at_5(&model, "en", "paraphrase") >= 0.9);
    // Two thousand messages take a minute to embed in a build for tests.
    if std::env::var("HARNESS_TEST_ROUNDS").is_ok_and(|rounds| rounds == "full") {
        assert!(recall_at_5(&model, "messages", "paraphrase") >= 0.8);
    }
}

/// Recall@5 of a set through the whole program.
fn measured(name: &str, flags: &[&str]) -> f64 {
    let home = tempfile::tempdir().unwrap();
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_harness"));
    command.env("HARNESS_HOME", home.path().join("home")).env("TMPDIR", home.path()).args(["eval", "--json"]);
    let output = command.arg(data(name)).args(flags).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    report["sets"][0]["metrics"]["r@5"].as_f64().unwrap()
}

#[test]
fn an_english_model_finds_paraphrases_in_hybrid_too_and_takes_nothing_from_chinese() {
    const NAME: &str = "an_english_model_finds_paraphrases_in_hybrid_too_and_takes_nothing_from_chinese";
    let Some(_) = model("HARNESS_TEST_MODEL", NAME) else { return };
    let folder = std::env::var("HARNESS_TEST_MODEL").unwrap();
    let hybrid = ["--mode", "hybrid", "--embedder", &folder];
    let english = measured("en", &hybrid);
    assert!(english >= 0.9, "{english}");
    let (text, both) = (measured("zh", &["--mode", "text"]), measured("zh", &hybrid));
    assert!(both >= text, "{both} with the model, {text} without");
}

#[test]
fn a_multilingual_model_finds_chinese_paraphrases() {
    const NAME: &str = "a_multilingual_model_finds_chinese_paraphrases";
    let Some(model) = model("HARNESS_TEST_MULTILINGUAL_MODEL", NAME) else { return };
    assert!(recall_at_5(&model, "zh", "paraphrase") >= 0.85);
}

/// With `HARNESS_WRITE_FIXTURES` set, writes the set instead.
#[test]
fn the_messages_are_those_that_the_generator_makes() {
    let made = messages::haystack();
    if std::env::var_os("HARNESS_WRITE_FIXTURES").is_some() {
        std::fs::write(data("messages"), &made).unwrap();
    }
    assert!(std::fs::read_to_string(data("messages")).unwrap() == made, "run with HARNESS_WRITE_FIXTURES=1");
}

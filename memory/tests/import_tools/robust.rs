//! Whatever is in a file: no panic, and no memory beyond what the file has.

use std::ops::ControlFlow;
use std::path::Path;

use harness_memory::import::fold::Fold;
use harness_memory::import::{IMPORTERS, Importer, Item};
use harness_memory::{Body, Intake};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::{FIXTURES, fixture};

/// Few rounds in the common test run; all with `HARNESS_TEST_ROUNDS=full`.
fn rounds(few: u32, all: u32) -> u32 {
    if std::env::var("HARNESS_TEST_ROUNDS").is_ok_and(|rounds| rounds == "full") { all } else { few }
}

/// Reads bytes as the importer's file, twice: from the start, and on from the cursor after more was appended.
fn devour(importer: &dyn Importer, path: &Path, bytes: &[u8]) {
    std::fs::write(path, bytes).unwrap();
    let _ = importer.detect(path, &bytes[..bytes.len().min(2000)]);
    let _ = importer.fingerprint(path);
    let intake = Intake::new();
    let mut fold = Fold::new();
    let mut text = 0;
    let mut take = |item: Item| {
        if let Item::Message(record) = item {
            text += record.text().len();
            if let Body::Message(message) = &record.body {
                fold.message(message, record.created_at);
            }
            let _ = intake.admit(*record);
        }
        ControlFlow::Continue(())
    };
    let cursor = importer.read(path, None, &mut take).map(|report| report.cursor).unwrap_or_default();
    std::fs::write(path, [bytes, b"\n{\"role\":\"user\"}\n"].concat()).unwrap();
    let _ = importer.read(path, Some(&cursor), &mut take);
    let _ = fold.finish();
    assert!(text <= 64 * (bytes.len() + 4096), "{text} bytes of text out of {}", bytes.len());
}

#[test]
fn any_bytes_are_read_by_every_importer_without_panic() {
    let folder = tempfile::tempdir().unwrap();
    let mut runner =
        TestRunner::new(Config { cases: rounds(24, 2000), failure_persistence: None, ..Config::default() });
    let pieces = prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..40),
        "[\\[\\]{}\",:\\\\\n#> 1a]{0,40}".prop_map(String::into_bytes),
        prop::sample::select(vec![
            "{\"type\":\"user\",\"message\":",
            "{\"timestamp\":1e99,\"type\":\"response_item\",\"payload\":{",
            "\"mapping\":{\"a\":{\"parent\":\"a\"}}",
            "\"role\":\"user\"",
            "\"content\":[[[[",
            "}}}\n",
            "\\ud800",
            "\u{0}",
            "SQLite format 3\u{0}",
            "# aider chat started at ",
            "#### ",
        ])
        .prop_map(|text| text.as_bytes().to_vec()),
    ];
    runner
        .run(&proptest::collection::vec(pieces, 0..12), |pieces| {
            let bytes = pieces.concat();
            for importer in IMPORTERS {
                for name in ["x.jsonl", "x.json", "x.db", "x.md"] {
                    devour(*importer, &folder.path().join(name), &bytes);
                }
            }
            Ok(())
        })
        .unwrap();
}

#[test]
fn mutated_transcripts_are_read_without_panic() {
    let folder = tempfile::tempdir().unwrap();
    let mut runner = TestRunner::new(Config { cases: rounds(8, 400), failure_persistence: None, ..Config::default() });
    let mutation = (any::<prop::sample::Index>(), any::<prop::sample::Index>(), 0..5_u8, any::<u8>());
    runner
        .run(&proptest::collection::vec(mutation, 1..6), |mutations| {
            for name in FIXTURES {
                let path = fixture(name);
                let mut bytes = std::fs::read(&path).unwrap();
                for (at, to, kind, byte) in &mutations {
                    let (at, to) = (at.index(bytes.len().max(1)), to.index(bytes.len().max(1)));
                    let (from, to) = (at.min(to), at.max(to));
                    match kind {
                        _ if bytes.is_empty() => {}
                        0 => bytes[from] = *byte,
                        1 => drop(bytes.drain(from..to)),
                        2 => {
                            let piece = bytes[from..to.min(from + 500)].to_vec();
                            bytes.splice(to..to, piece);
                        }
                        3 => bytes.truncate(to),
                        _ => bytes.insert(from, *byte),
                    }
                }
                let importer = super::recognised(&path);
                devour(importer, &folder.path().join(path.file_name().unwrap()), &bytes);
            }
            Ok(())
        })
        .unwrap();
}

#[test]
fn deep_nesting_huge_numbers_and_long_names_are_read_without_panic() {
    let folder = tempfile::tempdir().unwrap();
    let deep = "[".repeat(100_000);
    let closed = format!("{}1{}", "{\"a\":".repeat(200), "}".repeat(200));
    let long = "n".repeat(70_000);
    for body in [
        format!("{{\"type\":\"response_item\",\"payload\":{deep}"),
        format!("{{\"role\":\"user\",\"message\":{{\"content\":{closed}}}}}\n"),
        format!("{{\"role\":\"user\",\"session\":\"{long}\",\"id\":\"{long}\",\"text\":\"x\",\"at\":1e308}}\n"),
        format!(
            "{{\"type\":\"response_item\",\"payload\":{{\"type\":\"function_call\",\"name\":\"{long}\",\"call_id\":\"{long}\",\"arguments\":\"{long}\"}}}}\n"
        ),
        format!("[{}]", "{\"a\":".repeat(1000)),
    ] {
        for importer in IMPORTERS {
            for name in ["x.jsonl", "x.json", "x.md"] {
                devour(*importer, &folder.path().join(name), body.as_bytes());
            }
        }
    }
}

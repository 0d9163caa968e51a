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

/// A database in the shape of each tool that keeps one, with the name that it has there.
fn databases(folder: &Path) -> Vec<(&'static str, Vec<u8>)> {
    let made = |name: &str, sql: &str| {
        let path = folder.join(name);
        let database = rusqlite::Connection::open(&path).unwrap();
        database.execute_batch(sql).unwrap();
        drop(database);
        std::fs::read(&path).unwrap()
    };
    let long = "the kiln was fired again ".repeat(400);
    let opencode = format!(
        r#"CREATE TABLE session (id TEXT PRIMARY KEY, project_id TEXT, parent_id TEXT, slug TEXT, directory TEXT, title TEXT,
             version TEXT, time_created INTEGER, time_updated INTEGER);
         CREATE TABLE message (id TEXT PRIMARY KEY, session_id TEXT, time_created INTEGER, time_updated INTEGER, data TEXT);
         CREATE TABLE part (id TEXT PRIMARY KEY, message_id TEXT, session_id TEXT, time_created INTEGER,
             time_updated INTEGER, data TEXT);
         INSERT INTO session VALUES ('s', 'p', NULL, 's', '/srv/kiln', 'Glaze', '1.2', 1000, 5000);
         INSERT INTO message VALUES ('m', 's', 1000, 1000, '{{"role":"user","time":{{"created":1000}}}}');
         INSERT INTO message VALUES ('n', 's', 2000, 2000, '{{"role":"assistant","time":{{"created":2000,"completed":3000}}}}');
         INSERT INTO part VALUES ('q', 'm', 's', 1000, 1000, '{{"type":"text","text":"{long}"}}');
         INSERT INTO part VALUES ('r', 'n', 's', 2000, 2000, '{{"type":"tool","callID":"c","tool":"bash","state":{{"status":"completed","input":{{"command":"ls"}},"output":"x"}}}}');"#
    );
    let cursor = format!(
        r#"CREATE TABLE blobs (id TEXT PRIMARY KEY, data BLOB); CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT);
         INSERT INTO blobs VALUES ('{one}', CAST('{{"role":"user","content":"{long}"}}' AS BLOB)), ('{two}', x'0a20{one}0a20{one}');
         INSERT INTO meta VALUES ('0', '{meta}');"#,
        one = "01".repeat(32),
        two = "02".repeat(32),
        meta = format!(r#"{{"agentId":"a","latestRootBlobId":"{}"}}"#, "02".repeat(32))
            .bytes()
            .map(|byte| format!("{byte:02x}"))
            .collect::<String>(),
    );
    let goose = format!(
        r#"CREATE TABLE sessions (id TEXT PRIMARY KEY, description TEXT, working_dir TEXT, created_at TIMESTAMP);
         CREATE TABLE messages (id INTEGER PRIMARY KEY, session_id TEXT, role TEXT, content_json TEXT, created_timestamp INTEGER);
         INSERT INTO sessions VALUES ('g', 'kiln', '/srv/kiln', '2026-05-01');
         INSERT INTO messages VALUES (1, 'g', 'user', '[{{"type":"text","text":"{long}"}}]', 1000);"#
    );
    let claude_mem = format!(
        "CREATE TABLE observations (id INTEGER PRIMARY KEY, title TEXT, narrative TEXT, facts TEXT, created_at_epoch INTEGER);
         CREATE TABLE session_summaries (id INTEGER PRIMARY KEY, request TEXT, learned TEXT, created_at TEXT);
         INSERT INTO observations VALUES (7, 'pool', '{long}', '[\"a\"]', 1760000000000);
         INSERT INTO session_summaries VALUES (1, 'fire it', 'slowly', '2026-05-01');"
    );
    vec![
        ("opencode.db", made("opencode-made.db", &opencode)),
        ("store.db", made("cursor-made.db", &cursor)),
        ("sessions.db", made("goose-made.db", &goose)),
        ("claude-mem.db", made("claude-mem-made.db", &claude_mem)),
    ]
}

#[test]
fn mutated_databases_are_read_without_panic() {
    use harness_memory::memories::{self, Form};
    let folder = tempfile::tempdir().unwrap();
    let databases = databases(folder.path());
    let mut runner = TestRunner::new(Config { cases: rounds(6, 600), failure_persistence: None, ..Config::default() });
    // The head and the schema are on the first page: half of what is changed is there.
    let place = prop_oneof![0..4096_usize, any::<usize>()];
    let mutation = (place, 0..5_u8, any::<u8>(), 1..2000_usize);
    runner
        .run(&proptest::collection::vec(mutation, 0..5), |mutations| {
            for (name, bytes) in &databases {
                let mut bytes = bytes.clone();
                for (at, kind, byte, length) in &mutations {
                    let from = at % bytes.len().max(1);
                    let to = (from + length).min(bytes.len());
                    match kind {
                        _ if bytes.is_empty() => {}
                        0 => bytes[from] = *byte,
                        1 => bytes[from] ^= 1 << (byte % 8),
                        2 => bytes[from..to].fill(*byte),
                        3 => bytes.truncate(to),
                        // A page in another's place.
                        _ => {
                            let piece = bytes[from..to].to_vec();
                            let other = usize::from(*byte) * 512 % bytes.len();
                            let end = (other + piece.len()).min(bytes.len());
                            bytes[other..end].copy_from_slice(&piece[..end - other]);
                        }
                    }
                }
                let path = folder.path().join("chats/ab/cd").join(name);
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                for importer in IMPORTERS.iter().filter(|importer| ["opencode", "cursor"].contains(&importer.tool())) {
                    devour(*importer, &path, &bytes);
                }
                std::fs::write(&path, &bytes).unwrap();
                let mut text = 0;
                let scope = harness_memory::Scope::root();
                let _ = memories::read(Form::ClaudeMem, &path, &scope, jiff::Timestamp::UNIX_EPOCH, &mut |record| {
                    text += record.text().len();
                    let _ = Intake::new().admit(record);
                    ControlFlow::Continue(())
                });
                assert!(text <= 64 * (bytes.len() + 4096), "{text} bytes of text out of {}", bytes.len());
            }
            Ok(())
        })
        .unwrap();
}

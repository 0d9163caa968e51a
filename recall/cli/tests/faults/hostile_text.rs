//! Text that breaks programs, through every way in: stored or refused with a reason, without a panic, in bounded memory.

use std::fs;
use std::io::Write;
use std::process::{Output, Stdio};

use serde_json::json;

use crate::home::Home;

fn with_stdin(home: &Home, arguments: &[&str], stdin: &[u8]) -> Output {
    let mut child =
        home.command(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // Whoever has heard enough may hang up.
    let _ = child.stdin.take().unwrap().write_all(stdin);
    child.wait_with_output().unwrap()
}

fn assert_no_panic(output: &Output, what: &str) {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code().is_some_and(|code| code <= 2), "{what}: {:?}: {errors}", output.status);
    assert!(!errors.contains("panicked"), "{what}: {errors}");
    if output.status.code() == Some(2) {
        assert!(errors.contains("error"), "{what}: refused without a reason");
    }
}

/// Texts of a kind each, with a word to find those that are stored.
pub(crate) fn texts() -> Vec<(&'static str, String)> {
    vec![
        ("nul", "zebra with a nul \u{0} inside".to_owned()),
        ("right-to-left", "zebra \u{202E}gnp.exe\u{202C} \u{2066}x\u{2069} שלום".to_owned()),
        ("composed", "zebra caf\u{e9} \u{1112}\u{1161}\u{11ab}".to_owned()),
        ("decomposed", "zebra cafe\u{301} \u{d55c}".to_owned()),
        ("emoji", "zebra 👩‍👩‍👧‍👦 🏳️‍🌈 🇩🇪 👍🏽".to_owned()),
        ("combining", format!("zebra a{}", "\u{301}".repeat(20_000))),
        ("invisible", format!("zebra {}", "\u{200B}".repeat(20_000))),
        ("one word", format!("zebra {}", "x".repeat(900_000))),
        ("one Chinese run", format!("zebra {}", "草".repeat(300_000))),
        ("controls", format!("zebra {}", (1..32_u8).map(char::from).collect::<String>())),
        ("escapes", "zebra \u{1b}[2J\u{1b}]0;title\u{7}".to_owned()),
        ("last plane", "zebra \u{10FFFF}\u{FFFE}\u{FFFF}\u{E0001}".to_owned()),
        ("syntax", "zebra \" OR 1=1; DROP TABLE records; -- ' \\ ${HOME} $(id) %s %n ../../etc".to_owned()),
    ]
}

#[test]
fn hostile_text_is_stored_or_refused_by_every_way_in() {
    let home = Home::new();
    for (name, text) in texts() {
        assert_no_panic(&with_stdin(&home, &["remember", "-"], text.as_bytes()), &format!("remember {name}"));
        let episode = json!({"situation": text, "outcome": "success", "tools": [{"tool": "bash", "gist": text}]});
        let output = with_stdin(&home, &["episode", "record", "--json"], episode.to_string().as_bytes());
        assert_no_panic(&output, &format!("episode {name}"));
        let question: String = text.chars().filter(|c| *c != '\u{0}').take(20_000).collect();
        assert_no_panic(&home.output(&["recall", "search", "--mode", "text", &question]), &format!("search {name}"));
        let mem0 = home.outside().join("mem0.json");
        fs::write(&mem0, json!({"results": [{"id": name, "memory": text, "user_id": text}]}).to_string()).unwrap();
        assert_no_panic(&home.output(&["import", mem0.to_str().unwrap()]), &format!("mem0 {name}"));
        let graph = home.outside().join("memory.json");
        let entity = json!({"type": "entity", "name": text, "entityType": text, "observations": [text]});
        fs::write(&graph, format!("{entity}\n")).unwrap();
        assert_no_panic(&home.output(&["import", graph.to_str().unwrap()]), &format!("graph {name}"));
        let folder = home.outside().join("notes");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("note.md"), format!("---\ntitle: {text}\ntags: [{text}]\n---\n# {text}\n")).unwrap();
        assert_no_panic(&home.output(&["import", folder.to_str().unwrap()]), &format!("markdown {name}"));
        let transcript = home.outside().join("t.jsonl");
        let line = json!({"type": "user", "uuid": format!("u-{name}"), "sessionId": "s", "cwd": "/x", "version": "2.1.0",
            "timestamp": "2026-05-01T10:00:00.000Z", "message": {"role": "user", "content": text}});
        fs::write(&transcript, format!("{line}\n")).unwrap();
        assert_no_panic(&home.output(&["session", "import", transcript.to_str().unwrap()]), &format!("session {name}"));
    }
    // All that was stored is found, shown, exported and comes back.
    assert!(home.search("zebra", 100).len() > 10);
    let (export, markdown) = (home.outside().join("all.jsonl"), home.outside().join("md"));
    home.run(&["export", export.to_str().unwrap()]);
    home.run(&["export", "--format", "markdown", markdown.to_str().unwrap()]);
    let other = Home::new();
    other.run(&["import", export.to_str().unwrap()]);
    let again = other.outside().join("again.jsonl");
    other.run(&["export", again.to_str().unwrap()]);
    assert_eq!(fs::read(&export).unwrap(), fs::read(&again).unwrap());
    home.run(&["index", "rebuild"]);
    home.assert_well();
}

#[test]
fn hostile_files_are_refused_by_line_and_in_bounded_memory() {
    let home = Home::new();
    home.remember("something to export");
    let good = home.run(&["export", "-"]);
    let header = good.lines().next().unwrap();
    let deep = format!("{}{}", "[".repeat(20_000), "]".repeat(20_000));
    let deep_object = format!("{}1{}", "{\"a\":".repeat(20_000), "}".repeat(20_000));
    let long = format!("{{\"line\":\"record\",\"text\":\"{}\"}}", "x".repeat(10 << 20));
    let surrogate = r#"{"line":"record","text":"\ud800"}"#;
    let lines = [header, &deep, &deep_object, &long, surrogate, "\u{0}", "{", "null", "\"\""].join("\n");
    let file = home.outside().join("hostile.jsonl");
    fs::write(&file, [lines.as_bytes(), b"\n\xff\xfe\n", good.lines().nth(1).unwrap().as_bytes(), b"\n"].concat())
        .unwrap();
    let output = home.output(&["--json", "import", file.to_str().unwrap()]);
    assert_no_panic(&output, "import");
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["known"].as_u64(), Some(1), "the good part is kept: {report}");
    let errors = String::from_utf8_lossy(&output.stderr);
    for line in 2..=9 {
        assert!(errors.contains(&format!("hostile.jsonl:{line}: ")), "line {line} is named: {errors}");
    }
    for (name, text) in [("deep", &deep), ("deep object", &deep_object), ("long", &long)] {
        for form in ["mem0", "mcp-memory"] {
            fs::write(&file, text.as_bytes()).unwrap();
            assert_no_panic(
                &home.output(&["import", "--form", form, file.to_str().unwrap()]),
                &format!("{form} {name}"),
            );
        }
        let record = with_stdin(&home, &["episode", "record", "--json"], text.as_bytes());
        assert_no_panic(&record, &format!("episode {name}"));
        fs::write(&file, format!("{text}\n")).unwrap();
        assert_no_panic(&home.output(&["session", "import", file.to_str().unwrap()]), &format!("session {name}"));
    }
    fs::write(&file, b"SQLite format 3\0 and then nothing of the kind").unwrap();
    assert_no_panic(&home.output(&["import", file.to_str().unwrap()]), "no database");
    assert_no_panic(&home.output(&["restore", file.to_str().unwrap()]), "no backup");
    home.assert_well();
}

#[test]
fn a_body_that_claims_ten_gigabytes_is_damage_and_not_memory() {
    let home = Home::new();
    let id = home.remember(&"a note that is long enough to be compressed, and then a bit longer ".repeat(4));
    home.remember("a note beside it");
    // A frame header of a single segment with eight bytes of size: ten gigabytes.
    let mut frame = vec![0x28, 0xB5, 0x2F, 0xFD, 0xE0];
    frame.extend_from_slice(&(10_u64 << 30).to_le_bytes());
    frame.extend_from_slice(&[1, 0, 0]);
    let database = rusqlite::Connection::open(home.path().join("store.db")).unwrap();
    database.execute("UPDATE records SET body = ?1 WHERE row = 1", [&frame]).unwrap();
    drop(database);
    let doctor = home.output(&["doctor"]);
    let said = String::from_utf8_lossy(&doctor.stdout).into_owned();
    assert!(said.contains("row-damaged") && said.contains(&id), "{said}");
    assert_eq!(home.search("note", 10).len(), 1);
    let export = home.output(&["export", home.outside().join("x.jsonl").to_str().unwrap()]);
    assert_eq!(export.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&export.stderr).contains(&id));
}

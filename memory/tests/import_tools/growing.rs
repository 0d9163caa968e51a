//! Files that grow, are rewritten, or end in the middle of a line.

use std::fs;
use std::path::PathBuf;

use harness_memory::import::{Cursor, IMPORTERS, Importer, Item, importer_of};

use super::{FIXTURES, fixture, message, read, recognised, records};

/// Fixtures of formats that are appended to.
const APPENDED: &[&str] = &[
    "codex/rollout-2026-03-02T09-00-00-0196c0de-1111-7222-8333-444455556666.jsonl",
    "codex/aborted-zh.jsonl",
    "cursor/projects/srv-weave/agent-transcripts/c0ffee/c0ffee.jsonl",
    "copilot/events.jsonl",
    "otel/spans.jsonl",
    "plain/session.jsonl",
    "claude-code/tide-table.jsonl",
];

fn said(items: &[Item]) -> Vec<(String, String, String)> {
    let of = |record: &harness_memory::Record| {
        (record.session.clone().unwrap(), record.key.clone().unwrap(), message(record).text.clone())
    };
    records(items).into_iter().map(of).collect()
}

struct Growing {
    folder: tempfile::TempDir,
    path: PathBuf,
    importer: &'static dyn Importer,
    whole: Vec<u8>,
}

impl Growing {
    fn of(name: &str) -> Growing {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(fixture(name).file_name().unwrap());
        let importer = recognised(&fixture(name));
        Growing { path, importer, whole: fs::read(fixture(name)).unwrap(), folder }
    }
}

#[test]
fn a_file_read_in_any_two_parts_says_what_it_says_as_a_whole() {
    for name in APPENDED {
        let growing = Growing::of(name);
        fs::write(&growing.path, &growing.whole).unwrap();
        let expected = said(&read(growing.importer, &growing.path, None).0);
        let step = if growing.whole.len() > 8000 { 611 } else { 37 };
        for cut in (1..growing.whole.len()).step_by(step) {
            fs::write(&growing.path, &growing.whole[..cut]).unwrap();
            let (first, report) = read(growing.importer, &growing.path, None);
            fs::write(&growing.path, &growing.whole).unwrap();
            let (second, again) = read(growing.importer, &growing.path, Some(&report.cursor));
            assert!(!again.restarted, "{name} cut at {cut}");
            let mut parts = said(&first);
            // A span repeats what was said before it, which has the same keys and so adds nothing.
            let known: Vec<String> = parts.iter().map(|(_, key, _)| key.clone()).collect();
            let new =
                said(&second).into_iter().filter(|(_, key, _)| *name != "otel/spans.jsonl" || !known.contains(key));
            parts.extend(new);
            assert_eq!(parts, expected, "{name} cut at {cut}");
        }
    }
}

#[test]
fn reading_on_from_the_end_gives_nothing_until_something_comes() {
    for name in APPENDED
        .iter()
        .chain(&["chatgpt/conversations.json", "gemini/tmp/loom/chats/session-2026-03-02T09-00-gem1.json"])
    {
        let growing = Growing::of(name);
        fs::write(&growing.path, &growing.whole).unwrap();
        let (_, report) = read(growing.importer, &growing.path, None);
        let (more, _) = read(growing.importer, &growing.path, Some(&report.cursor));
        assert_eq!(said(&more), [], "{name}");
    }
}

#[test]
fn a_rewritten_or_shrunk_file_is_read_from_its_start() {
    for name in APPENDED {
        let growing = Growing::of(name);
        fs::write(&growing.path, &growing.whole).unwrap();
        let expected = said(&read(growing.importer, &growing.path, None).0);
        for cursor in [
            Cursor { offset: growing.whole.len() as u64 + 5, ..Cursor::default() },
            Cursor { offset: 40, head: 1, tail: 2, position: 9, session: Some("other".into()), ..Cursor::default() },
        ] {
            let (items, report) = read(growing.importer, &growing.path, Some(&cursor));
            assert!(report.restarted, "{name}");
            assert_eq!(said(&items), expected, "{name}");
        }
    }
}

#[test]
fn gemini_takes_the_last_of_an_id_and_takes_back_what_was_rewound() {
    let growing = Growing::of("gemini/tmp/loom/chats/session-2026-03-02T10-00-gem2.jsonl");
    fs::write(&growing.path, &growing.whole).unwrap();
    let (items, _) = read(growing.importer, &growing.path, None);
    let texts: Vec<String> = said(&items).into_iter().map(|(_, _, text)| text).collect();
    assert!(
        !texts.iter().any(|text| text == "Here" || text.contains("delete them") || text == "Deleting."),
        "{texts:?}"
    );
    assert!(texts.iter().any(|text| text == "Here they are: 4."));
    let withdrawn: Vec<&str> = items
        .iter()
        .filter_map(|item| if let Item::Withdrawn { key, .. } = item { Some(key.as_str()) } else { None })
        .collect();
    assert_eq!(
        {
            let mut keys = withdrawn;
            keys.sort_unstable();
            keys
        },
        ["a2", "u2"]
    );
}

#[test]
fn a_gemini_message_that_comes_again_stands_where_it_stood_first() {
    let message =
        |id: &str, rest: &str| format!("{{\"id\":\"{id}\",\"timestamp\":\"2026-03-02T09:00:01.000Z\",{rest}}}");
    let said_by = |kind: &str, text: &str| format!("\"type\":\"{kind}\",\"content\":\"{text}\"");
    let call = "\"type\":\"gemini\",\"content\":\"I run the tests.\",\"toolCalls\":[{\"id\":\"c\",\"name\":\"run_shell_command\",\
                \"args\":{\"command\":\"pytest\"},\"status\":\"success\",\"result\":\"1 failed, 3 passed\"}]";
    let head = r#"{"sessionId":"g","projectHash":"ab","startTime":"2026-03-02T09:00:00.000Z","kind":"main"}"#;
    let first = [
        message("m1", &said_by("user", "fix the flaky test")),
        message("m2", &said_by("gemini", "I run")),
        message("m3", &said_by("gemini", "Fixed.")),
    ];
    let again = [message("m2", call), message("m3", &said_by("gemini", "Fixed it."))];
    let set = format!("{{\"$set\":{{\"messages\":[{},{}]}}}}", first[0], again.join(","));
    let expected = ["fix the flaky test", "I run the tests.", "1 failed, 3 passed", "Fixed it."];
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("session-1.jsonl");
    let importer = IMPORTERS.iter().copied().find(|importer| importer.tool() == "gemini").unwrap();
    for later in [again.join("\n"), set] {
        fs::write(&path, format!("{head}\n{}\n{later}\n", first.join("\n"))).unwrap();
        let (items, _) = read(importer, &path, None);
        let texts: Vec<String> = said(&items).into_iter().map(|(_, _, text)| text).collect();
        assert_eq!(texts, expected, "{later}");
        let places: Vec<u32> = records(&items).into_iter().map(|record| super::message(record).position).collect();
        assert_eq!(places, [0, 1, 2, 3]);
    }
    let all = [&first[..], &again[..]].concat().join(",");
    let path = folder.path().join("session-2.json");
    let start = head.strip_suffix('}').unwrap();
    fs::write(&path, format!("{start},\"messages\":[{all}]}}")).unwrap();
    let texts: Vec<String> = said(&read(importer, &path, None).0).into_iter().map(|(_, _, text)| text).collect();
    assert_eq!(texts, expected);
}

#[test]
fn a_byte_order_mark_changes_nothing() {
    for name in FIXTURES.iter().filter(|name| !name.starts_with("opencode")) {
        let growing = Growing::of(name);
        let place = growing.folder.path().join(name);
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        fs::write(&place, &growing.whole).unwrap();
        let expected = read(growing.importer, &place, None);
        let marked = [b"\xEF\xBB\xBF", growing.whole.as_slice()].concat();
        fs::write(&place, &marked).unwrap();
        assert_eq!(
            importer_of(&place, &marked[..marked.len().min(4000)]).map(|found| found.tool()),
            Some(growing.importer.tool()),
            "{name}"
        );
        let found = read(growing.importer, &place, None);
        assert_eq!(said(&found.0), said(&expected.0), "{name}");
        assert_eq!(found.1.skipped, expected.1.skipped, "{name}");
        let again = read(growing.importer, &place, Some(&found.1.cursor));
        assert!(!again.1.restarted, "{name}");
    }
}

#[test]
fn aiders_last_block_is_read_again_under_its_key_when_it_grew() {
    let growing = Growing::of("aider/.aider.chat.history.md");
    let text = String::from_utf8(growing.whole.clone()).unwrap();
    let cut = text.find("```python").unwrap();
    fs::write(&growing.path, &text[..cut]).unwrap();
    let (first, report) = read(growing.importer, &growing.path, None);
    fs::write(&growing.path, &text).unwrap();
    let (second, again) = read(growing.importer, &growing.path, Some(&report.cursor));
    assert!(!again.restarted);
    let (first, second) = (said(&first), said(&second));
    let last = first.last().unwrap();
    assert!(last.2.starts_with("I will change"));
    assert_eq!((&second[0].0, &second[0].1), (&last.0, &last.1));
    assert!(second[0].2.contains("count -= 1"));
    let whole = said(&read(growing.importer, &growing.path, None).0);
    assert_eq!(second.last(), whole.last());
}

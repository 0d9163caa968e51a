//! Files that grow, are rewritten, or end in the middle of a line.

use std::fs;
use std::path::PathBuf;

use harness_memory::import::{Cursor, Importer, Item};

use super::{fixture, message, read, recognised, records};

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
    _folder: tempfile::TempDir,
    path: PathBuf,
    importer: &'static dyn Importer,
    whole: Vec<u8>,
}

impl Growing {
    fn of(name: &str) -> Growing {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(fixture(name).file_name().unwrap());
        let importer = recognised(&fixture(name));
        Growing { path, importer, whole: fs::read(fixture(name)).unwrap(), _folder: folder }
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

//! Claude Code transcripts, read from fixtures of the shapes that the tool writes.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use harness_memory::import::claude_code::{ClaudeCode, SUBAGENT};
use harness_memory::import::fold::Fold;
use harness_memory::import::{Cursor, Importer, Item, Report, importer_of};
use harness_memory::{Body, Episode, Message, MessageForm, Outcome, Record, Role, Session};
use proptest::prelude::*;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/claude-code").join(name)
}

fn read(path: &Path, from: Option<&Cursor>) -> (Vec<Item>, Report) {
    let mut items = Vec::new();
    let report = ClaudeCode
        .read(path, from, &mut |item| {
            items.push(item);
            ControlFlow::Continue(())
        })
        .unwrap();
    (items, report)
}

fn records(items: &[Item]) -> Vec<&Record> {
    items.iter().filter_map(|item| if let Item::Message(record) = item { Some(&**record) } else { None }).collect()
}

fn message(record: &Record) -> &Message {
    match &record.body {
        Body::Message(message) => message,
        other => panic!("not a message: {other:?}"),
    }
}

fn session(items: &[Item]) -> &Session {
    let mut ends = items.iter().filter_map(|item| if let Item::End(session) = item { Some(session) } else { None });
    ends.next().expect("a session")
}

fn episode(items: &[Item]) -> Episode {
    let mut fold = Fold::new();
    for record in records(items) {
        fold.message(message(record), record.created_at);
    }
    fold.finish().expect("an episode")
}

/// What a file comes to, in one line.
fn counts(name: &str) -> String {
    let (items, report) = read(&fixture(name), None);
    let all = records(&items);
    let count = |test: &dyn Fn(&Message) -> bool| all.iter().filter(|record| test(message(record))).count();
    let statement = |role| count(&|m| m.role == role && m.form == MessageForm::Statement);
    format!(
        "lines {} frames {} skipped {} | user {} assistant {} tool {} summary {} scaffold {} | calls {} errors {} subagent {} echoes {}",
        report.lines,
        report.frames,
        report.skipped_total,
        statement(Role::User),
        statement(Role::Assistant),
        statement(Role::Tool),
        count(&|m| m.form == MessageForm::Summary),
        count(&|m| m.form == MessageForm::Scaffold),
        all.iter().map(|record| message(record).tool_calls.len()).sum::<usize>(),
        count(&|m| m.tool_result.as_ref().is_some_and(|result| result.ok == Some(false))),
        count(&|m| m.speaker.as_deref() == Some(SUBAGENT)),
        report.echoes,
    )
}

#[test]
fn every_fixture_has_its_golden_counts() {
    let names = [
        "tide-table.jsonl",
        "growing.jsonl",
        "order-export-zh.jsonl",
        "slow-search-ja.jsonl",
        "broken-lines.jsonl",
        "drifted.jsonl",
        "web-export.json",
        "delegated/e5e5e5e5-aaaa-4bbb-8ccc-dddddddddddd.jsonl",
        "delegated/e5e5e5e5-aaaa-4bbb-8ccc-dddddddddddd/subagents/agent-3c0ffee.jsonl",
    ];
    let table: Vec<String> = names.iter().map(|name| format!("{name}: {}", counts(name))).collect();
    insta::assert_snapshot!(table.join("\n"), @r"
    tide-table.jsonl: lines 25 frames 4 skipped 0 | user 2 assistant 10 tool 7 summary 0 scaffold 2 | calls 7 errors 2 subagent 0 echoes 0
    growing.jsonl: lines 6 frames 1 skipped 0 | user 1 assistant 2 tool 0 summary 0 scaffold 2 | calls 1 errors 0 subagent 0 echoes 0
    order-export-zh.jsonl: lines 18 frames 2 skipped 0 | user 3 assistant 7 tool 4 summary 2 scaffold 0 | calls 4 errors 0 subagent 0 echoes 0
    slow-search-ja.jsonl: lines 13 frames 0 skipped 0 | user 2 assistant 6 tool 3 summary 0 scaffold 2 | calls 3 errors 1 subagent 4 echoes 0
    broken-lines.jsonl: lines 17 frames 3 skipped 6 | user 3 assistant 3 tool 1 summary 0 scaffold 0 | calls 1 errors 0 subagent 0 echoes 2
    drifted.jsonl: lines 7 frames 1 skipped 0 | user 2 assistant 2 tool 1 summary 0 scaffold 1 | calls 1 errors 0 subagent 0 echoes 0
    web-export.json: lines 3 frames 0 skipped 0 | user 1 assistant 1 tool 1 summary 0 scaffold 0 | calls 1 errors 1 subagent 0 echoes 0
    delegated/e5e5e5e5-aaaa-4bbb-8ccc-dddddddddddd.jsonl: lines 3 frames 0 skipped 0 | user 1 assistant 2 tool 0 summary 0 scaffold 0 | calls 1 errors 0 subagent 0 echoes 0
    delegated/e5e5e5e5-aaaa-4bbb-8ccc-dddddddddddd/subagents/agent-3c0ffee.jsonl: lines 4 frames 0 skipped 0 | user 1 assistant 2 tool 1 summary 0 scaffold 0 | calls 1 errors 0 subagent 4 echoes 0
    ");
}

#[test]
fn a_session_is_known_by_what_its_lines_say() {
    let (items, report) = read(&fixture("tide-table.jsonl"), None);
    let known = session(&items);
    assert_eq!(known.id, "5f0c1a52-9d1e-4b7a-8a51-3d0b6f6f2a11");
    assert_eq!(known.project.as_deref(), Some("tidewatch"));
    assert_eq!(known.directory.as_deref(), Some("/home/mira/src/tidewatch"));
    assert_eq!(known.branch.as_deref(), Some("fix/dst"));
    assert!(known.started_at < known.ended_at);
    // The summary at the head is about another session.
    assert_eq!(known.title, None);
    assert_eq!(report.other_titles[0].1, "Harbour map: colours for shallow water");
    assert!(matches!(items[0], Item::Session(_)));

    let (items, _) = read(&fixture("order-export-zh.jsonl"), None);
    assert_eq!(session(&items).title.as_deref(), Some("订单 CSV 导出：改用 utf-8-sig，Excel 不再乱码"));
    let (items, _) = read(&fixture("drifted.jsonl"), None);
    assert_eq!(session(&items).title.as_deref(), Some("Kiln schedule"));
    assert_eq!(session(&items).project.as_deref(), Some("kiln"));
}

#[test]
fn a_subagents_file_is_a_session_with_a_parent() {
    let (items, _) =
        read(&fixture("delegated/e5e5e5e5-aaaa-4bbb-8ccc-dddddddddddd/subagents/agent-3c0ffee.jsonl"), None);
    assert_eq!(session(&items).id, "agent-3c0ffee");
    assert_eq!(session(&items).parent.as_deref(), Some("e5e5e5e5-aaaa-4bbb-8ccc-dddddddddddd"));
}

#[test]
fn words_are_kept_and_frames_images_and_reminders_are_not() {
    let (items, _) = read(&fixture("tide-table.jsonl"), None);
    let texts: Vec<&str> = records(&items).iter().map(|record| message(record).text.as_str()).collect();
    assert!(
        texts.contains(
            &"The tide table skips an hour on the day the clocks change. Find out why and fix it, with a test."
        )
    );
    assert!(texts.contains(&"the page as rendered\n[image image/png, 12 kB]"));
    assert!(!texts.iter().any(|text| text.contains("system-reminder") || text.contains("naive local")));
    let asked = records(&items).into_iter().find(|record| message(record).role == Role::Tool).map(message).unwrap();
    assert_eq!(asked.tool_result.as_ref().unwrap().tool, "Grep");
}

#[test]
fn an_injected_block_is_dropped_and_a_false_one_stays() {
    let (items, report) = read(&fixture("broken-lines.jsonl"), None);
    let texts: Vec<&str> = records(&items).iter().map(|record| message(record).text.as_str()).collect();
    assert_eq!(report.echoes, 2);
    assert!(!texts.iter().any(|text| text.contains("ring buffer")));
    assert!(texts.iter().any(|text| text.contains("run anything you like")));
}

#[test]
fn unreadable_lines_are_named_and_the_rest_is_kept() {
    let (items, report) = read(&fixture("broken-lines.jsonl"), None);
    let lines: Vec<u64> = report.skipped.iter().map(|skipped| skipped.line).collect();
    assert_eq!(lines, [2, 3, 4, 5, 6, 8]);
    assert!(report.skipped[0].reason.contains("EOF"), "{:?}", report.skipped[0]);
    let texts: Vec<&str> = records(&items).iter().map(|record| message(record).text.as_str()).collect();
    assert!(texts.contains(&"The buffer runs dry: \u{FFFD} at 48 kHz \u{FFFD}"), "{texts:?}");
    assert!(texts.contains(&"a bare string in the list"));
    assert!(texts.contains(&"a message that is only a string"));
}

#[test]
fn reading_again_gives_the_same_keys_each_once() {
    for name in
        ["tide-table.jsonl", "order-export-zh.jsonl", "slow-search-ja.jsonl", "broken-lines.jsonl", "web-export.json"]
    {
        let keys = |items: &[Item]| -> Vec<String> { records(items).iter().map(|r| r.key.clone().unwrap()).collect() };
        let (first, report) = read(&fixture(name), None);
        let (second, _) = read(&fixture(name), None);
        assert_eq!(keys(&first), keys(&second));
        assert_eq!(keys(&first).iter().collect::<HashSet<_>>().len(), records(&first).len(), "{name}");
        let (nothing, again) = read(&fixture(name), Some(&report.cursor));
        assert_eq!(records(&nothing).len(), 0, "{name}");
        assert_eq!(again.cursor, report.cursor, "{name}");
    }
}

#[test]
fn a_growing_file_is_read_in_pieces_as_it_is_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let strip = |items: &[Item]| -> Vec<(String, Message)> {
        records(items).iter().map(|r| (r.key.clone().unwrap(), message(r).clone())).collect()
    };
    for name in ["tide-table.jsonl", "order-export-zh.jsonl", "broken-lines.jsonl"] {
        let bytes = std::fs::read(fixture(name)).unwrap();
        let (whole, _) = read(&fixture(name), None);
        let path = folder.path().join(name);
        for step in [97, 701, 4001] {
            let (mut cursor, mut pieces) = (None, Vec::new());
            let mut end = 0;
            while end < bytes.len() {
                end = bytes.len().min(end + step);
                std::fs::write(&path, &bytes[..end]).unwrap();
                let (items, report) = read(&path, cursor.as_ref());
                assert!(!report.restarted);
                assert!(report.cursor.offset <= end as u64);
                pieces.extend(items);
                cursor = Some(report.cursor);
            }
            assert_eq!(strip(&pieces), strip(&whole), "{name} in steps of {step}");
        }
    }
}

#[test]
fn a_rewritten_or_shrunk_file_is_read_from_its_start() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("session.jsonl");
    let bytes = std::fs::read(fixture("tide-table.jsonl")).unwrap();
    std::fs::write(&path, &bytes).unwrap();
    let (_, report) = read(&path, None);
    for other in [
        bytes[..bytes.len() / 2].to_vec(),
        std::fs::read(fixture("order-export-zh.jsonl")).unwrap().repeat(4),
        String::from_utf8_lossy(&bytes).replace("Tomorrow", "Tomorow!").into_bytes(),
    ] {
        std::fs::write(&path, other).unwrap();
        let (items, again) = read(&path, Some(&report.cursor));
        assert!(again.restarted);
        assert!(!records(&items).is_empty());
    }
}

#[test]
fn a_line_that_is_still_being_written_is_left_for_later() {
    let (_, report) = read(&fixture("growing.jsonl"), None);
    assert_eq!(report.partial_bytes, 120);
    assert_eq!(report.skipped_total, 0);
}

#[test]
fn a_whole_last_line_needs_no_line_end_and_is_not_doubled_by_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("session.jsonl");
    let text = std::fs::read_to_string(fixture("drifted.jsonl")).unwrap();
    std::fs::write(&path, text.trim_end()).unwrap();
    let (items, report) = read(&path, None);
    assert_eq!((report.partial_bytes, report.lines, report.cursor.line), (0, 7, 7));
    std::fs::write(&path, format!("{text}oops\n{{\"type\":\"user\",\"message\":\"more\"}}")).unwrap();
    let (more, again) = read(&path, Some(&report.cursor));
    assert!(!again.restarted);
    assert_eq!(again.skipped[0].line, 8);
    assert_eq!((records(&items).len(), records(&more).len()), (6, 1));
}

#[test]
fn a_reader_that_is_stopped_goes_on_where_it_was() {
    let path = fixture("tide-table.jsonl");
    let (whole, _) = read(&path, None);
    for stop_after in 0..whole.len() {
        let mut seen = Vec::new();
        let report = ClaudeCode
            .read(&path, None, &mut |item| {
                if seen.len() == stop_after {
                    return ControlFlow::Break(());
                }
                seen.push(item);
                ControlFlow::Continue(())
            })
            .unwrap();
        assert!(report.stopped);
        let (rest, _) = read(&path, Some(&report.cursor));
        let mut keys: Vec<_> = records(&seen).into_iter().chain(records(&rest)).map(|r| r.key.clone()).collect();
        keys.dedup();
        let expected: Vec<_> = records(&whole).iter().map(|r| r.key.clone()).collect();
        assert_eq!(keys, expected, "stopped after {stop_after} items");
    }
}

#[test]
fn a_huge_line_is_kept_up_to_the_limit_and_said_to_be_cut() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("huge.jsonl");
    let line = |uuid: &str, text: &str| {
        serde_json::json!({"type": "user", "sessionId": "s", "uuid": uuid, "message": {"role": "user", "content": text}}).to_string()
    };
    std::fs::write(&path, format!("{}\n{}\n", line("u1", &"潮汐表\n".repeat(1_000_000)), line("u2", "after"))).unwrap();
    let (items, report) = read(&path, None);
    let texts: Vec<&str> = records(&items).iter().map(|record| message(record).text.as_str()).collect();
    assert_eq!(report.cut, 1);
    assert!(texts[0].len() < 1 << 20 && texts[0].ends_with("bytes left out]"));
    assert_eq!(texts[1], "after");
}

#[test]
fn a_folder_in_the_place_of_a_file_is_an_error_that_names_it() {
    let error = ClaudeCode.read(&fixture("delegated"), None, &mut |_| ControlFlow::Continue(())).unwrap_err();
    assert!(error.to_string().contains("delegated"), "{error}");
}

#[test]
fn transcripts_are_told_from_other_json_lines() {
    for name in
        ["tide-table.jsonl", "slow-search-ja.jsonl", "drifted.jsonl", "web-export.json", "order-export-zh.jsonl"]
    {
        let head = std::fs::read(fixture(name)).unwrap();
        assert!(importer_of(&fixture(name), &head).is_some(), "{name}");
    }
    for head in ["{\"a\":1}\n", "{\"type\":\"session_meta\",\"payload\":{\"id\":\"x\"}}\n", "plain text"] {
        assert!(importer_of(Path::new("x.jsonl"), head.as_bytes()).is_none_or(|found| found.tool() != "claude-code"));
    }
}

#[test]
fn an_episode_is_drawn_from_each_session() {
    let read_episode = |name: &str| episode(&read(&fixture(name), None).0);
    let tide = read_episode("tide-table.jsonl");
    assert!(tide.situation.starts_with("The tide table skips an hour"));
    assert_eq!(tide.outcome, Outcome::Success);
    assert_eq!(tide.reason.as_deref(), Some("the user said: Thanks, that works. Tomorrow the autumn case."));
    let tools: Vec<String> = tide.tools.iter().map(|used| format!("{} {}", used.tool, used.gist)).collect();
    assert_eq!(tools[2], "Bash cargo test table::");
    assert_eq!(tide.tools[2].ok, Some(false));
    assert_eq!(tide.errors[0], "test table::spring_forward ... FAILED");

    let orders = read_episode("order-export-zh.jsonl");
    assert_eq!(orders.situation, "订单导出到 CSV 之后中文全是乱码，帮我看看是哪里的问题");
    assert_eq!(orders.user_turns[0], "不对，Excel 打开还是乱码");
    assert_eq!(orders.outcome, Outcome::Success);

    let search = read_episode("slow-search-ja.jsonl");
    assert_eq!(search.situation, "/investigate 検索が遅い理由を調べてください");
    assert_eq!(search.outcome, Outcome::Failure);

    assert_eq!(read_episode("drifted.jsonl").outcome, Outcome::Unknown);
    let web = read_episode("web-export.json");
    assert_eq!((web.outcome, web.reason.as_deref()), (Outcome::Failure, Some("the build failed at the end")));
}

#[test]
fn tests_that_turn_green_are_a_success_and_red_ones_a_failure() {
    let path = fixture("tide-table.jsonl");
    let bytes = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = bytes.lines().collect();
    let folder = tempfile::tempdir().unwrap();
    let outcome = |until: usize| {
        let path = folder.path().join("part.jsonl");
        std::fs::write(&path, lines[..until].join("\n") + "\n").unwrap();
        episode(&read(&path, None).0)
    };
    assert_eq!(outcome(12).outcome, Outcome::Unknown);
    assert_eq!(outcome(13).outcome, Outcome::Failure);
    let green = outcome(20);
    assert_eq!(green.outcome, Outcome::Success);
    assert_eq!(green.reason.as_deref(), Some("the tests failed at first and passed at the end"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    #[test]
    fn mutated_transcripts_never_panic(
        which in 0_usize..5,
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0_u8..4), 1..24),
    ) {
        let names = ["tide-table.jsonl", "order-export-zh.jsonl", "slow-search-ja.jsonl", "broken-lines.jsonl", "drifted.jsonl"];
        let mut bytes = std::fs::read(fixture(names[which])).unwrap();
        for (at, byte, kind) in edits {
            let at = at.index(bytes.len());
            match kind {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                2 => { bytes.remove(at); }
                _ => bytes.insert(at, b"{}[]\",:\\\n"[byte as usize % 9]),
            }
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mutated.jsonl");
        std::fs::write(&path, &bytes).unwrap();
        let (items, report) = read(&path, None);
        prop_assert_eq!(records(&items).len() as u64, report.messages);
        let mut fold = Fold::new();
        for record in records(&items) {
            fold.message(message(record), record.created_at);
        }
        let _ = fold.finish();
    }
}

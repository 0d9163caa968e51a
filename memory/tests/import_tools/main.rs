//! The importers of all tools, read from fixtures of the shapes that the tools write.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod databases;
mod growing;
mod outcomes;
mod robust;

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use harness_memory::import::fold::Fold;
use harness_memory::import::{Cursor, Importer, Item, Report, importer_of};
use harness_memory::{Body, Episode, Message, MessageForm, Record, Role, Session};

/// A file of each shape, with what else belongs to it beside it.
pub(crate) const FIXTURES: &[&str] = &[
    "codex/rollout-2026-03-02T09-00-00-0196c0de-1111-7222-8333-444455556666.jsonl",
    "codex/aborted-zh.jsonl",
    "codex/legacy.jsonl",
    "gemini/tmp/loom/chats/session-2026-03-02T09-00-gem1.json",
    "gemini/tmp/loom/chats/session-2026-03-02T10-00-gem2.jsonl",
    "opencode/storage/session/p1/ses_a1.json",
    "cursor/projects/srv-weave/agent-transcripts/c0ffee/c0ffee.jsonl",
    "copilot/events.jsonl",
    "aider/.aider.chat.history.md",
    "chatgpt/conversations.json",
    "otel/spans.jsonl",
    "plain/session.jsonl",
    "claude-code/tide-table.jsonl",
    "claude-code/web-export.json",
];

pub(crate) fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

/// The importer that recognises a file by its beginning.
pub(crate) fn recognised(path: &Path) -> &'static dyn Importer {
    importer_of(path, &std::fs::read(path).unwrap()).unwrap_or_else(|| panic!("nobody recognises {}", path.display()))
}

pub(crate) fn read(importer: &dyn Importer, path: &Path, from: Option<&Cursor>) -> (Vec<Item>, Report) {
    let mut items = Vec::new();
    let report = importer
        .read(path, from, &mut |item| {
            items.push(item);
            ControlFlow::Continue(())
        })
        .unwrap();
    (items, report)
}

pub(crate) fn records(items: &[Item]) -> Vec<&Record> {
    items.iter().filter_map(|item| if let Item::Message(record) = item { Some(&**record) } else { None }).collect()
}

pub(crate) fn message(record: &Record) -> &Message {
    match &record.body {
        Body::Message(message) => message,
        other => panic!("not a message: {other:?}"),
    }
}

pub(crate) fn sessions(items: &[Item]) -> Vec<&Session> {
    items.iter().filter_map(|item| if let Item::End(session) = item { Some(session) } else { None }).collect()
}

/// The episode of each session, in the order of their ends.
pub(crate) fn episodes(items: &[Item]) -> Vec<(String, Option<Episode>)> {
    let of = |id: &str| {
        let mut fold = Fold::new();
        for record in records(items).into_iter().filter(|record| record.session.as_deref() == Some(id)) {
            fold.message(message(record), record.created_at);
        }
        fold.finish()
    };
    sessions(items).into_iter().map(|session| (session.id.clone(), of(&session.id))).collect()
}

/// What a file comes to: its counts, its sessions and how they ended.
fn told(name: &str) -> String {
    let path = fixture(name);
    let importer = recognised(&path);
    let (items, report) = read(importer, &path, None);
    let all = records(&items);
    let count = |test: &dyn Fn(&Message) -> bool| all.iter().filter(|record| test(message(record))).count();
    let said = |role| count(&|m| m.role == role && m.form == MessageForm::Statement);
    let mut text = format!(
        "{name} [{}]: lines {} frames {} skipped {} partial {} | user {} assistant {} tool {} summary {} scaffold {} | calls {} errors {}",
        importer.tool(),
        report.lines,
        report.frames,
        report.skipped_total,
        report.partial_bytes,
        said(Role::User),
        said(Role::Assistant),
        said(Role::Tool),
        count(&|m| m.form == MessageForm::Summary),
        count(&|m| m.form == MessageForm::Scaffold),
        all.iter().map(|record| message(record).tool_calls.len()).sum::<usize>(),
        count(&|m| m.tool_result.as_ref().is_some_and(|result| result.ok == Some(false))),
    );
    let machine = fixture("").to_string_lossy().trim_end_matches('/').to_owned();
    for (session, (_, episode)) in sessions(&items).iter().zip(episodes(&items)) {
        let word = |word: &Option<String>| word.as_deref().unwrap_or("-").replace(&machine, "FIXTURES");
        text.push_str(&format!(
            "\n  {} | {} | {} | {} | {}",
            session.id,
            word(&session.title),
            word(&session.project),
            word(&session.directory),
            word(&session.branch)
        ));
        if let Some(episode) = episode {
            let tools: Vec<&str> = episode.tools.iter().map(|used| used.tool.as_str()).collect();
            let reason = episode.reason.as_deref().unwrap_or_default();
            text.push_str(&format!("\n    {:?} → {tools:?} → {}: {reason}", episode.situation, episode.outcome));
        }
    }
    text
}

#[test]
fn every_fixture_has_its_golden_counts_sessions_and_episodes() {
    let table: Vec<String> = FIXTURES[..12].iter().map(|name| told(name)).collect();
    insta::assert_snapshot!(table.join("\n"), @r#"
    codex/rollout-2026-03-02T09-00-00-0196c0de-1111-7222-8333-444455556666.jsonl [codex]: lines 26 frames 12 skipped 0 partial 0 | user 3 assistant 5 tool 3 summary 1 scaffold 2 | calls 3 errors 1
      0196c0de-1111-7222-8333-444455556666 | - | weave | /srv/weave | fix/selvedge
        "the selvedge test fails since the loom width changed, mend it" → ["shell", "apply_patch", "shell"] → success: the tests failed at first and passed at the end
    codex/aborted-zh.jsonl [codex]: lines 8 frames 4 skipped 0 partial 0 | user 1 assistant 1 tool 1 summary 0 scaffold 1 | calls 1 errors 1
      0196c0de-aaaa-7222-8333-444455556666 | 图案导出 | 织机 | /srv/织机 | main
        "把图案导出成 PNG" → ["shell"] → failure: the user interrupted it, and it was not taken up again
    codex/legacy.jsonl [codex]: lines 4 frames 2 skipped 0 partial 31 | user 1 assistant 1 tool 0 summary 0 scaffold 0 | calls 0 errors 0
      legacy-1 | - | - | - | old
        "what is a heddle?" → [] → unknown: no test, build or word of the user says how it ended
    gemini/tmp/loom/chats/session-2026-03-02T09-00-gem1.json [gemini]: lines 5 frames 1 skipped 0 partial 0 | user 2 assistant 1 tool 2 summary 1 scaffold 1 | calls 2 errors 1
      gem-1 | Pattern conversion | loom | /srv/loom | -
        "convert the pattern files\n[file image/png, 240 bytes]" → ["run_shell_command", "replace"] → failure: the user said: 还是报错，颜色不对
    gemini/tmp/loom/chats/session-2026-03-02T10-00-gem2.jsonl [gemini]: lines 11 frames 7 skipped 0 partial 0 | user 2 assistant 2 tool 2 summary 1 scaffold 0 | calls 2 errors 1
      gem-2 | Heddles renamed | loom | /srv/loom | -
        "list the heddles" → ["list_directory", "run_shell_command"] → unknown: no test, build or word of the user says how it ended
    opencode/storage/session/p1/ses_a1.json [opencode]: lines 4 frames 0 skipped 0 partial 0 | user 2 assistant 1 tool 2 summary 1 scaffold 1 | calls 2 errors 2
      ses_a1 | Indigo vat | dyeworks | /srv/dyeworks | -
        "藍の温度を記録するスクリプトを直して\n[file text/csv vat.csv]" → ["bash", "edit"] → success: the user said: ありがとう、動きました
    cursor/projects/srv-weave/agent-transcripts/c0ffee/c0ffee.jsonl [cursor]: lines 6 frames 2 skipped 0 partial 0 | user 2 assistant 2 tool 1 summary 0 scaffold 0 | calls 1 errors 0
      c0ffee | - | srv-weave | - | -
        "why is the shuttle slow?" → ["Shell"] → success: the user said: perfect, thank you
    copilot/events.jsonl [copilot]: lines 9 frames 3 skipped 0 partial 0 | user 1 assistant 2 tool 1 summary 1 scaffold 1 | calls 1 errors 1
      cop-1 | - | spindle | /srv/spindle | main
        "add a changelog entry" → ["bash"] → failure: the user interrupted it, and it was not taken up again
    aider/.aider.chat.history.md [aider]: lines 32 frames 0 skipped 0 partial 0 | user 3 assistant 4 tool 2 summary 0 scaffold 5 | calls 2 errors 0
      aider-2026-03-02T09:00:00 | - | aider | FIXTURES/aider | -
        "make the ratchet count backwards" → ["edit", "run"] → success: the tests passed at the end
      aider-2026-03-02T11:30:00 | - | aider | FIXTURES/aider | -
        "添加一个选项" → [] → failure: the user interrupted it, and it was not taken up again
    chatgpt/conversations.json [chatgpt]: lines 2 frames 0 skipped 0 partial 0 | user 2 assistant 4 tool 1 summary 0 scaffold 1 | calls 1 errors 0
      chat-1 | Mordant ratios | - | - | -
        "How much alum per kilo of wool?" → ["python"] → unknown: no test, build or word of the user says how it ended
      chat-2 | 染色 | - | - | -
        "茜草怎么用？" → [] → unknown: no test, build or word of the user says how it ended
    otel/spans.jsonl [otel]: lines 3 frames 3 skipped 0 partial 0 | user 1 assistant 2 tool 1 summary 0 scaffold 1 | calls 1 errors 0
      conv-7 | - | - | - | -
        "Weather for drying wool in Uji?" → ["get_weather"] → unknown: no test, build or word of the user says how it ended
    plain/session.jsonl [harness]: lines 7 frames 1 skipped 1 partial 0 | user 2 assistant 1 tool 1 summary 1 scaffold 0 | calls 1 errors 0
      own-1 | Carding | mill | /srv/mill | main
        "card the fleece faster" → ["bash"] → success: the user said: thanks!
    "#);
}

#[test]
fn what_a_tool_wrote_into_a_turn_is_kept_out_of_what_was_said() {
    for name in FIXTURES {
        let path = fixture(name);
        let (items, _) = read(recognised(&path), &path, None);
        for record in records(&items) {
            let message = message(record);
            let said = message.form == MessageForm::Statement && message.role != Role::Tool;
            for frame in [
                "<environment_context>",
                "<permissions",
                "<user_query>",
                "<open_and",
                "<turn_aborted>",
                "You are ChatGPT",
                "You spin",
                "synthetic",
            ] {
                assert!(!said || !message.text.contains(frame), "{name}: {}", message.text);
            }
            assert!(!message.text.contains("iVBORw0KiVBORw0K"), "{name}: bytes of an image are kept");
        }
    }
}

#[test]
fn answers_are_of_the_tool_that_was_called() {
    for name in FIXTURES {
        let path = fixture(name);
        let (items, _) = read(recognised(&path), &path, None);
        for record in records(&items) {
            if let Some(result) = &message(record).tool_result {
                assert!(!result.tool.is_empty(), "{name}: {}", message(record).text);
            }
        }
    }
}

#[test]
fn keys_are_unique_in_their_session_and_the_same_each_time() {
    for name in FIXTURES {
        let path = fixture(name);
        let keys = || -> Vec<(String, String)> {
            let (items, _) = read(recognised(&path), &path, None);
            let of = |record: &&Record| (record.session.clone().unwrap(), record.key.clone().unwrap());
            records(&items).iter().map(of).collect()
        };
        let (first, second) = (keys(), keys());
        assert_eq!(first, second, "{name}");
        let mut unique = first.clone();
        unique.sort();
        unique.dedup();
        assert_eq!(unique.len(), first.len(), "{name}");
    }
}

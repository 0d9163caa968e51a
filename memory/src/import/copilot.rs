//! Transcripts of GitHub Copilot CLI: `events.jsonl` of a session's folder, one event a line.
//!
//! What is particular about them: a call stands in the assistant's message (`toolRequests`) and again as
//! `tool.execution_start`; only the first is taken. What a subagent does carries the call that started it.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use super::claude_code::SUBAGENT;
use super::node::{Fields, Node};
use super::parts::said;
use super::transcript::{ARGUMENTS_BYTES_MAX, Sink, Transcript, exit_ok, fits, json_lines, time};
use super::{Cursor, Importer, Item, Report};
use crate::error::Result;
use crate::record::{Message, Role};

const TOOL: &str = "copilot";

/// Reads Copilot CLI's transcripts.
#[derive(Debug, Default, Clone, Copy)]
pub struct Copilot;

impl Importer for Copilot {
    fn tool(&self) -> &'static str {
        TOOL
    }

    fn detect(&self, path: &Path, head: &[u8]) -> bool {
        let head = String::from_utf8_lossy(head);
        let kinds = ["session.start", "user.message", "assistant.turn_start", "assistant.message"];
        path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("jsonl"))
            && head.contains("\"data\"")
            && kinds.iter().any(|kind| head.contains(&format!("\"type\":\"{kind}\"")))
    }

    fn default_places(&self, home: &Path) -> Vec<PathBuf> {
        let folder = home.join(".copilot");
        vec![folder.join("session-state"), folder.join("history-session-state")]
    }

    fn read(
        &self,
        path: &Path,
        from: Option<&Cursor>,
        sink: &mut dyn FnMut(Item) -> ControlFlow<()>,
    ) -> Result<Report> {
        let kept = if fits(path, from)? { from } else { None };
        let mut transcript = Transcript::new(TOOL, path, kept);
        if kept.is_none()
            && transcript.current == "events"
            && let Some(folder) = path.parent().and_then(Path::file_name)
        {
            transcript.current = folder.to_string_lossy().into_owned();
        }
        let cursor = json_lines(&mut transcript, path, from, sink, &mut line)?;
        Ok(transcript.finish(cursor, sink))
    }
}

fn line(transcript: &mut Transcript, node: Node<'_>, bytes: &[u8], sink: Sink<'_>) -> ControlFlow<()> {
    let line = node.fields();
    let data = line.get("data").fields();
    let kind = line.text("type");
    if kind == "session.start" {
        let id = data.text("sessionId");
        if !id.is_empty() {
            transcript.enter(&id);
        }
    }
    transcript.at(time(line.get("timestamp")));
    let key = transcript.key(&line.text("id"), "", bytes);
    let by_subagent = !data.text("parentToolCallId").is_empty();
    match kind.as_ref() {
        "session.start" | "session.resume" => {
            let context = data.get("context").fields();
            transcript.moved_to(&context.text("cwd"));
            transcript.on_branch(&context.text("branch"));
        }
        "session.title_changed" | "session.title" => transcript.titled(&data.first(&["title", "name"]).or_empty(), 3),
        "user.message" => {
            let text = said(data.get("content"));
            let source = data.text("source");
            let framed = !matches!(source.as_ref(), "" | "user" | "cli");
            return transcript.say_turn(&key, &text, framed || by_subagent, sink);
        }
        "assistant.message" => {
            let mut message = Message::new(Role::Assistant, 0, said(data.get("content")));
            let mut room = ARGUMENTS_BYTES_MAX;
            for request in data.get("toolRequests").items() {
                let request = request.fields();
                let arguments = request.get("arguments");
                let arguments = arguments.text().unwrap_or(arguments.raw().into());
                let call = transcript.call(&request.text("toolCallId"), &request.text("name"), &arguments, &mut room);
                message.tool_calls.push(call);
            }
            message.speaker = by_subagent.then(|| SUBAGENT.to_owned());
            return transcript.say_model(&key, message, sink);
        }
        "tool.execution_complete" => return answer(transcript, &key, &data, by_subagent, sink),
        "session.compaction_complete" => {
            let text = said(data.first(&["summaryContent", "summary"]));
            return transcript.say_summary(&key, &text, sink);
        }
        "abort" => {
            return transcript.say_frame(&key, Role::User, "[Request interrupted by user]", sink);
        }
        "session.error" | "system.message" | "system.notification" => {
            let text = said(data.first(&["message", "content"]));
            return transcript.say_frame(&key, Role::System, &text, sink);
        }
        _ => {}
    }
    transcript.report.frames += 1;
    ControlFlow::Continue(())
}

fn answer(
    transcript: &mut Transcript,
    key: &str,
    data: &Fields<'_>,
    by_subagent: bool,
    sink: Sink<'_>,
) -> ControlFlow<()> {
    let result = data.get("result");
    let error = data.get("error");
    let mut text =
        if result.is_object() { said(result.fields().first(&["content", "detailedContent"])) } else { said(result) };
    super::parts::push_paragraph(&mut text, &said(error));
    let failed = !error.is_null() || data.get("success").flag() == Some(false);
    // A command that ran and ended badly is a success to the tool that ran it.
    let ok = if failed { Some(false) } else { exit_ok(&text).or(data.get("success").flag()) };
    let mut message = transcript.answer(&data.text("toolCallId"), &data.text("toolName"), &text, ok);
    message.speaker = by_subagent.then(|| SUBAGENT.to_owned());
    transcript.say_answer(key, message, sink)
}

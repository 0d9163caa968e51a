//! Sessions of Cursor: JSON Lines of its agent (`agent-transcripts/<id>/<id>.jsonl`), and the store of its
//! command line (`chats/<project>/<id>/store.db`).
//!
//! What is particular about them: neither says when something was said, except for the store's beginning;
//! nor in which folder, but for a slug or hash of its path in the file's own; the lines do not name their session, which is the file's name; calls have no ids, so that an answer
//! belongs to the oldest call without one. Prompts are framed in `<user_query>`.

mod database;

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use super::claude_code::SUBAGENT;
use super::node::Node;
use super::parts::{push_paragraph, said};
use super::transcript::{ARGUMENTS_BYTES_MAX, Sink, Transcript, exit_ok, fits, json_lines};
use super::{Cursor, Folder, Importer, Item, Report};
use crate::error::Result;
use crate::record::{Message, Role};

const TOOL: &str = "cursor";

/// Reads Cursor's sessions.
#[derive(Debug, Default, Clone, Copy)]
pub struct CursorTool;

impl Importer for CursorTool {
    fn tool(&self) -> &'static str {
        TOOL
    }

    fn detect(&self, path: &Path, head: &[u8]) -> bool {
        if head.starts_with(b"SQLite format 3\0") {
            let text = String::from_utf8_lossy(head);
            return path.extension().is_some_and(|extension| extension == "db")
                && text.contains("blobs")
                && text.contains("meta");
        }
        let text = String::from_utf8_lossy(head);
        let line = text.lines().next().unwrap_or_default();
        let has = |word: &str| line.contains(&format!("\"{word}\""));
        path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("jsonl"))
            && line.starts_with("{\"role\":")
            && has("message")
            && has("content")
            && !["sessionId", "uuid", "payload", "format", "session"].iter().any(|word| has(word))
    }

    fn default_places(&self, home: &Path) -> Vec<PathBuf> {
        let folder = home.join(".cursor");
        vec![folder.join("projects"), folder.join("chats")]
    }

    fn fingerprint(&self, path: &Path) -> Option<u64> {
        super::fingerprint_with_log(path)
    }

    fn read(
        &self,
        path: &Path,
        from: Option<&Cursor>,
        sink: &mut dyn FnMut(Item) -> ControlFlow<()>,
    ) -> Result<Report> {
        if path.extension().is_some_and(|extension| extension == "db") {
            return database::read(path, from, sink);
        }
        let kept = if fits(path, from)? { from } else { None };
        let mut transcript = Transcript::new(TOOL, path, kept);
        let places: Vec<String> =
            path.ancestors().skip(1).filter_map(|up| Some(up.file_name()?.to_string_lossy().into_owned())).collect();
        let subagent = places.first().is_some_and(|folder| folder == "subagents");
        if subagent && let Some(parent) = places.get(1) {
            transcript.session().parent = Some(parent.clone());
        }
        if let Some(at) = places.iter().position(|folder| folder == "agent-transcripts")
            && let Some(project) = places.get(at + 1)
        {
            transcript.session().project = Some(project.clone());
            transcript.held_in_named(Folder::Slug(project.clone()));
        }
        let cursor = json_lines(&mut transcript, path, from, sink, &mut |transcript, node, bytes, sink| {
            let fields = node.fields();
            if fields.text("role").is_empty() {
                if matches!(fields.text("status").as_ref(), "aborted" | "cancelled") {
                    let key = transcript.key("", "", bytes);
                    return transcript.say_frame(&key, Role::User, "[Request interrupted by user]", sink);
                }
                transcript.report.frames += 1;
                return ControlFlow::Continue(());
            }
            let key = transcript.key("", "", bytes);
            let content = match fields.get("message") {
                message if message.is_object() => message.get("content"),
                _ => fields.get("content"),
            };
            say(transcript, &key, &fields.text("role"), content, subagent, sink)
        })?;
        Ok(transcript.finish(cursor, sink))
    }
}

/// Hands on one message: its words, its calls, and answers to calls, wherever they stand.
fn say(
    transcript: &mut Transcript,
    key: &str,
    role: &str,
    content: Node<'_>,
    subagent: bool,
    sink: Sink<'_>,
) -> ControlFlow<()> {
    let parts = if content.is_list() { content.items() } else { vec![content] };
    let mut text = String::new();
    let mut message = Message::new(Role::Assistant, 0, "");
    let mut room = ARGUMENTS_BYTES_MAX;
    let speaker = subagent.then(|| SUBAGENT.to_owned());
    for (place, part) in parts.into_iter().enumerate() {
        let fields = part.fields();
        match fields.text("type").as_ref() {
            "tool_use" | "tool_call" | "tool-call" => {
                let id = fields.first(&["toolCallId", "id"]).or_empty();
                let name = fields.first(&["toolName", "name"]).or_empty();
                let call = transcript.call(&id, &name, fields.first(&["input", "args", "arguments"]).raw(), &mut room);
                message.tool_calls.push(call);
            }
            "tool_result" | "tool-result" => {
                let id = fields.first(&["tool_use_id", "toolCallId"]).or_empty();
                let name = fields.first(&["toolName", "name"]).or_empty();
                let answer = said(fields.first(&["content", "result", "output", "experimental_content"]));
                let failed = fields.first(&["is_error", "isError"]).is_true();
                let ok = if failed { Some(false) } else { exit_ok(&answer) };
                let mut answer = transcript.answer(&id, &name, &answer, ok);
                answer.speaker.clone_from(&speaker);
                transcript.say_answer(&format!("{key}#{place}"), answer, sink)?;
            }
            _ => push_paragraph(&mut text, &said(part)),
        }
    }
    match role {
        "user" if subagent => {
            let mut task = Message::new(Role::User, 0, query(&text).unwrap_or(&text));
            task.speaker = speaker;
            transcript.say_model(key, task, sink)
        }
        "user" => match query(&text) {
            Some(typed) => transcript.say_turn(key, typed, false, sink),
            None => transcript.say_turn(key, &text, is_frame(&text), sink),
        },
        "assistant" => {
            message.text = text;
            message.speaker = speaker;
            transcript.say_model(key, message, sink)
        }
        "system" => transcript.say_frame(key, Role::System, &text, sink),
        // A tool's message holds nothing but answers.
        _ => ControlFlow::Continue(()),
    }
}

/// What a person typed, inside of the frame.
fn query(text: &str) -> Option<&str> {
    let start = text.find("<user_query>")? + "<user_query>".len();
    let length = text[start..].find("</user_query>").unwrap_or(text.len() - start);
    Some(text[start..start + length].trim())
}

/// Whether a turn without a query is Cursor's own.
fn is_frame(text: &str) -> bool {
    const FRAMES: &[&str] = &[
        "<user_info>",
        "<system_reminder>",
        "<open_and_recently_viewed_files>",
        "<attached_files>",
        "<git_status>",
        "<project_layout>",
        "<rules>",
        "<agent_transcripts>",
        "<additional_data>",
        "<timestamp>",
    ];
    FRAMES.iter().any(|frame| text.trim_start().starts_with(frame))
}

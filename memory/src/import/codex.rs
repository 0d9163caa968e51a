//! Transcripts of Codex CLI: `rollout-*.jsonl`, one JSON object a line.
//!
//! What is particular about them:
//! - What is said stands twice: as a `response_item` and as an `event_msg`. Whichever comes first is taken,
//!   the other one is its echo. Which ones still await theirs is kept in the cursor.
//! - `compacted` lines repeat old turns in `replacement_history`, which is passed over; their message is a summary.
//! - The environment, permissions and the contents of AGENTS.md come as turns of the user or developer: scaffold.
//! - A forked session begins with a copy of the other's lines, its `session_meta` included: the first one counts.
//! - Older versions write the items without an envelope.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::xxh3_64;

use super::node::{Fields, Node};
use super::parts::said;
use super::transcript::{Sink, Transcript, exit_ok, fits, json_lines, time};
use super::{Cursor, Importer, Item, Report};
use crate::error::Result;
use crate::record::{Message, Role};

const TOOL: &str = "codex";

/// Statements whose echo has not come yet; it is a few lines away.
const UNPAIRED_MAX: usize = 32;

/// Reads Codex CLI's transcripts.
#[derive(Debug, Default, Clone, Copy)]
pub struct Codex;

impl Importer for Codex {
    fn tool(&self) -> &'static str {
        TOOL
    }

    fn detect(&self, path: &Path, head: &[u8]) -> bool {
        if path.extension().is_none_or(|extension| !extension.eq_ignore_ascii_case("jsonl")) {
            return false;
        }
        let head = String::from_utf8_lossy(head);
        let line = head.lines().next().unwrap_or_default();
        let has = |word: &str| line.contains(&format!("\"{word}\""));
        let kinds = ["session_meta", "response_item", "event_msg", "turn_context", "compacted", "world_state"];
        // The first line of the versions that had no envelope is about the session.
        let older = has("id") && has("timestamp") && has("instructions");
        (has("payload") && kinds.iter().any(|kind| has(kind)))
            || older
            || path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("rollout-"))
    }

    fn default_places(&self, home: &Path) -> Vec<PathBuf> {
        let folder = home.join(".codex");
        vec![folder.join("sessions"), folder.join("archived_sessions")]
    }

    fn read(
        &self,
        path: &Path,
        from: Option<&Cursor>,
        sink: &mut dyn FnMut(Item) -> ControlFlow<()>,
    ) -> Result<Report> {
        let kept = if fits(path, from)? { from } else { None };
        let mut transcript = Transcript::new(TOOL, path, kept);
        let mut reader =
            Reader { known: kept.is_some(), unpaired: kept.map(|cursor| cursor.unpaired.clone()).unwrap_or_default() };
        if kept.is_none() {
            transcript.current = id_in_name(&transcript.current).unwrap_or(&transcript.current).to_owned();
        }
        let cursor = json_lines(&mut transcript, path, from, sink, &mut |transcript, node, bytes, sink| {
            reader.line(transcript, node, bytes, sink)
        })?;
        let mut report = transcript.finish(cursor, sink);
        report.cursor.unpaired = reader.unpaired;
        Ok(report)
    }
}

/// The session's id at the end of `rollout-2026-05-04T10-21-00-<uuid>`.
fn id_in_name(stem: &str) -> Option<&str> {
    let id = stem.get(stem.len().checked_sub(36)?..)?;
    let is_id = id.bytes().enumerate().all(|(at, byte)| match at {
        8 | 13 | 18 | 23 => byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    });
    is_id.then_some(id)
}

/// From which of the two ways a statement was taken.
#[derive(Clone, Copy, PartialEq)]
enum Way {
    Item = 0,
    Event = 1,
}

struct Reader {
    /// Whether the session is known: what says so later is copied from another one.
    known: bool,
    /// Statements that were taken and whose echo has not come: a fingerprint, the lowest bit of which is the way.
    unpaired: Vec<u64>,
}

impl Reader {
    fn line(&mut self, transcript: &mut Transcript, node: Node<'_>, bytes: &[u8], sink: Sink<'_>) -> ControlFlow<()> {
        let line = node.fields();
        let at = time(line.first(&["timestamp", "created_at"]));
        let kind = line.text("type");
        let payload = line.get("payload").fields();
        match kind.as_ref() {
            "session_meta" => self.meta(transcript, &payload),
            "turn_context" => {
                transcript.moved_to(&payload.text("cwd"));
            }
            "response_item" => {
                transcript.at(at);
                return self.item(transcript, &payload, bytes, sink);
            }
            "event_msg" => {
                transcript.at(at);
                return self.event(transcript, &payload, bytes, sink);
            }
            "compacted" => {
                transcript.at(at);
                let text = payload.text("message");
                let key = transcript.key("", "", bytes);
                return transcript.say_summary(&key, &text, sink);
            }
            // Before there was an envelope: the items as they are, after a line about the session.
            "" if line.has("instructions") || line.has("git") => self.meta(transcript, &line),
            "message"
            | "function_call"
            | "function_call_output"
            | "local_shell_call"
            | "custom_tool_call"
            | "custom_tool_call_output"
            | "function_result"
            | "" => {
                transcript.at(at);
                return self.item(transcript, &line, bytes, sink);
            }
            _ => {}
        }
        transcript.report.frames += 1;
        ControlFlow::Continue(())
    }

    fn meta(&mut self, transcript: &mut Transcript, meta: &Fields<'_>) {
        if self.known {
            return;
        }
        self.known = true;
        let id = meta.first(&["id", "session_id"]).or_empty();
        if !id.is_empty() {
            transcript.enter(&id);
        }
        let spawned = meta.get("source").get("subagent").get("thread_spawn").get("parent_thread_id").or_empty();
        let parent = if spawned.is_empty() { meta.text("parent_thread_id") } else { spawned };
        if !parent.is_empty() {
            transcript.session().parent = Some(parent.into_owned());
        }
        transcript.at(time(meta.get("timestamp")));
        transcript.held_in(&meta.text("cwd"));
        transcript.on_branch(&meta.get("git").get("branch").or_empty());
    }

    /// Whether a statement is the echo of one that was taken; otherwise it is noted that its echo may come.
    fn is_echo(&mut self, role: Role, text: &str, way: Way) -> bool {
        let print = (xxh3_64(text.trim().as_bytes()) ^ u64::from(role.code())) & !1;
        let other = print | (way as u64 ^ 1);
        if let Some(at) = self.unpaired.iter().position(|known| *known == other) {
            self.unpaired.remove(at);
            return true;
        }
        if self.unpaired.len() == UNPAIRED_MAX {
            self.unpaired.remove(0);
        }
        self.unpaired.push(print | way as u64);
        false
    }

    fn item(
        &mut self,
        transcript: &mut Transcript,
        item: &Fields<'_>,
        bytes: &[u8],
        sink: Sink<'_>,
    ) -> ControlFlow<()> {
        let key = transcript.key("", "", bytes);
        let call = item.first(&["call_id", "id"]).or_empty();
        match item.text("type").as_ref() {
            "message" | "" => {
                let content = item.first(&["content", "message"]);
                match item.text("role").as_ref() {
                    "user" => return self.user_item(transcript, &key, content, sink),
                    "assistant" => {
                        let text = said(content);
                        if !self.is_echo(Role::Assistant, &words_of(content), Way::Item) {
                            return transcript.say_model(&key, Message::new(Role::Assistant, 0, text), sink);
                        }
                    }
                    "developer" | "system" => return transcript.say_frame(&key, Role::System, &said(content), sink),
                    _ => {}
                }
            }
            "agent_message" => {
                let mut message = Message::new(Role::Assistant, 0, said(item.get("content")));
                message.speaker = item.get("author").text().map(|name| name.into_owned());
                return transcript.say_model(&key, message, sink);
            }
            "function_call" | "custom_tool_call" | "tool_call" | "tool_search_call" => {
                let name = match item.first(&["name", "function"]) {
                    node if node.is_object() => node.get("name").or_empty(),
                    node => node.or_empty(),
                };
                let name = if name.is_empty() { "tool_search".into() } else { name };
                let arguments = item.first(&["arguments", "input", "summary"]);
                let arguments = arguments.text().unwrap_or(arguments.raw().into());
                let message = transcript.calling(&call, &name, &arguments);
                return transcript.say_model(&key, message, sink);
            }
            "local_shell_call" => {
                let message = transcript.calling(&call, "shell", item.get("action").raw());
                return transcript.say_model(&key, message, sink);
            }
            "web_search_call" => {
                let message = transcript.calling("web", "web_search", item.get("action").raw());
                return transcript.say_model(&key, message, sink);
            }
            "function_call_output" | "custom_tool_call_output" | "tool_result" | "function_result" => {
                let (text, ok) = output(item.first(&["output", "result"]));
                let message = transcript.answer(&call, &item.text("name"), &text, ok);
                return transcript.say_answer(&key, message, sink);
            }
            _ => {}
        }
        transcript.report.frames += 1;
        ControlFlow::Continue(())
    }

    /// A user's item: each of its parts may be what was typed, or what Codex put beside it.
    fn user_item(
        &mut self,
        transcript: &mut Transcript,
        key: &str,
        content: Node<'_>,
        sink: Sink<'_>,
    ) -> ControlFlow<()> {
        let whole = said(content);
        if is_frame(&whole) {
            if whole.trim_start().starts_with("<turn_aborted>") && self.is_echo(Role::System, "abort", Way::Item) {
                transcript.report.frames += 1;
                return ControlFlow::Continue(());
            }
            return transcript.say_frame(key, Role::User, &whole, sink);
        }
        let (mut typed, mut frame) = (String::new(), String::new());
        for part in if content.is_list() { content.items() } else { vec![content] } {
            let text = said(part);
            let target = if is_frame(&text) { &mut frame } else { &mut typed };
            super::parts::push_paragraph(target, &text);
        }
        if !frame.is_empty() {
            transcript.say_frame(&format!("{key}#frame"), Role::User, &frame, sink)?;
        }
        if typed.is_empty() || self.is_echo(Role::User, &words_of(content), Way::Item) {
            transcript.report.frames += 1;
            return ControlFlow::Continue(());
        }
        transcript.say_turn(key, &typed, false, sink)
    }

    fn event(
        &mut self,
        transcript: &mut Transcript,
        event: &Fields<'_>,
        bytes: &[u8],
        sink: Sink<'_>,
    ) -> ControlFlow<()> {
        let key = transcript.key("", "", bytes);
        match event.text("type").as_ref() {
            "user_message" => {
                let text = event.text("message");
                if !text.is_empty() && !self.is_echo(Role::User, &text, Way::Event) {
                    return transcript.say_turn(&key, &text, is_frame(&text), sink);
                }
            }
            "agent_message" => {
                let text = event.text("message");
                if !text.is_empty() && !self.is_echo(Role::Assistant, &text, Way::Event) {
                    return transcript.say_model(&key, Message::new(Role::Assistant, 0, text), sink);
                }
            }
            "turn_aborted" => {
                let reason = event.text("reason");
                if matches!(reason.as_ref(), "" | "interrupted") && !self.is_echo(Role::System, "abort", Way::Event) {
                    return transcript.say_frame(&key, Role::User, "<turn_aborted>", sink);
                }
            }
            "thread_name_updated" => transcript.titled(&event.text("thread_name"), 3),
            "error" | "stream_error" => {
                let text = said(event.first(&["message", "error"]));
                return transcript.say_frame(&key, Role::System, &text, sink);
            }
            _ => {}
        }
        transcript.report.frames += 1;
        ControlFlow::Continue(())
    }
}

/// The words of an item that its event repeats: neither images nor what Codex put beside them.
fn words_of(content: Node<'_>) -> String {
    let mut words = String::new();
    for part in if content.is_list() { content.items() } else { vec![content] } {
        let text = part.text().unwrap_or_else(|| part.get("text").or_empty());
        if !is_frame(&text) {
            super::parts::push_paragraph(&mut words, &text);
        }
    }
    words
}

/// Whether a turn is Codex's own, not typed by a person.
fn is_frame(text: &str) -> bool {
    const FRAMES: &[&str] = &[
        "<environment_context>",
        "<user_instructions>",
        "<permissions instructions>",
        "<collaboration_mode>",
        "<turn_aborted>",
        "<user_shell_command>",
        "<skill>",
        "<apps_instructions>",
        "<model_switch>",
        "<personality_spec>",
        "<subagent_notification>",
        "<INSTRUCTIONS>",
        "<user_action>",
        "# AGENTS.md instructions",
        "Warning: The maximum number of unified exec processes",
    ];
    let text = text.trim_start();
    FRAMES.iter().any(|frame| text.starts_with(frame))
}

/// A tool's output and whether it succeeded: text, JSON in text, an object, or parts.
fn output(node: Node<'_>) -> (String, Option<bool>) {
    if let Some(text) = node.text() {
        if text.starts_with('{')
            && let Ok(inner) = Node::parse(&text)
        {
            let fields = inner.fields();
            if fields.has("output") || fields.has("stdout") {
                return of_object(&fields);
            }
        }
        let ok = exit_ok(&text);
        return (text.into_owned(), ok);
    }
    if node.is_object() {
        return of_object(&node.fields());
    }
    let text = said(node);
    let ok = exit_ok(&text);
    (text, ok)
}

fn of_object(fields: &Fields<'_>) -> (String, Option<bool>) {
    let mut text = said(fields.first(&["output", "content", "text", "stdout"]));
    if fields.has("stdout") {
        super::parts::push_paragraph(&mut text, &fields.text("stderr"));
    }
    let metadata = fields.get("metadata").fields();
    let code = fields.first(&["exitCode", "exit_code"]).number().or(metadata.get("exit_code").number());
    let ok = code.map(|code| code == 0.0).or(fields.get("success").flag());
    let ok = ok.or_else(|| exit_ok(&text));
    (text, ok)
}

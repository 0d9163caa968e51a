//! The messages that a line holds.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::SUBAGENT;
use super::line::{self, Line, Part, Piece};
use crate::import::lines;
use crate::import::scaffold::{self, Turn};
use crate::record::{Message, MessageForm, Origin, Role, TEXT_BYTES_MAX, ToolCall, ToolResult};

/// Arguments of all calls of a message beyond this are cut.
const ARGUMENTS_BYTES_MAX: usize = TEXT_BYTES_MAX / 8;

/// Calls whose answers are awaited at the same time; a model makes a few dozen at most.
const OPEN_CALLS_MAX: usize = 256;

/// A message with what its record needs.
pub(super) struct Draft {
    pub(super) message: Message,
    pub(super) origin: Origin,
}

/// Makes messages of lines, and remembers which calls await their answers.
#[derive(Default)]
pub(super) struct Messages {
    /// Calls whose answers have not come yet: their ids and the tools' names.
    pub(super) open_calls: Vec<(String, String)>,
    /// How many arguments were cut.
    pub(super) cut: u64,
}

impl Messages {
    /// The messages that a line holds.
    pub(super) fn drafts(&mut self, kind: &str, line: &Line<'_>) -> Vec<Draft> {
        let said = line.message.0.as_ref();
        let content: &[Part<'_>] = said.map_or(&[], |said| &said.content.0);
        let mut drafts = match kind {
            "user" => self.user(content, line),
            "assistant" => self.assistant(content, line.is_api_error_message.is_set()),
            "system" => self.system(if content.is_empty() { &line.content.0 } else { content }, line),
            "attachment" => match &line.attachment.0 {
                Some(added) if added.kind.as_str() == "queued_command" => {
                    let typed = matches!(added.command_mode.as_str(), "" | "prompt") && is_typed(&added.origin.0);
                    self.turn(&added.prompt.0, !typed)
                }
                _ => Vec::new(),
            },
            "tool_use" => self.call_line(line),
            "tool_result" => {
                let text = self.joined(line.output.0.iter().chain(&line.content.0));
                let name = line.name.as_str();
                vec![self.answer(line.tool_use_id.as_str(), name, text, !line.is_error.is_set())]
            }
            _ => Vec::new(),
        };
        if line.is_sidechain.is_set() {
            for draft in &mut drafts {
                draft.message.speaker = Some(SUBAGENT.to_owned());
                if draft.origin == Origin::User {
                    draft.origin = Origin::Agent;
                }
            }
        }
        drafts
    }

    fn user(&mut self, content: &[Part<'_>], line: &Line<'_>) -> Vec<Draft> {
        let mut drafts = Vec::new();
        for part in content.iter().filter(|part| part.kind.as_str() == "tool_result") {
            let text = self.pieces(&part.content.0);
            drafts.push(self.answer(part.tool_use_id.as_str(), "", text, !part.is_error.is_set()));
        }
        let said: Vec<&Part<'_>> = content.iter().filter(|part| part.kind.as_str() != "tool_result").collect();
        if line.is_compact_summary.is_set() {
            let text = self.joined(said);
            if !text.trim().is_empty() {
                let mut message = Message::new(Role::System, 0, text);
                message.form = MessageForm::Summary;
                drafts.push(Draft { message, origin: Origin::Agent });
            }
        } else {
            drafts.extend(self.turn(said, line.is_meta.is_set() || !is_typed(&line.origin.0)));
        }
        drafts
    }

    /// A person's turn: what was said, and apart from it what the tool framed it with.
    fn turn<'p, 'a: 'p>(&mut self, parts: impl IntoIterator<Item = &'p Part<'a>>, framed: bool) -> Vec<Draft> {
        let mut said = String::new();
        let mut frame = String::new();
        for part in parts {
            let text = self.part_text(part);
            let (target, text) = match scaffold::turn(&text) {
                Turn::Said(text) if !framed => (&mut said, text),
                Turn::Said(text) | Turn::Frame(text) => (&mut frame, text),
            };
            push_paragraph(target, &text);
        }
        let mut drafts = Vec::new();
        if !said.trim().is_empty() {
            drafts.push(Draft { message: Message::new(Role::User, 0, said), origin: Origin::User });
        }
        if !frame.trim().is_empty() {
            let mut message = Message::new(Role::User, 0, frame);
            message.form = MessageForm::Scaffold;
            drafts.push(Draft { message, origin: Origin::Tool });
        }
        drafts
    }

    fn assistant(&mut self, content: &[Part<'_>], failed: bool) -> Vec<Draft> {
        let text = self.joined(content.iter().filter(|part| part.kind.as_str() != "tool_use"));
        let mut message = Message::new(Role::Assistant, 0, text);
        if failed {
            // A message of the tool about the service, not the model's.
            message.form = MessageForm::Scaffold;
        }
        let mut room = ARGUMENTS_BYTES_MAX;
        for part in content.iter().filter(|part| part.kind.as_str() == "tool_use") {
            let call = self.call(part.id.as_str(), part.name.as_str(), part.input, &mut room);
            message.tool_calls.push(call);
        }
        if message.text.trim().is_empty() && message.tool_calls.is_empty() {
            return Vec::new();
        }
        vec![Draft { message, origin: Origin::Agent }]
    }

    fn call_line(&mut self, line: &Line<'_>) -> Vec<Draft> {
        let mut room = ARGUMENTS_BYTES_MAX;
        let mut message = Message::new(Role::Assistant, 0, "");
        message.tool_calls.push(self.call(line.id.as_str(), line.name.as_str(), line.input, &mut room));
        vec![Draft { message, origin: Origin::Agent }]
    }

    fn call(&mut self, id: &str, name: &str, input: Option<&RawValue>, room: &mut usize) -> ToolCall {
        if !id.is_empty() {
            if self.open_calls.len() == OPEN_CALLS_MAX {
                self.open_calls.remove(0);
            }
            self.open_calls.push((id.to_owned(), name.to_owned()));
        }
        let (arguments, was_cut) = lines::cut(input.map_or(Cow::Borrowed(""), compact), (*room).max(128));
        *room = room.saturating_sub(arguments.len());
        self.cut += u64::from(was_cut);
        ToolCall { call: id.to_owned(), tool: name.to_owned(), arguments }
    }

    fn answer(&mut self, call: &str, name: &str, text: String, ok: bool) -> Draft {
        let asked = self.open_calls.iter().position(|(id, _)| id == call && !call.is_empty());
        let tool = match asked {
            Some(at) => self.open_calls.remove(at).1,
            None => name.to_owned(),
        };
        let text = match scaffold::without_reminders(&text) {
            Cow::Borrowed(_) => text,
            Cow::Owned(clean) => clean,
        };
        let ok = ok && !text.starts_with("<tool_use_error>");
        let origin = if tool.starts_with("Web") { Origin::Web } else { Origin::Tool };
        let mut message = Message::new(Role::Tool, 0, text);
        message.tool_result = Some(ToolResult { call: call.to_owned(), tool, ok: Some(ok) });
        Draft { message, origin }
    }

    fn system(&mut self, content: &[Part<'_>], line: &Line<'_>) -> Vec<Draft> {
        // A boundary marks the place of a summary that follows; it says nothing itself.
        if line.subtype.as_str() == "compact_boundary" {
            return Vec::new();
        }
        let text = self.joined(content);
        if text.trim().is_empty() {
            return Vec::new();
        }
        let mut message = Message::new(Role::System, 0, text);
        message.form = MessageForm::Scaffold;
        vec![Draft { message, origin: Origin::Tool }]
    }

    fn joined<'p, 'a: 'p>(&self, parts: impl IntoIterator<Item = &'p Part<'a>>) -> String {
        let mut text = String::new();
        for part in parts {
            push_paragraph(&mut text, &self.part_text(part));
        }
        text
    }

    /// The text of a block; images and documents are named; thinking is left out.
    fn part_text<'p>(&self, part: &'p Part<'_>) -> Cow<'p, str> {
        match part.kind.as_str() {
            kind @ ("image" | "document") => {
                Cow::Owned(part.source.0.as_ref().map_or_else(|| format!("[{kind}]"), |source| source.named(kind)))
            }
            "thinking" | "redacted_thinking" | "tool_use" => Cow::Borrowed(""),
            _ => Cow::Borrowed(part.text.as_str()),
        }
    }

    fn pieces(&self, pieces: &[Piece<'_>]) -> String {
        let mut text = String::new();
        for piece in pieces {
            match piece.kind.as_str() {
                kind @ ("image" | "document") => {
                    let named =
                        piece.source.0.as_ref().map_or_else(|| format!("[{kind}]"), |source| source.named(kind));
                    push_paragraph(&mut text, &named);
                }
                _ => push_paragraph(&mut text, piece.text.as_str()),
            }
        }
        text
    }
}

/// Whether a line's origin lets it be a person's.
fn is_typed(origin: &Option<line::Origin<'_>>) -> bool {
    origin.as_ref().is_none_or(|origin| !origin.kind.as_str().ends_with("notification"))
}

fn push_paragraph(text: &mut String, more: &str) {
    if more.is_empty() {
        return;
    }
    if !text.is_empty() {
        text.push('\n');
    }
    text.push_str(more);
}

/// Arguments as compact JSON with its characters written out.
fn compact(input: &RawValue) -> Cow<'_, str> {
    let text = input.get();
    if matches!(text, "null" | "{}") {
        return Cow::Borrowed("");
    }
    // Escaped letters would not be found by their words; most writers do not escape them.
    if text.contains("\\u") {
        let value = serde_json::from_str::<serde_json::Value>(text);
        return value.map_or(Cow::Borrowed(text), |value| Cow::Owned(value.to_string()));
    }
    Cow::Borrowed(text)
}

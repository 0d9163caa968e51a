//! Sessions of Gemini CLI: `session-*.json`, a document that is written anew, and `session-*.jsonl`, its
//! successor, which is appended to.
//!
//! What is particular about them:
//! - An id may come again: the last message of an id is the one that counts.
//! - In the JSON Lines, `$set` changes what is known of the session (or its messages), and `$rewindTo` takes
//!   back a message and all after it. They are read twice: first for what counts, then for what is said.
//!   What was read before and is taken back now is [`Item::Withdrawn`].
//! - The working directory is in `.project_root` beside the folder of the sessions, where it is known at all; else there
//!   is the SHA-256 of its path.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use rustc_hash::FxHashMap;
use xxhash_rust::xxh3::xxh3_64;

use super::lines::{Lines, Next};
use super::node::{Fields, Node};
use super::parts::said;
use super::transcript::{ARGUMENTS_BYTES_MAX, Sink, Transcript, document, exit_ok, json_lines, refused, time};
use super::{Cursor, Folder, Importer, Item, Report};
use crate::error::Result;
use crate::record::{Message, Role};

const TOOL: &str = "gemini";

/// Reads Gemini CLI's sessions.
#[derive(Debug, Default, Clone, Copy)]
pub struct Gemini;

impl Importer for Gemini {
    fn tool(&self) -> &'static str {
        TOOL
    }

    fn detect(&self, path: &Path, head: &[u8]) -> bool {
        let is = |wanted: &str| path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case(wanted));
        let head = String::from_utf8_lossy(head);
        let has = |word: &str| head.contains(&format!("\"{word}\""));
        let of_session = has("projectHash") && has("sessionId") && (has("startTime") || has("lastUpdated"));
        if is("jsonl") {
            return of_session && head.lines().next().is_some_and(|line| line.contains("\"projectHash\""));
        }
        let said_by_gemini = head.contains("\"gemini\"") && has("history") && has("parts");
        is("json") && (of_session && !has("toolSets") || said_by_gemini)
    }

    fn default_places(&self, home: &Path) -> Vec<PathBuf> {
        vec![home.join(".gemini").join("tmp")]
    }

    fn rewrites(&self) -> bool {
        true
    }

    fn read(
        &self,
        path: &Path,
        from: Option<&Cursor>,
        sink: &mut dyn FnMut(Item) -> ControlFlow<()>,
    ) -> Result<Report> {
        if path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("jsonl")) {
            read_lines(path, from, sink)
        } else {
            read_document(path, from, sink)
        }
    }
}

fn read_document(path: &Path, from: Option<&Cursor>, sink: Sink<'_>) -> Result<Report> {
    let mut transcript = Transcript::new(TOOL, path, None);
    let Some((text, cursor)) = document(&mut transcript, path, from)? else { return Ok(transcript.report) };
    let node = Node::parse(&text).map_err(|error| refused(path, format!("it does not parse: {error}")))?;
    let fields = node.fields();
    about(&mut transcript, &fields, path);
    let messages = fields.first(&["messages", "history"]).items();
    let mut last: FxHashMap<u64, usize> = FxHashMap::default();
    for (place, message) in messages.iter().enumerate() {
        if let Some(id) = print_of(*message) {
            last.insert(id, place);
        }
    }
    for (place, message) in messages.iter().enumerate() {
        transcript.report.lines += 1;
        if print_of(*message).is_some_and(|id| last.get(&id) != Some(&place)) {
            transcript.report.frames += 1;
            continue;
        }
        if say(&mut transcript, *message, sink).is_break() {
            transcript.report.stopped = true;
            return Ok(transcript.finish(Cursor::default(), sink));
        }
    }
    summary(&mut transcript, &fields.text("summary"), sink);
    Ok(transcript.finish(cursor, sink))
}

/// The session's summary, which is its title, too.
fn summary(transcript: &mut Transcript, text: &str, sink: Sink<'_>) {
    if text.trim().is_empty() {
        return;
    }
    transcript.titled(text, 2);
    let key = format!("summary:{:016x}", xxh3_64(text.as_bytes()));
    transcript.report.stopped |= transcript.say_summary(&key, text, sink).is_break();
}

fn print_of(message: Node<'_>) -> Option<u64> {
    message.get("id").text().map(|id| xxh3_64(id.as_bytes()))
}

/// What the head says of the session.
fn about(transcript: &mut Transcript, fields: &Fields<'_>, path: &Path) {
    let id = fields.text("sessionId");
    if !id.is_empty() {
        transcript.enter(&id);
    }
    transcript.at(time(fields.first(&["startTime", "start_time"])));
    if let Some(folder) = fields.get("directories").items().first() {
        transcript.held_in(&folder.or_empty());
    }
    // …/tmp/<project>/chats/session-….json
    if let Some(project) = path.parent().and_then(Path::parent)
        && let Ok(root) = std::fs::read_to_string(project.join(".project_root"))
    {
        transcript.held_in(root.trim());
    }
    let hash = fields.text("projectHash");
    if !hash.is_empty() {
        transcript.held_in_named(Folder::Hash(hash.into_owned()));
    }
}

/// What counts of a file of lines.
struct Live {
    /// For each id, by its fingerprint, the number of the line whose message counts, counted from 1.
    lines: FxHashMap<u64, u64>,
    /// Ids that were taken back and did not come again.
    withdrawn: HashMap<u64, String>,
}

/// Reads the file once for what counts in it.
fn live(path: &Path) -> Result<Live> {
    let mut lines = Lines::open(path, None)?;
    let mut order: Vec<u64> = Vec::new();
    let mut live = Live { lines: FxHashMap::default(), withdrawn: HashMap::new() };
    let mut names: FxHashMap<u64, String> = FxHashMap::default();
    loop {
        let number = lines.number + 1;
        let (line, last) = match lines.next()? {
            Next::Line(line) => (line, false),
            Next::End { rest, .. } => (rest, true),
            Next::TooLong => continue,
        };
        // Only lines with an id or an operation matter here.
        if let Ok(node) = std::str::from_utf8(line).map_err(|_| ()).and_then(|text| Node::parse(text).map_err(|_| ())) {
            let fields = node.fields();
            if let Some(target) = fields.get("$rewindTo").text() {
                let target = xxh3_64(target.as_bytes());
                if let Some(at) = order.iter().position(|id| *id == target) {
                    for id in order.drain(at..) {
                        live.lines.remove(&id);
                        live.withdrawn.insert(id, names.remove(&id).unwrap_or_default());
                    }
                }
            }
            let mut met = |id: &str, live: &mut Live| {
                let print = xxh3_64(id.as_bytes());
                if live.lines.insert(print, number).is_none() {
                    order.push(print);
                    names.insert(print, id.to_owned());
                }
                live.withdrawn.remove(&print);
            };
            for message in fields.get("$set").get("messages").items() {
                if let Some(id) = message.get("id").text() {
                    met(&id, &mut live);
                }
            }
            if let Some(id) = fields.get("id").text() {
                met(&id, &mut live);
            }
        }
        if last {
            return Ok(live);
        }
    }
}

fn read_lines(path: &Path, from: Option<&Cursor>, sink: Sink<'_>) -> Result<Report> {
    let live = live(path)?;
    // A message that was read may have been taken back or changed since: what is read again under the same
    // key adds nothing.
    let mut transcript = Transcript::new(TOOL, path, None);
    let restarted = from.is_some_and(|cursor| cursor.offset > 0) && !super::transcript::fits(path, from)?;
    let mut title = String::new();
    let mut number = 0;
    let cursor = json_lines(&mut transcript, path, None, sink, &mut |transcript, node, _, sink| {
        number = transcript.report.lines + 1;
        let fields = node.fields();
        if fields.has("sessionId") && fields.has("projectHash") {
            about(transcript, &fields, path);
        }
        let set = fields.get("$set").fields();
        for text in [fields.text("summary"), set.text("summary")] {
            if !text.is_empty() {
                title = text.into_owned();
            }
        }
        let counts = |message: Node<'_>| print_of(message).is_none_or(|id| live.lines.get(&id) == Some(&number));
        for message in set.get("messages").items() {
            if counts(message) {
                say(transcript, message, sink)?;
            }
        }
        if fields.has("type") && counts(node) {
            return say(transcript, node, sink);
        }
        transcript.report.frames += 1;
        ControlFlow::Continue(())
    })?;
    if !transcript.report.stopped {
        for id in live.withdrawn.values() {
            let session = transcript.current.clone();
            let key = transcript.key(id, "", id.as_bytes());
            transcript.report.stopped |= sink(Item::Withdrawn { session, key }).is_break();
        }
        summary(&mut transcript, &title, sink);
    }
    transcript.report.restarted = restarted;
    Ok(transcript.finish(cursor, sink))
}

/// Hands on one message, with its calls and their answers.
fn say(transcript: &mut Transcript, message: Node<'_>, sink: Sink<'_>) -> ControlFlow<()> {
    let fields = message.fields();
    let id = fields.text("id");
    transcript.at(time(fields.first(&["timestamp", "ts"])));
    let text = said(fields.first(&["content", "parts", "message"]));
    let key = transcript.key(&id, "", message.raw().as_bytes());
    match fields.first(&["type", "role"]).or_empty().as_ref() {
        "user" => {
            let framed = text.starts_with("This is the Gemini CLI. We are setting up the context for our chat")
                || text.starts_with("<session_context>");
            transcript.say_turn(&key, &text, framed, sink)
        }
        "gemini" | "model" | "assistant" => {
            let mut said_by_model = Message::new(Role::Assistant, 0, text);
            let calls = fields.get("toolCalls").items();
            let mut room = ARGUMENTS_BYTES_MAX;
            for call in &calls {
                let call = call.fields();
                let call = transcript.call(&call.text("id"), &call.text("name"), call.get("args").raw(), &mut room);
                said_by_model.tool_calls.push(call);
            }
            transcript.say_model(&key, said_by_model, sink)?;
            for (place, call) in calls.iter().enumerate() {
                answer(transcript, &id, place, call, sink)?;
            }
            ControlFlow::Continue(())
        }
        "info" | "error" | "warning" | "system" => transcript.say_frame(&key, Role::System, &text, sink),
        _ => {
            transcript.report.frames += 1;
            ControlFlow::Continue(())
        }
    }
}

fn answer(transcript: &mut Transcript, id: &str, place: usize, call: &Node<'_>, sink: Sink<'_>) -> ControlFlow<()> {
    let fields = call.fields();
    let status = fields.text("status").to_lowercase();
    let mut text = said(fields.get("result"));
    if text.is_empty() {
        text = said(fields.get("resultDisplay"));
    }
    if text.is_empty() && status.is_empty() {
        return ControlFlow::Continue(());
    }
    if let Some(at) = fields.get("timestamp").text().and_then(|at| at.parse().ok()) {
        transcript.at(Some(at));
    }
    let ok = match status.as_str() {
        "error" | "cancelled" | "canceled" | "failed" => Some(false),
        "" => exit_ok(&text),
        _ => exit_ok(&text).or(Some(true)),
    };
    if matches!(status.as_str(), "cancelled" | "canceled") && text.is_empty() {
        text = "Request cancelled.".to_owned();
    }
    let key = transcript.key(id, &format!("{place}"), call.raw().as_bytes());
    let message = transcript.answer(&fields.text("id"), &fields.text("name"), &text, ok);
    transcript.say_answer(&key, message, sink)
}

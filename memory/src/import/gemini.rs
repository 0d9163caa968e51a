//! Sessions of Gemini CLI: `session-*.json`, a document that is written anew, and `session-*.jsonl`, its
//! successor, which is appended to.
//!
//! What is particular about them:
//! - An id may come again: the last message of an id is the one that counts, and it stands where the first one stood.
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

use super::lines::{Lines, Next, mended};
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
    let mut last: FxHashMap<u64, Node<'_>> = FxHashMap::default();
    for message in &messages {
        if let Some(id) = print_of(*message) {
            last.insert(id, *message);
        }
    }
    for message in &messages {
        transcript.report.lines += 1;
        let Some(counts) = print_of(*message).map_or(Some(*message), |id| last.remove(&id)) else {
            transcript.report.frames += 1;
            continue;
        };
        if say(&mut transcript, counts, sink).is_break() {
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
    /// For each id, by its fingerprint, where its message stands and where what it says is.
    places: FxHashMap<u64, Placed>,
    /// Ids that were taken back and did not come again.
    withdrawn: HashMap<u64, String>,
}

/// A message that counts.
#[derive(Clone, Copy)]
struct Placed {
    /// The number of the line where its id came first, counted from 1: there it stands in the session.
    first: u64,
    /// The number of the line where its id came last, and where that line begins: that version counts.
    last: u64,
    last_at: u64,
}

/// Reads the file once for what counts in it.
fn live(path: &Path) -> Result<Live> {
    let mut lines = Lines::open(path, None)?;
    let mut order: Vec<u64> = Vec::new();
    let mut live = Live { places: FxHashMap::default(), withdrawn: HashMap::new() };
    let mut names: FxHashMap<u64, String> = FxHashMap::default();
    loop {
        let (number, last_at) = (lines.number + 1, lines.offset);
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
                        live.places.remove(&id);
                        live.withdrawn.insert(id, names.remove(&id).unwrap_or_default());
                    }
                }
            }
            let mut met = |id: &str, live: &mut Live| {
                let print = xxh3_64(id.as_bytes());
                let first = live.places.get(&print).map(|placed| placed.first);
                if first.is_none() {
                    order.push(print);
                    names.insert(print, id.to_owned());
                }
                live.places.insert(print, Placed { first: first.unwrap_or(number), last: number, last_at });
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

/// The messages of one line further on, by their fingerprints. Kept until another line is asked for: one line may hold
/// all messages of a session anew.
#[derive(Default)]
struct Later {
    at: Option<u64>,
    messages: FxHashMap<u64, String>,
}

impl Later {
    /// What the line that begins at this byte says under this fingerprint.
    fn message(&mut self, path: &Path, at: u64, print: u64) -> Option<&str> {
        if self.at != Some(at) {
            *self = Later { at: Some(at), messages: Self::of_line(path, at).unwrap_or_default() };
        }
        self.messages.get(&print).map(String::as_str)
    }

    fn of_line(path: &Path, at: u64) -> Option<FxHashMap<u64, String>> {
        let mut lines = Lines::at(path, at).ok()?;
        let line = match lines.next().ok()? {
            Next::Line(line) | Next::End { rest: line, .. } => mended(line),
            Next::TooLong => return None,
        };
        let node = Node::parse(&line).ok()?;
        let listed = node.get("$set").get("messages").items().into_iter().chain([node]);
        Some(listed.filter_map(|message| Some((print_of(message)?, message.raw().to_owned()))).collect())
    }
}

fn read_lines(path: &Path, from: Option<&Cursor>, sink: Sink<'_>) -> Result<Report> {
    let live = live(path)?;
    // A message that was read may have been taken back or changed since: what is read again under the same
    // key adds nothing.
    let mut transcript = Transcript::new(TOOL, path, None);
    let restarted = from.is_some_and(|cursor| cursor.offset > 0) && !super::transcript::fits(path, from)?;
    let mut title = String::new();
    let mut later = Later::default();
    let cursor = json_lines(&mut transcript, path, None, sink, &mut |transcript, node, _, sink| {
        let number = transcript.report.lines + 1;
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
        let mut later = |at, print| later.message(path, at, print).map(str::to_owned);
        for message in set.get("messages").items() {
            say_counting(transcript, &live, &mut later, (number, message), sink)?;
        }
        if fields.has("type") {
            return say_counting(transcript, &live, &mut later, (number, node), sink);
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

/// Hands on what counts of a message, where its id came first: what came under that id last.
fn say_counting(
    transcript: &mut Transcript,
    live: &Live,
    later: &mut dyn FnMut(u64, u64) -> Option<String>,
    (number, message): (u64, Node<'_>),
    sink: Sink<'_>,
) -> ControlFlow<()> {
    let Some(print) = print_of(message) else { return say(transcript, message, sink) };
    let Some(placed) = live.places.get(&print).filter(|placed| placed.first == number) else {
        transcript.report.frames += 1;
        return ControlFlow::Continue(());
    };
    let text = if placed.last == number { None } else { later(placed.last_at, print) };
    // A file that is written anew under the reader is read again, since its fingerprint has changed.
    let node = text.as_deref().and_then(|text| Node::parse(text).ok());
    say(transcript, node.unwrap_or(message), sink)
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

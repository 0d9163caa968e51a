//! Sessions of OpenCode: a tree of JSON files (`storage/session`, `message`, `part`), and since version 1.2 a
//! SQLite database (`opencode.db`) with the same objects in it.
//!
//! What is particular about them: a session is many files, of which the session's own is the one to give;
//! a message's parts are written while the model works, so that what is read again may say more than before.

mod database;
mod files;

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use super::node::{Fields, Node};
use super::parts::{named, push_paragraph};
use super::transcript::{ARGUMENTS_BYTES_MAX, Sink, Transcript, exit_ok, time};
use super::{Cursor, Importer, Item, Report};
use crate::error::Result;
use crate::record::{Message, MessageForm, Origin, Role};

const TOOL: &str = "opencode";

/// The database's name.
const DATABASE: &str = "opencode.db";

/// Reads OpenCode's sessions.
#[derive(Debug, Default, Clone, Copy)]
pub struct OpenCode;

impl Importer for OpenCode {
    fn tool(&self) -> &'static str {
        TOOL
    }

    fn detect(&self, path: &Path, head: &[u8]) -> bool {
        if head.starts_with(b"SQLite format 3\0") {
            return path.file_name().is_some_and(|name| {
                let name = name.to_string_lossy();
                name.starts_with("opencode") && name.ends_with(".db")
            });
        }
        // A session's own file; its messages and parts are read with it.
        let text = String::from_utf8_lossy(head);
        let in_session = path.ancestors().skip(1).take(3).any(|folder| folder.ends_with("session"));
        path.extension().is_some_and(|extension| extension == "json")
            && in_session
            && text.contains("\"id\"")
            && (text.contains("\"projectID\"") || text.contains("\"directory\""))
    }

    fn default_places(&self, home: &Path) -> Vec<PathBuf> {
        let folder = home.join(".local").join("share").join("opencode");
        vec![folder.join(DATABASE), folder.join("storage").join("session")]
    }

    fn rewrites(&self) -> bool {
        true
    }

    fn fingerprint(&self, path: &Path) -> Option<u64> {
        if is_database(path) { super::fingerprint_with_log(path) } else { files::fingerprint(path) }
    }

    fn read(
        &self,
        path: &Path,
        from: Option<&Cursor>,
        sink: &mut dyn FnMut(Item) -> ControlFlow<()>,
    ) -> Result<Report> {
        if is_database(path) { database::read(path, from, sink) } else { files::read(path, from, sink) }
    }
}

fn is_database(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "db")
}

/// What a session's object says of it.
fn about(transcript: &mut Transcript, session: &Fields<'_>) {
    let times = session.get("time").fields();
    transcript.at(time(times.get("created")));
    transcript.held_in(&session.text("directory"));
    let title = session.text("title");
    // What stands there until the model has made one.
    if !title.starts_with("New session - ") && !title.starts_with("Child session - ") {
        transcript.titled(&title, 2);
    }
    let parent = session.text("parentID");
    if !parent.is_empty() {
        transcript.session().parent = Some(parent.into_owned());
    }
}

/// One part of a message, put where it belongs.
#[derive(Default)]
struct Gathered {
    said: String,
    frame: String,
    calls: Vec<Call>,
    unfinished: bool,
}

struct Call {
    part: String,
    id: String,
    tool: String,
    arguments: String,
    /// What it answered, and whether it succeeded; `None` while it runs.
    answer: Option<(String, Option<bool>)>,
}

impl Gathered {
    fn part(&mut self, part: Node<'_>, id: &str) {
        let fields = part.fields();
        match fields.text("type").as_ref() {
            "text" => {
                let text = fields.text("text");
                let framed = fields.get("synthetic").is_true() || fields.get("ignored").is_true();
                push_paragraph(if framed { &mut self.frame } else { &mut self.said }, &text);
            }
            "file" => push_paragraph(&mut self.said, &named(part)),
            "tool" => {
                let state = fields.get("state").fields();
                let status = state.text("status");
                let answer = match status.as_ref() {
                    "pending" | "running" => {
                        self.unfinished = true;
                        None
                    }
                    "error" => Some((state.first(&["error", "output"]).or_empty().into_owned(), Some(false))),
                    _ => {
                        let text = state.text("output").into_owned();
                        let exit = state.get("metadata").get("exit").number();
                        let ok = exit.map(|code| code == 0.0).or_else(|| exit_ok(&text)).or(Some(true));
                        Some((text, ok))
                    }
                };
                let input = state.get("input");
                self.calls.push(Call {
                    part: id.to_owned(),
                    id: fields.text("callID").into_owned(),
                    tool: fields.text("tool").into_owned(),
                    arguments: if input.is_null() { String::new() } else { input.raw().to_owned() },
                    answer,
                });
            }
            _ => {}
        }
    }
}

/// Hands on a message with what its parts say. `is_last` is whether nothing follows it yet: if it is then
/// still being written, it is left for the next time.
fn say(
    transcript: &mut Transcript,
    id: &str,
    message: &Fields<'_>,
    gathered: Gathered,
    may_grow: bool,
    sink: Sink<'_>,
) -> ControlFlow<()> {
    transcript.report.lines += 1;
    let times = message.get("time").fields();
    let error = message.get("error").fields();
    let role = message.text("role");
    let done = !times.get("completed").is_null() || error.has("name") || !message.text("finish").is_empty();
    if may_grow && role == "assistant" && (!done || gathered.unfinished) {
        transcript.report.partial_bytes += 1;
        return ControlFlow::Continue(());
    }
    transcript.at(time(times.get("created")));
    transcript.moved_to(&message.get("path").get("cwd").or_empty());
    let key = transcript.key(id, "", gathered.said.as_bytes());
    if !gathered.frame.is_empty() {
        let role = if role == "user" { Role::User } else { Role::System };
        transcript.say_frame(&format!("{key}#frame"), role, &gathered.frame, sink)?;
    }
    if role == "user" {
        return transcript.say_turn(&key, &gathered.said, false, sink);
    }
    if message.get("summary").is_true() || message.text("mode") == "compaction" {
        return transcript.say_summary(&key, &gathered.said, sink);
    }
    let mut said = Message::new(Role::Assistant, 0, gathered.said);
    let mut room = ARGUMENTS_BYTES_MAX;
    for call in &gathered.calls {
        let call = transcript.call(&call.id, &call.tool, &call.arguments, &mut room);
        said.tool_calls.push(call);
    }
    transcript.say_model(&key, said, sink)?;
    for call in gathered.calls {
        let Some((text, ok)) = call.answer else { continue };
        let answer = transcript.answer(&call.id, &call.tool, &text, ok);
        let key = transcript.key(&call.part, "", text.as_bytes());
        transcript.say_answer(&key, answer, sink)?;
    }
    if error.has("name") {
        let name = error.text("name");
        let key = format!("{key}#error");
        if name.contains("Aborted") {
            return transcript.say_frame(&key, Role::User, "[Request interrupted by user]", sink);
        }
        let mut text = name.into_owned();
        push_paragraph(&mut text, &error.get("data").get("message").or_empty());
        let mut failure = Message::new(Role::System, 0, text);
        failure.form = MessageForm::Scaffold;
        return transcript.say(&key, failure, Origin::Tool, sink);
    }
    ControlFlow::Continue(())
}

//! What importers share while they read one file: its sessions, the time, the calls that await answers, and
//! the way of each message to the sink.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::ControlFlow;
use std::path::Path;

use jiff::Timestamp;
use xxhash_rust::xxh3::xxh3_128;

use super::lines::{self, Lines, Next};
use super::node::Node;
use super::parts::without_base64;
use super::scaffold::{self, Turn};
use super::{Cursor, Folder, Item, LINE_BYTES_MAX, Report};
use crate::error::{Error, Result};
use crate::marker;
use crate::record::{Message, MessageForm, Origin, Record, Role, TEXT_BYTES_MAX, ToolCall, ToolResult, Trust};
use crate::scope::Scope;
use crate::session::Session;

/// Text of a message beyond this is cut: calls and their arguments need room within a record's limit, too.
pub(super) const MESSAGE_BYTES_MAX: usize = TEXT_BYTES_MAX * 3 / 4;

/// Arguments of all calls of a message beyond this are cut.
pub(super) const ARGUMENTS_BYTES_MAX: usize = TEXT_BYTES_MAX / 8;

/// Calls whose answers are awaited at the same time; a model makes a few dozen at most.
const OPEN_CALLS_MAX: usize = 256;

/// Sessions of one file whose state is kept; beyond it those met so far have come to their end, and the state begins anew.
const SESSIONS_MAX: usize = 4096;

/// A title is a few words.
const TITLE_BYTES_MAX: usize = 200;

/// The longest path that is taken for one.
const FOLDER_BYTES_MAX: usize = 4096;

/// The longest id that is taken for one.
const ID_BYTES_MAX: usize = 200;

/// Where items go.
pub(super) type Sink<'s> = &'s mut dyn FnMut(Item) -> ControlFlow<()>;

/// Takes one line: its value and its bytes.
pub(super) type Take<'t> = &'t mut dyn FnMut(&mut Transcript, Node<'_>, &[u8], Sink<'_>) -> ControlFlow<()>;

/// What is known of a session while its file is read.
struct Known {
    session: Session,
    /// What the sink was told last.
    told: Option<Session>,
    /// How good the source of its title is.
    title_rank: u8,
    /// The place of its next message.
    position: u32,
    /// Where its next message is said, and what the sink was told of that.
    folder: Option<Folder>,
    told_folder: Option<Folder>,
}

/// One file being read.
pub(super) struct Transcript {
    tool: &'static str,
    pub(super) report: Report,
    sessions: HashMap<String, Known>,
    /// The sessions in the order of their first line.
    order: Vec<String>,
    /// Where a session that is met for the first time begins.
    first_position: u32,
    /// The session of lines that name none.
    pub(super) current: String,
    pub(super) last_at: Option<Timestamp>,
    file_at: Timestamp,
    /// Whether the file is read on: its sessions have a folder then that is not known here.
    read_on: bool,
    /// Where the session of the last line was when the file was left.
    left_in: Option<String>,
    /// Calls whose answers have not come yet: their ids and the tools' names.
    open_calls: Vec<(String, String)>,
}

impl Transcript {
    /// For a file of this tool. Without a better one, the session is named as the file.
    pub(super) fn new(tool: &'static str, path: &Path, from: Option<&Cursor>) -> Transcript {
        let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        let modified = std::fs::metadata(path).and_then(|metadata| metadata.modified()).ok();
        let current = from.and_then(|cursor| cursor.session.clone()).unwrap_or_else(|| short_name(stem));
        Transcript {
            tool,
            report: Report::default(),
            sessions: HashMap::new(),
            order: Vec::new(),
            first_position: from.map_or(0, |cursor| cursor.position),
            current,
            last_at: from.and_then(|cursor| cursor.last_at),
            file_at: modified.and_then(|time| Timestamp::try_from(time).ok()).unwrap_or(Timestamp::UNIX_EPOCH),
            read_on: from.is_some(),
            left_in: from.and_then(|cursor| cursor.folder.clone()),
            open_calls: from.map(|cursor| cursor.open_calls.clone()).unwrap_or_default(),
        }
    }

    /// The session of this id, which is known from then on, and that of what follows.
    pub(super) fn enter(&mut self, id: &str) -> &mut Session {
        self.current = short_name(id.to_owned());
        self.session()
    }

    /// The session of what is being read.
    pub(super) fn session(&mut self) -> &mut Session {
        if !self.sessions.contains_key(&self.current) {
            self.order.push(self.current.clone());
        }
        let (tool, first, left_in) = (self.tool, self.first_position, self.left_in.take());
        let known = self.sessions.entry(self.current.clone()).or_insert_with_key(|id| Known {
            session: Session::new(tool, id.clone(), Scope::root()),
            told: None,
            title_rank: 0,
            position: first,
            folder: left_in.map(Folder::Path),
            told_folder: None,
        });
        &mut known.session
    }

    /// The session was held in this folder, and so belongs to the project of its name.
    pub(super) fn held_in(&mut self, folder: &str) {
        let session = self.session();
        if folder.is_empty() || folder.len() > FOLDER_BYTES_MAX || session.directory.is_some() {
            return;
        }
        let name = folder.trim_end_matches(['/', '\\']).rsplit(['/', '\\']).next().unwrap_or_default();
        session.directory = Some(folder.to_owned());
        if session.project.is_none() {
            session.project = Some(name.to_owned()).filter(|name| !name.is_empty());
        }
    }

    /// What follows was said in this folder, wherever the session began.
    pub(super) fn moved_to(&mut self, folder: &str) {
        self.held_in(folder);
        if !folder.is_empty() && folder.len() <= FOLDER_BYTES_MAX {
            self.said_in(Folder::Path(folder.to_owned()));
        }
    }

    /// The session was held in a folder that the tool names so, for want of its path.
    pub(super) fn held_in_named(&mut self, folder: Folder) {
        if self.session().directory.is_none() {
            self.said_in(folder);
        }
    }

    fn said_in(&mut self, folder: Folder) {
        self.session();
        if let Some(known) = self.sessions.get_mut(&self.current) {
            known.folder = Some(folder);
        }
    }

    pub(super) fn on_branch(&mut self, branch: &str) {
        if !branch.is_empty() && branch.len() <= ID_BYTES_MAX {
            self.session().branch = Some(branch.to_owned());
        }
    }

    /// The session's title, unless one of a better source is known.
    pub(super) fn titled(&mut self, title: &str, rank: u8) {
        let title = one_line(title);
        if title.is_empty() {
            return;
        }
        self.session();
        if let Some(known) = self.sessions.get_mut(&self.current)
            && rank >= known.title_rank
        {
            known.title_rank = rank;
            known.session.title = Some(title);
        }
    }

    /// Time went on to this, where it is known.
    pub(super) fn at(&mut self, at: Option<Timestamp>) {
        self.last_at = at.or(self.last_at);
        if let Some(at) = at {
            let session = self.session();
            session.started_at = Some(session.started_at.map_or(at, |known| known.min(at)));
            session.ended_at = Some(session.ended_at.map_or(at, |known| known.max(at)));
        }
    }

    /// A call for a message, whose answer is awaited from now on. `room` is what is left for arguments.
    pub(super) fn call(&mut self, id: &str, tool: &str, arguments: &str, room: &mut usize) -> ToolCall {
        let known = !id.is_empty() && self.open_calls.iter().any(|(open, _)| open == id);
        if !known {
            if self.open_calls.len() == OPEN_CALLS_MAX {
                self.open_calls.remove(0);
            }
            self.open_calls.push((id.to_owned(), tool.to_owned()));
        }
        let arguments = match arguments {
            "null" | "{}" => "",
            arguments => arguments,
        };
        let arguments = readable(arguments);
        let clean = match without_base64(&arguments) {
            Cow::Borrowed(_) => arguments,
            Cow::Owned(clean) => Cow::Owned(clean),
        };
        let (arguments, was_cut) = lines::cut(clean, (*room).max(128));
        *room = room.saturating_sub(arguments.len());
        self.report.cut += u64::from(was_cut);
        ToolCall { call: id.to_owned(), tool: short_name(tool.to_owned()), arguments }
    }

    /// A message of the model that only calls one tool.
    pub(super) fn calling(&mut self, id: &str, tool: &str, arguments: &str) -> Message {
        let mut message = Message::new(Role::Assistant, 0, "");
        let mut room = ARGUMENTS_BYTES_MAX;
        message.tool_calls.push(self.call(id, tool, arguments, &mut room));
        message
    }

    /// A tool's answer. One whose call was never seen by this id answers the oldest call that has no id.
    pub(super) fn answer(&mut self, id: &str, tool: &str, text: &str, ok: Option<bool>) -> Message {
        let of_id = self.open_calls.iter().position(|(open, _)| open == id);
        let nameless = || self.open_calls.iter().position(|(open, _)| open.is_empty());
        let (call, known) = match of_id.or_else(nameless) {
            Some(at) => self.open_calls.remove(at),
            None => (id.to_owned(), tool.to_owned()),
        };
        let tool = if tool.is_empty() { known } else { tool.to_owned() };
        let text = scaffold::without_reminders(text);
        let mut message = Message::new(Role::Tool, 0, text);
        message.tool_result = Some(ToolResult { call, tool: short_name(tool), ok });
        message
    }

    /// Hands on a person's turn: what was said, and apart from it what the tool framed it with.
    pub(super) fn say_turn(&mut self, key: &str, text: &str, framed: bool, sink: Sink<'_>) -> ControlFlow<()> {
        match scaffold::turn(text) {
            Turn::Said(text) if !framed => self.say(key, Message::new(Role::User, 0, text), Origin::User, sink),
            Turn::Said(text) | Turn::Frame(text) => self.say_frame(key, Role::User, &text, sink),
        }
    }

    /// Hands on what the tool itself wrote: kept, and never searched.
    pub(super) fn say_frame(&mut self, key: &str, role: Role, text: &str, sink: Sink<'_>) -> ControlFlow<()> {
        let mut message = Message::new(role, 0, text);
        message.form = MessageForm::Scaffold;
        self.say(key, message, Origin::Tool, sink)
    }

    /// Hands on a summary.
    pub(super) fn say_summary(&mut self, key: &str, text: &str, sink: Sink<'_>) -> ControlFlow<()> {
        let mut message = Message::new(Role::System, 0, text);
        message.form = MessageForm::Summary;
        self.say(key, message, Origin::Agent, sink)
    }

    /// Hands on what the model said.
    pub(super) fn say_model(&mut self, key: &str, message: Message, sink: Sink<'_>) -> ControlFlow<()> {
        self.say(key, message, Origin::Agent, sink)
    }

    /// Hands on a tool's answer. One from the web is marked so.
    pub(super) fn say_answer(&mut self, key: &str, message: Message, sink: Sink<'_>) -> ControlFlow<()> {
        let tool = message.tool_result.as_ref().map(|result| result.tool.to_lowercase()).unwrap_or_default();
        let web = ["web", "fetch", "browse"].iter().any(|word| tool.starts_with(word)) || tool.ends_with("web_search");
        self.say(key, message, if web { Origin::Web } else { Origin::Tool }, sink)
    }

    /// Hands on a message under this key, if there is anything in it.
    pub(super) fn say(&mut self, key: &str, mut message: Message, origin: Origin, sink: Sink<'_>) -> ControlFlow<()> {
        let stripped = marker::strip(&message.text);
        if stripped.dropped > 0 {
            self.report.echoes += stripped.dropped as u64;
            message.text = stripped.text.into_owned();
        }
        if let Cow::Owned(clean) = without_base64(&message.text) {
            message.text = clean;
        }
        if message.text.contains('\0') {
            message.text = message.text.replace('\0', "\u{FFFD}");
        }
        if message.text.trim().is_empty() && message.tool_calls.is_empty() && message.tool_result.is_none() {
            self.report.frames += 1;
            return ControlFlow::Continue(());
        }
        let (text, was_cut) = lines::cut(Cow::Owned(std::mem::take(&mut message.text)), MESSAGE_BYTES_MAX);
        message.text = text;
        self.report.cut += u64::from(was_cut);
        if self.sessions.len() > SESSIONS_MAX {
            self.end_others(sink)?;
        }
        self.session();
        let at = self.last_at.unwrap_or(self.file_at);
        let Some(known) = self.sessions.get_mut(&self.current) else { return ControlFlow::Continue(()) };
        if known.folder != known.told_folder {
            let begun_there = matches!(&known.folder, Some(Folder::Path(folder)) if known.told_folder.is_none()
                && !self.read_on && known.session.directory.as_ref() == Some(folder));
            known.told_folder.clone_from(&known.folder);
            if let Some(folder) = known.folder.clone().filter(|_| !begun_there) {
                sink(Item::Folder { session: self.current.clone(), folder })?;
            }
        }
        if known.told.as_ref().is_none_or(|told| is_news(told, &known.session)) {
            known.told = Some(known.session.clone());
            sink(Item::Session(known.session.clone()))?;
        }
        message.position = known.position;
        let mut record = Record::new(Scope::root(), self.tool, origin, message);
        record.trust = if matches!(origin, Origin::Tool | Origin::Web) { Trust::Untrusted } else { Trust::Plain };
        record.session = Some(self.current.clone());
        record.key = Some(key.to_owned());
        record.created_at = at;
        sink(Item::Message(Box::new(record)))?;
        known.position += 1;
        self.report.messages += 1;
        ControlFlow::Continue(())
    }

    /// What names a message within its session: its own id with the part's name, or else its content and place.
    pub(super) fn key(&mut self, id: &str, part: &str, content: &[u8]) -> String {
        let is_id = !id.is_empty()
            && id.len() <= ID_BYTES_MAX
            && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b':' | b'.' | b'/'));
        match (is_id, part) {
            (true, "") => id.to_owned(),
            (true, part) => format!("{id}#{}", short_name(part.to_owned())),
            (false, _) => {
                self.session();
                let place = self.sessions.get(&self.current).map_or(0, |known| known.position);
                format!("x{:032x}@{place}", xxh3_128(content))
            }
        }
    }

    /// Ends all sessions but that of what is being read, so that what is known of others has room.
    fn end_others(&mut self, sink: Sink<'_>) -> ControlFlow<()> {
        let current = self.sessions.remove_entry(&self.current);
        for id in std::mem::take(&mut self.order) {
            if let Some(known) = self.sessions.remove(&id)
                && known.told.is_some()
            {
                sink(Item::End(known.session))?;
            }
        }
        self.order.extend(current.as_ref().map(|(id, _)| id.clone()));
        self.sessions.extend(current);
        ControlFlow::Continue(())
    }

    /// Says that nothing more comes, and answers the report.
    pub(super) fn finish(mut self, cursor: Cursor, sink: Sink<'_>) -> Report {
        if !self.report.stopped {
            for id in &self.order {
                // Of a session in which nothing was said there is nothing to say.
                if let Some(known) = self.sessions.get(id)
                    && (known.told.is_some() || self.first_position > 0)
                    && sink(Item::End(known.session.clone())).is_break()
                {
                    self.report.stopped = true;
                    break;
                }
            }
        }
        let folder = match self.sessions.get(&self.current).and_then(|known| known.folder.clone()) {
            Some(Folder::Path(folder)) => Some(folder),
            _ => self.left_in,
        };
        let reached = self.sessions.values().map(|known| known.position).max().unwrap_or(self.first_position);
        self.report.cursor = Cursor {
            position: reached,
            last_at: self.last_at,
            open_calls: self.open_calls,
            session: Some(self.current),
            folder,
            ..cursor
        };
        self.report
    }
}

/// Reads a file of one JSON value a line. `take` is given each line's value, its bytes and its number.
pub(super) fn json_lines(
    transcript: &mut Transcript,
    path: &Path,
    from: Option<&Cursor>,
    sink: Sink<'_>,
    take: Take<'_>,
) -> Result<Cursor> {
    let mut lines = Lines::open(path, from)?;
    transcript.report.restarted = lines.restarted;
    loop {
        let before = (lines.offset, lines.number);
        let number = before.1 + 1;
        let flow = match lines.next()? {
            Next::End { rest, bytes } => {
                // A whole object needs no line end to be whole; anything else is still being written.
                if !is_whole(rest) {
                    transcript.report.partial_bytes = bytes;
                    break;
                }
                let flow = json_line(transcript, rest, number, sink, take);
                lines.take_rest(bytes);
                flow
            }
            Next::TooLong => {
                transcript.report.skip(number, format!("it is longer than {LINE_BYTES_MAX} bytes"));
                ControlFlow::Continue(())
            }
            Next::Line(line) => json_line(transcript, line, number, sink, take),
        };
        if flow.is_break() {
            (lines.offset, lines.number) = before;
            transcript.report.stopped = true;
            break;
        }
        transcript.report.lines += 1;
    }
    let (head, tail) = lines.prints(lines.offset)?;
    Ok(Cursor { offset: lines.offset, line: lines.number, head, tail, ..Cursor::default() })
}

/// Whether the cursor still fits the file, so that what it says of the session holds.
pub(super) fn fits(path: &Path, from: Option<&Cursor>) -> Result<bool> {
    Ok(from.is_some_and(|cursor| cursor.offset > 0) && !Lines::open(path, from)?.restarted)
}

/// Whether bytes without a line end are a whole line.
fn is_whole(rest: &[u8]) -> bool {
    let rest = rest.trim_ascii();
    rest.first() == Some(&b'{')
        && rest.last() == Some(&b'}')
        && serde_json::from_str::<serde::de::IgnoredAny>(&lines::mended(rest)).is_ok()
}

fn json_line(
    transcript: &mut Transcript,
    bytes: &[u8],
    number: u64,
    sink: Sink<'_>,
    take: Take<'_>,
) -> ControlFlow<()> {
    let trimmed = bytes.trim_ascii();
    if trimmed.is_empty() {
        transcript.report.frames += 1;
        return ControlFlow::Continue(());
    }
    if trimmed.iter().all(|&byte| byte == 0) {
        transcript.report.skip(number, "it holds nothing but NUL bytes");
        return ControlFlow::Continue(());
    }
    if trimmed[0] != b'{' {
        transcript.report.skip(number, "it is no JSON object");
        return ControlFlow::Continue(());
    }
    // The common line parses as it is; only one that does not is copied and mended.
    if let Ok(text) = std::str::from_utf8(trimmed)
        && !may_have_half_a_character(text)
        && let Ok(node) = Node::parse(text)
    {
        return take(transcript, node, trimmed, sink);
    }
    let mended = lines::mended(trimmed);
    match Node::parse(&mended) {
        Ok(node) => take(transcript, node, trimmed, sink),
        Err(error) => {
            transcript.report.skip(number, format!("it does not parse: {error}"));
            ControlFlow::Continue(())
        }
    }
}

/// Whether there may be an escape that stands for half a character: those are mended before the line is read.
fn may_have_half_a_character(line: &str) -> bool {
    line.contains("\\ud") || line.contains("\\uD")
}

/// A whole document, read within the limit for one value, and its cursor; `None` where it is as the cursor left it.
pub(super) fn document(
    transcript: &mut Transcript,
    path: &Path,
    from: Option<&Cursor>,
) -> Result<Option<(String, Cursor)>> {
    let mut lines = Lines::open(path, from)?;
    let whole = std::fs::metadata(path).map_err(Error::io("read the transcript", path))?.len();
    transcript.report.restarted = lines.restarted;
    if from.is_some_and(|cursor| cursor.offset > 0 && !lines.restarted && cursor.offset == whole) {
        transcript.report.cursor = from.cloned().unwrap_or_default();
        return Ok(None);
    }
    if whole > LINE_BYTES_MAX as u64 {
        let reason = format!("it is one document of {whole} bytes, the limit is {LINE_BYTES_MAX}");
        return Err(Error::Transcript { path: path.to_owned(), reason });
    }
    let bytes = std::fs::read(path).map_err(Error::io("read the transcript", path))?;
    let text = lines::mended_document(&bytes);
    let length = bytes.len() as u64;
    drop(bytes);
    let (head, tail) = lines.prints(length)?;
    Ok(Some((text, Cursor { offset: length, head, tail, ..Cursor::default() })))
}

/// The error that a document is not what its tool writes.
pub(super) fn refused(path: &Path, reason: impl std::fmt::Display) -> Error {
    Error::Transcript { path: path.to_owned(), reason: reason.to_string() }
}

/// A time as tools write it: RFC 3339, or seconds or milliseconds since 1970.
pub(super) fn time(node: Node<'_>) -> Option<Timestamp> {
    if let Some(text) = node.text() {
        return text.parse::<Timestamp>().ok();
    }
    let number = node.number()?;
    // No transcript is older than 2001 in milliseconds, nor from beyond the year 5000 in seconds.
    let ms = if number.abs() >= 1e11 { number } else { number * 1000.0 };
    Timestamp::from_millisecond(ms as i64).ok()
}

/// Whether the head or end of a shell's answer says with which code it ended, and whether that is 0.
pub(super) fn exit_ok(text: &str) -> Option<bool> {
    const MARKS: &[&str] = &["exit code: ", "exit code ", "exited with code ", "exit_code\":", "exit status: "];
    let head = &text[..text.floor_char_boundary(300)];
    let tail = &text[text.ceil_char_boundary(text.len().saturating_sub(300))..];
    for part in [head, tail] {
        let part = part.to_ascii_lowercase();
        for mark in MARKS {
            // Of a line of its own, or of a header: not in the middle of a sentence.
            for (at, _) in part.match_indices(mark) {
                let line = part[..at].rsplit('\n').next().unwrap_or_default();
                let code = part[at + mark.len()..].trim_start();
                let digits = code.trim_start_matches('-').bytes().take_while(u8::is_ascii_digit).count();
                if line.len() <= 24 && digits > 0 {
                    return Some(code[..digits].bytes().all(|digit| digit == b'0') && !code.starts_with('-'));
                }
            }
        }
    }
    None
}

/// JSON with its letters written out: escaped ones would not be found by their words.
fn readable(json: &str) -> Cow<'_, str> {
    if json.contains("\\u") && json.starts_with(['{', '[']) {
        let value = serde_json::from_str::<serde_json::Value>(json);
        return value.map_or(Cow::Borrowed(json), |value| Cow::Owned(value.to_string()));
    }
    Cow::Borrowed(json)
}

/// Whether a session learned more than that time went on.
fn is_news(told: &Session, known: &Session) -> bool {
    told.title != known.title || told.branch != known.branch || told.directory != known.directory
}

/// A name within the limits of one.
fn short_name(mut name: String) -> String {
    if name.len() > ID_BYTES_MAX {
        let print = format!("{:032x}", xxh3_128(name.as_bytes()));
        name.truncate(name.floor_char_boundary(ID_BYTES_MAX - print.len()));
        name.push_str(&print);
    }
    name
}

/// A title on one line.
pub(super) fn one_line(title: &str) -> String {
    let title = &title[..title.floor_char_boundary(8 * TITLE_BYTES_MAX)];
    let words: Vec<&str> = title.split_whitespace().collect();
    let mut title = words.join(" ");
    title.truncate(title.floor_char_boundary(TITLE_BYTES_MAX));
    title
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_all_ways_that_tools_write_them() {
        let read = |json: &str| time(Node::parse(json).unwrap()).map(|at| at.to_string());
        assert_eq!(read("\"2026-05-04T10:21:00Z\"").as_deref(), Some("2026-05-04T10:21:00Z"));
        assert_eq!(read("1730000100000").as_deref(), Some("2024-10-27T03:35:00Z"));
        assert_eq!(read("1730000100.5").as_deref(), Some("2024-10-27T03:35:00.5Z"));
        for odd in ["\"[cut]\"", "1e300", "{}", "null", "-1e17"] {
            assert_eq!(read(odd), None, "{odd}");
        }
    }

    #[test]
    fn an_exit_code_is_read_from_where_tools_put_it() {
        for (text, ok) in [
            ("Exit code: 0\nWall time: 1 s\nOutput:\n…", Some(true)),
            ("Command: ls\nOutput: no\nExit Code: 2\nSignal: 0", Some(false)),
            ("Process exited with code 101\n", Some(false)),
            ("the exit code of the whole program is explained on exit code 3 of the manual", None),
            ("all good", None),
            ("Exit Code: (none)", None),
        ] {
            assert_eq!(exit_ok(text), ok, "{text}");
        }
    }
}

//! Transcripts of Claude Code: one JSON object a line.
//!
//! What is particular about them:
//! - Most `user` lines are answers of tools; one answer of the model spans several lines.
//! - `isCompactSummary` and `summary` lines are about a session. A `summary` at the head of a file is most
//!   often about *another* session, the one that holds its `leafUuid`; only when that is in this file does it
//!   name this session, and otherwise it is among [`Report::other_titles`].
//! - Commands, their echoes, reminders and hook output stand in the user's turns; they are kept as
//!   [`MessageForm::Scaffold`], which is never searched.
//! - A subagent's turns stand in the main file (`isSidechain`), or in a file of their own. In the main file
//!   they are told by their speaker, [`SUBAGENT`]; a file of their own is a session with a parent.
//! - The model's thinking is not kept: it was not said.

mod line;
mod messages;

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde_json::value::RawValue;
use xxhash_rust::xxh3::xxh3_128;

use super::lines::{self, Lines, Next};
use super::parts::without_base64;
use super::{Cursor, Folder, Importer, Item, LINE_BYTES_MAX, Report};
use crate::error::{Error, Result};
use crate::marker;
use crate::record::{Message, MessageForm, Origin, Record, Role, TEXT_BYTES_MAX, Trust};
use crate::scope::Scope;
use crate::session::Session;
use line::Line;
use messages::{Draft, Messages};

/// The speaker of messages that a subagent, or the model that gave it its task, said.
pub const SUBAGENT: &str = "subagent";

const TOOL: &str = "claude-code";

/// Text of a message beyond this is cut: calls and their arguments need room within a record's limit, too.
const MESSAGE_BYTES_MAX: usize = TEXT_BYTES_MAX * 3 / 4;

/// Sessions and agents of one file whose state is kept: a file holds one and its subagents. Where there are more, those
/// met first have come to their end.
const SESSIONS_MAX: usize = 256;

/// Summaries at a file's head that wait for the line they are about.
const WAITING_SUMMARIES_MAX: usize = 64;

/// A title is a few words.
const TITLE_BYTES_MAX: usize = 200;

/// Reads Claude Code's transcripts.
#[derive(Debug, Default, Clone, Copy)]
pub struct ClaudeCode;

impl Importer for ClaudeCode {
    fn tool(&self) -> &'static str {
        TOOL
    }

    fn detect(&self, path: &Path, head: &[u8]) -> bool {
        let head = String::from_utf8_lossy(head);
        let is = |extension: &str| path.extension().is_some_and(|found| found.eq_ignore_ascii_case(extension));
        let has = |field: &str| head.contains(&format!("\"{field}\""));
        if is("json") {
            return has("loglines");
        }
        // Other tools write JSON Lines with some of these fields, none writes such a pair.
        is("jsonl")
            && ((has("sessionId") && (has("parentUuid") || has("uuid") || has("isSidechain") || has("requestId")))
                || (has("leafUuid") && has("summary"))
                || (has("file-history-snapshot") && has("messageId") && has("snapshot")))
            && !has("payload")
    }

    fn default_places(&self, home: &Path) -> Vec<PathBuf> {
        vec![home.join(".claude").join("projects"), home.join(".config").join("claude").join("projects")]
    }

    fn read(
        &self,
        path: &Path,
        from: Option<&Cursor>,
        sink: &mut dyn FnMut(Item) -> ControlFlow<()>,
    ) -> Result<Report> {
        if path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json")) {
            return read_export(path, from, sink);
        }
        let mut lines = Lines::open(path, from)?;
        let kept = if lines.restarted { None } else { from };
        let mut reader = Reader::new(path, kept);
        reader.report.restarted = lines.restarted;
        loop {
            let before = (lines.offset, lines.number);
            let number = before.1 + 1;
            let flow = match lines.next()? {
                Next::End { rest, bytes } => {
                    // A whole object needs no line end to be whole; anything else is still being written.
                    if !Reader::is_whole(rest) {
                        reader.report.partial_bytes = bytes;
                        break;
                    }
                    let flow = reader.line(rest, number, sink);
                    lines.take_rest(bytes);
                    flow
                }
                Next::TooLong => {
                    reader.report.skip(number, format!("it is longer than {LINE_BYTES_MAX} bytes"));
                    ControlFlow::Continue(())
                }
                Next::Line(line) => reader.line(line, number, sink),
            };
            if flow.is_break() {
                (lines.offset, lines.number) = before;
                reader.report.stopped = true;
                break;
            }
            reader.report.lines += 1;
        }
        if !reader.report.stopped {
            reader.end(sink);
        }
        let (head, tail) = lines.prints(lines.offset)?;
        Ok(reader.into_report(Cursor { offset: lines.offset, line: lines.number, head, tail, ..Cursor::default() }))
    }
}

/// Reads an export of a session from the web: one object with its lines as a list.
fn read_export(path: &Path, from: Option<&Cursor>, sink: &mut dyn FnMut(Item) -> ControlFlow<()>) -> Result<Report> {
    #[derive(serde::Deserialize)]
    struct Export<'a> {
        #[serde(borrow)]
        loglines: Vec<&'a RawValue>,
    }
    let mut lines = Lines::open(path, from)?;
    let whole = std::fs::metadata(path).map_err(Error::io("read the transcript", path))?.len();
    if from.is_some_and(|cursor| !lines.restarted && cursor.offset == whole) {
        return Ok(Report { cursor: from.cloned().unwrap_or_default(), ..Report::default() });
    }
    let refuse = |reason: String| Error::Transcript { path: path.to_owned(), reason };
    if whole > LINE_BYTES_MAX as u64 {
        return Err(refuse(format!("it is one document of {whole} bytes, the limit is {LINE_BYTES_MAX}")));
    }
    let bytes = std::fs::read(path).map_err(Error::io("read the transcript", path))?;
    let text = lines::mended_document(&bytes);
    let export: Export<'_> =
        serde_json::from_str(&text).map_err(|error| refuse(format!("it does not parse: {error}")))?;
    let mut reader = Reader::new(path, None);
    reader.report.restarted = lines.restarted;
    for (index, entry) in export.loglines.iter().enumerate() {
        if reader.line(entry.get().as_bytes(), index as u64 + 1, sink).is_break() {
            reader.report.stopped = true;
            return Ok(reader.into_report(Cursor::default()));
        }
        reader.report.lines += 1;
    }
    reader.end(sink);
    let (head, tail) = lines.prints(bytes.len() as u64)?;
    Ok(reader.into_report(Cursor { offset: bytes.len() as u64, head, tail, ..Cursor::default() }))
}

/// What is known of a session while its file is read.
struct Known {
    session: Session,
    /// What the sink was told last.
    told: Option<Session>,
    /// How good the source of its title is.
    title_rank: u8,
    /// Where its last line was said, and what the sink was told of that.
    folder: Option<String>,
    told_folder: Option<String>,
}

struct Reader {
    report: Report,
    sessions: HashMap<String, Known>,
    /// The sessions in the order of their first line.
    order: Vec<String>,
    /// The session of lines that name none.
    fallback: String,
    /// Whether the file is a subagent's own.
    agent_file: bool,
    parent: Option<String>,
    position: u32,
    last_at: Option<Timestamp>,
    file_at: Timestamp,
    messages: Messages,
    /// Summaries that came before any message: their leaf and text.
    waiting: Vec<(String, String)>,
    any_message: bool,
    /// Whether the file is read on: its sessions have a folder then that is not known here.
    read_on: bool,
}

impl Reader {
    fn new(path: &Path, from: Option<&Cursor>) -> Self {
        let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        let folder = |up: usize| path.ancestors().nth(up).and_then(Path::file_name).map(|name| name.to_string_lossy());
        let in_subagents = folder(1).as_deref() == Some("subagents");
        let parent = if in_subagents { folder(2).map(Cow::into_owned) } else { None };
        let modified = std::fs::metadata(path).and_then(|metadata| metadata.modified()).ok();
        let file_at = modified.and_then(|time| Timestamp::try_from(time).ok()).unwrap_or(Timestamp::UNIX_EPOCH);
        Self {
            report: Report::default(),
            sessions: HashMap::new(),
            order: Vec::new(),
            agent_file: in_subagents || stem.starts_with("agent-"),
            fallback: stem,
            parent,
            position: from.map_or(0, |cursor| cursor.position),
            last_at: from.and_then(|cursor| cursor.last_at),
            file_at,
            messages: Messages { open_calls: from.map(|cursor| cursor.open_calls.clone()).unwrap_or_default(), cut: 0 },
            waiting: Vec::new(),
            any_message: from.is_some_and(|cursor| cursor.offset > 0),
            read_on: from.is_some(),
        }
    }

    fn into_report(mut self, cursor: Cursor) -> Report {
        self.report.other_titles = self.waiting;
        self.report.cut += self.messages.cut;
        self.report.cursor =
            Cursor { position: self.position, last_at: self.last_at, open_calls: self.messages.open_calls, ..cursor };
        self.report
    }

    /// Whether bytes without a line end are a whole line.
    fn is_whole(rest: &[u8]) -> bool {
        let rest = rest.trim_ascii();
        rest.first() == Some(&b'{')
            && rest.last() == Some(&b'}')
            && serde_json::from_str::<serde::de::IgnoredAny>(&lines::mended(rest)).is_ok()
    }

    /// Reads one line of the file.
    fn line(&mut self, bytes: &[u8], number: u64, sink: &mut dyn FnMut(Item) -> ControlFlow<()>) -> ControlFlow<()> {
        let trimmed = bytes.trim_ascii();
        if trimmed.is_empty() {
            self.report.frames += 1;
            return ControlFlow::Continue(());
        }
        if trimmed.iter().all(|&byte| byte == 0) {
            self.report.skip(number, "it holds nothing but NUL bytes");
            return ControlFlow::Continue(());
        }
        if trimmed[0] != b'{' {
            self.report.skip(number, "it is no JSON object");
            return ControlFlow::Continue(());
        }
        // The common line parses as it is; only one that does not is copied and mended.
        let parsed = std::str::from_utf8(trimmed).ok().map(serde_json::from_str::<Line<'_>>);
        if let Some(Ok(line)) = parsed {
            return self.take(&line, trimmed, number, sink);
        }
        let mended = lines::mended(trimmed);
        match serde_json::from_str::<Line<'_>>(&mended) {
            Ok(line) => self.take(&line, trimmed, number, sink),
            Err(error) => {
                self.report.skip(number, format!("it does not parse: {error}"));
                ControlFlow::Continue(())
            }
        }
    }

    fn take(
        &mut self,
        line: &Line<'_>,
        bytes: &[u8],
        number: u64,
        sink: &mut dyn FnMut(Item) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let stamp = line.timestamp.filled().and_then(|text| text.parse::<Timestamp>().ok());
        self.last_at = stamp.or(self.last_at);
        let kind = match line.kind.as_str() {
            "" => line.message.0.as_ref().map_or("", |said| said.role.as_str()),
            kind => kind,
        };
        if let Some(uuid) = line.uuid.filled() {
            self.settle_summaries(uuid, line, sink)?;
        }
        match kind {
            "" => {
                self.report.skip(number, "it has no type");
                return ControlFlow::Continue(());
            }
            "summary" => return self.summary(line, bytes, sink),
            "custom-title" => self.title(line, line.custom_title.as_str(), 3),
            "ai-title" => self.title(line, line.ai_title.as_str(), 1),
            _ => {}
        }
        let drafts = self.messages.drafts(kind, line);
        if drafts.is_empty() {
            self.report.frames += 1;
            return ControlFlow::Continue(());
        }
        self.any_message = true;
        if self.order.len() > SESSIONS_MAX {
            self.end_oldest(sink)?;
        }
        let id = self.session_of(line);
        self.learn(&id, line, stamp);
        for (part, draft) in drafts.into_iter().enumerate() {
            let key = self.key(line.uuid.filled(), bytes, part);
            self.emit(&id, key, draft, sink)?;
        }
        ControlFlow::Continue(())
    }

    /// The session that a line belongs to, which is known from then on.
    fn session_of(&mut self, line: &Line<'_>) -> String {
        let named = line.session_id.filled();
        let (id, parent) = match line.agent_id.filled() {
            Some(agent) if line.is_sidechain.is_set() => {
                let id = format!("agent-{agent}");
                let parent = named.filter(|named| *named != id).map(str::to_owned).or_else(|| self.parent.clone());
                (id, parent)
            }
            _ if self.agent_file => {
                let parent = named.filter(|named| *named != self.fallback).map(str::to_owned);
                (self.fallback.clone(), parent.or_else(|| self.parent.clone()))
            }
            _ => (named.unwrap_or(&self.fallback).to_owned(), None),
        };
        if !self.sessions.contains_key(&id) {
            let mut session = Session::new(TOOL, id.clone(), Scope::root());
            session.parent = parent;
            self.order.push(id.clone());
            self.sessions
                .insert(id.clone(), Known { session, told: None, title_rank: 0, folder: None, told_folder: None });
        }
        id
    }

    fn learn(&mut self, id: &str, line: &Line<'_>, stamp: Option<Timestamp>) {
        let Some(known) = self.sessions.get_mut(id) else { return };
        let session = &mut known.session;
        if let Some(cwd) = line.cwd.filled().or(line.project.filled()) {
            if session.directory.is_none() {
                let name = cwd.trim_end_matches(['/', '\\']).rsplit(['/', '\\']).next().unwrap_or_default();
                session.directory = Some(cwd.to_owned());
                session.project = Some(name.to_owned()).filter(|name| !name.is_empty());
            }
            if known.folder.as_deref() != Some(cwd) {
                known.folder = Some(cwd.to_owned());
            }
        }
        if let Some(branch) = line.git_branch.filled()
            && session.branch.as_deref() != Some(branch)
        {
            session.branch = Some(branch.to_owned());
        }
        if let Some(at) = stamp {
            session.started_at = Some(session.started_at.map_or(at, |known| known.min(at)));
            session.ended_at = Some(session.ended_at.map_or(at, |known| known.max(at)));
        }
    }

    fn title(&mut self, line: &Line<'_>, title: &str, rank: u8) {
        if title.is_empty() {
            return;
        }
        let id = self.session_of(line);
        if let Some(known) = self.sessions.get_mut(&id)
            && rank >= known.title_rank
        {
            known.title_rank = rank;
            known.session.title = Some(one_line(title));
        }
    }

    fn summary(
        &mut self,
        line: &Line<'_>,
        bytes: &[u8],
        sink: &mut dyn FnMut(Item) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let Some(text) = line.summary.filled() else {
            self.report.frames += 1;
            return ControlFlow::Continue(());
        };
        if !self.any_message {
            if self.waiting.len() < WAITING_SUMMARIES_MAX {
                self.waiting.push((line.leaf_uuid.as_str().to_owned(), text.to_owned()));
            }
            self.report.frames += 1;
            return ControlFlow::Continue(());
        }
        let id = match self.order.last() {
            Some(last) if line.session_id.filled().is_none() => last.clone(),
            _ => self.session_of(line),
        };
        let leaf = line.leaf_uuid.filled().map(|leaf| format!("summary:{leaf}"));
        let key = self.key(leaf.as_deref(), bytes, 0);
        self.summarise(&id, key, text, sink)
    }

    /// A waiting summary whose leaf is this line belongs to this line's session.
    fn settle_summaries(
        &mut self,
        uuid: &str,
        line: &Line<'_>,
        sink: &mut dyn FnMut(Item) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        while let Some(at) = self.waiting.iter().position(|(leaf, _)| leaf == uuid) {
            let (leaf, text) = self.waiting.swap_remove(at);
            let id = self.session_of(line);
            self.report.frames = self.report.frames.saturating_sub(1);
            self.summarise(&id, format!("summary:{leaf}"), &text, sink)?;
        }
        ControlFlow::Continue(())
    }

    fn summarise(
        &mut self,
        id: &str,
        key: String,
        text: &str,
        sink: &mut dyn FnMut(Item) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        if let Some(known) = self.sessions.get_mut(id)
            && known.title_rank <= 2
        {
            known.title_rank = 2;
            known.session.title = Some(one_line(text));
        }
        let mut message = Message::new(Role::System, 0, text);
        message.form = MessageForm::Summary;
        self.emit(id, key, Draft { message, origin: Origin::Agent }, sink)
    }

    /// What names a message within its session: the line's own id with the part's number, or else its content and place.
    fn key(&self, uuid: Option<&str>, bytes: &[u8], part: usize) -> String {
        let is_id = |uuid: &&str| {
            uuid.len() <= 200
                && uuid.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b':' | b'.'))
        };
        match (uuid.filter(is_id), part) {
            (Some(uuid), 0) => uuid.to_owned(),
            (Some(uuid), part) => format!("{uuid}#{part}"),
            (None, _) => format!("x{:032x}@{}", xxh3_128(bytes), self.position),
        }
    }

    fn emit(
        &mut self,
        id: &str,
        key: String,
        draft: Draft,
        sink: &mut dyn FnMut(Item) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let Draft { mut message, origin } = draft;
        let stripped = marker::strip(&message.text);
        if stripped.dropped > 0 {
            self.report.echoes += stripped.dropped as u64;
            message.text = stripped.text.into_owned();
            if message.text.trim().is_empty() && message.tool_calls.is_empty() {
                return ControlFlow::Continue(());
            }
        }
        if let Cow::Owned(clean) = without_base64(&message.text) {
            message.text = clean;
        }
        if message.text.contains('\0') {
            message.text = message.text.replace('\0', "\u{FFFD}");
        }
        let (text, was_cut) = lines::cut(Cow::Owned(std::mem::take(&mut message.text)), MESSAGE_BYTES_MAX);
        message.text = text;
        self.report.cut += u64::from(was_cut);
        if let Some(known) = self.sessions.get_mut(id) {
            if known.folder != known.told_folder {
                let begun_there =
                    known.told_folder.is_none() && !self.read_on && known.session.directory == known.folder;
                known.told_folder.clone_from(&known.folder);
                if let Some(folder) = known.folder.clone().filter(|_| !begun_there) {
                    sink(Item::Folder { session: id.to_owned(), folder: Folder::Path(folder) })?;
                }
            }
            if known.told.as_ref().is_none_or(|told| is_news(told, &known.session)) {
                known.told = Some(known.session.clone());
                sink(Item::Session(known.session.clone()))?;
            }
        }
        message.position = self.position;
        let mut record = Record::new(Scope::root(), TOOL, origin, message);
        record.trust = if matches!(origin, Origin::Tool | Origin::Web) { Trust::Untrusted } else { Trust::Plain };
        record.session = Some(id.to_owned());
        record.key = Some(key);
        record.created_at = self.last_at.unwrap_or(self.file_at);
        sink(Item::Message(Box::new(record)))?;
        self.position += 1;
        self.report.messages += 1;
        ControlFlow::Continue(())
    }

    /// Ends the sessions met first, so that what is known of all others has room.
    fn end_oldest(&mut self, sink: &mut dyn FnMut(Item) -> ControlFlow<()>) -> ControlFlow<()> {
        for id in self.order.drain(..SESSIONS_MAX / 2) {
            if let Some(known) = self.sessions.remove(&id) {
                sink(Item::End(known.session))?;
            }
        }
        ControlFlow::Continue(())
    }

    fn end(&mut self, sink: &mut dyn FnMut(Item) -> ControlFlow<()>) {
        for id in &self.order {
            if let Some(known) = self.sessions.get(id)
                && sink(Item::End(known.session.clone())).is_break()
            {
                self.report.stopped = true;
                return;
            }
        }
    }
}

/// Whether a session learned more than that time went on.
fn is_news(told: &Session, known: &Session) -> bool {
    told.title != known.title || told.branch != known.branch || told.directory != known.directory
}

fn one_line(title: &str) -> String {
    let words: Vec<&str> = title.split_whitespace().collect();
    let mut title = words.join(" ");
    let mut end = title.len().min(TITLE_BYTES_MAX);
    while !title.is_char_boundary(end) {
        end -= 1;
    }
    title.truncate(end);
    title
}

//! Transcripts of other tools, read into sessions and messages.
//!
//! An importer reads one tool's files, line by line and with bounded memory, and hands each session and
//! message to a sink. It does not store: whoever calls it puts the records through the intake, and sets
//! their scope, which no transcript knows. A new importer is one file and one line in [`IMPORTERS`].

pub mod aider;
pub mod chatgpt;
pub mod claude_code;
pub mod codex;
pub mod copilot;
pub mod cursor;
mod elements;
pub mod fold;
pub(crate) mod foreign;
pub mod gemini;
mod lines;
mod node;
pub mod opencode;
pub mod otel;
mod parts;
pub mod plain;
mod scaffold;
mod tolerant;
mod transcript;

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::record::Record;
use crate::session::Session;

pub(crate) use lines::BYTE_ORDER_MARK;
pub use lines::LINE_BYTES_MAX;

/// All importers.
///
/// Their order is that in which a file is offered to them: the more particular before the more general.
pub static IMPORTERS: &[&dyn Importer] = &[
    &copilot::Copilot,
    &claude_code::ClaudeCode,
    &codex::Codex,
    &gemini::Gemini,
    &opencode::OpenCode,
    &aider::Aider,
    &chatgpt::ChatGpt,
    &otel::OpenTelemetry,
    &plain::Plain,
    &cursor::CursorTool,
];

/// The importer that recognises this file, by its path and its first bytes.
pub fn importer_of(path: &Path, head: &[u8]) -> Option<&'static dyn Importer> {
    IMPORTERS.iter().copied().find(|importer| is_of(*importer, path, head))
}

/// Whether this importer recognises the file. A byte order mark before the head does not matter.
pub fn is_of(importer: &dyn Importer, path: &Path, head: &[u8]) -> bool {
    importer.detect(path, lines::without_mark(head))
}

/// How many of a file's first bytes [`Importer::detect`] should be given: some tools write long first lines.
pub const HEAD_BYTES: usize = 16 * 1024;

/// Reads the transcripts of one tool.
pub trait Importer: Send + Sync {
    /// The tool's name: `claude-code`, `codex`, ….
    fn tool(&self) -> &'static str;

    /// Whether this file is one of the tool's transcripts. `head` is its beginning, at least a line of it.
    fn detect(&self, path: &Path, head: &[u8]) -> bool;

    /// Where the tool keeps its transcripts by default. The places need not exist.
    fn default_places(&self, home: &Path) -> Vec<PathBuf>;

    /// Whether the tool changes what it wrote before: a message that comes again under its key with other
    /// content then takes the place of the one that is stored. Otherwise what came first stays.
    fn rewrites(&self) -> bool {
        false
    }

    /// Whether an id of its sessions tells them apart within one file alone, so that two projects may have one of the same.
    fn ids_are_local(&self) -> bool {
        false
    }

    /// What tells whether the file, with all that belongs to it, changed since it was last read: the same
    /// fingerprint means that reading it again would give nothing new. `None` where it cannot be told.
    fn fingerprint(&self, path: &Path) -> Option<u64> {
        fingerprint_of([path])
    }

    /// Reads what a file holds past `from`, in the file's order.
    ///
    /// Reading the same bytes twice gives the same provenance keys. A file that is not the one that the
    /// cursor was made for, or was rewritten, is read from its start. A last line that is still
    /// being written is left for the next time. Lines that cannot be read are in the report; the rest is kept. When the
    /// sink breaks, the report's cursor stands before the line that was being read.
    fn read(&self, path: &Path, from: Option<&Cursor>, sink: &mut dyn FnMut(Item) -> ControlFlow<()>)
    -> Result<Report>;
}

/// A fingerprint of files by their names, sizes and times; a missing one counts as such.
fn fingerprint_of<'p>(paths: impl IntoIterator<Item = &'p Path>) -> Option<u64> {
    let mut print = xxhash_rust::xxh3::Xxh3::new();
    let mut any = false;
    for path in paths {
        print.update(path.as_os_str().as_encoded_bytes());
        let Ok(facts) = std::fs::metadata(path) else { continue };
        any = true;
        print.update(&facts.len().to_le_bytes());
        let modified = facts.modified().ok()?.duration_since(std::time::UNIX_EPOCH).ok()?;
        print.update(&modified.as_nanos().to_le_bytes());
    }
    any.then(|| print.digest())
}

/// The same for a SQLite database: what was written last is in its write-ahead log.
fn fingerprint_with_log(path: &Path) -> Option<u64> {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    fingerprint_of([path, Path::new(&log)])
}

/// The folder that something was said in, as its tool names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Folder {
    /// By its path.
    Path(String),
    /// By its path with a dash for what is no letter or digit: folders of several names share one.
    Slug(String),
    /// By the hash of its path, in hexadecimal digits: SHA-256, or MD5 where there are half as many.
    Hash(String),
}

/// What an importer hands on. Scopes are the root: whoever stores an item sets its scope.
#[derive(Clone, Debug, PartialEq)]
pub enum Item {
    /// What is known of a session, before its first message, and again when more is known.
    Session(Session),
    /// Where the messages of a session that follow were said, until this comes again: where that is not the session's
    /// folder, or the tool does not name that by its path. Then it comes before what is known of the session.
    Folder {
        /// The session's id.
        session: String,
        /// Where.
        folder: Folder,
    },
    /// One message, with source, session and key set.
    Message(Box<Record>),
    /// The tool took back what it wrote under this key of this session, with what hangs on it (`key#…`).
    Withdrawn {
        /// The session's id.
        session: String,
        /// The message's key.
        key: String,
    },
    /// Nothing more of this session in this file for now, with all that is known of it.
    End(Session),
}

/// How far a file was read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// Bytes up to the end of the last whole line that was read.
    pub offset: u64,
    /// Lines up to there.
    pub line: u64,
    /// The place of the next message.
    pub position: u32,
    /// Fingerprint of the file's first bytes, to notice another file under the same name.
    pub head: u64,
    /// Fingerprint of the bytes before `offset`, to notice a rewritten file.
    pub tail: u64,
    /// The time of the last line, for lines that have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_at: Option<jiff::Timestamp>,
    /// Calls whose answers have not come yet: their ids and the tools' names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub open_calls: Vec<(String, String)>,
    /// The session of the last line, where lines do not name theirs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// The folder that was moved to last, where lines do not name theirs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folder: Option<String>,
    /// Fingerprints of what was said once and will be repeated by the tool's second way of writing it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unpaired: Vec<u64>,
}

/// What reading a file came to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    /// Where to go on the next time.
    pub cursor: Cursor,
    /// Whether the cursor did not fit the file, so that it was read from its start.
    pub restarted: bool,
    /// Whether the sink asked to stop.
    pub stopped: bool,
    /// Complete lines that were read.
    pub lines: u64,
    /// Messages that were handed on.
    pub messages: u64,
    /// Lines that hold nothing to remember: snapshots, modes, progress, empty messages.
    pub frames: u64,
    /// The first lines that could not be read, at most [`SKIPPED_MAX`].
    pub skipped: Vec<Skipped>,
    /// How many lines could not be read.
    pub skipped_total: u64,
    /// Messages that were longer than a record may be, and were cut.
    pub cut: u64,
    /// Blocks dropped because recall had injected them.
    pub echoes: u64,
    /// Titles of sessions that are in other files: the key of a message of such a session, and the title.
    pub other_titles: Vec<(String, String)>,
    /// Bytes of a last line that is still being written, left for the next time.
    pub partial_bytes: u64,
}

/// A report lists this many unreadable lines one by one; a file with more is broken as a whole.
pub const SKIPPED_MAX: usize = 100;

impl Report {
    fn skip(&mut self, line: u64, reason: impl Into<String>) {
        self.skipped_total += 1;
        if self.skipped.len() < SKIPPED_MAX {
            self.skipped.push(Skipped { line, reason: reason.into() });
        }
    }
}

/// A line that could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// Its number in the file, counted from 1.
    pub line: u64,
    /// Why not.
    pub reason: String,
}

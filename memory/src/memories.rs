//! What other memories hold: mem0's exports, the reference MCP server's `memory.json`, claude-mem's database, and a
//! folder of Markdown notes.
//!
//! Each becomes notes and episodes of [`Origin::Import`](crate::Origin): somebody else's data, whoever is said to have
//! said it. Reading the same source twice gives the same provenance keys, so that nothing is added twice. What cannot be
//! read is in the report with its place, and the rest is kept.

mod claude_mem;
mod graph;
mod markdown;
mod mem0;
mod values;

use std::fs::File;
use std::io::Read;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use crate::error::{Error, Result};
use crate::id::RecordId;
use crate::import::SKIPPED_MAX;
use crate::record::{Body, Origin, Record, TAG_CHARS_MAX, TAGS_MAX, Trust};
use crate::scope::Scope;

/// How much of a file tells what it is.
const HEAD_BYTES: usize = 64 << 10;

/// Which memory a source is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// An export or a listing of mem0, as JSON or JSON Lines.
    Mem0,
    /// The knowledge graph of the reference MCP server.
    Graph,
    /// The SQLite database of claude-mem.
    ClaudeMem,
    /// A folder of Markdown files, or one of them.
    Markdown,
}

impl Form {
    /// All of them.
    pub const ALL: &'static [Form] = &[Form::Mem0, Form::Graph, Form::ClaudeMem, Form::Markdown];

    /// What it is called: as a flag, and as the source of the records.
    pub fn word(self) -> &'static str {
        match self {
            Form::Mem0 => "mem0",
            Form::Graph => "mcp-memory",
            Form::ClaudeMem => "claude-mem",
            Form::Markdown => "markdown",
        }
    }
}

impl std::str::FromStr for Form {
    type Err = String;

    fn from_str(word: &str) -> Result<Form, String> {
        let known = || Form::ALL.iter().map(|form| form.word()).collect::<Vec<_>>().join(", ");
        Form::ALL
            .iter()
            .copied()
            .find(|form| form.word() == word)
            .ok_or_else(|| format!("{word:?} is none of: {}", known()))
    }
}

/// Something that could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file.
    pub path: PathBuf,
    /// The line, or the row of a table, counted from 1; 0 where there is none.
    pub line: u64,
    /// Why not.
    pub reason: String,
}

/// What reading came to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    /// Records that were handed on.
    pub records: u64,
    /// The first things that could not be read.
    pub problems: Vec<Problem>,
    /// How many could not be read.
    pub problems_total: u64,
    /// What the source holds that is no memory of its own and was left there: what it is, and how many there are.
    pub left_out: Option<(&'static str, u64)>,
    /// Whether the sink asked to stop.
    pub stopped: bool,
}

impl Report {
    fn problem(&mut self, path: &Path, line: u64, reason: impl Into<String>) {
        self.problems_total += 1;
        if self.problems.len() < SKIPPED_MAX {
            self.problems.push(Problem { path: path.to_owned(), line, reason: reason.into() });
        }
    }
}

/// What a file or folder is, by its name and beginning; `None` when it is nothing that is known here.
pub fn form_of(path: &Path) -> Result<Option<Form>> {
    if path.is_dir() {
        return Ok(Some(Form::Markdown));
    }
    let mut head = Vec::new();
    let file = File::open(path).map_err(Error::io("read", path))?;
    file.take(HEAD_BYTES as u64).read_to_end(&mut head).map_err(Error::io("read", path))?;
    if head.starts_with(b"SQLite format 3\0") {
        return Ok(Some(Form::ClaudeMem));
    }
    let is_markdown = path
        .extension()
        .is_some_and(|ending| ending.eq_ignore_ascii_case("md") || ending.eq_ignore_ascii_case("markdown"));
    if is_markdown {
        return Ok(Some(Form::Markdown));
    }
    let text = String::from_utf8_lossy(&head);
    if !text.trim_start_matches('\u{feff}').trim_start().starts_with(['{', '[']) {
        return Ok(None);
    }
    // The names of fields that only the one of them has.
    let has = |name: &str| text.contains(&format!("\"{name}\""));
    Ok(if has("entityType") || has("relationType") || has("entities") && has("relations") {
        Some(Form::Graph)
    } else if has("memory") || has("memories") || has("results") {
        Some(Form::Mem0)
    } else {
        None
    })
}

/// Reads a source into records of a scope; those of several people come into scopes inside it.
///
/// `now` is the time of what has none.
pub fn read(
    form: Form,
    path: &Path,
    scope: &Scope,
    now: Timestamp,
    sink: &mut dyn FnMut(Record) -> ControlFlow<()>,
) -> Result<Report> {
    let mut reading = Reading { path, scope, now, form, report: Report::default(), sink };
    match form {
        Form::Mem0 => mem0::read(&mut reading),
        Form::Graph => graph::read(&mut reading),
        Form::ClaudeMem => claude_mem::read(&mut reading),
        Form::Markdown => markdown::read(&mut reading),
    }?;
    Ok(reading.report)
}

/// What every reader has at hand.
struct Reading<'r> {
    path: &'r Path,
    scope: &'r Scope,
    now: Timestamp,
    form: Form,
    report: Report,
    sink: &'r mut dyn FnMut(Record) -> ControlFlow<()>,
}

/// One thing that was read.
struct Found {
    body: Body,
    /// What names it within its source, the same whenever it is read.
    key: String,
    created_at: Option<Timestamp>,
    tags: Vec<String>,
    /// Whose it is inside the scope, where the source says so.
    owner: Option<String>,
}

impl Reading<'_> {
    /// Hands a record on; answers whether to go on.
    fn give(&mut self, found: Found) -> bool {
        let scope = match found.owner.as_deref().map(str::trim).filter(|owner| !owner.is_empty()) {
            Some(owner) => {
                let inner = self.scope.child_named(owner);
                // Somebody's own memory comes into their own scope.
                let own = self.scope.path().rsplit('/').next() == inner.path().rsplit('/').next();
                if own { self.scope.clone() } else { inner }
            }
            None => self.scope.clone(),
        };
        let record = Record {
            id: RecordId::new(),
            key: Some(found.key),
            created_at: found.created_at.unwrap_or(self.now),
            tags: tags(found.tags),
            trust: Trust::Plain,
            ..Record::new(scope, self.form.word(), Origin::Import, found.body)
        };
        self.report.records += 1;
        let go_on = (self.sink)(record).is_continue();
        self.report.stopped |= !go_on;
        go_on
    }

    fn problem(&mut self, line: u64, reason: impl Into<String>) {
        let path = self.path.to_owned();
        self.report.problem(&path, line, reason);
    }
}

/// Tags that a record may have.
fn tags(from: Vec<String>) -> Vec<String> {
    let mut tags: Vec<String> = Vec::new();
    for tag in from {
        let tag = tag.trim().to_owned();
        if !tag.is_empty() && tag.chars().count() <= TAG_CHARS_MAX && !tags.contains(&tag) && tags.len() < TAGS_MAX {
            tags.push(tag);
        }
    }
    tags
}

/// A key that names a text: no part of the text is in it, so that it may stay when the text is gone.
fn fingerprint(parts: &[&str]) -> String {
    let mut sum = xxhash_rust::xxh3::Xxh3::new();
    for part in parts {
        sum.update(&(part.len() as u64).to_le_bytes());
        sum.update(part.as_bytes());
    }
    format!("{:032x}", sum.digest128())
}

/// A time as other memories write it: RFC 3339, a date, or a number of seconds or milliseconds.
fn time(value: &serde_json::Value) -> Option<Timestamp> {
    /// Seconds up to the year 5138; larger numbers are milliseconds.
    const SECONDS_MAX: i64 = 100_000_000_000;
    if let Some(number) = value.as_i64().or_else(|| value.as_f64().map(|number| number as i64)) {
        return if number.abs() < SECONDS_MAX {
            Timestamp::from_second(number).ok()
        } else {
            Timestamp::from_millisecond(number).ok()
        };
    }
    let text = value.as_str()?.trim();
    let utc =
        |civil: jiff::civil::DateTime| civil.to_zoned(jiff::tz::TimeZone::UTC).ok().map(|zoned| zoned.timestamp());
    text.parse::<Timestamp>()
        .ok()
        .or_else(|| text.parse::<jiff::civil::DateTime>().ok().and_then(utc))
        .or_else(|| text.parse::<jiff::civil::Date>().ok().and_then(|date| utc(date.at(0, 0, 0, 0))))
}

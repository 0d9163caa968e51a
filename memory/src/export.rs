//! Everything that a store holds as JSON Lines, and back: what is remembered belongs to its owner.
//!
//! One object a line: a header, the sessions, the records and tombstones, what was given to runs and how they ended,
//! and last a manifest with the number of lines and their hash. Nothing in a file depends on the store it came from or
//! on the order in which things were written, so that two stores that hold the same give the same bytes, and a file
//! that was imported into an empty store is exported again byte for byte.
//!
//! - [`write()`]: a store to lines
//! - [`read`]: lines to a store, also to one that holds a part of them already
//! - [`markdown`]: the same for people, as a folder to read; it is not read back

pub mod markdown;
mod read;
mod write;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::id::RecordId;
use crate::record::{Kind, Origin, Outcome, Record, Trust};
use crate::scope::Scope;
use crate::session::Session;
use crate::store::{Exposure, Forgotten};

pub use read::{Fit, Imported, ReadOptions, is_export, read};
pub use write::write;

/// How far long work has come, and whether to go on: called with units done and units in all.
pub type Progress<'a> = &'a mut dyn FnMut(u64, u64) -> bool;

/// What the header of an export says it is.
pub const FORMAT: &str = "harness-export";

/// The newest version of the format that this program writes and reads.
pub const VERSION: u32 = 1;

/// One line of an export.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "line", rename_all = "lowercase")]
pub enum Line {
    /// The first line.
    Header(Header),
    /// A session.
    Session(Session),
    /// A record, live or forgotten and still to be brought back.
    Record(Box<Carried>),
    /// What is left of a record that is gone for good: that it was there, and not what it said.
    Tombstone(Tombstone),
    /// What was given to a run.
    Exposure(Exposure),
    /// How a run ended.
    Run(Run),
    /// From when on a record's credit counts.
    Reset(Reset),
    /// The last line.
    Manifest(Manifest),
}

/// The first line of an export.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// Always [`FORMAT`].
    pub format: String,
    /// The version of the format.
    pub version: u32,
}

/// A record as an export carries it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Carried {
    /// The record.
    #[serde(flatten)]
    pub record: Record,
    /// When it was forgotten, if it was, and until when it can be brought back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forgotten: Option<Forgotten>,
}

/// What is left of a record that is gone for good. It keeps the record from coming back when its source is imported again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tombstone {
    /// The record's name.
    pub id: RecordId,
    /// What it was.
    pub kind: Kind,
    /// Whose it was.
    pub scope: Scope,
    /// Who had said it.
    pub origin: Origin,
    /// How far it was believed.
    pub trust: Trust,
    /// The tool or way it came in by.
    pub source: String,
    /// Its session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// Its place in the session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<u32>,
    /// What named it within its source and session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// When it was said or happened.
    pub created_at: Timestamp,
    /// Since when it is no longer recalled, where it expired.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// The record that it superseded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<RecordId>,
    /// When it was forgotten.
    pub forgotten: Forgotten,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// The run.
    pub run: String,
    /// How it ended.
    pub outcome: Outcome,
    /// What says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When that was said.
    pub at: Timestamp,
}

/// From when on what happens counts for or against a record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reset {
    /// The record.
    pub record: RecordId,
    /// What happened before counts no longer.
    pub at: Timestamp,
}

/// The last line of an export: what the others must come to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Sessions.
    pub sessions: u64,
    /// Records.
    pub records: u64,
    /// How many of the records were forgotten and can still be brought back.
    pub forgotten: u64,
    /// Tombstones.
    pub tombstones: u64,
    /// Exposures.
    pub exposures: u64,
    /// Runs.
    pub runs: u64,
    /// Rows that are damaged in the store and could not be written.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub damaged: u64,
    /// The SHA-256 of all lines before this one, with their line ends, in hex digits.
    pub sha256: String,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

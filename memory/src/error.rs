//! The errors of this crate.

use std::path::PathBuf;

use crate::id::RecordId;

/// Shorthand for results of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can go wrong between a caller and the store.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A scope path that is not one.
    #[error("{path:?} is not a scope: {reason}")]
    Scope {
        /// The path as it was given.
        path: String,
        /// Which rule it breaks.
        reason: &'static str,
    },

    /// A record id, or the beginning of one, that cannot be one.
    #[error("{text:?} is not a record id: expected 1 to 32 hex digits, with or without dashes")]
    Id {
        /// The text as it was given.
        text: String,
    },

    /// A record that breaks one of the limits or rules of a record.
    #[error("record refused: {reason}")]
    Refused {
        /// Which rule, with the number that was exceeded.
        reason: String,
    },

    /// SQLite failed.
    #[cfg(feature = "sqlite")]
    #[error("cannot {doing}")]
    Sqlite {
        /// What was being done, in the words of the store.
        doing: &'static str,
        /// SQLite's own account.
        source: rusqlite::Error,
    },

    /// A file of the home could not be read or written.
    #[error("cannot {doing} {}", path.display())]
    Io {
        /// What was being done.
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's own account.
        source: std::io::Error,
    },

    /// The store was written by a newer program.
    #[error(
        "{} has schema version {found}, this program knows versions up to {supported}: use a newer harness",
        path.display()
    )]
    TooNew {
        /// The database file.
        path: PathBuf,
        /// The version found in it.
        found: u32,
        /// The newest version that this program understands.
        supported: u32,
    },

    /// A row whose bytes do not fit its checksum, or do not decode.
    #[error("record row {row}{} is damaged: {reason}", id.map(|id| format!(" ({id})")).unwrap_or_default())]
    Damaged {
        /// The row number in the table of records.
        row: i64,
        /// The record's id, where it could still be read.
        id: Option<RecordId>,
        /// What does not fit.
        reason: String,
    },

    /// An earlier write failed in a way after which the state of the disk is
    /// unknown; nothing more is written until the store is opened anew.
    #[error("the store is read-only since an earlier write failed on the disk ({cause}): reopen it")]
    ReadOnly {
        /// The failure that came first.
        cause: String,
    },

    /// The log no longer has the changes behind this position: those that every index had passed were removed from it,
    /// or some were lost, which the check names.
    #[error("the changes after {after} are no longer there, the log goes on with {first}: begin anew")]
    Folded {
        /// The position that was asked for.
        after: u64,
        /// The first change that is there.
        first: u64,
    },

    /// Nothing is written to this scope.
    #[error("the scope {scope} is read-only")]
    ReadOnlyScope {
        /// The scope.
        scope: crate::Scope,
    },

    /// The named record does not exist.
    #[error("there is no record {id}")]
    NoRecord {
        /// The id that was asked for.
        id: RecordId,
    },

    /// What was asked cannot be done to this record.
    #[error("cannot {doing} record {id}: {reason}")]
    NotAllowed {
        /// What was asked for.
        doing: &'static str,
        /// The record.
        id: RecordId,
        /// Why not.
        reason: String,
    },

    /// A transcript that cannot be read at all.
    #[error("cannot read {} as a transcript: {reason}", path.display())]
    Transcript {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },

    /// An implementation of [`crate::Memory`] failed outside the store.
    #[error("cannot {doing}")]
    Recall {
        /// What was being done.
        doing: &'static str,
        /// The cause.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl Error {
    /// Wraps SQLite's error with what was being done.
    #[cfg(feature = "sqlite")]
    pub(crate) fn sqlite(doing: &'static str) -> impl FnOnce(rusqlite::Error) -> Error {
        move |source| Error::Sqlite { doing, source }
    }

    /// Wraps an I/O error with what was being done to which file.
    pub(crate) fn io(doing: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Error {
        move |source| Error::Io { doing, path: path.into(), source }
    }
}

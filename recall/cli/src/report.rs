//! Errors as people read them: what was being done, the causes, and what to do.

use std::fmt;
use std::io::{self, Write};

/// Context for an error: what was being done, and what the person can do about it.
#[derive(Debug)]
pub(crate) struct Advice {
    pub(crate) doing: String,
    pub(crate) hint: String,
}

impl Advice {
    pub(crate) fn new(doing: impl Into<String>, hint: impl Into<String>) -> Advice {
        Advice { doing: doing.into(), hint: hint.into() }
    }

    /// An error of our own with a hint.
    pub(crate) fn error(what: impl Into<String>, hint: impl Into<String>) -> anyhow::Error {
        anyhow::Error::new(Advice::new(what, hint))
    }
}

impl fmt::Display for Advice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.doing)
    }
}

impl std::error::Error for Advice {}

/// One line on stderr. Whether anybody reads it does not matter to the command.
pub(crate) fn line(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// An error with its chain of causes and a hint, on stderr.
pub(crate) fn error(error: &anyhow::Error) {
    line(&text(error));
}

fn text(error: &anyhow::Error) -> String {
    use fmt::Write as _;
    let mut text = format!("error: {error}");
    let mut said = error.to_string();
    for cause in error.chain().skip(1) {
        let cause = cause.to_string();
        // Some libraries repeat their cause in their own words.
        if !said.contains(&cause) {
            let _ = write!(text, "\n  because: {cause}");
        }
        said = cause;
    }
    if let Some(hint) = hint(error) {
        let _ = write!(text, "\nhint: {hint}");
    }
    text
}

fn hint(error: &anyhow::Error) -> Option<String> {
    if let Some(hint) = error.chain().find_map(|cause| cause.downcast_ref::<io::Error>()).and_then(io_hint) {
        return Some(hint.to_owned());
    }
    if let Some(hint) = error.chain().find_map(|cause| cause.downcast_ref::<rusqlite::Error>()).and_then(sqlite_hint) {
        return Some(hint.to_owned());
    }
    if let Some(advice) = error.downcast_ref::<Advice>() {
        return Some(advice.hint.clone());
    }
    let memory = error.chain().find_map(|cause| cause.downcast_ref::<harness_memory::Error>());
    let recall = error.chain().find_map(|cause| cause.downcast_ref::<harness_recall::Error>());
    let recall = recall.and_then(|error| match error {
        harness_recall::Error::EmptyQuery => Some("try `harness recall search \"how do I deploy\"`"),
        harness_recall::Error::Index { .. } => {
            Some("an index can be made anew at any time, at no loss: `harness index rebuild`")
        }
        _ => None,
    });
    let memory = memory.and_then(|error| match error {
        harness_memory::Error::Damaged { .. } => Some("`harness doctor` names everything that is damaged"),
        harness_memory::Error::ReadOnly { .. } => Some("check the disk, then run the command again"),
        harness_memory::Error::ReadOnlyScope { .. } => Some("`read_only` in the home's config.toml lists such scopes"),
        harness_memory::Error::TooNew { .. } => {
            Some("it was not touched; install the newer program, or restore a backup")
        }
        harness_memory::Error::NoRecord { .. } => Some("`harness recall search` shows the ids of what it finds"),
        harness_memory::Error::Scope { .. } => Some("a scope looks like `ana` or `ana/webshop-1a2b3c4d`"),
        _ => None,
    });
    recall.or(memory).map(str::to_owned)
}

/// What to do when there is no room.
const FULL: &str = "free some space on that disk, or move the home with --home; nothing stored was lost";

/// What to do when the system refuses it.
const NO_ACCESS: &str = "give yourself access to it, or choose another home with --home";

/// What to do about an error of SQLite, where its code says it.
fn sqlite_hint(error: &rusqlite::Error) -> Option<&'static str> {
    use rusqlite::ErrorCode::{DiskFull, PermissionDenied, ReadOnly};
    match (error.sqlite_error_code()?, error.sqlite_error()?.extended_code) {
        (DiskFull, _) => Some(FULL),
        // SQLite calls it an error of the disk when 32 KiB for what processes share cannot be had.
        (_, rusqlite::ffi::SQLITE_IOERR_SHMSIZE) => {
            Some("the disk is full: free some space on it, or move the home with --home; nothing stored was lost")
        }
        (ReadOnly | PermissionDenied, _) => Some(NO_ACCESS),
        _ => None,
    }
}

/// What to do about an error of the system, where its kind says it.
pub(crate) fn io_hint(error: &io::Error) -> Option<&'static str> {
    use io::ErrorKind::{PermissionDenied, ReadOnlyFilesystem, StorageFull};
    match error.kind() {
        StorageFull => Some(FULL),
        PermissionDenied => Some(NO_ACCESS),
        ReadOnlyFilesystem => Some("it is on a disk that cannot be written; choose another home with --home"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use anyhow::Context;

    use super::*;

    #[test]
    fn an_error_names_the_thing_its_causes_and_what_to_do() {
        let cause = io::Error::new(io::ErrorKind::NotFound, "no such file");
        let error = Err::<(), _>(cause)
            .context(Advice::new("cannot read notes.jsonl", "check the path"))
            .context("cannot import")
            .unwrap_err();
        insta::assert_snapshot!(text(&error), @r"
        error: cannot import
          because: cannot read notes.jsonl
          because: no such file
        hint: check the path
        ");
    }
}

//! The `head` file: where the log ended at the last commit, noted beside the database.
//!
//! SQLite recovers a damaged write-ahead log to a clean prefix without a word. The note makes
//! the loss visible. It is best effort: it is written after the commit, without a sync of its own.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, TransactionBehavior};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use super::read;
use crate::change::{Position, Seq};
use crate::error::{Error, Result};
use crate::id::StoreId;

const HEAD_FILE: &str = "head";

/// The length of the file: a position in JSON, its checksum, and blanks, so that each note overwrites the last.
const HEAD_BYTES: usize = 256;

/// The end of the log that was lost.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LostTail {
    /// The last change that had been acknowledged, by the head file.
    pub acknowledged: Seq,
    /// The last change that the database still has.
    pub found: Seq,
    /// When the loss was noticed.
    pub noticed_at: Timestamp,
}

/// Notes where the log ends. Failures are ignored: the note only helps to notice a loss.
pub(super) fn note(folder: &Path, position: &Position) {
    let Ok(json) = serde_json::to_string(position) else { return };
    let mut line = format!("{:016x} {json}", xxh3_64(json.as_bytes()));
    line.extend(std::iter::repeat_n(' ', HEAD_BYTES.saturating_sub(line.len() + 1)));
    line.push('\n');
    let file = OpenOptions::new().write(true).create(true).truncate(false).open(folder.join(HEAD_FILE));
    let _ = file.and_then(|mut file| file.write_all(line.as_bytes()));
}

/// The last note; `None` when there is none, or it was torn.
pub(super) fn read(folder: &Path) -> Option<Position> {
    let text = fs::read_to_string(folder.join(HEAD_FILE)).ok()?;
    let (checksum, json) = text.trim_end().split_once(' ')?;
    (u64::from_str_radix(checksum, 16).ok()? == xxh3_64(json.as_bytes())).then_some(())?;
    serde_json::from_str(json).ok()
}

/// Compares the note with the log. When the log lacks what was noted, a new epoch starts, so that no
/// index takes its position for one of this log, and the loss is written down.
///
/// Where the whole database was lost, the note is of a store with another name than the one that was made in its place.
/// Of a store that has changes of its own it says nothing.
pub(super) fn look_after(connection: &mut Connection, store: StoreId, noted: Option<Position>) -> Result<()> {
    let Some(noted) = noted else { return Ok(()) };
    if !is_lost(connection, store, &noted)? {
        return Ok(());
    }
    let doing = "note that the end of the log was lost";
    let transaction =
        connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(Error::sqlite(doing))?;
    // Another process may have noticed first, and started the new epoch.
    if is_lost(&transaction, store, &noted)? {
        let found = read::head(&transaction, store)?;
        let lost = LostTail { acknowledged: noted.seq, found: found.seq, noticed_at: Timestamp::now() };
        tracing::warn!(acknowledged = lost.acknowledged, found = lost.found, "the end of the change log was lost");
        let json = serde_json::to_string(&lost).unwrap_or_default();
        transaction
            .execute("INSERT OR REPLACE INTO meta VALUES ('lost_tail', ?1)", [json])
            .map_err(Error::sqlite(doing))?;
        transaction
            .execute("UPDATE meta SET value = ?1 WHERE name = 'epoch'", [found.epoch.max(noted.epoch) as i64 + 1])
            .map_err(Error::sqlite(doing))?;
    }
    transaction.commit().map_err(Error::sqlite(doing))
}

fn is_lost(connection: &Connection, store: StoreId, noted: &Position) -> Result<bool> {
    let head = read::head(connection, store)?;
    if noted.store != store {
        // A later epoch says that this was noticed before, or that a backup was restored.
        return Ok(noted.seq > 0 && head.seq == 0 && head.epoch <= noted.epoch);
    }
    if head.epoch != noted.epoch {
        return Ok(head.epoch < noted.epoch);
    }
    Ok(match read::position_at(connection, store, noted.seq)? {
        Some(position) => position.chain != noted.chain,
        None => noted.seq > head.seq,
    })
}

/// What was lost, unless somebody acknowledged it.
pub(super) fn lost_tail(connection: &Connection) -> Result<Option<LostTail>> {
    let json: Option<String> = connection
        .query_row("SELECT value FROM meta WHERE name = 'lost_tail'", [], |row| row.get(0))
        .optional()
        .map_err(Error::sqlite("read the note of a lost tail"))?;
    Ok(json.and_then(|json| serde_json::from_str(&json).ok()))
}

/// Ends the reports of a lost tail.
pub(super) fn acknowledge(connection: &Connection) -> Result<()> {
    connection
        .execute("DELETE FROM meta WHERE name = 'lost_tail'", [])
        .map_err(Error::sqlite("acknowledge the lost tail"))?;
    Ok(())
}

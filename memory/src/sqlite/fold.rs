//! Folding the beginning of the change log: what every index has taken over, and is old enough that nobody who asks
//! for events still waits for it, is removed. An index that starts anew is built from the records.

use jiff::{SignedDuration, Timestamp};
use rusqlite::{Connection, OptionalExtension, params};
use serde::{Deserialize, Serialize};

use super::SqliteStore;
use super::row::to_ms;
use crate::change::{ChainHash, Position, Seq};
use crate::error::{Error, Result};
use crate::store::Store;

/// A change is kept this long whoever has seen it: a viewer or another machine that was away for a few days goes on
/// where it stopped.
pub(super) const KEPT_DAYS: i64 = 7;

/// Changes removed in one transaction: keeps it well under a second.
const FOLD_AT_ONCE: i64 = 10_000;

/// Folding fewer changes than this is not worth a write.
const FOLD_MIN: i64 = 1_000;

/// Where the log begins: after this change, whose hash is the start of the chain.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Folded {
    pub(super) seq: Seq,
    pub(super) chain: ChainHash,
}

/// What was folded, if anything was.
pub(super) fn folded(connection: &Connection) -> Result<Option<Folded>> {
    let json: Option<String> = connection
        .prepare_cached("SELECT value FROM meta WHERE name = 'folded'")
        .and_then(|mut select| select.query_row([], |columns| columns.get(0)).optional())
        .map_err(Error::sqlite("read where the change log begins"))?;
    Ok(json.and_then(|json| serde_json::from_str(&json).ok()))
}

/// Removes what may be removed before `applied`, a part at a time; answers how many changes.
pub(super) fn fold(store: &SqliteStore, applied: &Position, now: Timestamp) -> Result<u64> {
    let kept_from = now.checked_sub(SignedDuration::from_hours(24 * KEPT_DAYS)).unwrap_or(Timestamp::MIN);
    let kept_from_ms = to_ms(kept_from);
    let head = store.head()?;
    if (applied.store, applied.epoch) != (head.store, head.epoch) {
        return Ok(0);
    }
    // The last change always stays: it says where the log ends.
    let until = applied.seq.min(head.seq.saturating_sub(1)) as i64;
    let mut removed = 0;
    loop {
        // Most calls find nothing to do; those must not wait for the writer's lock.
        let Some((seq, chain)) = store.read(|reader| last_of_part(&reader.connection, until, kept_from_ms))? else {
            return Ok(removed);
        };
        removed += store.write(move |writing| {
            let json = serde_json::to_string(&Folded { seq: seq as Seq, chain }).unwrap_or_default();
            let connection = writing.connection();
            let run = || -> rusqlite::Result<usize> {
                connection.execute("INSERT OR REPLACE INTO meta VALUES ('folded', ?1)", [json])?;
                connection.execute("DELETE FROM changes WHERE seq <= ?1", [seq])
            };
            run().map(|removed| removed as u64).map_err(Error::sqlite("fold the change log"))
        })?;
    }
}

/// The last change of the next part that may go: old, and before any that is not.
fn last_of_part(connection: &Connection, until: i64, kept_from_ms: i64) -> Result<Option<(i64, ChainHash)>> {
    let doing = "look for what can be folded";
    let first: Option<i64> = connection
        .query_row("SELECT min(seq) FROM changes", [], |columns| columns.get(0))
        .map_err(Error::sqlite(doing))?;
    let Some(first) = first.filter(|first| until - first >= FOLD_MIN) else { return Ok(None) };
    // The clock may have jumped: the log goes up to the first change that is young, whatever comes after it.
    let young: Option<i64> = connection
        .query_row(
            "SELECT min(seq) FROM changes WHERE seq BETWEEN ?1 AND ?2 AND at_ms >= ?3",
            params![first, until, kept_from_ms],
            |columns| columns.get(0),
        )
        .map_err(Error::sqlite(doing))?;
    let last = young.map_or(until, |young| young - 1).min(first + FOLD_AT_ONCE - 1);
    if last - first < FOLD_MIN {
        return Ok(None);
    }
    connection
        .query_row("SELECT seq, chain FROM changes WHERE seq = ?1", [last], |c| Ok((c.get(0)?, c.get(1)?)))
        .optional()
        .map_err(Error::sqlite(doing))
}

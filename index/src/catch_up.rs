//! Bringing an index to the end of the log.

use harness_memory::change::CHAIN_START;
use harness_memory::store::{Filter, Order, READ_ROWS_MAX};
use harness_memory::{Lookup, Position, ReadSet, Row, Seq, Store, Stored};

use crate::error::{Error, Result};
use crate::index::{Batch, Index};

/// The most changes of one batch: a commit costs about 100 ms whatever it holds, and this many records take a few
/// seconds, after which it is good to have kept what was done.
pub const BATCH_CHANGES_MAX: usize = READ_ROWS_MAX;

/// A batch ends at this many bytes of text: it is held in memory whole.
pub const BATCH_BYTES_MAX: usize = 16 << 20;

/// How many rows are read from the store at once: few enough that records of the greatest length fit into memory.
const ROWS_AT_ONCE: usize = 64;

/// Brings an index to the end of the log, or to where `progress` stops it.
///
/// `progress` is called with units done and units in all after each batch, and stops the work by answering false,
/// which is [`Error::Stopped`]. An index whose position is not one of this store's is emptied and built anew.
/// Answers how many changes were applied. Where the log was folded, an index is built from the records themselves.
pub fn catch_up(store: &dyn Store, index: &mut dyn Index, progress: &mut dyn FnMut(u64, u64) -> bool) -> Result<u64> {
    let mut after = match standing(store, index)? {
        Some(position) => position.seq,
        None => {
            index.reset()?;
            let folded = store.head()?.seq > 0 && store.position_at(1)?.is_none();
            if folded { build_from_records(store, index, progress)? } else { 0 }
        }
    };
    let from = after;
    loop {
        let Some((batch, head)) = next_batch(store, after, index.batch_changes_max())? else { return Ok(after - from) };
        after = batch.position.seq;
        index.apply(&batch)?;
        if !progress(after - from, head.saturating_sub(from)) {
            return Err(Error::Stopped);
        }
    }
}

/// The position of an index, if it is one of this store's history; `None` says that it must be built anew.
pub fn standing(store: &dyn Store, index: &mut dyn Index) -> Result<Option<Position>> {
    let Some(position) = index.applied()? else { return Ok(None) };
    Ok(belongs(store, &position)?.then_some(position))
}

/// Whether a position is one of this store's history.
pub(crate) fn belongs(store: &dyn Store, position: &Position) -> Result<bool> {
    Ok(store.position_at(position.seq)?.as_ref() == Some(position))
}

/// The records that changed after a position, as they are now, and where the log ends. `None` at the end of it.
fn next_batch(store: &dyn Store, after: Seq, changes_max: usize) -> Result<Option<(Batch, Seq)>> {
    let read = store.changes(after, changes_max.min(BATCH_CHANGES_MAX))?;
    let mut changes = read.changes.as_slice();
    let (mut live, mut bytes) = (Vec::new(), 0);
    let mut done = 0;
    // Several changes of one record are one record: its row is read once, for the first of them.
    let mut seen = rustc_hash::FxHashSet::default();
    while done < changes.len() {
        let part = &changes[done..changes.len().min(done + ROWS_AT_ONCE)];
        let rows: Vec<Row> = part.iter().map(|change| change.row).filter(|row| seen.insert(*row)).collect();
        bytes += take_live(store, &rows, &mut live)?;
        done += part.len();
        if bytes >= BATCH_BYTES_MAX {
            changes = &changes[..done];
        }
    }
    let Some(last) = changes.last() else { return Ok(None) };
    let mut rows: Vec<Row> = seen.into_iter().collect();
    rows.sort_unstable();
    live.sort_unstable_by_key(|stored: &Stored| stored.row);
    let position = Position { seq: last.seq, chain: last.chain, ..read.head };
    Ok(Some((Batch { rows, live, position }, read.head.seq)))
}

/// Reads rows and keeps those that are live. A damaged row is left out and named in the log: it cannot be found until
/// it is repaired, and the rest can. Answers how many bytes of text they hold.
fn take_live(store: &dyn Store, rows: &[Row], live: &mut Vec<Stored>) -> Result<usize> {
    if rows.is_empty() {
        return Ok(0);
    }
    let lookups = store.get_rows(rows)?;
    Ok(lookups.into_iter().map(|lookup| take(lookup, live)).sum())
}

fn take(lookup: Lookup, live: &mut Vec<Stored>) -> usize {
    match lookup {
        Lookup::Found(stored) if stored.forgotten.is_none() => {
            let bytes = stored.record.text().len();
            live.push(*stored);
            bytes
        }
        Lookup::Damaged { row, reason, .. } => {
            tracing::warn!(row = row.0, reason, "a damaged row is left out of the index");
            0
        }
        _ => 0,
    }
}

/// Builds an index from the records as they are, and answers the position from which the log goes on.
///
/// Until the last page the index stands before the first change: whoever is interrupted here begins again. Records
/// written meanwhile come again with their changes, which does no harm.
fn build_from_records(
    store: &dyn Store,
    index: &mut dyn Index,
    progress: &mut dyn FnMut(u64, u64) -> bool,
) -> Result<Seq> {
    let head = store.head()?;
    let start = Position { seq: 0, chain: CHAIN_START, ..head };
    let total = store.counts()?.records.iter().map(|(_, count)| count).sum();
    let (mut after, mut done) = (None, 0);
    loop {
        let (mut rows, mut live, mut bytes) = (Vec::new(), Vec::new(), 0);
        let mut ended = false;
        while !ended && rows.len() < index.batch_changes_max() && bytes < BATCH_BYTES_MAX {
            let page = store.list(&Filter {
                scopes: ReadSet::everything(),
                after,
                order: Order::Oldest,
                limit: ROWS_AT_ONCE,
                ..Filter::default()
            })?;
            ended = page.len() < ROWS_AT_ONCE;
            for lookup in page {
                after = match &lookup {
                    Lookup::Found(stored) => Some(stored.row),
                    Lookup::Damaged { row, .. } => Some(*row),
                    Lookup::Forgotten(_) | Lookup::Missing => after,
                };
                rows.extend(after);
                bytes += take(lookup, &mut live);
            }
        }
        rows.dedup();
        done += live.len() as u64;
        index.apply(&Batch { rows, live, position: if ended { head } else { start } })?;
        if !progress(done, u64::max(total, done)) {
            return Err(Error::Stopped);
        }
        if ended {
            return Ok(head.seq);
        }
    }
}

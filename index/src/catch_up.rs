//! Bringing an index to the end of the log.

use harness_memory::change::CHAIN_START;
use harness_memory::store::{Filter, Order, READ_ROWS_MAX};
use harness_memory::{Lookup, Position, ReadSet, Row, Seq, Store, Stored};

use crate::error::{Error, Result};
use crate::index::{Ahead, Batch, Index};

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
/// Answers how many changes were applied. Where the log was folded, or lost some of its changes, an index is built from
/// the records themselves.
pub fn catch_up(store: &dyn Store, index: &mut dyn Index, progress: &mut dyn FnMut(u64, u64) -> bool) -> Result<u64> {
    match follow_log(store, index, progress) {
        Err(Error::Store(harness_memory::Error::Folded { after, first })) => {
            tracing::warn!(
                index = index.name(),
                after,
                first,
                "the log has a gap: the index is built from the records"
            );
            index.reset()?;
            build_from_records(store, index, progress)?;
            follow_log(store, index, progress)
        }
        caught_up => caught_up,
    }
}

fn follow_log(store: &dyn Store, index: &mut dyn Index, progress: &mut dyn FnMut(u64, u64) -> bool) -> Result<u64> {
    let mut after = match standing(store, index)? {
        Some(position) => position.seq,
        None => {
            index.reset()?;
            let folded = store.head()?.seq > 0 && store.position_at(1)?.is_none();
            if folded { build_from_records(store, index, progress)? } else { 0 }
        }
    };
    if index.newest_first() && after < store.head()?.seq {
        return newest_first(store, index, progress);
    }
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

/// Brings an index to the end of the log with the newest changes first: what is new is asked for most.
///
/// The index's position stays where it was until everything below is there too. Who is interrupted goes on where it
/// was; the records of a batch are taken over as they are now, so that the order does not matter to the result.
fn newest_first(store: &dyn Store, index: &mut dyn Index, progress: &mut dyn FnMut(u64, u64) -> bool) -> Result<u64> {
    let mut position = match index.applied()? {
        Some(position) => position,
        None => Position { seq: 0, chain: CHAIN_START, ..store.head()? },
    };
    let step = index.batch_changes_max() as u64;
    let mut done = 0;
    loop {
        let head = store.head()?;
        let ahead = index.ahead()?.filter(|ahead| ahead.changes() > 0 && ahead.until <= head.seq);
        let top = ahead.map_or(position.seq, |ahead| ahead.until);
        // What came meanwhile is newer still; then downwards, until the gap is closed.
        let (from, until, next) = match ahead {
            None if head.seq == position.seq => return Ok(done),
            None if head.seq - position.seq <= step => (position.seq, head.seq, None),
            None => (head.seq - step, head.seq, Some(Ahead { after: head.seq - step, until: head.seq })),
            Some(ahead) if head.seq > top => {
                let until = head.seq.min(top + step);
                (top, until, Some(Ahead { until, ..ahead }))
            }
            Some(ahead) => {
                let from = position.seq.max(ahead.after.saturating_sub(step));
                (from, ahead.after, (from > position.seq).then_some(Ahead { after: from, ..ahead }))
            }
        };
        let before = (position, ahead);
        if next.is_none() {
            position = closed(store, until.max(top))?;
        }
        apply_range(store, index, (from, until), before, (position, next))?;
        done += until - from;
        let missing = next.map_or(0, |ahead| ahead.after - position.seq) + head.seq.saturating_sub(until.max(top));
        if !progress(done, done + missing) {
            return Err(Error::Stopped);
        }
    }
}

/// The position at a change that the log has.
fn closed(store: &dyn Store, seq: Seq) -> Result<Position> {
    store.position_at(seq)?.ok_or_else(|| Error::Damaged {
        index: "followed",
        reason: format!("the store's log ended before change {seq}"),
    })
}

/// Takes over the changes after `from` up to `until`. Where they are too much for one batch, those before the last are
/// committed without being counted: whoever is interrupted takes them over again.
fn apply_range(
    store: &dyn Store,
    index: &mut dyn Index,
    (mut from, until): (Seq, Seq),
    before: (Position, Option<Ahead>),
    after: (Position, Option<Ahead>),
) -> Result<()> {
    loop {
        let Some((mut batch, _)) = next_batch(store, from, (until - from) as usize)? else { return Ok(()) };
        from = batch.position.seq;
        let last = from >= until;
        (batch.position, batch.ahead) = if last { after } else { before };
        index.apply(&batch)?;
        if last {
            return Ok(());
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
    Ok(Some((Batch { rows, live, position, ahead: None }, read.head.seq)))
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
        index.apply(&Batch { rows, live, position: if ended { head } else { start }, ahead: None })?;
        if !progress(done, u64::max(total, done)) {
            return Err(Error::Stopped);
        }
        if ended {
            return Ok(head.seq);
        }
    }
}

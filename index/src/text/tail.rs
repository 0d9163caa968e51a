//! What was written to the store and is not in the index yet: searched all the same.

use harness_memory::{Lookup, Position, Record, Row, Seq, Store, Stored};
use rustc_hash::{FxHashMap, FxHashSet};

use super::document::document;
use super::snapshot::Snapshot;
use super::{Analyzer, MemorySegment};
use crate::error::Result;
use crate::index::Filter;

/// At most this many changes take part, the newest: sixteen times what starts a follower.
pub const TAIL_CHANGES_MAX: u64 = 4_096;

/// Of the records in the tail this much text takes part, the newest: analysing it takes a process that has just
/// started about a tenth of a second.
pub const TAIL_BYTES_MAX: usize = 1 << 20;

/// How many rows are read from the store at once.
const ROWS_AT_ONCE: usize = 64;

/// The changes after an index's position, analysed and kept in memory between the queries of a process.
#[derive(Default)]
pub(crate) struct Tail {
    /// Where it begins: what the index has applied.
    base: Option<Position>,
    /// Where it ends.
    head: Option<Position>,
    /// The number of the snapshot that `masked` refers to.
    snapshot: Option<u64>,
    segment: MemorySegment,
    entries: Vec<TailEntry>,
    /// The place of each record that changed; `None` for one that is not searched.
    places: FxHashMap<Row, Option<u32>>,
    masked: Vec<Vec<u32>>,
    bytes: usize,
    unsearched: u64,
    analyzer: Analyzer,
}

/// What of a record in the tail a filter and a phrase need.
pub(crate) struct TailEntry {
    pub(crate) row: Row,
    record: Record,
}

impl Tail {
    /// Whether it covers everything between a snapshot and the end of the log.
    pub(crate) fn is_current(&self, head: &Position, snapshot: Option<&Snapshot>) -> bool {
        self.head.as_ref() == Some(head)
            && self.snapshot == snapshot.map(|snapshot| snapshot.number)
            && self.base == snapshot.and_then(Snapshot::position)
    }

    /// Extends it to the end of the log, or fills it anew when the index went on or the store is another one.
    pub(crate) fn refresh(&mut self, store: &dyn Store, head: Position, snapshot: Option<&Snapshot>) -> Result<()> {
        let base = snapshot.and_then(Snapshot::position);
        let goes_on = self.base == base
            && self.snapshot.is_some() == snapshot.is_some()
            && self.head.is_some_and(|old| old.store == head.store && old.epoch == head.epoch && old.seq <= head.seq);
        // Growing past twice the limit means that much of it would be left out if it were filled anew.
        let begin = base.map_or(0, |base| base.seq);
        let from = match self.head.filter(|_| goes_on) {
            Some(old) if head.seq - begin <= 2 * TAIL_CHANGES_MAX && self.bytes <= 2 * TAIL_BYTES_MAX => old.seq,
            _ => {
                *self = Tail::default();
                begin
            }
        };
        self.head = None;
        self.take_in(store, from, head.seq)?;
        self.masked = match snapshot {
            Some(snapshot) => snapshot.documents_of(self.places.keys().copied())?,
            None => Vec::new(),
        };
        self.snapshot = snapshot.map(|snapshot| snapshot.number);
        self.base = base;
        self.head = Some(head);
        Ok(())
    }

    /// The records as a segment.
    pub(crate) fn segment(&self) -> &MemorySegment {
        &self.segment
    }

    /// The record of a document.
    pub(crate) fn entry(&self, doc: u32) -> &TailEntry {
        &self.entries[doc as usize]
    }

    /// The documents of the snapshot's segments that changed since, in ascending order.
    pub(crate) fn masked(&self, segment: usize) -> &[u32] {
        self.masked.get(segment).map_or(&[], Vec::as_slice)
    }

    /// How many changes did not take part.
    pub(crate) fn unsearched(&self) -> u64 {
        self.unsearched
    }

    fn take_in(&mut self, store: &dyn Store, from: Seq, to: Seq) -> Result<()> {
        let after = from.max(to.saturating_sub(TAIL_CHANGES_MAX));
        self.unsearched += after - from;
        let mut rows = Vec::new();
        let mut seq = after;
        while seq < to {
            let read = match store.changes(seq, (to - seq) as usize) {
                // What is no longer in the log was in every index: without one it is not searched until it is again.
                Err(harness_memory::Error::Folded { first, .. }) if first > seq + 1 => {
                    self.unsearched += first - 1 - seq;
                    seq = first - 1;
                    continue;
                }
                read => read?,
            };
            let Some(last) = read.changes.last() else { break };
            seq = last.seq;
            rows.extend(read.changes.iter().map(|change| change.row));
        }
        // Newest first, each row once, so that the limit cuts off the oldest.
        let mut seen = FxHashSet::default();
        let newest: Vec<Row> = rows.into_iter().rev().filter(|row| seen.insert(*row)).collect();
        for row in &newest {
            if let Some(Some(doc)) = self.places.insert(*row, None) {
                self.segment.delete(doc);
            }
        }
        let mut room = TAIL_BYTES_MAX;
        for rows in newest.chunks(ROWS_AT_ONCE) {
            if room == 0 {
                self.unsearched += rows.len() as u64;
                continue;
            }
            for lookup in store.get_rows(rows)? {
                if let Lookup::Found(stored) = lookup
                    && stored.forgotten.is_none()
                {
                    room = room.saturating_sub(self.add(*stored));
                }
            }
        }
        Ok(())
    }

    /// Adds a record and answers how many bytes of text it has.
    fn add(&mut self, stored: Stored) -> usize {
        let Some(document) = document(&stored.record) else { return 0 };
        let (row, bytes) = (stored.row, document.text.len());
        let key = row.0 as u64;
        let doc = self.segment.add(&mut self.analyzer, &document.text, document.class, key);
        drop(document);
        self.places.insert(row, Some(doc));
        self.entries.push(TailEntry { row, record: stored.record });
        self.bytes += bytes;
        bytes
    }
}

impl TailEntry {
    /// Whether the record may be proposed.
    pub(crate) fn passes(&self, filter: &Filter) -> bool {
        filter.allows(&self.record)
    }

    /// The record, with its text.
    pub(crate) fn record(&self) -> &Record {
        &self.record
    }
}

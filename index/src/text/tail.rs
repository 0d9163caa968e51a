//! What was written to the store and is not in the index yet: searched all the same.

use std::cell::RefCell;
use std::io;
use std::sync::Arc;

use harness_memory::{Lookup, Position, Record, Row, Seq, Store, Stored};
use rustc_hash::{FxHashMap, FxHashSet};

use super::analysis::{Class, WORD_CHARS, WORD_PREFIX, class_of};
use super::document::document;
use super::snapshot::Snapshot;
use super::{Analyzer, Folded, MemorySegment, NoWords, Segment, Shape, Statistics};
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
    folded: Folded,
}

/// What of a record in the tail a filter and a phrase need.
pub(crate) struct TailEntry {
    pub(crate) row: Row,
    /// The folded text, if it is Chinese.
    chinese: Option<Box<str>>,
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

    /// The records as a segment, whose Han words are those that the snapshot knows.
    pub(crate) fn segment<'a>(&'a self, snapshot: Option<&'a Snapshot>) -> TailSegment<'a> {
        TailSegment { tail: self, snapshot, words: RefCell::default() }
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
            let read = store.changes(seq, (to - seq) as usize)?;
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
        let doc = self.segment.add(&mut self.analyzer, &mut NoWords, &document.text, document.class, key);
        let chinese = document.text.chars().any(is_han).then(|| {
            self.folded.fold(&document.text);
            self.folded.text().into()
        });
        let chinese: Option<Box<str>> = chinese;
        let chinese = chinese.filter(|folded| !folded.chars().any(is_kana));
        drop(document);
        self.places.insert(row, Some(doc));
        self.entries.push(TailEntry { row, chinese, record: stored.record });
        self.bytes += bytes;
        bytes
    }
}

/// The documents in which a term stands, ascending, and how often it does in each.
type Places = (Vec<u32>, Vec<u32>);

/// The tail for one search.
///
/// Here nobody has a dictionary: a piece of Chinese text is a word where the index has it as a word. To ask that of every
/// piece of every text would take longer than all else, so it is asked of the pieces of the query, and the texts are
/// searched for those that are words.
pub(crate) struct TailSegment<'a> {
    tail: &'a Tail,
    snapshot: Option<&'a Snapshot>,
    words: RefCell<FxHashMap<Box<str>, Arc<Places>>>,
}

impl TailSegment<'_> {
    /// Where a term stands that is a word of Chinese; `None` for other terms.
    fn word(&self, term: &str) -> Option<Arc<Places>> {
        let word = term.strip_prefix(WORD_PREFIX)?;
        if !word.chars().all(is_han) || !WORD_CHARS.contains(&word.chars().count()) {
            return None;
        }
        if let Some(known) = self.words.borrow().get(word) {
            return Some(Arc::clone(known));
        }
        let mut places = Places::default();
        if self.snapshot.is_some_and(|snapshot| snapshot.has_term(term)) {
            for (doc, entry) in self.tail.entries.iter().enumerate() {
                let times = entry.chinese.as_ref().map_or(0, |text| occurrences(text, word));
                if times > 0 {
                    places.0.push(doc as u32);
                    places.1.push(times);
                }
            }
        }
        let places = Arc::new(places);
        self.words.borrow_mut().insert(word.into(), Arc::clone(&places));
        Some(places)
    }
}

impl Segment for TailSegment<'_> {
    fn shapes(&self) -> &[Shape] {
        self.tail.segment.shapes()
    }

    fn is_alive(&self, doc: u32) -> bool {
        self.tail.segment.is_alive(doc)
    }

    fn statistics(&self) -> Statistics {
        self.tail.segment.statistics()
    }

    fn doc_freq(&self, term: &str) -> io::Result<u32> {
        match self.word(term) {
            Some(places) => Ok(places.0.iter().filter(|doc| self.is_alive(**doc)).count() as u32),
            None => self.tail.segment.doc_freq(term),
        }
    }

    fn postings(&self, term: &str, visit: &mut dyn FnMut(&[u32], &[u32])) -> io::Result<()> {
        match self.word(term) {
            Some(places) => {
                visit(&places.0, &places.1);
                Ok(())
            }
            None => self.tail.segment.postings(term, visit),
        }
    }

    fn tie_key(&self, doc: u32) -> u64 {
        self.tail.segment.tie_key(doc)
    }
}

fn is_han(c: char) -> bool {
    class_of(c) == Class::Han
}

fn is_kana(c: char) -> bool {
    class_of(c).is_kana()
}

/// How often a word stands in a text, overlaps included.
fn occurrences(text: &str, word: &str) -> u32 {
    let first = word.chars().next().map_or(1, char::len_utf8);
    let (mut rest, mut times) = (text, 0);
    while let Some(at) = rest.find(word) {
        times += 1;
        rest = &rest[at + first..];
    }
    times
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

//! What was written to the store and is not in the index yet: the newest of it is embedded by whoever searches.

use harness_memory::change::ChangeKind;
use harness_memory::{Lookup, Position, Record, Row, Store};
use rustc_hash::{FxHashMap, FxHashSet};

use super::reader::{Open, Standing, holds};
use super::texts::pieces;
use super::writer::as_stored;
use crate::embed::{Embedder, Purpose};
use crate::error::Result;
use crate::index::Filter;
use crate::vector::{Content, cosine};

/// At most this many changes are looked through for what was forgotten and what is new.
const CHANGES_MAX: u64 = 4_096;

/// At most this many records of the tail take part, the newest.
pub const TAIL_RECORDS_MAX: usize = 256;

/// One search embeds at most this many texts of the tail: more would keep a person waiting, who gets them from full
/// text meanwhile.
pub const TAIL_TEXTS_MAX: usize = 16;

/// The changes after an index's position, kept between the searches of a process.
#[derive(Default)]
pub(super) struct Tail {
    base: Option<Standing>,
    head: Option<Position>,
    /// Records that were forgotten since.
    pub(super) gone: FxHashSet<Row>,
    /// Records that the index lacks, newest first.
    rows: Vec<Row>,
    /// Those of them that were looked at; `None` where nothing of one is embedded.
    entries: FxHashMap<Row, Option<Entry>>,
    /// Texts that were embedded for the tail.
    vectors: FxHashMap<Content, Vec<u8>>,
    /// Changes that were not looked through.
    skipped: u64,
    /// Records that did not take part.
    left: u64,
}

struct Entry {
    record: Record,
    contents: Vec<Content>,
}

impl Tail {
    /// How many changes did not take part.
    pub(super) fn unsearched(&self) -> u64 {
        self.skipped + self.left
    }

    /// Brings it to the end of the log, as far as the limits of one search allow.
    pub(super) fn refresh(
        &mut self,
        store: &dyn Store,
        head: Position,
        open: Option<&Open>,
        embedder: Option<&dyn Embedder>,
    ) -> Result<()> {
        let base = open.and_then(|open| open.standing);
        if self.head != Some(head) || self.base != base {
            self.read_changes(store, head, open)?;
        } else if self.left == 0 {
            return Ok(());
        }
        match embedder {
            Some(embedder) => self.embed(store, embedder)?,
            // Whoever holds the model embeds them within a second.
            None => self.left = self.rows.len() as u64,
        }
        (self.base, self.head) = (base, Some(head));
        Ok(())
    }

    fn read_changes(&mut self, store: &dyn Store, head: Position, open: Option<&Open>) -> Result<()> {
        if self.head.is_some_and(|old| old.store != head.store || old.epoch != head.epoch) {
            *self = Tail::default();
        }
        self.head = None;
        let standing = open.and_then(|open| open.standing);
        let begin = standing.map_or(0, |standing| standing.ahead.map_or(standing.position.seq, |ahead| ahead.until));
        let begin = begin.min(head.seq);
        let mut after = begin.max(head.seq.saturating_sub(CHANGES_MAX));
        // The gap below what is ahead is looked through by nobody: that is what a backlog is.
        self.skipped = standing.map_or(head.seq, |standing| standing.lag(head.seq)).saturating_sub(head.seq - after);
        let mut changes = Vec::new();
        while after < head.seq {
            let read = match store.changes(after, (head.seq - after) as usize) {
                // What is no longer in the log is not searched here until the index is built anew.
                Err(harness_memory::Error::Folded { first, .. }) if first > after + 1 => {
                    self.skipped += first - 1 - after;
                    after = first - 1;
                    continue;
                }
                read => read?,
            };
            let Some(last) = read.changes.last() else { break };
            after = last.seq;
            changes.extend(read.changes);
        }
        (self.gone, self.rows) = (FxHashSet::default(), Vec::new());
        let mut seen = FxHashSet::default();
        for change in changes.iter().rev() {
            // What an episode says changes with its outcome.
            if change.kind == ChangeKind::Update {
                self.entries.remove(&change.row);
            }
            if !seen.insert(change.row) {
                continue;
            }
            match change.kind {
                ChangeKind::Forget | ChangeKind::Purge => {
                    self.gone.insert(change.row);
                }
                _ if open.is_some_and(|open| holds(&open.index, change.row)) => {}
                _ => self.rows.push(change.row),
            }
        }
        let rows: FxHashSet<Row> = self.rows.iter().take(TAIL_RECORDS_MAX).copied().collect();
        self.entries.retain(|row, _| rows.contains(row));
        let used: FxHashSet<Content> =
            self.entries.values().flatten().flat_map(|entry| entry.contents.iter().copied()).collect();
        self.vectors.retain(|content, _| used.contains(content));
        Ok(())
    }

    fn embed(&mut self, store: &dyn Store, embedder: &dyn Embedder) -> Result<()> {
        let mut texts: Vec<(Content, String)> = Vec::new();
        self.left = self.rows.len().saturating_sub(TAIL_RECORDS_MAX) as u64;
        let newest: Vec<Row> = self.rows.iter().take(TAIL_RECORDS_MAX).copied().collect();
        let unknown: Vec<Row> = newest.iter().filter(|row| !self.entries.contains_key(row)).copied().collect();
        let mut loaded = FxHashMap::default();
        if !unknown.is_empty() {
            for (row, lookup) in unknown.iter().zip(store.get_rows(&unknown)?) {
                let Lookup::Found(stored) = lookup else { continue };
                if stored.forgotten.is_none() {
                    loaded.insert(*row, stored.record);
                }
            }
        }
        for row in newest {
            if self.entries.contains_key(&row) {
                continue;
            }
            let pieces = loaded.get(&row).map(pieces).unwrap_or_default();
            let new: Vec<(Content, String)> = pieces
                .iter()
                .map(|piece| (piece.content(), piece.text.clone()))
                .filter(|(content, _)| {
                    !self.vectors.contains_key(content) && texts.iter().all(|(known, _)| known != content)
                })
                .collect();
            // A single record of many passages must not be left out for ever.
            if !texts.is_empty() && !new.is_empty() && texts.len() + new.len() > TAIL_TEXTS_MAX {
                self.left += 1;
                continue;
            }
            texts.extend(new);
            let contents: Vec<Content> = pieces.iter().map(|piece| piece.content()).collect();
            let record = loaded.remove(&row).filter(|_| !contents.is_empty());
            self.entries.insert(row, record.map(|record| Entry { record, contents }));
        }
        let pieces: Vec<&str> = texts.iter().map(|(_, text)| text.as_str()).collect();
        if !pieces.is_empty() {
            let vectors = embedder.embed(Purpose::Passage, &pieces)?;
            for ((content, _), vector) in texts.iter().zip(vectors) {
                self.vectors.insert(*content, as_stored(&vector)?);
            }
        }
        Ok(())
    }

    /// The records that a filter lets through, each with its best passage; `unit` is the query with length one.
    pub(super) fn search<'a>(
        &'a self,
        unit: &'a [f32],
        filter: &'a Filter<'a>,
    ) -> impl Iterator<Item = (Row, f32, u32)> + 'a {
        let entries = self.entries.iter().filter_map(|(row, entry)| Some((row, entry.as_ref()?)));
        entries.filter(|(_, entry)| filter.allows(&entry.record)).filter_map(|(row, entry)| {
            let scores = entry.contents.iter().enumerate().filter_map(|(number, content)| {
                let score = cosine(unit, self.vectors.get(content)?).clamp(-1.0, 1.0);
                Some((score, number as u32))
            });
            let best = scores.max_by(|a, b| a.0.total_cmp(&b.0).then(b.1.cmp(&a.1)))?;
            Some((*row, best.0, best.1))
        })
    }
}

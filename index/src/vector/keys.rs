//! Which key names which row: several keys may name one row, and a key has a row for each passage.
//!
//! The truth is a log of additions and removals, replayed on opening.

use super::error::{Error, Result};
use super::files;
use super::rows::ROWS_MAX;
use hashbrown::HashTable;
use rustc_hash::FxBuildHasher;
use std::hash::BuildHasher;
use std::path::Path;
use xxhash_rust::xxh3::Xxh3;

/// Key, content, passage, row, operation.
pub(crate) const ENTRY_BYTES: usize = 8 + 16 + 4 + 4 + 4;

const ADD: u32 = 1;
const REMOVE: u32 = 2;

/// No row, no entry.
const NONE: u32 = u32::MAX;

/// A hash of what was embedded: equal contents have equal vectors.
pub type Content = [u8; 16];

/// What a row was stored for: a passage of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// The record's internal number.
    pub record: u64,
    /// Which passage of the record, from zero.
    pub passage: u32,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    record: u64,
    passage: u32,
    row: u32,
    /// The entry that named the same row before, dead or alive.
    older_of_row: u32,
    /// The entry that the same record had before, dead or alive.
    older_of_record: u32,
}

impl Entry {
    fn key(&self) -> Key {
        Key { record: self.record, passage: self.passage }
    }
}

/// One operation of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    Add { key: Key, content: Content, row: u32 },
    Remove { record: u64 },
}

/// All keys of an index.
#[derive(Debug)]
pub(crate) struct Keys {
    entries: Vec<Entry>,
    /// Which entries were neither removed nor superseded.
    alive: Vec<bool>,
    contents: Vec<Content>,
    /// The newest entry of each record.
    by_record: HashTable<u32>,
    /// An entry with each content. Only writers need it: filled when the first of them asks.
    by_content: Option<HashTable<u32>>,
    newest_of_row: Vec<u32>,
    live_of_row: Vec<u32>,
    live_rows: usize,
    live_keys: usize,
    /// Committed operations.
    committed: u64,
    /// Operations that are not committed, as bytes.
    pending: Vec<u8>,
}

impl Keys {
    /// Replays the committed log of a generation of `rows` rows; returns its running checksum too.
    pub(crate) fn open(generation: &Path, count: u64, sum: u64, rows: usize) -> Result<(Keys, Xxh3)> {
        let path = generation.join("keys.log");
        let damaged = |what: String| Error::Damaged { path: path.clone(), what };
        let length = count.checked_mul(ENTRY_BYTES as u64);
        let length = length.ok_or_else(|| damaged(format!("a count of {count} entries")))?;
        let log = files::read_committed(&path, length)?;
        let mut running = Xxh3::new();
        running.update(&log);
        if running.digest() != sum {
            return Err(damaged("the checksum does not fit".to_owned()));
        }
        let mut keys = Keys {
            entries: Vec::with_capacity(count as usize),
            alive: Vec::with_capacity(count as usize),
            contents: Vec::with_capacity(count as usize),
            by_record: HashTable::with_capacity(count as usize),
            by_content: None,
            newest_of_row: vec![NONE; rows],
            live_of_row: vec![0; rows],
            live_rows: 0,
            live_keys: 0,
            committed: count,
            pending: Vec::new(),
        };
        for (at, bytes) in log.as_chunks::<ENTRY_BYTES>().0.iter().enumerate() {
            match Operation::decode(bytes) {
                Some(Operation::Add { key, content, row }) if (row as usize) < rows => {
                    keys.apply_add(key, content, row);
                }
                Some(Operation::Remove { record }) => {
                    keys.apply_remove(record);
                }
                _ => return Err(damaged(format!("entry {at} makes no sense"))),
            }
        }
        Ok((keys, running))
    }

    /// Rows that at least one key names.
    pub(crate) fn live_rows(&self) -> usize {
        self.live_rows
    }

    /// Keys that name a row.
    pub(crate) fn live_keys(&self) -> usize {
        self.live_keys
    }

    /// Whether a key names the row.
    #[inline]
    pub(crate) fn is_live(&self, row: usize) -> bool {
        self.live_of_row[row] > 0
    }

    /// The keys that name a row, newest first.
    pub(crate) fn of_row(&self, row: usize) -> impl Iterator<Item = Key> + '_ {
        let mut next = self.newest_of_row[row];
        std::iter::from_fn(move || {
            while next != NONE {
                let entry = self.entries[next as usize];
                let alive = self.alive[next as usize];
                next = entry.older_of_row;
                if alive {
                    return Some(entry.key());
                }
            }
            None
        })
    }

    /// The rows of a record's passages.
    pub(crate) fn of_record(&self, record: u64) -> impl Iterator<Item = (Key, u32)> + '_ {
        self.entries_of(record).map(|at| {
            let entry = self.entries[at as usize];
            (entry.key(), entry.row)
        })
    }

    /// The row that holds a content, whether alive or not.
    pub(crate) fn row_of_content(&mut self, content: &Content) -> Option<u32> {
        let contents = &self.contents;
        let by_content = self.by_content.get_or_insert_with(|| {
            let mut table = HashTable::with_capacity(contents.len());
            for at in 0..contents.len() as u32 {
                insert_content(&mut table, contents, at);
            }
            table
        });
        let found = by_content.find(hash(content), |&at| contents[at as usize] == *content)?;
        Some(self.entries[*found as usize].row)
    }

    /// The live entries, oldest first.
    pub(crate) fn live(&self) -> impl Iterator<Item = (Key, Content, u32)> + '_ {
        let entries = self.entries.iter().zip(&self.contents).zip(&self.alive);
        entries.filter(|(_, alive)| **alive).map(|((entry, content), _)| (entry.key(), *content, entry.row))
    }

    /// Lets a key name a row; another row of the same key is named by it no longer.
    ///
    /// Returns the operation, or `None` if nothing changed.
    pub(crate) fn add(&mut self, key: Key, content: Content, row: u32) -> Result<Option<Operation>> {
        if self.of_record(key.record).any(|named| named == (key, row)) {
            return Ok(None);
        }
        if self.entries.len() >= ROWS_MAX {
            return Err(Error::Full { limit: ROWS_MAX });
        }
        self.apply_add(key, content, row);
        let operation = Operation::Add { key, content, row };
        operation.encode(&mut self.pending);
        Ok(Some(operation))
    }

    /// Lets no key of a record name a row; returns how many did.
    pub(crate) fn remove(&mut self, record: u64) -> usize {
        let removed = self.apply_remove(record);
        if removed > 0 {
            Operation::Remove { record }.encode(&mut self.pending);
        }
        removed
    }

    /// The bytes that a commit has to append to the log.
    pub(crate) fn pending(&self) -> &[u8] {
        &self.pending
    }

    /// Operations in the log when what is pending will be there.
    pub(crate) fn operations(&self) -> u64 {
        self.committed + (self.pending.len() / ENTRY_BYTES) as u64
    }

    pub(crate) fn committed_all(&mut self) {
        self.committed = self.operations();
        self.pending.clear();
    }

    /// Operations that are durable.
    pub(crate) fn committed(&self) -> u64 {
        self.committed
    }

    /// Entries that are dead: what a rebuild would leave out.
    pub(crate) fn dead_entries(&self) -> usize {
        self.entries.len() - self.live_keys
    }

    fn entries_of(&self, record: u64) -> impl Iterator<Item = u32> + '_ {
        let newest = self.by_record.find(hash(&record), |&at| self.entries[at as usize].record == record);
        let mut next = newest.copied().unwrap_or(NONE);
        std::iter::from_fn(move || {
            while next != NONE {
                let at = next;
                let entry = self.entries[at as usize];
                next = entry.older_of_record;
                if self.alive[at as usize] {
                    return Some(at);
                }
            }
            None
        })
    }

    fn apply_add(&mut self, key: Key, content: Content, row: u32) {
        let superseded = self.entries_of(key.record).find(|&at| self.entries[at as usize].passage == key.passage);
        if let Some(at) = superseded {
            self.kill(at);
        }
        let at = self.entries.len() as u32;
        let entries = &self.entries;
        let newest = self.by_record.entry(
            hash(&key.record),
            |&at| entries[at as usize].record == key.record,
            |&at| hash(&entries[at as usize].record),
        );
        let mut older_of_record = NONE;
        newest.and_modify(|newest| older_of_record = std::mem::replace(newest, at)).or_insert(at);
        if row as usize >= self.newest_of_row.len() {
            self.newest_of_row.resize(row as usize + 1, NONE);
            self.live_of_row.resize(row as usize + 1, 0);
        }
        let older_of_row = std::mem::replace(&mut self.newest_of_row[row as usize], at);
        self.alive.push(true);
        self.entries.push(Entry { record: key.record, passage: key.passage, row, older_of_row, older_of_record });
        self.contents.push(content);
        if let Some(by_content) = &mut self.by_content {
            insert_content(by_content, &self.contents, at);
        }
        self.live_of_row[row as usize] += 1;
        self.live_rows += usize::from(self.live_of_row[row as usize] == 1);
        self.live_keys += 1;
    }

    fn apply_remove(&mut self, record: u64) -> usize {
        let entries: Vec<u32> = self.entries_of(record).collect();
        for &at in &entries {
            self.kill(at);
        }
        entries.len()
    }

    fn kill(&mut self, at: u32) {
        self.alive[at as usize] = false;
        let row = self.entries[at as usize].row;
        self.live_of_row[row as usize] -= 1;
        self.live_rows -= usize::from(self.live_of_row[row as usize] == 0);
        self.live_keys -= 1;
    }
}

impl Operation {
    fn encode(self, bytes: &mut Vec<u8>) {
        let (record, content, passage, row, operation) = match self {
            Operation::Add { key, content, row } => (key.record, content, key.passage, row, ADD),
            Operation::Remove { record } => (record, [0; 16], 0, NONE, REMOVE),
        };
        bytes.extend_from_slice(&record.to_le_bytes());
        bytes.extend_from_slice(&content);
        bytes.extend_from_slice(&passage.to_le_bytes());
        bytes.extend_from_slice(&row.to_le_bytes());
        bytes.extend_from_slice(&operation.to_le_bytes());
    }

    fn decode(bytes: &[u8; ENTRY_BYTES]) -> Option<Operation> {
        let (record, rest) = bytes.split_first_chunk::<8>()?;
        let (content, rest) = rest.split_first_chunk::<16>()?;
        let (passage, rest) = rest.split_first_chunk::<4>()?;
        let (row, operation) = rest.split_first_chunk::<4>()?;
        let record = u64::from_le_bytes(*record);
        match u32::from_le_bytes(*operation.first_chunk::<4>()?) {
            ADD => Some(Operation::Add {
                key: Key { record, passage: u32::from_le_bytes(*passage) },
                content: *content,
                row: u32::from_le_bytes(*row),
            }),
            REMOVE => Some(Operation::Remove { record }),
            _ => None,
        }
    }
}

fn insert_content(table: &mut HashTable<u32>, contents: &[Content], at: u32) {
    let content = &contents[at as usize];
    table
        .entry(hash(content), |&other| contents[other as usize] == *content, |&other| hash(&contents[other as usize]))
        .or_insert(at);
}

fn hash(value: &impl std::hash::Hash) -> u64 {
    FxBuildHasher.hash_one(value)
}

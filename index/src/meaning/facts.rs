//! What a filter needs to know of the records in the vector index: scope, kind, session and time.
//!
//! ```text
//! facts    frames, each: length (u32), checksum (u64), entries
//! ```
//!
//! The file only grows, and is written before the vectors are committed, so that it may know of records that the index
//! has not; never the other way round. A torn frame at the end is cut off by the next writer.

use std::fs;
use std::path::{Path, PathBuf};

use harness_memory::{Kind, Record, Row, Scope};
use rustc_hash::FxHashMap;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::error::{Error, Result};
use crate::index::Filter;

/// The format of the file, as the seed of its checksums: a file of another format holds no valid frame.
const FORMAT: u64 = 1;

/// Length and checksum.
const FRAME_HEAD_BYTES: usize = 4 + 8;

const SCOPE: u8 = 1;
const SESSION: u8 = 2;
const RECORD: u8 = 3;
const REMOVED: u8 = 4;

/// No session.
const NONE: u32 = u32::MAX;

/// What is known of one record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fact {
    kind: Kind,
    created_at_ms: i64,
    scope: u32,
    session: u32,
    /// How many passages it has in the index.
    pub(crate) passages: u32,
}

/// The facts of all records, and what of them is not in the file yet.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    of_row: FxHashMap<i64, Fact>,
    scopes: Vec<Scope>,
    sessions: Vec<String>,
    number_of_scope: FxHashMap<String, u32>,
    number_of_session: FxHashMap<String, u32>,
    pending: Vec<u8>,
    /// Bytes of the file that are valid.
    committed: u64,
    /// Entries of the file, dead ones too.
    entries: usize,
}

impl Facts {
    /// Reads the file as far as it is whole; empty where there is none.
    pub(crate) fn open(path: &Path) -> Result<Facts> {
        let bytes = match fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(Error::io("read", path)(error)),
        };
        let mut facts = Facts::default();
        let mut rest = &bytes[..];
        while let Some((payload, next)) = frame(rest) {
            if facts.read(payload).is_none() {
                break;
            }
            rest = next;
            facts.committed = (bytes.len() - rest.len()) as u64;
        }
        Ok(facts)
    }

    pub(crate) fn len(&self) -> usize {
        self.of_row.len()
    }

    /// How many passages all records have together.
    pub(crate) fn passages(&self) -> usize {
        self.of_row.values().map(|fact| fact.passages as usize).sum()
    }

    /// Leaves out the records that this says no to.
    pub(crate) fn retain(&mut self, mut keep: impl FnMut(Row) -> bool) {
        self.of_row.retain(|row, _| keep(Row(*row)));
    }

    /// Notes a record, in place of what was known of it.
    pub(crate) fn put(&mut self, row: Row, record: &Record, passages: u32) {
        let scope = self.scope(record.scope.path());
        let session = record.session.as_deref().map_or(NONE, |session| self.session(session));
        let created_at_ms = record.created_at.as_millisecond();
        let fact = Fact { kind: record.kind(), created_at_ms, scope, session, passages };
        if self.of_row.insert(row.0, fact) == Some(fact) {
            return;
        }
        self.entries += 1;
        self.pending.push(RECORD);
        self.pending.extend_from_slice(&row.0.to_le_bytes());
        self.pending.push(fact.kind.code());
        self.pending.extend_from_slice(&created_at_ms.to_le_bytes());
        for number in [scope, session, passages] {
            self.pending.extend_from_slice(&number.to_le_bytes());
        }
    }

    /// Forgets a record.
    pub(crate) fn remove(&mut self, row: Row) {
        if self.of_row.remove(&row.0).is_some() {
            self.entries += 1;
            self.pending.push(REMOVED);
            self.pending.extend_from_slice(&row.0.to_le_bytes());
        }
    }

    /// The records that a filter lets through.
    pub(crate) fn allowed(&self, filter: &Filter) -> Vec<u64> {
        let scopes: Vec<bool> = self.scopes.iter().map(|scope| filter.reads.allows(scope)).collect();
        let session = match filter.session {
            Some(session) => match self.number_of_session.get(session) {
                Some(number) => Some(*number),
                None => return Vec::new(),
            },
            None => None,
        };
        let without = filter.without_session.and_then(|session| self.number_of_session.get(session)).copied();
        let since = filter.since.map(|since| since.as_millisecond());
        let until = filter.until.map(|until| until.as_millisecond());
        let allows = |fact: &Fact| {
            scopes[fact.scope as usize]
                && (filter.kinds.is_empty() || filter.kinds.contains(&fact.kind))
                && session.is_none_or(|session| fact.session == session)
                && without.is_none_or(|session| fact.session != session)
                && since.is_none_or(|since| fact.created_at_ms >= since)
                && until.is_none_or(|until| fact.created_at_ms < until)
        };
        self.of_row.iter().filter(|(_, fact)| allows(fact)).map(|(row, _)| *row as u64).collect()
    }

    /// Makes everything durable.
    pub(crate) fn commit(&mut self, path: &Path) -> Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let mut framed = (self.pending.len() as u32).to_le_bytes().to_vec();
        framed.extend_from_slice(&xxh3_64_with_seed(&self.pending, FORMAT).to_le_bytes());
        framed.extend_from_slice(&self.pending);
        append(path, self.committed, &framed)?;
        self.committed += framed.len() as u64;
        self.pending.clear();
        Ok(())
    }

    /// Writes the file anew when most of it is outdated.
    pub(crate) fn compact(&mut self, path: &Path) -> Result<()> {
        /// A smaller file is not worth the trouble.
        const ENTRIES_MIN: usize = 4_096;
        if self.entries < ENTRIES_MIN.max(2 * self.of_row.len()) {
            return Ok(());
        }
        let mut next = Facts::default();
        let mut rows: Vec<i64> = self.of_row.keys().copied().collect();
        rows.sort_unstable();
        for row in rows {
            let fact = self.of_row[&row];
            let scope = next.scope(self.scopes[fact.scope as usize].path());
            let session = match self.sessions.get(fact.session as usize) {
                Some(session) => next.session(session),
                None => NONE,
            };
            let fact = Fact { scope, session, ..fact };
            next.of_row.insert(row, fact);
            next.entries += 1;
            next.pending.push(RECORD);
            next.pending.extend_from_slice(&row.to_le_bytes());
            next.pending.push(fact.kind.code());
            next.pending.extend_from_slice(&fact.created_at_ms.to_le_bytes());
            for number in [scope, session, fact.passages] {
                next.pending.extend_from_slice(&number.to_le_bytes());
            }
        }
        let temporary: PathBuf = path.with_extension("new");
        let _ = fs::remove_file(&temporary);
        next.commit(&temporary)?;
        fs::rename(&temporary, path).map_err(Error::io("replace", path))?;
        *self = next;
        Ok(())
    }

    fn scope(&mut self, path: &str) -> u32 {
        if let Some(number) = self.number_of_scope.get(path) {
            return *number;
        }
        // A scope that was parsed once parses again.
        let scope = Scope::parse(path).unwrap_or_else(|_| Scope::root());
        let number = self.scopes.len() as u32;
        self.scopes.push(scope);
        self.number_of_scope.insert(path.to_owned(), number);
        self.push_name(SCOPE, path);
        number
    }

    fn session(&mut self, session: &str) -> u32 {
        if let Some(number) = self.number_of_session.get(session) {
            return *number;
        }
        let number = self.sessions.len() as u32;
        self.sessions.push(session.to_owned());
        self.number_of_session.insert(session.to_owned(), number);
        self.push_name(SESSION, session);
        number
    }

    fn push_name(&mut self, tag: u8, name: &str) {
        self.pending.push(tag);
        self.pending.extend_from_slice(&(name.len() as u32).to_le_bytes());
        self.pending.extend_from_slice(name.as_bytes());
    }

    /// Takes in the entries of a frame; `None` where one cannot be read.
    fn read(&mut self, payload: &[u8]) -> Option<()> {
        let mut rest = payload;
        while let Some((&tag, after)) = rest.split_first() {
            rest = after;
            match tag {
                SCOPE | SESSION => {
                    let length = u32::from_le_bytes(take(&mut rest)?) as usize;
                    let (name, after) = rest.split_at_checked(length)?;
                    rest = after;
                    let name = std::str::from_utf8(name).ok()?;
                    if tag == SCOPE {
                        let scope = Scope::parse(name).ok()?;
                        self.number_of_scope.insert(name.to_owned(), self.scopes.len() as u32);
                        self.scopes.push(scope);
                    } else {
                        self.number_of_session.insert(name.to_owned(), self.sessions.len() as u32);
                        self.sessions.push(name.to_owned());
                    }
                }
                RECORD => {
                    let row = i64::from_le_bytes(take(&mut rest)?);
                    let [code] = take(&mut rest)?;
                    let kind = Kind::from_code(code)?;
                    let created_at_ms = i64::from_le_bytes(take(&mut rest)?);
                    let scope = u32::from_le_bytes(take(&mut rest)?);
                    let session = u32::from_le_bytes(take(&mut rest)?);
                    let passages = u32::from_le_bytes(take(&mut rest)?);
                    let known = |number: u32, names: usize| (number as usize) < names;
                    if !known(scope, self.scopes.len()) || session != NONE && !known(session, self.sessions.len()) {
                        return None;
                    }
                    self.of_row.insert(row, Fact { kind, created_at_ms, scope, session, passages });
                    self.entries += 1;
                }
                REMOVED => {
                    self.of_row.remove(&i64::from_le_bytes(take(&mut rest)?));
                    self.entries += 1;
                }
                _ => return None,
            }
        }
        Some(())
    }
}

/// The payload of the first frame and what follows it; `None` where there is no whole one.
fn frame(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut rest = bytes;
    if rest.len() < FRAME_HEAD_BYTES {
        return None;
    }
    let length = u32::from_le_bytes(take(&mut rest)?) as usize;
    let sum = u64::from_le_bytes(take(&mut rest)?);
    let (payload, next) = rest.split_at_checked(length)?;
    (xxh3_64_with_seed(payload, FORMAT) == sum).then_some((payload, next))
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (head, after) = rest.split_first_chunk::<N>()?;
    *rest = after;
    Some(*head)
}

/// Appends behind the valid part of a file, cutting off what is not, and syncs.
fn append(path: &Path, committed: u64, bytes: &[u8]) -> Result<()> {
    use std::io::Write;
    let mut options = fs::OpenOptions::new();
    let mut file = options.append(true).create(true).open(path).map_err(Error::io("open", path))?;
    file.set_len(committed).map_err(Error::io("shorten", path))?;
    file.write_all(bytes).map_err(Error::io("append to", path))?;
    file.sync_data().map_err(Error::io("sync", path))
}

#[cfg(test)]
mod tests {
    use harness_memory::{Note, Origin, ReadSet};

    use super::*;

    fn note(scope: &str, session: Option<&str>) -> Record {
        let scope = Scope::parse(scope).unwrap();
        let mut record = Record::new(scope, "test", Origin::User, Note::new("text"));
        record.session = session.map(str::to_owned);
        record
    }

    fn rows(facts: &Facts, reads: &str, session: Option<&str>) -> Vec<u64> {
        let reads = ReadSet::new([reads.parse().unwrap()]);
        let filter = Filter { reads: &reads, kinds: &[], session, without_session: None, since: None, until: None };
        let mut rows = facts.allowed(&filter);
        rows.sort_unstable();
        rows
    }

    #[test]
    fn facts_come_back_and_a_torn_end_is_cut_off() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("facts");
        let mut facts = Facts::open(&path).unwrap();
        facts.put(Row(1), &note("ana/shop", Some("s1")), 1);
        facts.put(Row(2), &note("ana", None), 2);
        facts.commit(&path).unwrap();
        facts.put(Row(3), &note("ana/shop", Some("s2")), 1);
        facts.remove(Row(2));
        facts.commit(&path).unwrap();
        let whole = fs::read(&path).unwrap();
        let again = Facts::open(&path).unwrap();
        assert_eq!((again.len(), again.passages()), (2, 2));
        assert_eq!(rows(&again, "ana", None), [1, 3]);
        assert_eq!(rows(&again, "/", Some("s2")), [3]);
        assert!(rows(&again, "/", Some("s3")).is_empty());
        let all = ReadSet::everything();
        let without = |session| Filter { without_session: Some(session), ..Filter::of(&all) };
        assert_eq!(again.allowed(&without("s2")), [1]);
        assert_eq!(again.allowed(&without("s3")).len(), 2, "a session that nobody knows takes nothing away");
        for length in 0..whole.len() {
            fs::write(&path, &whole[..length]).unwrap();
            let mut cut = Facts::open(&path).unwrap();
            assert!(cut.len() <= 2);
            cut.put(Row(9), &note("eve", Some("s9")), 1);
            cut.commit(&path).unwrap();
            assert_eq!(rows(&Facts::open(&path).unwrap(), "eve", Some("s9")), [9]);
        }
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 4;
            fs::write(&path, damaged).unwrap();
            assert!(Facts::open(&path).unwrap().len() <= 2);
        }
    }

    #[test]
    fn a_file_of_outdated_facts_is_written_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("facts");
        let mut facts = Facts::default();
        for round in 0..5_000 {
            facts.put(Row(1), &note("ana", Some("s")), round);
            facts.put(Row(2), &note("ben", None), round);
        }
        facts.commit(&path).unwrap();
        facts.compact(&path).unwrap();
        assert!(fs::metadata(&path).unwrap().len() < 200);
        let again = Facts::open(&path).unwrap();
        assert_eq!((rows(&again, "/", None), rows(&again, "ana", Some("s"))), (vec![1, 2], vec![1]));
        assert_eq!(again.passages(), 9_998);
    }
}

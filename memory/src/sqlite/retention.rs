//! How long records are kept, and what was derived from them.

use std::collections::HashSet;

use jiff::{SignedDuration, Timestamp};
use rusqlite::params;

use super::{SqliteStore, edit};
use crate::error::{Error, Result};
use crate::id::RecordId;
use crate::record::{Body, Kind, Record};
use crate::scope::Readable;
use crate::store::{Filter, Lookup, PUT_RECORDS_MAX, READ_ROWS_MAX, Row, Store};

/// How long records of some scope and kind are kept. Of several rules the first that fits a record decides.
#[derive(Clone, Debug, PartialEq)]
pub struct Retention {
    /// Which scopes; `None` means all.
    pub scope: Option<Readable>,
    /// Which kinds; empty means all.
    pub kinds: Vec<Kind>,
    /// For how many days after it was said; `None` means always.
    pub days: Option<u32>,
}

impl Retention {
    fn fits(&self, record: &Record) -> bool {
        (self.kinds.is_empty() || self.kinds.contains(&record.kind()))
            && self.scope.as_ref().is_none_or(|scope| scope.allows(&record.scope))
    }
}

/// Whether a record has been kept long enough. What a person pinned is kept.
fn is_over(rules: &[Retention], record: &Record, now: Timestamp) -> bool {
    let Some(days) = rules.iter().find(|rule| rule.fits(record)).and_then(|rule| rule.days) else { return false };
    let over = record.created_at.checked_add(SignedDuration::from_hours(24 * i64::from(days)));
    !record.pinned && over.is_ok_and(|over| over <= now)
}

impl SqliteStore {
    /// The live records that have been kept long enough, oldest first. Those of read-only scopes are left alone.
    pub fn kept_long_enough(&self, rules: &[Retention], now: Timestamp) -> Result<Vec<RecordId>> {
        let Some(days) = rules.iter().filter_map(|rule| rule.days).min() else { return Ok(Vec::new()) };
        let until = now.checked_sub(SignedDuration::from_hours(24 * i64::from(days))).unwrap_or(Timestamp::MIN);
        let mut filter = Filter { until: Some(until), ..Filter::default() };
        let mut over = Vec::new();
        self.each(&mut filter, &mut |_, record| {
            if is_over(rules, record, now) && !self.is_read_only(&record.scope) {
                over.push(record.id);
            }
        })?;
        Ok(over)
    }

    /// Whether a text is due to be removed for good, which [`Store::purge`] does.
    pub fn is_due(&self, now: Timestamp) -> Result<bool> {
        self.read(|reader| Ok(!edit::due(&reader.connection, now)?.is_empty()))
    }

    /// Forgets these records and what was derived from them, in parts; answers how many were live before.
    pub fn forget_with_derived(&self, ids: &[RecordId], undo_until: Timestamp) -> Result<usize> {
        let derived = self.derived_from(ids)?;
        let mut forgotten = 0;
        for part in ids.chunks(PUT_RECORDS_MAX).chain(derived.chunks(PUT_RECORDS_MAX)) {
            forgotten += self.forget(part, undo_until)?;
        }
        Ok(forgotten)
    }

    /// The live records that were derived from these: the episodes of their sessions, and the lessons drawn from any of
    /// them. None of the given ones is named again. Those of read-only scopes are left alone.
    pub fn derived_from(&self, ids: &[RecordId]) -> Result<Vec<RecordId>> {
        let given: HashSet<RecordId> = ids.iter().copied().collect();
        let mut derived = Vec::new();
        let mut sessions = HashSet::new();
        for part in ids.chunks(READ_ROWS_MAX) {
            self.read(|reader| {
                let mut select = reader
                    .connection
                    .prepare_cached("SELECT session FROM records WHERE id = ?1 AND kind = ?2 AND session IS NOT NULL")
                    .map_err(Error::sqlite("look for what was derived"))?;
                for id in part {
                    let mut rows = select
                        .query(params![id.as_bytes(), Kind::Message.code()])
                        .map_err(Error::sqlite("look for what was derived"))?;
                    if let Some(columns) = rows.next().map_err(Error::sqlite("look for what was derived"))? {
                        sessions.insert(columns.get::<_, i64>(0).map_err(Error::sqlite("look for what was derived"))?);
                    }
                }
                Ok(())
            })?;
        }
        self.read(|reader| {
            let doing = "look for what was derived";
            let mut select = reader
                .connection
                .prepare_cached("SELECT id FROM records WHERE session = ?1 AND kind = ?2 AND deleted_at_ms IS NULL")
                .map_err(Error::sqlite(doing))?;
            for session in &sessions {
                let found = select
                    .query_map(params![session, Kind::Episode.code()], |columns| columns.get::<_, [u8; 16]>(0))
                    .and_then(Iterator::collect::<rusqlite::Result<Vec<_>>>)
                    .map_err(Error::sqlite(doing))?;
                derived.extend(found.into_iter().map(RecordId::from_bytes).filter(|id| !given.contains(id)));
            }
            Ok(())
        })?;
        let mut gone: HashSet<RecordId> = given.iter().copied().chain(derived.iter().copied()).collect();
        // A lesson may rest on another lesson: until nothing more is found.
        loop {
            let mut more = Vec::new();
            let mut filter = Filter { kinds: vec![Kind::Lesson], ..Filter::default() };
            self.each(&mut filter, &mut |_, record| {
                if let Body::Lesson(lesson) = &record.body
                    && !gone.contains(&record.id)
                    && !self.is_read_only(&record.scope)
                    && lesson.evidence.iter().any(|id| gone.contains(id))
                {
                    more.push(record.id);
                }
            })?;
            if more.is_empty() {
                return Ok(derived);
            }
            gone.extend(more.iter().copied());
            derived.extend(more);
        }
    }

    /// Shows every live record that a filter lets through, a page at a time. Damaged rows are passed over.
    fn each(&self, filter: &mut Filter, see: &mut dyn FnMut(Row, &Record)) -> Result<()> {
        const PAGE: usize = 500;
        filter.limit = PAGE;
        loop {
            let page = self.list(filter)?;
            let full = page.len() == PAGE;
            for lookup in page {
                match lookup {
                    Lookup::Found(stored) => {
                        filter.after = Some(stored.row);
                        see(stored.row, &stored.record);
                    }
                    Lookup::Damaged { row, .. } => filter.after = Some(row),
                    Lookup::Forgotten(_) | Lookup::Missing => {}
                }
            }
            if !full {
                return Ok(());
            }
        }
    }
}

//! What a service asks of the store beside records: names without texts, and sessions page by page.

use std::cmp::Reverse;

use rusqlite::{Connection, OptionalExtension, ToSql, params};

use super::SqliteStore;
use super::put::parse_session;
use super::read;
use crate::error::{Error, Result};
use crate::id::RecordId;
use crate::record::Kind;
use crate::scope::{ReadSet, Scope};
use crate::session::Session;
use crate::store::{Row, SessionEntry};

/// Which record it is and whose, without its text: known of forgotten and purged records too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordName {
    /// The record.
    pub id: RecordId,
    /// What it is.
    pub kind: Kind,
    /// Whose it is.
    pub scope: Scope,
}

const NAME: &str =
    "SELECT records.id, records.kind, scopes.name FROM records JOIN scopes ON scopes.number = records.scope";

impl SqliteStore {
    /// Which records these rows are, one answer for each, in order. `None` for a row that is not there or cannot be read.
    pub fn names(&self, rows: &[Row]) -> Result<Vec<Option<RecordName>>> {
        let sql = format!("{NAME} WHERE records.row = ?1");
        self.read(|reader| rows.iter().map(|row| name(&reader.connection, &sql, &row.0)).collect())
    }

    /// The same for ids.
    pub fn names_of(&self, ids: &[RecordId]) -> Result<Vec<Option<RecordName>>> {
        let sql = format!("{NAME} WHERE records.id = ?1");
        self.read(|reader| ids.iter().map(|id| name(&reader.connection, &sql, id.as_bytes())).collect())
    }

    /// For each of these the live record that stands in its place at last: the end of the chain of those that replace it,
    /// whether those between are forgotten or not. `None` where the chain ends in nothing live.
    pub fn latest(&self, ids: &[RecordId]) -> Result<Vec<Option<RecordId>>> {
        self.read(|reader| ids.iter().map(|id| read::latest(&reader.connection, *id)).collect())
    }

    /// At most `limit` sessions within a read set, those that went on last first, behind the place `after`; each with its
    /// place. A session that goes on between two calls moves to the front; the others are met once each.
    pub fn sessions_after(
        &self,
        scopes: &ReadSet,
        after: Option<i64>,
        limit: usize,
    ) -> Result<Vec<(i64, SessionEntry)>> {
        self.read(|reader| sessions_after(&reader.connection, scopes, after, limit))
    }
}

fn name(connection: &Connection, sql: &str, key: &dyn ToSql) -> Result<Option<RecordName>> {
    let select = || -> rusqlite::Result<Option<([u8; 16], u8, String)>> {
        connection
            .prepare_cached(sql)?
            .query_row([key], |columns| Ok((columns.get(0)?, columns.get(1)?, columns.get(2)?)))
            .optional()
    };
    let found = select().map_err(Error::sqlite("read a record's name"))?;
    Ok(found.and_then(|(id, kind, scope)| {
        Some(RecordName {
            id: RecordId::from_bytes(id),
            kind: Kind::from_code(kind)?,
            scope: Scope::parse(&scope).ok()?,
        })
    }))
}

fn sessions_after(
    connection: &Connection,
    scopes: &ReadSet,
    after: Option<i64>,
    limit: usize,
) -> Result<Vec<(i64, SessionEntry)>> {
    let doing = "list sessions";
    let mut select =
        connection.prepare_cached("SELECT number, info, checksum FROM sessions").map_err(Error::sqlite(doing))?;
    let all: Vec<(i64, String, i64)> = select
        .query_map([], |columns| Ok((columns.get(0)?, columns.get(1)?, columns.get(2)?)))
        .and_then(Iterator::collect)
        .map_err(Error::sqlite(doing))?;
    let known = all.into_iter().filter_map(|(number, info, checksum)| {
        let session = parse_session(&info, checksum);
        if session.is_none() {
            tracing::warn!(number, "a session's entry does not fit its checksum");
        }
        Some((number, session?))
    });
    let mut found: Vec<(i64, Session)> = known.filter(|(_, session)| scopes.allows(&session.scope)).collect();
    found.sort_by_key(|(number, session)| Reverse(place_of(*number, session)));
    let start = after.map_or(0, |after| found.partition_point(|(number, session)| place_of(*number, session) >= after));
    let mut count = connection
        .prepare_cached("SELECT count(*) FROM records WHERE session = ?1 AND kind = ?2 AND deleted_at_ms IS NULL")
        .map_err(Error::sqlite(doing))?;
    let page = found.into_iter().skip(start).take(limit);
    page.map(|(number, session)| {
        let messages: i64 = count
            .query_row(params![number, Kind::Message.code()], |columns| columns.get(0))
            .map_err(Error::sqlite(doing))?;
        let place = place_of(number, &session);
        Ok((place, SessionEntry { session, messages: messages as u64 }))
    })
    .collect()
}

/// How many bits of a session's place its number has, behind the second of its end: a billion sessions, to the year 2242.
const NUMBER_BITS: u32 = 30;

/// Where a session stands among all, by when it went on last, then by its number. Of which no time is known is last.
pub(super) fn place_of(number: i64, session: &Session) -> i64 {
    let end = session.ended_at.or(session.started_at).map_or(0, |end| end.as_second());
    let end = end.clamp(0, (1 << (63 - NUMBER_BITS)) - 1);
    (end << NUMBER_BITS) | (number & ((1 << NUMBER_BITS) - 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Store;
    use crate::{Intake, Note, Origin, Record};

    #[test]
    fn a_name_is_known_when_the_record_is_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(folder.path()).unwrap();
        let scope = Scope::parse("ana/shop").unwrap();
        let record = Record::new(scope.clone(), "test", Origin::User, Note::new("x"));
        let id = record.id;
        store.put(vec![Intake::new().admit_one(record).unwrap()]).unwrap();
        store.forget(&[id], jiff::Timestamp::MAX).unwrap();
        let name = RecordName { id, kind: Kind::Note, scope };
        assert_eq!(store.names_of(&[id, RecordId::new()]).unwrap(), [Some(name.clone()), None]);
        assert_eq!(store.names(&[Row(1), Row(99)]).unwrap(), [Some(name), None]);
    }

    #[test]
    fn sessions_come_page_by_page_and_each_once() {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(folder.path()).unwrap();
        for number in 0..7 {
            let mut session = Session::new("test", format!("s{number}"), Scope::parse("ana").unwrap());
            session.started_at = jiff::Timestamp::from_second(1_000 + number).ok();
            session.ended_at = jiff::Timestamp::from_second(2_000 + 10 * (number % 3)).ok();
            store.put_session(session).unwrap();
        }
        let all = store.sessions(&ReadSet::everything(), 100).unwrap();
        let (mut paged, mut after) = (Vec::new(), None);
        loop {
            let page = store.sessions_after(&ReadSet::everything(), after, 2).unwrap();
            let Some((last, _)) = page.last() else { break };
            after = Some(*last);
            paged.extend(page.into_iter().map(|(_, entry)| entry));
        }
        assert_eq!(paged, all);
        let ends: Vec<_> = all.iter().map(|entry| entry.session.ended_at).collect();
        assert!(ends.is_sorted_by(|a, b| a >= b), "{ends:?}");
        // One that goes on meanwhile moves to the front, and the rest is neither lost nor met again.
        let first = store.sessions_after(&ReadSet::everything(), None, 3).unwrap();
        let mut again = first[2].1.session.clone();
        again.ended_at = jiff::Timestamp::from_second(9_000).ok();
        store.put_session(again).unwrap();
        let rest = store.sessions_after(&ReadSet::everything(), Some(first[2].0), 100).unwrap();
        let rest: Vec<_> = rest.into_iter().map(|(_, entry)| entry).collect();
        assert_eq!(rest, all[3..]);
    }
}

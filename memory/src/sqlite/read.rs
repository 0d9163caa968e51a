//! What is read from the store, each call in one snapshot.

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, params, params_from_iter};

use super::names::place_of;
use super::put::parse_session;
use super::row::{COLUMNS, is_damage, to_ms};
use super::{Reader, fold};
use crate::change::{CHAIN_START, ChainHash, Change, ChangeKind, Position, Seq};
use crate::error::{Error, Result};
use crate::id::{IdPrefix, RecordId, StoreId};
use crate::record::Kind;
use crate::scope::ReadSet;
use crate::session::Session;
use crate::store::{Beside, Changes, Counts, Filter, Lookup, Order, READ_ROWS_MAX, Row, SessionEntry};

/// Versions of one record that are followed: a session that goes on for weeks has one a prompt.
const VERSIONS_MAX: usize = 10_000;

/// Where the log ends.
pub(super) fn head(connection: &Connection, store: StoreId) -> Result<Position> {
    let (epoch, seq, chain) = connection
        .prepare_cached(
            "SELECT (SELECT value FROM meta WHERE name = 'epoch'), seq, chain FROM changes ORDER BY seq DESC LIMIT 1",
        )
        .and_then(|mut select| select.query_row([], position_columns).optional())
        .map_err(Error::sqlite("read where the change log ends"))?
        .map_or_else(|| epoch(connection).map(|epoch| (epoch, 0, CHAIN_START)), Ok)?;
    Ok(Position { store, epoch, seq, chain })
}

pub(super) fn epoch(connection: &Connection) -> Result<u64> {
    let epoch: i64 = connection
        .prepare_cached("SELECT value FROM meta WHERE name = 'epoch'")
        .and_then(|mut select| select.query_row([], |columns| columns.get(0)))
        .map_err(Error::sqlite("read the store's epoch"))?;
    Ok(epoch as u64)
}

fn position_columns(columns: &rusqlite::Row) -> rusqlite::Result<(u64, Seq, ChainHash)> {
    Ok((columns.get::<_, i64>(0)? as u64, columns.get::<_, i64>(1)? as Seq, columns.get(2)?))
}

/// The position at a place of the log.
pub(super) fn position_at(connection: &Connection, store: StoreId, seq: Seq) -> Result<Option<Position>> {
    let begins = fold::folded(connection)?;
    let begins = begins.map_or((0, CHAIN_START), |folded| (folded.seq, folded.chain));
    if seq == begins.0 {
        return Ok(Some(Position { store, epoch: epoch(connection)?, seq, chain: begins.1 }));
    }
    let found = connection
        .prepare_cached("SELECT (SELECT value FROM meta WHERE name = 'epoch'), seq, chain FROM changes WHERE seq = ?1")
        .and_then(|mut select| select.query_row([seq as i64], position_columns).optional())
        .map_err(Error::sqlite("read a place of the change log"))?;
    Ok(found.map(|(epoch, seq, chain)| Position { store, epoch, seq, chain }))
}

/// A part of the change log.
pub(super) fn changes(connection: &Connection, store: StoreId, after: Seq, limit: usize) -> Result<Changes> {
    let doing = "read the change log";
    let head = head(connection, store)?;
    if let Some(folded) = fold::folded(connection)?.filter(|folded| after < folded.seq) {
        return Err(Error::Folded { after, first: folded.seq + 1 });
    }
    let mut select = connection
        .prepare_cached("SELECT seq, row, kind, at_ms, chain FROM changes WHERE seq > ?1 ORDER BY seq LIMIT ?2")
        .map_err(Error::sqlite(doing))?;
    let mut rows = select.query(params![after as i64, limit as i64]).map_err(Error::sqlite(doing))?;
    let mut changes = Vec::new();
    let mut expected = after + 1;
    while let Some(columns) = rows.next().map_err(Error::sqlite(doing))? {
        let change = change(columns).map_err(Error::sqlite(doing))?;
        if change.seq != expected {
            if changes.is_empty() {
                return Err(Error::Folded { after, first: change.seq });
            }
            // What is before a gap is told first; the next call meets it.
            break;
        }
        expected += 1;
        changes.push(change);
    }
    Ok(Changes { changes, head })
}

/// One entry of the log from its columns seq, row, kind, at_ms, chain.
pub(super) fn change(columns: &rusqlite::Row) -> rusqlite::Result<Change> {
    let code: u8 = columns.get(2)?;
    Ok(Change {
        seq: columns.get::<_, i64>(0)? as Seq,
        row: Row(columns.get(1)?),
        kind: ChangeKind::from_code(code).ok_or(rusqlite::Error::IntegralValueOutOfRange(2, i64::from(code)))?,
        at_ms: columns.get(3)?,
        chain: columns.get(4)?,
    })
}

/// The ids that start so and still have a text.
pub(super) fn find(connection: &Connection, prefix: IdPrefix, limit: usize) -> Result<Vec<RecordId>> {
    let select = || -> rusqlite::Result<Vec<[u8; 16]>> {
        connection
            .prepare_cached(
                "SELECT id FROM records WHERE id BETWEEN ?1 AND ?2 AND body IS NOT NULL ORDER BY id LIMIT ?3",
            )?
            .query_map(params![prefix.first.as_bytes(), prefix.last.as_bytes(), limit as i64], |c| c.get(0))?
            .collect()
    };
    Ok(select().map_err(Error::sqlite("look for an id"))?.into_iter().map(RecordId::from_bytes).collect())
}

/// Whether any record replaces another: in most stores none does.
pub(super) fn any_replaces(connection: &Connection) -> Result<bool> {
    connection
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM records WHERE replaces IS NOT NULL)")
        .and_then(|mut select| select.query_row([], |columns| columns.get(0)))
        .map_err(Error::sqlite("look for what replaces a record"))
}

/// The newest live record that replaces this one.
pub(super) fn replaced_by(connection: &Connection, id: RecordId) -> Result<Option<RecordId>> {
    let select = || -> rusqlite::Result<Option<[u8; 16]>> {
        connection
            .prepare_cached(
                "SELECT id FROM records WHERE replaces = ?1 AND deleted_at_ms IS NULL ORDER BY row DESC LIMIT 1",
            )?
            .query_row([id.as_bytes()], |columns| columns.get(0))
            .optional()
    };
    Ok(select().map_err(Error::sqlite("look for what replaces a record"))?.map(RecordId::from_bytes))
}

/// The live record at the end of the chain of those that replace this one, where others of the chain may be forgotten.
pub(super) fn latest(connection: &Connection, id: RecordId) -> Result<Option<RecordId>> {
    let next = |id: RecordId| -> rusqlite::Result<Option<([u8; 16], bool)>> {
        connection
            .prepare_cached(
                "SELECT id, deleted_at_ms IS NULL FROM records WHERE replaces = ?1
                 ORDER BY deleted_at_ms IS NOT NULL, row DESC LIMIT 1",
            )?
            .query_row([id.as_bytes()], |columns| Ok((columns.get(0)?, columns.get(1)?)))
            .optional()
    };
    let (mut at, mut live) = (id, false);
    for _ in 0..VERSIONS_MAX {
        match next(at).map_err(Error::sqlite("look for what replaces a record"))? {
            Some((id, is_live)) => (at, live) = (RecordId::from_bytes(id), is_live),
            None => break,
        }
    }
    Ok(live.then_some(at))
}

impl Reader {
    pub(super) fn by_id(&mut self, id: RecordId) -> Result<Lookup> {
        let sql = format!("SELECT {COLUMNS} FROM records WHERE id = ?1");
        let mut statement = self.connection.prepare_cached(&sql).map_err(Error::sqlite("read a record"))?;
        let found = self.rows.one(&self.connection, &mut statement, [id.as_bytes()], Row(0))?;
        Ok(found.unwrap_or(Lookup::Missing))
    }

    pub(super) fn by_row(&mut self, row: Row) -> Result<Lookup> {
        Ok(self.by_rows([row])?.pop().unwrap_or(Lookup::Missing))
    }

    /// What is there of each of these rows, in their order. They are read one by one, so that one damaged row does not
    /// hide the others.
    pub(super) fn by_rows(&mut self, rows: impl IntoIterator<Item = Row>) -> Result<Vec<Lookup>> {
        let sql = format!("SELECT {COLUMNS} FROM records WHERE row = ?1");
        let mut statement = self.connection.prepare_cached(&sql).map_err(Error::sqlite("read a record"))?;
        let found = rows.into_iter().map(|row| {
            let found = self.rows.one(&self.connection, &mut statement, [row.0], row)?;
            Ok(found.unwrap_or(Lookup::Missing))
        });
        found.collect()
    }

    /// The records that a filter lets through. Row numbers come first and the rows after them.
    pub(super) fn list(&mut self, filter: &Filter) -> Result<Vec<Lookup>> {
        let mut lookups = Vec::new();
        for lookup in self.by_rows(rows_of(&self.connection, filter)?)? {
            let listed = match &lookup {
                // The scope is checked again on the record itself.
                Lookup::Found(stored) => filter.scopes.allows(&stored.record.scope),
                Lookup::Forgotten(_) => filter.with_forgotten,
                Lookup::Missing => false,
                Lookup::Damaged { .. } => true,
            };
            if listed {
                lookups.push(lookup);
            }
        }
        Ok(lookups)
    }

    pub(super) fn neighbours(&mut self, row: Row, before: usize, after: usize) -> Result<Vec<Lookup>> {
        let Some(place) = place(&self.connection, row)? else { return Ok(Vec::new()) };
        let mut rows = place.before(&self.connection, before)?;
        rows.reverse();
        rows.extend(place.after(&self.connection, after)?);
        self.by_rows(rows)
    }
}

/// The rows around one within its session.
pub(super) fn beside(connection: &Connection, row: Row, reach: usize) -> Result<Beside> {
    let Some(place) = place(connection, row)? else { return Ok(Beside::default()) };
    Ok(Beside { before: place.before(connection, reach)?, after: place.after(connection, reach)? })
}

/// What reading around a message is called in errors.
const READING_AROUND: &str = "read the messages around a message";

/// Where a message stands in its session.
struct SessionPlace {
    session: i64,
    position: i64,
    row: Row,
}

fn place(connection: &Connection, row: Row) -> Result<Option<SessionPlace>> {
    let select = || -> rusqlite::Result<Option<(Option<i64>, Option<i64>)>> {
        connection
            .prepare_cached("SELECT session, position FROM records WHERE row = ?1")?
            .query_row([row.0], |columns| Ok((columns.get(0)?, columns.get(1)?)))
            .optional()
    };
    let place = select().map_err(Error::sqlite(READING_AROUND))?;
    Ok(match place {
        Some((Some(session), Some(position))) => Some(SessionPlace { session, position, row }),
        _ => None,
    })
}

impl SessionPlace {
    /// The live rows before this place, the nearest first.
    fn before(&self, connection: &Connection, limit: usize) -> Result<Vec<Row>> {
        let sql = "SELECT row FROM records WHERE session = ?1 AND (position, row) < (?2, ?3)
             AND deleted_at_ms IS NULL ORDER BY position DESC, row DESC LIMIT ?4";
        self.side(connection, sql, limit)
    }

    /// The live rows after this place, the nearest first.
    fn after(&self, connection: &Connection, limit: usize) -> Result<Vec<Row>> {
        let sql = "SELECT row FROM records WHERE session = ?1 AND (position, row) > (?2, ?3)
             AND deleted_at_ms IS NULL ORDER BY position, row LIMIT ?4";
        self.side(connection, sql, limit)
    }

    fn side(&self, connection: &Connection, sql: &str, limit: usize) -> Result<Vec<Row>> {
        let values = params![self.session, self.position, self.row.0, limit.min(READ_ROWS_MAX) as i64];
        let select = || -> rusqlite::Result<Vec<Row>> {
            connection.prepare_cached(sql)?.query_map(values, |columns| columns.get(0).map(Row))?.collect()
        };
        select().map_err(Error::sqlite(READING_AROUND))
    }
}

fn rows_of(connection: &Connection, filter: &Filter) -> Result<Vec<Row>> {
    let mut terms: Vec<String> = Vec::new();
    let mut values: Vec<Value> = Vec::new();
    let mut term = |sql: &str, value: Value| {
        values.push(value);
        terms.push(sql.replace('#', &format!("?{}", values.len())));
    };
    let (past, order) = match filter.order {
        Order::Oldest => ("row > #", "row"),
        Order::Newest => ("row < #", "row DESC"),
        Order::Place => ("(position, row) > (SELECT position, row FROM records WHERE row = #)", "position, row"),
    };
    if let Some(after) = filter.after {
        term(past, Value::Integer(after.0));
    }
    if let Some(session) = &filter.session {
        term("session IN (SELECT number FROM sessions WHERE name = #)", Value::Text(session.clone()));
    }
    if let Some(source) = &filter.source {
        term("source = (SELECT number FROM sources WHERE name = #)", Value::Text(source.clone()));
    }
    if let Some(since) = filter.since {
        term("created_at_ms >= #", Value::Integer(to_ms(since)));
    }
    if let Some(until) = filter.until {
        term("created_at_ms < #", Value::Integer(to_ms(until)));
    }
    if !filter.kinds.is_empty() {
        let codes: Vec<String> = filter.kinds.iter().map(|kind| kind.code().to_string()).collect();
        terms.push(format!("kind IN ({})", codes.join(", ")));
        if !filter.kinds.contains(&Kind::Message) && filter.session.is_none() {
            // Said as the index says it, so that it is used. A session's own index is better still.
            terms.push(format!("kind <> {}", Kind::Message.code()));
        }
    }
    terms.push(if filter.with_forgotten { "body IS NOT NULL" } else { "deleted_at_ms IS NULL" }.to_owned());
    if !filter.scopes.is_everything() {
        terms.push(format!("scope IN ({})", scope_numbers(connection, &filter.scopes)?.join(", ")));
    }
    if filter.order == Order::Place {
        terms.push("position IS NOT NULL".to_owned());
    }
    let sql = format!(
        "SELECT row FROM records WHERE {} ORDER BY {order} LIMIT {}",
        terms.join(" AND "),
        filter.limit.min(READ_ROWS_MAX),
    );
    let select = || -> rusqlite::Result<Vec<Row>> {
        connection
            .prepare_cached(&sql)?
            .query_map(params_from_iter(values.iter()), |columns| columns.get(0).map(Row))?
            .collect()
    };
    select().map_err(Error::sqlite("list records"))
}

/// The numbers of the scopes that a read set allows.
fn scope_numbers(connection: &Connection, scopes: &ReadSet) -> Result<Vec<String>> {
    let doing = "read the scopes";
    let mut select = connection.prepare_cached("SELECT number, name FROM scopes").map_err(Error::sqlite(doing))?;
    let mut rows = select.query([]).map_err(Error::sqlite(doing))?;
    let mut numbers = Vec::new();
    while let Some(columns) = rows.next().map_err(Error::sqlite(doing))? {
        let (number, name): (i64, String) =
            (columns.get(0).map_err(Error::sqlite(doing))?, columns.get(1).map_err(Error::sqlite(doing))?);
        if crate::Scope::parse(&name).is_ok_and(|scope| scopes.allows(&scope)) {
            numbers.push(number.to_string());
        }
    }
    Ok(numbers)
}

/// The sessions within a read set, those that went on last first.
pub(super) fn sessions(connection: &Connection, scopes: &ReadSet, limit: usize) -> Result<Vec<SessionEntry>> {
    session_entries(connection, "", limit, |scope| scopes.allows(scope))
}

/// The sessions whose id starts so.
pub(super) fn find_sessions(connection: &Connection, prefix: &str, limit: usize) -> Result<Vec<SessionEntry>> {
    session_entries(connection, prefix, limit, |_| true)
}

/// The sessions of exactly this source and id, in any scope. A damaged entry is passed over.
pub(super) fn sessions_named(connection: &Connection, source: &str, id: &str) -> Result<Vec<Session>> {
    let doing = "look for a session";
    let mut select = connection
        .prepare_cached(
            "SELECT info, checksum FROM sessions
             WHERE name = ?1 AND source = (SELECT number FROM sources WHERE name = ?2)",
        )
        .map_err(Error::sqlite(doing))?;
    let entries = select
        .query_map([id, source], |columns| {
            Ok((columns.get::<_, String>(0).unwrap_or_default(), columns.get(1).unwrap_or_default()))
        })
        .map_err(Error::sqlite(doing))?;
    let entries = entries.collect::<rusqlite::Result<Vec<_>>>().map_err(Error::sqlite(doing))?;
    Ok(entries.into_iter().filter_map(|(info, checksum)| parse_session(&info, checksum)).collect())
}

fn session_entries(
    connection: &Connection,
    prefix: &str,
    limit: usize,
    allows: impl Fn(&crate::Scope) -> bool,
) -> Result<Vec<SessionEntry>> {
    let doing = "list sessions";
    let mut select = connection
        .prepare_cached("SELECT number, info, checksum FROM sessions WHERE substr(name, 1, length(?1)) = ?1")
        .map_err(Error::sqlite(doing))?;
    let mut rows = select.query([prefix]).map_err(Error::sqlite(doing))?;
    let mut found = Vec::new();
    while let Some(columns) = rows.next().map_err(Error::sqlite(doing))? {
        let read =
            || -> rusqlite::Result<(i64, String, i64)> { Ok((columns.get(0)?, columns.get(1)?, columns.get(2)?)) };
        match read() {
            Ok((number, info, checksum)) => match parse_session(&info, checksum) {
                Some(session) if allows(&session.scope) => found.push((number, session)),
                Some(_) => {}
                None => tracing::warn!(number, "a session's entry does not fit its checksum"),
            },
            Err(error) if is_damage(&error) => tracing::warn!(%error, "a session's entry cannot be read"),
            Err(source) => return Err(Error::Sqlite { doing, source }),
        }
    }
    found.sort_by_key(|(number, session)| std::cmp::Reverse(place_of(*number, session)));
    let mut count = connection
        .prepare_cached("SELECT count(*) FROM records WHERE session = ?1 AND kind = ?2 AND deleted_at_ms IS NULL")
        .map_err(Error::sqlite(doing))?;
    // A session whose records were all forgotten is forgotten with them: its title is their text.
    let mut forgotten = connection
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM records WHERE session = ?1)
                 AND NOT EXISTS (SELECT 1 FROM records WHERE session = ?1 AND deleted_at_ms IS NULL)",
        )
        .map_err(Error::sqlite(doing))?;
    let mut kept = Vec::with_capacity(found.len().min(limit));
    for (number, session) in found {
        if kept.len() == limit {
            break;
        }
        if !forgotten.query_row([number], |columns| columns.get::<_, bool>(0)).map_err(Error::sqlite(doing))? {
            kept.push((number, session));
        }
    }
    kept.into_iter()
        .map(|(number, session)| {
            let messages: i64 = count
                .query_row(params![number, Kind::Message.code()], |columns| columns.get(0))
                .map_err(Error::sqlite(doing))?;
            Ok(SessionEntry { session, messages: messages as u64 })
        })
        .collect()
}

/// Numbers about the store.
pub(super) fn counts(connection: &Connection, bytes: u64) -> Result<Counts> {
    let count = |sql: &str| -> Result<u64> {
        let number: i64 =
            connection.query_row(sql, [], |columns| columns.get(0)).map_err(Error::sqlite("count the records"))?;
        Ok(number as u64)
    };
    let mut by_kind = connection
        .prepare_cached("SELECT kind, count(*) FROM records WHERE deleted_at_ms IS NULL GROUP BY kind")
        .map_err(Error::sqlite("count the records"))?;
    let counted: Vec<(u8, i64)> = by_kind
        .query_map([], |columns| Ok((columns.get(0)?, columns.get(1)?)))
        .and_then(Iterator::collect)
        .map_err(Error::sqlite("count the records"))?;
    let of = |kind: Kind| counted.iter().find(|(code, _)| *code == kind.code()).map_or(0, |(_, n)| *n as u64);
    Ok(Counts {
        records: Kind::ALL.iter().map(|kind| (*kind, of(*kind))).collect(),
        forgotten: count("SELECT count(*) FROM records WHERE undo_until_ms IS NOT NULL AND body IS NOT NULL")?,
        sessions: count("SELECT count(*) FROM sessions")?,
        seq: count("SELECT coalesce(max(seq), 0) FROM changes")?,
        bytes,
    })
}

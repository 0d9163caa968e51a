//! One row of the table of records: its columns, its checksum, and the record it decodes to.

use std::collections::HashMap;

use jiff::Timestamp;
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSqlOutput, ValueRef};
use rusqlite::{CachedStatement, Connection, OptionalExtension, ToSql};
use uuid::Uuid;
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use super::codec::{CodecNumber, Decoder, PLAIN};
use super::repeats::{self, REPEAT, Repeat};
use crate::error::{Error, Result};
use crate::export::Tombstone;
use crate::id::RecordId;
use crate::record::{Body, Kind, Origin, Record, Trust};
use crate::scope::Scope;
use crate::store::{Forgotten, Lookup, Row, Stored};

/// The columns of a row in the order of [`RawRow`].
pub(super) const COLUMNS: &str = "row, id, kind, scope, origin, trust, source, session, position, key, created_at_ms, \
     expires_at_ms, pinned, tags, replaces, deleted_at_ms, undo_until_ms, codec, body, checksum";

/// A row as it stands in the table.
#[derive(Clone, Debug)]
pub(super) struct RawRow {
    pub(super) row: i64,
    pub(super) id: [u8; 16],
    pub(super) kind: u8,
    pub(super) scope: i64,
    pub(super) origin: u8,
    pub(super) trust: u8,
    pub(super) source: i64,
    pub(super) session: Option<i64>,
    pub(super) position: Option<i64>,
    pub(super) key: Option<String>,
    pub(super) created_at_ms: i64,
    pub(super) expires_at_ms: Option<i64>,
    pub(super) pinned: bool,
    pub(super) tags: Option<String>,
    pub(super) replaces: Option<[u8; 16]>,
    pub(super) deleted_at_ms: Option<i64>,
    pub(super) undo_until_ms: Option<i64>,
    pub(super) codec: CodecNumber,
    /// `None` once the record was purged.
    pub(super) body: Option<Vec<u8>>,
    pub(super) checksum: i64,
}

impl RawRow {
    pub(super) fn from_columns(columns: &rusqlite::Row) -> rusqlite::Result<RawRow> {
        Ok(RawRow {
            row: columns.get(0)?,
            id: columns.get(1)?,
            kind: columns.get(2)?,
            scope: columns.get(3)?,
            origin: columns.get(4)?,
            trust: columns.get(5)?,
            source: columns.get(6)?,
            session: columns.get(7)?,
            position: columns.get(8)?,
            key: columns.get::<_, Option<Key>>(9)?.map(|key| key.0),
            created_at_ms: columns.get(10)?,
            expires_at_ms: columns.get(11)?,
            pinned: columns.get(12)?,
            tags: columns.get(13)?,
            replaces: columns.get(14)?,
            deleted_at_ms: columns.get(15)?,
            undo_until_ms: columns.get(16)?,
            codec: columns.get(17)?,
            body: columns.get(18)?,
            checksum: columns.get(19)?,
        })
    }

    /// The checksum over everything the row says, with its scope, source and session by name, so that
    /// a damaged name elsewhere is noticed too.
    pub(super) fn checksum_with(&self, scope: &str, source: &str, session: Option<&str>) -> i64 {
        self.checksum_in(&mut Vec::new(), scope, source, session)
    }

    /// The checksum, computed in a buffer whose room is used again: this is done for each record that is read, and the
    /// hash is much faster over one piece than over thirty.
    fn checksum_in(&self, buffer: &mut Vec<u8>, scope: &str, source: &str, session: Option<&str>) -> i64 {
        buffer.clear();
        fn number(buffer: &mut Vec<u8>, value: Option<i64>) {
            buffer.push(u8::from(value.is_some()));
            buffer.extend_from_slice(&value.unwrap_or_default().to_le_bytes());
        }
        number(buffer, Some(self.row));
        for code in [self.kind, self.origin, self.trust, u8::from(self.pinned)] {
            number(buffer, Some(i64::from(code)));
        }
        for value in [
            self.position,
            Some(self.created_at_ms),
            self.expires_at_ms,
            self.deleted_at_ms,
            self.undo_until_ms,
            Some(self.codec),
        ] {
            number(buffer, value);
        }
        for bytes in [
            Some(self.id.as_slice()),
            Some(scope.as_bytes()),
            Some(source.as_bytes()),
            session.map(str::as_bytes),
            self.key.as_deref().map(str::as_bytes),
            self.tags.as_deref().map(str::as_bytes),
            self.replaces.as_ref().map(<[u8; 16]>::as_slice),
            self.body.as_deref(),
        ] {
            number(buffer, bytes.map(|bytes| bytes.len() as i64));
            buffer.extend_from_slice(bytes.unwrap_or_default());
        }
        xxh3_64(buffer) as i64
    }
}

/// The provenance of a record as one number, for looking it up; equal provenance has equal numbers.
pub(super) fn provenance(scope: &str, source: &str, session: Option<&str>, key: &str) -> i64 {
    let mut sum = Xxh3::new();
    for part in [scope, source, session.unwrap_or("\0"), key] {
        sum.update(&(part.len() as u64).to_le_bytes());
        sum.update(part.as_bytes());
    }
    sum.digest() as i64
}

/// A provenance key as it is stored.
///
/// Most tools name their messages by UUIDs. A key that begins with one is kept as its sixteen bytes and
/// whatever follows, which takes less than half the room; any other is kept as text.
pub(super) struct Key(pub(super) String);

impl ToSql for Key {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        let split = self.0.split_at_checked(UUID_CHARS);
        if let Some((uuid, rest)) = split
            && let Ok(parsed) = Uuid::try_parse(uuid)
            && parsed.hyphenated().encode_lower(&mut Uuid::encode_buffer()) == uuid
        {
            let mut bytes = parsed.as_bytes().to_vec();
            bytes.extend_from_slice(rest.as_bytes());
            return Ok(bytes.into());
        }
        Ok(self.0.as_str().into())
    }
}

impl FromSql for Key {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Key> {
        if let ValueRef::Blob(bytes) = value {
            let (uuid, rest) = bytes.split_first_chunk::<16>().ok_or(FromSqlError::InvalidType)?;
            let rest = std::str::from_utf8(rest).map_err(|error| FromSqlError::Other(error.into()))?;
            return Ok(Key(format!("{}{rest}", Uuid::from_bytes(*uuid).hyphenated())));
        }
        value.as_str().map(|text| Key(text.to_owned()))
    }
}

/// The length of a UUID as text, with its hyphens.
const UUID_CHARS: usize = 36;

/// A time as the store keeps it.
pub(super) fn to_ms(time: Timestamp) -> i64 {
    time.as_millisecond()
}

/// A stored time; `None` for one that lies outside the calendar.
pub(super) fn from_ms(ms: i64) -> Option<Timestamp> {
    Timestamp::from_millisecond(ms).ok()
}

/// Reads rows: keeps the names that rows refer to by number, and the decoder of bodies.
#[derive(Default)]
pub(super) struct RowReader {
    scopes: HashMap<i64, Scope>,
    sources: HashMap<i64, String>,
    sessions: HashMap<i64, String>,
    decoder: Decoder,
    /// Where a row's bytes are put together for its checksum.
    summed: Vec<u8>,
}

/// Room for a row's bytes that is kept: a record longer than this is rare.
const SUMMED_BYTES_KEPT: usize = 1 << 20;

/// Names of sessions kept at most; the map starts anew beyond that.
const SESSION_NAMES_MAX: usize = 10_000;

impl RowReader {
    /// The answer for the row that this statement finds, which selects [`COLUMNS`]; `None` when it finds none.
    ///
    /// What is damaged in the row itself is an answer; only a failure of the database is an error.
    pub(super) fn one(
        &mut self,
        connection: &Connection,
        statement: &mut CachedStatement,
        parameters: impl rusqlite::Params,
        row_hint: Row,
    ) -> Result<Option<Lookup>> {
        match statement.query_row(parameters, RawRow::from_columns).optional() {
            Ok(Some(raw)) => self.interpret(connection, raw).map(Some),
            Ok(None) => Ok(None),
            Err(error) => damage(row_hint, error, "read a record").map(Some),
        }
    }

    /// What a raw row says, after its checksum was verified.
    pub(super) fn interpret(&mut self, connection: &Connection, raw: RawRow) -> Result<Lookup> {
        let (row, id) = (Row(raw.row), RecordId::from_bytes(raw.id));
        Ok(match self.decode(connection, raw)? {
            Ok(Decoded { stored: Some(stored), .. }) if stored.forgotten.is_none() => Lookup::Found(Box::new(stored)),
            Ok(decoded) => match decoded.forgotten {
                Some(forgotten) => Lookup::Forgotten(forgotten),
                None => Lookup::Damaged { row, id: Some(id), reason: "it has no body".to_owned() },
            },
            Err(reason) => Lookup::Damaged { row, id: Some(id), reason },
        })
    }

    /// The record of a raw row whether forgotten or not, or why it cannot be had.
    pub(super) fn decode(&mut self, connection: &Connection, mut raw: RawRow) -> Result<Result<Decoded, String>> {
        let (scope, source, session) = match self.verified_names(connection, &raw)? {
            Ok(names) => names,
            Err(reason) => return Ok(Err(reason)),
        };
        let forgotten = match (raw.deleted_at_ms.and_then(from_ms), raw.undo_until_ms.and_then(from_ms)) {
            (Some(deleted_at), Some(undo_until)) => Some(Forgotten { deleted_at, undo_until }),
            _ => None,
        };
        let Some(body) = raw.body.take() else {
            return Ok(Ok(Decoded { stored: None, forgotten }));
        };
        let read = if raw.codec == REPEAT {
            self.repeated(connection, &raw, &body)?
        } else {
            self.own_body(connection, raw.codec, &body).map(|body| (body, None))
        };
        let (body, repeats) = match read {
            Ok(read) => read,
            Err(reason) => return Ok(Err(reason)),
        };
        let decode = || -> Result<Record, String> {
            let broken = |column: &str| format!("its {column} has a value that this program does not know");
            if Some(body.kind()) != Kind::from_code(raw.kind) {
                return Err(broken("kind"));
            }
            let time = |ms: i64| from_ms(ms).ok_or_else(|| broken("time"));
            Ok(Record {
                id: RecordId::from_bytes(raw.id),
                scope,
                origin: Origin::from_code(raw.origin).ok_or_else(|| broken("origin"))?,
                trust: Trust::from_code(raw.trust).ok_or_else(|| broken("trust"))?,
                source,
                session,
                key: raw.key,
                created_at: time(raw.created_at_ms)?,
                expires_at: raw.expires_at_ms.map(time).transpose()?,
                pinned: raw.pinned,
                tags: match &raw.tags {
                    Some(json) => serde_json::from_str(json).map_err(|_| broken("tags"))?,
                    None => Vec::new(),
                },
                replaces: raw.replaces.map(RecordId::from_bytes),
                body,
            })
        };
        let row = Row(raw.row);
        Ok(decode().map(|record| Decoded { stored: Some(Stored { row, record, forgotten, repeats }), forgotten }))
    }

    /// The names of a raw row's scope, source and session, when its checksum fits, or why they cannot be had.
    pub(super) fn verified_names(&mut self, connection: &Connection, raw: &RawRow) -> Result<Result<Names, String>> {
        let named = self.scope(connection, raw.scope)?.is_some()
            && self.source(connection, raw.source)?.is_some()
            && match raw.session {
                Some(number) => self.session(connection, number)?.is_some(),
                None => true,
            };
        if !named {
            return Ok(Err("its scope, source or session cannot be read".to_owned()));
        }
        let scope = self.scopes[&raw.scope].clone();
        let source = self.sources[&raw.source].clone();
        let session = raw.session.map(|number| self.sessions[&number].clone());
        let sum = raw.checksum_in(&mut self.summed, scope.path(), &source, session.as_deref());
        if self.summed.capacity() > SUMMED_BYTES_KEPT {
            self.summed = Vec::new();
        }
        if sum != raw.checksum {
            return Ok(Err("its bytes do not fit its checksum".to_owned()));
        }
        Ok(Ok((scope, source, session)))
    }

    fn own_body(&mut self, connection: &Connection, codec: CodecNumber, stored: &[u8]) -> Result<Body, String> {
        if codec == PLAIN {
            return body_of(stored).map_err(|error| format!("its body is broken: {error}"));
        }
        let json = self.decoder.decode(connection, codec, stored)?;
        body_of(&json).map_err(|error| format!("its body is broken: {error}"))
    }

    /// The body of a row that repeats another, with the row that it repeats, or why it cannot be had.
    fn repeated(
        &mut self,
        connection: &Connection,
        raw: &RawRow,
        stored: &[u8],
    ) -> Result<Result<(Body, Option<Row>), String>> {
        let Some(repeat) = Repeat::read(stored) else {
            return Ok(Err("it does not say which record it repeats".to_owned()));
        };
        let number = repeat.holder();
        let holder = repeats::by_row(connection, number)?.filter(|holder| holder.codec != REPEAT);
        let Some((holder, body)) = holder.as_ref().and_then(|holder| Some((holder, holder.body.as_deref()?))) else {
            return Ok(Err(format!("row {number}, which it repeats, cannot be read")));
        };
        if self.verified_names(connection, holder)?.is_err() {
            return Ok(Err(format!("row {number}, which it repeats, does not fit its checksum")));
        }
        let held = self.own_body(connection, holder.codec, body);
        let said = held.and_then(|held| repeat.message(raw.scope, raw.position, held));
        Ok(said.map(|body| (body, Some(Row(number)))))
    }

    /// A stored body as it was before it was compressed, or why it cannot be had back.
    pub(super) fn body(
        &mut self,
        connection: &Connection,
        codec: CodecNumber,
        stored: &[u8],
    ) -> Result<Vec<u8>, String> {
        self.decoder.decode(connection, codec, stored)
    }

    /// What is left of a purged row that [`RowReader::decode`] has just found whole.
    pub(super) fn tombstone(&self, raw: &RawRow, forgotten: Option<Forgotten>) -> Option<Tombstone> {
        Some(Tombstone {
            id: RecordId::from_bytes(raw.id),
            kind: Kind::from_code(raw.kind)?,
            scope: self.scopes.get(&raw.scope)?.clone(),
            origin: Origin::from_code(raw.origin)?,
            trust: Trust::from_code(raw.trust)?,
            source: self.sources.get(&raw.source)?.clone(),
            session: match raw.session {
                Some(number) => Some(self.sessions.get(&number)?.clone()),
                None => None,
            },
            position: raw.position.and_then(|position| position.try_into().ok()),
            key: raw.key.clone(),
            created_at: from_ms(raw.created_at_ms)?,
            expires_at: raw.expires_at_ms.and_then(from_ms),
            replaces: raw.replaces.map(RecordId::from_bytes),
            forgotten: forgotten?,
        })
    }

    fn scope(&mut self, connection: &Connection, number: i64) -> Result<Option<&Scope>> {
        if !self.scopes.contains_key(&number)
            && let Some(name) = name(connection, "SELECT name FROM scopes WHERE number = ?1", number)?
            && let Ok(scope) = Scope::parse(&name)
        {
            self.scopes.insert(number, scope);
        }
        Ok(self.scopes.get(&number))
    }

    fn source(&mut self, connection: &Connection, number: i64) -> Result<Option<&String>> {
        if !self.sources.contains_key(&number)
            && let Some(name) = name(connection, "SELECT name FROM sources WHERE number = ?1", number)?
        {
            self.sources.insert(number, name);
        }
        Ok(self.sources.get(&number))
    }

    fn session(&mut self, connection: &Connection, number: i64) -> Result<Option<&String>> {
        if !self.sessions.contains_key(&number) {
            if self.sessions.len() == SESSION_NAMES_MAX {
                self.sessions.clear();
            }
            if let Some(name) = name(connection, "SELECT name FROM sessions WHERE number = ?1", number)? {
                self.sessions.insert(number, name);
            }
        }
        Ok(self.sessions.get(&number))
    }
}

/// How a body begins, as it is written.
const MESSAGE_HEAD: &[u8] = br#"{"kind":"message","#;
const NOTE_HEAD: &[u8] = br#"{"kind":"note","#;

/// The body in this text. Most are messages or notes, whose kind is known from their first bytes: then nothing is held
/// back until the kind is found, as it is for the others.
fn body_of(json: &[u8]) -> serde_json::Result<Body> {
    if json.starts_with(MESSAGE_HEAD) {
        return serde_json::from_slice(json).map(Body::Message);
    }
    if json.starts_with(NOTE_HEAD) {
        return serde_json::from_slice(json).map(Body::Note);
    }
    serde_json::from_slice(json)
}

/// The scope, source and session of a row.
pub(super) type Names = (Scope, String, Option<String>);

/// A decoded row: the record unless it was purged, and whether it was forgotten.
pub(super) struct Decoded {
    pub(super) stored: Option<Stored>,
    pub(super) forgotten: Option<Forgotten>,
}

fn name(connection: &Connection, sql: &str, number: i64) -> Result<Option<String>> {
    let mut statement = connection.prepare_cached(sql).map_err(Error::sqlite("read a name"))?;
    match statement.query_row([number], |columns| columns.get(0)).optional() {
        Ok(name) => Ok(name),
        Err(error) if is_damage(&error) => Ok(None),
        Err(error) => Err(Error::Sqlite { doing: "read a name", source: error }),
    }
}

/// The answer for a row that the database cannot deliver; other failures are errors.
pub(super) fn damage(row: Row, error: rusqlite::Error, doing: &'static str) -> Result<Lookup> {
    if is_damage(&error) {
        Ok(Lookup::Damaged { row, id: None, reason: format!("it cannot be read: {error}") })
    } else {
        Err(Error::Sqlite { doing, source: error })
    }
}

/// Whether an error says that bytes in the file are wrong, rather than that reading failed.
pub(super) fn is_damage(error: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase, TypeMismatch};
    match error {
        rusqlite::Error::SqliteFailure(failure, _) => {
            matches!(failure.code, DatabaseCorrupt | NotADatabase | TypeMismatch)
        }
        rusqlite::Error::InvalidColumnType(..)
        | rusqlite::Error::FromSqlConversionFailure(..)
        | rusqlite::Error::IntegralValueOutOfRange(..)
        | rusqlite::Error::Utf8Error(..) => true,
        _ => false,
    }
}

/// Reads the raw row that this statement finds, for a change to it.
pub(super) fn raw(connection: &Connection, id: &RecordId) -> Result<Option<RawRow>> {
    let sql = format!("SELECT {COLUMNS} FROM records WHERE id = ?1");
    let mut statement = connection.prepare_cached(&sql).map_err(Error::sqlite("read a record"))?;
    statement.query_row([id.as_bytes()], RawRow::from_columns).optional().map_err(Error::sqlite("read a record"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_key_comes_back_as_it_was(key in "([0-9a-fA-F]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})?\\PC{0,12}") {
            let connection = Connection::open_in_memory().unwrap();
            let back: Key = connection.query_row("SELECT ?1", [Key(key.clone())], |columns| columns.get(0)).unwrap();
            prop_assert_eq!(back.0, key);
        }
    }

    #[test]
    fn messages_and_notes_are_read_by_their_first_bytes() {
        let mut message = crate::Message::new(crate::Role::User, 7, "说 \"hello\"");
        message.speaker = Some("Ana".to_owned());
        let body = Body::Message(message);
        let json = serde_json::to_vec(&body).unwrap();
        assert!(json.starts_with(MESSAGE_HEAD));
        assert_eq!(body_of(&json).unwrap(), body);
        assert_eq!(serde_json::from_slice::<Body>(&json).unwrap(), body);
        let body = Body::Note(crate::Note::new("说 \"hello\""));
        let json = serde_json::to_vec(&body).unwrap();
        assert!(json.starts_with(NOTE_HEAD));
        assert_eq!(body_of(&json).unwrap(), body);
    }

    #[test]
    fn a_key_that_is_a_uuid_takes_sixteen_bytes() {
        let connection = Connection::open_in_memory().unwrap();
        let key = Key("7808063b-effa-4a2b-8cfe-f99c350aedf0#2".to_owned());
        let bytes: i64 = connection.query_row("SELECT length(?1)", [key], |columns| columns.get(0)).unwrap();
        assert_eq!(bytes, 18);
    }
}

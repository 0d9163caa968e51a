//! Adding records and sessions.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension, params};
use xxhash_rust::xxh3::xxh3_64;

use super::row::{Key, RawRow, provenance, to_ms};
use super::trials;
use super::writer::Writing;
use super::{readings, repeats};
use crate::change::ChangeKind;
use crate::error::{Error, Result};
use crate::id::RecordId;
use crate::intake::{Admitted, Intake};
use crate::record::{Body, Record};
use crate::scope::Scope;
use crate::session::{Session, run_name};
use crate::store::{Forgotten, Put};

/// Names that rows refer to by number, as far as this writer has met them.
#[derive(Default)]
pub(super) struct Numbers {
    scopes: HashMap<String, i64>,
    sources: HashMap<String, i64>,
    sessions: HashMap<(String, i64, i64), i64>,
    /// The session met last, which the next record is most often of.
    last: Option<((String, i64, i64), i64)>,
}

/// Session numbers kept at most; the map starts anew beyond that.
const SESSION_NUMBERS_MAX: usize = 10_000;

impl Numbers {
    fn scope(&mut self, connection: &Connection, scope: &Scope) -> Result<i64> {
        number(connection, &mut self.scopes, "scopes", scope.path())
    }

    fn source(&mut self, connection: &Connection, source: &str) -> Result<i64> {
        number(connection, &mut self.sources, "sources", source)
    }

    /// The number of a session, which is made when it is not there, as begun by somebody bound to this scope.
    fn session(
        &mut self,
        connection: &Connection,
        name: &str,
        source: &str,
        scope: &Scope,
        bound: Option<&Scope>,
    ) -> Result<i64> {
        let (source_number, scope_number) = (self.source(connection, source)?, self.scope(connection, scope)?);
        if let Some(((last, ..), number)) =
            self.last.as_ref().filter(|last| (last.0.1, last.0.2) == (source_number, scope_number))
            && last == name
        {
            return Ok(*number);
        }
        let key = (name.to_owned(), source_number, scope_number);
        if let Some(number) = self.sessions.get(&key) {
            self.last = Some((key, *number));
            return Ok(*number);
        }
        let found = find_session(connection, &key)?.map(|(number, _)| number);
        let number = match found {
            Some(number) => number,
            None => {
                let session = Session { bound: bound.cloned(), ..Session::new(source, name, scope.clone()) };
                insert_session(connection, &key, &session)?
            }
        };
        if self.sessions.len() == SESSION_NUMBERS_MAX {
            self.sessions.clear();
        }
        self.last = Some((key.clone(), number));
        self.sessions.insert(key, number);
        Ok(number)
    }
}

fn number(connection: &Connection, known: &mut HashMap<String, i64>, table: &str, name: &str) -> Result<i64> {
    if let Some(number) = known.get(name) {
        return Ok(*number);
    }
    let find = || -> rusqlite::Result<i64> {
        let select = format!("SELECT number FROM {table} WHERE name = ?1");
        match connection.query_row(&select, [name], |columns| columns.get(0)).optional()? {
            Some(number) => Ok(number),
            None => {
                connection.execute(&format!("INSERT INTO {table} (name) VALUES (?1)"), [name])?;
                Ok(connection.last_insert_rowid())
            }
        }
    };
    let number = find().map_err(Error::sqlite("number a name"))?;
    known.insert(name.to_owned(), number);
    Ok(number)
}

/// Adds records in order; see [`crate::Store::put`].
pub(super) fn put(writing: &mut Writing, records: Vec<Admitted>) -> Result<Vec<Put>> {
    records.into_iter().map(|admitted| put_one(writing, admitted)).collect()
}

fn put_one(writing: &mut Writing, admitted: Admitted) -> Result<Put> {
    let bound = admitted.bound().cloned();
    let record = admitted.into_record();
    writing.must_be_writable(&record.scope)?;
    must_be_replaceable(writing, &record)?;
    let (session, key) = (record.session.as_deref(), record.key.as_deref());
    let place = Place::of_bound(writing, &record.scope, &record.source, session, key, bound.as_ref())?;
    if let Some(known) = place.known(writing.connection(), record.key.as_deref())? {
        return Ok(if is_forgotten(writing.connection(), known)? { Put::Forgotten(known) } else { Put::Known(known) });
    }
    let id = record.id;
    trials::told_by(writing, &record, bound.as_ref())?;
    add(writing, &place, record, None)?;
    Ok(Put::Added(id))
}

fn is_forgotten(connection: &Connection, id: RecordId) -> Result<bool> {
    connection
        .prepare_cached("SELECT deleted_at_ms IS NOT NULL OR body IS NULL FROM records WHERE id = ?1")
        .and_then(|mut select| select.query_row([id.as_bytes()], |columns| columns.get(0)))
        .map_err(Error::sqlite("look whether a record was forgotten"))
}

/// Refuses a record that takes the place of one in a scope that nothing is written to: the older one would be gone from
/// answers as if it had been changed there.
pub(super) fn must_be_replaceable(writing: &Writing, record: &Record) -> Result<()> {
    let Some(older) = record.replaces else { return Ok(()) };
    let scope: Option<String> = writing
        .connection()
        .prepare_cached(
            "SELECT scopes.name FROM records JOIN scopes ON scopes.number = records.scope WHERE records.id = ?1",
        )
        .and_then(|mut select| select.query_row([older.as_bytes()], |columns| columns.get(0)).optional())
        .map_err(Error::sqlite("look for what a record replaces"))?;
    match scope.map(|scope| Scope::parse(&scope)) {
        Some(Ok(scope)) => writing.must_be_writable(&scope),
        _ => Ok(()),
    }
}

/// Where a record belongs: the numbers of its names, and the fingerprint of its provenance.
pub(super) struct Place {
    pub(super) scope: i64,
    pub(super) source: i64,
    pub(super) session: Option<i64>,
    fingerprint: Option<i64>,
}

impl Place {
    pub(super) fn of(
        writing: &mut Writing,
        scope: &Scope,
        source: &str,
        session: Option<&str>,
        key: Option<&str>,
    ) -> Result<Place> {
        Place::of_bound(writing, scope, source, session, key, None)
    }

    /// The place of a record from somebody bound to this scope.
    fn of_bound(
        writing: &mut Writing,
        scope: &Scope,
        source: &str,
        session: Option<&str>,
        key: Option<&str>,
        bound: Option<&Scope>,
    ) -> Result<Place> {
        let (connection, numbers) = writing.numbers();
        Ok(Place {
            fingerprint: key.map(|key| provenance(scope.path(), source, session, key)),
            session: match session {
                Some(name) => Some(numbers.session(connection, name, source, scope, bound)?),
                None => None,
            },
            scope: numbers.scope(connection, scope)?,
            source: numbers.source(connection, source)?,
        })
    }

    /// The record of this provenance, if there is one.
    pub(super) fn known(&self, connection: &Connection, key: Option<&str>) -> Result<Option<RecordId>> {
        let (Some(fingerprint), Some(key)) = (self.fingerprint, key) else { return Ok(None) };
        let find = || -> rusqlite::Result<Option<[u8; 16]>> {
            connection
                .prepare_cached(
                    "SELECT id FROM records
                     WHERE provenance = ?1 AND scope = ?2 AND source = ?3 AND session IS ?4 AND key = ?5",
                )?
                .query_row(
                    params![fingerprint, self.scope, self.source, self.session, Key(key.to_owned())],
                    |columns| columns.get(0),
                )
                .optional()
        };
        Ok(find().map_err(Error::sqlite("look for a record of the same provenance"))?.map(RecordId::from_bytes))
    }
}

/// Adds a record that is not there yet, with the change that says so.
pub(super) fn add(writing: &mut Writing, place: &Place, record: Record, forgotten: Option<Forgotten>) -> Result<()> {
    let row = writing.next_row();
    let (codec, body) = repeats::body_for(writing, row, place.scope, &record.body)?;
    let raw = RawRow {
        row,
        id: *record.id.as_bytes(),
        kind: record.kind().code(),
        scope: place.scope,
        origin: record.origin.code(),
        trust: record.trust.code(),
        source: place.source,
        session: place.session,
        position: match &record.body {
            Body::Message(message) => Some(i64::from(message.position)),
            _ => None,
        },
        key: record.key.clone(),
        created_at_ms: to_ms(record.created_at),
        expires_at_ms: record.expires_at.map(to_ms),
        pinned: record.pinned,
        tags: tags_json(&record.tags),
        replaces: record.replaces.map(|id| *id.as_bytes()),
        deleted_at_ms: forgotten.map(|forgotten| to_ms(forgotten.deleted_at)),
        undo_until_ms: forgotten.map(|forgotten| to_ms(forgotten.undo_until)),
        codec,
        body: Some(body),
        checksum: 0,
    };
    let last = forgotten.map(|_| ChangeKind::Forget);
    insert(writing, place, raw, [record.scope.path(), &record.source], record.session.as_deref(), last)
}

/// Inserts a row with its checksum, and logs that it was put and what else became of it.
pub(super) fn insert(
    writing: &mut Writing,
    place: &Place,
    mut raw: RawRow,
    [scope, source]: [&str; 2],
    session: Option<&str>,
    also: Option<ChangeKind>,
) -> Result<()> {
    raw.checksum = raw.checksum_with(scope, source, session);
    let id = RecordId::from_bytes(raw.id);
    insert_row(writing.connection(), &raw, place.fingerprint).map_err(|error| match error.sqlite_error_code() {
        Some(rusqlite::ErrorCode::ConstraintViolation) => {
            Error::NotAllowed { doing: "add", id, reason: "there is a record of this id already".into() }
        }
        _ => Error::Sqlite { doing: "add a record", source: error },
    })?;
    [ChangeKind::Put].into_iter().chain(also).try_for_each(|kind| writing.log(raw.row, &id, kind))
}

pub(super) fn tags_json(tags: &[String]) -> Option<String> {
    if tags.is_empty() { None } else { serde_json::to_string(tags).ok() }
}

fn insert_row(connection: &Connection, raw: &RawRow, fingerprint: Option<i64>) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO records (row, id, kind, scope, origin, trust, source, session, position, key, provenance,
                 created_at_ms, expires_at_ms, pinned, tags, replaces, deleted_at_ms, undo_until_ms, codec, body,
                 checksum)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21)",
        )?
        .execute(params![
            raw.row,
            raw.id,
            raw.kind,
            raw.scope,
            raw.origin,
            raw.trust,
            raw.source,
            raw.session,
            raw.position,
            raw.key.clone().map(Key),
            fingerprint,
            raw.created_at_ms,
            raw.expires_at_ms,
            raw.pinned,
            raw.tags,
            raw.replaces,
            raw.deleted_at_ms,
            raw.undo_until_ms,
            raw.codec,
            raw.body,
            raw.checksum,
        ])?;
    Ok(())
}

/// Adds a session, or what is newly known of it; answers whether anything was new.
pub(super) fn put_session(writing: &mut Writing, session: Session) -> Result<bool> {
    writing.must_be_writable(&session.scope)?;
    // A title is often the first request, and comes past the intake's check of records.
    let session = Intake::new().session(session);
    let (connection, numbers) = writing.numbers();
    let key =
        (session.id.clone(), numbers.source(connection, &session.source)?, numbers.scope(connection, &session.scope)?);
    match find_session(connection, &key)? {
        None => insert_session(connection, &key, &session).map(|_| true),
        // What was forgotten for good is not learned again, and a session's title is its messages' text.
        Some((number, _)) if is_purged(connection, number)? => Ok(false),
        Some((number, known)) => {
            let mut merged = known.clone().unwrap_or_else(|| session.clone());
            merged.learn(session);
            if known.as_ref() == Some(&merged) {
                return Ok(false);
            }
            let (info, checksum) = session_info(&merged);
            connection
                .execute(
                    "UPDATE sessions SET info = ?2, checksum = ?3 WHERE number = ?1",
                    params![number, info, checksum],
                )
                .map_err(Error::sqlite("update a session"))?;
            Ok(true)
        }
    }
}

/// Whether a session had records, and none of them has a text any more.
fn is_purged(connection: &Connection, number: i64) -> Result<bool> {
    connection
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM records WHERE session = ?1)
                 AND NOT EXISTS (SELECT 1 FROM records WHERE session = ?1 AND body IS NOT NULL)",
        )
        .and_then(|mut select| select.query_row([number], |columns| columns.get(0)))
        .map_err(Error::sqlite("look at a session"))
}

/// Whether the session of a run is gone for good: one was that may be the run's, and none of those has a text left.
///
/// Somebody else's session of the same name is not the run's: who is bound to a scope has runs of their own.
pub(super) fn was_purged(connection: &Connection, run: &str) -> Result<bool> {
    let bound = run.rsplit_once(" @").and_then(|(name, scope)| Some((name, Scope::parse(scope).ok()?)));
    if let Some((name, scope)) = &bound
        && was_purged_of(connection, name, Some(scope))?
    {
        return Ok(true);
    }
    was_purged_of(connection, run, None)
}

/// Whether the sessions of this name that somebody bound to this scope began, or somebody bound to none, are gone.
fn was_purged_of(connection: &Connection, name: &str, bound: Option<&Scope>) -> Result<bool> {
    let numbers: Vec<i64> = connection
        .prepare_cached("SELECT number FROM sessions WHERE name = ?1")
        .and_then(|mut select| select.query_map([name], |columns| columns.get(0))?.collect())
        .map_err(Error::sqlite("look at a session"))?;
    let mut purged = false;
    for number in numbers {
        if bound_of(connection, number)?.as_ref() != bound {
            continue;
        }
        match is_purged(connection, number)? {
            true => purged = true,
            false if has_text(connection, number)? => return Ok(false),
            false => {}
        }
    }
    Ok(purged)
}

/// The scope that whoever began a session is bound to. A damaged session says none.
pub(super) fn bound_of(connection: &Connection, number: i64) -> Result<Option<Scope>> {
    let info: Option<(String, i64)> = connection
        .prepare_cached("SELECT info, checksum FROM sessions WHERE number = ?1")
        .and_then(|mut select| {
            let columns = |columns: &rusqlite::Row| Ok((columns.get(0)?, columns.get(1)?));
            select.query_row([number], columns).optional()
        })
        .or_else(|error| if super::row::is_damage(&error) { Ok(None) } else { Err(error) })
        .map_err(Error::sqlite("look at a session"))?;
    Ok(info.and_then(|(info, checksum)| parse_session(&info, checksum)).and_then(|session| session.bound))
}

fn has_text(connection: &Connection, number: i64) -> Result<bool> {
    connection
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM records WHERE session = ?1 AND body IS NOT NULL)")
        .and_then(|mut select| select.query_row([number], |columns| columns.get(0)))
        .map_err(Error::sqlite("look at a session"))
}

/// A session without what is known of it, where its records are all gone for good.
pub(super) fn without_words(connection: &Connection, session: Session) -> Result<Session> {
    let number: Option<i64> = connection
        .prepare_cached(
            "SELECT sessions.number FROM sessions
             JOIN sources ON sources.number = sessions.source JOIN scopes ON scopes.number = sessions.scope
             WHERE sessions.name = ?1 AND sources.name = ?2 AND scopes.name = ?3",
        )
        .and_then(|mut select| {
            let name = params![session.id, session.source, session.scope.path()];
            select.query_row(name, |columns| columns.get(0)).optional()
        })
        .map_err(Error::sqlite("look for a session"))?;
    match number {
        Some(number) if is_purged(connection, number)? => {
            Ok(Session { bound: session.bound, ..Session::new(session.source, session.id, session.scope) })
        }
        _ => Ok(session),
    }
}

/// Removes what is known of those of these sessions whose records are all gone for good: their titles, what was asked
/// for them and why they ended so, and what is noted of them for reading their transcripts on.
pub(super) fn empty_sessions(connection: &Connection, numbers: impl IntoIterator<Item = i64>) -> Result<()> {
    let mut emptied = false;
    for number in numbers {
        if is_purged(connection, number)? {
            empty_session(connection, number)?;
            emptied = true;
        }
    }
    // Looked through once for all of them: there is a note for each transcript that was ever read.
    if emptied { readings::empty_sessions(connection) } else { Ok(()) }
}

fn empty_session(connection: &Connection, number: i64) -> Result<()> {
    let doing = "empty a session";
    let (name, source, scope): (String, String, String) = connection
        .query_row(
            "SELECT sessions.name, sources.name, scopes.name FROM sessions
             JOIN sources ON sources.number = sessions.source JOIN scopes ON scopes.number = sessions.scope
             WHERE sessions.number = ?1",
            [number],
            |columns| Ok((columns.get(0)?, columns.get(1)?, columns.get(2)?)),
        )
        .map_err(Error::sqlite(doing))?;
    let bound = bound_of(connection, number)?;
    // A run has the name of its session, which others of that name, or a part of it in another scope, may keep.
    if was_purged_of(connection, &name, bound.as_ref())? {
        trials::empty_run(connection, &run_name(&name, bound.as_ref()))?;
    }
    let Ok(scope) = Scope::parse(&scope) else { return Ok(()) };
    let (info, checksum) = session_info(&Session { bound, ..Session::new(source, name, scope) });
    connection
        .execute("UPDATE sessions SET info = ?2, checksum = ?3 WHERE number = ?1", params![number, info, checksum])
        .map_err(Error::sqlite(doing))?;
    Ok(())
}

pub(super) fn session_info(session: &Session) -> (String, i64) {
    // A session holds strings and times only, which JSON can always say.
    let info = serde_json::to_string(session).unwrap_or_default();
    let checksum = xxh3_64(info.as_bytes()) as i64;
    (info, checksum)
}

/// A stored session, when its text fits its checksum.
pub(super) fn parse_session(info: &str, checksum: i64) -> Option<Session> {
    if xxh3_64(info.as_bytes()) as i64 != checksum {
        return None;
    }
    serde_json::from_str(info).ok()
}

/// The number of a session, and what is known of it unless that is damaged.
fn find_session(connection: &Connection, key: &(String, i64, i64)) -> Result<Option<(i64, Option<Session>)>> {
    let find = || -> rusqlite::Result<Option<(i64, String, i64)>> {
        connection
            .prepare_cached(
                "SELECT number, info, checksum FROM sessions WHERE name = ?1 AND source = ?2 AND scope = ?3",
            )?
            .query_row(params![key.0, key.1, key.2], |columns| {
                // What is not even text fits no checksum.
                Ok((columns.get(0)?, columns.get(1).unwrap_or_default(), columns.get(2).unwrap_or_default()))
            })
            .optional()
    };
    let found = find().map_err(Error::sqlite("look for a session"))?;
    Ok(found.map(|(number, info, checksum)| (number, parse_session(&info, checksum))))
}

fn insert_session(connection: &Connection, key: &(String, i64, i64), session: &Session) -> Result<i64> {
    let (info, checksum) = session_info(session);
    connection
        .execute(
            "INSERT INTO sessions (name, source, scope, info, checksum) VALUES (?1, ?2, ?3, ?4, ?5)",
            params![key.0, key.1, key.2, info, checksum],
        )
        .map_err(Error::sqlite("add a session"))?;
    Ok(connection.last_insert_rowid())
}

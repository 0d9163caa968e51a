//! How far transcripts were read.

use std::borrow::Cow;

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, params};
use xxhash_rust::xxh3::xxh3_64;

use super::put;
use super::row::is_damage;
use super::writer::Writing;
use crate::error::{Error, Result};
use crate::intake::{Intake, clean_name};
use crate::redact::Redactor;
use crate::scope::Scope;
use crate::store::{Reading, ReadingPlace};

/// How far a transcript was read. A damaged note is none: reading again from the start adds nothing.
pub(super) fn reading(connection: &Connection, place: &ReadingPlace) -> Result<Option<Reading>> {
    let doing = "look how far a transcript was read";
    let found = connection
        .prepare_cached(
            "SELECT tool, path, scope, state, checksum FROM readings WHERE path = ?1 AND tool = ?2 AND scope = ?3",
        )
        .and_then(|mut select| {
            let path = clean_name(&place.path);
            select.query_row(params![path, place.tool, place.scope], from_columns).optional()
        });
    match found {
        Ok(found) => Ok(found.flatten().map(|(_, reading)| reading)),
        Err(error) if is_damage(&error) => Ok(None),
        Err(source) => Err(Error::Sqlite { doing, source }),
    }
}

/// A note from its columns tool, path, scope, state, checksum; `None` when it does not fit its checksum.
pub(super) fn from_columns(columns: &rusqlite::Row) -> rusqlite::Result<Option<(ReadingPlace, Reading)>> {
    let place = ReadingPlace { tool: columns.get(0)?, path: columns.get(1)?, scope: columns.get(2)? };
    let (state, checksum): (String, i64) = (columns.get(3)?, columns.get(4)?);
    if checksum_of(&place, &state) != checksum {
        return Ok(None);
    }
    Ok(serde_json::from_str(&state).ok().map(|reading| (place, reading)))
}

/// Notes how far a transcript was read. Of sessions that are gone for good nothing but the names is noted.
pub(super) fn put_reading(writing: &mut Writing, place: &ReadingPlace, reading: &Reading) -> Result<()> {
    let connection = writing.connection();
    let (mut place, mut reading) = (place.clone(), reading.clone());
    if let Cow::Owned(clean) = clean_name(&place.path) {
        place.path = clean;
    }
    reading = Intake::new().reading(reading);
    empty(connection, &mut reading)?;
    insert(connection, &place, &reading)
}

/// Leaves of sessions that are gone for good what reading their transcripts on needs: their names and their scopes.
///
/// A damaged note may name them too, and is removed: reading from the start adds nothing.
pub(super) fn empty_sessions(connection: &Connection) -> Result<()> {
    let doing = "empty the notes of a session";
    let mut emptied = Vec::new();
    let mut damaged = Vec::new();
    {
        let mut select = connection
            .prepare_cached("SELECT tool, path, scope, state, checksum FROM readings")
            .map_err(Error::sqlite(doing))?;
        let mut rows = select.query([]).map_err(Error::sqlite(doing))?;
        while let Some(columns) = rows.next().map_err(Error::sqlite(doing))? {
            match from_columns(columns) {
                Ok(Some((place, mut reading))) => {
                    if empty(connection, &mut reading)? {
                        emptied.push((place, reading));
                    }
                }
                Err(error) if !is_damage(&error) => return Err(Error::Sqlite { doing, source: error }),
                Ok(None) | Err(_) => {
                    let key = |at| columns.get::<_, Value>(at).map_err(Error::sqlite(doing));
                    damaged.push([key(0)?, key(1)?, key(2)?]);
                }
            }
        }
    }
    for [tool, path, scope] in damaged {
        connection
            .execute("DELETE FROM readings WHERE tool = ?1 AND path = ?2 AND scope = ?3", params![tool, path, scope])
            .map_err(Error::sqlite(doing))?;
    }
    emptied.iter().try_for_each(|(place, reading)| insert(connection, place, reading))
}

/// Takes what is known of sessions that are gone for good out of a note; answers whether that changed it.
fn empty(connection: &Connection, reading: &mut Reading) -> Result<bool> {
    let mut changed = false;
    for session in &mut reading.sessions {
        let emptied = put::without_words(connection, session.clone())?;
        changed |= emptied != *session;
        *session = emptied;
    }
    Ok(changed)
}

fn insert(connection: &Connection, place: &ReadingPlace, reading: &Reading) -> Result<()> {
    let state = serde_json::to_string(reading)
        .map_err(|error| Error::Refused { reason: format!("it cannot be written as JSON: {error}") })?;
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO readings (tool, path, scope, state, checksum) VALUES (?1, ?2, ?3, ?4, ?5)",
        )
        .and_then(|mut insert| {
            insert.execute(params![place.tool, place.path, place.scope, state, checksum_of(place, &state)])
        })
        .map_err(Error::sqlite("note how far a transcript was read"))?;
    Ok(())
}

fn checksum_of(place: &ReadingPlace, state: &str) -> i64 {
    xxh3_64(format!("{}\0{}\0{}\0{state}", place.tool, place.path, place.scope).as_bytes()) as i64
}

/// The notes whose place, or what was known of their sessions, holds a secret, by their keys.
pub(super) fn dirty(connection: &Connection, redactor: &Redactor) -> Result<Vec<(String, String, String)>> {
    let doing = "look for secrets in what was read";
    let mut select =
        connection.prepare("SELECT path, tool, scope, state FROM readings").map_err(Error::sqlite(doing))?;
    let mut rows = select.query([]).map_err(Error::sqlite(doing))?;
    let intake = Intake::with(redactor.clone());
    let mut dirty = Vec::new();
    while let Some(row) = rows.next().map_err(Error::sqlite(doing))? {
        let read = || -> rusqlite::Result<(String, String, String, String)> {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
        };
        let (path, tool, scope, state) = read().map_err(Error::sqlite(doing))?;
        let noted = serde_json::from_str::<Reading>(&state).ok();
        if redactor.redact(&path).hits().next().is_some()
            || Scope::parse(&scope).is_ok_and(|scope| scope.holds_secret())
            || noted.is_some_and(|noted| intake.reading(noted.clone()) != noted)
        {
            dirty.push((path, tool, scope));
        }
    }
    Ok(dirty)
}

/// Drops the notes that hold a secret: reading again from the start adds nothing.
pub(super) fn clean(connection: &Connection, redactor: &Redactor) -> Result<()> {
    for (path, tool, scope) in dirty(connection, redactor)? {
        connection
            .execute("DELETE FROM readings WHERE path = ?1 AND tool = ?2 AND scope = ?3", params![path, tool, scope])
            .map_err(Error::sqlite("remove a secret from what was read"))?;
    }
    Ok(())
}

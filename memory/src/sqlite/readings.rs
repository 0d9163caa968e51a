//! How far transcripts were read.

use rusqlite::{Connection, OptionalExtension, params};
use xxhash_rust::xxh3::xxh3_64;

use super::writer::Writing;
use crate::error::{Error, Result};
use crate::store::{Reading, ReadingPlace};

/// How far a transcript was read. A damaged note is none: reading again from the start adds nothing.
pub(super) fn reading(connection: &Connection, place: &ReadingPlace) -> Result<Option<Reading>> {
    let find = || -> rusqlite::Result<Option<(String, i64)>> {
        connection
            .prepare_cached("SELECT state, checksum FROM readings WHERE path = ?1 AND tool = ?2 AND scope = ?3")?
            .query_row(params![place.path, place.tool, place.scope], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()
    };
    let found = find().map_err(Error::sqlite("look how far a transcript was read"))?;
    let sound = found.filter(|(state, checksum)| checksum_of(place, state) == *checksum);
    Ok(sound.and_then(|(state, _)| serde_json::from_str(&state).ok()))
}

/// Notes how far a transcript was read.
pub(super) fn put_reading(writing: &mut Writing, place: &ReadingPlace, reading: &Reading) -> Result<()> {
    let state = serde_json::to_string(reading)
        .map_err(|error| Error::Refused { reason: format!("it cannot be written as JSON: {error}") })?;
    writing
        .connection()
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

//! Dictionaries hold pieces of the texts that they were trained on. When such a text is gone for good, its pieces must
//! go too.

use rusqlite::{Connection, OptionalExtension, params};
use rustc_hash::FxHashMap;
use xxhash_rust::xxh3::xxh3_64;

use super::SqliteStore;
use super::codec::{CodecNumber, Encoder};
use super::row::{COLUMNS, RawRow};
use super::writer::Writing;
use crate::error::{Error, Result};

/// A piece of this many bytes that no record has any more is the text of one that is gone. Shorter ones are words.
const PIECE_BYTES: usize = 16;

/// Rows compressed anew in one transaction.
const ROWS_AT_ONCE: usize = 500;

/// The tables before a dictionary's text end within this many bytes.
const TABLES_BYTES_MAX: usize = 2 << 10;

/// The factor of the rolling hash: any odd number with many bits does.
const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;

/// What tells which dictionary came last, so that no number is given out twice.
const LAST: &str = "dictionary_last";

/// The number that the next dictionary gets.
pub(super) fn next_number(connection: &Connection, first: CodecNumber) -> Result<CodecNumber> {
    let last: Option<CodecNumber> = connection
        .query_row(
            "SELECT max(coalesce((SELECT max(number) FROM dictionaries), 0),
                        coalesce((SELECT value FROM meta WHERE name = ?1), 0))",
            [LAST],
            |columns| columns.get(0),
        )
        .map_err(Error::sqlite("number a dictionary"))?;
    Ok(first.max(last.unwrap_or(0) + 1))
}

/// Removes each dictionary that holds text which no record has any more; answers how many.
///
/// What was compressed with it is compressed anew with the one that ships. The store trains another when it has grown.
pub(super) fn scrub(store: &SqliteStore) -> Result<usize> {
    let numbers: Vec<CodecNumber> = store.read(|reader| {
        let mut select = reader
            .connection
            .prepare_cached("SELECT number FROM dictionaries ORDER BY number")
            .map_err(Error::sqlite("read the dictionaries"))?;
        let rows = select.query_map([], |columns| columns.get(0)).map_err(Error::sqlite("read the dictionaries"))?;
        rows.collect::<rusqlite::Result<_>>().map_err(Error::sqlite("read the dictionaries"))
    })?;
    let mut removed = 0;
    for number in numbers {
        if holds_lost_text(store, number)? {
            while store.write(move |writing| compress_anew(writing, number))? {}
            removed += 1;
        }
    }
    Ok(removed)
}

/// Whether a dictionary holds a piece of text that no record has.
fn holds_lost_text(store: &SqliteStore, number: CodecNumber) -> Result<bool> {
    let found: Option<(Vec<u8>, i64)> = store.read(|reader| {
        reader
            .connection
            .query_row("SELECT bytes, checksum FROM dictionaries WHERE number = ?1", [number], |columns| {
                Ok((columns.get(0)?, columns.get(1)?))
            })
            .optional()
            .map_err(Error::sqlite("read a dictionary"))
    })?;
    // A damaged one is reported by the check; what was compressed with it is lost until a backup is restored.
    let Some((bytes, _)) = found.filter(|(bytes, checksum)| xxh3_64(bytes) as i64 == *checksum) else {
        return Ok(false);
    };
    let mut pieces = Pieces::of(&bytes);
    let mut after = 0;
    loop {
        let page = store.read(|reader| {
            let sql =
                format!("SELECT {COLUMNS} FROM records WHERE row > ?1 AND body IS NOT NULL ORDER BY row LIMIT ?2");
            let doing = "read the records";
            let rows: Vec<RawRow> = {
                let mut select = reader.connection.prepare_cached(&sql).map_err(Error::sqlite(doing))?;
                let rows = select
                    .query_map(params![after, ROWS_AT_ONCE as i64], RawRow::from_columns)
                    .map_err(Error::sqlite(doing))?;
                // A row that cannot be read is no reason to keep what it might have said.
                rows.flatten().collect()
            };
            for raw in &rows {
                if let Some(body) = &raw.body
                    && let Ok(body) = reader.rows.body(&reader.connection, raw.codec, body)
                {
                    pieces.see(&body);
                }
            }
            Ok(rows.last().map(|raw| raw.row))
        })?;
        match page {
            Some(last) if !pieces.all_seen() => after = last,
            Some(_) => return Ok(false),
            None => return Ok(pieces.are_lost(&bytes)),
        }
    }
}

/// The pieces of a dictionary, and which of its bytes stand in one that was seen in a record.
struct Pieces {
    places: FxHashMap<u64, Vec<u32>>,
    seen: Vec<bool>,
}

impl Pieces {
    fn of(bytes: &[u8]) -> Pieces {
        let mut places: FxHashMap<u64, Vec<u32>> = FxHashMap::default();
        roll(bytes, |hash, at| places.entry(hash).or_default().push(at as u32));
        Pieces { places, seen: vec![false; bytes.len()] }
    }

    fn see(&mut self, body: &[u8]) {
        let Pieces { places, seen } = self;
        roll(body, |hash, _| {
            for at in places.remove(&hash).unwrap_or_default() {
                seen[at as usize..at as usize + PIECE_BYTES].fill(true);
            }
        });
    }

    fn all_seen(&self) -> bool {
        self.places.is_empty()
    }

    /// Whether a byte of its text stands in no piece that was seen. The tables before the text are no text.
    fn are_lost(&self, bytes: &[u8]) -> bool {
        let text = self.seen.iter().position(|seen| *seen).unwrap_or(self.seen.len());
        let tables = text.min(TABLES_BYTES_MAX);
        has_text(&bytes[..tables]) || self.seen[tables..].iter().any(|seen| !seen)
    }
}

/// Whether bytes hold a piece of readable text.
fn has_text(bytes: &[u8]) -> bool {
    bytes
        .utf8_chunks()
        .any(|chunk| chunk.valid().split(|c: char| c.is_control()).any(|readable| readable.len() >= PIECE_BYTES))
}

/// Calls `see` with the hash and place of each piece.
fn roll(bytes: &[u8], mut see: impl FnMut(u64, usize)) {
    let drop = (0..PIECE_BYTES).fold(1_u64, |power, _| power.wrapping_mul(FACTOR));
    let mut hash = 0_u64;
    for (at, byte) in bytes.iter().enumerate() {
        hash = hash.wrapping_mul(FACTOR).wrapping_add(u64::from(*byte) + 1);
        if at >= PIECE_BYTES {
            hash = hash.wrapping_sub(drop.wrapping_mul(u64::from(bytes[at - PIECE_BYTES]) + 1));
        }
        if at + 1 >= PIECE_BYTES {
            see(hash, at + 1 - PIECE_BYTES);
        }
    }
}

/// Compresses some rows of a dictionary with the one that ships; answers whether there may be more. At the end the
/// dictionary is removed.
fn compress_anew(writing: &mut Writing, number: CodecNumber) -> Result<bool> {
    let doing = "compress a record anew";
    let mut encoder = Encoder::shipped()?;
    let rows: Vec<RawRow> = {
        let sql = format!("SELECT {COLUMNS} FROM records WHERE codec = ?1 LIMIT ?2");
        let mut select = writing.connection().prepare_cached(&sql).map_err(Error::sqlite(doing))?;
        let rows = select
            .query_map(params![number, ROWS_AT_ONCE as i64], RawRow::from_columns)
            .map_err(Error::sqlite(doing))?;
        rows.collect::<rusqlite::Result<_>>().map_err(Error::sqlite(doing))?
    };
    let full = rows.len() == ROWS_AT_ONCE;
    for mut raw in rows {
        let id = crate::RecordId::from_bytes(raw.id);
        let (connection, reader) = writing.rows();
        let damaged = |reason| Error::Damaged { row: raw.row, id: Some(id), reason };
        // Its checksum must fit before it gets another.
        let names = reader.verified_names(connection, &raw)?.map_err(damaged)?;
        let body = raw.body.take().unwrap_or_default();
        let body = reader.body(connection, raw.codec, &body).map_err(damaged)?;
        let (codec, body) = encoder.encode(body);
        (raw.codec, raw.body) = (codec, Some(body));
        raw.checksum = raw.checksum_with(names.0.path(), &names.1, names.2.as_deref());
        connection
            .prepare_cached("UPDATE records SET codec = ?2, body = ?3, checksum = ?4 WHERE row = ?1")
            .and_then(|mut update| update.execute(params![raw.row, raw.codec, raw.body, raw.checksum]))
            .map_err(Error::sqlite(doing))?;
    }
    if !full {
        let remove = |connection: &Connection| -> rusqlite::Result<()> {
            connection.execute("INSERT OR REPLACE INTO meta VALUES (?1, max(?2, coalesce((SELECT value FROM meta WHERE name = ?1), 0)))", params![LAST, number])?;
            connection.execute("DELETE FROM dictionaries WHERE number = ?1", [number])?;
            Ok(())
        };
        remove(writing.connection()).map_err(Error::sqlite("remove a dictionary"))?;
    }
    Ok(full)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_is_found_wherever_it_stands() {
        let dictionary = b"the pool held fifty connections and the job asked for sixty of them";
        let mut pieces = Pieces::of(dictionary);
        pieces.see(b"xx the pool held fifty connections and yy");
        assert!(!pieces.all_seen() && pieces.are_lost(dictionary));
        pieces.see(b"fifty connections and the job asked for sixty of them!");
        assert!(!pieces.are_lost(dictionary));
    }

    #[test]
    fn tables_are_no_text() {
        let mut dictionary: Vec<u8> = (0..300_u32).map(|at| (at * 37 % 251) as u8 | 0x80).collect();
        dictionary.extend_from_slice(b"the pool held fifty connections");
        let mut pieces = Pieces::of(&dictionary);
        pieces.see(b"the pool held fifty connections");
        assert!(!pieces.are_lost(&dictionary));
    }
}

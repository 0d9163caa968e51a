//! Bodies in zstd with a dictionary.
//!
//! Records are short, and a compressor that starts from nothing finds little to save in a short
//! text. A dictionary is what it starts from instead: one ships with the program, trained on our own
//! fixtures; once a store holds enough messages, one trained on them is kept in the store.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use rusqlite::{Connection, OptionalExtension};
use xxhash_rust::xxh3::xxh3_64;
use zstd::bulk::{Compressor, Decompressor};

use crate::error::{Error, Result};

/// How a body is stored: 0 as it is, 1 in zstd with the dictionary that ships, 2 in another row
/// ([`super::repeats`]), from [`OWN_FIRST`] on with one of the store's own.
pub(super) type CodecNumber = i64;

pub(super) const PLAIN: CodecNumber = 0;
const SHIPPED: CodecNumber = 1;
/// The first number of dictionaries that a store trained itself.
pub(super) const OWN_FIRST: CodecNumber = 100;

/// The dictionary that ships. Made by `cargo run -p harness-memory --example train_dictionary`.
/// It is part of the format: a changed one needs a new number.
const SHIPPED_BYTES: &[u8] = include_bytes!("dictionary.zdict");

/// The largest body, in bytes, that is decompressed: twice what the intake lets through, for JSON's escapes.
const BODY_BYTES_MAX: usize = 8 << 20;

/// Bodies shorter than this, in bytes, gain nothing.
const COMPRESS_FROM: usize = 32;

/// zstd's default. With a dictionary of the store's own, level 6 takes 2.7 times as long, which was a third of an
/// import's time; it saved 9 % of a coding session's bytes and lost 3 % on prose.
const LEVEL: i32 = 3;

/// A dictionary is trained on the store's own bodies when they are this many bytes together.
pub(super) const TRAIN_FROM_BYTES: usize = 1 << 20;

/// The size of a trained dictionary: about a hundredth of what it is trained on is usual, but at
/// least enough to hold the frequent phrases of two languages.
pub(super) const DICTIONARY_BYTES: usize = 110 << 10;

/// Compresses bodies with one dictionary; owned by the writer thread.
pub(super) struct Encoder {
    number: CodecNumber,
    compressor: Compressor<'static>,
}

impl Encoder {
    /// An encoder with the newest dictionary of the store, or the one that ships.
    pub(super) fn newest(connection: &Connection) -> Result<Encoder> {
        let doing = "read the store's dictionary";
        let own: Option<(CodecNumber, Vec<u8>, i64)> = connection
            .query_row("SELECT number, bytes, checksum FROM dictionaries ORDER BY number DESC LIMIT 1", [], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?))
            })
            .optional()
            .map_err(Error::sqlite(doing))?;
        // A damaged dictionary is reported by the check; new bodies must not depend on it.
        let intact = own.filter(|(_, bytes, checksum)| xxh3_64(bytes) as i64 == *checksum);
        let (number, bytes) = match &intact {
            Some((number, bytes, _)) => (*number, bytes.as_slice()),
            None => (SHIPPED, SHIPPED_BYTES),
        };
        Encoder::with(number, bytes)
    }

    /// An encoder with the dictionary that ships.
    pub(super) fn shipped() -> Result<Encoder> {
        Encoder::with(SHIPPED, SHIPPED_BYTES)
    }

    fn with(number: CodecNumber, bytes: &[u8]) -> Result<Encoder> {
        let prepare = || -> std::io::Result<Compressor<'static>> {
            let mut compressor = Compressor::with_dictionary(LEVEL, bytes)?;
            // The column says which dictionary it was: no need for its id in every frame.
            compressor.include_dictid(false)?;
            Ok(compressor)
        };
        let compressor = prepare().map_err(Error::io("prepare zstd for", "the store"))?;
        Ok(Encoder { number, compressor })
    }

    /// The number of the dictionary, if it is one of the store's own.
    pub(super) fn own_number(&self) -> Option<CodecNumber> {
        self.is_own().then_some(self.number)
    }

    /// Whether this encoder uses a dictionary trained on the store's own bodies.
    pub(super) fn is_own(&self) -> bool {
        self.number >= OWN_FIRST
    }

    /// The body as it is to be stored.
    pub(super) fn encode(&mut self, body: Vec<u8>) -> (CodecNumber, Vec<u8>) {
        if body.len() < COMPRESS_FROM {
            return (PLAIN, body);
        }
        match self.compressor.compress(&body) {
            Ok(small) if small.len() < body.len() => (self.number, small),
            _ => (PLAIN, body),
        }
    }
}

/// Decompresses bodies. Dictionaries are prepared when they are first met.
#[derive(Default)]
pub(super) struct Decoder {
    decompressors: HashMap<CodecNumber, Decompressor<'static>>,
}

impl Decoder {
    /// The body that was stored so, or why it cannot be had back.
    pub(super) fn decode(
        &mut self,
        connection: &Connection,
        number: CodecNumber,
        stored: &[u8],
    ) -> std::result::Result<Vec<u8>, String> {
        if number == PLAIN {
            return Ok(stored.to_vec());
        }
        let size = match zstd::zstd_safe::get_frame_content_size(stored) {
            Ok(Some(size)) => size,
            _ => return Err("its body is no zstd frame".to_owned()),
        };
        if size > BODY_BYTES_MAX as u64 {
            return Err(format!("its body claims {size} bytes, the limit is {BODY_BYTES_MAX}"));
        }
        let describe = |error: std::io::Error| format!("its body does not decompress: {error}");
        let decompressor = match self.decompressors.entry(number) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => entry.insert(if number == SHIPPED {
                Decompressor::with_dictionary(SHIPPED_BYTES).map_err(describe)?
            } else {
                Decompressor::with_dictionary(&own_dictionary(connection, number)?).map_err(describe)?
            }),
        };
        decompressor.decompress(stored, size as usize).map_err(describe)
    }
}

fn own_dictionary(connection: &Connection, number: CodecNumber) -> std::result::Result<Vec<u8>, String> {
    let row: Option<(Vec<u8>, i64)> = connection
        .query_row("SELECT bytes, checksum FROM dictionaries WHERE number = ?1", [number], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .optional()
        .map_err(|error| format!("dictionary {number} cannot be read: {error}"))?;
    match row {
        Some((bytes, checksum)) if xxh3_64(&bytes) as i64 == checksum => Ok(bytes),
        Some(_) => Err(format!("dictionary {number} does not fit its checksum")),
        None => Err(format!("dictionary {number} is missing")),
    }
}

/// Trains a dictionary on these bodies and keeps it in the store, in a transaction of the caller's.
pub(super) fn train(connection: &Connection, bodies: &[Vec<u8>]) -> Result<()> {
    let bytes = match zstd::dict::from_samples(bodies, DICTIONARY_BYTES) {
        Ok(bytes) => bytes,
        // Too uniform or too few: the dictionary that ships goes on serving.
        Err(error) => {
            tracing::debug!(%error, "no dictionary could be trained");
            return Ok(());
        }
    };
    let number = super::scrub::next_number(connection, OWN_FIRST)?;
    connection
        .execute(
            "INSERT INTO dictionaries (number, bytes, checksum) VALUES (?1, ?2, ?3)",
            rusqlite::params![number, bytes, xxh3_64(&bytes) as i64],
        )
        .map_err(Error::sqlite("keep a dictionary"))?;
    Ok(())
}

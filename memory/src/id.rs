//! Names of records and stores.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::error::Error;

/// The name of a record: a UUIDv7, so that ids sort by the time they were made.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RecordId(Uuid);

impl RecordId {
    /// A new id. Ids made by one process sort in the order they were made.
    #[expect(clippy::new_without_default, reason = "an id has no default value, each one is new")]
    pub fn new() -> RecordId {
        RecordId(Uuid::now_v7())
    }

    /// The sixteen bytes of the id.
    pub fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }

    /// The id of these sixteen bytes. Any bytes are accepted: an id that no
    /// store has given out is merely never found.
    pub fn from_bytes(bytes: [u8; 16]) -> RecordId {
        RecordId(Uuid::from_bytes(bytes))
    }
}

impl fmt::Display for RecordId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for RecordId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for RecordId {
    type Err = Error;

    fn from_str(text: &str) -> Result<RecordId, Error> {
        Uuid::parse_str(text).map(RecordId).map_err(|_| Error::Id { text: text.to_owned() })
    }
}

/// The beginning of a record id, as a person types it: the range of ids that start so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdPrefix {
    /// The smallest id that starts so.
    pub first: RecordId,
    /// The largest id that starts so.
    pub last: RecordId,
}

impl FromStr for IdPrefix {
    type Err = Error;

    /// Takes 1 to 32 hex digits in either case; dashes are ignored.
    fn from_str(text: &str) -> Result<IdPrefix, Error> {
        let bad = || Error::Id { text: text.chars().take(64).collect() };
        let (mut first, mut last) = ([0u8; 16], [0xffu8; 16]);
        let mut digits = 0;
        for digit in text.trim().chars().filter(|c| *c != '-') {
            let value = digit.to_digit(16).ok_or_else(bad)? as u8;
            if digits == 32 {
                return Err(bad());
            }
            let (byte, high) = (digits / 2, digits % 2 == 0);
            if high {
                first[byte] = value << 4;
                last[byte] = value << 4 | 0x0f;
            } else {
                first[byte] |= value;
                last[byte] = last[byte] & 0xf0 | value;
            }
            digits += 1;
        }
        if digits == 0 {
            return Err(bad());
        }
        Ok(IdPrefix { first: RecordId::from_bytes(first), last: RecordId::from_bytes(last) })
    }
}

/// The name of one store: random, given at its creation, kept by backup and restore.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StoreId(Uuid);

impl StoreId {
    /// A new store's name.
    #[expect(clippy::new_without_default, reason = "a store id has no default value, each one is new")]
    pub fn new() -> StoreId {
        StoreId(Uuid::now_v7())
    }

    /// The sixteen bytes of the name.
    pub fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }

    /// The name of these sixteen bytes.
    pub fn from_bytes(bytes: [u8; 16]) -> StoreId {
        StoreId(Uuid::from_bytes(bytes))
    }
}

impl fmt::Display for StoreId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_spans_exactly_the_ids_that_start_so() {
        let prefix: IdPrefix = "0192-aB3".parse().unwrap();
        assert_eq!(prefix.first.to_string(), "0192ab30-0000-0000-0000-000000000000");
        assert_eq!(prefix.last.to_string(), "0192ab3f-ffff-ffff-ffff-ffffffffffff");
        let whole = RecordId::new();
        let prefix: IdPrefix = whole.to_string().parse().unwrap();
        assert_eq!((prefix.first, prefix.last), (whole, whole));
    }

    #[test]
    fn what_is_no_id_is_refused() {
        for bad in ["", "-", "xyz", "0192 ab", &"0".repeat(33)] {
            assert!(bad.parse::<IdPrefix>().is_err(), "{bad:?}");
        }
    }
}

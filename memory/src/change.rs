//! The change log: what indexes and event streams follow.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::id::{RecordId, StoreId};
use crate::store::Row;

/// A position in the change log. The first change has 1; 0 is the beginning, before any change.
pub type Seq = u64;

/// The hash over the log up to a change: each entry's hash covers the one before it.
///
/// The first 16 bytes of a SHA-256: two logs that share it share their history.
pub type ChainHash = [u8; 16];

/// What a change did to its record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum ChangeKind {
    /// It was added.
    Put = 1,
    /// Its tags, pin, trust, lifetime or outcome changed.
    Update = 2,
    /// It was forgotten; this can be undone until its deadline.
    Forget = 3,
    /// Its forgetting was undone.
    Undo = 4,
    /// It is gone for good.
    Purge = 5,
}

impl ChangeKind {
    /// The kind that a stored number stands for.
    pub fn from_code(code: u8) -> Option<ChangeKind> {
        use ChangeKind::*;
        [Put, Update, Forget, Undo, Purge].into_iter().find(|kind| *kind as u8 == code)
    }
}

/// One entry of the change log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// Its position; consecutive changes have consecutive positions.
    pub seq: Seq,
    /// The record's row.
    pub row: Row,
    /// What happened.
    pub kind: ChangeKind,
    /// When, in milliseconds since 1970.
    pub at_ms: i64,
    /// The hash of the log up to and including this change.
    pub chain: ChainHash,
}

/// The hash of an empty log.
pub const CHAIN_START: ChainHash = [0; 16];

/// The hash of a log that ends in `before` and is continued by this change.
///
/// It can be computed again from the log and the ids of the records: a check does so.
pub fn chain_next(before: &ChainHash, seq: Seq, kind: ChangeKind, at_ms: i64, id: &RecordId) -> ChainHash {
    let mut hash = Sha256::new();
    hash.update(before);
    hash.update(seq.to_le_bytes());
    hash.update([kind as u8]);
    hash.update(at_ms.to_le_bytes());
    hash.update(id.as_bytes());
    let digest = hash.finalize();
    let mut chain = CHAIN_START;
    chain.copy_from_slice(&digest[..16]);
    chain
}

/// How far somebody has come along one store's log.
///
/// An index whose position names another store, another epoch, or a chain hash that the
/// store does not have at that place, has followed a different history and must be rebuilt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// Which store.
    pub store: StoreId,
    /// Which life of it: restoring a backup and losing a tail start a new one.
    pub epoch: u64,
    /// The last change that is covered.
    pub seq: Seq,
    /// The hash of the log up to there, as hex digits in JSON.
    #[serde(with = "hex")]
    pub chain: ChainHash,
}

mod hex {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    use super::ChainHash;

    pub(super) fn serialize<S: Serializer>(chain: &ChainHash, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&format_args!("{:032x}", u128::from_be_bytes(*chain)))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<ChainHash, D::Error> {
        let text = String::deserialize(from)?;
        u128::from_str_radix(&text, 16).map(u128::to_be_bytes).map_err(D::Error::custom)
    }
}

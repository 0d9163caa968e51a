//! Recall by meaning: nearest neighbours among unit vectors.
//!
//! The promise is that each live vector is found by its own query. Up to a few hundred thousand
//! vectors the index scans all of them, as int8 rows, and scores the head of the list again by the
//! half-precision originals: nothing can be lost that way, a delete is a bit and an insert an
//! append.
//!
//! - `index`: [`VectorIndex`], the index itself
//! - `scan`: the exact answer
//! - `rows`, `keys`: the vectors, and what they were stored for
//! - `files`, `map`: what is on disk and what vouches for it
//! - `quantize`, `simd`: int8 rows, half-precision originals and their inner products
//! - `error`: what can go wrong, and which of it a rebuild cures

mod error;
mod files;
mod index;
mod keys;
mod map;
mod quantize;
mod rows;
mod scan;
mod simd;

pub use error::{Error, Result};
pub use files::{POSITION_BYTES_MAX, Space};
pub use index::{Allowed, KEYS_PER_MATCH_MAX, Match, Status, VectorIndex};
pub use keys::{Content, Key};

#[cfg(test)]
mod tests;

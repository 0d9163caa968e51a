//! Recall by meaning: nearest neighbours among unit vectors.
//!
//! The promise is that each live vector is found by its own query. Up to a few hundred thousand
//! vectors the index scans all of them, as int8 rows, and scores the head of the list again by the
//! half-precision originals: nothing can be lost that way, a delete is a bit and an insert an
//! append. Above that it scans the cells of a partition whose centroids are near the query.
//!
//! - `index`: [`VectorIndex`], the index itself
//! - `scan`: the exact answer
//! - `sketch`: a first look at all rows, at half of the cost
//! - `cells`, `kmeans`: the partition
//! - `rebuild`: [`Snapshot`] and [`Rebuilt`], how cells come about and dead rows go
//! - `background`: how alike a query and any row are
//! - `audit`: whether each row is found by itself
//! - `rows`, `keys`: the vectors, and what they were stored for
//! - `cache`: [`EmbeddingCache`], embeddings that need not be made again
//! - `files`, `map`: what is on disk and what vouches for it
//! - `quantize`, `simd`: int8 rows, half-precision originals and their inner products
//! - `error`: what can go wrong, and which of it a rebuild cures

mod audit;
mod background;
mod cache;
mod cells;
mod error;
mod files;
mod index;
mod keys;
mod kmeans;
mod map;
mod quantize;
mod rebuild;
mod rows;
mod scan;
mod simd;
mod sketch;

pub use audit::Audit;
pub use background::Background;
pub use cache::EmbeddingCache;
pub use error::{Error, Result};
pub use files::{POSITION_BYTES_MAX, Space};
pub use index::{Allowed, KEYS_PER_MATCH_MAX, Match, Status, VectorIndex};
pub use keys::{Content, Key};
pub use rebuild::{Partition, Rebuilt, Snapshot};

pub(crate) use files::{Head, newest_generation};
pub(crate) use quantize::{cosine, from_halves, to_halves, unit};

#[cfg(test)]
mod tests;

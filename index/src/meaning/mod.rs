//! Recall by meaning: the index that follows the log with embeddings.
//!
//! Records are embedded in passages; each passage's text is embedded once, whoever says it and however often, for its
//! vector is kept under its hash in a cache beside the indexes. A record is answered once, by its best passage.
//!
//! - `texts`: which texts of a record are embedded
//! - `index`: [`MeaningIndex`], the [`Index`](crate::Index) of them
//! - `reader`, `writer`: the files as searches see them, and as the one who writes does
//! - `facts`: what a filter needs to know of a record
//! - `tail`: what is not in it yet
//!
//! A backlog is embedded in the order of the log, in batches: what an index holds is always a beginning of the log, so
//! that its position says all there is to say.

mod facts;
mod index;
mod reader;
mod tail;
mod texts;
mod writer;

pub use index::{MeaningIndex, Meant, VECTOR};
pub use reader::{About, indexes, peek};
pub use tail::{TAIL_RECORDS_MAX, TAIL_TEXTS_MAX};
pub use texts::passage_of;
pub use writer::{Pace, Watch};

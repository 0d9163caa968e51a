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
//! A backlog is embedded in batches, the newest changes first: what is new is asked for most. Beside its position an
//! index keeps which changes beyond it are there already, so that whoever is interrupted goes on where it was.

mod facts;
mod index;
mod reader;
mod tail;
mod texts;
mod writer;

pub use index::{Likeness, MeaningIndex, Meant, VECTOR};
pub use reader::{About, indexes, peek, reached, remove_others};
pub use tail::{TAIL_RECORDS_MAX, TAIL_TEXTS_MAX};
pub use texts::passage_of;
pub use writer::{Pace, Watch};

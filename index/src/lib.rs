//! Derived views of the store: full text and vectors. Every index follows the change log, may be
//! deleted at any time, and answers a query with candidates.
//!
//! - [`index`]: the contract of an index, what it is asked and what it answers
//! - [`mod@catch_up`]: bringing an index to the end of the log
//! - [`mod@follower`]: the one process that does so at a time
//! - [`text`]: full text, in every language with one analyzer
//! - [`embed`]: texts to vectors
//! - [`rerank`]: a closer reading of the head of a ranking
//! - [`meaning`]: recall by meaning, the index over the following two
//! - [`vector`]: nearest neighbours among embeddings

pub mod catch_up;
pub mod embed;
pub mod error;
pub mod follower;
pub mod index;
pub mod meaning;
pub mod rerank;
pub mod text;
pub mod vector;

pub use catch_up::{catch_up, standing};
pub use error::{Error, Result};
pub use follower::{Beside, FollowLock, TAIL_CHANGES_LONG, expunge, fold, follow, follower, should_follow};
pub use index::{Batch, ByWord, Candidate, Cut, Filter, Found, Index, Search, State, Status, Word};
pub use meaning::MeaningIndex;
pub use text::TextIndex;

//! Derived views of the store: full text and vectors. Every index follows the change log, may be
//! deleted at any time, and answers a query with candidates.
//!
//! - [`text`]: analysis, queries, scoring and snippets of full text

pub mod text;

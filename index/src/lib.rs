//! Derived views of the store: full text and vectors. Every index follows the change log, may be
//! deleted at any time, and answers a query with candidates.
//!
//! - [`embed`]: texts to vectors

pub mod embed;

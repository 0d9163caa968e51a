//! Derived views of the store.
//!
//! - [`vector`]: nearest neighbours among embeddings

pub mod vector;

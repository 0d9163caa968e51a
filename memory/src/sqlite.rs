//! The store in SQLite.
/// Placeholder.
pub struct SqliteStore;

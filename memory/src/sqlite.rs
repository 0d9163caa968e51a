//! The store in SQLite.

/// The store in SQLite.
pub struct SqliteStore;

impl SqliteStore {
    /// Placeholder until the store lands.
    pub fn head(&self) -> crate::Result<crate::Position> {
        unimplemented!()
    }
}

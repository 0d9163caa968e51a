//! Searching rows by themselves.

use super::error::Result;
use super::index::VectorIndex;
use super::keys::Key;
use super::rebuild::shuffle;

/// How far down the answer a row may stand to its own query and count as found.
const AUDIT_K: usize = 10;

/// What an audit saw.
#[derive(Debug, Clone, PartialEq)]
pub struct Audit {
    /// Rows that were searched by their own vectors.
    pub searched: usize,
    /// The newest key of each row that its own query did not bring back among the first ten.
    pub lost: Vec<Key>,
}

impl VectorIndex {
    /// Searches live rows by their own vectors: all of them, or a random `sample`.
    ///
    /// Takes as long as so many searches. Fails where a search does, on damage.
    pub fn audit(&self, sample: Option<usize>) -> Result<Audit> {
        let rows = 0..self.rows.len() as u32;
        let mut rows: Vec<u32> = rows.filter(|&row| self.keys.is_live(row as usize)).collect();
        if let Some(sample) = sample {
            shuffle(&mut rows);
            rows.truncate(sample);
        }
        let mut lost = Vec::new();
        for &row in &rows {
            let query = self.prepare(&self.rows.vector(row as usize)?)?;
            let found = self.nearest(&query, AUDIT_K)?;
            if !found.iter().any(|scored| scored.row == row) {
                lost.extend(self.keys.of_row(row as usize).next());
            }
        }
        Ok(Audit { searched: rows.len(), lost })
    }
}

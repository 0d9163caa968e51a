//! How alike a query and any row are, as a yardstick for how alike the best ones are.

use super::error::Result;
use super::index::VectorIndex;
use super::quantize::cosine;

/// The cosines of a query and rows taken evenly from all live ones.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Background {
    /// Their mean.
    pub mean: f32,
    /// Their standard deviation.
    pub deviation: f32,
    /// How many were looked at.
    pub sampled: usize,
}

impl VectorIndex {
    /// Looks at up to `sample` rows, the same ones whatever the query is.
    ///
    /// Fails where a search does.
    pub fn background(&self, query: &[f32], sample: usize) -> Result<Background> {
        let query = self.prepare(query)?;
        let rows = self.rows.len();
        let mut buffer = Vec::new();
        let (mut sum, mut squares, mut sampled) = (0f64, 0f64, 0usize);
        let count = sample.min(rows);
        for at in 0..count {
            let row = at * rows / count;
            if self.keys.is_live(row) {
                let score = f64::from(cosine(&query.unit, self.rows.original(row, &mut buffer)?));
                sum += score;
                squares += score * score;
                sampled += 1;
            }
        }
        if sampled == 0 {
            return Ok(Background::default());
        }
        let mean = sum / sampled as f64;
        let deviation = (squares / sampled as f64 - mean * mean).max(0.0).sqrt();
        Ok(Background { mean: mean as f32, deviation: deviation as f32, sampled })
    }
}

//! An embedder for tests of fusion: it is wrong, and always in the same way.

use super::{Embedder, Languages, Purpose, Result, normalize};
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// A random direction for each text, the same one whenever the text is embedded.
///
/// What an arm that knows nothing proposes: hybrid recall must not be worse with it than without.
#[derive(Debug)]
pub struct RandomEmbedder {
    id: String,
    dimensions: usize,
    seed: u64,
    languages: Languages,
}

impl RandomEmbedder {
    /// An embedder with this many dimensions (at least one); other seeds give other directions.
    pub fn new(dimensions: usize, seed: u64) -> Self {
        let dimensions = dimensions.max(1);
        let id = format!("random {dimensions} {seed}");
        Self { id, dimensions, seed, languages: Languages::undeclared() }
    }
}

impl Embedder for RandomEmbedder {
    fn id(&self) -> &str {
        &self.id
    }

    fn dimensions(&self) -> usize {
        self.dimensions
    }

    fn languages(&self) -> &Languages {
        &self.languages
    }

    fn tokens_max(&self) -> usize {
        usize::MAX
    }

    fn embed(&self, _purpose: Purpose, texts: &[&str]) -> Result<Vec<Vec<f32>>> {
        let embed = |text: &&str| {
            let key = xxh3_64_with_seed(text.as_bytes(), self.seed);
            // Sums of uniform numbers are nearly normal, so that no axis is preferred.
            let mut vector: Vec<f32> = (0..self.dimensions as u64)
                .map(|i| {
                    let bits = xxh3_64_with_seed(&i.to_le_bytes(), key);
                    let parts = [bits & 0xffff, bits >> 16 & 0xffff, bits >> 32 & 0xffff, bits >> 48];
                    parts.iter().map(|&part| part as f32 / 65536.0 - 0.5).sum()
                })
                .collect();
            if !normalize(&mut vector) {
                vector[0] = 1.0;
            }
            vector
        };
        Ok(texts.iter().map(embed).collect())
    }

    fn unknown_share(&self, _text: &str) -> f32 {
        0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embed::contract;

    #[test]
    fn keeps_the_contract() {
        contract::check(&RandomEmbedder::new(64, 1));
    }

    #[test]
    fn texts_and_seeds_have_directions_of_their_own() {
        let dot = |a: &[f32], b: &[f32]| -> f32 { a.iter().zip(b).map(|(x, y)| x * y).sum() };
        let one = RandomEmbedder::new(384, 1).embed(Purpose::Query, &["a text", "a texts"]).unwrap();
        let other = RandomEmbedder::new(384, 2).embed(Purpose::Query, &["a text"]).unwrap();
        assert!(dot(&one[0], &one[1]).abs() < 0.25);
        assert!(dot(&one[0], &other[0]).abs() < 0.25);
    }
}

//! An embedder for tests: hashed words, with no meaning in them.

use super::{Embedder, Languages, Purpose, Result, normalize};
use unicode_segmentation::UnicodeSegmentation;
use xxhash_rust::xxh3::xxh3_64;

/// Weinberger et al., "Feature Hashing" (2009): texts that share words have similar vectors.
///
/// Fast, offline and the same on every machine; for tests and nothing else. It finds no paraphrase,
/// must never be offered as semantic recall, and has no place in a fusion with text search, to which
/// it adds nothing.
#[derive(Debug)]
pub struct HashingEmbedder {
    id: String,
    dimensions: usize,
    languages: Languages,
}

impl HashingEmbedder {
    /// An embedder with this many dimensions; at least one.
    pub fn new(dimensions: usize) -> Self {
        let dimensions = dimensions.max(1);
        Self { id: format!("hashing {dimensions}"), dimensions, languages: Languages::undeclared() }
    }
}

impl Embedder for HashingEmbedder {
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
            let mut vector = vec![0.0; self.dimensions];
            for word in text.unicode_words() {
                let hash = xxh3_64(word.to_lowercase().as_bytes());
                let sign = if hash >> 63 == 0 { 1.0 } else { -1.0 };
                vector[(hash % self.dimensions as u64) as usize] += sign;
            }
            if !normalize(&mut vector) {
                // No words, or words that cancel out.
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
        contract::check(&HashingEmbedder::new(64));
        contract::check(&HashingEmbedder::new(1));
    }

    #[test]
    fn texts_that_share_words_are_closer() {
        let embedder = HashingEmbedder::new(256);
        let texts = ["the red fox jumps", "a red fox sleeps", "quarterly tax return"];
        let vectors = embedder.embed(Purpose::Passage, &texts).unwrap();
        let dot = |a: usize, b: usize| -> f32 { vectors[a].iter().zip(&vectors[b]).map(|(x, y)| x * y).sum() };
        assert!(dot(0, 1) > dot(0, 2) + 0.2);
    }
}

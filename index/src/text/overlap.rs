//! Overlapping n-grams are not independent evidence.
//!
//! A name of six characters matches with five pairs and six characters, and the plain sum counts each character three
//! times. Here a character of the query counts by the best term that covers it, shared out over the characters that
//! the term has; what the sum counts beyond that is discounted in part.

use super::query::Query;
use super::query_terms::is_piece;
use super::scoring::Matched;

/// Computes discounts for the hits of one query.
pub(crate) struct Discount<'a> {
    query: &'a Query,
    share: f32,
    /// For each character of the query the best score of a term that covers it.
    best: Vec<f32>,
}

impl<'a> Discount<'a> {
    /// `share` is the part of the surplus that is taken away, 0 to 1.
    pub(crate) fn new(query: &'a Query, share: f32) -> Self {
        Self { query, share, best: vec![0.0; query.width] }
    }

    /// How much less than the sum of its terms' scores a document with these terms deserves.
    pub(crate) fn of(&mut self, matched: &[Matched]) -> f32 {
        self.best.fill(0.0);
        let mut sum = 0.0;
        for matched in matched {
            let term = &self.query.terms()[matched.term];
            if !is_piece(term.kind) {
                continue;
            }
            sum += matched.score;
            // A term that the query repeats has the score of all its places.
            for span in &term.spans {
                let share = matched.score / (span.len() * term.spans.len()) as f32;
                for best in &mut self.best[span.clone()] {
                    *best = best.max(share);
                }
            }
        }
        let covered: f32 = self.best.iter().sum();
        self.share * (sum - covered).max(0.0)
    }
}

//! A second, closer reading of the head of a ranking: question and passage are looked at together.
//!
//! - [`Reranker`]: what every one of them promises, and [`contract`], which tests it
//! - [`OnnxReranker`]: cross-encoders through ONNX Runtime
//! - [`OverlapReranker`]: for tests, with no understanding in it

mod onnx;

use std::collections::HashSet;

use crate::embed::Result;
pub use onnx::OnnxReranker;

/// Says how well passages answer a question.
///
/// An implementation may be called from several threads at once. The same question and passage give the same score, in
/// whatever company, but for rounding.
pub trait Reranker: Send + Sync {
    /// Names the model and its weights. Scores of different ids cannot be compared.
    fn id(&self) -> &str;

    /// One score for each passage, in the order of the passages; none for none. A higher score is a better answer; it
    /// is finite, and comparable between the passages of one question only.
    ///
    /// # Errors
    /// When the model cannot be computed. No scores are answered then, and the ranking stays as it was.
    fn score(&self, question: &str, passages: &[&str]) -> Result<Vec<f32>>;
}

/// Scores by the share of the question's words that a passage has.
#[derive(Clone, Copy, Debug, Default)]
pub struct OverlapReranker;

impl Reranker for OverlapReranker {
    fn id(&self) -> &str {
        "overlap"
    }

    fn score(&self, question: &str, passages: &[&str]) -> Result<Vec<f32>> {
        let words = |text: &str| -> HashSet<String> {
            let words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
            words.map(str::to_lowercase).collect()
        };
        let asked = words(question);
        let share = |passage: &&str| words(passage).intersection(&asked).count() as f32 / asked.len().max(1) as f32;
        Ok(passages.iter().map(share).collect())
    }
}

/// Checks the promises of [`Reranker`], but for how good its scores are.
///
/// For tests.
///
/// # Panics
/// With what does not hold.
pub fn contract(reranker: &dyn Reranker) {
    assert!(!reranker.id().is_empty(), "a reranker has an id");
    let question = "why did the deploy fail last night?";
    let long = "The cat sleeps. ".repeat(2000);
    let passages =
        ["The deploy failed last night because the disk was full.", "", "猫在睡觉", "\u{0}\u{fffd} [SEP]", &long];
    let score = |passages: &[&str]| match reranker.score(question, passages) {
        Ok(scores) => scores,
        Err(error) => panic!("passages have no scores: {error}"),
    };
    assert!(score(&[]).is_empty(), "no passages have no scores");
    let together = score(&passages);
    assert_eq!(together.len(), passages.len(), "one score for each passage");
    assert!(together.iter().all(|score| score.is_finite()), "scores are numbers: {together:?}");
    let close = |a: f32, b: f32| (a - b).abs() < 1e-3 * (1.0 + a.abs());
    for (passage, together) in passages.iter().zip(&together) {
        assert!(close(score(&[passage])[0], *together), "a score depends on its company");
    }
    let mut reversed = passages;
    reversed.reverse();
    for (a, b) in score(&reversed).iter().rev().zip(&together) {
        assert!(close(*a, *b), "scores are not in the passages' order");
    }
    assert_eq!(
        reranker.score("", &passages).map_or(0, |scores| scores.len()),
        passages.len(),
        "an empty question is one"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlap_keeps_the_contract() {
        contract(&OverlapReranker);
    }
}

//! The closer reading of the head of an answer, where a reranker is given: off unless somebody asks for it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use harness_index::rerank::Reranker;
use harness_memory::memory::Degraded;

use crate::ranked::{Ranked, sort};

/// So many of the best are read again: what stands further down seldom answers, and each costs a model's run.
pub const RERANKED_MAX: usize = 30;

/// So many are read between two looks at the clock.
const BATCH: usize = 5;

/// Of a long text so much is read, in bytes: about what such models take in.
const TEXT_BYTES_MAX: usize = 2 * 1024;

/// A reranker and how long an answer waits for it.
#[derive(Clone)]
pub(crate) struct Reranking {
    pub(crate) reranker: Arc<dyn Reranker>,
    pub(crate) deadline: Duration,
}

impl Reranking {
    /// Puts the best into the order that the reranker sees in them. They share the scores that they had, so that what
    /// ranking adds afterwards is in the same measure. When the deadline passes or the model fails, the order stays,
    /// and that is said.
    pub(crate) fn rerank(&self, ranked: &mut [Ranked], question: &str, degraded: &mut Vec<Degraded>) {
        let mut degrade = |code: &str, hint: String| {
            degraded.push(Degraded { arm: "reranker".to_owned(), code: code.to_owned(), hint });
        };
        sort(ranked);
        let head = ranked.len().min(RERANKED_MAX);
        let texts: Vec<&str> = ranked[..head].iter().map(|hit| beginning(hit.stored.record.text())).collect();
        let started = Instant::now();
        let mut scores = Vec::with_capacity(head);
        for batch in texts.chunks(BATCH) {
            if started.elapsed() >= self.deadline {
                let waited = self.deadline.as_millis();
                degrade("late", format!("the reranker was not done after {waited} ms; the order is that without it"));
                return;
            }
            match self.reranker.score(question, batch) {
                Ok(more) => scores.extend(more),
                Err(error) => {
                    degrade("failed", format!("the reranker failed ({error}); the order is that without it"));
                    return;
                }
            }
        }
        let mut order: Vec<usize> = (0..head).collect();
        // Stable: equal scores keep the order that they had.
        order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
        let had: Vec<f32> = ranked[..head].iter().map(|hit| hit.score).collect();
        for (place, at) in order.into_iter().enumerate() {
            let words = format!("read together with the question: from place {} to {}", at + 1, place + 1);
            let hit = &mut ranked[at];
            hit.add("reranker", had[place] - hit.score, 1.0, words);
        }
    }
}

fn beginning(text: &str) -> &str {
    &text[..text.floor_char_boundary(TEXT_BYTES_MAX)]
}

#[cfg(test)]
mod tests {
    use harness_index::embed::{Error, Result};
    use harness_index::rerank::contract;
    use harness_memory::{Note, Origin, Record, Row, Scope, Stored};

    use super::*;
    use crate::copies::words;

    /// The share of the question's words that a text has.
    struct Overlap {
        pause: Duration,
    }

    impl Reranker for Overlap {
        fn id(&self) -> &str {
            "overlap"
        }

        fn score(&self, question: &str, texts: &[&str]) -> Result<Vec<f32>> {
            std::thread::sleep(self.pause);
            let asked = words(question);
            let share = |text: &&str| {
                let said = words(text);
                asked.iter().filter(|word| said.contains(word)).count() as f32 / asked.len().max(1) as f32
            };
            Ok(texts.iter().map(share).collect())
        }
    }

    struct Broken;

    impl Reranker for Broken {
        fn id(&self) -> &str {
            "broken"
        }

        fn score(&self, _: &str, _: &[&str]) -> Result<Vec<f32>> {
            Err(Error::NoVector { model: "broken".to_owned(), bytes: 0 })
        }
    }

    fn hits() -> Vec<Ranked> {
        let hit = |row: i64, score: f32, text: &str| {
            let record = Record::new(Scope::root(), "test", Origin::User, Note::new(text));
            Ranked { score, ..Ranked::new(Stored { row: Row(row), record, forgotten: None, repeats: None }) }
        };
        vec![hit(1, 1.0, "bananas"), hit(2, 0.6, "the deploy key"), hit(3, 0.2, "the deploy key is rotated")]
    }

    fn reranked(reranker: Arc<dyn Reranker>, deadline: Duration) -> (Vec<(i64, f32)>, Vec<Degraded>) {
        let (mut hits, mut degraded) = (hits(), Vec::new());
        Reranking { reranker, deadline }.rerank(&mut hits, "when is the deploy key rotated", &mut degraded);
        sort(&mut hits);
        (hits.iter().map(|hit| (hit.stored.row.0, hit.score)).collect(), degraded)
    }

    #[test]
    fn what_reads_better_comes_first_with_the_scores_there_were() {
        let (order, degraded) = reranked(Arc::new(Overlap { pause: Duration::ZERO }), Duration::from_secs(60));
        let ids: Vec<_> = order.iter().map(|(id, _)| *id).collect();
        assert_eq!(ids, [3, 2, 1]);
        let scores = order.iter().zip([1.0, 0.6, 0.2]);
        assert!(scores.into_iter().all(|((_, score), was)| (score - was).abs() < 1e-6), "{order:?}");
        assert!(degraded.is_empty());
    }

    #[test]
    fn a_reranker_that_is_late_or_fails_leaves_the_order_and_says_so() {
        let kept = [(1, 1.0), (2, 0.6), (3, 0.2)];
        let (order, degraded) = reranked(Arc::new(Overlap { pause: Duration::ZERO }), Duration::ZERO);
        assert_eq!((order.as_slice(), degraded[0].code.as_str()), (kept.as_slice(), "late"));
        let (order, degraded) = reranked(Arc::new(Broken), Duration::from_secs(60));
        assert_eq!((order.as_slice(), degraded[0].code.as_str()), (kept.as_slice(), "failed"));
    }

    #[test]
    fn a_reranker_for_tests_keeps_the_contract() {
        contract(&Overlap { pause: Duration::ZERO });
    }
}

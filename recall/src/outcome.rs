//! How an episode ended: at equal similarity what worked comes first.

use harness_memory::{Body, Outcome};

use crate::ranked::Ranked;
use crate::weights::Weights;

/// Adds a prior to each success, and labels each failure: the closest thing there is stays in the answer, as what
/// not to do.
///
/// This orders episodes among each other. Beside messages and notes, which did not end in anything, the best episode
/// counts as much as it did before.
pub(crate) fn prefer_successes(ranked: &mut [Ranked], weights: &Weights) {
    let best = best_episode(ranked);
    for hit in ranked.iter_mut() {
        let Body::Episode(episode) = &hit.stored.record.body else { continue };
        match episode.outcome {
            Outcome::Success => hit.add("outcome", 1.0, weights.success, "this episode ended in success".to_owned()),
            Outcome::Failure => {
                let words = match &episode.reason {
                    Some(reason) => format!("what not to do: this episode failed ({reason})"),
                    None => "what not to do: this episode failed".to_owned(),
                };
                hit.add("outcome", 0.0, weights.success, words);
            }
            Outcome::Unknown => {}
        }
    }
    let most = best_episode(ranked);
    if most > best && best > 0.0 {
        let factor = best / most;
        for hit in ranked.iter_mut().filter(|hit| matches!(hit.stored.record.body, Body::Episode(_))) {
            hit.settle(factor);
        }
    }
}

fn best_episode(ranked: &[Ranked]) -> f32 {
    let episodes = ranked.iter().filter(|hit| matches!(hit.stored.record.body, Body::Episode(_)));
    episodes.map(|hit| hit.score).fold(0.0, f32::max)
}

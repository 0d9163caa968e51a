//! How an episode ended: at equal similarity what worked comes first.

use harness_memory::{Body, Outcome};

use crate::ranked::Ranked;
use crate::weights::Weights;

/// Adds a prior to each success, and labels each failure: the closest thing there is stays in the answer, as what
/// not to do.
pub(crate) fn prefer_successes(ranked: &mut [Ranked], weights: &Weights) {
    for hit in ranked {
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
}

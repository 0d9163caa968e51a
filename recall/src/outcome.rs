//! How an episode ended: at equal similarity what worked comes first.

use harness_memory::{Body, Outcome};

use crate::ranked::Ranked;
use crate::weights::Weights;

/// Adds a prior to each success.
pub(crate) fn prefer_successes(ranked: &mut [Ranked], weights: &Weights) {
    for hit in ranked {
        if let Body::Episode(episode) = &hit.stored.record.body
            && episode.outcome == Outcome::Success
        {
            hit.add("outcome", 1.0, weights.success, "this episode ended in success".to_owned());
        }
    }
}

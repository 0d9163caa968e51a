//! What runs say about records, in ranking: what keeps company with failure sinks, what helped rises a little.

use harness_experience::{Credit, State};

use crate::ranked::Ranked;

/// Multiplies each score with the record's credit, and says why. A record that no run was given stays as it is.
pub(crate) fn weigh(ranked: &mut [Ranked], credit: &Credit) {
    if credit.is_empty() {
        return;
    }
    for hit in ranked {
        let Some(standing) = credit.standing(hit.stored.record.id) else { continue };
        let state = match standing.state {
            State::Neutral => "",
            State::Probation => "; on probation, injected in every second run",
            State::Quarantined => "; quarantined, no longer injected",
        };
        let words = format!(
            "{} of {} runs that were given it succeeded, such tasks do {:.0} % without it{state}",
            standing.successes,
            standing.runs,
            standing.base * 100.0
        );
        hit.scale("credit", standing.multiplier, words);
    }
}

//! What runs say about records, in ranking: what keeps company with failure sinks, what helped rises a little.

use harness_experience::{Credit, State};
use harness_memory::suspicion::is_suspicious;
use harness_memory::{Origin, Record, Trust};

use crate::ranked::Ranked;

/// Multiplies each score with the record's credit, and says why. A record that no run was given stays as it is.
///
/// Whoever can write can also say that runs went well. What tools or the web said, what is not believed and what gives
/// orders can lose by its runs, and gains nothing by them.
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
        let record = &hit.stored.record;
        let multiplier = if may_gain(record) { standing.multiplier } else { standing.multiplier.min(1.0) };
        hit.scale("credit", multiplier, words);
    }
}

fn may_gain(record: &Record) -> bool {
    !matches!(record.origin, Origin::Tool | Origin::Web)
        && record.trust < Trust::Untrusted
        && !is_suspicious(record.text(), record.origin, record.trust)
}

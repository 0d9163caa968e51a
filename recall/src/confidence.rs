//! How sure recall is that the first hits answer the question.

use crate::ranked::Proposal;
use crate::weights::Weights;

/// So many proposals are looked at for one that covers more than the first.
const LOOKED_AT: usize = 5;

/// So far down the list its shape is looked at: where the scores fall off, something stands out.
const SHAPE_PLACE: usize = 10;

/// 0 to 1, from the share of the question that the first proposals cover and from how far the first stands out.
///
/// Of the arms' proposals and not of the final order, in which a turn may stand first for its neighbours' sake.
pub(crate) fn of(proposals: &[Proposal], weights: &Weights) -> f32 {
    let Some(first) = proposals.first() else { return 0.0 };
    let most = proposals.iter().take(LOOKED_AT).map(|proposal| proposal.coverage).fold(0.0, f32::max);
    let apart = 1.0 - proposals.get(SHAPE_PLACE).map_or(0.0, |later| later.score);
    let [of_first, of_most, of_shape] = weights.confidence;
    // What covers nothing is no answer, however far it stands out.
    let shape = apart * first.coverage.sqrt();
    (of_first * first.coverage + of_most * most + of_shape * shape).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use harness_memory::Row;

    use super::*;

    fn proposals(coverages: &[f32]) -> Vec<Proposal> {
        let one = |&coverage: &f32| Proposal { row: Row(1), score: 1.0, coverage, passage: None, why: BTreeMap::new() };
        coverages.iter().map(one).collect()
    }

    #[test]
    fn nothing_found_is_no_confidence_and_more_covered_is_more() {
        let weights = Weights::default();
        let of = |coverages: &[f32]| of(&proposals(coverages), &weights);
        assert_eq!(of(&[]), 0.0);
        assert_eq!(of(&[0.0]), 0.0);
        assert!(of(&[0.9]) > of(&[0.4]) && of(&[1.0]) <= 1.0);
    }
}

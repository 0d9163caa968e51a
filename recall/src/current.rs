//! What is true now: a record ranks below the one that replaces it.

use std::collections::HashMap;

use harness_memory::{RecordId, Store};

use crate::error::Result;
use crate::ranked::Ranked;
use crate::weights::Weights;

/// The live record that replaces each of these, where there is one.
pub(crate) fn successors(store: &dyn Store, ranked: &[Ranked]) -> Result<HashMap<RecordId, RecordId>> {
    let ids: Vec<RecordId> = ranked.iter().map(|hit| hit.stored.record.id).collect();
    let found = store.replaced_by(&ids)?;
    Ok(ids.into_iter().zip(found).filter_map(|(id, next)| Some((id, next?))).collect())
}

/// Takes a part of the score of what a newer record replaces, and more where it would still stand before that one.
pub(crate) fn rank_below_successors(
    ranked: &mut [Ranked],
    replaced_by: &HashMap<RecordId, RecordId>,
    weights: &Weights,
) {
    let mut scores: HashMap<RecordId, f32> = ranked.iter().map(|hit| (hit.stored.record.id, hit.score)).collect();
    // The newest first, so that along a chain each one's successor is settled before it.
    let mut order: Vec<usize> = (0..ranked.len()).collect();
    order.sort_by_key(|at| std::cmp::Reverse(ranked[*at].stored.row));
    for at in order {
        let hit = &mut ranked[at];
        let Some(next) = replaced_by.get(&hit.stored.record.id) else { continue };
        let mut factor = weights.replaced;
        if let Some(next) = scores.get(next)
            && hit.score > 0.0
        {
            factor = factor.min(next * weights.replaced_below / hit.score);
        }
        hit.scale("replaced", factor, "lowered, because a newer record replaces this one".to_owned());
        scores.insert(hit.stored.record.id, hit.score);
    }
}

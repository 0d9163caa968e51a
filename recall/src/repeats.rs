//! Exact repeats: what the store keeps once is one hit, with the number of all that say the same, and not only of those
//! that were among the candidates.

use std::collections::HashMap;

use harness_memory::{Row, Store};

use crate::error::Result;
use crate::ranked::Ranked;

/// Keeps one record of each that are exact repeats, in the place of the best and as it was last said; where a
/// day was asked for, as it was last said on it. The order is kept.
pub(crate) fn fold(ranked: &mut Vec<Ranked>) {
    if ranked.iter().all(|hit| hit.stored.repeats.is_none()) {
        return;
    }
    let mut firsts: HashMap<Row, usize> = HashMap::new();
    let mut kept: Vec<Ranked> = Vec::with_capacity(ranked.len());
    for hit in ranked.drain(..) {
        let words = hit.stored.repeats.unwrap_or(hit.stored.row);
        let Some(&first) = firsts.get(&words) else {
            firsts.insert(words, kept.len());
            kept.push(hit);
            continue;
        };
        if hit.is_shown_before(&kept[first]) {
            kept[first].stored = hit.stored;
        }
    }
    *ranked = kept;
}

/// Counts all live repeats of each hit, and adds them to its copies.
pub(crate) fn count(store: &dyn Store, ranked: &mut [Ranked]) -> Result<()> {
    let rows: Vec<Row> = ranked.iter().map(|hit| hit.stored.row).collect();
    for (hit, repeats) in ranked.iter_mut().zip(store.repeats(&rows)?) {
        if repeats == 0 {
            continue;
        }
        hit.copies += repeats;
        let others = if repeats == 1 { "1 more record says".into() } else { format!("{repeats} more records say") };
        hit.add("repeats", 0.0, 1.0, format!("{others} exactly the same; the newest is shown"));
    }
    Ok(())
}

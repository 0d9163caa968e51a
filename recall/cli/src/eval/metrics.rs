//! Measures of a ranking, as pure functions.
//!
//! A rank is counted from 1; `None` is a thing that was not found, which stands behind everything that was.

use std::collections::{BTreeMap, BTreeSet};

/// Where a thing stands in a ranking.
pub(super) type Rank = Option<usize>;

/// The rank of each wanted thing in a ranking of distinct things, best first.
pub(super) fn ranks<T: PartialEq>(ranking: &[T], wanted: &[T]) -> Vec<Rank> {
    wanted.iter().map(|want| ranking.iter().position(|found| found == want).map(|place| place + 1)).collect()
}

/// The share of the gold that stands within the first `k`.
pub(super) fn recall_at(k: usize, gold: &[Rank]) -> f64 {
    gold.iter().filter(|rank| within(k, **rank)).count() as f64 / gold.len() as f64
}

/// 1 when all of the gold stands within the first `k`, else 0.
pub(super) fn all_at(k: usize, gold: &[Rank]) -> f64 {
    f64::from(gold.iter().all(|rank| within(k, *rank)))
}

/// One over the best gold's rank, 0 when none stands within the first `k`.
pub(super) fn reciprocal_rank_at(k: usize, gold: &[Rank]) -> f64 {
    gold.iter().flatten().min().filter(|best| **best <= k).map_or(0.0, |best| 1.0 / *best as f64)
}

/// Normalised discounted cumulative gain (Järvelin and Kekäläinen 2002) with the gains as they are and a discount
/// of log2(rank + 1): `found` are the gains down the ranking, `all` those of every document there is.
pub(super) fn ndcg_at(k: usize, found: &[f64], all: &[f64]) -> f64 {
    let discounted = |gains: &[f64]| -> f64 {
        gains.iter().take(k).enumerate().map(|(place, gain)| gain / (place as f64 + 2.0).log2()).sum()
    };
    let mut ideal = all.to_vec();
    ideal.sort_by(|a, b| b.total_cmp(a));
    let best = discounted(&ideal);
    if best == 0.0 { 0.0 } else { discounted(found) / best }
}

/// How many of all pairs of a better and a worse thing stand in the right order, and how many pairs there are.
/// A pair of which neither was found counts half.
pub(super) fn pairs_right(better: &[Rank], worse: &[Rank]) -> (f64, usize) {
    let right = better.iter().flat_map(|b| worse.iter().map(move |w| pair_right(*b, *w))).sum();
    (right, better.len() * worse.len())
}

fn pair_right(better: Rank, worse: Rank) -> f64 {
    match (better, worse) {
        (None, None) => 0.5,
        _ => f64::from(is_above(better, worse)),
    }
}

/// 1 when the best of the gold stands above every one of the others, else 0. Gold that was not found is above nothing.
pub(super) fn above_all(gold: &[Rank], others: &[Rank]) -> f64 {
    let best = gold.iter().flatten().min().copied();
    f64::from(others.iter().all(|other| is_above(best, *other)))
}

fn is_above(a: Rank, b: Rank) -> bool {
    a.is_some_and(|a| b.is_none_or(|b| a < b))
}

fn within(k: usize, rank: Rank) -> bool {
    rank.is_some_and(|rank| rank <= k)
}

/// The tools that occur in at least `least` of these runs.
pub(super) fn frequent_tools<'t>(runs: &[Vec<&'t str>], least: usize) -> BTreeSet<&'t str> {
    let mut runs_with = BTreeMap::new();
    for run in runs {
        for tool in run.iter().collect::<BTreeSet<_>>() {
            *runs_with.entry(*tool).or_insert(0) += 1;
        }
    }
    runs_with.into_iter().filter(|(_, runs)| *runs >= least).map(|(tool, _)| tool).collect()
}

/// How well one set matches another.
#[derive(Debug, PartialEq)]
pub(super) struct Overlap {
    pub(super) precision: f64,
    pub(super) recall: f64,
    pub(super) f1: f64,
}

/// How well `found` matches `gold` as sets: all 1 when both are empty, all 0 when only one is.
pub(super) fn overlap(found: &BTreeSet<&str>, gold: &BTreeSet<&str>) -> Overlap {
    if found.is_empty() && gold.is_empty() {
        return Overlap { precision: 1.0, recall: 1.0, f1: 1.0 };
    }
    let common = found.intersection(gold).count() as f64;
    let share = |of: usize| if of == 0 { 0.0 } else { common / of as f64 };
    Overlap {
        precision: share(found.len()),
        recall: share(gold.len()),
        f1: 2.0 * common / (found.len() + gold.len()) as f64,
    }
}

/// The share of `low` that a threshold lets through which lets this share of `high` through; none where one is empty.
pub(super) fn let_through(high: &[f64], low: &[f64], kept: f64) -> Option<f64> {
    if high.is_empty() || low.is_empty() {
        return None;
    }
    let mut high = high.to_vec();
    high.sort_by(|a, b| b.total_cmp(a));
    let last = ((kept * high.len() as f64).ceil() as usize).clamp(1, high.len()) - 1;
    Some(low.iter().filter(|value| **value >= high[last]).count() as f64 / low.len() as f64)
}

/// The area under the ROC curve: how often a value of `high` is above one of `low`, ties counting half
/// (the Mann–Whitney statistic). `None` when one of the two is empty.
pub(super) fn auc(high: &[f64], low: &[f64]) -> Option<f64> {
    if high.is_empty() || low.is_empty() {
        return None;
    }
    let mut low = low.to_vec();
    low.sort_by(f64::total_cmp);
    let won = high.iter().map(|value| {
        let below = low.partition_point(|other| other < value);
        let not_above = low.partition_point(|other| other <= value);
        (below + not_above) as f64 / 2.0
    });
    Some(won.sum::<f64>() / (high.len() * low.len()) as f64)
}

/// The value below which a share `p` of the values lies, by the nearest rank; 0 of none.
pub(super) fn percentile(values: &[f64], p: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (p * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or(0.0)
}

/// One measure of one question, with how much it counts: 1, or the number of pairs behind it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Weighted {
    pub(super) value: f64,
    pub(super) weight: f64,
}

/// The weighted mean; 0 of nothing.
pub(super) fn mean(values: &[Weighted]) -> f64 {
    let weight: f64 = values.iter().map(|one| one.weight).sum();
    if weight == 0.0 { 0.0 } else { values.iter().map(|one| one.value * one.weight).sum::<f64>() / weight }
}

/// How many times the bootstrap draws: the ends of its interval then move by about a tenth of its width.
const DRAWS: usize = 1_000;

/// The seed of the bootstrap, so that the same figures give the same interval.
const SEED: u64 = 20_261_120;

/// The 95 % interval of the mean over questions, by the percentile bootstrap (Efron 1979): questions are
/// drawn with replacement, as many as there are.
pub(super) fn interval(values: &[Weighted]) -> [f64; 2] {
    let mut random = SplitMix(SEED);
    let mut draw = Vec::with_capacity(values.len());
    let means: Vec<f64> = (0..DRAWS)
        .map(|_| {
            draw.clear();
            draw.extend(values.iter().map(|_| values[random.below(values.len())]));
            mean(&draw)
        })
        .collect();
    [percentile(&means, 0.025), percentile(&means, 0.975)]
}

/// SplitMix64 (Steele, Lea and Flood 2014).
struct SplitMix(u64);

impl SplitMix {
    /// A number below `n`; the bias is below n / 2^64.
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((u128::from(z ^ (z >> 31)) * n as u128) >> 64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-9
    }

    #[test]
    fn ranks_count_from_one_and_miss_what_is_not_there() {
        assert_eq!(ranks(&["b", "c", "a"], &["a", "b", "z"]), [Some(3), Some(1), None]);
    }

    #[test]
    fn recall_is_the_mean_share_of_gold_found() {
        let gold = [Some(1), Some(10), Some(11), None];
        assert_eq!([1, 10, 20].map(|k| recall_at(k, &gold)), [0.25, 0.5, 0.75]);
        assert_eq!((all_at(10, &gold), all_at(10, &[Some(10), Some(2)])), (0.0, 1.0));
    }

    #[test]
    fn the_reciprocal_rank_is_that_of_the_best_gold_within_ten() {
        assert_eq!(reciprocal_rank_at(10, &[None, Some(4), Some(2)]), 0.5);
        assert_eq!(reciprocal_rank_at(10, &[Some(11)]), 0.0);
        assert_eq!(reciprocal_rank_at(10, &[None]), 0.0);
    }

    #[test]
    fn ndcg_discounts_by_rank_and_divides_by_the_best_order() {
        // One gold document of two, at rank 3: (1 / log2 4) / (1 + 1 / log2 3).
        let found = [0.0, 0.0, 1.0];
        assert!(near(ndcg_at(10, &found, &[1.0, 1.0]), 0.5 / (1.0 + 1.0 / 3f64.log2())));
        // A failure above a success: (.5 + 2 / log2 3) / (2 + .5 / log2 3).
        let (wrong, right) = ([0.5, 2.0], [2.0, 0.5]);
        assert!(near(ndcg_at(10, &wrong, &right), (0.5 + 2.0 / 3f64.log2()) / (2.0 + 0.5 / 3f64.log2())));
        assert!(near(ndcg_at(10, &right, &wrong), 1.0));
        // What stands behind k counts for nothing, and k bounds the best order too.
        assert_eq!(ndcg_at(1, &[0.0, 1.0], &[1.0]), 0.0);
        assert!(near(ndcg_at(1, &[1.0], &[1.0, 1.0]), 1.0));
        assert_eq!(ndcg_at(10, &[0.0], &[]), 0.0);
    }

    #[test]
    fn a_pair_neither_of_which_was_found_counts_half() {
        // (1, 2) and (1, none) are right, (none, 2) is wrong, (none, none) is half.
        assert_eq!(pairs_right(&[Some(1), None], &[Some(2), None]), (2.5, 4));
        assert_eq!(pairs_right(&[Some(3)], &[Some(2)]), (0.0, 1));
        assert_eq!(pairs_right(&[], &[Some(2)]), (0.0, 0));
    }

    #[test]
    fn the_current_must_be_found_to_stand_above_the_stale() {
        assert_eq!(above_all(&[Some(5), Some(2)], &[Some(3), None]), 1.0);
        assert_eq!(above_all(&[Some(5), Some(2)], &[Some(1), None]), 0.0);
        assert_eq!(above_all(&[None], &[None]), 0.0);
        assert_eq!(above_all(&[Some(900)], &[None]), 1.0);
    }

    #[test]
    fn a_tool_counts_once_a_run() {
        let runs = [vec!["get", "get", "get"], vec!["get", "book"], vec!["book"], vec!["book", "get"], vec![]];
        assert_eq!(frequent_tools(&runs, 3), BTreeSet::from(["book", "get"]));
        assert_eq!(frequent_tools(&runs[..4], 4), BTreeSet::new());
    }

    #[test]
    fn overlap_has_precision_recall_and_their_harmonic_mean() {
        let of = |found: &[&'static str], gold: &[&'static str]| {
            overlap(&found.iter().copied().collect(), &gold.iter().copied().collect())
        };
        let found = of(&["a", "b", "c"], &["b"]);
        assert!(near(found.precision, 1.0 / 3.0) && found.recall == 1.0 && near(found.f1, 0.5));
        assert_eq!(of(&[], &[]), Overlap { precision: 1.0, recall: 1.0, f1: 1.0 });
        assert_eq!(of(&["a"], &[]), Overlap { precision: 0.0, recall: 0.0, f1: 0.0 });
        assert_eq!(of(&[], &["a"]), Overlap { precision: 0.0, recall: 0.0, f1: 0.0 });
    }

    #[test]
    fn auc_counts_every_pair_and_ties_as_half() {
        let (high, low) = ([0.9, 0.5, 0.5, 0.1], [0.5, 0.2, 0.05]);
        let naive: f64 =
            high.iter().flat_map(|h| low.map(|l| if *h > l { 1.0 } else { f64::from(u8::from(*h == l)) / 2.0 })).sum();
        assert!(near(auc(&high, &low).unwrap(), naive / 12.0));
        assert_eq!(auc(&[1.0], &[0.0]), Some(1.0));
        assert_eq!(auc(&[], &[0.0]), None);
    }

    #[test]
    fn what_a_threshold_lets_through_counts_ties_against_it() {
        let (high, low) = ([0.9, 0.8, 0.7, 0.6, 0.1], [0.6, 0.5, 0.95, 0.2]);
        assert_eq!(let_through(&high, &low, 0.8), Some(0.5));
        assert_eq!(let_through(&high, &low, 1.0), Some(1.0));
        assert_eq!(let_through(&[], &low, 0.9), None);
    }

    #[test]
    fn percentiles_are_values_that_occurred() {
        let values: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        assert_eq!((percentile(&values, 0.5), percentile(&values, 0.95)), (50.0, 95.0));
        assert_eq!((percentile(&[7.0], 0.95), percentile(&[], 0.5)), (7.0, 0.0));
    }

    #[test]
    fn the_interval_surrounds_the_mean_and_is_the_same_each_time() {
        let coin: Vec<Weighted> = (0..400).map(|n| Weighted { value: f64::from(n % 2), weight: 1.0 }).collect();
        let [low, high] = interval(&coin);
        // The standard error is .025: the interval is about .5 ± .049.
        assert!((0.44..0.46).contains(&low) && (0.54..0.56).contains(&high), "[{low}, {high}]");
        assert_eq!(interval(&coin), [low, high]);
        assert_eq!(interval(&[Weighted { value: 1.0, weight: 1.0 }]), [1.0, 1.0]);
    }

    #[test]
    fn weights_count_pairs_not_questions() {
        let values = [Weighted { value: 1.0, weight: 3.0 }, Weighted { value: 0.0, weight: 1.0 }];
        assert_eq!((mean(&values), mean(&[])), (0.75, 0.0));
    }
}

//! Several ranked lists to one, each weighed by how much it has to say about this question.
//!
//! Scores of an arm compare within one search only, so each arm's are brought to 0 to 1 first; then they are added,
//! each with a weight. Ranks alone (reciprocal rank fusion) throw away how sure an arm is: it was measured to be worse
//! than the better arm alone.
//!
//! What says how much an arm knows:
//! - *Text*: the share of the question that its best candidates cover, or how many rare words they match. A paraphrase
//!   shares a word or none with its answer: then full text finds whatever shares those, and yields.
//! - *Meaning*: the share of the question that the embedder understands, and whether its space has a meaning at all. An
//!   exam shows that ([`harness_index::embed::exam`]). Where it does not, each question has to: of many unrelated texts
//!   one is always the nearest, and for `n` of them in a space without meaning it is about √(2 ln n) standard deviations
//!   from the mean (the extreme of n normal numbers). What does not stand out further than that says nothing, unless the
//!   arms agree that the space has a meaning here: what shares words with the question is then nearer to it than
//!   anything is.

use std::collections::BTreeMap;

use harness_index::Candidate;
use harness_index::meaning::VECTOR;
use harness_index::text::TEXT;
use harness_memory::Row;
use harness_memory::memory::Why;
use rustc_hash::{FxHashMap, FxHashSet};

use crate::arms::Worded;
use crate::meaning::Said;
use crate::ranked::Proposal;
use crate::weights::Weights;

/// The deviation of a small sample is mixed with that of so many random directions.
const DEVIATION_PRIOR: f32 = 30.0;

/// How cosines with a question become scores beside those of text.
#[derive(Clone, Copy)]
pub(crate) struct Measure {
    scale: Scale,
    /// Nearness is raised to this power: far ends of the scale are apart, and what is a little near is little.
    sharpness: f32,
    weight: f32,
}

impl Measure {
    /// How meaning is measured that weighs so much.
    fn of(said: &Said, weight: f32, weights: &Weights) -> Measure {
        let scale = Scale::of(&said.meant.found.candidates, said.meant.background.mean.max(0.0));
        Measure { scale, sharpness: weights.meaning_sharpness, weight }
    }

    /// What meaning says of a record that is so near.
    pub(crate) fn why(&self, cosine: f32) -> Why {
        let score = self.scale.of_score(cosine).powf(self.sharpness);
        Why { score, weight: self.weight, words: format!("similar in meaning, cosine {cosine:.2}") }
    }
}

/// Proposals of the arms together.
pub(crate) struct Fused {
    /// Best first.
    pub(crate) proposals: Vec<Proposal>,
    /// How meaning was measured, where records that no arm proposed may be measured, too.
    pub(crate) measure: Option<Measure>,
    /// What a sum of the arms' scores is divided by, so that the best has 1.
    pub(crate) best: f32,
    /// How much meaning has to say about this question, 0 to 1.
    pub(crate) meant: f32,
}

/// Meaning alone, in its order.
pub(crate) fn meaning_alone(said: &Said, weights: &Weights) -> Fused {
    let measure = Measure::of(said, 1.0, weights);
    let proposals = said
        .meant
        .found
        .candidates
        .iter()
        .map(|candidate| {
            let why = measure.why(candidate.score);
            Proposal {
                row: candidate.row,
                score: why.score,
                coverage: candidate.coverage,
                passage: candidate.passage,
                why: BTreeMap::from([(VECTOR.to_owned(), why)]),
            }
        })
        .collect();
    Fused { proposals, measure: Some(measure), best: 1.0, meant: 1.0 }
}

/// Both arms together. `rarest` is what a match of the rarest word scores; `nearness` tells of candidates of text how near
/// they are in meaning, `agreed` how far the arms agree. When `only_text` says so, meaning orders what text found and
/// adds nothing to it.
pub(crate) fn fuse(
    Worded { candidates: text, rarest, .. }: Worded,
    said: &Said,
    nearness: &FxHashMap<Row, f32>,
    agreed: f32,
    only_text: bool,
    weights: &Weights,
) -> Fused {
    let meant = &said.meant.found.candidates;
    // Text yields to what is known to have a meaning, and to nothing else.
    let text_weight = 1.0 - said.proven * (1.0 - text_weight(&text, rarest, weights));
    let evidence = evidence(said, agreed, weights);
    let measure = Measure::of(said, weights.meaning * evidence, weights);
    let in_text = Scale::of(&text, 0.0);
    let mut all: FxHashMap<Row, Proposal> = FxHashMap::default();
    for candidate in text {
        let why = Why { score: in_text.of_score(candidate.score), weight: text_weight, words: candidate.why };
        let proposal = Proposal {
            row: candidate.row,
            score: text_weight * why.score,
            coverage: candidate.coverage,
            passage: None,
            why: BTreeMap::from([(TEXT.to_owned(), why)]),
        };
        all.insert(candidate.row, proposal);
    }
    let beside = meant.iter().map(|candidate| (candidate.row, candidate.score, candidate.passage));
    let known: FxHashSet<Row> = meant.iter().map(|candidate| candidate.row).collect();
    let others = nearness.iter().filter(|(row, _)| !known.contains(row)).map(|(row, score)| (*row, *score, None));
    for (row, cosine, passage) in beside.chain(others) {
        if only_text && !all.contains_key(&row) {
            continue;
        }
        let why = measure.why(cosine);
        let proposal = all.entry(row).or_insert_with(|| Proposal {
            row,
            score: 0.0,
            coverage: 0.0,
            passage: None,
            why: BTreeMap::new(),
        });
        proposal.score += why.weight * why.score;
        // What text does not cover, meaning may.
        let near = evidence.min(1.0) * cosine.clamp(0.0, 1.0);
        proposal.coverage = (1.0 - (1.0 - proposal.coverage) * (1.0 - near)).clamp(0.0, 1.0);
        proposal.passage = passage;
        proposal.why.insert(VECTOR.to_owned(), why);
    }
    let mut proposals: Vec<Proposal> = all.into_values().filter(|proposal| proposal.score > 0.0).collect();
    proposals.sort_by(|a, b| b.score.total_cmp(&a.score).then(b.row.cmp(&a.row)));
    let best = proposals.first().map_or(1.0, |proposal| proposal.score.max(f32::MIN_POSITIVE));
    for proposal in &mut proposals {
        proposal.score = (proposal.score / best).clamp(0.0, 1.0);
    }
    Fused { proposals, measure: (!only_text).then_some(measure), best, meant: evidence.min(1.0) }
}

/// How much text has to say, by the share of the question that it covers and by how much it matches of it, in matches of
/// the rarest word. Where it matches no more than a part of a word that many have, what it covers says little; where it
/// matches several rare ones they are enough: a question in a language without blanks is covered in part only.
fn text_weight(candidates: &[Candidate], rarest: f32, weights: &Weights) -> f32 {
    /// The candidates whose coverage counts: what stands first is shown.
    const HEAD: usize = 5;
    let covered = candidates.iter().take(HEAD).map(|candidate| candidate.coverage).fold(0.0, f32::max);
    let matched = candidates.first().filter(|_| rarest > 0.0).map_or(0.0, |first| first.score / rarest);
    let [nothing, a_word, enough] = weights.text_matched;
    let by_coverage = between(covered, weights.text_covered) * between(matched, [nothing, a_word]);
    by_coverage.max(between(matched, [a_word, enough])).max(weights.text_least)
}

/// From 0 at the first of two bounds to 1 at the second.
fn between(value: f32, [none, all]: [f32; 2]) -> f32 {
    ((value - none) / (all - none)).clamp(0.0, 1.0)
}

/// How much meaning has to say, 0 to 1, and more where the nearest is far nearer than chance would have it.
fn evidence(said: &Said, agreed: f32, weights: &Weights) -> f32 {
    let far = beyond_chance(said).clamp(0.0, FAR_BEYOND_CHANCE);
    said.understood * (said.proven * (1.0 + weights.meaning_far * far)).max(standing_out(said, agreed, weights))
}

/// So many standard deviations beyond chance are as good as more.
const FAR_BEYOND_CHANCE: f32 = 2.0;

/// How much the nearest candidate stands out from what is near by chance, 0 to 1. Where the arms agree, the space has
/// a meaning for this question, and less is enough.
fn standing_out(said: &Said, agreed: f32, weights: &Weights) -> f32 {
    let beyond = beyond_chance(said);
    between(beyond, weights.standing_out).max(agreed * between(beyond, weights.standing_out_agreed))
}

/// Whether the arms agree, 0 to 1: what shares words with the question is nearer to it in meaning than anything is.
/// In a space without meaning it is not, and the deviation of such a mean is known.
pub(crate) fn agreement(text: &[Candidate], said: &Said, nearness: &FxHashMap<Row, f32>, weights: &Weights) -> f32 {
    let meant = said.meant.found.candidates.iter().map(|candidate| (candidate.row, candidate.score));
    let meant: FxHashMap<Row, f32> = meant.collect();
    let near: Vec<f32> = text
        .iter()
        .filter_map(|candidate| nearness.get(&candidate.row).or_else(|| meant.get(&candidate.row)).copied())
        .collect();
    if near.is_empty() {
        return 0.0;
    }
    let count = near.len() as f32;
    let mean = near.iter().sum::<f32>() / count;
    let beyond = (mean - said.meant.background.mean) / deviation(said) * count.sqrt();
    between(beyond, weights.agreement)
}

/// By how many standard deviations the nearest candidate is nearer than the nearest of so many would be by chance.
pub(crate) fn beyond_chance(said: &Said) -> f32 {
    let Some(best) = said.meant.found.candidates.first() else { return 0.0 };
    let rivals = said.meant.passages.max(said.meant.found.candidates.len()).max(2) as f32;
    (best.score - said.meant.background.mean) / deviation(said) - (2.0 * rivals.ln()).sqrt()
}

/// How far cosines with this question spread.
fn deviation(said: &Said) -> f32 {
    let background = &said.meant.background;
    // Cosines of random directions have this deviation; it stands in where few were measured.
    let random = 1.0 / (said.dimensions as f32).sqrt();
    let sampled = background.sampled as f32;
    let variance =
        (sampled * background.deviation.powi(2) + DEVIATION_PRIOR * random.powi(2)) / (sampled + DEVIATION_PRIOR);
    variance.sqrt().max(f32::MIN_POSITIVE)
}

/// From an arm's scores to 0 to 1.
#[derive(Clone, Copy)]
struct Scale {
    least: f32,
    best: f32,
}

impl Scale {
    fn of(candidates: &[Candidate], least: f32) -> Scale {
        Scale { least, best: candidates.first().map_or(least, |candidate| candidate.score) }
    }

    fn of_score(self, score: f32) -> f32 {
        let range = self.best - self.least;
        if range > 0.0 { ((score - self.least) / range).clamp(0.0, 1.0) } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use harness_index::meaning::Meant;
    use harness_index::vector::Background;
    use harness_index::{ByWord, Found};
    use proptest::prelude::*;

    use super::*;

    fn candidate(row: i64, score: f32, coverage: f32) -> Candidate {
        let by_word = ByWord { coverage, score };
        Candidate { row: Row(row), score, coverage, by_word, passage: None, why: String::new(), words: Vec::new() }
    }

    fn said(scores: &[(i64, f32)], understood: f32) -> Said {
        let candidates = scores.iter().map(|(row, score)| candidate(*row, *score, *score)).collect();
        let found = Found { candidates, ..Found::default() };
        let background = Background { mean: 0.1, deviation: 0.08, sampled: 512 };
        Said::for_tests(Meant { found, background, passages: 1_000 }, understood, 384)
    }

    fn proven(mut said: Said) -> Said {
        said.proven = 1.0;
        said
    }

    fn fused(candidates: Vec<Candidate>, said: &Said, only_text: bool) -> Vec<Proposal> {
        let text = Worded { candidates, rarest: 4.0, on_days: None };
        fuse(text, said, &FxHashMap::default(), 0.0, only_text, &Weights::default()).proposals
    }

    fn order(text: Vec<Candidate>, said: &Said) -> Vec<i64> {
        fused(text, said, false).into_iter().map(|proposal| proposal.row.0).collect()
    }

    #[test]
    fn meaning_that_does_not_stand_out_leaves_text_as_it_is() {
        let text = || vec![candidate(1, 9.0, 0.8), candidate(2, 8.0, 0.7), candidate(3, 1.0, 0.1)];
        let nearest_by_chance = said(&[(7, 0.38), (3, 0.37)], 1.0);
        assert_eq!(order(text(), &nearest_by_chance), [1, 2, 3]);
        let not_understood = said(&[(7, 0.9), (3, 0.8)], 0.0);
        assert_eq!(order(text(), &not_understood), [1, 2, 3]);
    }

    #[test]
    fn text_that_covers_little_of_the_question_yields_to_meaning() {
        let text = || vec![candidate(1, 3.0, 0.1), candidate(2, 2.9, 0.1)];
        let near = || said(&[(7, 0.8), (2, 0.5)], 1.0);
        assert_eq!(order(text(), &proven(near()))[0], 7);
        assert_ne!(order(text(), &near())[0], 7, "nothing shows that what is near means anything");
    }

    #[test]
    fn what_both_arms_propose_stands_before_what_one_does() {
        let text = vec![candidate(1, 9.0, 0.9), candidate(2, 8.5, 0.9)];
        assert_eq!(order(text, &said(&[(2, 0.8), (7, 0.79)], 1.0))[0], 2);
    }

    #[test]
    fn a_search_with_operators_gets_nothing_that_text_did_not_find() {
        let text = vec![candidate(1, 9.0, 0.2), candidate(2, 8.5, 0.2)];
        let fused = fused(text, &said(&[(7, 0.9), (2, 0.8)], 1.0), true);
        assert_eq!(fused.iter().map(|proposal| proposal.row.0).collect::<Vec<_>>(), [2, 1]);
    }

    proptest! {
        #[test]
        fn scores_are_between_0_and_1_in_order_and_rows_are_unique(
            text in proptest::collection::vec((0i64..40, 0.0f32..30.0, 0.0f32..1.0), 0..40),
            meaning in proptest::collection::vec((0i64..40, 0.0f32..1.0), 0..40),
            understood in 0.0f32..1.0,
        ) {
            let distinct = |rows: Vec<i64>| { let mut seen = std::collections::HashSet::new(); rows.into_iter().map(|row| seen.insert(row)).collect::<Vec<_>>() };
            let first = distinct(text.iter().map(|(row, ..)| *row).collect());
            let mut text: Vec<_> = text.into_iter().zip(first).filter(|(_, first)| *first)
                .map(|((row, score, coverage), _)| candidate(row, score, coverage)).collect();
            text.sort_by(|a, b| b.score.total_cmp(&a.score));
            let first = distinct(meaning.iter().map(|(row, _)| *row).collect());
            let mut meaning: Vec<_> = meaning.into_iter().zip(first).filter(|(_, first)| *first).map(|(pair, _)| pair).collect();
            meaning.sort_by(|a, b| b.1.total_cmp(&a.1));
            let fused = fused(text, &said(&meaning, understood), false);
            prop_assert!(fused.is_sorted_by(|a, b| a.score >= b.score));
            prop_assert!(fused.iter().all(|proposal| (0.0..=1.0).contains(&proposal.score) && (0.0..=1.0).contains(&proposal.coverage)));
            let rows: std::collections::HashSet<Row> = fused.iter().map(|proposal| proposal.row).collect();
            prop_assert_eq!(rows.len(), fused.len());
        }
    }
}

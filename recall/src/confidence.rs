//! How sure recall is that the first hits answer the question.
//!
//! A probability: of questions with the confidence 0.5, as many belong to what is remembered as belong elsewhere, where
//! both are asked as often. It is drawn from what the arms say before anything else orders the answer, in which a turn
//! may stand first for its neighbours' sake; of text, from what it has with each word of the question counted once, so that
//! it says the same in every language.

use crate::arms::Worded;
use crate::meaning::Said;
use crate::weights::Weights;

/// A subject that is there is spoken of more than once: how well the hit at this place matches counts, too.
const SECOND_LOOK: usize = 4;

/// Where there is no candidate at that place, it counts as one of this share of the first one's score: what it has on
/// the average of the conversations that the weights were set on.
const FEW_CANDIDATES: f32 = 0.6;

/// Where a question asks what was on a day, and the day has records: they answer it, whatever they say.
pub(crate) const OF_THE_DAYS: f32 = 0.9;

/// Where it has none: records of other days do not answer it.
pub(crate) const NOTHING_OF_THE_DAYS: f32 = 0.1;

/// What speaks for an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Evidence {
    /// The share of the question that the first candidate of text covers.
    coverage: f32,
    /// The scores of the first candidate and of a later one, in matches of the rarest word.
    mass: [f32; 2],
    /// What meaning says, where it takes part.
    meant: Option<Meant>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Meant {
    /// How near the nearest is, from what is near on average (0) to the same (1).
    near: f32,
    /// How far the space has a meaning for this question.
    agreed: f32,
}

impl Evidence {
    /// What both arms say; `said` has how far they agree, too.
    pub(crate) fn of(worded: &Worded, said: Option<(&Said, f32)>, weights: &Weights) -> Evidence {
        let Worded { candidates: text, rarest, on_days } = worded;
        let rarest = *rarest;
        let mass = |place: usize| match text.get(place) {
            Some(candidate) if rarest > 0.0 => candidate.by_word.score / rarest,
            _ => 0.0,
        };
        let mut first = mass(0);
        let mut coverage = text.first().map_or(0.0, |candidate| candidate.by_word.coverage.clamp(0.0, 1.0));
        // Where only a few records share a word with the question, nobody can have spoken of it often.
        let later = if text.len() > SECOND_LOOK { mass(SECOND_LOOK).min(first) } else { first * FEW_CANDIDATES };
        // The days are a part of the question that a record of another one does not have.
        if let Some([score, covered]) = *on_days {
            let [share, matches] = weights.day_evidence;
            coverage *= 1.0 - share;
            if score > 0.0 && rarest > 0.0 {
                coverage = coverage.max(covered.clamp(0.0, 1.0) * (1.0 - share) + share);
                first = first.max(score / rarest + matches);
            }
        }
        let meant = said.and_then(|(said, agreed)| {
            let nearest = said.meant.found.candidates.first()?.score;
            let mean = said.meant.background.mean.clamp(0.0, 0.99);
            Some(Meant { near: said.understood * ((nearest - mean) / (1.0 - mean)).max(0.0), agreed })
        });
        Evidence { coverage, mass: [first, later], meant }
    }

    /// 0 to 1; 0 where nothing was found.
    pub(crate) fn confidence(&self, weights: &Weights) -> f32 {
        let [first, later] = self.mass;
        let [bias, coverage, of_first, of_later] = weights.confidence;
        let text = bias + coverage * self.coverage + of_first * first + of_later * later;
        let sum = match self.meant {
            None if self.coverage == 0.0 => return 0.0,
            None => text,
            // Meaning alone.
            Some(Meant { near, .. }) if self.coverage == 0.0 => {
                let [bias, of_near] = weights.confidence_meaning;
                bias + of_near * near
            }
            Some(Meant { near, agreed }) => {
                let [bias, coverage, of_first, of_later, of_near] = weights.confidence_hybrid;
                let both = bias + coverage * self.coverage + of_first * first + of_later * later + of_near * near;
                agreed * both + (1.0 - agreed) * text
            }
        };
        1.0 / (1.0 + (-sum).exp())
    }
}

#[cfg(test)]
mod tests {
    use harness_index::{ByWord, Candidate};
    use harness_memory::Row;

    use super::*;

    fn of(candidates: &[(f32, f32)]) -> f32 {
        let one = |&(score, coverage): &(f32, f32)| Candidate {
            row: Row(1),
            score,
            coverage,
            by_word: ByWord { coverage, score },
            passage: None,
            why: String::new(),
            words: Vec::new(),
        };
        let candidates: Vec<Candidate> = candidates.iter().map(one).collect();
        let weights = Weights::default();
        Evidence::of(&Worded { candidates, rarest: 5.0, on_days: None }, None, &weights).confidence(&weights)
    }

    #[test]
    fn nothing_found_is_no_confidence_and_more_covered_is_more() {
        assert_eq!(of(&[]), 0.0);
        assert_eq!(of(&[(0.0, 0.0)]), 0.0);
        assert!(of(&[(9.0, 0.9)]) > of(&[(9.0, 0.4)]) && of(&[(50.0, 1.0); 9]) <= 1.0);
        assert!(of(&[(12.0, 0.5)]) > of(&[(3.0, 0.5)]), "several words say more than one");
    }
}

//! Episodes of one situation are about as close to a question as the closest of them.
//!
//! Whoever does one thing five times words it in five ways, and which of the five comes nearest to the words of the
//! next question is chance. What the episodes have in common beside the question tells that they are the same
//! situation: the customer, the ticket, the file, the flight. So each is brought near to the score of its closest
//! kin, and what then decides between them is how they ended.

use harness_memory::{Body, Episode};
use rustc_hash::FxHashMap;

use crate::copies::{WordSet, each_word, number};
use crate::ranked::Ranked;
use crate::weights::Weights;

/// Only so many of the best episodes are compared: each pair costs the words that both have.
const COMPARED_MAX: usize = 60;

/// Of an episode's words so many are compared, from the beginning: a page and a half.
const WORDS_MAX: usize = 600;

/// Words that more than this share of the episodes have tell no situations apart.
const COMMON_SHARE: f32 = 0.5;

/// Fewer episodes than this say nothing about which words are common.
const EPISODES_MIN: usize = 3;

/// Brings each episode near to the score of the closest one of the same situation.
pub(crate) fn share(ranked: &mut [Ranked], weights: &Weights) {
    let mut episodes: Vec<usize> = (0..ranked.len()).filter(|&at| episode(&ranked[at]).is_some()).collect();
    if episodes.len() < EPISODES_MIN || weights.situation == 0.0 {
        return;
    }
    episodes.sort_by(|&a, &b| ranked[b].score.total_cmp(&ranked[a].score));
    episodes.truncate(COMPARED_MAX);
    let said: Vec<WordSet> = episodes.iter().filter_map(|&at| episode(&ranked[at])).map(said).collect();
    let kinship = kinship(&said);
    let scores: Vec<f32> = episodes.iter().map(|&at| ranked[at].score).collect();
    for (one, &at) in episodes.iter().enumerate() {
        let lent = (0..episodes.len()).map(|other| {
            let [least, full] = weights.kin;
            let near = ((kinship[one][other] - least) / (full - least)).clamp(0.0, 1.0);
            (other, weights.situation * near * (scores[other] - scores[one]))
        });
        let Some((from, more)) = lent.max_by(|(_, a), (_, b)| a.total_cmp(b)).filter(|(_, more)| *more > 0.0) else {
            continue;
        };
        let words = format!("of the same situation as a closer one, {}", ranked[episodes[from]].stored.record.id);
        ranked[at].add("situation", more, 1.0, words);
    }
}

fn episode(hit: &Ranked) -> Option<&Episode> {
    match &hit.stored.record.body {
        Body::Episode(episode) => Some(episode),
        _ => None,
    }
}

/// What the person said.
fn said(episode: &Episode) -> WordSet {
    let (mut words, mut taken) = (WordSet::default(), 0);
    for text in std::iter::once(&episode.situation).chain(&episode.user_turns) {
        if taken >= WORDS_MAX {
            break;
        }
        each_word(text, |word| {
            if taken < WORDS_MAX {
                words.insert(number(word));
            }
            taken += 1;
        });
    }
    words
}

/// How near each is to each other, 0 to 1: the cosine of their words, each weighed by how few of them have it.
fn kinship(said: &[WordSet]) -> Vec<Vec<f32>> {
    let count = said.len();
    let mut holders: FxHashMap<u64, Vec<usize>> = FxHashMap::default();
    for (at, words) in said.iter().enumerate() {
        words.iter().for_each(|word| holders.entry(*word).or_default().push(at));
    }
    let mut both = vec![vec![0.0_f32; count]; count];
    for holders in holders.values() {
        let share = holders.len() as f32 / count as f32;
        if share > COMMON_SHARE {
            continue;
        }
        let weight = share.ln().powi(2);
        for &one in holders {
            for &other in holders {
                both[one][other] += weight;
            }
        }
    }
    let own: Vec<f32> = (0..count).map(|at| both[at][at]).collect();
    for one in 0..count {
        for other in 0..count {
            let norm = (own[one] * own[other]).sqrt();
            both[one][other] = if norm > 0.0 { both[one][other] / norm } else { 0.0 };
        }
    }
    both
}

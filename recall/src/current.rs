//! What is true now: a record ranks below the one that replaces it, and a statement below a newer one of the same
//! subject that answers the question as well.

use std::collections::{HashMap, HashSet};

use harness_memory::{Body, Lookup, ReadSet, RecordId, Store};

use crate::copies::{WordSet, each_word, number};
use crate::error::Result;
use crate::ranked::{Admission, Ranked};
use crate::sessions::Words;
use crate::weights::Weights;

/// The live record that replaces each of these, where there is one that may be read: what somebody else says of it in
/// a scope of their own is neither told nor counted.
pub(crate) fn successors(store: &dyn Store, ranked: &[Ranked], reads: &ReadSet) -> Result<HashMap<RecordId, RecordId>> {
    let ids: Vec<RecordId> = ranked.iter().map(|hit| hit.stored.record.id).collect();
    let found = store.replaced_by(&ids)?;
    let mut next: HashMap<RecordId, RecordId> =
        ids.into_iter().zip(found).filter_map(|(id, next)| Some((id, next?))).collect();
    if !next.is_empty() && !reads.is_everything() {
        let newer: Vec<RecordId> = next.values().copied().collect();
        let read = store.get(&newer)?.into_iter().filter_map(Lookup::found);
        let readable: HashSet<RecordId> =
            read.filter(|stored| reads.allows(&stored.record.scope)).map(|stored| stored.record.id).collect();
        next.retain(|_, newer| readable.contains(newer));
    }
    Ok(next)
}

/// At most so many records are brought in for those that they replace: an answer has few that were replaced.
const BROUGHT_MAX: usize = 16;

/// Brings in what replaces a record among the best and is not among the candidates itself: the truth may be told in
/// other words than what it takes the place of. Adds to `replaced_by` what replaces those again.
pub(crate) fn bring_successors(
    store: &dyn Store,
    ranked: &mut Vec<Ranked>,
    replaced_by: &mut HashMap<RecordId, RecordId>,
    admission: &Admission,
) -> Result<()> {
    let known: HashSet<RecordId> = ranked.iter().map(|hit| hit.stored.record.id).collect();
    let next = |hit: &Ranked| Some((*replaced_by.get(&hit.stored.record.id)?, hit.score));
    let mut wanted: Vec<(RecordId, f32)> =
        ranked.iter().filter_map(next).filter(|(id, _)| !known.contains(id)).collect();
    wanted.sort_by(|(one, a), (other, b)| b.total_cmp(a).then(one.cmp(other)));
    let mut seen = HashSet::new();
    let mut ids: Vec<RecordId> = wanted.into_iter().map(|(id, _)| id).filter(|id| seen.insert(*id)).collect();
    ids.truncate(BROUGHT_MAX);
    if ids.is_empty() {
        return Ok(());
    }
    let brought = ranked.len();
    let found = store.get(&ids)?.into_iter().filter_map(Lookup::found);
    ranked.extend(found.filter(|stored| admission.allows(stored)).map(Ranked::new));
    let more = successors(store, &ranked[brought..], admission.filter.reads)?;
    replaced_by.extend(more);
    // Along a chain, to its end: what was brought in is known now, so that this ends.
    if ranked.len() > brought { bring_successors(store, ranked, replaced_by, admission) } else { Ok(()) }
}

/// Gives what replaces a record among the best at least the score of that: it answers the same question, in words that
/// may have less of it.
pub(crate) fn lift_successors(ranked: &mut [Ranked], replaced_by: &HashMap<RecordId, RecordId>) {
    let places: HashMap<RecordId, usize> =
        ranked.iter().enumerate().map(|(at, hit)| (hit.stored.record.id, at)).collect();
    // The oldest first, so that along a chain the last has what the first had.
    let mut order: Vec<usize> = (0..ranked.len()).collect();
    order.sort_by_key(|at| ranked[*at].stored.row);
    for at in order {
        let next = replaced_by.get(&ranked[at].stored.record.id).and_then(|next| places.get(next));
        let Some(&next) = next else { continue };
        let lift = ranked[at].score - ranked[next].score;
        if lift > 0.0 {
            ranked[next].coverage = ranked[next].coverage.max(ranked[at].coverage);
            ranked[next].add("replaces", lift, 1.0, "it replaces a record that fits".to_owned());
        }
    }
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

/// Only so many of the best are compared with each other.
const COMPARED_MAX: usize = 20;

/// Longer texts are no single statements, of which one takes the place of another.
const STATEMENT_WORDS_MAX: usize = 60;

/// Ranks a statement below a newer one of the same subject: one that shares enough of its words, and has as much of
/// the question. A statement that only looks alike lacks the word of the question that tells the two apart, whose share
/// of the question `words` knows.
/// Only notes are such statements; records tied by `replaces` were settled before. `ranked` is sorted and stays so.
pub(crate) fn prefer_newer(
    ranked: &mut [Ranked],
    replaced_by: &HashMap<RecordId, RecordId>,
    words: &Words,
    weights: &Weights,
) {
    let told: Vec<Option<Told>> = ranked.iter().take(COMPARED_MAX).map(|hit| told(hit, replaced_by)).collect();
    for newer in 0..told.len() {
        let Some(new) = &told[newer] else { continue };
        // The first older one that it takes the place of.
        let Some(older) = (0..newer).find(|&older| {
            let (hit, next) = (&ranked[older], &ranked[newer]);
            let Some(old) = &told[older] else { return false };
            next.stored.record.created_at > hit.stored.record.created_at
                && next.stored.record.scope == hit.stored.record.scope
                && next.coverage >= weights.newer_coverage * hit.coverage
                && alike(&old.words, &new.words) >= weights.newer_alike
                && words.lacking(next.stored.row, hit.stored.row) <= weights.newer_lacks
        }) else {
            continue;
        };
        let lifted = ranked[older].score * 1.001 - ranked[newer].score;
        ranked[newer].add("newer", lifted.max(0.0), 1.0, "newer than another statement of the same".to_owned());
    }
    crate::ranked::sort(ranked);
}

struct Told {
    words: WordSet,
}

fn told(hit: &Ranked, replaced_by: &HashMap<RecordId, RecordId>) -> Option<Told> {
    let record = &hit.stored.record;
    let tied = record.replaces.is_some() || replaced_by.contains_key(&record.id);
    if tied || !matches!(record.body, Body::Note(_)) {
        return None;
    }
    let mut count = 0;
    each_word(record.text(), |_| count += 1);
    (count <= STATEMENT_WORDS_MAX).then(|| Told { words: telling_words(record.text()) })
}

/// The words of a text that tell it from others: small ones are left out.
pub(crate) fn telling_words(text: &str) -> WordSet {
    let mut words = WordSet::default();
    each_word(text, |word| {
        if !is_small(word) {
            words.insert(number(word));
        }
    });
    words
}

/// The share of the shorter text's words that the other has.
pub(crate) fn alike(one: &WordSet, other: &WordSet) -> f32 {
    let shorter = one.len().min(other.len());
    if shorter == 0 { 0.0 } else { one.intersection(other).count() as f32 / shorter as f32 }
}

/// Short words that tell no statements apart: function words of English.
const SMALL_WORDS: [&str; 55] = [
    "a", "i", "s", "t", "d", "m", "am", "an", "as", "at", "be", "by", "do", "go", "he", "if", "in", "is", "it", "me",
    "my", "no", "of", "on", "or", "so", "to", "up", "we", "all", "and", "any", "are", "but", "can", "did", "for",
    "get", "got", "had", "has", "her", "him", "his", "how", "its", "may", "new", "not", "now", "old", "our", "the",
    "was", "who",
];

/// The longest of them.
const SMALL_WORD_BYTES_MAX: usize = 3;

/// Characters of Chinese that do the same.
const SMALL_CHARACTERS: &str = "是的了在吗嗎呢有和与與用也都把被几幾多少哪谁誰什么麼里裡";

/// Whether a word says too little to tell a statement by.
fn is_small(word: &str) -> bool {
    let mut chars = word.chars();
    match (chars.next(), chars.next()) {
        (Some(c), None) if c >= '\u{2e80}' => ('\u{3040}'..='\u{309f}').contains(&c) || SMALL_CHARACTERS.contains(c),
        _ => word.len() <= SMALL_WORD_BYTES_MAX && SMALL_WORDS.contains(&word),
    }
}

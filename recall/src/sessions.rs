//! Sessions ranked, and not their turns.
//!
//! Who asks for conversations wants all of them that answer, and what answers is often told in several: the first turns
//! of such an answer are of one session, and a session that tells it in other words stands far down by its best turn. So
//! a session has, beside what its best hit has, something for the share of the question's words that its hits have
//! *together*, and something for a hit that is near to the question and to the best answers at once: what answers a
//! question is told alike in every session, in words that the question does not have.

use std::collections::HashMap;

use harness_memory::Row;
use harness_memory::memory::HITS_OF_SESSION_MAX;
use rustc_hash::{FxHashMap, FxHashSet};

use crate::arms::Worded;
use crate::meaning::Said;
use crate::ranked::Ranked;
use crate::weights::Weights;

/// So many of the best hits are examples of what answers. LoCoMo, R@5 of sessions, mean over ways to use them: .894 with
/// one, .896 with two, .893 with three, .889 with five.
const EXAMPLES: usize = 2;

/// Which words of the question the candidates of text have.
pub(crate) struct Words(FxHashMap<Row, Vec<harness_index::Word>>);

impl Words {
    /// Takes them out of the candidates.
    pub(crate) fn of(worded: &mut Worded) -> Words {
        Words(worded.candidates.iter_mut().map(|found| (found.row, std::mem::take(&mut found.words))).collect())
    }

    /// The share of the question that the words are which the first of two records lacks and the second has, 0 to 1.
    pub(crate) fn lacking(&self, lacks: Row, has: Row) -> f32 {
        let (Some(has), own) = (self.0.get(&has), self.0.get(&lacks)) else { return 0.0 };
        let missing =
            |word: &&harness_index::Word| !own.is_some_and(|own| own.iter().any(|own| own.place == word.place));
        has.iter().filter(missing).map(|word| word.share).sum::<f32>().min(1.0)
    }

    /// The share of the question that these records cover together, 0 to 1.
    fn covered(&self, rows: impl Iterator<Item = Row>) -> f32 {
        let mut seen = FxHashSet::default();
        let words = rows.filter_map(|row| self.0.get(&row)).flatten();
        words.filter(|word| seen.insert(word.place)).map(|word| word.share).sum::<f32>().min(1.0)
    }
}

/// Puts hits together by their sessions, the best session first, of each its best hits. `said` is the arm of meaning, and
/// how much it has to say about this question, 0 to 1.
///
/// The hits come in order, best first, and keep their scores.
pub(crate) fn group(ranked: &mut Vec<Ranked>, words: &Words, said: Option<(&Said, f32)>, weights: &Weights) {
    let most = ranked.iter().map(|hit| hit.score).fold(0.0, f32::max);
    if most <= 0.0 {
        return;
    }
    let like = said.map(|(said, meant)| (like_the_best(ranked, said, weights), meant));
    let mut places: HashMap<Session, usize> = HashMap::new();
    let mut sessions: Vec<Vec<usize>> = Vec::new();
    for (at, hit) in ranked.iter().enumerate() {
        let place = *places.entry(Session::of(hit)).or_insert(sessions.len());
        match sessions.get_mut(place) {
            Some(hits) => hits.push(at),
            None => sessions.push(vec![at]),
        }
    }
    let row = |at: &usize| ranked[*at].stored.row;
    let score = |hits: &[usize]| -> (f32, f32) {
        let best = hits.first().map_or(0.0, |at| ranked[*at].score / most);
        let covered = words.covered(hits.iter().map(row));
        let near = like.as_ref().map_or(0.0, |(like, meant)| {
            meant * hits.iter().filter_map(|at| like.get(&row(at))).copied().fold(0.0, f32::max)
        });
        (best + weights.session_words * covered + weights.session_like * near, covered)
    };
    let mut order: Vec<((f32, f32), Vec<usize>)> = sessions.into_iter().map(|hits| (score(&hits), hits)).collect();
    // Equal ones stay in the order of their best hits.
    order.sort_by(|((a, _), _), ((b, _), _)| b.total_cmp(a));
    for ((score, covered), hits) in &order {
        let words = format!("its session has {:.0} % of the question's words", covered * 100.0);
        // It says where the session stands, and adds nothing to the hit.
        ranked[hits[0]].add("by_session", *score, 0.0, words);
    }
    let shown = order.into_iter().flat_map(|(_, hits)| hits.into_iter().take(HITS_OF_SESSION_MAX));
    let mut hits: Vec<Option<Ranked>> = std::mem::take(ranked).into_iter().map(Some).collect();
    ranked.extend(shown.filter_map(|at| hits[at].take()));
}

/// What a hit is put together with others by.
#[derive(PartialEq, Eq, Hash)]
enum Session {
    /// The scope, the source, and the session's name there.
    Named(String, String, String),
    /// A record without a session.
    Alone(Row),
}

impl Session {
    fn of(hit: &Ranked) -> Session {
        let record = &hit.stored.record;
        match &record.session {
            Some(name) => Session::Named(record.scope.to_string(), record.source.clone(), name.clone()),
            None => Session::Alone(hit.stored.row),
        }
    }
}

/// How like the question and its best answers each hit is: from 0 for what is as near as anything to 1 for the nearest.
fn like_the_best(ranked: &[Ranked], said: &Said, weights: &Weights) -> FxHashMap<Row, f32> {
    let examples = &ranked[..EXAMPLES.min(ranked.len())];
    let sum = examples.iter().map(|hit| hit.score).sum::<f32>().max(f32::MIN_POSITIVE);
    let examples: Vec<(Row, f32)> =
        examples.iter().map(|hit| (hit.stored.row, weights.session_examples * hit.score / sum)).collect();
    let rows: Vec<Row> = ranked.iter().map(|hit| hit.stored.row).collect();
    let Some(likeness) = said.like(&examples, &rows) else { return FxHashMap::default() };
    let nearest = likeness.scores.values().copied().fold(f32::MIN, f32::max);
    let range = nearest - likeness.background.mean;
    if range <= 0.0 {
        return FxHashMap::default();
    }
    let scaled = |cosine: f32| ((cosine - likeness.background.mean) / range).clamp(0.0, 1.0);
    likeness.scores.into_iter().map(|(row, cosine)| (row, scaled(cosine))).collect()
}

#[cfg(test)]
mod tests {
    use harness_index::Word;
    use harness_memory::{Message, Origin, Record, Role, Scope, Stored};

    use super::*;

    fn turn(row: i64, session: &str, score: f32) -> Ranked {
        let mut record = Record::new(Scope::root(), "test", Origin::User, Message::new(Role::User, 0, "said"));
        record.session = Some(session.to_owned());
        Ranked { score, ..Ranked::new(Stored { row: Row(row), record, forgotten: None, repeats: None }) }
    }

    fn rows(hits: &[Ranked]) -> Vec<i64> {
        hits.iter().map(|hit| hit.stored.row.0).collect()
    }

    #[test]
    fn words_count_once_for_a_session_and_lift_it() {
        let word = |place| Word { place, share: 0.3 };
        let words =
            [(Row(1), vec![word(0)]), (Row(2), vec![word(0)]), (Row(3), vec![word(1)]), (Row(4), vec![word(2)])];
        let words = Words(words.into_iter().collect());
        assert_eq!(words.covered([Row(1), Row(2), Row(9)].into_iter()), 0.3);
        let mut hits = vec![turn(1, "a", 1.0), turn(2, "a", 0.9), turn(3, "b", 0.85), turn(4, "b", 0.5)];
        group(&mut hits, &words, None, &Weights::default());
        assert_eq!(rows(&hits), [3, 4, 1, 2], "b has two words of the question, a has one of them twice");
        assert_eq!(hits[0].score, 0.85, "hits keep their scores");
        assert_eq!(hits[0].why["by_session"].words, "its session has 60 % of the question's words");
    }

    #[test]
    fn without_words_and_meaning_sessions_stand_where_their_best_hits_do_with_three_of_each() {
        let mut hits: Vec<Ranked> =
            (0..8).map(|at| turn(at, ["a", "b"][at as usize % 2], 1.0 - at as f32 / 10.0)).collect();
        group(&mut hits, &Words(FxHashMap::default()), None, &Weights::default());
        assert_eq!(rows(&hits), [0, 2, 4, 1, 3, 5]);
        let mut none = Vec::new();
        group(&mut none, &Words(FxHashMap::default()), None, &Weights::default());
        assert!(none.is_empty());
    }
}

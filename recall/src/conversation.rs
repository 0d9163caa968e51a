//! What a turn means lies partly in its neighbours.
//!
//! Messages lend a part of their score to the turns around them in the same session, whether an arm proposed those
//! or not: the answer to a question often stands beside the words of it. And a session whose turns match often
//! lifts them all. A turn that only says its neighbour again is lent nothing: fifty lines of one make are one piece of
//! evidence, and would bury the one line that answers. Both order messages among each other; beside notes and episodes the best message counts as much
//! as it did before.

use std::collections::{HashMap, HashSet};

use harness_index::meaning::VECTOR;
use harness_index::text::TEXT;
use harness_memory::memory::Degraded;
use harness_memory::{Body, Message, MessageForm, Role, Row, Store};
use jiff::Timestamp;

use crate::copies::{self, WordSet};
use crate::error::Result;
use crate::fusion::Measure;
use crate::meaning::Said;
use crate::ranked::{Admission, Ranked, records};
use crate::weights::Weights;

/// So far to each side a turn's score spreads.
pub(crate) const REACH: usize = 2;

/// The most turns whose neighbours are looked up, the best first: each costs three look-ups in the store. LoCoMo, R@10 and
/// that of text alone: .793 and .770 with sixty of them and forty entrants, .795 and .770 with forty and twenty.
const LENDERS_MAX: usize = 40;

/// The most turns that enter an answer through their neighbours alone: each is read from the store, and the
/// measured gain comes from those that take in most.
const ENTRANTS_MAX: usize = 20;

/// Turns with this share of their words in common (Jaccard) say the same again: lines of one make, in which a number
/// differs or a name.
const REPEAT_SHARE_MIN: f32 = 0.7;

/// A turn of fewer words than this repeats nothing: what it says lies in what it answers.
const SHORT_WORDS: usize = 8;

/// So many of a session's best turns say how well it matches.
const SESSION_TOP: usize = 3;

/// Weighs turns by who said them: what a tool printed and what a summary retells count less than what was said.
pub(crate) fn weigh_roles(ranked: &mut [Ranked], weights: &Weights) {
    for hit in ranked {
        let Body::Message(message) = &hit.stored.record.body else { continue };
        let (factor, words) = match role(message) {
            Voice::Summary => (weights.summary, "lowered: a summary, nobody's statement"),
            Voice::Tool => (weights.tool_output, "lowered: what a tool printed"),
            Voice::Assistant => (weights.assistant, "lowered: what the agent said"),
            Voice::Person => continue,
        };
        if factor != 1.0 {
            hit.scale("role", factor, words.to_owned());
        }
    }
}

/// Who says a turn.
enum Voice {
    Person,
    Assistant,
    Tool,
    Summary,
}

fn role(message: &Message) -> Voice {
    match (message.form, message.role) {
        (MessageForm::Summary | MessageForm::Scaffold, _) => Voice::Summary,
        _ if message.tool_result.is_some() => Voice::Tool,
        (_, Role::Tool | Role::System) => Voice::Tool,
        (_, Role::Assistant) => Voice::Assistant,
        (_, Role::User) => Voice::Person,
    }
}

/// How near turns are in meaning that no arm proposed.
pub(crate) struct Nearness<'s> {
    pub(crate) said: &'s Said,
    pub(crate) measure: Measure,
    /// What a sum of the arms' scores is divided by.
    pub(crate) best: f32,
}

/// What the neighbours of a turn lend it.
#[derive(Default)]
struct Lent {
    score: f32,
    /// Who lends most: its place among the ranked, and how much.
    from: (usize, f32),
}

/// Spreads the scores of messages to their neighbours and adds what their sessions say for them.
pub(crate) fn spread(
    store: &dyn Store,
    ranked: &mut Vec<Ranked>,
    nearness: Option<Nearness>,
    admission: &Admission,
    weights: &Weights,
    degraded: &mut Vec<Degraded>,
) -> Result<()> {
    let turns: Vec<usize> = (0..ranked.len()).filter(|&at| is_turn(&ranked[at])).collect();
    let Some(best) = turns.iter().map(|&at| ranked[at].score).max_by(f32::total_cmp) else { return Ok(()) };
    let mut lenders = turns.clone();
    lenders.sort_by(|&a, &b| ranked[b].score.total_cmp(&ranked[a].score));
    lenders.truncate(LENDERS_MAX);
    let rows: Vec<Row> = lenders.iter().map(|&at| ranked[at].stored.row).collect();
    let mut lent: HashMap<Row, Lent> = HashMap::new();
    let mut said = SaidBefore::of(ranked, &turns);
    for (&at, beside) in lenders.iter().zip(store.beside(&rows, REACH)?) {
        let in_words = share_in_words(&ranked[at]);
        let sides = [(beside.before, weights.neighbours_before), (beside.after, weights.neighbours_after)];
        for (side, in_meaning) in sides {
            for ((row, of_words), of_meaning) in side.into_iter().zip(weights.neighbours).zip(in_meaning) {
                if said.again(ranked, at, row) {
                    continue;
                }
                let share = ranked[at].score * (in_words * of_words + (1.0 - in_words) * of_meaning);
                let lent = lent.entry(row).or_default();
                lent.score += share;
                if share > lent.from.1 {
                    lent.from = (at, share);
                }
            }
        }
    }
    for &at in &turns {
        if let Some(lent) = lent.remove(&ranked[at].stored.row) {
            let words = beside_words(&ranked[lent.from.0]);
            ranked[at].add("neighbours", lent.score, 1.0, words);
        }
    }
    // What is left was proposed by no arm.
    let mut entrants: Vec<(Row, Lent)> = lent.into_iter().filter(|(_, lent)| lent.score > 0.0).collect();
    entrants.sort_by(|(a, x), (b, y)| y.score.total_cmp(&x.score).then(b.cmp(a)));
    entrants.truncate(ENTRANTS_MAX);
    let rows: Vec<Row> = entrants.iter().map(|(row, _)| *row).collect();
    let near = nearness.as_ref().map(|nearness| nearness.said.scores(&rows)).unwrap_or_default();
    for ((row, lent), stored) in entrants.into_iter().zip(records(store, &rows, degraded)?) {
        let Some(stored) = stored.filter(|stored| admission.allows(stored)) else { continue };
        if said.is_again(ranked, lent.from.0, stored.record.text()) {
            continue;
        }
        let words = beside_words(&ranked[lent.from.0]);
        let mut hit = Ranked::new(stored);
        hit.add("neighbours", lent.score, 1.0, words);
        if let Some(nearness) = &nearness
            && let Some(cosine) = near.get(&row)
        {
            let why = nearness.measure.why(*cosine);
            hit.add(VECTOR, why.score, why.weight / nearness.best, why.words);
        }
        if is_turn(&hit) {
            ranked.push(hit);
        }
    }
    lift_sessions(ranked, weights);
    settle(ranked, best);
    Ok(())
}

/// The words of turns, read when they are first compared.
struct SaidBefore {
    places: HashMap<Row, usize>,
    words: HashMap<usize, WordSet>,
}

impl SaidBefore {
    fn of(ranked: &[Ranked], turns: &[usize]) -> SaidBefore {
        SaidBefore { places: turns.iter().map(|&at| (ranked[at].stored.row, at)).collect(), words: HashMap::new() }
    }

    /// Whether the turn in this row, where an arm proposed it, says the one in that place again.
    fn again(&mut self, ranked: &[Ranked], at: usize, row: Row) -> bool {
        let Some(&other) = self.places.get(&row) else { return false };
        for place in [at, other] {
            self.words.entry(place).or_insert_with(|| copies::word_set(ranked[place].stored.record.text()));
        }
        says_again(&self.words[&at], &self.words[&other])
    }

    /// Whether a text says the turn in that place again.
    fn is_again(&mut self, ranked: &[Ranked], at: usize, text: &str) -> bool {
        let words = self.words.entry(at).or_insert_with(|| copies::word_set(ranked[at].stored.record.text()));
        says_again(words, &copies::word_set(text))
    }
}

fn says_again(one: &WordSet, other: &WordSet) -> bool {
    one.len().min(other.len()) >= SHORT_WORDS && copies::in_common(one, other) >= REPEAT_SHARE_MIN
}

/// The most turns that are compared with the better ones of their session; of a longer answer the end is left out.
const DISTINCT_MAX: usize = 200;

/// Turns of one session that say the same again: the place of the best of them, and of the newest.
struct Make {
    words: WordSet,
    best: usize,
    newest: usize,
}

/// Leaves out turns that say a better one of their session again. The newest stays too: where a number differs it is
/// the one that holds. The order is kept.
pub(crate) fn drop_said_again(ranked: &mut Vec<Ranked>) {
    ranked.truncate(DISTINCT_MAX);
    let mut sessions: HashMap<(&str, &str), Vec<Make>> = HashMap::new();
    for (at, hit) in ranked.iter().enumerate().filter(|(_, hit)| is_turn(hit)) {
        let record = &hit.stored.record;
        let makes = sessions.entry((&record.source, record.session.as_deref().unwrap_or_default())).or_default();
        let words = copies::word_set(record.text());
        match makes.iter_mut().find(|make| says_again(&make.words, &words)) {
            Some(make) if said_at(hit) > said_at(&ranked[make.newest]) => make.newest = at,
            Some(_) => {}
            None => makes.push(Make { words, best: at, newest: at }),
        }
    }
    let stays: HashSet<usize> = sessions.into_values().flatten().flat_map(|make| [make.best, make.newest]).collect();
    let mut at = 0;
    ranked.retain(|hit| {
        at += 1;
        !is_turn(hit) || stays.contains(&(at - 1))
    });
}

/// When it was said, and when it was stored.
fn said_at(hit: &Ranked) -> (Timestamp, Row) {
    (hit.stored.record.created_at, hit.stored.row)
}

/// The share of what the arms give a record that text gives it.
fn share_in_words(hit: &Ranked) -> f32 {
    let of = |arm: &str| hit.why.get(arm).map_or(0.0, |why| why.score * why.weight);
    let (text, meaning) = (of(TEXT), of(VECTOR));
    if text + meaning > 0.0 { text / (text + meaning) } else { 1.0 }
}

/// Whether this is a turn of a conversation that somebody said.
fn is_turn(hit: &Ranked) -> bool {
    let record = &hit.stored.record;
    let Body::Message(message) = &record.body else { return false };
    record.session.is_some() && message.form == MessageForm::Statement
}

fn beside_words(lender: &Ranked) -> String {
    match lender.why.get(TEXT).filter(|why| !why.words.is_empty()) {
        Some(why) => format!("beside a turn that matches: {}", why.words),
        None => "beside a turn that matches".to_owned(),
    }
}

/// Adds to each turn a part of what the best turns of its session have.
fn lift_sessions(ranked: &mut [Ranked], weights: &Weights) {
    let mut sessions: HashMap<(String, String, String), Vec<usize>> = HashMap::new();
    for (at, hit) in ranked.iter().enumerate().filter(|(_, hit)| is_turn(hit)) {
        let record = &hit.stored.record;
        let session = record.session.clone().unwrap_or_default();
        sessions.entry((record.scope.to_string(), record.source.clone(), session)).or_default().push(at);
    }
    for turns in sessions.values() {
        let mut scores: Vec<f32> = turns.iter().map(|&at| ranked[at].score).collect();
        scores.sort_by(|a, b| b.total_cmp(a));
        let prior: f32 = scores.iter().take(SESSION_TOP).sum();
        let words = match turns.len() {
            1 => "its session has no other match".to_owned(),
            others => format!("its session matches in {others} places"),
        };
        for &at in turns {
            ranked[at].add("session", prior, weights.session, words.clone());
        }
    }
}

/// Puts messages back into the measure of the other records: the best has what the best had before.
fn settle(ranked: &mut [Ranked], best: f32) {
    let most = ranked.iter().filter(|hit| is_turn(hit)).map(|hit| hit.score).fold(0.0, f32::max);
    if most <= 0.0 {
        return;
    }
    let factor = best / most;
    for hit in ranked.iter_mut().filter(|hit| is_turn(hit)) {
        hit.settle(factor);
    }
}

#[cfg(test)]
mod tests {
    use harness_memory::{Note, Origin, Record, Scope, Stored};

    use super::*;

    fn turn(row: i64, session: &str, text: &str) -> Ranked {
        let said = Message::new(Role::Assistant, 0, text);
        let mut record = Record::new(Scope::root(), "test", Origin::Agent, said);
        record.session = Some(session.to_owned());
        stored(row, record)
    }

    fn stored(row: i64, mut record: Record) -> Ranked {
        record.created_at = Timestamp::from_second(1_700_000_000 + row).unwrap();
        Ranked::new(Stored { row: Row(row), record, forgotten: None, repeats: None })
    }

    fn distinct(mut hits: Vec<Ranked>) -> Vec<i64> {
        drop_said_again(&mut hits);
        hits.iter().map(|hit| hit.stored.row.0).collect()
    }

    fn line(number: u32) -> String {
        format!("turn {number}: let me look at the export of step {number} and run the whole build again")
    }

    #[test]
    fn of_lines_of_one_make_the_best_and_the_newest_stay() {
        let mut hits: Vec<Ranked> = [7, 3, 9, 5].map(|row| turn(row, "a", &line(row as u32))).into();
        hits.push(turn(1, "a", "the export is empty unless the migration of the reports was run before it"));
        assert_eq!(distinct(hits), [7, 9, 1]);
    }

    #[test]
    fn other_sessions_short_turns_and_notes_repeat_nothing() {
        assert_eq!(distinct(vec![turn(1, "a", &line(1)), turn(2, "b", &line(2))]), [1, 2]);
        let short = ["yes, run 1", "yes, run 2", "yes, run 3"];
        assert_eq!(distinct((1..).zip(short).map(|(row, text)| turn(row, "a", text)).collect()), [1, 2, 3]);
        let note = |row| stored(row, Record::new(Scope::root(), "test", Origin::User, Note::new(line(row as u32))));
        assert_eq!(distinct(vec![note(1), note(2), note(3)]), [1, 2, 3]);
    }
}

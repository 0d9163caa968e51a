//! Copies: one statement told several times is one hit with a count, in its newest wording.
//!
//! Conservative: what differs in a number, a negation, a word in the place of another or the order of words is another
//! statement, and so is one with a word more that was asked for: `deploy to staging` and `deploy to production` are
//! alike in all but what matters. So is what another speaker said, and a short turn, whose meaning lies in its
//! neighbours, unless it was said at the same moment: sessions that were resumed or forked have their beginning twice.
//! Episodes are copies only where they went the same way to the same end.

use std::collections::{HashMap, HashSet};
use std::hash::{Hash, Hasher};

use harness_memory::{Body, Record, RecordId};
use rustc_hash::{FxHashSet, FxHasher};

use crate::current::telling_words;
use crate::ranked::Ranked;

/// A turn of fewer words than this is a copy only of one of the same moment: `Yes, thanks!` answers another question each
/// time.
const TURN_WORDS_MIN: usize = 8;

/// Texts of fewer words than this are copies only where they are the same.
const NEAR_WORDS_MIN: usize = 12;

/// Of near copies the shorter has at least this share of the longer's words, all of its own in their order.
const NEAR_SHARE_MIN: f32 = 0.9;

/// The most records that are compared with each other: of a longer answer the end is not read.
const COMPARED_MAX: usize = 120;

/// Beyond twice the hits wanted nothing is compared: reading a text for this costs more than ranking it.
const COMPARED_PER_HIT: usize = 2;

/// Of longer texts this many words are compared; that they go on alike is likely enough.
const WORDS_MAX: usize = 400;

/// Words that turn a statement around.
const NEGATIONS: [&str; 18] = [
    "not", "no", "never", "none", "without", "cannot", "t", "stop", "不", "没", "沒", "無", "别", "別", "未", "안",
    "않", "못",
];

/// What is compared of a record.
struct Told {
    /// Who told it, in what kind of record.
    teller: u64,
    /// The folded text, as one number.
    exact: u64,
    /// Its words in their order.
    words: Vec<u64>,
    /// Numbers and negations, which copies have in common.
    marks: u64,
    near: bool,
}

/// Folds copies among the best into the one that ranks first, which then shows the newest wording. Records that
/// replace each other are told apart and stay. The order is kept. Where a day was asked for, what is of it is shown.
pub(crate) fn fold(ranked: &mut Vec<Ranked>, replaced_by: &HashMap<RecordId, RecordId>, question: &str, limit: usize) {
    let asked = telling_words(question);
    let compared = (COMPARED_PER_HIT * limit).min(COMPARED_MAX);
    let told: Vec<Option<Told>> =
        ranked.iter().take(compared).map(|hit| told(&hit.stored.record, replaced_by)).collect();
    let mut firsts: Vec<usize> = Vec::new();
    let mut gone: HashSet<usize> = HashSet::new();
    for (at, one) in told.iter().enumerate() {
        let Some(one) = one else { continue };
        let same = firsts.iter().find(|&&first| told[first].as_ref().is_some_and(|first| is_copy(first, one, &asked)));
        let Some(&first) = same else {
            firsts.push(at);
            continue;
        };
        gone.insert(at);
        ranked[first].copies += 1;
        if ranked[at].is_shown_before(&ranked[first]) {
            ranked[first].stored = ranked[at].stored.clone();
        }
    }
    for &first in &firsts {
        let hit = &mut ranked[first];
        if hit.copies > 0 {
            let others =
                if hit.copies == 1 { "1 more record says".into() } else { format!("{} more records say", hit.copies) };
            hit.add("copies", 0.0, 1.0, format!("{others} the same; the newest is shown"));
        }
    }
    let mut at = 0;
    ranked.retain(|_| {
        at += 1;
        !gone.contains(&(at - 1))
    });
}

fn is_copy(one: &Told, other: &Told, asked: &WordSet) -> bool {
    if one.teller != other.teller {
        return false;
    }
    if one.exact == other.exact {
        return true;
    }
    if !(one.near && other.near) || one.marks != other.marks {
        return false;
    }
    let (shorter, longer) =
        if one.words.len() <= other.words.len() { (&one.words, &other.words) } else { (&other.words, &one.words) };
    if (shorter.len() as f32) < NEAR_SHARE_MIN * longer.len() as f32 {
        return false;
    }
    // The rest of what is left of the shorter one, while the longer one is gone through.
    let mut left = shorter.iter().peekable();
    let goes_on = longer.iter().all(|word| left.next_if_eq(&word).is_some() || !asked.contains(word));
    goes_on && left.peek().is_none()
}

/// The words of a text, each as a number.
pub(crate) type WordSet = FxHashSet<u64>;

/// The words of a text, folded.
pub(crate) fn word_set(text: &str) -> WordSet {
    let mut words = WordSet::default();
    each_word(text, |word| {
        words.insert(number(word));
    });
    words
}

/// The share of all words of two texts that both have (Jaccard); of two without words nothing.
pub(crate) fn in_common(one: &WordSet, other: &WordSet) -> f32 {
    let both = one.intersection(other).count() as f32;
    let either = (one.len() + other.len()) as f32 - both;
    if either > 0.0 { both / either } else { 0.0 }
}

/// What is compared of this record; `None` where it is a copy of nothing.
fn told(record: &Record, replaced_by: &HashMap<RecordId, RecordId>) -> Option<Told> {
    if record.replaces.is_some() || replaced_by.contains_key(&record.id) {
        return None;
    }
    let mut exact = FxHasher::default();
    let (mut words, mut marks) = (Vec::new(), Vec::new());
    each_word(record.text(), |word| {
        let number = number(word);
        number.hash(&mut exact);
        words.push(number);
        if is_mark(word) {
            marks.push(number);
        }
    });
    if words.is_empty() {
        return None;
    }
    let mut teller = FxHasher::default();
    (record.scope.to_string(), record.kind().code(), record.origin.code()).hash(&mut teller);
    let mut near = words.len() >= NEAR_WORDS_MIN;
    match &record.body {
        Body::Message(message) => {
            (&message.speaker, message.role.code()).hash(&mut teller);
            if words.len() < TURN_WORDS_MIN {
                record.created_at.hash(&mut teller);
            }
        }
        Body::Episode(episode) => {
            near = false;
            (episode.outcome.code(), &episode.user_turns, &episode.reason, &episode.lesson).hash(&mut teller);
            episode.tools.iter().for_each(|used| (&used.tool, &used.gist, &used.ok, &used.error).hash(&mut teller));
        }
        Body::Note(_) | Body::Lesson(_) => {}
    }
    marks.sort_unstable();
    Some(Told { teller: teller.finish(), exact: exact.finish(), marks: number(&marks), words, near })
}

fn is_mark(word: &str) -> bool {
    word.chars().any(char::is_numeric) || NEGATIONS.contains(&word)
}

pub(crate) fn number(value: impl Hash) -> u64 {
    let mut hasher = FxHasher::default();
    value.hash(&mut hasher);
    hasher.finish()
}

/// The words of a text, folded; each character of a script without blanks is one.
#[cfg(test)]
pub(crate) fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    each_word(text, |word| words.push(word.to_owned()));
    words
}

/// Takes the same words one after the other, in the order of the text.
pub(crate) fn each_word(text: &str, mut take: impl FnMut(&str)) {
    let mut word = String::new();
    let mut taken = 0;
    let mut end = |word: &mut String| {
        if !word.is_empty() {
            take(word);
            word.clear();
            taken += 1;
        }
        taken < WORDS_MAX
    };
    for c in text.chars() {
        // Most texts are mostly ASCII, which needs no tables.
        if c.is_ascii_alphanumeric() {
            word.push(c.to_ascii_lowercase());
            continue;
        }
        let (alone, counts) = (c >= '\u{2e80}', !c.is_ascii() && c.is_alphanumeric());
        if (alone || !counts) && !end(&mut word) {
            return;
        }
        if !counts {
            continue;
        }
        if alone {
            word.push(c);
            if !end(&mut word) {
                return;
            }
        } else {
            word.extend(c.to_lowercase());
        }
    }
    end(&mut word);
}

#[cfg(test)]
mod tests {
    use harness_memory::{Message, Note, Origin, Role, Row, Scope, Stored};

    use super::*;

    fn note(row: i64, text: &str) -> Ranked {
        hit(row, Record::new(Scope::root(), "test", Origin::User, Note::new(text)))
    }

    fn said(row: i64, speaker: &str, text: &str) -> Ranked {
        let mut message = Message::new(Role::User, 0, text);
        message.speaker = Some(speaker.to_owned());
        hit(row, Record::new(Scope::root(), "test", Origin::User, message))
    }

    fn hit(row: i64, mut record: Record) -> Ranked {
        record.created_at = jiff::Timestamp::from_second(1_700_000_000 + row).unwrap();
        Ranked::new(Stored { row: Row(row), record, forgotten: None, repeats: None })
    }

    fn folded(mut hits: Vec<Ranked>) -> Vec<(i64, u32)> {
        fold(&mut hits, &HashMap::new(), "staging", 10);
        hits.iter().map(|hit| (hit.stored.row.0, hit.copies)).collect()
    }

    const LONG: &str = "before every release run the migration on a copy of the production database and compare counts";

    #[test]
    fn copies_are_one_hit_with_a_count_in_the_newest_wording() {
        let again = "Before every release, run the migration on a copy of the production database and compare counts!";
        assert_eq!(folded(vec![note(1, LONG), note(2, "another thing"), note(3, again)]), [(3, 1), (2, 0)]);
        let near = format!("{LONG} please");
        assert_eq!(folded(vec![note(1, LONG), note(2, &near)]), [(2, 1)]);
    }

    #[test]
    fn what_differs_in_a_number_or_a_negation_is_another_statement() {
        let numbered = |number: u8| format!("{LONG} within {number} minutes");
        assert_eq!(folded(vec![note(1, &numbered(5)), note(2, &numbered(9))]), [(1, 0), (2, 0)]);
        assert_eq!(folded(vec![note(1, LONG), note(2, &format!("not {LONG}"))]), [(1, 0), (2, 0)]);
        assert_eq!(folded(vec![note(1, "use port 80"), note(2, "use port 81")]), [(1, 0), (2, 0)]);
    }

    #[test]
    fn a_word_in_the_place_of_another_and_words_in_another_order_are_other_statements() {
        let other = LONG.replace("production", "canary");
        assert_eq!(folded(vec![note(1, LONG), note(2, &other)]), [(1, 0), (2, 0)]);
        let turned = LONG.replace("copy of the production database", "database of the production copy");
        assert_eq!(folded(vec![note(1, LONG), note(2, &turned)]), [(1, 0), (2, 0)]);
        // The question of these tests asks for staging.
        let asked = format!("{LONG} staging");
        assert_eq!(folded(vec![note(1, LONG), note(2, &asked)]), [(1, 0), (2, 0)]);
    }

    #[test]
    fn the_beginning_that_two_sessions_share_is_there_once() {
        let at = |row: i64, second: i64| {
            let mut hit = said(row, "Ana", "Yes, thanks!");
            hit.stored.record.created_at = jiff::Timestamp::from_second(second).unwrap();
            hit
        };
        assert_eq!(folded(vec![at(1, 1_700_000_000), at(2, 1_700_000_000), at(3, 1_700_000_900)]), [(2, 1), (3, 0)]);
    }

    #[test]
    fn other_speakers_and_short_turns_keep_their_evidence() {
        assert_eq!(folded(vec![said(1, "Ana", LONG), said(2, "Bo", LONG)]), [(1, 0), (2, 0)]);
        assert_eq!(folded(vec![said(1, "Ana", "Yes, thanks!"), said(2, "Ana", "Yes, thanks!")]), [(1, 0), (2, 0)]);
        assert_eq!(folded(vec![said(1, "Ana", LONG), said(2, "Ana", LONG)]), [(2, 1)]);
    }

    #[test]
    fn a_record_and_what_replaces_it_are_told_apart() {
        let (old, mut new) = (note(1, LONG), note(2, LONG));
        new.stored.record.replaces = Some(old.stored.record.id);
        let replaced = HashMap::from([(old.stored.record.id, new.stored.record.id)]);
        let mut hits = vec![new, old];
        fold(&mut hits, &replaced, "", 10);
        assert_eq!(hits.len(), 2);
    }
}

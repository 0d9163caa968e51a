//! What the arms propose: each index is asked, and its failure degrades the answer and says so.

use std::collections::{BTreeMap, HashSet};

use harness_index::text::Query as TextQuery;
use harness_index::{Candidate, Filter, Index, Search, TextIndex};
use harness_memory::memory::{Degraded, Why};
use harness_memory::{Answer, Row, Store};
use jiff::Timestamp;

use crate::ranked::Proposal;
use crate::when::Days;

/// What the arms are asked.
#[derive(Clone, Copy)]
pub(crate) struct Asked<'q> {
    /// The question, cut to what is searched for.
    pub(crate) text: &'q str,
    /// Which records may be proposed.
    pub(crate) filter: Filter<'q>,
    /// The most candidates of each arm.
    pub(crate) limit: usize,
    /// Whether signs in the question are text like everything else.
    pub(crate) plain: bool,
    /// The question as the text index reads it, where that is known.
    pub(crate) read: Option<&'q TextQuery>,
}

/// What the text index proposes.
#[derive(Default)]
pub(crate) struct Worded {
    /// Best first.
    pub(crate) candidates: Vec<Candidate>,
    /// What a match of a word that no other record has scores.
    pub(crate) rarest: f32,
}

/// The candidates of the text index, best first.
pub(crate) fn text(store: &dyn Store, index: &TextIndex, asked: &Asked, answer: &mut Answer) -> Worded {
    let Asked { text, filter, limit, plain, read } = *asked;
    let search = Search { text, plain, read, vector: None, filter, limit };
    match index.search(store, &search) {
        Ok(found) => {
            answer.lag.insert(index.name().to_owned(), found.lag);
            if found.unsearched > 0 {
                answer.degraded.push(Degraded {
                    arm: index.name().to_owned(),
                    code: "tail-unsearched".to_owned(),
                    hint: format!(
                        "{} records are not indexed yet and did not take part: run `harness index follow`",
                        found.unsearched
                    ),
                });
            }
            answer.degraded.extend(found.cuts.into_iter().map(|cut| Degraded {
                arm: index.name().to_owned(),
                code: cut.code.to_owned(),
                hint: cut.hint,
            }));
            Worded { candidates: found.candidates, rarest: found.rarest }
        }
        Err(error) => {
            answer.degraded.push(Degraded {
                arm: index.name().to_owned(),
                code: "failed".to_owned(),
                hint: format!("the text index did not answer ({error}): run `harness index rebuild`"),
            });
            Worded::default()
        }
    }
}

/// Adds the candidates of these days that the search among everything did not reach. A question for a day may have
/// no other word (`what did we talk about yesterday?`), so that the day is searched for as records spell it.
pub(crate) fn text_of_days(
    store: &dyn Store,
    index: &TextIndex,
    asked: &Asked,
    days: Days,
    candidates: &mut Vec<Candidate>,
    answer: &mut Answer,
) {
    let both = |one: Option<Timestamp>, other: Option<Timestamp>, pick: fn(Timestamp, Timestamp) -> Timestamp| match (
        one, other,
    ) {
        (Some(one), Some(other)) => Some(pick(one, other)),
        (one, other) => one.or(other),
    };
    let filter = Filter {
        since: both(asked.filter.since, days.since(), Timestamp::max),
        until: both(asked.filter.until, days.until(), Timestamp::min),
        ..asked.filter
    };
    let spelled = format!("{} {}", asked.text, days.spelled());
    let asked = Asked { text: &spelled, filter, read: None, ..*asked };
    // What cut or failed the search among everything was said there.
    let said = answer.degraded.len();
    let found = text(store, index, &asked, answer).candidates;
    answer.degraded.truncate(said);
    let known: HashSet<Row> = candidates.iter().map(|candidate| candidate.row).collect();
    let last = candidates.last().map(|candidate| candidate.score);
    // They were not reached, so they fit no better than the last that was.
    candidates.extend(found.into_iter().filter(|candidate| !known.contains(&candidate.row)).map(|candidate| {
        let score = last.map_or(candidate.score, |last| candidate.score.min(last));
        // The days were asked for too: the places of words are those of another question.
        Candidate { score, words: Vec::new(), ..candidate }
    }));
}

/// One arm's candidates as proposals, in their order: the best has the score 1.
pub(crate) fn alone(arm: &str, candidates: Vec<Candidate>) -> Vec<Proposal> {
    let best = candidates.first().map_or(0.0, |candidate| candidate.score);
    let scaled = |score: f32| if best > 0.0 { (score / best).clamp(0.0, 1.0) } else { 0.0 };
    candidates
        .into_iter()
        .map(|candidate| {
            let score = scaled(candidate.score);
            let why = Why { score, weight: 1.0, words: candidate.why };
            let why = BTreeMap::from([(arm.to_owned(), why)]);
            let coverage = candidate.coverage.clamp(0.0, 1.0);
            Proposal { row: candidate.row, score, coverage, passage: candidate.passage, why }
        })
        .collect()
}

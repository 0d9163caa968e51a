//! Proposals of the arms, and the records behind them on their way to an answer.

use std::collections::BTreeMap;

use harness_index::Filter;
use harness_memory::memory::{Degraded, Why};
use harness_memory::{Lookup, Row, Store, Stored};
use jiff::Timestamp;

use crate::error::Result;

/// The part of a score that says that a record is of a day which was asked for.
pub(crate) const DATE: &str = "date";

/// A record that the arms propose together.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Proposal {
    pub(crate) row: Row,
    /// How well it fits, 0 to 1: the best has 1.
    pub(crate) score: f32,
    /// The share of the question that it covers, 0 to 1.
    pub(crate) coverage: f32,
    /// Which of its passages is nearest in meaning, where meaning proposed it.
    pub(crate) passage: Option<u32>,
    /// What each arm said of it.
    pub(crate) why: BTreeMap<String, Why>,
}

/// A record on its way to an answer.
#[derive(Clone, Debug)]
pub(crate) struct Ranked {
    pub(crate) stored: Box<Stored>,
    /// What it ranks by; priors may lift it above 1.
    pub(crate) score: f32,
    /// The share of the question that it covers, 0 to 1.
    pub(crate) coverage: f32,
    /// Which of its passages is nearest in meaning, where meaning proposed it.
    pub(crate) passage: Option<u32>,
    /// Each part of the score, by its name.
    pub(crate) why: BTreeMap<String, Why>,
    /// How many further records say the same and were folded into this one.
    pub(crate) copies: u32,
}

impl Ranked {
    /// A record that no arm proposed: it has no score yet.
    pub(crate) fn new(stored: impl Into<Box<Stored>>) -> Ranked {
        Ranked { stored: stored.into(), score: 0.0, coverage: 0.0, passage: None, why: BTreeMap::new(), copies: 0 }
    }

    /// Adds to the score, and says why.
    pub(crate) fn add(&mut self, part: &str, score: f32, weight: f32, words: String) {
        self.score += score * weight;
        self.why.insert(part.to_owned(), Why { score, weight, words });
    }

    /// Multiplies the score, and says why. The part's score is what was added or taken.
    pub(crate) fn scale(&mut self, part: &str, factor: f32, words: String) {
        let before = self.score;
        self.score *= factor;
        self.why.insert(part.to_owned(), Why { score: self.score - before, weight: 1.0, words });
    }
}

impl Ranked {
    /// Whether of two records that say the same this one is to be shown: the newer, but what is of a day that was asked for
    /// before what is not.
    pub(crate) fn is_shown_before(&self, other: &Ranked) -> bool {
        let rank = |hit: &Ranked| (hit.why.contains_key(DATE), hit.stored.record.created_at, hit.stored.row);
        rank(self) > rank(other)
    }

    /// Puts the score into another measure, with all parts of it.
    pub(crate) fn settle(&mut self, factor: f32) {
        self.score *= factor;
        self.why.values_mut().for_each(|why| why.weight *= factor);
    }
}

/// Which records may be in an answer, checked on what the store says now.
pub(crate) struct Admission<'q> {
    pub(crate) filter: Filter<'q>,
    pub(crate) now: Timestamp,
}

impl Admission<'_> {
    pub(crate) fn allows(&self, stored: &Stored) -> bool {
        self.filter.allows(&stored.record) && stored.record.expires_at.is_none_or(|expires| expires > self.now)
    }
}

/// The records behind proposals, without those that are gone, expired or not to be read.
pub(crate) fn load(
    store: &dyn Store,
    proposals: Vec<Proposal>,
    admission: &Admission,
    degraded: &mut Vec<Degraded>,
) -> Result<Vec<Ranked>> {
    let rows: Vec<Row> = proposals.iter().map(|proposal| proposal.row).collect();
    let records = records(store, &rows, degraded)?;
    let found = proposals.into_iter().zip(records).filter_map(|(proposal, stored)| Some((proposal, stored?)));
    Ok(found
        .filter(|(_, stored)| admission.allows(stored))
        .map(|(Proposal { score, coverage, passage, why, .. }, stored)| Ranked {
            stored,
            score,
            coverage,
            passage,
            why,
            copies: 0,
        })
        .collect())
}

/// Orders records: the best first, equal scores with the newest first.
pub(crate) fn sort(ranked: &mut [Ranked]) {
    ranked.sort_by(|a, b| b.score.total_cmp(&a.score).then(b.stored.row.cmp(&a.stored.row)));
}

/// The records of these rows, in their order; `None` for what is no longer there. Damage is reported.
pub(crate) fn records(
    store: &dyn Store,
    rows: &[Row],
    degraded: &mut Vec<Degraded>,
) -> Result<Vec<Option<Box<Stored>>>> {
    let lookups = store.get_rows(rows)?;
    Ok(rows
        .iter()
        .zip(lookups)
        .map(|(row, lookup)| {
            let damaged = match lookup {
                Lookup::Found(stored) => return Some(stored),
                Lookup::Forgotten(_) => return None,
                Lookup::Missing => format!("record row {} is in the index and not in the store", row.0),
                Lookup::Damaged { id, reason, .. } => {
                    let name = id.map_or(String::new(), |id| format!(" ({id})"));
                    format!("record row {}{name} is damaged: {reason}", row.0)
                }
            };
            degraded.push(Degraded {
                arm: "store".to_owned(),
                code: "record-damaged".to_owned(),
                hint: format!("{damaged}; it was left out: run `harness doctor`"),
            });
            None
        })
        .collect())
}

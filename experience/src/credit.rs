//! Credit: what runs that were given a record say about it.
//!
//! Everything here is computed from trials, that is exposures and how their runs ended, and can be computed again at
//! any time; nothing but the trials is kept. Three questions are answered for each record, each relative to how tasks
//! of the same kind go in runs that were *not* given it:
//!
//! - **Does it help?** A Beta distribution that starts at that rate. A success counts for the records of its run in
//!   equal shares, a failure against them in shares of blame. Ranking uses its lower bound, and starts neutral.
//! - **Is it suspect?** When so few successes would be seen with one harmless record in ten or fewer, it goes on
//!   probation: it is injected in every second run, and with no other record on probation, which tells apart those
//!   that were always injected together.
//! - **Is it harmful?** When so few successes beside its share of failures would be seen with one harmless record in
//!   a hundred, it is quarantined: no longer injected, still found by search, until its credit is started anew.
//!
//! Blame for a failure is shared by the evidence of all runs: who has a record of successes has little of it, who
//! failed in other company has most. A success clears everybody in its run.

pub(crate) mod stats;
pub(crate) mod tasks;

use std::collections::{HashMap, HashSet};

use harness_memory::store::Trial;
use harness_memory::{Outcome, RecordId};
use jiff::Timestamp;
use serde::Serialize;

use stats::Rate;
use tasks::Tasks;

/// Runs that credit is computed from, the newest ones: older ones speak of a world that has changed, and a search in
/// a new process should not wait for them. A record quarantined by older ones gets another chance.
pub const TRIALS_MAX: usize = 4_000;

/// How tasks go while nothing is known: seven in ten reach what was asked, and that counts as much as eight runs.
const ASSUMED: (f64, f64) = (5.6, 2.4);

/// So many runs count what is known of all kinds of task together, beside the runs of one kind.
const ASSUMED_RUNS: f64 = 8.0;

/// What a harmful record leaves of the chance to succeed, for sharing blame. Coarse on purpose: it decides who of a
/// company is more suspect, not who is quarantined.
const HARM_LEAVES: f64 = 0.35;

/// Evidence for or against a record is kept within these bounds (natural logarithms), so that one that has turned
/// harmful does not hide behind its past.
const EVIDENCE_MIN: f64 = -6.0;
const EVIDENCE_MAX: f64 = 12.0;

/// A record is on probation while so few successes would be seen with at most this share of harmless ones…
const PROBATION_AT: f64 = 0.12;

/// …and leaves it when more than this share would show so few.
const PROBATION_ENDS: f64 = 0.25;

/// When a record is looked at, by the runs that were given it, and from which share of harmless ones that would show
/// so few successes on it is quarantined. Looking after every run would find something against everybody in the end:
/// all looks together keep harmless records that are quarantined under two in a hundred (see the simulations).
const LOOKS: &[(u64, u64, f64)] = &[(2, 5, 0.0115), (8, 8, 0.018), (12, 12, 0.002), (16, 16, 0.001), (32, 32, 0.001)];

/// From then on it is looked at whenever its runs have doubled.
const LATER_LOOK: f64 = 0.0005;

/// How much the lower bound moves a record's score, and how far at most.
const MULTIPLIER: (f64, f64) = (0.5, 1.15);

/// How far a record may be injected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Nothing speaks against it.
    #[default]
    Neutral,
    /// It keeps company with failure: injected in every second run, and alone among such records.
    Probation,
    /// It is harmful as far as can be told: no longer injected.
    Quarantined,
}

/// What runs say about one record.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Standing {
    /// How far it may be injected.
    pub state: State,
    /// Runs that were given it and ended in success or failure.
    pub runs: u64,
    /// How many of them succeeded.
    pub successes: u64,
    /// How often tasks of these kinds succeed in runs that were not given it, as far as that is known.
    pub base: f64,
    /// How often they succeed with it: the middle of its Beta distribution, blame and merit shared.
    pub mean: f64,
    /// The lower bound of that.
    pub lower: f64,
    /// What its score in ranking is multiplied with; 1 while nothing is known.
    pub multiplier: f32,
    /// The share of harmless records that would show so few successes, blame shared.
    pub chance: f64,
    /// In how many runs given it had been when it was quarantined.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quarantined_after: Option<u64>,
}

/// What runs say about all records.
#[derive(Debug, Default)]
pub struct Credit {
    standings: HashMap<RecordId, Standing>,
    /// Turns the coin for records on probation, another way after every run.
    turn: u64,
}

impl Credit {
    /// The credit that follows from these trials, oldest first. `resets` name records whose trials before a time do
    /// not count.
    ///
    /// The same trials give the same credit. Runs without an outcome, or with an unknown one, count for nothing.
    pub fn of(trials: &[Trial], resets: &[(RecordId, Timestamp)]) -> Credit {
        let mut ledger = Ledger { resets: resets.iter().copied().collect(), ..Ledger::default() };
        for trial in trials {
            ledger.take(trial);
        }
        ledger.credit()
    }

    /// What is known of a record; `None` when no run that was given it has ended.
    pub fn standing(&self, id: RecordId) -> Option<&Standing> {
        self.standings.get(&id)
    }

    /// All records that something is known of, in no order.
    pub fn standings(&self) -> impl Iterator<Item = (RecordId, &Standing)> {
        self.standings.iter().map(|(id, standing)| (*id, standing))
    }

    /// Whether nothing is known of any record.
    pub fn is_empty(&self) -> bool {
        self.standings.is_empty()
    }

    /// What a record's score in ranking is multiplied with: 1 while nothing is known of it.
    pub fn multiplier(&self, id: RecordId) -> f32 {
        self.standing(id).map_or(1.0, |standing| standing.multiplier)
    }

    /// How far a record may be injected.
    pub fn state(&self, id: RecordId) -> State {
        self.standing(id).map_or(State::Neutral, |standing| standing.state)
    }

    /// Which of these records may be injected together now, one answer for each, in order: none that is quarantined,
    /// and of those on probation at most one, and that in every second run.
    pub fn allowed(&self, ids: &[RecordId]) -> Vec<bool> {
        let on_probation = ids.iter().filter(|id| self.state(**id) == State::Probation);
        // The one that least is known of, so that each of a company gets its turn.
        let chosen = on_probation.min_by_key(|id| (self.standing(**id).map_or(0, |known| known.runs), **id)).copied();
        let chosen = chosen.filter(|id| coin(*id, self.turn));
        ids.iter()
            .map(|id| match self.state(*id) {
                State::Neutral => true,
                State::Probation => chosen == Some(*id),
                State::Quarantined => false,
            })
            .collect()
    }
}

/// Falls one way or the other for each record and turn.
fn coin(id: RecordId, turn: u64) -> bool {
    let mut mixed = turn.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    for byte in id.as_bytes() {
        mixed = (mixed ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    (mixed ^ (mixed >> 29)) & 1 == 0
}

/// Successes and failures of runs.
#[derive(Clone, Copy, Debug, Default)]
struct Count {
    successes: u64,
    failures: u64,
}

impl Count {
    fn add(&mut self, success: bool) {
        if success {
            self.successes += 1;
        } else {
            self.failures += 1;
        }
    }

    fn without(self, other: Count) -> (f64, f64) {
        let rest = |all: u64, part: u64| all.saturating_sub(part) as f64;
        (rest(self.successes, other.successes), rest(self.failures, other.failures))
    }

    fn runs(self) -> u64 {
        self.successes + self.failures
    }
}

/// What is known of one record while trials are gone through.
#[derive(Debug, Default)]
struct Book {
    /// How its runs ended, by kind of task.
    kinds: HashMap<usize, Count>,
    all: Count,
    /// The sum of its shares of successes.
    merit: f64,
    /// The company of each failure, itself included.
    failures: Vec<Vec<RecordId>>,
    /// For and against its being harmful, as the logarithm of a ratio of chances.
    evidence: f64,
    probation: bool,
    quarantined_after: Option<u64>,
}

#[derive(Debug, Default)]
struct Ledger {
    trials: u64,
    tasks: Tasks,
    resets: HashMap<RecordId, Timestamp>,
    kinds: HashMap<usize, Count>,
    all: Count,
    records: HashMap<RecordId, Book>,
}

impl Ledger {
    fn credit(&self) -> Credit {
        let standings = self.records.iter().map(|(id, book)| (*id, self.standing(book))).collect();
        Credit { standings, turn: self.trials }
    }

    fn take(&mut self, trial: &Trial) {
        self.trials += 1;
        let kind = self.tasks.kind(trial.task.as_deref(), &trial.query);
        let success = match trial.outcome {
            Some(Outcome::Success) => true,
            Some(Outcome::Failure) => false,
            Some(Outcome::Unknown) | None => return,
        };
        self.all.add(success);
        self.kinds.entry(kind).or_default().add(success);
        if trial.holdout {
            return;
        }
        let counts = |id: &&RecordId| self.resets.get(id).is_none_or(|from| trial.at >= *from);
        let mut seen = HashSet::new();
        let given: Vec<RecordId> =
            trial.records.iter().filter(counts).filter(|id| seen.insert(**id)).copied().collect();
        for id in &given {
            let book = self.records.entry(*id).or_default();
            book.all.add(success);
            book.kinds.entry(kind).or_default().add(success);
            if success {
                book.merit += 1.0 / given.len() as f64;
            } else {
                book.failures.push(given.clone());
            }
        }
        for id in &given {
            let rate = self.records.get(id).map_or(0.5, |book| self.base(book).mean());
            let Some(book) = self.records.get_mut(id) else { continue };
            let ratio = if success { HARM_LEAVES } else { (1.0 - HARM_LEAVES * rate) / (1.0 - rate).max(0.02) };
            book.evidence = (book.evidence + ratio.ln()).clamp(EVIDENCE_MIN, EVIDENCE_MAX);
        }
        for id in &given {
            let Some(book) = self.records.get(id) else { continue };
            let (probation, quarantined) = self.judged(book);
            let Some(book) = self.records.get_mut(id) else { continue };
            book.probation = probation;
            if quarantined && book.quarantined_after.is_none() {
                book.quarantined_after = Some(book.all.runs());
            }
        }
    }

    /// How tasks like a record's go in runs that were not given it.
    fn base(&self, book: &Book) -> Rate {
        let (successes, failures) = self.all.without(book.all);
        let overall = Rate::new(ASSUMED.0 + successes, ASSUMED.1 + failures).mean();
        let runs = book.all.runs().max(1) as f64;
        let mut base = Rate::new(0.0, 0.0);
        for (kind, own) in &book.kinds {
            let share = own.runs() as f64 / runs;
            let (successes, failures) = self.kinds.get(kind).copied().unwrap_or_default().without(*own);
            base.successes += share * (ASSUMED_RUNS * overall + successes);
            base.failures += share * (ASSUMED_RUNS * (1.0 - overall) + failures);
        }
        base
    }

    /// The sum of a record's shares of blame.
    fn blame(&self, book: &Book) -> f64 {
        let weight = |id: &RecordId| self.records.get(id).map_or(1.0, |book| book.evidence.exp());
        let own = book.evidence.exp();
        book.failures.iter().map(|company| own / company.iter().map(weight).sum::<f64>().max(f64::MIN_POSITIVE)).sum()
    }

    /// Whether a record belongs on probation now, and whether it is to be quarantined.
    fn judged(&self, book: &Book) -> (bool, bool) {
        let runs = book.all.runs();
        if book.all.failures < 2 {
            return (false, false);
        }
        let base = self.base(book);
        let unshared = base.tail(book.all.successes as f64, book.all.failures as f64);
        let probation = unshared <= if book.probation { PROBATION_ENDS } else { PROBATION_AT };
        let look = LOOKS.iter().find(|(first, last, _)| (*first..=*last).contains(&runs)).map(|look| look.2);
        let look = look.or((runs >= 64 && runs.is_power_of_two()).then_some(LATER_LOOK));
        let Some(look) = look.filter(|look| unshared <= *look) else { return (probation, false) };
        (probation, base.tail(book.all.successes as f64, self.blame(book)) <= look)
    }

    fn standing(&self, book: &Book) -> Standing {
        let base = self.base(book);
        let blame = self.blame(book);
        let start = Rate::new(ASSUMED_RUNS * base.mean(), ASSUMED_RUNS * (1.0 - base.mean()));
        let now = Rate::new(start.successes + book.merit, start.failures + blame);
        let moved = 1.0 + now.lower() - start.lower();
        Standing {
            state: match (book.quarantined_after, book.probation) {
                (Some(_), _) => State::Quarantined,
                (None, true) => State::Probation,
                (None, false) => State::Neutral,
            },
            runs: book.all.runs(),
            successes: book.all.successes,
            base: base.mean(),
            mean: now.mean(),
            lower: now.lower(),
            multiplier: moved.clamp(MULTIPLIER.0, MULTIPLIER.1) as f32,
            chance: base.tail(book.all.successes as f64, blame),
            quarantined_after: book.quarantined_after,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;

//! Whether memory helps, for which kinds of task, and which records carry it, or that it is not yet known.

use std::collections::BTreeMap;

use harness_memory::store::Trial;
use harness_memory::{Outcome, RecordId};
use jiff::Timestamp;
use serde::Serialize;

use crate::credit::tasks::Tasks;
use crate::credit::{Credit, Standing, State, stats};

/// With fewer runs on either side nothing is said about an effect.
const RUNS_MIN: u64 = 5;

/// Kinds of task and records that a report lists at most: the rest is counted.
const LISTED_MAX: usize = 20;

/// A record carries success when its lower bound lies above how such tasks go anyway, after at least so many runs.
const CARRIES_RUNS_MIN: u64 = 3;

/// What a comparison comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Finding {
    /// The whole interval lies above zero.
    #[serde(rename = "helps")]
    Helps,
    /// The whole interval lies below zero.
    #[serde(rename = "harms")]
    Harms,
    /// Neither, or too few runs.
    #[serde(rename = "not yet known")]
    NotYetKnown,
}

/// Runs with memory beside runs of the holdout.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Effect {
    /// What can be said.
    pub finding: Finding,
    /// Runs that were given something and ended in success or failure, and how many succeeded.
    pub with_memory: Runs,
    /// Runs of the holdout.
    pub without: Runs,
    /// How much more often runs with memory succeed; `None` with too few runs on either side.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub difference: Option<Interval>,
}

/// Runs and how many of them succeeded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Runs {
    /// Runs that ended in success or failure.
    pub runs: u64,
    /// Those that succeeded.
    pub successes: u64,
}

/// An estimate with its 90 % interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Interval {
    /// The difference as it was seen.
    pub estimate: f64,
    /// The interval's lower end.
    pub low: f64,
    /// The interval's upper end.
    pub high: f64,
}

/// What is said of one record.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RecordReport {
    /// The record.
    pub id: RecordId,
    /// What runs say about it.
    #[serde(flatten)]
    pub standing: Standing,
}

/// What is said of one kind of task.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TaskReport {
    /// Its name, or the first task of its kind.
    pub task: String,
    /// What memory does for it.
    #[serde(flatten)]
    pub effect: Effect,
}

/// What is known of all runs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// The share of runs that are given nothing.
    pub holdout: f64,
    /// Runs that were looked at.
    pub runs: u64,
    /// Runs whose outcome nobody said: they count for nothing.
    pub unknown: u64,
    /// What memory does in all.
    #[serde(flatten)]
    pub effect: Effect,
    /// The same for each kind of task, the most frequent first.
    pub tasks: Vec<TaskReport>,
    /// The records that carry success, the most first.
    pub carried_by: Vec<RecordReport>,
    /// Records on probation.
    pub probation: Vec<RecordReport>,
    /// Records that are no longer injected.
    pub quarantined: Vec<RecordReport>,
}

#[derive(Default)]
struct Arms {
    with: Runs,
    without: Runs,
}

impl Arms {
    fn add(&mut self, holdout: bool, success: bool) {
        let arm = if holdout { &mut self.without } else { &mut self.with };
        arm.runs += 1;
        arm.successes += u64::from(success);
    }

    fn effect(&self) -> Effect {
        let enough = self.with.runs.min(self.without.runs) >= RUNS_MIN;
        let difference = enough.then(|| {
            let pair = |runs: Runs| (runs.successes, runs.runs);
            let (estimate, low, high) = stats::difference(pair(self.with), pair(self.without));
            Interval { estimate, low, high }
        });
        let finding = match difference {
            Some(interval) if interval.low > 0.0 => Finding::Helps,
            Some(interval) if interval.high < 0.0 => Finding::Harms,
            _ => Finding::NotYetKnown,
        };
        Effect { finding, with_memory: self.with, without: self.without, difference }
    }
}

impl Report {
    /// The report over these trials, oldest first.
    ///
    /// The two sides are the runs that would have been given something: chance alone decided which were held out, so
    /// that their difference is memory's doing. Runs for which nothing fitted are on neither side.
    pub fn of(trials: &[Trial], resets: &[(RecordId, Timestamp)], holdout: f64) -> Report {
        let credit = Credit::of(trials, resets);
        let mut tasks = Tasks::default();
        let (mut all, mut by_task, mut unknown) = (Arms::default(), BTreeMap::<usize, Arms>::new(), 0);
        for trial in trials {
            let kind = tasks.kind(trial.task.as_deref(), &trial.query);
            let success = match trial.outcome {
                Some(Outcome::Success) => true,
                Some(Outcome::Failure) => false,
                Some(Outcome::Unknown) | None => {
                    unknown += 1;
                    continue;
                }
            };
            if !trial.records.is_empty() {
                all.add(trial.holdout, success);
                by_task.entry(kind).or_default().add(trial.holdout, success);
            }
        }
        let mut tasks: Vec<TaskReport> = by_task
            .iter()
            .map(|(kind, arms)| TaskReport { task: tasks.name(*kind).to_owned(), effect: arms.effect() })
            .collect();
        tasks.sort_by_key(|task| std::cmp::Reverse(task.effect.with_memory.runs + task.effect.without.runs));
        tasks.truncate(LISTED_MAX);
        let listed = |keep: &dyn Fn(&Standing) -> bool, key: &dyn Fn(&Standing) -> f64| -> Vec<RecordReport> {
            let mut found: Vec<RecordReport> = credit
                .standings()
                .filter(|(_, standing)| keep(standing))
                .map(|(id, standing)| RecordReport { id, standing: *standing })
                .collect();
            found.sort_by(|a, b| key(&b.standing).total_cmp(&key(&a.standing)).then(a.id.cmp(&b.id)));
            found.truncate(LISTED_MAX);
            found
        };
        let suspicion = |standing: &Standing| -standing.chance;
        Report {
            holdout,
            runs: trials.len() as u64,
            unknown,
            effect: all.effect(),
            tasks,
            carried_by: listed(
                &|standing| {
                    standing.state == State::Neutral
                        && standing.runs >= CARRIES_RUNS_MIN
                        && standing.lower > standing.base
                },
                &|standing| standing.lower - standing.base,
            ),
            probation: listed(&|standing| standing.state == State::Probation, &suspicion),
            quarantined: listed(&|standing| standing.state == State::Quarantined, &suspicion),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credit::tests::{Dice, rounds, trial};

    #[test]
    fn the_interval_of_the_holdout_effect_covers_the_truth() {
        for (with, without, share, runs) in [
            (0.9, 0.6, 0.1, 200),
            (0.7, 0.7, 0.2, 100),
            (0.5, 0.4, 0.3, 60),
            (0.95, 0.3, 0.1, 120),
            (0.3, 0.5, 0.5, 40),
        ] {
            let (mut covered, mut all) = (0, 0);
            for seed in 0..rounds(200) {
                let mut dice = Dice::new(seed + 99_000);
                let record = RecordId::new();
                let trials: Vec<Trial> = (0..runs)
                    .map(|number| {
                        let holdout = dice.roll() < share;
                        let success = dice.roll() < if holdout { without } else { with };
                        Trial { holdout, ..trial(number, &[record], success) }
                    })
                    .collect();
                let Some(interval) = Report::of(&trials, &[], share).effect.difference else { continue };
                all += 1;
                covered += u64::from(interval.low <= with - without && with - without <= interval.high);
            }
            let covered = covered as f64 / all as f64;
            println!("with {with}, without {without}, {share} of {runs} runs held out: {covered:.3} covered of {all}");
            // A few rounds leave chance some room; all of them do not.
            let floor = if all >= 900 { 0.88 } else { 0.83 };
            assert!(covered >= floor, "{with} {without}: {covered}");
        }
    }

    #[test]
    fn too_few_runs_are_not_yet_known_and_many_name_what_carries() {
        let good = RecordId::new();
        let few: Vec<Trial> = (0..6).map(|n| trial(n, &[good], true)).collect();
        assert_eq!(Report::of(&few, &[], 0.1).effect.finding, Finding::NotYetKnown);
        let many: Vec<Trial> =
            (0..80).map(|n| Trial { holdout: n % 4 == 0, ..trial(n, &[good], n % 4 != 0 || n % 8 == 0) }).collect();
        let report = Report::of(&many, &[], 0.25);
        assert_eq!(report.effect.finding, Finding::Helps);
        assert_eq!(report.carried_by.first().map(|carried| carried.id), Some(good));
        assert_eq!(report.tasks.len(), 1);
    }
}

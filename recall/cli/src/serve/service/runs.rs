//! What was injected into runs, and how they ended.

use harness_memory::store::{Exposure, Trial};
use harness_memory::{Memory, RecordId, Store};
use jiff::Timestamp;
use tracing::Instrument;

use super::Service;
use crate::serve::grant::Grant;
use crate::serve::problem::Problem;
use crate::serve::types::{Done, ExposureRequest, OutcomeRequest, RecordExposure, RecordExposures};

/// So many of the last runs are looked at for one record: years of one person's work.
const TRIALS_LOOKED_AT: usize = 20_000;

/// The most runs that are named for one record.
const EXPOSURES_MAX: usize = 100;

/// The longest name of a run or of a kind of task, in characters: tools use UUIDs and short paths.
const RUN_CHARS_MAX: usize = 512;

impl Service {
    /// Notes that records were given to a run.
    pub(crate) async fn expose(&self, grant: &Grant, request: ExposureRequest) -> Result<Done, Problem> {
        grant.check_write()?;
        check_run(&request.run)?;
        if request.task.as_ref().is_some_and(|task| task.chars().count() > RUN_CHARS_MAX) {
            return Err(Problem::bad_request(format!("a task's name has at most {RUN_CHARS_MAX} characters")));
        }
        let (reads, run, ids) = (grant.reads.clone(), request.run.clone(), request.records);
        // A record of the run's own session tells of the run, and is not credited with it. The store knows that by the
        // name of the run, which for a bound token is kept under another.
        let records: Vec<RecordId> = self
            .blocking(move |service| {
                let mut given = Vec::with_capacity(ids.len());
                for id in ids {
                    let stored = service.visible(id, &reads)?;
                    if stored.record.session.as_deref() != Some(run.as_str()) {
                        given.push(id);
                    }
                }
                Ok(given)
            })
            .await?;
        let exposure = Exposure {
            at: request.at.map_or_else(Timestamp::now, |time| time.0),
            task: request.task,
            holdout: request.holdout,
            ..Exposure::new(grant.run(&request.run), request.query, records)
        };
        let span = memory_span!("expose_memory", gen_ai.memory.record.count = exposure.records.len());
        self.memory(grant.reads.clone(), grant.home_scope.clone()).expose(exposure).instrument(span).await?;
        Ok(Done { run: request.run })
    }

    /// The runs that a record was given to, and how they ended.
    pub(crate) async fn exposures(&self, grant: &Grant, id: RecordId) -> Result<RecordExposures, Problem> {
        let grant = grant.clone();
        self.blocking(move |service| {
            service.visible(id, &grant.reads)?;
            let trials = service.engine().store().trials(TRIALS_LOOKED_AT)?;
            let given = trials.into_iter().rev().filter(|trial| !trial.holdout && trial.records.contains(&id));
            let exposure = |trial: Trial| match grant.own_run(&trial.run) {
                Some(run) => RecordExposure {
                    run,
                    at: trial.at,
                    query: trial.query,
                    outcome: trial.outcome,
                    reason: trial.reason,
                },
                // What was asked, what the run is called and what says how it ended may be somebody else's words.
                None => RecordExposure {
                    run: String::new(),
                    at: trial.at,
                    query: String::new(),
                    outcome: trial.outcome,
                    reason: None,
                },
            };
            Ok(RecordExposures { exposures: given.take(EXPOSURES_MAX).map(exposure).collect() })
        })
        .await
    }

    /// Notes how a run ended.
    pub(crate) async fn credit(&self, grant: &Grant, run: String, request: OutcomeRequest) -> Result<Done, Problem> {
        grant.check_write()?;
        check_run(&run)?;
        let memory = self.memory(grant.reads.clone(), grant.home_scope.clone());
        let span = memory_span!("credit_memory");
        memory.credit(grant.run(&run), request.outcome, request.reason).instrument(span).await?;
        Ok(Done { run })
    }
}

fn check_run(run: &str) -> Result<(), Problem> {
    if run.trim().is_empty() || run.chars().count() > RUN_CHARS_MAX {
        return Err(Problem::bad_request(format!("a run's name has 1 to {RUN_CHARS_MAX} characters")));
    }
    Ok(())
}

//! Before a run: what helped in situations like this one, within a deadline, and noted as given.

use std::time::Duration;

use harness_memory::store::Exposure;
use harness_memory::{ContextQuery, Memory, RecordId};

/// How long recall may take before a run; then the run goes on without it.
pub const DEADLINE: Duration = Duration::from_millis(300);

/// How many tokens what is injected may take: a few good items, far below what makes an agent lose its thread.
pub const BUDGET_TOKENS: usize = 1_500;

/// How a run is given its context.
#[derive(Clone, Debug)]
pub struct Inject {
    /// Tokens that the context may take at most; 0 injects nothing.
    pub budget_tokens: usize,
    /// How long recall may take.
    pub deadline: Duration,
    /// The share of runs that are given nothing, so that what memory does can be told.
    pub holdout: f64,
    /// What kind of task it is, where the caller knows; else it is told from the task's words.
    pub task_kind: Option<String>,
    /// The session that asks, whose own records are left out: it has them in front of it already.
    pub without_session: Option<String>,
}

impl Default for Inject {
    fn default() -> Inject {
        Inject {
            budget_tokens: BUDGET_TOKENS,
            deadline: DEADLINE,
            holdout: 0.0,
            task_kind: None,
            without_session: None,
        }
    }
}

/// What a run was given.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Injected {
    /// The block for the prompt, in its marker; empty when nothing fits, or in the holdout.
    pub text: String,
    /// The records in it, or those that were held back.
    pub records: Vec<RecordId>,
    /// Whether the run is in the holdout.
    pub holdout: bool,
    /// Why there is nothing, where that is not because nothing fits.
    pub missing: Option<String>,
}

impl Inject {
    /// The context for a task: the situation's own text is the question. Exposures are noted for the run, also that
    /// nothing was given, so that runs without memory count as such.
    ///
    /// A memory that fails or takes too long costs the run its context, never the run: `missing` says why.
    pub async fn before(&self, memory: &dyn Memory, run: &str, task: &str) -> Injected {
        let mut injected = Injected::default();
        if self.budget_tokens == 0 {
            return injected;
        }
        let query = ContextQuery {
            without_session: self.without_session.clone(),
            ..ContextQuery::new(task, self.budget_tokens)
        };
        let asked = memory.context(query);
        match tokio::time::timeout(self.deadline, asked).await {
            Ok(Ok(context)) => {
                injected.holdout = !context.records.is_empty() && is_held_out(run, self.holdout);
                injected.text = if injected.holdout { String::new() } else { context.text };
                injected.records = context.records;
            }
            Ok(Err(error)) => injected.missing = Some(format!("recall failed: {error}")),
            Err(_) => {
                let reason = format!("recall took longer than {} ms", self.deadline.as_millis());
                injected.missing = Some(reason);
            }
        }
        let exposure = Exposure {
            holdout: injected.holdout,
            task: self.task_kind.clone(),
            ..Exposure::new(run, task, injected.records.clone())
        };
        if let Err(error) = memory.expose(exposure).await {
            tracing::warn!(%error, "what the run was given is not noted, so that it will not be credited");
        }
        injected
    }
}

/// Whether a run belongs to the holdout: decided by its id alone, so that asking again answers the same.
pub fn is_held_out(run: &str, share: f64) -> bool {
    // FNV-1a with a last mix: ids that count up must not fall on one side.
    let mut hash = run
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^= hash >> 33;
    ((hash >> 11) as f64 / (1_u64 << 53) as f64) < share
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_holdout_is_the_share_that_was_asked_for_and_the_same_each_time() {
        let held = (0..10_000).filter(|n| is_held_out(&format!("run-{n}"), 0.1)).count();
        assert!((900..1_100).contains(&held), "{held}");
        assert_eq!((0..1_000).filter(|n| is_held_out(&format!("{n}"), 0.0)).count(), 0);
        assert_eq!(is_held_out("a", 0.5), is_held_out("a", 0.5));
    }
}

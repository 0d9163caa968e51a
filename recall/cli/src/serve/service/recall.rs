//! Questions and contexts.

use std::collections::BTreeMap;

use harness_memory::memory::Degraded;
use harness_memory::{Answer, Context, ContextQuery, Memory, Mode, Query};
use harness_recall::{LocalMemory, tokens};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use tracing::field::Empty;
use tracing::{Instrument, Span};

use super::Service;
use crate::serve::grant::Grant;
use crate::serve::problem::Problem;
use crate::serve::trace::query_text_wanted;
use crate::serve::types::input::Parsed;
use crate::serve::types::{ContextRequest, RecallRequest};
use crate::when::Present;

impl Service {
    /// The hits for a question.
    pub(crate) async fn recall(&self, grant: &Grant, request: RecallRequest) -> Result<Answer, Problem> {
        if request.query.trim().is_empty() {
            return Err(harness_recall::Error::EmptyQuery.into());
        }
        let scopes: Vec<_> = request.scopes.iter().map(|scope| scope.0.clone()).collect();
        let reads = grant.narrowed(&scopes);
        let (mode, strict) = match request.mode {
            Some(mode) => (mode, !request.allow_degraded),
            None => (Mode::default(), false),
        };
        let (now, time_zone) = present(request.now);
        let query = Query {
            limit: request.limit.get(),
            kinds: request.kinds,
            session: request.session,
            without_session: request.without_session,
            since: request.since.map(|time| time.0),
            until: request.until.map(|time| time.0),
            mode,
            now,
            time_zone,
            by_session: request.by_session,
            ..Query::new(request.query)
        };
        let budget = request.budget_tokens.map(|budget| budget.get());
        let (explain, everything) = (request.explain, grant.is_everything());
        self.question(move |service| {
            let span = searching(&query.text);
            let _entered = span.enter();
            let mut answer = match service.engine().recall(&query, &reads) {
                // Meaning alone is not to be had, and the caller takes text for it.
                Err(harness_recall::Error::NoModel | harness_recall::Error::Model { .. }) if !strict => {
                    service.engine().recall(&Query { mode: Mode::Hybrid, ..query }, &reads)?
                }
                answer => answer?,
            };
            service.saw_meaning(&answer);
            span.record("gen_ai.memory.record.count", answer.hits.len());
            span.record("harness.confidence", f64::from(answer.confidence));
            // What the model does not understand is answered from text, rightly; what it cannot be asked is not there.
            let missing = |part: &&Degraded| {
                part.arm == "vector" && part.code != "not-understood" && part.code != "tail-unsearched"
            };
            if strict
                && mode != Mode::Text
                && let Some(part) = answer.degraded.iter().find(missing)
            {
                let hint = "ask for `text`, leave the mode out, or allow_degraded";
                return Err(Problem::conflict("no-model", format!("{}; {hint}", part.hint)));
            }
            if let Some(budget) = budget {
                within_budget(&mut answer, budget);
            }
            if !everything {
                // How far the indexes are behind counts everybody's records.
                answer.lag = BTreeMap::new();
            }
            if !explain {
                answer.hits.iter_mut().for_each(|hit| hit.why = BTreeMap::new());
            }
            Ok(answer)
        })
        .await
    }

    /// Notes what an answer says of the model, where it says anything.
    fn saw_meaning(&self, answer: &Answer) {
        match answer.degraded.iter().find(|part| part.code == "model-failed") {
            Some(part) => self.saw_model(Some(part.hint.clone())),
            // Vectors answered.
            None if answer.lag.contains_key("vector") => self.saw_model(None),
            None => {}
        }
    }

    /// The block that would be injected for a task.
    pub(crate) async fn context(&self, grant: &Grant, request: ContextRequest) -> Result<Context, Problem> {
        if request.task.trim().is_empty() {
            return Err(Problem::bad_request("the task is empty: say what it is"));
        }
        let scopes: Vec<_> = request.scopes.iter().map(|scope| scope.0.clone()).collect();
        let reads = grant.narrowed(&scopes);
        let (now, time_zone) = present(request.now);
        let asked = ContextQuery {
            without_session: request.without_session,
            kinds: request.kinds,
            since: request.since.map(|time| time.0),
            until: request.until.map(|time| time.0),
            now,
            time_zone,
            ..ContextQuery::new(request.task, request.budget_tokens.get())
        };
        let service = self.clone();
        let turn = self.turn().await?;
        let memory = service.memory(reads, grant.home_scope.clone());
        let span = searching(&asked.task);
        let context = memory.context(asked).instrument(span).await?;
        drop(turn);
        Ok(context)
    }

    /// The agents' handle, for what it does beyond the store.
    pub(super) fn memory(&self, reads: harness_memory::ReadSet, writes: harness_memory::Scope) -> LocalMemory {
        LocalMemory::new(self.inner.engine.clone(), reads, writes)
    }
}

/// The present that a caller gives, or that of this machine.
fn present(given: Option<Parsed<Present>>) -> (Option<Timestamp>, TimeZone) {
    match given {
        Some(Parsed(Present { at, time_zone })) => (Some(at), time_zone),
        None => (None, TimeZone::system()),
    }
}

/// The span of a search; its text is in it only where that is wanted.
fn searching(text: &str) -> Span {
    let span = memory_span!(
        "search_memory",
        gen_ai.memory.record.count = Empty,
        gen_ai.memory.query.text = Empty,
        harness.confidence = Empty,
    );
    if query_text_wanted() {
        span.record("gen_ai.memory.query.text", text);
    }
    span
}

/// Leaves out the hits from the first on whose text no longer fits.
fn within_budget(answer: &mut Answer, budget_tokens: usize) {
    let mut left = budget_tokens;
    let fit = answer.hits.iter().take_while(|hit| {
        let tokens = tokens::at_most(&hit.text);
        let fits = tokens <= left;
        left = left.saturating_sub(tokens);
        fits
    });
    let fit = fit.count();
    answer.hits.truncate(fit);
}

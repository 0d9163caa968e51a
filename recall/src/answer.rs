//! From a query to an answer: proposals of the arms, the records behind them, ranking, hits.

use harness_index::text::Query as TextQuery;
use harness_index::{Filter, TextIndex};
use harness_memory::memory::{Degraded, HITS_MAX, QUERY_BYTES_MAX};
use harness_memory::{Answer, Mode, Query, ReadSet, Store};
use jiff::Timestamp;

use crate::arms::{self, Asked};
use crate::error::{Error, Result};
use crate::ranked::{self, Admission};
use crate::weights::Weights;
use crate::{confidence, conversation, copies, current, hit, named, outcome, when};

/// Candidates asked of an index beyond the hits wanted: some are dropped (expired, forgotten meanwhile),
/// and priors may lift one from below.
const CANDIDATES_SPARE: usize = 30;

/// The answer to a query within a read set.
pub(crate) fn recall(
    store: &dyn Store,
    text: &TextIndex,
    weights: &Weights,
    query: &Query,
    reads: &ReadSet,
) -> Result<Answer> {
    if query.text.trim().is_empty() {
        return Err(Error::EmptyQuery);
    }
    let mut answer = Answer::default();
    let question = cut(&query.text, &mut answer.degraded);
    let reads = match &query.scopes {
        Some(narrower) => reads.intersect(narrower),
        None => reads.clone(),
    };
    let now = query.now.unwrap_or_else(Timestamp::now);
    let limit = query.limit.min(HITS_MAX);
    let filter = Filter {
        reads: &reads,
        kinds: &query.kinds,
        session: query.session.as_deref(),
        since: query.since,
        until: query.until,
    };
    let days = when::days(question, now);
    let proposals = match query.mode {
        Mode::Vector => Vec::new(),
        Mode::Hybrid | Mode::Text => {
            let asked = Asked { text: question, filter, limit: (limit + CANDIDATES_SPARE).max(weights.candidates) };
            let mut candidates = arms::text(store, text, &asked, &mut answer);
            for days in &days {
                arms::text_of_days(store, text, &asked, *days, &mut candidates, &mut answer);
            }
            arms::alone("text", candidates)
        }
    };
    if query.mode != Mode::Text {
        answer.degraded.push(Degraded {
            arm: "vector".to_owned(),
            code: "no-model".to_owned(),
            hint: "this version searches by text only; recall by meaning is not there yet".to_owned(),
        });
    }
    // The index was asked for what may be read; what the store says now decides.
    answer.confidence = confidence::of(&proposals, weights);
    let admission = Admission { filter, now };
    let mut ranked = ranked::load(store, proposals, &admission, &mut answer.degraded)?;
    conversation::weigh_roles(&mut ranked, weights);
    conversation::spread(store, &mut ranked, &admission, weights, &mut answer.degraded)?;
    named::prefer(&mut ranked, question, weights);
    when::prefer(&mut ranked, &days, weights);
    when::prefer_recent(&mut ranked, now, weights);
    outcome::prefer_successes(&mut ranked, weights);
    let replaced_by = current::successors(store, &ranked)?;
    current::rank_below_successors(&mut ranked, &replaced_by, weights);
    ranked::sort(&mut ranked);
    current::prefer_newer(&mut ranked, &replaced_by, question, weights);
    copies::fold(&mut ranked, &replaced_by, limit);
    ranked.truncate(limit);
    let most = ranked.first().map_or(0.0, |hit| hit.score);
    let parsed = TextQuery::parse(question);
    answer.hits = ranked
        .into_iter()
        .map(|ranked| {
            let next = replaced_by.get(&ranked.stored.record.id).copied();
            hit::hit(ranked, next, &parsed, most)
        })
        .collect();
    Ok(answer)
}

/// The query's text up to the limit, on a character boundary.
fn cut<'q>(text: &'q str, degraded: &mut Vec<Degraded>) -> &'q str {
    if text.len() <= QUERY_BYTES_MAX {
        return text;
    }
    degraded.push(Degraded {
        arm: "query".to_owned(),
        code: "query-cut".to_owned(),
        hint: format!("the query has {} bytes; the first {QUERY_BYTES_MAX} were searched for", text.len()),
    });
    &text[..text.floor_char_boundary(QUERY_BYTES_MAX)]
}

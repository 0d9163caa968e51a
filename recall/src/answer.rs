//! From a query to an answer: proposals of the arms, the records behind them, ranking, hits.

use harness_experience::Credit;
use harness_index::meaning::VECTOR;
use harness_index::text::{Query as TextQuery, TEXT};
use harness_index::{Filter, TextIndex};
use harness_memory::memory::{Degraded, HITS_MAX, QUERY_BYTES_MAX};
use harness_memory::{Answer, Mode, Query, ReadSet, Row, Store};
use jiff::Timestamp;

use crate::arms::{self, Asked, Worded};
use crate::confidence::Evidence;
use crate::conversation::Nearness;
use crate::error::{Error, Result};
use crate::fusion::Fused;
use crate::meaning::Meaning;
use crate::ranked::{self, Admission};
use crate::rerank::Reranking;
use crate::sessions::Words;
use crate::weights::Weights;
use crate::{
    confidence, conversation, copies, credit, current, fusion, hit, named, outcome, repeats, sessions, situations, when,
};

/// Candidates asked of an index beyond the hits wanted: some are dropped (expired, forgotten meanwhile),
/// and priors may lift one from below.
const CANDIDATES_SPARE: usize = 30;

/// What an answer is drawn from.
pub(crate) struct Arms<'e> {
    pub(crate) store: &'e dyn Store,
    pub(crate) text: &'e TextIndex,
    pub(crate) meaning: &'e Meaning,
    pub(crate) reranking: Option<&'e Reranking>,
    /// What runs say about records.
    pub(crate) credit: &'e Credit,
}

/// The answer to a query within a read set; where it is to be `distinct`, without turns that say another of their
/// session again.
pub(crate) fn recall(arms: &Arms, weights: &Weights, query: &Query, reads: &ReadSet, distinct: bool) -> Result<Answer> {
    let Arms { store, text, meaning, reranking, credit } = *arms;
    if query.text.trim().is_empty() {
        return Err(Error::EmptyQuery);
    }
    let of_sessions;
    let weights = if query.by_session {
        of_sessions = Weights { meaning_sharpness: weights.session_sharpness, ..weights.clone() };
        &of_sessions
    } else {
        weights
    };
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
        without_session: query.without_session.as_deref(),
        since: query.since,
        until: query.until,
    };
    let dated = when::read(question, now, &query.time_zone, query.plain);
    let searched = dated.searched(question);
    // Where nothing is found by meaning, text alone answers.
    let both = query.mode == Mode::Hybrid && meaning.is_on();
    let candidates = if both { weights.candidates_hybrid } else { weights.candidates };
    let wanted = (limit + CANDIDATES_SPARE).max(candidates);
    let read = TextQuery::read(searched, query.plain);
    let asked = Asked { text: searched, filter, limit: wanted, plain: query.plain, read: Some(&read) };
    let text_arm = |answer: &mut Answer| {
        let mut worded = arms::text(store, text, &asked, answer);
        for period in &dated.periods {
            arms::text_of_days(store, text, &asked, period, &mut worded, answer);
        }
        worded
    };
    let of_days = match dated.only_days && query.mode != Mode::Vector {
        true => arms::of_days(store, text, &asked, &dated, &mut answer),
        false => Vec::new(),
    };
    let (mut worded, said) = match query.mode {
        // The days have records, and nothing else is asked for.
        _ if !of_days.is_empty() => (Worded::default(), None),
        Mode::Text => (text_arm(&mut answer), None),
        // Who asks for meaning alone is told what is wrong with it; others are answered from text, and told too.
        Mode::Vector => (Worded::default(), meaning.ask(store, &asked, true, &mut answer)?),
        // Nobody has to be waited for: a thread would cost more than what it says.
        Mode::Hybrid if !both => {
            let worded = text_arm(&mut answer);
            (worded, meaning.ask(store, &asked, false, &mut answer)?)
        }
        Mode::Hybrid => {
            // Text answers while the question's vector is made, here or elsewhere.
            let mut beside = Answer::default();
            let (worded, said) = std::thread::scope(|scope| {
                let said = scope.spawn(|| meaning.ask(store, &asked, false, &mut beside));
                let worded = text_arm(&mut answer);
                (worded, said.join())
            });
            answer.lag.extend(beside.lag);
            answer.degraded.extend(beside.degraded);
            let said = said.unwrap_or_else(|_| {
                // A bug of ours; text answers all the same.
                answer.degraded.push(Degraded {
                    arm: VECTOR.to_owned(),
                    code: "failed".to_owned(),
                    hint: "searching by meaning ended early; searched by text only".to_owned(),
                });
                Ok(None)
            });
            (worded, said?)
        }
    };
    let agreement = said.as_ref().map(|said| {
        let rows: Vec<Row> = worded.candidates.iter().map(|candidate| candidate.row).collect();
        let nearness = said.scores(&rows);
        let agreed = fusion::agreement(&worded.candidates, said, &nearness, weights);
        (nearness, agreed)
    });
    let meant = said.as_ref().zip(agreement.as_ref().map(|(_, agreed)| *agreed));
    answer.confidence = match (dated.only_days, of_days.is_empty()) {
        (true, false) => confidence::OF_THE_DAYS,
        (true, true) if query.mode != Mode::Vector => confidence::NOTHING_OF_THE_DAYS,
        _ => Evidence::of(&worded, meant, weights).confidence(weights),
    };
    let words = Words::of(&mut worded);
    let only_of_days = !of_days.is_empty();
    let Fused { proposals, measure, best, meant } = match (&said, agreement) {
        _ if only_of_days => Fused { proposals: of_days, measure: None, best: 1.0, meant: 0.0 },
        (Some(said), _) if query.mode == Mode::Vector => fusion::meaning_alone(said, weights),
        (Some(said), Some((nearness, agreed))) => {
            fusion::fuse(worded, said, &nearness, agreed, read.has_operators(), weights)
        }
        _ => Fused { proposals: arms::alone(TEXT, worded.candidates), measure: None, best: 1.0, meant: 0.0 },
    };
    // The index was asked for what may be read; what the store says now decides.
    let admission = Admission { filter, now };
    let mut ranked = ranked::load(store, proposals, &admission, &mut answer.degraded)?;
    conversation::weigh_roles(&mut ranked, weights);
    let nearness = said.as_ref().zip(measure).map(|(said, measure)| Nearness { said, measure, best });
    if !only_of_days {
        conversation::spread(store, &mut ranked, nearness, &admission, weights, &mut answer.degraded)?;
    }
    if let Some(reranking) = reranking {
        reranking.rerank(&mut ranked, question, &mut answer.degraded);
    }
    named::prefer(&mut ranked, question, weights);
    if !only_of_days {
        when::prefer(&mut ranked, &dated, weights);
    }
    when::prefer_recent(&mut ranked, now, weights);
    situations::share(&mut ranked, weights);
    outcome::prefer_successes(&mut ranked, weights);
    credit::weigh(&mut ranked, credit);
    let mut replaced_by = current::successors(store, &ranked, &reads)?;
    current::bring_successors(store, &mut ranked, &mut replaced_by, &admission)?;
    current::lift_successors(&mut ranked, &replaced_by);
    current::rank_below_successors(&mut ranked, &replaced_by, weights);
    ranked::sort(&mut ranked);
    current::prefer_newer(&mut ranked, &replaced_by, &words, weights);
    repeats::fold(&mut ranked);
    copies::fold(&mut ranked, &replaced_by, question, limit);
    if distinct {
        conversation::drop_said_again(&mut ranked);
    }
    let most = ranked.first().map_or(0.0, |hit| hit.score);
    if query.by_session {
        let likeness = said.as_ref().filter(|_| meant > 0.0).map(|said| (said, meant));
        sessions::group(&mut ranked, &words, likeness, weights);
    }
    ranked.truncate(limit);
    repeats::count(store, &mut ranked)?;
    answer.hits = ranked
        .into_iter()
        .map(|ranked| {
            let next = replaced_by.get(&ranked.stored.record.id).copied();
            hit::hit(ranked, next, &read, most)
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

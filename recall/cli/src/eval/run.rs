//! One haystack through the real write and read path.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use harness_index::rerank::Reranker;
use harness_memory::intake::Admission;
use harness_memory::memory::HITS_MAX;
use harness_memory::store::PUT_RECORDS_MAX;
use harness_memory::{Answer, Body, Message, Mode, Origin, Query, ReadSet, Record, RecordId, Role, Scope, Store};
use harness_recall::models::EMBEDDINGS_FOLDER;
use harness_recall::{Engine, Weights};
use jiff::Timestamp;

use super::embedder::Chosen;
use super::haystack::{Doc, DocBody, Haystack, Problem, Question};
use super::score::{self, Figures, Ranking, Unit};

/// How many hits a question is asked for, and timed with: the deepest rank that most measures look at.
const HITS: usize = 20;

/// A measurement waits for a closer reading as long as it takes; a model that hangs ends it some time.
const RERANK_DEADLINE: Duration = Duration::from_secs(60);

/// How a haystack is asked.
pub(super) struct Plan {
    pub(super) mode: Mode,
    /// `None` leaves it to the labels.
    pub(super) unit: Option<Unit>,
    /// What makes vectors, with the folder that keeps them.
    pub(super) embedder: Option<Chosen>,
    /// What reads the first of each answer once more.
    pub(super) reranker: Option<Arc<dyn Reranker>>,
    /// How much each part of ranking counts.
    pub(super) weights: Weights,
    /// The most questions to ask.
    pub(super) questions_max: usize,
    /// The budget of a context that is packed for each question, where one is wanted.
    pub(super) context_tokens: Option<usize>,
}

/// What a haystack's questions brought.
#[derive(Default)]
pub(super) struct Run {
    pub(super) docs: usize,
    pub(super) asked: Vec<Asked>,
    /// How sure recall was of questions that belong elsewhere.
    pub(super) foreign_confidence: Vec<f64>,
    /// How many secrets were redacted in documents: texts that are not searched as they were written.
    pub(super) redactions: usize,
}

/// One question that was asked.
pub(super) struct Asked {
    pub(super) category: Option<String>,
    pub(super) abstain: bool,
    /// Empty when there was nothing to judge by.
    pub(super) figures: Figures,
    pub(super) confidence: f64,
    pub(super) latency_ms: f64,
    /// The arms that took no part: arm, code, and what to do about it.
    pub(super) degraded: Vec<(String, String, String)>,
}

/// Told how many documents and questions were dealt with since the last time; answers whether to go on.
pub(super) type Step<'a> = &'a mut dyn FnMut(usize) -> bool;

/// Fills a fresh store with a haystack, waits until nothing lags, and asks its questions and the foreign ones.
///
/// Answers what was done so far when `step` says to stop.
pub(super) fn haystack(
    haystack: &Haystack,
    foreign: &[String],
    plan: &Plan,
    step: Step,
    problem: &mut dyn FnMut(Problem),
) -> anyhow::Result<Run> {
    let home = tempfile::Builder::new().prefix("harness-eval-").tempdir().context("cannot make a temporary home")?;
    let mut engine = Engine::open(home.path()).context("cannot open a temporary home")?;
    engine = engine.with_weights(plan.weights.clone());
    if let Some(Chosen { embedder, cache }) = &plan.embedder {
        let cache = cache.clone().unwrap_or_else(|| home.path().join(EMBEDDINGS_FOLDER));
        engine = engine.with_embedder(Arc::clone(embedder), &cache);
    }
    if let Some(reranker) = &plan.reranker {
        engine.rerank_with(Arc::clone(reranker), RERANK_DEADLINE);
    }
    let engine = engine;
    let present = present(haystack);
    let mut run = Run::default();
    let Some(docs) = fill(&engine, haystack, present, &mut run, step, problem)? else { return Ok(run) };
    if !step(0) {
        return Ok(run);
    }
    engine.catch_up(&mut |_, _| step(0))?;
    if plan.embedder.is_some() {
        engine.embed(&mut |_, _| step(0))?;
    }
    if !step(0) {
        return Ok(run);
    }
    for status in engine.index_status()? {
        ensure!(status.lag == 0, "the {} index is still {} changes behind", status.name, status.lag);
    }
    for (number, question) in haystack.questions.iter().take(plan.questions_max).enumerate() {
        match ask(&engine, haystack, &docs, question, plan, present) {
            Ok(asked) => run.asked.push(asked),
            Err(error) => problem(Problem {
                place: haystack.place.to_string(),
                reason: format!("question {} ({:?}) failed: {error:#}", number + 1, question.text),
            }),
        }
        if !step(1) {
            return Ok(run);
        }
    }
    for text in foreign.iter().take(plan.questions_max) {
        let query = query(text, present, plan.mode, HITS);
        run.foreign_confidence.push(f64::from(engine.recall(&query, &ReadSet::everything())?.confidence));
        if !step(0) {
            return Ok(run);
        }
    }
    Ok(run)
}

/// When a haystack's questions are asked that do not say it: right after the last thing that happened in it,
/// so that a figure does not depend on the day it is measured; without any dates, at the time of writing.
fn present(haystack: &Haystack) -> Timestamp {
    haystack.docs.iter().filter_map(|doc| doc.at).max().unwrap_or_else(Timestamp::now)
}

/// Writes all documents and answers which record is which; `None` when told to stop.
fn fill(
    engine: &Engine,
    haystack: &Haystack,
    present: Timestamp,
    run: &mut Run,
    step: Step,
    problem: &mut dyn FnMut(Problem),
) -> anyhow::Result<Option<HashMap<RecordId, usize>>> {
    let scope = Scope::root().child_named("eval");
    let mut docs = HashMap::with_capacity(haystack.docs.len());
    let mut places = 0..haystack.docs.len();
    loop {
        let mut batch = Vec::with_capacity(PUT_RECORDS_MAX);
        let mut batch_docs = Vec::with_capacity(PUT_RECORDS_MAX);
        for place in places.by_ref().take(PUT_RECORDS_MAX) {
            let doc = &haystack.docs[place];
            let mut refuse = |reason: String| {
                let reason = format!("document {:?}: {reason}", doc.id);
                problem(Problem { place: haystack.place.to_string(), reason });
            };
            match engine.intake().admit(record(doc, place, &scope, present)) {
                Ok(Admission::Admitted { record, redactions }) => {
                    run.redactions += redactions.values().sum::<usize>();
                    batch.push(*record);
                    batch_docs.push(place);
                }
                Ok(Admission::Echo) => refuse("it holds nothing but what recall had injected".into()),
                Err(error) => refuse(error.to_string()),
            }
        }
        if batch.is_empty() && places.is_empty() {
            return Ok(Some(docs));
        }
        let written = engine.store().put(batch).context("cannot write the documents")?;
        run.docs += written.len();
        docs.extend(written.iter().zip(&batch_docs).map(|(put, place)| (put.id(), *place)));
        if !step(batch_docs.len()) {
            return Ok(None);
        }
    }
}

/// A document as a record. Its key is its place and not its id, which may spell a label.
fn record(doc: &Doc, place: usize, scope: &Scope, present: Timestamp) -> Record {
    let origin_of = |role| match role {
        Role::User => Origin::User,
        Role::Tool => Origin::Tool,
        Role::Assistant | Role::System => Origin::Agent,
    };
    let (origin, body) = match &doc.body {
        DocBody::Passage(note) => (Origin::User, Body::Note(note.clone())),
        DocBody::Run(episode) => (Origin::Agent, Body::Episode(episode.clone())),
        DocBody::Turn(turn) => {
            let mut message = Message::new(turn.role, turn.position, turn.text.clone());
            message.speaker = turn.speaker.clone();
            message.caption = turn.caption.clone();
            (origin_of(turn.role), Body::Message(message))
        }
    };
    let mut record = Record::new(scope.clone(), "eval", origin, body);
    record.session = doc.session().map(str::to_owned);
    record.key = Some(place.to_string());
    record.created_at = doc.at.unwrap_or(present);
    record
}

fn query(text: &str, now: Timestamp, mode: Mode, limit: usize) -> Query {
    Query { limit, mode, now: Some(now), ..Query::new(text) }
}

fn ask(
    engine: &Engine,
    haystack: &Haystack,
    docs: &HashMap<RecordId, usize>,
    question: &Question,
    plan: &Plan,
    present: Timestamp,
) -> harness_recall::Result<Asked> {
    let now = question.now.unwrap_or(present);
    let everything = ReadSet::everything();
    let started = Instant::now();
    // Sets hold questions without a word. Recall refuses them; here they are asked in vain, and count as such.
    let answer = match question.is_empty() {
        true => Answer::default(),
        false => engine.recall(&query(&question.text, now, plan.mode, HITS), &everything)?,
    };
    let latency_ms = started.elapsed().as_secs_f64() * 1_000.0;
    let ranking = |hits: &[harness_memory::Hit]| -> Vec<usize> {
        hits.iter().filter_map(|hit| docs.get(&hit.id).copied()).collect()
    };
    let mut figures = if question.abstain {
        Figures::new()
    } else {
        // Asked once more for all ranks, and for the ranks of sessions; the time is that of an ordinary question.
        let deep = !question.is_empty() && score::needs_depth(haystack, question);
        let asked = |by_session| {
            let query = Query { by_session, ..query(&question.text, now, plan.mode, HITS_MAX) };
            Ok::<_, harness_recall::Error>(ranking(&engine.recall(&query, &everything)?.hits))
        };
        let documents = if deep { asked(false)? } else { ranking(&answer.hits) };
        let by_session = !question.is_empty() && score::ranks_sessions(haystack, question, plan.unit);
        let sessions = if by_session { asked(true)? } else { Vec::new() };
        score::figures(haystack, question, plan.unit, &Ranking { documents, sessions })
    };
    if let Some(budget) = plan.context_tokens.filter(|_| !question.is_empty() && !question.abstain) {
        let context = engine.context(&query(&question.text, now, plan.mode, HITS), &everything, budget)?;
        let packed: Vec<usize> = context.records.iter().filter_map(|id| docs.get(id).copied()).collect();
        figures.extend(score::packed(haystack, question, &packed, context.tokens));
    }
    Ok(Asked {
        category: question.category.clone(),
        abstain: question.abstain,
        figures,
        confidence: f64::from(answer.confidence),
        latency_ms,
        degraded: answer.degraded.into_iter().map(|part| (part.arm, part.code, part.hint)).collect(),
    })
}

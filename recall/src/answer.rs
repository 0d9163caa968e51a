//! From a query to an answer: candidates, the records behind them, priors, hits.

use std::collections::{BTreeMap, HashMap};

use harness_index::text::{Query as TextQuery, snippet};
use harness_index::{Candidate, Filter, Index, Search, TextIndex};
use harness_memory::memory::{Degraded, HITS_MAX, QUERY_BYTES_MAX, Snippet, Span, Why};
use harness_memory::{Answer, Body, Hit, Lookup, Mode, Outcome, Query, ReadSet, Record, RecordId, Row, Store, Stored};
use jiff::Timestamp;

use crate::error::{Error, Result};

/// Candidates asked of an index beyond the hits wanted: some are dropped (expired, forgotten meanwhile),
/// and priors may lift one from below.
const CANDIDATES_SPARE: usize = 30;

/// The length of a snippet, in characters: about two lines of a terminal.
const SNIPPET_CHARS: usize = 160;

/// What a success adds to an episode's normalised score: at equal similarity success ranks before failure,
/// and a failure that is clearly closer stays in front (EVIDENCE: 0.2 costs nothing at rank 1).
const SUCCESS_PRIOR: f32 = 0.2;

/// What is left of the score of a record that another replaces: it ranks below its successor, which says the
/// same thing anew, and above what merely shares a word.
const REPLACED_FACTOR: f32 = 0.5;

/// A replaced record's score is at most this share of its successor's, when both are in one answer.
const REPLACED_BELOW: f32 = 0.95;

/// The answer to a query within a read set.
pub(crate) fn recall(store: &dyn Store, text: &TextIndex, query: &Query, reads: &ReadSet) -> Result<Answer> {
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
    let candidates = match query.mode {
        Mode::Vector => Vec::new(),
        Mode::Hybrid | Mode::Text => text_arm(store, text, query, question, &reads, limit, &mut answer),
    };
    if query.mode != Mode::Text {
        answer.degraded.push(Degraded {
            arm: "vector".to_owned(),
            code: "no-model".to_owned(),
            hint: "this version searches by text only; recall by meaning is not there yet".to_owned(),
        });
    }
    let records = load(store, &candidates, &mut answer.degraded)?;
    let filter = filter_of(query, &reads);
    let mut ranked: Vec<(Candidate, Stored)> = candidates
        .into_iter()
        .zip(records)
        .filter_map(|(candidate, stored)| Some((candidate, stored?)))
        // The index was asked for these alone; what the store says now decides.
        .filter(|(_, stored)| filter.allows(&stored.record))
        .filter(|(_, stored)| stored.record.expires_at.is_none_or(|expires| expires > now))
        .collect();
    let replaced_by = successors(store, &ranked)?;
    let best = ranked.first().map_or(0.0, |(candidate, _)| candidate.score);
    for (candidate, stored) in &mut ranked {
        candidate.score = normal(candidate.score, best) + outcome_prior(&stored.record);
    }
    rank_below_successors(&mut ranked, &replaced_by);
    ranked.sort_by(|(a, x), (b, y)| b.score.total_cmp(&a.score).then(y.row.cmp(&x.row)));
    ranked.truncate(limit);
    let most = ranked.first().map_or(1.0, |(candidate, _)| candidate.score.max(f32::MIN_POSITIVE));
    answer.confidence = ranked.first().map_or(0.0, |(candidate, _)| candidate.coverage.clamp(0.0, 1.0));
    let parsed = TextQuery::parse(question);
    answer.hits = ranked
        .into_iter()
        .map(|(candidate, stored)| {
            let next = replaced_by.get(&stored.record.id).copied();
            hit(candidate, stored.record, next, &parsed, most)
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

fn filter_of<'q>(query: &'q Query, reads: &'q ReadSet) -> Filter<'q> {
    Filter { reads, kinds: &query.kinds, session: query.session.as_deref(), since: query.since, until: query.until }
}

/// The candidates of the text index. Its failure degrades the answer and says so.
fn text_arm(
    store: &dyn Store,
    text: &TextIndex,
    query: &Query,
    question: &str,
    reads: &ReadSet,
    limit: usize,
    answer: &mut Answer,
) -> Vec<Candidate> {
    let filter = filter_of(query, reads);
    let search = Search { text: question, plain: false, vector: None, filter, limit: limit + CANDIDATES_SPARE };
    match text.search(store, &search) {
        Ok(found) => {
            answer.lag.insert(text.name().to_owned(), found.lag);
            if found.unsearched > 0 {
                answer.degraded.push(Degraded {
                    arm: text.name().to_owned(),
                    code: "tail-unsearched".to_owned(),
                    hint: format!(
                        "{} records are not indexed yet and did not take part: run `harness index follow`",
                        found.unsearched
                    ),
                });
            }
            answer.degraded.extend(found.cuts.into_iter().map(|cut| Degraded {
                arm: text.name().to_owned(),
                code: cut.code.to_owned(),
                hint: cut.hint,
            }));
            found.candidates
        }
        Err(error) => {
            answer.degraded.push(Degraded {
                arm: text.name().to_owned(),
                code: "failed".to_owned(),
                hint: format!("the text index did not answer ({error}): run `harness index rebuild`"),
            });
            Vec::new()
        }
    }
}

/// The records behind candidates, in their order; `None` for what is no longer there. Damage is reported.
fn load(store: &dyn Store, candidates: &[Candidate], degraded: &mut Vec<Degraded>) -> Result<Vec<Option<Stored>>> {
    let rows: Vec<Row> = candidates.iter().map(|candidate| candidate.row).collect();
    let lookups = store.get_rows(&rows)?;
    Ok(rows
        .into_iter()
        .zip(lookups)
        .map(|(row, lookup)| {
            let damaged = match lookup {
                Lookup::Found(stored) => return Some(*stored),
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

/// The live record that replaces each of these, where there is one.
fn successors(store: &dyn Store, ranked: &[(Candidate, Stored)]) -> Result<HashMap<RecordId, RecordId>> {
    let ids: Vec<RecordId> = ranked.iter().map(|(_, stored)| stored.record.id).collect();
    let found = store.replaced_by(&ids)?;
    Ok(ids.into_iter().zip(found).filter_map(|(id, next)| Some((id, next?))).collect())
}

fn normal(score: f32, best: f32) -> f32 {
    if best > 0.0 { (score / best).clamp(0.0, 1.0) } else { 0.0 }
}

/// Takes half the score of what a newer record replaces, and more where it would still stand before that one.
fn rank_below_successors(ranked: &mut [(Candidate, Stored)], replaced_by: &HashMap<RecordId, RecordId>) {
    let mut scores: HashMap<RecordId, f32> =
        ranked.iter().map(|(candidate, stored)| (stored.record.id, candidate.score)).collect();
    // The newest first, so that along a chain each one's successor is settled before it.
    let mut order: Vec<usize> = (0..ranked.len()).collect();
    order.sort_by_key(|at| std::cmp::Reverse(ranked[*at].1.row));
    for at in order {
        let (candidate, stored) = &mut ranked[at];
        let Some(next) = replaced_by.get(&stored.record.id) else { continue };
        let halved = candidate.score * REPLACED_FACTOR;
        candidate.score = scores.get(next).map_or(halved, |next| halved.min(next * REPLACED_BELOW));
        scores.insert(stored.record.id, candidate.score);
    }
}

fn outcome_prior(record: &Record) -> f32 {
    match &record.body {
        Body::Episode(episode) if episode.outcome == Outcome::Success => SUCCESS_PRIOR,
        _ => 0.0,
    }
}

fn hit(candidate: Candidate, record: Record, replaced_by: Option<RecordId>, query: &TextQuery, most: f32) -> Hit {
    let mut words = candidate.why;
    if replaced_by.is_some() {
        words.push_str("; lowered, because a newer record replaces this one");
    }
    let prior = outcome_prior(&record);
    let mut why = BTreeMap::new();
    let text_score = candidate.score - prior;
    why.insert("text".to_owned(), Why { score: text_score, weight: 1.0, words });
    if prior > 0.0 {
        let words = "this episode ended in success".to_owned();
        why.insert("outcome".to_owned(), Why { score: prior, weight: 1.0, words });
    }
    let (passage, snippet) = passage(record.text(), query);
    let kind = record.kind();
    let text = record.text().to_owned();
    let (mut role, mut speaker, mut outcome, mut reason, mut tools) = (None, None, None, None, Vec::new());
    match record.body {
        Body::Message(message) => (role, speaker) = (Some(message.role), message.speaker),
        Body::Episode(episode) => {
            (outcome, reason, tools) = (Some(episode.outcome), episode.reason, episode.tools);
        }
        Body::Note(_) | Body::Lesson(_) => {}
    }
    Hit {
        id: record.id,
        kind,
        score: (candidate.score / most).clamp(0.0, 1.0),
        text,
        passage: Some(passage),
        snippet: Some(snippet),
        role,
        speaker,
        scope: record.scope,
        session: record.session,
        source: record.source,
        origin: record.origin,
        trust: record.trust,
        created_at: record.created_at,
        tags: record.tags,
        pinned: record.pinned,
        replaces: record.replaces,
        replaced_by,
        copies: 0,
        outcome,
        reason,
        tools,
        why,
    }
}

/// The best passage of a text, and the same on one line with what matched.
fn passage(text: &str, query: &TextQuery) -> (Span, Snippet) {
    let found = snippet(text, query, SNIPPET_CHARS);
    let (start, end) = (found.passage.start, found.passage.end);
    let mut line = Line::default();
    if start > 0 {
        line.text.push('…');
    }
    let mut at = start;
    for range in &found.highlights {
        line.push(&text[at..range.start], false);
        line.push(&text[range.clone()], true);
        at = range.end;
    }
    line.push(&text[at..end], false);
    if end < text.len() {
        line.text.push('…');
    }
    (Span { start, end }, Snippet { text: line.text, highlights: line.highlights })
}

/// One line made from pieces of a text: line breaks and runs of blanks become one blank.
#[derive(Default)]
struct Line {
    text: String,
    highlights: Vec<Span>,
}

impl Line {
    fn push(&mut self, piece: &str, matched: bool) {
        let start = self.text.len();
        for c in piece.chars() {
            if !c.is_whitespace() && !c.is_control() {
                self.text.push(c);
            } else if !self.text.ends_with([' ', '…']) && !self.text.is_empty() {
                self.text.push(' ');
            }
        }
        if matched && self.text.len() > start {
            self.highlights.push(Span { start, end: self.text.len() });
        }
    }
}

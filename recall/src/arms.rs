//! What the arms propose: each index is asked, and its failure degrades the answer and says so.

use std::collections::{BTreeMap, HashMap, HashSet};

use harness_index::text::Query as TextQuery;
use harness_index::{ByWord, Candidate, Filter, Index, Search, TextIndex};
use harness_memory::memory::{Degraded, Why};
use harness_memory::store::{Filter as Listing, Order};
use harness_memory::{Answer, Kind, Lookup, Row, Store, Stored};

use crate::ranked::Proposal;
use crate::when::{Dated, Period};

/// What the arms are asked.
#[derive(Clone, Copy)]
pub(crate) struct Asked<'q> {
    /// The question, cut to what is searched for.
    pub(crate) text: &'q str,
    /// Which records may be proposed.
    pub(crate) filter: Filter<'q>,
    /// The most candidates of each arm.
    pub(crate) limit: usize,
    /// Whether signs in the question are text like everything else.
    pub(crate) plain: bool,
    /// The question as the text index reads it, where that is known.
    pub(crate) read: Option<&'q TextQuery>,
}

/// What the text index proposes.
#[derive(Default)]
pub(crate) struct Worded {
    /// Best first.
    pub(crate) candidates: Vec<Candidate>,
    /// What a match of a word that no other record has scores.
    pub(crate) rarest: f32,
    /// Where the question names days: the best score of a record of them, and the share of the question that it covers.
    pub(crate) on_days: Option<[f32; 2]>,
}

/// The candidates of the text index, best first.
pub(crate) fn text(store: &dyn Store, index: &TextIndex, asked: &Asked, answer: &mut Answer) -> Worded {
    let Asked { text, filter, limit, plain, read } = *asked;
    let search = Search { text, plain, read, vector: None, filter, limit };
    match index.search(store, &search) {
        Ok(found) => {
            answer.lag.insert(index.name().to_owned(), found.lag);
            if found.unsearched > 0 {
                answer.degraded.push(Degraded {
                    arm: index.name().to_owned(),
                    code: "tail-unsearched".to_owned(),
                    hint: format!(
                        "{} records are not indexed yet and did not take part: run `harness index follow`",
                        found.unsearched
                    ),
                });
            }
            answer.degraded.extend(found.cuts.into_iter().map(|cut| Degraded {
                arm: index.name().to_owned(),
                code: cut.code.to_owned(),
                hint: cut.hint,
            }));
            Worded { candidates: found.candidates, rarest: found.rarest, on_days: None }
        }
        Err(error) => {
            answer.degraded.push(Degraded {
                arm: index.name().to_owned(),
                code: "failed".to_owned(),
                hint: format!("the text index did not answer ({error}): run `harness index rebuild`"),
            });
            Worded::default()
        }
    }
}

/// Adds the candidates of these days that the search among everything did not reach: those that have its words, and
/// after them the newest of the others.
pub(crate) fn text_of_days(
    store: &dyn Store,
    index: &TextIndex,
    asked: &Asked,
    period: &Period,
    everything: &mut Worded,
    answer: &mut Answer,
) {
    let candidates = &mut everything.candidates;
    let asked = Asked { filter: within(asked.filter, period), ..*asked };
    // What cut or failed the search among everything was said there.
    let said = answer.degraded.len();
    let worded = text(store, index, &asked, answer).candidates;
    let best = worded.first().map_or([0.0; 2], |best| [best.score, best.coverage]);
    let on_days = everything.on_days.get_or_insert(best);
    if best[0] > on_days[0] {
        *on_days = best;
    }
    let said_then = rows_said(store, index, &asked, period, answer);
    answer.degraded.truncate(said);
    let mut known: HashSet<Row> = candidates.iter().map(|candidate| candidate.row).collect();
    let matched = |candidates: &[Candidate]| {
        let matched = candidates.iter().filter(|candidate| candidate.coverage > 0.0);
        matched.map(|candidate| candidate.score).reduce(f32::min)
    };
    let last = matched(candidates);
    // They were not reached, so they fit no better than the last that was.
    for candidate in worded.into_iter().filter(|candidate| known.insert(candidate.row)) {
        let score = last.map_or(candidate.score, |last| candidate.score.min(last));
        candidates.push(Candidate { score, ..candidate });
    }
    let least = matched(candidates).map_or(1.0, |least| OTHERS_OF_DAYS * least);
    let others = said_then.into_iter().filter(|row| !known.contains(row)).take(asked.limit);
    candidates.extend(others.map(|row| Candidate {
        row,
        score: least,
        coverage: 0.0,
        by_word: ByWord::default(),
        passage: None,
        why: String::new(),
        words: Vec::new(),
    }));
}

/// What a record of the days has that has no word of the question, of what the last has that does.
const OTHERS_OF_DAYS: f32 = 0.1;

/// The filter, within these days.
fn within<'f>(filter: Filter<'f>, period: &Period) -> Filter<'f> {
    let since = filter.since.map_or(period.since, |since| since.max(period.since));
    let until = filter.until.map_or(period.until, |until| until.min(period.until));
    Filter { since: Some(since), until: Some(until), ..filter }
}

/// The most records of a period of days that the newest are taken of.
const SAID_MAX: usize = 2_000;

/// What was said within these days and may be proposed, the last added first. `asked` is within them already.
fn rows_said(store: &dyn Store, index: &TextIndex, asked: &Asked, period: &Period, answer: &mut Answer) -> Vec<Row> {
    let spelled = period.spelled();
    let asked = Asked { text: &spelled, limit: SAID_MAX.max(asked.limit), plain: true, read: None, ..*asked };
    let found = text(store, index, &asked, answer).candidates;
    let mut rows: Vec<Row> = found.into_iter().map(|candidate| candidate.row).collect();
    rows.sort_unstable_by(|a, b| b.cmp(a));
    rows
}

/// All kinds but messages.
const NOT_SAID: [Kind; 3] = [Kind::Episode, Kind::Note, Kind::Lesson];

/// What was added to the store within these days and is no message, the last added first.
fn rows_kept(store: &dyn Store, asked: &Asked, filter: &Filter) -> Vec<Row> {
    let kinds: Vec<Kind> =
        NOT_SAID.into_iter().filter(|kind| filter.kinds.is_empty() || filter.kinds.contains(kind)).collect();
    if kinds.is_empty() {
        return Vec::new();
    }
    let listed = store.list(&Listing {
        scopes: filter.reads.clone(),
        kinds,
        session: filter.session.map(str::to_owned),
        since: filter.since,
        until: filter.until,
        order: Order::Newest,
        limit: asked.limit,
        ..Listing::default()
    });
    // A store that fails here fails again where the records are read, and says so there.
    listed.unwrap_or_default().into_iter().filter_map(Lookup::found).map(|stored| stored.row).collect()
}

/// What is left of the score of the last record of the days.
const LAST_OF_DAYS: f32 = 0.6;

/// What a record of the days has more that has words of the question.
const WORDS_OF_DAYS: f32 = 0.3;

/// The records of the days that a question names and asks nothing else of, the newest first, those before that have what
/// is left of its words. Empty where those days have none.
pub(crate) fn of_days(
    store: &dyn Store,
    index: &TextIndex,
    asked: &Asked,
    dated: &Dated,
    answer: &mut Answer,
) -> Vec<Proposal> {
    let mut found: Vec<Box<Stored>> = Vec::new();
    let mut worded: HashMap<Row, Candidate> = HashMap::new();
    let said = answer.degraded.len();
    for period in &dated.periods {
        let asked = Asked { filter: within(asked.filter, period), ..*asked };
        let candidates = text(store, index, &asked, answer).candidates;
        let mut rows = rows_said(store, index, &asked, period, answer);
        rows.truncate(asked.limit);
        rows.extend(rows_kept(store, &asked, &asked.filter));
        rows.extend(candidates.iter().map(|candidate| candidate.row));
        worded.extend(candidates.into_iter().map(|candidate| (candidate.row, candidate)));
        let lookups = store.get_rows(&rows).unwrap_or_default();
        found.extend(lookups.into_iter().filter_map(Lookup::found).map(Box::new));
    }
    if found.is_empty() {
        answer.degraded.truncate(said);
    }
    let time = |stored: &Stored| (stored.record.created_at, stored.row);
    found.sort_unstable_by_key(|stored| std::cmp::Reverse(time(stored)));
    found.dedup_by_key(|stored| stored.row);
    let most = worded.values().map(|candidate| candidate.score).fold(f32::MIN_POSITIVE, f32::max);
    let step = (1.0 - LAST_OF_DAYS) / found.len().max(1) as f32;
    let mut proposals: Vec<Proposal> = Vec::new();
    for (place, stored) in found.iter().enumerate() {
        let Some(period) = dated.of(stored.record.created_at) else { continue };
        let date = Why { score: 1.0 - step * place as f32, weight: 1.0, words: period.words() };
        let mut why = BTreeMap::from([("date".to_owned(), date.clone())]);
        let mut score = date.score;
        let candidate = worded.get(&stored.row);
        if let Some(candidate) = candidate {
            let text = Why { score: candidate.score / most, weight: WORDS_OF_DAYS, words: candidate.why.clone() };
            score += text.score * text.weight;
            why.insert(index.name().to_owned(), text);
        }
        let coverage = candidate.map_or(0.0, |candidate| candidate.coverage.clamp(0.0, 1.0));
        proposals.push(Proposal { row: stored.row, score, coverage, passage: None, why });
    }
    proposals
}

/// One arm's candidates as proposals, in their order: the best has the score 1.
pub(crate) fn alone(arm: &str, candidates: Vec<Candidate>) -> Vec<Proposal> {
    let best = candidates.first().map_or(0.0, |candidate| candidate.score);
    let scaled = |score: f32| if best > 0.0 { (score / best).clamp(0.0, 1.0) } else { 0.0 };
    candidates
        .into_iter()
        .map(|candidate| {
            let score = scaled(candidate.score);
            let why = Why { score, weight: 1.0, words: candidate.why };
            let why = BTreeMap::from([(arm.to_owned(), why)]);
            let coverage = candidate.coverage.clamp(0.0, 1.0);
            Proposal { row: candidate.row, score, coverage, passage: candidate.passage, why }
        })
        .collect()
}

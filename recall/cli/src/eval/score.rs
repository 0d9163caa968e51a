//! From a ranking and the labels of a question to its figures.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use harness_memory::Outcome;
use serde::Serialize;

use super::haystack::{DocBody, Haystack, Kind, Question};
use super::metrics::{self, Rank, Weighted};

/// What an unbroken ranking is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Unit {
    /// Documents
    Turn,
    /// Sessions, as recall ranks them
    Session,
}

/// The measures, in the order they are printed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) enum Metric {
    #[serde(rename = "r@1")]
    Recall1,
    #[serde(rename = "r@5")]
    Recall5,
    #[serde(rename = "r@10")]
    Recall10,
    #[serde(rename = "r@20")]
    Recall20,
    #[serde(rename = "all@10")]
    All10,
    #[serde(rename = "mrr@10")]
    Mrr10,
    #[serde(rename = "hit@1")]
    Hit1,
    #[serde(rename = "ndcg@10")]
    Ndcg10,
    #[serde(rename = "success_first")]
    SuccessFirst,
    #[serde(rename = "precision")]
    Precision,
    #[serde(rename = "recall")]
    Recall,
    #[serde(rename = "f1")]
    F1,
    #[serde(rename = "current_first")]
    CurrentFirst,
    #[serde(rename = "above_distractor")]
    AboveDistractor,
    #[serde(rename = "abstain_auc")]
    AbstainAuc,
    #[serde(rename = "foreign_auc")]
    ForeignAuc,
    #[serde(rename = "foreign_at_90")]
    ForeignAt90,
    #[serde(rename = "packed")]
    Packed,
    #[serde(rename = "packed_per_1k")]
    PackedPer1k,
}

impl Metric {
    /// The one that a kind of haystack is judged by first.
    pub(super) fn main(kind: Kind) -> Metric {
        match kind {
            Kind::Passage => Metric::Mrr10,
            Kind::Turn | Kind::Session => Metric::Recall10,
            Kind::Experience => Metric::Ndcg10,
            Kind::Tool => Metric::F1,
        }
    }

    /// The name in JSON and in the table.
    pub(super) fn name(self) -> &'static str {
        match self {
            Metric::Recall1 => "r@1",
            Metric::Recall5 => "r@5",
            Metric::Recall10 => "r@10",
            Metric::Recall20 => "r@20",
            Metric::All10 => "all@10",
            Metric::Mrr10 => "mrr@10",
            Metric::Hit1 => "hit@1",
            Metric::Ndcg10 => "ndcg@10",
            Metric::SuccessFirst => "success_first",
            Metric::Precision => "precision",
            Metric::Recall => "recall",
            Metric::F1 => "f1",
            Metric::CurrentFirst => "current_first",
            Metric::AboveDistractor => "above_distractor",
            Metric::AbstainAuc => "abstain_auc",
            Metric::ForeignAuc => "foreign_auc",
            Metric::ForeignAt90 => "foreign_at_90",
            Metric::Packed => "packed",
            Metric::PackedPer1k => "packed_per_1k",
        }
    }
}

/// The figures of one question; empty when its labels do not say what is right.
pub(super) type Figures = BTreeMap<Metric, Weighted>;

/// How many of the first episodes are asked for their tools, and in how many of them a tool must occur.
const TOOL_EPISODES: usize = 5;
const TOOL_EPISODES_WITH: usize = 3;

/// What an episode of the same task is worth: it is better to be shown how it went well.
const GAIN_SUCCESS: f64 = 2.0;
const GAIN_FAILURE: f64 = 0.5;

/// What a question was answered with.
#[derive(Default)]
pub(super) struct Ranking {
    /// Documents, best first.
    pub(super) documents: Vec<usize>,
    /// Documents session by session, best first, where sessions are ranked.
    pub(super) sessions: Vec<usize>,
}

/// Whether sessions are ranked, and not documents.
pub(super) fn ranks_sessions(haystack: &Haystack, question: &Question, unit: Option<Unit>) -> bool {
    let is_retrieval = matches!(haystack.kind, Kind::Passage | Kind::Turn | Kind::Session);
    is_retrieval && unit_of(haystack, question, unit) == Unit::Session
}

/// Whether the first twenty hits do not tell a question's figures.
pub(super) fn needs_depth(haystack: &Haystack, question: &Question) -> bool {
    haystack.kind == Kind::Experience
        || question.exclude_trial.is_some()
        || !question.stale.is_empty()
        || !question.distractor.is_empty()
}

/// The figures of a question that was answered with this.
pub(super) fn figures(haystack: &Haystack, question: &Question, unit: Option<Unit>, ranking: &Ranking) -> Figures {
    let kept = |ranking: &[usize]| -> Vec<usize> {
        let mut seen = HashSet::new();
        let kept = |doc: &usize| !is_own_trial(haystack, question, *doc) && seen.insert(*doc);
        ranking.iter().copied().filter(kept).collect()
    };
    let documents = kept(&ranking.documents);
    match haystack.kind {
        Kind::Passage | Kind::Turn | Kind::Session => {
            retrieval(haystack, question, unit, &documents, &kept(&ranking.sessions))
        }
        Kind::Experience => experience(haystack, question, &documents),
        Kind::Tool => tools(haystack, question, &documents),
    }
}

/// The figures of a question's context: the share of its gold that is in it, and how much gold there is in a thousand
/// tokens.
pub(super) fn packed(haystack: &Haystack, question: &Question, packed: &[usize], tokens: usize) -> Figures {
    let gold = gold_documents(haystack, question);
    if gold.is_empty() {
        return Figures::new();
    }
    let found = gold.iter().filter(|doc| packed.contains(doc)).count() as f64;
    let tokens = tokens as f64;
    // Weighed by its tokens, so that the mean over questions is all the gold in all the tokens.
    let per_1k = if tokens > 0.0 { 1_000.0 * found / tokens } else { 0.0 };
    Figures::from([
        (Metric::Packed, one(found / gold.len() as f64)),
        (Metric::PackedPer1k, Weighted { value: per_1k, weight: tokens }),
    ])
}

/// Whether this document is the very run that the question was taken from.
fn is_own_trial(haystack: &Haystack, question: &Question, doc: usize) -> bool {
    let labels = &haystack.labels[doc];
    question.exclude_trial.is_some() && labels.trial == question.exclude_trial && labels.task == question.task
}

fn one(value: f64) -> Weighted {
    Weighted { value, weight: 1.0 }
}

fn unit_of(haystack: &Haystack, question: &Question, unit: Option<Unit>) -> Unit {
    let asks_for_sessions = question.gold_sessions.as_ref().is_some_and(|names| !names.is_empty());
    match unit {
        Some(unit) => unit,
        None if asks_for_sessions || haystack.kind == Kind::Session => Unit::Session,
        None => Unit::Turn,
    }
}

fn retrieval(
    haystack: &Haystack,
    question: &Question,
    unit: Option<Unit>,
    ranking: &[usize],
    sessions: &[usize],
) -> Figures {
    let mut figures = Figures::new();
    let mut gold = match unit_of(haystack, question, unit) {
        Unit::Turn => metrics::ranks(ranking, &question.gold),
        Unit::Session => session_ranks(haystack, question, sessions),
    };
    gold.extend(std::iter::repeat_n(None, question.gold_unknown));
    if !gold.is_empty() {
        let recalls = [(Metric::Recall1, 1), (Metric::Recall5, 5), (Metric::Recall10, 10), (Metric::Recall20, 20)];
        figures.extend(recalls.map(|(metric, k)| (metric, one(metrics::recall_at(k, &gold)))));
        figures.insert(Metric::All10, one(metrics::all_at(10, &gold)));
        figures.insert(Metric::Mrr10, one(metrics::reciprocal_rank_at(10, &gold)));
        let mut gains = [0.0; 10];
        gold.iter().flatten().filter(|rank| **rank <= 10).for_each(|rank| gains[*rank - 1] = 1.0);
        figures.insert(Metric::Ndcg10, one(metrics::ndcg_at(10, &gains, &vec![1.0; gold.len()])));
    }
    let gold = metrics::ranks(ranking, &gold_documents(haystack, question));
    if !gold.is_empty() {
        let above = |others: &[usize]| one(metrics::above_all(&gold, &metrics::ranks(ranking, others)));
        let against = [(Metric::CurrentFirst, &question.stale), (Metric::AboveDistractor, &question.distractor)];
        let against = against.into_iter().filter(|(_, others)| !others.is_empty());
        figures.extend(against.map(|(metric, others)| (metric, above(others))));
    }
    figures
}

/// The gold documents, or all documents of the gold sessions where only those are known.
fn gold_documents(haystack: &Haystack, question: &Question) -> Vec<usize> {
    if !question.gold.is_empty() {
        return question.gold.clone();
    }
    let sessions = question.gold_sessions.as_deref().unwrap_or_default();
    let of_them = |name: &str| sessions.iter().any(|session| session == name);
    (0..haystack.docs.len()).filter(|doc| haystack.docs[*doc].session().is_some_and(of_them)).collect()
}

/// The ranks of the gold sessions. A document without a session is a session of its own.
fn session_ranks(haystack: &Haystack, question: &Question, ranking: &[usize]) -> Vec<Rank> {
    let session_of = |doc: &usize| {
        let doc = &haystack.docs[*doc];
        doc.session().unwrap_or(&doc.id)
    };
    let distinct = |docs: &[usize]| {
        let mut seen = HashSet::new();
        docs.iter().map(session_of).filter(|session| seen.insert(*session)).collect::<Vec<_>>()
    };
    let gold: Vec<&str> = match &question.gold_sessions {
        Some(names) if !names.is_empty() => names.iter().map(String::as_str).collect(),
        _ => distinct(&question.gold),
    };
    metrics::ranks(&distinct(ranking), &gold)
}

fn experience(haystack: &Haystack, question: &Question, ranking: &[usize]) -> Figures {
    let gain = |doc: &usize| match haystack.labels[*doc].outcome {
        _ if haystack.labels[*doc].task != question.task => 0.0,
        Some(Outcome::Success) => GAIN_SUCCESS,
        Some(Outcome::Failure) => GAIN_FAILURE,
        Some(Outcome::Unknown) | None => 0.0,
    };
    let same_task: Vec<usize> = (0..haystack.docs.len())
        .filter(|doc| question.task.is_some() && haystack.labels[*doc].task == question.task)
        .filter(|doc| !is_own_trial(haystack, question, *doc))
        .collect();
    if same_task.is_empty() {
        return Figures::new();
    }
    let found: Vec<f64> = ranking.iter().map(gain).collect();
    let all: Vec<f64> = same_task.iter().map(gain).collect();
    let hit = ranking.first().is_some_and(|first| same_task.contains(first));
    let mut figures =
        Figures::from([(Metric::Hit1, one(f64::from(hit))), (Metric::Ndcg10, one(metrics::ndcg_at(10, &found, &all)))]);
    let ended = |outcome| {
        let docs = same_task.iter().copied().filter(|doc| haystack.labels[*doc].outcome == Some(outcome));
        metrics::ranks(ranking, &docs.collect::<Vec<_>>())
    };
    let (right, pairs) = metrics::pairs_right(&ended(Outcome::Success), &ended(Outcome::Failure));
    if pairs > 0 {
        // Weighted by pairs: the mean over questions is then the share of all pairs.
        let share = Weighted { value: right / pairs as f64, weight: pairs as f64 };
        figures.insert(Metric::SuccessFirst, share);
    }
    figures
}

fn tools(haystack: &Haystack, question: &Question, ranking: &[usize]) -> Figures {
    let Some(gold) = &question.gold_tools else { return Figures::new() };
    let used = |doc: &usize| match &haystack.docs[*doc].body {
        DocBody::Run(run) => Some(run.tools.iter().map(|used| used.tool.as_str()).collect::<Vec<_>>()),
        _ => None,
    };
    let episodes: Vec<Vec<&str>> = ranking.iter().filter_map(used).take(TOOL_EPISODES).collect();
    let found = metrics::frequent_tools(&episodes, TOOL_EPISODES_WITH);
    let gold: BTreeSet<&str> = gold.iter().map(String::as_str).collect();
    let overlap = metrics::overlap(&found, &gold);
    Figures::from([
        (Metric::Precision, one(overlap.precision)),
        (Metric::Recall, one(overlap.recall)),
        (Metric::F1, one(overlap.f1)),
    ])
}

#[cfg(test)]
mod tests {
    use super::super::haystack::Place;
    use super::super::parse::parse;
    use super::*;

    fn haystack(json: serde_json::Value) -> Haystack {
        parse(json.to_string().as_bytes(), Place { file: "set.jsonl".into(), line: 1 }).unwrap()
    }

    /// An answer whose sessions stand in the order of their best documents.
    fn of(ranking: &[usize]) -> Ranking {
        Ranking { documents: ranking.to_vec(), sessions: ranking.to_vec() }
    }

    fn values(haystack: &Haystack, question: usize, unit: Option<Unit>, ranking: &[usize]) -> Vec<(&'static str, f64)> {
        let figures = figures(haystack, &haystack.questions[question], unit, &of(ranking));
        figures.into_iter().map(|(metric, figure)| (metric.name(), (figure.value * 1e4).round() / 1e4)).collect()
    }

    #[test]
    fn passages_are_scored_by_the_ranks_of_their_gold() {
        let haystack = haystack(serde_json::json!({
            "kind": "passage-retrieval", "set": "s",
            "docs": [{"id": "a", "text": "1"}, {"id": "b", "text": "2"}, {"id": "c", "text": "3"}],
            "queries": [{"id": "q", "text": "?", "gold": ["c", "gone"]}, {"id": "r", "text": "?", "gold": []}],
        }));
        // The gold "c" stands second, "gone" names no document: half of the gold is found, at best.
        let expected = [
            ("r@1", 0.0),
            ("r@5", 0.5),
            ("r@10", 0.5),
            ("r@20", 0.5),
            ("all@10", 0.0),
            ("mrr@10", 0.5),
            ("ndcg@10", 0.3869),
        ];
        assert_eq!(values(&haystack, 0, None, &[0, 2]), expected);
        assert_eq!(values(&haystack, 1, None, &[0, 2]), [], "a question without gold counts nowhere");
    }

    fn two_sessions() -> Haystack {
        haystack(serde_json::json!({
            "kind": "turn-retrieval", "set": "s",
            "docs": [
                {"id": "a0", "text": "1", "session": "a"}, {"id": "a1", "text": "2", "session": "a"},
                {"id": "b0", "text": "3", "session": "b"}, {"id": "b1", "text": "4", "session": "b"},
            ],
            "queries": [
                {"id": "by turn", "text": "?", "gold": ["b1"], "stale": ["a0"], "distractor": ["a1"]},
                {"id": "by session", "text": "?", "gold_session": ["b"], "stale": ["a0"]},
            ],
        }))
    }

    #[test]
    fn a_session_ranks_where_its_first_turn_stands() {
        let haystack = two_sessions();
        let mrr = |question, unit, ranking: &[usize]| {
            values(&haystack, question, unit, ranking).into_iter().find(|(name, _)| *name == "mrr@10").map(|(_, v)| v)
        };
        let ranking = [0, 1, 2, 3];
        assert_eq!(mrr(0, None, &ranking), Some(0.25), "turns: b1 stands fourth");
        assert_eq!(mrr(0, Some(Unit::Session), &ranking), Some(0.5), "sessions: b stands second");
        assert_eq!(mrr(1, None, &ranking), Some(0.5), "gold_session asks for sessions");
        assert_eq!(mrr(1, Some(Unit::Turn), &ranking), None, "there is no gold turn");
    }

    #[test]
    fn the_current_stands_above_the_stale_and_the_distracting() {
        let haystack = two_sessions();
        let above = |question, ranking: &[usize]| -> Vec<(&str, f64)> {
            let all = values(&haystack, question, None, ranking);
            all.into_iter().filter(|(name, _)| ["current_first", "above_distractor"].contains(name)).collect()
        };
        assert_eq!(above(0, &[1, 3, 0]), [("current_first", 1.0), ("above_distractor", 0.0)]);
        assert_eq!(above(1, &[3, 0]), [("current_first", 1.0)]);
        assert_eq!(above(1, &[0, 2]), [("current_first", 0.0)]);
    }

    #[test]
    fn experience_leaves_out_the_own_trial_and_wants_successes_first() {
        let run = |id: &str, task: u8, trial: u8, outcome: &str| serde_json::json!({"id": id, "situation": "s", "tools": [], "task": task, "trial": trial, "outcome": outcome});
        let haystack = haystack(serde_json::json!({
            "kind": "experience-recall", "set": "s",
            "docs": [run("own", 1, 0, "success"), run("good", 1, 1, "success"), run("bad", 1, 2, "failure"),
                     run("other", 2, 0, "success"), run("bad too", 1, 3, "failure")],
            "queries": [{"id": "q", "text": "?", "task": 1, "exclude_trial": 0}, {"id": "r", "text": "?", "task": 9}],
        }));
        // Left: bad, other, good, of which "bad too" is missing. Pairs: (good, bad) wrong, (good, bad too) right.
        // nDCG: (.5 + 0 + 2 / log2 4) / (2 + .5 / log2 3 + .5 / log2 4).
        let expected = [("hit@1", 1.0), ("ndcg@10", 0.5847), ("success_first", 0.5)];
        assert_eq!(values(&haystack, 0, None, &[0, 2, 3, 1]), expected);
        let figures = figures(&haystack, &haystack.questions[0], None, &Ranking::default());
        assert_eq!(figures[&Metric::SuccessFirst], Weighted { value: 0.5, weight: 2.0 }, "nothing found: half");
        assert_eq!(values(&haystack, 1, None, &[0]), [], "a task that nobody has tried counts nowhere");
    }

    #[test]
    fn tools_are_those_of_three_of_the_first_five_episodes() {
        let run = |id: usize, tools: &[&str]| serde_json::json!({"id": id, "situation": "s", "tools": tools});
        let haystack = haystack(serde_json::json!({
            "kind": "tool-recall", "set": "s",
            "docs": [run(0, &["get", "book", "get"]), run(1, &["get"]), run(2, &["get", "book"]), run(3, &["pay"]),
                     run(4, &["pay"]), run(5, &["pay", "book"])],
            "queries": [{"id": "q", "text": "?", "gold_tools": ["get", "pay", "pay"]}],
        }));
        assert_eq!(
            values(&haystack, 0, None, &[0, 1, 2, 3, 4, 5]),
            [("precision", 1.0), ("recall", 0.5), ("f1", 0.6667)],
            "pay occurs in three, but the third is the sixth episode"
        );
    }
}

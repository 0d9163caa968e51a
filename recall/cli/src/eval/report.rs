//! The runs of a set taken together.

use std::collections::BTreeMap;

use harness_memory::Mode;
use serde::{Serialize, Serializer};

use super::haystack::{Haystack, Kind};
use super::metrics::{self, Weighted};
use super::run::{Asked, Run};
use super::score::Metric;

/// All that was measured, as `--json` prints it.
#[derive(Serialize)]
pub(super) struct Report {
    pub(super) sets: Vec<SetReport>,
}

/// What was measured on one set.
#[derive(Serialize)]
pub(super) struct SetReport {
    pub(super) set: String,
    #[serde(serialize_with = "kind_word")]
    pub(super) kind: Kind,
    /// `mixed` when its haystacks differ; null when none says it.
    pub(super) lang: Option<String>,
    pub(super) mode: Mode,
    pub(super) haystacks: usize,
    pub(super) docs: usize,
    /// How many questions the metrics are of.
    pub(super) queries: usize,
    /// How many questions nothing in the haystack answers; they count for `abstain_auc` alone.
    pub(super) abstain: usize,
    /// How many questions have no label to judge their hits by.
    pub(super) unlabelled: usize,
    pub(super) metrics: BTreeMap<Metric, Figure>,
    /// The 95 % bootstrap interval over questions of each metric that is a mean over them.
    pub(super) intervals: BTreeMap<Metric, [Figure; 2]>,
    pub(super) latency_ms: Latency,
    pub(super) categories: BTreeMap<String, Category>,
    /// What did not take part in how many answers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) degraded: Vec<Absence>,
    /// How many gold ids name no document; they count as not found.
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) gold_unknown: usize,
    /// How many questions ask nothing; their gold counts as not found.
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) empty: usize,
    /// How many secrets were redacted in the documents before they were stored.
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) redactions: usize,
}

/// Part of a set.
#[derive(Serialize)]
pub(super) struct Category {
    pub(super) queries: usize,
    pub(super) metrics: BTreeMap<Metric, Figure>,
}

/// How long one question took in this process.
#[derive(Serialize)]
pub(super) struct Latency {
    pub(super) p50: Figure,
    pub(super) p95: Figure,
}

/// An arm that took no part.
#[derive(Serialize)]
pub(super) struct Absence {
    pub(super) arm: String,
    pub(super) code: String,
    pub(super) hint: String,
    pub(super) queries: usize,
}

/// A figure that is written with four digits after the point.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Figure(pub(super) f64);

impl Serialize for Figure {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_f64((self.0 * 1e4).round() / 1e4)
    }
}

fn kind_word<S: Serializer>(kind: &Kind, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(kind.word())
}

fn is_zero(value: &usize) -> bool {
    *value == 0
}

/// `foreign_at_90`: where the threshold of confidence lets this share of the own questions through.
const OWN_KEPT: f64 = 0.9;

impl SetReport {
    /// Counts the runs of a set's haystacks together, question by question.
    pub(super) fn new(haystacks: &[Haystack], runs: &[Run], mode: Mode) -> SetReport {
        let first = &haystacks[0];
        let same_lang = haystacks.iter().all(|haystack| haystack.lang == first.lang);
        let asked = || runs.iter().flat_map(|run| &run.asked);
        let scored: Vec<&Asked> = asked().filter(|asked| !asked.figures.is_empty()).collect();

        let by_metric = gather(&scored);
        let mut metrics = means(&by_metric);
        let confidence = |abstain| asked().filter(|a| a.abstain == abstain).map(|a| a.confidence).collect::<Vec<_>>();
        let (own, nothing_there) = (confidence(false), confidence(true));
        let foreign: Vec<f64> = runs.iter().flat_map(|run| run.foreign_confidence.iter().copied()).collect();
        for (metric, low) in [(Metric::AbstainAuc, &nothing_there), (Metric::ForeignAuc, &foreign)] {
            metrics.extend(metrics::auc(&own, low).map(|area| (metric, Figure(area))));
        }

        if let Some(share) = metrics::let_through(&own, &foreign, OWN_KEPT) {
            metrics.insert(Metric::ForeignAt90, Figure(share));
        }

        let mut categories: BTreeMap<&str, Vec<&Asked>> = BTreeMap::new();
        for asked in &scored {
            if let Some(category) = &asked.category {
                categories.entry(category).or_default().push(asked);
            }
        }
        let latencies: Vec<f64> = asked().map(|asked| asked.latency_ms).collect();
        SetReport {
            set: first.set.clone(),
            kind: first.kind,
            lang: if same_lang { first.lang.clone() } else { Some("mixed".to_owned()) },
            mode,
            haystacks: haystacks.len(),
            docs: runs.iter().map(|run| run.docs).sum(),
            queries: scored.len(),
            abstain: nothing_there.len(),
            unlabelled: own.len() - scored.len(),
            metrics,
            intervals: by_metric.iter().map(|(name, all)| (*name, metrics::interval(all).map(Figure))).collect(),
            latency_ms: Latency {
                p50: Figure(metrics::percentile(&latencies, 0.5)),
                p95: Figure(metrics::percentile(&latencies, 0.95)),
            },
            categories: categories
                .into_iter()
                .map(|(name, of)| (name.to_owned(), Category { queries: of.len(), metrics: means(&gather(&of)) }))
                .collect(),
            degraded: absences(asked()),
            gold_unknown: haystacks.iter().flat_map(|h| &h.questions).map(|question| question.gold_unknown).sum(),
            empty: haystacks.iter().flat_map(|h| &h.questions).filter(|question| question.is_empty()).count(),
            redactions: runs.iter().map(|run| run.redactions).sum(),
        }
    }
}

fn gather(asked: &[&Asked]) -> BTreeMap<Metric, Vec<Weighted>> {
    let mut by_metric: BTreeMap<Metric, Vec<Weighted>> = BTreeMap::new();
    for (metric, figure) in asked.iter().flat_map(|asked| &asked.figures) {
        by_metric.entry(*metric).or_default().push(*figure);
    }
    by_metric
}

fn means(by_metric: &BTreeMap<Metric, Vec<Weighted>>) -> BTreeMap<Metric, Figure> {
    by_metric.iter().map(|(metric, figures)| (*metric, Figure(metrics::mean(figures)))).collect()
}

fn absences<'a>(asked: impl Iterator<Item = &'a Asked>) -> Vec<Absence> {
    let mut counts: BTreeMap<(&str, &str), (&str, usize)> = BTreeMap::new();
    for (arm, code, hint) in asked.flat_map(|asked| &asked.degraded) {
        counts.entry((arm, code)).or_insert((hint, 0)).1 += 1;
    }
    let absence = |((arm, code), (hint, queries)): ((&str, &str), (&str, usize))| Absence {
        arm: arm.to_owned(),
        code: code.to_owned(),
        hint: hint.to_owned(),
        queries,
    };
    counts.into_iter().map(absence).collect()
}

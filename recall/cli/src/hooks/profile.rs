//! The few lines that a session starts with: what the project should not be started without.

use std::fmt::Write as _;

use anyhow::Context;
use harness_memory::store::{Filter, Order};
use harness_memory::suspicion::{is_suspicious, may_be_lesson};
use harness_memory::{Body, Kind, Lookup, Origin, Outcome, ReadSet, Record, RecordId, Store, Trust, marker};
use harness_recall::Engine;

/// How many lessons and pinned notes are said: more than a handful is not read.
const RULES_MAX: usize = 6;

/// How many of the newest lessons and notes are looked at for pinned ones.
const RULES_LOOKED_AT_MAX: usize = 200;

/// How many of the newest episodes are looked at for one whose end is known and that may be said: a page of hostile
/// ones, or a morning of runs without an end, must not hide the last good one.
const EPISODES_LOOKED_AT_MAX: usize = 50;

/// The longest line, in characters.
const LINE_CHARS_MAX: usize = 240;

/// A profile and the records it was made from.
pub(super) struct Profile {
    pub(super) text: String,
    pub(super) records: Vec<RecordId>,
}

/// The profile of a project, or `None` when there is nothing that must be said.
///
/// It holds lessons and pinned notes, newest first, and how the newest piece of work with a known end went.
/// What tools and the web said, and what reads like an attempt to give orders, is not among them: these lines are read
/// as rules.
pub(super) fn of(engine: &Engine, reads: &ReadSet) -> anyhow::Result<Option<Profile>> {
    let newest = |kinds: &[Kind], limit: usize| -> anyhow::Result<Vec<Record>> {
        let filter =
            Filter { scopes: reads.clone(), kinds: kinds.to_vec(), order: Order::Newest, limit, ..Filter::default() };
        let found = engine.store().list(&filter).context("cannot read what the project's profile is made from")?;
        Ok(found.into_iter().filter_map(Lookup::found).map(|stored| stored.record).collect())
    };
    let mut body = String::new();
    let mut records = Vec::new();
    let rules = newest(&[Kind::Lesson, Kind::Note], RULES_LOOKED_AT_MAX)?;
    let replaced: Vec<RecordId> = rules.iter().filter_map(|rule| rule.replaces).collect();
    let said = rules.iter().filter(|rule| {
        let is_rule = match rule.kind() {
            Kind::Lesson => may_be_lesson(rule.origin, rule.trust),
            _ => rule.pinned,
        };
        is_rule && is_own(rule, rule.text()) && !replaced.contains(&rule.id)
    });
    for rule in said.take(RULES_MAX) {
        let day = rule.created_at.strftime("%Y-%m-%d");
        let _ = writeln!(body, "- [{}; {day}; id {}] {}", rule.kind().word(), rule.id, one_line(rule.text()));
        records.push(rule.id);
    }
    let episodes = newest(&[Kind::Episode], EPISODES_LOOKED_AT_MAX)?;
    if let Some((record, line)) = episodes.iter().find_map(|record| Some((record, ended(record)?))) {
        body.push_str(&line);
        records.push(record.id);
    }
    if body.is_empty() {
        return Ok(None);
    }
    Ok(Some(Profile { text: marker::encode(&format!("Known about this project:\n{body}")), records }))
}

/// Whether what a record says here comes from the person or the agent, and gives no orders.
fn is_own(record: &Record, said: &str) -> bool {
    !matches!(record.origin, Origin::Tool | Origin::Web)
        && record.trust < Trust::Untrusted
        && !is_suspicious(said, record.origin, record.trust)
}

/// How an episode ended, when that is known.
fn ended(record: &Record) -> Option<String> {
    let Body::Episode(episode) = &record.body else { return None };
    let said = format!("{}\n{}", episode.situation, episode.reason.as_deref().unwrap_or_default());
    if !is_own(record, &said) {
        return None;
    }
    let how = match episode.outcome {
        Outcome::Success => "succeeded",
        Outcome::Failure => "failed",
        Outcome::Unknown => return None,
    };
    let day = record.created_at.strftime("%Y-%m-%d");
    let reason = episode.reason.as_deref().map_or_else(String::new, |reason| format!(" ({})", one_line(reason)));
    let situation = one_line(&episode.situation);
    Some(format!("- [last known outcome; {day}; id {}] {how}: {situation}{reason}\n", record.id))
}

/// A text on one line, cut at its limit.
fn one_line(text: &str) -> String {
    let mut line: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if let Some((end, _)) = line.char_indices().nth(LINE_CHARS_MAX) {
        line.truncate(end);
        line.push('…');
    }
    line
}

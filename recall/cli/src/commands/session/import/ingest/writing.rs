//! What waits for the store, sessions before their messages, and what an import came to.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;

use anyhow::Context;
use harness_memory::intake::Admission;
use harness_memory::sqlite::Begun;
use harness_memory::store::{PUT_RECORDS_MAX, Reading, ReadingPlace};
use harness_memory::{Admitted, Body, Kind, Lookup, Put, Record, RecordId, Session, Store, Stored};
use harness_recall::Engine;
use serde::Serialize;

use super::Ingest;

/// The most problems that are kept for the report; all are counted.
const PROBLEMS_KEPT_MAX: usize = 100;

/// So many parts of [`PUT_RECORDS_MAX`] are written at the most while more is read: each costs memory, and others wait for
/// the transaction that they become, which takes a tenth of a second.
const PARTS_BEGUN_MAX: usize = 3;

/// What an import came to.
#[derive(Default, Serialize)]
pub(crate) struct Tally {
    pub(crate) files: u64,
    pub(crate) files_failed: u64,
    /// Files that were read before and are as they were.
    pub(crate) files_unchanged: u64,
    pub(crate) bytes: u64,
    pub(crate) sessions: u64,
    pub(crate) messages_read: u64,
    pub(crate) messages_new: u64,
    pub(crate) messages_known: u64,
    /// Of those that are known, what a person forgot: importing does not bring it back.
    pub(crate) messages_forgotten: u64,
    /// Messages that took the place of an earlier version of themselves.
    pub(crate) messages_changed: u64,
    /// Messages that their tool took back.
    pub(crate) messages_withdrawn: u64,
    pub(crate) episodes_new: u64,
    pub(crate) episodes_known: u64,
    /// Secrets that were replaced in what was added, by rule.
    pub(crate) redactions: BTreeMap<&'static str, usize>,
    /// Blocks of recall's own making that were left out, messages that held nothing else among them.
    pub(crate) echoes: u64,
    /// Messages of sessions that are excluded.
    pub(crate) excluded: u64,
    /// Messages that were cut.
    pub(crate) cut: u64,
    /// Files whose end is no whole line, and how many bytes wait there: still being written, or one line without an end.
    pub(crate) unfinished: u64,
    pub(crate) unfinished_bytes: u64,
    /// The first things that could not be read, as `file:line: reason`.
    pub(crate) problems: Vec<String>,
    pub(crate) problems_total: u64,
    /// Changes that are left for the background to index; 0 when everything can be found.
    pub(crate) index_lag: u64,
}

impl Tally {
    /// Whether anything was added or changed.
    pub(crate) fn wrote(&self) -> bool {
        self.messages_new + self.messages_changed + self.messages_withdrawn + self.episodes_new > 0
    }

    /// Counts what could not be read at all.
    pub(crate) fn failed(&mut self, what: impl FnOnce() -> String) {
        self.files_failed += 1;
        self.problem(what);
    }

    pub(super) fn problem(&mut self, what: impl FnOnce() -> String) {
        self.problems_total += 1;
        if self.problems.len() < PROBLEMS_KEPT_MAX {
            self.problems.push(what());
        }
    }
}

/// A record on its way, with what the intake replaced in it.
pub(super) struct Waiting {
    record: Admitted,
    redactions: BTreeMap<&'static str, usize>,
    /// Whether it takes the place of what stands under its key with other content.
    rewrites: bool,
    /// What is forgotten once it is stored: versions of it that were drawn before.
    replaced: Vec<RecordId>,
}

/// What is to be counted of a record once it is known whether it was new.
struct Fact {
    kind: Kind,
    redactions: BTreeMap<&'static str, usize>,
    /// The record, where it takes the place of what stands under its key with other content.
    again: Option<Admitted>,
    replaced: Vec<RecordId>,
}

/// A part that is being written.
pub(super) struct Writing {
    begun: Begun<Vec<Put>>,
    facts: Vec<Fact>,
    readings: Vec<(ReadingPlace, Reading)>,
}

impl Ingest<'_> {
    pub(super) fn admit(&mut self, record: Record, path: &Path) {
        self.admit_in_place_of(Vec::new(), record, path);
    }

    /// The same for a record that was drawn anew: once it is stored, these earlier versions of it are forgotten.
    pub(super) fn admit_in_place_of(&mut self, replaced: Vec<RecordId>, record: Record, path: &Path) {
        let key = record.key.clone();
        match self.intake.admit(record) {
            Ok(Admission::Admitted { record, redactions }) => {
                let rewrites = self.rewrites && record.record().kind() == Kind::Message;
                self.waiting.push(Waiting { record: *record, redactions, rewrites, replaced })
            }
            Ok(Admission::Echo) => self.tally.echoes += 1,
            Err(error) => {
                self.tally.problem(|| format!("{}: message {}: {error}", path.display(), key.unwrap_or_default()))
            }
        }
    }

    /// Stores what is waiting, sessions before their messages, and waits until it is durable.
    pub(super) fn flush(&mut self) -> anyhow::Result<()> {
        self.begin_flush()?;
        while !self.begun.is_empty() {
            self.end_flush()?;
        }
        Ok(())
    }

    /// Begins to store what is waiting: more is read while it is written, and parts that wait for the writer become one
    /// transaction. Once [`PARTS_BEGUN_MAX`] were begun, the end of the first is waited for.
    pub(super) fn begin_flush(&mut self) -> anyhow::Result<()> {
        let waiting = std::mem::take(&mut self.waiting);
        let news = std::mem::take(&mut self.news);
        let Some(engine) = self.engine else {
            waiting.iter().for_each(|waiting| count_redactions(&mut self.tally, waiting));
            return Ok(());
        };
        let mut sessions: Vec<Session> =
            news.into_iter().map(|place| self.intake.session(self.states[place].session.clone())).collect();
        let (mut records, mut facts) = (Vec::with_capacity(waiting.len()), Vec::with_capacity(waiting.len()));
        for waiting in waiting {
            let again = waiting.rewrites.then(|| waiting.record.clone());
            let (kind, replaced) = (waiting.record.record().kind(), waiting.replaced);
            facts.push(Fact { kind, redactions: waiting.redactions, again, replaced });
            records.push(waiting.record);
        }
        while !records.is_empty() || !sessions.is_empty() {
            if self.begun.len() == PARTS_BEGUN_MAX {
                self.end_flush()?;
            }
            let rest = records.split_off(records.len().min(PUT_RECORDS_MAX));
            let part = std::mem::replace(&mut records, rest);
            let facts = facts.drain(..part.len()).collect();
            let begun = engine.store().begin_put(std::mem::take(&mut sessions), part);
            let begun = begun.context("cannot write to the store")?;
            self.begun.push_back(Writing { begun, facts, readings: Vec::new() });
        }
        // Noted once everything is stored that they speak of.
        let readings = std::mem::take(&mut self.readings);
        match self.begun.back_mut() {
            Some(writing) => writing.readings.extend(readings),
            None => note_readings(engine, readings)?,
        }
        Ok(())
    }

    /// Waits for the part that was begun first, and counts it.
    fn end_flush(&mut self) -> anyhow::Result<()> {
        let (Some(Writing { begun, facts, readings }), Some(engine)) = (self.begun.pop_front(), self.engine) else {
            return Ok(());
        };
        let puts = begun.wait().context("cannot write to the store")?;
        self.app.wrote();
        let mut compared = Vec::new();
        let mut replaced_all = Vec::new();
        for (put, Fact { kind, redactions, again, replaced }) in puts.iter().zip(facts) {
            let tally = &mut self.tally;
            match (kind, put) {
                (Kind::Episode, Put::Added(_)) => tally.episodes_new += 1,
                (Kind::Episode, Put::Known(_) | Put::Forgotten(_)) => tally.episodes_known += 1,
                (_, Put::Added(_)) => tally.messages_new += 1,
                (_, Put::Known(_)) => tally.messages_known += 1,
                (_, Put::Forgotten(_)) => {
                    tally.messages_known += 1;
                    // Of a message that its tool changes, an earlier version was forgotten for the one that stands.
                    tally.messages_forgotten += u64::from(again.is_none());
                }
            }
            if let (Put::Known(id) | Put::Forgotten(id), Some(again)) = (put, again) {
                compared.push((*id, again));
            }
            if put.is_new() {
                replaced_all.extend(replaced);
                redactions.into_iter().for_each(|(rule, times)| *tally.redactions.entry(rule).or_insert(0) += times);
            }
        }
        for (id, again) in compared {
            self.compare(id, again)?;
        }
        if !replaced_all.is_empty() {
            // Nobody asked for it, so there is nothing to take back: what they say is in their successor and the messages.
            engine.store().forget(&replaced_all, self.app.now).context("cannot replace an episode")?;
        }
        note_readings(engine, readings)
    }

    /// Sees to it that of a message that its tool changes, the version that was read stands.
    ///
    /// A version whose successor is there has been replaced; one that was forgotten without a successor was
    /// forgotten by a person, and stays so.
    fn compare(&mut self, mut id: RecordId, again: Admitted) -> anyhow::Result<()> {
        let Some(engine) = self.engine else { return Ok(()) };
        let store = engine.store();
        let doing = "cannot look up a message";
        let mut lookup = store.get(&[id]).context(doing)?.pop();
        if !matches!(lookup, Some(Lookup::Found(_))) {
            let Some(latest) = store.latest(&[id]).context(doing)?.pop().flatten() else {
                self.tally.messages_forgotten += 1;
                return Ok(());
            };
            id = latest;
            lookup = store.get(&[id]).context(doing)?.pop();
        }
        let Some(Lookup::Found(stored)) = &lookup else { return Ok(()) };
        if same_words(stored, again.record()) {
            return Ok(());
        }
        let mut version = again.into_record();
        version.id = RecordId::new();
        version.key = version.key.map(|key| format!("{key}~{:016x}", print_of(&stored.record, &version.body)));
        version.replaces = Some(id);
        let Ok(Admission::Admitted { record, .. }) = self.intake.admit(version) else { return Ok(()) };
        let puts = store.put(vec![*record]).context("cannot write to the store")?;
        if puts.iter().all(|put| put.is_new()) {
            store.forget(&[id], self.undo_until()).context("cannot replace a message")?;
            self.tally.messages_changed += 1;
        }
        Ok(())
    }
}

/// Whether a stored message says what was read, wherever in the session it stands.
fn same_words(stored: &Stored, read: &Record) -> bool {
    match (&stored.record.body, &read.body) {
        (Body::Message(known), Body::Message(read)) => {
            let mut known = known.clone();
            known.position = read.position;
            known == *read
        }
        (known, read) => known == read,
    }
}

/// A fingerprint of a version and of the one before it: a message may go back to what it was.
fn print_of(before: &Record, body: &Body) -> u64 {
    let mut hasher = DefaultHasher::new();
    before.id.hash(&mut hasher);
    serde_json::to_string(body).unwrap_or_default().hash(&mut hasher);
    hasher.finish()
}

/// Notes how far transcripts were read.
fn note_readings(engine: &Engine, readings: Vec<(ReadingPlace, Reading)>) -> anyhow::Result<()> {
    for (place, reading) in readings {
        engine.store().put_reading(&place, &reading).context("cannot note how far a transcript was read")?;
    }
    Ok(())
}

fn count_redactions(tally: &mut Tally, waiting: &Waiting) {
    waiting.redactions.iter().for_each(|(rule, times)| *tally.redactions.entry(rule).or_insert(0) += times);
}

//! Our own store: its texts, and the way of one record.

use std::collections::HashSet;

use anyhow::Context;
use harness_memory::store::{Filter, READ_ROWS_MAX};
use harness_memory::{Body, Kind, Lookup, MessageForm, Outcome, ReadSet, Record, RecordId, Role, Store};
use harness_recall::Engine;
use jiff::Timestamp;
use serde::Serialize;

use super::Item;
use crate::render;

/// How many injections are looked back at: years of work.
const EXPOSURES_MAX: usize = 1_000_000;

/// The live texts within a read set. What tools printed is left out: it repeats by nature.
pub(crate) fn read(engine: &Engine, scopes: &ReadSet, now: Timestamp) -> anyhow::Result<Vec<Item>> {
    let store = engine.store();
    let exposed: HashSet<RecordId> = store
        .exposures(EXPOSURES_MAX)
        .context("cannot read what was injected")?
        .into_iter()
        .flat_map(|exposure| exposure.records)
        .collect();
    let mut items = Vec::new();
    let mut after = None;
    loop {
        let filter = Filter { scopes: scopes.clone(), after, limit: READ_ROWS_MAX, ..Filter::default() };
        let rows = store.list(&filter).context("cannot read the records")?;
        let Some(last) = rows.iter().rev().find_map(row_of) else { return Ok(items) };
        after = Some(last);
        let records: Vec<Record> = rows.into_iter().filter_map(Lookup::found).map(|stored| stored.record).collect();
        let ids: Vec<RecordId> = records.iter().map(|record| record.id).collect();
        let replaced = store.replaced_by(&ids).context("cannot read what was replaced")?;
        for (record, replaced) in records.into_iter().zip(replaced) {
            if let Body::Message(message) = &record.body
                && (message.role == Role::Tool || message.form != MessageForm::Statement)
            {
                continue;
            }
            let is_message = record.kind() == Kind::Message;
            items.push(Item {
                id: record.id.to_string(),
                kind: record.kind().word().to_owned(),
                text: record.text().to_owned(),
                at: Some(record.created_at),
                recalled: (!is_message).then(|| exposed.contains(&record.id)),
                ended: replaced.is_some() || record.expires_at.is_some_and(|end| end <= now),
                may_age: matches!(record.kind(), Kind::Note | Kind::Lesson),
            });
        }
    }
}

fn row_of(lookup: &Lookup) -> Option<harness_memory::Row> {
    match lookup {
        Lookup::Found(stored) => Some(stored.row),
        Lookup::Damaged { row, .. } => Some(*row),
        Lookup::Forgotten(_) | Lookup::Missing => None,
    }
}

/// The way of one record: who wrote it, from where, when it was injected, and how those runs ended.
#[derive(Debug, Serialize)]
pub(crate) struct Trace {
    pub(crate) record: Record,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) replaced_by: Option<RecordId>,
    /// What makes it look like an instruction to whoever reads it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) signs: Vec<&'static str>,
    /// The newest first.
    pub(crate) injections: Vec<Injection>,
}

/// One time that a record was given to a run.
#[derive(Debug, Serialize)]
pub(crate) struct Injection {
    pub(crate) at: Timestamp,
    pub(crate) run: String,
    pub(crate) query: String,
    /// Its place among what was given.
    pub(crate) rank: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) outcome: Option<Outcome>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
}

/// The way of a record; `None` when there is none of this id, or it was forgotten.
pub(crate) fn trace(engine: &Engine, id: RecordId) -> anyhow::Result<Option<Trace>> {
    let store = engine.store();
    let found = store.get(&[id]).context("cannot read the record")?.pop().and_then(Lookup::found);
    let Some(record) = found.map(|stored| stored.record) else { return Ok(None) };
    let replaced_by = store.replaced_by(&[id]).context("cannot read what replaces it")?.pop().flatten();
    let mut injections = Vec::new();
    for exposure in store.exposures(EXPOSURES_MAX).context("cannot read what was injected")? {
        let Some(place) = exposure.records.iter().position(|given| *given == id) else { continue };
        let end = store.run_end(&exposure.run).context("cannot read how a run ended")?;
        let (outcome, reason) = end.map_or((None, None), |(outcome, reason)| (Some(outcome), reason));
        let (at, run, query) = (exposure.at, exposure.run, exposure.query);
        injections.push(Injection { at, run, query, rank: place + 1, outcome, reason });
    }
    Ok(Some(Trace { signs: render::signs(&record), record, replaced_by, injections }))
}

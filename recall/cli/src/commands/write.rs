//! The way of a command's records into the store.

use std::collections::BTreeMap;

use anyhow::Context;
use harness_memory::intake::Admission;
use harness_memory::store::PUT_RECORDS_MAX;
use harness_memory::{Admitted, Error, Record, Store};

use crate::app::App;
use crate::render::count;
use crate::report;
use crate::serve::types::Written;

/// Puts records that somebody wrote on purpose, in transactions of at most [`PUT_RECORDS_MAX`], through the
/// intake. All are checked before the first is stored. Says on stderr which secrets were replaced, and answers what the
/// service answers of a write.
pub(crate) fn put(app: &App, records: Vec<Record>) -> anyhow::Result<Vec<Written>> {
    let engine = app.engine()?;
    let several = records.len() > 1;
    let mut redactions = BTreeMap::new();
    let mut admitted: Vec<Admitted> = Vec::with_capacity(records.len());
    let mut written: Vec<Written> = Vec::with_capacity(records.len());
    for (number, record) in (1..).zip(records) {
        let name = || if several { format!("cannot keep record {number}") } else { "cannot keep this".to_owned() };
        match engine.intake().admit(record).with_context(name)? {
            Admission::Admitted { record, redactions: found } => {
                let said = record.record();
                written.push(Written {
                    id: said.id,
                    kind: said.kind(),
                    scope: said.scope.clone(),
                    created: false,
                    replaces: said.replaces,
                    redactions: found.iter().map(|(rule, times)| ((*rule).to_owned(), *times)).collect(),
                });
                for (rule, times) in found {
                    *redactions.entry(rule).or_insert(0) += times;
                }
                admitted.push(*record);
            }
            Admission::Echo => {
                let reason = "it holds nothing but text that recall had injected; say what is new in your own words";
                return Err(Error::Refused { reason: reason.to_owned() }).with_context(name);
            }
        }
    }
    let mut told = written.iter_mut();
    while !admitted.is_empty() {
        let rest = admitted.split_off(admitted.len().min(PUT_RECORDS_MAX));
        let batch = std::mem::replace(&mut admitted, rest);
        app.wrote();
        for (put, told) in engine.store().put(batch).context("cannot write to the store")?.into_iter().zip(&mut told) {
            (told.id, told.created) = (put.id(), put.is_new());
        }
    }
    if let Some(note) = redaction_note(&redactions) {
        report::line(&note);
    }
    Ok(written)
}

/// What to say of secrets that were replaced, by rule.
pub(crate) fn redaction_note(redactions: &BTreeMap<&'static str, usize>) -> Option<String> {
    if redactions.is_empty() {
        return None;
    }
    let all: usize = redactions.values().sum();
    let rules: Vec<String> = redactions.iter().map(|(rule, times)| format!("{rule} {times}")).collect();
    Some(format!("note: {} replaced before storing ({})", count(all as u64, "secret"), rules.join(", ")))
}

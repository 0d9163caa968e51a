//! Secrets in what is stored already.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;
use harness_memory::redact::Redactor;
use harness_memory::sqlite::Secrets;
use serde::Serialize;

use crate::app::App;
use crate::hooks::log::LOG_FOLDER;
use crate::output::Exit;
use crate::progress::Bar;
use crate::report::Advice;
use crate::{follower, interrupt, render, report};

/// How many records are named one by one.
const RECORDS_SHOWN_MAX: usize = 20;

/// The largest log that is looked through; ours are far smaller.
const LOG_BYTES_MAX: u64 = 64 << 20;

/// What was found, and whether it was removed.
#[derive(Serialize)]
struct Report {
    check: &'static str,
    ok: bool,
    fixed: bool,
    /// How often each rule fired in records.
    rules: BTreeMap<&'static str, usize>,
    records: usize,
    /// The first records that hold a secret.
    ids: Vec<String>,
    sessions: u64,
    /// Scopes whose name holds one.
    scopes: u64,
    /// Notes of how far a transcript was read whose path holds one.
    readings: u64,
    queries: u64,
    reasons: u64,
    dictionaries: usize,
    logs: Vec<PathBuf>,
    /// Rows that could not be read, and so were not looked at.
    damaged: u64,
}

pub(super) fn run(app: &App, fix: bool) -> anyhow::Result<Exit> {
    let Some(engine) = app.engine_if_any()? else { return Ok(Exit::Found) };
    let redactor = &app.settings.redactor;
    let store = engine.store();
    let bar = Bar::new("looking for secrets", "rows");
    let found = store.find_secrets(redactor, &mut |done, all| bar.step(done, all));
    drop(bar);
    let found = found.context("cannot look through the store")?;
    let logs = logs_with_secrets(&app.home, redactor);
    if interrupt::requested() {
        report::line("stopped before the end: this says nothing about the rest");
        return Ok(Exit::Interrupted);
    }
    let clean = found.is_none() && logs.is_empty();
    if fix && !clean {
        let bar = Bar::new("removing secrets", "records");
        store.remove_secrets(redactor, &found, &mut |done, all| bar.step(done, all)).context("cannot remove them")?;
        drop(bar);
        if interrupt::requested() {
            report::line("stopped: run it again, so that the free pages and the indexes lose them, too");
            return Ok(Exit::Interrupted);
        }
        // Deleted documents stay in an index's files until it is merged; a new one never had them.
        let bar = Bar::new("rebuilding the indexes", "changes");
        engine.rebuild(&mut |done, all| bar.step(done, all)).context("cannot rebuild the indexes")?;
        drop(bar);
        store.vacuum().context(Advice::new(
            "the secrets are replaced, but still in the database's free pages",
            "stop other harness processes (`harness status` names them) and run this again",
        ))?;
        logs.iter().try_for_each(|log| clean_log(log, redactor))?;
    }
    say(app, &found, logs, fix && !clean)?;
    Ok(if clean || fix { Exit::Found } else { Exit::Nothing })
}

fn say(app: &App, found: &Secrets, logs: Vec<PathBuf>, fixed: bool) -> anyhow::Result<()> {
    let mut rules: BTreeMap<&'static str, usize> = BTreeMap::new();
    for (_, fired) in &found.records {
        fired.iter().for_each(|(rule, times)| *rules.entry(rule).or_insert(0) += times);
    }
    let report = Report {
        check: "secrets",
        ok: fixed || found.is_none() && logs.is_empty(),
        fixed,
        rules,
        records: found.records.len(),
        ids: found.records.iter().take(RECORDS_SHOWN_MAX).map(|(id, _)| id.to_string()).collect(),
        sessions: found.sessions,
        scopes: found.scopes,
        readings: found.readings,
        queries: found.queries,
        reasons: found.reasons,
        dictionaries: found.dictionaries.len(),
        logs,
        damaged: found.damaged,
    };
    if app.json {
        return app.print_json(&report);
    }
    app.print(|out| {
        if report.ok && !report.fixed {
            writeln!(out, "no secrets found")?;
        } else {
            let done = if report.fixed { "removed" } else { "found" };
            writeln!(out, "{done} secrets in {}", render::count(report.records as u64, "record"))?;
            for (rule, times) in &report.rules {
                writeln!(out, "  {rule}: {times}")?;
            }
            let places = [
                (report.sessions, "session"),
                (report.scopes, "name of a scope"),
                (report.readings, "path of a transcript"),
                (report.queries, "query of a past injection"),
                (report.reasons, "reason of a run's end"),
            ];
            for (count, what) in places {
                if count > 0 {
                    writeln!(out, "  and in {} ({count})", what)?;
                }
            }
            for log in &report.logs {
                writeln!(out, "  and in {}", log.display())?;
            }
            for id in &report.ids {
                writeln!(out, "  record {id}")?;
            }
            if report.records > report.ids.len() {
                writeln!(out, "  and {} more", render::count((report.records - report.ids.len()) as u64, "record"))?;
            }
            if report.fixed {
                writeln!(out, "the indexes were built anew, and the database's free pages are gone")?;
                writeln!(
                    out,
                    "backups and exports made before still hold them: make new ones, and replace the secrets"
                )?;
            } else {
                writeln!(out, "`harness doctor --secrets --fix` removes them")?;
            }
        }
        if report.damaged > 0 {
            writeln!(out, "{} could not be read: `harness doctor`", render::count(report.damaged, "row"))?;
        }
        Ok(())
    })
}

/// The logs of the home that hold a secret.
fn logs_with_secrets(home: &Path, redactor: &Redactor) -> Vec<PathBuf> {
    let logs = fs::read_dir(home.join(LOG_FOLDER)).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut logs: Vec<PathBuf> = logs.chain([home.join(follower::LOG_FILE)]).collect();
    logs.sort();
    logs.retain(|log| read_log(log).is_some_and(|text| redactor.redact(&text).hits().next().is_some()));
    logs
}

fn read_log(path: &Path) -> Option<String> {
    let facts = fs::metadata(path).ok().filter(|facts| facts.is_file() && facts.len() <= LOG_BYTES_MAX);
    facts.and_then(|_| fs::read(path).ok()).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

fn clean_log(path: &Path, redactor: &Redactor) -> anyhow::Result<()> {
    let Some(text) = read_log(path) else { return Ok(()) };
    fs::write(path, redactor.redact(&text).text()).with_context(|| format!("cannot write {}", path.display()))
}

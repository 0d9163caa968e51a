//! `harness status`.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;

use anyhow::Context;
use harness_memory::Store;
use harness_memory::store::Counts;
use harness_recall::IndexStatus;
use harness_recall::models::current_model;
use serde::{Serialize, Serializer};

use crate::app::App;
use crate::commands::index;
use crate::exclusions::Exclusions;
use crate::output::Exit;
use crate::render::{bytes, count};

/// Say what there is, and what to do next
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  harness status
  harness status --json | jq .store.records")]
pub(crate) struct Args {}

#[derive(Serialize)]
struct Status {
    version: &'static str,
    home: PathBuf,
    user: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    project: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "counts_by_kind")]
    store: Option<Counts>,
    indexes: Vec<IndexStatus>,
    /// The process that indexes at the moment.
    #[serde(skip_serializing_if = "Option::is_none")]
    follower: Option<u32>,
    /// The embedding model in use.
    model: Option<String>,
    /// What is not to be remembered; null where the file that says so cannot be read: then nothing is read in.
    exclusions: Option<Exclusions>,
    next: Vec<String>,
}

/// The counts with one field a kind, so that a program can ask for one by name.
fn counts_by_kind<S: Serializer>(counts: &Option<Counts>, to: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct ByKind {
        records: BTreeMap<&'static str, u64>,
        forgotten: u64,
        sessions: u64,
        seq: u64,
        bytes: u64,
    }
    let by_kind = counts.as_ref().map(|counts| ByKind {
        records: counts.records.iter().map(|(kind, number)| (kind.word(), *number)).collect(),
        forgotten: counts.forgotten,
        sessions: counts.sessions,
        seq: counts.seq,
        bytes: counts.bytes,
    });
    by_kind.serialize(to)
}

pub(crate) fn run(_: Args, app: &App) -> anyhow::Result<Exit> {
    let mut status = Status {
        version: env!("CARGO_PKG_VERSION"),
        home: app.home.clone(),
        user: app.user().to_string(),
        project: app.here().ok().map(|scope| scope.to_string()),
        store: None,
        indexes: Vec::new(),
        follower: None,
        model: current_model(&app.home),
        exclusions: Exclusions::read(&app.home).ok(),
        next: Vec::new(),
    };
    if !app.home_is_missing() {
        let engine = app.engine()?;
        status.store = Some(engine.store().counts().context("cannot count the store's records")?);
        status.follower = engine.follower();
        status.indexes = engine.index_status().context("cannot ask the indexes")?;
    }
    status.next = next(&status);
    if app.json {
        app.print_json(&status)?;
    } else {
        print(app, &status)?;
    }
    Ok(Exit::Found)
}

fn print(app: &App, status: &Status) -> anyhow::Result<()> {
    let style = app.style;
    app.print(|out| {
        let mut fact = |name: &str, value: &str| writeln!(out, "{} {value}", style.dim(&format!("{name:<9}")));
        fact("home", &status.home.display().to_string())?;
        fact("you", &status.user)?;
        if let Some(project) = &status.project {
            fact("here", project)?;
        }
        match &status.store {
            None => fact("store", "nothing is remembered yet")?,
            Some(counts) => {
                let kinds: Vec<String> =
                    counts.records.iter().filter(|(_, n)| *n > 0).map(|(kind, n)| count(*n, kind.word())).collect();
                let kinds = if kinds.is_empty() { "no records".to_owned() } else { kinds.join(", ") };
                let sessions = count(counts.sessions, "session");
                fact("store", &format!("{kinds}, {sessions}, {}", bytes(counts.bytes)))?;
                if counts.forgotten > 0 {
                    fact("forgotten", &format!("{}, can still be brought back", count(counts.forgotten, "record")))?;
                }
            }
        }
        for index in &status.indexes {
            fact("index", &index::status_line(index))?;
        }
        if let Some(pid) = status.follower {
            fact("follower", &format!("process {pid} indexes what is written"))?;
        }
        fact(
            "model",
            status.model.as_deref().unwrap_or("none: recall answers from text alone; `harness setup` gets one"),
        )?;
        match &status.exclusions {
            None => fact("capture", "nothing is read in: `harness session exclude` says what is wrong")?,
            Some(exclusions) => {
                if exclusions.paused(app.now) {
                    let until = exclusions.paused_until.map(|until| format!(" until {until}")).unwrap_or_default();
                    fact("capture", &format!("paused{until}: `harness session resume` ends that"))?;
                }
                let kinds = [
                    (exclusions.paths.len(), "path"),
                    (exclusions.projects.len(), "project"),
                    (exclusions.sessions.len(), "session"),
                ];
                let named = kinds.iter().filter(|(number, _)| *number > 0);
                let named: Vec<String> = named.map(|(number, kind)| count(*number as u64, kind)).collect();
                if !named.is_empty() {
                    fact("excluded", &format!("{}: `harness session exclude` lists them", named.join(", ")))?;
                }
            }
        }
        for step in &status.next {
            fact("next", step)?;
        }
        Ok(())
    })
}

/// What would help most now.
fn next(status: &Status) -> Vec<String> {
    let records: u64 = status.store.iter().flat_map(|counts| &counts.records).map(|(_, n)| n).sum();
    let mut next = Vec::new();
    if records == 0 {
        next.push("`harness remember \"…\"` keeps a note".to_owned());
    } else {
        next.push("`harness recall search \"…\"` finds it again".to_owned());
    }
    if status.indexes.iter().any(|index| index.state.starts_with("rebuild")) {
        next.push("`harness index rebuild` makes the index anew".to_owned());
    } else if status.indexes.iter().any(|index| index.lag > 0) {
        next.push("`harness index follow --idle 0` indexes what is left; it is searched either way".to_owned());
    }
    next
}

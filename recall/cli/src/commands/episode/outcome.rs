//! `harness episode outcome`.

use std::io::Write;

use anyhow::Context;
use harness_memory::store::Patch;
use harness_memory::{Outcome, RecordId, Store};
use serde::Serialize;

use crate::app::App;
use crate::commands::pick::IdStart;
use crate::output::Exit;

/// Say how an episode ended
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  harness episode outcome 0196a1b2c3d4 success --reason \"the tests pass\"
  harness episode outcome 0196a1b2c3d4 failure --reason \"rolled back\"")]
pub(crate) struct Args {
    /// The episode's id, or as much of its beginning as no other has
    #[arg(value_name = "ID")]
    id: IdStart,

    /// How it ended: success, failure or unknown
    #[arg(value_name = "OUTCOME")]
    outcome: Outcome,

    /// What says so
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

#[derive(Serialize)]
struct Changed<'a> {
    id: RecordId,
    outcome: Outcome,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
}

pub(crate) fn run(args: Args, app: &App) -> anyhow::Result<Exit> {
    let engine = app.engine()?;
    let id = args.id.resolve(engine)?;
    let patch = Patch { outcome: Some((args.outcome, args.reason.clone())), ..Patch::default() };
    app.wrote();
    engine.store().update(id, patch).with_context(|| format!("cannot set the outcome of {id}"))?;
    if app.json {
        app.print_json(&Changed { id, outcome: args.outcome, reason: args.reason.as_deref() })?;
    } else {
        app.print(|out| writeln!(out, "{id} ended in {}", args.outcome))?;
    }
    Ok(Exit::Found)
}

//! `harness index status`.

use std::io::Write;

use harness_recall::IndexStatus;

use crate::app::App;
use crate::output::Exit;
use crate::render::{bytes, count};

/// Say how far each index has followed the store
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  harness index status
  harness index status --json

What an index has not followed yet is searched too: being behind costs time, not answers.")]
pub(crate) struct Args {}

pub(crate) fn run(_: Args, app: &App) -> anyhow::Result<Exit> {
    let Some(engine) = app.engine_if_any()? else { return Ok(Exit::Nothing) };
    for index in engine.index_status()? {
        if app.json {
            app.print_json(&index)?;
        } else {
            app.print(|out| writeln!(out, "{}", line(&index)))?;
        }
    }
    Ok(Exit::Found)
}

/// An index on one line.
pub(crate) fn line(index: &IndexStatus) -> String {
    let behind = if index.lag == 0 { String::new() } else { format!(", {} behind", count(index.lag, "change")) };
    format!("{}: {}{behind}, {}, {}", index.name, index.state, count(index.documents, "document"), bytes(index.bytes))
}

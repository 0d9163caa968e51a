//! `harness experience release`.

use std::io::Write;

use harness_memory::Store;

use crate::app::App;
use crate::commands::pick::IdStart;
use crate::output::Exit;

/// Start a record's credit anew: what was quarantined or on probation is injected again
///
/// Runs so far no longer count for or against it. If it keeps company with failure again, it sinks again.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  harness experience release 0196a1b2c3d4")]
pub(crate) struct Args {
    /// The record's id, or as much of its beginning as no other has
    #[arg(value_name = "ID")]
    id: IdStart,
}

pub(crate) fn run(args: Args, app: &App) -> anyhow::Result<Exit> {
    let engine = app.engine()?;
    let id = args.id.resolve(engine)?;
    engine.store().reset_credit(id, app.now)?;
    if app.json {
        app.print_json(&serde_json::json!({ "id": id, "released_at": app.now }))?;
    } else {
        app.print(|out| writeln!(out, "{id} starts anew"))?;
    }
    Ok(Exit::Found)
}

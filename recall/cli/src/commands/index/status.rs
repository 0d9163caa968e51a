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
    let behind = match (index.changes_per_second, index.seconds_left) {
        (Some(pace), Some(left)) => format!("{behind} ({pace:.0} a second, {} left)", duration(left)),
        _ if index.paused && index.lag > 0 => format!("{behind} (paused: `harness index resume`)"),
        _ => behind,
    };
    let model = match (&index.model, &index.answered_by) {
        (Some(model), Some(before)) => format!(", {model}; {before} answers until then"),
        (Some(model), None) => format!(", {model}"),
        (None, _) => String::new(),
    };
    format!(
        "{}: {}{behind}, {}, {}{model}",
        index.name,
        index.state,
        count(index.documents, "document"),
        bytes(index.bytes)
    )
}

/// Seconds as a person says them.
fn duration(seconds: f64) -> String {
    let seconds = seconds.max(0.0).round() as u64;
    match seconds {
        0..60 => format!("{seconds} s"),
        60..5_400 => format!("{} min", seconds.div_ceil(60)),
        _ => format!("{:.1} h", seconds as f64 / 3_600.0),
    }
}

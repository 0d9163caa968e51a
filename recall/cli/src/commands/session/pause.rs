//! `harness session pause` and `harness session resume`.

use std::io::Write;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::app::App;
use crate::exclusions::Exclusions;
use crate::output::Exit;
use crate::when;

/// Remember nothing for a while
///
/// Until it is resumed, importing and watching read nothing and the tools' hooks neither remember nor give
/// anything. What is remembered stays, and can be searched. What happens during the pause is in the tools'
/// own transcripts, and is read by the next import after it; to leave it out for good, exclude it.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  harness session pause
  harness session pause --hours 2")]
pub(crate) struct Args {
    /// Resume by itself after so many hours
    #[arg(long, value_name = "HOURS", value_parser = clap::value_parser!(u32).range(1..=8760))]
    hours: Option<u32>,
}

/// Remember again after a pause
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  harness session resume

Exit codes: 0 resumed, 1 it was not paused, 2 failed.")]
pub(crate) struct ResumeArgs {}

#[derive(Serialize)]
struct State {
    paused: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<Timestamp>,
}

pub(crate) fn run(args: Args, app: &App) -> anyhow::Result<Exit> {
    let mut exclusions = Exclusions::read(&app.home)?;
    exclusions.paused_since = Some(app.now);
    exclusions.paused_until =
        args.hours.and_then(|hours| app.now.checked_add(SignedDuration::from_hours(i64::from(hours))).ok());
    exclusions.write(&app.home)?;
    let until = exclusions.paused_until;
    if app.json {
        app.print_json(&State { paused: true, until })?;
    } else {
        let until = until
            .map_or_else(|| "until `harness session resume`".to_owned(), |at| format!("until {}", when::stamp(at)));
        app.print(|out| writeln!(out, "paused {until}"))?;
    }
    Ok(Exit::Found)
}

pub(crate) fn resume(_: ResumeArgs, app: &App) -> anyhow::Result<Exit> {
    let mut exclusions = Exclusions::read(&app.home)?;
    let was = exclusions.paused(app.now);
    if exclusions.paused_since.is_some() {
        exclusions.paused_since = None;
        exclusions.paused_until = None;
        exclusions.write(&app.home)?;
    }
    if app.json {
        app.print_json(&State { paused: false, until: None })?;
    } else {
        app.print(|out| writeln!(out, "{}", if was { "resumed" } else { "it was not paused" }))?;
    }
    Ok(Exit::found(was))
}

//! `harness index follow`.

use std::time::Duration;

use crate::app::App;
use crate::interrupt;
use crate::output::Exit;

/// Index what is written until there is nothing to do
///
/// One process follows at a time; when another one does, this one leaves at once and says nothing.
/// Writing commands start one by themselves when much is left to index.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  harness index follow
  harness index follow --idle 0     catch up, then leave")]
pub(crate) struct Args {
    /// Leave after this many seconds without work [default: 30]
    #[arg(long, value_name = "SECONDS")]
    idle: Option<u64>,
}

pub(crate) fn run(args: Args, app: &App) -> anyhow::Result<Exit> {
    let engine = app.engine()?;
    let idle = Duration::from_secs(args.idle.unwrap_or(app.settings.follow_idle_seconds));
    if !engine.follow(idle, interrupt::flag())? {
        tracing::info!("another process follows already");
    }
    Ok(Exit::Found)
}

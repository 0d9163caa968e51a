//! `harness index follow`.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::app::App;
use crate::commands::run::{RUNS_FOLDER, prune};
use crate::commands::serve::hook_settings;
use crate::hooks::errand;
use crate::interrupt;
use crate::output::Exit;

/// Index what is written until there is nothing to do
///
/// One process follows at a time; when another one does, this one leaves at once and says nothing.
/// Writing commands start one by themselves when much is left to index.
///
/// Text is indexed at once; where a model is there, texts are embedded behind it at low priority, the newest first.
/// Meanwhile this process holds the model, makes the vectors of other processes' questions and answers the hooks of coding
/// tools, over a socket in the home.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  harness index follow
  harness index follow --idle 0     catch up, then leave
  harness index status              how far it is, how fast, how long it takes")]
pub(crate) struct Args {
    /// Leave after this many seconds without work; ten minutes after the last question [default: 30]
    #[arg(long, value_name = "SECONDS")]
    idle: Option<u64>,
}

pub(crate) fn run(args: Args, app: &App) -> anyhow::Result<Exit> {
    let engine = Arc::new(app.open_engine()?);
    errand::take(&engine, app.user(), hook_settings(app));
    // Somebody who follows is somebody who tidies up: what has been kept long enough goes now.
    let undo = SignedDuration::from_hours(24 * i64::from(app.settings.undo_days));
    let undo_until = app.now.checked_add(undo).unwrap_or(Timestamp::MAX);
    let over = engine.store().kept_long_enough(&app.settings.retention, app.now);
    let forgotten = over.and_then(|over| engine.store().forget_with_derived(&over, undo_until));
    if let Err(error) = forgotten {
        tracing::warn!("the rules of retention could not be applied: {error}");
    }
    prune(&app.home.join(RUNS_FOLDER), app.settings.undo_days);
    let idle = Duration::from_secs(args.idle.unwrap_or(app.settings.follow_idle_seconds));
    if !engine.follow(idle, interrupt::flag())? {
        tracing::info!("another process follows already");
    }
    Ok(Exit::Found)
}

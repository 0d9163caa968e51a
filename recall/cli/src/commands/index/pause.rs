//! `harness index pause` and `harness index resume`.

use anyhow::Context;

use crate::app::App;
use crate::output::Exit;
use crate::report;

/// Pause embedding in the background
///
/// Whoever embeds stops within a second and keeps what it did. What is written is found by its text meanwhile, and what
/// was embedded before by its meaning too. It stays paused until `harness index resume`, through restarts as well.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  harness index pause
  harness index resume")]
pub(crate) struct PauseArgs {}

/// Go on embedding in the background
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  harness index resume")]
pub(crate) struct ResumeArgs {}

pub(crate) fn pause(_: PauseArgs, app: &App) -> anyhow::Result<Exit> {
    let Some(engine) = app.engine_if_any()? else { return Ok(Exit::Nothing) };
    engine.pause_embedding(true).with_context(|| format!("cannot note that in {}", app.home.display()))?;
    report::line("embedding is paused; `harness index resume` goes on");
    Ok(Exit::Found)
}

pub(crate) fn resume(_: ResumeArgs, app: &App) -> anyhow::Result<Exit> {
    let Some(engine) = app.engine_if_any()? else { return Ok(Exit::Nothing) };
    engine.pause_embedding(false).with_context(|| format!("cannot note that in {}", app.home.display()))?;
    report::line("embedding goes on in the background");
    // Whoever embedded has left, perhaps.
    app.wrote();
    Ok(Exit::Found)
}

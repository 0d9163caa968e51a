//! `harness capture`: imports the transcripts that hooks have named.

use std::process::{Command, Stdio};

use anyhow::{Context, bail};

use crate::app::App;
use crate::hooks::{Capture, capture};
use crate::interrupt;
use crate::output::Exit;

/// Import the transcripts that hooks have named, then leave
///
/// Hooks start it by themselves. One process imports at a time; when another one does, this one leaves at once.
#[derive(clap::Args)]
#[command(hide = true)]
pub(crate) struct Args {}

pub(crate) fn run(_: Args, app: &App) -> anyhow::Result<Exit> {
    capture::drain(&app.home, interrupt::flag(), &mut |waiting| import(app, waiting))?;
    Ok(Exit::Found)
}

/// Imports one transcript with the command that a person would use, in a process of its own: what is excluded or
/// paused stays out, and a transcript that brings the importer down brings nothing else down.
fn import(app: &App, waiting: &Capture) -> anyhow::Result<()> {
    let program = std::env::current_exe().context("cannot find this program")?;
    let mut command = Command::new(program);
    command.arg("--home").arg(&app.home).args(["--json", "session", "import", "--tool", &waiting.tool]);
    if let Some(folder) = &waiting.folder {
        command.arg("--folder").arg(folder);
    }
    command.args(waiting.path.as_ref().map(|path| path.as_os_str()));
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).status().context("cannot start the import")?;
    // 1: nothing was found, which is said by its being nothing.
    match status.code() {
        Some(0 | 1) => Ok(()),
        _ => bail!("the import ended with {status}"),
    }
}

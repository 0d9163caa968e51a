//! `harness index`: the derived indexes.

mod follow;
mod pause;
mod rebuild;
mod status;
mod verify;

use clap::Subcommand;

use crate::app::App;
use crate::output::Exit;

pub(crate) use status::line as status_line;

#[derive(Subcommand)]
pub(crate) enum Command {
    Status(status::Args),
    Rebuild(rebuild::Args),
    Verify(verify::Args),
    Follow(follow::Args),
    Pause(pause::PauseArgs),
    Resume(pause::ResumeArgs),
}

pub(crate) fn run(command: Command, app: &App) -> anyhow::Result<Exit> {
    match command {
        Command::Status(args) => status::run(args, app),
        Command::Rebuild(args) => rebuild::run(args, app),
        Command::Verify(args) => verify::run(args, app),
        Command::Follow(args) => follow::run(args, app),
        Command::Pause(args) => pause::pause(args, app),
        Command::Resume(args) => pause::resume(args, app),
    }
}

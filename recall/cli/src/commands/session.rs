//! `harness session`: transcripts of coding tools.

mod import;
mod list;
mod show;

use clap::Subcommand;

use crate::app::App;
use crate::output::Exit;

#[derive(Subcommand)]
pub(crate) enum Command {
    Import(import::Args),
    List(list::Args),
    Show(show::Args),
}

pub(crate) fn run(command: Command, app: &App) -> anyhow::Result<Exit> {
    match command {
        Command::Import(args) => import::run(args, app),
        Command::List(args) => list::run(args, app),
        Command::Show(args) => show::run(args, app),
    }
}

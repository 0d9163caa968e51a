//! `harness episode`: what was tried, with which tools, and how it ended.

mod input;
mod list;
mod outcome;
mod record;
mod show;

use clap::Subcommand;

use crate::app::App;
use crate::output::Exit;

#[derive(Subcommand)]
pub(crate) enum Command {
    Record(Box<record::Args>),
    List(list::Args),
    Show(show::Args),
    Outcome(outcome::Args),
}

pub(crate) fn run(command: Command, app: &App) -> anyhow::Result<Exit> {
    match command {
        Command::Record(args) => record::run(*args, app),
        Command::List(args) => list::run(args, app),
        Command::Show(args) => show::run(args, app),
        Command::Outcome(args) => outcome::run(args, app),
    }
}

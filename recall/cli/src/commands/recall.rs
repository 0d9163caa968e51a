//! `harness recall`: find what was said and done, and look at it.

mod context;
mod last;
mod search;
mod show;

use clap::Subcommand;

use crate::app::App;
use crate::output::Exit;

#[derive(Subcommand)]
pub(crate) enum Command {
    Search(search::Args),
    Context(context::Args),
    Show(show::Args),
    Last(last::Args),
}

pub(crate) fn run(command: Command, app: &App) -> anyhow::Result<Exit> {
    match command {
        Command::Search(args) => search::run(args, app),
        Command::Context(args) => context::run(args, app),
        Command::Show(args) => show::run(args, app),
        Command::Last(args) => last::run(args, app),
    }
}

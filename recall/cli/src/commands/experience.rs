//! `harness experience`: whether memory helps, and what it does about what does not.

mod holdout;
mod record;
mod release;
mod report;

use crate::app::App;
use crate::output::Exit;

/// What `harness experience` can be told to do.
#[derive(clap::Subcommand)]
pub(crate) enum Command {
    Report(report::Args),
    Holdout(holdout::Args),
    Release(release::Args),
    Record(record::Args),
}

pub(crate) fn run(command: Command, app: &App) -> anyhow::Result<Exit> {
    match command {
        Command::Report(args) => report::run(args, app),
        Command::Holdout(args) => holdout::run(args, app),
        Command::Release(args) => release::run(args, app),
        Command::Record(args) => record::run(args, app),
    }
}

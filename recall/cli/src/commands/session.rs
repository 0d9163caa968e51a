//! `harness session`: transcripts of coding tools.

mod exclude;
mod import;
mod list;
mod pause;
mod show;
mod watch;

use clap::Subcommand;

use crate::app::App;
use crate::output::Exit;

#[derive(Subcommand)]
pub(crate) enum Command {
    Import(import::Args),
    List(list::Args),
    Show(show::Args),
    Watch(watch::Args),
    Exclude(exclude::Args),
    Pause(pause::Args),
    Resume(pause::ResumeArgs),
}

pub(crate) fn run(command: Command, app: &App) -> anyhow::Result<Exit> {
    match command {
        Command::Import(args) => import::run(args, app),
        Command::List(args) => list::run(args, app),
        Command::Show(args) => show::run(args, app),
        Command::Watch(args) => watch::run(args, app),
        Command::Exclude(args) => exclude::run(args, app),
        Command::Pause(args) => pause::run(args, app),
        Command::Resume(args) => pause::resume(args, app),
    }
}

//! The commands, one file each. Each has its `Args` and `run`; those with verbs have a `Command` of their own.

mod audit;
mod backup;
mod capture;
mod completions;
mod doctor;
mod episode;
mod experience;
mod export;
mod forget;
pub(crate) mod hook;
mod import;
mod index;
mod install;
mod mcp;
mod pick;
mod recall;
mod remember;
mod restore;
mod run;
mod serve;
mod service;
mod session;
pub(crate) mod setup;
mod status;
mod token;
mod view;
mod write;

use clap::Subcommand;

use crate::app::App;
use crate::output::Exit;
use crate::{demo, eval};

/// What `harness` can be told to do.
#[derive(Subcommand)]
pub(crate) enum Command {
    Demo(demo::Args),
    Setup(setup::Args),
    /// Find what was said and done, and look at it
    #[command(subcommand)]
    Recall(recall::Command),
    Remember(remember::Args),
    Forget(forget::Args),
    /// What was tried, with which tools, and how it ended
    #[command(subcommand)]
    Episode(episode::Command),
    /// Whether memory helps, and what is done about what does not
    #[command(subcommand)]
    Experience(experience::Command),
    Run(Box<run::Args>),
    /// Transcripts of coding tools
    #[command(subcommand)]
    Session(session::Command),
    /// The derived indexes: may be deleted or made anew at any time
    #[command(subcommand)]
    Index(index::Command),
    Export(export::Args),
    Import(import::Args),
    Backup(backup::Args),
    Restore(restore::Args),
    Serve(serve::Args),
    /// A server that runs whenever you are logged in
    #[command(subcommand)]
    Service(service::Command),
    View(view::Args),
    Mcp(mcp::Args),
    /// Tokens for the service, bound to scopes
    #[command(subcommand)]
    Token(token::Command),
    Status(status::Args),
    Doctor(doctor::Args),
    Audit(audit::Args),
    Eval(eval::Args),
    Install(install::InstallArgs),
    Uninstall(install::UninstallArgs),
    Hook(hook::Args),
    Capture(capture::Args),
    Completions(completions::Args),
}

/// Runs one command.
pub(crate) fn run(command: Command, app: &App) -> anyhow::Result<Exit> {
    match command {
        Command::Demo(args) => demo::run(args, app),
        Command::Setup(args) => setup::run(args, app),
        Command::Recall(command) => recall::run(command, app),
        Command::Remember(args) => remember::run(args, app),
        Command::Forget(args) => forget::run(args, app),
        Command::Episode(command) => episode::run(command, app),
        Command::Experience(command) => experience::run(command, app),
        Command::Run(args) => run::run(*args, app),
        Command::Session(command) => session::run(command, app),
        Command::Index(command) => index::run(command, app),
        Command::Export(args) => export::run(args, app),
        Command::Import(args) => import::run(args, app),
        Command::Backup(args) => backup::run(args, app),
        Command::Restore(args) => restore::run(args, app),
        Command::View(args) => view::run(args, app),
        Command::Serve(args) => serve::run(args, app),
        Command::Service(command) => service::run(command, app),
        Command::Mcp(args) => mcp::run(args, app),
        Command::Token(command) => token::run(command, app),
        Command::Status(args) => status::run(args, app),
        Command::Doctor(args) => doctor::run(args, app),
        Command::Audit(args) => audit::run(args, app),
        Command::Eval(args) => eval::run(args, app),
        Command::Install(args) => install::run(args, app),
        Command::Uninstall(args) => install::run_uninstall(args, app),
        // It has a life of its own: see `main`.
        Command::Hook(args) => hook::run_as_command(&args),
        Command::Capture(args) => capture::run(args, app),
        Command::Completions(args) => completions::run(args, app),
    }
}

//! The `harness` command line: what a person, a script or a tool's hook types to remember and recall.
//!
//! - [`args`]: the flags that every command takes, and the manual's first page
//! - [`app`]: what a command is given: home, settings, clock, terminal, engine
//! - [`commands`]: one file a command; [`eval`] and [`demo`]: the two that are larger
//! - [`settings`], [`project`], [`when`]: what is read from files, folders and words
//! - [`output`], [`render`], [`progress`], [`report`]: what is written for people and programs
//! - [`log`]: what is logged and traced
//! - [`exclusions`]: what a person does not want to have remembered
//! - [`audit`]: what a memory is full of, ours or another tool's
//! - [`hooks`]: what the hooks of coding tools are answered
//! - [`install`]: setting a coding tool up, and taking that back
//! - [`serve`], [`mcp`]: the memory over HTTP, and for clients of the Model Context Protocol
//! - [`mod@unit`]: the system's own keeper of services, which keeps a server running
//! - [`follower`], [`interrupt`]: life beside other processes

mod app;
mod args;
mod audit;
mod commands;
mod demo;
mod eval;
mod exclusions;
mod follower;
mod hooks;
mod install;
mod interrupt;
mod log;
mod mcp;
mod output;
mod progress;
mod project;
mod render;
mod report;
mod serve;
mod settings;
mod unit;
mod when;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;

use crate::app::App;
use crate::args::Cli;
use crate::output::Exit;

/// A recall makes some thousand small strings and gives them back: over HTTP it takes a twelfth less time with this one. Huge
/// pages would cost each process some 25 MB for nothing that could be measured.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        // For some tools the exit code of a usage error means that the prompt is not to be read.
        Err(error) if commands::hook::is_called() => {
            usage(&error);
            return ExitCode::SUCCESS;
        }
        Err(error) => return usage(&error),
    };
    let Cli { globals, command } = cli;
    // Until the end of the command: what is to be told elsewhere is told by then.
    let _telling = log::start(globals.verbose);
    let command = match command {
        commands::Command::Hook(args) => return commands::hook::run(args, globals),
        command => command,
    };
    let mut json = false;
    let done = App::new(globals).and_then(|app| {
        json = app.json;
        interrupt::install();
        let exit = commands::run(command, &app)?;
        app.finish();
        Ok(exit)
    });
    match done {
        _ if interrupt::requested() => Exit::Interrupted.into(),
        Ok(exit) => exit.into(),
        // The reader of our output has gone: it has seen what it wanted.
        Err(_) if output::reader_left() => Exit::Found.into(),
        Err(error) => {
            report::error(&error);
            Exit::Failed.into()
        }
    }
}

/// Prints what clap has to say, naming the argument where clap does not.
fn usage(error: &clap::Error) -> ExitCode {
    if error.kind() == ErrorKind::InvalidUtf8 {
        let broken: Option<OsString> = std::env::args_os().find(|argument| argument.to_str().is_none());
        report::line(&format!("error: the argument {:?} is not valid UTF-8", broken.unwrap_or_default()));
        report::line("hint: give text in UTF-8; text in another encoding can be converted with `iconv -t UTF-8`");
        return Exit::Failed.into();
    }
    // Fails only when nobody reads any more.
    let _ = error.print();
    if error.use_stderr() { Exit::Failed.into() } else { Exit::Found.into() }
}

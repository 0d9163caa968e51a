//! `harness completions`.

use std::io::Write;

use clap::CommandFactory;
use clap_complete::Shell;

use crate::app::App;
use crate::args::Cli;
use crate::output::Exit;

/// Print a completion script for a shell
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  harness completions bash > ~/.local/share/bash-completion/completions/harness
  harness completions zsh > \"${fpath[1]}/_harness\"
  harness completions fish > ~/.config/fish/completions/harness.fish")]
pub(crate) struct Args {
    /// The shell
    shell: Shell,
}

pub(crate) fn run(args: Args, app: &App) -> anyhow::Result<Exit> {
    // Written to memory first: the generator panics where a write fails, and pipes close.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "harness", &mut script);
    app.print(|out| out.write_all(&script))?;
    Ok(Exit::Found)
}

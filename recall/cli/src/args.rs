//! The flags that every command takes, and the manual's first page.

use std::path::PathBuf;

use clap::{Args, Parser, ValueEnum};
use serde::Deserialize;

use crate::commands::Command;

/// A learning memory for agents: keeps what happened, finds what helps, and says where it knows it from
#[derive(Parser)]
#[command(name = "harness", version, arg_required_else_help = true, after_help = FIRST_PAGE)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) globals: Globals,
    #[command(subcommand)]
    pub(crate) command: Command,
}

const FIRST_PAGE: &str = "\
Examples:
  harness demo                                        see it work, on bundled sample data
  harness remember \"staging deploys need the VPN\"     keep a note
  harness recall search \"how do I deploy\"             find it again, in any language
  harness session import                              read the transcripts of your coding tools
  harness status                                      what there is, and whether it is well

Results go to stdout, all else to stderr. `--json` gives the same facts to programs:
an answer is one object, a list is one object a line.
Exit codes: 0 found or done, 1 nothing found, 2 failed.
Times are RFC 3339 in UTC; a date, a date and time, or an age such as `3d` or `2h` is understood too.

Settings: a flag goes before the environment (HARNESS_HOME, HARNESS_USER, NO_COLOR, HARNESS_LOG),
that before `.harness.toml` of the project, that before `config.toml` of the home.";

#[derive(Args, Clone)]
pub(crate) struct Globals {
    /// The folder that holds everything [default: `harness` in the platform's data folder]
    #[arg(long, global = true, env = "HARNESS_HOME", value_name = "DIR", hide_env_values = true)]
    pub(crate) home: Option<PathBuf>,

    /// Results as JSON: an answer is one object, a list is one object a line
    #[arg(long, global = true)]
    pub(crate) json: bool,

    /// When to use colour
    #[arg(long, global = true, value_name = "WHEN")]
    pub(crate) color: Option<ColorWhen>,

    /// Say more on stderr; twice says still more
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ColorWhen {
    /// On a terminal, unless NO_COLOR is set
    #[default]
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_tree_is_sound() {
        super::Cli::command().debug_assert();
    }
}

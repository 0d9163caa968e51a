//! `harness token`.

use std::io::Write;

use anyhow::Context;
use harness_memory::scope::Readable;
use jiff::Timestamp;
use serde::Serialize;

use crate::app::App;
use crate::output::Exit;
use crate::report::{self, Advice};
use crate::serve::tokens;
use crate::when;

/// What can be done with tokens.
#[derive(clap::Subcommand)]
pub(crate) enum Command {
    New(NewArgs),
    List(ListArgs),
    Revoke(RevokeArgs),
}

/// Make a token for `harness serve`
///
/// It is shown once and kept nowhere: only its hash is. Bound to scopes, it reads and writes those and what is
/// inside them, and nothing else.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  harness token new --name ci --scope ana/webshop-1a2b3c4d
  harness token new --scope ana --read-only
  TOKEN=$(harness token new --json --name agent | jq -r .token)")]
pub(crate) struct NewArgs {
    /// What it may read and write: this scope and all inside it, or `=SCOPE` alone; may be given several times
    /// [default: everything]
    #[arg(long = "scope", value_name = "SCOPE")]
    scopes: Vec<Readable>,

    /// It reads and does not write
    #[arg(long)]
    read_only: bool,

    /// What it is for
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
}

/// List the tokens that were made
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  harness token list
  harness token list --json | jq -r .id

Exit codes: 0 found, 1 there is none, 2 failed.")]
pub(crate) struct ListArgs {}

/// Revoke a token: a running server refuses it from the next request on
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  harness token revoke 3fa91c02
  harness token revoke ci

Exit codes: 0 revoked, 1 there is no such token, 2 failed.")]
pub(crate) struct RevokeArgs {
    /// Its id or name, as `harness token list` shows it
    #[arg(value_name = "ID")]
    id: String,
}

/// A token as it is shown.
#[derive(Serialize)]
struct Shown {
    id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    scopes: Vec<String>,
    read_only: bool,
    created_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
}

impl Shown {
    fn new(kept: tokens::Kept, token: Option<String>) -> Shown {
        let scopes = match kept.scopes.as_slice() {
            [] => vec!["/".to_owned()],
            scopes => scopes.iter().map(ToString::to_string).collect(),
        };
        let tokens::Kept { id, name, read_only, created_at, .. } = kept;
        Shown { id, name, scopes, read_only, created_at, token }
    }
}

pub(crate) fn run(command: Command, app: &App) -> anyhow::Result<Exit> {
    match command {
        Command::New(args) => new(args, app),
        Command::List(_) => list(app),
        Command::Revoke(args) => revoke(&args, app),
    }
}

fn new(args: NewArgs, app: &App) -> anyhow::Result<Exit> {
    if args.name.as_deref().is_some_and(|name| name.trim().is_empty() || name.len() > 64) {
        return Err(Advice::error("the token's name is empty or longer than 64 bytes", "choose a short word"));
    }
    app.engine()?;
    let (token, kept) = tokens::new(&app.home, args.name, args.scopes, args.read_only)?;
    let shown = Shown::new(kept, Some(token.clone()));
    if app.json {
        app.print_json(&shown)?;
    } else {
        app.print(|out| writeln!(out, "{token}"))?;
        report::line(&format!("token {} {}; it is not shown again", shown.id, rights(&shown)));
    }
    Ok(Exit::Found)
}

fn rights(shown: &Shown) -> String {
    let verb = if shown.read_only { "reads" } else { "reads and writes" };
    format!("{verb} {}", shown.scopes.join(", "))
}

fn list(app: &App) -> anyhow::Result<Exit> {
    let kept = if app.home_is_missing() { Vec::new() } else { tokens::list(&app.home)? };
    let found = !kept.is_empty();
    for kept in kept {
        let shown = Shown::new(kept, None);
        if app.json {
            app.print_json(&shown)?;
        } else {
            let name = shown.name.clone().unwrap_or_default();
            let made = when::ago(shown.created_at, app.now);
            app.print(|out| writeln!(out, "{}  {name:<16}  {}  made {made}", shown.id, rights(&shown)))?;
        }
    }
    if !found && !app.json {
        report::line("no tokens but the one for everything; `harness token new` makes one");
    }
    Ok(Exit::found(found))
}

fn revoke(args: &RevokeArgs, app: &App) -> anyhow::Result<Exit> {
    let revoked =
        if app.home_is_missing() { None } else { tokens::revoke(&app.home, &args.id).context("cannot revoke")? };
    let Some(kept) = revoked else {
        report::line(&format!("there is no token {:?}; `harness token list` shows them", args.id));
        return Ok(Exit::Nothing);
    };
    let shown = Shown::new(kept, None);
    if app.json {
        app.print_json(&shown)?;
    } else {
        app.print(|out| writeln!(out, "revoked {}", shown.id))?;
    }
    Ok(Exit::Found)
}

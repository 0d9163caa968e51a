//! `harness mcp`.

use harness_memory::scope::Readable;

use crate::app::App;
use crate::interrupt;
use crate::mcp;
use crate::mcp::backend::Home;
use crate::output::Exit;
use crate::serve::grant::Grant;

/// Be the memory of one MCP client, on standard input and output
///
/// To be started by the client. Uses the server of `harness serve` when one runs, and works without it. The tools are
/// memory_search, memory_save, memory_get, memory_forget, experience_record and session_search.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  harness mcp
  claude mcp add harness -- harness mcp
  harness mcp --here --read-only      this folder's project and your own notes, and nothing is written")]
pub(crate) struct Args {
    /// Read and write only this scope and all inside it, or `=SCOPE` alone; may be given several times
    /// [default: everything, writing to your own scope]
    #[arg(long = "scope", value_name = "SCOPE", conflicts_with = "here")]
    scopes: Vec<Readable>,

    /// Read this folder's project and your own notes, and write to the project
    #[arg(long)]
    here: bool,

    /// Write nothing
    #[arg(long)]
    read_only: bool,
}

pub(crate) fn run(args: Args, app: &App) -> anyhow::Result<Exit> {
    let user = app.user();
    let (entries, write_scope) = if args.here {
        let project = app.here()?;
        (vec![Readable::Within(project.clone()), Readable::Exactly(user)], project)
    } else {
        (args.scopes, user)
    };
    let grant = Grant::within("own", &entries, args.read_only, write_scope);
    let home = Home::new(app.home.clone(), app.settings.undo_days, grant, app.opener());
    mcp::stdio::run(home)?;
    interrupt::done();
    Ok(Exit::Found)
}

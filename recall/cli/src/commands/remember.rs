//! `harness remember`.

use std::io::Write;

use harness_memory::record::TEXT_BYTES_MAX;
use harness_memory::{Note, Origin, Record, Trust};

use crate::app::App;
use crate::commands::pick::{IdStart, Writes, stdin_text};
use crate::commands::write;
use crate::output::Exit;

/// What notes typed here are called as a source.
const SOURCE: &str = "cli";

/// Keep a note
///
/// It is found by the next search of every process. Secrets in it, such as keys and passwords,
/// are replaced before anything reaches the disk.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  harness remember \"staging deploys need the VPN\"
  harness remember 用户偏好深色主题 --tag preference
  harness remember \"the API is at v3 now\" --here --replaces 0196a1b2c3d4
  git log -1 --format=%B | harness remember - --tag release")]
pub(crate) struct Args {
    /// The note; several words need no quotes, `-` reads standard input
    #[arg(required = true, value_name = "TEXT")]
    text: Vec<String>,

    /// A word to find it by; may be given several times
    #[arg(long = "tag", value_name = "TAG")]
    tags: Vec<String>,

    /// The id of the record that this one supersedes
    #[arg(long, value_name = "ID")]
    replaces: Option<IdStart>,

    #[command(flatten)]
    writes: Writes,
}

pub(crate) fn run(args: Args, app: &App) -> anyhow::Result<Exit> {
    let text = match args.text.as_slice() {
        [dash] if dash == "-" => stdin_text(TEXT_BYTES_MAX)?,
        words => words.join(" "),
    };
    let scope = args.writes.scope(app)?;
    let replaces = args.replaces.map(|start| start.resolve(app.engine()?)).transpose()?;
    let record = Record {
        trust: Trust::Trusted,
        tags: args.tags,
        replaces,
        ..Record::new(scope.clone(), SOURCE, Origin::User, Note::new(text.trim()))
    };
    for written in write::put(app, vec![record])? {
        if app.json {
            app.print_json(&written)?;
        } else {
            app.print(|out| writeln!(out, "remembered {} in {scope}", written.id))?;
        }
    }
    Ok(Exit::Found)
}

//! `harness restore`.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Context;
use serde::Serialize;

use crate::app::App;
use crate::output::Exit;
use crate::progress::Bar;
use crate::render::count;
use crate::report::{self, Advice};

/// Put a backup in the place of the memory
///
/// The backup is copied and read whole first; one with damage, or a file that is no backup, is refused and nothing is
/// changed. What was there is kept in the home as `kept-TIME.db`. What was forgotten since the backup stays forgotten.
/// Other processes go on with what was restored, and the indexes are made anew.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  harness restore memory-2026-11-20.db
  harness --home /tmp/look restore memory-2026-11-20.db     look at it elsewhere first")]
pub(crate) struct Args {
    /// The file that `harness backup` wrote
    #[arg(value_name = "PATH")]
    path: PathBuf,
}

#[derive(Serialize)]
struct Done {
    seq: u64,
    epoch: u64,
    kept: Option<PathBuf>,
    still_forgotten: u64,
}

pub(crate) fn run(args: Args, app: &App) -> anyhow::Result<Exit> {
    let bar = Bar::new("checking and restoring", "steps");
    let restored =
        harness_memory::sqlite::restore(&app.home, &args.path, app.now, &mut |done, all| bar.step(done, all))
            .with_context(|| {
                let hint = "a backup is a file that `harness backup` wrote; what is remembered now was not changed";
                Advice::new(format!("cannot restore {}", args.path.display()), hint)
            })?;
    drop(bar);
    // Somebody has to make the indexes anew.
    app.engine()?;
    app.wrote();
    let done = Done {
        seq: restored.position.seq,
        epoch: restored.position.epoch,
        kept: restored.kept,
        still_forgotten: restored.still_forgotten,
    };
    if app.json {
        app.print_json(&done)?;
        return Ok(Exit::Found);
    }
    app.print(|out| writeln!(out, "restored {} from {}", count(done.seq, "change"), args.path.display()))?;
    if done.still_forgotten > 0 {
        let records = count(done.still_forgotten, "record");
        report::line(&format!("note: {records} of it had been forgotten since, and stay forgotten"));
    }
    if let Some(kept) = &done.kept {
        report::line(&format!(
            "note: what was there before is in {}; delete it when you need it no longer",
            kept.display()
        ));
    }
    Ok(Exit::Found)
}

//! `harness backup`.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Context;
use harness_memory::Store;
use harness_recall::Engine;
use serde::Serialize;

use crate::app::App;
use crate::output::Exit;
use crate::progress::Bar;
use crate::render::{bytes, count};
use crate::report::{self, Advice};

/// Copy the memory into one file, while others go on using it
///
/// The copy is one moment of the memory, is read whole and compared before it appears, and is never written over a file
/// that is there. Indexes are not in it: they are made anew from the memory. What is due to be removed for good is
/// removed first. `harness restore` puts it back.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  harness backup memory-2026-11-20.db
  harness backup /mnt/backups          in a folder, named by the time
  harness restore memory-2026-11-20.db

Exit codes: 0 done, 1 done but the memory itself is damaged, 2 failed.")]
pub(crate) struct Args {
    /// The file to write, or a folder that is there
    #[arg(value_name = "PATH")]
    path: PathBuf,
}

#[derive(Serialize)]
struct Done {
    path: PathBuf,
    bytes: u64,
    seq: u64,
    epoch: u64,
    findings: Vec<harness_memory::store::Finding>,
}

pub(crate) fn run(args: Args, app: &App) -> anyhow::Result<Exit> {
    let Some(engine) = app.engine_if_any()? else { return Ok(Exit::Nothing) };
    let path = if args.path.is_dir() {
        args.path.join(format!("harness-{}.db", app.now.strftime("%Y%m%dT%H%M%SZ")))
    } else {
        args.path
    };
    if path.exists() {
        return Err(Advice::error(format!("{} is there already", path.display()), "choose another name"));
    }
    remove_due(engine, app);
    let bar = Bar::new("copying and checking", "steps");
    let copied = engine
        .store()
        .back_up(&path, &mut |done, all| bar.step(done, all))
        .with_context(|| format!("cannot back up to {}", path.display()))?;
    drop(bar);
    for finding in &copied.findings {
        report::line(&format!("warning: {}", finding.what));
    }
    let well = copied.findings.is_empty();
    let done = Done {
        path,
        bytes: copied.bytes,
        seq: copied.position.seq,
        epoch: copied.position.epoch,
        findings: copied.findings,
    };
    if app.json {
        app.print_json(&done)?;
    } else {
        let Done { path, seq, .. } = &done;
        let checked = if well { "checked whole" } else { "with the damage that the memory has" };
        app.print(|out| {
            writeln!(
                out,
                "backed up {} to {} ({}), {checked}",
                count(*seq, "change"),
                path.display(),
                bytes(done.bytes)
            )
        })?;
    }
    Ok(Exit::found(well))
}

/// Removes for good what is due, so that no copy holds it. A copy is made all the same where that fails: it may be wanted
/// because the disk is full or the memory is damaged.
pub(super) fn remove_due(engine: &Engine, app: &App) {
    if let Err(error) = try_remove_due(engine, app) {
        report::line(&format!("warning: what is due to be removed for good may be in the copy: {error:#}"));
    }
}

fn try_remove_due(engine: &Engine, app: &App) -> anyhow::Result<()> {
    let store = engine.store();
    if !store.is_due(app.now)? {
        return Ok(());
    }
    if engine.follower().is_none() {
        engine.sweep(&[], app.now, app.now, &mut |_, _| true)?;
        return Ok(());
    }
    // Whoever follows has the indexes open, and takes it out of them.
    while store.purge(app.now)? > 0 {}
    // What was removed must not stay readable in the log of writes.
    Ok(store.checkpoint()?)
}

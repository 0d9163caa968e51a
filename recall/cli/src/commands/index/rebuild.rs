//! `harness index rebuild`.

use std::io::Write;
use std::time::Instant;

use crate::app::App;
use crate::output::Exit;
use crate::progress::Bar;
use crate::{interrupt, report};

/// Build every index anew from the store
///
/// The old text index answers until the new one stands. Vectors are put together anew from the embeddings that were
/// kept, so that nothing is embedded twice. Interrupted, nothing is lost: who follows goes on.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  harness index rebuild")]
pub(crate) struct Args {}

pub(crate) fn run(_: Args, app: &App) -> anyhow::Result<Exit> {
    let engine = app.engine()?;
    let start = Instant::now();
    let bar = Bar::new("rebuilding", "changes");
    let result = engine.rebuild(&mut |done, all| bar.step(done, all));
    drop(bar);
    if interrupt::requested() {
        report::line("stopped; nothing is lost: what is not indexed is searched too");
        return Ok(Exit::Interrupted);
    }
    result?;
    for index in engine.index_status()? {
        if app.json {
            app.print_json(&index)?;
        } else {
            app.print(|out| writeln!(out, "{}", super::status::line(&index)))?;
        }
    }
    report::line(&format!("rebuilt in {:.1} s", start.elapsed().as_secs_f64()));
    Ok(Exit::Found)
}

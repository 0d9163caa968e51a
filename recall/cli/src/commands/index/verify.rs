//! `harness index verify`.

use std::io::Write;

use crate::app::App;
use crate::output::Exit;
use crate::progress::Bar;
use crate::{interrupt, report};

/// Compare every index with the store, record by record
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  harness index verify

Exit codes: 0 well, 1 something does not fit, 2 failed.")]
pub(crate) struct Args {}

pub(crate) fn run(_: Args, app: &App) -> anyhow::Result<Exit> {
    let Some(engine) = app.engine_if_any()? else { return Ok(Exit::Nothing) };
    let bar = Bar::new("verifying", "records");
    let findings = engine.verify(&mut |done, all| bar.step(done, all));
    drop(bar);
    if interrupt::requested() {
        report::line("stopped before the end: this says nothing about the rest");
        return Ok(Exit::Interrupted);
    }
    let findings = findings?;
    for finding in &findings {
        if app.json {
            app.print_json(finding)?;
        } else {
            app.print(|out| writeln!(out, "{} ({})\n  hint: {}", finding.what, finding.code, finding.hint))?;
        }
    }
    if findings.is_empty() && !app.json {
        app.print(|out| writeln!(out, "every index fits the store"))?;
    }
    Ok(if findings.is_empty() { Exit::Found } else { Exit::Nothing })
}

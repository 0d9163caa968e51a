//! `harness episode show`.

use harness_memory::{Kind, Lookup, Store};

use crate::app::App;
use crate::commands::pick::IdStart;
use crate::output::Exit;
use crate::render;
use crate::report::{self, Advice};

/// Show an episode: what was asked, the tools used, the outcome and its reason
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  harness episode show 0196a1b2c3d4

Exit codes: 0 found, 1 no such record, 2 failed.")]
pub(crate) struct Args {
    /// The episode's id, or as much of its beginning as no other has
    #[arg(value_name = "ID")]
    id: IdStart,
}

pub(crate) fn run(args: Args, app: &App) -> anyhow::Result<Exit> {
    let Some(engine) = app.engine_if_any()? else { return Ok(Exit::Nothing) };
    let Some(id) = args.id.find(engine)? else {
        report::error(&args.id.unknown());
        return Ok(Exit::Nothing);
    };
    let record = match engine.store().get(&[id])?.into_iter().next() {
        Some(Lookup::Found(stored)) => stored.record,
        Some(Lookup::Damaged { row, reason, .. }) => {
            return Err(harness_memory::Error::Damaged { row: row.0, id: Some(id), reason }.into());
        }
        _ => {
            report::line(&format!("record {id} was forgotten"));
            return Ok(Exit::Nothing);
        }
    };
    if record.kind() != Kind::Episode {
        let what = format!("record {id} is a {}, not an episode", record.kind());
        return Err(Advice::error(what, format!("`harness recall show {id}` shows any record")));
    }
    if app.json {
        app.print_json(&record)?;
    } else {
        app.print(|out| render::record(out, &record, app.style, app.now))?;
    }
    Ok(Exit::Found)
}

//! `harness recall show`.

use std::io::Write;

use harness_memory::store::{Forgotten, READ_ROWS_MAX};
use harness_memory::{Body, Lookup, Record, RecordId, Store, Stored};
use serde::Serialize;

use crate::app::App;
use crate::commands::pick::IdStart;
use crate::output::Exit;
use crate::report::{self, Advice};
use crate::{render, when};

/// Show a record, and the messages around it
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  harness recall show 0196a1b2c3d4
  harness recall show 0196a1b2c3d4 --context 3

Exit codes: 0 found, 1 no such record, 2 failed.")]
pub(crate) struct Args {
    /// The record's id, or as much of its beginning as no other has
    #[arg(value_name = "ID")]
    id: IdStart,

    /// For a message: also this many messages before and after it
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u32).range(..=(READ_ROWS_MAX / 4) as i64))]
    context: u32,
}

#[derive(Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    record: &'a Record,
    #[serde(skip_serializing_if = "Option::is_none")]
    replaced_by: Option<RecordId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    before: Option<Vec<&'a Record>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<Vec<&'a Record>>,
}

pub(crate) fn run(args: Args, app: &App) -> anyhow::Result<Exit> {
    let Some(engine) = app.engine_if_any()? else { return Ok(Exit::Nothing) };
    let Some(id) = args.id.find(engine)? else {
        report::error(&args.id.unknown());
        return Ok(Exit::Nothing);
    };
    let record = match engine.store().get(&[id])?.into_iter().next() {
        Some(Lookup::Found(stored)) => stored.record,
        Some(Lookup::Forgotten(Forgotten { deleted_at, undo_until })) => {
            report::line(&format!("record {id} was forgotten at {}", when::stamp(deleted_at)));
            if undo_until > app.now {
                let until = when::stamp(undo_until);
                report::line(&format!("hint: until {until}, `harness forget --undo {id}` brings it back"));
            }
            return Ok(Exit::Nothing);
        }
        Some(Lookup::Damaged { row, reason, .. }) => {
            return Err(harness_memory::Error::Damaged { row: row.0, id: Some(id), reason }.into());
        }
        Some(Lookup::Missing) | None => {
            return Err(Advice::error(format!("there is no record {id}"), "`harness doctor` checks the store"));
        }
    };
    let replaced_by = engine.store().replaced_by(&[id])?.into_iter().next().flatten();
    let around = around(app, &record, args.context)?;
    let split = around.iter().position(|other| other.id == id).unwrap_or(around.len());
    let (before, after) = (&around[..split], around.get(split + 1..).unwrap_or_default());
    if app.json {
        let with_context = args.context > 0 && matches!(record.body, Body::Message(_));
        app.print_json(&Shown {
            record: &record,
            replaced_by,
            before: with_context.then(|| before.iter().collect()),
            after: with_context.then(|| after.iter().collect()),
        })?;
        return Ok(Exit::Found);
    }
    app.print(|out| {
        render::record(out, &record, app.style, app.now)?;
        if let Some(newer) = replaced_by {
            writeln!(out, "\n{} {newer}", app.style.dim("replaced by"))?;
        }
        if !before.is_empty() || !after.is_empty() {
            for (other, chosen) in around.iter().map(|other| (other, other.id == id)) {
                if let Body::Message(message) = &other.body {
                    writeln!(out)?;
                    render::message(out, other, message, app.style, chosen)?;
                }
            }
        }
        Ok(())
    })?;
    Ok(Exit::Found)
}

/// The messages around a message, itself among them, in order.
fn around(app: &App, record: &Record, reach: u32) -> anyhow::Result<Vec<Record>> {
    let (Body::Message(message), Some(session)) = (&record.body, &record.session) else { return Ok(Vec::new()) };
    if reach == 0 {
        return Ok(Vec::new());
    }
    let found = app.engine()?.store().neighbours(session, message.position, reach, reach)?;
    // Two tools may call their sessions the same.
    let same = |stored: &Stored| stored.record.source == record.source && stored.record.scope == record.scope;
    Ok(found.into_iter().filter_map(Lookup::found).filter(same).map(|stored| stored.record).collect())
}

//! `harness recall show`.

use std::io::Write;

use anyhow::Context;
use harness_memory::store::{Forgotten, Row};
use harness_memory::{Body, Kind, Lookup, Message, Record, RecordId, Store, Stored};
use serde::Serialize;

use crate::app::App;
use crate::commands::pick::IdStart;
use crate::output::Exit;
use crate::report::{self, Advice};
use crate::{render, when};

/// The most messages to each side: beyond that, `harness session show` is the better view.
const CONTEXT_MAX: i64 = 1_000;

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
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u16).range(..=CONTEXT_MAX))]
    context: u16,
}

#[derive(Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    record: &'a Record,
    #[serde(skip_serializing_if = "Option::is_none")]
    replaced_by: Option<RecordId>,
    /// What makes it look like an instruction to whoever reads it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    signs: Vec<&'static str>,
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
    let Stored { row, record, .. } = match engine.store().get(&[id])?.into_iter().next() {
        Some(Lookup::Found(stored)) => *stored,
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
    let (before, after) = around(app, row, &record, usize::from(args.context))?;
    if app.json {
        let with_context = args.context > 0 && record.kind() == Kind::Message;
        app.print_json(&Shown {
            record: &record,
            replaced_by,
            signs: render::signs(&record),
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
            let own = std::iter::once((&record, true));
            let others = |records| <[Record]>::iter(records).map(|other| (other, false));
            for (record, chosen) in others(&before).chain(own).chain(others(&after)) {
                if let Body::Message(message) = &record.body {
                    writeln!(out)?;
                    render::message(out, record, message, app.style, chosen)?;
                }
            }
        }
        Ok(())
    })?;
    Ok(Exit::Found)
}

/// The messages of the same session before and after a message, each in order.
fn around(app: &App, row: Row, record: &Record, reach: usize) -> anyhow::Result<(Vec<Record>, Vec<Record>)> {
    let Body::Message(Message { position, .. }) = record.body else { return Ok(Default::default()) };
    if reach == 0 {
        return Ok(Default::default());
    }
    let found = app.engine()?.store().neighbours(row, reach, reach).context("cannot read the messages around it")?;
    let found = found.into_iter().filter_map(Lookup::found);
    let (before, after): (Vec<_>, Vec<_>) = found.partition(|stored| match &stored.record.body {
        Body::Message(other) => (other.position, stored.row) < (position, row),
        _ => false,
    });
    let records = |stored: Vec<Stored>| stored.into_iter().map(|stored| stored.record).collect();
    Ok((records(before), records(after)))
}

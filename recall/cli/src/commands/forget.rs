//! `harness forget`.

use std::io::Write;

use anyhow::Context;
use harness_memory::sqlite::Retention;
use harness_memory::store::{Filter, READ_ROWS_MAX};
use harness_memory::{Lookup, RecordId, Store};
use harness_recall::{Engine, Swept};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::app::App;
use crate::commands::pick::IdStart;
use crate::output::Exit;
use crate::progress::Bar;
use crate::render::count;
use crate::report::{self, Advice};
use crate::when;

/// The most records of one transaction: keeps each well under a second.
const FORGET_RECORDS_MAX: usize = 1_000;

/// How many records are named that rest on one that is forgotten.
const DERIVED_SHOWN_MAX: usize = 5;

/// Forget records, or bring them back
///
/// They are gone from every answer at once. For 30 days (setting `forget.undo_days`) they can be
/// brought back; after that their text is removed for good, from the store, the indexes, the caches
/// and the free room of the files, by whoever indexes next or by --due. With a source or a session
/// goes what was derived from it: its episodes, and the lessons drawn from them.
///
/// How long records are kept can be set in the home's config.toml; the first rule that fits decides,
/// and what is pinned is kept:
///
///   `[[retention]]`
///   scope = "ana/scratch"     # and all inside it; without it: every scope
///   kinds = ["message"]       # without it: every kind
///   days = 90                 # without it: for ever
#[derive(clap::Args)]
#[command(
    group = clap::ArgGroup::new("which").required(true),
    after_help = "\
Examples:
  harness forget 0196a1b2c3d4
  harness forget --undo 0196a1b2c3d4
  harness forget --session 5f0c2a71-77d3-4f0e-9d3b-0a4a3c1f2b6e
  harness forget --source claude-code --since 2d
  harness forget 0196a1b2c3d4 --for-good
  harness forget --due

Exit codes: 0 done, 1 nothing to forget, 2 failed."
)]
pub(crate) struct Args {
    /// The records' ids, each or as much of its beginning as no other has
    #[arg(value_name = "ID", group = "which")]
    ids: Vec<IdStart>,

    /// All that came in by this tool or way, such as claude-code or cli
    #[arg(long, value_name = "SOURCE", group = "which")]
    source: Option<String>,

    /// With --source: only what was said or happened at this time or later
    #[arg(long, value_name = "TIME", value_parser = when::parse, requires = "source")]
    since: Option<Timestamp>,

    /// All messages and episodes of this session
    #[arg(long, value_name = "ID", group = "which")]
    session: Option<String>,

    /// Bring the records with these ids back instead
    #[arg(long, conflicts_with_all = ["source", "session"])]
    undo: bool,

    /// Apply the rules of retention, and remove for good what is due
    #[arg(long, group = "which", conflicts_with_all = ["undo", "for_good"])]
    due: bool,

    /// Remove them for good at once: this cannot be undone
    #[arg(long, conflicts_with = "undo")]
    for_good: bool,
}

#[derive(Serialize)]
struct Forgot {
    id: RecordId,
    #[serde(skip_serializing_if = "Option::is_none")]
    undo_until: Option<Timestamp>,
}

pub(crate) fn run(args: Args, app: &App) -> anyhow::Result<Exit> {
    let Some(engine) = app.engine_if_any()? else { return Ok(Exit::Nothing) };
    if args.undo {
        return undo(&args.ids, engine, app);
    }
    if args.due {
        return due(engine, app);
    }
    let ids = if args.ids.is_empty() {
        selected(&args, engine)?
    } else {
        args.ids.iter().map(|start| start.resolve(engine)).collect::<Result<Vec<_>, _>>()?
    };
    let undo_until = if args.for_good { app.now } else { undo_until(app) };
    // A record that somebody names goes alone; lessons that rest on it are named.
    let derived = engine.store().derived_from(&ids).context("cannot look for what was derived")?;
    let whole = args.ids.is_empty();
    let mut forgotten = 0;
    for batch in ids.chunks(FORGET_RECORDS_MAX).chain(derived.chunks(FORGET_RECORDS_MAX).filter(|_| whole)) {
        app.wrote();
        forgotten += engine.store().forget(batch, undo_until).context("cannot forget")?;
    }
    if !whole && !derived.is_empty() {
        let shown: Vec<String> = derived.iter().take(DERIVED_SHOWN_MAX).map(RecordId::to_string).collect();
        let more = if derived.len() > DERIVED_SHOWN_MAX { ", …" } else { "" };
        report::line(&format!(
            "note: {} stay that were drawn from it: {}{more}",
            count(derived.len() as u64, "record"),
            shown.join(", ")
        ));
    }
    if args.for_good {
        sweep(engine, app, &[], app.now)?;
    }
    let ids: Vec<RecordId> = ids.into_iter().chain(derived.into_iter().filter(|_| whole)).collect();
    if app.json {
        for id in &ids {
            app.print_json(&Forgot { id: *id, undo_until: Some(undo_until) })?;
        }
    } else if args.for_good {
        app.print(|out| writeln!(out, "removed {} for good", count(forgotten as u64, "record")))?;
    } else if let [id] = ids.as_slice()
        && forgotten == 1
    {
        app.print(|out| writeln!(out, "forgot {id}"))?;
        report::line(&format!("hint: until {}, `harness forget --undo {id}` brings it back", when::stamp(undo_until)));
    } else {
        app.print(|out| writeln!(out, "forgot {}", count(forgotten as u64, "record")))?;
    }
    if forgotten == 0 {
        report::line("nothing to forget: there is no such record, or it was forgotten before");
    }
    Ok(Exit::found(forgotten > 0))
}

/// Until when what is forgotten now can be brought back.
fn undo_until(app: &App) -> Timestamp {
    let days = SignedDuration::from_hours(24 * i64::from(app.settings.undo_days));
    app.now.checked_add(days).unwrap_or(Timestamp::MAX)
}

/// `--due`.
fn due(engine: &Engine, app: &App) -> anyhow::Result<Exit> {
    let swept = sweep(engine, app, &app.settings.retention, undo_until(app))?;
    if app.json {
        app.print_json(&swept)?;
    } else {
        let (over, gone) = (count(swept.forgotten as u64, "record"), count(swept.removed as u64, "record"));
        app.print(|out| writeln!(out, "forgot {over} that had been kept long enough, removed {gone} for good"))?;
    }
    Ok(Exit::found(swept.forgotten + swept.removed > 0))
}

fn sweep(engine: &Engine, app: &App, rules: &[Retention], undo_until: Timestamp) -> anyhow::Result<Swept> {
    let bar = Bar::new("removing", "changes");
    let swept = engine.sweep(rules, app.now, undo_until, &mut |done, all| bar.step(done, all));
    swept.context(Advice::new(
        "it is forgotten, but could not be removed everywhere",
        "`harness forget --due` tries again; copies made by `harness backup` and `kept-*` files are yours to delete",
    ))
}

fn undo(ids: &[IdStart], engine: &Engine, app: &App) -> anyhow::Result<Exit> {
    for start in ids {
        let id = start.resolve(engine)?;
        engine.store().undo_forget(id).with_context(|| format!("cannot bring {id} back"))?;
        app.wrote();
        if app.json {
            app.print_json(&Forgot { id, undo_until: None })?;
        } else {
            app.print(|out| writeln!(out, "brought back {id}"))?;
        }
    }
    Ok(Exit::Found)
}

/// The live records of a source or session. A damaged row is named and left alone.
fn selected(args: &Args, engine: &Engine) -> anyhow::Result<Vec<RecordId>> {
    let mut ids = Vec::new();
    let mut filter =
        Filter { source: args.source.clone(), session: args.session.clone(), since: args.since, ..Filter::default() };
    loop {
        let page = engine.store().list(&filter).context("cannot list what to forget")?;
        let full = page.len() == READ_ROWS_MAX;
        for lookup in page {
            match lookup {
                Lookup::Found(stored) => {
                    filter.after = Some(stored.row);
                    ids.push(stored.record.id);
                }
                Lookup::Damaged { row, reason, .. } => {
                    filter.after = Some(row);
                    report::line(&format!("warning: record row {} is damaged and was left alone: {reason}", row.0));
                }
                Lookup::Forgotten(_) | Lookup::Missing => {}
            }
        }
        if !full {
            return Ok(ids);
        }
    }
}

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
use crate::commands::doctor;
use crate::commands::pick::IdStart;
use crate::interrupt;
use crate::output::Exit;
use crate::progress::Bar;
use crate::render::count;
use crate::report::{self, Advice};
use crate::when;

/// The most records of one transaction: keeps each well under a second.
const FORGET_RECORDS_MAX: usize = 1_000;

/// How many records are named that rest on one that is forgotten.
const DERIVED_SHOWN_MAX: usize = 5;

/// How many ids the hint repeats that says how to bring them back.
const UNDO_IDS_SHOWN_MAX: usize = 5;

/// Forget records, or bring them back
///
/// They are gone from every answer at once. For 30 days (setting `forget.undo_days`) they can be
/// brought back; after that their text is removed for good, from the store, the indexes, the caches
/// and the free room of the files, by whoever indexes next or by --due. With a source or a session
/// goes what was derived from it: its episodes, and the lessons drawn from them; they come back with
/// it, too.
#[derive(clap::Args)]
#[command(
    group = clap::ArgGroup::new("which").required(true),
    after_help = "\
Examples:
  harness forget 0196a1b2c3d4
  harness forget --undo 0196a1b2c3d4
  harness forget --session 5f0c2a71-77d3-4f0e-9d3b-0a4a3c1f2b6e
  harness forget --source claude-code --since 2d
  harness forget --undo --source claude-code --since 2d
  harness forget 0196a1b2c3d4 --for-good
  harness forget --due

How long records are kept can be set in the home's config.toml; the first rule that fits decides,
and what is pinned is kept:

  [[retention]]
  scope = \"ana/scratch\"     # and all inside it; without it: every scope
  kinds = [\"message\"]       # without it: every kind
  days = 90                 # without it: for ever

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

    /// Bring them back instead: the records with these ids, or all of the source or session that can still be
    #[arg(long)]
    undo: bool,

    /// Apply the rules of retention, and remove for good what is due
    #[arg(long, group = "which", conflicts_with_all = ["undo", "for_good"])]
    due: bool,

    /// Remove them for good at once, those that were forgotten before too: this cannot be undone
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
    if args.due {
        return due(engine, app);
    }
    let named = args.ids.iter().map(|start| start.resolve(engine)).collect::<Result<Vec<_>, _>>()?;
    // A record that somebody names goes and comes alone; of a source or session also goes what was derived from it.
    let whole = args.ids.is_empty();
    if args.undo {
        return if whole { undo_whole(&args, engine, app) } else { undo(&named, engine, app) };
    }
    let mut ids = if whole { selected(&args, engine)? } else { named };
    let undo_until = if args.for_good { app.now } else { undo_until(app) };
    let derived = engine.store().derived_from(&ids).context("cannot look for what was derived")?;
    let mut forgotten = 0;
    for batch in ids.chunks(FORGET_RECORDS_MAX).chain(derived.chunks(FORGET_RECORDS_MAX).filter(|_| whole)) {
        app.wrote();
        forgotten += engine.store().forget(batch, undo_until).context("cannot forget")?;
    }
    if whole {
        ids.extend(derived);
    } else if !derived.is_empty() {
        let shown: Vec<String> = derived.iter().take(DERIVED_SHOWN_MAX).map(RecordId::to_string).collect();
        let more = if derived.len() > DERIVED_SHOWN_MAX { ", …" } else { "" };
        report::line(&format!(
            "note: {} stay that were drawn from it: {}{more}",
            count(derived.len() as u64, "record"),
            shown.join(", ")
        ));
    }
    if args.for_good {
        let before = if whole { forgotten_before(&args, engine, app)? } else { ids.clone() };
        forgotten += engine.store().end_undo(&before, app.now).context("cannot remove what was forgotten before")?;
        if whole {
            ids.extend(before);
        }
        app.wrote();
        sweep(engine, app, &[], app.now)?;
    }
    if app.json {
        for id in &ids {
            app.print_json(&Forgot { id: *id, undo_until: Some(undo_until) })?;
        }
    } else {
        let done = match (args.for_good, ids.as_slice()) {
            (true, _) => format!("removed {} for good", count(forgotten as u64, "record")),
            (false, [id]) if forgotten == 1 => format!("forgot {id}"),
            _ => format!("forgot {}", count(forgotten as u64, "record")),
        };
        app.print(|out| writeln!(out, "{done}"))?;
    }
    if forgotten == 0 {
        report::line("nothing to forget: there is no such record, or it was forgotten before");
    } else if args.for_good {
        copies_note(app);
    } else if !app.json {
        report::line(&undo_hint(&args, &ids, undo_until, app));
    }
    Ok(Exit::found(forgotten > 0))
}

/// How what was just forgotten comes back, if it can.
fn undo_hint(args: &Args, ids: &[RecordId], undo_until: Timestamp, app: &App) -> String {
    if undo_until <= app.now {
        return "note: it cannot be brought back: the setting `forget.undo_days` is 0".to_owned();
    }
    // As a shell takes it.
    let quoted = |name: &str| match name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-/:@".contains(&b)) {
        true => name.to_owned(),
        false => format!("'{}'", name.replace('\'', r"'\''")),
    };
    let which = match (&args.source, &args.session, args.since) {
        (Some(source), _, Some(since)) => format!("--source {} --since {since}", quoted(source)),
        (Some(source), _, None) => format!("--source {}", quoted(source)),
        (_, Some(session), _) => format!("--session {}", quoted(session)),
        _ if ids.len() <= UNDO_IDS_SHOWN_MAX => ids.iter().map(RecordId::to_string).collect::<Vec<_>>().join(" "),
        _ => "ID…".to_owned(),
    };
    let them = if ids.len() == 1 { "it" } else { "them" };
    format!("hint: until {}, `harness forget --undo {which}` brings {them} back", when::stamp(undo_until))
}

/// Says where a copy of what was removed may be, that only its owner removes.
fn copies_note(app: &App) {
    for kept in doctor::kept_stores(&app.home) {
        report::line(&format!(
            "note: {} is the store as it was before a restore, and may still hold what was removed: delete it when it is \
             not needed",
            kept.display()
        ));
    }
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

/// Brings records back by their ids.
fn undo(ids: &[RecordId], engine: &Engine, app: &App) -> anyhow::Result<Exit> {
    for id in ids {
        engine.store().undo_forget(*id).with_context(|| format!("cannot bring {id} back"))?;
        app.wrote();
        if app.json {
            app.print_json(&Forgot { id: *id, undo_until: None })?;
        } else {
            app.print(|out| writeln!(out, "brought back {id}"))?;
        }
    }
    Ok(Exit::Found)
}

/// Brings back all of a source or session that can be, with what was derived from it and forgotten with it.
fn undo_whole(args: &Args, engine: &Engine, app: &App) -> anyhow::Result<Exit> {
    let ids = forgotten_before(args, engine, app)?;
    app.wrote();
    let bar = Bar::new("bringing back", "records");
    let back = engine.store().bring_back(&ids, &mut |done, all| bar.step(done, all)).context("cannot bring it back")?;
    drop(bar);
    if app.json {
        ids[..back].iter().try_for_each(|id| app.print_json(&Forgot { id: *id, undo_until: None }))?;
    } else {
        app.print(|out| writeln!(out, "brought back {}", count(back as u64, "record")))?;
    }
    if ids.is_empty() {
        report::line("nothing to bring back: nothing of it was forgotten, or its time to come back has passed");
    } else if interrupt::requested() {
        report::line("stopped: run it again to bring back the rest");
        return Ok(Exit::Interrupted);
    }
    Ok(Exit::found(back > 0))
}

/// What of a source or session was forgotten before and can be brought back, with what was derived from it.
fn forgotten_before(args: &Args, engine: &Engine, app: &App) -> anyhow::Result<Vec<RecordId>> {
    let mut ids = engine.store().forgotten(&filter(args), app.now).context("cannot list what was forgotten")?;
    ids.extend(engine.store().forgotten_with(&ids, app.now).context("cannot look for what was derived")?);
    Ok(ids)
}

fn filter(args: &Args) -> Filter {
    Filter { source: args.source.clone(), session: args.session.clone(), since: args.since, ..Filter::default() }
}

/// The live records of a source or session. A damaged row is named and left alone.
fn selected(args: &Args, engine: &Engine) -> anyhow::Result<Vec<RecordId>> {
    let (mut ids, mut read_only) = (Vec::new(), 0);
    let mut filter = filter(args);
    loop {
        let page = engine.store().list(&filter).context("cannot list what to forget")?;
        let full = page.len() == READ_ROWS_MAX;
        for lookup in page {
            match lookup {
                Lookup::Found(stored) if engine.store().is_read_only(&stored.record.scope) => {
                    filter.after = Some(stored.row);
                    read_only += 1;
                }
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
            if read_only > 0 {
                let what = count(read_only, "record");
                report::line(&format!("note: {what} of read-only scopes were left alone"));
            }
            return Ok(ids);
        }
    }
}

//! `harness episode list`.

use std::collections::HashSet;
use std::io::Write;

use anyhow::Context;
use harness_memory::store::{Filter, Order, READ_ROWS_MAX};
use harness_memory::{Body, Kind, Lookup, Outcome, Record, RecordId, Store};
use jiff::Timestamp;

use crate::app::App;
use crate::commands::pick::Reads;
use crate::output::Exit;
use crate::report;
use crate::{render, when};

/// How much of a situation is shown.
const SITUATION_CHARS_MAX: usize = 100;

/// List episodes, the last recorded first
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  harness episode list
  harness episode list --outcome failure --since 7d --here
  harness episode list -n 1000 --json

Exit codes: 0 found, 1 nothing found, 2 failed.")]
pub(crate) struct Args {
    /// At most this many
    #[arg(short = 'n', long = "limit", value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..))]
    limit: u64,

    /// Only those that ended so: success, failure or unknown
    #[arg(long)]
    outcome: Option<Outcome>,

    /// Only what happened at this time or later
    #[arg(long, value_name = "TIME", value_parser = when::parse)]
    since: Option<Timestamp>,

    /// Only what happened before this time
    #[arg(long, value_name = "TIME", value_parser = when::parse)]
    until: Option<Timestamp>,

    /// Also those that a newer one replaces
    #[arg(long)]
    all: bool,

    #[command(flatten)]
    reads: Reads,
}

pub(crate) fn run(args: Args, app: &App) -> anyhow::Result<Exit> {
    let scopes = args.reads.set(app)?;
    let Some(engine) = app.engine_if_any()? else { return Ok(Exit::Nothing) };
    let mut filter = Filter {
        scopes,
        kinds: vec![Kind::Episode],
        since: args.since,
        until: args.until,
        order: Order::Newest,
        limit: READ_ROWS_MAX.min(usize::try_from(args.limit).unwrap_or(READ_ROWS_MAX)),
        ..Filter::default()
    };
    let mut shown = 0;
    while shown < args.limit {
        let page = engine.store().list(&filter).context("cannot list episodes")?;
        let full = page.len() == filter.limit;
        let replaced = if args.all { HashSet::new() } else { replaced(&**engine.store(), &page)? };
        for lookup in page {
            match lookup {
                Lookup::Found(stored) => {
                    filter.after = Some(stored.row);
                    let wanted = args.outcome.is_none_or(|outcome| outcome_of(&stored.record) == Some(outcome))
                        && !replaced.contains(&stored.record.id);
                    if wanted && shown < args.limit {
                        shown += 1;
                        print(app, &stored.record)?;
                    }
                }
                Lookup::Damaged { row, reason, .. } => {
                    filter.after = Some(row);
                    report::line(&format!("warning: record row {} is damaged: {reason}", row.0));
                }
                Lookup::Forgotten(_) | Lookup::Missing => {}
            }
        }
        if !full {
            break;
        }
    }
    if shown == 0 && !app.json {
        report::line("no episodes");
    }
    Ok(Exit::found(shown > 0))
}

/// Those of a page that a newer record replaces.
fn replaced(store: &dyn Store, page: &[Lookup]) -> anyhow::Result<HashSet<RecordId>> {
    let found = |lookup: &Lookup| if let Lookup::Found(stored) = lookup { Some(stored.record.id) } else { None };
    let ids: Vec<RecordId> = page.iter().filter_map(found).collect();
    let newer = store.replaced_by(&ids).context("cannot look up what replaces an episode")?;
    Ok(ids.into_iter().zip(newer).filter_map(|(id, newer)| newer.map(|_| id)).collect())
}

fn outcome_of(record: &Record) -> Option<Outcome> {
    match &record.body {
        Body::Episode(episode) => Some(episode.outcome),
        _ => None,
    }
}

fn print(app: &App, record: &Record) -> anyhow::Result<()> {
    if app.json {
        return app.print_json(record);
    }
    let outcome = outcome_of(record).unwrap_or(Outcome::Unknown);
    let padded = format!("{outcome:<7}");
    let padded = match outcome {
        Outcome::Success => app.style.good(&padded),
        Outcome::Failure => app.style.bad(&padded),
        Outcome::Unknown => padded,
    };
    let situation = render::gist(record.text(), SITUATION_CHARS_MAX);
    app.print(|out| writeln!(out, "{}  {padded}  {}  {situation}", record.id, when::stamp(record.created_at)))
}

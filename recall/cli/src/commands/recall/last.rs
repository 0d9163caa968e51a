//! `harness recall last`.

use std::io::Write;

use harness_memory::store::Exposure;
use harness_memory::{Body, Kind, Lookup, Outcome, RecordId, Store};
use jiff::Timestamp;
use serde::Serialize;

use crate::app::App;
use crate::output::Exit;
use crate::render::{gist, one_line};
use crate::{report, when};

/// The most injections that are looked through.
const LOOKED_AT_MAX: i64 = 1_000;

/// How much of a task and of a record's text is shown.
const GIST_CHARS: usize = 120;

/// Show what was injected last, where, and why
///
/// Each injection has the run that it was for, the task that recall was asked about, and the records it was given,
/// best first. A record that was forgotten since is named and no longer shown.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  harness recall last
  harness recall last -n 5 --json
  harness recall last --run ci-4711

Exit codes: 0 shown, 1 nothing was injected yet, 2 failed.")]
pub(crate) struct Args {
    /// So many injections, the newest first
    #[arg(short = 'n', long = "limit", value_name = "N", default_value_t = 1,
        value_parser = clap::value_parser!(u16).range(1..=LOOKED_AT_MAX))]
    limit: u16,

    /// Only those of this run
    #[arg(long, value_name = "RUN")]
    run: Option<String>,
}

/// What was injected once.
#[derive(Serialize)]
struct Injected {
    run: String,
    at: Timestamp,
    task: String,
    /// Whether the run was in the holdout: these would have been given to it, and were not.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    holdout: bool,
    records: Vec<Given>,
}

/// A record that was given.
#[derive(Serialize)]
struct Given {
    id: RecordId,
    /// `live`, or why it is not: `forgotten`, `missing`, `damaged`.
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<Kind>,
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<Outcome>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    created_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
}

pub(crate) fn run(args: Args, app: &App) -> anyhow::Result<Exit> {
    let Some(engine) = app.engine_if_any()? else { return Ok(Exit::Nothing) };
    let limit = usize::from(args.limit);
    let asked = if args.run.is_some() { LOOKED_AT_MAX as usize } else { limit };
    let exposures = engine.store().exposures(asked)?;
    let wanted = exposures.into_iter().filter(|exposure| args.run.as_ref().is_none_or(|run| *run == exposure.run));
    let injected = wanted.take(limit).map(|exposure| injected(&**engine.store(), exposure));
    let injected = injected.collect::<anyhow::Result<Vec<Injected>>>()?;
    if injected.is_empty() {
        match &args.run {
            Some(run) => report::line(&format!("nothing was injected into the run {}", one_line(run))),
            None => report::line("nothing was injected yet"),
        }
        report::line("hint: `harness recall context TASK --run RUN` notes what it gives");
        return Ok(Exit::Nothing);
    }
    for injected in &injected {
        if app.json {
            app.print_json(injected)?;
        } else {
            app.print(|out| show(out, injected, app))?;
        }
    }
    Ok(Exit::Found)
}

fn injected(store: &dyn Store, exposure: Exposure) -> anyhow::Result<Injected> {
    let lookups = store.get(&exposure.records)?;
    let records = exposure.records.iter().zip(lookups).map(|(id, lookup)| given(*id, lookup)).collect();
    Ok(Injected { run: exposure.run, at: exposure.at, task: exposure.query, holdout: exposure.holdout, records })
}

fn given(id: RecordId, lookup: Lookup) -> Given {
    let absent = |state| Given { id, state, kind: None, outcome: None, source: None, created_at: None, text: None };
    match lookup {
        Lookup::Found(stored) => {
            let record = stored.record;
            let outcome = match &record.body {
                Body::Episode(episode) => Some(episode.outcome),
                _ => None,
            };
            Given {
                id,
                state: "live",
                kind: Some(record.kind()),
                outcome,
                source: Some(record.source.clone()),
                created_at: Some(record.created_at),
                text: Some(record.text().to_owned()),
            }
        }
        Lookup::Forgotten(_) => absent("forgotten"),
        Lookup::Missing => absent("missing"),
        Lookup::Damaged { .. } => absent("damaged"),
    }
}

fn show(out: &mut impl Write, injected: &Injected, app: &App) -> std::io::Result<()> {
    let age = format!("{}, {}", when::ago(injected.at, app.now), when::stamp(injected.at));
    writeln!(out, "{} · {age}", app.style.bold(&format!("run {}", gist(&injected.run, 60))))?;
    if injected.holdout {
        writeln!(out, "    held out: the run was not given these, so that runs with and without can be compared")?;
    }
    writeln!(out, "    because of the task: {}", gist(&injected.task, GIST_CHARS))?;
    for (place, given) in (1..).zip(&injected.records) {
        let (Some(kind), Some(text), Some(source)) = (given.kind, &given.text, &given.source) else {
            writeln!(out, "{place:>2}  {}: {}", given.state, given.id)?;
            continue;
        };
        let outcome = given.outcome.map(|outcome| format!(" ({outcome})")).unwrap_or_default();
        let day = given.created_at.map(|at| format!(" · {}", at.strftime("%Y-%m-%d"))).unwrap_or_default();
        writeln!(out, "{place:>2}  {kind}{outcome}{day}: {}", gist(text, GIST_CHARS))?;
        writeln!(out, "    {}", app.style.dim(&format!("{} · {}", gist(source, 40), given.id)))?;
    }
    Ok(())
}

//! `harness recall context`.

use std::io::Write;

use harness_memory::memory::QUERY_BYTES_MAX;
use harness_memory::store::Exposure;
use harness_memory::{Context, Kind, Mode, Query, Store};
use jiff::Timestamp;

use crate::app::App;
use crate::commands::pick::{Reads, stdin_text};
use crate::output::Exit;
use crate::report;
use crate::when::{self, Present};

/// The tokens of a context, where nobody says it: about a page, a small part of any model's window.
const BUDGET_TOKENS: usize = 1_000;

/// The most tokens that can be asked for: what is longer is a document and no context.
const BUDGET_TOKENS_MAX: i64 = 100_000;

/// A task on standard input may be longer than what is searched for; it is cut then, which is said.
const TASK_BYTES_MAX: usize = 64 * QUERY_BYTES_MAX;

/// Print what is worth saying about a task, for a prompt
///
/// Prints the block that would be injected: few items, the best first, each with its date, where it is from,
/// how it ended and why it is there, in no more tokens than the budget. Prints nothing when too little is known.
/// The task is what somebody wants done, in their words; a whole prompt around it finds less.
///
/// The same records, the same ways of searching and the same --now give the same bytes, so that prompt caches hold.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  harness recall context \"deploy the shop to staging\" --budget 800
  harness recall context 部署到预发环境 --here --json
  harness recall context \"fix the flaky login test\" --run ci-4711     # noted: harness recall last
  git log -1 --format=%s | harness recall context -

Exit codes: 0 there is something to say, 1 there is not, 2 failed.")]
pub(crate) struct Args {
    /// The task; several words need no quotes, `-` reads standard input
    #[arg(required = true, value_name = "TASK")]
    task: Vec<String>,

    /// At most this many tokens, the marker included
    ///
    /// Counted on the safe side of OpenAI's o200k_base: the true number is lower.
    #[arg(long, value_name = "TOKENS", default_value_t = BUDGET_TOKENS as u32,
        value_parser = clap::value_parser!(u32).range(1..=BUDGET_TOKENS_MAX))]
    budget: u32,

    #[command(flatten)]
    reads: Reads,

    /// Only this kind: message, episode, note or lesson; may be given several times
    #[arg(long = "kind", value_name = "KIND")]
    kinds: Vec<Kind>,

    /// Only what was said or happened at this time or later
    #[arg(long, value_name = "TIME", value_parser = when::parse)]
    since: Option<Timestamp>,

    /// Only what was said or happened before this time
    #[arg(long, value_name = "TIME", value_parser = when::parse)]
    until: Option<Timestamp>,

    /// How to search: by text and meaning (hybrid), by text, or by meaning (vector) [default: hybrid]
    #[arg(long, value_name = "MODE")]
    mode: Option<Mode>,

    /// The session that asks: what it said itself is left out
    #[arg(long, value_name = "ID")]
    without_session: Option<String>,

    /// The run that this is for: notes which records it was given
    #[arg(long, value_name = "RUN")]
    run: Option<String>,

    /// The present, for ages and for days that the task names [default: now]
    ///
    /// Days begin at midnight at its offset (UTC where it has none); without --now, in the time zone of this machine.
    #[arg(long, value_name = "TIME", value_parser = when::parse_present)]
    now: Option<Present>,
}

pub(crate) fn run(args: Args, app: &App) -> anyhow::Result<Exit> {
    let task = match args.task.as_slice() {
        [dash] if dash == "-" => stdin_text(TASK_BYTES_MAX)?,
        words => words.join(" "),
    };
    if task.trim().is_empty() {
        return Err(harness_recall::Error::EmptyQuery.into());
    }
    let reads = args.reads.set(app)?;
    let Some(engine) = app.engine_if_any()? else {
        if app.json {
            app.print_json(&Context::default())?;
        }
        return Ok(Exit::Nothing);
    };
    let now = args.now.unwrap_or_else(|| Present::here(app.now));
    let query = Query {
        kinds: args.kinds,
        mode: args.mode.unwrap_or(app.settings.search_mode),
        now: Some(now.at),
        time_zone: now.time_zone,
        without_session: args.without_session,
        since: args.since,
        until: args.until,
        ..Query::new(task)
    };
    let context = engine.context(&query, &reads, args.budget as usize)?;
    if let Some(run) = args.run.filter(|_| !context.records.is_empty()) {
        // Before it is printed: what a run was given must be known when its outcome comes.
        let records = context.records.clone();
        engine.store().expose(Exposure { at: app.now, ..Exposure::new(run, query.text, records) })?;
    }
    if app.json {
        app.print_json(&context)?;
    } else if !context.text.is_empty() {
        app.print(|out| writeln!(out, "{}", context.text))?;
    }
    for part in context.degraded.iter().filter(|part| part.code != "no-model" || args.mode.is_some()) {
        report::line(&format!("note: {} ({} {})", part.hint, part.arm, part.code));
    }
    Ok(Exit::found(!context.records.is_empty()))
}

//! `harness recall search`.

use std::path::PathBuf;
use std::time::Duration;

use harness_index::TAIL_CHANGES_LONG;
use harness_memory::memory::HITS_MAX;
use harness_memory::{Answer, Kind, Mode, Query};
use harness_recall::models::load_reranker;
use jiff::Timestamp;

use crate::app::App;
use crate::commands::pick::Reads;
use crate::output::Exit;
use crate::render;
use crate::report::{self, Advice};
use crate::when::{self, Present};

/// How long a person waits for a closer reading; the order without it is shown then.
const RERANK_DEADLINE: Duration = Duration::from_secs(5);

/// Find records that answer a question, best first
///
/// The question is text in any language: `?`, `:` or an open quote mean nothing special.
/// Only "an exact phrase" in quotes and -word, which leaves out what has the word, are understood.
/// Days that it names in English, Chinese, Japanese or Korean (`last Tuesday`, 上周三) come first, where they have passed.
/// A hit shows its rank and score (0 to 1, comparable within one answer), what it is, its age,
/// the best passage, and where it comes from: source, scope, session and id.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  harness recall search how do I deploy to staging
  harness recall search '\"connection refused\" -redis' --since 7d --here
  harness recall search 部署失败 --kind episode --explain
  harness recall search 昨天做了什么 --now 2026-05-04T07:00:00+08:00
  harness recall search \"retry policy\" --json | jq -r '.hits[].id'

Exit codes: 0 found, 1 nothing found, 2 failed.")]
pub(crate) struct Args {
    /// What to search for; several words need no quotes
    #[arg(required = true, value_name = "QUERY")]
    query: Vec<String>,

    /// At most this many hits [default: 10]
    #[arg(short = 'n', long = "limit", value_name = "N")]
    limit: Option<usize>,

    #[command(flatten)]
    reads: Reads,

    /// Only this kind: message, episode, note or lesson; may be given several times
    #[arg(long = "kind", value_name = "KIND")]
    kinds: Vec<Kind>,

    /// Only messages and episodes of this session
    #[arg(long, value_name = "ID")]
    session: Option<String>,

    /// Only what was said or happened at this time or later
    #[arg(long, value_name = "TIME", value_parser = when::parse)]
    since: Option<Timestamp>,

    /// Only what was said or happened before this time
    #[arg(long, value_name = "TIME", value_parser = when::parse)]
    until: Option<Timestamp>,

    /// How to search: by text and meaning (hybrid), by text, or by meaning (vector) [default: hybrid]
    #[arg(long, value_name = "MODE")]
    mode: Option<Mode>,

    /// Read the first 30 once more together with the question, with the cross-encoder in this folder (an ONNX graph and its
    /// tokenizer): slower and closer. Needs the library that `harness setup --fast` gets
    #[arg(long, value_name = "DIR")]
    rerank: Option<PathBuf>,

    /// Rank sessions and not records: hits come session by session, the best first, with at most three of one
    #[arg(long)]
    by_session: bool,

    /// The present, for ages and for days that the question names [default: now]
    ///
    /// Days begin at midnight at its offset (UTC where it has none); without --now, in the time zone of this machine.
    #[arg(long, value_name = "TIME", value_parser = when::parse_present)]
    now: Option<Present>,

    /// Say why each hit is there: what each way of searching found, its score and its weight
    #[arg(long)]
    explain: bool,
}

pub(crate) fn run(args: Args, app: &App) -> anyhow::Result<Exit> {
    let limit = args.limit.unwrap_or(app.settings.search_limit);
    if !(1..=HITS_MAX).contains(&limit) {
        let what = format!("cannot show {limit} hits");
        return Err(Advice::error(what, format!("ask for 1 to {HITS_MAX} with -n")));
    }
    let text = args.query.join(" ");
    if text.trim().is_empty() {
        return Err(harness_recall::Error::EmptyQuery.into());
    }
    let reads = args.reads.set(app)?;
    let now = args.now.unwrap_or_else(|| Present::here(app.now));
    let at = now.at;
    let asked_for_meaning = args.mode.is_some();
    let query = Query {
        limit,
        kinds: args.kinds,
        session: args.session,
        since: args.since,
        until: args.until,
        mode: args.mode.unwrap_or(app.settings.search_mode),
        now: Some(now.at),
        time_zone: now.time_zone,
        by_session: args.by_session,
        ..Query::new(text)
    };
    let Some(engine) = app.asking_engine()? else {
        if app.json {
            app.print_json(&Answer::default())?;
        }
        return Ok(Exit::Nothing);
    };
    if let Some(folder) = &args.rerank {
        engine.rerank_with(load_reranker(&app.home, folder)?, RERANK_DEADLINE);
    }
    let answer = engine.recall(&query, &reads)?;
    if app.json {
        app.print_json(&answer)?;
    } else {
        app.print(|out| render::answer(out, &answer, app.style, at, args.explain))?;
    }
    say_what_was_missing(app, &answer, asked_for_meaning || args.explain);
    if answer.hits.is_empty() && !app.json {
        report::line("nothing found");
    }
    Ok(Exit::found(!answer.hits.is_empty()))
}

/// Where it is noted that this home's owner was told that recall answers from text alone.
const TOLD_FILE: &str = "told-no-model";

/// Says what did not take part. A short tail is how things are, and was searched too: no word about it.
/// That there is no model is said once in a home, and whenever somebody asks for a mode by name or for reasons.
fn say_what_was_missing(app: &App, answer: &Answer, asked: bool) {
    for part in &answer.degraded {
        // A model of other languages stands aside for each such question: as it should.
        if part.code == "not-understood" && !asked {
            continue;
        }
        if part.code == "no-model" && !asked {
            let told = app.home.join(TOLD_FILE);
            if told.exists() {
                continue;
            }
            // If it cannot be noted, it is said again.
            let _ = std::fs::write(told, "");
        }
        report::line(&format!("note: {} ({} {})", part.hint, part.arm, part.code));
    }
    if answer.lag.values().any(|lag| *lag > TAIL_CHANGES_LONG) {
        let lag: Vec<String> = answer.lag.iter().map(|(index, lag)| format!("{index} {lag}")).collect();
        report::line(&format!(
            "note: indexes are behind by this many changes: {}; `harness index status` says more",
            lag.join(", ")
        ));
    }
}

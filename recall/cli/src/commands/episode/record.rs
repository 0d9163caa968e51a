//! `harness episode record`.

use std::io::Write;

use harness_memory::{Episode, Origin, Outcome, Record, Scope, ToolUse};
use jiff::Timestamp;

use super::input;
use crate::app::App;
use crate::commands::pick::Writes;
use crate::commands::write;
use crate::output::Exit;
use crate::report::Advice;
use crate::when;

/// What episodes given here are called as a source, unless they say otherwise.
pub(super) const SOURCE: &str = "cli";

/// Record what was tried and how it ended
///
/// Either with flags, or as JSON from standard input (`--json` without a situation), one object a line
/// with the fields situation, user_turns, tools (names, or objects with tool, gist, ok, error), outcome,
/// reason, lesson, errors, cost_usd, tokens, duration_ms, and scope, source, session, key, created_at, tags.
/// An episode with the scope, source, session and key of one that is there already adds nothing.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  harness episode record \"deploy the shop to staging\" --tool bash --outcome failure --reason \"the VPN was down\"
  harness episode record 修复登录超时 --tool edit --tool bash=\"cargo test\" --outcome success --here
  my-agent --log-episodes | harness episode record --json")]
pub(crate) struct Args {
    /// What was asked, in the words it was asked in; several words need no quotes
    #[arg(value_name = "SITUATION")]
    situation: Vec<String>,

    /// A tool that was used, in order, with a few words on how; may be given several times
    #[arg(long = "tool", value_name = "TOOL[=GIST]", requires = "situation")]
    tools: Vec<String>,

    /// How it ended: success, failure or unknown
    #[arg(long, default_value_t = Outcome::Unknown)]
    outcome: Outcome,

    /// What says that it ended so
    #[arg(long, value_name = "TEXT", requires = "situation")]
    reason: Option<String>,

    /// What to take from it
    #[arg(long, value_name = "TEXT", requires = "situation")]
    lesson: Option<String>,

    /// An error met on the way; may be given several times
    #[arg(long = "error", value_name = "TEXT", requires = "situation")]
    errors: Vec<String>,

    /// What it cost, in US dollars
    #[arg(long, value_name = "USD", requires = "situation")]
    cost_usd: Option<f64>,

    /// Tokens read and written by the model
    #[arg(long, value_name = "N", requires = "situation")]
    tokens: Option<u64>,

    /// How long it took, in milliseconds
    #[arg(long, value_name = "MS", requires = "situation")]
    duration_ms: Option<u64>,

    /// When it happened [default: now]
    #[arg(long, value_name = "TIME", value_parser = when::parse, requires = "situation")]
    at: Option<Timestamp>,

    /// The session it belongs to
    #[arg(long, value_name = "ID", requires = "situation")]
    session: Option<String>,

    /// What names it within its session, so that recording it again adds nothing
    #[arg(long, value_name = "KEY", requires = "situation")]
    key: Option<String>,

    /// A word to find it by; may be given several times
    #[arg(long = "tag", value_name = "TAG", requires = "situation")]
    tags: Vec<String>,

    #[command(flatten)]
    writes: Writes,
}

pub(crate) fn run(args: Args, app: &App) -> anyhow::Result<Exit> {
    let scope = args.writes.scope(app)?;
    let records = if !args.situation.is_empty() {
        vec![from_flags(args, scope, app.now)]
    } else if app.json {
        input::read(std::io::stdin().lock(), &scope)?
    } else {
        let hint = "say what was asked, or give `--json` and pipe JSON Lines into the command";
        return Err(Advice::error("there is no situation to record", hint));
    };
    let all = write::put(app, records)?;
    app.print(|out| {
        all.iter().try_for_each(|written| {
            if app.json {
                return writeln!(out, "{}", serde_json::to_string(written)?);
            }
            writeln!(out, "{} {}", if written.created { "recorded" } else { "known already" }, written.id)
        })
    })?;
    Ok(Exit::Found)
}

fn from_flags(args: Args, scope: Scope, now: Timestamp) -> Record {
    let tools = args.tools.into_iter().map(|tool| {
        let (tool, gist) = tool.split_once('=').unwrap_or((&tool, ""));
        ToolUse { tool: tool.trim().to_owned(), gist: gist.trim().to_owned(), ok: None, error: None }
    });
    let episode = Episode {
        tools: tools.collect(),
        outcome: args.outcome,
        reason: args.reason,
        lesson: args.lesson,
        errors: args.errors,
        cost_usd: args.cost_usd,
        tokens: args.tokens,
        duration_ms: args.duration_ms,
        ..Episode::new(args.situation.join(" "))
    };
    Record {
        created_at: args.at.unwrap_or(now),
        session: args.session,
        key: args.key,
        tags: args.tags,
        ..Record::new(scope, SOURCE, Origin::Agent, episode)
    }
}

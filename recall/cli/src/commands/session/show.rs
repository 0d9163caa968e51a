//! `harness session show`.

use std::io::Write;

use anyhow::Context;
use harness_memory::scope::Readable;
use harness_memory::store::{Filter, Order, READ_ROWS_MAX};
use harness_memory::{Body, Kind, Lookup, ReadSet, Store};

use super::list::{line, titled};
use crate::app::App;
use crate::output::Exit;
use crate::render;
use crate::report::{self, Advice};

/// How many sessions are named when the beginning of an id fits several.
const AMBIGUOUS_SHOWN_MAX: usize = 5;

/// Show the messages of a session, in order
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  harness session show 5f0c2a71
  harness session show 5f0c2a71 --from 120 -n 20
  harness session show run-1 --scope ana/webshop-1a2b3c4d

Exit codes: 0 found, 1 no such session, 2 failed.")]
pub(crate) struct Args {
    /// The session's id, or as much of its beginning as no other has
    #[arg(value_name = "ID")]
    id: String,

    /// Only a session of this scope and all inside it, or of `=SCOPE` alone, where several are called so; may be given
    /// several times
    #[arg(long = "scope", value_name = "SCOPE")]
    scopes: Vec<Readable>,

    /// Begin at this place in the session
    #[arg(long, value_name = "PLACE", default_value_t = 0)]
    from: u32,

    /// At most this many messages [default: all]
    #[arg(short = 'n', long = "limit", value_name = "N")]
    limit: Option<u64>,
}

pub(crate) fn run(args: Args, app: &App) -> anyhow::Result<Exit> {
    let Some(engine) = app.engine_if_any()? else { return Ok(Exit::Nothing) };
    let store = engine.store();
    let mut found = store.find_sessions(&args.id, READ_ROWS_MAX).context("cannot look up the session")?;
    if !args.scopes.is_empty() {
        let scopes = ReadSet::new(args.scopes);
        found.retain(|entry| scopes.allows(&entry.session.scope));
    }
    // A whole id is meant as it is, even where another one begins with it.
    let whole = found.iter().any(|entry| entry.session.id == args.id);
    if whole {
        found.retain(|entry| entry.session.id == args.id);
    }
    let entry = match found.as_slice() {
        [] => {
            let hint = "`harness session list` shows what there is";
            report::error(&Advice::error(format!("no session's id begins with {:?}", args.id), hint));
            return Ok(Exit::Nothing);
        }
        [entry] => entry,
        several => {
            let shown: Vec<String> =
                several.iter().take(AMBIGUOUS_SHOWN_MAX).map(|e| format!("  {}", line(e))).collect();
            let (are, hint) = match whole {
                true => ("is what several sessions are called", "name the scope of one with --scope"),
                false => ("is the beginning of several sessions", "type more of the id"),
            };
            return Err(Advice::error(format!("{:?} {are}:\n{}", args.id, shown.join("\n")), hint));
        }
    };
    if !app.json {
        let titled = titled(&**store, entry)?;
        app.print(|out| writeln!(out, "{}", app.style.bold(&line(&titled))))?;
    }
    let mut left = args.limit.unwrap_or(u64::MAX);
    let mut filter = Filter {
        kinds: vec![Kind::Message],
        session: Some(entry.session.id.clone()),
        source: Some(entry.session.source.clone()),
        order: Order::Place,
        ..Filter::default()
    };
    while left > 0 {
        let page = store.list(&filter).context("cannot list the session's messages")?;
        let full = page.len() == READ_ROWS_MAX;
        for lookup in page {
            let record = match lookup {
                Lookup::Found(stored) => {
                    filter.after = Some(stored.row);
                    stored.record
                }
                Lookup::Damaged { row, reason, .. } => {
                    filter.after = Some(row);
                    report::line(&format!("warning: record row {} is damaged: {reason}", row.0));
                    continue;
                }
                Lookup::Forgotten(_) | Lookup::Missing => continue,
            };
            let Body::Message(message) = &record.body else { continue };
            // Two tools may call their sessions the same.
            let other = record.source != entry.session.source || record.scope != entry.session.scope;
            if other || message.position < args.from || left == 0 {
                continue;
            }
            left -= 1;
            if app.json {
                app.print_json(&record)?;
            } else {
                app.print(|out| {
                    writeln!(out)?;
                    render::message(out, &record, message, app.style, false)
                })?;
            }
        }
        if !full {
            break;
        }
    }
    Ok(Exit::Found)
}

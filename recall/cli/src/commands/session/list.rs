//! `harness session list`.

use std::io::Write;

use anyhow::Context;
use harness_memory::scope::Readable;
use harness_memory::store::{Filter, Order, READ_ROWS_MAX, SessionEntry};
use harness_memory::{Body, Kind, Lookup, MessageForm, ReadSet, Role, Store};

use crate::app::App;
use crate::commands::pick::Reads;
use crate::output::Exit;
use crate::render::{count, gist};
use crate::report;
use crate::when;

/// How much of a title is shown.
const TITLE_CHARS_MAX: usize = 80;

/// List sessions, the one that went on last first
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  harness session list
  harness session list --here -n 5

Exit codes: 0 found, 1 nothing found, 2 failed.")]
pub(crate) struct Args {
    /// At most this many
    #[arg(short = 'n', long = "limit", value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=READ_ROWS_MAX as i64))]
    limit: u32,

    #[command(flatten)]
    reads: Reads,
}

pub(crate) fn run(args: Args, app: &App) -> anyhow::Result<Exit> {
    let scopes = args.reads.set(app)?;
    let Some(engine) = app.engine_if_any()? else { return Ok(Exit::Nothing) };
    let sessions = engine.store().sessions(&scopes, args.limit as usize).context("cannot list sessions")?;
    for entry in &sessions {
        if app.json {
            app.print_json(entry)?;
        } else {
            let entry = titled(&**engine.store(), entry)?;
            app.print(|out| writeln!(out, "{}", line(&entry)))?;
        }
    }
    if sessions.is_empty() && !app.json {
        report::line("no sessions; `harness session import` reads the transcripts of your coding tools");
    }
    Ok(Exit::found(!sessions.is_empty()))
}

/// How many of a session's first messages are looked through for what was asked: what tools say first is in few.
const FIRST_MESSAGES: usize = 20;

/// The session with what was first asked in it as its title, where it has none.
pub(super) fn titled(store: &dyn Store, entry: &SessionEntry) -> anyhow::Result<SessionEntry> {
    let mut entry = entry.clone();
    if entry.session.title.is_none() {
        let filter = Filter {
            scopes: ReadSet::new([Readable::Exactly(entry.session.scope.clone())]),
            kinds: vec![Kind::Message],
            session: Some(entry.session.id.clone()),
            source: Some(entry.session.source.clone()),
            order: Order::Place,
            limit: FIRST_MESSAGES,
            ..Filter::default()
        };
        let first = store.list(&filter).context("cannot read how a session begins")?;
        let asked = first.into_iter().filter_map(Lookup::found).find_map(|stored| match stored.record.body {
            Body::Message(message) if message.role == Role::User && message.form == MessageForm::Statement => {
                Some(message.text)
            }
            _ => None,
        });
        entry.session.title = asked;
    }
    Ok(entry)
}

/// A session on one line: id, when it ended, how long it is, whose it is, what it is about.
pub(super) fn line(entry: &SessionEntry) -> String {
    let session = &entry.session;
    let time = session.ended_at.or(session.started_at).map_or_else(|| "-".to_owned(), when::stamp);
    let title = gist(session.title.as_deref().unwrap_or_default(), TITLE_CHARS_MAX);
    let (id, source, scope) = (gist(&session.id, 64), gist(&session.source, 40), &session.scope);
    let line = format!("{id}  {time}  {}  {source}  {scope}  {title}", count(entry.messages, "message"));
    line.trim_end().to_owned()
}

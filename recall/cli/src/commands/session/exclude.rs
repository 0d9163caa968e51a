//! `harness session exclude`.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;
use harness_memory::store::{Filter, READ_ROWS_MAX};
use harness_memory::{Lookup, ReadSet, RecordId, Store};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::app::App;
use crate::exclusions::Exclusions;
use crate::output::Exit;
use crate::render::count;
use crate::report;

/// How many records one call forgets: keeps each transaction short.
const FORGET_RECORDS_MAX: usize = 1_000;

/// How many sessions are looked through for those held in a folder that is excluded now.
const SESSIONS_MAX: usize = 1_000_000;

/// How many of them are named.
const STORED_SHOWN_MAX: usize = 5;

/// Leave paths, projects or sessions out of memory
///
/// Importing, watching and the tools' hooks pass over what is excluded. A path is a folder with all inside
/// it: transcripts that lie there, and sessions that were held there. A name without a slash that is no
/// folder here is a project's name. Marking a session private forgets what is stored of it, too; that can be
/// undone with `harness forget --undo` for a while. What is stored of an excluded path or project stays, and is
/// named. Without anything, lists what is excluded.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  harness session exclude ~/clients/secret
  harness session exclude diary
  harness session exclude --session 5f0c2a71-77d3-4f0e-9d3b-0a4a3c1f2b6e
  harness session exclude
  harness session exclude ~/clients/secret --remove

Exit codes: 0 done, 1 nothing is excluded or nothing to remove, 2 failed.")]
pub(crate) struct Args {
    /// A path, or the name of a project
    #[arg(value_name = "PATH|PROJECT")]
    what: Vec<String>,

    /// The id of a session that is private
    #[arg(long, value_name = "ID")]
    session: Vec<String>,

    /// No longer exclude these
    #[arg(long)]
    remove: bool,
}

#[derive(Serialize)]
struct Entry<'a> {
    kind: &'static str,
    what: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    changed: Option<bool>,
}

pub(crate) fn run(args: Args, app: &App) -> anyhow::Result<Exit> {
    let mut exclusions = Exclusions::read(&app.home)?;
    if args.what.is_empty() && args.session.is_empty() {
        return list(&exclusions, app);
    }
    let mut changes: Vec<(&'static str, String, bool)> = Vec::new();
    for what in &args.what {
        let change = match path_of(what) {
            Some(path) => {
                let shown = path.display().to_string();
                ("path", shown, apply(&mut exclusions.paths, path, args.remove)?)
            }
            None => ("project", what.clone(), apply(&mut exclusions.projects, what.clone(), args.remove)?),
        };
        changes.push(change);
    }
    for session in &args.session {
        changes.push(("session", session.clone(), apply(&mut exclusions.sessions, session.clone(), args.remove)?));
    }
    exclusions.write(&app.home)?;
    for (kind, what, changed) in &changes {
        if app.json {
            app.print_json(&Entry { kind, what, changed: Some(*changed) })?;
            continue;
        }
        let said = match (args.remove, changed) {
            (false, true) => "excluded from now on",
            (false, false) => "was excluded already",
            (true, true) => "no longer excluded",
            (true, false) => "was not excluded",
        };
        app.print(|out| writeln!(out, "{kind} {what}: {said}"))?;
    }
    if !args.remove && !args.session.is_empty() && !app.home_is_missing() {
        let forgotten = forget(&args.session, app)?;
        if forgotten > 0 {
            report::line(&format!("forgot {} of it that were stored", count(forgotten, "record")));
        }
    }
    if !args.remove && !args.what.is_empty() && !app.home_is_missing() {
        tell_stored(&exclusions, app)?;
    }
    Ok(Exit::found(changes.iter().any(|(_, _, changed)| *changed) || !args.remove))
}

/// Says what is stored of the excluded folders and projects: it stays until it is forgotten.
fn tell_stored(exclusions: &Exclusions, app: &App) -> anyhow::Result<()> {
    let sessions = app.engine()?.store().sessions(&ReadSet::everything(), SESSIONS_MAX);
    let sessions = sessions.context("cannot look for what is stored of it")?;
    let stored: Vec<_> =
        sessions.iter().filter(|entry| exclusions.excludes_session(&entry.session).is_some()).collect();
    if stored.is_empty() {
        return Ok(());
    }
    let messages = stored.iter().map(|entry| entry.messages).sum();
    let (sessions, messages) = (count(stored.len() as u64, "session"), count(messages, "message"));
    report::line(&format!("note: what is stored already stays: {sessions} with {messages} of what is excluded"));
    for entry in stored.iter().take(STORED_SHOWN_MAX) {
        report::line(&format!("hint: `harness forget --session {}` forgets it", entry.session.id));
    }
    Ok(())
}

fn apply<T: PartialEq>(list: &mut Vec<T>, entry: T, remove: bool) -> anyhow::Result<bool> {
    if remove {
        let before = list.len();
        list.retain(|known| *known != entry);
        return Ok(list.len() < before);
    }
    Exclusions::add(list, entry)
}

/// The path that was meant: anything with a separator, and any folder or file that is there.
fn path_of(what: &str) -> Option<PathBuf> {
    let path = Path::new(what);
    if !what.contains(std::path::is_separator) && !path.exists() {
        return None;
    }
    path.canonicalize().or_else(|_| std::path::absolute(path)).ok()
}

fn list(exclusions: &Exclusions, app: &App) -> anyhow::Result<Exit> {
    let paths: Vec<String> = exclusions.paths.iter().map(|path| path.display().to_string()).collect();
    let entries = paths.iter().map(|path| ("path", path));
    let entries = entries.chain(exclusions.projects.iter().map(|name| ("project", name)));
    let entries: Vec<_> = entries.chain(exclusions.sessions.iter().map(|id| ("session", id))).collect();
    for (kind, what) in &entries {
        if app.json {
            app.print_json(&Entry { kind, what, changed: None })?;
        } else {
            app.print(|out| writeln!(out, "{kind} {what}"))?;
        }
    }
    if entries.is_empty() && !app.json {
        report::line("nothing is excluded");
    }
    Ok(Exit::found(!entries.is_empty()))
}

/// Forgets what is stored of these sessions.
fn forget(sessions: &[String], app: &App) -> anyhow::Result<u64> {
    let engine = app.engine()?;
    let store = engine.store();
    let days = SignedDuration::from_hours(24 * i64::from(app.settings.undo_days));
    let undo_until = app.now.checked_add(days).unwrap_or(Timestamp::MAX);
    let mut forgotten = 0;
    for session in sessions {
        let mut filter = Filter { session: Some(session.clone()), limit: FORGET_RECORDS_MAX, ..Filter::default() };
        loop {
            let page = store.list(&filter).context("cannot list what is stored of the session")?;
            let full = page.len() == FORGET_RECORDS_MAX.min(READ_ROWS_MAX);
            let mut ids: Vec<RecordId> = Vec::new();
            for lookup in page {
                match lookup {
                    Lookup::Found(stored) => {
                        filter.after = Some(stored.row);
                        ids.push(stored.record.id);
                    }
                    Lookup::Damaged { row, .. } => filter.after = Some(row),
                    Lookup::Forgotten(_) | Lookup::Missing => {}
                }
            }
            if !ids.is_empty() {
                app.wrote();
                forgotten += store.forget(&ids, undo_until).context("cannot forget the private session")? as u64;
            }
            if !full {
                break;
            }
        }
    }
    Ok(forgotten)
}

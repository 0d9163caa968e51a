//! `harness session import`.

pub(crate) mod files;
pub(crate) mod ingest;
pub(crate) mod places;

use std::io::Write;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::Context;
use harness_index::text::TEXT;
use harness_memory::import::{IMPORTERS, Importer};
use harness_recall::Engine;

use self::files::Transcript;
use self::ingest::{Ingest, Tally};
use self::places::default_places;
use crate::app::App;
use crate::commands::pick::Writes;
use crate::exclusions::Exclusions;
use crate::output::Exit;
use crate::progress::Bar;
use crate::render::{bytes, count, one_line};
use crate::report::{self, Advice};
use crate::{commands, interrupt};

/// Changes that are indexed before the command ends: some seconds. More are left to a process in the background, as their
/// vectors are, so that years of sessions are stored within a minute, and by a process that holds no index.
const INDEX_HERE_CHANGES_MAX: u64 = 50_000;

/// How many unreadable lines and files are named one by one.
const PROBLEMS_SHOWN_MAX: usize = 20;

/// How many files that nobody recognises are named.
const UNRECOGNISED_SHOWN_MAX: usize = 3;

/// Read transcripts of coding tools into sessions, messages and episodes
///
/// Without a path, looks where the tools keep their transcripts, and says first what is there and how long
/// it will take. A file that was read before and is as it was is passed over; one that grew is read on from
/// its last whole line. Each session goes to the scope of the
/// project it was held in, unless told otherwise. Importing again adds only what is new; it can be
/// interrupted at any time and run again. Of more than 50,000 messages the indexes are made in the background; they are
/// kept from the first second, and a search says what it has not seen yet. Secrets are replaced before anything reaches the disk, and
/// what recall had put into a prompt is left out.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  harness session import
  harness session import ~/.claude/projects --dry-run
  harness session import old-sessions/ --tool claude-code --scope ana/archive
  harness session import --wait            end when everything can be found

Exit codes: 0 done, 1 no transcripts found, 2 failed or a file could not be read at all.")]
pub(crate) struct Args {
    /// Files, or folders that are searched with all inside [default: where the tools keep them]
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,

    /// Only transcripts of this tool
    #[arg(long, value_name = "TOOL", value_parser = tool)]
    tool: Option<&'static dyn Importer>,

    /// Where sessions were held whose transcripts do not say it
    #[arg(long, value_name = "FOLDER", requires = "paths")]
    folder: Option<PathBuf>,

    /// Keep nothing: without a path say what would be read, with one read it and say what is in it
    #[arg(long)]
    dry_run: bool,

    /// Wait until everything is indexed, however much there is
    #[arg(long, conflicts_with = "dry_run")]
    wait: bool,

    #[command(flatten)]
    writes: Writes,
}

pub(crate) fn tool(name: &str) -> Result<&'static dyn Importer, String> {
    let known: Vec<&str> = IMPORTERS.iter().map(|importer| importer.tool()).collect();
    let found = IMPORTERS.iter().copied().find(|importer| importer.tool() == name);
    found.ok_or_else(|| format!("transcripts of these tools can be read: {}", known.join(", ")))
}

pub(crate) fn run(args: Args, app: &App) -> anyhow::Result<Exit> {
    let begin = Instant::now();
    let scope = args.writes.chosen(app)?;
    let exclusions = Exclusions::read(&app.home)?;
    if exclusions.paused(app.now) {
        report::line("paused: nothing is imported until `harness session resume`");
        return Ok(Exit::Nothing);
    }
    let places = if args.paths.is_empty() { default_places(app, args.tool)? } else { args.paths.clone() };
    let found = files::find(&places, args.tool)?;
    unrecognised(&found, args.paths.is_empty());
    if found.transcripts.is_empty() && found.unreadable.is_empty() {
        let places: Vec<String> = places.iter().map(|place| place.display().to_string()).collect();
        report::line(&format!("no transcripts found in {}", places.join(", ")));
        report::line("hint: name the folder that holds them: `harness session import PATH`");
        return Ok(Exit::Nothing);
    }
    if args.paths.is_empty() {
        announce(&args, app, &found, &exclusions, scope.clone())?;
        if args.dry_run {
            found.unreadable.iter().for_each(|what| report::line(&format!("warning: {what}")));
            return Ok(if found.unreadable.is_empty() { Exit::Found } else { Exit::Failed });
        }
    }
    let engine = if args.dry_run { None } else { Some(app.engine()?) };
    let own_intake;
    let intake = match engine {
        Some(engine) => engine.intake(),
        None => {
            own_intake = app.intake();
            &own_intake
        }
    };
    let mut ingest = Ingest::new(app, engine, intake, &exclusions, scope);
    if let Some(folder) = &args.folder {
        ingest
            .held_in(folder.canonicalize().or_else(|_| std::path::absolute(folder)).unwrap_or_else(|_| folder.clone()));
    }
    let all: u64 = found.transcripts.iter().map(|transcript| transcript.bytes).sum();
    let bar = Bar::bytes("reading transcripts");
    let mut done = 0;
    for Transcript { path, importer, bytes, .. } in &found.transcripts {
        if exclusions.excludes_path(path) {
            done += bytes;
            continue;
        }
        ingest.file(path, *importer, &mut |read| bar.step(done + read.min(*bytes), all))?;
        done += bytes;
        if !bar.step(done, all) {
            break;
        }
    }
    drop(bar);
    let mut tally = ingest.finish()?;
    tally.bytes = done;
    found.unreadable.iter().for_each(|what| tally.failed(|| what.clone()));
    if let Some(engine) = engine.filter(|_| !interrupt::requested()) {
        let lag = text_lag(engine)?;
        if lag > INDEX_HERE_CHANGES_MAX && !args.wait {
            tally.index_lag = lag;
            // Whoever ends this command starts one that follows, where none does.
            app.wrote();
        } else {
            index(engine)?;
        }
    }
    summary(app, &tally, begin, args.dry_run)?;
    if interrupt::requested() {
        report::line("stopped; what was read is kept, and running it again goes on from there");
        return Ok(Exit::Interrupted);
    }
    Ok(if tally.files_failed > 0 { Exit::Failed } else { Exit::Found })
}

/// Says which files are passed over although they are called as transcripts are. Tools keep other JSON beside theirs,
/// which says nothing of them.
fn unrecognised(found: &files::Found, of_tools: bool) {
    let passed_over: Vec<&PathBuf> =
        found.unrecognised.iter().filter(|path| !of_tools || files::is_lines(path)).collect();
    if passed_over.is_empty() {
        return;
    }
    let named: Vec<String> =
        passed_over.iter().take(UNRECOGNISED_SHOWN_MAX).map(|path| path.display().to_string()).collect();
    let more = if passed_over.len() > named.len() { ", …" } else { "" };
    let what = count(passed_over.len() as u64, "file");
    report::line(&format!(
        "note: {what} ending in .jsonl or .json not recognised as a transcript: {}{more}",
        named.join(", ")
    ));
}

/// Says what was found where the tools keep their transcripts: the result of a dry run, else a word before the work.
fn announce(
    args: &Args,
    app: &App,
    found: &files::Found,
    exclusions: &Exclusions,
    scope: Option<harness_memory::Scope>,
) -> anyhow::Result<()> {
    // A home that is not there yet is not made for a look.
    let engine = if app.home_is_missing() { None } else { Some(app.engine()?) };
    let own_intake = app.intake();
    let intake = engine.map_or(&own_intake, |engine| engine.intake());
    let ingest = Ingest::new(app, engine, intake, exclusions, scope);
    let plans = places::plan(found, &|transcript| {
        exclusions.excludes_path(&transcript.path) || ingest.is_read(&transcript.path, transcript.importer)
    });
    if args.dry_run && app.json {
        return plans.iter().try_for_each(|plan| app.print_json(plan));
    }
    if args.dry_run {
        return app.print(|out| places::write_plan(out, &plans));
    }
    for plan in &plans {
        report::line(&format!("{}: {} ({})", plan.tool, count(plan.files, "file"), bytes(plan.bytes)));
    }
    match places::seconds(&plans) {
        0 | 1 => {}
        seconds => report::line(&format!("this takes about {seconds} s; Ctrl-C stops it, and what was read is kept")),
    }
    Ok(())
}

/// How many changes the text index is behind.
fn text_lag(engine: &Engine) -> anyhow::Result<u64> {
    Ok(engine.index_status()?.iter().filter(|index| index.name == TEXT).map(|index| index.lag).sum())
}

fn index(engine: &Engine) -> anyhow::Result<()> {
    let bar = Bar::new("indexing", "changes");
    match engine.catch_up(&mut |done, all| bar.step(done, all)) {
        Err(harness_recall::Error::Stopped) => Ok(()),
        Err(error @ harness_recall::Error::Followed { .. }) => {
            report::line(&format!("note: {error}"));
            Ok(())
        }
        result => result.context(Advice::new(
            "the sessions are stored, but cannot be indexed",
            "they are searched all the same; `harness index status` says more",
        )),
    }
}

fn summary(app: &App, tally: &Tally, begin: Instant, dry_run: bool) -> anyhow::Result<()> {
    for problem in tally.problems.iter().take(PROBLEMS_SHOWN_MAX) {
        report::line(&format!("warning: {}", one_line(problem)));
    }
    let unnamed = tally.problems_total.saturating_sub(PROBLEMS_SHOWN_MAX as u64);
    if unnamed > 0 {
        report::line(&format!("warning: and {} more", count(unnamed, "line")));
    }
    if app.json {
        return app.print_json(tally);
    }
    app.print(|out| {
        let known = |known: u64| if known > 0 { format!(" ({known} known already)") } else { String::new() };
        if dry_run {
            write!(out, "found {}, ", count(tally.messages_read, "message"))?;
        } else {
            write!(out, "imported {}{}, ", count(tally.messages_new, "message"), known(tally.messages_known))?;
            write!(out, "{}{}, ", count(tally.episodes_new, "episode"), known(tally.episodes_known))?;
        }
        let (sessions, files) = (count(tally.sessions, "session"), count(tally.files, "file"));
        writeln!(out, "in {sessions} of {files} ({})", bytes(tally.bytes))?;
        if let Some(note) = commands::write::redaction_note(&tally.redactions) {
            writeln!(out, "{note}")?;
        }
        if tally.echoes > 0 {
            writeln!(out, "note: {} left out that recall had put there", count(tally.echoes, "block"))?;
        }
        if tally.excluded > 0 {
            writeln!(out, "note: {} left out that you excluded", count(tally.excluded, "message"))?;
        }
        if tally.messages_forgotten > 0 {
            let forgotten = count(tally.messages_forgotten, "message");
            writeln!(
                out,
                "note: {forgotten} of those known were forgotten and stay so: `harness forget --undo --source TOOL` or \
                 `--session ID` brings back what was not forgotten for good"
            )?;
        }
        if tally.cut > 0 {
            writeln!(out, "note: {} cut, being longer than a record may be", count(tally.cut, "message"))?;
        }
        if tally.unfinished > 0 {
            let (waiting, files) = (bytes(tally.unfinished_bytes), count(tally.unfinished, "file"));
            writeln!(out, "note: {waiting} at the end of {files} are no whole line yet, and wait until they are")?;
        }
        if tally.problems_total > 0 {
            writeln!(out, "note: {} could not be read", count(tally.problems_total, "line"))?;
        }
        if tally.files_unchanged > 0 {
            writeln!(out, "{} read before and unchanged", count(tally.files_unchanged, "file"))?;
        }
        if tally.messages_changed + tally.messages_withdrawn > 0 {
            let (changed, withdrawn) = (count(tally.messages_changed, "message"), tally.messages_withdrawn);
            writeln!(out, "{changed} changed by their tool, {withdrawn} taken back")?;
        }
        let seconds = begin.elapsed().as_secs_f64();
        let rate = tally.messages_read as f64 / seconds.max(1e-3);
        writeln!(out, "took {seconds:.1} s ({rate:.0} messages/s)")?;
        if tally.index_lag > 0 {
            let lag = count(tally.index_lag, "change");
            writeln!(
                out,
                "note: {lag} are being indexed in the background: `harness index status` says how far it is"
            )?;
        }
        Ok(())
    })
}

//! `harness import`.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use anyhow::Context;
use harness_memory::export::{self, Fit, Imported, ReadOptions};
use harness_memory::intake::Admission;
use harness_memory::memories::{self, Form};
use harness_memory::{Admitted, Intake, Record, Store};
use harness_recall::Engine;
use serde::Serialize;

use crate::app::App;
use crate::commands::pick::Writes;
use crate::commands::write::redaction_note;
use crate::interrupt;
use crate::output::Exit;
use crate::progress::Bar;
use crate::render::{count, one_line};
use crate::report::{self, Advice};

/// Problems named one by one.
const PROBLEMS_SHOWN_MAX: usize = 20;

/// Records of one transaction.
const BATCH: usize = 500;

/// Take in an export, or what another memory holds
///
/// What `harness export` wrote comes back as it was, also into a memory that has a part of it: nothing is added twice,
/// and what was forgotten on either side stays forgotten. An export of mem0, the `memory.json` of the reference MCP
/// server, claude-mem's database and a folder of Markdown notes become notes and episodes; importing them again adds
/// nothing. Lines that cannot be read are named, and the rest is kept. Transcripts are read by `harness session import`.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  harness import memory.jsonl
  gunzip -c memory.jsonl.gz | harness import -
  harness import ~/.claude-mem/claude-mem.db
  harness import notes/ --scope ana/notes --dry-run
  harness import --form mem0 all.json

Exit codes: 0 done, 1 nothing to import, 2 failed.")]
pub(crate) struct Args {
    /// The file or folder, `-` for standard input
    #[arg(value_name = "PATH")]
    path: PathBuf,

    /// What it is: mem0, mcp-memory, claude-mem or markdown [default: told from its content]
    #[arg(long, value_name = "FORM")]
    form: Option<Form>,

    /// For an export: keep it as somebody else's data, and trust nothing of it
    #[arg(long)]
    untrusted: bool,

    /// Only say what would be imported
    #[arg(long)]
    dry_run: bool,

    #[command(flatten)]
    writes: Writes,
}

pub(crate) fn run(args: Args, app: &App) -> anyhow::Result<Exit> {
    let advice = || {
        let hint = "`harness import --help` says what can be read; transcripts: `harness session import`";
        Advice::new(format!("cannot import {}", args.path.display()), hint)
    };
    if args.path == Path::new("-") {
        return own(&args, app, &mut std::io::stdin().lock(), 0);
    }
    let facts = std::fs::metadata(&args.path).with_context(advice)?;
    if facts.is_file() && args.form.is_none() {
        let mut file = BufReader::with_capacity(256 << 10, File::open(&args.path).with_context(advice)?);
        if export::is_export(file.fill_buf().with_context(advice)?) {
            return own(&args, app, &mut file, facts.len());
        }
    }
    let form = match args.form {
        Some(form) => form,
        None => memories::form_of(&args.path).with_context(advice)?.ok_or_else(|| {
            let what = format!("{} is nothing that can be imported", args.path.display());
            Advice::error(what, "`harness import --help` says what can be read, and --form says what it is")
        })?,
    };
    other(form, &args, app).with_context(advice)
}

/// An export of ours.
fn own(args: &Args, app: &App, from: &mut dyn BufRead, bytes: u64) -> anyhow::Result<Exit> {
    let engine = app.engine()?;
    let bar = Bar::bytes("importing");
    let options = ReadOptions { untrusted: args.untrusted, dry_run: args.dry_run };
    if !args.dry_run {
        app.wrote();
    }
    let imported = export::read(engine.store(), engine.intake(), from, &args.path, options, &mut |done, _| {
        bar.step(done, bytes.max(done))
    })
    .with_context(|| format!("cannot import {}", args.path.display()))?;
    drop(bar);
    for skipped in imported.skipped.iter().take(PROBLEMS_SHOWN_MAX) {
        let reason = one_line(&skipped.reason);
        report::line(&format!("warning: {}:{}: {reason}", args.path.display(), skipped.line));
    }
    unnamed(imported.skipped_total, imported.skipped.len());
    match imported.fit {
        Fit::Whole => {}
        _ if interrupt::requested() => {}
        Fit::Cut => report::line("warning: it has no manifest, its end may be missing; what is there was taken in"),
        Fit::Changed => report::line("warning: it was changed since it was written; what could be read was taken in"),
    }
    if let Some(note) = redaction_note(&imported.redactions) {
        report::line(&note);
    }
    if app.json {
        app.print_json(&imported)?;
    } else {
        say(&imported, args.dry_run, app)?;
    }
    stopped(Exit::found(imported.added + imported.known + imported.kept + imported.forgotten > 0))
}

fn say(imported: &Imported, dry_run: bool, app: &App) -> anyhow::Result<()> {
    let verb = if dry_run { "would import" } else { "imported" };
    app.print(|out| {
        write!(out, "{verb} {}", count(imported.added, "record"))?;
        for (number, what) in [
            (imported.known, "there already"),
            (imported.kept, "there with another content, which was kept"),
            (imported.forgotten, "forgotten, because the export says so"),
        ] {
            if number > 0 {
                write!(out, ", {number} {what}")?;
            }
        }
        for (number, noun) in
            [(imported.sessions, "session"), (imported.exposures, "exposure"), (imported.runs, "end of a run")]
        {
            if number > 0 {
                write!(
                    out,
                    ", {}",
                    if noun == "end of a run" { format!("{number} ends of runs") } else { count(number, noun) }
                )?;
            }
        }
        writeln!(out)
    })
}

/// What an import of another memory came to.
#[derive(Default, Serialize)]
struct Tally {
    form: &'static str,
    added: u64,
    known: u64,
    refused: u64,
    problems: u64,
    left_out: u64,
}

/// What another memory holds.
fn other(form: Form, args: &Args, app: &App) -> anyhow::Result<Exit> {
    let scope = args.writes.scope(app)?;
    let engine = if args.dry_run { None } else { Some(app.engine()?) };
    let own_intake = app.intake();
    let mut taking = Taking {
        app,
        engine,
        intake: engine.map_or(&own_intake, |engine| engine.intake()),
        batch: Vec::new(),
        tally: Tally { form: form.word(), ..Tally::default() },
        redactions: BTreeMap::new(),
        error: None,
    };
    let bar = Bar::new("importing", "records");
    let read = memories::read(form, &args.path, &scope, app.now, &mut |record| {
        let go_on = taking.take(record);
        if go_on && bar.step(taking.tally.added + taking.tally.known, 0) {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        }
    })?;
    drop(bar);
    taking.flush();
    if let Some(error) = taking.error {
        return Err(error);
    }
    let mut tally = taking.tally;
    tally.problems = read.problems_total;
    for problem in read.problems.iter().take(PROBLEMS_SHOWN_MAX) {
        let line = if problem.line > 0 { format!(":{}", problem.line) } else { String::new() };
        report::line(&format!("warning: {}{line}: {}", problem.path.display(), one_line(&problem.reason)));
    }
    unnamed(read.problems_total, read.problems.len());
    if let Some((what, number)) = read.left_out {
        tally.left_out = number;
        let hint = "`harness session import` takes them with their answers";
        report::line(&format!("note: left out {} of sessions: {hint}", count(number, what)));
    }
    if let Some(note) = redaction_note(&taking.redactions) {
        report::line(&note);
    }
    if app.json {
        app.print_json(&tally)?;
    } else {
        let verb = if args.dry_run { "would import" } else { "imported" };
        app.print(|out| {
            write!(out, "{verb} {} from {} into {scope}", count(tally.added, "record"), form.word())?;
            if tally.known > 0 {
                write!(out, ", {} there already", tally.known)?;
            }
            writeln!(out)
        })?;
    }
    stopped(Exit::found(tally.added + tally.known > 0))
}

/// Records on their way through the intake into the store.
struct Taking<'t> {
    app: &'t App,
    /// None in a dry run.
    engine: Option<&'t Engine>,
    intake: &'t Intake,
    batch: Vec<Admitted>,
    tally: Tally,
    redactions: BTreeMap<&'static str, usize>,
    error: Option<anyhow::Error>,
}

impl Taking<'_> {
    /// Takes one; answers whether to go on.
    fn take(&mut self, record: Record) -> bool {
        let key = record.key.clone().unwrap_or_default();
        match self.intake.admit(record) {
            Ok(Admission::Admitted { record, redactions }) => {
                for (rule, times) in redactions {
                    *self.redactions.entry(rule).or_insert(0) += times;
                }
                self.batch.push(*record);
            }
            Ok(Admission::Echo) => self.refuse(&key, "it holds nothing but text that recall had injected"),
            Err(error) => self.refuse(&key, &error.to_string()),
        }
        if self.batch.len() == BATCH {
            self.flush();
        }
        self.error.is_none()
    }

    fn refuse(&mut self, key: &str, reason: &str) {
        self.tally.refused += 1;
        if self.tally.refused <= PROBLEMS_SHOWN_MAX as u64 {
            report::line(&format!("warning: {}: {}", one_line(key), one_line(reason)));
        }
    }

    fn flush(&mut self) {
        let batch = std::mem::take(&mut self.batch);
        let Some(engine) = self.engine else {
            self.tally.added += batch.len() as u64;
            return;
        };
        if batch.is_empty() || self.error.is_some() {
            return;
        }
        self.app.wrote();
        match engine.store().put(batch).context("cannot write to the store") {
            Ok(puts) => {
                for put in puts {
                    if put.is_new() { self.tally.added += 1 } else { self.tally.known += 1 }
                }
            }
            Err(error) => self.error = Some(error),
        }
    }
}

fn unnamed(total: u64, named: usize) {
    let unnamed = total.saturating_sub(named.min(PROBLEMS_SHOWN_MAX) as u64);
    if unnamed > 0 {
        report::line(&format!("warning: and {} more", count(unnamed, "line")));
    }
}

fn stopped(exit: Exit) -> anyhow::Result<Exit> {
    if !interrupt::requested() {
        return Ok(exit);
    }
    report::line("stopped; what was read is kept, and importing it again goes on");
    Ok(Exit::Interrupted)
}

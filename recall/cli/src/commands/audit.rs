//! `harness audit`.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Context;
use harness_memory::Kind;

use crate::app::App;
use crate::audit::{self, Audit, Finding};
use crate::commands::pick::{IdStart, Reads};
use crate::output::Exit;
use crate::progress::Bar;
use crate::render::{count, flag, one_line};
use crate::{report, when};

/// Say what a memory is full of: duplicates, echoes, secrets, what nobody recalls
///
/// Looks at this home, or at another tool's store: a mem0 export, the `memory.json` of the reference MCP server,
/// claude-mem's database, a folder of Markdown. Changes nothing.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  harness audit
  harness audit --json | jq .near_duplicates
  harness audit --store ~/.claude-mem/claude-mem.db
  harness audit --store notes/               a folder of Markdown
  harness audit --record 01a1f8c5            who wrote it, when it was injected, how those runs ended

Duplicates are the same but for case and blanks; near-duplicates have 60 % of their runs of three words in common.
Stale is what was replaced or has expired, and notes and lessons that are older than 180 days and were never injected.

Exit codes: 0 looked at, 1 there is nothing to look at, 2 failed.")]
pub(crate) struct Args {
    /// Another tool's store instead of this home
    #[arg(long, value_name = "PATH", conflicts_with = "record")]
    store: Option<PathBuf>,

    /// The way of one record
    #[arg(long, value_name = "ID")]
    record: Option<IdStart>,

    #[command(flatten)]
    reads: Reads,
}

pub(crate) fn run(args: Args, app: &App) -> anyhow::Result<Exit> {
    if let Some(id) = &args.record {
        return record(id, app);
    }
    let (store, items) = match &args.store {
        Some(path) => audit::read_foreign(path)?,
        None => {
            let Some(engine) = app.engine_if_any()? else { return Ok(Exit::Nothing) };
            ("own", audit::read_own(engine, &args.reads.set(app)?, app.now)?)
        }
    };
    if items.is_empty() {
        report::line("there is nothing to look at");
        return Ok(Exit::Nothing);
    }
    let bar = Bar::new("looking", "texts");
    let audit = audit::audit(store, &items, &app.settings.redactor, app.now, &mut |done, all| bar.step(done, all));
    drop(bar);
    let Some(audit) = audit else {
        report::line("stopped");
        return Ok(Exit::Interrupted);
    };
    if app.json {
        app.print_json(&audit)?;
    } else {
        say(app, &audit)?;
    }
    Ok(Exit::Found)
}

fn say(app: &App, audit: &Audit) -> anyhow::Result<()> {
    app.print(|out| {
        let kinds: Vec<String> = audit.kinds.iter().map(|(kind, times)| format!("{kind} {times}")).collect();
        writeln!(out, "{} ({}): {}", count(audit.records as u64, "text"), audit.store, kinds.join(", "))?;
        let mut finding = |name: &str, finding: &Finding| -> std::io::Result<()> {
            let share = format!("{:.1} %", 100.0 * finding.share);
            writeln!(out, "{:<16} {:>8}  {share:>7} of {}", app.style.bold(name), finding.count, finding.of)?;
            for example in &finding.examples {
                let like = example.like.as_ref().map_or_else(String::new, |like| format!(" (like {like})"));
                writeln!(out, "    {}{like}: {}", example.id, one_line(&example.text))?;
            }
            Ok(())
        };
        finding("duplicates", &audit.duplicates)?;
        finding("near-duplicates", &audit.near_duplicates)?;
        finding("echoes", &audit.echoes)?;
        finding("secrets", &audit.secrets)?;
        match &audit.never_recalled {
            Some(never) => finding("never recalled", never)?,
            None => writeln!(out, "never recalled    unknown: this store does not say")?,
        }
        let mut finding = |name: &str, found: &Finding| -> std::io::Result<()> {
            let share = format!("{:.1} %", 100.0 * found.share);
            writeln!(out, "{:<16} {:>8}  {share:>7} of {}", app.style.bold(name), found.count, found.of)?;
            found
                .examples
                .iter()
                .try_for_each(|example| writeln!(out, "    {}: {}", example.id, one_line(&example.text)))
        };
        finding("stale", &audit.stale)?;
        if !audit.rules.is_empty() {
            let rules: Vec<String> = audit.rules.iter().map(|(rule, times)| format!("{rule} {times}")).collect();
            writeln!(out, "secrets by rule: {}", rules.join(", "))?;
            if audit.store == "own" {
                writeln!(out, "`harness doctor --secrets --fix` removes them")?;
            }
        }
        Ok(())
    })
}

fn record(start: &IdStart, app: &App) -> anyhow::Result<Exit> {
    let Some(engine) = app.engine_if_any()? else { return Ok(Exit::Nothing) };
    let Some(id) = start.find(engine)? else {
        report::error(&start.unknown());
        return Ok(Exit::Nothing);
    };
    let Some(trace) = audit::trace(engine, id).context("cannot follow the record")? else {
        report::line(&format!("{id} was forgotten, or is damaged: `harness doctor`"));
        return Ok(Exit::Nothing);
    };
    if app.json {
        app.print_json(&trace)?;
        return Ok(Exit::Found);
    }
    let record = &trace.record;
    app.print(|out| {
        writeln!(out, "{} {id}", app.style.bold(record.kind().word()))?;
        writeln!(out, "  {}", one_line(&crate::render::gist(record.text(), 200)))?;
        writeln!(out, "said by     {} ({})", record.origin, record.trust)?;
        let session = record.session.as_ref().map_or_else(String::new, |session| format!(", session {session}"));
        let key = record.key.as_ref().map_or_else(String::new, |key| format!(", key {key}"));
        writeln!(out, "came in by  {}{session}{key}", record.source)?;
        writeln!(out, "belongs to  {}", record.scope)?;
        writeln!(out, "written     {}", when::stamp(record.created_at))?;
        if let Some(flag) = flag(record) {
            writeln!(out, "flagged     {flag}")?;
        }
        if let Some(id) = record.replaces {
            writeln!(out, "replaces    {id}")?;
        }
        if let Some(id) = trace.replaced_by {
            writeln!(out, "replaced by {id}")?;
        }
        if record.kind() == Kind::Lesson
            && let harness_memory::Body::Lesson(lesson) = &record.body
        {
            let evidence: Vec<String> = lesson.evidence.iter().map(ToString::to_string).collect();
            writeln!(out, "drawn from  {}", evidence.join(", "))?;
        }
        writeln!(out, "injected    {}", count(trace.injections.len() as u64, "time"))?;
        for injection in &trace.injections {
            let end = injection.outcome.map_or_else(|| "end unknown".to_owned(), |outcome| outcome.to_string());
            let reason = injection.reason.as_ref().map_or_else(String::new, |reason| format!(": {}", one_line(reason)));
            writeln!(
                out,
                "  {} run {} (place {}), {end}{reason}",
                when::stamp(injection.at),
                injection.run,
                injection.rank
            )?;
            writeln!(out, "    for: {}", one_line(&crate::render::gist(&injection.query, 120)))?;
        }
        Ok(())
    })?;
    Ok(Exit::Found)
}

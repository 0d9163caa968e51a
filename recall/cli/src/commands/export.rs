//! `harness export`.

use std::fs;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::ValueEnum;
use harness_memory::export::{self, Manifest, markdown};
use harness_memory::store::Finding;
use harness_memory::{ReadSet, scope::Readable};
use serde::Serialize;

use crate::app::App;
use crate::commands::backup::remove_due;
use crate::output::{Exit, Out};
use crate::progress::Bar;
use crate::render::count;
use crate::report::{self, Advice};

/// Write everything that is remembered to a file, or as a folder to read
///
/// As JSON Lines: sessions, messages, episodes, notes and lessons with where they came from, what was forgotten and
/// can still be brought back, the marks of what is gone for good, what was injected and how those runs ended, and last
/// a manifest with a hash. `harness import` makes an equal memory of it. As Markdown: a file for each session, episode,
/// note and lesson that is live, for people. A file that is there is not overwritten without --force.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  harness export memory.jsonl
  harness export --scope ana/webshop-1a2b3c4d webshop.jsonl
  harness export - | gzip > memory.jsonl.gz
  harness export --format markdown memory/

Exit codes: 0 done, 1 done but some rows are damaged and missing in it, 2 failed.")]
pub(crate) struct Args {
    /// The file to write, `-` for standard output; for Markdown a folder that is empty or not there
    #[arg(value_name = "PATH")]
    path: PathBuf,

    /// What to write
    #[arg(long, value_name = "FORMAT", default_value = "jsonl")]
    format: Format,

    /// Only this scope and all inside it; `=SCOPE` means it alone; may be given several times
    #[arg(long = "scope", value_name = "SCOPE")]
    scopes: Vec<Readable>,

    /// Write over a file that is there
    #[arg(long)]
    force: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// One JSON object a line; can be imported again
    Jsonl,
    /// A folder of files to read
    Markdown,
}

#[derive(Serialize)]
struct Exported<'p> {
    path: &'p Path,
    #[serde(flatten)]
    manifest: Manifest,
}

pub(crate) fn run(args: Args, app: &App) -> anyhow::Result<Exit> {
    let Some(engine) = app.engine_if_any()? else { return Ok(Exit::Nothing) };
    let reads = if args.scopes.is_empty() { ReadSet::everything() } else { ReadSet::new(args.scopes.iter().cloned()) };
    remove_due(engine, app);
    let bar = Bar::new("exporting", "records");
    let mut step = |done, all| bar.step(done, all);
    let store = engine.store();
    let failed = || format!("cannot export to {}", args.path.display());
    if args.format == Format::Markdown {
        let (written, findings) = markdown::write(store, &reads, &args.path, &mut step).with_context(failed)?;
        drop(bar);
        if app.json {
            app.print_json(&serde_json::json!({ "path": args.path, "records": written, "damaged": findings.len() }))?;
        } else {
            let written = count(written, "record");
            app.print(|out| writeln!(out, "exported {written} to {}", args.path.display()))?;
        }
        return Ok(end(&findings));
    }
    if args.path == Path::new("-") {
        let mut out = Out::new();
        let (_, findings) = export::write(store, &reads, &mut out, &args.path, &mut step).with_context(failed)?;
        out.flush().context("cannot write to standard output")?;
        return Ok(end(&findings));
    }
    if !args.force && args.path.exists() {
        let what = format!("{} is there already", args.path.display());
        return Err(Advice::error(what, "choose another name, or write over it with --force"));
    }
    let folder = args.path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // The file appears complete or not at all.
    let partial = tempfile::Builder::new().prefix(".export-").tempfile_in(folder).with_context(failed)?;
    let mut to = BufWriter::with_capacity(256 << 10, partial);
    let (manifest, findings) = export::write(store, &reads, &mut to, &args.path, &mut step).with_context(failed)?;
    let partial = to.into_inner().map_err(std::io::IntoInnerError::into_error).with_context(failed)?;
    partial.as_file().sync_all().with_context(failed)?;
    partial.persist(&args.path).map_err(|error| error.error).with_context(failed)?;
    drop(bar);
    let bytes = fs::metadata(&args.path).map_or(0, |file| file.len());
    if app.json {
        app.print_json(&Exported { path: &args.path, manifest })?;
    } else {
        app.print(|out| {
            write!(out, "exported {}", count(manifest.records, "record"))?;
            if manifest.forgotten > 0 {
                write!(out, " ({} of them forgotten, until they are gone for good)", manifest.forgotten)?;
            }
            write!(out, ", {}, ", count(manifest.sessions, "session"))?;
            write!(out, "{} ", count(manifest.exposures, "exposure"))?;
            writeln!(out, "to {} ({})", args.path.display(), crate::render::bytes(bytes))
        })?;
        report::line(&format!("hint: `harness import {}` makes an equal memory of it", args.path.display()));
    }
    Ok(end(&findings))
}

fn end(findings: &[Finding]) -> Exit {
    for finding in findings {
        report::line(&format!("warning: {}", finding.what));
    }
    Exit::found(findings.is_empty())
}

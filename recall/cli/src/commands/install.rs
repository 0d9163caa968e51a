//! `harness install` and `harness uninstall`.

use std::io::Write;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::app::App;
use crate::install::{self, Change, Goal, Target};
use crate::output::Exit;
use crate::render::count;

/// Set a coding tool up: hooks, the MCP server, and a skill
///
/// The skill says when to recall and when to save. Shows what changes in which file, keeps a copy of each in HOME/install, and touches nothing else: comments, order
/// and style of the tool's settings stay. Installing again changes nothing.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  harness install claude-code --dry-run      show what would change
  harness install claude-code
  harness uninstall claude-code              put everything back

Tools: claude-code, codex, gemini, opencode, cursor, copilot.

Exit codes: 0 done, or set up already; 2 failed, and then nothing was changed.")]
pub(crate) struct InstallArgs {
    #[arg(value_name = "TOOL", value_parser = Target::named)]
    tool: Target,

    /// Show what would change, and change nothing
    #[arg(long)]
    dry_run: bool,

    /// Do it in the folders that the environment names, which stand for the real ones
    #[arg(long, hide = true)]
    staged: bool,
}

/// Take back what `harness install` has set up
///
/// A file that was not changed since is put back byte for byte; from others only what is ours is taken out. What was
/// remembered stays: `harness forget --source TOOL` forgets it.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  harness uninstall claude-code
  harness uninstall codex --purge            and remove the copies of its settings that install had kept

Exit codes: 0 done, 1 nothing was set up, 2 failed.")]
pub(crate) struct UninstallArgs {
    #[arg(value_name = "TOOL", value_parser = Target::named)]
    tool: Target,

    /// Show what would change, and change nothing
    #[arg(long)]
    dry_run: bool,

    /// Remove the copies in HOME/install, too
    #[arg(long)]
    purge: bool,

    #[arg(long, hide = true)]
    staged: bool,
}

/// What was changed, or would be.
#[derive(Serialize)]
struct Done<'a> {
    tool: &'a str,
    goal: &'a str,
    dry_run: bool,
    files: Vec<FileDone<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    backups: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    remark: Option<&'a str>,
}

#[derive(Serialize)]
struct FileDone<'a> {
    path: &'a Path,
    change: &'a str,
    diff: String,
}

pub(crate) fn run(args: InstallArgs, app: &App) -> anyhow::Result<Exit> {
    let home = app.chosen_home();
    if args.staged {
        install::run_staged(args.tool, Goal::Install, home)?;
        return Ok(Exit::Found);
    }
    let changes = install::staged(args.tool, Goal::Install, home)?;
    let backups = match args.dry_run || changes.is_empty() {
        true => None,
        false => Some(install::apply(&app.home, args.tool, &changes)?),
    };
    say(app, args.tool, "install", args.dry_run, &changes, backups)?;
    Ok(Exit::Found)
}

pub(crate) fn run_uninstall(args: UninstallArgs, app: &App) -> anyhow::Result<Exit> {
    let home = app.chosen_home();
    if args.staged {
        install::run_staged(args.tool, Goal::Uninstall, home)?;
        return Ok(Exit::Found);
    }
    let changes = install::revert(&app.home, args.tool, install::staged(args.tool, Goal::Uninstall, home)?)?;
    if !args.dry_run {
        install::take_back(&app.home, args.tool, &changes, args.purge)?;
    }
    say(app, args.tool, "uninstall", args.dry_run, &changes, None)?;
    Ok(Exit::found(!changes.is_empty()))
}

fn say(
    app: &App,
    tool: Target,
    goal: &str,
    dry_run: bool,
    changes: &[Change],
    backups: Option<PathBuf>,
) -> anyhow::Result<()> {
    let text = |bytes: &Option<Vec<u8>>| String::from_utf8_lossy(bytes.as_deref().unwrap_or_default()).into_owned();
    // What the tool's settings hold beside ours may be a key: it is not shown on a screen that others may see.
    let diff = |change: &Change| {
        let diff = install::unified(&text(&change.before), &text(&change.after));
        app.settings.redactor.redact(&diff).into_text().into_owned()
    };
    let change = |change: &Change| match (&change.before, &change.after) {
        (None, _) => "made",
        (_, None) => "removed",
        _ => "changed",
    };
    let remark = tool.wiring().remark.filter(|_| goal == "install");
    let files = changes.iter().map(|it| FileDone { path: &it.path, change: change(it), diff: diff(it) }).collect();
    let done = Done { tool: tool.name(), goal, dry_run, files, backups, remark };
    if app.json {
        return app.print_json(&done);
    }
    app.print(|out| {
        for file in &done.files {
            writeln!(out, "{} ({})", app.style.bold(&file.path.display().to_string()), file.change)?;
            for line in file.diff.lines() {
                let line = match line.as_bytes().first() {
                    Some(b'+') => app.style.good(line),
                    Some(b'-') => app.style.bad(line),
                    _ => line.to_owned(),
                };
                writeln!(out, "  {line}")?;
            }
        }
        let files = count(done.files.len() as u64, "file");
        match (goal, done.files.is_empty(), dry_run) {
            ("install", true, _) => writeln!(out, "{} is set up already", done.tool)?,
            (_, true, _) => writeln!(out, "{} was not set up", done.tool)?,
            (_, _, true) => writeln!(out, "{files} would change; nothing was changed")?,
            ("install", ..) => writeln!(out, "{} is set up: {files} changed", done.tool)?,
            _ => writeln!(out, "{} is as it was: {files} changed", done.tool)?,
        }
        if let Some(folder) = done.backups.as_ref().filter(|folder| folder.exists()) {
            writeln!(out, "what was there before is kept in {}", folder.display())?;
        }
        done.remark.iter().filter(|_| !done.files.is_empty()).try_for_each(|remark| writeln!(out, "note: {remark}"))
    })
}

//! `harness doctor`.

mod home;
mod secrets;

use std::io::Write;

use anyhow::Context;
use harness_memory::store::{Filter, Finding, READ_ROWS_MAX};
use harness_memory::{Lookup, Store};
use harness_recall::Engine;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::app::App;
use crate::output::Exit;
use crate::progress::Bar;
use crate::{interrupt, render, report};

pub(crate) use home::kept_stores;

/// Check everything, say what is wrong, what it means, and which command mends it
///
/// Reads every row of the store and compares every index with it. Without --fix it changes nothing.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  harness doctor
  harness doctor --fix
  harness doctor --secrets --fix     look for secrets in what is stored, and remove them
  harness doctor --json | jq 'select(.ok | not)'

Exit codes: 0 all is well, 1 something is wrong, 2 the check itself failed.")]
pub(crate) struct Args {
    /// Mend what can be mended at no loss: permissions, indexes, and the report of a loss that was read
    #[arg(long)]
    fix: bool,

    /// Look for secrets in what is stored, instead: in the records, forgotten ones too, the sessions, the scopes, the queries of
    /// past injections and the logs; with --fix they are replaced, the indexes built anew and the free pages emptied
    #[arg(long)]
    secrets: bool,
}

/// What one check said.
#[derive(Serialize)]
pub(super) struct Checked {
    check: &'static str,
    ok: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'static str>,
    what: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

impl Checked {
    fn well(check: &'static str, what: impl Into<String>) -> Checked {
        Checked { check, ok: true, code: None, what: what.into(), hint: None }
    }

    fn wrong(check: &'static str, code: &'static str, what: impl Into<String>, hint: impl Into<String>) -> Checked {
        Checked { check, ok: false, code: Some(code), what: what.into(), hint: Some(hint.into()) }
    }

    fn finding(check: &'static str, finding: Finding) -> Checked {
        Checked::wrong(check, finding.code, finding.what, finding.hint)
    }
}

pub(crate) fn run(args: Args, app: &App) -> anyhow::Result<Exit> {
    if args.secrets {
        return secrets::run(app, args.fix);
    }
    let mut wrong = 0u64;
    let mut rebuilt = None;
    let mut say = |mut checked: Checked| {
        if args.fix && !checked.ok {
            match fix(app, &checked, &mut rebuilt) {
                Ok(true) => {
                    let Checked { check, what, .. } = checked;
                    return print(app, &Checked::well(check, format!("mended: {what}")));
                }
                Ok(false) => {}
                // What cannot be mended stays a finding, and the others get their turn.
                Err(error) => checked.what = format!("{}; it could not be mended: {error:#}", checked.what),
            }
        }
        wrong += u64::from(!checked.ok);
        print(app, &checked)
    };
    let mut writable = true;
    for checked in home::check(app) {
        writable &= checked.code != Some("read-only");
        say(checked)?;
    }
    if !app.home_is_missing() {
        match app.engine() {
            Ok(engine) => {
                for check in [check_version, check_lock, check_times, check_store, check_indexes] {
                    for checked in check(engine) {
                        say(checked)?;
                    }
                    if interrupt::requested() {
                        report::line("stopped before the end: this says nothing about the rest");
                        return Ok(Exit::Interrupted);
                    }
                }
            }
            Err(error) => {
                // A store that may not be written to is not known to be damaged.
                let hint = match writable {
                    true => "restore the folder from a backup, or choose another home with --home",
                    false => "make the home writable for you, then look again: nothing is known to be damaged",
                };
                say(Checked::wrong("store", "does-not-open", format!("{error:#}"), hint))?;
            }
        }
    }
    if !app.json {
        let sum = if wrong == 0 { "all is well".to_owned() } else { render::count(wrong, "finding") };
        app.print(|out| writeln!(out, "{sum}"))?;
    }
    Ok(if wrong == 0 { Exit::Found } else { Exit::Nothing })
}

/// Mends one finding where that costs nothing, and answers whether it did. `rebuilt` says whether the indexes were
/// built anew, once that was tried.
fn fix(app: &App, checked: &Checked, rebuilt: &mut Option<bool>) -> anyhow::Result<bool> {
    match (checked.check, checked.code) {
        #[cfg(unix)]
        ("home", Some("open")) => {
            use std::os::unix::fs::PermissionsExt;
            let private = std::fs::Permissions::from_mode(0o700);
            std::fs::set_permissions(&app.home, private).context("cannot make the home private")?;
            Ok(true)
        }
        ("home", Some("left-over")) => {
            for entry in std::fs::read_dir(&app.home).context("cannot look into the home")?.flatten() {
                let name = entry.file_name().to_string_lossy().into_owned();
                if name.starts_with('.') && name.ends_with(".partial") && !home::is_at_work(&name) {
                    std::fs::remove_dir_all(entry.path()).context("cannot remove what is left over")?;
                }
            }
            Ok(true)
        }
        ("store", Some("tail-lost")) => {
            app.engine()?.store().acknowledge_lost_tail().context("cannot end the report of a lost tail")?;
            Ok(true)
        }
        // One rebuild mends all findings, or none.
        ("index", Some(_)) if rebuilt.is_some() => Ok(*rebuilt == Some(true)),
        ("index", Some(_)) => {
            *rebuilt = Some(false);
            let bar = Bar::new("rebuilding", "changes");
            app.engine()?.rebuild(&mut |done, all| bar.step(done, all)).context("cannot rebuild the index")?;
            *rebuilt = Some(true);
            Ok(true)
        }
        _ => Ok(false),
    }
}

/// How far a record's time may lie ahead before it says that a clock was wrong.
const AHEAD_MAX: SignedDuration = SignedDuration::from_hours(24);

fn check_version(engine: &Engine) -> Vec<Checked> {
    let program = env!("CARGO_PKG_VERSION");
    vec![match engine.store().version() {
        Ok(version) => Checked::well("version", format!("harness {program}, store of version {version}")),
        Err(error) => {
            let hint = "check the disk, and restore the folder from a backup";
            Checked::wrong("version", "check-failed", format!("{error:#}"), hint)
        }
    }]
}

/// Whether the store can be written to: a process that was stopped while it wrote keeps all others waiting.
fn check_lock(engine: &Engine) -> Vec<Checked> {
    let mut checks = vec![match engine.store().can_write() {
        Ok(true) => Checked::well("lock", "nobody holds the store"),
        Ok(false) => {
            let hint = "a process that was stopped in the middle of a write holds it: `fuser -v HOME/store.db` names it; \
                        let it go on or end it";
            Checked::wrong("lock", "stuck", "somebody has been writing to the store for over five seconds", hint)
        }
        Err(error) => {
            Checked::wrong("lock", "check-failed", format!("{error:#}"), "check the disk and the permissions")
        }
    }];
    if let Some(pid) = engine.follower() {
        checks.push(Checked::well("lock", format!("process {pid} keeps the indexes up to date")));
    }
    checks
}

/// Records that say they are from the future: ages and lifetimes depend on the clock, the order does not.
fn check_times(engine: &Engine) -> Vec<Checked> {
    let ahead = Timestamp::now().checked_add(AHEAD_MAX).unwrap_or(Timestamp::MAX);
    let filter = Filter { since: Some(ahead), limit: READ_ROWS_MAX, ..Filter::default() };
    let found = engine
        .store()
        .list(&filter)
        .map_or(0, |page| page.into_iter().filter(|lookup| matches!(lookup, Lookup::Found(_))).count());
    if found == 0 {
        return Vec::new();
    }
    let what = format!("{} from more than a day ahead", render::count(found as u64, "record"));
    let hint = "a clock was wrong when they were written, or is now: they rank as new until then; nothing is lost";
    vec![Checked::wrong("clock", "ahead", what, hint)]
}

fn check_store(engine: &Engine) -> Vec<Checked> {
    let bar = Bar::new("checking the store", "rows");
    let mut rows = 0;
    let findings = engine.store().check(&mut |done, all| {
        rows = all;
        bar.step(done, all)
    });
    summary("store", findings, || format!("{}, every checksum fits", render::count(rows, "row")))
}

fn check_indexes(engine: &Engine) -> Vec<Checked> {
    let bar = Bar::new("comparing the indexes with the store", "records");
    let mut findings = engine.verify(&mut |done, all| bar.step(done, all));
    if is_missing(&findings) {
        if let Some(pid) = engine.follower() {
            return vec![Checked::well("index", format!("it is being made, by process {pid}"))];
        }
        // Whoever was making it may have finished just now.
        findings = engine.verify(&mut |done, all| bar.step(done, all));
    }
    // A young or emptied home has no index, and needs none before there is much to look through.
    if is_missing(&findings) && !engine.tail_is_long().unwrap_or(true) {
        return vec![Checked::well("index", "there is none yet, and little to look through")];
    }
    summary("index", findings, || "every index fits the store".to_owned())
}

/// Whether all that is wrong is that there is no index of this store, as after a first import and after a restore.
fn is_missing<E>(findings: &Result<Vec<Finding>, E>) -> bool {
    matches!(findings.as_deref(), Ok([Finding { code: "index-missing", .. }]))
}

fn summary<E: Into<anyhow::Error>>(
    check: &'static str,
    findings: Result<Vec<Finding>, E>,
    well: impl FnOnce() -> String,
) -> Vec<Checked> {
    match findings {
        Ok(findings) if findings.is_empty() => vec![Checked::well(check, well())],
        Ok(findings) => findings.into_iter().map(|finding| Checked::finding(check, finding)).collect(),
        Err(error) => {
            let hint = match check {
                "index" => "an index can be made anew at no loss: `harness index rebuild`",
                _ => "check the disk, and restore the folder from a backup",
            };
            vec![Checked::wrong(check, "check-failed", format!("{:#}", error.into()), hint)]
        }
    }
}

fn print(app: &App, checked: &Checked) -> anyhow::Result<()> {
    if app.json {
        return app.print_json(checked);
    }
    let Checked { check, what, code, hint, .. } = checked;
    let what = render::one_line(what);
    app.print(|out| {
        match code {
            None => writeln!(out, "{}     {check}: {what}", app.style.good("ok"))?,
            Some(code) => writeln!(out, "{}  {check}: {what} ({code})", app.style.bad("wrong"))?,
        }
        hint.iter().try_for_each(|hint| writeln!(out, "       {hint}"))
    })
}

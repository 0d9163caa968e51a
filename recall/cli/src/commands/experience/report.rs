//! `harness experience report`.

use std::io::Write;

use harness_experience::credit::TRIALS_MAX;
use harness_experience::report::{Effect, Finding, RecordReport, Report};
use harness_memory::{Lookup, Store};

use crate::app::App;
use crate::output::{Exit, Out};
use crate::render::{count, gist};

/// How much of a record is shown.
const TEXT_CHARS_MAX: usize = 70;

/// Say whether memory helps, for which kinds of task, and which records carry it
///
/// Compares runs that were given something with those of the holdout, with a 90 % interval, and names records that
/// carry success, are on probation, or are quarantined. Says "not yet known" rather than guess.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  harness experience report
  harness experience report --json

Exit codes: 0 there are runs, 1 none yet, 2 failed.")]
pub(crate) struct Args {}

pub(crate) fn run(_: Args, app: &App) -> anyhow::Result<Exit> {
    let Some(engine) = app.engine_if_any()? else { return Ok(Exit::Nothing) };
    let store = engine.store();
    let report = Report::of(&store.trials(TRIALS_MAX)?, &store.credit_resets()?, store.holdout()?);
    if app.json {
        app.print_json(&report)?;
        return Ok(Exit::found(report.runs > 0));
    }
    app.print(|out| {
        write!(out, "{}", count(report.runs, "run"))?;
        if report.unknown > 0 {
            write!(out, ", {} of unknown outcome", report.unknown)?;
        }
        writeln!(out)?;
        writeln!(out, "memory  {}", effect(&report.effect))?;
        if report.holdout == 0.0 && report.effect.without.runs == 0 {
            writeln!(out, "        no run is held out: `harness experience holdout 10%` makes it measurable")?;
        }
        for task in report.tasks.iter().filter(|_| report.tasks.len() > 1) {
            writeln!(out, "  {}: {}", task.task, effect(&task.effect))?;
        }
        let lists = [
            ("carried by", &report.carried_by),
            ("on probation, injected in every second run", &report.probation),
            ("quarantined, no longer injected", &report.quarantined),
        ];
        for (title, records) in lists {
            if !records.is_empty() {
                writeln!(out, "{title}:")?;
            }
            for record in records {
                let text = match store.get(&[record.id]).ok().and_then(|mut found| found.pop()) {
                    Some(Lookup::Found(stored)) => gist(stored.record.text(), TEXT_CHARS_MAX),
                    _ => "(forgotten)".to_owned(),
                };
                line(out, record, &text)?;
            }
        }
        if !report.quarantined.is_empty() {
            writeln!(out, "`harness experience release ID` starts a record anew")?;
        }
        Ok(())
    })?;
    Ok(Exit::found(report.runs > 0))
}

fn effect(effect: &Effect) -> String {
    let share = |runs: harness_experience::report::Runs| format!("{} of {}", runs.successes, runs.runs);
    let sides = format!("with it {} succeed, without {}", share(effect.with_memory), share(effect.without));
    let points = |share: f64| format!("{:+.0}", share * 100.0);
    match (&effect.difference, effect.finding) {
        (None, _) => format!("not yet known: {sides}"),
        (Some(interval), finding) => {
            let word = match finding {
                Finding::Helps => "helps",
                Finding::Harms => "harms",
                Finding::NotYetKnown => "not yet known",
            };
            format!(
                "{word}: {} points, 90 % interval [{}, {}]; {sides}",
                points(interval.estimate),
                points(interval.low),
                points(interval.high)
            )
        }
    }
}

fn line(out: &mut Out, record: &RecordReport, text: &str) -> std::io::Result<()> {
    let standing = &record.standing;
    writeln!(
        out,
        "  {}  {} of {} runs succeeded, such tasks do {:.0} % without it  {text}",
        record.id,
        standing.successes,
        standing.runs,
        standing.base * 100.0
    )
}

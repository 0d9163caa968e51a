//! `harness experience record`.

use std::collections::BTreeMap;
use std::io::{BufRead, Read, Write};
use std::sync::Arc;

use anyhow::Context;
use harness_experience::event::LINE_BYTES_MAX;
use harness_experience::{Recorder, RunEvent, What};
use harness_memory::store::Exposure;
use harness_memory::{Memory, ReadSet};
use harness_recall::{Engine, LocalMemory};

use crate::app::App;
use crate::commands::pick::Writes;
use crate::output::Exit;
use crate::report::{self, Advice};

/// The most runs that are read at once: each is kept in memory until it ends.
const RUNS_MAX: usize = 1_000;

/// Record the runs of another agent from its events on standard input
///
/// One JSON object a line: run.started, run.exposed, agent.started, tool.started, tool.finished, agent.finished,
/// run.finished. Each run becomes an episode; lines of the agent's text that begin with DECISION: become notes, those
/// that begin with LESSON: lessons. Without an outcome in run.finished, only evidence (tests that ran) decides.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  harness experience record --here < events.jsonl
  my-agent --events | harness experience record")]
pub(crate) struct Args {
    #[command(flatten)]
    writes: Writes,

    /// What the agent is called as a source
    #[arg(long, value_name = "NAME", default_value = "events")]
    source: String,
}

pub(crate) fn run(args: Args, app: &App) -> anyhow::Result<Exit> {
    let scope = args.writes.scope(app)?;
    let mut runs: BTreeMap<String, Recorder> = BTreeMap::new();
    let mut exposures = Vec::new();
    let mut order = Vec::new();
    let mut input = std::io::stdin().lock();
    let mut line = String::new();
    for number in 1.. {
        line.clear();
        let read = (&mut input).take(LINE_BYTES_MAX as u64 + 1).read_line(&mut line);
        if read.with_context(|| format!("cannot read line {number} of standard input"))? == 0 {
            break;
        }
        if line.trim().is_empty() {
            continue;
        }
        let event = RunEvent::parse(line.trim())
            .map_err(|error| Advice::error(format!("line {number} is no event: {error}"), "one JSON object a line"))?;
        if let What::RunExposed { records, holdout } = &event.what {
            let exposure = Exposure::new(event.run.clone(), "", records.clone());
            exposures.push(Exposure { at: event.at, holdout: *holdout, ..exposure });
        }
        if !runs.contains_key(&event.run) {
            if runs.len() == RUNS_MAX {
                return Err(Advice::error(format!("more than {RUNS_MAX} runs at once"), "record them in parts"));
            }
            order.push(event.run.clone());
            runs.insert(event.run.clone(), Recorder::new(event.run.clone()));
        }
        if let Some(recorder) = runs.get_mut(&event.run) {
            recorder.take(&event);
        }
    }
    app.engine()?;
    let engine = Arc::new(Engine::open(&app.home)?);
    let memory = LocalMemory::new(engine, ReadSet::everything(), scope.clone());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut kept = 0;
    for run in order {
        let Some(recorded) = runs.remove(&run).and_then(Recorder::finish) else {
            report::line(&format!("run {run} was asked nothing (no run.started): left out"));
            continue;
        };
        app.wrote();
        let records = runtime.block_on(recorded.keep(&memory, &scope, &args.source, &run))?;
        let verdict = recorded.verdict();
        for exposure in exposures.iter_mut().filter(|exposure| exposure.run == run) {
            exposure.query.clone_from(&recorded.episode.situation);
            runtime.block_on(memory.expose(exposure.clone()))?;
        }
        runtime.block_on(memory.credit(run.clone(), verdict.outcome, Some(verdict.reason.clone())))?;
        kept += 1;
        // What is printed here may be kept by whoever called.
        let reason = app.settings.redactor.redact(&verdict.reason).into_text();
        if app.json {
            app.print_json(&serde_json::json!({
                "run": run, "episode": records.episode, "notes": records.notes, "lessons": records.lessons,
                "outcome": verdict.outcome, "reason": reason,
            }))?;
        } else if let Some(id) = records.episode {
            app.print(|out| writeln!(out, "recorded {id}, ended in {}: {reason}", verdict.outcome))?;
        }
    }
    Ok(Exit::found(kept > 0))
}

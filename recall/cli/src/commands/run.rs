//! `harness run`: a task, done by the thin loop or by another agent, with what memory knows.

mod approval;
mod model;
mod other;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use anyhow::Context;
use harness_experience::agent::journal::{OUTPUT_FOLDER, Unfinished};
use harness_experience::agent::{Agent, Limits, Notice, RunResult, Status, journal};
use harness_experience::inject::BUDGET_TOKENS;
use harness_experience::output;
use harness_experience::runner::dialect::Dialect;
use harness_experience::tool::{self, Registry};
use harness_experience::{Check, Inject};
use harness_memory::scope::Readable;
use harness_memory::{Memory, Outcome, ReadSet, RecordId, Scope, Store};
use harness_recall::{Engine, LocalMemory};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::app::App;
use crate::commands::pick::Writes;
use crate::output::Exit;
use crate::render::gist;
use crate::report::{self, Advice};
use crate::{interrupt, render};

/// Where journals of runs are kept within the home.
pub(crate) const RUNS_FOLDER: &str = "runs";

/// A run can be taken up for so many days at least.
const RUN_DAYS_MIN: u32 = 1;

/// The largest schema file: a form, not a database.
const SCHEMA_BYTES_MAX: u64 = 256 * 1024;

/// Do a task, with what earlier work says about it
///
/// The thin loop looks up what helped before, asks a model, does what it calls for with tools that are jailed to this
/// folder, and records the run: what was asked, what was done, how it ended. Commands are asked about on the terminal,
/// except those that only look; `--yes` allows all but what destroys. With `--with`, another agent does it: its own
/// program is started with what memory knows in its prompt.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  harness run \"fix the failing test in src/parser.rs\" --model anthropic/claude-sonnet-4-5 --check \"cargo test\"
  harness run 给登录接口加上超时 --model ollama/qwen3 --yes
  harness run --with claude-code \"update the changelog\" --turns 10
  harness run --resume

Models are named provider/name: openai, anthropic, gemini, ollama, deepseek, groq, xai. The key comes from
OPENAI_API_KEY, ANTHROPIC_API_KEY, GEMINI_API_KEY and so on, another base URL (OpenAI-compatible services)
from OPENAI_BASE_URL and so on. scripted/FILE says what is in a file, one reply a line.
The home's config.toml may say the same: model = under [run], and url, key or key_variable under [models.openai];
[models.NAME] with like = \"openai\" and url makes a provider of your own. The environment goes first.
Providers do not say what a run costs: for --cost, say usd_per_million_read and usd_per_million_written there.
HARNESS_MODEL names the model when --model does not.

Exit codes: 0 done, 2 failed, stopped at a limit, or the check failed; 130 interrupted: --resume goes on.")]
pub(crate) struct Args {
    /// What is to be done; several words need no quotes
    #[arg(value_name = "TASK", required_unless_present = "resume")]
    task: Vec<String>,

    /// The model, as provider/name [default: HARNESS_MODEL, or run.model in the home's config.toml]
    #[arg(long, value_name = "PROVIDER/NAME")]
    model: Option<String>,

    /// Another agent does it: claude-code, codex, gemini or opencode; given several times, the next one is tried when
    /// one fails before it did anything
    #[arg(long = "with", value_name = "TOOL")]
    with: Vec<Dialect>,

    /// Take up the last run of this folder that was killed or interrupted, or the one of this id, in its own folder;
    /// model, check, scope and limits are as they were unless given anew
    #[arg(long, value_name = "RUN", num_args = 0..=1, default_missing_value = "last", conflicts_with_all = ["task", "with"])]
    resume: Option<String>,

    /// Allow all calls but what destroys
    #[arg(long)]
    yes: bool,

    /// A command whose exit code says whether the task was reached
    #[arg(long, value_name = "COMMAND")]
    check: Option<String>,

    /// A JSON schema that the output has to fit
    #[arg(long, value_name = "FILE")]
    schema: Option<PathBuf>,

    /// Turns that the run may take [default: 50, with another agent 30]
    #[arg(long, value_name = "N")]
    turns: Option<usize>,

    /// Seconds that the run may take [default: 1800]
    #[arg(long, value_name = "SECONDS")]
    time: Option<u64>,

    /// Tokens that the run may use, as far as the provider says [default: 2000000; with another agent none]
    #[arg(long, value_name = "N")]
    tokens: Option<u64>,

    /// US dollars that the run may cost, as far as the provider says
    #[arg(long, value_name = "USD")]
    cost: Option<f64>,

    /// Tokens of what is injected; 0 injects nothing
    #[arg(long, value_name = "TOKENS", default_value_t = BUDGET_TOKENS)]
    budget: usize,

    /// Milliseconds that recall may take before the run; then it goes on without
    #[arg(long, value_name = "MS", default_value_t = 300)]
    deadline: u64,

    /// What kind of task it is, so that runs of one kind are compared [default: told from the words]
    #[arg(long, value_name = "NAME")]
    kind: Option<String>,

    #[command(flatten)]
    other: other::Args,

    #[command(flatten)]
    writes: Writes,
}

/// What a run was begun with, which it is taken up with again.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Kept {
    scope: Option<String>,
    check: Option<String>,
    kind: Option<String>,
    turns: Option<usize>,
    time_seconds: Option<u64>,
    tokens: Option<u64>,
    cost_usd: Option<f64>,
}

/// The interrupted run that is meant, and what it was begun with.
fn resumed(name: &str, journals: &Path, here: &Path) -> anyhow::Result<Option<Unfinished>> {
    if name != "last" {
        let known = name.parse::<RecordId>().ok().and_then(|_| journal::unfinished_run(journals, name));
        return known.map(Some).ok_or_else(|| {
            let what = format!("there is no run {name} that could be taken up");
            Advice::error(what, "`harness run --resume` takes up the last one of this folder")
        });
    }
    let runs = journal::unfinished(journals).context("cannot read the runs")?;
    let (of_here, elsewhere): (Vec<_>, Vec<_>) =
        runs.into_iter().filter(|run| !run.leased).partition(|run| run.workspace == here);
    if of_here.is_empty() {
        report::line("no run of this folder was interrupted: there is nothing to resume");
        if let Some(Unfinished { run, workspace, .. }) = elsewhere.first() {
            report::line(&format!("hint: one in {} was: harness run --resume {run}", workspace.display()));
        }
    }
    Ok(of_here.into_iter().next())
}

pub(crate) fn run(mut args: Args, app: &App) -> anyhow::Result<Exit> {
    let mut folder = std::env::current_dir().context("cannot find the folder that this runs in")?;
    let task = args.task.join(" ");
    if args.resume.is_none() && task.trim().is_empty() {
        return Err(Advice::error("the task is empty", "say what is to be done: harness run \"fix the failing test\""));
    }
    let journals = app.home.join(RUNS_FOLDER);
    let mut scope = args.writes.chosen(app)?;
    let resumed = match args.resume.as_deref() {
        None => None,
        Some(name) => match resumed(name, &journals, &folder)? {
            Some(run) => Some(run),
            None => return Ok(Exit::Nothing),
        },
    };
    if let Some(Unfinished { run, workspace, model, options, .. }) = &resumed {
        if *workspace != folder {
            report::line(&format!("run {run} goes on in {}", workspace.display()));
            folder.clone_from(workspace);
        }
        let kept = Kept::deserialize(options).unwrap_or_default();
        args.model = args.model.or_else(|| Some(model.clone()));
        args.check = args.check.or(kept.check);
        args.kind = args.kind.or(kept.kind);
        args.turns = args.turns.or(kept.turns);
        args.time = args.time.or(kept.time_seconds);
        args.tokens = args.tokens.or(kept.tokens);
        args.cost = args.cost.or(kept.cost_usd);
        if scope.is_none() {
            let of_run = kept.scope.map(|scope| Scope::parse(&scope)).transpose();
            scope = of_run.context("the journal of the run names no scope")?;
        }
    }
    let here = app.scope_of(&folder);
    let scope = scope.unwrap_or_else(|| here.clone());
    let schema = args.schema.as_deref().map(read_schema).transpose()?;
    // A model that cannot be asked is said before anything is made.
    let chosen = if args.with.is_empty() {
        Some(model::named(args.model.as_deref(), &app.settings, args.cost.is_some())?)
    } else {
        None
    };
    app.engine()?;
    app.wrote();
    let engine = Arc::new(Engine::open(&app.home)?);
    let inject = Inject {
        budget_tokens: args.budget,
        holdout: engine.store().holdout()?,
        task_kind: args.kind.clone(),
        deadline: Duration::from_millis(args.deadline),
        ..Inject::default()
    };
    let reads = if scope == here {
        ReadSet::new([Readable::Exactly(app.user()), Readable::Within(here)])
    } else {
        ReadSet::from(scope.clone())
    };
    let memory: Arc<dyn Memory> = Arc::new(LocalMemory::new(engine, reads, scope.clone()));
    let check = args.check.as_ref().map(|command| Check::new(command, &folder));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let stop = Arc::new(AtomicBool::new(false));
    watch(&stop);
    let Some((model_name, model)) = chosen else {
        let setup = other::Setup {
            args: args.other,
            with: args.with,
            model: args.model,
            folder,
            memory,
            scope,
            inject,
            turns: args.turns,
            time: args.time.map_or(Limits::default().time, Duration::from_secs),
            tokens: args.tokens,
            cost_usd: args.cost,
            schema,
            check,
            stop,
        };
        return setup.run(&runtime, &task, app);
    };
    prune(&journals, app.settings.undo_days);
    let run = resumed.as_ref().map_or_else(Agent::new_run, |run| run.run.clone());
    let key_variables = app.settings.providers.values().filter_map(|provider| provider.key_variable.clone());
    let mut registry = Registry::new()
        .with(tool::shell::Shell::new(&folder).without(key_variables))
        .with(tool::memory::Recall::new(memory.clone()))
        .with(tool::memory::Remember::new(memory.clone(), scope.clone(), &run))
        .with_approval(approval::on_terminal());
    // Output that was too long to show is kept there, and may be read again.
    let workspace = tool::files::Workspace::new(&folder)?.with_readable(journals.join(&run).join(OUTPUT_FOLDER));
    for file_tool in tool::files::tools(workspace) {
        registry = registry.with(file_tool);
    }
    if args.yes {
        registry = registry.with_policy(tool::trusting_policy());
    }
    let limits = Limits {
        turns: args.turns.unwrap_or(Limits::default().turns),
        time: args.time.map_or(Limits::default().time, Duration::from_secs),
        tokens: args.tokens.unwrap_or(Limits::default().tokens),
        cost_usd: args.cost,
    };
    let kept = Kept {
        scope: Some(scope.to_string()),
        check: args.check,
        kind: args.kind,
        turns: args.turns,
        time_seconds: args.time,
        tokens: args.tokens,
        cost_usd: args.cost,
    };
    let agent = Agent {
        model_name,
        registry,
        limits,
        inject,
        schema,
        check,
        workspace: folder,
        journals: Some(journals),
        options: serde_json::to_value(kept)?,
        redactor: app.settings.redactor.clone(),
        on_notice: Arc::new(say),
        stop,
        ..Agent::new(model, memory, scope)
    };
    let result = runtime.block_on(async {
        match &resumed {
            Some(Unfinished { run, .. }) => agent.resume(run).await,
            None => agent.run_as(&run, &task).await,
        }
    })?;
    show(&result, app)
}

/// Removes old runs: what they were given may have been forgotten since, and is gone for good after as many days.
pub(crate) fn prune(journals: &Path, days: u32) {
    let kept = Duration::from_secs(24 * 60 * 60 * u64::from(days.max(RUN_DAYS_MIN)));
    let pruned = SystemTime::now().checked_sub(kept).map(|before| journal::prune(journals, before));
    if let Some(Err(error)) = pruned {
        tracing::warn!(%error, "old runs were not removed");
    }
}

/// Sets the run's flag when somebody presses Ctrl-C: the run stops after the step in hand.
fn watch(stop: &Arc<AtomicBool>) {
    let (asked, stop) = (interrupt::flag(), stop.clone());
    std::thread::spawn(move || {
        while !asked.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(50));
        }
        stop.store(true, Ordering::SeqCst);
    });
}

fn read_schema(path: &Path) -> anyhow::Result<Value> {
    let what = || format!("cannot read the schema {}", path.display());
    let facts = std::fs::metadata(path).with_context(what)?;
    if facts.len() > SCHEMA_BYTES_MAX {
        return Err(Advice::error(format!("{} is larger than {SCHEMA_BYTES_MAX} bytes", path.display()), "shorten it"));
    }
    let schema = serde_json::from_str(&std::fs::read_to_string(path).with_context(what)?).with_context(what)?;
    output::checkable(&schema).map_err(|why| {
        Advice::error(format!("{}: {why}", path.display()), "leave it out, or say it with keywords that are checked")
    })?;
    Ok(schema)
}

/// Says on stderr what happens.
fn say(notice: Notice<'_>) {
    match notice {
        Notice::Started(run) => report::line(&format!("run {run}")),
        Notice::Injected(injected) => {
            let said = match (&injected.missing, injected.holdout, injected.records.len()) {
                (Some(missing), _, _) => format!("without memory: {missing}"),
                (None, true, _) => "without memory: this run is in the holdout".to_owned(),
                (None, false, 0) => "memory knows nothing that fits".to_owned(),
                (None, false, records) => format!("given from memory: {}", render::count(records as u64, "record")),
            };
            report::line(&said);
        }
        Notice::Text(text) => {
            let mut err = std::io::stderr().lock();
            let _ = write!(err, "{}", render::visible(text)).and_then(|()| err.flush());
        }
        Notice::Call(call) => {
            report::line(&format!("\n→ {} {}", call.tool, gist(&call.arguments.to_string(), 100)));
        }
        Notice::Called(call, output) if !output.ok => {
            report::line(&format!("← {} failed: {}", call.tool, gist(&output.text, 100)));
        }
        Notice::Called(..) => {}
    }
}

fn show(result: &RunResult, app: &App) -> anyhow::Result<Exit> {
    if app.json {
        app.print_json(result)?;
    } else {
        report::line("");
        if let Some(output) = &result.output {
            app.print_json(output)?;
        } else {
            app.print(|out| writeln!(out, "{}", render::visible(result.text.trim())))?;
        }
        let status = format!("{:?}", result.status).to_lowercase();
        let why = result.reason.as_deref().map_or(String::new(), |reason| format!(": {reason}"));
        report::line(&format!("{status}{why}; {}", render::count(result.turns as u64, "turn")));
        report::line(&format!("outcome {}: {}", result.outcome, result.outcome_reason));
    }
    Ok(exit(result.status, result.outcome))
}

/// How a run ends the command.
fn exit(status: Status, outcome: Outcome) -> Exit {
    match (status, outcome) {
        (Status::Interrupted, _) => Exit::Interrupted,
        (Status::Done, Outcome::Success | Outcome::Unknown) => Exit::Found,
        _ => Exit::Failed,
    }
}

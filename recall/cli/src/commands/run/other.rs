//! `harness run --with`: another agent does it.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use harness_experience::runner::dialect::Dialect;
use harness_experience::runner::{Permission, Provider, Runner, TURNS};
use harness_experience::{Check, Inject};
use harness_memory::{Memory, Scope};
use serde_json::Value;

use crate::app::App;
use crate::output::Exit;
use crate::{render, report};

/// What only another agent takes.
#[derive(clap::Args)]
#[group(id = "other-agent")]
pub(crate) struct Args {
    /// With another agent: it may only look and plan
    #[arg(long, requires = "with")]
    plan: bool,

    /// With another agent: its program, when it is not in the path
    #[arg(long, value_name = "PROGRAM", requires = "with")]
    binary: Option<PathBuf>,

    /// With another agent: a tool that it may use without asking; may be given several times
    #[arg(long = "allow-tool", value_name = "TOOL", requires = "with")]
    allow_tools: Vec<String>,

    /// With another agent: more for its system prompt
    #[arg(long, value_name = "TEXT", requires = "with")]
    system: Option<String>,

    /// With another agent: a session of its own that is taken up
    #[arg(long, value_name = "ID", requires = "with")]
    session: Option<String>,

    /// With another agent: how often a failed start is tried again
    #[arg(long, value_name = "N", requires = "with", default_value_t = harness_experience::runner::RETRIES)]
    retries: usize,
}

/// What a run with another agent is set up from.
pub(super) struct Setup {
    pub(super) args: Args,
    pub(super) with: Vec<Dialect>,
    pub(super) model: Option<String>,
    pub(super) folder: PathBuf,
    pub(super) memory: Arc<dyn Memory>,
    pub(super) scope: Scope,
    pub(super) inject: Inject,
    pub(super) turns: Option<usize>,
    pub(super) time: Duration,
    pub(super) tokens: Option<u64>,
    pub(super) cost_usd: Option<f64>,
    pub(super) schema: Option<Value>,
    pub(super) check: Option<Check>,
    pub(super) stop: Arc<AtomicBool>,
}

impl Setup {
    pub(super) fn run(self, runtime: &tokio::runtime::Runtime, task: &str, app: &App) -> anyhow::Result<Exit> {
        let args = self.args;
        let providers = self.with.iter().enumerate().map(|(number, dialect)| {
            let provider = Provider::new(*dialect, &self.folder);
            Provider {
                binary: args.binary.clone().filter(|_| number == 0).unwrap_or_else(|| provider.binary.clone()),
                permission: if args.plan { Permission::Plan } else { Permission::Auto },
                allowed_tools: args.allow_tools.clone(),
                // A model's name is one agent's own.
                model: self.model.clone().filter(|_| number == 0),
                system: args.system.clone(),
                ..provider
            }
        });
        let providers: Vec<Provider> = providers.collect();
        let Some(first) = providers.first().cloned() else { return Ok(Exit::Failed) };
        let runner = Runner {
            providers,
            inject: self.inject,
            turns: self.turns.unwrap_or(TURNS),
            time: self.time,
            tokens: self.tokens,
            cost_usd: self.cost_usd,
            retries: args.retries,
            schema: self.schema,
            check: self.check,
            session: args.session,
            on_text: Arc::new(|text| {
                let mut err = std::io::stderr().lock();
                let _ = write!(err, "{}", render::visible(text)).and_then(|()| err.flush());
            }),
            stop: self.stop,
            ..Runner::new(first, self.memory, self.scope)
        };
        let result = runtime.block_on(runner.run(task));
        if app.json {
            app.print_json(&result)?;
        } else {
            report::line("");
            if let Some(output) = &result.output {
                app.print_json(output)?;
            } else {
                app.print(|out| writeln!(out, "{}", render::visible(result.text.trim())))?;
            }
            let why = result.reason.as_deref().map_or(String::new(), |reason| format!(": {reason}"));
            let status = format!("{:?}", result.status).to_lowercase();
            let cost = result.cost_usd.map_or("cost unknown".to_owned(), |cost| format!("${cost:.2}"));
            report::line(&format!("{status}{why}; {}, {cost}", render::count(result.turns as u64, "turn")));
            if let Some(session) = &result.session {
                report::line(&format!("session {session} of {}", result.tool));
            }
            report::line(&format!("outcome {}: {}", result.outcome, result.outcome_reason));
        }
        Ok(super::exit(result.status, result.outcome))
    }
}

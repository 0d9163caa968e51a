//! What the hooks of coding tools ask.

use std::path::Path;
use std::sync::Arc;

use axum::http::StatusCode;
use harness_memory::Scope;
use harness_memory::redact::Redactor;
use harness_recall::Engine;
use jiff::Timestamp;
use serde_json::Value;

use super::Service;
use crate::exclusions::Exclusions;
use crate::hooks::{self, Env, Event, HookReply, Tool, capture, log};
use crate::project::Project;
use crate::serve::grant::Grant;
use crate::serve::problem::Problem;

/// What answering hooks needs of the settings.
#[derive(Clone)]
pub(crate) struct HookSettings {
    pub(crate) redactor: Redactor,
    /// How many tokens the block for a prompt may take.
    pub(crate) prompt_tokens: usize,
}

impl Service {
    /// Answers one call of a tool's hook: the JSON for the tool, an empty object where there is nothing to say.
    ///
    /// A call names files of this machine to import from, which is for the token for everything alone.
    pub(crate) async fn hook(&self, grant: &Grant, tool: &str, input: Value) -> Result<Value, Problem> {
        if !grant.is_everything() || !grant.may_write() {
            return Err(Problem::forbidden(
                "scope-not-allowed",
                "hooks are answered to the token for everything alone",
            ));
        }
        let Some(tool) = Tool::named(tool) else {
            let known: Vec<&str> = Tool::ALL.iter().map(|tool| tool.name()).collect();
            let detail = format!("{tool:?} is none of: {}", known.join(", "));
            return Err(Problem::new(StatusCode::NOT_FOUND, "no-tool", detail));
        };
        let input = serde_json::to_vec(&input).map_err(|error| Problem::internal(&error))?;
        let begin = std::time::Instant::now();
        self.in_turn(move |service| {
            let (output, problem) =
                answer_hook(&service.inner.engine, service.user(), &service.inner.hooks, tool, &input);
            if let Some(problem) = problem {
                log::add_since(service.engine().home(), tool.name(), begin, &problem);
            }
            Ok(output.unwrap_or_else(|| Value::Object(serde_json::Map::new())))
        })
        .await
    }
}

/// Answers one call of a tool's hook in a process that has the home open: what the tool is told, and what went wrong.
pub(crate) fn answer_hook(
    engine: &Arc<Engine>,
    user: &Scope,
    settings: &HookSettings,
    tool: Tool,
    input: &[u8],
) -> (Option<Value>, Option<String>) {
    let home = engine.home();
    let now = Timestamp::now();
    let Ok(event) = Event::parse(tool, input) else { return (None, Some("the input is no hook's".to_owned())) };
    let folder = event.folder.as_deref();
    let project = folder.map(|folder| Project::of(folder).name);
    match Exclusions::read(home) {
        Ok(exclusions)
            if exclusions.excludes_work(now, folder, project.as_deref(), event.session.as_deref()).is_some() =>
        {
            return (None, None);
        }
        Ok(_) => {}
        Err(error) => return (None, Some(format!("{error:#}"))),
    }
    let env = Env {
        engine: &|| Ok(Arc::clone(engine)),
        user: user.clone(),
        scope_of: &|folder: &Path| crate::settings::scope_of(folder, user),
        redactor: &settings.redactor,
        now,
        prompt_tokens: settings.prompt_tokens,
    };
    let HookReply { output, exposure, capture, mut problem } = hooks::handle(tool, input, &env);
    if let Some(exposure) = exposure.filter(|exposure| output.is_some() || exposure.holdout) {
        let noted = hooks::note_exposure(engine, exposure);
        problem = noted.err().map(|error| format!("{error:#}")).or(problem);
    }
    if let Some(capture) = capture {
        let handed_on = capture.leave(home).and_then(|()| capture::start(home));
        problem = handed_on.err().map(|error| format!("{error:#}")).or(problem);
    }
    (output, problem)
}

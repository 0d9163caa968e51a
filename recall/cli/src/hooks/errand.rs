//! A hook that another process answers: the one that follows the home has its indexes open and the model loaded, which
//! is what a hook's own process spends most of its time on.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use harness_memory::Scope;
use harness_recall::{Engine, Sent};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Tool, log};
use crate::app::CONFIG_FILE;
use crate::serve::service::{HookSettings, answer_hook};
use crate::settings;

#[derive(Serialize, Deserialize)]
struct Errand {
    /// The settings that the answer depends on; who has others does not take it.
    settings: u64,
    user: String,
    hook: String,
    input: Value,
}

/// Takes hooks of other processes while this engine follows.
pub(crate) fn take(engine: &Arc<Engine>, user: Scope, of_hooks: HookSettings) {
    let own = settings::fingerprint(&engine.home().join(CONFIG_FILE));
    // The engine keeps what it takes errands with: it must not keep itself.
    let kept = Arc::downgrade(engine);
    engine.take_errands(move |errand| {
        let Errand { settings, user: theirs, hook, input } = serde_json::from_value(errand).ok()?;
        let tool = Tool::named(&hook).filter(|_| settings == own && theirs == user.to_string())?;
        let (engine, input) = (kept.upgrade()?, serde_json::to_vec(&input).ok()?);
        let begin = Instant::now();
        let (output, problem) = answer_hook(&engine, &user, &of_hooks, tool, &input);
        if let Some(problem) = problem {
            log::add_since(engine.home(), tool.name(), begin, &problem);
        }
        Some(output.unwrap_or_default())
    });
}

/// What the process that follows this home says to a hook's input, [`Value::Null`] for nothing to say.
pub(crate) fn send(home: &Path, user: &Scope, tool: Tool, input: &Value, patience: Duration) -> Sent {
    let settings = settings::fingerprint(&home.join(CONFIG_FILE));
    let errand = Errand { settings, user: user.to_string(), hook: tool.name().to_owned(), input: input.clone() };
    serde_json::to_value(errand).map_or(Sent::NotDone, |errand| Engine::send_holder(home, errand, patience))
}

//! What the loop asks of a language model: one method.

pub mod connected;
pub mod scripted;

use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};
use harness_memory::memory::BoxFuture;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// How often a model is asked again after a failure that may pass.
const RETRIES: usize = 3;

/// One message of the conversation with a model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "role", rename_all = "lowercase")]
pub enum Said {
    /// The frame.
    System {
        /// Its text.
        text: String,
    },
    /// The person, or the loop in the person's place.
    User {
        /// Its text.
        text: String,
    },
    /// The model.
    Assistant(Reply),
    /// A tool's answer.
    Tool {
        /// The call that it answers.
        call: String,
        /// The tool.
        tool: String,
        /// What it said.
        text: String,
    },
}

/// A call of a tool by a model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Call {
    /// Its id within the run.
    #[serde(default)]
    pub id: String,
    /// The tool's name.
    pub tool: String,
    /// Its arguments.
    #[serde(default)]
    pub arguments: Value,
    /// What the model wants to be given back with this call, as it came.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub signatures: Vec<String>,
}

/// What a model answers. It goes on while there are calls, whatever reason it gives for stopping.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Reply {
    /// What it says.
    #[serde(default)]
    pub text: String,
    /// The tools that it calls, in order.
    #[serde(default)]
    pub calls: Vec<Call>,
    /// Tokens read and written, where the provider says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<u64>,
    /// What it cost in US dollars, where the provider says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost_usd: Option<f64>,
}

/// What a tool is called and takes, for a model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ToolSpec {
    /// Its name.
    pub name: String,
    /// What it does, for the model.
    pub description: String,
    /// Its arguments as a JSON schema.
    pub schema: Value,
}

/// What a model is asked.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// The conversation so far.
    pub said: &'a [Said],
    /// The tools that it may call.
    pub tools: &'a [ToolSpec],
}

/// Takes a model's text while it arrives.
pub type OnText<'a> = &'a (dyn Fn(&str) + Send + Sync);

/// Why a model did not answer.
#[derive(Debug, thiserror::Error)]
#[error("the model {model} did not answer: {reason}")]
pub struct ModelError {
    /// Which one.
    pub model: String,
    /// Why not.
    pub reason: String,
    /// Whether asking again may help.
    pub passing: bool,
    /// How long the provider asks to wait.
    pub after: Option<Duration>,
}

/// A language model.
pub trait Model: Send + Sync {
    /// Answers a conversation. `on_text` is given the text while it arrives, where the model can do so.
    fn reply<'a>(&'a self, ask: Ask<'a>, on_text: OnText<'a>) -> BoxFuture<'a, Result<Reply, ModelError>>;
}

/// Asks, and asks again after a failure that may pass: three times, with growing pauses, or as the provider says.
pub(crate) async fn reply(model: &dyn Model, ask: Ask<'_>, on_text: OnText<'_>) -> Result<Reply, ModelError> {
    let pauses = ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(500))
        .with_max_delay(Duration::from_secs(20))
        .with_max_times(RETRIES)
        .with_jitter();
    (|| model.reply(ask, on_text))
        .retry(pauses)
        .when(|error: &ModelError| error.passing)
        .adjust(|error, pause| match (pause, error.after) {
            (Some(pause), Some(after)) => Some(pause.max(after.min(Duration::from_secs(60)))),
            (pause, _) => pause,
        })
        .notify(|error, pause| tracing::warn!(%error, "asked again in {} ms", pause.as_millis()))
        .await
}

//! A scripted model for harness-rs, that keeps what its guides told it.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use harness_core::{Block, Context, Model, ModelError, ModelInfo, ModelOutput};

/// Says one thing, and keeps what its guides told it.
pub struct Scripted {
    pub given: Arc<Mutex<String>>,
}

#[async_trait]
impl Model for Scripted {
    async fn complete(&self, context: &Context) -> Result<ModelOutput, ModelError> {
        let texts = context.guides.iter().filter_map(|block| match block {
            Block::Text(text) => Some(text.as_str()),
            _ => None,
        });
        *self.given.lock().unwrap() = texts.collect::<Vec<_>>().join("\n");
        Ok(ModelOutput { text: Some("好的".to_owned()), ..ModelOutput::default() })
    }

    fn info(&self) -> ModelInfo {
        ModelInfo {
            handle: "scripted".to_owned(),
            provider: "none".to_owned(),
            model: "scripted".to_owned(),
            context_window: 100_000,
            input_cost_usd_per_million_tokens: None,
            output_cost_usd_per_million_tokens: None,
            supports_tool_use: false,
            supports_streaming: false,
            supports_web_grounding: false,
        }
    }
}

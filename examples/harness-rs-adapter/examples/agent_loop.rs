//! harness-rs's own loop with our memory: what one session noted is given to the next, in Chinese.
//! `cargo run --example agent_loop` in this folder.

use std::error::Error;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use harness_core::{
    Block, Context, Memory, MemoryEntry, Model, ModelError, ModelInfo, ModelOutput, StopReason, Task, Usage,
};
use harness_loop::{AgentLoop, MemoryGuide};
use harness_memory::Scope;
use harness_recall::Engine;
use harness_rs_adapter::Facts;

/// A model that says one thing, and keeps what its guides told it.
struct Scripted {
    says: &'static str,
    given: Arc<Mutex<String>>,
}

#[async_trait]
impl Model for Scripted {
    async fn complete(&self, context: &Context) -> Result<ModelOutput, ModelError> {
        let texts = context.guides.iter().filter_map(|block| match block {
            Block::Text(text) => Some(text.as_str()),
            _ => None,
        });
        if let Ok(mut given) = self.given.lock() {
            *given = texts.collect::<Vec<_>>().join("\n");
        }
        Ok(ModelOutput {
            text: Some(self.says.to_owned()),
            tool_calls: Vec::new(),
            usage: Usage::default(),
            stop_reason: StopReason::default(),
            reasoning: None,
            images: Vec::new(),
        })
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

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let home = tempfile::tempdir()?;
    let engine = Arc::new(Engine::open(home.path())?);
    let facts = Arc::new(Facts::new(engine, Scope::parse("ana")?));
    facts.write(MemoryEntry::new("预发布环境的数据库连接池上限是五十，超过会超时")).await?;

    // The guide asks our memory with the task, and puts what it answers before the model's first turn.
    let given = Arc::new(Mutex::new(String::new()));
    let model = Arc::new(Scripted { says: "把连接池上限改回五十。", given: given.clone() });
    let task = Task { description: "连接池为什么超时".to_owned(), source: None, deadline: None };
    let agent = AgentLoop::boxed(model).with_guide(Arc::new(MemoryGuide::new(facts)));
    agent.run(task, &mut harness_context::default_world(home.path())).await?;

    let given = given.lock().map_err(|_| "the model panicked")?.clone();
    println!("{given}");
    if !given.contains("连接池上限是五十") {
        return Err("the model was not given what is known".into());
    }
    Ok(())
}

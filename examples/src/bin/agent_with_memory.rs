//! An agent with a memory, in forty lines. `cargo run -p harness-examples --bin agent_with_memory`

use std::error::Error;
use std::sync::Arc;

use harness_experience::agent::Agent;
use harness_experience::model::scripted::Scripted;
use harness_experience::model::{Reply, Said};
use harness_memory::{Memory, Scope};
use harness_recall::{Engine, LocalMemory};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    // One folder holds everything; the handle says what the agent may read and where it writes.
    let home = tempfile::tempdir()?;
    let shop = Scope::parse("ana/shop")?;
    let engine = Arc::new(Engine::open(home.path())?);
    let memory: Arc<dyn Memory> = Arc::new(LocalMemory::new(engine, shop.clone().into(), shop.clone()));

    // A scripted model runs without a network; `Connected` speaks to OpenAI, Anthropic, Gemini or Ollama instead.
    // This one says what it was told: the first time it learns, the second time it repeats what it was given.
    let model = Scripted::new(|ask| {
        let given = ask.said.iter().any(|said| matches!(said, Said::User { text } if text.contains("VPN first")));
        let text = if given {
            "I connect the VPN first, as last time."
        } else {
            "It timed out.\nLESSON: to deploy to staging, connect the VPN first"
        };
        Reply { text: text.to_owned(), ..Reply::default() }
    });

    // Before each run the agent is given what helped in situations like this one; after it, the run is an episode,
    // and the lines marked LESSON: are lessons with the episode as their evidence.
    let agent = Agent::new(Arc::new(model), memory, shop);
    for task in ["deploy the shop to staging", "deploy the shop to staging again"] {
        let result = agent.run(task).await?;
        println!("{task}\n  given {} records; says: {}", result.exposures.len(), result.text.replace('\n', " / "));
    }
    Ok(())
}

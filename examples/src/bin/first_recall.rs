//! An agent's memory, from opening a home to a context for its next prompt.
//!
//! Run it with `cargo run -p harness-examples --bin first_recall`. It keeps its home in a temporary folder.

use std::error::Error;
use std::sync::Arc;

use harness_memory::{ContextQuery, Episode, Memory, Note, Origin, Outcome, Query, Record, Scope, ToolUse};
use harness_recall::{Engine, LocalMemory};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    // A home is one folder. Opening it makes what is missing and loads nothing that is not asked for.
    let home = tempfile::tempdir()?;
    let engine = Arc::new(Engine::open(home.path())?);

    // A handle is bound to what it may read and where it may write: this agent sees Ana's records alone.
    let ana = Scope::parse("ana")?;
    let memory = LocalMemory::new(engine, ana.clone().into(), ana.clone());

    // What somebody asks to have remembered is a note. It is durable when `write` answers.
    let note = Note::new("上线前先连 VPN，再跑 migrate_up.sh");
    memory.write(Record::new(ana.clone(), "example", Origin::User, note)).await?;

    // What an agent did is an episode: situation, tools, outcome, and what says so.
    let mut episode = Episode::new("Deploy the web shop to staging");
    episode.tools.push(ToolUse {
        tool: "shell".to_owned(),
        gist: "make deploy ENV=staging".to_owned(),
        ok: Some(true),
        error: None,
    });
    episode.outcome = Outcome::Success;
    episode.reason = Some("the smoke test passed".to_owned());
    memory.write(Record::new(ana, "example", Origin::Agent, episode)).await?;

    // Both are in the next answer, whatever language the question has, indexed or not.
    for question in ["上线", "how did we deploy to staging?"] {
        let answer = memory.recall(Query::new(question)).await?;
        for hit in &answer.hits {
            println!("{question}  →  {} ({}, {:.2})", hit.text, hit.kind, hit.score);
        }
    }

    // For a prompt, what is worth saying is packed into a budget, marked so that it is never stored again.
    let context = memory.context(ContextQuery::new("deploy the web shop to staging", 300)).await?;
    println!("\n{}\n({} tokens at most)", context.text, context.tokens);
    Ok(())
}

//! Two agents that share what one of them knows: a writer, and a reader that cannot write there.
//! `cargo run -p harness-examples --bin shared_scope`

use std::error::Error;
use std::sync::Arc;

use harness_memory::scope::Readable;
use harness_memory::{Memory, Note, Origin, Query, ReadSet, Record, Scope};
use harness_recall::{Engine, LocalMemory};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let home = tempfile::tempdir()?;
    let engine = Arc::new(Engine::open(home.path())?);
    let (team, own) = (Scope::parse("team/runbook")?, Scope::parse("team/reviewer")?);

    // The operator writes the runbook. The reviewer reads it beside its own notes, and writes only its own.
    let operator = LocalMemory::new(engine.clone(), team.clone().into(), team.clone());
    let reads = ReadSet::new([Readable::Within(team.clone()), Readable::Within(own.clone())]);
    let reviewer = LocalMemory::new(engine, reads, own.clone());

    operator.write(Record::new(team.clone(), "operator", Origin::Agent, Note::new("上线前先停掉导入队列"))).await?;
    reviewer
        .write(Record::new(own, "reviewer", Origin::Agent, Note::new("the import queue is flaky on Mondays")))
        .await?;

    // The reviewer finds both.
    for question in ["上线前要做什么", "import queue"] {
        let answer = reviewer.recall(Query::new(question)).await?;
        let found: Vec<&str> = answer.hits.iter().map(|hit| hit.text.as_str()).collect();
        println!("reviewer: {question} → {found:?}");
    }
    // The operator does not see the reviewer's notes.
    let answer = operator.recall(Query::new("import queue")).await?;
    println!("operator: import queue → {} hits", answer.hits.len());

    // What is shared stays the operator's: the reviewer can neither write nor forget there.
    let refused = reviewer.write(Record::new(team, "reviewer", Origin::Agent, Note::new("mine now"))).await;
    println!(
        "reviewer writes into the runbook: {}",
        refused.err().map_or("allowed".to_owned(), |error| error.to_string())
    );
    Ok(())
}

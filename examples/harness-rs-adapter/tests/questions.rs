//! Ten natural questions, in English, Chinese and both, through harness-rs's own loop: what is known is in front of
//! its model. With its own stores one in ten is.

mod model;

use std::sync::{Arc, Mutex};

use harness_context::default_world;
use harness_core::{Memory, MemoryEntry, RecallMessage, RecallStore, SessionMeta, Task};
use harness_loop::{AgentLoop, MemoryGuide};
use harness_memory::Scope;
use harness_recall::Engine;
use harness_rs_adapter::{Facts, Transcripts};
use model::Scripted;
use serde::Deserialize;

#[derive(Deserialize)]
struct Case {
    known: String,
    question: String,
    /// What of it has to be in front of the model.
    answer: String,
}

fn cases() -> Vec<Case> {
    include_str!("../../questions.jsonl").lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Runs the ten questions and answers how many of them were answered in what the model was given.
async fn answered(agent: impl Fn(Arc<Scripted>) -> AgentLoop<harness_core::DynModel>) -> usize {
    let place = tempfile::tempdir().unwrap();
    let mut found = 0;
    for Case { question, answer, .. } in cases() {
        let given = Arc::new(Mutex::new(String::new()));
        let agent = agent(Arc::new(Scripted { given: given.clone() }));
        let task = Task { description: question.clone(), source: None, deadline: None };
        agent.run(task, &mut default_world(place.path())).await.unwrap();
        // Snippets mark what matched.
        let given = given.lock().unwrap().replace(">>>", "").replace("<<<", "");
        let there = given.contains(&answer);
        println!("{question}: {}", if there { "given" } else { given.as_str() });
        found += usize::from(there);
    }
    found
}

#[tokio::test]
async fn ten_in_ten_from_transcripts_with_newer_chatter_on_each_topic() {
    let home = tempfile::tempdir().unwrap();
    let engine = Arc::new(Engine::open(home.path()).unwrap());
    let store = Arc::new(Transcripts::new(engine.clone(), Scope::parse("agents").unwrap()));
    for (number, Case { known, question, .. }) in cases().into_iter().enumerate() {
        let session = format!("session-{number}");
        let at = 1_750_000_000_000 + number as i64 * 3_600_000;
        store.ensure_session("default", &session, &SessionMeta::new(&session, at)).await.unwrap();
        store.append("default", &session, &RecallMessage::new("assistant", known, at)).await.unwrap();
        let topic: String = question.chars().take(8).collect();
        for turn in 0..50 {
            let text =
                format!("{topic} … turn {turn}: let me look at file_{turn}.rs and run the build again, 继续看日志");
            let message = RecallMessage::new("assistant", text, at + 1_000 * (turn + 1));
            assert_eq!(store.append("default", &session, &message).await.unwrap(), turn + 2);
        }
    }
    engine.catch_up(&mut |_, _| true).unwrap();
    let found = answered(|model| AgentLoop::boxed(model).with_recall(store.clone()).auto_inject()).await;
    assert_eq!(found, 10, "of ten");
}

#[tokio::test]
async fn ten_in_ten_from_facts() {
    let home = tempfile::tempdir().unwrap();
    let engine = Arc::new(Engine::open(home.path()).unwrap());
    let facts = Arc::new(Facts::new(engine, Scope::parse("ana").unwrap()));
    for case in cases() {
        facts.write(MemoryEntry::new(case.known)).await.unwrap();
    }
    let found = answered(|model| AgentLoop::boxed(model).with_guide(Arc::new(MemoryGuide::new(facts.clone())))).await;
    assert_eq!(found, 10, "of ten");
}

//! What experience must reach, end to end: the learning curve, and the right record injected for a natural question.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use harness_examples::world::{Dice, Language, families, run};
use harness_experience::Inject;
use harness_experience::agent::Agent;
use harness_experience::model::scripted::Scripted;
use harness_experience::model::{Reply, Said};
use harness_memory::{Episode, Memory, Message, Note, Origin, Outcome, Record, RecordId, Role, Scope, Store};
use harness_recall::{Engine, LocalMemory};

fn world(path: &std::path::Path) -> (Arc<Engine>, Arc<dyn Memory>, Scope) {
    let engine = Arc::new(Engine::open(path).unwrap());
    let scope = Scope::parse("ana/world").unwrap();
    let memory = Arc::new(LocalMemory::new(engine.clone(), scope.clone().into(), scope.clone()));
    (engine, memory, scope)
}

#[tokio::test]
async fn with_memory_nine_in_ten_succeed_after_twenty_runs_and_without_at_most_four() {
    for language in [Language::English, Language::Chinese] {
        for (remembers, runs) in [(true, 26), (false, 20)] {
            let home = tempfile::tempdir().unwrap();
            let (engine, memory, scope) = world(home.path());
            let mut dice = Dice::new(5);
            let (mut successes, mut all) = (0, 0);
            for number in 0..runs {
                for family in &families(language, 3) {
                    let budget_tokens = if remembers { Inject::default().budget_tokens } else { 0 };
                    let deadline = Duration::from_secs(10);
                    let inject = Inject { budget_tokens, deadline, ..Inject::default() };
                    let success = run(family, &memory, &scope, inject, &mut dice).await.unwrap();
                    if number >= 20 || !remembers {
                        successes += usize::from(success);
                        all += 1;
                    }
                }
                engine.catch_up(&mut |_, _| true).unwrap();
            }
            let share = successes as f64 / all as f64;
            println!("{language:?}, memory {remembers}: {successes} of {all}");
            assert!(if remembers { share >= 0.9 } else { share <= 0.4 }, "{language:?}, memory {remembers}: {share}");
        }
    }
}

/// What is there to be found, the natural question that is asked later, and what has to be in front of the model then:
/// the same ten that the adapter answers through harness-rs's loop.
fn cases() -> Vec<[String; 3]> {
    let lines = include_str!("../questions.jsonl").lines();
    lines
        .map(|line| {
            let case: serde_json::Value = serde_json::from_str(line).unwrap();
            ["known", "question", "answer"].map(|part| case[part].as_str().unwrap().to_owned())
        })
        .collect()
}

#[tokio::test]
async fn for_ten_natural_questions_the_loop_is_given_the_right_record() {
    let home = tempfile::tempdir().unwrap();
    let (engine, memory, scope) = world(home.path());
    let put = |record: Record| {
        let id = record.id;
        engine.store().put(vec![engine.intake().admit_one(record).unwrap()]).unwrap();
        id
    };
    // Half are episodes, half are turns of a session, and each has newer chatter on its topic after it.
    let mut wanted: Vec<RecordId> = Vec::new();
    let cases = cases();
    for (number, [known, question, _]) in cases.iter().enumerate() {
        let session = format!("session-{number}");
        let id = if number % 2 == 0 {
            let mut episode = Episode::new(known);
            episode.outcome = Outcome::Success;
            put(Record::new(scope.clone(), "claude-code", Origin::Agent, episode))
        } else {
            put(Record::new(scope.clone(), "cli", Origin::User, Note::new(known)))
        };
        wanted.push(id);
        let topic: String = question.chars().take(8).collect();
        for turn in 0..50 {
            let text =
                format!("{topic} … turn {turn}: let me look at file_{turn}.rs and run the build again, 继续看日志");
            let mut record =
                Record::new(scope.clone(), "claude-code", Origin::Agent, Message::new(Role::Assistant, turn, text));
            record.session = Some(session.clone());
            put(record);
        }
    }
    engine.catch_up(&mut |_, _| true).unwrap();
    let mut found = 0;
    for ([_, question, answer], wanted) in cases.iter().zip(&wanted) {
        let prompt = Arc::new(Mutex::new(String::new()));
        let seen = prompt.clone();
        let model = Scripted::new(move |ask| {
            if let Some(Said::User { text }) = ask.said.get(1) {
                seen.lock().unwrap().clone_from(text);
            }
            Reply { text: "ok".to_owned(), ..Reply::default() }
        });
        let inject = Inject { deadline: Duration::from_secs(10), ..Inject::default() };
        let agent = Agent { inject, ..Agent::new(Arc::new(model), memory.clone(), scope.clone()) };
        let result = agent.run(question).await.unwrap();
        let given = result.exposures.contains(wanted) && prompt.lock().unwrap().contains(answer);
        println!(
            "{question}: {} of {} records, {}",
            result
                .exposures
                .iter()
                .position(|id| id == wanted)
                .map_or("not among".to_owned(), |at| format!("number {}", at + 1)),
            result.exposures.len(),
            if given { "given" } else { "MISSING" }
        );
        found += usize::from(given);
    }
    assert_eq!((found, cases.len()), (10, 10), "of ten");
}

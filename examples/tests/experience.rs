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

/// What is there to be found, and the natural question that is asked later.
const TASKS: [(&str, &str); 10] = [
    (
        "The nightly export fails with ENOSPC when /var/spool fills up; clear spool/old first",
        "why does the nightly export keep failing with a full disk?",
    ),
    ("redis 迁移前要先关掉 AOF 重写，否则主从会断开", "redis迁移之前要注意什么"),
    (
        "Staging certificates are renewed by hand: run renew-staging.sh on bastion-2",
        "how do we renew the certificates on staging?",
    ),
    ("支付回调超时是因为网关的 keepalive 只有五秒", "为什么支付回调会超时"),
    (
        "The flaky login test needs TZ=UTC, because the token expiry is computed in local time",
        "the login test is flaky again, what was the reason?",
    ),
    ("订单服务的连接池上限改成五十以后就不再报错了", "订单服务连接池报错怎么解决的"),
    (
        "kafka 的 consumer group 要用 shop-v3，用 shop-v2 会重复消费",
        "kafka consumer group 应该用哪个，才不会重复消费？",
    ),
    (
        "Build the arm64 image with --provenance=false, or the registry rejects the manifest",
        "the registry rejects our arm64 image, what did we do about it?",
    ),
    ("导出报表要先跑 migrate_up.sh 再跑 report_gen，反过来会得到空表", "报表导出来是空的怎么办"),
    (
        "git lfs 在 CI 上要先 git lfs install --local，不然拉下来的是指针文件",
        "CI 上 git lfs 拉下来的是指针文件，怎么处理",
    ),
];

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
    for (number, (known, question)) in TASKS.iter().enumerate() {
        let session = format!("session-{number}");
        let id = if number % 2 == 0 {
            let mut episode = Episode::new(*known);
            episode.outcome = Outcome::Success;
            put(Record::new(scope.clone(), "claude-code", Origin::Agent, episode))
        } else {
            put(Record::new(scope.clone(), "cli", Origin::User, Note::new(*known)))
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
    for ((_, question), wanted) in TASKS.iter().zip(&wanted) {
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
        let given = result.exposures.contains(wanted) && prompt.lock().unwrap().contains(&wanted.to_string()[..13]);
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
    assert_eq!(found, 10, "of ten");
}

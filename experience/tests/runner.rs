//! Other agents, as stub programs that speak each one's documented output.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod map;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use harness_experience::agent::Status;
use harness_experience::runner::dialect::Dialect;
use harness_experience::runner::{Permission, Provider, Runner};
use harness_memory::{Body, Kind, Note, Origin, Outcome, Record, Scope};
use map::Map;
use serde_json::json;

/// A program that notes its arguments and its standard input, and then does what a script says.
fn stub(folder: &Path, name: &str, script: &str) -> PathBuf {
    let path = folder.join(name);
    let text = format!(
        "#!/bin/sh\nhere='{}'\nprintf '%s\\n' \"$*\" >> \"$here/{name}.arguments\"\ncat >> \"$here/{name}.prompt\"\n\
         echo x >> \"$here/{name}.count\"\ntimes=$(wc -l < \"$here/{name}.count\")\n{script}\n",
        folder.display()
    );
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path
}

fn told(folder: &Path, name: &str, what: &str) -> String {
    std::fs::read_to_string(folder.join(format!("{name}.{what}"))).unwrap_or_default()
}

fn runner(memory: &Arc<Map>, folder: &Path, dialect: Dialect, binary: PathBuf) -> Runner {
    let provider = Provider { binary, ..Provider::new(dialect, folder) };
    Runner {
        pauses: (Duration::from_millis(5), Duration::from_millis(20)),
        ..Runner::new(provider, memory.clone(), Scope::parse("ana").unwrap())
    }
}

const CLAUDE: &str = r#"
printf '%s\n' '{"type":"system","subtype":"init","session_id":"s-1"}'
printf '%s\n' '{"type":"assistant","message":{"content":[{"type":"tool_use","id":"t1","name":"Bash","input":{"command":"cargo test"}}]}}'
printf '%s\n' '{"type":"user","message":{"content":[{"type":"tool_result","tool_use_id":"t1","content":"test result: ok. 3 passed; 0 failed","is_error":false}]}}'
printf '%s\n' '{"type":"assistant","message":{"content":[{"type":"text","text":"fixed\nLESSON: look at the pool first"}]}}'
printf '%s\n' '{"type":"result","subtype":"success","is_error":false,"num_turns":2,"result":"fixed\nLESSON: look at the pool first","session_id":"s-1","total_cost_usd":0.02,"usage":{"input_tokens":10,"output_tokens":5}}'
"#;

#[tokio::test]
async fn claude_code_is_given_the_context_and_its_run_becomes_an_episode_with_its_session() {
    let (folder, memory) = (tempfile::tempdir().unwrap(), Arc::new(Map::default()));
    let known = memory.keep(Record::new(Scope::root(), "t", Origin::User, Note::new("login needs the VPN")));
    let binary = stub(folder.path(), "claude", CLAUDE);
    let mut runner = runner(&memory, folder.path(), Dialect::ClaudeCode, binary);
    runner.providers[0].permission = Permission::Plan;
    runner.providers[0].allowed_tools = vec!["Read".to_owned(), "Grep".to_owned()];
    runner.providers[0].model = Some("sonnet".to_owned());
    runner.providers[0].system = Some("be brief".to_owned());
    let result = runner.run("fix the login").await;
    assert_eq!((result.status, result.turns, result.cost_usd), (Status::Done, 2, Some(0.02)), "{:?}", result.reason);
    assert_eq!((result.session.as_deref(), result.exposures.as_slice()), (Some("s-1"), &[known][..]));
    assert_eq!(result.outcome, Outcome::Success);
    assert!(result.outcome_reason.ends_with("tests passed at the end"), "{}", result.outcome_reason);
    let prompt = told(folder.path(), "claude", "prompt");
    assert!(
        prompt.contains("<harness-memory")
            && prompt.contains("login needs the VPN")
            && prompt.contains("fix the login")
    );
    assert_eq!(
        told(folder.path(), "claude", "arguments").trim(),
        "-p --output-format stream-json --verbose --max-turns 30 --permission-mode plan --allowedTools Read,Grep \
         --model sonnet --append-system-prompt be brief"
    );
    let records = memory.all();
    let episode = records.iter().find(|record| record.kind() == Kind::Episode).unwrap();
    assert_eq!((episode.source.as_str(), episode.session.as_deref()), ("claude-code", Some("s-1")));
    let Body::Episode(body) = &episode.body else { panic!("it is an episode") };
    assert_eq!((body.situation.as_str(), body.cost_usd, body.tokens), ("fix the login", Some(0.02), Some(15)));
    assert_eq!(body.tools[0].tool, "Bash");
    assert!(records.iter().any(|record| record.kind() == Kind::Lesson));
}

#[tokio::test]
async fn codex_gemini_and_opencode_are_heard_and_a_cost_nobody_says_is_unknown() {
    let scripts = [
        (
            Dialect::Codex,
            r#"printf '%s\n' '{"type":"thread.started","thread_id":"th"}'
printf '%s\n' '{"type":"item.completed","item":{"id":"i2","type":"agent_message","text":"done"}}'
printf '%s\n' '{"type":"turn.completed","usage":{"input_tokens":20,"output_tokens":3}}'"#,
            (Some("th"), Some(23), None),
            "exec --json --skip-git-repo-check --sandbox workspace-write -",
        ),
        (
            Dialect::Gemini,
            r#"printf '%s\n' '{"type":"init","session_id":"g"}'
printf '%s\n' '{"type":"message","role":"assistant","content":"done","delta":true}'
printf '%s\n' '{"type":"result","status":"success","stats":{"total_tokens":9}}'"#,
            (Some("g"), Some(9), None),
            "--output-format stream-json --approval-mode auto_edit",
        ),
        (
            Dialect::OpenCode,
            r#"printf '%s\n' '{"type":"text","sessionID":"o","part":{"text":"done"}}'
printf '%s\n' '{"type":"step_finish","sessionID":"o","part":{"reason":"stop","cost":0.5,"tokens":{"input":5,"output":1}}}'"#,
            (Some("o"), Some(6), Some(0.5)),
            "run --format json --agent build",
        ),
    ];
    for (dialect, script, (session, tokens, cost), arguments) in scripts {
        let (folder, memory) = (tempfile::tempdir().unwrap(), Arc::new(Map::default()));
        let binary = stub(folder.path(), "agent", script);
        let result = runner(&memory, folder.path(), dialect, binary).run("部署商店").await;
        assert_eq!((result.status, result.text.as_str()), (Status::Done, "done"), "{dialect:?}: {:?}", result.reason);
        assert_eq!((result.session.as_deref(), result.tokens, result.cost_usd), (session, tokens, cost), "{dialect:?}");
        assert_eq!(result.outcome, Outcome::Unknown, "saying so is no success");
        assert_eq!(told(folder.path(), "agent", "arguments").trim(), arguments);
        assert!(told(folder.path(), "agent", "prompt").contains("部署商店"));
    }
}

#[tokio::test]
async fn a_failure_that_may_pass_is_tried_again_and_one_that_lasts_goes_to_the_next_agent() {
    let (folder, memory) = (tempfile::tempdir().unwrap(), Arc::new(Map::default()));
    let script = format!("if [ \"$times\" -lt 3 ]; then echo 'overloaded' >&2; exit 1; fi\n{CLAUDE}");
    let flaky = stub(folder.path(), "flaky", &script);
    let result = runner(&memory, folder.path(), Dialect::ClaudeCode, flaky).run("x").await;
    assert_eq!((result.status, result.attempts), (Status::Done, 3));
    let down = stub(folder.path(), "down", "echo 'still overloaded' >&2; exit 1");
    let result = runner(&memory, folder.path(), Dialect::ClaudeCode, down).run("x").await;
    assert_eq!((result.status, result.attempts), (Status::Failed, 4), "once and three times again");
    assert!(result.reason.unwrap().contains("still overloaded"));
    let keyless = stub(folder.path(), "keyless", "echo 'Invalid API key' >&2; exit 1");
    let good = stub(folder.path(), "good", CLAUDE);
    let mut two = runner(&memory, folder.path(), Dialect::Codex, keyless);
    two.providers.insert(0, Provider { binary: "no-such-program".into(), ..two.providers[0].clone() });
    two.providers.push(Provider { binary: good, ..Provider::new(Dialect::ClaudeCode, folder.path()) });
    let result = two.run("x").await;
    assert_eq!((result.status, result.tool.as_str(), result.attempts), (Status::Done, "claude-code", 3));
}

#[tokio::test]
async fn turns_time_and_cost_are_bounded_and_nothing_it_started_lives_on() {
    let (folder, memory) = (tempfile::tempdir().unwrap(), Arc::new(Map::default()));
    let chatty = stub(
        folder.path(),
        "chatty",
        r#"n=0; while [ $n -lt 500 ]; do n=$((n+1)); printf '%s\n' '{"type":"assistant","message":{"content":[{"type":"text","text":"again"}]}}'; sleep 0.01; done"#,
    );
    let mut bounded = runner(&memory, folder.path(), Dialect::ClaudeCode, chatty);
    bounded.turns = 5;
    let started = Instant::now();
    let result = bounded.run("x").await;
    assert_eq!((result.status, result.outcome), (Status::Stopped, Outcome::Failure));
    assert!(result.reason.unwrap().contains("5 turns") && started.elapsed() < Duration::from_secs(4));
    let dear = stub(
        folder.path(),
        "dear",
        r#"printf '%s\n' '{"type":"step_finish","sessionID":"o","part":{"reason":"tool-calls","cost":2.0,"tokens":{}}}'; sleep 20"#,
    );
    let mut bounded = runner(&memory, folder.path(), Dialect::OpenCode, dear);
    bounded.cost_usd = Some(1.0);
    let result = bounded.run("x").await;
    assert!(result.reason.unwrap().contains("2.00 of 1.00"));
    let slow =
        stub(folder.path(), "slow", "(sleep 30; touch \"$here/outlived\") & echo $! > \"$here/child\"; sleep 30");
    let mut bounded = runner(&memory, folder.path(), Dialect::ClaudeCode, slow);
    bounded.time = Duration::from_millis(400);
    let started = Instant::now();
    let result = bounded.run("x").await;
    assert_eq!(result.status, Status::Stopped);
    assert!(started.elapsed() < Duration::from_secs(10));
    let child = std::fs::read_to_string(folder.path().join("child")).unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    let state = std::fs::read_to_string(format!("/proc/{}/stat", child.trim())).unwrap_or_default();
    assert!(state.is_empty() || state.contains(") Z "), "what it started is gone: {state}");
}

#[tokio::test]
async fn output_is_mended_in_one_turn_of_the_same_session() {
    let (folder, memory) = (tempfile::tempdir().unwrap(), Arc::new(Map::default()));
    let binary = stub(
        folder.path(),
        "claude",
        r#"if [ "$times" -eq 1 ]; then said='no idea'; else said='{\"n\": 7,}'; fi
printf "%s\n" "{\"type\":\"result\",\"subtype\":\"success\",\"is_error\":false,\"num_turns\":1,\"result\":\"$said\",\"session_id\":\"s-9\"}""#,
    );
    let mut bound = runner(&memory, folder.path(), Dialect::ClaudeCode, binary);
    bound.schema = Some(json!({"type": "object", "required": ["n"], "properties": {"n": {"type": "integer"}}}));
    let result = bound.run("count").await;
    assert_eq!((result.status, result.output, result.attempts), (Status::Done, Some(json!({"n": 7})), 2));
    assert!(told(folder.path(), "claude", "arguments").lines().nth(1).unwrap().contains("--resume s-9"));
}

#[tokio::test]
async fn a_session_is_taken_up_and_a_run_can_be_stopped() {
    let (folder, memory) = (tempfile::tempdir().unwrap(), Arc::new(Map::default()));
    let binary = stub(folder.path(), "codex", "printf '%s\n' '{\"type\":\"turn.completed\",\"usage\":{}}'");
    let mut taken_up = runner(&memory, folder.path(), Dialect::Codex, binary);
    taken_up.session = Some("th-7".to_owned());
    assert_eq!(taken_up.run("go on").await.status, Status::Done);
    assert!(told(folder.path(), "codex", "arguments").contains("resume th-7 -"));
    let binary = stub(folder.path(), "sleepy", "sleep 30");
    let mut stopped = runner(&memory, folder.path(), Dialect::Codex, binary);
    stopped.stop = Arc::new(AtomicBool::new(true));
    let result = stopped.run("x").await;
    assert_eq!((result.status, result.outcome), (Status::Interrupted, Outcome::Unknown));
}

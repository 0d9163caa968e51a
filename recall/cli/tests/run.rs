//! `harness run` and `harness experience` as people meet them: the real binary, a scripted model, stub agents.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test that lacks its ground may stop where it stands")]

mod home;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use home::Home;
use serde_json::{Value, json};

/// A model that says these replies, as `--model` takes it.
fn scripted(folder: &Path, name: &str, replies: &[Value]) -> String {
    let path = folder.join(name);
    let lines: Vec<String> = replies.iter().map(Value::to_string).collect();
    std::fs::write(&path, lines.join("\n")).unwrap();
    format!("scripted/{}", path.display())
}

fn shell(command: &str) -> Value {
    json!({"calls": [{"tool": "shell", "arguments": {"command": command}}]})
}

fn json_of(home: &Home, arguments: &[&str]) -> Value {
    let output = home.output(&[&["--json"], arguments].concat());
    let errors = String::from_utf8_lossy(&output.stderr);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{arguments:?}: {error}: {errors}"))
}

#[test]
fn a_run_is_recorded_and_the_next_one_like_it_is_given_what_worked() {
    let home = Home::new();
    let model = scripted(
        home.outside(),
        "first.jsonl",
        &[
            json!({"calls": [{"tool": "write_file", "arguments": {"path": "out/部署.txt", "text": "done"}}]}),
            shell("cat out/部署.txt"),
            json!({"text": "wrote it\nLESSON: 先写部署文件", "tokens": 12}),
        ],
    );
    let check = "test -f out/部署.txt";
    let first =
        json_of(&home, &["run", "部署商店到预发布环境", "--model", &model, "--check", check, "--deadline", "20000"]);
    assert_eq!((&first["status"], &first["outcome"]), (&json!("done"), &json!("success")), "{first}");
    assert_eq!(first["tool_calls"][1]["tool"], "shell");
    assert_eq!((&first["tokens"], &first["cost_usd"]), (&json!(12), &Value::Null));
    let episode = json_of(&home, &["episode", "show", first["episode"].as_str().unwrap()]);
    assert_eq!(episode["outcome"], "success");
    let model = scripted(home.outside(), "second.jsonl", &[json!({"text": "as before"})]);
    let second = json_of(&home, &["run", "部署商店到预发布环境，再来一次", "--model", &model, "--deadline", "20000"]);
    let given: Vec<&str> = second["exposures"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert!(given.contains(&first["episode"].as_str().unwrap()), "{second}");
    assert!(given.contains(&first["lessons"][0].as_str().unwrap()), "{second}");
    let report = json_of(&home, &["experience", "report"]);
    assert_eq!((&report["runs"], &report["finding"]), (&json!(2), &json!("not yet known")));
}

#[test]
fn what_is_missing_is_named() {
    let home = Home::new();
    let said = |arguments: &[&str]| {
        let mut command = home.command(arguments);
        command.env_remove("ANTHROPIC_API_KEY").env_remove("HARNESS_MODEL");
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    assert!(said(&["run", "x", "--model", "anthropic/claude"]).contains("ANTHROPIC_API_KEY is not set"));
    assert!(said(&["run", "x"]).contains("no model is named"));
    assert!(said(&["run", "x", "--model", "nobody/x"]).contains("no provider \"nobody\""));
    assert!(said(&["run", "x", "--with", "vim"]).contains("claude-code, codex, gemini, opencode"));
    let missing = said(&["run", "x", "--with", "codex", "--binary", "/no/such/codex"]);
    assert!(missing.contains("cannot be started"), "{missing}");
}

#[test]
fn a_command_that_is_not_approved_is_refused_and_yes_does_not_cover_what_destroys() {
    let home = Home::new();
    let steps = [shell("touch made"), shell("rm -rf made"), json!({"text": "tried"})];
    let model = scripted(home.outside(), "model.jsonl", &steps);
    let result = json_of(&home, &["run", "make it", "--model", &model]);
    assert_eq!((&result["tool_calls"][0]["ok"], &result["tool_calls"][1]["ok"]), (&json!(false), &json!(false)));
    let result = json_of(&home, &["run", "make it", "--model", &model, "--yes"]);
    assert_eq!((&result["tool_calls"][0]["ok"], &result["tool_calls"][1]["ok"]), (&json!(true), &json!(false)));
    assert!(home.outside().join("made").exists());
}

#[test]
fn a_run_killed_after_each_of_twenty_steps_goes_on_and_does_no_call_twice() {
    let home = Home::new();
    let steps = 20;
    let every = home::rounds(5, 1);
    for killed_after in (1..=steps).step_by(every) {
        let log = home.outside().join(format!("log-{killed_after}"));
        let mut replies: Vec<Value> =
            (0..steps).map(|n| shell(&format!("echo step-{n} >> {}; sleep 0.01", log.display()))).collect();
        replies.push(json!({"text": "done"}));
        let model = scripted(home.outside(), "steps.jsonl", &replies);
        let lines = || std::fs::read_to_string(&log).unwrap_or_default().lines().count();
        let mut child = home
            .command(&["run", "twenty steps", "--model", &model, "--yes", "--budget", "0"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let started = Instant::now();
        while lines() < killed_after && child.try_wait().unwrap().is_none() {
            assert!(started.elapsed() < Duration::from_secs(60));
            std::thread::sleep(Duration::from_millis(1));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        // What it had started ends by itself.
        std::thread::sleep(Duration::from_millis(100));
        let output = home.output(&["--json", "run", "--resume", "--model", &model, "--yes"]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(matches!(output.status.code(), Some(0 | 1)), "killed after {killed_after}: {said}");
        let done = std::fs::read_to_string(&log).unwrap();
        let mut unique: Vec<&str> = done.lines().collect();
        unique.sort_unstable();
        unique.dedup();
        assert_eq!(unique.len(), done.lines().count(), "killed after {killed_after}, a step was done twice:\n{done}");
        assert!(unique.len() >= steps - 1, "killed after {killed_after}: at most the step in hand is left open");
    }
}

fn stub(folder: &Path, script: &str) -> PathBuf {
    let path = folder.join("stub");
    std::fs::write(&path, format!("#!/bin/sh\ncat > \"$0.prompt\"\n{script}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path
}

#[test]
fn another_agent_is_given_what_memory_knows_and_its_run_is_recorded() {
    let home = Home::new();
    home.run(&["remember", "--here", "the login tests need the VPN"]);
    let binary = stub(
        home.outside(),
        r#"echo '{"type":"assistant","message":{"content":[{"type":"text","text":"fixed"}]}}'
echo '{"type":"result","subtype":"success","is_error":false,"num_turns":1,"result":"fixed","session_id":"s-1","total_cost_usd":0.5}'"#,
    );
    let binary = binary.display().to_string();
    let arguments = [
        "run",
        "--with",
        "claude-code",
        "--binary",
        &binary,
        "why do the login tests fail",
        "--check",
        "exit 1",
        "--deadline",
        "20000",
    ];
    let output = home.output(&[&["--json"][..], &arguments].concat());
    assert_eq!(output.status.code(), Some(2), "the check failed");
    let result: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (&result["session"], &result["cost_usd"], &result["outcome"]),
        (&json!("s-1"), &json!(0.5), &json!("failure"))
    );
    assert_eq!(result["exposures"].as_array().unwrap().len(), 1);
    assert!(std::fs::read_to_string(home.outside().join("stub.prompt")).unwrap().contains("need the VPN"));
    let episodes = home.run(&["--json", "episode", "list"]);
    assert!(episodes.contains("claude-code") && episodes.contains("s-1"));
}

#[test]
fn a_holdout_is_set_shown_and_ended() {
    let home = Home::new();
    assert_eq!(json_of(&home, &["experience", "holdout"])["holdout"], 0.0);
    assert_eq!(json_of(&home, &["experience", "holdout", "10%"])["holdout"], 0.1);
    assert_eq!(home.run(&["experience", "holdout"]), "10 % of runs are given nothing\n");
    assert_eq!(json_of(&home, &["experience", "holdout", "off"])["holdout"], 0.0);
    for wrong in ["0%", "95%", "ten", "10", "-5%"] {
        assert_eq!(home.output(&["experience", "holdout", "--", wrong]).status.code(), Some(2), "{wrong}");
    }
}

#[test]
fn events_of_another_agent_become_an_episode_and_its_exposures_are_credited() {
    let home = Home::new();
    let helped = home.remember("deploys need the VPN");
    let harmed = home.remember("skip the backup before a deploy");
    let feed = |events: &str| {
        use std::io::Write;
        let mut child = home
            .command(&["--json", "experience", "record"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(events.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success());
        String::from_utf8(output.stdout).unwrap()
    };
    let mut events = String::new();
    for number in 0..40 {
        // The harmful note comes after thirty runs that went well, and every run with it fails.
        let (given, outcome) = if number < 30 {
            (json!([helped]), if number % 10 == 0 { "failure" } else { "success" })
        } else {
            (json!([helped, harmed]), "failure")
        };
        for (second, event) in [
            json!({"event": "run.started", "task": format!("deploy service {number} to staging")}),
            json!({"event": "run.exposed", "records": given}),
            json!({"event": "tool.started", "call": "c", "tool": "shell", "arguments": {"command": "make deploy"}}),
            json!({"event": "tool.finished", "call": "c", "ok": true, "gist": "ok", "duration_ms": 5}),
            json!({"event": "agent.finished", "text": "done\nDECISION: deploy by hand"}),
            json!({"event": "run.finished", "outcome": outcome, "reason": "the smoke test"}),
        ]
        .into_iter()
        .enumerate()
        {
            let mut event = event;
            event["run"] = json!(format!("run-{number}"));
            event["at"] = json!(format!("2026-05-01T10:{number:02}:{second:02}Z"));
            events.push_str(&format!("{event}\n"));
        }
    }
    let recorded = feed(&events);
    assert_eq!(recorded.lines().count(), 40);
    let report = json_of(&home, &["experience", "report"]);
    let ids = |list: &str| -> Vec<String> {
        report[list].as_array().unwrap().iter().map(|record| record["id"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(ids("quarantined"), [harmed.as_str()], "{report}");
    assert!(report["quarantined"][0]["quarantined_after"].as_u64().unwrap() <= 8);
    let text = home.run(&["experience", "report"]);
    assert!(text.contains("quarantined, no longer injected") && text.contains("skip the backup"), "{text}");
    // It is still found, says why it sinks, and is no longer injected.
    let explained = home.run(&["--json", "recall", "search", "--mode", "text", "skip the backup before a deploy"]);
    assert!(explained.contains(&harmed) && explained.contains("quarantined, no longer injected"), "{explained}");
    let model = scripted(home.outside(), "model.jsonl", &[json!({"text": "ok"})]);
    let arguments =
        ["run", "skip the backup before a deploy?", "--model", &model, "--scope", "ana", "--deadline", "20000"];
    let exposed = |result: &Value| result["exposures"].as_array().unwrap().contains(&json!(harmed));
    assert!(!exposed(&json_of(&home, &arguments)));
    home.run(&["experience", "release", &harmed]);
    assert!(exposed(&json_of(&home, &arguments)), "what is released is injected again");
}

//! `harness run` and `harness experience` as people meet them: the real binary, a scripted model, stub agents.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test that lacks its ground may stop where it stands")]

mod home;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
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
        // The model is the one that it was begun with.
        let output = home.output(&["--json", "run", "--resume", "--yes"]);
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

#[test]
fn a_run_is_taken_up_in_its_own_folder_with_what_it_was_begun_with() {
    let home = Home::new();
    let (own, other) = (home.outside().join("own"), home.outside().join("other"));
    [&own, &other].into_iter().for_each(|folder| std::fs::create_dir_all(folder).unwrap());
    let replies = [shell("touch begun; sleep 60"), shell("touch here"), json!({"text": "done"})];
    let model = scripted(home.outside(), "model.jsonl", &replies);
    let begun = ["run", "make it", "--model", &model, "--yes", "--budget", "0", "--check", "test -f here"];
    let mut child = home.command(&begun).current_dir(&own).stderr(Stdio::null()).spawn().unwrap();
    let started = Instant::now();
    while !own.join("begun").exists() {
        assert!(started.elapsed() < Duration::from_secs(60));
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let resume = |arguments: &[&str]| {
        home.command(&[&["--json", "run", "--yes", "--resume"], arguments].concat())
            .current_dir(&other)
            .output()
            .unwrap()
    };
    let nothing = resume(&[]);
    let said = String::from_utf8_lossy(&nothing.stderr);
    assert_eq!(nothing.status.code(), Some(1), "{said}");
    let id = said.lines().find_map(|line| line.split_once("--resume ")).expect("the other one is named").1.to_owned();
    let strange = resume(&["../own"]);
    assert_eq!(strange.status.code(), Some(2));
    let output = resume(&[&id]);
    let result: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&result["status"], &result["outcome"]), (&json!("done"), &json!("success")), "{result}");
    assert!(own.join("here").exists() && !other.join("here").exists());
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

/// A service that speaks OpenAI's format: answers each request with the next of these, and keeps what it was asked.
fn service(answers: Vec<String>) -> (String, std::sync::mpsc::Receiver<String>) {
    use std::io::{BufRead, BufReader, Read, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/v1", listener.local_addr().unwrap());
    let (asked, requests) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for answer in answers {
            let (mut stream, _) = listener.accept().unwrap();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let (mut head, mut length) = (String::new(), 0);
            loop {
                let start = head.len();
                reader.read_line(&mut head).unwrap();
                let line = head[start..].trim().to_lowercase();
                if let Some(bytes) = line.strip_prefix("content-length:") {
                    length = bytes.trim().parse().unwrap();
                }
                if line.is_empty() {
                    break;
                }
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).unwrap();
            let _ = asked.send(head + &String::from_utf8(body).unwrap());
            let kind = "content-type: text/event-stream\r\nconnection: close";
            write!(stream, "HTTP/1.1 200 OK\r\n{kind}\r\ncontent-length: {}\r\n\r\n{answer}", answer.len()).unwrap();
        }
    });
    (url, requests)
}

fn chunk(delta: Value) -> String {
    format!("data: {}\n\n", json!({"choices": [{"index": 0, "delta": delta, "finish_reason": null}]}))
}

#[test]
fn a_service_of_ones_own_is_named_in_the_settings_and_its_key_is_nowhere_else() {
    let home = Home::new();
    let write = json!({"path": "made.txt", "text": "完成"}).to_string();
    let (start, rest) = write.split_at(12);
    let call = |function: Value, id: Value| json!({"tool_calls": [{"index": 0, "id": id, "function": function}]});
    let first = [
        chunk(call(json!({"name": "write_file", "arguments": start}), json!("c1"))),
        chunk(call(json!({"arguments": rest}), Value::Null)),
        "data: [DONE]\n\n".to_owned(),
    ];
    let second = [chunk(json!({"content": "写好了"})), "data: [DONE]\n\n".to_owned()];
    let (url, requests) = service(vec![first.concat(), second.concat()]);
    std::fs::create_dir_all(home.path()).unwrap();
    let settings = format!(
        "[run]\nmodel = \"local/qwen\"\n[models.local]\nlike = \"openai\"\nurl = \"{url}\"\nkey_variable = \"LOCAL_KEY\"\n"
    );
    std::fs::write(home.path().join("config.toml"), settings).unwrap();
    let run = |key: Option<&str>| {
        let mut command = home.command(&["--json", "run", "write made.txt"]);
        command.env_remove("HARNESS_MODEL").env("OPENAI_API_KEY", "another-service's").env_remove("LOCAL_KEY");
        command.envs(key.map(|key| ("LOCAL_KEY", key)));
        command.output().unwrap()
    };
    let missing = run(None);
    let said = String::from_utf8(missing.stderr).unwrap();
    assert!(missing.status.code() == Some(2) && said.contains("LOCAL_KEY is not set"), "{said}");
    let output = run(Some("key-of-local-7f3a"));
    let errors = String::from_utf8(output.stderr).unwrap();
    let result: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{errors}"));
    assert_eq!((&result["status"], &result["text"]), (&json!("done"), &json!("写好了")), "{errors}");
    assert_eq!(std::fs::read_to_string(home.outside().join("made.txt")).unwrap(), "完成");
    let asked = requests.recv().unwrap();
    assert!(asked.contains("POST /v1/chat/completions") && asked.contains("Bearer key-of-local-7f3a"), "{asked}");
    assert!(asked.contains("\"model\":\"qwen\""), "{asked}");
    assert!(!errors.contains("7f3a") && !String::from_utf8(output.stdout).unwrap().contains("7f3a"));
    let kept = Command::new("grep").args(["-rl", "key-of-local-7f3a"]).arg(home.path()).output().unwrap();
    assert_eq!(String::from_utf8(kept.stdout).unwrap(), "", "the key is written down nowhere");
}

#[test]
fn another_agent_falls_back_mends_its_output_and_is_taken_up_by_its_session() {
    let home = Home::new();
    let places = home.outside().join("bin");
    std::fs::create_dir_all(&places).unwrap();
    let program = |name: &str, script: &str| {
        let path = places.join(name);
        let head =
            "#!/bin/sh\necho \"$*\" >> \"$0.arguments\"\ncat > \"$0.prompt\"\ntimes=$(wc -l < \"$0.arguments\")\n";
        std::fs::write(&path, format!("{head}{script}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        path.display().to_string()
    };
    program("claude", "echo 'Invalid API key · Please run /login' >&2; exit 1");
    program(
        "codex",
        r#"[ "$times" -gt 1 ] && said='{\"port\": 8443}' || said='I looked: 8443'
echo '{"type":"thread.started","thread_id":"th-1"}'
echo "{\"type\":\"item.completed\",\"item\":{\"id\":\"i\",\"type\":\"agent_message\",\"text\":\"$said\"}}"
echo '{"type":"turn.completed","usage":{"input_tokens":5,"output_tokens":2}}'"#,
    );
    let schema = home.outside().join("schema.json");
    std::fs::write(&schema, r#"{"type":"object","required":["port"],"properties":{"port":{"type":"integer"}}}"#)
        .unwrap();
    let path = format!("{}:{}", places.display(), std::env::var("PATH").unwrap());
    let run = |arguments: &[&str]| -> Value {
        let output = home.command(&[&["--json", "run"], arguments].concat()).env("PATH", &path).output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {errors}"))
    };
    let schema = schema.display().to_string();
    let result = run(&["--with", "claude-code", "--with", "codex", "--schema", &schema, "which port?"]);
    assert_eq!((&result["tool"], &result["output"]), (&json!("codex"), &json!({"port": 8443})), "{result}");
    assert_eq!(
        (&result["attempts"], &result["cost_usd"]),
        (&json!(3), &Value::Null),
        "a key that is wrong stays wrong"
    );
    assert_eq!(result["session"], "th-1");
    let told = std::fs::read_to_string(places.join("codex.arguments")).unwrap();
    assert!(told.lines().nth(1).unwrap().ends_with("resume th-1 -"), "{told}");
    let result = run(&["--with", "codex", "--session", "th-1", "--plan", "--turns", "4", "and then?"]);
    assert_eq!(result["status"], "done", "{result}");
    let told = std::fs::read_to_string(places.join("codex.arguments")).unwrap();
    assert!(told.lines().nth(2).unwrap().contains("--sandbox read-only resume th-1"), "{told}");
    let episodes = home.run(&["--json", "episode", "list"]);
    assert_eq!(episodes.lines().filter(|line| line.contains("\"th-1\"")).count(), 2, "{episodes}");
}

#[test]
fn another_agent_is_bounded_in_time_cost_and_turns() {
    let home = Home::new();
    let slow = stub(home.outside(), "sleep 60");
    let started = Instant::now();
    let arguments = ["run", "--with", "gemini", "--binary", slow.to_str().unwrap(), "wait", "--time", "1"];
    let result = json_of(&home, &arguments);
    assert_eq!((&result["status"], &result["outcome"]), (&json!("stopped"), &json!("failure")), "{result}");
    assert!(started.elapsed() < Duration::from_secs(20));
    let dear = stub(
        home.outside(),
        r#"echo '{"type":"step_finish","sessionID":"o","part":{"reason":"tool-calls","cost":2.0,"tokens":{"input":9}}}'; sleep 60"#,
    );
    let dear = dear.to_str().unwrap();
    for (limit, most, why) in [("--cost", "1", "2.00 of 1.00"), ("--tokens", "8", "8 tokens")] {
        let result = json_of(&home, &["run", "--with", "opencode", "--binary", dear, "spend", limit, most]);
        assert!(result["reason"].as_str().unwrap().contains(why), "{result}");
    }
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

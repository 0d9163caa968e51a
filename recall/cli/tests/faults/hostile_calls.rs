//! Text that breaks programs, over HTTP, through the Model Context Protocol and through the hooks of tools: stored, or
//! refused with a reason; without a panic, in bounded memory.

use std::fs;
use std::io::Write;
use std::process::Stdio;

use reqwest::Method;
use serde_json::{Value, json};

use crate::client::Client;
use crate::home::Home;
use crate::hostile_text::texts;
use crate::web::Web;

/// What a process may take at its height, in KiB, whatever it is sent.
const PEAK_KIB_MAX: u64 = 400 << 10;

/// The most memory that a running process ever had, in KiB.
fn peak_kib(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse().unwrap_or(0)
}

/// Bodies that are no JSON, or too much of it.
fn bodies() -> Vec<(&'static str, Vec<u8>)> {
    let deep = |open: &str, close: &str| format!("{}1{}", open.repeat(20_000), close.repeat(20_000)).into_bytes();
    vec![
        ("nothing", Vec::new()),
        ("a zero", b"\0".to_vec()),
        ("no UTF-8", b"{\"text\":\"\xff\xfe\"}".to_vec()),
        ("a lone surrogate", br#"{"text":"zebra \ud800 x"}"#.to_vec()),
        ("surrogates the wrong way round", br#"{"text":"zebra \udc00\ud800"}"#.to_vec()),
        ("cut", br#"{"text":"zebra"#.to_vec()),
        ("deep lists", deep("[", "]")),
        ("deep objects", deep("{\"text\":", "}")),
        ("deep within", format!("{{\"text\":\"zebra\",\"tags\":{}{}}}", "[".repeat(20_000), "]".repeat(20_000)).into()),
        ("long", format!("{{\"text\":\"{}\"}}", "zebra ".repeat(10 << 17)).into_bytes()),
        ("many keys", format!("{{{}\"text\":\"zebra\"}}", "\"text\":\"x\",".repeat(100_000)).into_bytes()),
        ("a huge number", br#"{"text":"zebra","expires_at":1e999999}"#.to_vec()),
        ("no object", b"[null]".to_vec()),
        ("null", b"null".to_vec()),
    ]
}

/// Asserts that a call was answered, and when it was refused, with a reason.
fn answered(said: &(u16, String), what: &str) {
    let (status, body) = said;
    // A refusal may come before all was sent, and the connection then breaks under the sender.
    assert!(*status == 0 || (200..500).contains(status), "{what}: {status} {body}");
    if *status >= 400 {
        let problem: Value = serde_json::from_str(body).unwrap_or_else(|_| panic!("{what}: no problem: {body}"));
        let reason = problem["detail"].as_str().or(problem["error"]["message"].as_str());
        assert!(reason.is_some_and(|reason| !reason.is_empty()), "{what}: refused without a reason: {body}");
    }
}

fn percent(text: &str) -> String {
    text.chars().take(80).collect::<String>().bytes().map(|byte| format!("%{byte:02X}")).collect()
}

#[test]
fn hostile_text_over_http_is_stored_or_refused_with_a_reason() {
    let mut web = Web::start(Home::new());
    let said = |web: &Web, path: &str, body: &Value, what: &str| {
        let answer = web.own(Method::POST, path, Some(body));
        answered(&answer, what);
        answer
    };
    for (name, text) in texts() {
        said(&web, "/v1/notes", &json!({ "text": text, "tags": [text] }), &format!("tags {name}"));
        said(&web, "/v1/notes", &json!({ "text": text }), &format!("note {name}"));
        let episode =
            json!({ "situation": text, "tools": [{ "tool": "bash", "gist": text }], "reason": text, "lesson": text });
        said(&web, "/v1/episodes", &episode, &format!("episode {name}"));
        let turns = json!([{ "role": "user", "text": text }, { "role": "tool", "text": text, "speaker": text }]);
        let session = percent(&text);
        said(&web, &format!("/v1/sessions/{session}/messages"), &turns, &format!("messages {name}"));
        answered(&web.own(Method::GET, &format!("/v1/sessions/{session}/messages"), None), name);
        answered(&web.own(Method::GET, &format!("/v1/records?session={session}&source={session}"), None), name);
        let question: String = text.chars().take(20_000).collect();
        said(&web, "/v1/recall", &json!({ "query": question }), &format!("recall {name}"));
        said(&web, "/v1/context", &json!({ "task": question }), &format!("context {name}"));
        let prompt = json!({ "hook_event_name": "UserPromptSubmit", "session_id": text, "cwd": text, "prompt": text });
        said(&web, "/v1/hooks/claude-code", &prompt, &format!("hook {name}"));
        let call = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call",
            "params": { "name": "memory_save", "arguments": { "text": text } } });
        answered(&web.own(Method::POST, "/mcp", Some(&call)), &format!("mcp {name}"));
    }
    let paths =
        ["/v1/notes", "/v1/episodes", "/v1/recall", "/v1/sessions/s/messages", "/v1/hooks/codex", "/v1/exposures"];
    let token = web.server.token.clone();
    for (name, body) in bodies() {
        for path in paths {
            answered(&web.send(&token, Method::POST, path, Some(body.clone())), &format!("{name} to {path}"));
        }
        let (status, said) = web.send(&token, Method::POST, "/mcp", Some(body));
        assert!(status < 500, "{name} to /mcp: {status} {said}");
    }
    // A frame that claims ten gigabytes, said to be how the body is packed.
    let mut frame = vec![0x28, 0xB5, 0x2F, 0xFD, 0xE0];
    frame.extend_from_slice(&(10_u64 << 30).to_le_bytes());
    let (status, _) = web.send(&token, Method::POST, "/v1/notes", Some(frame));
    assert!((400..500).contains(&status));
    let found = said(&web, "/v1/recall", &json!({ "query": "zebra", "limit": 100 }), "the end").1;
    let found: Value = serde_json::from_str(&found).unwrap();
    assert!(found["hits"].as_array().unwrap().len() > 10, "{found}");
    if cfg!(target_os = "linux") {
        let peak = peak_kib(web.server.child.id());
        assert!(peak > 0 && peak < PEAK_KIB_MAX, "{peak} KiB");
        eprintln!("the server took {} MiB at its height", peak >> 10);
    }
    let home = web.server.home.clone();
    web.server.signal("-TERM");
    let (code, errors) = web.server.ended();
    assert_eq!(code, Some(0), "{errors}");
    assert!(!errors.contains("panicked"), "{errors}");
    home.run(&["index", "rebuild"]);
    home.assert_well();
}

#[test]
fn hostile_text_of_a_model_is_answered_and_the_client_goes_on() {
    let home = Home::new();
    let mut client = Client::start(&home, &[]);
    for (name, text) in texts() {
        for (tool, arguments) in [
            ("memory_save", json!({ "text": text, "tags": ["x"] })),
            ("memory_search", json!({ "query": text })),
            ("experience_record", json!({ "situation": text, "outcome": "success", "lesson": text, "errors": [text] })),
            ("session_search", json!({ "query": text })),
            ("memory_get", json!({ "ids": [text] })),
        ] {
            let answer = client.try_call(tool, arguments).unwrap_or_else(|| panic!("{tool} {name}: no answer"));
            let refused = answer["error"]["message"].as_str().is_some_and(|reason| !reason.is_empty());
            let told = answer["result"]["content"][0]["text"].as_str().is_some_and(|text| !text.is_empty());
            assert!(refused || told, "{tool} {name}: {answer}");
        }
    }
    let saved = client.call("memory_save", json!({ "text": "a zebra after all that" }));
    assert!(home.search_ids("zebra after all that").contains(&saved["id"].as_str().unwrap().to_owned()));
    if cfg!(target_os = "linux") {
        let peak = peak_kib(client.child.id());
        assert!(peak > 0 && peak < PEAK_KIB_MAX, "{peak} KiB");
    }
    drop(client);
    // Lines that are no message at all: the process answers, goes on or ends; it never breaks.
    for (name, body) in bodies() {
        let mut command = home.command(&["mcp"]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut input = child.stdin.take().unwrap();
        let line: Vec<u8> = body.into_iter().filter(|byte| *byte != b'\n').collect();
        let _ = input.write_all(&line).and_then(|()| input.write_all(b"\n"));
        drop(input);
        let output = child.wait_with_output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code().is_some() && !errors.contains("panicked"), "{name}: {errors}");
    }
    home.assert_well();
}

#[test]
fn hostile_hooks_never_stop_a_tool() {
    let home = Home::new();
    home.remember("a zebra to find");
    let call = |input: &[u8], what: &str| {
        let mut command = home.command(&["hook", "claude-code"]);
        command.env("HARNESS_HOOK_MS", "20000").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let _ = child.stdin.take().unwrap().write_all(input);
        let output = child.wait_with_output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{what}: {errors}");
        assert!(!errors.contains("panicked"), "{what}: {errors}");
        if !output.stdout.is_empty() {
            let _: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{what}: {error}"));
        }
    };
    for (number, (name, text)) in texts().into_iter().enumerate() {
        let prompt =
            json!({ "hook_event_name": "UserPromptSubmit", "session_id": text, "cwd": home.outside(), "prompt": text });
        call(prompt.to_string().as_bytes(), name);
        let transcript = home.outside().join(format!("t-{number}.jsonl"));
        let line = json!({"type": "user", "uuid": format!("h-{name}"), "sessionId": text, "cwd": "/x", "version": "2.1.0",
            "timestamp": "2026-05-01T10:00:00.000Z", "message": {"role": "user", "content": text}});
        fs::write(&transcript, format!("{line}\n")).unwrap();
        let stop = json!({ "hook_event_name": "Stop", "session_id": "s", "cwd": text, "transcript_path": transcript });
        call(stop.to_string().as_bytes(), name);
    }
    for (name, body) in bodies() {
        call(&body, name);
    }
    let log = fs::read_to_string(home.path().join("log/hooks.log")).unwrap_or_default();
    assert!(!log.contains("a bug"), "{log}");
    // Those who import what the stops left may still be at work.
    let patience = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while home.messages() < 8 && std::time::Instant::now() < patience {
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    home.assert_no_gap();
}

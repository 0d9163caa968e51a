//! The hooks of coding tools, as a tool calls them.

use std::fs;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::home::{Done, Home, done};

/// A second is promised; a machine that runs many tests at once takes longer to start and end a process. What the
/// deadline guards against, a locked store, takes five seconds and more.
const PATIENCE: Duration = Duration::from_millis(4_000);

/// The deadline where a test is about the answer and not about the time.
const UNHURRIED: (&str, &str) = ("HARNESS_HOOK_MS", "30000");

fn call(home: &Home, tool: &str, input: &Value) -> Done {
    call_bytes(home, tool, input.to_string().as_bytes())
}

/// Calls a hook, which must end well whatever it is given.
fn call_bytes(home: &Home, tool: &str, input: &[u8]) -> Done {
    let mut command = home.command();
    let done = done(command.env(UNHURRIED.0, UNHURRIED.1).args(["hook", tool]).write_stdin(input));
    assert_eq!(done.code, 0, "{}", done.err);
    done
}

/// Calls a hook under its own deadline: it must end well and soon.
fn call_in_time(home: &Home, tool: &str, input: &Value) -> Done {
    let begin = Instant::now();
    let done = home.run_with(&["hook", tool], input.to_string());
    assert!(begin.elapsed() < PATIENCE, "took {:?}", begin.elapsed());
    assert_eq!(done.code, 0, "{}", done.err);
    done
}

fn prompt(home: &Home, text: &str) -> Value {
    json!({"hook_event_name": "UserPromptSubmit", "session_id": "s-1", "cwd": home.work(), "prompt": text,
           "transcript_path": null})
}

fn log(home: &Home) -> String {
    fs::read_to_string(home.path().join("log/hooks.log")).unwrap_or_default()
}

/// A transcript with one request in this folder.
fn transcript(home: &Home, session: &str, said: &str) -> std::path::PathBuf {
    let path = home.work().join(format!("{session}.jsonl"));
    let line = |number: u32, kind: &str, text: &str| {
        let message = json!({"role": kind, "content": text});
        json!({"sessionId": session, "uuid": format!("{session}-{number}"), "cwd": home.work(), "type": kind,
               "timestamp": format!("2026-05-04T10:21:{number:02}.000Z"), "message": message})
        .to_string()
            + "\n"
    };
    fs::write(&path, line(1, "user", said) + &line(2, "assistant", "It is done.")).unwrap();
    path
}

/// Waits until the home has this many messages.
fn wait_for_messages(home: &Home, wanted: i64) {
    let begin = Instant::now();
    loop {
        let count = || -> Option<i64> {
            let store = rusqlite::Connection::open(home.path().join("store.db")).ok()?;
            store.query_row("SELECT count(*) FROM records WHERE kind = 1", [], |row| row.get(0)).ok()
        };
        match count() {
            Some(found) if found >= wanted => return assert_eq!(found, wanted),
            _ if begin.elapsed() > Duration::from_secs(60) => panic!("no {wanted} messages: {:?}", count()),
            _ => std::thread::sleep(Duration::from_millis(50)),
        }
    }
}

#[test]
fn a_prompt_is_given_what_is_known_and_what_was_given_is_noted() {
    let home = Home::new();
    home.remember("the staging deploy needs the VPN, and the flag --slow");
    let done = call(&home, "claude-code", &prompt(&home, "how do I run the staging deploy?"));
    let output: Value = serde_json::from_str(&done.out).unwrap();
    let text = output["hookSpecificOutput"]["additionalContext"].as_str().unwrap();
    assert!(text.starts_with("<harness-memory v=\"1\"") && text.contains("needs the VPN"), "{text}");
    let store = rusqlite::Connection::open(home.path().join("store.db")).unwrap();
    let run: String = store.query_row("SELECT run FROM exposures", [], |row| row.get(0)).unwrap();
    assert_eq!((run.as_str(), log(&home).as_str()), ("s-1", ""));
    // Nothing known: nothing said.
    let done = call(&home, "codex", &prompt(&home, "quantum zebra?"));
    assert_eq!((done.out.as_str(), log(&home).as_str()), ("", ""));
}

#[test]
fn at_a_stop_the_transcript_is_imported_and_its_episode_closed() {
    let home = Home::new();
    let path = transcript(&home, "one", "please fix the checkout test");
    let mut input = json!({"hook_event_name": "Stop", "session_id": "one", "cwd": home.work(), "transcript_path": path,
                           "stop_hook_active": false});
    let done = call(&home, "claude-code", &input);
    assert_eq!((done.out.as_str(), log(&home).as_str()), ("", ""));
    wait_for_messages(&home, 2);
    // The same lines again add nothing; new ones are added once.
    let more = json!({"sessionId": "one", "uuid": "one-3", "cwd": home.work(), "type": "user",
                      "timestamp": "2026-05-04T10:22:00.000Z",
                      "message": {"role": "user", "content": "thanks, 结账测试通过了"}});
    fs::write(&path, fs::read_to_string(&path).unwrap() + &more.to_string() + "\n").unwrap();
    input["hook_event_name"] = json!("PreCompact");
    for _ in 0..3 {
        call(&home, "claude-code", &input);
    }
    wait_for_messages(&home, 3);
    let episodes = home.json(&["episode", "list"]);
    assert_eq!(episodes["situation"].as_str().or(episodes["text"].as_str()).unwrap(), "please fix the checkout test");
}

#[test]
fn a_tool_is_never_stopped_whatever_the_input() {
    let home = Home::new();
    for input in [&b""[..], b"{", b"[1]", b"\xff\xfe\x00", b"{\"hook_event_name\":\"UserPromptSubmit\"}"] {
        assert_eq!(call_bytes(&home, "gemini", input).out, "");
    }
    // A hook alone makes no home to complain in.
    assert!(!home.path().exists());
    home.remember("a note");
    assert_eq!(call_bytes(&home, "claude-code", &[b'['; 200_000]).out, "");
    assert!(log(&home).contains("no JSON object"), "{}", log(&home));
    assert_eq!(call_bytes(&home, "no-such-tool", b"{}").out, "");
    assert!(log(&home).contains("is none of: claude-code, codex"), "{}", log(&home));
    let mut long = vec![b' '; 9 << 20];
    long.extend_from_slice(b"{}");
    assert_eq!(call_bytes(&home, "claude-code", &long).out, "");
    for arguments in [&["hook"][..], &["hook", "codex", "--no-such-flag"], &["hook", "codex", "more"]] {
        assert_eq!(home.run_with(arguments, "{}").code, 0, "{arguments:?}");
    }
    home.write_settings("no = [");
    assert_eq!(call(&home, "claude-code", &prompt(&home, "a note?")).out, "");
    assert!(log(&home).contains("config.toml"), "{}", log(&home));
    assert!(!log(&home).contains("a note?"), "what was said is not written into a log");
}

#[test]
fn a_locked_store_an_open_input_and_a_damaged_home_keep_nobody_waiting() {
    let home = Home::new();
    home.remember("the staging deploy needs the VPN");
    let store = rusqlite::Connection::open(home.path().join("store.db")).unwrap();
    store.execute_batch("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE; CREATE TABLE held (x);").unwrap();
    call_in_time(&home, "claude-code", &prompt(&home, "how do I run the staging deploy?"));
    assert!(log(&home).contains("locked") || log(&home).contains("not done within"), "{}", log(&home));
    store.execute_batch("ROLLBACK").unwrap();
    drop(store);
    // Standard input that nobody closes.
    let begin = Instant::now();
    let mut child = home.std_command().args(["hook", "codex"]).stdin(Stdio::piped()).spawn().unwrap();
    assert!(child.wait().unwrap().success());
    assert!(begin.elapsed() < PATIENCE, "took {:?}", begin.elapsed());
    fs::write(home.path().join("store.db"), "no database").unwrap();
    assert_eq!(call(&home, "codex", &prompt(&home, "how do I run the staging deploy?")).out, "");
    assert!(log(&home).contains("cannot open the home"), "{}", log(&home));
}

#[test]
fn a_transcript_of_fifty_megabytes_keeps_nobody_waiting() {
    let home = Home::new();
    let path = transcript(&home, "large", &"x".repeat(50 << 20));
    let input = json!({"hook_event_name": "Stop", "session_id": "large", "cwd": home.work(), "transcript_path": path});
    assert_eq!(call_in_time(&home, "claude-code", &input).out, "");
    call(&home, "claude-code", &input);
    wait_for_messages(&home, 2);
}

#[test]
fn what_was_injected_and_comes_back_in_a_transcript_is_not_stored() {
    let home = Home::new();
    home.remember("the staging deploy needs the VPN");
    let done = call(&home, "claude-code", &prompt(&home, "how do I run the staging deploy?"));
    let output: Value = serde_json::from_str(&done.out).unwrap();
    let block = output["hookSpecificOutput"]["additionalContext"].as_str().unwrap();
    let path = transcript(&home, "echo", &format!("how do I run the staging deploy?\n\n{block}"));
    home.run(&["session", "import", &path.to_string_lossy()]);
    let hits = home.json(&["recall", "search", "VPN", "--mode", "text"]);
    assert_eq!(hits["hits"].as_array().unwrap().len(), 1, "only the note itself: {hits}");
}

#[test]
fn in_an_excluded_folder_and_while_paused_a_hook_does_nothing() {
    let home = Home::new();
    home.remember("the staging deploy needs the VPN");
    let question = prompt(&home, "how do I run the staging deploy?");
    home.run(&["session", "exclude", &home.work().to_string_lossy()]);
    assert_eq!(call(&home, "claude-code", &question).out, "");
    let path = transcript(&home, "excluded", "please fix it");
    let input = json!({"hook_event_name": "Stop", "session_id": "x", "cwd": home.work(), "transcript_path": path});
    call(&home, "claude-code", &input);
    assert!(!home.path().join("capture").exists());
    assert_eq!(log(&home), "");
}

/// The ways in which tools write what a hook had injected into their transcripts, and what quotes a transcript.
fn written(block: &str, way: usize) -> String {
    let json = |text: &str| serde_json::to_string(text).unwrap();
    let prefixed = |prefix: &str| block.lines().map(|line| format!("{prefix}{line}\n")).collect::<String>();
    match way % 8 {
        0 => block.to_owned(),
        1 => json(block),
        2 => prefixed("    "),
        3 => prefixed("> "),
        4 => block.replace('\n', "\r\n"),
        5 => format!("{{\"line\": {}}}", json(&format!("{{\"prompt\": {}}}", json(block)))),
        6 => json(block).replace('<', "\\u003c").replace('>', "\\u003e"),
        _ => format!("<system-reminder>\nUserPromptSubmit hook additional context: {block}\n</system-reminder>"),
    }
}

#[test]
fn sessions_in_which_every_injected_block_comes_back_add_nothing_of_it() {
    let home = Home::new();
    let sessions = if std::env::var("HARNESS_TEST_ROUNDS").is_ok_and(|rounds| rounds == "full") { 1_000 } else { 16 };
    for number in 0..6 {
        home.remember(&format!(
            "fact zebra{number}: the staging deploy of shard {number} needs the VPN and <flag> & \"care\""
        ));
    }
    for session in 0..sessions {
        let question = format!("how do I run the staging deploy of shard {}?", session % 6);
        let done = call(&home, "claude-code", &prompt(&home, &question));
        let output: Value = serde_json::from_str(&done.out).unwrap();
        let block = output["hookSpecificOutput"]["additionalContext"].as_str().unwrap().to_owned();
        let back = written(&block, session);
        // As part of the prompt, as a line of its own, in what a tool printed, and as the hook's attachment.
        let line = |uuid: usize, rest: Value| {
            let mut line = json!({"sessionId": format!("s{session}"), "uuid": format!("{session}-{uuid}"),
                                  "cwd": home.work(), "timestamp": "2026-05-04T10:21:01.000Z"});
            line.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
            line.to_string() + "\n"
        };
        let user = |content: Value| json!({"type": "user", "message": {"role": "user", "content": content}});
        let lines = [
            line(1, user(json!(format!("{question}\n\n{back}")))),
            line(2, user(json!(back))),
            line(
                3,
                json!({"type": "assistant", "message": {"id": "m", "role": "assistant", "content":
                [{"type": "tool_use", "id": "t", "name": "Bash", "input": {"command": "cat log"}}]}}),
            ),
            line(4, user(json!([{"type": "tool_result", "tool_use_id": "t", "content": back}]))),
            line(
                5,
                json!({"type": "attachment", "attachment": {"type": "hook_additional_context", "content": [back]}}),
            ),
        ];
        fs::write(home.work().join(format!("s{session}.jsonl")), lines.concat()).unwrap();
    }
    let done = home.run(&["session", "import", &home.work().to_string_lossy()]);
    assert_eq!(done.code, 0, "{}", done.err);
    // What the blocks say is in the notes and in no other record.
    let hits = home.json(&["recall", "search", "needs the VPN and care", "--mode", "text", "-n", "200"]);
    let with_block =
        hits["hits"].as_array().unwrap().iter().filter(|hit| hit["text"].as_str().unwrap().contains("VPN"));
    let kinds: Vec<&str> = with_block.filter_map(|hit| hit["kind"].as_str()).collect();
    assert_eq!(kinds, ["note"; 6], "{hits}");
}

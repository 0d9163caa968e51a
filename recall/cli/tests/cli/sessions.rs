//! Importing, listing and showing sessions.

use std::fs;
use std::path::PathBuf;

use insta::assert_snapshot;
use serde_json::json;

use crate::home::Home;

/// A short session as Claude Code writes it, with two lines that are none and a last line that is not finished.
fn transcript(home: &Home) -> PathBuf {
    let folder = home.work().join("transcripts/-srv-shop");
    fs::create_dir_all(&folder).unwrap();
    let line = |uuid: &str, second: u32, rest: &str| {
        format!(
            "{{\"sessionId\":\"5f0c2a71-77d3-4f0e-9d3b-0a4a3c1f2b6e\",\"uuid\":\"{uuid}\",\"cwd\":\"/srv/shop\",\
             \"timestamp\":\"2026-05-04T10:21:{second:02}.000Z\",{rest}}}\n"
        )
    };
    let user = |text: &str| format!("\"type\":\"user\",\"message\":{{\"role\":\"user\",\"content\":\"{text}\"}}");
    let assistant = |id: &str, content: &str| {
        format!("\"type\":\"assistant\",\"message\":{{\"id\":\"{id}\",\"role\":\"assistant\",\"content\":[{content}]}}")
    };
    let call = "{\"type\":\"tool_use\",\"id\":\"t1\",\"name\":\"Bash\",\"input\":{\"command\":\"make test\"}}";
    let result = "\"type\":\"user\",\"message\":{\"role\":\"user\",\"content\":[{\"type\":\"tool_result\",\
                  \"tool_use_id\":\"t1\",\"content\":\"12 passed\"}]}";
    let text = [
        line("u1", 1, &user("the checkout test fails, please fix it")),
        "nonsense\n".to_owned(),
        line("u2", 2, &assistant("m1", "{\"type\":\"text\",\"text\":\"I will run the tests first.\"}")),
        line("u3", 3, &assistant("m2", call)),
        line("u4", 4, result),
        "{\"sessionId\":\"5f0c\"\n".to_owned(),
        line("u5", 5, &user("谢谢，结账测试通过了")),
        "{\"sessionId\":\"5f0c2a71".to_owned(),
    ];
    fs::write(folder.join("session.jsonl"), text.concat()).unwrap();
    fs::write(folder.join("notes.txt"), "not a transcript").unwrap();
    folder.join("session.jsonl")
}

#[test]
fn a_folder_of_transcripts_is_imported_once_and_what_was_not_read_is_named() {
    let home = Home::new();
    transcript(&home);
    let first = home.run(&["session", "import", "transcripts"]);
    assert_eq!(first.code, 0, "{}", first.err);
    assert_snapshot!(home.stable(&first.out), @r"
    imported 5 messages, 1 episode, in 1 session of 1 file (SIZE)
    note: 22 bytes at the end of 1 file are no whole line yet, and wait until they are
    note: 2 lines could not be read
    took SECONDS
    ");
    assert_snapshot!(home.stable(&first.err), @r"
    warning: transcripts/-srv-shop/session.jsonl:2: it is no JSON object
    warning: transcripts/-srv-shop/session.jsonl:6: it does not parse: EOF while parsing an object at line 1 column 19
    ");
    let again = home.json(&["session", "import", "transcripts"]);
    assert_eq!((&again["messages_new"], &again["episodes_new"]), (&0.into(), &0.into()), "{again}");
    let found = home.json(&["recall", "search", "结账测试", "--kind", "message"]);
    assert_eq!(found["hits"][0]["text"], "谢谢，结账测试通过了");
    assert_eq!(found["hits"][0]["source"], "claude-code");
}

#[test]
fn an_imported_session_is_listed_and_read_in_order_with_its_context() {
    let home = Home::new();
    let path = transcript(&home);
    home.run(&["session", "import", path.to_str().unwrap(), "--here"]);
    assert_snapshot!(home.stable(&home.run(&["session", "list"]).out), @"ID  TIME  5 messages  claude-code  ana/shop-HASH  the checkout test fails, please fix it");
    assert_snapshot!(home.stable(&home.run(&["session", "show", "5f0c", "--from", "1", "-n", "3"]).out), @r#"
    ID  TIME  5 messages  claude-code  ana/shop-HASH  the checkout test fails, please fix it

      [1] assistant message TIME ID
    I will run the tests first.

      [2] assistant message TIME ID
    calls Bash {"command":"make test"}

      [3] tool message TIME ID
    result of Bash, succeeded
    12 passed
    "#);
    let found = home.json(&["recall", "search", "12 passed", "--kind", "message"]);
    let shown = home.run(&["recall", "show", found["hits"][0]["id"].as_str().unwrap(), "--context", "1", "--json"]);
    let shown: serde_json::Value = serde_json::from_str(&shown.out).unwrap();
    assert_eq!(shown["text"], "12 passed");
    assert_eq!((shown["before"].as_array().unwrap().len(), shown["after"].as_array().unwrap().len()), (1, 1));
    assert_eq!(shown["after"][0]["text"], "谢谢，结账测试通过了");
    assert_eq!(home.run(&["session", "show", "nosuch"]).code, 1);
}

#[test]
fn a_session_that_went_on_adds_only_what_is_new_and_a_newer_episode() {
    let home = Home::new();
    let path = transcript(&home);
    assert_eq!(home.json(&["session", "import", "transcripts"])["messages_new"], 5);
    let mut text = fs::read_to_string(&path).unwrap();
    let whole = text.rfind('\n').unwrap() + 1;
    text.truncate(whole);
    text.push_str(
        "{\"sessionId\":\"5f0c2a71-77d3-4f0e-9d3b-0a4a3c1f2b6e\",\"uuid\":\"u6\",\"cwd\":\"/srv/shop\",\
         \"timestamp\":\"2026-05-04T10:22:00.000Z\",\"type\":\"user\",\
         \"message\":{\"role\":\"user\",\"content\":\"now the cart\"}}\n",
    );
    fs::write(&path, text).unwrap();
    let again = home.json(&["session", "import", "transcripts"]);
    assert_eq!((&again["messages_new"], &again["episodes_new"]), (&1.into(), &1.into()), "{again}");
    // One session has one episode, however often it was drawn.
    let newest = home.json(&["episode", "list", "--all"]);
    assert!(newest["replaces"].is_string(), "{newest}");
    assert_eq!(home.json(&["status"])["store"]["records"]["episode"], 1);
}

#[test]
fn a_message_that_its_tool_changed_again_and_again_stands_in_its_place() {
    let home = Home::new();
    let folder = home.work().join("gemini/chats");
    fs::create_dir_all(&folder).unwrap();
    let head =
        json!({"sessionId": "gem-1", "projectHash": "abc", "startTime": "2026-05-04T10:00:00.000Z", "kind": "main"});
    let message = |id: &str, kind: &str, text: &str| json!({"id": id, "timestamp": "2026-05-04T10:00:01.000Z", "type": kind, "content": text});
    let mut lines = vec![head, message("m1", "user", "fix the flaky orchid test"), message("m2", "gemini", "I will")];
    let later = [
        message("m3", "gemini", "Fixed."),
        message("m2", "gemini", "I will run"),
        message("m2", "gemini", "I will run the tests"),
        message("m2", "gemini", "I will run the tests twice."),
    ];
    for more in later {
        lines.push(more);
        let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
        fs::write(folder.join("session-1.jsonl"), text).unwrap();
        assert_eq!(home.run(&["session", "import", "gemini"]).code, 0);
    }
    let shown = home.run(&["session", "show", "gem-1", "--json"]).out;
    let texts: Vec<serde_json::Value> =
        shown.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["text"].clone()).collect();
    assert_eq!(texts, ["fix the flaky orchid test", "I will run the tests twice.", "Fixed."]);
}

#[test]
fn what_is_passed_over_and_what_is_no_whole_line_is_told() {
    let home = Home::new();
    let path = transcript(&home);
    fs::write(path.with_file_name("other.jsonl"), "{\"a\":1}\n").unwrap();
    let done = home.run(&["session", "import", "transcripts"]);
    assert!(done.err.contains("1 file ending in .jsonl or .json not recognised as a transcript"), "{}", done.err);
    assert!(done.err.contains("other.jsonl"), "{}", done.err);
    let done = home.run(&["session", "import", path.to_str().unwrap(), "--tool", "codex"]);
    assert_eq!(done.code, 2);
    assert!(done.err.contains("is a transcript of claude-code, not of codex"), "{}", done.err);
}

#[test]
fn a_dry_run_keeps_nothing() {
    let home = Home::new();
    transcript(&home);
    let done = home.run(&["session", "import", "transcripts", "--dry-run"]);
    assert_eq!(done.code, 0, "{}", done.err);
    assert!(done.out.starts_with("found 5 messages, in 1 session of 1 file"), "{}", done.out);
    assert!(!home.path().exists());
}

#[test]
fn what_is_no_transcript_is_refused_by_name() {
    let home = Home::new();
    transcript(&home);
    let done = home.run(&["session", "import", "transcripts/-srv-shop/notes.txt"]);
    assert_eq!(done.code, 2);
    assert_snapshot!(home.stable(&done.err), @r"
    error: transcripts/-srv-shop/notes.txt is no transcript of a tool that can be read
    hint: name its tool with --tool if you know it
    ");
    let done = home.run(&["session", "import", "no/such/folder"]);
    assert_eq!(done.code, 2);
    assert_snapshot!(home.stable(&done.err), @r"
    error: cannot read no/such/folder
      because: No such file or directory (os error 2)
    hint: check the path; without one, the tools' own folders are searched
    ");
    fs::create_dir(home.work().join("empty")).unwrap();
    assert_eq!(home.run(&["session", "import", "empty"]).code, 1);
}

#[test]
fn what_is_excluded_is_not_imported_and_a_private_session_is_forgotten() {
    let home = Home::new();
    let path = transcript(&home);
    let path = path.to_str().unwrap();
    assert_eq!(home.run(&["session", "exclude"]).code, 1);
    assert_eq!(home.run(&["session", "exclude", "SHOP"]).out, "project SHOP: excluded from now on\n");
    let left_out = home.json(&["session", "import", path]);
    assert_eq!((&left_out["messages_new"], &left_out["excluded"]), (&0.into(), &5.into()), "{left_out}");
    assert_eq!(home.run(&["session", "list"]).code, 1);
    home.run(&["session", "exclude", "SHOP", "--remove"]);

    assert!(home.run(&["session", "pause"]).out.starts_with("paused until"));
    assert_eq!(home.run(&["session", "import", path]).code, 1);
    assert!(home.run(&["status"]).out.contains("capture   paused: `harness session resume` ends that"));
    assert_eq!(home.run(&["session", "resume"]).out, "resumed\n");
    assert_eq!(home.run(&["session", "resume"]).code, 1);

    assert_eq!(home.json(&["session", "import", path])["messages_new"], 5);
    let id = "5f0c2a71-77d3-4f0e-9d3b-0a4a3c1f2b6e";
    let private = home.run(&["session", "exclude", "--session", id]);
    assert!(private.err.contains("forgot 6 records"), "{}", private.err);
    assert_eq!(home.run(&["recall", "search", "结账测试"]).code, 1);
    assert!(home.run(&["status"]).out.contains("excluded  1 session: "));
    assert_eq!(home.json(&["session", "import", path])["messages_new"], 0);
}

#[test]
fn of_a_large_import_the_index_is_made_in_the_background_unless_it_is_waited_for() {
    let home = Home::new();
    let lines = (0..50_001).map(|number| {
        serde_json::json!({ "type": "user", "sessionId": "s-large", "cwd": "/w", "uuid": format!("u-{number}"),
                "timestamp": "2026-05-01T10:00:00Z", "message": { "role": "user", "content": format!("heron {number}") } })
    });
    let text: String = lines.map(|line| format!("{line}\n")).collect();
    fs::write(home.work().join("large.jsonl"), &text).unwrap();
    let done = home.json(&["session", "import", "large.jsonl", "--tool", "claude-code"]);
    assert!(done["messages_new"] == 50_001 && done["index_lag"].as_u64() > Some(50_000), "{done}");
    // What came last is found at once, and the answer says what it has not looked at, until all is there.
    let answer = home.json(&["recall", "search", "--mode", "text", "heron 50000"]);
    assert_eq!(answer["hits"][0]["text"], "heron 50000", "{answer}");
    let begin = std::time::Instant::now();
    while home.json(&["recall", "search", "--mode", "text", "heron 7"])["lag"]["text"] != 0 {
        assert!(begin.elapsed() < std::time::Duration::from_secs(120), "the index is not made");
        std::thread::sleep(std::time::Duration::from_millis(200));
    }
    assert_eq!(home.json(&["recall", "search", "--mode", "text", "heron 7"])["hits"][0]["text"], "heron 7");
    let other = Home::new();
    fs::write(other.work().join("large.jsonl"), &text).unwrap();
    let done = other.json(&["session", "import", "large.jsonl", "--tool", "claude-code", "--wait"]);
    assert_eq!((done["messages_new"].as_u64(), done["index_lag"].as_u64()), (Some(50_001), Some(0)), "{done}");
}

#[test]
fn what_a_person_forgot_is_said_to_stay_forgotten_when_it_is_imported_again() {
    let home = Home::new();
    transcript(&home);
    home.run(&["session", "import", "transcripts"]);
    home.run(&["forget", "--source", "claude-code"]);
    fs::rename(home.work().join("transcripts"), home.work().join("copy")).unwrap();
    let again = home.run(&["session", "import", "copy"]);
    assert!(again.out.contains("note: 5 messages of those known were forgotten and stay so"), "{}", again.out);
}

#[test]
fn excluding_a_folder_says_what_is_stored_of_it() {
    let home = Home::new();
    transcript(&home);
    home.run(&["session", "import", "transcripts"]);
    assert_snapshot!(home.stable(&home.run(&["session", "exclude", "/srv/shop"]).err), @r"
    note: what is stored already stays: 1 session with 5 messages of what is excluded
    hint: `harness forget --session ID` forgets it
    ");
}

#[cfg(unix)]
#[test]
fn what_cannot_be_read_is_a_failure_and_what_may_never_end_is_not_read() {
    use std::os::unix::fs::PermissionsExt;
    let home = Home::new();
    transcript(&home);
    let pipe = home.work().join("pipe.jsonl");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    for tool in [&[][..], &["--tool", "codex"]] {
        let done = home.run(&[&["session", "import", "pipe.jsonl"], tool].concat());
        assert!(done.code == 2 && done.err.contains("neither a file nor a folder"), "{}", done.err);
    }
    let closed = home.work().join("transcripts/closed.jsonl");
    fs::write(&closed, "{}").unwrap();
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o000)).unwrap();
    // Whoever may read everything cannot see this fail.
    if fs::File::open(&closed).is_err() {
        let done = home.run(&["--json", "session", "import", "transcripts"]);
        assert_eq!(done.code, 2, "{}", done.err);
        assert!(done.out.contains("\"files_failed\":1") && done.out.contains("closed.jsonl"), "{}", done.out);
    }
}

/// Sessions of one file, one after the other, each with a call, so that each has an episode.
fn many_sessions(home: &Home, count: usize) {
    let mut text = String::new();
    for number in 0..count {
        let line = |uuid: &str, role: &str, content: serde_json::Value| {
            let message = serde_json::json!({ "role": role, "content": content });
            serde_json::json!({ "type": role, "sessionId": format!("s-{number}"), "cwd": "/w",
                "uuid": format!("{uuid}-{number}"), "timestamp": "2026-05-01T10:00:00Z", "message": message })
        };
        let call =
            serde_json::json!([{ "type": "tool_use", "id": "t", "name": "Bash", "input": { "command": "make" } }]);
        for line in [
            line("a", "user", format!("mend the heron number {number}").into()),
            line("b", "assistant", call),
            line("c", "assistant", format!("it is mended {}", "and more ".repeat(200)).into()),
        ] {
            text.push_str(&format!("{line}\n"));
        }
    }
    fs::write(home.work().join("many.jsonl"), text).unwrap();
}

#[cfg(unix)]
#[test]
fn an_import_that_was_stopped_or_killed_loses_no_episode() {
    use std::time::Duration;
    let home = Home::new();
    many_sessions(&home, 1_500);
    for (round, signal) in ["-INT", "-INT", "-KILL", "-INT"].into_iter().enumerate() {
        let mut command = home.std_command();
        command.args(["session", "import", "many.jsonl"]);
        let mut child =
            command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(120 + 60 * round as u64));
        std::process::Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap();
        child.wait().unwrap();
    }
    home.run(&["session", "import", "many.jsonl"]);
    assert_eq!(home.json(&["status"])["store"]["records"]["message"], 4_500);
    let episodes = home.run(&["--json", "episode", "list", "-n", "10000"]).out;
    let session = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap()["session"].to_string();
    let sessions: std::collections::BTreeSet<String> = episodes.lines().map(session).collect();
    assert_eq!(sessions.len(), 1_500);
}

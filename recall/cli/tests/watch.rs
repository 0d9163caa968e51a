//! Following transcripts with the real binary: growth, kills, rewrites, and what a person said about a session.

#![allow(clippy::unwrap_used, clippy::zombie_processes, reason = "a test that panics has failed")]

mod home;

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use home::{Home, rounds};
use serde_json::{Value, json};

/// How long a test waits for something that takes milliseconds, on a machine that does other work, too.
const PATIENCE: Duration = Duration::from_secs(60);

fn wait_until(what: &str, mut test: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !test() {
        assert!(begin.elapsed() < PATIENCE, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn message(number: usize) -> String {
    let line = json!({"timestamp": "2026-05-04T10:21:00Z", "type": "response_item", "payload": {
        "type": "message", "role": if number.is_multiple_of(2) { "user" } else { "assistant" },
        "content": [{"type": "input_text", "text": format!("line {number} of the loom's diary 第{number}行")}]}});
    format!("{line}\n")
}

fn begin(path: &Path, id: &str) {
    let meta = json!({"timestamp": "2026-05-04T10:21:00Z", "type": "session_meta",
        "payload": {"id": id, "cwd": "/srv/loom", "git": {"branch": "main"}}});
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, format!("{meta}\n")).unwrap();
}

fn append(path: &Path, text: &str) {
    OpenOptions::new().append(true).open(path).unwrap().write_all(text.as_bytes()).unwrap();
}

fn watch(home: &Home) -> Child {
    let mut command: Command = home.command(&["session", "watch", "transcripts", "--every", "0.05"]);
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// The texts of all live messages, sorted.
fn texts(home: &Home) -> Vec<String> {
    let output = home.output(&["--json", "session", "list", "-n", "1000"]);
    let mut texts = Vec::new();
    for line in String::from_utf8(output.stdout).unwrap().lines() {
        let session: Value = serde_json::from_str(line).unwrap();
        let shown = home.run(&["--json", "session", "show", session["id"].as_str().unwrap()]);
        let records = shown.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        texts.extend(records.map(|record| record["text"].as_str().unwrap().to_owned()));
    }
    texts.sort();
    texts
}

fn import(home: &Home, path: &str) -> Value {
    serde_json::from_str(&home.run(&["--json", "session", "import", path])).unwrap()
}

fn transcript(home: &Home, name: &str) -> PathBuf {
    home.outside().join("transcripts").join(name)
}

#[test]
fn each_line_is_there_exactly_once_however_often_the_watcher_is_killed() {
    let home = Home::new();
    let path = transcript(&home, "rollout-a.jsonl");
    begin(&path, "s-1");
    let kills = rounds(5, 20);
    let done = std::sync::atomic::AtomicBool::new(false);
    let written = std::thread::scope(|scope| {
        // Another process's writer: lines in pieces, so that the last one is often not whole.
        let writer = scope.spawn(|| {
            let mut number = 0;
            while !done.load(std::sync::atomic::Ordering::SeqCst) {
                let line = message(number);
                let mut cut = line.len() * (number % 7) / 7;
                while !line.is_char_boundary(cut) {
                    cut -= 1;
                }
                append(&path, &line[..cut]);
                std::thread::sleep(Duration::from_millis(3));
                append(&path, &line[cut..]);
                number += 1;
            }
            number
        });
        for round in 0..kills {
            let mut child = watch(&home);
            std::thread::sleep(Duration::from_millis(120 + 61 * (round as u64 % 9)));
            child.kill().unwrap();
            child.wait().unwrap();
        }
        done.store(true, std::sync::atomic::Ordering::SeqCst);
        writer.join().unwrap()
    });
    let mut child = watch(&home);
    let mut expected: Vec<String> =
        (0..written).map(|number| format!("line {number} of the loom's diary 第{number}行")).collect();
    expected.sort();
    wait_until("the last line is there", || home.messages() >= written as i64);
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(texts(&home), expected);
    assert_eq!(import(&home, "transcripts")["messages_new"], 0);
    assert_eq!(texts(&home), expected);
    home.assert_no_gap();
}

#[cfg(unix)]
#[test]
fn a_watcher_stops_cleanly_when_it_is_asked_to_and_reads_new_files() {
    use nix::sys::signal::{Signal, kill};
    use nix::unistd::Pid;
    let home = Home::new();
    fs::create_dir_all(home.outside().join("transcripts")).unwrap();
    let mut child = watch(&home);
    wait_until("the home is made", || home.path().join("store.db").exists());
    let path = transcript(&home, "deep/er/rollout-b.jsonl");
    begin(&path, "s-2");
    append(&path, &message(0));
    append(&path, message(1).trim_end());
    wait_until("both lines are read, the last one whole without its end", || home.messages() == 2);
    append(&path, "\n");
    append(&path, &message(2));
    wait_until("the third one is read", || home.messages() == 3);
    kill(Pid::from_raw(child.id() as i32), Signal::SIGINT).unwrap();
    let begin = Instant::now();
    let status = child.wait().unwrap();
    assert_eq!(status.code(), Some(130));
    assert!(begin.elapsed() < Duration::from_secs(10));
}

#[test]
fn an_unchanged_file_is_passed_over_and_a_renamed_or_copied_one_adds_nothing() {
    let home = Home::new();
    let path = transcript(&home, "rollout-c.jsonl");
    begin(&path, "s-3");
    (0..6).for_each(|number| append(&path, &message(number)));
    let first = import(&home, "transcripts");
    assert_eq!((&first["messages_new"], &first["episodes_new"]), (&6.into(), &1.into()), "{first}");
    let again = import(&home, "transcripts");
    assert_eq!((&again["messages_read"], &again["files_unchanged"]), (&0.into(), &1.into()), "{again}");
    let renamed = transcript(&home, "rollout-d.jsonl");
    fs::rename(&path, &renamed).unwrap();
    fs::copy(&renamed, transcript(&home, "copy/rollout-c.jsonl".trim_start_matches("copy/"))).unwrap();
    let moved = import(&home, "transcripts");
    assert_eq!((&moved["messages_new"], &moved["episodes_new"]), (&0.into(), &0.into()), "{moved}");
    // Shrunk to its beginning, and then written on in another way.
    begin(&renamed, "s-3");
    append(&renamed, &message(0));
    assert_eq!(import(&home, "transcripts")["messages_new"], 0);
    append(&renamed, &message(40));
    assert_eq!(import(&home, "transcripts")["messages_new"], 1);
}

#[test]
fn what_a_person_said_of_a_session_stands_when_it_goes_on() {
    let home = Home::new();
    let path = transcript(&home, "rollout-e.jsonl");
    begin(&path, "s-4");
    (0..2).for_each(|number| append(&path, &message(number)));
    import(&home, "transcripts");
    let episode = home.run(&["--json", "episode", "list"]);
    let id = home::id_of(episode.lines().next().unwrap());
    home.run(&["episode", "outcome", &id, "failure", "--reason", "rolled back by hand"]);
    (2..8).for_each(|number| append(&path, &message(number)));
    let grown = import(&home, "transcripts");
    assert_eq!((&grown["messages_new"], &grown["episodes_new"]), (&6.into(), &1.into()), "{grown}");
    let newest = home.run(&["--json", "episode", "list"]);
    let newest: Value = serde_json::from_str(newest.lines().next().unwrap()).unwrap();
    assert_ne!(newest["id"], id.as_str());
    assert_eq!((&newest["outcome"], &newest["reason"]), (&"failure".into(), &"rolled back by hand".into()), "{newest}");
    assert_eq!(newest["user_turns"].as_array().unwrap().len(), 3, "the whole session is in it: {newest}");
}

#[test]
fn a_message_that_its_tool_changed_or_took_back_is_so_in_memory_too() {
    let home = Home::new();
    let path = transcript(&home, "session-2026-05-04-a.jsonl");
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let said = |id: &str, kind: &str, text: &str| {
        format!("{}\n", json!({"id": id, "timestamp": "2026-05-04T10:21:00Z", "type": kind, "content": text}))
    };
    let head = json!({"sessionId": "g-1", "projectHash": "h", "startTime": "2026-05-04T10:21:00Z", "kind": "main"});
    fs::write(&path, format!("{head}\n{}{}", said("u1", "user", "spin it"), said("a1", "gemini", "Spin"))).unwrap();
    import(&home, "transcripts");
    append(&path, &said("a1", "gemini", "Spinning it now."));
    let changed = import(&home, "transcripts");
    assert_eq!((&changed["messages_new"], &changed["messages_changed"]), (&0.into(), &1.into()), "{changed}");
    assert_eq!(texts(&home), ["Spinning it now.", "spin it"]);
    append(&path, &format!("{}{}", said("u2", "user", "stop"), said("a2", "gemini", "Stopped.")));
    import(&home, "transcripts");
    append(&path, &format!("{}\n{}", json!({"$rewindTo": "u2"}), said("u3", "user", "faster")));
    let rewound = import(&home, "transcripts");
    assert_eq!((&rewound["messages_new"], &rewound["messages_withdrawn"]), (&1.into(), &2.into()), "{rewound}");
    assert_eq!(texts(&home), ["Spinning it now.", "faster", "spin it"]);
    for _ in 0..2 {
        let again = import(&home, "transcripts");
        assert_eq!((&again["messages_new"], &again["messages_changed"]), (&0.into(), &0.into()), "{again}");
    }
    // What a person forgot stays forgotten, whatever the tool makes of it.
    let found = home.run(&["--json", "recall", "search", "--kind", "message", "faster"]);
    let found: Value = serde_json::from_str(&found).unwrap();
    home.run(&["forget", found["hits"][0]["id"].as_str().unwrap()]);
    append(&path, &said("u3", "user", "faster, please"));
    import(&home, "transcripts");
    assert_eq!(texts(&home), ["Spinning it now.", "spin it"]);
}

#[test]
fn without_a_path_the_tools_own_places_are_found_and_told_before_anything_is_read() {
    let home = Home::new();
    let person = home.outside().join("person");
    let codex = person.join(".codex/sessions/2026/05/04/rollout-f.jsonl");
    begin(&codex, "s-5");
    append(&codex, &message(0));
    let claude = person.join(".claude/projects/-srv-shop/x.jsonl");
    fs::create_dir_all(claude.parent().unwrap()).unwrap();
    fs::write(&claude, "{\"sessionId\":\"c-1\",\"uuid\":\"u\",\"type\":\"user\",\"message\":{\"role\":\"user\",\"content\":\"hi there\"}}\n")
        .unwrap();
    let run = |arguments: &[&str]| {
        let output = home
            .command(arguments)
            .env("HOME", &person)
            .env_remove("CODEX_HOME")
            .env_remove("CLAUDE_CONFIG_DIR")
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let plan = run(&["session", "import", "--dry-run"]);
    assert!(plan.contains("codex") && plan.contains("claude-code") && plan.contains("all to be read"), "{plan}");
    assert!(plan.contains("a second"), "{plan}");
    assert!(!home.path().exists(), "a look makes no home");
    let done: Value = serde_json::from_str(&run(&["--json", "session", "import"])).unwrap();
    assert_eq!((&done["messages_new"], &done["files"]), (&2.into(), &2.into()), "{done}");
    let plan = run(&["session", "import", "--dry-run"]);
    assert!(plan.contains("all read before") && plan.contains("nothing new"), "{plan}");
}

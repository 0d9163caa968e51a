//! Where sessions were held: whose they are for it, and what is left out.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::home::Home;

fn write(path: &Path, lines: &[Value]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, lines.iter().map(|line| format!("{line}\n")).collect::<String>()).unwrap();
}

fn scopes(home: &Home) -> Vec<String> {
    let list = home.run(&["--json", "session", "list"]).out;
    let scope = |line: &str| serde_json::from_str::<Value>(line).unwrap()["scope"].as_str().unwrap().to_owned();
    list.lines().map(scope).collect()
}

/// Folders of work: `clients/acme/app`, `open/app`.
fn work(home: &Home) -> (String, String) {
    let top = home.work().canonicalize().unwrap();
    let folder = |name: &str| {
        fs::create_dir_all(top.join(name)).unwrap();
        top.join(name).to_str().unwrap().to_owned()
    };
    (folder("clients/acme/app"), folder("open/app"))
}

fn slug(folder: &str) -> String {
    folder.trim_start_matches('/').replace(|c: char| !c.is_ascii_alphanumeric(), "-")
}

fn cursor(home: &Home, folder: &str) {
    let path = format!("files/projects/{}/agent-transcripts/c-1/c-1.jsonl", slug(folder));
    let line = |role: &str, text: &str| json!({"role": role, "message": {"content": [{"type": "text", "text": text}]}});
    write(&home.work().join(path), &[line("user", "where does the walrus sleep"), line("assistant", "on the ice")]);
}

fn gemini(home: &Home, folder: &str) {
    let hash: String = Sha256::digest(folder).iter().map(|byte| format!("{byte:02x}")).collect();
    let at = "2026-05-04T10:21:00Z";
    let head = json!({"sessionId": "g-1", "projectHash": hash, "startTime": at, "kind": "main"});
    let said =
        json!({"id": "m1", "timestamp": at, "type": "user", "content": [{"text": "where does the okapi sleep"}]});
    write(&home.work().join("files/tmp/x/chats/session-1.jsonl"), &[head, said]);
}

#[test]
fn a_session_whose_tool_names_its_folder_by_a_slug_or_hash_is_left_out_with_the_folder() {
    let home = Home::new();
    let (acme, _) = work(&home);
    cursor(&home, &acme);
    gemini(&home, &acme);
    home.run(&["session", "exclude", "clients/acme"]);
    let done = home.json(&["session", "import", "files"]);
    assert_eq!((&done["messages_new"], &done["excluded"]), (&0.into(), &3.into()), "{done}");
    // Gone from the disk, it is still told by its slug.
    fs::remove_dir_all(home.work().join("clients")).unwrap();
    let done = home.json(&["session", "import", "files", "--tool", "cursor"]);
    assert_eq!((&done["messages_new"], &done["excluded"]), (&0.into(), &2.into()), "{done}");
}

#[test]
fn no_session_of_a_folder_that_is_not_known_becomes_the_persons_own() {
    let home = Home::new();
    let (acme, open) = work(&home);
    cursor(&home, "/no/such/folder");
    gemini(&home, "/no/such/folder");
    assert_eq!(home.json(&["session", "import", "files"])["messages_new"], 3);
    let mut found = scopes(&home);
    found.sort();
    assert!(found[0].starts_with("ana/gemini-") && found[1].starts_with("ana/no-such-folder-"), "{found:?}");

    // A folder that is there is the project, and so is one that a hook named.
    let home = Home::new();
    fs::create_dir_all(&acme).unwrap();
    fs::create_dir_all(&open).unwrap();
    let (acme, open) = work(&home);
    cursor(&home, &acme);
    gemini(&home, &open);
    home.json(&["session", "import", "files/projects"]);
    home.json(&["session", "import", "files/tmp/x/chats/session-1.jsonl", "--folder", "open/app"]);
    let found = scopes(&home);
    assert!(found.len() == 2 && found.iter().all(|scope| scope.starts_with("ana/app-")), "{found:?}");
    assert_ne!(found[0], found[1]);
    assert_eq!(home.json(&["session", "import", "files"])["messages_new"], 0);
}

#[test]
fn what_is_said_after_moving_into_an_excluded_folder_is_left_out() {
    let home = Home::new();
    let (acme, open) = work(&home);
    let claude = |number: u32, cwd: &str, text: &str| {
        json!({"sessionId": "move-3", "uuid": format!("u{number}"), "cwd": cwd, "type": "user",
            "timestamp": "2026-05-04T10:21:00Z", "message": {"role": "user", "content": text}})
    };
    write(
        &home.work().join("files/claude.jsonl"),
        &[
            claude(1, &open, "start with the zebra"),
            claude(2, &acme, "the secret giraffe"),
            claude(3, &open, "back to the zebra"),
        ],
    );
    let codex =
        |kind: &str, payload: Value| json!({"timestamp": "2026-05-04T10:21:00Z", "type": kind, "payload": payload});
    let said = |text: &str| {
        codex(
            "response_item",
            json!({"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}),
        )
    };
    let rollout = home.work().join("files/rollout-1.jsonl");
    let mut lines = vec![
        codex("session_meta", json!({"id": "x-1", "cwd": open})),
        said("start with the heron"),
        codex("turn_context", json!({"cwd": acme})),
    ];
    write(&rollout, &lines);
    home.run(&["session", "import", "files/rollout-1.jsonl"]);
    home.run(&["session", "exclude", "clients/acme"]);
    // Where the session is now was read before, and is said no more.
    lines.push(said("the secret giraffe too"));
    write(&rollout, &lines);
    let done = home.json(&["session", "import", "files"]);
    assert_eq!((&done["messages_new"], &done["excluded"]), (&2.into(), &2.into()), "{done}");
    assert!(!home.run(&["recall", "search", "giraffe"]).out.contains("giraffe"));
    assert!(home.run(&["recall", "search", "zebra"]).out.contains("back to the zebra"));
}

#[test]
fn two_histories_whose_sessions_have_the_same_name_stay_two() {
    let home = Home::new();
    let history = |folder: &str, heading: &str, said: &str| {
        let path = home.work().join(folder).join(".aider.chat.history.md");
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, format!("{heading}\n#### {said}\n\nit is done\n\n> Applied edit to a.py\n")).unwrap();
    };
    for heading in ["# aider chat started at 2026-05-04 10:21:00", ""] {
        for scope in [&["--scope", "ana/all"][..], &[]] {
            let home_of = format!("{}{}", heading.len(), scope.len());
            history(&format!("{home_of}/one"), heading, "paint the one boat red");
            history(&format!("{home_of}/two"), heading, "mow the other lawn");
            let files = [format!("{home_of}/one"), format!("{home_of}/two")];
            let import = |files: &[&str]| home.json(&[&["session", "import"], files, scope].concat());
            let done = import(&[&files[0], &files[1]]);
            assert_eq!(done["messages_changed"], 0, "{done}");
            let new = done["messages_new"].as_u64().unwrap();
            assert!(new > 0 && new.is_multiple_of(2), "{done}");
            for name in files.iter().map(|folder| home.work().join(folder).join(".aider.chat.history.md")) {
                let text = fs::read_to_string(&name).unwrap();
                fs::write(name, text + "#### and more\n\nmore\n\n> bye\n").unwrap();
            }
            let done = import(&[&files[1], &files[0]]);
            assert_eq!(done["messages_new"].as_u64().unwrap() % 2, 0, "{done}");
            assert!(home.run(&["recall", "search", "boat", "--json"]).out.contains("paint the one boat red"));
            assert!(home.run(&["recall", "search", "lawn", "--json"]).out.contains("mow the other lawn"));
        }
    }
}

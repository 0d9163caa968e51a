//! What other memories hold, taken in; and the way of one record.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::home::Home;

fn put(home: &Home, name: &str, text: &str) -> PathBuf {
    let path = home.work().join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, text).unwrap();
    path
}

/// Imports twice: the first time brings this many records, the second none.
fn import(home: &Home, path: &std::path::Path, records: i64) {
    let count = || -> i64 {
        let store = home.path().join("store.db");
        let Ok(store) = rusqlite::Connection::open_with_flags(store, rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY) else {
            return 0;
        };
        store.query_row("SELECT count(*) FROM records", [], |row| row.get(0)).unwrap_or(0)
    };
    let before = count();
    for round in 0..2 {
        let done = home.run(&["import", path.to_str().unwrap()]);
        assert_eq!(done.code, i32::from(round > 0 && records == 0), "{}{}", done.out, done.err);
        assert_eq!(count() - before, records, "round {round}: {}{}", done.out, done.err);
    }
}

fn first(home: &Home, question: &str) -> Value {
    home.json(&["recall", "search", "--mode", "text", question])["hits"][0].clone()
}

#[test]
fn an_export_of_mem0_becomes_notes_with_their_times() {
    let home = Home::new();
    let export = json!({ "results": [
        { "id": "a1", "memory": "Prefers tabs over spaces", "user_id": "ana", "created_at": "2025-03-01T10:00:00-08:00",
          "categories": ["preferences"], "metadata": { "project": "shop" } },
        { "id": "a2", "memory": "部署前先连 VPN", "user_id": "ana", "created_at": "2025-03-02T10:00:00Z" },
        { "id": "a3", "memory": "" },
    ] });
    import(&home, &put(&home, "mem0.json", &export.to_string()), 2);
    let hit = first(&home, "tabs or spaces");
    assert_eq!((&hit["source"], &hit["kind"], &hit["origin"]), (&"mem0".into(), &"note".into(), &"import".into()));
    assert_eq!(hit["created_at"], "2025-03-01T18:00:00Z");
    assert_eq!(first(&home, "部署")["text"], "部署前先连 VPN");
}

#[test]
fn the_memory_json_of_the_reference_server_becomes_notes() {
    let home = Home::new();
    let lines = [
        json!({ "type": "entity", "name": "checkout", "entityType": "service", "observations": ["owns the cart", "runs on port 7070"] }),
        json!({ "type": "entity", "name": "billing", "entityType": "service", "observations": ["sends invoices"] }),
        json!({ "type": "relation", "from": "checkout", "to": "billing", "relationType": "calls" }),
    ];
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    let path = put(&home, "memory.json", &(text + "{ broken\n"));
    let done = home.run(&["import", path.to_str().unwrap()]);
    assert_eq!(done.code, 0, "{}", done.err);
    assert!(done.err.contains("memory.json:4"), "the line that cannot be read is named: {}", done.err);
    assert!(first(&home, "port of checkout")["text"].as_str().unwrap().contains("7070"));
    assert!(first(&home, "checkout calls")["text"].as_str().unwrap().contains("billing"));
    let again = home.run(&["import", "--json", path.to_str().unwrap()]);
    let told: Value = serde_json::from_str(again.out.lines().next_back().unwrap()).unwrap();
    assert_eq!(told["added"].as_u64().or(told["new"].as_u64()).unwrap_or(0), 0, "{told}");
}

#[test]
fn the_database_of_claude_mem_becomes_notes_and_episodes() {
    let home = Home::new();
    let path = home.work().join("claude-mem.db");
    let database = rusqlite::Connection::open(&path).unwrap();
    database
        .execute_batch(
            "CREATE TABLE observations (id INTEGER PRIMARY KEY, project TEXT, title TEXT, narrative TEXT, facts TEXT, concepts TEXT,
                 created_at_epoch INTEGER);
             INSERT INTO observations VALUES (1, 'shop', 'Pool is too small', 'The pool held fifty connections.',
                 '[\"the job asks for sixty\"]', '[\"gotcha\"]', 1740823200000);
             CREATE TABLE session_summaries (id INTEGER PRIMARY KEY, project TEXT, request TEXT, learned TEXT, completed TEXT,
                 created_at_epoch INTEGER);
             INSERT INTO session_summaries VALUES (1, 'shop', 'make the deploy pass', 'raise the pool first', 'the deploy passed',
                 1740823200000);
             CREATE TABLE user_prompts (id INTEGER PRIMARY KEY, prompt_text TEXT);
             INSERT INTO user_prompts VALUES (1, 'make the deploy pass'), (2, 'and now?');",
        )
        .unwrap();
    drop(database);
    let before = fs::read(&path).unwrap();
    import(&home, &path, 2);
    assert_eq!(fs::read(&path).unwrap(), before, "another tool's database is not touched");
    let hit = first(&home, "how many connections did the pool hold");
    assert!(hit["text"].as_str().unwrap().contains("sixty"), "{hit}");
    assert_eq!(hit["created_at"], "2025-03-01T10:00:00Z");
    let episode = first(&home, "make the deploy pass");
    assert_eq!(episode["kind"], "episode", "{episode}");
    let again = home.run(&["import", path.to_str().unwrap()]);
    assert!(again.err.contains("left out 2 prompts of sessions"), "{}", again.err);
}

#[test]
fn a_folder_of_markdown_becomes_notes() {
    let home = Home::new();
    put(&home, "notes/deploy.md", "---\ntitle: Deploy\ntags: [ops, 部署]\n---\nStaging needs the VPN.\n");
    put(&home, "notes/deep/pool.md", "# Pool\n\nThe pool holds fifty connections.\n");
    put(&home, "notes/empty.md", "\n");
    put(&home, "notes/picture.png", "no text");
    import(&home, &home.work().join("notes"), 2);
    let hit = first(&home, "does staging need the VPN");
    assert!(hit["tags"].as_array().unwrap().contains(&"部署".into()), "{hit}");
    assert!(first(&home, "pool connections")["text"].as_str().unwrap().contains("fifty"));
}

#[test]
fn the_way_of_a_record_can_be_followed() {
    let home = Home::new();
    let id = home.remember("the staging deploy needs the VPN");
    let context =
        home.run(&["recall", "context", "--budget", "500", "--run", "run-7", "how do I run the staging deploy?"]);
    assert!(context.out.contains("VPN"), "{}", context.out);
    let events = [
        json!({ "event": "run.started", "run": "run-7", "at": "2026-05-01T10:00:00Z", "task": "deploy to staging", "agent": "a" }),
        json!({ "event": "run.finished", "run": "run-7", "at": "2026-05-01T10:01:00Z", "outcome": "success", "reason": "the smoke test passed",
            "duration_ms": 60_000 }),
    ];
    let lines: String = events.iter().map(|event| format!("{event}\n")).collect();
    let done = home.run_with(&["experience", "record"], lines);
    assert_eq!(done.code, 0, "{}", done.err);
    let said = home.run(&["audit", "--record", &id[..13]]).out;
    for part in [
        "said by     user (trusted)",
        "came in by  cli",
        "belongs to  ana",
        "injected    1 time",
        "run run-7",
        "success",
        "for: how do I run",
    ] {
        assert!(said.contains(part), "{part} in {said}");
    }
    let trace = home.json(&["audit", "--record", &id]);
    assert_eq!(trace["injections"][0]["outcome"], "success", "{trace}");
    assert_eq!(home.run(&["audit", "--record", "ffffffff"]).code, 1);
}

//! Clocks that stand wrong or jump while a program runs: errors say so, the order of writing holds, nothing is lost.
//!
//! `faketime` gives a process another clock; where it is not there the tests say by name that they were skipped.

use std::fs;
use std::process::{Command, Output};
use std::sync::Arc;

use reqwest::Method;
use serde_json::{Value, json};

use crate::home::{Home, id_of};
use crate::server::{SERVE, Server};
use crate::web::Web;

/// Runs the binary under another clock.
fn at(home: &Home, clock: &str, arguments: &[&str]) -> Output {
    let plain = home.command(arguments);
    let mut command = Command::new("faketime");
    command.args(["-f", clock]).arg(plain.get_program()).args(plain.get_args()).current_dir(home.outside());
    command.envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.output().unwrap()
}

fn can_fake(name: &str) -> bool {
    let works = Command::new("faketime").args(["-f", "-1d", "date"]).output();
    let works = works.is_ok_and(|output| output.status.success());
    if !works {
        eprintln!("skipped: {name} (faketime is not there)");
    }
    works
}

fn good(output: &Output, what: &str) -> String {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{what}: {errors}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn writes_under_wrong_clocks_are_found_in_their_order() {
    if !can_fake("writes_under_wrong_clocks_are_found_in_their_order") {
        return;
    }
    let home = Home::new();
    let mut ids = vec![home.remember("the pool of staging, said first")];
    for clock in ["-1d", "+3650d", "-9000d", "+0d"] {
        let written = at(&home, clock, &["--json", "remember", &format!("the pool of staging, said at {clock}")]);
        ids.push(id_of(&good(&written, clock)));
    }
    ids.push(home.remember("the pool of staging, said last"));
    // The log keeps the order of writing, whatever the clocks said.
    let exported = home.run(&["export", "-"]);
    let order: Vec<String> = exported.lines().filter(|line| line.contains("\"line\":\"record\"")).map(id_of).collect();
    let mut sorted = ids.clone();
    sorted.sort();
    sorted.dedup();
    assert_eq!(sorted.len(), ids.len(), "ids that are made under wrong clocks are still one each");
    assert!(ids.iter().all(|id| order.contains(id)));
    let seqs: Vec<i64> = ids
        .iter()
        .map(|id| {
            let database = rusqlite::Connection::open(home.path().join("store.db")).unwrap();
            let bytes = *uuid::Uuid::parse_str(id).unwrap().as_bytes();
            let select = "SELECT seq FROM changes JOIN records USING (row) WHERE id = ?1";
            database.query_row(select, [bytes], |row| row.get(0)).unwrap()
        })
        .collect();
    assert_eq!(seqs, [1, 2, 3, 4, 5, 6]);
    for indexed in [false, true] {
        for clock in ["-1d", "+0d", "+3650d", "-20000d"] {
            let search = ["--json", "recall", "search", "--mode", "text", "-n", "20", "pool of staging"];
            let answer: Value = serde_json::from_str(&good(&at(&home, clock, &search), clock)).unwrap();
            let hits = answer["hits"].as_array().unwrap();
            assert_eq!(hits.len(), ids.len(), "indexed: {indexed}, at {clock}");
            for hit in hits {
                let score = hit["score"].as_f64().expect("a number, not NaN");
                assert!((0.0..=1.0).contains(&score), "{hit}");
            }
            for arguments in [
                &["recall", "search", "--explain", "staging"][..],
                &["recall", "context", "--budget", "500", "pool of staging"],
                &["status"],
                &["experience", "report"],
            ] {
                let output = at(&home, clock, arguments);
                let said = String::from_utf8_lossy(&output.stdout);
                let errors = String::from_utf8_lossy(&output.stderr);
                assert!(output.status.code().is_some_and(|code| code < 2), "{clock} {arguments:?}: {errors}");
                assert!(!said.contains("NaN") && !errors.contains("panicked"), "{clock} {arguments:?}: {said}{errors}");
            }
        }
        good(&at(&home, "-1d", &["index", "follow", "--idle", "0"]), "follow a day back");
    }
    let doctor = home.output(&["doctor"]);
    assert!(String::from_utf8_lossy(&doctor.stdout).contains("more than a day ahead"));
    let doctor = at(&home, "-10000d", &["doctor"]);
    assert!(String::from_utf8_lossy(&doctor.stdout).contains("which cannot be"), "{doctor:?}");
    // What was forgotten under a clock that stood back or ahead comes back under the right one.
    for clock in ["-1d", "+3d"] {
        good(&at(&home, clock, &["forget", &ids[0]]), clock);
        assert!(!home.notes().contains(&ids[0]));
        home.run(&["forget", "--undo", &ids[0]]);
    }
    assert_eq!(home.notes().len(), ids.len());
    home.assert_no_gap();
}

#[test]
fn a_server_whose_clock_jumps_back_a_day_keeps_the_order_and_answers() {
    if !can_fake("a_server_whose_clock_jumps_back_a_day_keeps_the_order_and_answers") {
        return;
    }
    let home = Arc::new(Home::new());
    let clock = home.outside().join("clock");
    fs::write(&clock, "+0d").unwrap();
    let plain = home.command(&SERVE);
    let mut command = Command::new("faketime");
    command.args(["-f", "+0d"]).arg(plain.get_program()).args(plain.get_args()).current_dir(home.outside());
    command.envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.env("FAKETIME_TIMESTAMP_FILE", &clock).env("FAKETIME_NO_CACHE", "1").env_remove("FAKETIME");
    let web = Web::of(Server::spawn(home.clone(), command));
    let mut ids = Vec::new();
    for (number, jump) in ["+0d", "-1d", "+400d", "-400d", "+0d"].into_iter().enumerate() {
        fs::write(&clock, jump).unwrap();
        let note = json!({ "text": format!("the pool of staging has {number} slots") });
        let (status, said) = web.own(Method::POST, "/v1/notes", Some(&note));
        assert_eq!(status, 201, "{jump}: {said}");
        ids.push(id_of(&said));
        let question = json!({ "query": "pool of staging", "limit": 20 });
        let (status, said) = web.own(Method::POST, "/v1/recall", Some(&question));
        assert_eq!(status, 200, "{jump}: {said}");
        let answer: Value = serde_json::from_str(&said).unwrap();
        assert_eq!(answer["hits"].as_array().unwrap().len(), ids.len(), "{jump}: {said}");
    }
    let (_, events) = web.own(Method::GET, "/v1/events?after=1-0&follow=false", None);
    let told: Vec<String> =
        events.lines().filter_map(|line| line.strip_prefix("data:")).map(|data| id_of(data.trim())).collect();
    assert_eq!(told, ids, "events come in the order of writing");
    drop(web);
    home.assert_no_gap();
}

#[test]
fn what_was_forgotten_comes_back_until_its_deadline_and_then_never() {
    if !can_fake("what_was_forgotten_comes_back_until_its_deadline_and_then_never") {
        return;
    }
    let home = Home::new();
    let (early, late) = (home.remember("the xylophone of the hall"), home.remember("the quokka of the yard"));
    good(&at(&home, "-31d", &["forget", &early]), "forget a month ago");
    good(&at(&home, "-29d", &["forget", &late]), "forget within the month");
    let refused = home.output(&["forget", "--undo", &early]);
    let errors = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(2), "{errors}");
    home.run(&["forget", "--due"]);
    assert_eq!(crate::ownership::stands_in(&home.path(), b"xylophone"), Vec::<String>::new());
    home.run(&["forget", "--undo", &late]);
    assert_eq!(home.search_ids("quokka"), [late]);
    assert_eq!(home.search_ids("xylophone"), Vec::<String>::new());
    home.assert_well();
}

#[test]
fn a_log_that_was_folded_sends_an_older_cursor_back_to_the_beginning() {
    if !can_fake("a_log_that_was_folded_sends_an_older_cursor_back_to_the_beginning") {
        return;
    }
    let home = Home::new();
    let notes: String = (0..1_300)
        .map(|number| {
            json!({"type": "entity", "name": format!("shard {number}"), "entityType": "shard", "observations": ["holds a pool"]}).to_string()
                + "\n"
        })
        .collect();
    let file = home.outside().join("memory.json");
    fs::write(&file, notes).unwrap();
    good(&at(&home, "-9d", &["import", file.to_str().unwrap()]), "import nine days ago");
    let last = home.remember("written today");
    let first = |home: &Home| -> i64 {
        let database = rusqlite::Connection::open(home.path().join("store.db")).unwrap();
        database.query_row("SELECT min(seq) FROM changes", [], |row| row.get(0)).unwrap()
    };
    // No index is past it yet, or one is: what is folded is what every index has.
    home.output(&["forget", "--due"]);
    home.run(&["index", "follow", "--idle", "0"]);
    home.output(&["forget", "--due"]);
    assert!(first(&home) > 1_000, "it begins at {}", first(&home));
    home.run(&["doctor"]);
    let web = Web::start(home);
    let (status, said) = web.own(Method::GET, "/v1/events?after=1-10&follow=false", None);
    assert_eq!(status, 200);
    let id = said.lines().find_map(|line| line.strip_prefix("id:")).unwrap_or_default().trim().to_owned();
    assert!(said.contains("event: reset") && id == "1-1301", "{said}");
    // From there on it goes on as ever.
    web.own(Method::POST, "/v1/notes", Some(&json!({ "text": "written after that" })));
    let (_, said) = web.own(Method::GET, &format!("/v1/events?after={id}&follow=false"), None);
    assert!(said.contains("event: put") && !said.contains("reset"), "{said}");
    let home = web.server.home.clone();
    drop(web);
    home.run(&["index", "rebuild"]);
    assert_eq!(home.search_ids("written today").first(), Some(&last));
    home.run(&["doctor"]);
}

//! Everything that `doctor` looks at, broken one after the other: each is named with what it means and what to do, and
//! doing that, or `--fix` where it is safe, mends it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use harness_index::FollowLock;
use harness_index::embed::source::ModelFiles;
use harness_recall::Engine;
use harness_recall::models::model_folder;
use serde_json::{Value, json};

use crate::bit_flips::copy;
use crate::home::Home;

/// What `doctor` finds wrong: the check, the code and the hint of each.
fn wrong(home: &Home, arguments: &[&str]) -> Vec<(String, String, String)> {
    let output = home.output(&[&["--json", "doctor"], arguments].concat());
    let lines = String::from_utf8(output.stdout).unwrap();
    let checks = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let word = |check: &Value, field: &str| check[field].as_str().unwrap_or_default().to_owned();
    let wrong: Vec<_> = checks
        .filter(|check| check["ok"] == false && check["check"] != "disk")
        .map(|check| (word(&check, "check"), word(&check, "code"), word(&check, "hint")))
        .collect();
    assert!(wrong.iter().all(|(_, _, hint)| !hint.is_empty()), "a finding without what to do: {wrong:?}");
    wrong
}

fn codes(home: &Home, arguments: &[&str]) -> Vec<String> {
    wrong(home, arguments).into_iter().map(|(_, code, _)| code).collect()
}

/// A home with so many records, a model and both indexes, and nobody at work there.
fn filled(records: usize) -> Home {
    let home = Home::new();
    fs::create_dir(home.path()).unwrap();
    fs::set_permissions(home.path(), fs::Permissions::from_mode(0o700)).unwrap();
    fs::write(home.path().join("config.toml"), "[follow]\nidle_seconds = 1\n").unwrap();
    let notes: String = (0..records)
        .map(|number| {
            let text = format!("the pool of shard {} held fifty connections 连接池", number * 7);
            let entity = json!({"type": "entity", "name": format!("shard {number}"), "entityType": "shard", "observations": [text]});
            format!("{entity}\n")
        })
        .collect();
    let file = home.outside().join("memory.json");
    fs::write(&file, notes).unwrap();
    home.run(&["import", file.to_str().unwrap()]);
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../index/tests/fixtures/tiny-xlm-r");
    ModelFiles::open(&[&model]).unwrap().install(&model_folder(&home.path(), "tiny"), "tiny", &[]).unwrap();
    let patience = Instant::now() + Duration::from_secs(60);
    while !home.followers().is_empty() && Instant::now() < patience {
        std::thread::sleep(Duration::from_millis(50));
    }
    home.run(&["index", "follow", "--idle", "0"]);
    let engine = Engine::open(&home.path()).unwrap().with_own_model();
    engine.embed(&mut |_, _| true).unwrap();
    drop(engine);
    assert_eq!(codes(&home, &[]), Vec::<String>::new());
    home
}

fn sql(home: &Home, statement: &str) {
    rusqlite::Connection::open(home.path().join("store.db")).unwrap().execute_batch(statement).unwrap();
}

#[test]
fn what_can_be_mended_at_no_loss_is_named_and_mended() {
    let home = filled(30);
    let rest = home.outside().join("rest");
    copy(&home.path(), &rest);
    type Break = (&'static str, &'static str, Box<dyn Fn(&Home)>);
    let breaks: Vec<Break> = vec![
        (
            "home",
            "open",
            Box::new(|home: &Home| {
                fs::set_permissions(home.path(), fs::Permissions::from_mode(0o755)).unwrap();
            }),
        ),
        (
            "home",
            "left-over",
            Box::new(|home: &Home| fs::create_dir(home.path().join(".copy.db-999999999.partial")).unwrap()),
        ),
    ];
    for (check, code, make) in &breaks {
        let _ = fs::remove_dir_all(home.path());
        copy(&rest, &home.path());
        fs::set_permissions(home.path(), fs::Permissions::from_mode(0o700)).unwrap();
        make(&home);
        let found = wrong(&home, &[]);
        assert!(found.iter().any(|(c, k, _)| c == check && k.contains(code)), "{check} {code}: {found:?}");
        assert_eq!(codes(&home, &["--fix"]), Vec::<String>::new(), "{check} {code} is mended");
        assert_eq!(codes(&home, &[]), Vec::<String>::new(), "{check} {code} stays mended");
    }
}

#[test]
fn the_command_that_is_named_mends_it() {
    let home = filled(30);
    fs::set_permissions(home.path(), fs::Permissions::from_mode(0o755)).unwrap();
    fs::create_dir(home.path().join(".copy.db-999999999.partial")).unwrap();
    let found = wrong(&home, &[]);
    assert_eq!(found.len(), 2, "{found:?}");
    for (_, _, hint) in found {
        // What a person reads there is what a person types.
        let command = hint.rsplit_once("running: ").map_or(hint.as_str(), |(_, command)| command);
        assert!(Command::new("sh").args(["-c", command]).status().unwrap().success(), "{command}");
    }
    assert_eq!(codes(&home, &[]), Vec::<String>::new());
}

#[test]
fn damage_to_the_store_is_named_stays_named_and_goes_with_a_backup_put_back() {
    let home = filled(30);
    let copy_of = home.outside().join("copy.db");
    home.run(&["backup", copy_of.to_str().unwrap()]);
    for (code, statement) in [
        ("row-damaged", "UPDATE records SET pinned = 1 WHERE row = 3"),
        ("row-missing", "DELETE FROM records WHERE row = 4"),
        ("log-damaged", "DELETE FROM changes WHERE seq = 5"),
        ("log-damaged", "UPDATE changes SET at_ms = at_ms - 1 WHERE seq = 6"),
    ] {
        sql(&home, statement);
        for arguments in [&[][..], &["--fix"], &[]] {
            let found = codes(&home, arguments);
            assert!(found.iter().any(|found| found == code), "{statement}: {found:?}");
        }
        home.run(&["restore", copy_of.to_str().unwrap()]);
        home.run(&["index", "rebuild"]);
        let found = codes(&home, &["--fix"]);
        assert_eq!(found, Vec::<String>::new(), "{statement}");
    }
}

#[test]
fn indexes_are_made_from_the_records_where_the_log_has_a_gap() {
    let home = filled(30);
    sql(&home, "DELETE FROM changes WHERE seq = 7");
    home.run(&["index", "rebuild"]);
    // The gap, and the row whose change is gone.
    assert_eq!(codes(&home, &[]), ["log-damaged"; 2], "the indexes fit");
    // Nothing is left of them, and the gap is met on the way.
    fs::remove_dir_all(home.path().join("index")).unwrap();
    let found = home.search_ids("the pool of shard 7 held fifty connections");
    assert!(!found.is_empty());
    let output = home.output(&["doctor", "--fix"]);
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.ends_with("2 findings\n"), "{said}");
    home.remember("written behind the gap");
    home.run(&["index", "follow", "--idle", "0"]);
    assert_eq!((home.lag(), codes(&home, &[])), (0, vec!["log-damaged".to_owned(); 2]));
    assert_eq!(home.search_ids("written behind the gap").len(), 1);
}

#[test]
fn what_cannot_be_mended_is_said_and_the_rest_is() {
    let home = filled(300);
    fs::remove_dir_all(home.path().join("index")).unwrap();
    // No folder can be made where a file is.
    fs::write(home.path().join("index"), "").unwrap();
    fs::create_dir(home.path().join(".copy.db-999999999.partial")).unwrap();
    let output = home.output(&["doctor", "--fix"]);
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("mended: ") && said.contains("it could not be mended: "), "{said}");
    assert!(said.lines().last().unwrap().contains("finding"), "{said}");
}

#[test]
fn an_index_that_is_just_being_made_is_no_finding() {
    let home = filled(300);
    fs::remove_dir_all(home.path().join("index")).unwrap();
    assert_eq!(codes(&home, &[]), ["index-missing"]);
    let lock = FollowLock::try_take(&home.path().join("index")).unwrap().unwrap();
    let output = home.output(&["doctor"]);
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("it is being made, by process"), "{said}");
    drop(lock);
    assert_eq!(codes(&home, &[]), ["index-missing"]);
}

#[test]
fn a_store_that_somebody_holds_is_named() {
    let home = filled(30);
    let holder = rusqlite::Connection::open(home.path().join("store.db")).unwrap();
    holder.execute_batch("BEGIN IMMEDIATE").unwrap();
    let found = wrong(&home, &[]);
    assert!(
        found.iter().any(|(check, code, hint)| check == "lock" && code == "stuck" && hint.contains("fuser")),
        "{found:?}"
    );
    holder.execute_batch("ROLLBACK").unwrap();
    assert_eq!(codes(&home, &[]), Vec::<String>::new());
}

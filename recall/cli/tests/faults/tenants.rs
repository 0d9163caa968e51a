//! Two tenants with the same texts: nothing of the one comes out where the other asks.

use std::fs;

use reqwest::Method;
use serde_json::{Value, json};

use crate::client::Client;
use crate::home::{Home, id_of, rounds};
use crate::web::Web;

/// Two tenants with teams: the same texts, but for one word that tells whose they are.
pub(crate) fn filled() -> Home {
    let home = Home::new();
    for tenant in ["acme", "globex"] {
        for team in ["", "/red", "/blue"] {
            let scope = format!("{tenant}{team}");
            for number in 0..4 {
                let text = format!("the deploy password rotates on day {number} 部署 secretof{tenant}");
                home.run(&["remember", "--scope", &scope, &text]);
            }
            home.run(&["remember", "--scope", &scope, "the deploy of the shop waits: the same words everywhere"]);
            let episode = json!({"situation": format!("deploy the shop secretof{tenant}"), "outcome": "success", "reason": format!("secretof{tenant} said so")});
            let file = home.outside().join("episode.json");
            fs::write(&file, episode.to_string()).unwrap();
            let output = home
                .command(&["episode", "record", "--json", "--scope", &scope])
                .stdin(fs::File::open(&file).unwrap())
                .output()
                .unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        }
        let transcript = home.outside().join(format!("{tenant}.jsonl"));
        let line = json!({"type": "user", "uuid": "the-same", "sessionId": "the-same", "cwd": "/srv/shop", "version": "2.1.0",
            "timestamp": "2026-05-01T10:00:00.000Z", "message": {"role": "user", "content": format!("why does the deploy of secretof{tenant} wait?")}});
        fs::write(&transcript, format!("{line}\n")).unwrap();
        home.run(&["session", "import", "--scope", &format!("{tenant}/red"), transcript.to_str().unwrap()]);
    }
    home
}

#[test]
fn nothing_crosses_between_two_tenants_by_any_way_out() {
    let home = filled();
    let export = home.outside().join("export.jsonl");
    let mut dice = 11_u64;
    for round in 0..rounds(8, 100) {
        if round == 4 {
            home.run(&["index", "follow", "--idle", "0"]);
        }
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let (mine, theirs) = if dice >> 60 & 1 == 0 { ("acme", "globex") } else { ("globex", "acme") };
        let scope = match dice >> 40 & 3 {
            0 => mine.to_owned(),
            1 => format!("={mine}"),
            2 => format!("{mine}/red"),
            _ => format!("{mine}/blue"),
        };
        let foreign = format!("secretof{theirs}");
        for question in ["deploy password", "部署", "why does the deploy wait", &foreign] {
            let _ = fs::remove_file(&export);
            for arguments in [
                &["--json", "recall", "search", "--mode", "text", "-n", "50", "--scope", &scope, question][..],
                &["recall", "search", "--explain", "--scope", &scope, question],
                &["--json", "session", "list", "--scope", &scope],
                &["--json", "episode", "list", "--scope", &scope],
                &["export", "--scope", &scope, "-"],
            ] {
                let output = home.output(arguments);
                let said =
                    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
                let said = said.replace(&format!("\"{foreign}\""), "");
                if question != foreign {
                    assert!(!said.contains(&foreign), "{arguments:?}: {said}");
                } else if arguments.contains(&"--json") && arguments.contains(&"search") {
                    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
                    let crossing =
                        answer["hits"].as_array().unwrap().iter().any(|hit| hit.to_string().contains(&foreign));
                    assert!(!crossing, "{arguments:?}: {said}");
                }
            }
        }
    }
}

#[test]
fn the_same_transcript_of_two_tenants_is_two_sessions() {
    let home = filled();
    let messages = home.messages();
    assert_eq!(messages, 2);
    let one = id_of(&home.run(&["--json", "remember", "--scope", "acme", "to be forgotten by acme alone"]));
    home.run(&["forget", &one]);
    home.run(&["forget", "--session", "the-same"]);
    home.assert_well();
}

#[test]
fn what_somebody_else_says_of_a_record_in_their_own_scope_is_not_told() {
    let home = Home::new();
    let mine = id_of(&home.run(&["--json", "remember", "--scope", "a", "the pool of the shop is fifty"]));
    let theirs = &["--json", "remember", "--scope", "b", "the pool of the shop is sixty", "--replaces", &mine];
    let theirs = id_of(&home.run(theirs));
    let made: Value = serde_json::from_str(&home.run(&["--json", "token", "new", "--scope", "a"])).unwrap();
    let token = made["token"].as_str().unwrap().to_owned();
    let web = Web::start(home);
    let path = format!("/v1/records/{mine}");
    let asked = json!({ "query": "the pool of the shop", "mode": "text" });
    for (method, path, body) in [
        (Method::POST, "/v1/recall", Some(&asked)),
        (Method::GET, path.as_str(), None),
        (Method::PATCH, &path, Some(&json!({ "pinned": true }))),
    ] {
        let (status, said) = web.call(&token, method.clone(), path, body);
        assert!(status == 200 && said.contains(&mine) && !said.contains(&theirs), "{method} {path}: {status} {said}");
        assert!(!said.contains("replaced"), "nor is it ranked by it: {said}");
    }
    let (status, said) = web.own(Method::GET, &path, None);
    assert!(status == 200 && said.contains(&theirs), "who may read both is told: {said}");
    // Whether somebody else corrected it does not keep its owner from doing so.
    let (status, said) = web.call(&token, Method::PATCH, &path, Some(&json!({ "text": "the pool is seventy" })));
    assert!(status == 200 && !said.contains(&theirs), "{status} {said}");
}

#[test]
fn writing_to_a_read_only_scope_by_the_service_is_refused_as_such() {
    let home = Home::new();
    let id = id_of(&home.run(&["--json", "remember", "--scope", "team/handbook", "the handbook"]));
    fs::write(home.path().join("config.toml"), "read_only = [\"team\"]\n").unwrap();
    let mut web = Web::start(home);
    let note = json!({ "text": "x", "scope": "team/handbook" });
    for (method, path, body) in
        [(Method::POST, "/v1/notes".to_owned(), Some(&note)), (Method::DELETE, format!("/v1/records/{id}"), None)]
    {
        let (status, said) = web.own(method.clone(), &path, body);
        let problem: Value = serde_json::from_str(&said).unwrap();
        assert_eq!((status, &problem["code"]), (403, &json!("read-only-scope")), "{method} {path}: {said}");
    }
    let mut client = Client::start(&web.server.home.clone(), &[]);
    let call = json!({ "name": "memory_forget", "arguments": { "ids": [id] } });
    let refused = client.ask("tools/call", call);
    assert!(refused["isError"] == true && refused.to_string().contains("read-only-scope"), "{refused}");
    web.server.signal("-TERM");
    let (_, log) = web.server.ended();
    assert!(!log.contains("ERROR"), "{log}");
}

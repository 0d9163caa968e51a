//! `harness serve` as programs use it: writing, asking, changing, listing, listening.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod home;
mod server;

use std::io::Write;
use std::process::Stdio;
use std::time::{Duration, Instant};

use futures::StreamExt;
use harness_memory::http::Client;
use harness_memory::{HttpMemory, ReadSet, Scope};
use reqwest::Method;
use serde_json::{Value, json};
use server::{Server, good, problem};

#[tokio::test]
async fn what_is_written_over_http_is_found_by_the_command_line_and_the_reverse() {
    let server = Server::start();
    let written =
        server.post("/v1/notes", &json!({ "text": "staging deploys need the VPN 部署前先连", "tags": ["ops"] })).await;
    assert_eq!(
        (&written["kind"], &written["scope"], &written["created"]),
        (&"note".into(), &"ana".into(), &true.into())
    );
    assert_eq!(server.home.search_ids("部署"), [written["id"].as_str().unwrap()]);
    let id = server.home.remember("the pool holds fifty connections");
    assert_eq!(server.found("how many connections").await.first(), Some(&id));
    // The types are the same on both ways.
    let by_http = server.post("/v1/recall", &json!({ "query": "pool", "mode": "text", "now": "2030-01-01" })).await;
    let by_cli = server.home.run(&["--json", "recall", "search", "--mode", "text", "pool"]);
    let by_cli: Value = serde_json::from_str(&by_cli).unwrap();
    let names = |answer: &Value| answer["hits"][0].as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&by_http), names(&by_cli));
    let record = server.get(&format!("/v1/records/{id}")).await;
    let shown: Value = serde_json::from_str(&server.home.run(&["--json", "recall", "show", &id])).unwrap();
    assert_eq!(record, shown);
}

#[tokio::test]
async fn a_hook_is_answered_by_the_server_where_one_of_the_same_user_runs() {
    let server = Server::start();
    server.home.remember("the staging deploy needs the VPN, and the flag --slow");
    let input = json!({"hook_event_name": "UserPromptSubmit", "session_id": "s-1", "cwd": server.home.outside(),
                       "prompt": "how do I run the staging deploy?", "transcript_path": null});
    let call = |user: &str| {
        let mut command = server.home.command(&["hook", "claude-code"]);
        command.env("HARNESS_USER", user).env("HARNESS_HOOK_MS", "30000");
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        write!(child.stdin.take().unwrap(), "{input}").unwrap();
        String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap()
    };
    // Over the socket in the home where there are such, over HTTP elsewhere.
    let answered = async || {
        let metrics = server.ask(Method::GET, "/metrics").send().await.unwrap().text().await.unwrap();
        metrics.lines().any(|line| {
            line.starts_with("harness_requests_total") && line.contains("/v1/hooks")
                || line.strip_prefix("harness_errands_total ").is_some_and(|count| count != "0")
        })
    };
    assert_eq!((call("bo"), answered().await), (String::new(), false), "another user's hook was answered");
    let config = server.home.path().join("config.toml");
    std::fs::write(&config, "[hooks]\ntokens = 900\n").unwrap();
    assert!(call("ana").contains("needs the VPN"));
    if cfg!(unix) {
        assert!(!answered().await, "a server that read other settings answered");
    }
    std::fs::remove_file(&config).unwrap();
    assert!(call("ana").contains("needs the VPN"));
    assert!(answered().await);
    let store = rusqlite::Connection::open(server.home.path().join("store.db")).unwrap();
    let runs: i64 = store.query_row("SELECT count(*) FROM exposures WHERE run = 's-1'", [], |row| row.get(0)).unwrap();
    assert_eq!(runs, 2);
}

#[tokio::test]
async fn a_request_that_is_sent_again_adds_nothing() {
    let server = Server::start();
    let send = |key: &'static str, text: &'static str| {
        server.ask(Method::POST, "/v1/notes").header("Idempotency-Key", key).json(&json!({ "text": text })).send()
    };
    let first = send("a", "said once").await.unwrap();
    assert_eq!(first.status(), 201);
    let place = first.headers()["location"].to_str().unwrap().to_owned();
    let first = good(first).await;
    assert_eq!(place, format!("/v1/records/{}", first["id"].as_str().unwrap()));
    let again = send("a", "said once").await.unwrap();
    assert_eq!(again.status(), 200);
    let again = good(again).await;
    assert_eq!((&again["id"], &again["created"]), (&first["id"], &false.into()));
    assert_ne!(good(send("b", "said once").await.unwrap()).await["id"], first["id"]);
    assert_eq!(problem(send("a", "said otherwise").await.unwrap()).await, (409, "idempotency-key-reused".into()));
}

#[tokio::test]
async fn hits_come_session_by_session_where_sessions_are_asked_for() {
    let server = Server::start();
    for (session, texts) in [
        ("one", vec!["the heron nests by the mill", "the heron again", "a heron once more", "and the heron left"]),
        ("two", vec!["a heron by the mill", "it rains"]),
    ] {
        let said: Vec<Value> = texts.iter().map(|text| json!({ "role": "user", "text": text })).collect();
        server.post(&format!("/v1/sessions/{session}/messages"), &said.into()).await;
    }
    let asked = json!({ "query": "heron by the mill", "limit": 20, "by_session": true });
    let answer = server.post("/v1/recall", &asked).await;
    let sessions: Vec<&str> =
        answer["hits"].as_array().unwrap().iter().map(|hit| hit["session"].as_str().unwrap()).collect();
    let mut changes = sessions.clone();
    changes.dedup();
    assert_eq!(changes.len(), 2, "{sessions:?}");
    assert_eq!(sessions.iter().filter(|name| **name == "one").count(), 3, "three of a session: {sessions:?}");
    let context = json!({ "task": "heron by the mill", "kinds": ["lesson"], "until": "2020-01-01T00:00:00Z" });
    assert_eq!(server.post("/v1/context", &context).await["text"], "");
}

#[tokio::test]
async fn a_list_of_notes_or_episodes_is_written_whole_or_not_at_all() {
    let server = Server::start();
    let send =
        |path: &str, body: Value| server.ask(Method::POST, path).header("Idempotency-Key", "list").json(&body).send();
    let notes =
        json!([{ "text": "the heron waits" }, { "text": "der Reiher wartet", "tags": ["de"] }, { "text": "鹭在等" }]);
    let first = send("/v1/notes", notes.clone()).await.unwrap();
    assert_eq!(first.status(), 201);
    let first = good(first).await;
    assert_eq!(first.as_array().map(Vec::len), Some(3), "{first}");
    let again = send("/v1/notes", notes).await.unwrap();
    assert_eq!(again.status(), 200);
    let again = good(again).await;
    assert!(
        again.as_array().unwrap().iter().zip(first.as_array().unwrap()).all(|(a, b)| a["id"] == b["id"]),
        "{again}"
    );
    let shorter = send("/v1/notes", json!([{ "text": "the heron waits" }, { "text": "not the same" }])).await.unwrap();
    assert_eq!(problem(shorter).await, (409, "idempotency-key-reused".into()));

    let bad = json!([{ "situation": "deploy" }, { "situation": "deploy", "outcome": "splendid" }]);
    let refused = server.ask(Method::POST, "/v1/episodes").json(&bad).send().await.unwrap();
    assert_eq!(refused.status(), 400);
    let said: Value = refused.json().await.unwrap();
    assert!(said["detail"].as_str().unwrap().contains("number 2"), "{said}");
    for empty in [json!([]), vec![json!({ "text": "x" }); 1_001].into()] {
        let refused = server.ask(Method::POST, "/v1/notes").json(&empty).send().await.unwrap();
        assert_eq!(refused.status(), 400);
    }
    let episodes =
        json!([{ "situation": "deploy to staging", "outcome": "success" }, { "situation": "run the tests" }]);
    let written = good(server.ask(Method::POST, "/v1/episodes").json(&episodes).send().await.unwrap()).await;
    assert!(
        written.as_array().unwrap().iter().all(|one| one["kind"] == "episode" && one["created"] == true),
        "{written}"
    );
    assert_eq!(server.home.notes().len(), 3);
}

#[tokio::test]
async fn a_key_of_one_request_is_refused_to_another_and_nothing_is_kept() {
    let server = Server::start();
    let reused = (409, "idempotency-key-reused".to_owned());
    let send = |method: Method, path: &str, key: &str, body: Value| {
        server.ask(method, path).header("Idempotency-Key", key).json(&body).send()
    };
    let said = |texts: &[&str]| -> Value {
        texts.iter().map(|text| json!({ "role": "user", "text": text })).collect::<Vec<_>>().into()
    };
    let path = "/v1/sessions/s/messages";
    let first = good(send(Method::POST, path, "m1", said(&["aaa"])).await.unwrap()).await;
    for other in [said(&["bbb", "ccc"]), said(&["aaa", "ccc"])] {
        assert_eq!(problem(send(Method::POST, path, "m1", other).await.unwrap()).await, reused);
    }
    assert_eq!(server.home.messages(), 1, "a refused request leaves nothing behind");
    let again = good(send(Method::POST, path, "m1", said(&["aaa"])).await.unwrap()).await;
    assert_eq!(again["messages"][0]["id"], first["messages"][0]["id"]);

    let note = |key: &'static str, text: &'static str| send(Method::POST, "/v1/notes", key, json!({ "text": text }));
    let kept = good(note("n1", "the first note").await.unwrap()).await;
    let episode = send(Method::POST, "/v1/episodes", "n1", json!({ "situation": "the first note" }));
    assert_eq!(problem(episode.await.unwrap()).await, reused, "a note is no episode");
    let other = server.note("another note").await;
    let other = format!("/v1/records/{other}");
    let corrected = send(Method::PATCH, &other, "n1", json!({ "text": "the first note" }));
    assert_eq!(problem(corrected.await.unwrap()).await, reused, "a correction is no new note");

    let own = format!("/v1/records/{}", kept["id"].as_str().unwrap());
    good(server.ask(Method::DELETE, &own).send().await.unwrap()).await;
    assert_eq!(problem(note("n1", "said since").await.unwrap()).await, reused, "what was forgotten said otherwise");
    let again = good(note("n1", "the first note").await.unwrap()).await;
    assert_eq!((&again["id"], &again["created"]), (&kept["id"], &false.into()));

    let patch = |text: &'static str| send(Method::PATCH, &other, "p1", json!({ "text": text, "tags": ["t"] }));
    let newer = good(patch("corrected").await.unwrap()).await;
    assert_eq!(good(patch("corrected").await.unwrap()).await["id"], newer["id"]);
    assert_eq!(problem(patch("corrected otherwise").await.unwrap()).await, reused);
}

#[tokio::test]
async fn a_key_names_one_request_with_all_that_it_says() {
    let server = Server::start();
    let send = |path: &str, key: &str, body: &Value| {
        server.ask(Method::POST, path).header("Idempotency-Key", key).json(body).send()
    };
    let one = json!({ "text": "one", "tags": ["a"] });
    for (path, key, first, others) in [
        (
            "/v1/episodes",
            "e",
            json!({ "situation": "x", "outcome": "failure" }),
            vec![json!({ "situation": "x", "outcome": "success", "lesson": "do y" })],
        ),
        ("/v1/notes", "l", json!([one, one, one]), vec![json!([one, one]), json!([one, one, one, one])]),
        (
            "/v1/notes",
            "n",
            one.clone(),
            vec![
                json!([one]),
                json!({ "text": "one", "tags": ["a"], "scope": "ana/shop" }),
                json!({ "text": "one", "tags": ["b"] }),
                json!({ "text": "one", "tags": ["a"], "pinned": true }),
                json!({ "text": "one", "tags": ["a"], "source": "other" }),
            ],
        ),
    ] {
        let written = good(send(path, key, &first).await.unwrap()).await;
        let count = server.get("/v1/status").await["store"]["records"].clone();
        for other in others {
            let refused = send(path, key, &other).await.unwrap();
            assert_eq!(problem(refused).await, (409, "idempotency-key-reused".into()), "{other}");
        }
        let again = good(send(path, key, &first).await.unwrap()).await;
        let ids = |said: &Value| match said.as_array() {
            Some(list) => list.iter().map(|one| one["id"].clone()).collect(),
            None => vec![said["id"].clone()],
        };
        assert_eq!(ids(&again), ids(&written));
        assert_eq!(server.get("/v1/status").await["store"]["records"], count, "{path} {key}");
    }
    // A retry is answered as the first try was, whatever became of what it replaced.
    let older = server.note("older").await;
    let newer = json!({ "text": "newer", "replaces": older });
    let written = good(send("/v1/notes", "r", &newer).await.unwrap()).await;
    good(server.ask(Method::DELETE, &format!("/v1/records/{older}")).send().await.unwrap()).await;
    let again = good(send("/v1/notes", "r", &newer).await.unwrap()).await;
    assert_eq!((&again["id"], &again["replaces"]), (&written["id"], &json!(older)));
}

#[tokio::test]
async fn a_write_answers_what_is_stored() {
    let server = Server::start();
    let older = server.note("older").await;
    let first = server.post("/v1/notes", &json!({ "text": "a", "key": "kk" })).await;
    let again = server.post("/v1/notes", &json!({ "text": "b", "key": "kk", "replaces": older })).await;
    assert_eq!((&again["id"], &again["created"]), (&first["id"], &false.into()));
    assert!(again["replaces"].is_null(), "nothing was replaced: {again}");
    assert!(server.get(&format!("/v1/records/{older}")).await["replaced_by"].is_null());
}

#[tokio::test]
async fn of_a_list_the_one_that_is_refused_is_named() {
    let server = Server::start();
    let older = server.note("older").await;
    let notes = server.home.notes();
    let good_one = json!({ "text": "ok" });
    for (bad, said) in [
        (json!({ "text": "  " }), "number 2: record refused"),
        (json!({ "text": "x", "tags": [" "] }), "number 2: record refused"),
        (json!({ "text": "x", "replaces": "01890000-0000-7000-8000-000000000001" }), "number 2: there is no record"),
        (json!({ "text": "x", "source": "" }), "number 2: a source"),
    ] {
        let refused = server.ask(Method::POST, "/v1/notes").json(&json!([good_one, bad])).send().await.unwrap();
        let problem: Value = refused.json().await.unwrap();
        assert!(problem["detail"].as_str().unwrap().starts_with(said), "{problem}");
    }
    let twice = json!([{ "text": "x", "replaces": older }, { "text": "y", "replaces": older }]);
    let refused = server.ask(Method::POST, "/v1/notes").json(&twice).send().await.unwrap();
    let said: Value = refused.json().await.unwrap();
    assert_eq!((&said["status"], &said["code"]), (&409.into(), &"replaced".into()), "{said}");
    assert!(
        said["detail"].as_str().unwrap().contains("number 2") && said["detail"].as_str().unwrap().contains("number 1")
    );
    let turns = json!([{ "role": "user", "text": "ok" }, { "role": "user", "text": " " }]);
    let refused = server.ask(Method::POST, "/v1/sessions/s/messages").json(&turns).send().await.unwrap();
    let said: Value = refused.json().await.unwrap();
    assert!(said["detail"].as_str().unwrap().starts_with("message 2: "), "{said}");
    assert_eq!(server.home.notes(), notes, "nothing was written");
}

#[tokio::test]
async fn what_is_forgotten_is_so_still_for_whoever_wrote_it() {
    let server = Server::start();
    let token: Value = serde_json::from_str(&server.home.run(&["--json", "token", "new", "--scope", "ana"])).unwrap();
    let token = token["token"].as_str().unwrap();
    let forget = async |ids: &[&str]| {
        let asked = server.http.post(format!("{}/v1/forget", server.url)).bearer_auth(token);
        good(asked.json(&json!({ "ids": ids })).send().await.unwrap()).await
    };
    let (one, two) = (server.note("one").await, server.note("two").await);
    let first = forget(&[&one]).await;
    assert_eq!(first["forgotten"], 1);
    std::thread::sleep(Duration::from_millis(5));
    let both = forget(&[&one, &two]).await;
    assert_eq!((&both["forgotten"], &both["undo_until"]), (&1.into(), &first["undo_until"]), "the earliest counts");
    let again = forget(&[&one]).await;
    assert_eq!((&again["forgotten"], &again["undo_until"]), (&0.into(), &first["undo_until"]));
    assert_eq!(server.found("two").await, [""; 0]);
}

#[tokio::test]
async fn a_record_is_named_by_the_beginning_of_its_id() {
    let server = Server::start();
    let id = server.note("what is named").await;
    let scoped = |scope: &str| format!("/v1/records/{}?scope={scope}", &id[..13]);
    assert_eq!(server.get(&format!("/v1/records/{}", &id[..13])).await["id"], id);
    assert_eq!(server.get(&scoped("ana")).await["id"], id);
    let token: Value = serde_json::from_str(&server.home.run(&["--json", "token", "new", "--scope", "eve"])).unwrap();
    let eve = server.http.get(format!("{}/v1/records/{}", server.url, &id[..13]));
    let eve = eve.bearer_auth(token["token"].as_str().unwrap()).send();
    assert_eq!(problem(eve.await.unwrap()).await, (404, "no-record".into()));
    for (path, expected) in [
        (scoped("eve"), (404, "no-record")),
        ("/v1/records/01890000-0000".to_owned(), (404, "no-record")),
        (format!("/v1/records/{}", &id[..7]), (400, "bad-request")),
        ("/v1/records/nothing-like-it".to_owned(), (400, "bad-request")),
    ] {
        let refused = server.ask(Method::GET, &path).send().await.unwrap();
        assert_eq!(problem(refused).await, (expected.0, expected.1.into()), "{path}");
    }
    let patched = server.ask(Method::PATCH, &format!("/v1/records/{}", &id[..13])).json(&json!({ "pinned": true }));
    assert_eq!(good(patched.send().await.unwrap()).await["id"], id);
}

#[tokio::test]
async fn what_expires_can_be_kept_after_all() {
    let server = Server::start();
    let note = server.post("/v1/notes", &json!({ "text": "for now", "expires_at": "2100-01-01" })).await;
    let path = format!("/v1/records/{}", note["id"].as_str().unwrap());
    let changed = server.ask(Method::PATCH, &path).json(&json!({ "expires_at": null })).send().await.unwrap();
    assert!(good(changed).await["expires_at"].is_null());
    let nothing = server.ask(Method::PATCH, &path).json(&json!({ "tags": null })).send().await.unwrap();
    assert_eq!(problem(nothing).await, (400, "bad-request".into()));
}

#[tokio::test]
async fn a_change_that_is_refused_changes_nothing() {
    let server = Server::start();
    let id = server.note("the API is at v2").await;
    let path = format!("/v1/records/{id}");
    for (body, code) in [
        (json!({ "text": "v3", "outcome": "success" }), (409, "not-allowed")),
        (json!({ "text": "v3", "reason": "so" }), (409, "not-allowed")),
        (json!({ "text": "v3", "tags": [""] }), (422, "refused")),
        (json!({ "pinned": true, "tags": [""] }), (422, "refused")),
    ] {
        let refused = server.ask(Method::PATCH, &path).json(&body).send().await.unwrap();
        assert_eq!(problem(refused).await, (code.0, code.1.into()), "{body}");
        let record = server.get(&path).await;
        assert!(record["replaced_by"].is_null() && record["pinned"] != true, "{body}: {record}");
    }
    assert_eq!(server.home.notes().len(), 1);
    let change = json!({ "text": "v3", "tags": ["api"], "pinned": true, "trust": "plain", "expires_at": "2100-01-01" });
    let newer = good(server.ask(Method::PATCH, &path).json(&change).send().await.unwrap()).await;
    assert_eq!(
        (&newer["tags"], &newer["pinned"], &newer["trust"], &newer["expires_at"]),
        (&json!(["api"]), &true.into(), &"plain".into(), &"2100-01-01T00:00:00Z".into())
    );
}

#[tokio::test]
async fn sessions_of_one_name_in_two_scopes_are_told_apart() {
    let server = Server::start();
    let made: Value = serde_json::from_str(&server.home.run(&["--json", "token", "new", "--scope", "eve"])).unwrap();
    let eve = made["token"].as_str().unwrap();
    let path = "/v1/sessions/run-1/messages";
    let said = |text: &str| json!({ "role": "user", "text": text });
    server.post(path, &said("mine")).await;
    let posted = server.http.post(format!("{}{path}", server.url)).bearer_auth(eve).json(&said("hers"));
    good(posted.send().await.unwrap()).await;
    let text = |page: &Value| page["messages"][0]["text"].as_str().unwrap().to_owned();
    assert_eq!(text(&server.get(path).await), "mine", "another's name for a session does not stand in the way");
    assert_eq!(text(&server.get(&format!("{path}?scope=%3Deve")).await), "hers");
    let hers = server.http.get(format!("{}{path}", server.url)).bearer_auth(eve).send().await.unwrap();
    assert_eq!(text(&good(hers).await), "hers");
    let foreign = server.http.get(format!("{}{path}?scope=ana", server.url)).bearer_auth(eve).send().await.unwrap();
    assert_eq!(problem(foreign).await, (404, "no-session".into()));
    // Two of which neither is the caller's own.
    server.post(path, &json!({ "messages": [said("his")], "scope": "bo" })).await;
    let elsewhere = format!("{path}?scope=eve&scope=bo");
    let unclear = server.ask(Method::GET, &elsewhere).send().await.unwrap();
    assert_eq!(problem(unclear).await, (409, "ambiguous-session".into()));
    let unclear = server.home.output(&["session", "show", "run-1"]);
    let hint = String::from_utf8_lossy(&unclear.stderr).into_owned();
    assert!(unclear.status.code() == Some(2) && hint.contains("--scope"), "{hint}");
    assert!(server.home.run(&["session", "show", "run-1", "--scope", "bo"]).contains("his"));
}

#[tokio::test]
async fn a_model_that_cannot_be_loaded_is_not_claimed() {
    let home = home::Home::new();
    let folder = home.path().join("models/broken");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("harness-model.json"), "{}").unwrap();
    let server = Server::start_on(home, &[]);
    let patience = Instant::now() + Duration::from_secs(10);
    let ready = loop {
        let ready = server.ask(Method::GET, "/readyz").send().await.unwrap();
        // Until the process that serves has begun to follow, nothing is known of the model.
        if ready.status() != 200 || Instant::now() > patience {
            break ready;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert_eq!(ready.status(), 503);
    let ready: Value = ready.json().await.unwrap();
    assert_eq!((&ready["ready"], &ready["model"]), (&false.into(), &"broken".into()));
    assert!(ready["model_error"].as_str().unwrap().contains("broken"), "{ready}");
    let can = server.get("/v1/capabilities").await;
    assert_eq!(can["modes"], json!(["text"]));
    assert_eq!(can["model_error"], ready["model_error"]);
    assert!(server.get("/v1/status").await["model_error"].is_string());
    let id = server.note("text answers").await;
    assert_eq!(server.found("answers").await, [id]);
}

#[tokio::test]
async fn embeddings_are_asked_for_as_the_clients_of_openai_do() {
    let server = Server::start();
    let asked = json!({ "input": ["x"], "encoding_format": "base64" });
    let answer = server.ask(Method::POST, "/v1/embeddings").json(&asked).send().await.unwrap();
    // Understood; without a model there is nothing to answer with. Those clients show no part but `error`.
    let said: Value = answer.json().await.unwrap();
    assert_eq!((&said["status"], &said["code"]), (&409.into(), &"no-model".into()), "{said}");
    let error = &said["error"];
    assert_eq!((&error["message"], &error["code"]), (&said["detail"], &said["code"]));
    assert_eq!(error["type"], "invalid_request_error");
    let many = json!({ "input": vec!["x"; 2_048], "dimensions": 384 });
    let answer = server.ask(Method::POST, "/v1/embeddings").json(&many).send().await.unwrap();
    assert_eq!(problem(answer).await, (409, "no-model".into()), "so many are taken");
    let stranger = server.http.post(format!("{}/v1/embeddings", server.url)).json(&asked).send().await.unwrap();
    assert_eq!(stranger.json::<Value>().await.unwrap()["error"]["code"], "no-token");
    let wrong = json!({ "input": ["x"], "encoding_format": "base85" });
    let answer = server.ask(Method::POST, "/v1/embeddings").json(&wrong).send().await.unwrap();
    assert_eq!(problem(answer).await, (400, "bad-request".into()));
}

#[tokio::test]
async fn what_is_not_understood_is_a_problem_that_says_what() {
    let server = Server::start();
    for path in ["/v1/records/%ff", "/v1/records/%ff/versions", "/v1/sessions/%ff/messages"] {
        let refused = server.ask(Method::GET, path).send().await.unwrap();
        assert_eq!(problem(refused).await, (400, "bad-request".into()), "{path}");
    }
    for (path, body, named) in [
        ("/v1/records", json!({ "kind": "note", "text": "x", "tag": ["a"] }), "tag"),
        ("/v1/records", json!({ "kind": "episode", "situation": "x", "outcome": "success", "tool": [] }), "tool"),
        (
            "/v1/sessions/s/messages",
            json!([{ "role": "user", "text": "x" }, { "role": "user" }]),
            "message 2: missing field `text`",
        ),
        ("/v1/sessions/s/messages", json!({ "role": "nobody", "text": "x" }), "nobody"),
        ("/v1/sessions/s/messages", json!({ "messages": [{ "role": "user", "text": "x" }], "tittle": "y" }), "tittle"),
        ("/v1/sessions/s/messages", json!("x"), "a list of messages"),
        ("/v1/episodes", json!({ "situation": "x", "tools": [{ "name": "bash" }] }), "missing field `tool`"),
        ("/v1/embeddings", json!({ "input": 7 }), "`input` is a text"),
    ] {
        let refused = server.ask(Method::POST, path).json(&body).send().await.unwrap();
        let said: Value = refused.json().await.unwrap();
        assert_eq!(said["status"], 400, "{path} {body}: {said}");
        assert!(said["detail"].as_str().unwrap().contains(named), "{path} {body}: {said}");
    }
    // An answer can be sent as it came.
    let old = server.note("old").await;
    server.post("/v1/notes", &json!({ "text": "new", "replaces": old })).await;
    let mut shown = server.get(&format!("/v1/records/{old}")).await;
    shown["id"] = json!("01890000-0000-7000-8000-000000000001");
    assert!(shown["replaced_by"].is_string());
    assert_eq!(server.post("/v1/records", &shown).await["id"], shown["id"]);
}

#[tokio::test]
async fn a_note_is_corrected_tagged_pinned_forgotten_and_brought_back() {
    let server = Server::start();
    let old = server.note("the API is at v2").await;
    let path = format!("/v1/records/{old}");
    let change = |path: &str, body: Value| server.ask(Method::PATCH, path).json(&body).send();
    let new =
        good(change(&path, json!({ "text": "the API is at v3", "tags": ["api"], "pinned": true })).await.unwrap())
            .await;
    assert_eq!(
        (&new["text"], &new["replaces"], &new["pinned"]),
        (&"the API is at v3".into(), &json!(old), &true.into())
    );
    assert_eq!(problem(change(&path, json!({ "text": "v4" })).await.unwrap()).await, (409, "replaced".into()));
    assert_eq!(
        problem(change(&path, json!({ "outcome": "success" })).await.unwrap()).await,
        (409, "not-allowed".into())
    );
    assert_eq!(problem(change(&path, json!({})).await.unwrap()).await, (400, "bad-request".into()));
    let versions = server.get(&format!("{path}/versions")).await;
    assert_eq!((&versions["versions"][0]["id"], &versions["versions"][1]["id"]), (&json!(old), &new["id"]));
    let path = format!("/v1/records/{}", new["id"].as_str().unwrap());
    let forgot = good(server.ask(Method::DELETE, &path).send().await.unwrap()).await;
    assert_eq!(forgot["forgotten"], 1);
    let again = good(server.ask(Method::DELETE, &path).send().await.unwrap()).await;
    assert_eq!(again["forgotten"], 0, "it is so already");
    assert!(again["undo_until"].is_string());
    assert_eq!(problem(server.ask(Method::GET, &path).send().await.unwrap()).await, (410, "forgotten".into()));
    assert_eq!(server.found("the API").await, [old]);
    let back = good(server.ask(Method::POST, &format!("{path}/undo")).send().await.unwrap()).await;
    assert_eq!((&back["id"], &back["tags"]), (&new["id"], &json!(["api"])));
    let again = server.ask(Method::POST, &format!("{path}/undo")).send().await.unwrap();
    assert_eq!(problem(again).await, (409, "not-forgotten".into()));
}

#[tokio::test]
async fn an_episode_is_relabelled_and_a_reason_alone_keeps_its_outcome() {
    let server = Server::start();
    let written = server
        .post("/v1/episodes", &json!({ "situation": "deploy the shop", "outcome": "failure", "tokens": 1022.0 }))
        .await;
    let path = format!("/v1/records/{}", written["id"].as_str().unwrap());
    let change = |body: Value| server.ask(Method::PATCH, &path).json(&body).send();
    let said = good(change(json!({ "reason": "no VPN" })).await.unwrap()).await;
    assert_eq!(
        (&said["outcome"], &said["reason"], &said["tokens"]),
        (&"failure".into(), &"no VPN".into(), &1022.into())
    );
    let said = good(change(json!({ "outcome": "success", "reason": "the VPN is up" })).await.unwrap()).await;
    assert_eq!((&said["outcome"], &said["reason"]), (&"success".into(), &"the VPN is up".into()));
    let note = format!("/v1/records/{}", server.note("no episode").await);
    let refused = server.ask(Method::PATCH, &note).json(&json!({ "reason": "x" })).send().await.unwrap();
    assert_eq!(problem(refused).await, (409, "not-allowed".into()));
}

#[tokio::test]
async fn names_that_say_nothing_or_too_much_are_refused() {
    let server = Server::start();
    let long = "n".repeat(513);
    let message = |key: &str| json!([{ "role": "user", "text": "x", "key": key }]);
    for (path, body) in [
        ("/v1/notes", json!({ "text": "x", "key": "" })),
        ("/v1/notes", json!({ "text": "x", "source": "" })),
        ("/v1/sessions/s/messages", message("")),
        ("/v1/sessions/s/messages", message(&long)),
        ("/v1/exposures", json!({ "run": "r", "records": [], "task": long })),
        ("/v1/exposures", json!({ "run": long, "records": [] })),
    ] {
        let refused = server.ask(Method::POST, path).json(&body).send().await.unwrap();
        assert_eq!(problem(refused).await, (400, "bad-request".into()), "{path} {body}");
    }
    assert!(server.home.notes().is_empty());
}

#[tokio::test]
async fn lists_are_paged_with_cursors_and_each_entry_comes_once() {
    let server = Server::start();
    for number in 0..7 {
        server.note(&format!("note {number}")).await;
    }
    for order in ["newest", "oldest"] {
        let (mut seen, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = server.get(&format!("/v1/records?kind=note&limit=3&order={order}{cursor}")).await;
            seen.extend(
                page["records"].as_array().unwrap().iter().map(|record| record["text"].as_str().unwrap().to_owned()),
            );
            let Some(next) = page["next"].as_str() else { break };
            let other =
                server.ask(Method::GET, &format!("/v1/records?kind=message&cursor={next}")).send().await.unwrap();
            assert_eq!(problem(other).await, (404, "unknown-cursor".into()));
            cursor = format!("&cursor={next}");
            // What is written meanwhile does not move the pages.
            server.post("/v1/episodes", &json!({ "situation": "meanwhile" })).await;
        }
        let mut expected: Vec<String> = (0..7).map(|number| format!("note {number}")).collect();
        if order == "newest" {
            expected.reverse();
        }
        assert_eq!(seen, expected);
    }
}

#[tokio::test]
async fn messages_make_a_session_and_keep_their_order() {
    let server = Server::start();
    let path = "/v1/sessions/run%2F1/messages";
    let said = |role: &str, text: &str| json!({ "role": role, "text": text });
    server
        .post(
            path,
            &json!({ "messages": [said("user", "why is it slow"), said("assistant", "no index")], "title": "slow" }),
        )
        .await;
    server.post(path, &json!([said("user", "add one")])).await;
    server.post(path, &said("tool", "CREATE INDEX")).await;
    let page = server.get(&format!("{path}?limit=3")).await;
    assert_eq!((&page["session"]["title"], &page["session"]["messages"]), (&"slow".into(), &4.into()));
    let positions = |page: &Value| {
        page["messages"].as_array().unwrap().iter().map(|m| m["position"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(positions(&page), [0, 1, 2]);
    let rest = server.get(&format!("{path}?limit=3&cursor={}", page["next"].as_str().unwrap())).await;
    assert_eq!(positions(&rest), [3]);
    assert_eq!(server.get("/v1/sessions").await["sessions"][0]["id"], "run/1");
    let middle = page["messages"][1]["id"].as_str().unwrap();
    let shown = server.get(&format!("/v1/records/{middle}?context=1")).await;
    assert_eq!(
        (&shown["before"][0]["text"], &shown["after"][0]["text"]),
        (&"why is it slow".into(), &"add one".into())
    );
    let missing = server.ask(Method::GET, "/v1/sessions/none/messages").send().await.unwrap();
    assert_eq!(problem(missing).await, (404, "no-session".into()));
}

#[tokio::test]
async fn what_is_not_there_is_an_error_unless_the_caller_allows_less() {
    let server = Server::start();
    server.note("anything").await;
    let ask = |body: Value| server.ask(Method::POST, "/v1/recall").json(&body).send();
    let modes = server.get("/v1/capabilities").await["modes"].clone();
    if modes.as_array().unwrap().iter().any(|mode| mode == "vector") {
        return;
    }
    for mode in ["vector", "hybrid"] {
        assert_eq!(problem(ask(json!({ "query": "x", "mode": mode })).await.unwrap()).await, (409, "no-model".into()));
        let less = good(ask(json!({ "query": "x", "mode": mode, "allow_degraded": true })).await.unwrap()).await;
        assert_eq!(less["degraded"][0]["arm"], "vector");
    }
    let whatever = good(ask(json!({ "query": "x" })).await.unwrap()).await;
    assert_eq!(whatever["degraded"][0]["arm"], "vector", "less than everything is said");
    for (body, code) in [
        (json!({ "query": " " }), 400),
        (json!({ "query": "x", "limit": 0 }), 400),
        (json!({ "query": "x", "limits": 5 }), 400),
        (json!({ "query": "x", "since": "soon" }), 400),
        (json!({}), 400),
        (json!([1]), 400),
    ] {
        assert_eq!(problem(ask(body.clone()).await.unwrap()).await.0, code, "{body}");
    }
}

#[tokio::test]
async fn the_http_memory_keeps_the_contract_of_the_local_one() {
    let server = Server::start();
    let client = Client::new(&server.url, server.token.clone()).unwrap();
    let writes = Scope::parse("ana").unwrap();
    let memory = HttpMemory::new(client.clone(), writes.clone().into(), writes.clone());
    harness_memory::memory::contract::check(&memory, &writes).await;
    // Within one process many do so at once.
    let all = HttpMemory::new(client, ReadSet::everything(), Scope::root());
    let tasks = (0..16).map(|number| {
        let (all, writes) = (all.clone(), Scope::parse(&format!("at-once/{number}")).unwrap());
        tokio::spawn(async move {
            let memory = HttpMemory::new(all.client().clone(), writes.clone().into(), writes.clone());
            harness_memory::memory::contract::check(&memory, &writes).await;
        })
    });
    for task in futures::future::join_all(tasks).await {
        task.unwrap();
    }
}

#[tokio::test]
async fn events_tell_every_change_and_go_on_where_they_were_left() {
    let server = Server::start();
    let mut stream = server.ask(Method::GET, "/v1/events").send().await.unwrap().bytes_stream();
    let started = Instant::now();
    let id = server.note("told at once").await;
    let mut text = String::new();
    while !text.contains("\n\n") {
        text.push_str(std::str::from_utf8(&stream.next().await.unwrap().unwrap()).unwrap());
    }
    assert!(started.elapsed() < Duration::from_secs(1), "it took {:?}", started.elapsed());
    let field = |text: &str, name: &str| {
        text.lines().find_map(|line| line.strip_prefix(name)).map(|value| value.trim().to_owned()).unwrap_or_default()
    };
    let data: Value = serde_json::from_str(&field(&text, "data:")).unwrap();
    assert_eq!((field(&text, "event:").as_str(), &data["id"], &data["scope"]), ("put", &json!(id), &"ana".into()));
    let last = field(&text, "id:");
    drop(stream);
    good(server.ask(Method::DELETE, &format!("/v1/records/{id}")).send().await.unwrap()).await;
    // A process that writes past the server is heard too.
    let other = server.home.remember("by the command line");
    let rest = server.ask(Method::GET, "/v1/events?follow=false").header("Last-Event-ID", last).send().await.unwrap();
    let rest = rest.text().await.unwrap();
    let kinds: Vec<&str> = rest.lines().filter_map(|line| line.strip_prefix("event:")).map(str::trim).collect();
    assert_eq!(kinds, ["forget", "put"], "{rest}");
    assert!(rest.contains(&other));
    let lost = server.ask(Method::GET, "/v1/events?follow=false&after=9-5").send().await.unwrap().text().await.unwrap();
    assert!(lost.contains("event: reset"), "{lost}");
    // A client that reconnects sends what it has; what stands in the address was written by somebody.
    let strange = server.ask(Method::GET, "/v1/events?follow=false").header("Last-Event-ID", "0").send().await.unwrap();
    assert!(strange.text().await.unwrap().contains("event: reset"));
    assert_eq!(server.ask(Method::GET, "/v1/events?follow=false&after=0").send().await.unwrap().status(), 400);
}

#[tokio::test]
async fn the_document_describes_the_routes_and_is_the_committed_one() {
    let server = Server::start();
    let served = server.ask(Method::GET, "/openapi.json").send().await.unwrap().text().await.unwrap();
    let committed = concat!(env!("CARGO_MANIFEST_DIR"), "/openapi.json");
    if std::env::var_os("HARNESS_UPDATE_OPENAPI").is_some() {
        std::fs::write(committed, &served).unwrap();
    }
    let known = std::fs::read_to_string(committed).unwrap_or_default();
    assert!(
        served == known,
        "the interface changed: run this test with HARNESS_UPDATE_OPENAPI=1 and look at the difference"
    );
    let document: Value = serde_json::from_str(&served).unwrap();
    assert_eq!(document["openapi"], "3.1.0");
    for (path, methods) in document["paths"].as_object().unwrap() {
        for method in methods.as_object().unwrap().keys() {
            let method: Method = method.to_ascii_uppercase().parse().unwrap();
            let path = path.replace("{id}", "x").replace("{tool}", "x");
            let response = server.http.request(method.clone(), format!("{}{path}", server.url)).send().await.unwrap();
            let open = path == "/healthz";
            assert_eq!(response.status().as_u16(), if open { 200 } else { 401 }, "{method} {path}");
        }
    }
    let wrong = server.ask(Method::DELETE, "/v1/recall").send().await.unwrap();
    assert_eq!(wrong.headers()["allow"], "POST");
    assert_eq!(problem(wrong).await, (405, "method".into()));
    assert_eq!(problem(server.ask(Method::GET, "/v2").send().await.unwrap()).await, (404, "no-route".into()));
}

//! `harness mcp` on standard input and output, with and without a server, and `/mcp` over HTTP.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod client;
mod home;
mod server;

use client::Client;
use home::Home;
use reqwest::Method;
use serde_json::{Value, json};
use server::Server;

fn a_client_saves_finds_shows_and_forgets(home: &Home) {
    let mut client = Client::start(home, &[]);
    let tools = client.ask("tools/list", json!({}));
    assert_eq!(tools["tools"].as_array().unwrap().len(), 6);
    let saved =
        client.call("memory_save", json!({ "text": "staging deploys need the VPN 部署前先连", "tags": ["ops"] }));
    let id = saved["id"].as_str().unwrap().to_owned();
    let found = client.call("memory_search", json!({ "query": "部署" }));
    assert_eq!((&found["hits"][0]["id"], &found["hits"][0]["tags"]), (&json!(id), &json!(["ops"])));
    assert_eq!(home.search_ids("VPN"), [id.as_str()], "other processes find it at once");
    let episode = client.call("experience_record", json!({
        "situation": "deploy the shop", "tools": ["bash", { "tool": "edit", "ok": true }], "outcome": "failure", "reason": "no VPN",
    }));
    let shown = client.call("memory_get", json!({ "ids": [id, episode["id"]] }));
    assert_eq!((&shown["records"][0]["source"], &shown["records"][1]["outcome"]), (&"mcp".into(), &"failure".into()));
    let corrected = client.call("memory_save", json!({ "text": "deploys need no VPN now", "replaces": id }));
    let found = client.call("memory_search", json!({ "query": "deploys VPN" }));
    assert_eq!(found["hits"][0]["id"], corrected["id"], "the newer statement is first");
    let resources = client.ask("resources/list", json!({}));
    assert!(
        resources["resources"]
            .as_array()
            .unwrap()
            .iter()
            .any(|resource| resource["uri"] == format!("harness://record/{id}"))
    );
    let read = client.ask("resources/read", json!({ "uri": format!("harness://record/{id}") }));
    assert!(read["contents"][0]["text"].as_str().unwrap().contains("部署前先连"));
    let health = client.ask("resources/read", json!({ "uri": "harness://health" }));
    assert!(health["contents"][0]["text"].as_str().unwrap().contains("indexes"));
    let prompt =
        client.ask("prompts/get", json!({ "name": "recall", "arguments": { "task": "deploy the shop with the VPN" } }));
    assert!(prompt["messages"][0]["content"]["text"].as_str().unwrap().contains("deploy the shop"));
    let forgot = client.call("memory_forget", json!({ "ids": [corrected["id"]] }));
    assert_eq!(forgot["forgotten"], 1);
    let missing = client.call("memory_get", json!({ "ids": [corrected["id"]] }));
    assert_eq!(missing["missing"][0]["id"], corrected["id"]);
    let reason = missing["missing"][0]["reason"].as_str().unwrap();
    assert!(reason.contains("harness forget --undo") && !reason.contains("POST"), "{reason}");
    let again = client.call("memory_forget", json!({ "ids": [corrected["id"]] }));
    assert_eq!((&again["forgotten"], &again["undo_until"]), (&0.into(), &forgot["undo_until"]));
    // The beginning of an id, as a context shows it, names the record; what is none stands in nobody's way.
    let shown = client.call("memory_get", json!({ "ids": ["nothing-like-it", &id[..13]] }));
    assert_eq!((&shown["records"][0]["id"], &shown["missing"][0]["id"]), (&json!(id), &"nothing-like-it".into()));
    let corrected = client.call("memory_save", json!({ "text": "deploys need two VPNs", "replaces": &id[..13] }));
    assert_eq!(corrected["replaces"], id.as_str());
    assert_eq!(client.call("memory_forget", json!({ "ids": [&id[..13]] }))["forgotten"], 1);
    // What has no room is not what is not there.
    let found = client.ask(
        "tools/call",
        json!({ "name": "memory_search", "arguments": { "query": "deploys VPN", "budget_tokens": 5 } }),
    );
    let text = found["content"][0]["text"].as_str().unwrap();
    assert!(text.contains("none fits into budget_tokens"), "{text}");
    let recall = |client: &mut Client, task: &str, budget: &str| {
        let arguments = json!({ "task": task, "budget_tokens": budget });
        let prompt = client.ask("prompts/get", json!({ "name": "recall", "arguments": arguments }));
        prompt["messages"][0]["content"]["text"].as_str().unwrap().to_owned()
    };
    let said = recall(&mut client, "deploys need two VPNs", "5");
    assert!(said.contains("does not fit"), "{said}");
    let said = recall(&mut client, "zyzzyva", "800");
    assert!(said.contains("knows nothing"), "{said}");
    let wrong = client.ask("tools/call", json!({ "name": "memory_save", "arguments": { "text": " " } }));
    assert_eq!(wrong["isError"], true, "what is refused is for the model to read");
}

#[test]
fn a_client_without_a_server_has_the_whole_memory() {
    let home = Home::new();
    a_client_saves_finds_shows_and_forgets(&home);
    home.assert_well();
}

#[test]
fn a_client_beside_a_server_uses_it_and_goes_on_when_it_dies() {
    let mut server = Server::start();
    a_client_saves_finds_shows_and_forgets(&server.home);
    let mut client = Client::start(&server.home, &[]);
    let before = client.call("memory_save", json!({ "text": "said while the server ran" }));
    let _ = server.child.kill();
    let _ = server.child.wait();
    let after = client.call("memory_save", json!({ "text": "said when it was gone" }));
    let found = client.call("memory_search", json!({ "query": "said server gone" }));
    let ids: Vec<&Value> = found["hits"].as_array().unwrap().iter().map(|hit| &hit["id"]).collect();
    assert!(ids.contains(&&before["id"]) && ids.contains(&&after["id"]), "{found}");
}

#[test]
fn a_client_is_bound_to_what_it_was_started_with() {
    let server = Server::start();
    server.home.run(&["remember", "the pool of the shop is sixty", "--scope", "ana/shop"]);
    let other = server.home.remember("the pool of ana is fifty");
    let mut client = Client::start(&server.home, &["--scope", "ana/shop"]);
    let found = client.call("memory_search", json!({ "query": "pool" }));
    assert_eq!(found["hits"].as_array().unwrap().len(), 1, "{found}");
    assert_eq!(client.call("memory_get", json!({ "ids": [other] }))["records"], json!([]));
    assert_eq!(client.call("memory_save", json!({ "text": "kept with the shop" }))["scope"], "ana/shop");
    let refused = client.ask("tools/call", json!({ "name": "memory_forget", "arguments": { "ids": [other] } }));
    assert_eq!(refused["isError"], true);
    let superseding = json!({ "text": "the pool of ana is mine", "replaces": other });
    let refused = client.ask("tools/call", json!({ "name": "memory_save", "arguments": superseding }));
    assert_eq!(refused["isError"], true, "what it may not read it does not supersede: {refused}");
    let shown: Value = serde_json::from_str(&server.home.run(&["--json", "recall", "show", &other])).unwrap();
    assert!(shown["replaced_by"].is_null(), "{shown}");
    let own = found["hits"][0]["id"].clone();
    client.call("memory_save", json!({ "text": "the pool of the shop is seventy", "replaces": own }));
    let health = client.ask("resources/read", json!({ "uri": "harness://health" }));
    let health: Value = serde_json::from_str(health["contents"][0]["text"].as_str().unwrap()).unwrap();
    assert!(health["store"].is_null() && health["indexes"].is_array(), "{health}");
    // Forgotten or not there: of another's record both look the same.
    server.home.run(&["forget", &other]);
    let missing = client.call("memory_get", json!({ "ids": [other] }));
    assert!(missing["missing"][0]["reason"].as_str().unwrap().contains("no record"), "{missing}");
    let by_beginning = client.call("memory_get", json!({ "ids": [&other[..13]] }));
    assert!(by_beginning["missing"][0]["reason"].as_str().unwrap().contains("no record"), "{by_beginning}");
    let refused = client.ask("tools/call", json!({ "name": "memory_forget", "arguments": { "ids": [other] } }));
    assert_eq!(refused["isError"], true);
    let kept = client.call("memory_save", json!({ "text": "to be forgotten" }))["id"].clone();
    for forgotten in [1, 0] {
        assert_eq!(client.call("memory_forget", json!({ "ids": [kept] }))["forgotten"], forgotten);
    }
    let mut reader = Client::start(&server.home, &["--read-only"]);
    let refused = reader.ask("tools/call", json!({ "name": "memory_save", "arguments": { "text": "x" } }));
    assert_eq!(refused["isError"], true);
}

#[test]
fn answers_stay_within_their_tokens_and_are_never_stored_as_something_new() {
    let home = Home::new();
    for number in 0..30 {
        home.remember(&format!("pool number {number}: {}", "the pool of connections was raised once more ".repeat(60)));
    }
    let mut client = Client::start(&home, &[]);
    let result = client.ask(
        "tools/call",
        json!({
            "name": "memory_search", "arguments": { "query": "pool of connections", "limit": 30, "budget_tokens": 700 },
        }),
    );
    let found = &result["structuredContent"];
    assert!(found["hits"][0]["cut"] == true && found["left_out"].as_u64().unwrap() > 0, "{found}");
    let text = result["content"][0]["text"].as_str().unwrap();
    assert!(harness_recall::tokens::at_most(text) < 900, "{text}");
    let out = format!("… {} more left out: raise budget_tokens.", found["left_out"]);
    assert!(text.contains(&out), "{text}");
    let again = client.ask("tools/call", json!({ "name": "memory_save", "arguments": { "text": text } }));
    assert_eq!(again["isError"], true, "what was recalled is nothing new");
}

#[test]
fn a_long_record_is_read_to_its_end_in_pieces_that_fit() {
    let home = Home::new();
    let text: String = (0..4_000).map(|number| format!("line {number} of a long log 日志。")).collect();
    let mut client = Client::start(&home, &[]);
    let id = client.call("memory_save", json!({ "text": text }))["id"].clone();
    let (mut read, mut offset) = (String::new(), json!(0));
    while !offset.is_null() {
        let shown = client.call("memory_get", json!({ "ids": [id], "offset": offset, "budget_tokens": 8_000 }));
        let record = &shown["records"][0];
        assert!(harness_recall::tokens::at_most(&record.to_string()) <= 8_000);
        assert_eq!(record["cut"].is_null(), record["next_offset"].is_null());
        read.push_str(record["text"].as_str().unwrap_or_else(|| panic!("{shown}")));
        offset = record["next_offset"].clone();
    }
    assert!(read == text);
    let least = client.call("memory_get", json!({ "ids": [id], "budget_tokens": 5 }));
    assert!(least["missing"][0]["reason"].as_str().unwrap().contains("raise budget_tokens"), "{least}");
}

#[tokio::test]
async fn the_newest_sessions_are_those_of_the_times_that_were_asked_for_and_fit() {
    let server = Server::start();
    for (name, time) in
        [("old", "2024-01-05T10:00:00Z"), ("mid", "2025-01-05T10:00:00Z"), ("new", "2026-01-05T10:00:00Z")]
    {
        let said = json!({ "role": "user", "text": "why is it slow", "created_at": time });
        let session = json!({ "messages": [said], "title": format!("about {name} {}", "things ".repeat(9)) });
        server.post(&format!("/v1/sessions/{name}/messages"), &session).await;
    }
    let mut client = Client::start(&server.home, &[]);
    let mut listed = |arguments: Value| {
        let found = client.call("session_search", arguments);
        let names = found["sessions"].as_array().unwrap().iter().map(|one| one["session"].as_str().unwrap().to_owned());
        (names.collect::<Vec<_>>(), found["left_out"].as_u64().unwrap())
    };
    assert_eq!(listed(json!({})).0, ["new", "mid", "old"]);
    assert_eq!(listed(json!({ "since": "2025-01-01" })).0, ["new", "mid"]);
    assert_eq!(listed(json!({ "since": "2025-01-01", "until": "2026-01-01", "limit": 1 })).0, ["mid"]);
    let (some, left_out) = listed(json!({ "budget_tokens": 120 }));
    assert!(
        some.first().is_some_and(|name| name == "new") && left_out > 0 && some.len() + left_out as usize == 3,
        "{some:?}"
    );
    let read = client.ask("resources/read", json!({ "uri": "harness://session/mid?scope=%3Dana" }));
    assert!(read["contents"][0]["text"].as_str().unwrap().contains("why is it slow"));
}

#[tokio::test]
async fn each_revision_of_the_protocol_is_spoken_over_http() {
    let server = Server::start();
    let ask = |body: Value| {
        server.ask(Method::POST, "/mcp").header("Accept", "application/json, text/event-stream").json(&body)
    };
    for revision in ["2025-06-18", "2025-11-25"] {
        let hello = json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
            "protocolVersion": revision, "capabilities": {}, "clientInfo": { "name": "test", "version": "1" },
        } });
        let welcome: Value = ask(hello).send().await.unwrap().json().await.unwrap();
        assert_eq!(welcome["result"]["protocolVersion"], revision, "{welcome}");
        let list = json!({ "jsonrpc": "2.0", "id": 2, "method": "tools/list" });
        let list: Value =
            ask(list).header("MCP-Protocol-Version", revision).send().await.unwrap().json().await.unwrap();
        assert_eq!(list["result"]["tools"].as_array().unwrap().len(), 6, "{list}");
    }
    let meta = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": { "name": "test", "version": "1" },
        "io.modelcontextprotocol/clientCapabilities": {},
        "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    });
    let call = json!({ "jsonrpc": "2.0", "id": 3, "method": "tools/call", "params": {
        "name": "memory_save", "arguments": { "text": "saved by the newest revision" }, "_meta": meta,
    } });
    let saved = ask(call)
        .header("MCP-Protocol-Version", "2026-07-28")
        .header("Mcp-Method", "tools/call")
        .header("Mcp-Name", "memory_save");
    let saved: Value = saved.send().await.unwrap().json().await.unwrap();
    let id = saved["result"]["structuredContent"]["id"].as_str().unwrap_or_else(|| panic!("{saved}"));
    assert_eq!(server.found("newest revision").await, [id]);
    let stranger = server.http.post(format!("{}/mcp", server.url)).json(&json!({})).send().await.unwrap();
    assert_eq!(stranger.status(), 401);
    let rebound = ask(json!({})).header("Origin", "http://evil.example").send().await.unwrap();
    assert_eq!(rebound.status(), 403);
}

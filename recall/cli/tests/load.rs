//! One home under load: writers by every way in with readers beside them, and the one who indexes killed under them.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod client;
mod home;
mod server;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use harness_memory::http;
use home::{Home, rounds};
use reqwest::Method;
use serde_json::{Value, json};
use server::Server;

/// Within this time after it was acknowledged, every reader finds a write.
const SEEN_WITHIN: Duration = Duration::from_secs(1);

/// Within this time after the one who indexes was killed, another does.
const TAKEN_OVER_WITHIN: Duration = Duration::from_secs(2);

/// A client of the server that does not wait for more than one answer at a time.
struct Http {
    runtime: tokio::runtime::Runtime,
    client: http::Client,
}

impl Http {
    fn new(url: &str, token: &str) -> Http {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let client = runtime.block_on(async { http::Client::new(url, token).unwrap() });
        Http { runtime, client }
    }

    fn note(&self, text: &str) -> Result<String, http::RequestError> {
        let (body, key) = (json!({ "text": text }), uuid::Uuid::now_v7().to_string());
        let asked = self.client.request::<Value>(Method::POST, "/v1/notes", Some(&body), Some(&key));
        self.runtime.block_on(asked).map(|written| written["id"].as_str().unwrap().to_owned())
    }

    fn found(&self, query: &str) -> Vec<String> {
        let body = json!({ "query": query, "limit": 3, "mode": "text" });
        let asked = self.client.post::<Value>("/v1/recall", &body);
        ids(&self.runtime.block_on(asked).unwrap())
    }
}

fn ids(answer: &Value) -> Vec<String> {
    answer["hits"].as_array().unwrap().iter().map(|hit| hit["id"].as_str().unwrap().to_owned()).collect()
}

/// A way in, for writers and readers.
enum Way<'a> {
    CommandLine(&'a Home),
    Http(Box<Http>),
    Mcp(Box<client::Client>),
}

impl Way<'_> {
    fn open<'a>(number: usize, server: &'a Server) -> Way<'a> {
        match number % 3 {
            0 => Way::CommandLine(&server.home),
            1 => Way::Http(Box::new(Http::new(&server.url, &server.token))),
            _ => Way::Mcp(Box::new(client::Client::start(&server.home, &[]))),
        }
    }

    fn write(&mut self, text: &str) -> String {
        match self {
            Way::CommandLine(home) => home.remember(text),
            Way::Http(http) => http.note(text).unwrap(),
            Way::Mcp(client) => client.call("memory_save", json!({ "text": text }))["id"].as_str().unwrap().to_owned(),
        }
    }

    fn find(&mut self, query: &str) -> Vec<String> {
        match self {
            Way::CommandLine(home) => home.search_ids(query),
            Way::Http(http) => http.found(query),
            Way::Mcp(client) => ids(&client.call("memory_search", json!({ "query": query, "limit": 3 }))),
        }
    }
}

#[test]
fn eight_writers_by_every_way_in_lose_nothing_and_readers_see_each_write_at_once() {
    let server = Server::start();
    let each = rounds(30, 1_000);
    // The write that was acknowledged last: when, by which word it is found, and its id.
    let last: Mutex<Option<(Instant, String, String)>> = Mutex::new(None);
    let (written, done) = (Mutex::new(BTreeSet::new()), AtomicBool::new(false));
    let looked = Mutex::new((0_u64, 0_u64, Duration::ZERO));
    thread::scope(|threads| {
        let writers: Vec<_> = (0..8)
            .map(|writer| {
                let (server, last, written) = (&server, &last, &written);
                threads.spawn(move || {
                    let mut way = Way::open(writer, server);
                    for number in 0..each {
                        let word = format!("zebra{writer}x{number}");
                        let id = way.write(&format!("writer {writer} says {number}: 并发写入 {word}"));
                        *last.lock().unwrap() = Some((Instant::now(), word, id.clone()));
                        written.lock().unwrap().insert(id);
                    }
                })
            })
            .collect();
        for reader in 0..3 {
            let (server, last, done, looked) = (&server, &last, &done, &looked);
            threads.spawn(move || {
                let mut way = Way::open(reader, server);
                let mut before = String::new();
                while !done.load(Ordering::Relaxed) {
                    let newest = last.lock().unwrap().clone();
                    let Some((at, word, id)) = newest.filter(|newest| newest.2 != before) else {
                        thread::sleep(Duration::from_millis(1));
                        continue;
                    };
                    let mut first = true;
                    loop {
                        // What counts is when the question was asked that found it.
                        let asked = at.elapsed();
                        if way.find(&word).first() == Some(&id) {
                            let mut looked = looked.lock().unwrap();
                            looked.0 += 1;
                            looked.1 += u64::from(first);
                            looked.2 = looked.2.max(if first { Duration::ZERO } else { asked });
                            break;
                        }
                        first = false;
                        assert!(
                            asked < SEEN_WITHIN,
                            "reader {reader} does not see {word} {asked:?} after it was written"
                        );
                    }
                    before = id;
                }
            });
        }
        for writer in writers {
            let ended = writer.join();
            done.store(ended.is_err(), Ordering::Relaxed);
            ended.unwrap();
        }
        done.store(true, Ordering::Relaxed);
    });
    let (looks, at_once, latest) = looked.into_inner().unwrap();
    println!(
        "{looks} writes looked for by readers, {at_once} found by the first question, the others within {latest:?}"
    );
    assert!(looks > 0);
    let written = written.into_inner().unwrap();
    assert_eq!(written.len(), 8 * each);
    assert_eq!(server.home.notes(), written);
    server.home.assert_well();
}

#[test]
fn what_a_server_acknowledged_is_there_whenever_it_is_killed() {
    let home = Arc::new(Home::new());
    let mut acknowledged = BTreeSet::new();
    let mut dice = 5_u64;
    for round in 0..rounds(6, 50) {
        let mut server = Server::start_on(Arc::clone(&home), &[]);
        let kept = Mutex::new(BTreeSet::new());
        let told = AtomicBool::new(false);
        thread::scope(|threads| {
            for writer in 0..4 {
                let (server, kept, told) = (&server, &kept, &told);
                let (url, token) = (server.url.clone(), server.token.clone());
                threads.spawn(move || {
                    let http = Http::new(&url, &token);
                    for number in 0.. {
                        let text = format!("round {round} writer {writer} number {number}: 回滚之前先备份");
                        match http.note(&text) {
                            Ok(id) => kept.lock().unwrap().insert(id),
                            // The server has been killed; before that there is no error.
                            Err(error) => {
                                assert!(told.load(Ordering::SeqCst), "{error}");
                                break;
                            }
                        };
                    }
                });
            }
            // One who reads meanwhile, and one whose process outlives the server.
            let (server_home, told) = (&server.home, &told);
            let outliving = threads.spawn(move || {
                let mut client = client::Client::start(server_home, &[]);
                let mut ids = Vec::new();
                while !told.load(Ordering::SeqCst) {
                    let text = format!("round {round} by MCP, number {}", ids.len());
                    let id = client.call("memory_save", json!({ "text": text }))["id"].as_str().unwrap().to_owned();
                    assert_eq!(client.call("memory_search", json!({ "query": text }))["hits"][0]["id"], id.as_str());
                    ids.push(id);
                }
                let after = client.call("memory_save", json!({ "text": format!("round {round}: the server is dead") }));
                ids.push(after["id"].as_str().unwrap().to_owned());
                ids
            });
            dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            thread::sleep(Duration::from_millis(30 + (dice >> 40) % 300));
            told.store(true, Ordering::SeqCst);
            let killed = std::process::Command::new("kill").args(["-9", &server.child.id().to_string()]).status();
            assert!(killed.unwrap().success());
            kept.lock().unwrap().extend(outliving.join().unwrap());
        });
        let _ = server.child.wait();
        acknowledged.extend(kept.into_inner().unwrap());
        let there = home.notes();
        let lost: Vec<_> = acknowledged.difference(&there).collect();
        assert!(lost.is_empty(), "round {round} lost {lost:?}");
    }
    println!("{} acknowledged writes", acknowledged.len());
    home.assert_well();
}

#[test]
fn when_the_follower_is_killed_the_server_takes_over() {
    let home = Home::new();
    home.remember("somebody follows");
    for _ in 0..rounds(1, 10) {
        let mut follower = home.command(&["index", "follow", "--idle", "60"]).spawn().unwrap();
        wait_for(|| who_follows(&home) == Some(follower.id()), Duration::from_secs(20), "the follower follows");
        let mut server = home
            .command(&["serve", "--addr", "127.0.0.1:0", "--json"])
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        wait_for(|| home.path().join("serve.json").exists(), Duration::from_secs(20), "the server starts");
        assert_eq!(who_follows(&home), Some(follower.id()), "one at a time");
        let _ = follower.kill();
        let _ = follower.wait();
        wait_for(|| who_follows(&home) == Some(server.id()), TAKEN_OVER_WITHIN, "the server follows");
        let _ = server.kill();
        let _ = server.wait();
        let _ = std::fs::remove_file(home.path().join("serve.json"));
    }
}

#[test]
fn when_the_server_is_killed_a_client_sees_to_it_that_another_process_follows() {
    let mut server = Server::start();
    let mut client = client::Client::start(&server.home, &[]);
    client.call("memory_save", json!({ "text": "said while the server followed" }));
    wait_for(|| who_follows(&server.home) == Some(server.child.id()), Duration::from_secs(20), "the server follows");
    // The client looks once a second.
    thread::sleep(Duration::from_millis(1_500));
    let _ = server.child.kill();
    let _ = server.child.wait();
    let another = || who_follows(&server.home).is_some();
    wait_for(another, TAKEN_OVER_WITHIN, "another follows");
    client.call("memory_save", json!({ "text": "said when another followed" }));
    wait_for(|| server.home.lag() == 0, Duration::from_secs(20), "what is written is indexed");
    for follower in server.home.followers() {
        let _ = std::process::Command::new("kill").arg(follower.to_string()).status();
    }
}

#[cfg(target_os = "linux")]
#[test]
fn ten_clients_beside_one_server_are_small_and_one_model_is_loaded() {
    let Some(model) = std::env::var_os("HARNESS_TEST_MODEL") else {
        eprintln!("skipped: ten_clients_beside_one_server_are_small: HARNESS_TEST_MODEL names no model");
        return;
    };
    let home = Home::new();
    home.run(&["setup", "--from", std::path::Path::new(&model).to_str().unwrap()]);
    let server = Server::start_on(home, &[]);
    let mut clients: Vec<_> = (0..10).map(|_| client::Client::start(&server.home, &[])).collect();
    for (number, client) in clients.iter_mut().enumerate() {
        client.ask("tools/list", json!({}));
        client.call("memory_save", json!({ "text": format!("client {number} has {number} connections to the pool") }));
    }
    wait_for(|| server.home.lag() == 0, Duration::from_secs(60), "what was written is indexed and embedded");
    for client in &mut clients {
        let found = client.call("memory_search", json!({ "query": "how many links does the pool have" }));
        assert!(found["notes"].is_null(), "meaning took part: {found}");
    }
    let shares: Vec<u64> = clients.iter().map(|client| proportional_kb(client.child.id())).collect();
    let own = proportional_kb(server.child.id());
    let all = own + shares.iter().sum::<u64>();
    println!("ten clients {} MB, the server {} MB, together {} MB", (all - own) / 1_000, own / 1_000, all / 1_000);
    assert!(all <= 400_000, "{all} kB");
    // The smallest model is greater than this.
    assert!(shares.iter().all(|kb| *kb < 20_000), "a client holds the model itself: {shares:?}");
    assert_eq!(server.home.followers(), Vec::<u32>::new(), "the server is the one that follows");
}

/// The memory of a process in kB, with its share of what several have in common.
#[cfg(target_os = "linux")]
fn proportional_kb(process: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{process}/smaps_rollup")).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:")).unwrap();
    line.trim().trim_end_matches("kB").trim().parse().unwrap()
}

/// Who follows this home.
fn who_follows(home: &Home) -> Option<u32> {
    harness_index::follower(&home.path().join(harness_recall::engine::INDEX_FOLDER))
}

fn wait_for(mut there: impl FnMut() -> bool, patience: Duration, what: &str) {
    let started = Instant::now();
    while !there() {
        assert!(started.elapsed() < patience, "not within {patience:?}: {what}");
        thread::sleep(Duration::from_millis(10));
    }
}

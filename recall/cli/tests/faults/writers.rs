//! `kill -9` of the server, a client's process and the command line while all three write.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use harness_memory::{Lookup, RecordId, Store};
use harness_recall::Engine;
use reqwest::Method;
use serde_json::{Value, json};

use crate::client::Client;
use crate::home::{Home, id_of, rounds};
use crate::server::Server;
use crate::web::runtime;

/// What was acknowledged: the text of each id.
type Acknowledged = Vec<(String, String)>;

fn dice(state: &mut u64, sides: u64) -> u64 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*state >> 33) % sides
}

/// Writes over HTTP until nobody answers.
async fn write_to_server(server: &Server, round: usize) -> Acknowledged {
    let mut acknowledged = Vec::new();
    for number in 0.. {
        let text = format!("round {round}, the server is told {number}: 回滚之前先备份 keep the backup");
        let sent = server.ask(Method::POST, "/v1/notes").json(&json!({ "text": text })).send().await;
        let Ok(answer) = sent else { break };
        let good = answer.status().is_success();
        let Ok(written) = answer.json::<Value>().await else { break };
        if good {
            acknowledged.push((written["id"].as_str().unwrap().to_owned(), text));
        }
    }
    acknowledged
}

/// Saves through the client's process until it does not answer.
fn write_to_client(client: &mut Client, round: usize) -> Acknowledged {
    let mut acknowledged = Vec::new();
    for number in 0.. {
        let text = format!("round {round}, the client is told {number}: 回滚之前先备份 keep the backup");
        let Some(answer) = client.try_call("memory_save", json!({ "text": text })) else { break };
        if let Some(id) = answer["result"]["structuredContent"]["id"].as_str() {
            acknowledged.push((id.to_owned(), text));
        }
    }
    acknowledged
}

/// Runs commands one after the other, each killed at some moment of its life or left to end.
fn write_by_commands(home: &Home, round: usize, stop: &AtomicBool, mut state: u64) -> Acknowledged {
    let mut acknowledged = Vec::new();
    for number in 0.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let text = format!("round {round}, a command is told {number}: 回滚之前先备份 keep the backup");
        let mut child = home.command(&["--json", "remember", &text]);
        let mut child = child.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        if dice(&mut state, 3) > 0 {
            thread::sleep(Duration::from_micros(dice(&mut state, 25_000)));
            let _ = child.kill();
        }
        // What was printed whole was acknowledged.
        let printed = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
        if printed.ends_with('\n') {
            acknowledged.push((id_of(&printed), text));
        }
    }
    acknowledged
}

#[test]
fn what_server_client_and_command_acknowledged_survives_the_kill_of_all_three() {
    let home = Arc::new(Home::new());
    let runtime = runtime();
    let mut state = 5;
    let mut texts: BTreeMap<RecordId, String> = BTreeMap::new();
    let mut counts = [0; 3];
    for round in 0..rounds(5, 200) {
        let server = Server::start_on(home.clone(), &[]);
        let mut client = Client::start(&home, &[]);
        let (first, second) = (60 + dice(&mut state, 250), dice(&mut state, 120));
        let (server_first, seed) = (dice(&mut state, 2) == 0, state);
        let stop = AtomicBool::new(false);
        let client_id = client.child.id().to_string();
        let wrote = thread::scope(|threads| {
            let web = threads.spawn(|| runtime.block_on(write_to_server(&server, round)));
            let mcp = threads.spawn(|| write_to_client(&mut client, round));
            let cli = threads.spawn(|| write_by_commands(&home, round, &stop, seed));
            let kill_client = || {
                let killed = std::process::Command::new("kill").args(["-KILL", &client_id]).status().unwrap();
                assert!(killed.success());
            };
            thread::sleep(Duration::from_millis(first));
            if server_first {
                server.signal("-KILL")
            } else {
                kill_client()
            }
            thread::sleep(Duration::from_millis(second));
            if server_first {
                kill_client()
            } else {
                server.signal("-KILL")
            }
            stop.store(true, Ordering::Relaxed);
            [web.join().unwrap(), mcp.join().unwrap(), cli.join().unwrap()]
        });
        home.assert_no_gap();
        let kept = home.notes();
        for (way, acknowledged) in wrote.into_iter().enumerate() {
            counts[way] += acknowledged.len();
            for (id, text) in acknowledged {
                assert!(kept.contains(&id), "round {round}: {text} was acknowledged and is lost");
                texts.insert(id.parse().unwrap(), text);
            }
        }
    }
    assert!(counts.iter().all(|count| *count > 0), "each of the three wrote: {counts:?}");
    let ids: Vec<RecordId> = texts.keys().copied().collect();
    for ids in ids.chunks(500) {
        let lookups = Engine::open(&home.path()).unwrap().store().get(ids).unwrap();
        for (id, lookup) in ids.iter().zip(lookups) {
            let Lookup::Found(stored) = lookup else { panic!("{id} cannot be read: {lookup:?}") };
            assert_eq!(stored.record.text(), texts[id]);
        }
    }
    home.run(&["index", "follow", "--idle", "0"]);
    let before = home.search("备份 backup", 500);
    home.run(&["index", "rebuild"]);
    assert_eq!(home.search("备份 backup", 500), before, "found as after a rebuild");
    home.assert_well();
    eprintln!("acknowledged by server, client and commands: {counts:?}");
}

//! Who is let in by `harness serve`, and who is not; how it ends.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod home;
mod server;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};
use server::{Server, good, problem};

#[tokio::test]
async fn nobody_comes_in_without_a_token_that_is_known() {
    let server = Server::start();
    let ask = |token: Option<&str>| {
        let request = server.http.get(format!("{}/v1/status", server.url));
        token.map_or(request.try_clone().unwrap(), |token| request.header("Authorization", token)).send()
    };
    let own = format!("Bearer {}", server.token);
    for wrong in [
        None,
        Some(""),
        Some("Bearer "),
        Some("Bearer harness_0"),
        Some(&own[..own.len() - 1]),
        Some(server.token.as_str()),
    ] {
        let response = ask(wrong).await.unwrap();
        assert!(response.headers().contains_key("www-authenticate"));
        assert_eq!(problem(response).await, (401, "no-token".into()), "{wrong:?}");
    }
    assert_eq!(ask(Some(&own)).await.unwrap().status(), 200);
    assert_eq!(server.http.get(format!("{}/healthz", server.url)).send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_token_bound_to_a_scope_sees_and_writes_that_alone() {
    let server = Server::start();
    let mine = server.note("the pool of ana is fifty").await;
    server.home.run(&["remember", "the pool of the shop is sixty", "--scope", "ana/shop"]);
    let made = |arguments: &[&str]| -> (String, String) {
        let line = server.home.run(&[&["--json", "token", "new"], arguments].concat());
        let made: Value = serde_json::from_str(&line).unwrap();
        (made["token"].as_str().unwrap().to_owned(), made["id"].as_str().unwrap().to_owned())
    };
    let (shop, id) = made(&["--scope", "ana/shop"]);
    let (reader, _) = made(&["--scope", "ana", "--read-only", "--name", "reader"]);
    let ask = |token: &str, method: Method, path: &str, body: Value| {
        let request = server.http.request(method.clone(), format!("{}{path}", server.url)).bearer_auth(token);
        if method == Method::GET || method == Method::DELETE { request.send() } else { request.json(&body).send() }
    };
    let found =
        good(ask(&shop, Method::POST, "/v1/recall", json!({ "query": "pool", "scopes": ["/"] })).await.unwrap()).await;
    let texts: Vec<&str> = found["hits"].as_array().unwrap().iter().map(|hit| hit["text"].as_str().unwrap()).collect();
    assert_eq!(texts, ["the pool of the shop is sixty"]);
    let path = format!("/v1/records/{mine}");
    for method in [Method::GET, Method::DELETE, Method::PATCH] {
        let refused = ask(&shop, method.clone(), &path, json!({ "pinned": true })).await.unwrap();
        assert_eq!(problem(refused).await, (404, "no-record".into()), "{method}");
    }
    let written =
        good(ask(&shop, Method::POST, "/v1/notes", json!({ "text": "into my own scope" })).await.unwrap()).await;
    assert_eq!(written["scope"], "ana/shop");
    let outside = ask(&shop, Method::POST, "/v1/notes", json!({ "text": "x", "scope": "ana" })).await.unwrap();
    assert_eq!(problem(outside).await, (403, "scope-not-allowed".into()));
    let refused = ask(&reader, Method::POST, "/v1/notes", json!({ "text": "x" })).await.unwrap();
    assert_eq!(problem(refused).await, (403, "read-only-token".into()));
    assert_eq!(good(ask(&reader, Method::GET, &path, Value::Null).await.unwrap()).await["id"], mine);
    server.home.run(&["token", "revoke", &id]);
    let gone = ask(&shop, Method::GET, "/v1/records", Value::Null).await.unwrap();
    assert_eq!(problem(gone).await, (401, "no-token".into()));
    assert!(server.home.run(&["token", "list"]).contains("reader"));
}

#[tokio::test]
async fn what_a_token_opened_ends_when_it_is_revoked() {
    let server = Server::start();
    let made: Value =
        serde_json::from_str(&server.home.run(&["--json", "token", "new", "--scope", "ana/shop"])).unwrap();
    let (token, id) = (made["token"].as_str().unwrap(), made["id"].as_str().unwrap());
    let ask = |method: Method, path: &str| server.http.request(method, format!("{}{path}", server.url));
    let code = async || {
        let code = good(ask(Method::POST, "/v1/view-codes").bearer_auth(token).send().await.unwrap()).await;
        code["code"].as_str().unwrap().to_owned()
    };
    let enter = |code: String| ask(Method::POST, "/v1/view-sessions").json(&json!({ "code": code })).send();
    let entered = enter(code().await).await.unwrap();
    let cookie = entered.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
    let look = || ask(Method::GET, "/v1/records").header("Cookie", &cookie).send();
    assert_eq!(look().await.unwrap().status(), 200);
    let unused = code().await;
    let stream = ask(Method::GET, "/v1/events").bearer_auth(token).send().await.unwrap();
    assert_eq!(stream.status(), 200);
    server.home.run(&["token", "revoke", id]);
    assert_eq!(problem(look().await.unwrap()).await, (401, "no-token".into()), "the page that was open");
    assert_eq!(problem(enter(unused).await.unwrap()).await, (401, "no-token".into()), "a code that was not used yet");
    let ended = tokio::time::timeout(Duration::from_secs(5), stream.bytes()).await;
    assert!(ended.is_ok(), "the stream of events goes on");
    // What another token opened stays.
    let own = good(server.ask(Method::POST, "/v1/view-codes").send().await.unwrap()).await;
    assert_eq!(enter(own["code"].as_str().unwrap().to_owned()).await.unwrap().status(), 200);
}

#[test]
fn a_request_names_one_host_and_a_known_one() {
    let server = Server::start();
    let address = server.url.strip_prefix("http://").unwrap();
    let ask = |target: &str, hosts: &[&str]| {
        let mut stream = TcpStream::connect(address).unwrap();
        let hosts: String = hosts.iter().map(|host| format!("Host: {host}\r\n")).collect();
        write!(stream, "GET {target} HTTP/1.1\r\n{hosts}Connection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer.split(' ').nth(1).unwrap().to_owned()
    };
    assert_eq!(ask("/healthz", &["localhost"]), "200");
    assert_eq!(ask("/healthz", &["localhost", "localhost"]), "400");
    assert_eq!(ask("/healthz", &["localhost", "evil.example"]), "400");
    assert_eq!(ask("http://localhost/healthz", &["localhost"]), "200");
    assert_eq!(ask("http://evil.example/healthz", &["localhost"]), "403");
    assert_eq!(ask("http://localhost/healthz", &["evil.example"]), "403");
}

#[tokio::test]
async fn pages_of_other_sites_forms_and_great_bodies_are_refused() {
    let server = Server::start();
    let note = || server.ask(Method::POST, "/v1/notes").json(&json!({ "text": "x" }));
    let host = note().header("Host", "evil.example").send().await.unwrap();
    assert_eq!(problem(host).await, (403, "host-not-allowed".into()));
    for origin in ["http://evil.example", "null", "https://127.0.0.1"] {
        let response = note().header("Origin", origin).send().await.unwrap();
        assert!(!response.headers().contains_key("access-control-allow-origin"));
        assert_eq!(problem(response).await, (403, "origin-not-allowed".into()), "{origin}");
    }
    let own = note().header("Origin", &server.url).send().await.unwrap();
    assert_eq!(own.status(), 201, "the service's own page");
    let form = server.ask(Method::POST, "/v1/notes").header("Content-Type", "application/x-www-form-urlencoded");
    assert_eq!(problem(form.body("text=x").send().await.unwrap()).await, (415, "not-json".into()));
    let plain = server.ask(Method::POST, "/v1/notes").header("Content-Type", "text/plain").body(r#"{"text":"x"}"#);
    assert_eq!(problem(plain.send().await.unwrap()).await, (415, "not-json".into()));
    let large = server.ask(Method::POST, "/v1/notes").json(&json!({ "text": "x".repeat(5 << 20) })).send().await;
    // The refusal may come before all was sent, and the connection then breaks under the sender.
    if let Ok(large) = large {
        assert_eq!(problem(large).await, (413, "too-large".into()));
    }
    let options = server.ask(Method::OPTIONS, "/v1/notes").send().await.unwrap();
    assert_eq!(options.status(), 405);
    assert!(!options.headers().contains_key("access-control-allow-methods"));
    assert_eq!(server.home.notes().len(), 1);
}

#[test]
fn a_slow_client_is_cut_off_and_others_are_served() {
    let server = Server::start();
    let address = server.url.strip_prefix("http://").unwrap();
    // Heads that never end, more of them than there are threads.
    let mut slow: Vec<TcpStream> = (0..40).map(|_| TcpStream::connect(address).unwrap()).collect();
    for stream in &mut slow {
        stream.write_all(b"POST /v1/notes HTTP/1.1\r\nHost: localhost\r\nX-").unwrap();
    }
    let started = Instant::now();
    let mut quick = TcpStream::connect(address).unwrap();
    quick.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    quick.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && started.elapsed() < Duration::from_secs(5), "{answer}");
    // A body that never ends is told so.
    let mut body = TcpStream::connect(address).unwrap();
    write!(body, "{}", head_of_a_note(&server, 100)).unwrap();
    body.write_all(b"{\"text\":").unwrap();
    let mut call = TcpStream::connect(address).unwrap();
    write!(call, "{}", head_of_a_note(&server, 100).replace("/v1/notes", "/mcp")).unwrap();
    call.write_all(b"{\"jsonrpc\":").unwrap();
    let patience = Duration::from_secs(20);
    slow[0].set_read_timeout(Some(patience)).unwrap();
    let mut rest = Vec::new();
    let _ = slow[0].read_to_end(&mut rest);
    assert!(started.elapsed() < patience, "it was not cut off");
    for mut slow in [body, call] {
        slow.set_read_timeout(Some(patience)).unwrap();
        let mut answer = vec![0; 4_096];
        let read = slow.read(&mut answer).unwrap();
        let answer = String::from_utf8_lossy(&answer[..read]).into_owned();
        assert!(answer.starts_with("HTTP/1.1 408") && answer.contains("slow-client"), "{answer}");
    }
}

/// The head of a request that keeps a note, with a body of so many bytes.
fn head_of_a_note(server: &Server, bytes: usize) -> String {
    format!(
        "POST /v1/notes HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\n\
         Content-Type: application/json\r\nContent-Length: {bytes}\r\n\r\n",
        server.token,
    )
}

#[test]
fn a_request_that_is_under_way_is_answered_before_the_server_ends() {
    let mut server = Server::start();
    let note = r#"{"text": "said while it was asked to end"}"#;
    let mut stream = TcpStream::connect(server.url.strip_prefix("http://").unwrap()).unwrap();
    write!(stream, "{}{}", head_of_a_note(&server, note.len()), &note[..10]).unwrap();
    std::thread::sleep(Duration::from_millis(200));
    server.signal("-TERM");
    std::thread::sleep(Duration::from_millis(200));
    assert!(server.child.try_wait().unwrap().is_none(), "it waits for who is not done");
    let address = server.url.strip_prefix("http://").unwrap().to_owned();
    assert!(TcpStream::connect(address).is_err(), "nobody new is let in");
    stream.write_all(&note.as_bytes()[10..]).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
    assert_eq!(server.ended().0, Some(0));
    assert_eq!(server.home.notes().len(), 1);
}

#[test]
fn a_second_request_to_end_ends_it_at_once() {
    let mut server = Server::start();
    let id = server.home.remember("kept before it was asked to end");
    let mut stream = TcpStream::connect(server.url.strip_prefix("http://").unwrap()).unwrap();
    write!(stream, "{}{{", head_of_a_note(&server, 100)).unwrap();
    std::thread::sleep(Duration::from_millis(200));
    server.signal("-TERM");
    std::thread::sleep(Duration::from_millis(200));
    let asked = Instant::now();
    server.signal("-TERM");
    let (code, said) = server.ended();
    assert_eq!(code, Some(130), "{said}");
    assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());
    assert!(server.home.notes().contains(&id));
    server.home.assert_well();
}

#[tokio::test]
async fn beyond_this_machine_it_says_so_and_lets_nobody_in_without_a_token() {
    let mut server = Server::start_on(home::Home::new(), &["--addr", "0.0.0.0:0", "--allow-host", "memory.lan"]);
    let ask = |host: &'static str, token: Option<&str>| {
        let request = server.http.get(format!("{}/v1/status", server.url)).header("Host", host);
        token.map_or(request.try_clone().unwrap(), |token| request.bearer_auth(token)).send()
    };
    for host in ["192.0.2.7:7477", "memory.lan"] {
        assert_eq!(problem(ask(host, None).await.unwrap()).await, (401, "no-token".into()), "{host}");
        assert_eq!(ask(host, Some(&server.token)).await.unwrap().status(), 200, "{host}");
    }
    // A proxy that speaks TLS stands before the name that was given, and before no other.
    for (origin, path, status) in [
        ("https://memory.lan", "/v1/notes", 201),
        ("https://memory.lan", "/mcp", 200),
        ("https://evil.example", "/v1/notes", 403),
        ("https://memory.lan:9999", "/v1/notes", 403),
    ] {
        let list = json!({ "jsonrpc": "2.0", "id": 2, "method": "tools/list" });
        let body = if path == "/mcp" { list } else { json!({ "text": "by TLS" }) };
        let request = server.ask(Method::POST, path).header("Host", "memory.lan").header("Origin", origin);
        let request = request.header("Accept", "application/json, text/event-stream").json(&body);
        assert_eq!(request.send().await.unwrap().status(), status, "{origin} {path}");
    }
    let evil = ask("evil.example", Some(&server.token)).await.unwrap();
    assert_eq!(problem(evil).await, (403, "host-not-allowed".into()));
    server.signal("-TERM");
    let (_, said) = server.ended();
    assert!(said.contains("other machines can reach this address"), "{said}");
}

#[tokio::test]
async fn it_ends_when_it_is_asked_to_with_everything_kept_and_nothing_secret_said() {
    let mut server = Server::start_on(home::Home::new(), &["-vvv"]);
    let secret = "the word is xyzzy-plover";
    let id = server.note(secret).await;
    server.found("xyzzy-plover").await;
    let stream = server.ask(Method::GET, "/v1/events").send().await.unwrap();
    server.signal("-TERM");
    let (code, said) = server.ended();
    drop(stream);
    assert_eq!(code, Some(0), "{said}");
    assert!(!said.contains(&server.token) && !said.contains("xyzzy"), "{said}");
    assert!(!server.home.path().join("serve.json").exists());
    let log = server.home.path().join("store.db-wal");
    assert!(std::fs::metadata(log).map_or(0, |facts| facts.len()) == 0, "the store was checkpointed");
    assert_eq!(server.home.lag(), 0, "what was written is indexed");
    assert_eq!(server.home.search_ids("xyzzy-plover"), [id]);
    server.home.assert_well();
}

#[cfg(unix)]
#[tokio::test]
async fn a_socket_is_its_owners_alone_and_a_second_server_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let home = home::Home::new();
    let path = home.outside().join("s");
    let address = format!("unix:{}", path.display());
    let mut child = home.command(&["serve", "--addr", &address]).stdout(std::process::Stdio::piped()).spawn().unwrap();
    let patience = Instant::now() + Duration::from_secs(20);
    while !home.path().join("serve.json").exists() && Instant::now() < patience {
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let token = std::fs::read_to_string(home.path().join("token")).unwrap();
    let client = harness_memory::http::Client::new(&address, token.trim()).unwrap();
    let written: Value = client.post("/v1/notes", &json!({ "text": "by the socket" })).await.unwrap();
    assert_eq!(home.search_ids("socket"), [written["id"].as_str().unwrap()]);
    let second = home.output(&["serve", "--addr", "127.0.0.1:0"]);
    assert_eq!(second.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&second.stderr).contains("runs already"));
    let _ = child.kill();
    let _ = child.wait();
    // One that was killed leaves its socket and its word behind; the next one takes both.
    let mut next =
        home.command(&["serve", "--addr", &address, "--json"]).stdout(std::process::Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(next.stdout.take().unwrap()), &mut line).unwrap();
    assert!(line.contains("unix:"), "{line}");
    let _ = next.kill();
    let _ = next.wait();
}

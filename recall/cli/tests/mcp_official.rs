//! `harness mcp` and `/mcp` beside the protocol's own tools: its TypeScript SDK and its conformance suite.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod home;
mod node;
mod server;

use std::process::{Command, Output};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::response::Response;
use node::{node, packages, skipped};
use server::Server;

/// The scenarios for servers that are about what this server has; the rest asks for tools, resources and prompts of
/// the suite's own.
const SCENARIOS: &[&str] =
    &["server-initialize", "ping", "tools-list", "resources-list", "prompts-list", "dns-rebinding-protection"];

/// The largest answer that is passed on.
const ANSWER_BYTES_MAX: usize = 4 << 20;

fn run(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}: {out}{err}");
    output
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_of_the_typescript_sdk_saves_and_finds_a_note() {
    let Some(modules) = packages(&["@modelcontextprotocol/sdk"]) else {
        return skipped(
            "a_client_of_the_typescript_sdk_saves_and_finds_a_note",
            "the npm package @modelcontextprotocol/sdk",
        );
    };
    let server = Server::start();
    let folder = node::script(&modules, "mcp/client.mjs");
    let script = folder.path().join("client.mjs");
    let program = env!("CARGO_BIN_EXE_harness");
    let mut stdio = Command::new(node());
    stdio.arg(&script).args(["stdio", program]).env("HARNESS_HOME", server.home.path()).env("HARNESS_USER", "ana");
    run(&mut stdio);
    let mut http = Command::new(node());
    http.arg(&script).args(["http", &format!("{}/mcp", server.url), &server.token]);
    run(&mut http);
    assert_eq!(server.home.search("kept by the SDK", 10).len(), 2, "one note by each way");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_official_conformance_scenarios_pass() {
    let Some(modules) = packages(&["@modelcontextprotocol/conformance"]) else {
        return skipped("the_official_conformance_scenarios_pass", "the npm package @modelcontextprotocol/conformance");
    };
    let server = Server::start();
    server.note("something to list").await;
    let url = with_token(&server).await;
    let suite = modules.join("@modelcontextprotocol/conformance/dist/index.js");
    for scenario in SCENARIOS {
        let mut command = Command::new(node());
        command.arg(&suite).args(["server", "--url", &url, "--scenario", scenario]).current_dir(server.home.outside());
        let output = run(&mut command);
        let said = String::from_utf8_lossy(&output.stdout);
        println!("{scenario}: {}", said.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default());
    }
}

/// Passes requests on with the token, which the suite cannot be given. Host and Origin stay as they are.
async fn with_token(server: &Server) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/mcp", listener.local_addr().unwrap());
    let passing = (server.http.clone(), server.url.clone(), server.token.clone());
    let router = Router::new().fallback(pass).with_state(passing);
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

async fn pass(State((http, url, token)): State<(reqwest::Client, String, String)>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let body = to_bytes(body, ANSWER_BYTES_MAX).await.unwrap();
    let mut asked = http.request(head.method, format!("{url}{}", head.uri.path())).body(body);
    for (name, value) in head.headers.iter().filter(|(name, _)| *name != "content-length" && *name != "connection") {
        asked = asked.header(name, value);
    }
    let answer = asked.bearer_auth(token).send().await.unwrap();
    let mut response = Response::builder().status(answer.status());
    for name in ["content-type", "mcp-session-id", "allow"] {
        if let Some(value) = answer.headers().get(name) {
            response = response.header(name, value);
        }
    }
    response.body(Body::from(answer.bytes().await.unwrap())).unwrap()
}

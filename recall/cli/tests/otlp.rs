//! Spans to a collector: the names of OpenTelemetry's conventions, in the caller's trace, without anybody's words.

#![cfg(feature = "otlp")]
#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod home;
mod server;

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::routing::post;
use home::Home;
use reqwest::Method;
use serde_json::{Value, json};
use server::Server;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

/// A receiver of OTLP over HTTP, and what came.
#[derive(Clone, Default)]
struct Collector(Arc<Mutex<Vec<Value>>>);

impl Collector {
    async fn listen(self) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let take = async |State(collector): State<Collector>, body: Bytes| {
            collector.0.lock().unwrap().push(serde_json::from_slice(&body).unwrap());
            axum::Json(json!({}))
        };
        let router = Router::new().route("/v1/traces", post(take)).with_state(self);
        tokio::spawn(async move { axum::serve(listener, router).await });
        format!("http://{address}")
    }

    fn spans(&self) -> Vec<Value> {
        let bodies = self.0.lock().unwrap();
        let list = |value: &Value, name: &str| value[name].as_array().cloned().unwrap_or_default();
        let resources = bodies.iter().flat_map(|body| list(body, "resourceSpans"));
        resources.flat_map(|resource| list(&resource, "scopeSpans")).flat_map(|scope| list(&scope, "spans")).collect()
    }
}

fn attribute(span: &Value, name: &str) -> Option<String> {
    let attributes = span["attributes"].as_array().unwrap();
    let found = attributes.iter().find(|attribute| attribute["key"] == name)?;
    let value = found["value"].as_object().unwrap().values().next().unwrap();
    Some(value.as_str().map_or_else(|| value.to_string(), str::to_owned))
}

/// Writes, searches, corrects and forgets in the caller's trace, and ends the server.
async fn a_traced_day(home: Home, settings: &[(&str, &str)], endpoint: &str) -> Server {
    let mut settings = settings.to_vec();
    settings.push(("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint));
    let mut server = Server::start_with(home, &[], &settings);
    let traceparent = format!("00-{TRACE}-{PARENT}-01");
    let ask = |method, path: &str, body: Value| {
        let asked = server.ask(method, path).header("traceparent", &traceparent).json(&body).send();
        async { server::good(asked.await.unwrap()).await }
    };
    let written = ask(Method::POST, "/v1/notes", json!({ "text": "the plover nests in spring" })).await;
    ask(Method::POST, "/v1/recall", json!({ "query": "when does the plover nest" })).await;
    let path = format!("/v1/records/{}", written["id"].as_str().unwrap());
    ask(Method::PATCH, &path, json!({ "pinned": true })).await;
    ask(Method::DELETE, &path, json!({})).await;
    let meta = json!({ "traceparent": traceparent });
    let call = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {
        "name": "memory_search", "arguments": { "query": "plover" }, "_meta": meta,
    } });
    let mcp = server.ask(Method::POST, "/mcp").header("Accept", "application/json, text/event-stream");
    server::good(mcp.header("MCP-Protocol-Version", "2025-11-25").json(&call).send().await.unwrap()).await;
    server.signal("-TERM");
    let (code, said) = tokio::task::block_in_place(|| server.ended());
    assert_eq!(code, Some(0), "{said}");
    server
}

#[tokio::test(flavor = "multi_thread")]
async fn spans_have_the_conventions_names_and_belong_to_the_callers_trace() {
    let collector = Collector::default();
    let endpoint = collector.clone().listen().await;
    a_traced_day(Home::new(), &[], &endpoint).await;
    let spans = collector.spans();
    let named = |name: &str| spans.iter().filter(|span| span["name"] == name).collect::<Vec<_>>();
    for (name, times) in [("create_memory", 1), ("search_memory", 2), ("update_memory", 1), ("delete_memory", 1)] {
        let found = named(name);
        assert_eq!(found.len(), times, "{name}: {spans:#?}");
        for span in found {
            assert_eq!(span["traceId"], TRACE, "{span}");
            assert_eq!(attribute(span, "gen_ai.operation.name").as_deref(), Some(name));
            assert_eq!(attribute(span, "gen_ai.provider.name").as_deref(), Some("harness"));
        }
    }
    let asked = named("search_memory");
    assert_eq!(attribute(asked[0], "gen_ai.memory.record.count").as_deref(), Some("1"));
    // By HTTP the request's span is the caller's child, by MCP that of the call.
    let children =
        spans.iter().filter(|span| span["parentSpanId"] == PARENT).map(|span| span["name"].as_str().unwrap());
    let children: Vec<&str> = children.collect();
    assert!(children.contains(&"request") && children.contains(&"memory_search"), "{children:?}");
    let all = serde_json::to_string(&spans).unwrap();
    assert!(!all.contains("plover"), "nobody's words are in a trace unless that is wanted");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_text_of_a_query_is_in_a_trace_where_that_is_wanted() {
    let collector = Collector::default();
    let endpoint = collector.clone().listen().await;
    a_traced_day(Home::new(), &[("HARNESS_TRACE_QUERIES", "1")], &endpoint).await;
    let texts: Vec<_> =
        collector.spans().iter().filter_map(|span| attribute(span, "gen_ai.memory.query.text")).collect();
    assert!(texts.contains(&"when does the plover nest".to_owned()), "{texts:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_does_not_answer_is_no_trouble() {
    let started = std::time::Instant::now();
    a_traced_day(Home::new(), &[], "http://127.0.0.1:9").await;
    assert!(started.elapsed() < std::time::Duration::from_secs(20), "{:?}", started.elapsed());
}

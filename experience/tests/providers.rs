//! Models of providers, against servers on this machine that speak each one's documented wire format.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod map;
mod stub;

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use harness_experience::agent::{Agent, RunResult, Status};
use harness_experience::model::connected::{Connected, provider_of};
use harness_experience::model::{Ask, Model, ModelError, Reply, Said, ToolSpec};
use harness_experience::tool::{Output, Registry, Risk, Tool};
use harness_memory::Scope;
use harness_memory::memory::BoxFuture;
use map::Map;
use serde_json::{Value, json};
use stub::{Answer, Server};

/// Looks something up, and keeps with what it was called.
struct Look(Arc<Mutex<Vec<Value>>>);

impl Tool for Look {
    fn spec(&self) -> ToolSpec {
        let schema = json!({"type": "object", "properties": {"what": {"type": "string"}}, "required": ["what"]});
        ToolSpec { name: "look".to_owned(), description: "looks something up".to_owned(), schema }
    }

    fn risk(&self, _: &Value) -> Risk {
        Risk::Reads
    }

    fn call<'a>(&'a self, arguments: &'a Value) -> BoxFuture<'a, Output> {
        self.0.lock().unwrap().push(arguments.clone());
        Box::pin(std::future::ready(Output::done(format!("found {}", arguments["what"].as_str().unwrap_or("nothing")))))
    }
}

fn connected(provider: &str, server: &Server) -> Connected {
    let known = provider_of(provider).unwrap();
    let url = match provider {
        "openai" => format!("{}/v1", server.url),
        "gemini" => format!("{}/v1beta/", server.url),
        _ => server.url.clone(),
    };
    Connected::new(known, "m-1", known.key_variable.map(|_| "key-1".to_owned()), Some(url)).unwrap()
}

/// A run over a server, with what its tool was called with.
async fn run(provider: &str, server: &Server) -> (RunResult, Vec<Value>) {
    let called = Arc::new(Mutex::new(Vec::new()));
    let model = Arc::new(connected(provider, server));
    let mut agent = Agent::new(model, Arc::new(Map::default()), Scope::root());
    agent.registry = Registry::new().with(Look(called.clone()));
    let result = agent.run("查一下端口 look the port up").await.unwrap();
    let called = called.lock().unwrap().clone();
    (result, called)
}

async fn ask(model: &Connected) -> (Result<Reply, ModelError>, String) {
    let said = [Said::User { text: "hello".to_owned() }];
    let text = Mutex::new(String::new());
    let reply = model.reply(Ask { said: &said, tools: &[] }, &|chunk| text.lock().unwrap().push_str(chunk)).await;
    (reply, text.into_inner().unwrap())
}

fn sse(events: &[Value]) -> Answer {
    let lines = events.iter().map(|event| format!("data: {event}\n\n"));
    Answer::events(lines.chain(["data: [DONE]\n\n".to_owned()]).collect())
}

fn openai(delta: Value, finish: Option<&str>) -> Value {
    json!({"id": "c", "object": "chat.completion.chunk", "model": "m-1",
           "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})
}

fn openai_text(text: &str) -> Answer {
    let usage =
        json!({"id": "c", "choices": [], "usage": {"prompt_tokens": 11, "completion_tokens": 4, "total_tokens": 15}});
    sse(&[openai(json!({"role": "assistant", "content": text}), None), openai(json!({}), Some("stop")), usage])
}

/// A call in pieces, as it is streamed: the name first, then its arguments in parts.
fn openai_call(finish: &str, number: usize, parts: &[&str]) -> Answer {
    let function = |function: Value| json!({"tool_calls": [{"index": number, "function": function}]});
    let mut first = function(json!({"name": "look", "arguments": ""}));
    first["tool_calls"][0]["id"] = json!("call-7");
    first["tool_calls"][0]["type"] = json!("function");
    let mut events = vec![openai(json!({"role": "assistant", "content": null}), None), openai(first, None)];
    events.extend(parts.iter().map(|part| openai(function(json!({"arguments": part})), None)));
    events.push(openai(json!({}), Some(finish)));
    sse(&events)
}

fn anthropic(events: &[(&str, Value)]) -> Answer {
    let lines = events.iter().map(|(event, data)| {
        let mut data = data.clone();
        data["type"] = json!(event);
        format!("event: {event}\ndata: {data}\n\n")
    });
    Answer::events(lines.collect())
}

fn anthropic_answer(blocks: &[Value], stop: &str) -> Answer {
    let mut events = vec![
        (
            "message_start",
            json!({"message": {"id": "m", "role": "assistant", "content": [], "usage": {"input_tokens": 20, "output_tokens": 1}}}),
        ),
        ("ping", json!({})),
    ];
    for (index, block) in blocks.iter().enumerate() {
        let start = match block["type"].as_str().unwrap() {
            "text" => json!({"type": "text", "text": ""}),
            _ => json!({"type": "tool_use", "id": block["id"], "name": block["name"], "input": {}}),
        };
        events.push(("content_block_start", json!({"index": index, "content_block": start})));
        for part in block["parts"].as_array().unwrap() {
            let delta = match block["type"].as_str().unwrap() {
                "text" => json!({"type": "text_delta", "text": part}),
                _ => json!({"type": "input_json_delta", "partial_json": part}),
            };
            events.push(("content_block_delta", json!({"index": index, "delta": delta})));
        }
        events.push(("content_block_stop", json!({"index": index})));
    }
    events.push(("message_delta", json!({"delta": {"stop_reason": stop}, "usage": {"output_tokens": 9}})));
    events.push(("message_stop", json!({})));
    anthropic(&events)
}

fn gemini(parts: &[Value]) -> Answer {
    let chunk = |part: &Value, last: bool| {
        let mut candidate = json!({"content": {"role": "model", "parts": [part]}, "index": 0});
        if last {
            candidate["finishReason"] = json!("STOP");
        }
        let usage = json!({"promptTokenCount": 8, "candidatesTokenCount": 2, "totalTokenCount": 10});
        json!({"candidates": [candidate], "usageMetadata": usage, "modelVersion": "m-1"})
    };
    let lines =
        parts.iter().enumerate().map(|(at, part)| format!("data: {}\r\n\r\n", chunk(part, at + 1 == parts.len())));
    Answer::events(lines.collect())
}

fn ollama(messages: &[Value]) -> Answer {
    let mut lines: Vec<String> = messages
        .iter()
        .map(|message| format!("{}\n", json!({"model": "m-1", "message": message, "done": false})))
        .collect();
    let done = json!({"model": "m-1", "message": {"role": "assistant", "content": ""}, "done": true,
                      "done_reason": "stop", "prompt_eval_count": 5, "eval_count": 3});
    lines.push(format!("{done}\n"));
    Answer { kind: "application/x-ndjson", ..Answer::events(lines) }
}

#[tokio::test]
async fn openai_streams_text_and_a_call_in_pieces_whatever_its_stop_reason() {
    // Some services say `stop` though they call.
    for finish in ["tool_calls", "stop", "length"] {
        let call = openai_call(finish, 0, &["{\"wh", "at\": \"端", "口\"}"]);
        let server = Server::start(vec![call, openai_text("端口是 8443")]).await;
        let (result, called) = run("openai", &server).await;
        assert_eq!(
            (result.status, result.text.as_str()),
            (Status::Done, "端口是 8443"),
            "{finish}: {:?}",
            result.reason
        );
        assert_eq!((called.as_slice(), result.turns), (&[json!({"what": "端口"})][..], 2), "{finish}");
        assert_eq!((result.tokens, result.cost_usd), (Some(15), None), "a cost that nobody says is unknown");
        let asked = server.requests();
        assert_eq!(
            (asked[0].path.as_str(), asked[0].header("authorization")),
            ("/v1/chat/completions", "Bearer key-1")
        );
        assert_eq!((&asked[0].body["model"], &asked[0].body["stream"]), (&json!("m-1"), &json!(true)));
        assert_eq!(asked[0].body["tools"][0]["function"]["name"], "look");
        let messages = asked[1].body["messages"].as_array().unwrap();
        let (call, answer) = (&messages[messages.len() - 2], &messages[messages.len() - 1]);
        assert_eq!((&call["role"], &call["tool_calls"][0]["id"]), (&json!("assistant"), &json!("call-7")));
        assert_eq!((&answer["role"], &answer["tool_call_id"]), (&json!("tool"), &json!("call-7")));
        assert!(answer["content"].as_str().unwrap().contains("found 端口"), "{answer}");
    }
    // And one that says it calls, and does not, is done.
    let words = sse(&[openai(json!({"content": "nothing to do"}), None), openai(json!({}), Some("tool_calls"))]);
    let (result, called) = run("openai", &Server::start(vec![words]).await).await;
    assert_eq!((result.status, called.len(), result.turns), (Status::Done, 0, 1));
}

#[tokio::test]
async fn a_call_that_is_not_numbered_from_zero_is_done_once() {
    let server = Server::start(vec![openai_call("tool_calls", 1, &["{\"what\":", "\"x\"}"]), openai_text("ok")]).await;
    let (result, called) = run("openai", &server).await;
    assert_eq!((result.status, called), (Status::Done, vec![json!({"what": "x"})]), "{:?}", result.reason);
}

#[tokio::test]
async fn anthropic_streams_text_and_calls_in_blocks() {
    let blocks = [
        json!({"type": "text", "parts": ["I will ", "look"]}),
        json!({"type": "tool_use", "id": "toolu_1", "name": "look", "parts": ["{\"what\"", ": \"a\"}"]}),
        json!({"type": "tool_use", "id": "toolu_2", "name": "look", "parts": ["{\"what\": \"b\"}"]}),
    ];
    let done = anthropic_answer(&[json!({"type": "text", "parts": ["done"]})], "end_turn");
    let server = Server::start(vec![anthropic_answer(&blocks, "end_turn"), done]).await;
    let (result, called) = run("anthropic", &server).await;
    assert_eq!((result.status, result.text.as_str()), (Status::Done, "done"), "{:?}", result.reason);
    assert_eq!(called, [json!({"what": "a"}), json!({"what": "b"})]);
    assert_eq!(result.tokens, Some(58));
    let asked = server.requests();
    assert_eq!((asked[0].path.as_str(), asked[0].header("x-api-key")), ("/v1/messages", "key-1"));
    assert!(!asked[0].header("anthropic-version").is_empty() && asked[0].body["max_tokens"].is_u64());
    let messages = asked[1].body["messages"].as_array().unwrap();
    let (called, answered) = (&messages[messages.len() - 2]["content"], &messages[messages.len() - 1]["content"]);
    assert_eq!((&called[1]["type"], &called[1]["input"]), (&json!("tool_use"), &json!({"what": "a"})));
    assert_eq!((&answered[0]["tool_use_id"], &answered[1]["tool_use_id"]), (&json!("toolu_1"), &json!("toolu_2")));
}

#[tokio::test]
async fn gemini_streams_text_and_whole_calls() {
    let call = json!({"functionCall": {"name": "look", "args": {"what": "端口"}}, "thoughtSignature": "sig-1"});
    let answers =
        vec![gemini(&[json!({"text": "看一下"}), call]), gemini(&[json!({"text": "完"}), json!({"text": "成"})])];
    let server = Server::start(answers).await;
    let (result, called) = run("gemini", &server).await;
    assert_eq!((result.status, result.text.as_str()), (Status::Done, "完成"), "{:?}", result.reason);
    assert_eq!((called, result.tokens), (vec![json!({"what": "端口"})], Some(20)));
    let asked = server.requests();
    assert_eq!(asked[0].path, "/v1beta/models/m-1:streamGenerateContent?alt=sse");
    assert_eq!(asked[0].header("x-goog-api-key"), "key-1");
    let contents = asked[1].body["contents"].to_string();
    assert!(contents.contains("functionResponse") && contents.contains("found 端口"), "{contents}");
    assert!(contents.contains("sig-1"), "its signature is given back with the call: {contents}");
}

#[tokio::test]
async fn ollama_streams_lines_and_needs_no_key() {
    let call = json!({"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "look", "arguments": {"what": "x"}}}]});
    let words = [json!({"role": "assistant", "content": "完"}), json!({"role": "assistant", "content": "成"})];
    let server = Server::start(vec![ollama(&[call]), ollama(&words)]).await;
    let (result, called) = run("ollama", &server).await;
    assert_eq!((result.status, result.text.as_str()), (Status::Done, "完成"), "{:?}", result.reason);
    assert_eq!((called, result.tokens), (vec![json!({"what": "x"})], Some(16)));
    assert_eq!(server.requests()[0].path, "/api/chat");
}

#[tokio::test]
async fn text_is_handed_on_while_it_arrives() {
    let slow = Answer { pause: Duration::from_millis(60), ..openai_text("a") };
    let server = Server::start(vec![slow]).await;
    let model = connected("openai", &server);
    let (started, first) = (Instant::now(), Mutex::new(None));
    let said = [Said::User { text: "hello".to_owned() }];
    let on_text = |_: &str| *first.lock().unwrap() = Some(started.elapsed());
    model.reply(Ask { said: &said, tools: &[] }, &on_text).await.unwrap();
    let (first, whole) = (first.lock().unwrap().unwrap(), started.elapsed());
    assert!(whole > first + Duration::from_millis(100), "the first word came after {first:?} of {whole:?}");
}

#[tokio::test]
async fn what_may_pass_is_asked_again_after_the_pause_that_was_asked_for() {
    let cases = [
        ("openai", openai_text("ok")),
        ("anthropic", anthropic_answer(&[json!({"type": "text", "parts": ["ok"]})], "end_turn")),
        ("gemini", gemini(&[json!({"text": "ok"})])),
        ("ollama", ollama(&[json!({"role": "assistant", "content": "ok"})])),
    ];
    let asked = cases.map(|(provider, good)| async move {
        let limited = Answer::status(429, r#"{"error":{"message":"slow down"}}"#).with("retry-after", "1");
        let broken = Answer::status(500, "<html>oops</html>");
        let server = Server::start(vec![limited, broken, good]).await;
        let (result, _) = run(provider, &server).await;
        assert_eq!((result.status, result.text.as_str()), (Status::Done, "ok"), "{provider}: {:?}", result.reason);
        let times: Vec<Instant> = server.requests().iter().map(|request| request.at).collect();
        assert!(times[1] - times[0] >= Duration::from_millis(990), "{provider}: {:?}", times[1] - times[0]);
        assert_eq!(times.len(), 3, "{provider}");
    });
    futures::future::join_all(asked).await;
}

#[tokio::test]
async fn what_lasts_is_not_asked_again_and_says_why() {
    for (provider, status, body, why) in [
        ("openai", 401, r#"{"error":{"message":"Incorrect API key provided"}}"#, "401 Unauthorized: Incorrect API key"),
        ("openai", 429, r#"{"error":{"message":"You exceeded your quota","code":"insufficient_quota"}}"#, "exceeded"),
        (
            "anthropic",
            404,
            r#"{"type":"error","error":{"type":"not_found_error","message":"model: m-1"}}"#,
            "model: m-1",
        ),
        ("gemini", 400, r#"[{"error":{"code":400,"message":"API key not valid"}}]"#, "API key not valid"),
        ("ollama", 404, r#"{"error":"model 'm-1' not found"}"#, "model 'm-1' not found"),
    ] {
        let server = Server::start(vec![Answer::status(status, body)]).await;
        let (result, _) = run(provider, &server).await;
        let reason = result.reason.unwrap_or_default();
        assert!(result.status == Status::Failed && reason.contains(why), "{provider}: {reason}");
        assert!(reason.contains(&format!("{provider}/m-1")), "{reason}");
        assert_eq!(server.requests().len(), 1, "{provider} {status}");
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_or_does_not_parse_is_no_answer() {
    let part = openai(json!({"role": "assistant", "content": "half"}), None);
    let half = vec![format!("data: {part}\n\n")];
    for (provider, broken) in [
        ("openai", Answer::events(half.clone())),
        ("openai", Answer { cut: true, ..Answer::events(half.clone()) }),
        ("openai", Answer::events(vec![half[0].clone(), "data: {\"choices\": [{\n\n".to_owned()])),
        ("openai", Answer::events(vec!["data: {\"error\": {\"message\": \"server is busy\"}}\n\n".to_owned()])),
        ("openai", sse(&[openai(json!({"role": "assistant", "content": ""}), Some("stop"))])),
        (
            "anthropic",
            anthropic(&[("error", json!({"error": {"type": "overloaded_error", "message": "Overloaded"}}))]),
        ),
        ("gemini", Answer::events(vec!["data: {\"candidates\": [{\"content\": {\"parts\": [{\"text\": \"half\"}]}}], \"usageMetadata\": {}}\n\n".to_owned()])),
        ("ollama", Answer::events(vec!["{\"message\": {\"role\": \"assistant\", \"content\": \"half\"}, \"done\": false}\n".to_owned()])),
        ("ollama", Answer::events(vec!["{\"message\"\n".to_owned()])),
    ] {
        let what = format!("{provider} {:?}", broken.parts);
        let server = Server::start(vec![broken]).await;
        let (reply, _) = ask(&connected(provider, &server)).await;
        let error = reply.expect_err(&what);
        assert!(error.passing, "{what}: {error}");
    }
}

#[tokio::test]
async fn arguments_that_are_no_json_are_refused_and_the_model_is_told() {
    let server = Server::start(vec![openai_call("tool_calls", 0, &["{\"what\": \"x"]), openai_text("sorry")]).await;
    let (result, called) = run("openai", &server).await;
    assert_eq!((result.status, called.len()), (Status::Done, 0), "{:?}", result.reason);
    assert_eq!(result.tool_calls[0].ok, Some(false));
    let cut = json!({"type": "tool_use", "id": "t", "name": "look", "parts": ["{\"what\": \"x"]});
    let done = anthropic_answer(&[json!({"type": "text", "parts": ["done"]})], "end_turn");
    let server = Server::start(vec![anthropic_answer(&[cut], "max_tokens"), done]).await;
    let (result, called) = run("anthropic", &server).await;
    assert_eq!((result.status, called.len()), (Status::Done, 0), "{:?}", result.reason);
    let asked = server.requests();
    let messages = asked[1].body["messages"].as_array().unwrap();
    let input = &messages[messages.len() - 2]["content"][0]["input"];
    assert!(input.is_object(), "a call is given back with an object, or the service refuses it: {input}");
}

#[tokio::test]
async fn a_service_that_is_not_there_is_said_and_a_slow_one_costs_the_run_its_time() {
    let (reply, _) = ask(&connected("ollama", &Server::nowhere())).await;
    assert!(reply.unwrap_err().passing);
    let slow = Answer { wait: Duration::from_secs(20), ..openai_text("late") };
    let server = Server::start(vec![slow]).await;
    let mut agent = Agent::new(Arc::new(connected("openai", &server)), Arc::new(Map::default()), Scope::root());
    agent.limits.time = Duration::from_millis(300);
    let started = Instant::now();
    let result = agent.run("hello").await.unwrap();
    assert_eq!(result.status, Status::Stopped);
    assert!(started.elapsed() < Duration::from_secs(5));
}

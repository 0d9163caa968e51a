//! Models of providers, through genai: OpenAI-compatible services, Anthropic, Gemini, Ollama.

use std::time::Duration;

use futures::StreamExt;
use genai::adapter::AdapterKind;
use genai::chat::{
    ChatMessage, ChatOptions, ChatRequest, ChatRole, ChatStreamEvent, ContentPart, MessageContent, StreamEnd, Tool,
    ToolCall, ToolResponse,
};
use genai::resolver::{AuthData, Endpoint, ServiceTargetResolver};
use genai::{Client, ModelIden, ServiceTarget};
use harness_memory::memory::BoxFuture;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Ask, Call, Model, ModelError, OnText, Reply, Said};

/// The most bytes of a provider's error that are shown: some answer a whole page.
const ERROR_BYTES_MAX: usize = 500;

/// A provider of models.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Provider {
    /// Its name in `provider/name`.
    pub name: &'static str,
    /// The variable that holds its key; `None` where none is needed.
    pub key_variable: Option<&'static str>,
    /// The variable that holds another base URL.
    pub url_variable: &'static str,
    kind: AdapterKind,
}

/// The providers, by their names.
pub const PROVIDERS: &[Provider] = &[
    provider("openai", Some("OPENAI_API_KEY"), "OPENAI_BASE_URL", AdapterKind::OpenAI),
    provider("anthropic", Some("ANTHROPIC_API_KEY"), "ANTHROPIC_BASE_URL", AdapterKind::Anthropic),
    provider("gemini", Some("GEMINI_API_KEY"), "GEMINI_BASE_URL", AdapterKind::Gemini),
    provider("ollama", None, "OLLAMA_BASE_URL", AdapterKind::Ollama),
    provider("deepseek", Some("DEEPSEEK_API_KEY"), "DEEPSEEK_BASE_URL", AdapterKind::DeepSeek),
    provider("groq", Some("GROQ_API_KEY"), "GROQ_BASE_URL", AdapterKind::Groq),
    provider("xai", Some("XAI_API_KEY"), "XAI_BASE_URL", AdapterKind::Xai),
];

const fn provider(
    name: &'static str,
    key_variable: Option<&'static str>,
    url_variable: &'static str,
    kind: AdapterKind,
) -> Provider {
    Provider { name, key_variable, url_variable, kind }
}

/// The provider of this name.
pub fn provider_of(name: &str) -> Option<&'static Provider> {
    PROVIDERS.iter().find(|provider| provider.name == name)
}

/// A model of a provider.
pub struct Connected {
    client: Client,
    kind: AdapterKind,
    name: String,
    /// `provider/name`, as people say it.
    spoken: String,
    price: Option<Price>,
}

/// What a model costs, in US dollars for a million tokens.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Price {
    /// Of what it reads.
    pub read: f64,
    /// Of what it writes.
    pub written: f64,
}

impl Price {
    fn of(self, read: i32, written: i32) -> f64 {
        (f64::from(read.max(0)) * self.read + f64::from(written.max(0)) * self.written) / 1e6
    }
}

impl Connected {
    /// A model by its provider, its name there, its key, and another base URL than the provider's own.
    pub fn new(provider: &Provider, name: &str, key: Option<String>, url: Option<String>) -> Result<Connected, String> {
        let kind = provider.kind;
        let url = url.map(|url| base(kind, &url));
        let target = ServiceTargetResolver::from_resolver_fn(
            move |target: ServiceTarget| -> Result<ServiceTarget, genai::resolver::Error> {
                let ServiceTarget { endpoint, auth, model } = target;
                let endpoint = url.as_ref().map_or(endpoint, |url| Endpoint::from_owned(url.as_str()));
                let auth = key.as_ref().map_or(auth, |key| AuthData::from_single(key.as_str()));
                Ok(ServiceTarget { endpoint, auth, model: ModelIden::new(kind, model.model_name) })
            },
        );
        let client = Client::builder()
            .with_adapter_kind(kind)
            .with_service_target_resolver(target)
            .build()
            .map_err(|error| error.to_string())?;
        Ok(Connected { client, kind, name: name.to_owned(), spoken: format!("{}/{name}", provider.name), price: None })
    }

    /// The same under the name that its user knows it by.
    pub fn spoken_of_as(self, name: &str) -> Connected {
        Connected { spoken: name.to_owned(), ..self }
    }

    /// The same at this price: providers say how many tokens were used, and not what they cost.
    pub fn at_price(self, price: Option<Price>) -> Connected {
        Connected { price, ..self }
    }

    fn failed(&self, error: &genai::Error) -> ModelError {
        // An answer with a bad status comes as a stream that fails, with the answer inside.
        let error = match error {
            genai::Error::WebStream { error: inside, .. } => inside.downcast_ref().unwrap_or(error),
            other => other,
        };
        let reason = match error {
            genai::Error::HttpError { status, body, .. } => format!("{status}: {}", said_in(body)),
            genai::Error::ChatResponse { body, .. } => message_in(body).unwrap_or_else(|| body.to_string()),
            other => other.to_string(),
        };
        let status = error.status().map(|status| status.as_u16());
        let passing = match (status, error) {
            // Nobody's credit comes back within a run.
            (Some(429), genai::Error::HttpError { body, .. }) => !body.contains("insufficient_quota"),
            (Some(status), _) => matches!(status, 408 | 409 | 425 | 429) || status >= 500,
            (None, genai::Error::WebModelCall { .. } | genai::Error::WebStream { .. }) => true,
            // What breaks within an answer is the service's trouble.
            (None, genai::Error::StreamParse { .. } | genai::Error::ChatResponse { .. }) => true,
            (None, _) => false,
        };
        let header = |name: &str| error.headers()?.get(name)?.to_str().ok();
        let after = header("retry-after-ms")
            .and_then(|ms| ms.trim().parse().ok().map(Duration::from_millis))
            .or_else(|| header("retry-after").and_then(|words| after(words, Timestamp::now())));
        let reason = reason[..reason.floor_char_boundary(ERROR_BYTES_MAX)].to_owned();
        ModelError { model: self.spoken.clone(), reason, passing, after }
    }

    fn broke_off(&self, reason: &str) -> ModelError {
        ModelError { model: self.spoken.clone(), reason: reason.to_owned(), passing: true, after: None }
    }

    /// Whether an answer came to its end. Of some services the end of the connection is passed off as one.
    fn is_whole(&self, end: &StreamEnd) -> bool {
        match self.kind {
            AdapterKind::Gemini => end.captured_stop_reason.is_some(),
            AdapterKind::Ollama => end.captured_stop_reason.is_some() || end.captured_usage.is_some(),
            _ => true,
        }
    }
}

/// A base URL as it is joined with what follows it: ending in a slash, and in the version where the service's own
/// programs leave that out.
fn base(kind: AdapterKind, url: &str) -> String {
    let url = url.trim().trim_end_matches('/');
    let version = if kind == AdapterKind::Anthropic && !url.ends_with("/v1") { "/v1" } else { "" };
    format!("{url}{version}/")
}

/// What a service says in the body of an error.
fn said_in(body: &str) -> String {
    serde_json::from_str::<Value>(body).ok().as_ref().and_then(message_in).unwrap_or_else(|| body.trim().to_owned())
}

/// The message in an error of a service, wherever it keeps it.
fn message_in(body: &Value) -> Option<String> {
    // Gemini wraps its errors in a list.
    let body = body.get(0).unwrap_or(body);
    let places = ["/error/message", "/message", "/error", "/detail"];
    places.iter().find_map(|place| body.pointer(place)?.as_str()).map(str::to_owned)
}

/// How long `Retry-After` asks to wait: seconds, or until a date.
fn after(words: &str, now: Timestamp) -> Option<Duration> {
    if let Ok(seconds) = words.trim().parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    let until = jiff::fmt::rfc2822::parse(words).ok()?.timestamp();
    Some(Duration::try_from(until.duration_since(now)).unwrap_or_default())
}

/// The calls of an answer, as it made them.
fn calls(heard: Vec<ToolCall>) -> Vec<Call> {
    let mut calls: Vec<Call> = Vec::new();
    for ToolCall { call_id, fn_name, fn_arguments, thought_signatures } in heard {
        let arguments = match fn_arguments {
            // A tool that takes nothing is called with nothing.
            Value::String(text) if text.trim().is_empty() => json!({}),
            // Some services write JSON into a text; what is no JSON is refused before the tool sees it.
            Value::String(text) => {
                serde_json::from_str(&text).ok().filter(Value::is_object).unwrap_or(Value::String(text))
            }
            Value::Null => json!({}),
            other => other,
        };
        let call = Call { id: call_id, tool: fn_name, arguments, signatures: thought_signatures.unwrap_or_default() };
        // Where a service does not number its calls from 0, what is missing is filled with copies of what came first.
        match calls.iter_mut().find(|known| !call.id.is_empty() && known.id == call.id && known.tool == call.tool) {
            Some(copy) => *copy = call,
            None => calls.push(call),
        }
    }
    calls
}

/// Arguments as they are given back: services refuse a conversation in which they are no object.
fn given_back(arguments: &Value) -> Value {
    match arguments {
        Value::Object(_) => arguments.clone(),
        Value::Null => json!({}),
        other => json!({"unreadable": other}),
    }
}

fn request(kind: AdapterKind, ask: Ask<'_>) -> ChatRequest {
    let mut messages: Vec<ChatMessage> = Vec::with_capacity(ask.said.len());
    for said in ask.said {
        // Anthropic wants all answers to one turn's calls in one message, the others one in each.
        if let (Said::Tool { call, tool, text }, Some(before)) = (said, messages.last_mut())
            && kind == AdapterKind::Anthropic
            && before.role == ChatRole::Tool
        {
            let answer = ToolResponse::new(call.clone(), text.clone()).with_fn_name(tool.clone());
            before.content.push(ContentPart::ToolResponse(answer));
            continue;
        }
        messages.push(match said {
            Said::System { text } => ChatMessage::system(text),
            Said::User { text } => ChatMessage::user(text),
            Said::Assistant(reply) => {
                let mut parts = Vec::new();
                if !reply.text.is_empty() {
                    parts.push(ContentPart::from(reply.text.clone()));
                }
                parts.extend(reply.calls.iter().map(|call| {
                    ContentPart::ToolCall(ToolCall {
                        call_id: call.id.clone(),
                        fn_name: call.tool.clone(),
                        fn_arguments: given_back(&call.arguments),
                        thought_signatures: (!call.signatures.is_empty()).then(|| call.signatures.clone()),
                    })
                }));
                ChatMessage::assistant(MessageContent::from_parts(parts))
            }
            Said::Tool { call, tool, text } => {
                ChatMessage::from(ToolResponse::new(call.clone(), text.clone()).with_fn_name(tool.clone()))
            }
        });
    }
    let tools = ask.tools.iter().map(|tool| {
        Tool::new(tool.name.clone()).with_description(tool.description.clone()).with_schema(tool.schema.clone())
    });
    let request = ChatRequest::new(messages);
    if ask.tools.is_empty() { request } else { request.with_tools(tools.collect::<Vec<_>>()) }
}

impl Model for Connected {
    fn reply<'a>(&'a self, ask: Ask<'a>, on_text: OnText<'a>) -> BoxFuture<'a, Result<Reply, ModelError>> {
        Box::pin(async move {
            let options = ChatOptions::default()
                .with_capture_content(true)
                .with_capture_tool_calls(true)
                .with_capture_usage(true);
            let streaming = self.client.exec_chat_stream(self.name.as_str(), request(self.kind, ask), Some(&options));
            let mut stream = streaming.await.map_err(|error| self.failed(&error))?.stream;
            let mut reply = Reply::default();
            let mut ended = false;
            while let Some(event) = stream.next().await {
                match event.map_err(|error| self.failed(&error))? {
                    ChatStreamEvent::Chunk(chunk) => {
                        on_text(&chunk.content);
                        reply.text.push_str(&chunk.content);
                    }
                    ChatStreamEvent::End(end) => {
                        ended = self.is_whole(&end);
                        let usage = end.captured_usage.clone().unwrap_or_default();
                        let (read, written) = (usage.prompt_tokens, usage.completion_tokens);
                        reply.cost_usd =
                            self.price.zip(read.zip(written)).map(|(price, (read, written))| price.of(read, written));
                        let parts = read.unwrap_or(0) + written.unwrap_or(0);
                        reply.tokens = usage
                            .total_tokens
                            .or((parts > 0).then_some(parts))
                            .and_then(|tokens| u64::try_from(tokens).ok());
                        reply.calls = calls(end.captured_into_tool_calls().unwrap_or_default());
                    }
                    _ => {}
                }
            }
            if !ended {
                return Err(self.broke_off("its answer broke off"));
            }
            if reply.text.trim().is_empty() && reply.calls.is_empty() {
                return Err(self.broke_off("its answer was empty"));
            }
            Ok(reply)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn providers_are_known_by_name_and_say_which_variable_holds_their_key() {
        assert_eq!(provider_of("anthropic").and_then(|known| known.key_variable), Some("ANTHROPIC_API_KEY"));
        assert_eq!(provider_of("ollama").and_then(|known| known.key_variable), None);
        assert!(provider_of("nobody").is_none());
    }

    #[test]
    fn a_price_is_for_a_million_tokens() {
        let price = Price { read: 2.0, written: 10.0 };
        assert_eq!(price.of(500_000, 100_000), 2.0);
        assert_eq!(price.of(-1, 0), 0.0);
    }

    #[test]
    fn a_pause_that_a_service_asks_for_is_seconds_or_until_a_date() {
        let now: Timestamp = "2026-05-01T10:00:00Z".parse().unwrap();
        assert_eq!(after("7", now), Some(Duration::from_secs(7)));
        assert_eq!(after("0.5", now), Some(Duration::from_millis(500)));
        assert_eq!(after("Fri, 01 May 2026 10:00:20 GMT", now), Some(Duration::from_secs(20)));
        assert_eq!(after("Fri, 01 May 2026 09:00:00 GMT", now), Some(Duration::ZERO), "a date that has passed");
        assert_eq!((after("soon", now), after("-3", now)), (None, None));
    }

    #[test]
    fn what_a_service_says_of_an_error_is_found() {
        for (body, said) in [
            (r#"{"error":{"message":"Incorrect API key","type":"invalid_request_error"}}"#, "Incorrect API key"),
            (r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#, "Overloaded"),
            (r#"[{"error":{"code":429,"message":"Quota exceeded"}}]"#, "Quota exceeded"),
            (r#"{"error":"model 'x' not found"}"#, "model 'x' not found"),
            ("<html>bad gateway</html>\n", "<html>bad gateway</html>"),
        ] {
            assert_eq!(said_in(body), said);
        }
    }
}

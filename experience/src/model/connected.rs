//! Models of providers, through genai: OpenAI-compatible services, Anthropic, Gemini, Ollama.

use std::time::Duration;

use futures::StreamExt;
use genai::adapter::AdapterKind;
use genai::chat::{
    ChatMessage, ChatOptions, ChatRequest, ChatStreamEvent, ContentPart, MessageContent, Tool, ToolCall, ToolResponse,
};
use genai::resolver::{AuthData, Endpoint, ServiceTargetResolver};
use genai::{Client, ModelIden, ServiceTarget};
use harness_memory::memory::BoxFuture;

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
    name: String,
    /// `provider/name`, as people say it.
    spoken: String,
}

impl Connected {
    /// A model by its provider, its name there, its key, and another base URL than the provider's own.
    pub fn new(provider: &Provider, name: &str, key: Option<String>, url: Option<String>) -> Result<Connected, String> {
        let kind = provider.kind;
        // What follows the base URL is joined to it, so that it has to end in a slash.
        let url = url.map(|url| if url.ends_with('/') { url } else { format!("{url}/") });
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
        Ok(Connected { client, name: name.to_owned(), spoken: format!("{}/{name}", provider.name) })
    }

    fn failed(&self, error: &genai::Error) -> ModelError {
        let status = error.status().map(|status| status.as_u16());
        let words = error.to_string();
        let reason = words[..words.floor_char_boundary(ERROR_BYTES_MAX)].to_owned();
        let passing = match (status, error) {
            (Some(status), _) => matches!(status, 408 | 409 | 425 | 429) || status >= 500,
            (None, genai::Error::WebModelCall { .. } | genai::Error::WebStream { .. }) => true,
            (None, _) => false,
        };
        ModelError { model: self.spoken.clone(), reason, passing, after: after(&words) }
    }
}

/// How long a provider's error asks to wait, where it says so in seconds.
fn after(words: &str) -> Option<Duration> {
    let at = words.find("retry-after\": \"").map(|at| at + 15)?;
    let digits: String = words[at..].chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok().map(Duration::from_secs)
}

fn request(ask: Ask<'_>) -> ChatRequest {
    let mut messages = Vec::with_capacity(ask.said.len());
    for said in ask.said {
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
                        fn_arguments: call.arguments.clone(),
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
            let streaming = self.client.exec_chat_stream(self.name.as_str(), request(ask), Some(&options));
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
                        ended = true;
                        let usage = end.captured_usage.clone().unwrap_or_default();
                        let parts = usage.prompt_tokens.unwrap_or(0) + usage.completion_tokens.unwrap_or(0);
                        reply.tokens = usage
                            .total_tokens
                            .or((parts > 0).then_some(parts))
                            .and_then(|tokens| u64::try_from(tokens).ok());
                        for call in end.captured_into_tool_calls().unwrap_or_default() {
                            reply.calls.push(Call {
                                id: call.call_id,
                                tool: call.fn_name,
                                arguments: call.fn_arguments,
                                signatures: call.thought_signatures.unwrap_or_default(),
                            });
                        }
                    }
                    _ => {}
                }
            }
            if !ended {
                let reason = "its answer broke off".to_owned();
                return Err(ModelError { model: self.spoken.clone(), reason, passing: true, after: None });
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
}

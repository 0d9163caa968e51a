//! What is written, and what became of it.

use std::collections::BTreeMap;

use harness_memory::record::{ToolCall, ToolResult};
use harness_memory::{
    Episode, Kind, Lesson, Message, MessageForm, Note, Origin, Outcome, RecordId, Role, Scope, ToolUse, Trust,
};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::de::{self, DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Value, json};

use super::input::Parsed;

/// The most messages of one request: one transaction.
pub(crate) const MESSAGES_MAX: usize = harness_memory::store::PUT_RECORDS_MAX;

/// The greatest place of a message in its session: more than anybody says.
pub(crate) const POSITION_MAX: u32 = i32::MAX as u32;

/// A schema's `anyOf`: at least one of these fields is there and not `null`.
fn said(fields: &[&str]) -> Vec<Value> {
    let one = |field: &&str| json!({ "required": [field], "properties": { *field: { "not": { "type": "null" } } } });
    fields.iter().map(one).collect()
}

/// What a message must be. One without a text that calls a tool, or answers one, says something too.
fn of_messages() -> Value {
    let mut any = said(&["tool_result", "caption"]);
    any.push(json!({ "properties": { "text": { "pattern": "\\S" } } }));
    any.push(json!({ "required": ["tool_calls"], "properties": { "tool_calls": { "minItems": 1 } } }));
    json!([{ "anyOf": any }, { "properties": { "position": { "maximum": POSITION_MAX } } }])
}

/// What a change must say. That something expires no more is said by `null`.
fn of_changes() -> Vec<Value> {
    let mut any = said(&["text", "tags", "pinned", "outcome", "reason", "trust"]);
    any.push(json!({ "required": ["expires_at"] }));
    any
}

/// A statement to remember.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NoteRequest {
    /// The statement.
    #[schemars(length(min = 1), extend("pattern" = "\\S"))]
    pub(crate) text: String,
    #[serde(flatten)]
    pub(crate) about: About,
}

/// What a record says of itself beside its text.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub(crate) struct About {
    /// Whose it is; the token's own scope when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) scope: Option<Parsed<Scope>>,
    /// Words to find it by.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(min = 1, max = 64), regex(pattern = "\\S")))]
    pub(crate) tags: Vec<String>,
    /// Whether to keep it in front.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) pinned: bool,
    /// The record that this one supersedes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) replaces: Option<RecordId>,
    /// The session it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub(crate) session: Option<String>,
    /// The tool or way it comes from; `http` when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub(crate) source: Option<String>,
    /// What names it within its source and session: writing it again adds nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub(crate) key: Option<String>,
    /// Who said it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) origin: Option<Origin>,
    /// How far it may be believed: `trusted` for what the person said, else `plain`, when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) trust: Option<Trust>,
    /// When it was said or happened; now when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) created_at: Option<Parsed<Timestamp>>,
    /// From when on it is no longer recalled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) expires_at: Option<Parsed<Timestamp>>,
}

/// What was tried, with which tools, and how it ended.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct EpisodeRequest {
    /// What was asked, in the words it was asked in.
    #[schemars(length(min = 1), extend("pattern" = "\\S"))]
    pub(crate) situation: String,
    /// What else the person said, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) user_turns: Vec<String>,
    /// The tools that were used, in order: their names, or more about each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) tools: Vec<ToolSaid>,
    /// How it ended; `unknown` when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) outcome: Option<Outcome>,
    /// What says that it ended so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
    /// What to take from it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) lesson: Option<String>,
    /// Errors met on the way.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) errors: Vec<String>,
    /// What it cost, in US dollars.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub(crate) cost_usd: Option<f64>,
    /// Tokens read and written by the model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 9_007_199_254_740_991_u64))]
    pub(crate) tokens: Option<u64>,
    /// From the request to the end, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 9_007_199_254_740_991_u64))]
    pub(crate) duration_ms: Option<u64>,
    #[serde(flatten)]
    pub(crate) about: About,
}

/// A use of a tool, or only its name.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(untagged)]
pub(crate) enum ToolSaid {
    Name(String),
    Use(ToolUse),
}

impl<'de> Deserialize<'de> for ToolSaid {
    /// Reads it as what it looks like, so that what is wrong with it is said.
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<ToolSaid, D::Error> {
        match Value::deserialize(from)? {
            Value::String(name) => Ok(ToolSaid::Name(name)),
            used @ Value::Object(_) => read(used, "a tool").map(ToolSaid::Use),
            _ => Err(D::Error::custom("a tool is its name, or an object with `tool`")),
        }
    }
}

/// Reads a part of a request; `what` names it in what is said when it is wrong.
fn read<T: DeserializeOwned, E: de::Error>(value: Value, what: &str) -> Result<T, E> {
    serde_json::from_value(value).map_err(|error| E::custom(format!("{what}: {error}")))
}

impl EpisodeRequest {
    pub(crate) fn episode(self) -> (Episode, About) {
        let tools = self.tools.into_iter().map(|tool| match tool {
            ToolSaid::Use(tool) => tool,
            ToolSaid::Name(tool) => ToolUse { tool, gist: String::new(), ok: None, error: None },
        });
        let episode = Episode {
            user_turns: self.user_turns,
            tools: tools.collect(),
            outcome: self.outcome.unwrap_or(Outcome::Unknown),
            reason: self.reason,
            lesson: self.lesson,
            errors: self.errors,
            cost_usd: self.cost_usd,
            tokens: self.tokens,
            duration_ms: self.duration_ms,
            ..Episode::new(self.situation)
        };
        (episode, self.about)
    }
}

/// A whole record of any kind, as `GET /v1/records/{id}` answers it.
///
/// A message, note or lesson has a `text`, an episode a `situation`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub(crate) enum RecordRequest {
    Note(Whole<Note>),
    #[schemars(extend("allOf" = of_messages()))]
    Message(Whole<Message>),
    Episode(Whole<Episode>),
    Lesson(Whole<Lesson>),
}

/// A record with its own id.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Whole<B> {
    /// Its name; a new one when left out.
    #[serde(default)]
    pub(crate) id: Option<RecordId>,
    /// Taken and not used, so that an answer can be sent as it came: it is what the newer record says.
    #[serde(default, rename = "replaced_by")]
    pub(crate) _replaced_by: Option<RecordId>,
    #[serde(flatten)]
    pub(crate) about: About,
    #[serde(flatten)]
    pub(crate) body: B,
}

/// One turn of a session.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MessageRequest {
    /// Whose turn it was.
    pub(crate) role: Role,
    /// What was said, or what the tool printed.
    #[schemars(length(min = 1), extend("pattern" = "\\S"))]
    pub(crate) text: String,
    /// What it is within its session; a statement when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) form: Option<MessageForm>,
    /// The name of who spoke.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) speaker: Option<String>,
    /// Its place in the session, counted from 0; behind the last one when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = POSITION_MAX))]
    pub(crate) position: Option<u32>,
    /// What an image or attachment shows, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) caption: Option<String>,
    /// The tools that this turn called.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) tool_calls: Vec<ToolCall>,
    /// For a tool's turn: which call it answers, and how it went.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) tool_result: Option<ToolResult>,
    /// What names it within its session: writing it again adds nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub(crate) key: Option<String>,
    /// When it was said; now when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) created_at: Option<Parsed<Timestamp>>,
}

/// One message, or several, with what is known of their session.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(untagged)]
pub(crate) enum MessagesRequest {
    Session(SessionMessages),
    Many(#[schemars(length(min = 1, max = 1000))] Vec<MessageRequest>),
    One(MessageRequest),
}

impl<'de> Deserialize<'de> for MessagesRequest {
    /// Reads it as what it looks like, so that what is wrong with it is said, and with which message.
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<MessagesRequest, D::Error> {
        fn many<E: de::Error>(values: Vec<Value>) -> Result<Vec<MessageRequest>, E> {
            let numbered = values.into_iter().enumerate();
            numbered.map(|(at, value)| read(value, &format!("message {}", at + 1))).collect()
        }
        match Value::deserialize(from)? {
            Value::Array(values) => many(values).map(MessagesRequest::Many),
            Value::Object(mut fields) => match fields.remove("messages") {
                None => read(Value::Object(fields), "the message").map(MessagesRequest::One),
                Some(Value::Array(values)) => {
                    let messages = many(values)?;
                    fields.insert("messages".to_owned(), Value::Array(Vec::new()));
                    let session: SessionMessages = read(Value::Object(fields), "the session")?;
                    Ok(MessagesRequest::Session(SessionMessages { messages, ..session }))
                }
                Some(_) => Err(D::Error::custom("`messages` is a list of messages")),
            },
            _ => Err(D::Error::custom("give a message, a list of messages, or an object with `messages`")),
        }
    }
}

/// Messages with what is known of their session.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SessionMessages {
    /// The messages, in order.
    #[schemars(length(min = 1, max = 1000))]
    pub(crate) messages: Vec<MessageRequest>,
    /// The tool whose session it is; `http` when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub(crate) source: Option<String>,
    /// Whose it is; the token's own scope when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) scope: Option<Parsed<Scope>>,
    /// What the session is about, in a few words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) title: Option<String>,
    /// The name of the project.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) project: Option<String>,
    /// The working directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) directory: Option<String>,
}

/// One of them, or a list that is written as one: all of it, or nothing.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(untagged)]
#[schemars(rename = "{T}s")]
pub(crate) enum Several<T> {
    One(T),
    Many(#[schemars(length(min = 1, max = 1000))] Vec<T>),
}

impl<'de, T: DeserializeOwned> Deserialize<'de> for Several<T> {
    /// Reads it as what it looks like, so that what is wrong with it is said, and with which of them.
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Several<T>, D::Error> {
        match Value::deserialize(from)? {
            Value::Array(values) => {
                let numbered = values.into_iter().enumerate();
                numbered
                    .map(|(at, value)| read(value, &format!("number {}", at + 1)))
                    .collect::<Result<_, _>>()
                    .map(Several::Many)
            }
            value => serde_json::from_value(value).map(Several::One).map_err(D::Error::custom),
        }
    }
}

impl<T> Several<T> {
    /// All of them, and whether they came as a list.
    pub(crate) fn into_list(self) -> (Vec<T>, bool) {
        match self {
            Several::One(one) => (vec![one], false),
            Several::Many(many) => (many, true),
        }
    }
}

/// What became of a record that was written.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Written {
    /// The record, or the one of the same key that was there already.
    pub(crate) id: RecordId,
    pub(crate) kind: Kind,
    pub(crate) scope: Scope,
    /// Whether this request added it.
    pub(crate) created: bool,
    /// The record that it takes the place of, where what is stored says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) replaces: Option<RecordId>,
    /// How many secrets were replaced before it was stored, by rule.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) redactions: BTreeMap<String, usize>,
}

/// What became of messages that were written, in their order.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct MessagesWritten {
    pub(crate) session: String,
    pub(crate) messages: Vec<Written>,
}

/// What to change of a record. What is left out stays as it is.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("anyOf" = of_changes()))]
pub(crate) struct PatchRequest {
    /// A note's new text: a new version that replaces this one, and is answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1), extend("pattern" = "\\S"))]
    pub(crate) text: Option<String>,
    /// Replaces all tags.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32), inner(length(min = 1, max = 64), regex(pattern = "\\S")))]
    pub(crate) tags: Option<Vec<String>>,
    /// Pins or unpins it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) pinned: Option<bool>,
    /// For an episode: how it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) outcome: Option<Outcome>,
    /// For an episode: what says that it ended so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
    /// How far it may be believed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) trust: Option<Trust>,
    /// From when on it is no longer recalled; `null` takes that away.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "given")]
    pub(crate) expires_at: Option<Option<Parsed<Timestamp>>>,
}

/// What was given, if only `null`.
fn given<'de, T: Deserialize<'de>, D: Deserializer<'de>>(from: D) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(from).map(Some)
}

/// Which records to forget.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ForgetRequest {
    /// The records; when one of them was never there, nothing is done.
    #[schemars(length(min = 1, max = 1000))]
    pub(crate) ids: Vec<RecordId>,
}

/// What was forgotten.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Forgot {
    /// How many records were live before.
    pub(crate) forgotten: usize,
    /// Until then they can be brought back.
    pub(crate) undo_until: Timestamp,
}

/// Records that were given to a run.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExposureRequest {
    /// The run they were given to.
    #[schemars(length(min = 1, max = 512), extend("pattern" = "\\S"))]
    pub(crate) run: String,
    /// The records, best first.
    #[schemars(length(max = 1000))]
    pub(crate) records: Vec<RecordId>,
    /// When; now when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) at: Option<Parsed<Timestamp>>,
    /// What recall was asked.
    #[serde(default)]
    pub(crate) query: String,
    /// What kind of task it was, where somebody says so; else it is told from the query's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub(crate) task: Option<String>,
    /// Whether the run was in the holdout: these records would have been given to it, and were not.
    #[serde(default)]
    pub(crate) holdout: bool,
}

/// How a run ended.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct OutcomeRequest {
    pub(crate) outcome: Outcome,
    /// What says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
}

/// What a tool's hook writes.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub(crate) struct HookInput(pub(crate) serde_json::Map<String, serde_json::Value>);

/// That it was done.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Done {
    pub(crate) run: String,
}

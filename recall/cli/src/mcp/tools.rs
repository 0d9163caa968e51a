//! What a model can call: few tools, clear names, small answers with ids.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use harness_memory::memory::HITS_OF_SESSION_MAX;
use harness_memory::scope::Readable;
use harness_memory::{Kind, Outcome, Scope, marker};
use harness_recall::tokens;
use jiff::Timestamp;
use rmcp::model::{CallToolResult, ContentBlock, JsonObject, Tool, ToolAnnotations};
use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;
use schemars::{JsonSchema, Schema};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::backend::Backend;
use super::cut;
use super::render::{self, FoundRecord};
use crate::serve::problem::Problem;
use crate::serve::types::input::{Limit, Parsed};
use crate::serve::types::{
    About, EpisodeRequest, Forgot, NoteRequest, RecallRequest, SessionsQuery, ToolSaid, Written,
};

/// How many tokens an answer may take when nobody says: clients warn above ten thousand.
const ANSWER_TOKENS_DEFAULT: u32 = 2_000;

/// The most that an answer may take.
const ANSWER_TOKENS_MAX: u32 = 8_000;

/// The most records of one `memory_get`.
const GET_MAX: usize = 10;

/// How much of a session's title is shown, in characters: a line.
const TITLE_CHARS_MAX: usize = 200;

type Budget = Limit<ANSWER_TOKENS_MAX, ANSWER_TOKENS_DEFAULT>;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SearchInput {
    /// What to search for: a question, a task, an error message, in any language.
    #[schemars(length(min = 1))]
    query: String,
    /// The most hits.
    #[serde(default)]
    limit: Limit<50, 8>,
    /// Only these kinds; none means all.
    #[serde(default)]
    kinds: Vec<Kind>,
    /// Only these scopes, such as `ana/webshop-1a2b3c4d`; none means all.
    #[serde(default)]
    scopes: Vec<Parsed<Readable>>,
    /// Only what was said or happened at or after this time.
    #[serde(default)]
    since: Option<Parsed<Timestamp>>,
    /// Only what was said or happened before this time.
    #[serde(default)]
    until: Option<Parsed<Timestamp>>,
    /// How many tokens the answer may take.
    #[serde(default)]
    budget_tokens: Budget,
}

#[derive(Serialize, JsonSchema)]
struct SearchOutput {
    /// Best first.
    hits: Vec<FoundRecord>,
    /// How sure recall is that the first hits answer the query, 0 to 1.
    confidence: f32,
    /// How many more hits there are that the answer has no room for.
    left_out: usize,
    /// What did not take part in this answer.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(default)]
    notes: Vec<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SaveInput {
    /// One fact, decision, preference or warning, in words that can be understood without this conversation.
    #[schemars(length(min = 1))]
    text: String,
    /// Words to find it by.
    #[serde(default)]
    tags: Vec<String>,
    /// The id of the record that this one supersedes, or its beginning, when something has changed.
    #[serde(default)]
    replaces: Option<String>,
    /// Whose it is; left out, it is kept with the person.
    #[serde(default)]
    scope: Option<Parsed<Scope>>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct GetInput {
    /// The records' ids, as a search answered them, or their beginnings, as contexts show them.
    #[schemars(length(min = 1, max = 10))]
    ids: Vec<String>,
    /// For a message: also this many messages before and after it.
    #[serde(default)]
    context: Option<Limit<20, 2>>,
    /// For one record: from which character of its text on; `next_offset` of the answer before.
    #[serde(default)]
    offset: u32,
    /// How many tokens the answer may take.
    #[serde(default)]
    budget_tokens: Budget,
}

#[derive(Serialize, JsonSchema)]
struct GetOutput {
    /// The records as they are stored, with what stands beside them. One that is longer than the answer may be is `cut`,
    /// and its text goes on at `next_offset`.
    records: Vec<Value>,
    /// Ids that are not there, were forgotten, or for which the answer has no room, each with the reason.
    missing: Vec<Missing>,
}

#[derive(Serialize, JsonSchema)]
struct Missing {
    id: String,
    reason: String,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ForgetInput {
    /// The records' ids, or their beginnings; when one of them was never there, nothing is done.
    #[schemars(length(min = 1, max = 100))]
    ids: Vec<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RecordInput {
    /// What was asked, in the words it was asked in.
    #[schemars(length(min = 1))]
    situation: String,
    /// The tools that were used, in order: their names, or more about each.
    #[serde(default)]
    tools: Vec<ToolSaid>,
    /// How it ended.
    outcome: Outcome,
    /// What says that it ended so: a test that passes, an error, the person's word.
    #[serde(default)]
    reason: Option<String>,
    /// What to do, or not to do, next time.
    #[serde(default)]
    lesson: Option<String>,
    /// Errors met on the way.
    #[serde(default)]
    errors: Vec<String>,
    /// Words to find it by.
    #[serde(default)]
    tags: Vec<String>,
    /// Whose it is; left out, it is kept with the person.
    #[serde(default)]
    scope: Option<Parsed<Scope>>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SessionsInput {
    /// What was talked about; left out, the newest sessions are listed.
    #[serde(default)]
    query: Option<String>,
    /// The most sessions.
    #[serde(default)]
    limit: Limit<20, 5>,
    /// Only what was said at or after this time.
    #[serde(default)]
    since: Option<Parsed<Timestamp>>,
    /// Only what was said before this time.
    #[serde(default)]
    until: Option<Parsed<Timestamp>>,
    /// How many tokens the answer may take.
    #[serde(default)]
    budget_tokens: Budget,
}

#[derive(Serialize, JsonSchema)]
struct SessionsOutput {
    sessions: Vec<FoundSession>,
    /// How many more were found that the answer has no room for: sessions, or hits of a query.
    left_out: usize,
}

#[derive(Serialize, JsonSchema)]
struct FoundSession {
    /// The session; read it whole as the resource `harness://session/{id}`, with `?scope=` where several are called so.
    session: String,
    /// By which tool it came in, and whose it is.
    from: String,
    /// What it was about.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(default)]
    title: Option<String>,
    /// When it began, or when its first hit was said.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(default)]
    when: Option<String>,
    /// The messages that fit, best first.
    messages: Vec<FoundRecord>,
}

impl FoundSession {
    /// How many tokens it takes in an answer at most.
    fn tokens(&self) -> usize {
        serde_json::to_string(self).map_or(usize::MAX, |text| tokens::at_most(&text))
    }
}

/// One tool.
struct Entry {
    tool: Tool,
    call: Call,
}

type Running<'a> = Pin<Box<dyn Future<Output = Result<Told, Problem>> + Send + 'a>>;
type Call = for<'a> fn(&'a Backend, Value) -> Running<'a>;

/// What a tool says: for programs, and for a model.
struct Told {
    value: Value,
    text: String,
    /// Whether the text is what the memory holds: then it is marked, so that it is never taken for something new.
    recalled: bool,
}

impl Told {
    fn new(value: &impl Serialize, text: String, recalled: bool) -> Result<Told, Problem> {
        Ok(Told { value: serde_json::to_value(value).map_err(|error| Problem::internal(&error))?, text, recalled })
    }
}

/// The tools, by name.
pub(crate) struct Tools(Vec<Entry>);

impl Tools {
    pub(crate) fn new() -> Tools {
        let reads = || ToolAnnotations::new().read_only(true).destructive(false).idempotent(true).open_world(false);
        let adds = || ToolAnnotations::new().read_only(false).destructive(false).idempotent(false).open_world(false);
        let forgets = ToolAnnotations::new().read_only(false).destructive(true).idempotent(true).open_world(false);
        Tools(vec![
            entry::<SearchInput, SearchOutput>(
                "memory_search",
                "Search the memory",
                "Find what was said, decided, tried and learnt before, in any language. Call it before starting a task \
                 and when an error looks familiar. Answers short passages with ids; memory_get shows a whole record.",
                reads(),
                |backend, input| Box::pin(search(backend, input)),
            ),
            entry::<SaveInput, Written>(
                "memory_save",
                "Save a note",
                "Keep one fact, decision, preference or warning for later conversations. Say it so that it can be \
                 understood alone. When it corrects something, name that record in `replaces`.",
                adds(),
                |backend, input| Box::pin(save(backend, input)),
            ),
            entry::<GetInput, GetOutput>(
                "memory_get",
                "Show records",
                "Show records whole, by the ids that a search answered, or their beginnings; messages with those \
                 around them. A long text comes in pieces: go on with `offset`.",
                reads(),
                |backend, input| Box::pin(get(backend, input)),
            ),
            entry::<ForgetInput, Forgot>(
                "memory_forget",
                "Forget records",
                "Forget records when the person asks for it or they are wrong. It can be undone for a while.",
                forgets,
                |backend, input| Box::pin(forget(backend, input)),
            ),
            entry::<RecordInput, Written>(
                "experience_record",
                "Record an experience",
                "After a task: record what was asked, which tools were used, how it ended and what says so. Failures \
                 help as much as successes.",
                adds(),
                |backend, input| Box::pin(record(backend, input)),
            ),
            entry::<SessionsInput, SessionsOutput>(
                "session_search",
                "Search conversations",
                "Find earlier conversations by what was talked about, or list the newest ones.",
                reads(),
                |backend, input| Box::pin(sessions(backend, input)),
            ),
        ])
    }

    pub(crate) fn list(&self) -> Vec<Tool> {
        self.0.iter().map(|entry| entry.tool.clone()).collect()
    }

    pub(crate) fn find(&self, name: &str) -> Option<Tool> {
        self.0.iter().find(|entry| entry.tool.name == name).map(|entry| entry.tool.clone())
    }

    /// Calls a tool; `None` when there is none of this name. What it refuses is a result that the model reads.
    pub(crate) async fn call(&self, backend: &Backend, name: &str, input: JsonObject) -> Option<CallToolResult> {
        let entry = self.0.iter().find(|entry| entry.tool.name == name)?;
        Some(match (entry.call)(backend, Value::Object(input)).await {
            Ok(told) => {
                let text = if told.recalled { marker::encode(&told.text) } else { told.text };
                let mut result = CallToolResult::structured(told.value);
                result.content = vec![ContentBlock::text(text)];
                result
            }
            Err(problem) => CallToolResult::error(vec![ContentBlock::text(problem.to_string())]),
        })
    }
}

/// The JSON Schema of a type, whole in itself.
fn schema<T: JsonSchema>() -> Arc<JsonObject> {
    // Clients that check schemas complain of formats that JSON Schema does not know.
    let plain = RecursiveTransform(|schema: &mut Schema| {
        if schema.get("format").and_then(Value::as_str).is_some_and(|format| format.starts_with("uint")) {
            schema.remove("format");
        }
    });
    let settings =
        SchemaSettings::draft2020_12().with_transform(plain).with(|settings| settings.inline_subschemas = true);
    let mut schema = settings.into_generator().into_root_schema_for::<T>().to_value();
    let mut object = schema.as_object_mut().map(std::mem::take).unwrap_or_default();
    object.remove("title");
    object.insert("type".to_owned(), json!("object"));
    Arc::new(object)
}

fn entry<I: JsonSchema, O: JsonSchema>(
    name: &'static str,
    title: &'static str,
    description: &'static str,
    annotations: ToolAnnotations,
    call: Call,
) -> Entry {
    let tool = Tool::new(name, description, schema::<I>())
        .with_title(title)
        .with_raw_output_schema(schema::<O>())
        .with_annotations(annotations);
    Entry { tool, call }
}

fn parse<I: DeserializeOwned>(input: Value) -> Result<I, Problem> {
    serde_json::from_value(input)
        .map_err(|error| Problem::bad_request(format!("the arguments are not understood: {error}")))
}

async fn search(backend: &Backend, input: Value) -> Result<Told, Problem> {
    let input: SearchInput = parse(input)?;
    let request = RecallRequest {
        limit: Limit(input.limit.0),
        kinds: input.kinds,
        scopes: input.scopes,
        since: input.since,
        until: input.until,
        explain: false,
        ..RecallRequest::new(input.query)
    };
    let answer = backend.recall(request).await?;
    let (hits, left_out) = render::within(&answer.hits, input.budget_tokens.get());
    let notes = answer.degraded.iter().filter(|part| part.code != "no-model").map(|part| part.hint.clone()).collect();
    let text = listed(hits.iter().map(render::line).collect(), left_out, "Nothing found.");
    let recalled = !hits.is_empty();
    Told::new(&SearchOutput { hits, confidence: answer.confidence, left_out, notes }, text, recalled)
}

/// What was found, one after the other, and how much more there is that the answer has no room for; `none` where nothing
/// was found.
fn listed(found: Vec<String>, left_out: usize, none: &str) -> String {
    match (found.as_slice(), left_out) {
        ([], 0) => none.to_owned(),
        ([], out) => format!("{out} found, and none fits into budget_tokens: raise it."),
        (found, 0) => found.join("\n\n"),
        (found, out) => format!("{}\n\n… {out} more left out: raise budget_tokens.", found.join("\n\n")),
    }
}

async fn save(backend: &Backend, input: Value) -> Result<Told, Problem> {
    let input: SaveInput = parse(input)?;
    let replaces = match input.replaces {
        Some(older) => match older.parse() {
            Ok(id) => Some(id),
            Err(_) => Some(backend.record(&older, 0).await?.record.id),
        },
        None => None,
    };
    let about = About { scope: input.scope, tags: input.tags, replaces, ..About::default() };
    let written = backend.note(NoteRequest { text: input.text, about }).await?;
    Told::new(&written, said(&written), false)
}

fn said(written: &Written) -> String {
    let mut text = format!("Saved as {} in {}.", written.id, written.scope);
    if !written.redactions.is_empty() {
        text.push_str(" Secrets in it were replaced before it was stored.");
    }
    text
}

async fn get(backend: &Backend, input: Value) -> Result<Told, Problem> {
    let input: GetInput = parse(input)?;
    if input.ids.is_empty() || input.ids.len() > GET_MAX {
        return Err(Problem::bad_request(format!("give 1 to {GET_MAX} ids")));
    }
    let (context, offset) = (input.context.map_or(0, Limit::get), input.offset as usize);
    if offset > 0 && input.ids.len() > 1 {
        return Err(Problem::bad_request("an offset is for one record: give its id alone"));
    }
    let (mut records, mut missing, mut texts) = (Vec::new(), Vec::new(), Vec::new());
    let mut left = input.budget_tokens.get();
    for id in input.ids {
        match backend.record(&id, context).await {
            Ok(view) => {
                let reason = match cut::within(&view, offset, left)? {
                    // Only the first one is cut: a piece of each would be none of them.
                    Ok(shown) if records.is_empty() || !shown.cut => {
                        left = left.saturating_sub(shown.tokens);
                        texts.push(shown.value.to_string());
                        records.push(shown.value);
                        continue;
                    }
                    Err(tokens) if records.is_empty() => format!("it takes {tokens} tokens: raise budget_tokens"),
                    _ => "this answer has no room left for it: ask for it alone".to_owned(),
                };
                missing.push(Missing { id, reason });
            }
            // One that is not understood, or not there, does not stand in the way of the others.
            Err(problem) if matches!(problem.status, 400 | 404 | 409 | 410) => {
                missing.push(Missing { id, reason: problem.detail });
            }
            Err(problem) => return Err(problem),
        }
    }
    let recalled = !texts.is_empty();
    texts.extend(missing.iter().map(|missing| format!("{}: {}", missing.id, missing.reason)));
    Told::new(&GetOutput { records, missing }, texts.join("\n\n"), recalled)
}

async fn forget(backend: &Backend, input: Value) -> Result<Told, Problem> {
    let input: ForgetInput = parse(input)?;
    let forgot = backend.forget(input.ids).await?;
    let text = format!("Forgot {}. This can be undone until {}.", forgot.forgotten, forgot.undo_until);
    Told::new(&forgot, text, false)
}

async fn record(backend: &Backend, input: Value) -> Result<Told, Problem> {
    let input: RecordInput = parse(input)?;
    let request = EpisodeRequest {
        situation: input.situation,
        tools: input.tools,
        outcome: Some(input.outcome),
        reason: input.reason,
        lesson: input.lesson,
        errors: input.errors,
        about: About { scope: input.scope, tags: input.tags, ..About::default() },
        ..EpisodeRequest::default()
    };
    let written = backend.episode(request).await?;
    Told::new(&written, said(&written), false)
}

async fn sessions(backend: &Backend, input: Value) -> Result<Told, Problem> {
    let input: SessionsInput = parse(input)?;
    let wanted = input.limit.get();
    let budget = input.budget_tokens.get();
    let (found, left_out) = match input.query.filter(|query| !query.trim().is_empty()) {
        None => newest(backend, wanted, (input.since, input.until), budget).await?,
        Some(query) => {
            let request = RecallRequest {
                limit: Limit((wanted * HITS_OF_SESSION_MAX) as u32),
                by_session: true,
                kinds: vec![Kind::Message, Kind::Episode],
                since: input.since,
                until: input.until,
                explain: false,
                ..RecallRequest::new(query)
            };
            let answer = backend.recall(request).await?;
            let (hits, left_out) = render::within(&answer.hits, budget);
            (by_session(&hits, wanted), left_out)
        }
    };
    let text = listed(found.iter().map(session_text).collect(), left_out, "No conversation found.");
    let recalled = !found.is_empty();
    Told::new(&SessionsOutput { sessions: found, left_out }, text, recalled)
}

/// The newest sessions of these times that the answer has room for, and how many it has not.
async fn newest(
    backend: &Backend,
    wanted: usize,
    (since, until): (Option<Parsed<Timestamp>>, Option<Parsed<Timestamp>>),
    budget_tokens: usize,
) -> Result<(Vec<FoundSession>, usize), Problem> {
    let asked = SessionsQuery { limit: Limit(wanted as u32), since, until, ..SessionsQuery::default() };
    let sessions = backend.sessions(asked).await?.sessions;
    let (all, mut kept, mut left) = (sessions.len(), Vec::new(), budget_tokens);
    for entry in sessions {
        let session = entry.session;
        let found = FoundSession {
            from: format!("{} · {}", session.source, session.scope),
            session: session.id,
            title: session.title.map(|title| title.chars().take(TITLE_CHARS_MAX).collect()),
            when: session.started_at.map(|time| time.to_string()),
            messages: Vec::new(),
        };
        let tokens = found.tokens();
        if tokens > left {
            break;
        }
        left -= tokens;
        kept.push(found);
    }
    let left_out = all - kept.len();
    Ok((kept, left_out))
}

/// Hits gathered by their sessions, in their order.
fn by_session(hits: &[FoundRecord], wanted: usize) -> Vec<FoundSession> {
    let mut sessions: Vec<FoundSession> = Vec::new();
    for hit in hits {
        let Some(name) = &hit.session else { continue };
        let place = sessions.iter().position(|session| session.session == *name && session.from == hit.from);
        let place = match place {
            Some(place) => place,
            None if sessions.len() == wanted => continue,
            None => {
                let when = Some(hit.when.clone());
                let (session, from) = (name.clone(), hit.from.clone());
                sessions.push(FoundSession { session, from, title: None, when, messages: Vec::new() });
                sessions.len() - 1
            }
        };
        sessions[place].messages.push(hit.clone());
    }
    sessions
}

fn session_text(session: &FoundSession) -> String {
    let mut text = format!("session {}", session.session);
    for part in [&session.title, &session.when].into_iter().flatten().chain([&session.from]) {
        text.push_str(&format!(" · {part}"));
    }
    for message in &session.messages {
        text.push_str(&format!("\n{}", render::line(message)));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_says_what_it_has_no_room_for() {
        let found = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        assert_eq!(listed(found(&[]), 0, "Nothing found."), "Nothing found.");
        assert!(listed(found(&[]), 2, "Nothing found.").starts_with("2 found, and none fits into budget_tokens"));
        assert_eq!(listed(found(&["a", "b"]), 0, ""), "a\n\nb");
        assert!(listed(found(&["a"]), 3, "").ends_with("… 3 more left out: raise budget_tokens."));
    }

    #[test]
    fn every_tool_says_what_it_takes_and_answers_and_does() {
        let tools = Tools::new().list();
        let names: Vec<&str> = tools.iter().map(|tool| tool.name.as_ref()).collect();
        assert_eq!(
            names,
            ["memory_search", "memory_save", "memory_get", "memory_forget", "experience_record", "session_search"]
        );
        for tool in &tools {
            assert_eq!(tool.input_schema["type"], "object", "{}", tool.name);
            assert_eq!(tool.output_schema.as_ref().unwrap()["type"], "object", "{}", tool.name);
            assert!(tool.annotations.as_ref().unwrap().open_world_hint == Some(false));
            let text = serde_json::to_string(tool).unwrap();
            assert!(!text.contains("$ref"), "{}: a schema is whole in itself", tool.name);
            assert!(!text.contains("  "), "{}: no blanks that nobody reads", tool.name);
            assert!(!text.contains("uint"), "{}: no format but JSON Schema's own", tool.name);
        }
        let all = serde_json::to_string(&tools).unwrap();
        assert!(tokens::at_most(&all) < 8_000, "the list of tools takes {} tokens", tokens::at_most(&all));
    }
}

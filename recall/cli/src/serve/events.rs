//! `GET /v1/events`: the change log as a stream of server-sent events.

use std::convert::Infallible;
use std::time::Duration;

use axum::Extension;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::on;
use futures::Stream;
use futures::stream;
use harness_memory::store::Row;
use harness_memory::{Change, ChangeKind, Kind, Position, RecordId, Scope, Seq, Store};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::sync::OwnedSemaphorePermit;

use super::Shared;
use super::api::Api;
use super::grant::Grant;
use super::openapi::Operation;
use super::problem::Problem;
use super::query::QueryShape;

/// How often the end of the log is looked at while somebody listens: a write is told well within a second.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// The most changes that are read at once.
const CHANGES_AT_ONCE: usize = 500;

/// How often a stream says that it is still there.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// What happened to a record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct ChangeEvent {
    /// Its place in the log.
    pub(crate) seq: Seq,
    /// What happened.
    pub(crate) change: ChangeKind,
    pub(crate) id: RecordId,
    pub(crate) kind: Kind,
    pub(crate) scope: Scope,
    /// When.
    pub(crate) at: Timestamp,
}

#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct EventsQuery {
    /// Begin behind the event of this id, as `Last-Event-ID` does.
    #[serde(default)]
    #[schemars(extend("pattern" = "^[0-9]{1,18}-[0-9]{1,18}$"))]
    after: Option<String>,
    /// Whether to wait for what is to come; otherwise the stream ends with what there is.
    #[serde(default = "yes")]
    #[schemars(default = "yes")]
    follow: bool,
}

fn yes() -> bool {
    true
}

pub(crate) fn add(api: Api) -> Api {
    let parameters: Vec<_> = super::query::properties::<EventsQuery>()
        .into_iter()
        .map(|(name, schema, _)| json!({ "name": name, "in": "query", "required": false, "schema": schema }))
        .chain([json!({
            "name": "Last-Event-ID", "in": "header", "required": false,
            "description": "The id of the last event that was seen: the stream goes on behind it. One that is no id of ours is \
    answered with `reset`, as one of another log is: a client that reconnects sends what it has.",
            "schema": { "type": "string" },
        })])
        .collect();
    let responses = json!({
        "200": {
            "description": "A stream of events. Each has an `id`, the kind of the change as its `event` (`put`, `update`, `forget`, \
    `undo`, `purge`), and as its `data` an object with `seq`, `change`, `id`, `kind`, `scope` and `at`. An event `reset` says that the log \
    does not reach back to the id that was given, or is another one: read anew what you keep.",
            "content": { "text/event-stream": { "schema": {
                "type": "object",
                "properties": {
                    "id": { "type": "string", "pattern": "^[0-9]+-[0-9]+$" },
                    "event": { "type": "string", "enum": ["put", "update", "forget", "undo", "purge", "reset"] },
                    "data": { "type": "string", "contentMediaType": "application/json" },
                },
                "required": ["data"],
            } } },
        },
        "parameters": parameters,
    });
    let operation = Operation::new("events", "service", "What changes, as it happens")
        .more("Without an id the stream begins with what happens from now on.");
    api.other(Method::GET, "/v1/events", operation, responses, |filter| on(filter, events))
}

async fn events(State(shared): State<Shared>, Extension(grant): Extension<Grant>, request: Request) -> Response {
    match open(shared, grant, request).await {
        Ok(stream) => {
            let alive = KeepAlive::new().interval(KEEP_ALIVE);
            Sse::new(stream).keep_alive(alive).into_response()
        }
        Err(problem) => problem.into_response(),
    }
}

async fn open(
    shared: Shared,
    grant: Grant,
    request: Request,
) -> Result<impl Stream<Item = Result<Event, Infallible>>, Problem> {
    let query: EventsQuery = QueryShape::of::<EventsQuery>().read(request.uri().query().unwrap_or_default())?;
    let last = last_event_id(request.headers());
    let busy = || Problem::unavailable("busy", "too many streams are open: close one, or try again later");
    let place = shared.streams.clone().try_acquire_owned().map_err(|_| busy())?;
    let head = shared.service.blocking(|service| Ok(service.engine().store().head()?)).await?;
    let begins = match (last, query.after) {
        (Some(last), _) => Some(start(&last, &head).unwrap_or_default()),
        (None, Some(id)) => Some(start(&id, &head)?),
        (None, None) => None,
    };
    let (after, waiting) = match begins {
        None => (head.seq, Vec::new()),
        Some(Some(seq)) => (seq, Vec::new()),
        Some(None) => (head.seq, vec![reset(&head)]),
    };
    shared.metrics.stream_began();
    let listener = Listener {
        waiting: waiting.into_iter().collect(),
        guard: Guard { shared: shared.clone(), _place: place },
        grant,
        epoch: head.epoch,
        after,
        follow: query.follow,
    };
    Ok(stream::unfold(listener, Listener::next))
}

fn last_event_id(headers: &HeaderMap) -> Option<String> {
    let value = headers.get("last-event-id")?;
    Some(String::from_utf8_lossy(value.as_bytes()).into_owned()).filter(|text| !text.is_empty())
}

/// Where to begin behind this id; `None` when it is of another log or lies before us.
fn start(id: &str, head: &Position) -> Result<Option<Seq>, Problem> {
    let wrong = || Problem::bad_request("an event's id is two numbers with a dash between them");
    let (epoch, seq) = id.split_once('-').ok_or_else(wrong)?;
    let (epoch, seq): (u64, Seq) = (epoch.parse().map_err(|_| wrong())?, seq.parse().map_err(|_| wrong())?);
    Ok((epoch == head.epoch && seq <= head.seq).then_some(seq))
}

fn reset(head: &Position) -> Event {
    Event::default().event("reset").id(format!("{}-{}", head.epoch, head.seq)).data("{}")
}

/// Counts a stream as long as it lives.
struct Guard {
    shared: Shared,
    _place: OwnedSemaphorePermit,
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.shared.metrics.stream_ended();
    }
}

struct Listener {
    waiting: std::collections::VecDeque<Event>,
    guard: Guard,
    grant: Grant,
    epoch: u64,
    after: Seq,
    follow: bool,
}

impl Listener {
    async fn next(mut self) -> Option<(Result<Event, Infallible>, Listener)> {
        loop {
            if let Some(event) = self.waiting.pop_front() {
                self.guard.shared.metrics.event();
                return Some((Ok(event), self));
            }
            if self.guard.shared.stopping.load(std::sync::atomic::Ordering::Relaxed) {
                return None;
            }
            // A token that was revoked meanwhile opens nothing any more.
            self.grant = self.guard.shared.door.renewed(&self.grant)?;
            match self.read().await {
                Ok(0) if !self.follow => return None,
                Ok(0) => tokio::time::sleep(LOOK_EVERY).await,
                Ok(_) => {}
                Err(problem) => {
                    // The client comes again with the last id that it saw.
                    tracing::warn!(code = %problem.code, "a stream of events ends");
                    return None;
                }
            }
        }
    }

    /// Reads what is new; answers how many changes there were, those included that this caller may not see.
    async fn read(&mut self) -> Result<usize, Problem> {
        let (after, epoch) = (self.after, self.epoch);
        let (head, read) = self
            .guard
            .shared
            .service
            .blocking(move |service| {
                let store = service.engine().store();
                let head = store.head()?;
                if head.seq == after && head.epoch == epoch {
                    return Ok((head, Some(Vec::new())));
                }
                let changes = match store.changes(after, CHANGES_AT_ONCE) {
                    // The log no longer begins so early: whoever was away for so long begins anew.
                    Err(harness_memory::Error::Folded { .. }) => return Ok((head, None)),
                    read => read?.changes,
                };
                let rows: Vec<Row> = changes.iter().map(|change| change.row).collect();
                let names = store.names(&rows)?;
                Ok((head, Some(changes.into_iter().zip(names).collect::<Vec<(Change, _)>>())))
            })
            .await?;
        let Some(read) = read.filter(|_| head.epoch == self.epoch && head.seq >= self.after) else {
            (self.epoch, self.after) = (head.epoch, head.seq);
            self.waiting.push_back(reset(&head));
            return Ok(1);
        };
        let count = read.len();
        for (change, name) in read {
            self.after = change.seq;
            let Some(name) = name.filter(|name| self.grant.reads.allows(&name.scope)) else { continue };
            let at = Timestamp::from_millisecond(change.at_ms).unwrap_or(Timestamp::UNIX_EPOCH);
            let said = ChangeEvent {
                seq: change.seq,
                change: change.kind,
                id: name.id,
                kind: name.kind,
                scope: name.scope,
                at,
            };
            let event = Event::default().event(word(change.kind)).id(format!("{}-{}", self.epoch, change.seq));
            match event.json_data(&said) {
                Ok(event) => self.waiting.push_back(event),
                Err(error) => tracing::error!(%error, "a change cannot be written as JSON"),
            }
        }
        Ok(count)
    }
}

fn word(kind: ChangeKind) -> &'static str {
    match kind {
        ChangeKind::Put => "put",
        ChangeKind::Update => "update",
        ChangeKind::Forget => "forget",
        ChangeKind::Undo => "undo",
        ChangeKind::Purge => "purge",
    }
}

//! The memory of a `harness serve`, over HTTP.
//!
//! - [`HttpMemory`]: the [`Memory`] handle of an agent whose memory is another process
//! - [`Client`]: the requests beneath it, for what the handle does not have
//!
//! Needs no store in this process: build with `default-features = false, features = ["http"]`.
//! Its methods must be called within a tokio runtime.

#[cfg(unix)]
use std::path::Path;
use std::time::Duration;

use jiff::tz::TimeZone;
use reqwest::{Method, StatusCode};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::id::RecordId;
use crate::memory::{Answer, BoxFuture, Context, ContextQuery, Memory, Query};
use crate::record::{Outcome, Record};
use crate::scope::{ReadSet, Scope};
use crate::store::{Exposure, Forgotten, Lookup, Row, Stored};

/// How long an answer may take, the wait for a place in the server's queue included.
const ANSWER_PATIENCE: Duration = Duration::from_secs(60);

/// How long to wait for a connection.
const CONNECT_PATIENCE: Duration = Duration::from_secs(5);

/// How often a request that the server turned away for want of room is sent again.
const TRIES_MAX: u32 = 5;

/// The wait before the second try; it doubles with each.
const FIRST_WAIT: Duration = Duration::from_millis(100);

/// A connection to a server: where it is, and the token to show it.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    base: String,
    token: String,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The token is nobody's to read in a log.
        f.debug_struct("Client").field("base", &self.base).finish_non_exhaustive()
    }
}

/// What a server says when it does not do what it was asked (RFC 9457).
#[derive(Clone, Debug, Deserialize)]
pub struct Problem {
    /// The HTTP status.
    pub status: u16,
    /// A stable word for the kind of problem.
    pub code: String,
    /// What happened, and what to do.
    pub detail: String,
    /// For a forgotten record: until when it can be brought back.
    #[serde(default)]
    pub undo_until: Option<jiff::Timestamp>,
    /// For a forgotten record: whose it is.
    #[serde(default)]
    pub scope: Option<Scope>,
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({} {})", self.detail, self.status, self.code)
    }
}

impl std::error::Error for Problem {}

/// How a request failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// Nobody answered there: the server is gone, or never was.
    #[error("the memory at {base} cannot be reached")]
    Unreachable {
        /// Where it was looked for.
        base: String,
        /// The cause.
        source: reqwest::Error,
    },
    /// It answered that it does not do this.
    #[error(transparent)]
    Problem(#[from] Problem),
    /// It answered something else than was expected.
    #[error("the memory at {base} answered what is not understood")]
    Answer {
        /// Where it is.
        base: String,
        /// The cause.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl Client {
    /// A client of the server at this URL: `http://127.0.0.1:7477`, or `unix:` and the path of its socket.
    ///
    /// Nothing is sent yet. Proxies of the environment are not used.
    pub fn new(url: &str, token: impl Into<String>) -> Result<Client> {
        let mut builder = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(ANSWER_PATIENCE)
            .connect_timeout(CONNECT_PATIENCE);
        let base = match url.strip_prefix("unix:") {
            #[cfg(unix)]
            Some(path) => {
                builder = builder.unix_socket(Path::new(path));
                "http://localhost".to_owned()
            }
            _ => url.trim_end_matches('/').to_owned(),
        };
        let http =
            builder.build().map_err(|error| Error::Recall { doing: "prepare an HTTP client", source: error.into() })?;
        Ok(Client { http, base, token: token.into() })
    }

    /// Asks for a path and its query, such as `/v1/records?limit=5`.
    pub async fn get<O: DeserializeOwned>(&self, path: &str) -> Result<O, RequestError> {
        self.request(Method::GET, path, None::<&()>, None).await
    }

    /// Sends JSON to a path.
    pub async fn post<O: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<O, RequestError> {
        self.request(Method::POST, path, Some(body), None).await
    }

    /// Sends a request of any method, under a name (`Idempotency-Key`) where it has one: sent again under that name,
    /// it adds nothing.
    pub async fn request<O: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&impl Serialize>,
        key: Option<&str>,
    ) -> Result<O, RequestError> {
        let mut wait = FIRST_WAIT;
        for attempt in 1.. {
            match self.once(method.clone(), path, body, key).await {
                // Turned away before anything was done: try again.
                Err(RequestError::Problem(problem)) if problem.code == "busy" && attempt < TRIES_MAX => {
                    tokio::time::sleep(wait).await;
                    wait *= 2;
                }
                other => return other,
            }
        }
        unreachable!("the loop has no end but its return")
    }

    async fn once<O: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&impl Serialize>,
        key: Option<&str>,
    ) -> Result<O, RequestError> {
        let mut request = self.http.request(method, format!("{}{path}", self.base)).bearer_auth(&self.token);
        if let Some(body) = body {
            request = request.json(body);
        }
        if let Some(key) = key {
            request = request.header("Idempotency-Key", key);
        }
        let unreachable = |source| RequestError::Unreachable { base: self.base.clone(), source };
        let response = request.send().await.map_err(unreachable)?;
        let status = response.status();
        let bytes = response.bytes().await.map_err(unreachable)?;
        let strange =
            |source: serde_json::Error| RequestError::Answer { base: self.base.clone(), source: source.into() };
        if status.is_success() {
            return serde_json::from_slice(&bytes).map_err(strange);
        }
        Err(match serde_json::from_slice::<Problem>(&bytes) {
            Ok(problem) => problem.into(),
            Err(_) => Problem {
                status: status.as_u16(),
                code: "unknown".to_owned(),
                detail: status.canonical_reason().unwrap_or("no reason given").to_owned(),
                undo_until: None,
                scope: None,
            }
            .into(),
        })
    }
}

/// A failure in the words of the memory's contract.
fn outside(doing: &'static str) -> impl FnOnce(RequestError) -> Error {
    move |error| match error {
        RequestError::Problem(problem) if matches!(problem.status, 400 | 403 | 409 | 422) => {
            Error::Refused { reason: problem.detail }
        }
        other => Error::Recall { doing, source: other.into() },
    }
}

/// A memory bound to what it may read and where it may write, in a `harness serve` elsewhere.
///
/// What the token allows is checked there, what this handle was made for here.
#[derive(Clone, Debug)]
pub struct HttpMemory {
    client: Client,
    reads: ReadSet,
    writes: Scope,
}

/// What the server is asked for hits.
#[derive(Serialize)]
struct RecallBody<'a> {
    query: &'a str,
    limit: usize,
    scopes: Vec<String>,
    kinds: &'a [crate::record::Kind],
    session: &'a Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    without_session: Option<&'a str>,
    since: Option<jiff::Timestamp>,
    until: Option<jiff::Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    now: Option<String>,
    mode: crate::memory::Mode,
    allow_degraded: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    by_session: bool,
}

/// The present with its offset, by which the server tells days; nothing where the server's own will do.
fn present(now: Option<jiff::Timestamp>, time_zone: &TimeZone) -> Option<String> {
    let now = now.or_else(|| (*time_zone != TimeZone::UTC).then(jiff::Timestamp::now))?;
    Some(now.display_with_offset(time_zone.to_offset(now)).to_string())
}

#[derive(Serialize)]
struct ContextBody<'a> {
    task: &'a str,
    budget_tokens: usize,
    scopes: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    without_session: Option<&'a str>,
    // A server of before these were asked for refuses what it does not know: nothing is said that is not meant.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    kinds: &'a [crate::record::Kind],
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<jiff::Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<jiff::Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    now: Option<String>,
}

#[derive(Deserialize)]
struct Written {
    id: RecordId,
}

#[derive(Serialize)]
struct ForgetBody<'a> {
    ids: &'a [RecordId],
}

#[derive(Deserialize)]
struct Forgot {
    forgotten: usize,
}

#[derive(Serialize)]
struct OutcomeBody<'a> {
    outcome: Outcome,
    reason: &'a Option<String>,
}

/// An answer of which nothing is needed.
#[derive(Deserialize)]
struct Anything {}

impl HttpMemory {
    /// A handle over a client that reads under this set and writes into this scope.
    pub fn new(client: Client, reads: ReadSet, writes: Scope) -> HttpMemory {
        HttpMemory { client, reads, writes }
    }

    /// The requests beneath.
    pub fn client(&self) -> &Client {
        &self.client
    }

    fn scopes(&self, narrower: Option<&ReadSet>) -> Vec<String> {
        let reads = match narrower {
            Some(narrower) => self.reads.intersect(narrower),
            None => self.reads.clone(),
        };
        reads.entries().iter().map(ToString::to_string).collect()
    }

    async fn lookup(&self, id: RecordId) -> Result<Lookup> {
        match self.client.get::<Record>(&format!("/v1/records/{id}")).await {
            Ok(record) if self.reads.allows(&record.scope) => {
                Ok(Lookup::Found(Box::new(Stored { row: Row(0), record, forgotten: None, repeats: None })))
            }
            Ok(_) => Ok(Lookup::Missing),
            Err(RequestError::Problem(problem)) if problem.status == StatusCode::NOT_FOUND => Ok(Lookup::Missing),
            Err(RequestError::Problem(Problem { status: 410, undo_until: Some(undo_until), .. }))
                if self.reads.is_everything() =>
            {
                Ok(Lookup::Forgotten(Forgotten { deleted_at: jiff::Timestamp::now().min(undo_until), undo_until }))
            }
            Err(RequestError::Problem(Problem { status: 410, .. })) => Ok(Lookup::Missing),
            Err(error) => Err(outside("get a record")(error)),
        }
    }
}

/// Numbers of rows stay within their store: a record that came over HTTP has row 0, and the time when a forgotten
/// one was forgotten is not told beyond "before now".
impl Memory for HttpMemory {
    fn recall(&self, query: Query) -> BoxFuture<'_, Result<Answer>> {
        Box::pin(async move {
            let scopes = self.scopes(query.scopes.as_ref());
            if scopes.is_empty() {
                return Ok(Answer::default());
            }
            let body = RecallBody {
                query: &query.text,
                limit: query.limit.clamp(1, crate::memory::HITS_MAX),
                scopes,
                kinds: &query.kinds,
                session: &query.session,
                without_session: query.without_session.as_deref(),
                since: query.since,
                until: query.until,
                now: present(query.now, &query.time_zone),
                mode: query.mode,
                allow_degraded: true,
                by_session: query.by_session,
            };
            self.client.post("/v1/recall", &body).await.map_err(outside("recall"))
        })
    }

    fn context(&self, query: ContextQuery) -> BoxFuture<'_, Result<Context>> {
        Box::pin(async move {
            let nothing = Context::default();
            let scopes = self.scopes(None);
            if scopes.is_empty() || query.budget_tokens == 0 {
                return Ok(nothing);
            }
            let body = ContextBody {
                task: &query.task,
                budget_tokens: query.budget_tokens.min(BUDGET_TOKENS_MAX),
                scopes,
                without_session: query.without_session.as_deref(),
                kinds: &query.kinds,
                since: query.since,
                until: query.until,
                now: present(query.now, &query.time_zone),
            };
            self.client.post("/v1/context", &body).await.map_err(outside("pack a context"))
        })
    }

    fn write(&self, record: Record) -> BoxFuture<'_, Result<RecordId>> {
        Box::pin(async move {
            if !self.writes.contains(&record.scope) {
                let reason =
                    format!("its scope {} is not inside {}, where this handle writes", record.scope, self.writes);
                return Err(Error::Refused { reason });
            }
            let written: Written = self.client.post("/v1/records", &record).await.map_err(outside("write"))?;
            Ok(written.id)
        })
    }

    fn get(&self, id: RecordId) -> BoxFuture<'_, Result<Lookup>> {
        Box::pin(self.lookup(id))
    }

    fn forget(&self, ids: Vec<RecordId>) -> BoxFuture<'_, Result<usize>> {
        Box::pin(async move {
            if ids.is_empty() {
                return Ok(0);
            }
            for id in &ids {
                // The token may reach further than this handle.
                match self.lookup(*id).await? {
                    Lookup::Found(stored) if !self.writes.contains(&stored.record.scope) => {
                        return Err(Error::NoRecord { id: *id });
                    }
                    Lookup::Missing => return Err(Error::NoRecord { id: *id }),
                    _ => {}
                }
            }
            let forgot: Forgot =
                self.client.post("/v1/forget", &ForgetBody { ids: &ids }).await.map_err(outside("forget"))?;
            Ok(forgot.forgotten)
        })
    }

    fn expose(&self, exposure: Exposure) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            let noted: Result<Anything, _> = self.client.post("/v1/exposures", &exposure).await;
            noted.map(drop).map_err(outside("note an exposure"))
        })
    }

    fn credit(&self, run: String, outcome: Outcome, reason: Option<String>) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            let path = format!("/v1/runs/{}/outcome", escape(&run));
            let body = OutcomeBody { outcome, reason: &reason };
            let noted: Result<Anything, _> = self.client.post(&path, &body).await;
            noted.map(drop).map_err(outside("note how a run ended"))
        })
    }
}

/// The greatest budget that a server takes.
const BUDGET_TOKENS_MAX: usize = 100_000;

/// A name as one part of a path.
pub fn escape(name: &str) -> String {
    let mut path = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            path.push(char::from(byte));
        } else {
            path.push_str(&format!("%{byte:02X}"));
        }
    }
    path
}

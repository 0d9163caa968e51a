//! Where the memory is: in this process, or in a server that runs.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use harness_memory::http::{self, Client, RequestError, escape};
use harness_memory::redact::Redactor;
use harness_memory::{Answer, Context, Origin, RecordId, Scope};
use harness_recall::Engine;
use jiff::Timestamp;
use reqwest::Method;
use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use crate::serve::discovery::{self, ServeFile};
use crate::serve::grant::Grant;
use crate::serve::idempotency;
use crate::serve::problem::Problem;
use crate::serve::service::{HookSettings, Service, Writer};
use crate::serve::tokens;
use crate::serve::types::input::{Limit, Parsed};
use crate::serve::types::{
    ContextRequest, EpisodeRequest, ForgetRequest, Forgot, IndexView, MessagesPage, MessagesQuery, NoteRequest,
    RecallRequest, RecordQuery, RecordView, RecordsPage, RecordsQuery, SessionsPage, SessionsQuery, StatusView,
    Written,
};

/// What records that come by this way are called as a source.
const SOURCE: &str = "mcp";

/// Where notes and episodes are written.
const NOTES: &str = "/v1/notes";
const EPISODES: &str = "/v1/episodes";

/// Where a client's memory is.
#[derive(Clone)]
pub(crate) enum Backend {
    /// In this process.
    Here(Service, Grant),
    /// In the server of the home when one runs, else in this process.
    Home(Arc<Home>),
}

/// A home that a server may or may not serve at the moment.
pub(crate) struct Home {
    folder: PathBuf,
    undo_days: u32,
    grant: Grant,
    /// Opens the memory of this home.
    open: Box<dyn Fn() -> anyhow::Result<Engine> + Send + Sync>,
    /// The server that was found last, and a client of it.
    server: Mutex<Option<(ServeFile, Client)>>,
    /// Opened when there was no server for the first time.
    service: OnceLock<Service>,
}

impl Home {
    pub(crate) fn new(
        folder: PathBuf,
        undo_days: u32,
        grant: Grant,
        open: impl Fn() -> anyhow::Result<Engine> + Send + Sync + 'static,
    ) -> Home {
        Home { folder, undo_days, grant, open: Box::new(open), server: Mutex::new(None), service: OnceLock::new() }
    }

    pub(crate) fn folder(&self) -> &std::path::Path {
        &self.folder
    }

    /// A client of the server of this API version that says it runs.
    fn client(&self) -> Option<Client> {
        let file = discovery::live(&self.folder).filter(|file| file.api == crate::serve::API_VERSION)?;
        let mut server = self.server.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, client)) = &*server
            && *known == file
        {
            return Some(client.clone());
        }
        let client = Client::new(&file.url, tokens::own_token_if_any(&self.folder)?).ok()?;
        *server = Some((file, client.clone()));
        Some(client)
    }

    fn service(&self) -> Result<Service, Problem> {
        if let Some(service) = self.service.get() {
            return Ok(service.clone());
        }
        // No tool's hooks come by this way.
        let hooks = HookSettings { redactor: Redactor::default(), prompt_tokens: 0 };
        let engine = (self.open)().map_err(|error| Problem::internal(&*error))?;
        let service = Service::new(Arc::new(engine), self.grant.home_scope.clone(), self.undo_days, hooks, false);
        Ok(self.service.get_or_init(|| service).clone())
    }
}

/// What the server said in our own words.
fn problem(problem: http::Problem) -> Problem {
    Problem {
        kind: format!("urn:harness:problem:{}", problem.code).into(),
        title: problem.code.as_str().into(),
        status: problem.status,
        code: problem.code.into(),
        detail: problem.detail,
        undo_until: problem.undo_until,
        scope: problem.scope.map(Box::new),
        error: None,
    }
}

/// One request to a server.
struct Request<'a, I> {
    method: Method,
    path: &'a str,
    body: Option<&'a I>,
    key: Option<&'a str>,
}

impl Backend {
    /// Asks the server when one runs; the answer is `None` when none does, or it went away.
    async fn ask<I: Serialize, O: DeserializeOwned>(&self, request: Request<'_, I>) -> Option<Result<O, Problem>> {
        let Backend::Home(home) = self else { return None };
        let client = home.client()?;
        match client.request(request.method, request.path, request.body, request.key).await {
            Ok(answer) => Some(Ok(answer)),
            Err(RequestError::Problem(said)) => match said.code.as_str() {
                // Another home's server took the port, or the token changed: this process can do it itself.
                "no-token" => None,
                _ => Some(Err(problem(said))),
            },
            Err(error) => {
                tracing::info!(%error, "the server is gone; answering without it");
                None
            }
        }
    }

    async fn get<O: DeserializeOwned>(&self, path: &str) -> Option<Result<O, Problem>> {
        self.ask(Request { method: Method::GET, path, body: None::<&()>, key: None }).await
    }

    async fn post<I: Serialize, O: DeserializeOwned>(
        &self,
        path: &str,
        body: &I,
        key: Option<&str>,
    ) -> Option<Result<O, Problem>> {
        self.ask(Request { method: Method::POST, path, body: Some(body), key }).await
    }

    /// The memory in this process. Opening it blocks for a few milliseconds, once.
    fn here(&self) -> Result<Service, Problem> {
        match self {
            Backend::Here(service, _) => Ok(service.clone()),
            Backend::Home(home) => home.service(),
        }
    }

    pub(crate) fn grant(&self) -> &Grant {
        match self {
            Backend::Here(_, grant) => grant,
            Backend::Home(home) => &home.grant,
        }
    }

    /// What is asked for, narrowed to what this client reads: the server knows it by the token for everything.
    fn scopes(&self, asked: &mut Vec<Parsed<harness_memory::scope::Readable>>) -> Result<(), Problem> {
        let entries: Vec<_> = asked.iter().map(|scope| scope.0.clone()).collect();
        let reads = self.grant().narrowed(&entries);
        if reads.entries().is_empty() {
            return Err(Problem::forbidden("scope-not-allowed", "none of these scopes may be read here"));
        }
        *asked = if reads.is_everything() { Vec::new() } else { reads.entries().iter().cloned().map(Parsed).collect() };
        Ok(())
    }

    fn scope(&self, asked: &mut Option<Parsed<Scope>>) -> Result<(), Problem> {
        *asked = Some(Parsed(self.grant().write_scope(asked.as_ref().map(|scope| &scope.0))?));
        Ok(())
    }

    /// Names this request, so that it is done once though it may be sent to the server and then done here.
    fn writer(&self, path: &str, body: &impl Serialize) -> Result<(Writer, String), Problem> {
        let key = Uuid::now_v7().to_string();
        let grant = Grant { name: "own".to_owned(), ..self.grant().clone() };
        let body = serde_json::to_value(body).map_err(|error| Problem::internal(&error))?;
        let request = Some(idempotency::request(&grant, &key, &format!("POST {path}"), &body)?);
        Ok((Writer { grant, source: SOURCE, origin: Origin::Agent, request }, key))
    }

    pub(crate) async fn recall(&self, mut request: RecallRequest) -> Result<Answer, Problem> {
        self.scopes(&mut request.scopes)?;
        match self.post("/v1/recall", &request, None).await {
            Some(answer) => answer,
            None => self.here()?.recall(self.grant(), request).await,
        }
    }

    pub(crate) async fn context(&self, mut request: ContextRequest) -> Result<Context, Problem> {
        self.scopes(&mut request.scopes)?;
        match self.post("/v1/context", &request, None).await {
            Some(context) => context,
            None => self.here()?.context(self.grant(), request).await,
        }
    }

    pub(crate) async fn note(&self, mut request: NoteRequest) -> Result<Written, Problem> {
        self.scope(&mut request.about.scope)?;
        self.check_replaced(request.about.replaces).await?;
        request.about.source = Some(SOURCE.to_owned());
        request.about.origin = Some(Origin::Agent);
        let (writer, key) = self.writer(NOTES, &request)?;
        match self.post(NOTES, &request, Some(&key)).await {
            Some(written) => written,
            None => self.here()?.write_note(&writer, request).await,
        }
    }

    pub(crate) async fn episode(&self, mut request: EpisodeRequest) -> Result<Written, Problem> {
        self.scope(&mut request.about.scope)?;
        self.check_replaced(request.about.replaces).await?;
        request.about.source = Some(SOURCE.to_owned());
        let (writer, key) = self.writer(EPISODES, &request)?;
        match self.post(EPISODES, &request, Some(&key)).await {
            Some(written) => written,
            None => self.here()?.write_episode(&writer, request).await,
        }
    }

    /// The record of this id, or whose id begins so, of those that this client may read.
    pub(crate) async fn record(&self, id: &str, context: usize) -> Result<RecordView, Problem> {
        // The server knows this client by the token for everything.
        let mut request = RecordQuery::default();
        self.scopes(&mut request.scope)?;
        let mut query = scope_parameters(&request.scope);
        if context > 0 {
            query.push_str(&format!("&context={context}"));
            request.context = Some(Limit(context as u32));
        }
        let query = if query.is_empty() { query } else { format!("?{}", &query[1..]) };
        match self.get::<RecordView>(&format!("/v1/records/{}{query}", escape(id))).await {
            Some(view) => view,
            None => self.here()?.record(self.grant(), id, request).await,
        }
    }

    /// Refuses to supersede a record that this client could not forget: the server would, as it knows it by the token for
    /// everything.
    async fn check_replaced(&self, older: Option<RecordId>) -> Result<(), Problem> {
        if let (Some(older), Backend::Home(_), false) = (older, self, self.grant().is_everything()) {
            let view = self.record(&older.to_string(), 0).await?;
            self.grant().write_scope(Some(&view.record.scope))?;
        }
        Ok(())
    }

    /// Forgets records by their ids, or the beginnings of them. Those that were forgotten before are so still.
    pub(crate) async fn forget(&self, ids: Vec<String>) -> Result<Forgot, Problem> {
        self.grant().check_write()?;
        let mut request = ForgetRequest { ids: Vec::with_capacity(ids.len()) };
        let mut gone: Option<Timestamp> = None;
        // A server knows this client by the token for everything.
        let knows_us = self.grant().is_everything() || matches!(self, Backend::Here(..));
        for id in &ids {
            if let (Ok(id), true) = (id.parse(), knows_us) {
                request.ids.push(id);
                continue;
            }
            match self.record(id, 0).await {
                Ok(view) => {
                    self.grant().write_scope(Some(&view.record.scope))?;
                    request.ids.push(view.record.id);
                }
                Err(Problem { undo_until: Some(until), scope, .. }) => {
                    scope.map_or(Ok(()), |scope| self.grant().write_scope(Some(&scope)).map(drop))?;
                    gone = Some(gone.map_or(until, |earliest| earliest.min(until)));
                }
                Err(problem) => return Err(problem),
            }
        }
        if let (true, Some(undo_until)) = (request.ids.is_empty(), gone) {
            return Ok(Forgot { forgotten: 0, undo_until });
        }
        let forgot: Forgot = match self.post("/v1/forget", &request, None).await {
            Some(forgot) => forgot?,
            None => self.here()?.forget(self.grant(), request).await?,
        };
        Ok(Forgot { undo_until: gone.map_or(forgot.undo_until, |gone| gone.min(forgot.undo_until)), ..forgot })
    }

    pub(crate) async fn records(&self, mut request: RecordsQuery) -> Result<RecordsPage, Problem> {
        self.scopes(&mut request.scope)?;
        let kinds = request.kind.iter().map(|kind| format!("&kind={kind}")).collect::<String>();
        let path = format!("/v1/records?limit={}{kinds}{}", request.limit.get(), scope_parameters(&request.scope));
        match self.get(&path).await {
            Some(page) => page,
            None => self.here()?.records(self.grant(), request).await,
        }
    }

    pub(crate) async fn sessions(&self, mut request: SessionsQuery) -> Result<SessionsPage, Problem> {
        self.scopes(&mut request.scope)?;
        let mut path = format!("/v1/sessions?limit={}{}", request.limit.get(), scope_parameters(&request.scope));
        for (name, time) in [("since", &request.since), ("until", &request.until)] {
            if let Some(time) = time {
                path.push_str(&format!("&{name}={}", escape(&time.0.to_string())));
            }
        }
        match self.get(&path).await {
            Some(page) => page,
            None => self.here()?.sessions(self.grant(), request).await,
        }
    }

    pub(crate) async fn messages(&self, id: &str, mut request: MessagesQuery) -> Result<MessagesPage, Problem> {
        self.scopes(&mut request.scope)?;
        let source = request.source.iter().map(|source| format!("&source={}", escape(source))).collect::<String>();
        let path = format!(
            "/v1/sessions/{}/messages?limit={}{source}{}",
            escape(id),
            request.limit.get(),
            scope_parameters(&request.scope)
        );
        match self.get::<MessagesPage>(&path).await {
            Some(Ok(page)) if !self.grant().reads.allows(&page.session.session.scope) => Err(Problem::new(
                axum::http::StatusCode::NOT_FOUND,
                "no-session",
                format!("there is no session {id:?}"),
            )),
            Some(page) => page,
            None => self.here()?.messages(self.grant(), id.to_owned(), request).await,
        }
    }

    pub(crate) async fn status(&self) -> Result<StatusView, Problem> {
        let status: StatusView = match self.get("/v1/status").await {
            Some(status) => status?,
            None => self.here()?.status(self.grant()).await?,
        };
        // The server counts the whole memory for the token that it knows this client by.
        if self.grant().is_everything() {
            return Ok(status);
        }
        let indexes = status.indexes.into_iter().map(IndexView::without_numbers).collect();
        Ok(StatusView { store: None, indexes, ..status })
    }

    /// Whether this process opened the memory itself and wrote so much that somebody should index it.
    pub(crate) fn wants_follower(&self) -> bool {
        let Backend::Home(home) = self else { return false };
        let Some(service) = home.service.get() else { return false };
        let engine = service.engine();
        engine.wants_a_holder() || engine.follower().is_none() && engine.tail_is_long().unwrap_or(false)
    }
}

fn scope_parameters(scopes: &[Parsed<harness_memory::scope::Readable>]) -> String {
    scopes.iter().map(|scope| format!("&scope={}", escape(&scope.0.to_string()))).collect()
}

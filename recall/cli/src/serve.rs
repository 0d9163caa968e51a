//! `harness serve`: one memory for every tool on the machine, over HTTP.
//!
//! - [`routes`]: which route does what; [`api`], [`query`], [`openapi`]: routes that document themselves
//! - [`service`]: what is done, without HTTP's words; [`types`]: what goes over the wire
//! - [`guard`]: Host, Origin, token, limits; [`tokens`], [`grant`]: who may do what
//! - [`listen`]: sockets and connections; [`discovery`]: `serve.json`
//! - [`events`]: the change log as a stream; [`health`], [`metrics`], [`trace`]: how it is doing
//! - [`viewer`]: the page for people
//! - [`problem`], [`cursor`], [`limits`]

pub(crate) mod api;
pub(crate) mod cursor;
pub(crate) mod discovery;
mod events;
pub(crate) mod grant;
mod guard;
mod health;
pub(crate) mod idempotency;
pub(crate) mod limits;
pub(crate) mod listen;
mod metrics;
mod openapi;
pub(crate) mod problem;
pub(crate) mod query;
mod routes;
pub(crate) mod service;
pub(crate) mod tokens;
pub(crate) mod trace;
pub(crate) mod types;
pub(crate) mod viewer;

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use axum::body::Bytes;
use axum::http::StatusCode;
use axum::middleware;
use harness_memory::Scope;
use harness_recall::Engine;
use tokio::sync::{Semaphore, watch};

use self::discovery::{Place, ServeFile};
use self::guard::Hosts;
use self::limits::{REQUESTS_MAX, STREAMS_MAX};
pub(crate) use self::listen::Address;
use self::listen::Listener;
use self::metrics::Metrics;
use self::problem::Problem;
use self::service::{HookSettings, Service};
use self::tokens::Doorkeeper;
use crate::hooks::errand;
use crate::interrupt;
use crate::report::{self, Advice};

/// The version of the HTTP interface. Clients use a server of their own version only.
pub(crate) const API_VERSION: u32 = 1;

/// The revisions of the Model Context Protocol that are spoken.
pub(crate) const MCP_REVISIONS: &[&str] = &["2025-06-18", "2025-11-25", "2026-07-28"];

/// How long the server follows without a change before it looks whether it still should: it never leaves by itself.
const FOLLOW_IDLE: Duration = Duration::from_secs(24 * 3_600);

/// How long it goes on indexing when it is asked to end.
const INDEX_PATIENCE: Duration = Duration::from_secs(2);

/// How often it tries to become the follower while another process is: a killed one is replaced within this time.
const FOLLOW_RETRY: Duration = Duration::from_millis(500);

/// What a server is started with.
pub(crate) struct Options {
    pub(crate) address: Address,
    /// Names of this machine that a request may carry as its host, beside its addresses.
    pub(crate) hosts: Vec<String>,
    pub(crate) user: Scope,
    pub(crate) undo_days: u32,
    pub(crate) hooks: HookSettings,
}

/// What all requests share.
#[derive(Clone)]
pub(crate) struct Shared(Arc<State>);

pub(crate) struct State {
    pub(crate) service: Service,
    door: Doorkeeper,
    visits: viewer::Visits,
    hosts: Hosts,
    requests: Semaphore,
    streams: Arc<Semaphore>,
    metrics: Metrics,
    document: Bytes,
    stopping: AtomicBool,
}

impl Deref for Shared {
    type Target = State;

    fn deref(&self) -> &State {
        &self.0
    }
}

/// The OpenAPI document as it is served.
pub(crate) fn openapi_document() -> anyhow::Result<String> {
    let document = routes::api().document.finish();
    Ok(serde_json::to_string_pretty(&document)? + "\n")
}

/// Serves until it is asked to stop; `ready` is told the address when connections are accepted.
pub(crate) fn run(engine: Engine, options: Options, ready: impl FnOnce(&ServeFile)) -> anyhow::Result<()> {
    let home = engine.home().to_owned();
    let Some(place) = Place::claim(&home)? else {
        let which =
            discovery::live(&home).map_or(String::new(), |other| format!(", at {} (pid {})", other.url, other.pid));
        return Err(Advice::error(
            format!("a server of this home runs already{which}"),
            "use that one, or stop it first",
        ));
    };
    tokens::own_token(&home)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(REQUESTS_MAX + STREAMS_MAX + 8)
        .enable_all()
        .build()
        .context("cannot start the threads of the server")?;
    let engine = Arc::new(engine);
    errand::take(&engine, options.user.clone(), options.hooks.clone());
    let stop_following = Arc::new(AtomicBool::new(false));
    let follower = {
        let (engine, stop) = (engine.clone(), stop_following.clone());
        thread::Builder::new().name("follower".to_owned()).spawn(move || follow(&engine, &stop))
    };
    let result = runtime.block_on(serve(engine.clone(), place, options, ready));
    // Blocking work that is under way ends: what it writes is committed.
    runtime.shutdown_timeout(limits::DRAIN_PATIENCE);
    stop_following.store(true, Ordering::Relaxed);
    if let Ok(follower) = follower {
        let _ = follower.join();
    }
    // What was written last is indexed too, unless that is a long story: it is searched in any case.
    let patience = std::time::Instant::now() + INDEX_PATIENCE;
    if let Err(error) = engine.catch_up(&mut |_, _| std::time::Instant::now() < patience) {
        tracing::info!(%error, "the indexes were left behind");
    }
    if let Err(error) = engine.store().checkpoint() {
        tracing::info!(%error, "the store was not checkpointed");
    }
    result
}

async fn serve(
    engine: Arc<Engine>,
    mut place: Place,
    options: Options,
    ready: impl FnOnce(&ServeFile),
) -> anyhow::Result<()> {
    let (stop, stopped) = watch::channel(false);
    interrupt::on_request(move || {
        let _ = stop.send(true);
    });
    let home = engine.home().to_owned();
    let listener = Listener::bind(&options.address).await?;
    let hosts = match &options.address {
        Address::Unix(_) => Hosts::Any,
        address if address.is_local() && options.hosts.is_empty() => Hosts::Loopback,
        _ => Hosts::AddressesAnd(options.hosts.into()),
    };
    if !options.address.is_local() {
        report::line(
            "note: other machines can reach this address; each request needs a token, and nothing is encrypted",
        );
        report::line("hint: `harness token new --scope S --read-only` makes a token for less than everything");
    }
    let file = ServeFile {
        url: listener.url()?,
        token_file: tokens::token_file(&home),
        pid: std::process::id(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        api: API_VERSION,
        user: options.user.to_string(),
    };
    let shared = Shared(Arc::new(State {
        service: Service::new(engine, options.user.clone(), options.undo_days, options.hooks, true),
        door: Doorkeeper::new(&home, options.user),
        visits: viewer::Visits::default(),
        hosts,
        requests: Semaphore::new(REQUESTS_MAX),
        streams: Arc::new(Semaphore::new(STREAMS_MAX)),
        metrics: Metrics::default(),
        document: openapi_document()?.into(),
        stopping: AtomicBool::new(false),
    }));
    let router = router(shared.clone());
    place.publish(&file)?;
    ready(&file);
    let mut closing = stopped.clone();
    let close = async {
        let _ = closing.wait_for(|stop| *stop).await;
        // Nobody is to come any more; streams end, requests are finished.
        drop(place);
        shared.stopping.store(true, Ordering::Relaxed);
    };
    tokio::join!(listener.serve(router, stopped), close);
    Ok(())
}

/// The routes behind the guard.
fn router(shared: Shared) -> Router {
    let mcp = crate::mcp::http::service(shared.service.clone(), shared.hosts.given());
    viewer::page(routes::api().router)
        .route_service("/mcp", mcp)
        .fallback(async || {
            Problem::new(StatusCode::NOT_FOUND, "no-route", "there is nothing at this path: see /openapi.json")
        })
        .method_not_allowed_fallback(async || {
            Problem::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "method",
                "this path is not for this method: see /openapi.json",
            )
        })
        .layer(middleware::from_fn_with_state(shared.clone(), guard::check))
        .with_state(shared)
}

/// Indexes what is written until `stop`; waits for its turn while another process does.
fn follow(engine: &Engine, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        match engine.follow(FOLLOW_IDLE, stop) {
            // Where another process asked for the indexes, it gets them first.
            Ok(_) => thread::sleep(FOLLOW_RETRY),
            Err(error) => {
                // What is not indexed is searched too.
                tracing::warn!("cannot follow: {error}");
                thread::sleep(FOLLOW_RETRY * 10);
            }
        }
    }
}

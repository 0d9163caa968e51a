//! The door: Host and Origin, how much at once, the token, and how long an answer may take.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tracing::Instrument;

use super::api::{is_json, read_body};
use super::limits::ANSWER_PATIENCE;
use super::problem::Problem;
use super::{Shared, trace, viewer};

/// Which hosts a request may name: what a browser that was lured to another name cannot say.
#[derive(Clone, Debug)]
pub(crate) enum Hosts {
    /// A socket of this machine, which no browser reaches.
    Any,
    /// Names of this machine alone.
    Loopback,
    /// Any address, which cannot be rebound, and these names.
    AddressesAnd(Arc<[String]>),
}

impl Hosts {
    fn allow(&self, host: &str) -> bool {
        let name = name_of(host);
        let address: Option<IpAddr> = name.trim_start_matches('[').trim_end_matches(']').parse().ok();
        let local = name.eq_ignore_ascii_case("localhost") || address.is_some_and(|address| address.is_loopback());
        match self {
            Hosts::Any => true,
            Hosts::Loopback => local,
            Hosts::AddressesAnd(names) => {
                local || address.is_some() || names.iter().any(|known| known.eq_ignore_ascii_case(name))
            }
        }
    }
}

impl Hosts {
    /// Whether this host was given by its name (`--allow-host`).
    fn names(&self, host: &str) -> bool {
        matches!(self, Hosts::AddressesAnd(names) if names.iter().any(|known| known.eq_ignore_ascii_case(name_of(host))))
    }

    /// The names that were given.
    pub(crate) fn given(&self) -> &[String] {
        match self {
            Hosts::AddressesAnd(names) => names,
            Hosts::Any | Hosts::Loopback => &[],
        }
    }
}

/// A host without its port.
fn name_of(host: &str) -> &str {
    match host.rfind(':') {
        Some(colon) if !host.ends_with(']') && host[colon + 1..].bytes().all(|b| b.is_ascii_digit()) => &host[..colon],
        _ => host,
    }
}

/// Routes that are open to those without a token: they hold no data.
fn is_open(path: &str) -> bool {
    path == "/healthz"
}

/// Everything that is checked before a route is asked.
pub(crate) async fn check(State(shared): State<Shared>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().map_or("unknown", MatchedPath::as_str).to_owned();
    let span = trace::request_span(&method, &route, request.headers());
    let for_openai = request.uri().path() == "/v1/embeddings";
    let mut response = answer(&shared, request, next).instrument(span.clone()).await;
    if let Some(problem) = response.extensions_mut().remove::<Problem>().filter(|_| for_openai) {
        response = problem.for_openai().into_response();
    }
    let response = dressed(response);
    let status = response.status();
    span.record("http.response.status_code", status.as_u16());
    shared.metrics.request(&method, &route, status, started.elapsed());
    tracing::debug!(parent: &span, %method, route, status = status.as_u16(), "answered");
    response
}

async fn answer(shared: &Shared, mut request: Request, next: Next) -> Response {
    if let Err(problem) = from_here(shared, request.headers(), request.uri().authority().map(Authority::as_str)) {
        return problem.into_response();
    }
    let path = request.uri().path();
    if is_open(path) || viewer::is_open(request.method(), path) {
        return next.run(request).await;
    }
    let of_token = token_of(request.headers()).and_then(|token| shared.door.grant(token));
    let grant = match of_token.or_else(|| shared.visits.grant(request.headers(), &shared.door)) {
        Some(grant) => grant,
        None => return unauthorized(shared, request.headers()).into_response(),
    };
    let stream = path == "/v1/events";
    let (looks_in, mcp) = (looks_in(path), path == "/mcp");
    request.extensions_mut().insert(grant);
    if stream {
        // Streams stay open: they are counted where they begin.
        return next.run(request).await;
    }
    if changes(request.method()) && request.headers().contains_key(header::CONTENT_TYPE) && !is_json(request.headers())
    {
        let detail = "only JSON is understood: send it with `Content-Type: application/json`";
        return Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not-json", detail).into_response();
    }
    let place = if looks_in { None } else { Some(shared.requests.try_acquire()) };
    if let Some(Err(_)) = place {
        shared.metrics.shed();
        return Problem::unavailable("busy", "too many requests at once: try again in a moment").into_response();
    }
    let answer = async {
        // The protocol's own reading of a body has no end; ours is that of every route.
        let request = if mcp { whole(request).await } else { Ok(request) };
        match request {
            Ok(request) => next.run(request).await,
            Err(problem) => problem.into_response(),
        }
    };
    match tokio::time::timeout(ANSWER_PATIENCE, answer).await {
        Ok(response) => response,
        Err(_) => Problem::unavailable("timeout", "the answer took too long: try again").into_response(),
    }
}

/// Routes that say how the service is doing, the more so when it has too much to do.
fn looks_in(path: &str) -> bool {
    matches!(path, "/readyz" | "/metrics")
}

/// A request whose body has come.
async fn whole(request: Request) -> Result<Request, Problem> {
    let (head, body) = request.into_parts();
    let bytes = read_body(&head.headers, body).await?;
    Ok(Request::from_parts(head, Body::from(bytes)))
}

fn changes(method: &Method) -> bool {
    matches!(*method, Method::POST | Method::PUT | Method::PATCH | Method::DELETE)
}

/// Refuses a request that a page of another site may have sent. `target` is the host that the request's own address
/// names, where it is a whole one.
fn from_here(shared: &Shared, headers: &HeaderMap, target: Option<&str>) -> Result<(), Problem> {
    let text = |name| headers.get(name).map(|value: &HeaderValue| value.to_str().unwrap_or("?"));
    if headers.get_all(header::HOST).iter().count() > 1 {
        return Err(Problem::bad_request("a request has one Host header"));
    }
    let named = text(header::HOST);
    // A whole address counts before the header, and whoever stands between may have gone by either.
    let host = target.or(named);
    let known = match host {
        Some(_) => [target, named].into_iter().flatten().all(|host| shared.hosts.allow(host)),
        None => matches!(shared.hosts, Hosts::Any),
    };
    if !known {
        let detail = "the Host header names another machine than this one; `harness serve --allow-host` adds a name";
        return Err(Problem::forbidden("host-not-allowed", detail));
    }
    if let Some(origin) = text(header::ORIGIN) {
        let plain = origin.strip_prefix("http://").is_some_and(|from| Some(from) == host);
        // Before a name that was given stands a proxy, which may speak TLS.
        let secure = origin.strip_prefix("https://").filter(|from| shared.hosts.names(from));
        let same = |from: &str| host.is_some_and(|host| host == from || host.strip_suffix(":443") == Some(from));
        let own = plain || secure.is_some_and(same);
        if !own {
            return Err(Problem::forbidden("origin-not-allowed", "pages of other origins may not ask this service"));
        }
    }
    if text(header::HeaderName::from_static("sec-fetch-site")).is_some_and(|site| site == "cross-site") {
        return Err(Problem::forbidden("origin-not-allowed", "pages of other sites may not ask this service"));
    }
    Ok(())
}

/// The token that a request carries.
pub(super) fn token_of(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

fn unauthorized(shared: &Shared, headers: &HeaderMap) -> Problem {
    let detail = if headers.contains_key(header::AUTHORIZATION) {
        "this token is not known: it was revoked, or is of another home"
    } else {
        "a token is needed: `Authorization: Bearer …` with the token of the file that serve.json names"
    };
    shared.metrics.refused();
    Problem::new(StatusCode::UNAUTHORIZED, "no-token", detail)
}

/// Headers that every answer has.
fn dressed(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    headers
        .entry(header::CONTENT_SECURITY_POLICY)
        .or_insert(HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"));
    headers.entry(header::REFERRER_POLICY).or_insert(HeaderValue::from_static("no-referrer"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machines_names_are_hosts() {
        let hosts = Hosts::Loopback;
        for good in ["localhost", "LOCALHOST:7477", "127.0.0.1:1", "127.8.9.1", "[::1]:7477", "[::1]"] {
            assert!(hosts.allow(good), "{good}");
        }
        for bad in [
            "evil.example",
            "evil.example:7477",
            "192.168.1.5:7477",
            "localhost.evil.example",
            "127.0.0.1.nip.io",
            "",
            "?",
        ] {
            assert!(!hosts.allow(bad), "{bad}");
        }
        let open = Hosts::AddressesAnd(["memory.lan".to_owned()].into());
        assert!(open.allow("192.168.1.5:7477") && open.allow("Memory.LAN") && !open.allow("evil.example"));
        assert!(open.names("Memory.lan:443") && !open.names("192.168.1.5") && !hosts.names("localhost"));
    }
}

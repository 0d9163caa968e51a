//! The viewer: a page that holds no data, and the way in for the person who opens it.
//!
//! `harness view` asks the server for a code with the token of the home and opens the page with it. The page trades the
//! code for a cookie that scripts cannot read and that no other site's request carries (`SameSite=Strict`); from then on
//! it uses the public interface with the rights of the token that the code was made with.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, on};
use axum::{Json, Router};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::Shared;
use super::api::{Api, Call, Reply, read_json};
use super::grant::Grant;
use super::openapi::Operation;
use super::problem::Problem;
use super::tokens::{self, Doorkeeper};
use super::types::input::Nothing;

/// How long a code can be used: a browser starts within seconds.
const CODE_LIFE: Duration = Duration::from_secs(60);

/// How long the page stays open without a new code: a working day.
const VISIT_LIFE: Duration = Duration::from_secs(12 * 3600);

/// The most codes and visits that are kept; the oldest give way.
const KEPT_MAX: usize = 64;

/// The cookie.
const COOKIE: &str = "harness_view";

/// What the page may do: its own scripts and styles, its own service, nothing else.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The page's files: name, kind, content.
const FILES: &[(&str, &str, &str)] = &[
    ("style.css", "text/css; charset=utf-8", include_str!("viewer/style.css")),
    ("icon.svg", "image/svg+xml", include_str!("viewer/icon.svg")),
    ("app.js", SCRIPT, include_str!("viewer/app.js")),
    ("api.js", SCRIPT, include_str!("viewer/api.js")),
    ("dom.js", SCRIPT, include_str!("viewer/dom.js")),
    ("pages.js", SCRIPT, include_str!("viewer/pages.js")),
    ("parts.js", SCRIPT, include_str!("viewer/parts.js")),
    ("words.js", SCRIPT, include_str!("viewer/words.js")),
];

const SCRIPT: &str = "text/javascript; charset=utf-8";

const PAGE: &str = include_str!("viewer/index.html");

/// Who was let in, and who may come.
#[derive(Default)]
pub(super) struct Visits {
    codes: Mutex<Vec<Kept>>,
    visits: Mutex<Vec<Kept>>,
}

/// A secret, by its hash, and what it allows until when.
struct Kept {
    sha256: [u8; 32],
    grant: Grant,
    until: Instant,
}

/// A code for the page.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct ViewCode {
    /// To be used once: the page is opened at `/#code=` and this.
    pub(crate) code: String,
    /// For how many seconds it can be used.
    pub(crate) expires_in_seconds: u64,
}

/// What opens the page: a code, or nothing where the request carries a token.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ViewRequest {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) code: Option<String>,
}

/// The page is open.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Visit {
    /// For how many seconds it stays open.
    pub(crate) expires_in_seconds: u64,
}

fn hash(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}

/// Adds a secret; the expired ones and, where there are too many, the oldest leave.
fn keep(list: &Mutex<Vec<Kept>>, secret: &str, grant: Grant, life: Duration) {
    let mut list = list.lock().unwrap_or_else(PoisonError::into_inner);
    let now = Instant::now();
    list.retain(|kept| kept.until > now);
    if list.len() >= KEPT_MAX {
        list.remove(0);
    }
    list.push(Kept { sha256: hash(secret), grant, until: now + life });
}

/// The place of a secret that still holds. All are compared, in constant time.
fn place(list: &[Kept], secret: &str) -> Option<usize> {
    let (given, now) = (hash(secret), Instant::now());
    let fits = |kept: &Kept| bool::from(kept.sha256.ct_eq(&given)) && kept.until > now;
    list.iter().enumerate().fold(None, |found, (at, kept)| if fits(kept) { Some(at) } else { found })
}

impl Visits {
    /// A code with these rights.
    fn invite(&self, grant: Grant) -> anyhow::Result<String> {
        let code = tokens::random()?;
        keep(&self.codes, &code, grant, CODE_LIFE);
        Ok(code)
    }

    /// The rights of a code, which is used up; none where the token it was made with is known no more.
    fn admit(&self, code: &str, door: &Doorkeeper) -> Option<Grant> {
        let mut codes = self.codes.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = place(&codes, code).map(|at| codes.remove(at))?;
        door.renewed(&kept.grant)
    }

    /// The value of the cookie of a new visit.
    fn open(&self, grant: Grant) -> anyhow::Result<String> {
        let secret = tokens::random()?;
        keep(&self.visits, &secret, grant, VISIT_LIFE);
        Ok(secret)
    }

    /// What the cookie of a request allows: what the token behind it does by now.
    pub(super) fn grant(&self, headers: &HeaderMap, door: &Doorkeeper) -> Option<Grant> {
        let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
        let mut pairs = cookies.flat_map(|text| text.split(';')).filter_map(|pair| pair.trim().split_once('='));
        let secret = pairs.find(|(name, _)| *name == COOKIE)?.1;
        let visits = self.visits.lock().unwrap_or_else(PoisonError::into_inner);
        place(&visits, secret).and_then(|at| door.renewed(&visits[at].grant))
    }
}

/// The page itself and its files, which hold no data and are open to everybody who reaches the service.
pub(super) fn is_open(method: &Method, path: &str) -> bool {
    *method == Method::GET && (path == "/" || path.starts_with("/viewer/"))
        || *method == Method::POST && path == "/v1/view-sessions"
}

/// The routes of the page; they are no part of the interface and not in its description.
pub(super) fn page(router: Router<Shared>) -> Router<Shared> {
    router.route("/", get(async || file("text/html; charset=utf-8", PAGE))).route(
        "/viewer/{name}",
        get(async |name: Result<Path<String>, PathRejection>| {
            let name = name.map(|Path(name)| name).unwrap_or_default();
            match FILES.iter().find(|(known, ..)| *known == name) {
                Some((_, kind, content)) => file(kind, content),
                None => Problem::new(StatusCode::NOT_FOUND, "no-route", "the viewer has no such file").into_response(),
            }
        }),
    )
}

fn file(kind: &'static str, content: &'static str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        // Another version of the program may answer at the same address tomorrow.
        (header::CACHE_CONTROL, "no-cache"),
    ];
    (headers, content).into_response()
}

/// The routes by which the page is opened.
pub(super) fn add(mut api: Api) -> Api {
    let visit = api.document.schema::<Visit>();
    let request = api.document.schema::<ViewRequest>();
    // No body is needed where the token is what opens the page.
    let responses = json!({
        "200": { "description": "The page is open: the cookie says so.", "content": { "application/json": { "schema": visit } } },
        "requestBody": { "required": false, "content": { "application/json": { "schema": request } } },
    });
    let opening =
        Operation::new("openViewer", "viewer", "Trade a code, or a token, for the cookie of the viewer").open();
    api.body(
        Method::POST,
        "/v1/view-codes",
        Operation::new(
            "newViewCode",
            "viewer",
            "Make a code that opens the viewer once, with the rights of this token",
        ),
        async |call: Call<Nothing>| -> Result<Reply<ViewCode>, Problem> {
            let code = call.shared.visits.invite(call.grant).map_err(|error| Problem::internal(&*error))?;
            Ok(Reply::ok(ViewCode { code, expires_in_seconds: CODE_LIFE.as_secs() }))
        },
    )
    .other(Method::POST, "/v1/view-sessions", opening, responses, |filter| on(filter, open))
}

async fn open(State(shared): State<Shared>, request: axum::extract::Request) -> Response {
    match opened(&shared, request).await {
        Ok(response) => response,
        Err(problem) => problem.into_response(),
    }
}

async fn opened(shared: &Shared, request: axum::extract::Request) -> Result<Response, Problem> {
    let (head, body) = request.into_parts();
    // An object: a list would be read as one, with its fields in order.
    let said: serde_json::Map<String, serde_json::Value> = read_json(&head.headers, body).await?;
    let said: ViewRequest = serde_json::from_value(said.into())
        .map_err(|error| Problem::bad_request(format!("the body is not understood: {error}")))?;
    let grant = match &said.code {
        Some(code) => shared.visits.admit(code, &shared.door),
        None => super::guard::token_of(&head.headers).and_then(|token| shared.door.grant(token)),
    };
    let Some(grant) = grant else {
        let detail = "this code was used, is too old, or its token was revoked: run `harness view` again";
        return Err(Problem::new(StatusCode::UNAUTHORIZED, "no-token", detail));
    };
    let secret = shared.visits.open(grant).map_err(|error| Problem::internal(&*error))?;
    let life = VISIT_LIFE.as_secs();
    let cookie = format!("{COOKIE}={secret}; Path=/; Max-Age={life}; HttpOnly; SameSite=Strict");
    let mut response = Json(Visit { expires_in_seconds: life }).into_response();
    if let Ok(value) = HeaderValue::from_str(&cookie) {
        response.headers_mut().insert(header::SET_COOKIE, value);
    }
    Ok(response)
}

#[cfg(test)]
mod tests {
    use harness_memory::Scope;

    use super::*;

    fn grant() -> Grant {
        Grant::everything("test", Scope::root())
    }

    fn door() -> Doorkeeper {
        Doorkeeper::new(std::path::Path::new("no-home"), Scope::root())
    }

    fn headers(cookie: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::COOKIE, cookie.parse().unwrap());
        headers
    }

    #[test]
    fn a_code_opens_the_page_once() {
        let visits = Visits::default();
        let code = visits.invite(grant()).unwrap();
        assert!(visits.admit("another", &door()).is_none());
        assert!(visits.admit(&code, &door()).is_some());
        assert!(visits.admit(&code, &door()).is_none());
    }

    #[test]
    fn only_the_cookie_of_a_visit_is_let_in() {
        let visits = Visits::default();
        let secret = visits.open(grant()).unwrap();
        assert!(visits.grant(&headers(&format!("a=b; {COOKIE}={secret}")), &door()).is_some());
        for cookie in ["", "harness_view=", "harness_view=guess", &format!("other={secret}")] {
            assert!(visits.grant(&headers(cookie), &door()).is_none(), "{cookie}");
        }
    }

    #[test]
    fn old_visits_give_way() {
        let visits = Visits::default();
        let first = visits.open(grant()).unwrap();
        for _ in 0..KEPT_MAX {
            visits.open(grant()).unwrap();
        }
        assert!(visits.grant(&headers(&format!("{COOKIE}={first}")), &door()).is_none());
        assert_eq!(visits.visits.lock().unwrap().len(), KEPT_MAX);
    }

    #[test]
    fn the_page_reaches_for_nothing_else() {
        for text in FILES.iter().map(|(_, _, content)| *content).chain([PAGE]) {
            let addresses = text.matches("://").count() - text.matches("http://www.w3.org/2000/svg").count();
            assert_eq!(addresses, 0, "{}", &text[..80]);
            assert!(!text.contains("innerHTML") && !text.contains("style=\""), "{}", &text[..80]);
        }
    }
}

//! Routes that document themselves: registering one adds it to the router and to the OpenAPI document.

use std::future::Future;

use axum::body::Body;
use axum::extract;
use axum::extract::rejection::RawPathParamsRejection;
use axum::extract::{RawPathParams, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, MethodRouter, on};
use axum::{Extension, Router};
use futures::StreamExt;
use harness_memory::RecordId;
use harness_memory::sqlite::Request;
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::Shared;
use super::grant::Grant;
use super::idempotency;
use super::limits::{BODY_BYTES_MAX, BODY_PATIENCE};
use super::openapi::{Document, Operation};
use super::problem::Problem;
use super::query::QueryShape;

/// Up to here every whole number has a floating-point number of its own.
const EXACT_MAX: f64 = 9_007_199_254_740_991.0;

/// A request as a route gets it: who asks, what the path names, and what was said.
pub(crate) struct Call<I> {
    pub(crate) shared: Shared,
    pub(crate) grant: Grant,
    /// What stands for the variable part of the path.
    pub(crate) name: String,
    pub(crate) input: I,
    headers: HeaderMap,
    /// The method and the path, such as `POST /v1/notes`.
    place: String,
    body: Vec<u8>,
}

impl<I> Call<I> {
    /// The record that the path names, by its id or the beginning of it.
    pub(crate) async fn id(&self) -> Result<RecordId, Problem> {
        self.shared.service.named(&self.grant.reads, &self.name).await
    }

    /// The request as it is known by its `Idempotency-Key`, where it has one.
    pub(crate) fn request(&self) -> Result<Option<Request>, Problem> {
        let Some(value) = self.headers.get("idempotency-key") else { return Ok(None) };
        let is_printable = |text: &&str| text.bytes().all(|byte| byte.is_ascii_graphic());
        let text = value.to_str().ok().filter(is_printable);
        let text = text.ok_or_else(|| Problem::bad_request("an Idempotency-Key is printable ASCII without blanks"))?;
        let mut body = serde_json::from_slice(&self.body).unwrap_or_default();
        with_whole_numbers(&mut body);
        idempotency::request(&self.grant, text, &self.place, &body).map(Some)
    }
}

/// What a route answers.
pub(crate) struct Reply<O> {
    status: StatusCode,
    location: Option<String>,
    body: O,
}

impl<O> Reply<O> {
    /// 200.
    pub(crate) fn ok(body: O) -> Reply<O> {
        Reply { status: StatusCode::OK, location: None, body }
    }

    /// 201 with where the new thing is, or 200 when it was there already.
    pub(crate) fn written(created: bool, location: String, body: O) -> Reply<O> {
        let status = if created { StatusCode::CREATED } else { StatusCode::OK };
        Reply { status, location: Some(location), body }
    }
}

impl<O: Serialize> IntoResponse for Reply<O> {
    fn into_response(self) -> Response {
        let mut response = match serde_json::to_vec(&self.body) {
            Ok(body) => {
                let kind = (header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
                (self.status, [kind], body).into_response()
            }
            Err(error) => return Problem::internal(&error).into_response(),
        };
        if let Some(location) = self.location.and_then(|text| HeaderValue::from_str(&text).ok()) {
            response.headers_mut().insert(header::LOCATION, location);
        }
        response
    }
}

/// The routes and their document, growing together.
pub(crate) struct Api {
    pub(crate) router: Router<Shared>,
    pub(crate) document: Document,
}

impl Api {
    pub(crate) fn new() -> Api {
        Api { router: Router::new(), document: Document::new() }
    }

    /// A route that takes a JSON body.
    pub(crate) fn body<I, O, F, Fut>(
        mut self,
        method: Method,
        path: &'static str,
        operation: Operation,
        handler: F,
    ) -> Api
    where
        I: DeserializeOwned + JsonSchema + Send + 'static,
        O: Serialize + JsonSchema + Send + 'static,
        F: Fn(Call<I>) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output = Result<Reply<O>, Problem>> + Send + 'static,
    {
        self.document.add_body::<I, O>(&method, path, operation);
        let route = move |State(shared): State<Shared>,
                          Extension(grant): Extension<Grant>,
                          names: Names,
                          request: extract::Request| {
            let handler = handler.clone();
            async move {
                let name = first(names)?;
                let (head, body) = request.into_parts();
                let bytes = read_body(&head.headers, body).await?;
                let input = match parse(&head.headers, &bytes) {
                    Ok(input) => input,
                    Err(problem) => return Err(problem),
                };
                let place = format!("{} {}", head.method, head.uri.path());
                handler(Call { shared, grant, name, input, headers: head.headers, place, body: bytes }).await
            }
        };
        self.add(method, path, |filter| on(filter, route))
    }

    /// A route that takes its input from the query string.
    pub(crate) fn query<I, O, F, Fut>(
        mut self,
        method: Method,
        path: &'static str,
        operation: Operation,
        handler: F,
    ) -> Api
    where
        I: DeserializeOwned + JsonSchema + Send + 'static,
        O: Serialize + JsonSchema + Send + 'static,
        F: Fn(Call<I>) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output = Result<Reply<O>, Problem>> + Send + 'static,
    {
        self.document.add_query::<I, O>(&method, path, operation);
        let shape = QueryShape::of::<I>();
        let route = move |State(shared): State<Shared>,
                          Extension(grant): Extension<Grant>,
                          names: Names,
                          request: extract::Request| {
            let (handler, shape) = (handler.clone(), shape.clone());
            async move {
                let name = first(names)?;
                let (head, _) = request.into_parts();
                let input = shape.read(head.uri.query().unwrap_or_default())?;
                let place = format!("{} {}", head.method, head.uri.path());
                handler(Call { shared, grant, name, input, headers: head.headers, place, body: Vec::new() }).await
            }
        };
        self.add(method, path, |filter| on(filter, route))
    }

    /// A route of another kind, with its own account of its responses.
    pub(crate) fn other(
        mut self,
        method: Method,
        path: &'static str,
        operation: Operation,
        responses: Value,
        route: impl FnOnce(MethodFilter) -> MethodRouter<Shared>,
    ) -> Api {
        self.document.add_other(&method, path, operation, responses);
        self.add(method, path, route)
    }

    fn add(
        mut self,
        method: Method,
        path: &'static str,
        route: impl FnOnce(MethodFilter) -> MethodRouter<Shared>,
    ) -> Api {
        // All methods that are used here have a filter.
        let filter = MethodFilter::try_from(method).unwrap_or(MethodFilter::GET);
        self.router = self.router.route(path, route(filter));
        self
    }
}

/// What a path says in its variable part, or that this cannot be read.
type Names = Result<RawPathParams, RawPathParamsRejection>;

/// The variable part of a path; empty where there is none.
fn first(names: Names) -> Result<String, Problem> {
    let names = names.map_err(|error| Problem::bad_request(format!("the path is not understood: {error}")))?;
    Ok(names.iter().next().map(|(_, value)| value.to_owned()).unwrap_or_default())
}

/// All of a body, within its limits of size and time.
pub(crate) async fn read_body(headers: &HeaderMap, body: Body) -> Result<Vec<u8>, Problem> {
    let too_large = || {
        let detail = format!("the body is larger than {BODY_BYTES_MAX} bytes: send it in parts");
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", detail)
    };
    let said = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if said.is_some_and(|bytes| bytes > BODY_BYTES_MAX as u64) {
        return Err(too_large());
    }
    let mut stream = body.into_data_stream();
    let mut bytes = Vec::new();
    let read = async {
        while let Some(piece) = stream.next().await {
            let piece = piece.map_err(|error| Problem::bad_request(format!("the body ended early: {error}")))?;
            if bytes.len() + piece.len() > BODY_BYTES_MAX {
                return Err(too_large());
            }
            bytes.extend_from_slice(&piece);
        }
        Ok(())
    };
    let slow = || Problem::new(StatusCode::REQUEST_TIMEOUT, "slow-client", "the body did not come in time");
    tokio::time::timeout(BODY_PATIENCE, read).await.map_err(|_| slow())??;
    Ok(bytes)
}

/// Whether a request's content is JSON.
pub(crate) fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("application/json")
}

/// A JSON body, within its limits.
pub(crate) async fn read_json<I: DeserializeOwned>(headers: &HeaderMap, body: Body) -> Result<I, Problem> {
    let bytes = read_body(headers, body).await?;
    parse(headers, &bytes)
}

fn parse<I: DeserializeOwned>(headers: &HeaderMap, bytes: &[u8]) -> Result<I, Problem> {
    if bytes.is_empty() && !headers.contains_key(header::CONTENT_TYPE) {
        // A request that says nothing says what an empty object says, where that is enough.
        return serde_json::from_slice(b"{}").map_err(|error| Problem::bad_request(format!("no body: {error}")));
    }
    if !is_json(headers) {
        let detail = "only JSON is understood: send it with `Content-Type: application/json`";
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not-json", detail));
    }
    let error = match serde_json::from_slice(bytes) {
        Ok(input) => return Ok(input),
        Err(error) => error,
    };
    // JSON has one kind of number, and some clients write 7 as 7.0.
    let again = serde_json::from_slice(bytes).ok().and_then(|mut value| {
        with_whole_numbers(&mut value);
        serde_json::from_value(value).ok()
    });
    again.ok_or_else(|| Problem::bad_request(format!("the body is not understood: {error}")))
}

/// Writes numbers without a fraction as whole ones, as far as they are exact.
fn with_whole_numbers(value: &mut Value) {
    match value {
        Value::Number(number) => {
            let whole = number.as_f64().filter(|number| number.fract() == 0.0 && number.abs() <= EXACT_MAX);
            if let Some(whole) = whole.filter(|_| number.is_f64()) {
                *value = if whole < 0.0 { Value::from(whole as i64) } else { Value::from(whole as u64) };
            }
        }
        Value::Array(values) => values.iter_mut().for_each(with_whole_numbers),
        Value::Object(fields) => fields.values_mut().for_each(with_whole_numbers),
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::types::{EpisodeRequest, MessagesRequest};

    fn read<I: DeserializeOwned>(body: &str) -> Result<I, Problem> {
        let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))]);
        parse(&headers, body.as_bytes())
    }

    #[test]
    fn a_whole_number_is_one_however_it_is_written() {
        let episode: EpisodeRequest = read(r#"{"situation": "x", "tokens": 1022.0, "cost_usd": 2.0}"#).unwrap();
        assert_eq!((episode.tokens, episode.cost_usd), (Some(1022), Some(2.0)));
        let said: MessagesRequest = read(r#"[{"role": "user", "text": "x", "position": 7.0}]"#).unwrap();
        assert!(matches!(said, MessagesRequest::Many(many) if many[0].position == Some(7)));
        let long: EpisodeRequest = read(r#"{"situation": "x", "duration_ms": 4477684120686170.0}"#).unwrap();
        assert_eq!(long.duration_ms, Some(4_477_684_120_686_170));
        for body in [r#"{"situation": "x", "tokens": 10.5}"#, r#"{"situation": "x", "tokens": -1.0}"#] {
            assert_eq!(read::<EpisodeRequest>(body).unwrap_err().status, 400, "{body}");
        }
    }
}

//! Whether it lives, whether it is ready, its numbers, and its description.

use axum::Json;
use axum::extract::State;
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::on;
use axum::{Extension, body::Bytes};
use harness_memory::Store;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Shared;
use super::api::Api;
use super::grant::Grant;
use super::openapi::Operation;
use super::problem::Problem;
use super::service::Model;
use super::types::IndexView;

/// Behind by so many changes, an index is not ready: what it lacks is still searched, but slowly.
const LAG_READY_MAX: u64 = 10_000;

/// Whether the service is ready, and each of its parts.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Ready {
    pub(crate) ready: bool,
    /// Whether the store answers.
    pub(crate) store: String,
    /// How far each index is behind.
    pub(crate) indexes: Vec<IndexView>,
    /// The embedding model: `none`, or its name.
    pub(crate) model: String,
    /// Why the model cannot be used, where that was seen: then recall answers by text, and the service is not ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) model_error: Option<String>,
}

pub(crate) fn add(mut api: Api) -> Api {
    let ready = api.document.schema::<Ready>();
    let text = |description: &str| json!({ "200": { "description": description, "content": { "text/plain": { "schema": { "type": "string" } } } } });
    let ready = json!({
        "200": { "description": "All is ready.", "content": { "application/json": { "schema": ready } } },
        "503": { "description": "A part is not.", "content": { "application/json": { "schema": ready } } },
    });
    let object = json!({ "200": {
        "description": "This document.", "content": { "application/json": { "schema": { "type": "object" } } },
    } });
    let operation = |id, summary| Operation::new(id, "service", summary);
    api.other(
        Method::GET,
        "/healthz",
        operation("healthz", "Whether the process lives").open(),
        text("It does."),
        |filter| on(filter, async || (StatusCode::OK, "ok\n")),
    )
    .other(
        Method::GET,
        "/readyz",
        operation("readyz", "Whether the store, the indexes and the model are ready"),
        ready,
        |filter| on(filter, readyz),
    )
    .other(
        Method::GET,
        "/metrics",
        operation("metrics", "Numbers in the text format of Prometheus"),
        text("The numbers."),
        |filter| on(filter, metrics),
    )
    .other(Method::GET, "/openapi.json", operation("openapi", "This document"), object, |filter| on(filter, openapi))
}

async fn readyz(State(shared): State<Shared>, Extension(grant): Extension<Grant>) -> Response {
    let asked = shared.service.blocking(|service| {
        let store = service.engine().store().head();
        Ok((store.map_err(|error| error.to_string()), service.indexes(true)?, service.model()))
    });
    let (store, indexes, model) = match asked.await {
        Ok((store, indexes, model)) => (store, indexes, model),
        Err(problem) => (Err(problem.detail), Vec::new(), Model::default()),
    };
    let caught_up = indexes.iter().all(|index| index.lag.is_none_or(|lag| lag <= LAG_READY_MAX));
    let told = |index: IndexView| if grant.is_everything() { index } else { index.without_numbers() };
    let ready = Ready {
        ready: store.is_ok() && caught_up && model.error.is_none(),
        store: store.map_or_else(|error| error, |_| "ok".to_owned()),
        indexes: indexes.into_iter().map(told).collect(),
        model: model.name.unwrap_or_else(|| "none".to_owned()),
        model_error: model.error,
    };
    let status = if ready.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(ready)).into_response()
}

async fn metrics(State(shared): State<Shared>, Extension(grant): Extension<Grant>) -> Response {
    if !grant.is_everything() {
        return Problem::forbidden("scope-not-allowed", "these numbers are about the whole memory").into_response();
    }
    match shared.service.status(&grant).await {
        Ok(status) => {
            let text =
                shared.metrics.text(shared.service.engine().errands_done(), status.store.as_ref(), &status.indexes);
            ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
        }
        Err(problem) => problem.into_response(),
    }
}

async fn openapi(State(shared): State<Shared>) -> Response {
    let document: Bytes = shared.document.clone();
    ([(header::CONTENT_TYPE, "application/json")], document).into_response()
}

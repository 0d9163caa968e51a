//! Errors as RFC 9457 problems with a stable `code`.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use harness_memory::store::Forgotten;
use harness_memory::{RecordId, Scope};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What went wrong, for programs (`code`) and for people (`detail`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Problem {
    /// A name of the kind of problem; it is no address to visit.
    #[serde(rename = "type")]
    pub(crate) kind: Box<str>,
    /// The kind of problem in a few words.
    pub(crate) title: Box<str>,
    /// The HTTP status.
    pub(crate) status: u16,
    /// A stable word for the kind of problem.
    pub(crate) code: Box<str>,
    /// What happened here, and what to do.
    pub(crate) detail: String,
    /// For a forgotten record: until when it can be brought back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) undo_until: Option<Timestamp>,
    /// For a forgotten record: whose it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) scope: Option<Box<Scope>>,
    /// The same once more for the clients of OpenAI, where those ask: they show no other part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<Box<OpenAiError>>,
}

/// An error as OpenAI's clients know it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct OpenAiError {
    /// What happened, and what to do.
    pub(crate) message: String,
    /// `invalid_request_error`, or `server_error` where the request is not to blame.
    #[serde(rename = "type")]
    pub(crate) kind: Box<str>,
    /// The problem's `code`.
    pub(crate) code: Box<str>,
}

/// After how many seconds to try again when the server is busy or stopping.
pub(crate) const RETRY_AFTER_SECONDS: u32 = 1;

impl Problem {
    pub(crate) fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Problem {
        Problem {
            kind: format!("urn:harness:problem:{code}").into(),
            title: status.canonical_reason().unwrap_or("problem").into(),
            status: status.as_u16(),
            code: code.into(),
            detail: detail.into(),
            undo_until: None,
            scope: None,
            error: None,
        }
    }

    /// The request is not understood: wrong JSON, a missing or an unknown field, a value out of its range.
    pub(crate) fn bad_request(detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::BAD_REQUEST, "bad-request", detail)
    }

    /// The request is understood and a rule of the memory forbids it.
    pub(crate) fn refused(detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "refused", detail)
    }

    pub(crate) fn no_record(id: RecordId) -> Problem {
        Problem::new(StatusCode::NOT_FOUND, "no-record", format!("there is no record {id}"))
    }

    pub(crate) fn forgotten(id: RecordId, facts: &Forgotten, scope: Option<Scope>) -> Problem {
        let Forgotten { deleted_at, undo_until } = *facts;
        // Models read this too, who have no way of their own to undo it.
        let detail = format!(
            "record {id} was forgotten at {deleted_at}; until {undo_until} the person can bring it back with \
             `harness forget --undo {id}`"
        );
        Problem {
            undo_until: Some(undo_until),
            scope: scope.map(Box::new),
            ..Problem::new(StatusCode::GONE, "forgotten", detail)
        }
    }

    /// The same of one of a list, which is called so; `None` for what was no list.
    pub(crate) fn of(self, what: Option<&str>, place: usize) -> Problem {
        match what {
            Some(what) => Problem { detail: format!("{what} {}: {}", place + 1, self.detail), ..self },
            None => self,
        }
    }

    /// The request cannot be done to the thing as it is.
    pub(crate) fn conflict(code: &'static str, detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::CONFLICT, code, detail)
    }

    pub(crate) fn forbidden(code: &'static str, detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::FORBIDDEN, code, detail)
    }

    /// The server cannot answer now; another try may succeed.
    pub(crate) fn unavailable(code: &'static str, detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, code, detail)
    }

    /// A failure of ours or of the disk. What is said of it is the chain of causes, which names files and rows and
    /// never a text that was given.
    pub(crate) fn internal(error: &(dyn std::error::Error + 'static)) -> Problem {
        let mut detail = error.to_string();
        let mut cause = error.source();
        while let Some(source) = cause {
            detail.push_str(": ");
            detail.push_str(&source.to_string());
            cause = source.source();
        }
        tracing::error!(detail, "a request failed");
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", detail)
    }

    /// A fault of ours that ended the work with a panic.
    pub(crate) fn panicked(panic: &(dyn std::any::Any + Send)) -> Problem {
        let said = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
        tracing::error!(said, "a request panicked");
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the work ended with a panic: this is a fault")
    }

    /// The same for OpenAI's clients.
    pub(crate) fn for_openai(self) -> Problem {
        let kind = if self.status < 500 { "invalid_request_error" } else { "server_error" };
        let error = OpenAiError { message: self.detail.clone(), kind: kind.into(), code: self.code.clone() };
        Problem { error: Some(Box::new(error)), ..self }
    }

    pub(crate) fn http_status(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.detail, self.code)
    }
}

impl std::error::Error for Problem {}

impl From<harness_memory::Error> for Problem {
    fn from(error: harness_memory::Error) -> Problem {
        use harness_memory::Error;
        match &error {
            Error::Scope { .. } | Error::Id { .. } => Problem::bad_request(error.to_string()),
            Error::Refused { .. } => Problem::refused(error.to_string()),
            Error::NoRecord { id } => Problem::no_record(*id),
            Error::NotAllowed { .. } => Problem::conflict("not-allowed", error.to_string()),
            Error::Damaged { .. } => Problem::conflict("damaged", format!("{error}; `harness doctor` says more")),
            Error::ReadOnlyScope { .. } => Problem::forbidden("read-only-scope", error.to_string()),
            Error::ReadOnly { .. } => Problem::unavailable("read-only", error.to_string()),
            _ => Problem::internal(&error),
        }
    }
}

impl From<harness_recall::Error> for Problem {
    fn from(error: harness_recall::Error) -> Problem {
        match error {
            harness_recall::Error::Store(error) => error.into(),
            harness_recall::Error::EmptyQuery => Problem::bad_request(error.to_string()),
            harness_recall::Error::NoModel | harness_recall::Error::Model { .. } => {
                let hint = "ask for `text`, leave the mode out, or allow_degraded";
                Problem::conflict("no-model", format!("{error}; {hint}"))
            }
            other => Problem::internal(&other),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = self.http_status();
        // A problem holds strings and numbers only, which JSON can always say.
        let body = serde_json::to_vec(&self).unwrap_or_default();
        let kind = (header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        let mut response = (status, [kind], body).into_response();
        response.extensions_mut().insert(self);
        let headers = response.headers_mut();
        match status {
            StatusCode::UNAUTHORIZED => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"harness\""));
            }
            StatusCode::SERVICE_UNAVAILABLE => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from(RETRY_AFTER_SECONDS));
            }
            _ => {}
        }
        response
    }
}

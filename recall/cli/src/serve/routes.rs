//! Which route does what (DESIGN §4, HTTP).

use axum::http::Method;
use harness_memory::Origin;
use harness_memory::{Answer, Context};

use serde_json::Value;

use super::api::{Api, Call, Reply};
use super::openapi::Operation;
use super::problem::Problem;
use super::service::Writer;
use super::types::input::Nothing;
use super::types::{
    Capabilities, ContextRequest, Done, EmbeddingsPage, EmbeddingsRequest, EpisodeRequest, EpisodesQuery,
    ExposureRequest, ForgetRequest, Forgot, HookInput, MessagesPage, MessagesQuery, MessagesRequest, MessagesWritten,
    NoteRequest, OutcomeRequest, PatchRequest, RecallRequest, RecordExposures, RecordQuery, RecordRequest, RecordView,
    RecordsPage, RecordsQuery, SessionsPage, SessionsQuery, Several, StatusView, Versions, Written,
};
use super::{events, health, viewer};

const RECALL: &str = "recall";
const WRITE: &str = "write";
const RECORDS: &str = "records";
const SESSIONS: &str = "sessions";
const RUNS: &str = "runs";
const SERVICE: &str = "service";

/// All routes with their document.
pub(crate) fn api() -> Api {
    let api = service(runs(sessions(records(writes(questions(Api::new()))))));
    health::add(viewer::add(events::add(api)))
}

fn questions(api: Api) -> Api {
    api.body(
        Method::POST,
        "/v1/recall",
        Operation::new("recall", RECALL, "Find records that answer a question, best first").more(
            "Nothing forgotten, expired or outside what the token reads is among the hits. What did not take part is \
             named in `degraded`.",
        ),
        async |call: Call<RecallRequest>| -> Result<Reply<Answer>, Problem> {
            call.shared.service.recall(&call.grant, call.input).await.map(Reply::ok)
        },
    )
    .body(
        Method::POST,
        "/v1/context",
        Operation::new("context", RECALL, "Pack what is worth saying about a task into a budget of tokens")
            .more("The text is empty when nothing is known well enough."),
        async |call: Call<ContextRequest>| -> Result<Reply<Context>, Problem> {
            call.shared.service.context(&call.grant, call.input).await.map(Reply::ok)
        },
    )
}

/// What is said of writes that take a list.
const OF_A_LIST: &str = "Of a list all are stored in one transaction or none is, and a list in its order is answered. \
                         Sent again under the same `Idempotency-Key` it must be the same list.";

/// Who writes with this call.
fn writer<I>(call: &Call<I>, origin: Origin) -> Result<Writer, Problem> {
    Ok(Writer { grant: call.grant.clone(), source: "http", origin, request: call.request()? })
}

fn one(written: Written) -> Reply<Written> {
    Reply::written(written.created, format!("/v1/records/{}", written.id), written)
}

fn several(written: Several<Written>) -> Reply<Several<Written>> {
    match written {
        Several::One(written) => {
            let place = format!("/v1/records/{}", written.id);
            Reply::written(written.created, place, Several::One(written))
        }
        Several::Many(written) => {
            let created = written.iter().any(|one| one.created);
            Reply::written(created, "/v1/records".to_owned(), Several::Many(written))
        }
    }
}

fn writes(api: Api) -> Api {
    api.body(
        Method::POST,
        "/v1/notes",
        Operation::new("writeNote", WRITE, "Remember a statement, or a list of them").more(OF_A_LIST).creates(),
        async |call: Call<Several<NoteRequest>>| -> Result<Reply<Several<Written>>, Problem> {
            let writer = writer(&call, Origin::User)?;
            call.shared.service.write_notes(&writer, call.input).await.map(several)
        },
    )
    .body(
        Method::POST,
        "/v1/episodes",
        Operation::new("writeEpisode", WRITE, "Record what was tried and how it ended, or a list of that")
            .more(OF_A_LIST)
            .creates(),
        async |call: Call<Several<EpisodeRequest>>| -> Result<Reply<Several<Written>>, Problem> {
            let writer = writer(&call, Origin::Agent)?;
            call.shared.service.write_episodes(&writer, call.input).await.map(several)
        },
    )
    .body(
        Method::POST,
        "/v1/records",
        Operation::new("writeRecord", WRITE, "Write a whole record of any kind, with an id of its own if it has one")
            .creates(),
        async |call: Call<RecordRequest>| -> Result<Reply<Written>, Problem> {
            let writer = writer(&call, Origin::Agent)?;
            call.shared.service.write_record(&writer, call.input).await.map(one)
        },
    )
    .body(
        Method::POST,
        "/v1/sessions/{id}/messages",
        Operation::new("writeMessages", WRITE, "Add one message or several to a session, which is made when it is new")
            .more("The body is a message, a list of messages, or an object with `messages` and what is known of the session.")
            .creates(),
        async |call: Call<MessagesRequest>| -> Result<Reply<MessagesWritten>, Problem> {
            let writer = writer(&call, Origin::Agent)?;
            let written = call.shared.service.write_messages(&writer, call.name.clone(), call.input).await?;
            let created = written.messages.iter().any(|message| message.created);
            Ok(Reply::written(created, format!("/v1/sessions/{}/messages", escape(&call.name)), written))
        },
    )
}

/// A name as part of a path.
fn escape(name: &str) -> String {
    let mut path = String::new();
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            path.push(char::from(byte));
        } else {
            path.push_str(&format!("%{byte:02X}"));
        }
    }
    path
}

fn records(api: Api) -> Api {
    api.query(
        Method::GET,
        "/v1/records",
        Operation::new("listRecords", RECORDS, "List records, page by page"),
        async |call: Call<RecordsQuery>| -> Result<Reply<RecordsPage>, Problem> {
            call.shared.service.records(&call.grant, call.input).await.map(Reply::ok)
        },
    )
    .query(
        Method::GET,
        "/v1/records/{id}",
        Operation::new("getRecord", RECORDS, "One record, and for a message those around it")
            .more("One that was forgotten is answered with 410 and until when it can be brought back: `POST /v1/records/{id}/undo`."),
        async |call: Call<RecordQuery>| -> Result<Reply<RecordView>, Problem> {
            call.shared.service.record(&call.grant, &call.name, call.input).await.map(Reply::ok)
        },
    )
    .query(
        Method::GET,
        "/v1/records/{id}/versions",
        Operation::new("listVersions", RECORDS, "What a record said before, and what replaced it"),
        async |call: Call<Nothing>| -> Result<Reply<Versions>, Problem> {
            call.shared.service.versions(&call.grant, call.id().await?).await.map(Reply::ok)
        },
    )
    .query(
        Method::GET,
        "/v1/records/{id}/exposures",
        Operation::new("listExposures", RECORDS, "The runs that a record was given to, and how they ended"),
        async |call: Call<Nothing>| -> Result<Reply<RecordExposures>, Problem> {
            call.shared.service.exposures(&call.grant, call.id().await?).await.map(Reply::ok)
        },
    )
    .body(
        Method::PATCH,
        "/v1/records/{id}",
        Operation::new("changeRecord", RECORDS, "Correct a note, change tags, pin, relabel an outcome")
            .more("A note's new text is a new record that replaces the old one, and is answered.")
            .idempotent(),
        async |call: Call<PatchRequest>| -> Result<Reply<RecordView>, Problem> {
            let (id, writer) = (call.id().await?, writer(&call, Origin::User)?);
            call.shared.service.change(&writer, id, call.input).await.map(Reply::ok)
        },
    )
    .query(
        Method::DELETE,
        "/v1/records/{id}",
        Operation::new("forgetRecord", RECORDS, "Forget a record: it is gone from every answer at once").more(
            "It can be brought back until `undo_until`. One that was forgotten before stays so: `forgotten` is 0.",
        ),
        async |call: Call<Nothing>| -> Result<Reply<Forgot>, Problem> {
            call.shared.service.forget_one(&call.grant, call.id().await?).await.map(Reply::ok)
        },
    )
    .body(
        Method::POST,
        "/v1/records/{id}/undo",
        Operation::new("undoForget", RECORDS, "Bring a forgotten record back"),
        async |call: Call<Nothing>| -> Result<Reply<RecordView>, Problem> {
            call.shared.service.undo(&call.grant, call.id().await?).await.map(Reply::ok)
        },
    )
    .body(
        Method::POST,
        "/v1/forget",
        Operation::new("forgetRecords", RECORDS, "Forget several records, all or none").more(
            "Those that were forgotten before stay so: `undo_until` is then the earliest time until which all can be \
             brought back.",
        ),
        async |call: Call<ForgetRequest>| -> Result<Reply<Forgot>, Problem> {
            call.shared.service.forget(&call.grant, call.input).await.map(Reply::ok)
        },
    )
    .query(
        Method::GET,
        "/v1/episodes",
        Operation::new("listEpisodes", RECORDS, "List episodes, the last added first"),
        async |call: Call<EpisodesQuery>| -> Result<Reply<RecordsPage>, Problem> {
            call.shared.service.episodes(&call.grant, call.input).await.map(Reply::ok)
        },
    )
}

fn sessions(api: Api) -> Api {
    api.query(
        Method::GET,
        "/v1/sessions",
        Operation::new("listSessions", SESSIONS, "List sessions, those that went on last first"),
        async |call: Call<SessionsQuery>| -> Result<Reply<SessionsPage>, Problem> {
            call.shared.service.sessions(&call.grant, call.input).await.map(Reply::ok)
        },
    )
    .query(
        Method::GET,
        "/v1/sessions/{id}/messages",
        Operation::new("listMessages", SESSIONS, "List the messages of a session, in the order they were added"),
        async |call: Call<MessagesQuery>| -> Result<Reply<MessagesPage>, Problem> {
            call.shared.service.messages(&call.grant, call.name, call.input).await.map(Reply::ok)
        },
    )
}

fn runs(api: Api) -> Api {
    api.body(
        Method::POST,
        "/v1/exposures",
        Operation::new("noteExposure", RUNS, "Note that records were given to a run"),
        async |call: Call<ExposureRequest>| -> Result<Reply<Done>, Problem> {
            call.shared.service.expose(&call.grant, call.input).await.map(Reply::ok)
        },
    )
    .body(
        Method::POST,
        "/v1/runs/{id}/outcome",
        Operation::new("noteOutcome", RUNS, "Note how a run ended; saying it again replaces what was said"),
        async |call: Call<OutcomeRequest>| -> Result<Reply<Done>, Problem> {
            call.shared.service.credit(&call.grant, call.name, call.input).await.map(Reply::ok)
        },
    )
}

fn service(api: Api) -> Api {
    api.body(
        Method::POST,
        "/v1/hooks/{tool}",
        Operation::new("hook", SERVICE, "Answer the hook of a coding tool: its JSON in, ours out")
            .more("An empty object says nothing to the tool. For the token for everything alone."),
        async |call: Call<HookInput>| -> Result<Reply<Value>, Problem> {
            call.shared.service.hook(&call.grant, &call.name, Value::Object(call.input.0)).await.map(Reply::ok)
        },
    )
    .body(
        Method::POST,
        "/v1/embeddings",
        Operation::new("embeddings", SERVICE, "Embed texts with the model that recall uses, in OpenAI's form"),
        async |call: Call<EmbeddingsRequest>| -> Result<Reply<EmbeddingsPage>, Problem> {
            call.shared.service.embeddings(call.input).await.map(Reply::ok)
        },
    )
    .query(
        Method::GET,
        "/v1/status",
        Operation::new("status", SERVICE, "What there is, and whether it is well"),
        async |call: Call<Nothing>| -> Result<Reply<StatusView>, Problem> {
            call.shared.service.status(&call.grant).await.map(Reply::ok)
        },
    )
    .query(
        Method::GET,
        "/v1/capabilities",
        Operation::new("capabilities", SERVICE, "What this installation can do, and what this token may"),
        async |call: Call<Nothing>| -> Result<Reply<Capabilities>, Problem> {
            call.shared.service.capabilities(&call.grant).await.map(Reply::ok)
        },
    )
}

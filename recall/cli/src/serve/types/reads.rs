//! Questions and their answers.

use std::collections::BTreeMap;

use harness_memory::scope::Readable;
use harness_memory::store::SessionEntry;
use harness_memory::{Kind, Mode, Outcome, Record, RecordId};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::input::{Limit, Parsed};
use crate::serve::cursor::Cursor;
use crate::when::Present;

/// The most entries of one page: more is the next page.
pub(crate) const PAGE_MAX: u32 = 500;

/// How many entries a page has when nobody says.
pub(crate) const PAGE_DEFAULT: u32 = 50;

/// The greatest budget of a context, in tokens: a whole window of today's largest models is more than helps.
pub(crate) const BUDGET_TOKENS_MAX: u32 = 100_000;

/// The budget of a context when nobody says.
pub(crate) const BUDGET_TOKENS_DEFAULT: u32 = 800;

/// The most messages to each side of one that is shown.
pub(crate) const AROUND_MAX: u32 = 100;

pub(crate) type Page = Limit<PAGE_MAX, PAGE_DEFAULT>;

/// What is asked of recall.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RecallRequest {
    /// The question, in any language. `"exact phrase"` and `-word` are understood, all else is text.
    #[schemars(length(min = 1), extend("pattern" = "\\S"))]
    pub(crate) query: String,
    /// The most hits to answer.
    #[serde(default)]
    pub(crate) limit: Limit<1000, 10>,
    /// Only these scopes, as far as the token may read them; none means all that it may.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) scopes: Vec<Parsed<Readable>>,
    /// Only these kinds; none means all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) kinds: Vec<Kind>,
    /// Only records of this session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) session: Option<String>,
    /// No record of this session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) without_session: Option<String>,
    /// Only records created at or after this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) since: Option<Parsed<Timestamp>>,
    /// Only records created before this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) until: Option<Parsed<Timestamp>>,
    /// The present, for ages, expiry and days that the text names, which begin at midnight at its offset; the server's
    /// clock and time zone when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) now: Option<Parsed<Present>>,
    /// Which arms take part. A mode that is asked for by name and not to be had is an error (`no-model`), unless
    /// `allow_degraded` is true; when left out, all that there is takes part, and `degraded` says what did not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) mode: Option<Mode>,
    /// Answer with what there is where the mode that was asked for is not to be had.
    #[serde(default)]
    pub(crate) allow_degraded: bool,
    /// Whether each hit says why it is there; `why` is empty otherwise.
    #[serde(default = "yes")]
    #[schemars(default = "yes")]
    pub(crate) explain: bool,
    /// Rank sessions and not records: hits come session by session, the best first, with at most three of one. `limit`
    /// counts hits; a record without a session stands as one of its own, and `kinds` leaves such out.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) by_session: bool,
    /// Leave out the hits from the first one on whose text no longer fits into this many tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) budget_tokens: Option<Limit<BUDGET_TOKENS_MAX, BUDGET_TOKENS_DEFAULT>>,
}

fn yes() -> bool {
    true
}

impl RecallRequest {
    /// A question with everything else as it is when nobody says.
    pub(crate) fn new(query: impl Into<String>) -> RecallRequest {
        RecallRequest {
            query: query.into(),
            limit: Limit::default(),
            scopes: Vec::new(),
            kinds: Vec::new(),
            session: None,
            without_session: None,
            since: None,
            until: None,
            now: None,
            mode: None,
            allow_degraded: false,
            explain: true,
            by_session: false,
            budget_tokens: None,
        }
    }
}

/// What a context is asked for.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ContextRequest {
    /// The task, in the words it was asked in.
    #[schemars(length(min = 1), extend("pattern" = "\\S"))]
    pub(crate) task: String,
    /// How many tokens the block may take at most.
    #[serde(default)]
    pub(crate) budget_tokens: Limit<BUDGET_TOKENS_MAX, BUDGET_TOKENS_DEFAULT>,
    /// Only these scopes, as far as the token may read them; none means all that it may.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) scopes: Vec<Parsed<Readable>>,
    /// The session that asks: its own records are left out, since it has them in front of it already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) without_session: Option<String>,
    /// Only these kinds; none means all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) kinds: Vec<Kind>,
    /// Only records created at or after this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) since: Option<Parsed<Timestamp>>,
    /// Only records created before this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) until: Option<Parsed<Timestamp>>,
    /// The present, for ages, expiry and days that the text names, which begin at midnight at its offset; the server's
    /// clock and time zone when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) now: Option<Parsed<Present>>,
}

/// Which records to list.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RecordsQuery {
    /// The most records of this page.
    #[serde(default)]
    pub(crate) limit: Page,
    /// Where to go on: `next` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) cursor: Option<Cursor>,
    /// Only these kinds; none means all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) kind: Vec<Kind>,
    /// Only these scopes; none means all that the token may read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) scope: Vec<Parsed<Readable>>,
    /// Only records of this session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) session: Option<String>,
    /// Only records that came in by this tool or way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) source: Option<String>,
    /// Only records created at or after this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) since: Option<Parsed<Timestamp>>,
    /// Only records created before this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) until: Option<Parsed<Timestamp>>,
    /// Last added first, or first added first.
    #[serde(default)]
    pub(crate) order: Order,
}

/// The order of a listing, by when records were added.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Order {
    #[default]
    Newest,
    Oldest,
}

/// A page of records.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub(crate) struct RecordsPage {
    pub(crate) records: Vec<Record>,
    /// Where the next page begins; left out on the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) next: Option<Cursor>,
    /// Rows of this page that are damaged; `harness doctor` says more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) damaged: Vec<String>,
}

/// Which episodes to list.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct EpisodesQuery {
    /// The most episodes of this page.
    #[serde(default)]
    pub(crate) limit: Page,
    /// Where to go on: `next` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) cursor: Option<Cursor>,
    /// Only these scopes; none means all that the token may read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) scope: Vec<Parsed<Readable>>,
    /// Only episodes that ended so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) outcome: Option<Outcome>,
    /// Only episodes of this session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) session: Option<String>,
}

/// How to show one record.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RecordQuery {
    /// For a message: also this many messages before and after it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) context: Option<Limit<AROUND_MAX, 1>>,
    /// Only a record of these scopes; none means all that the token may read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) scope: Vec<Parsed<Readable>>,
}

/// A record with what stands beside it.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct RecordView {
    #[serde(flatten)]
    pub(crate) record: Record,
    /// The record that supersedes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) replaced_by: Option<RecordId>,
    /// The messages before it, in order, where they were asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) before: Option<Vec<Record>>,
    /// The messages after it, in order, where they were asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) after: Option<Vec<Record>>,
}

/// A record's versions.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Versions {
    /// Each replaces the one before it; the last one is current. Forgotten ones are left out.
    pub(crate) versions: Vec<Record>,
}

/// The runs that a record was given to.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub(crate) struct RecordExposures {
    /// The last one first.
    pub(crate) exposures: Vec<RecordExposure>,
}

/// One run that a record was given to.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct RecordExposure {
    /// What the caller named the run; empty for a run of others, unless all is open to the token.
    pub(crate) run: String,
    /// When the run was first given something.
    pub(crate) at: Timestamp,
    /// What recall was asked; empty for a run of others.
    pub(crate) query: String,
    /// How the run ended; left out while nobody has said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) outcome: Option<Outcome>,
    /// What says so; left out for a run of others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
}

/// Which sessions to list.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SessionsQuery {
    /// The most sessions of this page.
    #[serde(default)]
    pub(crate) limit: Page,
    /// Where to go on: `next` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) cursor: Option<Cursor>,
    /// Only these scopes; none means all that the token may read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) scope: Vec<Parsed<Readable>>,
    /// Only sessions that went on at or after this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) since: Option<Parsed<Timestamp>>,
    /// Only sessions that began before this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) until: Option<Parsed<Timestamp>>,
}

/// A page of sessions, those that went on last first.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub(crate) struct SessionsPage {
    pub(crate) sessions: Vec<SessionEntry>,
    /// Where the next page begins; left out on the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) next: Option<Cursor>,
}

/// Which messages of a session to list.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MessagesQuery {
    /// The most messages of this page.
    #[serde(default)]
    pub(crate) limit: Page,
    /// Where to go on: `next` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) cursor: Option<Cursor>,
    /// The tool whose session it is, where two tools call theirs the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) source: Option<String>,
    /// Only a session of these scopes, where two scopes have one of the same name; none means all that the token may
    /// read, the token's own scope before the others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) scope: Vec<Parsed<Readable>>,
}

/// A page of a session's messages, in the order they were added.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct MessagesPage {
    pub(crate) session: SessionEntry,
    pub(crate) messages: Vec<Record>,
    /// Where the next page begins; left out on the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) next: Option<Cursor>,
}

/// What there is.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct StatusView {
    /// The program's version.
    pub(crate) version: String,
    /// The person's scope, where writes go that name none.
    pub(crate) user: String,
    /// Numbers about the store; left out for a token that may not read everything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) store: Option<StoreView>,
    /// The indexes and how far they are.
    pub(crate) indexes: Vec<IndexView>,
    /// The process that indexes at the moment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) follower: Option<u32>,
    /// The embedding model, where there is one.
    pub(crate) model: Option<String>,
    /// Why the model cannot be used, where that was seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) model_error: Option<String>,
    /// For how many seconds this process has served; left out where none serves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) uptime_seconds: Option<u64>,
}

/// Numbers about the store.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct StoreView {
    /// Live records by kind.
    pub(crate) records: BTreeMap<String, u64>,
    /// Forgotten records that can still be brought back.
    pub(crate) forgotten: u64,
    pub(crate) sessions: u64,
    /// The number of the last change.
    pub(crate) seq: u64,
    /// Bytes on the disk.
    pub(crate) bytes: u64,
}

/// What an index says of itself.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct IndexView {
    pub(crate) name: String,
    /// How many changes it is behind the store. What it lacks is searched too. Like the other numbers it is left out for a
    /// token that may not read everything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) lag: Option<u64>,
    /// How many live documents it holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) documents: Option<u64>,
    /// Its size on the disk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) bytes: Option<u64>,
    /// `current`, `behind`, `missing`, or `rebuild: …` with the reason.
    pub(crate) state: String,
}

impl IndexView {
    /// The same for who may not read everything.
    pub(crate) fn without_numbers(self) -> IndexView {
        IndexView { lag: None, documents: None, bytes: None, ..self }
    }
}

/// What this installation can do.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Capabilities {
    /// The version of this interface.
    pub(crate) api: u32,
    /// The program's version.
    pub(crate) version: String,
    /// The modes of recall that can be asked for by name.
    pub(crate) modes: Vec<Mode>,
    /// The embedding model, where there is one.
    pub(crate) model: Option<String>,
    /// Why the model cannot be used, where that was seen: then the modes that need it are not among `modes`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) model_error: Option<String>,
    /// Languages in which text is taken apart by more than its characters; others are searched too.
    pub(crate) languages: Vec<String>,
    /// The tools whose hooks are understood.
    pub(crate) hooks: Vec<String>,
    /// Protocol revisions spoken at `/mcp`.
    pub(crate) mcp: Vec<String>,
    /// What this token may do.
    pub(crate) token: TokenRights,
    pub(crate) limits: Limits,
}

/// What a token may do.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct TokenRights {
    /// What it reads.
    pub(crate) reads: Vec<String>,
    /// Where it writes; none for one that only reads.
    pub(crate) writes: Vec<String>,
    /// Where it writes when a request names no scope.
    pub(crate) scope: String,
}

/// The greatest of everything.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Limits {
    pub(crate) body_bytes: u64,
    pub(crate) text_bytes: u64,
    pub(crate) query_bytes: u64,
    pub(crate) hits: u64,
    pub(crate) page: u64,
    pub(crate) messages: u64,
    pub(crate) tags: u64,
    pub(crate) budget_tokens: u64,
    pub(crate) requests_at_once: u64,
    pub(crate) undo_days: u64,
}

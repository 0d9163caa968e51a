//! The handle that an agent holds: queries, answers, and the [`Memory`] trait.

pub mod contract;

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::id::RecordId;
use crate::record::{Kind, Origin, Outcome, Record, Role, ToolUse, Trust};
use crate::scope::{ReadSet, Scope};
use crate::store::{Exposure, Lookup};

/// The longest query, in bytes, of which all is used: a long paragraph. More is cut, and the answer says so.
pub const QUERY_BYTES_MAX: usize = 8 * 1024;

/// The most hits of one answer.
pub const HITS_MAX: usize = 1_000;

/// Where sessions are ranked, so many hits of one say what it is found for.
pub const HITS_OF_SESSION_MAX: usize = 3;

/// A future that a trait object can return.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Which arms of recall take part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Text and meaning, each as far as it has something to say.
    #[default]
    Hybrid,
    /// Full text alone.
    Text,
    /// Meaning alone.
    Vector,
}

impl std::str::FromStr for Mode {
    type Err = String;

    fn from_str(word: &str) -> Result<Mode, String> {
        match word {
            "hybrid" => Ok(Mode::Hybrid),
            "text" => Ok(Mode::Text),
            "vector" => Ok(Mode::Vector),
            other => Err(format!("{other:?} is none of: hybrid, text, vector")),
        }
    }
}

impl std::fmt::Display for Mode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Mode::Hybrid => "hybrid",
            Mode::Text => "text",
            Mode::Vector => "vector",
        })
    }
}

/// What is asked of recall.
#[derive(Clone, Debug)]
pub struct Query {
    /// The question, in any language. `"exact phrase"` and `-word` are understood, all else is text.
    pub text: String,
    /// The most hits to answer, at most [`HITS_MAX`].
    pub limit: usize,
    /// Narrows what the handle may read to these scopes; `None` leaves it as it is.
    pub scopes: Option<ReadSet>,
    /// Only these kinds; empty means all.
    pub kinds: Vec<Kind>,
    /// Only records of this session.
    pub session: Option<String>,
    /// No record of this session: what a session that goes on has said is in front of it already.
    pub without_session: Option<String>,
    /// Only records created at or after this time.
    pub since: Option<Timestamp>,
    /// Only records created before this time.
    pub until: Option<Timestamp>,
    /// Which arms take part.
    pub mode: Mode,
    /// The present, for priors and expiry; `None` is the system's clock.
    pub now: Option<Timestamp>,
    /// Where whoever asks is: the days that the text names, such as `yesterday`, begin at midnight there. UTC unless said.
    pub time_zone: TimeZone,
    /// Whether signs in the text are text like everything else: a task that quotes does so for its own reasons.
    pub plain: bool,
    /// Whether sessions are ranked and not records: the hits then come session by session, the best first, of each its
    /// best hits, at most [`HITS_OF_SESSION_MAX`]. A record without a session stands for itself.
    pub by_session: bool,
}

impl Query {
    /// A query of this text with ten hits, over all that the handle may read.
    pub fn new(text: impl Into<String>) -> Query {
        Query {
            text: text.into(),
            limit: 10,
            scopes: None,
            kinds: Vec::new(),
            session: None,
            without_session: None,
            since: None,
            until: None,
            mode: Mode::default(),
            now: None,
            time_zone: TimeZone::UTC,
            plain: false,
            by_session: false,
        }
    }
}

/// What recall answers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Answer {
    /// The hits, best first.
    pub hits: Vec<Hit>,
    /// How sure recall is that the first hits answer the query, 0 to 1.
    pub confidence: f32,
    /// How many changes each index is behind the store. What it lacks was searched too, unless `degraded` says otherwise.
    pub lag: BTreeMap<String, u64>,
    /// What did not take part in this answer, and what to do about it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub degraded: Vec<Degraded>,
}

/// A part of recall that did not take part fully.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Degraded {
    /// Which arm or part: `text`, `vector`, `store`, `query`.
    pub arm: String,
    /// A stable word for the reason.
    pub code: String,
    /// What happened and what to do, in a sentence.
    pub hint: String,
}

/// One record in an answer. Fields that its kind lacks are left out of the JSON.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Hit {
    /// The record.
    pub id: RecordId,
    /// What it is.
    pub kind: Kind,
    /// How well it fits, 0 to 1; comparable within one answer only.
    pub score: f32,
    /// The record's text: a message's or note's text, an episode's situation.
    pub text: String,
    /// The best passage: a byte range of `text`, on character boundaries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passage: Option<Span>,
    /// The best passage on one line, with what matched. Where `text` has nothing of the question, it may be of another part
    /// of the record: what was said later in an episode, or what a turn calls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snippet: Option<Snippet>,
    /// Whose turn it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// Who spoke, by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub speaker: Option<String>,
    /// Whose record it is.
    pub scope: Scope,
    /// The session it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// By which tool or way it came in.
    pub source: String,
    /// Who said it.
    pub origin: Origin,
    /// How far it may be believed.
    pub trust: Trust,
    /// When.
    pub created_at: Timestamp,
    /// Its tags.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Whether it is pinned.
    #[serde(default, skip_serializing_if = "is_false")]
    pub pinned: bool,
    /// The record that it supersedes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<RecordId>,
    /// The record that supersedes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaced_by: Option<RecordId>,
    /// How many further records say the same and were folded into this hit.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub copies: u32,
    /// An episode's outcome.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// What says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What an episode teaches, where somebody said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lesson: Option<String>,
    /// An episode's tools, in order; of a turn, which tools it calls, each with the beginning of what it gives them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<ToolUse>,
    /// What each arm said, by its name.
    pub why: BTreeMap<String, Why>,
}

impl Hit {
    /// An episode's tools in order, each with how many times it was used in a row.
    pub fn tool_course(&self) -> Vec<(&str, usize)> {
        let runs = self.tools.chunk_by(|one, next| one.tool == next.tool);
        runs.map(|run| (run[0].tool.as_str(), run.len())).collect()
    }
}

fn is_false(value: &bool) -> bool {
    !value
}

fn is_zero(value: &u32) -> bool {
    *value == 0
}

/// A byte range of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Span {
    /// The first byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
}

/// A short piece of a record's text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Snippet {
    /// The piece, line breaks and runs of blanks folded, with `…` where it was cut.
    pub text: String,
    /// Byte ranges of `text` that matched, in order, not overlapping.
    pub highlights: Vec<Span>,
}

/// What one arm said about a hit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Why {
    /// The arm's own score.
    pub score: f32,
    /// How much that counted.
    pub weight: f32,
    /// The reason in words a person follows, such as which words matched.
    pub words: String,
}

/// What a context is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContextQuery {
    /// The task, in the words it was asked in.
    pub task: String,
    /// How many tokens the block may take at most.
    pub budget_tokens: usize,
    /// The session that asks, whose own records are left out: it has them in front of it already.
    pub without_session: Option<String>,
    /// Only these kinds; empty means all.
    pub kinds: Vec<Kind>,
    /// Only records created at or after this time.
    pub since: Option<Timestamp>,
    /// Only records created before this time.
    pub until: Option<Timestamp>,
    /// The present, for ages, expiry and days that the task names; the clock when `None`. With it, the same records
    /// give the same bytes.
    pub now: Option<Timestamp>,
    /// Where whoever asks is: days that the task names begin at midnight there. UTC unless said.
    pub time_zone: TimeZone,
}

impl ContextQuery {
    /// What is worth saying about a task in so many tokens, whoever said it.
    pub fn new(task: impl Into<String>, budget_tokens: usize) -> ContextQuery {
        ContextQuery {
            task: task.into(),
            budget_tokens,
            without_session: None,
            kinds: Vec::new(),
            since: None,
            until: None,
            now: None,
            time_zone: TimeZone::UTC,
        }
    }
}

/// The packed block for a prompt.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Context {
    /// The block with its marker; empty when there is nothing worth saying.
    pub text: String,
    /// The records in it, best first.
    pub records: Vec<RecordId>,
    /// How many tokens it takes at most.
    pub tokens: usize,
    /// How sure recall is that it helps, 0 to 1.
    pub confidence: f32,
    /// What did not take part, and what to do about it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub degraded: Vec<Degraded>,
}

/// A memory bound to what it may read and where it may write.
///
/// The edge of the core: the work itself blocks and runs on threads meant for that.
/// Every implementation passes [`contract::check`].
pub trait Memory: Send + Sync {
    /// The hits for a query, best first. Nothing forgotten, expired or outside the read set is among them.
    fn recall(&self, query: Query) -> BoxFuture<'_, Result<Answer>>;

    /// What is worth saying about a task, packed into its budget. Nothing of the session that asks is in it.
    fn context(&self, query: ContextQuery) -> BoxFuture<'_, Result<Context>>;

    /// Remembers a record and answers its id when that is durable, or the id of the record of the same
    /// provenance that is there already. The record's scope must be the handle's write scope or inside it.
    fn write(&self, record: Record) -> BoxFuture<'_, Result<RecordId>>;

    /// One record. One outside the read set is answered as missing.
    fn get(&self, id: RecordId) -> BoxFuture<'_, Result<Lookup>>;

    /// Forgets records of the write scope, which can be undone for a while; answers how many were live.
    fn forget(&self, ids: Vec<RecordId>) -> BoxFuture<'_, Result<usize>>;

    /// Notes that records were given to a run.
    fn expose(&self, exposure: Exposure) -> BoxFuture<'_, Result<()>>;

    /// Notes how a run ended.
    fn credit(&self, run: String, outcome: Outcome, reason: Option<String>) -> BoxFuture<'_, Result<()>>;
}

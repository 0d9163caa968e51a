//! The contract of the ground state.

pub mod contract;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::change::{Change, Position, Seq};
use crate::error::Result;
use crate::id::{IdPrefix, RecordId};
use crate::import::Cursor;
use crate::intake::Admitted;
use crate::record::{Kind, Outcome, Record, Trust};
use crate::scope::{ReadSet, Scope};
use crate::session::Session;

/// The most records of one `put`: a transaction this size takes well under a second.
pub const PUT_RECORDS_MAX: usize = 1_000;

/// The most rows of one read: keeps every read transaction under a second.
pub const READ_ROWS_MAX: usize = 10_000;

/// The number of a record within its store. It never leaves the store and its indexes.
///
/// Numbers grow in the order records were added and are never given out twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Row(pub i64);

/// A record as the store holds it.
#[derive(Clone, Debug, PartialEq)]
pub struct Stored {
    /// Its number in the store.
    pub row: Row,
    /// The record.
    pub record: Record,
    /// When it was forgotten, if it was; it can be brought back until `undo_until`.
    pub forgotten: Option<Forgotten>,
    /// The record whose words it repeats exactly, where the store keeps them once: records of one such row, and the
    /// record of that row, say the same.
    pub repeats: Option<Row>,
}

/// When a record was forgotten, and until when that can be undone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Forgotten {
    /// When it was forgotten.
    pub deleted_at: Timestamp,
    /// From then on it is gone for good.
    pub undo_until: Timestamp,
}

/// What a store answers when it is asked for one record.
#[derive(Clone, Debug)]
pub enum Lookup {
    /// Here it is.
    Found(Box<Stored>),
    /// It was forgotten; its text is not given out.
    Forgotten(Forgotten),
    /// There is no such record. Where an index names it, that is damage.
    Missing,
    /// Its row does not fit its checksum, or does not decode.
    Damaged {
        /// The row.
        row: Row,
        /// The id, where it could be read.
        id: Option<RecordId>,
        /// What does not fit.
        reason: String,
    },
}

impl Lookup {
    /// The record, if it was found.
    pub fn found(self) -> Option<Stored> {
        match self {
            Lookup::Found(stored) => Some(*stored),
            _ => None,
        }
    }
}

/// What became of a record that was put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    /// It was added under its own id.
    Added(RecordId),
    /// A record of the same provenance is there already: this is its id, and nothing was added.
    Known(RecordId),
    /// The same, but it was forgotten: by a person, or when another took its place.
    Forgotten(RecordId),
}

impl Put {
    /// The id under which the record can be found.
    pub fn id(self) -> RecordId {
        match self {
            Put::Added(id) | Put::Known(id) | Put::Forgotten(id) => id,
        }
    }

    /// Whether it was added by this call.
    pub fn is_new(self) -> bool {
        matches!(self, Put::Added(_))
    }
}

/// What may change of a record after it was written. `None` leaves a field as it is.
#[derive(Clone, Debug, Default)]
pub struct Patch {
    /// Replaces all tags.
    pub tags: Option<Vec<String>>,
    /// Pins or unpins it.
    pub pinned: Option<bool>,
    /// Sets how far it may be believed.
    pub trust: Option<Trust>,
    /// Sets from when on it is no longer recalled; `Some(None)` removes the limit.
    pub expires_at: Option<Option<Timestamp>>,
    /// For an episode: how it ended, and what says so.
    pub outcome: Option<(Outcome, Option<String>)>,
    /// The scope that whoever changes it is bound to: an outcome is said of that caller's own run alone.
    pub bound: Option<Scope>,
}

/// Which records to list. The default is all that are not forgotten.
#[derive(Clone, Debug)]
pub struct Filter {
    /// Only what may be read under this set.
    pub scopes: ReadSet,
    /// Only these kinds; empty means all.
    pub kinds: Vec<Kind>,
    /// Only records of this session.
    pub session: Option<String>,
    /// Only records that came in by this tool or way.
    pub source: Option<String>,
    /// Only records created at or after this time.
    pub since: Option<Timestamp>,
    /// Only records created before this time.
    pub until: Option<Timestamp>,
    /// Also records that were forgotten and can still be brought back.
    pub with_forgotten: bool,
    /// Only records past this one, in the listing's order.
    pub after: Option<Row>,
    /// In which order they come.
    pub order: Order,
    /// The most records to answer, at most [`READ_ROWS_MAX`].
    pub limit: usize,
}

impl Default for Filter {
    fn default() -> Filter {
        Filter {
            scopes: ReadSet::everything(),
            kinds: Vec::new(),
            session: None,
            source: None,
            since: None,
            until: None,
            with_forgotten: false,
            after: None,
            order: Order::Oldest,
            limit: READ_ROWS_MAX,
        }
    }
}

/// The order of a listing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// First added first.
    Oldest,
    /// Last added first.
    Newest,
    /// Messages by their place in their session, those of one place first added first. What has no place is left out.
    Place,
}

/// A part of the change log, in order.
#[derive(Clone, Debug)]
pub struct Changes {
    /// The changes after the position that was asked for, without a gap.
    pub changes: Vec<Change>,
    /// Where the log ended when this was read.
    pub head: Position,
}

/// Numbers about a store.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Counts {
    /// Live records by kind, in the order of [`Kind::ALL`].
    pub records: Vec<(Kind, u64)>,
    /// Forgotten records that can still be brought back.
    pub forgotten: u64,
    /// Sessions.
    pub sessions: u64,
    /// Where the log ends.
    pub seq: Seq,
    /// Bytes of the database and its log on the disk.
    pub bytes: u64,
}

/// The rows around a message in its session.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Beside {
    /// What came before it, the nearest first.
    pub before: Vec<Row>,
    /// What came after it, the nearest first.
    pub after: Vec<Row>,
}

/// A session with how much of it there is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SessionEntry {
    /// What is known of it.
    #[serde(flatten)]
    pub session: Session,
    /// How many live messages it has.
    pub messages: u64,
}

/// One thing that a check found wrong.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Finding {
    /// A stable word for the kind of finding, such as `row-damaged`.
    pub code: &'static str,
    /// What is wrong, naming the thing.
    pub what: String,
    /// What to do about it.
    pub hint: String,
}

/// The ground state: records and the log of their changes.
///
/// A change and its log entry are durable together when a call returns, or not at all.
/// Calls block. All implementations pass [`contract::check`].
pub trait Store: Send + Sync {
    /// Where the log ends.
    fn head(&self) -> Result<Position>;

    /// The position that this store has at `seq`: `None` where the log does not reach, or was folded.
    fn position_at(&self, seq: Seq) -> Result<Option<Position>>;

    /// At most `limit` changes after `after`, oldest first. Where the log no longer begins so early it is
    /// [`Error::Folded`](crate::Error::Folded): whoever asks must begin anew from the records.
    fn changes(&self, after: Seq, limit: usize) -> Result<Changes>;

    /// Adds records in order, all or none, and answers one [`Put`] for each.
    ///
    /// A record whose provenance (scope, source, session, key) is known is not added; this holds
    /// for one that was forgotten too, so that importing again does not bring it back.
    ///
    /// An episode whose outcome is known says how the run of its session's name ended, where that was given something.
    fn put(&self, records: Vec<Admitted>) -> Result<Vec<Put>>;

    /// One answer for each id, in order.
    fn get(&self, ids: &[RecordId]) -> Result<Vec<Lookup>>;

    /// One answer for each row, in order.
    fn get_rows(&self, rows: &[Row]) -> Result<Vec<Lookup>>;

    /// The ids that start so, at most `limit`, in order of the ids.
    fn find(&self, prefix: IdPrefix, limit: usize) -> Result<Vec<RecordId>>;

    /// The records that this filter lets through. A damaged row is answered as such.
    fn list(&self, filter: &Filter) -> Result<Vec<Lookup>>;

    /// The newest record that says it replaces one of these, for each of them.
    fn replaced_by(&self, ids: &[RecordId]) -> Result<Vec<Option<RecordId>>>;

    /// Changes what may change of a record.
    fn update(&self, id: RecordId, patch: Patch) -> Result<()>;

    /// Forgets records: they are gone from every answer at once, and can be brought back until
    /// `undo_until`. Answers how many were live before. Unknown ids are an error, and nothing is done.
    fn forget(&self, ids: &[RecordId], undo_until: Timestamp) -> Result<usize>;

    /// Brings a forgotten record back.
    fn undo_forget(&self, id: RecordId) -> Result<()>;

    /// Removes the text of what was forgotten and whose time to undo has passed, or that expired,
    /// before `now`. Answers how many records it removed.
    fn purge(&self, now: Timestamp) -> Result<usize>;

    /// Removes the beginning of the log: changes that are covered by `applied`, the position that every index has
    /// passed, and older than a week. Answers how many. Who asks for changes before them is answered
    /// [`Error::Folded`](crate::Error::Folded).
    fn fold(&self, _applied: &Position, _now: Timestamp) -> Result<u64> {
        Ok(0)
    }

    /// Adds a session or what is newly known of it, by its source and id.
    fn put_session(&self, session: Session) -> Result<()>;

    /// [`Store::put_session`] for many, in order.
    fn put_sessions(&self, sessions: Vec<Session>) -> Result<()> {
        sessions.into_iter().try_for_each(|session| self.put_session(session))
    }

    /// The sessions within a read set, newest first, at most `limit`.
    fn sessions(&self, scopes: &ReadSet, limit: usize) -> Result<Vec<SessionEntry>>;

    /// The sessions whose id starts so.
    fn find_sessions(&self, prefix: &str, limit: usize) -> Result<Vec<SessionEntry>>;

    /// The sessions of exactly this source and id, one for each scope that has one: also those whose records were forgotten.
    fn sessions_named(&self, source: &str, id: &str) -> Result<Vec<Session>>;

    /// The live messages of the same session around a message, in order and without it: at most
    /// `before` that came before it and `after` that came after. Empty for a record without a session.
    fn neighbours(&self, row: Row, before: usize, after: usize) -> Result<Vec<Lookup>>;

    /// Which live messages stand beside each of these in its session, one answer for each row, in order: rows
    /// alone, at most `reach` on each side. Nothing for a row without a session, or that is not there.
    ///
    /// For ranking, which asks this of all candidates at once: it reads the session's index and no record.
    fn beside(&self, rows: &[Row], reach: usize) -> Result<Vec<Beside>>;

    /// How many other live records of the same scope are exact repeats of each of these: the same turn with the same
    /// words, wherever it was said. One answer for each row, in order.
    ///
    /// Short turns are not counted: `yes` is no repeat of another `yes`. A store that does not count answers 0.
    fn repeats(&self, rows: &[Row]) -> Result<Vec<u32>> {
        Ok(vec![0; rows.len()])
    }

    /// How far a transcript was read; `None` when it never was, or when the note of it is damaged.
    fn reading(&self, place: &ReadingPlace) -> Result<Option<Reading>>;

    /// Notes how far a transcript was read. Saying it again replaces what was said.
    fn put_reading(&self, place: &ReadingPlace, reading: &Reading) -> Result<()>;

    /// Notes that these records were given to a run.
    fn expose(&self, exposure: Exposure) -> Result<()>;

    /// The newest exposures, newest first.
    fn exposures(&self, limit: usize) -> Result<Vec<Exposure>>;

    /// Notes how a run ended. Saying it again replaces what was said.
    fn finish_run(&self, run: &str, outcome: Outcome, reason: Option<&str>) -> Result<()>;

    /// The newest runs with what was given to each and how it ended, oldest first, at most `limit`: all that
    /// credit is computed from.
    fn trials(&self, limit: usize) -> Result<Vec<Trial>>;

    /// A number that is another one whenever [`Store::trials`] or [`Store::credit_resets`] may answer something else.
    fn trials_version(&self) -> Result<u64>;

    /// From now on only what happens later counts for or against this record.
    fn reset_credit(&self, id: RecordId, at: Timestamp) -> Result<()>;

    /// The records whose credit starts later than their first exposure, and from when on it counts.
    fn credit_resets(&self) -> Result<Vec<(RecordId, Timestamp)>>;

    /// The share of runs that are given nothing, so that what memory does can be told: 0 until somebody asks for one.
    fn holdout(&self) -> Result<f64>;

    /// Sets the share of runs that are given nothing, 0 to [`HOLDOUT_MAX`].
    fn set_holdout(&self, share: f64) -> Result<()>;

    /// Numbers about the store.
    fn counts(&self) -> Result<Counts>;

    /// Reads every row and the whole log and reports what does not fit.
    /// `progress` is called with rows done and rows in all, and stops the check by answering false.
    fn check(&self, progress: &mut dyn FnMut(u64, u64) -> bool) -> Result<Vec<Finding>>;
}

/// The largest share of runs that may be given nothing: with more, nobody would have a memory.
pub const HOLDOUT_MAX: f64 = 0.9;

/// The longest run id, query and kind of task that an exposure keeps, in bytes; the beginning of a longer query is kept.
pub const EXPOSURE_TEXT_BYTES_MAX: usize = 2 * 1024;

/// The most records of one exposure: more than any context holds.
pub const EXPOSURE_RECORDS_MAX: usize = 256;

/// Which transcript, read for whom.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ReadingPlace {
    /// The tool that wrote it.
    pub tool: String,
    /// Where it is.
    pub path: String,
    /// The scope that was asked for; empty where each session goes to its own.
    pub scope: String,
}

/// How far a transcript was read, and what was known then.
///
/// What it says must be durable before it is noted: a reader goes on behind it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Reading {
    /// Where to go on.
    pub cursor: Cursor,
    /// What told that the file is as it was, where that can be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<u64>,
    /// What was known of its sessions, for lines that do not say it again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sessions: Vec<Session>,
    /// Whether its sessions went on since their episodes were drawn.
    #[serde(default, skip_serializing_if = "is_false")]
    pub unsettled: bool,
}

fn is_false(value: &bool) -> bool {
    !value
}

/// Records that were given to a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Exposure {
    /// The run they were given to.
    pub run: String,
    /// The records, best first.
    pub records: Vec<RecordId>,
    /// When.
    pub at: Timestamp,
    /// What recall was asked.
    pub query: String,
    /// What kind of task it was, where somebody says so; else it is told from the query's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
    /// Whether the run was in the holdout: these records would have been given to it, and were not.
    #[serde(default, skip_serializing_if = "is_false")]
    pub holdout: bool,
}

impl Exposure {
    /// These records were given to a run, now, for this query.
    pub fn new(run: impl Into<String>, query: impl Into<String>, records: Vec<RecordId>) -> Exposure {
        Exposure { run: run.into(), records, at: Timestamp::now(), query: query.into(), task: None, holdout: false }
    }
}

/// One run, with everything that was given to it and how it ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trial {
    /// The run.
    pub run: String,
    /// When it was first given something.
    pub at: Timestamp,
    /// What recall was first asked.
    pub query: String,
    /// What kind of task it was, where somebody said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
    /// Whether it was in the holdout, so that nothing was given to it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub holdout: bool,
    /// What was given to it, each record once; in the holdout: what would have been.
    pub records: Vec<RecordId>,
    /// How it ended; `None` while nobody has said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// What says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

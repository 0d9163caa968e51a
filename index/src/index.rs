//! What an index is: a derived view that follows the change log and proposes candidates.

pub mod contract;

use harness_memory::{Kind, Position, ReadSet, Record, Row, Seq, Store, Stored};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::text::Query;

/// A derived view of a store. It may be deleted at any time, which costs time and never data.
///
/// Whoever writes to one holds the follower's lock; any number of processes may search meanwhile.
/// All implementations pass [`contract::check`].
pub trait Index: Send {
    /// What it is called: `text`, `vector`.
    fn name(&self) -> &'static str;

    /// How far it has followed; `None` when it holds nothing that can be built upon, so that it must be
    /// [`reset`](Index::reset) first.
    fn applied(&mut self) -> Result<Option<Position>>;

    /// Takes over the current state of the records of a batch, and makes that durable together with the batch's
    /// position. Applying a batch twice has the effect of applying it once.
    fn apply(&mut self, batch: &Batch) -> Result<()>;

    /// The records that fit best, best first; equal scores with the newest record first.
    ///
    /// What was written to the store and not yet applied takes part, as far as the index's limits allow.
    fn search(&self, store: &dyn Store, search: &Search) -> Result<Found>;

    /// Empties it. It then stands before the first change of whatever store is applied next.
    fn reset(&mut self) -> Result<()>;

    /// Gives back what only writing needs, after finishing work begun in the background.
    fn settle(&mut self) -> Result<()> {
        Ok(())
    }

    /// Removes what it still keeps of records that are gone, such as the words of deleted documents.
    fn expunge(&mut self) -> Result<()> {
        Ok(())
    }

    /// What it says of itself.
    fn status(&self) -> Result<Status>;

    /// The most changes that it wants in one batch: what is in a batch is searched from the index when the batch is
    /// done.
    fn batch_changes_max(&self) -> usize {
        crate::catch_up::BATCH_CHANGES_MAX
    }

    /// Whether a backlog is taken over with the newest changes first, because it takes so long that people search
    /// meanwhile. Such an index keeps the [`Batch::ahead`] that it is given.
    fn newest_first(&self) -> bool {
        false
    }

    /// What it has taken over beyond [`applied`](Index::applied), if anything.
    fn ahead(&mut self) -> Result<Option<Ahead>> {
        Ok(None)
    }
}

/// Records whose state is to be taken over.
#[derive(Debug)]
pub struct Batch {
    /// Every record that changed, in ascending order, each once.
    pub rows: Vec<Row>,
    /// Those of them that are live now, in ascending order of their rows.
    pub live: Vec<Stored>,
    /// How far the index will have followed.
    pub position: Position,
    /// What it will have taken over beyond that.
    pub ahead: Option<Ahead>,
}

/// Changes beyond an index's position that it has taken over already: those after `after`, up to `until`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ahead {
    /// The last change that is missing.
    pub after: Seq,
    /// The last one that is there.
    pub until: Seq,
}

impl Ahead {
    /// How many changes that is.
    pub fn changes(&self) -> u64 {
        self.until.saturating_sub(self.after)
    }
}

/// What an index is asked.
#[derive(Clone, Debug)]
pub struct Search<'a> {
    /// The question as it was typed.
    pub text: &'a str,
    /// Whether signs in the text are operators, or text like everything else (a prompt that quotes for its own reasons).
    pub plain: bool,
    /// The text as a query of words, as `plain` says, where somebody has read it already: a text index spares itself
    /// reading it.
    pub read: Option<&'a Query>,
    /// The question as a vector, where somebody made one.
    pub vector: Option<&'a [f32]>,
    /// Which records may be proposed.
    pub filter: Filter<'a>,
    /// The most candidates to answer.
    pub limit: usize,
}

impl<'a> Search<'a> {
    /// A search for this text among everything.
    pub fn new(text: &'a str, reads: &'a ReadSet, limit: usize) -> Search<'a> {
        Search { text, plain: false, read: None, vector: None, filter: Filter::of(reads), limit }
    }
}

/// Which records may be proposed.
#[derive(Clone, Copy, Debug)]
pub struct Filter<'a> {
    /// Only what may be read under this set.
    pub reads: &'a ReadSet,
    /// Only these kinds; empty means all.
    pub kinds: &'a [Kind],
    /// Only records of this session.
    pub session: Option<&'a str>,
    /// No record of this session.
    pub without_session: Option<&'a str>,
    /// Only records created at or after this time.
    pub since: Option<Timestamp>,
    /// Only records created before this time.
    pub until: Option<Timestamp>,
}

impl<'a> Filter<'a> {
    /// All that may be read under a set.
    pub fn of(reads: &'a ReadSet) -> Filter<'a> {
        Filter { reads, kinds: &[], session: None, without_session: None, since: None, until: None }
    }

    /// Whether this record may be proposed.
    pub fn allows(&self, record: &Record) -> bool {
        (self.kinds.is_empty() || self.kinds.contains(&record.kind()))
            && self.session.is_none_or(|session| record.session.as_deref() == Some(session))
            && self.without_session.is_none_or(|session| record.session.as_deref() != Some(session))
            && self.since.is_none_or(|since| record.created_at >= since)
            && self.until.is_none_or(|until| record.created_at < until)
            && self.reads.allows(&record.scope)
    }

    /// Whether every record may be proposed.
    pub fn allows_everything(&self) -> bool {
        self.reads.is_everything()
            && self.kinds.is_empty()
            && self.session.is_none()
            && self.without_session.is_none()
            && self.since.is_none()
            && self.until.is_none()
    }
}

/// What a record has of a question whose words count once each, in whatever script they are written, and of which
/// words that say nothing do not count: what an answer's confidence is drawn from.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ByWord {
    /// The share of the question that it has, 0 to 1.
    pub coverage: f32,
    /// What its matches score.
    pub score: f32,
}

/// What an index proposes.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// The record.
    pub row: Row,
    /// How well it fits, in the index's own measure: comparable within one search only.
    pub score: f32,
    /// The share of the question that it covers, 0 to 1.
    pub coverage: f32,
    /// The same with each word of the question counted once.
    pub by_word: ByWord,
    /// Which of the record's passages fits best, where the index knows; see [`passage_of`](crate::meaning::passage_of).
    pub passage: Option<u32>,
    /// The reason in words a person follows, such as which words matched.
    pub why: String,
    /// Which words of the question it has, where the index searches for words.
    pub words: Vec<Word>,
}

/// A word of the question that a candidate has.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Word {
    /// Its place among the question's words: the same in all candidates of one search.
    pub place: u32,
    /// The share of the question that it is, 0 to 1.
    pub share: f32,
}

/// The answer of one index.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Found {
    /// The candidates, best first.
    pub candidates: Vec<Candidate>,
    /// What a match of a word that no other record has would score, where scores are such sums; else 0. Scores of
    /// different searches compare in this measure.
    pub rarest: f32,
    /// How many changes the index is behind the store. They took part, except for `unsearched`.
    pub lag: u64,
    /// How many of the changes the index is behind by were too many to take part.
    pub unsearched: u64,
    /// What cut this answer short, as a stable word and a sentence.
    pub cuts: Vec<Cut>,
}

/// Something that cut an answer short.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// A stable word for the reason.
    pub code: &'static str,
    /// What happened and what to do, in a sentence.
    pub hint: String,
}

/// What an index says of itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Status {
    /// How far it has followed, where it can answer at all.
    pub applied: Option<Position>,
    /// How many changes beyond that it has taken over too.
    pub ahead: u64,
    /// How many live documents it holds.
    pub documents: u64,
    /// Its size on the disk, in bytes.
    pub bytes: u64,
    /// Whether it answers.
    pub state: State,
}

/// Whether an index answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// It answers.
    Ready,
    /// It is not there: nothing was indexed yet, or it was deleted.
    Missing,
    /// An older one answers while a new one is built.
    Replaced {
        /// What made the new one necessary.
        reason: String,
    },
    /// It cannot be used and will be built anew.
    Damaged {
        /// What does not fit.
        reason: String,
    },
}

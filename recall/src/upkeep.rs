//! The indexes of a home: how far they have followed, and what is done with all of them.

use std::thread;
use std::time::{Duration, Instant};

use harness_index::meaning::VECTOR;
use harness_index::{FollowLock, Index, State, TextIndex};
use harness_memory::sqlite::Retention;
use harness_memory::store::Finding;
use harness_memory::{Position, Store};
use jiff::Timestamp;
use serde::Serialize;

use crate::engine::{Engine, Progress, failed};
use crate::error::{Error, Result};

/// Of changes without embeddings so few want a follower: whoever searches has to embed them, each time anew.
const UNEMBEDDED_CHANGES_LONG: u64 = 8;

/// How long work that needs the follower's lock waits for another process to give it up. One that follows and can be
/// asked does so within a second; one in the middle of a backlog takes longer.
const LOCK_PATIENCE: Duration = Duration::from_secs(120);

/// It is asked to leave once in so long.
const LOCK_TURN: Duration = Duration::from_millis(500);

/// Vectors that an audit searches by themselves at the most: with so many, one lost in a thousand is noticed.
const AUDIT_ROWS: usize = 10_000;

/// What an index says of itself.
#[derive(Clone, Debug, Serialize)]
pub struct IndexStatus {
    /// `text`, `vector`.
    pub name: &'static str,
    /// How far it has followed; `None` when it is empty or must be rebuilt.
    pub applied: Option<Position>,
    /// How many changes it is behind the store.
    pub lag: u64,
    /// How many live documents it holds.
    pub documents: u64,
    /// Its size on the disk, in bytes.
    pub bytes: u64,
    /// `current`, `behind`, `missing`, `rebuild: …` with the reason.
    pub state: String,
    /// How many changes a second are being taken over, while somebody follows with this index.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub changes_per_second: Option<f64>,
    /// How long that will take for the rest, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds_left: Option<f64>,
    /// The model that makes its vectors.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The model whose vectors answer until those of `model` stand.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answered_by: Option<String>,
    /// Whether following it is paused.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub paused: bool,
}

/// What a sweep came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Swept {
    /// Records that had been kept long enough, with what was derived from them.
    pub forgotten: usize,
    /// Records whose text is gone for good.
    pub removed: usize,
    /// Changes removed from the beginning of the log.
    pub folded: u64,
}

impl Engine {
    /// Whether so much is not indexed or embedded yet that a follower should be started (see
    /// [`harness_index::should_follow`]).
    pub fn tail_is_long(&self) -> Result<bool> {
        if self.lag_in_meaning() > UNEMBEDDED_CHANGES_LONG {
            return Ok(true);
        }
        harness_index::should_follow(&**self.store(), &self.text).map_err(failed("look at"))
    }

    /// How many changes somebody should embed now.
    pub(crate) fn lag_in_meaning(&self) -> u64 {
        if self.embedding_is_paused() {
            return 0;
        }
        let Some(reached) = self.meaning.reached() else { return 0 };
        let Ok(head) = self.store().head() else { return 0 };
        self.lag(&head, reached.map(|(position, _)| position).as_ref(), reached.map_or(0, |(_, ahead)| ahead))
    }

    /// Brings full text to the end of the log, in this process. When another process is following,
    /// waits until it has done so. Embedding is left to [`embed`](Engine::embed) and to whoever follows.
    pub fn catch_up(&self, progress: Progress) -> Result<()> {
        let target = self.store().head()?.seq;
        let started = Instant::now();
        loop {
            if let Some(lock) = FollowLock::try_take(&self.index_folder()).map_err(failed("lock"))? {
                return self.catch_up_locked(&lock, progress);
            }
            // The follower is at it: what it has done shows in the index.
            let applied = self.text.status().map_err(failed("look at"))?.applied.map_or(0, |position| position.seq);
            if applied >= target {
                return Ok(());
            }
            if !progress(applied, target) {
                return Err(Error::Stopped);
            }
            if started.elapsed() > LOCK_PATIENCE {
                return Err(Error::Followed { pid: harness_index::follower(&self.index_folder()) });
            }
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// The follower's lock, for work that needs the indexes to itself. Whoever follows is asked to leave, and waited for.
    fn lock_indexes(&self) -> Result<FollowLock> {
        let begin = Instant::now();
        loop {
            match FollowLock::take(&self.index_folder(), LOCK_TURN) {
                Ok(lock) => return Ok(lock),
                // Once more each time: another may have come in between.
                Err(harness_index::Error::Followed { .. }) if begin.elapsed() < LOCK_PATIENCE => {
                    crate::socket::ask_to_leave(self.home(), LOCK_TURN);
                }
                Err(error) => return Err(failed("lock")(error)),
            }
        }
    }

    fn catch_up_locked(&self, _lock: &FollowLock, progress: Progress) -> Result<()> {
        let mut text = TextIndex::new(&self.index_folder());
        harness_index::catch_up(&**self.store(), &mut text, progress).map_err(failed("bring up to date"))?;
        text.settle().map_err(failed("settle"))
    }

    /// Brings the vectors to the end of the log, in this process; `false` when there is no embedder.
    ///
    /// Takes seconds for each few hundred records that were never embedded. Stopped, it keeps what was done.
    pub fn embed(&self, progress: Progress) -> Result<bool> {
        let _lock = self.lock_indexes()?;
        let Some(mut index) = self.open_meaning()? else { return Ok(false) };
        harness_index::catch_up(&**self.store(), &mut index, progress).map_err(failed("bring up to date"))?;
        index.settle().map_err(failed("settle"))?;
        Ok(true)
    }

    fn open_meaning(&self) -> Result<Option<harness_index::MeaningIndex>> {
        self.meaning.open().map_err(|reason| Error::Model { reason })
    }

    /// Forgets what has been kept long enough, removes for good what is due, from the store, the indexes and the log of
    /// writes, and folds the log.
    ///
    /// What the rules say is over can be brought back until `undo_until`; when that is not after `now`, it is gone with
    /// this call. Waits for another process that follows.
    pub fn sweep(
        &self,
        rules: &[Retention],
        now: Timestamp,
        undo_until: Timestamp,
        progress: Progress,
    ) -> Result<Swept> {
        let over = self.store().kept_long_enough(rules, now)?;
        let forgotten = self.store().forget_with_derived(&over, undo_until)?;
        let mut removed = 0;
        loop {
            let part = self.store().purge(now)?;
            removed += part;
            if part == 0 {
                break;
            }
        }
        // With the follower's lock, because whoever follows has the indexes open for writing.
        let _lock = self.lock_indexes()?;
        let mut indexes = self.indexes();
        if removed > 0 {
            for index in &mut indexes {
                harness_index::catch_up(&**self.store(), index.as_mut(), progress)
                    .map_err(failed("bring up to date"))?;
                index.expunge().map_err(failed("remove what is gone from"))?;
            }
        }
        let folded = harness_index::fold(&**self.store(), &mut indexes, now).map_err(failed("look at"))?;
        for index in &mut indexes {
            index.settle().map_err(failed("settle"))?;
        }
        if removed > 0 || folded > 0 {
            self.store().checkpoint()?;
        }
        Ok(Swept { forgotten, removed, folded })
    }

    /// The indexes of this home, to write to.
    fn indexes(&self) -> Vec<Box<dyn Index>> {
        let mut indexes: Vec<Box<dyn Index>> = vec![Box::new(TextIndex::new(&self.index_folder()))];
        match self.open_meaning() {
            Ok(Some(index)) => indexes.push(Box::new(index)),
            Ok(None) => {}
            // Full text goes on without it.
            Err(error) => tracing::warn!(%error, "vectors are not followed"),
        }
        indexes
    }

    /// What each index says of itself.
    pub fn index_status(&self) -> Result<Vec<IndexStatus>> {
        let head = self.store().head()?;
        let status = self.text.status().map_err(failed("look at"))?;
        let mut all = vec![self.status_of(self.text.name(), &head, &status, None)];
        if let Some(status) = self.meaning.status() {
            let (status, pace) = status.unwrap_or_else(|reason| {
                let state = State::Damaged { reason };
                (harness_index::Status { applied: None, ahead: 0, documents: 0, bytes: 0, state }, None)
            });
            let (model, answered_by) = self.meaning.names().unzip();
            all.push(IndexStatus {
                model,
                answered_by: answered_by.flatten(),
                paused: self.embedding_is_paused(),
                ..self.status_of(VECTOR, &head, &status, pace)
            });
        }
        Ok(all)
    }

    fn status_of(
        &self,
        name: &'static str,
        head: &Position,
        status: &harness_index::Status,
        pace: Option<f64>,
    ) -> IndexStatus {
        let lag = self.lag(head, status.applied.as_ref(), status.ahead);
        let state = match &status.state {
            State::Ready if lag == 0 => "current".to_owned(),
            State::Ready => "behind".to_owned(),
            State::Missing => "missing".to_owned(),
            State::Replaced { reason } | State::Damaged { reason } => format!("rebuild: {reason}"),
        };
        let pace = pace.filter(|pace| lag > 0 && *pace > 0.0);
        IndexStatus {
            name,
            applied: status.applied,
            lag,
            documents: status.documents,
            bytes: status.bytes,
            state,
            changes_per_second: pace,
            seconds_left: pace.map(|pace| lag as f64 / pace),
            model: None,
            answered_by: None,
            paused: false,
        }
    }

    /// Builds every index anew from the store; the old one answers until the new one stands.
    pub fn rebuild(&self, progress: Progress) -> Result<()> {
        let _lock = self.lock_indexes()?;
        let mut text = TextIndex::new(&self.index_folder());
        text.rebuild(&**self.store(), progress).map_err(failed("rebuild"))?;
        if let Some(mut index) = self.open_meaning()? {
            // The embeddings are kept: what was embedded before is only put in its place.
            index.reset().map_err(failed("rebuild"))?;
            harness_index::catch_up(&**self.store(), &mut index, progress).map_err(failed("rebuild"))?;
            index.settle().map_err(failed("settle"))?;
        }
        Ok(())
    }

    /// Compares every index with the store and reports what does not fit.
    pub fn verify(&self, progress: Progress) -> Result<Vec<Finding>> {
        let mut findings = self.text.verify(&**self.store(), progress).map_err(failed("verify"))?;
        findings.extend(self.audit_meaning());
        Ok(findings)
    }

    /// Searches vectors by themselves, and says which were not found.
    fn audit_meaning(&self) -> Option<Finding> {
        if !self.meaning.is_on() {
            return None;
        }
        let finding = |code, what: String, hint: &str| Some(Finding { code, what, hint: hint.to_owned() });
        let index = match self.meaning.looking() {
            Ok(index) => index?,
            Err(reason) => return finding("model-failed", reason, "`harness setup` gets it anew"),
        };
        match index.audit(AUDIT_ROWS) {
            Ok(Some(audit)) if !audit.lost.is_empty() => {
                let what = format!(
                    "{} of {} vectors are not found by themselves, the first that of row {}",
                    audit.lost.len(),
                    audit.searched,
                    audit.lost[0].record
                );
                finding("vector-lost", what, "run `harness index rebuild`")
            }
            Ok(_) => None,
            Err(error) => finding("vector-damaged", error.to_string(), "run `harness index rebuild`"),
        }
    }

    /// How many changes an index is behind that stands at this position and has so many beyond it; all of them when the
    /// position is not one of this store's.
    fn lag(&self, head: &Position, applied: Option<&Position>, ahead: u64) -> u64 {
        match applied {
            Some(applied) if applied.store == head.store && applied.epoch == head.epoch => {
                head.seq.saturating_sub(applied.seq + ahead)
            }
            _ => head.seq,
        }
    }
}

//! Following: full text as it is written, vectors behind it at low priority, and the model held for others' questions.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use harness_index::embed::Embedder;
use harness_index::meaning::remove_others;
use harness_index::{Beside, FollowLock, Index, MeaningIndex, TextIndex};
use harness_memory::Store;

use crate::engine::{Engine, failed};
use crate::error::Result;
use crate::priority;
use crate::socket::{Holder, Skills};

/// The model is held for so long after a question: a person who asks a tool something asks it again, and each question
/// would find nobody otherwise.
const HELD_AFTER_QUESTION: Duration = Duration::from_secs(600);

/// A backlog stands aside while questions come, and for so long after one.
const ASIDE: Duration = Duration::from_millis(30);

/// It does not stand aside for longer than this at a time: it would never end beside a program that asks all the time.
const ASIDE_MAX: Duration = Duration::from_millis(500);

/// How often the log is looked at for what to embed.
const POLL: Duration = Duration::from_millis(200);

/// After this long without a change, what writing needs is given back.
const SETTLE_AFTER: Duration = Duration::from_secs(2);

/// What could not be done is tried again after this.
const TRY_AGAIN: Duration = Duration::from_secs(5);

/// What the threads of one follower tell each other.
#[derive(Default)]
struct Control {
    /// It ends.
    over: AtomicBool,
    /// There is something to embed.
    embedding: AtomicBool,
    /// Records were removed for good, whose vectors are to be removed too.
    purged: AtomicBool,
    /// Another process asked for the lock.
    leave: AtomicBool,
}

impl Control {
    /// Sleeps, unless it ends before.
    fn sleep(&self, time: Duration) {
        let begin = Instant::now();
        while begin.elapsed() < time && !self.over.load(Ordering::Relaxed) {
            thread::sleep(POLL.min(time));
        }
    }
}

/// Ends the other threads, however this one does.
struct Ending<'a>(&'a Control, Option<&'a Holder>);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.over.store(true, Ordering::Relaxed);
        if let Some(holder) = self.1 {
            holder.close();
        }
    }
}

impl Engine {
    /// Follows the log until there was nothing to do for `idle`, or `stop` is set: text at once, vectors behind it at
    /// low priority. Meanwhile this process holds the model, and makes the vectors of other processes' questions.
    ///
    /// Takes the follower's lock and answers `false` at once when another process holds it. After a question it stays
    /// for ten minutes, unless `idle` is zero. It leaves when another process needs the indexes to itself, and may be
    /// called again a moment later.
    pub fn follow(&self, idle: Duration, stop: &AtomicBool) -> Result<bool> {
        let Some(lock) = FollowLock::try_take(&self.index_folder()).map_err(failed("lock"))? else {
            return Ok(false);
        };
        let holder = match Holder::open(self.home()) {
            Ok(holder) => Some(holder),
            Err(error) => {
                tracing::info!(%error, "other processes cannot ask this one for vectors");
                None
            }
        };
        let control = Arc::new(Control::default());
        let followed = thread::scope(|scope| {
            let ending = Ending(&control, holder.as_ref());
            if let Some(holder) = &holder {
                scope.spawn(|| {
                    let embed = |question: &str| self.meaning.embed_here(question);
                    let errand = |errand| self.errand(errand);
                    let leave = || control.leave.store(true, Ordering::Relaxed);
                    holder.serve(&Skills { embed: &embed, errand: &errand, leave: &leave });
                });
            }
            scope.spawn(|| self.follow_vectors(&control, stop));
            let busy = || {
                control.embedding.load(Ordering::Relaxed)
                    || !idle.is_zero() && self.meaning.activity.within(HELD_AFTER_QUESTION)
            };
            // The first look at the vectors takes a moment.
            control.embedding.store(self.lag_in_meaning() > 0, Ordering::Relaxed);
            let mut indexes: Vec<Box<dyn Index>> = vec![Box::new(TextIndex::new(&self.index_folder()))];
            let purged = || control.purged.store(true, Ordering::Relaxed);
            let passed = |seq| match self.meaning.reached() {
                None => true,
                Some(reached) => reached.is_some_and(|(position, _)| position.seq >= seq),
            };
            let leave = || control.leave.load(Ordering::Relaxed);
            let beside = Beside { busy: &busy, leave: &leave, purged: &purged, passed: &passed };
            let followed = harness_index::follow(&**self.store(), &mut indexes, &lock, idle, stop, &beside);
            drop(ending);
            followed
        });
        followed.map_err(failed("follow with"))?;
        // Idle is when the write-ahead log can be put away without anybody waiting for it.
        if let Err(error) = self.store().checkpoint() {
            tracing::debug!(%error, "the store was not checkpointed");
        }
        Ok(true)
    }

    /// Embeds what is written, until it is over.
    fn follow_vectors(&self, control: &Arc<Control>, stop: &AtomicBool) {
        priority::lower_this_thread();
        let ends = || control.over.load(Ordering::Relaxed) || stop.load(Ordering::Relaxed);
        let mut index: Option<MeaningIndex> = None;
        let mut done = None;
        let mut active = Instant::now();
        let mut warned = String::new();
        while !ends() {
            let work = match self.step_vectors(control, &mut index, &mut done, &ends) {
                Ok(worked) => worked,
                Err(reason) => {
                    // The same trouble again is not news.
                    if reason != warned {
                        tracing::warn!("vectors are not followed: {reason}");
                        warned = reason;
                    }
                    (index, done) = (None, None);
                    control.embedding.store(false, Ordering::Relaxed);
                    control.sleep(TRY_AGAIN);
                    continue;
                }
            };
            if work {
                active = Instant::now();
            } else {
                if active.elapsed() >= SETTLE_AFTER
                    && let Some(index) = &mut index
                    && let Err(error) = index.settle()
                {
                    tracing::warn!(%error, "the vectors do not settle");
                }
                control.embedding.store(false, Ordering::Relaxed);
                control.sleep(POLL);
            }
        }
        if let Some(mut index) = index
            && let Err(error) = index.settle()
        {
            tracing::warn!(%error, "the vectors do not settle");
        }
    }

    /// Brings the vectors to the end of the log, if they are not there; answers whether there was something to do.
    fn step_vectors(
        &self,
        control: &Arc<Control>,
        index: &mut Option<MeaningIndex>,
        done: &mut Option<u64>,
        ends: &dyn Fn() -> bool,
    ) -> Result<bool, String> {
        if self.embedding_is_paused() {
            return Ok(false);
        }
        let Some(embedder) = self.meaning.in_use()? else { return Ok(false) };
        if index.as_ref().is_none_or(|index| index.embedder_id() != embedder.id()) {
            *index = Some(self.watched(Arc::clone(&embedder), control));
            *done = None;
        }
        let Some(index) = index else { return Ok(false) };
        let head = self.store().head().map_err(|error| error.to_string())?.seq;
        if *done == Some(head) && !control.purged.load(Ordering::Relaxed) {
            return Ok(false);
        }
        control.embedding.store(true, Ordering::Relaxed);
        let mut go_on = |_: u64, _: u64| !ends() && !self.embedding_is_paused() && self.uses(&*embedder);
        match harness_index::catch_up(&**self.store(), index, &mut go_on) {
            Ok(_) => {}
            Err(harness_index::Error::Stopped) => return Ok(true),
            Err(error) => return Err(chain(&error)),
        }
        *done = Some(head);
        if control.purged.swap(false, Ordering::Relaxed) {
            index.expunge().map_err(|error| chain(&error))?;
        }
        // The new vectors stand: nobody asks the old ones any more.
        match remove_others(&self.index_folder(), embedder.id()) {
            Ok(0) => {}
            Ok(_) => self.meaning.drop_others(),
            Err(error) => tracing::warn!(%error, "the vectors of another model are not removed"),
        }
        Ok(true)
    }

    /// Whether this is still the embedder in use.
    fn uses(&self, embedder: &dyn Embedder) -> bool {
        matches!(self.meaning.in_use(), Ok(Some(used)) if used.id() == embedder.id())
    }

    /// The index of an embedder, for writing, which stands aside for questions and stops when it is over.
    fn watched(&self, embedder: Arc<dyn Embedder>, control: &Arc<Control>) -> MeaningIndex {
        let mut index = self.meaning.writing(embedder);
        let (control, activity) = (Arc::clone(control), Arc::clone(&self.meaning.activity));
        let home = self.home().to_owned();
        index.watch(Box::new(move |_| {
            let begin = Instant::now();
            while activity.within(ASIDE) && begin.elapsed() < ASIDE_MAX {
                thread::sleep(ASIDE / 4);
            }
            !control.over.load(Ordering::Relaxed) && !crate::pause::is_paused(&home)
        }));
        index
    }
}

/// An error with its causes, on one line.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

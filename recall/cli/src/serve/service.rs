//! What the memory does for those who ask over HTTP or MCP, without either's words.
//!
//! - `recall`: questions and contexts; `records`, `sessions`: lists and single things
//! - `write`: notes, episodes, messages, whole records; `change`: new versions, tags, pins, forgetting
//! - `hooks`: what coding tools' hooks ask; `embeddings`: the model's vectors
//! - `runs`: what was injected and how it ended; `status`: what there is and what can be done

/// A span of work on the memory, called as OpenTelemetry's conventions for generative AI call it.
macro_rules! memory_span {
    ($name:literal $(, $($field:tt)+)?) => {
        tracing::info_span!(
            $name,
            gen_ai.operation.name = $name,
            gen_ai.provider.name = "harness"
            $(, $($field)+)?
        )
    };
}

mod change;
mod embeddings;
mod hooks;
mod recall;
mod records;
mod runs;
mod sessions;
mod status;
mod write;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use harness_memory::Scope;
use harness_recall::Engine;
use jiff::{SignedDuration, Timestamp};
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::{Semaphore, SemaphorePermit};

pub(crate) use self::hooks::{HookSettings, answer_hook};
pub(crate) use self::status::Model;
pub(crate) use self::write::Writer;
use super::problem::Problem;

/// How long a question waits for its turn before it is refused: longer than that nobody waits for an answer.
const TURN_PATIENCE: Duration = Duration::from_secs(5);

/// The memory behind every way in. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Service {
    inner: Arc<Inner>,
}

struct Inner {
    engine: Arc<Engine>,
    user: Scope,
    undo_days: u32,
    hooks: HookSettings,
    started: Option<Instant>,
    /// The model that could not be loaded when it was asked for last, and why.
    broken_model: Mutex<Option<(String, String)>>,
    /// Questions keep a processor busy: as many at once as there are processors, and one to wait for the disk.
    turns: Semaphore,
}

impl Service {
    /// A service over an engine. `serves` says whether other processes come to it.
    pub(crate) fn new(engine: Arc<Engine>, user: Scope, undo_days: u32, hooks: HookSettings, serves: bool) -> Service {
        let processors = std::thread::available_parallelism().map_or(2, usize::from);
        Service {
            inner: Arc::new(Inner {
                engine,
                user,
                undo_days,
                hooks,
                started: serves.then(Instant::now),
                broken_model: Mutex::default(),
                turns: Semaphore::new(processors + 1),
            }),
        }
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.inner.engine
    }

    /// The person's own scope.
    pub(crate) fn user(&self) -> &Scope {
        &self.inner.user
    }

    /// Until when what is forgotten now can be brought back, to the millisecond, as the store keeps it.
    fn undo_until(&self) -> Timestamp {
        let days = SignedDuration::from_hours(24 * i64::from(self.inner.undo_days));
        let until = Timestamp::now().checked_add(days).unwrap_or(Timestamp::MAX);
        Timestamp::from_millisecond(until.as_millisecond()).unwrap_or(until)
    }

    /// Runs work that blocks and is soon done: a look-up, or a write, which shares its transaction with others.
    pub(crate) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Service) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        let service = self.clone();
        let span = tracing::Span::current();
        let running = tokio::task::spawn_blocking(move || span.in_scope(|| work(&service)));
        running.await.map_err(|error| Problem::internal(&error))?
    }

    /// Runs work that keeps a processor busy, when its turn comes.
    pub(crate) async fn in_turn<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Service) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        let _turn = self.turn().await?;
        self.blocking(work).await
    }

    /// Answers a question when its turn comes: a millisecond's work, of which waking another thread and being woken by
    /// it would be a seventh. So it is done here, and another thread looks after the connections meanwhile.
    pub(crate) async fn question<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Service) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        let _turn = self.turn().await?;
        if Handle::current().runtime_flavor() != RuntimeFlavor::MultiThread {
            return self.blocking(work).await;
        }
        let span = tracing::Span::current();
        let here = || tokio::task::block_in_place(|| span.in_scope(|| work(self)));
        // A panic is this request's alone, as it is on a thread of its own.
        catch_unwind(AssertUnwindSafe(here)).unwrap_or_else(|panic| Err(Problem::panicked(&*panic)))
    }

    async fn turn(&self) -> Result<SemaphorePermit<'_>, Problem> {
        let busy = || Problem::unavailable("busy", "too many questions at once: try again in a moment");
        let turn = tokio::time::timeout(TURN_PATIENCE, self.inner.turns.acquire()).await;
        turn.map_err(|_| busy())?.map_err(|_| busy())
    }
}

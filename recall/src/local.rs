//! The [`harness_memory::Memory`] handle over an engine of this process.

use std::sync::Arc;

use harness_memory::memory::BoxFuture;
use harness_memory::store::Exposure;
use harness_memory::{
    Answer, Context, ContextQuery, Error as MemoryError, Lookup, Memory, Outcome, Query, ReadSet, Record, RecordId,
    Scope, Store,
};
use jiff::{SignedDuration, Timestamp};

use crate::engine::Engine;
use crate::error::Error;

/// How long what was forgotten through a handle can be brought back.
pub const UNDO_DAYS: i64 = 30;

/// A memory bound to what it may read and where it may write. Its work runs on tokio's threads for blocking work,
/// so its methods must be called within a tokio runtime.
#[derive(Clone)]
pub struct LocalMemory {
    engine: Arc<Engine>,
    reads: ReadSet,
    writes: Scope,
}

impl LocalMemory {
    /// A handle that reads under this set and writes into this scope.
    pub fn new(engine: Arc<Engine>, reads: ReadSet, writes: Scope) -> LocalMemory {
        LocalMemory { engine, reads, writes }
    }

    /// Runs `work` on a thread that may block.
    fn blocking<T: Send + 'static>(
        &self,
        doing: &'static str,
        work: impl FnOnce(&LocalMemory) -> Result<T, MemoryError> + Send + 'static,
    ) -> BoxFuture<'_, Result<T, MemoryError>> {
        let handle = self.clone();
        // The work starts when the future is first polled: only then is a runtime sure to be there.
        Box::pin(async move {
            let running = tokio::task::spawn_blocking(move || work(&handle));
            running.await.map_err(|error| MemoryError::Recall { doing, source: error.into() })?
        })
    }

    fn visible(&self, id: RecordId) -> Result<Lookup, MemoryError> {
        let lookup = self.engine.store().get(&[id])?.pop().unwrap_or(Lookup::Missing);
        Ok(match lookup {
            Lookup::Found(stored) if !self.reads.allows(&stored.record.scope) => Lookup::Missing,
            // Whether a record of somebody else was forgotten is theirs to know.
            Lookup::Forgotten(_) if !self.reads.is_everything() => Lookup::Missing,
            Lookup::Damaged { .. } if !self.reads.is_everything() => Lookup::Missing,
            other => other,
        })
    }
}

/// The engine's failure in the words of the memory's contract.
fn outside(error: Error) -> MemoryError {
    match error {
        Error::Store(error) => error,
        Error::EmptyQuery => MemoryError::Refused { reason: error.to_string() },
        other => MemoryError::Recall { doing: "recall", source: Box::new(other) },
    }
}

impl Memory for LocalMemory {
    fn recall(&self, query: Query) -> BoxFuture<'_, Result<Answer, MemoryError>> {
        self.blocking("recall", move |memory| memory.engine.recall(&query, &memory.reads).map_err(outside))
    }

    fn context(&self, query: ContextQuery) -> BoxFuture<'_, Result<Context, MemoryError>> {
        let ContextQuery { task, budget_tokens, without_session, kinds, since, until, now, time_zone } = query;
        self.blocking("pack a context", move |memory| {
            let query = Query { without_session, kinds, since, until, now, time_zone, ..Query::new(task) };
            memory.engine.context(&query, &memory.reads, budget_tokens).map_err(outside)
        })
    }

    fn write(&self, record: Record) -> BoxFuture<'_, Result<RecordId, MemoryError>> {
        self.blocking("write", move |memory| {
            if !memory.writes.contains(&record.scope) {
                let reason =
                    format!("its scope {} is not inside {}, where this handle writes", record.scope, memory.writes);
                return Err(MemoryError::Refused { reason });
            }
            let admitted = memory.engine.intake().admit_one(record)?;
            let id = admitted.record().id;
            Ok(memory.engine.store().put(vec![admitted])?.first().map_or(id, |put| put.id()))
        })
    }

    fn get(&self, id: RecordId) -> BoxFuture<'_, Result<Lookup, MemoryError>> {
        self.blocking("get", move |memory| memory.visible(id))
    }

    fn forget(&self, ids: Vec<RecordId>) -> BoxFuture<'_, Result<usize, MemoryError>> {
        self.blocking("forget", move |memory| {
            for (id, lookup) in ids.iter().zip(memory.engine.store().get(&ids)?) {
                match lookup {
                    Lookup::Found(stored) if memory.writes.contains(&stored.record.scope) => {}
                    Lookup::Forgotten(_) if memory.writes.is_root() => {}
                    _ => return Err(MemoryError::NoRecord { id: *id }),
                }
            }
            memory.engine.store().forget(&ids, Timestamp::now() + SignedDuration::from_hours(24 * UNDO_DAYS))
        })
    }

    fn expose(&self, exposure: Exposure) -> BoxFuture<'_, Result<(), MemoryError>> {
        self.blocking("note an exposure", move |memory| memory.engine.store().expose(exposure))
    }

    fn credit(&self, run: String, outcome: Outcome, reason: Option<String>) -> BoxFuture<'_, Result<(), MemoryError>> {
        self.blocking("note how a run ended", move |memory| {
            memory.engine.store().finish_run(&run, outcome, reason.as_deref())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_local_memory_keeps_the_contract() {
        let folder = tempfile::tempdir().unwrap();
        let engine = Arc::new(Engine::open(folder.path()).unwrap());
        let writes = Scope::parse("ana").unwrap();
        let elsewhere = Record::new(
            Scope::parse("eve").unwrap(),
            "test",
            harness_memory::Origin::User,
            harness_memory::Note::new("the staging deploy of eve"),
        );
        let foreign = elsewhere.id;
        engine.store().put(vec![engine.intake().admit_one(elsewhere).unwrap()]).unwrap();
        let memory = LocalMemory::new(engine, writes.clone().into(), writes.clone());
        harness_memory::memory::contract::check(&memory, &writes).await;
        assert!(matches!(memory.get(foreign).await.unwrap(), Lookup::Missing));
        let answer = memory.recall(Query::new("staging deploy of eve")).await.unwrap();
        assert!(answer.hits.iter().all(|hit| hit.id != foreign));
        memory.forget(vec![foreign]).await.unwrap_err();
    }
}

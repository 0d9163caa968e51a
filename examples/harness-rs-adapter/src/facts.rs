//! Curated facts: `Memory` and `MemoryDelete` over a handle of ours.

use std::sync::Arc;

use async_trait::async_trait;
use harness_core::{Memory, MemoryDelete, MemoryEntry, MemoryError};
use harness_memory::store::Filter;
use harness_memory::{Kind, Lookup, Memory as _, Note, Origin, Query, Record, RecordId, Scope, Store, Trust};
use harness_recall::{Engine, LocalMemory};
use jiff::Timestamp;

/// The most facts that one `delete_all` removes in one go; it goes on until none is left.
const DELETED_AT_ONCE: usize = 500;

/// Facts as notes in one scope.
#[derive(Clone)]
pub struct Facts {
    engine: Arc<Engine>,
    memory: LocalMemory,
    scope: Scope,
}

impl Facts {
    /// Facts that are read and written in this scope of a home.
    pub fn new(engine: Arc<Engine>, scope: Scope) -> Facts {
        let memory = LocalMemory::new(engine.clone(), scope.clone().into(), scope.clone());
        Facts { engine, memory, scope }
    }

    /// The ids of some facts that are there.
    fn some(&self) -> Result<Vec<RecordId>, String> {
        let filter = Filter {
            scopes: self.scope.clone().into(),
            kinds: vec![Kind::Note],
            limit: DELETED_AT_ONCE,
            ..Filter::default()
        };
        let found = self.engine.store().list(&filter).map_err(|error| error.to_string())?;
        Ok(found.into_iter().filter_map(Lookup::found).map(|stored| stored.record.id).collect())
    }
}

fn failed(error: impl std::fmt::Display) -> MemoryError {
    MemoryError::Backend(error.to_string())
}

#[async_trait]
impl Memory for Facts {
    async fn recall(&self, query: &str, k: usize) -> Result<Vec<MemoryEntry>, MemoryError> {
        // Nothing to look for is nothing found there, and an error here.
        if query.trim().is_empty() || k == 0 {
            return Ok(Vec::new());
        }
        let answer = self.memory.recall(Query { limit: k, ..Query::new(query) }).await.map_err(failed)?;
        let hits = answer.hits.into_iter().filter(|hit| hit.trust != Trust::Quarantined);
        Ok(hits
            .map(|hit| {
                let mut entry = MemoryEntry::new(hit.text).with_tags(hit.tags).with_source(hit.source);
                entry.id = hit.id.to_string();
                entry.created_ms = hit.created_at.as_millisecond();
                entry
            })
            .collect())
    }

    async fn write(&self, entry: MemoryEntry) -> Result<(), MemoryError> {
        let source = entry.source.unwrap_or_else(|| "harness-rs".to_owned());
        let mut record = Record::new(self.scope.clone(), source, Origin::Agent, Note::new(entry.content));
        record.tags = entry.tags;
        if entry.created_ms > 0 {
            record.created_at = Timestamp::from_millisecond(entry.created_ms).map_err(failed)?;
        }
        record.expires_at = entry.expires_ms.map(Timestamp::from_millisecond).transpose().map_err(failed)?;
        self.memory.write(record).await.map(|_| ()).map_err(failed)
    }
}

#[async_trait]
impl MemoryDelete for Facts {
    async fn delete_by_id(&self, id: &str) -> Result<bool, String> {
        let Ok(id) = id.parse::<RecordId>() else { return Ok(false) };
        match self.memory.forget(vec![id]).await {
            Ok(forgotten) => Ok(forgotten > 0),
            Err(harness_memory::Error::NoRecord { .. }) => Ok(false),
            Err(error) => Err(error.to_string()),
        }
    }

    async fn delete_all(&self) -> Result<u32, String> {
        let mut deleted = 0;
        loop {
            let ids = self.some()?;
            if ids.is_empty() {
                return Ok(deleted);
            }
            let forgotten = self.memory.forget(ids).await.map_err(|error| error.to_string())?;
            deleted += u32::try_from(forgotten).unwrap_or(u32::MAX);
            if forgotten == 0 {
                return Ok(deleted);
            }
        }
    }
}

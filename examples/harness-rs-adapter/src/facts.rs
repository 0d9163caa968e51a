//! What is known: `Memory` and `MemoryDelete` over a handle of ours.

use std::sync::Arc;

use async_trait::async_trait;
use harness_core::{Memory, MemoryDelete, MemoryEntry, MemoryError};
use harness_memory::store::Filter;
use harness_memory::{
    Hit, Kind, Lookup, Memory as _, Note, Origin, Outcome, Query, Record, RecordId, Scope, Store, Trust,
};
use harness_recall::{Engine, LocalMemory};
use jiff::Timestamp;

/// The most facts that one round of `delete_all` removes; it goes on until none is left.
const DELETED_AT_ONCE: usize = 500;

/// So many hits are asked for one entry that is wanted: some are not for telling.
const SPARE: usize = 2;

/// What is known in one scope: notes that were written through this, and whatever else the home has there, that is
/// lessons, and episodes with how they ended.
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

/// What an entry says: there is one line for it in the prompt, so that how an episode ended must stand in it.
fn told(hit: &Hit) -> String {
    let Some(outcome) = hit.outcome else { return hit.text.clone() };
    let how = match outcome {
        Outcome::Success => "worked before",
        Outcome::Failure => "failed before, do not repeat",
        Outcome::Unknown => "tried before, outcome unknown",
    };
    let course: Vec<&str> = hit.tool_course().into_iter().map(|(tool, _)| tool).collect();
    let mut text = format!("{how}: {}", hit.text);
    if !course.is_empty() {
        text.push_str(&format!(" ({})", course.join(" → ")));
    }
    for (word, said) in [("because", &hit.reason), ("learned", &hit.lesson)] {
        if let Some(said) = said {
            text.push_str(&format!("; {word}: {said}"));
        }
    }
    text
}

#[async_trait]
impl Memory for Facts {
    async fn recall(&self, query: &str, k: usize) -> Result<Vec<MemoryEntry>, MemoryError> {
        // Nothing to look for is nothing found there, and an error here.
        if query.trim().is_empty() || k == 0 {
            return Ok(Vec::new());
        }
        let kinds = vec![Kind::Note, Kind::Lesson, Kind::Episode];
        let asked = Query { limit: SPARE * k, kinds, ..Query::new(query) };
        let answer = self.memory.recall(asked).await.map_err(failed)?;
        // What is superseded or harmful is found by search, and is nothing to put into a prompt.
        let hits = answer.hits.into_iter().filter(|hit| hit.trust != Trust::Quarantined && hit.replaced_by.is_none());
        Ok(hits
            .take(k)
            .map(|hit| {
                let mut entry = MemoryEntry::new(told(&hit)).with_tags(hit.tags).with_source(hit.source);
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

    /// Forgets the notes of the scope, which can be undone for a while. Episodes, lessons and transcripts stay: they
    /// are no facts that were written here.
    async fn delete_all(&self) -> Result<u32, String> {
        let mut deleted = 0_u32;
        loop {
            let ids = self.some()?;
            let forgotten =
                if ids.is_empty() { 0 } else { self.memory.forget(ids).await.map_err(|error| error.to_string())? };
            if forgotten == 0 {
                return Ok(deleted);
            }
            deleted = deleted.saturating_add(u32::try_from(forgotten).unwrap_or(u32::MAX));
        }
    }
}

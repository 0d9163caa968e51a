//! The memory as tools: looking something up, and keeping it.

use std::sync::Arc;

use harness_memory::memory::BoxFuture;
use harness_memory::{Memory, Note, Origin, Query, Record, Scope, Trust};
use serde_json::{Value, json};

use super::{Output, Risk, Tool, text_of};
use crate::model::ToolSpec;

/// Hits that a look-up shows: a few good ones help.
const HITS: usize = 6;

/// The most characters of one hit.
const HIT_CHARS_MAX: usize = 500;

/// Looks something up.
pub struct Recall {
    memory: Arc<dyn Memory>,
}

impl Recall {
    /// Looks up in this memory.
    pub fn new(memory: Arc<dyn Memory>) -> Recall {
        Recall { memory }
    }
}

impl Tool for Recall {
    fn spec(&self) -> ToolSpec {
        ToolSpec {
            name: "recall".to_owned(),
            description: "Looks up what was said, done and noted before, in any language.".to_owned(),
            schema: json!({
                "type": "object",
                "properties": {"query": {"type": "string", "description": "what to look for"}},
                "required": ["query"],
            }),
        }
    }

    fn risk(&self, _: &Value) -> Risk {
        Risk::Reads
    }

    fn call<'a>(&'a self, arguments: &'a Value) -> BoxFuture<'a, Output> {
        Box::pin(async move {
            let query = match text_of(arguments, "query") {
                Ok(query) => query,
                Err(output) => return output,
            };
            let answer = match self.memory.recall(Query { limit: HITS, ..Query::new(query) }).await {
                Ok(answer) => answer,
                Err(error) => return Output::failed(format!("recall failed: {error}")),
            };
            let lines = answer.hits.iter().filter(|hit| hit.trust != Trust::Quarantined).map(|hit| {
                let day = hit.created_at.strftime("%Y-%m-%d");
                let outcome = hit.outcome.map_or(String::new(), |outcome| format!("; ended in {outcome}"));
                let text: String = hit.text.chars().take(HIT_CHARS_MAX).collect();
                format!("- [{}; {day}; from {}{outcome}; id {}] {text}", hit.kind, hit.source, hit.id)
            });
            let text = lines.collect::<Vec<_>>().join("\n");
            Output::done(if text.is_empty() { "nothing is known about that".to_owned() } else { text })
        })
    }
}

/// Keeps a note.
pub struct Remember {
    memory: Arc<dyn Memory>,
    scope: Scope,
    run: String,
}

impl Remember {
    /// Keeps notes of this run in this scope.
    pub fn new(memory: Arc<dyn Memory>, scope: Scope, run: impl Into<String>) -> Remember {
        Remember { memory, scope, run: run.into() }
    }
}

impl Tool for Remember {
    fn spec(&self) -> ToolSpec {
        ToolSpec {
            name: "remember".to_owned(),
            description: "Keeps a short statement for later runs.".to_owned(),
            schema: json!({
                "type": "object",
                "properties": {"text": {"type": "string", "description": "the statement"}},
                "required": ["text"],
            }),
        }
    }

    fn risk(&self, _: &Value) -> Risk {
        Risk::Writes
    }

    fn is_idempotent(&self, _: &Value) -> bool {
        // The same statement in the same run has the same provenance.
        true
    }

    fn call<'a>(&'a self, arguments: &'a Value) -> BoxFuture<'a, Output> {
        Box::pin(async move {
            let text = match text_of(arguments, "text") {
                Ok(text) => text,
                Err(output) => return output,
            };
            let key = format!("remember:{}", &text[..text.floor_char_boundary(200)]);
            let record = Record {
                session: Some(self.run.clone()),
                key: Some(key),
                ..Record::new(self.scope.clone(), "harness-run", Origin::Agent, Note::new(text))
            };
            match self.memory.write(record).await {
                Ok(id) => Output::done(format!("remembered as {id}")),
                Err(error) => Output::failed(format!("it was not kept: {error}")),
            }
        })
    }
}

//! What each tool expects back when something is injected.
//!
//! Only the fields that a tool knows are written: Codex refuses an answer with others. When there is nothing to
//! inject, nothing is written at all, which every tool takes for consent.

use serde_json::{Value, json};

use super::event::{Event, Moment, Tool};

/// The answer that puts `text` in front of the model; `None` where the tool has no place for it.
pub(super) fn context(event: &Event, text: &str) -> Option<Value> {
    match (event.tool, event.moment) {
        (_, Moment::Pause | Moment::Other) => None,
        (Tool::Cursor, Moment::Start) => Some(json!({ "additional_context": text })),
        // Cursor's client takes the field since version 3; its manual does not name it, and older ones pass it over.
        (Tool::Cursor, Moment::Prompt) => Some(json!({ "continue": true, "additional_context": text })),
        (_, Moment::Start | Moment::Prompt) => {
            Some(json!({ "hookSpecificOutput": { "hookEventName": event.name, "additionalContext": text } }))
        }
    }
}

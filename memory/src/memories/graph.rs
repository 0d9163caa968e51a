//! The knowledge graph of the reference MCP memory server: entities with observations, and relations between them, one
//! object a line, or together as `{"entities": […], "relations": […]}`.

use serde_json::Value;

use super::values::each;
use super::{Found, Reading, fingerprint};
use crate::error::Result;
use crate::record::Note;

pub(super) fn read(reading: &mut Reading) -> Result<()> {
    each(reading, &["entities", "relations"], &mut |reading, line, field, value| {
        let text = |name: &str| value[name].as_str().unwrap_or_default().trim();
        match (value["type"].as_str().unwrap_or_default(), field) {
            ("entity", _) | (_, "entities") => entity(reading, line, &value),
            ("relation", _) | (_, "relations") => {
                let (from, how, to) = (text("from"), text("relationType"), text("to"));
                if from.is_empty() || to.is_empty() {
                    reading.problem(line, "it is a relation without both ends");
                    return true;
                }
                let words = if how.is_empty() { "is related to".to_owned() } else { how.replace('_', " ") };
                let key = fingerprint(&["relation", from, how, to]);
                note(reading, format!("{from} {words} {to}"), key, Vec::new())
            }
            _ => {
                reading.problem(line, "it is neither an entity nor a relation");
                true
            }
        }
    })
}

/// Each observation is a note of its own that names what it is about.
fn entity(reading: &mut Reading, line: u64, value: &Value) -> bool {
    let name = value["name"].as_str().unwrap_or_default().trim();
    if name.is_empty() {
        reading.problem(line, "it is an entity without a name");
        return true;
    }
    let kind = value["entityType"].as_str().unwrap_or_default().trim();
    let tags = vec![kind.to_owned()];
    let about = if kind.is_empty() { name.to_owned() } else { format!("{name} ({kind})") };
    let mut observations = value["observations"].as_array().into_iter().flatten().filter_map(|observation| {
        let text = observation.as_str().or_else(|| observation["content"].as_str());
        text.map(str::trim).filter(|text| !text.is_empty())
    });
    let mut any = false;
    let go_on = observations.all(|observation| {
        any = true;
        let key = fingerprint(&["entity", name, observation]);
        note(reading, format!("{about}: {observation}"), key, tags.clone())
    });
    if any { go_on } else { note(reading, about, fingerprint(&["entity", name]), tags) }
}

fn note(reading: &mut Reading, text: String, key: String, tags: Vec<String>) -> bool {
    reading.give(Found { body: Note::new(text).into(), key, created_at: None, tags, owner: None })
}

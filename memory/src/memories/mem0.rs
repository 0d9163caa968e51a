//! mem0: what `get_all` or an export gives, as an array, as `{"results": […]}`, or one object a line.

use serde_json::Value;

use super::values::each;
use super::{Found, Reading, fingerprint, time};
use crate::error::Result;
use crate::record::Note;

pub(super) fn read(reading: &mut Reading) -> Result<()> {
    each(reading, &["results", "memories", "data", "relations"], &mut |reading, line, field, value| {
        if field == "relations" {
            return relation(reading, line, &value);
        }
        let Some(text) = ["memory", "text", "content", "data"].iter().find_map(|name| value[*name].as_str()) else {
            reading.problem(line, "it has no text: none of the fields memory, text and content");
            return true;
        };
        let owner = |name: &str| value[name].as_str().filter(|name| !name.is_empty()).map(str::to_owned);
        let user = owner("user_id");
        let key = match value["id"].as_str() {
            Some(id) => id.to_owned(),
            None => fingerprint(&[user.as_deref().unwrap_or_default(), text]),
        };
        let mut tags: Vec<String> = Vec::new();
        for field in [&value["categories"], &value["metadata"]["tags"]] {
            tags.extend(field.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned));
        }
        tags.extend(value["metadata"]["category"].as_str().map(str::to_owned));
        reading.give(Found {
            body: Note::new(text).into(),
            key,
            // Where it was changed, that is when what it says now was said.
            created_at: time(&value["updated_at"]).or_else(|| time(&value["created_at"])),
            tags,
            owner: user.or_else(|| owner("agent_id")),
        })
    })
}

/// An edge of mem0's graph.
fn relation(reading: &mut Reading, line: u64, value: &Value) -> bool {
    let part = |names: &[&str]| names.iter().find_map(|name| value[*name].as_str()).map(str::to_owned);
    let (from, how, to) = (part(&["source"]), part(&["relationship", "relation"]), part(&["target", "destination"]));
    let (Some(from), Some(how), Some(to)) = (from, how, to) else {
        reading.problem(line, "it is a relation without source, relationship and target");
        return true;
    };
    let text = format!("{from} {} {to}", how.replace('_', " "));
    let key = fingerprint(&[&from, &how, &to]);
    reading.give(Found { body: Note::new(text).into(), key, created_at: None, tags: Vec::new(), owner: None })
}

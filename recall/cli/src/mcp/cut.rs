//! A record cut to what an answer has room for.

use harness_recall::tokens;
use serde_json::{Map, Value};

use crate::serve::problem::Problem;
use crate::serve::types::RecordView;

/// Fewer characters of a text than this, where it has more, are not worth an answer: what stands beside it gives way.
const TEXT_CHARS_MIN: usize = 200;

/// No more characters of a text than this for each token are tried: only blanks have more.
const CHARS_PER_TOKEN_MAX: usize = 16;

/// What stands beside the text is cut to so many characters of each string and so many entries of each list, further and
/// further until it leaves room.
const STEPS: [(usize, usize); 3] = [(400, 20), (120, 8), (40, 3)];

/// What says which record it is: never cut.
const NAMES: &[&str] =
    &["id", "kind", "scope", "source", "session", "key", "created_at", "expires_at", "replaces", "replaced_by"];

/// A record as it is answered.
#[derive(Debug)]
pub(crate) struct Shown {
    /// With `cut` where a part of it is left out, and `next_offset` where its text goes on.
    pub(crate) value: Value,
    /// How many tokens its JSON takes at most.
    pub(crate) tokens: usize,
    /// Whether a part of it is left out.
    pub(crate) cut: bool,
}

/// A record with its text from this character on, within so many tokens; `Err` with how many it takes at least, where even
/// the least of it does not fit.
pub(crate) fn within(view: &RecordView, offset: usize, budget_tokens: usize) -> Result<Result<Shown, usize>, Problem> {
    let value = serde_json::to_value(view).map_err(|error| Problem::internal(&error))?;
    let Value::Object(mut record) = value else { return Ok(Err(usize::MAX)) };
    let field = if record.contains_key("situation") { "situation" } else { "text" };
    let text = match record.get(field) {
        Some(Value::String(text)) => text.clone(),
        _ => String::new(),
    };
    let chars = text.chars().count();
    if offset > 0 && offset >= chars {
        return Err(Problem::bad_request(format!("offset {offset} is past the end: the text has {chars} characters")));
    }
    let text: String = text.chars().skip(offset).collect();
    if offset > 0 {
        record.insert("offset".to_owned(), offset.into());
        record.insert(field.to_owned(), text.clone().into());
    }
    let whole = size(&record);
    if whole <= budget_tokens {
        return Ok(Ok(Shown { value: Value::Object(record), tokens: whole, cut: false }));
    }
    let left = chars - offset;
    record.insert("cut".to_owned(), true.into());
    // The record with so many characters of its text.
    let with = |record: &mut Map<String, Value>, wanted: usize| {
        record.insert(field.to_owned(), text.chars().take(wanted).collect::<String>().into());
        match wanted < left {
            true => record.insert("next_offset".to_owned(), (offset + wanted).into()),
            false => record.remove("next_offset"),
        };
        size(record)
    };
    let least = left.min(TEXT_CHARS_MIN);
    let mut tokens = with(&mut record, least);
    for (characters, entries) in STEPS {
        if tokens <= budget_tokens {
            break;
        }
        let beside = record.iter_mut().filter(|(name, _)| *name != field);
        beside.for_each(|(name, value)| shorten(name, value, characters, entries));
        tokens = size(&record);
    }
    if tokens > budget_tokens {
        // The messages around it can be asked for by their own.
        record.remove("before");
        record.remove("after");
        tokens = size(&record);
    }
    if tokens > budget_tokens {
        return Ok(Err(tokens));
    }
    // The most characters that fit: `fits` do.
    let (mut fits, mut most) = (least, left.min(budget_tokens.saturating_mul(CHARS_PER_TOKEN_MAX)));
    while fits < most {
        let middle = fits + (most - fits).div_ceil(2);
        if with(&mut record, middle) <= budget_tokens {
            fits = middle;
        } else {
            most = middle - 1;
        }
    }
    let tokens = with(&mut record, fits);
    Ok(Ok(Shown { value: Value::Object(record), tokens, cut: true }))
}

fn size(record: &Map<String, Value>) -> usize {
    serde_json::to_string(record).map_or(usize::MAX, |text| tokens::at_most(&text))
}

/// Cuts what is long in a field, and in what is in it.
fn shorten(name: &str, value: &mut Value, characters: usize, entries: usize) {
    if NAMES.contains(&name) {
        return;
    }
    match value {
        Value::String(text) if text.chars().count() > characters => {
            *text = text.chars().take(characters).collect::<String>() + "…";
        }
        Value::Array(values) => {
            // Of the messages before one the last are the nearest.
            if name == "before" && values.len() > entries {
                values.drain(..values.len() - entries);
            }
            values.truncate(entries);
            values.iter_mut().for_each(|value| shorten("", value, characters, entries));
        }
        Value::Object(fields) => {
            fields.iter_mut().for_each(|(name, value)| shorten(name, value, characters, entries));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use harness_memory::{Body, Episode, Note, Origin, Record, Scope, ToolUse};

    use super::*;

    fn view(body: impl Into<Body>) -> RecordView {
        let record = Record::new(Scope::parse("ana").unwrap(), "test", Origin::User, body);
        RecordView { record, replaced_by: None, before: None, after: None }
    }

    #[test]
    fn a_long_text_is_read_piece_by_piece_to_its_end() {
        let text: String = (0..9_000).map(|number| format!("行 {number} says \"so\". ")).collect();
        let view = view(Note::new(text.clone()));
        let (mut offset, mut read) = (0, String::new());
        loop {
            let shown = within(&view, offset, 2_000).unwrap().unwrap();
            assert!(shown.tokens <= 2_000 && shown.tokens > 1_500 || !shown.cut, "{}", shown.tokens);
            read.push_str(shown.value["text"].as_str().unwrap());
            let Some(next) = shown.value["next_offset"].as_u64() else { break };
            assert!(shown.cut && shown.value["cut"] == true && next as usize > offset);
            offset = next as usize;
        }
        assert_eq!(read, text);
        assert_eq!(within(&view, text.chars().count(), 2_000).unwrap_err().status, 400);
    }

    #[test]
    fn what_stands_beside_a_text_gives_way_to_it() {
        let used = |number| ToolUse { tool: format!("tool-{number}"), gist: "g".repeat(900), ok: None, error: None };
        let episode = Episode { tools: (0..200).map(used).collect(), ..Episode::new("deploy ".repeat(2_000)) };
        let view = view(episode);
        let shown = within(&view, 0, 1_000).unwrap().unwrap();
        assert!(shown.cut && shown.tokens <= 1_000, "{}", shown.value);
        assert!(shown.value["situation"].as_str().unwrap().len() >= TEXT_CHARS_MIN);
        assert!(shown.value["next_offset"].as_u64().unwrap() >= TEXT_CHARS_MIN as u64);
        let least = within(&view, 0, 10).unwrap().unwrap_err();
        assert!(within(&view, 0, least).unwrap().is_ok(), "so many are enough");
    }

    #[test]
    fn a_record_that_fits_is_whole() {
        let shown = within(&view(Note::new("short")), 0, 2_000).unwrap().unwrap();
        assert!(!shown.cut && shown.value["text"] == "short" && shown.value.get("cut").is_none());
    }
}

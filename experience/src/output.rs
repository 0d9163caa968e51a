//! Output that is bound to a JSON schema: parse, mend what is only cosmetic, check.
//!
//! A schema is checked in full or refused: a rule that was passed over would let through what does not fit.

mod schema;

use serde_json::Value;

use self::schema::Schema;

/// Whether [`bound`] checks everything that a schema asks for; else the first thing that it does not, and its place.
///
/// Checked are types, `enum`, `const`, the bounds of numbers, lengths and sizes, `pattern`, `required`, `properties`,
/// `additionalProperties`, `items`, `prefixItems`, `uniqueItems`, `anyOf`, `oneOf`, `allOf`, `not`, and a `$ref` into the
/// schema itself. Annotations, `format` among them, ask nothing. Any other keyword is refused.
pub fn checkable(schema: &Value) -> Result<(), String> {
    Schema::read(schema).map(drop)
}

/// The value that a model's text holds, checked against a schema; the error is for the model, to do better.
///
/// Cosmetic repair: a fenced block, words around the outermost object or list, and commas before a closing bracket.
/// Nothing fits a schema that is not [`checkable`]; ask that first, since no model can mend it.
pub fn bound(text: &str, schema: &Value) -> Result<Value, String> {
    let schema = Schema::read(schema)?;
    let value = parse(text)?;
    let wrong = schema.faults(&value);
    if wrong.is_empty() { Ok(value) } else { Err(wrong.join("; ")) }
}

/// What to tell a model whose output did not fit.
pub fn repair_request(wrong: &str, schema: &Value) -> String {
    format!(
        "Your answer does not fit the schema: {wrong}. Answer again with the JSON value alone, for this schema:\n{schema}"
    )
}

/// What to tell a model whose output has to fit.
pub fn request(schema: &Value) -> String {
    format!("When you are done, answer with one JSON value alone that fits this schema:\n{schema}")
}

fn parse(text: &str) -> Result<Value, String> {
    let text = text.trim();
    if let Ok(value) = serde_json::from_str(text) {
        return Ok(value);
    }
    let inner = fenced(text).unwrap_or(text);
    if let Ok(value) = serde_json::from_str(inner.trim()) {
        return Ok(value);
    }
    let outermost = |open: char, close: char| -> Option<&str> {
        let (start, end) = (inner.find(open)?, inner.rfind(close)?);
        (start < end).then(|| &inner[start..=end])
    };
    let (object, list) = (outermost('{', '}'), outermost('[', ']'));
    let mut candidates: Vec<&str> = object.into_iter().chain(list).collect();
    candidates.sort_by_key(|candidate| std::cmp::Reverse(candidate.len()));
    for candidate in candidates {
        for mended in [candidate.to_owned(), without_last_commas(candidate)] {
            if let Ok(value) = serde_json::from_str(&mended) {
                return Ok(value);
            }
        }
    }
    Err("it holds no JSON value".to_owned())
}

/// What stands in the first fenced block.
fn fenced(text: &str) -> Option<&str> {
    let after = &text[text.find("```")? + 3..];
    let body = &after[after.find('\n')? + 1..];
    Some(&body[..body.find("```")?])
}

/// The text without commas before a closing bracket, outside strings.
fn without_last_commas(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let (mut in_string, mut escaped) = (false, false);
    for (at, c) in text.char_indices() {
        if in_string {
            in_string = escaped || c != '"';
            escaped = c == '\\' && !escaped;
        } else if c == '"' {
            in_string = true;
        } else if c == ',' && text[at + 1..].trim_start().starts_with(['}', ']']) {
            continue;
        }
        kept.push(c);
    }
    kept
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn cosmetic_faults_are_mended_and_real_ones_are_named() {
        let schema = json!({
            "type": "object", "required": ["city", "days"], "additionalProperties": false,
            "properties": {"city": {"type": "string", "minLength": 1}, "days": {"type": "integer", "minimum": 1}},
        });
        let right = json!({"city": "上海", "days": 3});
        for text in [
            r#"{"city": "上海", "days": 3}"#,
            "Here you are:\n```json\n{\"city\": \"上海\", \"days\": 3,}\n```\nbye",
            r#"The answer is {"city": "上海", "days": 3}."#,
        ] {
            assert_eq!(bound(text, &schema).as_ref(), Ok(&right), "{text}");
        }
        let wrong = bound(r#"{"city": "", "days": 0.5, "x": 1}"#, &schema).unwrap_err();
        assert_eq!(
            wrong,
            "$.city has 0 parts, which is out of bounds; $.days is not of type integer; $.x is not expected"
        );
        assert!(bound("no idea", &schema).unwrap_err().contains("no JSON"));
        assert_eq!(bound(r#"{"city": "a, }", "days": 1}"#, &schema).unwrap()["city"], "a, }");
    }
}

//! Output that is bound to a JSON schema: parse, mend what is only cosmetic, check.

use serde_json::Value;

/// How deep a schema is followed: a model's output is a form, not a tree of unknown depth.
const DEPTH_MAX: usize = 32;

/// The value that a model's text holds, checked against a schema; the error is for the model, to do better.
///
/// Cosmetic repair: a fenced block, words around the outermost object or list, and commas before a closing bracket.
pub fn bound(text: &str, schema: &Value) -> Result<Value, String> {
    let value = parse(text)?;
    let mut wrong = Vec::new();
    check(&value, schema, "$", &mut wrong, 0);
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

/// Notes what of a value does not fit: type, enum, const, required, properties, additionalProperties, items, and the
/// bounds of lengths and numbers. Other keywords are not looked at.
fn check(value: &Value, schema: &Value, at: &str, wrong: &mut Vec<String>, depth: usize) {
    let Some(rules) = schema.as_object() else { return };
    if depth > DEPTH_MAX || wrong.len() >= 8 {
        return;
    }
    let fits = |name: &str| match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64() || value.as_f64().is_some_and(|number| number.fract() == 0.0),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        _ => true,
    };
    let types: Vec<&str> = match rules.get("type") {
        Some(Value::String(name)) => vec![name],
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    if !types.is_empty() && !types.iter().any(|name| fits(name)) {
        wrong.push(format!("{at} is not of type {}", types.join(" or ")));
        return;
    }
    if let Some(allowed) = rules.get("enum").and_then(Value::as_array)
        && !allowed.contains(value)
    {
        wrong.push(format!("{at} is none of {}", Value::Array(allowed.clone())));
    }
    if let Some(constant) = rules.get("const")
        && constant != value
    {
        wrong.push(format!("{at} is not {constant}"));
    }
    let number = |name: &str| rules.get(name).and_then(Value::as_f64);
    if let Some(size) = value.as_f64()
        && (number("minimum").is_some_and(|least| size < least) || number("maximum").is_some_and(|most| size > most))
    {
        wrong.push(format!("{at} is out of bounds"));
    }
    let length = match value {
        Value::String(text) => Some((text.chars().count(), "minLength", "maxLength")),
        Value::Array(items) => Some((items.len(), "minItems", "maxItems")),
        _ => None,
    };
    if let Some((length, least, most)) = length
        && (number(least).is_some_and(|least| (length as f64) < least)
            || number(most).is_some_and(|most| length as f64 > most))
    {
        wrong.push(format!("{at} has {length} parts, which is out of bounds"));
    }
    if let Some(object) = value.as_object() {
        for name in rules.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str) {
            if !object.contains_key(name) {
                wrong.push(format!("{at}.{name} is missing"));
            }
        }
        let properties = rules.get("properties").and_then(Value::as_object);
        for (name, value) in object {
            match properties.and_then(|properties| properties.get(name)) {
                Some(schema) => check(value, schema, &format!("{at}.{name}"), wrong, depth + 1),
                None if rules.get("additionalProperties") == Some(&Value::Bool(false)) => {
                    wrong.push(format!("{at}.{name} is not expected"));
                }
                None => {}
            }
        }
    }
    if let (Some(items), Some(schema)) = (value.as_array(), rules.get("items")) {
        for (number, item) in items.iter().enumerate() {
            check(item, schema, &format!("{at}[{number}]"), wrong, depth + 1);
        }
    }
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

//! Query strings as the same serde types that bodies are read as.

use std::collections::BTreeMap;
use std::sync::Arc;

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::problem::Problem;

/// The longest query string that is read.
const QUERY_STRING_BYTES_MAX: usize = 16 << 10;

/// Which fields a query string can have, and how each is read.
#[derive(Clone)]
pub(crate) struct QueryShape(Arc<BTreeMap<String, Field>>);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Field {
    Text,
    Number,
    YesNo,
    /// May be given several times.
    Many,
}

impl QueryShape {
    /// The shape that a type's schema describes.
    pub(crate) fn of<T: JsonSchema>() -> QueryShape {
        let mut fields = BTreeMap::new();
        for (name, schema, _) in properties::<T>() {
            let kind = match schema.get("type").and_then(Value::as_str) {
                Some("integer" | "number") => Field::Number,
                Some("boolean") => Field::YesNo,
                Some("array") => Field::Many,
                _ => Field::Text,
            };
            fields.insert(name, kind);
        }
        QueryShape(Arc::new(fields))
    }

    /// Reads a query string; a field that is not known, or comes twice where one is meant, is an error that names it.
    pub(crate) fn read<T: DeserializeOwned>(&self, query: &str) -> Result<T, Problem> {
        if query.len() > QUERY_STRING_BYTES_MAX {
            return Err(Problem::bad_request(format!(
                "the query string is longer than {QUERY_STRING_BYTES_MAX} bytes"
            )));
        }
        let mut object = Map::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (name, value) = (decode(name)?, decode(value)?);
            let Some(field) = self.0.get(&name) else {
                let known: Vec<&str> = self.0.keys().map(String::as_str).collect();
                let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
                return Err(Problem::bad_request(format!("{name:?} is no parameter here; there are: {known}")));
            };
            if *field == Field::Many {
                if let Value::Array(values) = object.entry(name).or_insert_with(|| Value::Array(Vec::new())) {
                    values.push(Value::String(value));
                }
                continue;
            }
            let value = match field {
                Field::Number => {
                    let number = value.parse::<i64>().ok().filter(|_| !value.starts_with('+'));
                    let wrong = || Problem::bad_request(format!("{name}: {value:?} is no whole number"));
                    Value::from(number.ok_or_else(wrong)?)
                }
                Field::YesNo => match value.as_str() {
                    "true" => Value::Bool(true),
                    "false" => Value::Bool(false),
                    _ => return Err(Problem::bad_request(format!("{name}: {value:?} is neither true nor false"))),
                },
                Field::Text | Field::Many => Value::String(value),
            };
            if object.insert(name.clone(), value).is_some() {
                return Err(Problem::bad_request(format!("{name} is given twice")));
            }
        }
        serde_json::from_value(Value::Object(object))
            .map_err(|error| Problem::bad_request(format!("the query string is not understood: {error}")))
    }
}

/// The properties of a type: name, schema without `null`, and whether it is required.
pub(crate) fn properties<T: JsonSchema>() -> Vec<(String, Value, bool)> {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.inline_subschemas = true;
        settings.meta_schema = None;
    });
    let schema = settings.into_generator().into_root_schema_for::<T>().to_value();
    let required: Vec<&str> = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let properties = schema["properties"].as_object().into_iter().flatten();
    properties.map(|(name, schema)| (name.clone(), without_null(schema), required.contains(&name.as_str()))).collect()
}

/// A schema without the possibility of `null`, which a query string cannot say.
fn without_null(schema: &Value) -> Value {
    let mut schema = schema.clone();
    if let Some(object) = schema.as_object_mut() {
        if let Some(Value::Array(types)) = object.get_mut("type") {
            types.retain(|kind| kind != "null");
            if let [one] = types.as_slice() {
                let one = one.clone();
                object.insert("type".to_owned(), one);
            }
        }
        if let Some(Value::Array(any)) = object.get_mut("anyOf") {
            any.retain(|one| one["type"] != "null");
            if let [Value::Object(one)] = any.as_slice() {
                let one = one.clone();
                object.remove("anyOf");
                object.extend(one);
            }
        }
        if let Some(Value::Array(values)) = object.get_mut("enum") {
            values.retain(|value| !value.is_null());
        }
        if object.get("default").is_some_and(Value::is_null) {
            object.remove("default");
        }
    }
    schema
}

/// Undoes the escapes of a query string.
fn decode(text: &str) -> Result<String, Problem> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
                let (Some(high), Some(low)) = (digit(rest.next()), digit(rest.next())) else {
                    return Err(Problem::bad_request("the query string has a % without two hex digits"));
                };
                (high * 16 + low) as u8
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).map_err(|_| Problem::bad_request("the query string is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::types::RecordsQuery;

    fn read(query: &str) -> Result<RecordsQuery, Problem> {
        QueryShape::of::<RecordsQuery>().read(query)
    }

    #[test]
    fn a_query_string_is_read_as_its_type() {
        let query = read("limit=7&kind=note&kind=message&source=a%20b+c%2B&scope=%3Dana&since=2026-05-01").unwrap();
        assert_eq!((query.limit.get(), query.kind.len(), query.source.as_deref()), (7, 2, Some("a b c+")));
        assert_eq!(query.scope[0].0.to_string(), "=ana");
        assert_eq!(read("").unwrap().limit.get(), 50);
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (query, named) in [
            ("limits=7", "limits"),
            ("limit=7&limit=8", "twice"),
            ("limit=0", "1 to 500"),
            ("limit=x", "whole number"),
            ("kind=nonsense", "nonsense"),
            ("scope=a//b", "segment is empty"),
            ("source=%zz", "hex"),
            ("source=%ff", "UTF-8"),
        ] {
            let problem = read(query).unwrap_err();
            assert!(problem.status == 400 && problem.detail.contains(named), "{query}: {}", problem.detail);
        }
    }
}

//! `Idempotency-Key`: a request by the name that its sender gives it, and by all that it says.

use harness_memory::sqlite::Request;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::grant::Grant;
use super::problem::Problem;

/// The longest `Idempotency-Key`, in bytes: a UUID, or a name of that order.
const KEY_BYTES_MAX: usize = 200;

/// The request that this caller named so: sent again under that name it must say the same in the same place, such as
/// `POST /v1/notes`.
pub(crate) fn request(grant: &Grant, key: &str, place: &str, body: &Value) -> Result<Request, Problem> {
    if key.trim().is_empty() || key.len() > KEY_BYTES_MAX {
        return Err(Problem::bad_request(format!("an Idempotency-Key has 1 to {KEY_BYTES_MAX} bytes")));
    }
    let mut said = Sha256::new_with_prefix(format!("{place}\n"));
    hash(body, &mut said);
    Ok(Request { name: Sha256::digest(format!("{} {key}", grant.name)).into(), print: said.finalize().into() })
}

/// Hashes what a value says, however its fields are ordered.
fn hash(value: &Value, into: &mut Sha256) {
    match value {
        Value::Array(values) => {
            into.update(format!("[{}", values.len()));
            values.iter().for_each(|value| hash(value, into));
        }
        Value::Object(fields) => {
            into.update(format!("{{{}", fields.len()));
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_by_key(|(name, _)| *name);
            for (name, value) in fields {
                into.update(format!("{}:{name}", name.len()));
                hash(value, into);
            }
        }
        Value::String(text) => into.update(format!("\"{}:{text}", text.len())),
        plain => into.update(format!("{plain};")),
    }
}

#[cfg(test)]
mod tests {
    use harness_memory::Scope;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_request_is_the_same_where_it_says_the_same_and_nowhere_else() {
        let grant = |name: &str| Grant::everything(name, Scope::root());
        let of = |name: &str, key: &str, place: &str, body: Value| request(&grant(name), key, place, &body).unwrap();
        let plain = of("own", "k", "POST /v1/notes", json!({ "text": "a", "tags": ["b"] }));
        let fields: Value = serde_json::from_str(r#"{ "tags": ["b"], "text": "a" }"#).unwrap();
        assert_eq!(of("own", "k", "POST /v1/notes", fields), plain);
        for (place, body) in [
            ("POST /v1/records", json!({ "text": "a", "tags": ["b"] })),
            ("POST /v1/notes", json!([{ "text": "a", "tags": ["b"] }])),
            ("POST /v1/notes", json!({ "text": "a", "tags": ["b"], "pinned": true })),
            ("POST /v1/notes", json!({ "text": "a", "tags": ["b", ""] })),
        ] {
            let other = of("own", "k", place, body);
            assert!(other.name == plain.name && other.print != plain.print);
        }
        let others = of("eve", "k", "POST /v1/notes", json!({ "text": "a", "tags": ["b"] }));
        assert!(others.name != plain.name && others.print == plain.print);
        assert!(request(&grant("own"), &"k".repeat(201), "", &Value::Null).is_err());
    }
}

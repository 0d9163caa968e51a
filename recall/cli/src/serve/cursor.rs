//! Opaque cursors: where a listing goes on.

use axum::http::StatusCode;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::problem::Problem;

/// Where a listing goes on: a place, and the listing that it belongs to. Clients hand it back and read nothing from it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Cursor(String);

impl Cursor {
    /// The cursor behind this place of a listing; `listing` names the listing with all its filters.
    pub(crate) fn new(place: i64, listing: &str) -> Cursor {
        Cursor(format!("{:016x}{}", place as u64 ^ mask(listing), check(place, listing)))
    }

    /// The place, when the cursor is one of this listing.
    pub(crate) fn place(&self, listing: &str) -> Result<i64, Problem> {
        let unknown = || {
            let detail = "this cursor is of another listing: ask again without it, or with the filters it came from";
            Problem::new(StatusCode::NOT_FOUND, "unknown-cursor", detail)
        };
        if self.0.len() != 32 || !self.0.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(Problem::bad_request("a cursor has 32 hex digits: give back `next` as it came"));
        }
        let place = u64::from_str_radix(&self.0[..16], 16).map_err(|_| unknown())? ^ mask(listing);
        if check(place as i64, listing) != self.0[16..] {
            return Err(unknown());
        }
        Ok(place as i64)
    }
}

fn mask(listing: &str) -> u64 {
    let digest = Sha256::digest(listing.as_bytes());
    digest[..8].iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

fn check(place: i64, listing: &str) -> String {
    let digest = Sha256::digest(format!("{place}\n{listing}").as_bytes());
    digest[..8].iter().map(|byte| format!("{byte:02x}")).collect()
}

impl JsonSchema for Cursor {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Cursor".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[0-9a-f]{32}$" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_known_to_its_own_listing_alone() {
        for place in [0, 1, 77, i64::MAX] {
            let cursor = Cursor::new(place, "records kind=note");
            assert_eq!(cursor.place("records kind=note").unwrap(), place);
            assert_eq!(cursor.place("records kind=message").unwrap_err().code, "unknown-cursor");
        }
        assert_eq!(Cursor("12".to_owned()).place("x").unwrap_err().code, "bad-request");
        assert_eq!(Cursor("é".repeat(16)).place("x").unwrap_err().code, "bad-request");
    }
}

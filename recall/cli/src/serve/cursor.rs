//! Opaque cursors: where a listing goes on.

use std::sync::LazyLock;

use axum::http::StatusCode;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::problem::Problem;

/// How often a place is stirred: four rounds of a good function look like chance.
const ROUNDS: u8 = 4;

/// Where a listing goes on: a place, and the listing that it belongs to. Clients hand it back and read nothing from it: the
/// place counts everybody's records, and is hidden by a secret of the process, with which a cursor ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Cursor(String);

impl Cursor {
    /// The cursor behind this place of a listing; `listing` names the listing with all its filters.
    pub(crate) fn new(place: i64, listing: &str) -> Cursor {
        Cursor(format!("{:016x}{}", hide(place, listing), check(place, listing)))
    }

    /// The place, when the cursor is one of this listing.
    pub(crate) fn place(&self, listing: &str) -> Result<i64, Problem> {
        let unknown = || {
            let detail = "this cursor is of another listing, or of a server that has ended: ask again without it, or with its filters";
            Problem::new(StatusCode::NOT_FOUND, "unknown-cursor", detail)
        };
        if self.0.len() != 32 || !self.0.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(Problem::bad_request("a cursor has 32 hex digits: give back `next` as it came"));
        }
        let place = reveal(u64::from_str_radix(&self.0[..16], 16).map_err(|_| unknown())?, listing);
        if check(place, listing) != self.0[16..] {
            return Err(unknown());
        }
        Ok(place)
    }
}

/// What this process hides places with.
fn secret() -> &'static [u8; 32] {
    static SECRET: LazyLock<[u8; 32]> = LazyLock::new(|| {
        let mut secret = [0; 32];
        // A process that is given no random numbers has no token either, and serves nobody.
        let _ = getrandom::fill(&mut secret);
        secret
    });
    &SECRET
}

/// A place of a listing as a cursor: a cipher of four rounds, so that two cursors do not say how far apart they are.
fn hide(place: i64, listing: &str) -> u64 {
    let (mut left, mut right) = ((place as u64 >> 32) as u32, place as u32);
    for round in 0..ROUNDS {
        (left, right) = (right, left ^ scramble(round, right, listing));
    }
    u64::from(left) << 32 | u64::from(right)
}

/// The place that [`hide`] hid.
fn reveal(hidden: u64, listing: &str) -> i64 {
    let (mut left, mut right) = ((hidden >> 32) as u32, hidden as u32);
    for round in (0..ROUNDS).rev() {
        (left, right) = (right ^ scramble(round, left, listing), left);
    }
    (u64::from(left) << 32 | u64::from(right)) as i64
}

fn scramble(round: u8, half: u32, listing: &str) -> u32 {
    let parts = [secret().as_slice(), &[round], &half.to_le_bytes(), listing.as_bytes()];
    let digest = Sha256::digest(parts.concat());
    u32::from_le_bytes([digest[0], digest[1], digest[2], digest[3]])
}

fn check(place: i64, listing: &str) -> String {
    let digest = Sha256::digest([secret().as_slice(), &place.to_le_bytes(), listing.as_bytes()].concat());
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
            assert_eq!(&*cursor.place("records kind=message").unwrap_err().code, "unknown-cursor");
        }
        let hidden = |place| u64::from_str_radix(&Cursor::new(place, "x").0[..16], 16).unwrap();
        assert_ne!(hidden(7) ^ hidden(8), 7 ^ 8, "how far two places are apart is not said");
        assert_eq!(&*Cursor("12".to_owned()).place("x").unwrap_err().code, "bad-request");
        assert_eq!(&*Cursor("é".repeat(16)).place("x").unwrap_err().code, "bad-request");
    }
}

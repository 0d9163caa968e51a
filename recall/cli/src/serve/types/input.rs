//! Values of requests that are checked as they are read, with the schema that says the same.

use std::borrow::Cow;
use std::fmt;

use harness_memory::Scope;
use harness_memory::scope::Readable;
use jiff::Timestamp;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::when::{self, Present};

/// A value given as a string and parsed by `T`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Parsed<T>(pub(crate) T);

/// What a string must look like to be a `T`.
pub(crate) trait Written: Sized + fmt::Display {
    const NAME: &'static str;
    fn parse(text: &str) -> Result<Self, String>;
    fn schema() -> Schema;
}

impl<'de, T: Written> Deserialize<'de> for Parsed<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(from)?;
        T::parse(&text).map(Parsed).map_err(de::Error::custom)
    }
}

impl<T: Written> Serialize for Parsed<T> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&self.0)
    }
}

impl<T: Written> JsonSchema for Parsed<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        T::NAME.into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        T::schema()
    }
}

/// A path of one to eight segments of `[a-z0-9._-]`, not of dots alone; `/` is the root.
const SCOPE_PATTERN: &str = r"^(/|(?!\.+(/|$))[a-z0-9._-]{1,64}(/(?!\.+(/|$))[a-z0-9._-]{1,64}){0,7})$";

impl Written for Scope {
    const NAME: &'static str = "Scope";

    fn parse(text: &str) -> Result<Scope, String> {
        let scope = Scope::parse(text).map_err(|error| error.to_string())?;
        // What is written otherwise than it is kept would not be found under the name it was given.
        if scope.to_string() != text {
            return Err(format!("the scope {text:?} is written {:?}", scope.to_string()));
        }
        Ok(scope)
    }

    fn schema() -> Schema {
        json_schema!({ "type": "string", "pattern": SCOPE_PATTERN, "examples": ["ana/webshop-1a2b3c4d"] })
    }
}

impl Written for Readable {
    const NAME: &'static str = "Readable";

    fn parse(text: &str) -> Result<Readable, String> {
        match text.strip_prefix('=') {
            Some(path) => <Scope as Written>::parse(path).map(Readable::Exactly),
            None => <Scope as Written>::parse(text).map(Readable::Within),
        }
    }

    fn schema() -> Schema {
        let pattern = format!("^=?{}", &SCOPE_PATTERN[1..]);
        json_schema!({
            "type": "string", "pattern": pattern,
            "description": "A scope with all inside it, or `=` and a scope alone.", "examples": ["ana", "=ana"],
        })
    }
}

impl Written for Timestamp {
    const NAME: &'static str = "Time";

    fn parse(text: &str) -> Result<Timestamp, String> {
        when::parse(text)
    }

    fn schema() -> Schema {
        json_schema!({
            "description": "A time as in RFC 3339, or a date, which is its beginning in UTC.",
            "anyOf": [{ "type": "string", "format": "date-time" }, { "type": "string", "format": "date" }],
        })
    }
}

impl Written for Present {
    const NAME: &'static str = "Present";

    fn parse(text: &str) -> Result<Present, String> {
        when::parse_present(text)
    }

    fn schema() -> Schema {
        <Timestamp as Written>::schema()
    }
}

/// A number of things, from 1 to `MAX`; `DEFAULT` when none is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub(crate) struct Limit<const MAX: u32, const DEFAULT: u32>(pub(crate) u32);

impl<const MAX: u32, const DEFAULT: u32> Default for Limit<MAX, DEFAULT> {
    fn default() -> Self {
        Limit(DEFAULT)
    }
}

impl<const MAX: u32, const DEFAULT: u32> Limit<MAX, DEFAULT> {
    pub(crate) fn get(self) -> usize {
        self.0 as usize
    }
}

impl<'de, const MAX: u32, const DEFAULT: u32> Deserialize<'de> for Limit<MAX, DEFAULT> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let number = from.deserialize_any(WholeNumber)?;
        if (1..=MAX).contains(&number) {
            Ok(Limit(number))
        } else {
            Err(de::Error::custom(format!("{number} is out of range: 1 to {MAX}")))
        }
    }
}

impl<const MAX: u32, const DEFAULT: u32> JsonSchema for Limit<MAX, DEFAULT> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("Limit{MAX}").into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "integer", "minimum": 1, "maximum": MAX, "default": DEFAULT })
    }
}

/// A whole number: JSON Schema counts 5.0 as one.
struct WholeNumber;

impl Visitor<'_> for WholeNumber {
    type Value = u32;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a whole number")
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<u32, E> {
        u32::try_from(number).map_err(|_| E::custom(format!("{number} is out of range")))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<u32, E> {
        u32::try_from(number).map_err(|_| E::custom(format!("{number} is out of range")))
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<u32, E> {
        if number.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(&number) {
            return Ok(number as u32);
        }
        Err(E::custom(format!("{number} is no whole number, or out of range")))
    }
}

/// Nothing to say: the route takes no body and no query.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Nothing {}

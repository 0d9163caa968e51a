//! A JSON schema held against a value.

use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};

use regex::Regex;
use serde_json::{Map, Number, Value};

/// How deep a schema is followed: no JSON text is read that is nested deeper.
const DEPTH_MAX: usize = 128;

/// How often a schema, or a part of it, is held against a part of one value: choices within choices multiply.
const STEPS_MAX: usize = 200_000;

/// How many faults are told: a model mends the first ones and is asked again.
const WRONG_MAX: usize = 8;

/// Keywords that say something to people and ask nothing of a value. `discriminator` only says which choice is meant.
const ANNOTATIONS: &[&str] = &[
    "$comment",
    "$id",
    "$schema",
    "contentEncoding",
    "contentMediaType",
    "default",
    "deprecated",
    "description",
    "discriminator",
    "example",
    "examples",
    "format",
    "readOnly",
    "title",
    "writeOnly",
];

/// The types that a schema can ask for.
const TYPES: &[&str] = &["array", "boolean", "integer", "null", "number", "object", "string"];

/// A schema of which every part is understood.
pub(super) struct Schema<'s> {
    root: &'s Value,
    /// What its references mean.
    references: HashMap<&'s str, &'s Value>,
    patterns: HashMap<&'s str, Regex>,
}

impl<'s> Schema<'s> {
    pub(super) fn read(root: &'s Value) -> Result<Schema<'s>, String> {
        let mut schema = Schema { root, references: HashMap::new(), patterns: HashMap::new() };
        // A list and no recursion: references may form a long chain.
        let mut parts = vec![("#".to_owned(), root)];
        while let Some((at, part)) = parts.pop() {
            match part {
                Value::Bool(_) => {}
                Value::Object(rules) => {
                    for (keyword, rule) in rules {
                        schema.read_rule(&at, keyword, rule, &mut parts)?;
                    }
                }
                _ => return Err(format!("the schema at {at} is neither an object nor true or false")),
            }
        }
        Ok(schema)
    }

    /// Takes one rule, and adds the schemas in it to the parts that are still to be read.
    fn read_rule(
        &mut self,
        at: &str,
        keyword: &str,
        rule: &'s Value,
        parts: &mut Vec<(String, &'s Value)>,
    ) -> Result<(), String> {
        let is_type = |name: &Value| name.as_str().is_some_and(|name| TYPES.contains(&name));
        let list = rule.as_array();
        let (right, wanted) = match keyword {
            "type" => (is_type(rule) || list.is_some_and(|list| list.iter().all(is_type)), "a type or a list of types"),
            "enum" => (list.is_some(), "a list"),
            "const" => (true, "a value"),
            "required" => (list.is_some_and(|list| list.iter().all(Value::is_string)), "a list of names"),
            "minimum" | "maximum" | "exclusiveMinimum" | "exclusiveMaximum" => (rule.is_number(), "a number"),
            "multipleOf" => (rule.as_f64().is_some_and(|step| step > 0.0), "a number above zero"),
            "minLength" | "maxLength" | "minItems" | "maxItems" | "minProperties" | "maxProperties" => {
                (rule.as_f64().is_some_and(|size| size >= 0.0 && size.fract() == 0.0), "a whole number")
            }
            "uniqueItems" => (rule.is_boolean(), "true or false"),
            "items" | "additionalProperties" | "not" => {
                parts.push((format!("{at}/{keyword}"), rule));
                (rule.is_object() || rule.is_boolean(), "one schema")
            }
            "properties" | "$defs" | "definitions" => {
                let named = rule.as_object().into_iter().flatten();
                parts.extend(named.map(|(name, part)| (format!("{at}/{keyword}/{name}"), part)));
                (rule.is_object(), "schemas by their names")
            }
            "prefixItems" | "anyOf" | "oneOf" | "allOf" => {
                let numbered = list.into_iter().flatten().enumerate();
                parts.extend(numbered.map(|(number, part)| (format!("{at}/{keyword}/{number}"), part)));
                (list.is_some_and(|list| !list.is_empty()), "a list of schemas")
            }
            "pattern" => {
                if let Some(text) = rule.as_str() {
                    let pattern = Regex::new(&as_regex(text));
                    let pattern =
                        pattern.map_err(|_| format!("the pattern {text:?} at {at} cannot be checked here"))?;
                    self.patterns.insert(text, pattern);
                }
                (rule.is_string(), "a text")
            }
            "$ref" => {
                if let Some(name) = rule.as_str()
                    && !self.references.contains_key(name)
                {
                    let target = resolve(self.root, name).ok_or_else(|| {
                        format!("the $ref {name:?} at {at} names no place in this schema, such as #/$defs/name")
                    })?;
                    self.references.insert(name, target);
                    parts.push((name.to_owned(), target));
                }
                (rule.is_string(), "a text")
            }
            annotation if ANNOTATIONS.contains(&annotation) => (true, ""),
            _ => return Err(format!("the schema's keyword {keyword} at {at} cannot be checked here")),
        };
        if right { Ok(()) } else { Err(format!("the schema's keyword {keyword} at {at} is not {wanted}")) }
    }

    /// What of a value does not fit: the first faults.
    pub(super) fn faults(&self, value: &Value) -> Vec<String> {
        let mut check = Check { schema: self, steps: 0, exceeded: None };
        let wrong = check.faults(value, self.root, "$", 0);
        // What was not looked at to its end fits nothing, not even a `not`.
        check.exceeded.map_or(wrong, |exceeded| vec![exceeded])
    }
}

/// One value held against a schema.
struct Check<'s> {
    schema: &'s Schema<'s>,
    steps: usize,
    /// Which limit was reached, and where.
    exceeded: Option<String>,
}

impl Check<'_> {
    fn faults(&mut self, value: &Value, schema: &Value, at: &str, depth: usize) -> Vec<String> {
        self.steps += 1;
        if self.exceeded.is_none() && depth > DEPTH_MAX {
            self.exceeded = Some(format!("{at} is nested too deep to be checked: more than {DEPTH_MAX} steps"));
        }
        if self.exceeded.is_none() && self.steps > STEPS_MAX {
            self.exceeded = Some(format!("the value takes more than {STEPS_MAX} steps to check"));
        }
        let rules = match schema {
            _ if self.exceeded.is_some() => return Vec::new(),
            Value::Bool(false) => return vec![format!("{at} is not expected")],
            Value::Object(rules) => rules,
            _ => return Vec::new(),
        };
        let types: Vec<&str> = match rules.get("type") {
            Some(Value::String(name)) => vec![name],
            Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
            _ => TYPES.to_vec(),
        };
        if !types.iter().any(|name| is_of_type(value, name)) {
            return vec![format!("{at} is not of type {}", types.join(" or "))];
        }
        let mut wrong = Vec::new();
        if let Some(allowed) = rules.get("enum").and_then(Value::as_array)
            && !allowed.iter().any(|allowed| plain(allowed) == plain(value))
        {
            wrong.push(format!("{at} is none of {}", Value::Array(allowed.clone())));
        }
        if let Some(constant) = rules.get("const")
            && plain(constant) != plain(value)
        {
            wrong.push(format!("{at} is not {constant}"));
        }
        match value {
            Value::Number(number) => wrong.extend(number_fault(number, rules, at)),
            Value::String(text) => {
                wrong.extend(size_fault(text.chars().count(), "Length", rules, at));
                if let Some(pattern) = rules.get("pattern").and_then(Value::as_str)
                    && !self.schema.patterns.get(pattern).is_some_and(|regex| regex.is_match(text))
                {
                    wrong.push(format!("{at} does not match {pattern}"));
                }
            }
            Value::Array(items) => self.items(items, rules, at, depth, &mut wrong),
            Value::Object(members) => self.members(members, rules, at, depth, &mut wrong),
            Value::Null | Value::Bool(_) => {}
        }
        self.combined(value, rules, at, depth, &mut wrong);
        wrong.truncate(WRONG_MAX);
        wrong
    }

    fn items(&mut self, items: &[Value], rules: &Map<String, Value>, at: &str, depth: usize, wrong: &mut Vec<String>) {
        wrong.extend(size_fault(items.len(), "Items", rules, at));
        if rules.get("uniqueItems") == Some(&Value::Bool(true)) {
            let mut known = HashSet::new();
            if let Some(twice) = items.iter().position(|item| !known.insert(plain(item))) {
                wrong.push(format!("{at}[{twice}] is there twice"));
            }
        }
        let first = rules.get("prefixItems").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        for (number, item) in items.iter().enumerate() {
            if wrong.len() >= WRONG_MAX {
                return;
            }
            if let Some(schema) = first.get(number).or_else(|| rules.get("items")) {
                wrong.extend(self.faults(item, schema, &format!("{at}[{number}]"), depth + 1));
            }
        }
    }

    fn members(
        &mut self,
        members: &Map<String, Value>,
        rules: &Map<String, Value>,
        at: &str,
        depth: usize,
        wrong: &mut Vec<String>,
    ) {
        wrong.extend(size_fault(members.len(), "Properties", rules, at));
        for name in rules.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str) {
            if !members.contains_key(name) {
                wrong.push(format!("{at}.{name} is missing"));
            }
        }
        let properties = rules.get("properties").and_then(Value::as_object);
        for (name, member) in members {
            if wrong.len() >= WRONG_MAX {
                return;
            }
            let known = properties.and_then(|properties| properties.get(name));
            if let Some(schema) = known.or_else(|| rules.get("additionalProperties")) {
                wrong.extend(self.faults(member, schema, &format!("{at}.{name}"), depth + 1));
            }
        }
    }

    /// The rules that hold other schemas against the same value.
    fn combined(&mut self, value: &Value, rules: &Map<String, Value>, at: &str, depth: usize, wrong: &mut Vec<String>) {
        let choices = |keyword: &str| rules.get(keyword).and_then(Value::as_array);
        let referred = rules.get("$ref").and_then(Value::as_str);
        let referred = referred.and_then(|name| self.schema.references.get(name).copied());
        for schema in referred.into_iter().chain(choices("allOf").into_iter().flatten()) {
            wrong.extend(self.faults(value, schema, at, depth + 1));
        }
        if let Some(schema) = rules.get("not")
            && self.faults(value, schema, at, depth + 1).is_empty()
        {
            wrong.push(format!("{at} is what it must not be: {schema}"));
        }
        for (keyword, one) in [("anyOf", false), ("oneOf", true)] {
            let Some(choices) = choices(keyword) else { continue };
            let tried: Vec<_> = choices.iter().map(|schema| self.faults(value, schema, at, depth + 1)).collect();
            let fitting = tried.iter().filter(|faults| faults.is_empty()).count();
            match tried.iter().min_by_key(|faults| faults.len()) {
                Some(nearest) if fitting == 0 => {
                    let count = choices.len();
                    wrong.push(format!("{at} fits none of {count} choices, of the nearest: {}", nearest.join(", ")));
                }
                _ if one && fitting > 1 => wrong.push(format!("{at} fits {fitting} choices, and has to fit one alone")),
                _ => {}
            }
        }
    }
}

fn is_of_type(value: &Value, name: &str) -> bool {
    match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.as_number().is_some_and(|number| whole(number).is_some()),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        _ => value.is_null(),
    }
}

/// A number without a fraction, however it is written: `2.0` is 2.
fn whole(number: &Number) -> Option<i128> {
    // Beyond 2^100 the cast would no longer be exact, and nobody counts so far.
    let float = |float: f64| (float.fract() == 0.0 && float.abs() < 2f64.powi(100)).then_some(float as i128);
    number.as_i128().or_else(|| number.as_f64().and_then(float))
}

fn number_fault(number: &Number, rules: &Map<String, Value>, at: &str) -> Option<String> {
    // Whole numbers are compared as such: a float cannot tell large neighbours.
    let to = |keyword: &str| {
        let bound = rules.get(keyword)?.as_number()?;
        match (whole(number), whole(bound)) {
            (Some(number), Some(bound)) => Some(number.cmp(&bound)),
            _ => number.as_f64()?.partial_cmp(&bound.as_f64()?),
        }
    };
    if to("minimum") == Some(Ordering::Less)
        || to("maximum") == Some(Ordering::Greater)
        || matches!(to("exclusiveMinimum"), Some(Ordering::Less | Ordering::Equal))
        || matches!(to("exclusiveMaximum"), Some(Ordering::Greater | Ordering::Equal))
    {
        return Some(format!("{at} is out of bounds"));
    }
    let step = rules.get("multipleOf")?.as_number()?;
    let fits = match (whole(number), whole(step)) {
        (Some(number), Some(step)) => number % step == 0,
        _ => {
            // 0.3 / 0.1 is not quite 3: as much is forgiven as two roundings can make of it.
            let times = number.as_f64()? / step.as_f64()?;
            (times - times.round()).abs() <= 2.0 * f64::EPSILON * times.abs()
        }
    };
    (!fits).then(|| format!("{at} is not a multiple of {step}"))
}

/// Whether a size is outside of `min…` and `max…` of its kind.
fn size_fault(size: usize, kind: &str, rules: &Map<String, Value>, at: &str) -> Option<String> {
    let limit = |side: &str| rules.get(&format!("{side}{kind}")).and_then(Value::as_f64);
    let wrong =
        limit("min").is_some_and(|least| (size as f64) < least) || limit("max").is_some_and(|most| size as f64 > most);
    wrong.then(|| format!("{at} has {size} parts, which is out of bounds"))
}

/// The same text for equal values: `1.0` is 1, and the order of names says nothing.
fn plain(value: &Value) -> String {
    match value {
        Value::Number(number) => whole(number).map_or_else(|| number.to_string(), |whole| whole.to_string()),
        Value::Array(items) => format!("[{}]", items.iter().map(plain).collect::<Vec<_>>().join(",")),
        Value::Object(members) => {
            let name = |name: &String| Value::String(name.clone());
            let mut members: Vec<_> =
                members.iter().map(|(key, value)| format!("{}:{}", name(key), plain(value))).collect();
            members.sort_unstable();
            format!("{{{}}}", members.join(","))
        }
        other => other.to_string(),
    }
}

/// The place in a schema that a reference names: `#` or `#/…`, which may be written for an address (`%20`).
fn resolve<'s>(root: &'s Value, name: &str) -> Option<&'s Value> {
    let place = name.strip_prefix('#')?;
    root.pointer(place).or_else(|| {
        let mut bytes = Vec::with_capacity(place.len());
        let mut parts = place.split('%');
        bytes.extend_from_slice(parts.next()?.as_bytes());
        for part in parts {
            bytes.push(u8::from_str_radix(part.get(..2)?, 16).ok()?);
            bytes.extend_from_slice(&part.as_bytes()[2..]);
        }
        root.pointer(std::str::from_utf8(&bytes).ok()?)
    })
}

/// A schema's pattern, which is JavaScript's, in the words of the crate that searches for it: there `\d`, `\w` and `\b`
/// also mean letters and digits of other scripts, and a class may hold classes. What it cannot do, such as looking
/// ahead, it refuses.
fn as_regex(pattern: &str) -> String {
    let mut regex = String::with_capacity(pattern.len());
    let mut in_class = false;
    let mut rest = pattern.chars();
    while let Some(c) = rest.next() {
        match c {
            '\\' => match rest.next() {
                Some('d') => regex.push_str("[0-9]"),
                Some('D') => regex.push_str("[^0-9]"),
                Some('w') => regex.push_str("[0-9A-Za-z_]"),
                Some('W') => regex.push_str("[^0-9A-Za-z_]"),
                Some('b') if !in_class => regex.push_str(r"(?-u:\b)"),
                escaped => regex.extend(std::iter::once('\\').chain(escaped)),
            },
            '[' | '&' | '~' if in_class => regex.extend(['\\', c]),
            '[' | ']' => {
                in_class = c == '[';
                regex.push(c);
            }
            _ => regex.push(c),
        }
    }
    regex
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::{bound, checkable};
    use super::*;

    /// Whether a schema takes a value.
    fn takes(schema: &Value, value: &Value) -> bool {
        bound(&value.to_string(), schema).is_ok()
    }

    #[test]
    fn what_does_not_fit_by_reference_choice_or_pattern_is_not_done() {
        let schema = json!({
            "type": "object", "required": ["port", "host", "mode", "name"],
            "properties": {
                "port": {"$ref": "#/$defs/port"}, "name": {"type": "string", "pattern": "^[a-z]+$"},
                "host": {"anyOf": [{"type": "string"}, {"type": "null"}]}, "mode": {"$ref": "#/definitions/a%20mode"},
            },
            "$defs": {"port": {"type": "integer", "minimum": 1024}}, "definitions": {"a mode": {"enum": ["on", "off"]}},
        });
        assert_eq!(checkable(&schema), Ok(()));
        assert!(takes(&schema, &json!({"port": 8080, "host": null, "mode": "on", "name": "zz"})));
        let wrong = bound(r#"{"port":1,"host":5,"mode":7,"name":"ZZ"}"#, &schema).unwrap_err();
        let mut wrong: Vec<_> = wrong.split("; ").collect();
        wrong.sort_unstable();
        assert_eq!(
            wrong,
            [
                "$.host fits none of 2 choices, of the nearest: $.host is not of type string",
                r#"$.mode is none of ["on","off"]"#,
                "$.name does not match ^[a-z]+$",
                "$.port is out of bounds",
            ]
        );
    }

    #[test]
    fn every_keyword_takes_what_fits_and_nothing_else() {
        let two = json!([{"type": "integer"}, {"minimum": 5}]);
        let cases = [
            (json!(true), vec![json!(1)], vec![]),
            (json!(false), vec![], vec![json!(1)]),
            (json!({"type": ["string", "null"]}), vec![json!("a"), json!(null)], vec![json!(1)]),
            (json!({"type": "integer"}), vec![json!(2.0), json!(-1)], vec![json!(2.5), json!("2")]),
            (json!({"enum": [1, "a"]}), vec![json!(1.0), json!("a")], vec![json!("1"), json!(null)]),
            (json!({"const": {"a": 1, "b": [2]}}), vec![json!({"b": [2.0], "a": 1})], vec![json!({"a": 1})]),
            (json!({"minimum": 2, "maximum": 3}), vec![json!(2), json!(3), json!("no number")], vec![json!(1.9)]),
            (json!({"maximum": 9007199254740992_u64}), vec![json!(1)], vec![json!(9007199254740993_u64)]),
            (json!({"exclusiveMinimum": 2, "exclusiveMaximum": 3}), vec![json!(2.5)], vec![json!(2), json!(3)]),
            (json!({"multipleOf": 0.1}), vec![json!(0.3), json!(7)], vec![json!(0.35)]),
            (json!({"multipleOf": 3}), vec![json!(9), json!(0)], vec![json!(10), json!(1.5)]),
            (json!({"minLength": 2, "maxLength": 2}), vec![json!("上海")], vec![json!("a"), json!("abc")]),
            (json!({"pattern": "^[\\w[&]+\\d\\b$"}), vec![json!("a&[1")], vec![json!("é1"), json!("a٣"), json!("1")]),
            (json!({"minItems": 1, "maxItems": 2}), vec![json!([1])], vec![json!([]), json!([1, 2, 3])]),
            (json!({"uniqueItems": true}), vec![json!([1, "1", [1]])], vec![json!([1, 2, 1.0])]),
            (json!({"items": {"type": "string"}}), vec![json!([]), json!(["a"])], vec![json!(["a", 1])]),
            (
                json!({"prefixItems": [{"type": "string"}], "items": false}),
                vec![json!(["a"]), json!([])],
                vec![json!([1]), json!(["a", 1])],
            ),
            (
                json!({"minProperties": 1, "maxProperties": 1}),
                vec![json!({"a": 1})],
                vec![json!({}), json!({"a":1,"b":2})],
            ),
            (json!({"required": ["a"]}), vec![json!({"a": null}), json!(1)], vec![json!({"b": 1})]),
            (
                json!({"properties": {"a": true}, "additionalProperties": {"type": "integer"}}),
                vec![json!({"a": "x", "b": 1})],
                vec![json!({"b": "x"})],
            ),
            (json!({"anyOf": two}), vec![json!(1), json!(5.5), json!(6)], vec![json!(1.5)]),
            (json!({"oneOf": two}), vec![json!(1), json!(5.5)], vec![json!(6), json!(1.5)]),
            (json!({"allOf": two}), vec![json!(6)], vec![json!(1), json!(5.5)]),
            (json!({"not": {"type": "null"}}), vec![json!(1)], vec![json!(null)]),
        ];
        for (schema, right, wrong) in cases {
            assert_eq!(checkable(&schema), Ok(()), "{schema}");
            right.iter().for_each(|value| assert!(takes(&schema, value), "{schema} takes {value}"));
            wrong.iter().for_each(|value| assert!(!takes(&schema, value), "{schema} does not take {value}"));
        }
    }

    #[test]
    fn a_schema_that_refers_to_itself_ends() {
        let tree = json!({
            "$ref": "#/$defs/tree",
            "$defs": {"tree": {
                "type": "object", "required": ["n"], "additionalProperties": false,
                "properties": {"n": {"type": "integer"}, "under": {"type": "array", "items": {"$ref": "#/$defs/tree"}}},
            }},
        });
        assert!(takes(&tree, &json!({"n": 1, "under": [{"n": 2, "under": [{"n": 3}]}]})));
        assert!(!takes(&tree, &json!({"n": 1, "under": [{"n": 2, "under": [{"n": "3"}]}]})));
        // What goes round in a circle is never a fit, not even turned round; what doubles each time comes to an end.
        for circle in [
            json!({"$ref": "#"}),
            json!({"not": {"$ref": "#"}}),
            json!({"anyOf": [{"$ref": "#"}, {"$ref": "#"}]}),
            json!({"allOf": [{"anyOf": [{"$ref": "#"}, true]}, {"$ref": "#/allOf/0"}]}),
        ] {
            assert_eq!(checkable(&circle), Ok(()));
            let wrong = bound("1", &circle).unwrap_err();
            assert!(wrong.contains("steps"), "{wrong}");
        }
    }

    #[test]
    fn what_cannot_be_checked_is_refused_with_its_place_and_what_asks_nothing_is_passed_over() {
        let annotated = json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema", "$id": "x", "$comment": "c", "title": "t",
            "description": "d", "default": 1, "examples": [1], "format": "email", "deprecated": true, "readOnly": true,
        });
        assert!(takes(&annotated, &json!("anything")));
        for (schema, why) in [
            (
                json!({"properties": {"a": {"items": {"if": {}}}}}),
                "the schema's keyword if at #/properties/a/items cannot be checked here",
            ),
            (json!({"patternProperties": {}}), "the schema's keyword patternProperties at # cannot be checked here"),
            (
                json!({"$defs": {"a": {"nullable": true}}}),
                "the schema's keyword nullable at #/$defs/a cannot be checked here",
            ),
            (json!({"type": "text"}), "the schema's keyword type at # is not a type or a list of types"),
            (json!({"items": [{}]}), "the schema's keyword items at # is not one schema"),
            (json!({"anyOf": [1]}), "the schema at #/anyOf/0 is neither an object nor true or false"),
            (json!({"pattern": "(?=a)"}), r#"the pattern "(?=a)" at # cannot be checked here"#),
            (
                json!({"not": {"$ref": "other.json"}}),
                r#"the $ref "other.json" at #/not names no place in this schema, such as #/$defs/name"#,
            ),
            (json!([]), "the schema at # is neither an object nor true or false"),
        ] {
            assert_eq!(checkable(&schema), Err(why.to_owned()), "{schema}");
            assert_eq!(bound("1", &schema), Err(why.to_owned()), "nothing fits it");
        }
    }
}

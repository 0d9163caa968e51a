//! Changing a JSON text so that it says something else and stays as it was everywhere else.
//!
//! A settings file is its owner's: comments, order, indentation and line ends are kept. Only members and elements that
//! differ are written, in the style of what stands around them.

use std::ops::Range;

use serde::Serialize;
use serde_json::{Map, Value};

/// The deepest nesting that is read: settings are a handful deep.
const DEPTH_MAX: usize = 128;

/// The text changed so that it says `wanted`; `None` when it is no JSON (comments and trailing commas are understood).
pub(super) fn changed(text: &str, wanted: &Value) -> Option<String> {
    let root = Parser { text, at: 0 }.document()?;
    let style = Style { text, unit: unit_of(text) };
    let mut edits: Vec<(Range<usize>, String)> = Vec::new();
    style.merge(&root, wanted, &mut edits);
    edits.sort_by_key(|(place, _)| (place.start, place.end));
    let mut changed = String::with_capacity(text.len() + 256);
    let mut kept = 0;
    for (place, new) in edits {
        changed.push_str(text.get(kept..place.start)?);
        changed.push_str(&new);
        kept = place.end;
    }
    changed.push_str(&text[kept..]);
    // What is written must say what was wanted, whatever the edits looked like.
    (value(&changed).as_ref() == Some(wanted)).then_some(changed)
}

/// What a JSON text says, comments and trailing commas left aside; an empty one says nothing.
pub(super) fn value(text: &str) -> Option<Value> {
    Parser { text, at: 0 }.document().map(|node| node.value())
}

/// A value with its place in the text.
struct Node {
    place: Range<usize>,
    kind: Kind,
}

enum Kind {
    Object(Vec<(String, usize, Node)>),
    Array(Vec<Node>),
    Leaf(Value),
}

impl Node {
    fn value(&self) -> Value {
        match &self.kind {
            Kind::Object(members) => {
                let members = members.iter().map(|(name, _, node)| (name.clone(), node.value()));
                Value::Object(members.collect::<Map<_, _>>())
            }
            Kind::Array(elements) => Value::Array(elements.iter().map(Node::value).collect()),
            Kind::Leaf(value) => value.clone(),
        }
    }
}

struct Parser<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Parser<'t> {
    fn document(mut self) -> Option<Node> {
        if self.text.starts_with('\u{feff}') {
            self.at = 3;
        }
        self.blank()?;
        let node = self.node(0)?;
        self.blank()?;
        (self.at == self.text.len()).then_some(node)
    }

    fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    fn eat(&mut self, sign: char) -> Option<()> {
        self.rest().starts_with(sign).then(|| self.at += sign.len_utf8())
    }

    /// White space and comments.
    fn blank(&mut self) -> Option<()> {
        loop {
            let rest = self.rest();
            self.at += rest.len() - rest.trim_start().len();
            let rest = self.rest();
            if rest.starts_with("//") {
                self.at += rest.find('\n').unwrap_or(rest.len());
            } else if rest.starts_with("/*") {
                self.at += rest.find("*/")? + 2;
            } else {
                return Some(());
            }
        }
    }

    fn node(&mut self, depth: usize) -> Option<Node> {
        if depth > DEPTH_MAX {
            return None;
        }
        let start = self.at;
        let kind = match self.rest().chars().next()? {
            '{' => Kind::Object(self.members(depth)?),
            '[' => Kind::Array(self.elements(depth)?),
            '"' => Kind::Leaf(Value::String(self.string()?)),
            _ => {
                let rest = self.rest();
                let end = rest.find(|c: char| c.is_whitespace() || ",]}/".contains(c)).unwrap_or(rest.len());
                self.at += end;
                Kind::Leaf(serde_json::from_str(&rest[..end]).ok()?)
            }
        };
        Some(Node { place: start..self.at, kind })
    }

    fn string(&mut self) -> Option<String> {
        let start = self.at;
        self.eat('"')?;
        let bytes = self.text.as_bytes();
        loop {
            match bytes.get(self.at)? {
                b'\\' => self.at += 2,
                b'"' => break,
                _ => self.at += 1,
            }
        }
        self.at += 1;
        serde_json::from_str(self.text.get(start..self.at)?).ok()
    }

    fn members(&mut self, depth: usize) -> Option<Vec<(String, usize, Node)>> {
        self.eat('{')?;
        let mut members = Vec::new();
        loop {
            self.blank()?;
            if self.eat('}').is_some() {
                return Some(members);
            }
            let start = self.at;
            let name = self.string()?;
            self.blank()?;
            self.eat(':')?;
            self.blank()?;
            members.push((name, start, self.node(depth + 1)?));
            self.blank()?;
            if self.eat(',').is_none() && !self.rest().starts_with('}') {
                return None;
            }
        }
    }

    fn elements(&mut self, depth: usize) -> Option<Vec<Node>> {
        self.eat('[')?;
        let mut elements = Vec::new();
        loop {
            self.blank()?;
            if self.eat(']').is_some() {
                return Some(elements);
            }
            elements.push(self.node(depth + 1)?);
            self.blank()?;
            if self.eat(',').is_none() && !self.rest().starts_with(']') {
                return None;
            }
        }
    }
}

/// One step of indentation, as the text has it.
fn unit_of(text: &str) -> String {
    let indented = text.lines().find(|line| line.starts_with([' ', '\t']) && !line.trim().is_empty());
    indented.map_or_else(|| "  ".to_owned(), |line| line[..line.len() - line.trim_start().len()].to_owned())
}

struct Style<'t> {
    text: &'t str,
    unit: String,
}

impl Style<'_> {
    fn merge(&self, node: &Node, wanted: &Value, edits: &mut Vec<(Range<usize>, String)>) {
        if &node.value() == wanted {
            return;
        }
        match (&node.kind, wanted) {
            (Kind::Object(members), Value::Object(wanted)) => {
                let places: Vec<Range<usize>> = members.iter().map(|(_, start, node)| *start..node.place.end).collect();
                let kept: Vec<bool> = members.iter().map(|(name, ..)| wanted.contains_key(name)).collect();
                let known = |name: &String| members.iter().any(|(known, ..)| known == name);
                let new: Vec<(Option<&String>, &Value)> =
                    wanted.iter().filter(|(name, _)| !known(name)).map(|(name, value)| (Some(name), value)).collect();
                if self.list(node, &places, &kept, &new, edits) {
                    for (name, _, member) in members {
                        if let Some(wanted) = wanted.get(name) {
                            self.merge(member, wanted, edits);
                        }
                    }
                } else {
                    edits.push((node.place.clone(), self.written(&Value::Object(wanted.clone()), node.place.start)));
                }
            }
            (Kind::Array(elements), Value::Array(wanted)) => {
                let places: Vec<Range<usize>> = elements.iter().map(|element| element.place.clone()).collect();
                let values: Vec<Value> = elements.iter().map(Node::value).collect();
                let mut next = 0;
                let kept: Vec<bool> = values
                    .iter()
                    .map(|value| {
                        wanted.get(next) == Some(value) && {
                            next += 1;
                            true
                        }
                    })
                    .collect();
                if elements.len() == wanted.len() {
                    elements.iter().zip(wanted).for_each(|(element, wanted)| self.merge(element, wanted, edits));
                    return;
                }
                let new: Vec<(Option<&String>, &Value)> = wanted[next..].iter().map(|value| (None, value)).collect();
                if !self.list(node, &places, &kept, &new, edits) {
                    edits.push((node.place.clone(), self.written(&Value::Array(wanted.clone()), node.place.start)));
                }
            }
            (_, wanted) => edits.push((node.place.clone(), self.written(wanted, node.place.start))),
        }
    }

    /// Takes entries out of an object or array, or adds some at its end; answers false for both at once, where it is
    /// simpler to write the whole anew.
    fn list(
        &self,
        node: &Node,
        places: &[Range<usize>],
        kept: &[bool],
        new: &[(Option<&String>, &Value)],
        edits: &mut Vec<(Range<usize>, String)>,
    ) -> bool {
        let inside = node.place.start + 1..node.place.end - 1;
        if !new.is_empty() && kept.contains(&false) {
            return false;
        }
        if new.is_empty() {
            if !kept.contains(&true) {
                if !kept.is_empty() {
                    edits.push((inside, String::new()));
                }
                return true;
            }
            for (at, place) in places.iter().enumerate().filter(|(at, _)| !kept[*at]) {
                match places.get(at + 1) {
                    Some(next) if kept[at + 1..].contains(&true) => {
                        edits.push((place.start..next.start, String::new()))
                    }
                    // At the end: with the comma that stands before it, from the last that stays.
                    _ => {
                        let last = kept[..at].iter().rposition(|kept| *kept);
                        if last == at.checked_sub(1) {
                            let from = last.map_or(inside.start, |last| places[last].end);
                            let to = places.last().map_or(place.end, |place| place.end);
                            edits.push((from..to, String::new()));
                        }
                    }
                }
            }
            return true;
        }
        let whole = &self.text[node.place.clone()];
        let on_one_line = !places.is_empty() && !whole.contains('\n');
        let (open, own) = (self.indent_at(node.place.start), self.line_end());
        let inner = places.first().filter(|_| !on_one_line).map_or_else(
            || format!("{open}{}", self.unit),
            |first| {
                let line = self.text[..first.start].rfind('\n').map_or(0, |end| end + 1);
                let before = &self.text[line..first.start];
                if before.trim().is_empty() { before.to_owned() } else { format!("{open}{}", self.unit) }
            },
        );
        let mut written = String::new();
        for (at, (name, value)) in new.iter().enumerate() {
            if at > 0 || !places.is_empty() {
                written.push(',');
            }
            if on_one_line {
                written.push(' ');
            } else {
                written.push_str(own);
                written.push_str(&inner);
            }
            if let Some(name) = name {
                written.push_str(&Value::String((*name).clone()).to_string());
                written.push_str(": ");
            }
            written.push_str(&if on_one_line { value.to_string() } else { self.pretty(value, &inner) });
        }
        match places.last() {
            Some(last) => edits.push((last.end..last.end, written)),
            None => edits.push((inside, format!("{written}{own}{open}"))),
        }
        true
    }

    /// A value as it is written at this place.
    fn written(&self, value: &Value, at: usize) -> String {
        self.pretty(value, &self.indent_at(at))
    }

    fn pretty(&self, value: &Value, indent: &str) -> String {
        let mut bytes = Vec::new();
        let formatter = serde_json::ser::PrettyFormatter::with_indent(self.unit.as_bytes());
        let mut serializer = serde_json::Serializer::with_formatter(&mut bytes, formatter);
        // A value of strings, numbers, lists and maps can always be written.
        let _ = value.serialize(&mut serializer);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        text.replace('\n', &format!("{}{indent}", self.line_end()))
    }

    /// The white space at the start of a place's line.
    fn indent_at(&self, at: usize) -> String {
        let line = self.text[..at].rfind('\n').map_or(0, |end| end + 1);
        let line = &self.text[line..];
        line[..line.len() - line.trim_start_matches([' ', '\t']).len()].to_owned()
    }

    fn line_end(&self) -> &'static str {
        if self.text.contains("\r\n") { "\r\n" } else { "\n" }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const SETTINGS: &str = "{\n    // mine\n    \"model\": \"opus\",   \"env\": { \"A\": \"1\" },\n    \"hooks\": {\n        \"Stop\": [\n            {\"matcher\": \"\", \"hooks\": []}\n        ]\n    }, /* last */\n}\n";

    #[test]
    fn what_is_added_stands_in_the_style_around_it_and_all_else_stays() {
        let mut wanted = value(SETTINGS).unwrap();
        wanted["hooks"]["Stop"].as_array_mut().unwrap().push(json!({"hooks": ["x"]}));
        wanted["hooks"]["Start"] = json!([1]);
        wanted["env"]["B"] = json!("2");
        let text = changed(SETTINGS, &wanted).unwrap();
        insta::assert_snapshot!(text, @r#"
        {
            // mine
            "model": "opus",   "env": { "A": "1", "B": "2" },
            "hooks": {
                "Stop": [
                    {"matcher": "", "hooks": []},
                    {
                        "hooks": [
                            "x"
                        ]
                    }
                ],
                "Start": [
                    1
                ]
            }, /* last */
        }
        "#);
        // Taking it out again gives the text as it was.
        assert_eq!(changed(&text, &value(SETTINGS).unwrap()).unwrap(), SETTINGS);
    }

    #[test]
    fn adding_and_taking_out_give_the_same_bytes_in_every_style() {
        for text in [
            "{}",
            "{\n}\n",
            "{\"a\":1}",
            "{\r\n\t\"a\": [],\r\n\t\"b\": {}\r\n}\r\n",
            "\u{feff}{ \"a\": 1 }",
            "{\"l\": [1, 2]}",
        ] {
            let before = value(text).unwrap();
            let mut wanted = before.clone();
            wanted["new"] = json!({"x": [1, {"y": null}]});
            if let Some(list) = wanted.get_mut("l").and_then(Value::as_array_mut) {
                list.extend([json!({"z": 1}), json!("end")]);
            }
            let longer = changed(text, &wanted).unwrap();
            assert_eq!(value(&longer).unwrap(), wanted, "{longer}");
            let back = changed(&longer, &before).unwrap();
            assert_eq!(value(&back).unwrap(), before);
            if before.as_object().is_some_and(|members| !members.is_empty()) {
                assert_eq!(back, text);
            }
        }
    }

    #[test]
    fn elements_are_taken_out_of_the_middle_and_the_ends() {
        let text = "[\n  1, // one\n  2,\n  3\n]";
        for wanted in [json!([2, 3]), json!([1, 3]), json!([1, 2]), json!([1]), json!([3]), json!([])] {
            let text = changed(text, &wanted).unwrap();
            assert_eq!(value(&text).unwrap(), wanted, "{text}");
        }
    }

    #[test]
    fn what_is_no_json_is_left_alone() {
        for text in ["", "{", "{\"a\" 1}", "{\"a\": 1} x", "\"open", "{\"a\": /* ", "[1 2]"] {
            assert_eq!(changed(text, &json!({})), None, "{text}");
        }
        assert_eq!(changed(&"[".repeat(100_000), &json!([])), None);
    }
}

//! JSON of unknown shape, looked at in place.
//!
//! A [`Node`] borrows the text of one value and reads of it only what is asked for, so that a line of many
//! megabytes costs its own length and little more, whatever is in it. Anything that is not of the asked type
//! reads as absent: tools change their formats without notice.

use std::borrow::Cow;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// Members of an object beyond this are passed over: no tool writes as many, and each costs memory.
const FIELDS_MAX: usize = 1024;

/// Items of a list beyond this are passed over, likewise. A whole session may be one list.
const ITEMS_MAX: usize = 200_000;

/// One JSON value.
#[derive(Clone, Copy, Debug)]
pub(super) struct Node<'a>(&'a str);

const NULL: Node<'static> = Node("null");

impl<'a> Node<'a> {
    /// Nothing.
    pub(super) fn null() -> Node<'static> {
        NULL
    }

    /// The value that this text is, if it is one and nothing else.
    pub(super) fn parse(text: &'a str) -> Result<Node<'a>, serde_json::Error> {
        serde_json::from_str::<&'a RawValue>(text).map(|raw| Node(raw.get()))
    }

    /// The value as it is written.
    pub(super) fn raw(self) -> &'a str {
        self.0
    }

    pub(super) fn is_null(self) -> bool {
        self.0 == "null"
    }

    pub(super) fn is_object(self) -> bool {
        self.0.starts_with('{')
    }

    pub(super) fn is_list(self) -> bool {
        self.0.starts_with('[')
    }

    /// The string, if it is one.
    pub(super) fn text(self) -> Option<Cow<'a, str>> {
        if !self.0.starts_with('"') {
            return None;
        }
        let inside = self.0.get(1..self.0.len() - 1)?;
        if !inside.as_bytes().contains(&b'\\') {
            return Some(Cow::Borrowed(inside));
        }
        serde_json::from_str::<String>(self.0).ok().map(Cow::Owned)
    }

    /// The string, empty where there is none.
    pub(super) fn or_empty(self) -> Cow<'a, str> {
        self.text().unwrap_or_default()
    }

    pub(super) fn number(self) -> Option<f64> {
        self.0.parse::<f64>().ok().filter(|number| number.is_finite())
    }

    pub(super) fn is_true(self) -> bool {
        self.0 == "true"
    }

    /// `true` or `false`, where it is one of them.
    pub(super) fn flag(self) -> Option<bool> {
        match self.0 {
            "true" => Some(true),
            "false" => Some(false),
            _ => None,
        }
    }

    /// The members of the object; none where it is no object.
    pub(super) fn fields(self) -> Fields<'a> {
        if !self.is_object() {
            return Fields(Vec::new());
        }
        serde_json::from_str(self.0).unwrap_or(Fields(Vec::new()))
    }

    /// One member of the object. Several are cheaper through [`Node::fields`].
    pub(super) fn get(self, name: &str) -> Node<'a> {
        self.fields().get(name)
    }

    /// All members of an object that is a table: as many as a list may have items.
    pub(super) fn members(self) -> Vec<(Cow<'a, str>, Node<'a>)> {
        if !self.is_object() {
            return Vec::new();
        }
        serde_json::from_str::<Members<'a>>(self.0).map(|members| members.0).unwrap_or_default()
    }

    /// The items of the list; none where it is no list.
    pub(super) fn items(self) -> Vec<Node<'a>> {
        if !self.is_list() {
            return Vec::new();
        }
        serde_json::from_str::<Items<'a>>(self.0).map(|items| items.0).unwrap_or_default()
    }
}

/// The members of an object.
pub(super) struct Fields<'a>(Vec<(Cow<'a, str>, Node<'a>)>);

impl<'a> Fields<'a> {
    /// The member of this name, the last if there are several; null where there is none.
    pub(super) fn get(&self, name: &str) -> Node<'a> {
        self.0.iter().rev().find(|(known, _)| known == name).map_or(NULL, |(_, node)| *node)
    }

    /// The first of these members that is there and not null.
    pub(super) fn first(&self, names: &[&str]) -> Node<'a> {
        names.iter().map(|name| self.get(name)).find(|node| !node.is_null()).unwrap_or(NULL)
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(known, _)| known == name)
    }

    /// A member's string, empty where there is none.
    pub(super) fn text(&self, name: &str) -> Cow<'a, str> {
        self.get(name).or_empty()
    }
}

struct Name<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Name<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NameVisitor;
        impl<'de> Visitor<'de> for NameVisitor {
            type Value = Name<'de>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a name")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Name(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Name(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(NameVisitor)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MembersVisitor { most: FIELDS_MAX }).map(Fields)
    }
}

struct Members<'a>(Vec<(Cow<'a, str>, Node<'a>)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MembersVisitor { most: ITEMS_MAX }).map(Members)
    }
}

struct MembersVisitor {
    most: usize,
}

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Vec<(Cow<'de, str>, Node<'de>)>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::new();
        while members.len() < self.most {
            let Some((name, value)) = map.next_entry::<Name<'de>, &'de RawValue>()? else { return Ok(members) };
            members.push((name.0, Node(value.get())));
        }
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(members)
    }
}

struct Items<'a>(Vec<Node<'a>>);

impl<'de: 'a, 'a> Deserialize<'de> for Items<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ItemsVisitor;
        impl<'de> Visitor<'de> for ItemsVisitor {
            type Value = Items<'de>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a list")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
                let mut items = Vec::new();
                while items.len() < ITEMS_MAX {
                    let Some(value) = list.next_element::<&'de RawValue>()? else { return Ok(Items(items)) };
                    items.push(Node(value.get()));
                }
                while list.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Items(items))
            }
        }
        deserializer.deserialize_seq(ItemsVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_of_another_type_reads_as_absent() {
        let node = Node::parse(r#" {"a":"x\ny","b":[1,"2",{}],"n":1.5,"t":true,"a\u0062":null,"a":"last"} "#).unwrap();
        let fields = node.fields();
        assert_eq!(fields.text("a"), "last");
        assert_eq!(fields.get("b").items().len(), 3);
        assert_eq!(fields.get("n").number(), Some(1.5));
        assert!(fields.get("t").is_true() && fields.has("ab") && fields.get("missing").is_null());
        assert_eq!(fields.get("b").text(), None);
        assert!(fields.get("a").items().is_empty() && !node.is_list());
        assert_eq!(node.get("b").items()[1].or_empty(), "2");
        assert!(Node::parse("{\"a\":1} x").is_err());
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_looked_at_without_panic(text in "[\\[\\]{}\",:\\\\a1 ]{0,64}") {
            if let Ok(node) = Node::parse(&text) {
                let _ = (node.text(), node.number(), node.items().len(), node.fields().text("a").len());
            }
        }
    }
}

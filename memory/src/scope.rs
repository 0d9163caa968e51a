//! Whose record it is: scopes, and what a reader may see.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization;
use xxhash_rust::xxh3::xxh3_64;

use crate::error::Error;
use crate::redact::Redactor;

/// The longest segment, in bytes: a login or project name with room to spare, short enough for an index term.
pub const SEGMENT_BYTES_MAX: usize = 64;

/// The deepest path: tenant, user, project, agent, session, run, and two more.
pub const DEPTH_MAX: usize = 8;

/// A checked path that says whose record it is, such as `ana/webshop-1a2b3c4d`.
///
/// Segments are made of `[a-z0-9._-]`, at most [`SEGMENT_BYTES_MAX`] bytes each and
/// [`DEPTH_MAX`] deep, joined by `/`. The root is written `/` and contains every scope.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Scope(String);

impl Scope {
    /// The scope that contains all others.
    pub fn root() -> Scope {
        Scope(String::new())
    }

    /// Checks a path, after Unicode normalisation (NFC) and lower-casing.
    ///
    /// Leading and trailing slashes are ignored, so `/` and the empty path are the root.
    pub fn parse(path: &str) -> Result<Scope, Error> {
        let bad = |reason| Error::Scope { path: path.chars().take(128).collect(), reason };
        if path.len() > 4 * DEPTH_MAX * (SEGMENT_BYTES_MAX + 1) {
            return Err(bad("it is longer than any scope can be"));
        }
        let normal: String = path.trim().nfc().flat_map(char::to_lowercase).collect();
        let inner = normal.trim_matches('/');
        if inner.is_empty() {
            return Ok(Scope::root());
        }
        for (depth, segment) in inner.split('/').enumerate() {
            if depth == DEPTH_MAX {
                return Err(bad("it is more than 8 segments deep"));
            }
            check_segment(segment).map_err(bad)?;
        }
        Ok(Scope(inner.to_owned()))
    }

    /// The scope inside this one that is named by any text: what a segment cannot
    /// hold becomes `-`, an empty name becomes `_`, and a long one is cut.
    ///
    /// For names that come from the outside, such as a login or a folder. One that holds a secret becomes
    /// `redacted-` and a hash, the same whenever it is named so.
    /// At the greatest depth the scope itself is returned.
    pub fn child_named(&self, name: &str) -> Scope {
        let mut segment = String::new();
        for c in name.nfc().flat_map(char::to_lowercase) {
            let c = if is_segment_char(c) { c } else { '-' };
            if segment.len() == SEGMENT_BYTES_MAX {
                break;
            }
            segment.push(c);
        }
        if segment.trim_matches('.').is_empty() {
            segment = "_".to_owned();
        }
        if holds_secret(name) || segment_holds_secret(&segment) {
            segment = without_secret(&segment);
        }
        if self.depth() == DEPTH_MAX {
            return self.clone();
        }
        Scope(if self.is_root() { segment } else { format!("{}/{segment}", self.0) })
    }

    /// Whether a segment holds a secret, by the built-in rules of redaction: nothing is kept in such a scope.
    pub fn holds_secret(&self) -> bool {
        self.0.split('/').any(segment_holds_secret)
    }

    /// This scope with `redacted-` and a hash in the place of each segment that holds a secret.
    pub fn without_secrets(&self) -> Scope {
        if !self.holds_secret() {
            return self.clone();
        }
        let clean = |segment: &str| match segment_holds_secret(segment) {
            true => without_secret(segment),
            false => segment.to_owned(),
        };
        Scope(self.0.split('/').map(clean).collect::<Vec<_>>().join("/"))
    }

    /// Whether this is the root.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// The number of segments; 0 for the root.
    pub fn depth(&self) -> usize {
        if self.is_root() { 0 } else { self.0.split('/').count() }
    }

    /// Whether `other` is this scope or lies inside it.
    pub fn contains(&self, other: &Scope) -> bool {
        self.is_root() || other.0.strip_prefix(&self.0).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// This scope and everything above it, from the root down.
    pub fn ancestors(&self) -> impl Iterator<Item = &str> {
        let path = self.0.as_str();
        let whole = (!path.is_empty()).then_some(path);
        std::iter::once("").chain(path.match_indices('/').map(|(at, _)| &path[..at])).chain(whole)
    }

    /// The path without its leading slash; empty for the root.
    pub fn path(&self) -> &str {
        &self.0
    }
}

/// The longest segment that can hold no secret: every kind of them is longer, or needs words around it.
const PLAIN_SEGMENT_BYTES: usize = 12;

/// Whether a name from the outside holds a secret. Always by the built-in rules: a scope is the same whoever names it.
pub fn holds_secret(name: &str) -> bool {
    name.len() > PLAIN_SEGMENT_BYTES && Redactor::default().redact(name).hits().next().is_some()
}

/// The same for a segment, whose capitals are gone: a key that is written in capitals alone is told all the same.
fn segment_holds_secret(segment: &str) -> bool {
    holds_secret(segment) || segment.len() > PLAIN_SEGMENT_BYTES && holds_secret(&segment.to_uppercase())
}

/// What stands in the place of a segment with a secret: two stay two, and the same one stays the same.
fn without_secret(segment: &str) -> String {
    format!("redacted-{:08x}", xxh3_64(segment.as_bytes()) as u32)
}

fn is_segment_char(c: char) -> bool {
    matches!(c, 'a'..='z' | '0'..='9' | '.' | '_' | '-')
}

fn check_segment(segment: &str) -> Result<(), &'static str> {
    if segment.is_empty() {
        return Err("a segment is empty");
    }
    if segment.len() > SEGMENT_BYTES_MAX {
        return Err("a segment is longer than 64 bytes");
    }
    if segment.bytes().all(|b| b == b'.') {
        return Err("a segment is made of dots alone");
    }
    if !segment.chars().all(is_segment_char) {
        return Err("a segment may hold letters a-z, digits, '.', '_' and '-' only");
    }
    Ok(())
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_root() { f.write_str("/") } else { f.write_str(&self.0) }
    }
}

impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Scope {
    type Err = Error;

    fn from_str(path: &str) -> Result<Scope, Error> {
        Scope::parse(path)
    }
}

impl TryFrom<String> for Scope {
    type Error = Error;

    fn try_from(path: String) -> Result<Scope, Error> {
        Scope::parse(&path)
    }
}

impl From<Scope> for String {
    fn from(scope: Scope) -> String {
        scope.to_string()
    }
}

/// One entry of a read set.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Readable {
    /// The scope and all inside it, written `path`.
    Within(Scope),
    /// The scope alone, written `=path`.
    Exactly(Scope),
}

impl Readable {
    /// Whether records of `scope` may be read under this entry.
    pub fn allows(&self, scope: &Scope) -> bool {
        match self {
            Readable::Within(top) => top.contains(scope),
            Readable::Exactly(only) => only == scope,
        }
    }
}

impl FromStr for Readable {
    type Err = Error;

    fn from_str(text: &str) -> Result<Readable, Error> {
        match text.trim().strip_prefix('=') {
            Some(path) => Scope::parse(path).map(Readable::Exactly),
            None => Scope::parse(text).map(Readable::Within),
        }
    }
}

impl fmt::Display for Readable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Readable::Within(scope) => scope.fmt(f),
            Readable::Exactly(scope) => write!(f, "={scope}"),
        }
    }
}

/// What a reader may see: the union of its entries. An empty set allows nothing.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ReadSet(Vec<Readable>);

impl ReadSet {
    /// The set that allows every record.
    pub fn everything() -> ReadSet {
        ReadSet(vec![Readable::Within(Scope::root())])
    }

    /// The union of these entries.
    pub fn new(entries: impl IntoIterator<Item = Readable>) -> ReadSet {
        ReadSet(entries.into_iter().collect())
    }

    /// Whether records of `scope` may be read.
    pub fn allows(&self, scope: &Scope) -> bool {
        self.0.iter().any(|entry| entry.allows(scope))
    }

    /// What may be read under both sets.
    pub fn intersect(&self, other: &ReadSet) -> ReadSet {
        let mut both = Vec::new();
        for (one, two) in self.0.iter().flat_map(|one| other.0.iter().map(move |two| (one, two))) {
            // Two scopes overlap only where one contains the other: what is left is the inner one.
            let inner = match (one, two) {
                (Readable::Within(a), Readable::Within(b)) if a.contains(b) => Some(two),
                (Readable::Within(a), Readable::Within(b)) if b.contains(a) => Some(one),
                (Readable::Within(a), Readable::Exactly(b)) if a.contains(b) => Some(two),
                (Readable::Exactly(a), Readable::Within(b)) if b.contains(a) => Some(one),
                (Readable::Exactly(a), Readable::Exactly(b)) if a == b => Some(one),
                _ => None,
            };
            if let Some(inner) = inner
                && !both.contains(inner)
            {
                both.push(inner.clone());
            }
        }
        ReadSet(both)
    }

    /// Whether every record may be read, so that no filter is needed.
    pub fn is_everything(&self) -> bool {
        self.0.iter().any(|entry| matches!(entry, Readable::Within(scope) if scope.is_root()))
    }

    /// The entries.
    pub fn entries(&self) -> &[Readable] {
        &self.0
    }
}

impl From<Scope> for ReadSet {
    fn from(scope: Scope) -> ReadSet {
        ReadSet(vec![Readable::Within(scope)])
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn paths_are_normalised_and_checked() {
        for (given, path) in [("/", "/"), ("", "/"), ("Ana/Web.Shop_1/", "ana/web.shop_1"), ("/a", "a")] {
            assert_eq!(Scope::parse(given).unwrap().to_string(), path);
        }
        let long = "a".repeat(65);
        for bad in ["a//b", "a b", "a/..", "käse", "用户", "a\0b", &long, "a/b/c/d/e/f/g/h/i"] {
            assert!(Scope::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_sibling_with_a_longer_name_is_not_inside() {
        let shop = Scope::parse("ana/shop").unwrap();
        assert!(shop.contains(&Scope::parse("ana/shop/run").unwrap()));
        assert!(!shop.contains(&Scope::parse("ana/shop-two").unwrap()));
        assert!(!shop.contains(&Scope::parse("ana").unwrap()));
    }

    #[test]
    fn ancestors_run_from_the_root_to_the_scope() {
        let scope = Scope::parse("a/b/c").unwrap();
        assert_eq!(scope.ancestors().collect::<Vec<_>>(), ["", "a", "a/b", "a/b/c"]);
        assert_eq!(Scope::root().ancestors().collect::<Vec<_>>(), [""]);
    }

    #[test]
    fn any_outside_name_becomes_a_segment() {
        let root = Scope::root();
        assert_eq!(root.child_named("Zoë Müller").to_string(), "zo--m-ller");
        assert_eq!(root.child_named("..").to_string(), "_");
        assert_eq!(root.child_named("").to_string(), "_");
    }

    #[test]
    fn a_name_with_a_secret_becomes_no_segment() {
        let root = Scope::root();
        let token = format!("gh{}_{}", 'p', "a".repeat(30) + "7q2Xz9");
        let key = format!("AK{}QPWOEIRUTY739241", "IA");
        for secret in [token.as_str(), &format!("{token}-1a2b3c4d"), &key, &format!("password: {token}")] {
            let scope = root.child_named("team").child_named(secret);
            let segment = scope.path().strip_prefix("team/redacted-").unwrap_or_else(|| panic!("{scope}"));
            assert_eq!(segment.len(), 8);
            assert_eq!(scope, root.child_named("team").child_named(secret), "the same name stays the same");
            assert!(!scope.holds_secret());
            // What was kept before such names were noticed comes under the same name.
            if let Ok(kept) = Scope::parse(&format!("team/{secret}")) {
                assert!(kept.holds_secret());
                assert_eq!(kept.without_secrets(), scope);
            }
        }
        assert_ne!(root.child_named(&token), root.child_named(&format!("{token}b")));
        for plain in ["webshop-1a2b3c4d", "task-management-2f9e01ab", "ana", "token-service", "redacted-0011aabb"] {
            let scope = Scope::parse(&format!("ana/{plain}")).unwrap();
            assert!(!scope.holds_secret(), "{plain}");
            assert_eq!(root.child_named("ana").child_named(plain), scope);
        }
    }

    proptest! {
        #[test]
        fn parsing_what_was_printed_gives_the_same(name in "\\PC{0,80}", other in "[a-z0-9._-]{1,20}") {
            let scope = Scope::root().child_named(&name).child_named(&other);
            prop_assert_eq!(Scope::parse(&scope.to_string()).unwrap(), scope);
        }

        #[test]
        fn an_intersection_allows_what_both_sets_allow(
            one in prop::collection::vec("=?[ab](/[ab]){0,2}", 0..3),
            two in prop::collection::vec("=?[ab](/[ab]){0,2}", 0..3),
            scope in "[ab](/[ab]){0,3}",
        ) {
            let set = |entries: Vec<String>| ReadSet::new(entries.iter().map(|entry| entry.parse().unwrap()));
            let (one, two, scope) = (set(one), set(two), Scope::parse(&scope).unwrap());
            prop_assert_eq!(one.intersect(&two).allows(&scope), one.allows(&scope) && two.allows(&scope));
        }

        #[test]
        fn a_scope_contains_exactly_what_has_it_as_ancestor(a in "[ab](/[ab]){0,3}", b in "[ab](/[ab]){0,3}") {
            let (a, b) = (Scope::parse(&a).unwrap(), Scope::parse(&b).unwrap());
            prop_assert_eq!(a.contains(&b), b.ancestors().any(|up| up == a.path()));
        }
    }
}

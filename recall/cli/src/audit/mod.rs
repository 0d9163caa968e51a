//! What a memory is full of: its own store's or another tool's, counted and with examples.
//!
//! - [`item`]: one remembered text, wherever it is from
//! - [`own`], [`foreign`]: where the texts come from
//! - [`near`]: which texts say nearly the same
//!
//! An audit changes nothing.

mod foreign;
mod item;
mod near;
mod own;

use std::collections::{BTreeMap, HashMap};

use harness_memory::marker;
use harness_memory::redact::Redactor;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

pub(crate) use self::foreign::read as read_foreign;
pub(crate) use self::item::Item;
pub(crate) use self::own::{read as read_own, trace};

/// How many examples of each kind are shown.
const EXAMPLES_MAX: usize = 5;

/// What was not looked at or changed for so long is stale, unless something says that it is still used.
const STALE_DAYS: i64 = 180;

/// What stands around injected text in the stores of other memories.
const FOREIGN_BLOCKS: &[&str] = &[
    "<relevant-memories>",
    "<relevant_memories>",
    "<claude-mem-context>",
    "<supermemory-context>",
    "<memory-context>",
    "<recalled-memories>",
    "<system-reminder>",
];

/// What an audit found.
#[derive(Debug, Serialize)]
pub(crate) struct Audit {
    /// What was looked at: `own`, `mem0`, `mcp-memory`, `claude-mem`, `markdown`.
    pub(crate) store: &'static str,
    /// How many texts there are, by their kind.
    pub(crate) records: usize,
    pub(crate) kinds: BTreeMap<String, usize>,
    /// Texts that stand there before, word for word.
    pub(crate) duplicates: Finding,
    /// Texts that say nearly what stands there before.
    pub(crate) near_duplicates: Finding,
    /// Texts that hold what a memory had injected.
    pub(crate) echoes: Finding,
    /// Texts that hold a secret.
    pub(crate) secrets: Finding,
    /// How often each rule for secrets fired.
    pub(crate) rules: BTreeMap<&'static str, usize>,
    /// Notes, lessons and episodes that were never put in front of a prompt; unknown in other stores.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) never_recalled: Option<Finding>,
    /// Texts that were replaced, have expired, or were not touched for long.
    pub(crate) stale: Finding,
}

/// One kind of finding.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Finding {
    pub(crate) count: usize,
    /// Of how many texts that is.
    pub(crate) of: usize,
    pub(crate) share: f64,
    pub(crate) examples: Vec<Example>,
}

/// One example of a finding.
#[derive(Debug, Serialize)]
pub(crate) struct Example {
    pub(crate) id: String,
    /// The text it repeats, where it repeats one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) like: Option<String>,
    /// The start of the text, without secrets.
    pub(crate) text: String,
}

impl Finding {
    fn add(&mut self, item: &Item, like: Option<&Item>, redactor: &Redactor) {
        self.count += 1;
        if self.examples.len() < EXAMPLES_MAX {
            let clean = redactor.redact(&item.text).into_text();
            let text = crate::render::gist(&clean, 100);
            self.examples.push(Example { id: item.id.clone(), like: like.map(|like| like.id.clone()), text });
        }
    }

    fn of(mut self, all: usize) -> Finding {
        self.of = all;
        self.share = if all == 0 { 0.0 } else { self.count as f64 / all as f64 };
        self
    }
}

/// Looks through texts; `progress` is told how many, and stops the work by answering false.
pub(crate) fn audit(
    store: &'static str,
    items: &[Item],
    redactor: &Redactor,
    now: Timestamp,
    progress: &mut dyn FnMut(u64, u64) -> bool,
) -> Option<Audit> {
    let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
    let mut firsts: HashMap<String, usize> = HashMap::new();
    let mut rules: BTreeMap<&'static str, usize> = BTreeMap::new();
    let mut near = near::Seen::default();
    let [mut duplicates, mut near_duplicates, mut echoes, mut secrets, mut never, mut stale] =
        std::array::from_fn(|_| Finding::default());
    let old = now - SignedDuration::from_hours(24 * STALE_DAYS);
    let all = items.len() as u64;
    for (at, item) in items.iter().enumerate() {
        if at % 512 == 0 && !progress(at as u64, all) {
            return None;
        }
        *kinds.entry(item.kind.clone()).or_insert(0) += 1;
        let folded = near::folded(&item.text);
        match firsts.entry(folded) {
            std::collections::hash_map::Entry::Occupied(first) => {
                duplicates.add(item, Some(&items[*first.get()]), redactor);
            }
            std::collections::hash_map::Entry::Vacant(free) => {
                if let Some(like) = near.like(at, free.key()) {
                    near_duplicates.add(item, Some(&items[like]), redactor);
                }
                free.insert(at);
            }
        }
        let stripped = marker::strip(&item.text);
        if stripped.dropped > 0 || FOREIGN_BLOCKS.iter().any(|block| item.text.contains(block)) {
            echoes.add(item, None, redactor);
        }
        let redacted = redactor.redact(&item.text);
        if redacted.hits().next().is_some() {
            redacted.hits().for_each(|(rule, times)| *rules.entry(rule).or_insert(0) += times);
            secrets.add(item, None, redactor);
        }
        if item.recalled == Some(false) {
            never.add(item, None, redactor);
        }
        if item.ended || (item.may_age && item.recalled != Some(true) && item.at.is_some_and(|at| at < old)) {
            stale.add(item, None, redactor);
        }
    }
    let count = items.len();
    let recallable = items.iter().filter(|item| item.recalled.is_some()).count();
    Some(Audit {
        store,
        records: count,
        kinds,
        duplicates: duplicates.of(count),
        near_duplicates: near_duplicates.of(count),
        echoes: echoes.of(count),
        secrets: secrets.of(count),
        rules,
        never_recalled: (recallable > 0).then(|| never.of(recallable)),
        stale: stale.of(count),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(id: &str, text: &str) -> Item {
        Item { id: id.into(), kind: "note".into(), text: text.into(), ..Item::default() }
    }

    #[test]
    fn each_kind_of_junk_is_counted_with_an_example_and_no_secret_is_shown() {
        let long = "the nightly build fails when the cache of the second runner is full, so it is emptied every Sunday";
        let secret = format!("gh{}_{}", 'p', "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8");
        let mut old = item("old", "the API allows 100 requests a minute");
        (old.at, old.may_age) = (Some(Timestamp::UNIX_EPOCH), true);
        let items = [
            item("a", long),
            item("b", &long.to_uppercase()),
            item("c", &long.replace("Sunday", "Saturday night")),
            item("d", "something else entirely, about ducks and their ponds in the city park"),
            item("e", &format!("the token is {secret}")),
            item("f", &marker::encode("- [note] the nightly build fails")),
            item("g", "<claude-mem-context>\nold news"),
            old,
        ];
        let audit = audit("own", &items, &Redactor::default(), Timestamp::now(), &mut |_, _| true).unwrap();
        assert_eq!((audit.duplicates.count, audit.near_duplicates.count), (1, 1));
        assert_eq!(audit.duplicates.examples[0].like.as_deref(), Some("a"));
        assert_eq!(audit.near_duplicates.examples[0].id, "c");
        assert_eq!((audit.echoes.count, audit.secrets.count, audit.stale.count), (2, 1, 1));
        assert!(!serde_json::to_string(&audit).unwrap().contains(&secret));
        assert!(audit.never_recalled.is_none());
    }
}

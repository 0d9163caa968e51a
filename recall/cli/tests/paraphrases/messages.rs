//! Makes `paraphrases-messages.jsonl`: two people at a time write ordinary messages, and sixty of them say something
//! that is asked for later. The same words give the same file.

use std::collections::{BTreeMap, HashSet};

use serde_json::json;

/// Messages that are asked for: what was said, the question in other words, the question in the same words.
const FACTS: &str = include_str!("facts.txt");

/// The other messages, with places for words.
const TEMPLATES: &str = include_str!("templates.txt");

/// All messages.
const MESSAGES: usize = 2_000;

/// Messages of one session.
const SESSION: usize = 25;

/// Messages between two facts: they are spread over all sessions, and no session has two next to each other.
const APART: usize = 33;

/// Deals numbers that look random (splitmix64: Steele, Lea and Flood, 2014).
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % end as u64) as usize
    }
}

#[derive(Default)]
struct Templates {
    words: BTreeMap<&'static str, Vec<&'static str>>,
    messages: Vec<&'static str>,
    beginnings: Vec<&'static str>,
    ends: Vec<&'static str>,
}

impl Templates {
    fn read() -> Templates {
        let mut read = Templates::default();
        for line in TEMPLATES.lines().filter(|line| !line.starts_with('#')) {
            if let Some((name, words)) = line.split_once(" = ") {
                read.words.insert(name, words.split('|').collect());
            } else if let Some(beginning) = line.strip_prefix('^') {
                read.beginnings.push(beginning);
            } else if let Some(end) = line.strip_prefix('$') {
                read.ends.push(end);
            } else {
                read.messages.push(line);
            }
        }
        read
    }

    fn message(&self, dice: &mut Dice) -> String {
        let middle = self.messages[dice.below(self.messages.len())];
        let beginning = self.beginnings[dice.below(self.beginnings.len())];
        let end = self.ends[dice.below(self.ends.len())];
        let template =
            if beginning.is_empty() { format!("{middle}{end}") } else { format!("{beginning} {middle}{end}") };
        let mut text = String::new();
        let mut rest = template.as_str();
        let mut used: HashSet<&str> = HashSet::new();
        while let Some((before, after)) = rest.split_once('{') {
            let (name, after) = after.split_once('}').unwrap();
            let words = &self.words[name];
            // Nobody pairs with themselves.
            let word = loop {
                let word = words[dice.below(words.len())];
                if used.insert(word) {
                    break word;
                }
            };
            text.push_str(before);
            text.push_str(word);
            rest = after;
        }
        text + rest
    }
}

/// The whole file: one haystack in one line.
pub(crate) fn haystack() -> String {
    let templates = Templates::read();
    let mut dice = Dice(20);
    let mut facts = FACTS.lines().map(|line| line.split(" | ").collect::<Vec<_>>());
    let people = &templates.words["person"];
    let (mut docs, mut queries, mut said) = (Vec::new(), Vec::new(), HashSet::new());
    for number in 0..MESSAGES {
        let id = format!("m{number}");
        let session = number / SESSION;
        let fact = if number % APART == APART / 2 { facts.next() } else { None };
        let text = match fact.as_deref() {
            Some([text, other_words, same_words]) => {
                queries.push(
                    json!({"id": format!("p{number}"), "text": other_words, "gold": [id], "category": "paraphrase"}),
                );
                queries
                    .push(json!({"id": format!("l{number}"), "text": same_words, "gold": [id], "category": "literal"}));
                (*text).to_owned()
            }
            Some(other) => panic!("three parts, not {other:?}"),
            None => loop {
                let text = templates.message(&mut dice);
                if said.insert(text.clone()) {
                    break text;
                }
            },
        };
        let speaker = people[(session * 7 + number % 2 * 3) % people.len()];
        let time = format!(
            "2026-{:02}-{:02}T{:02}:{:02}:00",
            1 + session / 28,
            1 + session % 28,
            9 + session % 9,
            number % SESSION
        );
        docs.push(json!({"id": id, "session": format!("s{session}"), "ts": time, "speaker": speaker, "text": text}));
    }
    assert!(facts.next().is_none(), "every fact is said");
    let haystack = json!({"kind": "turn-retrieval", "set": "paraphrases-messages", "id": "messages", "lang": "en",
        "docs": docs, "queries": queries});
    format!("{haystack}\n")
}

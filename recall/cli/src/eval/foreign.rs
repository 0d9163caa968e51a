//! Questions that belong to other haystacks: recall ought to be less sure of them.

use std::collections::BTreeSet;

use super::haystack::{DocBody, Haystack};

/// The most foreign questions that one haystack is asked: the error of the area is then about .01.
pub(super) const FOREIGN_MAX: usize = 1_000;

/// The questions of the other haystacks of a set, evenly drawn where there are too many, with all speakers' names
/// removed: a name that is spoken nowhere in the haystack would give them away.
pub(super) fn questions(set: &[Haystack], own: usize) -> Vec<String> {
    let names: BTreeSet<&str> = set.iter().flat_map(speakers).collect();
    let others = set.iter().enumerate().filter(|(place, _)| *place != own);
    let all: Vec<&str> = others
        .flat_map(|(_, haystack)| haystack.questions.iter())
        .filter(|question| !question.abstain)
        .map(|question| question.text.as_str())
        .collect();
    let kept = all.len().min(FOREIGN_MAX);
    let drawn = (0..kept).map(|n| all[n * all.len() / kept]);
    drawn.map(|text| without_names(text, &names)).filter(|text| text.chars().any(char::is_alphanumeric)).collect()
}

fn speakers(haystack: &Haystack) -> impl Iterator<Item = &str> {
    haystack.docs.iter().filter_map(|doc| match &doc.body {
        DocBody::Turn(turn) => turn.speaker.as_deref().filter(|name| !name.trim().is_empty()),
        _ => None,
    })
}

/// Removes whole names and their possessive ending.
fn without_names(text: &str, names: &BTreeSet<&str>) -> String {
    let mut text = text.to_owned();
    // Longer names first, so that "Ana Maria" does not leave "Maria" behind.
    let mut names: Vec<&str> = names.iter().copied().collect();
    names.sort_by_key(|name| std::cmp::Reverse(name.len()));
    for name in names {
        let mut rest = text.as_str();
        let mut kept = String::with_capacity(text.len());
        while let Some(at) = rest.find(name) {
            let (before, after) = (&rest[..at], &rest[at + name.len()..]);
            let part = joined(before.chars().next_back(), name.chars().next())
                || joined(name.chars().next_back(), after.chars().next());
            kept.push_str(before);
            if part {
                kept.push_str(name);
                rest = after;
            } else {
                rest = after.strip_prefix("'s").or_else(|| after.strip_prefix("’s")).unwrap_or(after);
            }
        }
        kept.push_str(rest);
        text = kept;
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Whether these two characters stand within one word. From U+2E80 on come scripts without blanks between words,
/// and Hangul, where a particle follows a name without one.
fn joined(left: Option<char>, right: Option<char>) -> bool {
    let spaced = |c: char| c.is_alphanumeric() && c < '\u{2e80}';
    left.is_some_and(spaced) && right.is_some_and(spaced)
}

#[cfg(test)]
mod tests {
    use super::super::haystack::Place;
    use super::super::parse::parse;
    use super::*;

    #[test]
    fn whole_names_go_and_parts_of_words_stay() {
        let names = BTreeSet::from(["Jon", "Ana", "Ana Maria", "小王"]);
        let cases = [
            ("When did Jon's sister call Jon?", "When did sister call ?"),
            ("Jonas met Ana Maria in Anatolia", "Jonas met in Anatolia"),
            ("ça Jon, çaJon", "ça , çaJon"),
            ("小王周末做了什么？", "周末做了什么？"),
        ];
        for (text, left) in cases {
            assert_eq!(without_names(text, &names), left);
        }
    }

    #[test]
    fn foreign_questions_are_those_of_the_others_that_have_an_answer() {
        let haystack = |speaker: &str, texts: [&str; 2]| {
            let json = serde_json::json!({
                "kind": "turn-retrieval", "set": "s",
                "docs": [{"id": "a", "text": "x", "session": "s", "speaker": speaker}],
                "queries": [{"id": 1, "text": texts[0]}, {"id": 2, "text": texts[1], "abstain": true}],
            });
            parse(json.to_string().as_bytes(), Place { file: "set.jsonl".into(), line: 1 }).unwrap()
        };
        let set = [
            haystack("Ana", ["own", "own"]),
            haystack("Bo", ["where is Bo?", "never said"]),
            haystack("Cy", ["Cy", "no"]),
        ];
        assert_eq!(questions(&set, 0), ["where is ?"], "a question of nothing but a name is none");
    }
}

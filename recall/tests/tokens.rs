//! The number of tokens that recall counts is never below OpenAI's `o200k_base`.
//!
//! `data/tokens.jsonl` has texts with their true numbers, as the tokenizer itself counts them: hand-written ones, and
//! random ones of words, numbers, signs and characters of many scripts, mixed.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::sync::LazyLock;

use harness_recall::tokens;
use proptest::prelude::*;
use serde::Deserialize;

#[derive(Deserialize)]
struct Counted {
    text: String,
    tokens: usize,
}

static COUNTED: LazyLock<Vec<Counted>> = LazyLock::new(|| {
    include_str!("data/tokens.jsonl").lines().map(|line| serde_json::from_str(line).unwrap()).collect()
});

#[test]
fn no_text_takes_more_tokens_than_counted() {
    for Counted { text, tokens: exact } in COUNTED.iter() {
        let counted = tokens::at_most(text);
        assert!(counted >= *exact, "{counted} tokens counted, {exact} needed: {text:?}");
    }
}

#[test]
fn prose_is_not_counted_much_above_what_it_takes() {
    let prose = "Before a release the team checks the build, reads the log and asks whether the last deploy to staging \
                 was slow. If it was, they look at the queue first and at the database after that.";
    assert!(tokens::at_most(prose) <= 50, "{} tokens; it takes 38", tokens::at_most(prose));
}

proptest! {
    #[test]
    fn texts_together_take_no_more_tokens_than_counted(places in proptest::collection::vec(any::<prop::sample::Index>(), 1..20)) {
        let parts: Vec<&Counted> = places.iter().map(|place| place.get(&COUNTED)).collect();
        let text: Vec<&str> = parts.iter().map(|part| part.text.as_str()).collect();
        // Tokens do not reach over the end of a line.
        let exact: usize = parts.iter().map(|part| part.tokens).sum();
        prop_assert!(tokens::at_most(&text.join("\n")) >= exact);
    }
}

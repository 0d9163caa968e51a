//! How many tokens a text takes in a prompt, at most.
//!
//! Models count differently, and a tokenizer's whole table is megabytes that take a tenth of a second to load. A budget
//! needs a bound that holds, not the exact number: this one is never below OpenAI's `o200k_base`, and about a third
//! above it on prose. It knows the twelve thousand most frequent English words that are one token, and the characters
//! that are one; for everything else it counts by what the worst text of its kind takes.
//!
//! That it holds is measured against the tokenizer itself, on texts of many kinds and by property
//! (`recall/tests/tokens.rs`).

use std::sync::OnceLock;

use rustc_hash::{FxHashMap, FxHashSet};

/// Words, each with the forms in which it is one token: the sum of 1 (after a blank), 2 (without one), 4 (capital first,
/// after a blank), 8 (capital first).
const WORDS: &str = include_str!("tokens/words.txt");

/// Characters beyond ASCII that are one token.
const CHARACTERS: &str = include_str!("tokens/characters.txt");

/// Which letters follow which often enough that words made of such pairs are cut into long pieces: two hundred of the
/// twenty thousand most frequent words have the pair.
const FOLLOWERS: [&[u8]; 26] = [
    b"bcdgilmnprstu",
    b"aeilr",
    b"aehiortu",
    b"aeio",
    b"acdegilmnprstvx",
    b"eio",
    b"aer",
    b"aeio",
    b"acdeglmnorstv",
    b"",
    b"e",
    b"aeilouy",
    b"aeiop",
    b"acdegiost",
    b"cdlmnoprstu",
    b"aeilor",
    b"u",
    b"adeimost",
    b"acehiopstu",
    b"aehiorsu",
    b"eilmnrst",
    b"aeio",
    b"ae",
    b"",
    b"",
    b"",
];

/// From this many characters beyond ASCII in a row on, tokens may cut through characters.
const CUT_RUN: usize = 3;

/// And once more for so many.
const CUT_EVERY: usize = 16;

struct Table {
    words: FxHashMap<&'static str, u8>,
    characters: FxHashSet<char>,
}

fn table() -> &'static Table {
    static TABLE: OnceLock<Table> = OnceLock::new();
    TABLE.get_or_init(|| {
        let word = |entry: &'static str| {
            let (word, forms) = entry.split_once('/')?;
            Some((word, u8::from_str_radix(forms, 16).ok()?))
        };
        let characters = CHARACTERS.chars().filter(|c| !c.is_whitespace());
        Table { words: WORDS.split_whitespace().filter_map(word).collect(), characters: characters.collect() }
    })
}

/// A number of tokens that this text does not exceed.
pub fn at_most(text: &str) -> usize {
    let table = table();
    let mut tokens = 0;
    // A blank that may be one token with what follows it.
    let mut blank = false;
    // Characters beyond ASCII in a row.
    let mut beyond = 0;
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let run = rest.find(|c| class(c) != class(first)).unwrap_or(rest.len());
        let (piece, after) = rest.split_at(run);
        rest = after;
        if class(first) == Class::Beyond {
            beyond += piece.chars().count();
        } else {
            tokens += cuts(std::mem::take(&mut beyond));
        }
        // A blank goes with a word or a sign behind it, and stands alone before the rest.
        let with_blank = std::mem::take(&mut blank);
        if with_blank && !matches!(class(first), Class::Letter | Class::Sign) {
            tokens += 1;
        }
        tokens += match class(first) {
            Class::Letter => letters(table, piece, with_blank),
            Class::Digit => piece.len().div_ceil(3),
            Class::Blank => {
                blank = true;
                piece.len() - 1
            }
            Class::Sign | Class::Control => piece.len(),
            Class::Beyond => piece.chars().map(|c| if table.characters.contains(&c) { 1 } else { c.len_utf8() }).sum(),
        };
    }
    tokens + cuts(beyond) + usize::from(blank)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Letter,
    Digit,
    Blank,
    Sign,
    Control,
    Beyond,
}

fn class(c: char) -> Class {
    match c {
        'a'..='z' | 'A'..='Z' => Class::Letter,
        '0'..='9' => Class::Digit,
        ' ' => Class::Blank,
        '!'..='~' => Class::Sign,
        c if c.is_ascii() => Class::Control,
        _ => Class::Beyond,
    }
}

/// What tokens that cut through characters add to a run of them.
fn cuts(run: usize) -> usize {
    if run < CUT_RUN { 0 } else { 1 + run / CUT_EVERY }
}

/// Tokens of letters in a row: of each of the words that they are by their case.
fn letters(table: &Table, run: &str, with_blank: bool) -> usize {
    let bytes = run.as_bytes();
    let mut tokens = 0;
    let mut start = 0;
    for at in 1..=bytes.len() {
        let ends = at == bytes.len() || (bytes[at - 1].is_ascii_lowercase() && bytes[at].is_ascii_uppercase());
        if ends {
            tokens += word(table, &run[start..at], with_blank && start == 0);
            start = at;
        }
    }
    tokens
}

/// Tokens of a word.
fn word(table: &Table, word: &str, with_blank: bool) -> usize {
    let lower = word.to_ascii_lowercase();
    let forms = table.words.get(lower.as_str()).copied().unwrap_or(0);
    let plain_tail = word[1..].bytes().all(|byte| byte.is_ascii_lowercase());
    let capital = word.as_bytes()[0].is_ascii_uppercase();
    let form = if capital { 4 } else { 1 } << usize::from(!with_blank);
    if plain_tail && forms & form != 0 {
        return 1;
    }
    let pairs = lower.as_bytes().windows(2);
    let usual = plain_tail && pairs.into_iter().all(|pair| FOLLOWERS[usize::from(pair[0] - b'a')].contains(&pair[1]));
    let most = if usual { word.len().div_ceil(2) + 1 } else { (3 * word.len()).div_ceil(4) + 2 };
    // A short one may leave the blank to itself.
    most.min(word.len()) + usize::from(with_blank && word.len() < 3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_text_takes_nothing_and_more_text_takes_more() {
        assert_eq!(at_most(""), 0);
        let mut last = 0;
        let mut text = String::new();
        for piece in ["word", " and", " 数据库", "。", " E0308", "\n\t{}", "🙂"] {
            text.push_str(piece);
            let now = at_most(&text);
            assert!(now > last, "{text}");
            last = now;
        }
    }

    #[test]
    fn frequent_words_are_one_token_in_each_form_that_is_one() {
        assert_eq!(at_most("The deploy of the shop failed before"), 7);
        assert_eq!(at_most("数据库"), 4);
        assert_eq!(at_most("getUserName"), 3);
    }

    #[test]
    fn the_table_is_whole() {
        assert_eq!(table().words.len(), WORDS.split_whitespace().count());
        assert!(table().words.values().all(|forms| (1..16).contains(forms)));
        assert!(table().characters.len() > 4_000);
    }
}

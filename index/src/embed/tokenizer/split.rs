//! The step between normalising and looking pieces up: a text falls into words.

use std::ops::ControlFlow;
use unicode_categories::UnicodeCategories;

/// Receives one word; says whether more are wanted.
pub(crate) type Words<'a> = dyn FnMut(&str) -> ControlFlow<()> + 'a;

/// One step of a `pre_tokenizer` in a `tokenizer.json`.
pub(crate) enum Splitter {
    /// At white space, which is dropped, and around every punctuation mark.
    Bert,
    /// At white space, which is dropped.
    WhiteSpace,
    /// Spaces become a visible mark.
    Metaspace { mark: char, prepend: Prepend, split: bool },
}

/// Where a [`Splitter::Metaspace`] puts its mark besides in the place of spaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Prepend {
    Always,
    /// Only at the start of the whole text.
    First,
    Never,
}

/// Gives the words of `text` to `words`, as the steps one after the other cut it. `first` says
/// that `text` is at the start of the whole text.
pub(crate) fn split(steps: &[Splitter], text: &str, first: bool, words: &mut Words<'_>) -> ControlFlow<()> {
    let Some((step, rest)) = steps.split_first() else {
        return if text.is_empty() { ControlFlow::Continue(()) } else { words(text) };
    };
    match step {
        Splitter::WhiteSpace => {
            for word in text.split(char::is_whitespace).filter(|word| !word.is_empty()) {
                split(rest, word, first && starts_at_same(text, word), words)?;
            }
        }
        Splitter::Bert => {
            for word in text.split(char::is_whitespace) {
                let mut left = word;
                while !left.is_empty() {
                    let length = match left.find(is_punctuation) {
                        Some(0) => left.chars().next().map_or(1, char::len_utf8),
                        Some(at) => at,
                        None => left.len(),
                    };
                    let (part, after) = left.split_at(length);
                    split(rest, part, first && starts_at_same(text, part), words)?;
                    left = after;
                }
            }
        }
        Splitter::Metaspace { mark, prepend, split: cut } => {
            if text.is_empty() {
                return ControlFlow::Continue(());
            }
            let mut marked = String::with_capacity(text.len() * 2);
            let wanted = match prepend {
                Prepend::Always => true,
                Prepend::First => first,
                Prepend::Never => false,
            };
            if wanted && !text.starts_with([' ', *mark]) {
                marked.push(*mark);
            }
            marked.extend(text.chars().map(|c| if c == ' ' { *mark } else { c }));
            if !cut {
                return split(rest, &marked, first, words);
            }
            let mut from = 0;
            for (at, _) in marked.char_indices().filter(|&(at, c)| c == *mark && at > 0) {
                split(rest, &marked[from..at], first && from == 0, words)?;
                from = at;
            }
            split(rest, &marked[from..], first && from == 0, words)?;
        }
    }
    ControlFlow::Continue(())
}

fn starts_at_same(text: &str, part: &str) -> bool {
    std::ptr::eq(text.as_ptr(), part.as_ptr())
}

fn is_punctuation(c: char) -> bool {
    c.is_ascii_punctuation() || !c.is_ascii() && c.is_punctuation()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(steps: &[Splitter], text: &str) -> Vec<String> {
        let mut found = Vec::new();
        let _ = split(steps, text, true, &mut |word| {
            found.push(word.to_owned());
            ControlFlow::Continue(())
        });
        found
    }

    #[test]
    fn bert_sets_punctuation_apart_and_drops_white_space() {
        let found = words(&[Splitter::Bert], " don't  go—now… \n");
        assert_eq!(found, ["don", "'", "t", "go", "—", "now", "…"]);
    }

    #[test]
    fn a_mark_stands_for_each_space() {
        let metaspace = |prepend| Splitter::Metaspace { mark: '▁', prepend, split: true };
        assert_eq!(words(&[metaspace(Prepend::Always)], "a  b"), ["▁a", "▁", "▁b"]);
        assert_eq!(words(&[metaspace(Prepend::Never)], "a b"), ["a", "▁b"]);
        let both = [Splitter::WhiteSpace, metaspace(Prepend::Always)];
        assert_eq!(words(&both, " a\t\u{3000}b "), ["▁a", "▁b"]);
        let first = [Splitter::WhiteSpace, metaspace(Prepend::First)];
        assert_eq!(words(&first, "a b"), ["▁a", "b"]);
    }

    #[test]
    fn a_receiver_that_has_enough_gets_no_more() {
        let mut count = 0;
        let flow = split(&[Splitter::WhiteSpace], "a b c d", true, &mut |_| {
            count += 1;
            if count == 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        assert!(flow.is_break());
        assert_eq!(count, 2);
    }
}

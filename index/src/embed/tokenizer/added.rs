//! Tokens that are found in a text before it is cut into words, such as `[SEP]` or `<mask>`.

use std::ops::ControlFlow;

/// One added token.
pub(crate) struct Token {
    pub(crate) text: String,
    pub(crate) id: u32,
    /// Counts only where no letter, digit or underscore touches it.
    pub(crate) single_word: bool,
    /// Takes the white space before it along.
    pub(crate) strip_left: bool,
    /// Takes the white space after it along.
    pub(crate) strip_right: bool,
}

/// A set of added tokens.
#[derive(Default)]
pub(crate) struct Added {
    /// Longest first, so that of two that start at one place the longer is found.
    tokens: Vec<Token>,
}

/// Receives a part of the text, the token that it is if it is one, and where it starts.
pub(crate) type Parts<'a> = dyn FnMut(&str, Option<u32>, usize) -> ControlFlow<()> + 'a;

impl Added {
    pub(crate) fn new(mut tokens: Vec<Token>) -> Self {
        tokens.retain(|token| !token.text.is_empty());
        tokens.sort_by_key(|token| std::cmp::Reverse(token.text.len()));
        Self { tokens }
    }

    /// Gives the parts of `text` from left to right: added tokens, and what lies between them.
    pub(crate) fn split(&self, text: &str, parts: &mut Parts<'_>) -> ControlFlow<()> {
        let mut done = 0;
        let mut from = 0;
        while let Some((at, token)) = self.next(text, from) {
            let end = at + token.text.len();
            from = end;
            let touches = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
            if token.single_word && (touches(text[..at].chars().next_back()) || touches(text[end..].chars().next())) {
                continue;
            }
            let mut start = at;
            if token.strip_left {
                start = text[..at].trim_end().len().max(done);
            }
            let mut stop = end;
            if token.strip_right {
                stop = text.len() - text[end..].trim_start().len();
            }
            if done < start {
                parts(&text[done..start], None, done)?;
            }
            parts(&text[start..stop], Some(token.id), start)?;
            done = stop;
            from = from.max(stop);
        }
        if done < text.len() {
            parts(&text[done..], None, done)?;
        }
        ControlFlow::Continue(())
    }

    /// The first token at or after `from`.
    fn next(&self, text: &str, from: usize) -> Option<(usize, &Token)> {
        self.tokens
            .iter()
            .filter_map(|token| text[from..].find(&token.text).map(|at| (from + at, token)))
            // `min_by_key` keeps the first of equals, which is the longest.
            .min_by_key(|(at, _)| *at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(added: &Added, text: &str) -> Vec<(String, Option<u32>)> {
        let mut found = Vec::new();
        let _ = added.split(text, &mut |part, id, at| {
            assert!(text[at..].starts_with(part));
            found.push((part.to_owned(), id));
            ControlFlow::Continue(())
        });
        assert_eq!(found.iter().map(|(part, _)| part.as_str()).collect::<String>(), text);
        found
    }

    fn token(text: &str, id: u32) -> Token {
        Token { text: text.into(), id, single_word: false, strip_left: false, strip_right: false }
    }

    #[test]
    fn the_first_and_longest_token_is_found() {
        let added = Added::new(vec![token("<s", 1), token("<s>", 2)]);
        let found = parts(&added, "a<s><sb");
        let ids: Vec<_> = found.iter().map(|(_, id)| *id).collect();
        assert_eq!(ids, [None, Some(2), Some(1), None]);
    }

    #[test]
    fn a_token_takes_white_space_along_and_may_ask_to_stand_alone() {
        let added = Added::new(vec![
            Token { strip_left: true, ..token("<mask>", 1) },
            Token { single_word: true, ..token("day", 2) },
        ]);
        let found = parts(&added, "to  <mask> day today");
        assert_eq!(
            found,
            [
                ("to".to_owned(), None),
                ("  <mask>".to_owned(), Some(1)),
                (" ".to_owned(), None),
                ("day".to_owned(), Some(2)),
                (" today".to_owned(), None)
            ]
        );
    }
}

//! The step before splitting: texts to the form that a vocabulary was made from.

use super::charsmap::CharsMap;
use unicode_categories::UnicodeCategories;
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// One step of a `normalizer` in a `tokenizer.json`.
pub(crate) enum Normalizer {
    /// What BERT's tokenizer does.
    Bert {
        clean_text: bool,
        space_ideographs: bool,
        strip_accents: bool,
        lowercase: bool,
    },
    /// SentencePiece's table of replacements.
    CharsMap(CharsMap),
    Nfc,
    Nfd,
    Nfkc,
    Nfkd,
    Lowercase,
    StripAccents,
    Strip {
        left: bool,
        right: bool,
    },
    Prepend(String),
    /// Every occurrence of the first becomes the second.
    Replace(String, String),
    /// Every run of at least this many spaces becomes the text.
    ReplaceSpaces(usize, String),
}

impl Normalizer {
    pub(crate) fn apply(&self, text: &str) -> String {
        match self {
            Self::Bert { clean_text, space_ideographs, strip_accents, lowercase } => {
                bert(text, *clean_text, *space_ideographs, *strip_accents, *lowercase)
            }
            Self::CharsMap(map) => map.apply(text),
            Self::Nfc => text.nfc().collect(),
            Self::Nfd => text.nfd().collect(),
            Self::Nfkc => text.nfkc().collect(),
            Self::Nfkd => text.nfkd().collect(),
            // Letter by letter: the vocabularies were made without the rule for a final sigma.
            Self::Lowercase => text.chars().flat_map(char::to_lowercase).collect(),
            Self::StripAccents => text.chars().filter(|&c| !is_combining_mark(c)).collect(),
            Self::Strip { left, right } => {
                let text = if *left { text.trim_start() } else { text };
                if *right { text.trim_end() } else { text }.to_owned()
            }
            Self::Prepend(_) if text.is_empty() => String::new(),
            Self::Prepend(prefix) => format!("{prefix}{text}"),
            Self::Replace(from, to) => text.replace(from.as_str(), to),
            Self::ReplaceSpaces(least, to) => replace_spaces(text, *least, to),
        }
    }
}

fn bert(text: &str, clean: bool, space_ideographs: bool, strip_accents: bool, lowercase: bool) -> String {
    if text.is_ascii() && clean {
        // The same as below for what has no accents and no ideographs.
        return text
            .chars()
            .filter(|&c| !is_dropped(c))
            .map(|c| if c.is_whitespace() { ' ' } else { c })
            .map(|c| if lowercase { c.to_ascii_lowercase() } else { c })
            .collect();
    }
    let mut spaced = String::with_capacity(text.len() * 2);
    for c in text.chars() {
        if clean && is_dropped(c) {
            continue;
        }
        if space_ideographs && is_ideograph(c) {
            spaced.extend([' ', c, ' ']);
        } else if clean && c.is_whitespace() {
            spaced.push(' ');
        } else {
            spaced.push(c);
        }
    }
    if strip_accents {
        spaced = spaced.nfd().filter(|c| c.is_ascii() || !c.is_mark_nonspacing()).collect();
    }
    if lowercase {
        spaced = spaced.chars().flat_map(char::to_lowercase).collect();
    }
    spaced
}

/// Control, format and private characters, and what stands for undecodable bytes.
fn is_dropped(c: char) -> bool {
    match c {
        '\t' | '\n' | '\r' | ' '..='~' => false,
        '\0' | '\u{fffd}' => true,
        _ => c.is_other(),
    }
}

/// The blocks that BERT's tokenizer takes for Chinese characters; kana and Hangul are not among them.
fn is_ideograph(c: char) -> bool {
    matches!(
        u32::from(c),
        0x4E00..=0x9FFF
            | 0x3400..=0x4DBF
            | 0x20000..=0x2A6DF
            | 0x2A700..=0x2B73F
            | 0x2B740..=0x2B81F
            | 0x2B920..=0x2CEAF
            | 0xF900..=0xFAFF
            | 0x2F800..=0x2FA1F
    )
}

fn replace_spaces(text: &str, least: usize, to: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut spaces = 0;
    let flush = |out: &mut String, spaces: usize| {
        if spaces >= least {
            out.push_str(to);
        } else {
            out.extend(std::iter::repeat_n(' ', spaces));
        }
    };
    for c in text.chars() {
        if c == ' ' {
            spaces += 1;
            continue;
        }
        flush(&mut out, spaces);
        spaces = 0;
        out.push(c);
    }
    flush(&mut out, spaces);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNCASED: Normalizer =
        Normalizer::Bert { clean_text: true, space_ideographs: true, strip_accents: true, lowercase: true };

    #[test]
    fn uncased_bert_folds_case_and_accents_and_sets_ideographs_apart() {
        assert_eq!(UNCASED.apply("Crème\u{0}\u{200b}\tBRÛLÉE"), "creme brulee");
        assert_eq!(UNCASED.apply("学习rust吧"), " 学  习 rust 吧 ");
        assert_eq!(UNCASED.apply("ΣΟΦΟΣ"), "σοφοσ");
    }

    #[test]
    fn ascii_takes_the_short_way_to_the_same_form() {
        assert_eq!(UNCASED.apply("A\r\nb\u{7f}\u{1}C"), "a  bc");
    }

    #[test]
    fn runs_of_spaces_are_replaced_from_the_given_length_on() {
        let two = Normalizer::ReplaceSpaces(2, " ".into());
        assert_eq!(two.apply("  a b   c "), " a b c ");
        assert_eq!(Normalizer::ReplaceSpaces(1, "_".into()).apply(" a  b "), "_a_b_");
    }
}

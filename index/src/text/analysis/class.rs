//! What kind of character a character is, as far as cutting text into terms is concerned.

use unicode_normalization::char::is_combining_mark;

/// The class of one character.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    Space,
    Lower,
    Upper,
    /// A letter of a script with spaces between words that is neither Latin, Greek nor Cyrillic.
    Letter,
    Digit,
    /// A mark that belongs to the letter before it.
    Mark,
    Han,
    Hiragana,
    Katakana,
    Hangul,
    /// A letter of a script without spaces that has no class of its own: Thai, Lao, Khmer, Burmese.
    Unspaced,
    /// An emoji or pictograph.
    Symbol,
    /// Punctuation and everything else.
    Other,
}

impl Class {
    /// Scripts that are written without spaces, whose text is cut into pairs of characters.
    pub(crate) fn is_paired(self) -> bool {
        matches!(self, Self::Han | Self::Hiragana | Self::Katakana | Self::Unspaced)
    }

    /// Letters and digits of scripts with spaces.
    pub(crate) fn is_alphanumeric(self) -> bool {
        matches!(self, Self::Lower | Self::Upper | Self::Letter | Self::Digit | Self::Mark)
    }

    pub(crate) fn is_kana(self) -> bool {
        matches!(self, Self::Hiragana | Self::Katakana)
    }
}

pub(crate) fn class_of(c: char) -> Class {
    if c.is_ascii() {
        return match c {
            'a'..='z' => Class::Lower,
            'A'..='Z' => Class::Upper,
            '0'..='9' => Class::Digit,
            ' ' | '\t' | '\n' | '\r' => Class::Space,
            _ => Class::Other,
        };
    }
    match c {
        '\u{4E00}'..='\u{9FFF}'
        | '\u{3400}'..='\u{4DBF}'
        | '\u{F900}'..='\u{FAFF}'
        | '\u{20000}'..='\u{3FFFF}'
        | '々'
        | '〇'
        | '〆' => Class::Han,
        '\u{3041}'..='\u{3098}' | '\u{309B}'..='\u{309F}' => Class::Hiragana,
        '\u{30A1}'..='\u{30FA}' | '\u{30FC}'..='\u{30FF}' | '\u{31F0}'..='\u{31FF}' => Class::Katakana,
        '\u{AC00}'..='\u{D7A3}'
        | '\u{1100}'..='\u{11FF}'
        | '\u{3131}'..='\u{318E}'
        | '\u{A960}'..='\u{A97C}'
        | '\u{D7B0}'..='\u{D7FB}' => Class::Hangul,
        '\u{0E00}'..='\u{0EFF}' | '\u{1000}'..='\u{109F}' | '\u{1780}'..='\u{17FF}'
            if c.is_alphabetic() || is_combining_mark(c) =>
        {
            Class::Unspaced
        }
        '\u{1F000}'..='\u{1FAFF}' | '\u{2600}'..='\u{27BF}' | '\u{2B00}'..='\u{2BFF}' => Class::Symbol,
        _ if is_combining_mark(c) => Class::Mark,
        _ if c.is_uppercase() => Class::Upper,
        _ if c.is_lowercase() => Class::Lower,
        _ if c.is_numeric() => Class::Digit,
        _ if c.is_alphabetic() => Class::Letter,
        _ if c.is_whitespace() => Class::Space,
        _ => Class::Other,
    }
}

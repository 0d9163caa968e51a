//! Folding: one spelling for all the ways in which the same text is written.

use std::ops::Range;
use std::sync::OnceLock;

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

use super::class::{Class, class_of};
use super::variants;

/// Text folded for comparison, with the way back to the original.
///
/// Folding is NFKC (which settles width and compatibility forms), lower case, Latin letters without their marks,
/// Traditional and Japanese Han forms as Simplified ones, katakana as hiragana, and nothing in the place of invisible
/// characters. Folding the folded text changes nothing.
#[derive(Debug, Default, Clone)]
pub struct Folded {
    text: String,
    units: Vec<Unit>,
    original_len: u32,
}

/// One folded character.
#[derive(Debug, Clone, Copy)]
struct Unit {
    /// Where the character starts in the folded text.
    at: u32,
    /// Where the original character that it came from starts.
    origin: u32,
    class: Class,
}

/// Text beyond this many bytes is not folded: offsets are 32 bits wide, and no record is nearly as long.
pub const FOLDED_BYTES_MAX: usize = 1 << 30;

/// A cluster settles after one more fold in all known cases.
const REFOLDED_MAX: usize = 4;

impl Folded {
    /// Folds `text`.
    pub fn new(text: &str) -> Self {
        let mut folded = Self::default();
        folded.fold(text);
        folded
    }

    /// Folds `text` into this value, whose buffers are reused.
    pub fn fold(&mut self, text: &str) {
        let mut end = text.len().min(FOLDED_BYTES_MAX);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        let text = &text[..end];
        self.text.clear();
        self.units.clear();
        self.original_len = text.len() as u32;
        let table = table();
        let mut chars = text.char_indices().peekable();
        while let Some((origin, c)) = chars.next() {
            let joined = chars.peek().is_some_and(|&(_, next)| joins(c, next));
            if !joined {
                if c.is_ascii() {
                    self.push(c.to_ascii_lowercase(), class_of(c), origin);
                    continue;
                }
                if let Some(simple) = table.get(c) {
                    self.push(simple, class_of(c), origin);
                    continue;
                }
            }
            let mut last = origin + c.len_utf8();
            let mut previous = c;
            while let Some(&(at, next)) = chars.peek() {
                if !joins(previous, next) {
                    break;
                }
                if !is_ignorable(next) && !is_combining_mark(next) && !matches!(next, '\u{FF9E}' | '\u{FF9F}') {
                    previous = next;
                }
                last = at + next.len_utf8();
                chars.next();
            }
            self.fold_cluster(&text[origin..last], origin, table);
        }
    }

    /// Folds a character together with the marks that follow it.
    #[cold]
    fn fold_cluster(&mut self, cluster: &str, origin: usize, table: &Table) {
        let (at, first) = (self.text.len(), self.units.len());
        self.fold_once(cluster, origin, table);
        if cluster.chars().nth(1).is_none() {
            return;
        }
        // Where a mark is gone its neighbours may meet and merge.
        for _ in 0..REFOLDED_MAX {
            let folded = self.text[at..].to_owned();
            let mut again = Self::default();
            again.fold_once(&folded, origin, table);
            if again.text == folded {
                return;
            }
            self.text.truncate(at);
            self.units.truncate(first);
            self.fold_once(&folded, origin, table);
        }
    }

    fn fold_once(&mut self, cluster: &str, origin: usize, table: &Table) {
        let mut base = Class::Other;
        for c in cluster.chars().filter(|&c| !is_ignorable(c)).nfkc() {
            if is_ignorable(c) {
                continue;
            }
            let class = class_of(c);
            if class != Class::Mark {
                base = class;
            }
            if let Some(simple) = table.get(c) {
                self.push(simple, class, origin);
                continue;
            }
            match base {
                Class::Lower | Class::Upper | Class::Letter if is_stripped(c) => {
                    for part in std::iter::once(c).nfkd() {
                        if is_combining_mark(part) {
                            continue;
                        }
                        for lower in part.to_lowercase() {
                            if !is_combining_mark(lower) {
                                self.push_letter(lower, class, origin);
                            }
                        }
                    }
                }
                _ if matches!(c, '\u{3099}' | '\u{309A}') => {}
                _ => {
                    for lower in c.to_lowercase() {
                        self.push_letter(lower, class, origin);
                    }
                }
            }
        }
    }

    fn push_letter(&mut self, c: char, class: Class, origin: usize) {
        match c {
            '‘' | '’' | 'ʼ' => self.push('\'', class, origin),
            '‐' | '‑' => self.push('-', class, origin),
            'ß' => {
                self.push('s', class, origin);
                self.push('s', class, origin);
            }
            'ς' => self.push('σ', class, origin),
            'ı' => self.push('i', class, origin),
            'ø' => self.push('o', class, origin),
            'đ' | 'ð' => self.push('d', class, origin),
            'ł' => self.push('l', class, origin),
            'æ' => {
                self.push('a', class, origin);
                self.push('e', class, origin);
            }
            'œ' => {
                self.push('o', class, origin);
                self.push('e', class, origin);
            }
            c => self.push(c, class, origin),
        }
    }

    fn push(&mut self, c: char, class: Class, origin: usize) {
        self.units.push(Unit { at: self.text.len() as u32, origin: origin as u32, class });
        self.text.push(c);
    }

    /// The folded text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// How many characters the folded text has.
    pub fn len(&self) -> usize {
        self.units.len()
    }

    /// Whether nothing is left of the text.
    pub fn is_empty(&self) -> bool {
        self.units.is_empty()
    }

    /// The class of the folded character at index `i` (of characters, not bytes).
    pub(crate) fn class(&self, i: usize) -> Class {
        self.units.get(i).map_or(Class::Space, |unit| unit.class)
    }

    pub(crate) fn set_class(&mut self, i: usize, class: Class) {
        self.units[i].class = class;
    }

    /// Where the character at index `i` starts in the folded text; its length for the index one past the last.
    pub(crate) fn byte(&self, i: usize) -> usize {
        self.units.get(i).map_or(self.text.len(), |unit| unit.at as usize)
    }

    /// The index of the character that starts at `byte` of the folded text.
    pub(crate) fn index_of(&self, byte: usize) -> usize {
        self.units.partition_point(|unit| (unit.at as usize) < byte)
    }

    /// The folded text between two character indices.
    pub(crate) fn slice(&self, range: Range<usize>) -> &str {
        &self.text[self.byte(range.start)..self.byte(range.end)]
    }

    /// The first byte of the character at index `i`; only meant for telling ASCII connectors apart.
    pub(crate) fn first_byte(&self, i: usize) -> u8 {
        self.units.get(i).map_or(b' ', |unit| self.text.as_bytes()[unit.at as usize])
    }

    /// The bytes of the original text from which the folded characters in `range` came.
    ///
    /// Both ends are character boundaries of the original; invisible characters and marks that follow are inside.
    pub fn origin(&self, range: Range<usize>) -> Range<usize> {
        let Some(first) = self.units.get(range.start).filter(|_| range.start < range.end) else {
            return self.original_len as usize..self.original_len as usize;
        };
        let last = self.units[range.end.min(self.units.len()) - 1].origin;
        let mut after = range.end;
        while self.units.get(after).is_some_and(|unit| unit.origin == last) {
            after += 1;
        }
        let end = self.units.get(after).map_or(self.original_len, |unit| unit.origin);
        first.origin as usize..end as usize
    }
}

/// Whether a character may merge with the one before it under NFKC, or belongs to it.
fn joins(before: char, c: char) -> bool {
    if c < '\u{300}' {
        return c == '\u{AD}';
    }
    match c {
        // Letters of Hangul that stand alone (ㅋㅋ) are of a kind that makes syllables once normalised.
        '\u{3131}'..='\u{3163}' | '\u{3165}'..='\u{318E}' => {
            matches!(before, '\u{1100}'..='\u{11FF}' | '\u{3200}'..='\u{327F}' | '\u{3131}'..='\u{318E}' | '\u{AC00}'..='\u{D7A3}' | '\u{FFA0}'..='\u{FFDC}')
        }
        '\u{4E00}'..='\u{9FFF}' | '\u{3040}'..='\u{3098}' | '\u{309B}'..='\u{30FF}' | '\u{AC00}'..='\u{D7A3}' => false,
        '\u{FF9E}' | '\u{FF9F}' | '\u{1160}'..='\u{11FF}' | '\u{FFA0}'..='\u{FFDC}' => true,
        _ => is_combining_mark(c) || is_ignorable(c),
    }
}

/// Characters that nobody sees: zero-width marks, joiners, variation selectors, soft hyphens, tags.
fn is_ignorable(c: char) -> bool {
    matches!(c,
        '\u{AD}' | '\u{34F}' | '\u{61C}' | '\u{115F}' | '\u{1160}' | '\u{17B4}' | '\u{17B5}' | '\u{180B}'..='\u{180F}'
        | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{3164}'
        | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}' | '\u{FFA0}' | '\u{FFF0}'..='\u{FFF8}' | '\u{1BCA0}'..='\u{1BCA3}'
        | '\u{1D173}'..='\u{1D17A}' | '\u{E0000}'..='\u{E0FFF}')
}

/// Latin letters lose their marks (café, naïve); other scripts keep them, because there they make other letters.
fn is_stripped(c: char) -> bool {
    is_combining_mark(c)
        || c < '\u{370}'
        || ('\u{1D00}'..'\u{1F00}').contains(&c)
        || ('\u{2C60}'..'\u{2C80}').contains(&c)
}

/// What single characters between U+3000 and U+9FFF fold to, where that is one character.
struct Table(Box<[u16]>);

const TABLE_START: u32 = 0x3000;
const TABLE_END: u32 = 0xA000;

impl Table {
    fn get(&self, c: char) -> Option<char> {
        let slot = (c as u32).wrapping_sub(TABLE_START) as usize;
        match self.0.get(slot) {
            Some(&folded) if folded != 0 => char::from_u32(u32::from(folded)),
            Some(_) => None,
            // Hangul syllables are their own folded form.
            None if ('\u{AC00}'..='\u{D7A3}').contains(&c) => Some(c),
            None => None,
        }
    }
}

fn table() -> &'static Table {
    static TABLE: OnceLock<Table> = OnceLock::new();
    TABLE.get_or_init(|| {
        let variants = variants::simplified_forms();
        let mut slots = vec![0u16; (TABLE_END - TABLE_START) as usize].into_boxed_slice();
        let mut text = String::new();
        for code in TABLE_START..TABLE_END {
            let Some(c) = char::from_u32(code) else { continue };
            if is_combining_mark(c) || is_ignorable(c) {
                continue;
            }
            text.clear();
            text.extend(std::iter::once(c).nfkc());
            let mut chars = text.chars();
            let (Some(one), None) = (chars.next(), chars.next()) else { continue };
            let folded = match one {
                '\u{30A1}'..='\u{30F6}' | '\u{30FD}' | '\u{30FE}' => char::from_u32(one as u32 - 0x60).unwrap_or(one),
                '\u{4E00}'..='\u{9FFF}' | '\u{3400}'..='\u{4DBF}' => variants.get(&one).copied().unwrap_or(one),
                _ if one.is_lowercase() || one.is_uppercase() => continue,
                _ => one,
            };
            if let Ok(folded) = u16::try_from(folded as u32) {
                slots[(code - TABLE_START) as usize] = folded;
            }
        }
        Table(slots)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fold(text: &str) -> String {
        Folded::new(text).text().to_owned()
    }

    #[test]
    fn one_spelling_for_width_case_script_and_kana() {
        assert_eq!(fold("ＦＴＳ５ Ｘ"), "fts5 x");
        assert_eq!(fold("ﾃﾞｰﾀﾍﾞｰｽ"), fold("でーたべーす"));
        assert_eq!(fold("資料庫備份"), "资料库备份");
        assert_eq!(fold("気図変駅録"), fold("氣圖變驛錄"));
        assert_eq!(fold("Café Straße ŁÓDŹ"), "cafe strasse lodz");
        assert_eq!(fold("co\u{AD}operate\u{200B}"), "cooperate");
        assert_eq!(fold("\u{1112}\u{1161}\u{11AB}"), "한");
    }

    #[test]
    fn no_simplified_form_is_folded_further() {
        for (code, &folded) in table().0.iter().enumerate() {
            if let Some(c) = char::from_u32(u32::from(folded)).filter(|_| folded != 0) {
                assert_eq!(table().get(c).unwrap_or(c), c, "U+{:04X}", TABLE_START as usize + code);
            }
        }
    }

    #[test]
    fn what_stands_between_two_letters_unseen_does_not_keep_them_apart() {
        for text in ["ﾱ\u{200D}ᅡ", "ᄀ\u{FF9E}ㅏ", "㎀\u{AD}\u{300}", "À\u{3164}\u{FE20}", "㉠ㅏ", "º\u{30D}\u{FF9E}"]
        {
            assert_eq!(fold(&fold(text)), fold(text), "{text}");
        }
    }

    #[test]
    fn the_way_back_covers_the_marks_of_a_character() {
        let text = "xe\u{301}ﾃﾞy";
        let folded = Folded::new(text);
        assert_eq!(folded.text(), "xeでy");
        assert_eq!(&text[folded.origin(1..2)], "e\u{301}");
        assert_eq!(&text[folded.origin(2..3)], "ﾃﾞ");
        assert_eq!(folded.origin(4..4), text.len()..text.len());
    }
}

//! From text to terms: one analyzer for every language, with no flag to set.
//!
//! A text is folded, cut into runs of one kind of script, and each run gives its terms. Documents and queries go
//! through the same code, so that what one side emits the other side finds.

mod cjk;
mod class;
mod fold;
mod hangul;
mod latin;
mod stop;
mod variants;

use std::ops::Range;

pub(crate) use cjk::write_kana_word;
pub(crate) use class::Class;
pub use fold::{FOLDED_BYTES_MAX, Folded};
pub(crate) use latin::{join_words, stem};
pub(crate) use stop::{hangul_content, is_function_character, is_function_word, is_stop_word, mask_questions};

/// Which terms the analyzer makes, and of which text of a record. An index made by another version is rebuilt.
///
/// Since 3 what the program itself says of an episode's end is no text to search.
pub const ANALYZER_VERSION: u32 = 3;

/// Terms are cut at this many bytes: longer tokens are hashes, keys and encoded data, which their beginning tells
/// apart, and each distinct term costs room in the term dictionary.
pub const TERM_BYTES_MAX: usize = 48;

/// Starts the terms that are words of a spaceless script, so that they cannot be taken for n-grams.
pub(crate) const WORD_PREFIX: char = '\u{1}';

/// Starts the terms that are Hangul words and stems, for the same reason.
pub(crate) const HANGUL_WORD_PREFIX: char = '\u{2}';

/// Starts the terms that are words as written, beside their stems.
pub(crate) const EXACT_PREFIX: char = '\u{3}';

/// What a term is made of, which decides its weight in a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum TermKind {
    /// One Han character.
    HanUnigram,
    /// Two neighbouring Han characters.
    HanBigram,
    /// Two neighbouring hiragana.
    HiraganaBigram,
    /// Two neighbouring katakana.
    KatakanaBigram,
    /// Two neighbouring characters of different scripts without spaces, or of Thai, Lao, Khmer or Burmese.
    MixedBigram,
    /// One character of a script without spaces that stands alone.
    Single,
    /// A Han word.
    HanWord,
    /// A run of katakana.
    KatakanaWord,
    /// A Hangul word as written.
    HangulWord,
    /// A Hangul word without its particle.
    HangulStem,
    /// Two neighbouring Hangul syllables of a word.
    HangulBigram,
    /// One Hangul syllable.
    HangulUnigram,
    /// A word of a script with spaces, stemmed.
    Word,
    /// A word or part of an identifier as written, where its stem is another.
    Exact,
    /// A part of an identifier, stemmed.
    Part,
    /// An identifier, path segment or pair of neighbours whole, without its separators.
    Whole,
    /// A number.
    Number,
    /// A number together with the Han or Hangul character after it, as in `5月`.
    Counted,
    /// An emoji.
    Symbol,
}

impl TermKind {
    const ALL: [Self; 19] = [
        Self::HanUnigram,
        Self::HanBigram,
        Self::HiraganaBigram,
        Self::KatakanaBigram,
        Self::MixedBigram,
        Self::Single,
        Self::HanWord,
        Self::KatakanaWord,
        Self::HangulWord,
        Self::HangulStem,
        Self::HangulBigram,
        Self::HangulUnigram,
        Self::Word,
        Self::Exact,
        Self::Part,
        Self::Whole,
        Self::Number,
        Self::Counted,
        Self::Symbol,
    ];

    /// The kind whose number is `code`.
    pub fn from_u8(code: u8) -> Option<Self> {
        Self::ALL.get(code as usize).copied()
    }
}

/// Makes terms from texts. It holds only buffers: cheap to make, one for each thread.
#[derive(Debug, Default, Clone)]
pub struct Analyzer {
    folded: Folded,
    buffers: Buffers,
}

impl Analyzer {
    /// An analyzer with empty buffers.
    pub fn new() -> Self {
        Self::default()
    }

    /// Calls `emit` with each index term of a document's text, and returns the text's length in the units of
    /// [`super::Shape`].
    ///
    /// A term comes once for each time it occurs, in no promised order.
    pub fn document(&mut self, text: &str, emit: &mut impl FnMut(&str)) -> u32 {
        self.folded.fold(text);
        terms(&self.folded, &mut self.buffers, &mut |term, _, _| emit(term));
        length(&self.folded)
    }
}

/// Buffers that analysis reuses from text to text.
#[derive(Debug, Default, Clone)]
pub(crate) struct Buffers {
    term: String,
    latin: latin::Buffers,
}

/// What receives the terms: the term, its kind, and the range of folded characters it covers.
pub(crate) trait Sink: FnMut(&str, TermKind, Range<usize>) {}
impl<F: FnMut(&str, TermKind, Range<usize>)> Sink for F {}

/// Emits all terms of a folded text.
pub(crate) fn terms(folded: &Folded, buffers: &mut Buffers, sink: &mut impl Sink) {
    // Words are those of Chinese: a Japanese text has kana somewhere, and its Han runs are short.
    let chinese = !(0..folded.len()).any(|i| folded.class(i).is_kana());
    let mut at = 0;
    while at < folded.len() {
        let class = folded.class(at);
        let end = run_end(folded, at);
        if class.is_paired() {
            cjk::terms(folded, at..end, chinese, buffers, sink);
        } else if class == Class::Hangul {
            hangul::terms(folded, at..end, buffers, sink);
        } else if class.is_alphanumeric() {
            latin::terms(folded, at..end, buffers, sink);
        } else if class == Class::Symbol {
            sink(folded.slice(at..end), TermKind::Symbol, at..end);
        }
        at = end;
    }
}

/// Where the run of one kind of script that starts at `at` ends.
fn run_end(folded: &Folded, at: usize) -> usize {
    let class = folded.class(at);
    let mut end = at + 1;
    if class.is_paired() {
        while folded.class(end).is_paired() {
            end += 1;
        }
    } else if class == Class::Hangul {
        while folded.class(end) == Class::Hangul {
            end += 1;
        }
    } else if class.is_alphanumeric() {
        return latin::compound_end(folded, at);
    }
    end
}

/// The length of a text as scoring sees it: characters of scripts without spaces, and words of the others, each
/// counting as the characters that a word of Chinese has.
fn length(folded: &Folded) -> u32 {
    let mut length = 0;
    let mut inside = false;
    for i in 0..folded.len() {
        let class = folded.class(i);
        if class.is_alphanumeric() {
            if !inside {
                length += UNITS_PER_WORD;
            }
            inside = true;
        } else {
            inside = false;
            length += u32::from(class.is_paired() || class == Class::Hangul || class == Class::Symbol);
        }
    }
    length
}

/// A word of English says about as much as one and a half to two Han characters.
const UNITS_PER_WORD: u32 = 2;

/// Cuts a term to [`TERM_BYTES_MAX`] at a character boundary.
pub(crate) fn capped(term: &str) -> &str {
    if term.len() <= TERM_BYTES_MAX {
        return term;
    }
    let mut end = TERM_BYTES_MAX;
    while !term.is_char_boundary(end) {
        end -= 1;
    }
    &term[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terms_of(text: &str) -> Vec<String> {
        let mut terms = Vec::new();
        Analyzer::new().document(text, &mut |term| terms.push(term.to_owned()));
        terms
    }

    #[track_caller]
    fn share(text: &str, terms: &[&str]) {
        let found = terms_of(text);
        for term in terms {
            assert!(found.iter().any(|known| known == term), "{text:?} has no {term:?}: {found:?}");
        }
    }

    #[test]
    fn identifiers_give_their_parts_and_themselves_in_any_casing() {
        for text in ["getUserProfile", "get_user_profile", "get-user-profile", "GET_USER_PROFILE", "GetUserProfile"] {
            share(text, &["get", "user", "profil", "getuserprofile"]);
        }
        share("parseHTTPResponse2", &["pars", "http", "respons", "2", "parsehttpresponse2"]);
        share("HTTP2", &["http", "2", "http2"]);
        share("E0308", &["0308", "e0308"]);
        share("crates/recall/src/store.rs", &["crate", "\u{3}recall", "store", "rs", "storers", "srcstore"]);
        share("std::collections::HashMap", &["hash", "map", "hashmap", "collectionshashmap"]);
        share("重跑gen-itgc后", &["重跑", "gen", "itgc", "genitgc", "后"]);
        share("k8s部署", &["k8s", "部署"]);
        share("C++ and c#", &["c++", "c#"]);
    }

    #[test]
    fn numbers_are_found_whole_and_by_their_fields() {
        share("v1.2.3", &["1", "2", "3", "1.2", "1.2.3"]);
        share("PostgreSQL 16.2", &["16", "2", "16.2"]);
        share("1,234,567 rows", &["1234567"]);
        share("６４ＧＢ", &["64", "gb", "64gb"]);
        share("5月2日", &["5", "5月", "2日"]);
    }

    #[test]
    fn hashes_and_encoded_data_are_found_whole_and_flood_nothing() {
        share("commit 3205c90ab1", &["3205c90", "3205c90ab1"]);
        assert_eq!(terms_of("a1b2c3d4e5f6g7h8i9j0k1l2").len(), 1);
        let long = "x".repeat(10_000);
        assert!(terms_of(&long).iter().all(|term| term.len() <= TERM_BYTES_MAX));
    }

    #[test]
    fn kana_pairs_cross_scripts_and_katakana_runs_are_words() {
        share("読み込み", &["读み", "み込", "込み"]);
        share("サーバーの", &["\u{1}さーば", "ーの"]);
        share("サーバ", &["\u{1}さーば"]);
    }

    #[test]
    fn hangul_words_lose_their_particles() {
        share("데이터베이스를", &["\u{2}데이터베이스를", "\u{2}데이터베이스", "데이", "를"]);
    }

    #[test]
    fn words_of_chinese_stand_beside_their_n_grams() {
        share("修复数据库连接", &["\u{1}数据库", "\u{1}数据", "\u{1}连接", "据库", "复"]);
        share("修復資料庫連線", &["\u{1}修复", "\u{1}连线"]);
        assert!(
            !terms_of("データベースの接続").iter().any(|term| term == "\u{1}接续"),
            "of Japanese they are not asked"
        );
    }
}

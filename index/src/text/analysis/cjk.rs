//! Terms of scripts written without spaces: Han, kana, Thai and its neighbours.

use std::ops::Range;

use super::super::words;
use super::{Buffers, Class, Folded, Sink, TermKind, WORD_PREFIX, capped};

/// A katakana word of fewer characters is already one of the bigrams.
const KATAKANA_WORD_CHARS_MIN: usize = 3;

/// Emits single characters (Han only), pairs, words of Han runs (if `chinese`) and katakana runs of the run `range`.
pub(super) fn terms(folded: &Folded, range: Range<usize>, chinese: bool, buffers: &mut Buffers, sink: &mut impl Sink) {
    let alone = range.len() == 1;
    for i in range.clone() {
        let class = folded.class(i);
        if class == Class::Han {
            sink(folded.slice(i..i + 1), TermKind::HanUnigram, i..i + 1);
        } else if alone {
            sink(folded.slice(i..i + 1), TermKind::Single, i..i + 1);
        }
        if i + 1 < range.end {
            let kind = match (class, folded.class(i + 1)) {
                (Class::Han, Class::Han) => TermKind::HanBigram,
                (Class::Hiragana, Class::Hiragana) => TermKind::HiraganaBigram,
                (Class::Katakana, Class::Katakana) => TermKind::KatakanaBigram,
                _ => TermKind::MixedBigram,
            };
            sink(folded.slice(i..i + 2), kind, i..i + 2);
        }
    }
    let mut at = range.start;
    while at < range.end {
        let class = folded.class(at);
        let mut end = at + 1;
        while end < range.end && folded.class(end) == class {
            end += 1;
        }
        match class {
            Class::Han if chinese && end - at >= 2 => {
                let run = folded.slice(at..end);
                let base = folded.byte(at);
                words::each(run, &mut |word| {
                    buffers.term.clear();
                    buffers.term.push(WORD_PREFIX);
                    buffers.term.push_str(&run[word.clone()]);
                    let units = folded.index_of(base + word.start)..folded.index_of(base + word.end);
                    sink(&buffers.term, TermKind::HanWord, units);
                });
            }
            Class::Katakana => {
                if let Some(length) = write_kana_word(folded.slice(at..end), &mut buffers.term) {
                    sink(capped(&buffers.term), TermKind::KatakanaWord, at..at + length);
                }
            }
            _ => {}
        }
        at = end;
    }
}

/// Writes the word term of a kana run, without the long mark at its end that writers put or leave out
/// (`サーバー`, `サーバ`), and returns how many characters of the run it covers; nothing for a short run.
pub(crate) fn write_kana_word(run: &str, term: &mut String) -> Option<usize> {
    let stem = run.trim_end_matches('ー');
    let length = stem.chars().count();
    if length < KATAKANA_WORD_CHARS_MIN {
        return None;
    }
    term.clear();
    term.push(WORD_PREFIX);
    term.push_str(stem);
    Some(length)
}

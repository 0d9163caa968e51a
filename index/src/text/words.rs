//! Han words, from the dictionary of jieba.

use std::ops::Range;
use std::sync::OnceLock;

use jieba_rs::Jieba;

use super::analysis::WORD_CHARS;

/// Calls `found` for the words of two to four characters in a run of folded Han text: those of the best cut, and the
/// dictionary words inside longer ones.
///
/// The first call loads the dictionary, which takes a sixth of a second and 33 MB.
pub(crate) fn cut(run: &str, found: &mut dyn FnMut(Range<usize>)) {
    static JIEBA: OnceLock<Jieba> = OnceLock::new();
    let jieba = JIEBA.get_or_init(Jieba::new);
    for token in jieba.cut_for_search(run, false) {
        if WORD_CHARS.contains(&(token.end - token.start)) {
            found(token.byte_start..token.byte_end);
        }
    }
}

//! Which pieces of Han text are words.
//!
//! The list is that of jieba's dictionary: its words of two to four Han characters that are not rare, folded as texts
//! are. It is kept as an xor filter (Graf and Lemire, *Xor Filters: Faster and Smaller Than Bloom and Cuckoo Filters*,
//! 2020) that is part of the program: nothing is loaded, and a lookup touches three bytes. About one piece in 250 that
//! is no word is taken for one; since documents, records that are not indexed yet and queries all ask here, they agree
//! on those too, and a record is scored alike before and after it is indexed.
//!
//! All words of a text are found, not those of its most likely cut: that needs no weighing of the whole sentence, which
//! the words around a record's border or a query's could turn. On the evaluation sets it ranks the same.
//! `--example make_words` makes the file.

use std::ops::{Range, RangeInclusive};

use xxhash_rust::xxh3::xxh3_64_with_seed;

/// How many characters a word term of Han text has. Longer words of the dictionary are names and sayings, whose parts
/// are words too.
pub(crate) const WORD_CHARS: RangeInclusive<usize> = 2..=4;

/// The seed, in eight bytes, and a multiple of three fingerprints.
static FILTER: &[u8] = include_bytes!("words.xor");

/// How many bytes stand before the fingerprints.
const HEADER: usize = 8;

/// Whether a piece of folded Han text is a word.
pub(crate) fn is_word(piece: &str) -> bool {
    let (seed, fingerprints) = FILTER.split_at(HEADER);
    let seed = seed.iter().rev().fold(0, |seed, byte| (seed << 8) | u64::from(*byte));
    let block = fingerprints.len() / 3;
    let hash = xxh3_64_with_seed(piece.as_bytes(), seed);
    let at = |turn: u32| (((hash.rotate_left(turn) & 0xffff_ffff) * block as u64) >> 32) as usize;
    let found = fingerprints[at(0)] ^ fingerprints[block + at(21)] ^ fingerprints[2 * block + at(42)];
    found == (hash ^ (hash >> 32)) as u8
}

/// Calls `found` for each word in a run of folded Han text, with its bytes and its characters; words may overlap.
pub(crate) fn each(run: &str, found: &mut dyn FnMut(Range<usize>)) {
    let mut starts = [0; 1 + *WORD_CHARS.end()];
    let mut seen = 0;
    // Each character's end closes the words that it ends.
    for (at, c) in run.char_indices() {
        starts.rotate_right(1);
        starts[0] = at;
        seen += 1;
        let end = at + c.len_utf8();
        for length in WORD_CHARS {
            if length > seen {
                break;
            }
            let start = starts[length - 1];
            if is_word(&run[start..end]) {
                found(start..end);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use jieba_rs::Jieba;

    use super::*;

    fn words(run: &str) -> Vec<&str> {
        let mut words = Vec::new();
        each(run, &mut |word| words.push(&run[word]));
        words
    }

    #[test]
    fn all_words_of_a_run_are_found() {
        let found = words("数据库连接");
        for word in ["数据", "数据库", "连接"] {
            assert!(found.contains(&word), "{found:?}");
        }
        assert_eq!(words("的"), [""; 0]);
        assert_eq!(words(""), [""; 0]);
    }

    #[test]
    fn the_words_are_those_of_jieba() {
        const TEXT: &str = "昨天晚上部署失败以后我们回滚了数据库的修改然后重新启动服务器\n会议决定下个星期开始测试新的缓存方案\n\
            他在大学研究生命的起源也喜欢音乐和电影\n请把发票寄到上海办公室谢谢\n这个问题的原因是连接超时而不是内存不足";
        let jieba = Jieba::new();
        let (mut common, mut missed) = (0, Vec::new());
        for line in TEXT.lines() {
            for token in
                jieba.cut(line, false).into_iter().filter(|token| (2..=3).contains(&token.word.chars().count()))
            {
                common += 1;
                if !is_word(token.word) {
                    missed.push(token.word);
                }
            }
        }
        // What the list leaves out is rare.
        assert!(common > 25 && missed.len() * 20 <= common, "{missed:?} of {common}");
    }

    #[test]
    fn few_other_pieces_are_taken_for_words() {
        let jieba = Jieba::new();
        let character = |number: u32| char::from_u32(0x4e00 + number * 7919 % 20_000).unwrap_or('一');
        let pieces = (0..20_000).map(|n| [character(n), character(3 * n + 1), character(5 * n + 2)].iter().collect());
        let others: Vec<String> = pieces.filter(|piece: &String| !jieba.has_word(piece)).collect();
        let taken = others.iter().filter(|piece| is_word(piece)).count();
        assert!(taken * 100 < others.len(), "{taken} of {}", others.len());
    }
}

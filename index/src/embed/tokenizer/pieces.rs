//! The two ways in which sentence models look up the pieces of a word.

use super::trie::Trie;

/// What an unknown character costs a path, below the worst piece: SentencePiece's constant.
const UNKNOWN_PENALTY: f64 = 10.0;

/// A vocabulary with its rule.
pub(crate) enum Pieces {
    /// The longest piece that fits, from left to right (BERT).
    WordPiece(WordPiece),
    /// The most likely sequence of pieces (SentencePiece unigram, XLM-R).
    Unigram(Unigram),
}

impl Pieces {
    /// Appends the pieces of `word` to `ids` and returns how many of the word's parts are unknown.
    ///
    /// An unknown part is a whole word for [`WordPiece`], and a character for [`Unigram`], even where
    /// several of them share one `<unk>` in `ids`.
    pub(crate) fn append(&self, word: &str, ids: &mut Vec<u32>) -> usize {
        match self {
            Self::WordPiece(pieces) => pieces.append(word, ids),
            Self::Unigram(pieces) => pieces.append(word, ids),
        }
    }
}

/// BERT's vocabulary.
pub(crate) struct WordPiece {
    /// Pieces that start a word.
    pub(crate) initial: Trie,
    /// Pieces that go on, without their mark (`##`).
    pub(crate) continuing: Trie,
    pub(crate) unknown: u32,
    /// Longer words are unknown.
    pub(crate) word_chars_max: usize,
}

impl WordPiece {
    fn append(&self, word: &str, ids: &mut Vec<u32>) -> usize {
        let start = ids.len();
        let mut rest = word.as_bytes();
        let mut trie = &self.initial;
        let fits = word.len() <= self.word_chars_max || word.chars().count() <= self.word_chars_max;
        while fits && !rest.is_empty() {
            let Some((length, id)) = trie.prefixes(rest).last() else { break };
            ids.push(id);
            rest = &rest[length..];
            trie = &self.continuing;
        }
        if rest.is_empty() {
            return 0;
        }
        // One unknown part makes the whole word unknown.
        ids.truncate(start);
        ids.push(self.unknown);
        1
    }
}

/// SentencePiece's vocabulary with log probabilities.
pub(crate) struct Unigram {
    trie: Trie,
    scores: Vec<f64>,
    unknown: u32,
    unknown_score: f64,
}

impl Unigram {
    /// `unknown` must be a position in `scores`, and so must every identifier in `trie`.
    pub(crate) fn new(trie: Trie, scores: Vec<f64>, unknown: u32) -> Self {
        let least = scores.iter().copied().fold(f64::INFINITY, f64::min);
        Self { trie, scores, unknown, unknown_score: least - UNKNOWN_PENALTY }
    }

    fn append(&self, word: &str, ids: &mut Vec<u32>) -> usize {
        /// The best way to reach a position.
        #[derive(Clone, Copy)]
        struct Step {
            score: f64,
            from: usize,
            piece: u32,
        }
        let mut steps: Vec<Option<Step>> = vec![None; word.len() + 1];
        for (from, c) in word.char_indices() {
            // Every position that starts a character is reached, by an unknown one if need be.
            let score_here = steps[from].map_or(0.0, |step| step.score);
            let mut reach = |to: usize, score: f64, piece: u32| {
                let score = score_here + score;
                if steps[to].is_none_or(|best| score > best.score) {
                    steps[to] = Some(Step { score, from, piece });
                }
            };
            let mut alone = false;
            for (length, piece) in self.trie.prefixes(&word.as_bytes()[from..]) {
                reach(from + length, self.scores[piece as usize], piece);
                alone |= length == c.len_utf8();
            }
            if !alone {
                reach(from + c.len_utf8(), self.unknown_score, self.unknown);
            }
        }
        let start = ids.len();
        let mut unknown = 0;
        let mut at = word.len();
        while at > 0 {
            let Some(step) = steps[at] else { break };
            let fused = step.piece == self.unknown && ids[start..].last() == Some(&self.unknown);
            unknown += usize::from(step.piece == self.unknown);
            if !fused {
                ids.push(step.piece);
            }
            at = step.from;
        }
        ids[start..].reverse();
        unknown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trie(pieces: &[&str]) -> Trie {
        Trie::new(pieces.iter().enumerate().map(|(id, piece)| (piece.as_bytes(), id as u32)))
    }

    fn appended(pieces: &Pieces, word: &str) -> (Vec<u32>, usize) {
        let mut ids = vec![99];
        let unknown = pieces.append(word, &mut ids);
        assert_eq!(ids.remove(0), 99);
        (ids, unknown)
    }

    #[test]
    fn word_piece_takes_the_longest_piece_and_gives_up_on_the_whole_word() {
        let pieces = Pieces::WordPiece(WordPiece {
            initial: trie(&["un", "una", "a"]),
            continuing: trie(&["ff", "b", "able"]),
            unknown: 7,
            word_chars_max: 8,
        });
        assert_eq!(appended(&pieces, "unaable"), (vec![1, 2], 0));
        assert_eq!(appended(&pieces, "unab"), (vec![1, 1], 0));
        assert_eq!(appended(&pieces, "unax"), (vec![7], 1));
        assert_eq!(appended(&pieces, "unaffffff"), (vec![7], 1), "longer than a word may be");
    }

    #[test]
    fn unigram_takes_the_likeliest_path_and_fuses_what_it_does_not_know() {
        let vocabulary = ["<unk>", "a", "b", "c", "d", "cd", "ab", "abc", "abcd"];
        let scores = vec![0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 2.0, 5.0, 10.0];
        let pieces = Pieces::Unigram(Unigram::new(trie(&vocabulary), scores, 0));
        assert_eq!(appended(&pieces, "abcdacdxx"), (vec![8, 1, 5, 0], 2));
        assert_eq!(appended(&pieces, "学a习"), (vec![0, 1, 0], 2));
    }
}

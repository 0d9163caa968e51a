//! How much of a query an embedder understands.
//!
//! An embedder gives a vector to anything, also to what it cannot read. Two signs tell: tokens that its
//! vocabulary does not know, and scripts that none of its languages is written in. The second is needed
//! because some scripts fall apart into pieces that an English vocabulary happens to hold (Hangul into
//! its letters, Cyrillic into single characters): no token is unknown, and nothing is understood.

use super::passages::weight;
use super::{Embedder, Script};
use unicode_segmentation::UnicodeSegmentation;

/// Below this the vectors of a query say little about it, and the vector arm should abstain: one word that is understood
/// within a sentence that is not (see `WORDS_ENOUGH`) stays below, two do not. Questions in scripts that are not read
/// are at 0 (84 Korean and 50 Chinese ones, an English model: all of them), those in a declared language at 1.
pub const UNDERSTOOD_MIN: f32 = 0.4;

/// Bytes of a query that are looked at.
const QUERY_BYTES_MAX: usize = 16 << 10;

/// What a word of digits counts beside words of letters: a number or two say nothing about whether a
/// question is understood, unless there is nothing else.
const NUMBER_WEIGHT: f32 = 0.1;

/// So many words that are understood make a question of their own, whatever stands beside them in a script that is not
/// read. Measured on 50 English questions of which so many content words stood within a Chinese sentence, with
/// all-MiniLM-L6-v2 and the English part embedded: recall@5 is .44 for one word, .70 for two, .86 for three, .94 for four
/// and for six, .96 for the whole question.
const WORDS_ENOUGH: f32 = 4.0;

/// How much of `query` `embedder` understands, 0 to 1; 0 for a query without words: the share that it understands, or
/// more where what it reads is a question of its own.
///
/// Every word counts by its length in words (see [`passages`](super::passages)): nothing when it is in
/// a script of no declared language, else the share of its tokens that are known. What is understood of
/// a mixed question counts in full.
pub fn understood(embedder: &dyn Embedder, query: &str) -> f32 {
    read(embedder, query).0
}

/// The same, and the part of `query` that `embedder` reads, where that is less than all of it: what is in a script of
/// no declared language would only pull the vector of the rest away from what it means.
pub fn understood_part(embedder: &dyn Embedder, query: &str) -> (f32, Option<String>) {
    let (share, part, whole) = read(embedder, query);
    (share, (!whole && !part.is_empty()).then_some(part))
}

/// The share that is understood, the words that are read with what stands between them, and whether those are all.
fn read(embedder: &dyn Embedder, query: &str) -> (f32, String, bool) {
    let query = &query[..query.floor_char_boundary(QUERY_BYTES_MAX)];
    let (mut known, mut readable, mut all, mut words) = (0.0, 0.0, 0.0, 0.0);
    let (mut part, mut whole, mut kept_to) = (String::new(), true, 0);
    for (at, word) in query.unicode_word_indices() {
        let letters = word.chars().filter_map(Script::of);
        let (mut read, mut unread) = (0usize, 0usize);
        for script in letters {
            if embedder.languages().reads(script) {
                read += 1;
            } else {
                unread += 1;
            }
        }
        let mut counts = weight(word) as f32;
        let mut share = 1.0;
        if read + unread > 0 {
            share = read as f32 / (read + unread) as f32;
        } else {
            counts *= NUMBER_WEIGHT;
        }
        let share_read = share > 0.0;
        if share_read {
            let between = if kept_to < at && !part.is_empty() { &query[kept_to..at] } else { "" };
            let apart = between.chars().any(char::is_alphanumeric);
            part.push_str(if apart { " " } else { between });
            part.push_str(word);
            kept_to = at + word.len();
            share *= 1.0 - embedder.unknown_share(word);
        }
        whole &= share_read;
        known += counts * share;
        // A long word is one word still, and a number is none.
        words += if read > 0 { counts.min(1.0) * share } else { 0.0 };
        readable += if share_read { counts } else { 0.0 };
        all += counts;
    }
    if all <= 0.0 {
        return (0.0, part, whole);
    }
    let apart = if readable > 0.0 { known / readable * (words / WORDS_ENOUGH).min(1.0) } else { 0.0 };
    ((known / all).max(apart), part, whole)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embed::{Languages, Purpose, Result};

    /// Reads English, and takes every Chinese character and the word "zyzzyva" for unknown.
    struct English(Languages);

    impl Embedder for English {
        fn id(&self) -> &str {
            "english"
        }
        fn dimensions(&self) -> usize {
            1
        }
        fn languages(&self) -> &Languages {
            &self.0
        }
        fn tokens_max(&self) -> usize {
            512
        }
        fn embed(&self, _purpose: Purpose, texts: &[&str]) -> Result<Vec<Vec<f32>>> {
            Ok(vec![vec![1.0]; texts.len()])
        }
        fn unknown_share(&self, text: &str) -> f32 {
            if text == "zyzzyva" || text.contains('学') { 1.0 } else { 0.0 }
        }
    }

    fn share(query: &str) -> f32 {
        understood(&English(Languages::english()), query)
    }

    #[test]
    fn a_question_in_a_declared_language_is_understood() {
        assert_eq!(share("How do I fix the full disk on node 7?"), 1.0);
        assert_eq!(share("naïve café ECONNREFUSED 127.0.0.1"), 1.0);
    }

    #[test]
    fn a_question_in_a_foreign_script_is_not_understood_whatever_its_tokens_are() {
        for query in ["디스크가 가득 찼습니다", "磁盘已满怎么办", "диск заполнен", "ディスクがいっぱい", "القرص ممتلئ"]
        {
            assert_eq!(share(query), 0.0, "{query}");
        }
    }

    #[test]
    fn of_a_mixed_question_the_known_part_counts() {
        let mixed = share("怎么配置 kubernetes ingress controller");
        assert!((0.4..0.8).contains(&mixed), "{mixed}");
        assert!(share("如何解决部署的时候磁盘满了的问题 nginx") < UNDERSTOOD_MIN);
        assert!(share("磁盘已满 503") < 0.1, "a number is not understanding");
        let within =
            "昨天开会的时候大家都说以前处理过这件事情，how do we renew the staging certificate，麻烦看一下以前的记录";
        assert_eq!(share(within), 1.0, "a whole question stands within");
    }

    #[test]
    fn of_a_mixed_question_the_part_that_is_read_is_embedded() {
        let english = English(Languages::english());
        let part = |query: &str| understood_part(&english, query).1;
        assert_eq!(part("怎么配置 kubernetes ingress controller"), Some("kubernetes ingress controller".to_owned()));
        assert_eq!(part("deploy 失败了, why does nginx 报 502?"), Some("deploy why does nginx 502".to_owned()));
        assert_eq!(part("why does nginx say 502?"), None, "all of it is read");
        assert_eq!(part("磁盘已满怎么办"), None, "nothing of it is");
    }

    #[test]
    fn unknown_words_of_a_declared_language_count_against_it() {
        assert_eq!(share("the zyzzyva"), 0.5);
        let chinese = English(Languages::chinese());
        assert_eq!(understood(&chinese, "学"), 0.0);
        assert_eq!(understood(&chinese, "磁盘"), 1.0);
    }

    #[test]
    fn nothing_is_understood_of_nothing_and_numbers_alone_are_known() {
        assert_eq!(share(""), 0.0);
        assert_eq!(share("?!… 😀"), 0.0);
        assert_eq!(share("404 503"), 1.0);
    }
}

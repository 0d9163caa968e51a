//! Long texts in pieces that an embedder takes in whole.
//!
//! A piece ends where a sentence ends, if one ends anywhere near. Words are counted by what they cost a
//! model, not by white space, so that Chinese, a line of code and a minified file all come out in
//! pieces of about the same number of tokens.

use std::ops::Range;
use unicode_segmentation::UnicodeSegmentation;

/// Words that a passage should have: about 270 of MiniLM's tokens in English prose, the length that
/// sentence models are evaluated on.
pub const PASSAGE_WORDS: usize = 200;

/// Words that a passage has at the most, so that a last short sentence stays with its paragraph.
const PASSAGE_WORDS_MAX: usize = 240;

/// A last passage with fewer words than this joins the one before it, where there is room.
const PASSAGE_WORDS_MIN: usize = 30;

/// Weights are counted in hundredths of a word.
const WORD: usize = 100;

/// What a character of a script without spaces between words counts: two thirds of a word. Chinese
/// words have one and a half characters on average, and multilingual vocabularies spend about as much on
/// them.
pub(crate) const CHARACTER: usize = 67;

/// Letters and digits that one word covers; a longer run (base64, a hash, a minified line) counts for
/// as many words as it would be cut into.
const WORD_CHARS: usize = 12;

/// Cuts `text` into passages of about [`PASSAGE_WORDS`] words, as byte ranges in order.
///
/// The ranges do not overlap, leave out nothing but white space between and around them, start and end
/// at the borders of grapheme clusters, and are empty in number only for a text of white space. A text
/// that fits in one passage is one range.
pub fn passages(text: &str) -> Vec<Range<usize>> {
    let mut pieces = Vec::new();
    for (start, sentence) in text.split_sentence_bound_indices() {
        pieces.extend(cut(start, sentence));
    }
    let mut passages: Vec<Range<usize>> = Vec::new();
    let mut weights: Vec<usize> = Vec::new();
    for (range, weight) in pieces {
        match (passages.last_mut(), weights.last_mut()) {
            (Some(passage), Some(sum)) if joins(*sum, weight) => {
                passage.end = range.end;
                *sum += weight;
            }
            _ => {
                passages.push(range);
                weights.push(weight);
            }
        }
    }
    // A remainder of a few words says too little by itself.
    if let [.., before, last] = weights[..]
        && last < PASSAGE_WORDS_MIN * WORD
        && before + last <= PASSAGE_WORDS_MAX * WORD
        && let Some(range) = passages.pop()
        && let Some(passage) = passages.last_mut()
    {
        passage.end = range.end;
    }
    passages.into_iter().map(|range| trimmed(text, range)).filter(|range| !range.is_empty()).collect()
}

/// Whether a passage of this weight takes the next sentence: while it is short of the goal, and the
/// sentence does not carry it further past the goal than it is short of it now.
fn joins(sum: usize, sentence: usize) -> bool {
    let goal = PASSAGE_WORDS * WORD;
    let joined = sum + sentence;
    joined <= goal || (joined <= PASSAGE_WORDS_MAX * WORD && joined - goal <= goal.saturating_sub(sum))
}

/// Without the white space at both ends; a space that carries a mark is more than white space.
fn trimmed(text: &str, range: Range<usize>) -> Range<usize> {
    let mut inked = text[range.clone()].grapheme_indices(true).filter(|(_, cluster)| !cluster.trim().is_empty());
    match (inked.next(), inked.next_back()) {
        (Some((first, _)), Some((last, cluster))) => range.start + first..range.start + last + cluster.len(),
        (Some((only, cluster)), None) => range.start + only..range.start + only + cluster.len(),
        _ => range.start..range.start,
    }
}

/// A sentence as pieces of at most [`PASSAGE_WORDS`] words, with their weights: cut at words, and inside
/// a word between grapheme clusters.
fn cut(start: usize, sentence: &str) -> Vec<(Range<usize>, usize)> {
    let goal = PASSAGE_WORDS * WORD;
    let mut pieces = vec![(start..start, 0)];
    let mut add = |at: usize, part: &str, weight: usize| {
        if let Some((range, sum)) = pieces.last_mut()
            && (*sum + weight <= goal || range.start == range.end)
        {
            range.end = at + part.len();
            *sum += weight;
        } else {
            pieces.push((at..at + part.len(), weight));
        }
    };
    for (at, word) in sentence.split_word_bound_indices() {
        let weight = weight(word);
        if weight <= goal {
            add(start + at, word, weight);
            continue;
        }
        // A word as long as a passage: no word, but something that wants to be cut.
        for (within, cluster) in word.grapheme_indices(true) {
            add(start + at + within, cluster, (WORD / WORD_CHARS).max(cluster_weight(cluster)));
        }
    }
    pieces
}

/// What a word-like segment counts, in hundredths of a word.
pub(crate) fn weight(segment: &str) -> usize {
    let mut letters = 0;
    let mut sum = 0;
    for c in segment.chars() {
        if is_unspaced(c) {
            sum += CHARACTER;
        } else if c.is_alphanumeric() {
            letters += 1;
        } else if !c.is_whitespace() {
            // Punctuation and symbols are tokens of their own, but little to read.
            sum += WORD / 4;
        }
    }
    sum + usize::div_ceil(letters, WORD_CHARS) * WORD
}

fn cluster_weight(cluster: &str) -> usize {
    cluster.chars().next().map_or(0, |c| if is_unspaced(c) { CHARACTER } else { 0 })
}

/// Chinese characters and kana, of which a run without spaces holds many words. Korean puts spaces
/// between words; Thai, Lao, Khmer and Burmese do not, but are alphabets and count by their letters.
fn is_unspaced(c: char) -> bool {
    use super::Script;
    matches!(Script::of(c), Some(Script::Han | Script::Kana))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The one passage that a text makes.
    fn whole(text: &str) -> Range<usize> {
        let mut found = passages(text);
        assert_eq!(found.len(), 1, "{found:?}");
        found.remove(0)
    }

    fn words(text: &str) -> usize {
        text.unicode_words().count()
    }

    #[test]
    fn a_short_text_is_one_passage_without_the_white_space_around_it() {
        assert_eq!(whole("  One. Two!\n"), 2..11);
        assert!(passages(" \n\t").is_empty());
        assert!(passages("").is_empty());
        assert_eq!(whole("。"), 0..3);
    }

    #[test]
    fn prose_is_cut_between_sentences_into_about_two_hundred_words() {
        let sentence = "The deploy failed again because the disk of the second build machine was full. ";
        let text = sentence.repeat(100);
        let found = passages(&text);
        assert!((6..=8).contains(&found.len()), "{found:?}");
        for range in &found {
            let passage = &text[range.clone()];
            assert!(passage.starts_with("The") && passage.ends_with("full."), "{passage}");
            assert!((100..=250).contains(&words(passage)), "{} words", words(passage));
        }
    }

    #[test]
    fn chinese_is_cut_between_sentences_into_about_three_hundred_characters() {
        let text = "部署又失败了，因为第二台构建机器的磁盘已满。".repeat(60);
        let found = passages(&text);
        assert!(found.len() > 2, "{found:?}");
        for range in &found[..found.len() - 1] {
            let passage = &text[range.clone()];
            assert!(passage.ends_with('。'));
            assert!((200..=360).contains(&passage.chars().count()), "{}", passage.chars().count());
        }
    }

    #[test]
    fn a_sentence_without_end_is_cut_between_words() {
        let text = "word ".repeat(1000);
        let found = passages(&text);
        assert_eq!(found.len(), 5);
        for range in found {
            let passage = &text[range];
            assert!(passage.starts_with("word") && passage.ends_with("word"));
            assert!(words(passage) <= 240);
        }
    }

    #[test]
    fn a_word_without_end_is_cut_between_clusters() {
        for unit in ["x", "e\u{301}", "👩‍👩‍👧", "한", "磁", "0"] {
            let text = unit.repeat(20_000 / unit.len());
            let found = passages(&text);
            assert!(found.len() > 1, "{unit}");
            for range in found {
                assert_eq!(range.start % unit.len(), 0, "{unit}");
                assert_eq!(range.end % unit.len(), 0, "{unit}");
            }
        }
    }

    #[test]
    fn a_few_words_at_the_end_stay_with_what_they_end() {
        let text = format!("{}The end.", "One two three four five six seven eight nine ten. ".repeat(20));
        assert_eq!(whole(&text), 0..text.len());
    }

    #[test]
    fn a_space_that_carries_a_mark_is_kept() {
        assert_eq!(whole(" \u{c4a}"), 0..4);
    }

    proptest! {
        #[test]
        fn passages_are_ordered_and_lose_nothing_but_white_space(
            text in "([a-z]{1,9}[ .\n]|[学习记忆。]|\\PC|e\u{301}|\u{1f468}\u{200d}\u{1f469}| ){0,900}",
        ) {
            let found = passages(&text);
            let borders: Vec<usize> =
                text.grapheme_indices(true).map(|(at, _)| at).chain([text.len()]).collect();
            let mut end = 0;
            for range in &found {
                prop_assert!(range.start >= end && range.start < range.end);
                prop_assert!(text[end..range.start].trim().is_empty());
                prop_assert!(borders.binary_search(&range.start).is_ok());
                prop_assert!(borders.binary_search(&range.end).is_ok());
                let mut clusters = text[range.clone()].graphemes(true);
                prop_assert!(clusters.next().is_some_and(|cluster| !cluster.trim().is_empty()));
                prop_assert!(clusters.next_back().is_none_or(|cluster| !cluster.trim().is_empty()));
                end = range.end;
            }
            prop_assert!(text[end..].trim().is_empty());
        }
    }
}

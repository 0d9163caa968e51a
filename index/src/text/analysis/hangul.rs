//! Terms of Hangul: the word, its stem without particles, and n-grams of syllables.

use std::ops::Range;

use super::{Buffers, Folded, HANGUL_WORD_PREFIX, Sink, TermKind, capped};

/// Particles and endings of a few words that attach to nouns, longest first. Stripping one leaves the noun.
const PARTICLES: &[&str] = &[
    "에서부터",
    "으로부터",
    "에게서는",
    "이라고는",
    "에서는",
    "에서도",
    "으로는",
    "으로도",
    "으로서",
    "으로써",
    "에게는",
    "에게도",
    "에게서",
    "한테서",
    "까지는",
    "까지도",
    "부터는",
    "라고는",
    "이라고",
    "이라는",
    "이라도",
    "이었다",
    "입니다",
    "입니까",
    "이에요",
    "이지만",
    "처럼은",
    "에서",
    "에게",
    "에는",
    "에도",
    "에만",
    "으로",
    "로는",
    "로도",
    "로서",
    "로써",
    "까지",
    "부터",
    "보다",
    "처럼",
    "만큼",
    "마다",
    "조차",
    "마저",
    "밖에",
    "이나",
    "이며",
    "이고",
    "이란",
    "이랑",
    "하고",
    "라고",
    "라는",
    "라도",
    "한테",
    "께서",
    "대로",
    "들은",
    "들이",
    "들을",
    "들의",
    "들도",
    "예요",
    "이다",
    "과는",
    "와는",
    "은",
    "는",
    "이",
    "가",
    "을",
    "를",
    "의",
    "에",
    "도",
    "만",
    "로",
    "와",
    "과",
    "랑",
    "나",
    "며",
    "고",
    "께",
    "들",
];

pub(super) fn terms(folded: &Folded, range: Range<usize>, buffers: &mut Buffers, sink: &mut impl Sink) {
    for i in range.clone() {
        sink(folded.slice(i..i + 1), TermKind::HangulUnigram, i..i + 1);
        if i + 1 < range.end {
            sink(folded.slice(i..i + 2), TermKind::HangulBigram, i..i + 2);
        }
    }
    if range.len() < 2 {
        return;
    }
    let word = folded.slice(range.clone());
    buffers.term.clear();
    buffers.term.push(HANGUL_WORD_PREFIX);
    buffers.term.push_str(word);
    sink(capped(&buffers.term), TermKind::HangulWord, range.clone());
    let stem = stem(word);
    if stem.len() < word.len() {
        let length = stem.chars().count();
        buffers.term.clear();
        buffers.term.push(HANGUL_WORD_PREFIX);
        buffers.term.push_str(stem);
        sink(capped(&buffers.term), TermKind::HangulStem, range.start..range.start + length);
    }
}

/// The word without its longest particle, if at least two syllables stay.
pub(crate) fn stem(word: &str) -> &str {
    PARTICLES
        .iter()
        .filter_map(|particle| word.strip_suffix(particle))
        .find(|stem| stem.chars().nth(1).is_some())
        .unwrap_or(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn particles_are_listed_longest_first() {
        let lengths: Vec<usize> = PARTICLES.iter().map(|particle| particle.chars().count()).collect();
        assert!(lengths.windows(2).all(|pair| pair[0] >= pair[1]));
    }

    #[test]
    fn a_noun_loses_its_particle_and_keeps_two_syllables() {
        assert_eq!(stem("데이터베이스를"), "데이터베이스");
        assert_eq!(stem("서버에서는"), "서버");
        assert_eq!(stem("회의"), "회의");
        assert_eq!(stem("나는"), "나는");
    }
}

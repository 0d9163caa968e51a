//! Which texts say nearly the same: MinHash over runs of three words, with bands to find candidates.
//!
//! Linear in the number of texts: a text is compared with the few that share a band with it.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};

/// Numbers of a signature; the share in which two agree is about the share of runs they have in common.
const NUMBERS: usize = 64;

/// Numbers that must agree for two texts to be compared: with 64, texts alike in 80 % are found in 999 of 1,000 cases.
const BAND: usize = 4;

/// Texts of fewer words are only duplicates when they are the same.
const WORDS_MIN: usize = 8;

/// Of a longer text the rest is not compared.
const WORDS_MAX: usize = 600;

/// Nearly the same: this share of runs in common.
const SHARE_MIN: f64 = 0.6;

/// The most texts that one is compared with in a band.
const COMPARED_MAX: usize = 4;

/// The signatures of the texts so far.
#[derive(Default)]
pub(super) struct Seen {
    runs: HashMap<usize, HashSet<u64>>,
    bands: HashMap<(usize, [u32; BAND]), Vec<usize>>,
}

/// A text without case and with single blanks: what counts as the same.
pub(super) fn folded(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase()
}

impl Seen {
    /// A text seen before that says nearly the same as this folded one; this one is remembered under its number.
    pub(super) fn like(&mut self, number: usize, folded: &str) -> Option<usize> {
        let words = words(folded);
        if words.len() < WORDS_MIN {
            return None;
        }
        let hasher = BuildHasherDefault::<DefaultHasher>::default();
        let runs: HashSet<u64> = words.windows(3).map(|run| hasher.hash_one(run)).collect();
        let signature = signature(&runs);
        let mut found = None;
        for (place, band) in signature.as_chunks::<BAND>().0.iter().enumerate() {
            let bucket = self.bands.entry((place, *band)).or_default();
            if found.is_none() {
                let alike =
                    |other: &&usize| self.runs.get(*other).is_some_and(|other| share(&runs, other) >= SHARE_MIN);
                found = bucket.iter().find(alike).copied();
            }
            if bucket.len() < COMPARED_MAX {
                bucket.push(number);
            }
        }
        self.runs.insert(number, runs);
        found
    }
}

fn share(a: &HashSet<u64>, b: &HashSet<u64>) -> f64 {
    let common = a.intersection(b).count();
    common as f64 / (a.len() + b.len() - common).max(1) as f64
}

fn signature(runs: &HashSet<u64>) -> [u32; NUMBERS] {
    let mut least = [u32::MAX; NUMBERS];
    for run in runs {
        for (number, least) in least.iter_mut().enumerate() {
            let mut mixed = run ^ (number as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
            mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            *least = (*least).min((mixed >> 32) as u32);
        }
    }
    least
}

/// Words; of scripts without spaces each character is one.
fn words(text: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let mut start = None;
    for (at, c) in text.char_indices() {
        let alone = matches!(c, '\u{2e80}'..='\u{9fff}' | '\u{ac00}'..='\u{d7a3}' | '\u{f900}'..='\u{faff}');
        if !c.is_alphanumeric() || alone {
            words.extend(start.take().map(|start| &text[start..at]));
        }
        if alone {
            words.push(&text[at..at + c.len_utf8()]);
        } else if c.is_alphanumeric() {
            start.get_or_insert(at);
        }
        if words.len() >= WORDS_MAX {
            return words;
        }
    }
    words.extend(start.map(|start| &text[start..]));
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_word_is_near_and_another_statement_is_not_in_any_script() {
        let mut seen = Seen::default();
        let texts = [
            "the nightly build fails when the cache of the second runner is full so it is emptied every sunday",
            "the nightly build fails when the cache of the second runner is full so it is emptied every monday",
            "deploys to staging need the vpn and a second pair of eyes before four in the afternoon",
            "每天晚上的构建在第二台机器的缓存满了以后就会失败，所以每个星期天都要清空一次",
            "每天晚上的构建在第二台机器的缓存满了以后就会失败，所以每个星期六都要清空一次",
        ];
        let like: Vec<Option<usize>> = texts.iter().enumerate().map(|(at, text)| seen.like(at, text)).collect();
        assert_eq!(like, [None, Some(0), None, None, Some(3)]);
        assert_eq!(folded(" A\n b\t"), "a b");
    }
}

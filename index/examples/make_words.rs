//! Makes the list of words that analysis asks: jieba's dictionary as an xor filter.
//!
//! ```text
//! cargo run --release -p harness-index --example make_words -- DICT.TXT > index/src/text/words.xor
//! ```
//!
//! `DICT.TXT` is `src/data/dict.txt` of the jieba-rs crate, MIT licensed: a word, its frequency and its part of speech
//! a line. A new list makes other terms, so that `ANALYZER_VERSION` must go up with it.

use std::collections::HashSet;
use std::error::Error;
use std::io::Write;

use harness_index::text::Folded;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Words that are rarer in jieba's counts are left out, two thirds of all: on the evaluation sets they change no figure
/// in the third digit (zh-sent .7533 with all, .7535 from 10 on, .7543 from 100 on), and they make three quarters of
/// the list.
const FREQUENCY_MIN: u64 = 10;

/// Fingerprints for each word: the least for which building succeeds with good chances (Graf and Lemire, 2020).
const ROOM: f64 = 1.23;

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).ok_or("make_words DICT.TXT > FILTER")?;
    let mut words = HashSet::new();
    for line in std::fs::read_to_string(&path)?.lines() {
        let mut fields = line.split(' ');
        let word = fields.next().unwrap_or_default();
        let frequency: u64 = fields.next().unwrap_or_default().parse().unwrap_or(0);
        let folded = Folded::new(word);
        let han = folded.text().chars().all(|c| matches!(c, '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}'));
        if frequency >= FREQUENCY_MIN && han && (2..=4).contains(&folded.text().chars().count()) {
            words.insert(folded.text().to_owned());
        }
    }
    let mut words: Vec<String> = words.into_iter().collect();
    words.sort_unstable();
    let (seed, fingerprints) = (0..).find_map(|seed| Some((seed, build(&words, seed)?))).ok_or("no seed fits")?;
    eprintln!("{} words, {} bytes, seed {seed}", words.len(), fingerprints.len());
    let mut out = std::io::stdout().lock();
    out.write_all(&u64::to_le_bytes(seed))?;
    out.write_all(&fingerprints)?;
    Ok(())
}

/// The three places of a hash among the fingerprints.
fn places(hash: u64, block: usize) -> [usize; 3] {
    [0, 21, 42].map(|turn| {
        let at = (((hash.rotate_left(turn) & 0xffff_ffff) * block as u64) >> 32) as usize;
        block * (turn as usize / 21) + at
    })
}

/// The fingerprints under a seed; `None` where the words cannot be peeled off one by one.
fn build(words: &[String], seed: u64) -> Option<Vec<u8>> {
    let block = (words.len() as f64 * ROOM / 3.0) as usize + 11;
    let mut counts = vec![0u32; 3 * block];
    let mut sums = vec![0u64; 3 * block];
    for word in words {
        let hash = xxh3_64_with_seed(word.as_bytes(), seed);
        for place in places(hash, block) {
            counts[place] += 1;
            sums[place] ^= hash;
        }
    }
    // A place that one word alone uses is that word's own: it is taken off, and set last.
    let mut queue: Vec<usize> = (0..counts.len()).filter(|&place| counts[place] == 1).collect();
    let mut order = Vec::with_capacity(words.len());
    while let Some(place) = queue.pop() {
        if counts[place] != 1 {
            continue;
        }
        let hash = sums[place];
        order.push((hash, place));
        for place in places(hash, block) {
            counts[place] -= 1;
            sums[place] ^= hash;
            if counts[place] == 1 {
                queue.push(place);
            }
        }
    }
    if order.len() != words.len() {
        return None;
    }
    let mut fingerprints = vec![0u8; 3 * block];
    for (hash, own) in order.into_iter().rev() {
        let others = places(hash, block).into_iter().fold(0, |sum, place| sum ^ fingerprints[place]);
        fingerprints[own] ^= (hash ^ (hash >> 32)) as u8 ^ others;
    }
    Some(fingerprints)
}

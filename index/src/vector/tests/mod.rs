//! Promises of the index as a whole.

mod cells;
mod faults;
mod walk;

use super::*;
use std::path::Path;

/// splitmix64 and the sum of four uniform numbers: repeatable and normal enough.
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(super) fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    pub(super) fn vector(&mut self, dimensions: usize) -> Vec<f32> {
        let normal = |bits: u64| -> f32 {
            let parts = [bits, bits >> 16, bits >> 32, bits >> 48];
            parts.iter().map(|part| (part & 0xffff) as f32 / 65535.0 - 0.5).sum()
        };
        (0..dimensions).map(|_| normal(self.next())).collect()
    }

    /// A vector whose cosine to `centre` is high when `spread` is low.
    pub(super) fn near(&mut self, centre: &[f32], spread: f32) -> Vec<f32> {
        let noise = self.vector(centre.len());
        centre.iter().zip(noise).map(|(c, n)| c + spread * n).collect()
    }
}

pub(super) fn space(dimensions: usize) -> Space {
    Space { embedder: "test".to_owned(), dimensions }
}

pub(super) fn key(record: u64) -> Key {
    Key { record, passage: 0 }
}

pub(super) fn content(number: u64) -> Content {
    let mut content = [0; 16];
    content[..8].copy_from_slice(&number.to_le_bytes());
    content
}

pub(super) fn filled(folder: &Path, vectors: &[Vec<f32>]) -> VectorIndex {
    let mut index = VectorIndex::create(folder, &space(vectors[0].len())).unwrap();
    for (number, vector) in (0..).zip(vectors) {
        index.insert(key(number), content(number), vector).unwrap();
    }
    index.commit(b"filled").unwrap();
    index
}

pub(super) fn found(matches: &[Match]) -> Vec<u64> {
    matches.iter().flat_map(|found| found.keys.iter().map(|key| key.record)).collect()
}

/// The best by the single-precision products of the half-precision originals.
fn naive(vectors: &[(u64, Vec<f32>)], query: &[f32], k: usize) -> Vec<u64> {
    let query = quantize::unit(query, query.len()).unwrap();
    let mut scored: Vec<(f32, u64)> = vectors
        .iter()
        .map(|(record, vector)| {
            let unit = quantize::unit(vector, vector.len()).unwrap();
            (quantize::cosine(&query, &quantize::to_halves(&unit)), *record)
        })
        .collect();
    scored.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    scored.iter().take(k).map(|&(_, record)| record).collect()
}

#[test]
fn a_scan_answers_like_the_naive_product_of_every_vector() {
    for (seed, dimensions, count) in [(1, 384, 3000), (2, 100, 2000), (3, 1, 5), (4, 65, 777)] {
        let mut random = Random(seed);
        let centre = random.vector(dimensions);
        let mut vectors: Vec<Vec<f32>> = Vec::new();
        for number in 0..count {
            // Half spread out, half crowded.
            let vector = if number % 2 == 0 { random.vector(dimensions) } else { random.near(&centre, 0.3) };
            vectors.push(vector);
        }
        let folder = tempfile::tempdir().unwrap();
        let index = filled(folder.path(), &vectors);
        let reopened = VectorIndex::open(folder.path(), &space(dimensions)).unwrap();
        let named: Vec<(u64, Vec<f32>)> = (0..).zip(vectors.clone()).collect();
        for _ in 0..20 {
            let query = random.near(&centre, 0.5);
            if dimensions == 1 {
                continue; // Two directions: everything ties, and equal vectors share a row.
            }
            let expected = naive(&named, &query, 10);
            assert_eq!(found(&index.search(&query, 10, None).unwrap()), expected);
            assert_eq!(found(&reopened.search(&query, 10, None).unwrap()), expected);
        }
    }
}

#[test]
fn a_filter_answers_like_a_naive_product_of_the_allowed() {
    let mut random = Random(5);
    let vectors: Vec<Vec<f32>> = (0..3000).map(|_| random.vector(48)).collect();
    let folder = tempfile::tempdir().unwrap();
    let index = filled(folder.path(), &vectors);
    for modulus in [1, 2, 10, 100, 1000] {
        let kept = |record: &u64| record.is_multiple_of(modulus);
        let allowed = index.allow((0..4000).filter(kept));
        let part: Vec<(u64, Vec<f32>)> = (0..).zip(vectors.clone()).filter(|(record, _)| kept(record)).collect();
        for _ in 0..5 {
            let query = random.vector(48);
            let matches = index.search(&query, 10, Some(&allowed)).unwrap();
            assert_eq!(found(&matches), naive(&part, &query, 10));
        }
    }
}

#[test]
fn a_filter_that_is_older_than_a_change_is_still_right() {
    let folder = tempfile::tempdir().unwrap();
    let mut index = filled(folder.path(), &[vec![1.0, 0.0], vec![0.9, 0.1], vec![0.0, 1.0]]);
    let allowed = index.allow([0, 2, 7]);
    index.remove(0);
    index.insert(key(7), content(7), &[0.8, 0.2]).unwrap();
    let matches = index.search(&[1.0, 0.0], 3, Some(&allowed)).unwrap();
    assert_eq!(found(&matches), [7, 2]);
}

#[test]
fn a_filter_hides_other_keys_of_a_shared_row() {
    let folder = tempfile::tempdir().unwrap();
    let mut index = VectorIndex::create(folder.path(), &space(2)).unwrap();
    for record in 0..5 {
        index.insert(key(record), content(9), &[1.0, 0.0]).unwrap();
    }
    let matches = index.search(&[1.0, 0.0], 5, Some(&index.allow([1, 3]))).unwrap();
    assert_eq!(matches.len(), 1);
    assert_eq!(matches[0].keys, [key(3), key(1)]);
    assert_eq!(matches[0].copies, 2);
}

#[test]
fn a_content_of_many_keys_is_one_match_with_all_of_them() {
    let folder = tempfile::tempdir().unwrap();
    let mut index = VectorIndex::create(folder.path(), &space(2)).unwrap();
    for record in 0..2000 {
        // Some with the same content, some with another content of the same vector.
        index.insert(key(record), content(record % 3), &[1.0, 0.0]).unwrap();
    }
    index.insert(key(5000), content(5000), &[0.0, 1.0]).unwrap();
    assert_eq!(index.status().live_rows, 2);
    let matches = index.search(&[1.0, 0.0], 2, None).unwrap();
    assert_eq!(matches.len(), 2);
    assert_eq!(matches[0].copies, 2000);
    assert_eq!(matches[0].keys.len(), KEYS_PER_MATCH_MAX);
    assert_eq!(matches[0].keys[0], key(1999), "newest first");
    assert_eq!(found(&matches[1..]), [5000]);
    assert_eq!(index.keys_like(key(3)).len(), 2000);
    assert_eq!(index.keys_like(key(9999)), []);
}

#[test]
fn a_known_content_needs_no_vector() {
    let folder = tempfile::tempdir().unwrap();
    let mut index = VectorIndex::create(folder.path(), &space(2)).unwrap();
    assert!(!index.attach(key(1), content(1)).unwrap());
    index.insert(key(1), content(1), &[1.0, 0.0]).unwrap();
    assert!(index.attach(key(2), content(1)).unwrap());
    index.remove(1);
    index.remove(2);
    assert!(index.search(&[1.0, 0.0], 1, None).unwrap().is_empty());
    assert!(index.attach(key(3), content(1)).unwrap(), "also when no key names it now");
    assert_eq!(found(&index.search(&[1.0, 0.0], 1, None).unwrap()), [3]);
}

#[test]
fn passages_of_a_record_are_found_and_forgotten_together() {
    let folder = tempfile::tempdir().unwrap();
    let mut index = VectorIndex::create(folder.path(), &space(2)).unwrap();
    for (passage, vector) in [(0, [1.0, 0.0]), (1, [0.0, 1.0])] {
        let key = Key { record: 4, passage };
        index.insert(key, content(u64::from(passage)), &vector).unwrap();
    }
    let best = &index.search(&[0.1, 1.0], 1, None).unwrap()[0];
    assert_eq!(best.keys, [Key { record: 4, passage: 1 }]);
    // Another content for a passage takes its place.
    let key = Key { record: 4, passage: 1 };
    index.insert(key, content(7), &[-1.0, 0.0]).unwrap();
    assert_eq!(index.status().keys, 2);
    assert!(index.search(&[0.0, 1.0], 1, None).unwrap()[0].score < 0.1);
    assert_eq!(index.remove(4), 2);
    assert_eq!(index.remove(4), 0);
    assert!(index.search(&[0.1, 1.0], 5, None).unwrap().is_empty());
}

#[test]
fn near_duplicates_are_all_told_apart() {
    // Far more rows than any fixed head, all closer to each other than int8 can tell.
    let mut random = Random(11);
    let centre = random.vector(384);
    let vectors: Vec<Vec<f32>> = (0..1500).map(|_| random.near(&centre, 0.01)).collect();
    let folder = tempfile::tempdir().unwrap();
    let index = filled(folder.path(), &vectors);
    for (record, vector) in (0..).zip(&vectors) {
        assert_eq!(found(&index.search(vector, 1, None).unwrap()), [record]);
    }
}

#[test]
fn any_k_is_answered() {
    let folder = tempfile::tempdir().unwrap();
    let index = filled(folder.path(), &[vec![1.0, 0.0], vec![0.0, 1.0]]);
    assert!(index.search(&[1.0, 0.0], 0, None).unwrap().is_empty());
    assert_eq!(index.search(&[1.0, 0.0], usize::MAX, None).unwrap().len(), 2);
    let none = index.allow([]);
    assert!(index.search(&[1.0, 0.0], 5, Some(&none)).unwrap().is_empty());
    let folder = tempfile::tempdir().unwrap();
    let empty = VectorIndex::create(folder.path(), &space(2)).unwrap();
    assert!(empty.search(&[1.0, 0.0], 5, None).unwrap().is_empty());
}

#[test]
fn a_vector_that_does_not_fit_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut index = filled(folder.path(), &[vec![1.0, 0.0]]);
    let bad = index.insert(key(1), content(1), &[1.0]);
    assert!(matches!(bad, Err(Error::Dimensions { found: 1, expected: 2 })));
    let bad = index.insert(key(1), content(1), &[0.0, 0.0]);
    assert!(matches!(bad, Err(Error::NoDirection)));
    assert!(matches!(index.search(&[f32::NAN, 0.0], 1, None), Err(Error::NoDirection)));
    assert_eq!(index.status().keys, 1);
}

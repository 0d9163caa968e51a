//! A sketch of the rows: four bits of each component, for a first look at all of them.
//!
//! A scan of many rows waits for memory, and the sketch is half of it. How far a product with the
//! sketch can be from that with the row is known for each row (by the inequality of Cauchy and
//! Schwarz: the length of what was left out times that of the query), so that the rows that are
//! then looked at in full surely include all that a scan of everything would put on the list.
//!
//! It is made from the rows by a handle that scans them often, is kept in memory, and grows with
//! them. Where rows lie so close together that most of them have to be looked at in full, it is
//! given up.

use super::error::Result;
use super::map::memory;
use super::quantize::Quantized;
use super::rows::Rows;
use super::scan::{self, Shortlist};
use super::simd::{Kernel, LANES, nibbles_length};
use memmap2::MmapMut;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError, RwLock, TryLockError};

/// Fewer rows than this are in the cache anyhow.
const ROWS_MIN: usize = 4096;

/// More rows than this are parted into cells; a sketch of them would take 80 MB at 384 dimensions.
const ROWS_MAX: usize = 400_000;

/// A handle scans so many times before it makes a sketch, which costs about as much as three scans:
/// a process that asks one question does without.
const SCANS_BEFORE: u32 = 3;

/// The sketch is brought up to the rows when these are more by one part in so many.
const GROWTH_DIVISOR: usize = 16;

/// A look has helped when at most one row in so many had to be looked at in full.
const HELPED_DIVISOR: usize = 8;

/// So many looks in a row that did not help, and the sketch is given up.
const IDLE_MAX: u32 = 8;

/// Rows whose products are computed before they are compared.
const BLOCK_ROWS: usize = 256;

/// Rows of which the largest bound is kept: a part is passed over when that is too low.
const PART_ROWS: usize = 64;

/// The sketch of an index's rows and how it came about.
#[derive(Debug, Default)]
pub(crate) struct Sketch {
    scans: AtomicU32,
    idle: AtomicU32,
    drawn: RwLock<Drawn>,
    /// Room for the bounds of one look, kept: the kernel takes as long to hand out fresh memory as
    /// a look takes to fill it.
    spare: Mutex<Vec<f32>>,
}

/// What was drawn of the first rows.
#[derive(Debug, Default)]
struct Drawn {
    /// The four-bit rows, in as many pieces as they were drawn in, and how many each holds.
    pieces: Vec<(MmapMut, usize)>,
    /// For each row the length, in steps of its bytes, of what the four bits leave out.
    rests: Vec<f32>,
}

impl Sketch {
    /// Offers the first rows that may be among the best, and says how many of the rows that is;
    /// the others, perhaps all, are to be scanned.
    pub(crate) fn look(
        &self,
        rows: &Rows,
        query: &Quantized,
        is_live: &impl Fn(usize) -> bool,
        list: &mut Shortlist,
    ) -> Result<usize> {
        if !(ROWS_MIN..=ROWS_MAX).contains(&rows.mapped())
            || self.idle.load(Ordering::Relaxed) >= IDLE_MAX
            || self.scans.fetch_add(1, Ordering::Relaxed) < SCANS_BEFORE
        {
            return Ok(0);
        }
        // Saturated: the counter stays where it has done its work.
        self.scans.store(SCANS_BEFORE, Ordering::Relaxed);
        self.bring_up(rows)?;
        let Ok(drawn) = self.drawn.try_read() else { return Ok(0) };
        let seen = drawn.rests.len();
        if seen == 0 {
            return Ok(0);
        }
        let mut bounds = self.spare.try_lock().map(|mut spare| std::mem::take(&mut *spare)).unwrap_or_default();
        let looked_at = drawn.look(rows, query, is_live, list, &mut bounds)?;
        if let Ok(mut spare) = self.spare.try_lock() {
            *spare = bounds;
        }
        drop(drawn);
        if looked_at * HELPED_DIVISOR <= seen {
            self.idle.store(0, Ordering::Relaxed);
        } else if self.idle.fetch_add(1, Ordering::Relaxed) + 1 >= IDLE_MAX
            && let Ok(mut drawn) = self.drawn.try_write()
        {
            *drawn = Drawn::default();
        }
        Ok(seen)
    }

    /// Draws the rows that came since; whoever looks meanwhile does without.
    fn bring_up(&self, rows: &Rows) -> Result<()> {
        let is_due = |drawn: &Drawn| {
            let missing = rows.mapped() - drawn.rests.len().min(rows.mapped());
            missing * GROWTH_DIVISOR > rows.mapped()
        };
        if !self.drawn.try_read().is_ok_and(|drawn| is_due(&drawn)) {
            return Ok(());
        }
        let mut drawn = match self.drawn.try_write() {
            Ok(drawn) => drawn,
            Err(TryLockError::Poisoned(poisoned)) => PoisonError::into_inner(poisoned),
            Err(TryLockError::WouldBlock) => return Ok(()),
        };
        drawn.extend(rows)
    }
}

impl Drawn {
    fn extend(&mut self, rows: &Rows) -> Result<()> {
        let first = self.rests.len();
        let count = rows.mapped().saturating_sub(first);
        let length = nibbles_length(rows.stride());
        let mut piece = memory(count * length)?;
        let mut rests = Vec::with_capacity(count);
        for (row, nibbles) in (first..first + count).zip(piece.chunks_exact_mut(length)) {
            let (bytes, _) = rows.row(row)?;
            draw(bytes, nibbles);
            let rest: i32 = bytes.iter().map(|&byte| left_out(byte) * left_out(byte)).sum();
            rests.push((rest as f32).sqrt());
        }
        self.rests.append(&mut rests);
        self.pieces.push((piece, count));
        Ok(())
    }

    /// Offers what may be among the best, and says how many rows that were.
    fn look(
        &self,
        rows: &Rows,
        query: &Quantized,
        is_live: &impl Fn(usize) -> bool,
        list: &mut Shortlist,
        bounds: &mut Vec<f32>,
    ) -> Result<usize> {
        let parts = self.bounds(rows, query, list, bounds);
        let seeds = self.seeds(bounds, &parts, is_live, list.wanted());
        scan::scan_picks(rows, &seeds, query, is_live, list)?;
        list.compact();
        let mut picks = Vec::new();
        for (part, &best) in parts.iter().enumerate() {
            if list.is_hopeless(best) {
                continue;
            }
            let first = part * PART_ROWS;
            for (row, &most) in (first..).zip(&bounds[first..(first + PART_ROWS).min(bounds.len())]) {
                if !list.is_hopeless(most) && seeds.binary_search(&(row as u32)).is_err() {
                    picks.push(row as u32);
                }
            }
        }
        scan::scan_picks(rows, &picks, query, is_live, list)?;
        Ok(seeds.len() + picks.len())
    }

    /// Writes the most favourable score of each row to `bounds`; returns the largest of each part.
    fn bounds(&self, rows: &Rows, query: &Quantized, list: &Shortlist, bounds: &mut Vec<f32>) -> Vec<f32> {
        let kernel = Kernel::best();
        let length = nibbles_length(rows.stride());
        let mut padded = query.bytes.clone();
        padded.resize(2 * length, 0);
        let sum: i32 = padded.iter().map(|&byte| i32::from(byte)).sum();
        let square: i32 = padded.iter().map(|&byte| i32::from(byte) * i32::from(byte)).sum();
        let query_length = (square as f32).sqrt() * ROUNDED_UP;
        bounds.clear();
        bounds.reserve(self.rests.len());
        let mut products = [0; BLOCK_ROWS];
        for (nibbles, count) in &self.pieces {
            let range = bounds.len()..bounds.len() + count;
            let numbers = self.rests[range.clone()].chunks(BLOCK_ROWS).zip(rows.scales()[range].chunks(BLOCK_ROWS));
            for (nibbles, (rests, scales)) in nibbles.chunks(BLOCK_ROWS * length).zip(numbers) {
                let products = &mut products[..rests.len()];
                kernel.nibbles(&padded, &nibbles[..rests.len() * length], products);
                let numbers = products.iter().zip(rests).zip(scales);
                bounds.extend(numbers.map(|((&product, rest), &scale)| {
                    let nearly = ((product - ZERO * sum) * STEP) as f32;
                    list.most(nearly + rest * query_length, scale)
                }));
            }
        }
        bounds.chunks(PART_ROWS).map(largest).collect()
    }

    /// Rows that are likely the best: their scores raise the floor before the others are looked at.
    fn seeds(&self, bounds: &[f32], parts: &[f32], is_live: &impl Fn(usize) -> bool, wanted: usize) -> Vec<u32> {
        let descending = |values: &[f32], a: u32, b: u32| values[b as usize].total_cmp(&values[a as usize]);
        let mut best_parts: Vec<u32> = (0..parts.len() as u32).collect();
        cut(&mut best_parts, wanted * PARTS_PER_SEED, |&a, &b| descending(parts, a, b));
        // Every row with at least this bound lies in one of these parts, as many rows as parts at the least.
        let least = best_parts.iter().map(|&part| parts[part as usize]).fold(f32::INFINITY, f32::min);
        let rows = |&part: &u32| {
            let first = part as usize * PART_ROWS;
            first as u32..(first + PART_ROWS).min(bounds.len()) as u32
        };
        let live = |&row: &u32| is_live(row as usize);
        let best = best_parts.iter().flat_map(rows).filter(|&row| bounds[row as usize] >= least);
        let mut seeds: Vec<u32> = best.filter(live).collect();
        if seeds.len() < wanted {
            seeds = best_parts.iter().flat_map(rows).filter(live).collect();
        }
        cut(&mut seeds, wanted, |&a, &b| descending(bounds, a, b));
        seeds.sort_unstable();
        seeds
    }
}

/// Parts that are searched for each of the rows that are wanted: some of the best rows may be dead, or not allowed by a
/// filter that lets a third pass.
const PARTS_PER_SEED: usize = 8;

/// What a step of four bits is worth in steps of eight, and which of them is zero.
const STEP: i32 = 16;
const ZERO: i32 = 8;

/// Makes up for what the rounding of single precision takes from a bound.
const ROUNDED_UP: f32 = 1.0001;

/// The nearest step of a byte, 0..=15.
fn step(byte: i8) -> u8 {
    ((i32::from(byte) + STEP / 2) / STEP + ZERO).clamp(0, 15) as u8
}

/// Writes the steps of a row.
fn draw(bytes: &[i8], nibbles: &mut [u8]) {
    for (pair, nibbles) in bytes.chunks(2 * LANES).zip(nibbles.chunks_mut(LANES)) {
        let (low, high) = pair.split_at(LANES);
        for (nibble, &byte) in nibbles.iter_mut().zip(low) {
            *nibble = step(byte);
        }
        for (nibble, &byte) in nibbles.iter_mut().zip(high) {
            *nibble |= step(byte) << 4;
        }
    }
}

fn left_out(byte: i8) -> i32 {
    i32::from(byte) - (i32::from(step(byte)) - ZERO) * STEP
}

fn largest(values: &[f32]) -> f32 {
    let mut best = [f32::NEG_INFINITY; 8];
    let (eights, rest) = values.as_chunks::<8>();
    for eight in eights {
        for lane in 0..8 {
            best[lane] = if eight[lane] > best[lane] { eight[lane] } else { best[lane] };
        }
    }
    best.into_iter().chain(rest.iter().copied()).fold(f32::NEG_INFINITY, f32::max)
}

/// Keeps the first `count` in this order, themselves in any.
fn cut(numbers: &mut Vec<u32>, count: usize, order: impl Fn(&u32, &u32) -> std::cmp::Ordering) {
    if count > 0 && count < numbers.len() {
        numbers.select_nth_unstable_by(count - 1, order);
    }
    numbers.truncate(count);
}

#[cfg(test)]
mod tests {
    use super::super::quantize::quantize;
    use super::super::tests::{Random, filled, found};
    use super::*;
    use proptest::prelude::*;

    /// What a scan of every row answers, by rows and scores.
    fn plain(rows: &Rows, query: &super::super::scan::Prepared, k: usize, dead: u32) -> Vec<scan::Scored> {
        let is_live = |row: usize| row as u32 % 7 != dead;
        let mut list = Shortlist::new(k, &query.quantized);
        scan::scan(rows, 0..rows.len(), &query.quantized, &is_live, &mut list).unwrap();
        list.rescore(rows, query).unwrap()
    }

    #[test]
    fn a_look_and_a_scan_of_everything_answer_alike() {
        let crowded = |random: &mut Random, centres: &[Vec<f32>], at: usize| {
            let spread = [0.1, 0.5, 2.0][at % 3];
            random.near(&centres[at % centres.len()], spread)
        };
        for (seed, dimensions, count) in [(1, 384, 6000), (2, 65, 5000), (3, 200, 4500)] {
            let mut random = Random(seed);
            let centres: Vec<Vec<f32>> = (0..40).map(|_| random.vector(dimensions)).collect();
            let vectors: Vec<Vec<f32>> = (0..count).map(|at| crowded(&mut random, &centres, at)).collect();
            let folder = tempfile::tempdir().unwrap();
            let index = filled(folder.path(), &vectors);
            let mut looked_at = 0;
            for at in 0..60 {
                let query = index.prepare(&crowded(&mut random, &centres, at)).unwrap();
                let (k, dead) = ([1, 10, 300][at % 3], [0, 9][at % 2]);
                let is_live = |row: usize| row as u32 % 7 != dead;
                let mut list = Shortlist::new(k, &query.quantized);
                let sketch = index.rows.sketch();
                let seen = sketch.look(&index.rows, &query.quantized, &is_live, &mut list).unwrap();
                looked_at += seen;
                scan::scan(&index.rows, seen..index.rows.len(), &query.quantized, &is_live, &mut list).unwrap();
                let answer = list.rescore(&index.rows, &query).unwrap();
                assert_eq!(answer, plain(&index.rows, &query, k, dead), "{dimensions} dimensions, {k} wanted");
            }
            assert!(looked_at > 0, "the sketch took part");
        }
    }

    #[test]
    fn rows_that_come_later_are_found_and_drawn_in_time() {
        let mut random = Random(11);
        let vectors: Vec<Vec<f32>> = (0..5000).map(|_| random.vector(128)).collect();
        let folder = tempfile::tempdir().unwrap();
        let mut index = filled(folder.path(), &vectors);
        let drawn = |index: &super::super::VectorIndex| index.rows.sketch().drawn.read().unwrap().rests.len();
        for vector in &vectors[..10] {
            index.search(vector, 1, None).unwrap();
        }
        assert_eq!(drawn(&index), 5000);
        for record in 5000..9000 {
            let vector = random.vector(128);
            index.insert(super::super::tests::key(record), super::super::tests::content(record), &vector).unwrap();
            if record % 500 == 0 {
                assert_eq!(found(&index.search(&vector, 1, None).unwrap()), [record]);
                index.commit(b"more").unwrap();
            }
        }
        index.commit(b"more").unwrap();
        index.search(&vectors[0], 1, None).unwrap();
        assert!(drawn(&index) > 8000, "{}", drawn(&index));
    }

    #[test]
    fn a_sketch_that_tells_nothing_apart_is_given_up() {
        let mut random = Random(12);
        let centre = random.vector(128);
        let vectors: Vec<Vec<f32>> = (0..5000).map(|_| random.near(&centre, 0.1)).collect();
        let folder = tempfile::tempdir().unwrap();
        let index = filled(folder.path(), &vectors);
        for (record, vector) in (0..).zip(&vectors[..40]) {
            assert_eq!(found(&index.search(vector, 1, None).unwrap()), [record]);
        }
        let sketch = index.rows.sketch();
        assert!(sketch.idle.load(Ordering::Relaxed) >= IDLE_MAX);
        assert!(sketch.drawn.read().unwrap().rests.is_empty(), "its memory is free");
    }

    #[test]
    fn half_of_the_rows_may_be_hidden_and_a_look_still_helps() {
        let mut random = Random(13);
        let centres: Vec<Vec<f32>> = (0..50).map(|_| random.vector(128)).collect();
        let vectors: Vec<Vec<f32>> = (0..6000).map(|at| random.near(&centres[at % 50], 0.5)).collect();
        let folder = tempfile::tempdir().unwrap();
        let index = filled(folder.path(), &vectors);
        let allowed = index.allow((0..6000).filter(|record| record / 50 % 2 == 0));
        for centre in &centres {
            let matches = index.search(centre, 10, Some(&allowed)).unwrap();
            assert!(matches.len() == 10 && found(&matches).iter().all(|record| record / 50 % 2 == 0));
            assert_eq!(index.rows.sketch().idle.load(Ordering::Relaxed), 0);
        }
    }

    proptest! {
        #[test]
        fn a_bound_is_never_below_the_product(
            raw in proptest::collection::vec(-1f32..1.0, 1..300),
            other in proptest::collection::vec(-1f32..1.0, 300),
            power in 1..5,
        ) {
            // A high power gives vectors of which few components matter.
            let powered = |values: &[f32]| -> Vec<f32> { values.iter().map(|x| x.powi(power * 2 - 1)).collect() };
            let (row, query) = (quantize(&powered(&raw)), quantize(&powered(&other[..raw.len()])));
            let mut nibbles = vec![0; nibbles_length(row.bytes.len())];
            draw(&row.bytes, &mut nibbles);
            let mut padded = query.bytes.clone();
            padded.resize(2 * nibbles.len(), 0);
            let mut product = [0];
            Kernel::best().nibbles(&padded, &nibbles, &mut product);
            let sum: i32 = padded.iter().map(|&byte| i32::from(byte)).sum();
            let nearly = (product[0] - ZERO * sum) * STEP;
            let square = |values: &mut dyn Iterator<Item = i32>| f64::from(values.map(|x| x * x).sum::<i32>()).sqrt();
            let rest = square(&mut row.bytes.iter().map(|&byte| left_out(byte)));
            let length = square(&mut query.bytes.iter().map(|&byte| i32::from(byte)));
            let exact: i32 = row.bytes.iter().zip(&query.bytes).map(|(&a, &b)| i32::from(a) * i32::from(b)).sum();
            prop_assert!(f64::from((exact - nearly).abs()) <= rest * length * (1.0 + 1e-9));
        }
    }
}

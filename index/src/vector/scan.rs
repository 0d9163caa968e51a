//! The exact answer: every row by its int8 product, then the head of the list by its original.
//!
//! An int8 product is off by about `step / √12` for each of the two rounded vectors, where a step
//! is the scale. How many rows have to be looked at again is therefore not a fixed number: it is
//! all rows that could still be among the best when both errors are [`DEVIATIONS`] of these. In
//! spread-out data that is hardly more than `k`, among near-duplicates it is many.

use super::error::Result;
use super::quantize::{Quantized, cosine};
use super::rows::Rows;
use super::simd::Kernel;
use std::cmp::Ordering;
use std::ops::Range;

/// How many standard deviations of the rounding error a row gets the benefit of.
const DEVIATIONS: f32 = 2.5;

/// At most so many rows are scored again for one query; a bound for data in which all rows are
/// nearly the same. Their originals are 3 MB at 384 dimensions.
const HEAD_ROWS_MAX: usize = 4096;

/// Rows whose products are computed before they are compared: small enough to stay in the cache.
const BLOCK_ROWS: usize = 256;

/// A query, ready to be compared with rows.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) unit: Vec<f32>,
    pub(crate) quantized: Quantized,
}

/// The rows that may be among the `k` best by what is known so far.
#[derive(Debug)]
pub(crate) struct Shortlist {
    k: usize,
    /// Half-width of the uncertainty of a score per unit of scale.
    slack: f32,
    query_scale: f32,
    /// No row whose most favourable score is below this can be among the best.
    floor: f32,
    /// Compact when the list is as long as this.
    full: usize,
    found: Vec<Candidate>,
}

#[derive(Debug, Clone, Copy)]
struct Candidate {
    score: f32,
    slack: f32,
    row: u32,
}

impl Candidate {
    fn most(&self) -> f32 {
        self.score + self.slack
    }

    fn least(&self) -> f32 {
        self.score - self.slack
    }
}

/// A row and its score in single precision.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Scored {
    pub(crate) row: u32,
    pub(crate) score: f32,
}

impl Shortlist {
    pub(crate) fn new(k: usize, query: &Quantized) -> Shortlist {
        Shortlist {
            k,
            slack: DEVIATIONS / 12f32.sqrt(),
            query_scale: query.scale,
            floor: f32::NEG_INFINITY,
            full: (4 * k).max(BLOCK_ROWS),
            found: Vec::with_capacity((4 * k).max(BLOCK_ROWS) + BLOCK_ROWS),
        }
    }

    /// How many rows are wanted.
    pub(crate) fn wanted(&self) -> usize {
        self.k
    }

    /// The most favourable score of a row with this scale whose product is at most this.
    #[inline]
    pub(crate) fn most(&self, product: f32, scale: f32) -> f32 {
        scale * (product * self.query_scale + self.slack) + self.query_scale * self.slack
    }

    /// Whether no row whose most favourable score is this can be among the best.
    #[inline]
    pub(crate) fn is_hopeless(&self, most: f32) -> bool {
        most < self.floor
    }

    /// Offers the rows that have these products with the query; dead ones are passed over.
    fn offer(
        &mut self,
        products: &[i32],
        row_at: impl Fn(usize) -> u32,
        scale_at: impl Fn(usize) -> f32,
        is_live: &impl Fn(usize) -> bool,
    ) {
        debug_assert!(products.len() <= BLOCK_ROWS);
        let query_slack = self.query_scale * self.slack;
        let mut most = [0f32; BLOCK_ROWS];
        for (at, product) in products.iter().enumerate() {
            most[at] = scale_at(at) * (*product as f32 * self.query_scale + self.slack);
        }
        for start in (0..products.len()).step_by(16) {
            let end = (start + 16).min(products.len());
            let mut best = f32::NEG_INFINITY;
            for value in &most[start..end] {
                best = if *value > best { *value } else { best };
            }
            if best + query_slack < self.floor {
                continue;
            }
            for at in start..end {
                if most[at] + query_slack < self.floor {
                    continue;
                }
                let row = row_at(at);
                if is_live(row as usize) {
                    let slack = (scale_at(at) + self.query_scale) * self.slack;
                    let score = products[at] as f32 * scale_at(at) * self.query_scale;
                    self.found.push(Candidate { score, slack, row });
                }
            }
        }
        if self.found.len() >= self.full {
            self.compact();
            self.full = (2 * self.found.len()).max(4 * self.k).max(BLOCK_ROWS);
        }
    }

    /// Raises the floor to what the k-th best has at least, and drops what cannot reach it.
    pub(crate) fn compact(&mut self) {
        if self.k == 0 {
            self.found.clear();
            return;
        }
        if self.found.len() >= self.k {
            let kth = self.k - 1;
            let by_least = |a: &Candidate, b: &Candidate| b.least().total_cmp(&a.least());
            self.found.select_nth_unstable_by(kth, by_least);
            self.floor = self.floor.max(self.found[kth].least());
            let floor = self.floor;
            self.found.retain(|candidate| candidate.most() >= floor);
        }
        let head = HEAD_ROWS_MAX.max(self.k);
        if self.found.len() > head {
            let by_most = |a: &Candidate, b: &Candidate| b.most().total_cmp(&a.most());
            self.found.select_nth_unstable_by(head - 1, by_most);
            self.found.truncate(head);
        }
    }

    /// Scores what is left by the originals: the `k` best, best first, equal ones oldest first.
    pub(crate) fn rescore(mut self, rows: &Rows, query: &Prepared) -> Result<Vec<Scored>> {
        self.compact();
        let mut buffer = Vec::new();
        let mut scored = Vec::with_capacity(self.found.len());
        for candidate in &self.found {
            let original = rows.original(candidate.row as usize, &mut buffer)?;
            scored.push(Scored { row: candidate.row, score: cosine(&query.unit, original) });
        }
        let order = |a: &Scored, b: &Scored| -> Ordering { b.score.total_cmp(&a.score).then(a.row.cmp(&b.row)) };
        if scored.len() > self.k && self.k > 0 {
            scored.select_nth_unstable_by(self.k - 1, order);
        }
        scored.truncate(self.k);
        scored.sort_unstable_by(order);
        Ok(scored)
    }
}

/// Offers every row that may be among the best to the list.
pub(crate) fn scan_all(
    rows: &Rows,
    query: &Quantized,
    is_live: &impl Fn(usize) -> bool,
    list: &mut Shortlist,
) -> Result<()> {
    let seen = rows.sketch().look(rows, query, is_live, list)?;
    scan(rows, seen..rows.len(), query, is_live, list)
}

/// Offers consecutive rows to the list.
pub(crate) fn scan(
    rows: &Rows,
    range: Range<usize>,
    query: &Quantized,
    is_live: &impl Fn(usize) -> bool,
    list: &mut Shortlist,
) -> Result<()> {
    scan_together(rows, range, &[query], is_live, std::slice::from_mut(list))
}

/// Offers consecutive rows to the list of each query, some at a time, so that the memory is read once for all.
pub(crate) fn scan_together(
    rows: &Rows,
    range: Range<usize>,
    queries: &[&Quantized],
    is_live: &impl Fn(usize) -> bool,
    lists: &mut [Shortlist],
) -> Result<()> {
    let kernel = Kernel::best();
    let mut products = [0; BLOCK_ROWS];
    let mut start = range.start;
    while start < range.end {
        // A block lies either in the mapping or behind it.
        let border = if start < rows.mapped() { rows.mapped() } else { range.end };
        let end = (start + BLOCK_ROWS).min(border).min(range.end);
        let block = rows.block(start..end)?;
        let products = &mut products[..end - start];
        let scales = &rows.scales()[start..end];
        for (query, list) in queries.iter().zip(lists.iter_mut()) {
            kernel.rows(&query.bytes, block, products);
            list.offer(products, |at| (start + at) as u32, |at| scales[at], is_live);
        }
        start = end;
    }
    Ok(())
}

/// Offers the rows with these numbers, which ascend.
pub(crate) fn scan_picks(
    rows: &Rows,
    picks: &[u32],
    query: &Quantized,
    is_live: &impl Fn(usize) -> bool,
    list: &mut Shortlist,
) -> Result<()> {
    let kernel = Kernel::best();
    let mut products = [0; BLOCK_ROWS];
    let scales = rows.scales();
    let (mapped, fresh) = rows.parts();
    let border = picks.partition_point(|&row| (row as usize) < rows.mapped());
    let (in_map, behind) = picks.split_at(border);
    for picks in in_map.chunks(BLOCK_ROWS) {
        for &row in picks {
            rows.check(row as usize..row as usize + 1)?;
        }
        let products = &mut products[..picks.len()];
        kernel.picks(&query.bytes, mapped, picks, products);
        list.offer(products, |at| picks[at], |at| scales[picks[at] as usize], is_live);
    }
    let mut shifted = Vec::new();
    for picks in behind.chunks(BLOCK_ROWS) {
        shifted.clear();
        shifted.extend(picks.iter().map(|&row| row - rows.mapped() as u32));
        let products = &mut products[..picks.len()];
        kernel.picks(&query.bytes, fresh, &shifted, products);
        list.offer(products, |at| picks[at], |at| scales[picks[at] as usize], is_live);
    }
    Ok(())
}

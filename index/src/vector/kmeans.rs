//! Spherical k-means over int8 rows: which directions the rows gather around.
//!
//! Every row is compared with every centroid, in blocks that stay in the first-level cache, so that
//! the nearest is surely found.

use super::error::Result;
use super::quantize::{Quantized, quantize};
use super::rows::Rows;
use super::simd::{Kernel, padded};

/// Rounds of assigning and averaging; later ones move few rows.
const ROUNDS: usize = 6;

/// Rows for each centroid that training looks at.
pub(crate) const SAMPLES_PER_CENTROID: usize = 32;

/// Centroids that are compared with a row in one go: 24 kB at 384 dimensions.
const BLOCK_CENTROIDS: usize = 64;

/// Rows that a block of centroids is compared with before the next one is fetched.
const BLOCK_ROWS: usize = 256;

/// Unit vectors as int8 rows.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Centroids {
    pub(crate) stride: usize,
    pub(crate) bytes: Vec<i8>,
    pub(crate) scales: Vec<f32>,
}

/// The nearest centroid of a row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Nearest {
    pub(crate) centroid: u32,
    score: f32,
}

impl Centroids {
    pub(crate) fn len(&self) -> usize {
        self.scales.len()
    }

    fn new(stride: usize) -> Centroids {
        Centroids { stride, bytes: Vec::new(), scales: Vec::new() }
    }

    fn push(&mut self, centroid: &Quantized) {
        self.bytes.extend_from_slice(&centroid.bytes);
        self.scales.push(centroid.scale);
    }

    /// How near each centroid is to a query, up to the query's own scale.
    pub(crate) fn scores(&self, query: &Quantized) -> Vec<f32> {
        let mut products = vec![0; self.len()];
        Kernel::best().rows(&query.bytes, &self.bytes, &mut products);
        let scaled = products.iter().zip(&self.scales);
        scaled.map(|(&product, scale)| product as f32 * scale).collect()
    }

    /// Finds around `count` centroids of the rows with these numbers, which are in random order.
    pub(crate) fn train(rows: &Rows, sample: &[u32], count: usize, dimensions: usize) -> Result<Centroids> {
        let mut centroids = Centroids::new(padded(dimensions));
        for &row in sample.iter().take(count) {
            let (bytes, scale) = rows.row(row as usize)?;
            centroids.bytes.extend_from_slice(bytes);
            centroids.scales.push(scale);
        }
        for _ in 0..ROUNDS {
            let nearest = centroids.assign(rows, sample)?;
            centroids = centroids.averaged(rows, sample, &nearest, dimensions)?;
        }
        Ok(centroids)
    }

    /// The nearest centroid of each of the rows, of equal ones the first.
    pub(crate) fn assign(&self, rows: &Rows, numbers: &[u32]) -> Result<Vec<Nearest>> {
        let kernel = Kernel::best();
        let none = Nearest { centroid: 0, score: f32::NEG_INFINITY };
        let mut nearest = vec![none; numbers.len()];
        let mut products = [0; BLOCK_CENTROIDS];
        for (numbers, nearest) in numbers.chunks(BLOCK_ROWS).zip(nearest.chunks_mut(BLOCK_ROWS)) {
            let mut block = Vec::with_capacity(numbers.len());
            for &row in numbers {
                block.push(rows.row(row as usize)?.0);
            }
            let centroids = self.bytes.chunks(BLOCK_CENTROIDS * self.stride);
            for (at, (centroids, scales)) in centroids.zip(self.scales.chunks(BLOCK_CENTROIDS)).enumerate() {
                let products = &mut products[..scales.len()];
                for (row, nearest) in block.iter().zip(nearest.iter_mut()) {
                    kernel.rows(row, centroids, products);
                    nearest.improve(products, scales, at * BLOCK_CENTROIDS);
                }
            }
        }
        Ok(nearest)
    }

    /// The mean direction of the rows of each centroid; one that has none moves to the row that is
    /// farthest from its own.
    fn averaged(&self, rows: &Rows, sample: &[u32], nearest: &[Nearest], dimensions: usize) -> Result<Centroids> {
        let mut sums = vec![0f32; self.len() * dimensions];
        let mut counts = vec![0u32; self.len()];
        for (&row, nearest) in sample.iter().zip(nearest) {
            let (bytes, scale) = rows.row(row as usize)?;
            let centroid = nearest.centroid as usize;
            let sum = &mut sums[centroid * dimensions..][..dimensions];
            for (sum, &byte) in sum.iter_mut().zip(bytes) {
                *sum += f32::from(byte) * scale;
            }
            counts[centroid] += 1;
        }
        let mut far: Vec<(f32, u32)> = Vec::new();
        if counts.contains(&0) {
            // Scores lack the row's scale; with it they are cosines.
            let scored = sample.iter().zip(nearest);
            far = scored.map(|(&row, nearest)| (nearest.score * rows.scales()[row as usize], row)).collect();
            far.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        }
        let mut averaged = Centroids::new(self.stride);
        for (sum, count) in sums.chunks_mut(dimensions).zip(counts) {
            let length = sum.iter().map(|x| x * x).sum::<f32>().sqrt();
            if count > 0 && length > f32::MIN_POSITIVE {
                sum.iter_mut().for_each(|x| *x /= length);
                averaged.push(&quantize(sum));
            } else if let Some((_, row)) = far.pop() {
                let (bytes, scale) = rows.row(row as usize)?;
                averaged.bytes.extend_from_slice(bytes);
                averaged.scales.push(scale);
            }
        }
        Ok(averaged)
    }
}

impl Nearest {
    #[inline]
    fn improve(&mut self, products: &[i32], scales: &[f32], first: usize) {
        let mut scores = [f32::NEG_INFINITY; BLOCK_CENTROIDS];
        for ((score, &product), &scale) in scores.iter_mut().zip(products).zip(scales) {
            *score = product as f32 * scale;
        }
        let mut best = [f32::NEG_INFINITY; 8];
        for eight in scores.as_chunks::<8>().0 {
            for lane in 0..8 {
                best[lane] = if eight[lane] > best[lane] { eight[lane] } else { best[lane] };
            }
        }
        let best = best.into_iter().fold(f32::NEG_INFINITY, f32::max);
        if best > self.score {
            let at = scores.iter().position(|&score| score == best).unwrap_or(0);
            *self = Nearest { centroid: (first + at) as u32, score: best };
        }
    }
}

//! Cells: a partition of the rows, of which a query reads a few.
//!
//! The rows of a cell are those whose nearest centroid is the cell's, and they lie side by side in
//! the files. A query reads the cells whose centroids are nearest to it. A vector's own query has
//! the same int8 bytes as its row, so its nearest centroid is that of the row: however few cells
//! are read, a vector is found by itself. Rows that came after the partition are in no cell and are
//! scanned. (The idea of reading whole lists that an index of centroids proposes is that of SPANN,
//! Chen et al., NeurIPS 2021.)
//!
//! The centroids are scanned too, when rows are assigned and when a query is routed. A graph over them
//! (hnsw_rs 0.3.5 with the same int8 products, `examples/compare/routing`) was measured and is slower
//! as long as there are a few thousand: with the 4,000 of a million low-rank rows the scan finds the
//! cell of a row in 26 µs, always the right one; the graph takes 43 to 61 µs for 94 % of the rows, 116
//! to 150 µs for 99.9 %, and as much again for a query. Each step of a graph waits for memory at a
//! place that only the step before tells; the scan reads 1.5 MB that lie in the cache, four rows at a
//! time. The scan also keeps the promise above without leaning on the graph's being the same at every
//! opening, and needs no file, no checksum and no caught panic of a foreign library.

use super::error::{Error, Result};
use super::files;
use super::kmeans::Centroids;
use super::rows::Rows;
use super::scan::{self, Prepared, Shortlist};
use super::simd::padded;
use std::path::Path;
use xxhash_rust::xxh3::xxh3_64;

/// Cells for N rows: this times √N. More make a query read fewer rows for the same recall and the
/// partition dearer to build.
const CELLS_PER_ROOT: f64 = 4.0;

/// A query reads at least so many cells, whatever the sample says that it needs.
pub(crate) const PROBES_MIN: usize = 8;

/// A partition of the first rows of an index.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Cells {
    centroids: Centroids,
    /// Cell `c` holds the rows from `starts[c]` to `starts[c + 1]`.
    starts: Vec<u32>,
    probes: usize,
}

/// How many cells `rows` rows are parted into.
pub(crate) fn cells_for(rows: usize) -> usize {
    let cells = CELLS_PER_ROOT * (rows as f64).sqrt();
    (cells as usize).clamp(1, rows.max(1))
}

impl Cells {
    /// `starts` ascends, begins with zero, and has one entry more than there are centroids.
    pub(crate) fn new(centroids: Centroids, starts: Vec<u32>) -> Cells {
        assert!(starts.len() == centroids.len() + 1 && starts.is_sorted() && starts[0] == 0);
        let probes = centroids.len();
        Cells { centroids, starts, probes }
    }

    /// How many rows, from the first, lie in cells.
    pub(crate) fn covered(&self) -> usize {
        self.starts.last().map_or(0, |&end| end as usize)
    }

    pub(crate) fn count(&self) -> usize {
        self.centroids.len()
    }

    /// How many cells a query reads.
    pub(crate) fn probes(&self) -> usize {
        self.probes
    }

    pub(crate) fn set_probes(&mut self, probes: usize) {
        self.probes = probes.clamp(PROBES_MIN, self.count().max(PROBES_MIN));
    }

    /// The cell of a covered row.
    pub(crate) fn cell_of(&self, row: u32) -> usize {
        self.starts.partition_point(|&start| start <= row) - 1
    }

    /// The nearest cells to a query, nearest first, of equal ones the first.
    pub(crate) fn route(&self, query: &Prepared, probes: usize) -> Vec<u32> {
        let scores = self.centroids.scores(&query.quantized);
        let mut cells: Vec<u32> = (0..self.count() as u32).collect();
        let order = |&a: &u32, &b: &u32| scores[b as usize].total_cmp(&scores[a as usize]).then(a.cmp(&b));
        let probes = probes.min(cells.len());
        if probes > 0 && probes < cells.len() {
            cells.select_nth_unstable_by(probes - 1, order);
        }
        cells.truncate(probes);
        cells.sort_unstable_by(order);
        cells
    }

    /// Offers the rows of the nearest cells to the list.
    pub(crate) fn scan(
        &self,
        rows: &Rows,
        query: &Prepared,
        probes: usize,
        is_wanted: &impl Fn(usize) -> bool,
        list: &mut Shortlist,
    ) -> Result<()> {
        for cell in self.route(query, probes) {
            let cell = cell as usize;
            let range = self.starts[cell] as usize..self.starts[cell + 1] as usize;
            scan::scan(rows, range, &query.quantized, is_wanted, list)?;
        }
        Ok(())
    }

    /// Number of cells, probes, starts, scales, centroids; all little-endian.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.encoded_length() as usize);
        bytes.extend_from_slice(&(self.count() as u32).to_le_bytes());
        bytes.extend_from_slice(&(self.probes as u32).to_le_bytes());
        for start in &self.starts {
            bytes.extend_from_slice(&start.to_le_bytes());
        }
        for scale in &self.centroids.scales {
            bytes.extend_from_slice(&scale.to_le_bytes());
        }
        bytes.extend(self.centroids.bytes.iter().map(|&byte| byte as u8));
        bytes
    }

    fn encoded_length(&self) -> u64 {
        encoded_length(self.count() as u64, self.centroids.stride as u64)
    }

    /// Reads the partition of these rows; its bytes have the checksum `sum`.
    pub(crate) fn open(path: &Path, sum: u64, rows: &Rows, dimensions: usize) -> Result<Cells> {
        let stride = padded(dimensions);
        let damaged = |what: &str| Error::Damaged { path: path.to_owned(), what: what.to_owned() };
        let count = files::read_committed(path, 4)?;
        let count = u32::from_le_bytes([count[0], count[1], count[2], count[3]]);
        let bytes = files::read_committed(path, encoded_length(count.into(), stride as u64))?;
        if xxh3_64(&bytes) != sum {
            return Err(damaged("the checksum does not fit"));
        }
        let count = count as usize;
        let (numbers, centroids) = bytes.split_at(8 + 4 * (count + 1) + 4 * count);
        let (numbers, _) = numbers.as_chunks::<4>();
        let cells = Cells {
            probes: u32::from_le_bytes(numbers[1]) as usize,
            starts: numbers[2..count + 3].iter().map(|&n| u32::from_le_bytes(n)).collect(),
            centroids: Centroids {
                stride,
                scales: numbers[count + 3..].iter().map(|&n| f32::from_le_bytes(n)).collect(),
                bytes: centroids.iter().map(|&byte| byte as i8).collect(),
            },
        };
        if !cells.starts.is_sorted() || cells.starts[0] != 0 || cells.covered() > rows.len() {
            return Err(damaged("the cells do not fit the rows"));
        }
        Ok(cells)
    }
}

fn encoded_length(count: u64, stride: u64) -> u64 {
    8 + 4 * (count + 1) + 4 * count + count * stride
}

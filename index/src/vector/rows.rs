//! The stored vectors: int8 rows for the scan, half-precision originals for the last word.
//!
//! Rows are numbered from zero in the order of their arrival and never change. What is committed
//! is mapped from files; what came since waits in memory behind it and is scanned all the same.

use super::error::{Error, Result};
use super::files::{self, Appender};
use super::map::{Mapping, unsigned};
use super::quantize::{self, Quantized};
use super::simd::padded;
use super::sketch::Sketch;
use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use xxhash_rust::xxh3::{Xxh3, xxh3_64, xxh3_64_with_seed};

/// Rows are numbered with 32 bits; the last number means "none".
pub(crate) const ROWS_MAX: usize = u32::MAX as usize;

/// Rows that are checked against their checksums together, when the first of them is used.
const BLOCK_ROWS: usize = 1024;

/// After a commit, so many rows may stay in memory before the files are mapped anew: a mapping
/// costs some ten microseconds, a row 1.2 kB.
const FRESH_ROWS_MAX: usize = 1024;

/// Originals up to this size are mapped: reading one costs nothing then. Larger ones are read with
/// a system call each, because the pages that a mapping drags in around every row that was ever
/// rescored would count as resident memory, more than all the int8 rows.
const MAPPED_ORIGINALS_BYTES_MAX: u64 = 256 << 20;

/// Scale, checksum of the row, checksum of the original.
const META_BYTES: usize = 4 + 4 + 8;

/// All vectors of an index.
#[derive(Debug)]
pub(crate) struct Rows {
    dimensions: usize,
    /// Bytes of a padded row.
    stride: usize,
    committed: usize,
    mapped: usize,
    map: Arc<Mapping>,
    originals: Arc<Originals>,
    /// Rows from number `mapped` on.
    fresh: Vec<i8>,
    fresh_originals: Vec<u8>,
    scales: Vec<f32>,
    row_sums: Vec<u32>,
    original_sums: Vec<u64>,
    /// Which blocks of mapped rows were found sound.
    sound: Vec<AtomicBool>,
    /// Of mapped rows.
    sketch: Sketch,
    path: PathBuf,
    originals_path: PathBuf,
}

#[derive(Debug)]
enum Originals {
    Mapped(Mapping),
    Read(File),
}

impl Rows {
    /// The committed rows of a generation, and the running checksum of their meta file.
    pub(crate) fn open(generation: &Path, dimensions: usize, count: u64, meta_sum: u64) -> Result<(Rows, Xxh3)> {
        let meta_path = generation.join("rows.meta");
        let damaged = |what: &str| Error::Damaged { path: meta_path.clone(), what: what.to_owned() };
        let committed = usize::try_from(count).unwrap_or(usize::MAX);
        if committed > ROWS_MAX {
            return Err(damaged("more rows than there can be"));
        }
        let meta = files::read_committed(&meta_path, count * META_BYTES as u64)?;
        let mut running = Xxh3::new();
        running.update(&meta);
        if running.digest() != meta_sum {
            return Err(damaged("the checksum does not fit"));
        }
        let mut rows = Rows {
            dimensions,
            stride: padded(dimensions),
            committed,
            mapped: 0,
            map: Arc::new(Mapping::none()),
            originals: Arc::new(Originals::Mapped(Mapping::none())),
            fresh: Vec::new(),
            fresh_originals: Vec::new(),
            scales: Vec::with_capacity(committed),
            row_sums: Vec::with_capacity(committed),
            original_sums: Vec::with_capacity(committed),
            sound: Vec::new(),
            sketch: Sketch::default(),
            path: generation.join("rows.i8"),
            originals_path: generation.join("originals.f16"),
        };
        for record in meta.as_chunks::<META_BYTES>().0 {
            let [a, b, c, d, e, f, g, h, sum @ ..] = *record;
            rows.scales.push(f32::from_le_bytes([a, b, c, d]));
            rows.row_sums.push(u32::from_le_bytes([e, f, g, h]));
            rows.original_sums.push(u64::from_le_bytes(sum));
        }
        rows.map_committed()?;
        Ok((rows, running))
    }

    /// How many rows there are, dead ones included.
    pub(crate) fn len(&self) -> usize {
        self.scales.len()
    }

    /// The number of rows that lie in the files' mapping; the others lie in memory.
    pub(crate) fn mapped(&self) -> usize {
        self.mapped
    }

    /// Consecutive rows, checked; they must not cross the end of the mapping.
    pub(crate) fn block(&self, range: Range<usize>) -> Result<&[i8]> {
        if range.end <= self.mapped {
            self.check(range.clone())?;
            Ok(&self.map.signed()[range.start * self.stride..range.end * self.stride])
        } else {
            let from_fresh = |row: usize| (row - self.mapped) * self.stride;
            Ok(&self.fresh[from_fresh(range.start)..from_fresh(range.end)])
        }
    }

    /// All mapped rows and all rows behind them. Check mapped ones before use.
    pub(crate) fn parts(&self) -> (&[i8], &[i8]) {
        (self.map.signed(), &self.fresh)
    }

    /// Bytes of a padded row.
    pub(crate) fn stride(&self) -> usize {
        self.stride
    }

    /// The sketch of the mapped rows.
    pub(crate) fn sketch(&self) -> &Sketch {
        &self.sketch
    }

    /// The scales of all rows.
    pub(crate) fn scales(&self) -> &[f32] {
        &self.scales
    }

    /// A checksum of each row's original: rows with the same original have the same.
    pub(crate) fn original_sums(&self) -> &[u64] {
        &self.original_sums
    }

    /// Checks the mapped rows of a range, unless their blocks were found sound before.
    #[inline]
    pub(crate) fn check(&self, range: Range<usize>) -> Result<()> {
        if range.is_empty() {
            return Ok(());
        }
        for block in range.start / BLOCK_ROWS..=(range.end - 1) / BLOCK_ROWS {
            if let Some(sound) = self.sound.get(block)
                && !sound.load(Ordering::Relaxed)
            {
                self.check_block(block)?;
                sound.store(true, Ordering::Relaxed);
            }
        }
        Ok(())
    }

    #[cold]
    fn check_block(&self, block: usize) -> Result<()> {
        let first = block * BLOCK_ROWS;
        let last = (first + BLOCK_ROWS).min(self.mapped);
        let rows = &self.map.signed()[first * self.stride..last * self.stride];
        for (row, bytes) in (first..).zip(rows.chunks_exact(self.stride)) {
            if row_sum(bytes, self.scales[row]) != self.row_sums[row] {
                return Err(Error::Damaged {
                    path: self.path.clone(),
                    what: format!("the checksum of row {row} does not fit"),
                });
            }
        }
        Ok(())
    }

    /// The half-precision original of a row, checked; `buffer` may be used to hold it.
    pub(crate) fn original<'a>(&'a self, row: usize, buffer: &'a mut Vec<u8>) -> Result<&'a [u8]> {
        let length = self.dimensions * 2;
        if let Some(fresh) = row.checked_sub(self.mapped) {
            return Ok(&self.fresh_originals[fresh * length..][..length]);
        }
        let bytes = match &*self.originals {
            Originals::Mapped(map) => &map.bytes()[row * length..][..length],
            Originals::Read(file) => {
                buffer.resize(length, 0);
                let offset = row as u64 * length as u64;
                files::read_at(file, &self.originals_path, buffer, offset)?;
                &buffer[..]
            }
        };
        if xxh3_64(bytes) != self.original_sums[row] {
            return Err(Error::Damaged {
                path: self.originals_path.clone(),
                what: format!("the checksum of original {row} does not fit"),
            });
        }
        Ok(bytes)
    }

    /// Appends a row; it is scanned from now on and durable after the next commit.
    pub(crate) fn push(&mut self, row: &Quantized, original: &[u8]) -> Result<u32> {
        let number = self.len();
        if number >= ROWS_MAX {
            return Err(Error::Full { limit: ROWS_MAX });
        }
        debug_assert!(row.bytes.len() == self.stride && original.len() == self.dimensions * 2);
        self.fresh.extend_from_slice(&row.bytes);
        self.fresh_originals.extend_from_slice(original);
        self.scales.push(row.scale);
        self.row_sums.push(row_sum(&row.bytes, row.scale));
        self.original_sums.push(xxh3_64(original));
        Ok(number as u32)
    }

    /// What a commit has to append to `rows.i8`, `originals.f16` and `rows.meta`.
    fn pending(&self) -> (&[u8], &[u8], Vec<u8>) {
        let skip = self.committed - self.mapped;
        let rows = unsigned(&self.fresh[skip * self.stride..]);
        let originals = &self.fresh_originals[skip * self.dimensions * 2..];
        let mut meta = Vec::with_capacity((self.len() - self.committed) * META_BYTES);
        for row in self.committed..self.len() {
            meta.extend_from_slice(&self.scales[row].to_le_bytes());
            meta.extend_from_slice(&self.row_sums[row].to_le_bytes());
            meta.extend_from_slice(&self.original_sums[row].to_le_bytes());
        }
        (rows, originals, meta)
    }

    /// Notes that everything is durable now, and maps it when much has gathered in memory.
    pub(crate) fn committed_all(&mut self) -> Result<()> {
        self.committed = self.len();
        if self.committed - self.mapped >= FRESH_ROWS_MAX {
            self.map_committed()?;
        }
        Ok(())
    }

    fn map_committed(&mut self) -> Result<()> {
        let length = |bytes: usize| self.committed as u64 * bytes as u64;
        let rows_length = length(self.stride);
        let originals_length = length(self.dimensions * 2);
        let file = files::open_committed(&self.path, rows_length)?;
        let map = Mapping::new(&file, &self.path, rows_length)?;
        let file = files::open_committed(&self.originals_path, originals_length)?;
        let originals = Mapping::new(&file, &self.originals_path, originals_length)?;
        let originals = if originals_length > MAPPED_ORIGINALS_BYTES_MAX {
            Originals::Read(file)
        } else {
            Originals::Mapped(originals)
        };
        self.map = Arc::new(map);
        self.originals = Arc::new(originals);
        // A block that was cut short by the end of the mapping has to be looked at again.
        self.sound.truncate(self.mapped / BLOCK_ROWS);
        let blocks = self.committed.div_ceil(BLOCK_ROWS);
        self.sound.resize_with(blocks, AtomicBool::default);
        self.mapped = self.committed;
        self.fresh = Vec::new();
        self.fresh_originals = Vec::new();
        Ok(())
    }

    /// The same rows, for a reader that must not see later ones. Shares the mapped files.
    pub(crate) fn snapshot(&self) -> Rows {
        let sound = |sound: &AtomicBool| AtomicBool::new(sound.load(Ordering::Relaxed));
        Rows {
            dimensions: self.dimensions,
            stride: self.stride,
            committed: self.committed,
            mapped: self.mapped,
            map: Arc::clone(&self.map),
            originals: Arc::clone(&self.originals),
            fresh: self.fresh.clone(),
            fresh_originals: self.fresh_originals.clone(),
            scales: self.scales.clone(),
            row_sums: self.row_sums.clone(),
            original_sums: self.original_sums.clone(),
            sound: self.sound.iter().map(sound).collect(),
            sketch: Sketch::default(),
            path: self.path.clone(),
            originals_path: self.originals_path.clone(),
        }
    }

    /// The bytes and scale of a row of any place, checked.
    pub(crate) fn row(&self, row: usize) -> Result<(&[i8], f32)> {
        Ok((self.block(row..row + 1)?, self.scales[row]))
    }

    /// The original of a row in single precision, checked.
    pub(crate) fn vector(&self, row: usize) -> Result<Vec<f32>> {
        let mut buffer = Vec::new();
        Ok(quantize::from_halves(self.original(row, &mut buffer)?))
    }
}

/// The scale takes part, so that a row with another row's scale is noticed.
fn row_sum(row: &[i8], scale: f32) -> u32 {
    xxh3_64_with_seed(unsigned(row), u64::from(scale.to_bits())) as u32
}

/// The three open files of a generation that rows are appended to.
#[derive(Debug)]
pub(crate) struct RowFiles {
    rows: Appender,
    originals: Appender,
    meta: Appender,
}

impl RowFiles {
    /// Opens the files behind the committed rows.
    pub(crate) fn open(generation: &Path, rows: &Rows) -> Result<RowFiles> {
        let length = |bytes: usize| rows.committed as u64 * bytes as u64;
        let open = |name: &str, length| Appender::open(generation.join(name), length);
        Ok(RowFiles {
            rows: open("rows.i8", length(rows.stride))?,
            originals: open("originals.f16", length(rows.dimensions * 2))?,
            meta: open("rows.meta", length(META_BYTES))?,
        })
    }

    /// Appends and syncs what is not committed yet; `meta_sum` runs on over the meta file.
    pub(crate) fn append(&mut self, rows: &Rows, meta_sum: &mut Xxh3) -> Result<()> {
        let (rows, originals, meta) = rows.pending();
        if !meta.is_empty() {
            self.rows.append(rows)?;
            self.originals.append(originals)?;
            self.meta.append(&meta)?;
            meta_sum.update(&meta);
            self.rows.sync()?;
            self.originals.sync()?;
            self.meta.sync()?;
        }
        Ok(())
    }
}

//! The index itself: rows, keys and cells together.

use super::cells::Cells;
use super::error::Result;
use super::files::{self, Appender, Head, POSITION_BYTES_MAX, Space};
use super::keys::{Content, ENTRY_BYTES, Key, Keys, Operation};
use super::quantize::{Quantized, quantize, to_halves, unit};
use super::rows::{RowFiles, Rows};
use super::scan::{self, Prepared, Scored, Shortlist};
use super::simd::Kernel;
use hashbrown::HashTable;
use rustc_hash::FxBuildHasher;
use std::hash::BuildHasher;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

/// At most so many keys are listed for one match; [`Match::copies`] tells how many there are and
/// [`VectorIndex::keys_like`] lists them all. A word like "ok" may have been said ten thousand
/// times, and an answer needs a few of them.
pub const KEYS_PER_MATCH_MAX: usize = 1024;

/// From this share of all rows on, a filter is tested row by row while all of them are looked at, or
/// the cells probed, rather than its rows being picked.
const WIDE_FILTER: f32 = 0.3;

/// One content that was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Match {
    /// Cosine of query and vector, from the half-precision original.
    pub score: f32,
    /// The live keys that the content was stored for and that the filter allows, newest first, at
    /// most [`KEYS_PER_MATCH_MAX`].
    pub keys: Vec<Key>,
    /// How many live keys the content has that the filter allows.
    pub copies: usize,
}

/// The records that a search may return, prepared for one state of an index.
///
/// After a change to the index it is still right, but is prepared anew by every search that uses
/// it; prepare it again with [`VectorIndex::allow`] to save that.
#[derive(Debug, Clone)]
pub struct Allowed {
    records: Vec<u64>,
    rows: Vec<u32>,
    state: (u64, u64),
}

/// How an index is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status {
    /// Distinct vectors that a search can return.
    pub live_rows: usize,
    /// Rows that no key names any more.
    pub dead_rows: usize,
    /// Keys that name a row.
    pub keys: usize,
    /// The instructions that rows are compared with: `portable`, `avx2`, `avx512-vnni` or `neon`.
    pub kernel: &'static str,
    /// Rows that are scanned because no cell has them.
    pub tail_rows: usize,
    /// Cells, or zero while every row is scanned.
    pub cells: usize,
    /// Cells that a search reads.
    pub probes: usize,
}

/// An index of unit vectors.
///
/// Writes take `&mut self` and are seen by the next search; they are durable after
/// [`commit`](Self::commit). One process writes at a time, which the caller sees to; others may
/// have the folder open and see the state of the commit that they opened.
pub struct VectorIndex {
    pub(super) folder: PathBuf,
    generation: PathBuf,
    space: Space,
    pub(super) rows: Rows,
    pub(super) keys: Keys,
    pub(super) cells: Option<Cells>,
    position: Vec<u8>,
    meta_sum: Xxh3,
    log_sum: Xxh3,
    cells_sum: Option<u64>,
    files: Option<(RowFiles, Appender)>,
    /// A row with each original, for writers: filled when the first of them asks.
    by_original: Option<HashTable<u32>>,
    /// This handle among all, and how often it changed.
    state: (u64, u64),
    /// What happened since the snapshot that is being rebuilt.
    since_snapshot: Option<(u64, Vec<Operation>)>,
}

impl VectorIndex {
    /// Opens the index in `folder`, which must be of this space.
    ///
    /// Fails with an error that [wants a rebuild](super::Error::wants_rebuild) when the files are missing,
    /// of another format or space, cut off or damaged. Damage in a vector is found when it is first
    /// used, or by [`verify`](Self::verify).
    pub fn open(folder: &Path, space: &Space) -> Result<VectorIndex> {
        let generation = files::newest_generation(folder)?;
        VectorIndex::open_generation(folder, generation, space)
    }

    /// Makes an empty index in `folder`, in place of whatever index is there.
    pub fn create(folder: &Path, space: &Space) -> Result<VectorIndex> {
        files::clear(folder)?;
        let temporary = VectorIndex::create_temporary(folder, space)?;
        let generation = files::publish(folder, &temporary)?;
        VectorIndex::open_generation(folder, generation, space)
    }

    pub(super) fn create_temporary(folder: &Path, space: &Space) -> Result<PathBuf> {
        let temporary = files::temporary_generation(folder)?;
        for name in ["rows.i8", "originals.f16", "rows.meta", "keys.log"] {
            files::write_synced(&temporary.join(name), &[])?;
        }
        Head::empty(space).write(&temporary)?;
        Ok(temporary)
    }

    pub(super) fn open_generation(folder: &Path, generation: PathBuf, space: &Space) -> Result<VectorIndex> {
        static HANDLES: AtomicU64 = AtomicU64::new(0);
        let head = Head::read(&generation, space)?;
        let (rows, meta_sum) = Rows::open(&generation, space.dimensions, head.rows, head.meta_sum)?;
        let (keys, log_sum) = Keys::open(&generation, head.entries, head.log_sum, rows.len())?;
        let cells = match head.cells_sum {
            Some(sum) => Some(Cells::open(&generation.join("cells"), sum, &rows, space.dimensions)?),
            None => None,
        };
        Ok(VectorIndex {
            folder: folder.to_owned(),
            generation,
            space: space.clone(),
            rows,
            keys,
            cells,
            position: head.position,
            meta_sum,
            log_sum,
            cells_sum: head.cells_sum,
            files: None,
            by_original: None,
            state: (HANDLES.fetch_add(1, Ordering::Relaxed), 0),
            since_snapshot: None,
        })
    }

    /// The vector space of the index.
    pub fn space(&self) -> &Space {
        &self.space
    }

    /// The position that the last commit was given; empty for a new index.
    pub fn position(&self) -> &[u8] {
        &self.position
    }

    /// Counts of rows, keys and cells.
    pub fn status(&self) -> Status {
        let live_rows = self.keys.live_rows();
        Status {
            live_rows,
            dead_rows: self.rows.len() - live_rows,
            keys: self.keys.live_keys(),
            kernel: Kernel::best().name(),
            tail_rows: self.rows.len() - self.cells.as_ref().map_or(0, Cells::covered),
            cells: self.cells.as_ref().map_or(0, Cells::count),
            probes: self.cells.as_ref().map_or(0, Cells::probes),
        }
    }

    /// Whether it has a row for this content. After a rebuild that is so for contents that some key names, and no other.
    pub fn holds(&mut self, content: &Content) -> bool {
        self.keys.row_of_content(content).is_some()
    }

    /// Lets `key` name a content that some key named before; false if the content is not known,
    /// and then nothing changes.
    ///
    /// What the key named before it names no longer.
    pub fn attach(&mut self, key: Key, content: Content) -> Result<bool> {
        match self.keys.row_of_content(&content) {
            Some(row) => self.name(key, content, row).map(|()| true),
            None => Ok(false),
        }
    }

    /// Lets `key` name `content`, whose vector this is; the length of the vector does not matter.
    ///
    /// Contents that are equal, or whose vectors are, share one row. What the key named before it
    /// names no longer; doing this twice is doing it once. Fails with [`Error::Dimensions`](super::Error::Dimensions),
    /// [`Error::NoDirection`](super::Error::NoDirection) or [`Error::Full`](super::Error::Full), and then nothing changed.
    pub fn insert(&mut self, key: Key, content: Content, vector: &[f32]) -> Result<()> {
        let unit = unit(vector, self.space.dimensions)?;
        if self.attach(key, content)? {
            return Ok(());
        }
        self.insert_row(key, content, &quantize(&unit), &to_halves(&unit))
    }

    /// Lets `key` name the row with this original, which is added unless it is there.
    pub(super) fn insert_row(
        &mut self,
        key: Key,
        content: Content,
        quantized: &Quantized,
        original: &[u8],
    ) -> Result<()> {
        let row = match self.row_of_original(original)? {
            Some(row) => row,
            None => {
                let row = self.rows.push(quantized, original)?;
                let sums = self.rows.original_sums();
                if let Some(table) = &mut self.by_original {
                    insert_original(table, sums, row);
                }
                row
            }
        };
        self.name(key, content, row)
    }

    /// Forgets all passages of a record, from the next search on; returns how many there were.
    pub fn remove(&mut self, record: u64) -> usize {
        let removed = self.keys.remove(record);
        if removed > 0 {
            self.changed(Operation::Remove { record });
        }
        removed
    }

    /// Makes everything so far durable together with the caller's position in the change log.
    ///
    /// After an error the files are as they were before, and the commit may be tried again. The
    /// position may have at most [`POSITION_BYTES_MAX`] bytes.
    pub fn commit(&mut self, position: &[u8]) -> Result<()> {
        assert!(position.len() <= POSITION_BYTES_MAX, "a position is short");
        // Dropped on the way out of an error: opened anew, they cut off what was half written.
        let files = self.files.take();
        let (mut row_files, mut log) = match files {
            Some(files) => files,
            None => self.open_files()?,
        };
        let mut meta_sum = self.meta_sum.clone();
        let mut log_sum = self.log_sum.clone();
        row_files.append(&self.rows, &mut meta_sum)?;
        if !self.keys.pending().is_empty() {
            log.append(self.keys.pending())?;
            log_sum.update(self.keys.pending());
            log.sync()?;
        }
        let head = Head {
            embedder: self.space.embedder.clone(),
            dimensions: self.space.dimensions,
            rows: self.rows.len() as u64,
            entries: self.keys.operations(),
            meta_sum: meta_sum.digest(),
            log_sum: log_sum.digest(),
            cells_sum: self.cells_sum,
            position: position.to_owned(),
        };
        head.write(&self.generation)?;
        self.meta_sum = meta_sum;
        self.log_sum = log_sum;
        self.position = head.position;
        self.files = Some((row_files, log));
        self.keys.committed_all();
        self.rows.committed_all()
    }

    /// The `k` nearest contents to a query, best first, equal ones oldest first.
    ///
    /// `k` counts distinct contents, not keys: a content that five hundred keys name is one match
    /// with all of them in it, so that it cannot crowd out the rest. Fewer than `k` come back only
    /// if there are no more (that are allowed), none if `k` is zero. The query need not have length
    /// one. Fails with [`Error::Dimensions`](super::Error::Dimensions), [`Error::NoDirection`](super::Error::NoDirection), or [`Error::Damaged`](super::Error::Damaged) when a
    /// row that was looked at is.
    pub fn search(&self, query: &[f32], k: usize, allowed: Option<&Allowed>) -> Result<Vec<Match>> {
        let query = self.prepare(query)?;
        // No list needs to be longer than the index: a huge `k` must not ask for memory.
        let k = k.min(self.keys.live_rows());
        let fresh;
        let allowed = match allowed {
            Some(allowed) if allowed.state != self.state => {
                fresh = self.allow(allowed.records.iter().copied());
                Some(&fresh)
            }
            other => other,
        };
        let scored = match allowed {
            None => self.nearest(&query, k)?,
            Some(allowed) => self.nearest_allowed(&query, k, allowed)?,
        };
        Ok(scored.into_iter().map(|scored| self.match_of(scored, allowed)).collect())
    }

    /// The exact answer, by a scan of every row, whatever the cells would answer.
    pub fn search_exact(&self, query: &[f32], k: usize) -> Result<Vec<Match>> {
        self.search_probing(query, k, usize::MAX)
    }

    /// Like [`search`](Self::search), but reads this many cells: to see what more would find.
    pub fn search_probing(&self, query: &[f32], k: usize, probes: usize) -> Result<Vec<Match>> {
        let query = self.prepare(query)?;
        let k = k.min(self.keys.live_rows());
        let is_live = |row: usize| self.keys.is_live(row);
        let scored = match &self.cells {
            Some(cells) if probes < cells.count() => self.nearest_in_cells(&query, k, cells, probes, &is_live)?,
            _ => self.nearest_exact(&query, k)?,
        };
        let scored = scored.into_iter();
        Ok(scored.map(|scored| self.match_of(scored, None)).collect())
    }

    /// Prepares a filter: these records and no others. Records that are not here are ignored.
    pub fn allow(&self, records: impl IntoIterator<Item = u64>) -> Allowed {
        let mut records: Vec<u64> = records.into_iter().collect();
        records.sort_unstable();
        records.dedup();
        let mut rows: Vec<u32> = Vec::with_capacity(records.len());
        for &record in &records {
            rows.extend(self.keys.of_record(record).map(|(_, row)| row));
        }
        rows.sort_unstable();
        rows.dedup();
        Allowed { records, rows, state: self.state }
    }

    /// The vectors of a record's passages, as they were rounded to half precision. None of a record that is not here.
    pub fn vectors_of(&self, record: u64) -> Result<Vec<Vec<f32>>> {
        self.keys.of_record(record).map(|(_, row)| self.rows.vector(row as usize)).collect()
    }

    /// All live keys whose content is the same as that of `key`, newest first, itself included.
    pub fn keys_like(&self, key: Key) -> Vec<Key> {
        let row = self.keys.of_record(key.record).find(|(named, _)| *named == key);
        row.map(|(_, row)| self.keys.of_row(row as usize).collect()).unwrap_or_default()
    }

    /// Reads every row and every original and compares it with its checksum.
    pub fn verify(&self) -> Result<()> {
        self.rows.check(0..self.rows.mapped())?;
        let mut buffer = Vec::new();
        for row in 0..self.rows.len() {
            self.rows.original(row, &mut buffer)?;
        }
        Ok(())
    }

    /// From now on remembers what happens, under a new number.
    pub(super) fn follow_from_here(&mut self) -> u64 {
        static SNAPSHOTS: AtomicU64 = AtomicU64::new(0);
        let number = SNAPSHOTS.fetch_add(1, Ordering::Relaxed);
        self.since_snapshot = Some((number, Vec::new()));
        number
    }

    /// What happened since the last snapshot, and its number.
    pub(super) fn since_snapshot(&self) -> Option<&(u64, Vec<Operation>)> {
        self.since_snapshot.as_ref()
    }

    /// The partition that the next commit writes into the head; its file is written already.
    pub(super) fn set_cells(&mut self, cells: Cells, sum: u64) {
        self.cells = Some(cells);
        self.cells_sum = Some(sum);
    }

    fn open_files(&self) -> Result<(RowFiles, Appender)> {
        let rows = RowFiles::open(&self.generation, &self.rows)?;
        let committed = self.keys.committed() * ENTRY_BYTES as u64;
        let log = Appender::open(self.generation.join("keys.log"), committed)?;
        Ok((rows, log))
    }

    fn name(&mut self, key: Key, content: Content, row: u32) -> Result<()> {
        if let Some(operation) = self.keys.add(key, content, row)? {
            self.changed(operation);
        }
        Ok(())
    }

    fn changed(&mut self, operation: Operation) {
        self.state.1 += 1;
        if let Some((_, since)) = &mut self.since_snapshot {
            since.push(operation);
        }
    }

    fn row_of_original(&mut self, original: &[u8]) -> Result<Option<u32>> {
        let sums = self.rows.original_sums();
        let table = self.by_original.get_or_insert_with(|| {
            let mut table = HashTable::with_capacity(sums.len());
            for row in 0..sums.len() as u32 {
                insert_original(&mut table, sums, row);
            }
            table
        });
        let sum = xxh3_64(original);
        let found = table.find(hash(sum), |&row| sums[row as usize] == sum);
        let Some(&row) = found else { return Ok(None) };
        // Equal checksums are nearly, not quite, equal vectors.
        let mut buffer = Vec::new();
        let same = self.rows.original(row as usize, &mut buffer)? == original;
        Ok(same.then_some(row))
    }

    /// The query with length one, and as an int8 row.
    pub(super) fn prepare(&self, query: &[f32]) -> Result<Prepared> {
        let unit = unit(query, self.space.dimensions)?;
        Ok(Prepared { quantized: quantize(&unit), unit })
    }

    pub(super) fn nearest(&self, query: &Prepared, k: usize) -> Result<Vec<Scored>> {
        match &self.cells {
            Some(cells) => self.nearest_in_cells(query, k, cells, cells.probes(), &|row| self.keys.is_live(row)),
            None => self.nearest_exact(query, k),
        }
    }

    pub(super) fn nearest_exact(&self, query: &Prepared, k: usize) -> Result<Vec<Scored>> {
        self.nearest_of_all(query, k, &|row| self.keys.is_live(row))
    }

    /// The exact answers to many queries, by one scan.
    pub(super) fn nearest_exact_of(&self, queries: &[Prepared], k: usize) -> Result<Vec<Vec<Scored>>> {
        let quantized: Vec<&Quantized> = queries.iter().map(|query| &query.quantized).collect();
        let mut lists: Vec<Shortlist> = quantized.iter().map(|query| Shortlist::new(k, query)).collect();
        let is_live = |row: usize| self.keys.is_live(row);
        scan::scan_together(&self.rows, 0..self.rows.len(), &quantized, &is_live, &mut lists)?;
        lists.into_iter().zip(queries).map(|(list, query)| list.rescore(&self.rows, query)).collect()
    }

    fn nearest_of_all(&self, query: &Prepared, k: usize, is_wanted: &impl Fn(usize) -> bool) -> Result<Vec<Scored>> {
        let mut list = Shortlist::new(k, &query.quantized);
        scan::scan_all(&self.rows, &query.quantized, is_wanted, &mut list)?;
        list.rescore(&self.rows, query)
    }

    fn nearest_allowed(&self, query: &Prepared, k: usize, allowed: &Allowed) -> Result<Vec<Scored>> {
        let share = allowed.rows.len() as f32 / self.rows.len().max(1) as f32;
        if share >= WIDE_FILTER {
            let mut bits = vec![0u64; self.rows.len().div_ceil(64)];
            for &row in &allowed.rows {
                bits[row as usize / 64] |= 1 << (row % 64);
            }
            let is_allowed = |row: usize| bits[row / 64] >> (row % 64) & 1 == 1;
            let Some(cells) = &self.cells else {
                return self.nearest_of_all(query, k, &is_allowed);
            };
            let probes = (cells.probes() as f32 / share).ceil() as usize;
            let found = self.nearest_in_cells(query, k, cells, probes, &is_allowed)?;
            if found.len() >= k.min(allowed.rows.len()) {
                return Ok(found);
            }
        }
        let is_live = |row: usize| self.keys.is_live(row);
        let mut list = Shortlist::new(k, &query.quantized);
        scan::scan_picks(&self.rows, &allowed.rows, &query.quantized, &is_live, &mut list)?;
        list.rescore(&self.rows, query)
    }

    fn nearest_in_cells(
        &self,
        query: &Prepared,
        k: usize,
        cells: &Cells,
        probes: usize,
        is_wanted: &impl Fn(usize) -> bool,
    ) -> Result<Vec<Scored>> {
        let mut list = Shortlist::new(k, &query.quantized);
        let tail = cells.covered()..self.rows.len();
        cells.scan(&self.rows, query, probes, is_wanted, &mut list)?;
        scan::scan(&self.rows, tail, &query.quantized, is_wanted, &mut list)?;
        list.rescore(&self.rows, query)
    }

    fn match_of(&self, scored: Scored, allowed: Option<&Allowed>) -> Match {
        let row = scored.row as usize;
        let is_allowed = |key: &Key| allowed.is_none_or(|allowed| allowed.records.binary_search(&key.record).is_ok());
        let mut keys = self.keys.of_row(row).filter(is_allowed);
        let listed: Vec<Key> = keys.by_ref().take(KEYS_PER_MATCH_MAX).collect();
        Match { score: scored.score.clamp(-1.0, 1.0), copies: listed.len() + keys.count(), keys: listed }
    }
}

impl std::fmt::Debug for VectorIndex {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("VectorIndex")
            .field("folder", &self.folder)
            .field("generation", &self.generation)
            .field("space", &self.space)
            .field("status", &self.status())
            .finish_non_exhaustive()
    }
}

fn insert_original(table: &mut HashTable<u32>, sums: &[u64], row: u32) {
    let sum = sums[row as usize];
    table.entry(hash(sum), |&other| sums[other as usize] == sum, |&other| hash(sums[other as usize])).or_insert(row);
}

fn hash(sum: u64) -> u64 {
    FxBuildHasher.hash_one(sum)
}

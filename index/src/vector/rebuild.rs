//! Rebuilding: without dead rows, and parted into cells when there are many.
//!
//! A rebuild reads one snapshot, writes a folder of its own, and is adopted with whatever happened
//! since; the old index answers and takes writes all the while.

use super::cells::{Cells, PROBES_MIN, cells_for};
use super::error::{Error, Result};
use super::files::{self, Space};
use super::index::VectorIndex;
use super::keys::{Content, Key, Operation};
use super::kmeans::{Centroids, SAMPLES_PER_CENTROID};
use super::quantize::Quantized;
use super::rows::Rows;
use std::path::PathBuf;
use xxhash_rust::xxh3::xxh3_64;

/// Fewer rows than this are not worth a rebuild.
const REBUILD_ROWS_MIN: usize = 1024;

/// A rebuild is due when more than one row in so many is dead or in no cell.
const WASTE_DIVISOR: usize = 5;

/// Rows that gather in memory between two commits of a rebuild: 75 MB at 384 dimensions.
const BATCH_ROWS: usize = 1 << 16;

/// Stored vectors that the number of probes is chosen by. Their mean recall is known to about half
/// a hundredth then.
const SAMPLE_QUERIES: usize = 200;

/// Neighbours of a sampled vector that have to be found.
const SAMPLE_NEIGHBOURS: usize = 10;

/// When rows are parted into cells, and how well a search of them has to do.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Partition {
    /// With fewer live rows than this a rebuild makes no cells, and each search scans every row.
    pub from_rows: usize,
    /// The share of the ten nearest rows that has to be found, on average over stored vectors, the
    /// vector itself not counted.
    pub recall: f32,
}

impl Default for Partition {
    /// Cells from 200,000 rows on, where a scan takes longer than one wants to wait before each
    /// prompt (about 4 ms), and a recall of .99.
    fn default() -> Partition {
        Partition { from_rows: 200_000, recall: 0.99 }
    }
}

/// The state of an index at one moment, to be rebuilt elsewhere.
#[derive(Debug)]
pub struct Snapshot {
    number: u64,
    folder: PathBuf,
    space: Space,
    rows: Rows,
    live: Vec<(Key, Content, u32)>,
    position: Vec<u8>,
    partition: Partition,
}

/// A rebuilt index, waiting to be adopted. Dropped instead, it leaves nothing behind.
#[derive(Debug)]
pub struct Rebuilt {
    number: u64,
    folder: PathBuf,
    space: Space,
    temporary: Temporary,
}

/// A folder that goes away unless it is renamed.
#[derive(Debug)]
struct Temporary(PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

impl VectorIndex {
    /// Whether a rebuild pays: more than a fifth of the rows is dead or in no cell, or there are
    /// enough rows for cells and there are none.
    pub fn wants_rebuild(&self, partition: &Partition) -> bool {
        let status = self.status();
        let rows = self.rows.len();
        if rows < REBUILD_ROWS_MIN {
            return false;
        }
        let parted = status.cells > 0;
        let loose = if parted { status.tail_rows } else { 0 };
        (status.dead_rows + loose) * WASTE_DIVISOR > rows
            || self.keys.dead_entries() > status.keys.max(rows)
            || !parted && status.live_rows >= partition.from_rows
    }

    /// Takes a snapshot for [`Snapshot::rebuild`]; an earlier one can be adopted no longer.
    pub fn snapshot(&mut self, partition: Partition) -> Snapshot {
        Snapshot {
            number: self.follow_from_here(),
            folder: self.folder.clone(),
            space: self.space().clone(),
            rows: self.rows.snapshot(),
            live: self.keys.live().collect(),
            position: self.position().to_vec(),
            partition,
        }
    }

    /// Goes on with a rebuilt index and whatever changed since its snapshot, all of it durable.
    ///
    /// Fails with [`Error::OtherSnapshot`](super::Error::OtherSnapshot) if it comes from another index or an earlier snapshot;
    /// after an error the index is as it was.
    pub fn adopt(&mut self, rebuilt: Rebuilt) -> Result<()> {
        let Some((number, operations)) = self.since_snapshot() else {
            return Err(Error::OtherSnapshot);
        };
        if *number != rebuilt.number || rebuilt.folder != self.folder {
            return Err(Error::OtherSnapshot);
        }
        let path = rebuilt.temporary.0.clone();
        let mut next = VectorIndex::open_generation(&self.folder, path, &rebuilt.space)?;
        let mut buffer = Vec::new();
        for operation in operations {
            match *operation {
                Operation::Remove { record } => {
                    next.remove(record);
                }
                Operation::Add { key, content, row } => {
                    let (bytes, scale) = self.rows.row(row as usize)?;
                    let bytes = bytes.to_vec();
                    let original = self.rows.original(row as usize, &mut buffer)?;
                    next.insert_row(key, content, &Quantized { bytes, scale }, original)?;
                }
            }
        }
        next.commit(self.position())?;
        drop(next);
        let generation = files::publish(&self.folder, &rebuilt.temporary.0)?;
        *self = VectorIndex::open_generation(&self.folder, generation, &rebuilt.space)?;
        Ok(())
    }
}

impl Snapshot {
    /// Writes the index anew. Takes seconds for a million rows and touches nothing that is in use.
    pub fn rebuild(self) -> Result<Rebuilt> {
        let temporary = Temporary(VectorIndex::create_temporary(&self.folder, &self.space)?);
        let mut is_live = vec![false; self.rows.len()];
        for (_, _, row) in &self.live {
            is_live[*row as usize] = true;
        }
        let live: Vec<u32> = (0..self.rows.len() as u32).filter(|&row| is_live[row as usize]).collect();
        let (order, parts) = if live.len() >= self.partition.from_rows.max(1) {
            let (order, centroids, starts) = self.part(live)?;
            (order, Some(Cells::new(centroids, starts)))
        } else {
            (live, None)
        };
        self.copy(&temporary, &order)?;
        if let Some(mut cells) = parts {
            let mut index = VectorIndex::open_generation(&self.folder, temporary.0.clone(), &self.space)?;
            let probes = probes_for(&index, &cells, self.partition.recall)?;
            cells.set_probes(probes);
            let bytes = cells.encode();
            files::write_synced(&temporary.0.join("cells"), &bytes)?;
            index.set_cells(cells, xxh3_64(&bytes));
            index.commit(&self.position)?;
        }
        Ok(Rebuilt { number: self.number, folder: self.folder, space: self.space, temporary })
    }

    /// The rows in the order of their cells, the centroids, and where each cell starts.
    fn part(&self, live: Vec<u32>) -> Result<(Vec<u32>, Centroids, Vec<u32>)> {
        let count = cells_for(live.len());
        let mut sample = live.clone();
        shuffle(&mut sample);
        sample.truncate(count * SAMPLES_PER_CENTROID);
        let centroids = Centroids::train(&self.rows, &sample, count, self.space.dimensions)?;
        let nearest = centroids.assign(&self.rows, &live)?;
        let mut starts = vec![0u32; centroids.len() + 1];
        for nearest in &nearest {
            starts[nearest.centroid as usize + 1] += 1;
        }
        for cell in 0..centroids.len() {
            starts[cell + 1] += starts[cell];
        }
        let mut next = starts.clone();
        let mut order = vec![0; live.len()];
        for (row, nearest) in live.into_iter().zip(&nearest) {
            let place = &mut next[nearest.centroid as usize];
            order[*place as usize] = row;
            *place += 1;
        }
        Ok((order, centroids, starts))
    }

    /// Writes rows in this order, then the keys in the order of their arrival.
    fn copy(&self, temporary: &Temporary, order: &[u32]) -> Result<()> {
        let path = temporary.0.clone();
        let mut index = VectorIndex::open_generation(&self.folder, path, &self.space)?;
        let mut renumbered = vec![u32::MAX; self.rows.len()];
        let mut buffer = Vec::new();
        for batch in order.chunks(BATCH_ROWS) {
            for &row in batch {
                let (bytes, scale) = self.rows.row(row as usize)?;
                let bytes = bytes.to_vec();
                let original = self.rows.original(row as usize, &mut buffer)?;
                renumbered[row as usize] = index.rows.push(&Quantized { bytes, scale }, original)?;
            }
            index.commit(&[])?;
        }
        for &(key, content, row) in &self.live {
            index.keys.add(key, content, renumbered[row as usize])?;
        }
        index.commit(&self.position)
    }
}

/// The fewest cells that must be read for this recall of the neighbours of sampled rows.
fn probes_for(index: &VectorIndex, cells: &Cells, recall: f32) -> Result<usize> {
    let mut sample: Vec<u32> = (0..cells.covered() as u32).collect();
    shuffle(&mut sample);
    sample.truncate(SAMPLE_QUERIES);
    let vectors = sample.iter().map(|&row| index.prepare(&index.rows.vector(row as usize)?));
    let queries = vectors.collect::<Result<Vec<_>>>()?;
    // At which probe each neighbour is found.
    let mut found_at: Vec<usize> = Vec::new();
    for ((&row, query), exact) in
        sample.iter().zip(&queries).zip(index.nearest_exact_of(&queries, SAMPLE_NEIGHBOURS + 1)?)
    {
        let mut rank = vec![0usize; cells.count()];
        for (at, cell) in cells.route(query, cells.count()).into_iter().enumerate() {
            rank[cell as usize] = at + 1;
        }
        let others = exact.iter().filter(|scored| scored.row != row);
        found_at.extend(others.take(SAMPLE_NEIGHBOURS).map(|scored| rank[cells.cell_of(scored.row)]));
    }
    found_at.sort_unstable();
    let wanted = (found_at.len() as f32 * recall.clamp(0.0, 1.0)).ceil() as usize;
    let probes = wanted.checked_sub(1).and_then(|last| found_at.get(last));
    Ok(probes.copied().unwrap_or(PROBES_MIN))
}

/// Fisher-Yates with a fixed seed: the same rows give the same partition.
pub(super) fn shuffle(rows: &mut [u32]) {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    for end in (1..rows.len()).rev() {
        // xorshift64*
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        let random = state.wrapping_mul(0x2545_f491_4f6c_dd1d);
        let at = ((u128::from(random) * (end as u128 + 1)) >> 64) as usize;
        rows.swap(end, at);
    }
}

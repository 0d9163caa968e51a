//! Embeddings that were paid for: kept in half precision by embedder and content, so that nothing
//! is embedded twice.
//!
//! ```text
//! FOLDER/embeddings-1-<16 hex digits: embedder and dimensions>/
//!     contents   for each record the content, the checksum of its vector, and a checksum of both
//!     vectors    the vectors, in the same order
//! ```
//!
//! Both files only grow, vectors first. Every checksum is seeded with the vector space, so that a
//! record of another space is no record here. A torn end is cut off; a damaged record in between
//! counts as absent, and is embedded and stored again.

use super::error::Result;
use super::files::{self, Appender, Space, io_error};
use super::keys::Content;
use super::quantize::{from_halves, to_halves, unit};
use hashbrown::HashTable;
use rustc_hash::{FxBuildHasher, FxHashSet};
use std::fs::{self, File};
use std::hash::BuildHasher;
use std::path::{Path, PathBuf};
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Content, checksum of the vector, checksum of these two.
const RECORD_BYTES: usize = 16 + 8 + 8;

/// Embeddings of one vector space on disk.
///
/// One process has it open at a time, which the caller sees to.
pub struct EmbeddingCache {
    path: PathBuf,
    dimensions: usize,
    /// What checksums are seeded with.
    seed: u64,
    contents: Vec<Content>,
    sums: Vec<u64>,
    by_content: HashTable<u32>,
    damaged: usize,
    vectors: File,
    /// Dropped after a failed write: opened anew, they cut off what was half written.
    appenders: Option<(Appender, Appender)>,
}

impl std::fmt::Debug for EmbeddingCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EmbeddingCache")
            .field("path", &self.path)
            .field("len", &self.len())
            .field("damaged", &self.damaged)
            .finish_non_exhaustive()
    }
}

impl EmbeddingCache {
    /// Opens the cache of a space in `folder`, empty if there is none, without its torn end.
    ///
    /// Reads 32 bytes for each embedding.
    pub fn open(folder: &Path, space: &Space) -> Result<EmbeddingCache> {
        let seed = xxh3_64_with_seed(space.embedder.as_bytes(), space.dimensions as u64);
        let path = folder.join(format!("embeddings-1-{seed:016x}"));
        recover(&path)?;
        fs::create_dir_all(&path).map_err(io_error("create", &path))?;
        EmbeddingCache::open_path(path, space.dimensions, seed)
    }

    fn open_path(path: PathBuf, dimensions: usize, seed: u64) -> Result<EmbeddingCache> {
        let contents_path = path.join("contents");
        let vectors_path = path.join("vectors");
        // Opening for appending creates what is missing; nothing is cut off yet.
        for path in [&contents_path, &vectors_path] {
            drop(fs::OpenOptions::new().create(true).append(true).open(path).map_err(io_error("open", path))?);
        }
        let vectors = File::open(&vectors_path).map_err(io_error("open", &vectors_path))?;
        let length = vectors.metadata().map_err(io_error("measure", &vectors_path))?.len();
        let whole_vectors = (length / (dimensions as u64 * 2).max(1)) as usize;
        let records = fs::read(&contents_path).map_err(io_error("read", &contents_path))?;
        let (records, _) = records.as_chunks::<RECORD_BYTES>();
        let records = &records[..records.len().min(whole_vectors)];
        let sound = |record: &[u8; RECORD_BYTES]| {
            let (body, sum) = record.split_at(24);
            xxh3_64_with_seed(body, seed).to_le_bytes() == sum
        };
        // The end is torn where no sound record follows.
        let count = records.iter().rposition(sound).map_or(0, |last| last + 1);
        let mut cache = EmbeddingCache {
            path,
            dimensions,
            seed,
            contents: Vec::with_capacity(count),
            sums: Vec::with_capacity(count),
            by_content: HashTable::with_capacity(count),
            damaged: 0,
            vectors,
            appenders: None,
        };
        for record in &records[..count] {
            let [content @ .., _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _] = *record;
            let mut sum = [0; 8];
            sum.copy_from_slice(&record[16..24]);
            cache.contents.push(content);
            cache.sums.push(u64::from_le_bytes(sum));
            if sound(record) {
                cache.note(cache.contents.len() - 1);
            } else {
                cache.damaged += 1;
            }
        }
        Ok(cache)
    }

    /// How many contents have an embedding.
    pub fn len(&self) -> usize {
        self.by_content.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Records that were found damaged on opening.
    pub fn damaged(&self) -> usize {
        self.damaged
    }

    /// Whether there is an embedding of this content. [`get`](Self::get) may still find it damaged.
    pub fn contains(&self, content: &Content) -> bool {
        self.find(content).is_some()
    }

    /// The embedding of a content, as it was rounded to half precision; `None` if there is none or
    /// it is damaged.
    pub fn get(&self, content: &Content) -> Result<Option<Vec<f32>>> {
        let Some(record) = self.find(content) else {
            return Ok(None);
        };
        let halves = self.read(record)?;
        Ok(halves.map(|halves| from_halves(&halves)))
    }

    /// Stores embeddings, made unit vectors; they are durable when this returns.
    ///
    /// A content that is there already, and sound, is passed over; nothing at all is stored when a
    /// vector does not fit, or has no direction.
    pub fn put(&mut self, embeddings: &[(Content, Vec<f32>)]) -> Result<()> {
        let mut contents = Vec::new();
        let mut vectors = Vec::new();
        let mut added: Vec<(Content, u64)> = Vec::new();
        let mut seen: FxHashSet<Content> = FxHashSet::default();
        for (content, vector) in embeddings {
            let halves = to_halves(&unit(vector, self.dimensions)?);
            let known = match self.find(content) {
                Some(record) => self.read(record)?.is_some(),
                None => false,
            };
            if !known && seen.insert(*content) {
                let sum = xxh3_64_with_seed(&halves, self.seed);
                contents.extend_from_slice(&encode(content, sum, self.seed));
                vectors.extend_from_slice(&halves);
                added.push((*content, sum));
            }
        }
        if added.is_empty() {
            return Ok(());
        }
        let (mut contents_file, mut vectors_file) = match self.appenders.take() {
            Some(appenders) => appenders,
            None => self.open_appenders()?,
        };
        vectors_file.append(&vectors)?;
        vectors_file.sync()?;
        contents_file.append(&contents)?;
        contents_file.sync()?;
        self.appenders = Some((contents_file, vectors_file));
        for (content, sum) in added {
            self.contents.push(content);
            self.sums.push(sum);
            self.note(self.contents.len() - 1);
        }
        Ok(())
    }

    /// Forgets the embeddings of all other contents, on disk too: a vector tells about its text.
    pub fn retain(&mut self, mut keep: impl FnMut(&Content) -> bool) -> Result<()> {
        let temporary = self.path.with_extension("new");
        remove_if_there(&temporary)?;
        fs::create_dir(&temporary).map_err(io_error("create", &temporary))?;
        let mut contents = Appender::open(temporary.join("contents"), 0)?;
        let mut vectors = Appender::open(temporary.join("vectors"), 0)?;
        for (record, content) in self.contents.iter().enumerate() {
            // The newest record of a content is the one that counts.
            if self.find(content) == Some(record)
                && keep(content)
                && let Some(halves) = self.read(record)?
            {
                vectors.append(&halves)?;
                contents.append(&encode(content, self.sums[record], self.seed))?;
            }
        }
        vectors.sync()?;
        contents.sync()?;
        files::sync_folder(&temporary)?;
        self.appenders = None;
        let old = self.path.with_extension("old");
        fs::rename(&self.path, &old).map_err(io_error("rename", &self.path))?;
        fs::rename(&temporary, &self.path).map_err(io_error("rename", &temporary))?;
        if let Some(folder) = self.path.parent() {
            files::sync_folder(folder)?;
        }
        fs::remove_dir_all(&old).map_err(io_error("remove", &old))?;
        *self = EmbeddingCache::open_path(self.path.clone(), self.dimensions, self.seed)?;
        Ok(())
    }

    fn open_appenders(&self) -> Result<(Appender, Appender)> {
        let count = self.contents.len() as u64;
        let contents = count * RECORD_BYTES as u64;
        let vectors = count * self.dimensions as u64 * 2;
        Ok((Appender::open(self.path.join("contents"), contents)?, Appender::open(self.path.join("vectors"), vectors)?))
    }

    fn find(&self, content: &Content) -> Option<usize> {
        let same = |record: &u32| self.contents[*record as usize] == *content;
        let found = self.by_content.find(hash(content), same);
        found.map(|&record| record as usize)
    }

    /// Makes a record the one that counts for its content.
    fn note(&mut self, record: usize) {
        let contents = &self.contents;
        let content = contents[record];
        self.by_content
            .entry(
                hash(&content),
                |&other| contents[other as usize] == content,
                |&other| hash(&contents[other as usize]),
            )
            .and_modify(|older| *older = record as u32)
            .or_insert(record as u32);
    }

    /// The vector of a record, unless it is damaged.
    fn read(&self, record: usize) -> Result<Option<Vec<u8>>> {
        let length = self.dimensions * 2;
        let mut halves = vec![0; length];
        let path = self.path.join("vectors");
        files::read_at(&self.vectors, &path, &mut halves, record as u64 * length as u64)?;
        let sound = xxh3_64_with_seed(&halves, self.seed) == self.sums[record];
        Ok(sound.then_some(halves))
    }
}

/// Finishes or takes back a [`retain`](EmbeddingCache::retain) that was interrupted.
fn recover(path: &Path) -> Result<()> {
    let old = path.with_extension("old");
    if old.exists() && !path.exists() {
        fs::rename(&old, path).map_err(io_error("rename", &old))?;
    }
    remove_if_there(&old)?;
    remove_if_there(&path.with_extension("new"))
}

fn remove_if_there(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        other => other.map_err(io_error("remove", folder)),
    }
}

fn encode(content: &Content, vector_sum: u64, seed: u64) -> [u8; RECORD_BYTES] {
    let mut record = [0; RECORD_BYTES];
    record[..16].copy_from_slice(content);
    record[16..24].copy_from_slice(&vector_sum.to_le_bytes());
    let sum = xxh3_64_with_seed(&record[..24], seed);
    record[24..].copy_from_slice(&sum.to_le_bytes());
    record
}

fn hash(content: &Content) -> u64 {
    FxBuildHasher.hash_one(content)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vector::tests::{Random, content, space};

    fn embedding(number: u64) -> Vec<f32> {
        let vector = Random(number).vector(20);
        unit(&vector, 20).unwrap()
    }

    fn filled(folder: &Path, count: u64) -> EmbeddingCache {
        let mut cache = EmbeddingCache::open(folder, &space(20)).unwrap();
        let all: Vec<_> = (0..count).map(|n| (content(n), embedding(n))).collect();
        cache.put(&all).unwrap();
        cache
    }

    fn holds(cache: &EmbeddingCache, number: u64) -> bool {
        let Some(found) = cache.get(&content(number)).unwrap() else {
            return false;
        };
        let close = |(a, b): (&f32, &f32)| (a - b).abs() < 1e-3;
        assert!(found.iter().zip(&embedding(number)).all(close), "a wrong vector");
        true
    }

    fn file(folder: &Path, name: &str) -> PathBuf {
        let mut entries = fs::read_dir(folder).unwrap();
        entries.next().unwrap().unwrap().path().join(name)
    }

    #[test]
    fn what_was_stored_is_there_after_reopening() {
        let folder = tempfile::tempdir().unwrap();
        drop(filled(folder.path(), 50));
        let cache = filled(folder.path(), 60);
        assert_eq!(cache.len(), 60);
        assert!((0..60).all(|number| holds(&cache, number)));
        assert!(!cache.contains(&content(60)));
        assert_eq!(fs::metadata(file(folder.path(), "vectors")).unwrap().len(), 60 * 40);
    }

    #[test]
    fn a_torn_end_is_cut_off_at_any_byte() {
        let folder = tempfile::tempdir().unwrap();
        drop(filled(folder.path(), 4));
        for name in ["contents", "vectors"] {
            let path = file(folder.path(), name);
            let whole = fs::read(&path).unwrap();
            for length in 0..whole.len() {
                fs::write(&path, &whole[..length]).unwrap();
                let left = (length * 4 / whole.len()) as u64;
                let cache = EmbeddingCache::open(folder.path(), &space(20)).unwrap();
                assert_eq!(cache.len() as u64, left);
                assert!((0..left).all(|number| holds(&cache, number)));
                drop(filled(folder.path(), 4));
                let cache = EmbeddingCache::open(folder.path(), &space(20)).unwrap();
                assert!((0..4).all(|number| holds(&cache, number)));
            }
        }
    }

    #[test]
    fn a_flipped_bit_costs_one_embedding_and_is_never_a_wrong_one() {
        let folder = tempfile::tempdir().unwrap();
        drop(filled(folder.path(), 4));
        for name in ["contents", "vectors"] {
            let path = file(folder.path(), name);
            let whole = fs::read(&path).unwrap();
            for place in 0..whole.len() {
                let mut flipped = whole.clone();
                flipped[place] ^= 16;
                fs::write(&path, &flipped).unwrap();
                let cache = EmbeddingCache::open(folder.path(), &space(20)).unwrap();
                assert_eq!((0..4).filter(|&number| holds(&cache, number)).count(), 3);
                let cache = filled(folder.path(), 4);
                assert!((0..4).all(|number| holds(&cache, number)), "stored again");
                drop(cache);
                let other = ["vectors", "contents"][usize::from(name == "vectors")];
                let other = file(folder.path(), other);
                let length = fs::metadata(&other).unwrap().len();
                let record = if name == "vectors" { 32 } else { 40 };
                let file = fs::OpenOptions::new().write(true).open(&other).unwrap();
                file.set_len(length.min(4 * record)).unwrap();
                fs::write(&path, &whole).unwrap();
            }
        }
    }

    #[test]
    fn spaces_do_not_see_each_other() {
        let folder = tempfile::tempdir().unwrap();
        drop(filled(folder.path(), 3));
        let other = Space { embedder: "other".to_owned(), dimensions: 20 };
        assert!(EmbeddingCache::open(folder.path(), &other).unwrap().is_empty());
        assert!(EmbeddingCache::open(folder.path(), &space(10)).unwrap().is_empty());
        assert_eq!(EmbeddingCache::open(folder.path(), &space(20)).unwrap().len(), 3);
    }

    #[test]
    fn what_is_not_kept_is_gone_from_the_disk() {
        let folder = tempfile::tempdir().unwrap();
        let mut cache = filled(folder.path(), 10);
        let gone = to_halves(&embedding(3));
        cache.retain(|kept| *kept != content(3)).unwrap();
        for cache in [cache, EmbeddingCache::open(folder.path(), &space(20)).unwrap()] {
            assert_eq!(cache.len(), 9);
            assert!(!holds(&cache, 3) && holds(&cache, 4));
        }
        let bytes = fs::read(file(folder.path(), "vectors")).unwrap();
        assert!(!bytes.windows(gone.len()).any(|window| window == gone));
    }

    #[test]
    fn an_interrupted_forgetting_is_finished_or_taken_back() {
        let folder = tempfile::tempdir().unwrap();
        drop(filled(folder.path(), 5));
        let path = fs::read_dir(folder.path()).unwrap().next().unwrap().unwrap().path();
        fs::create_dir(path.with_extension("new")).unwrap();
        fs::rename(&path, path.with_extension("old")).unwrap();
        assert_eq!(EmbeddingCache::open(folder.path(), &space(20)).unwrap().len(), 5);
        fs::create_dir(path.with_extension("old")).unwrap();
        assert_eq!(EmbeddingCache::open(folder.path(), &space(20)).unwrap().len(), 5);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn one_bad_vector_stores_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let mut cache = filled(folder.path(), 0);
        let batch = [(content(1), embedding(1)), (content(2), vec![0.0; 20])];
        assert!(cache.put(&batch).is_err());
        assert!(cache.is_empty());
    }
}

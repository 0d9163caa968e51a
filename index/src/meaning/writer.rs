//! The files of the index as the one who writes does: embeddings first into the cache, then rows, then the commit.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use harness_memory::{Row, Stored};
use rustc_hash::FxHashSet;
use serde::{Deserialize, Serialize};

use super::facts::Facts;
use super::reader::{self, FACTS, Open, Standing};
use super::texts::{Piece, pieces};
use crate::embed::{Embedder, Purpose};
use crate::error::{Error, Result};
use crate::index::Batch;
use crate::vector::{Content, EmbeddingCache, Key, Partition, Space, VectorIndex, from_halves, to_halves, unit};

/// Texts that are embedded before they are kept: about a second's work of one core, which is what a kill can cost.
const TEXTS_KEPT_AT_ONCE: usize = 64;

/// Texts that are embedded before whoever watches is asked again: about a sixth of a second, for which a question may
/// have to share the processor.
const TEXTS_AT_ONCE: usize = 16;

/// How fast texts are embedded, beside the index, for `harness index status`.
const PACE: &str = "pace.json";

/// The file whose lock whoever adds to a cache holds.
const LOCK: &str = "lock";

/// How often the pace is written.
const PACE_EVERY: Duration = Duration::from_secs(1);

/// A pace older than this says nothing about now.
const PACE_FRESH: Duration = Duration::from_secs(15);

/// How long an index waits for another that adds to the same cache: that one gives it up when it has nothing to do.
const CACHE_PATIENCE: Duration = Duration::from_secs(60);

/// How often it looks.
const CACHE_POLL: Duration = Duration::from_millis(50);

/// Told after each few texts how many were embedded since it was set, answers whether to go on.
pub type Watch = Box<dyn FnMut(u64) -> bool + Send + Sync>;

/// How fast a backlog is being embedded.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Pace {
    /// Changes taken over in a second, embedded or not.
    pub changes_per_second: f64,
    /// Texts embedded in a second.
    pub texts_per_second: f64,
    /// When this was measured, in milliseconds since 1970.
    pub at_ms: u64,
}

impl Pace {
    /// The pace of whoever is embedding into this folder now, if somebody is.
    pub(super) fn of(folder: &Path) -> Option<Pace> {
        let pace: Pace = serde_json::from_slice(&std::fs::read(folder.join(PACE)).ok()?).ok()?;
        (now_ms().saturating_sub(pace.at_ms) <= PACE_FRESH.as_millis() as u64).then_some(pace)
    }
}

/// What writing needs, open.
pub(super) struct Writer {
    folder: PathBuf,
    index: VectorIndex,
    facts: Facts,
    cache: EmbeddingCache,
    /// Held as long as the cache is open: only one process may add to it.
    _lock: File,
    /// Since when this writes, the changes and texts it has dealt with, and when it last said so.
    started: Instant,
    changes: u64,
    texts: u64,
    told: Option<Instant>,
}

impl Writer {
    /// Opens what is there to be built upon.
    pub(super) fn open(folder: &Path, cache: &Path, space: &Space) -> Result<Writer> {
        let Open { index, facts, .. } = Open::read(folder, space)?;
        Writer::of(folder, cache, space, index, facts)
    }

    /// Begins with nothing.
    pub(super) fn create(folder: &Path, cache: &Path, space: &Space) -> Result<Writer> {
        std::fs::create_dir_all(folder).map_err(Error::io("make the folder", folder))?;
        let index = VectorIndex::create(folder, space)?;
        let facts = folder.join(FACTS);
        match std::fs::remove_file(&facts) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(Error::io("remove", facts)(error));
            }
            _ => {}
        }
        reader::write_about(folder, space)?;
        reader::clear_report(folder)?;
        Writer::of(folder, cache, space, index, Facts::default())
    }

    fn of(folder: &Path, cache: &Path, space: &Space, index: VectorIndex, facts: Facts) -> Result<Writer> {
        std::fs::create_dir_all(cache).map_err(Error::io("make the folder", cache))?;
        let lock = lock(cache)?;
        let cache = EmbeddingCache::open(cache, space)?;
        let (folder, started) = (folder.to_owned(), Instant::now());
        Ok(Writer { folder, index, facts, cache, _lock: lock, started, changes: 0, texts: 0, told: None })
    }

    /// The position of the last commit.
    pub(super) fn standing(&self) -> Option<Standing> {
        serde_json::from_slice(self.index.position()).ok()
    }

    /// Takes over a batch: embeds what was never embedded, then commits it whole.
    pub(super) fn apply(&mut self, batch: &Batch, embedder: &dyn Embedder, watch: Option<&mut Watch>) -> Result<()> {
        let live: Vec<(&Stored, Vec<(Content, Piece)>)> =
            batch.live.iter().map(|stored| (stored, named(stored))).collect();
        self.embed(&live, embedder, watch)?;
        for row in &batch.rows {
            self.index.remove(row.0 as u64);
            if batch.live.binary_search_by_key(row, |stored| stored.row).is_err() {
                self.facts.remove(*row);
            }
        }
        for (stored, pieces) in &live {
            let Row(row) = stored.row;
            if pieces.is_empty() {
                self.facts.remove(stored.row);
                continue;
            }
            for (number, (content, _)) in pieces.iter().enumerate() {
                let key = Key { record: row as u64, passage: number as u32 };
                if !self.index.attach(key, *content)? {
                    // Embedded above; what is damaged in the cache meanwhile is embedded at the next try.
                    let vector = self.cache.get(content)?.ok_or_else(|| Error::Damaged {
                        index: super::VECTOR,
                        reason: "an embedding could not be read back".to_owned(),
                    })?;
                    self.index.insert(key, *content, &vector)?;
                }
            }
            self.facts.put(stored.row, &stored.record, pieces.len() as u32);
        }
        let standing = Standing { position: batch.position, ahead: batch.ahead };
        let position = serde_json::to_vec(&standing)
            .map_err(|error| Error::Damaged { index: super::VECTOR, reason: format!("its position: {error}") })?;
        self.facts.commit(&self.folder.join(FACTS))?;
        self.index.commit(&position)?;
        self.changes += batch.rows.len() as u64;
        self.tell(true);
        Ok(())
    }

    /// Puts the embeddings of all pieces into the cache that it lacks.
    fn embed(
        &mut self,
        live: &[(&Stored, Vec<(Content, Piece)>)],
        embedder: &dyn Embedder,
        mut watch: Option<&mut Watch>,
    ) -> Result<()> {
        let mut seen = FxHashSet::default();
        let mut missing: Vec<(Content, &str)> = Vec::new();
        for (content, piece) in live.iter().flat_map(|(_, pieces)| pieces) {
            if seen.insert(*content) && self.cache.get(content)?.is_none() {
                missing.push((*content, &piece.text));
            }
        }
        let mut done = 0;
        // Texts of a length together: a batch takes as long as its longest text.
        missing.sort_by_key(|(_, text)| text.len());
        for kept in missing.chunks(TEXTS_KEPT_AT_ONCE) {
            let mut embeddings: Vec<(Content, Vec<f32>)> = Vec::with_capacity(kept.len());
            let mut go_on = true;
            for part in kept.chunks(TEXTS_AT_ONCE) {
                let texts: Vec<&str> = part.iter().map(|(_, text)| *text).collect();
                let vectors = embedder.embed(Purpose::Passage, &texts)?;
                embeddings.extend(part.iter().zip(vectors).map(|((content, _), vector)| (*content, vector)));
                self.texts += part.len() as u64;
                go_on = watch.as_mut().is_none_or(|watch| watch(self.texts));
                if !go_on {
                    break;
                }
            }
            self.cache.put(&embeddings)?;
            done += embeddings.len() as u64;
            self.tell(false);
            if !go_on {
                return Err(Error::Stopped);
            }
        }
        tracing::debug!(texts = done, "embedded");
        Ok(())
    }

    /// Rebuilds where too much is dead or a partition pays, and makes the facts compact.
    pub(super) fn settle(&mut self) -> Result<()> {
        let partition = Partition::default();
        if self.index.wants_rebuild(&partition) {
            let rebuilt = self.index.snapshot(partition).rebuild()?;
            self.index.adopt(rebuilt)?;
        }
        self.facts.compact(&self.folder.join(FACTS))?;
        let _ = std::fs::remove_file(self.folder.join(PACE));
        Ok(())
    }

    /// Writes the rows anew without those of records that are gone, and forgets the embeddings of their texts.
    pub(super) fn expunge(&mut self) -> Result<()> {
        let rebuilt = self.index.snapshot(Partition::default()).rebuild()?;
        self.index.adopt(rebuilt)?;
        self.facts.compact(&self.folder.join(FACTS))?;
        let Writer { index, cache, .. } = self;
        cache.retain(|content| index.holds(content))?;
        Ok(())
    }

    /// Writes the pace down. It is a courtesy: that it cannot be written harms nothing.
    fn tell(&mut self, after_commit: bool) {
        if self.told.is_some_and(|told| told.elapsed() < PACE_EVERY) && !after_commit {
            return;
        }
        self.told = Some(Instant::now());
        let seconds = self.started.elapsed().as_secs_f64().max(1e-3);
        let pace = Pace {
            changes_per_second: self.changes as f64 / seconds,
            texts_per_second: self.texts as f64 / seconds,
            at_ms: now_ms(),
        };
        if let Ok(json) = serde_json::to_vec(&pace) {
            let _ = std::fs::write(self.folder.join(PACE), json);
        }
    }
}

/// Takes the lock of a cache, which homes may share with a measurement; waits for whoever else adds to it.
fn lock(cache: &Path) -> Result<File> {
    let path = cache.join(LOCK);
    let file = File::create(&path).map_err(Error::io("open", &path))?;
    let begin = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if begin.elapsed() < CACHE_PATIENCE => {
                std::thread::sleep(CACHE_POLL);
            }
            Err(TryLockError::WouldBlock) => return Err(Error::Followed { pid: None }),
            Err(TryLockError::Error(source)) => return Err(Error::io("lock", path)(source)),
        }
    }
}

/// The pieces of a record with the names of their texts.
fn named(stored: &Stored) -> Vec<(Content, Piece)> {
    pieces(&stored.record).into_iter().map(|piece| (piece.content(), piece)).collect()
}

/// A vector's half-precision numbers as they would be read from an index that got it from the cache: so that what is
/// searched before it is indexed scores the same afterwards.
pub(super) fn as_stored(vector: &[f32]) -> Result<Vec<u8>> {
    let dimensions = vector.len();
    let cached = from_halves(&to_halves(&unit(vector, dimensions)?));
    Ok(to_halves(&unit(&cached, dimensions)?))
}

fn now_ms() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_millis() as u64
}

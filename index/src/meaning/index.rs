//! The index of meaning as a whole.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use harness_memory::{Position, Row, Store};
use rustc_hash::FxHashMap;

use super::reader::{self, Open, Reader, folder_of, is_missing, wants_rebuild};
use super::tail::Tail;
use super::writer::{Pace, Watch, Writer};
use crate::catch_up::belongs;
use crate::embed::{Embedder, Purpose};
use crate::error::{Error, Result};
use crate::index::{Ahead, Batch, ByWord, Candidate, Cut, Filter, Found, Index, Search, Status};
use crate::vector::{Audit, Background, Space, unit};

/// The name of this index.
pub const VECTOR: &str = "vector";

/// Rows that a query is compared with to see how alike anything is to it: the deviation is known to a few hundredths
/// then.
const BACKGROUND_ROWS: usize = 512;

/// Changes of one batch: with a model of a hundred texts a second a second's work, after which what was embedded is
/// searched, text indexing gets its turn, and who wants to stop is heard.
const BATCH_CHANGES: usize = 128;

/// Nearest neighbours over a store, in `ROOT/vector-…/`, one folder for each embedder; embeddings in a folder of their
/// own, which outlives the index.
///
/// Opening one touches nothing. Searches see what other processes commit. Files that are damaged, missing or of another
/// version are noticed before anything of them is answered: the index then answers from the tail alone, says so, and is
/// built anew from the cached embeddings when it is next followed.
///
/// A record whose best cosine is not positive is not proposed.
pub struct MeaningIndex {
    folder: PathBuf,
    cache: PathBuf,
    embedder: Option<Arc<dyn Embedder>>,
    space: Space,
    reader: Mutex<Reader>,
    tail: Mutex<Tail>,
    writer: Option<Writer>,
    watch: Option<Watch>,
}

/// What the index proposes, and how alike the query is to anything at all.
#[derive(Debug, Clone, PartialEq)]
pub struct Meant {
    /// The candidates and what did not take part.
    pub found: Found,
    /// The yardstick for their scores.
    pub background: Background,
    /// How many passages were searched.
    pub passages: usize,
}

/// How near records are to a question together with examples, and how near anything is.
#[derive(Debug, Clone, PartialEq)]
pub struct Likeness {
    /// Of each record the cosine of its nearest passage.
    pub scores: FxHashMap<Row, f32>,
    /// The yardstick for them.
    pub background: Background,
}

impl MeaningIndex {
    /// The index of this embedder among the indexes in the folder `root`, with its embeddings in `cache`. Neither need
    /// be there.
    pub fn new(root: &Path, cache: &Path, embedder: Arc<dyn Embedder>) -> MeaningIndex {
        let space = Space { embedder: embedder.id().to_owned(), dimensions: embedder.dimensions() };
        MeaningIndex::of(root, cache, space, Some(embedder))
    }

    /// The index of the embedder with this id, for searching with vectors that somebody else makes: the newest records,
    /// which are not in it yet, do not take part. It cannot be written to.
    pub fn without_embedder(root: &Path, embedder: &str, dimensions: usize) -> MeaningIndex {
        let space = Space { embedder: embedder.to_owned(), dimensions };
        MeaningIndex::of(root, Path::new(""), space, None)
    }

    fn of(root: &Path, cache: &Path, space: Space, embedder: Option<Arc<dyn Embedder>>) -> MeaningIndex {
        MeaningIndex {
            folder: folder_of(root, &space),
            cache: cache.to_owned(),
            embedder,
            space,
            reader: Mutex::default(),
            tail: Mutex::default(),
            writer: None,
            watch: None,
        }
    }

    /// Lets `watch` stop [`apply`](Index::apply) between a few texts and the next, which is
    /// [`Error::Stopped`](crate::Error::Stopped). What was embedded until then is kept.
    pub fn watch(&mut self, watch: Watch) {
        self.watch = Some(watch);
    }

    /// The id of its embedder.
    pub fn embedder_id(&self) -> &str {
        &self.space.embedder
    }

    /// Whether it has an embedder, for writing and for what is not in it yet.
    pub fn has_embedder(&self) -> bool {
        self.embedder.is_some()
    }

    /// Components of a vector.
    pub fn dimensions(&self) -> usize {
        self.space.dimensions
    }

    fn own_embedder(&self) -> Result<&dyn Embedder> {
        self.embedder.as_deref().ok_or(Error::NoEmbedder)
    }

    /// How fast somebody is embedding into this index now, if somebody is.
    pub fn pace(&self) -> Option<Pace> {
        Pace::of(&self.folder)
    }

    /// The records whose meaning is nearest to a vector, best first, and how alike it is to anything.
    pub fn nearest(&self, store: &dyn Store, search: &Search, vector: &[f32]) -> Result<Meant> {
        let (open, mut cuts) = self.answering(store)?;
        let head = store.head()?;
        let direction = unit(vector, self.space.dimensions)?;
        let mut tail = self.tail.lock().unwrap_or_else(PoisonError::into_inner);
        tail.refresh(store, head, open.as_deref(), self.embedder.as_deref())?;
        let mut best: Vec<(Row, f32, u32)> = tail.search(&direction, &search.filter).collect();
        let (mut background, mut passages) = (Background::default(), 0);
        if let Some(open) = &open {
            let wanted = search.limit + tail.gone.len();
            let scanned = nearest_rows(open, &direction, &search.filter, wanted)
                .and_then(|found| Ok((found, open.index.background(&direction, BACKGROUND_ROWS)?)));
            match scanned {
                Ok((found, measured)) => {
                    best.extend(found.into_iter().filter(|(row, ..)| !tail.gone.contains(row)));
                    (background, passages) = (measured, open.index.status().keys);
                }
                Err(error) if wants_rebuild(&error) => {
                    cuts.push(rebuilt(&error.to_string()));
                    self.reader.lock().unwrap_or_else(PoisonError::into_inner).give_up(&self.folder, &error);
                }
                Err(error) => return Err(error),
            }
        }
        best.retain(|(_, score, _)| *score > 0.0);
        best.sort_by(|a, b| b.1.total_cmp(&a.1).then(b.0.cmp(&a.0)));
        best.truncate(search.limit);
        let candidates = best.into_iter().map(candidate).collect();
        let standing = open.as_deref().and_then(|open| open.standing);
        let lag = standing.map_or(head.seq, |standing| standing.lag(head.seq));
        let found = Found { candidates, rarest: 0.0, lag, unsearched: tail.unsearched(), cuts };
        Ok(Meant { found, background, passages })
    }

    /// How near these records are to a vector, as far as they are in the index.
    pub fn scores(&self, rows: &[Row], vector: &[f32]) -> Result<FxHashMap<Row, f32>> {
        let open = self.opened().filter(|_| !rows.is_empty());
        open.map_or_else(|| Ok(FxHashMap::default()), |open| scores_in(&open, rows, vector))
    }

    /// How near these records are to a vector and to examples of what is meant by it, records that each count so much
    /// of what the vector does. `None` where no example has a vector here.
    pub fn like(&self, vector: &[f32], examples: &[(Row, f32)], rows: &[Row]) -> Result<Option<Likeness>> {
        let Some(open) = self.opened().filter(|_| !rows.is_empty()) else { return Ok(None) };
        let question = unit(vector, self.space.dimensions)?;
        let mut wanted = question.clone();
        let mut found = false;
        for (row, weight) in examples {
            // Of a long record what is nearest to the question is the example.
            let near = |passage: &Vec<f32>| passage.iter().zip(&question).map(|(a, b)| a * b).sum::<f32>();
            let passages = open.index.vectors_of(row.0 as u64)?;
            let Some(nearest) = passages.iter().max_by(|a, b| near(a).total_cmp(&near(b))) else { continue };
            wanted.iter_mut().zip(nearest).for_each(|(all, one)| *all += weight * one);
            found = true;
        }
        if !found {
            return Ok(None);
        }
        let background = open.index.background(&wanted, BACKGROUND_ROWS)?;
        Ok(Some(Likeness { scores: scores_in(&open, rows, &wanted)?, background }))
    }

    /// What answers now, whatever store it followed.
    fn opened(&self) -> Option<Arc<Open>> {
        let mut reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        reader.refresh(&self.folder, &self.space);
        reader.open.clone()
    }

    /// Searches a sample of its vectors by themselves: each must be found.
    pub fn audit(&self, sample: usize) -> Result<Option<Audit>> {
        let mut reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        reader.refresh(&self.folder, &self.space);
        let Some(open) = reader.open.clone() else { return Ok(None) };
        drop(reader);
        open.index.verify()?;
        Ok(Some(open.index.audit(Some(sample))?))
    }

    /// What answers now, if it is of this store's history.
    fn answering(&self, store: &dyn Store) -> Result<(Option<Arc<Open>>, Vec<Cut>)> {
        let mut reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        reader.refresh(&self.folder, &self.space);
        if let Some(reason) = &reader.problem {
            return Ok((None, vec![rebuilt(reason)]));
        }
        let Some(open) = reader.open.clone() else { return Ok((None, Vec::new())) };
        drop(reader);
        match open.standing {
            None => Ok((None, Vec::new())),
            Some(standing) if belongs(store, &standing.position)? => Ok((Some(open), Vec::new())),
            Some(_) => Ok((None, vec![rebuilt("it followed another history of the store")])),
        }
    }

    /// The writer over what is there, if that can be built upon.
    fn writer(&mut self) -> Result<Option<&mut Writer>> {
        if self.writer.is_none() && reader::reported(&self.folder).is_none() {
            match Writer::open(&self.folder, &self.cache, &self.space) {
                Ok(writer) => self.writer = Some(writer),
                Err(error) if is_missing(&error) => {}
                Err(error) if wants_rebuild(&error) => {
                    tracing::warn!(%error, "the vector index is built anew from the cached embeddings");
                }
                Err(error) => return Err(error),
            }
        }
        Ok(self.writer.as_mut())
    }
}

impl Index for MeaningIndex {
    fn name(&self) -> &'static str {
        VECTOR
    }

    fn applied(&mut self) -> Result<Option<Position>> {
        Ok(self.writer()?.and_then(|writer| writer.standing()).map(|standing| standing.position))
    }

    fn apply(&mut self, batch: &Batch) -> Result<()> {
        if self.writer()?.is_none() {
            self.reset()?;
        }
        let MeaningIndex { writer, watch, embedder, .. } = self;
        let embedder = embedder.as_deref().ok_or(Error::NoEmbedder)?;
        let Some(open) = writer else { return Ok(()) };
        let applied = open.apply(batch, embedder, watch.as_mut());
        if applied.is_err() {
            // Half a batch is in memory: what is on the disk is the last commit.
            *writer = None;
        }
        applied
    }

    fn search(&self, store: &dyn Store, search: &Search) -> Result<Found> {
        if let Some(vector) = search.vector {
            return Ok(self.nearest(store, search, vector)?.found);
        }
        let mut vectors = self.own_embedder()?.embed(Purpose::Query, &[search.text])?;
        let vector = vectors.pop().unwrap_or_default();
        Ok(self.nearest(store, search, &vector)?.found)
    }

    fn reset(&mut self) -> Result<()> {
        self.own_embedder()?;
        self.writer = None;
        self.writer = Some(Writer::create(&self.folder, &self.cache, &self.space)?);
        Ok(())
    }

    fn expunge(&mut self) -> Result<()> {
        if self.applied()?.is_none() {
            return Ok(());
        }
        if self.writer.is_none() {
            self.writer = Some(Writer::open(&self.folder, &self.cache, &self.space)?);
        }
        self.writer.as_mut().map_or(Ok(()), Writer::expunge)
    }

    fn settle(&mut self) -> Result<()> {
        let Some(mut writer) = self.writer.take() else { return Ok(()) };
        writer.settle()
    }

    fn status(&self) -> Result<Status> {
        let mut reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        reader.refresh(&self.folder, &self.space);
        Ok(reader.status(&self.folder))
    }

    fn batch_changes_max(&self) -> usize {
        BATCH_CHANGES
    }

    fn newest_first(&self) -> bool {
        true
    }

    fn ahead(&mut self) -> Result<Option<Ahead>> {
        Ok(self.writer()?.and_then(|writer| writer.standing()).and_then(|standing| standing.ahead))
    }
}

/// The records nearest to a query, at least `limit` of them where there are as many.
fn nearest_rows(open: &Open, direction: &[f32], filter: &Filter, limit: usize) -> Result<Vec<(Row, f32, u32)>> {
    let allowed = (!filter.allows_everything()).then(|| open.index.allow(open.facts.allowed(filter)));
    let mut wanted = limit;
    loop {
        let matches = open.index.search(direction, wanted, allowed.as_ref())?;
        let exhausted = matches.len() < wanted;
        // Matches come best first, so that a record's first passage is its best.
        let mut best: FxHashMap<Row, (f32, u32)> = FxHashMap::default();
        for found in &matches {
            for key in &found.keys {
                best.entry(Row(key.record as i64)).or_insert((found.score, key.passage));
            }
        }
        if exhausted || best.len() >= limit {
            return Ok(best.into_iter().map(|(row, (score, passage))| (row, score, passage)).collect());
        }
        wanted *= 2;
    }
}

/// The cosine of each record's nearest passage with a vector.
fn scores_in(open: &Open, rows: &[Row], vector: &[f32]) -> Result<FxHashMap<Row, f32>> {
    let allowed = open.index.allow(rows.iter().map(|row| row.0 as u64));
    let mut scores = FxHashMap::default();
    for found in open.index.search(vector, usize::MAX, Some(&allowed))? {
        for key in found.keys {
            let score = scores.entry(Row(key.record as i64)).or_insert(found.score);
            *score = found.score.max(*score);
        }
    }
    Ok(scores)
}

fn candidate((row, score, passage): (Row, f32, u32)) -> Candidate {
    let why = format!("similar in meaning, cosine {score:.2}");
    Candidate {
        row,
        score,
        coverage: score.clamp(0.0, 1.0),
        by_word: ByWord::default(),
        passage: Some(passage),
        why,
        words: Vec::new(),
    }
}

fn rebuilt(reason: &str) -> Cut {
    Cut {
        code: "vector-rebuild",
        hint: format!(
            "the vector index is being built anew ({reason}); only the newest records were searched by meaning"
        ),
    }
}

//! The files of the index as searches see them: opened when they changed, given up when they are damaged.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use harness_memory::{Position, Row, Seq};
use serde::{Deserialize, Serialize};

use super::facts::Facts;
use super::writer::Pace;
use crate::error::{Error, Result};
use crate::index::{Ahead, State, Status};
use crate::vector::{self, Key, Space, VectorIndex, newest_generation};

/// What is known of the records.
pub(super) const FACTS: &str = "facts";

/// What the folder holds, for people and for those who have no model at hand.
const ABOUT: &str = "about.json";

/// Left by whoever found damage, for whoever writes.
const DAMAGED: &str = "damaged";

/// Folders of this index begin so.
const FOLDER: &str = "vector-";

/// Which embedder made an index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// The embedder's id.
    pub embedder: String,
    /// Components of a vector.
    pub dimensions: usize,
}

/// The folder of a space's index among the indexes in `root`: one for each embedder, so that vectors of two are never
/// mixed and the old ones stay until the new ones are there.
pub(super) fn folder_of(root: &Path, space: &Space) -> PathBuf {
    let name = xxhash_rust::xxh3::xxh3_64_with_seed(space.embedder.as_bytes(), space.dimensions as u64);
    root.join(format!("{FOLDER}{name:016x}"))
}

/// The indexes of meaning in `root`, by the embedders that made them.
pub fn indexes(root: &Path) -> Vec<(About, PathBuf)> {
    let folders = fs::read_dir(root).into_iter().flatten().flatten().map(|entry| entry.path());
    let named = |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(FOLDER));
    let mut found: Vec<(About, PathBuf)> = folders
        .filter(named)
        .filter_map(|path| Some((serde_json::from_slice(&fs::read(path.join(ABOUT)).ok()?).ok()?, path)))
        .collect();
    found.sort_by(|(_, a), (_, b)| a.cmp(b));
    found
}

/// Removes the indexes of all other embedders than this one, which nobody asks any more. Their embeddings stay in the
/// cache. Answers how many there were.
///
/// For the holder of the follower's lock.
pub fn remove_others(root: &Path, embedder: &str) -> Result<usize> {
    let others = indexes(root).into_iter().filter(|(about, _)| about.embedder != embedder);
    let mut removed = 0;
    for (_, folder) in others {
        fs::remove_dir_all(&folder).map_err(Error::io("remove", &folder))?;
        removed += 1;
    }
    Ok(removed)
}

/// How far the index of a model has followed, without opening it; `None` where there is none that can be read.
///
/// The model is the one whose ids begin with this name; of several the one that was written last counts.
pub fn reached(root: &Path, model: &str) -> Option<(Position, u64)> {
    let (space, folder) = of_model(root, model)?;
    let head = vector::Head::read(&newest_generation(&folder).ok()?, &space).ok()?;
    let standing: Standing = serde_json::from_slice(&head.position).ok()?;
    Some((standing.position, standing.ahead.map_or(0, |ahead| ahead.changes())))
}

fn of_model(root: &Path, model: &str) -> Option<(Space, PathBuf)> {
    let named = |about: &About| about.embedder.strip_prefix(model).is_some_and(|rest| rest.starts_with(' '));
    let written = |path: &PathBuf| fs::metadata(path).and_then(|metadata| metadata.modified()).ok();
    let found = indexes(root).into_iter().filter(|(about, _)| named(about));
    let (about, folder) = found.max_by_key(|(_, path)| written(path))?;
    Some((Space { embedder: about.embedder, dimensions: about.dimensions }, folder))
}

/// What the index of a model says of itself, and its pace, without the model; `None` where there is none.
///
/// The model is the one whose ids begin with this name; of several the one that was written last counts.
pub fn peek(root: &Path, model: &str) -> Option<(Status, Option<Pace>)> {
    let (space, folder) = of_model(root, model)?;
    let mut reader = Reader::default();
    reader.refresh(&folder, &space);
    Some((reader.status(&folder), Pace::of(&folder)))
}

/// Writes what the folder holds.
pub(super) fn write_about(folder: &Path, space: &Space) -> Result<()> {
    let about = About { embedder: space.embedder.clone(), dimensions: space.dimensions };
    let path = folder.join(ABOUT);
    let json = serde_json::to_vec(&about).map_err(|error| damaged(error.to_string()))?;
    fs::write(&path, json).map_err(Error::io("write", path))
}

/// How far an index has followed, as it is committed with the vectors.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct Standing {
    pub(super) position: Position,
    pub(super) ahead: Option<Ahead>,
}

impl Standing {
    /// How many changes of a log that ends at `head` are missing.
    pub(super) fn lag(&self, head: Seq) -> u64 {
        let taken = self.position.seq + self.ahead.map_or(0, |ahead| ahead.changes());
        head.saturating_sub(taken)
    }
}

/// Vectors and facts that fit each other.
pub(super) struct Open {
    pub(super) index: VectorIndex,
    pub(super) facts: Facts,
    pub(super) standing: Option<Standing>,
}

impl Open {
    /// Opens both; the error [wants a rebuild](wants_rebuild) where that is the cure.
    pub(super) fn read(folder: &Path, space: &Space) -> Result<Open> {
        let index = VectorIndex::open(folder, space)?;
        let standing = match index.position() {
            [] => None,
            json => Some(serde_json::from_slice(json).map_err(|error| damaged(format!("its position: {error}")))?),
        };
        let mut facts = Facts::open(&folder.join(FACTS))?;
        facts.retain(|row| holds(&index, row));
        let (known, held) = (facts.passages(), index.status().keys);
        if known != held {
            return Err(damaged(format!("{FACTS} knows of {known} passages, the vectors are of {held}")));
        }
        Ok(Open { index, facts, standing })
    }
}

/// Whether a record has vectors here.
pub(super) fn holds(index: &VectorIndex, row: Row) -> bool {
    !index.keys_like(Key { record: row.0 as u64, passage: 0 }).is_empty()
}

/// What answers searches, kept while its files stay the same.
#[derive(Default)]
pub(super) struct Reader {
    pub(super) open: Option<Arc<Open>>,
    /// The head of the files that are open, or that could not be opened.
    seen: Option<Head>,
    pub(super) problem: Option<String>,
}

impl Reader {
    /// Opens what is there now. What cannot be used is a problem, and not an error.
    pub(super) fn refresh(&mut self, folder: &Path, space: &Space) {
        // A writer may commit while this opens: then what was read does not fit, and is read again.
        for _ in 0..3 {
            let now = head(folder);
            if now == self.seen && (now.is_none() || self.open.is_some() || self.problem.is_some()) {
                return;
            }
            (self.open, self.problem, self.seen) = (None, None, now);
            if self.seen.is_none() {
                return;
            }
            match Open::read(folder, space) {
                Ok(open) => {
                    self.open = Some(Arc::new(open));
                    return;
                }
                Err(error) => self.problem = Some(error.to_string()),
            }
            if head(folder) == self.seen {
                return;
            }
        }
    }

    /// What the files say of themselves.
    pub(super) fn status(&self, folder: &Path) -> Status {
        let state = match (&self.problem, &self.open) {
            (Some(reason), _) => State::Damaged { reason: reason.clone() },
            (None, Some(_)) => State::Ready,
            (None, None) => State::Missing,
        };
        let open = self.open.as_ref();
        Status {
            applied: open.and_then(|open| open.standing).map(|standing| standing.position),
            ahead: open.and_then(|open| open.standing?.ahead).map_or(0, |ahead| ahead.changes()),
            documents: open.map_or(0, |open| open.facts.len() as u64),
            bytes: bytes_in(folder),
            state,
        }
    }

    /// Gives up what answers, and leaves a note to whoever writes.
    pub(super) fn give_up(&mut self, folder: &Path, error: &Error) {
        self.open = None;
        self.problem = Some(error.to_string());
        // Without the note the writer finds the damage when it reads that row.
        let _ = fs::write(folder.join(DAMAGED), error.to_string());
    }
}

/// Which commit of which files. The time tells files that were built anew from those that they are equal to.
#[derive(Debug, PartialEq, Eq)]
struct Head {
    generation: PathBuf,
    bytes: Vec<u8>,
    written: SystemTime,
}

fn head(folder: &Path) -> Option<Head> {
    let generation = newest_generation(folder).ok()?;
    let path = generation.join("head.json");
    let bytes = fs::read(&path).ok()?;
    let written = fs::metadata(path).ok()?.modified().ok()?;
    Some(Head { generation, bytes, written })
}

/// What a search found damaged, if one did.
pub(super) fn reported(folder: &Path) -> Option<String> {
    fs::read_to_string(folder.join(DAMAGED)).ok()
}

/// Takes the note away: what it spoke of is gone.
pub(super) fn clear_report(folder: &Path) -> Result<()> {
    let path = folder.join(DAMAGED);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::io("remove", path)(error)),
        _ => Ok(()),
    }
}

/// Whether the index must be built anew from the cached embeddings.
pub(super) fn wants_rebuild(error: &Error) -> bool {
    match error {
        Error::Vector(error) => error.wants_rebuild(),
        Error::Damaged { .. } => true,
        _ => false,
    }
}

/// Whether there is no index at all.
pub(super) fn is_missing(error: &Error) -> bool {
    matches!(error, Error::Vector(vector::Error::Missing { .. }))
}

fn damaged(reason: String) -> Error {
    Error::Damaged { index: super::VECTOR, reason }
}

fn bytes_in(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let size = |entry: fs::DirEntry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => bytes_in(&entry.path()),
        Ok(metadata) => metadata.len(),
        Err(_) => 0,
    };
    entries.map(size).sum()
}

//! What answers: the newest commit of the newest generation, opened when a search first asks and looked after since.

use std::fs::{self, Metadata};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use harness_memory::Position;
use tantivy::Index as TantivyIndex;

use super::files::CheckedFiles;
use super::folders::{self, Folders};
use super::index::TEXT;
use super::schema::Fields;
use super::snapshot::Snapshot;
use super::writer::open_index;
use crate::error::{Error, Result};

/// How often files in use are looked at for changes from outside, at most: it takes a call of the system for each.
const LOOK_AT_FILES: Duration = Duration::from_millis(100);

/// Where it lies.
pub(super) enum Place {
    /// In the newest generation of a home's folders.
    Home(Folders),
    /// In this folder: a generation that does not answer yet.
    Folder(PathBuf),
}

/// What answers.
#[derive(Default)]
pub(super) struct Reader {
    pub(super) open: Option<Generation>,
    /// Why nothing answers, where something should.
    pub(super) problem: Option<String>,
    /// The folder of generations as it was when `open` and `problem` were found out.
    pub(super) changed: Option<SystemTime>,
}

pub(super) struct Generation {
    pub(super) folder: PathBuf,
    pub(super) files: CheckedFiles,
    pub(super) index: TantivyIndex,
    pub(super) fields: Fields,
    meta: Fingerprint,
    pub(super) snapshot: Arc<Snapshot>,
    looked_at: Instant,
    /// Made by another version of the analyzer, while ours is being built.
    pub(super) older: bool,
    /// The position that was last found to be one of the store's history.
    pub(super) belongs: Option<Position>,
}

/// The file that a commit replaces.
pub(super) const META: &str = "meta.json";

/// What of a file changes when it is replaced.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Fingerprint {
    bytes: u64,
    modified: Option<SystemTime>,
    #[cfg(unix)]
    inode: u64,
}

impl Fingerprint {
    fn of(path: &Path) -> Option<Fingerprint> {
        let metadata: Metadata = fs::metadata(path).ok()?;
        Some(Fingerprint {
            bytes: metadata.len(),
            modified: metadata.modified().ok(),
            #[cfg(unix)]
            inode: std::os::unix::fs::MetadataExt::ino(&metadata),
        })
    }
}

impl Reader {
    /// Looks whether something newer is there, with two calls of the system where nothing is.
    pub(super) fn refresh(&mut self, place: &Place) {
        let changed = match place {
            Place::Home(folders) => folders.changed(),
            Place::Folder(folder) => fs::metadata(folder).and_then(|metadata| metadata.modified()).ok(),
        };
        let same_folders = self.changed == changed && changed.is_some();
        if same_folders && self.problem.is_some() {
            return;
        }
        if let Some(open) = self.open.as_mut().filter(|_| same_folders) {
            match guarded(|| open.refresh()) {
                Ok(true) => return,
                Ok(false) => {}
                Err(error) => {
                    let folder = open.folder.clone();
                    return self.give_up(&folder, &error, changed);
                }
            }
        }
        *self = Reader { open: None, problem: None, changed };
        let (folder, older) = match place {
            Place::Folder(folder) => (Some(folder.clone()), false),
            Place::Home(folders) => match folders.current() {
                Some(folder) => (Some(folder), false),
                None => (folders.older(), true),
            },
        };
        let Some(folder) = folder else { return };
        if let Some(reason) = folders::damage(&folder) {
            self.problem = Some(reason);
            return;
        }
        match guarded(|| Generation::open(&folder, older)) {
            Ok(open) => self.open = open,
            // Another version's index may be anything.
            Err(_) if older => {}
            Err(error) => self.give_up(&folder, &error, changed),
        }
    }

    /// Answers from the tail from now on: until somebody builds the index anew where it is damaged, and until the next
    /// search where the system refused something (too many files open, say).
    pub(super) fn give_up(&mut self, folder: &Path, error: &Error, changed: Option<SystemTime>) {
        let (reason, damaged) = (reason(error), is_damage(error));
        tracing::warn!(reason, damaged, "the text index cannot be read");
        if damaged {
            folders::mark_damaged(folder, &reason);
        }
        *self = Reader { open: None, problem: Some(reason), changed: changed.filter(|_| damaged) };
    }
}

impl Generation {
    fn open(folder: &Path, older: bool) -> Result<Option<Generation>> {
        let Some(meta) = Fingerprint::of(&folder.join(META)) else {
            // Where there are other files, the list of them was lost.
            return match folders::has_segments(folder) {
                false => Ok(None),
                true => Err(Error::Damaged { index: TEXT, reason: format!("{META} is missing") }),
            };
        };
        let Some((files, index, fields)) = open_index(folder)? else { return Ok(None) };
        let snapshot = Arc::new(Snapshot::open(&index, &fields, None)?);
        let (folder, looked_at) = (folder.to_owned(), Instant::now());
        Ok(Some(Generation { folder, files, index, fields, meta, snapshot, looked_at, older, belongs: None }))
    }

    /// Takes over a newer commit; answers whether this is still what should answer.
    fn refresh(&mut self) -> Result<bool> {
        let Some(meta) = Fingerprint::of(&self.folder.join(META)) else { return Ok(false) };
        if meta != self.meta {
            self.snapshot = Arc::new(Snapshot::open(&self.index, &self.fields, Some(&self.snapshot))?);
            self.meta = meta;
        }
        if self.looked_at.elapsed() >= LOOK_AT_FILES {
            self.files.unchanged();
            self.looked_at = Instant::now();
        }
        match self.files.damage() {
            Some(reason) => Err(Error::Damaged { index: TEXT, reason: reason.to_owned() }),
            None => Ok(true),
        }
    }
}

/// Runs code of the full-text engine, and makes an error of a panic: no wrong byte reaches it, so that this is only
/// the last line against damage.
pub(super) fn guarded<T>(run: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| {
        let said = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
        Err(Error::Damaged {
            index: TEXT,
            reason: format!("it made the search engine stop: {}", said.unwrap_or("no reason given")),
        })
    })
}

/// The cause of an error, for a person.
fn reason(error: &Error) -> String {
    match error {
        Error::Damaged { reason, .. } => reason.clone(),
        Error::Text { source, .. } => source.to_string(),
        other => other.to_string(),
    }
}

/// Whether an error says that the files are not what was written, rather than that the system refused something.
fn is_damage(error: &Error) -> bool {
    use std::io::ErrorKind::{InvalidData, UnexpectedEof};
    use tantivy::TantivyError;
    use tantivy::directory::error::OpenReadError;
    let of_content = |error: &std::io::Error| matches!(error.kind(), InvalidData | UnexpectedEof);
    match error {
        Error::Damaged { .. } => true,
        Error::Text { source: TantivyError::IoError(error), .. } => of_content(error),
        Error::Text { source: TantivyError::OpenReadError(OpenReadError::IoError { io_error, .. }), .. } => {
            of_content(io_error)
        }
        Error::Text { source: TantivyError::OpenDirectoryError(_) | TantivyError::LockFailure(..), .. } => false,
        Error::Text { .. } => true,
        _ => false,
    }
}

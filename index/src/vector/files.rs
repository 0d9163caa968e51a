//! The folder of an index: which files it has, what vouches for them, how they become durable.
//!
//! ```text
//! FOLDER/generation-000007/
//!     head.json      format, embedder, dimensions, counts, checksums, log position; and its own checksum
//!     rows.i8        one padded int8 row after the other
//!     originals.f16  the same vectors in half precision, in the same order
//!     rows.meta      for each row its scale and the checksums of both
//!     keys.log       which key names which row; removals
//!     cells          the partition, if there is one
//! ```
//!
//! All but `head.json` only grow. A commit appends, syncs, and then replaces the head, so that the
//! head never promises what is not there; what lies behind its counts was never committed and is
//! cut off by the next writer. A rebuild fills a folder of its own and renames it; the highest
//! generation counts.
//!
//! Checksums: the head carries its own and those of `rows.meta`, `keys.log` and `cells`, which are
//! read whole on opening; a row and an original are checked against `rows.meta` before they are
//! first used. So opening reads little, and a flipped bit is an error before it is a neighbour.

use super::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use xxhash_rust::xxh3::xxh3_64;

/// The format that is written, and the only one that is read: derived files are rebuilt, not
/// migrated.
pub(crate) const FORMAT: u32 = 1;

/// A head is a few hundred bytes; more than this is not a head.
const HEAD_BYTES_MAX: u64 = 64 * 1024;

/// A log position is a store id, an epoch, a number and a hash.
pub const POSITION_BYTES_MAX: usize = 1024;

const GENERATION: &str = "generation-";
const TEMPORARY: &str = "temporary-";

/// The vector space of an index: vectors of two spaces are never mixed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Space {
    /// The embedder's id, which names model, weights, pooling and prefixes.
    pub embedder: String,
    /// Components of a vector.
    pub dimensions: usize,
}

impl std::fmt::Display for Space {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({} dimensions)", self.embedder, self.dimensions)
    }
}

/// What `head.json` says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Head {
    pub(crate) embedder: String,
    pub(crate) dimensions: usize,
    /// Committed rows.
    pub(crate) rows: u64,
    /// Committed entries of `keys.log`.
    pub(crate) entries: u64,
    /// Checksum of the committed part of `rows.meta`.
    pub(crate) meta_sum: u64,
    /// Checksum of the committed part of `keys.log`.
    pub(crate) log_sum: u64,
    /// Checksum of `cells`, if rows are partitioned.
    pub(crate) cells_sum: Option<u64>,
    /// The caller's position in the change log.
    pub(crate) position: Vec<u8>,
}

#[derive(Deserialize)]
struct Versioned {
    format: u32,
}

#[derive(Serialize, Deserialize)]
struct Written {
    format: u32,
    #[serde(flatten)]
    head: Head,
}

impl Head {
    pub(crate) fn empty(space: &Space) -> Head {
        Head {
            embedder: space.embedder.clone(),
            dimensions: space.dimensions,
            rows: 0,
            entries: 0,
            meta_sum: xxh3_64(&[]),
            log_sum: xxh3_64(&[]),
            cells_sum: None,
            position: Vec::new(),
        }
    }

    /// Reads and checks the head of a generation.
    pub(crate) fn read(generation: &Path, space: &Space) -> Result<Head> {
        let path = generation.join("head.json");
        let damaged = |what: &str| Error::Damaged { path: path.clone(), what: what.to_owned() };
        let bytes = read_whole(&path, HEAD_BYTES_MAX)?;
        // The last line is the checksum of all lines before it.
        let body_end = bytes.len().checked_sub(17).ok_or_else(|| damaged("too short"))?;
        let (body, sum) = bytes.split_at(body_end);
        if sum != format!("{:016x}\n", xxh3_64(body)).as_bytes() {
            return Err(damaged("the checksum does not fit"));
        }
        let versioned: Versioned = serde_json::from_slice(body).map_err(|error| damaged(&error.to_string()))?;
        if versioned.format != FORMAT {
            return Err(Error::Format { path, found: versioned.format, supported: FORMAT });
        }
        let Written { head, .. } = serde_json::from_slice(body).map_err(|error| damaged(&error.to_string()))?;
        let found = Space { embedder: head.embedder.clone(), dimensions: head.dimensions };
        if found != *space {
            return Err(Error::Foreign { path, found: found.to_string(), wanted: space.to_string() });
        }
        Ok(head)
    }

    /// Makes this the head of a generation: written beside it, synced, renamed.
    pub(crate) fn write(&self, generation: &Path) -> Result<()> {
        let written = Written { format: FORMAT, head: self.clone() };
        let mut bytes = serde_json::to_vec_pretty(&written).expect("a head is plain data");
        bytes.push(b'\n');
        let sum = xxh3_64(&bytes);
        bytes.extend(format!("{sum:016x}\n").as_bytes());
        let path = generation.join("head.json");
        let temporary = generation.join("head.json.new");
        write_synced(&temporary, &bytes)?;
        fs::rename(&temporary, &path).map_err(io_error("rename", &path))?;
        sync_folder(generation)
    }
}

/// The newest generation in a folder, or [`Error::Missing`](super::Error::Missing).
pub(crate) fn newest_generation(folder: &Path) -> Result<PathBuf> {
    let newest = generations(folder)?.pop();
    newest.map(|(_, path)| path).ok_or_else(|| Error::Missing { folder: folder.to_owned() })
}

/// A new, empty folder for a generation that is being written.
pub(crate) fn temporary_generation(folder: &Path) -> Result<PathBuf> {
    fs::create_dir_all(folder).map_err(io_error("create", folder))?;
    // Never the same name twice in a process: the owner of an old one may still want to remove it.
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    loop {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = folder.join(format!("{TEMPORARY}{}-{number}", std::process::id()));
        match fs::create_dir(&path) {
            Ok(()) => return Ok(path),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(io_error("create", &path)(error)),
        }
    }
}

/// Makes a written folder the newest generation, and removes older ones and what interrupted
/// rebuilds left behind.
///
/// Other processes that have an older one open keep reading it; where the system forbids to remove
/// what is open, it is left for the next time.
pub(crate) fn publish(folder: &Path, temporary: &Path) -> Result<PathBuf> {
    let older = generations(folder)?;
    let number = older.last().map_or(1, |(number, _)| number + 1);
    let path = folder.join(format!("{GENERATION}{number:06}"));
    sync_folder(temporary)?;
    fs::rename(temporary, &path).map_err(io_error("rename", &path))?;
    sync_folder(folder)?;
    let abandoned = entries(folder)?;
    let abandoned = abandoned.into_iter().filter(|(_, name)| name.starts_with(TEMPORARY));
    for path in older.into_iter().map(|(_, path)| path).chain(abandoned.map(|(path, _)| path)) {
        let _ = fs::remove_dir_all(path);
    }
    Ok(path)
}

/// Removes every generation and what interrupted rebuilds left behind.
pub(crate) fn clear(folder: &Path) -> Result<()> {
    for (path, name) in entries(folder)? {
        if name.starts_with(GENERATION) || name.starts_with(TEMPORARY) {
            fs::remove_dir_all(&path).map_err(io_error("remove", &path))?;
        }
    }
    Ok(())
}

fn generations(folder: &Path) -> Result<Vec<(u64, PathBuf)>> {
    let mut found: Vec<(u64, PathBuf)> = entries(folder)?
        .into_iter()
        .filter_map(|(path, name)| Some((name.strip_prefix(GENERATION)?.parse().ok()?, path)))
        .collect();
    found.sort();
    Ok(found)
}

fn entries(folder: &Path) -> Result<Vec<(PathBuf, String)>> {
    let listed = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(io_error("list", folder))?,
    };
    listed
        .map(|entry| {
            let entry = entry.map_err(io_error("list", folder))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            Ok((entry.path(), name))
        })
        .collect()
}

/// Opens a file of a generation for reading; a file that is not there counts as empty, so that it
/// is reported as cut off.
pub(crate) fn open_committed(path: &Path, length: u64) -> Result<File> {
    match File::open(path) {
        Ok(file) => Ok(file),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(Error::Truncated { path: path.to_owned(), expected: length, found: 0 })
        }
        Err(error) => Err(io_error("open", path)(error)),
    }
}

/// Reads the committed part of a file, no further.
pub(crate) fn read_committed(path: &Path, length: u64) -> Result<Vec<u8>> {
    let file = open_committed(path, length)?;
    let found = file.metadata().map_err(io_error("measure", path))?.len();
    let truncated = |found| Error::Truncated { path: path.to_owned(), expected: length, found };
    // Compared before anything is reserved: a damaged count must not ask for the machine's memory.
    if found < length {
        return Err(truncated(found));
    }
    let mut bytes = Vec::with_capacity(length as usize);
    let read = file.take(length).read_to_end(&mut bytes);
    read.map_err(io_error("read", path))?;
    if (bytes.len() as u64) < length {
        return Err(truncated(bytes.len() as u64));
    }
    Ok(bytes)
}

/// Reads a small file; longer than `bytes_max` is damage.
fn read_whole(path: &Path, bytes_max: u64) -> Result<Vec<u8>> {
    let file = open_committed(path, 1)?;
    let mut bytes = Vec::new();
    let read = file.take(bytes_max + 1).read_to_end(&mut bytes);
    read.map_err(io_error("read", path))?;
    if bytes.len() as u64 > bytes_max {
        return Err(Error::Damaged { path: path.to_owned(), what: format!("more than {bytes_max} bytes") });
    }
    Ok(bytes)
}

/// A file that is appended to behind its committed length.
#[derive(Debug)]
pub(crate) struct Appender {
    file: File,
    path: PathBuf,
}

impl Appender {
    /// Opens or creates the file and cuts off what was never committed.
    pub(crate) fn open(path: PathBuf, committed: u64) -> Result<Appender> {
        let open = OpenOptions::new().read(true).append(true).create(true).open(&path);
        let file = open.map_err(io_error("open", &path))?;
        let found = file.metadata().map_err(io_error("measure", &path))?.len();
        if found < committed {
            return Err(Error::Truncated { path, expected: committed, found });
        }
        if found > committed {
            file.set_len(committed).map_err(io_error("shorten", &path))?;
        }
        Ok(Appender { file, path })
    }

    pub(crate) fn append(&mut self, bytes: &[u8]) -> Result<()> {
        let Appender { file, path } = self;
        file.write_all(bytes).map_err(io_error("append to", path))
    }

    pub(crate) fn sync(&self) -> Result<()> {
        self.file.sync_data().map_err(io_error("sync", &self.path))
    }
}

/// Writes a whole file and syncs it.
pub(crate) fn write_synced(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut file = File::create(path).map_err(io_error("create", path))?;
    file.write_all(bytes).map_err(io_error("write", path))?;
    file.sync_all().map_err(io_error("sync", path))
}

/// Makes names in a folder durable. Where folders cannot be opened, the system does it by itself.
pub(crate) fn sync_folder(folder: &Path) -> Result<()> {
    #[cfg(unix)]
    {
        let opened = File::open(folder).map_err(io_error("open", folder))?;
        opened.sync_all().map_err(io_error("sync", folder))?;
    }
    #[cfg(not(unix))]
    let _ = folder;
    Ok(())
}

/// Names what was done to which path when the system refuses.
pub(crate) fn io_error(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::Io { doing, path, source }
}

/// Fills `bytes` from a place in a file, leaving every other reader's place alone.
pub(crate) fn read_at(file: &File, path: &Path, bytes: &mut [u8], offset: u64) -> Result<()> {
    #[cfg(unix)]
    let read = std::os::unix::fs::FileExt::read_exact_at(file, bytes, offset);
    #[cfg(windows)]
    let read = {
        use std::os::windows::fs::FileExt;
        let (mut at, mut result) = (0, Ok(()));
        while at < bytes.len() {
            match file.seek_read(&mut bytes[at..], offset + at as u64) {
                Ok(0) => {
                    result = Err(io::ErrorKind::UnexpectedEof.into());
                    break;
                }
                Ok(count) => at += count,
                Err(error) => {
                    result = Err(error);
                    break;
                }
            }
        }
        result
    };
    read.map_err(io_error("read", path))
}

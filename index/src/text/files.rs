//! The files of the text index, with a checksum for every block.
//!
//! tantivy checks a file's CRC only when it is told to read the whole file, which a cold search cannot afford, and
//! follows whatever offsets a damaged file holds. Here every file carries a table with one checksum for each block of
//! [`BLOCK_BYTES`], written with the file, and a read returns bytes only after their blocks were checked. A block is
//! checked once in the life of a process: a cold search pays for what it touches and for nothing else, and since no
//! wrong byte passes, no code behind this can be led astray by one.
//!
//! A file that changes after it was opened is noticed by its length and time of change ([`CheckedFiles::unchanged`]).

use std::collections::HashMap;
use std::fmt;
use std::fs::Metadata;
use std::io::{self, BufWriter, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::SystemTime;

use tantivy::HasLen;
use tantivy::directory::error::{DeleteError, LockError, OpenDirectoryError, OpenReadError, OpenWriteError};
use tantivy::directory::{
    AntiCallToken, Directory, DirectoryLock, FileHandle, Lock, MmapDirectory, OwnedBytes, TerminatingWrite,
    WatchCallback, WatchHandle, WritePtr,
};
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

/// How many bytes one checksum covers: reading a short list of postings should not mean hashing much more than it,
/// and eight bytes in 16 KiB cost nothing.
const BLOCK_BYTES: usize = 16 * 1024;

/// Ends every file that carries a table: the first word says what it is, with the version of this layout.
const MAGIC: &[u8; 8] = b"hblocks1";

/// The magic word, the length of the data, and the checksum over table and length.
const TRAILER_BYTES: usize = 24;

/// Starts the last line of the small files that are replaced as a whole, before 16 hex digits.
const SEAL: &[u8] = b"\n#xxh3:";

/// A folder of files that are checked as they are read. Clones share what is known about the files.
#[derive(Clone)]
pub(crate) struct CheckedFiles {
    inner: MmapDirectory,
    shared: Arc<Shared>,
}

struct Shared {
    folder: PathBuf,
    damage: OnceLock<String>,
    open: Mutex<HashMap<PathBuf, (Fingerprint, Weak<CheckedFile>)>>,
}

/// What of a file changes when somebody writes to it.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Fingerprint {
    bytes: u64,
    modified: Option<SystemTime>,
}

impl Fingerprint {
    fn of(metadata: &Metadata) -> Fingerprint {
        Fingerprint { bytes: metadata.len(), modified: metadata.modified().ok() }
    }
}

impl CheckedFiles {
    /// Opens a folder that is there.
    pub(crate) fn open(folder: &Path) -> Result<CheckedFiles, OpenDirectoryError> {
        let shared = Shared { folder: folder.to_owned(), damage: OnceLock::new(), open: Mutex::default() };
        Ok(CheckedFiles { inner: MmapDirectory::open(folder)?, shared: Arc::new(shared) })
    }

    /// What was found damaged first, if anything was.
    pub(crate) fn damage(&self) -> Option<&str> {
        self.shared.damage.get().map(String::as_str)
    }

    /// Looks whether a file in use was changed by somebody else since it was opened, which counts as damage.
    ///
    /// A file that was removed does no harm: what is mapped stays readable.
    pub(crate) fn unchanged(&self) -> bool {
        let mut open = self.shared.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|_, (_, file)| file.strong_count() > 0);
        for (path, (before, _)) in open.iter() {
            if std::fs::metadata(self.shared.folder.join(path)).is_ok_and(|now| Fingerprint::of(&now) != *before) {
                self.shared.report(path, "it was changed while it was in use");
            }
        }
        self.damage().is_none()
    }
}

impl Shared {
    /// Notes damage and makes an error of it.
    fn report(&self, path: &Path, reason: &str) -> io::Error {
        let what = format!("{}: {reason}", path.display());
        let error = io::Error::new(io::ErrorKind::InvalidData, what.clone());
        let _ = self.damage.set(what);
        error
    }

    fn report_read(&self, path: &Path, reason: &str) -> OpenReadError {
        OpenReadError::IoError { io_error: Arc::new(self.report(path, reason)), filepath: path.to_owned() }
    }
}

impl fmt::Debug for CheckedFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CheckedFiles").field(&self.shared.folder).finish()
    }
}

impl Directory for CheckedFiles {
    fn get_file_handle(&self, path: &Path) -> Result<Arc<dyn FileHandle>, OpenReadError> {
        let metadata = std::fs::metadata(self.shared.folder.join(path)).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => OpenReadError::FileDoesNotExist(path.to_owned()),
            _ => OpenReadError::IoError { io_error: Arc::new(error), filepath: path.to_owned() },
        })?;
        let fingerprint = Fingerprint::of(&metadata);
        let mut open = self.shared.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((before, file)) = open.get(path)
            && *before == fingerprint
            && let Some(file) = file.upgrade()
        {
            return Ok(file);
        }
        let mapped = self.inner.get_file_handle(path)?;
        let file = CheckedFile::open(path, mapped, Arc::clone(&self.shared))
            .map_err(|reason| self.shared.report_read(path, reason))?;
        let file = Arc::new(file);
        open.insert(path.to_owned(), (fingerprint, Arc::downgrade(&file)));
        Ok(file)
    }

    fn delete(&self, path: &Path) -> Result<(), DeleteError> {
        self.inner.delete(path)
    }

    fn exists(&self, path: &Path) -> Result<bool, OpenReadError> {
        self.inner.exists(path)
    }

    fn open_write(&self, path: &Path) -> Result<WritePtr, OpenWriteError> {
        Ok(BufWriter::new(Box::new(SummedWriter::new(self.inner.open_write(path)?))))
    }

    fn atomic_read(&self, path: &Path) -> Result<Vec<u8>, OpenReadError> {
        let mut content = self.inner.atomic_read(path)?;
        let Some(bytes) = unsealed(&content) else {
            return Err(self.shared.report_read(path, "it does not fit its checksum"));
        };
        content.truncate(bytes);
        Ok(content)
    }

    fn atomic_write(&self, path: &Path, data: &[u8]) -> io::Result<()> {
        let mut content = Vec::with_capacity(data.len() + SEAL.len() + 16);
        content.extend_from_slice(data);
        content.extend_from_slice(SEAL);
        write!(content, "{:016x}", xxh3_64(data))?;
        self.inner.atomic_write(path, &content)
    }

    fn sync_directory(&self) -> io::Result<()> {
        self.inner.sync_directory()
    }

    fn acquire_lock(&self, lock: &Lock) -> Result<DirectoryLock, LockError> {
        self.inner.acquire_lock(lock)
    }

    fn watch(&self, callback: WatchCallback) -> tantivy::Result<WatchHandle> {
        self.inner.watch(callback)
    }
}

/// How many bytes of a sealed file are its content; `None` when the seal does not fit.
fn unsealed(content: &[u8]) -> Option<usize> {
    let bytes = content.len().checked_sub(SEAL.len() + 16)?;
    let (data, seal) = content.split_at(bytes);
    let digits = seal.strip_prefix(SEAL)?;
    (digits == format!("{:016x}", xxh3_64(data)).as_bytes()).then_some(bytes)
}

/// A mapped file whose blocks are checked before their bytes are given out.
struct CheckedFile {
    path: PathBuf,
    mapped: Arc<dyn FileHandle>,
    bytes: usize,
    sums: Vec<u64>,
    /// One bit for each block that fitted its checksum.
    checked: Vec<AtomicU64>,
    shared: Arc<Shared>,
}

impl CheckedFile {
    /// Reads the trailer and the table, which are checked here.
    fn open(path: &Path, mapped: Arc<dyn FileHandle>, shared: Arc<Shared>) -> Result<CheckedFile, &'static str> {
        const CUT: &str = "it is cut short or damaged at its end";
        let total = mapped.len();
        let table_end = total.checked_sub(TRAILER_BYTES).ok_or(CUT)?;
        let trailer = mapped.read_bytes(table_end..total).map_err(|_| CUT)?;
        let word = |at: usize| trailer[at..at + 8].try_into().map(u64::from_le_bytes).map_err(|_| CUT);
        if &trailer[..8] != MAGIC {
            return Err(CUT);
        }
        let bytes = usize::try_from(word(8)?).map_err(|_| CUT)?;
        let blocks = bytes.div_ceil(BLOCK_BYTES);
        if bytes > table_end || blocks.checked_mul(8).and_then(|table| table.checked_add(bytes)) != Some(table_end) {
            return Err(CUT);
        }
        let table = mapped.read_bytes(bytes..table_end).map_err(|_| CUT)?;
        if table_sum(&table, bytes) != word(16)? {
            return Err("the table of its checksums is damaged");
        }
        let sums = table.chunks_exact(8).map(|sum| u64::from_le_bytes(sum.try_into().unwrap_or_default())).collect();
        let checked = (0..blocks.div_ceil(64)).map(|_| AtomicU64::new(0)).collect();
        Ok(CheckedFile { path: path.to_owned(), mapped, bytes, sums, checked, shared })
    }

    fn check(&self, range: &Range<usize>) -> io::Result<()> {
        if range.start > range.end || range.end > self.bytes {
            return Err(self.shared.report(&self.path, "something points past its end"));
        }
        if range.is_empty() {
            return Ok(());
        }
        for block in range.start / BLOCK_BYTES..=(range.end - 1) / BLOCK_BYTES {
            let (word, bit) = (&self.checked[block / 64], 1 << (block % 64));
            if word.load(Ordering::Relaxed) & bit != 0 {
                continue;
            }
            let start = block * BLOCK_BYTES;
            let bytes = self.mapped.read_bytes(start..self.bytes.min(start + BLOCK_BYTES))?;
            if xxh3_64(&bytes) != self.sums[block] {
                return Err(self.shared.report(&self.path, "a block does not fit its checksum"));
            }
            word.fetch_or(bit, Ordering::Relaxed);
        }
        Ok(())
    }
}

fn table_sum(table: &[u8], bytes: usize) -> u64 {
    let mut hash = Xxh3::new();
    hash.update(table);
    hash.update(&(bytes as u64).to_le_bytes());
    hash.digest()
}

impl FileHandle for CheckedFile {
    fn read_bytes(&self, range: Range<usize>) -> io::Result<OwnedBytes> {
        self.check(&range)?;
        self.mapped.read_bytes(range)
    }
}

impl HasLen for CheckedFile {
    fn len(&self) -> usize {
        self.bytes
    }
}

impl fmt::Debug for CheckedFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CheckedFile").field("path", &self.path).field("bytes", &self.bytes).finish()
    }
}

/// Writes a file and, at its end, the table of its blocks' checksums.
struct SummedWriter {
    /// `None` once the file is ended.
    file: Option<WritePtr>,
    bytes: usize,
    block: Xxh3,
    table: Vec<u8>,
}

impl SummedWriter {
    fn new(file: WritePtr) -> SummedWriter {
        SummedWriter { file: Some(file), bytes: 0, block: Xxh3::new(), table: Vec::new() }
    }

    fn end_block(&mut self) {
        self.table.extend_from_slice(&self.block.digest().to_le_bytes());
        self.block.reset();
    }

    fn file(&mut self) -> io::Result<&mut WritePtr> {
        self.file.as_mut().ok_or_else(|| io::Error::other("the file was ended already"))
    }
}

impl Write for SummedWriter {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let written = self.file()?.write(buffer)?;
        let mut rest = &buffer[..written];
        while !rest.is_empty() {
            let room = BLOCK_BYTES - self.bytes % BLOCK_BYTES;
            let (now, later) = rest.split_at(room.min(rest.len()));
            self.block.update(now);
            self.bytes += now.len();
            if self.bytes.is_multiple_of(BLOCK_BYTES) {
                self.end_block();
            }
            rest = later;
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file()?.flush()
    }
}

impl TerminatingWrite for SummedWriter {
    fn terminate_ref(&mut self, _: AntiCallToken) -> io::Result<()> {
        if !self.bytes.is_multiple_of(BLOCK_BYTES) {
            self.end_block();
        }
        let sum = table_sum(&self.table, self.bytes);
        let mut file = self.file.take().ok_or_else(|| io::Error::other("the file was ended already"))?;
        file.write_all(&self.table)?;
        file.write_all(MAGIC)?;
        file.write_all(&(self.bytes as u64).to_le_bytes())?;
        file.write_all(&sum.to_le_bytes())?;
        file.terminate()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(bytes: usize) -> (tempfile::TempDir, Vec<u8>) {
        let folder = tempfile::tempdir().unwrap();
        let content: Vec<u8> = (0..bytes).map(|i| (i * 31 % 251) as u8).collect();
        let mut file = CheckedFiles::open(folder.path()).unwrap().open_write(Path::new("a.idx")).unwrap();
        file.write_all(&content).unwrap();
        file.terminate().unwrap();
        (folder, content)
    }

    fn read(folder: &Path) -> Result<Vec<u8>, String> {
        let files = CheckedFiles::open(folder).unwrap();
        let file = files.open_read(Path::new("a.idx")).map_err(|e| e.to_string())?;
        let bytes = file.read_bytes().map_err(|e| e.to_string())?;
        assert!(files.damage().is_none());
        Ok(bytes.to_vec())
    }

    #[test]
    fn what_is_written_is_read() {
        for bytes in [0, 1, BLOCK_BYTES - 1, BLOCK_BYTES, BLOCK_BYTES + 1, 5 * BLOCK_BYTES + 77] {
            let (folder, content) = written(bytes);
            assert_eq!(read(folder.path()).unwrap(), content);
        }
    }

    #[test]
    fn no_flipped_bit_and_no_lost_end_passes() {
        let (folder, content) = written(BLOCK_BYTES + 100);
        let path = folder.path().join("a.idx");
        let whole = std::fs::read(&path).unwrap();
        let places = (0..whole.len()).step_by(997).chain(content.len()..whole.len());
        for at in places {
            let mut damaged = whole.clone();
            damaged[at] ^= 1 << (at % 8);
            std::fs::write(&path, &damaged).unwrap();
            assert!(read(folder.path()).is_err(), "a flipped bit at {at} passed");
        }
        for bytes in [0, 1, TRAILER_BYTES, BLOCK_BYTES, whole.len() - 1] {
            std::fs::write(&path, &whole[..bytes]).unwrap();
            assert!(read(folder.path()).is_err(), "the first {bytes} bytes passed");
        }
    }

    #[test]
    fn a_damaged_block_does_not_keep_the_others_from_being_read() {
        let (folder, content) = written(3 * BLOCK_BYTES);
        let path = folder.path().join("a.idx");
        let mut damaged = std::fs::read(&path).unwrap();
        damaged[BLOCK_BYTES + 5] ^= 4;
        std::fs::write(&path, damaged).unwrap();
        let files = CheckedFiles::open(folder.path()).unwrap();
        let file = files.open_read(Path::new("a.idx")).unwrap();
        assert_eq!(file.read_bytes_slice(0..100).unwrap().as_slice(), &content[..100]);
        assert!(file.read_bytes_slice(BLOCK_BYTES - 1..BLOCK_BYTES + 1).is_err());
        assert!(files.damage().unwrap().starts_with("a.idx"));
    }

    #[test]
    fn a_small_file_is_sealed() {
        let folder = tempfile::tempdir().unwrap();
        let files = CheckedFiles::open(folder.path()).unwrap();
        let path = Path::new("meta.json");
        files.atomic_write(path, b"{}").unwrap();
        assert_eq!(files.atomic_read(path).unwrap(), b"{}");
        let whole = std::fs::read(folder.path().join(path)).unwrap();
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 1;
            std::fs::write(folder.path().join(path), &damaged).unwrap();
            assert!(files.atomic_read(path).is_err());
        }
    }

    #[test]
    fn a_change_from_outside_is_noticed() {
        let (folder, _) = written(100);
        let files = CheckedFiles::open(folder.path()).unwrap();
        let _file = files.open_read(Path::new("a.idx")).unwrap();
        assert!(files.unchanged());
        let path = folder.path().join("a.idx");
        let mut longer = std::fs::read(&path).unwrap();
        longer.push(0);
        std::fs::write(&path, longer).unwrap();
        assert!(!files.unchanged());
    }
}

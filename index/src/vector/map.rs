//! Read-only mappings of files that only grow.
//!
//! Safety: a mapping is sound as long as nobody changes or cuts off the mapped bytes. The index
//! never writes a byte that was committed before, appends behind the mapped length, cuts off only
//! what was never committed, and replaces files by renaming a folder; a mapping covers committed
//! bytes only. Another program that overwrites the files of a running one is outside of this: like
//! with any mapped file it may be told so by a signal. The bytes are checked before they are used
//! (see [`super::rows`]) and hold plain numbers, of which any value is valid.
#![allow(unsafe_code)]

use super::error::{Error, Result};
use memmap2::{Mmap, MmapMut, MmapOptions};
use std::fs::File;
use std::path::Path;

/// The first bytes of a file, in memory when touched.
#[derive(Debug)]
pub(crate) struct Mapping(Option<Mmap>);

impl Mapping {
    /// Maps the first `length` bytes of `file`; [`Error::Truncated`](super::Error::Truncated) if it has fewer.
    pub(crate) fn new(file: &File, path: &Path, length: u64) -> Result<Mapping> {
        let io = |source| Error::Io { doing: "map", path: path.to_owned(), source };
        let found = file.metadata().map_err(io)?.len();
        if found < length {
            return Err(Error::Truncated { path: path.to_owned(), expected: length, found });
        }
        if length == 0 {
            return Ok(Mapping(None));
        }
        let length = usize::try_from(length)
            .map_err(|_| Error::Damaged { path: path.to_owned(), what: format!("a length of {length} bytes") })?;
        // SAFETY: see the head of this file; the length was checked above.
        let map = unsafe { MmapOptions::new().len(length).map(file) }.map_err(io)?;
        Ok(Mapping(Some(map)))
    }

    /// A mapping of nothing.
    pub(crate) fn none() -> Mapping {
        Mapping(None)
    }

    /// The mapped bytes.
    pub(crate) fn bytes(&self) -> &[u8] {
        self.0.as_deref().unwrap_or_default()
    }

    /// The mapped bytes as signed numbers.
    pub(crate) fn signed(&self) -> &[i8] {
        let bytes = self.bytes();
        // SAFETY: i8 and u8 have the same size, alignment and valid values.
        unsafe { std::slice::from_raw_parts(bytes.as_ptr().cast(), bytes.len()) }
    }
}

/// Zeros in memory, in large pages where the system has them: a scan of many megabytes otherwise
/// spends a part of its time on looking up where they lie.
pub(crate) fn memory(length: usize) -> Result<MmapMut> {
    let io = |source| Error::Io { doing: "get memory", path: Path::new("memory").to_owned(), source };
    let map = MmapMut::map_anon(length).map_err(io)?;
    #[cfg(target_os = "linux")]
    {
        // A wish: without it all is the same, only slower.
        let _ = map.advise(memmap2::Advice::HugePage);
    }
    Ok(map)
}

/// Signed numbers as the bytes of a file.
pub(crate) fn unsigned(numbers: &[i8]) -> &[u8] {
    // SAFETY: i8 and u8 have the same size, alignment and valid values.
    unsafe { std::slice::from_raw_parts(numbers.as_ptr().cast(), numbers.len()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn a_mapping_reads_what_reading_the_file_reads() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let bytes: Vec<u8> = (0..=255).collect();
        file.write_all(&bytes).unwrap();
        let map = Mapping::new(file.as_file(), file.path(), 200).unwrap();
        assert_eq!(map.bytes(), &std::fs::read(file.path()).unwrap()[..200]);
        let naive: Vec<i8> = bytes[..200].iter().map(|&b| b as i8).collect();
        assert_eq!(map.signed(), naive);
        assert_eq!(unsigned(map.signed()), map.bytes());
    }

    #[test]
    fn a_file_that_is_too_short_is_not_mapped() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(Mapping::new(file.as_file(), file.path(), 0).unwrap().bytes().is_empty());
        assert!(matches!(
            Mapping::new(file.as_file(), file.path(), 1),
            Err(Error::Truncated { expected: 1, found: 0, .. })
        ));
    }
}

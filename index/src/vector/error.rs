//! What can go wrong with vector files, and which of it a rebuild cures.

use std::io;
use std::path::PathBuf;

/// Result of a vector operation.
pub type Result<T> = std::result::Result<T, Error>;

/// A failure of the vector index or of the embedding cache.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no index in this folder.
    #[error("no vector index in {}", folder.display())]
    Missing {
        /// The folder that was looked into.
        folder: PathBuf,
    },
    /// The files have another format than this program writes; `found` may be older or newer.
    #[error("{} has format {found}, this program reads {supported}", path.display())]
    Format {
        /// The file that names its format.
        path: PathBuf,
        /// The format it names.
        found: u32,
        /// The only format that is read.
        supported: u32,
    },
    /// The files hold vectors of another space: their neighbours would mean nothing.
    #[error("{} holds vectors of {found}, wanted {wanted}", path.display())]
    Foreign {
        /// The file that names its space.
        path: PathBuf,
        /// The embedder and dimensions of the files.
        found: String,
        /// The embedder and dimensions that were asked for.
        wanted: String,
    },
    /// A file is shorter than what was committed to it.
    #[error("{} is cut off: {found} bytes of {expected}", path.display())]
    Truncated {
        /// The short file.
        path: PathBuf,
        /// Committed bytes.
        expected: u64,
        /// Bytes that are there.
        found: u64,
    },
    /// A checksum does not fit, or a value contradicts another.
    #[error("{} is damaged: {what}", path.display())]
    Damaged {
        /// The damaged file.
        path: PathBuf,
        /// Which part of it.
        what: String,
    },
    /// A vector of the wrong length was passed.
    #[error("a vector of {found} dimensions does not fit an index of {expected}")]
    Dimensions {
        /// Length of the vector.
        found: usize,
        /// Dimensions of the index.
        expected: usize,
    },
    /// A vector without a direction: zero, or with a component that is not finite.
    #[error("a vector without a direction cannot be indexed or searched")]
    NoDirection,
    /// The index holds as many rows or keys as it can number.
    #[error("the vector index is full at {limit} rows or keys")]
    Full {
        /// The limit that was reached.
        limit: usize,
    },
    /// A rebuilt index does not follow from the one that should adopt it.
    #[error("the rebuilt index comes from another snapshot")]
    OtherSnapshot,
    /// The operating system refused.
    #[error("cannot {doing} {}", path.display())]
    Io {
        /// What was attempted, as a verb.
        doing: &'static str,
        /// On which path.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
}

impl Error {
    /// Whether deleting the files and indexing again from the cached embeddings cures this.
    ///
    /// True for files that are missing, of another format or space, cut off or damaged; false for
    /// a wrong argument, a full index and for what the operating system refuses.
    pub fn wants_rebuild(&self) -> bool {
        matches!(
            self,
            Error::Missing { .. }
                | Error::Format { .. }
                | Error::Foreign { .. }
                | Error::Truncated { .. }
                | Error::Damaged { .. }
        )
    }
}

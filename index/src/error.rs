//! The errors of this crate.

use std::path::PathBuf;

/// Shorthand for results of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can go wrong with an index. None of it touches the store: an index can be built anew at any time.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The store failed while an index was reading from it.
    #[error(transparent)]
    Store(#[from] harness_memory::Error),

    /// A file or folder of an index could not be read or written.
    #[error("cannot {doing} {}", path.display())]
    Io {
        /// What was being done.
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's own account.
        source: std::io::Error,
    },

    /// The full-text engine failed.
    #[error("cannot {doing} the text index")]
    Text {
        /// What was being done.
        doing: &'static str,
        /// The engine's own account.
        source: tantivy::TantivyError,
    },

    /// The vector index or the embedding cache failed.
    #[error(transparent)]
    Vector(#[from] crate::vector::Error),

    /// The embedder failed.
    #[error("cannot embed")]
    Embed(#[from] crate::embed::Error),

    /// An index of meaning that was opened without an embedder was asked for what needs one.
    #[error("this vector index was opened for searching only, with vectors made elsewhere")]
    NoEmbedder,

    /// An index does not hold what was written into it, and must be built anew.
    #[error("the {index} index is damaged: {reason}")]
    Damaged {
        /// Which index.
        index: &'static str,
        /// What does not fit, naming the file.
        reason: String,
    },

    /// Another process is writing to the indexes.
    #[error("another process (pid {}) is indexing: wait for it, or stop it", pid.map_or("unknown".to_owned(), |p| p.to_string()))]
    Followed {
        /// The process, where it is known.
        pid: Option<u32>,
    },

    /// The caller asked to stop before the work was done. What was done so far is kept.
    #[error("stopped before the index had caught up")]
    Stopped,
}

impl Error {
    /// Wraps an I/O error with what was being done to which file.
    pub(crate) fn io(doing: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Error {
        move |source| Error::Io { doing, path: path.into(), source }
    }

    /// Wraps an error of the full-text engine with what was being done.
    pub(crate) fn text(doing: &'static str) -> impl FnOnce(tantivy::TantivyError) -> Error {
        move |source| Error::Text { doing, source }
    }
}

//! What can go wrong with a model and its files.

use std::path::PathBuf;

/// Result of everything about embedders.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a model cannot be had, or a text not be embedded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused.
    #[error("cannot {doing} {path}")]
    Io {
        /// What was being done: `read`, `write`.
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A file that a model needs is not there.
    #[error("{path} holds no {file}")]
    Missing {
        /// The folder or archive.
        path: PathBuf,
        /// The file that was looked for.
        file: String,
    },
    /// A file is cut short, damaged, or not what its name says.
    #[error("{path} is damaged or not what it should be: {reason}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        reason: String,
    },
    /// A file is not JSON of the expected form.
    #[error("{path} does not decode")]
    Json {
        /// The file.
        path: PathBuf,
        /// Where, and what was expected.
        source: serde_json::Error,
    },
    /// The files are sound, but of a kind that this encoder does not compute.
    #[error("{path} asks for something this encoder does not have: {what}")]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// The part that is missing here.
        what: String,
    },
    /// A file's content is not the one that was pinned or verified before.
    #[error("{path} has SHA-256 {found}, expected {expected}")]
    Checksum {
        /// The file.
        path: PathBuf,
        /// The pinned or recorded sum, in hex.
        expected: String,
        /// The sum of what is there, in hex.
        found: String,
    },
    /// A library that computes models is missing, too old, or refuses a model.
    #[error("the library {path} cannot be used: {reason}")]
    Library {
        /// Where it is, or was looked for.
        path: PathBuf,
        /// What it, or the system, says.
        reason: String,
    },
    /// A model's numbers led to a vector without a direction (not finite, or zero).
    #[error("the model {model} gave no usable vector for a text of {bytes} bytes")]
    NoVector {
        /// The embedder's id.
        model: String,
        /// Length of the text.
        bytes: usize,
    },
}

impl Error {
    pub(crate) fn malformed(path: &std::path::Path, reason: impl Into<String>) -> Self {
        Self::Malformed { path: path.to_owned(), reason: reason.into() }
    }

    pub(crate) fn unsupported(path: &std::path::Path, what: impl Into<String>) -> Self {
        Self::Unsupported { path: path.to_owned(), what: what.into() }
    }
}

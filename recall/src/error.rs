//! The errors of this crate.

/// Shorthand for results of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can go wrong in the engine.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The store failed. Without it there is no answer.
    #[error(transparent)]
    Store(#[from] harness_memory::Error),

    /// The query holds nothing to search for.
    #[error("the query is empty: say what to search for")]
    EmptyQuery,

    /// The caller stopped long work through its progress. What was done is kept.
    #[error("stopped before the end; what was done is kept")]
    Stopped,

    /// Work on an index failed; the store is not touched.
    #[error("cannot {doing} the index")]
    Index {
        /// What was being done.
        doing: &'static str,
        /// The cause.
        source: harness_index::Error,
    },

    /// Recall by meaning was asked for, and there is no embedding model.
    #[error("recall by meaning is off, for there is no embedding model: `harness setup` gets one")]
    NoModel,

    /// Recall by meaning was asked for, and no process holds the model, nor may this one load it.
    #[error("no process holds the embedding model: `harness serve` or `harness index follow` does")]
    NoHolder,

    /// The process that holds the model did not give the question's vector in time.
    #[error("the question's vector did not come in time: try again")]
    Late,

    /// There is an embedding model, and it cannot be used.
    #[error("{reason}: `harness setup` gets it anew")]
    Model {
        /// Which, and why.
        reason: String,
    },

    /// A reranker was asked for, and it cannot be used.
    #[error("cannot use the reranker in {}: {reason}", folder.display())]
    Reranker {
        /// The folder that was named.
        folder: std::path::PathBuf,
        /// Why.
        reason: String,
    },

    /// Another process is following, and holds the lock that this work needs.
    #[error("another process (pid {}) is indexing: wait for it, or stop it", pid.map_or("unknown".to_owned(), |p| p.to_string()))]
    Followed {
        /// The process, where it is known.
        pid: Option<u32>,
    },
}

//! The memory of this project behind the traits of harness-rs 0.0.66: `Memory`, `MemoryDelete`, `RecallStore`.
//!
//! An agent built on harness-rs keeps its loop, its tools and its guides, and gets recall that reads every language,
//! ranks what worked before what failed, and survives `kill -9`. The version is pinned: each 0.0.x of it breaks.
//!
//! - [`Facts`]: curated facts, as notes in one scope
//! - [`Transcripts`]: raw sessions, one scope for each owner

mod facts;
mod transcripts;

pub use facts::Facts;
pub use transcripts::Transcripts;

//! The recall engine: a store, the indexes that follow it, and the answers drawn from both.
//!
//! - [`engine`]: one home opened: recall, catching up, index upkeep
//! - `answer`: from a query to an answer
//! - `context`: packing an answer into a prompt; [`tokens`]: how much room that takes
//! - [`local`]: the [`harness_memory::Memory`] handle over an engine of this process

mod answer;
mod context;
pub mod engine;
pub mod error;
pub mod local;
pub mod tokens;

pub use engine::{Engine, IndexStatus, Progress};
pub use error::{Error, Result};
pub use local::LocalMemory;

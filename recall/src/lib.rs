//! The recall engine: a store, the indexes that follow it, and the answers drawn from both.
//!
//! - [`engine`]: one home opened: recall, catching up, index upkeep
//! - [`local`]: the [`harness_memory::Memory`] handle over an engine of this process

pub mod engine;
pub mod error;
pub mod local;

pub use engine::{Engine, IndexStatus, Progress};
pub use error::{Error, Result};
pub use local::LocalMemory;

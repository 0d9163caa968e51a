//! The [`harness_memory::Memory`] handle over an engine of this process.

use std::sync::Arc;

use harness_memory::{ReadSet, Scope};

use crate::engine::Engine;

/// A memory bound to what it may read and where it may write.
#[expect(dead_code, reason = "the handle's methods come with the engine")]
pub struct LocalMemory {
    engine: Arc<Engine>,
    reads: ReadSet,
    writes: Scope,
}

//! Learning from how runs end: recording, injecting, crediting, and the thin agent loop.
//!
//! Deliberately empty as yet: an episode is recorded by `harness episode record` or drawn from an imported
//! session by [`harness_memory::import::fold`], and the context for a task is packed by the recall engine.

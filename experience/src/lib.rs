//! Learning from how runs end: recording, injecting, crediting, and the thin agent loop.
//!
//! Needs a [`harness_memory::Memory`] and nothing else, so that all of it runs over the local engine, over HTTP, or
//! over a map in a test.
//!
//! - [`event`]: what a run tells; [`recorder`]: from events to an episode; [`marked`]: notes and lessons in it
//! - [`verdict`]: how a run ended, and what says so
//! - [`inject`]: what helped before, given to a run and noted as given
//! - [`credit`]: what runs that were given a record say about it; [`report`]: whether memory helps
//! - [`agent`]: the thin loop; [`model`]: what it asks; [`tool`]: what it can do; [`output`]: answers bound to a schema
//! - [`runner`]: other agents as subprocesses

pub mod agent;
pub mod credit;
pub mod event;
pub mod inject;
pub mod marked;
pub mod model;
pub mod output;
mod process;
pub mod recorder;
pub mod report;
pub mod runner;
pub mod tool;
pub mod verdict;

pub use credit::{Credit, Standing, State};
pub use event::{RunEvent, What};
pub use inject::{Inject, Injected};
pub use marked::Marked;
pub use recorder::{Kept, Recorded, Recorder};
pub use report::Report;
pub use verdict::{Check, Verdict};

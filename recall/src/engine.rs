//! One home opened: recall, catching up, index upkeep.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use harness_memory::store::Finding;
use harness_memory::{Answer, Intake, Position, Query, ReadSet, SqliteStore};
use serde::Serialize;

use crate::error::Result;

/// How far long work has come, and whether to go on: called with units done, units in all, and answers
/// whether to continue.
pub type Progress<'a> = &'a mut dyn FnMut(u64, u64) -> bool;

/// A home: its store, and the indexes under `index/`.
///
/// Opening one creates what is missing and loads nothing that a call does not need.
/// It is `Send + Sync`; calls block.
pub struct Engine {
    home: PathBuf,
    store: Arc<SqliteStore>,
    intake: Intake,
}

/// What an index says of itself.
#[derive(Clone, Debug, Serialize)]
pub struct IndexStatus {
    /// `text`, `vector`.
    pub name: &'static str,
    /// How far it has followed; `None` when it is empty or must be rebuilt.
    pub applied: Option<Position>,
    /// How many changes it is behind the store.
    pub lag: u64,
    /// How many live documents it holds.
    pub documents: u64,
    /// Its size on the disk, in bytes.
    pub bytes: u64,
    /// `current`, `behind`, `missing`, `rebuild: …` with the reason.
    pub state: String,
}

impl Engine {
    /// Opens the home in this folder, and makes it when it is not there.
    pub fn open(home: &Path) -> Result<Engine> {
        let _ = home;
        unimplemented!()
    }

    /// The folder.
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// The ground state.
    pub fn store(&self) -> &Arc<SqliteStore> {
        &self.store
    }

    /// The way to it.
    pub fn intake(&self) -> &Intake {
        &self.intake
    }

    /// The records that answer a query within a read set, best first.
    pub fn recall(&self, query: &Query, reads: &ReadSet) -> Result<Answer> {
        let _ = (query, reads);
        unimplemented!()
    }

    /// Whether the tail is long enough that a follower should be started (DESIGN §2, "Between processes").
    pub fn tail_is_long(&self) -> Result<bool> {
        unimplemented!()
    }

    /// Brings all indexes to the end of the log, in this process. When another process is following,
    /// waits until it has done so.
    pub fn catch_up(&self, progress: Progress) -> Result<()> {
        let _ = progress;
        unimplemented!()
    }

    /// Follows the log until there was nothing to do for `idle`, or `stop` is set. Takes the follower's
    /// lock and answers `false` at once when another process holds it.
    pub fn follow(&self, idle: Duration, stop: &AtomicBool) -> Result<bool> {
        let _ = (idle, stop);
        unimplemented!()
    }

    /// What each index says of itself.
    pub fn index_status(&self) -> Result<Vec<IndexStatus>> {
        unimplemented!()
    }

    /// Builds every index anew from the store; the old one answers until the new one stands.
    pub fn rebuild(&self, progress: Progress) -> Result<()> {
        let _ = progress;
        unimplemented!()
    }

    /// Compares every index with the store and reports what does not fit.
    pub fn verify(&self, progress: Progress) -> Result<Vec<Finding>> {
        let _ = progress;
        unimplemented!()
    }

    /// The position where the store's log ends.
    pub fn head(&self) -> Result<Position> {
        Ok(self.store.head()?)
    }
}

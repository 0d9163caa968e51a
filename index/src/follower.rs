//! The one process at a time that brings the indexes to the end of the log.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use harness_memory::change::ChangeKind;
use harness_memory::{Lookup, Seq, Store};
use jiff::Timestamp;

use crate::catch_up::{belongs, catch_up};
use crate::error::{Error, Result};
use crate::index::{Index, State};

/// The file whose lock the follower holds, in the folder of the indexes.
const LOCK: &str = "follow.lock";

/// How often the end of the log is looked at while things happen.
const POLL_BUSY: Duration = Duration::from_millis(50);

/// How often it is looked at when nothing happened for a while.
const POLL_QUIET: Duration = Duration::from_millis(500);

/// After this long without a change it looks less often.
const QUIET_AFTER: Duration = Duration::from_secs(2);

/// Changes are left to gather for this long, because a commit costs about 100 ms and a search reads what is not
/// committed by itself.
const GATHER: Duration = Duration::from_millis(1_000);

/// So many changes are not left to gather: of a kilobyte each they are the text that a search reads by itself, and it
/// reads four times as many.
const GATHER_CHANGES_MAX: u64 = 1_024;

/// How often, while it waits, the texts of what was forgotten for good are removed.
const PURGE_EVERY: Duration = Duration::from_secs(3_600);

/// A tail of more changes than this is worth a process of its own: searching it takes each process longer than
/// the index takes for everything else.
pub const TAIL_CHANGES_LONG: u64 = 256;

/// So is one of more text.
pub const TAIL_BYTES_LONG: usize = 64 << 10;

/// The right to write to the indexes of a home. The system takes it back when its holder ends, however it ends.
#[derive(Debug)]
pub struct FollowLock {
    file: File,
    path: PathBuf,
}

impl FollowLock {
    /// Takes the lock of the indexes in the folder `root`; `None` when another process (or another holder in this
    /// one) has it.
    pub fn try_take(root: &Path) -> Result<Option<FollowLock>> {
        std::fs::create_dir_all(root).map_err(Error::io("make the folder", root))?;
        let path = root.join(LOCK);
        let mut file = open(&path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(source)) => return Err(Error::io("lock", path)(source)),
        }
        let write = |file: &mut File| {
            file.set_len(0)?;
            file.seek(SeekFrom::Start(0))?;
            file.write_all(std::process::id().to_string().as_bytes())
        };
        // Only for people and messages: the lock itself is the system's.
        if let Err(error) = write(&mut file) {
            tracing::warn!(%error, "the follower's number was not written");
        }
        Ok(Some(FollowLock { file, path }))
    }

    /// Whether the file that is locked is still the one in the folder. Once it is gone, or another stands in its place,
    /// the lock keeps nobody from anything: the home was removed, or its indexes were.
    pub fn stands(&self) -> bool {
        #[cfg(unix)]
        {
            use std::os::unix::fs::MetadataExt;
            let place = |facts: std::fs::Metadata| (facts.dev(), facts.ino());
            // What cannot be looked at for another reason may be there.
            match (self.file.metadata(), std::fs::metadata(&self.path)) {
                (Ok(held), Ok(found)) => place(held) == place(found),
                (_, Err(error)) => error.kind() != std::io::ErrorKind::NotFound,
                (Err(_), Ok(_)) => true,
            }
        }
        #[cfg(not(unix))]
        {
            self.file.metadata().is_err() || self.path.exists()
        }
    }

    /// Takes the lock, waiting at most `patience` for another holder.
    pub fn take(root: &Path, patience: Duration) -> Result<FollowLock> {
        let begin = Instant::now();
        loop {
            match FollowLock::try_take(root)? {
                Some(lock) => return Ok(lock),
                None if begin.elapsed() >= patience => return Err(Error::Followed { pid: follower(root) }),
                None => thread::sleep(POLL_BUSY),
            }
        }
    }
}

/// The process that follows, if one does and its number can be read.
pub fn follower(root: &Path) -> Option<u32> {
    let mut file = OpenOptions::new().read(true).open(root.join(LOCK)).ok()?;
    match file.try_lock_shared() {
        Err(TryLockError::WouldBlock) => {
            let mut pid = String::new();
            file.read_to_string(&mut pid).ok()?;
            pid.trim().parse().ok()
        }
        _ => None,
    }
}

/// Whether what an index has not applied is so much that somebody should follow: more than [`TAIL_CHANGES_LONG`]
/// changes or [`TAIL_BYTES_LONG`] of text, or anything where the index cannot be used.
pub fn should_follow(store: &dyn Store, index: &dyn Index) -> Result<bool> {
    let status = index.status()?;
    if matches!(status.state, State::Damaged { .. } | State::Replaced { .. }) {
        return Ok(true);
    }
    let head = store.head()?;
    let applied = match status.applied {
        Some(position) if belongs(store, &position)? => position.seq,
        Some(_) => return Ok(true),
        None => 0,
    };
    if head.seq - applied > TAIL_CHANGES_LONG {
        return Ok(true);
    }
    let changes = match store.changes(applied, TAIL_CHANGES_LONG as usize) {
        Ok(read) => read.changes,
        Err(harness_memory::Error::Folded { .. }) => return Ok(true),
        Err(error) => return Err(error.into()),
    };
    let rows: Vec<_> = changes.iter().map(|change| change.row).collect();
    let found = store.get_rows(&rows)?.into_iter().filter_map(Lookup::found);
    Ok(found.map(|stored| stored.record.text().len()).sum::<usize>() > TAIL_BYTES_LONG)
}

fn open(path: &PathBuf) -> Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).map_err(Error::io("open", path))
}

/// What else goes on in the process that follows.
pub struct Beside<'a> {
    /// Whether it is needed for something else, and must not leave.
    pub busy: &'a dyn Fn() -> bool,
    /// Whether it is to leave at the next step, whatever there is to do.
    pub leave: &'a dyn Fn() -> bool,
    /// Told when records were removed for good: whatever else keeps something of them is to remove it too.
    pub purged: &'a dyn Fn(),
    /// Whether whatever else follows the log has passed this change, so that what is before it may be folded.
    pub passed: &'a dyn Fn(Seq) -> bool,
}

impl Beside<'static> {
    /// Nothing else goes on.
    pub fn nothing() -> Beside<'static> {
        Beside { busy: &|| false, leave: &|| false, purged: &|| {}, passed: &|_| true }
    }
}

/// Follows the log until nothing happened for `idle`, or `stop` is set, or it is to [leave](Beside::leave).
///
/// Batches are committed as they come; single writes are left to gather for a second, for searches read what is not
/// committed themselves. When nothing is left to do, merges are finished, memory is given back, and the texts of what
/// was forgotten for good are removed. An
/// index that fails is left alone until the next change; the others go on. Where the home or its indexes are removed
/// meanwhile, it ends at once.
pub fn follow(
    store: &dyn Store,
    indexes: &mut [Box<dyn Index>],
    lock: &FollowLock,
    idle: Duration,
    stop: &AtomicBool,
    beside: &Beside,
) -> Result<()> {
    let mut done: Option<Seq> = None;
    let mut active = Instant::now();
    let mut waiting_since: Option<Instant> = None;
    let mut settled = false;
    let mut purged: Option<Instant> = None;
    // Somebody else removed records for good: their text is still in what the indexes keep of deleted documents.
    let mut leftovers = false;
    while !stop.load(Ordering::Relaxed) && !(beside.leave)() {
        if !lock.stands() {
            tracing::info!("the folder of the indexes was removed");
            return Ok(());
        }
        let head = store.head()?.seq;
        if done != Some(head) {
            let waiting = *waiting_since.get_or_insert_with(Instant::now);
            let many = done.is_none_or(|done| head.abs_diff(done) >= GATHER_CHANGES_MAX);
            if many || waiting.elapsed() >= GATHER {
                let finished = advance(store, indexes, stop)?;
                active = Instant::now();
                if finished {
                    leftovers |= done.is_some_and(|done| is_purged_after(store, done));
                    (done, waiting_since, settled) = (Some(head), None, false);
                }
                continue;
            }
        } else if active.elapsed() >= QUIET_AFTER.min(idle) && !settled {
            settle(indexes);
            settled = true;
            if std::mem::take(&mut leftovers) {
                expunge(indexes);
                (beside.purged)();
            }
        } else if active.elapsed() >= idle && !(beside.busy)() {
            return Ok(());
        } else if settled && purged.is_none_or(|at| at.elapsed() >= PURGE_EVERY) {
            let now = Timestamp::now();
            let removed = store.purge(now)?;
            purged = Some(Instant::now());
            if removed > 0 {
                advance(store, indexes, stop)?;
                expunge(indexes);
                (beside.purged)();
            }
            if (beside.passed)(store.head()?.seq) {
                fold(store, indexes, now)?;
            }
            continue;
        }
        thread::sleep(if active.elapsed() < QUIET_AFTER || waiting_since.is_some() {
            POLL_BUSY
        } else {
            POLL_QUIET.min(idle)
        });
    }
    settle(indexes);
    Ok(())
}

/// Whether a record was removed for good after this; where that cannot be told, as if it was.
fn is_purged_after(store: &dyn Store, mut after: Seq) -> bool {
    loop {
        let Ok(read) = store.changes(after, GATHER_CHANGES_MAX as usize) else { return true };
        let Some(last) = read.changes.last() else { return false };
        if read.changes.iter().any(|change| change.kind == ChangeKind::Purge) {
            return true;
        }
        after = last.seq;
    }
}

/// Brings the indexes to the end of the log, in their order; answers whether all are there.
///
/// An index that takes long is left where it is when the log has gone on, so that those before it get their turn.
fn advance(store: &dyn Store, indexes: &mut [Box<dyn Index>], stop: &AtomicBool) -> Result<bool> {
    let begin = store.head()?.seq;
    let mut finished = true;
    for (place, index) in indexes.iter_mut().enumerate() {
        let mut go_on = |_: u64, _: u64| {
            let behind = || store.head().is_ok_and(|head| head.seq > begin);
            !(stop.load(Ordering::Relaxed) || place > 0 && behind())
        };
        match catch_up(store, index.as_mut(), &mut go_on) {
            Ok(_) => {}
            Err(Error::Stopped) => finished = false,
            Err(error @ Error::Store(_)) => return Err(error),
            Err(error) => tracing::warn!(index = index.name(), %error, "an index does not follow"),
        }
    }
    Ok(finished)
}

fn settle(indexes: &mut [Box<dyn Index>]) {
    for index in indexes {
        if let Err(error) = index.settle() {
            tracing::warn!(index = index.name(), %error, "an index does not settle");
        }
    }
}

/// Removes from the log what every index has passed and is old enough; answers how many changes.
pub fn fold(store: &dyn Store, indexes: &mut [Box<dyn Index>], now: Timestamp) -> Result<u64> {
    let mut applied = store.head()?;
    for index in indexes {
        match index.applied()? {
            Some(position) if belongs(store, &position)? => {
                if position.seq < applied.seq {
                    applied = position;
                }
            }
            // It has everything before it.
            _ => return Ok(0),
        }
    }
    Ok(store.fold(&applied, now)?)
}

/// Removes from the indexes what they keep of records that are gone.
pub fn expunge(indexes: &mut [Box<dyn Index>]) {
    for index in indexes {
        if let Err(error) = index.expunge() {
            tracing::warn!(index = index.name(), %error, "an index still holds words of what was removed");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_follows_and_the_next_takes_over() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(follower(root.path()), None);
        let lock = FollowLock::try_take(root.path()).unwrap().unwrap();
        assert!(FollowLock::try_take(root.path()).unwrap().is_none());
        assert_eq!(follower(root.path()), Some(std::process::id()));
        let error = FollowLock::take(root.path(), Duration::from_millis(60)).unwrap_err();
        assert!(matches!(error, Error::Followed { pid: Some(_) }));
        assert!(lock.stands());
        drop(lock);
        assert_eq!(follower(root.path()), None);
        FollowLock::take(root.path(), Duration::ZERO).unwrap();
    }

    #[test]
    fn a_lock_whose_file_was_removed_or_replaced_stands_no_more() {
        let root = tempfile::tempdir().unwrap();
        let lock = FollowLock::try_take(root.path()).unwrap().unwrap();
        std::fs::remove_file(root.path().join(LOCK)).unwrap();
        assert!(!lock.stands());
        let next = FollowLock::try_take(root.path()).unwrap().unwrap();
        assert!(next.stands() && (cfg!(not(unix)) || !lock.stands()));
    }

    #[test]
    fn who_follows_ends_when_the_home_is_removed() {
        let home = tempfile::tempdir().unwrap();
        let store = harness_memory::SqliteStore::open(home.path()).unwrap();
        let index = home.path().join("index");
        let lock = FollowLock::try_take(&index).unwrap().unwrap();
        std::fs::remove_dir_all(&index).unwrap();
        let long = Duration::from_secs(3_600);
        follow(&store, &mut [], &lock, long, &AtomicBool::new(false), &Beside::nothing()).unwrap();
    }
}

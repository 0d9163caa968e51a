//! A copy of a live store, and its way back.
//!
//! Both ways go through SQLite's own backup: a copy is one snapshot, whoever writes meanwhile, and what comes back
//! comes in one transaction, so that other processes see all of it or nothing, and so does whoever looks after a crash.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags};

use super::row::is_damage;
use super::{DATABASE_FILE, SqliteStore, check, head, schema};
use crate::change::Position;
use crate::error::{Error, Result};
use crate::export::Progress;
use crate::store::{Finding, Store};

/// Pages copied between two looks at the progress: a megabyte.
const PAGES_AT_ONCE: i32 = 256;

/// How long a copy waits for somebody who writes.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// The ending of folders that hold unfinished work. They may be removed when nobody works there.
pub(super) const PARTIAL: &str = ".partial";

/// Findings of a backup that is whole all the same: what the store had lost before, and notes that are made anew.
const HARMLESS: [&str; 2] = ["tail-lost", check::READING_DAMAGED];

/// A copy that was made.
#[derive(Clone, Debug)]
pub struct BackedUp {
    /// Where the log of the copy ends.
    pub position: Position,
    /// Its size, in bytes.
    pub bytes: u64,
    /// What the check of the copy found. The store that was copied has the same.
    pub findings: Vec<Finding>,
}

/// A copy that was put back.
#[derive(Clone, Debug)]
pub struct Restored {
    /// Where the log ends now, in its new epoch.
    pub position: Position,
    /// Where that is which was there before.
    pub kept: Option<PathBuf>,
    /// Records of the copy that stay forgotten, because they were forgotten since.
    pub still_forgotten: u64,
}

impl SqliteStore {
    /// Copies the store as it is now into one file, and reads all of the copy.
    ///
    /// Others may write meanwhile; what they write is not in it. The file appears complete and durable, or not at all,
    /// and one that is there is never overwritten. Until the copy stands, the write-ahead log is not shortened.
    /// What is due to be removed for good is copied too: whoever does not want that calls [`Store::purge`] before.
    pub fn back_up(&self, to: &Path, progress: Progress) -> Result<BackedUp> {
        if to.try_exists().map_err(Error::io("look for", to))? {
            return Err(Error::Refused { reason: format!("{} is there already", to.display()) });
        }
        let work = Workplace::beside(to)?;
        let copy = work.path.join(DATABASE_FILE);
        {
            let from = schema::connect(self.folder(), true)?;
            copy_database(&from, &copy, progress)?;
        }
        let (position, findings) = verified(&work.path, progress)?;
        single_file(&copy)?;
        fs::rename(&copy, to).map_err(Error::io("put in place", to))?;
        sync_folder_of(to);
        let bytes = fs::metadata(to).map_err(Error::io("look at", to))?.len();
        Ok(BackedUp { position, bytes, findings })
    }
}

/// Puts a copy in the place of the store in this folder, or makes one of it where there is none.
///
/// The copy is copied beside the store, brought to this program's version and read whole before anything else happens;
/// one with damage is refused, and so is a file that is no copy of a store. What was there is kept in a file beside it.
/// A new epoch starts, so that every index and cursor notices. What was forgotten since the copy was made stays
/// forgotten.
pub fn restore(folder: &Path, from: &Path, now: Timestamp, progress: Progress) -> Result<Restored> {
    if !fs::metadata(from).map_err(Error::io("read", from))?.is_file() {
        return Err(Error::Refused { reason: format!("{} is no file", from.display()) });
    }
    schema::make_folder(folder)?;
    let work = Workplace::beside(&folder.join("restore"))?;
    {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let source = Connection::open_with_flags(from, flags).map_err(Error::sqlite("open the backup"))?;
        schema::must_be_a_copy(&source, from)?;
        copy_database(&source, &work.path.join(DATABASE_FILE), progress)?;
    }
    let (copied, findings) = verified(&work.path, progress)?;
    if let Some(finding) = findings.iter().find(|finding| !HARMLESS.contains(&finding.code)) {
        let reason = format!("the backup is damaged, and nothing was changed: {}", finding.what);
        return Err(Error::Refused { reason });
    }
    let live = folder.join(DATABASE_FILE);
    let is_there = live.try_exists().map_err(Error::io("look for", &live))?;
    let stamp = now.strftime("%Y%m%dT%H%M%SZ");
    let mut still_forgotten = 0;
    let noted = head::read(folder).map_or(0, |noted| noted.epoch);
    if !is_there {
        new_epoch(&work.path, copied.epoch.max(noted) + 1, None)?;
        take_place(folder, &work.path)?;
        let position = SqliteStore::open(folder)?.head()?;
        head::note(folder, &position);
        return Ok(Restored { position, kept: None, still_forgotten });
    }
    let current = SqliteStore::open(folder);
    // A store that cannot be kept as a store is kept byte for byte. That is for one that is damaged: where the disk is
    // full or the copy was stopped, nothing was changed, and that is the answer.
    let whole = match &current {
        Err(_) => None,
        Ok(store) => {
            // What nobody can bring back any more is not kept either. A store that cannot be written is kept as it is.
            while store.purge(now).is_ok_and(|purged| purged > 0) {}
            let kept = free_name(folder, &format!("kept-{stamp}"), ".db");
            match store.back_up(&kept, progress) {
                Ok(backed_up) => Some((store, kept, backed_up)),
                Err(Error::Sqlite { source, .. }) if is_damage(&source) => None,
                Err(Error::Damaged { .. }) => None,
                Err(error) => return Err(error),
            }
        }
    };
    if !progress(0, 0) {
        return Err(Error::Refused { reason: "it was stopped, and nothing was changed".to_owned() });
    }
    let kept = match whole {
        Some((current, kept, backed_up)) => {
            still_forgotten = carry_forgetting(current, &work.path)?;
            let epoch = copied.epoch.max(backed_up.position.epoch).max(noted) + 1;
            new_epoch(&work.path, epoch, Some(current))?;
            let source = schema::connect(&work.path, true)?;
            let mut target = schema::connect(folder, false)?;
            copy_pages(&source, &mut target, &mut |_, _| true)?;
            kept
        }
        // What cannot be read as a store is kept byte for byte.
        None => {
            drop(current);
            let kept = free_name(folder, &format!("kept-{stamp}"), "");
            fs::create_dir(&kept).map_err(Error::io("make the folder", &kept))?;
            for name in ["store.db", "store.db-wal", "store.db-shm", "head"] {
                let (old, new) = (folder.join(name), kept.join(name));
                if old.exists() {
                    fs::copy(&old, &new).map_err(Error::io("keep", &old))?;
                    File::open(&new).and_then(|file| file.sync_all()).map_err(Error::io("keep", &new))?;
                }
            }
            sync_folder_of(&kept.join("store.db"));
            new_epoch(&work.path, copied.epoch.max(noted) + 1, None)?;
            for name in ["store.db-wal", "store.db-shm", "head"] {
                let _ = fs::remove_file(folder.join(name));
            }
            take_place(folder, &work.path)?;
            kept
        }
    };
    let store = SqliteStore::open(folder)?;
    let position = store.head()?;
    head::note(folder, &position);
    // What was there before must not stay readable in the log of writes.
    store.checkpoint()?;
    Ok(Restored { position, kept: Some(kept), still_forgotten })
}

/// A path in this folder that nothing has yet: two restores may come within a second.
fn free_name(folder: &Path, name: &str, ending: &str) -> PathBuf {
    let numbered = (2_u32..).map(|number| folder.join(format!("{name}-{number}{ending}")));
    let mut names = std::iter::once(folder.join(format!("{name}{ending}"))).chain(numbered);
    names.find(|path| !path.exists()).unwrap_or_else(|| folder.join(name))
}

/// Forgets in the copy what was forgotten in the store; answers how many records that changed.
fn carry_forgetting(current: &SqliteStore, copy: &Path) -> Result<u64> {
    use super::carry::{Became, Carry, CarryIn};
    let copy = SqliteStore::open(copy)?;
    let (mut after, mut changed) = (None, 0);
    loop {
        let page = current.carry_out(after, crate::store::PUT_RECORDS_MAX)?;
        let Some(last) = page.last() else { return Ok(changed) };
        after = Some(last.place());
        let mut carries = Vec::new();
        for carry in page {
            match carry {
                Carry::Record(carried) if carried.forgotten.is_some() => {
                    let admitted = crate::Admitted::from_store(carried.record);
                    carries.push(CarryIn::Record(Box::new(admitted), carried.forgotten));
                }
                Carry::Tombstone(tombstone) => carries.push(CarryIn::Tombstone(tombstone)),
                Carry::Record(_) | Carry::Damaged { .. } => {}
            }
        }
        if !carries.is_empty() {
            let became = copy.carry_in(carries, false)?;
            changed += became.iter().filter(|became| **became == Became::Forgotten).count() as u64;
        }
    }
}

/// Copies a database into a new file.
fn copy_database(from: &Connection, to: &Path, progress: Progress) -> Result<()> {
    let mut copy = Connection::open(to).map_err(Error::sqlite("make the copy"))?;
    copy.execute_batch("PRAGMA synchronous = FULL").map_err(Error::sqlite("make the copy"))?;
    copy_pages(from, &mut copy, progress)
}

/// Copies all pages in one snapshot of the one and one transaction of the other.
fn copy_pages(from: &Connection, to: &mut Connection, progress: Progress) -> Result<()> {
    let doing = "copy the store";
    // With a read transaction of its own the copy is one snapshot and need not start anew when others write.
    from.execute_batch("BEGIN").map_err(Error::sqlite(doing))?;
    from.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(())).map_err(Error::sqlite(doing))?;
    let started = Instant::now();
    let done = {
        let backup = Backup::new(from, to).map_err(Error::sqlite(doing))?;
        loop {
            match backup.step(PAGES_AT_ONCE) {
                Ok(StepResult::Done) => break Ok(()),
                Ok(StepResult::More) => {
                    let so_far = backup.progress();
                    let all = so_far.pagecount.max(0) as u64;
                    if !progress(all.saturating_sub(so_far.remaining.max(0) as u64), all) {
                        break Err(Error::Refused { reason: "it was stopped, and nothing was changed".to_owned() });
                    }
                }
                Ok(_) if started.elapsed() < WAIT_MAX => std::thread::sleep(Duration::from_millis(20)),
                Ok(_) => {
                    let reason = "the store is being written to without a pause: try again later".to_owned();
                    break Err(Error::Refused { reason });
                }
                Err(source) => break Err(Error::Sqlite { doing, source }),
            }
        }
    };
    let _ = from.execute_batch("COMMIT");
    done
}

/// Opens a copy as a store, reads all of it, and answers where it ends and what is wrong with it.
fn verified(folder: &Path, progress: Progress) -> Result<(Position, Vec<Finding>)> {
    let store = SqliteStore::open(folder)?;
    let mut whole = true;
    let findings = store.check(&mut |done, all| {
        whole = progress(done, all);
        whole
    })?;
    if !whole {
        return Err(Error::Refused { reason: "it was stopped, and nothing was changed".to_owned() });
    }
    Ok((store.head()?, findings))
}

/// Starts an epoch in a copy. With `as_store` it takes that one's name, for the processes that have it open.
fn new_epoch(copy: &Path, epoch: u64, as_store: Option<&SqliteStore>) -> Result<()> {
    let doing = "start a new epoch";
    let connection = schema::connect(copy, false)?;
    let write = || -> rusqlite::Result<()> {
        connection.execute("UPDATE meta SET value = ?1 WHERE name = 'epoch'", [epoch as i64])?;
        connection.execute("DELETE FROM meta WHERE name = 'lost_tail'", [])?;
        if let Some(store) = as_store {
            connection.execute("UPDATE meta SET value = ?1 WHERE name = 'store'", [store.id().as_bytes()])?;
        }
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
    };
    write().map_err(Error::sqlite(doing))
}

/// Makes a copy one file that needs no other: without a write-ahead log, and durable.
fn single_file(database: &Path) -> Result<()> {
    let connection = Connection::open(database).map_err(Error::sqlite("finish the copy"))?;
    connection
        .pragma_update_and_check(None, "journal_mode", "DELETE", |_| Ok(()))
        .map_err(Error::sqlite("finish the copy"))?;
    drop(connection);
    make_private(database);
    File::open(database).and_then(|file| file.sync_all()).map_err(Error::io("finish", database))
}

/// Renames the copy into the place of a store that is not there, or was kept.
fn take_place(folder: &Path, work: &Path) -> Result<()> {
    let (copy, live) = (work.join(DATABASE_FILE), folder.join(DATABASE_FILE));
    File::open(&copy).and_then(|file| file.sync_all()).map_err(Error::io("finish", &copy))?;
    fs::rename(&copy, &live).map_err(Error::io("put in place", &live))?;
    sync_folder_of(&live);
    Ok(())
}

fn make_private(path: &Path) {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let _ = fs::set_permissions(path, fs::Permissions::from_mode(0o600));
    }
    #[cfg(not(unix))]
    let _ = path;
}

/// Makes a rename in this file's folder durable, where the system can.
fn sync_folder_of(path: &Path) {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty())
        && let Ok(folder) = File::open(folder)
    {
        let _ = folder.sync_all();
    }
}

/// A folder for unfinished work, removed at the end.
struct Workplace {
    path: PathBuf,
}

impl Workplace {
    /// A new folder in the same place as this file will be, so that renaming moves nothing.
    fn beside(file: &Path) -> Result<Workplace> {
        let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let path = file.with_file_name(format!(".{name}-{}{PARTIAL}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path).map_err(Error::io("make the folder", &path))?;
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let _ = fs::set_permissions(&path, fs::Permissions::from_mode(0o700));
        }
        Ok(Workplace { path })
    }
}

impl Drop for Workplace {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

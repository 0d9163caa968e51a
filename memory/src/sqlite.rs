//! The store in SQLite: one file in WAL mode that any number of processes share.
//!
//! - `schema`: opening, versions, migrations
//! - `writer`: the one thread of a process that writes, and group commit
//! - `put`, `edit`: what is written
//! - `read`: what is read; `row`: one row, its checksum, and what it decodes to
//! - `names`: names without texts, and sessions page by page
//! - `codec`: bodies in zstd with a dictionary; `repeats`: what is said again is stored once
//! - `carry`: what exports and imports move; `backup`: copies of a live store and their way back
//! - `scrub`: dictionaries without the text of what is gone
//! - `retention`: how long records are kept; `fold`: removing the beginning of the log
//! - `head`: the small file that notices a lost tail
//! - `trials`: what was given to runs and how they ended
//! - `secrets`: finding and removing secrets in what is stored already
//! - `check`: reading everything and reporting what does not fit

mod backup;
mod carry;
mod check;
mod codec;
mod edit;
mod fold;
mod head;
mod names;
mod put;
mod read;
mod readings;
mod repeats;
mod requests;
mod retention;
mod row;
mod schema;
mod scopes;
mod scrub;
mod secrets;
mod trials;
mod undo;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};

use jiff::Timestamp;
use rusqlite::Connection;

use crate::change::{Position, Seq};
use crate::error::{Error, Result};
use crate::id::{IdPrefix, RecordId, StoreId};
use crate::intake::Admitted;
use crate::record::Outcome;
use crate::scope::{ReadSet, Scope};
use crate::session::Session;
use crate::store::{
    Beside, Changes, Counts, Exposure, Filter, Finding, Lookup, PUT_RECORDS_MAX, Patch, Put, READ_ROWS_MAX, Reading,
    ReadingPlace, Row, SessionEntry, Store, Trial,
};

pub use backup::{BackedUp, Restored, restore};
pub use carry::{Became, Carry, CarryIn};
pub(crate) use check::SESSION_DAMAGED;
pub use head::LostTail;
pub use names::RecordName;
pub use requests::{Once, Request};
pub use retention::Retention;
pub use secrets::Secrets;

use self::row::RowReader;
pub use self::writer::Begun;
use self::writer::Writer;

/// The database's name within its folder.
pub const DATABASE_FILE: &str = "store.db";

/// Connections kept for reading; more may be open while more threads read at once.
const IDLE_READERS_MAX: usize = 4;

/// The store in SQLite.
///
/// Opening reads a few pages. The writer thread starts with the first write.
pub struct SqliteStore {
    shared: Arc<Shared>,
    writer: OnceLock<Writer>,
    idle_readers: Mutex<Vec<Reader>>,
}

/// What the reading side and the writer thread have in common.
struct Shared {
    folder: PathBuf,
    store: StoreId,
    /// The first failure after which the disk's state is unknown.
    fault: OnceLock<String>,
    /// Scopes that nothing is written to.
    read_only: RwLock<Arc<ReadSet>>,
}

/// A connection for reading, and what reading rows with it has prepared.
struct Reader {
    connection: Connection,
    rows: RowReader,
    /// The life of the store that `rows` knows the names of.
    epoch: Option<u64>,
}

impl Reader {
    fn new(connection: Connection) -> Reader {
        Reader { connection, rows: RowReader::default(), epoch: None }
    }

    /// Begins or ends a transaction, of which a question has several.
    fn run(&self, sql: &str) -> rusqlite::Result<usize> {
        self.connection.prepare_cached(sql)?.execute([])
    }

    /// Names have other numbers after another process has restored a backup.
    fn notice_restore(&mut self) {
        let epoch = read::epoch(&self.connection).ok();
        if epoch != self.epoch {
            self.rows = RowReader::default();
            self.epoch = epoch;
        }
    }
}

impl SqliteStore {
    /// Opens the store in this folder. Folder and store are made when they are not there.
    ///
    /// A store of a newer program is refused and not touched. When the `head` file shows that the
    /// end of the log was lost, a new epoch starts, and [`SqliteStore::lost_tail`] says what is missing.
    pub fn open(folder: &Path) -> Result<SqliteStore> {
        let (connection, store) = schema::open(folder)?;
        let read_only = RwLock::new(Arc::new(ReadSet::new([])));
        let shared = Shared { folder: folder.to_owned(), store, fault: OnceLock::new(), read_only };
        Ok(SqliteStore {
            shared: Arc::new(shared),
            writer: OnceLock::new(),
            idle_readers: Mutex::new(vec![Reader::new(connection)]),
        })
    }

    /// The folder of the store.
    pub fn folder(&self) -> &Path {
        &self.shared.folder
    }

    /// The store's own name.
    pub fn id(&self) -> StoreId {
        self.shared.store
    }

    /// From now on nothing is written to these scopes through this handle: no record is added, changed or forgotten.
    /// What is over or was forgotten before is still removed when its time has come.
    pub fn set_read_only(&self, scopes: ReadSet) {
        *self.shared.read_only.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(scopes);
    }

    /// Whether nothing may be written to this scope.
    pub fn is_read_only(&self, scope: &Scope) -> bool {
        self.shared.read_only.read().unwrap_or_else(PoisonError::into_inner).allows(scope)
    }

    /// The schema version of the database, which is the newest that this program knows.
    pub fn version(&self) -> Result<u32> {
        self.read(|reader| schema::version(&reader.connection))
    }

    /// Whether the store can be written to now: false when another process held it for the whole of the wait of five
    /// seconds.
    pub fn can_write(&self) -> Result<bool> {
        let doing = "take the store's lock";
        let connection = schema::connect(&self.shared.folder, false)?;
        match connection.execute_batch("BEGIN IMMEDIATE; ROLLBACK") {
            Ok(()) => Ok(true),
            Err(error) if writer::is_busy(&error) => Ok(false),
            Err(source) => Err(Error::Sqlite { doing, source }),
        }
    }

    /// What the `head` file showed to be missing, if a tail was ever lost and nobody has acknowledged it.
    pub fn lost_tail(&self) -> Result<Option<LostTail>> {
        self.read(|reader| head::lost_tail(&reader.connection))
    }

    /// Ends the reports of a lost tail.
    pub fn acknowledge_lost_tail(&self) -> Result<()> {
        self.write(|writing| head::acknowledge(writing.connection()))
    }

    /// How a run ended, and what says so, where that was ever noted.
    pub fn run_end(&self, run: &str) -> Result<Option<(Outcome, Option<String>)>> {
        self.read(|reader| trials::ended(&reader.connection, run))
    }

    /// Moves the write-ahead log into the database file, as far as readers allow, and shortens it.
    pub fn checkpoint(&self) -> Result<()> {
        // A connection of its own: the log cannot be put away within a transaction.
        schema::connect(&self.shared.folder, false)?
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
            .map_err(Error::sqlite("checkpoint the store"))
    }

    /// Runs `work` with a connection for reading, in one snapshot of the store.
    fn read<T>(&self, work: impl FnOnce(&mut Reader) -> Result<T>) -> Result<T> {
        let idle = self.idle_readers().pop();
        let mut reader = match idle {
            Some(reader) => reader,
            None => Reader::new(schema::connect(&self.shared.folder, true)?),
        };
        reader.run("BEGIN").map_err(Error::sqlite("begin to read the store"))?;
        reader.notice_restore();
        let result = work(&mut reader);
        // Ending a read transaction cannot lose anything; if it fails the connection is dropped.
        if reader.run("COMMIT").is_ok() {
            let mut idle = self.idle_readers();
            if idle.len() < IDLE_READERS_MAX {
                idle.push(reader);
            }
        }
        result
    }

    fn idle_readers(&self) -> MutexGuard<'_, Vec<Reader>> {
        self.idle_readers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins to write sessions and records of theirs, of which at most [`PUT_RECORDS_MAX`], in one transaction, as
    /// [`put_sessions`](Store::put_sessions) and [`put`](Store::put) do: who reads on meanwhile waits later. What was
    /// begun earlier is written earlier.
    pub fn begin_put(&self, sessions: Vec<Session>, records: Vec<Admitted>) -> Result<Begun<Vec<Put>>> {
        within_put_max(&records)?;
        self.writer.get_or_init(|| Writer::start(self.shared.clone())).begin(move |writing| {
            sessions.into_iter().try_for_each(|session| put::put_session(writing, session).map(|_| ()))?;
            put::put(writing, records)
        })
    }

    /// Runs `work` in a write transaction, together with what other threads are writing, and
    /// answers when it is durable.
    fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut writer::Writing) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.writer.get_or_init(|| Writer::start(self.shared.clone())).write(work)
    }
}

fn within_put_max(records: &[Admitted]) -> Result<()> {
    if records.len() <= PUT_RECORDS_MAX {
        return Ok(());
    }
    let reason = format!("{} records in one call, the limit is {PUT_RECORDS_MAX}", records.len());
    Err(Error::Refused { reason })
}

impl Store for SqliteStore {
    fn head(&self) -> Result<Position> {
        self.read(|reader| read::head(&reader.connection, self.shared.store))
    }

    fn position_at(&self, seq: Seq) -> Result<Option<Position>> {
        self.read(|reader| read::position_at(&reader.connection, self.shared.store, seq))
    }

    fn changes(&self, after: Seq, limit: usize) -> Result<Changes> {
        self.read(|reader| read::changes(&reader.connection, self.shared.store, after, limit.min(READ_ROWS_MAX)))
    }

    fn put(&self, records: Vec<Admitted>) -> Result<Vec<Put>> {
        within_put_max(&records)?;
        self.write(move |writing| put::put(writing, records))
    }

    fn get(&self, ids: &[RecordId]) -> Result<Vec<Lookup>> {
        self.read(|reader| ids.iter().map(|id| reader.by_id(*id)).collect())
    }

    fn get_rows(&self, rows: &[Row]) -> Result<Vec<Lookup>> {
        self.read(|reader| reader.by_rows(rows.iter().copied()))
    }

    fn find(&self, prefix: IdPrefix, limit: usize) -> Result<Vec<RecordId>> {
        self.read(|reader| read::find(&reader.connection, prefix, limit))
    }

    fn list(&self, filter: &Filter) -> Result<Vec<Lookup>> {
        self.read(|reader| reader.list(filter))
    }

    fn replaced_by(&self, ids: &[RecordId]) -> Result<Vec<Option<RecordId>>> {
        self.read(|reader| {
            if !read::any_replaces(&reader.connection)? {
                return Ok(vec![None; ids.len()]);
            }
            ids.iter().map(|id| read::replaced_by(&reader.connection, *id)).collect()
        })
    }

    fn update(&self, id: RecordId, patch: Patch) -> Result<()> {
        self.write(move |writing| edit::update(writing, id, patch))
    }

    fn forget(&self, ids: &[RecordId], undo_until: Timestamp) -> Result<usize> {
        let ids = ids.to_vec();
        self.write(move |writing| edit::forget(writing, &ids, undo_until))
    }

    fn undo_forget(&self, id: RecordId) -> Result<()> {
        self.write(move |writing| edit::undo_forget(writing, id))
    }

    fn purge(&self, now: Timestamp) -> Result<usize> {
        // Most calls find nothing to do; those must not wait for the writer's lock.
        if self.read(|reader| edit::due(&reader.connection, now))?.is_empty() {
            return Ok(0);
        }
        let purged = self.write(move |writing| edit::purge(writing, now))?;
        // The last call of a series looks through the rest of the store.
        if purged > 0 && purged < edit::PURGE_MAX {
            scrub::scrub(self)?;
        }
        Ok(purged)
    }

    fn fold(&self, applied: &Position, now: Timestamp) -> Result<u64> {
        fold::fold(self, applied, now)
    }

    fn put_session(&self, session: Session) -> Result<()> {
        self.write(move |writing| put::put_session(writing, session).map(|_| ()))
    }

    fn put_sessions(&self, sessions: Vec<Session>) -> Result<()> {
        // One transaction waits for the disk once.
        self.write(move |writing| {
            sessions.into_iter().try_for_each(|session| put::put_session(writing, session).map(|_| ()))
        })
    }

    fn sessions(&self, scopes: &ReadSet, limit: usize) -> Result<Vec<SessionEntry>> {
        self.read(|reader| read::sessions(&reader.connection, scopes, limit))
    }

    fn find_sessions(&self, prefix: &str, limit: usize) -> Result<Vec<SessionEntry>> {
        self.read(|reader| read::find_sessions(&reader.connection, prefix, limit))
    }

    fn sessions_named(&self, source: &str, id: &str) -> Result<Vec<Session>> {
        self.read(|reader| read::sessions_named(&reader.connection, source, id))
    }

    fn neighbours(&self, row: Row, before: usize, after: usize) -> Result<Vec<Lookup>> {
        self.read(|reader| reader.neighbours(row, before, after))
    }

    fn repeats(&self, rows: &[Row]) -> Result<Vec<u32>> {
        self.read(|reader| {
            if !repeats::any(&reader.connection)? {
                return Ok(vec![0; rows.len()]);
            }
            rows.iter().map(|row| repeats::count(&reader.connection, *row)).collect()
        })
    }

    fn beside(&self, rows: &[Row], reach: usize) -> Result<Vec<Beside>> {
        self.read(|reader| rows.iter().map(|row| read::beside(&reader.connection, *row, reach)).collect())
    }

    fn reading(&self, place: &ReadingPlace) -> Result<Option<Reading>> {
        self.read(|reader| readings::reading(&reader.connection, place))
    }

    fn put_reading(&self, place: &ReadingPlace, reading: &Reading) -> Result<()> {
        let (place, reading) = (place.clone(), reading.clone());
        self.write(move |writing| readings::put_reading(writing, &place, &reading))
    }

    fn expose(&self, exposure: Exposure) -> Result<()> {
        self.write(move |writing| trials::expose(writing, &exposure))
    }

    fn exposures(&self, limit: usize) -> Result<Vec<Exposure>> {
        self.read(|reader| trials::exposures(&reader.connection, limit))
    }

    fn finish_run(&self, run: &str, outcome: Outcome, reason: Option<&str>) -> Result<()> {
        let (run, reason) = (run.to_owned(), reason.map(str::to_owned));
        self.write(move |writing| trials::finish_run(writing, &run, outcome, reason.as_deref()))
    }

    fn trials(&self, limit: usize) -> Result<Vec<Trial>> {
        self.read(|reader| trials::trials(&reader.connection, limit.min(READ_ROWS_MAX)))
    }

    fn trials_version(&self) -> Result<u64> {
        self.read(|reader| trials::version(&reader.connection))
    }

    fn reset_credit(&self, id: RecordId, at: Timestamp) -> Result<()> {
        self.write(move |writing| trials::reset_credit(writing, id, at))
    }

    fn credit_resets(&self) -> Result<Vec<(RecordId, Timestamp)>> {
        self.read(|reader| trials::credit_resets(&reader.connection))
    }

    fn holdout(&self) -> Result<f64> {
        self.read(|reader| trials::holdout(&reader.connection))
    }

    fn set_holdout(&self, share: f64) -> Result<()> {
        self.write(move |writing| trials::set_holdout(writing, share))
    }

    fn counts(&self) -> Result<Counts> {
        let bytes = ["", "-wal"].iter().map(|suffix| {
            let file = self.shared.folder.join(format!("{DATABASE_FILE}{suffix}"));
            std::fs::metadata(file).map_or(0, |facts| facts.len())
        });
        let bytes = bytes.sum();
        self.read(|reader| read::counts(&reader.connection, bytes))
    }

    fn check(&self, progress: &mut dyn FnMut(u64, u64) -> bool) -> Result<Vec<Finding>> {
        check::check(self, progress)
    }
}

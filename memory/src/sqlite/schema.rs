//! Opening the database, its versions and migrations.

use std::fs::{self, File};
use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, OptionalExtension, TransactionBehavior};
use rusqlite_migration::{M, Migrations};

use super::{DATABASE_FILE, head};
use crate::error::{Error, Result};
use crate::id::StoreId;

/// How long one attempt to get SQLite's lock waits.
const BUSY_WAIT: Duration = Duration::from_secs(5);

/// The write-ahead log is cut back to this size, in bytes, when it has been moved into the database.
const JOURNAL_BYTES_MAX: i64 = 64 << 20;

/// The log of writes is put into the database at so many pages, 32 MiB: two indexes are by hashes, so that each thousand
/// records of an import touch nearly as many pages in each, most of which the next thousand touch again.
const CHECKPOINT_PAGES: i64 = 8_000;

/// The most pages of the database that a connection keeps, in KiB; what is never read takes nothing. At 100,000 records
/// a recall took 4.4 ms with 8 MiB and 3.4 ms with 32.
const CACHE_KIB: i64 = 32 * 1024;

/// Each released schema, in order; the number of a version is its place, counted from 1.
/// A migration that was released is never edited.
const MIGRATIONS: &[M<'static>] = &[
    M::up(
        "
    CREATE TABLE meta (name TEXT PRIMARY KEY, value NOT NULL) WITHOUT ROWID;
    CREATE TABLE scopes (number INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
    CREATE TABLE sources (number INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
    CREATE TABLE dictionaries (number INTEGER PRIMARY KEY, bytes BLOB NOT NULL, checksum INTEGER NOT NULL);
    CREATE TABLE sessions (
        number INTEGER PRIMARY KEY, scope INTEGER NOT NULL, source INTEGER NOT NULL, name TEXT NOT NULL,
        info TEXT NOT NULL, checksum INTEGER NOT NULL,
        UNIQUE (name, source, scope)
    );
    CREATE TABLE records (
        row INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, kind INTEGER NOT NULL, scope INTEGER NOT NULL,
        origin INTEGER NOT NULL, trust INTEGER NOT NULL, source INTEGER NOT NULL, session INTEGER,
        position INTEGER, key TEXT, provenance INTEGER, created_at_ms INTEGER NOT NULL, expires_at_ms INTEGER,
        pinned INTEGER NOT NULL, tags TEXT, replaces BLOB, deleted_at_ms INTEGER, undo_until_ms INTEGER,
        codec INTEGER NOT NULL, body BLOB, checksum INTEGER NOT NULL
    );
    CREATE INDEX records_provenance ON records (provenance) WHERE provenance IS NOT NULL;
    CREATE INDEX records_session ON records (session, position) WHERE session IS NOT NULL;
    CREATE INDEX records_replaces ON records (replaces) WHERE replaces IS NOT NULL;
    CREATE INDEX records_forgotten ON records (undo_until_ms) WHERE undo_until_ms IS NOT NULL;
    CREATE INDEX records_expiring ON records (expires_at_ms) WHERE expires_at_ms IS NOT NULL;
    CREATE TABLE changes (
        seq INTEGER PRIMARY KEY, row INTEGER NOT NULL, kind INTEGER NOT NULL, at_ms INTEGER NOT NULL,
        chain BLOB NOT NULL
    );
    CREATE TABLE exposures (
        number INTEGER PRIMARY KEY, run TEXT NOT NULL, at_ms INTEGER NOT NULL, query TEXT NOT NULL,
        records BLOB NOT NULL, checksum INTEGER NOT NULL
    );
    CREATE INDEX exposures_run ON exposures (run);
    CREATE TABLE runs (
        run TEXT PRIMARY KEY, outcome INTEGER NOT NULL, reason TEXT, at_ms INTEGER NOT NULL,
        checksum INTEGER NOT NULL
    ) WITHOUT ROWID;
    ",
    ),
    M::up(
        "
    ALTER TABLE exposures ADD COLUMN task TEXT;
    ALTER TABLE exposures ADD COLUMN holdout INTEGER NOT NULL DEFAULT 0;
    CREATE TABLE credit_resets (record BLOB PRIMARY KEY, at_ms INTEGER NOT NULL, checksum INTEGER NOT NULL)
        WITHOUT ROWID;
    ",
    ),
    M::up(
        // How far transcripts were read: derived from them and the records, kept so that reading again is quick.
        "
    CREATE TABLE readings (
        tool TEXT NOT NULL, path TEXT NOT NULL, scope TEXT NOT NULL, state TEXT NOT NULL, checksum INTEGER NOT NULL,
        PRIMARY KEY (path, tool, scope)
    ) WITHOUT ROWID;
    ",
    ),
    M::up(
        // Which row holds a text, and which rows lean on it: see `repeats`. What was stored before is not looked through.
        "
    CREATE TABLE prints (print INTEGER PRIMARY KEY, row INTEGER NOT NULL);
    CREATE TABLE repeats (holder INTEGER NOT NULL, row INTEGER NOT NULL, PRIMARY KEY (holder, row)) WITHOUT ROWID;
    -- Messages are nearly all there is: what is asked for without them is found without reading past them.
    CREATE INDEX records_but_messages ON records (kind) WHERE kind <> 1;
    ",
    ),
    M::up(
        // What was asked for under a name, so that it is done once: see `requests`.
        "
    CREATE TABLE requests (
        name BLOB PRIMARY KEY, print BLOB NOT NULL, records BLOB NOT NULL, at_ms INTEGER NOT NULL,
        checksum INTEGER NOT NULL
    ) WITHOUT ROWID;
    CREATE INDEX requests_at ON requests (at_ms);
    ",
    ),
];

/// The newest schema version that this program understands.
const SUPPORTED: u32 = MIGRATIONS.len() as u32;

/// Opens the database in this folder, makes or migrates it when that is needed, and looks after the head file.
pub(super) fn open(folder: &Path) -> Result<(Connection, StoreId)> {
    make_folder(folder)?;
    // Before the database is read: what the head file says is then never ahead of what the database must hold.
    let noted = head::read(folder);
    let path = folder.join(DATABASE_FILE);
    let is_new = !path.try_exists().map_err(Error::io("look for", &path))?;
    let look = || -> Result<(Connection, u32, bool)> {
        let connection = connect(folder, false)?;
        let version = version(&connection)?;
        // Whoever made it may have been ended between its tables and its name, or is between them now.
        let unfinished = version == SUPPORTED && is_unfinished(&connection)?;
        Ok((connection, version, unfinished))
    };
    let (mut connection, version, unfinished) = match look() {
        // While it is made or migrated a database is locked in ways that SQLite does not wait for.
        Err(error) if is_busy(&error) => {
            let _made = lock(folder)?;
            look()?
        }
        looked => looked?,
    };
    if version > SUPPORTED {
        return Err(Error::TooNew { path, found: version, supported: SUPPORTED });
    }
    if is_new || version < SUPPORTED || unfinished {
        // One process at a time: the others wait here and then find the work done.
        let _lock = lock(folder)?;
        migrate(&mut connection, folder)?;
    }
    let store = store_id(&connection)?.ok_or_else(|| Error::Damaged {
        row: 0,
        id: None,
        reason: "the store's own id is missing".to_owned(),
    })?;
    head::look_after(&mut connection, store, noted)?;
    connection.pragma_update(None, "query_only", true).map_err(Error::sqlite("set up the store"))?;
    Ok((connection, store))
}

/// Waits for whoever makes or migrates the database in this folder.
fn lock(folder: &Path) -> Result<File> {
    let path = folder.join("migrate.lock");
    let lock = File::create(&path).map_err(Error::io("create", &path))?;
    lock.lock().map_err(Error::io("lock", &path))?;
    Ok(lock)
}

fn is_busy(error: &Error) -> bool {
    matches!(error, Error::Sqlite { source, .. } if source.sqlite_error_code() == Some(rusqlite::ErrorCode::DatabaseBusy))
}

pub(super) fn make_folder(folder: &Path) -> Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(folder).map_err(Error::io("create the folder", folder))?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // What is remembered is its owner's alone.
        let _ = fs::set_permissions(folder, fs::Permissions::from_mode(0o700));
    }
    Ok(())
}

/// A connection to the database in this folder with everything set that is set per connection.
pub(super) fn connect(folder: &Path, read_only: bool) -> Result<Connection> {
    let path = folder.join(DATABASE_FILE);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(&path, flags).map_err(Error::sqlite("open the store's database"))?;
    let set_up = || -> rusqlite::Result<()> {
        connection.busy_timeout(BUSY_WAIT)?;
        connection.set_prepared_statement_cache_capacity(64);
        // Plans do not depend on what is bound: else a statement is planned anew for each value, which took a fifth of
        // a recall.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
        connection.execute_batch(&format!(
            "PRAGMA synchronous = FULL;
             PRAGMA secure_delete = ON;
             PRAGMA journal_size_limit = {JOURNAL_BYTES_MAX};
             PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES};
             PRAGMA cache_size = -{CACHE_KIB};
             PRAGMA temp_store = MEMORY;
             PRAGMA trusted_schema = OFF;"
        ))?;
        if read_only {
            connection.pragma_update(None, "query_only", true)?;
        }
        Ok(())
    };
    set_up().map_err(Error::sqlite("set up the store's database"))?;
    Ok(connection)
}

pub(super) fn version(connection: &Connection) -> Result<u32> {
    connection
        .pragma_query_value(None, "user_version", |row| row.get(0))
        .map_err(Error::sqlite("read the store's schema version"))
}

fn migrate(connection: &mut Connection, folder: &Path) -> Result<()> {
    let doing = "bring the store's schema up to date";
    let before = version(connection)?;
    must_be_ours(connection, before, folder)?;
    let mode: String = connection
        .pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))
        .map_err(Error::sqlite("switch the store to write-ahead logging"))?;
    if !mode.eq_ignore_ascii_case("wal") {
        let reason = format!("{} cannot use write-ahead logging: is it on a network drive?", folder.display());
        return Err(Error::Refused { reason });
    }
    Migrations::from_slice(MIGRATIONS).to_latest(connection).map_err(|source| match source {
        rusqlite_migration::Error::RusqliteError { err, .. } => Error::Sqlite { doing, source: err },
        other => Error::Refused { reason: format!("cannot {doing}: {other}") },
    })?;
    // A store that holds something and has lost its name is damaged, and gets no other.
    let unfinished = is_unfinished(connection)?;
    if unfinished {
        let mut set_up = || -> rusqlite::Result<()> {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let id = StoreId::new();
            transaction.execute("INSERT OR IGNORE INTO meta VALUES ('store', ?1)", [id.as_bytes()])?;
            transaction.execute("INSERT OR IGNORE INTO meta VALUES ('epoch', 1)", [])?;
            transaction.commit()
        };
        set_up().map_err(Error::sqlite("name the new store"))?;
    }
    if unfinished || before < SUPPORTED {
        // A name that stands in the write-ahead log alone is lost with it. The store that is then made in its place has
        // another, and what the head file says would be of a stranger.
        connection
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
            .map_err(Error::sqlite("make the store's name durable"))?;
    }
    Ok(())
}

/// Refuses a database that is not a store, before anything in it is changed.
///
/// A store is made in one transaction: what is left of one whose making was interrupted has no table at all, or has all
/// of them and its version.
fn must_be_ours(connection: &Connection, version: u32, folder: &Path) -> Result<()> {
    let path = folder.join(DATABASE_FILE);
    let refused = |what: &str| Err(Error::Refused { reason: format!("{} {what}", path.display()) });
    let (tables, ours) = tables(connection)?;
    match version {
        0 if tables == 0 => Ok(()),
        0 if ours => refused("has lost the version of its schema: restore a backup"),
        _ if ours => Ok(()),
        _ => refused("is a database of another program: it was not changed"),
    }
}

/// How many tables and indexes a database has, and whether those of a store are among them.
fn tables(connection: &Connection) -> Result<(i64, bool)> {
    let query = "SELECT count(*), count(*) FILTER (WHERE type = 'table' AND name IN ('meta', 'records', 'changes')) = 3
        FROM sqlite_schema";
    connection
        .query_row(query, [], |columns| Ok((columns.get(0)?, columns.get(1)?)))
        .map_err(Error::sqlite("look what a database holds"))
}

/// Refuses a database that is no copy of a store: a file that is empty, or another program's. It would be taken for a
/// store that holds nothing. `path` is what it is called in the error.
pub(super) fn must_be_a_copy(connection: &Connection, path: &Path) -> Result<()> {
    let refused = |what: &str| {
        let reason = format!("{} is no backup of a store: {what}; nothing was changed", path.display());
        Err(Error::Refused { reason })
    };
    let (tables, ours) = match tables(connection) {
        Ok(found) => found,
        Err(Error::Sqlite { source, .. }) if source.sqlite_error_code() == Some(rusqlite::ErrorCode::NotADatabase) => {
            return refused("it is no SQLite database");
        }
        Err(error) => return Err(error),
    };
    match () {
        () if tables == 0 => refused("it is empty"),
        () if !ours => refused("it is a database of another program"),
        () if version(connection)? == 0 => refused("it does not say the version of its schema"),
        () if store_id(connection)?.is_none() => refused("it does not say which store it is a copy of"),
        () => Ok(()),
    }
}

/// Whether this is a store that nothing was written to and that lacks its name or its epoch.
fn is_unfinished(connection: &Connection) -> Result<bool> {
    let query = "SELECT (SELECT count(*) FROM meta WHERE name IN ('store', 'epoch')) < 2
        AND NOT EXISTS (SELECT 1 FROM changes) AND NOT EXISTS (SELECT 1 FROM records)";
    connection.query_row(query, [], |row| row.get(0)).map_err(Error::sqlite("look whether the store is finished"))
}

fn store_id(connection: &Connection) -> Result<Option<StoreId>> {
    let bytes: Option<[u8; 16]> = connection
        .query_row("SELECT value FROM meta WHERE name = 'store'", [], |row| row.get(0))
        .optional()
        .map_err(Error::sqlite("read the store's id"))?;
    Ok(bytes.map(StoreId::from_bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_migrations_are_valid() {
        Migrations::from_slice(MIGRATIONS).validate().unwrap();
    }
}

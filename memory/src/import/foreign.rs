//! Other tools' SQLite databases, read without changing or trusting them.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, OptionalExtension};

use crate::error::{Error, Result};

/// How long to wait for the tool that has its database locked.
const BUSY_WAIT: Duration = Duration::from_secs(2);

/// The largest value that is read: a part of a message holds a tool's whole output.
pub(crate) const VALUE_BYTES_MAX: i64 = 16 << 20;

/// Opens a database for reading alone. The tool may go on writing to it.
pub(crate) fn open(path: &Path) -> Result<Connection> {
    let facts = std::fs::metadata(path).map_err(Error::io("read the transcript", path))?;
    if !facts.is_file() {
        return Err(super::transcript::refused(path, "it is no file"));
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let usable = |connection: Connection| -> rusqlite::Result<Connection> {
        connection.busy_timeout(BUSY_WAIT)?;
        connection.execute_batch(
            "PRAGMA query_only = ON; PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON;
             PRAGMA cache_size = -4096; PRAGMA mmap_size = 0;",
        )?;
        // The first look at the file tells whether it is a database that can be read.
        connection.query_row("SELECT count(*) FROM sqlite_master", [], |row| row.get::<_, i64>(0))?;
        Ok(connection)
    };
    let direct = Connection::open_with_flags(path, flags).and_then(usable);
    direct.or_else(|first| {
        // A folder that cannot be written to cannot hold what sharing a write-ahead log needs.
        let encoded: String = path
            .to_string_lossy()
            .chars()
            .map(|c| match c {
                '?' => "%3f".to_owned(),
                '#' => "%23".to_owned(),
                '%' => "%25".to_owned(),
                c => c.to_string(),
            })
            .collect();
        let address = format!("file:{encoded}?mode=ro&immutable=1");
        Connection::open_with_flags(address, flags | OpenFlags::SQLITE_OPEN_URI)
            .and_then(usable)
            .map_err(|_| super::transcript::refused(path, format!("its database cannot be read: {first}")))
    })
}

/// Whether there is such a table: a view of the name might compute forever.
pub(crate) fn table_exists(connection: &Connection, name: &str) -> rusqlite::Result<bool> {
    let found: Option<i64> = connection
        .query_row("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?1", [name], |row| row.get(0))
        .optional()?;
    Ok(found.is_some())
}

//! OpenCode's SQLite database.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension, params};

use super::{Gathered, TOOL, about, say};
use crate::error::Result;
use crate::import::foreign::{self, table_exists};
use crate::import::node::Node;
use crate::import::transcript::{Sink, Transcript, refused, time};
use crate::import::{Cursor, Report};

/// The most sessions of one database.
const SESSIONS_MAX: usize = 1_000_000;

/// The most messages of one session, and parts of one message.
const ROWS_MAX: usize = 100_000;

/// For how long a message that is not said to be finished is taken for one that is being written.
const WRITING_MS: i64 = 600_000;

pub(super) fn read(path: &Path, from: Option<&Cursor>, sink: Sink<'_>) -> Result<Report> {
    let mut transcript = Transcript::new(TOOL, path, None);
    let database = foreign::open(path)?;
    let wrong = |error: rusqlite::Error| refused(path, format!("its database cannot be read: {error}"));
    for table in ["session", "message", "part"] {
        if !table_exists(&database, table).map_err(wrong)? {
            return Err(refused(
                path,
                format!("it has no table {table}: this is no store of OpenCode's, or a new kind"),
            ));
        }
    }
    let latest = |table: &str| -> rusqlite::Result<i64> {
        database.query_row(&format!("SELECT coalesce(max(time_updated), 0) FROM {table}"), [], |row| row.get(0))
    };
    let newest = latest("part").and_then(|part| Ok(part.max(latest("message")?))).map_err(wrong)?;
    let newest = newest.max(0);
    // `offset` is how far in time the database was read: what changed later is read again by session.
    let since = from.map_or(0, |cursor| i64::try_from(cursor.offset).unwrap_or(0));
    transcript.report.restarted = since > newest;
    let since = if since > newest { 0 } else { since };
    let sessions = sessions(&database, since).map_err(wrong)?;
    for (number, id) in sessions.iter().enumerate() {
        match session(&mut transcript, &database, id, newest, sink) {
            Ok(flow) if flow.is_break() => {
                transcript.report.stopped = true;
                return Ok(transcript.finish(from.cloned().unwrap_or_default(), sink));
            }
            Ok(_) => {}
            Err(error) => transcript.report.skip(number as u64 + 1, format!("session {id}: {error}")),
        }
    }
    let offset = newest as u64;
    // What is still being written is read again.
    let offset = if transcript.report.partial_bytes > 0 { offset.saturating_sub(WRITING_MS as u64) } else { offset };
    Ok(transcript.finish(Cursor { offset, ..Cursor::default() }, sink))
}

/// The sessions that changed at `since` or later, the oldest first.
fn sessions(database: &Connection, since: i64) -> rusqlite::Result<Vec<String>> {
    let mut select = database.prepare(
        "SELECT id FROM session WHERE id IN (SELECT session_id FROM message WHERE time_updated >= ?1
             UNION SELECT session_id FROM part WHERE time_updated >= ?1)
         ORDER BY time_created, id LIMIT ?2",
    )?;
    let rows = select.query_map(params![since, SESSIONS_MAX as i64], |row| row.get(0))?;
    rows.collect()
}

fn session(
    transcript: &mut Transcript,
    database: &Connection,
    id: &str,
    newest: i64,
    sink: Sink<'_>,
) -> rusqlite::Result<std::ops::ControlFlow<()>> {
    transcript.enter(id);
    let mut select = database.prepare_cached(
        "SELECT json_object('title', title, 'directory', directory, 'parentID', parent_id,
             'time', json_object('created', time_created)) FROM session WHERE id = ?1",
    )?;
    let text: String = select.query_row([id], |row| row.get(0))?;
    if let Ok(node) = Node::parse(&text) {
        about(transcript, &node.fields());
    }
    let mut ids =
        database.prepare_cached("SELECT id FROM message WHERE session_id = ?1 ORDER BY time_created, id LIMIT ?2")?;
    let ids: Vec<String> = ids.query_map(params![id, ROWS_MAX as i64], |row| row.get(0))?.collect::<Result<_, _>>()?;
    for (place, message_id) in ids.iter().enumerate() {
        let mut data =
            database.prepare_cached("SELECT data FROM message WHERE id = ?1 AND octet_length(data) <= ?2")?;
        let data: Option<String> =
            data.query_row(params![message_id, foreign::VALUE_BYTES_MAX], |row| row.get(0)).optional()?;
        let Ok(node) = Node::parse(data.as_deref().unwrap_or_default()) else {
            transcript.report.skip(place as u64 + 1, format!("message {message_id} does not parse"));
            continue;
        };
        let mut gathered = Gathered::default();
        let mut parts = database.prepare_cached(
            "SELECT id, data FROM part WHERE message_id = ?1 AND octet_length(data) <= ?3 ORDER BY id LIMIT ?2",
        )?;
        let mut rows = parts.query(params![message_id, ROWS_MAX as i64, foreign::VALUE_BYTES_MAX])?;
        while let Some(row) = rows.next()? {
            let (part_id, data): (String, String) = (row.get(0)?, row.get(1)?);
            if let Ok(part) = Node::parse(&data) {
                gathered.part(part, &part_id);
            }
        }
        let message = node.fields();
        let created = time(message.get("time").get("created")).map_or(0, |at| at.as_millisecond());
        let may_grow = place + 1 == ids.len() && newest - created < WRITING_MS && is_recent(created);
        let flow = say(transcript, message_id, &message, gathered, may_grow, sink);
        if flow.is_break() {
            return Ok(flow);
        }
    }
    Ok(std::ops::ControlFlow::Continue(()))
}

fn is_recent(created_ms: i64) -> bool {
    jiff::Timestamp::now().as_millisecond() - created_ms < WRITING_MS
}

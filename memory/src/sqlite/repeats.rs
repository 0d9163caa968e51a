//! Exact repeats of a message: its words are stored once, and counted.
//!
//! Transcripts repeat themselves: a session that is resumed or forked is written anew into another file, a tool prints
//! the same page again, a prompt is sent to ten sessions. Each such turn keeps a row of its own, so that every session
//! reads as it was said and provenance stays whole, but its body says only *as in row N*, and what differs: its place,
//! which is a column, and the ids of its calls.
//!
//! Two turns are exact repeats when they are of one scope and all else they say is the same, byte for byte. `prints`
//! finds the row that holds a text, `repeats` the rows that lean on it. A repeat never leans on another repeat. Before
//! the text of a holder changes or goes, its first repeat takes it over ([`release`]); what the others say stays.

use rusqlite::{Connection, OptionalExtension, params};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::Xxh3;

use super::codec::CodecNumber;
use super::row::{COLUMNS, RawRow};
use super::writer::Writing;
use crate::error::{Error, Result};
use crate::record::{Body, Message, Record};
use crate::store::Row;

/// The codec of a body that is another row's: never given out as the number of a dictionary.
pub(super) const REPEAT: CodecNumber = 2;

/// Messages with less to say than this, in bytes, are stored each for itself: compressed, they take hardly more room
/// than what it takes to lean on another.
const SHARED_FROM_BYTES: usize = 160;

/// A print is kept in the key of a row, where small numbers take less room; what it finds is compared byte by byte.
const PRINT_BITS: u32 = 48;

/// How long the fixed part of a repeat's body is: the holder's row and the print.
const FIXED_BYTES: usize = 16;

const DOING: &str = "look for what a message repeats";

/// The body of a row that repeats another.
#[derive(Debug, PartialEq)]
pub(super) struct Repeat {
    /// The row that holds the words.
    holder: i64,
    /// What the holder must say.
    print: u64,
    ids: Ids,
}

/// The ids of a message's calls, which name each call anew.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Ids {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    calls: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    answers: Option<String>,
}

impl Repeat {
    fn of(holder: i64, print: u64, message: &Message) -> Repeat {
        let ids = Ids {
            calls: message.tool_calls.iter().map(|call| call.call.clone()).collect(),
            answers: message.tool_result.as_ref().map(|result| result.call.clone()),
        };
        Repeat { holder, print, ids }
    }

    /// A stored body; `None` when it is none of a repeat.
    pub(super) fn read(bytes: &[u8]) -> Option<Repeat> {
        let (holder, rest) = bytes.split_first_chunk::<8>()?;
        let (print, ids) = rest.split_first_chunk::<8>()?;
        let ids = if ids.is_empty() { Ids::default() } else { serde_json::from_slice(ids).ok()? };
        Some(Repeat { holder: i64::from_le_bytes(*holder), print: u64::from_le_bytes(*print), ids })
    }

    fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(FIXED_BYTES);
        bytes.extend_from_slice(&self.holder.to_le_bytes());
        bytes.extend_from_slice(&self.print.to_le_bytes());
        if self.ids != Ids::default() {
            // Strings alone, which JSON can always say.
            bytes.extend(serde_json::to_vec(&self.ids).unwrap_or_default());
        }
        bytes
    }

    /// The row that holds the words.
    pub(super) fn holder(&self) -> i64 {
        self.holder
    }

    /// The message of a repeat at this place, from what its holder says, or why it cannot be had.
    pub(super) fn message(self, scope: i64, position: Option<i64>, held: Body) -> Result<Body, String> {
        let Body::Message(mut message) = held else { return Err("what it repeats is no message".to_owned()) };
        let fits = print_of(scope, &message) == self.print && self.ids.calls.len() == message.tool_calls.len();
        if !fits {
            return Err(format!("row {}, which it repeats, says something else", self.holder));
        }
        message.position = position.and_then(|position| position.try_into().ok()).unwrap_or_default();
        for (call, id) in message.tool_calls.iter_mut().zip(self.ids.calls) {
            call.call = id;
        }
        if let Some(result) = &mut message.tool_result {
            result.call = self.ids.answers.unwrap_or_default();
        }
        Ok(Body::Message(message))
    }
}

/// What a message says, wherever it stands and whatever its calls are named, as one number.
fn print_of(scope: i64, message: &Message) -> u64 {
    let mut sum = Xxh3::new();
    let mut text = |text: Option<&str>| {
        sum.update(&text.map_or(u64::MAX, |text| text.len() as u64).to_le_bytes());
        sum.update(text.unwrap_or_default().as_bytes());
    };
    text(Some(&message.text));
    text(message.caption.as_deref());
    text(message.speaker.as_deref());
    for call in &message.tool_calls {
        text(Some(&call.tool));
        text(Some(&call.arguments));
    }
    text(message.tool_result.as_ref().map(|result| result.tool.as_str()));
    let ok = message.tool_result.as_ref().and_then(|result| result.ok);
    sum.update(&scope.to_le_bytes());
    sum.update(&[message.role.code(), message.form.code(), ok.map_or(2, u8::from), message.tool_calls.len() as u8]);
    sum.digest() >> (u64::BITS - PRINT_BITS)
}

/// Whether two messages are repeats of each other.
fn is_repeat(one: &Message, other: &Message) -> bool {
    let calls = |message: &Message| {
        message.tool_calls.iter().map(|call| (call.tool.clone(), call.arguments.clone())).collect::<Vec<_>>()
    };
    let result = |message: &Message| message.tool_result.as_ref().map(|result| (result.tool.clone(), result.ok));
    (one.role, one.form, &one.text) == (other.role, other.form, &other.text)
        && (&one.caption, &one.speaker) == (&other.caption, &other.speaker)
        && calls(one) == calls(other)
        && result(one) == result(other)
}

fn bytes_of(message: &Message) -> usize {
    message.text.len() + message.tool_calls.iter().map(|call| call.arguments.len()).sum::<usize>()
}

/// The body of this row as it is to be stored: a repeat's where a row of the same scope says the same already.
pub(super) fn body_for(writing: &mut Writing, row: i64, scope: i64, body: &Body) -> Result<(CodecNumber, Vec<u8>)> {
    if let Body::Message(message) = body
        && bytes_of(message) >= SHARED_FROM_BYTES
        && let Some(repeat) = repeat_of(writing, row, scope, message)?
    {
        writing
            .connection()
            .prepare_cached("INSERT INTO repeats (holder, row) VALUES (?1, ?2)")
            .and_then(|mut insert| insert.execute(params![repeat.holder, row]))
            .map_err(Error::sqlite(DOING))?;
        return Ok((REPEAT, repeat.to_bytes()));
    }
    writing.encode(body)
}

/// What this message repeats; `None` where it is the first to say so, which is then noted.
fn repeat_of(writing: &mut Writing, row: i64, scope: i64, message: &Message) -> Result<Option<Repeat>> {
    let print = print_of(scope, message);
    let note = |connection: &Connection| -> rusqlite::Result<Option<i64>> {
        let first = connection
            .prepare_cached("INSERT INTO prints (print, row) VALUES (?1, ?2) ON CONFLICT DO NOTHING")?
            .execute(params![print as i64, row])?;
        if first == 1 {
            return Ok(None);
        }
        connection
            .prepare_cached("SELECT row FROM prints WHERE print = ?1")?
            .query_row([print as i64], |columns| columns.get(0))
            .optional()
    };
    let Some(holder) = note(writing.connection()).map_err(Error::sqlite(DOING))?.filter(|holder| *holder != row) else {
        return Ok(None);
    };
    let (connection, reader) = writing.rows();
    let held = match by_row(connection, holder)? {
        Some(raw) if raw.codec != REPEAT && raw.scope == scope => reader.decode(connection, raw)?.ok(),
        _ => None,
    };
    match held.and_then(|held| held.stored).map(|stored| stored.record.body) {
        Some(Body::Message(held)) if is_repeat(&held, message) => Ok(Some(Repeat::of(holder, print, message))),
        // Another text of the same number, which is as good as impossible.
        Some(_) => Ok(None),
        // Damaged or gone: from now on this row holds the words.
        None => {
            point(writing.connection(), print, row)?;
            Ok(None)
        }
    }
}

fn point(connection: &Connection, print: u64, row: i64) -> Result<()> {
    connection
        .prepare_cached("UPDATE prints SET row = ?2 WHERE print = ?1")
        .and_then(|mut update| update.execute(params![print as i64, row]))
        .map_err(Error::sqlite(DOING))?;
    Ok(())
}

pub(super) fn by_row(connection: &Connection, row: i64) -> Result<Option<RawRow>> {
    let doing = "read what a message repeats";
    let sql = format!("SELECT {COLUMNS} FROM records WHERE row = ?1");
    let mut select = connection.prepare_cached(&sql).map_err(Error::sqlite(doing))?;
    match select.query_row([row], RawRow::from_columns).optional() {
        Ok(raw) => Ok(raw),
        Err(error) if super::row::is_damage(&error) => Ok(None),
        Err(source) => Err(Error::Sqlite { doing, source }),
    }
}

/// Lets a row go out of what is shared, before its body changes or goes: the rows that lean on it are given the words.
///
/// What they say stays the same, so the log says nothing of it.
pub(super) fn release(writing: &mut Writing, raw: &RawRow, record: &Record) -> Result<()> {
    let Body::Message(message) = &record.body else { return Ok(()) };
    let doing = "hand a repeated text on";
    if raw.codec == REPEAT {
        let Some(repeat) = raw.body.as_deref().and_then(Repeat::read) else { return Ok(()) };
        writing
            .connection()
            .execute("DELETE FROM repeats WHERE holder = ?1 AND row = ?2", [repeat.holder, raw.row])
            .map_err(Error::sqlite(doing))?;
        return Ok(());
    }
    if bytes_of(message) < SHARED_FROM_BYTES {
        return Ok(());
    }
    let print = print_of(raw.scope, message);
    let mut heir: Option<i64> = None;
    for row in leaning(writing.connection(), raw.row)? {
        let (connection, reader) = writing.rows();
        let Some(mut own) = by_row(connection, row)? else { continue };
        // A damaged row stays as it is, for the check to report.
        let Ok(names) = reader.verified_names(connection, &own)? else { continue };
        let Ok(decoded) = reader.decode(connection, own.clone())? else { continue };
        let Some(Body::Message(said)) = decoded.stored.map(|stored| stored.record.body) else { continue };
        (own.codec, own.body) = match heir {
            Some(heir) => (REPEAT, Some(Repeat::of(heir, print, &said).to_bytes())),
            None => {
                let (codec, body) = writing.encode(&Body::Message(said))?;
                (codec, Some(body))
            }
        };
        own.checksum = own.checksum_with(names.0.path(), &names.1, names.2.as_deref());
        writing
            .connection()
            .prepare_cached("UPDATE records SET codec = ?2, body = ?3, checksum = ?4 WHERE row = ?1")
            .and_then(|mut update| update.execute(params![own.row, own.codec, own.body, own.checksum]))
            .map_err(Error::sqlite(doing))?;
        heir.get_or_insert(row);
    }
    let settle = |connection: &Connection| -> rusqlite::Result<()> {
        if let Some(heir) = heir {
            connection.execute("DELETE FROM repeats WHERE holder = ?1 AND row = ?2", [raw.row, heir])?;
            connection.execute("UPDATE repeats SET holder = ?2 WHERE holder = ?1", [raw.row, heir])?;
            connection.execute(
                "UPDATE prints SET row = ?3 WHERE print = ?1 AND row = ?2",
                params![print as i64, raw.row, heir],
            )?;
        } else {
            // A print of words that are gone would still say that they were there.
            connection.execute("DELETE FROM prints WHERE print = ?1 AND row = ?2", params![print as i64, raw.row])?;
        }
        Ok(())
    };
    settle(writing.connection()).map_err(Error::sqlite(doing))
}

fn leaning(connection: &Connection, holder: i64) -> Result<Vec<i64>> {
    let select = || -> rusqlite::Result<Vec<i64>> {
        connection
            .prepare_cached("SELECT row FROM repeats WHERE holder = ?1 ORDER BY row")?
            .query_map([holder], |columns| columns.get(0))?
            .collect()
    };
    select().map_err(Error::sqlite(DOING))
}

/// Whether any record repeats another.
pub(super) fn any(connection: &Connection) -> Result<bool> {
    connection
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM repeats)")
        .and_then(|mut select| select.query_row([], |columns| columns.get(0)))
        .map_err(Error::sqlite("look for repeats"))
}

/// How many other live records say exactly what this row says.
pub(super) fn count(connection: &Connection, row: Row) -> Result<u32> {
    let find = || -> rusqlite::Result<i64> {
        // Of a repeat its holder, of a holder itself; most rows are neither.
        let body: Option<Vec<u8>> = connection
            .prepare_cached("SELECT body FROM records WHERE row = ?1 AND codec = ?2")?
            .query_row([row.0, REPEAT], |columns| columns.get(0))
            .optional()?;
        let holder = body.as_deref().and_then(Repeat::read).map_or(row.0, |repeat| repeat.holder);
        connection
            .prepare_cached(
                "SELECT count(*) FROM records WHERE row != ?2 AND deleted_at_ms IS NULL
                     AND (row = ?1 OR row IN (SELECT row FROM repeats WHERE holder = ?1))",
            )?
            .query_row([holder, row.0], |columns| columns.get(0))
    };
    let number = find().map_err(Error::sqlite("count the repeats of a record"))?;
    Ok(number.try_into().unwrap_or(u32::MAX))
}

/// Whether rows and the table of repeats agree; otherwise what does not.
pub(super) fn check(connection: &Connection) -> Result<Option<String>> {
    let count = |sql: &str| connection.query_row(sql, [], |columns| columns.get::<_, i64>(0));
    let find = || -> rusqlite::Result<(i64, i64)> {
        let rows = count(&format!("SELECT count(*) FROM records WHERE codec = {REPEAT} AND body IS NOT NULL"))?;
        let kept = count(&format!(
            "SELECT count(*) FROM repeats JOIN records ON records.row = repeats.row WHERE codec = {REPEAT}"
        ))?;
        Ok((rows, kept))
    };
    let (rows, kept) = find().map_err(Error::sqlite("check the repeats"))?;
    Ok((rows != kept).then(|| format!("{rows} records repeat another, and the table of repeats names {kept}")))
}

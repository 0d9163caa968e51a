//! The store of Cursor's command line: messages as blobs named by their content's hash, and a root that lists them.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension, params};
use rustc_hash::FxHashMap;

use super::{TOOL, say};
use crate::error::Result;
use crate::import::foreign::{self, table_exists};
use crate::import::node::Node;
use crate::import::transcript::{Sink, Transcript, refused, time};
use crate::import::{Cursor, Folder, Report, lines};

/// The most messages of one store.
const MESSAGES_MAX: usize = 100_000;

/// How deep lists of blobs within blobs are followed.
const DEPTH_MAX: usize = 6;

/// How many blobs are looked at: lists that name themselves would go on forever.
const BLOBS_MAX: usize = 4 * MESSAGES_MAX;

/// A blob's name has as many bytes: it is a SHA-256.
const NAME_BYTES: usize = 32;

pub(super) fn read(path: &Path, from: Option<&Cursor>, sink: Sink<'_>) -> Result<Report> {
    let mut transcript = Transcript::new(TOOL, path, None);
    let wrong = |error: rusqlite::Error| refused(path, format!("its database cannot be read: {error}"));
    let database = foreign::open(path)?;
    for table in ["blobs", "meta"] {
        if !table_exists(&database, table).map_err(wrong)? {
            return Err(refused(path, format!("it has no table {table}: this is no store of Cursor's, or a new kind")));
        }
    }
    // …/chats/<project>/<session>/store.db
    if transcript.current == "store"
        && let Some(folder) = path.parent().and_then(Path::file_name)
    {
        transcript.current = folder.to_string_lossy().into_owned();
    }
    let mut root = String::new();
    if let Some(about) = about(&database).map_err(wrong)? {
        // A value that was cut still says what stands before the cut.
        if let Ok(node) = Node::parse(&about) {
            let fields = node.fields();
            let id = fields.text("agentId");
            if !id.is_empty() {
                transcript.enter(&id);
            }
            transcript.at(time(fields.get("createdAt")));
            let name = fields.text("name");
            if name != "New Agent" {
                transcript.titled(&name, 2);
            }
            root = fields.text("latestRootBlobId").into_owned();
        }
    }
    let up = |levels: usize| path.ancestors().nth(levels)?.file_name()?.to_str();
    if let (Some(project), Some("chats")) = (up(2), up(3)) {
        transcript.held_in_named(Folder::Hash(project.to_owned()));
    }
    let mut messages = Vec::new();
    let mut blobs_left = BLOBS_MAX;
    listed(&database, &root, 0, &mut blobs_left, &mut messages).map_err(wrong)?;
    if messages.is_empty() {
        messages = all(&database).map_err(wrong)?;
    }
    let count = messages.len() as u64;
    // Blobs are never changed: the same list is the same session.
    let last = messages.last().map_or(0, |name| xxhash_rust::xxh3::xxh3_64(name.as_bytes()));
    let cursor = Cursor { offset: count, head: last, ..Cursor::default() };
    if let Some(from) = from.filter(|from| count > 0 && from.offset == count && from.head == last) {
        transcript.report.cursor = from.clone();
        return Ok(transcript.report);
    }
    // The same words said twice are the same blob.
    let mut met: FxHashMap<String, u32> = FxHashMap::default();
    for name in messages {
        transcript.report.lines += 1;
        let times = met.entry(name.clone()).or_insert(0);
        *times += 1;
        let part = if *times > 1 { times.to_string() } else { String::new() };
        let Some(bytes) = blob(&database, &name).map_err(wrong)? else { continue };
        let text = lines::mended_document(&bytes);
        let Ok(node) = Node::parse(&text) else { continue };
        let fields = node.fields();
        let key = transcript.key(&name, &part, &bytes);
        if say(&mut transcript, &key, &fields.text("role"), fields.get("content"), false, sink).is_break() {
            transcript.report.stopped = true;
            return Ok(transcript.finish(Cursor::default(), sink));
        }
    }
    Ok(transcript.finish(cursor, sink))
}

/// What the store says of its session: JSON, as it is or in hexadecimal digits.
fn about(database: &Connection) -> rusqlite::Result<Option<String>> {
    let value: Option<String> =
        database.query_row("SELECT CAST(value AS TEXT) FROM meta WHERE key = '0'", [], |row| row.get(0)).optional()?;
    Ok(value.map(|value| if value.starts_with('{') { value } else { unhex(&value) }))
}

fn unhex(digits: &str) -> String {
    let pairs = digits.as_bytes().chunks_exact(2);
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    String::from_utf8_lossy(&pairs.map_while(byte).collect::<Vec<u8>>()).into_owned()
}

fn blob(database: &Connection, name: &str) -> rusqlite::Result<Option<Vec<u8>>> {
    let mut select =
        database.prepare_cached("SELECT CAST(data AS BLOB) FROM blobs WHERE id = ?1 AND octet_length(data) <= ?2")?;
    select.query_row(params![name, foreign::VALUE_BYTES_MAX], |row| row.get(0)).optional()
}

/// Adds the names of the messages that a blob lists, in order; a blob that is a message lists itself.
fn listed(
    database: &Connection,
    name: &str,
    depth: usize,
    blobs_left: &mut usize,
    messages: &mut Vec<String>,
) -> rusqlite::Result<()> {
    if name.is_empty() || depth > DEPTH_MAX || messages.len() >= MESSAGES_MAX || *blobs_left == 0 {
        return Ok(());
    }
    *blobs_left -= 1;
    let Some(bytes) = blob(database, name)? else { return Ok(()) };
    if bytes.first() == Some(&b'{') {
        if is_message(&bytes) {
            messages.push(name.to_owned());
        }
        return Ok(());
    }
    for field in fields(&bytes) {
        if field.len() == NAME_BYTES {
            let inner: String = field.iter().map(|byte| format!("{byte:02x}")).collect();
            listed(database, &inner, depth + 1, blobs_left, messages)?;
        }
    }
    Ok(())
}

fn is_message(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    Node::parse(&text).is_ok_and(|node| node.fields().has("role"))
}

/// The length-delimited fields of a protobuf message, as far as it is one.
fn fields(mut bytes: &[u8]) -> Vec<&[u8]> {
    let mut fields = Vec::new();
    while !bytes.is_empty() && fields.len() < MESSAGES_MAX {
        let Some(tag) = varint(&mut bytes) else { break };
        match tag & 7 {
            0 => {
                if varint(&mut bytes).is_none() {
                    break;
                }
            }
            2 => {
                let Some(length) = varint(&mut bytes).and_then(|length| usize::try_from(length).ok()) else { break };
                let Some((field, rest)) = bytes.split_at_checked(length) else { break };
                fields.push(field);
                bytes = rest;
            }
            kind @ (1 | 5) => {
                let Some((_, rest)) = bytes.split_at_checked(if kind == 1 { 8 } else { 4 }) else { break };
                bytes = rest;
            }
            _ => break,
        }
    }
    fields
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

/// All blobs that are messages, in the order in which they were added.
fn all(database: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut select = database.prepare(
        "SELECT id FROM blobs WHERE octet_length(data) <= ?2 AND substr(CAST(data AS TEXT), 1, 1) = '{' AND CAST(data AS TEXT) LIKE '%\"role\"%'
         ORDER BY rowid LIMIT ?1",
    )?;
    let rows = select.query_map(params![MESSAGES_MAX as i64, foreign::VALUE_BYTES_MAX], |row| row.get(0))?;
    rows.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn any_bytes_are_taken_apart_without_panic(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200)) {
            let _ = fields(&bytes);
            let _ = unhex(&String::from_utf8_lossy(&bytes));
        }
    }

    #[test]
    fn fields_of_a_message_are_found() {
        let mut bytes = vec![0x0a, 32];
        bytes.extend([7; 32]);
        bytes.extend([0x10, 0x96, 0x01, 0x12, 2, b'h', b'i']);
        assert_eq!(fields(&bytes), [[7; 32].as_slice(), b"hi"]);
    }
}

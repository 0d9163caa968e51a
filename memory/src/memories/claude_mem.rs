//! claude-mem's database: observations become notes, summaries of sessions become episodes. Its versions have different
//! columns, so that each is taken where it is there. Its copies of prompts are left out: they are messages of Claude Code's
//! sessions, which keep them with their answers.

use std::collections::HashSet;

use rusqlite::Connection;
use rusqlite::types::ValueRef;
use serde_json::Value;

use super::{Found, Reading, time};
use crate::error::{Error, Result};
use crate::import::foreign::{self, VALUE_BYTES_MAX};
use crate::record::{Episode, Note};

pub(super) fn read(reading: &mut Reading) -> Result<()> {
    let doing = "read claude-mem's database";
    let connection = foreign::open(reading.path)?;
    let tables: HashSet<String> = connection
        // What only looks like a table might compute forever.
        .prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND sql LIKE 'CREATE TABLE%'")
        .and_then(|mut select| select.query_map([], |columns| columns.get(0))?.collect())
        .map_err(Error::sqlite(doing))?;
    if !tables.contains("observations") && !tables.contains("session_summaries") {
        let reason = format!("{} has none of claude-mem's tables", reading.path.display());
        return Err(Error::Refused { reason });
    }
    if tables.contains("observations") && !rows(reading, &connection, "observations", &mut observation)? {
        return Ok(());
    }
    if tables.contains("user_prompts") {
        let count = connection.query_row("SELECT count(*) FROM user_prompts", [], |columns| columns.get::<_, i64>(0));
        // Where they cannot even be counted, damage is reported with what is read.
        let prompts = count.unwrap_or_default();
        reading.report.left_out = (prompts > 0).then_some(("prompt", prompts.unsigned_abs()));
    }
    if tables.contains("session_summaries") {
        rows(reading, &connection, "session_summaries", &mut summary)?;
    }
    Ok(())
}

/// Calls `see` with each row of a table; answers whether all were seen. A row that cannot be read is a problem.
fn rows(
    reading: &mut Reading,
    connection: &Connection,
    table: &str,
    see: &mut dyn FnMut(&mut Reading, u64, &Value) -> bool,
) -> Result<bool> {
    let doing = "read claude-mem's database";
    let sql = format!("SELECT * FROM {table} ORDER BY rowid");
    let mut select = connection.prepare(&sql).map_err(Error::sqlite(doing))?;
    // As bytes: the names of a damaged schema may be no text, and to ask a statement for them would panic.
    let names: Vec<Vec<u8>> = connection
        .prepare("SELECT CAST(name AS BLOB) FROM pragma_table_info(?1) ORDER BY cid")
        .and_then(|mut select| select.query_map([table], |columns| columns.get(0))?.collect())
        .map_err(Error::sqlite(doing))?;
    let mut rows = select.query([]).map_err(Error::sqlite(doing))?;
    let mut number = 0;
    loop {
        number += 1;
        let columns = match rows.next() {
            Ok(Some(columns)) => columns,
            Ok(None) => return Ok(true),
            Err(error) => {
                // Nothing can be read past damage.
                reading.problem(number, format!("{table} cannot be read from here on: {error}"));
                return Ok(true);
            }
        };
        let mut row = serde_json::Map::new();
        let too_long = |at: usize| match columns.get_ref(at) {
            Ok(ValueRef::Text(bytes) | ValueRef::Blob(bytes)) => bytes.len() as i64 > VALUE_BYTES_MAX,
            _ => false,
        };
        if (0..names.len()).any(too_long) {
            reading.problem(number, format!("a row of {table} has a value longer than {VALUE_BYTES_MAX} bytes"));
            continue;
        }
        for (at, name) in names.iter().map(|name| String::from_utf8_lossy(name)).enumerate() {
            let value = match columns.get_ref(at) {
                Ok(ValueRef::Integer(number)) => Value::from(number),
                Ok(ValueRef::Real(number)) => Value::from(number),
                Ok(ValueRef::Text(text)) => Value::from(String::from_utf8_lossy(text)),
                _ => Value::Null,
            };
            row.insert(name.into_owned(), value);
        }
        if !see(reading, number, &Value::Object(row)) {
            return Ok(false);
        }
    }
}

fn text<'v>(row: &'v Value, name: &str) -> Option<&'v str> {
    row[name].as_str().map(str::trim).filter(|text| !text.is_empty())
}

/// A list that is kept as JSON in a text column.
fn list(row: &Value, name: &str) -> Vec<String> {
    let parsed = text(row, name).and_then(|text| serde_json::from_str::<Vec<String>>(text).ok());
    parsed.unwrap_or_default().into_iter().filter(|entry| !entry.trim().is_empty()).collect()
}

fn at(row: &Value) -> Option<jiff::Timestamp> {
    time(&row["created_at_epoch"]).or_else(|| time(&row["created_at"]))
}

fn observation(reading: &mut Reading, number: u64, row: &Value) -> bool {
    let mut lines: Vec<String> = Vec::new();
    match (text(row, "title"), text(row, "subtitle")) {
        (Some(title), Some(subtitle)) => lines.push(format!("{title}: {subtitle}")),
        (Some(title), None) => lines.push(title.to_owned()),
        (None, subtitle) => lines.extend(subtitle.map(str::to_owned)),
    }
    lines.extend(["narrative", "text", "content"].iter().find_map(|name| text(row, name)).map(str::to_owned));
    lines.extend(list(row, "facts").into_iter().map(|fact| format!("- {fact}")));
    if lines.is_empty() {
        reading.problem(number, "an observation without a text");
        return true;
    }
    let mut tags: Vec<String> = text(row, "type").map(str::to_owned).into_iter().collect();
    tags.extend(list(row, "concepts"));
    reading.give(Found {
        body: Note::new(lines.join("\n")).into(),
        key: format!("observation-{}", row["id"].as_i64().unwrap_or(number as i64)),
        created_at: at(row),
        tags,
        owner: text(row, "project").map(str::to_owned),
    })
}

fn summary(reading: &mut Reading, number: u64, row: &Value) -> bool {
    let Some(request) = ["request", "completed", "learned"].iter().find_map(|name| text(row, name)) else {
        reading.problem(number, "a summary without a request");
        return true;
    };
    let mut episode = Episode::new(request);
    episode.lesson = text(row, "learned").map(str::to_owned);
    episode.reason = text(row, "completed").map(str::to_owned);
    reading.give(Found {
        body: episode.into(),
        key: format!("summary-{}", row["id"].as_i64().unwrap_or(number as i64)),
        created_at: at(row),
        tags: Vec::new(),
        owner: text(row, "project").map(str::to_owned),
    })
}

//! The stores of other memories, read and never changed.
//!
//! | store | what is read |
//! | --- | --- |
//! | mem0 export (JSON) | `memory`, `text` or `data` of each entry, wherever the list stands |
//! | reference MCP memory server (`memory.json`, JSON Lines) | each observation of each entity, each relation |
//! | claude-mem (SQLite) | observations, session summaries and prompts |
//! | a folder of Markdown | each paragraph and list item, with its file and line |

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use jiff::Timestamp;
use rusqlite::{Connection, OpenFlags};
use serde_json::Value;

use super::Item;
use crate::report::Advice;

/// The largest file that is read: a JSON export is held whole.
const FILE_BYTES_MAX: u64 = 512 << 20;

/// The most files of a folder of Markdown; beyond it a folder was named that holds something else.
const FILES_MAX: usize = 100_000;

/// How deep folders are searched.
const DEPTH_MAX: usize = 16;

/// The most texts of one store.
const ITEMS_MAX: usize = 5_000_000;

/// How much is read of each text of a database, in characters: what is alike is alike long before.
const TEXT_CHARS_MAX: usize = 1 << 20;

/// The first bytes of a SQLite database.
const SQLITE_HEAD: &[u8] = b"SQLite format 3\0";

/// Reads another memory's store, recognised by what is in it; answers what kind it is.
pub(crate) fn read(path: &Path) -> anyhow::Result<(&'static str, Vec<Item>)> {
    let facts =
        fs::metadata(path).with_context(|| Advice::new(format!("cannot read {}", path.display()), "check the path"))?;
    if facts.is_dir() {
        return Ok(("markdown", markdown(path)?));
    }
    if facts.len() > FILE_BYTES_MAX {
        bail!("{} is larger than {} MB", path.display(), FILE_BYTES_MAX >> 20);
    }
    let mut head = Vec::new();
    let open = || fs::File::open(path).with_context(|| format!("cannot read {}", path.display()));
    open()?.take(SQLITE_HEAD.len() as u64).read_to_end(&mut head)?;
    if head == SQLITE_HEAD {
        return Ok(("claude-mem", claude_mem(path)?));
    }
    let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let text = String::from_utf8_lossy(bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(&bytes));
    if path.extension().is_some_and(|kind| kind == "md" || kind == "markdown") {
        let mut items = Vec::new();
        paragraphs(path, &text, None, &mut items);
        return Ok(("markdown", items));
    }
    if let Some(items) = mcp_memory(&text) {
        return Ok(("mcp-memory", items));
    }
    if let Ok(value) = serde_json::from_str::<Value>(&text)
        && let Some(items) = mem0(&value)
    {
        return Ok(("mem0", items));
    }
    let hint = "a mem0 export, the memory.json of the reference MCP server, claude-mem's database, \
                or a folder of Markdown can be audited";
    Err(Advice::error(format!("{} is no store that can be read", path.display()), hint))
}

fn text_in(value: &Value, names: &[&str]) -> Option<String> {
    names.iter().find_map(|name| value.get(*name)?.as_str()).filter(|text| !text.is_empty()).map(str::to_owned)
}

fn time_in(value: &Value, names: &[&str]) -> Option<Timestamp> {
    names.iter().find_map(|name| {
        let field = value.get(*name)?;
        field.as_str().and_then(time).or_else(|| field.as_i64().and_then(seconds))
    })
}

fn time(text: &str) -> Option<Timestamp> {
    let zoned = text.parse().ok();
    let civil = || text.replace(' ', "T").parse::<jiff::civil::DateTime>().ok();
    zoned.or_else(|| civil()?.to_zoned(jiff::tz::TimeZone::UTC).ok().map(|zoned| zoned.timestamp()))
}

/// A number of seconds, or of milliseconds, since 1970.
fn seconds(number: i64) -> Option<Timestamp> {
    if number > 100_000_000_000 {
        Timestamp::from_millisecond(number).ok()
    } else {
        Timestamp::from_second(number).ok()
    }
}

/// The entries of an export: the first list whose members say something.
fn mem0(value: &Value) -> Option<Vec<Item>> {
    const TEXTS: &[&str] = &["memory", "text", "data", "content"];
    let list = match value {
        Value::Array(list) => Some(list),
        Value::Object(members) => ["results", "memories", "data", "items"]
            .iter()
            .find_map(|name| members.get(*name)?.as_array())
            .or_else(|| members.values().find_map(Value::as_array)),
        _ => None,
    }?;
    let items: Vec<Item> = list
        .iter()
        .take(ITEMS_MAX)
        .enumerate()
        .filter_map(|(at, entry)| {
            let text = text_in(entry, TEXTS)?;
            let expired = time_in(entry, &["expiration_date"]).is_some_and(|end| end < Timestamp::now());
            Some(Item {
                id: text_in(entry, &["id", "hash"]).unwrap_or_else(|| format!("entry {}", at + 1)),
                kind: "memory".to_owned(),
                text,
                at: time_in(entry, &["updated_at", "created_at", "createdAt"]),
                ended: expired,
                may_age: true,
                ..Item::default()
            })
        })
        .collect();
    (!items.is_empty() || list.is_empty()).then_some(items)
}

/// Entities and relations, one JSON object a line; `None` when the first lines are something else.
fn mcp_memory(text: &str) -> Option<Vec<Item>> {
    let mut items = Vec::new();
    let mut known = false;
    for (at, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let Ok(value) = serde_json::from_str::<Value>(line) else {
            // A line that a crash cut off does not hide the others.
            if known { continue } else { return None }
        };
        let name = || text_in(&value, &["name"]).unwrap_or_else(|| format!("line {}", at + 1));
        match value.get("type").and_then(Value::as_str) {
            Some("entity") => {
                known = true;
                let observations = value.get("observations").and_then(Value::as_array);
                for (number, said) in observations.into_iter().flatten().filter_map(Value::as_str).enumerate() {
                    let id = format!("{} #{}", name(), number + 1);
                    items.push(Item {
                        id,
                        kind: "observation".into(),
                        text: said.into(),
                        may_age: true,
                        ..Item::default()
                    });
                }
            }
            Some("relation") => {
                known = true;
                let part = |field: &str| text_in(&value, &[field]).unwrap_or_default();
                let text = format!("{} {} {}", part("from"), part("relationType"), part("to"));
                items.push(Item { id: format!("line {}", at + 1), kind: "relation".into(), text, ..Item::default() });
            }
            _ if known => {}
            _ => return None,
        }
        if items.len() >= ITEMS_MAX {
            break;
        }
    }
    known.then_some(items)
}

/// The texts of claude-mem's tables, as far as this version of its database has them.
fn claude_mem(path: &Path) -> anyhow::Result<Vec<Item>> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let database =
        Connection::open_with_flags(path, flags).with_context(|| format!("cannot open {}", path.display()))?;
    // A view of such a name might compute forever.
    database.execute_batch("PRAGMA query_only = ON; PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON;")?;
    let columns = |table: &str| -> anyhow::Result<Vec<String>> {
        let mut select = database.prepare(
            "SELECT name FROM pragma_table_info(?1) WHERE EXISTS
                 (SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?1 AND sql LIKE 'CREATE TABLE%')",
        )?;
        Ok(select.query_map([table], |row| row.get(0))?.collect::<Result<_, _>>()?)
    };
    let mut items = Vec::new();
    let mut known = false;
    for (table, texts) in [
        ("observations", &["title", "subtitle", "text", "facts", "narrative"][..]),
        ("session_summaries", &["request", "investigated", "learned", "completed", "next_steps", "notes"]),
        ("user_prompts", &["prompt_text"]),
        ("memories", &["text"]),
    ] {
        let columns = columns(table).with_context(|| format!("cannot read {}", path.display()))?;
        let has = |name: &&&str| columns.iter().any(|column| column == **name);
        let texts: Vec<&str> = texts.iter().filter(has).copied().collect();
        if texts.is_empty() {
            continue;
        }
        known = true;
        let at = ["created_at_epoch", "created_at"].iter().find(has).copied().unwrap_or("NULL");
        // Of a longer text the beginning tells as much.
        let parts: Vec<String> =
            texts.iter().map(|text| format!("coalesce(substr({text}, 1, {TEXT_CHARS_MAX}), '')")).collect();
        let sql = format!("SELECT rowid, {at}, {} FROM {table} LIMIT {ITEMS_MAX}", parts.join(" || char(10) || "));
        let mut select = database.prepare(&sql).with_context(|| format!("cannot read the table {table}"))?;
        let mut rows = select.query([])?;
        while let Some(row) = rows.next().with_context(|| format!("cannot read the table {table}"))? {
            let number: i64 = row.get(0)?;
            let when = match row.get_ref(1)? {
                rusqlite::types::ValueRef::Integer(number) => seconds(number),
                rusqlite::types::ValueRef::Text(text) => std::str::from_utf8(text).ok().and_then(time),
                _ => None,
            };
            let text = match row.get_ref(2)? {
                rusqlite::types::ValueRef::Text(text) => String::from_utf8_lossy(text).into_owned(),
                _ => continue,
            };
            if !text.trim().is_empty() {
                let id = format!("{table} {number}");
                let text = text.trim().to_owned();
                items.push(Item { id, kind: table.to_owned(), text, at: when, may_age: true, ..Item::default() });
            }
        }
    }
    if !known {
        let hint = "of SQLite databases only claude-mem's can be audited";
        return Err(Advice::error(format!("{} has none of claude-mem's tables", path.display()), hint));
    }
    Ok(items)
}

fn markdown(folder: &Path) -> anyhow::Result<Vec<Item>> {
    let mut files = Vec::new();
    find(folder, DEPTH_MAX, &mut files)?;
    files.sort();
    let mut items = Vec::new();
    for file in files {
        let bytes = fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
        let changed = fs::metadata(&file).and_then(|facts| facts.modified()).ok();
        let changed = changed.and_then(|time| Timestamp::try_from(time).ok());
        let name = file.strip_prefix(folder).unwrap_or(&file).to_owned();
        paragraphs(&name, &String::from_utf8_lossy(&bytes), changed, &mut items);
    }
    Ok(items)
}

fn find(folder: &Path, depth: usize, files: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    let entries = fs::read_dir(folder).with_context(|| format!("cannot look into {}", folder.display()))?;
    for entry in entries.flatten() {
        let (path, Ok(kind)) = (entry.path(), entry.file_type()) else { continue };
        if kind.is_dir() && depth > 0 && !entry.file_name().to_string_lossy().starts_with('.') {
            find(&path, depth - 1, files)?;
        } else if kind.is_file() && path.extension().is_some_and(|kind| kind == "md" || kind == "markdown") {
            anyhow::ensure!(files.len() < FILES_MAX, "there are more than {FILES_MAX} Markdown files");
            let small = entry.metadata().is_ok_and(|facts| facts.len() <= FILE_BYTES_MAX);
            if small {
                files.push(path);
            }
        }
    }
    Ok(())
}

/// Paragraphs and list items, each with the line it begins on; headings and code stay with what is around them.
fn paragraphs(file: &Path, text: &str, at: Option<Timestamp>, items: &mut Vec<Item>) {
    let mut open: Option<(usize, String)> = None;
    let mut close = |open: &mut Option<(usize, String)>| {
        let Some((line, text)) = open.take() else { return };
        let text = text.trim().to_owned();
        if !text.is_empty() && items.len() < ITEMS_MAX {
            let id = format!("{}:{line}", file.display());
            items.push(Item { id, kind: "paragraph".into(), text, at, may_age: true, ..Item::default() });
        }
    };
    for (number, line) in text.lines().enumerate() {
        let bare = line.trim();
        let is_item = bare.starts_with("- ") || bare.starts_with("* ") || bare.starts_with("+ ");
        if bare.is_empty() || bare.starts_with('#') || bare == "---" || is_item {
            close(&mut open);
        }
        if bare.is_empty() || bare.starts_with('#') || bare == "---" {
            continue;
        }
        let words = if is_item { bare[1..].trim_start() } else { bare };
        match &mut open {
            Some((_, text)) => {
                text.push('\n');
                text.push_str(words);
            }
            None => open = Some((number + 1, words.to_owned())),
        }
    }
    close(&mut open);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(items: &[Item]) -> Vec<(&str, &str)> {
        items.iter().map(|item| (item.id.as_str(), item.text.as_str())).collect()
    }

    #[test]
    fn each_foreign_store_is_recognised_by_what_is_in_it() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs::write(&path, text).unwrap();
            path
        };
        let path = write(
            "export.json",
            r#"{"results": [{"id": "m1", "memory": "likes tea", "created_at": "2026-01-02T03:04:05-07:00"}, {"text": "has a cat"}]}"#,
        );
        let (kind, items) = read(&path).unwrap();
        assert_eq!((kind, texts(&items)), ("mem0", vec![("m1", "likes tea"), ("entry 2", "has a cat")]));
        assert!(items[0].at.is_some());

        let path = write(
            "memory.json",
            "{\"type\":\"entity\",\"name\":\"ana\",\"entityType\":\"person\",\"observations\":[\"likes tea\",\"has a cat\"]}\n\
             {\"type\":\"relation\",\"from\":\"ana\",\"to\":\"bo\",\"relationType\":\"knows\"}\n{\"type\":\"ent",
        );
        let (kind, items) = read(&path).unwrap();
        assert_eq!(kind, "mcp-memory");
        assert_eq!(texts(&items), [("ana #1", "likes tea"), ("ana #2", "has a cat"), ("line 2", "ana knows bo")]);

        let path = folder.path().join("claude-mem.db");
        let database = Connection::open(&path).unwrap();
        database
            .execute_batch(
                "CREATE TABLE observations (id INTEGER PRIMARY KEY, title TEXT, narrative TEXT, created_at_epoch INTEGER);
                 INSERT INTO observations VALUES (7, 'pool', 'the pool was too small', 1760000000000);",
            )
            .unwrap();
        drop(database);
        let (kind, items) = read(&path).unwrap();
        assert_eq!((kind, texts(&items)), ("claude-mem", vec![("observations 7", "pool\nthe pool was too small")]));

        let notes = folder.path().join("notes");
        fs::create_dir_all(notes.join("sub")).unwrap();
        fs::write(notes.join("sub/a.md"), "# Title\n\nfirst line\nsecond line\n\n- one\n- two\n").unwrap();
        let (kind, items) = read(&notes).unwrap();
        assert_eq!(kind, "markdown");
        assert_eq!(
            texts(&items),
            [("sub/a.md:3", "first line\nsecond line"), ("sub/a.md:6", "one"), ("sub/a.md:7", "two")]
        );
    }

    #[test]
    fn what_is_no_store_is_said_to_be_none() {
        let folder = tempfile::tempdir().unwrap();
        for (name, bytes) in [("a.json", &b"{\"a\": 1}"[..]), ("b", b"\xff\x00"), ("c", b""), ("d.json", b"[[1]]")] {
            let path = folder.path().join(name);
            fs::write(&path, bytes).unwrap();
            assert!(read(&path).unwrap_err().to_string().contains("is no store"), "{name}");
        }
        let other = folder.path().join("other.db");
        Connection::open(&other).unwrap().execute_batch("CREATE TABLE t (x)").unwrap();
        assert!(read(&other).unwrap_err().to_string().contains("claude-mem"));
        assert!(read(&folder.path().join("none")).is_err());
    }
}

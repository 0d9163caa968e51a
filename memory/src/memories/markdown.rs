//! A folder of Markdown notes: each file a note, a long one a note for each of its headings.

use std::borrow::Cow;
use std::fs;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde_json::Value;

use super::{Found, Reading, fingerprint, time};
use crate::error::{Error, Result};
use crate::record::{Note, TEXT_BYTES_MAX};

/// A file of more characters than this is cut at its headings: what is found should be what was looked for.
const WHOLE_CHARS_MAX: usize = 4_000;

/// Folders inside folders that are looked into.
const DEPTH_MAX: usize = 16;

/// The most files of one import.
const FILES_MAX: usize = 100_000;

pub(super) fn read(reading: &mut Reading) -> Result<()> {
    let root = reading.path.to_owned();
    let mut files = Vec::new();
    if root.is_dir() {
        find(reading, &root, 0, &mut files)?;
        files.sort();
    } else {
        files.push(root.clone());
    }
    for file in files {
        let inner = file.strip_prefix(&root).unwrap_or(&file);
        let name = if inner.as_os_str().is_empty() { file.file_name().map(Path::new).unwrap_or(inner) } else { inner };
        let name = name.to_string_lossy().replace('\\', "/");
        if !note_of(reading, &file, &name) {
            break;
        }
    }
    Ok(())
}

/// The Markdown files in a folder. Links are not followed, and hidden folders are left alone.
fn find(reading: &mut Reading, folder: &Path, depth: usize, files: &mut Vec<PathBuf>) -> Result<()> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if depth > 0 => {
            reading.report.problem(folder, 0, error.to_string());
            return Ok(());
        }
        Err(error) => return Err(Error::io("read", folder)(error)),
    };
    for entry in entries.flatten() {
        let path = entry.path();
        let hidden = entry.file_name().to_string_lossy().starts_with('.');
        let Ok(kind) = entry.file_type() else { continue };
        if kind.is_dir() && !hidden {
            if depth == DEPTH_MAX {
                reading.report.problem(&path, 0, format!("it is more than {DEPTH_MAX} folders deep"));
            } else {
                find(reading, &path, depth + 1, files)?;
            }
        } else if kind.is_file()
            && path.extension().is_some_and(|e| e.eq_ignore_ascii_case("md") || e.eq_ignore_ascii_case("markdown"))
        {
            if files.len() == FILES_MAX {
                reading.report.problem(
                    &path,
                    0,
                    format!("there are more than {FILES_MAX} files; import the rest by folder"),
                );
                return Ok(());
            }
            files.push(path);
        }
    }
    Ok(())
}

/// Hands on the notes of one file; answers whether to go on.
fn note_of(reading: &mut Reading, file: &Path, name: &str) -> bool {
    let facts = match fs::metadata(file) {
        Ok(facts) if facts.len() > 16 * TEXT_BYTES_MAX as u64 => {
            reading.report.problem(file, 0, format!("it is longer than {} bytes", 16 * TEXT_BYTES_MAX));
            return true;
        }
        Ok(facts) => facts,
        Err(error) => {
            reading.report.problem(file, 0, error.to_string());
            return true;
        }
    };
    let bytes = match fs::read(file) {
        Ok(bytes) => bytes,
        Err(error) => {
            reading.report.problem(file, 0, error.to_string());
            return true;
        }
    };
    let text = match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let at = error.utf8_error().valid_up_to();
            let line = 1 + error.as_bytes()[..at].iter().filter(|byte| **byte == b'\n').count();
            reading.report.problem(file, line as u64, "it is not UTF-8 from here on");
            return true;
        }
    };
    let text = text.trim_start_matches('\u{feff}').replace("\r\n", "\n");
    let Front { title, tags, at, body } = Front::of(&text);
    let changed = facts.modified().ok().and_then(|time| Timestamp::try_from(time).ok());
    let stem = file.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    for part in parts(body) {
        let mut words = part.text.trim().to_owned();
        if words.is_empty() {
            continue;
        }
        // A part that is cut out of its file says where it stood.
        let above: Vec<&str> = title.as_deref().into_iter().chain(part.above.iter().map(String::as_str)).collect();
        let begins = words.trim_start_matches('#').trim_start();
        if !above.is_empty() && !above.iter().any(|heading| begins.starts_with(heading)) {
            words = format!("{}\n\n{words}", above.join(" › "));
        } else if above.is_empty() && !words.starts_with('#') {
            words = format!("{stem}\n\n{words}");
        }
        if words.len() > TEXT_BYTES_MAX {
            reading.report.problem(file, part.line, format!("a part of it is longer than {TEXT_BYTES_MAX} bytes"));
            continue;
        }
        let found = Found {
            key: format!("{name}@{}", fingerprint(&[&words])),
            body: Note::new(words).into(),
            created_at: at.or(changed),
            tags: tags.clone(),
            owner: None,
        };
        if !reading.give(found) {
            return false;
        }
    }
    true
}

/// What stands before a note's text.
struct Front<'t> {
    title: Option<Cow<'t, str>>,
    tags: Vec<String>,
    at: Option<Timestamp>,
    body: &'t str,
}

impl<'t> Front<'t> {
    /// Takes `name: value` lines between two lines of hyphens; anything else there is passed over.
    fn of(text: &'t str) -> Front<'t> {
        let mut front = Front { title: None, tags: Vec::new(), at: None, body: text };
        let Some(rest) = text.strip_prefix("---\n") else { return front };
        let Some(end) = rest.find("\n---\n").or_else(|| rest.strip_suffix("\n---").map(str::len)) else { return front };
        front.body = rest.get(end + 5..).unwrap_or_default();
        let mut in_tags = false;
        for line in rest[..end].lines() {
            if in_tags && let Some(tag) = line.trim().strip_prefix("- ") {
                front.tags.push(plain(tag).into_owned());
                continue;
            }
            in_tags = false;
            let Some((name, value)) = line.split_once(':') else { continue };
            let value = value.trim();
            match name.trim() {
                "title" if !value.is_empty() => front.title = Some(plain(value)),
                "tags" | "keywords" if value.is_empty() => in_tags = true,
                "tags" | "keywords" => {
                    front.tags.extend(list(value));
                }
                "date" | "created" | "created_at" => front.at = time(&Value::from(&*plain(value))),
                _ => {}
            }
        }
        front
    }
}

/// The values of a list on one line. Within quotes a comma is part of a value.
fn list(value: &str) -> Vec<String> {
    if let Ok(values) = serde_json::from_str::<Vec<String>>(value) {
        return values;
    }
    let inner = value.strip_prefix('[').unwrap_or(value);
    let inner = inner.strip_suffix(']').unwrap_or(inner);
    let (mut quote, mut escaped, mut begins, mut closed) = (None, false, true, None);
    let values = inner.split(|c: char| {
        let doubled = closed.take() == Some(c) && c == '\'';
        match quote {
            Some(open) if c == open && !escaped => closed = quote.take(),
            // An apostrophe within a value is none.
            None if (begins || doubled) && matches!(c, '"' | '\'') => quote = Some(c),
            _ => {}
        }
        escaped = quote == Some('"') && c == '\\' && !escaped;
        let divides = c == ',' && quote.is_none();
        begins = divides || begins && c == ' ';
        divides
    });
    values.map(|value| plain(value).into_owned()).collect()
}

/// A value without its quotes. Within double ones it is written as in JSON, within single ones each quote is doubled.
fn plain(value: &str) -> Cow<'_, str> {
    let value = value.trim();
    let within = |quote: char| value.strip_prefix(quote)?.strip_suffix(quote);
    if let Some(inner) = within('"') {
        return serde_json::from_str::<String>(value).map_or(Cow::Borrowed(inner), Cow::Owned);
    }
    within('\'').map_or(Cow::Borrowed(value), |inner| Cow::Owned(inner.replace("''", "'")))
}

/// A part of a file, with the headings that it stands under.
struct Part<'t> {
    above: Vec<String>,
    text: &'t str,
    line: u64,
}

/// A short text whole, a long one cut before its headings. What stands in a fence is no heading.
fn parts(text: &str) -> Vec<Part<'_>> {
    if text.chars().count() <= WHOLE_CHARS_MAX {
        return vec![Part { above: Vec::new(), text, line: 1 }];
    }
    let mut parts: Vec<Part> = Vec::new();
    let (mut begin, mut begin_line) = (0, 1);
    let mut headings: Vec<(usize, String)> = Vec::new();
    let mut above: Vec<String> = Vec::new();
    let (mut at, mut fenced) = (0, false);
    for (number, line) in (1..).zip(text.split_inclusive('\n')) {
        let bare = line.trim();
        if bare.starts_with("```") || bare.starts_with("~~~") {
            fenced = !fenced;
        }
        let level = line.chars().take_while(|c| *c == '#').count();
        if !fenced && (1..=6).contains(&level) && line[level..].starts_with(' ') {
            parts.push(Part { above: above.clone(), text: &text[begin..at], line: begin_line });
            headings.retain(|(other, _)| *other < level);
            above = headings.iter().map(|(_, heading)| heading.clone()).collect();
            headings.push((level, line[level..].trim().to_owned()));
            (begin, begin_line) = (at, number);
        }
        at += line.len();
    }
    parts.push(Part { above, text: &text[begin..], line: begin_line });
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_values_are_read_as_they_were_meant() {
        for (written, meant) in [
            (r#""a \"quoted\" title, back\\slash""#, r#"a "quoted" title, back\slash"#),
            ("'it''s so'", "it's so"),
            ("plain: as it is", "plain: as it is"),
            (r#""not \q JSON""#, r"not \q JSON"),
            ("\"", "\""),
        ] {
            assert_eq!(plain(written), meant);
        }
    }

    #[test]
    fn a_comma_within_quotes_divides_no_list() {
        assert_eq!(list(r#"[ana's, "a, \"b\"", 'it''s, so', 部署]"#), ["ana's", r#"a, "b""#, "it's, so", "部署"]);
        assert_eq!(list(r#"["one, two", "three"]"#), ["one, two", "three"]);
        assert_eq!(list("shop, pool"), ["shop", "pool"]);
    }
}

//! Everything as a folder of Markdown, for people to read and to keep.
//!
//! ```text
//! README.md                       what there is, by kind and scope
//! sessions/claude-code/2026-05-01-why-the-deploy-waits-5f0c2a71.md
//! episodes/2026-05-01-the-deploy-of-the-shop-3f2a9c01.md
//! lessons/…   notes/…
//! ```

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Write as _;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::Progress;
use crate::error::{Error, Result};
use crate::id::RecordId;
use crate::record::{Body, Episode, Message, MessageForm, Record};
use crate::scope::ReadSet;
use crate::session::Session;
use crate::sqlite::{SESSION_DAMAGED, SqliteStore};
use crate::store::{Filter, Finding, Lookup, Store};

/// The longest name of a file before its id, in characters.
const NAME_CHARS_MAX: usize = 48;

/// Records read at once.
const PAGE: usize = 256;

/// Writes what is live within a read set into a folder, which must be empty or not be there.
/// Answers how many records were written, and which rows are damaged.
pub fn write(store: &SqliteStore, reads: &ReadSet, folder: &Path, progress: Progress) -> Result<(u64, Vec<Finding>)> {
    if fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some()) {
        return Err(Error::Refused { reason: format!("{} is not empty", folder.display()) });
    }
    let mut folders = Folders { root: folder.to_owned(), made: HashMap::new() };
    let total = store.carry_count()?;
    let mut counts: BTreeMap<String, BTreeMap<&'static str, u64>> = BTreeMap::new();
    let (mut done, mut written) = (0, 0);
    let mut findings = Vec::new();
    let mut step = |records: u64| {
        done += records;
        if progress(done, total.max(done)) {
            Ok(())
        } else {
            Err(Error::Refused { reason: "it was stopped before its end".to_owned() })
        }
    };

    let mut sessions: Vec<Session> =
        store.sessions(reads, usize::MAX)?.into_iter().map(|entry| entry.session).collect();
    sessions.sort_by(|a, b| (&a.source, a.started_at, &a.id).cmp(&(&b.source, b.started_at, &b.id)));
    let mut written_sessions = HashSet::new();
    for session in sessions {
        written_sessions.insert([session.scope.path(), &session.source, &session.id].map(str::to_owned));
        let scopes = ReadSet::new([crate::scope::Readable::Exactly(session.scope.clone())]);
        let mut messages: Vec<(Record, Message)> = Vec::new();
        let filter = Filter {
            scopes,
            session: Some(session.id.clone()),
            source: Some(session.source.clone()),
            kinds: vec![crate::Kind::Message],
            ..Filter::default()
        };
        each(store, filter, &mut findings, &mut |record| {
            if let Body::Message(message) = &record.body {
                let message = message.clone();
                messages.push((record, message));
            }
            Ok(())
        })?;
        if messages.is_empty() {
            continue;
        }
        messages.sort_by_key(|(record, message)| (message.position, record.id));
        let count = messages.len() as u64;
        let title = session.title.clone().unwrap_or_else(|| messages[0].1.text.clone());
        let at = session.started_at.unwrap_or(messages[0].0.created_at);
        let path = folders.file(&["sessions", &session.source], at, &title, &session.id)?;
        save(&path, &session_text(&session, &title, &messages))?;
        *counts.entry(session.scope.to_string()).or_default().entry("messages").or_insert(0) += count;
        written += count;
        step(count)?;
    }
    let filter = Filter { scopes: reads.clone(), ..Filter::default() };
    each(store, filter, &mut findings, &mut |record| {
        // The messages of a session that is damaged are written one by one.
        if let (Body::Message(_), Some(session)) = (&record.body, &record.session)
            && written_sessions.contains(&[record.scope.path(), &record.source, session].map(str::to_owned))
        {
            return Ok(());
        }
        let (place, text) = match &record.body {
            Body::Message(message) => ("messages", quoted(&message.text)),
            Body::Episode(episode) => ("episodes", episode_text(episode)),
            Body::Note(note) => ("notes", note.text.clone()),
            Body::Lesson(lesson) => ("lessons", lesson_text(&lesson.text, &lesson.evidence)),
        };
        let path = folders.file(&[place], record.created_at, record.text(), &record.id.to_string())?;
        save(&path, &format!("{}{}\n", front(&record), text))?;
        *counts.entry(record.scope.to_string()).or_default().entry(place).or_insert(0) += 1;
        written += 1;
        step(1)
    })?;
    findings.extend(store.damaged_beside()?.into_iter().filter(|finding| finding.code == SESSION_DAMAGED));
    save(&folder.join("README.md"), &index_text(&counts))?;
    Ok((written, findings))
}

/// Hands on every live record that a filter lets through.
fn each(
    store: &SqliteStore,
    mut filter: Filter,
    findings: &mut Vec<Finding>,
    see: &mut dyn FnMut(Record) -> Result<()>,
) -> Result<()> {
    filter.limit = PAGE;
    loop {
        let page = store.list(&filter)?;
        let full = page.len() == PAGE;
        for lookup in page {
            match lookup {
                Lookup::Found(stored) => {
                    filter.after = Some(stored.row);
                    see(stored.record)?;
                }
                Lookup::Damaged { row, reason, .. } => {
                    filter.after = Some(row);
                    let what = format!("record row {} is damaged and was left out: {reason}", row.0);
                    if !findings.iter().any(|finding: &Finding| finding.what == what) {
                        let hint = "`harness doctor` names everything that is damaged".to_owned();
                        findings.push(Finding { code: "row-damaged", what, hint });
                    }
                }
                Lookup::Forgotten(_) | Lookup::Missing => {}
            }
        }
        if !full {
            return Ok(());
        }
    }
}

/// Names files, and makes the folders that they lie in.
struct Folders {
    root: PathBuf,
    made: HashMap<PathBuf, ()>,
}

impl Folders {
    fn file(&mut self, places: &[&str], at: Timestamp, title: &str, id: &str) -> Result<PathBuf> {
        let mut folder = self.root.clone();
        folder.extend(places.iter().map(|place| slug(place)));
        if self.made.insert(folder.clone(), ()).is_none() {
            make_private(&folder).map_err(Error::io("make the folder", &folder))?;
        }
        // Ids of one day share their beginning; their end tells them apart.
        let letters: Vec<char> = id.chars().filter(|c| c.is_ascii_alphanumeric()).collect();
        let end: String = letters[letters.len().saturating_sub(12)..].iter().collect();
        Ok(folder.join(format!("{}-{}-{end}.md", at.strftime("%Y-%m-%d"), slug(title))))
    }
}

/// A folder that is its owner's alone, as what is remembered is.
fn make_private(folder: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

/// How such a file is written.
fn private() -> fs::OpenOptions {
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// Words of any language as a file's name: letters and digits, joined by hyphens.
fn slug(text: &str) -> String {
    let mut name = String::new();
    let mut length = 0;
    for c in text.chars() {
        if length == NAME_CHARS_MAX {
            break;
        }
        if c.is_alphanumeric() {
            name.extend(c.to_lowercase());
            length += 1;
        } else if !name.is_empty() && !name.ends_with('-') {
            name.push('-');
            length += 1;
        }
    }
    let name = name.trim_end_matches('-');
    if name.is_empty() { "untitled".to_owned() } else { name.to_owned() }
}

fn save(path: &Path, text: &str) -> Result<()> {
    private().open(path).and_then(|mut file| file.write_all(text.as_bytes())).map_err(Error::io("write", path))
}

/// A value of the front matter: JSON, which YAML reads too.
fn line(front: &mut String, name: &str, value: &impl serde::Serialize) {
    if let Ok(value) = serde_json::to_string(value) {
        let _ = writeln!(front, "{name}: {value}");
    }
}

fn front(record: &Record) -> String {
    let mut front = String::from("---\n");
    line(&mut front, "id", &record.id);
    line(&mut front, "kind", &record.kind());
    line(&mut front, "scope", &record.scope);
    line(&mut front, "source", &record.source);
    line(&mut front, "origin", &record.origin);
    line(&mut front, "trust", &record.trust);
    line(&mut front, "created_at", &record.created_at);
    if let Some(session) = &record.session {
        line(&mut front, "session", session);
    }
    if !record.tags.is_empty() {
        line(&mut front, "tags", &record.tags);
    }
    if record.pinned {
        line(&mut front, "pinned", &true);
    }
    if let Some(expires_at) = &record.expires_at {
        line(&mut front, "expires_at", expires_at);
    }
    if let Some(replaces) = &record.replaces {
        line(&mut front, "replaces", replaces);
    }
    front.push_str("---\n\n");
    front
}

fn session_text(session: &Session, title: &str, messages: &[(Record, Message)]) -> String {
    let mut text = String::from("---\n");
    line(&mut text, "session", &session.id);
    line(&mut text, "source", &session.source);
    line(&mut text, "scope", &session.scope);
    for (name, value) in [("project", &session.project), ("directory", &session.directory), ("branch", &session.branch)]
    {
        if let Some(value) = value {
            line(&mut text, name, value);
        }
    }
    let _ = writeln!(text, "---\n\n# {}", one_line(title));
    for (record, message) in messages {
        let who = message.speaker.as_deref().unwrap_or(message.role.word());
        let form = if message.form == MessageForm::Statement { "" } else { message.form.word() };
        let at = record.created_at.strftime("%Y-%m-%d %H:%M:%SZ");
        let _ = writeln!(text, "\n## {} · {at}{}{form}\n", one_line(who), if form.is_empty() { "" } else { " · " });
        if message.role == crate::Role::Tool {
            text.push_str(&quoted(&message.text));
        } else {
            text.push_str(&message.text);
        }
        if !message.text.ends_with('\n') {
            text.push('\n');
        }
        if let Some(caption) = &message.caption {
            let _ = writeln!(text, "\n*{}*", one_line(caption));
        }
        for call in &message.tool_calls {
            let _ = writeln!(text, "\n`{}`\n\n{}", one_line(&call.tool), quoted(&call.arguments));
        }
    }
    text
}

fn episode_text(episode: &Episode) -> String {
    let mut text = format!("# {}\n", one_line(&episode.situation));
    let _ = write!(text, "\nOutcome: {}", episode.outcome);
    if let Some(reason) = &episode.reason {
        let _ = write!(text, " ({})", one_line(reason));
    }
    text.push('\n');
    if !episode.user_turns.is_empty() {
        text.push_str("\n## What else was said\n\n");
        episode.user_turns.iter().for_each(|turn| push_item(&mut text, turn));
    }
    if !episode.tools.is_empty() {
        text.push_str("\n## Tools\n\n");
        for tool in &episode.tools {
            let failed = if tool.ok == Some(false) { " (failed)" } else { "" };
            push_item(&mut text, &format!("{}{failed} {}", tool.tool, tool.gist));
        }
    }
    if !episode.errors.is_empty() {
        text.push_str("\n## Errors\n\n");
        episode.errors.iter().for_each(|error| text.push_str(&quoted(error)));
    }
    if let Some(lesson) = &episode.lesson {
        let _ = write!(text, "\n## Lesson\n\n{lesson}\n");
    }
    text
}

fn lesson_text(lesson: &str, evidence: &[RecordId]) -> String {
    let mut text = format!("{lesson}\n");
    if !evidence.is_empty() {
        text.push_str("\nDrawn from:\n\n");
        evidence.iter().for_each(|id| push_item(&mut text, &id.to_string()));
    }
    text
}

fn push_item(text: &mut String, item: &str) {
    let _ = writeln!(text, "- {}", one_line(item));
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What a program printed, in a fence that it cannot close.
fn quoted(text: &str) -> String {
    let mut longest = 0;
    let mut run = 0;
    for c in text.chars() {
        run = if c == '`' { run + 1 } else { 0 };
        longest = longest.max(run);
    }
    let fence = "`".repeat((longest + 1).max(3));
    format!("{fence}text\n{}\n{fence}\n", text.trim_end_matches('\n'))
}

fn index_text(counts: &BTreeMap<String, BTreeMap<&'static str, u64>>) -> String {
    let mut text = String::from("# What is remembered\n\n| scope | kind | records |\n| --- | --- | --- |\n");
    for (scope, kinds) in counts {
        for (kind, count) in kinds {
            let _ = writeln!(text, "| {scope} | {kind} | {count} |");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_made_of_letters_of_any_language_and_cannot_leave_its_folder() {
        assert_eq!(slug("../../etc/passwd"), "etc-passwd");
        assert_eq!(slug("部署 waits: why?"), "部署-waits-why");
        assert_eq!(slug("\u{202E}\u{0}/"), "untitled");
        assert!(slug(&"草".repeat(500)).chars().count() <= NAME_CHARS_MAX);
    }

    #[test]
    fn no_output_closes_its_fence() {
        let text = quoted("```\nan end\n`````\n");
        assert!(text.starts_with("``````text\n") && text.ends_with("\n``````\n"));
    }
}

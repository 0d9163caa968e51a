//! Which files are transcripts.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::Context;
use harness_memory::import::{HEAD_BYTES, IMPORTERS, Importer, importer_of, is_of};

use crate::report::Advice;

/// How deep folders are searched: tools keep their transcripts two or three deep.
const DEPTH_MAX: usize = 32;

/// The most files of one import; beyond it a folder was named that holds something else.
const FILES_MAX: usize = 1_000_000;

/// A file to read.
pub(crate) struct Transcript {
    pub(crate) path: PathBuf,
    pub(crate) importer: &'static dyn Importer,
    pub(crate) bytes: u64,
    /// When it was last written to.
    pub(crate) modified: SystemTime,
}

/// The transcripts of some places, the one changed longest ago first.
#[derive(Default)]
pub(crate) struct Found {
    pub(crate) transcripts: Vec<Transcript>,
    /// Files and folders within these places that could not be looked into, each with the reason.
    pub(crate) unreadable: Vec<String>,
    /// Files in the folders that are called like transcripts, and that nobody recognises.
    pub(crate) unrecognised: Vec<PathBuf>,
}

/// How much of a file is looked at where its first bytes do not say what it is: a pasted log or a snapshot of files may
/// stand before the fields that do.
const LONG_HEAD_BYTES: usize = 1 << 20;

/// Which importer reads which file, for whoever looks again and again.
pub(crate) type Recognised = HashMap<PathBuf, &'static dyn Importer>;

/// The same for somebody who looks again and again: what cannot be read now is looked at the next time, and
/// what was recognised once is not opened again.
pub(crate) fn find_again(
    places: &[PathBuf],
    tool: Option<&'static dyn Importer>,
    known: &mut Recognised,
) -> anyhow::Result<Found> {
    let mut found = Found::default();
    for place in places {
        let Ok(facts) = fs::metadata(place) else { continue };
        if facts.is_dir() {
            folder(place, tool, DEPTH_MAX, known, &mut found)?;
        } else if !facts.is_file() {
            continue;
        } else if let Some(importer) = recognise(place, tool).ok().flatten().or(tool) {
            let modified = facts.modified().unwrap_or(SystemTime::UNIX_EPOCH);
            found.transcripts.push(Transcript { path: place.clone(), importer, bytes: facts.len(), modified });
        }
    }
    found.sort();
    known.extend(found.transcripts.iter().map(|transcript| (transcript.path.clone(), transcript.importer)));
    Ok(found)
}

impl Found {
    fn sort(&mut self) {
        self.transcripts.sort_by(|a, b| (a.modified, &a.path).cmp(&(b.modified, &b.path)));
        self.transcripts.dedup_by(|a, b| a.path == b.path);
    }
}

/// Looks through files and folders. A file that was named must be a transcript; in a folder, others are passed over.
pub(crate) fn find(places: &[PathBuf], tool: Option<&'static dyn Importer>) -> anyhow::Result<Found> {
    let mut found = Found::default();
    for place in places {
        let facts = match fs::metadata(place) {
            Ok(facts) => facts,
            Err(error) => {
                let hint = "check the path; without one, the tools' own folders are searched";
                return Err(error).context(Advice::new(format!("cannot read {}", place.display()), hint));
            }
        };
        if facts.is_dir() {
            folder(place, tool, DEPTH_MAX, &Recognised::new(), &mut found)?;
            continue;
        }
        // A pipe or a device may never end.
        if !facts.is_file() {
            let what = format!("{} is neither a file nor a folder", place.display());
            return Err(Advice::error(what, "write what comes from it to a file, and import that"));
        }
        let cannot = || format!("cannot read {}", place.display());
        let importer = match (recognise(place, tool).with_context(cannot)?, tool) {
            (Some(importer), _) => Some(importer),
            (None, Some(tool)) => match recognise(place, None).with_context(cannot)? {
                Some(other) => {
                    let what =
                        format!("{} is a transcript of {}, not of {}", place.display(), other.tool(), tool.tool());
                    return Err(Advice::error(what, "leave --tool out"));
                }
                // Whoever names its tool knows more of it than its beginning says.
                None => Some(tool),
            },
            (None, None) => None,
        };
        let importer = importer.ok_or_else(|| {
            let hint = "name its tool with --tool if you know it";
            Advice::error(format!("{} is no transcript of a tool that can be read", place.display()), hint)
        })?;
        let modified = facts.modified().unwrap_or(SystemTime::UNIX_EPOCH);
        found.transcripts.push(Transcript { path: place.clone(), importer, bytes: facts.len(), modified });
    }
    found.sort();
    Ok(found)
}

fn folder(
    path: &Path,
    tool: Option<&'static dyn Importer>,
    depth: usize,
    known: &Recognised,
    found: &mut Found,
) -> anyhow::Result<()> {
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) => {
            found.unreadable.push(format!("cannot look into {}: {error}", path.display()));
            return Ok(());
        }
    };
    for entry in entries.flatten() {
        let path = entry.path();
        // Links to folders are not followed: they may lead in a circle.
        let Ok(kind) = entry.file_type() else { continue };
        if kind.is_dir() {
            // OpenCode keeps hundreds of thousands of parts beside its sessions, which read them by themselves.
            let is_part = ["part", "message"].iter().any(|name| path.ends_with(name))
                && path.parent().is_some_and(|storage| storage.join("session").is_dir());
            if depth > 0 && !is_part {
                folder(&path, tool, depth - 1, known, found)?;
            }
            continue;
        }
        // Of pipes and devices nothing is read: they may never end.
        let Some(facts) = fs::metadata(&path).ok().filter(fs::Metadata::is_file) else { continue };
        let importer = match known.get(&path).map_or_else(|| recognise(&path, tool), |known| Ok(Some(*known))) {
            Ok(Some(importer)) => importer,
            Ok(None) => {
                if tool.is_none() && is_called_like_one(&path) && facts.len() > 0 {
                    found.unrecognised.push(path);
                }
                continue;
            }
            Err(error) => {
                found.unreadable.push(format!("cannot read {}: {error}", path.display()));
                continue;
            }
        };
        if found.transcripts.len() == FILES_MAX {
            let what = format!("there are more than {FILES_MAX} transcripts");
            return Err(Advice::error(what, "import one folder after the other"));
        }
        let modified = facts.modified().unwrap_or(SystemTime::UNIX_EPOCH);
        found.transcripts.push(Transcript { path, importer, bytes: facts.len(), modified });
    }
    Ok(())
}

/// The importer for a file: the one that was asked for, if it recognises it, else any that does, else the one in whose
/// own folder it is.
fn recognise(path: &Path, tool: Option<&'static dyn Importer>) -> std::io::Result<Option<&'static dyn Importer>> {
    let by_head = |head: &[u8]| match tool {
        Some(tool) => is_of(tool, path, head).then_some(tool),
        None => importer_of(path, head),
    };
    let mut head = Vec::with_capacity(HEAD_BYTES);
    let mut file = File::open(path)?;
    file.by_ref().take(HEAD_BYTES as u64).read_to_end(&mut head)?;
    let found = by_head(&head);
    if found.is_some() || !is_called_like_one(path) {
        return Ok(found);
    }
    if head.len() == HEAD_BYTES {
        file.take((LONG_HEAD_BYTES - HEAD_BYTES) as u64).read_to_end(&mut head)?;
        if let Some(found) = by_head(&head) {
            return Ok(Some(found));
        }
    }
    let at_home = is_lines(path) && head.trim_ascii_start().starts_with(b"{");
    Ok(if at_home { owner_of(path).filter(|owner| tool.is_none_or(|tool| tool.tool() == owner.tool())) } else { None })
}

/// Whether a file is called as transcripts are.
fn is_called_like_one(path: &Path) -> bool {
    is_lines(path) || path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json"))
}

/// Whether a file is called as transcripts of one JSON object a line are.
pub(crate) fn is_lines(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("jsonl"))
}

/// The tool in whose default place a file is.
fn owner_of(path: &Path) -> Option<&'static dyn Importer> {
    let home = etcetera::home_dir().ok()?;
    let owns =
        |importer: &&&'static dyn Importer| importer.default_places(&home).iter().any(|place| path.starts_with(place));
    IMPORTERS.iter().find(owns).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tools(found: &Found) -> Vec<(String, &'static str)> {
        let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut tools: Vec<_> = found.transcripts.iter().map(|one| (name(&one.path), one.importer.tool())).collect();
        tools.sort();
        tools
    }

    #[test]
    fn what_tells_a_tool_may_stand_far_behind_and_what_nobody_recognises_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        let line = r#"{"type":"user","uuid":"u","sessionId":"s","message":{"role":"user","content":"hello"}}"#;
        let long = "x".repeat(100_000);
        write(
            "snapshot.jsonl",
            &format!("{{\"type\":\"file-history-snapshot\",\"messageId\":\"m\",\"snapshot\":\"{long}\"}}\n{line}\n"),
        );
        write(
            "pasted.jsonl",
            &format!(
                "{{\"type\":\"user\",\"message\":{{\"content\":\"{long}\"}},\"uuid\":\"u\",\"sessionId\":\"s\"}}\n"
            ),
        );
        write("marked.jsonl", &format!("\u{feff}{line}\n"));
        write("other.jsonl", "{\"a\":1}\n");
        write("settings.json", "{\"a\":1}");
        write("empty.jsonl", "");
        write("notes.txt", "{}");
        let found = find(&[folder.path().to_owned()], None).unwrap();
        let claude = ["marked.jsonl", "pasted.jsonl", "snapshot.jsonl"].map(|name| (name.to_owned(), "claude-code"));
        assert_eq!(tools(&found), claude);
        let mut unrecognised: Vec<_> =
            found.unrecognised.iter().map(|path| path.file_name().unwrap().to_owned()).collect();
        unrecognised.sort();
        assert_eq!(unrecognised, ["other.jsonl", "settings.json"]);
    }

    #[test]
    fn a_file_of_another_tool_than_the_one_that_was_named_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("session.jsonl");
        let line = r#"{"type":"user","uuid":"u","sessionId":"s","message":{"role":"user","content":"hello"}}"#;
        std::fs::write(&path, line).unwrap();
        let codex = IMPORTERS.iter().copied().find(|importer| importer.tool() == "codex");
        let refused = find(std::slice::from_ref(&path), codex).err().expect("it is of another tool").to_string();
        assert!(refused.ends_with("is a transcript of claude-code, not of codex"), "{refused}");
        std::fs::write(&path, "{}\n").unwrap();
        assert_eq!(tools(&find(&[path], codex).unwrap()), [("session.jsonl".to_owned(), "codex")]);
    }
}

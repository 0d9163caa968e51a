//! Which files are transcripts.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::Context;
use harness_memory::import::{HEAD_BYTES, Importer, importer_of};

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
pub(crate) struct Found {
    pub(crate) transcripts: Vec<Transcript>,
    /// Files and folders within these places that could not be looked into, each with the reason.
    pub(crate) unreadable: Vec<String>,
}

/// Which importer reads which file, for whoever looks again and again.
pub(crate) type Recognised = HashMap<PathBuf, &'static dyn Importer>;

/// The same for somebody who looks again and again: what cannot be read now is looked at the next time, and
/// what was recognised once is not opened again.
pub(crate) fn find_again(
    places: &[PathBuf],
    tool: Option<&'static dyn Importer>,
    known: &mut Recognised,
) -> anyhow::Result<Found> {
    let mut found = Found { transcripts: Vec::new(), unreadable: Vec::new() };
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
    let found = in_order(found);
    known
        .extend(found.transcripts.iter().map(|transcript: &Transcript| (transcript.path.clone(), transcript.importer)));
    Ok(found)
}

/// The transcript that was changed longest ago first, each once.
fn in_order(mut found: Found) -> Found {
    found.transcripts.sort_by(|a, b| (a.modified, &a.path).cmp(&(b.modified, &b.path)));
    found.transcripts.dedup_by(|a, b| a.path == b.path);
    found
}

/// Looks through files and folders. A file that was named must be a transcript; in a folder, others are passed over.
pub(crate) fn find(places: &[PathBuf], tool: Option<&'static dyn Importer>) -> anyhow::Result<Found> {
    let mut found = Found { transcripts: Vec::new(), unreadable: Vec::new() };
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
        let importer = match tool {
            Some(tool) => Some(tool),
            None => recognise(place, None).with_context(|| format!("cannot read {}", place.display()))?,
        };
        let importer = importer.ok_or_else(|| {
            let hint = "name its tool with --tool if you know it";
            Advice::error(format!("{} is no transcript of a tool that can be read", place.display()), hint)
        })?;
        let modified = facts.modified().unwrap_or(SystemTime::UNIX_EPOCH);
        found.transcripts.push(Transcript { path: place.clone(), importer, bytes: facts.len(), modified });
    }
    Ok(in_order(found))
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
            Ok(None) => continue,
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

/// The importer for a file: the one that was asked for, if it recognises it, else any that does.
fn recognise(path: &Path, tool: Option<&'static dyn Importer>) -> std::io::Result<Option<&'static dyn Importer>> {
    let mut head = Vec::with_capacity(HEAD_BYTES);
    File::open(path)?.take(HEAD_BYTES as u64).read_to_end(&mut head)?;
    Ok(match tool {
        Some(tool) => tool.detect(path, &head).then_some(tool),
        None => importer_of(path, &head),
    })
}

//! Which files are transcripts.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::Context;
use harness_memory::import::{HEAD_BYTES, Importer, importer_of};

use crate::report::{self, Advice};

/// How deep folders are searched: tools keep their transcripts two or three deep.
const DEPTH_MAX: usize = 32;

/// The most files of one import; beyond it a folder was named that holds something else.
const FILES_MAX: usize = 1_000_000;

/// A file to read.
pub(super) struct Transcript {
    pub(super) path: PathBuf,
    pub(super) importer: &'static dyn Importer,
    pub(super) bytes: u64,
}

/// The transcripts of some places, the one changed longest ago first.
pub(super) struct Found {
    pub(super) transcripts: Vec<Transcript>,
}

/// Looks through files and folders. A file that was named must be a transcript; in a folder, others are passed over.
pub(super) fn find(places: &[PathBuf], tool: Option<&'static dyn Importer>) -> anyhow::Result<Found> {
    let mut found: Vec<(SystemTime, Transcript)> = Vec::new();
    for place in places {
        let facts = match fs::metadata(place) {
            Ok(facts) => facts,
            Err(error) => {
                let hint = "check the path; without one, the tools' own folders are searched";
                return Err(error).context(Advice::new(format!("cannot read {}", place.display()), hint));
            }
        };
        if facts.is_dir() {
            folder(place, tool, DEPTH_MAX, &mut found)?;
            continue;
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
        found.push((modified, Transcript { path: place.clone(), importer, bytes: facts.len() }));
    }
    found.sort_by(|a, b| (a.0, &a.1.path).cmp(&(b.0, &b.1.path)));
    found.dedup_by(|a, b| a.1.path == b.1.path);
    Ok(Found { transcripts: found.into_iter().map(|(_, transcript)| transcript).collect() })
}

fn folder(
    path: &Path,
    tool: Option<&'static dyn Importer>,
    depth: usize,
    found: &mut Vec<(SystemTime, Transcript)>,
) -> anyhow::Result<()> {
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) => {
            report::line(&format!("warning: cannot look into {}: {error}", path.display()));
            return Ok(());
        }
    };
    for entry in entries.flatten() {
        let path = entry.path();
        // Links to folders are not followed: they may lead in a circle.
        let Ok(kind) = entry.file_type() else { continue };
        if kind.is_dir() {
            if depth > 0 {
                folder(&path, tool, depth - 1, found)?;
            }
            continue;
        }
        // Of pipes and devices nothing is read: they may never end.
        let Some(facts) = fs::metadata(&path).ok().filter(fs::Metadata::is_file) else { continue };
        let importer = match recognise(&path, tool) {
            Ok(Some(importer)) => importer,
            Ok(None) => continue,
            Err(error) => {
                report::line(&format!("warning: cannot read {}: {error}", path.display()));
                continue;
            }
        };
        if found.len() == FILES_MAX {
            let what = format!("there are more than {FILES_MAX} transcripts");
            return Err(Advice::error(what, "import one folder after the other"));
        }
        let modified = facts.modified().unwrap_or(SystemTime::UNIX_EPOCH);
        found.push((modified, Transcript { path, importer, bytes: facts.len() }));
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

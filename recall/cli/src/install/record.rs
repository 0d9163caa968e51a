//! What was there before an installation: `HOME/install/TOOL.json`, and copies in `HOME/install/TOOL/`.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::stage::Change;
use super::tool::Target;

/// The files that an installation changed.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct Record {
    #[serde(skip)]
    file: PathBuf,
    #[serde(skip)]
    folder: PathBuf,
    files: Vec<Entry>,
}

#[derive(Serialize, Deserialize)]
struct Entry {
    path: PathBuf,
    /// The name of its copy; `None` when the file was not there.
    backup: Option<String>,
    /// What was written, as SHA-256: a file that still holds that was not changed since.
    written: Option<String>,
}

impl Record {
    pub(super) fn read(home: &Path, target: Target) -> anyhow::Result<Record> {
        let home = home.join(super::FOLDER);
        let (file, folder) = (home.join(format!("{}.json", target.name())), home.join(target.name()));
        let read: Record = match fs::read(&file) {
            Ok(bytes) => serde_json::from_slice(&bytes).with_context(|| format!("cannot read {}", file.display()))?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Record::default(),
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", file.display())),
        };
        Ok(Record { file, folder, ..read })
    }

    /// Where the copies are.
    pub(super) fn folder(&self) -> PathBuf {
        self.folder.clone()
    }

    /// Keeps what a change will replace. The first copy stays: it is how the file was without us.
    pub(super) fn note(&mut self, change: &Change) -> anyhow::Result<()> {
        let written = change.after.as_deref().map(digest);
        if let Some(entry) = self.files.iter_mut().find(|entry| entry.path == change.path) {
            // Changed by its owner in between: the old copy is not how it was any more.
            let known = entry.written.is_some() && entry.written == change.before.as_deref().map(digest);
            entry.written = written.filter(|_| known);
            return Ok(());
        }
        let backup = match &change.before {
            None => None,
            Some(bytes) => {
                make_private(&self.folder)?;
                let name = change.path.file_name().unwrap_or_default().to_string_lossy();
                let name = format!("{:02}-{}", self.files.len() + 1, name.trim_start_matches('.'));
                let path = self.folder.join(&name);
                fs::write(&path, bytes).with_context(|| format!("cannot keep a copy in {}", path.display()))?;
                Some(name)
            }
        };
        self.files.push(Entry { path: change.path.clone(), backup, written });
        Ok(())
    }

    pub(super) fn write(&self) -> anyhow::Result<()> {
        if let Some(folder) = self.file.parent() {
            make_private(folder)?;
        }
        let text = serde_json::to_string_pretty(self).context("cannot write what was installed")?;
        fs::write(&self.file, text + "\n").with_context(|| format!("cannot write {}", self.file.display()))
    }

    /// The same changes, with a file that nobody has changed since put back byte for byte.
    pub(super) fn exact(&self, mut changes: Vec<Change>) -> anyhow::Result<Vec<Change>> {
        for entry in &self.files {
            let current = fs::read(&entry.path).ok();
            if current.is_none() || current.as_deref().map(digest) != entry.written {
                continue;
            }
            let before = match &entry.backup {
                None => None,
                Some(name) => {
                    let path = self.folder.join(name);
                    // A copy that is gone leaves the change as it was worked out.
                    let Ok(bytes) = fs::read(&path) else { continue };
                    Some(bytes)
                }
            };
            changes.retain(|change| change.path != entry.path);
            if current != before {
                changes.push(Change { path: entry.path.clone(), before: current, after: before });
            }
        }
        changes.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(changes)
    }

    /// Forgets the installation; the copies go only with `purge`.
    pub(super) fn end(self, purge: bool) -> anyhow::Result<()> {
        for entry in self.files.iter().filter(|entry| entry.backup.is_none()) {
            // Folders that were made for a file of ours; one with anything else in it stays.
            if let Some(folder) = entry.path.parent().filter(|folder| folder.ends_with("harness-memory")) {
                let _ = fs::remove_dir(folder);
            }
        }
        for gone in [Some(&self.file).filter(|file| file.exists())].into_iter().flatten() {
            fs::remove_file(gone).with_context(|| format!("cannot remove {}", gone.display()))?;
        }
        if purge && self.folder.exists() {
            fs::remove_dir_all(&self.folder).with_context(|| format!("cannot remove {}", self.folder.display()))?;
        }
        Ok(())
    }
}

fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Makes a folder that only its owner can read: settings may hold keys.
fn make_private(folder: &Path) -> anyhow::Result<()> {
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt;
        builder.mode(0o700);
    }
    builder.recursive(true).create(folder).with_context(|| format!("cannot make {}", folder.display()))
}

//! Setting a coding tool up to use this memory, and taking that back.
//!
//! - [`tool`]: which tools there are, and what each is given, through the crate agent-config and beside it
//! - [`stage`]: trying it on copies of the tool's files, in a folder that stands for the machine
//! - [`json_text`]: taking the outcome over into the owner's text without disturbing the rest of it
//! - [`record`]: what was there before, so that it can be put back
//! - [`diff`]: what a person is shown
//!
//! agent-config knows where each tool keeps its files and what they look like, and rewrites them as a whole. So it is
//! let loose on copies only; what differs afterwards is shown, and then written into the real files with everything
//! else in them as it was.

mod diff;
mod json_text;
mod record;
mod stage;
mod tool;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;

pub(crate) use self::diff::unified;
pub(crate) use self::stage::{Change, Goal, run_staged, staged};
pub(crate) use self::tool::Target;

use self::record::Record;

/// The folder, within a home, of what is known of installations.
pub(crate) const FOLDER: &str = "install";

/// Writes the changes, after what they change was put aside.
pub(crate) fn apply(home: &Path, target: Target, changes: &[Change]) -> anyhow::Result<PathBuf> {
    let mut record = Record::read(home, target)?;
    for change in changes {
        record.note(change)?;
    }
    record.write()?;
    for change in changes {
        write(change)?;
    }
    Ok(record.folder())
}

/// Puts back what an installation had changed; what its owner has changed since stays.
pub(crate) fn revert(home: &Path, target: Target, changes: Vec<Change>) -> anyhow::Result<Vec<Change>> {
    Record::read(home, target)?.exact(changes)
}

/// Writes changes that take an installation back, and ends what was noted of it.
pub(crate) fn take_back(home: &Path, target: Target, changes: &[Change], purge: bool) -> anyhow::Result<()> {
    for change in changes {
        write(change)?;
    }
    Record::read(home, target)?.end(purge)
}

/// Writes, or removes, one file in one step; a link stays a link.
fn write(change: &Change) -> anyhow::Result<()> {
    let path = fs::canonicalize(&change.path).unwrap_or_else(|_| change.path.clone());
    let doing = || format!("cannot write {}", path.display());
    let Some(after) = &change.after else {
        return fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()));
    };
    let folder = path.parent().with_context(doing)?;
    fs::create_dir_all(folder).with_context(doing)?;
    let mut aside = tempfile::NamedTempFile::new_in(folder).with_context(doing)?;
    std::io::Write::write_all(&mut aside, after).with_context(doing)?;
    match fs::metadata(&path) {
        Ok(facts) => aside.as_file().set_permissions(facts.permissions()).with_context(doing)?,
        Err(_) => readable(aside.as_file()).with_context(doing)?,
    }
    aside.as_file().sync_all().with_context(doing)?;
    aside.persist(&path).map(drop).with_context(doing)
}

/// A new file gets what a text editor would give it: a temporary one is its owner's alone.
fn readable(file: &fs::File) -> std::io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        file.set_permissions(fs::Permissions::from_mode(0o644))?;
    }
    let _ = file;
    Ok(())
}

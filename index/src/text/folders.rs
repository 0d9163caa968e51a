//! Where text indexes lie: one folder for each format and analyzer, with numbered generations in it.
//!
//! ```text
//! HOME/index/text-v1-a1/3/       the generation that answers: the largest number
//! HOME/index/text-v1-a1/next/    one being built to take its place, or that of another version's
//! ```
//!
//! A generation is never changed back into an earlier one, and one that takes another's place appears complete, by
//! renaming its folder. So a reader needs to look at two times of change to know whether it is up to date.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::ANALYZER_VERSION;
use super::schema::TEXT_FORMAT;
use crate::error::{Error, Result};

/// Holds a generation that is not complete and not looked at.
const NEXT: &str = "next";

/// Left in a generation by a reader that found it damaged; says what does not fit.
const DAMAGED: &str = "damaged";

/// The folders of the text index of one home.
#[derive(Clone, Debug)]
pub(crate) struct Folders {
    root: PathBuf,
    format: u32,
    analyzer: u32,
}

impl Folders {
    /// The folders under `root`, which need not be there yet.
    pub(crate) fn new(root: &Path) -> Folders {
        Folders { root: root.to_owned(), format: TEXT_FORMAT, analyzer: ANALYZER_VERSION }
    }

    /// The same for another version of the analyzer.
    #[cfg(test)]
    pub(crate) fn of_analyzer(root: &Path, analyzer: u32) -> Folders {
        Folders { analyzer, ..Folders::new(root) }
    }

    /// The folder of this version's generations.
    pub(crate) fn own(&self) -> PathBuf {
        self.root.join(format!("text-v{}-a{}", self.format, self.analyzer))
    }

    /// The generation of this version that answers, if there is one.
    pub(crate) fn current(&self) -> Option<PathBuf> {
        newest(&self.own())
    }

    /// The generation that another version of the analyzer left: its terms are nearly ours, so that it answers until
    /// ours stands.
    pub(crate) fn older(&self) -> Option<PathBuf> {
        let mut analyzers: Vec<u32> =
            self.versions().filter(|&(format, _)| format == self.format).map(|v| v.1).collect();
        analyzers.sort_unstable();
        let others = analyzers.into_iter().rev().filter(|analyzer| *analyzer != self.analyzer);
        others.filter_map(|analyzer| newest(&Folders { analyzer, ..self.clone() }.own())).next()
    }

    /// The generation being built, if there is one.
    pub(crate) fn next(&self) -> PathBuf {
        self.own().join(NEXT)
    }

    /// What changes when a generation comes or goes: the time of change of the folder of generations, where it is.
    pub(crate) fn changed(&self) -> Option<SystemTime> {
        fs::metadata(self.own()).and_then(|metadata| metadata.modified()).ok()
    }

    /// Makes a new, empty generation that answers at once, and removes the others of this version.
    pub(crate) fn begin(&self) -> Result<PathBuf> {
        let folder = self.own().join((self.newest_number() + 1).to_string());
        make(&folder)?;
        self.remove_others(&folder);
        Ok(folder)
    }

    /// Makes an empty folder for the next generation.
    pub(crate) fn begin_next(&self) -> Result<PathBuf> {
        let folder = self.next();
        remove(&folder)?;
        make(&folder)?;
        Ok(folder)
    }

    /// Lets the next generation answer, and removes all others and those of other versions.
    pub(crate) fn promote_next(&self) -> Result<PathBuf> {
        let folder = self.own().join((self.newest_number() + 1).to_string());
        fs::rename(self.next(), &folder).map_err(Error::io("put in place", &folder))?;
        self.remove_others(&folder);
        self.remove_other_versions();
        Ok(folder)
    }

    /// Removes the folders of other formats and analyzers. What cannot be removed is left for the next time.
    pub(crate) fn remove_other_versions(&self) {
        for (format, analyzer) in self.versions().collect::<Vec<_>>() {
            if (format, analyzer) != (self.format, self.analyzer) {
                let folder = Folders { root: self.root.clone(), format, analyzer }.own();
                if let Err(error) = remove(&folder) {
                    tracing::warn!(%error, "an old text index stays");
                }
            }
        }
    }

    fn remove_others(&self, kept: &Path) {
        for folder in generations(&self.own()).into_iter().map(|(_, folder)| folder).chain([self.next()]) {
            if folder != kept
                && let Err(error) = remove(&folder)
            {
                tracing::warn!(%error, "an old generation of the text index stays");
            }
        }
    }

    fn newest_number(&self) -> u64 {
        generations(&self.own()).into_iter().map(|(number, _)| number).max().unwrap_or(0)
    }

    /// Format and analyzer of every folder of a text index.
    fn versions(&self) -> impl Iterator<Item = (u32, u32)> {
        let names =
            fs::read_dir(&self.root).into_iter().flatten().flatten().filter_map(|e| e.file_name().into_string().ok());
        names.filter_map(|name| {
            let (format, analyzer) = name.strip_prefix("text-v")?.split_once("-a")?;
            Some((format.parse().ok()?, analyzer.parse().ok()?))
        })
    }
}

/// Notes that a generation is damaged, so that the process that writes learns of it. Best effort: the disk may be
/// read-only, and every reader finds the damage for itself.
pub(crate) fn mark_damaged(generation: &Path, reason: &str) {
    let _ = fs::write(generation.join(DAMAGED), reason);
}

/// What a reader found damaged in a generation.
pub(crate) fn damage(generation: &Path) -> Option<String> {
    fs::read(generation.join(DAMAGED)).ok().map(|reason| String::from_utf8_lossy(&reason).into_owned())
}

/// The bytes of all files in a folder.
pub(crate) fn bytes(folder: &Path) -> u64 {
    let files = fs::read_dir(folder).into_iter().flatten().flatten();
    files.filter_map(|file| file.metadata().ok()).filter(fs::Metadata::is_file).map(|metadata| metadata.len()).sum()
}

/// Whether a folder holds files of segments: the engine's lists and locks have names that begin with a dot.
pub(crate) fn has_segments(folder: &Path) -> bool {
    let files = fs::read_dir(folder).into_iter().flatten().flatten();
    files.filter_map(|file| file.file_name().into_string().ok()).any(|name| !name.starts_with('.'))
}

fn newest(own: &Path) -> Option<PathBuf> {
    generations(own).into_iter().max_by_key(|(number, _)| *number).map(|(_, folder)| folder)
}

fn generations(own: &Path) -> Vec<(u64, PathBuf)> {
    let entries = fs::read_dir(own).into_iter().flatten().flatten();
    entries.filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path()))).collect()
}

fn make(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).map_err(Error::io("make the folder", folder))
}

fn remove(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::io("remove", folder)(error)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_number_answers_and_the_next_generation_does_not() {
        let home = tempfile::tempdir().unwrap();
        let folders = Folders::new(home.path());
        assert_eq!(folders.current(), None);
        let first = folders.begin().unwrap();
        assert_eq!(folders.current(), Some(first.clone()));
        let next = folders.begin_next().unwrap();
        fs::write(next.join("content"), "new").unwrap();
        assert_eq!(folders.current(), Some(first.clone()));
        let second = folders.promote_next().unwrap();
        assert_eq!(fs::read_to_string(second.join("content")).unwrap(), "new");
        assert_eq!(folders.current(), Some(second));
        assert!(!first.exists() && !next.exists());
    }

    #[test]
    fn another_versions_index_answers_until_ours_stands() {
        let home = tempfile::tempdir().unwrap();
        let old = Folders::of_analyzer(home.path(), 999).begin().unwrap();
        let folders = Folders::new(home.path());
        assert_eq!((folders.current(), folders.older()), (None, Some(old.clone())));
        folders.begin_next().unwrap();
        folders.promote_next().unwrap();
        assert_eq!(folders.older(), None);
        assert!(!old.exists());
    }
}

//! What a person does not want to have remembered: excluded paths and projects, private sessions, a pause.
//!
//! Kept in `HOME/exclusions.json`, so that the importer, the follower of transcripts and the hooks of every
//! tool honour the same wish. A file that cannot be read is an error and never "nothing is excluded".

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;
use harness_memory::Session;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::report::Advice;

/// The file within the home.
const FILE: &str = "exclusions.json";

/// The most entries of one kind: beyond it, a folder above them is meant.
const ENTRIES_MAX: usize = 10_000;

/// The largest file that is read: all entries at their longest would be odd, but fit.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// What is not to be remembered.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Exclusions {
    /// Since when everything is paused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) paused_since: Option<Timestamp>,
    /// When the pause ends by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) paused_until: Option<Timestamp>,
    /// Folders and files: neither transcripts in them are read, nor is work in them remembered.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) paths: Vec<PathBuf>,
    /// Projects by their name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) projects: Vec<String>,
    /// Sessions by their id.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) sessions: Vec<String>,
}

/// Why something is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Excluded {
    /// Everything is paused.
    Paused,
    /// Its path, or the folder it was held in.
    Path,
    /// Its project.
    Project,
    /// It is private.
    Session,
}

impl Excluded {
    /// In words.
    #[allow(dead_code, reason = "the hooks say it in their log")]
    pub(crate) fn reason(self) -> &'static str {
        match self {
            Excluded::Paused => "everything is paused",
            Excluded::Path => "its folder is excluded",
            Excluded::Project => "its project is excluded",
            Excluded::Session => "the session is private",
        }
    }
}

impl Exclusions {
    /// What this home excludes; nothing where nothing was ever said.
    pub(crate) fn read(home: &Path) -> anyhow::Result<Exclusions> {
        let path = home.join(FILE);
        let doing = || Advice::new(format!("cannot read {}", path.display()), "correct the file, or remove it");
        let text = match fs::metadata(&path) {
            Ok(facts) if facts.len() > FILE_BYTES_MAX => {
                return Err(Advice::error(
                    format!("{} is too large", path.display()),
                    "correct the file, or remove it",
                ));
            }
            Ok(_) => fs::read_to_string(&path).with_context(doing)?,
            // A home that is no folder is reported where it is opened.
            Err(error) if matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) => {
                return Ok(Exclusions::default());
            }
            Err(error) => return Err(error).with_context(doing),
        };
        serde_json::from_str(&text).with_context(doing)
    }

    /// Writes the file anew; a reader sees the old one or the new one.
    pub(crate) fn write(&self, home: &Path) -> anyhow::Result<()> {
        let path = home.join(FILE);
        let written = || -> anyhow::Result<()> {
            fs::create_dir_all(home)?;
            let mut file = tempfile::NamedTempFile::new_in(home)?;
            serde_json::to_writer_pretty(&mut file, self)?;
            file.write_all(b"\n")?;
            file.as_file().sync_all()?;
            file.persist(&path)?;
            Ok(())
        };
        written().with_context(|| {
            Advice::new(format!("cannot write {}", path.display()), "is the disk full, or the home not yours?")
        })
    }

    /// Whether everything is paused at `now`.
    pub(crate) fn paused(&self, now: Timestamp) -> bool {
        self.paused_since.is_some() && self.paused_until.is_none_or(|until| now < until)
    }

    /// Whether a transcript, or work in a folder, is excluded by its path.
    pub(crate) fn excludes_path(&self, path: &Path) -> bool {
        if self.paths.is_empty() {
            return false;
        }
        let real = path.canonicalize().ok();
        self.paths.iter().any(|excluded| {
            path.starts_with(excluded) || real.as_deref().is_some_and(|real| real.starts_with(excluded))
        })
    }

    /// Why this session is to be left out, if it is: by its id, its folder or its project's name.
    ///
    /// A subagent's session goes with the one that started it. A pause is asked for by [`Exclusions::paused`].
    pub(crate) fn excludes_session(&self, session: &Session) -> Option<Excluded> {
        let mut ids = [Some(&session.id), session.parent.as_ref()].into_iter().flatten();
        if ids.any(|id| self.sessions.contains(id)) {
            return Some(Excluded::Session);
        }
        if session.directory.as_ref().is_some_and(|folder| self.excludes_path(Path::new(folder))) {
            return Some(Excluded::Path);
        }
        session.project.as_ref().is_some_and(|name| self.excludes_project(name)).then_some(Excluded::Project)
    }

    /// Whether a project is excluded by its name, whatever its casing.
    pub(crate) fn excludes_project(&self, name: &str) -> bool {
        self.projects.iter().any(|excluded| excluded.to_lowercase() == name.to_lowercase())
    }

    /// Whether work in a folder is excluded, by its path or by its name as a project's.
    pub(crate) fn excludes_folder(&self, folder: &Path) -> bool {
        let name = folder.file_name().map(|name| name.to_string_lossy());
        self.excludes_path(folder) || name.is_some_and(|name| self.excludes_project(&name))
    }

    /// Why a hook that works for this session in this folder is to do nothing, if it is.
    pub(crate) fn excludes_work(
        &self,
        now: Timestamp,
        folder: Option<&Path>,
        project: Option<&str>,
        session: Option<&str>,
    ) -> Option<Excluded> {
        match () {
            () if self.paused(now) => Some(Excluded::Paused),
            () if session.is_some_and(|id| self.sessions.iter().any(|private| private == id)) => {
                Some(Excluded::Session)
            }
            () if folder.is_some_and(|folder| self.excludes_path(folder)) => Some(Excluded::Path),
            () if project.is_some_and(|name| self.excludes_project(name)) => Some(Excluded::Project),
            () => None,
        }
    }

    /// Adds to a list what it does not have yet; whether it was new.
    pub(crate) fn add<T: PartialEq>(list: &mut Vec<T>, entry: T) -> anyhow::Result<bool> {
        if list.contains(&entry) {
            return Ok(false);
        }
        if list.len() >= ENTRIES_MAX {
            let what = format!("there are {ENTRIES_MAX} exclusions of this kind already");
            return Err(Advice::error(what, "exclude a folder above them"));
        }
        list.push(entry);
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use harness_memory::Scope;

    fn session(id: &str, folder: &str) -> Session {
        let mut session = Session::new("codex", id, Scope::root());
        session.directory = Some(folder.to_owned());
        session.project = Path::new(folder).file_name().map(|name| name.to_string_lossy().into_owned());
        session
    }

    #[test]
    fn what_is_excluded_stays_so_and_nothing_else_is() {
        let home = tempfile::tempdir().unwrap();
        assert_eq!(Exclusions::read(home.path()).unwrap(), Exclusions::default());
        let mut exclusions = Exclusions::default();
        assert!(Exclusions::add(&mut exclusions.paths, PathBuf::from("/srv/secret")).unwrap());
        assert!(!Exclusions::add(&mut exclusions.paths, PathBuf::from("/srv/secret")).unwrap());
        exclusions.projects.push("Diary".to_owned());
        exclusions.sessions.push("s-1".to_owned());
        exclusions.write(home.path()).unwrap();
        let read = Exclusions::read(home.path()).unwrap();
        assert_eq!(read, exclusions);
        assert_eq!(read.excludes_session(&session("a", "/srv/secret/deep")), Some(Excluded::Path));
        assert_eq!(read.excludes_session(&session("a", "/srv/secrets")), None);
        assert_eq!(read.excludes_session(&session("a", "/home/ana/diary")), Some(Excluded::Project));
        assert_eq!(read.excludes_session(&session("s-1", "/srv/shop")), Some(Excluded::Session));
        let mut subagent = session("s-2", "/srv/shop");
        subagent.parent = Some("s-1".to_owned());
        assert_eq!(read.excludes_session(&subagent), Some(Excluded::Session));
    }

    #[test]
    fn a_pause_ends_by_itself_and_stops_every_hook_until_then() {
        let now: Timestamp = "2026-05-04T10:00:00Z".parse().unwrap();
        let later: Timestamp = "2026-05-04T11:00:00Z".parse().unwrap();
        let mut exclusions = Exclusions { paused_since: Some(now), ..Exclusions::default() };
        assert!(exclusions.paused(later));
        exclusions.paused_until = Some(later);
        assert!(exclusions.paused(now) && !exclusions.paused(later));
        let folder = Some(Path::new("/srv/shop"));
        assert_eq!(exclusions.excludes_work(now, folder, None, None), Some(Excluded::Paused));
        assert_eq!(exclusions.excludes_work(later, folder, Some("shop"), Some("s")), None);
    }

    #[test]
    fn a_broken_file_is_an_error_and_never_permission() {
        let home = tempfile::tempdir().unwrap();
        fs::write(home.path().join(FILE), "{\"paths\": 3}").unwrap();
        assert!(Exclusions::read(home.path()).is_err());
    }
}

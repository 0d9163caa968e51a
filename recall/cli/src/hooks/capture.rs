//! Transcripts that wait to be imported, and the one process that imports them.
//!
//! A hook must not read megabytes while a tool waits. It leaves a file in `HOME/capture/` that names the transcript,
//! and sees to it that a detached `harness capture` runs. That process takes a lock, so that one imports at a time; a
//! transcript named again while it is being read is read again afterwards; what a killed process left is taken up by
//! the next. Importing goes through `session import`, so what is excluded or paused there stays out here, too.

use std::fs::{self, File, TryLockError};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::event::Event;
use super::log;

/// The folder of what waits, within a home.
pub(crate) const FOLDER: &str = "capture";

/// Where imports that hooks started say what went wrong.
pub(crate) const LOG_FILE: &str = "capture.log";

/// The ending of a name that is being imported.
const TAKEN: &str = "taken";

/// The most transcripts that wait. Beyond it something keeps them from being imported, and `session import` finds
/// them in the tools' own folders all the same.
const WAITING_MAX: usize = 10_000;

/// A transcript to import: a file, or without a path all that the tool has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Capture {
    pub(crate) tool: String,
    pub(crate) path: Option<PathBuf>,
    /// Where the tool's hook was called: some transcripts do not say where they were held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) folder: Option<PathBuf>,
}

impl Capture {
    pub(super) fn of(event: &Event) -> Capture {
        // A relative path means nothing to another process.
        let path = event.transcript.clone().filter(|path| path.is_absolute());
        let folder = event.folder.clone().filter(|folder| folder.is_absolute() && path.is_some());
        Capture { tool: event.tool.name().to_owned(), path, folder }
    }

    /// Leaves word that this transcript has grown.
    pub(crate) fn leave(&self, home: &Path) -> anyhow::Result<()> {
        let folder = folder_in(home)?;
        let text = serde_json::to_vec(self).context("cannot write the name of a transcript")?;
        let digest = Sha256::digest(&text);
        let name: String = digest[..8].iter().map(|byte| format!("{byte:02x}")).collect();
        let path = folder.join(format!("{name}.json"));
        // Written aside first: whoever imports never sees half a name.
        let aside = folder.join(format!("{name}.{}.new", std::process::id()));
        let write = || {
            log::private().write(true).create(true).truncate(true).open(&aside)?.write_all(&text)?;
            fs::rename(&aside, &path)
        };
        write().with_context(|| format!("cannot write {}", path.display()))
    }
}

/// Starts a detached process that imports what waits, unless one is at it.
pub(crate) fn start(home: &Path) -> anyhow::Result<()> {
    match lock(home) {
        // It looks again before it leaves.
        Ok(None) => return Ok(()),
        Ok(Some(lock)) => drop(lock),
        Err(error) => return Err(error),
    }
    let program = std::env::current_exe().context("cannot find this program")?;
    let mut command = Command::new(program);
    command.arg("--home").arg(home).arg("capture").current_dir(home);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(stderr(home));
    #[cfg(unix)]
    {
        use std::os::unix::process::CommandExt;
        // Its own group: what ends the tool and its hooks is not meant for it.
        command.process_group(0);
    }
    command.spawn().map(drop).context("cannot start the process that imports")
}

fn stderr(home: &Path) -> Stdio {
    let open = |path| log::private().append(true).create(true).open(path).ok();
    log::file(home, LOG_FILE).and_then(open).map_or_else(Stdio::null, Stdio::from)
}

/// The folder of what waits, made when it is not there. A hook may be the first to write to a home.
fn folder_in(home: &Path) -> anyhow::Result<PathBuf> {
    let folder = home.join(FOLDER);
    if !folder.is_dir() {
        let mut builder = fs::DirBuilder::new();
        #[cfg(unix)]
        {
            use std::os::unix::fs::DirBuilderExt;
            // What is remembered is its owner's alone.
            builder.mode(0o700);
        }
        builder.recursive(true).create(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    Ok(folder)
}

/// Takes the lock of who imports; `None` when another process has it.
fn lock(home: &Path) -> anyhow::Result<Option<File>> {
    let path = folder_in(home)?.join("lock");
    let doing = || format!("cannot lock {}", path.display());
    let file = log::private().write(true).create(true).truncate(false).open(&path).with_context(doing)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error).with_context(doing),
    }
}

/// Imports what waits, with `import`, until nothing does. Answers how many transcripts that were; none when another
/// process is at it. A transcript that cannot be imported is named on stderr and not tried again; one whose import
/// was killed is.
pub(crate) fn drain(
    home: &Path,
    stop: &AtomicBool,
    import: &mut dyn FnMut(&Capture) -> anyhow::Result<()>,
) -> anyhow::Result<usize> {
    let mut done = 0;
    loop {
        let Some(held) = lock(home)? else { return Ok(done) };
        put_back(home)?;
        while let Some((capture, taken)) = take(home)? {
            if let Err(error) = import(&capture) {
                let place = capture.path.as_deref().map_or_else(String::new, |path| format!(" {}", path.display()));
                crate::report::line(&format!("{}: cannot import{place}: {error:#}", capture.tool));
            }
            let _ = fs::remove_file(taken);
            done += 1;
            if stop.load(Ordering::Relaxed) {
                return Ok(done);
            }
        }
        drop(held);
        // Somebody may have left word after the last look and seen the lock taken.
        if waiting(home)?.is_empty() {
            return Ok(done);
        }
    }
}

/// The names that wait.
fn waiting(home: &Path) -> anyhow::Result<Vec<PathBuf>> {
    names(home, "json")
}

fn names(home: &Path, extension: &str) -> anyhow::Result<Vec<PathBuf>> {
    let folder = home.join(FOLDER);
    let entries = fs::read_dir(&folder).with_context(|| format!("cannot look into {}", folder.display()))?;
    let paths = entries.flatten().map(|entry| entry.path());
    Ok(paths.filter(|path| path.extension().is_some_and(|e| e == extension)).take(WAITING_MAX).collect())
}

/// Lets what a killed process had taken wait again. To be called with the lock.
fn put_back(home: &Path) -> anyhow::Result<()> {
    for taken in names(home, TAKEN)? {
        let waiting = taken.with_extension("json");
        fs::rename(&taken, &waiting).with_context(|| format!("cannot rename {}", taken.display()))?;
    }
    Ok(())
}

/// Takes one name and answers it, with the file to remove when it is done; one that does not read is dropped.
///
/// It is taken before it is imported: lines that come meanwhile leave a new name.
fn take(home: &Path) -> anyhow::Result<Option<(Capture, PathBuf)>> {
    for path in waiting(home)? {
        let taken = path.with_extension(TAKEN);
        fs::rename(&path, &taken).with_context(|| format!("cannot rename {}", path.display()))?;
        match fs::read(&taken).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()) {
            Some(capture) => return Ok(Some((capture, taken))),
            None => drop(fs::remove_file(&taken)),
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn capture(name: &str) -> Capture {
        Capture { tool: "codex".into(), path: Some(PathBuf::from(name)), folder: None }
    }

    #[test]
    fn a_transcript_named_often_is_imported_once_and_again_when_it_grew_meanwhile() {
        let home = tempfile::tempdir().unwrap();
        for _ in 0..5 {
            capture("/t/one.jsonl").leave(home.path()).unwrap();
        }
        capture("/t/two.jsonl").leave(home.path()).unwrap();
        let stop = AtomicBool::new(false);
        let mut seen = Vec::new();
        let done = drain(home.path(), &stop, &mut |waiting| {
            if waiting == &capture("/t/one.jsonl") && !seen.contains(waiting) {
                capture("/t/one.jsonl").leave(home.path()).unwrap();
            }
            seen.push(waiting.clone());
            // A second process leaves at once.
            assert_eq!(drain(home.path(), &stop, &mut |_| Ok(()))?, 0);
            anyhow::bail!("this one cannot be read, which does not keep the others")
        });
        assert_eq!(done.unwrap(), 3);
        seen.sort_by_key(|capture| capture.path.clone());
        assert_eq!(seen, [capture("/t/one.jsonl"), capture("/t/one.jsonl"), capture("/t/two.jsonl")]);
    }

    #[test]
    fn a_name_that_does_not_read_is_dropped() {
        let home = tempfile::tempdir().unwrap();
        capture("/t/one.jsonl").leave(home.path()).unwrap();
        fs::write(home.path().join(FOLDER).join("broken.json"), "{").unwrap();
        assert_eq!(drain(home.path(), &AtomicBool::new(false), &mut |_| Ok(())).unwrap(), 1);
        assert!(waiting(home.path()).unwrap().is_empty() && names(home.path(), TAKEN).unwrap().is_empty());
    }

    #[test]
    fn what_a_killed_process_was_importing_is_imported_by_the_next() {
        let home = tempfile::tempdir().unwrap();
        capture("/t/one.jsonl").leave(home.path()).unwrap();
        take(home.path()).unwrap().unwrap();
        let mut seen = Vec::new();
        drain(home.path(), &AtomicBool::new(false), &mut |waiting| {
            seen.push(waiting.clone());
            Ok(())
        })
        .unwrap();
        assert_eq!(seen, [capture("/t/one.jsonl")]);
    }
}

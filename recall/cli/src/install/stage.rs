//! Trying a change on copies, in a folder that stands for the machine.
//!
//! The tools' folders hang from environment variables, which a process reads and must not change of itself. So the
//! work is done by this program started once more, with those variables pointing into the folder: a file `/home/a/b`
//! has its copy at `FOLDER/home/a/b`.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Component, Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, bail};

use super::json_text;
use super::tool::{self, Caller, Target};
use crate::report::Advice;

/// The variables that name a tool's folders, when they are set.
const FOLDERS: &[&str] = &["HOME", "USERPROFILE", "APPDATA", "XDG_CONFIG_HOME", "CODEX_HOME"];

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Goal {
    Install,
    Uninstall,
}

/// A file that is to change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) path: PathBuf,
    /// What it holds; `None` when it is not there.
    pub(crate) before: Option<Vec<u8>>,
    /// What it is to hold; `None` when it is to go.
    pub(crate) after: Option<Vec<u8>>,
}

/// What reaching the goal would change, by path. Nothing is changed.
pub(crate) fn staged(target: Target, goal: Goal, home: Option<&Path>) -> anyhow::Result<Vec<Change>> {
    let program = std::env::current_exe().context("cannot find this program")?;
    let caller = Caller { program: program.clone(), home: home.map(Path::to_owned) };
    let stage = tempfile::tempdir().context("cannot make a folder to try it in")?;
    let files = tool::files(target, &caller).context("cannot tell which files would change")?;
    let mut before = BTreeSet::new();
    for file in &files {
        let Some(bytes) = read(file)? else { continue };
        let copy = inside(stage.path(), file);
        let folder = copy.parent().unwrap_or(stage.path());
        fs::create_dir_all(folder).and_then(|()| fs::write(&copy, bytes)).context("cannot copy a file to try it on")?;
        before.insert(file.clone());
    }
    let mut command = Command::new(&program);
    let name = match goal {
        Goal::Install => "install",
        Goal::Uninstall => "uninstall",
    };
    if let Some(home) = home {
        command.arg("--home").arg(home);
    }
    command.args([name, target.name(), "--staged"]).stdin(Stdio::null());
    for variable in FOLDERS {
        if let Some(folder) = std::env::var_os(variable).filter(|folder| !folder.is_empty()) {
            command.env(variable, inside(stage.path(), Path::new(&folder)));
        }
    }
    let output = command.output().context("cannot start this program to try it")?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).replace(&*stage.path().to_string_lossy(), "");
        let hint = "mend the file that is named, or move it aside; nothing was changed";
        return Err(Advice::error(format!("{} cannot be set up: {}", target.name(), said.trim()), hint));
    }
    let mut after = BTreeSet::new();
    found(stage.path(), stage.path(), &mut after)?;
    let mut changes = Vec::new();
    for path in before.union(&after) {
        let old = read(path)?;
        let mut new = read(&inside(stage.path(), path))?;
        if let (Some(old), Some(text)) = (&old, &new) {
            new = Some(kept_style(path, old, text));
        }
        if old != new {
            changes.push(Change { path: path.clone(), before: old, after: new });
        }
    }
    Ok(changes)
}

/// Reaches the goal in the folders that the environment names. For the process that [`staged`] starts.
pub(crate) fn run_staged(target: Target, goal: Goal, home: Option<&Path>) -> anyhow::Result<()> {
    let program = std::env::current_exe().context("cannot find this program")?;
    let caller = Caller { program, home: home.map(Path::to_owned) };
    match goal {
        Goal::Install => tool::install(target, &caller),
        Goal::Uninstall => tool::uninstall(target),
    }
}

/// The place of a path within the stage.
fn inside(stage: &Path, path: &Path) -> PathBuf {
    let parts = path.components().filter_map(|part| match part {
        Component::Normal(name) => Some(name.to_owned()),
        Component::Prefix(prefix) => Some(prefix.as_os_str().to_string_lossy().replace([':', '\\'], "").into()),
        _ => None,
    });
    parts.fold(stage.to_owned(), |folder, name| folder.join(name))
}

/// The files within the stage that are of a tool, as the paths they stand for.
fn found(stage: &Path, folder: &Path, files: &mut BTreeSet<PathBuf>) -> anyhow::Result<()> {
    for entry in fs::read_dir(folder).context("cannot look at what was tried")?.flatten() {
        let path = entry.path();
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            found(stage, &path, files)?;
            continue;
        }
        let name = entry.file_name().to_string_lossy().into_owned();
        // agent-config's own backups and locks: ours are elsewhere.
        if name.ends_with(".bak") || name.ends_with(".lock") {
            continue;
        }
        match path.strip_prefix(stage) {
            Ok(rest) => drop(files.insert(Path::new("/").join(rest))),
            Err(_) => bail!("{} lies outside the stage", path.display()),
        }
    }
    Ok(())
}

/// The new content of a file; a JSON text keeps its owner's style wherever nothing changed.
fn kept_style(path: &Path, old: &[u8], new: &[u8]) -> Vec<u8> {
    let is_json = path.extension().is_some_and(|kind| kind == "json" || kind == "jsonc");
    let texts = std::str::from_utf8(old).ok().zip(std::str::from_utf8(new).ok()).filter(|_| is_json);
    let kept = texts.and_then(|(old, new)| json_text::changed(old, &json_text::value(new)?));
    kept.map_or_else(|| new.to_vec(), String::into_bytes)
}

fn read(path: &Path) -> anyhow::Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

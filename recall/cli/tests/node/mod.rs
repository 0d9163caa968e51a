//! Node and npm packages, where a machine has them; tests that need more than there is say so by name.

#![allow(dead_code, reason = "each test file uses a part of it")]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The folders that may hold packages: what `HARNESS_NODE_MODULES` names, and those above these sources.
fn folders() -> impl Iterator<Item = PathBuf> {
    let named = std::env::var_os("HARNESS_NODE_MODULES").map(PathBuf::from);
    let above = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().map(|folder| folder.join("node_modules"));
    named.into_iter().chain(above)
}

/// The `node_modules` that holds all of these packages, where one does and there is a Node to run them.
pub(crate) fn packages(names: &[&str]) -> Option<PathBuf> {
    version()?;
    folders().find(|folder| names.iter().all(|name| folder.join(name).is_dir()))
}

/// Node: the npm package `node`, where it is there, else the machine's own.
pub(crate) fn node() -> PathBuf {
    folders().map(|folder| folder.join("node/bin/node")).find(|path| path.is_file()).unwrap_or_else(|| "node".into())
}

/// Node's version, major and minor; `None` where there is none.
pub(crate) fn version() -> Option<(u32, u32)> {
    let output = Command::new(node()).arg("--version").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let mut parts = text.trim().strip_prefix('v')?.split('.').map_while(|part| part.parse().ok());
    Some((parts.next()?, parts.next()?))
}

/// A folder with a copy of a script of these tests beside the packages: Node looks for them there.
pub(crate) fn script(modules: &Path, name: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(name);
    #[cfg(unix)]
    std::os::unix::fs::symlink(modules, folder.path().join("node_modules")).unwrap();
    std::fs::copy(&from, folder.path().join(from.file_name().unwrap())).unwrap();
    folder
}

/// Says that a test was skipped, and what it lacks.
pub(crate) fn skipped(test: &str, lacks: &str) {
    // Past the test runner, which keeps what passing tests print to itself.
    let _ = writeln!(std::io::stderr(), "skipped: {test}: needs Node and {lacks}");
}

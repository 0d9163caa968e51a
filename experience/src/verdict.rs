//! How a run ended, and what says so. Never assumed to be success.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use harness_memory::Outcome;
use serde::{Deserialize, Serialize};

use crate::process;

/// How long an acceptance check may take: a test suite, not a nightly build.
pub const CHECK_TIME_MAX: Duration = Duration::from_secs(600);

/// What is kept of a failing check's last line, in bytes.
const LINE_BYTES_MAX: usize = 300;

/// How a run ended, with the reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// How it ended.
    pub outcome: Outcome,
    /// What says so.
    pub reason: String,
}

impl Verdict {
    /// A verdict with what says so.
    pub fn new(outcome: Outcome, reason: impl Into<String>) -> Verdict {
        Verdict { outcome, reason: reason.into() }
    }
}

/// A command whose exit code says whether a run reached what was asked.
#[derive(Clone, Debug)]
pub struct Check {
    /// The command, for the shell.
    pub command: String,
    /// The folder it runs in.
    pub folder: PathBuf,
    /// How long it may take; then nothing is known.
    pub time: Duration,
}

impl Check {
    /// A check in this folder, with [`CHECK_TIME_MAX`] to run.
    pub fn new(command: impl Into<String>, folder: impl Into<PathBuf>) -> Check {
        Check { command: command.into(), folder: folder.into(), time: CHECK_TIME_MAX }
    }

    /// Runs it. Exit code 0 is success, another one failure; what cannot be run or takes too long says nothing.
    pub async fn run(&self) -> Verdict {
        let mut command = shell(&self.command);
        command.current_dir(&self.folder).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        process::lead_group(&mut command);
        let ended = async {
            let child = command.spawn()?;
            let mut group = process::Group::of(child.id());
            let output = child.wait_with_output().await;
            group.release();
            output
        };
        let output = match tokio::time::timeout(self.time, ended).await {
            Ok(Ok(output)) => output,
            Ok(Err(error)) => {
                return Verdict::new(Outcome::Unknown, format!("the check `{}` did not start: {error}", self.command));
            }
            Err(_) => {
                let reason = format!("the check `{}` took longer than {} s", self.command, self.time.as_secs());
                return Verdict::new(Outcome::Unknown, reason);
            }
        };
        match output.status.code() {
            Some(0) => Verdict::new(Outcome::Success, format!("the check `{}` passed", self.command)),
            Some(code) => {
                let said = [&output.stderr, &output.stdout].into_iter().find_map(|bytes| {
                    let text = String::from_utf8_lossy(bytes);
                    let line = text.lines().rev().find(|line| !line.trim().is_empty())?.trim().to_owned();
                    Some(line[..line.floor_char_boundary(LINE_BYTES_MAX)].to_owned())
                });
                let said = said.map_or(String::new(), |line| format!(": {line}"));
                Verdict::new(Outcome::Failure, format!("the check `{}` ended with {code}{said}", self.command))
            }
            None => Verdict::new(Outcome::Unknown, format!("the check `{}` was ended by a signal", self.command)),
        }
    }
}

/// A command line for the platform's shell.
pub(crate) fn shell(line: &str) -> tokio::process::Command {
    let (program, flag) = if cfg!(windows) { ("cmd", "/C") } else { ("sh", "-c") };
    let mut command = tokio::process::Command::new(program);
    command.arg(flag).arg(line);
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_check_says_success_failure_or_that_nothing_is_known() {
        let folder = tempfile::tempdir().unwrap();
        let check = |line: &str| Check::new(line, folder.path());
        assert_eq!(check("exit 0").run().await.outcome, Outcome::Success);
        let failed = check("echo 2 tests failed >&2; exit 3").run().await;
        assert_eq!(failed.outcome, Outcome::Failure);
        assert_eq!(failed.reason, "the check `echo 2 tests failed >&2; exit 3` ended with 3: 2 tests failed");
        let slow = Check { time: Duration::from_millis(50), ..check("sleep 5") };
        assert_eq!(slow.run().await.outcome, Outcome::Unknown);
    }
}

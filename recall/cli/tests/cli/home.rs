//! A temporary home, and what a command printed there.

use std::path::{Path, PathBuf};

use assert_cmd::Command;
use regex::Regex;
use tempfile::TempDir;

/// A home that is gone with the test, and a folder beside it to work in.
pub(crate) struct Home {
    folder: TempDir,
}

/// What a command did.
pub(crate) struct Done {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Home {
    pub(crate) fn new() -> Home {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("shop")).unwrap();
        Home { folder }
    }

    /// Where records are kept; made by the first write.
    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("home")
    }

    /// The folder that commands run in.
    pub(crate) fn work(&self) -> PathBuf {
        self.folder.path().join("shop")
    }

    /// `harness` in this home, with nothing of the machine's own settings.
    pub(crate) fn command(&self) -> Command {
        Command::from_std(self.std_command())
    }

    pub(crate) fn std_command(&self) -> std::process::Command {
        let mut command = std::process::Command::new(assert_cmd::cargo::cargo_bin!("harness"));
        for name in ["NO_COLOR", "HARNESS_LOG", "RUST_BACKTRACE"] {
            command.env_remove(name);
        }
        command.env("HARNESS_HOME", self.path()).env("HARNESS_USER", "ana").current_dir(self.work());
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Done {
        done(self.command().args(args))
    }

    pub(crate) fn run_with(&self, args: &[&str], stdin: impl Into<Vec<u8>>) -> Done {
        done(self.command().args(args).write_stdin(stdin))
    }

    /// Makes the home with these settings.
    pub(crate) fn write_settings(&self, toml: &str) {
        std::fs::create_dir_all(self.path()).unwrap();
        std::fs::write(self.path().join("config.toml"), toml).unwrap();
    }

    /// Runs a command that must succeed, and answers its first JSON object.
    pub(crate) fn json(&self, args: &[&str]) -> serde_json::Value {
        let done = self.run(&[args, &["--json"]].concat());
        assert_eq!(done.code, 0, "{args:?}: {}", done.err);
        serde_json::from_str(done.out.lines().next().unwrap_or_default()).unwrap()
    }

    /// Remembers a text, and answers its id.
    pub(crate) fn remember(&self, text: &str) -> String {
        self.json(&["remember", text])["id"].as_str().unwrap().to_owned()
    }

    /// What was printed, with everything that differs from run to run replaced.
    pub(crate) fn stable(&self, text: &str) -> String {
        stable(text, self.folder.path())
    }
}

pub(crate) fn done(command: &mut Command) -> Done {
    let output = command.output().unwrap();
    Done {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

fn stable(text: &str, folder: &Path) -> String {
    let canonical = folder.canonicalize().unwrap();
    let text = text.replace(&*canonical.to_string_lossy(), "DIR").replace(&*folder.to_string_lossy(), "DIR");
    let mut text = text;
    for (pattern, word) in [
        (r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "ID"),
        (r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", "TIME"),
        (r"shop-[0-9a-f]{8}", "shop-HASH"),
        (r"\d+(\.\d+)? (KiB|MiB|GiB)", "SIZE"),
        (r"(?m)^( *\d+)  [01]\.\d\d  ", "$1  SCORE  "),
        (r"took \d+\.\d s \(\d+ messages/s\)", "took SECONDS"),
    ] {
        text = Regex::new(pattern).unwrap().replace_all(&text, word).into_owned();
    }
    text
}

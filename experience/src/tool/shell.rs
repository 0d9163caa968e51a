//! The shell: any command, classed by what it can do.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Stdio;

use harness_memory::memory::BoxFuture;
use serde_json::{Value, json};

pub use super::command::risk_of;
use super::{Output, Risk, Tool, text_of};
use crate::model::ToolSpec;
use crate::{process, verdict};

/// The most output of one command that is read, in bytes: what is longer is stopped from filling the memory.
const READ_BYTES_MAX: usize = 8 << 20;

/// Words that names of variables with secrets are, or end in after an underscore: `OPENAI_API_KEY`, `GH_TOKEN`,
/// `DB_PASSWORD`, `AWS_ACCESS_KEY_ID`; digits at the end do not count, nor does case.
const SECRET_WORDS: &[&str] = &[
    "KEY",
    "KEYS",
    "APIKEY",
    "KEY_ID",
    "TOKEN",
    "TOKENS",
    "SECRET",
    "SECRETS",
    "PASSWORD",
    "PASSWD",
    "PASS",
    "PASSPHRASE",
    "CREDENTIAL",
    "CREDENTIALS",
    "PAT",
    "AUTH",
];

/// Names of variables with secrets that no rule tells.
const SECRET_NAMES: &[&str] = &["PGPASSWORD", "MYSQL_PWD", "REDISCLI_AUTH", "SSHPASS"];

/// What `git` is told when a command only looks, over its configuration: it starts no monitor, no hook and no
/// checker of signatures, and takes no folder for a repository that only looks like one, since files that do may
/// have been written by a tool.
const GIT_ONLY_LOOKS: &[(&str, &str)] = &[
    ("core.fsmonitor", "false"),
    ("core.hooksPath", "/dev/null"),
    ("log.showSignature", "false"),
    ("safe.bareRepository", "explicit"),
];

/// Runs commands in a folder.
///
/// A command is given this process's environment without what looks like a secret by its name: `KEY`, `TOKEN`,
/// `SECRET`, `PASSWORD`, `PASSPHRASE`, `CREDENTIALS` and the like, alone or after an underscore, and what
/// [`Shell::without`] names. What a variable holds is never looked at, so that a password within `DATABASE_URL` stays.
/// A command that needs a secret has to be given it by whoever approves it.
pub struct Shell {
    folder: PathBuf,
    without: Vec<String>,
}

impl Shell {
    /// A shell in this folder.
    pub fn new(folder: impl Into<PathBuf>) -> Shell {
        Shell { folder: folder.into(), without: Vec::new() }
    }

    /// Without these variables of the environment too: those that hold a secret and do not look like it.
    pub fn without(mut self, names: impl IntoIterator<Item = String>) -> Shell {
        self.without.extend(names);
        self
    }

    /// Which of these variables a command is not given.
    fn hidden(&self, names: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
        let is_hidden = |name: &OsString| {
            let name = name.to_string_lossy();
            is_secret(&name) || self.without.iter().any(|hidden| *hidden == name)
        };
        names.into_iter().filter(is_hidden).collect()
    }
}

/// Whether a variable holds a secret, by its name.
fn is_secret(name: &str) -> bool {
    let name = name.to_uppercase();
    let name = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '_');
    let ends_in = |word: &str| name.strip_suffix(word).is_some_and(|rest| rest.is_empty() || rest.ends_with('_'));
    SECRET_NAMES.contains(&name) || SECRET_WORDS.iter().any(|word| ends_in(word))
}

/// Has `git` start no monitor and no hook, write nothing it need not and fetch nothing, whatever its repository says;
/// and the shell of Windows look for programs where others do.
///
/// Only for commands that nobody was asked about: what was approved runs as its user has set it up, with hooks and
/// all. The system's configuration stays, since nobody but its administrator writes it.
fn only_look(program: &mut tokio::process::Command) {
    program.env("GIT_OPTIONAL_LOCKS", "0").env("GIT_NO_LAZY_FETCH", "1").env("GIT_TERMINAL_PROMPT", "0");
    program.env_remove("GIT_EXTERNAL_DIFF").env_remove("GIT_CONFIG_PARAMETERS");
    program.env("GIT_CONFIG_COUNT", GIT_ONLY_LOOKS.len().to_string());
    program.env("NoDefaultCurrentDirectoryInExePath", "1");
    for (number, (key, value)) in GIT_ONLY_LOOKS.iter().enumerate() {
        program.env(format!("GIT_CONFIG_KEY_{number}"), key).env(format!("GIT_CONFIG_VALUE_{number}"), value);
    }
}

impl Tool for Shell {
    fn spec(&self) -> ToolSpec {
        ToolSpec {
            name: "shell".to_owned(),
            description: "Runs a command in the workspace and answers what it printed and its exit code. Variables \
                          whose names look like keys, tokens or passwords are not set."
                .to_owned(),
            schema: json!({
                "type": "object",
                "properties": {"command": {"type": "string", "description": "the command line"}},
                "required": ["command"],
            }),
        }
    }

    fn risk(&self, arguments: &Value) -> Risk {
        arguments.get("command").and_then(Value::as_str).map_or(Risk::Runs, risk_of)
    }

    fn call<'a>(&'a self, arguments: &'a Value) -> BoxFuture<'a, Output> {
        Box::pin(async move {
            let command = match text_of(arguments, "command") {
                Ok(command) => command,
                Err(output) => return output,
            };
            let mut program = verdict::shell(command);
            program.current_dir(&self.folder).stdin(Stdio::null());
            program.stdout(Stdio::piped()).stderr(Stdio::piped());
            // The names are read, to take some of them out; what a command is to be told is told by its caller.
            for name in self.hidden(std::env::vars_os().map(|(name, _)| name)) {
                program.env_remove(name);
            }
            if risk_of(command) == Risk::Reads {
                only_look(&mut program);
            }
            process::lead_group(&mut program);
            let mut child = match program.spawn() {
                Ok(child) => child,
                Err(error) => return Output::failed(format!("the shell did not start: {error}")),
            };
            let mut group = process::Group::of(child.id());
            let (out, err) = (child.stdout.take(), child.stderr.take());
            let (out, err, status) = tokio::join!(read(out), read(err), child.wait());
            group.release();
            let mut text = out;
            if !err.is_empty() {
                text.push_str(if text.is_empty() || text.ends_with('\n') { "" } else { "\n" });
                text.push_str(&err);
            }
            match status.map(|status| status.code()) {
                Ok(Some(0)) => Output::done(text),
                Ok(Some(code)) => Output::failed(format!("exit code {code}\n{text}")),
                Ok(None) => Output::failed(format!("ended by a signal\n{text}")),
                Err(error) => Output::failed(format!("it was not waited for: {error}")),
            }
        })
    }
}

/// Reads to the end, keeps the first bytes.
async fn read(pipe: Option<impl tokio::io::AsyncRead + Unpin>) -> String {
    use tokio::io::AsyncReadExt;
    let Some(mut pipe) = pipe else { return String::new() };
    let (mut kept, mut buffer) = (Vec::new(), vec![0; 16 * 1024]);
    while let Ok(read @ 1..) = pipe.read(&mut buffer).await {
        let room = READ_BYTES_MAX.saturating_sub(kept.len()).min(read);
        kept.extend_from_slice(&buffer[..room]);
    }
    String::from_utf8_lossy(&kept).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_that_look_like_secrets_are_told_by_their_names() {
        let secrets = "OPENAI_API_KEY ANTHROPIC_API_KEY GH_TOKEN GITHUB_TOKEN AWS_SECRET_ACCESS_KEY AWS_ACCESS_KEY_ID \
                       AWS_SESSION_TOKEN DB_PASSWORD PGPASSWORD STRIPE_SECRET openai_api_key GEMINI_API_KEY_2 TOKEN \
                       GOOGLE_APPLICATION_CREDENTIALS NPM_CONFIG__AUTH";
        for name in secrets.split_whitespace() {
            assert!(is_secret(name), "{name}");
        }
        for name in ["PATH", "HOME", "PWD", "OLDPWD", "LANG", "MONKEY", "SSH_AUTH_SOCK", "TOKENIZERS_PARALLELISM"] {
            assert!(!is_secret(name), "{name}");
        }
        let shell = Shell::new(".").without(["MY_MODEL".to_owned()]);
        let names = ["PATH", "OPENAI_API_KEY", "MY_MODEL"].map(OsString::from);
        assert_eq!(shell.hidden(names), ["OPENAI_API_KEY", "MY_MODEL"]);
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn a_command_is_not_given_secrets() {
        // Cargo sets these two for a test.
        let shell = Shell::new(std::env::temp_dir()).without(["CARGO_PKG_NAME".to_owned()]);
        let output = shell.call(&json!({"command": "env"})).await;
        let names: Vec<&str> =
            output.text.lines().filter_map(|line| line.split_once('=')).map(|(name, _)| name).collect();
        assert!(names.contains(&"CARGO_PKG_VERSION") && !names.contains(&"CARGO_PKG_NAME"), "{names:?}");
        assert!(!names.iter().any(|name| is_secret(name)), "{names:?}");
    }

    /// A repository that says what to start is no way around being asked.
    #[cfg(unix)]
    #[tokio::test]
    async fn git_starts_nothing_that_a_repository_configures_when_it_only_looks() {
        let folder = tempfile::tempdir().unwrap();
        let shell = Shell::new(folder.path());
        let run = async |command: &str| shell.call(&json!({"command": command})).await;
        if !run("git init -q . && git config core.fsmonitor 'touch ran; false'").await.ok {
            return; // There is no git here.
        }
        assert_eq!(risk_of("git status"), Risk::Reads);
        assert!(run("git status").await.ok);
        assert!(!folder.path().join("ran").exists());
        // Files that look like a repository are written by any tool.
        for (name, text) in
            [("HEAD", "ref: refs/heads/x"), ("config", "[core]\nbare = true\n"), ("refs/x", ""), ("objects/x", "")]
        {
            let path = folder.path().join("inner").join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let inner = Shell::new(folder.path().join("inner"));
        let output = inner.call(&json!({"command": "git log"})).await;
        assert!(!output.ok && output.text.contains("bare repository"), "{}", output.text);
    }

    #[tokio::test]
    async fn a_command_answers_what_it_printed_and_its_exit_code() {
        let folder = tempfile::tempdir().unwrap();
        let shell = Shell::new(folder.path());
        let output = shell.call(&json!({"command": "echo 你好; echo wrong >&2; exit 3"})).await;
        assert_eq!(output, Output::failed("exit code 3\n你好\nwrong\n"));
        assert!(shell.call(&json!({"command": "true"})).await.ok);
        assert!(!shell.call(&json!({})).await.ok);
    }
}

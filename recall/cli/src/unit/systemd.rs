//! The user's systemd.

use std::path::PathBuf;

use super::{MARK, NICE, STOP_SECONDS, Unit, ask, login_folder};
use crate::report::Advice;

/// The unit's name.
const NAME: &str = "harness.service";

/// Where the user's systemd looks for units.
pub(super) fn file() -> anyhow::Result<PathBuf> {
    let named = std::env::var_os("XDG_CONFIG_HOME").map(PathBuf::from).filter(|folder| folder.is_absolute());
    let folder = match named {
        Some(folder) => folder,
        None => login_folder()?.join(".config"),
    };
    Ok(folder.join("systemd/user").join(NAME))
}

pub(super) fn text(unit: &Unit) -> anyhow::Result<String> {
    let command: Vec<String> = unit.command()?.iter().map(|word| quoted(word)).collect();
    let command = command.join(" ");
    let environment: String = unit
        .environment
        .iter()
        .map(|(name, value)| format!("Environment={}\n", quoted_value(&format!("{name}={value}"))))
        .collect();
    Ok(format!(
        "\
# {MARK}, taken back by `harness service uninstall`.
[Unit]
Description=harness: one memory for every tool of this person
# After five failures in a minute it is left for somebody to look at.
StartLimitIntervalSec=60
StartLimitBurst=5

[Service]
ExecStart={command}
{environment}Restart=on-failure
RestartSec=1
TimeoutStopSec={STOP_SECONDS}
UMask=0077
NoNewPrivileges=yes
# People wait for their editors and builds, not for this.
Nice={NICE}
IOSchedulingClass=best-effort
IOSchedulingPriority=7

[Install]
WantedBy=default.target
"
    ))
}

/// A word of a command line: systemd takes quotes and backslashes apart, and `%` and `$` mean something.
fn quoted(word: &str) -> String {
    quoted_value(word).replace('$', "$$")
}

/// A value, in which `$` means nothing.
fn quoted_value(word: &str) -> String {
    format!("\"{}\"", word.replace('\\', "\\\\").replace('"', "\\\"").replace('%', "%%"))
}

/// Whether there is a session of the user's systemd to ask.
pub(super) fn check() -> anyhow::Result<()> {
    let Err(error) = ask("systemctl", &["--user", "show-environment"]) else { return Ok(()) };
    let hint = "where you log in without one (a container, or `su`), start `harness serve` yourself; on a machine that \
                you reach by SSH, `loginctl enable-linger` keeps a session. `--dry-run` shows the file";
    Err(error.context(Advice::new("there is no systemd user session here that could keep a service", hint)))
}

pub(super) fn start() -> anyhow::Result<()> {
    ask("systemctl", &["--user", "daemon-reload"])?;
    ask("systemctl", &["--user", "enable", NAME])?;
    // Not `start`: one that runs is to run as the file says now.
    ask("systemctl", &["--user", "restart", NAME])
}

pub(super) fn stop() -> anyhow::Result<()> {
    ask("systemctl", &["--user", "disable", "--now", NAME])
}

pub(super) fn forget() {
    // It knows the file no more; where there is no session it never did.
    let _ = ask("systemctl", &["--user", "daemon-reload"]);
}

pub(super) fn runs() -> bool {
    ask("systemctl", &["--user", "--quiet", "is-active", NAME]).is_ok()
}

#[cfg(test)]
mod tests {
    use super::super::tests::unit;

    #[test]
    fn the_unit_is_quiet_and_names_the_home() {
        insta::assert_snapshot!(super::text(&unit("/home/ana/$x")).unwrap(), @r#"
        # Made by `harness service install`, taken back by `harness service uninstall`.
        [Unit]
        Description=harness: one memory for every tool of this person
        # After five failures in a minute it is left for somebody to look at.
        StartLimitIntervalSec=60
        StartLimitBurst=5

        [Service]
        ExecStart="/opt/my tools/harness" "--home" "/home/ana/$$x" "serve" "--addr" "127.0.0.1:7500"
        Environment="HARNESS_USER=ana & \"co\" 100%%"
        Restart=on-failure
        RestartSec=1
        TimeoutStopSec=30
        UMask=0077
        NoNewPrivileges=yes
        # People wait for their editors and builds, not for this.
        Nice=10
        IOSchedulingClass=best-effort
        IOSchedulingPriority=7

        [Install]
        WantedBy=default.target
        "#);
    }
}

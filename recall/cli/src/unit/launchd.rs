//! launchd, which keeps services running on macOS.

use std::path::{Path, PathBuf};

use super::{MARK, NICE, STOP_SECONDS, Unit, ask, login_folder};
use crate::report::Advice;

/// The agent's name.
const LABEL: &str = "harness.serve";

/// Where the server says what went wrong: launchd keeps nothing.
pub(super) const LOG_FILE: &str = "serve.log";

pub(super) fn file() -> anyhow::Result<PathBuf> {
    Ok(login_folder()?.join("Library/LaunchAgents").join(format!("{LABEL}.plist")))
}

pub(super) fn text(unit: &Unit) -> anyhow::Result<String> {
    let words: String =
        unit.command()?.iter().map(|word| format!("    <string>{}</string>\n", escaped(word))).collect();
    let pairs: String = unit
        .environment
        .iter()
        .map(|(name, value)| format!("    <key>{name}</key>\n    <string>{}</string>\n", escaped(value)))
        .collect();
    let environment = if pairs.is_empty() {
        pairs
    } else {
        format!("  <key>EnvironmentVariables</key>\n  <dict>\n{pairs}  </dict>\n")
    };
    let log = escaped(&unit.home.join(LOG_FILE).to_string_lossy());
    Ok(format!(
        "\
<?xml version=\"1.0\" encoding=\"UTF-8\"?>
<!DOCTYPE plist PUBLIC \"-//Apple//DTD PLIST 1.0//EN\" \"http://www.apple.com/DTDs/PropertyList-1.0.dtd\">
<!-- {MARK}, taken back by `harness service uninstall`. -->
<plist version=\"1.0\">
<dict>
  <key>Label</key>
  <string>{LABEL}</string>
  <key>ProgramArguments</key>
  <array>
{words}  </array>
{environment}  <key>RunAtLoad</key>
  <true/>
  <key>KeepAlive</key>
  <dict>
    <key>SuccessfulExit</key>
    <false/>
  </dict>
  <key>ExitTimeOut</key>
  <integer>{STOP_SECONDS}</integer>
  <key>Umask</key>
  <integer>63</integer>
  <key>ProcessType</key>
  <string>Background</string>
  <key>Nice</key>
  <integer>{NICE}</integer>
  <key>LowPriorityIO</key>
  <true/>
  <key>StandardErrorPath</key>
  <string>{log}</string>
</dict>
</plist>
"
    ))
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// The person's domain of launchd.
fn domain() -> String {
    #[cfg(unix)]
    let user = nix::unistd::getuid().as_raw();
    #[cfg(not(unix))]
    let user = 0;
    format!("gui/{user}")
}

fn service() -> String {
    format!("{}/{LABEL}", domain())
}

pub(super) fn check() -> anyhow::Result<()> {
    let Err(error) = ask("launchctl", &["print", &domain()]) else { return Ok(()) };
    let hint = "log in on the machine's screen once, or start `harness serve` yourself; `--dry-run` shows the file";
    Err(error.context(Advice::new("there is no session of launchd here that could keep a service", hint)))
}

pub(super) fn start(file: &Path) -> anyhow::Result<()> {
    // One that runs is to run as the file says now.
    let _ = ask("launchctl", &["bootout", &service()]);
    let file = file.to_string_lossy();
    ask("launchctl", &["bootstrap", &domain(), &file])
}

pub(super) fn stop() -> anyhow::Result<()> {
    if runs() { ask("launchctl", &["bootout", &service()]) } else { Ok(()) }
}

pub(super) fn runs() -> bool {
    ask("launchctl", &["print", &service()]).is_ok()
}

#[cfg(test)]
mod tests {
    use super::super::tests::unit;

    #[test]
    fn the_agent_is_quiet_and_names_the_home() {
        let text = super::text(&unit("/Users/ana/<x>")).unwrap();
        for part in [
            "<string>/opt/my tools/harness</string>\n    <string>--home</string>\n    <string>/Users/ana/&lt;x&gt;</string>",
            "<key>HARNESS_USER</key>\n    <string>ana &amp; \"co\" 100%</string>",
            "<key>ProcessType</key>\n  <string>Background</string>",
            "<key>Nice</key>\n  <integer>10</integer>",
            "<string>/Users/ana/&lt;x&gt;/serve.log</string>",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
    }
}

//! Programs that are started, and that do not outlive whoever started them.

use std::process::{Command, Stdio};
use std::time::Duration;

/// Ends a program with all that it started, when it is dropped before [`Group::release`].
#[derive(Debug)]
pub(crate) struct Group {
    leader: Option<u32>,
}

impl Group {
    /// The group that this program leads; it must have been started with a group of its own.
    pub(crate) fn of(leader: Option<u32>) -> Group {
        Group { leader }
    }

    /// The program has ended by itself: what it left running on purpose goes on.
    pub(crate) fn release(&mut self) {
        self.leader = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if cfg!(unix)
            && let Some(leader) = self.leader
        {
            let mut kill = Command::new("kill");
            kill.args(["-KILL", "--", &format!("-{leader}")]);
            // It may have gone already.
            let _ = kill.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
        }
    }
}

/// Starts a program in a group of its own, which a signal to ours does not reach.
pub(crate) fn lead_group(command: &mut tokio::process::Command) {
    #[cfg(unix)]
    command.process_group(0);
    command.kill_on_drop(true);
}

/// Who installs or updates a program has it open for a moment, and it cannot be started meanwhile: so often it is tried
/// again, after so long.
const BUSY_TRIES: usize = 10;
const BUSY_WAIT: Duration = Duration::from_millis(20);

/// Starts a program.
pub(crate) async fn spawn(command: &mut tokio::process::Command) -> std::io::Result<tokio::process::Child> {
    for _ in 0..BUSY_TRIES {
        match command.spawn() {
            Err(error) if error.kind() == std::io::ErrorKind::ExecutableFileBusy => {
                tokio::time::sleep(BUSY_WAIT).await;
            }
            spawned => return spawned,
        }
    }
    command.spawn()
}

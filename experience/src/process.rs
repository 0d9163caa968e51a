//! Programs that are started, and that do not outlive whoever started them.

use std::process::{Command, Stdio};

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

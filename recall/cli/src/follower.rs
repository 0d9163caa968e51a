//! The one process that indexes while others write (DESIGN §2, "Between processes").

use std::fs::OpenOptions;
use std::path::Path;
use std::process::{Command, Stdio};

/// Where a follower says what went wrong.
pub(crate) const LOG_FILE: &str = "follow.log";

/// The log starts anew beyond this: it holds warnings only, so this is years of them.
const LOG_BYTES_MAX: u64 = 1 << 20;

/// Starts a detached follower and does not wait for it. When another one follows already, it leaves at once.
///
/// Nothing depends on its success: what is not indexed is searched too, and the next write tries again.
pub(crate) fn start(home: &Path) {
    let Ok(program) = std::env::current_exe() else { return };
    let mut command = Command::new(program);
    command.arg("--home").arg(home).args(["index", "follow"]);
    // Not the caller's folder: a follower must not keep a disk from being unmounted.
    command.current_dir(home).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log(home));
    #[cfg(unix)]
    {
        use std::os::unix::process::CommandExt;
        // Its own group: Ctrl-C in the terminal is not meant for it.
        command.process_group(0);
    }
    if let Err(error) = command.spawn() {
        tracing::info!("cannot start a follower: {error}");
    }
}

fn log(home: &Path) -> Stdio {
    let path = home.join(LOG_FILE);
    let long = std::fs::metadata(&path).is_ok_and(|file| file.len() > LOG_BYTES_MAX);
    let mut options = OpenOptions::new();
    options.create(true);
    if long {
        options.write(true).truncate(true)
    } else {
        options.append(true)
    };
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    options.open(path).map_or_else(|_| Stdio::null(), Stdio::from)
}

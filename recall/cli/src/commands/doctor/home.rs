//! Checks of the home as a folder, and of the machine around it.

use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::Checked;
use crate::app::App;
use crate::render::bytes;
use crate::when;

/// With less room than this, the next import or rebuild may fill the disk.
const FREE_BYTES_MIN: u64 = 256 << 20;

/// No correct clock is before this program was written.
const CLOCK_MIN: &str = "2026-01-01T00:00:00Z";

pub(super) fn check(app: &App) -> Vec<Checked> {
    let mut checks = vec![folder(app)];
    if app.home.is_dir() {
        checks.extend(permissions(&app.home));
        checks.push(writable(&app.home));
        checks.extend(room(&app.home));
        checks.extend(leftovers(&app.home));
        checks.extend(kept_stores(&app.home).iter().map(|path| kept(path)));
    }
    checks.push(clock(app.now));
    checks
}

fn folder(app: &App) -> Checked {
    let home = app.home.display();
    if app.home_is_missing() {
        return Checked::well("home", format!("{home} is not there yet; the first write makes it"));
    }
    if !app.home.is_dir() {
        let hint = "choose a folder with --home or HARNESS_HOME";
        return Checked::wrong("home", "not-a-folder", format!("{home} is not a folder"), hint);
    }
    Checked::well("home", format!("{home}"))
}

/// What is remembered is private: nobody else needs to read the folder.
#[cfg(unix)]
fn permissions(home: &Path) -> Option<Checked> {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    let folder = std::fs::metadata(home).ok()?;
    let mode = folder.permissions().mode() & 0o777;
    if folder.uid() != nix::unistd::geteuid().as_raw() {
        let what = format!("{} belongs to another user (uid {})", home.display(), folder.uid());
        return Some(Checked::wrong("home", "foreign", what, "run as that user, or choose another home with --home"));
    }
    if mode & 0o077 != 0 {
        let what = format!("{} can be read by others (mode {mode:03o})", home.display());
        return Some(Checked::wrong("home", "open", what, format!("chmod 700 '{}'", home.display())));
    }
    Some(Checked::well("home", format!("only you can read it (mode {mode:03o})")))
}

#[cfg(not(unix))]
fn permissions(_: &Path) -> Option<Checked> {
    None
}

fn writable(home: &Path) -> Checked {
    match tempfile::tempfile_in(home) {
        Ok(_) => Checked::well("home", "it can be written"),
        Err(error) => {
            let hint = crate::report::io_hint(&error).unwrap_or("make the folder writable for you");
            Checked::wrong("home", "read-only", format!("cannot write in {}: {error}", home.display()), hint)
        }
    }
}

#[cfg(unix)]
fn room(home: &Path) -> Option<Checked> {
    let disk = nix::sys::statvfs::statvfs(home).ok()?;
    // The field widths differ between systems.
    #[allow(clippy::useless_conversion, clippy::unnecessary_cast)]
    let free = (disk.blocks_available() as u64).saturating_mul(disk.fragment_size() as u64);
    if free < FREE_BYTES_MIN {
        let what = format!("the disk of {} has {} left", home.display(), bytes(free));
        return Some(Checked::wrong("disk", "nearly-full", what, "free some space, or move the home with --home"));
    }
    Some(Checked::well("disk", format!("{} free", bytes(free))))
}

#[cfg(not(unix))]
fn room(_: &Path) -> Option<Checked> {
    None
}

/// Folders of a backup or restore that was killed: they hold a copy of what is remembered.
fn leftovers(home: &Path) -> Vec<Checked> {
    let entries = std::fs::read_dir(home).into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut left: Vec<String> = names.filter(|name| name.starts_with('.') && name.ends_with(".partial")).collect();
    left.sort();
    let wrong = |name: String| {
        let path = home.join(&name);
        let what = format!("{} is left of a backup or restore that did not end", path.display());
        Checked::wrong("home", "left-over", what, format!("when none is running: rm -r '{}'", path.display()))
    };
    left.into_iter().filter(|name| !is_at_work(name)).map(wrong).collect()
}

/// The stores that `harness restore` kept when it put another in their place: only their owner deletes them.
pub(crate) fn kept_stores(home: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(home).into_iter().flatten().flatten();
    let mut kept: Vec<PathBuf> = entries
        .filter(|entry| entry.file_name().to_string_lossy().starts_with("kept-"))
        .map(|entry| entry.path())
        .collect();
    kept.sort();
    kept
}

/// Nothing is wrong with one, but what was forgotten for good since then may still be in it.
fn kept(path: &Path) -> Checked {
    let what = format!("{} is the store as it was before a restore, with what was forgotten since", path.display());
    let hint = format!("when it is not needed: rm -r '{}'", path.display());
    Checked { hint: Some(hint), ..Checked::well("home", what) }
}

/// Whether the process that works in such a folder still runs; its number is in the name.
pub(super) fn is_at_work(name: &str) -> bool {
    let number = name.trim_end_matches(".partial").rsplit('-').next().unwrap_or_default();
    cfg!(target_os = "linux") && Path::new("/proc").join(number).exists() && !number.is_empty()
}

fn clock(now: Timestamp) -> Checked {
    let min: Timestamp = CLOCK_MIN.parse().unwrap_or(Timestamp::UNIX_EPOCH);
    if now < min {
        let what = format!("the clock says {}, which cannot be", when::stamp(now));
        return Checked::wrong("clock", "wrong", what, "set the system's clock: ages and lifetimes depend on it");
    }
    Checked::well("clock", when::stamp(now))
}

//! `serve.json`: where the server of a home is.
//!
//! A server that was killed leaves the file behind, and any program may listen at its address next. So a server holds a
//! lock as long as it accepts requests, which the system takes back however it ends; without its holder the file is not
//! believed, and no token is sent anywhere.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::Read;
use std::net::{TcpStream, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;
use serde::{Deserialize, Serialize};

use super::API_VERSION;

/// The file's name in the home.
pub(crate) const SERVE_FILE: &str = "serve.json";

/// The file whose lock the server holds. Not `serve.json`: where locks keep others from reading, that could not be read.
const LOCK_FILE: &str = "serve.lock";

/// The longest such file that is read.
const FILE_BYTES_MAX: u64 = 64 << 10;

/// How long a server of this machine may take to accept a connection before it counts as gone.
const CONNECT_PATIENCE: Duration = Duration::from_millis(250);

/// Who only looks whether the lock is held holds it for a moment; a server does longer than this.
const LOCK_PATIENCE: Duration = Duration::from_millis(200);
const LOCK_POLL: Duration = Duration::from_millis(5);

/// Where a server is, for other processes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct ServeFile {
    /// `http://127.0.0.1:7477`, or `unix:` and the path of a socket.
    pub(crate) url: String,
    /// The file that holds the token for everything.
    pub(crate) token_file: PathBuf,
    pub(crate) pid: u32,
    pub(crate) version: String,
    pub(crate) api: u32,
    /// The scope of the user whose notes and projects it answers hooks from.
    #[serde(default)]
    pub(crate) user: String,
}

/// The right to be the server of a home.
#[derive(Debug)]
pub(crate) struct Place {
    home: PathBuf,
    lock: File,
    /// Whether something was said that is to be taken back.
    published: bool,
}

impl Place {
    /// Takes the place; `None` when another server has it.
    pub(crate) fn claim(home: &Path) -> anyhow::Result<Option<Place>> {
        let path = home.join(LOCK_FILE);
        let failed = || format!("cannot lock {}", path.display());
        let lock = OpenOptions::new().create(true).truncate(false).write(true).open(&path).with_context(failed)?;
        let begin = Instant::now();
        loop {
            match lock.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if begin.elapsed() < LOCK_PATIENCE => thread::sleep(LOCK_POLL),
                Err(TryLockError::WouldBlock) => return Ok(None),
                Err(TryLockError::Error(error)) => return Err(error).with_context(failed),
            }
        }
        // What a killed server said is believed by nobody from here on.
        let left = home.join(SERVE_FILE);
        match fs::remove_file(&left) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(error).with_context(|| format!("cannot remove {}", left.display()))
            }
            _ => Ok(Some(Place { home: home.to_owned(), lock, published: false })),
        }
    }

    /// Says where the server is.
    pub(crate) fn publish(&mut self, file: &ServeFile) -> anyhow::Result<()> {
        let path = self.home.join(SERVE_FILE);
        let text = serde_json::to_string(file)? + "\n";
        let new = path.with_extension(format!("{}.new", file.pid));
        let write = || fs::write(&new, text).and_then(|()| fs::rename(&new, &path));
        write().with_context(|| format!("cannot write {}", path.display()))?;
        self.published = true;
        Ok(())
    }
}

impl Drop for Place {
    /// Takes back what was said, and then the place is free.
    fn drop(&mut self) {
        if self.published {
            let _ = fs::remove_file(self.home.join(SERVE_FILE));
        }
        let _ = self.lock.unlock();
    }
}

/// What the server that holds the place says; `None` where none does.
pub(crate) fn live(home: &Path) -> Option<ServeFile> {
    let file = read(home)?;
    let lock = File::open(home.join(LOCK_FILE)).ok()?;
    matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock)).then_some(file)
}

/// What the file says, whoever wrote it.
fn read(home: &Path) -> Option<ServeFile> {
    let mut text = String::new();
    File::open(home.join(SERVE_FILE)).ok()?.take(FILE_BYTES_MAX).read_to_string(&mut text).ok()?;
    serde_json::from_str(&text).ok()
}

/// The server of this home, when one of this API version runs and accepts connections.
pub(crate) fn running(home: &Path) -> Option<ServeFile> {
    live(home).filter(|file| file.api == API_VERSION && accepts(file))
}

fn accepts(file: &ServeFile) -> bool {
    if let Some(path) = file.url.strip_prefix("unix:") {
        #[cfg(unix)]
        return std::os::unix::net::UnixStream::connect(path).is_ok();
        #[cfg(not(unix))]
        return false;
    }
    let Some(address) = file.url.strip_prefix("http://") else { return false };
    let Ok(mut addresses) = address.trim_end_matches('/').to_socket_addrs() else { return false };
    addresses.any(|address| TcpStream::connect_timeout(&address, CONNECT_PATIENCE).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(pid: u32) -> ServeFile {
        ServeFile {
            url: "http://127.0.0.1:1".to_owned(),
            token_file: PathBuf::new(),
            pid,
            version: String::new(),
            api: API_VERSION,
            user: String::new(),
        }
    }

    #[test]
    fn what_a_dead_server_said_is_not_believed() {
        let home = tempfile::tempdir().unwrap();
        assert_eq!(live(home.path()), None);
        let mut place = Place::claim(home.path()).unwrap().unwrap();
        assert_eq!(live(home.path()), None, "it has not said where it is");
        place.publish(&file(7)).unwrap();
        assert_eq!(live(home.path()), Some(file(7)));
        assert!(Place::claim(home.path()).unwrap().is_none(), "there is one server");
        // Killed: the system closes its files, and nothing is taken back.
        let Place { published, .. } = &mut place;
        *published = false;
        drop(place);
        assert_eq!(read(home.path()), Some(file(7)));
        assert_eq!(live(home.path()), None);
        let place = Place::claim(home.path()).unwrap().unwrap();
        assert_eq!(read(home.path()), None, "the next one clears up");
        drop(place);
    }

    #[test]
    fn a_server_that_ends_takes_back_what_it_said() {
        let home = tempfile::tempdir().unwrap();
        let mut place = Place::claim(home.path()).unwrap().unwrap();
        place.publish(&file(7)).unwrap();
        drop(place);
        assert_eq!(read(home.path()), None);
    }
}

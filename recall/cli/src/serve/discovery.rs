//! `serve.json`: where the server of a home is.

use std::fs;
use std::io::Read;
use std::net::{TcpStream, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use serde::{Deserialize, Serialize};

use super::API_VERSION;

/// The file's name in the home.
pub(crate) const SERVE_FILE: &str = "serve.json";

/// The longest such file that is read.
const FILE_BYTES_MAX: u64 = 64 << 10;

/// How long a server of this machine may take to accept a connection before it counts as gone.
const CONNECT_PATIENCE: Duration = Duration::from_millis(250);

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

/// Says where the server is.
pub(crate) fn publish(home: &Path, file: &ServeFile) -> anyhow::Result<()> {
    let path = home.join(SERVE_FILE);
    let text = serde_json::to_string(file)? + "\n";
    let new = path.with_extension(format!("{}.new", file.pid));
    let write = || fs::write(&new, text).and_then(|()| fs::rename(&new, &path));
    write().with_context(|| format!("cannot write {}", path.display()))
}

/// Takes back what this process said; another server's word stays.
pub(crate) fn withdraw(home: &Path, pid: u32) {
    if read(home).is_some_and(|file| file.pid == pid) {
        let _ = fs::remove_file(home.join(SERVE_FILE));
    }
}

/// What the file says.
pub(crate) fn read(home: &Path) -> Option<ServeFile> {
    let mut text = String::new();
    fs::File::open(home.join(SERVE_FILE)).ok()?.take(FILE_BYTES_MAX).read_to_string(&mut text).ok()?;
    serde_json::from_str(&text).ok()
}

/// The server of this home, when one of this API version runs and accepts connections.
pub(crate) fn running(home: &Path) -> Option<ServeFile> {
    read(home).filter(|file| file.api == API_VERSION && accepts(file))
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

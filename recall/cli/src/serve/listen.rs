//! Where the service listens, and how connections are served: HTTP/1.1 with limits that a slow client cannot outlast.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
#[cfg(unix)]
use tokio::net::UnixListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use super::limits::{CONNECTIONS_MAX, DRAIN_PATIENCE, HEAD_PATIENCE};
use crate::report::Advice;

/// The port when nobody says.
pub(crate) const PORT_DEFAULT: u16 = 7477;

/// How long to wait after an error of `accept`, such as too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Where to listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Address {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

impl Default for Address {
    fn default() -> Address {
        Address::Tcp(SocketAddr::from(([127, 0, 0, 1], PORT_DEFAULT)))
    }
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Address, String> {
        if let Some(path) = text.strip_prefix("unix:") {
            if path.is_empty() {
                return Err("name a path after unix:".to_owned());
            }
            return Ok(Address::Unix(PathBuf::from(path)));
        }
        if let Ok(port) = text.trim_start_matches(':').parse::<u16>() {
            return Ok(Address::Tcp(SocketAddr::from(([127, 0, 0, 1], port))));
        }
        if let Ok(address) = text.parse::<SocketAddr>() {
            return Ok(Address::Tcp(address));
        }
        if let Ok(address) = text.trim_matches(['[', ']']).parse::<IpAddr>() {
            return Ok(Address::Tcp(SocketAddr::new(address, PORT_DEFAULT)));
        }
        if let Some(port) = text.strip_prefix("localhost:").and_then(|port| port.parse().ok()) {
            return Ok(Address::Tcp(SocketAddr::from(([127, 0, 0, 1], port))));
        }
        Err("expected an address such as 127.0.0.1:7477, a port, or unix: and a path".to_owned())
    }
}

impl Address {
    /// This port of this machine; 0 is any free one.
    pub(crate) fn local_port(port: u16) -> Address {
        Address::Tcp(SocketAddr::from(([127, 0, 0, 1], port)))
    }

    /// Whether only this machine reaches it.
    pub(crate) fn is_local(&self) -> bool {
        match self {
            Address::Tcp(address) => address.ip().is_loopback(),
            Address::Unix(_) => true,
        }
    }
}

/// A place to accept connections at.
pub(crate) enum Listener {
    Tcp(TcpListener),
    #[cfg(unix)]
    Unix(UnixListener, PathBuf),
}

impl Listener {
    pub(crate) async fn bind(address: &Address) -> anyhow::Result<Listener> {
        match address {
            Address::Tcp(address) => {
                let bound = TcpListener::bind(address).await.with_context(|| {
                    let hint = "another program has that port: choose one with --addr 127.0.0.1:PORT, or 0 for any";
                    Advice::new(format!("cannot listen on {address}"), hint)
                })?;
                Ok(Listener::Tcp(bound))
            }
            #[cfg(unix)]
            Address::Unix(path) => bind_unix(path),
            #[cfg(not(unix))]
            Address::Unix(path) => {
                let what = format!("cannot listen on {}: this system has no Unix sockets", path.display());
                Err(Advice::error(what, "choose an address such as 127.0.0.1:7477"))
            }
        }
    }

    /// The address for `serve.json`.
    pub(crate) fn url(&self) -> anyhow::Result<String> {
        match self {
            Listener::Tcp(listener) => {
                let mut address = listener.local_addr().context("cannot ask for the address")?;
                if address.ip().is_unspecified() {
                    // Other processes of this machine come by the loopback.
                    address.set_ip(if address.is_ipv6() {
                        [0, 0, 0, 0, 0, 0, 0, 1].into()
                    } else {
                        [127, 0, 0, 1].into()
                    });
                }
                Ok(format!("http://{address}"))
            }
            #[cfg(unix)]
            Listener::Unix(_, path) => Ok(format!("unix:{}", path.display())),
        }
    }

    /// Serves connections until `stop` says so, then lets those under way end.
    pub(crate) async fn serve(self, router: Router, mut stop: watch::Receiver<bool>) {
        let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let mut connections = JoinSet::new();
        loop {
            // One that is not accepted waits in the system's queue, which is the gentlest way to say no.
            let place = tokio::select! {
                place = places.clone().acquire_owned() => place.ok(),
                () = said(&mut stop) => break,
            };
            let accepted = tokio::select! {
                accepted = self.accept() => accepted,
                () = said(&mut stop) => break,
            };
            match accepted {
                Ok(stream) => {
                    let (router, stop) = (router.clone(), stop.clone());
                    connections.spawn(async move {
                        serve_connection(stream, router, stop).await;
                        drop(place);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection was not accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
            while connections.try_join_next().is_some() {}
        }
        self.close();
        let ended = async { while connections.join_next().await.is_some() {} };
        if tokio::time::timeout(DRAIN_PATIENCE, ended).await.is_err() {
            tracing::warn!("requests that took too long were cut off");
        }
    }

    async fn accept(&self) -> io::Result<Box<dyn Stream>> {
        Ok(match self {
            Listener::Tcp(listener) => {
                let (stream, _) = listener.accept().await?;
                // Answers are small and wanted now.
                let _ = stream.set_nodelay(true);
                Box::new(stream)
            }
            #[cfg(unix)]
            Listener::Unix(listener, _) => Box::new(listener.accept().await?.0),
        })
    }

    fn close(self) {
        #[cfg(unix)]
        if let Listener::Unix(_, path) = &self {
            let _ = std::fs::remove_file(path);
        }
        drop(self);
    }
}

/// Ends when it is said that the server stops.
async fn said(stop: &mut watch::Receiver<bool>) {
    // Whoever would say it being gone says it too.
    let _ = stop.wait_for(|stop| *stop).await;
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

async fn serve_connection(stream: Box<dyn Stream>, router: Router, mut stop: watch::Receiver<bool>) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_PATIENCE)
        .max_headers(100)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    tokio::pin!(connection);
    let result = tokio::select! {
        result = connection.as_mut() => result,
        () = said(&mut stop) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = result {
        tracing::debug!(%error, "a connection ended");
    }
}

/// A socket that only its owner may open. One that a server left behind is replaced; one that answers is not.
#[cfg(unix)]
fn bind_unix(path: &Path) -> anyhow::Result<Listener> {
    use std::os::unix::fs::{FileTypeExt, PermissionsExt};
    if let Ok(facts) = std::fs::symlink_metadata(path) {
        let answers = std::os::unix::net::UnixStream::connect(path).is_ok();
        if answers || !facts.file_type().is_socket() {
            let what = format!("cannot listen on {}: it is there already", path.display());
            return Err(Advice::error(what, "choose another path, or remove it"));
        }
        let _ = std::fs::remove_file(path);
    }
    let hint = "the folder must be there and yours, and the path shorter than 100 bytes";
    let doing = || Advice::new(format!("cannot listen on {}", path.display()), hint);
    let listener = UnixListener::bind(path).with_context(doing)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).with_context(doing)?;
    Ok(Listener::Unix(listener, path.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_local_unless_it_says_otherwise() {
        for local in ["127.0.0.1:80", "7477", ":0", "[::1]:80", "localhost:99", "unix:/tmp/s", "127.0.0.1"] {
            assert!(local.parse::<Address>().unwrap().is_local(), "{local}");
        }
        assert!(!"0.0.0.0:80".parse::<Address>().unwrap().is_local());
        for bad in ["", "unix:", "example.org:80", "127.0.0.1:x", "99999"] {
            assert!(bad.parse::<Address>().is_err(), "{bad}");
        }
    }
}

//! Calls to a server, for tests that are not asynchronous.

use std::sync::Arc;

use reqwest::Method;
use serde_json::Value;

use crate::home::Home;
use crate::server::Server;

/// What drives the calls of one test.
pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

/// A server with what is needed to call it and wait.
pub(crate) struct Web {
    pub(crate) server: Server,
    runtime: tokio::runtime::Runtime,
}

impl Web {
    pub(crate) fn start(home: impl Into<Arc<Home>>) -> Web {
        Web::of(Server::start_on(home, &[]))
    }

    pub(crate) fn of(server: Server) -> Web {
        Web { server, runtime: runtime() }
    }

    /// The status and the body of an answer to a call with this token.
    pub(crate) fn call(&self, token: &str, method: Method, path: &str, body: Option<&Value>) -> (u16, String) {
        self.send(token, method, path, body.map(|body| body.to_string().into_bytes()))
    }

    /// The same with a body that need not be JSON. A status of 0 stands for a connection that broke.
    pub(crate) fn send(&self, token: &str, method: Method, path: &str, body: Option<Vec<u8>>) -> (u16, String) {
        let mut request = self.server.http.request(method, format!("{}{path}", self.server.url)).bearer_auth(token);
        request = request.header("Accept", "application/json, text/event-stream");
        if let Some(body) = body {
            request = request.header("Content-Type", "application/json").body(body);
        }
        self.runtime.block_on(async {
            let Ok(answer) = request.send().await else { return (0, String::new()) };
            (answer.status().as_u16(), answer.text().await.unwrap_or_default())
        })
    }

    /// The same with the token for everything.
    pub(crate) fn own(&self, method: Method, path: &str, body: Option<&Value>) -> (u16, String) {
        self.call(&self.server.token.clone(), method, path, body)
    }
}

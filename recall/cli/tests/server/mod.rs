//! A running `harness serve` and a client of it.

#![allow(dead_code, reason = "each test file uses a part of it")]

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use reqwest::{Method, RequestBuilder, Response};
use serde_json::Value;

use crate::home::Home;

/// What starts a server for a test.
pub(crate) const SERVE: [&str; 4] = ["serve", "--addr", "127.0.0.1:0", "--json"];

/// A server on a home of its own, stopped at the end.
pub(crate) struct Server {
    pub(crate) home: Arc<Home>,
    pub(crate) child: Child,
    pub(crate) url: String,
    pub(crate) token: String,
    pub(crate) http: reqwest::Client,
}

impl Server {
    pub(crate) fn start() -> Server {
        Server::start_on(Home::new(), &[])
    }

    /// A home may have several servers, one after the other.
    pub(crate) fn start_on(home: impl Into<Arc<Home>>, arguments: &[&str]) -> Server {
        Server::start_with(home, arguments, &[])
    }

    /// The same with settings of the environment.
    pub(crate) fn start_with(home: impl Into<Arc<Home>>, arguments: &[&str], settings: &[(&str, &str)]) -> Server {
        let home = home.into();
        let own: &[&str] = if arguments.contains(&"--addr") { &["serve", "--json"] } else { &SERVE };
        let mut command = home.command(&[own, arguments].concat());
        command.envs(settings.iter().copied());
        Server::spawn(home, command)
    }

    /// The same by a command that somebody else put together, with [`SERVE`] in it.
    pub(crate) fn spawn(home: Arc<Home>, command: Command) -> Server {
        Server::try_spawn(home, command).unwrap_or_else(|errors| panic!("no address: {errors}"))
    }

    /// The same for one that may fail to start; then what it wrote to stderr.
    pub(crate) fn try_spawn(home: Arc<Home>, mut command: Command) -> Result<Server, String> {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let Ok(said) = serde_json::from_str::<Value>(&line) else {
            let output = child.wait_with_output().unwrap();
            return Err(String::from_utf8_lossy(&output.stderr).into_owned());
        };
        let token = std::fs::read_to_string(said["token_file"].as_str().unwrap()).unwrap().trim().to_owned();
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        Ok(Server { home, child, url: said["url"].as_str().unwrap().to_owned(), token, http })
    }

    /// A request with the token for everything.
    pub(crate) fn ask(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.url)).bearer_auth(&self.token)
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        good(self.ask(Method::GET, path).send().await.unwrap()).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Value {
        good(self.ask(Method::POST, path).json(body).send().await.unwrap()).await
    }

    /// Keeps a note and answers its id.
    pub(crate) async fn note(&self, text: &str) -> String {
        let written = self.post("/v1/notes", &serde_json::json!({ "text": text })).await;
        written["id"].as_str().unwrap().to_owned()
    }

    /// The ids of the hits of a question.
    pub(crate) async fn found(&self, query: &str) -> Vec<String> {
        let answer = self.post("/v1/recall", &serde_json::json!({ "query": query })).await;
        let hits = answer["hits"].as_array().unwrap().iter();
        hits.map(|hit| hit["id"].as_str().unwrap().to_owned()).collect()
    }

    /// Asks the process to end, as the system does.
    pub(crate) fn signal(&self, signal: &str) {
        let sent = std::process::Command::new("kill").args([signal, &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// Waits for the end of the process; what it wrote to stderr, and its exit code.
    pub(crate) fn ended(&mut self) -> (Option<i32>, String) {
        let patience = Instant::now() + Duration::from_secs(20);
        while self.child.try_wait().unwrap().is_none() {
            assert!(Instant::now() < patience, "the server does not end");
            std::thread::sleep(Duration::from_millis(20));
        }
        let mut said = String::new();
        if let Some(mut stderr) = self.child.stderr.take() {
            std::io::Read::read_to_string(&mut stderr, &mut said).unwrap();
        }
        (self.child.wait().unwrap().code(), said)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The JSON of an answer that must be a success.
pub(crate) async fn good(response: Response) -> Value {
    let status = response.status();
    let text = response.text().await.unwrap();
    assert!(status.is_success(), "{status}: {text}");
    serde_json::from_str(&text).unwrap()
}

/// The status and `code` of an answer that must be a problem.
pub(crate) async fn problem(response: Response) -> (u16, String) {
    let status = response.status().as_u16();
    let kind = response.headers()["content-type"].to_str().unwrap().to_owned();
    let body: Value = response.json().await.unwrap();
    assert_eq!(kind, "application/problem+json", "{body}");
    assert_eq!(body["status"], status);
    assert!(body["title"].is_string() && body["detail"].is_string(), "{body}");
    (status, body["code"].as_str().unwrap().to_owned())
}

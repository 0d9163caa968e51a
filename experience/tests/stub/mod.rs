//! A server on this machine that answers each request with the next of its answers, and keeps what it was asked.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// What is answered.
#[derive(Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) kind: &'static str,
    pub(crate) headers: Vec<(&'static str, &'static str)>,
    /// The body, part by part.
    pub(crate) parts: Vec<String>,
    /// Before the first part.
    pub(crate) wait: Duration,
    /// Between two parts.
    pub(crate) pause: Duration,
    /// Whether the connection ends before the body does.
    pub(crate) cut: bool,
}

impl Answer {
    pub(crate) fn events(parts: Vec<String>) -> Answer {
        Answer {
            status: 200,
            kind: "text/event-stream",
            headers: Vec::new(),
            parts,
            wait: Duration::ZERO,
            pause: Duration::ZERO,
            cut: false,
        }
    }

    pub(crate) fn status(status: u16, body: &str) -> Answer {
        Answer { status, kind: "application/json", ..Answer::events(vec![body.to_owned()]) }
    }

    pub(crate) fn with(mut self, name: &'static str, value: &'static str) -> Answer {
        self.headers.push((name, value));
        self
    }
}

/// What was asked.
#[derive(Clone)]
pub(crate) struct Request {
    pub(crate) at: Instant,
    pub(crate) path: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Value,
}

impl Request {
    /// A header's value; empty when it is not there.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }
}

pub(crate) struct Server {
    pub(crate) url: String,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    pub(crate) async fn start(answers: Vec<Answer>) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let kept = requests.clone();
        tokio::spawn(async move {
            for answer in answers {
                let (stream, _) = listener.accept().await.unwrap();
                serve(stream, answer, &kept).await;
            }
        });
        Server { url, requests }
    }

    /// A place where nobody listens.
    pub(crate) fn nowhere() -> Server {
        Server { url: "http://127.0.0.1:9".to_owned(), requests: Arc::default() }
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }
}

async fn serve(mut stream: TcpStream, answer: Answer, requests: &Mutex<Vec<Request>>) {
    let at = Instant::now();
    let (reader, mut writer) = stream.split();
    let mut reader = BufReader::new(reader);
    let mut line = String::new();
    reader.read_line(&mut line).await.unwrap();
    let path = line.split_whitespace().nth(1).unwrap_or("").to_owned();
    let mut headers = Vec::new();
    loop {
        line.clear();
        reader.read_line(&mut line).await.unwrap();
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.push((name.to_lowercase(), value.trim().to_owned()));
    }
    let length =
        headers.iter().find(|(name, _)| name == "content-length").map_or(0, |(_, value)| value.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body).await.unwrap();
    let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
    requests.lock().unwrap().push(Request { at, path, headers, body });
    tokio::time::sleep(answer.wait).await;
    let length = answer.parts.iter().map(String::len).sum::<usize>() + usize::from(answer.cut);
    let mut head = format!(
        "HTTP/1.1 {} said\r\ncontent-type: {}\r\ncontent-length: {length}\r\nconnection: close\r\n",
        answer.status, answer.kind
    );
    answer.headers.iter().for_each(|(name, value)| head.push_str(&format!("{name}: {value}\r\n")));
    // Who asked may have gone.
    let _ = writer.write_all(format!("{head}\r\n").as_bytes()).await;
    for part in answer.parts {
        let _ = writer.write_all(part.as_bytes()).await;
        let _ = writer.flush().await;
        tokio::time::sleep(answer.pause).await;
    }
    let _ = writer.shutdown().await;
}

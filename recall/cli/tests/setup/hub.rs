//! A model hub on the loopback that holds one tiny model and misbehaves on request.

use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use sha2::{Digest, Sha256};

/// How the hub treats the weights.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) enum Mood {
    #[default]
    Good,
    /// The first connection ends after this many bytes.
    BreaksOff(usize),
    /// Every connection says nothing more after this many bytes.
    Stalls(usize),
    /// Answers the whole file whatever range is asked for, breaking off once.
    KnowsNoRanges(usize),
    /// The listing names a wrong SHA-256.
    Lies,
    /// Sends other bytes than it should.
    Damages,
    /// Wants a token.
    Private,
    /// Has no such model.
    Empty,
    /// Answers 503.
    Busy,
}

#[derive(Default)]
struct State {
    mood: Mood,
    broke: bool,
    /// Requests as they came: path and headers by lower-case name.
    requests: Vec<(String, HashMap<String, String>)>,
}

pub(crate) struct Hub {
    port: u16,
    state: Arc<Mutex<State>>,
}

pub(crate) fn fixture() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../index/tests/fixtures/tiny-xlm-r")
}

impl Hub {
    pub(crate) fn start(mood: Mood) -> Hub {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(Mutex::new(State { mood, ..State::default() }));
        let shared = Arc::clone(&state);
        // Ends with the test's process.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = Arc::clone(&shared);
                std::thread::spawn(move || serve(stream, &shared));
            }
        });
        Hub { port, state }
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub(crate) fn set(&self, mood: Mood) {
        self.state.lock().unwrap().mood = mood;
    }

    /// Paths that were asked for, with a header of each.
    pub(crate) fn requests(&self, header: &str) -> Vec<(String, Option<String>)> {
        let state = self.state.lock().unwrap();
        state.requests.iter().map(|(path, headers)| (path.clone(), headers.get(header).cloned())).collect()
    }
}

fn listing(mood: Mood) -> String {
    let file = |name: &str| {
        let content = fs::read(fixture().join(name)).unwrap();
        let mut sum: String = Sha256::digest(&content).iter().map(|byte| format!("{byte:02x}")).collect();
        if mood == Mood::Lies && name == "model.safetensors" {
            sum = "0".repeat(64);
        }
        let lfs = serde_json::json!({"sha256": sum, "size": content.len()});
        let lfs = if name == "config.json" { serde_json::Value::Null } else { lfs };
        serde_json::json!({"rfilename": name, "size": content.len(), "lfs": lfs})
    };
    let mut files: Vec<_> = ["config.json", "tokenizer.json", "model.safetensors"].map(file).into();
    files.push(serde_json::json!({"rfilename": "onnx/model.onnx", "size": 5}));
    let card = serde_json::json!({"license": "mit"});
    serde_json::json!({"id": "owner/tiny", "sha": "abc123", "siblings": files, "cardData": card}).to_string()
}

fn serve(mut stream: TcpStream, shared: &Mutex<State>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut first = String::new();
    if reader.read_line(&mut first).unwrap_or(0) == 0 {
        return;
    }
    let path = first.split(' ').nth(1).unwrap().to_owned();
    let mut headers = HashMap::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 || line.trim().is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(':') {
            headers.insert(name.to_lowercase(), value.trim().to_owned());
        }
    }
    let weights = path.ends_with("/model.safetensors");
    let mut state = shared.lock().unwrap();
    state.requests.push((path.clone(), headers.clone()));
    let (mood, breaks) = (state.mood, weights && !state.broke);
    state.broke |= weights;
    drop(state);
    let mut say = |status: &str, more: &str, body: &[u8], length: usize| {
        let head = format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n{more}\r\n");
        // The other end may have gone.
        let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body)).and_then(|()| stream.flush());
    };
    if mood == Mood::Busy {
        return say("503 Service Unavailable", "", b"", 0);
    }
    if mood == Mood::Private && headers.get("authorization").is_none_or(|token| token != "Bearer secret") {
        return say("401 Unauthorized", "", b"", 0);
    }
    if path == "/api/models/owner/tiny/revision/main?blobs=true" && mood != Mood::Empty {
        let body = listing(mood);
        return say("200 OK", "content-type: application/json\r\n", body.as_bytes(), body.len());
    }
    let found = path.strip_prefix("/owner/tiny/resolve/abc123/").map(|name| fs::read(fixture().join(name)));
    let Some(Ok(mut content)) = found else { return say("404 Not Found", "", b"", 0) };
    if mood == Mood::Damages && weights {
        content[1000] ^= 1;
    }
    let range = headers.get("range").and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok());
    let from: usize = if matches!(mood, Mood::KnowsNoRanges(_)) { 0 } else { range.unwrap_or(0) };
    let range = format!("content-range: bytes {from}-{}/{}\r\n", content.len() - 1, content.len());
    let (status, more) = if from > 0 { ("206 Partial Content", range.as_str()) } else { ("200 OK", "") };
    let rest = &content[from..];
    match mood {
        Mood::BreaksOff(after) | Mood::KnowsNoRanges(after) if breaks => {
            say(status, more, &rest[..after], rest.len());
        }
        Mood::Stalls(after) if weights => {
            say(status, more, &rest[..after.min(rest.len())], rest.len());
            std::thread::sleep(std::time::Duration::from_secs(60));
        }
        _ => say(status, more, rest, rest.len()),
    }
}

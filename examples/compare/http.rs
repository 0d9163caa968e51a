//! What recall costs over HTTP: `cargo build --release && cargo run --release -p harness-examples --bin measure_http
//! [RECORDS] [REQUESTS A SECOND] [SECONDS]`.
//!
//! A home of made-up records is served by the `harness` beside this program. First one client asks one question after
//! another; then requests come at a fixed rate, whether or not the last ones were answered, and each one's time is
//! counted from when it was due. This program runs on the same processors as the server.

use std::error::Error;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use harness_examples::generate::{self, Maker};
use harness_examples::measure::percentiles;
use harness_recall::Engine;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

type Failure = Box<dyn Error + Send + Sync>;

/// How many connections the requests of a rate come over.
const CONNECTIONS: usize = 16;

/// How many questions the one client asks.
const ALONE: usize = 1_000;

/// How many are asked before it is counted.
const WARM: usize = 200;

/// How many different questions there are: more than a cache of answers would hold, were there one.
const QUESTIONS: usize = 4_000;

fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let records: u32 = arguments.next().map_or(Ok(100_000), |text| text.parse())?;
    let rate: u32 = arguments.next().map_or(Ok(200), |text| text.parse())?;
    let seconds: u32 = arguments.next().map_or(Ok(30), |text| text.parse())?;
    let home = tempfile::tempdir()?;
    let mut maker = Maker::new(5);
    fill(home.path(), records, &mut maker)?;
    let questions: Arc<[String]> = (0..QUESTIONS).map(|_| maker.question()).collect();
    let served = Served::start(home.path())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut client = served.client().await?;
        for question in questions.iter().take(WARM) {
            client.recall(question).await?;
        }
        let mut times = Vec::new();
        for question in questions.iter().take(ALONE) {
            let started = Instant::now();
            client.recall(question).await?;
            times.push(ms(started.elapsed()));
        }
        say(&format!("{records} records, one client"), &mut times);
        let started = Instant::now();
        let (mut times, late) = at_rate(&served, questions, rate, seconds).await?;
        let name = format!("{records} records, {rate} requests a second for {} s", started.elapsed().as_secs());
        say(&name, &mut times);
        println!("    answered {} of {}; {late} were sent more than 5 ms late", times.len(), rate * seconds);
        Ok(())
    })
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}

fn say(name: &str, times: &mut [f64]) {
    let (p50, p95) = percentiles(times);
    // Sorted by now.
    let p99 = times[(times.len() * 99 / 100).min(times.len() - 1)];
    let most = times[times.len() - 1];
    println!("{name}: p50 {p50:.2} ms  p95 {p95:.2} ms  p99 {p99:.2} ms  most {most:.1} ms");
}

fn fill(home: &Path, records: u32, maker: &mut Maker) -> Result<(), Failure> {
    let engine = Engine::open(home)?;
    generate::fill(&engine, maker, records)?;
    engine.catch_up(&mut |_, _| true)?;
    Ok(())
}

/// Sends requests at a rate over several connections; the times of those answered, and how many were sent late.
async fn at_rate(
    served: &Served,
    questions: Arc<[String]>,
    rate: u32,
    seconds: u32,
) -> Result<(Vec<f64>, usize), Failure> {
    let total = (rate * seconds) as usize;
    let begin = Instant::now() + Duration::from_millis(100);
    let next = Arc::new(Mutex::new(0_usize));
    let mut clients = Vec::new();
    for _ in 0..CONNECTIONS {
        let mut client = served.client().await?;
        let (next, questions) = (next.clone(), questions.clone());
        clients.push(tokio::spawn(async move {
            let (mut times, mut late) = (Vec::new(), 0);
            loop {
                let number = {
                    let mut next = next.lock().unwrap_or_else(PoisonError::into_inner);
                    *next += 1;
                    *next - 1
                };
                if number >= total {
                    return Ok::<_, Failure>((times, late));
                }
                let due = begin + Duration::from_secs_f64(number as f64 / f64::from(rate));
                tokio::time::sleep_until(due.into()).await;
                late += usize::from(due.elapsed() > Duration::from_millis(5));
                client.recall(&questions[number % questions.len()]).await?;
                times.push(ms(due.elapsed()));
            }
        }));
    }
    let (mut times, mut late) = (Vec::new(), 0);
    for client in clients {
        let (some, some_late) = client.await??;
        times.extend(some);
        late += some_late;
    }
    Ok((times, late))
}

/// A server that ends with this program.
struct Served {
    child: Child,
    address: String,
    token: String,
}

impl Served {
    fn start(home: &Path) -> Result<Served, Failure> {
        let program = std::env::current_exe()?.with_file_name("harness");
        let mut child = Command::new(&program)
            .arg("--home")
            .arg(home)
            .args(["serve", "--addr", "127.0.0.1:0", "--json"])
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("{}: {error}: build it first", program.display()))?;
        let mut line = String::new();
        let output = child.stdout.take().ok_or("no output")?;
        std::io::BufRead::read_line(&mut std::io::BufReader::new(output), &mut line)?;
        let said: serde_json::Value = serde_json::from_str(&line)?;
        let text = |field: &str| said[field].as_str().map(str::to_owned).ok_or("the server does not say where it is");
        let address = text("url")?.trim_start_matches("http://").to_owned();
        let token = std::fs::read_to_string(text("token_file")?)?.trim().to_owned();
        Ok(Served { child, address, token })
    }

    async fn client(&self) -> Result<Client, Failure> {
        let stream = TcpStream::connect(&self.address).await?;
        stream.set_nodelay(true)?;
        let head = format!(
            "POST /v1/recall HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\n",
            self.address, self.token,
        );
        Ok(Client { stream, head, read: Vec::new() })
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One connection: as little as HTTP/1.1 needs, so that what is measured is the server.
struct Client {
    stream: TcpStream,
    head: String,
    read: Vec<u8>,
}

impl Client {
    async fn recall(&mut self, question: &str) -> Result<(), Failure> {
        let body = serde_json::json!({ "query": question, "mode": "text" }).to_string();
        let request = format!("{}Content-Length: {}\r\n\r\n{body}", self.head, body.len());
        self.stream.write_all(request.as_bytes()).await?;
        self.read.clear();
        let mut whole = None;
        loop {
            if self.stream.read_buf(&mut self.read).await? == 0 {
                return Err("the server closed the connection".into());
            }
            if whole.is_none()
                && let Some(at) = self.read.windows(4).position(|four| four == b"\r\n\r\n")
            {
                let head = std::str::from_utf8(&self.read[..at])?.to_ascii_lowercase();
                if !head.starts_with("http/1.1 200") {
                    return Err(String::from_utf8_lossy(&self.read).into_owned().into());
                }
                let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
                whole = Some(at + 4 + length.ok_or("no length")?.trim().parse::<usize>()?);
            }
            if whole.is_some_and(|whole| self.read.len() >= whole) {
                return Ok(());
            }
        }
    }
}

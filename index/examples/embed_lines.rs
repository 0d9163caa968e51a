//! Embeds what comes in, one JSON request a line, and says what it cost; for measuring beside other
//! engines (see `examples/compare/embeddings/`).
//!
//! ```text
//! cargo run --release -p harness-index --example embed_lines -- MODEL [THREADS]
//! {"texts": ["a", "b"], "together": true, "vectors": false}
//! ```
//!
//! `together` embeds all texts in one call, else each in a call of its own. Answers with the seconds that
//! passed, the seconds that a processor worked for the calling thread (Linux; else those that passed),
//! and on request the vectors. The first line says what loading took.

use harness_index::embed::source::ModelFiles;
use harness_index::embed::{BertEmbedder, Embedder, Options, Purpose};
use serde::Deserialize;
use std::error::Error;
use std::io::BufRead;
use std::path::Path;
use std::time::Instant;

#[derive(Deserialize)]
struct Request {
    texts: Vec<String>,
    #[serde(default)]
    together: bool,
    #[serde(default)]
    vectors: bool,
}

/// Seconds that a processor worked for this thread, where the system says so.
fn processor_seconds() -> Option<f64> {
    let line = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    line.split(' ').next()?.parse::<f64>().ok().map(|nanoseconds| nanoseconds / 1e9)
}

/// Runs `work` and returns its result with the seconds that passed and that were worked.
fn timed<T>(work: impl FnOnce() -> T) -> (T, f64, f64) {
    let (start, before) = (Instant::now(), processor_seconds());
    let result = work();
    let passed = start.elapsed().as_secs_f64();
    let worked = before.zip(processor_seconds()).map_or(passed, |(before, after)| after - before);
    (result, passed, worked)
}

fn peak_kb() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().trim_end_matches(" kB").parse().ok()
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let model = arguments.next().ok_or("which model?")?;
    let threads = arguments.next().map_or(Ok(1), |threads| threads.parse())?.try_into()?;
    let options = Options { threads, ..Options::default() };
    let open = || BertEmbedder::open(&ModelFiles::open(&[Path::new(&model)])?, &options);
    let (embedder, passed, worked) = timed(open);
    let embedder = embedder?;
    println!("{}", serde_json::json!({"id": embedder.id(), "seconds": passed, "worked": worked, "peak_kb": peak_kb()}));
    for line in std::io::stdin().lock().lines() {
        let request: Request = serde_json::from_str(&line?)?;
        let texts: Vec<&str> = request.texts.iter().map(String::as_str).collect();
        let size = if request.together { texts.len().max(1) } else { 1 };
        let embed = || -> harness_index::embed::Result<Vec<Vec<f32>>> {
            let mut vectors = Vec::new();
            for texts in texts.chunks(size) {
                vectors.extend(embedder.embed(Purpose::Passage, texts)?);
            }
            Ok(vectors)
        };
        let (vectors, passed, worked) = timed(embed);
        let vectors = vectors?;
        let mut answer = serde_json::json!({"seconds": passed, "worked": worked, "peak_kb": peak_kb()});
        if request.vectors {
            answer["vectors"] = vectors.into();
        }
        println!("{answer}");
    }
    Ok(())
}

//! What a backfill of embeddings takes from text searches beside it:
//! `cargo run --release -p harness-examples --bin measure_backfill HARNESS MODEL [MESSAGES]`.
//!
//! HARNESS is the program, MODEL the folder of a model that `harness setup` fetched. A home of made-up messages is
//! indexed; then rounds without and with a follower that embeds them alternate, in each of which this process
//! searches text as a person or a hook does: a question, a rest, the next. Times are those that pass, not processor
//! time: waiting is what a backfill would cause. Run it on a machine that does nothing else.

use std::error::Error;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use harness_examples::generate::{Maker, fill};
use harness_examples::measure::percentiles;
use harness_index::embed::source::ModelFiles;
use harness_memory::{Mode, Query, ReadSet};
use harness_recall::Engine;
use harness_recall::models::model_folder;
use serde_json::Value;

/// Pairs of rounds, one without and one with the follower.
const ROUNDS: usize = 6;

/// Searches in a round.
const SEARCHES: usize = 150;

/// Between two searches: more than the time for which a backfill stands aside after a question.
const REST: Duration = Duration::from_millis(40);

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args_os().skip(1);
    let (Some(harness), Some(model)) = (arguments.next(), arguments.next()) else {
        return Err("usage: measure_backfill HARNESS MODEL [MESSAGES]".into());
    };
    let messages: u32 = arguments.next().map_or(Ok(10_000), |text| text.to_str().unwrap_or_default().parse())?;
    let home = tempfile::tempdir()?;
    let engine = Engine::open(home.path())?;
    ModelFiles::open(&[Path::new(&model)])?.install(&model_folder(home.path(), "model"), "model", &[])?;
    let mut maker = Maker::new(5);
    fill(&engine, &mut maker, messages)?;
    let command = |arguments: &[&str]| {
        let mut command = Command::new(&harness);
        command.env("HARNESS_HOME", home.path()).args(arguments).stderr(Stdio::null());
        command
    };
    let status = || -> Result<(u64, u64), Box<dyn Error>> {
        let output = command(&["--json", "index", "status"]).output()?;
        let mut lines = output.stdout.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
        let vector = lines.find_map(|line| {
            let line: Value = serde_json::from_slice(line).ok()?;
            (line["name"] == "vector").then_some(line)
        });
        let vector = vector.ok_or("there is no status of the vectors")?;
        let number = |field: &str| vector[field].as_u64().unwrap_or(0);
        Ok((number("lag"), number("documents")))
    };
    // The text index is made before anything is measured.
    engine.catch_up(&mut |_, _| true)?;
    let mut alone = Vec::new();
    let mut beside = Vec::new();
    let mut ratios = Vec::new();
    let (mut embedded, mut passed) = (0, Duration::ZERO);
    for _ in 0..ROUNDS {
        let mut without = searches(&engine, &mut maker)?;
        let mut follower = command(&["index", "follow", "--idle", "60"]).stdout(Stdio::null()).spawn()?;
        // Until it has loaded the model and is at work.
        let (_, before) = status()?;
        let begin = Instant::now();
        while status()?.1 == before && begin.elapsed() < Duration::from_secs(60) {
            thread::sleep(Duration::from_millis(100));
        }
        let (begin, (_, before)) = (Instant::now(), status()?);
        let with = searches(&engine, &mut maker);
        let (left, after) = status()?;
        passed += begin.elapsed();
        embedded += after - before;
        follower.kill()?;
        follower.wait()?;
        let mut with = with?;
        if left == 0 {
            return Err("the backlog ended before the rounds did: give more messages".into());
        }
        ratios.push(percentiles(&mut with).1 / percentiles(&mut without).1);
        alone.append(&mut without);
        beside.append(&mut with);
    }
    for (name, mut times) in [("alone", alone), ("beside a backfill", beside)] {
        let (p50, p95) = percentiles(&mut times);
        println!("{messages} messages, text search {name}: p50 {p50:.2} ms  p95 {p95:.2} ms");
    }
    let (median, _) = percentiles(&mut ratios);
    println!("p95 beside / alone, median of {ROUNDS} rounds: {median:.2}");
    println!("embedded meanwhile: {:.0} records a second", embedded as f64 / passed.as_secs_f64());
    Ok(())
}

/// How long each search took, in milliseconds.
fn searches(engine: &Engine, maker: &mut Maker) -> Result<Vec<f64>, Box<dyn Error>> {
    let everything = ReadSet::everything();
    let mut times = Vec::with_capacity(SEARCHES);
    for _ in 0..SEARCHES {
        let question = maker.question();
        let query = Query { mode: Mode::Text, ..Query::new(question.as_str()) };
        let begin = Instant::now();
        std::hint::black_box(engine.recall(&query, &everything)?);
        times.push(begin.elapsed().as_secs_f64() * 1e3);
        thread::sleep(REST);
    }
    Ok(times)
}

//! How soon a write of one process is in another's answer:
//! `cargo run --release -p harness-examples --bin measure_visible [RECORDS] [WRITES]`.
//!
//! A second process writes a record and says so when it is durable; from then on this process searches
//! until it finds the record. The time between is reported.

use std::error::Error;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use harness_examples::generate::Maker;
use harness_memory::{Mode, Note, Origin, Query, ReadSet, Record, Scope, Store};
use harness_recall::Engine;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [role, home] = arguments.as_slice()
        && role == "write"
    {
        return write(Path::new(home));
    }
    let number = |at: usize, default: usize| arguments.get(at).map_or(Ok(default), |text| text.parse());
    let (records, writes) = (number(0, 100_000)?, number(1, 200)?);
    let home = tempfile::tempdir()?;
    let engine = Engine::open(home.path())?;
    let mut maker = Maker::new(5);
    for _ in 0..records.div_ceil(1_000) {
        let batch = (0..1_000).map(|_| engine.intake().admit_one(note(maker.message().text)));
        engine.store().put(batch.collect::<Result<_, _>>()?)?;
    }
    engine.catch_up(&mut |_, _| true)?;
    let mut writer = Command::new(std::env::current_exe()?)
        .arg("write")
        .arg(home.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let (mut asks, acks) = (writer.stdin.take().ok_or("no pipe")?, writer.stdout.take().ok_or("no pipe")?);
    let mut acks = BufReader::new(acks).lines();
    let everything = ReadSet::everything();
    let mut times = Vec::new();
    for number in 0..writes {
        let word = format!("zanzibar{number}");
        writeln!(asks, "the pool of {word} was raised, {}", maker.question())?;
        asks.flush()?;
        acks.next().ok_or("the writer ended")??;
        let durable = Instant::now();
        let query = Query { mode: Mode::Text, ..Query::new(word.as_str()) };
        while !engine.recall(&query, &everything)?.hits.first().is_some_and(|hit| hit.text.contains(&word)) {}
        times.push(durable.elapsed().as_secs_f64() * 1e3);
    }
    drop(asks);
    writer.wait()?;
    times.sort_by(f64::total_cmp);
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
    println!("{records} records, {writes} writes by another process, from durable to found");
    println!("p50 {:.1} ms  p95 {:.1} ms  max {:.1} ms", at(0.5), at(0.95), at(1.0));
    Ok(())
}

fn note(text: String) -> Record {
    Record::new(Scope::root(), "made-up", Origin::User, Note::new(text))
}

/// The other process: writes each line it is given, and answers when that is durable.
fn write(home: &Path) -> Result<(), Box<dyn Error>> {
    let engine = Engine::open(home)?;
    for line in std::io::stdin().lines() {
        engine.store().put(vec![engine.intake().admit_one(note(line?))?])?;
        println!("durable");
    }
    Ok(())
}

//! What a whole recall costs at a size: `cargo run --release -p harness-examples --bin measure_recall [RECORDS]`.
//!
//! Processor time of the asking thread, warm, best of three: the index alone, and the whole answer with the
//! records read, ranked and cut into snippets.

use std::error::Error;

use harness_examples::generate::{Maker, fill};
use harness_examples::measure::{best_of_three, percentiles};
use harness_index::{Index, Search, TextIndex};
use harness_memory::{Mode, Query, ReadSet};
use harness_recall::Engine;

fn main() -> Result<(), Box<dyn Error>> {
    let records: u32 = std::env::args().nth(1).map_or(Ok(100_000), |text| text.parse())?;
    let home = tempfile::tempdir()?;
    let engine = Engine::open(home.path())?;
    let mut maker = Maker::new(5);
    fill(&engine, &mut maker, records)?;
    engine.catch_up(&mut |_, _| true)?;
    let index = TextIndex::new(&home.path().join("index"));
    let everything = ReadSet::everything();
    let (mut alone, mut whole) = (Vec::new(), Vec::new());
    for _ in 0..200 {
        let question = maker.question();
        alone.push(best_of_three(|| index.search(&**engine.store(), &Search::new(&question, &everything, 40)))?);
        let query = Query { mode: Mode::Text, ..Query::new(question.as_str()) };
        whole.push(best_of_three(|| engine.recall(&query, &everything))?);
    }
    for (name, mut times) in [("text index", alone), ("whole recall", whole)] {
        let (p50, p95) = percentiles(&mut times);
        println!("{records} records, {name}: p50 {p50:.2} ms  p95 {p95:.2} ms");
    }
    Ok(())
}

//! The text index beside SQLite FTS5 on the same terms, in one run:
//! `cargo run --release -p harness-examples --bin compare_fts5 [RECORDS] [QUESTIONS]`.
//!
//! FTS5 is given exactly the terms that our analyzer makes, so two things can be compared: how long a
//! question takes (processor time of the asking thread, warm, best of three), and which records match
//! at all, where FTS5 is the oracle: both must answer the same set.

use std::collections::BTreeSet;
use std::error::Error;
use std::fmt::Write as _;

use harness_examples::generate::Maker;
use harness_examples::measure::{best_of_three, percentiles};
use harness_index::text::{Analyzer, Query};
use harness_index::{Index, Search, TextIndex};
use harness_memory::{Note, Origin, ReadSet, Record, Scope, Store};
use harness_recall::Engine;
use rusqlite::Connection;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1).map(|argument| argument.parse::<usize>());
    let records = arguments.next().transpose()?.unwrap_or(100_000);
    let questions = arguments.next().transpose()?.unwrap_or(200);
    let home = tempfile::tempdir()?;
    let engine = Engine::open(home.path())?;
    let fts = Connection::open(home.path().join("fts5.db"))?;
    // Contentless with full detail: the smallest FTS5 table whose bm25() is right.
    fts.execute_batch("CREATE VIRTUAL TABLE texts USING fts5(terms, content = '', tokenize = 'ascii')")?;

    let mut maker = Maker::new(11);
    fill(&engine, &fts, &mut maker, records)?;
    engine.catch_up(&mut |_, _| true)?;

    let index = TextIndex::new(&home.path().join("index"));
    let everything = ReadSet::everything();
    let asked: Vec<String> = std::iter::repeat_with(|| maker.question())
        .filter(|question| (20..=60).contains(&Query::plain(question).terms().len()))
        .take(questions)
        .collect();
    let (mut ours, mut theirs, mut differ) = (Vec::new(), Vec::new(), 0);
    for (number, question) in asked.iter().enumerate() {
        let matching = match_expression(&Query::plain(question));
        let search = |limit| Search { plain: true, ..Search::new(question, &everything, limit) };
        ours.push(best_of_three(|| index.search(&**engine.store(), &search(10)).map(|found| found.candidates.len()))?);
        theirs.push(best_of_three(|| best_by_fts5(&fts, &matching))?);
        // Every tenth question also for all that matches.
        if number % 10 == 0 {
            let found = index.search(&**engine.store(), &search(records))?;
            let mine: BTreeSet<i64> = found.candidates.iter().map(|candidate| candidate.row.0).collect();
            if mine != all_by_fts5(&fts, &matching)? {
                differ += 1;
                eprintln!("different records match: {question}");
            }
        }
    }
    let (our_p50, our_p95) = percentiles(&mut ours);
    let (their_p50, their_p95) = percentiles(&mut theirs);
    println!("{records} records, {} questions of 20 to 60 terms, processor time of one thread", asked.len());
    println!("text index  p50 {our_p50:.2} ms  p95 {our_p95:.2} ms");
    println!("FTS5        p50 {their_p50:.2} ms  p95 {their_p95:.2} ms");
    println!("ratio       p50 {:.0}x  p95 {:.0}x", their_p50 / our_p50, their_p95 / our_p95);
    println!("matching records differ in {differ} of {} questions compared", asked.len().div_ceil(10));
    if differ > 0 { Err("the two do not match the same records".into()) } else { Ok(()) }
}

/// Puts made-up messages into the store, and their terms into FTS5 under the same row numbers.
fn fill(engine: &Engine, fts: &Connection, maker: &mut Maker, records: usize) -> Result<(), Box<dyn Error>> {
    let mut analyzer = Analyzer::new();
    let mut insert = fts.prepare("INSERT INTO texts (rowid, terms) VALUES (?1, ?2)")?;
    fts.execute_batch("BEGIN")?;
    let mut row = 0_i64;
    while row < records as i64 {
        let mut batch = Vec::new();
        while batch.len() < 1_000 && row < records as i64 {
            row += 1;
            // Notes: their searched text is what they say and nothing else.
            let text = maker.message().text;
            let mut terms = String::new();
            analyzer.document(&text, &mut |term| push_token(&mut terms, term));
            insert.execute(rusqlite::params![row, terms])?;
            let record = Record::new(Scope::root(), "made-up", Origin::User, Note::new(text));
            batch.push(engine.intake().admit_one(record)?);
        }
        engine.store().put(batch)?;
    }
    fts.execute_batch("COMMIT; INSERT INTO texts (texts) VALUES ('optimize')")?;
    Ok(())
}

/// A term as one token of FTS5's ASCII tokenizer, whatever characters it has.
fn push_token(terms: &mut String, term: &str) {
    terms.push('x');
    for byte in term.bytes() {
        let _ = write!(terms, "{byte:02x}");
    }
    terms.push(' ');
}

fn match_expression(query: &Query) -> String {
    let mut expression = String::new();
    for term in query.terms() {
        if !expression.is_empty() {
            expression.push_str("OR ");
        }
        push_token(&mut expression, &term.term);
    }
    expression
}

fn best_by_fts5(fts: &Connection, expression: &str) -> rusqlite::Result<usize> {
    let mut select = fts.prepare_cached("SELECT rowid FROM texts WHERE texts MATCH ?1 ORDER BY rank LIMIT 10")?;
    Ok(select.query_map([expression], |row| row.get::<_, i64>(0))?.count())
}

fn all_by_fts5(fts: &Connection, expression: &str) -> rusqlite::Result<BTreeSet<i64>> {
    let mut select = fts.prepare_cached("SELECT rowid FROM texts WHERE texts MATCH ?1")?;
    select.query_map([expression], |row| row.get(0))?.collect()
}

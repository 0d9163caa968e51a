//! `harness eval`: measures recall on labelled sets, through the real write and read path.
//!
//! - `haystack`, `parse`: the file format, with what a run knows kept apart from what only the judge knows
//! - `run`: one haystack in a fresh store: written, indexed, asked
//! - `embedder`, `remembered`: which embedder is measured with, and what it said of questions before
//! - `foreign`: questions that belong to other haystacks
//! - `score`, `metrics`: from a ranking to figures
//! - `report`, `table`: the figures of a set together, for programs and for people

mod embedder;
mod foreign;
mod haystack;
mod metrics;
mod parse;
mod remembered;
mod report;
mod run;
mod score;
mod table;

use std::cell::Cell;
use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::time::Instant;

use harness_memory::Mode;
use harness_recall::Weights;
use harness_recall::models::load_reranker;

use self::haystack::{Haystack, Kind, Problem};
use self::report::{Report, SetReport};
use self::run::{Plan, Run};
use self::score::Unit;
use crate::app::App;
use crate::output::Exit;
use crate::progress::Bar;
use crate::report::{Advice, line};

/// How many problems are named without `-v`: a file of another format has one a line.
const PROBLEMS_SHOWN: usize = 20;

/// Measure recall on labelled sets
///
/// Each line of a file is a haystack: documents, and questions with their gold. Its documents are written into a
/// fresh store in a temporary home, as any record is, and its questions are asked when no index lags; your own home
/// is not touched. Haystacks of one set count together, question by question.
/// A question without `now` is asked right after the last dated document of its haystack.
///
/// Labels (task, trial, instruction, gold_tools, reward, final, answer) are never stored.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  harness eval recall/cli/tests/data/*.jsonl
  harness eval memory.jsonl --embedder ~/models/all-MiniLM-L6-v2 --embedding-cache ~/.cache/eval
  harness eval memory.jsonl --mode text --unit session --json | jq '.sets[].metrics'

Figures are 0 to 1, and the interval beside the first of them is the 95 % bootstrap interval over questions.
A line that cannot be used is named on stderr and the rest is measured.
Exit codes: 0 measured, 2 when a file, a line or a document could not be used.")]
pub(crate) struct Args {
    /// JSON Lines files, one haystack a line
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,

    /// How to search: by text and meaning (hybrid), by text, or by meaning (vector) [default: hybrid]
    #[arg(long, value_name = "MODE")]
    mode: Option<Mode>,

    /// What is ranked [default: sessions where the labels name sessions, else turns]
    #[arg(long, value_enum, value_name = "UNIT")]
    unit: Option<Unit>,

    /// What makes vectors: `random` or `hashing`, which know no meaning, the name of a model of your home, or a folder
    /// with a model's files [default: the model in use]
    #[arg(long, value_name = "NAME|PATH")]
    embedder: Option<String>,

    /// Keep embeddings in this folder, so that nothing is embedded twice [default: the home's]
    #[arg(long, value_name = "DIR")]
    embedding_cache: Option<PathBuf>,

    /// Read the first 30 of each answer once more, with the cross-encoder in this folder (an ONNX graph and its tokenizer)
    #[arg(long, value_name = "DIR")]
    rerank: Option<PathBuf>,

    /// Weights of ranking other than the default ones, as JSON: {"session": 0.05}
    #[arg(long, value_name = "JSON", value_parser = weights)]
    weights: Option<Box<Weights>>,

    /// Also pack a context of at most this many tokens for each question, and measure the gold in it
    #[arg(long, value_name = "TOKENS")]
    context: Option<usize>,

    /// Ask at most this many questions of each haystack: for a quick look, not for a measurement
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
}

pub(crate) fn run(args: Args, app: &App) -> anyhow::Result<Exit> {
    let problems = Cell::new(0);
    let mut problem = |problem: Problem| {
        problems.set(problems.get() + 1);
        match problems.get() {
            ..=PROBLEMS_SHOWN => line(&format!("error: {problem}")),
            _ => tracing::info!("{problem}"),
        }
    };
    let mut haystacks = Vec::new();
    for file in &args.files {
        haystacks.extend(haystack::read(file, &mut problem));
    }
    if haystacks.is_empty() {
        return Err(Advice::error("there is nothing to measure", "name files with one haystack a line, as JSON"));
    }
    let mode = args.mode.unwrap_or_default();
    let embedder = match mode {
        Mode::Text => None,
        Mode::Hybrid | Mode::Vector => embedder::of(args.embedder.as_deref(), args.embedding_cache, app)?,
    };
    let reranker = args.rerank.as_deref().map(|folder| load_reranker(&app.home, folder)).transpose()?;
    let plan = Plan {
        mode,
        embedder,
        reranker,
        unit: args.unit,
        weights: args.weights.map_or_else(Weights::default, |weights| *weights),
        context_tokens: args.context,
        questions_max: args.limit.unwrap_or(usize::MAX),
    };
    let mut report = Report { sets: Vec::new() };
    for set in sets(haystacks) {
        let started = Instant::now();
        let bar = Bar::new(&set[0].set, "documents and questions");
        let work = |haystack: &Haystack| haystack.docs.len() + haystack.questions.len().min(plan.questions_max);
        let (mut done, all) = (0, set.iter().map(work).sum::<usize>() as u64);
        let mut runs: Vec<Run> = Vec::new();
        for (place, haystack) in set.iter().enumerate() {
            let foreign = if set[0].kind == Kind::Turn { foreign::questions(&set, place) } else { Vec::new() };
            let mut step = |more: usize| {
                done += more as u64;
                bar.step(done, all)
            };
            match run::haystack(haystack, &foreign, &plan, &mut step, &mut problem) {
                Ok(run) => runs.push(run),
                Err(error) => {
                    problem(Problem { place: haystack.place.to_string(), reason: format!("{error:#}") });
                }
            }
            if !bar.step(done, all) {
                return Ok(Exit::Interrupted);
            }
        }
        drop(bar);
        let measured = SetReport::new(&set, &runs, plan.mode);
        tell(&measured, started);
        report.sets.push(measured);
    }
    if app.json {
        app.print_json(&report)?;
    } else {
        app.print(|out| write!(out, "{}", table::text(&report)))?;
    }
    if problems.get() > PROBLEMS_SHOWN {
        line(&format!("error: and {} more; -v names them all", problems.get() - PROBLEMS_SHOWN));
    }
    Ok(if problems.get() == 0 { Exit::Found } else { Exit::Failed })
}

fn weights(json: &str) -> Result<Box<Weights>, String> {
    serde_json::from_str(json).map(Box::new).map_err(|error| error.to_string())
}

/// Haystacks by set and kind, each in the order in which it was first named.
fn sets(haystacks: Vec<Haystack>) -> Vec<Vec<Haystack>> {
    let mut sets: Vec<Vec<Haystack>> = Vec::new();
    for haystack in haystacks {
        match sets.iter_mut().find(|set| set[0].set == haystack.set && set[0].kind == haystack.kind) {
            Some(set) => set.push(haystack),
            None => sets.push(vec![haystack]),
        }
    }
    sets
}

/// Says on stderr what the figures do not say.
fn tell(set: &SetReport, started: Instant) {
    let name = &set.set;
    if !std::io::stderr().is_terminal() {
        let seconds = started.elapsed().as_secs_f64();
        line(&format!("{name}: {} documents, {} questions in {seconds:.1} s", set.docs, set.queries));
    }
    for part in &set.degraded {
        line(&format!("note: {name}: {} ({} {}, {} questions)", part.hint, part.arm, part.code, part.queries));
    }
    if set.unlabelled > 0 {
        line(&format!("note: {name}: {} questions have no gold and count nowhere", set.unlabelled));
    }
    if set.gold_unknown > 0 {
        line(&format!("note: {name}: {} gold ids name no document and count as not found", set.gold_unknown));
    }
    if set.empty > 0 {
        line(&format!("note: {name}: {} questions are empty and count as not found", set.empty));
    }
    if set.redactions > 0 {
        line(&format!("note: {name}: {} secrets were redacted in its documents", set.redactions));
    }
}

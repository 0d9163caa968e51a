//! Measures text search on evaluation sets, without a store and without an index on disk: each haystack goes into a
//! segment in memory through the real analyzer and is searched by the real scorer.
//!
//! ```text
//! cargo run --release --example text_sets -- [--set NAME=VALUE]… [--misses] FILE…
//! ```
//!
//! `--set` changes a constant of scoring (`k1`, `b`, `k1.Short`, `w.HanUnigram`, …) for a comparison; `--misses`
//! prints the queries whose first answer is wrong. Intervals are 95 % of 1,000 bootstrap samples over queries.

use std::error::Error;
use std::io::{BufRead, BufReader};
use std::time::Instant;

use harness_index::text::{Analyzer, MemorySegment, Query, Scorer, Scoring, Segment, TERM_KINDS, TermKind, TextClass};
use serde::Deserialize;

#[derive(Deserialize)]
struct Haystack {
    set: String,
    docs: Vec<Doc>,
    queries: Vec<Asked>,
}

#[derive(Deserialize)]
struct Doc {
    id: String,
    #[serde(default)]
    text: String,
    session: Option<String>,
    ts: Option<String>,
    speaker: Option<String>,
    caption: Option<String>,
}

#[derive(Deserialize)]
struct Asked {
    text: String,
    #[serde(default)]
    gold: Vec<String>,
    #[serde(default)]
    gold_session: Vec<String>,
    #[serde(default)]
    abstain: bool,
}

/// Reciprocal rank and share of gold within the first ten, for one query.
#[derive(Clone, Copy)]
struct Figures {
    reciprocal_rank: f64,
    recall: f64,
}

#[derive(Default)]
struct SetResult {
    name: String,
    figures: Vec<Figures>,
    late: usize,
    docs: usize,
    bytes: usize,
    postings: usize,
    analysis_s: f64,
    search_ms: Vec<f64>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut scoring = Scoring::default();
    let mut files = Vec::new();
    let (mut misses, mut brief) = (false, false);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--set" => set(&mut scoring, &arguments.next().ok_or("--set wants NAME=VALUE")?)?,
            "--misses" => misses = true,
            "--brief" => brief = true,
            _ => files.push(argument),
        }
    }
    let scorer = Scorer::new(scoring);
    let mut sets: Vec<SetResult> = Vec::new();
    for file in files {
        for line in BufReader::new(std::fs::File::open(&file)?).lines() {
            let haystack: Haystack = serde_json::from_str(&line?)?;
            if sets.last().is_none_or(|set| set.name != haystack.set) {
                sets.push(SetResult { name: haystack.set.clone(), ..SetResult::default() });
            }
            if let Some(set) = sets.last_mut() {
                measure(&haystack, &scorer, misses, set)?;
            }
        }
    }
    let mut line = String::new();
    for set in &mut sets {
        let mrr = interval(&set.figures, |figures| figures.reciprocal_rank);
        let recall = interval(&set.figures, |figures| figures.recall);
        if brief {
            line.push_str(&format!("{} {:.4}  ", set.name, mrr.0));
            continue;
        }
        set.search_ms.sort_by(f64::total_cmp);
        let percentile = |p: usize| set.search_ms.get(set.search_ms.len() * p / 100).copied().unwrap_or_default();
        println!(
            "{:14} {:5} docs {:5} queries  MRR@10 {:.4} [{:.4} {:.4}]  R@10 {:.4} [{:.4} {:.4}]  past 3: {:4}  {:5.1} MB/s {:6.0} docs/s  {:.2} postings/byte  search p50 {:.3} p95 {:.3} ms",
            set.name,
            set.docs,
            set.figures.len(),
            mrr.0,
            mrr.1,
            mrr.2,
            recall.0,
            recall.1,
            recall.2,
            set.late,
            set.bytes as f64 / set.analysis_s / 1e6,
            set.docs as f64 / set.analysis_s,
            set.postings as f64 / set.bytes as f64,
            percentile(50),
            percentile(95),
        );
    }
    if brief {
        println!("{line}");
    } else {
        let (bytes, seconds) = sets.iter().fold((0, 0.0), |sum, set| (sum.0 + set.bytes, sum.1 + set.analysis_s));
        println!("analysis of all sets: {:.1} MB/s of processor time", bytes as f64 / seconds / 1e6);
    }
    Ok(())
}

fn measure(haystack: &Haystack, scorer: &Scorer, misses: bool, set: &mut SetResult) -> Result<(), Box<dyn Error>> {
    let texts: Vec<String> = haystack.docs.iter().map(indexed_text).collect();
    let mut analyzer = Analyzer::new();
    let mut segment = MemorySegment::new();
    let (mut emitted, started) = (0, cpu_s());
    for text in &texts {
        let mut count = |_: &str| emitted += 1;
        analyzer.document(text, &mut count);
    }
    set.analysis_s += cpu_s() - started;
    std::hint::black_box(emitted);
    for (number, text) in texts.iter().enumerate() {
        let class = TextClass::of(text, false);
        // Without the dates of the records, the given order decides ties.
        let tie_key = u64::MAX - number as u64;
        segment.add(&mut analyzer, text, class, tie_key);
    }
    set.docs += texts.len();
    set.bytes += texts.iter().map(String::len).sum::<usize>();
    set.postings += segment.posting_count();
    for asked in haystack.queries.iter().filter(|asked| !asked.abstain) {
        let by_session = !asked.gold_session.is_empty();
        let gold = if by_session { &asked.gold_session } else { &asked.gold };
        if gold.is_empty() {
            continue;
        }
        let started = Instant::now();
        let query = Query::parse(&asked.text);
        let load = |_: usize, doc: u32| texts.get(doc as usize).cloned();
        let hits = scorer.search(&query, &[&segment as &dyn Segment], None, 50, &load)?.hits;
        set.search_ms.push(started.elapsed().as_secs_f64() * 1e3);
        let mut answers: Vec<&str> = Vec::new();
        for hit in &hits {
            let doc = &haystack.docs[hit.doc as usize];
            let answer = if by_session { doc.session.as_deref().unwrap_or_default() } else { &doc.id };
            if !answers.contains(&answer) {
                answers.push(answer);
            }
        }
        answers.truncate(10);
        let rank = answers.iter().position(|answer| gold.iter().any(|id| id == answer));
        let found = gold.iter().filter(|id| answers.contains(&id.as_str())).count();
        set.late += usize::from(rank.is_none_or(|rank| rank >= 3));
        set.figures.push(Figures {
            reciprocal_rank: rank.map_or(0.0, |rank| 1.0 / (rank + 1) as f64),
            recall: found as f64 / gold.len() as f64,
        });
        if misses && rank != Some(0) {
            println!("{} rank {:?}: {}", set.name, rank.map(|rank| rank + 1), asked.text);
            for (hit, label) in hits.iter().take(1).map(|hit| (hit, "  got ")).chain(
                hits.iter()
                    .filter(|hit| gold.contains(&haystack.docs[hit.doc as usize].id))
                    .take(1)
                    .map(|hit| (hit, "  gold")),
            ) {
                println!(
                    "{label} {:.2} {}",
                    hit.score,
                    texts[hit.doc as usize].chars().take(160).collect::<String>().replace('\n', " ")
                );
                let matched: Vec<String> = hit
                    .matched
                    .iter()
                    .map(|m| format!("{}={:.1}", query.terms()[m.term].term.escape_debug(), m.score))
                    .collect();
                println!("        {}", matched.join(" "));
            }
        }
    }
    Ok(())
}

/// Seconds of processor time of this thread where the system tells, else of the clock.
fn cpu_s() -> f64 {
    static START: std::sync::LazyLock<Instant> = std::sync::LazyLock::new(Instant::now);
    std::fs::read_to_string("/proc/thread-self/schedstat")
        .ok()
        .and_then(|text| text.split(' ').next()?.parse::<f64>().ok())
        .map_or_else(|| START.elapsed().as_secs_f64(), |ns| ns / 1e9)
}

/// The text of a document as it is indexed: a turn with its speaker, its date as people spell it, and its caption.
fn indexed_text(doc: &Doc) -> String {
    let mut text = String::new();
    if let Some(speaker) = &doc.speaker {
        text.push_str(speaker);
        text.push('\n');
    }
    if let Some(ts) = &doc.ts {
        text.push_str(&spelled_date(ts, doc.text.is_ascii() || doc.speaker.is_some()));
        text.push('\n');
    }
    text.push_str(&doc.text);
    if let Some(caption) = &doc.caption {
        text.push('\n');
        text.push_str(caption);
    }
    text
}

fn spelled_date(ts: &str, english: bool) -> String {
    const MONTHS: [&str; 12] = [
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
    ];
    let mut fields = ts.get(..10).unwrap_or_default().split('-').filter_map(|field| field.parse::<usize>().ok());
    match (fields.next(), fields.next(), fields.next()) {
        (Some(year), Some(month), Some(day)) if english => {
            format!("{day} {} {year}", MONTHS.get(month - 1).copied().unwrap_or_default())
        }
        (Some(year), Some(month), Some(day)) => format!("{year}年{month}月{day}日 {month}月{day}号"),
        _ => String::new(),
    }
}

/// The mean and the bounds of 95 % of bootstrap means.
fn interval(figures: &[Figures], of: impl Fn(&Figures) -> f64) -> (f64, f64, f64) {
    let values: Vec<f64> = figures.iter().map(of).collect();
    if values.is_empty() {
        return (0.0, 0.0, 0.0);
    }
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut means: Vec<f64> = (0..1000)
        .map(|_| {
            let sum: f64 = (0..values.len())
                .map(|_| {
                    state ^= state << 13;
                    state ^= state >> 7;
                    state ^= state << 17;
                    values[(state % values.len() as u64) as usize]
                })
                .sum();
            sum / values.len() as f64
        })
        .collect();
    means.sort_by(f64::total_cmp);
    (values.iter().sum::<f64>() / values.len() as f64, means[25], means[974])
}

fn set(scoring: &mut Scoring, assignment: &str) -> Result<(), Box<dyn Error>> {
    let (name, value) = assignment.split_once('=').ok_or("--set wants NAME=VALUE")?;
    let value: f32 = value.parse()?;
    let class = |name: &str| {
        [TextClass::Short, TextClass::Long, TextClass::Code].into_iter().find(|class| format!("{class:?}") == name)
    };
    match name.split_once('.') {
        Some(("k1", name)) => scoring.k1[class(name).ok_or("no such class")? as usize] = value,
        Some(("b", name)) => scoring.b[class(name).ok_or("no such class")? as usize] = value,
        Some(("w", name)) => {
            let kind = (0..TERM_KINDS).filter_map(|kind| TermKind::from_u8(kind as u8));
            let kind = kind.into_iter().find(|kind| format!("{kind:?}") == name).ok_or("no such kind of term")?;
            scoring.weights[kind as usize] = value;
        }
        None if name == "k1" => scoring.k1 = [value; 3],
        None if name == "b" => scoring.b = [value; 3],
        _ => return Err("no such constant".into()),
    }
    Ok(())
}

//! Measures the vector index on made-up embeddings and prints what it found.
//!
//! ```text
//! cargo run --release -p harness-index --example vector_bench -- exact 10000
//! cargo run --release -p harness-index --example vector_bench -- cells low-rank 1000000
//! ```
//!
//! `cells` leaves the index in a folder that it is given, for `examples/compare/routing`; `peers` writes its data to a
//! folder, for the comparison in `examples/compare/vectors`.
//!
//! Times are CPU times of the one thread that does the work, medians over queries.

mod data;

use data::{DIMENSIONS, Random, Source};
use harness_index::vector::{Key, Partition, Space, VectorIndex};
use rustix::time::{ClockId, clock_gettime};
use std::path::Path;

const K: usize = 10;
const QUERIES: usize = 200;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["exact", count] => exact(count.parse()?),
        ["cells", kind, count] => cells(kind, count.parse()?, tempfile::tempdir()?.path()),
        ["cells", kind, count, folder] => cells(kind, count.parse()?, Path::new(folder)),
        ["peers", kind, count, folder] => peers(kind, count.parse()?, Path::new(folder)),
        _ => Err("usage: vector_bench exact COUNT | cells clustered|low-rank COUNT [FOLDER] | \
                  peers clustered|sessions|duplicates COUNT FOLDER"
            .into()),
    }
}

/// CPU milliseconds of this thread so far.
fn cpu_ms() -> f64 {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    now.tv_sec as f64 * 1e3 + now.tv_nsec as f64 / 1e6
}

fn timed<T>(work: impl FnOnce() -> T) -> (T, f64) {
    let start = cpu_ms();
    let result = work();
    (result, cpu_ms() - start)
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn space() -> Space {
    Space { embedder: "made-up".to_owned(), dimensions: DIMENSIONS }
}

/// Inserts all vectors under their numbers, committing every ten thousand.
fn fill(folder: &Path, vectors: &[f32]) -> Outcome<(VectorIndex, f64)> {
    let (index, ms) = timed(|| -> Outcome<VectorIndex> {
        let mut index = VectorIndex::create(folder, &space())?;
        for (number, vector) in (0u64..).zip(vectors.chunks(DIMENSIONS)) {
            let mut content = [0; 16];
            content[..8].copy_from_slice(&number.to_le_bytes());
            let key = Key { record: number, passage: 0 };
            index.insert(key, content, vector)?;
            if number % 10_000 == 9_999 {
                index.commit(&number.to_le_bytes())?;
            }
        }
        index.commit(b"all")?;
        Ok(index)
    });
    Ok((index?, ms))
}

/// The numbers of the nearest vectors by single-precision products alone.
fn naive(vectors: &[f32], query: &[f32]) -> Vec<u64> {
    let mut scored: Vec<(f32, u64)> = (0u64..)
        .zip(vectors.chunks(DIMENSIONS))
        .map(|(number, vector)| {
            let mut sums = [0f32; 16];
            for (a, b) in vector.as_chunks::<16>().0.iter().zip(query.as_chunks::<16>().0) {
                for lane in 0..16 {
                    sums[lane] += a[lane] * b[lane];
                }
            }
            (sums.iter().sum::<f32>(), number)
        })
        .collect();
    let order = |a: &(f32, u64), b: &(f32, u64)| b.0.total_cmp(&a.0);
    scored.select_nth_unstable_by(K - 1, order);
    scored.truncate(K);
    scored.into_iter().map(|(_, number)| number).collect()
}

/// Runs the queries; returns the median of their CPU times and the share of `truth` they found.
fn measure(
    queries: &[f32],
    truth: Option<&[Vec<u64>]>,
    mut search: impl FnMut(&[f32]) -> Outcome<Vec<u64>>,
) -> Outcome<(f64, f64)> {
    let mut times = Vec::new();
    let mut found = 0;
    // Once to warm up, once to count.
    for query in queries.chunks(DIMENSIONS) {
        search(query)?;
    }
    for (at, query) in queries.chunks(DIMENSIONS).enumerate() {
        let (answer, ms) = timed(|| search(query));
        let answer = answer?;
        times.push(ms);
        if let Some(truth) = truth {
            found += answer.iter().filter(|number| truth[at].contains(number)).count();
        }
    }
    let wanted = queries.len() / DIMENSIONS * K;
    Ok((median(times), found as f64 / wanted as f64))
}

fn records(matches: Vec<harness_index::vector::Match>) -> Vec<u64> {
    matches.iter().flat_map(|found| found.keys.iter().map(|key| key.record)).collect()
}

fn exact(count: usize) -> Outcome<()> {
    let mut random = Random::new(7);
    for (name, source) in [
        ("clustered", Source::clustered(&mut random, (count / 1000).max(10))),
        ("low-rank", Source::low_rank(&mut random)),
    ] {
        let vectors = source.draw_many(&mut random, count);
        let queries = source.draw_many(&mut random, QUERIES);
        let truth: Vec<Vec<u64>> = queries.chunks(DIMENSIONS).map(|query| naive(&vectors, query)).collect();
        let folder = tempfile::tempdir()?;
        let (index, insert_ms) = fill(folder.path(), &vectors)?;
        println!("{name}, {count} vectors: insert {:.0} rows per CPU second", count as f64 / insert_ms * 1e3);
        drop(index);
        let (first, open_ms) = timed(|| -> Outcome<_> {
            let index = VectorIndex::open(folder.path(), &space())?;
            let found = index.search(&queries[..DIMENSIONS], K, None)?;
            Ok((index, found))
        });
        let (index, _) = first?;
        println!("  open to first answer {open_ms:.1} ms");
        let (ms, recall) = measure(&queries, Some(&truth), |query| Ok(records(index.search(query, K, None)?)))?;
        println!("  exact scan p50 {ms:.3} ms, recall@{K} {recall:.4}");
        for percent in [50, 10, 1] {
            let mut chosen = Random::new(percent as u64);
            let kept: Vec<u64> = (0..count as u64).filter(|_| chosen.below(100) < percent).collect();
            let (allowed, allow_ms) = timed(|| index.allow(kept.iter().copied()));
            let part: Vec<f32> = kept
                .iter()
                .flat_map(|&number| &vectors[number as usize * DIMENSIONS..][..DIMENSIONS])
                .copied()
                .collect();
            let truth: Vec<Vec<u64>> = queries
                .chunks(DIMENSIONS)
                .map(|query| naive(&part, query).iter().map(|&at| kept[at as usize]).collect())
                .collect();
            let (ms, recall) =
                measure(&queries, Some(&truth), |query| Ok(records(index.search(query, K, Some(&allowed))?)))?;
            println!("  filter of {percent} %: p50 {ms:.3} ms, recall@{K} {recall:.4}, prepared in {allow_ms:.3} ms");
        }
    }
    Ok(())
}

/// Vectors that are drawn and inserted at a time, so that they need not be in memory together.
const BATCH: usize = 10_000;

fn cells(kind: &str, count: usize, folder: &Path) -> Outcome<()> {
    let mut random = Random::new(11);
    let source = match kind {
        "clustered" => Source::clustered(&mut random, (count / 1000).max(10)),
        "low-rank" => Source::low_rank(&mut random),
        other => return Err(format!("no data is called {other}").into()),
    };
    let mut index = VectorIndex::create(folder, &space())?;
    let mut insert_ms = 0.0;
    let mut number = 0u64;
    while (number as usize) < count {
        let batch = source.draw_many(&mut random, BATCH.min(count - number as usize));
        let (done, ms) = timed(|| -> Outcome<()> {
            for vector in batch.chunks(DIMENSIONS) {
                let mut content = [0; 16];
                content[..8].copy_from_slice(&number.to_le_bytes());
                let key = Key { record: number, passage: 0 };
                index.insert(key, content, vector)?;
                number += 1;
            }
            Ok(index.commit(&number.to_le_bytes())?)
        });
        done?;
        insert_ms += ms;
    }
    println!("{kind}, {count} vectors: insert {:.0} rows per CPU second", count as f64 / insert_ms * 1e3);
    let queries = source.draw_many(&mut random, QUERIES);
    let mut truth = Vec::new();
    let (exact_ms, _) =
        measure(&queries[..QUERIES / 10 * DIMENSIONS], None, |query| Ok(records(index.search_exact(query, K)?)))?;
    println!("  exact scan p50 {exact_ms:.2} ms");
    for query in queries.chunks(DIMENSIONS) {
        truth.push(records(index.search_exact(query, K)?));
    }
    let snapshot = index.snapshot(Partition { from_rows: 0, ..Partition::default() });
    let (rebuilt, build_ms) = timed(|| snapshot.rebuild());
    let (adopted, adopt_ms) = timed(|| index.adopt(rebuilt?));
    adopted?;
    println!("  rebuilt in {:.1} CPU s, adopted in {:.2} CPU s", build_ms / 1e3, adopt_ms / 1e3);
    drop(index);
    let (index, open_ms) = timed(|| VectorIndex::open(folder, &space()));
    let index = index?;
    println!("  {:?}, opened in {open_ms:.0} ms", index.status());
    let (ms, recall) = measure(&queries, Some(&truth), |query| Ok(records(index.search(query, K, None)?)))?;
    println!("  chosen: p50 {ms:.3} ms, recall@{K} {recall:.4}; {}", resident());
    for probes in [8, 16, 32, 64, 128, 256, 512, 1024] {
        let (ms, recall) =
            measure(&queries, Some(&truth), |query| Ok(records(index.search_probing(query, K, probes)?)))?;
        println!("  {probes} cells read: p50 {ms:.3} ms, recall@{K} {recall:.4}");
    }
    Ok(())
}

/// What the kernel says is resident, where there is such a file.
fn resident() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let lines = status.lines().filter(|line| line.starts_with("VmRSS") || line.starts_with("Rss"));
    lines.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect::<Vec<_>>().join(", ")
}

/// Measures itself on data that it leaves in `folder`, and prints one JSON object.
fn peers(kind: &str, count: usize, folder: &Path) -> Outcome<()> {
    let mut random = Random::new(23);
    let (vectors, queries) = match kind {
        "clustered" => {
            let source = Source::clustered(&mut random, (count / 100).max(10));
            let vectors = source.draw_many(&mut random, count);
            (vectors, source.draw_many(&mut random, QUERIES))
        }
        // Tight clusters, one after the other.
        "sessions" => {
            let mut vectors = Vec::new();
            for _ in 0..20 {
                let source =
                    Source::Clustered { centres: Source::clustered(&mut random, 1).draw(&mut random), noise: 0.2 };
                vectors.extend(source.draw_many(&mut random, count / 20));
            }
            (vectors, Vec::new())
        }
        // A quarter is one and the same vector.
        "duplicates" => {
            let source = Source::clustered(&mut random, count);
            let twin = source.draw(&mut random);
            let mut vectors = twin.repeat(count / 4);
            vectors.extend(source.draw_many(&mut random, count - count / 4));
            (vectors, Vec::new())
        }
        other => return Err(format!("no data is called {other}").into()),
    };
    write_floats(&folder.join("vectors.f32"), &vectors)?;
    write_floats(&folder.join("queries.f32"), &queries)?;
    let home = tempfile::tempdir()?;
    let (mut index, insert_ms) = fill(home.path(), &vectors)?;
    if kind == "clustered" {
        let truth: Vec<Vec<u64>> = queries.chunks(DIMENSIONS).map(|query| naive(&vectors, query)).collect();
        let (p50_ms, recall) = measure(&queries, Some(&truth), |query| Ok(records(index.search(query, K, None)?)))?;
        let inserts_per_s = count as f64 / insert_ms * 1e3;
        let result = serde_json::json!({
            "p50_ms": p50_ms, "recall": recall, "inserts_per_s": inserts_per_s,
        });
        println!("{result}");
    } else {
        let self_recall = found_by_themselves(&index, &vectors)?;
        let snapshot = index.snapshot(Partition { from_rows: 0, ..Partition::default() });
        index.adopt(snapshot.rebuild()?)?;
        let self_recall_cells = found_by_themselves(&index, &vectors)?;
        let result = serde_json::json!({
            "self_recall": self_recall, "self_recall_cells": self_recall_cells,
        });
        println!("{result}");
    }
    Ok(())
}

/// The share of vectors whose own query brings their own key back.
fn found_by_themselves(index: &VectorIndex, vectors: &[f32]) -> Outcome<f64> {
    let mut found = 0;
    for (number, vector) in (0u64..).zip(vectors.chunks(DIMENSIONS)) {
        found += usize::from(records(index.search(vector, K, None)?).contains(&number));
    }
    Ok(found as f64 / (vectors.len() / DIMENSIONS) as f64)
}

fn write_floats(path: &Path, values: &[f32]) -> std::io::Result<()> {
    let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    std::fs::write(path, bytes)
}

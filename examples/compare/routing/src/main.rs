//! hnsw_rs over the centroids of the vector index, beside the scan of them that the index does: what it costs to find
//! the cell of a row when the index is parted, and the cells of a query.
//!
//! ```text
//! cargo run --release -p harness-index --example vector_bench -- cells clustered 1000000 FOLDER
//! cargo run --release --manifest-path examples/compare/routing/Cargo.toml -- FOLDER
//! ```
//!
//! Both compare the same int8 numbers with the same instructions (the index's own, compiled into this program), so
//! that the difference is the graph's. Times are CPU times of one thread.

use std::collections::HashSet;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

use hnsw_rs::prelude::{Distance, Hnsw};
use rustix::time::{ClockId, clock_gettime};

mod vector;

use vector::simd::{Kernel, LANES};

const STRIDE: usize = 384;

/// Rows that are assigned, spread over the whole index, and taken for queries too.
const SAMPLE_ROWS: usize = 20_000;

/// Centroids that the index compares with a row in one go (`kmeans.rs`).
const BLOCK_CENTROIDS: usize = 64;

/// A vector for the graph: its bytes, then its scale, then padding.
const NODE_BYTES: usize = STRIDE + LANES;

/// One less the cosine, never below zero: hnsw_rs panics on negative distances.
#[derive(Clone, Copy)]
struct Cosine(Kernel);

impl Distance<i8> for Cosine {
    fn eval(&self, a: &[i8], b: &[i8]) -> f32 {
        let mut product = [0];
        self.0.rows(&a[..STRIDE], &b[..STRIDE], &mut product);
        (1.0 - product[0] as f32 * scale(a) * scale(b)).max(0.0)
    }
}

fn scale(node: &[i8]) -> f32 {
    let [a, b, c, d] = [0, 1, 2, 3].map(|at| node[STRIDE + at] as u8);
    f32::from_le_bytes([a, b, c, d])
}

fn node(bytes: &[i8], scale: f32) -> Vec<i8> {
    let mut node = bytes.to_vec();
    node.extend(scale.to_le_bytes().map(|byte| byte as i8));
    node.resize(NODE_BYTES, 0);
    node
}

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args().nth(1).ok_or("usage: compare-routing FOLDER")?;
    let generation = generation(Path::new(&folder))?;
    let (centroids, scales) = centroids(&generation.join("cells"))?;
    let rows = fs::read(generation.join("rows.i8"))?;
    let meta = fs::read(generation.join("rows.meta"))?;
    let count = rows.len() / STRIDE;
    let step = (count / SAMPLE_ROWS).max(1);
    let sample: Vec<Vec<i8>> = (0..count)
        .step_by(step)
        .map(|row| {
            let bytes: Vec<i8> = rows[row * STRIDE..][..STRIDE].iter().map(|&byte| byte as i8).collect();
            let scale =
                f32::from_le_bytes([meta[row * 16], meta[row * 16 + 1], meta[row * 16 + 2], meta[row * 16 + 3]]);
            node(&bytes, scale)
        })
        .collect();
    drop(rows);
    println!("{count} rows, {} centroids, {} rows sampled", scales.len(), sample.len());
    let kernel = Kernel::best();

    let (exact, ms) = timed(|| assign(kernel, &centroids, &scales, &sample));
    println!("assign by scan:   {:6.2} µs a row", ms * 1e3 / sample.len() as f64);
    let mut products = vec![0; scales.len()];
    let queries = &sample[..1000.min(sample.len())];
    let (_, ms) = timed(|| queries.iter().for_each(|row| kernel.rows(&row[..STRIDE], &centroids, &mut products)));
    println!("route by scan:    {:6.2} µs a query", ms * 1e3 / queries.len() as f64);

    // hnsw_rs demands sixteen layers of whoever wants to write the graph to a file.
    let nodes: Vec<Vec<i8>> = centroids.chunks(STRIDE).zip(&scales).map(|(bytes, &scale)| node(bytes, scale)).collect();
    for (links, construction) in [(16, 100), (24, 200)] {
        let graph = Hnsw::<i8, Cosine>::new(links, nodes.len(), 16, construction, Cosine(kernel));
        let (_, ms) = timed(|| nodes.iter().enumerate().for_each(|(at, node)| graph.insert((&node[..], at))));
        println!("graph of {links} links, construction {construction}: built in {ms:.0} ms");
        for breadth in [8, 16, 32, 64, 128, 256] {
            let (found, ms) = timed(|| -> Vec<usize> {
                sample.iter().map(|row| graph.search(row, 1, breadth).first().map_or(usize::MAX, |n| n.d_id)).collect()
            });
            let right = found.iter().zip(&exact).filter(|(a, b)| a == b).count() as f64 / exact.len() as f64;
            let wanted = breadth.min(64);
            let mut shared = 0;
            let (_, route_ms) = timed(|| {
                for row in queries {
                    std::hint::black_box(graph.search(row, wanted, breadth));
                }
            });
            for row in queries {
                let mut products = vec![0; scales.len()];
                kernel.rows(&row[..STRIDE], &centroids, &mut products);
                let mut order: Vec<usize> = (0..scales.len()).collect();
                let score = |at: usize| products[at] as f32 * scales[at];
                order.sort_by(|&a, &b| score(b).total_cmp(&score(a)));
                let best: HashSet<usize> = order.into_iter().take(wanted).collect();
                shared += graph.search(row, wanted, breadth).iter().filter(|n| best.contains(&n.d_id)).count();
            }
            let recall = shared as f64 / (wanted * queries.len()) as f64;
            println!(
                "  breadth {breadth:3}: assign {:6.2} µs a row, right {right:.4}; route to {wanted} cells {:6.2} µs, recall {recall:.4}",
                ms * 1e3 / sample.len() as f64,
                route_ms * 1e3 / queries.len() as f64,
            );
        }
    }
    Ok(())
}

/// The nearest centroid of each row, block by block as the index does it.
fn assign(kernel: Kernel, centroids: &[i8], scales: &[f32], sample: &[Vec<i8>]) -> Vec<usize> {
    let mut products = [0; BLOCK_CENTROIDS];
    let mut nearest = Vec::with_capacity(sample.len());
    for rows in sample.chunks(256) {
        let mut best = vec![(f32::NEG_INFINITY, 0); rows.len()];
        let blocks = centroids.chunks(BLOCK_CENTROIDS * STRIDE).zip(scales.chunks(BLOCK_CENTROIDS));
        for (at, (block, scales)) in blocks.enumerate() {
            let products = &mut products[..scales.len()];
            for (row, best) in rows.iter().zip(&mut best) {
                kernel.rows(&row[..STRIDE], block, products);
                for (offset, (&product, scale)) in products.iter().zip(scales).enumerate() {
                    let score = product as f32 * scale;
                    if score > best.0 {
                        *best = (score, at * BLOCK_CENTROIDS + offset);
                    }
                }
            }
        }
        nearest.extend(best.into_iter().map(|(_, at)| at));
    }
    nearest
}

/// The one folder in `folder` that holds a partition.
fn generation(folder: &Path) -> Result<PathBuf, Box<dyn Error>> {
    let mut folders = fs::read_dir(folder)?.filter_map(Result::ok).map(|entry| entry.path());
    folders.find(|path| path.join("cells").is_file()).ok_or_else(|| "no cells in this folder".into())
}

/// Number of cells, probes, starts, scales, centroids (`cells.rs`).
fn centroids(path: &Path) -> Result<(Vec<i8>, Vec<f32>), Box<dyn Error>> {
    let bytes = fs::read(path)?;
    let count = u32::from_le_bytes(bytes[..4].try_into()?) as usize;
    let (numbers, centroids) = bytes.split_at(8 + 4 * (count + 1) + 4 * count);
    let scales = numbers[8 + 4 * (count + 1)..].as_chunks::<4>().0.iter().map(|&bytes| f32::from_le_bytes(bytes));
    Ok((centroids.iter().map(|&byte| byte as i8).collect(), scales.collect()))
}

/// CPU milliseconds of this thread.
fn timed<T>(work: impl FnOnce() -> T) -> (T, f64) {
    let now = || {
        let now = clock_gettime(ClockId::ThreadCPUTime);
        now.tv_sec as f64 * 1e3 + now.tv_nsec as f64 / 1e6
    };
    let begin = now();
    let result = work();
    (result, now() - begin)
}

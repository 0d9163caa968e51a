//! What a query and a batch cost with the real model; skipped by name without it (see
//! `tests/embed_models.rs` for where it is looked for).

use criterion::{Criterion, criterion_group, criterion_main};
use harness_index::embed::source::ModelFiles;
use harness_index::embed::{BertEmbedder, Embedder, Options, Purpose};
use std::path::{Path, PathBuf};

fn embed(criterion: &mut Criterion) {
    let named = std::env::var_os("HARNESS_TEST_MODEL").map(PathBuf::from);
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/models/all-MiniLM-L6-v2");
    let Some(path) = named.or_else(|| target.is_dir().then_some(target)) else {
        eprintln!("skipped: embed/query and embed/batch need all-MiniLM-L6-v2 in HARNESS_TEST_MODEL or target/models");
        return;
    };
    let files = ModelFiles::open(&[&path]);
    let embedder = match files.and_then(|files| BertEmbedder::open(&files, &Options::default())) {
        Ok(embedder) => embedder,
        Err(error) => {
            eprintln!("skipped: embed/query and embed/batch: {error}");
            return;
        }
    };
    let mut group = criterion.benchmark_group("embed");
    group.sample_size(20);
    group.bench_function("query", |bencher| {
        bencher.iter(|| embedder.embed(Purpose::Query, &["why did the deploy fail on friday?"]));
    });
    let text = "The deploy failed because the disk of the build machine was full. ".repeat(4);
    let texts: Vec<&str> = (0..32).map(|i| &text[..text.len() * (i + 1) / 32]).collect();
    group.bench_function("batch of 32", |bencher| {
        bencher.iter(|| embedder.embed(Purpose::Passage, &texts));
    });
    group.finish();
}

criterion_group!(benches, embed);
criterion_main!(benches);

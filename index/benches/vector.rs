//! The exact scan at two sizes, with and without a filter, and inserts.
//!
//! ```text
//! cargo bench -p harness-index --bench vector
//! ```

#[path = "../examples/vector_bench/data.rs"]
mod data;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use data::{DIMENSIONS, Random, Source};
use harness_index::vector::{Content, Key, Space, VectorIndex};
use std::hint::black_box;

fn space() -> Space {
    Space { embedder: "made-up".to_owned(), dimensions: DIMENSIONS }
}

fn insert(index: &mut VectorIndex, first: u64, vectors: &[f32]) {
    for (record, vector) in (first..).zip(vectors.chunks(DIMENSIONS)) {
        let mut content: Content = [0; 16];
        content[..8].copy_from_slice(&record.to_le_bytes());
        let key = Key { record, passage: 0 };
        index.insert(key, content, vector).expect("the vector fits");
    }
}

fn search(criterion: &mut Criterion) {
    for count in [10_000, 100_000] {
        let mut random = Random::new(3);
        let source = Source::clustered(&mut random, count / 100);
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut index = VectorIndex::create(folder.path(), &space()).expect("a new index");
        insert(&mut index, 0, &source.draw_many(&mut random, count));
        index.commit(b"").expect("a commit");
        let query = source.draw(&mut random);
        let mut group = criterion.benchmark_group(format!("{count} vectors"));
        group.bench_function("exact", |bencher| {
            bencher.iter(|| index.search(black_box(&query), 10, None).expect("an answer"));
        });
        for percent in [10, 1] {
            let allowed = index.allow((0..count as u64).step_by(100 / percent));
            group.bench_function(format!("{percent} % allowed"), |bencher| {
                bencher.iter(|| index.search(black_box(&query), 10, Some(&allowed)));
            });
        }
        group.finish();
    }
}

fn inserts(criterion: &mut Criterion) {
    let mut random = Random::new(4);
    let vectors = Source::low_rank(&mut random).draw_many(&mut random, 1000);
    let mut group = criterion.benchmark_group("insert");
    group.throughput(Throughput::Elements(1000));
    group.bench_function("1000 vectors and a commit", |bencher| {
        bencher.iter_batched(
            || {
                let folder = tempfile::tempdir().expect("a temporary folder");
                let index = VectorIndex::create(folder.path(), &space()).expect("a new index");
                (folder, index)
            },
            |(folder, mut index)| {
                insert(&mut index, 0, &vectors);
                index.commit(b"").expect("a commit");
                (folder, index)
            },
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20);
    targets = search, inserts
}
criterion_main!(benches);

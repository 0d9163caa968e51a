//! Speed of analysis and of scoring, on generated text: words drawn by Zipf's law from made-up vocabularies of
//! English and Chinese, so that common and rare terms are as common and as rare as in real text.

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use harness_index::text::{Analyzer, MemorySegment, Query, Scorer, Segment, TextClass, snippet};

/// A small generator, so that every run sees the same text.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    /// A rank under Zipf's law: small ones often.
    fn zipf(&mut self, limit: usize) -> usize {
        let uniform = (self.next() >> 11) as f64 / (1u64 << 53) as f64;
        ((limit as f64).powf(uniform) as usize).min(limit) - 1
    }
}

struct Language {
    words: Vec<String>,
    space: &'static str,
    stop: &'static str,
}

fn languages(random: &mut Random) -> [Language; 2] {
    let syllables = ["ta", "ren", "lo", "mi", "con", "ver", "da", "sul", "pe", "gra", "tion", "ing", "er", "ble", "st"];
    let english =
        (0..30_000).map(|_| (0..2 + random.below(3)).map(|_| syllables[random.below(15)]).collect()).collect();
    let chinese = (0..30_000)
        .map(|_| (0..1 + random.below(3)).filter_map(|_| char::from_u32(0x4E00 + random.zipf(5_000) as u32)).collect())
        .collect();
    [Language { words: english, space: " ", stop: ". " }, Language { words: chinese, space: "", stop: "。" }]
}

fn text(language: &Language, words: usize, random: &mut Random) -> String {
    let mut text = String::new();
    for word in 0..words {
        text.push_str(&language.words[random.zipf(language.words.len())]);
        text.push_str(if word % 12 == 11 { language.stop } else { language.space });
    }
    text
}

fn texts(count: usize, random: &mut Random) -> Vec<String> {
    let languages = languages(random);
    (0..count).map(|i| text(&languages[i % 2], 8 + random.below(40), random)).collect()
}

fn analysis(criterion: &mut Criterion) {
    let texts = texts(2_000, &mut Random(7));
    let mut analyzer = Analyzer::new();
    let mut group = criterion.benchmark_group("analysis");
    group.throughput(Throughput::Bytes(texts.iter().map(|text| text.len() as u64).sum()));
    group.bench_function("documents", |bencher| {
        bencher.iter(|| {
            let mut terms = 0;
            for text in &texts {
                analyzer.document(text, &mut |_| terms += 1);
            }
            terms
        });
    });
    group.finish();
}

fn scoring(criterion: &mut Criterion) {
    let mut random = Random(11);
    let texts = texts(100_000, &mut random);
    let mut segment = MemorySegment::new();
    let mut analyzer = Analyzer::new();
    for (number, text) in texts.iter().enumerate() {
        segment.add(&mut analyzer, text, TextClass::Short, number as u64);
    }
    let languages = languages(&mut Random(11));
    let mut group = criterion.benchmark_group("scoring 100,000 documents");
    for (name, language, words) in [("English question", 0, 14), ("Chinese question", 1, 10)] {
        let questions: Vec<String> = (0..50).map(|_| text(&languages[language], words, &mut random)).collect();
        let scorer = Scorer::default();
        let mut next = 0;
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                next = (next + 1) % questions.len();
                let query = Query::plain(&questions[next]);
                black_box(scorer.score(&query, &[&segment as &dyn Segment], None, 10).map(|hits| hits.len()).ok())
            });
        });
    }
    group.finish();
    let long = texts[..200].concat();
    let query = Query::plain(&texts[100]);
    criterion.bench_function("snippet of a long text", |bencher| bencher.iter(|| snippet(&long, &query, 200)));
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20).measurement_time(Duration::from_secs(3));
    targets = analysis, scoring
}
criterion_main!(benches);

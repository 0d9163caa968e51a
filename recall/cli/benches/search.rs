//! Search at 100,000 records: in process, as a whole cold process, and how much memory it takes.
//!
//! `cargo bench -p harness --bench search`

#![allow(missing_docs, reason = "criterion's macros")]
#![allow(clippy::unwrap_used, reason = "a benchmark that panics has failed")]

use std::hint::black_box;
use std::process::{Command, Stdio};
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use harness_examples::generate::Maker;
use harness_memory::store::PUT_RECORDS_MAX;
use harness_memory::{Message, Mode, Origin, Query, ReadSet, Record, Role, Scope, Store};
use harness_recall::Engine;

/// The size that the figures in the README speak of.
const RECORDS: usize = 100_000;

/// Resident memory that a process which only searches may take.
const RESIDENT_MAX_KIB: u64 = 200 << 10;

fn fill(engine: &Engine) {
    let mut maker = Maker::new(3);
    let mut position = 0;
    while (position as usize) < RECORDS {
        let batch = (0..PUT_RECORDS_MAX).map(|_| {
            let made = maker.message();
            let message = Message::new(made.role.parse().unwrap_or(Role::User), position, made.text);
            let mut record = Record::new(Scope::root(), "made-up", Origin::User, message);
            record.session = Some(format!("session-{}", position / 40));
            position += 1;
            engine.intake().admit_one(record).unwrap()
        });
        engine.store().put(batch.collect()).unwrap();
    }
    engine.catch_up(&mut |_, _| true).unwrap();
}

fn search(criterion: &mut Criterion) {
    let home = tempfile::tempdir().unwrap();
    let mut group = criterion.benchmark_group("100,000 records");
    group.sample_size(50).measurement_time(Duration::from_secs(10));
    fill(&Engine::open(home.path()).unwrap());

    let engine = Engine::open(home.path()).unwrap();
    let everything = ReadSet::everything();
    let mut maker = Maker::new(99);
    let questions: Vec<String> = std::iter::repeat_with(|| maker.question()).take(200).collect();
    let mut next = questions.iter().cycle();
    group.bench_function("search in process", |bencher| {
        bencher.iter(|| {
            let text = next.next().cloned().unwrap_or_default();
            black_box(engine.recall(&Query { mode: Mode::Text, ..Query::new(text) }, &everything).unwrap())
        });
    });
    for (name, question) in [("English", "why did the connection pool time out"), ("Chinese", "数据库连接池为什么超时")]
    {
        group.bench_function(format!("{name} search as a cold process"), |bencher| {
            bencher.iter(|| {
                let mut command = Command::new(env!("CARGO_BIN_EXE_harness"));
                command.arg("--home").arg(home.path()).args(["recall", "search", "--mode", "text", question]);
                assert!(command.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap().success());
            });
        });
    }
    group.finish();
    if let Some(peak) = peak_of_a_search(home.path()) {
        println!("peak resident memory of a search: {} MiB", peak >> 10);
        assert!(peak <= RESIDENT_MAX_KIB, "a search takes {peak} KiB");
    }
}

/// The peak resident memory, in KiB, of one process that searches; `None` where the system does not say.
fn peak_of_a_search(home: &std::path::Path) -> Option<u64> {
    // The kernel's own account of the largest child so far would include others; a shell reads its own.
    let script = "\"$0\" --home \"$1\" recall search --mode text \"connection pool\" >/dev/null 2>&1 & \
                  pid=$!; peak=0; while [ -r /proc/$pid/status ]; do \
                  now=$(awk '/VmHWM/ {print $2}' /proc/$pid/status 2>/dev/null); \
                  [ -n \"$now\" ] && peak=$now; done; echo $peak";
    let output = Command::new("sh").args(["-c", script, env!("CARGO_BIN_EXE_harness")]).arg(home).output().ok()?;
    String::from_utf8(output.stdout).ok()?.trim().parse().ok().filter(|peak| *peak > 0)
}

criterion_group!(benches, search);
criterion_main!(benches);

//! An agent that gets better: the learning curve with and without memory, in English and in Chinese, as a chart.
//!
//! `cargo run --release -p harness-examples --bin learning_curve [FILE.svg [WORLDS [RUNS]]]` writes the chart and
//! prints, for each side, how many of the later runs succeeded.

use std::error::Error;
use std::sync::Arc;

use harness_examples::chart::{Line, svg};
use harness_examples::world::{Dice, Language, families, run};
use harness_experience::Inject;
use harness_memory::{Memory, Scope};
use harness_recall::{Engine, LocalMemory};

/// From this run of a family on, an agent has had its chance to learn.
const LEARNED: usize = 20;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let file = arguments.next().unwrap_or_else(|| "learning-curve.svg".to_owned());
    let worlds: u64 = arguments.next().map_or(Ok(3), |text| text.parse())?;
    let runs: usize = arguments.next().map_or(Ok(40), |text| text.parse())?;
    let sides = [
        ("English, with memory", Language::English, true, "#1a7f37"),
        ("Chinese, with memory", Language::Chinese, true, "#0969da"),
        ("English, without", Language::English, false, "#bf8700"),
        ("Chinese, without", Language::Chinese, false, "#cf222e"),
    ];
    let mut curves = Vec::new();
    for (name, language, remembers, _) in sides {
        let mut successes = vec![0.0; runs];
        let mut families_all = 0.0;
        for seed in 1..=worlds {
            // A world is a fresh home: what is learned in one says nothing in another.
            let home = tempfile::tempdir()?;
            let engine = Arc::new(Engine::open(home.path())?);
            let scope = Scope::parse("ana/world")?;
            let memory: Arc<dyn Memory> =
                Arc::new(LocalMemory::new(engine.clone(), scope.clone().into(), scope.clone()));
            let mut dice = Dice::new(seed * 7 + 1);
            let families = families(language, seed);
            families_all += families.len() as f64;
            for success in &mut successes {
                for family in &families {
                    let budget_tokens = if remembers { Inject::default().budget_tokens } else { 0 };
                    // The curve asks what memory is worth, not how fast this machine is.
                    let deadline = std::time::Duration::from_secs(10);
                    let inject = Inject { budget_tokens, deadline, ..Inject::default() };
                    *success += f64::from(u8::from(run(family, &memory, &scope, inject, &mut dice).await?));
                }
                engine.catch_up(&mut |_, _| true)?;
            }
        }
        successes.iter_mut().for_each(|success| *success /= families_all);
        let later = &successes[LEARNED.min(runs - 1)..];
        println!("{name}: {:.3} of the runs after the first {LEARNED}", later.iter().sum::<f64>() / later.len() as f64);
        curves.push(successes);
    }
    let lines: Vec<Line<'_>> =
        sides.iter().zip(&curves).map(|((name, _, _, colour), values)| Line { name, colour, values }).collect();
    std::fs::write(&file, svg("Share of runs that succeed, hidden rules, one try a run", &lines))?;
    println!("{file}");
    Ok(())
}

//! An embedder of one's own: a handful of ideas that words of several languages stand for.
//! `cargo run -p harness-examples --bin custom_embedder`

use std::error::Error;
use std::sync::Arc;

use harness_index::embed::{Embedder, Languages, Purpose, Result as Embedded, contract};
use harness_memory::{Mode, Note, Origin, Query, ReadSet, Record, Scope, Store};
use harness_recall::Engine;

/// One idea each, with words that stand for it.
const IDEAS: &[&[&str]] = &[
    &["outage", "down", "crash", "宕机", "崩溃", "故障"],
    &["database", "postgres", "table", "数据库", "表"],
    &["deploy", "release", "rollout", "部署", "发布", "上线"],
    &["money", "invoice", "payment", "付款", "发票", "账单"],
];

/// As many dimensions as ideas, and one for texts that are about none of them.
struct Ideas {
    languages: Languages,
}

impl Embedder for Ideas {
    fn id(&self) -> &str {
        "example-ideas 1"
    }

    fn dimensions(&self) -> usize {
        IDEAS.len() + 1
    }

    fn languages(&self) -> &Languages {
        &self.languages
    }

    fn tokens_max(&self) -> usize {
        usize::MAX
    }

    fn embed(&self, _: Purpose, texts: &[&str]) -> Embedded<Vec<Vec<f32>>> {
        let vector = |text: &&str| -> Vec<f32> {
            let text = text.to_lowercase();
            let mut vector: Vec<f32> =
                IDEAS.iter().map(|words| words.iter().filter(|word| text.contains(**word)).count() as f32).collect();
            let about_none = vector.iter().all(|value| *value == 0.0);
            vector.push(f32::from(u8::from(about_none)));
            let length = vector.iter().map(|value| value * value).sum::<f32>().sqrt();
            vector.iter().map(|value| value / length).collect()
        };
        Ok(texts.iter().map(vector).collect())
    }

    fn unknown_share(&self, _: &str) -> f32 {
        0.0
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    // Every embedder is held to the same contract.
    let ideas = Ideas { languages: Languages::of(&["en", "zh"]) };
    contract::check(&ideas);

    let home = tempfile::tempdir()?;
    let cache = tempfile::tempdir()?;
    let engine = Engine::open(home.path())?.with_embedder(Arc::new(ideas), cache.path());
    let notes = ["the payments database crashed on Friday", "周三上线了新的搜索页", "lunch is at noon"];
    for text in notes {
        let note = Record::new(Scope::root(), "example", Origin::User, Note::new(text));
        engine.store().put(vec![engine.intake().admit_one(note)?])?;
    }
    engine.catch_up(&mut |_, _| true)?;

    // No word of the question stands in the note: what they have in common is an idea.
    for question in ["数据库故障", "last rollout"] {
        let query = Query { mode: Mode::Vector, limit: 1, ..Query::new(question) };
        let answer = engine.recall(&query, &ReadSet::everything())?;
        println!("{question} → {}", answer.hits.first().map_or("nothing", |hit| &hit.text));
    }
    Ok(())
}

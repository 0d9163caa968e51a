//! Which embedder a measurement is made with.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use harness_index::embed::source::ModelFiles;
use harness_index::embed::{BertEmbedder, Embedder, HashingEmbedder, Options, RandomEmbedder};
use harness_recall::models::{EMBEDDINGS_FOLDER, current_model, installed_models, load_model};

use super::remembered::Remembered;
use crate::app::App;
use crate::report::Advice;

/// As many dimensions as small sentence models have.
const DIMENSIONS: usize = 384;

/// The random embedder's seed: one of many, and always the same.
const SEED: u64 = 1;

/// An embedder and the folder that keeps its vectors; without one they go with the temporary home.
pub(super) struct Chosen {
    pub(super) embedder: Arc<dyn Embedder>,
    pub(super) cache: Option<PathBuf>,
}

/// The embedder of this name, or the model in use; `None` where there is none.
pub(super) fn of(name: Option<&str>, cache: Option<PathBuf>, app: &App) -> anyhow::Result<Option<Chosen>> {
    let home = &app.home;
    let embedder: Arc<dyn Embedder> = match name {
        Some("random") => Arc::new(RandomEmbedder::new(DIMENSIONS, SEED)),
        Some("hashing") => Arc::new(HashingEmbedder::new(DIMENSIONS)),
        Some(folder) if Path::new(folder).is_dir() => Arc::new(open(Path::new(folder))?),
        named => {
            let Some(model) = named.map(str::to_owned).or_else(|| current_model(home)) else { return Ok(None) };
            if !installed_models(home).contains(&model) {
                let what = format!("there is no model {model:?} in {}", home.display());
                let hint = "`harness setup` gets one; a folder with a model's files, `random` and `hashing` will do";
                return Err(Advice::error(what, hint));
            }
            // What a measurement embeds is worth as much as what a home does.
            let cache = cache.unwrap_or_else(|| home.join(EMBEDDINGS_FOLDER));
            return Ok(Some(Chosen { embedder: load_model(home, &model)?, cache: Some(cache) }));
        }
    };
    let embedder = match &cache {
        Some(folder) => Arc::new(Remembered::new(embedder, folder)),
        None => embedder,
    };
    Ok(Some(Chosen { embedder, cache }))
}

fn open(folder: &Path) -> anyhow::Result<BertEmbedder> {
    let cannot = || format!("cannot use the model in {}", folder.display());
    let files = ModelFiles::open(&[folder]).with_context(cannot)?;
    let threads = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    BertEmbedder::open(&files, &Options { threads, ..Options::default() }).with_context(cannot)
}

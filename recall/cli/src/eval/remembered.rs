//! Vectors of questions, kept between measurements: weights are chosen by asking the same questions many times.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use harness_index::embed::{Embedder, Languages, Purpose, Result};
use sha2::{Digest, Sha256};

/// An embedder that remembers the questions it has seen, in a file of the cache folder. Documents have a cache of
/// their own and pass through.
pub(super) struct Remembered {
    inner: Arc<dyn Embedder>,
    file: PathBuf,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    vectors: HashMap<String, Vec<f32>>,
    grown: bool,
}

impl Remembered {
    /// The embedder, with what this folder has of its questions. A file that cannot be read is as good as none.
    pub(super) fn new(inner: Arc<dyn Embedder>, folder: &Path) -> Remembered {
        let name: String = Sha256::digest(inner.id()).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        let file = folder.join(format!("questions-{name}.json"));
        let read = fs::read(&file).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let known = Mutex::new(Known { vectors: read.unwrap_or_default(), grown: false });
        Remembered { inner, file, known }
    }
}

impl Drop for Remembered {
    fn drop(&mut self) {
        let known = self.known.get_mut().unwrap_or_else(PoisonError::into_inner);
        if !known.grown {
            return;
        }
        // What cannot be kept is computed again the next time.
        let written = serde_json::to_vec(&known.vectors).map_err(std::io::Error::other).and_then(|bytes| {
            let part = self.file.with_extension("part");
            fs::write(&part, bytes)?;
            fs::rename(part, &self.file)
        });
        if let Err(error) = written {
            tracing::info!(%error, "the vectors of the questions are not kept");
        }
    }
}

impl Embedder for Remembered {
    fn id(&self) -> &str {
        self.inner.id()
    }

    fn dimensions(&self) -> usize {
        self.inner.dimensions()
    }

    fn languages(&self) -> &Languages {
        self.inner.languages()
    }

    fn tokens_max(&self) -> usize {
        self.inner.tokens_max()
    }

    fn embed(&self, purpose: Purpose, texts: &[&str]) -> Result<Vec<Vec<f32>>> {
        let [text] = texts else { return self.inner.embed(purpose, texts) };
        if purpose != Purpose::Query {
            return self.inner.embed(purpose, texts);
        }
        let known = || self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(vector) = known().vectors.get(*text) {
            return Ok(vec![vector.clone()]);
        }
        let vectors = self.inner.embed(purpose, texts)?;
        let mut known = known();
        known.grown = true;
        known.vectors.extend(vectors.iter().map(|vector| ((*text).to_owned(), vector.clone())));
        Ok(vectors)
    }

    fn unknown_share(&self, text: &str) -> f32 {
        self.inner.unknown_share(text)
    }
}

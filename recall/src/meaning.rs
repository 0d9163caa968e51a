//! The arm of meaning: the model is loaded by the first question that needs it, and abstains from those that it does
//! not understand.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use harness_index::embed::gate::{UNDERSTOOD_MIN, understood};
use harness_index::embed::{Embedder, Purpose};
use harness_index::meaning::{Meant, Pace, VECTOR, peek};
use harness_index::text::Query as TextQuery;
use harness_index::{Index, MeaningIndex, Search, State, Status};
use harness_memory::memory::Degraded;
use harness_memory::{Answer, Row, Store};
use rustc_hash::FxHashMap;

use crate::arms::Asked;
use crate::error::{Error, Result};
use crate::models::{EMBEDDINGS_FOLDER, current_model, load_model};

/// Which embedder an engine has.
#[derive(Clone)]
enum Choice {
    /// The model in use in the home, if there is one.
    Home,
    /// This one, with its embeddings in this folder.
    Given(Arc<dyn Embedder>, PathBuf),
}

/// The arm of meaning of one home.
pub(crate) struct Meaning {
    home: PathBuf,
    root: PathBuf,
    choice: Choice,
    /// For searching only. Why there is none, where a model is there and cannot be used.
    index: OnceLock<Result<Option<MeaningIndex>, String>>,
    /// The last question, which is often asked again with another limit.
    last: Mutex<Option<(String, Vec<f32>)>>,
}

/// What the arm said to a question.
pub(crate) struct Said {
    /// What is near, and how near anything is.
    pub(crate) meant: Meant,
    /// The share of the question that the embedder understands, 0 to 1.
    pub(crate) understood: f32,
    /// Components of a vector.
    pub(crate) dimensions: usize,
    vector: Vec<f32>,
}

impl Meaning {
    /// The arm of the home `home`, with its index in `root`. Loads nothing.
    pub(crate) fn new(home: &Path, root: &Path) -> Meaning {
        Meaning::with(home, root, Choice::Home)
    }

    /// The same with this embedder instead of the home's, and its embeddings in `cache`.
    pub(crate) fn given(home: &Path, root: &Path, embedder: Arc<dyn Embedder>, cache: PathBuf) -> Meaning {
        Meaning::with(home, root, Choice::Given(embedder, cache))
    }

    fn with(home: &Path, root: &Path, choice: Choice) -> Meaning {
        let (index, last) = (OnceLock::new(), Mutex::default());
        Meaning { home: home.to_owned(), root: root.to_owned(), choice, index, last }
    }

    /// Whether there is an embedder, as far as can be told without loading it.
    pub(crate) fn is_on(&self) -> bool {
        matches!(self.choice, Choice::Given(..)) || current_model(&self.home).is_some()
    }

    /// Another index over the same embedder, for whoever writes. Loads the model; `None` when there is none.
    pub(crate) fn open(&self) -> Result<Option<MeaningIndex>, String> {
        let (embedder, cache) = match &self.choice {
            Choice::Given(embedder, cache) => (Arc::clone(embedder), cache.clone()),
            Choice::Home => {
                // A model that searches here already is not loaded twice.
                let loaded = match self.index.get() {
                    Some(Ok(Some(index))) => Some(Arc::clone(index.embedder())),
                    _ => None,
                };
                let Some(name) = current_model(&self.home) else { return Ok(None) };
                let embedder = match loaded {
                    Some(embedder) => embedder,
                    None => load_model(&self.home, &name)
                        .map_err(|error| format!("the model {name} cannot be used: {error}"))?,
                };
                (embedder, self.home.join(EMBEDDINGS_FOLDER))
            }
        };
        Ok(Some(MeaningIndex::new(&self.root, &cache, embedder)))
    }

    /// The index that searches.
    pub(crate) fn index(&self) -> Result<Option<&MeaningIndex>, &str> {
        match self.index.get_or_init(|| self.open()) {
            Ok(index) => Ok(index.as_ref()),
            Err(reason) => Err(reason),
        }
    }

    /// Says why this arm cannot answer, if it cannot.
    pub(crate) fn ready(&self) -> Result<()> {
        match self.index() {
            Ok(Some(_)) => Ok(()),
            Ok(None) => Err(Error::NoModel),
            Err(reason) => Err(Error::Model { reason: reason.to_owned() }),
        }
    }

    /// What is near in meaning to a question; `None`, said in the answer, when this arm takes no part. When `always`,
    /// it takes part even where it understands little.
    pub(crate) fn ask(&self, store: &dyn Store, asked: &Asked, always: bool, answer: &mut Answer) -> Option<Said> {
        let Asked { text: question, filter, limit } = *asked;
        let mut degrade = |code: &str, hint: String| {
            answer.degraded.push(Degraded { arm: VECTOR.to_owned(), code: code.to_owned(), hint });
        };
        let index = match self.index() {
            Ok(Some(index)) => index,
            Ok(None) => {
                let hint = "searched by text only: `harness setup` gets a model, and recall finds by meaning too";
                degrade("no-model", hint.to_owned());
                return None;
            }
            Err(reason) => {
                degrade("model-failed", format!("{reason}; searched by text only: `harness setup` gets it anew"));
                return None;
            }
        };
        let embedder = &**index.embedder();
        let understood = understood(embedder, question);
        if understood < UNDERSTOOD_MIN && !always {
            let languages = embedder.languages().codes();
            let known = if languages.len() > 5 { "its languages".to_owned() } else { languages.join(", ") };
            degrade(
                "not-understood",
                format!("the model knows {known}, and too little of this question; text answered"),
            );
            return None;
        }
        let vector = match self.embed(embedder, question) {
            Ok(vector) => vector,
            Err(error) => {
                degrade(
                    "failed",
                    format!("the question was not embedded ({error}): `harness setup` gets the model anew"),
                );
                return None;
            }
        };
        let search = Search { text: question, plain: false, vector: Some(&vector), filter, limit };
        match index.nearest(store, &search, &vector) {
            Ok(meant) => {
                let found = &meant.found;
                for cut in &found.cuts {
                    degrade(cut.code, cut.hint.clone());
                }
                if found.unsearched > 0 {
                    let hint = format!(
                        "{} records have no embedding yet and were searched by text only: `harness index status`",
                        found.unsearched
                    );
                    degrade("tail-unsearched", hint);
                }
                answer.lag.insert(VECTOR.to_owned(), found.lag);
                Some(Said { meant, understood, dimensions: embedder.dimensions(), vector })
            }
            Err(error) => {
                degrade("failed", format!("the vector index did not answer ({error}): run `harness index rebuild`"));
                None
            }
        }
    }

    /// How near records are that only others proposed.
    pub(crate) fn scores(&self, said: &Said, rows: &[Row]) -> FxHashMap<Row, f32> {
        let Ok(Some(index)) = self.index() else { return FxHashMap::default() };
        index.scores(rows, &said.vector).unwrap_or_else(|error| {
            tracing::warn!(%error, "records are not compared in meaning");
            FxHashMap::default()
        })
    }

    fn embed(&self, embedder: &dyn Embedder, question: &str) -> Result<Vec<f32>, harness_index::embed::Error> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((text, vector)) = &*last
            && text == question
        {
            return Ok(vector.clone());
        }
        let mut vectors = embedder.embed(Purpose::Query, &[TextQuery::parse(question).text()])?;
        let vector = vectors.pop().unwrap_or_default();
        *last = Some((question.to_owned(), vector.clone()));
        Ok(vector)
    }

    /// What the index says of itself and how many changes a second it takes over; `None` without a model, which is not
    /// loaded for this.
    pub(crate) fn status(&self) -> Option<Result<(Status, Option<f64>), String>> {
        let pace = |pace: Option<Pace>| pace.map(|pace| pace.changes_per_second);
        let loaded = match &self.choice {
            Choice::Given(..) => Some(self.index()),
            Choice::Home => self.index.get().map(|index| index.as_ref().map(Option::as_ref).map_err(String::as_str)),
        };
        match loaded {
            Some(Ok(Some(index))) => Some(match index.status() {
                Ok(status) => Ok((status, pace(index.pace()))),
                Err(error) => Err(error.to_string()),
            }),
            Some(Err(reason)) => Some(Err(reason.to_owned())),
            Some(Ok(None)) | None => {
                let name = current_model(&self.home)?;
                let missing = Status { applied: None, documents: 0, bytes: 0, state: State::Missing };
                let peeked = peek(&self.root, &name);
                Some(Ok(peeked.map_or((missing, None), |(status, measured)| (status, pace(measured)))))
            }
        }
    }
}

#[cfg(test)]
impl Said {
    /// What the arm said, without an index.
    pub(crate) fn for_tests(meant: Meant, understood: f32, dimensions: usize) -> Said {
        Said { meant, understood, dimensions, vector: Vec::new() }
    }
}

//! The arm of meaning: who makes a question's vector, which index answers, and why it does not.
//!
//! A process that holds no model asks the one that does for the question's vector (see [`crate::socket`]) and searches
//! the index itself. The index of the model in use answers from the moment it has caught up with the one that answered
//! before it; until then that one does, with its own model: vectors of two spaces never meet.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use harness_index::embed::gate::{UNDERSTOOD_MIN, understood_part};
use harness_index::embed::source::MANIFEST;
use harness_index::embed::{Embedder, Purpose};
use harness_index::meaning::{Likeness, Meant, Pace, VECTOR, indexes, peek, reached};
use harness_index::text::Query as TextQuery;
use harness_index::{Index, MeaningIndex, Search, State, Status};
use harness_memory::memory::Degraded;
use harness_memory::{Answer, Row, Store};
use rustc_hash::FxHashMap;

use crate::arms::Asked;
use crate::error::{Error, Result};
use crate::marks;
use crate::models::{EMBEDDINGS_FOLDER, chosen_library, current_model, installed_models, load_model, model_folder};
use crate::socket;

/// How long a question's vector is waited for when another process makes it: a model takes a few milliseconds, on a
/// machine that is busy with other things some dozens. Text has answered by then.
pub(crate) const PATIENCE: Duration = Duration::from_millis(250);

/// A question is asked again with another limit, or by the next line of a program: its vector is kept that long.
const SAME_QUESTION: Duration = Duration::from_secs(5);

/// A model that could not be loaded is not tried again before that.
const TRY_AGAIN: Duration = Duration::from_secs(5);

/// Models that are held at once: the one in use, and while it embeds anew the one before it.
const MODELS_HELD: usize = 2;

/// Which embedder an engine has.
enum Source {
    /// The model in use in the home, if there is one.
    Home,
    /// This one, with its embeddings in this folder.
    Given(Arc<dyn Embedder>, PathBuf),
}

/// The arm of meaning of one home.
pub(crate) struct Meaning {
    home: PathBuf,
    root: PathBuf,
    source: Source,
    /// Whether a question may load the model here.
    loads: AtomicBool,
    held: Mutex<Vec<Held>>,
    /// For searching only.
    index: Mutex<Option<Arc<MeaningIndex>>>,
    last: Mutex<Option<(Instant, String, Question)>>,
    /// The question that is being embedded, and that it is no more.
    flying: Mutex<Option<String>>,
    landed: Condvar,
    /// Whether a question found nobody who holds the model.
    missed: AtomicBool,
    /// The marks of embedders' exams, by their ids.
    marks: Mutex<FxHashMap<String, f32>>,
    pub(crate) activity: Arc<Activity>,
}

/// A model that was loaded, or why it was not.
struct Held {
    name: String,
    /// When its files were put there, and the library that computes it: with others it is another model.
    installed: (Option<SystemTime>, Option<PathBuf>),
    embedder: Result<Arc<dyn Embedder>, String>,
    tried: Instant,
}

/// Questions that come while a backlog is embedded, which then stands aside.
#[derive(Default)]
pub(crate) struct Activity {
    asking: AtomicU32,
    asked_ms: AtomicU64,
}

impl Activity {
    /// Notes a question for as long as what this answers lives.
    pub(crate) fn asking(&self) -> Asking<'_> {
        self.asking.fetch_add(1, Ordering::Relaxed);
        Asking(self)
    }

    /// Whether a question is being answered, or was within this time.
    pub(crate) fn within(&self, time: Duration) -> bool {
        let since = now_ms().saturating_sub(self.asked_ms.load(Ordering::Relaxed));
        self.asking.load(Ordering::Relaxed) > 0 || u128::from(since) < time.as_millis()
    }
}

pub(crate) struct Asking<'a>(&'a Activity);

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        self.0.asked_ms.store(now_ms(), Ordering::Relaxed);
        self.0.asking.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A question on its way to its vector.
struct Flight<'a>(&'a Meaning);

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        *self.0.flying.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.0.landed.notify_all();
    }
}

/// A question as its embedder sees it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Question {
    /// The embedder's id.
    pub(crate) embedder: String,
    /// The share of it that the embedder understands, 0 to 1.
    pub(crate) understood: f32,
    /// How far the embedder's space was shown to have a meaning, 0 to 1.
    pub(crate) proven: f32,
    /// The languages of the embedder, for people.
    pub(crate) languages: String,
    pub(crate) vector: Vec<f32>,
}

/// Why a question has no vector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Absent {
    /// There is no model.
    NoModel,
    /// There is one, and no process that holds it.
    NoHolder,
    /// The process that holds it did not answer in time.
    Late,
    /// There is one, and it cannot be used, for this reason.
    Broken(String),
}

/// What the arm said to a question.
pub(crate) struct Said {
    /// What is near, and how near anything is.
    pub(crate) meant: Meant,
    /// The share of the question that the embedder understands, 0 to 1.
    pub(crate) understood: f32,
    /// How far the embedder's space was shown to have a meaning, 0 to 1.
    pub(crate) proven: f32,
    /// Components of a vector.
    pub(crate) dimensions: usize,
    vector: Vec<f32>,
    index: Option<Arc<MeaningIndex>>,
}

impl Said {
    /// How near records are that only others proposed.
    pub(crate) fn scores(&self, rows: &[Row]) -> FxHashMap<Row, f32> {
        let scored = self.index.as_ref().map(|index| index.scores(rows, &self.vector));
        scored.unwrap_or_else(|| Ok(FxHashMap::default())).unwrap_or_else(|error| {
            tracing::warn!(%error, "records are not compared in meaning");
            FxHashMap::default()
        })
    }

    /// How near records are to the question together with examples of what it means, each of which counts so much.
    pub(crate) fn like(&self, examples: &[(Row, f32)], rows: &[Row]) -> Option<Likeness> {
        self.index.as_ref()?.like(&self.vector, examples, rows).unwrap_or_else(|error| {
            tracing::warn!(%error, "records are not compared with the best of them in meaning");
            None
        })
    }
}

impl Meaning {
    /// The arm of the home `home`, with its index in `root`. Loads nothing.
    pub(crate) fn new(home: &Path, root: &Path) -> Meaning {
        Meaning::with(home, root, Source::Home)
    }

    /// The same with this embedder instead of the home's, and its embeddings in `cache`.
    pub(crate) fn given(home: &Path, root: &Path, embedder: Arc<dyn Embedder>, cache: PathBuf) -> Meaning {
        Meaning::with(home, root, Source::Given(embedder, cache))
    }

    fn with(home: &Path, root: &Path, source: Source) -> Meaning {
        Meaning {
            home: home.to_owned(),
            root: root.to_owned(),
            source,
            loads: AtomicBool::new(false),
            held: Mutex::default(),
            index: Mutex::default(),
            last: Mutex::default(),
            flying: Mutex::default(),
            landed: Condvar::new(),
            missed: AtomicBool::new(false),
            marks: Mutex::default(),
            activity: Arc::default(),
        }
    }

    /// Lets questions load the model here, where no other process holds it.
    pub(crate) fn allow_own_model(&self) {
        self.loads.store(true, Ordering::Relaxed);
    }

    /// Whether there is an embedder, as far as can be told without loading it.
    pub(crate) fn is_on(&self) -> bool {
        matches!(self.source, Source::Given(..)) || current_model(&self.home).is_some()
    }

    /// Whether a question found no process that holds the model.
    pub(crate) fn missed_a_holder(&self) -> bool {
        self.missed.load(Ordering::Relaxed)
    }

    /// The embedder in use, for whoever writes; loads the model. `None` when there is none.
    pub(crate) fn in_use(&self) -> Result<Option<Arc<dyn Embedder>>, String> {
        match &self.source {
            Source::Given(embedder, _) => Ok(Some(Arc::clone(embedder))),
            Source::Home => current_model(&self.home).map(|name| self.hold(&name)).transpose(),
        }
    }

    /// The index of this embedder, for whoever writes.
    pub(crate) fn writing(&self, embedder: Arc<dyn Embedder>) -> MeaningIndex {
        MeaningIndex::new(&self.root, &self.embeddings(), embedder)
    }

    /// The folder with the embeddings.
    fn embeddings(&self) -> PathBuf {
        match &self.source {
            Source::Given(_, cache) => cache.clone(),
            Source::Home => self.home.join(EMBEDDINGS_FOLDER),
        }
    }

    /// How far this embedder's space has a meaning: from its exam, which it takes once. An exam that cannot be taken
    /// shows nothing.
    fn proven(&self, embedder: &dyn Embedder) -> f32 {
        let mut marks = self.marks.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(mark) = marks.get(embedder.id()) {
            return *mark;
        }
        let mark = marks::of(embedder, &self.embeddings()).unwrap_or_else(|error| {
            tracing::warn!(%error, "the embedder was not examined");
            0.0
        });
        marks.insert(embedder.id().to_owned(), mark);
        mark
    }

    /// Another index over the embedder in use, for whoever writes. Loads the model; `None` when there is none.
    pub(crate) fn open(&self) -> Result<Option<MeaningIndex>, String> {
        Ok(self.in_use()?.map(|embedder| self.writing(embedder)))
    }

    /// The index of the embedder in use, for looking at it. Loads the model.
    pub(crate) fn looking(&self) -> Result<Option<Arc<MeaningIndex>>, String> {
        Ok(self.in_use()?.map(|embedder| self.searching(embedder.id(), embedder.dimensions(), Some(&embedder))))
    }

    /// The name of the model whose vectors answer: the one in use, unless another's reach further and it is there still.
    fn answering(&self) -> Option<String> {
        let current = current_model(&self.home)?;
        let standing = indexes(&self.root);
        let is_of = |name: &str, id: &str| id.strip_prefix(name).is_some_and(|rest| rest.starts_with(' '));
        if standing.iter().all(|(about, _)| is_of(&current, &about.embedder)) {
            return Some(current);
        }
        let seq = |name: &str| reached(&self.root, name).map_or(0, |(position, _)| position.seq);
        let others = installed_models(&self.home).into_iter().filter(|name| *name != current);
        let furthest = others.map(|name| (seq(&name), name)).max();
        match furthest {
            Some((reached, name)) if reached > seq(&current) => Some(name),
            _ => Some(current),
        }
    }

    /// The loaded model of this name; loads it.
    fn hold(&self, name: &str) -> Result<Arc<dyn Embedder>, String> {
        // Held while it loads: who asks meanwhile would only load it again.
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let manifest = model_folder(&self.home, name).join(MANIFEST);
        let written = std::fs::metadata(manifest).and_then(|metadata| metadata.modified()).ok();
        let installed = (written, chosen_library(&self.home));
        let fresh = |held: &Held| held.embedder.is_ok() || held.tried.elapsed() < TRY_AGAIN;
        if let Some(place) =
            held.iter().position(|held| held.name == name && held.installed == installed && fresh(held))
        {
            // The one that was asked for last stays longest.
            let found = held.remove(place);
            let embedder = found.embedder.clone();
            held.push(found);
            return embedder;
        }
        held.retain(|held| held.name != name);
        let embedder = load_model(&self.home, name).map_err(|error| {
            let causes = std::iter::successors(Some(&error as &dyn std::error::Error), |error| error.source());
            let causes: Vec<String> = causes.map(ToString::to_string).collect();
            format!("the model {name} cannot be used ({})", causes.join(": "))
        });
        held.push(Held { name: name.to_owned(), installed, embedder: embedder.clone(), tried: Instant::now() });
        if held.len() > MODELS_HELD {
            held.remove(0);
        }
        embedder
    }

    /// Gives back every model but the one in use.
    pub(crate) fn drop_others(&self) {
        let current = current_model(&self.home);
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.retain(|held| Some(&held.name) == current.as_ref());
    }

    fn has_loaded(&self, name: &str) -> bool {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.iter().any(|held| held.name == name && held.embedder.is_ok())
    }

    /// A question's vector, made in this process, which loads the model where it has not.
    pub(crate) fn embed_here(&self, question: &str) -> Result<Question, Absent> {
        let embedder = match &self.source {
            Source::Given(embedder, _) => Arc::clone(embedder),
            Source::Home => {
                let name = self.answering().ok_or(Absent::NoModel)?;
                self.hold(&name).map_err(Absent::Broken)?
            }
        };
        let _asking = self.activity.asking();
        let parsed = TextQuery::parse(question);
        let (understood, part) = understood_part(&*embedder, parsed.text());
        let vectors = embedder.embed(Purpose::Query, &[part.as_deref().unwrap_or(parsed.text())]);
        let vector = vectors.map_err(|error| Absent::Broken(format!("the question was not embedded ({error})")))?.pop();
        let codes = embedder.languages().codes();
        Ok(Question {
            embedder: embedder.id().to_owned(),
            understood,
            proven: self.proven(&*embedder),
            languages: if codes.len() > 5 { "its languages".to_owned() } else { codes.join(", ") },
            vector: vector.unwrap_or_default(),
        })
    }

    /// A question's vector, from this process or from the one that holds the model. Who asks the same at the same time
    /// waits for it.
    fn embed(&self, question: &str) -> Result<Question, Absent> {
        let _flight = self.flight(question);
        {
            let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some((at, text, embedded)) = &*last
                && at.elapsed() < SAME_QUESTION
                && text == question
            {
                return Ok(embedded.clone());
            }
        }
        let embedded = match &self.source {
            Source::Given(..) => self.embed_here(question),
            Source::Home => {
                let name = self.answering().ok_or(Absent::NoModel)?;
                if self.has_loaded(&name) {
                    self.embed_here(question)
                } else {
                    let asked = socket::ask(&self.home, question, PATIENCE);
                    if asked == Err(Absent::NoHolder) {
                        self.missed.store(true, Ordering::Relaxed);
                    }
                    match asked {
                        Err(Absent::NoHolder | Absent::Late) if self.loads.load(Ordering::Relaxed) => {
                            self.embed_here(question)
                        }
                        asked => asked,
                    }
                }
            }
        }?;
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        *last = Some((Instant::now(), question.to_owned(), embedded.clone()));
        Ok(embedded)
    }

    /// Waits while this question is being embedded elsewhere in this process. Of different questions only one is
    /// waited for: it is the two halves of a context that ask the same.
    fn flight(&self, question: &str) -> Option<Flight<'_>> {
        let lock = || self.flying.lock().unwrap_or_else(PoisonError::into_inner);
        let mut flying = lock();
        while flying.as_deref() == Some(question) {
            flying = self.landed.wait(flying).unwrap_or_else(PoisonError::into_inner);
        }
        flying.is_none().then(|| {
            *flying = Some(question.to_owned());
            Flight(self)
        })
    }

    /// The index of a space, for searching.
    fn searching(&self, id: &str, dimensions: usize, embedder: Option<&Arc<dyn Embedder>>) -> Arc<MeaningIndex> {
        let mut kept = self.index.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(index) = &*kept
            && index.embedder_id() == id
            && index.has_embedder() == embedder.is_some()
        {
            return Arc::clone(index);
        }
        let index = Arc::new(match embedder {
            Some(embedder) => self.writing(Arc::clone(embedder)),
            None => MeaningIndex::without_embedder(&self.root, id, dimensions),
        });
        *kept = Some(Arc::clone(&index));
        index
    }

    /// The embedder of this id, where this process has it.
    fn loaded(&self, id: &str) -> Option<Arc<dyn Embedder>> {
        if let Source::Given(embedder, _) = &self.source {
            return Some(Arc::clone(embedder));
        }
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.iter().filter_map(|held| held.embedder.as_ref().ok()).find(|embedder| embedder.id() == id).cloned()
    }

    /// What is near in meaning to a question; `None`, said in the answer, when this arm takes no part. When `alone`, it
    /// takes part even where it understands little, and that it cannot is an error.
    pub(crate) fn ask(
        &self,
        store: &dyn Store,
        asked: &Asked,
        alone: bool,
        answer: &mut Answer,
    ) -> Result<Option<Said>> {
        let Asked { text, filter, limit, plain, .. } = *asked;
        let mut degrade = |code: &str, hint: String| {
            answer.degraded.push(Degraded { arm: VECTOR.to_owned(), code: code.to_owned(), hint });
        };
        let question = match self.embed(text) {
            Ok(question) => question,
            Err(absent) => {
                if alone {
                    return Err(absent.into());
                }
                let (code, hint) = absent.said();
                degrade(code, hint);
                return Ok(None);
            }
        };
        if question.understood < UNDERSTOOD_MIN && !alone {
            let (knows, share) = (&question.languages, question.understood * 100.0);
            let hint = format!("the model knows {knows}, and {share:.0} % of this question; text answered");
            degrade("not-understood", hint);
            return Ok(None);
        }
        let Question { embedder: id, understood, proven, vector, .. } = question;
        let index = self.searching(&id, vector.len(), self.loaded(&id).as_ref());
        let search = Search { text, plain, read: None, vector: Some(&vector), filter, limit };
        match index.nearest(store, &search, &vector) {
            Ok(meant) => {
                let found = &meant.found;
                for cut in &found.cuts {
                    degrade(cut.code, cut.hint.clone());
                }
                if found.unsearched > 0 {
                    let hint = format!(
                        "{} changes have no embedding yet and were searched by text only: `harness index status`",
                        found.unsearched
                    );
                    degrade("tail-unsearched", hint);
                }
                answer.lag.insert(VECTOR.to_owned(), found.lag);
                let dimensions = vector.len();
                Ok(Some(Said { meant, understood, proven, dimensions, vector, index: Some(index) }))
            }
            Err(error) => {
                degrade("failed", format!("the vector index did not answer ({error}): run `harness index rebuild`"));
                Ok(None)
            }
        }
    }

    /// How far the vectors have followed, without opening them: position and changes beyond it. `None` without a model.
    pub(crate) fn reached(&self) -> Option<Option<(harness_memory::Position, u64)>> {
        match &self.source {
            Source::Given(embedder, _) => {
                let status = self.searching(embedder.id(), embedder.dimensions(), Some(embedder)).status().ok()?;
                Some(status.applied.map(|applied| (applied, status.ahead)))
            }
            Source::Home => Some(reached(&self.root, &current_model(&self.home)?)),
        }
    }

    /// What the index says of itself and how many changes a second it takes over; `None` without a model, which is not
    /// loaded for this.
    pub(crate) fn status(&self) -> Option<Result<(Status, Option<f64>), String>> {
        let pace = |pace: Option<Pace>| pace.map(|pace| pace.changes_per_second);
        match &self.source {
            Source::Given(embedder, _) => {
                let index = self.searching(embedder.id(), embedder.dimensions(), Some(embedder));
                Some(index.status().map(|status| (status, pace(index.pace()))).map_err(|error| error.to_string()))
            }
            Source::Home => {
                let name = current_model(&self.home)?;
                let missing = Status { applied: None, ahead: 0, documents: 0, bytes: 0, state: State::Missing };
                let peeked = peek(&self.root, &name);
                Some(Ok(peeked.map_or((missing, None), |(status, measured)| (status, pace(measured)))))
            }
        }
    }

    /// The model in use, and the one that answers until that one's vectors stand.
    pub(crate) fn names(&self) -> Option<(String, Option<String>)> {
        match &self.source {
            Source::Given(embedder, _) => Some((embedder.id().to_owned(), None)),
            Source::Home => {
                let current = current_model(&self.home)?;
                let answering = self.answering().filter(|name| *name != current);
                Some((current, answering))
            }
        }
    }
}

impl Absent {
    /// The stable word for it, and what to do about it.
    pub(crate) fn said(&self) -> (&'static str, String) {
        match self {
            Absent::NoModel => (
                "no-model",
                "searched by text only: `harness setup` gets a model, and recall finds by meaning too".to_owned(),
            ),
            Absent::NoHolder => (
                "no-holder",
                "searched by text only: no process holds the model; `harness serve` or `harness index follow` does"
                    .to_owned(),
            ),
            Absent::Late => (
                "late",
                format!("searched by text only: the question's vector did not come within {} ms", PATIENCE.as_millis()),
            ),
            Absent::Broken(reason) => {
                ("model-failed", format!("searched by text only: {reason}; `harness setup` gets it anew"))
            }
        }
    }
}

impl From<Absent> for Error {
    fn from(absent: Absent) -> Error {
        match absent {
            Absent::NoModel => Error::NoModel,
            Absent::NoHolder => Error::NoHolder,
            Absent::Late => Error::Late,
            Absent::Broken(reason) => Error::Model { reason },
        }
    }
}

fn now_ms() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_millis() as u64
}

#[cfg(test)]
impl Said {
    /// What the arm said, without an index.
    pub(crate) fn for_tests(meant: Meant, understood: f32, dimensions: usize) -> Said {
        Said { meant, understood, proven: 0.0, dimensions, vector: Vec::new(), index: None }
    }
}

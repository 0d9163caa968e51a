//! From an importer's items to records in the store.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::ControlFlow;
use std::path::Path;

use anyhow::Context;
use harness_memory::import::fold::Fold;
use harness_memory::import::{Importer, Item};
use harness_memory::intake::Admission;
use harness_memory::scope::Readable;
use harness_memory::store::{Filter, Order, PUT_RECORDS_MAX};
use harness_memory::{
    Admitted, Body, Intake, Kind, Lookup, Origin, Put, ReadSet, Record, RecordId, Scope, Session, Store,
};
use harness_recall::Engine;
use jiff::Timestamp;
use serde::Serialize;

use crate::app::App;
use crate::exclusions::Exclusions;

/// The most problems that are kept for the report; all are counted.
const PROBLEMS_KEPT_MAX: usize = 100;

/// How many of a session's episodes are looked at for the one that a new one replaces: a session that was
/// resumed in other files has one a file.
const EPISODES_COMPARED_MAX: usize = 100;

/// What an import came to.
#[derive(Default, Serialize)]
pub(super) struct Tally {
    pub(super) files: u64,
    pub(super) files_failed: u64,
    pub(super) bytes: u64,
    pub(super) sessions: u64,
    pub(super) messages_read: u64,
    pub(super) messages_new: u64,
    pub(super) messages_known: u64,
    pub(super) episodes_new: u64,
    pub(super) episodes_known: u64,
    /// Secrets that were replaced in what was added, by rule.
    pub(super) redactions: BTreeMap<&'static str, usize>,
    /// Blocks of recall's own making that were left out, messages that held nothing else among them.
    pub(super) echoes: u64,
    /// Messages of sessions that are excluded.
    pub(super) excluded: u64,
    /// Messages that were cut.
    pub(super) cut: u64,
    /// The first things that could not be read, as `file:line: reason`.
    pub(super) problems: Vec<String>,
    pub(super) problems_total: u64,
}

impl Tally {
    fn problem(&mut self, what: impl FnOnce() -> String) {
        self.problems_total += 1;
        if self.problems.len() < PROBLEMS_KEPT_MAX {
            self.problems.push(what());
        }
    }
}

/// A record on its way, with what the intake replaced in it.
struct Waiting {
    record: Admitted,
    redactions: BTreeMap<&'static str, usize>,
}

/// What is known of a session while it is read.
struct State {
    session: Session,
    /// Gathers the episode of the file that is being read.
    fold: Fold,
    last_key: Option<String>,
    last_at: Option<Timestamp>,
    /// Whether a person wants it left out.
    excluded: bool,
}

/// Puts what importers hand on into the store, in batches.
pub(super) struct Ingest<'a> {
    app: &'a App,
    /// `None` when nothing is to be kept.
    engine: Option<&'a Engine>,
    intake: &'a Intake,
    exclusions: &'a Exclusions,
    /// The scope of everything, where one was asked for.
    scope: Option<Scope>,
    /// The scope of each folder met.
    scopes: HashMap<String, Scope>,
    /// By source and id: places in `states`.
    sessions: HashMap<(String, String), usize>,
    states: Vec<State>,
    /// Sessions of which the store does not know everything yet.
    news: BTreeSet<usize>,
    waiting: Vec<Waiting>,
    /// Which session a message is in, by the hash of its key: for titles that other files give.
    keys: HashMap<u64, usize>,
    /// Keys of messages, and titles of the sessions they are in.
    titles: Vec<(String, String)>,
    tally: Tally,
}

impl<'a> Ingest<'a> {
    pub(super) fn new(
        app: &'a App,
        engine: Option<&'a Engine>,
        intake: &'a Intake,
        exclusions: &'a Exclusions,
        scope: Option<Scope>,
    ) -> Self {
        Ingest {
            app,
            engine,
            intake,
            exclusions,
            scope,
            scopes: HashMap::new(),
            sessions: HashMap::new(),
            states: Vec::new(),
            news: BTreeSet::new(),
            waiting: Vec::new(),
            keys: HashMap::new(),
            titles: Vec::new(),
            tally: Tally::default(),
        }
    }

    /// Reads one file to its end, or until somebody asks to stop. `progress` is told about how many bytes
    /// were read. A file that cannot be read is noted; a store that cannot be written is an error.
    pub(super) fn file(
        &mut self,
        path: &Path,
        importer: &dyn Importer,
        progress: &mut dyn FnMut(u64) -> bool,
    ) -> anyhow::Result<()> {
        let mut failure = None;
        let mut read = 0;
        let report = importer.read(path, None, &mut |item| {
            if let Item::Message(record) = &item {
                read += record.text().len() as u64;
            }
            if let Err(error) = self.item(item, path) {
                failure = Some(error);
            }
            if failure.is_none() && progress(read) { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        if let Some(failure) = failure {
            return Err(failure);
        }
        self.tally.files += 1;
        match report {
            Ok(report) => {
                for skipped in report.skipped {
                    self.tally.problem(|| format!("{}:{}: {}", path.display(), skipped.line, skipped.reason));
                }
                self.tally.echoes += report.echoes;
                self.tally.cut += report.cut;
                self.titles.extend(report.other_titles);
            }
            Err(error) => {
                self.tally.files_failed += 1;
                self.tally.problem(|| format!("{:#}", anyhow::Error::new(error)));
            }
        }
        Ok(())
    }

    /// Stores what is left, and answers what it came to.
    pub(super) fn finish(mut self) -> anyhow::Result<Tally> {
        for (key, title) in std::mem::take(&mut self.titles) {
            let Some(place) = self.keys.get(&hash(&key)).copied() else { continue };
            let state = &mut self.states[place];
            if state.session.title.is_none() && !state.excluded {
                state.session.title = Some(title);
                self.news.insert(place);
            }
        }
        self.flush()?;
        self.tally.sessions = self.states.len() as u64;
        Ok(self.tally)
    }

    fn item(&mut self, item: Item, path: &Path) -> anyhow::Result<()> {
        match item {
            Item::Session(session) => {
                self.learn(session);
            }
            Item::Message(record) => self.message(*record, path)?,
            Item::End(session) => {
                let place = self.learn(session);
                self.episode(place, path)?;
            }
        }
        if self.waiting.len() >= PUT_RECORDS_MAX { self.flush() } else { Ok(()) }
    }

    /// Takes over what is known of a session, and answers its place.
    fn learn(&mut self, session: Session) -> usize {
        let name = (session.source.clone(), session.id.clone());
        let place = match self.sessions.get(&name) {
            Some(place) => {
                let state = &mut self.states[*place];
                state.session.learn(session);
                // Its folder may have become known only now.
                state.excluded |= self.exclusions.excludes_session(&state.session).is_some();
                *place
            }
            None => {
                let scope = self.scope_of(&session);
                let session = Session { scope, ..session };
                let excluded = self.exclusions.excludes_session(&session).is_some();
                let state = State { session, fold: Fold::new(), last_key: None, last_at: None, excluded };
                self.states.push(state);
                self.sessions.insert(name, self.states.len() - 1);
                self.states.len() - 1
            }
        };
        if !self.states[place].excluded {
            self.news.insert(place);
        }
        place
    }

    /// The scope that was asked for, else the project of the session's folder, else the person's own.
    fn scope_of(&mut self, session: &Session) -> Scope {
        match (&self.scope, &session.directory) {
            (Some(scope), _) => scope.clone(),
            (None, None) => self.app.user(),
            (None, Some(folder)) => {
                let known = self.scopes.entry(folder.clone());
                known.or_insert_with_key(|folder| self.app.scope_of(Path::new(folder))).clone()
            }
        }
    }

    fn message(&mut self, mut record: Record, path: &Path) -> anyhow::Result<()> {
        self.tally.messages_read += 1;
        let name = (record.source, record.session.unwrap_or_default());
        let place = match self.sessions.get(&name) {
            Some(place) => *place,
            None => self.learn(Session::new(name.0.clone(), name.1.clone(), Scope::root())),
        };
        (record.source, record.session) = (name.0, Some(name.1));
        let state = &mut self.states[place];
        if state.excluded {
            self.tally.excluded += 1;
            return Ok(());
        }
        record.scope = state.session.scope.clone();
        if let Body::Message(message) = &record.body {
            state.fold.message(message, record.created_at);
        }
        state.last_at = Some(record.created_at);
        state.last_key.clone_from(&record.key);
        if let Some(key) = &record.key {
            self.keys.insert(hash(key), place);
        }
        self.admit(record, path);
        Ok(())
    }

    /// Draws the episode of what was read of a session.
    ///
    /// Its key names the last message, so that reading the same again adds nothing; when the session has
    /// gone on since, the new episode replaces the one that stood there.
    fn episode(&mut self, place: usize, path: &Path) -> anyhow::Result<()> {
        let state = &mut self.states[place];
        let fold = std::mem::take(&mut state.fold);
        let (Some(episode), Some(key)) = (fold.finish(), state.last_key.take()) else { return Ok(()) };
        let session = &state.session;
        let key = format!("episode of {key}");
        let at = session.ended_at.or(state.last_at).unwrap_or(self.app.now);
        let mut record = Record::new(session.scope.clone(), session.source.clone(), Origin::Agent, episode);
        record.session = Some(session.id.clone());
        record.created_at = at;
        record.key = Some(key);
        record.replaces = self.episode_before(&record)?;
        self.admit(record, path);
        Ok(())
    }

    /// The newest episode of the same session and situation with another key.
    fn episode_before(&self, record: &Record) -> anyhow::Result<Option<RecordId>> {
        let Some(engine) = self.engine else { return Ok(None) };
        let filter = Filter {
            scopes: ReadSet::new([Readable::Exactly(record.scope.clone())]),
            kinds: vec![Kind::Episode],
            session: record.session.clone(),
            source: Some(record.source.clone()),
            order: Order::Newest,
            limit: EPISODES_COMPARED_MAX,
            ..Filter::default()
        };
        let before = engine.store().list(&filter).context("cannot look up the session's episode")?;
        let before: Vec<Record> = before.into_iter().filter_map(Lookup::found).map(|stored| stored.record).collect();
        if before.is_empty() || before.iter().any(|older| older.key == record.key) {
            return Ok(None);
        }
        // What is stored went through the intake, so this must too before the two are compared.
        let Ok(Admission::Admitted { record: cleaned, .. }) = self.intake.admit(record.clone()) else {
            return Ok(None);
        };
        let same = before.iter().find(|older| older.text() == cleaned.record().text());
        Ok(same.map(|older| older.id))
    }

    fn admit(&mut self, record: Record, path: &Path) {
        let key = record.key.clone();
        match self.intake.admit(record) {
            Ok(Admission::Admitted { record, redactions }) => {
                self.waiting.push(Waiting { record: *record, redactions })
            }
            Ok(Admission::Echo) => self.tally.echoes += 1,
            Err(error) => {
                self.tally.problem(|| format!("{}: message {}: {error}", path.display(), key.unwrap_or_default()))
            }
        }
    }

    /// Stores what is waiting: sessions before their messages.
    fn flush(&mut self) -> anyhow::Result<()> {
        let waiting = std::mem::take(&mut self.waiting);
        let news = std::mem::take(&mut self.news);
        let Some(engine) = self.engine else {
            waiting.iter().for_each(|waiting| count_redactions(&mut self.tally, waiting));
            return Ok(());
        };
        let store = engine.store();
        for place in news {
            store.put_session(self.states[place].session.clone()).context("cannot write a session to the store")?;
        }
        let (mut records, mut facts) = (Vec::with_capacity(waiting.len()), Vec::with_capacity(waiting.len()));
        for waiting in waiting {
            facts.push((waiting.record.record().kind(), waiting.redactions));
            records.push(waiting.record);
        }
        while !records.is_empty() {
            let rest = records.split_off(records.len().min(PUT_RECORDS_MAX));
            let puts = store.put(std::mem::replace(&mut records, rest)).context("cannot write to the store")?;
            self.app.wrote();
            for (put, (kind, redactions)) in puts.iter().zip(facts.drain(..puts.len())) {
                let tally = &mut self.tally;
                match (kind, put) {
                    (Kind::Episode, Put::Added(_)) => tally.episodes_new += 1,
                    (Kind::Episode, Put::Known(_)) => tally.episodes_known += 1,
                    (_, Put::Added(_)) => tally.messages_new += 1,
                    (_, Put::Known(_)) => tally.messages_known += 1,
                }
                if put.is_new() {
                    redactions
                        .into_iter()
                        .for_each(|(rule, times)| *tally.redactions.entry(rule).or_insert(0) += times);
                }
            }
        }
        Ok(())
    }
}

fn count_redactions(tally: &mut Tally, waiting: &Waiting) {
    waiting.redactions.iter().for_each(|(rule, times)| *tally.redactions.entry(rule).or_insert(0) += times);
}

fn hash(key: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    hasher.finish()
}

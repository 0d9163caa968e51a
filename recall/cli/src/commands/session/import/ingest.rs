//! From an importer's items to records in the store.
//!
//! - here: which files are read, from where, and what is known of their sessions
//! - `episodes`: the episode of a session, as far as it is read
//! - [`writing`]: what waits for the store, and what an import came to

mod episodes;
mod writing;

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::ControlFlow;
use std::path::Path;

use anyhow::Context;
use harness_memory::import::fold::Fold;
use harness_memory::import::{Importer, Item, Report};
use harness_memory::store::{PUT_RECORDS_MAX, Reading, ReadingPlace};
use harness_memory::{Body, Intake, Record, Scope, Session, Store};
use harness_recall::Engine;
use jiff::{SignedDuration, Timestamp};

use self::writing::{Waiting, Writing};
use crate::app::App;
use crate::exclusions::Exclusions;

pub(crate) use self::writing::Tally;

/// How many sessions of a transcript are noted with how far it was read: a file that is appended to holds one
/// and its subagents.
const SESSIONS_NOTED_MAX: usize = 64;

/// The tool whose files give titles to the sessions of others.
const CLAUDE_CODE: &str = "claude-code";

/// How many messages are remembered for such titles: a bound for memory, far above what people have.
const KEYS_MAX: usize = 500_000;

/// What is known of a session while it is read.
struct State {
    session: Session,
    /// Gathers the episode of the file that is being read.
    fold: Fold,
    last_key: Option<String>,
    last_at: Option<Timestamp>,
    /// The place of the first message that was read of it in the file that is being read.
    first_position: Option<u32>,
    /// Whether the file said that it has ended, and whether it went on all the same.
    ended: bool,
    went_on: bool,
    /// Whether a person wants it left out.
    excluded: bool,
}

impl State {
    fn new(session: Session, excluded: bool) -> State {
        State {
            session,
            fold: Fold::new(),
            last_key: None,
            last_at: None,
            first_position: None,
            ended: false,
            went_on: false,
            excluded,
        }
    }
}

/// Puts what importers hand on into the store, in batches.
pub(crate) struct Ingest<'a> {
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
    /// What is being written.
    begun: VecDeque<Writing>,
    /// Which session a message is in, by the hash of its key: for titles that other files give.
    keys: HashMap<u64, usize>,
    /// Keys of messages, and titles of the sessions they are in.
    titles: Vec<(String, String)>,
    /// How far files were read, to be noted when what they hold is stored.
    readings: Vec<(ReadingPlace, Reading)>,
    /// Sessions met in the file that is being read.
    met: BTreeSet<usize>,
    /// Whether that file is read on from where it was left.
    resumed: bool,
    /// Whether its tool changes what it wrote.
    rewrites: bool,
    /// Whether episodes are drawn at once, or when the file has come to rest.
    settles: bool,
    tally: Tally,
}

impl<'a> Ingest<'a> {
    pub(crate) fn new(
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
            begun: VecDeque::new(),
            keys: HashMap::new(),
            titles: Vec::new(),
            readings: Vec::new(),
            met: BTreeSet::new(),
            resumed: false,
            rewrites: false,
            settles: true,
            tally: Tally::default(),
        }
    }

    /// Reads a file that may still be written to: its episodes wait until it has come to rest.
    pub(crate) fn live_file(
        &mut self,
        path: &Path,
        importer: &dyn Importer,
        progress: &mut dyn FnMut(u64) -> bool,
    ) -> anyhow::Result<()> {
        self.settles = false;
        let done = self.file(path, importer, progress);
        self.settles = true;
        done
    }

    /// Reads one file from where it was left to its end, or until somebody asks to stop. `progress` is told
    /// about how many bytes were read. A file that cannot be read is noted; a store that cannot be written is
    /// an error.
    pub(crate) fn file(
        &mut self,
        path: &Path,
        importer: &dyn Importer,
        progress: &mut dyn FnMut(u64) -> bool,
    ) -> anyhow::Result<()> {
        self.tally.files += 1;
        let place = self.place_of(path, importer);
        let before = self.reading(&place)?;
        let fingerprint = importer.fingerprint(path);
        let as_it_was = fingerprint.is_some() && before.fingerprint == fingerprint;
        if as_it_was && (!before.unsettled || !self.settles) {
            self.tally.files_unchanged += 1;
            return Ok(());
        }
        for place in std::mem::take(&mut self.met) {
            self.states[place].ended = false;
        }
        for session in before.sessions.clone() {
            self.recall(session);
        }
        self.resumed = before.cursor.offset > 0;
        self.rewrites = importer.rewrites();
        let excluded_before = self.tally.excluded;
        let mut failure = None;
        let mut read = before.cursor.offset;
        let cursor = self.resumed.then_some(&before.cursor);
        let report = importer.read(path, cursor, &mut |item| {
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
        match report {
            Ok(report) => {
                if before.unsettled && self.settles && !report.stopped {
                    self.settle(path)?;
                }
                if self.tally.excluded == excluded_before {
                    self.note(place, &report, fingerprint);
                }
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

    /// Whether a file was read before and is as it was, so that reading it would do nothing.
    pub(crate) fn is_read(&self, path: &Path, importer: &dyn Importer) -> bool {
        let Ok(before) = self.reading(&self.place_of(path, importer)) else { return false };
        before.fingerprint.is_some() && !before.unsettled && importer.fingerprint(path) == before.fingerprint
    }

    fn place_of(&self, path: &Path, importer: &dyn Importer) -> ReadingPlace {
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        ReadingPlace {
            tool: importer.tool().to_owned(),
            path: path.to_string_lossy().into_owned(),
            scope: self.scope.as_ref().map(Scope::to_string).unwrap_or_default(),
        }
    }

    fn reading(&self, place: &ReadingPlace) -> anyhow::Result<Reading> {
        let Some(engine) = self.engine else { return Ok(Reading::default()) };
        let known = engine.store().reading(place).context("cannot look up how far a transcript was read")?;
        Ok(known.unwrap_or_default())
    }

    /// Remembers how far a file was read, to be noted as soon as what was read is stored.
    fn note(&mut self, place: ReadingPlace, report: &Report, fingerprint: Option<u64>) {
        if self.engine.is_none() {
            return;
        }
        let sessions = self.met.iter().rev().take(SESSIONS_NOTED_MAX);
        let mut sessions: Vec<Session> =
            sessions.map(|place| self.intake.session(self.states[*place].session.clone())).collect();
        sessions.reverse();
        // What is still being written comes without a new fingerprint where its tool rewrites a message.
        let rests = !report.stopped && (report.partial_bytes == 0 || !self.rewrites);
        let reading = Reading {
            cursor: report.cursor.clone(),
            fingerprint: fingerprint.filter(|_| rests),
            sessions,
            unsettled: !self.settles && report.messages > 0 || report.stopped,
        };
        self.readings.push((place, reading));
    }

    /// Stores what is left, and answers what it came to.
    pub(crate) fn finish(mut self) -> anyhow::Result<Tally> {
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
            Item::Withdrawn { session, key } => self.withdraw(&session, &key)?,
            Item::End(session) => {
                let place = self.learn(session);
                if self.settles {
                    self.episode(place, path)?;
                } else {
                    self.states[place].fold = Fold::new();
                }
                self.states[place].ended = true;
            }
        }
        if self.waiting.len() >= PUT_RECORDS_MAX { self.begin_flush() } else { Ok(()) }
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
                self.begin(name, session)
            }
        };
        if !self.states[place].excluded {
            self.news.insert(place);
        }
        self.met.insert(place);
        place
    }

    /// Takes over what was known of a session when its file was left, with the scope that it has.
    fn recall(&mut self, session: Session) {
        let name = (session.source.clone(), session.id.clone());
        let place = match self.sessions.get(&name) {
            Some(place) => *place,
            None => self.begin(name, session),
        };
        self.states[place].first_position = None;
        self.met.insert(place);
    }

    /// The place of a session that was not met before.
    fn begin(&mut self, name: (String, String), session: Session) -> usize {
        let excluded = self.exclusions.excludes_session(&session).is_some();
        self.states.push(State::new(session, excluded));
        self.sessions.insert(name, self.states.len() - 1);
        self.states.len() - 1
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
        state.went_on |= state.ended;
        record.scope = state.session.scope.clone();
        if let Body::Message(message) = &record.body {
            state.fold.message(message, record.created_at);
            state.first_position.get_or_insert(message.position);
        }
        state.last_at = Some(record.created_at);
        state.last_key.clone_from(&record.key);
        // Only one tool gives titles to sessions of other files.
        if let Some(key) = record.key.as_ref().filter(|_| record.source == CLAUDE_CODE && self.keys.len() < KEYS_MAX) {
            self.keys.insert(hash(key), place);
        }
        self.admit(record, path);
        Ok(())
    }

    /// Forgets a message that its tool took back, with what hangs on it.
    fn withdraw(&mut self, session: &str, key: &str) -> anyhow::Result<()> {
        let mut places = self.met.iter().copied().filter(|place| self.states[*place].session.id == session);
        let (Some(place), Some(engine)) = (places.next_back(), self.engine) else { return Ok(()) };
        self.flush()?;
        let mut ids = Vec::new();
        self.each_message(place, &mut |record| {
            let own = record.key.as_deref().and_then(|known| known.strip_prefix(key));
            if own.is_some_and(|rest| rest.is_empty() || rest.starts_with(['#', '~'])) {
                ids.push(record.id);
            }
        })?;
        if !ids.is_empty() {
            self.app.wrote();
            let forgotten = engine.store().forget(&ids, self.undo_until()).context("cannot take a message back")?;
            self.tally.messages_withdrawn += forgotten as u64;
        }
        Ok(())
    }

    fn undo_until(&self) -> Timestamp {
        let days = SignedDuration::from_hours(24 * i64::from(self.app.settings.undo_days));
        self.app.now.checked_add(days).unwrap_or(Timestamp::MAX)
    }
}

fn hash(key: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    hasher.finish()
}

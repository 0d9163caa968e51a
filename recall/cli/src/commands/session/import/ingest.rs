//! From an importer's items to records in the store.
//!
//! - here: which files are read, from where, and what is known of their sessions
//! - `episodes`: the episode of a session, as far as it is read
//! - `folders`: the folder of a session whose tool names it by a slug or a hash
//! - [`writing`]: what waits for the store, and what an import came to

mod episodes;
mod folders;
mod writing;

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use anyhow::Context;
use harness_memory::import::fold::Fold;
use harness_memory::import::{Folder, Importer, Item, Report};
use harness_memory::store::{Filter, PUT_RECORDS_MAX, Reading, ReadingPlace};
use harness_memory::{Body, Intake, MessageForm, Record, Scope, Session, Store};
use harness_recall::Engine;
use jiff::{SignedDuration, Timestamp};
use sha2::{Digest, Sha256};

use self::folders::{Folders, scope_of_unknown};
use self::writing::{Waiting, Writing};
use crate::app::App;
use crate::exclusions::Exclusions;

pub(crate) use self::writing::Tally;

/// How many sessions of a transcript are noted with how far it was read: a file that is appended to holds one
/// and its subagents. The episodes of those beyond it are drawn when the file is left, since nobody would come back to them.
const SESSIONS_NOTED_MAX: usize = 64;

/// What stands between a session's id and the fingerprint of its folder, where another session has that id.
const OTHER: char = '@';

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
    /// Whether more of it is stored than `fold` has gathered, since the file is read on from its middle. `None` until a
    /// message of it was met in the file that is being read.
    read_on: Option<bool>,
    /// Whether it has messages of which its episode does not speak yet.
    undrawn: bool,
    /// Whether the file said that it has ended, and whether it went on all the same.
    ended: bool,
    went_on: bool,
    /// Whether a person wants it left out.
    excluded: bool,
    /// Whether what follows of it was said in a folder that a person wants left out, and whether anything was.
    away: bool,
    was_away: bool,
}

impl State {
    fn new(session: Session, excluded: bool) -> State {
        State {
            session,
            fold: Fold::new(),
            last_key: None,
            last_at: None,
            read_on: None,
            undrawn: false,
            ended: false,
            went_on: false,
            excluded,
            away: false,
            was_away: false,
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
    folders: Folders,
    /// What the tool calls the folders of sessions, of whose messages none was met yet, in the file that is being read.
    named: HashMap<String, Folder>,
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
    /// The tool of that file, and whether it changes what it wrote.
    tool: &'static str,
    rewrites: bool,
    /// Whether its tool's ids are told apart within that file alone.
    ids_are_local: bool,
    /// Sessions of such tools, by their ids.
    local: HashMap<String, Vec<usize>>,
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
            folders: Folders::default(),
            named: HashMap::new(),
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
            tool: "",
            rewrites: false,
            ids_are_local: false,
            local: HashMap::new(),
            settles: true,
            tally: Tally::default(),
        }
    }

    /// Sessions that do not say where they were held, in files read from now on, were held in this folder.
    pub(crate) fn held_in(&mut self, folder: PathBuf) {
        self.folders.said(folder);
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
            let state = &mut self.states[place];
            (state.ended, state.away) = (false, false);
        }
        (self.tool, self.rewrites) = (importer.tool(), importer.rewrites());
        self.ids_are_local = importer.ids_are_local();
        self.named.clear();
        if self.ids_are_local {
            // What another file calls so is another session.
            self.sessions.retain(|(source, _), _| source != importer.tool());
        }
        for session in before.sessions.clone() {
            self.recall(session, before.unsettled);
        }
        self.resumed = before.cursor.offset > 0;
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
                // Who reads on draws the episodes of those that are noted.
                self.settle(path, !self.settles || report.stopped)?;
                if self.tally.excluded == excluded_before {
                    self.note(place, &report, fingerprint);
                }
                for skipped in report.skipped {
                    self.tally.problem(|| format!("{}:{}: {}", path.display(), skipped.line, skipped.reason));
                }
                self.tally.unfinished += u64::from(report.partial_bytes > 0);
                self.tally.unfinished_bytes += report.partial_bytes;
                self.tally.echoes += report.echoes;
                self.tally.cut += report.cut;
                self.titles.extend(report.other_titles);
            }
            Err(error) => {
                self.tally.failed(|| format!("{:#}", anyhow::Error::new(error)));
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
        let sessions = self.met.iter().skip(self.met.len().saturating_sub(SESSIONS_NOTED_MAX));
        let sessions = sessions.map(|place| self.states[*place].session.clone()).collect();
        // What is still being written comes without a new fingerprint where its tool rewrites a message.
        let rests = !report.stopped && (report.partial_bytes == 0 || !self.rewrites);
        let reading = Reading {
            cursor: report.cursor.clone(),
            fingerprint: fingerprint.filter(|_| rests),
            sessions,
            unsettled: !self.settles && report.messages > 0 || report.stopped,
        };
        self.readings.push((place, self.intake.reading(reading)));
    }

    /// Whether a session met in this file is noted with it: those met last are.
    fn is_noted(&self, place: usize) -> bool {
        self.met.iter().rev().take(SESSIONS_NOTED_MAX).any(|noted| *noted == place)
    }

    /// Stores what is left, and answers what it came to.
    pub(crate) fn finish(mut self) -> anyhow::Result<Tally> {
        for (key, title) in std::mem::take(&mut self.titles) {
            let Some(place) = self.keys.get(&hash(&key)).copied() else { continue };
            let state = &mut self.states[place];
            if state.session.title.is_none() && !state.excluded && !state.was_away {
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
                self.learn(session)?;
            }
            Item::Folder { session, folder } => self.moved(session, folder),
            Item::Message(record) => self.message(*record, path)?,
            Item::Withdrawn { session, key } => self.withdraw(&session, &key)?,
            Item::End(session) => {
                let place = self.learn(session)?;
                if self.settles || !self.is_noted(place) {
                    self.episode(place, path)?;
                } else {
                    // Drawn from what is stored, once the file has come to rest.
                    let state = &mut self.states[place];
                    (state.fold, state.last_key, state.read_on) = (Fold::new(), None, None);
                }
                self.states[place].ended = true;
            }
        }
        if self.waiting.len() >= PUT_RECORDS_MAX { self.begin_flush() } else { Ok(()) }
    }

    /// Takes over what is known of a session, and answers its place.
    fn learn(&mut self, mut session: Session) -> anyhow::Result<usize> {
        let name = (session.source.clone(), session.id.clone());
        let place = match self.sessions.get(&name) {
            Some(place) => {
                let state = &mut self.states[*place];
                // The folder in which it began is its own, whatever the file says when it is read on.
                if state.session.directory.is_some() {
                    (session.directory, session.project) = (None, None);
                }
                // Titles are made of what was said last.
                if state.was_away {
                    session.title = None;
                }
                session.id.clone_from(&state.session.id);
                state.session.learn(session);
                // Its folder may have become known only now.
                state.excluded |= self.exclusions.excludes_session(&state.session).is_some();
                *place
            }
            None => self.meet(name, session)?,
        };
        if !self.states[place].excluded {
            self.news.insert(place);
        }
        self.met.insert(place);
        Ok(place)
    }

    /// Begins with a session that was not met before: where it was held says whose it is.
    fn meet(&mut self, name: (String, String), mut session: Session) -> anyhow::Result<usize> {
        let named = self.named.remove(&session.id);
        let found = named.as_ref().map(|folder| self.folders.find(folder, self.engine, self.exclusions));
        let excluded = found.as_ref().is_some_and(|found| found.excluded);
        let is_away = matches!(named, Some(Folder::Path(_))) && excluded;
        let folder = named.filter(|folder| session.directory.is_none() && !matches!(folder, Folder::Path(_)));
        let found = found.and_then(|found| found.folder).filter(|_| folder.is_some());
        let said = || self.folders.what_was_said().map(Path::to_owned);
        if session.directory.is_none()
            && let Some(found) = found.or_else(said)
        {
            session.project = found.file_name().map(|name| name.to_string_lossy().into_owned());
            session.directory = Some(found.to_string_lossy().into_owned());
        }
        // What was imported before stays where it is, whatever became known since.
        let may_be_elsewhere = folder.is_some() || self.resumed && session.directory.is_none();
        let before = if may_be_elsewhere && self.scope.is_none() { self.stored(&session)? } else { None };
        session.scope = match before {
            Some(before) => before.scope,
            None => self.scope_of(&session, folder.as_ref()),
        };
        if self.ids_are_local {
            session.id = self.id_of_its_own(&session)?;
        }
        let place = self.begin(name, session);
        let state = &mut self.states[place];
        state.excluded |= excluded && !is_away;
        (state.away, state.was_away) = (is_away, is_away);
        Ok(place)
    }

    /// What is stored of a session of this name, in whatever scope.
    fn stored(&self, session: &Session) -> anyhow::Result<Option<Session>> {
        let Some(engine) = self.engine else { return Ok(None) };
        let known = self.intake.session(session.clone());
        let named = engine.store().sessions_named(&known.source, &known.id);
        Ok(named.context("cannot look for a session")?.into_iter().next())
    }

    /// The id of a session whose tool gives it to others, too: its own where it was the first of that name in its scope,
    /// else with its folder's fingerprint.
    fn id_of_its_own(&self, session: &Session) -> anyhow::Result<String> {
        let (Some(engine), Some(folder)) = (self.engine, &session.directory) else { return Ok(session.id.clone()) };
        let digest = Sha256::digest(folder);
        let digits: String = digest[..4].iter().map(|byte| format!("{byte:02x}")).collect();
        let other = format!("{}{OTHER}{digits}", session.id);
        let known = self.intake.session(session.clone());
        let is_here = |stored: &Session| stored.source == known.source && stored.scope == known.scope;
        let stored = |id: &str| -> anyhow::Result<Vec<Session>> {
            let named = engine.store().sessions_named(&known.source, id).context("cannot look for a session")?;
            // What this import met may not be stored yet.
            let met = self.local.get(id).into_iter().flatten().map(|place| self.states[*place].session.clone());
            Ok(named.into_iter().chain(met).filter(is_here).collect())
        };
        let is_taken = |stored: &Session| stored.directory.is_some() && stored.directory != known.directory;
        let has_other = !stored(&other)?.is_empty();
        Ok(if has_other || stored(&known.id)?.iter().any(is_taken) { other } else { session.id.clone() })
    }

    /// Takes over where what follows of a session was said.
    fn moved(&mut self, session: String, folder: Folder) {
        let Some(place) = self.sessions.get(&(self.tool.to_owned(), session.clone())).copied() else {
            self.named.insert(session, folder);
            return;
        };
        if self.exclusions.paths.is_empty() && self.exclusions.projects.is_empty() {
            return;
        }
        let found = self.folders.find(&folder, self.engine, self.exclusions);
        let state = &mut self.states[place];
        match folder {
            Folder::Path(_) => {
                state.away = found.excluded;
                state.was_away |= found.excluded;
            }
            // It is the folder of the whole session.
            Folder::Slug(_) | Folder::Hash(_) => state.excluded |= found.excluded,
        }
    }

    /// Takes over what was known of a session when its file was left, with the scope that it has.
    fn recall(&mut self, session: Session, undrawn: bool) {
        let id = session.id.rsplit_once(OTHER).filter(|_| self.ids_are_local).map_or(&*session.id, |(id, _)| id);
        let name = (session.source.clone(), id.to_owned());
        let place = match self.sessions.get(&name) {
            Some(place) => *place,
            None => self.begin(name, session),
        };
        let state = &mut self.states[place];
        (state.read_on, state.undrawn) = (None, state.undrawn || undrawn);
        self.met.insert(place);
    }

    /// The place of a session that was not met before.
    fn begin(&mut self, name: (String, String), session: Session) -> usize {
        let excluded = self.exclusions.excludes_session(&session).is_some();
        if self.ids_are_local {
            self.local.entry(session.id.clone()).or_default().push(self.states.len());
        }
        self.states.push(State::new(session, excluded));
        self.sessions.insert(name, self.states.len() - 1);
        self.states.len() - 1
    }

    /// The scope that was asked for, else the project of the session's folder, else one for the folder that nobody could
    /// tell, else the person's own.
    fn scope_of(&mut self, session: &Session, named: Option<&Folder>) -> Scope {
        match (&self.scope, &session.directory, named) {
            (Some(scope), ..) => scope.clone(),
            (None, None, None) => self.app.user(),
            (None, None, Some(named)) => scope_of_unknown(named, self.tool, &self.app.user()),
            (None, Some(folder), _) => {
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
            None => self.learn(Session::new(name.0.clone(), name.1.clone(), Scope::root()))?,
        };
        (record.source, record.session) = (name.0, Some(self.states[place].session.id.clone()));
        let state = &self.states[place];
        // A summary tells of everything before it.
        let is_summary = matches!(&record.body, Body::Message(message) if message.form == MessageForm::Summary);
        if state.excluded || state.away || state.was_away && is_summary {
            self.tally.excluded += 1;
            return Ok(());
        }
        if state.read_on.is_none() {
            let position = if let Body::Message(message) = &record.body { message.position } else { 0 };
            let read_on = self.resumed && position > 0 && self.is_stored(place)?;
            self.states[place].read_on = Some(read_on);
        }
        let state = &mut self.states[place];
        state.went_on |= state.ended;
        state.undrawn = true;
        record.scope = state.session.scope.clone();
        if let Body::Message(message) = &record.body {
            state.fold.message(message, record.created_at);
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

    /// Whether messages of a session were read before, by this import or another.
    fn is_stored(&self, place: usize) -> anyhow::Result<bool> {
        let state = &self.states[place];
        let Some(engine) = self.engine.filter(|_| state.last_at.is_none()) else { return Ok(state.last_at.is_some()) };
        let filter = Filter { limit: 1, ..self.messages_of(place) };
        Ok(!engine.store().list(&filter).context("cannot look for what is stored of a session")?.is_empty())
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

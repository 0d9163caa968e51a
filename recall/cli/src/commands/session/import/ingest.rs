//! From an importer's items to records in the store.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::ControlFlow;
use std::path::Path;

use anyhow::Context;
use harness_memory::import::fold::Fold;
use harness_memory::import::{Importer, Item, Report};
use harness_memory::intake::Admission;
use harness_memory::scope::Readable;
use harness_memory::store::{Filter, Order, PUT_RECORDS_MAX, READ_ROWS_MAX, Reading, ReadingPlace};
use harness_memory::{
    Admitted, Body, Intake, Kind, Lookup, Origin, Put, ReadSet, Record, RecordId, Scope, Session, Store, Stored,
};
use harness_recall::Engine;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::app::App;
use crate::exclusions::Exclusions;

/// The most problems that are kept for the report; all are counted.
const PROBLEMS_KEPT_MAX: usize = 100;

/// How many of a session's episodes are looked at for the one that a new one replaces: a session that was
/// resumed in other files has one a file.
const EPISODES_COMPARED_MAX: usize = 100;

/// How many sessions of a transcript are noted with how far it was read: a file that is appended to holds one
/// and its subagents.
const SESSIONS_NOTED_MAX: usize = 64;

/// The tool whose files give titles to the sessions of others.
const CLAUDE_CODE: &str = "claude-code";

/// How many messages are remembered for such titles: a bound for memory, far above what people have.
const KEYS_MAX: usize = 500_000;

/// How many versions of a message are looked through for the one that stands.
const VERSIONS_MAX: usize = 64;

/// What an import came to.
#[derive(Default, Serialize)]
pub(crate) struct Tally {
    pub(crate) files: u64,
    pub(crate) files_failed: u64,
    /// Files that were read before and are as they were.
    pub(crate) files_unchanged: u64,
    pub(crate) bytes: u64,
    pub(crate) sessions: u64,
    pub(crate) messages_read: u64,
    pub(crate) messages_new: u64,
    pub(crate) messages_known: u64,
    /// Messages that took the place of an earlier version of themselves.
    pub(crate) messages_changed: u64,
    /// Messages that their tool took back.
    pub(crate) messages_withdrawn: u64,
    pub(crate) episodes_new: u64,
    pub(crate) episodes_known: u64,
    /// Secrets that were replaced in what was added, by rule.
    pub(crate) redactions: BTreeMap<&'static str, usize>,
    /// Blocks of recall's own making that were left out, messages that held nothing else among them.
    pub(crate) echoes: u64,
    /// Messages of sessions that are excluded.
    pub(crate) excluded: u64,
    /// Messages that were cut.
    pub(crate) cut: u64,
    /// The first things that could not be read, as `file:line: reason`.
    pub(crate) problems: Vec<String>,
    pub(crate) problems_total: u64,
}

impl Tally {
    /// Whether anything was added or changed.
    pub(crate) fn wrote(&self) -> bool {
        self.messages_new + self.messages_changed + self.messages_withdrawn + self.episodes_new > 0
    }

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
    /// Whether it takes the place of what stands under its key with other content.
    rewrites: bool,
}

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
                self.states.push(State::new(session, excluded));
                self.sessions.insert(name, self.states.len() - 1);
                self.states.len() - 1
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
            None => {
                let excluded = self.exclusions.excludes_session(&session).is_some();
                self.states.push(State::new(session, excluded));
                self.sessions.insert(name, self.states.len() - 1);
                self.states.len() - 1
            }
        };
        self.states[place].first_position = None;
        self.met.insert(place);
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

    /// Draws the episode of a session as far as it is read.
    ///
    /// Its key names the last message, so that reading the same again adds nothing; when the session has
    /// gone on since, the new episode replaces the one that stood there, and keeps what somebody said of it.
    fn episode(&mut self, place: usize, path: &Path) -> anyhow::Result<()> {
        let state = &mut self.states[place];
        let mut fold = std::mem::take(&mut state.fold);
        let Some(mut key) = state.last_key.take() else { return Ok(()) };
        // Read on from its middle: what came before is in the store.
        let went_on = std::mem::take(&mut state.went_on);
        let read_on = state.first_position.take().is_some_and(|first| first > 0) && self.resumed;
        if (went_on || read_on) && self.engine.is_some() {
            let Some(whole) = self.folded(place)? else { return Ok(()) };
            (fold, key) = whole;
        }
        let Some(episode) = fold.finish() else { return Ok(()) };
        let state = &self.states[place];
        let session = &state.session;
        let key = format!("episode of {key}");
        let at = session.ended_at.or(state.last_at).unwrap_or(self.app.now);
        let mut record = Record::new(session.scope.clone(), session.source.clone(), Origin::Agent, episode);
        record.session = Some(session.id.clone());
        record.created_at = at;
        record.key = Some(key);
        if let Some(before) = self.episode_before(&record)? {
            record.replaces = Some(before.id);
            record.pinned = before.pinned;
            record.tags = before.tags;
            if let (Body::Episode(new), Body::Episode(old)) = (&mut record.body, before.body) {
                if old.outcome_said {
                    (new.outcome, new.reason, new.outcome_said) = (old.outcome, old.reason, true);
                }
                new.lesson = old.lesson;
            }
        }
        self.admit(record, path);
        Ok(())
    }

    /// Draws the episodes of all sessions of a file that went on while nobody drew them.
    fn settle(&mut self, path: &Path) -> anyhow::Result<()> {
        for place in self.met.clone() {
            if self.states[place].excluded {
                continue;
            }
            if let Some((fold, key)) = self.folded(place)? {
                let state = &mut self.states[place];
                (state.fold, state.last_key, state.first_position) = (fold, Some(key), None);
                self.episode(place, path)?;
            }
        }
        Ok(())
    }

    /// What is stored of a session, folded, with the key of its last message.
    fn folded(&mut self, place: usize) -> anyhow::Result<Option<(Fold, String)>> {
        self.flush()?;
        let mut fold = Fold::new();
        let mut last = None;
        self.each_message(place, &mut |record| {
            if let Body::Message(message) = &record.body {
                fold.message(message, record.created_at);
                last.clone_from(&record.key);
            }
        })?;
        Ok(last.map(|key| (fold, key)))
    }

    /// The stored messages of a session, in the order in which they were added.
    fn each_message(&self, place: usize, take: &mut dyn FnMut(&Record)) -> anyhow::Result<()> {
        let Some(engine) = self.engine else { return Ok(()) };
        let session = &self.states[place].session;
        let mut filter = Filter {
            scopes: ReadSet::new([Readable::Exactly(session.scope.clone())]),
            kinds: vec![Kind::Message],
            session: Some(session.id.clone()),
            source: Some(session.source.clone()),
            ..Filter::default()
        };
        loop {
            let page = engine.store().list(&filter).context("cannot list what is stored of a session")?;
            let full = page.len() == READ_ROWS_MAX;
            for lookup in page {
                match lookup {
                    Lookup::Found(stored) => {
                        filter.after = Some(stored.row);
                        take(&stored.record);
                    }
                    Lookup::Damaged { row, .. } => filter.after = Some(row),
                    Lookup::Forgotten(_) | Lookup::Missing => {}
                }
            }
            if !full {
                return Ok(());
            }
        }
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

    /// The newest episode of the same session and situation with another key.
    fn episode_before(&self, record: &Record) -> anyhow::Result<Option<Record>> {
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
        Ok(before.into_iter().find(|older| older.text() == cleaned.record().text()))
    }

    fn admit(&mut self, record: Record, path: &Path) {
        let key = record.key.clone();
        match self.intake.admit(record) {
            Ok(Admission::Admitted { record, redactions }) => {
                let rewrites = self.rewrites && record.record().kind() == Kind::Message;
                self.waiting.push(Waiting { record: *record, redactions, rewrites })
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
        let sessions: Vec<Session> =
            news.into_iter().map(|place| self.intake.session(self.states[place].session.clone())).collect();
        if !sessions.is_empty() {
            store.put_sessions(sessions).context("cannot write sessions to the store")?;
        }
        let (mut records, mut facts) = (Vec::with_capacity(waiting.len()), Vec::with_capacity(waiting.len()));
        let mut compared = Vec::new();
        for waiting in waiting {
            let again = waiting.rewrites.then(|| waiting.record.clone());
            facts.push((waiting.record.record().kind(), waiting.redactions, again));
            records.push(waiting.record);
        }
        while !records.is_empty() {
            let rest = records.split_off(records.len().min(PUT_RECORDS_MAX));
            let puts = store.put(std::mem::replace(&mut records, rest)).context("cannot write to the store")?;
            self.app.wrote();
            for (put, (kind, redactions, again)) in puts.iter().zip(facts.drain(..puts.len())) {
                let tally = &mut self.tally;
                match (kind, put) {
                    (Kind::Episode, Put::Added(_)) => tally.episodes_new += 1,
                    (Kind::Episode, Put::Known(_)) => tally.episodes_known += 1,
                    (_, Put::Added(_)) => tally.messages_new += 1,
                    (_, Put::Known(_)) => tally.messages_known += 1,
                }
                if let (Put::Known(id), Some(again)) = (put, again) {
                    compared.push((*id, again));
                }
                if put.is_new() {
                    redactions
                        .into_iter()
                        .for_each(|(rule, times)| *tally.redactions.entry(rule).or_insert(0) += times);
                }
            }
        }
        for (id, again) in compared {
            self.compare(id, again)?;
        }
        for (place, reading) in std::mem::take(&mut self.readings) {
            store.put_reading(&place, &reading).context("cannot note how far a transcript was read")?;
        }
        Ok(())
    }

    /// Sees to it that of a message that its tool changes, the version that was read stands.
    ///
    /// A version whose successor is there has been replaced; one that was forgotten without a successor was
    /// forgotten by a person, and stays so.
    fn compare(&mut self, mut id: RecordId, again: Admitted) -> anyhow::Result<()> {
        let Some(engine) = self.engine else { return Ok(()) };
        let store = engine.store();
        for _ in 0..VERSIONS_MAX {
            let lookup = store.get(&[id]).context("cannot look up a message")?.pop();
            if let Some(Lookup::Found(stored)) = &lookup {
                if same_words(stored, again.record()) {
                    return Ok(());
                }
                let mut version = again.into_record();
                version.id = RecordId::new();
                version.key = version.key.map(|key| format!("{key}~{:016x}", print_of(&stored.record, &version.body)));
                version.replaces = Some(id);
                let Ok(Admission::Admitted { record, .. }) = self.intake.admit(version) else { return Ok(()) };
                let puts = store.put(vec![*record]).context("cannot write to the store")?;
                if puts.iter().all(|put| put.is_new()) {
                    store.forget(&[id], self.undo_until()).context("cannot replace a message")?;
                    self.tally.messages_changed += 1;
                }
                return Ok(());
            }
            match store.replaced_by(&[id]).context("cannot look up a message")?.pop().flatten() {
                Some(next) => id = next,
                None => return Ok(()),
            }
        }
        Ok(())
    }
}

/// Whether a stored message says what was read, wherever in the session it stands.
fn same_words(stored: &Stored, read: &Record) -> bool {
    match (&stored.record.body, &read.body) {
        (Body::Message(known), Body::Message(read)) => {
            let mut known = known.clone();
            known.position = read.position;
            known == *read
        }
        (known, read) => known == read,
    }
}

/// A fingerprint of a version and of the one before it: a message may go back to what it was.
fn print_of(before: &Record, body: &Body) -> u64 {
    let mut hasher = DefaultHasher::new();
    before.id.hash(&mut hasher);
    serde_json::to_string(body).unwrap_or_default().hash(&mut hasher);
    hasher.finish()
}

fn count_redactions(tally: &mut Tally, waiting: &Waiting) {
    waiting.redactions.iter().for_each(|(rule, times)| *tally.redactions.entry(rule).or_insert(0) += times);
}

fn hash(key: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    hasher.finish()
}

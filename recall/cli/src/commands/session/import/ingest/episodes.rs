//! The episode of a session, drawn from what was read of it or, where that is not all, from what is stored.

use std::path::Path;

use anyhow::Context;
use harness_memory::import::fold::Fold;
use harness_memory::intake::Admission;
use harness_memory::scope::Readable;
use harness_memory::store::{Filter, Order, READ_ROWS_MAX};
use harness_memory::{Body, Kind, Lookup, Origin, ReadSet, Record, RecordId, Store};

use super::{Ingest, SESSIONS_NOTED_MAX};

/// How many of a session's episodes are looked at for the one that a new one replaces: a session that was
/// resumed in other files has one a file.
const EPISODES_COMPARED_MAX: usize = 100;

/// What the key of an episode begins with that was drawn from a session, before the key of the last message.
const DRAWN: &str = "episode of ";

impl Ingest<'_> {
    /// Draws the episode of a session as far as it is read.
    ///
    /// Its key names the last message, so that reading the same again adds nothing; when the session has
    /// gone on since, the new episode replaces the one that stood there, and keeps what somebody said of it. Versions
    /// that the fold drew before are forgotten once the new one is stored: each says less of the same.
    pub(super) fn episode(&mut self, place: usize, path: &Path) -> anyhow::Result<()> {
        let state = &mut self.states[place];
        let mut fold = std::mem::take(&mut state.fold);
        let read_on = state.read_on.take().unwrap_or(false);
        let Some(mut key) = state.last_key.take() else { return Ok(()) };
        state.undrawn = false;
        // Read on from its middle: what came before is in the store.
        let went_on = std::mem::take(&mut state.went_on);
        if (went_on || read_on) && self.engine.is_some() {
            let Some(whole) = self.folded(place)? else { return Ok(()) };
            (fold, key) = whole;
        }
        let Some(episode) = fold.finish() else { return Ok(()) };
        let state = &self.states[place];
        let session = &state.session;
        let key = format!("{DRAWN}{key}");
        let at = session.ended_at.or(state.last_at).unwrap_or(self.app.now);
        let mut record = Record::new(session.scope.clone(), session.source.clone(), Origin::Agent, episode);
        record.session = Some(session.id.clone());
        record.created_at = at;
        record.key = Some(key);
        let mut drawn_before = Vec::new();
        if let Some((before, earlier)) = self.episodes_before(&record)? {
            drawn_before = earlier;
            record.replaces = Some(before.id);
            record.pinned = before.pinned;
            record.tags = before.tags;
            if let (Body::Episode(new), Body::Episode(old)) = (&mut record.body, before.body) {
                if old.outcome_said {
                    (new.outcome, new.reason, new.outcome_said) = (old.outcome, old.reason, true);
                }
                new.lesson = old.lesson.or(new.lesson.take());
            }
        }
        self.admit_in_place_of(drawn_before, record, path);
        Ok(())
    }

    /// Draws the episodes of the sessions met in a file that went on and were not drawn since: of all, or of those alone
    /// that are not noted.
    pub(super) fn settle(&mut self, path: &Path, unnoted: bool) -> anyhow::Result<()> {
        let noted = if unnoted { SESSIONS_NOTED_MAX } else { 0 };
        let settled = self.met.len().saturating_sub(noted);
        let undrawn = self.met.iter().copied().take(settled).filter(|place| {
            let state = &self.states[*place];
            state.undrawn && !state.excluded
        });
        for place in undrawn.collect::<Vec<_>>() {
            // What was met of it in this run is gathered, unless it was left for later.
            if self.states[place].last_key.is_none() {
                let Some((fold, key)) = self.folded(place)? else { continue };
                let state = &mut self.states[place];
                (state.fold, state.last_key, state.read_on) = (fold, Some(key), None);
            }
            self.episode(place, path)?;
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

    /// The stored messages of a session, in their order.
    pub(super) fn each_message(&self, place: usize, take: &mut dyn FnMut(&Record)) -> anyhow::Result<()> {
        let Some(engine) = self.engine else { return Ok(()) };
        let mut filter = Filter { order: Order::Place, ..self.messages_of(place) };
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

    /// The stored messages of a session.
    pub(super) fn messages_of(&self, place: usize) -> Filter {
        let session = &self.states[place].session;
        Filter {
            scopes: ReadSet::new([Readable::Exactly(session.scope.clone())]),
            kinds: vec![Kind::Message],
            session: Some(session.id.clone()),
            source: Some(session.source.clone()),
            ..Filter::default()
        }
    }

    /// The newest episode of the same session and situation with another key, and all that the fold drew of it: that one
    /// and those that it replaced.
    fn episodes_before(&self, record: &Record) -> anyhow::Result<Option<(Record, Vec<RecordId>)>> {
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
        let mut same = before.into_iter().filter(|older| older.text() == cleaned.record().text());
        let Some(newest) = same.next() else { return Ok(None) };
        let is_drawn = |record: &Record| record.key.as_ref().is_some_and(|key| key.starts_with(DRAWN));
        let mut drawn: Vec<RecordId> =
            Some(&newest).filter(|newest| is_drawn(newest)).map(|newest| newest.id).into_iter().collect();
        let mut next = newest.replaces;
        // The newest first, so that a chain is met in its order.
        for older in same {
            if next == Some(older.id) {
                next = older.replaces;
                drawn.extend(is_drawn(&older).then_some(older.id));
            }
        }
        Ok(Some((newest, drawn)))
    }
}

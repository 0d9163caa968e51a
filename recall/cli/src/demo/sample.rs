//! The bundled sample: weeks of work on an invented web shop, as coding tools would have left it.

use std::collections::HashMap;

use anyhow::Context;
use harness_memory::store::PUT_RECORDS_MAX;
use harness_memory::{Episode, Message, Note, Origin, Record, RecordId, Role, Scope, Session, Store, Trust};
use harness_recall::Engine;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

const SESSIONS: &str = include_str!("data/sessions.jsonl");
const EPISODES: &str = include_str!("data/episodes.jsonl");
const NOTES: &str = include_str!("data/notes.jsonl");

/// How far apart two turns of a session are.
const TURN: SignedDuration = SignedDuration::from_mins(2);

/// What was written.
pub(super) struct Filled {
    pub(super) sessions: usize,
    pub(super) messages: usize,
    pub(super) episodes: usize,
    pub(super) notes: usize,
}

/// Writes the sample into a home the way everything is written, dated back from `now`.
pub(super) fn fill(engine: &Engine, now: Timestamp) -> anyhow::Result<Filled> {
    let sessions: Vec<SampleSession> = lines(SESSIONS)?;
    let episodes: Vec<SampleEpisode> = lines(EPISODES)?;
    let notes: Vec<SampleNote> = lines(NOTES)?;
    let (episode_count, note_count) = (episodes.len(), notes.len());
    let mut records = Vec::new();
    for session in &sessions {
        engine.store().put_session(session.session(now))?;
        records.extend(session.messages(now));
    }
    let messages = records.len();
    records.extend(episodes.into_iter().map(|episode| episode.record(now)));
    let mut ids = HashMap::new();
    for note in notes {
        let record = note.record(now, &ids);
        ids.insert(note.key, record.id);
        records.push(record);
    }
    for batch in records.chunks(PUT_RECORDS_MAX) {
        let admitted =
            batch.iter().map(|record| engine.intake().admit_one(record.clone())).collect::<Result<_, _>>()?;
        engine.store().put(admitted)?;
    }
    Ok(Filled { sessions: sessions.len(), messages, episodes: episode_count, notes: note_count })
}

fn lines<'t, T: Deserialize<'t>>(text: &'t str) -> anyhow::Result<Vec<T>> {
    let parsed = text.lines().map(serde_json::from_str).collect::<Result<_, _>>();
    parsed.context("the bundled sample does not parse")
}

fn days_before(now: Timestamp, days: i64) -> Timestamp {
    now.saturating_sub(SignedDuration::from_hours(24 * days)).unwrap_or(now)
}

/// Where the records of a project of the sample are kept.
pub(super) fn scope(project: &str) -> Scope {
    Scope::root().child_named("demo").child_named(project)
}

#[derive(Deserialize)]
struct SampleSession {
    id: String,
    source: String,
    project: String,
    title: String,
    days_ago: i64,
    turns: Vec<(Role, String)>,
}

impl SampleSession {
    fn session(&self, now: Timestamp) -> Session {
        let started = days_before(now, self.days_ago);
        let mut session = Session::new(&self.source, &self.id, scope(&self.project));
        session.title = Some(self.title.clone());
        session.project = Some(self.project.clone());
        session.started_at = Some(started);
        session.ended_at = Some(started + TURN * self.turns.len() as i32);
        session
    }

    fn messages(&self, now: Timestamp) -> impl Iterator<Item = Record> {
        let started = days_before(now, self.days_ago);
        (0u32..).zip(&self.turns).map(move |(position, (role, text))| {
            let origin = match role {
                Role::User => Origin::User,
                Role::Tool => Origin::Tool,
                Role::Assistant | Role::System => Origin::Agent,
            };
            let message = Message::new(*role, position, text);
            let mut record = Record::new(scope(&self.project), &self.source, origin, message);
            record.session = Some(self.id.clone());
            record.key = Some(position.to_string());
            record.created_at = started + TURN * position as i32;
            record
        })
    }
}

#[derive(Deserialize)]
struct SampleEpisode {
    days_ago: i64,
    project: String,
    #[serde(flatten)]
    episode: Episode,
}

impl SampleEpisode {
    fn record(self, now: Timestamp) -> Record {
        let mut record = Record::new(scope(&self.project), "demo", Origin::Agent, self.episode);
        record.created_at = days_before(now, self.days_ago);
        record
    }
}

#[derive(Deserialize)]
struct SampleNote {
    key: String,
    days_ago: i64,
    text: String,
    tags: Vec<String>,
    replaces: Option<String>,
}

impl SampleNote {
    fn record(&self, now: Timestamp, earlier: &HashMap<String, RecordId>) -> Record {
        let mut record = note(&self.text, days_before(now, self.days_ago));
        record.tags = self.tags.clone();
        record.replaces = self.replaces.as_ref().and_then(|key| earlier.get(key).copied());
        record
    }
}

/// A note as `harness remember` would write it.
pub(super) fn note(text: &str, at: Timestamp) -> Record {
    let mut record = Record::new(Scope::root().child_named("demo"), "cli", Origin::User, Note::new(text));
    record.trust = Trust::Trusted;
    record.created_at = at;
    record
}

#[cfg(test)]
mod tests {
    use harness_memory::Outcome;

    use super::*;

    #[test]
    fn the_sample_parses_and_is_as_varied_as_the_tour_needs() {
        let sessions: Vec<SampleSession> = lines(SESSIONS).unwrap();
        assert!(sessions.iter().all(|session| (8..=14).contains(&session.turns.len())));
        let episodes: Vec<SampleEpisode> = lines(EPISODES).unwrap();
        let failures = episodes.iter().filter(|one| one.episode.outcome == Outcome::Failure).count();
        assert!(failures > 3 && failures < episodes.len() - 3);
        let notes: Vec<SampleNote> = lines(NOTES).unwrap();
        let older = |note: &SampleNote| note.replaces.as_ref().map(|key| notes.iter().any(|other| other.key == *key));
        assert!(notes.iter().any(|note| older(note) == Some(true)), "a note replaces one that is there");
    }
}

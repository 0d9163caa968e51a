//! What was forgotten and can still be brought back, as a whole: all of a source or a session.

use std::collections::HashSet;

use jiff::Timestamp;
use rusqlite::{Connection, params};

use super::edit::{open, save, undo_forget};
use super::row::{COLUMNS, RawRow, to_ms};
use super::{Reader, SqliteStore};
use crate::change::ChangeKind;
use crate::error::{Error, Result};
use crate::id::RecordId;
use crate::record::{Body, Kind};
use crate::store::Filter;

/// Records changed in one transaction: keeps it well under a second.
const BATCH: usize = 500;

const DOING: &str = "look for what was forgotten";

impl SqliteStore {
    /// The records of the filter's source, session and time that were forgotten and can be brought back at `now`, first
    /// added first. The rest of the filter says nothing here. A damaged row is left out.
    pub fn forgotten(&self, filter: &Filter, now: Timestamp) -> Result<Vec<RecordId>> {
        self.read(|reader| {
            let select = || -> rusqlite::Result<Vec<[u8; 16]>> {
                reader
                    .connection
                    .prepare_cached(
                        "SELECT id FROM records WHERE undo_until_ms > ?1 AND body IS NOT NULL
                             AND (?2 IS NULL OR source IN (SELECT number FROM sources WHERE name = ?2))
                             AND (?3 IS NULL OR session IN (SELECT number FROM sessions WHERE name = ?3))
                             AND (?4 IS NULL OR created_at_ms >= ?4)
                         ORDER BY row",
                    )?
                    .query_map(
                        params![to_ms(now), filter.source, filter.session, filter.since.map(to_ms)],
                        |columns| columns.get(0),
                    )?
                    .collect()
            };
            Ok(select().map_err(Error::sqlite(DOING))?.into_iter().map(RecordId::from_bytes).collect())
        })
    }

    /// What [`SqliteStore::derived_from`] names of live records, of those that were forgotten no earlier than these and
    /// can be brought back at `now`: the episodes of their sessions, and the lessons drawn from any of them.
    pub fn forgotten_with(&self, ids: &[RecordId], now: Timestamp) -> Result<Vec<RecordId>> {
        self.read(|reader| {
            let mut gone: HashSet<RecordId> = ids.iter().copied().collect();
            let (sessions, first) = sessions_of(&reader.connection, ids)?;
            let mut derived = Vec::new();
            let mut lessons = Vec::new();
            for raw in candidates(&reader.connection, first, now)? {
                let id = RecordId::from_bytes(raw.id);
                let session = raw.session;
                if gone.contains(&id) {
                    continue;
                }
                if raw.kind == Kind::Episode.code() {
                    if session.is_some_and(|session| sessions.contains(&session)) {
                        gone.insert(id);
                        derived.push(id);
                    }
                } else if let Some(Body::Lesson(lesson)) = body(reader, raw)? {
                    lessons.push((id, lesson.evidence));
                }
            }
            // A lesson may rest on another lesson: until nothing more is found.
            loop {
                let (more, rest): (Vec<_>, Vec<_>) =
                    lessons.into_iter().partition(|(_, evidence)| evidence.iter().any(|id| gone.contains(id)));
                if more.is_empty() {
                    return Ok(derived);
                }
                gone.extend(more.iter().map(|(id, _)| *id));
                derived.extend(more.into_iter().map(|(id, _)| id));
                lessons = rest;
            }
        })
    }

    /// Brings these records back, all of which can be; `progress` is called with records done and records in all, and
    /// stops the work by answering false. Answers how many were brought back.
    pub fn bring_back(&self, ids: &[RecordId], progress: &mut dyn FnMut(u64, u64) -> bool) -> Result<usize> {
        let mut done = 0;
        for part in ids.chunks(BATCH) {
            let batch = part.to_vec();
            self.write(move |writing| batch.into_iter().try_for_each(|id| undo_forget(writing, id)))?;
            done += part.len();
            if !progress(done as u64, ids.len() as u64) {
                break;
            }
        }
        Ok(done)
    }

    /// Ends the time in which these records can be brought back, of those that are forgotten; answers how many could
    /// have been until now. The next purge removes them.
    pub fn end_undo(&self, ids: &[RecordId], now: Timestamp) -> Result<usize> {
        let mut ended = 0;
        for part in ids.chunks(BATCH) {
            let part = part.to_vec();
            ended += self.write(move |writing| {
                let mut ended = 0;
                for id in part {
                    let (mut raw, stored) = open(writing, id)?;
                    let Some(stored) = stored.filter(|stored| stored.forgotten.is_some()) else { continue };
                    writing.must_be_writable(&stored.record.scope)?;
                    if raw.undo_until_ms.is_some_and(|until| until > to_ms(now)) {
                        raw.undo_until_ms = Some(to_ms(now));
                        save(writing, raw, &stored, ChangeKind::Forget)?;
                        ended += 1;
                    }
                }
                Ok(ended)
            })?;
        }
        Ok(ended)
    }
}

/// The sessions whose messages are among these, and when the first of these was forgotten.
fn sessions_of(connection: &Connection, ids: &[RecordId]) -> Result<(HashSet<i64>, i64)> {
    let mut sessions = HashSet::new();
    let mut first = i64::MAX;
    let mut find = || -> rusqlite::Result<()> {
        let mut select = connection.prepare_cached("SELECT kind, session, deleted_at_ms FROM records WHERE id = ?1")?;
        for id in ids {
            let mut rows = select.query([id.as_bytes()])?;
            let Some(columns) = rows.next()? else { continue };
            if columns.get::<_, u8>(0)? == Kind::Message.code() {
                sessions.extend(columns.get::<_, Option<i64>>(1)?);
            }
            first = first.min(columns.get::<_, Option<i64>>(2)?.unwrap_or(i64::MAX));
        }
        Ok(())
    };
    find().map_err(Error::sqlite(DOING))?;
    Ok((sessions, first))
}

/// The episodes and lessons that were forgotten since then and can be brought back.
fn candidates(connection: &Connection, since_ms: i64, now: Timestamp) -> Result<Vec<RawRow>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM records WHERE undo_until_ms > ?1 AND deleted_at_ms >= ?2 AND body IS NOT NULL
             AND kind IN ({}, {})",
        Kind::Episode.code(),
        Kind::Lesson.code()
    );
    let select = || -> rusqlite::Result<Vec<RawRow>> {
        connection.prepare_cached(&sql)?.query_map(params![to_ms(now), since_ms], RawRow::from_columns)?.collect()
    };
    select().map_err(Error::sqlite(DOING))
}

/// What a row says; `None` for one that is damaged.
fn body(reader: &mut Reader, raw: RawRow) -> Result<Option<Body>> {
    let decoded = reader.rows.decode(&reader.connection, raw)?.ok();
    Ok(decoded.and_then(|decoded| decoded.stored).map(|stored| stored.record.body))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Store;
    use crate::{Episode, Intake, Lesson, Lookup, Message, Note, Origin, Record, Role, Scope};

    #[test]
    fn what_was_forgotten_together_comes_back_together_and_can_be_ended() {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(folder.path()).unwrap();
        let put = |source: &str, session: Option<&str>, body: Body| {
            let scope = Scope::parse("ana").unwrap();
            let record =
                Record { session: session.map(str::to_owned), ..Record::new(scope, source, Origin::User, body) };
            store.put(vec![Intake::new().admit_one(record).unwrap()]).unwrap()[0].id()
        };
        let said = put("codex", Some("s1"), Message::new(Role::User, 0, "deploy it").into());
        let episode = put("codex", Some("s1"), Episode::new("a deploy").into());
        let lesson = put("harness", None, Lesson { text: "use the VPN".into(), evidence: vec![episode] }.into());
        let apart = put("harness", None, Lesson { text: "eat well".into(), evidence: vec![] }.into());
        let other = put("cli", None, Note::new("stays").into());
        let now = jiff::Timestamp::now();
        let later = now + jiff::SignedDuration::from_hours(24);
        let codex = Filter { source: Some("codex".into()), ..Filter::default() };

        assert_eq!(store.forgotten(&codex, now).unwrap(), []);
        store.forget_with_derived(&[said], later).unwrap();
        store.forget(&[apart], later).unwrap();
        assert_eq!(store.forgotten(&codex, now).unwrap(), [said, episode]);
        assert_eq!(store.forgotten(&codex, later).unwrap(), [], "its time to come back has passed");
        assert_eq!(store.forgotten_with(&[said], now).unwrap(), [episode, lesson]);
        assert_eq!(store.bring_back(&[said, episode, lesson], &mut |_, _| true).unwrap(), 3);
        let live = |id| matches!(store.get(&[id]).unwrap()[0], Lookup::Found(_));
        assert!([said, episode, lesson, other].into_iter().all(live) && !live(apart));

        store.forget_with_derived(&[said], later).unwrap();
        let now = jiff::Timestamp::now();
        assert_eq!(store.end_undo(&[said, episode, other], now).unwrap(), 2);
        assert_eq!(store.end_undo(&[said, episode], now).unwrap(), 0, "once");
        assert_eq!(store.purge(now).unwrap(), 2);
        assert_eq!(store.forgotten(&codex, now).unwrap(), []);
        assert!(store.check(&mut |_, _| true).unwrap().is_empty());
    }
}

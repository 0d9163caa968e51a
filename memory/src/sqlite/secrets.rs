//! Finding and removing secrets in what is stored already: rules grow, and what came in before they did stays.

use std::collections::BTreeMap;

use rusqlite::{Connection, params};

use super::codec::{Encoder, OWN_FIRST};
use super::edit::{open, save};
use super::put::{parse_session, session_info, tags_json};
use super::readings;
use super::repeats;
use super::row::{COLUMNS, RawRow};
use super::scopes;
use super::trials::{exposure_checksum, run_checksum};
use super::writer::Writing;
use super::{SqliteStore, schema};
use crate::change::ChangeKind;
use crate::error::{Error, Result};
use crate::id::RecordId;
use crate::intake::Intake;
use crate::redact::Redactor;

/// Rows read in one snapshot: keeps read transactions short beside writers.
const READ_BATCH: i64 = 1_000;

/// Records changed in one transaction: well under a second.
const WRITE_BATCH: usize = 200;

const DOING: &str = "look for secrets";

/// Secrets in what is stored.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Secrets {
    /// The records that hold any, forgotten ones among them, with how often each rule fired.
    pub records: Vec<(RecordId, BTreeMap<&'static str, usize>)>,
    /// Sessions whose title or other name holds one.
    pub sessions: u64,
    /// Scopes whose name holds one.
    pub scopes: u64,
    /// Notes of how far a transcript was read whose place holds one.
    pub readings: u64,
    /// Queries of past injections that hold one.
    pub queries: u64,
    /// Reasons why a run ended as it did that hold one.
    pub reasons: u64,
    /// Dictionaries of the compressor that were trained on one.
    pub dictionaries: Vec<i64>,
    /// Rows that could not be read, and so were not looked at.
    pub damaged: u64,
}

impl Secrets {
    /// Whether nothing was found.
    pub fn is_none(&self) -> bool {
        let others = self.sessions + self.scopes + self.readings + self.queries + self.reasons;
        self.records.is_empty() && others == 0 && self.dictionaries.is_empty()
    }
}

impl SqliteStore {
    /// Looks through every text that is stored, forgotten ones too. `progress` is called with rows done and rows in
    /// all, and stops the search by answering false: what was found until then is answered.
    pub fn find_secrets(&self, redactor: &Redactor, progress: &mut dyn FnMut(u64, u64) -> bool) -> Result<Secrets> {
        let intake = Intake::with(redactor.clone());
        let mut found = Secrets::default();
        let last: i64 = self.read(|reader| {
            let last = "SELECT coalesce(max(row), 0) FROM records";
            reader.connection.query_row(last, [], |columns| columns.get(0)).map_err(Error::sqlite(DOING))
        })?;
        let mut from = 1;
        while from <= last {
            let end = (from + READ_BATCH - 1).min(last);
            self.read(|reader| {
                let sql = format!("SELECT {COLUMNS} FROM records WHERE row = ?1");
                for row in from..=end {
                    let read = reader
                        .connection
                        .prepare_cached(&sql)
                        .and_then(|mut select| select.query_row([row], RawRow::from_columns));
                    let decoded = match read {
                        Ok(raw) => reader.rows.decode(&reader.connection, raw)?,
                        Err(_) => Err(String::new()),
                    };
                    match decoded {
                        Ok(decoded) => {
                            let Some(mut stored) = decoded.stored else { continue };
                            let redactions = intake.clean_record(&mut stored.record);
                            if !redactions.is_empty() {
                                found.records.push((stored.record.id, redactions));
                            }
                        }
                        Err(_) => found.damaged += 1,
                    }
                }
                Ok(())
            })?;
            from = end + 1;
            if !progress(end as u64, last as u64) {
                return Ok(found);
            }
        }
        self.read(|reader| {
            let connection = &reader.connection;
            found.sessions = dirty_sessions(connection, &intake)?.len() as u64;
            found.scopes = scopes::dirty(connection)?.len() as u64;
            found.readings = readings::dirty(connection, redactor)?.len() as u64;
            found.queries = dirty_texts(connection, QUERIES, redactor)?.len() as u64;
            found.reasons = dirty_texts(connection, REASONS, redactor)?.len() as u64;
            found.dictionaries = dirty_dictionaries(connection, redactor)?;
            Ok(())
        })?;
        Ok(found)
    }

    /// Replaces the secrets that were found, in transactions of `WRITE_BATCH` records. What still lies in free
    /// pages goes with [`SqliteStore::vacuum`], what is in an index with a rebuild.
    pub fn remove_secrets(
        &self,
        redactor: &Redactor,
        found: &Secrets,
        progress: &mut dyn FnMut(u64, u64) -> bool,
    ) -> Result<()> {
        let all = found.records.len() as u64;
        let mut done = 0;
        for batch in found.records.chunks(WRITE_BATCH) {
            let ids: Vec<RecordId> = batch.iter().map(|(id, _)| *id).collect();
            let intake = Intake::with(redactor.clone());
            self.write(move |writing| ids.iter().try_for_each(|id| clean(writing, &intake, *id)))?;
            done += batch.len() as u64;
            if !progress(done, all) {
                return Ok(());
            }
        }
        for (number, scope) in self.read(|reader| scopes::dirty(&reader.connection))? {
            let mut after = Some(0);
            while let Some(row) = after {
                let scope = scope.clone();
                after = self.write(move |writing| scopes::move_some(writing, number, &scope, row, WRITE_BATCH))?;
                if !progress(done, all) {
                    return Ok(());
                }
            }
        }
        let redactor = redactor.clone();
        self.write(move |writing| {
            let intake = Intake::with(redactor.clone());
            clean_sessions(writing.connection(), &intake)?;
            readings::clean(writing.connection(), &redactor)?;
            clean_queries(writing.connection(), &redactor)?;
            clean_reasons(writing.connection(), &redactor)
        })?;
        for number in found.dictionaries.clone() {
            while self.write(move |writing| leave_dictionary(writing, number))? {}
        }
        Ok(())
    }

    /// Writes the database anew without its free pages, and shortens the write-ahead log, so that nothing that was
    /// removed can be read in the files. Fails while another process is writing or reading for long.
    pub fn vacuum(&self) -> Result<()> {
        let doing = "write the database anew without its free pages";
        self.idle_readers().clear();
        let connection = schema::connect(self.folder(), false)?;
        connection.execute_batch("VACUUM").map_err(Error::sqlite(doing))?;
        let (busy, _, _): (i64, i64, i64) = connection
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |columns| {
                Ok((columns.get(0)?, columns.get(1)?, columns.get(2)?))
            })
            .map_err(Error::sqlite(doing))?;
        if busy != 0 {
            let reason = "another process is reading the store, so its write-ahead log still holds the old pages; \
                          stop it and run this again";
            return Err(Error::Refused { reason: reason.to_owned() });
        }
        Ok(())
    }
}

fn clean(writing: &mut Writing, intake: &Intake, id: RecordId) -> Result<()> {
    let (mut raw, stored) = match open(writing, id) {
        Ok(opened) => opened,
        // It stays for the check to report.
        Err(Error::Damaged { .. }) => return Ok(()),
        Err(error) => return Err(error),
    };
    let Some(mut stored) = stored else { return Ok(()) };
    let before = stored.record.clone();
    if intake.clean_record(&mut stored.record).is_empty() {
        return Ok(());
    }
    repeats::release(writing, &raw, &before)?;
    raw.tags = tags_json(&stored.record.tags);
    let (codec, body) = repeats::body_for(writing, raw.row, raw.scope, &stored.record.body)?;
    (raw.codec, raw.body) = (codec, Some(body));
    save(writing, raw, &stored, ChangeKind::Update)
}

/// The sessions that hold a secret: their numbers, and what they are without it.
fn dirty_sessions(connection: &Connection, intake: &Intake) -> Result<Vec<(i64, String, i64)>> {
    let mut dirty = Vec::new();
    let mut select = connection.prepare("SELECT number, info, checksum FROM sessions").map_err(Error::sqlite(DOING))?;
    let mut rows = select.query([]).map_err(Error::sqlite(DOING))?;
    while let Some(row) = rows.next().map_err(Error::sqlite(DOING))? {
        let read = || -> rusqlite::Result<(i64, String, i64)> { Ok((row.get(0)?, row.get(1)?, row.get(2)?)) };
        let (number, info, checksum) = read().map_err(Error::sqlite(DOING))?;
        let Some(session) = parse_session(&info, checksum) else { continue };
        let (clean, checksum) = session_info(&intake.session(session));
        if clean != info {
            dirty.push((number, clean, checksum));
        }
    }
    Ok(dirty)
}

fn clean_sessions(connection: &Connection, intake: &Intake) -> Result<()> {
    for (number, info, checksum) in dirty_sessions(connection, intake)? {
        connection
            .execute("UPDATE sessions SET info = ?2, checksum = ?3 WHERE number = ?1", params![number, info, checksum])
            .map_err(Error::sqlite("remove a secret from a session"))?;
    }
    Ok(())
}

const QUERIES: &str = "SELECT number, query FROM exposures";
const REASONS: &str = "SELECT run, reason FROM runs WHERE reason IS NOT NULL";

/// The keys of rows whose text holds a secret, with the text as it should be.
fn dirty_texts(
    connection: &Connection,
    sql: &str,
    redactor: &Redactor,
) -> Result<Vec<(rusqlite::types::Value, String)>> {
    let mut dirty = Vec::new();
    let mut select = connection.prepare(sql).map_err(Error::sqlite(DOING))?;
    let mut rows = select.query([]).map_err(Error::sqlite(DOING))?;
    while let Some(row) = rows.next().map_err(Error::sqlite(DOING))? {
        let text: String = row.get(1).map_err(Error::sqlite(DOING))?;
        let redacted = redactor.redact(&text);
        if redacted.hits().next().is_some() {
            dirty.push((row.get(0).map_err(Error::sqlite(DOING))?, redacted.into_text().into_owned()));
        }
    }
    Ok(dirty)
}

fn clean_queries(connection: &Connection, redactor: &Redactor) -> Result<()> {
    let update = |(number, query): (rusqlite::types::Value, String)| -> rusqlite::Result<()> {
        type Columns = (String, i64, Vec<u8>, Option<String>, bool);
        let (run, at_ms, records, task, holdout): Columns = connection.query_row(
            "SELECT run, at_ms, records, task, holdout FROM exposures WHERE number = ?1",
            [&number],
            |columns| Ok((columns.get(0)?, columns.get(1)?, columns.get(2)?, columns.get(3)?, columns.get(4)?)),
        )?;
        let task = task.map(|task| redactor.redact(&task).into_text().into_owned());
        let checksum = exposure_checksum(&run, at_ms, &query, &records, task.as_deref(), holdout);
        connection.execute(
            "UPDATE exposures SET query = ?2, task = ?3, checksum = ?4 WHERE number = ?1",
            params![number, query, task, checksum],
        )?;
        Ok(())
    };
    let dirty = dirty_texts(connection, QUERIES, redactor)?;
    dirty.into_iter().try_for_each(update).map_err(Error::sqlite("remove a secret from a query"))
}

fn clean_reasons(connection: &Connection, redactor: &Redactor) -> Result<()> {
    let update = |(run, reason): (rusqlite::types::Value, String)| -> rusqlite::Result<()> {
        let (name, outcome, at_ms): (String, u8, i64) =
            connection.query_row("SELECT run, outcome, at_ms FROM runs WHERE run = ?1", [&run], |columns| {
                Ok((columns.get(0)?, columns.get(1)?, columns.get(2)?))
            })?;
        let checksum = run_checksum(&name, outcome, Some(&reason), at_ms);
        connection
            .execute("UPDATE runs SET reason = ?2, checksum = ?3 WHERE run = ?1", params![run, reason, checksum])?;
        Ok(())
    };
    let dirty = dirty_texts(connection, REASONS, redactor)?;
    dirty.into_iter().try_for_each(update).map_err(Error::sqlite("remove a secret from a reason"))
}

/// The store's own dictionaries that were trained on a secret.
fn dirty_dictionaries(connection: &Connection, redactor: &Redactor) -> Result<Vec<i64>> {
    let mut select = connection.prepare("SELECT number, bytes FROM dictionaries").map_err(Error::sqlite(DOING))?;
    let found: Vec<(i64, Vec<u8>)> = select
        .query_map([], |columns| Ok((columns.get(0)?, columns.get(1)?)))
        .and_then(Iterator::collect)
        .map_err(Error::sqlite(DOING))?;
    let dirty = found.into_iter().filter(|(number, bytes)| {
        *number >= OWN_FIRST && redactor.redact(&String::from_utf8_lossy(bytes)).hits().next().is_some()
    });
    Ok(dirty.map(|(number, _)| number).collect())
}

/// Stores some of the bodies that need this dictionary with the one that ships, and removes the dictionary once none
/// does; answers whether there is more to do. What the records say stays the same, so the log says nothing.
fn leave_dictionary(writing: &mut Writing, number: i64) -> Result<bool> {
    let doing = "leave a dictionary that was trained on a secret";
    let select = |connection: &Connection| -> rusqlite::Result<Vec<RawRow>> {
        let sql = format!("SELECT {COLUMNS} FROM records WHERE codec = ?1 AND body IS NOT NULL LIMIT {WRITE_BATCH}");
        connection.prepare(&sql)?.query_map([number], RawRow::from_columns)?.collect()
    };
    let rows = select(writing.connection()).map_err(Error::sqlite(doing))?;
    if rows.is_empty() {
        writing
            .connection()
            .execute("DELETE FROM dictionaries WHERE number = ?1", [number])
            .map_err(Error::sqlite(doing))?;
        writing.renew_encoder()?;
        return Ok(false);
    }
    let mut shipped = Encoder::shipped()?;
    for mut raw in rows {
        let (connection, reader) = writing.rows();
        let decoded = reader.decode(connection, raw.clone())?;
        let Some(record) = decoded.ok().and_then(|decoded| decoded.stored).map(|stored| stored.record) else {
            let id = RecordId::from_bytes(raw.id);
            let reason = "it needs a dictionary that was trained on a secret, and cannot be read".to_owned();
            return Err(Error::Damaged { row: raw.row, id: Some(id), reason });
        };
        let body = serde_json::to_vec(&record.body)
            .map_err(|error| Error::Refused { reason: format!("it cannot be written as JSON: {error}") })?;
        let (codec, body) = shipped.encode(body);
        (raw.codec, raw.body) = (codec, Some(body));
        raw.checksum = raw.checksum_with(record.scope.path(), &record.source, record.session.as_deref());
        connection
            .execute(
                "UPDATE records SET codec = ?2, body = ?3, checksum = ?4 WHERE row = ?1",
                params![raw.row, raw.codec, raw.body, raw.checksum],
            )
            .map_err(Error::sqlite(doing))?;
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::redact::OwnRule;
    use crate::store::{Exposure, Store};
    use crate::{Lookup, Message, Note, Origin, Outcome, Record, Role, Scope, Session};

    const SECRET: &str = "mauve-otter-7431";

    fn bytes_of(folder: &std::path::Path) -> Vec<u8> {
        let files = std::fs::read_dir(folder).unwrap().flatten();
        files.flat_map(|file| std::fs::read(file.path()).unwrap_or_default()).collect()
    }

    fn holds(folder: &std::path::Path) -> bool {
        bytes_of(folder).windows(SECRET.len()).any(|part| part == SECRET.as_bytes())
    }

    #[test]
    fn what_a_newer_rule_calls_a_secret_is_removed_from_every_file_of_the_store() {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(folder.path()).unwrap();
        let (intake, scope) = (Intake::new(), Scope::parse("ana").unwrap());
        let put = |record: Record| {
            let id = record.id;
            store.put(vec![intake.admit_one(record).unwrap()]).unwrap();
            id
        };
        // Enough of them that a dictionary is trained on the secret.
        let turns: Vec<_> = (0..6_000)
            .map(|number| {
                let text =
                    format!("turn {number}: the door code is {SECRET}, said the {number}th guest of {}", number * 7919);
                let mut record =
                    Record::new(scope.clone(), "test", Origin::User, Message::new(Role::User, number, text.repeat(3)));
                record.session = Some("s".into());
                intake.admit_one(record).unwrap()
            })
            .collect();
        for batch in turns.chunks(500) {
            store.put(batch.to_vec()).unwrap();
        }
        let kept =
            put(Record::new(scope.clone(), "test", Origin::User, Note::new("the code of the bike shed is 4471")));
        let forgotten = put(Record::new(scope.clone(), "test", Origin::User, Note::new(format!("code {SECRET}"))));
        store.forget(&[forgotten], Timestamp::now() + jiff::SignedDuration::from_hours(24)).unwrap();
        let mut session = Session::new("test", "s", scope.clone());
        session.title = Some(format!("is {SECRET} the code?"));
        store.put_session(session).unwrap();
        let exposure = Exposure::new("r", format!("use {SECRET}"), vec![kept]);
        store.expose(exposure).unwrap();
        store.finish_run("r", Outcome::Failure, Some(&format!("{SECRET} was refused"))).unwrap();
        assert!(holds(folder.path()));

        let rule = OwnRule { name: "door-code".into(), pattern: "[a-z]+-otter-[0-9]+".into() };
        let redactor = Redactor::with(&[rule], &[]).unwrap();
        let found = store.find_secrets(&redactor, &mut |_, _| true).unwrap();
        assert_eq!((found.records.len(), found.sessions, found.queries, found.reasons), (6_001, 1, 1, 1));
        assert_eq!(found.dictionaries.len(), 1, "the dictionary was trained on it");
        store.remove_secrets(&redactor, &found, &mut |_, _| true).unwrap();
        store.vacuum().unwrap();
        assert!(store.find_secrets(&redactor, &mut |_, _| true).unwrap().is_none());
        assert!(!holds(folder.path()));

        assert_eq!(store.check(&mut |_, _| true).unwrap(), []);
        let Lookup::Found(stored) = store.get(&[kept]).unwrap().remove(0) else { panic!("the note is gone") };
        assert_eq!(stored.record.text(), "the code of the bike shed is 4471");
        assert_eq!(store.exposures(1).unwrap()[0].query, "use [REDACTED:door-code]");
        store.undo_forget(forgotten).unwrap();
        drop(store);
        let store = SqliteStore::open(folder.path()).unwrap();
        let Lookup::Found(stored) = store.get(&[forgotten]).unwrap().remove(0) else { panic!("it does not come back") };
        assert_eq!(stored.record.text(), "code [REDACTED:door-code]");
    }
}

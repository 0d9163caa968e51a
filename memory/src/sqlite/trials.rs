//! What was given to runs and how they ended: exposures, runs, and where credit starts anew.

use std::collections::HashMap;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};
use xxhash_rust::xxh3::Xxh3;

use super::read;
use super::row::{from_ms, is_damage, to_ms};
use super::writer::Writing;
use crate::error::{Error, Result};
use crate::export::Run;
use crate::id::RecordId;
use crate::intake::clean_name;
use crate::record::{Body, Kind, Outcome, Record};
use crate::redact::Redactor;
use crate::scope::Scope;
use crate::session::run_name;
use crate::store::{EXPOSURE_RECORDS_MAX, EXPOSURE_TEXT_BYTES_MAX, Exposure, HOLDOUT_MAX, Trial};

/// The entry of `meta` with the share of runs that are given nothing.
const HOLDOUT: &str = "holdout";

/// The entry of `meta` that counts what changed in these tables.
const VERSION: &str = "trials_version";

/// A query keeps its beginning.
fn beginning(text: &str) -> &str {
    &text[..text.floor_char_boundary(EXPOSURE_TEXT_BYTES_MAX)]
}

/// An exposure without secrets, as it is stored: what somebody typed comes past the intake.
pub(super) fn clean(exposure: Exposure) -> Exposure {
    let redactor = Redactor::default();
    let clean = |text: &str| redactor.redact(beginning(text)).into_text().into_owned();
    Exposure {
        run: clean_name(&exposure.run).into_owned(),
        query: clean(&exposure.query),
        task: exposure.task.as_deref().map(clean),
        ..exposure
    }
}

/// Notes that records were given to a run.
///
/// A record that came out of the same run is left out: it would be credited with the run that it tells of.
pub(super) fn expose(writing: &mut Writing, exposure: &Exposure) -> Result<()> {
    let doing = "note an exposure";
    if exposure.run.trim().is_empty() || exposure.run.len() > EXPOSURE_TEXT_BYTES_MAX {
        let reason = format!("a run's id is empty or longer than {EXPOSURE_TEXT_BYTES_MAX} bytes");
        return Err(Error::Refused { reason });
    }
    if exposure.records.len() > EXPOSURE_RECORDS_MAX {
        let reason = format!("{} records in one exposure, the limit is {EXPOSURE_RECORDS_MAX}", exposure.records.len());
        return Err(Error::Refused { reason });
    }
    let exposure = clean(exposure.clone());
    let connection = writing.connection();
    let mut records = Vec::with_capacity(16 * exposure.records.len());
    for id in &exposure.records {
        let own: Option<String> = connection
            .prepare_cached("SELECT s.name FROM records r JOIN sessions s ON s.number = r.session WHERE r.id = ?1")
            .and_then(|mut select| select.query_row([id.as_bytes()], |columns| columns.get(0)).optional())
            .map_err(Error::sqlite(doing))?;
        if own.as_deref() != Some(exposure.run.as_str()) {
            records.extend_from_slice(id.as_bytes());
        }
    }
    let (query, task) = (exposure.query.as_str(), exposure.task.as_deref());
    let at_ms = to_ms(exposure.at);
    let checksum = exposure_checksum(&exposure.run, at_ms, query, &records, task, exposure.holdout);
    connection
        .prepare_cached(
            "INSERT INTO exposures (run, at_ms, query, records, checksum, task, holdout)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )
        .and_then(|mut insert| {
            insert.execute(params![exposure.run, at_ms, query, records, checksum, task, exposure.holdout])
        })
        .map_err(Error::sqlite(doing))?;
    changed(connection)
}

/// The checksum of a row of exposures. Rows of the first schema have neither a task nor a holdout, and keep theirs.
pub(super) fn exposure_checksum(
    run: &str,
    at_ms: i64,
    query: &str,
    records: &[u8],
    task: Option<&str>,
    holdout: bool,
) -> i64 {
    let at = at_ms.to_le_bytes();
    let mut parts = vec![run.as_bytes(), &at, query.as_bytes(), records];
    if task.is_some() || holdout {
        parts.push(if holdout { b"holdout" } else { b"given" });
        parts.push(task.unwrap_or("\0").as_bytes());
    }
    checksum(&parts)
}

/// Notes how a run ended.
pub(super) fn finish_run(writing: &mut Writing, run: &str, outcome: Outcome, reason: Option<&str>) -> Result<()> {
    if run.trim().is_empty() || run.len() > EXPOSURE_TEXT_BYTES_MAX {
        let reason = format!("a run's id is empty or longer than {EXPOSURE_TEXT_BYTES_MAX} bytes");
        return Err(Error::Refused { reason });
    }
    note_run(writing, run, outcome, reason, writing.now_ms)
}

/// Notes how a run ended, and when that was said.
pub(super) fn note_run(writing: &Writing, run: &str, outcome: Outcome, reason: Option<&str>, at_ms: i64) -> Result<()> {
    let run = &*clean_name(run);
    let clean = reason.map(|reason| Redactor::default().redact(beginning(reason)).into_text().into_owned());
    let reason = clean.as_deref();
    let checksum = run_checksum(run, outcome.code(), reason, at_ms);
    let connection = writing.connection();
    connection
        .execute(
            "INSERT OR REPLACE INTO runs (run, outcome, reason, at_ms, checksum) VALUES (?1, ?2, ?3, ?4, ?5)",
            params![run, outcome.code(), reason, at_ms, checksum],
        )
        .map_err(Error::sqlite("note how a run ended"))?;
    changed(connection)
}

/// Takes from an episode how its session ended, where that session was given something under its own name, as hooks do:
/// nobody else says it of them. What is said later replaces it; that nothing is known says nothing, unless somebody
/// says so. Of somebody bound to a scope it says that of no run but their own.
pub(super) fn told_by(writing: &Writing, record: &Record, bound: Option<&Scope>) -> Result<()> {
    let (Body::Episode(episode), Some(session)) = (&record.body, &record.session) else { return Ok(()) };
    let silent = episode.outcome == Outcome::Unknown && !episode.outcome_said;
    let run = &*run_name(session, bound);
    if silent || session.trim().is_empty() || run.len() > EXPOSURE_TEXT_BYTES_MAX {
        return Ok(());
    }
    let given = writing
        .connection()
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM exposures WHERE run = ?1)")
        .and_then(|mut select| select.query_row([&*clean_name(run)], |columns| columns.get::<_, bool>(0)))
        .map_err(Error::sqlite("look up what a session was given"))?;
    if !given {
        return Ok(());
    }
    note_run(writing, run, episode.outcome, episode.reason.as_deref(), writing.now_ms)
}

/// The checksum of a row of runs.
pub(super) fn run_checksum(run: &str, outcome: u8, reason: Option<&str>, at_ms: i64) -> i64 {
    checksum(&[run.as_bytes(), &[outcome], reason.unwrap_or("\0").as_bytes(), &at_ms.to_le_bytes()])
}

fn checksum(parts: &[&[u8]]) -> i64 {
    let mut sum = Xxh3::new();
    for part in parts {
        sum.update(&(part.len() as u64).to_le_bytes());
        sum.update(part);
    }
    sum.digest() as i64
}

/// Counts a change: what was computed from these tables is computed again.
pub(super) fn changed(connection: &Connection) -> Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO meta VALUES (?1, 1) ON CONFLICT (name) DO UPDATE SET value = CAST(value AS INTEGER) + 1",
        )
        .and_then(|mut count| count.execute([VERSION]))
        .map_err(Error::sqlite("count a change of what runs were given"))?;
    Ok(())
}

/// A number that changes with these tables.
pub(super) fn version(connection: &Connection) -> Result<u64> {
    let found: Option<i64> = connection
        .prepare_cached("SELECT CAST(value AS INTEGER) FROM meta WHERE name = ?1")
        .and_then(|mut select| select.query_row([VERSION], |columns| columns.get(0)).optional())
        .map_err(Error::sqlite("read what runs were given"))?;
    Ok(found.unwrap_or(0) as u64)
}

/// Removes what a run says in words, what was asked for it and why it ended so: its session is gone for good.
///
/// A damaged row loses its words too, and stays damaged.
pub(super) fn empty_run(connection: &Connection, run: &str) -> Result<()> {
    let doing = "remove the words of a run";
    let select = || -> rusqlite::Result<Vec<(i64, Option<i64>)>> {
        connection
            .prepare_cached(
                "SELECT run, at_ms, query, records, checksum, task, holdout, number FROM exposures
                 WHERE run = ?1 AND (query <> '' OR task IS NOT NULL)",
            )?
            .query_map([run], |columns| {
                let checksum = match exposure(columns) {
                    Ok(Some(exposure)) => {
                        let (at_ms, records) = (columns.get(1)?, columns.get::<_, Vec<u8>>(3)?);
                        Some(exposure_checksum(run, at_ms, "", &records, None, exposure.holdout))
                    }
                    Ok(None) => None,
                    Err(error) if is_damage(&error) => None,
                    Err(error) => return Err(error),
                };
                Ok((columns.get(7)?, checksum))
            })?
            .collect()
    };
    let exposures = select().map_err(Error::sqlite(doing))?;
    let mut removed = !exposures.is_empty();
    for (number, checksum) in exposures {
        connection
            .prepare_cached(
                "UPDATE exposures SET query = '', task = NULL, checksum = coalesce(?2, checksum) WHERE number = ?1",
            )
            .and_then(|mut update| update.execute(params![number, checksum]))
            .map_err(Error::sqlite(doing))?;
    }
    let select = "SELECT run, outcome, reason, at_ms, checksum FROM runs WHERE run = ?1 AND reason IS NOT NULL";
    let found = connection.prepare_cached(select).and_then(|mut select| select.query_row([run], run_end).optional());
    let checksum = match found {
        Ok(None) => return if removed { changed(connection) } else { Ok(()) },
        Ok(Some(end)) => end.map(|end| run_checksum(run, end.outcome.code(), None, to_ms(end.at))),
        Err(error) if is_damage(&error) => None,
        Err(source) => return Err(Error::Sqlite { doing, source }),
    };
    removed |= connection
        .execute(
            "UPDATE runs SET reason = NULL, checksum = coalesce(?2, checksum) WHERE run = ?1",
            params![run, checksum],
        )
        .map_err(Error::sqlite(doing))?
        > 0;
    if removed { changed(connection) } else { Ok(()) }
}

/// The newest exposures, newest first; damaged rows are left out and logged.
pub(super) fn exposures(connection: &Connection, limit: usize) -> Result<Vec<Exposure>> {
    let doing = "read the exposures";
    let mut select = connection
        .prepare_cached(
            "SELECT run, at_ms, query, records, checksum, task, holdout FROM exposures ORDER BY number DESC LIMIT ?1",
        )
        .map_err(Error::sqlite(doing))?;
    let rows = select.query([i64::try_from(limit).unwrap_or(i64::MAX)]).map_err(Error::sqlite(doing))?;
    whole(rows, exposure).map_err(Error::sqlite(doing))
}

/// An exposure from its columns run, at_ms, query, records, checksum, task, holdout; `None` when it does not fit its
/// checksum.
pub(super) fn exposure(columns: &rusqlite::Row) -> rusqlite::Result<Option<Exposure>> {
    let (run, at_ms, query): (String, i64, String) = (columns.get(0)?, columns.get(1)?, columns.get(2)?);
    let (records, checksum): (Vec<u8>, i64) = (columns.get(3)?, columns.get(4)?);
    let (task, holdout): (Option<String>, bool) = (columns.get(5)?, columns.get(6)?);
    let fits = exposure_checksum(&run, at_ms, &query, &records, task.as_deref(), holdout) == checksum;
    Ok(from_ms(at_ms).filter(|_| fits).map(|at| {
        let ids = records.as_chunks::<16>().0.iter().map(|bytes| RecordId::from_bytes(*bytes));
        Exposure { run, records: ids.collect(), at, query, task, holdout }
    }))
}

/// How a run ended from its columns run, outcome, reason, at_ms, checksum; `None` when it does not fit its checksum.
pub(super) fn run_end(columns: &rusqlite::Row) -> rusqlite::Result<Option<Run>> {
    let (run, code, reason): (String, u8, Option<String>) = (columns.get(0)?, columns.get(1)?, columns.get(2)?);
    let (at_ms, checksum): (i64, i64) = (columns.get(3)?, columns.get(4)?);
    let fits = run_checksum(&run, code, reason.as_deref(), at_ms) == checksum;
    let known = Outcome::from_code(code).zip(from_ms(at_ms)).filter(|_| fits);
    Ok(known.map(|(outcome, at)| Run { run, outcome, reason, at }))
}

/// Where a record's credit starts anew from its columns record, at_ms, checksum; `None` when it does not fit its
/// checksum.
pub(super) fn credit_reset(columns: &rusqlite::Row) -> rusqlite::Result<Option<(RecordId, Timestamp)>> {
    let (id, at_ms, sum): ([u8; 16], i64, i64) = (columns.get(0)?, columns.get(1)?, columns.get(2)?);
    let fits = checksum(&[&id, &at_ms.to_le_bytes()]) == sum;
    Ok(from_ms(at_ms).filter(|_| fits).map(|at| (RecordId::from_bytes(id), at)))
}

/// What rows say that fit their checksums; the others are left out and logged.
pub(super) fn whole<T>(
    mut rows: rusqlite::Rows,
    from_columns: fn(&rusqlite::Row) -> rusqlite::Result<Option<T>>,
) -> rusqlite::Result<Vec<T>> {
    let mut whole = Vec::new();
    while let Some(columns) = rows.next()? {
        match from_columns(columns) {
            Ok(Some(said)) => whole.push(said),
            Ok(None) => tracing::warn!("a row of what runs were given does not fit its checksum"),
            Err(error) if is_damage(&error) => {
                tracing::warn!(%error, "a row of what runs were given cannot be read");
            }
            Err(error) => return Err(error),
        }
    }
    Ok(whole)
}

/// The newest runs that were given something, oldest first.
pub(super) fn trials(connection: &Connection, limit: usize) -> Result<Vec<Trial>> {
    let mut trials: Vec<Trial> = Vec::new();
    let mut places: HashMap<String, usize> = HashMap::new();
    // A run is given something once as a rule, so that as many exposures hold about as many runs.
    for exposure in exposures(connection, limit)?.into_iter().rev() {
        match places.get(&exposure.run) {
            Some(&place) => {
                let trial = &mut trials[place];
                for id in exposure.records {
                    if !trial.records.contains(&id) {
                        trial.records.push(id);
                    }
                }
                // What was given once was given, whatever is said later.
                trial.holdout &= exposure.holdout;
                trial.task = trial.task.take().or(exposure.task);
            }
            None => {
                places.insert(exposure.run.clone(), trials.len());
                let mut records: Vec<RecordId> = Vec::with_capacity(exposure.records.len());
                for id in exposure.records {
                    if !records.contains(&id) {
                        records.push(id);
                    }
                }
                trials.push(Trial {
                    run: exposure.run,
                    at: exposure.at,
                    query: exposure.query,
                    task: exposure.task,
                    holdout: exposure.holdout,
                    records,
                    outcome: None,
                    reason: None,
                });
            }
        }
    }
    for trial in &mut trials {
        if let Some((outcome, reason)) = ended(connection, &trial.run)? {
            (trial.outcome, trial.reason) = (Some(outcome), reason);
        }
    }
    let mut heirs = Heirs::default();
    for trial in &mut trials {
        trial.records = heirs.of_all(connection, std::mem::take(&mut trial.records))?;
    }
    Ok(trials)
}

/// Who is credited with what an earlier version of it was given for. A session that goes on has its episode drawn anew,
/// and a message may grow: the version before is forgotten by whoever drew it, and says the same. A note that was
/// forgotten said something else than the one that replaces it, and keeps its own.
#[derive(Default)]
struct Heirs {
    known: HashMap<RecordId, RecordId>,
    /// Whether any record replaces another, once that is known.
    any: Option<bool>,
}

impl Heirs {
    /// These records, or who stands in their place; each once, in order.
    fn of_all(&mut self, connection: &Connection, records: Vec<RecordId>) -> Result<Vec<RecordId>> {
        let any = match self.any {
            Some(any) => any,
            None => *self.any.insert(read::any_replaces(connection)?),
        };
        if !any {
            return Ok(records);
        }
        let mut heirs = Vec::with_capacity(records.len());
        for id in records {
            let heir = self.of(connection, id)?;
            if !heirs.contains(&heir) {
                heirs.push(heir);
            }
        }
        Ok(heirs)
    }

    fn of(&mut self, connection: &Connection, id: RecordId) -> Result<RecordId> {
        if let Some(heir) = self.known.get(&id) {
            return Ok(*heir);
        }
        let kinds = (Kind::Message.code(), Kind::Episode.code());
        let drawn_anew: bool = connection
            .prepare_cached(
                "SELECT EXISTS (SELECT 1 FROM records WHERE id = ?1 AND deleted_at_ms IS NOT NULL AND kind IN (?2, ?3))",
            )
            .and_then(|mut select| select.query_row(params![id.as_bytes(), kinds.0, kinds.1], |columns| columns.get(0)))
            .map_err(Error::sqlite("look for who is credited"))?;
        let heir = if drawn_anew { read::latest(connection, id)?.unwrap_or(id) } else { id };
        self.known.insert(id, heir);
        Ok(heir)
    }
}

/// How a run ended; a damaged row says nothing and is logged.
pub(super) fn ended(connection: &Connection, run: &str) -> Result<Option<(Outcome, Option<String>)>> {
    let doing = "read how runs ended";
    let mut select = connection
        .prepare_cached("SELECT run, outcome, reason, at_ms, checksum FROM runs WHERE run = ?1")
        .map_err(Error::sqlite(doing))?;
    let rows = select.query([&*clean_name(run)]).map_err(Error::sqlite(doing))?;
    let ends = whole(rows, run_end).map_err(Error::sqlite(doing))?;
    Ok(ends.into_iter().next().map(|end| (end.outcome, end.reason)))
}

/// How each run ended, in the order of their names; damaged rows are left out and logged.
pub(super) fn runs(connection: &Connection) -> Result<Vec<Run>> {
    let doing = "read the runs";
    let mut select = connection
        .prepare_cached("SELECT run, outcome, reason, at_ms, checksum FROM runs ORDER BY run")
        .map_err(Error::sqlite(doing))?;
    let rows = select.query([]).map_err(Error::sqlite(doing))?;
    whole(rows, run_end).map_err(Error::sqlite(doing))
}

/// From `at` on a record's credit starts anew.
pub(super) fn reset_credit(writing: &mut Writing, id: RecordId, at: Timestamp) -> Result<()> {
    let at_ms = to_ms(at);
    let connection = writing.connection();
    connection
        .execute(
            "INSERT OR REPLACE INTO credit_resets (record, at_ms, checksum) VALUES (?1, ?2, ?3)",
            params![id.as_bytes(), at_ms, checksum(&[id.as_bytes(), &at_ms.to_le_bytes()])],
        )
        .map_err(Error::sqlite("start a record's credit anew"))?;
    changed(connection)
}

/// Where records' credit starts anew; damaged rows are left out and logged.
pub(super) fn credit_resets(connection: &Connection) -> Result<Vec<(RecordId, Timestamp)>> {
    let doing = "read where credit starts anew";
    let mut select =
        connection.prepare_cached("SELECT record, at_ms, checksum FROM credit_resets").map_err(Error::sqlite(doing))?;
    let rows = select.query([]).map_err(Error::sqlite(doing))?;
    let mut resets = whole(rows, credit_reset).map_err(Error::sqlite(doing))?;
    let mut heirs = Heirs::default();
    for (id, _) in &mut resets {
        *id = heirs.of_all(connection, vec![*id])?.pop().unwrap_or(*id);
    }
    // Of several that come to one record, whoever takes them into a map keeps the last.
    resets.sort_by_key(|(_, at)| *at);
    Ok(resets)
}

/// The share of runs that are given nothing.
pub(super) fn holdout(connection: &Connection) -> Result<f64> {
    let found: Option<f64> = connection
        .query_row("SELECT CAST(value AS REAL) FROM meta WHERE name = ?1", [HOLDOUT], |columns| columns.get(0))
        .optional()
        .map_err(Error::sqlite("read the holdout"))?;
    Ok(found.unwrap_or(0.0).clamp(0.0, HOLDOUT_MAX))
}

/// Sets the share of runs that are given nothing.
pub(super) fn set_holdout(writing: &mut Writing, share: f64) -> Result<()> {
    if !(0.0..=HOLDOUT_MAX).contains(&share) {
        return Err(Error::Refused { reason: format!("a holdout of {share} is not between 0 and {HOLDOUT_MAX}") });
    }
    writing
        .connection()
        .execute("INSERT OR REPLACE INTO meta VALUES (?1, ?2)", params![HOLDOUT, share])
        .map_err(Error::sqlite("set the holdout"))?;
    Ok(())
}

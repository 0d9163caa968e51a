//! Reading every row and the whole log, and reporting what does not fit.

use std::collections::HashMap;

use rusqlite::{OptionalExtension, params};

use super::put::parse_session;
use super::row::is_damage;
use super::{SqliteStore, fold, read, readings, repeats, requests, trials};
use crate::change::{CHAIN_START, ChangeKind, chain_next};
use crate::error::{Error, Result};
use crate::id::RecordId;
use crate::store::{Finding, Lookup, Row};

/// Rows checked in one snapshot: keeps read transactions short beside writers.
const BATCH: i64 = 2_000;

/// Findings of one kind listed in full; the rest are counted.
const LISTED_MAX: usize = 20;

pub(super) fn check(store: &SqliteStore, progress: &mut dyn FnMut(u64, u64) -> bool) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    if let Some(lost) = store.lost_tail()? {
        findings.push(Finding {
            code: "tail-lost",
            what: format!(
                "the change log ends at {}, but {} had been acknowledged: the last {} changes were lost (noticed {})",
                lost.found,
                lost.acknowledged,
                lost.acknowledged.saturating_sub(lost.found),
                lost.noticed_at
            ),
            hint: "import the latest sessions again, or restore a backup; `harness doctor --fix` ends this report"
                .to_owned(),
        });
    }
    let rows_all = last(store, "SELECT coalesce(max(row), 0) FROM records")?;
    let changes_all = last(store, "SELECT coalesce(max(seq), 0) FROM changes")?;
    let total = rows_all + changes_all;
    let ids = check_rows(store, rows_all, &mut |done| progress(done, total), &mut findings)?;
    let Some(ids) = ids else { return Ok(findings) };
    check_log(store, &ids, &mut |done| progress(rows_all + done, total), &mut findings)?;
    for table in BESIDE {
        check_table(store, table, &mut findings)?;
    }
    if let Some(what) = store.read(|reader| repeats::check(&reader.connection))? {
        let hint = "export the store and import it into a new one, or restore a backup".to_owned();
        findings.push(Finding { code: "repeats-damaged", what, hint });
    }
    check_pages(store, &mut findings)?;
    Ok(shorten(findings))
}

fn last(store: &SqliteStore, sql: &str) -> Result<u64> {
    store.read(|reader| {
        let last: i64 =
            reader.connection.query_row(sql, [], |columns| columns.get(0)).map_err(Error::sqlite("check the store"))?;
        Ok(last as u64)
    })
}

/// Reads every row up to the last; answers their ids, or `None` when the caller stopped it.
fn check_rows(
    store: &SqliteStore,
    last: u64,
    progress: &mut dyn FnMut(u64) -> bool,
    findings: &mut Vec<Finding>,
) -> Result<Option<HashMap<i64, RecordId>>> {
    let mut ids = HashMap::new();
    let mut next: i64 = 1;
    while next <= last as i64 {
        let end = (next + BATCH - 1).min(last as i64);
        store.read(|reader| {
            for row in next..=end {
                match reader.by_row(Row(row))? {
                    Lookup::Found(stored) => {
                        ids.insert(row, stored.record.id);
                        // The row was found by its number; it must be found by its id too.
                        if !matches!(reader.by_id(stored.record.id)?, Lookup::Found(found) if found.row.0 == row) {
                            findings.push(Finding {
                                code: "id-lost",
                                what: format!("record {} (row {row}) is not found by its id", stored.record.id),
                                hint: "the database's own index is damaged: restore a backup".to_owned(),
                            });
                        }
                    }
                    Lookup::Forgotten(_) => {
                        if let Some(id) = id_of(&reader.connection, row)? {
                            ids.insert(row, id);
                        }
                    }
                    Lookup::Missing => findings.push(Finding {
                        code: "row-missing",
                        what: format!("row {row} is missing from the table of records"),
                        hint: "rows are never removed, so this one was lost: restore a backup".to_owned(),
                    }),
                    Lookup::Damaged { id, reason, .. } => {
                        if let Some(id) = id {
                            ids.insert(row, id);
                        }
                        let name = id.map_or(String::new(), |id| format!(" ({id})"));
                        findings.push(Finding {
                            code: "row-damaged",
                            what: format!("record row {row}{name} is damaged: {reason}"),
                            hint:
                                "it is left out of every answer; restore it from a backup, or import its source again"
                                    .to_owned(),
                        });
                    }
                }
            }
            Ok(())
        })?;
        next = end + 1;
        if !progress(end as u64) {
            return Ok(None);
        }
    }
    Ok(Some(ids))
}

fn id_of(connection: &rusqlite::Connection, row: i64) -> Result<Option<RecordId>> {
    let id: Option<[u8; 16]> = connection
        .query_row("SELECT id FROM records WHERE row = ?1", [row], |columns| columns.get(0))
        .optional()
        .map_err(Error::sqlite("check the store"))?;
    Ok(id.map(RecordId::from_bytes))
}

/// Reads the log: no gap, each hash covers the one before, each row was put once.
fn check_log(
    store: &SqliteStore,
    ids: &HashMap<i64, RecordId>,
    progress: &mut dyn FnMut(u64) -> bool,
    findings: &mut Vec<Finding>,
) -> Result<()> {
    let finding = |what: String| Finding {
        code: "log-damaged",
        what,
        hint: "the indexes can be rebuilt (`harness index rebuild`); restore a backup to mend the log".to_owned(),
    };
    // A log whose beginning was folded starts from the hash that was noted then.
    let folded = store.read(|reader| fold::folded(&reader.connection))?;
    let begins = folded.map_or((0, CHAIN_START), |folded| (folded.seq as i64, folded.chain));
    let mut before: Option<(i64, [u8; 16])> = Some(begins);
    let mut seq = begins.0;
    let mut put = std::collections::HashSet::new();
    let mut whole = folded.is_none();
    loop {
        let batch = store.read(|reader| {
            let mut select = reader
                .connection
                .prepare_cached("SELECT seq, row, kind, at_ms, chain FROM changes WHERE seq > ?1 ORDER BY seq LIMIT ?2")
                .map_err(Error::sqlite("check the change log"))?;
            let rows =
                select.query_map(params![seq, BATCH], read::change).map_err(Error::sqlite("check the change log"))?;
            Ok(rows.collect::<Vec<_>>())
        })?;
        let mut moved = false;
        for change in batch {
            let change = match change {
                Ok(change) => change,
                Err(error) if is_damage(&error) => {
                    findings.push(finding(format!("the change after {seq} cannot be read: {error}")));
                    whole = false;
                    // The next round starts past it.
                    seq += 1;
                    before = None;
                    moved = true;
                    break;
                }
                Err(source) => return Err(Error::Sqlite { doing: "check the change log", source }),
            };
            moved = true;
            let this = change.seq as i64;
            if let Some((last, chain)) = before {
                if this != last + 1 {
                    findings.push(finding(format!("the change log jumps from {last} to {this}")));
                } else if let Some(id) = ids.get(&change.row.0)
                    && chain_next(&chain, change.seq, change.kind, change.at_ms, id) != change.chain
                {
                    findings.push(finding(format!("change {this} does not fit its hash")));
                }
            }
            if change.kind == ChangeKind::Put && !put.insert(change.row.0) {
                findings.push(finding(format!("row {} was put twice, again at change {this}", change.row.0)));
            }
            before = Some((this, change.chain));
            seq = this;
        }
        if !moved {
            break;
        }
        if !progress(seq as u64) {
            return Ok(());
        }
    }
    if whole {
        for row in ids.keys().filter(|row| !put.contains(row)) {
            findings.push(finding(format!("row {row} is not in the change log")));
        }
    }
    Ok(())
}

/// A table beside the records whose rows carry checksums.
struct Table {
    /// Selects what `fits` wants to see of each row, and last what names it, in an order that stays.
    select: &'static str,
    /// Whether a row fits its checksum and can be read.
    fits: fn(&rusqlite::Row) -> rusqlite::Result<bool>,
    /// What a row is called.
    noun: &'static str,
    code: &'static str,
    hint: &'static str,
}

/// The code of a note of how far a transcript was read that is damaged: nothing is lost with it.
pub(super) const READING_DAMAGED: &str = "reading-damaged";

/// What stands beside the records.
const BESIDE: &[Table] = &[
    Table {
        select: "SELECT info, checksum, name FROM sessions ORDER BY number",
        fits: |columns| Ok(parse_session(&columns.get::<_, String>(0)?, columns.get(1)?).is_some()),
        noun: "session",
        code: SESSION_DAMAGED,
        hint: "it is not listed, its messages are; restore a backup",
    },
    Table {
        select: "SELECT run, at_ms, query, records, checksum, task, holdout, run FROM exposures ORDER BY number",
        fits: |columns| Ok(trials::exposure(columns)?.is_some()),
        noun: "what was given to the run",
        code: "exposure-damaged",
        hint: "it is left out of audits and of credit; restore a backup where that matters",
    },
    Table {
        select: "SELECT run, outcome, reason, at_ms, checksum, run FROM runs ORDER BY run",
        fits: |columns| Ok(trials::run_end(columns)?.is_some()),
        noun: "the end of the run",
        code: "run-damaged",
        hint: "it counts as not known; say again how the run ended, or restore a backup",
    },
    Table {
        select: "SELECT record, at_ms, checksum, lower(hex(record)) FROM credit_resets ORDER BY record",
        fits: |columns| Ok(trials::credit_reset(columns)?.is_some()),
        noun: "where the credit starts anew of the record",
        code: "credit-damaged",
        hint: "all that happened counts for that record again; restore a backup where that matters",
    },
    Table {
        select: "SELECT tool, path, scope, state, checksum, path FROM readings ORDER BY path, tool, scope",
        fits: |columns| Ok(readings::from_columns(columns)?.is_some()),
        noun: "how far a transcript was read:",
        code: READING_DAMAGED,
        hint: "import the transcript again: it is read from its start, which adds nothing twice",
    },
    Table {
        select: "SELECT name, print, records, at_ms, checksum, lower(hex(name)) FROM requests ORDER BY name",
        fits: requests::fits,
        noun: "what was asked for under the name",
        code: REQUEST_DAMAGED,
        hint: "that request is refused when it comes again; it is forgotten after thirty days",
    },
];

/// The code of a request that is damaged.
const REQUEST_DAMAGED: &str = "request-damaged";

/// The code of a session that is damaged.
pub(crate) const SESSION_DAMAGED: &str = "session-damaged";

impl SqliteStore {
    /// The damaged rows beside the records, which an export has to leave out.
    pub(crate) fn damaged_beside(&self) -> Result<Vec<Finding>> {
        let mut findings = Vec::new();
        // Notes of what was read, and of what was asked for, are in no export.
        for table in BESIDE.iter().filter(|table| ![READING_DAMAGED, REQUEST_DAMAGED].contains(&table.code)) {
            check_table(self, table, &mut findings)?;
        }
        Ok(findings)
    }
}

/// Reads every row of a table, some at a time. What others add meanwhile may be missed or seen twice.
fn check_table(store: &SqliteStore, table: &Table, findings: &mut Vec<Finding>) -> Result<()> {
    let doing = "check what stands beside the records";
    let finding = |what: String| Finding { code: table.code, what, hint: table.hint.to_owned() };
    let mut done = 0;
    loop {
        let seen = store.read(|reader| {
            let sql = format!("{} LIMIT {BATCH} OFFSET {done}", table.select);
            let mut select = reader.connection.prepare(&sql).map_err(Error::sqlite(doing))?;
            let last = select.column_count() - 1;
            let mut rows = select.query([]).map_err(Error::sqlite(doing))?;
            let mut seen = 0;
            loop {
                let columns = match rows.next() {
                    Ok(Some(columns)) => columns,
                    Ok(None) => return Ok(seen),
                    Err(error) if is_damage(&error) => {
                        findings.push(finding(format!("{} cannot be read: {error}", table.noun)));
                        // The rest of the table lies behind it.
                        return Ok(0);
                    }
                    Err(source) => return Err(Error::Sqlite { doing, source }),
                };
                seen += 1;
                let reason = match (table.fits)(columns) {
                    Ok(true) => continue,
                    Ok(false) => "it does not fit its checksum".to_owned(),
                    Err(error) if is_damage(&error) => error.to_string(),
                    Err(source) => return Err(Error::Sqlite { doing, source }),
                };
                // Quoted: what stands in a damaged row may be anything.
                let name: String = columns.get(last).unwrap_or_default();
                findings.push(finding(format!("{} {name:?} is damaged: {reason}", table.noun)));
            }
        })?;
        if seen < BATCH {
            return Ok(());
        }
        done += seen;
    }
}

/// SQLite's own check of its pages.
fn check_pages(store: &SqliteStore, findings: &mut Vec<Finding>) -> Result<()> {
    let report = store.read(|reader| {
        let mut select =
            reader.connection.prepare("PRAGMA quick_check(20)").map_err(Error::sqlite("check the database's pages"))?;
        let lines = select
            .query_map([], |columns| columns.get::<_, String>(0))
            .map_err(Error::sqlite("check the database's pages"))?
            .map(|line| line.unwrap_or_else(|error| error.to_string()))
            .collect::<Vec<_>>();
        Ok(lines)
    })?;
    for line in report.into_iter().filter(|line| line != "ok") {
        findings.push(Finding {
            code: "pages-damaged",
            what: format!("SQLite reports: {line}"),
            hint: "restore a backup".to_owned(),
        });
    }
    Ok(())
}

/// Keeps the first findings of each kind and counts the rest.
fn shorten(findings: Vec<Finding>) -> Vec<Finding> {
    let mut seen: HashMap<&'static str, usize> = HashMap::new();
    let mut kept = Vec::new();
    for finding in findings {
        let count = seen.entry(finding.code).or_insert(0);
        *count += 1;
        if *count <= LISTED_MAX {
            kept.push(finding);
        }
    }
    for (code, count) in seen {
        if count > LISTED_MAX {
            let what = format!("{} further findings of the kind {code}", count - LISTED_MAX);
            kept.push(Finding { code, what, hint: "as above".to_owned() });
        }
    }
    kept
}

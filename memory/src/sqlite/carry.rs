//! What an export carries out of a store, and an import into one.

use std::collections::HashSet;

use rusqlite::{OptionalExtension, params};

use super::edit::{self, open, save};
use super::put::{self, Place};
use super::row::{self, COLUMNS, RawRow, to_ms};
use super::writer::Writing;
use super::{SqliteStore, codec, trials};
use crate::change::ChangeKind;
use crate::error::{Error, Result};
use crate::export::{Carried, Reset, Run, Tombstone};
use crate::id::RecordId;
use crate::intake::{Admitted, NAME_BYTES_MAX, clean_name};
use crate::scope::Scope;
use crate::session::Session;
use crate::store::{EXPOSURE_TEXT_BYTES_MAX, Exposure, Forgotten, Store};

/// One row on its way out.
#[derive(Debug)]
pub enum Carry {
    /// A record.
    Record(Box<Carried>),
    /// What is left of one.
    Tombstone(Tombstone),
    /// A row that does not fit its checksum, or does not decode.
    Damaged {
        /// The record.
        id: RecordId,
        /// What does not fit.
        reason: String,
    },
}

impl Carry {
    /// The id after which the next page starts.
    pub fn place(&self) -> RecordId {
        match self {
            Carry::Record(carried) => carried.record.id,
            Carry::Tombstone(tombstone) => tombstone.id,
            Carry::Damaged { id, .. } => *id,
        }
    }

    /// The record and its scope, unless it is damaged.
    pub fn whose(&self) -> Option<(RecordId, &Scope)> {
        match self {
            Carry::Record(carried) => Some((carried.record.id, &carried.record.scope)),
            Carry::Tombstone(tombstone) => Some((tombstone.id, &tombstone.scope)),
            Carry::Damaged { .. } => None,
        }
    }
}

/// One thing on its way in.
#[derive(Debug)]
pub enum CarryIn {
    /// A session, or what is known of it.
    Session(Session),
    /// A record, and when it was forgotten, if it was.
    Record(Box<Admitted>, Option<Forgotten>),
    /// What is left of a record.
    Tombstone(Tombstone),
    /// What was given to a run.
    Exposure(Exposure),
    /// How a run ended.
    Run(Run),
    /// From when on a record's credit counts.
    Reset(Reset),
}

/// What became of it.
#[derive(Clone, Debug, PartialEq)]
pub enum Became {
    /// The record or tombstone was added.
    Added,
    /// It is there already, under this id or by its provenance under another.
    Known {
        /// The id it came with.
        id: RecordId,
        /// The id it has here.
        here: RecordId,
    },
    /// A record of this id is there with another content, which was kept.
    Kept,
    /// It was there and is forgotten now.
    Forgotten,
    /// A session was added, or more is known of it.
    Session,
    /// An exposure was added.
    Exposure,
    /// The end of a run was added.
    Run,
    /// It said nothing new.
    Nothing,
    /// It cannot be taken in.
    Refused(String),
}

impl Tombstone {
    /// Refuses names that no record could have.
    pub(crate) fn check(&self) -> std::result::Result<(), String> {
        let names = [Some(&self.source), self.session.as_ref(), self.key.as_ref()];
        match names.into_iter().flatten().find(|name| name.len() > NAME_BYTES_MAX) {
            Some(_) => Err(format!("it has a name that is longer than {NAME_BYTES_MAX} bytes")),
            None => Ok(()),
        }
    }
}

impl SqliteStore {
    /// At most `limit` records and tombstones whose ids come after this one, in the order of their ids, forgotten ones too.
    pub fn carry_out(&self, after: Option<RecordId>, limit: usize) -> Result<Vec<Carry>> {
        let doing = "read the records for an export";
        self.read(|reader| {
            let ids: Vec<[u8; 16]> = {
                let mut select = reader
                    .connection
                    .prepare_cached("SELECT id FROM records WHERE id > ?1 ORDER BY id LIMIT ?2")
                    .map_err(Error::sqlite(doing))?;
                let after: &[u8] = after.as_ref().map_or(&[], |id| id.as_bytes());
                let rows =
                    select.query_map(params![after, limit as i64], |c| c.get(0)).map_err(Error::sqlite(doing))?;
                rows.collect::<rusqlite::Result<_>>().map_err(Error::sqlite(doing))?
            };
            ids.into_iter().map(|id| reader.carry(RecordId::from_bytes(id))).collect()
        })
    }

    /// How many records and tombstones there are.
    pub fn carry_count(&self) -> Result<u64> {
        self.read(|reader| {
            let count: i64 = reader
                .connection
                .query_row("SELECT count(*) FROM records", [], |columns| columns.get(0))
                .map_err(Error::sqlite("count the records"))?;
            Ok(count as u64)
        })
    }

    /// How each run ended, in the order of their names.
    pub fn carry_runs(&self) -> Result<Vec<Run>> {
        self.read(|reader| trials::runs(&reader.connection))
    }

    /// Takes these in, in order, in one transaction, and answers what became of each. `dry_run` undoes all of it.
    pub fn carry_in(&self, carries: Vec<CarryIn>, dry_run: bool) -> Result<Vec<Became>> {
        let known: Vec<Exposure> = if carries.iter().any(|carry| matches!(carry, CarryIn::Exposure(_))) {
            self.exposures(usize::MAX >> 1)?
        } else {
            Vec::new()
        };
        let (tell, told) = std::sync::mpsc::sync_channel(1);
        let written = self.write(move |writing| {
            let mut exposures: HashSet<String> = known.iter().map(exposure_text).collect();
            let mut buried = HashSet::new();
            let became: Vec<Became> = carries
                .into_iter()
                .map(|carry| take_in(writing, carry, &mut exposures, &mut buried))
                .collect::<Result<_>>()?;
            put::empty_sessions(writing.connection(), buried)?;
            let _ = tell.send(became);
            if dry_run { Err(Error::Refused { reason: "a dry run writes nothing".to_owned() }) } else { Ok(()) }
        });
        match (written, told.try_recv()) {
            (Ok(()), Ok(became)) => Ok(became),
            (Err(_), Ok(became)) if dry_run => Ok(became),
            (Err(error), _) => Err(error),
            (Ok(()), Err(_)) => Ok(Vec::new()),
        }
    }
}

fn exposure_text(exposure: &Exposure) -> String {
    serde_json::to_string(exposure).unwrap_or_default()
}

impl super::Reader {
    fn carry(&mut self, id: RecordId) -> Result<Carry> {
        let sql = format!("SELECT {COLUMNS} FROM records WHERE id = ?1");
        let doing = "read a record";
        let raw = {
            let mut select = self.connection.prepare_cached(&sql).map_err(Error::sqlite(doing))?;
            match select.query_row([id.as_bytes()], RawRow::from_columns) {
                Ok(raw) => raw,
                Err(error) if row::is_damage(&error) || error == rusqlite::Error::QueryReturnedNoRows => {
                    return Ok(Carry::Damaged { id, reason: format!("it cannot be read: {error}") });
                }
                Err(source) => return Err(Error::Sqlite { doing, source }),
            }
        };
        Ok(match self.rows.decode(&self.connection, raw.clone())? {
            Err(reason) => Carry::Damaged { id, reason },
            Ok(decoded) => match decoded.stored {
                Some(stored) => Carry::Record(Box::new(Carried { record: stored.record, forgotten: stored.forgotten })),
                None => match self.rows.tombstone(&raw, decoded.forgotten) {
                    Some(tombstone) => Carry::Tombstone(tombstone),
                    None => Carry::Damaged { id, reason: "it has no body".to_owned() },
                },
            },
        })
    }
}

/// Takes one thing in. `exposures` are those that are there; a session joins `buried` when a record of it lost its text.
fn take_in(
    writing: &mut Writing,
    carry: CarryIn,
    exposures: &mut HashSet<String>,
    buried: &mut HashSet<i64>,
) -> Result<Became> {
    Ok(match carry {
        CarryIn::Session(session) => {
            if put::put_session(writing, session)? {
                Became::Session
            } else {
                Became::Nothing
            }
        }
        CarryIn::Record(admitted, forgotten) => {
            let record = admitted.into_record();
            let id = record.id;
            if row::raw(writing.connection(), &id)?.is_some() {
                let same = |stored: &crate::Record| comparable(stored) == comparable(&record);
                return meet(writing, id, forgotten, &same);
            }
            let key = record.key.as_deref();
            let place = Place::of(writing, &record.scope, &record.source, record.session.as_deref(), key)?;
            match place.known(writing.connection(), key)? {
                Some(here) => match meet(writing, here, forgotten, &|_| true)? {
                    Became::Known { .. } => Became::Known { id, here },
                    other => other,
                },
                None => match put::must_be_replaceable(writing, &record) {
                    Ok(()) => {
                        put::add(writing, &place, record, forgotten)?;
                        Became::Added
                    }
                    Err(error @ Error::ReadOnlyScope { .. }) => Became::Refused(error.to_string()),
                    Err(error) => return Err(error),
                },
            }
        }
        CarryIn::Tombstone(tombstone) => bury(writing, tombstone, buried)?,
        CarryIn::Exposure(exposure) => {
            // Compared as it would be stored.
            let mut exposure = trials::clean(exposure);
            if put::was_purged(writing.connection(), &exposure.run)? {
                // What was asked in a session that is gone for good is not learned again.
                exposure.query.clear();
                exposure.task = None;
            }
            if !exposures.insert(exposure_text(&exposure)) {
                return Ok(Became::Nothing);
            }
            match trials::expose(writing, &exposure) {
                Ok(()) => Became::Exposure,
                Err(Error::Refused { reason }) => Became::Refused(reason),
                Err(error) => return Err(error),
            }
        }
        CarryIn::Run(run) => {
            let known: Option<i64> = writing
                .connection()
                .query_row("SELECT 1 FROM runs WHERE run = ?1", [&*clean_name(&run.run)], |columns| columns.get(0))
                .optional()
                .map_err(Error::sqlite("look for a run"))?;
            if known.is_some() {
                return Ok(Became::Nothing);
            }
            let (run_bytes, limit) = (run.run.len(), EXPOSURE_TEXT_BYTES_MAX);
            if run.run.trim().is_empty() || run_bytes > limit {
                return Ok(Became::Refused(format!("a run's id is empty or longer than {limit} bytes")));
            }
            let gone = put::was_purged(writing.connection(), &clean_name(&run.run))?;
            let reason = run.reason.as_deref().filter(|_| !gone);
            trials::note_run(writing, &run.run, run.outcome, reason, to_ms(run.at))?;
            Became::Run
        }
        CarryIn::Reset(reset) => {
            let known: Option<i64> = writing
                .connection()
                .query_row("SELECT at_ms FROM credit_resets WHERE record = ?1", [reset.record.as_bytes()], |c| c.get(0))
                .optional()
                .map_err(Error::sqlite("look where a record's credit starts"))?;
            // The later one counts.
            if known.is_none_or(|known| known < to_ms(reset.at)) {
                trials::reset_credit(writing, reset.record, reset.at)?;
            }
            Became::Nothing
        }
    })
}

/// What two records of one id are compared by: numbers may differ by their last bit.
fn comparable(record: &crate::Record) -> Option<serde_json::Value> {
    let mut value = serde_json::to_value(record).ok()?;
    value.as_object_mut()?.remove("cost_usd");
    Some(value)
}

/// A record comes in that is there already. Forgetting wins: whoever forgot it anywhere wanted it gone.
fn meet(
    writing: &mut Writing,
    here: RecordId,
    forgotten: Option<Forgotten>,
    same: &dyn Fn(&crate::Record) -> bool,
) -> Result<Became> {
    let (mut raw, stored) = match open(writing, here) {
        Ok(found) => found,
        Err(Error::Damaged { reason, .. }) => {
            return Ok(Became::Refused(format!("record {here} is damaged in this store: {reason}")));
        }
        Err(error) => return Err(error),
    };
    let known = Became::Known { id: here, here };
    let Some(stored) = stored else { return Ok(known) };
    match forgotten {
        Some(_) if stored.forgotten.is_none() && writing.must_be_writable(&stored.record.scope).is_err() => {
            Ok(Became::Refused(format!("the scope {} is read-only here", stored.record.scope)))
        }
        Some(forgotten) if stored.forgotten.is_none() => {
            raw.deleted_at_ms = Some(to_ms(forgotten.deleted_at));
            raw.undo_until_ms = Some(to_ms(forgotten.undo_until));
            save(writing, raw, &stored, ChangeKind::Forget)?;
            Ok(Became::Forgotten)
        }
        _ if same(&stored.record) => Ok(known),
        _ => Ok(Became::Kept),
    }
}

/// Takes in what is left of a record.
fn bury(writing: &mut Writing, mut tombstone: Tombstone, buried: &mut HashSet<i64>) -> Result<Became> {
    // Named as the record that it stands for was.
    let names = [&mut tombstone.session, &mut tombstone.key].into_iter().flatten();
    names.chain([&mut tombstone.source]).for_each(|name| *name = clean_name(name).into_owned());
    let id = tombstone.id;
    let key = tombstone.key.as_deref();
    let by_id = row::raw(writing.connection(), &id)?.is_some();
    let place = Place::of(writing, &tombstone.scope, &tombstone.source, tombstone.session.as_deref(), key)?;
    let here = if by_id { Some(id) } else { place.known(writing.connection(), key)? };
    if let Some(here) = here {
        let (mut raw, stored) = match open(writing, here) {
            Ok(found) => found,
            Err(Error::Damaged { reason, .. }) => {
                return Ok(Became::Refused(format!("record {here} is damaged in this store: {reason}")));
            }
            Err(error) => return Err(error),
        };
        let Some(stored) = stored else { return Ok(Became::Known { id, here }) };
        if writing.must_be_writable(&stored.record.scope).is_err() {
            return Ok(Became::Refused(format!("the scope {} is read-only here", stored.record.scope)));
        }
        raw.deleted_at_ms = Some(to_ms(tombstone.forgotten.deleted_at));
        raw.undo_until_ms = Some(to_ms(tombstone.forgotten.undo_until));
        buried.extend(raw.session);
        edit::empty(writing, raw, &stored)?;
        return Ok(Became::Forgotten);
    }
    let raw = RawRow {
        row: writing.next_row(),
        id: *id.as_bytes(),
        kind: tombstone.kind.code(),
        scope: place.scope,
        origin: tombstone.origin.code(),
        trust: tombstone.trust.code(),
        source: place.source,
        session: place.session,
        position: tombstone.position.map(i64::from),
        key: tombstone.key.clone(),
        created_at_ms: to_ms(tombstone.created_at),
        expires_at_ms: tombstone.expires_at.map(to_ms),
        pinned: false,
        tags: None,
        replaces: tombstone.replaces.map(|id| *id.as_bytes()),
        deleted_at_ms: Some(to_ms(tombstone.forgotten.deleted_at)),
        undo_until_ms: Some(to_ms(tombstone.forgotten.undo_until)),
        codec: codec::PLAIN,
        body: None,
        checksum: 0,
    };
    let names = [tombstone.scope.path(), tombstone.source.as_str()];
    put::insert(writing, &place, raw, names, tombstone.session.as_deref(), Some(ChangeKind::Purge))?;
    Ok(Became::Added)
}

//! Changing, forgetting and purging records.

use std::collections::HashSet;

use jiff::Timestamp;
use rusqlite::{Connection, params};

use super::put::{self, tags_json};
use super::repeats;
use super::row::{self, RawRow, to_ms};
use super::trials;
use super::writer::Writing;
use crate::change::ChangeKind;
use crate::error::{Error, Result};
use crate::id::RecordId;
use crate::intake;
use crate::record::Body;
use crate::redact::Redactor;
use crate::store::{Patch, Stored};

/// The most records that one purge removes: keeps its transaction short. The next call goes on.
pub(super) const PURGE_MAX: usize = 1_000;

/// The record of this id for a change to it: its row as it stands and what it says.
pub(super) fn open(writing: &mut Writing, id: RecordId) -> Result<(RawRow, Option<Stored>)> {
    let (connection, rows) = writing.rows();
    let raw = row::raw(connection, &id)?.ok_or(Error::NoRecord { id })?;
    match rows.decode(connection, raw.clone())? {
        Ok(decoded) => Ok((raw, decoded.stored)),
        Err(reason) => Err(Error::Damaged { row: raw.row, id: Some(id), reason }),
    }
}

/// Writes a changed row back with its new checksum, and logs the change.
pub(super) fn save(writing: &mut Writing, mut raw: RawRow, stored: &Stored, kind: ChangeKind) -> Result<()> {
    let record = &stored.record;
    raw.checksum = raw.checksum_with(record.scope.path(), &record.source, record.session.as_deref());
    let update = |connection: &Connection| -> rusqlite::Result<()> {
        connection
            .prepare_cached(
                "UPDATE records SET trust = ?2, expires_at_ms = ?3, pinned = ?4, tags = ?5, deleted_at_ms = ?6,
                     undo_until_ms = ?7, codec = ?8, body = ?9, checksum = ?10
                 WHERE row = ?1",
            )?
            .execute(params![
                raw.row,
                raw.trust,
                raw.expires_at_ms,
                raw.pinned,
                raw.tags,
                raw.deleted_at_ms,
                raw.undo_until_ms,
                raw.codec,
                raw.body,
                raw.checksum,
            ])?;
        Ok(())
    };
    update(writing.connection()).map_err(Error::sqlite("change a record"))?;
    writing.log(raw.row, &record.id, kind)
}

fn gone(doing: &'static str, id: RecordId) -> Error {
    Error::NotAllowed { doing, id, reason: "it was forgotten and its time to come back has passed".to_owned() }
}

/// Changes what may change of a record.
pub(super) fn update(writing: &mut Writing, id: RecordId, patch: Patch) -> Result<()> {
    let (mut raw, stored) = open(writing, id)?;
    let mut stored = stored.ok_or_else(|| gone("change", id))?;
    writing.must_be_writable(&stored.record.scope)?;
    if stored.forgotten.is_some() {
        let reason = "it is forgotten; bring it back first".to_owned();
        return Err(Error::NotAllowed { doing: "change", id, reason });
    }
    let clean = |text: String| Redactor::default().redact(&text).into_text().into_owned();
    if let Some(tags) = patch.tags {
        let tags: Vec<String> = tags.into_iter().map(clean).collect();
        intake::check_tags(&tags)?;
        raw.tags = tags_json(&tags);
    }
    raw.pinned = patch.pinned.unwrap_or(raw.pinned);
    raw.trust = patch.trust.map_or(raw.trust, |trust| trust.code());
    if let Some(expires_at) = patch.expires_at {
        raw.expires_at_ms = expires_at.map(to_ms);
    }
    if let Some((outcome, reason)) = patch.outcome {
        let Body::Episode(episode) = &mut stored.record.body else {
            let reason = format!("it is a {}, only an episode has an outcome", stored.record.kind());
            return Err(Error::NotAllowed { doing: "set the outcome of", id, reason });
        };
        episode.outcome = outcome;
        episode.reason = reason.map(clean);
        episode.outcome_said = true;
        let (codec, body) = writing.encode(&stored.record.body)?;
        (raw.codec, raw.body) = (codec, Some(body));
        // Whoever sees everything speaks of the run of whoever began the session.
        let bound = match (patch.bound, raw.session) {
            (None, Some(session)) => put::bound_of(writing.connection(), session)?,
            (bound, _) => bound,
        };
        trials::told_by(writing, &stored.record, bound.as_ref())?;
    }
    save(writing, raw, &stored, ChangeKind::Update)
}

/// Forgets records; see [`crate::Store::forget`].
pub(super) fn forget(writing: &mut Writing, ids: &[RecordId], undo_until: Timestamp) -> Result<usize> {
    let mut live = 0;
    let mut episodes = false;
    for id in ids {
        let (mut raw, stored) = open(writing, *id)?;
        let Some(stored) = stored.filter(|stored| stored.forgotten.is_none()) else { continue };
        writing.must_be_writable(&stored.record.scope)?;
        raw.deleted_at_ms = Some(writing.now_ms);
        raw.undo_until_ms = Some(to_ms(undo_until));
        save(writing, raw, &stored, ChangeKind::Forget)?;
        episodes |= matches!(stored.record.body, Body::Episode(_));
        live += 1;
    }
    if episodes {
        // Its credit may go on to the one that replaces it.
        trials::changed(writing.connection())?;
    }
    Ok(live)
}

/// Brings a forgotten record back.
pub(super) fn undo_forget(writing: &mut Writing, id: RecordId) -> Result<()> {
    let (mut raw, stored) = open(writing, id)?;
    let Some(stored) = stored else { return Err(gone("bring back", id)) };
    writing.must_be_writable(&stored.record.scope)?;
    if stored.forgotten.is_none() {
        return Err(Error::NotAllowed { doing: "bring back", id, reason: "it is not forgotten".to_owned() });
    }
    if raw.undo_until_ms.is_some_and(|until| until <= writing.now_ms) {
        return Err(gone("bring back", id));
    }
    raw.deleted_at_ms = None;
    raw.undo_until_ms = None;
    save(writing, raw, &stored, ChangeKind::Undo)
}

/// The records whose text is due to be removed before `now`, at most [`PURGE_MAX`].
pub(super) fn due(connection: &Connection, now: Timestamp) -> Result<Vec<RecordId>> {
    let doing = "look for what is due to be removed";
    let select = || -> rusqlite::Result<Vec<[u8; 16]>> {
        connection
            .prepare_cached(
                "SELECT id FROM records WHERE undo_until_ms <= ?1 AND body IS NOT NULL
                 UNION SELECT id FROM records WHERE expires_at_ms <= ?1 AND body IS NOT NULL
                 LIMIT ?2",
            )?
            .query_map(params![to_ms(now), PURGE_MAX as i64], |columns| columns.get(0))?
            .collect()
    };
    Ok(select().map_err(Error::sqlite(doing))?.into_iter().map(RecordId::from_bytes).collect())
}

/// Removes the text of what is due; a tombstone stays, so that importing again adds nothing.
pub(super) fn purge(writing: &mut Writing, now: Timestamp) -> Result<usize> {
    let ids = due(writing.connection(), now)?;
    let mut purged = 0;
    let mut sessions = HashSet::new();
    for id in ids {
        let (mut raw, stored) = match open(writing, id) {
            Ok(found) => found,
            // A damaged row stays for the check to report.
            Err(Error::Damaged { .. }) => continue,
            Err(error) => return Err(error),
        };
        let Some(stored) = stored else { continue };
        raw.deleted_at_ms = raw.deleted_at_ms.or(Some(writing.now_ms));
        raw.undo_until_ms = raw.undo_until_ms.or(Some(writing.now_ms));
        sessions.extend(raw.session);
        empty(writing, raw, &stored)?;
        purged += 1;
    }
    put::empty_sessions(writing.connection(), sessions)?;
    Ok(purged)
}

/// Removes what a row says; the rest of it stays.
pub(super) fn empty(writing: &mut Writing, mut raw: RawRow, stored: &Stored) -> Result<()> {
    repeats::release(writing, &raw, &stored.record)?;
    raw.body = None;
    raw.codec = super::codec::PLAIN;
    raw.tags = None;
    raw.pinned = false;
    save(writing, raw, stored, ChangeKind::Purge)
}

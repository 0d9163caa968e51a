//! New versions, tags, pins, outcomes; forgetting and bringing back.

use harness_memory::sqlite::Request;
use harness_memory::store::{Forgotten, Patch};
use harness_memory::{Body, Lookup, Note, Outcome, ReadSet, Record, RecordId, Store};
use jiff::Timestamp;

use super::{Service, Writer};
use crate::serve::grant::Grant;
use crate::serve::problem::Problem;
use crate::serve::types::{ForgetRequest, Forgot, PatchRequest, RecordView};

/// What an episode is to be labelled with: a reason alone says why it ended as it did.
fn relabelled(
    record: &Record,
    outcome: Option<Outcome>,
    reason: Option<String>,
) -> Result<Option<(Outcome, Option<String>)>, Problem> {
    match &record.body {
        _ if outcome.is_none() && reason.is_none() => Ok(None),
        Body::Episode(episode) => Ok(Some((outcome.unwrap_or(episode.outcome), reason))),
        _ => {
            let what = if outcome.is_some() { "an outcome" } else { "a reason" };
            let detail = format!("record {} is a {}: only an episode has {what}", record.id, record.kind());
            Err(Problem::conflict("not-allowed", detail))
        }
    }
}

/// The one record of a request that writes one.
fn only(ids: &[RecordId]) -> Result<RecordId, Problem> {
    ids.first().copied().ok_or_else(|| Problem::refused("nothing was written"))
}

impl Service {
    /// Changes a record; a note's new text is a new record that replaces it, and that one is answered.
    pub(crate) async fn change(
        &self,
        writer: &Writer,
        id: RecordId,
        request: PatchRequest,
    ) -> Result<RecordView, Problem> {
        writer.grant.check_write()?;
        let PatchRequest { text, tags, pinned, outcome, reason, trust, expires_at } = request;
        let expires_at = expires_at.map(|time| time.map(|time| time.0));
        let patch = Patch { tags, pinned, trust, expires_at, ..Patch::default() };
        let nothing = patch.tags.is_none()
            && patch.pinned.is_none()
            && patch.trust.is_none()
            && patch.expires_at.is_none()
            && outcome.is_none()
            && reason.is_none();
        if nothing && text.is_none() {
            return Err(Problem::bad_request("say what to change: text, tags, pinned, outcome, trust or expires_at"));
        }
        let (grant, request) = (writer.grant.clone(), writer.request.filter(|_| text.is_some()));
        self.blocking(move |service| {
            let _entered = memory_span!("update_memory").entered();
            // What was done before was done, whatever became of the older text since.
            if let Some(ids) = service.before(request.as_ref())? {
                return service.view(only(&ids)?, &grant.reads, 0);
            }
            let record = service.writable(id, &grant)?;
            let patch = Patch { outcome: relabelled(&record, outcome, reason)?, bound: grant.bound(), ..patch };
            // Either way one transaction: what is refused changes nothing.
            let id = match text {
                None => {
                    service.engine().store().update(id, patch)?;
                    id
                }
                Some(text) => service.new_version(record, text.trim(), patch, request, &grant)?,
            };
            service.view(id, &grant.reads, 0)
        })
        .await
    }

    /// A note of another text in the place of this one, with what else was to change of it.
    fn new_version(
        &self,
        record: Record,
        text: &str,
        patch: Patch,
        request: Option<Request>,
        grant: &Grant,
    ) -> Result<RecordId, Problem> {
        if !matches!(record.body, Body::Note(_)) {
            let detail = format!("record {} is a {}: only a note's text can be corrected", record.id, record.kind());
            return Err(Problem::conflict("not-allowed", detail));
        }
        let older = record.id;
        let next = Record {
            trust: patch.trust.unwrap_or(record.trust),
            session: record.session,
            expires_at: patch.expires_at.unwrap_or(record.expires_at),
            pinned: patch.pinned.unwrap_or(record.pinned),
            tags: patch.tags.unwrap_or(record.tags),
            replaces: Some(older),
            ..Record::new(record.scope, record.source, record.origin, Note::new(text))
        };
        let cleaned = self.admit(next, grant.bound())?;
        if let Some(newer) = self.successor(older, &grant.reads)? {
            // The same request may have come twice at once.
            if let Some(ids) = self.before(request.as_ref())? {
                return only(&ids);
            }
            let detail = format!("record {older} was replaced by {newer} already: correct that one");
            return Err(Problem::conflict("replaced", detail));
        }
        let written: Vec<RecordId> = self.put(request, Vec::new(), vec![cleaned])?.iter().map(|one| one.id).collect();
        only(&written)
    }

    /// Forgets records, all or none. Those that were forgotten before are so still; all can be brought back until the time
    /// that is answered.
    pub(crate) async fn forget(&self, grant: &Grant, request: ForgetRequest) -> Result<Forgot, Problem> {
        grant.check_write()?;
        if request.ids.is_empty() || request.ids.len() > harness_memory::store::PUT_RECORDS_MAX {
            return Err(Problem::bad_request("give 1 to 1000 ids"));
        }
        let grant = grant.clone();
        self.blocking(move |service| {
            let _entered = memory_span!("delete_memory").entered();
            let store = service.engine().store();
            let mut undo_until: Option<Timestamp> = None;
            for (id, lookup) in request.ids.iter().zip(store.get(&request.ids)?) {
                match lookup {
                    Lookup::Found(stored) if grant.writes.allows(&stored.record.scope) => {}
                    Lookup::Found(stored) if grant.reads.allows(&stored.record.scope) => {
                        let detail = format!("this token does not write to {}", stored.record.scope);
                        return Err(Problem::forbidden("scope-not-allowed", detail));
                    }
                    Lookup::Forgotten(Forgotten { undo_until: stored, .. })
                        if grant.is_everything() || service.forgotten_scope_allowed(*id, &grant.writes)? =>
                    {
                        undo_until = Some(undo_until.map_or(stored, |earliest| earliest.min(stored)));
                    }
                    Lookup::Damaged { row, reason, .. } if grant.is_everything() => {
                        let damaged = harness_memory::Error::Damaged { row: row.0, id: Some(*id), reason };
                        return Err(damaged.into());
                    }
                    _ => return Err(Problem::no_record(*id)),
                }
            }
            let new = service.undo_until();
            let forgotten = store.forget(&request.ids, new)?;
            let undo_until = match undo_until {
                Some(stored) if forgotten == 0 => stored,
                Some(stored) => stored.min(new),
                None => new,
            };
            Ok(Forgot { forgotten, undo_until })
        })
        .await
    }

    /// Forgets one record. One that was forgotten before is so still, and can be brought back as long as was said then.
    pub(crate) async fn forget_one(&self, grant: &Grant, id: RecordId) -> Result<Forgot, Problem> {
        self.forget(grant, ForgetRequest { ids: vec![id] }).await
    }

    /// Brings a forgotten record back.
    pub(crate) async fn undo(&self, grant: &Grant, id: RecordId) -> Result<RecordView, Problem> {
        grant.check_write()?;
        let grant = grant.clone();
        self.blocking(move |service| {
            let _entered = memory_span!("restore_memory").entered();
            let store = service.engine().store();
            let lookup = store.get(&[id])?.pop().unwrap_or(Lookup::Missing);
            match lookup {
                Lookup::Found(stored) if grant.reads.allows(&stored.record.scope) => {
                    return Err(Problem::conflict("not-forgotten", format!("record {id} is not forgotten")));
                }
                Lookup::Forgotten(_) => {}
                _ => return Err(Problem::no_record(id)),
            }
            // Whose it was is known once it is back; brought back and refused, it is forgotten again.
            if !grant.is_everything() && !service.forgotten_scope_allowed(id, &grant.writes)? {
                return Err(Problem::no_record(id));
            }
            store.undo_forget(id)?;
            service.view(id, &grant.reads, 0)
        })
        .await
    }

    /// Whether a forgotten record lies where this set allows.
    fn forgotten_scope_allowed(&self, id: RecordId, writes: &ReadSet) -> Result<bool, Problem> {
        let name = self.engine().store().names_of(&[id])?.pop().flatten();
        Ok(name.is_some_and(|name| writes.allows(&name.scope)))
    }

    /// The record, when this caller may change it.
    fn writable(&self, id: RecordId, grant: &Grant) -> Result<Record, Problem> {
        let stored = self.visible(id, &grant.reads)?;
        if grant.writes.allows(&stored.record.scope) {
            return Ok(stored.record);
        }
        let detail = format!("this token does not write to {}", stored.record.scope);
        Err(Problem::forbidden("scope-not-allowed", detail))
    }
}

//! New versions, tags, pins, outcomes; forgetting and bringing back.

use harness_memory::store::Patch;
use harness_memory::{Body, Lookup, Note, Outcome, ReadSet, Record, RecordId, Store, Stored};

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
        let patch = Patch { tags, pinned, trust, expires_at: expires_at.map(|time| Some(time.0)), outcome: None };
        let nothing = patch.tags.is_none()
            && patch.pinned.is_none()
            && patch.trust.is_none()
            && patch.expires_at.is_none()
            && outcome.is_none()
            && reason.is_none();
        if nothing && text.is_none() {
            return Err(Problem::bad_request("say what to change: text, tags, pinned, outcome, trust or expires_at"));
        }
        let (grant, key) = (writer.grant.clone(), writer.key(None)?);
        self.blocking(move |service| {
            let _entered = memory_span!("update_memory").entered();
            let record = service.writable(id, &grant)?;
            let patch = Patch { outcome: relabelled(&record, outcome, reason)?, ..patch };
            // Either way one transaction: what is refused changes nothing.
            let id = match text {
                None => {
                    service.engine().store().update(id, patch)?;
                    id
                }
                Some(text) => service.new_version(record, text.trim(), patch, key, &grant.reads)?,
            };
            service.view(id, &grant.reads, 0)
        })
        .await
    }

    /// A note of another text in the place of this one, with what else was to change of it; the same again under the
    /// same key is the same note.
    fn new_version(
        &self,
        record: Record,
        text: &str,
        patch: Patch,
        key: Option<String>,
        reads: &ReadSet,
    ) -> Result<RecordId, Problem> {
        if !matches!(record.body, Body::Note(_)) {
            let detail = format!("record {} is a {}: only a note's text can be corrected", record.id, record.kind());
            return Err(Problem::conflict("not-allowed", detail));
        }
        let older = record.id;
        let next = Record {
            trust: patch.trust.unwrap_or(record.trust),
            session: record.session,
            key,
            expires_at: patch.expires_at.unwrap_or(record.expires_at),
            pinned: patch.pinned.unwrap_or(record.pinned),
            tags: patch.tags.unwrap_or(record.tags),
            replaces: Some(older),
            ..Record::new(record.scope, record.source, record.origin, Note::new(text))
        };
        let cleaned = self.admit(next)?;
        if let Some(newer) = self.successor(older, reads)? {
            let known = self.engine().store().get(&[newer])?.pop().and_then(Lookup::found);
            // Compared as it would be stored.
            let next = cleaned.record.record();
            let same = |known: Stored| known.record.key == next.key && known.record.text() == next.text();
            if next.key.is_some() && known.is_some_and(same) {
                return Ok(newer);
            }
            let detail = format!("record {older} was replaced by {newer} already: correct that one");
            return Err(Problem::conflict("replaced", detail));
        }
        let written = self.put(vec![cleaned])?.pop();
        written.map(|written| written.id).ok_or_else(|| Problem::refused("nothing was written"))
    }

    /// Forgets records, all or none.
    pub(crate) async fn forget(&self, grant: &Grant, request: ForgetRequest) -> Result<Forgot, Problem> {
        grant.check_write()?;
        if request.ids.is_empty() || request.ids.len() > harness_memory::store::PUT_RECORDS_MAX {
            return Err(Problem::bad_request("give 1 to 1000 ids"));
        }
        let grant = grant.clone();
        self.blocking(move |service| {
            let _entered = memory_span!("delete_memory").entered();
            let store = service.engine().store();
            for (id, lookup) in request.ids.iter().zip(store.get(&request.ids)?) {
                match lookup {
                    Lookup::Found(stored) if grant.writes.allows(&stored.record.scope) => {}
                    Lookup::Found(stored) if grant.reads.allows(&stored.record.scope) => {
                        let detail = format!("this token does not write to {}", stored.record.scope);
                        return Err(Problem::forbidden("scope-not-allowed", detail));
                    }
                    Lookup::Forgotten(_) if grant.is_everything() => {}
                    _ => return Err(Problem::no_record(*id)),
                }
            }
            let undo_until = service.undo_until();
            let forgotten = store.forget(&request.ids, undo_until)?;
            Ok(Forgot { forgotten, undo_until })
        })
        .await
    }

    /// Forgets one record. One that was forgotten before is so still, and can be brought back as long as was said then.
    pub(crate) async fn forget_one(&self, grant: &Grant, id: RecordId) -> Result<Forgot, Problem> {
        grant.check_write()?;
        let reads = grant.reads.clone();
        let seen = self.blocking(move |service| service.visible(id, &reads)).await;
        match seen {
            Ok(_) => self.forget(grant, ForgetRequest { ids: vec![id] }).await,
            Err(Problem { undo_until: Some(undo_until), .. }) => Ok(Forgot { forgotten: 0, undo_until }),
            Err(problem) => Err(problem),
        }
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

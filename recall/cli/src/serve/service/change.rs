//! New versions, tags, pins, outcomes; forgetting and bringing back.

use harness_memory::store::Patch;
use harness_memory::{Body, Lookup, Note, Outcome, ReadSet, Record, RecordId, Store};

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
    match (outcome, &record.body) {
        (None, _) if reason.is_none() => Ok(None),
        (Some(outcome), _) => Ok(Some((outcome, reason))),
        (None, Body::Episode(episode)) => Ok(Some((episode.outcome, reason))),
        (None, _) => {
            let detail = format!("record {} is a {}: only an episode has a reason", record.id, record.kind());
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
            let _entered = tracing::info_span!(
                "update_memory",
                gen_ai.operation.name = "update_memory",
                gen_ai.provider.name = "harness"
            )
            .entered();
            let record = service.writable(id, &grant)?;
            let patch = Patch { outcome: relabelled(&record, outcome, reason)?, ..patch };
            let id = match text {
                None => id,
                Some(text) => service.new_version(record, text.trim(), key)?,
            };
            if !nothing {
                service.engine().store().update(id, patch)?;
            }
            service.view(id, &grant.reads, 0)
        })
        .await
    }

    /// A note of another text in the place of this one; the same again under the same key is the same note.
    fn new_version(&self, record: Record, text: &str, key: Option<String>) -> Result<RecordId, Problem> {
        if !matches!(record.body, Body::Note(_)) {
            let detail = format!("record {} is a {}: only a note's text can be corrected", record.id, record.kind());
            return Err(Problem::conflict("not-allowed", detail));
        }
        let store = self.engine().store();
        if let Some(newer) = store.replaced_by(&[record.id])?.pop().flatten() {
            let known = store.get(&[newer])?.pop().and_then(Lookup::found);
            if key.is_some() && known.is_some_and(|known| known.record.key == key && known.record.text() == text) {
                return Ok(newer);
            }
            let detail = format!("record {} was replaced by {newer} already: correct that one", record.id);
            return Err(Problem::conflict("replaced", detail));
        }
        let next = Record {
            trust: record.trust,
            session: record.session,
            key,
            expires_at: record.expires_at,
            pinned: record.pinned,
            tags: record.tags,
            replaces: Some(record.id),
            ..Record::new(record.scope, record.source, record.origin, Note::new(text))
        };
        let cleaned = self.admit(next)?;
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
            let _entered = tracing::info_span!(
                "delete_memory",
                gen_ai.operation.name = "delete_memory",
                gen_ai.provider.name = "harness"
            )
            .entered();
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

//! Notes, episodes, messages and whole records on their way into the store.

use std::collections::BTreeMap;

use harness_memory::intake::Admission;
use harness_memory::sqlite::{Became, Carry, CarryIn};
use harness_memory::store::{Filter, Order};
use harness_memory::{
    Admitted, Body, Kind, Lookup, Message, MessageForm, Note, Origin, ReadSet, Record, RecordId, Scope, Session, Store,
    Trust,
};
use jiff::Timestamp;

use super::Service;
use crate::serve::grant::Grant;
use crate::serve::problem::Problem;
use crate::serve::types::{
    About, EpisodeRequest, MESSAGES_MAX, MessageRequest, MessagesRequest, MessagesWritten, NoteRequest, POSITION_MAX,
    RecordRequest, SessionMessages, Several, Whole, Written,
};

/// What the keys of records begin with that come from an `Idempotency-Key`.
const IDEMPOTENCY: &str = "idempotency";

/// The longest name of a source or key, in characters.
const NAME_MAX: usize = 512;

/// The longest `Idempotency-Key`, in bytes: a UUID, or a name of that order.
const IDEMPOTENCY_KEY_BYTES_MAX: usize = 200;

/// What it is called that a key names a second request.
const KEY_REUSED: &str = "idempotency-key-reused";

/// Who writes, by which way, and under which `Idempotency-Key`.
#[derive(Clone, Debug)]
pub(crate) struct Writer {
    pub(crate) grant: Grant,
    /// What a record is called as a source when it does not say.
    pub(crate) source: &'static str,
    /// Who said it, when it does not say.
    pub(crate) origin: Origin,
    pub(crate) idempotency_key: Option<String>,
}

impl Writer {
    /// The key under which a record of this request is stored when it names none itself.
    ///
    /// The store adds no second record of one provenance, so that a repeated request finds the first one's
    /// record however much time, and however many crashes, lie between.
    pub(super) fn key(&self, place: Option<usize>) -> Result<Option<String>, Problem> {
        let Some(key) = &self.idempotency_key else { return Ok(None) };
        if key.trim().is_empty() || key.len() > IDEMPOTENCY_KEY_BYTES_MAX {
            let detail = format!("an Idempotency-Key has 1 to {IDEMPOTENCY_KEY_BYTES_MAX} bytes");
            return Err(Problem::bad_request(detail));
        }
        let place = place.map(|place| format!("#{place}")).unwrap_or_default();
        Ok(Some(format!("{IDEMPOTENCY} {} {key}{place}", self.grant.name)))
    }

    /// A record of this body, as far as the request says what it is.
    fn record(&self, about: About, body: impl Into<Body>, place: Option<usize>) -> Result<Record, Problem> {
        let scope = self.grant.write_scope(about.scope.as_ref().map(|scope| &scope.0))?;
        check_name("source", about.source.as_deref())?;
        check_name("key", about.key.as_deref())?;
        let origin = about.origin.unwrap_or(self.origin);
        let source = about.source.unwrap_or_else(|| self.source.to_owned());
        let trust = about.trust.unwrap_or(if origin == Origin::User { Trust::Trusted } else { Trust::Plain });
        let key = match about.key {
            Some(key) => Some(key),
            None => self.key(place)?,
        };
        Ok(Record {
            trust,
            session: about.session,
            key,
            created_at: about.created_at.map_or_else(now, |time| time.0),
            expires_at: about.expires_at.map(|time| time.0),
            pinned: about.pinned,
            tags: about.tags,
            replaces: about.replaces,
            ..Record::new(scope, source, origin, body)
        })
    }
}

impl Service {
    pub(crate) async fn write_note(&self, writer: &Writer, request: NoteRequest) -> Result<Written, Problem> {
        only(self.write_notes(writer, Several::One(request)).await?)
    }

    pub(crate) async fn write_episode(&self, writer: &Writer, request: EpisodeRequest) -> Result<Written, Problem> {
        only(self.write_episodes(writer, Several::One(request)).await?)
    }

    /// Writes one note or several, all of them or none; what became of them comes in their order.
    pub(crate) async fn write_notes(
        &self,
        writer: &Writer,
        request: Several<NoteRequest>,
    ) -> Result<Several<Written>, Problem> {
        self.write_several(writer, request, |note| (note.about, Note::new(note.text.trim()))).await
    }

    /// Writes one episode or several, all of them or none; what became of them comes in their order.
    pub(crate) async fn write_episodes(
        &self,
        writer: &Writer,
        request: Several<EpisodeRequest>,
    ) -> Result<Several<Written>, Problem> {
        self.write_several(writer, request, |episode| {
            let (episode, about) = episode.episode();
            (about, episode)
        })
        .await
    }

    async fn write_several<T, B: Into<Body>>(
        &self,
        writer: &Writer,
        request: Several<T>,
        parts: impl Fn(T) -> (About, B),
    ) -> Result<Several<Written>, Problem> {
        let (list, listed) = request.into_list();
        if list.is_empty() || list.len() > MESSAGES_MAX {
            return Err(Problem::bad_request(format!("give 1 to {MESSAGES_MAX} records in one request")));
        }
        let mut records = Vec::with_capacity(list.len());
        for (place, one) in list.into_iter().enumerate() {
            let (about, body) = parts(one);
            records.push(writer.record(about, body, listed.then_some(place))?);
        }
        let written = self.write_all(writer, records).await?;
        if listed { Ok(Several::Many(written)) } else { first(written).map(Several::One) }
    }

    pub(crate) async fn write_record(&self, writer: &Writer, request: RecordRequest) -> Result<Written, Problem> {
        fn record(writer: &Writer, whole: Whole<impl Into<Body>>) -> Result<Record, Problem> {
            let record = writer.record(whole.about, whole.body, None)?;
            Ok(Record { id: whole.id.unwrap_or(record.id), ..record })
        }
        if let RecordRequest::Message(whole) = &request {
            check_position(whole.body.position)?;
        }
        let record = match request {
            RecordRequest::Note(whole) => record(writer, whole),
            RecordRequest::Message(whole) => record(writer, whole),
            RecordRequest::Episode(whole) => record(writer, whole),
            RecordRequest::Lesson(whole) => record(writer, whole),
        }?;
        self.write_one(writer, record).await
    }

    /// Writes messages of a session, which is made when it is not there.
    pub(crate) async fn write_messages(
        &self,
        writer: &Writer,
        session: String,
        request: MessagesRequest,
    ) -> Result<MessagesWritten, Problem> {
        let request = match request {
            MessagesRequest::Session(request) => request,
            MessagesRequest::Many(messages) => SessionMessages { messages, ..SessionMessages::default() },
            MessagesRequest::One(message) => SessionMessages { messages: vec![message], ..SessionMessages::default() },
        };
        if request.messages.is_empty() || request.messages.len() > MESSAGES_MAX {
            return Err(Problem::bad_request(format!("give 1 to {MESSAGES_MAX} messages in one request")));
        }
        if session.trim().is_empty() {
            return Err(Problem::bad_request("the session's id is empty"));
        }
        check_name("source", request.source.as_deref())?;
        for message in &request.messages {
            check_name("key", message.key.as_deref())?;
            check_position(message.position.unwrap_or_default())?;
        }
        let scope = writer.grant.write_scope(request.scope.as_ref().map(|scope| &scope.0))?;
        let source = request.source.unwrap_or_else(|| writer.source.to_owned());
        let mut keys = Vec::with_capacity(request.messages.len());
        for place in 0..request.messages.len() {
            keys.push(writer.key(Some(place))?);
        }
        let known = Session {
            title: request.title,
            project: request.project,
            directory: request.directory,
            ..Session::new(source, session, scope)
        };
        let (messages, source) = (request.messages, writer.source);
        let written = self.blocking(move |service| {
            let _entered = writing(source).entered();
            service.put_messages(known, messages, keys)
        });
        written.await
    }

    fn put_messages(
        &self,
        mut session: Session,
        messages: Vec<MessageRequest>,
        keys: Vec<Option<String>>,
    ) -> Result<MessagesWritten, Problem> {
        let mut next = self.next_position(&session)?;
        let mut records = Vec::with_capacity(messages.len());
        for (message, key) in messages.into_iter().zip(keys) {
            let position = message.position.unwrap_or(next);
            next = position.saturating_add(1);
            let origin = match message.role {
                harness_memory::Role::User => Origin::User,
                harness_memory::Role::Assistant | harness_memory::Role::System => Origin::Agent,
                harness_memory::Role::Tool => Origin::Tool,
            };
            let body = Message {
                form: message.form.unwrap_or(MessageForm::Statement),
                speaker: message.speaker,
                caption: message.caption,
                tool_calls: message.tool_calls,
                tool_result: message.tool_result,
                ..Message::new(message.role, position, message.text)
            };
            records.push(Record {
                session: Some(session.id.clone()),
                key: message.key.or(key),
                created_at: message.created_at.map_or_else(now, |time| time.0),
                ..Record::new(session.scope.clone(), session.source.clone(), origin, body)
            });
        }
        session.started_at = records.iter().map(|record| record.created_at).min();
        session.ended_at = records.iter().map(|record| record.created_at).max();
        let name = session.id.clone();
        // Checked before the session is made: a refused message leaves nothing behind.
        let admitted = records.into_iter().map(|record| self.admit(record)).collect::<Result<Vec<_>, _>>()?;
        self.check_keys(&admitted)?;
        self.engine().store().put_session(session)?;
        Ok(MessagesWritten { session: name, messages: self.put_checked(admitted)? })
    }

    /// The place behind the last message of a session.
    fn next_position(&self, session: &Session) -> Result<u32, Problem> {
        let filter = Filter {
            scopes: ReadSet::new([harness_memory::scope::Readable::Exactly(session.scope.clone())]),
            kinds: vec![Kind::Message],
            session: Some(session.id.clone()),
            source: Some(session.source.clone()),
            order: Order::Newest,
            limit: 1,
            ..Filter::default()
        };
        let last = self.engine().store().list(&filter)?.into_iter().next().and_then(Lookup::found);
        Ok(last.map_or(0, |stored| match stored.record.body {
            Body::Message(message) => message.position.saturating_add(1),
            _ => 0,
        }))
    }

    async fn write_one(&self, writer: &Writer, record: Record) -> Result<Written, Problem> {
        first(self.write_all(writer, vec![record]).await?)
    }

    async fn write_all(&self, writer: &Writer, records: Vec<Record>) -> Result<Vec<Written>, Problem> {
        let reads = writer.grant.reads.clone();
        let source = writer.source;
        let written = self.blocking(move |service| {
            let _entered = writing(source).entered();
            for older in records.iter().filter_map(|record| record.replaces) {
                service.visible(older, &reads)?;
            }
            let admitted = records.into_iter().map(|record| service.admit(record)).collect::<Result<Vec<_>, _>>()?;
            service.put(admitted)
        });
        written.await
    }

    /// Passes a record through the intake.
    pub(super) fn admit(&self, record: Record) -> Result<Cleaned, Problem> {
        match self.engine().intake().admit(record)? {
            Admission::Admitted { record, redactions } => Ok(Cleaned {
                record: *record,
                redactions: redactions.into_iter().map(|(rule, times)| (rule.to_owned(), times)).collect(),
            }),
            Admission::Echo => {
                let detail = "it holds nothing but text that recall had injected; say what is new in your own words";
                Err(Problem::conflict("echo", detail))
            }
        }
    }

    /// Stores cleaned records in one transaction. One that is there already under the same `Idempotency-Key` and says
    /// something else is a conflict: its writer takes two requests for one. Then nothing is written.
    pub(super) fn put(&self, cleaned: Vec<Cleaned>) -> Result<Vec<Written>, Problem> {
        self.check_keys(&cleaned)?;
        self.put_checked(cleaned)
    }

    fn put_checked(&self, cleaned: Vec<Cleaned>) -> Result<Vec<Written>, Problem> {
        let mut told: Vec<Told> = Vec::with_capacity(cleaned.len());
        let mut admitted: Vec<Admitted> = Vec::with_capacity(cleaned.len());
        for Cleaned { record, redactions } in cleaned {
            let said = record.record();
            told.push(Told {
                kind: said.kind(),
                scope: said.scope.clone(),
                replaces: said.replaces,
                keyed: Keyed::of(said),
                redactions,
            });
            admitted.push(record);
        }
        let puts = self.engine().store().put(admitted)?;
        let mut written = Vec::with_capacity(puts.len());
        for (put, told) in puts.into_iter().zip(told) {
            // Two requests of one key that came at once: the second one finds the first one's record only here.
            if let Some(keyed) = told.keyed.filter(|_| !put.is_new()) {
                self.check_same(&keyed, put.id())?;
            }
            written.push(Written {
                id: put.id(),
                kind: told.kind,
                scope: told.scope,
                created: put.is_new(),
                replaces: told.replaces,
                redactions: told.redactions,
            });
        }
        Ok(written)
    }

    /// Refuses records of a request whose `Idempotency-Key` wrote something else before, or less than this.
    fn check_keys(&self, cleaned: &[Cleaned]) -> Result<(), Problem> {
        let keyed = cleaned.iter().filter_map(|one| Some((&one.record, Keyed::of(one.record.record())?)));
        let (records, keyed): (Vec<&Admitted>, Vec<Keyed>) = keyed.unzip();
        if keyed.is_empty() {
            return Ok(());
        }
        // Nothing is written by this: it says what of them is there.
        let dry = records.into_iter().map(|record| CarryIn::Record(Box::new(record.clone()), None)).collect();
        let became = self.engine().store().carry_in(dry, true)?;
        let mut known = 0;
        for (keyed, became) in keyed.iter().zip(became) {
            let here = match became {
                Became::Known { here, .. } => here,
                // A record of this id is there, and says something else at least about when.
                Became::Kept => keyed.id,
                _ => continue,
            };
            known += usize::from(self.check_same(keyed, here)?);
        }
        if known > 0 && known < keyed.len() {
            let detail = "fewer records were written under the same Idempotency-Key before: this is another request";
            return Err(Problem::conflict(KEY_REUSED, detail));
        }
        Ok(())
    }

    /// Whether a record was written by the request of this key; one that says something else is a conflict.
    fn check_same(&self, keyed: &Keyed, here: RecordId) -> Result<bool, Problem> {
        let conflict = |what: &str| {
            let detail = format!("record {here} was written under the same Idempotency-Key {what}");
            Err(Problem::conflict(KEY_REUSED, detail))
        };
        // Read as an export reads it, for what was forgotten since is compared too: that goes on behind an id.
        let before = u128::from_be_bytes(*here.as_bytes()).saturating_sub(1);
        let before = RecordId::from_bytes(before.to_be_bytes());
        let carried = self.engine().store().carry_out(Some(before), 1)?.into_iter().next();
        match carried.filter(|carry| carry.place() == here) {
            Some(Carry::Record(carried)) => {
                let there = &carried.record;
                if there.key.as_deref() != Some(keyed.key.as_str()) {
                    return Ok(false);
                }
                if there.kind() != keyed.kind {
                    return conflict(&format!("and is a {}", there.kind()));
                }
                if there.text() != keyed.text {
                    return conflict("with another text");
                }
                if there.replaces != keyed.replaces {
                    return conflict("and replaces another record");
                }
                Ok(true)
            }
            Some(Carry::Tombstone(left)) if left.key.as_deref() == Some(keyed.key.as_str()) => {
                conflict("and is gone for good")
            }
            _ => Ok(false),
        }
    }
}

/// The one that was written, of which there is one.
fn first(written: Vec<Written>) -> Result<Written, Problem> {
    written.into_iter().next().ok_or_else(|| Problem::refused("nothing was written"))
}

fn only(written: Several<Written>) -> Result<Written, Problem> {
    first(written.into_list().0)
}

/// Refuses a name that is given and says nothing, or too much.
fn check_name(what: &str, name: Option<&str>) -> Result<(), Problem> {
    match name {
        Some(name) if name.is_empty() || name.chars().count() > NAME_MAX => Err(Problem::bad_request(format!(
            "a {what} has 1 to {NAME_MAX} characters: leave it out where there is none"
        ))),
        _ => Ok(()),
    }
}

fn check_position(position: u32) -> Result<(), Problem> {
    if position > POSITION_MAX {
        return Err(Problem::bad_request(format!("a message's position is at most {POSITION_MAX}")));
    }
    Ok(())
}

/// The span of a write by this way in.
fn writing(source: &'static str) -> tracing::Span {
    memory_span!("create_memory", harness.source = source)
}

/// The present to the millisecond, as records keep it.
fn now() -> Timestamp {
    let now = Timestamp::now();
    Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now)
}

/// What a record is compared by with the one that its request wrote before.
struct Keyed {
    id: RecordId,
    key: String,
    kind: Kind,
    text: String,
    replaces: Option<RecordId>,
}

impl Keyed {
    /// `None` for a record whose key is not the name of the request that writes it.
    fn of(record: &Record) -> Option<Keyed> {
        let key = record.key.as_deref().filter(|key| {
            let rest = key.strip_prefix(IDEMPOTENCY);
            rest.is_some_and(|rest| rest.starts_with(' '))
        })?;
        Some(Keyed {
            id: record.id,
            key: key.to_owned(),
            kind: record.kind(),
            text: record.text().to_owned(),
            replaces: record.replaces,
        })
    }
}

/// A record that passed the intake, and which secrets were replaced in it.
pub(super) struct Cleaned {
    pub(super) record: Admitted,
    redactions: BTreeMap<String, usize>,
}

/// What is told of a record once it is stored.
struct Told {
    kind: Kind,
    scope: Scope,
    replaces: Option<RecordId>,
    keyed: Option<Keyed>,
    redactions: BTreeMap<String, usize>,
}

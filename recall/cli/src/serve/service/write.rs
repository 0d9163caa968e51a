//! Notes, episodes, messages and whole records on their way into the store.

use std::collections::BTreeMap;

use harness_memory::intake::Admission;
use harness_memory::sqlite::{Carry, Once, Request};
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

/// What one of a list is called in what is said of it.
const NUMBER: &str = "number";

/// The same of the messages of a session.
const MESSAGE: &str = "message";

/// The longest name of a source or key, in characters.
const NAME_MAX: usize = 512;

/// What it is called that a key names a second request.
const KEY_REUSED: &str = "idempotency-key-reused";

/// Who writes, by which way, and by which request where it has a name (`Idempotency-Key`).
#[derive(Clone, Debug)]
pub(crate) struct Writer {
    pub(crate) grant: Grant,
    /// What a record is called as a source when it does not say.
    pub(crate) source: &'static str,
    /// Who said it, when it does not say.
    pub(crate) origin: Origin,
    pub(crate) request: Option<Request>,
}

impl Writer {
    /// A record of this body, as far as the request says what it is.
    fn record(&self, about: About, body: impl Into<Body>) -> Result<Record, Problem> {
        let scope = self.grant.write_scope(about.scope.as_ref().map(|scope| &scope.0))?;
        check_name("source", about.source.as_deref())?;
        check_name("key", about.key.as_deref())?;
        let origin = about.origin.unwrap_or(self.origin);
        let source = about.source.unwrap_or_else(|| self.source.to_owned());
        let trust = about.trust.unwrap_or(if origin == Origin::User { Trust::Trusted } else { Trust::Plain });
        Ok(Record {
            trust,
            session: about.session,
            key: about.key,
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
            records.push(writer.record(about, body).map_err(|problem| problem.of(listed.then_some(NUMBER), place))?);
        }
        let written = self.write_all(writer, records, listed).await?;
        if listed { Ok(Several::Many(written)) } else { first(written).map(Several::One) }
    }

    pub(crate) async fn write_record(&self, writer: &Writer, request: RecordRequest) -> Result<Written, Problem> {
        fn record(writer: &Writer, whole: Whole<impl Into<Body>>) -> Result<Record, Problem> {
            let record = writer.record(whole.about, whole.body)?;
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
        for (place, message) in request.messages.iter().enumerate() {
            check_name("key", message.key.as_deref())
                .and_then(|()| check_position(message.position.unwrap_or_default()))
                .map_err(|problem| problem.of(Some(MESSAGE), place))?;
        }
        let scope = writer.grant.write_scope(request.scope.as_ref().map(|scope| &scope.0))?;
        let source = request.source.unwrap_or_else(|| writer.source.to_owned());
        let bound = writer.grant.bound();
        let known = Session {
            title: request.title,
            project: request.project,
            directory: request.directory,
            bound,
            ..Session::new(source, session, scope)
        };
        let (messages, source, request) = (request.messages, writer.source, writer.request);
        let written = self.blocking(move |service| {
            let _entered = writing(source).entered();
            service.put_messages(known, messages, request)
        });
        written.await
    }

    fn put_messages(
        &self,
        mut session: Session,
        messages: Vec<MessageRequest>,
        request: Option<Request>,
    ) -> Result<MessagesWritten, Problem> {
        let mut next = self.next_position(&session)?;
        let mut records = Vec::with_capacity(messages.len());
        for message in messages {
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
                key: message.key,
                created_at: message.created_at.map_or_else(now, |time| time.0),
                ..Record::new(session.scope.clone(), session.source.clone(), origin, body)
            });
        }
        session.started_at = records.iter().map(|record| record.created_at).min();
        session.ended_at = records.iter().map(|record| record.created_at).max();
        let (name, bound) = (session.id.clone(), session.bound.clone());
        let cleaned = self.admit_all(records, bound.as_ref(), Some(MESSAGE))?;
        Ok(MessagesWritten { session: name, messages: self.put(request, vec![session], cleaned)? })
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
        first(self.write_all(writer, vec![record], false).await?)
    }

    /// Writes records, all or none; `listed` says whether they came as a list.
    async fn write_all(&self, writer: &Writer, records: Vec<Record>, listed: bool) -> Result<Vec<Written>, Problem> {
        let reads = writer.grant.reads.clone();
        let (source, bound, request) = (writer.source, writer.grant.bound(), writer.request);
        let what = listed.then_some(NUMBER);
        let written = self.blocking(move |service| {
            let _entered = writing(source).entered();
            let replaced: Vec<Option<RecordId>> = records.iter().map(|record| record.replaces).collect();
            let cleaned = service.admit_all(records, bound.as_ref(), what)?;
            // What was done before was done, whatever became of what it replaced since.
            if let Some(ids) = service.before(request.as_ref())? {
                return service.again(ids, cleaned.iter().map(Told::of).collect());
            }
            for (place, older) in replaced.iter().enumerate().filter_map(|(place, older)| Some((place, (*older)?))) {
                service.visible(older, &reads).map_err(|problem| problem.of(what, place))?;
                if let Some(first) = replaced[..place].iter().position(|other| *other == Some(older)) {
                    let detail = format!("it replaces record {older}, as number {} does", first + 1);
                    return Err(Problem::conflict("replaced", detail).of(what, place));
                }
            }
            service.put(request, Vec::new(), cleaned)
        });
        written.await
    }

    fn admit_all(
        &self,
        records: Vec<Record>,
        bound: Option<&Scope>,
        what: Option<&str>,
    ) -> Result<Vec<Cleaned>, Problem> {
        let records = records.into_iter().enumerate();
        records
            .map(|(place, record)| self.admit(record, bound.cloned()).map_err(|problem| problem.of(what, place)))
            .collect()
    }

    /// Passes a record through the intake. `bound` is the scope that its writer is bound to.
    pub(super) fn admit(&self, record: Record, bound: Option<Scope>) -> Result<Cleaned, Problem> {
        match self.engine().intake().admit(record)? {
            Admission::Admitted { record, redactions } => Ok(Cleaned {
                record: record.from_bound(bound),
                redactions: redactions.into_iter().map(|(rule, times)| (rule.to_owned(), times)).collect(),
            }),
            Admission::Echo => {
                let detail = "it holds nothing but text that recall had injected; say what is new in your own words";
                Err(Problem::conflict("echo", detail))
            }
        }
    }

    /// The records of a request that was done before; `None` for a new one, or one without a name. One that said
    /// something else is a conflict: its writer takes two requests for one.
    pub(super) fn before(&self, request: Option<&Request>) -> Result<Option<Vec<RecordId>>, Problem> {
        let Some(request) = request else { return Ok(None) };
        match self.engine().store().request(request)? {
            Some(Once::Before(ids)) => Ok(Some(ids)),
            Some(Once::Other) => Err(key_reused()),
            Some(Once::Now(_)) | None => Ok(None),
        }
    }

    /// Stores cleaned records, and what is known of their session, in one transaction; what was done before under the
    /// request's name is answered again.
    pub(super) fn put(
        &self,
        request: Option<Request>,
        sessions: Vec<Session>,
        cleaned: Vec<Cleaned>,
    ) -> Result<Vec<Written>, Problem> {
        let told: Vec<Told> = cleaned.iter().map(Told::of).collect();
        let admitted: Vec<Admitted> = cleaned.into_iter().map(|cleaned| cleaned.record).collect();
        let store = self.engine().store();
        let once = match request {
            Some(request) => store.put_once(request, sessions, admitted)?,
            None => Once::Now(store.begin_put(sessions, admitted)?.wait()?),
        };
        match once {
            Once::Now(puts) => {
                let written = puts.into_iter().zip(told).map(|(put, told)| match put.is_new() {
                    true => Ok(told.written(put.id())),
                    false => self.stored(put.id(), told),
                });
                written.collect()
            }
            Once::Before(ids) => self.again(ids, told),
            Once::Other => Err(key_reused()),
        }
    }

    /// What is answered of records that a request wrote before.
    fn again(&self, ids: Vec<RecordId>, told: Vec<Told>) -> Result<Vec<Written>, Problem> {
        ids.into_iter().zip(told).map(|(id, told)| self.stored(id, told)).collect()
    }

    /// What is answered of a record that was there already: what is stored, which may say otherwise than what came.
    fn stored(&self, id: RecordId, told: Told) -> Result<Written, Problem> {
        // Read as an export reads it, for it may be forgotten since: that goes on behind an id.
        let before = u128::from_be_bytes(*id.as_bytes()).saturating_sub(1);
        let before = RecordId::from_bytes(before.to_be_bytes());
        let carried = self.engine().store().carry_out(Some(before), 1)?.into_iter().next();
        let (kind, scope, replaces) = match carried.filter(|carry| carry.place() == id) {
            Some(Carry::Record(carried)) => (carried.record.kind(), carried.record.scope, carried.record.replaces),
            Some(Carry::Tombstone(left)) => (left.kind, left.scope, left.replaces),
            _ => (told.kind, told.scope, told.replaces),
        };
        Ok(Written { id, kind, scope, created: false, replaces, redactions: told.redactions })
    }
}

fn key_reused() -> Problem {
    let detail = "another request was sent under this Idempotency-Key: give this one a name of its own";
    Problem::conflict(KEY_REUSED, detail)
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
    redactions: BTreeMap<String, usize>,
}

impl Told {
    fn of(cleaned: &Cleaned) -> Told {
        let record = cleaned.record.record();
        Told {
            kind: record.kind(),
            scope: record.scope.clone(),
            replaces: record.replaces,
            redactions: cleaned.redactions.clone(),
        }
    }

    fn written(self, id: RecordId) -> Written {
        let Told { kind, scope, replaces, redactions } = self;
        Written { id, kind, scope, created: true, replaces, redactions }
    }
}

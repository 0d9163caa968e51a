//! Sessions and their messages.

use harness_memory::store::{Filter, Order, SessionEntry};
use harness_memory::{Kind, ReadSet, Store};

use super::Service;
use crate::serve::cursor::Cursor;
use crate::serve::grant::Grant;
use crate::serve::problem::Problem;
use crate::serve::types::{MessagesPage, MessagesQuery, SessionsPage, SessionsQuery};
use axum::http::StatusCode;

/// How many sessions of one id are looked at: tools that call theirs the same.
const SAME_ID_MAX: usize = 100;

impl Service {
    /// A page of sessions, the last started first.
    pub(crate) async fn sessions(&self, grant: &Grant, request: SessionsQuery) -> Result<SessionsPage, Problem> {
        let scopes: Vec<_> = request.scope.iter().map(|scope| scope.0.clone()).collect();
        let reads = grant.narrowed(&scopes);
        let wanted = request.limit.get();
        self.blocking(move |service| {
            let listing = format!("sessions {reads:?}");
            let after = request.cursor.map(|cursor| cursor.place(&listing)).transpose()?;
            let mut found = service.engine().store().sessions_after(&reads, after, wanted + 1)?;
            let more = found.len() > wanted;
            found.truncate(wanted);
            let next = found.last().filter(|_| more).map(|(number, _)| Cursor::new(*number, &listing));
            Ok(SessionsPage { sessions: found.into_iter().map(|(_, entry)| entry).collect(), next })
        })
        .await
    }

    /// A page of a session's messages.
    pub(crate) async fn messages(
        &self,
        grant: &Grant,
        id: String,
        request: MessagesQuery,
    ) -> Result<MessagesPage, Problem> {
        let reads = grant.reads.clone();
        self.blocking(move |service| {
            let session = service.session(&id, request.source.as_deref(), &reads)?;
            let filter = Filter {
                scopes: ReadSet::new([harness_memory::scope::Readable::Exactly(session.session.scope.clone())]),
                kinds: vec![Kind::Message],
                session: Some(id),
                source: Some(session.session.source.clone()),
                order: Order::Oldest,
                limit: request.limit.get(),
                ..Filter::default()
            };
            let page = service.page(filter, request.cursor, None)?;
            Ok(MessagesPage { session, messages: page.records, next: page.next })
        })
        .await
    }

    /// The session of this id.
    fn session(&self, id: &str, source: Option<&str>, reads: &ReadSet) -> Result<SessionEntry, Problem> {
        let mut found = self.engine().store().find_sessions(id, SAME_ID_MAX)?;
        found.retain(|entry| {
            let session = &entry.session;
            session.id == id && reads.allows(&session.scope) && source.is_none_or(|source| session.source == source)
        });
        match found.len() {
            1 => Ok(found.remove(0)),
            0 => Err(Problem::new(StatusCode::NOT_FOUND, "no-session", format!("there is no session {id:?}"))),
            _ => {
                let of: Vec<&str> = found.iter().map(|entry| entry.session.source.as_str()).collect();
                let detail = format!("several tools have a session {id:?}: name one with `source`: {}", of.join(", "));
                Err(Problem::conflict("ambiguous-session", detail))
            }
        }
    }
}

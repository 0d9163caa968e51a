//! Sessions and their messages.

use harness_memory::scope::Readable;
use harness_memory::store::{Filter, Order, SessionEntry};
use harness_memory::{Kind, ReadSet, Scope, Session, Store};
use jiff::Timestamp;

use super::Service;
use crate::serve::cursor::Cursor;
use crate::serve::grant::Grant;
use crate::serve::problem::Problem;
use crate::serve::types::{MessagesPage, MessagesQuery, SessionsPage, SessionsQuery};
use axum::http::StatusCode;

/// How many sessions are looked at whose ids begin like the one that is meant: all that a busy home has of short names.
const SAME_BEGINNING_MAX: usize = 10_000;

/// How many sessions of one id are named when it is not clear which is meant.
const AMBIGUOUS_SHOWN_MAX: usize = 10;

/// How many sessions are read at once when some are left out by their times.
const SESSIONS_AT_ONCE: usize = 500;

impl Service {
    /// A page of sessions, those that went on last first.
    pub(crate) async fn sessions(&self, grant: &Grant, request: SessionsQuery) -> Result<SessionsPage, Problem> {
        let scopes: Vec<_> = request.scope.iter().map(|scope| scope.0.clone()).collect();
        let reads = grant.narrowed(&scopes);
        let wanted = request.limit.get();
        let (since, until) = (request.since.map(|time| time.0), request.until.map(|time| time.0));
        self.blocking(move |service| {
            let listing = match (since, until) {
                (None, None) => format!("sessions by end {reads:?}"),
                _ => format!("sessions by end {reads:?} {since:?} {until:?}"),
            };
            let mut after = request.cursor.map(|cursor| cursor.place(&listing)).transpose()?;
            let at_once = if since.is_some() || until.is_some() { SESSIONS_AT_ONCE } else { wanted + 1 };
            let mut found = Vec::new();
            loop {
                let read = service.engine().store().sessions_after(&reads, after, at_once)?;
                let full = read.len() == at_once;
                after = read.last().map(|(place, _)| *place);
                found.extend(read.into_iter().filter(|(_, entry)| overlaps(&entry.session, since, until)));
                if !full || found.len() > wanted {
                    break;
                }
            }
            let more = found.len() > wanted;
            found.truncate(wanted);
            let next = found.last().filter(|_| more).map(|(place, _)| Cursor::new(*place, &listing));
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
        let scopes: Vec<_> = request.scope.iter().map(|scope| scope.0.clone()).collect();
        let (reads, home_scope) = (grant.narrowed(&scopes), grant.home_scope.clone());
        self.blocking(move |service| {
            let session = service.session(&id, request.source.as_deref(), &reads, &home_scope)?;
            let filter = Filter {
                scopes: ReadSet::new([Readable::Exactly(session.session.scope.clone())]),
                kinds: vec![Kind::Message],
                session: Some(id),
                source: Some(session.session.source.clone()),
                order: Order::Place,
                limit: request.limit.get(),
                ..Filter::default()
            };
            let page = service.page(filter, request.cursor, None)?;
            Ok(MessagesPage { session, messages: page.records, next: page.next })
        })
        .await
    }

    /// The session of this id; of several that one of the caller's own scope, so that what others name alike does not
    /// stand in its way.
    fn session(
        &self,
        id: &str,
        source: Option<&str>,
        reads: &ReadSet,
        home_scope: &Scope,
    ) -> Result<SessionEntry, Problem> {
        let mut found = self.engine().store().find_sessions(id, SAME_BEGINNING_MAX)?;
        found.retain(|entry| {
            let session = &entry.session;
            session.id == id && reads.allows(&session.scope) && source.is_none_or(|source| session.source == source)
        });
        let own = ReadSet::from(home_scope.clone());
        for preferred in [ReadSet::new([Readable::Exactly(home_scope.clone())]), own] {
            if found.len() > 1 && found.iter().any(|entry| preferred.allows(&entry.session.scope)) {
                found.retain(|entry| preferred.allows(&entry.session.scope));
            }
        }
        match found.len() {
            1 => Ok(found.remove(0)),
            0 => Err(Problem::new(StatusCode::NOT_FOUND, "no-session", format!("there is no session {id:?}"))),
            _ => {
                let shown = found.iter().take(AMBIGUOUS_SHOWN_MAX).map(|entry| &entry.session);
                let of: Vec<String> = shown.map(|session| format!("{} in {}", session.source, session.scope)).collect();
                let detail =
                    format!("there are several sessions {id:?}: name one with `source` and `scope`: {}", of.join(", "));
                Err(Problem::conflict("ambiguous-session", detail))
            }
        }
    }
}

/// Whether a session went on within these times. One of which no time is known did within none.
fn overlaps(session: &Session, since: Option<Timestamp>, until: Option<Timestamp>) -> bool {
    let (began, ended) = (session.started_at.or(session.ended_at), session.ended_at.or(session.started_at));
    since.is_none_or(|since| ended.is_some_and(|ended| ended >= since))
        && until.is_none_or(|until| began.is_some_and(|began| began < until))
}

//! Raw sessions: `RecallStore` over an engine of ours, one scope for each owner.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use harness_core::{RecallError, RecallMessage, RecallStore, SessionHit, SessionMeta};
use harness_memory::memory::Snippet;
use harness_memory::store::{Filter, Order};
use harness_memory::{
    Body, Hit, Kind, Lookup, Message, Origin, Query, ReadSet, Record, Role, Scope, Session, Store, Stored, ToolCall,
    ToolResult,
};
use harness_recall::Engine;
use jiff::Timestamp;

/// What sessions that come in here are called as a source.
const SOURCE: &str = "harness-rs";

/// Messages at each end of a session, and around a hit, that orient whoever reads it.
const BOOKEND: usize = 2;
const AROUND: usize = 3;

/// Messages of a session whose passages make its snippet, the best first. Chatter that repeats the question matches it
/// best and says nothing; what answers it stands right behind, and a prompt is given the snippet alone.
const PASSAGES: usize = 3;

/// What stands between two passages of a snippet.
const BETWEEN: &str = " … ";

/// Messages of one session that are looked through.
const MESSAGES_MAX: usize = 10_000;

/// Raw sessions in a home, below one scope.
#[derive(Clone)]
pub struct Transcripts {
    engine: Arc<Engine>,
    below: Scope,
    /// Held while a message gets its number, so that two appends do not get the same.
    numbering: Arc<Mutex<BTreeMap<(String, String), i64>>>,
}

impl Transcripts {
    /// Sessions of owners, each in a scope of its own below this one.
    pub fn new(engine: Arc<Engine>, below: Scope) -> Transcripts {
        Transcripts { engine, below, numbering: Arc::default() }
    }

    fn scope(&self, owner: &str) -> Scope {
        // Names that a scope spells the same way must not share one: the owner's exact name is part of it.
        let exact = owner
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
        self.below.child_named(&format!("{owner}-{exact:016x}"))
    }

    /// Runs what blocks on a thread for that.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Transcripts) -> Result<T, String> + Send + 'static,
    ) -> Result<T, RecallError> {
        let this = self.clone();
        tokio::task::spawn_blocking(move || work(&this))
            .await
            .map_err(|error| RecallError::Backend(error.to_string()))?
            .map_err(RecallError::Backend)
    }

    /// The messages of a session in their order, at most [`MESSAGES_MAX`].
    fn messages(&self, owner: &str, session: &str, order: Order, limit: usize) -> Result<Vec<Stored>, String> {
        let filter = Filter {
            scopes: ReadSet::from(self.scope(owner)),
            kinds: vec![Kind::Message],
            session: Some(session.to_owned()),
            order,
            limit,
            ..Filter::default()
        };
        let found = self.engine.store().list(&filter).map_err(|error| error.to_string())?;
        Ok(found.into_iter().filter_map(Lookup::found).collect())
    }

    /// The number of the newest message of a session; 0 before the first.
    fn last(&self, owner: &str, session: &str) -> Result<i64, String> {
        let newest = self.messages(owner, session, Order::Newest, 1)?;
        Ok(newest.first().and_then(message).map_or(0, |message| message.id))
    }

    /// Appends a message under the next number, and answers that.
    fn put(&self, owner: &str, session: &str, msg: RecallMessage) -> Result<i64, String> {
        let mut numbering = self.numbering.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (owner.to_owned(), session.to_owned());
        let mut last = match numbering.get(&key) {
            Some(last) => *last,
            None => self.last(owner, session)?,
        };
        loop {
            let admitted = self.engine.intake().admit_one(self.record(owner, session, last + 1, &msg)?);
            let put = self.engine.store().put(vec![admitted.map_err(|error| error.to_string())?]);
            if put.map_err(|error| error.to_string())?.first().is_some_and(|put| put.is_new()) {
                numbering.insert(key, last + 1);
                return Ok(last + 1);
            }
            // Another process has taken the number.
            last = self.last(owner, session)?.max(last + 1);
        }
    }

    /// A message as a record of ours. Its number is its key, so that no two messages get the same.
    fn record(&self, owner: &str, session: &str, number: i64, msg: &RecallMessage) -> Result<Record, String> {
        let (role, origin) = match msg.role.as_str() {
            "user" => (Role::User, Origin::User),
            "assistant" => (Role::Assistant, Origin::Agent),
            "tool" => (Role::Tool, Origin::Tool),
            _ => (Role::System, Origin::Agent),
        };
        let position = u32::try_from(number - 1).map_err(|_| "the session is full".to_owned())?;
        let mut said = Message::new(role, position, msg.content.clone());
        if let Some(arguments) = msg.tool_calls.clone() {
            said.tool_calls.push(ToolCall { call: String::new(), tool: "calls".to_owned(), arguments });
        }
        if let Some(tool) = msg.tool_name.clone() {
            said.tool_result = Some(ToolResult { call: String::new(), tool, ok: None });
        }
        let mut record = Record::new(self.scope(owner), SOURCE, origin, said);
        record.session = Some(session.to_owned());
        record.key = Some(format!("message-{number}"));
        record.created_at = at(msg.ts_ms);
        Ok(record)
    }

    fn meta(&self, owner: &str, id: &str) -> Result<Option<SessionMeta>, String> {
        let scope = self.scope(owner);
        let found = self.engine.store().find_sessions(id, 1_000).map_err(|error| error.to_string())?;
        let entry = found.into_iter().find(|entry| entry.session.id == id && entry.session.scope == scope);
        Ok(entry.map(|entry| meta(&entry.session, entry.messages)))
    }
}

fn meta(session: &Session, messages: u64) -> SessionMeta {
    let started = session.started_at.map_or(0, |at| at.as_millisecond());
    let mut meta = SessionMeta::new(session.id.clone(), started);
    meta.title = session.title.clone();
    meta.source = Some(session.source.clone());
    meta.message_count = i64::try_from(messages).unwrap_or(i64::MAX);
    meta
}

/// Numbers of messages are counted from 1 there, places from 0 here.
fn number(message: &Message) -> i64 {
    i64::from(message.position) + 1
}

fn message(stored: &Stored) -> Option<RecallMessage> {
    let Body::Message(said) = &stored.record.body else { return None };
    let role = match said.role {
        Role::User => "user",
        Role::Assistant => "assistant",
        Role::Tool => "tool",
        Role::System => "system",
    };
    let mut message = RecallMessage::new(role, said.text.clone(), stored.record.created_at.as_millisecond());
    message.id = number(said);
    message.tool_name = said.tool_result.as_ref().map(|result| result.tool.clone());
    message.tool_calls = said.tool_calls.first().map(|call| call.arguments.clone());
    Some(message)
}

/// A snippet with what matched in it marked, as harness-rs marks it.
fn marked(snippet: &Snippet) -> String {
    let mut marked = String::new();
    let mut last = 0;
    for span in &snippet.highlights {
        marked.push_str(&snippet.text[last..span.start]);
        marked.push_str(&format!(">>>{}<<<", &snippet.text[span.start..span.end]));
        last = span.end;
    }
    marked + &snippet.text[last..]
}

fn at(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(ms).unwrap_or_else(|_| Timestamp::now())
}

#[async_trait]
impl RecallStore for Transcripts {
    async fn ensure_session(&self, owner: &str, session_id: &str, meta: &SessionMeta) -> Result<(), RecallError> {
        let mut session = Session::new(SOURCE, session_id, self.scope(owner));
        session.title.clone_from(&meta.title);
        session.started_at = Some(at(meta.started_at_ms));
        self.blocking(move |this| this.engine.store().put_session(session).map_err(|error| error.to_string())).await
    }

    async fn append(&self, owner: &str, session_id: &str, msg: &RecallMessage) -> Result<i64, RecallError> {
        let (owner, session, msg) = (owner.to_owned(), session_id.to_owned(), msg.clone());
        self.blocking(move |this| this.put(&owner, &session, msg)).await
    }

    async fn search(&self, owner: &str, query: &str, limit: usize) -> Result<Vec<SessionHit>, RecallError> {
        if query.trim().is_empty() || limit == 0 {
            return Ok(Vec::new());
        }
        let (owner, query) = (owner.to_owned(), query.to_owned());
        self.blocking(move |this| {
            let asked = Query { kinds: vec![Kind::Message], limit: 10 * limit, ..Query::new(query) };
            let reads = ReadSet::from(this.scope(&owner));
            let answer = this.engine.recall_distinct(&asked, &reads).map_err(|error| error.to_string())?;
            // A session is one hit: its best messages, in the order in which recall ranks them.
            let mut best: Vec<(String, Vec<Hit>)> = Vec::new();
            for hit in answer.hits {
                let Some(id) = hit.session.clone() else { continue };
                match best.iter_mut().find(|(session, _)| *session == id) {
                    Some((_, of_it)) if of_it.len() < PASSAGES => of_it.push(hit),
                    Some(_) => {}
                    None => best.push((id, vec![hit])),
                }
            }
            let mut hits: Vec<SessionHit> = Vec::new();
            for (id, of_it) in best {
                if hits.len() == limit {
                    break;
                }
                let Some(meta) = this.meta(&owner, &id)? else { continue };
                let stored = this.messages(&owner, &id, Order::Oldest, MESSAGES_MAX)?;
                let anchor = stored.iter().find(|stored| stored.record.id == of_it[0].id).and_then(message);
                let Some(anchor) = anchor.map(|message| message.id) else { continue };
                let all: Vec<RecallMessage> = stored.iter().filter_map(message).collect();
                let around = all.iter().filter(|message| (message.id - anchor).unsigned_abs() <= AROUND as u64);
                let passages: Vec<String> = of_it.iter().filter_map(|hit| hit.snippet.as_ref()).map(marked).collect();
                let start = all.iter().take(BOOKEND).cloned().collect();
                let end = all.iter().skip(all.len().saturating_sub(BOOKEND)).cloned().collect();
                hits.push(SessionHit::new(meta, passages.join(BETWEEN), anchor, start, around.cloned().collect(), end));
            }
            Ok(hits)
        })
        .await
    }

    async fn scroll(
        &self,
        owner: &str,
        session_id: &str,
        around: i64,
        window: usize,
    ) -> Result<Vec<RecallMessage>, RecallError> {
        let (owner, session) = (owner.to_owned(), session_id.to_owned());
        self.blocking(move |this| {
            let stored = this.messages(&owner, &session, Order::Oldest, MESSAGES_MAX)?;
            let near = |message: &RecallMessage| message.id.abs_diff(around) <= window as u64;
            Ok(stored.iter().filter_map(message).filter(near).collect())
        })
        .await
    }

    async fn recent(&self, owner: &str, limit: usize) -> Result<Vec<SessionMeta>, RecallError> {
        let owner = owner.to_owned();
        self.blocking(move |this| {
            let reads = ReadSet::from(this.scope(&owner));
            let found = this.engine.store().sessions(&reads, limit).map_err(|error| error.to_string())?;
            Ok(found.iter().map(|entry| meta(&entry.session, entry.messages)).collect())
        })
        .await
    }
}

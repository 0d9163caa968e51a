//! The only way to [`crate::Store::put`]: limits, echo check, redaction.

use std::borrow::Cow;
use std::collections::BTreeMap;

use xxhash_rust::xxh3::xxh3_64;

use crate::error::{Error, Result};
use crate::import::Cursor;
use crate::marker;
use crate::record::{Body, Record, TAG_CHARS_MAX, TAGS_MAX, TEXT_BYTES_MAX};
use crate::redact::Redactor;
use crate::scope::Scope;
use crate::session::Session;
use crate::store::Reading;

/// The longest source, session or key, in bytes: tools use UUIDs and short paths.
pub const NAME_BYTES_MAX: usize = 512;

/// A record that has passed the intake: within its limits, without what recall injected, without secrets.
#[derive(Clone, Debug, PartialEq)]
pub struct Admitted {
    record: Record,
    bound: Option<Scope>,
}

impl Admitted {
    /// The record.
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// The same from somebody who is bound to a scope: what its episode says of its session says it of no run but that
    /// caller's own, see [`crate::session::run_name`].
    pub fn from_bound(self, bound: Option<Scope>) -> Admitted {
        Admitted { bound, ..self }
    }

    /// The scope that whoever writes it is bound to.
    pub(crate) fn bound(&self) -> Option<&Scope> {
        self.bound.as_ref()
    }

    /// A record of one store on its way to a copy of it: it passed the intake once.
    pub(crate) fn from_store(record: Record) -> Admitted {
        Admitted { record, bound: None }
    }

    /// The record, given up.
    pub fn into_record(self) -> Record {
        self.record
    }
}

/// What the intake did to a record.
#[derive(Debug)]
pub enum Admission {
    /// It may be stored.
    Admitted {
        /// The cleaned record.
        record: Box<Admitted>,
        /// How many secrets were replaced, by rule.
        redactions: BTreeMap<&'static str, usize>,
    },
    /// It held nothing but what recall had injected: there is nothing to store.
    Echo,
}

/// Cleans records on their way to the store.
#[derive(Default)]
pub struct Intake {
    redactor: Redactor,
}

impl Intake {
    /// An intake with the built-in redaction rules.
    pub fn new() -> Intake {
        Intake::default()
    }

    /// An intake with this redactor.
    pub fn with(redactor: Redactor) -> Intake {
        Intake { redactor }
    }

    /// What replaces secrets here.
    pub fn redactor(&self) -> &Redactor {
        &self.redactor
    }

    /// Replaces the secrets of a record that is stored already; answers which rules fired, and how often.
    pub(crate) fn clean_record(&self, record: &mut Record) -> BTreeMap<&'static str, usize> {
        let mut redactions = BTreeMap::new();
        for_each_text(record, &mut |text: &mut String| {
            let redacted = self.redactor.redact(text);
            for (rule, times) in redacted.hits() {
                *redactions.entry(rule).or_insert(0) += times;
            }
            if redacted.hits().next().is_some() {
                *text = redacted.into_text().into_owned();
            }
        });
        redactions
    }

    /// Checks a record's limits, drops the blocks that recall injected, and redacts its secrets.
    pub fn admit(&self, mut record: Record) -> Result<Admission> {
        check_limits(&record)?;
        let mut redactions = BTreeMap::new();
        let mut echoes = 0;
        let mut clean = |text: &mut String| {
            let stripped = marker::strip(text);
            echoes += stripped.dropped;
            let redacted = self.redactor.redact(&stripped.text);
            for (rule, times) in redacted.hits() {
                *redactions.entry(rule).or_insert(0) += times;
            }
            let redacted = redacted.into_text();
            if redacted != *text {
                *text = redacted.into_owned();
            }
        };
        for_each_text(&mut record, &mut clean);
        for name in [&mut record.session, &mut record.key].into_iter().flatten().chain([&mut record.source]) {
            if let Cow::Owned(clean) = clean_name(name) {
                *name = clean;
            }
        }
        // Quotation marks and signs that stood around a block say nothing of their own.
        if echoes > 0 && !record.text().chars().any(char::is_alphanumeric) {
            return Ok(Admission::Echo);
        }
        Ok(Admission::Admitted { record: Box::new(Admitted { record, bound: None }), redactions })
    }

    /// What is known of a session without its secrets: a title is often the words of a prompt.
    pub fn session(&self, mut session: Session) -> Session {
        let texts = [&mut session.title, &mut session.project, &mut session.directory, &mut session.branch];
        for text in texts.into_iter().flatten() {
            let clean = self.redactor.redact(text).into_text();
            if clean != text.as_str() {
                *text = clean.into_owned();
            }
        }
        for name in [&mut session.id, &mut session.source].into_iter().chain(&mut session.parent) {
            if let Cow::Owned(clean) = clean_name(name) {
                *name = clean;
            }
        }
        session.scope = session.scope.without_secrets();
        session.bound = session.bound.map(|scope| scope.without_secrets());
        session
    }

    /// What is noted of a transcript without its secrets: they are in the names of sessions and calls, and in paths. What
    /// was an open call's id is one no longer.
    pub fn reading(&self, mut reading: Reading) -> Reading {
        reading.sessions = reading.sessions.into_iter().map(|session| self.session(session)).collect();
        let Cursor { session, folder, open_calls, .. } = &mut reading.cursor;
        let names = open_calls.iter_mut().flat_map(|(id, tool)| [id, tool]).chain(session);
        for name in names {
            if let Cow::Owned(clean) = clean_name(name) {
                *name = clean;
            }
        }
        if let Some(folder) = folder {
            *folder = self.redactor.redact(folder).into_text().into_owned();
        }
        reading
    }

    /// [`Intake::admit`] for a caller to whom an echo is an error: somebody who writes one record on purpose.
    pub fn admit_one(&self, record: Record) -> Result<Admitted> {
        match self.admit(record)? {
            Admission::Admitted { record, .. } => Ok(*record),
            Admission::Echo => Err(Error::Refused {
                reason: "it holds nothing but text that recall had injected; save what is new in your own words".into(),
            }),
        }
    }
}

/// The longest name that can hold no secret: every kind of them is longer, or needs words around it.
const PLAIN_NAME_BYTES: usize = 12;

/// A name without secrets: of a source, session, key or run. Two names stay two, and the same name stays the same: in
/// the place of what was replaced a hash of the name tells them apart. Always by the built-in rules, so that a record
/// and its session are named alike whoever hands them in.
pub(crate) fn clean_name(name: &str) -> Cow<'_, str> {
    // Most names are UUIDs or short words.
    let is_plain = name.len() <= PLAIN_NAME_BYTES || name.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    if is_plain {
        return Cow::Borrowed(name);
    }
    let redacted = Redactor::default().redact(name);
    if redacted.hits().next().is_none() {
        return Cow::Borrowed(name);
    }
    let hash = format!("#{:016x}", xxh3_64(name.as_bytes()));
    let mut clean = redacted.into_text().into_owned();
    clean.truncate(clean.floor_char_boundary(NAME_BYTES_MAX - hash.len()));
    Cow::Owned(clean + &hash)
}

fn for_each_text(record: &mut Record, clean: &mut impl FnMut(&mut String)) {
    record.tags.iter_mut().for_each(&mut *clean);
    match &mut record.body {
        Body::Message(message) => {
            clean(&mut message.text);
            message.caption.iter_mut().chain(&mut message.speaker).for_each(&mut *clean);
            for call in &mut message.tool_calls {
                [&mut call.call, &mut call.tool, &mut call.arguments].into_iter().for_each(&mut *clean);
            }
            if let Some(result) = &mut message.tool_result {
                [&mut result.call, &mut result.tool].into_iter().for_each(&mut *clean);
            }
        }
        Body::Episode(episode) => {
            clean(&mut episode.situation);
            let free = episode.user_turns.iter_mut().chain(&mut episode.errors);
            free.chain(&mut episode.reason).chain(&mut episode.lesson).for_each(&mut *clean);
            for tool in &mut episode.tools {
                clean(&mut tool.tool);
                clean(&mut tool.gist);
                tool.error.iter_mut().for_each(&mut *clean);
            }
        }
        Body::Note(note) => clean(&mut note.text),
        Body::Lesson(lesson) => clean(&mut lesson.text),
    }
}

fn check_limits(record: &Record) -> Result<()> {
    let refuse = |reason: String| Err(Error::Refused { reason });
    if record.text().trim().is_empty() && !has_more_than_text(record) {
        return refuse("its text is empty".into());
    }
    let bytes = text_bytes(record);
    if bytes > TEXT_BYTES_MAX {
        return refuse(format!("it holds {bytes} bytes of text, the limit is {TEXT_BYTES_MAX}; split it or cut it"));
    }
    check_tags(&record.tags)?;
    // What is refused was not cleaned: its words are not repeated, for whoever keeps the message.
    let names = [("source", Some(&record.source)), ("session", record.session.as_ref()), ("key", record.key.as_ref())];
    if let Some((what, _)) = names.into_iter().find(|(_, name)| name.is_some_and(|name| name.len() > NAME_BYTES_MAX)) {
        return refuse(format!("the name of its {what} is longer than {NAME_BYTES_MAX} bytes"));
    }
    // Under another name it might be read by others than was meant.
    if record.scope.holds_secret() {
        return refuse("the name of its scope holds a secret; name the scope otherwise".into());
    }
    if record.replaces == Some(record.id) {
        return refuse("it says that it replaces itself".into());
    }
    Ok(())
}

/// Refuses tags that are too many, too long or empty.
pub(crate) fn check_tags(tags: &[String]) -> Result<()> {
    let refuse = |reason: String| Err(Error::Refused { reason });
    if tags.len() > TAGS_MAX {
        return refuse(format!("it has {} tags, the limit is {TAGS_MAX}", tags.len()));
    }
    if let Some(at) = tags.iter().position(|tag| tag.chars().count() > TAG_CHARS_MAX || tag.trim().is_empty()) {
        return refuse(format!("tag {} is empty or longer than {TAG_CHARS_MAX} characters", at + 1));
    }
    Ok(())
}

/// Whether a record with an empty text still says something: a message that only calls tools, or a tool's empty answer.
fn has_more_than_text(record: &Record) -> bool {
    match &record.body {
        Body::Message(message) => {
            !message.tool_calls.is_empty() || message.tool_result.is_some() || message.caption.is_some()
        }
        _ => false,
    }
}

fn text_bytes(record: &Record) -> usize {
    match &record.body {
        Body::Message(message) => {
            let calls = message.tool_calls.iter();
            let calls: usize = calls.map(|call| call.call.len() + call.tool.len() + call.arguments.len()).sum();
            message.text.len() + calls + message.caption.as_ref().map_or(0, String::len)
        }
        Body::Episode(episode) => {
            let turns = episode.user_turns.iter().chain(&episode.errors).map(String::len).sum::<usize>();
            let tools = episode.tools.iter();
            let tools: usize =
                tools.map(|t| t.tool.len() + t.gist.len() + t.error.as_ref().map_or(0, String::len)).sum();
            let said = [&episode.reason, &episode.lesson].into_iter().flatten().map(String::len).sum::<usize>();
            episode.situation.len() + turns + tools + said
        }
        Body::Note(note) => note.text.len(),
        Body::Lesson(lesson) => lesson.text.len(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Note, Origin};

    #[test]
    fn a_scope_with_a_secret_is_refused_and_said_again_nowhere() {
        let token = format!("gh{}_{}", 'p', "a".repeat(30) + "7q2xz9");
        let scope = Scope::parse(&format!("team/{token}")).unwrap();
        let record = Record::new(scope.clone(), "test", Origin::User, Note::new("a note"));
        let refused = Intake::new().admit(record).unwrap_err().to_string();
        assert!(refused.contains("scope holds a secret") && !refused.contains(&token), "{refused}");
        let session = Intake::new().session(Session::new("test", "s", scope));
        assert!(session.scope.path().starts_with("team/redacted-"), "{}", session.scope);
    }

    #[test]
    fn a_subagents_session_names_its_parent_as_the_parent_is_named_and_no_note_keeps_a_secret() {
        let token = format!("gh{}_{}", 'p', "a".repeat(30) + "7q2Xz9");
        let name = format!("deploy-{token}");
        let mut child = Session::new("test", "agent-1", Scope::root());
        child.parent = Some(name.clone());
        let intake = Intake::new();
        let parent = intake.session(Session::new("test", name.clone(), Scope::root()));
        assert_eq!(intake.session(child.clone()).parent, Some(parent.id));
        let cursor = Cursor {
            session: Some(name),
            folder: Some(format!("/srv/{token}")),
            open_calls: vec![(token.clone(), format!("mcp__{token}"))],
            ..Cursor::default()
        };
        let noted = intake.reading(Reading { cursor, sessions: vec![child], ..Reading::default() });
        assert!(!format!("{noted:?}").contains(&token), "{noted:?}");
        assert_eq!(intake.reading(noted.clone()), noted, "what was cleaned is clean");
    }

    #[test]
    fn a_name_keeps_no_secret_and_stays_one_name() {
        let token = |letter: char| format!("gh{}_{}", 'p', letter.to_string().repeat(30) + "7q2Xz9");
        let (one, other) = (format!("job {}", token('a')), format!("job {}", token('b')));
        let clean = clean_name(&one).into_owned();
        assert!(!clean.contains(&token('a')), "{clean}");
        assert_eq!(clean, clean_name(&one));
        assert_ne!(clean, clean_name(&other));
        assert_eq!(clean_name(&clean), clean, "what was cleaned is clean");
        let long = format!("{} {}", "x".repeat(490), token('c'));
        assert!(clean_name(&long).len() <= NAME_BYTES_MAX);
        for plain in
            ["5f0c2a71-77d3-4f0e-9d3b-0a4a3c1f2b6e", "claude-code", "/home/ana/shop/notes/deploy.md", "observation-17"]
        {
            assert_eq!(clean_name(plain), plain);
        }
    }
}

//! The only way to [`crate::Store::put`]: limits, echo check, redaction.

use std::collections::BTreeMap;

use crate::error::{Error, Result};
use crate::marker;
use crate::record::{Body, Record, TAG_BYTES_MAX, TAGS_MAX, TEXT_BYTES_MAX};
use crate::redact::Redactor;
use crate::session::Session;

/// The longest source, session or key, in bytes: tools use UUIDs and short paths.
pub const NAME_BYTES_MAX: usize = 512;

/// A record that has passed the intake: within its limits, without what recall injected, without secrets.
#[derive(Clone, Debug, PartialEq)]
pub struct Admitted(Record);

impl Admitted {
    /// The record.
    pub fn record(&self) -> &Record {
        &self.0
    }

    /// A record of one store on its way to a copy of it: it passed the intake once.
    pub(crate) fn from_store(record: Record) -> Admitted {
        Admitted(record)
    }

    /// The record, given up.
    pub fn into_record(self) -> Record {
        self.0
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
        // Quotation marks and signs that stood around a block say nothing of their own.
        if echoes > 0 && !record.text().chars().any(char::is_alphanumeric) {
            return Ok(Admission::Echo);
        }
        Ok(Admission::Admitted { record: Box::new(Admitted(record)), redactions })
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
        session
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

fn for_each_text(record: &mut Record, clean: &mut impl FnMut(&mut String)) {
    record.tags.iter_mut().for_each(&mut *clean);
    match &mut record.body {
        Body::Message(message) => {
            clean(&mut message.text);
            message.caption.iter_mut().chain(&mut message.speaker).for_each(&mut *clean);
            for call in &mut message.tool_calls {
                clean(&mut call.arguments);
            }
        }
        Body::Episode(episode) => {
            clean(&mut episode.situation);
            let free = episode.user_turns.iter_mut().chain(&mut episode.errors);
            free.chain(&mut episode.reason).chain(&mut episode.lesson).for_each(&mut *clean);
            for tool in &mut episode.tools {
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
    let names = [Some(&record.source), record.session.as_ref(), record.key.as_ref()];
    if let Some(name) = names.into_iter().flatten().find(|name| name.len() > NAME_BYTES_MAX) {
        let start: String = name.chars().take(40).collect();
        return refuse(format!("the name {start:?}… is longer than {NAME_BYTES_MAX} bytes"));
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
    if let Some(tag) = tags.iter().find(|tag| tag.len() > TAG_BYTES_MAX || tag.trim().is_empty()) {
        return refuse(format!("tag {tag:?} is empty or longer than {TAG_BYTES_MAX} bytes"));
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
            let calls: usize = message.tool_calls.iter().map(|call| call.arguments.len()).sum();
            message.text.len() + calls + message.caption.as_ref().map_or(0, String::len)
        }
        Body::Episode(episode) => {
            let turns = episode.user_turns.iter().chain(&episode.errors).map(String::len).sum::<usize>();
            let tools: usize =
                episode.tools.iter().map(|t| t.gist.len() + t.error.as_ref().map_or(0, String::len)).sum();
            let said = [&episode.reason, &episode.lesson].into_iter().flatten().map(String::len).sum::<usize>();
            episode.situation.len() + turns + tools + said
        }
        Body::Note(note) => note.text.len(),
        Body::Lesson(lesson) => lesson.text.len(),
    }
}

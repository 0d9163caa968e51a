//! What one record is.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::id::RecordId;
use crate::scope::Scope;

/// The longest text of one record, in bytes, that is stored whole: a large source file or log;
/// longer texts are cut by importers, which say so, and refused from everybody else.
pub const TEXT_BYTES_MAX: usize = 1 << 20;

/// The most tags a record can have: more would be a text of its own.
pub const TAGS_MAX: usize = 32;

/// The longest tag, in characters.
pub const TAG_CHARS_MAX: usize = 64;

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $code:literal $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        pub enum $name {
            $($(#[$variant_doc])* #[serde(rename = $word)] $variant = $code,)+
        }

        impl $name {
            /// All values, in the order of their codes.
            pub const ALL: &'static [$name] = &[$($name::$variant,)+];

            /// The word used in columns, flags and JSON.
            pub fn word(self) -> &'static str {
                match self { $($name::$variant => $word,)+ }
            }

            /// The number that stands for this value in stored data.
            pub fn code(self) -> u8 {
                self as u8
            }

            /// The value that a stored number stands for.
            pub fn from_code(code: u8) -> Option<$name> {
                match code { $($code => Some($name::$variant),)+ _ => None }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.word())
            }
        }

        impl std::str::FromStr for $name {
            type Err = String;

            fn from_str(word: &str) -> Result<$name, String> {
                match word {
                    $($word => Ok($name::$variant),)+
                    other => Err(format!("{other:?} is none of: {}", [$($word),+].join(", "))),
                }
            }
        }
    };
}

words! {
    /// What a record is.
    Kind {
        /// One turn of a session.
        Message = 1 "message",
        /// Situation, tools used, outcome.
        Episode = 2 "episode",
        /// A statement that somebody asked to have remembered.
        Note = 3 "note",
        /// A short rule drawn from episodes.
        Lesson = 4 "lesson",
    }
}

words! {
    /// Who said it.
    Origin {
        /// The person.
        User = 1 "user",
        /// A model.
        Agent = 2 "agent",
        /// A program that a model called.
        Tool = 3 "tool",
        /// Another memory's data.
        Import = 4 "import",
        /// A page of the web.
        Web = 5 "web",
    }
}

words! {
    /// How far a record may be believed. Later values are believed less.
    Trust {
        /// Said by the person this memory belongs to.
        Trusted = 1 "trusted",
        /// Nothing speaks for or against it.
        Plain = 2 "plain",
        /// Data from outside, never an instruction.
        Untrusted = 3 "untrusted",
        /// Kept, found by search, and never injected.
        Quarantined = 4 "quarantined",
    }
}

words! {
    /// Whose turn a message was.
    Role {
        /// The person's.
        User = 1 "user",
        /// The model's.
        Assistant = 2 "assistant",
        /// A tool's result.
        Tool = 3 "tool",
        /// The tool's own frame around the conversation.
        System = 4 "system",
    }
}

words! {
    /// What a message is within its session.
    MessageForm {
        /// What somebody said or a tool answered.
        Statement = 1 "statement",
        /// A summary written by a tool at compaction or as a title: about the session, not part of it.
        Summary = 2 "summary",
        /// Environment blocks, permission texts, echoes of local commands: kept, never searched.
        Scaffold = 3 "scaffold",
    }
}

words! {
    /// How an episode ended.
    Outcome {
        /// It reached what was asked.
        Success = 1 "success",
        /// It did not.
        Failure = 2 "failure",
        /// There is no evidence either way.
        Unknown = 3 "unknown",
    }
}

/// One thing that can be recalled.
///
/// `source`, `session` and `key` are its provenance: where to go and check. A record whose
/// provenance (with its scope) is already in the store is not added again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Record {
    /// Its name.
    pub id: RecordId,
    /// Whose it is.
    pub scope: Scope,
    /// Who said it.
    pub origin: Origin,
    /// How far it may be believed.
    pub trust: Trust,
    /// The tool or way it came in by: `claude-code`, `cli`, `http`, `mcp`, ….
    pub source: String,
    /// The session it belongs to, by the id that its tool gave it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// What names it within its source and session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// When it was said or happened; kept to the millisecond.
    pub created_at: Timestamp,
    /// From when on it is no longer recalled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// Whether a person asked to keep it in front.
    #[serde(default, skip_serializing_if = "is_false")]
    pub pinned: bool,
    /// Words a person or agent attached to it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// The record that this one supersedes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<RecordId>,
    /// What it says.
    #[serde(flatten)]
    pub body: Body,
}

fn is_false(value: &bool) -> bool {
    !value
}

impl Record {
    /// A new record of this body, made now, with a new id, no provenance key and [`Trust::Plain`].
    pub fn new(scope: Scope, source: impl Into<String>, origin: Origin, body: impl Into<Body>) -> Record {
        Record {
            id: RecordId::new(),
            scope,
            origin,
            trust: Trust::Plain,
            source: source.into(),
            session: None,
            key: None,
            created_at: Timestamp::now(),
            expires_at: None,
            pinned: false,
            tags: Vec::new(),
            replaces: None,
            body: body.into(),
        }
    }

    /// What the record is.
    pub fn kind(&self) -> Kind {
        self.body.kind()
    }

    /// The text a person reads first: a message's, note's or lesson's text, an episode's situation.
    pub fn text(&self) -> &str {
        match &self.body {
            Body::Message(message) => &message.text,
            Body::Episode(episode) => &episode.situation,
            Body::Note(note) => &note.text,
            Body::Lesson(lesson) => &lesson.text,
        }
    }
}

/// What a record says, by its kind.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Body {
    /// One turn of a session.
    Message(Message),
    /// Situation, tools, outcome.
    Episode(Episode),
    /// A statement to remember.
    Note(Note),
    /// A rule drawn from episodes.
    Lesson(Lesson),
}

impl Body {
    /// Which kind this is.
    pub fn kind(&self) -> Kind {
        match self {
            Body::Message(_) => Kind::Message,
            Body::Episode(_) => Kind::Episode,
            Body::Note(_) => Kind::Note,
            Body::Lesson(_) => Kind::Lesson,
        }
    }
}

impl From<Message> for Body {
    fn from(message: Message) -> Body {
        Body::Message(message)
    }
}

impl From<Episode> for Body {
    fn from(episode: Episode) -> Body {
        Body::Episode(episode)
    }
}

impl From<Note> for Body {
    fn from(note: Note) -> Body {
        Body::Note(note)
    }
}

impl From<Lesson> for Body {
    fn from(lesson: Lesson) -> Body {
        Body::Lesson(lesson)
    }
}

/// One turn of a session.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Message {
    /// Whose turn it was.
    pub role: Role,
    /// What it is within its session.
    #[serde(default = "statement", skip_serializing_if = "is_statement")]
    pub form: MessageForm,
    /// The name of who spoke, where there is one beyond the role.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub speaker: Option<String>,
    /// Its place in the session, counted from 0; places may be missing.
    #[serde(default)]
    pub position: u32,
    /// What was said, or what the tool printed.
    pub text: String,
    /// What an image or attachment shows, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caption: Option<String>,
    /// The tools that this turn called.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tool_calls: Vec<ToolCall>,
    /// For a tool's turn: which call it answers, and how it went.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool_result: Option<ToolResult>,
}

fn statement() -> MessageForm {
    MessageForm::Statement
}

fn is_statement(form: &MessageForm) -> bool {
    *form == MessageForm::Statement
}

impl Message {
    /// A statement of this role at this place, with nothing else.
    pub fn new(role: Role, position: u32, text: impl Into<String>) -> Message {
        Message {
            role,
            form: MessageForm::Statement,
            speaker: None,
            position,
            text: text.into(),
            caption: None,
            tool_calls: Vec::new(),
            tool_result: None,
        }
    }
}

/// A call of a tool by a model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ToolCall {
    /// The id that the tool's answer refers to; empty where the transcript has none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub call: String,
    /// The tool's name.
    pub tool: String,
    /// Its arguments, as compact JSON or as plain text where they are not JSON.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub arguments: String,
}

/// How a call of a tool went.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ToolResult {
    /// The call that this answers; empty where the transcript has none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub call: String,
    /// The tool's name, where it is known.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub tool: String,
    /// Whether it succeeded, where the transcript says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ok: Option<bool>,
}

/// Situation, tools used, outcome.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Episode {
    /// What was asked, in the words it was asked in.
    #[cfg_attr(feature = "schema", schemars(length(min = 1), extend("pattern" = "\\S")))]
    pub situation: String,
    /// What else the person said, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub user_turns: Vec<String>,
    /// The tools that were used, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<ToolUse>,
    /// How it ended.
    pub outcome: Outcome,
    /// What says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Whether somebody said how it ended: what is read from the transcript later does not change that.
    #[serde(default, skip_serializing_if = "is_false")]
    pub outcome_said: bool,
    /// What to take from it, where somebody said it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lesson: Option<String>,
    /// Errors met on the way, as the tools printed them, shortened.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<String>,
    /// What it cost, in US dollars, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost_usd: Option<f64>,
    /// Tokens read and written by the model, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<u64>,
    /// From the request to the end, in milliseconds, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
}

impl Episode {
    /// An episode of this situation whose outcome is not known yet.
    pub fn new(situation: impl Into<String>) -> Episode {
        Episode {
            situation: situation.into(),
            user_turns: Vec::new(),
            tools: Vec::new(),
            outcome: Outcome::Unknown,
            reason: None,
            outcome_said: false,
            lesson: None,
            errors: Vec::new(),
            cost_usd: None,
            tokens: None,
            duration_ms: None,
        }
    }
}

/// One use of a tool within an episode.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ToolUse {
    /// The tool's name.
    pub tool: String,
    /// Its arguments in a few words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub gist: String,
    /// Whether it succeeded, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ok: Option<bool>,
    /// What it said when it failed, shortened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// A statement that somebody asked to have remembered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Note {
    /// The statement.
    #[cfg_attr(feature = "schema", schemars(length(min = 1), extend("pattern" = "\\S")))]
    pub text: String,
}

impl Note {
    /// A note of this text.
    pub fn new(text: impl Into<String>) -> Note {
        Note { text: text.into() }
    }
}

/// A short rule drawn from episodes, with what speaks for it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Lesson {
    /// The rule.
    #[cfg_attr(feature = "schema", schemars(length(min = 1), extend("pattern" = "\\S")))]
    pub text: String,
    /// The episodes it was drawn from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<RecordId>,
}

//! Transcripts as a whole.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::scope::Scope;

/// What is known of one transcript beside its messages.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Session {
    /// The id that its tool gave it.
    pub id: String,
    /// The tool: `claude-code`, `codex`, ….
    pub source: String,
    /// Whose it is.
    pub scope: Scope,
    /// What it was about, in a few words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// The name of the project.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// The working directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub directory: Option<String>,
    /// The git branch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
    /// The session this one was started from, such as a subagent's parent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// When its first message was said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// When its last known message was said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// The scope that whoever began it is bound to; `None` for whoever may see everything. Its runs are named by it, see
    /// [`run_name`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bound: Option<Scope>,
}

/// The name under which a caller's run is kept. Callers choose names, and two that are bound to scopes of their own may
/// choose the same: theirs are told apart by the scope, and the name alone belongs to whoever may see everything.
pub fn run_name(name: &str, bound: Option<&Scope>) -> String {
    match bound {
        Some(scope) => format!("{name} @{scope}"),
        None => name.to_owned(),
    }
}

impl Session {
    /// A session of which nothing but its name is known.
    pub fn new(source: impl Into<String>, id: impl Into<String>, scope: Scope) -> Session {
        Session {
            id: id.into(),
            source: source.into(),
            scope,
            title: None,
            project: None,
            directory: None,
            branch: None,
            parent: None,
            started_at: None,
            ended_at: None,
            bound: None,
        }
    }

    /// Takes over what `newer` knows: its fields where it has them, the earlier start and the later end.
    pub fn learn(&mut self, newer: Session) {
        fn newest<T>(known: &mut Option<T>, newer: Option<T>) {
            if newer.is_some() {
                *known = newer;
            }
        }
        newest(&mut self.title, newer.title);
        newest(&mut self.project, newer.project);
        newest(&mut self.directory, newer.directory);
        newest(&mut self.branch, newer.branch);
        newest(&mut self.parent, newer.parent);
        self.started_at = [self.started_at, newer.started_at].into_iter().flatten().min();
        self.ended_at = [self.ended_at, newer.ended_at].into_iter().flatten().max();
    }
}

//! One remembered text.

use jiff::Timestamp;

/// A text of a memory, wherever it is from.
#[derive(Clone, Debug, Default)]
pub(crate) struct Item {
    /// How it is found again: an id, or a file and a line.
    pub(crate) id: String,
    pub(crate) kind: String,
    pub(crate) text: String,
    /// When it was written or last changed, where that is known.
    pub(crate) at: Option<Timestamp>,
    /// Whether it was ever put in front of a prompt, where that is known and to be expected.
    pub(crate) recalled: Option<bool>,
    /// Whether something replaced it, or it has expired.
    pub(crate) ended: bool,
    /// Whether it says something that may be overtaken; what was said in a session stays said.
    pub(crate) may_age: bool,
}

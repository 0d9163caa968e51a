//! The shape of a line of a Claude Code transcript, as far as it matters here.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::import::tolerant::{Flag, FromText, Many, Object, Text};

/// One line.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Line<'a> {
    #[serde(borrow, rename = "type")]
    pub(super) kind: Text<'a>,
    #[serde(borrow)]
    pub(super) subtype: Text<'a>,
    #[serde(borrow)]
    pub(super) uuid: Text<'a>,
    #[serde(borrow)]
    pub(super) session_id: Text<'a>,
    #[serde(borrow)]
    pub(super) agent_id: Text<'a>,
    #[serde(borrow)]
    pub(super) timestamp: Text<'a>,
    #[serde(borrow)]
    pub(super) cwd: Text<'a>,
    #[serde(borrow)]
    pub(super) project: Text<'a>,
    #[serde(borrow)]
    pub(super) git_branch: Text<'a>,
    pub(super) is_meta: Flag,
    pub(super) is_sidechain: Flag,
    pub(super) is_compact_summary: Flag,
    pub(super) is_api_error_message: Flag,
    #[serde(borrow)]
    pub(super) origin: Object<Origin<'a>>,
    #[serde(borrow)]
    pub(super) message: Object<Said<'a>>,
    #[serde(borrow)]
    pub(super) attachment: Object<Attachment<'a>>,
    // Of summary and title lines.
    #[serde(borrow)]
    pub(super) summary: Text<'a>,
    #[serde(borrow)]
    pub(super) leaf_uuid: Text<'a>,
    #[serde(borrow)]
    pub(super) custom_title: Text<'a>,
    #[serde(borrow)]
    pub(super) ai_title: Text<'a>,
    // Of system lines, and of calls and answers that stand on lines of their own.
    #[serde(borrow)]
    pub(super) content: Many<Part<'a>>,
    #[serde(borrow)]
    pub(super) name: Text<'a>,
    #[serde(borrow)]
    pub(super) id: Text<'a>,
    #[serde(borrow, rename = "tool_use_id")]
    pub(super) tool_use_id: Text<'a>,
    #[serde(borrow)]
    pub(super) input: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) output: Many<Part<'a>>,
    #[serde(rename = "is_error")]
    pub(super) is_error: Flag,
}

/// Where a user's line comes from, when it was not typed.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Origin<'a> {
    #[serde(borrow)]
    pub(super) kind: Text<'a>,
}

/// What was said: the API's message.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Said<'a> {
    #[serde(borrow)]
    pub(super) role: Text<'a>,
    #[serde(borrow)]
    pub(super) content: Many<Part<'a>>,
}

/// What the tool adds to a turn. Only a command typed while the model worked matters.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Attachment<'a> {
    #[serde(borrow, rename = "type")]
    pub(super) kind: Text<'a>,
    #[serde(borrow)]
    pub(super) prompt: Many<Part<'a>>,
    #[serde(borrow)]
    pub(super) command_mode: Text<'a>,
    #[serde(borrow)]
    pub(super) origin: Object<Origin<'a>>,
}

/// A block of a message.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Part<'a> {
    #[serde(borrow, rename = "type")]
    pub(super) kind: Text<'a>,
    #[serde(borrow)]
    pub(super) text: Text<'a>,
    #[serde(borrow)]
    pub(super) id: Text<'a>,
    #[serde(borrow)]
    pub(super) name: Text<'a>,
    #[serde(borrow)]
    pub(super) input: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) tool_use_id: Text<'a>,
    #[serde(borrow)]
    pub(super) content: Many<Piece<'a>>,
    pub(super) is_error: Flag,
    #[serde(borrow)]
    pub(super) source: Object<Source<'a>>,
}

/// A block of a tool's answer.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Piece<'a> {
    #[serde(borrow, rename = "type")]
    pub(super) kind: Text<'a>,
    #[serde(borrow)]
    pub(super) text: Text<'a>,
    #[serde(borrow)]
    pub(super) source: Object<Source<'a>>,
}

/// The bytes of an image or document.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Source<'a> {
    #[serde(borrow)]
    pub(super) media_type: Text<'a>,
    #[serde(borrow)]
    pub(super) data: Text<'a>,
    #[serde(borrow)]
    pub(super) url: Text<'a>,
}

impl<'de: 'a, 'a> FromText<'de> for Origin<'a> {
    fn from_text(text: Cow<'de, str>) -> Self {
        Self { kind: Text(Some(text)) }
    }
}

impl<'de: 'a, 'a> FromText<'de> for Said<'a> {
    fn from_text(text: Cow<'de, str>) -> Self {
        Self { content: Many(vec![Part::from_text(text)]), ..Self::default() }
    }
}

impl<'de: 'a, 'a> FromText<'de> for Attachment<'a> {
    fn from_text(_: Cow<'de, str>) -> Self {
        Self::default()
    }
}

impl<'de: 'a, 'a> FromText<'de> for Part<'a> {
    fn from_text(text: Cow<'de, str>) -> Self {
        Self { kind: Text(Some(Cow::Borrowed("text"))), text: Text(Some(text)), ..Self::default() }
    }
}

impl<'de: 'a, 'a> FromText<'de> for Piece<'a> {
    fn from_text(text: Cow<'de, str>) -> Self {
        Self { kind: Text(Some(Cow::Borrowed("text"))), text: Text(Some(text)), ..Self::default() }
    }
}

impl<'de: 'a, 'a> FromText<'de> for Source<'a> {
    fn from_text(_: Cow<'de, str>) -> Self {
        Self::default()
    }
}

impl Source<'_> {
    /// What stands for the bytes: `[image image/png, 12 kB]`.
    pub(super) fn named(&self, kind: &str) -> String {
        let media = self.media_type.as_str();
        let space = if media.is_empty() { "" } else { " " };
        if let Some(url) = self.url.filled().filter(|url| !url.starts_with("data:")) {
            return format!("[{kind}{space}{media} {url}]");
        }
        // Base64 writes three bytes as four.
        let bytes = self.data.as_str().len() / 4 * 3;
        let size = if bytes >= 1000 { format!("{} kB", bytes.div_ceil(1000)) } else { format!("{bytes} bytes") };
        format!("[{kind}{space}{media}, {size}]")
    }
}

//! Answers cut to what a model's window has room for.

use harness_memory::{Hit, Outcome};
use harness_recall::tokens;
use schemars::JsonSchema;
use serde::Serialize;

/// A hit as a tool answers it: enough to judge it by, and the id for more.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct FoundRecord {
    /// Give it to `memory_get` for the whole record.
    pub(crate) id: String,
    /// message, episode, note or lesson.
    pub(crate) kind: String,
    /// What it says, cut to its best passage where it is long.
    pub(crate) text: String,
    /// Whether `text` is only a part.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schemars(default)]
    pub(crate) cut: bool,
    /// How well it fits, 0 to 1, comparable within one answer only.
    pub(crate) score: f32,
    /// When it was said or happened.
    pub(crate) when: String,
    /// By which tool or way it came in, and whose it is.
    pub(crate) from: String,
    /// Whose turn it was, for a message.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(default)]
    pub(crate) role: Option<String>,
    /// The session it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(default)]
    pub(crate) session: Option<String>,
    /// How an episode ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(default)]
    pub(crate) outcome: Option<String>,
    /// What says that it ended so.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(default)]
    pub(crate) reason: Option<String>,
    /// What an episode teaches.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(default)]
    pub(crate) lesson: Option<String>,
    /// The tools that an episode used, in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(default)]
    pub(crate) tools: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(default)]
    pub(crate) tags: Vec<String>,
    /// The newer record that supersedes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(default)]
    pub(crate) replaced_by: Option<String>,
}

/// The longest text of one hit, in characters: a paragraph.
const TEXT_CHARS_MAX: usize = 600;

/// The most tools of one episode that are named.
const TOOLS_MAX: usize = 12;

/// A hit in a few lines.
pub(crate) fn found(hit: &Hit) -> FoundRecord {
    let (text, cut) = passage(hit);
    FoundRecord {
        id: hit.id.to_string(),
        kind: hit.kind.to_string(),
        text,
        cut,
        score: (hit.score * 1_000.0).round() / 1_000.0,
        when: hit.created_at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        from: format!("{} · {}", hit.source, hit.scope),
        role: hit.role.map(|role| role.to_string()),
        session: hit.session.clone(),
        outcome: hit.outcome.map(|outcome: Outcome| outcome.to_string()),
        reason: hit.reason.clone(),
        lesson: hit.lesson.clone(),
        tools: hit.tools.iter().take(TOOLS_MAX).map(|used| used.tool.clone()).collect(),
        tags: hit.tags.clone(),
        replaced_by: hit.replaced_by.map(|id| id.to_string()),
    }
}

/// The text, or the part of it that answers best.
fn passage(hit: &Hit) -> (String, bool) {
    if hit.text.chars().count() <= TEXT_CHARS_MAX {
        return (hit.text.clone(), false);
    }
    let start = hit.passage.map_or(0, |passage| passage.start);
    let part: String = hit.text.get(start..).unwrap_or(&hit.text).chars().take(TEXT_CHARS_MAX).collect();
    (part, true)
}

/// As many hits as fit into this many tokens, the best first, and how many did not.
pub(crate) fn within(hits: &[Hit], budget_tokens: usize) -> (Vec<FoundRecord>, usize) {
    let (mut kept, mut left) = (Vec::new(), budget_tokens);
    for hit in hits {
        let found = found(hit);
        let tokens = serde_json::to_string(&found).map_or(usize::MAX, |text| tokens::at_most(&text));
        if tokens > left {
            break;
        }
        left -= tokens;
        kept.push(found);
    }
    let out = hits.len() - kept.len();
    (kept, out)
}

/// A found record for a model to read.
pub(crate) fn line(found: &FoundRecord) -> String {
    let mut line = format!("[{}] {} · {}", found.id, found.kind, found.when);
    for part in [&found.role, &found.outcome].into_iter().flatten() {
        line.push_str(&format!(" · {part}"));
    }
    line.push_str(&format!(" · {}\n{}", found.from, found.text));
    if found.cut {
        line.push_str(" … (memory_get shows all)");
    }
    if !found.tools.is_empty() {
        line.push_str(&format!("\ntools: {}", found.tools.join(" → ")));
    }
    if let Some(reason) = &found.reason {
        line.push_str(&format!("\nbecause: {reason}"));
    }
    if let Some(lesson) = &found.lesson {
        line.push_str(&format!("\nlesson: {lesson}"));
    }
    if let Some(newer) = &found.replaced_by {
        line.push_str(&format!("\nsuperseded by {newer}"));
    }
    line
}

//! A ranked record as the hit that is answered.

use std::ops::Range;

use harness_index::meaning::passage_of;
use harness_index::text::{Query as TextQuery, snippet};
use harness_memory::memory::{Snippet, Span};
use harness_memory::{Body, Hit, RecordId, ToolCall, ToolUse};

use crate::ranked::Ranked;

/// The length of a snippet, in characters: about two lines of a terminal.
const SNIPPET_CHARS: usize = 160;

/// So many other parts of a record are looked at for a word of the question.
const BESIDE_MAX: usize = 40;

/// The hit of a record; `most` is the best score of the answer.
pub(crate) fn hit(ranked: Ranked, replaced_by: Option<RecordId>, query: &TextQuery, most: f32) -> Hit {
    let Ranked { stored, score, passage: nearest, why, copies, .. } = ranked;
    let record = stored.record;
    let (mut passage, mut snippet) = passage(record.text(), query);
    if snippet.highlights.is_empty()
        && let Some(beside) = beside(&record.body, query)
    {
        snippet = beside;
    }
    // Where no word matched, what is nearest in meaning is shown.
    if snippet.highlights.is_empty()
        && let Some(range) = nearest.and_then(|number| passage_of(&record, number))
    {
        (passage, snippet) = beginning(record.text(), range);
    }
    let kind = record.kind();
    let text = record.text().to_owned();
    let (mut role, mut speaker) = (None, None);
    let (mut outcome, mut reason, mut lesson, mut tools) = (None, None, None, Vec::new());
    match record.body {
        Body::Message(message) => {
            (role, speaker) = (Some(message.role), message.speaker);
            tools = message.tool_calls.iter().map(called).collect();
        }
        Body::Episode(episode) => {
            (outcome, reason) = (Some(episode.outcome), episode.reason);
            (lesson, tools) = (episode.lesson, episode.tools);
        }
        Body::Note(_) | Body::Lesson(_) => {}
    }
    Hit {
        id: record.id,
        kind,
        score: if most > 0.0 { (score / most).clamp(0.0, 1.0) } else { 0.0 },
        text,
        passage: Some(passage),
        snippet: Some(snippet),
        role,
        speaker,
        scope: record.scope,
        session: record.session,
        source: record.source,
        origin: record.origin,
        trust: record.trust,
        created_at: record.created_at,
        tags: record.tags,
        pinned: record.pinned,
        replaces: record.replaces,
        replaced_by,
        copies,
        outcome,
        reason,
        lesson,
        tools,
        why,
    }
}

/// A call of a tool, with the beginning of what was given to it.
fn called(call: &ToolCall) -> ToolUse {
    let gist =
        call.arguments.char_indices().nth(SNIPPET_CHARS).map_or(&*call.arguments, |(end, _)| &call.arguments[..end]);
    ToolUse { tool: call.tool.clone(), gist: gist.to_owned(), ok: None, error: None }
}

/// Where a record's text has no word of the question, what else of it is searched may have some: what the person said
/// later in an episode, what an image shows, what a turn calls. A turn without words shows its first call in any case.
fn beside(body: &Body, query: &TextQuery) -> Option<Snippet> {
    let call = |tool: &str, with: &str| format!("{tool}: {with}");
    let (others, wordless): (Vec<String>, bool) = match body {
        Body::Message(message) => {
            let calls = message.tool_calls.iter().map(|made| call(&made.tool, &made.arguments));
            (message.caption.iter().cloned().chain(calls).collect(), message.text.trim().is_empty())
        }
        Body::Episode(episode) => {
            let uses = episode.tools.iter().map(|used| call(&used.tool, &used.gist));
            let said = episode.user_turns.iter().chain(&episode.lesson).chain(&episode.reason).chain(&episode.errors);
            (said.cloned().chain(uses).collect(), false)
        }
        Body::Note(_) | Body::Lesson(_) => return None,
    };
    let shown: Vec<Snippet> = others.iter().take(BESIDE_MAX).map(|text| passage(text, query).1).collect();
    let best = shown.iter().enumerate().rev().max_by_key(|(_, snippet)| snippet.highlights.len()).map(|(at, _)| at)?;
    let found = !shown[best].highlights.is_empty();
    shown.into_iter().nth(if found { best } else { 0 }).filter(|_| found || wordless)
}

/// The best passage of a text, and the same on one line with what matched.
fn passage(text: &str, query: &TextQuery) -> (Span, Snippet) {
    let found = snippet(text, query, SNIPPET_CHARS);
    let (start, end) = (found.passage.start, found.passage.end);
    let mut line = Line::default();
    if start > 0 {
        line.text.push('…');
    }
    let mut at = start;
    for range in &found.highlights {
        line.push(&text[at..range.start], false);
        line.push(&text[range.clone()], true);
        at = range.end;
    }
    line.push(&text[at..end], false);
    if end < text.len() {
        line.text.push('…');
    }
    (Span { start, end }, Snippet { text: line.text, highlights: line.highlights })
}

/// A passage of a text that is shown for its meaning, and its beginning on one line.
fn beginning(text: &str, range: Range<usize>) -> (Span, Snippet) {
    let shown = &text[range.clone()];
    let shown = shown.char_indices().nth(SNIPPET_CHARS).map_or(shown, |(end, _)| &shown[..end]);
    let mut line = Line::default();
    if range.start > 0 {
        line.text.push('…');
    }
    line.push(shown, false);
    if range.start + shown.len() < text.len() {
        line.text.push('…');
    }
    let snippet = Snippet { text: line.text, highlights: line.highlights };
    (Span { start: range.start, end: range.end }, snippet)
}

/// One line made from pieces of a text: line breaks and runs of blanks become one blank.
#[derive(Default)]
struct Line {
    text: String,
    highlights: Vec<Span>,
}

impl Line {
    fn push(&mut self, piece: &str, matched: bool) {
        let start = self.text.len();
        for c in piece.chars() {
            if !c.is_whitespace() && !c.is_control() {
                self.text.push(c);
            } else if !self.text.ends_with([' ', '…']) && !self.text.is_empty() {
                self.text.push(' ');
            }
        }
        if matched && self.text.len() > start {
            self.highlights.push(Span { start, end: self.text.len() });
        }
    }
}

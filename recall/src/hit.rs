//! A ranked record as the hit that is answered.

use std::ops::Range;

use harness_index::meaning::passage_of;
use harness_index::text::{Query as TextQuery, snippet};
use harness_memory::memory::{Snippet, Span};
use harness_memory::{Body, Hit, RecordId};

use crate::ranked::Ranked;

/// The length of a snippet, in characters: about two lines of a terminal.
const SNIPPET_CHARS: usize = 160;

/// The hit of a record; `most` is the best score of the answer.
pub(crate) fn hit(ranked: Ranked, replaced_by: Option<RecordId>, query: &TextQuery, most: f32) -> Hit {
    let Ranked { stored, score, passage: nearest, why, copies, .. } = ranked;
    let record = stored.record;
    let (mut passage, mut snippet) = passage(record.text(), query);
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
        Body::Message(message) => (role, speaker) = (Some(message.role), message.speaker),
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

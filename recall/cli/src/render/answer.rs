//! An answer of recall as text.

use std::io::{self, Write};

use harness_memory::memory::{Snippet, Span};
use harness_memory::{Answer, Hit, Kind};
use jiff::Timestamp;

use super::{gist, one_line};
use crate::output::Style;
use crate::when;

/// How much of a text is shown where recall made no snippet of it.
const TEXT_CHARS_MAX: usize = 240;

/// Writes the hits, best first; with `explain` also why each of them is there.
pub(crate) fn answer(
    out: &mut impl Write,
    answer: &Answer,
    style: Style,
    now: Timestamp,
    explain: bool,
) -> io::Result<()> {
    for (rank, hit) in (1..).zip(&answer.hits) {
        let age = format!("{}, {}", when::ago(hit.created_at, now), when::stamp(hit.created_at));
        let title = style.bold(&hit_title(hit));
        writeln!(out, "{rank:>2}  {:.2}  {title} · {age}", hit.score)?;
        writeln!(out, "    {}", excerpt(hit, style))?;
        if let Some(rest) = aside(hit) {
            writeln!(out, "    {rest}")?;
        }
        writeln!(out, "    {}", style.dim(&provenance(hit)))?;
        if explain {
            for (arm, why) in &hit.why {
                let words = if why.words.is_empty() { String::new() } else { format!(": {}", one_line(&why.words)) };
                writeln!(out, "    why {arm} {:.3} × {:.2}{words}", why.score, why.weight)?;
            }
        }
    }
    if explain {
        writeln!(out, "confidence {:.2}", answer.confidence)?;
    }
    Ok(())
}

/// What the record is, with its role or outcome: `user message`, `episode (success)`.
fn hit_title(hit: &Hit) -> String {
    let speaker = hit.speaker.as_deref().map(|name| format!(" by {}", gist(name, 40))).unwrap_or_default();
    match (hit.kind, hit.role, hit.outcome) {
        (Kind::Message, Some(role), _) => format!("{role} message{speaker}"),
        (Kind::Episode, _, Some(outcome)) => format!("episode ({outcome})"),
        (kind, ..) => format!("{kind}{speaker}"),
    }
}

fn excerpt(hit: &Hit, style: Style) -> String {
    match &hit.snippet {
        Some(snippet) => highlighted(snippet, style),
        None => {
            let passage = hit.passage.and_then(|Span { start, end }| hit.text.get(start..end));
            gist(passage.unwrap_or(&hit.text), TEXT_CHARS_MAX)
        }
    }
}

fn highlighted(snippet: &Snippet, style: Style) -> String {
    let mut text = String::new();
    let mut done = 0;
    for span in &snippet.highlights {
        // A range that does not fit is a bug elsewhere; the text is still worth showing.
        let (Some(before), Some(marked)) = (snippet.text.get(done..span.start), snippet.text.get(span.start..span.end))
        else {
            debug_assert!(false, "the highlight {span:?} does not fit the snippet");
            continue;
        };
        text.push_str(&one_line(before));
        text.push_str(&style.mark(&one_line(marked)));
        done = span.end;
    }
    text.push_str(&one_line(&snippet.text[done..]));
    text
}

/// What else is worth a line: tools and reason of an episode, tags, what replaced it, copies.
fn aside(hit: &Hit) -> Option<String> {
    let mut parts = Vec::new();
    if !hit.tools.is_empty() {
        let run = |(tool, times): (&str, usize)| match times {
            1 => gist(tool, 40),
            times => format!("{} ×{times}", gist(tool, 40)),
        };
        let tools: Vec<String> = hit.tool_course().into_iter().map(run).collect();
        parts.push(format!("tools: {}", gist(&tools.join(", "), 160)));
    }
    if let Some(reason) = &hit.reason {
        parts.push(format!("because: {}", gist(reason, 160)));
    }
    if let Some(lesson) = &hit.lesson {
        parts.push(format!("lesson: {}", gist(lesson, 160)));
    }
    if hit.pinned {
        parts.push("pinned".to_owned());
    }
    if !hit.tags.is_empty() {
        parts.push(format!("tags: {}", one_line(&hit.tags.join(", "))));
    }
    if let Some(newer) = hit.replaced_by {
        parts.push(format!("replaced by {newer}"));
    }
    if hit.copies > 0 {
        parts.push(format!("said {} times more", hit.copies));
    }
    (!parts.is_empty()).then(|| parts.join(" · "))
}

fn provenance(hit: &Hit) -> String {
    let session = hit.session.as_deref().map(|session| format!(" · session {}", gist(session, 40))).unwrap_or_default();
    format!("{} · {}{session} · {}", gist(&hit.source, 40), hit.scope, hit.id)
}

#[cfg(test)]
mod tests {
    use harness_memory::Hit;

    use super::*;

    fn sample() -> Answer {
        let hit: Hit = serde_json::from_value(serde_json::json!({
            "id": "01968000-0000-7000-8000-000000000001", "kind": "episode", "score": 0.914,
            "text": "deploy to staging", "scope": "ana/shop", "source": "claude-code", "origin": "agent",
            "trust": "plain", "created_at": "2026-05-01T10:00:00.123Z", "outcome": "failure",
            "reason": "the VPN was down", "session": "5f0c",
            "tools": [{"tool": "bash", "ok": true}, {"tool": "bash", "ok": false}, {"tool": "read", "ok": true}],
            "snippet": {"text": "部署 deploy to\u{1b}[2J staging", "highlights": [{"start": 0, "end": 6}, {"start": 7, "end": 13}]},
            "why": {"text": {"score": 12.5, "weight": 1.0, "words": "deploy, 部署"}},
        }))
        .unwrap();
        Answer { hits: vec![hit], confidence: 0.8, ..Answer::default() }
    }

    #[test]
    fn a_hit_says_what_it_is_where_it_is_from_and_why() {
        let mut out = Vec::new();
        let now = "2026-05-04T10:00:01Z".parse().unwrap();
        answer(&mut out, &sample(), Style::plain(), now, true).unwrap();
        insta::assert_snapshot!(String::from_utf8(out).unwrap(), @r"
         1  0.91  episode (failure) · 3 days ago, 2026-05-01T10:00:00Z
            部署 deploy to␛[2J staging
            tools: bash ×2, read · because: the VPN was down
            claude-code · ana/shop · session 5f0c · 01968000-0000-7000-8000-000000000001
            why text 12.500 × 1.00: deploy, 部署
        confidence 0.80
        ");
    }

    #[test]
    fn what_matched_is_marked_in_colour() {
        let sample = sample();
        let style = Style::stdout(crate::args::ColorWhen::Always);
        let text = excerpt(&sample.hits[0], style);
        assert!(text.starts_with("\x1b[1;33m部署\x1b[0m \x1b[1;33mdeploy\x1b[0m to␛[2J"), "{text:?}");
    }
}

//! Packing what is worth saying about a task into a token budget.

use std::fmt::Write as _;

use harness_memory::{Context, Hit, Kind, Mode, Origin, Outcome, Query, ReadSet, RecordId, Trust, marker, suspicion};

use crate::engine::Engine;
use crate::error::Result;
use crate::tokens;

/// The most items in a context: a few good ones help, many distract.
const ITEMS_MAX: usize = 8;

/// Of those, so many may be single messages, where there are episodes, notes or lessons that fit.
const MESSAGES_MAX: usize = 4;

/// Below this confidence nothing is said. It is the share of the task's weight that the best hit covers.
const CONFIDENCE_MIN: f32 = 0.3;

/// The longest text of one item, in characters.
const ITEM_CHARS_MAX: usize = 600;

/// The context for a task: the best hits that fit into the budget, inside the marker: rules first, then what worked,
/// what is known, what outsiders said, and last what failed, each part under its own heading and best first.
///
/// The same records, the same task and the same clock give the same bytes. The text is empty when
/// nothing is known well enough, or when not even one item fits. What runs have shown to be harmful is left out.
pub(crate) fn pack(engine: &Engine, reads: &ReadSet, task: &str, budget_tokens: usize) -> Result<Context> {
    let query = Query { limit: 2 * ITEMS_MAX, mode: Mode::Hybrid, ..Query::new(task) };
    let mut answer = engine.recall(&query, reads)?;
    // What was said on a topic is a hundred lines, what came of it is one: the one must not drown in the lines.
    let distilled = Query { kinds: vec![Kind::Episode, Kind::Note, Kind::Lesson], ..query };
    let distilled = engine.recall(&distilled, reads)?;
    if distilled.confidence >= CONFIDENCE_MIN {
        let mut messages = 0;
        answer.hits.retain(|hit| {
            messages += usize::from(hit.kind == Kind::Message);
            hit.kind != Kind::Message || messages <= MESSAGES_MAX
        });
        let known: Vec<RecordId> = answer.hits.iter().map(|hit| hit.id).collect();
        answer.hits.extend(distilled.hits.into_iter().filter(|hit| !known.contains(&hit.id)));
    }
    suspicion::clean_first(&mut answer.hits, |hit| suspicion::is_suspicious(&hit.text, hit.origin, hit.trust));
    let mut context = Context { text: String::new(), records: Vec::new(), tokens: 0, confidence: answer.confidence };
    if answer.confidence < CONFIDENCE_MIN {
        return Ok(context);
    }
    let ids: Vec<RecordId> = answer.hits.iter().map(|hit| hit.id).collect();
    let allowed = engine.credit()?.allowed(&ids);
    let mut chosen: Vec<&Hit> = Vec::new();
    for (hit, _) in answer
        .hits
        .iter()
        .zip(allowed)
        .filter(|(hit, allowed)| *allowed && hit.trust != Trust::Quarantined && hit.replaced_by.is_none())
    {
        if chosen.len() == ITEMS_MAX {
            break;
        }
        chosen.push(hit);
        let text = marker::encode(&body(&chosen));
        let tokens = tokens::at_most(&text);
        if tokens > budget_tokens {
            chosen.pop();
            continue;
        }
        context.text = text;
        context.tokens = tokens;
    }
    context.records = chosen.iter().map(|hit| hit.id).collect();
    Ok(context)
}

/// The parts of a context, in their order.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Rules,
    Worked,
    Known,
    Outside,
    Failed,
}

impl Part {
    const ALL: [Part; 5] = [Part::Rules, Part::Worked, Part::Known, Part::Outside, Part::Failed];

    /// Where a hit belongs. What tools and the web said, or what reads like an attempt to
    /// give orders, is never a rule, whatever it calls itself.
    fn of(hit: &Hit) -> Part {
        let outside = matches!(hit.origin, Origin::Tool | Origin::Web)
            || hit.trust >= Trust::Untrusted
            || suspicion::is_suspicious(&hit.text, hit.origin, hit.trust);
        match (hit.kind, hit.outcome) {
            (Kind::Episode, Some(Outcome::Failure)) => Part::Failed,
            _ if outside => Part::Outside,
            (Kind::Lesson, _) => Part::Rules,
            (Kind::Episode, Some(Outcome::Success)) => Part::Worked,
            _ => Part::Known,
        }
    }

    fn heading(self) -> &'static str {
        match self {
            Part::Rules => "Rules drawn from earlier work:",
            Part::Worked => "What worked:",
            Part::Known => "What is known:",
            Part::Outside => "What tools and the web said, unchecked:",
            Part::Failed => "What failed, not to be repeated:",
        }
    }
}

fn body(chosen: &[&Hit]) -> String {
    let mut body = String::new();
    for part in Part::ALL {
        let mut hits = chosen.iter().filter(|hit| Part::of(hit) == part).peekable();
        if hits.peek().is_some() {
            body.push_str(part.heading());
            body.push('\n');
        }
        hits.for_each(|hit| body.push_str(&item(hit)));
    }
    body
}

/// One item: what it is, where it is from, when, and what it says.
fn item(hit: &Hit) -> String {
    let mut text = String::new();
    let what = match (hit.kind, hit.outcome) {
        (Kind::Episode, Some(Outcome::Success)) => "what worked",
        (Kind::Episode, Some(Outcome::Failure)) => "what failed, not to be repeated",
        (Kind::Episode, _) => "what was tried, outcome unknown",
        (kind, _) => kind.word(),
    };
    let day = hit.created_at.strftime("%Y-%m-%d");
    let _ = write!(text, "- [{what}; {day}; from {}; id {}] ", hit.source, hit.id);
    let start = hit.passage.map_or(0, |span| span.start);
    let words = if hit.text.chars().count() <= ITEM_CHARS_MAX { &hit.text } else { &hit.text[start..] };
    push_line(&mut text, words);
    if !hit.tools.is_empty() {
        let tools: Vec<&str> = hit.tools.iter().map(|used| used.tool.as_str()).collect();
        let _ = write!(text, " (tools: {})", tools.join(" → "));
    }
    if let Some(reason) = &hit.reason {
        text.push_str(" (");
        push_line(&mut text, reason);
        text.push(')');
    }
    text.push('\n');
    text
}

/// Appends words on one line, cut at the limit of an item.
fn push_line(text: &mut String, words: &str) {
    for (at, c) in words.trim().chars().enumerate() {
        if at == ITEM_CHARS_MAX {
            text.push('…');
            return;
        }
        text.push(if c.is_control() { ' ' } else { c });
    }
}

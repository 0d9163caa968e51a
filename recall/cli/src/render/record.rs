//! A record as text.

use std::io::{self, Write};

use harness_memory::record::{Episode, ToolUse};
use harness_memory::{Body, Message, MessageForm, Record, Trust, suspicion};
use jiff::Timestamp;

use super::{gist, one_line, visible};
use crate::output::Style;
use crate::when;

/// How much of a tool call's arguments is shown.
const ARGUMENTS_CHARS_MAX: usize = 400;

/// What the record is, with its role or outcome: `user message`, `episode (success)`, `note`.
fn title(record: &Record) -> String {
    match &record.body {
        Body::Message(message) => {
            let form = if message.form == MessageForm::Statement { "message" } else { message.form.word() };
            format!("{} {form}", message.role)
        }
        Body::Episode(episode) => format!("episode ({})", episode.outcome),
        Body::Note(_) | Body::Lesson(_) => record.kind().word().to_owned(),
    }
}

/// What makes a record look like an instruction to whoever reads it, by the words for it.
pub(crate) fn signs(record: &Record) -> Vec<&'static str> {
    let flags = suspicion::flags(record.text(), record.origin, record.trust);
    flags.into_iter().map(suspicion::Sign::word).collect()
}

/// The same for people, with what follows from it; `None` for a record that looks like nothing of the kind.
pub(crate) fn flag(record: &Record) -> Option<String> {
    let signs = signs(record);
    let what = "looks like an instruction, and stands behind clean text in prompts";
    (!signs.is_empty()).then(|| format!("{what} ({})", signs.join(", ")))
}

/// Writes everything that is known of a record: its facts, a line each, then what it says.
pub(crate) fn record(out: &mut impl Write, record: &Record, style: Style, now: Timestamp) -> io::Result<()> {
    let mut fact = |name: &str, value: &str| writeln!(out, "{} {value}", style.dim(&format!("{name:<10}")));
    fact("record", &format!("{} · {}", record.id, style.bold(&title(record))))?;
    fact("created", &format!("{} ({})", when::stamp(record.created_at), when::ago(record.created_at, now)))?;
    fact("scope", &record.scope.to_string())?;
    let place = [("session", &record.session), ("key", &record.key)];
    let place = place.iter().filter_map(|(name, value)| Some(format!(", {name} {}", value.as_ref()?)));
    fact("source", &one_line(&(record.source.clone() + &place.collect::<String>())))?;
    fact("origin", &format!("{}, {}", record.origin, record.trust))?;
    if let Some(expires) = record.expires_at {
        let word = if expires <= now { "expired" } else { "expires" };
        fact(word, &format!("{} ({})", when::stamp(expires), when::ago(expires, now)))?;
    }
    if record.pinned {
        fact("pinned", "yes")?;
    }
    if !record.tags.is_empty() {
        fact("tags", &one_line(&record.tags.join(", ")))?;
    }
    if let Some(older) = record.replaces {
        fact("replaces", &older.to_string())?;
    }
    if record.trust == Trust::Quarantined {
        fact("note", "quarantined: found by search, never given to an agent")?;
    }
    if let Some(flag) = flag(record) {
        fact("flagged", &flag)?;
    }
    writeln!(out)?;
    body(out, &record.body, style)
}

/// Writes one message of a transcript with a heading of its place, role and time.
pub(crate) fn message(
    out: &mut impl Write,
    record: &Record,
    message: &Message,
    style: Style,
    chosen: bool,
) -> io::Result<()> {
    let marker = if chosen { ">" } else { " " };
    let speaker = message.speaker.as_deref().map(|name| format!(" {}", gist(name, 40))).unwrap_or_default();
    let heading =
        format!("{marker} [{}] {}{speaker} {}", message.position, title(record), when::stamp(record.created_at));
    let heading = if chosen { style.bold(&heading) } else { style.dim(&heading) };
    writeln!(out, "{heading} {}", style.dim(&record.id.to_string()))?;
    body(out, &record.body, style)
}

fn body(out: &mut impl Write, body: &Body, style: Style) -> io::Result<()> {
    match body {
        Body::Message(message) => message_body(out, message, style),
        Body::Episode(episode) => episode_body(out, episode, style),
        Body::Note(note) => writeln!(out, "{}", visible(&note.text)),
        Body::Lesson(lesson) => {
            writeln!(out, "{}", visible(&lesson.text))?;
            lesson.evidence.iter().try_for_each(|id| writeln!(out, "{} {id}", style.dim("drawn from")))
        }
    }
}

fn message_body(out: &mut impl Write, message: &Message, style: Style) -> io::Result<()> {
    if let Some(result) = &message.tool_result {
        let ok = result.ok.map_or("", |ok| if ok { ", succeeded" } else { ", failed" });
        writeln!(out, "{}", style.dim(&format!("result of {}{ok}", one_line(&result.tool))))?;
    }
    if !message.text.is_empty() {
        writeln!(out, "{}", visible(&message.text))?;
    }
    if let Some(caption) = &message.caption {
        writeln!(out, "{} {}", style.dim("shows"), visible(caption))?;
    }
    for call in &message.tool_calls {
        let arguments = gist(&call.arguments, ARGUMENTS_CHARS_MAX);
        writeln!(out, "{} {} {arguments}", style.dim("calls"), one_line(&call.tool))?;
    }
    Ok(())
}

fn episode_body(out: &mut impl Write, episode: &Episode, style: Style) -> io::Result<()> {
    writeln!(out, "{}", visible(&episode.situation))?;
    for turn in &episode.user_turns {
        writeln!(out, "{} {}", style.dim("then"), visible(turn))?;
    }
    for ToolUse { tool, gist: what, ok, error } in &episode.tools {
        let ok = match ok {
            Some(true) => style.good(" ok"),
            Some(false) => style.bad(" failed"),
            None => String::new(),
        };
        let error = error.as_deref().map(|error| format!(": {}", one_line(error))).unwrap_or_default();
        let line = format!("{} {} {}", style.dim("used"), one_line(tool), one_line(what));
        writeln!(out, "{}{ok}{error}", line.trim_end())?;
    }
    for error in &episode.errors {
        writeln!(out, "{} {}", style.dim("error"), visible(error))?;
    }
    let reason = episode.reason.as_deref().map(|reason| format!(": {}", visible(reason))).unwrap_or_default();
    writeln!(out, "{} {}{reason}", style.dim("outcome"), episode.outcome)?;
    if let Some(lesson) = &episode.lesson {
        writeln!(out, "{} {}", style.dim("lesson"), visible(lesson))?;
    }
    let cost = episode.cost_usd.map(|usd| format!("{usd:.4} US dollars"));
    let tokens = episode.tokens.map(|tokens| format!("{tokens} tokens"));
    let duration = episode.duration_ms.map(|ms| format!("{:.1} s", ms as f64 / 1000.0));
    let spent: Vec<String> = [cost, tokens, duration].into_iter().flatten().collect();
    if !spent.is_empty() {
        writeln!(out, "{} {}", style.dim("spent"), spent.join(", "))?;
    }
    Ok(())
}

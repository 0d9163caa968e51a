//! Messages of OpenTelemetry's GenAI conventions: spans, events and logs that carry `gen_ai.input.messages`,
//! `gen_ai.output.messages` and `gen_ai.system_instructions`, as an exporter writes them to a file: one
//! object a line, OTLP's nesting (`resourceSpans` → `scopeSpans` → `spans`) or a span by itself.
//!
//! What is particular about them: each call of a model carries the whole conversation so far, so that a
//! message is told by what it says and how often that was said before it. A conversation is
//! `gen_ai.conversation.id`, else the trace.

use std::borrow::Cow;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use rustc_hash::{FxHashMap, FxHashSet};
use xxhash_rust::xxh3::xxh3_128;

use super::elements::{Element, Elements};
use super::lines;
use super::node::{Fields, Node};
use super::parts::{push_paragraph, said};
use super::transcript::{ARGUMENTS_BYTES_MAX, Sink, Transcript, exit_ok, json_lines, refused, time};
use super::{Cursor, Importer, Item, Report};
use crate::error::Result;
use crate::record::{Message, Role};

const TOOL: &str = "otel";

const INPUT: &str = "gen_ai.input.messages";
const OUTPUT: &str = "gen_ai.output.messages";
const SYSTEM: &str = "gen_ai.system_instructions";

/// How deep a telemetry object is searched for attributes.
const DEPTH_MAX: usize = 8;

/// How many messages of a file are known again when they are repeated; beyond it, their keys tell.
const SAID_BEFORE_MAX: usize = 1_000_000;

/// Reads GenAI messages of OpenTelemetry.
#[derive(Debug, Default, Clone, Copy)]
pub struct OpenTelemetry;

impl Importer for OpenTelemetry {
    fn tool(&self) -> &'static str {
        TOOL
    }

    fn detect(&self, path: &Path, head: &[u8]) -> bool {
        let text = String::from_utf8_lossy(head);
        path.extension().is_some_and(|extension| extension == "json" || extension == "jsonl")
            && (text.contains("\"gen_ai.") || text.contains("\"resourceSpans\"") && text.contains("gen_ai"))
    }

    /// Exporters write where they are told to.
    fn default_places(&self, _: &Path) -> Vec<PathBuf> {
        Vec::new()
    }

    fn read(
        &self,
        path: &Path,
        from: Option<&Cursor>,
        sink: &mut dyn FnMut(Item) -> ControlFlow<()>,
    ) -> Result<Report> {
        let mut said_before = FxHashSet::default();
        if path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("jsonl")) {
            let kept = if super::transcript::fits(path, from)? { from } else { None };
            let mut transcript = Transcript::new(TOOL, path, kept);
            let cursor = json_lines(&mut transcript, path, from, sink, &mut |transcript, node, _, sink| {
                walk(transcript, &mut said_before, node, 0, sink)
            })?;
            return Ok(transcript.finish(cursor, sink));
        }
        let mut transcript = Transcript::new(TOOL, path, None);
        let (head, length) = Elements::print(path)?;
        if let Some(from) = from.filter(|from| from.offset == length && from.head == head && length > 0) {
            transcript.report.cursor = from.clone();
            return Ok(transcript.report);
        }
        let mut elements = Elements::open(path)?;
        loop {
            let number = transcript.report.lines + 1;
            match elements.next()? {
                Element::Whole(bytes) => {
                    let text = lines::mended_document(bytes);
                    match Node::parse(&text) {
                        Ok(node) if walk(&mut transcript, &mut said_before, node, 0, sink).is_break() => {
                            transcript.report.stopped = true;
                            return Ok(transcript.finish(Cursor::default(), sink));
                        }
                        Ok(_) => {}
                        Err(error) => transcript.report.skip(number, format!("it does not parse: {error}")),
                    }
                }
                Element::TooLong => transcript.report.skip(number, "it is too long"),
                Element::Partial(_) if transcript.report.lines == 0 => {
                    return Err(refused(path, "the file ends within its only object"));
                }
                Element::Partial(bytes) => {
                    transcript.report.partial_bytes = bytes;
                    break;
                }
                Element::End => break,
            }
            transcript.report.lines += 1;
        }
        let whole = transcript.report.partial_bytes == 0;
        let cursor = Cursor { offset: if whole { length } else { 0 }, head, ..Cursor::default() };
        Ok(transcript.finish(cursor, sink))
    }
}

/// Looks for spans, events and log records, wherever an exporter nests them.
fn walk(
    transcript: &mut Transcript,
    said_before: &mut FxHashSet<u128>,
    node: Node<'_>,
    depth: usize,
    sink: Sink<'_>,
) -> ControlFlow<()> {
    if depth > DEPTH_MAX {
        return ControlFlow::Continue(());
    }
    if node.is_list() {
        return node.items().into_iter().try_for_each(|item| walk(transcript, said_before, item, depth + 1, sink));
    }
    let fields = node.fields();
    if fields.has("attributes") || fields.has(INPUT) || fields.has(OUTPUT) {
        carrier(transcript, said_before, &fields, sink)?;
    }
    for name in ["resourceSpans", "scopeSpans", "spans", "resourceLogs", "scopeLogs", "logRecords", "events"] {
        if fields.has(name) {
            walk(transcript, said_before, fields.get(name), depth + 1, sink)?;
        }
    }
    ControlFlow::Continue(())
}

/// Attributes by name, whether they are an object or OTLP's list of keys and values.
struct Attributes<'a>(Vec<(Cow<'a, str>, Node<'a>)>);

impl<'a> Attributes<'a> {
    fn of(span: &Fields<'a>) -> Attributes<'a> {
        let mut all = Vec::new();
        let attributes = span.get("attributes");
        for item in attributes.items() {
            let item = item.fields();
            all.push((item.text("key"), item.get("value")));
        }
        all.extend(attributes.members());
        for name in [INPUT, OUTPUT, SYSTEM] {
            if span.has(name) {
                all.push((Cow::Borrowed(name), span.get(name)));
            }
        }
        Attributes(all)
    }

    fn get(&self, name: &str) -> Node<'a> {
        self.0.iter().find(|(known, _)| known == name).map_or(Node::null(), |(_, value)| *value)
    }

    fn text(&self, name: &str) -> String {
        let value = self.get(name);
        if value.is_object() { value.get("stringValue").or_empty().into_owned() } else { value.or_empty().into_owned() }
    }

    /// A value as JSON of its own: structured, or written into a string.
    fn json(&self, name: &str) -> Option<String> {
        let value = self.get(name);
        if value.is_list() {
            return Some(value.raw().to_owned());
        }
        Some(self.text(name)).filter(|text| !text.is_empty())
    }
}

/// A span, event or log record with messages.
fn carrier(
    transcript: &mut Transcript,
    said_before: &mut FxHashSet<u128>,
    span: &Fields<'_>,
    sink: Sink<'_>,
) -> ControlFlow<()> {
    let attributes = Attributes::of(span);
    let (system, input, output) = (attributes.json(SYSTEM), attributes.json(INPUT), attributes.json(OUTPUT));
    if input.is_none() && output.is_none() {
        transcript.report.frames += 1;
        return ControlFlow::Continue(());
    }
    let conversation = attributes.text("gen_ai.conversation.id");
    let trace = span.first(&["traceId", "trace_id"]).or_empty();
    let trace = if trace.is_empty() { span.get("context").get("trace_id").or_empty() } else { trace };
    if !conversation.is_empty() {
        transcript.enter(&conversation);
    } else if !trace.is_empty() {
        transcript.enter(&trace);
    }
    let agent = attributes.text("gen_ai.agent.name");
    transcript.at(stamp(span.first(&["startTimeUnixNano", "timeUnixNano", "start_time", "timestamp"])));
    let mut met: FxHashMap<u128, u32> = FxHashMap::default();
    if let Some(text) = system
        && let Ok(node) = Node::parse(&text)
    {
        let text = said(node);
        let print = xxh3_128(text.as_bytes());
        let key = format!("system:{print:032x}");
        if said_before.insert(print ^ xxh3_128(transcript.current.as_bytes())) {
            transcript.say_frame(&key, Role::System, &text, sink)?;
        }
    }
    for (text, is_output) in [(input, false), (output, true)] {
        let Some(text) = text else { continue };
        let Ok(node) = Node::parse(&text) else {
            transcript.report.skip(transcript.report.lines + 1, "its messages do not parse");
            continue;
        };
        if is_output {
            transcript.at(stamp(span.first(&["endTimeUnixNano", "end_time"])));
        }
        for message in node.items() {
            say(transcript, message, &agent, &mut met, said_before, sink)?;
        }
    }
    ControlFlow::Continue(())
}

/// Nanoseconds since 1970, as OTLP writes times, or any other way.
fn stamp(node: Node<'_>) -> Option<jiff::Timestamp> {
    let text = node.text().unwrap_or(Cow::Borrowed(node.raw()));
    match text.parse::<i128>() {
        Ok(nanoseconds) if nanoseconds.abs() > 100_000_000_000_000_000 => {
            jiff::Timestamp::from_nanosecond(nanoseconds).ok()
        }
        _ => time(node),
    }
}

fn say(
    transcript: &mut Transcript,
    message: Node<'_>,
    agent: &str,
    met: &mut FxHashMap<u128, u32>,
    said_before: &mut FxHashSet<u128>,
    sink: Sink<'_>,
) -> ControlFlow<()> {
    let fields = message.fields();
    let role = fields.text("role");
    let parts = match fields.get("parts") {
        parts if parts.is_list() => parts.items(),
        _ => vec![fields.get("content")],
    };
    let mut words = String::new();
    let mut calls = Vec::new();
    let mut answers = Vec::new();
    for part in &parts {
        let part_fields = part.fields();
        match part_fields.text("type").as_ref() {
            "tool_call" | "server_tool_call" => calls.push(part_fields),
            "tool_call_response" | "server_tool_call_response" => answers.push(part_fields),
            _ => push_paragraph(&mut words, &said(*part)),
        }
    }
    // Said again in the next call of the model, it must have the same key: without what only an answer has.
    let content: String = parts.iter().map(|part| part.raw()).collect();
    let print = xxh3_128(format!("{role}\n{content}").as_bytes());
    let times = met.entry(print).or_insert(0);
    *times += 1;
    let key = format!("m{print:032x}.{times}");
    // The conversation so far comes with each call of the model.
    if said_before.len() < SAID_BEFORE_MAX
        && !said_before.insert(xxh3_128(format!("{}\n{key}", transcript.current).as_bytes()))
    {
        transcript.report.frames += 1;
        return ControlFlow::Continue(());
    }
    for (place, answer) in answers.iter().enumerate() {
        let body = answer.first(&["response", "result", "content"]);
        let text = if body.is_object() || body.is_list() { object_text(body) } else { said(body) };
        let text = if text.is_empty() && !body.is_null() { body.raw().to_owned() } else { text };
        let ok = if answer.first(&["is_error", "error"]).is_true() { Some(false) } else { exit_ok(&text) };
        let message = transcript.answer(&answer.text("id"), &answer.text("name"), &text, ok);
        transcript.say_answer(&format!("{key}#{place}"), message, sink)?;
    }
    match role.as_ref() {
        "user" => transcript.say_turn(&key, &words, false, sink),
        "system" | "developer" => transcript.say_frame(&key, Role::System, &words, sink),
        "tool" => {
            if answers.is_empty() && !words.is_empty() {
                let answer = transcript.answer("", "", &words, exit_ok(&words));
                return transcript.say_answer(&key, answer, sink);
            }
            ControlFlow::Continue(())
        }
        _ => {
            let mut message = Message::new(Role::Assistant, 0, words);
            let name = fields.text("name");
            message.speaker = [name.as_ref(), agent].into_iter().find(|name| !name.is_empty()).map(str::to_owned);
            let mut room = ARGUMENTS_BYTES_MAX;
            for call in calls {
                let arguments = call.get("arguments");
                let arguments = arguments.text().unwrap_or(arguments.raw().into());
                message.tool_calls.push(transcript.call(&call.text("id"), &call.text("name"), &arguments, &mut room));
            }
            transcript.say_model(&key, message, sink)
        }
    }
}

/// A structured answer: its words where it is made of parts, else as it is written.
fn object_text(node: Node<'_>) -> String {
    let text = said(node);
    if text.is_empty() { node.raw().to_owned() } else { text }
}

//! Chat histories of Aider: `.aider.chat.history.md` in a project's folder, Markdown that is appended to.
//!
//! What is particular about them:
//! - A line `# aider chat started at …` begins a session; it names no zone, and is taken for this machine's time.
//! - `#### ` begins what the person said, `> ` what Aider printed, anything else is the model's. Lines of a
//!   kind make one message, which may still grow while it is the last one.
//! - There are no calls of tools: an edit that was applied and a command that was run are taken for one each.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::lines::{Lines, Next};
use super::transcript::{MESSAGE_BYTES_MAX, Sink, Transcript, exit_ok, fits};
use super::{Cursor, Importer, Item, LINE_BYTES_MAX, Report};
use crate::error::Result;
use crate::record::{Message, Role};

const TOOL: &str = "aider";

/// What begins a session.
const START: &str = "# aider chat started at ";

/// Reads Aider's chat histories.
#[derive(Debug, Default, Clone, Copy)]
pub struct Aider;

impl Importer for Aider {
    fn tool(&self) -> &'static str {
        TOOL
    }

    fn detect(&self, path: &Path, head: &[u8]) -> bool {
        let name = path.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
        name == ".aider.chat.history.md"
            || path.extension().is_some_and(|extension| extension == "md")
                && (String::from_utf8_lossy(head).lines().any(|line| line.starts_with(START))
                    || name.contains("aider") && name.contains("history"))
    }

    /// Histories are kept with each project: only one in the home folder itself is at a known place.
    fn default_places(&self, home: &Path) -> Vec<PathBuf> {
        vec![home.join(".aider.chat.history.md")]
    }

    fn rewrites(&self) -> bool {
        true
    }

    /// They are the second in which a session began.
    fn ids_are_local(&self) -> bool {
        true
    }

    fn read(
        &self,
        path: &Path,
        from: Option<&Cursor>,
        sink: &mut dyn FnMut(Item) -> ControlFlow<()>,
    ) -> Result<Report> {
        let kept = if fits(path, from)? { from } else { None };
        let mut lines = Lines::open(path, kept)?;
        let mut transcript = Transcript::new(TOOL, path, kept);
        transcript.report.restarted = from.is_some_and(|from| from.offset > 0) && kept.is_none();
        let folder = path.canonicalize().ok().and_then(|path| path.parent().map(Path::to_owned));
        let mut reader = Reader {
            folder: folder.map(|folder| folder.to_string_lossy().into_owned()),
            block: None,
            number: kept.map_or(0, |cursor| cursor.position),
            command: None,
        };
        if kept.is_none() {
            // What stands before the first beginning was said in a session whose beginning is lost.
            transcript.current = "before the first".to_owned();
        }
        // The cursor stays before the block that may still grow.
        let mut rest_at = (lines.offset, lines.number, reader.number);
        let mut stopped = false;
        loop {
            let before = (lines.offset, lines.number);
            let line = match lines.next()? {
                Next::Line(line) => String::from_utf8_lossy(line).into_owned(),
                Next::TooLong => {
                    transcript.report.skip(before.1 + 1, format!("it is longer than {LINE_BYTES_MAX} bytes"));
                    transcript.report.lines += 1;
                    continue;
                }
                Next::End { bytes, .. } => {
                    transcript.report.partial_bytes = bytes;
                    break;
                }
            };
            let (kind, text) = kind_of(&line);
            if reader.block.as_ref().is_some_and(|block| block.kind != kind) || kind == Kind::Start {
                if reader.flush(&mut transcript, sink).is_break() {
                    stopped = true;
                    break;
                }
                rest_at = (before.0, before.1, reader.number);
            }
            transcript.report.lines += 1;
            if kind == Kind::Start {
                reader.begin(&mut transcript, text);
                rest_at = (lines.offset, lines.number, reader.number);
                continue;
            }
            let block = reader.block.get_or_insert_with(|| Block { kind, text: String::new(), left_out: 0 });
            if block.text.len() + text.len() < 2 * MESSAGE_BYTES_MAX {
                block.text.push_str(text);
                block.text.push('\n');
            } else {
                block.left_out += text.len();
            }
        }
        let session = transcript.current.clone();
        let at = transcript.last_at;
        if !stopped {
            stopped = reader.flush(&mut transcript, sink).is_break();
        }
        transcript.report.stopped = stopped;
        let (head, tail) = lines.prints(rest_at.0)?;
        let cursor = Cursor { offset: rest_at.0, line: rest_at.1, head, tail, ..Cursor::default() };
        let mut report = transcript.finish(cursor, sink);
        report.cursor.position = rest_at.2;
        report.cursor.session = Some(session);
        report.cursor.last_at = at;
        Ok(report)
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Start,
    User,
    Printed,
    Model,
}

fn kind_of(line: &str) -> (Kind, &str) {
    let trimmed = line.trim_end();
    if let Some(at) = trimmed.strip_prefix(START) {
        return (Kind::Start, at);
    }
    if let Some(text) = trimmed.strip_prefix("#### ").or_else(|| trimmed.strip_prefix("####").filter(|t| t.is_empty()))
    {
        return (Kind::User, text);
    }
    if let Some(text) = trimmed.strip_prefix("> ").or_else(|| trimmed.strip_prefix('>').filter(|t| t.is_empty())) {
        return (Kind::Printed, text);
    }
    (Kind::Model, trimmed)
}

struct Block {
    kind: Kind,
    text: String,
    left_out: usize,
}

struct Reader {
    folder: Option<String>,
    block: Option<Block>,
    /// The number of the next block within its session.
    number: u32,
    /// A command that the person ran, whose output comes next.
    command: Option<String>,
}

impl Reader {
    fn begin(&mut self, transcript: &mut Transcript, stamp: &str) {
        let at = stamped(stamp, TimeZone::system());
        let id = format!("aider-{}", stamp.trim().replacen(' ', "T", 1));
        self.number = 0;
        transcript.enter(&id);
        transcript.at(at);
    }

    fn flush(&mut self, transcript: &mut Transcript, sink: Sink<'_>) -> ControlFlow<()> {
        let Some(block) = self.block.take() else { return ControlFlow::Continue(()) };
        let key = format!("block {}", self.number);
        self.number += 1;
        let text = block.text.trim();
        if text.is_empty() {
            return ControlFlow::Continue(());
        }
        transcript.report.cut += u64::from(block.left_out > 0);
        if let Some(folder) = &self.folder {
            transcript.held_in(folder);
        }
        match block.kind {
            Kind::User => {
                self.command = None;
                match command_of(text) {
                    Command::None => transcript.say_turn(&key, text, false, sink),
                    Command::Frame => transcript.say_frame(&key, Role::User, text, sink),
                    Command::Runs(command) => {
                        let arguments = serde_json::json!({ "command": command }).to_string();
                        transcript.say_turn(&key, text, false, sink)?;
                        let call = transcript.calling("", "run", &arguments);
                        self.command = Some(command.to_owned());
                        transcript.say_model(&format!("{key}#call"), call, sink)
                    }
                }
            }
            Kind::Model => transcript.say_model(&key, Message::new(Role::Assistant, 0, text), sink),
            Kind::Printed => self.printed(transcript, &key, text, sink),
            Kind::Start => ControlFlow::Continue(()),
        }
    }

    fn printed(&mut self, transcript: &mut Transcript, key: &str, text: &str, sink: Sink<'_>) -> ControlFlow<()> {
        if self.command.take().is_some() {
            let answer = transcript.answer("", "run", text, exit_ok(text));
            return transcript.say_answer(key, answer, sink);
        }
        let edits: Vec<&str> = text.lines().filter_map(|line| line.trim().strip_prefix("Applied edit to ")).collect();
        for (place, file) in edits.iter().enumerate() {
            let arguments = serde_json::json!({ "file_path": file }).to_string();
            let call = transcript.calling("", "edit", &arguments);
            transcript.say_model(&format!("{key}#call{place}"), call, sink)?;
            let answer = transcript.answer("", "edit", &format!("Applied edit to {file}"), Some(true));
            transcript.say_answer(&format!("{key}#answer{place}"), answer, sink)?;
        }
        let interrupted = is_interrupted(text);
        let role = if interrupted { Role::User } else { Role::System };
        let said = if interrupted { format!("[Request interrupted by user]\n{text}") } else { text.to_owned() };
        transcript.say_frame(key, role, &said, sink)
    }
}

/// When a session began whose stamp was written in this zone.
fn stamped(stamp: &str, zone: TimeZone) -> Option<Timestamp> {
    let civil = stamp.trim().replacen(' ', "T", 1).parse::<DateTime>().ok()?;
    civil.to_zoned(zone).ok().map(|zoned| zoned.timestamp())
}

/// Whether the person stopped an answer. Aider is left the same way, with Ctrl-C at its prompt: the line that says what
/// the answer cost stands before it then, since the answer had come to its end.
fn is_interrupted(printed: &str) -> bool {
    let mut lines = printed.lines().map(str::trim);
    lines.by_ref().take_while(|line| !line.starts_with("Tokens: ")).any(|line| line == "^C KeyboardInterrupt")
}

enum Command<'t> {
    None,
    /// One that says nothing about the work, or what Aider sends in the person's place.
    Frame,
    Runs(&'t str),
}

fn command_of(text: &str) -> Command<'_> {
    for run in ["/run ", "/test ", "/git ", "! ", "!"] {
        if let Some(command) = text.strip_prefix(run) {
            return Command::Runs(command.trim());
        }
    }
    let said = ["/ask ", "/code ", "/architect ", "/undo"];
    let theirs = ["# Fix any errors below", "I ran this command:", "Fix lint errors in"];
    let is_command = text.starts_with('/') && text[1..].starts_with(|c: char| c.is_ascii_lowercase());
    let name = text.split_whitespace().next().unwrap_or_default();
    let is_path = name.strip_prefix('/').is_some_and(|rest| rest.contains('/'));
    if is_command && !is_path && !said.iter().any(|command| text.starts_with(command))
        || theirs.iter().any(|start| text.starts_with(start))
    {
        return Command::Frame;
    }
    Command::None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_of_the_zone_it_was_written_in() {
        let at = |offset| stamped(" 2026-03-02 16:30:00", TimeZone::fixed(jiff::tz::offset(offset)));
        assert_eq!(at(9), "2026-03-02T07:30:00Z".parse().ok());
        assert_eq!(at(0), "2026-03-02T16:30:00Z".parse().ok());
        assert_eq!(stamped("yesterday", TimeZone::UTC), None);
    }
}

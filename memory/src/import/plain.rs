//! Our own transcripts: JSON Lines for whoever has sessions that no other importer reads.
//!
//! A file begins with a line that says what it is; each later line is a message. All fields but `format`,
//! `session` and `role` may be left out.
//!
//! ```json
//! {"format": "harness-session/1", "session": "2026-05-04-a", "title": "Pool timeouts", "project": "shop",
//!  "directory": "/srv/shop", "branch": "main", "parent": "…", "started_at": "2026-05-04T10:21:00Z"}
//! {"role": "user", "text": "why does the pool time out?", "at": "2026-05-04T10:21:00Z", "speaker": "ana", "id": "m1"}
//! {"role": "assistant", "text": "…", "calls": [{"id": "c1", "tool": "bash", "arguments": {"command": "make test"}}]}
//! {"role": "tool", "text": "12 passed", "result": {"call": "c1", "tool": "bash", "ok": true}}
//! {"role": "system", "form": "summary", "text": "…"}
//! ```
//!
//! - `role` is `user`, `assistant`, `tool` or `system`; `form` is `statement`, `summary` or `scaffold`.
//! - `id` names a message within its session; without one it is told by its content and place.
//! - Times are RFC 3339, or seconds or milliseconds since 1970. A message without one has its predecessor's.
//! - A further line with `format` begins another session. `"session"` on a message puts it into that one.
//! - Files are appended to. A last line without an end is read when it is whole.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use super::node::Fields;
use super::parts::said;
use super::transcript::{ARGUMENTS_BYTES_MAX, Sink, Transcript, exit_ok, fits, json_lines, time};
use super::{Cursor, Importer, Item, Report};
use crate::error::Result;
use crate::record::{Message, MessageForm, Origin, Role};

const TOOL: &str = "harness";

/// What the first line says.
pub const FORMAT: &str = "harness-session/1";

/// Reads our own transcripts.
#[derive(Debug, Default, Clone, Copy)]
pub struct Plain;

impl Importer for Plain {
    fn tool(&self) -> &'static str {
        TOOL
    }

    fn detect(&self, path: &Path, head: &[u8]) -> bool {
        let text = String::from_utf8_lossy(head);
        path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("jsonl"))
            && text.lines().next().is_some_and(|line| line.contains("\"harness-session/"))
    }

    /// Whoever writes such files says where they are.
    fn default_places(&self, _: &Path) -> Vec<PathBuf> {
        Vec::new()
    }

    fn read(
        &self,
        path: &Path,
        from: Option<&Cursor>,
        sink: &mut dyn FnMut(Item) -> ControlFlow<()>,
    ) -> Result<Report> {
        let kept = if fits(path, from)? { from } else { None };
        let mut transcript = Transcript::new(TOOL, path, kept);
        let cursor = json_lines(&mut transcript, path, from, sink, &mut |transcript, node, bytes, sink| {
            line(transcript, &node.fields(), bytes, sink)
        })?;
        Ok(transcript.finish(cursor, sink))
    }
}

fn line(transcript: &mut Transcript, line: &Fields<'_>, bytes: &[u8], sink: Sink<'_>) -> ControlFlow<()> {
    let session = line.text("session");
    if !session.is_empty() {
        transcript.enter(&session);
    }
    if line.has("format") {
        let format = line.text("format");
        if format != FORMAT {
            let number = transcript.report.lines + 1;
            transcript.report.skip(number, format!("it is of the format {format:?}, this reads {FORMAT:?}"));
        }
        about(transcript, line);
        transcript.report.frames += 1;
        return ControlFlow::Continue(());
    }
    transcript.at(time(line.first(&["at", "timestamp"])));
    let text = said(line.first(&["text", "content"]));
    let key = transcript.key(&line.text("id"), "", bytes);
    let role = line.text("role");
    let Ok(role) = role.parse::<Role>() else {
        let number = transcript.report.lines + 1;
        transcript.report.skip(number, format!("its role is {role:?}; expected user, assistant, tool or system"));
        return ControlFlow::Continue(());
    };
    let form = line.text("form").parse::<MessageForm>().unwrap_or(MessageForm::Statement);
    let (mut message, origin) = match role {
        Role::User if form == MessageForm::Statement && line.text("speaker").is_empty() => {
            return transcript.say_turn(&key, &text, false, sink);
        }
        Role::User => (Message::new(role, 0, text), Origin::User),
        Role::Assistant => {
            let mut message = Message::new(role, 0, text);
            let mut room = ARGUMENTS_BYTES_MAX;
            for call in line.get("calls").items() {
                let call = call.fields();
                let arguments = call.get("arguments");
                let arguments = arguments.text().unwrap_or(arguments.raw().into());
                message.tool_calls.push(transcript.call(&call.text("id"), &call.text("tool"), &arguments, &mut room));
            }
            (message, Origin::Agent)
        }
        Role::Tool => {
            let result = line.get("result").fields();
            let ok = result.get("ok").flag().or_else(|| exit_ok(&text));
            (transcript.answer(&result.text("call"), &result.text("tool"), &text, ok), Origin::Tool)
        }
        Role::System => (Message::new(role, 0, text), Origin::Tool),
    };
    message.form = form;
    message.speaker = line.get("speaker").text().filter(|name| !name.is_empty()).map(|name| name.into_owned());
    transcript.say(&key, message, origin, sink)
}

fn about(transcript: &mut Transcript, line: &Fields<'_>) {
    let project = line.text("project");
    if !project.is_empty() {
        transcript.session().project = Some(project.into_owned());
    }
    transcript.moved_to(&line.text("directory"));
    transcript.on_branch(&line.text("branch"));
    transcript.titled(&line.text("title"), 3);
    let parent = line.text("parent");
    if !parent.is_empty() {
        transcript.session().parent = Some(parent.into_owned());
    }
    transcript.at(time(line.first(&["started_at", "at"])));
}

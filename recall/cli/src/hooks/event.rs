//! The JSON that each tool's hook is given, read into one form.
//!
//! | tool | start | prompt | pause |
//! | --- | --- | --- | --- |
//! | Claude Code | `SessionStart` | `UserPromptSubmit` | `Stop`, `SubagentStop`, `PreCompact`, `SessionEnd` |
//! | Codex | `SessionStart` | `UserPromptSubmit` | `Stop`, `PreCompact` |
//! | Gemini CLI | `SessionStart` | `BeforeAgent` | `AfterAgent`, `PreCompress`, `SessionEnd` |
//! | Cursor | `sessionStart` | `beforeSubmitPrompt` | `stop`, `preCompact`, `sessionEnd` |
//! | OpenCode (our plugin) | `SessionStart` | `UserPromptSubmit` | `Stop`, `PreCompact` |
//!
//! Any other event is answered with silence, so that a tool that grows new ones is not disturbed.

use std::path::PathBuf;

use serde_json::{Map, Value};

/// The longest name or path that is taken over from a tool: longer ones are no names.
const NAME_BYTES_MAX: usize = 4 * 1024;

/// Beginnings of a prompt that a tool wrote and nobody typed: notifications, echoes of local commands.
const FRAMES: &[&str] = &[
    "<task-notification>",
    "<command-name>",
    "<command-message>",
    "<local-command-",
    "<bash-input>",
    "<bash-stdout>",
    "<bash-stderr>",
    "<system-reminder>",
    "<teammate-message",
    "<subagent_notification>",
    "Stop hook feedback:",
    "[Request interrupted by user",
];

/// A tool whose hooks are answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tool {
    ClaudeCode,
    Codex,
    Gemini,
    Cursor,
    OpenCode,
}

impl Tool {
    pub(crate) const ALL: [Tool; 5] = [Tool::ClaudeCode, Tool::Codex, Tool::Gemini, Tool::Cursor, Tool::OpenCode];

    /// The tool's name, as everywhere.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Tool::ClaudeCode => "claude-code",
            Tool::Codex => "codex",
            Tool::Gemini => "gemini",
            Tool::Cursor => "cursor",
            Tool::OpenCode => "opencode",
        }
    }

    /// The tool of this name.
    pub(crate) fn named(name: &str) -> Option<Tool> {
        Tool::ALL.into_iter().find(|tool| tool.name() == name)
    }
}

/// What a hook is called for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    /// A session begins.
    Start,
    /// A prompt is about to be read.
    Prompt,
    /// The transcript has grown: the agent stopped, or its context is about to be shortened.
    Pause,
    /// Nothing that is answered.
    Other,
}

/// One call of a hook.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) tool: Tool,
    pub(crate) moment: Moment,
    /// The tool's own name of the event, which some want back.
    pub(crate) name: String,
    pub(crate) session: Option<String>,
    pub(crate) folder: Option<PathBuf>,
    pub(crate) transcript: Option<PathBuf>,
    prompt: Option<String>,
    /// Who the prompt is from, where the tool says so.
    source: Option<String>,
}

impl Event {
    /// Reads a tool's JSON; the reason why not never holds what was in it.
    pub(crate) fn parse(tool: Tool, input: &[u8]) -> Result<Event, String> {
        let fields: Map<String, Value> = serde_json::from_slice(input)
            .map_err(|error| format!("the input is no JSON object: {:?}, line {}", error.classify(), error.line()))?;
        let text = |names: &[&str]| {
            let found = names.iter().find_map(|name| fields.get(*name)?.as_str());
            found.filter(|text| !text.is_empty()).map(str::to_owned)
        };
        let name = |names: &[&str]| text(names).filter(|name| name.len() <= NAME_BYTES_MAX);
        let event = name(&["hook_event_name"]).ok_or("the input has no hook_event_name")?;
        let root = || fields.get("workspace_roots")?.as_array()?.first()?.as_str().map(str::to_owned);
        let prompt = text(&["prompt"]);
        let moment = moment(tool, &event);
        if moment == Moment::Prompt && fields.get("prompt").is_some_and(|prompt| !prompt.is_string()) {
            return Err("the prompt is no text".to_owned());
        }
        Ok(Event {
            tool,
            moment,
            session: name(&["session_id", "conversation_id"]),
            folder: name(&["cwd"]).or_else(root).map(PathBuf::from),
            transcript: name(&["transcript_path"]).map(PathBuf::from),
            prompt,
            source: name(&["source", "prompt_source"]),
            name: event,
        })
    }

    /// What the person said, or a program in their place; `None` for what the tool itself wrote into a prompt.
    pub(crate) fn said(&self) -> Option<&str> {
        if self.source.as_deref().is_some_and(|source| !matches!(source, "user" | "sdk")) {
            return None;
        }
        let prompt = self.prompt.as_deref()?.trim();
        let framed = FRAMES.iter().any(|frame| prompt.starts_with(frame));
        // A command of the tool's own without anything behind it: `/clear`.
        let command = prompt.starts_with('/') && !prompt.contains(char::is_whitespace);
        (!prompt.is_empty() && !framed && !command).then_some(prompt)
    }
}

fn moment(tool: Tool, event: &str) -> Moment {
    match (tool, event) {
        (Tool::Cursor, "sessionStart") => Moment::Start,
        (Tool::Cursor, "beforeSubmitPrompt") => Moment::Prompt,
        (Tool::Cursor, "stop" | "preCompact" | "sessionEnd") => Moment::Pause,
        (Tool::Cursor, _) => Moment::Other,
        (_, "SessionStart") => Moment::Start,
        (Tool::Gemini, "BeforeAgent") => Moment::Prompt,
        (Tool::Gemini, "AfterAgent" | "PreCompress" | "SessionEnd") => Moment::Pause,
        (Tool::Gemini, _) => Moment::Other,
        (_, "UserPromptSubmit") => Moment::Prompt,
        (_, "Stop" | "SubagentStop" | "PreCompact" | "SessionEnd") => Moment::Pause,
        _ => Moment::Other,
    }
}

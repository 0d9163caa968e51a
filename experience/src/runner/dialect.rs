//! How each agent is started and what it prints, after its own documentation.

use serde_json::Value;

use super::heard::{Heard, Transcript};
use super::{Permission, Provider};
use crate::event::What;

/// An agent that can be run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// Claude Code: `claude -p --output-format stream-json`.
    ClaudeCode,
    /// Codex: `codex exec --json`.
    Codex,
    /// Gemini CLI: `gemini --output-format stream-json`.
    Gemini,
    /// OpenCode: `opencode run --format json`.
    OpenCode,
}

/// What a start may use up, for agents that keep to it by themselves.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) turns: usize,
    pub(crate) cost_usd: Option<f64>,
}

/// What an agent's exit code says beyond that it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Code {
    /// It stopped at a limit of its own.
    Limit,
    /// Another try would end the same way.
    Lasting,
}

impl Dialect {
    /// All of them.
    pub const ALL: [Dialect; 4] = [Dialect::ClaudeCode, Dialect::Codex, Dialect::Gemini, Dialect::OpenCode];

    /// Its name in commands and records.
    pub fn name(self) -> &'static str {
        match self {
            Dialect::ClaudeCode => "claude-code",
            Dialect::Codex => "codex",
            Dialect::Gemini => "gemini",
            Dialect::OpenCode => "opencode",
        }
    }

    /// Its program.
    pub fn binary(self) -> &'static str {
        match self {
            Dialect::ClaudeCode => "claude",
            other => other.name(),
        }
    }

    /// Its arguments, and what is written to its standard input: the prompt, which no list of processes then shows.
    pub(crate) fn arguments(
        self,
        provider: &Provider,
        prompt: &str,
        session: Option<&str>,
        bounds: Bounds,
    ) -> (Vec<String>, String) {
        let mut arguments: Vec<String> = Vec::new();
        let mut prompt = prompt.to_owned();
        let mut add = |words: &[&str]| arguments.extend(words.iter().map(|word| (*word).to_owned()));
        let plan = provider.permission == Permission::Plan;
        match self {
            Dialect::ClaudeCode => {
                let turns = bounds.turns.to_string();
                add(&["-p", "--output-format", "stream-json", "--verbose", "--max-turns", &turns]);
                if let Some(cost_usd) = bounds.cost_usd {
                    add(&["--max-budget-usd", &cost_usd.to_string()]);
                }
                add(&["--permission-mode", if plan { "plan" } else { "acceptEdits" }]);
                if !provider.allowed_tools.is_empty() {
                    add(&["--allowedTools", &provider.allowed_tools.join(",")]);
                }
                if let Some(model) = &provider.model {
                    add(&["--model", model]);
                }
                if let Some(system) = &provider.system {
                    add(&["--append-system-prompt", system]);
                }
                if let Some(session) = session {
                    add(&["--resume", session]);
                }
            }
            Dialect::Codex => {
                add(&["exec", "--json", "--skip-git-repo-check"]);
                add(&["--sandbox", if plan { "read-only" } else { "workspace-write" }]);
                if let Some(model) = &provider.model {
                    add(&["--model", model]);
                }
                if let Some(session) = session {
                    add(&["resume", session]);
                }
                add(&["-"]);
                prompt = with_frame(provider, prompt);
            }
            Dialect::Gemini => {
                add(&["--output-format", "stream-json", "--approval-mode", if plan { "plan" } else { "auto_edit" }]);
                if !provider.allowed_tools.is_empty() {
                    add(&["--allowed-tools", &provider.allowed_tools.join(",")]);
                }
                if let Some(model) = &provider.model {
                    add(&["--model", model]);
                }
                if let Some(session) = session {
                    add(&["--resume", session]);
                }
                prompt = with_frame(provider, prompt);
            }
            Dialect::OpenCode => {
                add(&["run", "--format", "json", "--agent", if plan { "plan" } else { "build" }]);
                if let Some(model) = &provider.model {
                    add(&["--model", model]);
                }
                if let Some(session) = session {
                    add(&["--session", session]);
                }
                prompt = with_frame(provider, prompt);
            }
        }
        (arguments, prompt)
    }

    /// What an exit code says, where the agent's documentation says so.
    pub(crate) fn code(self, code: i32) -> Option<Code> {
        match (self, code) {
            (Dialect::Gemini, 53) => Some(Code::Limit),
            (Dialect::Gemini, 42) => Some(Code::Lasting),
            // What a shell says of a program that is not there, or is none.
            (_, 126 | 127) => Some(Code::Lasting),
            _ => None,
        }
    }

    /// Takes one line of what it prints. A line that is not understood says nothing.
    pub(crate) fn hear(self, line: &str, transcript: &mut Transcript) -> Vec<Heard> {
        let Ok(line) = serde_json::from_str::<Value>(line.trim()) else { return Vec::new() };
        let mut heard = Vec::new();
        match self {
            Dialect::ClaudeCode => claude_code(&line, transcript, &mut heard),
            Dialect::Codex => codex(&line, transcript, &mut heard),
            Dialect::Gemini => gemini(&line, transcript, &mut heard),
            Dialect::OpenCode => opencode(&line, transcript, &mut heard),
        }
        heard
    }
}

impl std::str::FromStr for Dialect {
    type Err = String;

    fn from_str(word: &str) -> Result<Dialect, String> {
        Dialect::ALL
            .into_iter()
            .find(|dialect| dialect.name() == word)
            .ok_or_else(|| format!("{word:?} is none of: {}", Dialect::ALL.map(Dialect::name).join(", ")))
    }
}

/// Whether another try would end the same way: a key that is missing or wrong, a model that is not there.
pub(crate) fn is_lasting(error: &str) -> bool {
    let error = error.to_lowercase();
    [
        "api key",
        "apikey",
        "api_key",
        "unauthorized",
        "authentication",
        "not logged in",
        "please log in",
        "please login",
        "/login",
        "auth login",
        "forbidden",
        "invalid model",
        "model not found",
        "unknown option",
        "unknown argument",
        "unexpected argument",
        "credit balance",
    ]
    .iter()
    .any(|sign| error.contains(sign))
}

fn with_frame(provider: &Provider, prompt: String) -> String {
    match &provider.system {
        Some(system) => format!("{system}\n\n{prompt}"),
        None => prompt,
    }
}

fn text_at<'v>(value: &'v Value, path: &[&str]) -> Option<&'v str> {
    path.iter().try_fold(value, |value, key| value.get(key))?.as_str()
}

fn number_at(value: &Value, path: &[&str]) -> u64 {
    path.iter().try_fold(value, |value, key| value.get(key)).and_then(Value::as_u64).unwrap_or(0)
}

fn started(call: &str, tool: &str, arguments: Value) -> Heard {
    Heard::Event(What::ToolStarted { call: call.to_owned(), tool: tool.to_owned(), arguments })
}

fn finished(call: &str, ok: Option<bool>, said: &str) -> Heard {
    let gist = said[..said.floor_char_boundary(4 * 1024)].to_owned();
    let error = (ok == Some(false)).then(|| gist.clone());
    Heard::Event(What::ToolFinished { call: call.to_owned(), ok, gist, error, duration_ms: None })
}

/// A text that stands alone, or as parts with a `text` each.
fn texts(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(parts) => {
            parts.iter().filter_map(|part| part.get("text").and_then(Value::as_str)).collect::<Vec<_>>().join("\n")
        }
        _ => String::new(),
    }
}

fn claude_code(line: &Value, transcript: &mut Transcript, heard: &mut Vec<Heard>) {
    if let Some(session) = text_at(line, &["session_id"]) {
        transcript.session = Some(session.to_owned());
    }
    let parts = line.pointer("/message/content").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    // What an agent under it does is its own doing, and none of its turns.
    let own = line.get("parent_tool_use_id").is_none_or(Value::is_null);
    match text_at(line, &["type"]) {
        Some("assistant") => {
            // One answer spans several lines, with the same id.
            let answer = text_at(line, &["message", "id"]).map(str::to_owned);
            let says = |part: &Value| matches!(text_at(part, &["type"]), Some("text" | "tool_use"));
            if own && parts.iter().any(says) && (answer.is_none() || answer != transcript.answer) {
                transcript.turns += 1;
                transcript.answer = answer;
            }
            for part in parts {
                match text_at(part, &["type"]) {
                    Some("text") if own => {
                        let text = text_at(part, &["text"]).unwrap_or("");
                        transcript.say(text);
                        heard.push(Heard::Text(format!("{text}\n")));
                    }
                    Some("tool_use") => {
                        transcript.acted = true;
                        let (call, tool) = (text_at(part, &["id"]), text_at(part, &["name"]));
                        let arguments = part.get("input").cloned().unwrap_or(Value::Null);
                        heard.push(started(call.unwrap_or(""), tool.unwrap_or(""), arguments));
                    }
                    _ => {}
                }
            }
        }
        Some("user") => {
            for part in parts.iter().filter(|part| text_at(part, &["type"]) == Some("tool_result")) {
                let failed = part.get("is_error").and_then(Value::as_bool).unwrap_or(false);
                let said = part.get("content").map_or(String::new(), texts);
                heard.push(finished(text_at(part, &["tool_use_id"]).unwrap_or(""), Some(!failed), &said));
            }
        }
        Some("result") => {
            transcript.ended = true;
            let turns = usize::try_from(number_at(line, &["num_turns"])).unwrap_or(usize::MAX);
            transcript.turns = transcript.turns.max(transcript.turns_before.saturating_add(turns));
            if let Some(cost) = line.get("total_cost_usd").and_then(Value::as_f64) {
                transcript.add_cost(cost);
            }
            let used = ["input_tokens", "output_tokens", "cache_creation_input_tokens", "cache_read_input_tokens"];
            transcript.add_tokens(used.iter().map(|name| number_at(line, &["usage", name])).sum());
            if let Some(text) = text_at(line, &["result"]) {
                transcript.say(text);
            }
            let subtype = text_at(line, &["subtype"]).unwrap_or("success");
            let failed = line.get("is_error").and_then(Value::as_bool).unwrap_or(false);
            if subtype.starts_with("error_max") {
                transcript.limit = true;
                transcript.error = Some(format!("it stopped at a limit: {subtype}"));
            } else if failed || subtype != "success" {
                transcript.error = Some(text_at(line, &["result"]).unwrap_or(subtype).to_owned());
            }
        }
        _ => {}
    }
}

fn codex(line: &Value, transcript: &mut Transcript, heard: &mut Vec<Heard>) {
    let item = line.get("item").unwrap_or(&Value::Null);
    let call = text_at(item, &["id"]).unwrap_or("");
    let kind = text_at(item, &["type"]).or_else(|| text_at(item, &["item_type"])).unwrap_or("");
    match text_at(line, &["type"]) {
        Some("thread.started") => transcript.session = text_at(line, &["thread_id"]).map(str::to_owned),
        Some("item.started") => match kind {
            "command_execution" => {
                transcript.acted = true;
                let command = item.get("command").cloned().unwrap_or(Value::Null);
                heard.push(started(call, "shell", serde_json::json!({"command": command})));
            }
            "mcp_tool_call" => {
                transcript.acted = true;
                let arguments = item.get("arguments").cloned().unwrap_or(Value::Null);
                heard.push(started(call, text_at(item, &["tool"]).unwrap_or("mcp"), arguments));
            }
            _ => {}
        },
        Some("item.completed") => match kind {
            "agent_message" | "assistant_message" => {
                transcript.turns += 1;
                let text = text_at(item, &["text"]).unwrap_or("");
                transcript.say(text);
                heard.push(Heard::Text(format!("{text}\n")));
            }
            "command_execution" => {
                transcript.turns += 1;
                let code = item.get("exit_code").and_then(Value::as_i64);
                let said = text_at(item, &["aggregated_output"]).unwrap_or("");
                heard.push(finished(call, code.map(|code| code == 0), said));
            }
            "mcp_tool_call" => {
                transcript.turns += 1;
                let ok = text_at(item, &["status"]).map(|status| status == "completed");
                heard.push(finished(call, ok, &item.get("result").map_or(String::new(), Value::to_string)));
            }
            "file_change" => {
                transcript.acted = true;
                transcript.turns += 1;
                let path = item.pointer("/changes/0/path").cloned().unwrap_or(Value::Null);
                heard.push(started(call, "apply_patch", serde_json::json!({"path": path})));
                heard.push(finished(call, text_at(item, &["status"]).map(|status| status == "completed"), ""));
            }
            "error" => transcript.error = text_at(item, &["message"]).map(str::to_owned),
            _ => {}
        },
        Some("turn.completed") => {
            transcript.ended = true;
            transcript.error = None;
            transcript
                .add_tokens(number_at(line, &["usage", "input_tokens"]) + number_at(line, &["usage", "output_tokens"]));
        }
        Some("turn.failed") => {
            let said = text_at(line, &["error", "message"]).unwrap_or("the turn failed");
            transcript.error = Some(said.to_owned());
        }
        Some("error") => transcript.error = text_at(line, &["message"]).map(str::to_owned),
        _ => {}
    }
}

fn gemini(line: &Value, transcript: &mut Transcript, heard: &mut Vec<Heard>) {
    match text_at(line, &["type"]) {
        Some("init") => transcript.session = text_at(line, &["session_id"]).map(str::to_owned),
        Some("message") if text_at(line, &["role"]) == Some("assistant") => {
            let text = text_at(line, &["content"]).unwrap_or("");
            let goes_on = line.get("delta").and_then(Value::as_bool).unwrap_or(false) && transcript.speaking();
            if !goes_on {
                transcript.turns += 1;
                transcript.say("");
            }
            transcript.text.push_str(text);
            transcript.acting = false;
            heard.push(Heard::Text(text.to_owned()));
        }
        Some("tool_use") => {
            transcript.acted = true;
            transcript.acting = true;
            let (call, tool) = (text_at(line, &["tool_id"]), text_at(line, &["tool_name"]));
            let arguments = line.get("parameters").cloned().unwrap_or(Value::Null);
            heard.push(started(call.unwrap_or(""), tool.unwrap_or(""), arguments));
        }
        Some("tool_result") => {
            transcript.turns += 1;
            let ok = text_at(line, &["status"]).map(|status| status == "success");
            let said = text_at(line, &["output"]).or_else(|| text_at(line, &["error", "message"])).unwrap_or("");
            heard.push(finished(text_at(line, &["tool_id"]).unwrap_or(""), ok, said));
        }
        Some("error") if text_at(line, &["severity"]) != Some("warning") => {
            transcript.error = text_at(line, &["message"]).map(str::to_owned);
        }
        Some("result") => {
            transcript.ended = true;
            transcript.add_tokens(number_at(line, &["stats", "total_tokens"]));
            if text_at(line, &["status"]) == Some("success") {
                transcript.error = None;
            } else {
                let said = text_at(line, &["error", "message"]).unwrap_or("it ended in an error");
                transcript.error = Some(said.to_owned());
            }
        }
        _ => {}
    }
}

fn opencode(line: &Value, transcript: &mut Transcript, heard: &mut Vec<Heard>) {
    if let Some(session) = text_at(line, &["sessionID"]) {
        transcript.session = Some(session.to_owned());
    }
    let part = line.get("part").unwrap_or(&Value::Null);
    match text_at(line, &["type"]) {
        Some("text") => {
            let text = text_at(part, &["text"]).unwrap_or("");
            transcript.say(text);
            heard.push(Heard::Text(format!("{text}\n")));
        }
        Some("tool_use") => {
            transcript.acted = true;
            let (call, tool) = (text_at(part, &["callID"]).unwrap_or(""), text_at(part, &["tool"]).unwrap_or(""));
            let status = text_at(part, &["state", "status"]);
            heard.push(started(call, tool, part.pointer("/state/input").cloned().unwrap_or(Value::Null)));
            let said = text_at(part, &["state", "output"]).or_else(|| text_at(part, &["state", "error"])).unwrap_or("");
            heard.push(finished(call, status.map(|status| status == "completed"), said));
        }
        Some("step_finish") => {
            transcript.turns += 1;
            // The last step says why it is the last.
            transcript.ended = text_at(part, &["reason"]).is_none_or(|reason| reason != "tool-calls");
            if let Some(cost) = part.get("cost").and_then(Value::as_f64) {
                transcript.add_cost(cost);
            }
            let used = ["input", "output", "reasoning"];
            transcript.add_tokens(used.iter().map(|name| number_at(part, &["tokens", name])).sum());
        }
        Some("error") => {
            let said = text_at(line, &["error", "data", "message"]).or_else(|| text_at(line, &["error", "name"]));
            transcript.error = Some(said.unwrap_or("it ended in an error").to_owned());
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::marked::Marked;

    fn heard(dialect: Dialect, lines: &[&str]) -> (Transcript, Vec<String>) {
        let mut transcript = Transcript::default();
        let mut tools = Vec::new();
        for line in lines {
            for event in dialect.hear(line, &mut transcript) {
                if let Heard::Event(What::ToolStarted { tool, .. }) = event {
                    tools.push(tool);
                }
            }
        }
        (transcript, tools)
    }

    #[test]
    fn each_agents_documented_output_is_understood() {
        let (claude, tools) = heard(
            Dialect::ClaudeCode,
            &[
                r#"{"type":"system","subtype":"init","session_id":"s1","model":"m"}"#,
                r#"{"type":"assistant","message":{"content":[{"type":"tool_use","id":"t1","name":"Bash","input":{"command":"ls"}}]},"session_id":"s1"}"#,
                r#"{"type":"user","message":{"content":[{"type":"tool_result","tool_use_id":"t1","content":"a","is_error":false}]}}"#,
                r#"{"type":"assistant","message":{"content":[{"type":"text","text":"done"}]}}"#,
                r#"{"type":"result","subtype":"success","is_error":false,"num_turns":2,"result":"done","session_id":"s1","total_cost_usd":0.02,"usage":{"input_tokens":10,"output_tokens":5}}"#,
            ],
        );
        assert_eq!((claude.session.as_deref(), claude.turns, claude.tokens), (Some("s1"), 2, Some(15)));
        assert_eq!((claude.cost_usd, claude.text.as_str(), claude.ended), (Some(0.02), "done", true));
        assert_eq!(tools, ["Bash"]);
        let (codex, tools) = heard(
            Dialect::Codex,
            &[
                r#"{"type":"thread.started","thread_id":"th"}"#,
                r#"{"type":"item.started","item":{"id":"i1","type":"command_execution","command":"ls","status":"in_progress"}}"#,
                r#"{"type":"item.completed","item":{"id":"i1","type":"command_execution","command":"ls","aggregated_output":"a","exit_code":0,"status":"completed"}}"#,
                r#"{"type":"item.completed","item":{"id":"i2","type":"agent_message","text":"done"}}"#,
                r#"{"type":"turn.completed","usage":{"input_tokens":20,"cached_input_tokens":4,"output_tokens":3}}"#,
            ],
        );
        assert_eq!((codex.session.as_deref(), codex.tokens, codex.cost_usd), (Some("th"), Some(23), None));
        assert_eq!((codex.text.as_str(), codex.ended, codex.turns), ("done", true, 2));
        assert_eq!(tools, ["shell"]);
        let (gemini, tools) = heard(
            Dialect::Gemini,
            &[
                r#"{"type":"init","session_id":"g","model":"m"}"#,
                r#"{"type":"message","role":"user","content":"task"}"#,
                r#"{"type":"tool_use","tool_name":"read_file","tool_id":"x","parameters":{"path":"a"}}"#,
                r#"{"type":"tool_result","tool_id":"x","status":"success","output":"text"}"#,
                r#"{"type":"message","role":"assistant","content":"do","delta":true}"#,
                r#"{"type":"message","role":"assistant","content":"ne","delta":true}"#,
                r#"{"type":"result","status":"success","stats":{"total_tokens":9}}"#,
            ],
        );
        assert_eq!((gemini.session.as_deref(), gemini.text.as_str(), gemini.turns), (Some("g"), "done", 2));
        assert_eq!((gemini.tokens, gemini.cost_usd, tools), (Some(9), None, vec!["read_file".to_owned()]));
        let (opencode, tools) = heard(
            Dialect::OpenCode,
            &[
                r#"{"type":"tool_use","sessionID":"o","part":{"tool":"bash","callID":"c","state":{"status":"completed","input":{"command":"ls"},"output":"a"}}}"#,
                r#"{"type":"step_finish","sessionID":"o","part":{"reason":"tool-calls","cost":0.01,"tokens":{"input":5,"output":1,"reasoning":0}}}"#,
                r#"{"type":"text","sessionID":"o","part":{"text":"done"}}"#,
                r#"{"type":"step_finish","sessionID":"o","part":{"reason":"stop","cost":0.01,"tokens":{"input":5,"output":1,"reasoning":0}}}"#,
            ],
        );
        assert_eq!((opencode.session.as_deref(), opencode.tokens, opencode.ended), (Some("o"), Some(12), true));
        assert!((opencode.cost_usd.unwrap() - 0.02).abs() < 1e-9 && opencode.turns == 2);
        assert_eq!(tools, ["bash"]);
    }

    #[test]
    fn an_answer_of_several_lines_is_one_turn_and_an_agent_under_it_takes_none() {
        let part = |id: &str, part: &str, under: &str| {
            format!(
                r#"{{"type":"assistant","message":{{"id":"{id}","content":[{part}]}},"parent_tool_use_id":{under}}}"#
            )
        };
        let (text, tool) =
            (r#"{"type":"text","text":"look"}"#, r#"{"type":"tool_use","id":"t","name":"Task","input":{}}"#);
        let lines = [
            part("m1", r#"{"type":"thinking","thinking":"…"}"#, "null"),
            part("m1", text, "null"),
            part("m1", tool, "null"),
            part("s1", r#"{"type":"text","text":"from below"}"#, "\"t\""),
            part("m2", r#"{"type":"text","text":"done"}"#, "null"),
        ];
        let (heard, tools) = heard(Dialect::ClaudeCode, &lines.each_ref().map(String::as_str));
        assert_eq!((heard.turns, heard.text.as_str(), tools.len()), (2, "done", 1));
    }

    #[test]
    fn what_is_marked_in_earlier_words_is_kept_and_never_in_the_middle_of_a_line() {
        let (gemini, _) = heard(
            Dialect::Gemini,
            &[
                r#"{"type":"message","role":"assistant","content":"DECISION: use","delta":true}"#,
                r#"{"type":"message","role":"assistant","content":" the VPN\n","delta":true}"#,
                r#"{"type":"tool_use","tool_name":"shell","tool_id":"x","parameters":{}}"#,
                r#"{"type":"tool_result","tool_id":"x","status":"success","output":"LESSON: of a tool"}"#,
                r#"{"type":"message","role":"assistant","content":"do","delta":true}"#,
                r#"{"type":"message","role":"assistant","content":"ne","delta":true}"#,
            ],
        );
        assert_eq!((gemini.text.as_str(), gemini.marked), ("done", Marked::in_text("DECISION: use the VPN")));
        let text = |text: &str, under: &str| {
            format!(
                r#"{{"type":"assistant","message":{{"content":[{{"type":"text","text":"{text}"}}]}},"parent_tool_use_id":{under}}}"#
            )
        };
        let lines = [
            text("DECISION: use the VPN", "null"),
            text("LESSON: from below", "\"t\""),
            text("done", "null"),
            r#"{"type":"result","subtype":"success","result":"done"}"#.to_owned(),
        ];
        let (claude, _) = heard(Dialect::ClaudeCode, &lines.each_ref().map(String::as_str));
        assert_eq!((claude.text.as_str(), claude.marked), ("done", Marked::in_text("DECISION: use the VPN")));
        let (codex, _) = heard(
            Dialect::Codex,
            &[
                r#"{"type":"item.completed","item":{"id":"1","type":"agent_message","text":"LESSON: look first"}}"#,
                r#"{"type":"item.completed","item":{"id":"2","type":"agent_message","text":"done"}}"#,
            ],
        );
        assert_eq!((codex.text.as_str(), &codex.marked), ("done", &Marked::in_text("LESSON: look first")));
        let next = codex.next_agent(None);
        assert_eq!((next.text.as_str(), next.marked), ("", Marked::in_text("LESSON: look first")));
        let (opencode, _) = heard(
            Dialect::OpenCode,
            &[
                r#"{"type":"text","sessionID":"o","part":{"text":"LESSON: look first"}}"#,
                r#"{"type":"text","sessionID":"o","part":{"text":"done"}}"#,
            ],
        );
        assert_eq!((opencode.text.as_str(), opencode.marked), ("done", Marked::in_text("LESSON: look first")));
    }

    #[test]
    fn what_will_not_pass_is_known_and_a_task_about_logins_is_none_of_it() {
        for lasting in ["Invalid API key · Please run /login", "401 Unauthorized", "unknown option '--max-turns'"] {
            assert!(is_lasting(lasting), "{lasting}");
        }
        assert!(!is_lasting("the login test timed out"));
        assert_eq!(Dialect::Gemini.code(53), Some(Code::Limit));
        assert_eq!((Dialect::Codex.code(127), Dialect::Codex.code(1)), (Some(Code::Lasting), None));
    }

    #[test]
    fn a_line_that_is_no_event_says_nothing() {
        for dialect in Dialect::ALL {
            let (transcript, tools) =
                heard(dialect, &["", "not json", "[]", "{}", r#"{"type":7}"#, r#"{"type":"result"}x"#]);
            assert_eq!((transcript, tools.len()), (Transcript::default(), 0));
        }
    }
}

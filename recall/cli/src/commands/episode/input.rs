//! Episodes as JSON Lines on standard input.

use std::io::{BufRead, Read};

use anyhow::Context;
use harness_memory::record::TEXT_BYTES_MAX;
use harness_memory::{Episode, Origin, Outcome, Record, Scope, ToolUse};
use serde::Deserialize;

use super::record::SOURCE;
use crate::report::Advice;
use crate::when;

/// The longest line: an episode's text at its limit, with every byte of it escaped.
const LINE_BYTES_MAX: usize = 6 * TEXT_BYTES_MAX + 64 * 1024;

/// The most episodes of one call; more is another call.
const EPISODES_MAX: usize = 100_000;

const HINT: &str = "each line is one object, such as {\"situation\": \"…\", \"tools\": [\"bash\"], \"outcome\": \"success\"}; \
                    `harness episode record --help` lists the fields";

/// One line: an episode, and whose it is and where it is from.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    situation: String,
    #[serde(default)]
    user_turns: Vec<String>,
    #[serde(default)]
    tools: Vec<Tool>,
    outcome: Option<Outcome>,
    reason: Option<String>,
    lesson: Option<String>,
    #[serde(default)]
    errors: Vec<String>,
    cost_usd: Option<f64>,
    tokens: Option<u64>,
    duration_ms: Option<u64>,
    scope: Option<Scope>,
    source: Option<String>,
    session: Option<String>,
    key: Option<String>,
    created_at: Option<String>,
    #[serde(default)]
    tags: Vec<String>,
}

/// A use of a tool, or only its name.
#[derive(Deserialize)]
#[serde(untagged)]
enum Tool {
    Name(String),
    Use(ToolUse),
}

/// The records of all lines, in order. Nothing is answered when one line is wrong: the error names it.
pub(super) fn read(input: impl BufRead, scope: &Scope) -> anyhow::Result<Vec<Record>> {
    let mut input = input;
    let mut records = Vec::new();
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        let at_most = (&mut input).take(LINE_BYTES_MAX as u64 + 1);
        let mut at_most = std::io::BufReader::with_capacity(1, at_most);
        let read = at_most.read_until(b'\n', &mut line).context("cannot read standard input")?;
        if read == 0 {
            break;
        }
        if line.len() > LINE_BYTES_MAX {
            let what = format!("line {number} of standard input is longer than {LINE_BYTES_MAX} bytes");
            return Err(Advice::error(what, "leave out what need not be remembered"));
        }
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        if records.len() == EPISODES_MAX {
            let what = format!("standard input holds more than {EPISODES_MAX} episodes");
            return Err(Advice::error(what, "give them in several calls; giving one twice with its key adds nothing"));
        }
        let parsed: Line = serde_json::from_slice(&line).map_err(|error| {
            // serde_json counts the lines of what it was given, which is one.
            let reason = error.to_string().replace(" at line 1 column ", ", at column ");
            Advice::error(format!("line {number} of standard input is no episode: {reason}"), HINT)
        })?;
        records.push(parsed.into_record(scope).with_context(|| format!("line {number} of standard input"))?);
    }
    if records.is_empty() {
        return Err(Advice::error("there is no episode on standard input", HINT));
    }
    Ok(records)
}

impl Line {
    fn into_record(self, scope: &Scope) -> anyhow::Result<Record> {
        let tools = self.tools.into_iter().map(|tool| match tool {
            Tool::Use(tool) => tool,
            Tool::Name(tool) => ToolUse { tool, gist: String::new(), ok: None, error: None },
        });
        let episode = Episode {
            user_turns: self.user_turns,
            tools: tools.collect(),
            outcome: self.outcome.unwrap_or(Outcome::Unknown),
            reason: self.reason,
            lesson: self.lesson,
            errors: self.errors,
            cost_usd: self.cost_usd,
            tokens: self.tokens,
            duration_ms: self.duration_ms,
            ..Episode::new(self.situation)
        };
        let source = self.source.unwrap_or_else(|| SOURCE.to_owned());
        let mut record = Record::new(self.scope.unwrap_or_else(|| scope.clone()), source, Origin::Agent, episode);
        if let Some(time) = self.created_at {
            let reason = |reason| Advice::error(format!("created_at {time:?} is no time: {reason}"), HINT);
            record.created_at = when::parse(&time).map_err(reason)?;
        }
        record.session = self.session;
        record.key = self.key;
        record.tags = self.tags;
        Ok(record)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(text: &str) -> anyhow::Result<Vec<Record>> {
        read(text.as_bytes(), &Scope::parse("ana").unwrap())
    }

    #[test]
    fn each_line_is_an_episode_with_what_it_says_of_itself() {
        let text = r#"{"situation": "部署", "tools": ["bash", {"tool": "edit", "ok": false, "error": "no such file"}]}

            {"situation": "b", "outcome": "success", "created_at": "2026-05-01", "scope": "bo/shop", "key": "7"}"#;
        let records = read_text(text).unwrap();
        assert_eq!(records.len(), 2);
        assert_eq!(records[0].text(), "部署");
        assert_eq!(records[0].scope.path(), "ana");
        assert_eq!(records[1].scope.path(), "bo/shop");
        assert_eq!(records[1].created_at.to_string(), "2026-05-01T00:00:00Z");
    }

    #[test]
    fn a_wrong_line_is_named() {
        let cases: &[(&str, &str)] = &[
            ("", "there is no episode on standard input"),
            ("{\"situation\": \"a\"}\nnonsense", "line 2 of standard input is no episode"),
            ("{\"situation\": \"a\", \"outcom\": \"success\"}", "line 1 of standard input is no episode"),
            ("{\"situation\": \"\\ud800\"}", "line 1 of standard input is no episode"),
            ("{\"situation\": \"a\", \"created_at\": \"soon\"}", "line 1 of standard input"),
        ];
        for (text, error) in cases {
            let found = read_text(text).unwrap_err().to_string();
            assert!(found.starts_with(error), "{text}: {found}");
        }
        assert!(read([b'x'; 10 << 20].as_slice(), &Scope::root()).unwrap_err().to_string().contains("longer than"));
    }
}

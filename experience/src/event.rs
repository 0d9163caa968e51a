//! The events of a run, one JSON object a line: what an agent tells the recorder.

use harness_memory::{Outcome, RecordId};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The longest line that is read as an event, in bytes: a gist and a final text, not a whole transcript.
pub const LINE_BYTES_MAX: usize = 1 << 20;

/// One event of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunEvent {
    /// The run it belongs to.
    pub run: String,
    /// When it happened.
    pub at: Timestamp,
    /// What happened.
    #[serde(flatten)]
    pub what: What,
}

/// What happened in a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event")]
pub enum What {
    /// Somebody asked for something.
    #[serde(rename = "run.started")]
    RunStarted {
        /// What was asked.
        task: String,
        /// Who does it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        agent: Option<String>,
        /// With which model.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        model: Option<String>,
        /// In which folder.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cwd: Option<String>,
    },
    /// Records were given to the run, or would have been were it not in the holdout.
    #[serde(rename = "run.exposed")]
    RunExposed {
        /// The records.
        records: Vec<RecordId>,
        /// Whether they were held back.
        #[serde(default)]
        holdout: bool,
    },
    /// An agent began to work.
    #[serde(rename = "agent.started")]
    AgentStarted {
        /// Which one, where there are several.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        agent: Option<String>,
    },
    /// A tool was called.
    #[serde(rename = "tool.started")]
    ToolStarted {
        /// The id that its end refers to.
        #[serde(default)]
        call: String,
        /// The tool's name.
        tool: String,
        /// Its arguments.
        #[serde(default)]
        arguments: serde_json::Value,
    },
    /// A tool answered.
    #[serde(rename = "tool.finished")]
    ToolFinished {
        /// The call that this answers.
        #[serde(default)]
        call: String,
        /// Whether it succeeded, where that is known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ok: Option<bool>,
        /// What it said, in short.
        #[serde(default)]
        gist: String,
        /// What it said when it failed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<String>,
        /// How long it took.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        duration_ms: Option<u64>,
    },
    /// An agent came to its end.
    #[serde(rename = "agent.finished")]
    AgentFinished {
        /// What it said at the end.
        #[serde(default)]
        text: String,
        /// Tokens read and written by the model, where that is known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tokens: Option<u64>,
        /// What it cost, in US dollars, where that is known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cost_usd: Option<f64>,
    },
    /// The run came to its end.
    #[serde(rename = "run.finished")]
    RunFinished {
        /// How it ended, where somebody says so.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        outcome: Option<Outcome>,
        /// What says so.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
        /// How long it took.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        duration_ms: Option<u64>,
    },
    /// An event of a later version: kept out of the way.
    #[serde(other)]
    Other,
}

impl RunEvent {
    /// An event that happens now.
    pub fn now(run: impl Into<String>, what: What) -> RunEvent {
        RunEvent { run: run.into(), at: Timestamp::now(), what }
    }

    /// Reads one line; the error says what is wrong with it.
    pub fn parse(line: &str) -> Result<RunEvent, String> {
        if line.len() > LINE_BYTES_MAX {
            return Err(format!("the line has {} bytes, the limit is {LINE_BYTES_MAX}", line.len()));
        }
        serde_json::from_str(line).map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documented_wire_format_is_read_and_written() {
        let lines = [
            r#"{"run":"r1","at":"2026-05-01T10:00:00Z","event":"run.started","task":"部署商店","agent":"coder","model":"openai/x","cwd":"/shop"}"#,
            r#"{"run":"r1","at":"2026-05-01T10:00:01Z","event":"tool.started","call":"c1","tool":"shell","arguments":{"command":"cargo test"}}"#,
            r#"{"run":"r1","at":"2026-05-01T10:00:02Z","event":"tool.finished","call":"c1","ok":false,"gist":"1 failed","error":"test failed","duration_ms":900}"#,
            r#"{"run":"r1","at":"2026-05-01T10:00:03Z","event":"agent.finished","text":"done","tokens":120,"cost_usd":0.01}"#,
            r#"{"run":"r1","at":"2026-05-01T10:00:04Z","event":"run.finished","outcome":"failure","reason":"exit code 1","duration_ms":4000}"#,
        ];
        for line in lines {
            let event = RunEvent::parse(line).unwrap();
            let value = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
            assert_eq!(value(&serde_json::to_string(&event).unwrap()), value(line));
        }
        let later = r#"{"run":"r1","at":"2026-05-01T10:00:00Z","event":"run.paused","why":"lunch"}"#;
        assert_eq!(RunEvent::parse(later).unwrap().what, What::Other);
        assert!(RunEvent::parse(r#"{"event":"run.started"}"#).unwrap_err().contains("missing field"));
    }
}

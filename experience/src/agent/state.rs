//! Where a run stands: what follows from its steps, live or read back from its journal.

use std::collections::{HashMap, HashSet};

use harness_memory::{Outcome, RecordId};
use jiff::Timestamp;
use serde_json::Value;

use super::journal::{Entry, Step};
use super::{CallReport, RunResult, Status};
use crate::event::{RunEvent, What};
use crate::model::{Call, Reply, Said};
use crate::recorder::Recorder;
use crate::tool;

/// What of a tool's output the recorder is given: enough to see what failed.
const GIST_BYTES_MAX: usize = 4 * 1024;

/// What a warning of repetition begins with.
pub(super) const WARNING: &str = "You have called";

pub(super) struct State {
    pub(super) run: String,
    pub(super) said: Vec<Said>,
    /// Calls of the last answer that are not all answered yet.
    pub(super) pending: Vec<Call>,
    pub(super) turns: usize,
    pub(super) tokens: Option<u64>,
    pub(super) cost_usd: Option<f64>,
    pub(super) schema: Option<Value>,
    pub(super) output: Option<Value>,
    pub(super) repairs: usize,
    pub(super) warned: bool,
    pub(super) finished: bool,
    records: Vec<RecordId>,
    holdout: bool,
    /// The calls of the last answer, in order.
    asked: Vec<Call>,
    started: HashSet<String>,
    answers: HashMap<String, (bool, String)>,
    calls: Vec<(Call, CallReport)>,
    /// In which turn each of them was made.
    turn_of_calls: Vec<usize>,
    events: Vec<RunEvent>,
    started_at: Option<Timestamp>,
    last_at: Option<Timestamp>,
}

impl State {
    pub(super) fn new() -> State {
        State {
            run: String::new(),
            said: Vec::new(),
            pending: Vec::new(),
            turns: 0,
            tokens: None,
            cost_usd: None,
            schema: None,
            output: None,
            repairs: 0,
            warned: false,
            finished: false,
            records: Vec::new(),
            holdout: false,
            asked: Vec::new(),
            started: HashSet::new(),
            answers: HashMap::new(),
            calls: Vec::new(),
            turn_of_calls: Vec::new(),
            events: Vec::new(),
            started_at: None,
            last_at: None,
        }
    }

    /// Takes the next step.
    pub(super) fn take(&mut self, entry: &Entry) {
        self.started_at.get_or_insert(entry.at);
        self.last_at = Some(entry.at);
        match &entry.step {
            Step::Started { run, task, model, workspace, system, request, records, holdout, schema, options: _ } => {
                self.run = run.clone();
                self.said = vec![Said::System { text: system.clone() }, Said::User { text: request.clone() }];
                (self.records, self.holdout) = (records.clone(), *holdout);
                self.schema = schema.clone();
                let what = What::RunStarted {
                    task: task.clone(),
                    agent: None,
                    model: Some(model.clone()),
                    cwd: Some(workspace.display().to_string()),
                };
                self.event(entry.at, what);
            }
            Step::Replied { reply } => {
                self.turns += 1;
                self.tokens = sum(self.tokens, reply.tokens);
                self.cost_usd = match (self.cost_usd, reply.cost_usd) {
                    (Some(one), Some(other)) => Some(one + other),
                    (one, other) => one.or(other),
                };
                let what =
                    What::AgentFinished { text: reply.text.clone(), tokens: reply.tokens, cost_usd: reply.cost_usd };
                self.event(entry.at, what);
                self.asked = reply.calls.clone();
                self.pending = reply.calls.clone();
                for call in &reply.calls {
                    let report = CallReport {
                        tool: call.tool.clone(),
                        arguments: call.arguments.clone(),
                        ok: None,
                        duration_ms: 0,
                    };
                    self.calls.push((call.clone(), report));
                    self.turn_of_calls.push(self.turns);
                }
                self.said.push(Said::Assistant(reply.clone()));
            }
            Step::Told { text } => {
                // What else it is told is what its output lacks.
                if text.starts_with(WARNING) {
                    self.warned = true;
                } else {
                    self.repairs += 1;
                }
                self.said.push(Said::User { text: text.clone() });
            }
            Step::CallStarted { call } => {
                self.started.insert(call.clone());
                if let Some((asked, _)) = self.calls.iter().find(|(asked, _)| asked.id == *call) {
                    let (tool, arguments) = (asked.tool.clone(), asked.arguments.clone());
                    self.event(entry.at, What::ToolStarted { call: call.clone(), tool, arguments });
                }
            }
            Step::CallFinished { call, ok, text, duration_ms } => {
                self.answers.insert(call.clone(), (*ok, text.clone()));
                if let Some((_, report)) = self.calls.iter_mut().find(|(asked, _)| asked.id == *call) {
                    (report.ok, report.duration_ms) = (Some(*ok), *duration_ms);
                }
                if self.started.contains(call) {
                    let gist = text[..text.floor_char_boundary(GIST_BYTES_MAX)].to_owned();
                    let what = What::ToolFinished {
                        call: call.clone(),
                        ok: Some(*ok),
                        error: (!ok).then(|| gist.clone()),
                        gist,
                        duration_ms: Some(*duration_ms),
                    };
                    self.event(entry.at, what);
                }
                self.pending.retain(|pending| pending.id != *call);
                if self.asked.iter().all(|asked| self.answers.contains_key(&asked.id)) {
                    self.pending.clear();
                    for asked in std::mem::take(&mut self.asked) {
                        let (ok, text) = self.answers.get(&asked.id).cloned().unwrap_or_default();
                        let text = tool::as_data(&asked.tool, ok, &text);
                        self.said.push(Said::Tool { call: asked.id, tool: asked.tool, text });
                    }
                }
            }
            Step::Resumed => {}
            Step::Finished { .. } => self.finished = true,
        }
    }

    fn event(&mut self, at: Timestamp, what: What) {
        self.events.push(RunEvent { run: self.run.clone(), at, what });
    }

    /// The recorder of what happened so far.
    pub(super) fn recorder(&self, now: Timestamp) -> Recorder {
        let mut recorder = Recorder::new(self.run.clone());
        self.events.iter().for_each(|event| recorder.take(event));
        let duration_ms =
            self.started_at.and_then(|from| u64::try_from(now.as_millisecond() - from.as_millisecond()).ok());
        let what = What::RunFinished { outcome: None, reason: None, duration_ms };
        recorder.take(&RunEvent { run: self.run.clone(), at: now, what });
        recorder
    }

    /// Gives each call an id that no other call of the run has: some models leave it empty or repeat it.
    pub(super) fn name_calls(&self, reply: &mut Reply) {
        let mut taken: HashSet<String> = self.calls.iter().map(|(call, _)| call.id.clone()).collect();
        for (number, call) in reply.calls.iter_mut().enumerate() {
            if call.id.is_empty() || taken.contains(&call.id) {
                call.id = format!("turn-{}-call-{number}", self.turns + 1);
            }
            taken.insert(call.id.clone());
        }
    }

    /// Whether it is the model's turn.
    pub(super) fn awaits_model(&self) -> bool {
        self.pending.is_empty() && !matches!(self.said.last(), Some(Said::Assistant(reply)) if reply.calls.is_empty())
    }

    pub(super) fn is_answered(&self, call: &str) -> bool {
        self.answers.contains_key(call)
    }

    pub(super) fn was_started(&self, call: &str) -> bool {
        self.started.contains(call)
    }

    /// The call of the last turns that was answered the same most often, when that is more than once.
    ///
    /// Only what changes nothing is repetition: the same call with another answer is none (a test that fails otherwise),
    /// nor is one after something new was tried (an edit, then the test again), nor are several in one answer.
    pub(super) fn most_repeated(&self, window: usize) -> Option<(String, usize)> {
        let mut times: HashMap<(&str, String, &str), (usize, usize)> = HashMap::new();
        let mut known: HashSet<(&str, String)> = HashSet::new();
        let from = self.turns.saturating_sub(window);
        for ((call, _), turn) in self.calls.iter().zip(&self.turn_of_calls) {
            let arguments = call.arguments.to_string();
            if known.insert((&call.tool, arguments.clone())) {
                times.clear();
            }
            let Some((_, text)) = self.answers.get(&call.id).filter(|_| *turn > from) else { continue };
            let (count, last) = times.entry((&call.tool, arguments, text)).or_default();
            if *last != *turn {
                (*count, *last) = (*count + 1, *turn);
            }
        }
        let most = times.into_iter().max_by_key(|(_, (count, _))| *count);
        most.filter(|(_, (count, _))| *count > 1).map(|((tool, ..), (count, _))| (tool.to_owned(), count))
    }

    /// What the model said last.
    pub(super) fn last_text(&self) -> String {
        let texts = self.said.iter().rev().filter_map(|said| match said {
            Said::Assistant(reply) if !reply.text.is_empty() => Some(reply.text.clone()),
            _ => None,
        });
        texts.into_iter().next().unwrap_or_default()
    }

    pub(super) fn result(&self, status: Status, reason: Option<String>) -> RunResult {
        let duration = match (self.started_at, self.last_at) {
            (Some(from), Some(to)) => to.as_millisecond() - from.as_millisecond(),
            _ => 0,
        };
        RunResult {
            run: self.run.clone(),
            status,
            reason,
            text: self.last_text(),
            output: self.output.clone(),
            tool_calls: self.calls.iter().map(|(_, report)| report.clone()).collect(),
            turns: self.turns,
            tokens: self.tokens,
            cost_usd: self.cost_usd,
            exposures: if self.holdout { Vec::new() } else { self.records.clone() },
            holdout: self.holdout,
            outcome: Outcome::Unknown,
            outcome_reason: "nobody says how it ended".to_owned(),
            episode: None,
            notes: Vec::new(),
            lessons: Vec::new(),
            duration_ms: u64::try_from(duration).unwrap_or(0),
        }
    }
}

fn sum(one: Option<u64>, other: Option<u64>) -> Option<u64> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.saturating_add(other)),
        (one, other) => one.or(other),
    }
}

//! The fold from a run to its episode, without a model.
//!
//! Importers feed it the messages of a session, the recorder feeds it a run's events; both get the same
//! episode: the first real request is the situation, the tools are listed in their order with the gist of
//! their arguments, and the outcome is read from evidence, with the evidence kept as the reason. What later
//! evidence says outweighs what earlier evidence said. Without evidence the outcome is unknown, and the
//! reason says so. The lesson is the first line that the agent itself marked as one.

mod evidence;
pub mod marked;
pub mod reason;
mod word;

use std::borrow::Cow;

use jiff::Timestamp;
use serde::Deserialize;

use super::claude_code::SUBAGENT;
use super::tolerant::Text;
use crate::record::{Episode, Message, MessageForm, Outcome, Role, ToolUse};
use evidence::Check;
use marked::Mark;
use reason::{
    AFTERWARDS, FAILED, FAILED_AFTERWARDS, FAILED_AND_CHANGED, FAILED_AT_FIRST, FAILED_AT_THE_END, INTERRUPTED,
    MORE_DONE, PASSED, PASSED_AND_CHANGED, PASSED_AND_SAYS_LITTLE, PASSED_AT_THE_END, PASSED_BUT, SAID, UNKNOWN,
};
use word::Word;

/// The situation is a request, not a pasted log: what is longer is cut.
const SITUATION_BYTES_MAX: usize = 8 * 1024;

/// Of what the person said later, the beginning of each turn is enough to tell what changed.
const TURN_BYTES_MAX: usize = 2 * 1024;

/// Turns of the person that are kept; a longer conversation keeps its first half and its last turns.
const TURNS_MAX: usize = 64;

/// Tool uses that are kept; a longer run keeps its first half and its last uses.
const TOOLS_MAX: usize = 400;

/// Errors that are kept, the first ones; later ones repeat them as a rule.
const ERRORS_MAX: usize = 32;

/// An error's beginning names what is wrong.
const ERROR_BYTES_MAX: usize = 400;

/// The gist of a call's arguments is a line.
const GIST_BYTES_MAX: usize = 200;

/// Calls whose end is awaited at the same time.
const OPEN_MAX: usize = 256;

/// Gathers a run, and draws its episode at the end. Its memory is bounded.
#[derive(Debug, Default)]
pub struct Fold {
    situation: Option<String>,
    /// A command without arguments, taken for the situation where nothing else was asked.
    command: Option<String>,
    turns: Vec<String>,
    tools: Vec<ToolUse>,
    errors: Vec<String>,
    lesson: Option<String>,
    /// Calls without an end yet: id, place among the tools, what they check.
    open: Vec<(String, usize, Option<Check>)>,
    tools_left_out: usize,
    started_at: Option<Timestamp>,
    ended_at: Option<Timestamp>,
    /// The latest evidence of each kind, with the step at which it came.
    checks: Vec<Checked>,
    word: Option<(usize, Word, String)>,
    interrupted_at: Option<usize>,
    /// When the person last said anything.
    asked_at: usize,
    /// Whether what the model said last was a question: thanks are an answer to it then, and no verdict.
    asked_back: bool,
    changed_at: Option<usize>,
    worked_at: Option<usize>,
    step: usize,
}

/// How one kind of check went so far.
#[derive(Debug)]
struct Checked {
    check: Check,
    at: usize,
    green: bool,
    /// Whether it was red at some time before.
    was_red: bool,
}

impl Fold {
    /// An empty fold.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next message of a session.
    pub fn message(&mut self, message: &Message, at: Timestamp) {
        self.at(at);
        let subagent = message.speaker.as_deref() == Some(SUBAGENT);
        match (message.role, message.form) {
            (_, MessageForm::Summary) => {}
            (Role::User, MessageForm::Scaffold) => {
                if evidence::is_interruption(&message.text) {
                    self.interrupted();
                } else if message.text.starts_with('/') {
                    self.command.get_or_insert_with(|| cut(&message.text, TURN_BYTES_MAX));
                }
            }
            (Role::System, MessageForm::Scaffold) => {
                if evidence::is_interruption(&message.text) {
                    self.interrupted();
                }
            }
            (_, MessageForm::Scaffold) => {}
            (Role::User, MessageForm::Statement) => {
                if !subagent {
                    self.request(&message.text);
                }
            }
            (Role::Assistant, MessageForm::Statement) => {
                self.step += 1;
                let said = message.text.trim_end();
                if !said.is_empty() {
                    self.worked_at = Some(self.step);
                    self.asked_back = said.ends_with(['?', '？']);
                }
                // An agent under it reports to it: what is to be learned, the one says who spoke with the person.
                if !subagent && self.lesson.is_none() {
                    let lesson = marked::lines(said).find(|(mark, _)| *mark == Mark::Lesson);
                    self.lesson = lesson.map(|(_, text)| text.to_owned());
                }
                for call in &message.tool_calls {
                    self.tool_started(&call.call, &call.tool, &call.arguments);
                }
            }
            (Role::Tool, MessageForm::Statement) => {
                if let Some(result) = &message.tool_result {
                    self.tool_finished(&result.call, result.ok, &message.text);
                }
            }
            (Role::System, MessageForm::Statement) => {}
        }
    }

    /// Time went on to `at`.
    pub fn at(&mut self, at: Timestamp) {
        self.started_at = Some(self.started_at.map_or(at, |known| known.min(at)));
        self.ended_at = Some(self.ended_at.map_or(at, |known| known.max(at)));
    }

    /// The person asked or said something. The first time, that is the situation.
    pub fn request(&mut self, text: &str) {
        let text = text.trim();
        if text.is_empty() {
            return;
        }
        self.step += 1;
        self.asked_at = self.step;
        if self.situation.is_none() {
            self.situation = Some(cut(text, SITUATION_BYTES_MAX));
            return;
        }
        let word = word::word_of(text, self.asked_back).filter(|word| *word != Word::Thanks || !self.asked_back);
        if let Some(word) = word {
            self.word = Some((self.step, word, cut(text, 120)));
        }
        push_ends(&mut self.turns, cut(text, TURN_BYTES_MAX), TURNS_MAX);
    }

    /// A tool was called. `arguments` are JSON, or text where they are not.
    pub fn tool_started(&mut self, call: &str, tool: &str, arguments: &str) {
        self.step += 1;
        self.worked_at = Some(self.step);
        let arguments = Arguments::read(arguments);
        if self.tools.len() >= TOOLS_MAX {
            // The middle of a long run says least.
            let middle = TOOLS_MAX / 2;
            self.tools.remove(middle);
            self.tools_left_out += 1;
            self.open.retain(|(_, place, _)| *place != middle);
            for (_, place, _) in &mut self.open {
                *place -= usize::from(*place > middle);
            }
        }
        if evidence::is_change(tool) {
            self.changed_at = Some(self.step);
        }
        let check = arguments.command.line().and_then(evidence::check_of);
        if arguments.other.contains("*** Begin Patch") {
            self.changed_at = Some(self.step);
        }
        if self.open.len() == OPEN_MAX {
            self.open.remove(0);
        }
        self.open.push((call.to_owned(), self.tools.len(), check));
        self.tools.push(ToolUse { tool: tool.to_owned(), gist: arguments.gist(), ok: None, error: None });
    }

    /// A tool answered. An answer without a call's id belongs to the oldest open call.
    pub fn tool_finished(&mut self, call: &str, ok: Option<bool>, text: &str) {
        self.step += 1;
        let found = self.open.iter().position(|(id, ..)| id == call);
        let found = if call.is_empty() { found.or(if self.open.is_empty() { None } else { Some(0) }) } else { found };
        let (place, check) = match found {
            Some(at) => {
                let (_, place, check) = self.open.remove(at);
                (Some(place), check)
            }
            None => (None, None),
        };
        let rejected = evidence::is_rejection(text);
        if rejected {
            self.interrupted();
        }
        let failed = ok == Some(false);
        let error = failed.then(|| cut(evidence::telling_line(text), ERROR_BYTES_MAX));
        if let Some(error) = &error
            && !rejected
            && self.errors.len() < ERRORS_MAX
            && !self.errors.contains(error)
        {
            self.errors.push(error.clone());
        }
        if let Some(tool) = place.and_then(|place| self.tools.get_mut(place)) {
            tool.ok = ok;
            tool.error = error;
        }
        if let Some(check) = check
            && !rejected
            && let Some(green) = evidence::is_green(check, ok, text)
        {
            match self.checks.iter_mut().find(|known| known.check == check) {
                Some(known) => {
                    known.was_red |= !known.green;
                    known.green = green;
                    known.at = self.step;
                }
                None => self.checks.push(Checked { check, at: self.step, green, was_red: false }),
            }
        }
    }

    /// The person stopped what was going on.
    pub fn interrupted(&mut self) {
        self.step += 1;
        self.interrupted_at = Some(self.step);
    }

    /// The episode, or `None` when nothing was asked or nothing was done.
    ///
    /// What a subagent did counts, but its task is no request of the person: a session of a subagent alone has no episode.
    pub fn finish(mut self) -> Option<Episode> {
        let situation = self.situation.take().or(self.command.take())?;
        self.worked_at?;
        let (outcome, reason) = self.outcome();
        let mut episode = Episode::new(situation);
        episode.user_turns = self.turns;
        episode.tools = self.tools;
        episode.outcome = outcome;
        episode.reason = Some(reason);
        episode.errors = self.errors;
        episode.lesson = self.lesson;
        if self.tools_left_out > 0 {
            let note = format!("{} further tool uses in the middle are left out", self.tools_left_out);
            episode.errors.push(note);
        }
        episode.duration_ms = match (self.started_at, self.ended_at) {
            (Some(start), Some(end)) => u64::try_from(end.as_millisecond() - start.as_millisecond()).ok(),
            _ => None,
        };
        Some(episode)
    }

    fn outcome(&self) -> (Outcome, String) {
        let worked_at = self.worked_at.unwrap_or(0);
        // Who goes on speaking after stopping it has not given it up.
        if self.interrupted_at.is_some_and(|at| at > worked_at && at > self.asked_at)
            && self.word.as_ref().is_none_or(|word| word.0 < worked_at)
        {
            return (Outcome::Failure, INTERRUPTED.to_owned());
        }
        // Tests say more than builds, and builds more than linters, when they are as recent.
        let last = self.checks.iter().max_by_key(|known| (known.check == Check::Tests, known.at));
        let red_later = |at: usize| self.checks.iter().find(|known| !known.green && known.at > at);
        let green_later = |at: usize| self.checks.iter().find(|known| known.green && known.at > at);
        if let Some((at, word, said)) = &self.word {
            match word {
                Word::Thanks => match red_later(*at) {
                    None => return (Outcome::Success, format!("{SAID}{said}")),
                    Some(check) => {
                        let what = check.check.name();
                        return (Outcome::Unknown, format!("{SAID}{said}{AFTERWARDS}{what}{FAILED}"));
                    }
                },
                Word::Correction => match green_later(*at) {
                    Some(check) if check.check == Check::Tests => {
                        let what = check.check.name();
                        return (Outcome::Success, format!("{SAID}{said}{AFTERWARDS}{what}{PASSED}"));
                    }
                    _ if worked_at > *at => {
                        return (Outcome::Unknown, format!("{SAID}{said}{MORE_DONE}"));
                    }
                    _ => return (Outcome::Failure, format!("{SAID}{said}")),
                },
            }
        }
        let Some(last) = last else {
            return (Outcome::Unknown, UNKNOWN.to_owned());
        };
        let what = last.check.name();
        let changed_later = self.changed_at.is_some_and(|at| at > last.at);
        if !last.green && changed_later {
            return (Outcome::Unknown, format!("{what}{FAILED_AND_CHANGED}"));
        }
        if !last.green {
            return (Outcome::Failure, format!("{what}{FAILED_AT_THE_END}"));
        }
        if let Some(red) = red_later(last.at) {
            return (Outcome::Unknown, format!("{what}{PASSED_BUT}{}{FAILED_AFTERWARDS}", red.check.name()));
        }
        if changed_later {
            return (Outcome::Unknown, format!("{what}{PASSED_AND_CHANGED}"));
        }
        match (last.check, last.was_red) {
            (_, true) => (Outcome::Success, format!("{what}{FAILED_AT_FIRST}")),
            (Check::Tests, false) => (Outcome::Success, format!("{what}{PASSED_AT_THE_END}")),
            (_, false) => (Outcome::Unknown, format!("{what}{PASSED_AND_SAYS_LITTLE}")),
        }
    }
}

/// The arguments of a call that tell what it was about.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Arguments<'a> {
    #[serde(borrow, alias = "cmd", alias = "script", alias = "commandLine")]
    command: Shell<'a>,
    #[serde(
        borrow,
        alias = "filePath",
        alias = "filename",
        alias = "notebook_path",
        alias = "target_file",
        alias = "absolute_path"
    )]
    file_path: Text<'a>,
    #[serde(borrow)]
    pattern: Text<'a>,
    #[serde(borrow, alias = "q")]
    query: Text<'a>,
    #[serde(borrow)]
    url: Text<'a>,
    #[serde(borrow)]
    path: Text<'a>,
    #[serde(borrow)]
    description: Text<'a>,
    #[serde(borrow)]
    prompt: Text<'a>,
    #[serde(borrow)]
    skill: Text<'a>,
    #[serde(skip)]
    other: Cow<'a, str>,
}

/// A command as one line, or as a program with its arguments: `["bash", "-lc", "make test"]`.
#[derive(Deserialize, Default)]
#[serde(untagged)]
enum Shell<'a> {
    #[serde(borrow)]
    Line(Cow<'a, str>),
    Words(Vec<String>),
    #[default]
    None,
    #[serde(deserialize_with = "serde::Deserialize::deserialize")]
    Other(serde::de::IgnoredAny),
}

impl Shell<'_> {
    fn line(&self) -> Option<&str> {
        match self {
            Shell::Line(line) => Some(line.as_ref()),
            // A shell's own words say nothing: what it runs is the last of them.
            Shell::Words(words) => words.last().map(String::as_str),
            _ => None,
        }
        .filter(|line| !line.is_empty())
    }
}

impl<'a> Arguments<'a> {
    fn read(text: &'a str) -> Self {
        let mut read: Self = if text.trim_start().starts_with('{') {
            serde_json::from_str(text).unwrap_or_default()
        } else {
            Self::default()
        };
        read.other = Cow::Borrowed(text);
        read
    }

    fn gist(&self) -> String {
        let known = [
            &self.file_path,
            &self.pattern,
            &self.query,
            &self.url,
            &self.path,
            &self.description,
            &self.prompt,
            &self.skill,
        ];
        let text = self.command.line().or_else(|| known.into_iter().find_map(Text::filled)).unwrap_or(&self.other);
        let head = &text[..text.floor_char_boundary(4 * GIST_BYTES_MAX)];
        let words: Vec<&str> = head.split_whitespace().collect();
        cut(&words.join(" "), GIST_BYTES_MAX)
    }
}

/// The text's beginning, with a sign where it was cut.
fn cut(text: &str, most: usize) -> String {
    if text.len() <= most {
        return text.to_owned();
    }
    format!("{}…", &text[..text.floor_char_boundary(most)])
}

/// Adds to a list that keeps its first half and its last items.
fn push_ends<T>(list: &mut Vec<T>, item: T, most: usize) {
    if list.len() >= most {
        list.remove(most / 2);
    }
    list.push(item);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(steps: &[(&str, &str)]) -> (Outcome, String) {
        let mut fold = Fold::new();
        fold.request("make the parser accept comments");
        for (kind, text) in steps {
            match *kind {
                "user" => fold.request(text),
                "edit" => {
                    fold.tool_started("e", "Edit", r#"{"file_path":"src/parser.rs"}"#);
                    fold.tool_finished("e", Some(true), "done");
                }
                "red" | "green" => {
                    fold.tool_started("c", "Bash", &format!(r#"{{"command":"{text}"}}"#));
                    let said = if *kind == "red" { "test result: FAILED. 1 passed; 1 failed" } else { "2 passed" };
                    fold.tool_finished("c", Some(*kind == "green"), said);
                }
                _ => fold.interrupted(),
            }
        }
        let episode = fold.finish().expect("something was done");
        (episode.outcome, episode.reason.expect("a reason"))
    }

    #[test]
    fn later_evidence_outweighs_earlier_evidence() {
        let cases: &[(&[(&str, &str)], Outcome)] = &[
            (&[("edit", "")], Outcome::Unknown),
            (&[("edit", ""), ("red", "cargo test")], Outcome::Failure),
            (&[("red", "cargo test"), ("edit", ""), ("green", "cargo test")], Outcome::Success),
            (&[("green", "cargo test"), ("edit", "")], Outcome::Unknown),
            (&[("red", "cargo test"), ("edit", "")], Outcome::Unknown),
            (&[("green", "npm run build")], Outcome::Unknown),
            (&[("edit", ""), ("user", "谢谢，可以了")], Outcome::Success),
            (&[("edit", ""), ("user", "thanks!"), ("red", "pytest")], Outcome::Unknown),
            (&[("edit", ""), ("user", "まだエラーが出ます")], Outcome::Failure),
            (&[("edit", ""), ("user", "it still fails"), ("edit", "")], Outcome::Unknown),
            (&[("edit", ""), ("user", "it still fails"), ("edit", ""), ("green", "go test ./...")], Outcome::Success),
            (&[("edit", ""), ("stop", "")], Outcome::Failure),
            (
                &[("edit", ""), ("stop", ""), ("user", "use the other file"), ("edit", ""), ("user", "perfect")],
                Outcome::Success,
            ),
        ];
        for (steps, expected) in cases {
            let (outcome, reason) = run(steps);
            assert_eq!(outcome, *expected, "{steps:?}: {reason}");
        }
    }

    #[test]
    fn nothing_done_is_no_episode() {
        let mut fold = Fold::new();
        fold.request("hello");
        assert_eq!(fold.finish(), None);
        let mut fold = Fold::new();
        fold.tool_started("a", "Bash", "{}");
        assert_eq!(fold.finish(), None);
    }

    #[test]
    fn a_long_run_keeps_its_ends_and_bounded_memory() {
        let mut fold = Fold::new();
        fold.request(&"x".repeat(100_000));
        for step in 0..2000 {
            fold.tool_started(&step.to_string(), "Bash", &format!(r#"{{"command":"step {step}"}}"#));
            fold.request(&format!("and then {step}"));
            fold.tool_finished(&step.to_string(), Some(false), &format!("error: {step}"));
        }
        let episode = fold.finish().expect("an episode");
        assert!(episode.situation.len() < 10_000);
        assert_eq!((episode.tools.len(), episode.user_turns.len()), (TOOLS_MAX, TURNS_MAX));
        assert_eq!(episode.tools[0].gist, "step 0");
        let last = episode.tools.last().expect("a tool");
        assert_eq!((last.gist.as_str(), last.error.as_deref()), ("step 1999", Some("error: 1999")));
    }
}

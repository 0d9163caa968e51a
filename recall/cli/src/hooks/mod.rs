//! What the hooks of coding tools ask and are answered.
//!
//! - [`event`]: the JSON that each tool writes, read into one [`event::Event`]
//! - [`reply`]: what each tool expects back
//! - [`profile`]: the few lines at a session's start
//! - [`capture`]: transcripts that wait to be imported, and the process that imports them
//! - [`errand`]: hooks that another process answers, which has everything open
//! - [`log`]: why a hook said nothing
//!
//! [`handle`] is a plain function without state of the process: the command line runs it under a deadline
//! (`commands/hook.rs`), a server may run it for `POST /v1/hooks/{tool}`.

pub(crate) mod capture;
pub(crate) mod errand;
pub(crate) mod event;
pub(crate) mod log;
mod profile;
mod reply;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use harness_experience::inject::is_held_out;
use harness_memory::redact::Redactor;
use harness_memory::scope::Readable;
use harness_memory::store::Exposure;
use harness_memory::{ContextQuery, Memory, ReadSet, RecordId, Scope, Store, marker};
use harness_recall::{Engine, LocalMemory};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::Value;

pub(crate) use self::capture::Capture;
pub(crate) use self::event::{Event, Moment, Tool};

/// How long a hook may take before it answers nothing. The tools wait for a prompt's hook, and so does the person.
pub(crate) const DEADLINE: Duration = Duration::from_millis(800);

/// The longest JSON of one call that is read: a prompt with large pastes. Beyond it the hook answers nothing.
pub(crate) const INPUT_BYTES_MAX: usize = 8 << 20;

/// The start of a prompt that is asked for, in bytes: what somebody wants stands there, what they pasted below it.
const PROMPT_BYTES_ASKED: usize = 4 * 1024;

/// How many tokens the block for a prompt may take when the settings do not say.
pub(crate) const PROMPT_TOKENS: usize = 1_500;

/// What [`handle`] needs to know of the world.
pub(crate) struct Env<'a> {
    /// Opens the home's engine. Called only for moments that ask it something.
    pub(crate) engine: &'a dyn Fn() -> anyhow::Result<Arc<Engine>>,
    /// The person's scope.
    pub(crate) user: Scope,
    /// The scope of the project in a folder.
    pub(crate) scope_of: &'a dyn Fn(&Path) -> Scope,
    /// Replaces secrets in what is noted of a prompt.
    pub(crate) redactor: &'a Redactor,
    /// The present.
    pub(crate) now: Timestamp,
    /// How many tokens the block for a prompt may take.
    pub(crate) prompt_tokens: usize,
}

/// What came of one call.
#[derive(Debug, Default)]
pub(crate) struct HookReply {
    /// The JSON for the tool; `None` when there is nothing to say, and then nothing is written.
    pub(crate) output: Option<Value>,
    /// What was given to the run, to be noted once the answer is out.
    pub(crate) exposure: Option<Exposure>,
    /// The transcript that has new lines, to be imported by somebody who has the time.
    pub(crate) capture: Option<Capture>,
    /// Why there is no answer where one was asked for, for the log. Never holds what was said.
    pub(crate) problem: Option<String>,
}

impl HookReply {
    fn silent() -> HookReply {
        HookReply::default()
    }

    /// A reply that says nothing to the tool, and to the log why.
    pub(crate) fn failed(problem: impl Into<String>) -> HookReply {
        HookReply { problem: Some(problem.into()), ..HookReply::default() }
    }
}

/// Answers one call of a tool's hook. Never fails and never stops a tool: what goes wrong is in the reply's `problem`.
pub(crate) fn handle(tool: Tool, input: &[u8], env: &Env) -> HookReply {
    let event = match Event::parse(tool, input) {
        Ok(event) => event,
        Err(problem) => return HookReply::failed(problem),
    };
    let answered = match event.moment {
        Moment::Start => start(&event, env),
        Moment::Prompt => prompt(&event, env),
        Moment::Pause => Ok(HookReply { capture: Some(Capture::of(&event)), ..HookReply::default() }),
        Moment::Other => Ok(HookReply::silent()),
    };
    answered.unwrap_or_else(|error| HookReply::failed(format!("{error:#}")))
}

/// Notes in the store what was given to a run.
pub(crate) fn note_exposure(engine: &Engine, exposure: Exposure) -> anyhow::Result<()> {
    engine.store().expose(exposure).context("cannot note what was injected")
}

fn start(event: &Event, env: &Env) -> anyhow::Result<HookReply> {
    let engine = (env.engine)()?;
    let Some(profile) = profile::of(&engine, &env.reads(event))? else { return Ok(HookReply::silent()) };
    env.injected(&engine, event, &profile.text, profile.records, "session start")
}

fn prompt(event: &Event, env: &Env) -> anyhow::Result<HookReply> {
    let Some(prompt) = event.said() else { return Ok(HookReply::silent()) };
    // What recall had put there is no question.
    let stripped = marker::strip(prompt);
    let asked = head(stripped.text.trim(), PROMPT_BYTES_ASKED);
    if !is_question(asked) {
        return Ok(HookReply::silent());
    }
    let engine = (env.engine)()?;
    let memory = LocalMemory::new(engine.clone(), env.reads(event), env.user.clone());
    let runtime = tokio::runtime::Builder::new_current_thread().build().context("cannot start the runtime")?;
    // What the session said itself stands above its prompt already.
    let query = ContextQuery {
        without_session: event.session.clone(),
        time_zone: TimeZone::system(),
        ..ContextQuery::new(asked, env.prompt_tokens)
    };
    let context = runtime.block_on(async { memory.context(query).await }).context("cannot recall for the prompt")?;
    if context.text.is_empty() {
        return Ok(HookReply::silent());
    }
    env.injected(&engine, event, &context.text, context.records, asked)
}

impl Env<'_> {
    /// What a hook reads: the person's own notes, and the project that the tool works in.
    fn reads(&self, event: &Event) -> ReadSet {
        let own = Readable::Exactly(self.user.clone());
        match &event.folder {
            Some(folder) => ReadSet::new([own, Readable::Within((self.scope_of)(folder))]),
            None => ReadSet::new([own]),
        }
    }

    /// What was found for this event, said to the tool, or held back where its session belongs to the holdout. Either is
    /// noted, so that sessions with and without can be compared.
    fn injected(
        &self,
        engine: &Engine,
        event: &Event,
        text: &str,
        records: Vec<RecordId>,
        query: &str,
    ) -> anyhow::Result<HookReply> {
        let query = self.redactor.redact(head(query, PROMPT_BYTES_ASKED)).into_text();
        let run = event.session.clone().unwrap_or_else(|| event.tool.name().to_owned());
        let share = engine.store().holdout().context("cannot read the holdout")?;
        let holdout = is_held_out(&run, share);
        let exposure = Exposure { at: self.now, holdout, ..Exposure::new(run, query, records) };
        let output = if holdout { None } else { reply::context(event, text) };
        Ok(HookReply { output, exposure: Some(exposure), ..HookReply::default() })
    }
}

/// Whether there is enough in a prompt to look for: more than `yes`, `ok` or a lone sign.
fn is_question(prompt: &str) -> bool {
    let letters = prompt.chars().filter(|c| c.is_alphanumeric());
    let weight: usize = letters.take(8).map(|c| if c.is_ascii() { 1 } else { 3 }).sum();
    weight >= 5
}

/// The start of a text, at most `most` bytes, cut between two characters.
fn head(text: &str, most: usize) -> &str {
    let mut end = text.len().min(most);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use harness_memory::{Message, Note, Origin, Record, Role, Store};
    use serde_json::json;

    use super::*;

    /// A home with one note, and what a tool is answered there.
    struct Ground {
        _folder: tempfile::TempDir,
        engine: Arc<Engine>,
    }

    impl Ground {
        fn new(notes: &[&str]) -> Ground {
            let folder = tempfile::tempdir().unwrap();
            let engine = Arc::new(Engine::open(folder.path()).unwrap());
            for note in notes {
                let record = Record::new(Scope::parse("ana").unwrap(), "test", Origin::User, Note::new(*note));
                engine.store().put(vec![engine.intake().admit_one(record).unwrap()]).unwrap();
            }
            Ground { _folder: folder, engine }
        }

        fn ask(&self, tool: Tool, input: &Value) -> HookReply {
            self.ask_bytes(tool, input.to_string().as_bytes())
        }

        fn ask_bytes(&self, tool: Tool, input: &[u8]) -> HookReply {
            let engine = || Ok(self.engine.clone());
            let scope_of = |_: &Path| Scope::parse("ana/shop-12345678").unwrap();
            let user = Scope::parse("ana").unwrap();
            handle(tool, input, &env(&engine, &scope_of, user))
        }
    }

    fn env<'a>(
        engine: &'a dyn Fn() -> anyhow::Result<Arc<Engine>>,
        scope_of: &'a dyn Fn(&Path) -> Scope,
        user: Scope,
    ) -> Env<'a> {
        static REDACTOR: std::sync::LazyLock<Redactor> = std::sync::LazyLock::new(Redactor::default);
        Env { engine, user, scope_of, redactor: &REDACTOR, now: Timestamp::now(), prompt_tokens: PROMPT_TOKENS }
    }

    fn prompt(event: &str, text: &str) -> Value {
        json!({"session_id": "s1", "cwd": "/srv/shop", "hook_event_name": event, "prompt": text,
               "transcript_path": "/tmp/none.jsonl"})
    }

    #[test]
    fn a_session_in_the_holdout_is_given_nothing_and_counted() {
        let ground = Ground::new(&["the staging deploy needs the VPN"]);
        ground.engine.store().set_holdout(0.5).unwrap();
        let mut held = 0;
        for session in 0..40 {
            let mut input = prompt("UserPromptSubmit", "how do I run the staging deploy?");
            input["session_id"] = format!("session-{session}").into();
            let reply = ground.ask(Tool::ClaudeCode, &input);
            let exposure = reply.exposure.unwrap();
            assert_eq!(exposure.records.len(), 1);
            assert_eq!(reply.output.is_none(), exposure.holdout);
            held += usize::from(exposure.holdout);
        }
        assert!((8..=32).contains(&held), "{held} of 40");
    }

    #[test]
    fn each_tool_is_answered_in_its_own_form() {
        let ground = Ground::new(&["the staging deploy needs the VPN"]);
        let question = "how do I run the staging deploy?";
        for (tool, name) in
            [(Tool::ClaudeCode, "UserPromptSubmit"), (Tool::Codex, "UserPromptSubmit"), (Tool::Gemini, "BeforeAgent")]
        {
            let reply = ground.ask(tool, &prompt(name, question));
            let output = reply.output.unwrap();
            let said = &output["hookSpecificOutput"];
            assert_eq!(said["hookEventName"], name);
            assert!(said["additionalContext"].as_str().unwrap().contains("needs the VPN"), "{output}");
            // Codex refuses fields that it does not know.
            assert_eq!((output.as_object().unwrap().len(), said.as_object().unwrap().len()), (1, 2));
            let exposure = reply.exposure.unwrap();
            assert_eq!((exposure.run.as_str(), exposure.records.len()), ("s1", 1));
        }
        let input = json!({"conversation_id": "c1", "hook_event_name": "beforeSubmitPrompt", "prompt": question,
                           "workspace_roots": ["/srv/shop"]});
        let output = ground.ask(Tool::Cursor, &input).output.unwrap();
        assert_eq!(output["continue"], true);
        assert!(output["additional_context"].as_str().unwrap().contains("needs the VPN"));
    }

    #[test]
    fn what_is_not_asked_by_the_person_is_not_answered() {
        let ground = Ground::new(&["the staging deploy needs the VPN"]);
        for text in [
            "<task-notification>staging deploy finished</task-notification>",
            "<command-name>/staging</command-name>",
            "/clear",
            "ok",
            "   ",
        ] {
            let reply = ground.ask(Tool::ClaudeCode, &prompt("UserPromptSubmit", text));
            assert!(reply.output.is_none() && reply.problem.is_none(), "{text}: {reply:?}");
        }
        let mut notified = prompt("UserPromptSubmit", "the staging deploy has finished");
        notified["source"] = json!("task-notification");
        assert!(ground.ask(Tool::ClaudeCode, &notified).output.is_none());
        notified["source"] = json!("sdk");
        assert!(ground.ask(Tool::ClaudeCode, &notified).output.is_some());
    }

    #[test]
    fn an_answer_that_comes_back_in_the_prompt_is_not_asked_for_again() {
        let ground = Ground::new(&["the staging deploy needs the VPN"]);
        let first = ground.ask(Tool::ClaudeCode, &prompt("UserPromptSubmit", "staging deploy?")).output.unwrap();
        let block = first["hookSpecificOutput"]["additionalContext"].as_str().unwrap();
        let reply = ground.ask(Tool::ClaudeCode, &prompt("UserPromptSubmit", &format!("{block}\nok")));
        assert!(reply.output.is_none());
    }

    #[test]
    fn a_prompt_is_not_answered_with_what_its_own_session_said() {
        let ground = Ground::new(&[]);
        let message = Message::new(Role::User, 0, "the staging deploy needs the VPN");
        let mut said = Record::new(Scope::parse("ana").unwrap(), "claude-code", Origin::User, message);
        said.session = Some("s1".to_owned());
        let intake = ground.engine.intake();
        ground.engine.store().put(vec![intake.admit_one(said).unwrap()]).unwrap();
        let mut asked = prompt("UserPromptSubmit", "how do I run the staging deploy?");
        assert!(ground.ask(Tool::ClaudeCode, &asked).output.is_none(), "it stands above the prompt already");
        asked["session_id"] = json!("s2");
        let output = ground.ask(Tool::ClaudeCode, &asked).output.unwrap().to_string();
        assert!(output.contains("needs the VPN"), "another session is told: {output}");
    }

    #[test]
    fn a_stop_hands_the_transcript_on_and_opens_nothing() {
        let engine = || anyhow::bail!("must not be opened");
        let scope_of = |_: &Path| Scope::root();
        let env = env(&engine, &scope_of, Scope::root());
        for (tool, name) in [
            (Tool::ClaudeCode, "Stop"),
            (Tool::ClaudeCode, "PreCompact"),
            (Tool::ClaudeCode, "SessionEnd"),
            (Tool::Codex, "Stop"),
            (Tool::Gemini, "AfterAgent"),
            (Tool::Gemini, "PreCompress"),
            (Tool::Cursor, "stop"),
            (Tool::Cursor, "preCompact"),
        ] {
            let input = json!({"session_id": "s", "hook_event_name": name, "transcript_path": "/t/x.jsonl"});
            let reply = handle(tool, input.to_string().as_bytes(), &env);
            assert!(reply.output.is_none() && reply.problem.is_none(), "{name}: {reply:?}");
            assert_eq!(reply.capture.unwrap().path.unwrap(), Path::new("/t/x.jsonl"));
        }
    }

    #[test]
    fn broken_input_is_answered_with_silence_and_a_reason() {
        let ground = Ground::new(&[]);
        for input in [&b"{"[..], b"[]", b"", b"\xff\xfe", b"{\"prompt\": 5}", b"null", b"{\"hook_event_name\": 3}"] {
            let reply = ground.ask_bytes(Tool::Codex, input);
            assert!(reply.output.is_none() && reply.capture.is_none());
            assert!(reply.problem.is_some(), "{:?}", String::from_utf8_lossy(input));
        }
        let deep = "[".repeat(100_000);
        assert!(ground.ask_bytes(Tool::Gemini, deep.as_bytes()).problem.is_some());
    }

    #[test]
    fn a_session_starts_with_what_was_pinned_and_silently_without() {
        let ground = Ground::new(&["a note that nobody pinned"]);
        let input = json!({"session_id": "s1", "cwd": "/srv/shop", "hook_event_name": "SessionStart"});
        assert!(ground.ask(Tool::ClaudeCode, &input).output.is_none());
        let mut record =
            Record::new(Scope::parse("ana").unwrap(), "test", Origin::User, Note::new("run `make check` first"));
        record.pinned = true;
        ground.engine.store().put(vec![ground.engine.intake().admit_one(record).unwrap()]).unwrap();
        let output = ground.ask(Tool::ClaudeCode, &input).output.unwrap();
        let text = output["hookSpecificOutput"]["additionalContext"].as_str().unwrap();
        assert!(text.contains("run `make check` first") && !text.contains("nobody pinned"), "{text}");
        assert_eq!(marker::strip(text).dropped, 1);
        let cursor = json!({"conversation_id": "c", "hook_event_name": "sessionStart", "workspace_roots": ["/srv"]});
        assert!(ground.ask(Tool::Cursor, &cursor).output.unwrap()["additional_context"].is_string());
    }
}

//! `harness hook`.

use std::io::{Read, Write};
use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::ExitCode;
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;
use harness_memory::http::Client;
use harness_recall::{Engine, Sent};
use jiff::Timestamp;
use serde_json::Value;

use crate::app::{self, App};
use crate::args::Globals;
use crate::exclusions::Exclusions;
use crate::follower;
use crate::hooks::{self, DEADLINE, Env, HookReply, INPUT_BYTES_MAX, Tool, capture, errand, log};
use crate::output::Exit;
use crate::project::Project;
use crate::serve::discovery::ServeFile;
use crate::serve::{discovery, tokens};

/// How long the work after the answer may take: noting what was injected. With [`DEADLINE`] it stays below a second.
const AFTERWARDS: Duration = Duration::from_millis(120);

/// The variable that gives another deadline, in milliseconds: for a slow machine, or one that is very busy.
const DEADLINE_VARIABLE: &str = "HARNESS_HOOK_MS";

/// The longest deadline that can be set: tools stop a hook themselves after a minute at most.
const DEADLINE_MAX: Duration = Duration::from_secs(60);

/// Answer the hook of a coding tool: its JSON on stdin, ours on stdout
///
/// At a session's start a few lines about the project, before a prompt what is known about it, and at each stop the
/// transcript's new lines are imported by a process of their own. Nothing is written when there is nothing to say.
/// It always ends with exit code 0 and within a second (HARNESS_HOOK_MS=800 is how long it may think before it says
/// nothing); why it said nothing is in HOME/log/hooks.log.
/// Where a server of the home runs (`harness service install`), it is asked, which is quicker.
/// `harness install TOOL` sets the hooks up.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  harness hook codex < event.json    what a tool does; `harness install codex` sets it up
  echo '{\"hook_event_name\":\"UserPromptSubmit\",\"session_id\":\"s\",\"cwd\":\"/src/shop\",\"prompt\":\"how do we deploy?\"}' \\
    | harness hook claude-code       what the tool would be told

Settings (config.toml of the home):
  [hooks]
  tokens = 1500                      how much may be put in front of a prompt; 0 for nothing

Exit codes: always 0.")]
pub(crate) struct Args {
    /// claude-code, codex, gemini, cursor or opencode
    #[arg(value_name = "TOOL")]
    tool: String,
}

/// Whether this process was started as `harness … hook …`.
pub(crate) fn is_called() -> bool {
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--home" | "--color" => drop(arguments.next()),
            flag if flag.starts_with('-') => {}
            command => return command == "hook",
        }
    }
    false
}

/// `main` runs hooks on a path of their own; this says so where a command must have a `run`.
pub(crate) fn run_as_command(_: &Args) -> anyhow::Result<Exit> {
    Ok(Exit::Found)
}

/// What the worker tells: the answer first, then that all is done.
enum Told {
    Answer(Option<Value>),
    /// With the reason, when something went wrong.
    Done(Option<String>),
}

/// Answers one call. The work is done on a thread of its own, so that neither a locked store nor a panic nor an input
/// that never ends keeps the tool waiting.
pub(crate) fn run(args: Args, globals: Globals) -> ExitCode {
    let begin = Instant::now();
    // A panic is caught and logged; its text on stderr would only alarm.
    std::panic::set_hook(Box::new(|_| {}));
    let home = app::home_of(&globals).ok();
    let (tell, told) = mpsc::channel();
    let name = args.tool.clone();
    thread::spawn(move || {
        let worked = catch_unwind(AssertUnwindSafe(|| work(&args.tool, globals, &tell)));
        let problem = match worked {
            Ok(Ok(problem)) => problem,
            Ok(Err(error)) => Some(format!("{error:#}")),
            Err(panic) => Some(format!("a bug: {}", panic_text(panic.as_ref()))),
        };
        let _ = tell.send(Told::Done(problem));
    });
    let mut problem = None;
    let deadline = deadline();
    let mut until = deadline;
    loop {
        match told.recv_timeout(until.saturating_sub(begin.elapsed())) {
            Ok(Told::Answer(answer)) => {
                if let Some(error) = answer.and_then(|answer| print(&answer).err()) {
                    problem = Some(format!("cannot write the answer: {error}"));
                }
                until = deadline + AFTERWARDS;
            }
            Ok(Told::Done(found)) => {
                problem = found.or(problem);
                break;
            }
            Err(_) => {
                let ms = begin.elapsed().as_millis();
                problem = Some(format!("not done within {ms} ms: is the store locked, or the machine busy?"));
                break;
            }
        }
    }
    if let (Some(problem), Some(home)) = (&problem, &home) {
        let ms = begin.elapsed().as_millis() as u64;
        log::add(home, &log::Line { at: Timestamp::now(), tool: &name, ms, problem });
    }
    // Ends the worker, too, wherever it hangs.
    std::process::exit(0)
}

/// How long the tool is kept waiting at most.
fn deadline() -> Duration {
    let said = std::env::var(DEADLINE_VARIABLE).ok().and_then(|text| text.trim().parse().ok());
    said.map_or(DEADLINE, Duration::from_millis).min(DEADLINE_MAX)
}

fn print(answer: &Value) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{answer}")?;
    out.flush()
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("a panic")
}

/// Reads, answers, and does what is left to do; answers what went wrong without keeping it from going on.
fn work(tool: &str, globals: Globals, tell: &Sender<Told>) -> anyhow::Result<Option<String>> {
    let tool = Tool::named(tool).with_context(|| {
        let known: Vec<&str> = Tool::ALL.iter().map(|tool| tool.name()).collect();
        format!("{tool:?} is none of: {}", known.join(", "))
    })?;
    let mut input = Vec::new();
    std::io::stdin()
        .lock()
        .take(INPUT_BYTES_MAX as u64 + 1)
        .read_to_end(&mut input)
        .context("cannot read the input")?;
    anyhow::ensure!(input.len() <= INPUT_BYTES_MAX, "the input is longer than {INPUT_BYTES_MAX} bytes");
    let app = App::new(globals)?;
    // Never closed: the process ends with its work. What was written is committed, and to close the last connection
    // would copy the log into the database while the tool waits.
    let opened: ManuallyDrop<OnceLock<Arc<Engine>>> = ManuallyDrop::default();
    let engine = || open(&app, &opened);
    let scope_of = |folder: &Path| app.scope_of(folder);
    let (user, prompt_tokens) = (app.user(), app.settings.hook_tokens);
    if let Some(answer) = ask_others(&app, tool, &input) {
        let _ = tell.send(Told::Answer(answer));
        return Ok(None);
    }
    let reply = if is_excluded(&app, tool, &input)? || app.home_is_missing() && !is_pause(tool, &input) {
        HookReply::default()
    } else {
        let redactor = &app.settings.redactor;
        let env = Env { engine: &engine, user, scope_of: &scope_of, redactor, now: app.now, prompt_tokens };
        hooks::handle(tool, &input, &env)
    };
    let HookReply { output, exposure, capture, problem } = reply;
    let answered = output.is_some();
    let _ = tell.send(Told::Answer(output));
    let mut problem = problem;
    if let Some(exposure) = exposure.filter(|exposure| answered || exposure.holdout) {
        let noted = engine().and_then(|engine| hooks::note_exposure(&engine, exposure));
        problem = noted.err().map(|error| format!("{error:#}")).or(problem);
    }
    // The next prompt comes within minutes: by then somebody holds the model.
    if let Some(engine) = opened.get().filter(|engine| engine.wants_a_holder() && engine.follower().is_none()) {
        follower::start(engine.home());
    }
    if let Some(capture) = capture {
        let handed_on = capture.leave(&app.home).and_then(|()| capture::start(&app.home));
        problem = handed_on.err().map(|error| format!("{error:#}")).or(problem);
    }
    Ok(problem)
}

/// What another process says at a session's start and before a prompt: the one that follows this home, or its server,
/// has the indexes open and the model loaded. `None` where none of the same user runs that answers soon: then this
/// process does the same work itself.
fn ask_others(app: &App, tool: Tool, input: &[u8]) -> Option<Option<Value>> {
    let event = hooks::Event::parse(tool, input).ok()?;
    if !matches!(event.moment, hooks::Moment::Start | hooks::Moment::Prompt) {
        return None;
    }
    let body: Value = serde_json::from_slice(input).ok()?;
    let patience = deadline() / 2;
    let answer = match errand::send(&app.home, &app.user(), tool, &body, patience) {
        Sent::Done(answer) => answer,
        // One that read other settings, or is slow: the server of the same home would be no better.
        Sent::NotDone => return None,
        Sent::Nobody => ask_server(app, discovery::live(&app.home)?, tool, &body, patience)?,
    };
    let says_nothing = answer.is_null() || answer.as_object().is_some_and(|members| members.is_empty());
    Some((!says_nothing).then_some(answer))
}

fn ask_server(app: &App, server: ServeFile, tool: Tool, body: &Value, patience: Duration) -> Option<Value> {
    if server.api != crate::serve::API_VERSION || server.user != app.user().to_string() {
        return None;
    }
    let client = Client::new(&server.url, tokens::own_token_if_any(&app.home)?).ok()?;
    let path = format!("/v1/hooks/{}", tool.name());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
    let asked = runtime.block_on(async { tokio::time::timeout(patience, client.post(&path, body)).await });
    asked.ok()?.ok()
}

/// Whether the person wants nothing of this session or folder remembered; then the hook does nothing at all.
fn is_excluded(app: &App, tool: Tool, input: &[u8]) -> anyhow::Result<bool> {
    let Ok(event) = hooks::Event::parse(tool, input) else { return Ok(false) };
    let exclusions = Exclusions::read(&app.home)?;
    let folder = event.folder.as_deref();
    let project = folder.map(|folder| Project::of(folder).name);
    Ok(exclusions.excludes_work(app.now, folder, project.as_deref(), event.session.as_deref()).is_some())
}

/// Nothing is known in a home that is not there; a pause makes it.
fn is_pause(tool: Tool, input: &[u8]) -> bool {
    hooks::Event::parse(tool, input).map_or(true, |event| event.moment == hooks::Moment::Pause)
}

fn open(app: &App, opened: &OnceLock<Arc<Engine>>) -> anyhow::Result<Arc<Engine>> {
    if let Some(engine) = opened.get() {
        return Ok(engine.clone());
    }
    let home = &app.home;
    let engine = Engine::open(home).with_context(|| format!("cannot open the home {}", home.display()))?;
    Ok(opened.get_or_init(|| Arc::new(engine.with_intake(app.intake()))).clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_of_a_panic_is_told() {
        let panic = catch_unwind(|| panic!("number {}", 5)).unwrap_err();
        assert_eq!(panic_text(panic.as_ref()), "number 5");
    }
}

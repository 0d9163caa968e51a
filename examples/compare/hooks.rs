//! How long a coding tool waits for a hook: `cargo run --release -p harness-examples --bin measure_hooks [RECORDS]
//! [CALLS] [HOME]`, after `cargo build --release`.
//!
//! Each event of each tool is sent to the real program many times: with nothing running, beside a follower, and beside
//! a server. What is measured is the time from starting the process until it has ended, which is how long the tool, and
//! at a prompt the person, waits. HOME is a home that has a model (`harness setup`); without one a home is made.

use std::error::Error;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use harness_examples::generate::{Maker, claude_code};
use harness_examples::measure::percentiles;
use serde_json::{Value, json};

/// The folder that the generated sessions were held in: what they say is what a prompt there may be told.
const FOLDER: &str = "/home/ana/webshop";

/// How long a follower or a server may take until it answers.
const START: Duration = Duration::from_secs(30);

/// Each tool, the event of a session's start, that of a prompt, and those after which the transcript is imported.
const TOOLS: [(&str, &str, &str, &[&str]); 5] = [
    ("claude-code", "SessionStart", "UserPromptSubmit", &["Stop", "SubagentStop", "PreCompact", "SessionEnd"]),
    ("codex", "SessionStart", "UserPromptSubmit", &["Stop", "PreCompact"]),
    ("gemini", "SessionStart", "BeforeAgent", &["AfterAgent", "PreCompress", "SessionEnd"]),
    ("cursor", "sessionStart", "beforeSubmitPrompt", &["stop", "preCompact", "sessionEnd"]),
    ("opencode", "SessionStart", "UserPromptSubmit", &["Stop", "PreCompact"]),
];

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize, default: usize| arguments.get(at).map_or(Ok(default), |text| text.parse());
    let (records, calls) = (number(0, 100_000)?, number(1, 60)?);
    let folder = tempfile::tempdir()?;
    let home = arguments.get(2).map_or_else(|| folder.path().join("home"), PathBuf::from);
    let bench = Bench { program: program()?, folder: folder.path().to_owned(), home };
    bench.fill(records)?;
    for beside in ["nothing", "a follower", "a server"] {
        let running = bench.start(beside)?;
        println!("{records} records, beside {beside}, {calls} calls of each");
        let mut prompts = Maker::new(11);
        for (tool, start, prompt, pauses) in TOOLS {
            for event in [start, prompt].iter().chain(pauses) {
                bench.measure(tool, event, calls, &mut prompts)?;
            }
        }
        if let Some(mut child) = running {
            child.kill()?;
            child.wait()?;
        }
    }
    Ok(())
}

/// The program of the same build.
fn program() -> Result<PathBuf, Box<dyn Error>> {
    let beside = std::env::current_exe()?.with_file_name("harness");
    if beside.is_file() { Ok(beside) } else { Err("build the program first: cargo build --release".into()) }
}

struct Bench {
    program: PathBuf,
    folder: PathBuf,
    home: PathBuf,
}

impl Bench {
    /// The program on this home; whatever else it might find on this machine is out of its sight.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.arg("--home").arg(&self.home).args(arguments).current_dir(&self.folder).env("HOME", &self.folder);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    /// Sessions of this many messages, a note that is pinned, and a transcript to import at a stop.
    fn fill(&self, records: usize) -> Result<(), Box<dyn Error>> {
        for (name, messages, seed) in [("sessions.jsonl", records, 1), ("running.jsonl", 40, 2)] {
            let mut file = BufWriter::new(File::create(self.folder.join(name))?);
            claude_code(&mut file, messages, seed)?;
            file.flush()?;
        }
        let import = ["session", "import", "sessions.jsonl"];
        let note = ["remember", "run the checks before each commit, the deploy of the shop needs them"];
        for arguments in [&import[..], &note] {
            let done = self.command(arguments).stderr(Stdio::inherit()).status()?;
            if !done.success() {
                return Err(format!("harness {} failed", arguments.join(" ")).into());
            }
        }
        Ok(())
    }

    /// Starts what is to run beside the hooks, and waits until it does.
    fn start(&self, beside: &str) -> Result<Option<Child>, Box<dyn Error>> {
        let arguments: &[&str] = match beside {
            "a follower" => &["index", "follow", "--idle", "600"],
            "a server" => &["serve", "--addr", "127.0.0.1:0"],
            _ => return Ok(None),
        };
        let mut child = self.command(arguments).spawn()?;
        let begin = Instant::now();
        while begin.elapsed() < START {
            // A follower that the hooks before have started may be there still: then this one leaves at once.
            if child.try_wait()?.is_some() {
                child = self.command(arguments).spawn()?;
            }
            let status = self.command(&["--json", "status"]).stdout(Stdio::piped()).output()?;
            let status: Value = serde_json::from_slice(&status.stdout).unwrap_or_default();
            if !status["follower"].is_null() {
                return Ok(Some(child));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Err(format!("{beside} did not start").into())
    }

    fn measure(&self, tool: &str, event: &str, calls: usize, prompts: &mut Maker) -> Result<(), Box<dyn Error>> {
        let transcript = self.folder.join("running.jsonl");
        let (mut times, mut answered) = (Vec::with_capacity(calls), 0);
        for call in 0..calls {
            let input = json!({
                "session_id": format!("measured-{call}"), "conversation_id": format!("measured-{call}"),
                "hook_event_name": event, "cwd": FOLDER, "workspace_roots": [FOLDER],
                "transcript_path": transcript, "prompt": prompts.question(),
            });
            let begin = Instant::now();
            let output = self.call(tool, &input, &self.folder)?;
            times.push(begin.elapsed().as_secs_f64() * 1e3);
            answered += usize::from(!output.is_empty());
        }
        let (p50, p95) = percentiles(&mut times);
        let most = times.last().copied().unwrap_or_default();
        println!(
            "  {tool:<12} {event:<19} p50 {p50:>6.1} ms  p95 {p95:>6.1} ms  max {most:>6.1} ms  answered {answered}"
        );
        Ok(())
    }

    fn call(&self, tool: &str, input: &Value, folder: &Path) -> Result<Vec<u8>, Box<dyn Error>> {
        let mut command = self.command(&["hook", tool]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).current_dir(folder).spawn()?;
        write!(child.stdin.take().ok_or("no pipe")?, "{input}")?;
        let output = child.wait_with_output()?;
        if output.status.success() {
            Ok(output.stdout)
        } else {
            Err(format!("a hook ended with {}", output.status).into())
        }
    }
}

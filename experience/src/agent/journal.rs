//! The journal of a run: every step, appended before the next one begins, and the lease on it.
//!
//! A line is complete or it is not there: what a killed run was writing last is left out when it is read. Secrets are
//! replaced before a line reaches the disk. Of a run that has come to its end only that is kept: what it came to is in the
//! store, where it can be forgotten.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Seek, Write};
use std::path::{Component, Path, PathBuf};
use std::time::SystemTime;

use harness_memory::RecordId;
use harness_memory::redact::Redactor;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::model::Reply;

/// One step of a run.
#[allow(clippy::large_enum_variant, reason = "one step of a run is large, its first; steps are not held in numbers")]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum Step {
    /// The run began.
    Started {
        /// The run.
        run: String,
        /// What was asked.
        task: String,
        /// With which model, as it was named.
        model: String,
        /// In which folder.
        workspace: PathBuf,
        /// The frame that the model is given.
        system: String,
        /// The first request, with what was injected.
        request: String,
        /// What was injected, or held back.
        records: Vec<RecordId>,
        /// Whether it was held back.
        holdout: bool,
        /// The schema that the output has to fit.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        schema: Option<Value>,
        /// What the caller needs to know when it takes the run up: as it gave it.
        #[serde(default, skip_serializing_if = "Value::is_null")]
        options: Value,
    },
    /// The model answered.
    Replied {
        /// What.
        reply: Reply,
    },
    /// The loop said something to the model.
    Told {
        /// What.
        text: String,
    },
    /// A call is about to be done.
    CallStarted {
        /// Its id.
        call: String,
    },
    /// A call was done, or refused.
    CallFinished {
        /// Its id.
        call: String,
        /// Whether it succeeded.
        ok: bool,
        /// What it said.
        text: String,
        /// How long it took.
        duration_ms: u64,
    },
    /// A killed run was taken up again.
    Resumed,
    /// The run came to its end.
    Finished {
        /// How, in a word.
        status: String,
        /// Why.
        reason: String,
    },
}

/// A step with its time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// When.
    pub at: Timestamp,
    /// What.
    #[serde(flatten)]
    pub step: Step,
}

/// A run's journal, leased to this process as long as it is held.
#[derive(Debug)]
pub struct Journal {
    file: File,
    folder: PathBuf,
    redactor: Redactor,
    _lease: File,
}

/// Why a journal cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// Another process works on the run.
    #[error("run {run} is being worked on by another process")]
    Leased {
        /// The run.
        run: String,
    },
    /// The file system failed.
    #[error("cannot {doing} {}", path.display())]
    Io {
        /// What was being done.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// The system's own account.
        source: io::Error,
    },
    /// There is no such run.
    #[error("there is no run {run}")]
    Missing {
        /// The run.
        run: String,
    },
    /// It does not begin as a journal does.
    #[error("{} is no journal of a run", path.display())]
    Broken {
        /// The file.
        path: PathBuf,
    },
}

fn failed(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> JournalError {
    move |source| JournalError::Io { doing, path: path.to_owned(), source }
}

impl Journal {
    /// Opens the journal of a run in this folder, made when it is not there, with the steps so far. Built-in rules replace
    /// secrets in what is appended, until [others do](Journal::with_redactor).
    pub fn open(folder: &Path, run: &str) -> Result<(Journal, Vec<Entry>), JournalError> {
        make_private(folder)?;
        make_private(&folder.join(run))?;
        Journal::open_in(folder.join(run), run)
    }

    /// The same for a run that must be there already.
    pub fn open_again(folder: &Path, run: &str) -> Result<(Journal, Vec<Entry>), JournalError> {
        // A name that leads elsewhere is no run's.
        let is_name = Path::new(run).components().eq([Component::Normal(run.as_ref())]);
        if !is_name || !folder.join(run).join(JOURNAL).is_file() {
            return Err(JournalError::Missing { run: run.to_owned() });
        }
        Journal::open_in(folder.join(run), run)
    }

    fn open_in(folder: PathBuf, run: &str) -> Result<(Journal, Vec<Entry>), JournalError> {
        let lease_path = folder.join("lease");
        let lease = File::create(&lease_path).map_err(failed("create", &lease_path))?;
        match lease.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => return Err(JournalError::Leased { run: run.to_owned() }),
            Err(fs::TryLockError::Error(source)) => return Err(failed("lock", &lease_path)(source)),
        }
        let path = folder.join(JOURNAL);
        let mut file = private().read(true).append(true).open(&path).map_err(failed("open", &path))?;
        let (mut entries, mut whole) = (Vec::new(), 0_u64);
        let mut reader = BufReader::new(&file);
        let mut line = Vec::new();
        loop {
            line.clear();
            let read = reader.read_until(b'\n', &mut line).map_err(failed("read", &path))?;
            if read == 0 || !line.ends_with(b"\n") {
                break;
            }
            // What follows an unreadable line was not written by us.
            let Ok(entry) = serde_json::from_slice::<Entry>(&line) else { break };
            entries.push(entry);
            whole += read as u64;
        }
        drop(reader);
        if entries.first().is_some_and(|entry| !matches!(entry.step, Step::Started { .. })) {
            return Err(JournalError::Broken { path });
        }
        file.set_len(whole).map_err(failed("cut", &path))?;
        file.seek(io::SeekFrom::End(0)).map_err(failed("read", &path))?;
        Ok((Journal { file, folder, redactor: Redactor::default(), _lease: lease }, entries))
    }

    /// Replaces secrets by other rules.
    pub fn with_redactor(self, redactor: Redactor) -> Journal {
        Journal { redactor, ..self }
    }

    /// Where the run's files are.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Appends a step. When this returns, a killed process leaves it behind; `durable` holds it against a power cut too.
    pub fn append(&mut self, step: Step, durable: bool) -> Result<Entry, JournalError> {
        let path = self.folder.join(JOURNAL);
        let entry = Entry { at: Timestamp::now(), step };
        let clean = Entry { at: entry.at, step: self.clean(entry.step.clone()) };
        let mut line = serde_json::to_vec(&clean)
            .map_err(|error| failed("write", &path)(io::Error::new(io::ErrorKind::InvalidData, error)))?;
        line.push(b'\n');
        self.file.write_all(&line).map_err(failed("write", &path))?;
        if durable {
            self.file.sync_data().map_err(failed("sync", &path))?;
        }
        Ok(entry)
    }

    /// Keeps of a run that has come to its end only that.
    pub fn close(&self) -> Result<(), JournalError> {
        let path = self.folder.join(JOURNAL);
        let text = fs::read_to_string(&path).map_err(failed("read", &path))?;
        let entries = text.lines().filter_map(|line| serde_json::from_str::<Entry>(line).ok());
        let mut kept = Vec::new();
        for Entry { at, step } in entries {
            let step = match step {
                Step::Started { run, model, workspace, .. } => Step::Started {
                    run,
                    task: String::new(),
                    model,
                    workspace,
                    system: String::new(),
                    request: String::new(),
                    records: Vec::new(),
                    holdout: false,
                    schema: None,
                    options: Value::Null,
                },
                Step::Finished { status, .. } => Step::Finished { status, reason: String::new() },
                _ => continue,
            };
            let line = serde_json::to_string(&Entry { at, step });
            kept.push(line.map_err(|error| failed("write", &path)(io::Error::other(error)))? + "\n");
        }
        let new = path.with_extension("new");
        let write = || private().write(true).open(&new)?.write_all(kept.concat().as_bytes());
        write().and_then(|()| fs::rename(&new, &path)).map_err(failed("write", &path))
    }

    /// A step as it may be written.
    fn clean(&self, step: Step) -> Step {
        let text = |text: String| self.redactor.redact(&text).into_text().into_owned();
        match step {
            Step::Started { run, task, model, workspace, system, request, records, holdout, schema, options } => {
                Step::Started {
                    run,
                    task: text(task),
                    model,
                    workspace,
                    system: text(system),
                    request: text(request),
                    records,
                    holdout,
                    schema,
                    options,
                }
            }
            Step::Replied { mut reply } => {
                reply.text = text(reply.text);
                reply.calls.iter_mut().for_each(|call| drop(self.redactor.redact_json(&mut call.arguments)));
                Step::Replied { reply }
            }
            Step::Told { text: told } => Step::Told { text: text(told) },
            Step::CallFinished { call, ok, text: said, duration_ms } => {
                Step::CallFinished { call, ok, text: text(said), duration_ms }
            }
            Step::Finished { status, reason } => Step::Finished { status, reason: text(reason) },
            step @ (Step::CallStarted { .. } | Step::Resumed) => step,
        }
    }
}

/// Where in a run's folder the output of tools is that was too long to show.
pub const OUTPUT_FOLDER: &str = "output";

/// The journal's name in a run's folder.
const JOURNAL: &str = "journal.jsonl";

/// A file that is its owner's alone: what an agent was told and did is nobody else's business.
fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

fn make_private(folder: &Path) -> Result<(), JournalError> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder).map_err(failed("make the folder", folder))
}

/// A run that has not come to its end.
#[derive(Clone, Debug, PartialEq)]
pub struct Unfinished {
    /// The run.
    pub run: String,
    /// In which folder.
    pub workspace: PathBuf,
    /// With which model, as it was named.
    pub model: String,
    /// What the caller gave for this moment.
    pub options: Value,
    /// Whether another process works on it.
    pub leased: bool,
}

/// The runs in this folder that have not come to their end, the newest first.
pub fn unfinished(folder: &Path) -> io::Result<Vec<Unfinished>> {
    // Ids of runs begin with their time.
    let mut runs = runs(folder)?;
    runs.sort();
    Ok(runs.into_iter().rev().filter_map(|run| unfinished_run(folder, &run)).collect())
}

/// The run of this id, where it has not come to its end.
pub fn unfinished_run(folder: &Path, run: &str) -> Option<Unfinished> {
    let text = fs::read_to_string(folder.join(run).join(JOURNAL)).ok()?;
    let mut entries = text.lines().filter_map(|line| serde_json::from_str::<Entry>(line).ok());
    let Some(Entry { step: Step::Started { workspace, model, options, .. }, .. }) = entries.next() else { return None };
    if entries.any(|entry| matches!(entry.step, Step::Finished { .. })) {
        return None;
    }
    let leased = is_leased(&folder.join(run));
    Some(Unfinished { run: run.to_owned(), workspace, model, options, leased })
}

fn is_leased(run: &Path) -> bool {
    let lease = File::open(run.join("lease"));
    lease.is_ok_and(|lease| matches!(lease.try_lock_shared(), Err(fs::TryLockError::WouldBlock)))
}

fn runs(folder: &Path) -> io::Result<Vec<String>> {
    match fs::read_dir(folder) {
        Ok(entries) => Ok(entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// Removes runs, finished or not, that nobody has worked on since then; answers how many. What they were given may have
/// been forgotten meanwhile.
pub fn prune(folder: &Path, before: SystemTime) -> io::Result<usize> {
    let mut removed = 0;
    for run in runs(folder)? {
        let place = folder.join(&run);
        let touched = fs::metadata(place.join(JOURNAL)).and_then(|facts| facts.modified());
        if touched.is_ok_and(|touched| touched < before) && !is_leased(&place) {
            fs::remove_dir_all(&place)?;
            removed += 1;
        }
    }
    Ok(removed)
}

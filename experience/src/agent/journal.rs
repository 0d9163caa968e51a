//! The journal of a run: every step, appended before the next one begins, and the lease on it.
//!
//! A line is complete or it is not there: what a killed run was writing last is left out when it is read.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Seek, Write};
use std::path::{Path, PathBuf};

use harness_memory::RecordId;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::model::Reply;

/// One step of a run.
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
    /// Opens the journal of a run in this folder, made when it is not there, with the steps so far.
    pub fn open(folder: &Path, run: &str) -> Result<(Journal, Vec<Entry>), JournalError> {
        let folder = folder.join(run);
        fs::create_dir_all(&folder).map_err(failed("make the folder", &folder))?;
        let lease_path = folder.join("lease");
        let lease = File::create(&lease_path).map_err(failed("create", &lease_path))?;
        match lease.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => return Err(JournalError::Leased { run: run.to_owned() }),
            Err(fs::TryLockError::Error(source)) => return Err(failed("lock", &lease_path)(source)),
        }
        let path = folder.join("journal.jsonl");
        let mut file =
            OpenOptions::new().create(true).read(true).append(true).open(&path).map_err(failed("open", &path))?;
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
        Ok((Journal { file, folder, _lease: lease }, entries))
    }

    /// Where the run's files are.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Appends a step. When this returns, a killed process leaves it behind; `durable` holds it against a power cut too.
    pub fn append(&mut self, step: Step, durable: bool) -> Result<Entry, JournalError> {
        let path = self.folder.join("journal.jsonl");
        let entry = Entry { at: Timestamp::now(), step };
        let mut line = serde_json::to_vec(&entry)
            .map_err(|error| failed("write", &path)(io::Error::new(io::ErrorKind::InvalidData, error)))?;
        line.push(b'\n');
        self.file.write_all(&line).map_err(failed("write", &path))?;
        if durable {
            self.file.sync_data().map_err(failed("sync", &path))?;
        }
        Ok(entry)
    }
}

/// The newest run in this folder that has not come to its end.
pub fn unfinished(folder: &Path) -> io::Result<Option<String>> {
    let mut runs: Vec<String> = match fs::read_dir(folder) {
        Ok(entries) => entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    // Ids of runs begin with their time.
    runs.sort();
    for run in runs.into_iter().rev() {
        let Ok(text) = fs::read_to_string(folder.join(&run).join("journal.jsonl")) else { continue };
        let mut entries = text.lines().filter_map(|line| serde_json::from_str::<Entry>(line).ok()).peekable();
        if entries.peek().is_some() && !entries.any(|entry| matches!(entry.step, Step::Finished { .. })) {
            return Ok(Some(run));
        }
    }
    Ok(None)
}

//! Labelled sets: files of JSON Lines, one haystack a line.
//!
//! A haystack is some documents and the questions that are asked of them. What a run would know is separated
//! here from what only the judge knows: [`Doc`] holds the first, [`Labels`] the second, and nothing that is
//! read into labels can reach a store.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use harness_memory::{Episode, Note, Outcome, Role};
use jiff::Timestamp;
use serde::Deserialize;

use super::parse::parse;

/// The longest line that is read, in bytes: a haystack is held in memory whole, and the largest public ones
/// (a million-token history) stay under a tenth of this.
pub(super) const HAYSTACK_BYTES_MAX: u64 = 256 << 20;

/// What is measured on a haystack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
pub(super) enum Kind {
    /// Single passages.
    #[serde(rename = "passage-retrieval")]
    Passage,
    /// Turns of conversations.
    #[serde(rename = "turn-retrieval")]
    Turn,
    /// Whole conversations, found by their turns.
    #[serde(rename = "session-retrieval")]
    Session,
    /// Episodes of the same task, successes first.
    #[serde(rename = "experience-recall")]
    Experience,
    /// The tools that similar episodes used.
    #[serde(rename = "tool-recall")]
    Tool,
}

impl Kind {
    /// The word in files and output.
    pub(super) fn word(self) -> &'static str {
        match self {
            Kind::Passage => "passage-retrieval",
            Kind::Turn => "turn-retrieval",
            Kind::Session => "session-retrieval",
            Kind::Experience => "experience-recall",
            Kind::Tool => "tool-recall",
        }
    }
}

/// Documents and the questions that are asked of them.
#[derive(Debug)]
pub(super) struct Haystack {
    pub(super) kind: Kind,
    /// Haystacks of one set count together.
    pub(super) set: String,
    pub(super) lang: Option<String>,
    pub(super) docs: Vec<Doc>,
    /// What the judge knows of each document, in the same order.
    pub(super) labels: Vec<Labels>,
    pub(super) questions: Vec<Question>,
    /// Where the line stands, for messages.
    pub(super) place: Place,
}

/// A line of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) file: PathBuf,
    /// Counted from 1.
    pub(super) line: usize,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.file.display(), self.line)
    }
}

/// One document, as memory is given it.
#[derive(Debug)]
pub(super) struct Doc {
    pub(super) id: String,
    /// When it was said or happened.
    pub(super) at: Option<Timestamp>,
    pub(super) body: DocBody,
}

impl Doc {
    /// The session that it is a turn of.
    pub(super) fn session(&self) -> Option<&str> {
        match &self.body {
            DocBody::Turn(turn) => Some(&turn.session),
            _ => None,
        }
    }
}

/// What a document says.
#[derive(Debug)]
pub(super) enum DocBody {
    /// A plain passage.
    Passage(Note),
    /// A turn of a session.
    Turn(Turn),
    /// A run: situation, tools, outcome.
    Run(Episode),
}

/// A turn of a session.
#[derive(Debug)]
pub(super) struct Turn {
    pub(super) session: String,
    pub(super) role: Role,
    /// Who spoke, where that is more than the role.
    pub(super) speaker: Option<String>,
    /// Its place in the session.
    pub(super) position: u32,
    pub(super) text: String,
    pub(super) caption: Option<String>,
}

/// What only the judge knows of a document.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Labels {
    pub(super) task: Option<String>,
    pub(super) trial: Option<String>,
    /// How the run ended: its `outcome`, else what its `reward` says.
    pub(super) outcome: Option<Outcome>,
}

/// One question with what is known of its answer. Documents are named by their place in [`Haystack::docs`].
#[derive(Debug, Default)]
pub(super) struct Question {
    pub(super) text: String,
    pub(super) now: Option<Timestamp>,
    pub(super) category: Option<String>,
    /// The documents that answer it.
    pub(super) gold: Vec<usize>,
    /// How many gold ids name no document; they count as never found.
    pub(super) gold_unknown: usize,
    /// The sessions that answer it; `None` where the question is not about sessions.
    pub(super) gold_sessions: Option<Vec<String>>,
    pub(super) gold_tools: Option<Vec<String>>,
    pub(super) task: Option<String>,
    pub(super) exclude_trial: Option<String>,
    /// Whether nothing in the haystack answers it.
    pub(super) abstain: bool,
    /// What was true once and is not any more.
    pub(super) stale: Vec<usize>,
    /// What looks like an answer and is none.
    pub(super) distractor: Vec<usize>,
}

impl Question {
    /// Whether it asks nothing.
    pub(super) fn is_empty(&self) -> bool {
        self.text.trim().is_empty()
    }
}

/// A line that could not be used, or a part of one.
#[derive(Debug, PartialEq)]
pub(super) struct Problem {
    pub(super) place: String,
    pub(super) reason: String,
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.place, self.reason)
    }
}

/// Reads all haystacks of a file. What cannot be used is told to `problem`, and the rest goes on.
pub(super) fn read(file: &Path, problem: &mut dyn FnMut(Problem)) -> Vec<Haystack> {
    let mut haystacks = Vec::new();
    let whole_file = |reason: String| Problem { place: file.display().to_string(), reason };
    let opened = File::open(file).and_then(|open| match open.metadata()?.is_dir() {
        true => Err(std::io::Error::other("it is a folder; name the .jsonl files in it")),
        false => Ok(open),
    });
    let mut lines = match opened {
        Ok(open) => BufReader::new(open),
        Err(error) => {
            problem(whole_file(format!("cannot be read: {error}")));
            return haystacks;
        }
    };
    let mut bytes = Vec::new();
    for line in 1.. {
        let place = Place { file: file.to_owned(), line };
        bytes.clear();
        match (&mut lines).take(HAYSTACK_BYTES_MAX).read_until(b'\n', &mut bytes) {
            Ok(0) => break,
            Ok(_) if bytes.len() as u64 == HAYSTACK_BYTES_MAX && bytes.last() != Some(&b'\n') => {
                let reason = format!("the line is longer than {HAYSTACK_BYTES_MAX} bytes; split the haystack");
                problem(Problem { place: place.to_string(), reason });
                if let Err(error) = lines.skip_until(b'\n') {
                    problem(whole_file(format!("cannot be read further: {error}")));
                    break;
                }
            }
            Ok(_) if bytes.trim_ascii().is_empty() => {}
            Ok(_) => match parse(&bytes, place.clone()) {
                Ok(haystack) => haystacks.push(haystack),
                Err(reason) => problem(Problem { place: place.to_string(), reason }),
            },
            Err(error) => {
                problem(whole_file(format!("cannot be read further: {error}")));
                break;
            }
        }
    }
    haystacks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_around_a_bad_one_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("set.jsonl");
        let good = r#"{"kind": "passage-retrieval", "set": "s", "docs": [{"id": "a", "text": "x"}], "queries": []}"#;
        std::fs::write(&file, format!("{good}\n\n{{\n{good}")).unwrap();
        let mut problems = Vec::new();
        let read = read(&file, &mut |problem| problems.push(problem));
        assert_eq!(read.iter().map(|haystack| haystack.place.line).collect::<Vec<_>>(), [1, 4]);
        assert_eq!(problems.len(), 1);
        assert!(problems[0].to_string().contains("set.jsonl:3: is no haystack"), "{}", problems[0]);
    }

    #[test]
    fn a_folder_or_a_missing_file_is_named() {
        let folder = tempfile::tempdir().unwrap();
        for file in [folder.path().to_owned(), folder.path().join("nowhere.jsonl")] {
            let mut problems = Vec::new();
            assert!(read(&file, &mut |problem| problems.push(problem)).is_empty());
            assert_eq!(problems[0].place, file.display().to_string());
        }
    }
}

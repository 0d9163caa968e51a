//! From lines to a store.

use std::collections::{BTreeMap, HashMap};
use std::io::{BufRead, Read as _};
use std::path::Path;

use serde::Serialize;
use sha2::{Digest, Sha256};

use super::write::hex;
use super::{Carried, FORMAT, Line, Manifest, Progress, Tombstone, VERSION};
use crate::error::{Error, Result};
use crate::id::RecordId;
use crate::import::{SKIPPED_MAX, Skipped};
use crate::intake::{Admission, Intake};
use crate::record::{Body, Origin, TEXT_BYTES_MAX, Trust};
use crate::sqlite::{Became, CarryIn, SqliteStore};

/// The longest line: a record's text with every character escaped, twice.
const LINE_BYTES_MAX: usize = 16 * TEXT_BYTES_MAX;

/// Records written in one transaction, and the bytes of their lines after which it ends earlier.
const BATCH_RECORDS: usize = 500;
const BATCH_BYTES: usize = 8 << 20;

/// How a file is read.
#[derive(Clone, Copy, Debug, Default)]
pub struct ReadOptions {
    /// Believe nothing of it: what it says is kept as [`Trust::Untrusted`], and as somebody else's data.
    pub untrusted: bool,
    /// Only say what would become of it.
    pub dry_run: bool,
}

/// Whether a file is what its manifest says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Fit {
    /// Every line is as it was written.
    Whole,
    /// There is no manifest: its end is missing.
    #[default]
    Cut,
    /// Lines were changed, added or taken away since it was written.
    Changed,
}

/// What an import came to.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Imported {
    /// Records and tombstones that were added.
    pub added: u64,
    /// Records that were there already.
    pub known: u64,
    /// Records that are in the store with another content; that of the store was kept.
    pub kept: u64,
    /// Records of the store that the file says were forgotten, and that now are.
    pub forgotten: u64,
    /// Sessions that were added, or of which more is known now.
    pub sessions: u64,
    /// Exposures that were added.
    pub exposures: u64,
    /// Ends of runs that were added.
    pub runs: u64,
    /// Secrets that were replaced, by rule.
    pub redactions: BTreeMap<&'static str, usize>,
    /// The first lines that could not be read.
    #[serde(skip)]
    pub skipped: Vec<Skipped>,
    /// How many lines could not be read.
    pub skipped_total: u64,
    /// Whether the file is whole.
    pub fit: Fit,
}

impl Imported {
    fn skip(&mut self, line: u64, reason: impl Into<String>) {
        self.skipped_total += 1;
        if self.skipped.len() < SKIPPED_MAX {
            self.skipped.push(Skipped { line, reason: reason.into() });
        }
    }
}

/// Whether a file that begins so is an export of ours.
pub fn is_export(head: &[u8]) -> bool {
    let line = head.split(|byte| *byte == b'\n').next().unwrap_or_default();
    serde_json::from_slice::<Line>(line)
        .is_ok_and(|line| matches!(line, Line::Header(header) if header.format == FORMAT))
}

/// Reads an export into a store, which may hold a part of it already.
///
/// A record that is there stays as it is there; one that was forgotten in either stays forgotten. A line that cannot
/// be read is in the report, and the rest is kept. `progress` is called with the bytes that were read, and stops the
/// work by answering false; what was read until then is kept, and reading the file again goes on.
pub fn read(
    store: &SqliteStore,
    intake: &Intake,
    mut from: &mut dyn BufRead,
    name: &Path,
    options: ReadOptions,
    progress: Progress,
) -> Result<Imported> {
    let mut reading = Reading {
        store,
        intake,
        options,
        report: Imported::default(),
        batch: Vec::new(),
        numbers: Vec::new(),
        batch_bytes: 0,
        renamed: HashMap::new(),
    };
    let mut hash = Sha256::new();
    // What the manifest says, the hash of all before it, and whether anything comes after it.
    let mut manifest: Option<(Manifest, String, bool)> = None;
    let (mut number, mut bytes) = (0, 0_u64);
    let mut buffer = Vec::new();
    while read_line(&mut from, &mut buffer).map_err(Error::io("read", name))? > 0 {
        number += 1;
        bytes += buffer.len() as u64;
        if buffer.len() > LINE_BYTES_MAX {
            reading.report.skip(number, format!("it is longer than {LINE_BYTES_MAX} bytes"));
            while !buffer.ends_with(b"\n") {
                hash.update(&buffer);
                let more = read_line(&mut from, &mut buffer).map_err(Error::io("read", name))?;
                if more == 0 {
                    break;
                }
                bytes += more as u64;
            }
            hash.update(&buffer);
            continue;
        }
        let line = buffer.trim_ascii();
        if let Some((_, _, followed)) = &mut manifest {
            *followed |= !line.is_empty();
        }
        match serde_json::from_slice::<Line>(line) {
            Ok(Line::Manifest(said)) => {
                manifest = Some((said, hex(&hash.clone().finalize()), false));
                continue;
            }
            Ok(Line::Header(header)) if number == 1 => check_version(&header, name)?,
            Ok(Line::Header(_)) => reading.report.skip(number, "it is a header in the middle"),
            Ok(line) => reading.take(number, line, buffer.len())?,
            Err(_) if line.is_empty() => {}
            Err(error) => reading.report.skip(number, plain_reason(&error)),
        }
        hash.update(&buffer);
        if !progress(bytes, bytes) {
            break;
        }
    }
    reading.flush()?;
    let mut report = reading.report;
    report.fit = match manifest {
        None => Fit::Cut,
        Some((said, found, false)) if said.sha256 == found => Fit::Whole,
        Some(_) => Fit::Changed,
    };
    Ok(report)
}

/// Reads up to the end of a line, or a little more than the longest line; answers how many bytes.
fn read_line(from: &mut dyn BufRead, buffer: &mut Vec<u8>) -> std::io::Result<usize> {
    buffer.clear();
    from.take(LINE_BYTES_MAX as u64 + 1).read_until(b'\n', buffer)
}

fn check_version(header: &super::Header, name: &Path) -> Result<()> {
    if header.format == FORMAT && header.version <= VERSION {
        return Ok(());
    }
    let reason = format!(
        "{} is an export of version {}, this program knows versions up to {VERSION}: use a newer harness",
        name.display(),
        header.version
    );
    Err(Error::Refused { reason })
}

/// The parser's reason without the place in the line it was given, which is always the first.
fn plain_reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rfind(" at line 1 column ") {
        Some(at) => format!("{} (column {})", &text[..at], error.column()),
        None => text,
    }
}

struct Reading<'r> {
    store: &'r SqliteStore,
    intake: &'r Intake,
    options: ReadOptions,
    report: Imported,
    /// Records that wait for their transaction, and the numbers of their lines.
    batch: Vec<CarryIn>,
    numbers: Vec<u64>,
    batch_bytes: usize,
    /// Records that the store knows by another name, because it had read their source itself.
    renamed: HashMap<RecordId, RecordId>,
}

impl Reading<'_> {
    fn take(&mut self, number: u64, line: Line, bytes: usize) -> Result<()> {
        match line {
            Line::Header(_) | Line::Manifest(_) => Ok(()),
            Line::Session(mut session) => {
                session.scope = session.scope.without_secrets();
                if let Some(reason) = self.refusal(&session.scope) {
                    self.report.skip(number, reason);
                    return Ok(());
                }
                self.push(number, CarryIn::Session(session), bytes)
            }
            Line::Record(carried) => self.record(number, *carried, bytes),
            Line::Tombstone(tombstone) => self.tombstone(number, tombstone, bytes),
            Line::Exposure(mut exposure) => {
                if let Some(waiting) = self.batch.last()
                    && !matches!(waiting, CarryIn::Exposure(_))
                {
                    // By what names the store knows the records is known when they were written.
                    self.flush()?;
                }
                for id in &mut exposure.records {
                    *id = self.renamed.get(id).copied().unwrap_or(*id);
                }
                self.push(number, CarryIn::Exposure(exposure), bytes)
            }
            Line::Run(run) => self.push(number, CarryIn::Run(run), bytes),
            Line::Reset(mut reset) => {
                reset.record = self.renamed.get(&reset.record).copied().unwrap_or(reset.record);
                self.push(number, CarryIn::Reset(reset), bytes)
            }
        }
    }

    fn refusal(&self, scope: &crate::Scope) -> Option<String> {
        self.store.is_read_only(scope).then(|| format!("the scope {scope} is read-only here"))
    }

    fn record(&mut self, number: u64, carried: Carried, bytes: usize) -> Result<()> {
        let Carried { mut record, forgotten } = carried;
        record.scope = record.scope.without_secrets();
        if let Some(reason) = self.refusal(&record.scope) {
            self.report.skip(number, reason);
            return Ok(());
        }
        let renamed = |id: &mut RecordId| *id = self.renamed.get(id).copied().unwrap_or(*id);
        record.replaces.iter_mut().for_each(renamed);
        if let Body::Lesson(lesson) = &mut record.body {
            lesson.evidence.iter_mut().for_each(renamed);
        }
        if self.options.untrusted {
            record.trust = record.trust.max(Trust::Untrusted);
            if record.origin < Origin::Import {
                record.origin = Origin::Import;
            }
        }
        match self.intake.admit(record) {
            Ok(Admission::Admitted { record, redactions }) => {
                for (rule, times) in redactions {
                    *self.report.redactions.entry(rule).or_insert(0) += times;
                }
                self.push(number, CarryIn::Record(record, forgotten), bytes)
            }
            Ok(Admission::Echo) => {
                self.report.skip(number, "it holds nothing but text that recall had injected");
                Ok(())
            }
            Err(error) => {
                self.report.skip(number, error.to_string());
                Ok(())
            }
        }
    }

    fn tombstone(&mut self, number: u64, mut tombstone: Tombstone, bytes: usize) -> Result<()> {
        tombstone.scope = tombstone.scope.without_secrets();
        if let Some(reason) = self.refusal(&tombstone.scope) {
            self.report.skip(number, reason);
            return Ok(());
        }
        match tombstone.check() {
            Ok(()) => self.push(number, CarryIn::Tombstone(tombstone), bytes),
            Err(reason) => {
                self.report.skip(number, reason);
                Ok(())
            }
        }
    }

    fn push(&mut self, number: u64, carry: CarryIn, bytes: usize) -> Result<()> {
        self.batch.push(carry);
        self.numbers.push(number);
        self.batch_bytes += bytes;
        if self.batch.len() >= BATCH_RECORDS || self.batch_bytes >= BATCH_BYTES { self.flush() } else { Ok(()) }
    }

    /// Writes what waits.
    fn flush(&mut self) -> Result<()> {
        let batch = std::mem::take(&mut self.batch);
        let numbers = std::mem::take(&mut self.numbers);
        self.batch_bytes = 0;
        if batch.is_empty() {
            return Ok(());
        }
        let became = self.store.carry_in(batch, self.options.dry_run)?;
        for (number, became) in numbers.into_iter().zip(became) {
            match became {
                Became::Added => self.report.added += 1,
                Became::Known { id, here } => {
                    self.report.known += 1;
                    if id != here {
                        self.renamed.insert(id, here);
                    }
                }
                Became::Kept => self.report.kept += 1,
                Became::Forgotten => self.report.forgotten += 1,
                Became::Session => self.report.sessions += 1,
                Became::Exposure => self.report.exposures += 1,
                Became::Run => self.report.runs += 1,
                Became::Nothing => {}
                Became::Refused(reason) => self.report.skip(number, reason),
            }
        }
        Ok(())
    }
}

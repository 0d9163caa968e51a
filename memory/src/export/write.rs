//! From a store to lines.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;

use sha2::{Digest, Sha256};

use super::{FORMAT, Header, Line, Manifest, Progress, Reset, VERSION};
use crate::error::{Error, Result};
use crate::record::{Body, Record};
use crate::scope::ReadSet;
use crate::sqlite::{Carry, SqliteStore};
use crate::store::{Finding, Store};

/// Records read at once: few enough that the longest fit into memory.
const PAGE: usize = 256;

/// How often a number is written and read until it comes back as it is.
const FLOAT_ROUNDS_MAX: usize = 8;

/// Writes what a store holds within a read set, and answers what it came to and which rows are damaged.
///
/// Exposures and runs are written when all that was given lies within the read set: a query may say what other scopes
/// hold. What others write meanwhile may be in it or not. `name` is what `to` is called in errors.
pub fn write(
    store: &SqliteStore,
    reads: &ReadSet,
    to: &mut dyn Write,
    name: &Path,
    progress: Progress,
) -> Result<(Manifest, Vec<Finding>)> {
    let mut lines = Lines { to, name, hash: Sha256::new() };
    let mut manifest = Manifest::default();
    let mut findings = Vec::new();
    lines.put(&Line::Header(Header { format: FORMAT.to_owned(), version: VERSION }))?;

    let mut sessions: Vec<_> = store.sessions(reads, usize::MAX)?.into_iter().map(|entry| entry.session).collect();
    sessions.sort_by(|a, b| (&a.scope, &a.source, &a.id).cmp(&(&b.scope, &b.source, &b.id)));
    for session in sessions {
        lines.put(&Line::Session(session))?;
        manifest.sessions += 1;
    }

    let total = store.carry_count()?;
    let (mut after, mut done) = (None, 0);
    let mut within = BTreeSet::new();
    let everything = reads.is_everything();
    loop {
        let page = store.carry_out(after, PAGE)?;
        let Some(last) = page.last() else { break };
        after = Some(last.place());
        done += page.len() as u64;
        for carry in page {
            if let Some((id, scope)) = carry.whose() {
                if !reads.allows(scope) {
                    continue;
                }
                if !everything {
                    within.insert(id);
                }
            }
            match carry {
                Carry::Record(mut carried) => {
                    settle_numbers(&mut carried.record);
                    manifest.records += 1;
                    manifest.forgotten += u64::from(carried.forgotten.is_some());
                    lines.put(&Line::Record(carried))?;
                }
                Carry::Tombstone(tombstone) => {
                    manifest.tombstones += 1;
                    lines.put(&Line::Tombstone(tombstone))?;
                }
                Carry::Damaged { id, reason } => {
                    manifest.damaged += 1;
                    findings.push(Finding {
                        code: "row-damaged",
                        what: format!("record {id} is damaged and not in the export: {reason}"),
                        hint: "`harness doctor` names everything that is damaged".to_owned(),
                    });
                }
            }
        }
        if !progress(done, total.max(done)) {
            return Err(Error::Refused { reason: "it was stopped before its end".to_owned() });
        }
    }

    let mut exposures = store.exposures(usize::MAX >> 1)?;
    exposures.retain(|exposure| everything || exposure.records.iter().all(|id| within.contains(id)));
    let runs: BTreeSet<String> = exposures.iter().map(|exposure| exposure.run.clone()).collect();
    let mut given: Vec<String> = Vec::with_capacity(exposures.len());
    exposures.sort_by(|a, b| (a.at, &a.run).cmp(&(b.at, &b.run)));
    for exposure in exposures {
        given.push(text(&Line::Exposure(exposure))?);
    }
    // The order of those of one time and run must not depend on the store.
    given.sort();
    for line in &given {
        lines.put_text(line)?;
        manifest.exposures += 1;
    }
    for run in store.carry_runs()? {
        if everything || runs.contains(&run.run) {
            lines.put(&Line::Run(run))?;
            manifest.runs += 1;
        }
    }
    let mut resets = store.credit_resets()?;
    resets.retain(|(id, _)| everything || within.contains(id));
    resets.sort_unstable();
    for (record, at) in resets {
        lines.put(&Line::Reset(Reset { record, at }))?;
    }
    for Finding { code, what, hint } in store.damaged_beside()? {
        manifest.damaged += 1;
        findings.push(Finding { code, what: format!("{what}; it is not in the export"), hint });
    }
    manifest.sha256 = hex(&lines.hash.clone().finalize());
    lines.put(&Line::Manifest(manifest.clone()))?;
    Ok((manifest, findings))
}

/// Writes lines and hashes them.
struct Lines<'w> {
    to: &'w mut dyn Write,
    name: &'w Path,
    hash: Sha256,
}

impl Lines<'_> {
    fn put(&mut self, line: &Line) -> Result<()> {
        self.put_text(&text(line)?)
    }

    fn put_text(&mut self, line: &str) -> Result<()> {
        self.hash.update(line.as_bytes());
        self.hash.update(b"\n");
        let done = self.to.write_all(line.as_bytes()).and_then(|()| self.to.write_all(b"\n"));
        done.map_err(Error::io("write", self.name))
    }
}

fn text(line: &Line) -> Result<String> {
    serde_json::to_string(line)
        .map_err(|error| Error::Refused { reason: format!("it cannot be written as JSON: {error}") })
}

/// The parser of JSON may miss a number by its last bit. What is written here comes back as it is.
fn settle_numbers(record: &mut Record) {
    let Body::Episode(episode) = &mut record.body else { return };
    let Some(cost) = &mut episode.cost_usd else { return };
    for _ in 0..FLOAT_ROUNDS_MAX {
        let read = serde_json::to_string(cost).ok().and_then(|text| serde_json::from_str::<f64>(&text).ok());
        match read {
            Some(read) if read != *cost => *cost = read,
            _ => return,
        }
    }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

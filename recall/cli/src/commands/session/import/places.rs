//! Where transcripts are when nobody says: each tool's own places, and what is there.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Context;
use etcetera::home_dir;
use harness_memory::import::{IMPORTERS, Importer};
use serde::Serialize;

use super::files::Found;
use crate::app::App;
use crate::output::Out;
use crate::render::{bytes, count};
use crate::report::Advice;

/// How fast transcripts are read, stored and indexed, for the estimate: what two cores of a common machine did.
const BYTES_PER_SECOND: u64 = 9_000_000;

/// The places of all tools, or of one. `moved` are those that a variable of the tool's own names.
pub(crate) fn default_places(app: &App, tool: Option<&'static dyn Importer>) -> anyhow::Result<Vec<PathBuf>> {
    let hint = "name the folder that holds them: `harness session import PATH`";
    let home = home_dir().context(Advice::new("cannot find your home folder", hint))?;
    let importers = IMPORTERS.iter().filter(|importer| tool.is_none_or(|tool| tool.tool() == importer.tool()));
    let mut places: Vec<PathBuf> = Vec::new();
    for importer in importers {
        places.extend(importer.default_places(&home));
        places.extend(moved_places(importer.tool()));
        // Aider keeps its history with each project.
        if importer.tool() == "aider" {
            places.extend(app.project_root().map(|root| root.join(".aider.chat.history.md")));
        }
    }
    let mut seen = std::collections::HashSet::new();
    places.retain(|place| seen.insert(place.clone()));
    let existing: Vec<PathBuf> = places.iter().filter(|place| place.exists()).cloned().collect();
    // Where there is none, all are named in the message.
    Ok(if existing.is_empty() { places } else { existing })
}

/// Where a tool was told to keep its files.
fn moved_places(tool: &str) -> Vec<PathBuf> {
    let named = |variable: &str| std::env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from);
    match tool {
        "claude-code" => named("CLAUDE_CONFIG_DIR").map(|folder| folder.join("projects")).into_iter().collect(),
        "codex" => named("CODEX_HOME")
            .map(|folder| vec![folder.join("sessions"), folder.join("archived_sessions")])
            .unwrap_or_default(),
        "opencode" => named("XDG_DATA_HOME")
            .map(|folder| folder.join("opencode"))
            .map(|folder| vec![folder.join("opencode.db"), folder.join("storage").join("session")])
            .unwrap_or_default(),
        _ => Vec::new(),
    }
}

/// What is there of one tool.
#[derive(Serialize)]
pub(crate) struct Plan {
    pub(crate) tool: &'static str,
    pub(crate) files: u64,
    pub(crate) bytes: u64,
    /// Of them, what was not read before or has changed since.
    pub(crate) files_to_read: u64,
    pub(crate) bytes_to_read: u64,
}

/// What was found, by tool; `is_read` says whether a file was read and is as it was.
pub(crate) fn plan(found: &Found, is_read: &dyn Fn(&super::files::Transcript) -> bool) -> Vec<Plan> {
    let mut plans: Vec<Plan> = Vec::new();
    for transcript in &found.transcripts {
        let tool = transcript.importer.tool();
        let at = plans.iter().position(|plan| plan.tool == tool).unwrap_or_else(|| {
            plans.push(Plan { tool, files: 0, bytes: 0, files_to_read: 0, bytes_to_read: 0 });
            plans.len() - 1
        });
        let plan = &mut plans[at];
        plan.files += 1;
        plan.bytes += transcript.bytes;
        if !is_read(transcript) {
            plan.files_to_read += 1;
            plan.bytes_to_read += transcript.bytes;
        }
    }
    plans
}

/// How long reading will take, in seconds; at least one.
pub(crate) fn seconds(plans: &[Plan]) -> u64 {
    plans.iter().map(|plan| plan.bytes_to_read).sum::<u64>().div_ceil(BYTES_PER_SECOND)
}

/// Writes the plan for people.
pub(crate) fn write_plan(out: &mut Out, plans: &[Plan]) -> std::io::Result<()> {
    for plan in plans {
        let new = match plan.files_to_read {
            0 => "all read before".to_owned(),
            files if files == plan.files => "all to be read".to_owned(),
            files => format!("{} to be read ({})", count(files, "file"), bytes(plan.bytes_to_read)),
        };
        writeln!(out, "{:<12} {} ({}), {new}", plan.tool, count(plan.files, "file"), bytes(plan.bytes))?;
    }
    match seconds(plans) {
        0 => writeln!(out, "nothing new to read"),
        1 => writeln!(out, "reading it takes a second or so"),
        seconds => writeln!(out, "reading it takes about {seconds} s"),
    }
}

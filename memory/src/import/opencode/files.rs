//! OpenCode's tree of files.

use std::fs;
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::Xxh3;

use super::{Gathered, TOOL, about, say};
use crate::error::{Error, Result};
use crate::import::node::Node;
use crate::import::transcript::{Sink, Transcript, refused, time};
use crate::import::{Cursor, Report, lines};

/// The largest message or part that is read: a part holds a tool's whole output.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// The most files of one folder: a session of more messages is none.
const FILES_MAX: usize = 100_000;

/// The folders `storage/message` and `storage/part` of a session's file, newest layout first.
struct Layout {
    messages: PathBuf,
    parts: Vec<PathBuf>,
}

fn layout(path: &Path, session: &str) -> Option<Layout> {
    let sessions = path.ancestors().skip(1).take(4).find(|folder| folder.ends_with("session"))?;
    let storage = sessions.parent()?;
    let newer = storage.join("message").join(session);
    if newer.is_dir() {
        return Some(Layout { messages: newer, parts: vec![storage.join("part")] });
    }
    let older = sessions.join("message").join(session);
    older.is_dir().then(|| Layout { messages: older, parts: vec![sessions.join("part").join(session)] })
}

/// The files of a folder by name; none where it is missing.
fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let is_json = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "json");
    let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).filter(is_json).take(FILES_MAX).collect();
    files.sort();
    files
}

/// The text of a file of OpenCode's; nothing where it is gone, too large or still being written.
fn text(path: &Path) -> Option<String> {
    let facts = fs::metadata(path).ok().filter(|facts| facts.is_file() && facts.len() <= FILE_BYTES_MAX)?;
    let _ = facts;
    fs::read(path).ok().map(|bytes| lines::mended_document(&bytes))
}

fn session_id(path: &Path) -> Option<String> {
    let text = text(path)?;
    Node::parse(&text).ok()?.get("id").text().map(|id| id.into_owned())
}

/// A fingerprint of all files of a session, by their sizes and times.
pub(super) fn fingerprint(path: &Path) -> Option<u64> {
    let mut print = Xxh3::new();
    let mut add = |path: &Path| -> Option<()> {
        let facts = fs::metadata(path).ok()?;
        print.update(path.as_os_str().as_encoded_bytes());
        print.update(&facts.len().to_le_bytes());
        let modified = facts.modified().ok()?.duration_since(std::time::UNIX_EPOCH).ok()?;
        print.update(&modified.as_nanos().to_le_bytes());
        Some(())
    };
    add(path)?;
    let layout = layout(path, &session_id(path)?);
    for file in layout.iter().flat_map(|layout| files(&layout.messages)) {
        add(&file);
    }
    // A part that changed leaves all of these as they are. Only a session of late can have such parts.
    let folder = layout.as_ref().map(|layout| layout.messages.as_path());
    let of_late = [Some(path), folder].into_iter().flatten().any(|path| is_younger(path, PARTS_GROW_SECONDS));
    for message in layout.iter().filter(|_| of_late).flat_map(|layout| files(&layout.messages)) {
        let Some(stem) = message.file_stem().map(|stem| stem.to_string_lossy().into_owned()) else { continue };
        for parts in layout.iter().flat_map(|layout| &layout.parts) {
            // A message's file has its name as a rule; else the message says it.
            let mut own = parts.join(&stem);
            if !own.is_dir() {
                let id =
                    text(&message).and_then(|text| Some(Node::parse(&text).ok()?.get("id").or_empty().into_owned()));
                own = parts.join(id.unwrap_or_default());
            }
            files(&own).iter().for_each(|file| {
                add(file);
            });
        }
    }
    Some(print.digest())
}

pub(super) fn read(path: &Path, from: Option<&Cursor>, sink: Sink<'_>) -> Result<Report> {
    let mut transcript = Transcript::new(TOOL, path, None);
    let facts = fs::metadata(path).map_err(Error::io("read the transcript", path))?;
    if !facts.is_file() {
        return Err(refused(path, "it is no file: give the session's own file, or import the folder"));
    }
    let print = fingerprint(path).unwrap_or(0);
    let cursor = Cursor { offset: facts.len(), head: print, tail: print, ..Cursor::default() };
    if let Some(from) = from.filter(|from| from.offset == cursor.offset && from.head == print && print != 0) {
        transcript.report.cursor = from.clone();
        return Ok(transcript.report);
    }
    let session = text(path).ok_or_else(|| refused(path, "it is too large, or cannot be read"))?;
    let session = Node::parse(&session).map_err(|error| refused(path, format!("it does not parse: {error}")))?.fields();
    let id = session.text("id");
    if id.is_empty() {
        return Err(refused(path, "it names no session"));
    }
    transcript.enter(&id);
    about(&mut transcript, &session);
    let Some(layout) = layout(path, &id) else { return Ok(transcript.finish(cursor, sink)) };
    // Their names tell the order in new versions; their times do so in all.
    let mut messages: Vec<(Option<jiff::Timestamp>, PathBuf)> = Vec::new();
    for file in files(&layout.messages) {
        let Some(text) = text(&file) else { continue };
        let at = Node::parse(&text).ok().and_then(|node| time(node.get("time").get("created")));
        messages.push((at, file));
    }
    messages.sort_by_key(|(at, _)| *at);
    let count = messages.len();
    for (place, (_, file)) in messages.into_iter().enumerate() {
        let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let Some(text) = text(&file) else { continue };
        let Ok(node) = Node::parse(&text) else {
            transcript.report.skip(place as u64 + 1, format!("{name} does not parse"));
            continue;
        };
        let message = node.fields();
        let id = message.text("id").into_owned();
        let mut gathered = Gathered::default();
        for part in parts(&layout, &id) {
            let part_id = part.get("id").or_empty().into_owned();
            gathered.part(part.node(), &part_id);
        }
        if say(&mut transcript, &id, &message, gathered, place + 1 == count && is_younger(&file, WRITING_SECONDS), sink)
            .is_break()
        {
            transcript.report.stopped = true;
            return Ok(transcript.finish(Cursor::default(), sink));
        }
    }
    Ok(transcript.finish(cursor, sink))
}

/// For how long a message that is not said to be finished is taken for one that is being written.
const WRITING_SECONDS: u64 = 600;

/// For how long after a session or its messages changed a part of it may still.
const PARTS_GROW_SECONDS: u64 = 24 * 3600;

fn is_younger(path: &Path, seconds: u64) -> bool {
    let modified = fs::metadata(path).and_then(|facts| facts.modified()).ok();
    modified.and_then(|at| at.elapsed().ok()).is_some_and(|age| age.as_secs() < seconds)
}

/// A part's text, which its node borrows from.
struct Part(String);

impl Part {
    fn node(&self) -> Node<'_> {
        Node::parse(&self.0).unwrap_or_else(|_| Node::null())
    }

    fn get(&self, name: &str) -> Node<'_> {
        self.node().get(name)
    }
}

/// The parts of a message in their order: in a folder of its own, or in older stores all in one.
fn parts(layout: &Layout, message: &str) -> Vec<Part> {
    let safe = !message.is_empty() && !message.contains(['/', '\\']) && message != "..";
    let mut parts = Vec::new();
    for folder in layout.parts.iter().filter(|_| safe) {
        let own = folder.join(message);
        if own.is_dir() {
            parts.extend(files(&own).iter().filter_map(|file| text(file)).map(Part));
        } else {
            let loose = files(folder).into_iter().filter_map(|file| text(&file)).map(Part);
            parts.extend(loose.filter(|part| part.get("messageID").text().is_some_and(|of| of == message)));
        }
    }
    parts.retain(|part| part.node().is_object());
    parts
}

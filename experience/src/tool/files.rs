//! Files of the workspace, and none outside it.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::ops::ControlFlow;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use harness_memory::memory::BoxFuture;
use serde_json::{Value, json};

use super::{Output, Risk, Tool, text_of};
use crate::model::ToolSpec;

/// The largest file that is read whole or edited, and the longest passage of a larger one, in bytes.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// What one call looks through for lines, in bytes: a second of work, since nothing ends it before.
const SCANNED_BYTES_MAX: u64 = 256 << 20;

/// Entries that a listing shows, and files that a search looks into.
const LISTED_MAX: usize = 500;
const SEARCHED_MAX: usize = 5_000;

/// Lines that a search shows.
const FOUND_MAX: usize = 200;

/// Folders that hold what nobody wrote.
const PASSED_OVER: &[&str] = &[".git", "target", "node_modules", ".venv", "__pycache__"];

/// The folder that no file tool writes to: what it says, version control does, even when it only looks.
const VERSION_CONTROL: &str = ".git";

/// A folder that paths cannot leave, by `..`, by absolute paths, or by links; and folders beside it that may be read.
#[derive(Clone, Debug)]
pub struct Workspace {
    root: PathBuf,
    readable: Vec<PathBuf>,
}

impl Workspace {
    /// The workspace in this folder, which must be there.
    pub fn new(root: &Path) -> std::io::Result<Workspace> {
        Ok(Workspace { root: root.canonicalize()?, readable: Vec::new() })
    }

    /// What is below this folder may be read too, by its absolute path, and never written. The folder need not be
    /// there yet: it is looked for at each call.
    pub fn with_readable(mut self, folder: impl Into<PathBuf>) -> Workspace {
        self.readable.push(folder.into());
        self
    }

    /// The folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The path that a name means inside the workspace; the file need not exist.
    pub fn path(&self, name: &str) -> Result<PathBuf, String> {
        self.resolve(name).map(|(path, _)| path)
    }

    /// The path that a name means, and what of it is there already as it really is.
    fn resolve(&self, name: &str) -> Result<(PathBuf, PathBuf), String> {
        let outside = || format!("{name:?} is outside the workspace {}", self.root.display());
        let given = Path::new(name);
        let relative = if given.is_absolute() { given.strip_prefix(&self.root).map_err(|_| outside())? } else { given };
        let mut path = self.root.clone();
        for part in relative.components() {
            match part {
                Component::CurDir => {}
                Component::Normal(part) => path.push(part),
                Component::ParentDir => {
                    if path == self.root {
                        return Err(outside());
                    }
                    path.pop();
                }
                Component::RootDir | Component::Prefix(_) => return Err(outside()),
            }
        }
        // A link on the way may lead out: what is there already is looked at as it really is.
        let mut there = path.as_path();
        loop {
            match there.canonicalize() {
                Ok(real) if real.starts_with(&self.root) => return Ok((path, real)),
                Ok(_) => return Err(outside()),
                // A link to nothing would be followed when the file is made.
                Err(_) if there.symlink_metadata().is_ok_and(|facts| facts.is_symlink()) => return Err(outside()),
                Err(_) => match there.parent() {
                    Some(parent) if parent.starts_with(&self.root) => there = parent,
                    _ => return Err(outside()),
                },
            }
        }
    }

    /// The path that a name means for reading: inside the workspace, or in a folder beside it that may be read.
    fn path_to_read(&self, name: &str) -> Result<PathBuf, Output> {
        self.path(name).or_else(|outside| {
            let real = self.root.join(name).canonicalize();
            let may_be_read = |real: &PathBuf| {
                self.readable.iter().any(|folder| folder.canonicalize().is_ok_and(|folder| real.starts_with(folder)))
            };
            real.ok().filter(may_be_read).ok_or_else(|| Output::failed(outside))
        })
    }

    /// The path that a name means for writing.
    fn path_to_write(&self, name: &str) -> Result<PathBuf, Output> {
        let (path, real) = self.resolve(name).map_err(Output::failed)?;
        // Both the name and what it leads to: either may be a link to the other. Some disks do not tell case.
        let is_version_control = |path: &Path| {
            let inside = path.strip_prefix(&self.root).unwrap_or(path);
            inside.components().any(|part| part.as_os_str().eq_ignore_ascii_case(VERSION_CONTROL))
        };
        if is_version_control(&path) || is_version_control(&real) {
            let why = "what is in it can start programs: use git itself, or ask for what you need";
            return Err(Output::failed(format!("{name} is in {VERSION_CONTROL}, which is not written to; {why}")));
        }
        Ok(path)
    }

    fn read(&self, name: &str) -> Result<String, Output> {
        let mut bytes = Vec::new();
        let file = open(&self.path_to_read(name)?, name)?;
        file.take(FILE_BYTES_MAX + 1)
            .read_to_end(&mut bytes)
            .map_err(|error| Output::failed(format!("cannot read {name}: {error}")))?;
        if bytes.len() as u64 > FILE_BYTES_MAX {
            let way = "read some of its lines with offset and limit, or search in it";
            return Err(Output::failed(format!("{name} is larger than {FILE_BYTES_MAX} bytes: {way}")));
        }
        String::from_utf8(bytes).map_err(|_| Output::failed(format!("{name} is not UTF-8 text")))
    }

    /// Some lines of a file of any length, and where to go on when there are more.
    fn read_lines(&self, name: &str, offset: u64, limit: u64) -> Result<String, Output> {
        let file = open(&self.path_to_read(name)?, name)?;
        let first = offset.max(1);
        let (mut text, mut seen, mut next, mut too_long) = (String::new(), 0, None, false);
        let mut left = SCANNED_BYTES_MAX;
        let end = lines(file, &mut left, |number, line| {
            seen = number;
            if number < first {
                return ControlFlow::Continue(());
            }
            if number - first >= limit {
                next = Some(number);
                return ControlFlow::Break(());
            }
            too_long = (text.len() + line.len()) as u64 > FILE_BYTES_MAX;
            if too_long {
                return ControlFlow::Break(());
            }
            text.push_str(line);
            ControlFlow::Continue(())
        });
        let end = end.map_err(|error| Output::failed(format!("cannot read {name}: {error}")))?;
        if too_long {
            return Err(Output::failed(format!("these lines are larger than {FILE_BYTES_MAX} bytes: ask for fewer")));
        }
        match (end, next) {
            (_, Some(next)) => text.push_str(&format!("[there are more lines: go on with offset {next}]\n")),
            (End::Whole, None) if seen < first => {
                return Err(Output::failed(format!("{name} has {seen} lines: there is no line {first}")));
            }
            (End::Whole, None) => {}
            (End::NotText, None) if text.is_empty() => {
                return Err(Output::failed(format!("{name} is not UTF-8 text from line {} on", seen + 1)));
            }
            (end, None) => text.push_str(&format!("[{}]\n", end.said(seen + 1))),
        }
        Ok(text)
    }

    fn write(&self, name: &str, text: &str) -> Result<(), Output> {
        let path = self.path_to_write(name)?;
        let failed = |error: std::io::Error| Output::failed(format!("cannot write {name}: {error}"));
        if path.metadata().is_ok_and(|facts| !facts.is_file()) {
            return Err(no_regular_file(name));
        }
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(failed)?;
        }
        std::fs::write(path, text).map_err(failed)
    }

    fn shown(&self, path: &Path) -> String {
        path.strip_prefix(&self.root).unwrap_or(path).display().to_string()
    }

    /// The files below a folder, in order, without what nobody wrote; at most so many.
    fn files(&self, from: &Path, most: usize) -> Vec<PathBuf> {
        let (mut found, mut open) = (Vec::new(), vec![from.to_owned()]);
        while let Some(folder) = open.pop() {
            let Ok(entries) = std::fs::read_dir(&folder) else { continue };
            let mut entries: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
            entries.sort();
            for path in entries {
                let Ok(facts) = path.symlink_metadata() else { continue };
                let name = path.file_name().and_then(|name| name.to_str()).unwrap_or("");
                if facts.is_dir() && !PASSED_OVER.contains(&name) {
                    open.push(path);
                } else if facts.is_file() {
                    found.push(path);
                    if found.len() >= most {
                        return found;
                    }
                }
            }
        }
        found.sort();
        found
    }
}

/// Opens a file that is one: opening a pipe would wait for its other end, and a device may do anything.
fn open(path: &Path, name: &str) -> Result<File, Output> {
    let failed = |error: std::io::Error| Output::failed(format!("cannot read {name}: {error}"));
    if !path.metadata().map_err(failed)?.is_file() {
        return Err(no_regular_file(name));
    }
    let file = File::open(path).map_err(failed)?;
    // Another may have taken its place.
    if file.metadata().map_err(failed)?.is_file() { Ok(file) } else { Err(no_regular_file(name)) }
}

fn no_regular_file(name: &str) -> Output {
    Output::failed(format!("{name} is no regular file"))
}

/// Why lines came to their end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// The file ended, or no more of it was wanted.
    Whole,
    /// What follows is no text, or a line of more than [`FILE_BYTES_MAX`].
    NotText,
    /// What may be looked through is used up.
    UsedUp,
}

impl End {
    fn said(self, line: u64) -> String {
        match self {
            End::Whole => "that is all".to_owned(),
            End::NotText => format!("line {line} is too long, or not UTF-8 text"),
            End::UsedUp => format!("no more than {SCANNED_BYTES_MAX} bytes are looked through"),
        }
    }
}

/// Gives each line with its number, from 1, and with its end, as long as it is wanted and bytes are left.
fn lines(file: File, left: &mut u64, mut take: impl FnMut(u64, &str) -> ControlFlow<()>) -> std::io::Result<End> {
    let mut reader = BufReader::new(file);
    let mut line = Vec::new();
    for number in 1.. {
        if *left == 0 {
            return Ok(End::UsedUp);
        }
        line.clear();
        let read = reader.by_ref().take(FILE_BYTES_MAX.min(*left)).read_until(b'\n', &mut line)? as u64;
        if read == 0 {
            break;
        }
        *left -= read;
        if *left == 0 && !line.ends_with(b"\n") {
            return Ok(End::UsedUp);
        }
        let is_cut = read == FILE_BYTES_MAX && !line.ends_with(b"\n");
        match std::str::from_utf8(&line) {
            Ok(text) if !is_cut => {
                if take(number, text).is_break() {
                    break;
                }
            }
            _ => return Ok(End::NotText),
        }
    }
    Ok(End::Whole)
}

/// What one of the file tools does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Does {
    Read,
    Write,
    Edit,
    List,
    Search,
}

/// One of the file tools.
#[derive(Clone)]
pub struct FileTool {
    workspace: Arc<Workspace>,
    does: Does,
}

/// All tools for files of a workspace: `read_file`, `write_file`, `edit_file`, `list_files`, `search_files`.
pub fn tools(workspace: Workspace) -> Vec<FileTool> {
    let workspace = Arc::new(workspace);
    [Does::Read, Does::Write, Does::Edit, Does::List, Does::Search]
        .into_iter()
        .map(|does| FileTool { workspace: workspace.clone(), does })
        .collect()
}

impl Tool for FileTool {
    fn spec(&self) -> ToolSpec {
        let text = |words: &str| json!({"type": "string", "description": words});
        let number = |words: &str| json!({"type": "integer", "minimum": 1, "description": words});
        let path = text("path within the workspace");
        let (name, description, properties, required) = match self.does {
            Does::Read => (
                "read_file",
                "Reads a text file, or some of its lines.",
                json!({"path": path, "offset": number("the first line, from 1"), "limit": number("the most lines")}),
                json!(["path"]),
            ),
            Does::Write => (
                "write_file",
                "Writes a text file; what was in it is replaced.",
                json!({"path": path, "text": text("the whole new text")}),
                json!(["path", "text"]),
            ),
            Does::Edit => (
                "edit_file",
                "Replaces a passage of a text file. The passage must occur exactly once.",
                json!({"path": path, "old": text("the passage"), "new": text("what takes its place")}),
                json!(["path", "old", "new"]),
            ),
            Does::List => ("list_files", "Lists the files below a folder.", json!({"path": path}), json!([])),
            Does::Search => (
                "search_files",
                "Finds lines that contain a text, in the files below a folder.",
                json!({"text": text("what to look for"), "path": path}),
                json!(["text"]),
            ),
        };
        ToolSpec {
            name: name.to_owned(),
            description: description.to_owned(),
            schema: json!({"type": "object", "properties": properties, "required": required}),
        }
    }

    fn risk(&self, _: &Value) -> Risk {
        match self.does {
            Does::Read | Does::List | Does::Search => Risk::Reads,
            Does::Write | Does::Edit => Risk::Writes,
        }
    }

    fn is_idempotent(&self, _: &Value) -> bool {
        self.does != Does::Edit
    }

    fn call<'a>(&'a self, arguments: &'a Value) -> BoxFuture<'a, Output> {
        // A disk may take its time: on this thread, it would be the time of all that runs beside it.
        Box::pin(async move {
            let (tool, arguments) = (self.clone(), arguments.clone());
            let done = tokio::task::spawn_blocking(move || tool.run(&arguments).unwrap_or_else(|failed| failed)).await;
            done.unwrap_or_else(|error| Output::failed(format!("it did not end: {error}")))
        })
    }
}

impl FileTool {
    fn run(&self, arguments: &Value) -> Result<Output, Output> {
        let workspace = &self.workspace;
        match self.does {
            Does::Read => {
                let name = text_of(arguments, "path")?;
                let text = match (number_of(arguments, "offset")?, number_of(arguments, "limit")?) {
                    (None, None) => workspace.read(name)?,
                    (offset, limit) => workspace.read_lines(name, offset.unwrap_or(1), limit.unwrap_or(u64::MAX))?,
                };
                Ok(Output::done(text))
            }
            Does::Write => {
                let (name, text) = (text_of(arguments, "path")?, text_of(arguments, "text")?);
                workspace.write(name, text)?;
                Ok(Output::done(format!("wrote {} bytes to {name}", text.len())))
            }
            Does::Edit => {
                let name = text_of(arguments, "path")?;
                let (old, new) = (text_of(arguments, "old")?, text_of(arguments, "new")?);
                // What may only be read is not edited, and is not read for it either.
                workspace.path_to_write(name)?;
                let text = workspace.read(name)?;
                match text.matches(old).count() {
                    _ if old.is_empty() => Err(Output::failed("the passage to replace is empty")),
                    1 => {
                        workspace.write(name, &text.replacen(old, new, 1))?;
                        Ok(Output::done(format!("edited {name}")))
                    }
                    0 => Err(Output::failed(format!("the passage is not in {name}; read it again"))),
                    times => Err(Output::failed(format!("the passage is in {name} {times} times; give more of it"))),
                }
            }
            Does::List => {
                let name = arguments.get("path").and_then(Value::as_str).unwrap_or(".");
                let folder = workspace.path_to_read(name)?;
                if !folder.is_dir() {
                    return Err(Output::failed(format!("{name} is no folder")));
                }
                let files = workspace.files(&folder, LISTED_MAX);
                let mut text: String = files.iter().map(|path| workspace.shown(path) + "\n").collect();
                if files.len() == LISTED_MAX {
                    text.push_str(&format!("[only the first {LISTED_MAX} files]\n"));
                }
                Ok(Output::done(text))
            }
            Does::Search => {
                let wanted = text_of(arguments, "text")?;
                if wanted.is_empty() {
                    return Err(Output::failed("there is nothing to look for"));
                }
                let name = arguments.get("path").and_then(Value::as_str).unwrap_or(".");
                let from = workspace.path_to_read(name)?;
                let facts = from.metadata().map_err(|error| Output::failed(format!("cannot read {name}: {error}")))?;
                let files = match (facts.is_dir(), facts.is_file()) {
                    (true, _) => workspace.files(&from, SEARCHED_MAX),
                    (_, true) => vec![from],
                    _ => return Err(no_regular_file(name)),
                };
                let (mut found, mut left) = (Vec::new(), SCANNED_BYTES_MAX);
                if files.len() == SEARCHED_MAX {
                    found.push(format!("[only the first {SEARCHED_MAX} files are looked into]"));
                }
                let before = found.len();
                for path in files {
                    let shown = workspace.shown(&path);
                    let Ok(file) = open(&path, &shown) else { continue };
                    let end = lines(file, &mut left, |number, line| {
                        if line.contains(wanted) {
                            let line = line.trim_end_matches(['\n', '\r']);
                            let line = &line[..line.floor_char_boundary(400)];
                            found.push(format!("{shown}:{number}: {line}"));
                        }
                        if found.len() - before < FOUND_MAX {
                            ControlFlow::Continue(())
                        } else {
                            ControlFlow::Break(())
                        }
                    });
                    if found.len() - before == FOUND_MAX {
                        found.push(format!("[only the first {FOUND_MAX} lines]"));
                        break;
                    }
                    // A file that cannot be read, or is no text, is passed over.
                    if let Ok(end @ End::UsedUp) = end {
                        found.push(format!("[{}; search in a smaller folder]", end.said(0)));
                        break;
                    }
                }
                Ok(Output::done(if found.is_empty() { "nothing found".to_owned() } else { found.join("\n") }))
            }
        }
    }
}

/// A number that may be there. Some models write it as text.
fn number_of(arguments: &Value, name: &str) -> Result<Option<u64>, Output> {
    let number = match arguments.get(name) {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(text)) => text.trim().parse().ok(),
        Some(value) => value.as_u64(),
    };
    number.map(Some).ok_or_else(|| Output::failed(format!("the argument {name:?} is no whole number")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_path_leaves_the_workspace() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("work");
        std::fs::create_dir_all(root.join("inner")).unwrap();
        std::fs::write(folder.path().join("secret"), "x").unwrap();
        let workspace = Workspace::new(&root).unwrap();
        for inside in ["a.txt", "inner/../b", "./inner/new/deep.txt", "inner"] {
            assert!(workspace.path(inside).is_ok(), "{inside}");
        }
        for outside in ["../secret", "/etc/passwd", "inner/../../secret", "..", "a/../../x"] {
            assert!(workspace.path(outside).is_err(), "{outside}");
        }
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(folder.path(), root.join("out")).unwrap();
            std::os::unix::fs::symlink(folder.path().join("nothing"), root.join("dangling")).unwrap();
            for outside in ["out/secret", "out", "dangling", "out/new/file"] {
                assert!(workspace.path(outside).is_err(), "{outside}");
            }
        }
    }

    #[tokio::test]
    async fn files_are_written_edited_listed_and_searched() {
        let folder = tempfile::tempdir().unwrap();
        let tools = tools(Workspace::new(folder.path()).unwrap());
        let run = async |name: &str, arguments: Value| {
            tools.iter().find(|tool| tool.spec().name == name).unwrap().call(&arguments).await
        };
        assert!(run("write_file", json!({"path": "src/部署.rs", "text": "a\nb\na\n"})).await.ok);
        assert!(!run("edit_file", json!({"path": "src/部署.rs", "old": "a", "new": "c"})).await.ok, "twice");
        assert!(run("edit_file", json!({"path": "src/部署.rs", "old": "b", "new": "乙"})).await.ok);
        assert_eq!(run("read_file", json!({"path": "src/部署.rs"})).await.text, "a\n乙\na\n");
        assert_eq!(run("list_files", json!({})).await.text, "src/部署.rs\n");
        assert_eq!(run("search_files", json!({"text": "乙"})).await.text, "src/部署.rs:2: 乙");
        assert!(!run("read_file", json!({"path": "../x"})).await.ok);
    }

    async fn run(workspace: &Workspace, name: &str, arguments: Value) -> Output {
        let tools = tools(workspace.clone());
        let tool = tools.iter().find(|tool| tool.spec().name == name).unwrap();
        let done = tokio::time::timeout(std::time::Duration::from_secs(10), tool.call(&arguments)).await;
        done.unwrap_or_else(|_| panic!("{name} {arguments} did not end"))
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn what_is_no_regular_file_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let workspace = Workspace::new(folder.path()).unwrap();
        let made = std::process::Command::new("mkfifo").arg(folder.path().join("pipe")).status().unwrap();
        assert!(made.success());
        let _socket = std::os::unix::net::UnixListener::bind(folder.path().join("socket")).unwrap();
        std::fs::create_dir(folder.path().join("folder")).unwrap();
        for name in ["pipe", "socket", "folder"] {
            let failed = Output::failed(format!("{name} is no regular file"));
            assert_eq!(run(&workspace, "read_file", json!({"path": name})).await, failed);
            assert_eq!(run(&workspace, "read_file", json!({"path": name, "limit": 1})).await, failed);
            assert_eq!(run(&workspace, "edit_file", json!({"path": name, "old": "a", "new": "b"})).await, failed);
            assert_eq!(run(&workspace, "write_file", json!({"path": name, "text": "a"})).await, failed);
            if name != "folder" {
                assert_eq!(run(&workspace, "search_files", json!({"path": name, "text": "a"})).await, failed);
            }
        }
        assert_eq!(run(&workspace, "search_files", json!({"text": "a"})).await.text, "nothing found");
    }

    #[tokio::test]
    async fn no_file_tool_writes_what_git_does() {
        let folder = tempfile::tempdir().unwrap();
        let workspace = Workspace::new(folder.path()).unwrap();
        std::fs::create_dir(folder.path().join(".git")).unwrap();
        std::fs::write(folder.path().join(".git/config"), "[core]\n").unwrap();
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(folder.path().join(".git"), folder.path().join("link")).unwrap();
            std::os::unix::fs::symlink(folder.path().join(".git/config"), folder.path().join("file")).unwrap();
        }
        for name in [".git/config", ".git/hooks/new/hook", "a/.git", "a/.GIT/config", "x/../.git/config"] {
            let output = run(&workspace, "write_file", json!({"path": name, "text": "[core]\nfsmonitor = x"})).await;
            assert!(!output.ok && output.text.contains("not written to"), "{name}: {}", output.text);
        }
        if cfg!(unix) {
            for name in ["link/config", "link/hooks/hook", "file"] {
                assert!(!run(&workspace, "write_file", json!({"path": name, "text": ""})).await.ok, "{name}");
            }
        }
        assert!(!run(&workspace, "edit_file", json!({"path": ".git/config", "old": "core", "new": "x"})).await.ok);
        assert_eq!(std::fs::read_to_string(folder.path().join(".git/config")).unwrap(), "[core]\n");
        for name in [".gitignore", ".github/workflows/ci.yml", "git/config"] {
            assert!(run(&workspace, "write_file", json!({"path": name, "text": ""})).await.ok, "{name}");
        }
    }

    #[tokio::test]
    async fn a_folder_beside_the_workspace_is_read_and_never_written() {
        let folder = tempfile::tempdir().unwrap();
        let (root, kept) = (folder.path().join("work"), folder.path().join("runs/1/output"));
        std::fs::create_dir(&root).unwrap();
        let workspace = Workspace::new(&root).unwrap().with_readable(&kept);
        let long = kept.join("turn-1-call-0.txt");
        let path = long.to_str().unwrap();
        assert!(run(&workspace, "read_file", json!({"path": path})).await.text.contains("outside"), "it is not there");
        std::fs::create_dir_all(&kept).unwrap();
        std::fs::write(&long, "a\n乙\nc\n").unwrap();
        std::fs::write(folder.path().join("runs/1/journal.jsonl"), "secret").unwrap();
        assert_eq!(run(&workspace, "read_file", json!({"path": path})).await, Output::done("a\n乙\nc\n"));
        let found = run(&workspace, "search_files", json!({"path": path, "text": "乙"})).await;
        assert!(found.text.ends_with("turn-1-call-0.txt:2: 乙"), "{}", found.text);
        for name in [path, kept.join("new.txt").to_str().unwrap()] {
            assert!(!run(&workspace, "write_file", json!({"path": name, "text": "x"})).await.ok, "{name}");
        }
        assert!(!run(&workspace, "edit_file", json!({"path": path, "old": "a", "new": "x"})).await.ok);
        assert_eq!(std::fs::read_to_string(&long).unwrap(), "a\n乙\nc\n");
        let journal = kept.join("../journal.jsonl");
        for name in [journal.to_str().unwrap(), "/etc/passwd"] {
            assert!(!run(&workspace, "read_file", json!({"path": name})).await.ok, "{name}");
        }
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(folder.path().join("runs/1/journal.jsonl"), kept.join("link")).unwrap();
            let link = kept.join("link");
            assert!(!run(&workspace, "read_file", json!({"path": link.to_str().unwrap()})).await.ok);
        }
    }

    #[tokio::test]
    async fn some_lines_of_a_file_of_any_length_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let workspace = Workspace::new(folder.path()).unwrap();
        let read = async |arguments: Value| run(&workspace, "read_file", arguments).await;
        std::fs::write(folder.path().join("a"), "1\n2\n3\n4").unwrap();
        let more = "2\n3\n[there are more lines: go on with offset 4]\n";
        assert_eq!(read(json!({"path": "a", "offset": 2, "limit": 2})).await, Output::done(more));
        assert_eq!(read(json!({"path": "a", "offset": "4"})).await, Output::done("4"));
        assert_eq!(read(json!({"path": "a", "offset": 0, "limit": 9})).await, Output::done("1\n2\n3\n4"));
        assert_eq!(read(json!({"path": "a", "offset": 9})).await, Output::failed("a has 4 lines: there is no line 9"));
        assert!(!read(json!({"path": "a", "limit": -1})).await.ok);
        let line = "x".repeat(1023) + "\n";
        std::fs::write(folder.path().join("long"), line.repeat(5 * 1024) + "the end\n").unwrap();
        let whole = read(json!({"path": "long"})).await;
        assert!(!whole.ok && whole.text.contains("offset and limit"), "{}", whole.text);
        assert!(read(json!({"path": "long", "offset": 1})).await.text.contains("ask for fewer"));
        assert_eq!(read(json!({"path": "long", "offset": 5 * 1024 + 1})).await, Output::done("the end\n"));
        assert_eq!(run(&workspace, "search_files", json!({"text": "the end"})).await.text, "long:5121: the end");
        std::fs::write(folder.path().join("binary"), b"text\n\xff\xfe\n").unwrap();
        assert!(!read(json!({"path": "binary", "offset": 2})).await.ok);
    }
}

//! Files of the workspace, and none outside it.

use std::io::Read;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use harness_memory::memory::BoxFuture;
use serde_json::{Value, json};

use super::{Output, Risk, Tool, text_of};
use crate::model::ToolSpec;

/// The largest file that is read or edited, in bytes.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// Entries that a listing shows, and files that a search looks into.
const LISTED_MAX: usize = 500;
const SEARCHED_MAX: usize = 5_000;

/// Lines that a search shows.
const FOUND_MAX: usize = 200;

/// Folders that hold what nobody wrote.
const PASSED_OVER: &[&str] = &[".git", "target", "node_modules", ".venv", "__pycache__"];

/// A folder that paths cannot leave, by `..`, by absolute paths, or by links.
#[derive(Clone, Debug)]
pub struct Workspace {
    root: PathBuf,
}

impl Workspace {
    /// The workspace in this folder, which must be there.
    pub fn new(root: &Path) -> std::io::Result<Workspace> {
        Ok(Workspace { root: root.canonicalize()? })
    }

    /// The folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The path that a name means inside the workspace; the file need not exist.
    pub fn path(&self, name: &str) -> Result<PathBuf, String> {
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
                Ok(real) if real.starts_with(&self.root) => return Ok(path),
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

    fn read(&self, name: &str) -> Result<String, Output> {
        let path = self.path(name).map_err(Output::failed)?;
        let failed = |error: std::io::Error| Output::failed(format!("cannot read {name}: {error}"));
        let file = std::fs::File::open(path).map_err(failed)?;
        if !file.metadata().map_err(failed)?.is_file() {
            return Err(Output::failed(format!("{name} is no file")));
        }
        let mut bytes = Vec::new();
        file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(failed)?;
        if bytes.len() as u64 > FILE_BYTES_MAX {
            return Err(Output::failed(format!("{name} is larger than {FILE_BYTES_MAX} bytes: search in it instead")));
        }
        String::from_utf8(bytes).map_err(|_| Output::failed(format!("{name} is not UTF-8 text")))
    }

    fn write(&self, name: &str, text: &str) -> Result<(), Output> {
        let path = self.path(name).map_err(Output::failed)?;
        let failed = |error: std::io::Error| Output::failed(format!("cannot write {name}: {error}"));
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
        let path = text("path within the workspace");
        let (name, description, properties, required) = match self.does {
            Does::Read => ("read_file", "Reads a text file.", json!({"path": path}), json!(["path"])),
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
        Box::pin(std::future::ready(self.run(arguments).unwrap_or_else(|failed| failed)))
    }
}

impl FileTool {
    fn run(&self, arguments: &Value) -> Result<Output, Output> {
        let workspace = &self.workspace;
        match self.does {
            Does::Read => Ok(Output::done(workspace.read(text_of(arguments, "path")?)?)),
            Does::Write => {
                let (name, text) = (text_of(arguments, "path")?, text_of(arguments, "text")?);
                workspace.write(name, text)?;
                Ok(Output::done(format!("wrote {} bytes to {name}", text.len())))
            }
            Does::Edit => {
                let name = text_of(arguments, "path")?;
                let (old, new) = (text_of(arguments, "old")?, text_of(arguments, "new")?);
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
                let folder = workspace.path(name).map_err(Output::failed)?;
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
                let from = workspace.path(name).map_err(Output::failed)?;
                let files = if from.is_file() { vec![from] } else { workspace.files(&from, SEARCHED_MAX) };
                let mut found = Vec::new();
                for path in files {
                    let shown = workspace.shown(&path);
                    let Ok(text) = workspace.read(&shown) else { continue };
                    for (number, line) in (1..).zip(text.lines()).filter(|(_, line)| line.contains(wanted)) {
                        let line = &line[..line.floor_char_boundary(400)];
                        found.push(format!("{shown}:{number}: {line}"));
                        if found.len() == FOUND_MAX {
                            found.push(format!("[only the first {FOUND_MAX} lines]"));
                            return Ok(Output::done(found.join("\n")));
                        }
                    }
                }
                Ok(Output::done(if found.is_empty() { "nothing found".to_owned() } else { found.join("\n") }))
            }
        }
    }
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
}

//! A temporary home and the real binary on it.

#![allow(dead_code, reason = "each test file uses a part of it")]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

/// How often a loop runs: `few` in the common test run, `all` where the long loops run in full.
pub(crate) fn rounds(few: usize, all: usize) -> usize {
    if std::env::var("HARNESS_TEST_ROUNDS").is_ok_and(|rounds| rounds == "full") { all } else { few }
}

/// The id in one line of JSON.
pub(crate) fn id_of(line: &str) -> String {
    let value: Value = serde_json::from_str(line).unwrap();
    value["id"].as_str().unwrap().to_owned()
}

/// A home of its own, removed at the end.
pub(crate) struct Home {
    folder: tempfile::TempDir,
}

impl Home {
    pub(crate) fn new() -> Home {
        Home { folder: tempfile::tempdir().unwrap() }
    }

    /// The folder given as `--home`.
    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("home")
    }

    /// A folder beside it.
    pub(crate) fn outside(&self) -> &Path {
        self.folder.path()
    }

    /// The binary with these arguments, in a folder of its own, with nothing of the user's settings.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_harness"));
        command.current_dir(self.folder.path()).env("HARNESS_HOME", self.path()).env("HARNESS_USER", "ana");
        command.env_remove("HARNESS_LOG").env("NO_COLOR", "1");
        command.args(arguments);
        command
    }

    /// Runs the binary, whatever it answers.
    pub(crate) fn output(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Runs the binary, which must succeed, and answers what it printed.
    pub(crate) fn run(&self, arguments: &[&str]) -> String {
        let output = self.output(arguments);
        let errors = String::from_utf8_lossy(&output.stderr);
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{arguments:?} ended with {}: {errors}{said}", output.status);
        String::from_utf8(output.stdout).unwrap()
    }

    /// Keeps a note and answers its id.
    pub(crate) fn remember(&self, text: &str) -> String {
        id_of(&self.run(&["--json", "remember", text]))
    }

    /// The hits of a search: their ids and texts, in order.
    pub(crate) fn search(&self, query: &str, limit: usize) -> Vec<(String, String)> {
        let limit = limit.to_string();
        let output = self.output(&["--json", "recall", "search", "--mode", "text", "-n", &limit, query]);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code().is_some_and(|code| code < 2), "{query}: {errors}");
        let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
        let hits = answer["hits"].as_array().unwrap().iter();
        let text = |hit: &Value, field: &str| hit[field].as_str().unwrap().to_owned();
        hits.map(|hit| (text(hit, "id"), text(hit, "text"))).collect()
    }

    /// The ids of a search's hits, in order.
    pub(crate) fn search_ids(&self, query: &str) -> Vec<String> {
        self.search(query, 10).into_iter().map(|(id, _)| id).collect()
    }

    /// How many changes the text index is behind.
    pub(crate) fn lag(&self) -> u64 {
        let lines = self.run(&["--json", "index", "status"]);
        let text = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        text.filter(|index| index["name"] == "text").map(|index| index["lag"].as_u64().unwrap()).sum()
    }

    fn database(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.path().join("store.db")).unwrap()
    }

    /// The ids of all live notes, read past the program.
    pub(crate) fn notes(&self) -> BTreeSet<String> {
        let database = self.database();
        let mut select = database.prepare("SELECT id FROM records WHERE kind = 3 AND deleted_at_ms IS NULL").unwrap();
        let ids = select.query_map([], |row| row.get::<_, [u8; 16]>(0)).unwrap();
        ids.map(|id| uuid::Uuid::from_bytes(id.unwrap()).to_string()).collect()
    }

    /// How many live messages there are, read past the program; none while the program is still making the store.
    pub(crate) fn messages(&self) -> i64 {
        let count = "SELECT count(*) FROM records WHERE kind = 1 AND deleted_at_ms IS NULL";
        let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
        let Ok(database) = rusqlite::Connection::open_with_flags(self.path().join("store.db"), flags) else { return 0 };
        match database.query_row(count, [], |row| row.get(0)) {
            Err(error) if error.to_string().contains("no such table") => 0,
            counted => counted.unwrap(),
        }
    }

    /// Asserts that the log has no gap and that `doctor` finds nothing wrong.
    pub(crate) fn assert_well(&self) {
        self.assert_no_gap();
        // Whoever wrote last may have ended before the index was made, and somebody may be making it just now: that is no
        // damage, which would stay.
        self.output(&["index", "follow", "--idle", "0"]);
        let patience = std::time::Instant::now();
        while !self.output(&["doctor"]).status.success() && patience.elapsed() < std::time::Duration::from_secs(20) {
            std::thread::sleep(std::time::Duration::from_millis(200));
        }
        self.run(&["doctor"]);
    }

    /// Asserts that the log has no gap.
    pub(crate) fn assert_no_gap(&self) {
        let (first, last, entries): (i64, i64, i64) = self
            .database()
            .query_row("SELECT min(seq), max(seq), count(*) FROM changes", [], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?))
            })
            .unwrap();
        assert_eq!((first, last), (1, entries), "the log has no gap");
    }

    /// The processes that follow this home, by their command lines.
    pub(crate) fn followers(&self) -> Vec<u32> {
        let home = self.path();
        let mut found = Vec::new();
        for entry in fs::read_dir("/proc").unwrap().flatten() {
            let Ok(pid) = entry.file_name().to_string_lossy().parse::<u32>() else { continue };
            let Ok(line) = fs::read(entry.path().join("cmdline")) else { continue };
            let arguments: Vec<&[u8]> = line.split(|byte| *byte == 0).collect();
            let environment = fs::read(entry.path().join("environ")).unwrap_or_default();
            let ours = arguments.contains(&home.as_os_str().as_encoded_bytes())
                || environment
                    .split(|byte| *byte == 0)
                    .any(|entry| entry.strip_prefix(b"HARNESS_HOME=") == Some(home.as_os_str().as_encoded_bytes()));
            if ours && arguments.windows(2).any(|pair| pair == [b"index".as_slice(), b"follow".as_slice()]) {
                found.push(pid);
            }
        }
        found
    }

    /// Writes a Claude Code transcript of this many messages beside the home.
    pub(crate) fn transcript(&self, name: &str, messages: usize) -> PathBuf {
        let path = self.folder.path().join(name);
        let mut lines = String::new();
        for number in 0..messages {
            let (kind, text) = if number % 2 == 0 {
                ("user", format!("question {number}: why did the deploy of shard {} time out? 部署超时", number % 97))
            } else {
                ("assistant", format!("answer {number}: the pool held {} connections, raise it 连接池", number % 89))
            };
            let _ = writeln!(
                lines,
                r#"{{"parentUuid":null,"isSidechain":false,"userType":"external","cwd":"/home/ana/shop","sessionId":"session-{}","version":"2.1.0","gitBranch":"main","type":"{kind}","message":{{"role":"{kind}","content":"{text}"}},"uuid":"uuid-{number}","timestamp":"2026-05-0{}T10:{:02}:{:02}.000Z"}}"#,
                number / 60,
                1 + number / 3_600 % 9,
                number / 60 % 60,
                number % 60,
            );
        }
        fs::write(&path, lines).unwrap();
        path
    }
}

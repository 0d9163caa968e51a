//! Setting coding tools up, in a home folder of the test's own.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::home::{Done, Home, done};

/// Settings as a person keeps them: their own order, spacing and hooks.
const CLAUDE: &str = r#"{
    "model": "opus",   "permissions": {"allow": ["Bash(ls:*)"], "deny": []},
    "hooks": {
        "Stop": [ {"matcher": "", "hooks": [{"type": "command", "command": "say done"}]} ]
    },
    "theme":"dark"
}
"#;
const CLAUDE_STATE: &str = "{\"numStartups\": 41, \"mcpServers\": {\"github\": {\"command\": \"gh-mcp\", \"args\": []}},\n\n  \"projects\": {}}";
const CODEX: &str = "# my settings\nmodel = \"gpt-5\"   # the fast one\n\n[mcp_servers.github]\ncommand = \"gh-mcp\"\n";
const OPENCODE: &str = "{\n  // mine\n  \"$schema\": \"https://opencode.ai/config.json\",\n  \"mcp\": {},\n}\n";
const CURSOR: &str = "{ \"version\": 1, \"hooks\": { \"stop\": [ { \"command\": \"say done\" } ] } }\n";
const GEMINI: &str = "{\n\t\"theme\": \"GitHub\",\n\t\"hooks\": {\n\t\t\"AfterAgent\": [{\"hooks\": [{\"type\": \"command\", \"command\": \"say\"}]}]\n\t}\n}\n";

/// A home folder with settings of every tool.
struct Machine {
    home: Home,
    folder: PathBuf,
}

impl Machine {
    fn new(files: &[(&str, &str)]) -> Machine {
        let home = Home::new();
        let folder = home.work().join("ana");
        fs::create_dir_all(&folder).unwrap();
        for (name, text) in files {
            let path = folder.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        Machine { home, folder }
    }

    fn run(&self, args: &[&str]) -> Done {
        let mut command = self.home.command();
        for name in ["CODEX_HOME", "XDG_CONFIG_HOME", "USERPROFILE", "APPDATA"] {
            command.env_remove(name);
        }
        done(command.env("HOME", &self.folder).args(args))
    }

    fn all(&self) -> Vec<(String, String)> {
        fn walk(top: &Path, folder: &Path, files: &mut BTreeMap<String, String>) {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    walk(top, &path, files);
                } else {
                    let name = path.strip_prefix(top).unwrap().to_string_lossy().into_owned();
                    files.insert(name, fs::read_to_string(&path).unwrap());
                }
            }
        }
        let mut files = BTreeMap::new();
        walk(&self.folder, &self.folder, &mut files);
        files.into_iter().collect()
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.folder.join(name)).unwrap()
    }
}

fn everything() -> Machine {
    Machine::new(&[
        (".claude/settings.json", CLAUDE),
        (".claude.json", CLAUDE_STATE),
        (".codex/config.toml", CODEX),
        (".config/opencode/opencode.json", OPENCODE),
        (".cursor/hooks.json", CURSOR),
        (".gemini/settings.json", GEMINI),
        ("notes.txt", "not a setting"),
    ])
}

const TOOLS: [&str; 6] = ["claude-code", "codex", "gemini", "opencode", "cursor", "copilot"];

/// The lines of `before`, without a comma at their end, are all in `after`, in order: nothing of the owner's went.
fn assert_kept(before: &str, after: &str) {
    let mut lines = after.lines();
    for line in before.lines() {
        let wanted = line.trim_end_matches([',', '}', ']', ' ']);
        assert!(lines.any(|line| line.starts_with(wanted)), "{line:?} is gone or moved:\n{after}");
    }
}

#[test]
fn a_dry_run_shows_the_change_and_changes_nothing() {
    let machine = everything();
    let before = machine.all();
    for tool in TOOLS {
        let done = machine.run(&["install", tool, "--dry-run"]);
        assert_eq!(done.code, 0, "{}", done.err);
        assert!(done.out.contains("would change; nothing was changed"), "{}", done.out);
        assert!(done.out.lines().any(|line| line.trim_start().starts_with('+')), "{}", done.out);
    }
    assert_eq!(machine.all(), before);
    assert!(!machine.home.path().join("install").exists());
}

#[test]
fn installing_twice_is_installing_once_and_uninstalling_puts_every_byte_back() {
    let machine = everything();
    let before = machine.all();
    for tool in TOOLS {
        let done = machine.run(&["install", tool]);
        assert_eq!(done.code, 0, "{}", done.err);
        let once = machine.all();
        assert_ne!(once, before, "{tool}");
        let again = machine.run(&["install", tool]);
        assert!(again.out.contains("is set up already"), "{}{}", again.out, again.err);
        assert_eq!(machine.all(), once, "{tool}");
        let done = machine.run(&["uninstall", tool, "--purge"]);
        assert_eq!(done.code, 0, "{}", done.err);
        assert_eq!(machine.all(), before, "{tool}");
        assert_eq!(machine.run(&["uninstall", tool]).code, 1);
    }
}

#[test]
fn what_the_owner_wrote_stays_and_ours_stands_beside_it() {
    let machine = everything();
    for tool in TOOLS {
        assert_eq!(machine.run(&["install", tool]).code, 0);
    }
    assert_kept(CLAUDE, &machine.read(".claude/settings.json"));
    assert_kept(CODEX, &machine.read(".codex/config.toml"));
    assert_kept(OPENCODE, &machine.read(".config/opencode/opencode.json"));
    assert_kept(GEMINI, &machine.read(".gemini/settings.json"));
    let claude: Value = serde_json::from_str(&machine.read(".claude/settings.json")).unwrap();
    for event in ["SessionStart", "UserPromptSubmit", "Stop", "PreCompact", "SessionEnd"] {
        let entry = claude["hooks"][event].as_array().unwrap().last().unwrap();
        let command = entry["hooks"][0]["command"].as_str().unwrap();
        // A line that every version of the tool understands, with the home of this test.
        assert!(command.ends_with("hook claude-code") && command.contains("--home"), "{command}");
    }
    let state: Value = serde_json::from_str(&machine.read(".claude.json")).unwrap();
    assert_eq!(state["mcpServers"]["harness"]["args"].as_array().unwrap().last().unwrap(), "mcp");
    assert_eq!(state["mcpServers"]["github"]["command"], "gh-mcp");
    let gemini: Value = serde_json::from_str(&machine.read(".gemini/settings.json")).unwrap();
    assert_eq!(gemini["hooks"]["AfterAgent"].as_array().unwrap().len(), 2);
    // Gemini counts in milliseconds.
    assert_eq!(gemini["hooks"]["BeforeAgent"][0]["hooks"][0]["timeout"], 5_000);
    let cursor: Value = serde_json::from_str(&machine.read(".cursor/hooks.json")).unwrap();
    assert_eq!(cursor["hooks"]["stop"][0]["command"], "say done");
    assert!(cursor["hooks"]["beforeSubmitPrompt"][0]["command"].as_str().unwrap().ends_with("hook cursor"));
    assert!(machine.read(".config/opencode/plugins/harness.ts").contains("--home"));
    assert!(machine.read(".claude/skills/harness-memory/SKILL.md").contains("When to save"));
    assert_eq!(machine.read("notes.txt"), "not a setting");
}

#[test]
fn what_the_owner_changed_since_stays_when_ours_is_taken_out() {
    let machine = everything();
    assert_eq!(machine.run(&["install", "claude-code"]).code, 0);
    let path = machine.folder.join(".claude/settings.json");
    let changed = fs::read_to_string(&path).unwrap().replace("\"dark\"", "\"light\"");
    fs::write(&path, changed).unwrap();
    assert_eq!(machine.run(&["uninstall", "claude-code"]).code, 0);
    assert_eq!(machine.read(".claude/settings.json"), CLAUDE.replace("\"dark\"", "\"light\""));
    assert_eq!(machine.read(".claude.json"), CLAUDE_STATE);
}

#[test]
fn a_machine_without_settings_gets_them_and_is_empty_again_afterwards() {
    let machine = Machine::new(&[]);
    for tool in TOOLS {
        assert_eq!(machine.run(&["install", tool]).code, 0, "{tool}");
        assert_eq!(machine.run(&["uninstall", tool]).code, 0, "{tool}");
        assert_eq!(machine.all(), [], "{tool}");
    }
}

#[test]
fn broken_settings_are_named_and_nothing_is_touched() {
    let machine = Machine::new(&[(".claude/settings.json", "{ \"model\": "), (".gemini/settings.json", "[]")]);
    let before = machine.all();
    for tool in ["claude-code", "gemini"] {
        let done = machine.run(&["install", tool]);
        assert_eq!(done.code, 2, "{}", done.out);
        assert!(done.err.contains("settings.json"), "{}", done.err);
    }
    assert_eq!(machine.all(), before);
    let done = machine.run(&["install", "aider"]);
    assert!(done.code == 2 && done.err.contains("no hooks"), "{}", done.err);
}

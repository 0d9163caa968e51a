//! The tools that can be set up, and what each is given.

use std::path::{Path, PathBuf};

use agent_config::{Event, HookSpec, McpSpec, Scope, ScriptTemplate, SkillSpec, by_id, mcp_by_id, skill_by_id};
use anyhow::Context;
use serde_json::{Map, Value, json};

use super::json_text;

/// The name under which everything of ours is entered.
const TAG: &str = "harness";

/// The skill's name, which is also its folder's.
const SKILL: &str = "harness-memory";

/// The skill as it is in the repository, with its head.
const SKILL_TEXT: &str = include_str!("../../../../integrations/claude-code/skills/harness-memory/SKILL.md");

/// OpenCode's plugin as it is in the repository.
const OPENCODE_PLUGIN: &str = include_str!("../../../../integrations/opencode/harness.ts");

/// The line of the plugin that names the command.
const OPENCODE_COMMAND: &str = "const COMMAND = [\"harness\"]";

/// How long a tool waits for our hook, in seconds: several times what it takes at most.
const HOOK_SECONDS: u64 = 5;

/// A tool that can be set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    ClaudeCode,
    Codex,
    Gemini,
    OpenCode,
    Cursor,
    Copilot,
}

/// What a tool can be given.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wiring {
    /// Its hooks or plugin, so that it remembers and recalls by itself.
    pub(crate) hooks: bool,
    /// What its owner has to know or do.
    pub(crate) remark: Option<&'static str>,
}

impl Target {
    pub(crate) const ALL: [Target; 6] =
        [Target::ClaudeCode, Target::Codex, Target::Gemini, Target::OpenCode, Target::Cursor, Target::Copilot];

    /// The tool's name, as everywhere.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Target::ClaudeCode => "claude-code",
            Target::Codex => "codex",
            Target::Gemini => "gemini",
            Target::OpenCode => "opencode",
            Target::Cursor => "cursor",
            Target::Copilot => "copilot",
        }
    }

    pub(crate) fn named(name: &str) -> Result<Target, String> {
        let known: Vec<&str> = Target::ALL.iter().map(|target| target.name()).collect();
        if name == "aider" {
            return Err("aider has no hooks, MCP entries or skills to set up; \
                        `harness session import` reads its .aider.chat.history.md"
                .to_owned());
        }
        let found = Target::ALL.into_iter().find(|target| target.name() == name);
        found.ok_or_else(|| format!("these tools can be set up: {}", known.join(", ")))
    }

    /// What agent-config calls it.
    fn id(self) -> &'static str {
        match self {
            Target::ClaudeCode => "claude",
            other => other.name(),
        }
    }

    pub(crate) fn wiring(self) -> Wiring {
        match self {
            Target::Codex => {
                Wiring { hooks: true, remark: Some("Codex asks once whether it may run the hooks: see /hooks there") }
            }
            Target::Copilot => Wiring {
                hooks: false,
                remark: Some(
                    "Copilot CLI has no hooks of the person's own, only a repository's: its sessions are remembered \
                     by `harness session import`",
                ),
            },
            Target::Cursor => {
                Wiring { hooks: true, remark: Some("restart Cursor, so that it reads its MCP servers anew") }
            }
            _ => Wiring { hooks: true, remark: None },
        }
    }
}

/// How the tools are to call us.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub(crate) program: PathBuf,
    /// The home, when it is not the default one.
    pub(crate) home: Option<PathBuf>,
}

impl Caller {
    fn arguments(&self, rest: &[&str]) -> Vec<String> {
        let home = self.home.iter().flat_map(|home| ["--home".to_owned(), home.to_string_lossy().into_owned()]);
        home.chain(rest.iter().map(|part| (*part).to_owned())).collect()
    }

    /// A line for a shell. Every version of every tool understands one; lists of arguments came later.
    fn line(&self, rest: &[&str]) -> String {
        let program = self.program.to_string_lossy().into_owned();
        let words = std::iter::once(program).chain(self.arguments(rest));
        words.map(|word| quoted(&word)).collect::<Vec<_>>().join(" ")
    }
}

fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@%+,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

/// The files that setting the tool up may touch, in the places where they are on this machine.
pub(super) fn files(target: Target, caller: &Caller) -> anyhow::Result<Vec<PathBuf>> {
    let scope = Scope::Global;
    let mut files = Vec::new();
    let mut add = |changes: Vec<agent_config::PlannedChange>| {
        use agent_config::PlannedChange as C;
        for change in changes {
            match change {
                C::CreateFile { path }
                | C::PatchFile { path }
                | C::RemoveFile { path }
                | C::WriteLedger { path, .. }
                | C::RemoveLedgerEntry { path, .. }
                | C::NoOp { path, .. }
                | C::Refuse { path: Some(path), .. }
                | C::RestoreBackup { target: path, .. } => files.push(path),
                _ => {}
            }
        }
    };
    let mcp = mcp_by_id(target.id()).context("agent-config knows no MCP entries of this tool")?;
    add(mcp.plan_install_mcp(&scope, &mcp_spec(caller)?)?.changes);
    add(mcp.plan_uninstall_mcp(&scope, TAG, TAG)?.changes);
    if let Some(skills) = skill_by_id(target.id()) {
        add(skills.plan_install_skill(&scope, &skill_spec()?)?.changes);
        add(skills.plan_uninstall_skill(&scope, SKILL, TAG)?.changes);
    }
    if target.wiring().hooks {
        match own_hooks(target) {
            Some(hooks) => files.push((hooks.file)()?),
            None => {
                let hooks = by_id(target.id()).context("agent-config knows no hooks of this tool")?;
                for spec in hook_specs(target, caller)? {
                    add(hooks.plan_install(&scope, &spec)?.changes);
                }
                add(hooks.plan_uninstall(&scope, TAG)?.changes);
            }
        }
    }
    files.sort();
    files.dedup();
    Ok(files)
}

/// Sets the tool up in the folders that the environment names.
pub(super) fn install(target: Target, caller: &Caller) -> anyhow::Result<()> {
    let scope = Scope::Global;
    if target.wiring().hooks {
        match own_hooks(target) {
            Some(hooks) => edit_hooks(&hooks, Some(&caller.line(&["hook", target.name()])))?,
            None => {
                let hooks = by_id(target.id()).context("agent-config knows no hooks of this tool")?;
                for spec in hook_specs(target, caller)? {
                    let _report = hooks.install(&scope, &spec).context("cannot enter the hooks")?;
                }
            }
        }
    }
    let mcp = mcp_by_id(target.id()).context("agent-config knows no MCP entries of this tool")?;
    let _report = mcp.install_mcp(&scope, &mcp_spec(caller)?).context("cannot enter the MCP server")?;
    if let Some(skills) = skill_by_id(target.id()) {
        let _report = skills.install_skill(&scope, &skill_spec()?).context("cannot add the skill")?;
    }
    Ok(())
}

/// Takes that back.
pub(super) fn uninstall(target: Target) -> anyhow::Result<()> {
    let scope = Scope::Global;
    if target.wiring().hooks {
        match own_hooks(target) {
            Some(hooks) => edit_hooks(&hooks, None)?,
            None => {
                let hooks = by_id(target.id()).context("agent-config knows no hooks of this tool")?;
                let _report = hooks.uninstall(&scope, TAG).context("cannot remove the hooks")?;
            }
        }
    }
    let mcp = mcp_by_id(target.id()).context("agent-config knows no MCP entries of this tool")?;
    let _report = mcp.uninstall_mcp(&scope, TAG, TAG).context("cannot remove the MCP server")?;
    if let Some(skills) = skill_by_id(target.id()) {
        let _report = skills.uninstall_skill(&scope, SKILL, TAG).context("cannot remove the skill")?;
    }
    Ok(())
}

fn mcp_spec(caller: &Caller) -> anyhow::Result<McpSpec> {
    let program = caller.program.to_string_lossy().into_owned();
    let spec = McpSpec::builder(TAG).owner(TAG).stdio(program, caller.arguments(&["mcp"]));
    spec.try_build().context("cannot describe the MCP server")
}

fn skill_spec() -> anyhow::Result<SkillSpec> {
    // The file in the repository is whole, with a head that agent-config writes itself.
    let head = SKILL_TEXT.strip_prefix("---\n").and_then(|text| text.split_once("\n---\n"));
    let (head, body) = head.context("the skill has no head")?;
    let description = head.lines().find_map(|line| line.strip_prefix("description: "));
    let spec = SkillSpec::builder(SKILL).owner(TAG).description(description.context("the skill has no description")?);
    spec.body(body.trim_start()).try_build().context("cannot describe the skill")
}

fn hook_specs(target: Target, caller: &Caller) -> anyhow::Result<Vec<HookSpec>> {
    let line = caller.line(&["hook", target.name()]);
    let spec =
        |event: Event| HookSpec::builder(TAG).command_shell_unchecked(&line).event(event).timeout_seconds(HOOK_SECONDS);
    let events = match target {
        Target::ClaudeCode => {
            vec![Event::SessionStart, Event::UserPromptSubmit, Event::Stop, Event::PreCompact, Event::SessionEnd]
        }
        Target::Codex => vec![Event::SessionStart, Event::UserPromptSubmit, Event::Stop, Event::PreCompact],
        Target::OpenCode => {
            let words = std::iter::once(caller.program.to_string_lossy().into_owned()).chain(caller.arguments(&[]));
            let command = Value::Array(words.map(Value::String).collect());
            let plugin = OPENCODE_PLUGIN.replace(OPENCODE_COMMAND, &format!("const COMMAND = {command}"));
            let spec = spec(Event::Custom("event".into())).script(ScriptTemplate::TypeScript(plugin));
            return Ok(vec![spec.try_build().context("cannot describe the plugin")?]);
        }
        _ => Vec::new(),
    };
    events.into_iter().map(|event| spec(event).try_build().context("cannot describe a hook")).collect()
}

/// Hooks of a tool whose events agent-config does not write, or writes with a matcher that the tool does not expect.
struct OwnHooks {
    file: fn() -> anyhow::Result<PathBuf>,
    events: &'static [&'static str],
    /// One entry of an event, for a command.
    entry: fn(&str) -> Value,
    /// Members that the file cannot be without.
    needs: fn(&mut Map<String, Value>),
}

fn own_hooks(target: Target) -> Option<OwnHooks> {
    match target {
        Target::Gemini => Some(OwnHooks {
            file: || Ok(agent_config::paths::gemini_home()?.join("settings.json")),
            events: &["SessionStart", "BeforeAgent", "AfterAgent", "PreCompress", "SessionEnd"],
            // Gemini counts in milliseconds.
            entry: |line| {
                let hook = json!({"name": TAG, "type": "command", "command": line, "timeout": HOOK_SECONDS * 1_000});
                json!({ "hooks": [hook] })
            },
            needs: |_| {},
        }),
        Target::Cursor => Some(OwnHooks {
            file: || Ok(agent_config::paths::cursor_home()?.join("hooks.json")),
            events: &["sessionStart", "beforeSubmitPrompt", "stop", "preCompact", "sessionEnd"],
            entry: |line| json!({"command": line, "timeout": HOOK_SECONDS}),
            needs: |file| {
                file.entry("version").or_insert(json!(1));
            },
        }),
        _ => None,
    }
}

/// Enters our hooks for each event, or with no command takes them out.
fn edit_hooks(hooks: &OwnHooks, line: Option<&str>) -> anyhow::Result<()> {
    let path = (hooks.file)()?;
    let doing = || format!("cannot read {}", path.display());
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && line.is_none() => return Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => "{}".to_owned(),
        Err(error) => return Err(error).with_context(doing),
    };
    let Some(Value::Object(mut file)) = json_text::value(if text.trim().is_empty() { "{}" } else { &text }) else {
        anyhow::bail!("{} is no JSON object", path.display());
    };
    if line.is_some() {
        (hooks.needs)(&mut file);
    }
    let events = file.entry("hooks").or_insert_with(|| json!({}));
    let events = events.as_object_mut().with_context(|| format!("`hooks` in {} is no object", path.display()))?;
    for event in hooks.events {
        let entries = events.entry(*event).or_insert_with(|| json!([]));
        let entries = entries.as_array_mut().with_context(|| format!("`{event}` in {} is no list", path.display()))?;
        // In its place, so that installing again changes nothing.
        let place = entries.iter().position(is_ours);
        entries.retain(|entry| !is_ours(entry));
        if let Some(line) = line {
            let place = place.unwrap_or(entries.len()).min(entries.len());
            entries.insert(place, (hooks.entry)(line));
        }
    }
    if line.is_none() {
        events.retain(|_, entries| entries != &json!([]));
        if events.is_empty() {
            file.remove("hooks");
        }
    }
    let empty = file.iter().all(|(name, value)| name == "version" && value == &json!(1));
    if line.is_none() && empty {
        return std::fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()));
    }
    write(&path, &Value::Object(file))
}

/// Whether an entry calls `harness hook …`, wherever the program is.
fn is_ours(entry: &Value) -> bool {
    let ours = |command: &Value| {
        let words: Vec<&str> = command.as_str().unwrap_or_default().split_whitespace().collect();
        let program = words.first().map_or("", |word| word.trim_matches('\''));
        Path::new(program).file_stem().is_some_and(|name| name == "harness") && words.contains(&"hook")
    };
    let inner = entry
        .get("hooks")
        .and_then(Value::as_array)
        .is_some_and(|hooks| !hooks.is_empty() && hooks.iter().all(|hook| hook.get("command").is_some_and(ours)));
    inner || entry.get("command").is_some_and(ours)
}

fn write(path: &Path, value: &Value) -> anyhow::Result<()> {
    let text = serde_json::to_string_pretty(value).context("cannot write JSON")? + "\n";
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_for_a_shell_keeps_its_words_apart() {
        let caller = Caller { program: "/opt/my tools/harness".into(), home: Some("/data/ana's".into()) };
        assert_eq!(caller.line(&["hook", "codex"]), "'/opt/my tools/harness' --home '/data/ana'\\''s' hook codex");
    }

    #[test]
    fn what_is_entered_is_described_well() {
        let caller = Caller { program: "/usr/bin/harness".into(), home: None };
        for target in Target::ALL {
            mcp_spec(&caller).unwrap();
            assert_eq!(
                hook_specs(target, &caller).unwrap().is_empty(),
                !target.wiring().hooks || own_hooks(target).is_some()
            );
        }
        assert!(skill_spec().is_ok());
        assert!(OPENCODE_PLUGIN.contains(OPENCODE_COMMAND));
        assert!(is_ours(&json!({"hooks": [{"command": "'/a/harness' --home '/b c' hook gemini"}]})));
        assert!(!is_ours(&json!({"command": "/a/harness-lint hook"})) && !is_ours(&json!({"hooks": []})));
    }
}

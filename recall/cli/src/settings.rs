//! Settings from files: the home's `config.toml` and the project's `.harness.toml`.
//!
//! A project's file comes with whatever code was checked out, so it may only say what cannot harm:
//! how to search and how to name the project. Who the person is and where things are kept is the home's.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Read;
use std::path::Path;

use anyhow::Context;
use harness_experience::model::connected::Price;
use harness_memory::redact::{OwnRule, Redactor};
use harness_memory::scope::Readable;
use harness_memory::sqlite::Retention;
use harness_memory::{Kind, Mode, Scope};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::args::ColorWhen;
use crate::project::Project;
use crate::report::Advice;

/// The longest settings file: far more than all keys together could need.
const SETTINGS_BYTES_MAX: u64 = 64 * 1024;

/// How many hits are shown when nobody says: they fit on one screen.
const SEARCH_LIMIT: usize = 10;

/// For how many days what was forgotten can be brought back: long enough to miss it.
const UNDO_DAYS: u32 = 30;

/// After how many seconds without work the follower leaves (DESIGN: "Somebody always follows").
const FOLLOW_IDLE_SECONDS: u64 = 30;

/// What the files say, with defaults for what they do not.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) user: Option<String>,
    pub(crate) project: Option<String>,
    pub(crate) color: Option<ColorWhen>,
    pub(crate) search_limit: usize,
    pub(crate) search_mode: Mode,
    pub(crate) undo_days: u32,
    pub(crate) follow_idle_seconds: u64,
    /// How long records are kept, the first rule that fits a record first.
    pub(crate) retention: Vec<Retention>,
    /// Scopes that nothing is written to.
    pub(crate) read_only: Vec<Readable>,
    /// How many tokens a hook may put in front of a prompt; 0 puts nothing there.
    pub(crate) hook_tokens: usize,
    /// Replaces secrets on their way into the store: the built-in rules, and the person's own.
    pub(crate) redactor: Redactor,
    /// The model of `harness run`, where nobody names one.
    pub(crate) run_model: Option<String>,
    /// Providers of models, by the name that they have in `provider/name`.
    pub(crate) providers: BTreeMap<String, ProviderPart>,
}

/// `HOME/config.toml`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct HomeFile {
    user: Option<String>,
    color: Option<ColorWhen>,
    #[serde(default)]
    search: SearchPart,
    #[serde(default)]
    forget: ForgetPart,
    #[serde(default)]
    follow: FollowPart,
    #[serde(default)]
    retention: Vec<RetentionPart>,
    #[serde(default)]
    read_only: Vec<String>,
    #[serde(default)]
    hooks: HooksPart,
    #[serde(default)]
    redact: RedactPart,
    #[serde(default)]
    run: RunPart,
    #[serde(default)]
    models: BTreeMap<String, ProviderPart>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RunPart {
    model: Option<String>,
}

/// One `[models.NAME]`. Only the home may say where keys are sent: a project's file comes with whatever code was
/// checked out.
#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProviderPart {
    /// The known provider that it speaks like; its own name when left out.
    pub(crate) like: Option<String>,
    /// Its base URL.
    pub(crate) url: Option<String>,
    /// Its key.
    key: Option<String>,
    /// The variable that holds its key.
    pub(crate) key_variable: Option<String>,
    /// US dollars for a million tokens that are read, and that are written.
    usd_per_million_read: Option<f64>,
    usd_per_million_written: Option<f64>,
}

impl ProviderPart {
    /// What its models cost, where the file says both prices.
    pub(crate) fn price(&self) -> Option<Price> {
        let (read, written) = self.usd_per_million_read.zip(self.usd_per_million_written)?;
        Some(Price { read, written }).filter(|price| price.read >= 0.0 && price.written >= 0.0)
    }

    /// Its key, where the file says it.
    pub(crate) fn key(&self) -> Option<&str> {
        self.key.as_deref().filter(|key| !key.trim().is_empty())
    }
}

impl std::fmt::Debug for ProviderPart {
    /// Without the key: what is debugged is logged.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ProviderPart { like, url, key, key_variable, .. } = self;
        f.debug_struct("ProviderPart")
            .field("like", like)
            .field("url", url)
            .field("key", &key.as_ref().map(|_| "…"))
            .field("key_variable", key_variable)
            .finish()
    }
}

/// One `[[retention]]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RetentionPart {
    scope: Option<String>,
    #[serde(default)]
    kinds: Vec<Kind>,
    days: Option<u32>,
}

/// `.harness.toml` of a project.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct ProjectFile {
    project: Option<String>,
    #[serde(default)]
    search: SearchPart,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct SearchPart {
    limit: Option<usize>,
    mode: Option<Mode>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct ForgetPart {
    undo_days: Option<u32>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct FollowPart {
    idle_seconds: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct HooksPart {
    tokens: Option<usize>,
}

/// Only the home may say what is no secret: a project's file comes with whatever code was checked out.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RedactPart {
    #[serde(default)]
    rules: Vec<RulePart>,
    /// Regular expressions; on lines that one matches nothing is replaced.
    #[serde(default)]
    except: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RulePart {
    name: String,
    pattern: String,
}

impl RedactPart {
    fn redactor(self) -> harness_memory::Result<Redactor> {
        let own = |RulePart { name, pattern }| OwnRule { name, pattern };
        Redactor::with(&self.rules.into_iter().map(own).collect::<Vec<_>>(), &self.except)
    }
}

impl Settings {
    /// Reads both files; one that is not there says nothing.
    pub(crate) fn read(home_file: &Path, project_file: Option<&Path>) -> anyhow::Result<Settings> {
        let home: HomeFile = read(home_file)?;
        let project: ProjectFile = project_file.map(read).transpose()?.unwrap_or_default();
        let scope = |text: String| -> anyhow::Result<Readable> {
            let hint = "a scope looks like `ana` or `ana/webshop-1a2b3c4d`; `=ana` means it alone";
            text.parse().with_context(|| Advice::new(format!("a scope in {}", home_file.display()), hint))
        };
        let retention = home.retention.into_iter().map(|rule| -> anyhow::Result<Retention> {
            Ok(Retention { scope: rule.scope.map(scope).transpose()?, kinds: rule.kinds, days: rule.days })
        });
        let redactor = home.redact.redactor().with_context(|| {
            let what = format!("cannot use the redaction rules in {}", home_file.display());
            Advice::new(what, "correct the rule, or remove it; until then nothing is stored")
        })?;
        Ok(Settings {
            retention: retention.collect::<anyhow::Result<_>>()?,
            read_only: home.read_only.into_iter().map(scope).collect::<anyhow::Result<_>>()?,
            redactor,
            user: home.user,
            project: project.project,
            color: home.color,
            search_limit: project.search.limit.or(home.search.limit).unwrap_or(SEARCH_LIMIT),
            search_mode: project.search.mode.or(home.search.mode).unwrap_or_default(),
            undo_days: home.forget.undo_days.unwrap_or(UNDO_DAYS),
            follow_idle_seconds: home.follow.idle_seconds.unwrap_or(FOLLOW_IDLE_SECONDS),
            run_model: home.run.model,
            providers: home.models,
            hook_tokens: home.hooks.tokens.unwrap_or(crate::hooks::PROMPT_TOKENS),
        })
    }
}

/// What tells one version of a home's settings from another, within one build of the program.
pub(crate) fn fingerprint(home_file: &Path) -> u64 {
    let mut hasher = DefaultHasher::new();
    env!("CARGO_PKG_VERSION").hash(&mut hasher);
    // None, and one that cannot be read, are as good as empty: whoever uses the settings says what is wrong.
    std::fs::read(home_file).unwrap_or_default().hash(&mut hasher);
    hasher.finish()
}

impl Settings {
    /// What a project's own file calls it; one that does not read says nothing here.
    pub(crate) fn read_project_name(project_file: &Path) -> Option<String> {
        read::<ProjectFile>(project_file).ok()?.project
    }
}

fn read<T: DeserializeOwned + Default>(path: &Path) -> anyhow::Result<T> {
    let advice =
        || Advice::new(format!("cannot read the settings in {}", path.display()), "correct or remove the file");
    let mut bytes = Vec::new();
    match std::fs::File::open(path) {
        Ok(file) => file.take(SETTINGS_BYTES_MAX + 1).read_to_end(&mut bytes).with_context(advice)?,
        // A home that is no folder is reported where it is opened.
        Err(error) if matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) => {
            return Ok(T::default());
        }
        Err(error) => return Err(error).with_context(advice),
    };
    if bytes.len() as u64 > SETTINGS_BYTES_MAX {
        let what = format!("{} is longer than {SETTINGS_BYTES_MAX} bytes: that cannot be settings", path.display());
        return Err(Advice::error(what, "correct or remove the file"));
    }
    let text = String::from_utf8(bytes).with_context(advice)?;
    toml::from_str(&text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start).min(text.len());
        let line = 1 + text.as_bytes()[..at].iter().filter(|byte| **byte == b'\n').count();
        let what = format!("{}:{line}: {}", path.display(), error.message().trim());
        Advice::error(what, "correct the line or remove it")
    })
}

/// The scope of the project that this folder belongs to, among a user's. As for the folder that a command runs in, the
/// project's own file may name it.
pub(crate) fn scope_of(folder: &Path, user: &Scope) -> Scope {
    let project = Project::of(folder);
    let named = project.settings_file().and_then(|file| Settings::read_project_name(&file));
    Project { name: named.unwrap_or(project.name), root: project.root }.scope(user)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_key_is_named_with_its_file_and_line() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config.toml");
        std::fs::write(&file, "user = \"ana\"\n\n[search]\nlimits = 5\n").unwrap();
        let error = Settings::read(&file, None).unwrap_err().to_string();
        let error = error.replace(&folder.path().display().to_string(), "HOME");
        insta::assert_snapshot!(error, @"HOME/config.toml:4: unknown field `limits`, expected `limit` or `mode`");
    }

    #[test]
    fn own_redaction_rules_and_exceptions_are_read_and_a_broken_one_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config.toml");
        let text = "[redact]\nexcept = [\"# sample\"]\n[[redact.rules]]\nname = \"badge\"\npattern = \"B-[0-9]{6}\"\n";
        std::fs::write(&file, text).unwrap();
        let settings = Settings::read(&file, None).unwrap();
        let redacted = settings.redactor.redact("B-123456\nB-654321 # sample").into_text().into_owned();
        assert_eq!(redacted, "[REDACTED:badge]\nB-654321 # sample");
        std::fs::write(&file, text.replace("{6}", "{")).unwrap();
        let error = format!("{:#}", Settings::read(&file, None).unwrap_err());
        assert!(error.contains("config.toml") && error.contains("\"badge\" does not compile"), "{error}");
    }

    #[test]
    fn the_project_goes_before_the_home_and_cannot_say_who_the_person_is() {
        let folder = tempfile::tempdir().unwrap();
        let (home, project) = (folder.path().join("config.toml"), folder.path().join(".harness.toml"));
        std::fs::write(&home, "search.limit = 5\nsearch.mode = \"text\"\n").unwrap();
        std::fs::write(&project, "project = \"shop\"\nsearch.limit = 7\n").unwrap();
        let settings = Settings::read(&home, Some(&project)).unwrap();
        assert_eq!((settings.search_limit, settings.search_mode), (7, Mode::Text));
        std::fs::write(&project, "user = \"somebody-else\"\n").unwrap();
        assert!(Settings::read(&home, Some(&project)).is_err());
    }
}

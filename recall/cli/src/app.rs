//! What a command is given: home, settings, clock, terminal, engine.

use std::cell::{Cell, OnceCell};
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use etcetera::BaseStrategy;
use harness_memory::scope::Readable;
use harness_memory::{Intake, ReadSet, Scope};
use harness_recall::Engine;
use jiff::Timestamp;
use serde::Serialize;

use crate::args::Globals;
use crate::output::{Out, Style};
use crate::project::Project;
use crate::report::{self, Advice};
use crate::settings::Settings;
use crate::{follower, interrupt};

/// The settings of the home.
pub(crate) const CONFIG_FILE: &str = "config.toml";

/// What every command is given.
pub(crate) struct App {
    /// The folder that holds everything; absolute. It need not exist yet.
    pub(crate) home: PathBuf,
    home_is_chosen: bool,
    pub(crate) settings: Settings,
    /// Whether results are JSON.
    pub(crate) json: bool,
    /// Colours of standard output.
    pub(crate) style: Style,
    /// The present, the same for the whole command.
    pub(crate) now: Timestamp,
    project: Option<Project>,
    engine: OnceCell<Engine>,
    wrote: Cell<bool>,
}

impl App {
    pub(crate) fn new(globals: Globals) -> anyhow::Result<App> {
        let home = home_of(&globals)?;
        let home_is_chosen = default_home().map_or(true, |default| default != home);
        let project = std::env::current_dir().ok().map(|folder| Project::of(&folder));
        let project_file = project.as_ref().and_then(Project::settings_file);
        let settings = Settings::read(&home.join(CONFIG_FILE), project_file.as_deref())?;
        let style = Style::stdout(globals.color.or(settings.color).unwrap_or_default());
        Ok(App {
            home,
            home_is_chosen,
            settings,
            json: globals.json,
            style,
            now: Timestamp::now(),
            project,
            engine: OnceCell::new(),
            wrote: Cell::new(false),
        })
    }

    /// The engine; the home is made when it is not there.
    pub(crate) fn engine(&self) -> anyhow::Result<&Engine> {
        if let Some(engine) = self.engine.get() {
            return Ok(engine);
        }
        let engine = self.open_engine()?;
        Ok(self.engine.get_or_init(|| engine))
    }

    /// An engine of its own, for a command that hands it to other threads.
    pub(crate) fn open_engine(&self) -> anyhow::Result<Engine> {
        self.opener()()
    }

    /// Opens engines later, for a command that may not need one.
    pub(crate) fn opener(&self) -> impl Fn() -> anyhow::Result<Engine> + Send + Sync + 'static {
        let (home, redactor) = (self.home.clone(), self.settings.redactor.clone());
        let read_only = ReadSet::new(self.settings.read_only.iter().cloned());
        move || {
            let engine = open(&home)?;
            engine.store().set_read_only(read_only.clone());
            Ok(engine.with_intake(Intake::with(redactor.clone())))
        }
    }

    /// The home, when it is not the default one: what a program that is to use it must be told.
    pub(crate) fn chosen_home(&self) -> Option<&Path> {
        self.home_is_chosen.then_some(&*self.home)
    }

    /// The way into the store, with the person's own rules of redaction.
    pub(crate) fn intake(&self) -> Intake {
        Intake::with(self.settings.redactor.clone())
    }

    /// The engine for a person's question: it may load the model where no other process holds it.
    pub(crate) fn asking_engine(&self) -> anyhow::Result<Option<&Engine>> {
        let engine = self.engine_if_any()?;
        if let Some(engine) = engine {
            engine.allow_own_model();
        }
        Ok(engine)
    }

    /// The engine for a command that only reads: `None`, said on stderr, when there is no home yet,
    /// so that a mistyped `--home` does not leave folders behind.
    pub(crate) fn engine_if_any(&self) -> anyhow::Result<Option<&Engine>> {
        if self.home_is_missing() {
            report::line(&format!("nothing is remembered yet: there is no home {}", self.home.display()));
            report::line("hint: `harness remember \"…\"` or `harness session import` makes it");
            return Ok(None);
        }
        self.engine().map(Some)
    }

    pub(crate) fn home_is_missing(&self) -> bool {
        // An empty folder is as good as none.
        match std::fs::read_dir(&self.home) {
            Ok(mut entries) => entries.next().is_none(),
            Err(error) => error.kind() == std::io::ErrorKind::NotFound,
        }
    }

    /// The person's scope: `HARNESS_USER`, else the setting `user`, else the login name.
    pub(crate) fn user(&self) -> Scope {
        let named = std::env::var("HARNESS_USER").ok().filter(|name| !name.trim().is_empty());
        let name = named.or_else(|| self.settings.user.clone()).or_else(login_name);
        Scope::root().child_named(name.as_deref().unwrap_or("user"))
    }

    /// The scope of the project in the folder where the command runs.
    pub(crate) fn here(&self) -> anyhow::Result<Scope> {
        let project = self.project.clone().ok_or_else(|| anyhow!("the folder that this runs in is gone"))?;
        let name = self.settings.project.clone().unwrap_or(project.name);
        Ok(Project { root: project.root, name }.scope(&self.user()))
    }

    /// The top folder of the project in the folder where the command runs.
    pub(crate) fn project_root(&self) -> Option<&Path> {
        self.project.as_ref().map(|project| project.root.as_path())
    }

    /// The scope of another folder's project; the folder need not exist any more.
    pub(crate) fn scope_of(&self, folder: &Path) -> Scope {
        crate::settings::scope_of(folder, &self.user())
    }

    /// What `--here` reads: the person's own notes, and the project.
    pub(crate) fn reads_here(&self) -> anyhow::Result<ReadSet> {
        Ok(ReadSet::new([Readable::Exactly(self.user()), Readable::Within(self.here()?)]))
    }

    /// Writes text to standard output.
    pub(crate) fn print(&self, write: impl FnOnce(&mut Out) -> std::io::Result<()>) -> anyhow::Result<()> {
        let mut out = Out::new();
        write(&mut out).and_then(|()| out.flush()).context("cannot write to standard output")
    }

    /// Writes one JSON object and a line's end.
    pub(crate) fn print_json(&self, value: &impl Serialize) -> anyhow::Result<()> {
        let text = serde_json::to_string(value).context("cannot write the result as JSON")?;
        self.print(|out| writeln!(out, "{text}"))
    }

    /// Notes that the command wrote records, so that somebody has to index them.
    pub(crate) fn wrote(&self) {
        self.wrote.set(true);
    }

    /// To be called after the answer was given: sees to it that somebody follows, and holds the model where a question
    /// found nobody who does.
    pub(crate) fn finish(&self) {
        let Some(engine) = self.engine.get().filter(|_| !interrupt::requested()) else { return };
        if engine.wants_a_holder() && engine.follower().is_none() {
            follower::start(&self.home);
            return;
        }
        if !self.wrote.get() {
            return;
        }
        match engine.tail_is_long() {
            // One that follows already would only send the new one away.
            Ok(true) if engine.follower().is_none() => follower::start(&self.home),
            Ok(_) => {}
            Err(error) => tracing::info!("cannot tell whether a follower is needed: {error}"),
        }
    }
}

/// The home that the flags, the environment or the platform name; absolute. It need not exist.
pub(crate) fn home_of(globals: &Globals) -> anyhow::Result<PathBuf> {
    let home = match &globals.home {
        Some(home) if home.as_os_str().is_empty() => {
            return Err(Advice::error("the home is empty", "name a folder after --home or in HARNESS_HOME"));
        }
        Some(home) => home.clone(),
        None => default_home()?,
    };
    std::path::absolute(&home).with_context(|| format!("cannot find the home {}", home.display()))
}

fn open(home: &Path) -> anyhow::Result<Engine> {
    Engine::open(home).with_context(|| {
        let hint = if home.exists() && !home.is_dir() {
            "the home must be a folder: choose another with --home"
        } else {
            "`harness doctor` says what is wrong with it; another home can be chosen with --home"
        };
        Advice::new(format!("cannot open the home {}", home.display()), hint)
    })
}

fn default_home() -> anyhow::Result<PathBuf> {
    let dirs = etcetera::base_strategy::choose_native_strategy()
        .context(Advice::new("cannot find your data folder", "name the home with --home or HARNESS_HOME"))?;
    Ok(dirs.data_dir().join("harness"))
}

/// The login name as the system knows it, which is the same in a terminal, a hook and a scheduled job;
/// else what the environment says.
fn login_name() -> Option<String> {
    #[cfg(unix)]
    if let Ok(Some(user)) = nix::unistd::User::from_uid(nix::unistd::getuid()) {
        return Some(user.name);
    }
    ["USER", "LOGNAME", "USERNAME"].into_iter().find_map(|name| std::env::var(name).ok().filter(|n| !n.is_empty()))
}

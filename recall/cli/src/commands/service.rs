//! `harness service`: a server that runs whenever the person is logged in.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context;
use serde::Serialize;

use crate::app::App;
use crate::output::Exit;
use crate::report::{self, Advice};
use crate::serve::{Address, discovery};
use crate::unit::{self, Keeper, Unit};

/// How long a service that was started may take until it answers: a great home is opened in well under a second.
const START_PATIENCE: Duration = Duration::from_secs(10);

/// How often it is looked.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Where a file that was changed by hand is kept when it gives way.
const KEPT: &str = "install/service";

/// What can be done with the service.
#[derive(clap::Subcommand)]
pub(crate) enum Command {
    Install(InstallArgs),
    Status(StatusArgs),
    Uninstall(UninstallArgs),
}

/// Keep a server running whenever you are logged in
///
/// As a user unit of systemd, or an agent of launchd on macOS, at low priority, and with no rights that you do not
/// have. One file is written. Installing again brings it up to date and starts the server anew.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  harness service install --dry-run          show the file, and change nothing
  harness service install
  harness service install --addr 127.0.0.1:7500

Exit codes: 0 it runs, 2 failed.")]
pub(crate) struct InstallArgs {
    /// Where the server is to listen: as for `harness serve`
    #[arg(long, value_name = "ADDR")]
    addr: Option<String>,

    /// Show the file, and change nothing
    #[arg(long)]
    dry_run: bool,

    #[command(flatten)]
    keeper: KeeperArg,
}

/// Say whether the service is set up and runs
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  harness service status
  harness service status --json | jq -r .url

Exit codes: 0 it runs, 1 it does not, 2 failed.")]
pub(crate) struct StatusArgs {
    #[command(flatten)]
    keeper: KeeperArg,
}

/// Take back what `harness service install` has set up
///
/// The server ends as with Ctrl-C, and its file is removed. What is remembered stays.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  harness service uninstall
  harness service uninstall --dry-run

Exit codes: 0 done, 1 nothing was set up, 2 failed.")]
pub(crate) struct UninstallArgs {
    /// Show what would be removed, and change nothing
    #[arg(long)]
    dry_run: bool,

    #[command(flatten)]
    keeper: KeeperArg,
}

#[derive(clap::Args)]
struct KeeperArg {
    /// Whose file it is, where it is not this system's.
    #[arg(long, hide = true)]
    keeper: Option<Keeper>,
}

impl KeeperArg {
    fn keeper(&self) -> anyhow::Result<Keeper> {
        self.keeper.map_or_else(Keeper::of_this_system, Ok)
    }
}

/// What was done, or would be.
#[derive(Serialize)]
struct Done<'a> {
    file: &'a Path,
    change: &'a str,
    dry_run: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
    /// Where a file is kept that was changed by hand and gave way.
    #[serde(skip_serializing_if = "Option::is_none")]
    kept: Option<&'a Path>,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<&'a str>,
}

/// How it is.
#[derive(Serialize)]
struct Status {
    file: PathBuf,
    installed: bool,
    running: bool,
    /// Where the home's server is, whoever started it.
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
}

pub(crate) fn run(command: Command, app: &App) -> anyhow::Result<Exit> {
    match command {
        Command::Install(args) => install(&args, app),
        Command::Status(args) => status(&args, app),
        Command::Uninstall(args) => uninstall(&args, app),
    }
}

fn install(args: &InstallArgs, app: &App) -> anyhow::Result<Exit> {
    let keeper = args.keeper.keeper()?;
    if let Some(address) = &args.addr {
        let address: Address = address.parse().map_err(|error: String| {
            Advice::error(format!("cannot listen on {address:?}: {error}"), "try 127.0.0.1:7500, a port, or unix:PATH")
        })?;
        if !address.is_local() {
            report::line(
                "note: other machines can reach this address; each request needs a token, and nothing is encrypted",
            );
        }
    }
    let (file, text) = (keeper.file()?, keeper.text(&unit(args.addr.clone(), app)?)?);
    let before = read(&file)?;
    if before.as_deref().is_some_and(|before| !unit::is_ours(before)) {
        return Err(somebody_elses(&file));
    }
    let change = match &before {
        None => "made",
        Some(before) if *before == text => "unchanged",
        Some(_) => "changed",
    };
    let mut done = Done { file: &file, change, dry_run: args.dry_run, text: Some(&text), kept: None, url: None };
    if args.dry_run {
        say(app, &done, |out| {
            writeln!(
                out,
                "{} would be {}:\n",
                file.display(),
                if change == "unchanged" { "as it is" } else { change }
            )?;
            write!(out, "{text}\nnothing was changed\n")
        })?;
        return Ok(Exit::Found);
    }
    keeper.check()?;
    if !keeper.runs()
        && let Some(server) = discovery::running(&app.home)
    {
        let what = format!("a server of this home runs already, at {} (pid {})", server.url, server.pid);
        return Err(Advice::error(what, "stop it first: the service is to take its place"));
    }
    let kept = keep(&app.home, before.as_deref().filter(|before| *before != text), &file)?;
    write(&file, &text)?;
    let started = keeper.start(&file).and_then(|()| answers(app, keeper));
    let url = match started {
        Ok(url) => url,
        Err(error) => {
            // What does not run is not left behind to fail again at each login.
            if before.is_none() {
                let _ = keeper.stop();
                let _ = fs::remove_file(&file);
                keeper.forget();
            }
            return Err(error);
        }
    };
    (done.kept, done.text) = (kept.as_deref(), None);
    done.url = Some(&url);
    say(app, &done, |out| {
        writeln!(out, "{} ({change})", file.display())?;
        if let Some(kept) = &kept {
            writeln!(out, "what it said before is kept in {}", kept.display())?;
        }
        writeln!(out, "the memory is served at {url}, now and whenever you log in")
    })?;
    Ok(Exit::Found)
}

fn status(args: &StatusArgs, app: &App) -> anyhow::Result<Exit> {
    let keeper = args.keeper.keeper()?;
    let file = keeper.file()?;
    let installed = read(&file)?.is_some_and(|text| unit::is_ours(&text));
    let running = installed && keeper.runs();
    let url = discovery::running(&app.home).map(|server| server.url);
    let status = Status { file, installed, running, url };
    if app.json {
        app.print_json(&status)?;
    } else {
        app.print(|out| {
            let state = match (status.installed, status.running) {
                (false, _) => "not set up",
                (true, false) => "set up, but it does not run",
                (true, true) => "set up and running",
            };
            writeln!(out, "service   {state}")?;
            writeln!(out, "file      {}", status.file.display())?;
            writeln!(out, "server    {}", status.url.as_deref().unwrap_or("none answers for this home"))
        })?;
        if status.installed && !status.running {
            report::line(&format!("hint: {} says why", keeper.log(&app.home)));
        }
    }
    Ok(Exit::found(running))
}

fn uninstall(args: &UninstallArgs, app: &App) -> anyhow::Result<Exit> {
    let keeper = args.keeper.keeper()?;
    let file = keeper.file()?;
    let Some(text) = read(&file)? else {
        say(
            app,
            &Done { file: &file, change: "unchanged", dry_run: args.dry_run, text: None, kept: None, url: None },
            |out| writeln!(out, "no service was set up"),
        )?;
        return Ok(Exit::Nothing);
    };
    if !unit::is_ours(&text) {
        return Err(somebody_elses(&file));
    }
    let mut done = Done { file: &file, change: "removed", dry_run: args.dry_run, text: None, kept: None, url: None };
    if args.dry_run {
        say(app, &done, |out| writeln!(out, "{} would be removed; nothing was changed", file.display()))?;
        return Ok(Exit::Found);
    }
    // Without a session nothing runs that could be stopped, and the file is still to go.
    if let Err(error) = keeper.check().and_then(|()| keeper.stop()) {
        report::line(&format!("note: the service was not stopped: {error}"));
    }
    // Only a text that this version would not write for any address can hold somebody's own lines.
    let own = unit(None, app)
        .and_then(|unit| keeper.text(&unit))
        .is_ok_and(|plain| without_command(&plain) == without_command(&text));
    let kept = keep(&app.home, (!own).then_some(text.as_str()), &file)?;
    fs::remove_file(&file).with_context(|| format!("cannot remove {}", file.display()))?;
    keeper.forget();
    done.kept = kept.as_deref();
    say(app, &done, |out| {
        writeln!(out, "{} (removed)", file.display())?;
        if let Some(kept) = &kept {
            writeln!(out, "what it said is kept in {}", kept.display())?;
        }
        Ok(())
    })?;
    Ok(Exit::Found)
}

/// The service of this home and program.
fn unit(address: Option<String>, app: &App) -> anyhow::Result<Unit> {
    let program = std::env::current_exe().context("cannot find this program")?;
    // Who the person is may be said by the environment alone, which a service does not have.
    let user = std::env::var("HARNESS_USER").ok().filter(|name| !name.trim().is_empty());
    let environment = user.map(|user| ("HARNESS_USER", user)).into_iter().collect();
    Ok(Unit { program, home: app.home.clone(), address, environment })
}

/// The lines of a file that do not say what is run.
fn without_command(text: &str) -> Vec<&str> {
    let of_us = |line: &&str| !["ExecStart=", "Environment=", "    <"].iter().any(|start| line.starts_with(start));
    text.lines().filter(of_us).collect()
}

fn read(file: &Path) -> anyhow::Result<Option<String>> {
    match fs::read_to_string(file) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", file.display())),
    }
}

fn write(file: &Path, text: &str) -> anyhow::Result<()> {
    let doing = || Advice::new(format!("cannot write {}", file.display()), "`--dry-run` shows what it is to say");
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder).with_context(doing)?;
    }
    fs::write(file, text).with_context(doing)
}

/// Keeps a text that gives way, where there is one.
fn keep(home: &Path, text: Option<&str>, file: &Path) -> anyhow::Result<Option<PathBuf>> {
    let (Some(text), Some(name)) = (text, file.file_name()) else { return Ok(None) };
    let kept = home.join(KEPT).join(name);
    write(&kept, text)?;
    Ok(Some(kept))
}

/// Waits until the server that was started answers, and says where.
fn answers(app: &App, keeper: Keeper) -> anyhow::Result<String> {
    let patience = Instant::now() + START_PATIENCE;
    loop {
        if let Some(server) = discovery::running(&app.home) {
            return Ok(server.url);
        }
        if Instant::now() > patience {
            let what = format!("the service was started, and does not answer within {} s", START_PATIENCE.as_secs());
            return Err(Advice::error(
                what,
                format!("`{}` says why; `harness serve` shows it at once", keeper.log(&app.home)),
            ));
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

fn somebody_elses(file: &Path) -> anyhow::Error {
    let what = format!("{} was not made by `harness service install`", file.display());
    Advice::error(what, "look at it, and remove it yourself if it may go")
}

fn say(
    app: &App,
    done: &Done<'_>,
    text: impl FnOnce(&mut crate::output::Out) -> std::io::Result<()>,
) -> anyhow::Result<()> {
    if app.json { app.print_json(done) } else { app.print(text) }
}

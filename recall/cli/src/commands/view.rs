//! `harness view`: the viewer, in a browser.

use std::io::Write;
use std::process::{Command, Stdio};

use anyhow::Context;
use serde::Serialize;
use serde_json::json;

use crate::app::App;
use crate::output::Exit;
use crate::serve::discovery::ServeFile;
use crate::serve::viewer::ViewCode;
use crate::serve::{self, Address, Options, discovery};
use crate::{interrupt, report};

/// Open the memory in a browser: search, read, correct, forget
///
/// Uses the server of this home when one runs, and runs one until Ctrl-C when not. The page is opened with a code that
/// works once; nobody else on the machine can use it.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  harness view
  harness view --no-open          print the address instead; open it within a minute")]
pub(crate) struct Args {
    /// Do not start a browser, only print the address
    #[arg(long)]
    no_open: bool,
}

/// Where the page is.
#[derive(Serialize)]
struct Opened {
    url: String,
    expires_in_seconds: u64,
}

pub(crate) fn run(args: Args, app: &App) -> anyhow::Result<Exit> {
    if let Some(file) = discovery::running(&app.home) {
        show(&file, args.no_open, app.json)?;
        return Ok(Exit::Found);
    }
    let options = Options {
        address: Address::local_port(0),
        hosts: Vec::new(),
        user: app.user(),
        undo_days: app.settings.undo_days,
        hooks: super::serve::hook_settings(app),
    };
    interrupt::flag();
    std::thread::scope(|threads| {
        serve::run(app.open_engine()?.with_own_model(), options, |file| {
            let (file, no_open, json) = (file.clone(), args.no_open, app.json);
            // The server answers this thread's request while it serves on its own.
            threads.spawn(move || {
                if let Err(error) = show(&file, no_open, json) {
                    report::error(&error);
                }
                report::line("hint: Ctrl-C ends the server and closes the page");
            });
        })
    })?;
    interrupt::done();
    Ok(Exit::Found)
}

/// Asks for a code, prints the address and opens it.
fn show(file: &ServeFile, no_open: bool, json: bool) -> anyhow::Result<()> {
    if file.url.starts_with("unix:") {
        let what = format!("the server of this home listens on {}, where no browser comes", file.url);
        return Err(report::Advice::error(what, "start it with --addr 127.0.0.1:PORT"));
    }
    let token = std::fs::read_to_string(&file.token_file)
        .with_context(|| format!("cannot read the token in {}", file.token_file.display()))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let code: ViewCode = runtime
        .block_on(async {
            let client = reqwest::Client::builder().no_proxy().build()?;
            let asked = client.post(format!("{}/v1/view-codes", file.url)).bearer_auth(token.trim()).json(&json!({}));
            anyhow::Ok(asked.send().await?.error_for_status()?.json().await?)
        })
        .with_context(|| format!("the server at {} gives no code for the viewer", file.url))?;
    let opened =
        Opened { url: format!("{}/#code={}", file.url, code.code), expires_in_seconds: code.expires_in_seconds };
    let started = !no_open && open(&opened.url);
    let mut out = std::io::stdout().lock();
    if json {
        writeln!(out, "{}", serde_json::to_string(&opened)?)?;
    } else if started {
        report::line(&format!("opened {} in the browser", file.url));
    } else {
        writeln!(out, "{}", opened.url)?;
        report::line(&format!("open this address within {} s; it works once", opened.expires_in_seconds));
    }
    Ok(())
}

/// Starts what opens addresses on this system; answers whether there is one.
fn open(url: &str) -> bool {
    let openers: &[&[&str]] = if cfg!(target_os = "macos") {
        &[&["open"]]
    } else if cfg!(windows) {
        &[&["rundll32", "url.dll,FileProtocolHandler"]]
    } else {
        // Without a display there is nobody to see it.
        if std::env::var_os("DISPLAY").is_none() && std::env::var_os("WAYLAND_DISPLAY").is_none() {
            return false;
        }
        &[&["xdg-open"], &["gio", "open"]]
    };
    openers.iter().any(|opener| {
        let mut command = Command::new(opener[0]);
        command.args(&opener[1..]).arg(url).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    })
}

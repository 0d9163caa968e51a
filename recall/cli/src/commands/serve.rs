//! `harness serve`.

use std::io::Write;

use crate::app::App;
use crate::output::Exit;
use crate::serve::service::HookSettings;
use crate::serve::{self, Address, Options, discovery};
use crate::{interrupt, report};

/// Serve the memory over HTTP to every tool on this machine
///
/// On 127.0.0.1:7477 unless told otherwise, for this machine alone. Every request carries the token of the home
/// (its file is named in HOME/serve.json) or one made with `harness token new`. The server also keeps the indexes
/// current. Ctrl-C ends it: requests under way are answered, and everything is on the disk.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  harness serve
  harness serve --addr 127.0.0.1:0 --json        any free port; prints where
  harness serve --addr unix:/run/user/1000/harness.sock
  curl -H \"Authorization: Bearer $(cat ~/.local/share/harness/token)\" \\
       -d '{\"query\": \"how do I deploy\"}' -H 'Content-Type: application/json' http://127.0.0.1:7477/v1/recall")]
pub(crate) struct Args {
    /// Where to listen: an address, a port of 127.0.0.1, or unix: and a path [default: 127.0.0.1:7477]
    #[arg(long, value_name = "ADDR")]
    addr: Option<Address>,

    /// A name that requests may give this machine, where it is reached from others; may be given several times
    #[arg(long = "allow-host", value_name = "NAME")]
    hosts: Vec<String>,

    /// Print the OpenAPI document and leave
    #[arg(long)]
    openapi: bool,
}

/// What answering hooks needs of the settings.
pub(crate) fn hook_settings(app: &App) -> HookSettings {
    HookSettings { redactor: app.settings.redactor.clone(), prompt_tokens: app.settings.hook_tokens }
}

pub(crate) fn run(args: Args, app: &App) -> anyhow::Result<Exit> {
    if args.openapi {
        let document = serve::openapi_document()?;
        app.print(|out| out.write_all(document.as_bytes()))?;
        return Ok(Exit::Found);
    }
    let options = Options {
        address: args.addr.unwrap_or_default(),
        hosts: args.hosts,
        user: app.user(),
        undo_days: app.settings.undo_days,
        hooks: hook_settings(app),
    };
    interrupt::flag();
    serve::run(app.open_engine()?.with_own_model(), options, |file| {
        let said = if app.json {
            app.print_json(file)
        } else {
            app.print(|out| writeln!(out, "serving {} at {}", app.home.display(), file.url))
        };
        if said.is_ok() && !app.json {
            let place = app.home.join(discovery::SERVE_FILE);
            report::line(&format!("hint: {} says where it is; Ctrl-C ends it", place.display()));
        }
    })?;
    // It was asked to end and has ended well.
    interrupt::done();
    Ok(Exit::Found)
}

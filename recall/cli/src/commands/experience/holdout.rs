//! `harness experience holdout`.

use std::io::Write;
use std::str::FromStr;

use anyhow::Context;
use harness_memory::Store;
use harness_memory::store::HOLDOUT_MAX;

use crate::app::App;
use crate::output::Exit;

/// Give a share of runs nothing, so that it can be told whether memory helps
///
/// Chance decides which runs: they get no injection, all else stays as it is. Without a share, says what is set.
/// `harness experience report` then compares both sides.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  harness experience holdout 10%
  harness experience holdout off
  harness experience holdout")]
pub(crate) struct Args {
    /// The share of runs: `10%`, or `off`
    #[arg(value_name = "SHARE")]
    share: Option<Share>,
}

/// Fewer runs than this say nothing within anybody's patience.
const HOLDOUT_PERCENT_MIN: f64 = 1.0;

#[derive(Clone, Copy, Debug)]
struct Share(f64);

impl FromStr for Share {
    type Err = String;

    fn from_str(text: &str) -> Result<Share, String> {
        if text == "off" {
            return Ok(Share(0.0));
        }
        let most = HOLDOUT_MAX * 100.0;
        let wrong = || format!("{text:?} is no share of runs: expected `off`, or {HOLDOUT_PERCENT_MIN}% to {most}%");
        let percent: f64 = text.strip_suffix('%').ok_or_else(wrong)?.trim().parse().map_err(|_| wrong())?;
        if (HOLDOUT_PERCENT_MIN..=most).contains(&percent) { Ok(Share(percent / 100.0)) } else { Err(wrong()) }
    }
}

pub(crate) fn run(args: Args, app: &App) -> anyhow::Result<Exit> {
    let engine = app.engine()?;
    if let Some(Share(share)) = args.share {
        engine.store().set_holdout(share).context("cannot set the holdout")?;
    }
    let share = engine.store().holdout()?;
    if app.json {
        app.print_json(&serde_json::json!({ "holdout": share }))?;
    } else if share > 0.0 {
        app.print(|out| writeln!(out, "{:.0} % of runs are given nothing", share * 100.0))?;
    } else {
        app.print(|out| writeln!(out, "off: every run is given what fits"))?;
    }
    Ok(Exit::Found)
}

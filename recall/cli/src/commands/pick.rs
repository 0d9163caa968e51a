//! Arguments that several commands share: which record, which scopes, and text from standard input.

use std::io::Read;
use std::str::FromStr;

use anyhow::Context;
use harness_memory::id::IdPrefix;
use harness_memory::scope::Readable;
use harness_memory::{Error, ReadSet, RecordId, Scope, Store};
use harness_recall::Engine;

use crate::app::App;
use crate::report::Advice;

/// How many records are named when the beginning of an id fits several.
const AMBIGUOUS_SHOWN_MAX: usize = 5;

/// The beginning of a record id as it was typed.
#[derive(Clone, Debug)]
pub(crate) struct IdStart {
    text: String,
    prefix: IdPrefix,
}

impl FromStr for IdStart {
    type Err = Error;

    fn from_str(text: &str) -> Result<IdStart, Error> {
        Ok(IdStart { text: text.to_owned(), prefix: text.parse()? })
    }
}

impl IdStart {
    /// The one record whose id starts so; `None` when there is none.
    pub(crate) fn find(&self, engine: &Engine) -> anyhow::Result<Option<RecordId>> {
        let found = engine
            .store()
            .find(self.prefix, AMBIGUOUS_SHOWN_MAX + 1)
            .with_context(|| format!("cannot look up the id {}", self.text))?;
        match found.as_slice() {
            [] => Ok(None),
            [id] => Ok(Some(*id)),
            several => {
                let shown: Vec<String> = several.iter().take(AMBIGUOUS_SHOWN_MAX).map(RecordId::to_string).collect();
                let more = if several.len() > AMBIGUOUS_SHOWN_MAX { ", …" } else { "" };
                let what = format!("{} is the beginning of several ids: {}{more}", self.text, shown.join(", "));
                Err(Advice::error(what, "type more of the id"))
            }
        }
    }

    /// The one record whose id starts so, for a command that cannot go on without it.
    pub(crate) fn resolve(&self, engine: &Engine) -> anyhow::Result<RecordId> {
        self.find(engine)?.ok_or_else(|| self.unknown())
    }

    /// The error that there is no such record.
    pub(crate) fn unknown(&self) -> anyhow::Error {
        let hint = "`harness recall search` shows the ids of what it finds";
        Advice::error(format!("no record's id begins with {}", self.text), hint)
    }
}

/// What to read: everything, unless it is narrowed.
#[derive(clap::Args)]
pub(crate) struct Reads {
    /// Only this scope and all inside it; `=SCOPE` means it alone; may be given several times
    #[arg(long = "scope", value_name = "SCOPE")]
    scopes: Vec<Readable>,

    /// Only this folder's project and your own notes
    #[arg(long, conflicts_with = "scopes")]
    here: bool,
}

impl Reads {
    pub(crate) fn set(&self, app: &App) -> anyhow::Result<ReadSet> {
        if self.here {
            app.reads_here()
        } else if self.scopes.is_empty() {
            Ok(ReadSet::everything())
        } else {
            Ok(ReadSet::new(self.scopes.iter().cloned()))
        }
    }
}

/// Where to write: the person's own scope, unless it says otherwise.
#[derive(clap::Args)]
pub(crate) struct Writes {
    /// Keep it with this folder's project instead of with you
    #[arg(long, conflicts_with = "scope")]
    here: bool,

    /// Keep it in this scope
    #[arg(long, value_name = "SCOPE")]
    scope: Option<Scope>,
}

impl Writes {
    /// The scope that was asked for, if any.
    pub(crate) fn chosen(&self, app: &App) -> anyhow::Result<Option<Scope>> {
        if self.here {
            return app.here().map(Some);
        }
        if self.scope.as_ref().is_some_and(Scope::holds_secret) {
            // Not said again: what is printed here may be kept in a log.
            let hint = "name the scope otherwise; it is kept with every record, and printed with every hit";
            return Err(Advice::error("the scope that --scope names holds a secret", hint));
        }
        Ok(self.scope.clone())
    }

    pub(crate) fn scope(&self, app: &App) -> anyhow::Result<Scope> {
        Ok(self.chosen(app)?.unwrap_or_else(|| app.user()))
    }
}

/// All of standard input, which must be text of at most this many bytes.
pub(crate) fn stdin_text(bytes_max: usize) -> anyhow::Result<String> {
    let mut bytes = Vec::new();
    std::io::stdin()
        .lock()
        .take(bytes_max as u64 + 1)
        .read_to_end(&mut bytes)
        .context(Advice::new("cannot read standard input", "pipe text into the command, or redirect a file"))?;
    if bytes.len() > bytes_max {
        let what = format!("the text on standard input is longer than {bytes_max} bytes");
        return Err(Advice::error(what, "split it, or keep only what is worth remembering"));
    }
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        Advice::error(
            format!("the text on standard input is not UTF-8 (byte {at})"),
            "text in another encoding can be converted with `iconv -t UTF-8`",
        )
    })
}

//! Standard output, exit codes and colour.

use std::io::{self, BufWriter, IsTerminal, StdoutLock, Write};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::args::ColorWhen;

/// How a command ended, when it did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Found, or done.
    Found,
    /// Nothing was found; for a check: something is wrong.
    Nothing,
    /// It failed.
    Failed,
    /// The person stopped it.
    Interrupted,
}

impl Exit {
    /// [`Exit::Found`] when there is something, else [`Exit::Nothing`].
    pub(crate) fn found(something: bool) -> Exit {
        if something { Exit::Found } else { Exit::Nothing }
    }

    pub(crate) fn code(self) -> u8 {
        match self {
            Exit::Found => 0,
            Exit::Nothing => 1,
            Exit::Failed => 2,
            Exit::Interrupted => 130,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit.code())
    }
}

static READER_LEFT: AtomicBool = AtomicBool::new(false);

/// Whether a write to standard output failed because nobody reads any more.
pub(crate) fn reader_left() -> bool {
    READER_LEFT.load(Ordering::Relaxed)
}

/// Standard output, buffered. Call `flush` at the end: an error is only seen there.
pub(crate) struct Out(BufWriter<StdoutLock<'static>>);

impl Out {
    pub(crate) fn new() -> Out {
        Out(BufWriter::with_capacity(32 * 1024, io::stdout().lock()))
    }
}

fn watched<T>(result: io::Result<T>) -> io::Result<T> {
    if let Err(error) = &result
        && error.kind() == io::ErrorKind::BrokenPipe
    {
        READER_LEFT.store(true, Ordering::Relaxed);
    }
    result
}

impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        watched(self.0.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        watched(self.0.flush())
    }
}

/// Colours for one stream; plain where there are none.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Style {
    colour: bool,
}

impl Style {
    pub(crate) fn stdout(when: ColorWhen) -> Style {
        Style::of(when, io::stdout().is_terminal())
    }

    /// No colour at all, for texts that are compared or kept.
    #[cfg(test)]
    pub(crate) fn plain() -> Style {
        Style { colour: false }
    }

    fn of(when: ColorWhen, terminal: bool) -> Style {
        let colour = match when {
            ColorWhen::Always => true,
            ColorWhen::Never => false,
            ColorWhen::Auto => {
                let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
                let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
                terminal && !unwanted && !dumb
            }
        };
        Style { colour }
    }

    fn wrap(self, code: &str, text: &str) -> String {
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    pub(crate) fn bold(self, text: &str) -> String {
        self.wrap("1", text)
    }

    pub(crate) fn dim(self, text: &str) -> String {
        self.wrap("2", text)
    }

    /// What matched.
    pub(crate) fn mark(self, text: &str) -> String {
        self.wrap("1;33", text)
    }

    pub(crate) fn good(self, text: &str) -> String {
        self.wrap("32", text)
    }

    pub(crate) fn bad(self, text: &str) -> String {
        self.wrap("31", text)
    }
}

//! Ctrl-C: long work stops at its next safe point, anything else stops at once.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::output::Exit;

static REQUESTED: AtomicBool = AtomicBool::new(false);
static HEEDED: AtomicBool = AtomicBool::new(false);

/// Listens for Ctrl-C and for the request to terminate.
///
/// What is durable stays so whenever the process ends; a command that can stop between two steps
/// says so with [`flag`], and is then left to do it. A second Ctrl-C ends it at once.
pub(crate) fn install() {
    let result = ctrlc::set_handler(|| {
        let again = REQUESTED.swap(true, Ordering::SeqCst);
        if again || !HEEDED.load(Ordering::SeqCst) {
            std::process::exit(i32::from(Exit::Interrupted.code()));
        }
    });
    if let Err(error) = result {
        tracing::debug!("cannot listen for Ctrl-C: {error}");
    }
}

/// The flag that Ctrl-C sets. From this call on the command is trusted to look at it.
pub(crate) fn flag() -> &'static AtomicBool {
    HEEDED.store(true, Ordering::SeqCst);
    &REQUESTED
}

/// Whether somebody asked to stop.
pub(crate) fn requested() -> bool {
    REQUESTED.load(Ordering::SeqCst)
}

//! Ctrl-C: long work stops at its next safe point, anything else stops at once.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::output::Exit;

static REQUESTED: AtomicBool = AtomicBool::new(false);
static HEEDED: AtomicBool = AtomicBool::new(false);
static CALLED: Mutex<Option<Box<dyn Fn() + Send>>> = Mutex::new(None);

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
        if let Some(call) = &*CALLED.lock().unwrap_or_else(PoisonError::into_inner) {
            call();
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

/// Has this called when somebody asks to stop, at once when somebody has. Called from a thread of its own.
pub(crate) fn on_request(call: impl Fn() + Send + 'static) {
    let mut called = CALLED.lock().unwrap_or_else(PoisonError::into_inner);
    if requested() {
        call();
    }
    *called = Some(Box::new(call));
}

/// To be called when a command that runs until it is asked to stop has ended well: it was not interrupted.
pub(crate) fn done() {
    REQUESTED.store(false, Ordering::SeqCst);
}

/// Whether somebody asked to stop.
pub(crate) fn requested() -> bool {
    REQUESTED.load(Ordering::SeqCst)
}

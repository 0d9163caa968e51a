//! Asking the person whether a call may be done.

use std::io::{IsTerminal, Write};
use std::sync::{Arc, Mutex};

use harness_experience::tool::{Approve, Risk};

use crate::render::gist;

/// How much of a call is shown: a whole command as a rule.
const CALL_CHARS_MAX: usize = 400;

/// Asks on the terminal; without one, nobody approves.
pub(super) fn on_terminal() -> Approve {
    let one_at_a_time = Mutex::new(());
    Arc::new(move |call, risk, question| {
        if !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
            return false;
        }
        let _one = one_at_a_time.lock();
        let what = match risk {
            Risk::Reads => "looks",
            Risk::Writes => "changes files",
            Risk::Runs => "runs a program",
            Risk::Destroys => "CAN DESTROY",
        };
        let mut err = std::io::stderr().lock();
        let shown = gist(&call.arguments.to_string(), CALL_CHARS_MAX);
        let _ = write!(err, "\n{} {shown}\n({what}) {question} [y/N] ", call.tool).and_then(|()| err.flush());
        let mut answer = String::new();
        let read = std::io::stdin().read_line(&mut answer);
        read.is_ok() && matches!(answer.trim().to_lowercase().as_str(), "y" | "yes")
    })
}

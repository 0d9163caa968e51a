//! What machines, other programs and people do to a memory, and what must hold all the same. Few rounds in the common
//! test run; all of them where the long loops run in full (`HARNESS_TEST_ROUNDS=full`).
//!
//! A test that needs a right which is refused here says so by its name and is skipped.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod bit_flips;
#[path = "../client/mod.rs"]
mod client;
mod clocks;
mod crossings;
#[cfg(unix)]
mod doctor;
#[path = "../home/mod.rs"]
mod home;
mod hostile_calls;
mod hostile_text;
mod kills;
mod limits;
mod ownership;
mod poison;
mod secrets;
#[path = "../server/mod.rs"]
mod server;
#[cfg(target_os = "linux")]
mod system_calls;
mod tenants;
mod web;
mod writers;

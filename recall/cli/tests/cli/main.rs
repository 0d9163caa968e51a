//! The command line as people and programs meet it: the real binary, in a home of its own.

#![allow(clippy::unwrap_used, reason = "a test that lacks its ground may stop where it stands")]

mod bad_input;
mod context;
mod episodes;
mod folders;
mod home;
mod hooks;
mod install;
mod manual;
mod memories;
mod notes;
mod processes;
mod sessions;

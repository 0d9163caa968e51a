//! The command line as people and programs meet it: the real binary, in a home of its own.

mod bad_input;
mod episodes;
mod home;
mod manual;
mod notes;
mod pipes;
mod sessions;

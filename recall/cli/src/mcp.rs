//! The memory for clients of the Model Context Protocol: over standard input and output, and at `/mcp` of a server.
//!
//! - [`tools`]: what a model can call; [`handler`]: that and resources and the prompt, as the protocol asks for them
//! - [`render`], [`cut`]: answers cut to what a model's window has room for
//! - [`backend`]: where the memory is: in this process, or in a server that runs
//! - [`stdio`]: `harness mcp`; [`http`]: `/mcp`

pub(crate) mod backend;
mod cut;
mod handler;
pub(crate) mod http;
mod render;
pub(crate) mod stdio;
mod tools;

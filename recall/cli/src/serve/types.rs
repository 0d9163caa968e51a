//! What goes over HTTP and MCP beside the types that the libraries share: requests, and answers of the service itself.
//!
//! Each field's documentation is its description in the OpenAPI document.

mod embeddings;
pub(crate) mod input;
mod reads;
mod writes;

pub(crate) use embeddings::*;
pub(crate) use reads::*;
pub(crate) use writes::*;

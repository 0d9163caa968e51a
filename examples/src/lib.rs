//! Programs that read like essays, comparisons with other engines, and the generator of the data
//! that speed is measured on.
//!
//! - [`generate`]: made-up sessions
//! - [`measure`]: processor time

pub mod generate;
pub mod measure;

//! Programs that read like essays, comparisons with other engines, and the generator of the data
//! that speed is measured on.
//!
//! - [`generate`]: made-up sessions
//! - [`measure`]: processor time
//! - [`world`]: tasks with hidden rules, for the learning curve; [`chart`]: the curve as a picture

pub mod chart;
pub mod generate;
pub mod measure;
pub mod world;

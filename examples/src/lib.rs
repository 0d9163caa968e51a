//! Programs that read like essays, comparisons with other engines, and the generator of the data
//! that speed is measured on.

pub mod generate;

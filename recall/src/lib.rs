//! The recall engine: a store, the indexes that follow it, and the answers drawn from both.
//!
//! - [`engine`]: one home opened; `upkeep`: its indexes, brought up to date, rebuilt, verified, swept
//! - `answer`: from a query to an answer
//! - `fusion`: several ranked lists to one; `meaning`: the arm of meaning; [`models`]: the embedding models of a home;
//!   `marks`: what their exams showed
//! - `follow`: indexing and embedding in the background, `priority` and `pause` of it; `socket`: a question's vector from
//!   the process that holds the model
//! - `arms`: what the indexes propose; `ranked`: the records behind that, on their way to an answer
//! - `conversation`: what turns lend each other; `named`: who and what the question names; `when`: which days
//! - `situations`, `outcome`, `current`, `credit`: what was tried in one situation, what worked, what is true now, what
//!   runs say about a record; [`weights`]: how much each part of ranking counts
//! - `sessions`: sessions ranked, where they are asked for and not their turns
//! - [`rerank`]: a closer reading of the head, where a reranker is given
//! - `copies`: one statement told often is one hit; `repeats`: exact ones, as the store counts them
//! - `confidence`: how sure recall is
//! - `hit`: a ranked record as the hit that is answered
//! - `context`: packing an answer into a prompt; [`tokens`]: how much room that takes
//! - [`local`]: the [`harness_memory::Memory`] handle over an engine of this process

mod answer;
mod arms;
mod confidence;
mod context;
mod conversation;
mod copies;
mod credit;
mod current;
pub mod engine;
pub mod error;
mod follow;
mod fusion;
mod hit;
pub mod local;
mod marks;
mod meaning;
pub mod models;
mod named;
mod outcome;
mod pause;
mod priority;
mod ranked;
mod repeats;
pub mod rerank;
mod sessions;
mod situations;
mod socket;
pub mod tokens;
mod upkeep;
pub mod weights;
mod when;

pub use engine::{Engine, Progress};
pub use error::{Error, Result};
pub use local::LocalMemory;
pub use socket::Sent;
pub use upkeep::{IndexStatus, Swept};
pub use weights::Weights;

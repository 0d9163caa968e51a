//! What is remembered, and where: the types of a record, the `Store` that is
//! the only ground state, the SQLite store, the importers that read other
//! tools' transcripts, and the cleaning that every record passes on its way in.
//!
//! - [`record`], [`id`], [`scope`]: what one record is, its name, and whose it is
//! - [`memory`]: the handle that an agent holds, with queries and answers
//! - `http` (a feature): that handle over HTTP
//! - [`store`]: the contract of the ground state; [`sqlite`]: its implementation
//! - [`change`]: the log that indexes follow
//! - [`session`]: transcripts as a whole
//! - [`intake`]: redaction and echo check, the only way to [`store::Store::put`]
//! - [`redact`], [`marker`]: the two halves of the intake
//! - [`export`]: everything as JSON Lines and back, and as a folder to read
//! - [`import`]: transcripts of other tools; [`memories`]: what other memories hold
//! - [`suspicion`]: text that speaks to a model instead of about the work

pub mod change;
pub mod error;
pub mod export;
#[cfg(feature = "http")]
pub mod http;
pub mod id;
pub mod import;
pub mod intake;
pub mod marker;
pub mod memories;
pub mod memory;
pub mod record;
pub mod redact;
#[cfg(feature = "schema")]
mod schema;
pub mod scope;
pub mod session;
#[cfg(feature = "sqlite")]
pub mod sqlite;
pub mod store;
pub mod suspicion;

pub use change::{Change, ChangeKind, Position, Seq};
pub use error::{Error, Result};
#[cfg(feature = "http")]
pub use http::HttpMemory;
pub use id::{RecordId, StoreId};
pub use intake::{Admitted, Intake};
pub use memory::{Answer, Context, ContextQuery, Hit, Memory, Mode, Query};
pub use record::{
    Body, Episode, Kind, Lesson, Message, MessageForm, Note, Origin, Outcome, Record, Role, ToolCall, ToolResult,
    ToolUse, Trust,
};
pub use scope::{ReadSet, Scope};
pub use session::Session;
#[cfg(feature = "sqlite")]
pub use sqlite::SqliteStore;
pub use store::{Lookup, Put, Row, Store, Stored};

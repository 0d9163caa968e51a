//! Full text: analysis, queries, scoring and snippets, independent of where postings are kept; and the index that
//! keeps them.
//!
//! - `analysis`: from text to terms, in every language
//! - `words`: which pieces of Han text are words
//! - `shape`: the kind and length of a document in one byte
//! - `postings`: what scoring reads; a segment in memory
//! - `query`: what users type; `query_terms`: its terms and their weights
//! - `scoring`: BM25, a term at a time
//! - `overlap`: n-grams of the same characters count less than independent terms
//! - `evidence`: how much of a question is answered, word by word
//! - `lookup`: phrases and literal look-ups, verified on the stored text
//! - `snippet`: the best passage, with the matches marked
//! - `index`: the text index as a whole
//! - `document`: which text of a record is searched
//! - `writer`: the index on the disk, written; `reader`, `snapshot`: the same, read; `schema`: its fields
//! - `folders`, `files`: where it lies, and how damage is noticed
//! - `tail`: what is not in it yet
//! - `verify`: comparing it with the store

mod analysis;
mod document;
mod evidence;
mod files;
mod folders;
mod index;
mod lookup;
mod overlap;
mod postings;
mod query;
mod query_terms;
mod reader;
mod schema;
mod scoring;
mod shape;
mod snapshot;
mod snippet;
mod tail;
mod verify;
mod words;
mod writer;

pub use analysis::{ANALYZER_VERSION, Analyzer, FOLDED_BYTES_MAX, Folded, TERM_BYTES_MAX, TermKind};
pub(crate) use document::reports_error;
pub use document::{ARGUMENTS_BYTES_MAX, DOCUMENT_BYTES_MAX, ERROR_LINES_BYTES_MAX, TOOL_OUTPUT_BYTES_MAX};
pub use index::{TEXT, TextIndex};
pub use lookup::{Load, VERIFIED_MAX};
pub use postings::{MemorySegment, Segment, Statistics};
pub use query::{QUERY_CHARS_MAX, QUERY_TERMS_MAX, Query, QueryTerm};
pub use schema::TEXT_FORMAT;
pub use scoring::{Answer, Filter, Matched, Scored, Scorer, Scoring, TERM_KINDS};
pub use shape::{SHAPES, Shape, TEXT_CLASSES, TextClass};
pub use snippet::{SNIPPET_BYTES_MAX, Snippet, snippet};
pub use tail::{TAIL_BYTES_MAX, TAIL_CHANGES_MAX};

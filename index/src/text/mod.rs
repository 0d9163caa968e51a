//! Full text: analysis, queries, scoring and snippets, independent of where postings are kept.
//!
//! - `analysis`: from text to terms, in every language
//! - `words`: Han words of documents
//! - `shape`: the kind and length of a document in one byte
//! - `postings`: what scoring reads; a segment in memory
//! - `query`: what users type; `query_terms`: its terms and their weights
//! - `scoring`: BM25, a term at a time
//! - `overlap`: n-grams of the same characters count less than independent terms
//! - `lookup`: phrases and literal look-ups, verified on the stored text
//! - `snippet`: the best passage, with the matches marked

mod analysis;
mod lookup;
mod overlap;
mod postings;
mod query;
mod query_terms;
mod scoring;
mod shape;
mod snippet;
mod words;

pub use analysis::{
    ANALYZER_VERSION, Analyzer, Dictionary, FOLDED_BYTES_MAX, Folded, KnownWords, NoWords, TERM_BYTES_MAX, TermKind,
    WordFinder,
};
pub use lookup::{Load, VERIFIED_MAX};
pub use postings::{MemorySegment, Segment, Statistics};
pub use query::{QUERY_CHARS_MAX, QUERY_TERMS_MAX, Query, QueryTerm};
pub use scoring::{Answer, Filter, Matched, Scored, Scorer, Scoring, TERM_KINDS};
pub use shape::{SHAPES, Shape, TEXT_CLASSES, TextClass};
pub use snippet::{SNIPPET_BYTES_MAX, Snippet, snippet};

//! What the text index keeps of a record: its terms, what a filter asks for, and its row. No text is stored.

use harness_memory::scope::Readable;
use harness_memory::{Kind, Record};
use tantivy::Index;
use tantivy::schema::{FAST, Field, INDEXED, IndexRecordOption, Schema, TextFieldIndexing, TextOptions};
use tantivy::tokenizer::{TextAnalyzer, Token, TokenStream, Tokenizer};

/// What this version of the program writes: the fields below, the files' checksums, and the payload of a commit.
/// An index of another format is built anew.
pub const TEXT_FORMAT: u32 = 1;

/// Stands between two terms of a document on their way to the index. No term holds it: it is white space to analysis.
pub(crate) const BETWEEN_TERMS: char = '\u{1f}';

/// The fields of the index.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fields {
    /// Terms with their frequencies. Lengths are in `shape`, so that there are no field norms.
    pub(crate) terms: Field,
    /// What a filter asks for: see [`facets`].
    pub(crate) facets: Field,
    /// The record's row, to delete by and to answer with.
    pub(crate) row: Field,
    /// When it was created, in milliseconds since 1970.
    pub(crate) created_at_ms: Field,
    /// The [`super::Shape`] of its text.
    pub(crate) shape: Field,
}

/// The names of the fast fields.
pub(crate) const ROW: &str = "row";
pub(crate) const CREATED_AT_MS: &str = "created_at_ms";
pub(crate) const SHAPE: &str = "shape";

const TOKENIZER: &str = "harness-terms";

/// The fields, and the schema they are in.
pub(crate) fn schema() -> (Fields, Schema) {
    let mut builder = Schema::builder();
    let words = |option| {
        let indexing = TextFieldIndexing::default().set_tokenizer(TOKENIZER).set_fieldnorms(false);
        TextOptions::default().set_indexing_options(indexing.set_index_option(option))
    };
    let terms = builder.add_text_field("terms", words(IndexRecordOption::WithFreqs));
    let facets = builder.add_text_field("facets", words(IndexRecordOption::Basic));
    let row = builder.add_i64_field(ROW, INDEXED | FAST);
    let created_at_ms = builder.add_i64_field(CREATED_AT_MS, FAST);
    let shape = builder.add_u64_field(SHAPE, FAST);
    (Fields { terms, facets, row, created_at_ms, shape }, builder.build())
}

/// Makes the tokenizer known to an index that is to be written to.
pub(crate) fn register(index: &Index) {
    index.tokenizers().register(TOKENIZER, TextAnalyzer::builder(Terms::default()).build());
}

/// The facets of a record, one after the other: its kind, its session, every scope that it is in, and its own.
pub(crate) fn facets(record: &Record) -> String {
    let mut all = kind_facet(record.kind());
    let mut push = |facet: String| {
        all.push(BETWEEN_TERMS);
        all.push_str(&facet);
    };
    if let Some(session) = &record.session {
        push(session_facet(session));
    }
    for ancestor in record.scope.ancestors().filter(|path| !path.is_empty()) {
        push(format!("/{ancestor}"));
    }
    push(format!("={}", record.scope.path()));
    all
}

/// The facet that all records have that may be read under this entry.
pub(crate) fn scope_facet(entry: &Readable) -> String {
    match entry {
        Readable::Within(scope) => format!("/{}", scope.path()),
        Readable::Exactly(scope) => format!("={}", scope.path()),
    }
}

/// The facet of all records of a kind.
pub(crate) fn kind_facet(kind: Kind) -> String {
    format!("k{}", kind.code())
}

/// The facet of all records of a session.
pub(crate) fn session_facet(session: &str) -> String {
    format!("s{}", session.replace(BETWEEN_TERMS, " "))
}

/// Takes apart the terms that analysis found.
#[derive(Clone, Default)]
struct Terms {
    token: Token,
}

struct TermStream<'a> {
    rest: std::str::Split<'a, char>,
    token: &'a mut Token,
}

impl Tokenizer for Terms {
    type TokenStream<'a> = TermStream<'a>;

    fn token_stream<'a>(&'a mut self, text: &'a str) -> TermStream<'a> {
        self.token.reset();
        TermStream { rest: text.split(BETWEEN_TERMS), token: &mut self.token }
    }
}

impl TokenStream for TermStream<'_> {
    fn advance(&mut self) -> bool {
        let Some(term) = self.rest.find(|term| !term.is_empty()) else { return false };
        self.token.position = self.token.position.wrapping_add(1);
        self.token.text.clear();
        self.token.text.push_str(term);
        true
    }

    fn token(&self) -> &Token {
        self.token
    }

    fn token_mut(&mut self) -> &mut Token {
        self.token
    }
}

//! What users type, as terms, phrases and exclusions.

use super::analysis::{Class, Folded, TermKind, mask_questions};
use super::evidence::Words;
use super::lookup::Phrase;
use super::query_terms::QueryTerms;

/// Longer queries are cut here: a whole prompt is no question, and the terms past the limit below would not be used.
pub const QUERY_CHARS_MAX: usize = 4_000;

/// A query keeps this many distinct terms, those that come first: each costs a walk over its postings.
pub const QUERY_TERMS_MAX: usize = 512;

/// A query that is one run of this many characters of a script without spaces is looked up literally first.
const LITERAL_CHARS: std::ops::RangeInclusive<usize> = 2..=8;

/// The weight of a term that only a phrase needs.
const PHRASE_TERM_WEIGHT: f32 = 0.01;

/// A query, ready to be scored.
///
/// Anything is a query. `"…"` asks for a phrase, `-word` (and `-"…"`) excludes one; whatever does not fit that form,
/// such as a lone or unbalanced sign, is text.
#[derive(Debug, Clone, Default)]
pub struct Query {
    text: String,
    terms: Vec<QueryTerm>,
    /// How many characters the folded text has, which the spans of the terms count.
    pub(crate) width: usize,
    /// Its words, for the places of its terms.
    pub(crate) words: Words,
    pub(crate) phrases: Vec<Phrase>,
    pub(crate) excluded: Vec<Phrase>,
    pub(crate) literal: Option<Phrase>,
    /// There is nothing but phrases, so that nothing can be searched in their stead.
    pub(crate) only_phrases: bool,
    truncated: bool,
}

/// One distinct term of a query.
#[derive(Debug, Clone, PartialEq)]
pub struct QueryTerm {
    /// The index term.
    pub term: String,
    /// The same word in the other form that documents may have it in: a word that stands alone is indexed by its stem
    /// and marked as written, the whole of a compound unmarked and unstemmed. Having either is having the term.
    pub also: Option<String>,
    /// What it is made of.
    pub kind: TermKind,
    /// How much it counts beside others of its kind: how often the query has it, up to three times, more for a
    /// character that is a word by itself, less for the pieces of a long run.
    pub weight: f32,
    /// The term is only a guess at how the words might be written as one, and says nothing if it is in no document.
    pub guessed: bool,
    /// Where the query has it, in characters of its folded text.
    pub(crate) spans: Vec<std::ops::Range<usize>>,
}

impl Query {
    /// Reads a text: [`plain`](Query::plain) or [as a user types it](Query::parse).
    pub fn read(text: &str, plain: bool) -> Self {
        if plain { Self::plain(text) } else { Self::parse(text) }
    }

    /// Reads a query as a user types it.
    pub fn parse(text: &str) -> Self {
        let (text, truncated) = cut(text);
        let syntax = Syntax::read(text);
        // Exclusions alone would ask for everything else: then the signs are text.
        if syntax.phrases.is_empty() && !says_something(&syntax.text) {
            return Self { truncated, ..Self::plain(text) };
        }
        let phrases = |texts: &[String]| -> Vec<Phrase> {
            texts.iter().map(|text| Phrase::new(text)).filter(|phrase| !phrase.is_empty()).collect()
        };
        let mut all = syntax.text.clone();
        for phrase in &syntax.phrases {
            // A line break keeps the neighbours from making terms together.
            all.push('\n');
            all.push_str(phrase);
        }
        let plain = Self::plain(&all);
        let literal = plain.literal.filter(|_| syntax.phrases.is_empty());
        Self {
            phrases: phrases(&syntax.phrases),
            excluded: phrases(&syntax.excluded),
            only_phrases: !says_something(&syntax.text),
            literal,
            truncated: truncated || plain.truncated,
            ..plain
        }
        .with_terms_of_phrases()
    }

    /// Adds the terms that a phrase or literal look-up needs and that are no terms yet, because they are question
    /// words: too light to change an order, but a document with nothing else is still a match.
    fn with_terms_of_phrases(mut self) -> Self {
        for term in self.phrases.iter().chain(&self.literal).flat_map(Phrase::terms) {
            if !self.terms.iter().any(|known| known.term == *term) {
                self.terms.push(QueryTerm {
                    term: term.clone(),
                    also: None,
                    kind: TermKind::Whole,
                    weight: PHRASE_TERM_WEIGHT,
                    guessed: true,
                    spans: Vec::new(),
                });
            }
        }
        self
    }

    /// Takes a text as a query in which no sign has a meaning: a prompt, say, which quotes for its own reasons.
    pub fn plain(text: &str) -> Self {
        let (text, mut truncated) = cut(text);
        let mut folded = Folded::new(text);
        let literal = literal(&folded);
        mask_questions(&mut folded);
        let mut terms = QueryTerms::collect(&folded);
        if terms.len() > QUERY_TERMS_MAX {
            terms.truncate(QUERY_TERMS_MAX);
            truncated = true;
        }
        let words = Words::of(&folded, &terms);
        Self { text: text.to_owned(), terms, width: folded.len(), words, literal, truncated, ..Self::default() }
            .with_terms_of_phrases()
    }

    /// The text that is searched for, without operators.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The distinct terms, in the order in which the query has them.
    pub fn terms(&self) -> &[QueryTerm] {
        &self.terms
    }

    /// Whether the query was longer than the limits allow.
    pub fn is_truncated(&self) -> bool {
        self.truncated
    }

    /// Whether it asks for an exact phrase, or leaves something out.
    pub fn has_operators(&self) -> bool {
        !self.phrases.is_empty() || !self.excluded.is_empty()
    }

    /// Whether there is nothing to search for.
    pub fn is_empty(&self) -> bool {
        self.terms.is_empty()
    }
}

fn cut(text: &str) -> (&str, bool) {
    match text.char_indices().nth(QUERY_CHARS_MAX) {
        Some((end, _)) => (&text[..end], true),
        None => (text, false),
    }
}

fn says_something(text: &str) -> bool {
    text.chars().any(|c| c.is_alphanumeric() || (!c.is_ascii() && !c.is_whitespace()))
}

/// The query as a literal look-up, if it is one run of a few characters without spaces between words.
fn literal(folded: &Folded) -> Option<Phrase> {
    let text = folded.text().trim();
    let length = text.chars().count();
    if !LITERAL_CHARS.contains(&length) {
        return None;
    }
    let start = folded.index_of(folded.text().len() - folded.text().trim_start().len());
    let mut classes = (start..start + length).map(|i| folded.class(i));
    let whole = classes.clone().all(Class::is_paired) || classes.all(|class| class == Class::Hangul);
    whole.then(|| Phrase::new(text)).filter(|phrase| !phrase.is_empty())
}

/// A query cut at its operators.
#[derive(Default)]
struct Syntax {
    text: String,
    phrases: Vec<String>,
    excluded: Vec<String>,
}

impl Syntax {
    fn read(text: &str) -> Self {
        let mut syntax = Self::default();
        let mut rest = text;
        let mut at_start = true;
        while let Some(c) = rest.chars().next() {
            if at_start {
                if let Some((phrase, after)) = rest.strip_prefix("-\"").and_then(quoted) {
                    syntax.excluded.push(phrase.to_owned());
                    rest = after;
                    continue;
                }
                if let Some(word) = rest.strip_prefix('-').filter(|word| word.starts_with(char::is_alphabetic)) {
                    let end = word.find(char::is_whitespace).unwrap_or(word.len());
                    syntax.excluded.push(word[..end].to_owned());
                    rest = &word[end..];
                    continue;
                }
            }
            if let Some((phrase, after)) = rest.strip_prefix('"').and_then(quoted) {
                syntax.phrases.push(phrase.to_owned());
                syntax.text.push(' ');
                rest = after;
                at_start = true;
                continue;
            }
            syntax.text.push(c);
            at_start = c.is_whitespace();
            rest = &rest[c.len_utf8()..];
        }
        syntax
    }
}

/// What stands before the closing quote, if it says anything, and what comes after.
fn quoted(text: &str) -> Option<(&str, &str)> {
    let (phrase, after) = text.split_once('"')?;
    says_something(phrase).then_some((phrase, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terms(text: &str) -> Vec<String> {
        let said = |term: &&QueryTerm| !term.guessed && term.kind != TermKind::Exact;
        Query::parse(text).terms().iter().filter(said).map(|term| term.term.clone()).collect()
    }

    #[test]
    fn phrases_and_exclusions_are_read() {
        let query = Query::parse("deploy \"rolled back\" -staging -\"port 8443\"");
        assert_eq!(query.phrases.len(), 1);
        assert_eq!(query.excluded.len(), 2);
        assert!(!query.only_phrases);
        assert_eq!(terms("deploy \"rolled back\" -staging"), ["deploy", "roll", "back"]);
        assert!(Query::parse("\"rolled back\" -staging").only_phrases);
    }

    #[test]
    fn malformed_operators_are_text() {
        for text in [
            "say \"hello",
            "what?: - now",
            "- \" -",
            "a\0b",
            "-staging",
            "--flag",
            "\"\"",
            "-\"\" x",
            "🦀 -",
            "-5 degrees",
        ] {
            let query = Query::parse(text);
            assert!(query.phrases.is_empty() && query.excluded.is_empty(), "{text}");
        }
        assert_eq!(terms("-staging"), ["stage"]);
        assert_eq!(terms("say \"hello"), ["say", "hello"]);
        assert_eq!(terms("重跑gen-itgc后"), ["重", "重跑", "跑", "gen", "itgc", "genitgc", "后"]);
    }

    #[test]
    fn a_query_of_stop_words_still_searches() {
        assert_eq!(terms("where are you"), ["where", "are", "you"]);
        assert!(!terms("什么").is_empty());
        assert!(!terms("どこですか").is_empty());
        assert!(!terms("어디").is_empty());
        assert_eq!(terms("where are the keys"), ["key"]);
    }

    #[test]
    fn a_long_query_is_cut_and_says_so() {
        let query = Query::parse(&"word ".repeat(2_000));
        assert!(query.is_truncated());
        assert_eq!(query.terms().len(), 2);
        let many: String = (0..700).map(|i| format!("w{i} ")).collect();
        assert!(Query::parse(&many).is_truncated());
        assert_eq!(Query::parse(&many).terms().len(), QUERY_TERMS_MAX);
    }
}

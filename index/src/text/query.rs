//! What users type, as terms, phrases and exclusions.

use rustc_hash::FxHashMap;

use super::analysis::{
    self, Buffers, Class, Folded, NoWords, TermKind, WORD_CHARS, WORD_PREFIX, capped, is_stop_word, join_words,
    mask_questions, write_kana_word,
};

/// Longer queries are cut here: a whole prompt is no question, and the terms past the limit below would not be used.
pub const QUERY_CHARS_MAX: usize = 4_000;

/// A query keeps this many distinct terms, those that come first: each costs a walk over its postings.
pub const QUERY_TERMS_MAX: usize = 512;

/// Repeating a term in a query strengthens it up to this many times.
const REPETITIONS_MAX: u32 = 3;

/// A query that is one run of this many characters of a script without spaces is looked up literally first.
const LITERAL_CHARS: std::ops::RangeInclusive<usize> = 2..=8;

/// Up to this many neighbouring words are tried together as an identifier.
const JOINED_WORDS_MAX: usize = 4;

/// Queries of more words than this are sentences, in which only two neighbours are tried.
const JOINED_QUERY_WORDS_MAX: usize = 8;

/// A query, ready to be scored.
///
/// Anything is a query. `"…"` asks for a phrase, `-word` (and `-"…"`) excludes one; whatever does not fit that form,
/// such as a lone or unbalanced sign, is text.
#[derive(Debug, Clone, Default)]
pub struct Query {
    pub(crate) text: String,
    pub(crate) terms: Vec<QueryTerm>,
    pub(crate) phrases: Vec<Phrase>,
    pub(crate) excluded: Vec<Phrase>,
    pub(crate) literal: Option<Phrase>,
    pub(crate) only_phrases: bool,
    truncated: bool,
}

/// One distinct term of a query.
#[derive(Debug, Clone, PartialEq)]
pub struct QueryTerm {
    /// The index term.
    pub term: String,
    /// What it is made of.
    pub kind: TermKind,
    /// How often the query has it, at most three.
    pub repetitions: u32,
    /// The term is only a guess at how the words might be written as one, and says nothing if it is in no document.
    pub guessed: bool,
}

/// Text that has to be in a document as it stands, folded.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Phrase {
    /// The folded text, with single spaces.
    pub(crate) folded: String,
    /// Terms that every document with the phrase has.
    pub(crate) terms: Vec<String>,
}

impl Query {
    /// Reads a query as a user types it.
    pub fn parse(text: &str) -> Self {
        let (text, truncated) = cut(text);
        let syntax = Syntax::read(text);
        // Exclusions alone would ask for everything else: then the signs are text.
        if syntax.text.trim().is_empty() && syntax.phrases.is_empty() {
            return Self { truncated, ..Self::plain(text) };
        }
        let phrases: Vec<Phrase> =
            syntax.phrases.iter().map(|phrase| Phrase::new(phrase)).filter(|phrase| !phrase.terms.is_empty()).collect();
        let excluded = syntax
            .excluded
            .iter()
            .map(|phrase| Phrase::new(phrase))
            .filter(|phrase| !phrase.terms.is_empty())
            .collect();
        let mut all = syntax.text.clone();
        for phrase in &syntax.phrases {
            all.push_str(" \n ");
            all.push_str(phrase);
        }
        let only_phrases = !phrases.is_empty() && !syntax.text.chars().any(char::is_alphanumeric);
        Self { phrases, excluded, only_phrases, truncated, ..Self::plain(&all) }
    }

    /// Takes a text as a query in which no sign has a meaning: a prompt, say, which quotes for its own reasons.
    pub fn plain(text: &str) -> Self {
        let (text, mut truncated) = cut(text);
        let mut folded = Folded::new(text);
        let literal = literal(&folded);
        mask_questions(&mut folded);
        let mut terms = Terms::default();
        terms.collect(&folded, true);
        if terms.list.is_empty() {
            terms.collect(&folded, false);
        }
        if terms.list.len() > QUERY_TERMS_MAX {
            terms.list.truncate(QUERY_TERMS_MAX);
            truncated = true;
        }
        Self { text: text.to_owned(), terms: terms.list, literal, truncated, ..Self::default() }
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

impl Phrase {
    pub(crate) fn new(text: &str) -> Self {
        let folded = Folded::new(text);
        let mut terms: Vec<String> = Vec::new();
        let mut push = |term: &str| {
            if !terms.iter().any(|known| known == term) {
                terms.push(term.to_owned());
            }
        };
        let mut unigrams = Vec::new();
        analysis::terms(&folded, &mut Buffers::default(), &mut NoWords, &mut |term, kind, range| match kind {
            TermKind::HanBigram
            | TermKind::HiraganaBigram
            | TermKind::KatakanaBigram
            | TermKind::MixedBigram
            | TermKind::HangulBigram
            | TermKind::Symbol => push(term),
            TermKind::HanUnigram | TermKind::HangulUnigram => unigrams.push((term.to_owned(), range)),
            // The first and last words of a phrase may be pieces of longer ones in the document.
            TermKind::Word | TermKind::Part | TermKind::Number if range.start > 0 && range.end < folded.len() => {
                push(term)
            }
            TermKind::Word | TermKind::Number => push(term),
            _ => {}
        });
        // A character is only needed where it is part of no pair.
        for (term, range) in unigrams {
            let neighbour = |i: Option<usize>| {
                i.is_some_and(|i| {
                    let class = folded.class(i);
                    if folded.class(range.start) == Class::Hangul { class == Class::Hangul } else { class.is_paired() }
                })
            };
            if !neighbour(range.start.checked_sub(1)) && !neighbour(Some(range.end)) {
                push(&term);
            }
        }
        Self { folded: squeeze(folded.text()), terms }
    }
}

/// Folded text with every run of white space as one space, and none at the ends.
pub(crate) fn squeeze(folded: &str) -> String {
    let mut out = String::with_capacity(folded.len());
    for word in folded.split_whitespace() {
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(word);
    }
    out
}

/// The query as a literal look-up, if it is one run of a few characters without spaces between words.
fn literal(folded: &Folded) -> Option<Phrase> {
    let text = folded.text().trim();
    let length = text.chars().count();
    let start = folded.index_of(folded.text().len() - folded.text().trim_start().len());
    let mut classes = (start..start + length).map(|i| folded.class(i));
    let whole = LITERAL_CHARS.contains(&length)
        && (classes.clone().all(Class::is_paired) || classes.all(|class| class == Class::Hangul));
    whole.then(|| Phrase::new(text)).filter(|phrase| !phrase.terms.is_empty())
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
                if let Some(word) =
                    rest.strip_prefix('-').filter(|word| word.chars().next().is_some_and(char::is_alphabetic))
                {
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
    phrase.chars().any(|c| c.is_alphanumeric() || !c.is_ascii()).then_some((phrase, after))
}

/// Collects distinct terms in order.
#[derive(Default)]
struct Terms {
    list: Vec<QueryTerm>,
    places: FxHashMap<String, usize>,
}

impl Terms {
    fn collect(&mut self, folded: &Folded, drop_stop_words: bool) {
        let mut buffers = Buffers::default();
        let mut words: Vec<(std::ops::Range<usize>, bool)> = Vec::new();
        analysis::terms(folded, &mut buffers, &mut NoWords, &mut |term, kind, range| {
            if kind == TermKind::Word {
                let stop = is_stop_word(folded.slice(range.clone()));
                words.push((range.clone(), stop));
                if stop && drop_stop_words && stands_alone(folded, &range) {
                    return;
                }
            } else if kind == TermKind::Number {
                words.push((range, false));
            }
            self.push(term, kind, false);
        });
        self.collect_pieces(folded);
        self.collect_joined(folded, &words);
    }

    /// Tries the pieces of Han runs as words, and hiragana runs as the katakana words they may spell.
    fn collect_pieces(&mut self, folded: &Folded) {
        let mut term = String::new();
        let mut at = 0;
        while at < folded.len() {
            let class = folded.class(at);
            let mut end = at + 1;
            while end < folded.len() && folded.class(end) == class {
                end += 1;
            }
            match class {
                Class::Han => {
                    for first in at..end {
                        for length in WORD_CHARS {
                            if first + length <= end {
                                term.clear();
                                term.push(WORD_PREFIX);
                                term.push_str(folded.slice(first..first + length));
                                self.push(&term, TermKind::HanWord, true);
                            }
                        }
                    }
                }
                Class::Hiragana => {
                    // A long mark counts as katakana, and a word may have one in the middle.
                    while folded.class(end).is_kana() {
                        end += 1;
                    }
                    if write_kana_word(folded.slice(at..end), &mut term).is_some() {
                        self.push(capped(&term), TermKind::KatakanaWord, true);
                    }
                }
                _ => {}
            }
            at = end;
        }
    }

    /// Tries neighbouring words as one identifier: `parse http response` is `parseHttpResponse` somewhere.
    fn collect_joined(&mut self, folded: &Folded, words: &[(std::ops::Range<usize>, bool)]) {
        let longest = if words.len() > JOINED_QUERY_WORDS_MAX { 2 } else { JOINED_WORDS_MAX };
        let mut term = String::new();
        for first in 0..words.len() {
            for last in first + 1..words.len().min(first + longest) {
                let gap = folded.slice(words[last - 1].0.end..words[last].0.start.max(words[last - 1].0.end));
                if gap != " " {
                    break;
                }
                let group = &words[first..=last];
                if group.iter().all(|(_, stop)| *stop) {
                    continue;
                }
                join_words(group.iter().map(|(range, _)| folded.slice(range.clone())), &mut term);
                self.push(&term, TermKind::Whole, true);
            }
        }
    }

    fn push(&mut self, term: &str, kind: TermKind, guessed: bool) {
        match self.places.get(term) {
            Some(&place) => {
                let known = &mut self.list[place];
                if !guessed {
                    known.repetitions = (known.repetitions + 1).min(REPETITIONS_MAX);
                }
            }
            None => {
                self.places.insert(term.to_owned(), self.list.len());
                self.list.push(QueryTerm { term: term.to_owned(), kind, repetitions: 1, guessed });
            }
        }
    }
}

/// Whether a word is not joined to a neighbour by a separator, as words inside identifiers and paths are.
fn stands_alone(folded: &Folded, range: &std::ops::Range<usize>) -> bool {
    let joined = |at: usize, beyond: usize| {
        matches!(folded.first_byte(at), b'_' | b'-' | b'.' | b'/' | b':' | b'@')
            && folded.class(beyond).is_alphanumeric()
    };
    !(range.start > 1 && joined(range.start - 1, range.start - 2) || joined(range.end, range.end + 1))
}

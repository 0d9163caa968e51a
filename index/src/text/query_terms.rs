//! The terms of a query, and how much each counts.

use std::ops::Range;

use rustc_hash::FxHashMap;

use super::analysis::{
    self, Buffers, Class, EXACT_PREFIX, Folded, TermKind, WORD_PREFIX, capped, is_stop_word, join_words, stem,
    write_kana_word,
};
use super::query::QueryTerm;
use super::words;

/// Repeating a term in a query strengthens it up to this many times.
const REPETITIONS_MAX: f32 = 3.0;

/// Up to this many neighbouring words are tried together as an identifier.
const JOINED_WORDS_MAX: usize = 4;

/// Queries of more words than this are sentences, in which only two neighbours are tried.
const JOINED_QUERY_WORDS_MAX: usize = 8;

/// A character that stands by itself in a query, between question words, signs and other scripts, is a word and not a
/// piece of one: `第3层有哪些` asks for a 层.
const LONE_CHARACTER: f32 = 3.0;

/// Pieces of a long run count less, by this power of its length in words of two characters: the n-grams of a long
/// name are no independent evidence, and would drown the rest of the question.
const RUN_DISCOUNT: f32 = 0.2;

/// Collects distinct terms in order.
#[derive(Default)]
pub(super) struct QueryTerms {
    list: Vec<QueryTerm>,
    places: FxHashMap<String, usize>,
}

impl QueryTerms {
    /// The terms of a folded query in which question words are masked. Stop words only where there is nothing else.
    pub(super) fn collect(folded: &Folded) -> Vec<QueryTerm> {
        let mut terms = Self::default();
        terms.collect_all(folded, true);
        if terms.list.is_empty() {
            terms.collect_all(folded, false);
        }
        let runs = run_lengths(folded);
        for term in &mut terms.list {
            let Some(span) = term.spans.first().filter(|_| is_piece(term.kind)) else { continue };
            if term.kind == TermKind::HanUnigram && term.spans.iter().any(|span| is_lone(folded, span)) {
                term.weight *= LONE_CHARACTER;
            }
            term.weight *= (runs[span.start] as f32 / 2.0).powf(-RUN_DISCOUNT);
        }
        terms.list
    }

    fn collect_all(&mut self, folded: &Folded, drop_stop_words: bool) {
        let mut words: Vec<(Range<usize>, bool)> = Vec::new();
        analysis::terms(folded, &mut Buffers::default(), &mut |term, kind, span| {
            if kind == TermKind::HanWord {
                // Words are guesses, and those of Japanese are tried too: see below.
                return;
            }
            if kind == TermKind::Word {
                let stop = is_stop_word(folded.slice(span.clone()));
                words.push((span.clone(), stop));
                if stop && drop_stop_words && stands_alone(folded, &span) {
                    return;
                }
            } else if kind == TermKind::Exact
                && drop_stop_words
                && is_stop_word(folded.slice(span.clone()))
                && stands_alone(folded, &span)
            {
                return;
            } else if kind == TermKind::Number {
                words.push((span.clone(), false));
            }
            self.push(folded, term, kind, span, false);
        });
        self.collect_pieces(folded);
        self.collect_joined(folded, &words);
    }

    /// Tries the words of Han runs, and hiragana runs as the katakana words they may spell.
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
                    let run = folded.slice(at..end);
                    let base = folded.byte(at);
                    words::each(run, &mut |word| {
                        term.clear();
                        term.push(WORD_PREFIX);
                        term.push_str(&run[word.clone()]);
                        let span = folded.index_of(base + word.start)..folded.index_of(base + word.end);
                        self.push(folded, &term, TermKind::HanWord, span, true);
                    });
                }
                Class::Hiragana => {
                    // The long mark is katakana, and a word may have one in the middle.
                    while folded.class(end).is_kana() {
                        end += 1;
                    }
                    if let Some(length) = write_kana_word(folded.slice(at..end), &mut term) {
                        self.push(folded, capped(&term), TermKind::KatakanaWord, at..at + length, true);
                    }
                }
                _ => {}
            }
            at = end;
        }
    }

    /// Tries neighbouring words as one identifier: `parse http response` is `parseHttpResponse` somewhere.
    fn collect_joined(&mut self, folded: &Folded, words: &[(Range<usize>, bool)]) {
        let longest = if words.len() > JOINED_QUERY_WORDS_MAX { 2 } else { JOINED_WORDS_MAX };
        let mut term = String::new();
        for first in 0..words.len() {
            for last in first + 1..words.len().min(first + longest) {
                let gap = words[last - 1].0.end..words[last].0.start;
                if gap.is_empty() || folded.slice(gap) != " " {
                    break;
                }
                let group = &words[first..=last];
                if group.iter().all(|(_, stop)| *stop) {
                    continue;
                }
                join_words(group.iter().map(|(span, _)| folded.slice(span.clone())), &mut term);
                self.push(folded, &term, TermKind::Whole, words[first].0.start..words[last].0.end, true);
            }
        }
    }

    fn push(&mut self, folded: &Folded, term: &str, kind: TermKind, span: Range<usize>, guessed: bool) {
        if let Some(&place) = self.places.get(term) {
            let known = &mut self.list[place];
            if !guessed {
                known.weight = (known.weight + 1.0).min(REPETITIONS_MAX);
            }
            known.spans.push(span);
            return;
        }
        self.places.insert(term.to_owned(), self.list.len());
        let also = other_form(term, kind, folded.slice(span.clone()));
        self.list.push(QueryTerm { term: term.to_owned(), also, kind, weight: 1.0, guessed, spans: vec![span] });
    }
}

/// How documents have a word that is a compound there and none here, or the other way round: `matchqueue` is in the
/// index as its stem and marked as written where it stands like that, and whole where somebody wrote `MatchQueue`.
fn other_form(term: &str, kind: TermKind, written: &str) -> Option<String> {
    match kind {
        TermKind::Word | TermKind::Exact => Some(capped(written)).filter(|&word| word != term).map(str::to_owned),
        TermKind::Whole => (stem(term) != term).then(|| capped(&format!("{EXACT_PREFIX}{term}")).to_owned()),
        _ => None,
    }
}

/// Whether terms of this kind overlap with each other, because they are cut from runs without spaces.
pub(super) fn is_piece(kind: TermKind) -> bool {
    !matches!(
        kind,
        TermKind::Word | TermKind::Exact | TermKind::Part | TermKind::Whole | TermKind::Number | TermKind::Symbol
    )
}

/// For each character the length of the run of one script that it is in.
fn run_lengths(folded: &Folded) -> Vec<usize> {
    let mut lengths = vec![1; folded.len()];
    let mut at = 0;
    while at < folded.len() {
        let kind = |i: usize| match folded.class(i) {
            class if class.is_kana() => Class::Hiragana,
            class if class.is_alphanumeric() => Class::Letter,
            class => class,
        };
        let mut end = at + 1;
        while end < folded.len() && kind(end) == kind(at) {
            end += 1;
        }
        lengths[at..end].fill(end - at);
        at = end;
    }
    lengths
}

/// Whether no character beside this one could form a word with it.
fn is_lone(folded: &Folded, span: &Range<usize>) -> bool {
    let joins = |i: Option<usize>| i.is_some_and(|i| folded.class(i).is_paired());
    !joins(span.start.checked_sub(1)) && !joins(Some(span.end))
}

/// Whether a word is not joined to a neighbour by a separator, as words inside identifiers and paths are.
fn stands_alone(folded: &Folded, span: &Range<usize>) -> bool {
    let joined = |at: usize, beyond: usize| {
        matches!(folded.first_byte(at), b'_' | b'-' | b'.' | b'/' | b':' | b'@')
            && folded.class(beyond).is_alphanumeric()
    };
    !(span.start > 1 && joined(span.start - 1, span.start - 2) || joined(span.end, span.end + 1))
}

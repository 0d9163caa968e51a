//! Phrases and literal look-ups: documents that hold all n-grams of a text, verified on what is stored.

use std::cell::{Cell, RefCell};
use std::io;

use super::analysis::{self, Buffers, Class, Folded, TermKind};
use super::postings::Segment;

/// At most this many documents are verified for one query: each costs a read from the store and a fold.
pub const VERIFIED_MAX: usize = 1_000;

/// Loads the text of a document: segment and number in it. `None` where the store has none.
pub type Load<'a> = dyn Fn(usize, u32) -> Option<String> + 'a;

/// Text that has to be in a document as it stands, folded.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Phrase {
    /// The folded text, with single spaces.
    folded: String,
    /// Terms that every document with the phrase has.
    terms: Vec<String>,
    /// The one term is the whole phrase, so that having it is holding the phrase.
    exact: bool,
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
        let mut singles = Vec::new();
        analysis::terms(&folded, &mut Buffers::default(), &mut |term, kind, range| match kind {
            TermKind::HanBigram
            | TermKind::HiraganaBigram
            | TermKind::KatakanaBigram
            | TermKind::MixedBigram
            | TermKind::HangulBigram
            | TermKind::Word
            | TermKind::Part
            | TermKind::Number
            | TermKind::Symbol => push(term),
            TermKind::HanUnigram | TermKind::HangulUnigram => singles.push((term.to_owned(), range)),
            _ => {}
        });
        // A character is only needed where it is part of no pair.
        for (term, range) in singles {
            let paired = |i: Option<usize>| {
                i.is_some_and(|i| match (folded.class(range.start), folded.class(i)) {
                    (Class::Hangul, beside) => beside == Class::Hangul,
                    (_, beside) => beside.is_paired(),
                })
            };
            if !paired(range.start.checked_sub(1)) && !paired(Some(range.end)) {
                push(&term);
            }
        }
        let folded = squeeze(folded.text());
        let exact = terms.len() == 1 && terms[0] == folded && !folded.is_ascii() && folded.chars().count() == 2;
        Self { folded, terms, exact }
    }

    /// Whether nothing in the phrase can be looked up.
    pub(crate) fn is_empty(&self) -> bool {
        self.terms.is_empty()
    }

    /// Terms that every document with the phrase has.
    pub(crate) fn terms(&self) -> &[String] {
        &self.terms
    }

    /// The folded text.
    pub(crate) fn folded(&self) -> &str {
        &self.folded
    }
}

/// Folded text with every run of white space as one space, and none at the ends.
fn squeeze(folded: &str) -> String {
    let mut out = String::with_capacity(folded.len());
    for word in folded.split_whitespace() {
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(word);
    }
    out
}

/// Documents that have all terms of a phrase, and may hold it.
#[derive(Debug)]
pub(crate) struct Candidates<'a> {
    phrase: &'a Phrase,
    /// By segment, ascending.
    docs: Vec<Vec<u32>>,
}

impl<'a> Candidates<'a> {
    /// Finds them, deleted documents included.
    pub(crate) fn find(phrase: &'a Phrase, segments: &[&dyn Segment]) -> io::Result<Self> {
        let docs =
            segments.iter().map(|segment| holding_all(&phrase.terms, *segment)).collect::<io::Result<Vec<_>>>()?;
        Ok(Self { phrase, docs })
    }

    /// Finds those of each phrase.
    pub(crate) fn find_all(phrases: &'a [Phrase], segments: &[&dyn Segment]) -> io::Result<Vec<Self>> {
        phrases.iter().map(|phrase| Self::find(phrase, segments)).collect()
    }

    pub(crate) fn contains(&self, segment: usize, doc: u32) -> bool {
        self.docs[segment].binary_search(&doc).is_ok()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.docs.iter().all(Vec::is_empty)
    }
}

/// The documents of a segment that hold every one of `terms`, ascending.
fn holding_all(terms: &[String], segment: &dyn Segment) -> io::Result<Vec<u32>> {
    let mut by_frequency = Vec::with_capacity(terms.len());
    for term in terms {
        by_frequency.push((segment.doc_freq(term)?, term));
    }
    by_frequency.sort_unstable();
    let mut docs = Vec::new();
    let Some((&(rarest, first), others)) = by_frequency.split_first() else { return Ok(docs) };
    if rarest == 0 {
        return Ok(docs);
    }
    segment.postings(first, &mut |block, _| docs.extend_from_slice(block))?;
    let mut frequencies = Vec::new();
    for (_, term) in others {
        if docs.is_empty() {
            break;
        }
        frequencies.resize(docs.len(), 0);
        segment.frequencies(term, &docs, &mut frequencies)?;
        let mut held = frequencies.iter().map(|&frequency| frequency > 0);
        docs.retain(|_| held.next().unwrap_or(false));
    }
    Ok(docs)
}

/// Reads documents to see whether they hold a phrase, up to [`VERIFIED_MAX`] of them for one query.
pub(crate) struct Verifier<'a> {
    load: &'a Load<'a>,
    folded: RefCell<Folded>,
    read: Cell<usize>,
    exhausted: Cell<bool>,
}

impl<'a> Verifier<'a> {
    pub(crate) fn new(load: &'a Load<'a>) -> Self {
        Self { load, folded: RefCell::default(), read: Cell::new(0), exhausted: Cell::new(false) }
    }

    /// Whether some document was not read because the limit was reached.
    pub(crate) fn is_exhausted(&self) -> bool {
        self.exhausted.get()
    }

    /// Whether a candidate holds its phrase; `None` past the limit, when nobody looked.
    pub(crate) fn verify(&self, candidates: &Candidates<'_>, segment: usize, doc: u32) -> Option<bool> {
        if candidates.phrase.exact {
            return Some(true);
        }
        if self.read.get() == VERIFIED_MAX {
            self.exhausted.set(true);
            return None;
        }
        self.read.set(self.read.get() + 1);
        let Some(text) = (self.load)(segment, doc) else { return Some(false) };
        let mut folded = self.folded.borrow_mut();
        folded.fold(&text);
        Some(holds(&folded, &candidates.phrase.folded))
    }
}

/// Whether a folded text holds a folded phrase, with no word of a script with spaces cut off at its ends.
pub(crate) fn holds(folded: &Folded, phrase: &str) -> bool {
    // White space only matters where the phrase has some.
    if phrase.contains(' ') && !folded.text().contains(phrase) {
        return squeeze(folded.text()).contains(phrase);
    }
    folded.text().match_indices(phrase).any(|(at, found)| {
        is_boundary(folded, folded.index_of(at)) && is_boundary(folded, folded.index_of(at + found.len()))
    })
}

/// Whether no word of a script with spaces goes on across the start of the character at `at`.
fn is_boundary(folded: &Folded, at: usize) -> bool {
    let Some(before) = at.checked_sub(1).map(|before| folded.class(before)) else { return true };
    let after = folded.class(at);
    !(before.is_alphanumeric() && after.is_alphanumeric())
        || (before == Class::Lower && after == Class::Upper)
        || ((before == Class::Digit) != (after == Class::Digit))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(text: &str, phrase: &str) -> bool {
        holds(&Folded::new(text), Phrase::new(phrase).folded())
    }

    #[test]
    fn a_phrase_is_held_in_any_script_width_and_case() {
        assert!(held("請將伺服器的記憶體升級", "记忆体升级"));
        assert!(held("ｶﾞﾊﾞﾅﾝｽの強化", "がばなんす"));
        assert!(held("It was ROLLED\n  back.", "rolled back"));
        assert!(held("see getUserProfile()", "UserProfile"));
        assert!(!held("concatenate", "cat"));
        assert!(!held("E05021", "E0502"));
    }

    #[test]
    fn two_characters_need_no_reading() {
        assert!(Phrase::new("登录").exact);
        assert!(Phrase::new("로그").exact);
        assert!(!Phrase::new("数据库").exact);
        assert!(!Phrase::new("ab").exact);
    }
}

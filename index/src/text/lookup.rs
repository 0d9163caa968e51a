//! Phrases and literal look-ups: documents that hold all n-grams of a text, verified on what is stored.

use std::io;

use super::analysis::{Class, Folded};
use super::postings::Segment;
use super::query::{Phrase, squeeze};

/// At most this many candidates are verified for one phrase: each costs a read from the store and a fold.
pub const VERIFIED_MAX: usize = 1_000;

/// Loads the text of a document: segment and number in it. `None` where the store has none.
pub type Load<'a> = dyn Fn(usize, u32) -> Option<String> + 'a;

/// Documents that hold a phrase.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Segment and number, ascending.
    pub(crate) docs: Vec<(usize, u32)>,
    /// There were more candidates than could be verified.
    pub(crate) cut: bool,
}

impl Found {
    pub(crate) fn contains(&self, segment: usize, doc: u32) -> bool {
        self.docs.binary_search(&(segment, doc)).is_ok()
    }
}

/// Finds the live documents that pass `filter` and hold the phrase in their text, newest first where there are more
/// candidates than [`VERIFIED_MAX`].
pub(crate) fn find(
    phrase: &Phrase,
    segments: &[&dyn Segment],
    filter: &dyn Fn(usize, u32) -> bool,
    load: &Load<'_>,
) -> io::Result<Found> {
    let mut candidates: Vec<(usize, u32)> = Vec::new();
    for (number, segment) in segments.iter().enumerate() {
        let docs = holding_all(&phrase.terms, *segment)?;
        candidates.extend(
            docs.into_iter()
                .map(|doc| (number, doc))
                .filter(|&(number, doc)| segment.is_alive(doc) && filter(number, doc)),
        );
    }
    let cut = candidates.len() > VERIFIED_MAX;
    if cut {
        candidates.sort_unstable_by_key(|&(number, doc)| std::cmp::Reverse(segments[number].tie_key(doc)));
        candidates.truncate(VERIFIED_MAX);
    }
    let mut folded = Folded::default();
    candidates.retain(|&(number, doc)| {
        load(number, doc).is_some_and(|text| {
            folded.fold(&text);
            holds(&folded, phrase)
        })
    });
    candidates.sort_unstable();
    Ok(Found { docs: candidates, cut })
}

/// The documents of a segment that hold every one of `terms`, ascending.
fn holding_all(terms: &[String], segment: &dyn Segment) -> io::Result<Vec<u32>> {
    let mut by_frequency = Vec::with_capacity(terms.len());
    for term in terms {
        by_frequency.push((segment.doc_freq(term)?, term));
    }
    by_frequency.sort_unstable();
    let Some((&(rarest, first), others)) = by_frequency.split_first() else { return Ok(Vec::new()) };
    let mut docs = Vec::new();
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

/// Whether a folded text holds a phrase: its words next to each other, and none of them cut off where the script has
/// spaces between words.
fn holds(folded: &Folded, phrase: &Phrase) -> bool {
    // White space only differs where there is any.
    if phrase.folded.contains(' ') {
        let squeezed = squeeze(folded.text());
        return squeezed.contains(&phrase.folded);
    }
    folded.text().match_indices(&phrase.folded).any(|(at, found)| {
        let (first, end) = (folded.index_of(at), folded.index_of(at + found.len()));
        whole_at(folded, first) && whole_at(folded, end)
    })
}

/// Whether no word of a script with spaces goes on across the boundary before the character at `at`.
fn whole_at(folded: &Folded, at: usize) -> bool {
    let Some(before) = at.checked_sub(1).map(|before| folded.class(before)) else { return true };
    let after = folded.class(at);
    let word = |class: Class| class.is_alphanumeric();
    !(word(before) && word(after))
        || (before == Class::Lower && after == Class::Upper)
        || ((before == Class::Digit) != (after == Class::Digit))
}

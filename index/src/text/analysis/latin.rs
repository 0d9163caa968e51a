//! Terms of scripts with spaces, which in practice means words, identifiers, paths, versions and numbers.

use std::ops::Range;

use frostem::{Algorithm, Stemmer};

use super::{Class, EXACT_PREFIX, Folded, Sink, TermKind, capped};

/// A token with more parts than this is a key or encoded data: its parts are noise, and it is only found whole.
const PARTS_MAX: usize = 8;

/// Hexadecimal tokens of at least this many digits are hashes, found whole and by this many first digits, which is
/// how version control abbreviates them.
const HASH_CHARS_MIN: usize = 7;

#[derive(Debug, Default, Clone)]
pub(super) struct Buffers {
    components: Vec<Component>,
    parts: Vec<Range<usize>>,
}

/// A piece of a compound between separators.
#[derive(Debug, Clone)]
struct Component {
    range: Range<usize>,
    /// The separator before it; a space for the first.
    separator: u8,
}

/// Where the compound of letters, digits and inner separators that starts at `at` ends.
pub(super) fn compound_end(folded: &Folded, at: usize) -> usize {
    let mut end = at;
    loop {
        while folded.class(end).is_alphanumeric() {
            end += 1;
        }
        let mut next = end;
        match folded.first_byte(next) {
            b'_' => {
                while folded.first_byte(next) == b'_' {
                    next += 1;
                }
            }
            b':' if folded.first_byte(next + 1) == b':' => next += 2,
            b'-' | b'.' | b'/' | b'\\' | b':' | b'\'' | b'@' => next += 1,
            b',' if folded.class(next - 1) == Class::Digit && thousands(folded, next) => next += 1,
            _ => return end,
        }
        if !folded.class(next).is_alphanumeric() {
            return end;
        }
        end = next;
    }
}

/// Whether a comma at `at` is followed by a group of exactly three digits.
fn thousands(folded: &Folded, at: usize) -> bool {
    (1..=3).all(|i| folded.class(at + i) == Class::Digit) && !folded.class(at + 4).is_alphanumeric()
}

pub(super) fn terms(folded: &Folded, range: Range<usize>, buffers: &mut super::Buffers, sink: &mut impl Sink) {
    let super::Buffers { term, latin: Buffers { components, parts } } = buffers;
    split_components(folded, range.clone(), components);
    let mut number: Option<Range<usize>> = None;
    for k in 0..components.len() {
        let component = components[k].range.clone();
        if components[k].separator == b',' {
            continue;
        }
        let mut grouped = k + 1;
        while components.get(grouped).is_some_and(|next| next.separator == b',') {
            grouped += 1;
        }
        if grouped > k + 1 {
            // 1,234,567: one number without its separators.
            let whole = component.start..components[grouped - 1].range.end;
            term.clear();
            term.extend(folded.slice(whole.clone()).chars().filter(|&c| c != ','));
            sink(capped(term), TermKind::Number, whole.clone());
            number = Some(whole);
            continue;
        }
        split_parts(folded, component.clone(), parts);
        let whole = folded.slice(component.clone());
        if parts.len() == 1 {
            emit_part(folded, parts[0].clone(), true, term, sink);
        } else {
            if is_hash(whole) {
                let prefix = component.start..component.start + HASH_CHARS_MIN;
                if component.len() > HASH_CHARS_MIN {
                    sink(folded.slice(prefix.clone()), TermKind::Whole, prefix);
                }
            } else if parts.len() <= PARTS_MAX {
                for part in parts.iter() {
                    emit_part(folded, part.clone(), false, term, sink);
                }
            }
            sink(capped(whole), TermKind::Whole, component.clone());
        }
        // Dotted numbers: versions, decimals, addresses.
        let (first, last) = (parts[0].clone(), parts[parts.len() - 1].clone());
        let continues = components[k].separator == b'.' && folded.class(first.start) == Class::Digit;
        match number.take() {
            Some(chain) if continues => {
                let chain = chain.start..first.end;
                if parts.len() == 1 { number = Some(chain) } else { emit_dotted(folded, chain, sink) }
            }
            Some(chain) => emit_dotted(folded, chain, sink),
            None => {}
        }
        if number.is_none() && folded.class(last.start) == Class::Digit {
            number = Some(last);
        }
    }
    if let Some(chain) = number {
        emit_dotted(folded, chain.clone(), sink);
        let next = folded.class(range.end);
        if chain.end == range.end && matches!(next, Class::Han | Class::Hangul) {
            term.clear();
            term.extend(folded.slice(chain.start..range.end + 1).chars().filter(|&c| c != ','));
            sink(capped(term), TermKind::Counted, chain.start..range.end + 1);
        }
    }
    if components.len() > 1 {
        emit_joined(folded, components, term, sink);
    }
    emit_suffixed(folded, range, sink);
}

fn split_components(folded: &Folded, range: Range<usize>, components: &mut Vec<Component>) {
    components.clear();
    let mut at = range.start;
    let mut separator = b' ';
    while at < range.end {
        if !folded.class(at).is_alphanumeric() {
            separator = folded.first_byte(at);
            at += 1;
            continue;
        }
        let start = at;
        while at < range.end && folded.class(at).is_alphanumeric() {
            at += 1;
        }
        // What is left of a contraction (it's, don't, we'll) says nothing.
        let contraction =
            separator == b'\'' && matches!(folded.slice(start..at), "s" | "t" | "d" | "m" | "re" | "ve" | "ll");
        if !contraction {
            components.push(Component { range: start..at, separator });
        }
    }
}

/// Splits a component where a lower-case letter meets a capital, a run of capitals meets a capitalised word, and
/// letters meet digits.
fn split_parts(folded: &Folded, component: Range<usize>, parts: &mut Vec<Range<usize>>) {
    parts.clear();
    let mut start = component.start;
    for i in component.start + 1..component.end {
        let (before, here) = (folded.class(i - 1), folded.class(i));
        let boundary = match (before, here) {
            (_, Class::Mark) | (Class::Mark, _) => false,
            (Class::Digit, Class::Digit) => false,
            (Class::Digit, _) | (_, Class::Digit) => true,
            (Class::Lower, Class::Upper) => true,
            (Class::Upper, Class::Upper) => i + 1 < component.end && folded.class(i + 1) == Class::Lower,
            _ => false,
        };
        if boundary {
            parts.push(start..i);
            start = i;
        }
    }
    parts.push(start..component.end);
}

fn emit_part(folded: &Folded, part: Range<usize>, alone: bool, term: &mut String, sink: &mut impl Sink) {
    let text = capped(folded.slice(part.clone()));
    if folded.class(part.start) == Class::Digit {
        sink(text, TermKind::Number, part);
    } else if alone || part.len() > 1 {
        let stem = stem(text);
        if stem != text {
            term.clear();
            term.push(EXACT_PREFIX);
            term.push_str(text);
            sink(capped(term), TermKind::Exact, part.clone());
        }
        sink(&stem, if alone { TermKind::Word } else { TermKind::Part }, part);
    }
}

/// The stem of a folded word. Words of other alphabets than ASCII are left as they are.
pub(crate) fn stem(word: &str) -> std::borrow::Cow<'_, str> {
    if word.len() < 3 || !word.bytes().all(|b| b.is_ascii_lowercase()) {
        return word.into();
    }
    Stemmer::new(Algorithm::English).stem(word)
}

/// Emits a dotted number whole and by its first two fields (`1.2.3` is also `1.2`); plain numbers are emitted already.
fn emit_dotted(folded: &Folded, chain: Range<usize>, sink: &mut impl Sink) {
    let text = folded.slice(chain.clone());
    let mut dots = text.match_indices('.').map(|(at, _)| at);
    if dots.next().is_none() {
        return;
    }
    if let Some(second) = dots.next() {
        sink(capped(&text[..second]), TermKind::Number, chain.start..chain.start + text[..second].chars().count());
    }
    sink(capped(text), TermKind::Number, chain);
}

/// Emits what `_`, `-` and `'` join as one term, and neighbours across `.`, `/`, `:` and `@` in pairs.
fn emit_joined(folded: &Folded, components: &[Component], term: &mut String, sink: &mut impl Sink) {
    let mut previous: Option<(usize, usize)> = None;
    let mut first = 0;
    while first < components.len() {
        let mut end = first + 1;
        while components.get(end).is_some_and(|next| matches!(next.separator, b'_' | b'-' | b'\'' | b',')) {
            end += 1;
        }
        if end - first > 1 && components[first + 1].separator != b',' {
            emit_whole(folded, &components[first..end], term, sink);
        }
        if let Some((before, _)) = previous {
            let digits = |c: &Component| folded.class(c.range.start) == Class::Digit;
            if !(components[first].separator == b'.' && digits(&components[first]) && digits(&components[first - 1])) {
                emit_whole(folded, &components[before..end], term, sink);
            }
        }
        previous = Some((first, end));
        first = end;
    }
}

fn emit_whole(folded: &Folded, components: &[Component], term: &mut String, sink: &mut impl Sink) {
    term.clear();
    for component in components {
        term.push_str(folded.slice(component.range.clone()));
    }
    sink(capped(term), TermKind::Whole, components[0].range.start..components[components.len() - 1].range.end);
}

/// Emits `c++`, `c#` and their like.
fn emit_suffixed(folded: &Folded, range: Range<usize>, sink: &mut impl Sink) {
    if range.len() > 2 {
        return;
    }
    let suffix = match (folded.first_byte(range.end), folded.first_byte(range.end + 1)) {
        (b'+', b'+') => 2,
        (b'#', _) => 1,
        _ => return,
    };
    let whole = range.start..range.end + suffix;
    sink(folded.slice(whole.clone()), TermKind::Whole, whole);
}

fn is_hash(token: &str) -> bool {
    token.len() >= HASH_CHARS_MIN
        && token.bytes().all(|b| b.is_ascii_hexdigit())
        && token.bytes().any(|b| b.is_ascii_digit())
        && token.bytes().any(|b| b.is_ascii_alphabetic())
}

/// Writes neighbouring words as an identifier without separators would have them.
pub(crate) fn join_words<'a>(words: impl Iterator<Item = &'a str>, term: &mut String) {
    term.clear();
    for word in words {
        term.push_str(word);
    }
    let length = capped(term).len();
    term.truncate(length);
}

//! How much of a question a document answers to, each word of the question counted once.
//!
//! Ranking counts the characters and pairs of a word of Chinese, Japanese and Korean beside each other, and a name in
//! Latin letters once. That orders documents well, but as a share of the question a common word of two characters would
//! outweigh an unknown name three times, and `的` or `です` would count as answered in every text. Here a question is
//! cut into words: those of scripts with spaces as they are, of Han runs the longest that are known and what is left
//! between them, katakana runs, Hangul words without their endings. Words that say nothing of what is asked about, and
//! hiragana, are left out.

use std::ops::Range;

use super::analysis::{Class, Folded, TermKind, hangul_content, is_function_character, is_function_word};
use super::query::QueryTerm;
use super::query_terms::is_piece;
use super::scoring::Matched;
use super::words;
use crate::index::ByWord;

/// A single character that is no part of a longer word says half as much as a word.
const LONE_CHARACTER: f32 = 0.5;

/// The words of a question.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Words {
    /// Words of scripts without spaces and of Hangul.
    units: Vec<Unit>,
    /// For each term whether it counts as it stands, because it is such a word or does not overlap with others.
    whole: Vec<bool>,
}

/// A word that several terms of the query are cut from.
#[derive(Debug, Clone, PartialEq)]
struct Unit {
    /// How many characters it has.
    length: usize,
    /// The terms that only documents with the word itself have, by their places.
    itself: Vec<usize>,
    /// The terms that are a part of it, and which.
    parts: Vec<(usize, Range<usize>)>,
}

/// What scoring found out about the terms of a query, by their places.
pub(crate) struct Weights {
    /// How much each counts in ranking.
    pub(crate) weight: Vec<f32>,
    /// How rare each is.
    pub(crate) idf: Vec<f32>,
}

impl Words {
    /// The words of a folded query in which question words are masked, and whose terms are these.
    pub(crate) fn of(folded: &Folded, terms: &[QueryTerm]) -> Words {
        let mut units = Vec::new();
        let mut seen: Vec<&str> = Vec::new();
        for span in spans(folded) {
            let text = folded.slice(span.clone());
            if !seen.contains(&text) {
                seen.push(text);
                units.extend(Unit::of(span, terms));
            }
        }
        let unspaced =
            |term: &QueryTerm| term.spans.iter().flat_map(Clone::clone).any(|i| folded.class(i) == Class::Unspaced);
        Words { units, whole: terms.iter().map(|term| !is_piece(term.kind) || unspaced(term)).collect() }
    }

    /// Whether there is nothing that could be counted.
    fn is_empty(&self) -> bool {
        self.units.is_empty() && !self.whole.contains(&true)
    }

    /// What a document with these terms has of the question. `plain` is what it has by its terms, for a question that
    /// has no words.
    pub(crate) fn found(&self, terms: &[QueryTerm], weights: &Weights, matched: &[Matched], plain: ByWord) -> ByWord {
        if self.is_empty() {
            return plain;
        }
        // How far repetition and length lift or lower a match; 0 where there is none.
        let mut gain = vec![0.0f32; terms.len()];
        for matched in matched {
            let weight = weights.weight[matched.term];
            gain[matched.term] = if weight > 0.0 { matched.score / weight } else { 0.0 };
        }
        let implied = implied(terms, matched);
        let (mut mass, mut covered, mut score) = (0.0, 0.0, 0.0);
        for (place, term) in terms.iter().enumerate().filter(|(place, _)| self.whole.get(*place) == Some(&true)) {
            let weight = weights.weight[place];
            score += weight * gain[place];
            if !term.guessed {
                mass += weight;
                covered += if gain[place] > 0.0 || implied.contains(&place) { weight } else { 0.0 };
            }
        }
        for unit in &self.units {
            let weight = unit.weight(weights);
            let (share, gain) = unit.found(&gain);
            mass += weight;
            covered += weight * share;
            score += weight * share * gain;
        }
        let coverage = if mass > 0.0 { (covered / mass).clamp(0.0, 1.0) } else { 0.0 };
        ByWord { coverage, score }
    }
}

/// Terms that a document has without having them: who writes `orderservice` has written `order` and `service`.
pub(crate) fn implied(terms: &[QueryTerm], matched: &[Matched]) -> Vec<usize> {
    let wholes = matched.iter().map(|matched| &terms[matched.term]).filter(|term| term.kind == TermKind::Whole);
    let spans: Vec<&Range<usize>> = wholes.flat_map(|term| &term.spans).collect();
    if spans.is_empty() {
        return Vec::new();
    }
    let inside = |span: &Range<usize>| spans.iter().any(|whole| whole.start <= span.start && span.end <= whole.end);
    let parts = terms.iter().enumerate().filter(|(_, term)| {
        let kind = matches!(term.kind, TermKind::Word | TermKind::Exact | TermKind::Part | TermKind::Number);
        kind && !term.guessed && term.spans.iter().any(inside)
    });
    parts.map(|(place, _)| place).filter(|place| matched.iter().all(|matched| matched.term != *place)).collect()
}

impl Unit {
    /// The word at `span`, if a term can tell of it.
    fn of(span: Range<usize>, terms: &[QueryTerm]) -> Option<Unit> {
        let mut unit = Unit { length: span.len(), itself: Vec::new(), parts: Vec::new() };
        for (place, term) in terms.iter().enumerate().filter(|(_, term)| is_piece(term.kind)) {
            for at in &term.spans {
                let inside = span.start <= at.start && at.end <= span.end;
                match term.kind {
                    // A word of Hangul starts where its unit does, and may be longer by an ending.
                    TermKind::HangulWord | TermKind::HangulStem if at.start == span.start => unit.itself.push(place),
                    TermKind::KatakanaWord if *at == span => unit.itself.push(place),
                    // What is a word of Chinese is not asked of Japanese texts; their pairs are in both.
                    TermKind::HanWord | TermKind::KatakanaWord | TermKind::HangulWord | TermKind::HangulStem => {}
                    _ if inside && (at.len() > 1 || span.len() == 1) => {
                        unit.parts.push((place, at.start - span.start..at.end - span.start));
                    }
                    _ => {}
                }
            }
        }
        (!unit.itself.is_empty() || !unit.parts.is_empty()).then_some(unit)
    }

    /// That of its rarest term.
    fn weight(&self, weights: &Weights) -> f32 {
        let places = self.itself.iter().chain(self.parts.iter().map(|(place, _)| place));
        let rarest = places.map(|&place| weights.idf[place]).fold(0.0, f32::max);
        if self.length == 1 { LONE_CHARACTER * rarest } else { rarest }
    }

    /// The share of the word that is found, and how far that is lifted or lowered.
    fn found(&self, gain: &[f32]) -> (f32, f32) {
        let most = |places: &mut dyn Iterator<Item = usize>| places.map(|place| gain[place]).fold(0.0, f32::max);
        let itself = most(&mut self.itself.iter().copied());
        if itself > 0.0 {
            return (1.0, itself);
        }
        let has = |i: usize| self.parts.iter().any(|(place, range)| gain[*place] > 0.0 && range.contains(&i));
        let share = (0..self.length).filter(|&i| has(i)).count() as f32 / self.length as f32;
        // Half of a word is another word more often than not.
        (share * share, most(&mut self.parts.iter().map(|(place, _)| *place)))
    }
}

/// Where the words of a query are, as far as they are cut into pieces.
fn spans(folded: &Folded) -> Vec<Range<usize>> {
    let mut spans = Vec::new();
    let mut at = 0;
    while at < folded.len() {
        let class = folded.class(at);
        let mut end = at + 1;
        while end < folded.len() && folded.class(end) == class {
            end += 1;
        }
        match class {
            Class::Han => han_spans(folded, at..end, &mut spans),
            Class::Katakana => {
                let length = folded.slice(at..end).trim_end_matches('ー').chars().count();
                if length > 1 {
                    spans.push(at..at + length);
                }
            }
            Class::Hangul => {
                let content = hangul_content(folded.slice(at..end)).chars().count();
                if content > 0 {
                    spans.push(at..at + content);
                }
            }
            _ => {}
        }
        at = end;
    }
    spans
}

/// The longest known words of a Han run from its beginning on. Neighbouring characters between them are a word that is
/// not known: a name, say.
fn han_spans(folded: &Folded, run: Range<usize>, spans: &mut Vec<Range<usize>>) {
    let mut unknown = run.start;
    let mut at = run.start;
    let mut close = |unknown: Range<usize>, next: Option<Range<usize>>| {
        spans.extend([Some(unknown).filter(|unknown| !unknown.is_empty()), next].into_iter().flatten());
    };
    while at < run.end {
        let known = words::WORD_CHARS
            .rev()
            .map(|length| at..at + length)
            .find(|word| word.end <= run.end && words::is_word(folded.slice(word.clone())));
        let end = match known {
            Some(word) => {
                let says = !is_function_word(folded.slice(word.clone()));
                close(unknown..at, says.then(|| word.clone()));
                word.end
            }
            None if is_function_character(folded.slice(at..at + 1)) => {
                close(unknown..at, None);
                at + 1
            }
            None => {
                at += 1;
                continue;
            }
        };
        (at, unknown) = (end, end);
    }
    close(unknown..run.end, None);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::analysis::mask_questions;

    fn words_of(question: &str) -> Vec<String> {
        let mut folded = Folded::new(question);
        mask_questions(&mut folded);
        spans(&folded).into_iter().map(|span| folded.slice(span).to_owned()).collect()
    }

    #[test]
    fn a_question_is_cut_into_words_that_say_something() {
        assert_eq!(words_of("我的工资什么时候发"), ["工资", "发"]);
        assert_eq!(words_of("怎么配置 VPN"), ["配置"]);
        assert_eq!(words_of("プリンターがつながらない"), ["ぷりんた"]);
        assert_eq!(words_of("この設定はどこですか"), ["设定"]);
        assert_eq!(words_of("우리 서버는 어떻게 설정하나요"), ["서버", "설정"]);
        assert_eq!(words_of("where is it"), [""; 0]);
    }
}

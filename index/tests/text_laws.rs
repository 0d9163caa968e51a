//! Laws of full text that hold for every input.

use harness_index::text::{Analyzer, Folded, MemorySegment, Query, Scorer, Segment, TextClass, snippet};
use proptest::prelude::*;
use unicode_segmentation::UnicodeSegmentation;

/// Text of scripts without spaces, with what stands between them in practice.
fn mixed_text() -> impl Strategy<Value = String> {
    let character = prop_oneof![
        4 => prop::char::range('\u{4E00}', '\u{4FFF}'),
        2 => prop::sample::select("國氣學錄發後龍麼著台臺何几多的了谁哪吗".chars().collect::<Vec<_>>()),
        2 => prop::char::range('ぁ', 'ん'),
        2 => prop::char::range('ァ', 'ヴ'),
        1 => Just('ー'),
        3 => prop::char::range('가', '깋'),
        1 => prop::sample::select("aZ09_-. 、。\n\u{200B}\u{FE0F}ﾊﾞｶ".chars().collect::<Vec<_>>()),
    ];
    prop::collection::vec(character, 1..60).prop_map(|chars| chars.into_iter().collect())
}

/// Anything at all, with more of what is difficult.
fn any_text() -> impl Strategy<Value = String> {
    let character = prop_oneof![
        3 => any::<char>(),
        2 => prop::char::range('\0', '\u{250}'),
        1 => prop::char::range('\u{300}', '\u{370}'),
        2 => prop::char::range('\u{1100}', '\u{1200}'),
        2 => prop::char::range('\u{3000}', '\u{3400}'),
        2 => prop::char::range('\u{FE00}', '\u{FFEF}'),
        1 => prop::char::range('\u{1F300}', '\u{1FAFF}'),
        1 => prop::char::range('\u{900}', '\u{E7F}'),
        2 => prop::sample::select("\"-–:?*()'_./@# \n\u{200D}\u{FE0F}ﾞﾟß".chars().collect::<Vec<_>>()),
        2 => prop::char::range('\u{4E00}', '\u{4FFF}'),
    ];
    prop::collection::vec(character, 0..80).prop_map(|chars| chars.into_iter().collect())
}

fn segment(texts: &[String]) -> MemorySegment {
    let mut segment = MemorySegment::new();
    let mut analyzer = Analyzer::new();
    for (number, text) in texts.iter().enumerate() {
        segment.add(&mut analyzer, text, TextClass::of(text, false), number as u64);
    }
    segment
}

fn is_searchable(c: char) -> bool {
    matches!(c, '\u{4E00}'..='\u{9FFF}' | 'ぁ'..='ん' | 'ァ'..='ヴ' | 'ー' | '가'..='힣')
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn folding_is_idempotent(text in any_text()) {
        let once = Folded::new(&text);
        let twice = Folded::new(once.text());
        prop_assert_eq!(twice.text(), once.text());
    }

    #[test]
    fn folded_ranges_lead_back_to_boundaries_of_the_original(text in any_text(), a in 0..90usize, b in 0..90usize) {
        let folded = Folded::new(&text);
        let (a, b) = (a.min(folded.len()), b.min(folded.len()));
        let origin = folded.origin(a.min(b)..a.max(b));
        prop_assert!(text.get(origin).is_some());
    }

    #[test]
    fn nothing_panics_and_highlights_cut_no_grapheme(text in any_text(), query in any_text(), max_chars in 0..60usize) {
        let texts = [text, query.clone()];
        let segment = segment(&texts);
        let parsed = Query::parse(&query);
        let load = |_: usize, doc: u32| texts.get(doc as usize).cloned();
        let answer = Scorer::default().search(&parsed, &[&segment as &dyn Segment], None, 10, &load).unwrap();
        prop_assert!(answer.hits.iter().all(|hit| (0.0..=1.0).contains(&hit.coverage) && hit.score > 0.0));
        for text in &texts {
            let found = snippet(text, &parsed, max_chars);
            let mut boundaries: Vec<usize> = text.grapheme_indices(true).map(|(at, _)| at).collect();
            boundaries.push(text.len());
            let mut last = found.passage.start;
            for at in [found.passage.start, found.passage.end] {
                prop_assert!(boundaries.binary_search(&at).is_ok());
            }
            for highlight in &found.highlights {
                prop_assert!(last <= highlight.start && highlight.start < highlight.end);
                prop_assert!(boundaries.binary_search(&highlight.start).is_ok());
                prop_assert!(boundaries.binary_search(&highlight.end).is_ok());
                last = highlight.end;
            }
            prop_assert!(last <= found.passage.end);
        }
    }

    #[test]
    fn a_document_is_found_by_any_piece_of_it(
        texts in prop::collection::vec(mixed_text(), 1..12),
        pick in any::<prop::sample::Index>(),
        start in any::<prop::sample::Index>(),
        length in 2..=8usize,
    ) {
        let doc = pick.index(texts.len());
        // A character and its marks are one: nobody searches for half of them.
        let graphemes: Vec<&str> = texts[doc].graphemes(true).collect();
        let start = start.index(graphemes.len());
        let whole = |grapheme: &&&str| grapheme.chars().all(is_searchable);
        let piece: String = graphemes[start..].iter().take(length).take_while(whole).copied().collect();
        prop_assume!(piece.chars().count() >= 2);
        let segment = segment(&texts);
        let load = |_: usize, doc: u32| texts.get(doc as usize).cloned();
        let answer =
            Scorer::default().search(&Query::parse(&piece), &[&segment as &dyn Segment], None, 50, &load).unwrap();
        prop_assert!(answer.hits.iter().any(|hit| hit.doc == doc as u32), "{piece} in {}", texts[doc]);
    }

    #[test]
    fn records_score_alike_in_one_segment_and_in_two(
        texts in prop::collection::vec(mixed_text(), 2..20),
        split in any::<prop::sample::Index>(),
        query in mixed_text(),
    ) {
        let split = split.index(texts.len());
        let whole = segment(&texts);
        let (index, tail) = (segment(&texts[..split]), segment(&texts[split..]));
        let (query, scorer) = (Query::plain(&query), Scorer::default());
        let one = scorer.score(&query, &[&whole as &dyn Segment], None, 50).unwrap();
        let two = scorer.score(&query, &[&index as &dyn Segment, &tail], None, 50).unwrap();
        let mut one: Vec<(u32, u32)> = one.iter().map(|hit| (hit.score.to_bits(), hit.doc)).collect();
        let mut two: Vec<(u32, u32)> =
            two.iter().map(|hit| (hit.score.to_bits(), hit.doc + if hit.segment == 1 { split as u32 } else { 0 })).collect();
        one.sort_unstable();
        two.sort_unstable();
        prop_assert_eq!(one, two);
    }
}

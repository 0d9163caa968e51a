//! The passage of a text that answers a query best, with the matches marked.

use std::ops::Range;

use rustc_hash::FxHashMap;
use unicode_segmentation::GraphemeCursor;

use super::analysis::{self, Buffers, Folded, TermKind};
use super::lookup::Phrase;
use super::query::Query;

/// A passage of a text.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Snippet {
    /// The bytes of the original text; both ends lie between grapheme clusters.
    pub passage: Range<usize>,
    /// What matches, in bytes of the original text, ascending, apart from each other and inside the passage. No end
    /// cuts a grapheme cluster.
    pub highlights: Vec<Range<usize>>,
}

/// Texts are searched for matches up to here: a passage from the first quarter of a megabyte will do.
pub const SNIPPET_BYTES_MAX: usize = 256 * 1024;

/// A match that says little: shown only where nothing better matches.
const WEAK: f32 = 0.2;

/// A phrase or literal look-up found whole outweighs scattered words.
const WHOLE: f32 = 20.0;

/// Seeing a term again in the same passage adds this share of its weight.
const REPEATED: f32 = 0.1;

/// A match in the folded text.
struct Mark {
    range: Range<usize>,
    term: usize,
    weight: f32,
}

/// Picks a passage of at most `max_chars` characters (a grapheme cluster at either end may exceed that by its own
/// marks) and marks the query's terms in it. A text without matches gives its beginning.
pub fn snippet(text: &str, query: &Query, max_chars: usize) -> Snippet {
    let searched = &text[..floor_grapheme(text, SNIPPET_BYTES_MAX)];
    let folded = Folded::new(searched);
    let mut marks = marks(&folded, query);
    if marks.iter().any(|mark| mark.weight > WEAK) {
        marks.retain(|mark| mark.weight > WEAK);
    }
    marks.sort_by_key(|mark| (mark.range.start, mark.range.end));
    let window = best_window(&marks, max_chars);
    let core = if window.is_empty() { 0..0 } else { folded.origin(window) };
    let passage = passage(text, core, max_chars);
    let mut highlights: Vec<Range<usize>> = Vec::new();
    for mark in &marks {
        let origin = folded.origin(mark.range.clone());
        let range = floor_grapheme(text, origin.start)..ceil_grapheme(text, origin.end);
        // Some of what a match covers may be invisible or folded away; what is left of it must be inside.
        if range.is_empty() || range.start < passage.start || range.end > passage.end {
            continue;
        }
        match highlights.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            _ => highlights.push(range),
        }
    }
    Snippet { passage, highlights }
}

fn marks(folded: &Folded, query: &Query) -> Vec<Mark> {
    let mut places: FxHashMap<&str, usize> = FxHashMap::default();
    for (place, term) in query.terms().iter().enumerate() {
        for form in [Some(&term.term), term.also.as_ref()].into_iter().flatten() {
            places.entry(form).or_insert(place);
        }
    }
    let mut marks = Vec::new();
    analysis::terms(folded, &mut Buffers::default(), &mut |term, kind, range| {
        if let Some(&place) = places.get(term) {
            marks.push(Mark { range, term: place, weight: weight(kind) });
        }
    });
    let mut term = query.terms().len();
    let mut mark_phrase = |phrase: &Phrase| {
        for (at, found) in folded.text().match_indices(phrase.folded()) {
            let range = folded.index_of(at)..folded.index_of(at + found.len());
            marks.push(Mark { range, term, weight: WHOLE });
        }
        term += 1;
    };
    query.phrases.iter().chain(&query.literal).for_each(&mut mark_phrase);
    marks
}

/// What a match is worth where document frequencies are not at hand: longer and rarer kinds of term more.
fn weight(kind: TermKind) -> f32 {
    match kind {
        TermKind::HanUnigram | TermKind::HangulUnigram | TermKind::HiraganaBigram => WEAK,
        TermKind::MixedBigram | TermKind::HangulBigram | TermKind::Part | TermKind::Exact | TermKind::Single => 1.0,
        TermKind::HanBigram | TermKind::KatakanaBigram | TermKind::Number | TermKind::Symbol => 2.0,
        TermKind::Word | TermKind::HangulStem | TermKind::HangulWord | TermKind::Counted => 3.0,
        TermKind::HanWord | TermKind::KatakanaWord | TermKind::Whole => 4.0,
    }
}

/// The folded characters from the first to the last match of the best window of `width` characters.
fn best_window(marks: &[Mark], width: usize) -> Range<usize> {
    let mut counts: FxHashMap<usize, u32> = FxHashMap::default();
    let mut score = 0.0;
    let mut best = (0.0, 0..0);
    let mut first = 0;
    for last in 0..marks.len() {
        let end = marks[last].range.end;
        while first < last && end - marks[first].range.start > width {
            let count = counts.entry(marks[first].term).or_default();
            *count -= 1;
            score -= if *count == 0 { marks[first].weight } else { marks[first].weight * REPEATED };
            first += 1;
        }
        let count = counts.entry(marks[last].term).or_default();
        *count += 1;
        score += if *count == 1 { marks[last].weight } else { marks[last].weight * REPEATED };
        // Rounding must not make a later window of the same worth win.
        if score > best.0 + 1e-3 {
            best = (score, marks[first].range.start..end);
        }
    }
    best.1
}

/// Widens `core` to a passage: to the left as far as the start of a sentence or a third of what is left, to the right
/// up to the limit, and to whole words where there is a choice.
fn passage(text: &str, core: Range<usize>, max_chars: usize) -> Range<usize> {
    let width = text[core.clone()].chars().count();
    let mut room = max_chars.saturating_sub(width);
    if room == 0 && width > max_chars {
        let end = text[core.start..].char_indices().nth(max_chars).map_or(text.len(), |(at, _)| core.start + at);
        let start = floor_grapheme(text, core.start);
        return start..ceil_grapheme(text, end.max(start));
    }
    let after = text[core.end..].chars().take(room).count();
    // What the right side cannot use, the left may have.
    let left = (room / 3).max(room - after);
    let mut start = core.start;
    let mut sentence = None;
    let mut word = None;
    let mut taken = 0;
    for (at, c) in text[..core.start].char_indices().rev().take(left) {
        if matches!(c, '。' | '！' | '？' | '．' | '!' | '?' | '\n') || (c == '.' && text[at + 1..].starts_with(' '))
        {
            sentence.get_or_insert(at + c.len_utf8());
        }
        if c.is_whitespace() || !c.is_alphanumeric() {
            word = Some(at + c.len_utf8());
        }
        start = at;
        taken += 1;
    }
    if start > 0 {
        start = sentence.or(word).filter(|_| taken == left).unwrap_or(start);
    }
    start += text[start..core.start].len() - text[start..core.start].trim_start().len();
    start = floor_grapheme(text, start);
    room = room.saturating_sub(text[start..core.start].chars().count());
    let mut end = text[core.end..].char_indices().nth(room).map_or(text.len(), |(at, _)| core.end + at);
    let alphanumeric = |c: char| c.is_alphanumeric();
    if text[end..].starts_with(alphanumeric) && text[..end].ends_with(alphanumeric) {
        let tail = &text[core.end..end];
        if let Some(cut) = tail.rfind(|c: char| !c.is_alphanumeric()).filter(|&cut| tail.len() - cut <= WORD_BYTES_MAX)
        {
            end = core.end + cut;
        }
    }
    start..ceil_grapheme(text, end.max(start))
}

/// A word longer than this may be cut at the end of a passage; it is text without spaces.
const WORD_BYTES_MAX: usize = 24;

/// The grapheme boundary at or before `at`.
fn floor_grapheme(text: &str, at: usize) -> usize {
    if at >= text.len() {
        return text.len();
    }
    let mut at = at;
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    let mut cursor = GraphemeCursor::new(at, text.len(), true);
    match cursor.is_boundary(text, 0) {
        Ok(true) => at,
        _ => cursor.prev_boundary(text, 0).ok().flatten().unwrap_or(0),
    }
}

/// The grapheme boundary at or after `at`.
fn ceil_grapheme(text: &str, at: usize) -> usize {
    if at >= text.len() {
        return text.len();
    }
    let mut at = at;
    while !text.is_char_boundary(at) {
        at += 1;
    }
    let mut cursor = GraphemeCursor::new(at, text.len(), true);
    match cursor.is_boundary(text, 0) {
        Ok(true) => at,
        _ => cursor.next_boundary(text, 0).ok().flatten().unwrap_or(text.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marked(text: &str, query: &str, max_chars: usize) -> String {
        let snippet = snippet(text, &Query::parse(query), max_chars);
        let mut out = String::new();
        let mut at = snippet.passage.start;
        for highlight in &snippet.highlights {
            out.push_str(&text[at..highlight.start]);
            out.push('[');
            out.push_str(&text[highlight.clone()]);
            out.push(']');
            at = highlight.end;
        }
        out + &text[at..snippet.passage.end]
    }

    #[test]
    fn matches_are_marked_across_scripts() {
        assert_eq!(marked("請將伺服器的記憶體升級到 64GB。", "服务器记忆体", 100), "請將伺服器的[記憶體]升級到 64GB。");
        assert_eq!(marked("データベースの移行に失敗した。", "ﾃﾞｰﾀﾍﾞｰｽ", 100), "[データベース]の移行に失敗した。");
        assert_eq!(marked("データベースの移行に失敗した。", "でーたべーす", 100), "[データベース]の移行に失敗した。");
        assert_eq!(marked("Ｓｈｉｆｔ＿ＪＩＳです", "shift_jis", 100), "[Ｓｈｉｆｔ＿ＪＩＳ]です");
        assert_eq!(marked("Renamed getUserProfile there", "get-user-profile", 100), "Renamed [getUserProfile] there");
        assert_eq!(marked("서버의 메모리가 부족", "메모리", 100), "서버의 [메모리]가 부족");
        assert_eq!(marked("the cafe\u{301} opened", "café", 100), "the [cafe\u{301}] opened");
    }

    #[test]
    fn the_passage_is_the_one_with_the_matches() {
        let text =
            format!("{} The linker was missing. {}", "Nothing to see here. ".repeat(40), "More of it. ".repeat(40));
        let found = marked(&text, "linker missing", 60);
        assert!(found.contains("The [linker] was [missing]."), "{found}");
        assert!(found.chars().count() <= 64);
    }

    #[test]
    fn a_text_without_matches_gives_its_beginning() {
        assert_eq!(marked("one two three", "zebra", 7), "one two");
        assert_eq!(marked("", "zebra", 7), "");
    }

    #[test]
    fn emoji_and_marks_stay_whole() {
        let family = "👨\u{200D}👩\u{200D}👧";
        let text = format!("{family}{family}数据库{family}{family}");
        for max_chars in 0..30 {
            let snippet = snippet(&text, &Query::parse("数据库"), max_chars);
            let cut = &text[snippet.passage.clone()];
            assert_eq!(cut.matches('👨').count(), cut.matches('👧').count(), "{max_chars}: {cut}");
        }
    }
}

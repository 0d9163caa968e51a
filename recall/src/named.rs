//! Who and what a question names: records of the one speaker, tool, project or file it names come first.

use harness_memory::{Body, Record};

use crate::ranked::Ranked;
use crate::weights::Weights;

/// The shortest name that is looked for in a question, in letters of a script with spaces: shorter ones are
/// words of their own.
const NAME_CHARS_MIN: usize = 2;

/// Prefers records of what the question names. A question that names two of a kind asks about both, and
/// prefers neither.
pub(crate) fn prefer(ranked: &mut [Ranked], question: &str, weights: &Weights) {
    let asked = question.to_lowercase();
    let speaker = one(&asked, ranked, speaker);
    let tool = one(&asked, ranked, tools);
    let project = one(&asked, ranked, project);
    let files = files(question);
    for hit in ranked {
        let record = &hit.stored.record;
        let mut named: Vec<(f32, String)> = Vec::new();
        if let Some(name) = &speaker
            && has(record, self::speaker, name)
        {
            named.push((weights.speaker, format!("{} said it, whom the question names", spelled(record, name))));
        }
        if let Some(name) = tool.as_ref().filter(|name| has(record, tools, name)) {
            named.push((weights.tool, format!("it is of the tool {name}, which the question names")));
        }
        if let Some(name) = project.as_ref().filter(|name| has(record, self::project, name)) {
            named.push((weights.project, format!("it is of the project {name}, which the question names")));
        }
        if let Some(name) = files.iter().find(|name| has_file(record, name)) {
            named.push((weights.file, format!("it has the file {name}, which the question names")));
        }
        let weight: f32 = named.iter().map(|(weight, _)| weight).sum();
        if weight > 0.0 {
            let words: Vec<String> = named.into_iter().map(|(_, words)| words).collect();
            hit.add("named", 1.0, weight, words.join("; "));
        }
    }
}

/// Hands on what a record has of one kind of names.
type Names = fn(&Record, &mut dyn FnMut(&str));

/// The one of these names, folded, that a question has, where the records have several.
fn one(asked: &str, ranked: &[Ranked], names: Names) -> Option<String> {
    let mut known: Vec<String> = Vec::new();
    for hit in ranked {
        names(&hit.stored.record, &mut |name| {
            // Most records have the name of the one before.
            if known.last().is_none_or(|last| last != name) {
                known.push(name.to_owned());
            }
        });
    }
    known.iter_mut().filter(|name| name.chars().any(char::is_uppercase)).for_each(|name| *name = name.to_lowercase());
    known.sort_unstable();
    known.dedup();
    let others = known.len() > 1;
    known.retain(|name| mentions(asked, name));
    // What every record has tells none apart.
    (known.len() == 1 && others).then(|| known.remove(0))
}

/// Whether a record has this folded name among those.
fn has(record: &Record, names: Names, folded: &str) -> bool {
    let mut found = false;
    names(record, &mut |name| found |= name == folded || name.to_lowercase() == folded);
    found
}

/// A speaker's name.
fn speaker(record: &Record, take: &mut dyn FnMut(&str)) {
    if let Body::Message(message) = &record.body
        && let Some(speaker) = &message.speaker
    {
        take(speaker);
    }
}

fn spelled(record: &Record, folded: &str) -> String {
    match &record.body {
        Body::Message(message) => message.speaker.clone().unwrap_or_else(|| folded.to_owned()),
        _ => folded.to_owned(),
    }
}

/// The tools of a record by names that no ordinary word is: `claude-code`, `get_user`.
fn tools(record: &Record, take: &mut dyn FnMut(&str)) {
    let mut take = |name: &str| {
        if name.contains(['_', '-']) {
            take(name);
        }
    };
    take(&record.source);
    match &record.body {
        Body::Message(message) => {
            message.tool_calls.iter().for_each(|call| take(&call.tool));
            message.tool_result.iter().for_each(|result| take(&result.tool));
        }
        Body::Episode(episode) => episode.tools.iter().for_each(|used| take(&used.tool)),
        Body::Note(_) | Body::Lesson(_) => {}
    }
}

/// The last segment of a scope, without the digits that tell two folders of a name apart.
fn project(record: &Record, take: &mut dyn FnMut(&str)) {
    let Some(last) = record.scope.path().rsplit('/').next().filter(|last| !last.is_empty()) else { return };
    let name = match last.rsplit_once('-') {
        Some((name, tail)) if tail.len() == 8 && tail.bytes().all(|byte| byte.is_ascii_hexdigit()) => name,
        _ => last,
    };
    take(name);
}

/// What looks like a file in a question: a word with a path or a short ending.
fn files(question: &str) -> Vec<&str> {
    let edges = |c: char| !c.is_alphanumeric() && !matches!(c, '/' | '_' | '~');
    let words = question.split(|c: char| c.is_whitespace() || !c.is_ascii()).map(|word| word.trim_matches(edges));
    words.filter(|word| is_file(word)).collect()
}

fn is_file(word: &str) -> bool {
    let name = word.rsplit('/').next().unwrap_or(word);
    let Some((stem, ending)) = name.rsplit_once('.') else { return false };
    let letters = |text: &str| text.bytes().any(|byte| byte.is_ascii_alphabetic());
    stem.len() > 1 && letters(stem) && (1..=5).contains(&ending.len()) && letters(ending) && !word.contains("://")
}

fn has_file(record: &Record, name: &str) -> bool {
    let calls = match &record.body {
        Body::Message(message) => message.tool_calls.iter().any(|call| call.arguments.contains(name)),
        Body::Episode(episode) => episode.tools.iter().any(|used| used.gist.contains(name)),
        Body::Note(_) | Body::Lesson(_) => false,
    };
    calls || record.text().contains(name)
}

/// Whether a folded question has this folded name as a word. A possessive is no part of it; scripts without
/// blanks need none around it.
fn mentions(asked: &str, name: &str) -> bool {
    let spaced = |c: char| (c.is_alphanumeric() || c == '_') && c < '\u{2e80}';
    if name.chars().count() < NAME_CHARS_MIN || !name.chars().any(char::is_alphanumeric) {
        return false;
    }
    asked.match_indices(name).any(|(at, _)| {
        let before = asked[..at].chars().next_back().is_some_and(spaced);
        let after = asked[at + name.len()..].chars().next().is_some_and(spaced);
        !(before && name.starts_with(spaced) || after && name.ends_with(spaced))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_word_of_the_question_and_not_a_part_of_one() {
        for (asked, name, found) in [
            ("what did ana's mother say?", "ana", true),
            ("what did banana cost?", "ana", false),
            ("小王周末做了什么", "小王", true),
            ("ask ana_maria", "ana", false),
            ("", "ana", false),
        ] {
            assert_eq!(mentions(asked, name), found, "{asked}");
        }
    }

    #[test]
    fn a_file_is_told_from_a_number_and_an_address() {
        assert_eq!(files("why does `src/lexer.rs` fail, and config.toml?"), ["src/lexer.rs", "config.toml"]);
        assert_eq!(files("version 1.2.3 of https://example.org/a.html costs 3.5 e.g. 上传foo.py失败"), ["foo.py"]);
    }
}

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
    let one = |names: &mut dyn FnMut(&Record) -> Vec<String>, all: &[Ranked]| -> Option<String> {
        let mut known: Vec<String> = all.iter().flat_map(|hit| names(&hit.stored.record)).collect();
        known.sort_unstable();
        known.dedup();
        let others = known.len() > 1;
        known.retain(|name| mentions(&asked, name));
        // What every record has tells none apart.
        (known.len() == 1 && others).then(|| known.remove(0))
    };
    let speaker = one(&mut |record| speaker(record).into_iter().collect(), ranked);
    let tool = one(&mut tools, ranked);
    let project = one(&mut |record| project(record).into_iter().collect(), ranked);
    let files = files(question);
    for hit in ranked {
        let record = &hit.stored.record;
        let mut named: Vec<(f32, String)> = Vec::new();
        if let Some(name) = &speaker
            && self::speaker(record).as_ref() == Some(name)
        {
            named.push((weights.speaker, format!("{} said it, whom the question names", spelled(record, name))));
        }
        if let Some(name) = tool.as_ref().filter(|name| tools(record).contains(name)) {
            named.push((weights.tool, format!("it is of the tool {name}, which the question names")));
        }
        if let Some(name) = project.as_ref().filter(|name| self::project(record).as_ref() == Some(*name)) {
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

/// A speaker's name, folded.
fn speaker(record: &Record) -> Option<String> {
    match &record.body {
        Body::Message(message) => message.speaker.as_deref().map(str::to_lowercase),
        _ => None,
    }
}

fn spelled(record: &Record, folded: &str) -> String {
    match &record.body {
        Body::Message(message) => message.speaker.clone().unwrap_or_else(|| folded.to_owned()),
        _ => folded.to_owned(),
    }
}

/// The tools of a record by names that no ordinary word is: `claude-code`, `get_user`.
fn tools(record: &Record) -> Vec<String> {
    let mut names: Vec<&str> = vec![&record.source];
    match &record.body {
        Body::Message(message) => {
            names.extend(message.tool_calls.iter().map(|call| call.tool.as_str()));
            names.extend(message.tool_result.iter().map(|result| result.tool.as_str()));
        }
        Body::Episode(episode) => names.extend(episode.tools.iter().map(|used| used.tool.as_str())),
        Body::Note(_) | Body::Lesson(_) => {}
    }
    names.iter().filter(|name| name.contains(['_', '-'])).map(|name| name.to_lowercase()).collect()
}

/// The last segment of a scope, without the digits that tell two folders of a name apart.
fn project(record: &Record) -> Option<String> {
    let last = record.scope.path().rsplit('/').next().filter(|last| !last.is_empty())?;
    let name = match last.rsplit_once('-') {
        Some((name, tail)) if tail.len() == 8 && tail.bytes().all(|byte| byte.is_ascii_hexdigit()) => name,
        _ => last,
    };
    Some(name.to_owned())
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

//! Which runs were of one kind of task: named by the caller, else told from the words of what was asked.

use std::collections::HashMap;

/// Kinds that are told apart; what comes when there are more counts as one further kind.
const KINDS_MAX: usize = 256;

/// Two tasks are of one kind when they share at least this part of their words, counted twice over both.
/// A sentence with another name or number in it shares more, another sentence of the same project shares less.
const ALIKE_MIN: f64 = 0.5;

/// Words that are looked at: the beginning of a task says what it is.
const WORDS_MAX: usize = 48;

/// A name of a kind, in characters.
const NAME_CHARS_MAX: usize = 60;

/// The kinds of task met so far.
#[derive(Debug, Default)]
pub(crate) struct Tasks {
    kinds: Vec<Kind>,
    by_name: HashMap<String, usize>,
    by_word: HashMap<String, Vec<usize>>,
}

#[derive(Debug)]
struct Kind {
    name: String,
    words: usize,
}

impl Tasks {
    /// The kind of a task by its number; a kind that is new gets the next number.
    pub(crate) fn kind(&mut self, label: Option<&str>, query: &str) -> usize {
        let Some(label) = label.map(str::trim).filter(|label| !label.is_empty()) else { return self.told(query) };
        match self.by_name.get(label) {
            Some(kind) => *kind,
            None => self.add(label, &[]),
        }
    }

    /// What a kind is called.
    pub(crate) fn name(&self, kind: usize) -> &str {
        self.kinds.get(kind).map_or("", |kind| &kind.name)
    }

    fn told(&mut self, query: &str) -> usize {
        let words = words(query);
        let mut shared: HashMap<usize, usize> = HashMap::new();
        for word in &words {
            for kind in self.by_word.get(word).into_iter().flatten() {
                *shared.entry(*kind).or_default() += 1;
            }
        }
        let alike =
            |kind: usize, shared: usize| 2.0 * shared as f64 / (self.kinds[kind].words + words.len()).max(1) as f64;
        // The oldest of the most alike, so that the order of a map does not decide.
        let best = shared
            .into_iter()
            .map(|(kind, shared)| (kind, alike(kind, shared)))
            .max_by(|a, b| a.1.total_cmp(&b.1).then(b.0.cmp(&a.0)));
        match best {
            Some((kind, alike)) if alike >= ALIKE_MIN => kind,
            _ => self.add(query, &words),
        }
    }

    fn add(&mut self, name: &str, words: &[String]) -> usize {
        if self.kinds.len() >= KINDS_MAX {
            return KINDS_MAX - 1;
        }
        let kind = self.kinds.len();
        let last = kind + 1 == KINDS_MAX;
        let name = if last { "everything else".to_owned() } else { shortened(name) };
        if !last {
            for word in words {
                self.by_word.entry(word.clone()).or_default().push(kind);
            }
        }
        self.by_name.insert(name.clone(), kind);
        self.kinds.push(Kind { name, words: words.len() });
        kind
    }
}

fn shortened(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(NAME_CHARS_MAX) {
        Some((at, _)) => format!("{}…", &line[..at]),
        None => line,
    }
}

/// The distinct words of a task: runs of letters in lower case, without what has a digit in it, and pairs of
/// characters where a script has no spaces.
fn words(text: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut word = String::new();
    let mut before: Option<char> = None;
    let mut push = |word: String| {
        if found.len() < WORDS_MAX && !found.contains(&word) {
            found.push(word);
        }
    };
    for c in text.chars().take(2_000).chain([' ']) {
        let unspaced = matches!(c, '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}' | '\u{ac00}'..='\u{d7a3}');
        if c.is_alphanumeric() && !unspaced {
            word.extend(c.to_lowercase());
        } else if !word.is_empty() {
            let word = std::mem::take(&mut word);
            if word.chars().count() > 1 && !word.contains(|c: char| c.is_numeric()) {
                push(word);
            }
        }
        if unspaced && let Some(before) = before {
            push([before, c].iter().collect());
        }
        before = unspaced.then_some(c);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_that_differ_in_a_name_or_number_are_of_one_kind() {
        let mut tasks = Tasks::default();
        let deploy = tasks.kind(None, "Deploy the orders service to staging, build 4711");
        assert_eq!(tasks.kind(None, "deploy the billing service to staging, build 12"), deploy);
        let chinese = tasks.kind(None, "把订单服务部署到预发布环境");
        assert_eq!(tasks.kind(None, "把账单服务部署到预发布环境"), chinese);
        assert_ne!(tasks.kind(None, "rotate the signing keys of the gateway"), deploy);
        assert_ne!(chinese, deploy);
        let named = tasks.kind(Some("deploy"), "whatever words");
        assert_eq!(tasks.kind(Some("deploy"), "other ones"), named);
        assert_eq!(tasks.name(named), "deploy");
    }

    #[test]
    fn the_number_of_kinds_is_bounded() {
        let mut tasks = Tasks::default();
        for number in 0..2 * KINDS_MAX {
            let name = format!("kind {number}");
            assert!(tasks.kind(Some(&name), "") < KINDS_MAX);
        }
        assert_eq!(tasks.name(KINDS_MAX - 1), "everything else");
    }
}

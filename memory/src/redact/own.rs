//! Rules and exceptions of the person's own, from the settings.

use regex::{Regex, RegexBuilder, RegexSet, RegexSetBuilder};
use std::ops::Range;
use std::sync::Arc;

use super::REDACTED;
use crate::error::{Error, Result};

/// The most rules, and the most exceptions: each is tried on every text.
pub const OWN_RULES_MAX: usize = 64;

/// The most memory that one compiled pattern may take, in bytes: a few hundred alternatives.
const PATTERN_BYTES_MAX: usize = 1 << 20;

/// The longest name of a rule: it is written into texts.
const NAME_BYTES_MAX: usize = 40;

/// A rule of the person's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnRule {
    /// What is written into a text: `[REDACTED:name]`. Small letters, digits and dashes.
    pub name: String,
    /// A regular expression. Its first group is the secret, or without one all that it matches.
    pub pattern: String,
}

/// The compiled rules and exceptions.
#[derive(Debug)]
pub(super) struct Own {
    rules: Vec<(&'static str, Regex)>,
    /// Lines on which nothing is replaced.
    exceptions: RegexSet,
}

impl Own {
    pub(super) fn compile(rules: &[OwnRule], exceptions: &[String]) -> Result<Option<Arc<Own>>> {
        let refuse = |reason: String| Error::Refused { reason };
        if rules.is_empty() && exceptions.is_empty() {
            return Ok(None);
        }
        if rules.len().max(exceptions.len()) > OWN_RULES_MAX {
            return Err(refuse(format!(
                "more than {OWN_RULES_MAX} rules or exceptions of your own; join some with `|`"
            )));
        }
        let mut compiled = Vec::with_capacity(rules.len());
        for OwnRule { name, pattern } in rules {
            let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
            if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.chars().all(is_name) {
                return Err(refuse(format!(
                    "the rule's name {name:?} must be 1 to {NAME_BYTES_MAX} small letters, digits and dashes"
                )));
            }
            let regex = RegexBuilder::new(pattern)
                .size_limit(PATTERN_BYTES_MAX)
                .build()
                .map_err(|error| refuse(format!("the pattern of the rule {name:?} does not compile: {error}")))?;
            if regex.is_match("") {
                return Err(refuse(format!(
                    "the pattern of the rule {name:?} matches the empty text, so it fits everywhere"
                )));
            }
            // Names of rules live as long as the program; settings are read once.
            compiled.push((&*name.clone().leak(), regex));
        }
        let exceptions = RegexSetBuilder::new(exceptions)
            .size_limit(OWN_RULES_MAX * PATTERN_BYTES_MAX)
            .build()
            .map_err(|error| refuse(format!("an exception from redaction does not compile: {error}")))?;
        Ok(Some(Arc::new(Own { rules: compiled, exceptions })))
    }

    /// The name of a rule by its place.
    pub(super) fn name(&self, rule: usize) -> &'static str {
        self.rules[rule].0
    }

    /// What the rules see in a text: the rule's place and the secret's.
    pub(super) fn find(&self, text: &str) -> Vec<(usize, Range<usize>)> {
        let mut found = Vec::new();
        for (rule, (_, regex)) in self.rules.iter().enumerate() {
            for captures in regex.captures_iter(text) {
                let Some(whole) = captures.get(0) else { continue };
                let place = captures.get(1).unwrap_or(whole).range();
                let (inside, before) = (&text.as_bytes()[place.clone()], &text.as_bytes()[..place.start]);
                // What was replaced before stays as it is.
                let seen = before.ends_with(REDACTED) || inside.windows(REDACTED.len()).any(|part| part == REDACTED);
                if !place.is_empty() && !seen {
                    found.push((rule, place));
                }
            }
        }
        found
    }

    /// Whether a secret at this place stands on lines of which one is excepted.
    pub(super) fn excepts(&self, text: &str, place: &Range<usize>) -> bool {
        if self.exceptions.is_empty() {
            return false;
        }
        let start = text[..place.start].rfind('\n').map_or(0, |end| end + 1);
        let end = text[place.end..].find('\n').map_or(text.len(), |end| place.end + end);
        text[start..end].lines().any(|line| self.exceptions.is_match(line))
    }
}

#[cfg(test)]
mod tests {
    use super::super::Redactor;
    use super::*;

    fn redactor(rules: &[(&str, &str)], exceptions: &[&str]) -> Result<Redactor> {
        let rules: Vec<OwnRule> =
            rules.iter().map(|(name, pattern)| OwnRule { name: (*name).into(), pattern: (*pattern).into() }).collect();
        Redactor::with(&rules, &exceptions.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn a_rule_of_ones_own_replaces_its_group_or_all_that_it_matches() {
        let redactor = redactor(&[("badge", r"badge (\d{6})"), ("acme", r"acme_[a-z]{8}")], &[]).unwrap();
        let redacted = redactor.redact("badge 123456, acme_abcdefgh; password=Tr0ub4dor!x");
        assert_eq!(redacted.text(), "badge [REDACTED:badge], [REDACTED:acme]; password=[REDACTED:password]");
        assert_eq!(redacted.hits().count(), 3);
        assert_eq!(redactor.redact(redacted.text()).text(), redacted.text());
    }

    #[test]
    fn an_excepted_line_is_left_alone_and_the_next_is_not() {
        let redactor = redactor(&[], &["# example", r"^fixture:"]).unwrap();
        let text = "password=Tr0ub4dor!x # example\npassword=Tr0ub4dor!x\nfixture: password=Tr0ub4dor!x";
        let redacted = redactor.redact(text);
        assert_eq!(
            redacted.text(),
            "password=Tr0ub4dor!x # example\npassword=[REDACTED:password]\nfixture: password=Tr0ub4dor!x"
        );
    }

    #[test]
    fn a_rule_that_would_fit_everywhere_or_does_not_compile_is_refused_by_name() {
        for (name, pattern, says) in
            [("a", "x*", "\"a\" matches the empty text"), ("b", "(", "\"b\" does not compile"), ("B c", "x", "\"B c\"")]
        {
            let error = redactor(&[(name, pattern)], &[]).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
        assert!(redactor(&[], &["["]).is_err());
        // A pattern that sees its own replacement ends.
        let redactor = redactor(&[("loop", "[A-Z]+")], &[]).unwrap();
        assert!(redactor.redact("ABC").text().len() < 200);
    }
}

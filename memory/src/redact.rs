//! Secrets are taken out of a text before it is stored.
//!
//! Every way into the store runs through a [`Redactor`]. It replaces keys, tokens, passwords and key
//! blocks by `[REDACTED:rule]` and says which rules fired. One automaton looks for the literals that a
//! secret cannot be without; only where one occurs is a rule tried, so ordinary text costs little more
//! than reading it.
//!
//! Redaction is by form: a secret that looks like any word, and stands where no name gives it away, is
//! not found. Redacting a redacted text changes nothing.

mod assignment;
mod own;
mod rules;
mod shapes;

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};
use rules::{RULES, Shape};
use std::borrow::Cow;
use std::ops::Range;
use std::sync::{Arc, LazyLock};

use crate::error::Result;

pub use own::{OWN_RULES_MAX, OwnRule};

/// What every replacement starts with.
const REDACTED: &[u8] = b"[REDACTED:";

/// A text with findings is read again at most this often. Two readings do except for text made to need
/// more; the bound keeps such text linear.
const PASSES_MAX: usize = 8;

/// Finds and replaces secrets. All redactors share one table of built-in rules, compiled at the first text; one may
/// have rules and exceptions of the person's own beside them. Cloning is cheap.
#[derive(Debug, Default, Clone)]
pub struct Redactor {
    own: Option<Arc<own::Own>>,
}

/// A redacted text, and what was found in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redacted<'t> {
    text: Cow<'t, str>,
    fired: Fired,
}

impl<'t> Redacted<'t> {
    /// Which rules fired, and how often, in the order of the first finding.
    pub fn hits(&self) -> impl Iterator<Item = (&'static str, usize)> {
        self.fired.iter()
    }

    /// The text without its secrets.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The text without its secrets; borrowed when there were none.
    pub fn into_text(self) -> Cow<'t, str> {
        self.text
    }
}

/// How often each rule fired.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fired(Vec<(&'static str, usize)>);

impl Fired {
    /// Whether no rule fired.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The number of secrets found.
    pub fn total(&self) -> usize {
        self.0.iter().map(|(_, count)| count).sum()
    }

    /// Each rule that fired with its count, in the order of the first finding.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, usize)> + '_ {
        self.0.iter().copied()
    }

    /// Adds what was found elsewhere.
    pub fn add(&mut self, other: &Self) {
        for (rule, count) in other.iter() {
            self.count(rule, count);
        }
    }

    fn count(&mut self, rule: &'static str, count: usize) {
        match self.0.iter_mut().find(|(name, _)| *name == rule) {
            Some((_, sum)) => *sum += count,
            None => self.0.push((rule, count)),
        }
    }
}

/// The text under inspection.
struct Text<'t> {
    bytes: &'t [u8],
    /// Where the last finding ended.
    done: usize,
    /// The last token with a prefix of its own: no other starts inside it.
    token: Range<usize>,
}

impl Text<'_> {
    /// Whether a token may start at `at`: no word runs into it.
    ///
    /// The last byte of an escape (`\n`, `\u4e2d`, `%20`, a colour code's `m`) is not part of a word.
    fn starts_fresh(&self, at: usize) -> bool {
        let Some(&last) = self.bytes[..at].last() else {
            return true;
        };
        if at == self.done || !(last.is_ascii_alphanumeric() || last == b'_') {
            return true;
        }
        let before = &self.bytes[..at - 1];
        let hex = |bytes: &[u8]| bytes.iter().all(u8::is_ascii_hexdigit);
        match last {
            b'n' | b't' | b'r' | b'b' | b'f' if before.ends_with(b"\\") => return true,
            b'm' if before.last().is_some_and(|byte| byte.is_ascii_digit() || *byte == b'[') => {
                let digits =
                    before.iter().rev().take(16).take_while(|byte| byte.is_ascii_digit() || **byte == b';').count();
                if before[..before.len() - digits].ends_with(b"[") {
                    return true;
                }
            }
            _ => {}
        }
        let whole = &self.bytes[..at];
        whole.len() >= 3 && whole[whole.len() - 3] == b'%' && hex(&whole[whole.len() - 2..])
            || whole.len() >= 6 && whole[whole.len() - 6..].starts_with(b"\\u") && hex(&whole[whole.len() - 4..])
    }

    /// Whether an underscore stands before `at`, which may be the end of a name.
    fn follows_name(&self, at: usize) -> bool {
        self.bytes[..at].last() == Some(&b'_')
    }

    /// As [`Self::starts_fresh`], or behind a name: for forms that no part of a name has.
    fn starts_part(&self, at: usize) -> bool {
        self.starts_fresh(at) || self.follows_name(at)
    }

    /// As [`Self::starts_fresh`], and no dashed word runs into it either.
    fn starts_run(&self, at: usize) -> bool {
        self.starts_fresh(at) && (at == self.done || self.bytes[..at].last() != Some(&b'-'))
    }
}

/// A secret's place and the rule that claims it.
struct Finding {
    place: Range<usize>,
    rule: usize,
}

/// The literals of all rules as one automaton.
struct Anchors {
    automaton: AhoCorasick,
    /// The rules that each literal starts.
    starts: Vec<Vec<usize>>,
}

static ANCHORS: LazyLock<Anchors> = LazyLock::new(Anchors::compile);

impl Anchors {
    fn compile() -> Self {
        let mut literals: Vec<&'static str> = Vec::new();
        let mut starts: Vec<Vec<usize>> = Vec::new();
        for (index, rule) in RULES.iter().enumerate() {
            for anchor in rule.anchors {
                match literals.iter().position(|known| known.eq_ignore_ascii_case(anchor)) {
                    Some(at) => starts[at].push(index),
                    None => {
                        literals.push(anchor);
                        starts.push(vec![index]);
                    }
                }
            }
        }
        let automaton = AhoCorasick::builder()
            .ascii_case_insensitive(true)
            .match_kind(MatchKind::Standard)
            .kind(Some(AhoCorasickKind::DFA))
            .build(&literals)
            .expect("the built-in anchors fit an automaton");
        Self { automaton, starts }
    }
}

impl Redactor {
    /// A redactor with the built-in rules, these rules beside them, and no redaction on lines that an exception
    /// matches. A pattern that does not compile, or would fit everywhere, is refused by name.
    pub fn with(rules: &[OwnRule], exceptions: &[String]) -> Result<Redactor> {
        Ok(Redactor { own: own::Own::compile(rules, exceptions)? })
    }

    /// Replaces every secret in `text` by `[REDACTED:rule]`.
    pub fn redact<'t>(&self, text: &'t str) -> Redacted<'t> {
        let mut fired = Fired::default();
        let mut text = Cow::Borrowed(text);
        // A replacement can lay open what was part of something else before, so look again until nothing is found.
        for _ in 0..PASSES_MAX {
            let findings = self.find(&text);
            if findings.is_empty() {
                break;
            }
            text = Cow::Owned(self.replaced(&text, &findings, &mut fired));
        }
        Redacted { text, fired }
    }

    /// Redacts every string inside `value`, keys included.
    ///
    /// A member's name counts: `{"password": "…"}` is redacted although the string alone looks like any other.
    pub fn redact_json(&self, value: &mut serde_json::Value) -> Fired {
        let mut fired = Fired::default();
        self.redact_value(value, &mut fired);
        fired
    }

    fn redact_value(&self, value: &mut serde_json::Value, fired: &mut Fired) {
        use serde_json::Value;
        match value {
            Value::String(text) => self.redact_string(text, fired),
            Value::Array(items) => items.iter_mut().for_each(|item| self.redact_value(item, fired)),
            Value::Object(members) => {
                let mut renamed = false;
                for (name, member) in members.iter_mut() {
                    renamed |= !self.find(name).is_empty();
                    self.redact_value(member, fired);
                    if let Value::String(text) = member {
                        self.redact_member(name, text, fired);
                    }
                }
                if renamed {
                    for (name, member) in std::mem::take(members) {
                        let clean = self.redact(&name);
                        fired.add(&clean.fired);
                        members.insert(clean.text.into_owned(), member);
                    }
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    fn redact_string(&self, text: &mut String, fired: &mut Fired) {
        let redacted = self.redact(text);
        fired.add(&redacted.fired);
        if let Cow::Owned(clean) = redacted.text {
            *text = clean;
        }
    }

    /// Redacts a member's text when its name says that it is a secret.
    fn redact_member(&self, name: &str, text: &mut String, fired: &mut Fired) {
        const MEMBER_BYTES_MAX: usize = 4000;
        if text.is_empty() || text.len() > MEMBER_BYTES_MAX || name.len() > 64 || text.contains(['"', '\\', '\n']) {
            return;
        }
        let written = format!("\"{name}\": \"{text}\"");
        let from = name.len() + 5;
        if let Some(finding) = self.find(&written).first()
            && finding.place == (from..from + text.len())
        {
            let rule = self.name(finding.rule);
            fired.count(rule, 1);
            *text = format!("[REDACTED:{rule}]");
        }
    }

    /// The secrets of `text`, in order and apart from each other.
    fn find(&self, whole: &str) -> Vec<Finding> {
        let mut findings: Vec<Finding> = Vec::new();
        let mut text = Text { bytes: whole.as_bytes(), done: 0, token: 0..0 };
        let anchors = &*ANCHORS;
        for anchor in anchors.automaton.find_overlapping_iter(text.bytes) {
            for &rule in &anchors.starts[anchor.pattern().as_usize()] {
                if let Some(place) = find_at(&text, rule, anchor.range()) {
                    text.done = text.done.max(place.end);
                    if matches!(RULES[rule].shape, Shape::Token { .. }) && place.end > text.token.end {
                        text.token = place.clone();
                    }
                    findings.push(Finding { place, rule });
                }
            }
        }
        if let Some(own) = &self.own {
            findings
                .extend(own.find(whole).into_iter().map(|(rule, place)| Finding { place, rule: RULES.len() + rule }));
            findings.retain(|finding| !own.excepts(whole, &finding.place));
        }
        if findings.len() > 1 {
            merge(&mut findings);
        }
        findings
    }

    fn name(&self, rule: usize) -> &'static str {
        match (RULES.get(rule), &self.own) {
            (Some(rule), _) => rule.name,
            (None, Some(own)) => own.name(rule - RULES.len()),
            (None, None) => "secret",
        }
    }

    /// `text` with the name of its rule in each finding's place.
    fn replaced(&self, text: &str, findings: &[Finding], fired: &mut Fired) -> String {
        let mut clean = String::with_capacity(text.len());
        let mut kept = 0;
        for finding in findings {
            let name = self.name(finding.rule);
            clean.push_str(&text[kept..finding.place.start]);
            clean.push_str("[REDACTED:");
            clean.push_str(name);
            clean.push(']');
            fired.count(name, 1);
            kept = finding.place.end;
        }
        clean.push_str(&text[kept..]);
        clean
    }
}

/// The secret that `rule` sees at an anchor.
fn find_at(text: &Text<'_>, rule: usize, anchor: Range<usize>) -> Option<Range<usize>> {
    match &RULES[rule].shape {
        Shape::Scan(scan) => scan(text, anchor),
        // What announces a value, and is itself redacted, will be gone.
        Shape::Value(_) if anchor.start < text.done => None,
        Shape::Value(behind) => behind(text, anchor),
        Shape::Token { alphabet, least, most, digit } => {
            let bytes = text.bytes;
            let written = &bytes[anchor.clone()];
            let fresh = if *digit { text.starts_run(anchor.start) } else { text.starts_fresh(anchor.start) };
            if (anchor.start > text.token.start && anchor.start < text.token.end)
                || !RULES[rule].anchors.iter().any(|exact| exact.as_bytes() == written)
                || !(fresh || text.follows_name(anchor.start))
            {
                return None;
            }
            let reach = bytes.len().min(anchor.end.saturating_add(most + 1));
            let length = bytes[anchor.end..reach].iter().take_while(|&&byte| alphabet.has(byte)).count();
            let body = &bytes[anchor.end..anchor.end + length];
            let end = anchor.end + length.min(*most);
            let open_ended = *most == rules::TOKEN_BYTES_MAX;
            let ends = open_ended || (length <= *most && !bytes.get(end).is_some_and(u8::is_ascii_alphanumeric));
            let is_one = length >= *least && ends && (!digit || body.iter().any(u8::is_ascii_digit));
            // Behind an underscore it may be the end of a name: `my_npm_…` is a token, `set_npm_registry_…` is none.
            (is_one && (fresh || is_drawn(body, *digit && alphabet.has(b'z')))).then_some(anchor.start..end)
        }
    }
}

/// A piece of so many letters and digits is longer than most words.
const DRAWN_PIECE_BYTES: usize = 12;

/// Of a name, fewer than one in so many letters and digits is a digit.
const NAME_DIGITS: usize = 8;

/// Whether a token's run looks drawn by lot and not named: it has a long piece in which lower case, capitals and digits
/// mix, or two of them where all of them are not asked for; or it has more digits than names do.
fn is_drawn(run: &[u8], all: bool) -> bool {
    let kinds = |piece: &[u8]| {
        let has = |is: fn(&u8) -> bool| usize::from(piece.iter().any(is));
        has(u8::is_ascii_digit) + has(u8::is_ascii_lowercase) + has(u8::is_ascii_uppercase)
    };
    let asked = if all { 3 } else { 2 };
    let mut pieces = run.split(|byte| !byte.is_ascii_alphanumeric());
    let count = |is: fn(&u8) -> bool| run.iter().filter(|byte| is(byte)).count();
    pieces.any(|piece| piece.len() >= DRAWN_PIECE_BYTES && kinds(piece) >= asked)
        || NAME_DIGITS * count(u8::is_ascii_digit) >= count(u8::is_ascii_alphanumeric)
}

/// Joins findings that overlap; the most specific rule names the whole.
fn merge(findings: &mut Vec<Finding>) {
    findings.sort_by_key(|finding| finding.place.start);
    findings.dedup_by(|next, kept| {
        let overlap = next.place.start < kept.place.end;
        if overlap {
            kept.place.end = kept.place.end.max(next.place.end);
            kept.rule = kept.rule.min(next.rule);
        }
        overlap
    });
}

#[cfg(test)]
mod samples;
#[cfg(test)]
mod tests;

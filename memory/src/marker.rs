//! The marker around what recall injects into a prompt, and how it is taken out again.
//!
//! A block is `<harness-memory v="1" sha="…">body</harness-memory>`. The body has `<` and `&` escaped, so
//! that nothing inside it can end the block, and `sha` is the first 16 hex digits of the SHA-256 of the
//! body as it was before escaping, without outer white space and carriage returns. When a tool
//! writes the prompt into its transcript, [`strip`] recognises the block by its hash and drops it, so
//! that what recall injected is never stored as new memory.
//!
//! The hash is no signature: whoever knows the format can write a block that fits. It shows that a block
//! came through whole, and that no text was put between a true opening and closing tag; a block whose
//! hash does not fit stays in the text and is as untrusted as the text around it.

use sha2::{Digest, Sha256};
use std::borrow::Cow;

const OPEN: &str = "<harness-memory v=\"1\" sha=\"";
const CLOSE: &str = "</harness-memory>";

/// Hex digits of the hash in a marker.
const HASH_DIGITS: usize = 16;

/// How many JSON strings may stand inside each other around a block: a transcript that quotes a transcript, and one more.
pub const ESCAPES_MAX: u32 = 3;

/// The longest prefix of quoted or indented lines.
const PREFIX_BYTES_MAX: usize = 64;

/// A body longer than this is no block of ours: a context is packed into a token budget far below it.
const BODY_BYTES_MAX: usize = 1024 * 1024;

/// Wraps `body` into a marker that [`strip`] recognises.
///
/// White space around the body and carriage returns are not kept.
pub fn encode(body: &str) -> String {
    let body = normal(body);
    let mut block = String::with_capacity(body.len() + 80);
    block.push_str(OPEN);
    block.push_str(&hash(&body));
    block.push_str("\">\n");
    for character in body.chars() {
        match character {
            '<' => block.push_str("&lt;"),
            '&' => block.push_str("&amp;"),
            other => block.push(other),
        }
    }
    block.push('\n');
    block.push_str(CLOSE);
    block
}

/// A text without the blocks that recall had injected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stripped<'t> {
    /// What remains; borrowed when no block was dropped.
    pub text: Cow<'t, str>,
    /// Blocks whose hash fits their body: dropped.
    pub dropped: usize,
    /// Opening tags without a body that fits their hash: left in the text.
    pub mismatched: usize,
}

/// Drops every block whose hash fits its body; everything else stays, byte for byte.
///
/// A block is also recognised with `\r\n` as line ends, with each line indented or quoted alike, and when it stands in
/// a JSON string inside the text: with `"` and line ends escaped, up to [`ESCAPES_MAX`] times over, and perhaps `<`, `>`
/// and `&` as `\u003c` and so on.
pub fn strip(text: &str) -> Stripped<'_> {
    let mut kept = String::new();
    let mut copied = 0;
    let mut dropped = 0;
    let mut mismatched = 0;
    let mut at = 0;
    while let Some(found) = next_opening(text, at) {
        match block_end(text, &found) {
            Some(end) => {
                kept.push_str(&text[copied..found.start]);
                copied = end;
                at = end;
                dropped += 1;
            }
            None => {
                mismatched += 1;
                // A true block may begin inside what a false opening claims.
                at = found.body;
            }
        }
    }
    let text = if dropped == 0 {
        Cow::Borrowed(text)
    } else {
        kept.push_str(&text[copied..]);
        Cow::Owned(kept)
    };
    Stripped { text, dropped, mismatched }
}

/// An opening tag in the text.
struct Opening<'t> {
    start: usize,
    /// Where the body starts.
    body: usize,
    hash: &'t str,
    /// In how many JSON strings inside each other the tag stands.
    escapes: u32,
}

fn next_opening(text: &str, mut from: usize) -> Option<Opening<'_>> {
    const NAME: &str = "harness-memory v=";
    loop {
        let name = from + text.get(from..)?.find(NAME)?;
        from = name + NAME.len();
        let head = &text[..name];
        let Some(start) = before(head, "<").or_else(|| before(head, "\\u003c")).or_else(|| before(head, "\\u003C"))
        else {
            continue;
        };
        let rest = &text[from..];
        // `"`, `\"`, `\\\"`, …: each string around it doubles the signs and adds one.
        let signs = rest.bytes().take(1 << ESCAPES_MAX).take_while(|byte| *byte == b'\\').count();
        let escapes = (signs + 1).ilog2();
        let Some(quote) = rest.get(..=signs).filter(|quote| quote.ends_with('"') && signs + 1 == 1 << escapes) else {
            continue;
        };
        let parsed = rest
            .strip_prefix(quote)
            .and_then(|rest| rest.strip_prefix('1'))
            .and_then(|rest| rest.strip_prefix(quote))
            .and_then(|rest| rest.strip_prefix(" sha="))
            .and_then(|rest| rest.strip_prefix(quote))
            .filter(|rest| {
                rest.len() >= HASH_DIGITS && rest.as_bytes()[..HASH_DIGITS].iter().all(u8::is_ascii_hexdigit)
            })
            .and_then(|rest| {
                let (hash, rest) = rest.split_at(HASH_DIGITS);
                let rest = rest.strip_prefix(quote)?;
                let rest = [">", "\\u003e", "\\u003E"].iter().find_map(|end| rest.strip_prefix(end))?;
                Some((hash, text.len() - rest.len()))
            });
        if let Some((hash, body)) = parsed {
            return Some(Opening { start, body, hash, escapes });
        }
    }
}

fn before(head: &str, sign: &str) -> Option<usize> {
    head.ends_with(sign).then(|| head.len() - sign.len())
}

/// Where the block ends, when its body fits its hash.
fn block_end(text: &str, opening: &Opening<'_>) -> Option<usize> {
    let rest = &text[opening.body..];
    let length = if opening.escapes > 0 { escaped_body(rest, opening.escapes)? } else { rest.find('<')? };
    if length > BODY_BYTES_MAX {
        return None;
    }
    let (body, tail) = rest.split_at(length);
    let signs = |tail: &str| tail.len() - tail.trim_start_matches('\\').len();
    // `</harness-memory>`, with the slash escaped or not, and the brackets as they are or as `\u003c`.
    let tail = match tail.strip_prefix('<') {
        Some(tail) => tail,
        None => {
            let tail = &tail[signs(tail)..];
            tail.strip_prefix("u003c").or_else(|| tail.strip_prefix("u003C"))?
        }
    };
    let tail = tail[signs(tail)..].strip_prefix("/harness-memory")?;
    let after = match tail.strip_prefix('>') {
        Some(after) => after,
        None => {
            let tail = &tail[signs(tail)..];
            tail.strip_prefix("u003e").or_else(|| tail.strip_prefix("u003E"))?
        }
    };
    let mut body = Cow::Borrowed(body);
    for _ in 0..opening.escapes {
        body = Cow::Owned(serde_json::from_str::<String>(&format!("\"{body}\"")).ok()?);
    }
    let plain = body.replace("&lt;", "<").replace("&amp;", "&");
    let fits = |body: &str| hash(&normal(body)) == opening.hash;
    let prefix = line_prefix(&text[..opening.start]);
    (fits(&plain)
        || without_prefix(&plain, prefix).is_some_and(|body| fits(&body))
        || without_prefix(&plain, common_indent(&plain)).is_some_and(|body| fits(&body)))
    .then(|| text.len() - after.len())
}

/// What stands before the opening tag on its line, when that can be the indentation or quotation of all lines.
fn line_prefix(head: &str) -> &str {
    let line = &head[head.rfind('\n').map_or(0, |end| end + 1)..];
    let is_sign = |c: char| c.is_whitespace() || matches!(c, '>' | '|' | '│' | '┃' | '#' | '*' | '/');
    if line.len() <= PREFIX_BYTES_MAX && line.chars().all(is_sign) { line } else { "" }
}

/// The white space that all lines with anything on them begin with.
fn common_indent(body: &str) -> &str {
    let indent = |line: &'_ str| line.len() - line.trim_start_matches([' ', '\t']).len();
    let lines = || body.lines().filter(|line| !line.trim().is_empty());
    let width = lines().map(indent).min().unwrap_or(0).min(PREFIX_BYTES_MAX);
    // Where lines begin differently, taking the first one's beginning from the others fails, as it should.
    lines().next().map_or("", |line| &line[..width])
}

/// The body without a prefix on each of its lines; `None` where a line has another beginning.
fn without_prefix(body: &str, prefix: &str) -> Option<String> {
    if prefix.is_empty() {
        return None;
    }
    let lines = body.trim_matches('\n').split('\n').enumerate().map(|(at, line)| {
        let bare = line.strip_prefix(prefix);
        // An editor takes the blanks of an empty line away; the body's own first line may stand behind the tag.
        bare.or_else(|| (line.trim().is_empty() || prefix.trim_end() == line).then_some(""))
            .or((at == 0).then_some(line))
    });
    Some(lines.collect::<Option<Vec<&str>>>()?.join("\n"))
}

/// The length of a body inside a JSON string: up to a `<`, however written.
fn escaped_body(rest: &str, escapes: u32) -> Option<usize> {
    let bytes = rest.as_bytes();
    let mut at = 0;
    while at < bytes.len().min(BODY_BYTES_MAX + 1) {
        match bytes[at] {
            b'<' => return Some(at),
            b'\\' => {
                // `\u003c`, or with the sign doubled by each string around the one that wrote it so. More signs than that
                // stand for the same letters in the body itself.
                let signs = bytes[at..].iter().take(1 << ESCAPES_MAX).take_while(|byte| **byte == b'\\').count();
                let written = signs.is_power_of_two() && signs < 1 << escapes;
                let letters = bytes.get(at + signs..at + signs + 5);
                if written && letters.is_some_and(|letters| letters.eq_ignore_ascii_case(b"u003c")) {
                    return Some(at);
                }
                at += 2;
            }
            b'"' => return None,
            _ => at += 1,
        }
    }
    None
}

/// The form of a body that is hashed: carriage returns come and go with tools and platforms.
fn normal(body: &str) -> Cow<'_, str> {
    if body.contains('\r') { Cow::Owned(body.replace('\r', "").trim().to_owned()) } else { Cow::Borrowed(body.trim()) }
}

fn hash(body: &str) -> String {
    let digest = Sha256::digest(body.as_bytes());
    digest.iter().take(HASH_DIGITS / 2).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn json(text: &str) -> String {
        let quoted = serde_json::to_string(text).expect("a string");
        quoted[1..quoted.len() - 1].to_owned()
    }

    #[test]
    fn an_injected_block_is_dropped_and_the_text_around_it_kept() {
        let text = format!("before {} after", encode("Use `cargo test`.\n记住：先跑测试 <b> & \"so\""));
        let stripped = strip(&text);
        assert_eq!(stripped.text, "before  after");
        assert_eq!((stripped.dropped, stripped.mismatched), (1, 0));
    }

    #[test]
    fn a_block_with_a_wrong_hash_is_ordinary_text() {
        let text = encode("the true body").replace("true", "false");
        let stripped = strip(&text);
        assert_eq!(stripped.text, text);
        assert_eq!((stripped.dropped, stripped.mismatched), (0, 1));
    }

    #[test]
    fn a_false_opening_does_not_save_the_block_inside_it() {
        let fake = format!("{OPEN}0000000000000000\">");
        let stripped_text = format!("{fake}hidden{}", encode("body"));
        let stripped = strip(&stripped_text);
        assert_eq!(stripped.text, format!("{fake}hidden"));
        assert_eq!((stripped.dropped, stripped.mismatched), (1, 1));
    }

    #[test]
    fn a_block_inside_a_json_string_is_recognised() {
        let block = encode("line one\nline \"two\" \\u003c <tag> & 中文\ttab");
        let go = json(&block).replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026");
        for written in [json(&block), go, json(&block).replace('/', "\\/")] {
            let text = format!("{{\"prompt\": \"hello {written} there\"}}");
            let stripped = strip(&text);
            assert_eq!(stripped.text, "{\"prompt\": \"hello  there\"}", "{written}");
            assert_eq!(stripped.dropped, 1);
        }
    }

    #[test]
    fn other_line_ends_do_not_matter() {
        let text = encode("one\ntwo\n\nthree").replace('\n', "\r\n");
        assert_eq!(strip(&text).text, "");
        assert_eq!(strip(&encode("one\r\ntwo")).text, "");
    }

    #[test]
    fn a_block_is_recognised_indented_quoted_and_escaped_over_and_over() {
        let block = encode("- one \"thing\"\n  and its second line\n\n- <b> & 中文");
        let each = |prefix: &str| block.lines().map(|line| format!("{prefix}{line}\n")).collect::<String>();
        for prefix in ["    ", "\t", "> ", "  │ ", "// "] {
            let stripped = strip(&each(prefix)).text.into_owned();
            assert_eq!(stripped.trim_matches(|c: char| !c.is_alphanumeric()), "", "{prefix:?}: {stripped}");
        }
        let mut text = each("    ");
        for _ in 0..ESCAPES_MAX {
            text = json(&text);
            assert_eq!(strip(&format!("x {text} y")).dropped, 1, "{text}");
            assert_eq!(strip(&format!("x {} y", text.replace('<', "\\u003c"))).dropped, 1);
        }
        // A word put into a line is no indentation.
        let longer = each("    ").replace("    - one", "    - one more");
        assert_eq!(strip(&longer).dropped, 0);
    }

    #[test]
    fn an_unfinished_block_stays() {
        let block = encode("body");
        for end in 0..block.len() {
            assert_eq!(strip(&block[..end]).text, &block[..end]);
        }
    }

    proptest! {
        #[test]
        fn what_was_encoded_is_stripped(body in "\\PC*|(\\s|<|&|/|\"|\\\\|harness-memory|&lt;|</harness-memory>|\\r\\n){0,40}") {
            let block = encode(&body);
            for written in [block.clone(), block.replace('\n', "\r\n"), json(&block)] {
                let stripped = strip(&written);
                prop_assert_eq!(stripped.text.as_ref(), "");
                prop_assert_eq!(stripped.dropped, 1);
            }
        }

        #[test]
        fn text_outside_a_true_block_is_never_lost(
            pieces in prop::collection::vec(prop_oneof![
                Just(CLOSE.to_owned()),
                Just(format!("{OPEN}0123456789abcdef\">")),
                Just(encode("a body")),
                Just(encode(CLOSE)),
                Just(json(&encode("another \"body\""))),
                "[a-z \\\\\"<>&]{0,12}",
            ], 0..12),
        ) {
            let blocks = [encode("a body"), encode(CLOSE), json(&encode("another \"body\""))];
            let text: String = pieces.concat();
            let mut expected = text.clone();
            for block in &blocks {
                expected = expected.replace(block.as_str(), "");
            }
            prop_assert_eq!(strip(&text).text.into_owned(), expected);
        }

        #[test]
        fn any_text_is_stripped_without_panic(text in "(\\PC|harness-memory v=|<|\\\\|\\\\\"|\"|1| sha=|\\\\u003c|[0-9a-f]{16}|>){0,60}") {
            let stripped = strip(&text);
            prop_assert!(stripped.dropped == 0);
            prop_assert_eq!(stripped.text.as_ref(), text.as_str());
        }
    }
}

//! Shapes that are more than a prefix and a run: key blocks, passwords in URLs, headers, webhooks.

use super::assignment::is_placeholder;
use super::rules::TOKEN_BYTES_MAX;
use super::{REDACTED, Text};
use std::ops::Range;

/// A private key block is searched for its end this far: a 16,384-bit RSA key takes 13 kB.
const KEY_BLOCK_BYTES_MAX: usize = 32 * 1024;

/// User and password of a URL are looked for in this many bytes.
const USER_INFO_BYTES_MAX: usize = 512;

/// Bytes of `text` from `from` on that satisfy `belongs`, no more than [`TOKEN_BYTES_MAX`].
fn run(bytes: &[u8], from: usize, belongs: impl Fn(u8) -> bool) -> usize {
    let end = bytes.len().min(from.saturating_add(TOKEN_BYTES_MAX));
    bytes[from.min(end)..end].iter().take_while(|&&byte| belongs(byte)).count()
}

/// How many bytes directly before `until` satisfy `belongs`, without the digits of an escape (`%20`, `\u4e2d`).
fn run_back(bytes: &[u8], until: usize, most: usize, belongs: impl Fn(u8) -> bool) -> usize {
    let length = bytes[..until].iter().rev().take(most).take_while(|&&byte| belongs(byte)).count();
    let before = &bytes[..until - length];
    if length > 4 && before.ends_with(b"\\u") {
        length - 4
    } else if length > 2 && before.ends_with(b"%") {
        length - 2
    } else {
        length
    }
}

fn base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=' | b'-' | b'_')
}

fn url64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
}

fn find(bytes: &[u8], needle: &[u8]) -> Option<usize> {
    bytes.windows(needle.len()).position(|window| window == needle)
}

/// `-----BEGIN … PRIVATE KEY…-----` to its end line; without one, as far as the base64 goes.
pub(super) fn private_key(text: &Text<'_>, anchor: Range<usize>) -> Option<Range<usize>> {
    let bytes = text.bytes;
    if anchor.start < text.done {
        return None;
    }
    let head = &bytes[anchor.end..bytes.len().min(anchor.end + 64)];
    let label = find(head, b"--")?;
    find(&head[..label], b"PRIVATE KEY")?;
    let body = anchor.end + label;
    let reach = &bytes[body..bytes.len().min(body + KEY_BLOCK_BYTES_MAX)];
    // An end line beyond the next block's begin line is not this block's.
    let reach = &reach[..find(reach, b"BEGIN ").unwrap_or(reach.len())];
    if let Some(end) = find(reach, b"-END ").or_else(|| find(reach, b"- END ")) {
        let tail = &reach[end..reach.len().min(end + 96)];
        let closed = find(tail, b"KEY").map_or(end + 5, |key| {
            let mut at = end + key + 3;
            at += run(reach, at, |byte| byte == b' ' || byte.is_ascii_uppercase());
            at + run(reach, at, |byte| byte == b'-')
        });
        return Some(anchor.start..body + closed);
    }
    let body = body + run(bytes, body, |byte| byte == b'-');
    let kept = reach_of_key_material(bytes, body);
    // A mere mention of the header holds no key.
    (kept >= 40).then_some(anchor.start..body + kept)
}

/// How far base64 lines go, with line ends written out or as `\n`.
fn reach_of_key_material(bytes: &[u8], from: usize) -> usize {
    let end = bytes.len().min(from + KEY_BLOCK_BYTES_MAX);
    bytes[from..end].iter().take_while(|&&byte| base64(byte) || matches!(byte, b'\n' | b'\r' | b'\\' | b' ')).count()
}

/// The 40 bytes of a secret that stand a few separators after an access key id.
pub(super) fn aws_secret_beside_its_key(text: &Text<'_>, anchor: Range<usize>) -> Option<Range<usize>> {
    let bytes = text.bytes;
    if !text.starts_fresh(anchor.start) {
        return None;
    }
    let id = run(bytes, anchor.end, |byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
    if id != 16 {
        return None;
    }
    let after = anchor.end + id;
    let gap =
        run(bytes, after, |byte| !byte.is_ascii_alphanumeric() && byte.is_ascii() && byte != b'/' && byte != b'+');
    let start = after + gap;
    let length = run(bytes, start, |byte| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'+'));
    let value = &bytes[start..start + length];
    (gap > 0
        && gap <= 16
        && length == 40
        && value.iter().any(u8::is_ascii_digit)
        && value.iter().any(u8::is_ascii_lowercase)
        && value.iter().any(u8::is_ascii_uppercase))
    .then_some(start..start + length)
}

/// Three bytes, a digit, `Q~` and 31 to 34 more.
pub(super) fn azure_client_secret(text: &Text<'_>, anchor: Range<usize>) -> Option<Range<usize>> {
    let bytes = text.bytes;
    let start = anchor.start.checked_sub(4)?;
    let secret = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'~' | b'.' | b'-');
    let head = bytes.get(start..anchor.start)?;
    let tail = run(bytes, anchor.end, secret);
    (bytes[anchor.clone()] == *b"Q~"
        && head.iter().all(|&byte| secret(byte))
        && head[3].is_ascii_digit()
        && (31..=36).contains(&tail)
        && text.starts_part(start))
    .then_some(start..anchor.end + tail)
}

/// `EAA` and at least eighty letters and digits, which is no piece of a larger base64.
pub(super) fn facebook(text: &Text<'_>, anchor: Range<usize>) -> Option<Range<usize>> {
    let bytes = text.bytes;
    let sign = |byte: Option<&u8>| byte.is_some_and(|byte| matches!(byte, b'+' | b'/'));
    let length = run(bytes, anchor.end, |byte| byte.is_ascii_alphanumeric());
    let end = anchor.end + length;
    let whole = !sign(bytes[..anchor.start].last()) && !sign(bytes.get(end)) && text.starts_part(anchor.start);
    (bytes[anchor.clone()] == *b"EAA" && (80..=400).contains(&length) && whole).then_some(anchor.start..end)
}

/// Seventy-six bytes, `AZDO` and four more.
pub(super) fn azure_devops(text: &Text<'_>, anchor: Range<usize>) -> Option<Range<usize>> {
    let bytes = text.bytes;
    let start = anchor.start.checked_sub(76)?;
    let head = bytes[start..anchor.start].iter().all(u8::is_ascii_alphanumeric);
    let tail = run(bytes, anchor.end, |byte| byte.is_ascii_alphanumeric());
    (bytes[anchor.clone()] == *b"AZDO" && head && tail == 4 && text.starts_part(start))
        .then_some(start..anchor.end + tail)
}

/// `pat`, fourteen bytes, a dot and sixty-four hex digits.
pub(super) fn airtable(text: &Text<'_>, anchor: Range<usize>) -> Option<Range<usize>> {
    let bytes = text.bytes;
    let id = run(bytes, anchor.end, |byte| byte.is_ascii_alphanumeric());
    let dot = anchor.end + id;
    if id != 14 || bytes.get(dot) != Some(&b'.') || !text.starts_part(anchor.start) {
        return None;
    }
    let hex = run(bytes, dot + 1, |byte| byte.is_ascii_hexdigit());
    (hex == 64).then_some(anchor.start..dot + 1 + hex)
}

/// Two runs with a dollar sign between, after `access_token$…$`.
pub(super) fn braintree(text: &Text<'_>, anchor: Range<usize>) -> Option<Range<usize>> {
    let length = run(text.bytes, anchor.end, |byte| byte.is_ascii_alphanumeric() || byte == b'$');
    let value = &text.bytes[anchor.end..anchor.end + length];
    (length >= 40 && value.contains(&b'$') && text.starts_part(anchor.start))
        .then_some(anchor.start..anchor.end + length)
}

/// The key of a chat's webhook: a UUID or a run as long.
pub(super) fn webhook_key(text: &Text<'_>, anchor: Range<usize>) -> Option<Range<usize>> {
    let length = run(text.bytes, anchor.end, url64);
    let value = &text.bytes[anchor.end..anchor.end + length];
    (length >= 30 && value.iter().any(u8::is_ascii_digit) && !is_placeholder(value))
        .then_some(anchor.end..anchor.end + length)
}

/// The base64 that follows a connection string's `…Key=`.
pub(super) fn base64_value(text: &Text<'_>, anchor: Range<usize>) -> Option<Range<usize>> {
    let length = run(text.bytes, anchor.end, base64);
    (length >= 40).then_some(anchor.end..anchor.end + length)
}

/// `sig=` of a shared access signature: percent-encoded base64 of 32 bytes.
pub(super) fn sas_signature(text: &Text<'_>, anchor: Range<usize>) -> Option<Range<usize>> {
    let length = run(text.bytes, anchor.end, |byte| base64(byte) || byte == b'%');
    let value = &text.bytes[anchor.end..anchor.end + length];
    (length >= 43 && (value.contains(&b'%') || value.contains(&b'=')) && text.starts_fresh(anchor.start))
        .then_some(anchor.end..anchor.end + length)
}

/// The dashed id before `.atlasv1.` and the run after it.
pub(super) fn terraform(text: &Text<'_>, anchor: Range<usize>) -> Option<Range<usize>> {
    let head = run_back(text.bytes, anchor.start, 32, |byte| byte.is_ascii_alphanumeric());
    let tail = run(text.bytes, anchor.end, url64);
    (head >= 10 && tail >= 40).then_some(anchor.start - head..anchor.end + tail)
}

/// What follows the host of a webhook whose path is its secret.
pub(super) fn webhook_path(text: &Text<'_>, anchor: Range<usize>) -> Option<Range<usize>> {
    let length = run(text.bytes, anchor.end, |byte| url64(byte) || byte == b'/');
    let path = &text.bytes[anchor.end..anchor.end + length];
    (length >= 30 && path.contains(&b'/') && path.iter().any(u8::is_ascii_digit))
        .then_some(anchor.end..anchor.end + length)
}

/// The token after the numeric id of a Discord webhook.
pub(super) fn discord_webhook(text: &Text<'_>, anchor: Range<usize>) -> Option<Range<usize>> {
    let id = run(text.bytes, anchor.end, |byte| byte.is_ascii_digit());
    let start = anchor.end + id + 1;
    if id < 15 || text.bytes.get(start - 1) != Some(&b'/') {
        return None;
    }
    let length = run(text.bytes, start, url64);
    (length >= 50).then_some(start..start + length)
}

/// Eight to ten digits, `:AA` and 33 more bytes.
pub(super) fn telegram_bot(text: &Text<'_>, anchor: Range<usize>) -> Option<Range<usize>> {
    let digits = run_back(text.bytes, anchor.start, 15, |byte| byte.is_ascii_digit());
    let tail = run(text.bytes, anchor.end, url64);
    let start = anchor.start - digits;
    // In an API address the token follows the literal `bot`.
    let fresh = text.starts_part(start) || text.bytes[..start].ends_with(b"bot");
    (text.bytes[anchor.clone()] == *b":AA" && (8..=10).contains(&digits) && (32..=34).contains(&tail) && fresh)
        .then_some(start..anchor.end + tail)
}

/// `SG.` and two runs of 22 and 43 bytes with a dot between.
pub(super) fn sendgrid(text: &Text<'_>, anchor: Range<usize>) -> Option<Range<usize>> {
    let first = run(text.bytes, anchor.end, url64);
    let dot = anchor.end + first;
    if !(16..=32).contains(&first)
        || text.bytes.get(dot) != Some(&b'.')
        || text.bytes[anchor.clone()] != *b"SG."
        || !text.starts_part(anchor.start)
    {
        return None;
    }
    let second = run(text.bytes, dot + 1, url64);
    (second >= 32).then_some(anchor.start..dot + 1 + second)
}

/// Thirty-two hex digits and `-us` with a number.
pub(super) fn mailchimp(text: &Text<'_>, anchor: Range<usize>) -> Option<Range<usize>> {
    let number = run(text.bytes, anchor.end, |byte| byte.is_ascii_digit());
    if !(1..=2).contains(&number) {
        return None;
    }
    let hex = run_back(text.bytes, anchor.start, 37, |byte| byte.is_ascii_hexdigit());
    (hex == 32).then_some(anchor.start - hex..anchor.end + number)
}

/// A signed or encrypted JSON web token: three to five runs of base64url with dots between.
pub(super) fn jwt(text: &Text<'_>, anchor: Range<usize>) -> Option<Range<usize>> {
    let bytes = text.bytes;
    if bytes[anchor.clone()] != *b"eyJ" || !(text.starts_run(anchor.start) || text.follows_name(anchor.start)) {
        return None;
    }
    let mut end = anchor.start;
    let mut parts = 0;
    while parts < 5 {
        let length = run(bytes, end, url64);
        if (parts < 2 && length < 10) || length == 0 {
            break;
        }
        end += length;
        parts += 1;
        match bytes.get(end) {
            // A dot that ends a sentence has no part after it; the second one may, in a token without signature.
            Some(b'.') if bytes.get(end + 1).is_some_and(|&next| url64(next)) => end += 1,
            _ => break,
        }
    }
    (parts >= 2).then_some(anchor.start..end)
}

/// A slash stands behind at most so many backslashes: text that was put into JSON five times.
const ESCAPES_MAX: usize = 31;

/// The password between `scheme://user:` and `@`, also with slashes escaped, however often (JSON within JSON), or
/// delimiters.
pub(super) fn url_password(text: &Text<'_>, anchor: Range<usize>) -> Option<Range<usize>> {
    let bytes = text.bytes;
    let escaped = bytes[anchor.start] == b'%';
    let scheme = bytes[..anchor.start].last()?;
    if !scheme.is_ascii_alphanumeric() && !matches!(scheme, b'+' | b'-' | b'.') {
        return None;
    }
    let begin = if bytes[anchor.end - 1] == b'\\' { after_escaped_slashes(bytes, anchor.end)? } else { anchor.end };
    let window = &bytes[begin..bytes.len().min(begin + USER_INFO_BYTES_MAX)];
    let stop = window
        .iter()
        .position(|&byte| {
            byte <= b' ' || matches!(byte, b'/' | b'?' | b'#' | b'"' | b'\'' | b'<' | b'>' | b'`' | b'\\' | b',' | b'|')
        })
        .unwrap_or(window.len());
    let user_info = &window[..stop];
    let (colon, skip, at) = if escaped {
        (
            find_escape(user_info, b"%3A")?,
            3,
            rfind_escape(user_info, b"%40").or_else(|| user_info.iter().rposition(|&byte| byte == b'@'))?,
        )
    } else {
        (user_info.iter().position(|&byte| byte == b':')?, 1, user_info.iter().rposition(|&byte| byte == b'@')?)
    };
    let start = colon + skip;
    let password = user_info.get(start..at)?;
    if password.is_empty() || is_template(password) || is_placeholder(password) || find(password, REDACTED).is_some() {
        return None;
    }
    Some(begin + start..begin + at)
}

/// Where two slashes end, each behind any number of backslashes.
fn after_escaped_slashes(bytes: &[u8], from: usize) -> Option<usize> {
    let slash = |from: usize| {
        let escapes = bytes.get(from..)?.iter().take(ESCAPES_MAX).take_while(|&&byte| byte == b'\\').count();
        (bytes.get(from + escapes) == Some(&b'/')).then_some(from + escapes + 1)
    };
    slash(slash(from)?)
}

fn find_escape(bytes: &[u8], escape: &[u8]) -> Option<usize> {
    bytes.windows(escape.len()).position(|window| window.eq_ignore_ascii_case(escape))
}

fn rfind_escape(bytes: &[u8], escape: &[u8]) -> Option<usize> {
    bytes.windows(escape.len()).rposition(|window| window.eq_ignore_ascii_case(escape))
}

/// Whether a value is filled in later: `${X}`, `{x}`, `%s`, `$X`, `***`, `…`.
fn is_template(value: &[u8]) -> bool {
    value.contains(&b'{')
        || value.contains(&b'(')
        || value.contains(&b'[')
        || value.iter().all(|&byte| byte == b'*' || byte == b'.' || !byte.is_ascii())
        || matches!(value, [b'%', letter] if letter.is_ascii_alphabetic())
        || matches!(value, [b'$', name @ ..] if name.iter().all(|&byte| byte.is_ascii_alphanumeric() || byte == b'_'))
}

/// A command line or netrc entry is looked at this far.
const COMMAND_BYTES_MAX: usize = 512;

/// The password in `curl -u name:…`, `sshpass -p …` and a netrc's `machine … password …`.
pub(super) fn command_line_password(text: &Text<'_>, anchor: Range<usize>) -> Option<Range<usize>> {
    let bytes = text.bytes;
    let command = &bytes[anchor.clone()];
    let reach = &bytes[anchor.end..bytes.len().min(anchor.end + COMMAND_BYTES_MAX)];
    let line = &reach[..reach.iter().position(|&byte| byte == b'\n').unwrap_or(reach.len())];
    let after = |flag: &[u8]| find(line, flag).map(|at| at + flag.len());
    let start = match command[0].to_ascii_lowercase() {
        b'c' => {
            let at = after(b"-u ").or_else(|| after(b"--user ")).or_else(|| after(b"--user="))?;
            let at = at + run(line, at, |byte| matches!(byte, b'"' | b'\'' | b'\\'));
            at + run(line, at, |byte| byte.is_ascii_graphic() && !matches!(byte, b':' | b'"' | b'\'' | b'/')) + 1
        }
        b's' => after(b"-p")?,
        _ => netrc_password(reach)?,
    };
    let line = if command[0].eq_ignore_ascii_case(&b'm') { reach } else { line };
    // The byte before is the colon behind the user's name, a flag, or a blank.
    let start = start + run(line, start, |byte| matches!(byte, b'"' | b'\'' | b' '));
    if command[0].eq_ignore_ascii_case(&b'c') && line.get(start.checked_sub(1)?) != Some(&b':') {
        return None;
    }
    let length = run(line, start, |byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\'' | b'\\' | b'`'));
    let value = line.get(start..start + length)?;
    let secret = length >= 4
        && !is_template(value)
        && !is_placeholder(value)
        && value[0] != b'$'
        && find(value, REDACTED).is_none();
    secret.then_some(anchor.end + start..anchor.end + start + length)
}

/// Where the password of a netrc entry starts: host, `login`, name and `password` follow each other.
fn netrc_password(entry: &[u8]) -> Option<usize> {
    let skip = |at: usize| at + run(entry, at, |byte| byte.is_ascii_whitespace());
    let word = |at: usize| skip(at + run(entry, at, |byte| byte.is_ascii_graphic()));
    let login = word(0);
    let name = entry.get(login..)?.starts_with(b"login").then(|| word(login))?;
    let password = word(name);
    entry.get(password..)?.starts_with(b"password").then(|| word(password))
}

/// The credential after the word `Bearer`.
pub(super) fn bearer(text: &Text<'_>, anchor: Range<usize>) -> Option<Range<usize>> {
    if !text.starts_fresh(anchor.start) {
        return None;
    }
    credential_after(text.bytes, anchor.end)
}

/// The credential after `Authorization:` and the name of its scheme; [`bearer`] has a rule of its own.
pub(super) fn authorization(text: &Text<'_>, anchor: Range<usize>) -> Option<Range<usize>> {
    let bytes = text.bytes;
    if bytes[..anchor.start].ends_with(REDACTED) {
        return None;
    }
    let mut at = anchor.end;
    at += run(bytes, at, |byte| matches!(byte, b'"' | b'\'' | b'\\' | b']' | b' '));
    if !matches!(bytes.get(at), Some(b':' | b'=' | b',')) {
        return None;
    }
    at += 1;
    at += run(bytes, at, |byte| matches!(byte, b'"' | b'\'' | b'\\' | b' ' | b'`'));
    let scheme = run(bytes, at, |byte| byte.is_ascii_alphabetic() || byte == b'-');
    if bytes[at..at + scheme].eq_ignore_ascii_case(b"bearer") {
        return None;
    }
    match bytes.get(at + scheme) {
        Some(b' ' | b'%' | b'+') if (3..=16).contains(&scheme) => credential_after(bytes, at + scheme),
        _ => None,
    }
}

/// A run that looks like a credential after at least one blank (or its escape) at `at`.
fn credential_after(bytes: &[u8], at: usize) -> Option<Range<usize>> {
    let blanks = run(bytes, at, |byte| byte == b' ');
    let start = match bytes.get(at..at + 3) {
        _ if (1..=4).contains(&blanks) => at + blanks,
        Some(b"%20") => at + 3,
        Some([b':', ..]) => at + 1,
        _ => return None,
    };
    let length = run(bytes, start, |byte| base64(byte) || matches!(byte, b'.' | b'~'));
    let value = &bytes[start..start + length];
    let digit = value.iter().any(u8::is_ascii_digit);
    let letter = value.iter().any(u8::is_ascii_alphabetic);
    // Prose after the word ("bearer authentication-scheme") has no digit; a real one of this length nearly always has.
    // `Bearer realm="…"`, `resource_metadata="…"`: a quote after the sign makes it an attribute and not padding.
    let attribute = !value.ends_with(b"==") && matches!(bytes.get(start + length), Some(b'"' | b'\\' | b'\''));
    let padded = value.ends_with(b"=") && length >= 12 && !attribute;
    (length >= 12 && letter && (digit || padded) && !is_placeholder(value)).then_some(start..start + length)
}

//! Secrets that only their name gives away: `password = "…"`, `"api_key": "…"`, `--token …`, `密码：…`.
//!
//! The name must end in a word for a secret (`db_password`, `apiKey`, `AWS_SECRET_ACCESS_KEY`; not
//! `password_hash`, `max_tokens`), something must assign to it, and the value must look like a secret
//! rather than like code, a placeholder or a label. How sure the value has to look depends on how sure
//! the name and the quotes are: an unquoted word behind ` = ` is most often a variable.

use super::{REDACTED, Text};
use std::ops::Range;

/// Names longer than this are not read to their start; none in use comes near.
const NAME_BYTES_MAX: usize = 64;

/// A value is followed this far. A longer one is cut here and its head redacted with the rule's name.
const VALUE_BYTES_MAX: usize = 4096;

/// A secret shows what it is in its first bytes; only these are judged, so that text made of names costs no more
/// than other text.
const JUDGED_BYTES_MAX: usize = 256;

/// A placeholder has few words; a value of more is none.
const PLACEHOLDER_WORDS_MAX: usize = 16;

/// Blanks allowed on each side of the sign of assignment: aligned configuration files use many.
const BLANKS_MAX: usize = 24;

/// The least bytes of a password; shorter ones are too much like ordinary words.
const PASSWORD_BYTES_MIN: usize = 6;

/// The least bytes of another secret.
const SECRET_BYTES_MIN: usize = 12;

/// A word with runs of capitals in it is none of a name's from this length on, in bytes.
const CROWDED_BYTES_MIN: usize = 24;

/// Words after the name's decisive word that do not change what it is: `DB_PASSWORD_PROD`.
const SUFFIXES: &str = "\
    prod production dev development staging stage old new value base64 b64 string str raw env 1 2 3";

/// Words before `key` that make it a secret.
const SECRET_KEYS: &str = "\
    api apikey access secret private account auth encryption signing master service subscription storage admin \
    app application client shared webhook session jwt hmac cookie license deploy";

/// Words before `token` that make it harmless: paging, parsing, counting.
const HARMLESS_TOKENS: &str = "\
    page next prev previous continuation cancel cancellation pad eos bos unk mask sep cls sync cursor start \
    end stop special first last current max min num input output cached total pagination resume change \
    shutdown key";

/// Names written without a separator.
const RUN_TOGETHER: &str = "\
    authtoken accesstoken refreshtoken apitoken bottoken usertoken sessiontoken idtoken clientsecret appsecret \
    apisecret secretkey apikey accesskey privatekey authkey accountkey";

/// Words of which placeholders consist: a value made only of these is nobody's secret.
const PLACEHOLDERS: &str = "\
    a access actual add admin an and any api app auth bar base bearer change changed changeit changeme client \
    confirm confirmation credential current db default demo dummy empty enter env example fake field fill foo \
    foobar for from get github go goes here hidden id in input insert invalid is it key label me missing mock \
    my name new nil no none not null of old openai optional or pass passphrase password passwd paste \
    placeholder private put pwd real redacted refresh removed repeat replace required reset root sample secret \
    set some something string temp test testing text the this to todo token true false type undefined unset \
    update use user username value valid with wrong x xxx you your";

/// What kind of name stands before the value.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Name {
    Password,
    Secret,
}

/// The value of something called a password.
pub(super) fn password(text: &Text<'_>, anchor: Range<usize>) -> Option<Range<usize>> {
    if text.bytes[anchor.start].is_ascii() {
        return value(text, anchor, Name::Password);
    }
    // Names in Chinese, Japanese and Korean have no word boundary; the sign of assignment may be a verb.
    let after = &text.bytes[anchor.end..];
    let sign = signs_after_cjk(after)?;
    let value = Value::read(text.bytes, anchor.end + sign)?;
    (value.is_plain()
        && value.length() >= PASSWORD_BYTES_MIN
        && has_digit_or_sign(value.bytes())
        && has_letter(value.bytes())
        || value.length() >= PASSWORD_BYTES_MIN && value.bytes().iter().all(u8::is_ascii_digit))
    .then(|| value.range())
}

/// The value of something called a secret, a token or one of the keys.
pub(super) fn secret(text: &Text<'_>, anchor: Range<usize>) -> Option<Range<usize>> {
    value(text, anchor, Name::Secret)
}

fn value(text: &Text<'_>, anchor: Range<usize>, wanted: Name) -> Option<Range<usize>> {
    let bytes = text.bytes;
    let name = name_around(text, anchor)?;
    if kind_of(&bytes[name.clone()])? != wanted {
        return None;
    }
    let (at, sign) = sign_after(bytes, &name)?;
    if sign == Sign::Call && bytes[name.clone()].ends_with(b"pass") {
        // `t.pass("…")` says that something passed.
        return None;
    }
    // `token: &str = "…"`: a type stands between the name and the value.
    let typed = if sign == Sign::Colon { after_type(bytes, at) } else { None };
    let value = Value::read(bytes, typed.unwrap_or(at))?;
    let fits = match (value.quote.is_some(), wanted) {
        (true, Name::Password) => value.is_quoted_password(),
        (true, Name::Secret) => value.is_secret(),
        (false, _) if sign == Sign::Call => false,
        (false, Name::Password) => value.is_bare_password(sign),
        (false, Name::Secret) => value.is_secret() && has_digit_or_sign(value.bytes()) && !value.is_code(),
    };
    fits.then(|| value.range())
}

fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.')
}

/// The whole name of which the anchor is a part.
fn name_around(text: &Text<'_>, anchor: Range<usize>) -> Option<Range<usize>> {
    let bytes = text.bytes;
    // A name does not reach back into what is redacted already.
    let from = if text.done <= anchor.start { text.done } else { 0 };
    let left = bytes[from..anchor.start].iter().rev().take(NAME_BYTES_MAX).take_while(|&&byte| is_name(byte)).count();
    let right =
        bytes[anchor.end..].iter().take(NAME_BYTES_MAX).take_while(|&&byte| is_name(byte) && byte != b'.').count();
    if left == NAME_BYTES_MAX || right == NAME_BYTES_MAX {
        return None;
    }
    let mut start = anchor.start - left;
    // In escaped text the `n` of `\npassword` belongs to the escape.
    if start > 0 && bytes[start - 1] == b'\\' && start < anchor.start && matches!(bytes[start], b'n' | b'r' | b't') {
        start += 1;
    }
    // A rule's name in a replacement is no name of a value.
    (!bytes[..start].ends_with(REDACTED)).then_some(start..anchor.end + right)
}

/// What a name promises, by its last words.
fn kind_of(name: &[u8]) -> Option<Name> {
    let mut words: Words<'_> = Words::of(name);
    let mut last = words.pop()?;
    while is_in(SUFFIXES, last) {
        last = words.pop()?;
    }
    let before = words.pop();
    let is = |word: &str| last.eq_ignore_ascii_case(word.as_bytes());
    let ends =
        |word: &str| last.len() >= word.len() && last[last.len() - word.len()..].eq_ignore_ascii_case(word.as_bytes());
    if is("pass")
        || is("pwd")
        || ends("password")
        || ends("passwd")
        || is("passwort")
        || is("passphrase")
        || is("passcode")
    {
        return Some(Name::Password);
    }
    let secret = is("secret")
        || is("auth")
        || is("credential")
        || is("credentials")
        || is_in(RUN_TOGETHER, last)
        || (is("token") && !before.is_some_and(|word| is_in(HARMLESS_TOKENS, word)))
        || (is("key") && before.is_some_and(|word| is_in(SECRET_KEYS, word)));
    secret.then_some(Name::Secret)
}

fn is_in(list: &str, word: &[u8]) -> bool {
    list.split_ascii_whitespace().any(|item| word.eq_ignore_ascii_case(item.as_bytes()))
}

/// The words of a name or value, from its end: split at signs and at `camelCase` humps.
struct Words<'t> {
    rest: &'t [u8],
}

impl<'t> Words<'t> {
    fn of(text: &'t [u8]) -> Self {
        Self { rest: text }
    }

    fn pop(&mut self) -> Option<&'t [u8]> {
        while let [head @ .., last] = self.rest {
            if last.is_ascii_alphanumeric() {
                break;
            }
            self.rest = head;
        }
        if self.rest.is_empty() {
            return None;
        }
        let mut start = self.rest.len();
        while start > 0 && self.rest[start - 1].is_ascii_alphanumeric() {
            start -= 1;
            let hump = start > 0
                && self.rest[start].is_ascii_uppercase()
                && (self.rest[start - 1].is_ascii_lowercase()
                    || self.rest.get(start + 1).is_some_and(u8::is_ascii_lowercase));
            if hump {
                break;
            }
        }
        let (rest, word) = self.rest.split_at(start);
        self.rest = rest;
        Some(word)
    }
}

/// What assigns the value to the name.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sign {
    /// `=` directly at both sides: shells, URLs, keyword arguments.
    Tight,
    /// `=` with blanks: configuration files, source code.
    Spaced,
    /// `:` of JSON, YAML, headers, types.
    Colon,
    /// `name("…")`.
    Call,
    /// `--name …`, `<name>…`.
    Flag,
}

/// Where the value after `name` starts, and what assigns it.
fn sign_after(bytes: &[u8], name: &Range<usize>) -> Option<(usize, Sign)> {
    let mut at = name.end;
    let flag = bytes[name.clone()].starts_with(b"--");
    let element = name.start > 0 && bytes[name.start - 1] == b'<';
    // The name's own quotes and brackets: `"key":`, `\"key\":`, `env["KEY"] =`.
    at +=
        bytes[at..].iter().take(6).take_while(|byte| matches!(byte, b'\\' | b'"' | b'\'' | b'`' | b']' | b'*')).count();
    let blanks = blanks_at(bytes, at);
    let rest = &bytes[at + blanks..];
    let (length, sign) = match rest {
        [b'=', b'=' | b'~', ..] | [b':', b':', ..] => return None,
        [b'=', b'>', ..] | [b':', b'=', ..] => (2, Sign::Spaced),
        [b'=', next, ..] if blanks == 0 && *next != b' ' => (1, Sign::Tight),
        [b'=', ..] => (1, Sign::Spaced),
        [b':', ..] => (1, Sign::Colon),
        [b'(', ..] if blanks == 0 => (1, Sign::Call),
        [b'>', ..] if element && blanks == 0 => (1, Sign::Flag),
        [b'%', b'3', b'D' | b'd', ..] => (3, Sign::Tight),
        [0xEF, 0xBC, 0x9A | 0x9D, ..] => (3, Sign::Colon),
        [b'i', b's', b' ', ..] if blanks == 1 => (2, Sign::Call),
        _ if flag && blanks > 0 => (0, Sign::Flag),
        _ => return None,
    };
    let at = at + blanks + length;
    Some((at + blanks_at(bytes, at), sign))
}

fn blanks_at(bytes: &[u8], at: usize) -> usize {
    bytes
        .get(at..)
        .map_or(0, |rest| rest.iter().take(BLANKS_MAX).take_while(|byte| matches!(byte, b' ' | b'\t')).count())
}

/// How long the sign of assignment after a CJK word for password is.
fn signs_after_cjk(after: &[u8]) -> Option<usize> {
    let verbs: [&[u8]; 9] = ["是", "为", "為", "は", "：", "＝", "는", "은", "를"].map(str::as_bytes);
    let mut at = 0;
    let mut seen = false;
    while at < 16 {
        let rest = &after[at..];
        if let Some(verb) = verbs.iter().find(|verb| rest.starts_with(verb)) {
            at += verb.len();
            seen = true;
        } else {
            match rest.first()? {
                b':' | b'=' => seen = true,
                b' ' | b'*' => {}
                _ => break,
            }
            at += 1;
        }
    }
    seen.then_some(at)
}

/// Where the quoted value after a type annotation starts.
fn after_type(bytes: &[u8], start: usize) -> Option<usize> {
    let head = &bytes[start..bytes.len().min(start + 40)];
    let equals = head.iter().position(|&byte| byte == b'=')?;
    let typed = head[..equals].iter().all(|byte| {
        byte.is_ascii_alphabetic()
            || matches!(byte, b'&' | b'\'' | b' ' | b'<' | b'>' | b'[' | b']' | b'|' | b'?' | b'.' | b':')
    });
    let at = start + equals + 1;
    let at = at + blanks_at(bytes, at);
    (typed && matches!(bytes.get(at), Some(b'"' | b'\'' | b'`' | b'\\'))).then_some(at)
}

/// A value in the text: where it is, and whether quotes hold it.
struct Value<'t> {
    text: &'t [u8],
    start: usize,
    end: usize,
    quote: Option<u8>,
}

impl<'t> Value<'t> {
    /// Reads the value at `at`: to the quote that closes it, or to the first byte that a bare one lacks.
    fn read(text: &'t [u8], mut at: usize) -> Option<Self> {
        // `b"…"`, `r'…'`, `@"…"`, `&"…"`, `{"…"}`: one byte may stand before the quote.
        if matches!(text.get(at), Some(b'b' | b'r' | b'u' | b'f' | b'@' | b'&' | b'{' | b'('))
            && matches!(text.get(at + 1), Some(b'"' | b'\''))
        {
            at += 1;
        }
        let escapes = text[at.min(text.len())..].iter().take(8).take_while(|&&byte| byte == b'\\').count();
        let first = *text.get(at + escapes)?;
        let value = if matches!(first, b'"' | b'\'' | b'`') {
            let start = at + escapes + 1;
            let end = closing_quote(text, start, first, escapes)?;
            Self { text, start, end, quote: Some(first) }
        } else if escapes > 0 {
            return None;
        } else {
            let reach = text.len().min(at + VALUE_BYTES_MAX);
            let length = text[at..reach].iter().take_while(|&&byte| is_bare(byte)).count();
            let trimmed =
                text[at..at + length].iter().rev().take_while(|byte| matches!(byte, b'.' | b':' | b'?')).count();
            Self { text, start: at, end: at + length - trimmed, quote: None }
        };
        // What was redacted before stays as it is.
        let inside = &text[value.start..value.end];
        let seen = value.quote.is_some() && inside.windows(REDACTED.len()).any(|window| window == REDACTED)
            || text[value.end..].starts_with(REDACTED);
        (!seen && value.length() > 0).then_some(value)
    }

    /// What is judged of the value.
    fn bytes(&self) -> &'t [u8] {
        &self.text[self.start..self.end.min(self.start + JUDGED_BYTES_MAX)]
    }

    fn length(&self) -> usize {
        self.end - self.start
    }

    fn range(&self) -> Range<usize> {
        self.start..self.end
    }

    /// Visible ASCII, neither a placeholder nor a reference to something else.
    fn is_plain(&self) -> bool {
        let bytes = self.bytes();
        bytes.iter().all(u8::is_ascii_graphic) && !is_reference(bytes) && !is_placeholder(bytes)
    }

    fn is_quoted_password(&self) -> bool {
        let bytes = self.bytes();
        self.is_plain()
            && bytes.len() >= PASSWORD_BYTES_MIN
            && (has_digit_or_sign(bytes) || humps(bytes) * 3 >= bytes.len())
            && !is_word_path(bytes)
    }

    fn is_bare_password(&self, sign: Sign) -> bool {
        let bytes = self.bytes();
        if bytes.len() < PASSWORD_BYTES_MIN || !has_digit_or_sign(bytes) || !self.is_plain() || self.is_code() {
            return false;
        }
        let word = bytes.iter().all(|&byte| byte.is_ascii_alphanumeric() || byte == b'_');
        // A bare word with a digit is a variable as often as a password, so where code writes this, it must look random.
        let ends_line = match self.text.get(self.end) {
            None | Some(b'\n' | b'\r' | b'\\' | b'"' | b'\'' | b'<' | b'&') => true,
            Some(b' ') => sign != Sign::Colon,
            _ => false,
        };
        let code_may_write_this = match sign {
            Sign::Spaced => true,
            Sign::Tight | Sign::Colon | Sign::Flag => !ends_line,
            Sign::Call => true,
        };
        !word
            || changes(bytes) >= if code_may_write_this { 3 } else { 1 }
            || (!code_may_write_this && has_digit_or_sign(bytes))
    }

    /// Long, of letters and digits, and mixed as only a generator mixes them.
    fn is_secret(&self) -> bool {
        let bytes = self.bytes();
        let mixed = bytes.len() >= SECRET_BYTES_MIN && changes(bytes) >= 3 && !is_word_path(bytes);
        let cased = || bytes.len() >= 20 && !bytes.contains(&b'.') && humps(bytes) * 3 >= bytes.len();
        (mixed || cased() || is_crowded(bytes)) && self.is_plain()
    }

    /// A bare value that source code would write: a call, an index, a path, a reference.
    fn is_code(&self) -> bool {
        let bytes = self.bytes();
        matches!(self.text.get(self.end), Some(b'(' | b'[' | b'{'))
            || bytes.windows(2).any(|pair| pair == b"::" || pair == b"->")
            // A constant's name: `TOKEN_TYPE_2`.
            || (bytes.contains(&b'_')
                && bytes.iter().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || *byte == b'_'))
            || is_word_path(bytes)
    }
}

/// Where a quoted value ends: at its quote, or with the text where that was cut off within the value.
fn closing_quote(text: &[u8], start: usize, quote: u8, escapes: usize) -> Option<usize> {
    let reach = text.len().min(start + VALUE_BYTES_MAX);
    let mut slashes = 0;
    for (at, &byte) in text[start..reach].iter().enumerate() {
        match byte {
            b'\\' => slashes += 1,
            b'\n' => return None,
            _ if byte == quote && slashes <= escapes && (escapes > 0 || slashes % 2 == 0) => {
                return Some(start + at - slashes);
            }
            _ => slashes = 0,
        }
    }
    // Cut off between the escape of its quote and that.
    let end = reach - text[start..reach].iter().rev().take_while(|&&byte| byte == b'\\').count();
    (start < end && reach == text.len() && text[start..end].iter().all(|&byte| is_bare(byte))).then_some(end)
}

/// Bytes of an unquoted value. Delimiters of shells, URLs, JSON and markup end it.
fn is_bare(byte: u8) -> bool {
    byte.is_ascii_graphic()
        && !matches!(
            byte,
            b'\\'
                | b'"'
                | b'\''
                | b'`'
                | b','
                | b';'
                | b'<'
                | b'>'
                | b'('
                | b')'
                | b'['
                | b']'
                | b'{'
                | b'}'
                | b'&'
                | b'|'
        )
}

/// A value that names where the secret is instead of being it.
fn is_reference(value: &[u8]) -> bool {
    let name = |bytes: &[u8]| bytes.iter().all(|&byte| byte.is_ascii_alphanumeric() || byte == b'_');
    match value {
        [b'$', rest @ ..] => name(rest) || rest.starts_with(b"{") || rest.starts_with(b"("),
        [b'%', rest @ .., b'%'] => name(rest),
        [b'<' | b'{' | b'[', ..] => true,
        // A version or an object identifier.
        _ if value.contains(&b'.') && value.iter().all(|byte| byte.is_ascii_digit() || *byte == b'.') => true,
        [b'*' | b'&', rest @ ..] => name(rest),
        [b'@', rest @ ..] => name(rest) && !rest.iter().any(u8::is_ascii_digit),
        [b'/' | b'.' | b'~', rest @ ..] if rest.contains(&b'/') => {
            rest.iter().all(|&byte| is_name(byte) || byte == b'/') && changes(rest) < 3
        }
        _ => {
            value
                .windows(2)
                .any(|pair| pair == b"${" || pair == b"{{" || pair == b"%(" || pair == b"#{" || pair == b"()")
                || value.windows(3).any(|run| run == b"..." || run == b"***" || run == b"://")
                || value.starts_with(b"env:")
                || value.starts_with(b"vault:")
                || value.contains(&b'{') && value.contains(&b'}')
        }
    }
}

/// Whether a value consists of nothing but placeholder words, their numbers and signs: `your-api-key-here`.
pub(super) fn is_placeholder(value: &[u8]) -> bool {
    let mut words = Words::of(value);
    let mut seen = 0;
    while let Some(word) = words.pop() {
        seen += 1;
        if seen > PLACEHOLDER_WORDS_MAX {
            return false;
        }
        let stem = &word[..word.len() - word.iter().rev().take(4).take_while(|byte| byte.is_ascii_digit()).count()];
        let same = word.iter().all(|byte| byte.eq_ignore_ascii_case(&word[0])) && word[0].eq_ignore_ascii_case(&b'x');
        let counting = b"0123456789".starts_with(word) || b"1234567890".starts_with(word);
        if !(same
            || is_in(PLACEHOLDERS, stem)
            || is_in(PLACEHOLDERS, word)
            || (counting && words.rest.is_empty() && stem.is_empty() && value.len() > word.len())
            || (stem.is_empty() && word.len() <= 4 && value.len() > word.len()))
        {
            return false;
        }
    }
    // Signs alone (`********`, `--------`) stand for a value, too.
    seen > 0 || value.iter().all(|byte| matches!(byte, b'*' | b'-' | b'.' | b'_' | b'=' | b'#'))
}

/// Words joined by dots, slashes, dashes or underscores, with at most a number at a word's end: a name, not a secret.
fn is_word_path(value: &[u8]) -> bool {
    let mut words = 0;
    for word in value.split(|byte| matches!(byte, b'.' | b'/' | b'-' | b'_' | b':')) {
        let digits = word.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
        let stem = &word[..word.len() - digits];
        if !stem.iter().all(u8::is_ascii_alphabetic) || digits > 4 || humps(stem) > 1 + stem.len() / 4 {
            return false;
        }
        words += usize::from(!word.is_empty());
    }
    words >= 2
}

/// Whether a long word of letters and digits has several runs of capitals among small letters, as a generator throws
/// them and no name has them: `kvm704CdMKbmjbGCFjICUZAqral`.
fn is_crowded(value: &[u8]) -> bool {
    let runs = value.chunk_by(|a, b| a.is_ascii_uppercase() == b.is_ascii_uppercase());
    let capitals = runs.filter(|run| run.len() >= 2 && run[0].is_ascii_uppercase()).count();
    value.len() >= CROWDED_BYTES_MIN
        && capitals >= 3
        && value.iter().any(u8::is_ascii_digit)
        && value.iter().any(u8::is_ascii_lowercase)
        && value.iter().all(u8::is_ascii_alphanumeric)
}

fn has_letter(value: &[u8]) -> bool {
    value.iter().any(u8::is_ascii_alphabetic)
}

fn has_digit_or_sign(value: &[u8]) -> bool {
    value.iter().any(|byte| {
        byte.is_ascii_digit() || matches!(byte, b'!' | b'@' | b'#' | b'$' | b'%' | b'^' | b'*' | b'+' | b'?' | b'~')
    })
}

/// How often a letter and a digit stand side by side.
fn changes(value: &[u8]) -> usize {
    value
        .windows(2)
        .filter(|pair| {
            pair[0].is_ascii_alphanumeric()
                && pair[1].is_ascii_alphanumeric()
                && pair[0].is_ascii_digit() != pair[1].is_ascii_digit()
        })
        .count()
}

/// How often the case changes between two letters; a leading capital does not count.
fn humps(value: &[u8]) -> usize {
    value
        .windows(2)
        .skip(1)
        .filter(|pair| {
            pair[0].is_ascii_alphabetic()
                && pair[1].is_ascii_alphabetic()
                && pair[0].is_ascii_uppercase() != pair[1].is_ascii_uppercase()
        })
        .count()
}

//! Lines of a growing file, with bounded memory and a cursor.

use std::borrow::Cow;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::xxh3_64;

use super::Cursor;
use crate::error::{Error, Result};

/// The longest line that is read; tools write screenshots and whole files into one line, but nothing near this.
pub const LINE_BYTES_MAX: usize = 64 << 20;

/// Bytes at the file's start that tell it from other files: the first line's ids and times are in them.
const HEAD_PRINT_BYTES: u64 = 1024;

/// Bytes before the cursor that tell whether the file was rewritten.
const TAIL_PRINT_BYTES: u64 = 256;

/// What some editors and exports on Windows put before UTF-8 text. It is no part of the text.
pub(crate) const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// Text without the mark that may stand before it.
pub(super) fn without_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes)
}

/// A file read by lines.
pub(super) struct Lines {
    reader: BufReader<File>,
    path: PathBuf,
    buffer: Vec<u8>,
    /// Whether the cursor did not fit, and reading starts anew.
    pub(super) restarted: bool,
    /// Bytes up to the end of the last complete line.
    pub(super) offset: u64,
    /// Complete lines so far.
    pub(super) number: u64,
    /// Reading starts at the end of a line whose line end had not been written when it was read.
    awaits_line_end: bool,
}

/// What comes next.
pub(super) enum Next<'l> {
    /// A complete line, without its end.
    Line(&'l [u8]),
    /// A line that is longer than [`LINE_BYTES_MAX`].
    TooLong,
    /// The file's end, after these bytes without a line end, and how many they are.
    End { rest: &'l [u8], bytes: u64 },
}

impl Lines {
    /// Opens a file at the cursor, or at its start when the cursor was made for other content.
    pub(super) fn open(path: &Path, from: Option<&Cursor>) -> Result<Self> {
        let io = |doing| Error::io(doing, path);
        let metadata = std::fs::metadata(path).map_err(io("read the transcript"))?;
        if !metadata.is_file() {
            let reason = "it is no file: give the file itself, or import the folder".to_owned();
            return Err(Error::Transcript { path: path.to_owned(), reason });
        }
        let mut file = File::open(path).map_err(io("read the transcript"))?;
        let (mut offset, mut number, mut restarted, mut awaits_line_end) = (0, 0, false, false);
        if let Some(cursor) = from.filter(|cursor| cursor.offset > 0) {
            let fits = cursor.offset <= metadata.len()
                && prints(&mut file, cursor.offset).map_err(io("read the transcript"))? == (cursor.head, cursor.tail);
            if fits {
                (offset, number) = (cursor.offset, cursor.line);
                file.seek(SeekFrom::Start(offset - 1)).map_err(io("read the transcript"))?;
                let mut last = [0];
                file.read_exact(&mut last).map_err(io("read the transcript"))?;
                awaits_line_end = last != *b"\n";
            } else {
                restarted = true;
            }
        }
        file.seek(SeekFrom::Start(offset)).map_err(io("read the transcript"))?;
        let reader = BufReader::with_capacity(256 * 1024, file);
        Ok(Self { reader, path: path.to_owned(), buffer: Vec::new(), restarted, offset, number, awaits_line_end })
    }

    /// Opens a file at the beginning of the line at this byte, whatever stands before it.
    pub(super) fn at(path: &Path, offset: u64) -> Result<Self> {
        let mut lines = Self::open(path, None)?;
        lines.reader.seek(SeekFrom::Start(offset)).map_err(Error::io("read the transcript", path))?;
        lines.offset = offset;
        Ok(lines)
    }

    /// The next line.
    pub(super) fn next(&mut self) -> Result<Next<'_>> {
        self.buffer.clear();
        // One huge line must not keep its memory for the rest of the file.
        self.buffer.shrink_to(1 << 20);
        let read = self.read_some()?;
        if read == 0 {
            return Ok(Next::End { rest: &[], bytes: 0 });
        }
        // The mark counts as bytes of the file, so that cursors stay right, and not as a part of the line.
        if self.offset == 0 && self.buffer.starts_with(BYTE_ORDER_MARK) {
            self.buffer.drain(..BYTE_ORDER_MARK.len());
        }
        if self.buffer.last() == Some(&b'\n') {
            self.offset += read;
            if std::mem::take(&mut self.awaits_line_end) && self.buffer.trim_ascii().is_empty() {
                return self.next();
            }
            self.number += 1;
            let end = self.buffer.len() - 1;
            let line = self.buffer[..end].strip_suffix(b"\r").unwrap_or(&self.buffer[..end]);
            return Ok(Next::Line(line));
        }
        let mut whole = read;
        if self.buffer.len() <= LINE_BYTES_MAX {
            return Ok(Next::End { rest: &self.buffer, bytes: whole });
        }
        loop {
            self.buffer.clear();
            let read = self.read_some()?;
            whole += read;
            if read == 0 {
                return Ok(Next::End { rest: &[], bytes: whole });
            }
            if self.buffer.last() == Some(&b'\n') {
                self.offset += whole;
                self.number += 1;
                return Ok(Next::TooLong);
            }
        }
    }

    /// Takes the rest that [`Next::End`] gave for a line, because it turned out to be a whole one.
    pub(super) fn take_rest(&mut self, bytes: u64) {
        self.offset += bytes;
        self.number += 1;
    }

    fn read_some(&mut self) -> Result<u64> {
        let most = LINE_BYTES_MAX as u64 + 1;
        let read = (&mut self.reader).take(most).read_until(b'\n', &mut self.buffer);
        Ok(read.map_err(Error::io("read the transcript", &self.path))? as u64)
    }

    /// The fingerprints for a cursor at `offset`.
    pub(super) fn prints(&mut self, offset: u64) -> Result<(u64, u64)> {
        prints(self.reader.get_mut(), offset).map_err(Error::io("read the transcript", &self.path))
    }
}

fn prints(file: &mut File, offset: u64) -> std::io::Result<(u64, u64)> {
    let mut print = |from: u64, to: u64| -> std::io::Result<u64> {
        file.seek(SeekFrom::Start(from))?;
        let mut bytes = Vec::with_capacity((to - from) as usize);
        file.take(to - from).read_to_end(&mut bytes)?;
        Ok(xxh3_64(&bytes))
    };
    Ok((print(0, offset.min(HEAD_PRINT_BYTES))?, print(offset.saturating_sub(TAIL_PRINT_BYTES), offset)?))
}

/// A line as text that a JSON parser takes, if there is a way to make it so: bytes that are not UTF-8, lone
/// surrogates and raw control characters are replaced by U+FFFD.
pub(super) fn mended(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line);
    let bytes = text.as_bytes();
    let mut out: Vec<u8> = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' if bytes.get(at + 1) == Some(&b'u') => {
                let first = unit(bytes, at);
                let pair = match first {
                    Some(0xD800..=0xDBFF) => matches!(unit(bytes, at + 6), Some(0xDC00..=0xDFFF)),
                    _ => false,
                };
                let lone = matches!(first, Some(0xD800..=0xDFFF)) && !pair;
                let length = if pair { 12 } else { 6 }.min(bytes.len() - at);
                if lone {
                    out.extend_from_slice(b"\\ufffd");
                } else {
                    out.extend_from_slice(&bytes[at..at + length]);
                }
                at += length;
            }
            b'\\' => {
                out.extend_from_slice(&bytes[at..bytes.len().min(at + 2)]);
                at += 2;
            }
            byte if byte < b' ' => {
                out.extend_from_slice("\u{FFFD}".as_bytes());
                at += 1;
            }
            byte => {
                out.push(byte);
                at += 1;
            }
        }
    }
    match String::from_utf8(out) {
        Ok(text) => text,
        // An escape that was cut inside a character; what is left of it is replaced.
        Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
    }
}

/// A whole document as text, mended only where it must be: line ends between values are no control characters in strings.
pub(super) fn mended_document(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(without_mark(bytes)).into_owned();
    if serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok() {
        return text;
    }
    text.lines().map(|line| mended(line.as_bytes())).collect::<Vec<_>>().join("\n")
}

/// The UTF-16 unit of the escape at `at`.
fn unit(bytes: &[u8], at: usize) -> Option<u32> {
    let digits = bytes.get(at..at + 6)?.strip_prefix(b"\\u")?;
    u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

/// `text` cut to at most `most` bytes, with a note of how much is missing; whether it was cut.
pub(super) fn cut(text: Cow<'_, str>, most: usize) -> (String, bool) {
    const NOTE_BYTES: usize = 64;
    if text.len() <= most {
        return (text.into_owned(), false);
    }
    let mut end = most.saturating_sub(NOTE_BYTES);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let missing = text.len() - end;
    (format!("{}\n[… {missing} of {} bytes left out]", &text[..end], text.len()), true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_with_lone_surrogates_is_mended_and_pairs_are_kept() {
        let line = r#"{"a":"x\ud800y\udc00z\ud83d\ude00 \\ud800 \ud83d"}"#;
        let value: serde_json::Value = serde_json::from_str(&mended(line.as_bytes())).unwrap();
        assert_eq!(value["a"], "x\u{FFFD}y\u{FFFD}z😀 \\ud800 \u{FFFD}");
    }

    #[test]
    fn a_byte_order_mark_is_no_part_of_the_first_line_and_counts_for_the_cursor() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("marked.jsonl");
        std::fs::write(&path, b"\xEF\xBB\xBF{\"a\":1}\r\n{\"b\":2}\n").unwrap();
        let mut lines = Lines::open(&path, None).unwrap();
        assert!(matches!(lines.next().unwrap(), Next::Line(b"{\"a\":1}")));
        assert_eq!(lines.offset, 12);
        let (head, tail) = lines.prints(12).unwrap();
        let cursor = Cursor { offset: 12, line: 1, head, tail, ..Cursor::default() };
        let mut lines = Lines::open(&path, Some(&cursor)).unwrap();
        assert!(!lines.restarted);
        assert!(matches!(lines.next().unwrap(), Next::Line(b"{\"b\":2}")));
        assert_eq!((lines.offset, mended_document(b"\xEF\xBB\xBF[]").as_str()), (20, "[]"));
        std::fs::write(&path, b"\xEF\xBB\xBF{}").unwrap();
        let mut lines = Lines::open(&path, None).unwrap();
        assert!(matches!(lines.next().unwrap(), Next::End { rest: b"{}", bytes: 5 }));
    }

    #[test]
    fn raw_control_bytes_and_broken_utf8_are_mended() {
        let value: serde_json::Value = serde_json::from_str(&mended(b"{\"a\":\"x\0y\xff\tz\"}")).unwrap();
        assert_eq!(value["a"], "x\u{FFFD}y\u{FFFD}\u{FFFD}z");
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_mended_without_panic(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..64)) {
            let _ = mended(&bytes);
            let text: Vec<u8> = bytes.iter().map(|byte| b"\\ud8c\"e\xe4\xb8\xad"[*byte as usize % 10]).collect();
            let _ = mended(&text);
        }

        #[test]
        fn a_cut_text_is_within_its_limit(text in "\\PC{0,200}", most in 64_usize..300) {
            let (short, was_cut) = cut(Cow::Borrowed(&text), most);
            proptest::prop_assert_eq!(was_cut, text.len() > most);
            proptest::prop_assert!(short.len() <= most + 32);
        }
    }
}

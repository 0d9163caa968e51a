//! The elements of one large JSON list, one after the other, with bounded memory.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use super::LINE_BYTES_MAX;
use crate::error::{Error, Result};

/// Reads a file whose whole content is one list, or objects one after the other.
pub(super) struct Elements {
    reader: BufReader<std::fs::File>,
    path: PathBuf,
    element: Vec<u8>,
    /// Bytes read so far.
    pub(super) offset: u64,
}

/// What comes next.
pub(super) enum Element<'e> {
    /// An element's text, from its first brace to its last.
    Whole(&'e [u8]),
    /// One longer than [`LINE_BYTES_MAX`], passed over.
    TooLong,
    /// The file ends within an element, which has this many bytes so far.
    Partial(u64),
    /// There are no more.
    End,
}

impl Elements {
    pub(super) fn open(path: &Path) -> Result<Elements> {
        let io = |doing| Error::io(doing, path);
        let facts = std::fs::metadata(path).map_err(io("read the transcript"))?;
        if !facts.is_file() {
            return Err(super::transcript::refused(path, "it is no file"));
        }
        let file = std::fs::File::open(path).map_err(io("read the transcript"))?;
        let reader = BufReader::with_capacity(256 * 1024, file);
        Ok(Elements { reader, path: path.to_owned(), element: Vec::new(), offset: 0 })
    }

    /// The next object of the list. What stands between objects is passed over.
    pub(super) fn next(&mut self) -> Result<Element<'_>> {
        self.element.clear();
        self.element.shrink_to(1 << 20);
        let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
        let mut length = 0_u64;
        loop {
            let Self { reader, path, element, offset } = self;
            let buffer = reader.fill_buf().map_err(Error::io("read the transcript", path.as_path()))?;
            if buffer.is_empty() {
                return Ok(if depth > 0 { Element::Partial(length) } else { Element::End });
            }
            let mut used = 0;
            let mut start = if depth > 0 { Some(0) } else { None };
            let mut done = false;
            for (at, byte) in buffer.iter().enumerate() {
                used = at + 1;
                if in_string {
                    match byte {
                        _ if escaped => escaped = false,
                        b'\\' => escaped = true,
                        b'"' => in_string = false,
                        _ => {}
                    }
                    continue;
                }
                match byte {
                    b'"' if depth > 0 => in_string = true,
                    b'{' => {
                        if depth == 0 {
                            start = Some(at);
                        }
                        depth += 1;
                    }
                    b'[' if depth > 0 => depth += 1,
                    b'}' | b']' if depth > 0 => {
                        depth -= 1;
                        if depth == 0 {
                            done = true;
                            break;
                        }
                    }
                    _ => {}
                }
            }
            if let Some(start) = start {
                length += (used - start) as u64;
                if element.len() <= LINE_BYTES_MAX {
                    element.extend_from_slice(&buffer[start..used]);
                }
            }
            *offset += used as u64;
            reader.consume(used);
            if done {
                let too_long = self.element.len() > LINE_BYTES_MAX;
                return Ok(if too_long { Element::TooLong } else { Element::Whole(&self.element) });
            }
        }
    }

    /// Fingerprints of the file's first bytes, and of its size: what tells whether it is the same still.
    pub(super) fn print(path: &Path) -> Result<(u64, u64)> {
        let io = |doing| Error::io(doing, path);
        let mut head = Vec::new();
        let file = std::fs::File::open(path).map_err(io("read the transcript"))?;
        let length = file.metadata().map_err(io("read the transcript"))?.len();
        file.take(64 * 1024).read_to_end(&mut head).map_err(io("read the transcript"))?;
        Ok((xxhash_rust::xxh3::xxh3_64(&head), length))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn elements(text: &[u8]) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("list.json");
        std::fs::write(&path, text).unwrap();
        let mut elements = Elements::open(&path).unwrap();
        let mut found = Vec::new();
        loop {
            match elements.next().unwrap() {
                Element::Whole(bytes) => found.push(String::from_utf8_lossy(bytes).into_owned()),
                Element::TooLong => found.push("too long".to_owned()),
                Element::Partial(bytes) => {
                    found.push(format!("partial {bytes}"));
                    return found;
                }
                Element::End => return found,
            }
        }
    }

    #[test]
    fn objects_of_a_list_come_one_by_one_and_a_cut_one_is_told() {
        let text = r#" [ {"a":"}]\"{"}, 3, {"b":[{"c":1},[]]} ,{"d":"x"#.as_bytes();
        assert_eq!(elements(text), [r#"{"a":"}]\"{"}"#, r#"{"b":[{"c":1},[]]}"#, "partial 7"]);
        assert_eq!(elements(b"[]"), Vec::<String>::new());
        assert_eq!(elements(b"{\"a\":1}\n{\"b\":2}"), ["{\"a\":1}", "{\"b\":2}"]);
    }
}

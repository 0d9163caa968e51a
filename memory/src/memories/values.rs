//! JSON objects out of a file, one by one with bounded memory: from an array, from arrays within an object, or one a line.

use std::fmt;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use super::Reading;
use crate::error::{Error, Result};
use crate::import::BYTE_ORDER_MARK;

/// The longest line or value that is read: far more than a memory could be.
const LINE_BYTES_MAX: usize = 16 << 20;

/// Calls `see` with each object of the file and its line. `arrays` are the fields of a top-level object whose elements
/// are objects of their own. `see` answers whether to go on.
pub(super) fn each(
    reading: &mut Reading,
    arrays: &'static [&'static str],
    see: &mut dyn FnMut(&mut Reading, u64, &str, Value) -> bool,
) -> Result<()> {
    let mut file = BufReader::new(File::open(reading.path).map_err(Error::io("read", reading.path))?);
    let marked = file.fill_buf().map_err(Error::io("read", reading.path))?.starts_with(BYTE_ORDER_MARK);
    let start = if marked { BYTE_ORDER_MARK.len() as u64 } else { 0 };
    file.seek(SeekFrom::Start(start)).map_err(Error::io("read", reading.path))?;
    if is_lines(&mut file, start).map_err(Error::io("read", reading.path))? {
        return each_line(reading, file, see);
    }
    let mut json = serde_json::Deserializer::from_reader(Bounded { inner: file, value: 0 });
    let mut number = 0;
    let mut stopped = false;
    let result = {
        let mut hand_on = |field: &str, value: Value| {
            number += 1;
            let go_on = see(reading, number, field, value);
            stopped = !go_on;
            go_on
        };
        Top { arrays, see: &mut hand_on }.deserialize(&mut json)
    };
    match result {
        Err(error) if !stopped => {
            let reason = format!("it ends being JSON here: {error}; what stands before was read");
            reading.problem(error.line() as u64, reason);
            Ok(())
        }
        _ => Ok(()),
    }
}

/// Whether the first line is an object of its own.
fn is_lines(file: &mut BufReader<File>, start: u64) -> std::io::Result<bool> {
    let mut line = Vec::new();
    file.by_ref().take(LINE_BYTES_MAX as u64).read_until(b'\n', &mut line)?;
    let more = file.fill_buf()?.iter().any(|byte| !byte.is_ascii_whitespace());
    file.seek(SeekFrom::Start(start))?;
    let whole = line.trim_ascii().starts_with(b"{") && serde_json::from_slice::<IgnoredAny>(&line).is_ok();
    Ok(whole && more)
}

fn each_line(
    reading: &mut Reading,
    mut file: BufReader<File>,
    see: &mut dyn FnMut(&mut Reading, u64, &str, Value) -> bool,
) -> Result<()> {
    let mut line = Vec::new();
    let mut number = 0;
    loop {
        line.clear();
        let mut part = file.by_ref().take(LINE_BYTES_MAX as u64 + 1);
        if part.read_until(b'\n', &mut line).map_err(Error::io("read", reading.path))? == 0 {
            return Ok(());
        }
        number += 1;
        if line.len() > LINE_BYTES_MAX {
            reading.problem(number, format!("it is longer than {LINE_BYTES_MAX} bytes"));
            while !line.ends_with(b"\n") {
                line.clear();
                let mut part = file.by_ref().take(LINE_BYTES_MAX as u64);
                if part.read_until(b'\n', &mut line).map_err(Error::io("read", reading.path))? == 0 {
                    return Ok(());
                }
            }
            continue;
        }
        if line.trim_ascii().is_empty() {
            continue;
        }
        match serde_json::from_slice::<Value>(&line) {
            Ok(value) => {
                if !see(reading, number, "", value) {
                    return Ok(());
                }
            }
            Err(error) => reading.problem(number, format!("it is no JSON: {error}")),
        }
    }
}

/// A reader that ends when a file gives more than could be a memory: the parser holds one value at a time, but no more.
struct Bounded<R> {
    inner: R,
    value: u64,
}

/// The largest file of one JSON document: a million memories of a kilobyte.
const DOCUMENT_BYTES_MAX: u64 = 1 << 30;

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.value += read as u64;
        if self.value > DOCUMENT_BYTES_MAX {
            return Err(std::io::Error::other(format!("it is longer than {DOCUMENT_BYTES_MAX} bytes")));
        }
        Ok(read)
    }
}

/// The document: an array of objects, or an object with arrays of them, or one object.
struct Top<'s, 'h> {
    arrays: &'static [&'static str],
    see: &'s mut Hand<'h>,
}

/// Takes a value and the field it stood in, and answers whether to go on.
type Hand<'h> = dyn FnMut(&str, Value) -> bool + 'h;

const STOPPED: &str = "it was stopped";

impl<'de> DeserializeSeed<'de> for Top<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Top<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("an array or an object")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        while let Some(value) = elements.next_element::<Value>()? {
            if !(self.see)("", value) {
                return Err(serde::de::Error::custom(STOPPED));
            }
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        let mut whole = serde_json::Map::new();
        let mut had_arrays = false;
        while let Some(name) = fields.next_key::<String>()? {
            if self.arrays.contains(&name.as_str()) {
                had_arrays = true;
                fields.next_value_seed(Elements { field: &name, see: &mut *self.see })?;
            } else {
                let value = fields.next_value::<Value>()?;
                whole.insert(name, value);
            }
        }
        if !had_arrays && !(self.see)("", Value::Object(whole)) {
            return Err(serde::de::Error::custom(STOPPED));
        }
        Ok(())
    }
}

/// The array in one field.
struct Elements<'s, 'h> {
    field: &'s str,
    see: &'s mut Hand<'h>,
}

impl<'de> DeserializeSeed<'de> for Elements<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Elements<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        while let Some(value) = elements.next_element::<Value>()? {
            if !(self.see)(self.field, value) {
                return Err(serde::de::Error::custom(STOPPED));
            }
        }
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        while fields.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(())
    }
}

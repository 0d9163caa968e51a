//! Tensors from a `model.safetensors`: a header in JSON, then the numbers, little-endian.
//!
//! Nothing is mapped into memory. Layers are read once, at load; rows of the token table are read
//! when they are wanted, by position, so that a table of a quarter of a million rows costs no memory
//! of ours, and a file that is cut short under a running program is an error rather than a fault that
//! ends it.

use super::source::Blob;
use super::{Error, Result};
use rustc_hash::FxHashMap;
use serde::Deserialize;
use std::path::Path;

/// Largest header that is read: real ones are about 200 bytes a tensor, far below a megabyte.
const HEADER_BYTES_MAX: u64 = 16 << 20;

/// The table of tokens, which every encoder has.
pub(crate) const TOKENS: &str = "embeddings.word_embeddings.weight";

/// The tensors of one file.
pub(crate) struct Weights {
    blob: Blob,
    /// Where the numbers begin.
    data: u64,
    tensors: FxHashMap<String, Tensor>,
}

#[derive(Deserialize)]
struct Tensor {
    dtype: String,
    shape: Vec<u64>,
    data_offsets: (u64, u64),
}

#[derive(Clone, Copy)]
enum Format {
    F32,
    F16,
    Bf16,
}

impl Format {
    fn bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 | Self::Bf16 => 2,
        }
    }

    fn decode(self, bytes: &[u8], out: &mut Vec<f32>) {
        match self {
            Self::F32 => out.extend(bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b))),
            Self::F16 => out.extend(bytes.as_chunks().0.iter().map(|b| half(u16::from_le_bytes(*b)))),
            Self::Bf16 => {
                out.extend(bytes.as_chunks().0.iter().map(|b| f32::from_bits(u32::from(u16::from_le_bytes(*b)) << 16)))
            }
        }
    }
}

/// An IEEE half as a float.
fn half(bits: u16) -> f32 {
    let sign = u32::from(bits & 0x8000) << 16;
    let rest = u32::from(bits & 0x7fff) << 13;
    let magnitude = match bits & 0x7c00 {
        // Infinite or not a number: the exponent stays all ones.
        0x7c00 => f32::from_bits(rest | 0x7f80_0000),
        // Zero and subnormals are multiples of 2^-24.
        0 => f32::from(bits & 0x3ff) * (1.0 / 16_777_216.0),
        _ => f32::from_bits(rest + ((127 - 15) << 23)),
    };
    f32::from_bits(magnitude.to_bits() | sign)
}

impl Weights {
    /// Reads and checks the header: every tensor lies inside the file and is as long as its shape says.
    pub(crate) fn open(blob: Blob) -> Result<Self> {
        let path = blob.path();
        let size = blob.size();
        let mut length = [0; 8];
        if size < 8 {
            return Err(Error::malformed(path, format!("{size} bytes are no model")));
        }
        blob.read_at(0, &mut length)?;
        let length = u64::from_le_bytes(length);
        if length > HEADER_BYTES_MAX || length > size - 8 {
            return Err(Error::malformed(path, format!("a header of {length} bytes in a file of {size}")));
        }
        let mut header = vec![0; length as usize];
        blob.read_at(8, &mut header)?;
        let header: FxHashMap<String, serde_json::Value> =
            serde_json::from_slice(&header).map_err(|source| Error::Json { path: path.to_owned(), source })?;
        let data = 8 + length;
        let mut tensors = FxHashMap::default();
        for (name, value) in header {
            if name == "__metadata__" {
                continue;
            }
            let tensor: Tensor =
                serde_json::from_value(value).map_err(|source| Error::Json { path: path.to_owned(), source })?;
            let (from, to) = tensor.data_offsets;
            if from > to || to > size - data {
                let reason = format!("{name} lies at {from}..{to} of {} bytes", size - data);
                return Err(Error::malformed(path, reason));
            }
            tensors.insert(name, tensor);
        }
        Ok(Self { blob, data, tensors })
    }

    pub(crate) fn path(&self) -> &Path {
        self.blob.path()
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    /// Where a tensor of this shape lies, and how it is written.
    fn find(&self, name: &str, shape: &[usize]) -> Result<(u64, Format)> {
        let path = self.path();
        let tensor = self.tensors.get(name);
        let tensor = tensor.ok_or_else(|| Error::malformed(path, format!("no tensor {name}")))?;
        let format = match tensor.dtype.as_str() {
            "F32" => Format::F32,
            "F16" => Format::F16,
            "BF16" => Format::Bf16,
            other => return Err(Error::unsupported(path, format!("numbers of type {other} in {name}"))),
        };
        if !tensor.shape.iter().eq(shape.iter().map(|&side| side as u64).collect::<Vec<_>>().iter()) {
            let reason = format!("{name} has the shape {:?}, expected {shape:?}", tensor.shape);
            return Err(Error::malformed(path, reason));
        }
        let (from, to) = tensor.data_offsets;
        let bytes = shape.iter().try_fold(format.bytes(), |product, &side| product.checked_mul(side));
        if bytes.is_none_or(|bytes| bytes as u64 != to - from) {
            let reason = format!("{name} has {} bytes for the shape {shape:?}", to - from);
            return Err(Error::malformed(path, reason));
        }
        Ok((self.data + from, format))
    }

    /// What stands before the names of the encoder's tensors: files saved with a head on top keep the encoder under
    /// the network's name.
    pub(crate) fn prefix(&self) -> Result<&'static str> {
        let prefixes = ["", "bert.", "roberta.", "model.", "0.auto_model."];
        let prefix = prefixes.into_iter().find(|prefix| self.has(&format!("{prefix}{TOKENS}")));
        prefix.ok_or_else(|| Error::unsupported(self.path(), format!("weights without {TOKENS}")))
    }

    /// Where a tensor of this shape lies in the file, how many bytes it has, and ONNX's number for its format.
    pub(crate) fn place(&self, name: &str, shape: &[usize]) -> Result<(u64, u64, i64)> {
        let (at, format) = self.find(name, shape)?;
        let count: usize = shape.iter().product();
        let kind = match format {
            Format::F32 => 1,
            Format::F16 => 10,
            Format::Bf16 => 16,
        };
        Ok((at, (count * format.bytes()) as u64, kind))
    }

    /// A whole tensor of this shape.
    pub(crate) fn tensor(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        let (at, format) = self.find(name, shape)?;
        let count: usize = shape.iter().product();
        let mut bytes = vec![0; count * format.bytes()];
        self.blob.read_at(at, &mut bytes)?;
        let mut values = Vec::with_capacity(count);
        format.decode(&bytes, &mut values);
        if let Some(position) = values.iter().position(|value| !value.is_finite()) {
            let reason = format!("value {position} of {name} is not a number");
            return Err(Error::malformed(self.path(), reason));
        }
        Ok(values)
    }

    /// A table of `rows` × `width` whose rows are read when they are wanted.
    pub(crate) fn table(self, name: &str, rows: usize, width: usize) -> Result<Table> {
        let (at, format) = self.find(name, &[rows, width])?;
        Ok(Table { blob: self.blob, at, format, rows, width })
    }
}

/// A table of token vectors that stays in its file.
pub(crate) struct Table {
    blob: Blob,
    at: u64,
    format: Format,
    rows: usize,
    width: usize,
}

impl Table {
    /// Appends the rows with these numbers.
    pub(crate) fn append(&self, rows: &[u32], out: &mut Vec<f32>) -> Result<()> {
        let length = self.width * self.format.bytes();
        let mut bytes = vec![0; length];
        for &row in rows {
            if row as usize >= self.rows {
                let reason = format!("token {row} of a table of {} rows", self.rows);
                return Err(Error::malformed(self.blob.path(), reason));
            }
            self.blob.read_at(self.at + u64::from(row) * length as u64, &mut bytes)?;
            self.format.decode(&bytes, out);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_decode() {
        let cases = [
            (0x0000, 0.0),
            (0x3c00, 1.0),
            (0xc000, -2.0),
            (0x3555, 0.333_251_95),
            (0x7bff, 65504.0),
            (0x0001, 5.960_464_5e-8),
            (0x03ff, 6.097_555e-5),
            (0x0400, 6.103_515_6e-5),
            (0x7c00, f32::INFINITY),
            (0xfc00, f32::NEG_INFINITY),
        ];
        for (bits, value) in cases {
            assert_eq!(half(bits), value, "{bits:#06x}");
        }
        assert!(half(0x7e00).is_nan());
    }

    fn file(header: &str, data: &[u8]) -> Vec<u8> {
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend(header.as_bytes());
        bytes.extend(data);
        bytes
    }

    fn opened(bytes: Vec<u8>) -> Result<Weights> {
        Weights::open(Blob::memory("m.safetensors".into(), bytes))
    }

    #[test]
    fn tensors_of_all_three_formats_are_read() {
        let header = r#"{"__metadata__":{"format":"pt"},
            "a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},
            "b":{"dtype":"F16","shape":[1,2],"data_offsets":[8,12]},
            "c":{"dtype":"BF16","shape":[2,1],"data_offsets":[12,16]}}"#;
        let data = [0, 0, 128, 63, 0, 0, 0, 192, 0, 60, 0, 192, 128, 63, 0, 192];
        let weights = opened(file(header, &data)).unwrap();
        assert_eq!(weights.tensor("a", &[2]).unwrap(), [1.0, -2.0]);
        assert_eq!(weights.tensor("b", &[1, 2]).unwrap(), [1.0, -2.0]);
        assert!(weights.tensor("b", &[2]).is_err(), "another shape");
        let table = weights.table("c", 2, 1).unwrap();
        let mut rows = vec![9.0];
        table.append(&[1, 0, 1], &mut rows).unwrap();
        assert_eq!(rows, [9.0, -2.0, 1.0, -2.0]);
        assert!(table.append(&[2], &mut rows).is_err());
    }

    #[test]
    fn damaged_headers_are_refused() {
        let whole = file(r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#, &[0; 8]);
        assert!(opened(whole.clone()).is_ok());
        for length in 0..whole.len() {
            assert!(opened(whole[..length].to_vec()).is_err(), "cut to {length}");
        }
        for header in [
            r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}}"#,
            r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,18446744073709551615]}}"#,
            r#"{"a":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}}"#,
            r#"{"a":3}"#,
            r#"[]"#,
        ] {
            assert!(opened(file(header, &[0; 8])).is_err(), "{header}");
        }
        let mut huge = whole;
        huge[..8].copy_from_slice(&u64::MAX.to_le_bytes());
        assert!(opened(huge).is_err());
    }

    #[test]
    fn a_shape_that_overflows_or_a_foreign_type_is_refused() {
        let huge = 1usize << 40;
        let header = format!(
            r#"{{"a":{{"dtype":"F32","shape":[{huge},{huge}],"data_offsets":[0,8]}},
                "q":{{"dtype":"I8","shape":[8],"data_offsets":[0,8]}},
                "n":{{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}}}"#
        );
        let weights = opened(file(&header, &[0, 0, 128, 127, 0, 0, 0, 0])).unwrap();
        assert!(weights.tensor("a", &[huge, huge]).is_err());
        assert!(matches!(weights.tensor("q", &[8]), Err(Error::Unsupported { .. })));
        assert!(weights.tensor("n", &[2]).is_err(), "infinite");
    }
}

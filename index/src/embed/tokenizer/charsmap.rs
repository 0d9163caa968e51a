//! SentencePiece's compiled table of character replacements (`precompiled_charsmap`).
//!
//! Base64 of: the size of a double-array trie in bytes, the trie as 32-bit little-endian units, and
//! the replacements, each closed by a zero byte. The trie gives a replacement's offset.

use unicode_segmentation::UnicodeSegmentation;

/// Clusters longer than this are never looked up whole; the vocabularies were made with that rule.
const CLUSTER_BYTES_MAX: usize = 5;

/// A table of replacements.
pub(crate) struct CharsMap {
    units: Vec<u32>,
    replacements: String,
}

impl CharsMap {
    /// Reads the base64 form; the error says what is wrong with it.
    pub(crate) fn parse(base64: &str) -> Result<Self, String> {
        let bytes = decode_base64(base64).ok_or("precompiled_charsmap is not base64")?;
        let (size, rest) = bytes.split_first_chunk::<4>().ok_or("precompiled_charsmap is cut short")?;
        let size = u32::from_le_bytes(*size) as usize;
        let (trie, replacements) = rest.split_at_checked(size).ok_or("precompiled_charsmap is cut short")?;
        let (units, odd) = trie.as_chunks::<4>();
        if units.is_empty() || !odd.is_empty() {
            return Err("precompiled_charsmap holds no trie".into());
        }
        let replacements = String::from_utf8(replacements.to_vec())
            .map_err(|_| "precompiled_charsmap holds replacements that are not UTF-8")?;
        Ok(Self { units: units.iter().map(|unit| u32::from_le_bytes(*unit)).collect(), replacements })
    }

    /// Replaces what the table knows: whole clusters first, then their characters.
    pub(crate) fn apply(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        for cluster in text.graphemes(true) {
            if cluster.len() <= CLUSTER_BYTES_MAX
                && let Some(replacement) = self.replacement(cluster)
            {
                out.push_str(replacement);
                continue;
            }
            for (at, c) in cluster.char_indices() {
                match self.replacement(&cluster[at..at + c.len_utf8()]) {
                    Some(replacement) => out.push_str(replacement),
                    None => out.push(c),
                }
            }
        }
        out
    }

    /// The replacement of the shortest entry that `text` starts with. It stands for the whole of
    /// `text`, as odd as that is: the vocabularies in use were made that way.
    fn replacement(&self, text: &str) -> Option<&str> {
        let mut node = offset(*self.units.first()?);
        for &byte in text.as_bytes() {
            if byte == 0 {
                return None;
            }
            node ^= usize::from(byte);
            let unit = *self.units.get(node)?;
            if unit & (1 << 31 | 0xff) != u32::from(byte) {
                return None;
            }
            node ^= offset(unit);
            if unit >> 8 & 1 == 1 {
                let value = self.units.get(node)? & !(1 << 31);
                let rest = self.replacements.get(value as usize..)?;
                return Some(rest.split('\0').next().unwrap_or(rest));
            }
        }
        None
    }
}

fn offset(unit: u32) -> usize {
    ((unit >> 10) << ((unit & (1 << 9)) >> 6)) as usize
}

fn decode_base64(text: &str) -> Option<Vec<u8>> {
    let text = text.trim_end_matches('=').as_bytes();
    let mut out = Vec::with_capacity(text.len() / 4 * 3 + 3);
    for group in text.chunks(4) {
        let mut bits = 0u32;
        for &symbol in group {
            let value = match symbol {
                b'A'..=b'Z' => symbol - b'A',
                b'a'..=b'z' => symbol - b'a' + 26,
                b'0'..=b'9' => symbol - b'0' + 52,
                b'+' => 62,
                b'/' => 63,
                _ => return None,
            };
            bits = bits << 6 | u32::from(value);
        }
        match group.len() {
            4 => out.extend(&bits.to_be_bytes()[1..]),
            3 => out.extend(&(bits << 6).to_be_bytes()[1..3]),
            2 => out.extend(&(bits << 12).to_be_bytes()[1..2]),
            _ => return None,
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_of_every_length_decodes() {
        for (text, bytes) in [("", ""), ("YQ==", "a"), ("YWI=", "ab"), ("YWJj", "abc"), ("YWJjZA", "abcd")] {
            assert_eq!(decode_base64(text).unwrap(), bytes.as_bytes());
        }
        assert!(decode_base64("a").is_none());
        assert!(decode_base64("a*bc").is_none());
    }

    #[test]
    fn a_damaged_table_is_refused_or_replaces_nothing() {
        for damaged in ["", "AAAA", "/////w==", "AAAAAAAA", "BAAAAP//"] {
            assert!(CharsMap::parse(damaged).is_err(), "{damaged}");
        }
        // One unit that points far outside.
        let map = CharsMap::parse("BAAAAP////9hAA==").unwrap();
        assert_eq!(map.apply("ａbc"), "ａbc");
    }
}

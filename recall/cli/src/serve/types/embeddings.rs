//! Embeddings in OpenAI's form.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Texts to embed.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct EmbeddingsRequest {
    /// One text, or several.
    pub(crate) input: Texts,
    /// The model's name, as `GET /v1/capabilities` answers it; the one in use when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) model: Option<String>,
    /// Whether the texts are questions, which some models embed otherwise than what is to be found.
    #[serde(default)]
    pub(crate) query: bool,
    /// Numbers (`float`, when left out), or their bytes in base64, as OpenAI's own clients ask for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) encoding_format: Option<EncodingFormat>,
    /// How many numbers a vector has: those of the model, and no other number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub(crate) dimensions: Option<u32>,
    /// Taken and not used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) user: Option<String>,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum EncodingFormat {
    Float,
    Base64,
}

/// One text, or several.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "`input` is a text, or a list of texts")]
pub(crate) enum Texts {
    One(#[schemars(length(max = 8_192))] String),
    Many(#[schemars(length(min = 1, max = 2_048), inner(length(max = 8_192)))] Vec<String>),
}

/// What they were embedded as.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct EmbeddingsPage {
    pub(crate) object: String,
    pub(crate) data: Vec<EmbeddingRow>,
    pub(crate) model: String,
    pub(crate) usage: EmbeddingsUsage,
}

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct EmbeddingRow {
    pub(crate) object: String,
    pub(crate) index: usize,
    pub(crate) embedding: Embedding,
}

/// A vector: its numbers, or in base64 their bytes as `f32`, the lowest byte first.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(crate) enum Embedding {
    Float(Vec<f32>),
    Base64(#[schemars(extend("contentEncoding" = "base64"))] String),
}

impl Embedding {
    /// This vector in the form that was asked for.
    pub(crate) fn new(vector: Vec<f32>, form: EncodingFormat) -> Embedding {
        match form {
            EncodingFormat::Float => Embedding::Float(vector),
            EncodingFormat::Base64 => {
                let bytes: Vec<u8> = vector.iter().flat_map(|number| number.to_le_bytes()).collect();
                Embedding::Base64(base64(&bytes))
            }
        }
    }
}

/// Bytes in the alphabet of RFC 4648, §4, with its padding.
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let number = (0..3).fold(0_u32, |number, at| number << 8 | u32::from(three.get(at).copied().unwrap_or(0)));
        for place in 0..4 {
            // One byte takes two letters, two take three.
            let letter = LETTERS[(number >> (18 - 6 * place) & 63) as usize];
            text.push(if place <= three.len() { char::from(letter) } else { '=' });
        }
    }
    text
}

/// An upper bound of the tokens that were read.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct EmbeddingsUsage {
    pub(crate) prompt_tokens: u64,
    pub(crate) total_tokens: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_written_as_rfc_4648_does() {
        for (bytes, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
    }

    #[test]
    fn a_vector_is_numbers_or_their_bytes_the_lowest_first() {
        let written = |form| serde_json::to_value(Embedding::new(vec![1.0, -2.5], form)).unwrap();
        assert_eq!(written(EncodingFormat::Float), serde_json::json!([1.0, -2.5]));
        // 00 00 80 3f, 00 00 20 c0.
        assert_eq!(written(EncodingFormat::Base64), "AACAPwAAIMA=");
        let asked: EmbeddingsRequest =
            serde_json::from_str(r#"{"input": "x", "model": "m", "encoding_format": "base64"}"#).unwrap();
        assert!(matches!(asked.encoding_format, Some(EncodingFormat::Base64)));
    }
}

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
    /// Only `float` is to be had.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) encoding_format: Option<EncodingFormat>,
    /// Taken and not used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) user: Option<String>,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum EncodingFormat {
    Float,
}

/// One text, or several.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(crate) enum Texts {
    One(#[schemars(length(max = 8_192))] String),
    Many(#[schemars(length(min = 1, max = 64), inner(length(max = 8_192)))] Vec<String>),
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
    pub(crate) embedding: Vec<f32>,
}

/// An upper bound of the tokens that were read.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct EmbeddingsUsage {
    pub(crate) prompt_tokens: u64,
    pub(crate) total_tokens: u64,
}

//! Embedders: from texts to unit vectors whose dot product says how alike the texts are in meaning.
//!
//! - [`Embedder`]: what every one of them promises, and [`contract`], which tests it
//! - [`BertEmbedder`]: sentence models of the BERT family, straight from their files
//! - [`OnnxEmbedder`]: the same models and their int8 variants through ONNX Runtime, where its library is there
//! - [`HashingEmbedder`], [`RandomEmbedder`]: for tests, with no meaning in them
//! - [`source`]: a model's files, in folders, wheels and zip archives, and their checksums
//! - [`exam`]: whether its space has a meaning at all
//! - [`gate`]: how much of a query an embedder understands
//! - [`passages`]: long texts in pieces that an embedder takes in whole

mod bert;
mod config;
pub mod contract;
mod error;
pub mod exam;
pub mod gate;
mod gemm;
mod hashing;
mod languages;
mod math;
mod network;
pub(crate) mod onnx;
pub mod passages;
mod random;
pub mod source;
#[cfg(test)]
mod tiny;
mod tokenizer;
mod weights;

pub use bert::BertEmbedder;
pub use config::{KNOWN_MODELS, KnownModel, Options, Pooling};
pub use error::{Error, Result};
pub use hashing::HashingEmbedder;
pub use languages::{Languages, Script};
pub use onnx::{OnnxEmbedder, OnnxRuntime};
pub use random::RandomEmbedder;

/// What a text is embedded for. Some models were trained with a different prefix for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// A question, or anything else that is searched with.
    Query,
    /// A text that is to be found.
    Passage,
}

/// Texts to vectors.
///
/// An implementation may be called from several threads at once. The same text for the same purpose
/// gives the same vector, in whatever company it is embedded, but for rounding (a cosine of 0.9999
/// at the least).
pub trait Embedder: Send + Sync {
    /// Names the vector space: model, SHA-256 of the weights, pooling, prefixes. Vectors of different
    /// ids must never be compared; vectors of equal ids may be, whoever computed them.
    fn id(&self) -> &str;

    /// Length of every vector; never 0, and the same for as long as the id is.
    fn dimensions(&self) -> usize;

    /// The languages that the model was trained on.
    fn languages(&self) -> &Languages;

    /// Tokens of a text that are taken in, special tokens and prefix included; what lies behind them
    /// is ignored.
    fn tokens_max(&self) -> usize;

    /// One unit vector for each text, in the order of the texts; none for none.
    ///
    /// Every text has a vector, the empty one too.
    ///
    /// # Errors
    /// When the model cannot be read, or its numbers lead nowhere. No vectors are returned then.
    fn embed(&self, purpose: Purpose, texts: &[&str]) -> Result<Vec<Vec<f32>>>;

    /// The share of a text's tokens that the vocabulary does not know, 0 to 1; 0 for a text without
    /// tokens. The text counts as it is, without prefix.
    fn unknown_share(&self, text: &str) -> f32;
}

/// Scales `vector` to length one; says whether it has a direction.
pub(crate) fn normalize(vector: &mut [f32]) -> bool {
    let length = vector.iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>().sqrt();
    if !length.is_finite() || length == 0.0 {
        return false;
    }
    for x in vector {
        *x = (f64::from(*x) / length) as f32;
    }
    true
}

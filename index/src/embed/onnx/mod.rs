//! Sentence models through fastembed and ONNX Runtime, when that library is there.
//!
//! - [`OnnxRuntime`]: the library, loaded from a path
//! - [`OnnxEmbedder`]: an [`Embedder`] over it
//! - `graph`, `proto`: the graph of a model that comes as `model.safetensors`

pub(crate) mod graph;
mod library;
mod proto;

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use fastembed::{InitOptionsUserDefined, TextEmbedding, TokenizerFiles, UserDefinedEmbeddingModel};

pub use library::OnnxRuntime;

use super::config::{Options, Pooling, Profile};
use super::source::{self, ModelFiles};
use super::tokenizer::Tokenizer;
use super::weights::Weights;
use super::{Embedder, Error, Languages, Purpose, Result};

/// Special tokens and where padding goes, for models that come without these files.
const NO_SPECIAL_TOKENS: &[u8] = b"{}";

/// A sentence model that ONNX Runtime computes.
///
/// Texts are embedded one by one, which is the fastest way on a processor: padding costs more than batches gain.
/// Calls from several threads wait for each other.
pub struct OnnxEmbedder {
    id: String,
    profile: Profile,
    /// For the share of unknown tokens; the model has its own.
    tokenizer: Tokenizer,
    model: Mutex<TextEmbedding>,
    /// Where the library is, for messages.
    library: PathBuf,
}

impl OnnxEmbedder {
    /// Loads a model of the BERT family.
    ///
    /// Where its files hold an ONNX graph with int8 weights (`quantized`), that is used: about twice as fast, with
    /// vectors of a space of their own. Else a graph over `model.safetensors` is made, whose vectors are those of the
    /// built-in encoder: the id is the same.
    ///
    /// # Errors
    /// As for the built-in encoder, and [`Error::Library`] for what ONNX Runtime says.
    pub fn open(runtime: &OnnxRuntime, files: &ModelFiles, options: &Options) -> Result<Self> {
        let sha256 = files.sha256(source::WEIGHTS)?;
        let profile = Profile::read(files, &sha256, options)?;
        let read = |name: &str| -> Result<Vec<u8>> {
            let missing = || Error::Missing { path: files.origin().to_owned(), file: name.to_owned() };
            files.read(name)?.ok_or_else(missing)
        };
        let json = read(source::TOKENIZER)?;
        let tokenizer = Tokenizer::read(&files.path(source::TOKENIZER), &json)?;
        let failed =
            |error: fastembed::Error| Error::Library { path: runtime.path().into(), reason: error.to_string() };
        let pad = source::pad_token(&json);
        let tokenizer_config = serde_json::json!({"model_max_length": profile.tokens_max, "pad_token": pad});
        let tokenizer_files = TokenizerFiles {
            tokenizer_file: json,
            config_file: read(source::CONFIG)?,
            special_tokens_map_file: NO_SPECIAL_TOKENS.to_vec(),
            tokenizer_config_file: tokenizer_config.to_string().into_bytes(),
        };
        let pooling = match profile.pooling {
            Pooling::Mean => fastembed::Pooling::Mean,
            Pooling::Cls => fastembed::Pooling::Cls,
        };
        let quantized = files.read_large(source::QUANTIZED)?;
        let id = profile.id(&match &quantized {
            Some(_) => format!("{sha256} int8 {}", files.sha256(source::QUANTIZED)?),
            None => sha256,
        });
        let model = match quantized {
            Some(graph) => UserDefinedEmbeddingModel::new(graph, tokenizer_files),
            None => {
                let weights = Weights::open(files.weights()?)?;
                let graph = graph::build(&weights, &profile.shape)?;
                let model = UserDefinedEmbeddingModel::new(graph, tokenizer_files);
                model.with_external_initializer(source::WEIGHTS.to_owned(), files.weights()?.whole()?)
            }
        };
        let settings = InitOptionsUserDefined::new()
            .with_environment(runtime.environment.clone())
            .with_intra_threads(options.threads.get())
            .with_max_length(profile.tokens_max)
            // Threads that spin while they wait halve the throughput beside other work.
            .with_session_config("session.intra_op.allow_spinning", "0");
        let model = TextEmbedding::try_new_from_user_defined(model.with_pooling(pooling), settings).map_err(failed)?;
        Ok(Self { id, profile, tokenizer, model: Mutex::new(model), library: runtime.path().to_owned() })
    }
}

impl Embedder for OnnxEmbedder {
    fn id(&self) -> &str {
        &self.id
    }

    fn dimensions(&self) -> usize {
        self.profile.shape.width
    }

    fn languages(&self) -> &Languages {
        &self.profile.languages
    }

    fn tokens_max(&self) -> usize {
        self.profile.tokens_max
    }

    fn embed(&self, purpose: Purpose, texts: &[&str]) -> Result<Vec<Vec<f32>>> {
        let prefix = match purpose {
            Purpose::Query => &self.profile.query_prefix,
            Purpose::Passage => &self.profile.passage_prefix,
        };
        let mut model = self.model.lock().unwrap_or_else(PoisonError::into_inner);
        let mut vectors = Vec::with_capacity(texts.len());
        for text in texts {
            let text = &text[..text.floor_char_boundary(super::tokenizer::TEXT_BYTES_MAX)];
            let text = if prefix.is_empty() { text.into() } else { std::borrow::Cow::from(format!("{prefix}{text}")) };
            let no_vector = || Error::NoVector { model: self.id.clone(), bytes: text.len() };
            let failed =
                |error: fastembed::Error| Error::Library { path: self.library.clone(), reason: error.to_string() };
            let found = model.embed([text.as_ref()], Some(1)).map_err(failed)?;
            let mut vector = found.into_iter().next().ok_or_else(no_vector)?;
            if vector.len() != self.dimensions() || !super::normalize(&mut vector) {
                return Err(no_vector());
            }
            vectors.push(vector);
        }
        Ok(vectors)
    }

    fn unknown_share(&self, text: &str) -> f32 {
        self.tokenizer.encode(text, usize::MAX).unknown_share()
    }
}

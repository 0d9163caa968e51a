//! Cross-encoders that come as an ONNX graph: bge-reranker, jina-reranker, ms-marco-MiniLM and their like.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use fastembed::{RerankInitOptionsUserDefined, TextRerank, TokenizerFiles, UserDefinedRerankingModel};

use super::Reranker;
use crate::embed::{Error, OnnxRuntime, Result, source};

/// Where the graph lies in a model's folder, the first that is there.
const GRAPHS: [&str; 5] =
    ["model.onnx", "onnx/model.onnx", "model_int8.onnx", "onnx/model_quantized.onnx", "onnx/model_int8.onnx"];

/// Tokens of question and passage together; what lies behind them is not read.
const TOKENS_MAX: usize = 512;

/// A cross-encoder that ONNX Runtime computes. Calls from several threads wait for each other.
pub struct OnnxReranker {
    id: String,
    /// Where the library is, for messages.
    library: PathBuf,
    model: Mutex<TextRerank>,
}

impl OnnxReranker {
    /// Loads a cross-encoder from a folder with an ONNX graph, `tokenizer.json` and `config.json`.
    ///
    /// # Errors
    /// [`Error::Missing`] for a file that is not there, [`Error::Library`] for what ONNX Runtime says.
    pub fn open(runtime: &OnnxRuntime, folder: &Path) -> Result<Self> {
        let missing = |file: &str| Error::Missing { path: folder.to_owned(), file: file.to_owned() };
        let graph = GRAPHS.iter().map(|name| folder.join(name)).find(|path| path.is_file());
        let graph = graph.ok_or_else(|| missing(GRAPHS[0]))?;
        let read = |name: &str| source::small_file(&folder.join(name));
        let config = read(source::CONFIG)?;
        let sha256 = source::file_sha256(&graph)?;
        let tokenizer = read(source::TOKENIZER)?;
        let tokens_max = positions(&folder.join(source::CONFIG), &config)?.min(TOKENS_MAX);
        let settings = serde_json::json!({"model_max_length": tokens_max, "pad_token": source::pad_token(&tokenizer)});
        let files = TokenizerFiles {
            tokenizer_file: tokenizer,
            config_file: config,
            special_tokens_map_file: b"{}".to_vec(),
            tokenizer_config_file: settings.to_string().into_bytes(),
        };
        let options = RerankInitOptionsUserDefined::new()
            .with_environment(runtime.environment.clone())
            .with_max_length(tokens_max)
            .with_intra_threads(1)
            .with_session_config("session.intra_op.allow_spinning", "0");
        let failed =
            |error: fastembed::Error| Error::Library { path: runtime.path().into(), reason: error.to_string() };
        let model = UserDefinedRerankingModel::new(graph, files);
        let model = TextRerank::try_new_from_user_defined(model, options).map_err(failed)?;
        let name = folder.file_name().map_or_else(|| "unnamed".into(), |name| name.to_string_lossy());
        Ok(Self { id: format!("{name} {sha256}"), library: runtime.path().to_owned(), model: Mutex::new(model) })
    }
}

/// Tokens that a model has positions for; any number where it does not count them.
fn positions(path: &Path, config: &[u8]) -> Result<usize> {
    let json = |source| Error::Json { path: path.to_owned(), source };
    let config: serde_json::Value = serde_json::from_slice(config).map_err(json)?;
    let positions = config["max_position_embeddings"].as_u64().unwrap_or(u64::MAX);
    // RoBERTa and its kin keep the first ones for padding.
    let kept = match config["model_type"].as_str() {
        Some(kind) if kind.contains("roberta") => config["pad_token_id"].as_u64().unwrap_or(1) + 1,
        _ => 0,
    };
    Ok(usize::try_from(positions.saturating_sub(kept)).unwrap_or(usize::MAX).max(1))
}

impl Reranker for OnnxReranker {
    fn id(&self) -> &str {
        &self.id
    }

    fn score(&self, question: &str, passages: &[&str]) -> Result<Vec<f32>> {
        let no_score = |bytes: usize| Error::NoVector { model: self.id.clone(), bytes };
        let mut model = self.model.lock().unwrap_or_else(PoisonError::into_inner);
        let mut scores = Vec::with_capacity(passages.len());
        // One by one: padding costs more than batches gain.
        for passage in passages {
            let failed =
                |error: fastembed::Error| Error::Library { path: self.library.clone(), reason: error.to_string() };
            let found = model.rerank(question, [*passage], false, Some(1)).map_err(failed)?;
            let score = found.first().map(|result| result.score).filter(|score| score.is_finite());
            scores.push(score.ok_or_else(|| no_score(passage.len()))?);
        }
        Ok(scores)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embed::onnx::graph::build_scorer;
    use crate::embed::source::ModelFiles;
    use crate::rerank::contract;
    use std::io::Write;

    #[test]
    fn a_cross_encoder_keeps_the_contract() {
        let Some(library) = std::env::var_os("HARNESS_TEST_ONNXRUNTIME") else {
            let why = "no ONNX Runtime, get it with `harness setup --fast` and name it in HARNESS_TEST_ONNXRUNTIME";
            let _ = writeln!(std::io::stderr(), "skipped: a_cross_encoder_keeps_the_contract: {why}");
            return;
        };
        let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tiny-xlm-r");
        let folder = tempfile::tempdir().unwrap();
        for name in [source::WEIGHTS, source::TOKENIZER, source::CONFIG] {
            std::fs::copy(fixture.join(name), folder.path().join(name)).unwrap();
        }
        let runtime = OnnxRuntime::load(Path::new(&library)).unwrap();
        assert!(matches!(OnnxReranker::open(&runtime, folder.path()), Err(Error::Missing { .. })));
        let files = ModelFiles::open(&[folder.path()]).unwrap();
        std::fs::write(folder.path().join("model.onnx"), build_scorer(&files).unwrap()).unwrap();
        let reranker = OnnxReranker::open(&runtime, folder.path()).unwrap();
        contract(&reranker);
        std::fs::write(folder.path().join("model.onnx"), "no graph").unwrap();
        assert!(matches!(OnnxReranker::open(&runtime, folder.path()), Err(Error::Library { .. })));
    }
}

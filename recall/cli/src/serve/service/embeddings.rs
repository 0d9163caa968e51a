//! Embeddings in OpenAI's form, from the model that recall uses.

use harness_index::embed::Purpose;
use harness_recall::models::current_model;

use super::Service;
use crate::serve::problem::Problem;
use crate::serve::types::{
    Embedding, EmbeddingRow, EmbeddingsPage, EmbeddingsRequest, EmbeddingsUsage, EncodingFormat, Texts,
};

/// The most texts of one request: a few seconds on a small machine.
const TEXTS_MAX: usize = 64;

/// The longest text, in bytes; models read the first few hundred words of any.
const TEXT_BYTES_MAX: usize = 32 << 10;

impl Service {
    pub(crate) async fn embeddings(&self, request: EmbeddingsRequest) -> Result<EmbeddingsPage, Problem> {
        let texts = match request.input {
            Texts::One(text) => vec![text],
            Texts::Many(texts) => texts,
        };
        if texts.is_empty() || texts.len() > TEXTS_MAX || texts.iter().any(|text| text.len() > TEXT_BYTES_MAX) {
            let detail = format!("give 1 to {TEXTS_MAX} texts of at most {TEXT_BYTES_MAX} bytes each");
            return Err(Problem::bad_request(detail));
        }
        let purpose = if request.query { Purpose::Query } else { Purpose::Passage };
        let asked = request.model;
        let form = request.encoding_format.unwrap_or(EncodingFormat::Float);
        self.in_turn(move |service| {
            let model = current_model(service.engine().home());
            let embedder = service.engine().embedder();
            service.saw_model(embedder.as_ref().err().map(ToString::to_string));
            let (Some(embedder), Some(model)) = (embedder?, model) else {
                return Err(harness_recall::Error::NoModel.into());
            };
            if asked.as_ref().is_some_and(|asked| *asked != model) {
                let detail = format!("the model here is {model}: ask for that, or leave `model` out");
                return Err(Problem::conflict("no-model", detail));
            }
            let words: Vec<&str> = texts.iter().map(String::as_str).collect();
            let vectors = embedder.embed(purpose, &words).map_err(|error| Problem::internal(&error))?;
            let tokens = texts.iter().map(|text| harness_recall::tokens::at_most(text) as u64).sum();
            let rows = vectors.into_iter().enumerate();
            Ok(EmbeddingsPage {
                object: "list".to_owned(),
                data: rows
                    .map(|(index, vector)| EmbeddingRow {
                        object: "embedding".to_owned(),
                        index,
                        embedding: Embedding::new(vector, form),
                    })
                    .collect(),
                model,
                usage: EmbeddingsUsage { prompt_tokens: tokens, total_tokens: tokens },
            })
        })
        .await
    }
}

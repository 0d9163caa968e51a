//! Embeddings in OpenAI's form, from the model that recall uses.

use harness_index::embed::Purpose;
use harness_recall::models::current_model;

use super::Service;
use crate::serve::problem::Problem;
use crate::serve::types::{
    Embedding, EmbeddingRow, EmbeddingsPage, EmbeddingsRequest, EmbeddingsUsage, EncodingFormat, Texts,
};

/// The most texts of one request, as at OpenAI's.
const TEXTS_MAX: usize = 2_048;

/// So many texts are embedded in one turn, about a second's work: others have theirs between.
const TEXTS_AT_ONCE: usize = 64;

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
        let asked = Asked {
            purpose: if request.query { Purpose::Query } else { Purpose::Passage },
            model: request.model,
            dimensions: request.dimensions,
        };
        let form = request.encoding_format.unwrap_or(EncodingFormat::Float);
        let tokens = texts.iter().map(|text| harness_recall::tokens::at_most(text) as u64).sum();
        let (mut model, mut data) = (String::new(), Vec::with_capacity(texts.len()));
        for part in texts.chunks(TEXTS_AT_ONCE) {
            let (part, asked) = (part.to_vec(), asked.clone());
            let (name, vectors) = self.in_turn(move |service| service.embed(&part, &asked)).await?;
            model = name;
            data.extend(vectors.into_iter().map(|vector| Embedding::new(vector, form)));
        }
        let rows = data.into_iter().enumerate();
        Ok(EmbeddingsPage {
            object: "list".to_owned(),
            data: rows
                .map(|(index, embedding)| EmbeddingRow { object: "embedding".to_owned(), index, embedding })
                .collect(),
            model,
            usage: EmbeddingsUsage { prompt_tokens: tokens, total_tokens: tokens },
        })
    }

    /// The vectors of some texts, and the model that made them.
    fn embed(&self, texts: &[String], asked: &Asked) -> Result<(String, Vec<Vec<f32>>), Problem> {
        let model = current_model(self.engine().home());
        let embedder = self.engine().embedder();
        self.saw_model(embedder.as_ref().err().map(ToString::to_string));
        let (Some(embedder), Some(model)) = (embedder?, model) else {
            return Err(harness_recall::Error::NoModel.into());
        };
        if asked.model.as_ref().is_some_and(|asked| *asked != model) {
            let detail = format!("the model here is {model}: ask for that, or leave `model` out");
            return Err(Problem::conflict("no-model", detail));
        }
        let own = embedder.dimensions();
        if asked.dimensions.is_some_and(|asked| asked as usize != own) {
            let detail = format!("vectors of {model} have {own} dimensions: ask for that, or leave `dimensions` out");
            return Err(Problem::bad_request(detail));
        }
        let words: Vec<&str> = texts.iter().map(String::as_str).collect();
        let vectors = embedder.embed(asked.purpose, &words).map_err(|error| Problem::internal(&error))?;
        Ok((model, vectors))
    }
}

/// What is asked of the model beside the texts.
#[derive(Clone)]
struct Asked {
    purpose: Purpose,
    model: Option<String>,
    dimensions: Option<u32>,
}

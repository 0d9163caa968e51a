//! What there is, and what can be done.

use std::sync::PoisonError;

use harness_memory::memory::{HITS_MAX, QUERY_BYTES_MAX};
use harness_memory::record::{TAGS_MAX, TEXT_BYTES_MAX};
use harness_memory::{Mode, Store};
use harness_recall::models::current_model;

use super::Service;
use crate::hooks::Tool;
use crate::serve::grant::Grant;
use crate::serve::limits::{BODY_BYTES_MAX, REQUESTS_MAX};
use crate::serve::problem::Problem;
use crate::serve::types::{
    BUDGET_TOKENS_MAX, Capabilities, IndexView, Limits, MESSAGES_MAX, PAGE_MAX, StatusView, StoreView, TokenRights,
};
use crate::serve::{API_VERSION, MCP_REVISIONS};

/// The embedding model of a home.
#[derive(Default)]
pub(crate) struct Model {
    /// The one in use, where there is one.
    pub(crate) name: Option<String>,
    /// Why it cannot be used, where that is known.
    pub(crate) error: Option<String>,
}

/// Languages that text search knows more of than their letters: words of Chinese in both scripts, stems of English,
/// pieces of Japanese and Korean.
const LANGUAGES: &[&str] = &["en", "ja", "ko", "zh-hans", "zh-hant"];

impl Service {
    pub(crate) async fn status(&self, grant: &Grant) -> Result<StatusView, Problem> {
        let everything = grant.is_everything();
        self.blocking(move |service| {
            let store = everything.then(|| service.engine().store().counts()).transpose()?.map(|counts| StoreView {
                records: counts.records.iter().map(|(kind, number)| (kind.word().to_owned(), *number)).collect(),
                forgotten: counts.forgotten,
                sessions: counts.sessions,
                seq: counts.seq,
                bytes: counts.bytes,
            });
            let model = service.model();
            Ok(StatusView {
                version: env!("CARGO_PKG_VERSION").to_owned(),
                user: service.user().to_string(),
                store,
                indexes: service.indexes(everything)?,
                follower: service.engine().follower(),
                model: model.name,
                model_error: model.error,
                uptime_seconds: service.inner.started.map(|started| started.elapsed().as_secs()),
            })
        })
        .await
    }

    /// What the indexes say of themselves: their numbers count everybody's records, and are for who may see everything.
    pub(crate) fn indexes(&self, everything: bool) -> Result<Vec<IndexView>, Problem> {
        let status = self.engine().index_status()?.into_iter().map(|index| IndexView {
            name: index.name.to_owned(),
            lag: Some(index.lag),
            documents: Some(index.documents),
            bytes: Some(index.bytes),
            state: index.state,
        });
        Ok(if everything { status.collect() } else { status.map(IndexView::without_numbers).collect() })
    }

    /// The model in use, and why it cannot be used where that is known. Nothing is loaded for this that this process
    /// would not load anyway.
    pub(crate) fn model(&self) -> Model {
        let engine = self.engine();
        let Some(name) = current_model(engine.home()) else { return Model::default() };
        // Who follows loads the model when it begins, and asking for it waits for that; it is tried again now and then.
        if !engine.embedding_is_paused() && engine.follower() == Some(std::process::id()) {
            let loaded = engine.embedder();
            self.saw_model(loaded.err().map(|error| error.to_string()));
        }
        let broken = self.inner.broken_model.lock().unwrap_or_else(PoisonError::into_inner);
        let error = broken.as_ref().filter(|(of, _)| *of == name).map(|(_, why)| why.clone());
        Model { name: Some(name), error }
    }

    /// Notes that the model in use was asked for, and why it did not come if it did not.
    pub(super) fn saw_model(&self, error: Option<String>) {
        let broken = error.and_then(|error| Some((current_model(self.engine().home())?, error)));
        *self.inner.broken_model.lock().unwrap_or_else(PoisonError::into_inner) = broken;
    }

    pub(crate) async fn capabilities(&self, grant: &Grant) -> Result<Capabilities, Problem> {
        let grant = grant.clone();
        self.blocking(move |service| Ok(service.can_do(&grant))).await
    }

    fn can_do(&self, grant: &Grant) -> Capabilities {
        let model = self.model();
        let modes = match self.engine().has_embedder() && model.error.is_none() {
            true => vec![Mode::Text, Mode::Hybrid, Mode::Vector],
            false => vec![Mode::Text],
        };
        let written = |set: &harness_memory::ReadSet| set.entries().iter().map(ToString::to_string).collect();
        Capabilities {
            api: API_VERSION,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            modes,
            model: model.name,
            model_error: model.error,
            languages: LANGUAGES.iter().map(|language| (*language).to_owned()).collect(),
            hooks: Tool::ALL.iter().map(|tool| tool.name().to_owned()).collect(),
            mcp: MCP_REVISIONS.iter().map(|revision| (*revision).to_owned()).collect(),
            token: TokenRights {
                reads: written(&grant.reads),
                writes: written(&grant.writes),
                scope: grant.home_scope.to_string(),
            },
            limits: Limits {
                body_bytes: BODY_BYTES_MAX as u64,
                text_bytes: TEXT_BYTES_MAX as u64,
                query_bytes: QUERY_BYTES_MAX as u64,
                hits: HITS_MAX as u64,
                page: u64::from(PAGE_MAX),
                messages: MESSAGES_MAX as u64,
                tags: TAGS_MAX as u64,
                budget_tokens: u64::from(BUDGET_TOKENS_MAX),
                requests_at_once: REQUESTS_MAX as u64,
                undo_days: u64::from(self.inner.undo_days),
            },
        }
    }
}

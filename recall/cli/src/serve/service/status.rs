//! What there is, and what can be done.

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
            Ok(StatusView {
                version: env!("CARGO_PKG_VERSION").to_owned(),
                user: service.user().to_string(),
                store,
                indexes: service.indexes()?,
                follower: service.engine().follower(),
                model: current_model(service.engine().home()),
                uptime_seconds: service.inner.started.map(|started| started.elapsed().as_secs()),
            })
        })
        .await
    }

    /// What the indexes say of themselves.
    pub(crate) fn indexes(&self) -> Result<Vec<IndexView>, Problem> {
        let status = self.engine().index_status()?.into_iter();
        Ok(status
            .map(|index| IndexView {
                name: index.name.to_owned(),
                lag: index.lag,
                documents: index.documents,
                bytes: index.bytes,
                state: index.state,
            })
            .collect())
    }

    pub(crate) fn capabilities(&self, grant: &Grant) -> Capabilities {
        let modes = match self.engine().has_embedder() {
            true => vec![Mode::Text, Mode::Hybrid, Mode::Vector],
            false => vec![Mode::Text],
        };
        let written = |set: &harness_memory::ReadSet| set.entries().iter().map(ToString::to_string).collect();
        Capabilities {
            api: API_VERSION,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            modes,
            model: current_model(self.engine().home()),
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

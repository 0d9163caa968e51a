//! A memory that is a map: all that the loop needs.

#![allow(dead_code, reason = "each test file uses a part of it")]

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use harness_memory::memory::BoxFuture;
use harness_memory::store::Exposure;
use harness_memory::{
    Answer, Context, ContextQuery, Error, Intake, Lookup, Memory, Outcome, Query, Record, RecordId, Result, Row,
    Stored, marker,
};

/// Records in a map. Recall finds those that share a word with the question.
#[derive(Default)]
pub(crate) struct Map {
    pub(crate) records: Mutex<BTreeMap<RecordId, Record>>,
    pub(crate) exposures: Mutex<Vec<Exposure>>,
    pub(crate) ended: Mutex<BTreeMap<String, (Outcome, Option<String>)>>,
    /// How long recall takes.
    pub(crate) slow: Option<Duration>,
}

impl Map {
    pub(crate) fn keep(&self, record: Record) -> RecordId {
        let id = record.id;
        self.records.lock().unwrap().insert(id, record);
        id
    }

    pub(crate) fn all(&self) -> Vec<Record> {
        self.records.lock().unwrap().values().cloned().collect()
    }
}

impl Memory for Map {
    fn recall(&self, _: Query) -> BoxFuture<'_, Result<Answer>> {
        Box::pin(std::future::ready(Ok(Answer::default())))
    }

    fn context(&self, query: ContextQuery) -> BoxFuture<'_, Result<Context>> {
        let ContextQuery { task, budget_tokens, without_session, kinds, since, until, .. } = query;
        Box::pin(async move {
            if let Some(slow) = self.slow {
                tokio::time::sleep(slow).await;
            }
            let fits = |record: &Record| {
                (without_session.is_none() || record.session != without_session)
                    && (kinds.is_empty() || kinds.contains(&record.kind()))
                    && since.is_none_or(|since| record.created_at >= since)
                    && until.is_none_or(|until| record.created_at < until)
                    && task.split_whitespace().any(|word| record.text().contains(word))
            };
            let found: Vec<Record> = self.all().into_iter().filter(fits).collect();
            let body: String = found.iter().map(|record| format!("- {}\n", record.text())).collect();
            let text = if body.is_empty() { String::new() } else { marker::encode(&body) };
            let records = found.iter().map(|record| record.id).collect();
            Ok(Context { tokens: text.len().min(budget_tokens), text, records, confidence: 1.0, ..Context::default() })
        })
    }

    fn write(&self, record: Record) -> BoxFuture<'_, Result<RecordId>> {
        let same =
            |known: &&Record| record.key.is_some() && (&known.session, &known.key) == (&record.session, &record.key);
        let known = self.all().iter().find(same).map(|known| known.id);
        let result = match known {
            Some(id) => Ok(id),
            None => Intake::new().admit_one(record).map(|admitted| self.keep(admitted.into_record())),
        };
        Box::pin(std::future::ready(result))
    }

    fn get(&self, id: RecordId) -> BoxFuture<'_, Result<Lookup>> {
        let found = self.records.lock().unwrap().get(&id).cloned();
        let lookup = match found {
            Some(record) => Lookup::Found(Box::new(Stored { row: Row(1), record, forgotten: None, repeats: None })),
            None => Lookup::Missing,
        };
        Box::pin(std::future::ready(Ok(lookup)))
    }

    fn forget(&self, ids: Vec<RecordId>) -> BoxFuture<'_, Result<usize>> {
        let mut records = self.records.lock().unwrap();
        let result = match ids.iter().find(|id| !records.contains_key(id)) {
            Some(id) => Err(Error::NoRecord { id: *id }),
            None => Ok(ids.iter().filter(|id| records.remove(id).is_some()).count()),
        };
        Box::pin(std::future::ready(result))
    }

    fn expose(&self, exposure: Exposure) -> BoxFuture<'_, Result<()>> {
        self.exposures.lock().unwrap().push(exposure);
        Box::pin(std::future::ready(Ok(())))
    }

    fn credit(&self, run: String, outcome: Outcome, reason: Option<String>) -> BoxFuture<'_, Result<()>> {
        self.ended.lock().unwrap().insert(run, (outcome, reason));
        Box::pin(std::future::ready(Ok(())))
    }
}

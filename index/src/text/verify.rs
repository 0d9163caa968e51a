//! Comparing the text index with the store.

use harness_memory::store::{Filter as Listing, Finding};
use harness_memory::{Lookup, ReadSet, Row, Store, Stored};
use jiff::SignedDuration;
use rustc_hash::FxHashSet;

use super::document::document;
use super::index::{TEXT, TextIndex};
use crate::error::{Error, Result};
use crate::index::{Filter, Index, Search};

/// So many records are read from the store at once.
const PAGE: usize = 256;

/// About this many records are searched by their own words: enough to meet a kind of text that is not found.
const SAMPLES: u64 = 200;

/// A record is asked for by this many characters of its text.
const SAMPLE_CHARS: usize = 160;

/// A record counts as found by its own words among this many: copies of it may come first.
const SAMPLE_RANK: usize = 50;

/// At most this many findings of one kind are listed one by one.
const LISTED_MAX: usize = 20;

impl TextIndex {
    /// Reads every file of the index, compares which records it holds with the store, and searches a sample of them
    /// by their own words. What the index has not applied yet is no finding.
    ///
    /// `progress` is called with records done and records in all, and stops the work by answering false, which is
    /// [`Error::Stopped`].
    pub fn verify(&self, store: &dyn Store, progress: &mut dyn FnMut(u64, u64) -> bool) -> Result<Vec<Finding>> {
        let mut findings = Vec::new();
        let rebuild = "run `harness index rebuild`".to_owned();
        let Some(snapshot) = self.snapshot_of(store)? else {
            let found = self.search(store, &Search::new("", &ReadSet::everything(), 1))?;
            if store.head()?.seq == 0 {
                return Ok(findings);
            }
            let why = found.cuts.into_iter().find(|cut| cut.code == "text-rebuild");
            let what = why.map_or("there is no text index yet".to_owned(), |cut| cut.hint);
            return Ok(vec![Finding { code: "index-missing", what, hint: "run `harness index follow`".into() }]);
        };
        if let Some(what) = self.check_files() {
            self.report(&Error::Damaged { index: TEXT, reason: what.clone() });
            let what = format!("the text index is damaged: {what}");
            return Ok(vec![Finding { code: "index-damaged", what, hint: rebuild }]);
        }
        let applied = snapshot.position().map_or(0, |position| position.seq);
        let changed = changed_since(store, applied)?;
        let mut indexed = FxHashSet::default();
        for row in snapshot.segments.iter().flat_map(|segment| segment.live_rows()) {
            if !indexed.insert(row) && !changed.contains(&row) {
                let what = format!("row {} is in the text index twice", row.0);
                findings.push(Finding { code: "index-twice", what, hint: rebuild.clone() });
            }
        }
        let total = store.counts()?.records.iter().map(|(_, count)| count).sum::<u64>();
        let every = (total / SAMPLES).max(1);
        let (mut after, mut done) = (None, 0u64);
        loop {
            let page = store.list(&Listing { after, limit: PAGE, ..Listing::default() })?;
            let ended = page.len() < PAGE;
            for lookup in page {
                done += 1;
                let stored = match lookup {
                    Lookup::Found(stored) => stored,
                    Lookup::Damaged { row, .. } => {
                        after = Some(row);
                        indexed.remove(&row);
                        continue;
                    }
                    Lookup::Forgotten(_) | Lookup::Missing => continue,
                };
                after = Some(stored.row);
                let known = indexed.remove(&stored.row);
                let Some(document) = document(&stored.record) else { continue };
                if changed.contains(&stored.row) {
                    continue;
                }
                let missing = if !known {
                    Some("is not in the text index")
                } else if done.is_multiple_of(every) && !self.finds(store, &stored, &document.text)? {
                    Some("is not found by its own words")
                } else {
                    None
                };
                if let Some(missing) = missing
                    && findings.len() < LISTED_MAX
                {
                    let what = format!("record {} {missing}", stored.record.id);
                    findings.push(Finding { code: "index-lacks-record", what, hint: rebuild.clone() });
                }
            }
            if !progress(done, total.max(done)) {
                return Err(Error::Stopped);
            }
            if ended {
                break;
            }
        }
        let gone: Vec<Row> = indexed.into_iter().filter(|row| !changed.contains(row)).collect();
        if !gone.is_empty() {
            let what = format!("the text index holds {} records that the store does not have live", gone.len());
            findings.push(Finding { code: "index-holds-forgotten", what, hint: rebuild });
        }
        Ok(findings)
    }

    fn finds(&self, store: &dyn Store, stored: &Stored, text: &str) -> Result<bool> {
        let words: String = text.chars().take(SAMPLE_CHARS).collect();
        if !words.chars().any(char::is_alphanumeric) {
            return Ok(true);
        }
        let record = &stored.record;
        let reads = ReadSet::everything();
        // Among what came in with it: of a text that hundreds say in nearly the same words, others may come first.
        let filter = Filter {
            kinds: &[record.kind()],
            session: record.session.as_deref(),
            since: Some(record.created_at),
            until: record.created_at.checked_add(SignedDuration::from_millis(1)).ok(),
            ..Filter::of(&reads)
        };
        let search = Search { plain: true, filter, ..Search::new(&words, &reads, SAMPLE_RANK) };
        let found = self.search(store, &search)?;
        let worst = found.candidates.last().map_or(0.0, |candidate| candidate.score);
        let best = found.candidates.first().map_or(0.0, |candidate| candidate.score);
        // Where all answers are as good as each other there are more copies than were asked for.
        Ok(found.candidates.iter().any(|candidate| candidate.row == stored.row)
            || found.candidates.len() == SAMPLE_RANK && worst == best)
    }
}

/// The rows that changed after a position.
fn changed_since(store: &dyn Store, applied: u64) -> Result<FxHashSet<Row>> {
    let mut rows = FxHashSet::default();
    let mut seq = applied;
    loop {
        let read = store.changes(seq, harness_memory::store::READ_ROWS_MAX)?;
        let Some(last) = read.changes.last() else { return Ok(rows) };
        seq = last.seq;
        rows.extend(read.changes.iter().map(|change| change.row));
    }
}

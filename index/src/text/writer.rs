//! Writing to the index: a batch at a time, a commit for each.

use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use harness_memory::{Row, Stored};
use tantivy::indexer::{IndexWriterOptions, LogMergePolicy};
use tantivy::{Index, IndexSettings, IndexWriter, TantivyDocument, Term};

use super::document::{self, Document};
use super::files::CheckedFiles;
use super::folders;
use super::schema::{self, BETWEEN_TERMS, Fields, TEXT_FORMAT};
use super::snapshot::{Payload, Snapshot};
use super::{Analyzer, Shape};
use crate::error::{Error, Result};
use crate::index::Batch;

/// Memory for the segment being written. A larger one makes fewer segments, and this holds about 20,000 messages.
const ARENA_BYTES: usize = 48_000_000;

/// Merging once this share of a segment is deleted keeps dead documents from costing room and time.
const DELETED_SHARE_MAX: f32 = 0.25;

/// Segments with fewer documents than this are of one size to merging: small commits of a quiet day become one.
const SMALL_SEGMENT_DOCUMENTS: u32 = 10_000;

/// So many segments of like size are merged into one: a query pays for each, a write for each merge.
const SEGMENTS_BEFORE_MERGE: usize = 6;

/// Batches of fewer records are analysed on the calling thread.
const PARALLEL_RECORDS_MIN: usize = 256;

/// Analysis takes at most this many threads: the follower works beside the person's own programs.
const THREADS_MAX: usize = 2;

/// How often a segment is looked for again that a merge in the background took away, and after which pause: a merge of
/// the largest segments takes some seconds.
const EXPUNGE_TRIES_MAX: u32 = 100;
const EXPUNGE_PAUSE: Duration = Duration::from_millis(100);

/// The index, open for writing. Only one is open at a time, in all processes.
pub(crate) struct Writer {
    folder: PathBuf,
    files: CheckedFiles,
    fields: Fields,
    writer: IndexWriter,
    payload: Option<Payload>,
}

impl Writer {
    /// Opens the index in a folder, or makes one where the folder is empty.
    pub(crate) fn open(folder: &Path) -> Result<Writer> {
        let (files, index, fields) = match open_index(folder)? {
            Some(open) => open,
            None => create_index(folder)?,
        };
        let payload = Snapshot::open(&index, &fields, None)?.payload;
        schema::register(&index);
        let options = IndexWriterOptions::builder()
            .num_worker_threads(1)
            .num_merge_threads(1)
            .memory_budget_per_thread(ARENA_BYTES);
        let writer = index.writer_with_options(options.build()).map_err(Error::text("begin to write to"))?;
        let mut merging = LogMergePolicy::default();
        merging.set_del_docs_ratio_before_merge(DELETED_SHARE_MAX);
        merging.set_min_layer_size(SMALL_SEGMENT_DOCUMENTS);
        merging.set_min_num_segments(SEGMENTS_BEFORE_MERGE);
        writer.set_merge_policy(Box::new(merging));
        Ok(Writer { folder: folder.to_owned(), files, fields, writer, payload })
    }

    /// The folder that is written to.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// What of its files was found damaged while it was open.
    pub(crate) fn damage(&self) -> Option<&str> {
        self.files.damage()
    }

    /// The payload of the last commit.
    pub(crate) fn payload(&self) -> Option<Payload> {
        self.payload
    }

    /// Takes over the state of the records of a batch and commits it with its position.
    pub(crate) fn apply(&mut self, batch: &Batch) -> Result<()> {
        let writing = "write to";
        let last = self.payload.map_or(Row(0), |payload| payload.last_row);
        // A row that was never added needs no deletion, and looking for it costs a walk over all segments.
        for row in batch.rows.iter().filter(|row| **row <= last) {
            self.writer.delete_term(Term::from_field_i64(self.fields.row, row.0));
        }
        let (fields, writer) = (self.fields, &self.writer);
        let threads = thread::available_parallelism().map_or(1, usize::from).min(THREADS_MAX);
        let parts = if batch.live.len() < PARALLEL_RECORDS_MIN { 1 } else { threads };
        let added: Result<Vec<()>, _> = thread::scope(|scope| {
            let mut others = Vec::new();
            let mut slices = batch.live.chunks(batch.live.len().div_ceil(parts).max(1));
            let own = slices.next().unwrap_or_default();
            for slice in slices {
                others.push(scope.spawn(move || add(writer, &fields, slice)));
            }
            let own = add(writer, &fields, own);
            let others =
                others.into_iter().map(|part| part.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
            std::iter::once(own).chain(others).collect()
        });
        added.map_err(Error::text(writing))?;
        let last_row = batch.rows.last().map_or(last, |row| last.max(*row));
        let payload = Payload { format: TEXT_FORMAT, position: batch.position, last_row };
        let text = serde_json::to_string(&payload)
            .map_err(|error| Error::text(writing)(tantivy::TantivyError::InternalError(error.to_string())))?;
        let mut commit = self.writer.prepare_commit().map_err(Error::text("commit to"))?;
        commit.set_payload(&text);
        commit.commit().map_err(Error::text("commit to"))?;
        self.payload = Some(payload);
        Ok(())
    }

    /// Writes anew the segments that hold deleted documents, without them, and removes the old files.
    pub(crate) fn expunge(&mut self) -> Result<()> {
        let expunging = "remove what is gone from";
        // A merge that goes on in the background may take a segment away under our hands; it is looked for again then.
        let mut tries = 0;
        loop {
            let segments = self.writer.index().searchable_segment_metas().map_err(Error::text(expunging))?;
            let Some(segment) = segments.iter().find(|segment| segment.has_deletes()) else { break };
            match self.writer.merge(&[segment.id()]).wait() {
                Ok(_) => {}
                Err(_) if tries < EXPUNGE_TRIES_MAX => {
                    tries += 1;
                    thread::sleep(EXPUNGE_PAUSE);
                }
                Err(error) => return Err(Error::text(expunging)(error)),
            }
        }
        self.writer.garbage_collect_files().wait().map_err(Error::text(expunging))?;
        Ok(())
    }

    /// Waits for merges and closes. A merge reads all of what it merges, so that damage is found here if anywhere.
    pub(crate) fn settle(self) -> Result<()> {
        let merged = self.writer.wait_merging_threads().map_err(Error::text("merge the segments of"));
        match self.files.damage() {
            Some(reason) => {
                folders::mark_damaged(&self.folder, reason);
                Err(Error::Damaged { index: "text", reason: reason.to_owned() })
            }
            None => merged,
        }
    }
}

/// Analyses records and hands them to the writer. Of records in separate calls none is promised to come first.
fn add(writer: &IndexWriter, fields: &Fields, records: &[Stored]) -> tantivy::Result<()> {
    let mut analyzer = Analyzer::new();
    for stored in records {
        let Some(document) = document::document(&stored.record) else { continue };
        writer.add_document(analysed(&mut analyzer, fields, stored, &document))?;
    }
    Ok(())
}

fn analysed(analyzer: &mut Analyzer, fields: &Fields, stored: &Stored, document: &Document) -> TantivyDocument {
    let mut terms = String::with_capacity(document.text.len() * 4);
    let length = analyzer.document(&document.text, &mut |term| {
        terms.push_str(term);
        terms.push(BETWEEN_TERMS);
    });
    let mut entry = TantivyDocument::new();
    entry.add_text(fields.terms, terms);
    entry.add_text(fields.facets, schema::facets(&stored.record));
    entry.add_i64(fields.row, stored.row.0);
    entry.add_i64(fields.created_at_ms, stored.record.created_at.as_millisecond());
    entry.add_u64(fields.shape, u64::from(Shape::new(document.class, length).to_u8()));
    entry
}

/// Opens the index in a folder for reading; `None` when there is none. No thread is started and nothing is loaded.
pub(crate) fn open_index(folder: &Path) -> Result<Option<(CheckedFiles, Index, Fields)>> {
    let opening = "open";
    if !folder.is_dir() {
        return Ok(None);
    }
    let files = CheckedFiles::open(folder).map_err(|error| Error::text(opening)(error.into()))?;
    if !Index::exists(&files).map_err(|error| Error::text(opening)(error.into()))? {
        return Ok(None);
    }
    let index = Index::open(files.clone()).map_err(Error::text(opening))?;
    let (fields, schema) = schema::schema();
    if index.schema() != schema {
        return Err(Error::Damaged { index: "text", reason: "its fields are those of another format".into() });
    }
    Ok(Some((files, index, fields)))
}

fn create_index(folder: &Path) -> Result<(CheckedFiles, Index, Fields)> {
    let making = "make";
    std::fs::create_dir_all(folder).map_err(Error::io("make the folder", folder))?;
    let files = CheckedFiles::open(folder).map_err(|error| Error::text(making)(error.into()))?;
    let (fields, schema) = schema::schema();
    let settings = IndexSettings { docstore_compress_dedicated_thread: false, ..IndexSettings::default() };
    let index = Index::create(files.clone(), schema, settings).map_err(Error::text(making))?;
    Ok((files, index, fields))
}

//! One commit of the index, open for reading.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use harness_memory::{Position, Row};
use serde::{Deserialize, Serialize};
use tantivy::columnar::ColumnValues;
use tantivy::directory::META_LOCK;
use tantivy::fastfield::AliveBitSet;
use tantivy::index::{InvertedIndexReader, SegmentId};
use tantivy::schema::IndexRecordOption;
use tantivy::{Directory, Index, SegmentReader, Term};

use super::schema::{CREATED_AT_MS, Fields, ROW, SHAPE, TEXT_FORMAT, kind_facet, scope_facet, session_facet};
use super::{SHAPES, Segment, Shape, Statistics};
use crate::error::{Error, Result};
use crate::index::Filter;

/// So many filters are kept ready for the next query with the same one: an agent reads with one or two.
const FILTERS_KEPT: usize = 8;

/// What is written with every commit.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Payload {
    /// [`TEXT_FORMAT`] of the program that wrote it.
    pub(crate) format: u32,
    /// How far the index has followed.
    pub(crate) position: Position,
    /// The largest row that was ever added: larger ones are new and need no deletion.
    pub(crate) last_row: Row,
}

/// One commit: its segments, and how far it goes.
pub(crate) struct Snapshot {
    /// Tells snapshots of this process apart.
    pub(crate) number: u64,
    pub(crate) payload: Option<Payload>,
    pub(crate) segments: Vec<Arc<SegmentView>>,
    filters: Mutex<Vec<(FilterKey, Arc<Vec<Bits>>)>>,
}

type FilterKey = (Vec<String>, Vec<String>, Option<String>, Option<String>);

impl Snapshot {
    /// Reads the newest commit. Segments that `before` has open already are taken over.
    pub(crate) fn open(index: &Index, fields: &Fields, before: Option<&Snapshot>) -> Result<Snapshot> {
        static NUMBER: AtomicU64 = AtomicU64::new(1);
        // Held while files are opened, so that another process does not remove them in between. Where no lock can be
        // made, as on a read-only disk, nobody writes.
        let _lock = index.directory().acquire_lock(&META_LOCK).ok();
        let meta = index.load_metas().map_err(Error::text("read the newest commit of"))?;
        let payload = match &meta.payload {
            Some(text) => Some(
                serde_json::from_str(text)
                    .ok()
                    .filter(|payload: &Payload| payload.format == TEXT_FORMAT)
                    .ok_or_else(|| damaged("the payload of its commit is of another format"))?,
            ),
            None => None,
        };
        let mut segments = Vec::with_capacity(meta.segments.len());
        for segment in meta.segments {
            let open = before.into_iter().flat_map(|before| &before.segments);
            let mut open = open.filter(|view| view.id == segment.id() && view.deleted_at == segment.delete_opstamp());
            segments.push(match open.next() {
                Some(view) => Arc::clone(view),
                None => Arc::new(SegmentView::open(index, fields, segment)?),
            });
        }
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        Ok(Snapshot { number, payload, segments, filters: Mutex::default() })
    }

    /// How far it has followed.
    pub(crate) fn position(&self) -> Option<Position> {
        self.payload.map(|payload| payload.position)
    }

    /// How many live documents it has.
    pub(crate) fn documents(&self) -> u64 {
        self.segments.iter().map(|segment| u64::from(segment.live)).sum()
    }

    /// The documents of these rows, in ascending order, for each segment.
    pub(crate) fn documents_of(&self, rows: impl Iterator<Item = Row>) -> Result<Vec<Vec<u32>>> {
        let mut found = vec![Vec::new(); self.segments.len()];
        let last = self.payload.map_or(Row(0), |payload| payload.last_row);
        for row in rows.filter(|row| *row <= last) {
            for (segment, found) in self.segments.iter().zip(&mut found) {
                segment.documents_of(row, found).map_err(|source| Error::text("look a row up in")(source.into()))?;
            }
        }
        found.iter_mut().for_each(|found| found.sort_unstable());
        Ok(found)
    }

    /// The documents that may be proposed as far as kind, session and scope go, for each segment; `None` when all may.
    pub(crate) fn allowed(&self, filter: &Filter) -> Result<Option<Arc<Vec<Bits>>>> {
        let kinds: Vec<String> = filter.kinds.iter().map(|kind| kind_facet(*kind)).collect();
        let reads = filter.reads;
        let scopes = if reads.is_everything() { None } else { Some(reads.entries().iter().map(scope_facet)) };
        let session = filter.session.map(session_facet);
        let without = filter.without_session.map(session_facet);
        if kinds.is_empty() && scopes.is_none() && session.is_none() && without.is_none() {
            return Ok(None);
        }
        // A read set of no entries allows nothing, which an empty list could not say.
        let closed = scopes.as_ref().is_some_and(|scopes| scopes.len() == 0);
        let key = (kinds, scopes.into_iter().flatten().collect(), session, without);
        let mut filters = self.filters.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = filters.iter().position(|(known, _)| *known == key).filter(|_| !closed) {
            let known = filters.remove(at);
            let bits = Arc::clone(&known.1);
            filters.push(known);
            return Ok(Some(bits));
        }
        let mut all = Vec::with_capacity(self.segments.len());
        for segment in &self.segments {
            let any = |facets: &[String]| segment.with_any(facets);
            let mut bits = if closed { Bits::new(segment.shapes.len()) } else { any(&key.1)? };
            if key.1.is_empty() && !closed {
                bits.fill();
            }
            if !key.0.is_empty() {
                bits.keep(&any(&key.0)?);
            }
            if let Some(session) = &key.2 {
                bits.keep(&any(std::slice::from_ref(session))?);
            }
            if let Some(session) = &key.3 {
                bits.drop(&any(std::slice::from_ref(session))?);
            }
            all.push(bits);
        }
        let all = Arc::new(all);
        if !closed {
            if filters.len() == FILTERS_KEPT {
                filters.remove(0);
            }
            filters.push((key, Arc::clone(&all)));
        }
        Ok(Some(all))
    }
}

fn damaged(reason: &str) -> Error {
    Error::Damaged { index: "text", reason: reason.to_owned() }
}

/// One segment of a commit.
pub(crate) struct SegmentView {
    id: SegmentId,
    deleted_at: Option<u64>,
    reader: SegmentReader,
    fields: Fields,
    terms: Arc<InvertedIndexReader>,
    rows: Arc<dyn ColumnValues<i64>>,
    created_at_ms: Arc<dyn ColumnValues<i64>>,
    shapes: Vec<Shape>,
    alive: Option<AliveBitSet>,
    /// The deleted documents, in ascending order.
    dead: Vec<u32>,
    live: u32,
    statistics: Statistics,
}

impl SegmentView {
    fn open(index: &Index, fields: &Fields, meta: tantivy::SegmentMeta) -> Result<SegmentView> {
        let opening = "open a segment of";
        let deleted_at = meta.delete_opstamp();
        let reader = SegmentReader::open(&index.segment(meta)).map_err(Error::text(opening))?;
        let documents = reader.max_doc();
        let fast = reader.fast_fields();
        let rows = fast.column_first_or_default::<i64>(ROW).map_err(Error::text(opening))?;
        let created_at_ms = fast.column_first_or_default::<i64>(CREATED_AT_MS).map_err(Error::text(opening))?;
        let bytes = fast.column_first_or_default::<u64>(SHAPE).map_err(Error::text(opening))?;
        if [rows.num_vals(), created_at_ms.num_vals(), bytes.num_vals()].iter().any(|values| *values != documents) {
            return Err(damaged("a column of a segment has not one value for each document"));
        }
        let alive = reader.alive_bitset().cloned();
        let shapes = read_shapes(bytes.as_ref());
        let is_dead = |doc: &u32| alive.as_ref().is_some_and(|alive| alive.is_deleted(*doc));
        let dead: Vec<u32> = if alive.is_some() { (0..documents).filter(is_dead).collect() } else { Vec::new() };
        let statistics = statistics(&shapes, &dead);
        let terms = reader.inverted_index(fields.terms).map_err(Error::text(opening))?;
        let (id, live) = (reader.segment_id(), documents - dead.len() as u32);
        let fields = *fields;
        Ok(SegmentView {
            id,
            deleted_at,
            reader,
            fields,
            terms,
            rows,
            created_at_ms,
            shapes,
            alive,
            dead,
            live,
            statistics,
        })
    }

    /// The row of a document.
    pub(crate) fn row(&self, doc: u32) -> Row {
        Row(self.rows.get_val(doc))
    }

    /// When the record of a document was created, in milliseconds since 1970.
    pub(crate) fn created_at_ms(&self, doc: u32) -> i64 {
        self.created_at_ms.get_val(doc)
    }

    /// The rows of all live documents.
    pub(crate) fn live_rows(&self) -> impl Iterator<Item = Row> {
        (0..self.shapes.len() as u32).filter(|doc| self.is_alive(*doc)).map(|doc| self.row(doc))
    }

    fn is_alive(&self, doc: u32) -> bool {
        self.alive.as_ref().is_none_or(|alive| alive.is_alive(doc))
    }

    fn term_info(&self, term: &str) -> io::Result<Option<tantivy::postings::TermInfo>> {
        self.terms.terms().get(term.as_bytes())
    }

    fn documents_of(&self, row: Row, found: &mut Vec<u32>) -> io::Result<()> {
        let rows = self.reader.inverted_index(self.fields.row).map_err(io::Error::other)?;
        let term = Term::from_field_i64(self.fields.row, row.0);
        let Some(mut block) = rows.read_block_postings(&term, IndexRecordOption::Basic)? else { return Ok(()) };
        while !block.docs().is_empty() {
            found.extend(block.docs().iter().filter(|doc| self.is_alive(**doc)));
            block.advance();
        }
        Ok(())
    }

    fn with_any(&self, facets: &[String]) -> Result<Bits> {
        let filtering = "filter";
        let mut bits = Bits::new(self.shapes.len());
        let index = self.reader.inverted_index(self.fields.facets).map_err(Error::text(filtering))?;
        for facet in facets {
            let term = Term::from_field_text(self.fields.facets, facet);
            let postings = index.read_block_postings(&term, IndexRecordOption::Basic);
            let Some(mut block) = postings.map_err(|source| Error::text(filtering)(source.into()))? else { continue };
            while !block.docs().is_empty() {
                block.docs().iter().for_each(|doc| bits.set(*doc));
                block.advance();
            }
        }
        Ok(bits)
    }
}

fn read_shapes(bytes: &dyn ColumnValues<u64>) -> Vec<Shape> {
    const AT_ONCE: usize = 1024;
    let mut shapes = Vec::with_capacity(bytes.num_vals() as usize);
    let mut block = [0u64; AT_ONCE];
    while shapes.len() < bytes.num_vals() as usize {
        let values = &mut block[..AT_ONCE.min(bytes.num_vals() as usize - shapes.len())];
        bytes.get_range(shapes.len() as u64, values);
        shapes.extend(values.iter().map(|byte| Shape::from_u8(*byte as u8)));
    }
    shapes
}

/// Counts by shape first: there are few of them, and many documents.
fn statistics(shapes: &[Shape], dead: &[u32]) -> Statistics {
    let mut counts = [0i64; SHAPES];
    shapes.iter().for_each(|shape| counts[shape.to_u8() as usize] += 1);
    dead.iter().for_each(|doc| counts[shapes[*doc as usize].to_u8() as usize] -= 1);
    let mut statistics = Statistics::default();
    for (byte, count) in counts.iter().enumerate() {
        let shape = Shape::from_u8(byte as u8);
        statistics.documents[shape.class() as usize] += *count as u32;
        statistics.length[shape.class() as usize] += *count as f64 * f64::from(shape.length());
    }
    statistics
}

/// A segment without the documents that newer changes have taken the place of.
pub(crate) struct Masked<'a> {
    view: &'a SegmentView,
    masked: &'a [u32],
    statistics: Statistics,
}

impl<'a> Masked<'a> {
    /// `masked` are live documents of the segment, in ascending order.
    pub(crate) fn new(view: &'a SegmentView, masked: &'a [u32]) -> Masked<'a> {
        let mut statistics = view.statistics;
        masked.iter().for_each(|doc| statistics.remove(view.shapes[*doc as usize]));
        Masked { view, masked, statistics }
    }
}

impl Segment for Masked<'_> {
    fn shapes(&self) -> &[Shape] {
        &self.view.shapes
    }

    fn is_alive(&self, doc: u32) -> bool {
        self.view.is_alive(doc) && self.masked.binary_search(&doc).is_err()
    }

    fn statistics(&self) -> Statistics {
        self.statistics
    }

    fn doc_freq(&self, term: &str) -> io::Result<u32> {
        let Some(info) = self.view.term_info(term)? else { return Ok(0) };
        let gone = self.view.dead.len() + self.masked.len();
        if gone == 0 {
            return Ok(info.doc_freq);
        }
        // Deleted documents are skipped to while they are few, and counted by walking all when they are many.
        let option = IndexRecordOption::Basic;
        let mut block = self.view.terms.read_block_postings_from_terminfo(&info, option)?;
        if gone * SKIP_COST < info.doc_freq as usize {
            let mut found = 0;
            for doc in merged(&self.view.dead, self.masked) {
                let at = block.seek(doc);
                if block.docs().is_empty() {
                    break;
                }
                found += u32::from(block.docs().get(at) == Some(&doc));
            }
            return Ok(info.doc_freq - found);
        }
        let mut live = 0;
        while !block.docs().is_empty() {
            live += block.docs().iter().filter(|doc| self.is_alive(**doc)).count() as u32;
            block.advance();
        }
        Ok(live)
    }

    fn postings(&self, term: &str, visit: &mut dyn FnMut(&[u32], &[u32])) -> io::Result<()> {
        let Some(info) = self.view.term_info(term)? else { return Ok(()) };
        let option = IndexRecordOption::WithFreqs;
        let mut block = self.view.terms.read_block_postings_from_terminfo(&info, option)?;
        while !block.docs().is_empty() {
            visit(block.docs(), block.freqs());
            block.advance();
        }
        Ok(())
    }

    fn tie_key(&self, doc: u32) -> u64 {
        self.view.row(doc).0 as u64
    }

    fn frequencies(&self, term: &str, docs: &[u32], out: &mut [u32]) -> io::Result<()> {
        out.fill(0);
        let Some(info) = self.view.term_info(term)? else { return Ok(()) };
        let option = IndexRecordOption::WithFreqs;
        let mut block = self.view.terms.read_block_postings_from_terminfo(&info, option)?;
        for (doc, out) in docs.iter().zip(out) {
            let at = block.seek(*doc);
            if block.docs().is_empty() {
                break;
            }
            if block.docs().get(at) == Some(doc) {
                *out = block.freq(at);
            }
        }
        Ok(())
    }
}

/// Skipping to a document costs about as much as walking past this many: a block of postings.
const SKIP_COST: usize = 128;

/// Two ascending lists as one.
fn merged<'a>(one: &'a [u32], other: &'a [u32]) -> impl Iterator<Item = u32> + 'a {
    let (mut one, mut other) = (one.iter().copied().peekable(), other.iter().copied().peekable());
    std::iter::from_fn(move || match (one.peek(), other.peek()) {
        (Some(a), Some(b)) if b < a => other.next(),
        (None, _) => other.next(),
        _ => one.next(),
    })
}

/// A set of documents of one segment.
pub(crate) struct Bits(Vec<u64>);

impl Bits {
    fn new(documents: usize) -> Bits {
        Bits(vec![0; documents.div_ceil(64)])
    }

    fn fill(&mut self) {
        self.0.fill(u64::MAX);
    }

    fn set(&mut self, doc: u32) {
        self.0[doc as usize / 64] |= 1 << (doc % 64);
    }

    fn keep(&mut self, other: &Bits) {
        self.0.iter_mut().zip(&other.0).for_each(|(bits, other)| *bits &= other);
    }

    fn drop(&mut self, other: &Bits) {
        self.0.iter_mut().zip(&other.0).for_each(|(bits, other)| *bits &= !other);
    }

    pub(crate) fn has(&self, doc: u32) -> bool {
        self.0[doc as usize / 64] & 1 << (doc % 64) != 0
    }
}

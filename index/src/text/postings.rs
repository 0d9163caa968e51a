//! What scoring reads: postings with frequencies, the shape of each document, and who is alive.

use std::io;

use rustc_hash::FxHashMap;

use super::analysis::Analyzer;
use super::shape::{Shape, TEXT_CLASSES, TextClass};

/// Counts and lengths of the live documents of a segment, by class.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Statistics {
    /// Live documents of each class.
    pub documents: [u32; TEXT_CLASSES],
    /// The sum of their lengths, as [`Shape::length`] rounds them.
    pub length: [f64; TEXT_CLASSES],
}

impl Statistics {
    /// Counts one document in.
    pub fn add(&mut self, shape: Shape) {
        self.documents[shape.class() as usize] += 1;
        self.length[shape.class() as usize] += f64::from(shape.length());
    }

    /// Counts one document out.
    pub fn remove(&mut self, shape: Shape) {
        self.documents[shape.class() as usize] -= 1;
        self.length[shape.class() as usize] -= f64::from(shape.length());
    }

    /// The length that counts as neither short nor long in a class: the geometric mean of the mean of the class and
    /// that of all documents. Within a class it is the spread that counts; between classes a longer kind of text
    /// still has to match more.
    pub(crate) fn typical_length(&self, class: usize) -> f32 {
        let mean =
            |documents: u32, length: f64| if documents == 0 { 1.0 } else { (length / f64::from(documents)).max(1.0) };
        let own = mean(self.documents[class], self.length[class]);
        let all = mean(self.documents.iter().sum(), self.length.iter().sum());
        (own * all).sqrt() as f32
    }

    /// Sums up two segments.
    pub fn merge(&mut self, other: &Self) {
        for class in 0..TEXT_CLASSES {
            self.documents[class] += other.documents[class];
            self.length[class] += other.length[class];
        }
    }
}

/// A part of an index, or the tail: documents numbered from 0, and the postings of their terms.
///
/// Scoring sums over segments, so that the same records give the same scores however they are spread over them.
pub trait Segment {
    /// The shape of each document, the deleted ones included; its length is the number of documents.
    fn shapes(&self) -> &[Shape];

    /// Whether a document is not deleted.
    fn is_alive(&self, doc: u32) -> bool;

    /// Counts of the live documents.
    fn statistics(&self) -> Statistics;

    /// How many live documents hold the term.
    fn doc_freq(&self, term: &str) -> io::Result<u32>;

    /// Calls `visit` with blocks of documents, in ascending order, and how often each holds the term.
    /// Deleted documents may be among them.
    fn postings(&self, term: &str, visit: &mut dyn FnMut(&[u32], &[u32])) -> io::Result<()>;

    /// Breaks ties: of two documents with the same score, the one with the larger key comes first. The sequence
    /// number of a record makes the newest win, in whichever segment it is.
    fn tie_key(&self, doc: u32) -> u64;

    /// How often each of `docs`, in ascending order, holds the term, written to `out`.
    fn frequencies(&self, term: &str, docs: &[u32], out: &mut [u32]) -> io::Result<()> {
        out.fill(0);
        let mut next = 0;
        self.postings(term, &mut |block, frequencies| {
            let (Some(&first), Some(&last)) = (block.first(), block.last()) else { return };
            while docs.get(next).is_some_and(|&doc| doc < first) {
                next += 1;
            }
            while let Some(&doc) = docs.get(next).filter(|&&doc| doc <= last) {
                if let Ok(at) = block.binary_search(&doc) {
                    out[next] = frequencies[at];
                }
                next += 1;
            }
        })
    }
}

#[derive(Debug, Default)]
struct PostingList {
    docs: Vec<u32>,
    frequencies: Vec<u32>,
}

/// A segment in memory: the tail, and what tests and measurements search.
#[derive(Debug, Default)]
pub struct MemorySegment {
    terms: FxHashMap<Box<str>, PostingList>,
    shapes: Vec<Shape>,
    tie_keys: Vec<u64>,
    alive: Vec<bool>,
    deleted: u32,
    statistics: Statistics,
}

impl MemorySegment {
    /// An empty segment.
    pub fn new() -> Self {
        Self::default()
    }

    /// Analyses a text, adds it and returns its number.
    pub fn add(&mut self, analyzer: &mut Analyzer, text: &str, class: TextClass, tie_key: u64) -> u32 {
        let doc = self.shapes.len() as u32;
        let terms = &mut self.terms;
        let length = analyzer.document(text, &mut |term| {
            let list = match terms.get_mut(term) {
                Some(list) => list,
                None => terms.entry(term.into()).or_default(),
            };
            match (list.docs.last(), list.frequencies.last_mut()) {
                (Some(&last), Some(frequency)) if last == doc => *frequency += 1,
                _ => {
                    list.docs.push(doc);
                    list.frequencies.push(1);
                }
            }
        });
        let shape = Shape::new(class, length);
        self.shapes.push(shape);
        self.tie_keys.push(tie_key);
        self.alive.push(true);
        self.statistics.add(shape);
        doc
    }

    /// Deletes a document. Deleting it again, or one that never was, does nothing.
    pub fn delete(&mut self, doc: u32) {
        if let Some(alive) = self.alive.get_mut(doc as usize).filter(|alive| **alive) {
            *alive = false;
            self.deleted += 1;
            self.statistics.remove(self.shapes[doc as usize]);
        }
    }

    /// How many different terms there are.
    pub fn term_count(&self) -> usize {
        self.terms.len()
    }

    /// How many postings there are.
    pub fn posting_count(&self) -> usize {
        self.terms.values().map(|list| list.docs.len()).sum()
    }
}

impl Segment for MemorySegment {
    fn shapes(&self) -> &[Shape] {
        &self.shapes
    }

    fn is_alive(&self, doc: u32) -> bool {
        self.alive[doc as usize]
    }

    fn statistics(&self) -> Statistics {
        self.statistics
    }

    fn doc_freq(&self, term: &str) -> io::Result<u32> {
        let Some(list) = self.terms.get(term) else { return Ok(0) };
        if self.deleted == 0 {
            return Ok(list.docs.len() as u32);
        }
        Ok(list.docs.iter().filter(|&&doc| self.is_alive(doc)).count() as u32)
    }

    fn postings(&self, term: &str, visit: &mut dyn FnMut(&[u32], &[u32])) -> io::Result<()> {
        if let Some(list) = self.terms.get(term) {
            visit(&list.docs, &list.frequencies);
        }
        Ok(())
    }

    fn tie_key(&self, doc: u32) -> u64 {
        self.tie_keys[doc as usize]
    }

    fn frequencies(&self, term: &str, docs: &[u32], out: &mut [u32]) -> io::Result<()> {
        let list = self.terms.get(term);
        for (doc, out) in docs.iter().zip(out) {
            *out = list.and_then(|list| list.docs.binary_search(doc).ok().map(|at| list.frequencies[at])).unwrap_or(0);
        }
        Ok(())
    }
}

//! BM25 over postings, a term at a time.
//!
//! The weight of a match is that of Robertson and Zaragoza, *The Probabilistic Relevance Framework: BM25 and Beyond*
//! (2009), with length and saturation constants for each class of text, and a factor for each kind of term.

use std::io;
use std::sync::Mutex;

use super::analysis::TermKind;
use super::evidence::{Weights, implied};
use super::lookup::{Candidates, Load, VERIFIED_MAX, Verifier};
use super::overlap;
use super::postings::{Segment, Statistics};
use super::query::Query;
use super::shape::{SHAPES, Shape, TEXT_CLASSES};
use crate::index::ByWord;

/// The constants of scoring. The default is what the evaluation sets agreed on.
#[derive(Debug, Clone, PartialEq)]
pub struct Scoring {
    /// Saturation of repeated terms, by class.
    pub k1: [f32; TEXT_CLASSES],
    /// How much length counts, by class.
    pub b: [f32; TEXT_CLASSES],
    /// How far the scores of n-grams that cover the same characters of the query replace each other (1) instead of
    /// adding up (0).
    pub overlap: f32,
    /// Factor of each kind of term, by [`TermKind`] as a number.
    pub weights: [f32; TERM_KINDS],
}

/// How many kinds of term there are.
pub const TERM_KINDS: usize = TermKind::Symbol as usize + 1;

impl Default for Scoring {
    fn default() -> Self {
        let mut weights = [1.0; TERM_KINDS];
        for (kind, weight) in [
            (TermKind::HanUnigram, 0.8),
            (TermKind::HiraganaBigram, 0.8),
            (TermKind::KatakanaBigram, 0.8),
            (TermKind::MixedBigram, 0.8),
            (TermKind::HanWord, 0.3),
            (TermKind::KatakanaWord, 0.5),
            (TermKind::HangulWord, 0.5),
            (TermKind::HangulStem, 0.5),
            (TermKind::HangulUnigram, 0.5),
            (TermKind::Exact, 0.2),
            (TermKind::Number, 1.2),
        ] {
            weights[kind as usize] = weight;
        }
        Self { k1: [0.25, 0.9, 1.0], b: [0.5, 0.7, 0.75], overlap: 0.5, weights }
    }
}

/// A document that matched.
#[derive(Debug, Clone, PartialEq)]
pub struct Scored {
    /// Which of the segments it is in.
    pub segment: usize,
    /// Its number there.
    pub doc: u32,
    /// Comparable within one search only.
    pub score: f32,
    /// The share of the query's weight that it matches, 0 to 1: of the terms' weights, not of their frequencies.
    pub coverage: f32,
    /// The same with each word of the query counted once.
    pub by_word: ByWord,
    /// The query's terms that it has.
    pub matched: Vec<Matched>,
}

/// A query term that a document has.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Matched {
    /// The place of the term in [`Query::terms`].
    pub term: usize,
    /// How often the document has it.
    pub frequency: u32,
    /// What it adds to the score.
    pub score: f32,
    /// The share of the query's weight that it is; none of a term that is only guessed.
    pub share: f32,
}

/// What a search found, and what it could not do.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Answer {
    /// The documents, best first.
    pub hits: Vec<Scored>,
    /// A phrase had more candidates than [`super::VERIFIED_MAX`], so that older documents with it may be missing.
    pub cut: bool,
    /// No document holds the phrases of the query, and its other words were searched without them.
    pub relaxed: bool,
}

/// A filter on documents: segment and number in it.
pub type Filter<'a> = dyn Fn(usize, u32) -> bool + 'a;

/// Scores queries. Keeps its accumulators between searches; cheap to share.
#[derive(Debug, Default)]
pub struct Scorer {
    scoring: Scoring,
    pool: Mutex<Vec<Vec<f32>>>,
}

/// This many sets of accumulators are kept for the next search.
const POOLED_MAX: usize = 8;

/// Frequencies up to this have their saturation in a table.
const TABLED: usize = 4;

/// The best documents by the plain sum whose overlaps are looked at; further down no document rises to the top.
const RESCORED_MIN: usize = 100;

/// A query term that some document has.
struct Weighted<'a> {
    place: usize,
    weight: f32,
    term: &'a str,
    /// Its other form, where some document has that.
    also: Option<&'a str>,
}

impl Weighted<'_> {
    /// Calls `visit` with the documents of a segment that have it in either form, ascending, and how often.
    fn postings(&self, segment: &dyn Segment, visit: &mut dyn FnMut(&[u32], &[u32])) -> io::Result<()> {
        let Some(also) = self.also else { return segment.postings(self.term, visit) };
        let mut both: Vec<(u32, u32)> = Vec::new();
        for form in [self.term, also] {
            segment.postings(form, &mut |docs, frequencies| {
                both.extend(docs.iter().copied().zip(frequencies.iter().copied()));
            })?;
        }
        both.sort_unstable_by_key(|&(doc, _)| doc);
        // A document that has both forms has the term as often as both together.
        both.dedup_by(|next, kept| {
            let same = next.0 == kept.0;
            kept.1 += if same { next.1 } else { 0 };
            same
        });
        let (docs, frequencies): (Vec<u32>, Vec<u32>) = both.into_iter().unzip();
        visit(&docs, &frequencies);
        Ok(())
    }

    /// How often each of these documents has it in either form.
    fn frequencies(&self, segment: &dyn Segment, docs: &[u32], frequencies: &mut [u32]) -> io::Result<()> {
        segment.frequencies(self.term, docs, frequencies)?;
        if let Some(also) = self.also {
            let mut others = vec![0; docs.len()];
            segment.frequencies(also, docs, &mut others)?;
            frequencies.iter_mut().zip(others).for_each(|(frequency, other)| *frequency += other);
        }
        Ok(())
    }
}

/// A query weighed against the statistics of the segments.
struct Weighed<'a> {
    query: &'a Query,
    segments: &'a [&'a dyn Segment],
    terms: Vec<Weighted<'a>>,
    /// Of all terms of the query, found or not.
    weights: Weights,
    /// The sum of the weights of those that are no guess.
    mass: f32,
    saturation: Saturation,
}

impl Scorer {
    /// A scorer with other constants than the default ones.
    pub fn new(scoring: Scoring) -> Self {
        Self { scoring, pool: Mutex::default() }
    }

    /// The best `limit` documents that have a term of the query and pass the filter, best first. Operators of the
    /// query are not looked at; see [`Scorer::search`].
    ///
    /// Document frequencies, counts and mean lengths are those of the live documents of all segments. Equal scores
    /// are ordered by [`Segment::tie_key`], largest first, then by segment and number.
    pub fn score(
        &self,
        query: &Query,
        segments: &[&dyn Segment],
        filter: Option<&Filter<'_>>,
        limit: usize,
    ) -> io::Result<Vec<Scored>> {
        let weighed = self.weigh(query, segments)?;
        let passes = |segment: usize, doc: u32| filter.is_none_or(|filter| filter(segment, doc));
        let ranked = self.rank(&weighed, &passes, limit.max(RESCORED_MIN))?;
        self.finish(&weighed, ranked, limit)
    }

    /// Searches as [`Scorer::score`] does, and honours phrases, exclusions and literal look-ups, which are verified
    /// on the stored text that `load` gives.
    ///
    /// Only documents with all phrases are answered; where there is none and the query has other words too, they are
    /// searched without the phrases. A query of two to eight characters without spaces is looked up literally:
    /// documents that hold it as it stands come before all others.
    pub fn search(
        &self,
        query: &Query,
        segments: &[&dyn Segment],
        filter: Option<&Filter<'_>>,
        limit: usize,
        load: &Load<'_>,
    ) -> io::Result<Answer> {
        let weighed = self.weigh(query, segments)?;
        let verifier = Verifier::new(load);
        let excluded = Candidates::find_all(&query.excluded, segments)?;
        // An exclusion that nobody could verify holds: what the user does not want is worse than a gap.
        let passes = |segment: usize, doc: u32| {
            filter.is_none_or(|filter| filter(segment, doc))
                && !excluded.iter().any(|excluded| {
                    excluded.contains(segment, doc) && verifier.verify(excluded, segment, doc).unwrap_or(true)
                })
        };
        let mut answer = Answer::default();
        let required = Candidates::find_all(&query.phrases, segments)?;
        let literal = Candidates::find_all(query.literal.as_slice(), segments)?;
        if !required.is_empty() {
            let held = self.holding(&weighed, &required, &passes, &verifier, limit)?;
            if !held.is_empty() || query.only_phrases {
                answer.hits = self.finish(&weighed, held, limit)?;
                answer.cut = verifier.is_exhausted();
                return Ok(answer);
            }
            answer.relaxed = true;
        }
        let first = match literal.is_empty() {
            true => Vec::new(),
            false => self.holding(&weighed, &literal, &passes, &verifier, limit)?,
        };
        if first.len() < limit {
            let mut known: Vec<(usize, u32)> = first.iter().map(|ranked| (ranked.segment, ranked.doc)).collect();
            known.sort_unstable();
            let others =
                |segment: usize, doc: u32| known.binary_search(&(segment, doc)).is_err() && passes(segment, doc);
            let rest = limit - first.len();
            let ranked = self.rank(&weighed, &others, rest.max(RESCORED_MIN))?;
            answer.hits = self.finish(&weighed, first, limit)?;
            answer.hits.extend(self.finish(&weighed, ranked, rest)?);
        } else {
            answer.hits = self.finish(&weighed, first, limit)?;
        }
        answer.cut = verifier.is_exhausted();
        Ok(answer)
    }

    /// The best documents that hold all of the phrases, at most `limit`, found by verifying from the best down.
    fn holding(
        &self,
        weighed: &Weighed<'_>,
        phrases: &[Candidates<'_>],
        passes: &Filter<'_>,
        verifier: &Verifier<'_>,
        limit: usize,
    ) -> io::Result<Vec<Ranked>> {
        if phrases.iter().any(Candidates::is_empty) {
            return Ok(Vec::new());
        }
        let may_hold = |segment: usize, doc: u32| {
            phrases.iter().all(|phrase| phrase.contains(segment, doc)) && passes(segment, doc)
        };
        // One more than can be verified, so that reaching the limit is noticed.
        let mut ranked = self.rank(weighed, &may_hold, VERIFIED_MAX.max(limit) + 1)?;
        let mut held = 0;
        ranked.retain(|ranked| {
            let holds = held < limit
                && phrases.iter().all(|phrase| verifier.verify(phrase, ranked.segment, ranked.doc).unwrap_or(false));
            held += usize::from(holds);
            holds
        });
        Ok(ranked)
    }

    fn weigh<'a>(&self, query: &'a Query, segments: &'a [&'a dyn Segment]) -> io::Result<Weighed<'a>> {
        let mut statistics = Statistics::default();
        for segment in segments {
            statistics.merge(&segment.statistics());
        }
        let documents = statistics.documents.iter().sum();
        let mut terms = Vec::new();
        let mut weights = Weights { weight: Vec::new(), idf: Vec::new() };
        let mut mass = 0.0;
        for (place, term) in query.terms().iter().enumerate() {
            let frequency_of =
                |form: &str| segments.iter().map(|segment| segment.doc_freq(form)).sum::<io::Result<u32>>();
            let also = match term.also.as_deref() {
                Some(also) => Some((also, frequency_of(also)?)).filter(|(_, frequency)| *frequency > 0),
                None => None,
            };
            // Those that have both forms are counted twice, and are few.
            let frequency = (frequency_of(&term.term)? + also.map_or(0, |(_, frequency)| frequency)).min(documents);
            let idf = idf(documents, frequency);
            let weight = self.scoring.weights[term.kind as usize] * term.weight * idf;
            weights.weight.push(weight);
            weights.idf.push(idf);
            if !term.guessed {
                mass += weight;
            }
            if frequency > 0 && weight > 0.0 {
                terms.push(Weighted { place, weight, term: &term.term, also: also.map(|(also, _)| also) });
            }
        }
        let saturation = Saturation::new(&self.scoring, &statistics);
        Ok(Weighed { query, segments, terms, weights, mass, saturation })
    }

    /// The best `limit` documents by the sum of their terms' scores.
    fn rank(&self, weighed: &Weighed<'_>, passes: &Filter<'_>, limit: usize) -> io::Result<Vec<Ranked>> {
        let mut best = Best::new(limit);
        for (number, segment) in weighed.segments.iter().enumerate() {
            let shapes = segment.shapes();
            let mut scores = self.accumulators(shapes.len());
            for term in &weighed.terms {
                term.postings(*segment, &mut |docs, frequencies| {
                    weighed.saturation.accumulate(term.weight, docs, frequencies, shapes, &mut scores);
                })?;
            }
            for (doc, &score) in scores.iter().enumerate() {
                if score > best.threshold {
                    let doc = doc as u32;
                    if segment.is_alive(doc) && passes(number, doc) {
                        best.push(score, segment.tie_key(doc), number, doc);
                    }
                }
            }
            self.release(scores);
        }
        Ok(best.finish())
    }

    /// Finds out which terms each document has, discounts overlaps and orders the best `limit` anew.
    fn finish(&self, weighed: &Weighed<'_>, ranked: Vec<Ranked>, limit: usize) -> io::Result<Vec<Scored>> {
        let mut scored: Vec<Scored> = ranked
            .iter()
            .map(|ranked| Scored {
                segment: ranked.segment,
                doc: ranked.doc,
                score: ranked.score,
                coverage: 0.0,
                by_word: ByWord::default(),
                matched: Vec::new(),
            })
            .collect();
        for (number, segment) in weighed.segments.iter().enumerate() {
            let mut places: Vec<usize> = (0..scored.len()).filter(|&i| scored[i].segment == number).collect();
            if places.is_empty() {
                continue;
            }
            places.sort_unstable_by_key(|&i| scored[i].doc);
            let docs: Vec<u32> = places.iter().map(|&i| scored[i].doc).collect();
            let mut frequencies = vec![0; docs.len()];
            for term in &weighed.terms {
                let asked = &weighed.query.terms()[term.place];
                term.frequencies(*segment, &docs, &mut frequencies)?;
                for (&place, &frequency) in places.iter().zip(&frequencies) {
                    if frequency > 0 {
                        let hit = &mut scored[place];
                        let shape = segment.shapes()[hit.doc as usize];
                        let score = term.weight * weighed.saturation.of(frequency, shape);
                        let share = if asked.guessed { 0.0 } else { term.weight / weighed.mass };
                        hit.matched.push(Matched { term: term.place, frequency, score, share });
                        hit.coverage = (hit.coverage + share).min(1.0);
                    }
                }
            }
        }
        let mut overlap = overlap::Discount::new(weighed.query, self.scoring.overlap);
        let mut places: Vec<usize> = (0..scored.len()).collect();
        let (asked, weights) = (weighed.query.terms(), &weighed.weights);
        for hit in &mut scored {
            hit.score -= overlap.of(&hit.matched);
            let implied: f32 = implied(asked, &hit.matched).into_iter().map(|place| weights.weight[place]).sum();
            hit.coverage = (hit.coverage + implied / weighed.mass.max(f32::MIN_POSITIVE)).min(1.0);
            let plain = ByWord { coverage: hit.coverage, score: hit.score };
            hit.by_word = weighed.query.words.found(asked, weights, &hit.matched, plain);
        }
        places.sort_by(|&a, &b| {
            let tie = |i: usize| {
                std::cmp::Reverse((ranked[i].tie_key, std::cmp::Reverse((ranked[i].segment, ranked[i].doc))))
            };
            scored[b].score.total_cmp(&scored[a].score).then_with(|| tie(a).cmp(&tie(b)))
        });
        places.truncate(limit);
        let mut slots: Vec<Option<Scored>> = scored.into_iter().map(Some).collect();
        Ok(places.into_iter().filter_map(|place| slots[place].take()).collect())
    }

    fn accumulators(&self, len: usize) -> Vec<f32> {
        let mut scores = self.pool.lock().map(|mut pool| pool.pop()).ok().flatten().unwrap_or_default();
        scores.clear();
        scores.resize(len, 0.0);
        scores
    }

    fn release(&self, scores: Vec<f32>) {
        if let Ok(mut pool) = self.pool.lock()
            && pool.len() < POOLED_MAX
        {
            pool.push(scores);
        }
    }
}

/// The idf of Lucene, which is never negative.
/// The weight of a word that one of the documents has.
pub(super) fn rarest(segments: &[&dyn Segment]) -> f32 {
    idf(segments.iter().map(|segment| segment.statistics().documents.iter().sum::<u32>()).sum(), 1)
}

/// A store of a few records says nothing of how rare a word is: it is weighed as if so many more were there without it.
const UNSEEN_DOCUMENTS: f64 = 30.0;

fn idf(documents: u32, frequency: u32) -> f32 {
    let (n, df) = (f64::from(documents) + UNSEEN_DOCUMENTS, f64::from(frequency));
    (1.0 + (n - df + 0.5).max(0.0) / (df + 0.5)).ln() as f32
}

fn saturate(frequency: u32, norm: f32, gain: f32) -> f32 {
    gain * frequency as f32 / (frequency as f32 + norm)
}

/// The part of a match's weight that depends on frequency and shape, tabled.
struct Saturation {
    norms: [f32; SHAPES],
    gain: [f32; SHAPES],
    table: [[f32; SHAPES]; TABLED],
}

impl Saturation {
    fn new(scoring: &Scoring, statistics: &Statistics) -> Self {
        let mut norms = [0.0; SHAPES];
        let mut gain = [0.0; SHAPES];
        let mut table = [[0.0; SHAPES]; TABLED];
        for byte in 0..SHAPES {
            let shape = Shape::from_u8(byte as u8);
            let class = shape.class() as usize;
            let (k1, b) = (scoring.k1[class], scoring.b[class]);
            norms[byte] = k1 * (1.0 - b + b * shape.length() / statistics.typical_length(class));
            gain[byte] = k1 + 1.0;
            for (frequency, row) in table.iter_mut().enumerate() {
                row[byte] = saturate(frequency as u32 + 1, norms[byte], gain[byte]);
            }
        }
        Self { norms, gain, table }
    }

    fn of(&self, frequency: u32, shape: Shape) -> f32 {
        let byte = shape.to_u8() as usize;
        match self.table.get(frequency as usize - 1) {
            Some(row) => row[byte],
            None => saturate(frequency, self.norms[byte], self.gain[byte]),
        }
    }

    fn accumulate(&self, weight: f32, docs: &[u32], frequencies: &[u32], shapes: &[Shape], scores: &mut [f32]) {
        for (&doc, &frequency) in docs.iter().zip(frequencies) {
            let shape = shapes[doc as usize];
            scores[doc as usize] += weight * self.of(frequency, shape);
        }
    }
}

/// A document in the running for the best.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Ranked {
    score: f32,
    tie_key: u64,
    segment: usize,
    doc: u32,
}

impl Ranked {
    fn order(&self, other: &Self) -> std::cmp::Ordering {
        other
            .score
            .total_cmp(&self.score)
            .then(other.tie_key.cmp(&self.tie_key))
            .then(self.segment.cmp(&other.segment))
            .then(self.doc.cmp(&other.doc))
    }
}

/// The best so many documents. Documents that score below `threshold` cannot be among them any more.
struct Best {
    limit: usize,
    ranked: Vec<Ranked>,
    threshold: f32,
}

impl Best {
    fn new(limit: usize) -> Self {
        Self { limit, ranked: Vec::new(), threshold: 0.0 }
    }

    fn push(&mut self, score: f32, tie_key: u64, segment: usize, doc: u32) {
        self.ranked.push(Ranked { score, tie_key, segment, doc });
        // Room for twice the limit: sorting is rare, and the threshold rises each time.
        if self.ranked.len() >= self.limit.saturating_mul(2).max(64) {
            self.trim();
        }
    }

    fn trim(&mut self) {
        if self.ranked.len() > self.limit {
            self.ranked.select_nth_unstable_by(self.limit - 1, Ranked::order);
            self.ranked.truncate(self.limit);
            let worst = self.ranked[self.limit - 1].score;
            // Equal scores are still looked at, because the tie may go to a later document.
            self.threshold = worst.next_down();
        }
    }

    fn finish(mut self) -> Vec<Ranked> {
        self.trim();
        self.ranked.sort_unstable_by(Ranked::order);
        self.ranked
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::{Analyzer, MemorySegment, TextClass};

    fn segment(texts: &[&str]) -> MemorySegment {
        let (mut segment, mut analyzer) = (MemorySegment::new(), Analyzer::new());
        for (number, text) in texts.iter().enumerate() {
            segment.add(&mut analyzer, text, TextClass::Short, number as u64);
        }
        segment
    }

    fn search(texts: &[&str], query: &str, limit: usize) -> (Vec<u32>, Answer) {
        let segment = segment(texts);
        let load = |_: usize, doc: u32| texts.get(doc as usize).map(|text| (*text).to_owned());
        let answer = Scorer::default()
            .search(&Query::parse(query), &[&segment as &dyn Segment], None, limit, &load)
            .expect("memory does not fail");
        (answer.hits.iter().map(|hit| hit.doc).collect(), answer)
    }

    #[test]
    fn a_short_look_up_finds_whole_matches_before_scattered_characters() {
        let texts =
            ["记录登山的目录", "修复了登录页面的空指针异常，原因是令牌过期之后没有刷新", "登山记录，目录，录像，登高"];
        assert_eq!(search(&texts, "登录", 10).0[0], 1);
        assert_eq!(search(&texts, "登錄", 1).0, [1]);
    }

    #[test]
    fn only_documents_with_the_phrase_are_answered() {
        let texts = ["back it rolled", "it was rolled  back", "rolled back"];
        assert_eq!(search(&texts, "\"rolled back\"", 10).0, [2, 1]);
        let (docs, answer) = search(&texts, "\"never seen\" rolled", 10);
        assert_eq!((docs.len(), answer.relaxed), (3, true));
        let (docs, answer) = search(&texts, "\"never rolled\"", 10);
        assert_eq!((docs.len(), answer.relaxed), (0, false));
        assert_eq!(search(&["who is it", "nobody"], "\"who is\"", 10).0, [0]);
    }

    #[test]
    fn an_excluded_word_is_gone() {
        let texts = ["deploy to staging", "deploy to production", "部署到测试环境", "部署到生产环境"];
        assert_eq!(search(&texts, "deploy -staging", 10).0, [1]);
        assert_eq!(search(&texts, "部署 -测试环境", 10).0, [3]);
    }

    #[test]
    fn too_many_candidates_are_cut_and_it_is_said() {
        // All pairs are there, the phrase is not.
        let texts = vec!["数据 据库 库表"; VERIFIED_MAX + 5];
        let (docs, answer) = search(&texts, "数据库", 10);
        assert!(docs.len() == 10 && answer.cut);
        let (_, answer) = search(&texts[..VERIFIED_MAX], "数据库", 10);
        assert!(!answer.cut);
    }

    #[test]
    fn deleted_documents_count_nowhere() {
        let texts = ["alpha beta", "alpha gamma", "alpha delta"];
        let mut with = segment(&texts);
        with.delete(2);
        with.delete(2);
        let without = segment(&texts[..2]);
        let query = Query::parse("alpha beta");
        let scores = |segment: &MemorySegment| -> Vec<(u32, f32)> {
            let hits = Scorer::default().score(&query, &[segment as &dyn Segment], None, 10);
            hits.expect("memory does not fail").iter().map(|hit| (hit.doc, hit.score)).collect()
        };
        assert_eq!(scores(&with), scores(&without));
    }

    #[test]
    fn ties_go_to_the_larger_key_and_the_limit_holds() {
        let texts = ["same words"; 300];
        let (docs, _) = search(&texts, "same", 5);
        assert_eq!(docs, [299, 298, 297, 296, 295]);
        assert!(search(&texts, "same", 0).0.is_empty());
        assert!(search(&texts, "", 5).0.is_empty());
    }

    #[test]
    fn every_spelling_of_an_identifier_finds_every_other() {
        let spellings = |first: &str, last: &str| {
            let capital = |word: &str| word[..1].to_uppercase() + &word[1..];
            [
                format!("{first}{last}"),
                format!("{first}{last}").to_uppercase(),
                format!("{first}{}", capital(last)),
                format!("{}{}", capital(first), capital(last)),
                format!("{first}_{last}"),
                format!("{first}-{last}"),
                format!("{first}_{last}").to_uppercase(),
            ]
        };
        for (first, last) in
            [("match", "queue"), ("order", "service"), ("user", "table"), ("user", "token"), ("rate", "limiter")]
        {
            let texts = spellings(first, last).map(|spelling| format!("the {spelling} leaks"));
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            for spelling in spellings(first, last).into_iter().chain([format!("{first} {last}")]) {
                let (docs, answer) = search(&texts, &spelling, 20);
                assert_eq!(docs.len(), texts.len(), "{spelling}");
                let least = answer.hits.iter().map(|hit| hit.coverage).fold(1.0, f32::min);
                assert!(least > 0.9, "{spelling} is covered to {least}: {:?}", answer.hits);
            }
        }
    }

    #[test]
    fn both_forms_of_a_word_in_one_document_are_one_term() {
        let texts = ["MatchQueue and matchqueue", "matchqueue and matchqueue", "a queue"];
        let (docs, answer) = search(&texts, "matchqueue", 10);
        assert_eq!(docs.len(), 2);
        assert_eq!(answer.hits[0].matched[0].frequency, 2);
    }

    #[test]
    fn words_count_once_in_every_script() {
        let texts = ["给用户发短信，配置在文件里", "the settings are in a file", "生日"];
        let by_word = |query: &str| search(&texts, query, 1).1.hits[0].by_word.coverage;
        assert!(by_word("怎么配置 VPN") < 0.5);
        assert!(by_word("配置在哪里") > 0.99);
        let (_, answer) = search(&texts, "怎么配置 VPN", 1);
        assert!(answer.hits[0].coverage > 0.6, "ranking counts the pair and its characters");
    }

    #[test]
    fn coverage_is_the_share_of_the_question_that_matches() {
        let (_, answer) = search(&["linker missing", "linker found", "nothing"], "linker missing", 10);
        assert!(answer.hits[0].coverage > 0.99);
        assert!((0.1..0.9).contains(&answer.hits[1].coverage));
        assert_eq!(answer.hits[1].matched.len(), 1);
    }
}

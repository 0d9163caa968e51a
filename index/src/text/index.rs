//! The text index as a whole: what answers, what is written to, and when one takes the other's place.

use std::cell::RefCell;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use harness_memory::{Lookup, Position, Row, Store};

use super::document::document;
use super::folders::{self, Folders};
use super::reader::{META, Place, Reader, guarded};
use super::scoring;
use super::snapshot::{Bits, Masked, Snapshot};
use super::tail::Tail;
use super::writer::{Writer, open_index};
use super::{Query, Scored, Scorer, Segment};
use crate::catch_up::{belongs, catch_up};
use crate::error::{Error, Result};
use crate::index::{Batch, Candidate, Cut, Found, Index, Search, State, Status, Word};

/// The name of this index.
pub const TEXT: &str = "text";

/// So many of a candidate's words are given as the reason for it.
const WORDS_MAX: usize = 8;

/// Full text over a store, in `ROOT/text-v…-a…/`.
///
/// Opening one touches nothing; what a search needs is opened by the first search, and what writing needs by the
/// first batch. Searches take no lock but for moments, and see what other processes commit and write to the store.
///
/// Files that are damaged, cut short, missing, or of another version are noticed before anything of them is used:
/// the index then answers from the tail alone, says so, and is built anew when it is next followed.
pub struct TextIndex {
    place: Place,
    reader: Mutex<Reader>,
    tail: RwLock<Tail>,
    scorer: Scorer,
    writer: Option<Writer>,
}

/// What answers, for one search.
struct Answering {
    snapshot: Option<Arc<Snapshot>>,
    cuts: Vec<Cut>,
}

impl TextIndex {
    /// The text index of the home whose indexes lie in the folder `root`, which need not be there.
    pub fn new(root: &Path) -> TextIndex {
        TextIndex::at(Place::Home(Folders::new(root)))
    }

    fn at(place: Place) -> TextIndex {
        TextIndex { place, reader: Mutex::default(), tail: RwLock::default(), scorer: Scorer::default(), writer: None }
    }

    /// Builds the index anew from a store in a folder of its own, which takes the present one's place when it is
    /// complete. The present one answers until then.
    pub fn rebuild(&mut self, store: &dyn Store, progress: &mut dyn FnMut(u64, u64) -> bool) -> Result<()> {
        self.settle()?;
        let Place::Home(folders) = &self.place else { return Ok(()) };
        let mut next = TextIndex::at(Place::Folder(folders.begin_next()?));
        catch_up(store, &mut next, progress)?;
        next.settle()?;
        folders.promote_next()?;
        Ok(())
    }

    pub(crate) fn snapshot_of(&self, store: &dyn Store) -> Result<Option<Arc<Snapshot>>> {
        Ok(self.answering(store)?.snapshot)
    }

    /// Reads every file and answers what does not fit its checksums.
    pub(crate) fn check_files(&self) -> Option<String> {
        let reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        let open = reader.open.as_ref()?;
        let checked = guarded(|| open.index.validate_checksum().map_err(Error::text("read the files of")));
        match checked {
            Ok(damaged) if damaged.is_empty() => open.files.damage().map(str::to_owned),
            Ok(damaged) => Some(damaged.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")),
            Err(error) => Some(open.files.damage().map_or_else(|| error.to_string(), str::to_owned)),
        }
    }

    /// Gives up what answers, and leaves a note to whoever writes.
    pub(crate) fn report(&self, error: &Error) {
        let mut reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = reader.open.take() {
            let changed = reader.changed;
            reader.give_up(&open.folder, error, changed);
        }
    }

    /// What answers now, brought up to date.
    fn answering(&self, store: &dyn Store) -> Result<Answering> {
        let mut reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        reader.refresh(&self.place);
        let mut cuts = Vec::new();
        if let Some(reason) = &reader.problem {
            cuts.push(Cut {
                code: "text-rebuild",
                hint: format!("the text index is being built anew ({reason}); only the newest records were searched"),
            });
        }
        let Some(open) = &mut reader.open else { return Ok(Answering { snapshot: None, cuts }) };
        if open.older {
            let hint = "an older text index answers while a new one is built".to_owned();
            cuts.push(Cut { code: "text-older", hint });
        }
        let position = open.snapshot.position();
        if position.is_some() && open.belongs != position {
            if let Some(position) = position
                && !belongs(store, &position)?
            {
                let hint = "the text index followed another history of the store and is being built anew; only the \
                            newest records were searched";
                cuts.push(Cut { code: "text-rebuild", hint: hint.to_owned() });
                return Ok(Answering { snapshot: None, cuts });
            }
            open.belongs = position;
        }
        let snapshot = position.is_some().then(|| Arc::clone(&open.snapshot));
        Ok(Answering { snapshot, cuts })
    }

    fn search_once(&self, store: &dyn Store, search: &Search) -> Result<Found> {
        let Answering { snapshot, cuts } = self.answering(store)?;
        let snapshot = snapshot.as_deref();
        let head = store.head()?;
        let mut tail = self.tail.read().unwrap_or_else(PoisonError::into_inner);
        if !tail.is_current(&head, snapshot) {
            drop(tail);
            let mut stale = self.tail.write().unwrap_or_else(PoisonError::into_inner);
            if !stale.is_current(&head, snapshot) {
                stale.refresh(store, head, snapshot)?;
            }
            drop(stale);
            tail = self.tail.read().unwrap_or_else(PoisonError::into_inner);
            // Another thread may have gone further meanwhile; its tail fits its snapshot and not necessarily ours.
            if !tail.is_current(&head, snapshot) {
                drop(tail);
                let mut own = Tail::default();
                own.refresh(store, head, snapshot)?;
                return self.score(store, search, &head, snapshot, &own, cuts);
            }
        }
        self.score(store, search, &head, snapshot, &tail, cuts)
    }

    fn score(
        &self,
        store: &dyn Store,
        search: &Search,
        head: &Position,
        snapshot: Option<&Snapshot>,
        tail: &Tail,
        mut cuts: Vec<Cut>,
    ) -> Result<Found> {
        let own;
        let query = match search.read {
            Some(query) => query,
            None => {
                own = Query::read(search.text, search.plain);
                &own
            }
        };
        let views = snapshot.map_or(&[][..], |snapshot| &snapshot.segments);
        let masked: Vec<Masked> =
            views.iter().enumerate().map(|(number, view)| Masked::new(view, tail.masked(number))).collect();
        let mut segments: Vec<&dyn Segment> = masked.iter().map(|segment| segment as &dyn Segment).collect();
        let newest = tail.segment();
        segments.push(newest);
        let filter = &search.filter;
        let allowed: Option<Arc<Vec<Bits>>> = match snapshot {
            Some(snapshot) => snapshot.allowed(filter)?,
            None => None,
        };
        let (since, until) = (filter.since.map(|t| t.as_millisecond()), filter.until.map(|t| t.as_millisecond()));
        let passes = |segment: usize, doc: u32| match views.get(segment) {
            Some(view) => {
                allowed.as_ref().is_none_or(|bits| bits[segment].has(doc))
                    && (since.is_none() && until.is_none() || {
                        let at = view.created_at_ms(doc);
                        since.is_none_or(|since| at >= since) && until.is_none_or(|until| at < until)
                    })
            }
            None => tail.entry(doc).passes(filter),
        };
        let row = |segment: usize, doc: u32| match views.get(segment) {
            Some(view) => view.row(doc),
            None => tail.entry(doc).row,
        };
        let filtered = !filter.allows_everything();
        let filter: Option<&super::Filter<'_>> = if filtered { Some(&passes) } else { None };
        // Phrases are verified on what is stored. A store that fails here is not lost on the caller.
        let failed = RefCell::new(None);
        let load = |segment: usize, doc: u32| {
            if segment == views.len() {
                return document(tail.entry(doc).record()).map(|document| document.text.into_owned());
            }
            stored_text(store, row(segment, doc)).unwrap_or_else(|error| {
                failed.borrow_mut().get_or_insert(error);
                None
            })
        };
        let answer = self.scorer.search(query, &segments, filter, search.limit, &load);
        if let Some(error) = failed.into_inner() {
            return Err(error);
        }
        let answer = answer.map_err(|source| Error::text("search")(source.into()))?;
        if answer.cut {
            let hint =
                "more records hold the words of the phrase than can be compared with it; the newest were".to_owned();
            cuts.push(Cut { code: "phrase-cut", hint });
        }
        if answer.relaxed {
            let hint = "no record holds the exact phrase; its words were searched".to_owned();
            cuts.push(Cut { code: "phrase-relaxed", hint });
        }
        let mut candidates: Vec<Candidate> = answer
            .hits
            .into_iter()
            .map(|scored| Candidate {
                row: row(scored.segment, scored.doc),
                score: scored.score,
                coverage: scored.coverage,
                by_word: scored.by_word,
                passage: None,
                why: words(query, &scored),
                words: shares(&scored),
            })
            .collect();
        // What holds the question literally stands first, whatever it scores; scores say so too.
        for at in (1..candidates.len()).rev() {
            candidates[at - 1].score = candidates[at - 1].score.max(candidates[at].score);
        }
        if query.is_truncated() {
            let hint = "the query was longer than what is searched for; its beginning was used".to_owned();
            cuts.push(Cut { code: "query-cut", hint });
        }
        let lag = head.seq - snapshot.and_then(Snapshot::position).map_or(0, |position| position.seq).min(head.seq);
        let rarest = scoring::rarest(&segments);
        Ok(Found { candidates, rarest, lag, unsearched: tail.unsearched(), cuts })
    }

    /// The folder to write to, if one can be built upon.
    fn standing(&self) -> Option<PathBuf> {
        let folder = match &self.place {
            Place::Folder(folder) => folder.clone(),
            Place::Home(folders) => folders.current().unwrap_or_else(|| folders.next()),
        };
        (folder.is_dir() && folders::damage(&folder).is_none()).then_some(folder)
    }

    fn open_writer(&mut self) -> Result<&mut Writer> {
        let folder = match self.standing() {
            Some(folder) => folder,
            None => self.begin()?,
        };
        if self.writer.as_ref().is_some_and(|writer| writer.folder() != folder) {
            self.writer = None;
        }
        match &mut self.writer {
            Some(writer) => Ok(writer),
            none => Ok(none.insert(guarded(|| Writer::open(&folder))?)),
        }
    }

    /// Makes an empty folder to write to. Where another version's index can answer, it does until ours is complete.
    fn begin(&self) -> Result<PathBuf> {
        match &self.place {
            Place::Folder(folder) => {
                let _ = fs::remove_dir_all(folder);
                fs::create_dir_all(folder).map_err(Error::io("make the folder", folder))?;
                Ok(folder.clone())
            }
            Place::Home(folders) if folders.current().is_none() && folders.older().is_some() => folders.begin_next(),
            Place::Home(folders) => folders.begin(),
        }
    }
}

impl Index for TextIndex {
    fn name(&self) -> &'static str {
        TEXT
    }

    fn applied(&mut self) -> Result<Option<Position>> {
        let Some(folder) = self.standing() else {
            self.writer = None;
            return Ok(None);
        };
        if let Some(writer) =
            self.writer.as_ref().filter(|writer| writer.folder() == folder && folder.join(META).exists())
        {
            return Ok(writer.payload().map(|payload| payload.position));
        }
        self.writer = None;
        let position = guarded(|| match open_index(&folder)? {
            Some((_, index, fields)) => Ok(Snapshot::open(&index, &fields, None)?.position()),
            None => Ok(None),
        });
        // Whatever keeps it from being read, it can be built anew; if the disk is at fault, that will say so.
        Ok(position.unwrap_or_else(|error| {
            tracing::warn!(%error, "the text index cannot be read and will be built anew");
            None
        }))
    }

    fn apply(&mut self, batch: &Batch) -> Result<()> {
        self.open_writer()?;
        let Some(writer) = &mut self.writer else { return Ok(()) };
        let applied = guarded(|| writer.apply(batch));
        if applied.is_err() || writer.damage().is_some() {
            // What was added and not committed is dropped with the writer.
            if let Some(reason) = writer.damage() {
                folders::mark_damaged(writer.folder(), reason);
            }
            self.writer = None;
        }
        applied
    }

    fn search(&self, store: &dyn Store, search: &Search) -> Result<Found> {
        match guarded(|| self.search_once(store, search)) {
            Err(error @ Error::Store(_)) => Err(error),
            // Damage that only this query met: without the damaged files the tail still answers.
            Err(error) => {
                self.report(&error);
                guarded(|| self.search_once(store, search))
            }
            found => found,
        }
    }

    fn reset(&mut self) -> Result<()> {
        self.writer = None;
        let folder = self.begin()?;
        self.writer = Some(guarded(|| Writer::open(&folder))?);
        Ok(())
    }

    fn expunge(&mut self) -> Result<()> {
        let Some(folder) = self.standing() else { return Ok(()) };
        if open_index(&folder)?.is_none() {
            return Ok(());
        }
        let writer = self.open_writer()?;
        guarded(|| writer.expunge())
    }

    fn settle(&mut self) -> Result<()> {
        if let Some(writer) = self.writer.take() {
            guarded(|| writer.settle())?;
        }
        if let Place::Home(folders) = &self.place {
            if folders.current().is_none() && folders.next().is_dir() {
                folders.promote_next()?;
            } else if folders.current().is_some() {
                folders.remove_other_versions();
            }
        }
        Ok(())
    }

    fn status(&self) -> Result<Status> {
        let mut reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        reader.refresh(&self.place);
        let state = match (&reader.open, &reader.problem) {
            (_, Some(reason)) => State::Damaged { reason: reason.clone() },
            (None, None) => State::Missing,
            (Some(open), None) if open.older => {
                State::Replaced { reason: "it was made by another version of the analyzer".into() }
            }
            (Some(_), None) => State::Ready,
        };
        let open = reader.open.as_ref();
        Ok(Status {
            ahead: 0,
            applied: open.and_then(|open| open.snapshot.position()),
            documents: open.map_or(0, |open| open.snapshot.documents()),
            bytes: open.map_or(0, |open| folders::bytes(&open.folder)),
            state,
        })
    }
}

/// The searched text of a record, as the store has it now.
fn stored_text(store: &dyn Store, row: Row) -> Result<Option<String>> {
    let stored = store.get_rows(&[row])?.pop().and_then(Lookup::found);
    Ok(stored.and_then(|stored| document(&stored.record).map(|document| document.text.into_owned())))
}

/// The query's words that a document has, those that count most first.
fn shares(scored: &Scored) -> Vec<Word> {
    let counts = scored.matched.iter().filter(|matched| matched.share > 0.0);
    counts.map(|matched| Word { place: matched.term as u32, share: matched.share }).collect()
}

fn words(query: &Query, scored: &Scored) -> String {
    let mut matched: Vec<_> = scored.matched.iter().collect();
    matched.sort_by(|a, b| b.score.total_cmp(&a.score));
    let mut words: Vec<&str> = Vec::new();
    for matched in matched {
        let word = query.terms()[matched.term].term.trim_start_matches(char::is_control);
        if !words.contains(&word) {
            words.push(word);
        }
        if words.len() == WORDS_MAX {
            break;
        }
    }
    words.join(" ")
}

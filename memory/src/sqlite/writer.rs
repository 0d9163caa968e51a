//! The one thread of a process that writes. What several callers hand it while it is busy becomes
//! one transaction, so that they share the cost of making it durable.

use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rusqlite::{Connection, ErrorCode};

use super::codec::{self, Encoder};
use super::put::Numbers;
use super::row::RowReader;
use super::{Shared, head, read, schema};
use crate::change::{ChainHash, ChangeKind, Position, Seq, chain_next};
use crate::error::{Error, Result};
use crate::id::RecordId;
use crate::record::Body;
use crate::scope::{ReadSet, Scope};

/// The most calls in one transaction: keeps it well under a second.
const GROUP_MAX: usize = 64;

/// How long a writer waits for other processes before it gives up. SQLite's own wait is not fair,
/// so several rounds of it may be needed when many processes write at once.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// A call's work. Given an error instead of a transaction it answers its caller with that.
type Job = Box<dyn FnOnce(Result<&mut Writing, &Error>) -> Settle + Send>;

/// How a caller is answered once the transaction's fate is known: `Ok` when it is durable.
struct Settle {
    /// Whether the work itself succeeded; what one that failed wrote is undone.
    succeeded: bool,
    answer: Answer,
}

type Answer = Box<dyn FnOnce(Result<(), &Error>) + Send>;

/// The writing side of a store.
pub(super) struct Writer {
    jobs: Mutex<Option<Sender<Job>>>,
    thread: Mutex<Option<thread::JoinHandle<()>>>,
}

impl Writer {
    pub(super) fn start(shared: Arc<Shared>) -> Writer {
        let (jobs, queue) = mpsc::channel();
        let thread = thread::Builder::new().name("store-writer".to_owned()).spawn(move || run(&shared, &queue));
        // Without a thread the queue's receiving end is gone, and each call answers that.
        Writer { jobs: Mutex::new(Some(jobs)), thread: Mutex::new(thread.ok()) }
    }

    pub(super) fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Writing) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.begin(work)?.wait()
    }

    /// Hands work over without waiting for it. What was handed over earlier is done earlier.
    pub(super) fn begin<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Writing) -> Result<T> + Send + 'static,
    ) -> Result<Begun<T>> {
        let (answer, answered) = mpsc::sync_channel(1);
        let job: Job = Box::new(move |writing| {
            let result = writing.map_err(copy_of).and_then(work);
            Settle {
                succeeded: result.is_ok(),
                answer: Box::new(move |durable| {
                    let _ = answer.send(match durable {
                        Ok(()) => result,
                        Err(error) => result.and(Err(copy_of(error))),
                    });
                }),
            }
        });
        let jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        jobs.as_ref().ok_or_else(stopped)?.send(job).map_err(|_| stopped())?;
        Ok(Begun { answered })
    }
}

/// A write that was begun. It is done whether or not somebody waits for it.
#[must_use = "only who waits learns whether it is durable"]
pub struct Begun<T> {
    answered: Receiver<Result<T>>,
}

impl<T> Begun<T> {
    /// What came of it, once it is durable.
    pub fn wait(self) -> Result<T> {
        self.answered.recv().map_err(|_| stopped())?
    }
}

fn stopped() -> Error {
    Error::ReadOnly { cause: "the writer thread could not be started or has stopped".to_owned() }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // Closing the queue ends the thread; what was accepted is finished first.
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take() {
            let _ = thread.join();
        }
    }
}

/// The same failure for each caller of one transaction.
fn copy_of(error: &Error) -> Error {
    match error {
        Error::Sqlite { doing, source } => Error::Sqlite { doing, source: copy_of_sqlite(source) },
        Error::ReadOnly { cause } => Error::ReadOnly { cause: cause.clone() },
        Error::ReadOnlyScope { scope } => Error::ReadOnlyScope { scope: scope.clone() },
        other => Error::Refused { reason: other.to_string() },
    }
}

fn copy_of_sqlite(error: &rusqlite::Error) -> rusqlite::Error {
    match error {
        rusqlite::Error::SqliteFailure(failure, message) => rusqlite::Error::SqliteFailure(*failure, message.clone()),
        other => rusqlite::Error::ToSqlConversionFailure(other.to_string().into()),
    }
}

fn run(shared: &Shared, queue: &Receiver<Job>) {
    let mut state = None;
    while let Ok(first) = queue.recv() {
        let mut group = vec![first];
        while group.len() < GROUP_MAX
            && let Ok(job) = queue.try_recv()
        {
            group.push(job);
        }
        commit_group(shared, &mut state, group);
    }
}

/// What the thread keeps between transactions.
struct State {
    connection: Connection,
    rows: RowReader,
    numbers: Numbers,
    encoder: Encoder,
    /// Bodies to train a dictionary on, until there is one.
    samples: Vec<Vec<u8>>,
    sample_bytes: usize,
    /// The life of the store that the names belong to.
    epoch: Option<u64>,
    /// A dictionary that is there and cannot be used.
    passed_over: Option<codec::CodecNumber>,
}

impl State {
    fn open(shared: &Shared) -> Result<State> {
        let connection = schema::connect(&shared.folder, false)?;
        let encoder = Encoder::newest(&connection)?;
        Ok(State {
            connection,
            rows: RowReader::default(),
            numbers: Numbers::default(),
            encoder,
            samples: Vec::new(),
            sample_bytes: 0,
            epoch: None,
            passed_over: None,
        })
    }
}

/// Runs one group of calls in one transaction and answers each.
fn commit_group(shared: &Shared, state: &mut Option<State>, group: Vec<Job>) {
    let mut settles = Vec::with_capacity(group.len());
    let result = transact(shared, state, group, &mut settles);
    if let Err(error) = &result {
        // Whatever was learned within the failed transaction may not exist.
        *state = None;
        note_fault(shared, error);
    }
    for settle in settles {
        (settle.answer)(result.as_ref().map(|_| ()));
    }
    if result.is_ok()
        && let Some(state) = state
        && let Err(error) = train_if_due(state)
    {
        tracing::warn!(%error, "no dictionary was trained");
    }
}

fn transact(shared: &Shared, state: &mut Option<State>, group: Vec<Job>, settles: &mut Vec<Settle>) -> Result<()> {
    let begun = begin(shared, state);
    let mut writing = match begun {
        Ok(writing) => writing,
        Err(error) => {
            for job in group {
                settles.push(job(Err(&error)));
            }
            return Err(error);
        }
    };
    for job in group {
        let before = writing.mark();
        let in_savepoint = writing.batch("SAVEPOINT call").is_ok();
        let settle = job(Ok(&mut writing));
        let undone = if settle.succeeded {
            writing.batch("RELEASE call")
        } else if in_savepoint {
            writing.reset(before);
            writing.batch("ROLLBACK TO call; RELEASE call")
        } else {
            Ok(())
        };
        settles.push(settle);
        if !in_savepoint {
            let _ = writing.batch("ROLLBACK");
            return Err(Error::ReadOnly { cause: "a savepoint could not be set".to_owned() });
        }
        if let Err(error) = undone {
            let _ = writing.batch("ROLLBACK");
            return Err(error);
        }
    }
    let head = writing.head;
    if let Err(error) = writing.batch("COMMIT") {
        let _ = writing.batch("ROLLBACK");
        return Err(error);
    }
    head::note(&shared.folder, &head);
    Ok(())
}

fn begin<'s>(shared: &Shared, state: &'s mut Option<State>) -> Result<Writing<'s>> {
    if let Some(cause) = shared.fault.get() {
        return Err(Error::ReadOnly { cause: cause.clone() });
    }
    if state.is_none() {
        *state = Some(State::open(shared)?);
    }
    let Some(state) = state.as_mut() else {
        return Err(Error::ReadOnly { cause: "the writer has no connection".to_owned() });
    };
    let started = Instant::now();
    loop {
        match state.connection.execute_batch("BEGIN IMMEDIATE") {
            Ok(()) => break,
            Err(error) if is_busy(&error) && started.elapsed() < WAIT_MAX => continue,
            Err(error) => return Err(Error::Sqlite { doing: "begin to write to the store", source: error }),
        }
    }
    let read = |connection: &Connection| -> Result<(Position, i64)> {
        let last_row = connection
            .query_row("SELECT coalesce(max(row), 0) FROM records", [], |columns| columns.get(0))
            .map_err(Error::sqlite("read the last row"))?;
        Ok((read::head(connection, shared.store)?, last_row))
    };
    let (head, last_row) = match read(&state.connection) {
        Ok(facts) => facts,
        Err(error) => {
            let _ = state.connection.execute_batch("ROLLBACK");
            return Err(error);
        }
    };
    if state.epoch != Some(head.epoch) {
        // Another process may have restored a backup: names have other numbers there.
        state.numbers = Numbers::default();
        state.rows = RowReader::default();
        state.epoch = Some(head.epoch);
    }
    if let Err(error) = keep_dictionary(state) {
        let _ = state.connection.execute_batch("ROLLBACK");
        return Err(error);
    }
    let read_only = shared.read_only.read().unwrap_or_else(PoisonError::into_inner).clone();
    Ok(Writing { state, head, last_row, now_ms: Timestamp::now().as_millisecond(), read_only })
}

/// Takes the store's newest dictionary when it is not the encoder's: another process may have trained or removed one.
fn keep_dictionary(state: &mut State) -> Result<()> {
    let newest: Option<codec::CodecNumber> = state
        .connection
        .prepare_cached("SELECT max(number) FROM dictionaries")
        .and_then(|mut select| select.query_row([], |columns| columns.get(0)))
        .map_err(Error::sqlite("look for a dictionary"))?;
    if newest != state.encoder.own_number() && newest != state.passed_over {
        state.encoder = Encoder::newest(&state.connection)?;
        // A damaged one is not tried again with every write.
        state.passed_over = newest.filter(|_| !state.encoder.is_own());
    }
    Ok(())
}

pub(super) fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
}

/// After an I/O failure the disk's state is unknown, and trying again may only seem to work
/// (<https://wiki.postgresql.org/wiki/Fsync_Errors>): nothing more is written until the store is opened anew.
fn note_fault(shared: &Shared, error: &Error) {
    if let Error::Sqlite { source, .. } = error
        && source.sqlite_error_code() == Some(ErrorCode::SystemIoFailure)
    {
        let _ = shared.fault.set(source.to_string());
    }
}

fn train_if_due(state: &mut State) -> Result<()> {
    if state.encoder.is_own() || state.sample_bytes < codec::TRAIN_FROM_BYTES {
        return Ok(());
    }
    let samples = std::mem::take(&mut state.samples);
    state.sample_bytes = 0;
    state.connection.execute_batch("BEGIN IMMEDIATE").map_err(Error::sqlite("keep a dictionary"))?;
    // Another process may have trained one in the meantime.
    let result = Encoder::newest(&state.connection)
        .and_then(|newest| if newest.is_own() { Ok(()) } else { codec::train(&state.connection, &samples) });
    let end = if result.is_ok() { "COMMIT" } else { "ROLLBACK" };
    state.connection.execute_batch(end).map_err(Error::sqlite("keep a dictionary"))?;
    result?;
    state.encoder = Encoder::newest(&state.connection)?;
    Ok(())
}

/// A write transaction that has begun: what the work of a call sees.
pub(super) struct Writing<'s> {
    state: &'s mut State,
    head: Position,
    last_row: i64,
    /// The time of all changes of this transaction, in milliseconds since 1970.
    pub(super) now_ms: i64,
    read_only: Arc<ReadSet>,
}

/// A place in a transaction to come back to.
#[derive(Clone, Copy)]
struct Mark {
    head: Position,
    last_row: i64,
}

impl Writing<'_> {
    pub(super) fn connection(&self) -> &Connection {
        &self.state.connection
    }

    /// Refuses a scope that nothing is written to.
    pub(super) fn must_be_writable(&self, scope: &Scope) -> Result<()> {
        if self.read_only.allows(scope) { Err(Error::ReadOnlyScope { scope: scope.clone() }) } else { Ok(()) }
    }

    /// The connection together with what reads rows on it.
    pub(super) fn rows(&mut self) -> (&Connection, &mut RowReader) {
        (&self.state.connection, &mut self.state.rows)
    }

    /// The connection together with the numbers that stand for names.
    pub(super) fn numbers(&mut self) -> (&Connection, &mut Numbers) {
        (&self.state.connection, &mut self.state.numbers)
    }

    /// The number of the next new row.
    pub(super) fn next_row(&mut self) -> i64 {
        self.last_row += 1;
        self.last_row
    }

    /// The body as it is to be stored.
    pub(super) fn encode(&mut self, body: &Body) -> Result<(codec::CodecNumber, Vec<u8>)> {
        let body = serde_json::to_vec(body)
            .map_err(|error| Error::Refused { reason: format!("it cannot be written as JSON: {error}") })?;
        let state = &mut *self.state;
        if !state.encoder.is_own() && state.sample_bytes < codec::TRAIN_FROM_BYTES {
            state.sample_bytes += body.len();
            state.samples.push(body.clone());
        }
        Ok(state.encoder.encode(body))
    }

    /// Takes the newest dictionary that there is: the one in use was removed.
    pub(super) fn renew_encoder(&mut self) -> Result<()> {
        // What was kept to train on may be what made the removed one bad.
        self.state.samples.clear();
        self.state.sample_bytes = 0;
        self.state.encoder = Encoder::newest(&self.state.connection)?;
        Ok(())
    }

    /// Appends a change to the log.
    pub(super) fn log(&mut self, row: i64, id: &RecordId, kind: ChangeKind) -> Result<()> {
        let seq: Seq = self.head.seq + 1;
        let chain: ChainHash = chain_next(&self.head.chain, seq, kind, self.now_ms, id);
        self.state
            .connection
            .prepare_cached("INSERT INTO changes (seq, row, kind, at_ms, chain) VALUES (?1, ?2, ?3, ?4, ?5)")
            .and_then(|mut insert| insert.execute(rusqlite::params![seq as i64, row, kind as u8, self.now_ms, chain]))
            .map_err(Error::sqlite("write to the change log"))?;
        self.head.seq = seq;
        self.head.chain = chain;
        Ok(())
    }

    fn mark(&self) -> Mark {
        Mark { head: self.head, last_row: self.last_row }
    }

    fn reset(&mut self, mark: Mark) {
        self.head = mark.head;
        self.last_row = mark.last_row;
        // Names numbered within the undone work are gone with it.
        self.state.numbers = Numbers::default();
        self.state.rows = RowReader::default();
    }

    fn batch(&self, sql: &str) -> Result<()> {
        self.state.connection.execute_batch(sql).map_err(Error::sqlite("write to the store"))
    }
}

//! Requests that were done once, so that one that is sent again is not done twice.

use jiff::SignedDuration;
use rusqlite::{Connection, OptionalExtension, params};
use xxhash_rust::xxh3::Xxh3;

use super::writer::Writing;
use super::{SqliteStore, put};
use crate::error::{Error, Result};
use crate::id::RecordId;
use crate::intake::Admitted;
use crate::session::Session;
use crate::store::Put;

/// For how long a request is known. Who sends one again does so within minutes; a job that failed is started again
/// within days.
const KEPT: SignedDuration = SignedDuration::from_hours(24 * 30);

const DOING: &str = "look for a request";

/// A request by hashes of its name and of all that it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// The hash of its name and of who names it.
    pub name: [u8; 32],
    /// The hash of what it asks for.
    pub print: [u8; 32],
}

/// What became of a request that is done once.
#[derive(Clone, Debug, PartialEq)]
pub enum Once {
    /// It was done now: what became of its records.
    Now(Vec<Put>),
    /// It was done before: the records it wrote, or found.
    Before(Vec<RecordId>),
    /// Another request had this name: nothing was done.
    Other,
}

impl SqliteStore {
    /// Adds sessions and records, of which at most [`crate::store::PUT_RECORDS_MAX`], as
    /// [`put_sessions`](crate::Store::put_sessions) and [`put`](crate::Store::put) do, in the transaction that notes the
    /// request, so that it is done once however often it comes, by however many processes, for thirty days.
    pub fn put_once(&self, request: Request, sessions: Vec<Session>, records: Vec<Admitted>) -> Result<Once> {
        super::within_put_max(&records)?;
        self.write(move |writing| {
            if let Some(known) = known(writing.connection(), &request)? {
                return Ok(known);
            }
            sessions.into_iter().try_for_each(|session| put::put_session(writing, session).map(|_| ()))?;
            let puts = put::put(writing, records)?;
            note(writing, &request, &puts)?;
            Ok(Once::Now(puts))
        })
    }

    /// What became of a request that came before; `None` for a new one.
    pub fn request(&self, request: &Request) -> Result<Option<Once>> {
        self.read(|reader| known(&reader.connection, request))
    }
}

fn known(connection: &Connection, request: &Request) -> Result<Option<Once>> {
    let found = connection
        .prepare_cached("SELECT print, records, at_ms, checksum FROM requests WHERE name = ?1")
        .and_then(|mut select| {
            let columns = |columns: &rusqlite::Row| {
                let (print, records): (Vec<u8>, Vec<u8>) = (columns.get(0)?, columns.get(1)?);
                let fits = checksum(&request.name, &print, &records, columns.get(2)?) == columns.get::<_, i64>(3)?;
                Ok((print, records, fits))
            };
            select.query_row([request.name], columns).optional()
        })
        .map_err(Error::sqlite(DOING))?;
    let Some((print, records, fits)) = found else { return Ok(None) };
    if !fits {
        let reason = "what is noted of a request of this name is damaged: send it under another".to_owned();
        return Err(Error::Refused { reason });
    }
    let ids = records.as_chunks::<16>().0.iter().map(|bytes| RecordId::from_bytes(*bytes));
    Ok(Some(if print == request.print { Once::Before(ids.collect()) } else { Once::Other }))
}

fn note(writing: &Writing, request: &Request, puts: &[Put]) -> Result<()> {
    let records: Vec<u8> = puts.iter().flat_map(|put| *put.id().as_bytes()).collect();
    let at_ms = writing.now_ms;
    let sum = checksum(&request.name, &request.print, &records, at_ms);
    let connection = writing.connection();
    let oldest = at_ms - KEPT.as_millis() as i64;
    connection
        .prepare_cached("DELETE FROM requests WHERE at_ms < ?1")
        .and_then(|mut delete| delete.execute([oldest]))
        .and_then(|_| {
            let insert = "INSERT INTO requests (name, print, records, at_ms, checksum) VALUES (?1, ?2, ?3, ?4, ?5)";
            connection.prepare_cached(insert)?.execute(params![request.name, request.print, records, at_ms, sum])
        })
        .map_err(Error::sqlite("note a request"))?;
    Ok(())
}

/// Whether a row, from its columns name, print, records, at_ms, checksum, fits its checksum.
pub(super) fn fits(columns: &rusqlite::Row) -> rusqlite::Result<bool> {
    let (name, print, records): (Vec<u8>, Vec<u8>, Vec<u8>) = (columns.get(0)?, columns.get(1)?, columns.get(2)?);
    Ok(checksum(&name, &print, &records, columns.get(3)?) == columns.get::<_, i64>(4)?)
}

fn checksum(name: &[u8], print: &[u8], records: &[u8], at_ms: i64) -> i64 {
    let mut sum = Xxh3::new();
    for part in [name, print, records, &at_ms.to_le_bytes()] {
        sum.update(&(part.len() as u64).to_le_bytes());
        sum.update(part);
    }
    sum.digest() as i64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Intake, Note, Origin, Record, Scope, Store};

    fn note(text: &str) -> Vec<Admitted> {
        let record = Record::new(Scope::parse("ana").unwrap(), "test", Origin::User, Note::new(text));
        vec![Intake::new().admit_one(record).unwrap()]
    }

    #[test]
    fn a_request_is_done_once_and_its_name_is_no_others() {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(folder.path()).unwrap();
        let request = Request { name: [1; 32], print: [2; 32] };
        assert_eq!(store.request(&request).unwrap(), None);
        let Once::Now(puts) = store.put_once(request, Vec::new(), note("one")).unwrap() else { panic!() };
        let seq = store.head().unwrap().seq;
        let before = Once::Before(vec![puts[0].id()]);
        assert_eq!(store.put_once(request, Vec::new(), note("one")).unwrap(), before);
        assert_eq!(store.request(&request).unwrap(), Some(before));
        let other = Request { print: [3; 32], ..request };
        assert_eq!(store.put_once(other, Vec::new(), note("two")).unwrap(), Once::Other);
        assert_eq!(store.head().unwrap().seq, seq, "neither wrote anything");
        assert_eq!(store.check(&mut |_, _| true).unwrap(), []);
    }

    #[test]
    fn what_fails_is_not_noted_and_what_is_old_is_known_no_more() {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(folder.path()).unwrap();
        let request = Request { name: [1; 32], print: [2; 32] };
        let twice = [note("one"), note("two")].concat();
        let same: Vec<Admitted> = vec![twice[0].clone(), twice[0].clone()];
        store.put_once(request, Vec::new(), same).unwrap_err();
        assert_eq!(store.request(&request).unwrap(), None);
        store.put_once(request, Vec::new(), twice).unwrap();
        let raw = Connection::open(folder.path().join(super::super::DATABASE_FILE)).unwrap();
        raw.execute("UPDATE requests SET at_ms = 7", []).unwrap();
        store.request(&request).unwrap_err();
        assert_eq!(store.check(&mut |_, _| true).unwrap()[0].code, "request-damaged");
        store.put_once(Request { name: [4; 32], ..request }, Vec::new(), note("three")).unwrap();
        assert_eq!(store.request(&request).unwrap(), None);
    }
}

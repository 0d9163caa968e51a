//! Moving what was kept in a scope whose name holds a secret to one without.
//!
//! A scope's name is in every checksum and provenance of its records, so that it cannot simply be written over: each
//! record is moved, and the old name goes when nothing is left under it.

use rusqlite::{Connection, params};

use super::edit::open;
use super::put::{Numbers, Place, parse_session, put_session};
use super::repeats;
use super::row::{RowReader, provenance};
use super::writer::Writing;
use crate::change::ChangeKind;
use crate::error::{Error, Result};
use crate::id::RecordId;
use crate::scope::Scope;

const DOING: &str = "move records out of a scope whose name holds a secret";

/// The numbers of the scopes whose names hold a secret, with the scopes that take their place.
pub(super) fn dirty(connection: &Connection) -> Result<Vec<(i64, Scope)>> {
    let doing = "look for secrets in the names of scopes";
    let mut select = connection.prepare("SELECT number, name FROM scopes").map_err(Error::sqlite(doing))?;
    let named: Vec<(i64, String)> = select
        .query_map([], |columns| Ok((columns.get(0)?, columns.get(1)?)))
        .and_then(Iterator::collect)
        .map_err(Error::sqlite(doing))?;
    let scopes = named.into_iter().filter_map(|(number, name)| Some((number, Scope::parse(&name).ok()?)));
    Ok(scopes
        .filter(|(_, scope)| scope.holds_secret())
        .map(|(number, scope)| (number, scope.without_secrets()))
        .collect())
}

/// Moves at most `most` records, those behind the row `after`; answers the last row that was looked at, and `None` once
/// all are moved and the old name is gone. A damaged row keeps its scope, for the check to report.
pub(super) fn move_some(writing: &mut Writing, from: i64, to: &Scope, after: i64, most: usize) -> Result<Option<i64>> {
    let rows: Vec<(i64, [u8; 16])> = {
        let select = |connection: &Connection| -> rusqlite::Result<Vec<(i64, [u8; 16])>> {
            connection
                .prepare_cached("SELECT row, id FROM records WHERE scope = ?1 AND row > ?2 ORDER BY row LIMIT ?3")?
                .query_map(params![from, after, most as i64], |columns| Ok((columns.get(0)?, columns.get(1)?)))?
                .collect()
        };
        select(writing.connection()).map_err(Error::sqlite(DOING))?
    };
    if after == 0 {
        move_sessions(writing, from)?;
    }
    let Some((last, _)) = rows.last().copied() else {
        end(writing, from)?;
        return Ok(None);
    };
    rows.into_iter().try_for_each(|(_, id)| move_one(writing, RecordId::from_bytes(id), to))?;
    Ok(Some(last))
}

/// What is known of the sessions comes under the new name before their messages do.
fn move_sessions(writing: &mut Writing, from: i64) -> Result<()> {
    let select = |connection: &Connection| -> rusqlite::Result<Vec<(String, i64)>> {
        connection
            .prepare("SELECT info, checksum FROM sessions WHERE scope = ?1")?
            .query_map([from], |columns| Ok((columns.get(0)?, columns.get(1)?)))?
            .collect()
    };
    let sessions = select(writing.connection()).map_err(Error::sqlite(DOING))?;
    for (info, checksum) in sessions {
        if let Some(session) = parse_session(&info, checksum) {
            // It cleans the scope as it does the title.
            put_session(writing, session)?;
        }
    }
    Ok(())
}

fn move_one(writing: &mut Writing, id: RecordId, to: &Scope) -> Result<()> {
    let (mut raw, stored) = match open(writing, id) {
        Ok(opened) => opened,
        Err(Error::Damaged { .. }) => return Ok(()),
        Err(error) => return Err(error),
    };
    let (connection, rows) = writing.rows();
    let Ok((_, source, session)) = rows.verified_names(connection, &raw)? else { return Ok(()) };
    let (session, key) = (session.as_deref(), raw.key.clone());
    let place = Place::of(writing, to, &source, session, key.as_deref())?;
    if let Some(stored) = &stored {
        repeats::release(writing, &raw, &stored.record)?;
        let (codec, body) = repeats::body_for(writing, raw.row, place.scope, &stored.record.body)?;
        (raw.codec, raw.body) = (codec, Some(body));
    }
    raw.checksum = raw.checksum_with(to.path(), &source, session);
    let print = key.map(|key| provenance(to.path(), &source, session, &key));
    writing
        .connection()
        .prepare_cached(
            "UPDATE records SET scope = ?2, session = ?3, provenance = ?4, codec = ?5, body = ?6, checksum = ?7
             WHERE row = ?1",
        )
        .and_then(|mut update| {
            update.execute(params![raw.row, place.scope, place.session, print, raw.codec, raw.body, raw.checksum])
        })
        .map_err(Error::sqlite(DOING))?;
    // Of a record whose text is gone nothing is in an index.
    if stored.is_some() { writing.log(raw.row, &id, ChangeKind::Update) } else { Ok(()) }
}

/// Removes the old name, unless something that could not be read is still under it.
fn end(writing: &mut Writing, from: i64) -> Result<()> {
    let remove = |connection: &Connection| -> rusqlite::Result<()> {
        connection.execute(
            "DELETE FROM sessions WHERE scope = ?1
                 AND NOT EXISTS (SELECT 1 FROM records WHERE records.session = sessions.number)",
            [from],
        )?;
        connection.execute(
            "DELETE FROM scopes WHERE number = ?1 AND NOT EXISTS (SELECT 1 FROM records WHERE scope = ?1)
                 AND NOT EXISTS (SELECT 1 FROM sessions WHERE scope = ?1)",
            [from],
        )?;
        Ok(())
    };
    remove(writing.connection()).map_err(Error::sqlite(DOING))?;
    // Whatever was known by the numbers that are gone.
    *writing.numbers().1 = Numbers::default();
    *writing.rows().1 = RowReader::default();
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::redact::Redactor;
    use crate::sqlite::SqliteStore;
    use crate::store::{Reading, ReadingPlace, Store};
    use crate::{Admitted, Intake, Lookup, Message, Note, Origin, Put, Record, Role, Scope, Session};

    fn secret() -> String {
        format!("gh{}_{}", 'p', "a".repeat(30) + "7q2xz9")
    }

    fn bytes_of(folder: &std::path::Path) -> Vec<u8> {
        let files = std::fs::read_dir(folder).unwrap().flatten();
        files.flat_map(|file| std::fs::read(file.path()).unwrap_or_default()).collect()
    }

    #[test]
    fn what_was_kept_in_a_scope_named_by_a_secret_is_kept_in_another() {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(folder.path()).unwrap();
        let scope = Scope::parse(&format!("ana/{}", secret())).unwrap();
        // As an intake that knew no such rule let them in.
        let put = |record: Record| store.put(vec![Admitted::from_store(record)]).unwrap()[0];
        let message = |session: &str, key: &str| Record {
            session: Some(session.into()),
            key: Some(key.into()),
            ..Record::new(scope.clone(), "test", Origin::User, Message::new(Role::User, 0, "deploy ".repeat(40)))
        };
        let held = [put(message("s1", "m1")).id(), put(message("s2", "m2")).id()];
        let note = put(Record::new(scope.clone(), "test", Origin::User, Note::new("needs the VPN"))).id();
        let purged = put(Record { key: Some("k".into()), ..message("s3", "k") }).id();
        store.forget(&[purged], jiff::Timestamp::UNIX_EPOCH).unwrap();
        store.purge(jiff::Timestamp::now()).unwrap();
        let elsewhere = Record::new(Scope::parse("ana").unwrap(), "test", Origin::User, Note::new("mine"));
        let elsewhere = store.put(vec![Intake::new().admit_one(elsewhere).unwrap()]).unwrap()[0].id();

        let found = store.find_secrets(&Redactor::default(), &mut |_, _| true).unwrap();
        assert_eq!((found.scopes, found.records.len()), (1, 0));
        store.remove_secrets(&Redactor::default(), &found, &mut |_, _| true).unwrap();
        store.vacuum().unwrap();

        let clean = scope.without_secrets();
        let scope_of = |id| match store.get(&[id]).unwrap().remove(0) {
            Lookup::Found(stored) => stored.record.scope,
            other => panic!("{other:?}"),
        };
        assert!(held.iter().chain([&note]).all(|id| scope_of(*id) == clean));
        assert_eq!(scope_of(elsewhere).path(), "ana");
        assert!(matches!(store.get(&[purged]).unwrap()[0], Lookup::Forgotten(_)));
        let sessions = store.sessions(&clean.clone().into(), 10).unwrap();
        assert!(["s1", "s2"].iter().all(|id| sessions.iter().any(|entry| entry.session.id == *id)), "{sessions:?}");
        assert!(store.find_secrets(&Redactor::default(), &mut |_, _| true).unwrap().is_none());
        assert!(store.check(&mut |_, _| true).unwrap().is_empty());
        // Read again from the same place, the same records are met, and what was forgotten stays so.
        for (key, put) in [("m1", Put::Known(held[0])), ("k", Put::Forgotten(purged))] {
            let session = if key == "k" { "s3" } else { "s1" };
            let again = Record { scope: clean.clone(), ..message(session, key) };
            assert_eq!(store.put(vec![Intake::new().admit_one(again).unwrap()]).unwrap(), [put]);
        }
        drop(store);
        let bytes = bytes_of(folder.path());
        assert!(!bytes.windows(secret().len()).any(|window| window == secret().as_bytes()));
    }

    #[test]
    fn the_place_of_a_transcript_and_its_session_keep_no_secret() {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(folder.path()).unwrap();
        let path = format!("/home/ana/.claude/projects/-srv-{}/t.jsonl", secret());
        let place = ReadingPlace { tool: "claude-code".into(), path, scope: String::new() };
        let reading = Reading { fingerprint: Some(7), ..Reading::default() };
        store.put_reading(&place, &reading).unwrap();
        assert_eq!(store.reading(&place).unwrap(), Some(reading));
        store.put_session(Session::new("test", "s", Scope::parse(&format!("ana/{}", secret())).unwrap())).unwrap();
        drop(store);
        let bytes = bytes_of(folder.path());
        assert!(!bytes.windows(secret().len()).any(|window| window == secret().as_bytes()));
    }
}

//! What every [`super::Store`] keeps, as one function that all implementations pass.

use jiff::{SignedDuration, Timestamp};

use super::{Beside, Exposure, Filter, Lookup, Order, Patch, Put, Reading, ReadingPlace, Row, Store};
use crate::change::ChangeKind;
use crate::id::RecordId;
use crate::intake::{Admitted, Intake};
use crate::record::{Body, Episode, Kind, Message, Note, Origin, Outcome, Record, Role};
use crate::scope::{ReadSet, Scope};
use crate::session::Session;

/// Checks the contract on empty stores that `open` makes.
///
/// # Panics
/// When the store breaks the contract, with what it broke.
pub fn check<S: Store>(mut open: impl FnMut() -> S) {
    what_was_put_is_found_in_every_way(&open());
    the_same_provenance_adds_nothing(&open());
    a_failed_put_leaves_nothing(&open());
    a_forgotten_record_is_gone_until_it_is_brought_back(&open());
    a_purged_record_stays_known_by_its_provenance(&open());
    an_update_changes_what_it_names_alone(&open());
    the_log_has_no_gap_and_its_hashes_are_linked(&open());
    lists_keep_to_their_filter(&open());
    sessions_learn_and_their_messages_have_neighbours(&open());
    exposures_come_back_newest_first(&open());
    a_record_that_votes_for_itself_gains_nothing(&open());
    an_episode_says_how_its_session_ended_where_that_was_given_something(&open());
    credit_can_start_anew_and_a_holdout_is_kept(&open());
    credit_goes_on_to_what_is_drawn_anew(&open());
    a_reading_is_kept_for_each_transcript_tool_and_scope(&open());
}

fn scope(path: &str) -> Scope {
    Scope::parse(path).expect("a valid scope")
}

fn note(path: &str, text: &str) -> Record {
    Record::new(scope(path), "test", Origin::User, Note::new(text))
}

fn admit(record: Record) -> Admitted {
    Intake::new().admit_one(record).expect("an admissible record")
}

fn put_one(store: &dyn Store, record: Record) -> RecordId {
    let put = store.put(vec![admit(record)]).expect("the record is put");
    assert_eq!(put.len(), 1);
    put[0].id()
}

fn get_one(store: &dyn Store, id: RecordId) -> Lookup {
    store.get(&[id]).expect("the store answers").pop().expect("one answer for one id")
}

fn later() -> Timestamp {
    Timestamp::now() + SignedDuration::from_hours(1)
}

fn what_was_put_is_found_in_every_way(store: &dyn Store) {
    let mut record = note("ana/shop", "数据库连接池 max=50 — größer 🙂");
    record.tags = vec!["db".to_owned(), "池".to_owned()];
    record.pinned = true;
    record.session = Some("s-1".to_owned());
    record.key = Some("k".to_owned());
    record.replaces = Some(RecordId::new());
    record.expires_at = Some("2100-01-01T00:00:00Z".parse().expect("a time"));
    record.created_at = Timestamp::from_millisecond(record.created_at.as_millisecond()).expect("a time");
    let replaced = record.replaces;
    let id = put_one(store, record.clone());
    let found = get_one(store, id).found().expect("found by id");
    assert_eq!(found.record, record);
    assert!(found.forgotten.is_none());
    let by_row = store.get_rows(&[found.row]).expect("the store answers").remove(0).found().expect("found by row");
    assert_eq!(by_row, found);
    let prefix = id.to_string()[..30].parse().expect("a prefix");
    assert_eq!(store.find(prefix, 10).expect("the store answers"), [id]);
    assert_eq!(store.replaced_by(&[replaced.expect("set above"), id]).expect("the store answers"), [Some(id), None]);
    assert!(matches!(get_one(store, RecordId::new()), Lookup::Missing));
    assert!(matches!(store.get_rows(&[Row(999)]).expect("the store answers")[0], Lookup::Missing));
}

fn the_same_provenance_adds_nothing(store: &dyn Store) {
    let keyed = |path: &str, session: Option<&str>, key: &str| {
        let mut record = note(path, "once");
        record.session = session.map(str::to_owned);
        record.key = Some(key.to_owned());
        record
    };
    let first = put_one(store, keyed("a", Some("s"), "1"));
    let again = store.put(vec![admit(keyed("a", Some("s"), "1"))]).expect("a repeat is no error");
    assert_eq!(again, [Put::Known(first)]);
    for other in
        [keyed("b", Some("s"), "1"), keyed("a", Some("t"), "1"), keyed("a", None, "1"), keyed("a", Some("s"), "2")]
    {
        assert!(store.put(vec![admit(other)]).expect("it is put")[0].is_new(), "another provenance is another record");
    }
    store.forget(&[first], later()).expect("it is forgotten");
    let after = store.put(vec![admit(keyed("a", Some("s"), "1"))]).expect("a repeat is no error");
    assert_eq!(after, [Put::Forgotten(first)], "importing again does not bring back what was forgotten");
    let twice = vec![admit(keyed("c", None, "x")), admit(keyed("c", None, "x"))];
    let puts = store.put(twice).expect("a repeat within one call is no error");
    assert!(puts[0].is_new() && puts[1] == Put::Known(puts[0].id()));
}

fn a_failed_put_leaves_nothing(store: &dyn Store) {
    let taken = note("a", "taken");
    let same_id = Record { key: None, ..taken.clone() };
    put_one(store, taken);
    let before = store.head().expect("the store answers");
    let fresh = note("a", "fresh");
    let fresh_id = fresh.id;
    store.put(vec![admit(fresh), admit(same_id)]).expect_err("an id can be taken once");
    assert!(matches!(get_one(store, fresh_id), Lookup::Missing), "all or none");
    assert_eq!(store.head().expect("the store answers"), before);
    put_one(store, note("a", "the store goes on"));
}

fn a_forgotten_record_is_gone_until_it_is_brought_back(store: &dyn Store) {
    let id = put_one(store, note("a", "private"));
    assert_eq!(store.forget(&[id], later()).expect("it is forgotten"), 1);
    assert!(matches!(get_one(store, id), Lookup::Forgotten(_)));
    assert_eq!(store.forget(&[id], later()).expect("forgetting twice is no error"), 0);
    assert!(store.list(&Filter::default()).expect("the store answers").is_empty());
    store.update(id, Patch { pinned: Some(true), ..Patch::default() }).expect_err("it is forgotten");
    store.undo_forget(id).expect("it comes back");
    assert!(get_one(store, id).found().is_some());
    store.undo_forget(id).expect_err("it is not forgotten");
    store.forget(&[id, RecordId::new()], later()).expect_err("an unknown id");
    assert!(get_one(store, id).found().is_some(), "nothing was done");
}

fn a_purged_record_stays_known_by_its_provenance(store: &dyn Store) {
    let mut record = note("a", "gone for good");
    record.key = Some("k".to_owned());
    let id = put_one(store, record.clone());
    let now = Timestamp::now();
    store.forget(&[id], now - SignedDuration::from_secs(1)).expect("it is forgotten");
    let mut expiring = note("a", "yesterday's");
    expiring.expires_at = Some(now - SignedDuration::from_secs(1));
    let expired = put_one(store, expiring);
    assert_eq!(store.purge(now).expect("it is purged"), 2);
    assert_eq!(store.purge(now).expect("nothing is left to purge"), 0);
    for id in [id, expired] {
        assert!(matches!(get_one(store, id), Lookup::Forgotten(_)));
        store.undo_forget(id).expect_err("its text is gone");
    }
    record.id = RecordId::new();
    assert_eq!(store.put(vec![admit(record)]).expect("a repeat is no error"), [Put::Forgotten(id)]);
}

fn an_update_changes_what_it_names_alone(store: &dyn Store) {
    let id = put_one(store, Record::new(scope("a"), "test", Origin::Agent, Episode::new("deploy the shop")));
    let before = get_one(store, id).found().expect("found").record;
    let patch = Patch { outcome: Some((Outcome::Success, Some("exit code 0".to_owned()))), ..Patch::default() };
    store.update(id, patch).expect("it is updated");
    store.update(id, Patch { tags: Some(vec!["x".into()]), ..Patch::default() }).expect("it is updated");
    let after = get_one(store, id).found().expect("found").record;
    let Body::Episode(episode) = &after.body else { panic!("it is still an episode") };
    assert_eq!((episode.outcome, episode.reason.as_deref()), (Outcome::Success, Some("exit code 0")));
    assert_eq!(after.tags, ["x"]);
    assert_eq!(Record { body: before.body.clone(), tags: Vec::new(), ..after }, before);
    let id = put_one(store, note("a", "no episode"));
    store
        .update(id, Patch { outcome: Some((Outcome::Failure, None)), ..Patch::default() })
        .expect_err("a note has no outcome");
    store.update(RecordId::new(), Patch::default()).expect_err("an unknown id");
}

fn the_log_has_no_gap_and_its_hashes_are_linked(store: &dyn Store) {
    let start = store.head().expect("the store answers");
    assert_eq!(start.seq, 0);
    let id = put_one(store, note("a", "one"));
    put_one(store, note("a", "two"));
    store.update(id, Patch { pinned: Some(true), ..Patch::default() }).expect("it is updated");
    store.forget(&[id], later()).expect("it is forgotten");
    store.undo_forget(id).expect("it comes back");
    let log = store.changes(0, 100).expect("the store answers");
    use ChangeKind::*;
    assert_eq!(log.changes.iter().map(|change| change.kind).collect::<Vec<_>>(), [Put, Put, Update, Forget, Undo]);
    assert_eq!(log.changes.iter().map(|change| change.seq).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
    assert_eq!(log.changes[0].row, log.changes[2].row);
    assert_eq!(log.head, store.head().expect("the store answers"));
    assert_eq!((log.head.seq, log.head.chain), (5, log.changes[4].chain));
    assert_eq!(store.position_at(3).expect("the store answers").expect("it has it").chain, log.changes[2].chain);
    assert_eq!(store.position_at(0).expect("the store answers"), Some(start));
    assert_eq!(store.position_at(6).expect("the store answers"), None);
    let part = store.changes(2, 2).expect("the store answers");
    assert_eq!(part.changes, log.changes[2..4]);
    assert_eq!(part.head, log.head);
}

fn lists_keep_to_their_filter(store: &dyn Store) {
    let day = |text: &str| -> Timestamp { text.parse().expect("a time") };
    let mut ids = Vec::new();
    for (number, path) in ["a", "a/b", "a/bc", "z"].into_iter().enumerate() {
        let mut record = note(path, "listed");
        record.created_at = day(&format!("2026-01-0{}T00:00:00Z", number + 1));
        ids.push(put_one(store, record));
    }
    let mut message = Record::new(scope("a"), "other", Origin::User, Message::new(Role::User, 0, "hello"));
    message.session = Some("s".to_owned());
    let message = put_one(store, message);
    let list = |filter: Filter| -> Vec<RecordId> {
        let found = store.list(&filter).expect("the store answers").into_iter();
        found.map(|lookup| lookup.found().expect("found").record.id).collect()
    };
    let all = Filter::default;
    assert_eq!(list(all()), [ids[0], ids[1], ids[2], ids[3], message]);
    let within = |text: &str| ReadSet::new([text.parse().expect("a read set's entry")]);
    assert_eq!(list(Filter { scopes: within("a/b"), ..all() }), [ids[1]]);
    assert_eq!(list(Filter { scopes: within("=a"), ..all() }), [ids[0], message]);
    assert_eq!(list(Filter { scopes: ReadSet::new([]), ..all() }), []);
    assert_eq!(list(Filter { kinds: vec![Kind::Message], ..all() }), [message]);
    assert_eq!(list(Filter { session: Some("s".into()), ..all() }), [message]);
    assert_eq!(list(Filter { source: Some("other".into()), ..all() }), [message]);
    let since = Some(day("2026-01-02T00:00:00Z"));
    let until = Some(day("2026-01-03T00:00:00Z"));
    assert_eq!(list(Filter { since, until, ..all() }), [ids[1]], "since is inside, until is outside");
    let newest = list(Filter { order: Order::Newest, limit: 2, ..all() });
    assert_eq!(newest, [message, ids[3]]);
    let row = get_one(store, ids[3]).found().expect("found").row;
    let next = list(Filter { order: Order::Newest, after: Some(row), limit: 2, ..all() });
    assert_eq!(next, [ids[2], ids[1]]);
    let mut placed = vec![message];
    for (position, text) in [(3, "fourth"), (1, "second"), (2, "third"), (1, "beside the second")] {
        let mut record = Record::new(scope("a"), "other", Origin::User, Message::new(Role::User, position, text));
        record.session = Some("s".to_owned());
        placed.push(put_one(store, record));
    }
    let of_session = |after| Filter { session: Some("s".into()), order: Order::Place, limit: 3, after, ..all() };
    assert_eq!(list(of_session(None)), [placed[0], placed[2], placed[4]]);
    let row = get_one(store, placed[4]).found().expect("found").row;
    assert_eq!(list(of_session(Some(row))), [placed[3], placed[1]]);
    assert_eq!(list(Filter { order: Order::Place, ..all() }).len(), 5, "what has no place is left out");
}

fn sessions_learn_and_their_messages_have_neighbours(store: &dyn Store) {
    let mut session = Session::new("test", "s-1", scope("a"));
    session.title = Some("first".to_owned());
    store.put_session(session.clone()).expect("it is put");
    session.title = None;
    session.branch = Some("main".to_owned());
    store.put_session(session).expect("it is put");
    let mut ids = Vec::new();
    for position in [0, 1, 2, 5, 6] {
        let message = Message::new(Role::User, position, format!("turn {position}"));
        let mut record = Record::new(scope("a"), "test", Origin::User, message);
        record.session = Some("s-1".to_owned());
        ids.push(put_one(store, record));
    }
    let mut elsewhere = Record::new(scope("b"), "test", Origin::User, Message::new(Role::User, 3, "elsewhere"));
    elsewhere.session = Some("s-1".to_owned());
    put_one(store, elsewhere);
    store.forget(&[ids[3]], later()).expect("it is forgotten");
    let entries = store.sessions(&scope("a").into(), 10).expect("the store answers");
    assert_eq!(entries.len(), 1);
    assert_eq!(entries[0].session.title.as_deref(), Some("first"), "what was known stays");
    assert_eq!(entries[0].session.branch.as_deref(), Some("main"), "what is new is learned");
    assert_eq!(entries[0].messages, 4);
    assert_eq!(store.find_sessions("s-", 10).expect("the store answers").len(), 2, "one in each scope");
    let named = store.sessions_named("test", "s-1").expect("the store answers");
    assert!(!named.is_empty() && named.iter().all(|session| session.id == "s-1" && session.source == "test"));
    assert!(store.sessions_named("test", "s-").expect("the store answers").is_empty(), "no beginning of an id");
    assert!(store.sessions_named("other", "s-1").expect("the store answers").is_empty());
    let row = get_one(store, ids[2]).found().expect("found").row;
    let around = store.neighbours(row, 1, 5).expect("the store answers");
    let around: Vec<_> = around.into_iter().map(|lookup| lookup.found().expect("found").record.id).collect();
    assert_eq!(around, [ids[1], ids[4]], "in order, without itself, what is forgotten, or another scope's");
    let note = get_one(store, put_one(store, note("a", "no session"))).found().expect("found").row;
    let beside = store.beside(&[row, note, Row(999)], 2).expect("the store answers");
    let at = |place: usize| get_one(store, ids[place]).found().expect("found").row;
    assert_eq!(beside[0], Beside { before: vec![at(1), at(0)], after: vec![at(4)] }, "the nearest first");
    assert_eq!(beside[1..], [Beside::default(), Beside::default()], "nothing without a session");
}

fn exposures_come_back_newest_first(store: &dyn Store) {
    let at = Timestamp::from_second(1_800_000_000).expect("a time");
    let exposure = |run: &str| Exposure { at, ..Exposure::new(run, "怎么部署", vec![RecordId::new()]) };
    let one = exposure("r1");
    let two = Exposure { task: Some("deploy".to_owned()), holdout: true, ..exposure("r2") };
    let version = store.trials_version().expect("the store answers");
    store.expose(one.clone()).expect("it is noted");
    store.expose(two.clone()).expect("it is noted");
    assert_eq!(store.exposures(10).expect("the store answers"), [two.clone(), one.clone()]);
    store.finish_run("r1", Outcome::Unknown, None).expect("it is noted");
    store.finish_run("r1", Outcome::Success, Some("tests pass")).expect("what is said again replaces");
    assert_ne!(store.trials_version().expect("the store answers"), version);
    store.expose(Exposure { at, ..Exposure::new("r1", "again", vec![one.records[0], two.records[0]]) }).expect("noted");
    let trials = store.trials(10).expect("the store answers");
    assert_eq!(trials.iter().map(|trial| trial.run.as_str()).collect::<Vec<_>>(), ["r1", "r2"], "oldest first");
    assert_eq!(trials[0].records, [one.records[0], two.records[0]], "what was given twice was given once");
    assert_eq!((trials[0].outcome, trials[0].reason.as_deref()), (Some(Outcome::Success), Some("tests pass")));
    assert_eq!((trials[1].outcome, trials[1].holdout, trials[1].task.as_deref()), (None, true, Some("deploy")));
    store.expose(Exposure::new(" ", "x", Vec::new())).expect_err("a run has a name");
    store.finish_run("", Outcome::Success, None).expect_err("a run has a name");
}

fn a_record_that_votes_for_itself_gains_nothing(store: &dyn Store) {
    let mut own = note("a", "this run went well");
    own.session = Some("run-1".to_owned());
    let own = put_one(store, own);
    let other = put_one(store, note("a", "from elsewhere"));
    store.expose(Exposure::new("run-1", "q", vec![own, other])).expect("it is noted");
    store.expose(Exposure::new("run-2", "q", vec![own])).expect("it is noted");
    let trials = store.trials(10).expect("the store answers");
    assert_eq!(trials[0].records, [other], "what came out of the run is not credited with it");
    assert_eq!(trials[1].records, [own], "another run may speak for it");
}

fn an_episode_says_how_its_session_ended_where_that_was_given_something(store: &dyn Store) {
    let given = put_one(store, note("a", "the VPN first"));
    store.expose(Exposure::new("session-1", "deploy", vec![given])).expect("it is noted");
    let episode = |session: &str, outcome| {
        let mut episode = Episode::new("deploy the shop");
        (episode.outcome, episode.reason) = (outcome, Some("the smoke test".to_owned()));
        let mut record = Record { body: episode.into(), ..note("a", "") };
        record.session = Some(session.to_owned());
        record
    };
    let ended = || store.trials(10).expect("the store answers").pop().expect("there is a trial").outcome;
    put_one(store, episode("session-1", Outcome::Unknown));
    assert_eq!(ended(), None, "nothing known is nothing said");
    let id = put_one(store, episode("session-1", Outcome::Failure));
    put_one(store, episode("session-2", Outcome::Success));
    assert_eq!(ended(), Some(Outcome::Failure));
    let said = |outcome| Patch { outcome: Some((outcome, None)), ..Patch::default() };
    for outcome in [Outcome::Success, Outcome::Unknown] {
        store.update(id, said(outcome)).expect("it is an episode");
        assert_eq!(ended(), Some(outcome), "what a person says replaces what the transcript shows");
    }
    assert_eq!(store.trials(10).expect("the store answers").len(), 1, "who was given nothing has no trial");
}

fn credit_goes_on_to_what_is_drawn_anew(store: &dyn Store) {
    let next = |replaces: Option<RecordId>, body: Body| {
        let mut record = Record { body, ..note("a", "") };
        record.replaces = replaces;
        put_one(store, record)
    };
    let first = next(None, Episode::new("deploy the shop").into());
    let said = next(None, Note::new("the VPN first").into());
    store.expose(Exposure::new("run-1", "deploy", vec![first, said])).expect("it is noted");
    let reset = Timestamp::from_second(1_800_000_000).expect("a time");
    store.reset_credit(first, reset).expect("it is noted");
    let second = next(Some(first), Episode::new("deploy the shop").into());
    store.forget(&[first], Timestamp::now()).expect("it is forgotten");
    store.expose(Exposure::new("run-2", "deploy", vec![second, first])).expect("it is noted");
    let third = next(Some(second), Episode::new("deploy the shop").into());
    let version = store.trials_version().expect("the store answers");
    store.forget(&[second], Timestamp::now()).expect("it is forgotten");
    assert_ne!(store.trials_version().expect("the store answers"), version, "credit is to be computed again");
    store.purge(Timestamp::MAX).expect("it is purged");
    // What a person said anew is another statement, which has to earn its own.
    next(Some(said), Note::new("the VPN last").into());
    store.forget(&[said], Timestamp::MAX).expect("it is forgotten");
    let trials = store.trials(10).expect("the store answers");
    assert_eq!(trials[0].records, [third, said]);
    assert_eq!(trials[1].records, [third], "each once");
    assert_eq!(store.credit_resets().expect("the store answers"), [(third, reset)]);
}

fn credit_can_start_anew_and_a_holdout_is_kept(store: &dyn Store) {
    let id = put_one(store, note("a", "doubted"));
    let at = Timestamp::from_second(1_800_000_000).expect("a time");
    let version = store.trials_version().expect("the store answers");
    store.reset_credit(id, at).expect("it is noted");
    assert_eq!(store.credit_resets().expect("the store answers"), [(id, at)]);
    assert_ne!(store.trials_version().expect("the store answers"), version);
    assert_eq!(store.holdout().expect("the store answers"), 0.0, "off until asked for");
    store.set_holdout(0.1).expect("it is set");
    assert_eq!(store.holdout().expect("the store answers"), 0.1);
    for wrong in [-0.1, 1.0, f64::NAN] {
        store.set_holdout(wrong).expect_err("no share of runs");
    }
}

fn a_reading_is_kept_for_each_transcript_tool_and_scope(store: &dyn Store) {
    let place = ReadingPlace { tool: "codex".into(), path: "/home/ana/a.jsonl".into(), scope: String::new() };
    assert_eq!(store.reading(&place).expect("the store answers"), None);
    let mut reading = Reading { fingerprint: Some(u64::MAX), ..Reading::default() };
    reading.cursor.offset = 7;
    reading.sessions.push(Session::new("codex", "s-1", scope("ana")));
    store.put_reading(&place, &reading).expect("it is noted");
    reading.cursor.offset = 9;
    store.put_reading(&place, &reading).expect("it is noted again");
    assert_eq!(store.reading(&place).expect("the store answers").as_ref(), Some(&reading));
    let other = ReadingPlace { scope: "bo".into(), ..place };
    assert_eq!(store.reading(&other).expect("the store answers"), None);
}

//! What every [`super::Index`] keeps, as one function that all implementations pass.

use harness_memory::change::CHAIN_START;
use harness_memory::{
    Episode, Intake, Kind, Lookup, Message, Note, Origin, Position, ReadSet, Record, RecordId, Role, Row, Scope, Store,
};
use jiff::{SignedDuration, Timestamp};

use super::{Filter, Found, Index, Search};
use crate::catch_up::{catch_up, standing};

/// Checks the contract on indexes that `open` makes in empty places and stores that `store` makes.
///
/// Records and searches say the same words, so that an index of meaning passes as one of text does.
///
/// # Panics
/// When the index breaks the contract, with what it broke.
pub fn check<S: Store, I: Index>(mut store: impl FnMut() -> S, mut open: impl FnMut() -> I) {
    an_empty_index_must_be_reset_and_then_follows(&store(), &mut open());
    what_was_written_is_found_before_and_after_it_is_applied(&store(), &mut open());
    applying_twice_is_applying_once(&store(), &mut open());
    a_rebuild_finds_the_same_in_the_same_order(&store(), &mut open(), &mut open());
    a_forgotten_record_is_gone_at_once_and_comes_back(&store(), &mut open());
    a_filter_lets_nothing_else_through(&store(), &mut open());
    a_position_of_another_history_is_noticed(&store(), &store(), &mut open());
    who_stops_goes_on_later(&store(), &mut open());
}

/// Texts of which each is found by its own words.
const TEXTS: [&str; 8] = [
    "the deployment failed because the disk of the build server was full",
    "数据库连接池耗尽，把上限从二十改成五十以后恢复",
    "データベースの移行は金曜日の夜に行う",
    "배포 서버의 인증서를 다음 주에 갱신한다",
    "fn parse_header(input: &str) -> Result<Header> was renamed to read_header",
    "we decided to keep PostgreSQL 16 for the warehouse",
    "登录失败：令牌已过期，请重新获取",
    "the parrot prefers sunflower seeds in the morning",
];

fn put(store: &dyn Store, record: Record) -> RecordId {
    let admitted = Intake::new().admit_one(record).expect("an admissible record");
    store.put(vec![admitted]).expect("the record is put")[0].id()
}

fn note(scope: &str, text: &str) -> Record {
    Record::new(Scope::parse(scope).expect("a valid scope"), "test", Origin::User, Note::new(text))
}

fn fill(store: &dyn Store) -> Vec<RecordId> {
    TEXTS.iter().map(|text| put(store, note("ana/shop", text))).collect()
}

fn follow(store: &dyn Store, index: &mut dyn Index) -> u64 {
    catch_up(store, index, &mut |_, _| true).expect("the index catches up")
}

fn row(store: &dyn Store, id: RecordId) -> Row {
    match store.get(&[id]).expect("the store answers").pop() {
        Some(Lookup::Found(stored)) => stored.row,
        other => panic!("record {id} is not found: {other:?}"),
    }
}

fn find(store: &dyn Store, index: &dyn Index, text: &str) -> Found {
    let reads = ReadSet::everything();
    index.search(store, &Search::new(text, &reads, 20)).expect("the index answers")
}

fn rows(found: &Found) -> Vec<Row> {
    found.candidates.iter().map(|candidate| candidate.row).collect()
}

fn assert_each_is_found(store: &dyn Store, index: &dyn Index, ids: &[RecordId]) {
    for (id, text) in ids.iter().zip(TEXTS) {
        let found = find(store, index, text);
        assert_eq!(rows(&found).first(), Some(&row(store, *id)), "{text:?} is not found by its own words");
        assert!(found.candidates.is_sorted_by(|a, b| a.score >= b.score), "the best come first");
    }
}

fn an_empty_index_must_be_reset_and_then_follows(store: &dyn Store, index: &mut dyn Index) {
    assert_eq!(index.applied().expect("an answer"), None);
    assert_eq!(follow(store, index), 0);
    fill(store);
    assert_eq!(follow(store, index), TEXTS.len() as u64);
    assert_eq!(index.applied().expect("an answer"), Some(store.head().expect("a head")));
    assert_eq!(follow(store, index), 0);
    assert_eq!(index.status().expect("a status").documents, TEXTS.len() as u64);
}

fn what_was_written_is_found_before_and_after_it_is_applied(store: &dyn Store, index: &mut dyn Index) {
    let mut ids = fill(store);
    assert_each_is_found(store, index, &ids);
    let before: Vec<_> = TEXTS.iter().map(|text| find(store, index, text)).collect();
    follow(store, index);
    for (text, before) in TEXTS.iter().zip(before) {
        let after = find(store, index, text);
        assert_eq!(rows(&before), rows(&after), "the order of {text:?} changed with the commit");
        assert_eq!((before.lag, after.lag, after.unsearched), (TEXTS.len() as u64, 0, 0));
    }
    ids.push(put(store, note("ana", "a heron stood in the pond behind the office")));
    let found = find(store, index, "the heron in the pond");
    assert_eq!(rows(&found).first(), Some(&row(store, ids[TEXTS.len()])));
    assert_eq!(found.lag, 1);
    assert_each_is_found(store, index, &ids);
}

fn applying_twice_is_applying_once(store: &dyn Store, index: &mut dyn Index) {
    let ids = fill(store);
    follow(store, index);
    let once: Vec<_> = TEXTS.iter().map(|text| find(store, index, text)).collect();
    let lookups = store.get(&ids).expect("the store answers");
    let live: Vec<_> = lookups.into_iter().filter_map(Lookup::found).collect();
    let position = store.head().expect("a head");
    let batch = super::Batch { rows: live.iter().map(|stored| stored.row).collect(), live, position, ahead: None };
    for _ in 0..2 {
        index.apply(&batch).expect("the batch is applied again");
    }
    let twice: Vec<_> = TEXTS.iter().map(|text| find(store, index, text)).collect();
    assert_eq!(once, twice);
    assert_eq!(index.status().expect("a status").documents, TEXTS.len() as u64);
}

fn a_rebuild_finds_the_same_in_the_same_order(store: &dyn Store, grown: &mut dyn Index, fresh: &mut dyn Index) {
    let ids = fill(store);
    follow(store, grown);
    for round in 0..5 {
        put(store, note("ana", &format!("round {round}: the build server and the disk again")));
        if round == 2 {
            store.forget(&ids[..1], Timestamp::now() + SignedDuration::from_hours(1)).expect("forgotten");
        }
        follow(store, grown);
    }
    follow(store, fresh);
    for text in TEXTS.iter().chain(&["build server disk", "round"]) {
        assert_eq!(find(store, grown, text), find(store, fresh, text), "{text:?}");
    }
    fresh.reset().expect("emptied");
    assert_ne!(fresh.applied().expect("an answer"), Some(store.head().expect("a head")));
    follow(store, fresh);
    assert_eq!(find(store, grown, TEXTS[1]), find(store, fresh, TEXTS[1]));
}

fn a_forgotten_record_is_gone_at_once_and_comes_back(store: &dyn Store, index: &mut dyn Index) {
    let ids = fill(store);
    follow(store, index);
    let gone = row(store, ids[0]);
    store.forget(&ids[..1], Timestamp::now() + SignedDuration::from_hours(1)).expect("forgotten");
    assert!(!rows(&find(store, index, TEXTS[0])).contains(&gone), "it is proposed before the index caught up");
    follow(store, index);
    assert!(!rows(&find(store, index, TEXTS[0])).contains(&gone), "it is proposed after the index caught up");
    assert_eq!(index.status().expect("a status").documents, TEXTS.len() as u64 - 1);
    store.undo_forget(ids[0]).expect("brought back");
    assert_each_is_found(store, index, &ids);
    follow(store, index);
    assert_each_is_found(store, index, &ids);
}

fn a_filter_lets_nothing_else_through(store: &dyn Store, index: &mut dyn Index) {
    let text = TEXTS[7];
    let at = |hours| Timestamp::UNIX_EPOCH + SignedDuration::from_hours(hours);
    let mut expected = Vec::new();
    for (scope, session, hours) in [("ana", None, 1), ("ana/shop", Some("s1"), 2), ("ana/shopping", Some("s2"), 3)] {
        let mut said = note(scope, text);
        (said.session, said.created_at) = (session.map(str::to_owned), at(hours));
        let mut turn = said.clone();
        (turn.id, turn.body) = (RecordId::new(), Message::new(Role::User, 0, text).into());
        let mut episode = said.clone();
        (episode.id, episode.body) = (RecordId::new(), Episode::new(text).into());
        for record in [said, turn, episode] {
            expected.push((put(store, record.clone()), record));
        }
    }
    let reads: Vec<ReadSet> = ["/", "ana", "=ana", "ana/shop", "ben"]
        .iter()
        .map(|path| ReadSet::new([path.parse().expect("a readable scope")]))
        .chain([ReadSet::new([]), ReadSet::new(["=ana", "ana/shop"].map(|path| path.parse().expect("a scope")))])
        .collect();
    for applied in [false, true] {
        if applied {
            follow(store, index);
        }
        for reads in &reads {
            for kinds in [&[][..], &[Kind::Note], &[Kind::Message, Kind::Episode], &[Kind::Lesson]] {
                for (session, without_session) in
                    [(None, None), (Some("s1"), None), (Some("s"), None), (None, Some("s1")), (None, Some("s"))]
                {
                    for (since, until) in
                        [(None, None), (Some(at(2)), None), (None, Some(at(2))), (Some(at(2)), Some(at(3)))]
                    {
                        let filter = Filter { reads, kinds, session, without_session, since, until };
                        let search = Search { filter, ..Search::new(text, reads, 20) };
                        let mut found = rows(&index.search(store, &search).expect("the index answers"));
                        let allowed = expected.iter().filter(|(_, record)| filter.allows(record));
                        let mut allowed: Vec<Row> = allowed.map(|(id, _)| row(store, *id)).collect();
                        found.sort_unstable();
                        allowed.sort_unstable();
                        assert_eq!(found, allowed, "{filter:?}, applied: {applied}");
                    }
                }
            }
        }
    }
}

fn a_position_of_another_history_is_noticed(one: &dyn Store, other: &dyn Store, index: &mut dyn Index) {
    fill(one);
    follow(one, index);
    put(other, note("ana", TEXTS[3]));
    assert_eq!(standing(other, index).expect("an answer"), None);
    assert!(find(other, index, TEXTS[0]).candidates.is_empty(), "another store's records are proposed");
    assert_eq!(follow(other, index), 1);
    assert_eq!(index.status().expect("a status").documents, 1);
    let head = other.head().expect("a head");
    let forged = Position { chain: CHAIN_START, ..head };
    index.apply(&super::Batch { rows: Vec::new(), live: Vec::new(), position: forged, ahead: None }).expect("applied");
    assert_eq!(standing(other, index).expect("an answer"), None);
}

fn who_stops_goes_on_later(store: &dyn Store, index: &mut dyn Index) {
    let ids = fill(store);
    let stopped = catch_up(store, index, &mut |_, _| false);
    assert!(matches!(stopped, Err(crate::Error::Stopped)));
    follow(store, index);
    index.settle().expect("settled");
    assert_each_is_found(store, index, &ids);
}

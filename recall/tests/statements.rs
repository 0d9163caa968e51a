//! What is true now comes first: fifty statements of which a newer one says otherwise, and such that only look alike.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use harness_memory::{Mode, Note, Origin, Query, ReadSet, Record, RecordId, Scope, Store};
use harness_recall::Engine;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde::de::DeserializeOwned;

#[derive(Deserialize)]
struct Changed {
    question: String,
    old: String,
    new: String,
}

#[derive(Deserialize)]
struct Alike {
    question: String,
    asked: String,
    alike: String,
}

fn lines<T: DeserializeOwned>(text: &str) -> Vec<T> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn changed() -> Vec<Changed> {
    lines(include_str!("data/statements.jsonl"))
}

struct Home {
    engine: Engine,
    _folder: tempfile::TempDir,
}

fn start() -> Timestamp {
    "2026-03-02T09:00:00Z".parse().unwrap()
}

impl Home {
    fn new() -> Home {
        let folder = tempfile::tempdir().unwrap();
        Home { engine: Engine::open(folder.path()).unwrap(), _folder: folder }
    }

    fn note(&self, text: &str, hours: i64, replaces: Option<RecordId>) -> RecordId {
        let mut record = Record::new(Scope::parse("ana").unwrap(), "test", Origin::User, Note::new(text));
        record.created_at = start() + SignedDuration::from_hours(hours);
        record.replaces = replaces;
        let admitted = self.engine.intake().admit_one(record).unwrap();
        self.engine.store().put(vec![admitted]).unwrap()[0].id()
    }

    /// The place of each of these in the answer.
    fn places(&self, question: &str, ids: [RecordId; 2]) -> [Option<usize>; 2] {
        let now = Some(start() + SignedDuration::from_hours(24 * 60));
        let query = Query { mode: Mode::Text, now, limit: 20, ..Query::new(question) };
        let hits = self.engine.recall(&query, &ReadSet::everything()).unwrap().hits;
        ids.map(|id| hits.iter().position(|hit| hit.id == id))
    }
}

/// The share of the pairs of which the newer comes first, and the questions of the others.
fn newer_first(told: bool) -> (f64, Vec<String>) {
    let (home, pairs) = (Home::new(), changed());
    let old: Vec<RecordId> = (0..).zip(&pairs).map(|(n, pair)| home.note(&pair.old, n, None)).collect();
    let new: Vec<RecordId> = (0..)
        .zip(&pairs)
        .zip(&old)
        .map(|((n, pair), old)| home.note(&pair.new, 24 * 20 + n, told.then_some(*old)))
        .collect();
    let mut wrong = Vec::new();
    for ((pair, old), new) in pairs.iter().zip(old).zip(new) {
        match home.places(&pair.question, [new, old]) {
            [Some(new), Some(old)] if new < old => {}
            [Some(_), None] => {}
            places => wrong.push(format!("{} (new and old at {places:?})", pair.question)),
        }
    }
    (1.0 - wrong.len() as f64 / pairs.len() as f64, wrong)
}

#[test]
fn a_statement_that_replaces_another_comes_first() {
    let (share, wrong) = newer_first(true);
    assert!(share >= 0.95, "{share}: {wrong:#?}");
}

#[test]
fn a_newer_statement_of_the_same_comes_first_though_nobody_said_that_it_replaces_the_older() {
    let (share, wrong) = newer_first(false);
    assert!(share >= 0.80, "{share}: {wrong:#?}");
}

#[test]
fn statements_that_only_look_alike_are_left_alone() {
    let home = Home::new();
    let pairs: Vec<Alike> = lines(include_str!("data/lookalikes.jsonl"));
    let ids: Vec<[RecordId; 2]> = (0..)
        .zip(&pairs)
        .map(|(n, pair)| [home.note(&pair.asked, n, None), home.note(&pair.alike, 24 * 20 + n, None)])
        .collect();
    let wrong: Vec<&str> = pairs
        .iter()
        .zip(ids)
        .filter(|(pair, ids)| home.places(&pair.question, *ids)[0] != Some(0))
        .map(|(pair, _)| pair.question.as_str())
        .collect();
    assert!(wrong.len() * 20 <= pairs.len(), "another statement came before the one asked for: {wrong:#?}");
}

#[test]
fn what_replaces_a_record_is_found_by_the_words_of_that_record() {
    for noise in [0, 12] {
        let home = Home::new();
        let first = home.note("the address of the VPN gateway is 10.1.2.3", 0, None);
        for number in 0..noise {
            home.note(&format!("printer {number} stands in room {number}: ask Eve for its address"), 1 + number, None);
        }
        let second = home.note("remote access now goes through bastion.internal", 20, Some(first));
        let third = home.note("everybody connects by wireguard since the move, ask Noor for a key", 30, Some(second));
        let question = "what is the address of the VPN gateway?";
        assert_eq!(home.places(question, [third, first])[0], Some(0), "with {noise} others");
        assert!(home.places(question, [third, first])[1] > Some(0));
    }
}

#[test]
fn statements_that_differ_in_what_matters_are_two_hits() {
    let pairs = [
        (
            "how is the search service rolled out to canary",
            "Before the search service is rolled out to canary the cache is emptied and the on-call engineer is told in the channel",
            "Before the search service is rolled out to production the cache is emptied and the on-call engineer is told in the channel",
        ),
        (
            "从甲机房迁到乙机房",
            "从甲机房迁到乙机房的时候先停写入再同步最后一批数据然后切换域名解析",
            "从乙机房迁到甲机房的时候先停写入再同步最后一批数据然后切换域名解析",
        ),
        (
            "本番環境の設定ファイル",
            "本番環境の設定ファイルは担当者が確認したあとで直接編集しなければならない",
            "本番環境の設定ファイルは担当者が確認したあとで直接編集してはならない",
        ),
    ];
    for (question, asked, other) in pairs {
        let home = Home::new();
        let ids = [home.note(asked, 0, None), home.note(other, 24, None)];
        let places = home.places(question, ids);
        assert!(places.iter().all(Option::is_some), "{question}: {places:?}");
    }
}

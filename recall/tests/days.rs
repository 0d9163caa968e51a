//! What is promised to who asks for a day, in four languages, through the engine as callers see it.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use harness_memory::{Answer, Body, Message, Mode, Note, Origin, Query, ReadSet, Record, Role, Scope, Store};
use harness_recall::Engine;
use jiff::tz::{Offset, TimeZone};

struct Home {
    engine: Engine,
    _folder: tempfile::TempDir,
}

/// Three days of work, told in four languages. The words of questions and dates are in all of them.
const TOLD: [(&str, &[&str]); 3] = [
    (
        "2026-11-24",
        &[
            "what happened to the deploy yesterday is that the token had run out",
            "昨天做了什么都没关系，今天把连接池改成五十",
            "昨日の作業の続きで、請求書のフォントを埋め込みました",
            "어제 뭐 했는지 모르겠지만 매치메이킹 서버를 고쳤습니다",
        ],
    ),
    (
        "2026-11-25",
        &["raise the rate limit to 300", "把限流改成三百", "夜間バッチを直しました", "랭크 점수 공식을 바꿨습니다"],
    ),
    (
        "2026-11-26",
        &["what we did on Nov 25 was fine, go on", "11月25号做了什么，先不管", "作業を続けて", "어제 한 일은 됐어요"],
    ),
];

impl Home {
    fn new() -> Home {
        let folder = tempfile::tempdir().unwrap();
        let home = Home { engine: Engine::open(folder.path()).unwrap(), _folder: folder };
        for (day, texts) in TOLD {
            for (position, text) in texts.iter().enumerate() {
                home.write(
                    &format!("{day}T12:0{position}:00Z"),
                    Message::new(Role::User, position as u32, (*text).to_owned()),
                );
            }
        }
        home
    }

    fn write(&self, at: &str, body: impl Into<Body>) {
        let mut record = Record::new(Scope::parse("ana").unwrap(), "test", Origin::User, body);
        record.created_at = at.parse().unwrap();
        record.session = matches!(record.body, Body::Message(_)).then(|| at[..10].to_owned());
        let admitted = self.engine.intake().admit_one(record).unwrap();
        self.engine.store().put(vec![admitted]).unwrap();
    }

    fn ask(&self, text: &str, now: &str) -> Answer {
        let query = Query { mode: Mode::Text, now: Some(now.parse().unwrap()), ..Query::new(text) };
        self.engine.recall(&query, &ReadSet::everything()).unwrap()
    }
}

fn days(answer: &Answer) -> Vec<String> {
    answer.hits.iter().map(|hit| hit.created_at.to_string()[..10].to_owned()).collect()
}

#[test]
fn who_asks_what_was_on_a_day_is_answered_with_that_day_and_surely() {
    let home = Home::new();
    home.write("2026-11-25T18:00:00Z", Note::new("the limit is in application.yml"));
    home.engine.catch_up(&mut |_, _| true).unwrap();
    for (question, now) in [
        ("what did we do yesterday", "2026-11-26T15:00:00Z"),
        ("what happened on Nov 25", "2026-11-29T12:00:00Z"),
        ("what did I work on last Wednesday?", "2026-11-29T12:00:00Z"),
        ("昨天做了什么", "2026-11-26T15:00:00Z"),
        ("11月25号干了啥", "2026-11-29T12:00:00Z"),
        ("上周三我們聊了什麼", "2026-12-01T12:00:00Z"),
        ("昨日は何をした", "2026-11-26T15:00:00Z"),
        ("先週の水曜日の作業", "2026-12-01T12:00:00Z"),
        ("어제 뭐 했지", "2026-11-26T15:00:00Z"),
        ("지난주 수요일에 한 일", "2026-12-01T12:00:00Z"),
    ] {
        let answer = home.ask(question, now);
        assert_eq!(days(&answer), ["2026-11-25"; 5], "{question}");
        assert!(answer.confidence > 0.8, "{question}: {}", answer.confidence);
        assert_eq!(answer.hits[0].why["date"].words, "it is of 2026-11-25, which the question names");
    }
}

#[test]
fn a_day_without_records_is_no_answer_and_says_so() {
    let home = Home::new();
    for question in ["what did we do yesterday", "昨天做了什么", "昨日は何をした", "어제 뭐 했지"] {
        let answer = home.ask(question, "2026-12-20T12:00:00Z");
        assert!(answer.confidence < 0.2, "{question}: {}", answer.confidence);
    }
}

#[test]
fn a_subject_counts_beside_the_day() {
    let home = Home::new();
    for (question, text) in [("what about the rate limit yesterday", "rate limit"), ("昨天的限流", "限流")] {
        let answer = home.ask(question, "2026-11-26T15:00:00Z");
        assert!(answer.hits[0].text.contains(text), "{question}: {}", answer.hits[0].text);
        let said: Vec<&str> = answer.hits.iter().filter_map(|hit| hit.why.get("text")).map(|why| &*why.words).collect();
        assert!(!said.iter().any(|words| words.contains("2026") || words.contains('日')), "{said:?}");
    }
}

#[test]
fn a_time_that_has_not_come_is_a_matter_of_words() {
    let home = Home::new();
    home.write("2026-11-23T09:00:00Z", Note::new("今天开始排期"));
    home.write("2026-11-20T09:00:00Z", Note::new("下周一部署生产环境，需要老王审批"));
    let answer = home.ask("下周一部署什么", "2026-11-27T12:00:00Z");
    assert!(answer.hits[0].text.starts_with("下周一部署"), "{}", answer.hits[0].text);
    assert!(answer.hits.iter().all(|hit| !hit.why.contains_key("date")));
}

#[test]
fn days_begin_at_midnight_where_the_question_is_asked() {
    let home = Home::new();
    home.write("2026-12-03T23:30:00Z", Note::new("早饭前修好了登录"));
    let now = Some("2026-12-04T23:00:00Z".parse().unwrap());
    let asked = |offset| {
        let time_zone = TimeZone::fixed(Offset::from_hours(offset).unwrap());
        let query = Query { mode: Mode::Text, now, time_zone, ..Query::new("昨天做了什么") };
        home.engine.recall(&query, &ReadSet::everything()).unwrap()
    };
    assert_eq!(days(&asked(8)), ["2026-12-03"], "it is the fifth there, and the note is of the fourth");
    assert_eq!(asked(8).hits[0].why["date"].words, "it is of 2026-12-04, which the question names");
    assert_eq!(asked(0).hits[0].why["date"].words, "it is of 2026-12-03, which the question names");
}

//! What ranking promises, through the engine as callers see it.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use harness_memory::{
    Answer, Body, Episode, Message, MessageForm, Mode, Note, Origin, Outcome, Query, ReadSet, Record, RecordId, Role,
    Scope, Store,
};
use harness_recall::Engine;

struct Home {
    engine: Engine,
    _folder: tempfile::TempDir,
}

impl Home {
    fn new() -> Home {
        let folder = tempfile::tempdir().unwrap();
        Home { engine: Engine::open(folder.path()).unwrap(), _folder: folder }
    }

    fn write(&self, at: &str, session: Option<&str>, body: impl Into<Body>) -> RecordId {
        let mut record = Record::new(Scope::parse("ana").unwrap(), "test", Origin::User, body);
        record.created_at = at.parse().unwrap();
        record.session = session.map(str::to_owned);
        let admitted = self.engine.intake().admit_one(record).unwrap();
        self.engine.store().put(vec![admitted]).unwrap()[0].id()
    }

    fn ask(&self, text: &str) -> Answer {
        self.answer(Query::new(text))
    }

    fn answer(&self, query: Query) -> Answer {
        let now = Some("2024-05-15T12:00:00Z".parse().unwrap());
        self.engine.recall(&Query { mode: Mode::Text, now, ..query }, &ReadSet::everything()).unwrap()
    }
}

fn ids(answer: &Answer) -> Vec<RecordId> {
    answer.hits.iter().map(|hit| hit.id).collect()
}

fn turn(position: u32, speaker: &str, text: &str) -> Message {
    Message { speaker: Some(speaker.to_owned()), ..Message::new(Role::User, position, text) }
}

const DAY: &str = "2024-05-01T10:00:00Z";

#[test]
fn the_turn_beside_a_match_is_answered_too_and_says_why() {
    let home = Home::new();
    let say = |position, text| home.write(DAY, Some("s"), turn(position, "Ana", text));
    say(0, "Hello there");
    say(1, "Which instrument did you buy at the flea market?");
    let beside = say(2, "A cello!");
    let other = home.write(DAY, Some("other"), turn(0, "Ana", "Good night"));
    let answer = home.ask("instrument from the flea market");
    let found = answer.hits.iter().find(|hit| hit.id == beside).expect("the neighbour is in the answer");
    assert!(found.why["neighbours"].words.contains("beside a turn that matches"), "{:?}", found.why);
    assert!(!ids(&answer).contains(&other), "another session's turn is not");
}

#[test]
fn a_forgotten_neighbour_stays_out() {
    let home = Home::new();
    let say = |position, text| home.write(DAY, Some("s"), turn(position, "Ana", text));
    say(1, "Which instrument did you buy at the flea market?");
    let gone = say(2, "A cello!");
    let kept = say(3, "It was cheap");
    home.engine.store().forget(&[gone], "2100-01-01T00:00:00Z".parse().unwrap()).unwrap();
    let found = ids(&home.ask("flea market instrument"));
    assert!(!found.contains(&gone) && found.contains(&kept));
}

#[test]
fn sessions_come_one_after_the_other_and_one_that_has_all_the_words_together_is_first() {
    let home = Home::new();
    let say = |session, position, text| home.write(DAY, Some(session), turn(position, "Ana", text));
    let often = [
        "The harbour was full of boats in spring",
        "Boats left the harbour at night when it rained hard",
        "My uncle counts boats near the harbour wall on Sundays",
        "A new harbour for larger boats is planned by the council",
        "Fog over the harbour kept most boats at home all week",
    ];
    for (position, text) in (0..).step_by(10).zip(often) {
        say("often", position, text);
    }
    say("all", 0, "We went down to the harbour.");
    say("all", 10, "An otter swam between the boats.");
    say("all", 20, "Somebody had painted it yellow.");
    home.write(DAY, None, Note::new("The lighthouse is painted white"));
    let names = |answer: &Answer| answer.hits.iter().map(|hit| hit.session.clone()).collect::<Vec<_>>();
    let text = "boats in the harbour, the otter and what was painted yellow";
    let answer = home.answer(Query { by_session: true, ..Query::new(text) });
    let (all, often) = (Some("all".to_owned()), Some("often".to_owned()));
    let found = names(&answer);
    assert_eq!(found[..3], [all.clone(), all.clone(), all], "{found:?}");
    assert_eq!(found.iter().filter(|name| **name == often).count(), 3, "of a session its best three: {found:?}");
    assert!(found.contains(&None), "a note stands for itself: {found:?}");
    assert_eq!(
        found.iter().map_while(|name| name.clone()).count() + 1,
        found.len(),
        "nothing is torn apart: {found:?}"
    );
    assert!(answer.hits.iter().all(|hit| (0.0..=1.0).contains(&hit.score)));
    let few = home.answer(Query { by_session: true, limit: 2, ..Query::new(text) });
    assert_eq!(ids(&few), ids(&answer)[..2], "fewer are the first of more");
    let turns = home.answer(Query { limit: 100, ..Query::new(text) });
    assert_eq!(names(&turns).iter().filter(|name| **name == often).count(), 5, "turns come as they are");
}

#[test]
fn the_speaker_that_the_question_names_comes_first() {
    let home = Home::new();
    let say = |session, speaker| home.write(DAY, Some(session), turn(0, speaker, "I went hiking"));
    let (ana, bo) = (say("s", "Ana"), say("t", "Bo"));
    assert_eq!(ids(&home.ask("when did Ana go hiking?"))[0], ana);
    let answer = home.ask("when did Bo go hiking?");
    assert_eq!(ids(&answer)[0], bo);
    assert_eq!(answer.hits[0].why["named"].words, "Bo said it, whom the question names");
}

#[test]
fn a_summary_ranks_below_the_statement_it_retells() {
    let home = Home::new();
    let said = home.write(DAY, Some("s"), turn(0, "Ana", "the deploy key is rotated on Fridays"));
    let retold = Message { form: MessageForm::Summary, ..turn(0, "Ana", "the deploy key is rotated on Fridays") };
    home.write("2024-05-02T10:00:00Z", Some("t"), retold);
    assert_eq!(ids(&home.ask("when is the deploy key rotated"))[0], said);
}

#[test]
fn a_day_that_is_named_is_a_preference_and_no_filter() {
    let home = Home::new();
    let cook = |at: &str, text: &str| home.write(at, Some(at), turn(0, "Ana", text));
    let second = cook("2024-05-02T10:00:00Z", "I cooked noodles with eggs");
    let tenth = cook("2024-05-10T10:00:00Z", "I cooked lentils with rice");
    let answer = home.ask("what did I cook on 2 May?");
    assert_eq!(ids(&answer), [second, tenth], "the other day's is still there");
    assert!(answer.hits[0].why["date"].words.contains("2024-05-02"), "{:?}", answer.hits[0].why);
    assert_eq!(ids(&home.ask("what did I cook last week?"))[0], tenth);
    assert_eq!(ids(&home.ask("what did we talk about on 2 May?"))[0], second, "with no other word in common");
}

#[test]
fn a_failure_that_is_the_closest_thing_is_shown_as_what_not_to_do() {
    let home = Home::new();
    let mut failed = Episode::new("migrate the billing database to the new cluster");
    failed.outcome = Outcome::Failure;
    failed.reason = Some("the lock was held".to_owned());
    let failed = home.write(DAY, None, failed);
    let mut other = Episode::new("rename the cluster");
    other.outcome = Outcome::Success;
    home.write(DAY, None, other);
    let answer = home.ask("migrate the billing database to the new cluster");
    assert_eq!(ids(&answer)[0], failed);
    assert_eq!(answer.hits[0].why["outcome"].words, "what not to do: this episode failed (the lock was held)");
}

#[test]
fn copies_are_one_hit_and_the_newest_is_shown() {
    let home = Home::new();
    let say = |at: &str, text: &str| home.write(at, None, Note::new(text));
    say(DAY, "the staging server is restarted every Monday");
    let newest = say("2024-05-02T10:00:00Z", "The staging server is restarted every Monday.");
    let other = say("2024-05-02T10:00:00Z", "the production server is restarted every Sunday");
    let answer = home.ask("when is the staging server restarted");
    assert_eq!(ids(&answer), [newest, other]);
    assert_eq!(answer.hits[0].copies, 1);
    assert!(answer.hits[0].why["copies"].words.contains("1 more record says the same"));
}

#[test]
fn a_newer_statement_comes_first_and_one_that_looks_alike_is_left_alone() {
    let home = Home::new();
    let say = |at: &str, text: &str| home.write(at, None, Note::new(text));
    let old = say(DAY, "the rate limit of the search service is 100 requests");
    let new =
        say("2024-05-09T10:00:00Z", "since the upgrade the rate limit of the search service is 300 requests a minute");
    let alike = say("2024-05-10T10:00:00Z", "the rate limit of the upload service is 20 requests");
    assert_eq!(ids(&home.ask("rate limit of the search service")), [new, old, alike]);
}

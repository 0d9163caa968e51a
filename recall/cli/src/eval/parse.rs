//! One line of a labelled set: what its JSON may hold, sorted into what is stored and what only the judge knows.

use std::collections::{HashMap, HashSet};

use harness_memory::{Episode, Note, Outcome, Role, ToolUse};
use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use serde::{Deserialize, Deserializer};

use super::haystack::{Doc, DocBody, Haystack, Kind, Labels, Place, Question, Turn};

/// Reads one line.
pub(super) fn parse(line: &[u8], place: Place) -> Result<Haystack, String> {
    let raw: RawHaystack = serde_json::from_slice(line).map_err(|error| format!("is no haystack: {error}"))?;
    let mut places = HashMap::new();
    let mut next_position: HashMap<String, u32> = HashMap::new();
    let (mut docs, mut labels) = (Vec::with_capacity(raw.docs.len()), Vec::with_capacity(raw.docs.len()));
    for (index, raw) in raw.docs.into_iter().enumerate() {
        let id = raw.id.0.clone();
        let (doc, label) = raw.sort_out(&mut next_position).map_err(|reason| format!("document {id:?}: {reason}"))?;
        if places.insert(id, index).is_some() {
            return Err(format!("two documents have the id {:?}", doc.id));
        }
        docs.push(doc);
        labels.push(label);
    }
    let questions = raw.queries.into_iter().map(|raw| raw.sort_out(&places)).collect();
    Ok(Haystack { kind: raw.kind, set: raw.set, lang: raw.lang, docs, labels, questions, place })
}

/// An id or label, which some sets write as a number.
#[derive(Debug)]
struct Word(String);

impl<'de> Deserialize<'de> for Word {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Word, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "expected a string or a whole number")]
        enum Either {
            Text(String),
            Number(i64),
        }
        Ok(Word(match Either::deserialize(from)? {
            Either::Text(text) => text,
            Either::Number(number) => number.to_string(),
        }))
    }
}

/// A time: RFC 3339, or a date or a time without zone, which is UTC.
#[derive(Debug)]
struct Time(Timestamp);

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Time, D::Error> {
        let text = String::deserialize(from)?;
        let zoneless = |time: DateTime| time.to_zoned(TimeZone::UTC).map(|zoned| zoned.timestamp());
        let parsed = text.parse::<Timestamp>();
        let parsed = parsed.or_else(|_| text.parse::<DateTime>().and_then(zoneless));
        let parsed =
            parsed.or_else(|_| text.parse::<Date>().and_then(|date| zoneless(date.to_datetime(Default::default()))));
        parsed
            .map(Time)
            .map_err(|_| serde::de::Error::custom(format!("{text:?} is not a time such as 2026-05-02T14:30:00Z")))
    }
}

#[derive(Deserialize)]
struct RawHaystack {
    kind: Kind,
    set: String,
    lang: Option<String>,
    docs: Vec<RawDoc>,
    queries: Vec<RawQuestion>,
}

/// All that a document may hold. Fields that are named nowhere (`answer`, `final`, `instruction`, the labels of
/// other programs) are passed over.
#[derive(Deserialize)]
struct RawDoc {
    id: Word,
    ts: Option<Time>,
    text: Option<String>,
    session: Option<String>,
    seq: Option<u32>,
    role: Option<Role>,
    speaker: Option<String>,
    caption: Option<String>,
    situation: Option<String>,
    user_turns: Option<Vec<String>>,
    tools: Option<Vec<String>>,
    outcome: Option<Outcome>,
    lesson: Option<String>,
    reason: Option<String>,
    task: Option<Word>,
    trial: Option<Word>,
    reward: Option<f64>,
}

impl RawDoc {
    fn sort_out(self, next_position: &mut HashMap<String, u32>) -> Result<(Doc, Labels), String> {
        let by_reward = || self.reward.map(|reward| if reward >= 1.0 { Outcome::Success } else { Outcome::Failure });
        let labels = Labels {
            outcome: self.outcome.or_else(by_reward),
            task: self.task.map(|word| word.0),
            trial: self.trial.map(|word| word.0),
        };
        let body = match (self.situation, self.text) {
            (Some(situation), None) => {
                let mut user_turns = self.user_turns.unwrap_or_default();
                // An episode's further turns do not repeat its situation; the files list all turns of the person.
                if user_turns.first() == Some(&situation) {
                    user_turns.remove(0);
                }
                let used = |tool| ToolUse { tool, gist: String::new(), ok: None, error: None };
                DocBody::Run(Episode {
                    user_turns,
                    tools: self.tools.unwrap_or_default().into_iter().map(used).collect(),
                    outcome: self.outcome.unwrap_or(Outcome::Unknown),
                    lesson: self.lesson,
                    reason: self.reason,
                    ..Episode::new(situation)
                })
            }
            (None, Some(text)) => match self.session {
                None => DocBody::Passage(Note::new(text)),
                Some(session) => {
                    let next = next_position.entry(session.clone()).or_default();
                    let position = self.seq.unwrap_or(*next);
                    *next = position.saturating_add(1);
                    let named = self.speaker.as_deref().and_then(role_named);
                    DocBody::Turn(Turn {
                        session,
                        role: self.role.or(named).unwrap_or(Role::User),
                        speaker: self.speaker.filter(|_| named.is_none()),
                        position,
                        text,
                        caption: self.caption,
                    })
                }
            },
            (Some(_), Some(_)) => return Err("it has both a text and a situation".into()),
            (None, None) => return Err("it has neither a text nor a situation".into()),
        };
        Ok((Doc { id: self.id.0, at: self.ts.map(|time| time.0), body }, labels))
    }
}

/// The role that a speaker's name says, where a set names its speakers by their roles.
fn role_named(speaker: &str) -> Option<Role> {
    match speaker.to_ascii_lowercase().as_str() {
        "user" | "human" => Some(Role::User),
        "assistant" | "ai" | "agent" | "bot" => Some(Role::Assistant),
        "tool" => Some(Role::Tool),
        "system" => Some(Role::System),
        _ => None,
    }
}

#[derive(Deserialize)]
struct RawQuestion {
    text: String,
    now: Option<Time>,
    category: Option<String>,
    gold: Option<Vec<Word>>,
    gold_session: Option<Vec<String>>,
    gold_tools: Option<Vec<String>>,
    task: Option<Word>,
    exclude_trial: Option<Word>,
    abstain: Option<bool>,
    stale: Option<Vec<Word>>,
    distractor: Option<Vec<Word>>,
}

impl RawQuestion {
    fn sort_out(self, places: &HashMap<String, usize>) -> Question {
        let distinct = |ids: Option<Vec<Word>>| {
            let mut seen = HashSet::new();
            let ids = ids.unwrap_or_default().into_iter().map(|word| word.0);
            ids.filter(|id| seen.insert(id.clone())).collect::<Vec<_>>()
        };
        // A stale or distracting document that is not there can never come first: nothing is lost with it.
        let known = |ids: Vec<String>| ids.iter().filter_map(|id| places.get(id).copied()).collect::<Vec<_>>();
        let gold = distinct(self.gold);
        let gold_named = gold.len();
        let gold = known(gold);
        Question {
            gold_unknown: gold_named - gold.len(),
            gold,
            gold_sessions: self.gold_session.map(|mut names| {
                let mut seen = HashSet::new();
                names.retain(|name| seen.insert(name.clone()));
                names
            }),
            gold_tools: self.gold_tools,
            text: self.text,
            now: self.now.map(|time| time.0),
            category: self.category,
            task: self.task.map(|word| word.0),
            exclude_trial: self.exclude_trial.map(|word| word.0),
            abstain: self.abstain.unwrap_or(false),
            stale: known(distinct(self.stale)),
            distractor: known(distinct(self.distractor)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Haystack, String> {
        parse(line.as_bytes(), Place { file: "set.jsonl".into(), line: 1 })
    }

    #[test]
    fn a_document_becomes_a_note_a_turn_or_an_episode() {
        let haystack = parsed(
            r#"{"kind": "turn-retrieval", "set": "s", "id": "h", "docs": [
                {"id": "a", "text": "plain"},
                {"id": "b", "text": "said", "session": "s1", "speaker": "Ana", "ts": "2026-05-02", "caption": "a cat"},
                {"id": "c", "text": "answered", "session": "s1", "speaker": "assistant", "ts": "2026-05-02T10:00:00"},
                {"id": 7, "situation": "book it", "user_turns": ["book it", "for two"], "tools": ["book"], "outcome": "failure"}
            ], "queries": [{"id": 1, "text": "who", "gold": ["b", 7, "b", "zz"], "stale": ["a"], "answer": 12}]}"#,
        );
        let haystack = haystack.unwrap();
        assert!(matches!(&haystack.docs[0].body, DocBody::Passage(note) if note.text == "plain"));
        let [_, b, c, d] = &haystack.docs[..] else { panic!("four documents") };
        let DocBody::Turn(said) = &b.body else { panic!("a turn") };
        assert_eq!((said.position, said.role, said.speaker.as_deref()), (0, Role::User, Some("Ana")));
        assert_eq!(b.at.unwrap().to_string(), "2026-05-02T00:00:00Z");
        let DocBody::Turn(answered) = &c.body else { panic!("a turn") };
        assert_eq!((answered.position, answered.role, &answered.speaker), (1, Role::Assistant, &None));
        assert_eq!(c.at.unwrap().to_string(), "2026-05-02T10:00:00Z");
        let DocBody::Run(run) = &d.body else { panic!("an episode") };
        assert_eq!((run.user_turns.as_slice(), run.outcome), (&["for two".to_owned()][..], Outcome::Failure));
        let question = &haystack.questions[0];
        assert_eq!((&question.gold[..], question.gold_unknown, &question.stale[..]), (&[1, 3][..], 1, &[0][..]));
    }

    #[test]
    fn labels_never_reach_what_is_stored() {
        let haystack = parsed(
            r#"{"kind": "experience-recall", "set": "s", "id": "h", "docs": [{"id": "SECRET-id", "situation": "book a flight",
                "tools": ["search"], "task": "SECRET-task", "trial": "SECRET-trial", "instruction": "SECRET", "final": "SECRET",
                "gold_tools": ["SECRET"], "reward": 1.0, "answer": "SECRET"}], "queries": []}"#,
        );
        let haystack = haystack.unwrap();
        let DocBody::Run(run) = &haystack.docs[0].body else { panic!("an episode") };
        assert!(!format!("{run:?}").contains("SECRET"));
        assert_eq!(run.outcome, Outcome::Unknown, "a reward is the judge's, not the run's");
        assert_eq!(haystack.labels[0].outcome, Some(Outcome::Success));
        assert_eq!(haystack.labels[0].task.as_deref(), Some("SECRET-task"));
    }

    #[test]
    fn a_bad_line_says_what_is_wrong_with_it() {
        let cases = [
            ("{", "is no haystack: EOF"),
            (r#"{"kind": "poem", "set": "s", "docs": [], "queries": []}"#, "unknown variant `poem`"),
            (r#"{"kind": "tool-recall", "docs": [], "queries": []}"#, "missing field `set`"),
            (
                r#"{"kind": "tool-recall", "set": "s", "docs": [{"id": "a"}], "queries": []}"#,
                r#"document "a": it has neither"#,
            ),
            (
                r#"{"kind": "tool-recall", "set": "s", "docs": [{"id": "a", "text": "x"}, {"id": "a", "text": "y"}], "queries": []}"#,
                r#"two documents have the id "a""#,
            ),
            (
                r#"{"kind": "tool-recall", "set": "s", "docs": [{"id": "a", "text": "x", "ts": "soon"}], "queries": []}"#,
                r#""soon" is not a time"#,
            ),
        ];
        for (line, reason) in cases {
            let found = parsed(line).unwrap_err();
            assert!(found.contains(reason), "{line}: {found}");
        }
    }
}

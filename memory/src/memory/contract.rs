//! What every [`super::Memory`] keeps, as one function that all implementations pass.

use jiff::Timestamp;

use super::{ContextQuery, Memory, Query};
use crate::id::RecordId;
use crate::record::{Kind, Note, Origin, Outcome, Record};
use crate::scope::Scope;
use crate::store::{Exposure, Lookup};

/// Checks the contract on a memory that is empty, reads `writes` and all inside it, and writes there.
///
/// # Panics
/// When the memory breaks the contract, with what it broke.
pub async fn check(memory: &dyn Memory, writes: &Scope) {
    let note = |text: &str| Record::new(writes.child_named("project"), "contract", Origin::Agent, Note::new(text));

    let id = memory.write(note("the staging deploy needs the VPN 部署前先连 VPN")).await.expect("it is written");
    for question in ["staging deploy", "部署"] {
        let answer = memory.recall(Query::new(question)).await.expect("it answers");
        assert_eq!(answer.hits.first().map(|hit| hit.id), Some(id), "a write is in the next answer");
    }
    let found = memory.get(id).await.expect("it answers").found().expect("what was written is there");
    assert_eq!(found.record.text(), "the staging deploy needs the VPN 部署前先连 VPN");

    let mut keyed = note("said once");
    keyed.key = Some("k".to_owned());
    let first = memory.write(keyed.clone()).await.expect("it is written");
    keyed.id = RecordId::new();
    assert_eq!(memory.write(keyed).await.expect("a repeat is no error"), first, "the same provenance adds nothing");

    let outside = Record::new(Scope::root().child_named("somebody-else"), "contract", Origin::Agent, Note::new("x"));
    memory.write(outside).await.expect_err("outside the write scope");
    memory.write(note("  ")).await.expect_err("an empty note");
    memory.recall(Query::new(" ")).await.expect_err("an empty question");

    let context = memory.context(ContextQuery::new("staging deploy", 500)).await.expect("it answers");
    assert!(context.tokens <= 500, "the budget holds");
    assert_eq!(context.text.is_empty(), context.records.is_empty());
    if !context.text.is_empty() {
        memory.write(note(&context.text)).await.expect_err("what was injected is not stored again");
    }
    let mut said = note("what the running session says about the staging deploy");
    said.session = Some("running".to_owned());
    let said = memory.write(said).await.expect("it is written");
    let asked =
        ContextQuery { without_session: Some("running".to_owned()), ..ContextQuery::new("staging deploy", 500) };
    let context = memory.context(asked).await.expect("it answers");
    assert!(!context.records.contains(&said), "a session is not told what it said itself");
    let asked = ContextQuery { kinds: vec![Kind::Lesson], ..ContextQuery::new("staging deploy", 500) };
    let context = memory.context(asked).await.expect("it answers");
    assert!(!context.records.contains(&id), "a note is no lesson");
    let asked = ContextQuery { until: Some(Timestamp::UNIX_EPOCH), ..ContextQuery::new("staging deploy", 500) };
    let context = memory.context(asked).await.expect("it answers");
    assert_eq!(context.text, "", "nothing is as old as that");
    let exposure = Exposure::new("run-1", "deploy", vec![id]);
    memory.expose(exposure).await.expect("it is noted");
    memory.credit("run-1".to_owned(), Outcome::Success, None).await.expect("it is noted");

    assert_eq!(memory.forget(vec![id]).await.expect("it is forgotten"), 1);
    assert!(!matches!(memory.get(id).await.expect("it answers"), Lookup::Found(_)));
    let answer = memory.recall(Query::new("staging deploy")).await.expect("it answers");
    assert!(answer.hits.iter().all(|hit| hit.id != id), "a forgotten record is gone at once");
    memory.forget(vec![RecordId::new()]).await.expect_err("an unknown id");
}

//! The conformance suite of harness-rs, and what its traits ask of facts.

use std::sync::Arc;

use harness_core::{Memory, MemoryDelete, MemoryEntry, recall_testkit::recall_contract};
use harness_memory::Scope;
use harness_recall::Engine;
use harness_rs_adapter::{Facts, Transcripts};

#[tokio::test]
async fn transcripts_pass_the_public_contract() {
    let home = tempfile::tempdir().unwrap();
    let engine = Arc::new(Engine::open(home.path()).unwrap());
    recall_contract(Arc::new(Transcripts::new(engine, Scope::parse("agents").unwrap()))).await;
}

#[tokio::test]
async fn facts_are_recalled_in_any_language_expire_and_are_deleted() {
    let home = tempfile::tempdir().unwrap();
    let scope = Scope::parse("ana").unwrap();
    let engine = Arc::new(Engine::open(home.path()).unwrap());
    let facts = Facts::new(engine, scope);
    facts.write(MemoryEntry::new("部署前先连 VPN").with_tags(["deploy"])).await.unwrap();
    let mut expired = MemoryEntry::new("部署密码是旧的");
    expired.expires_ms = Some(1);
    facts.write(expired).await.unwrap();
    let found = facts.recall("怎么部署", 5).await.unwrap();
    assert_eq!(found.iter().map(|entry| entry.content.as_str()).collect::<Vec<_>>(), ["部署前先连 VPN"]);
    assert!(facts.recall("", 5).await.unwrap().is_empty());
    assert!(!facts.delete_by_id("nothing").await.unwrap());
    assert!(facts.delete_by_id(&found[0].id).await.unwrap());
    assert!(facts.recall("怎么部署", 5).await.unwrap().is_empty());
    facts.write(MemoryEntry::new("one")).await.unwrap();
    assert!(facts.delete_all().await.unwrap() >= 1);
    assert!(facts.recall("one", 5).await.unwrap().is_empty());
}

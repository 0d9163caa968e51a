//! The examples run and say what they promise.

use std::process::Command;

#[test]
fn first_recall_finds_the_note_and_the_episode_and_packs_a_context() {
    let output = Command::new(env!("CARGO_BIN_EXE_first_recall")).output().expect("the example starts");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for part in [
        "上线  →  上线前先连 VPN",
        "Deploy the web shop to staging (episode, 1.00)",
        "<harness-memory v=\"1\"",
        "What worked",
    ] {
        assert!(said.contains(part), "{part:?} is missing in:\n{said}");
    }
}

fn said(binary: &str) -> String {
    let output = Command::new(binary).output().expect("the example starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn an_agent_with_memory_repeats_what_it_learned() {
    let said = said(env!("CARGO_BIN_EXE_agent_with_memory"));
    assert!(said.contains("given 0 records; says: It timed out."), "{said}");
    assert!(said.contains("says: I connect the VPN first, as last time."), "{said}");
}

#[test]
fn a_custom_tool_is_called_corrected_and_bounded_by_a_policy() {
    let said = said(env!("CARGO_BIN_EXE_custom_tool"));
    for part in ["\"euros\":12", "ok: Some(true)", "ok: Some(false)", "12 euros are 93.60 CNY."] {
        assert!(said.contains(part), "{part:?} is missing in:\n{said}");
    }
}

#[test]
fn two_agents_share_a_scope_that_one_of_them_only_reads() {
    let said = said(env!("CARGO_BIN_EXE_shared_scope"));
    for part in
        ["上线前先停掉导入队列", "flaky on Mondays", "operator: import queue → 0 hits", "not inside team/reviewer"]
    {
        assert!(said.contains(part), "{part:?} is missing in:\n{said}");
    }
}

#[test]
fn a_custom_embedder_finds_what_shares_an_idea_and_no_word() {
    let said = said(env!("CARGO_BIN_EXE_custom_embedder"));
    assert!(said.contains("数据库故障 → the payments database crashed"), "{said}");
    assert!(said.contains("last rollout → 周三上线了新的搜索页"), "{said}");
}

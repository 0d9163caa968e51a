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
        "what worked",
    ] {
        assert!(said.contains(part), "{part:?} is missing in:\n{said}");
    }
}

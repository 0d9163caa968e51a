//! A run as a whole: what is kept of all that was said, and what is not begun.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use harness_memory::{Body, Kind};
use serde_json::json;

use super::*;

#[path = "../../tests/map/mod.rs"]
mod map;
use map::Map;

/// A runner of a Claude Code that prints what a script says; `$times` counts its starts.
fn runner(memory: &Arc<Map>, folder: &Path, script: &str) -> Runner {
    let binary = folder.join("claude");
    let here = folder.display();
    let text =
        format!("#!/bin/sh\ncat > /dev/null\necho x >> '{here}/count'\ntimes=$(wc -l < '{here}/count')\n{script}");
    std::fs::write(&binary, text).unwrap();
    std::fs::set_permissions(&binary, std::fs::Permissions::from_mode(0o755)).unwrap();
    let provider = Provider { binary, ..Provider::new(Dialect::ClaudeCode, folder) };
    Runner::new(provider, memory.clone(), Scope::root())
}

#[tokio::test]
async fn what_is_marked_before_the_answer_that_fits_is_kept_once() {
    let (folder, memory) = (tempfile::tempdir().unwrap(), Arc::new(Map::default()));
    let script = r#"
said() { printf '%s\n' "{\"type\":\"assistant\",\"message\":{\"content\":[{\"type\":\"text\",\"text\":\"$1\"}]}}"; }
if [ "$times" -eq 1 ]; then
  said 'DECISION: use the VPN'
  last='no idea\nLESSON: look at the pool first'
else
  last='{\"n\": 7}'
fi
said "$last"
printf '%s\n' "{\"type\":\"result\",\"subtype\":\"success\",\"result\":\"$last\",\"session_id\":\"s\"}"
"#;
    let mut runner = runner(&memory, folder.path(), script);
    runner.schema = Some(json!({"type": "object", "required": ["n"]}));
    let result = runner.run("count").await;
    assert_eq!((result.status, result.output, result.attempts), (Status::Done, Some(json!({"n": 7})), 2));
    let records = memory.all();
    let texts = |kind| -> Vec<&str> {
        records.iter().filter(|record| record.kind() == kind).map(|record| record.text()).collect()
    };
    assert_eq!(texts(Kind::Note), ["use the VPN"]);
    assert_eq!(texts(Kind::Lesson), ["look at the pool first"]);
    let lesson = records.iter().find_map(|record| match &record.body {
        Body::Episode(episode) => episode.lesson.as_deref(),
        _ => None,
    });
    assert_eq!(lesson, Some("look at the pool first"));
}

#[tokio::test]
async fn a_schema_that_cannot_be_checked_starts_nothing() {
    let (folder, memory) = (tempfile::tempdir().unwrap(), Arc::new(Map::default()));
    let mut runner = runner(&memory, folder.path(), "");
    runner.schema = Some(json!({"properties": {"a": {"if": true}}}));
    let result = runner.run("count").await;
    assert_eq!((result.status, result.attempts, result.outcome), (Status::Failed, 0, Outcome::Unknown));
    assert_eq!(result.reason.as_deref(), Some("the schema's keyword if at #/properties/a cannot be checked here"));
    assert!(!folder.path().join("count").exists() && memory.all().is_empty());
}

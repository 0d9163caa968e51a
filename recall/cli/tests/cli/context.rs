//! What would be injected, and what was.

use crate::home::Home;

const NOW: &str = "2026-05-20T12:00:00Z";

fn shop() -> Home {
    let home = Home::new();
    home.remember("staging deploys need the VPN");
    home.remember("the tea kitchen is on the second floor");
    let run = |args: &[&str]| assert_eq!(home.run(&[&["episode", "record"], args].concat()).code, 0);
    run(&["deploy the shop to staging", "--outcome", "failure", "--reason", "the VPN was down"]);
    home
}

/// The dates of the block are those of today.
fn stable(home: &Home, text: &str) -> String {
    let day = regex::Regex::new(r"\d{4}-\d{2}-\d{2}").unwrap();
    let id = regex::Regex::new(r"[0-9a-f]{8}-[0-9a-f]{4}[0-9a-f-]*").unwrap();
    let hash = regex::Regex::new("sha=\"[0-9a-f]{16}\"").unwrap();
    let text = home.stable(text);
    hash.replace(&id.replace_all(&day.replace_all(&text, "DAY"), "ID"), "sha=\"HASH\"").into_owned()
}

#[test]
fn a_context_says_what_helps_when_it_was_how_it_ended_and_why_it_is_there() {
    let home = shop();
    let done = home.run(&["recall", "context", "deploy", "the", "shop", "to", "staging", "--budget", "400"]);
    assert_eq!(done.code, 0, "{}", done.err);
    let text = stable(&home, &done.out);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.first(), Some(&"<harness-memory v=\"1\" sha=\"HASH\">"), "{text}");
    assert_eq!(lines.last(), Some(&"</harness-memory>"), "{text}");
    let episode =
        "- DAY failed before, do not repeat: deploy the shop to staging (because: the VPN was down) [matches ";
    let told = lines.iter().find(|line| line.starts_with(episode));
    assert!(told.is_some_and(|line| line.ends_with("; cli ID]")), "{text}");
    assert!(!text.contains("kitchen"), "{text}");
}

#[test]
fn a_context_of_what_is_not_known_is_nothing_and_exit_code_1() {
    let home = shop();
    let done = home.run(&["recall", "context", "which zeppelin flies to the moon on Thursday"]);
    assert_eq!((done.code, done.out.as_str()), (1, ""), "{}", done.err);
    let json = home.run(&["recall", "context", "which zeppelin flies to the moon on Thursday", "--json"]);
    let context: serde_json::Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!((json.code, &context["text"], &context["records"]), (1, &"".into(), &serde_json::json!([])));
    assert_eq!(home.run(&["recall", "context", "deploy the shop to staging", "--budget", "20"]).code, 1);
    assert_eq!(home.run(&["recall", "context", "  "]).code, 2);
    assert_eq!(Home::new().run(&["recall", "context", "anything"]).code, 1);
}

#[test]
fn the_same_records_and_clock_give_the_same_bytes() {
    let home = shop();
    let context = || home.run(&["recall", "context", "deploy the shop to staging", "--now", NOW]).out;
    let first = context();
    assert!(!first.is_empty());
    assert_eq!(first, context());
    home.run(&["index", "rebuild"]);
    assert_eq!(first, context(), "indexed or not");
}

#[test]
fn what_a_run_was_given_is_noted_and_shown() {
    let home = shop();
    assert_eq!(home.run(&["recall", "last"]).code, 1);
    home.run(&["recall", "context", "deploy the shop to staging"]);
    assert_eq!(home.run(&["recall", "last"]).code, 1, "without a run nothing is noted");
    let context = home.json(&["recall", "context", "deploy the shop to staging", "--run", "ci-1"]);
    let shown = home.run(&["recall", "last"]);
    assert_eq!(shown.code, 0);
    let text = stable(&home, &shown.out);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "run ci-1 · just now, TIME");
    assert_eq!(lines[1], "    because of the task: deploy the shop to staging");
    assert_eq!(lines[2], " 1  episode (failure) · DAY: deploy the shop to staging");
    assert_eq!(lines[3], "    cli · ID");
    let last = home.json(&["recall", "last"]);
    assert_eq!((&last["run"], &last["task"]), (&"ci-1".into(), &"deploy the shop to staging".into()));
    let ids: Vec<_> = last["records"].as_array().unwrap().iter().map(|given| given["id"].clone()).collect();
    assert_eq!(serde_json::json!(ids), context["records"]);
    home.run(&["forget", ids[0].as_str().unwrap()]);
    let last = home.json(&["recall", "last", "--run", "ci-1"]);
    assert_eq!(
        (&last["records"][0]["state"], &last["records"][0]["text"]),
        (&"forgotten".into(), &serde_json::json!(null))
    );
    assert_eq!(home.run(&["recall", "last", "--run", "ci-2"]).code, 1);
}

#[test]
fn what_was_injected_is_not_stored_as_new_memory() {
    let home = shop();
    let block = home.run(&["recall", "context", "deploy the shop to staging"]).out;
    let done = home.run_with(&["remember", "-"], block);
    assert_ne!(done.code, 0, "{}", done.out);
}

//! Recording, listing and judging episodes.

use insta::assert_snapshot;

use crate::home::Home;

#[test]
fn an_episode_is_recorded_with_flags_listed_shown_and_judged() {
    let home = Home::new();
    let done = home.run(&[
        "episode",
        "record",
        "deploy the shop to staging",
        "--tool",
        "bash=make deploy",
        "--tool",
        "edit",
        "--outcome",
        "failure",
        "--reason",
        "the VPN was down",
        "--lesson",
        "connect first",
        "--error",
        "connection refused",
        "--cost-usd",
        "0.12",
        "--tokens",
        "1200",
        "--duration-ms",
        "5300",
        "--at",
        "2026-05-04T10:21:00Z",
    ]);
    assert_eq!((done.code, home.stable(&done.out).as_str()), (0, "recorded ID\n"), "{}", done.err);
    assert_snapshot!(home.stable(&home.run(&["episode", "list"]).out), @"ID  failure  TIME  deploy the shop to staging");
    let id = home.json(&["episode", "list"])["id"].as_str().unwrap().to_owned();
    let judged = home.run(&["episode", "outcome", &id, "success", "--reason", "it went out later"]);
    assert_eq!((judged.code, home.stable(&judged.out).as_str()), (0, "ID ended in success\n"), "{}", judged.err);
    let shown = home.run(&["episode", "show", &id]);
    let shown = home.stable(&shown.out);
    let shown: Vec<&str> = shown.lines().filter(|line| !line.starts_with("created")).collect();
    assert_snapshot!(shown.join("\n"), @r"
    record     ID · episode (success)
    scope      ana
    source     cli
    origin     agent, plain

    deploy the shop to staging
    used bash make deploy
    used edit
    error connection refused
    outcome success: it went out later
    lesson connect first
    spent 0.1200 US dollars, 1200 tokens, 5.3 s
    ");
    assert_eq!(home.run(&["episode", "list", "--outcome", "failure"]).code, 1);
}

#[test]
fn episodes_come_as_json_lines_and_one_given_twice_adds_nothing() {
    let home = Home::new();
    let lines = "{\"situation\": \"修复登录超时\", \"tools\": [\"bash\", {\"tool\": \"edit\", \"ok\": false}], \
                 \"outcome\": \"success\", \"session\": \"s1\", \"key\": \"1\"}\n\n{\"situation\": \"second\"}\n";
    let first = home.run_with(&["episode", "record", "--json"], lines);
    assert_eq!(first.code, 0, "{}", first.err);
    assert_snapshot!(home.stable(&first.out), @r#"
    {"id":"ID","kind":"episode","scope":"ana","created":true}
    {"id":"ID","kind":"episode","scope":"ana","created":true}
    "#);
    let again = home.run_with(&["episode", "record", "--json"], lines.lines().next().unwrap());
    assert_snapshot!(home.stable(&again.out), @r#"
    {"id":"ID","kind":"episode","scope":"ana","created":false}
    "#);
    assert_eq!(again.out.lines().next().unwrap().replace("false", "true"), first.out.lines().next().unwrap());
    let answer = home.json(&["recall", "search", "登录超时", "--kind", "episode"]);
    assert_eq!(answer["hits"][0]["outcome"], "success");
}

#[test]
fn a_wrong_line_is_named_and_nothing_of_the_call_is_stored() {
    let home = Home::new();
    let lines = "{\"situation\": \"fine\"}\n{\"situation\": \"b\", \"outcome\": \"great\"}\n";
    let done = home.run_with(&["episode", "record", "--json"], lines);
    assert_eq!((done.code, done.out.as_str()), (2, ""));
    assert_snapshot!(done.err, @r#"
    error: line 2 of standard input is no episode: unknown variant `great`, expected one of `success`, `failure`, `unknown`, at column 37
    hint: each line is one object, such as {"situation": "…", "tools": ["bash"], "outcome": "success"}; `harness episode record --help` lists the fields
    "#);
    assert_eq!(home.run(&["episode", "list"]).code, 1);
}

#[test]
fn only_an_episode_is_shown_as_one() {
    let home = Home::new();
    let id = home.remember("just a note");
    let done = home.run(&["episode", "show", &id]);
    assert_eq!(done.code, 2);
    assert_snapshot!(home.stable(&done.err), @r"
    error: record ID is a note, not an episode
    hint: `harness recall show ID` shows any record
    ");
}

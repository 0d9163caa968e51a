//! The manual, the completions, status and doctor.

use insta::assert_snapshot;

use crate::home::Home;

#[test]
fn the_manual_starts_with_what_there_is() {
    let home = Home::new();
    let done = home.run(&["--help"]);
    assert_eq!(done.code, 0);
    let commands = done.out.split("Commands:\n").nth(1).unwrap().split("\n\n").next().unwrap();
    assert_snapshot!(commands, @r"
    demo         See what recall finds in weeks of sample work
    setup        Get an embedding model, so that recall finds by meaning too
    recall       Find what was said and done, and look at it
    remember     Keep a note
    forget       Forget records, or bring them back
    episode      What was tried, with which tools, and how it ended
    experience   Whether memory helps, and what is done about what does not
    run          Do a task, with what earlier work says about it
    session      Transcripts of coding tools
    index        The derived indexes: may be deleted or made anew at any time
    export       Write everything that is remembered to a file, or as a folder to read
    import       Take in an export, or what another memory holds
    backup       Copy the memory into one file, while others go on using it
    restore      Put a backup in the place of the memory
    serve        Serve the memory over HTTP to every tool on this machine
    service      A server that runs whenever you are logged in
    view         Open the memory in a browser: search, read, correct, forget
    mcp          Be the memory of one MCP client, on standard input and output
    token        Tokens for the service, bound to scopes
    status       Say what there is, and what to do next
    doctor       Check everything, say what is wrong, what it means, and which command mends it
    audit        Say what a memory is full of: duplicates, echoes, secrets, what nobody recalls
    eval         Measure recall on labelled sets
    install      Set a coding tool up: hooks, the MCP server, and a skill
    uninstall    Take back what `harness install` has set up
    hook         Answer the hook of a coding tool: its JSON on stdin, ours on stdout
    completions  Print a completion script for a shell
    help         Print this message or the help of the given subcommand(s)
    ");
}

#[test]
fn every_command_has_examples() {
    let home = Home::new();
    let commands: &[&[&str]] = &[
        &["recall", "search"],
        &["recall", "context"],
        &["recall", "show"],
        &["recall", "last"],
        &["remember"],
        &["forget"],
        &["episode", "record"],
        &["episode", "list"],
        &["episode", "show"],
        &["episode", "outcome"],
        &["experience", "report"],
        &["experience", "holdout"],
        &["experience", "release"],
        &["experience", "record"],
        &["run"],
        &["session", "import"],
        &["session", "list"],
        &["session", "show"],
        &["session", "watch"],
        &["session", "exclude"],
        &["session", "pause"],
        &["session", "resume"],
        &["index", "status"],
        &["index", "rebuild"],
        &["index", "verify"],
        &["index", "follow"],
        &["demo"],
        &["setup"],
        &["eval"],
        &["export"],
        &["import"],
        &["backup"],
        &["service", "install"],
        &["service", "status"],
        &["service", "uninstall"],
        &["restore"],
        &["serve"],
        &["mcp"],
        &["token", "new"],
        &["token", "list"],
        &["token", "revoke"],
        &["status"],
        &["doctor"],
        &["audit"],
        &["install"],
        &["uninstall"],
        &["hook"],
        &["completions"],
    ];
    for command in commands {
        let done = home.run(&[command, &["--help"][..]].concat());
        assert_eq!(done.code, 0, "{command:?}");
        let example = format!("Examples:\n  harness {}", command.join(" "));
        assert!(done.out.contains(&example), "{command:?}: {}", done.out);
    }
}

#[test]
fn a_rule_of_retention_is_shown_as_it_is_written() {
    let said = Home::new().run(&["forget", "--help"]).out;
    let rule =
        "\n  [[retention]]\n  scope = \"ana/scratch\"     # and all inside it; without it: every scope\n  kinds = [";
    assert!(said.contains(rule), "{said}");
}

#[test]
fn completions_are_made_for_each_shell() {
    let home = Home::new();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let done = home.run(&["completions", shell]);
        assert!(done.code == 0 && done.out.contains("remember"), "{shell}: {}", done.err);
    }
}

#[test]
fn status_says_what_there_is_and_what_to_do_next() {
    let home = Home::new();
    assert_snapshot!(home.stable(&home.run(&["status"]).out), @r#"
    home      DIR/home
    you       ana
    here      ana/shop-HASH
    store     nothing is remembered yet
    model     none: recall answers from text alone; `harness setup` gets one
    next      `harness remember "…"` keeps a note
    "#);
    home.remember("one thing");
    let status = home.json(&["status"]);
    assert_eq!((&status["store"]["records"]["note"], &status["user"]), (&1.into(), &"ana".into()));
    assert!(status["indexes"].is_array());
}

#[test]
fn doctor_says_that_all_is_well_or_what_is_wrong_and_how_to_mend_it() {
    let home = Home::new();
    home.remember("one thing");
    let done = home.run(&["doctor"]);
    assert_eq!(done.code, 0, "{}", done.out);
    assert_eq!(done.out.lines().last(), Some("all is well"));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(home.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let done = home.run(&["doctor"]);
        assert_eq!(done.code, 1);
        let wrong: Vec<&str> = done.out.lines().skip_while(|line| !line.starts_with("wrong")).take(2).collect();
        assert_snapshot!(home.stable(&wrong.join("\n")), @r"
        wrong  home: DIR/home can be read by others (mode 755) (open)
               chmod 700 'DIR/home'
        ");
        let done = home.run(&["doctor", "--fix"]);
        assert_eq!(done.code, 0, "{}", done.out);
        assert_eq!(home.run(&["doctor"]).code, 0);
    }
}

#[test]
fn the_index_can_be_deleted_and_made_anew() {
    let home = Home::new();
    home.remember("one thing");
    assert_eq!(home.run(&["index", "rebuild"]).code, 0);
    let before = home.json(&["recall", "search", "thing"]);
    let index = home.path().join("index");
    if index.exists() {
        std::fs::remove_dir_all(&index).unwrap();
    }
    assert_eq!(home.json(&["recall", "search", "thing"])["hits"][0]["id"], before["hits"][0]["id"]);
    assert_eq!(home.run(&["index", "follow", "--idle", "0"]).code, 0);
    assert_eq!(home.run(&["index", "verify"]).code, 0);
}

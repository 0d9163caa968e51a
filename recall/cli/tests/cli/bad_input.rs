//! What people and programs give by mistake: an error that names the thing, and what to do.

use std::ffi::OsString;

use insta::assert_snapshot;

use crate::home::{Home, done};

#[test]
fn an_empty_query_is_refused_with_an_example() {
    let home = Home::new();
    let done = home.run(&["recall", "search", ""]);
    assert_eq!(done.code, 2);
    assert_snapshot!(done.err, @r#"
    error: the query is empty: say what to search for
    hint: try `harness recall search "how do I deploy"`
    "#);
    assert_eq!(home.run(&["recall", "search", "  \t "]).err, done.err);
}

#[test]
fn unknown_flags_and_wrong_values_are_usage_errors() {
    let home = Home::new();
    for args in [
        &["recall", "search", "x", "--unknown"][..],
        &["recall", "search", "x", "--since", "soon"],
        &["recall", "search", "x", "--kind", "letter"],
        &["recall", "search", "x", "--scope", "a//b"],
        &["recall", "search", "x", "-n", "0"],
        &["recall", "search", "x", "-n", "100000"],
        &["recall", "show", "xyz"],
        &["forget"],
        &["forget", "--undo"],
        &["session", "import", "--tool", "notepad"],
        &["fly"],
        &[],
    ] {
        let done = home.run(args);
        assert_eq!((done.code, done.out.as_str()), (2, ""), "{args:?}");
        assert!(!done.err.is_empty(), "{args:?}");
    }
    assert!(!home.path().exists(), "no home is made for a usage error");
}

#[test]
fn text_that_is_no_syntax_is_searched_as_text() {
    let home = Home::new();
    home.remember("why does std::io::Error say \"unexpected end of file\"?");
    for query in
        ["std::io::Error", "end of file\"?", "(unexpected", "what? why: *", "unexpected AND OR NOT", "file~2^9"]
    {
        let done = home.run(&["recall", "search", query]);
        assert!(done.code < 2, "{query}: {}", done.err);
    }
    assert_eq!(home.run(&["recall", "search", "\"unexpected end"]).code, 0);
}

#[test]
fn ten_megabytes_are_refused_and_nothing_is_lost() {
    let home = Home::new();
    let long = vec![b'x'; 10 << 20];
    let done = home.run_with(&["remember", "-"], long.clone());
    assert_eq!(done.code, 2);
    assert_snapshot!(done.err, @r"
    error: the text on standard input is longer than 1048576 bytes
    hint: split it, or keep only what is worth remembering
    ");
    let done = home.run_with(&["episode", "record", "--json"], long);
    assert_eq!(done.code, 2);
    assert!(done.err.starts_with("error: line 1 of standard input is longer than"), "{}", done.err);
    let long_query = "wort ".repeat(20_000);
    home.remember("ein wort");
    let done = home.run(&["recall", "search", &long_query]);
    assert_eq!(done.code, 0, "{}", done.err);
    assert!(!done.err.is_empty(), "that the query was cut is said");
}

#[cfg(unix)]
#[test]
fn what_is_not_utf_8_is_named() {
    use std::os::unix::ffi::OsStringExt;
    let home = Home::new();
    let result = done(home.command().args(["recall", "search"]).arg(OsString::from_vec(b"caf\xe9".to_vec())));
    assert_eq!(result.code, 2);
    assert_snapshot!(result.err, @r#"
    error: the argument "caf\xE9" is not valid UTF-8
    hint: give text in UTF-8; text in another encoding can be converted with `iconv -t UTF-8`
    "#);
    let result = home.run_with(&["remember", "-"], b"caf\xe9".to_vec());
    assert_eq!(result.code, 2);
    assert_snapshot!(result.err, @r"
    error: the text on standard input is not UTF-8 (byte 3)
    hint: text in another encoding can be converted with `iconv -t UTF-8`
    ");
    // A folder may have any name.
    let folder = home.work().join(OsString::from_vec(b"caf\xe9".to_vec()));
    let result = done(home.command().arg("--home").arg(folder).args(["remember", "coffee"]));
    assert_eq!(result.code, 0, "{}", result.err);
}

#[test]
fn a_home_that_is_a_file_is_named() {
    let home = Home::new();
    std::fs::write(home.path(), "not a folder").unwrap();
    for args in [&["remember", "x"][..], &["recall", "search", "x"], &["status"], &["index", "status"]] {
        let done = home.run(args);
        assert_eq!(done.code, 2, "{args:?}");
        assert!(done.err.contains("cannot open the home") && done.err.contains("hint:"), "{args:?}: {}", done.err);
    }
    let done = home.run(&["doctor"]);
    assert_eq!(done.code, 1);
    assert!(done.out.contains("not-a-folder"), "{}", done.out);
    assert_eq!(std::fs::read_to_string(home.path()).unwrap(), "not a folder");
}

#[test]
fn a_wrong_setting_is_named_with_its_file_and_line() {
    let home = Home::new();
    home.remember("x");
    std::fs::write(home.path().join("config.toml"), "user = \"ana\"\nsearch.depth = 3\n").unwrap();
    let done = home.run(&["status"]);
    assert_eq!(done.code, 2);
    assert_snapshot!(home.stable(&done.err), @r"
    error: DIR/home/config.toml:2: unknown field `depth`, expected `limit` or `mode`
    hint: correct the line or remove it
    ");
}

#[cfg(unix)]
#[test]
fn a_home_that_cannot_be_written_is_named() {
    use std::os::unix::fs::PermissionsExt;
    let home = Home::new();
    std::fs::create_dir(home.path()).unwrap();
    std::fs::set_permissions(home.path(), std::fs::Permissions::from_mode(0o500)).unwrap();
    if std::fs::write(home.path().join("probe"), "").is_ok() {
        // The system's administrator may write everywhere: nothing to see here.
        return;
    }
    let done = home.run(&["remember", "x"]);
    assert_eq!(done.code, 2);
    assert!(done.err.contains("hint: give yourself access"), "{}", done.err);
}

#[cfg(target_os = "linux")]
#[test]
fn an_output_that_cannot_be_written_is_an_error() {
    let home = Home::new();
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = home.std_command().arg("status").stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).starts_with("error: cannot write to standard output"));
}

#[test]
fn the_beginning_of_several_ids_is_answered_with_their_names() {
    let home = Home::new();
    let (first, second) = (home.remember("one"), home.remember("two"));
    let done = home.run(&["forget", &first[..1]]);
    assert_eq!(done.code, 2);
    assert!(done.err.contains(&first) && done.err.contains(&second), "{}", done.err);
    let done = home.run(&["recall", "show", "ffffffff"]);
    assert_eq!((done.code, done.out.as_str()), (1, ""));
}

#[test]
fn reading_makes_no_home() {
    let home = Home::new();
    for (args, code) in [
        (&["recall", "search", "x"][..], 1),
        (&["recall", "show", "0"], 1),
        (&["episode", "list"], 1),
        (&["session", "list"], 1),
        (&["forget", "0"], 1),
        (&["index", "status"], 1),
        (&["status"], 0),
        (&["doctor"], 0),
    ] {
        assert_eq!(home.run(args).code, code, "{args:?}");
    }
    assert!(!home.path().exists());
}

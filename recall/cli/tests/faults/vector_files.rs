//! Damaged vectors and models, with the real binary: a clear word, and text answers; made anew, all is as before.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use harness_index::embed::source::ModelFiles;
use harness_recall::models::model_folder;
use serde_json::Value;

use crate::home::{Home, rounds};

fn install(home: &Home) {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../index/tests/fixtures/tiny-xlm-r");
    let _ = fs::remove_dir_all(model_folder(&home.path(), "tiny"));
    ModelFiles::open(&[&fixture]).unwrap().install(&model_folder(&home.path(), "tiny"), "tiny", &[]).unwrap();
}

/// A home with some notes whose vectors stand.
fn filled() -> Home {
    let home = Home::new();
    install(&home);
    // Nobody embeds behind the test's back.
    fs::write(home.path().join("config.toml"), "[follow]\nidle_seconds = 0\n").unwrap();
    for text in ["the disk of the build server was full", "invoices are paid in march", "a cat sleeps on the sill"] {
        home.remember(text);
    }
    home.run(&["index", "follow", "--idle", "0"]);
    home
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.path().is_dir() { found.extend(files(&entry.path())) } else { found.push(entry.path()) }
    }
    found.sort();
    found
}

/// The files of the vectors, those that hold anything.
fn vector_files(home: &Home) -> Vec<PathBuf> {
    let mut all = files(&home.path().join("index"));
    all.extend(files(&home.path().join("embeddings")));
    all.retain(|path| !path.components().any(|part| part.as_os_str() == "text"));
    all.retain(|path| path.metadata().is_ok_and(|meta| meta.len() > 0) && !path.ends_with("follow.lock"));
    all
}

/// It may fail, but with a message and the code for that.
fn no_panic(output: &Output, what: &str) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code().is_some_and(|code| code <= 2) && !said.contains("panicked"), "{what}: {said}");
    assert!(output.status.code() != Some(2) || !said.trim().is_empty(), "{what}: it failed without a word");
}

fn ask(home: &Home, mode: &str, what: &str) -> Option<Value> {
    let output = home.output(&["--json", "recall", "search", "--mode", mode, "the disk was full"]);
    no_panic(&output, what);
    serde_json::from_slice(&output.stdout).ok()
}

#[test]
fn damaged_vector_files_never_stop_an_answer_and_are_made_anew() {
    let home = filled();
    let right = |answer: &Value| answer["hits"][0]["text"].as_str().is_some_and(|text| text.contains("disk"));
    let sound = ask(&home, "vector", "sound").unwrap();
    assert!(right(&sound), "{sound}");
    let flip = |bytes: &mut Vec<u8>| {
        let middle = bytes.len() / 2;
        bytes[middle] ^= 16;
    };
    let newer = |bytes: &mut Vec<u8>| {
        let text = String::from_utf8_lossy(bytes).replace("\"format\": 1", "\"format\": 999");
        *bytes = text.into_bytes();
    };
    type Damage<'a> = (&'a str, &'a dyn Fn(&mut Vec<u8>));
    let damages: [Damage; 5] = [
        ("truncated", &|bytes| bytes.truncate(bytes.len() / 2)),
        ("flipped", &flip),
        ("emptied", &|bytes| bytes.clear()),
        ("foreign", &|bytes| *bytes = b"another program's file\n".repeat(30)),
        ("newer", &newer),
    ];
    let names: Vec<PathBuf> = vector_files(&home);
    assert!(names.len() > 4, "{names:?}");
    for at in 0..names.len() {
        // One damage a file in the common run, every one in the long loops.
        for which in 0..rounds(1, damages.len()) {
            let (damage, make) = &damages[(at + which) % damages.len()];
            let files = vector_files(&home);
            let Some(path) = files.get(at) else { continue };
            let what = format!("{} {damage}", path.display());
            let mut bytes = fs::read(path).unwrap();
            make(&mut bytes);
            fs::write(path, bytes).unwrap();
            let hybrid = ask(&home, "hybrid", &what).unwrap_or_else(|| panic!("{what}: no answer"));
            assert!(right(&hybrid), "{what}: {hybrid}");
            if let Some(vector) = ask(&home, "vector", &what)
                && vector["hits"].as_array().is_some_and(|hits| !hits.is_empty())
            {
                assert!(right(&vector), "{what}: a wrong neighbour: {vector}");
            }
            no_panic(&home.output(&["index", "verify"]), &what);
            no_panic(&home.output(&["index", "follow", "--idle", "0"]), &what);
            home.run(&["index", "rebuild"]);
            home.run(&["index", "follow", "--idle", "0"]);
            let after = ask(&home, "vector", &what).unwrap();
            assert_eq!(after["hits"][0]["id"], sound["hits"][0]["id"], "{what}: {after}");
            home.run(&["index", "verify"]);
        }
    }
}

#[test]
fn a_damaged_model_is_named_and_text_answers() {
    let home = filled();
    let folder = model_folder(&home.path(), "tiny");
    for name in ["model.safetensors", "tokenizer.json", "config.json"] {
        let whole = fs::read(folder.join(name)).unwrap();
        let mut flipped = whole.clone();
        flipped[whole.len() / 2] ^= 4;
        for (damage, bytes) in
            [("truncated", whole[..whole.len() / 2].to_vec()), ("flipped", flipped), ("foreign", b"no model".to_vec())]
        {
            let what = format!("{name} {damage}");
            install(&home);
            fs::write(folder.join(name), bytes).unwrap();
            let answer = ask(&home, "hybrid", &what).unwrap_or_else(|| panic!("{what}: no answer"));
            assert!(answer["hits"][0]["text"].as_str().unwrap().contains("disk"), "{what}: {answer}");
            let mut degraded = answer["degraded"].as_array().into_iter().flatten();
            assert!(degraded.any(|part| part["code"] == "model-failed"), "{what}: {answer}");
            let output = home.output(&["recall", "search", "--mode", "vector", "the disk was full"]);
            no_panic(&output, &what);
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.code() == Some(2) && said.contains(name), "{what}: {said}");
        }
    }
    install(&home);
    let output = home.output(&["--json", "recall", "search", "--mode", "vector", "the disk was full"]);
    assert!(output.status.success(), "whole again: {output:?}");
}

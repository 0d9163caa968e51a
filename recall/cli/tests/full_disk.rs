//! A disk that is full: an error with its reason, nothing acknowledged is lost, and it works when space is back.
//!
//! Needs the right to mount a small memory disk; where that is refused the test says that it was skipped.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod home;

use std::fs;
use std::process::Command;

use home::{Home, id_of};

struct Disk<'h>(&'h Home);

impl Disk<'_> {
    /// A disk of a few megabytes where the home is; `None` where mounting is refused.
    fn mount(home: &Home) -> Option<Disk<'_>> {
        Disk::mount_of(home, "3m")
    }

    fn mount_of<'h>(home: &'h Home, size: &str) -> Option<Disk<'h>> {
        fs::create_dir_all(home.path()).unwrap();
        let size = format!("size={size}");
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(home.path()).output();
        mount.is_ok_and(|output| output.status.success()).then_some(Disk(home))
    }
}

impl Drop for Disk<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.0.path()).status();
    }
}

#[test]
fn a_full_disk_is_named_and_costs_nothing_that_was_acknowledged() {
    let home = Home::new();
    let Some(_disk) = Disk::mount(&home) else {
        eprintln!("skipped: a_full_disk_is_named_and_costs_nothing_that_was_acknowledged (mounting is refused here)");
        return;
    };
    let filler = home.path().join("filler");
    let mut acknowledged = Vec::new();
    acknowledged.push(home.remember("before the disk was full"));
    // Leave little room.
    let mut room = 2_600_usize << 10;
    while room > 16 << 10 && fs::write(&filler, vec![0_u8; room]).is_err() {
        room -= 64 << 10;
    }
    let mut refused = None;
    for number in 0..200 {
        let noise: String = (0..400).map(|at| format!("{:x}", (at * 7_919 + number * 104_729) % 65_521)).collect();
        let output = home.output(&["--json", "remember", &format!("note {number} {noise}")]);
        if output.status.success() {
            acknowledged.push(id_of(&String::from_utf8(output.stdout).unwrap()));
        } else {
            assert_eq!(output.status.code(), Some(2));
            refused = Some(String::from_utf8(output.stderr).unwrap());
            break;
        }
    }
    let refused = refused.expect("the disk is full at some time");
    assert!(refused.contains("full"), "{refused}");
    fs::remove_file(&filler).unwrap();
    acknowledged.push(home.remember("after there was room again"));
    let kept = home.notes();
    assert_eq!(kept, acknowledged.into_iter().collect(), "all that was acknowledged, and nothing else");
    home.assert_no_gap();
    // `doctor` may say that there is little room; of the store it must find nothing wrong.
    let findings = String::from_utf8(home.output(&["--json", "doctor"]).stdout).unwrap();
    for code in ["row-", "log-", "id-lost", "tail-lost", "pages-"] {
        assert!(!findings.contains(code), "{findings}");
    }
}

/// Leaves so much room on the disk, in bytes.
fn fill_up_to(home: &Home, left: u64) {
    let filler = home.path().join("filler");
    let _ = fs::remove_file(&filler);
    let room = Command::new("stat").args(["-f", "-c", "%a %S"]).arg(home.path()).output().unwrap();
    let room = String::from_utf8(room.stdout).unwrap();
    let numbers: Vec<u64> = room.split_whitespace().map(|number| number.parse().unwrap()).collect();
    fs::write(&filler, vec![0_u8; (numbers[0] * numbers[1]).saturating_sub(left) as usize]).unwrap();
}

fn make_room(home: &Home) {
    fs::remove_file(home.path().join("filler")).unwrap();
}

/// Asserts that a command failed for want of room, and said so.
fn full(home: &Home, arguments: &[&str]) {
    let output = home.output(arguments);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {errors}");
    assert!(errors.contains("full") || errors.contains("No space left"), "{arguments:?}: {errors}");
    assert!(errors.contains("error:") && !errors.contains("panicked"), "{arguments:?}: {errors}");
}

#[test]
fn an_import_an_index_a_backup_or_an_export_that_finds_the_disk_full_leaves_nothing_half_written() {
    let name = "an_import_an_index_a_backup_or_an_export_that_finds_the_disk_full_leaves_nothing_half_written";
    let home = Home::new();
    let Some(_disk) = Disk::mount_of(&home, "12m") else {
        eprintln!("skipped: {name} (mounting is refused here)");
        return;
    };
    home.remember("before the disk was full: the deploy of shard 17");
    let transcript = home.transcript("t.jsonl", 3_000);
    let transcript = transcript.to_str().unwrap();

    // An import: what is there of it is whole, and it goes on when there is room.
    fill_up_to(&home, 400 << 10);
    full(&home, &["session", "import", transcript]);
    home.assert_no_gap();
    let kept = home.messages();
    assert!(kept < 3_000);
    make_room(&home);
    home.run(&["session", "import", transcript]);
    assert_eq!(home.messages(), 3_000);

    // An index: what cannot be committed is found in the tail all the same.
    let question = "why did the deploy of shard 17 time out";
    let expected = home.search(question, 20);
    assert_eq!(expected.len(), 20);
    let folder = home.path().join("index");
    let _ = fs::remove_dir_all(&folder);
    // With less room than the processes share among them nothing opens; with more of it everything is read.
    fill_up_to(&home, 8 << 10);
    full(&home, &["index", "rebuild"]);
    for left in [48 << 10, 64 << 10, 80 << 10] {
        fill_up_to(&home, left);
        full(&home, &["index", "rebuild"]);
        assert_eq!(home.search(question, 20), expected, "with {left} bytes left");
    }
    make_room(&home);
    home.run(&["index", "follow", "--idle", "0"]);
    assert_eq!((home.lag(), home.search(question, 20)), (0, expected.clone()));

    // Copies: nothing appears that is not whole, neither the copy nor what it was made in.
    let (copy, export) = (home.path().join("copy.db"), home.path().join("all.jsonl"));
    for left in [8 << 10, 300 << 10] {
        fill_up_to(&home, left);
        full(&home, &["backup", copy.to_str().unwrap()]);
        full(&home, &["export", export.to_str().unwrap()]);
        let left_over = fs::read_dir(home.path()).unwrap().flatten().map(|entry| entry.file_name());
        let left_over: Vec<_> = left_over.filter(|name| name.to_string_lossy().contains(".partial")).collect();
        assert!(!copy.exists() && !export.exists() && left_over.is_empty(), "{left_over:?}");
    }
    make_room(&home);
    home.run(&["backup", copy.to_str().unwrap()]);
    home.run(&["export", export.to_str().unwrap()]);
    let elsewhere = home.outside().join("elsewhere");
    home.run(&["--home", elsewhere.to_str().unwrap(), "restore", copy.to_str().unwrap()]);

    // Putting a copy back: refused for want of room, and all is as it was.
    fill_up_to(&home, 300 << 10);
    full(&home, &["restore", copy.to_str().unwrap()]);
    assert_eq!(home.messages(), 3_000);
    make_room(&home);
    home.run(&["index", "follow", "--idle", "0"]);
    assert_eq!(home.search(question, 20), expected);
    home.assert_no_gap();
    let findings = String::from_utf8(home.output(&["--json", "doctor"]).stdout).unwrap();
    for code in ["row-", "log-", "id-lost", "tail-lost", "pages-", "index-"] {
        assert!(!findings.contains(code), "{findings}");
    }
}

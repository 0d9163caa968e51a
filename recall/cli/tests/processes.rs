//! Several processes on one home: nothing acknowledged is lost, everything written is found at once, and
//! somebody follows, but never two.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod home;

use std::collections::BTreeSet;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use home::{Home, rounds};

/// The tail that `harness` lets grow before it starts a follower, with the writes that can come in while the
/// follower starts and gathers.
const TAIL_MAX: u64 = 1_000;

#[test]
fn a_write_is_in_the_next_answer_of_another_process() {
    let home = Home::new();
    for number in 0..rounds(10, 50) {
        let id = home.remember(&format!("the staging password rotates on day {number}, ask zanzibar{number}"));
        assert_eq!(home.search_ids(&format!("zanzibar{number}")).first(), Some(&id), "write {number}");
    }
}

#[test]
fn four_processes_writing_at_once_lose_nothing() {
    let home = Home::new();
    let each = rounds(40, 500);
    let mut ids = BTreeSet::new();
    thread::scope(|threads| {
        let writers: Vec<_> = (0..4)
            .map(|writer| {
                let home = &home;
                threads.spawn(move || -> Vec<String> {
                    (0..each).map(|number| home.remember(&format!("writer {writer} says {number} 并发写入"))).collect()
                })
            })
            .collect();
        for writer in writers {
            ids.extend(writer.join().unwrap());
        }
    });
    assert_eq!(ids.len(), 4 * each);
    assert_eq!(home.notes(), ids);
    home.assert_well();
}

#[test]
fn what_was_acknowledged_before_a_kill_is_there_and_found_as_after_a_rebuild() {
    let home = Home::new();
    let mut acknowledged = BTreeSet::new();
    let mut dice = 1_u64;
    for round in 0..rounds(12, 50) {
        // Three writers at once, each killed at some moment of its life.
        let mut writers: Vec<_> = (0..3)
            .map(|writer| {
                let text = format!("round {round} writer {writer}: 回滚之前先备份 keep the backup");
                home.command(&["--json", "remember", &text]).stdout(Stdio::piped()).spawn().unwrap()
            })
            .collect();
        for writer in &mut writers {
            dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            thread::sleep(Duration::from_micros((dice >> 40) % 12_000));
            let _ = writer.kill();
        }
        for writer in writers {
            let output = writer.wait_with_output().unwrap();
            // What was printed whole was acknowledged.
            if let Ok(line) = String::from_utf8(output.stdout)
                && line.ends_with('\n')
            {
                acknowledged.insert(home::id_of(&line));
            }
        }
        // One that is left to end, so that every round acknowledges something.
        acknowledged.insert(home.remember(&format!("round {round} ended well: 备份 backup")));
    }
    let kept = home.notes();
    assert!(acknowledged.is_subset(&kept), "lost: {:?}", acknowledged.difference(&kept).collect::<Vec<_>>());
    let before = home.search("备份 backup", 500);
    home.run(&["index", "rebuild"]);
    assert_eq!(home.search("备份 backup", 500), before, "the same records in the same order");
    home.assert_well();
}

#[test]
fn an_import_killed_in_the_middle_ends_complete_when_run_again() {
    let home = Home::new();
    let transcript = home.transcript("killed.jsonl", 6_000);
    let path = transcript.to_str().unwrap();
    for round in 0..rounds(4, 20) {
        let mut import = home.command(&["session", "import", path]).stdout(Stdio::null()).spawn().unwrap();
        thread::sleep(Duration::from_millis(60 + 70 * round as u64));
        let _ = import.kill();
        let _ = import.wait();
    }
    home.run(&["session", "import", path]);
    let count = home.messages();
    assert_eq!(count, 6_000);
    home.run(&["session", "import", path]);
    assert_eq!(home.messages(), count, "importing again adds nothing");
    home.assert_well();
}

#[test]
fn five_hundred_short_writers_are_followed_by_one_process_that_leaves() {
    let home = Home::new();
    let writes = rounds(300, 500);
    let mut most_lag = 0;
    let mut followed = false;
    for number in 0..writes {
        home.remember(&format!("short write {number}: 短命进程 {}", "padding ".repeat(20)));
        if number % 20 == 19 {
            let followers = home.followers();
            assert!(followers.len() <= 2, "one that follows, and one that has just come and will leave: {followers:?}");
            followed |= !followers.is_empty();
            most_lag = most_lag.max(home.lag());
        }
    }
    assert!(followed, "somebody followed");
    assert!(most_lag <= TAIL_MAX, "the tail grew to {most_lag}");
    let patience = Instant::now() + Duration::from_secs(60);
    while !home.followers().is_empty() && Instant::now() < patience {
        thread::sleep(Duration::from_millis(200));
    }
    assert_eq!(home.followers(), Vec::<u32>::new(), "none is left over a minute later");
    assert_eq!(home.notes().len(), writes);
    home.assert_well();
}

#[test]
fn when_the_follower_is_killed_another_takes_over() {
    let home = Home::new();
    let mut first = home.command(&["index", "follow", "--idle", "60"]).spawn().unwrap();
    let patience = Instant::now() + Duration::from_secs(20);
    while home.followers().is_empty() && Instant::now() < patience {
        thread::sleep(Duration::from_millis(20));
    }
    home.remember("the follower dies after this");
    let _ = first.kill();
    let _ = first.wait();
    home.run(&["index", "follow", "--idle", "0"]);
    assert_eq!(home.lag(), 0);
    home.assert_well();
}

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
        fs::create_dir_all(home.path()).unwrap();
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", "size=3m", "tmpfs"]).arg(home.path()).output();
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

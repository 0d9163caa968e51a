//! The viewer in headless Chromium: search in Chinese, a session, forget and undo, keys alone, a phone's width.

#![expect(clippy::unwrap_used, reason = "the helpers of these tests stop them as the tests themselves do")]

mod home;
mod server;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::json;

use crate::home::Home;
use crate::server::Server;

/// The browser, where there is one.
fn chromium() -> Option<PathBuf> {
    let folders = std::env::var_os("PATH")?;
    let names = ["chromium", "chromium-browser", "google-chrome"];
    std::env::split_paths(&folders).flat_map(|folder| names.map(|name| folder.join(name))).find(|path| path.is_file())
}

/// The `node_modules` that holds playwright-core: what `HARNESS_NODE_MODULES` names, or one above these sources.
fn playwright() -> Option<PathBuf> {
    let named = std::env::var_os("HARNESS_NODE_MODULES").map(PathBuf::from);
    let above = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().map(|folder| folder.join("node_modules"));
    named.into_iter().chain(above).find(|folder| folder.join("playwright-core").is_dir())
}

#[test]
fn the_viewer_does_what_a_person_wants_of_it() {
    let (Some(chromium), Some(modules)) = (chromium(), playwright()) else {
        // Past the test runner, which keeps what passing tests print to itself.
        let why = "needs Chromium and the npm package playwright-core";
        let _ = writeln!(std::io::stderr(), "skipped: the_viewer_does_what_a_person_wants_of_it: {why}");
        return;
    };
    let home = Home::new();
    let transcript = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../memory/tests/fixtures/claude-code");
    home.command(&["session", "import"]).arg(transcript).stdout(Stdio::null()).status().unwrap();
    for note in ["上线前先备份数据库", "备份脚本在 scripts/backup.sh，每天两点运行", "staging deploys need the VPN"]
    {
        home.command(&["remember", note, "--tag", "deploy"]).stdout(Stdio::null()).status().unwrap();
    }
    let server = Server::start_on(home, &[]);
    give_the_newest_episode_to_two_runs(&server);
    let view = server.home.command(&["view", "--no-open", "--json"]).output().unwrap();
    let said: serde_json::Value = serde_json::from_slice(&view.stdout).unwrap();
    // Node looks for packages beside the script.
    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(&modules, folder.path().join("node_modules")).unwrap();
    let script = folder.path().join("viewer.mjs");
    std::fs::copy(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/viewer/viewer.mjs"), &script).unwrap();
    let mut node = Command::new("node");
    node.arg(&script).arg(said["url"].as_str().unwrap()).arg(chromium);
    if let Some(shots) = std::env::var_os("HARNESS_SCREENSHOTS") {
        node.arg(shots);
    }
    let output = node.output().unwrap();
    let printed = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}{}", printed(&output.stdout), printed(&output.stderr));
}

/// Of the first it is known how it ended, of the second not yet.
fn give_the_newest_episode_to_two_runs(server: &Server) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let newest = server.get("/v1/episodes?limit=1").await["records"][0]["id"].clone();
        for run in ["run-1", "run-2"] {
            server.post("/v1/exposures", &json!({ "run": run, "records": [newest], "query": "rename it" })).await;
        }
        server.post("/v1/runs/run-1/outcome", &json!({ "outcome": "success", "reason": "tests pass" })).await;
    });
}

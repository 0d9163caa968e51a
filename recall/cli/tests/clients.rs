//! The examples of clients, beside a server that runs.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod home;
mod node;
mod server;

use std::path::PathBuf;
use std::process::Command;

use server::Server;

/// From this version on Node reads TypeScript.
const NODE_WITH_TYPES: (u32, u32) = (22, 18);

fn example(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../examples/clients").join(name)
}

/// Runs a client on a home of its own, and looks at what it said and at what it left.
fn is_a_day_of_an_agent(mut command: Command) {
    let server = Server::start();
    let output = command.arg(server.home.path()).env_remove("HARNESS_HOME").output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}{err}");
    for part in
        ["上线前先备份数据库", "forgotten, and brought back", "3 notes", "refused: ", "deploy the shop to staging"]
    {
        assert!(out.contains(part), "{part}: {out}");
    }
    assert_eq!(server.home.notes().len(), 3);
    assert_eq!(server.home.messages(), 2);
}

#[test]
fn the_python_client_uses_the_memory() {
    if Command::new("python3").arg("--version").output().is_err() {
        eprintln!("skipped: the_python_client_uses_the_memory: needs Python 3");
        return;
    }
    let mut python = Command::new("python3");
    python.arg("-B").arg(example("memory.py"));
    is_a_day_of_an_agent(python);
}

#[test]
fn the_typescript_client_uses_the_memory() {
    if node::version().is_none_or(|version| version < NODE_WITH_TYPES) {
        return node::skipped("the_typescript_client_uses_the_memory", "that at version 22.18 or later");
    }
    let mut node = Command::new(node::node());
    node.arg(example("memory.ts"));
    is_a_day_of_an_agent(node);
}

//! `harness service` with a keeper of services of the test's own, which starts and ends what the file says.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod home;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use home::Home;
use serde_json::Value;

/// Understands of `systemctl --user` what is asked of it, and writes down that it was.
const SYSTEMCTL: &str = r#"#!/bin/sh
echo "$@" >> "$KEEPER/asked"
file="$XDG_CONFIG_HOME/systemd/user/harness.service"
stop() { [ -f "$KEEPER/pid" ] && kill "$(cat "$KEEPER/pid")" 2>/dev/null; rm -f "$KEEPER/pid"; return 0; }
case "$*" in
  *is-active*) [ -f "$KEEPER/pid" ] && kill -0 "$(cat "$KEEPER/pid")" 2>/dev/null ;;
  *restart*) stop; [ -e "$KEEPER/broken" ] && exit 0
     sh -c "exec $(sed -n 's/^ExecStart=//p' "$file")" >/dev/null 2>&1 & echo $! > "$KEEPER/pid" ;;
  *disable*) stop ;;
esac
"#;

/// The same of `launchctl`.
const LAUNCHCTL: &str = r#"#!/bin/sh
echo "$@" >> "$KEEPER/asked"
stop() { [ -f "$KEEPER/pid" ] && kill "$(cat "$KEEPER/pid")" 2>/dev/null; rm -f "$KEEPER/pid"; return 0; }
case "$1 $2" in
  print*harness.serve) [ -f "$KEEPER/pid" ] ;;
  bootout*) stop ;;
  bootstrap*) eval "set -- $(sed -n '/<array>/,/<\/array>/s/.*<string>\(.*\)<\/string>/"\1"/p' "$3" | tr '\n' ' ')"
     "$@" >/dev/null 2>&1 & echo $! > "$KEEPER/pid" ;;
esac
"#;

struct Machine {
    home: Home,
    keeper: PathBuf,
}

impl Machine {
    fn new() -> Machine {
        let home = Home::new();
        let keeper = home.outside().join("keeper");
        fs::create_dir_all(keeper.join("bin")).unwrap();
        for (name, script) in [("systemctl", SYSTEMCTL), ("launchctl", LAUNCHCTL)] {
            let path = keeper.join("bin").join(name);
            fs::write(&path, script).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        Machine { home, keeper }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.home.command(arguments);
        let path = format!("{}:/usr/bin:/bin", self.keeper.join("bin").display());
        command.env("PATH", path).env("KEEPER", &self.keeper);
        command.env("HOME", self.home.outside()).env("XDG_CONFIG_HOME", self.home.outside().join("config"));
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    fn unit(&self) -> PathBuf {
        self.home.outside().join("config/systemd/user/harness.service")
    }

    fn asked(&self) -> String {
        fs::read_to_string(self.keeper.join("asked")).unwrap_or_default()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if let Ok(pid) = fs::read_to_string(self.keeper.join("pid")) {
            let _ = Command::new("kill").args(["-9", pid.trim()]).status();
        }
    }
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{} {}", out(output), err(output)))
}

/// Installs, uses, installs again and takes back, with one keeper.
fn lives(machine: &Machine, keeper: &str, file: &Path) {
    let ask = |verb: &[&str]| machine.run(&[&["--json", "service"], verb, &["--keeper", keeper]].concat());
    assert_eq!(ask(&["status"]).status.code(), Some(1));
    let dry = ask(&["install", "--addr", "127.0.0.1:0", "--dry-run"]);
    let shown = json(&dry)["text"].as_str().unwrap().to_owned();
    assert!(shown.contains("127.0.0.1:0") && shown.contains(machine.home.path().to_str().unwrap()), "{shown}");
    assert!(!file.exists() && machine.asked().lines().all(|line| line.contains("is-active") || line.contains("print")));
    let installed = ask(&["install", "--addr", "127.0.0.1:0"]);
    assert!(installed.status.success(), "{}", err(&installed));
    let url = json(&installed)["url"].as_str().unwrap().to_owned();
    assert_eq!(fs::read_to_string(file).unwrap(), shown, "the dry run showed what was written");
    let status = json(&ask(&["status"]));
    assert_eq!((&status["running"], &status["url"]), (&true.into(), &url.as_str().into()));
    // It is the memory of this home and of this person.
    let id = machine.home.remember("kept while the service runs");
    let token = fs::read_to_string(machine.home.path().join("token")).unwrap();
    let found = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let client = harness_memory::http::Client::new(&url, token.trim()).unwrap();
            let answer: Value = client.post("/v1/recall", &serde_json::json!({ "query": "service" })).await.unwrap();
            answer
        })
    });
    assert_eq!(found.join().unwrap()["hits"][0]["id"], id);
    // Once more: it runs as the file says now, and lines of somebody's own are kept.
    fs::write(file, format!("{shown}\n# mine\n")).unwrap();
    let again = ask(&["install", "--addr", "127.0.0.1:0"]);
    assert!(again.status.success(), "{}", err(&again));
    let kept = json(&again)["kept"].as_str().unwrap().to_owned();
    assert!(fs::read_to_string(kept).unwrap().ends_with("# mine\n"));
    assert_eq!(fs::read_to_string(file).unwrap(), shown);
    let gone = ask(&["uninstall"]);
    assert!(gone.status.success() && json(&gone)["kept"].is_null(), "{} {}", out(&gone), err(&gone));
    assert!(!file.exists(), "the file has gone");
    let status = ask(&["status"]);
    assert_eq!((status.status.code(), &json(&status)["installed"]), (Some(1), &false.into()));
    assert_eq!(ask(&["uninstall"]).status.code(), Some(1), "there is nothing to take back");
    let patience = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while machine.home.path().join("serve.json").exists() && std::time::Instant::now() < patience {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    assert!(!machine.home.path().join("serve.json").exists(), "it ended as with Ctrl-C");
    assert_eq!(machine.home.search_ids("service"), [id], "what is remembered stays");
}

#[test]
fn a_service_of_systemd_is_set_up_runs_and_is_taken_back() {
    let machine = Machine::new();
    lives(&machine, "systemd", &machine.unit());
    let asked = machine.asked();
    for part in ["--user enable harness.service", "--user daemon-reload", "--user disable --now harness.service"] {
        assert!(asked.contains(part), "{part}: {asked}");
    }
}

#[test]
fn an_agent_of_launchd_is_set_up_runs_and_is_taken_back() {
    let machine = Machine::new();
    lives(&machine, "launchd", &machine.home.outside().join("Library/LaunchAgents/harness.serve.plist"));
}

#[test]
fn without_a_session_of_systemd_it_says_so_and_leaves_nothing_behind() {
    let machine = Machine::new();
    fs::write(machine.keeper.join("bin/systemctl"), "#!/bin/sh\necho 'Failed to connect to bus' >&2\nexit 1\n")
        .unwrap();
    let failed = machine.run(&["service", "install", "--keeper", "systemd"]);
    assert_eq!(failed.status.code(), Some(2));
    let said = err(&failed);
    for part in ["no systemd user session", "Failed to connect to bus", "harness serve", "enable-linger"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(!machine.unit().exists());
    let shown = machine.run(&["service", "install", "--dry-run", "--keeper", "systemd"]);
    assert!(shown.status.success() && out(&shown).contains("ExecStart="), "{}", err(&shown));
    // One that was set up while there was a session goes in any case.
    fs::create_dir_all(machine.unit().parent().unwrap()).unwrap();
    let text = out(&machine.run(&["--json", "service", "install", "--dry-run", "--keeper", "systemd"]));
    let text: Value = serde_json::from_str(&text).unwrap();
    fs::write(machine.unit(), text["text"].as_str().unwrap()).unwrap();
    let gone = machine.run(&["service", "uninstall", "--keeper", "systemd"]);
    assert!(gone.status.success() && err(&gone).contains("not stopped"), "{}", err(&gone));
    assert!(!machine.unit().exists());
}

#[test]
fn a_service_that_does_not_start_is_not_left_to_fail_at_each_login() {
    let machine = Machine::new();
    fs::write(machine.keeper.join("broken"), "").unwrap();
    let failed = machine.run(&["service", "install", "--keeper", "systemd", "--addr", "127.0.0.1:0"]);
    assert_eq!(failed.status.code(), Some(2));
    assert!(err(&failed).contains("journalctl"), "{}", err(&failed));
    assert!(!machine.unit().exists());
    assert!(machine.asked().contains("disable --now"));
}

#[test]
fn files_of_others_and_servers_that_run_already_are_left_alone() {
    let machine = Machine::new();
    fs::create_dir_all(machine.unit().parent().unwrap()).unwrap();
    fs::write(machine.unit(), "[Service]\nExecStart=/usr/bin/another\n").unwrap();
    for verb in ["install", "uninstall"] {
        let refused = machine.run(&["service", verb, "--keeper", "systemd"]);
        assert_eq!(refused.status.code(), Some(2), "{verb}");
        assert!(err(&refused).contains("was not made by"), "{}", err(&refused));
    }
    assert!(fs::read_to_string(machine.unit()).unwrap().contains("another"));
    fs::remove_file(machine.unit()).unwrap();
    let bad = machine.run(&["service", "install", "--keeper", "systemd", "--addr", "nowhere"]);
    assert!(bad.status.code() == Some(2) && err(&bad).contains("nowhere"), "{}", err(&bad));
    let mut server =
        machine.command(&["serve", "--addr", "127.0.0.1:0"]).stdout(std::process::Stdio::null()).spawn().unwrap();
    while !machine.home.path().join("serve.json").exists() {
        assert!(server.try_wait().unwrap().is_none());
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let refused = machine.run(&["service", "install", "--keeper", "systemd"]);
    assert!(refused.status.code() == Some(2) && err(&refused).contains("runs already"), "{}", err(&refused));
    assert!(!machine.unit().exists());
    let _ = server.kill();
    let _ = server.wait();
}

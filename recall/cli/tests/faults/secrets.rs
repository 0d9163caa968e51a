//! Secrets of all kinds, through every way in: none is in any file of the home, in the log of writes, in a body, a
//! name, an index, a snippet, a log, an export or a backup.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Output, Stdio};

use harness_memory::Store;
use harness_memory::store::{Filter, Lookup};
use harness_recall::Engine;
use reqwest::Method;
use serde_json::{Value, json};

use crate::client::Client;
use crate::home::{Home, id_of, rounds};
use crate::web::Web;

#[allow(dead_code, reason = "the rules' own tests use all of it")]
#[path = "../../../../memory/src/redact/samples.rs"]
mod samples;

/// What was said with a secret in it: the way it came in, the whole text, and the secret.
struct Said {
    way: &'static str,
    text: String,
    secret: String,
}

/// All that is said in one test. Each way in gets secrets of its own, so that a leak names its way.
#[derive(Default)]
struct Sayings {
    all: Vec<Said>,
    ways: u64,
}

impl Sayings {
    /// A text with each kind of secret for one way in, or with some of them where few rounds are run.
    fn of(&mut self, way: &'static str) -> Vec<String> {
        self.ways += 1;
        let seed = 1_000 + self.ways;
        let tokens =
            samples::tokens(seed).into_iter().map(|(_, secret)| (format!("zebra, use {secret}, please"), secret));
        let named = samples::assignments(seed).into_iter();
        let named = named.map(|(_, before, secret, after)| (format!("zebra {before}{secret}{after}"), secret));
        let (few, ways) = (rounds(9, 1), self.ways as usize);
        let kinds = tokens.chain(named).enumerate().filter(|(number, _)| (number + ways) % few == 0);
        let mut texts = Vec::new();
        for (_, (text, secret)) in kinds {
            // Within JSON a line end is written as two characters: each line of the secret must be gone by itself.
            let line = secret.lines().max_by_key(|line| line.len()).unwrap_or_default().to_owned();
            self.all.push(Said { way, text: text.clone(), secret: line });
            texts.push(text);
        }
        texts
    }

    /// Asserts that none of them stands in these bytes.
    fn none_in(&self, bytes: &[u8], place: &str) {
        let text = String::from_utf8_lossy(bytes);
        for said in &self.all {
            let leak = text.find(&said.secret);
            let around = leak.map(|at| {
                let from = text.floor_char_boundary(at.saturating_sub(60));
                let to = text.ceil_char_boundary((at + said.secret.len() + 60).min(text.len()));
                &text[from..to]
            });
            assert!(leak.is_none(), "{place}: by way of {}: {:?}\nof {:?}", said.way, around, said.text);
        }
    }

    fn none_under(&self, folder: &Path) -> usize {
        let mut files = 0;
        for entry in fs::read_dir(folder).unwrap().flatten() {
            let path = entry.path();
            if path.is_dir() {
                files += self.none_under(&path);
            } else {
                self.none_in(&fs::read(&path).unwrap_or_default(), &path.display().to_string());
                files += 1;
            }
        }
        files
    }

    fn none_said(&self, output: &Output, place: &str) {
        self.none_in(&output.stdout, place);
        self.none_in(&output.stderr, place);
    }
}

fn with_stdin(home: &Home, arguments: &[&str], stdin: &str) -> Output {
    let mut command = home.command(arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
    child.wait_with_output().unwrap()
}

fn lines(values: impl IntoIterator<Item = Value>) -> String {
    values.into_iter().map(|value| format!("{value}\n")).collect()
}

/// Everything that the command line takes in.
fn by_commands(home: &Home, sayings: &mut Sayings, outputs: &mut Vec<(Output, &'static str)>) {
    for text in sayings.of("remember") {
        outputs.push((home.output(&["remember", &text, "--tag", "zebra"]), "remember"));
    }
    for text in sayings.of("remember by stdin") {
        outputs.push((with_stdin(home, &["remember", "-"], &text), "remember -"));
    }
    for text in sayings.of("episode record") {
        let episode = json!({ "situation": text, "user_turns": [text], "outcome": "success", "reason": text, "lesson": text,
            "errors": [text], "tools": [{ "tool": "bash", "gist": text, "error": text }], "tags": ["zebra"] });
        outputs.push((with_stdin(home, &["episode", "record", "--json"], &episode.to_string()), "episode record"));
    }
    for (number, text) in sayings.of("experience record").into_iter().enumerate() {
        let event = |event: &str, more: Value| {
            let mut value = json!({ "event": event, "run": format!("run-{number}"), "at": "2026-05-01T10:00:00Z" });
            value.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            value
        };
        let events = lines([
            event("run.started", json!({ "task": text, "agent": "a", "model": "m", "cwd": "/srv" })),
            event("tool.started", json!({ "call": "c", "tool": "bash", "arguments": text })),
            event("tool.finished", json!({ "call": "c", "ok": false, "gist": text, "error": text, "duration_ms": 5 })),
            event("agent.finished", json!({ "text": text })),
            event("run.finished", json!({ "outcome": "failure", "reason": text, "duration_ms": 9 })),
        ]);
        outputs.push((with_stdin(home, &["experience", "record"], &events), "experience record"));
    }
    for text in sayings.of("search and context") {
        outputs.push((home.output(&["recall", "context", "--budget", "900", &text]), "recall context"));
    }
}

/// Every form of file that is imported.
fn by_files(home: &Home, sayings: &mut Sayings, outputs: &mut Vec<(Output, &'static str)>) {
    let file = |name: &str, text: String| {
        let path = home.outside().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let transcript = sayings.of("a transcript").into_iter().enumerate().flat_map(|(number, text)| {
        let line = |kind: &str, part: u32, message: Value| {
            json!({ "type": kind, "uuid": format!("u-{number}-{part}"), "sessionId": format!("s-{}", number / 9), "cwd": "/srv/shop",
                "version": "2.1.0", "timestamp": format!("2026-05-01T10:{:02}:{part:02}.000Z", number % 60), "message": message })
        };
        let call = json!([{ "type": "text", "text": text },
            { "type": "tool_use", "id": format!("c-{number}"), "name": "Bash", "input": { "command": text } }]);
        let result = json!([{ "type": "tool_result", "tool_use_id": format!("c-{number}"), "is_error": true, "content": text }]);
        [
            line("user", 0, json!({ "role": "user", "content": text })),
            line("assistant", 1, json!({ "role": "assistant", "content": call })),
            line("user", 2, json!({ "role": "user", "content": result })),
            json!({ "type": "summary", "summary": text, "leafUuid": format!("u-{number}-0") }),
        ]
    });
    let path = file("t.jsonl", lines(transcript));
    outputs.push((home.output(&["session", "import", &path]), "session import"));
    let memories = sayings.of("mem0").into_iter().enumerate();
    let memories: Vec<Value> = memories
        .map(|(id, text)| json!({ "id": id.to_string(), "memory": text, "metadata": { "about": text }, "categories": [text] }))
        .collect();
    let path = file("mem0.json", json!({ "results": memories }).to_string());
    outputs.push((home.output(&["import", &path]), "import of mem0"));
    let graph = sayings.of("memory.json").into_iter();
    let graph = graph.map(|text| json!({ "type": "entity", "name": text, "entityType": text, "observations": [text] }));
    let path = file("memory.json", lines(graph));
    outputs.push((home.output(&["import", &path]), "import of memory.json"));
    for (number, text) in sayings.of("markdown").into_iter().enumerate() {
        let quoted = serde_json::to_string(&text).unwrap();
        file(
            &format!("notes/{number}.md"),
            format!("---\ntitle: {quoted}\ntags: [{quoted}]\n---\n# {text}\n\n{text}\n"),
        );
    }
    let folder = home.outside().join("notes");
    outputs.push((home.output(&["import", folder.to_str().unwrap()]), "import of Markdown"));
    let path = home.outside().join("claude-mem.db");
    let database = rusqlite::Connection::open(&path).unwrap();
    database
        .execute_batch("CREATE TABLE observations (id INTEGER PRIMARY KEY, title TEXT, subtitle TEXT, narrative TEXT, facts TEXT, concepts TEXT);
            CREATE TABLE session_summaries (id INTEGER PRIMARY KEY, request TEXT, learned TEXT, completed TEXT, notes TEXT)")
        .unwrap();
    for text in sayings.of("claude-mem") {
        let list = json!([text]).to_string();
        let insert =
            "INSERT INTO observations (title, subtitle, narrative, facts, concepts) VALUES (?1, ?1, ?1, ?2, ?2)";
        database.execute(insert, [&text, &list]).unwrap();
        let insert = "INSERT INTO session_summaries (request, learned, completed, notes) VALUES (?1, ?1, ?1, ?1)";
        database.execute(insert, [&text]).unwrap();
    }
    drop(database);
    outputs.push((home.output(&["import", path.to_str().unwrap()]), "import of claude-mem"));
    // An export of another memory, in which somebody wrote secrets by hand.
    let other = Home::new();
    other.remember("zebra PLACE");
    let exported = other.run(&["export", "-"]);
    let record = exported.lines().find(|line| line.contains("PLACE")).unwrap();
    let records = sayings.of("an export").into_iter().map(|text| {
        let mut value: Value = serde_json::from_str(record).unwrap();
        value["id"] = uuid::Uuid::now_v7().to_string().into();
        value["text"] = text.into();
        value
    });
    let path = file("export.jsonl", format!("{}\n{}", exported.lines().next().unwrap(), lines(records)));
    outputs.push((home.output(&["import", &path]), "import of an export"));
}

/// Every call of the service that takes in words, and the same for models.
fn by_calls(web: &Web, sayings: &mut Sayings, answers: &mut Vec<(String, &'static str)>) {
    let home = web.server.home.clone();
    let mut say = |method: Method, path: &str, body: Value, way: &'static str| {
        let (status, said) = web.own(method, path, Some(&body));
        assert!(status > 0 && status < 500, "{way}: {status} {said}");
        answers.push((said.clone(), way));
        said
    };
    let mut note = String::new();
    for text in sayings.of("POST notes") {
        note = id_of(&say(Method::POST, "/v1/notes", json!({ "text": text, "tags": ["zebra"] }), "POST notes"));
    }
    for text in sayings.of("tags") {
        say(Method::POST, "/v1/notes", json!({ "text": "zebra with tags", "tags": [text] }), "tags");
    }
    for text in sayings.of("names") {
        // A name that is too long is refused; one that holds a secret is kept under another.
        for field in ["session", "source", "key"] {
            let mut named = json!({ "text": "zebra under a name" });
            named[field] = text.clone().into();
            web.own(Method::POST, "/v1/notes", Some(&named));
        }
        web.own(Method::POST, "/v1/exposures", Some(&json!({ "run": text, "records": [note], "query": "zebra" })));
        let call = json!({ "call": text, "tool": text, "arguments": "{}" });
        let turns = json!([{ "role": "assistant", "text": "zebra", "tool_calls": [call] },
            { "role": "tool", "text": "zebra", "tool_result": { "call": text, "tool": text, "ok": true } }]);
        web.own(Method::POST, "/v1/sessions/names/messages", Some(&turns));
        let episode =
            json!({ "situation": "zebra", "outcome": "success", "tools": [text, { "tool": text, "gist": "zebra" }] });
        web.own(Method::POST, "/v1/episodes", Some(&episode));
    }
    for text in sayings.of("PATCH notes") {
        note = id_of(&say(Method::PATCH, &format!("/v1/records/{note}"), json!({ "text": text }), "PATCH notes"));
    }
    for text in sayings.of("POST records") {
        let lesson = json!({ "kind": "lesson", "text": text, "evidence": [] });
        say(Method::POST, "/v1/records", lesson, "POST records");
    }
    for text in sayings.of("POST episodes") {
        let episode = json!({ "situation": text, "user_turns": [text], "reason": text, "lesson": text, "errors": [text],
            "outcome": "failure", "tools": [{ "tool": "bash", "gist": text, "error": text }] });
        let id = id_of(&say(Method::POST, "/v1/episodes", episode, "POST episodes"));
        say(Method::PATCH, &format!("/v1/records/{id}"), json!({ "outcome": "success", "reason": text }), "an outcome");
    }
    for (number, text) in sayings.of("POST messages").into_iter().enumerate() {
        let call = json!({ "call": "c", "tool": "bash", "arguments": text });
        let turns = json!({ "title": text, "messages": [
            { "role": "user", "text": text, "speaker": text, "caption": text },
            { "role": "assistant", "text": "zebra", "tool_calls": [call] },
            { "role": "tool", "text": text, "tool_result": { "call": "c", "tool": "bash", "ok": false } } ] });
        say(Method::POST, &format!("/v1/sessions/http-{number}/messages"), turns, "POST messages");
    }
    for (number, text) in sayings.of("runs").into_iter().enumerate() {
        let exposure = json!({ "run": format!("r-{number}"), "records": [note], "query": text, "task": text });
        say(Method::POST, "/v1/exposures", exposure, "POST exposures");
        let outcome = json!({ "outcome": "failure", "reason": text });
        say(Method::POST, &format!("/v1/runs/r-{number}/outcome"), outcome, "POST outcome");
    }
    for text in sayings.of("questions") {
        say(Method::POST, "/v1/context", json!({ "task": text }), "POST context");
        let prompt =
            json!({ "hook_event_name": "UserPromptSubmit", "session_id": "h", "cwd": home.outside(), "prompt": text });
        say(Method::POST, "/v1/hooks/claude-code", prompt, "POST hooks");
    }
    let mut client = Client::start(&home, &[]);
    for text in sayings.of("a model's tools") {
        for (tool, arguments) in [
            ("memory_save", json!({ "text": text, "tags": ["zebra"] })),
            (
                "experience_record",
                json!({ "situation": text, "outcome": "failure", "reason": text, "lesson": text, "errors": [text],
                "tools": [{ "tool": "bash", "gist": text }] }),
            ),
        ] {
            let answer = client.try_call(tool, arguments).unwrap();
            answers.push((answer.to_string(), "a model's tools"));
        }
    }
    for text in sayings.of("a hook's prompt") {
        let prompt =
            json!({ "hook_event_name": "UserPromptSubmit", "session_id": "h", "cwd": home.outside(), "prompt": text });
        let output = with_stdin(&home, &["hook", "codex"], &prompt.to_string());
        answers.push((String::from_utf8_lossy(&output.stdout).into_owned(), "a hook's prompt"));
    }
}

#[test]
fn no_secret_names_a_scope() {
    let home = Home::new();
    let token = |last: char| ["ghp_", "abcdefghijklmnopqrstuvwxyz012345678"].concat() + &last.to_string();
    let (owner, folder) = (token('1'), token('2'));
    let memories = json!({ "results": [{ "id": "1", "memory": "zebra of an owner", "user_id": owner }] });
    let file = home.outside().join("mem0.json");
    fs::write(&file, memories.to_string()).unwrap();
    home.run(&["import", file.to_str().unwrap()]);
    let work = home.outside().join(&folder);
    fs::create_dir(&work).unwrap();
    // Tools name the folder of a transcript by the project's.
    let projects = home.outside().join(format!("projects/-srv-{folder}"));
    fs::create_dir_all(&projects).unwrap();
    let line = json!({ "type": "user", "uuid": "u", "sessionId": "s", "cwd": work, "version": "2.1.0",
        "timestamp": "2026-05-01T10:00:00.000Z", "message": { "role": "user", "content": "zebra of a folder" } });
    let transcript = projects.join("t.jsonl");
    fs::write(&transcript, format!("{line}\n")).unwrap();
    home.run(&["session", "import", transcript.to_str().unwrap()]);
    let output = home.command(&["remember", "--here", "zebra of here"]).current_dir(&work).output().unwrap();
    assert!(output.status.success());
    home.run(&["index", "follow", "--idle", "0"]);
    let export = home.run(&["export", "-"]);
    let hits = home.run(&["--json", "recall", "search", "--mode", "text", "zebra"]);
    let listed = home.run(&["--json", "session", "list"]);
    let printed = String::from_utf8(output.stdout).unwrap();
    for secret in [&owner, &folder] {
        for (said, place) in [(&export, "export"), (&hits, "hits"), (&listed, "sessions"), (&printed, "remember")] {
            assert!(!said.contains(secret.as_str()), "{place}: {said}");
        }
        assert_eq!(crate::ownership::stands_in(&home.path(), secret.as_bytes()), Vec::<String>::new());
    }
    let scopes: Vec<Value> = serde_json::from_str::<Value>(&hits).unwrap()["hits"]
        .as_array()
        .unwrap()
        .iter()
        .map(|hit| hit["scope"].clone())
        .collect();
    assert_eq!(scopes.len(), 3, "{hits}");
    assert!(scopes.iter().all(|scope| scope.as_str().unwrap().starts_with("ana/redacted-")), "{scopes:?}");
    // What the folder's own session said and what was noted there are of one project.
    let projects: std::collections::BTreeSet<String> = scopes.iter().map(Value::to_string).collect();
    assert_eq!(projects.len(), 2, "{scopes:?}");
    assert!(home.output(&["doctor", "--secrets"]).status.success());
    home.assert_well();
}

#[test]
fn no_secret_is_kept_by_any_way_in() {
    let mut sayings = Sayings::default();
    let (mut outputs, mut answers) = (Vec::new(), Vec::new());
    let home = Home::new();
    by_commands(&home, &mut sayings, &mut outputs);
    by_files(&home, &mut sayings, &mut outputs);
    for (output, way) in &outputs {
        assert!(
            output.status.code().is_some_and(|code| code < 2),
            "{way}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        // What a command prints may repeat nothing of it either.
        sayings.none_said(output, way);
    }
    let mut web = Web::start(home);
    by_calls(&web, &mut sayings, &mut answers);
    for (answer, way) in &answers {
        sayings.none_in(answer.as_bytes(), way);
    }
    let home = web.server.home.clone();
    // While the server has the store open, the log of writes is there too.
    assert!(home.path().join("store.db-wal").exists());
    sayings.none_under(&home.path());
    web.server.signal("-TERM");
    let (_, log) = web.server.ended();
    sayings.none_in(log.as_bytes(), "the server's log");
    // A follower that a hook has started stays for the next prompt, and makes way for this.
    home.run(&["index", "rebuild"]);
    let files = sayings.none_under(&home.path());
    // Bodies as they are read, of all kinds, with what stands around them.
    let engine = Engine::open(&home.path()).unwrap();
    let mut filter = Filter { with_forgotten: true, limit: 500, ..Filter::default() };
    let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
    loop {
        let page = engine.store().list(&filter).unwrap();
        let Some(last) = page.last() else { break };
        let Lookup::Found(last) = last else { panic!("{last:?}") };
        filter.after = Some(last.row);
        for lookup in page {
            let record = lookup.found().unwrap().record;
            *kinds.entry(record.kind().word().to_owned()).or_default() += 1;
            sayings.none_in(serde_json::to_string(&record).unwrap().as_bytes(), "a record");
            sayings.none_in(format!("{record:?}").as_bytes(), "a record");
        }
    }
    assert_eq!(kinds.len(), 4, "{kinds:?}");
    drop(engine);
    // Everything that comes out.
    let (export, markdown, copy) =
        (home.outside().join("all.jsonl"), home.outside().join("md"), home.outside().join("copy.db"));
    home.run(&["export", export.to_str().unwrap()]);
    home.run(&["export", "--format", "markdown", markdown.to_str().unwrap()]);
    home.run(&["backup", copy.to_str().unwrap()]);
    sayings.none_in(&fs::read(&export).unwrap(), "the export");
    sayings.none_under(&markdown);
    sayings.none_in(&fs::read(&copy).unwrap(), "the backup");
    for question in ["zebra use please", "zebra password", "zebra secret api key token"] {
        for arguments in [
            &["--json", "recall", "search", "--mode", "text", "-n", "1000", question][..],
            &["recall", "search", "--explain", "-n", "1000", question],
            &["recall", "context", "--budget", "8000", question],
            &["recall", "last"],
        ] {
            sayings.none_said(&home.output(arguments), "an answer");
        }
    }
    // The secrets themselves, asked for, are found nowhere and kept nowhere.
    for said in sayings.all.iter().step_by(rounds(7, 3)) {
        let output = home.output(&["--json", "recall", "search", "--mode", "text", "-n", "100", &said.secret]);
        let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
        sayings.none_in(answer["hits"].to_string().as_bytes(), "a snippet");
    }
    sayings.none_under(&home.path());
    let secrets = home.output(&["doctor", "--secrets"]);
    assert!(secrets.status.success(), "{}", String::from_utf8_lossy(&secrets.stdout));
    home.assert_well();
    eprintln!("{} secrets by {} ways in, {} files, records: {kinds:?}", sayings.all.len(), sayings.ways, files);
}

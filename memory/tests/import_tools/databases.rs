//! Formats that are SQLite databases, made here in the shape that their tools write.

use std::path::Path;

use harness_memory::import::opencode::OpenCode;
use harness_memory::import::{Importer, importer_of};
use harness_memory::{MessageForm, Role};
use rusqlite::{Connection, params};

use super::{episodes, message, read, records, sessions};

fn opencode(path: &Path) -> Connection {
    let database = Connection::open(path).unwrap();
    database
        .execute_batch(
            "PRAGMA journal_mode = WAL;
             CREATE TABLE session (id TEXT PRIMARY KEY, project_id TEXT, parent_id TEXT, slug TEXT, directory TEXT,
                 title TEXT, version TEXT, time_created INTEGER, time_updated INTEGER);
             CREATE TABLE message (id TEXT PRIMARY KEY, session_id TEXT, time_created INTEGER, time_updated INTEGER, data TEXT);
             CREATE TABLE part (id TEXT PRIMARY KEY, message_id TEXT, session_id TEXT, time_created INTEGER,
                 time_updated INTEGER, data TEXT);
             INSERT INTO session VALUES ('ses_1', 'p', NULL, 's', '/srv/kiln', 'Glaze recipe', '1.2', 1000, 5000);
             INSERT INTO session VALUES ('ses_2', 'p', 'ses_1', 't', '/srv/kiln', 'New session - 2026', '1.2', 1500, 1600);",
        )
        .unwrap();
    database
}

fn say(database: &Connection, session: &str, id: &str, at: i64, data: &str, parts: &[&str]) {
    let insert = "INSERT OR REPLACE INTO message VALUES (?1, ?2, ?3, ?3, ?4)";
    database.execute(insert, params![id, session, at, data]).unwrap();
    for (place, part) in parts.iter().enumerate() {
        let insert = "INSERT OR REPLACE INTO part VALUES (?1, ?2, ?3, ?4, ?4, ?5)";
        database.execute(insert, params![format!("{id}-p{place}"), id, session, at, part]).unwrap();
    }
}

const USER: &str = r#"{"role":"user","time":{"created":1000}}"#;
const DONE: &str = r#"{"role":"assistant","time":{"created":2000,"completed":3000}}"#;

#[test]
fn opencodes_database_is_read_by_session_and_again_only_where_it_changed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("opencode.db");
    let database = opencode(&path);
    say(&database, "ses_1", "m1", 1000, USER, &[r#"{"type":"text","text":"the glaze runs"}"#]);
    let tool = r#"{"type":"tool","callID":"c1","tool":"bash","state":{"status":"completed","input":{"command":"make test"},"output":"ok","metadata":{"exit":0}}}"#;
    say(&database, "ses_1", "m2", 2000, DONE, &[tool, r#"{"type":"text","text":"Thicker now."}"#]);
    say(&database, "ses_2", "m3", 1500, USER, &[r#"{"type":"text","text":"subtask"}"#]);
    let head = std::fs::read(&path).unwrap();
    let importer = importer_of(&path, &head).unwrap();
    assert_eq!(importer.tool(), "opencode");
    let (items, report) = read(importer, &path, None);
    assert_eq!(records(&items).len(), 4);
    let known = sessions(&items);
    assert_eq!((known[0].title.as_deref(), known[0].directory.as_deref()), (Some("Glaze recipe"), Some("/srv/kiln")));
    assert_eq!((known[1].title.as_deref(), known[1].parent.as_deref()), (None, Some("ses_1")));
    assert!(records(&items).iter().any(|record| record.key.as_deref() == Some("m2-p0")));

    // While the tool has it open and writes: only the session that changed is read again.
    say(&database, "ses_1", "m4", 9000, USER, &[r#"{"type":"text","text":"谢谢，可以了"}"#]);
    let (items, _) = read(importer, &path, Some(&report.cursor));
    assert!(records(&items).iter().all(|record| record.session.as_deref() == Some("ses_1")));
    assert_eq!(records(&items).last().map(|record| record.text()), Some("谢谢，可以了"));
    assert_eq!(episodes(&items)[0].1.as_ref().unwrap().outcome.word(), "success");
}

#[test]
fn another_database_of_the_name_is_refused_in_words() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("opencode.db");
    Connection::open(&path)
        .unwrap()
        .execute_batch("CREATE VIEW session AS SELECT 1 AS id; CREATE TABLE t (a);")
        .unwrap();
    let error = OpenCode.read(&path, None, &mut |_| std::ops::ControlFlow::Continue(())).unwrap_err();
    assert!(error.to_string().contains("no table session"), "{error}");
    std::fs::write(&path, b"SQLite format 3\0 and then nothing of the sort").unwrap();
    assert!(OpenCode.read(&path, None, &mut |_| std::ops::ControlFlow::Continue(())).is_err());
}

#[test]
fn cursors_store_is_read_along_its_root() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("chats/ab12/7d0c/store.db");
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let database = Connection::open(&path).unwrap();
    database
        .execute_batch("CREATE TABLE blobs (id TEXT PRIMARY KEY, data BLOB); CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT);")
        .unwrap();
    let names: Vec<String> = (1..=6_u8).map(|number| format!("{number:02x}").repeat(32)).collect();
    let insert = |name: &str, data: &[u8]| {
        database.execute("INSERT INTO blobs VALUES (?1, ?2)", params![name, data]).unwrap();
    };
    insert(&names[0], br#"{"role":"system","content":"You are a coding agent"}"#);
    insert(
        &names[1],
        r#"{"role":"user","content":[{"type":"text","text":"<user_query>\nこのテストを直して\n</user_query>"}]}"#
            .as_bytes(),
    );
    insert(
        &names[2],
        br#"{"role":"assistant","content":[{"type":"reasoning","text":"hm"},{"type":"tool-call","toolCallId":"k","toolName":"Shell","args":{"command":"npm test"}}]}"#,
    );
    insert(
        &names[3],
        br#"{"role":"tool","content":[{"type":"tool-result","toolCallId":"k","toolName":"Shell","result":"Tests: 3 passed, 3 total"}]}"#,
    );
    // Said once, and of an abandoned branch.
    insert(&names[4], br#"{"role":"user","content":"never mind"}"#);
    let mut root = Vec::new();
    for name in [0, 1, 2, 3, 1] {
        root.extend([0x0a, 32]);
        root.extend([name as u8 + 1; 32]);
    }
    insert(&names[5], &root);
    let about = format!(
        r#"{{"agentId":"7d0c","name":"Loom tests","createdAt":1772442000000,"latestRootBlobId":"{}"}}"#,
        names[5]
    );
    let hex: String = about.bytes().map(|byte| format!("{byte:02x}")).collect();
    database.execute("INSERT INTO meta VALUES ('0', ?1)", [hex]).unwrap();
    drop(database);

    let importer = importer_of(&path, &std::fs::read(&path).unwrap()).unwrap();
    assert_eq!(importer.tool(), "cursor");
    let (items, report) = read(importer, &path, None);
    let said: Vec<(Role, MessageForm, &str)> =
        records(&items).into_iter().map(message).map(|m| (m.role, m.form, m.text.as_str())).collect();
    assert_eq!(
        said,
        [
            (Role::System, MessageForm::Scaffold, "You are a coding agent"),
            (Role::User, MessageForm::Statement, "このテストを直して"),
            (Role::Assistant, MessageForm::Statement, ""),
            (Role::Tool, MessageForm::Statement, "Tests: 3 passed, 3 total"),
            (Role::User, MessageForm::Statement, "このテストを直して"),
        ]
    );
    assert_eq!(sessions(&items)[0].title.as_deref(), Some("Loom tests"));
    let (again, _) = read(importer, &path, Some(&report.cursor));
    assert!(records(&again).is_empty());
}

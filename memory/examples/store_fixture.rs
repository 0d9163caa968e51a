//! Writes a small store of this program's schema version, for the tests that open the stores of every released one:
//! `cargo run -p harness-memory --example store_fixture -- memory/tests/fixtures/store`, from the top of the repository.
//!
//! It makes `vN.db.zst`, the database, and `vN.jsonl`, what the store answers: all kinds of records, a session, tags,
//! a record that replaces another, one that was forgotten, one that was purged, an exposure and a run that ended; from
//! version 2 on what kind of task the exposure was for and a record whose credit starts anew, from version 3 on how far
//! a transcript was read, from version 4 on a turn that was said twice, from version 5 on
//! what was asked for under a name. A fixture of a released version is never made anew: it is what people have on their
//! disks.

use std::fs;
use std::path::PathBuf;

use harness_memory::sqlite::Request;
use harness_memory::store::{Exposure, Filter, Patch, Reading, ReadingPlace};
use harness_memory::{
    Episode, Intake, Lesson, Message, Note, Origin, Outcome, Record, RecordId, Role, Scope, Session, SqliteStore,
    Store, ToolCall, ToolResult, ToolUse, Trust,
};
use jiff::{SignedDuration, Timestamp};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let target = PathBuf::from(std::env::args().nth(1).ok_or("name the folder to write to")?);
    let work = target.join("work");
    let store = SqliteStore::open(&work)?;
    fill(&store)?;
    store.checkpoint()?;
    let lines: Vec<String> = store
        .list(&Filter { with_forgotten: true, ..Filter::default() })?
        .into_iter()
        .filter_map(|lookup| lookup.found())
        .map(|stored| serde_json::to_string(&stored.record))
        .collect::<Result<_, _>>()?;
    drop(store);
    let database = fs::read(work.join(harness_memory::sqlite::DATABASE_FILE))?;
    // The schema's version is in the header, big-endian at byte 60.
    let version = database.get(60..64).and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_be_bytes);
    let packed = zstd::encode_all(database.as_slice(), 19)?;
    fs::write(target.join(format!("v{version}.db.zst")), &packed)?;
    fs::write(target.join(format!("v{version}.jsonl")), lines.join("\n") + "\n")?;
    fs::remove_dir_all(&work)?;
    println!("version {version}: {} records, {} bytes packed", lines.len(), packed.len());
    Ok(())
}

/// Long enough that a store keeps it once.
const SAID_TWICE: &str = "The deploy waits until a connection is free. There are fifty of them, the job wants sixty, and \
    the report of the night holds ten until it ends. Either the pool grows to eighty or the report runs an hour earlier.";

fn fill(store: &SqliteStore) -> Result<(), Box<dyn std::error::Error>> {
    let (ana, shop) = (Scope::parse("ana")?, Scope::parse("ana/shop-1a2b3c4d")?);
    let started: Timestamp = "2026-05-01T10:00:00Z".parse()?;
    let mut session = Session::new("claude-code", "5f0c2a71-77d3-4f0e-9d3b-0a4a3c1f2b6e", shop.clone());
    session.title = Some("Why the deploy of the shop waits".to_owned());
    session.directory = Some("/home/ana/shop".to_owned());
    session.started_at = Some(started);
    store.put_session(session)?;

    let mut records = Vec::new();
    let turns = [
        (Role::User, "the deploy of the shop waits for a connection 连接池满了"),
        (Role::Assistant, "The pool holds fifty connections and the job asks for sixty."),
        (Role::Tool, "error: timeout after 30 s\n  at pool.rs:88"),
        (Role::Assistant, "プールを 80 に増やしたら通りました。"),
    ];
    for (position, (role, text)) in (0_u32..).zip(turns) {
        let mut message = Message::new(role, position, text);
        match role {
            Role::Assistant if position == 1 => message.tool_calls.push(ToolCall {
                call: "call-1".to_owned(),
                tool: "bash".to_owned(),
                arguments: r#"{"command":"./deploy --dry-run"}"#.to_owned(),
            }),
            Role::Tool => {
                message.tool_result =
                    Some(ToolResult { call: "call-1".to_owned(), tool: "bash".to_owned(), ok: Some(false) });
            }
            _ => {}
        }
        let origin = match role {
            Role::User => Origin::User,
            Role::Tool => Origin::Tool,
            _ => Origin::Agent,
        };
        records.push(Record {
            session: Some("5f0c2a71-77d3-4f0e-9d3b-0a4a3c1f2b6e".to_owned()),
            key: Some(format!("7808063b-effa-4a2b-8cfe-f99c350aedf{position}")),
            created_at: started + SignedDuration::from_secs(60 * i64::from(position)),
            ..Record::new(shop.clone(), "claude-code", origin, message)
        });
    }
    let mut episode = Episode::new("the deploy of the shop waits for a connection");
    episode.tools = vec![ToolUse {
        tool: "bash".to_owned(),
        gist: "./deploy --dry-run".to_owned(),
        ok: Some(false),
        error: Some("timeout after 30 s".to_owned()),
    }];
    episode.outcome = Outcome::Success;
    episode.reason = Some("the deploy ended".to_owned());
    episode.cost_usd = Some(0.125);
    let episode = Record { created_at: started, ..Record::new(shop, "claude-code", Origin::Agent, episode) };
    let lesson = Lesson { text: "look at the size of the pool first".to_owned(), evidence: vec![episode.id] };
    records.push(episode);
    records.push(Record::new(ana.clone(), "harness", Origin::Agent, lesson));
    let note = |text: &str| Record {
        trust: Trust::Trusted,
        created_at: started,
        ..Record::new(ana.clone(), "cli", Origin::User, Note::new(text))
    };
    let old = note("the rate limit is 100 a minute");
    let newer = Record {
        replaces: Some(old.id),
        tags: vec!["limits".to_owned(), "接口".to_owned()],
        ..note("the rate limit is 300 a minute")
    };
    let (forgotten, purged) = (note("a note that was forgotten"), note("a note that is gone for good"));
    let (forget, purge, shown) = (forgotten.id, purged.id, newer.id);
    records.extend([old, newer, forgotten, purged]);
    for position in 4_u32..6 {
        records.push(Record {
            session: Some("5f0c2a71-77d3-4f0e-9d3b-0a4a3c1f2b6e".to_owned()),
            key: Some(format!("7808063b-effa-4a2b-8cfe-f99c350aedf{position}")),
            created_at: started + SignedDuration::from_secs(60 * i64::from(position)),
            ..Record::new(
                ana.child_named("shop"),
                "claude-code",
                Origin::Agent,
                Message::new(Role::Assistant, position, SAID_TWICE),
            )
        });
    }

    let intake = Intake::new();
    let admitted = records.into_iter().map(|record| intake.admit_one(record)).collect::<Result<Vec<_>, _>>()?;
    let ids: Vec<RecordId> = store.put(admitted)?.into_iter().map(|put| put.id()).collect();
    store.update(shown, Patch { pinned: Some(true), ..Patch::default() })?;
    store.forget(&[purge], started)?;
    store.purge(started + SignedDuration::from_secs(1))?;
    store.forget(&[forget], "2999-01-01T00:00:00Z".parse()?)?;
    let task = Some("deploy".to_owned());
    store.expose(Exposure { at: started, task, ..Exposure::new("run-1", "deploy the shop", vec![shown, ids[4]]) })?;
    store.finish_run("run-1", Outcome::Success, Some("all tests pass"))?;
    store.reset_credit(shown, started)?;
    store.set_holdout(0.25)?;
    let place = ReadingPlace { tool: "claude-code".into(), path: "/home/ana/t.jsonl".into(), scope: String::new() };
    store.put_reading(&place, &Reading { fingerprint: Some(7), ..Reading::default() })?;
    let asked =
        Record::new(ana.child_named("shop"), "http", Origin::User, Note::new("The staging deploy needs the VPN."));
    store.put_once(Request { name: [1; 32], print: [2; 32] }, Vec::new(), vec![intake.admit_one(asked)?])?;
    Ok(())
}

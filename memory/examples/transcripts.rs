//! What transcripts come to, and how fast they are read: counts of every file that is named, and the speed of
//! reading alone, of reading with what the intake does, and of both with the store.
//!
//! ```sh
//! cargo run --release -p harness-memory --example transcripts -- FILE-OR-FOLDER…
//! cargo run --release -p harness-memory --example transcripts -- --speed FILE…
//! ```

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use harness_memory::import::fold::Fold;
use harness_memory::import::{HEAD_BYTES, IMPORTERS, Importer, Item};
use harness_memory::intake::Admission;
use harness_memory::{Body, Intake, Message, MessageForm, Role, SqliteStore, Store};

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let speed = arguments.first().is_some_and(|argument| argument == "--speed");
    if speed {
        arguments.remove(0);
    }
    for argument in arguments {
        let mut files = Vec::new();
        gather(Path::new(&argument), &mut files);
        files.sort();
        for file in files {
            let Some(importer) = importer_of(&file) else {
                println!("{}: no importer recognises it", file.display());
                continue;
            };
            let done = if speed { measure(importer, &file) } else { counts(importer, &file) };
            if let Err(error) = done {
                println!("{}: {} refuses it: {error}", file.display(), importer.tool());
            }
        }
    }
    Ok(())
}

fn gather(path: &Path, files: &mut Vec<PathBuf>) {
    match std::fs::read_dir(path) {
        Ok(entries) => entries.flatten().for_each(|entry| gather(&entry.path(), files)),
        Err(_) => files.push(path.to_owned()),
    }
}

fn importer_of(path: &Path) -> Option<&'static dyn Importer> {
    use std::io::Read as _;
    let mut head = Vec::new();
    std::fs::File::open(path).ok()?.take(HEAD_BYTES as u64).read_to_end(&mut head).ok()?;
    harness_memory::import::importer_of(path, &head).or_else(|| {
        let folder = path.ancestors().find_map(|up| IMPORTERS.iter().find(|importer| up.ends_with(importer.tool())));
        folder.copied().filter(|_| path.extension().is_some_and(|extension| extension == "jsonl"))
    })
}

fn counts(importer: &dyn Importer, path: &Path) -> Result<(), Failure> {
    let mut messages: Vec<(Message, jiff::Timestamp)> = Vec::new();
    let mut sessions = 0;
    let report = importer.read(path, None, &mut |item| {
        match item {
            Item::Message(record) => {
                let at = record.created_at;
                if let Body::Message(message) = record.body {
                    messages.push((message, at));
                }
            }
            Item::End(_) => sessions += 1,
            _ => {}
        }
        ControlFlow::Continue(())
    })?;
    let count = |test: &dyn Fn(&Message) -> bool| messages.iter().filter(|(message, _)| test(message)).count();
    let said = |role| count(&|message| message.role == role && message.form == MessageForm::Statement);
    let mut fold = Fold::new();
    messages.iter().for_each(|(message, at)| fold.message(message, *at));
    let episode = fold.finish();
    let outcome = episode.as_ref().map_or("no episode".to_owned(), |episode| {
        format!("{}: {}", episode.outcome, episode.reason.as_deref().unwrap_or_default())
    });
    println!(
        "{} [{}] lines {} frames {} skipped {} sessions {sessions} | user {} assistant {} tool {} summary {} scaffold {} | calls {} errors {} | {outcome}",
        path.display(),
        importer.tool(),
        report.lines,
        report.frames,
        report.skipped_total,
        said(Role::User),
        said(Role::Assistant),
        said(Role::Tool),
        count(&|message| message.form == MessageForm::Summary),
        count(&|message| message.form == MessageForm::Scaffold),
        messages.iter().map(|(message, _)| message.tool_calls.len()).sum::<usize>(),
        count(&|message| message.tool_result.as_ref().is_some_and(|result| result.ok == Some(false))),
    );
    Ok(())
}

/// The processor time that this program has used, all its threads together: what other programs do at the same
/// time does not count. Where the system does not say it, the time of the clock.
fn processor_seconds() -> f64 {
    let ticks = std::fs::read_to_string("/proc/self/stat").ok().and_then(|stat| {
        // The program's name, in brackets, may hold anything.
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        Some(fields.get(11)?.parse::<f64>().ok()? + fields.get(12)?.parse::<f64>().ok()?)
    });
    let clock =
        || std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0.0, |at| at.as_secs_f64());
    ticks.map_or_else(clock, |ticks| ticks / 100.0)
}

fn measure(importer: &dyn Importer, path: &Path) -> Result<(), Failure> {
    let megabytes = std::fs::metadata(path)?.len() as f64 / 1e6;
    let intake = Intake::new();
    let rate = |begin: f64| megabytes / (processor_seconds() - begin).max(1e-3);
    let begin = processor_seconds();
    let mut text = 0;
    importer.read(path, None, &mut |item| {
        if let Item::Message(record) = item {
            text += record.text().len();
        }
        ControlFlow::Continue(())
    })?;
    let read = rate(begin);
    let begin = processor_seconds();
    importer.read(path, None, &mut |item| {
        if let Item::Message(record) = item {
            let _ = intake.admit(*record);
        }
        ControlFlow::Continue(())
    })?;
    let redacted = rate(begin);
    let home = std::env::temp_dir().join(format!("transcripts-{}", std::process::id()));
    let store = SqliteStore::open(&home)?;
    let begin = processor_seconds();
    let mut waiting = Vec::new();
    let mut failure = None;
    importer.read(path, None, &mut |item| {
        if let Item::Message(record) = item
            && let Ok(Admission::Admitted { record, .. }) = intake.admit(*record)
        {
            waiting.push(*record);
        }
        if waiting.len() == 1000
            && let Err(error) = store.put(std::mem::take(&mut waiting))
        {
            failure = Some(error);
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    })?;
    store.put(waiting)?;
    let stored = rate(begin);
    drop(store);
    std::fs::remove_dir_all(&home)?;
    println!(
        "{}: {megabytes:.1} MB, {:.1} MB of it text: read {read:.1} MB/s, read and redacted {redacted:.1} MB/s, stored, too {stored:.1} MB/s of processor time",
        path.display(),
        text as f64 / 1e6
    );
    failure.map_or(Ok(()), |error| Err(error.into()))
}

//! Kept for a time, and forgotten for good, with all that was derived from it and said of it.

use super::*;

#[test]
fn records_are_kept_as_long_as_the_first_rule_that_fits_says() {
    let folder = tempfile::tempdir().unwrap();
    let store = new_store(folder.path(), "home");
    let now = Timestamp::now();
    let aged = |path: &str, days: i64| {
        let mut record = note(path, &format!("{days} days old"));
        record.created_at = now - SignedDuration::from_hours(24 * days);
        record
    };
    let mut pinned = aged("ana/scratch", 90);
    pinned.pinned = true;
    let pinned = put(&store, pinned);
    let old = put(&store, aged("ana/scratch", 40));
    let young = put(&store, aged("ana/scratch", 20));
    let elsewhere = put(&store, aged("ana", 400));
    let ancient = put(&store, aged("bob", 400));
    let rule = |scope: Option<&str>, days| Retention {
        scope: scope.map(|scope| scope.parse().unwrap()),
        kinds: vec![Kind::Note],
        days,
    };
    let rules = [rule(Some("ana/scratch"), Some(30)), rule(Some("ana"), None), rule(None, Some(365))];
    assert_eq!(store.kept_long_enough(&rules, now).unwrap(), [old, ancient]);
    assert_eq!(store.kept_long_enough(&[], now).unwrap(), []);
    store.set_read_only(scope("bob").into());
    assert_eq!(store.kept_long_enough(&rules, now).unwrap(), [old]);
    let _ = (pinned, young, elsewhere);
}

#[test]
fn what_was_derived_goes_with_what_it_was_derived_from() {
    let folder = tempfile::tempdir().unwrap();
    let store = filled(folder.path(), "home");
    let messages = store.list(&Filter { kinds: vec![Kind::Message], ..Filter::default() }).unwrap();
    let first = messages.into_iter().next().and_then(Lookup::found).unwrap().record.id;
    let derived = store.derived_from(&[first]).unwrap();
    let kinds: Vec<Kind> =
        store.get(&derived).unwrap().into_iter().map(|lookup| lookup.found().unwrap().record.kind()).collect();
    assert_eq!(kinds, [Kind::Episode, Kind::Lesson]);
    assert_eq!(store.forget_with_derived(&[first], later()).unwrap(), 3);
}

#[test]
fn a_forgotten_session_is_gone_with_its_title_for_good() {
    let folder = tempfile::tempdir().unwrap();
    let store = filled(folder.path(), "home");
    let everything = ReadSet::everything();
    let ids = || -> Vec<RecordId> {
        let filter = Filter { session: Some("s-1".into()), ..Filter::default() };
        store.list(&filter).unwrap().into_iter().filter_map(Lookup::found).map(|stored| stored.record.id).collect()
    };
    store.forget(&ids(), Timestamp::now() - SignedDuration::from_secs(1)).unwrap();
    assert_eq!(store.sessions(&everything, 10).unwrap(), [], "it is not listed from the moment it is forgotten");
    store.purge(Timestamp::now()).unwrap();
    let mut again = Session::new("claude-code", "s-1", scope("ana/shop"));
    again.title = Some("the deploy waits".to_owned());
    store.put_session(again).unwrap();
    let raw = rusqlite::Connection::open(folder.path().join("home/store.db")).unwrap();
    let titles: i64 =
        raw.query_row("SELECT count(*) FROM sessions WHERE info LIKE '%waits%'", [], |row| row.get(0)).unwrap();
    assert_eq!(titles, 0, "importing its source again does not bring its title back");
    assert_well(&store);
}

/// What was asked, noted and known within the session `s-1` of [`filled`].
fn use_session(store: &SqliteStore) -> ReadingPlace {
    store
        .expose(Exposure { task: Some("quokka-task".into()), ..Exposure::new("s-1", "quokka-query", vec![]) })
        .unwrap();
    store.finish_run("s-1", Outcome::Failure, Some("quokka-reason")).unwrap();
    store.expose(Exposure::new("other", "another query", vec![])).unwrap();
    let mut session = Session::new("claude-code", "s-1", scope("ana/shop"));
    (session.title, session.directory) = (Some("quokka-title".into()), Some("/quokka-directory".into()));
    (session.project, session.branch) = (Some("quokka-project".into()), Some("quokka-branch".into()));
    let mut other = Session::new("claude-code", "s-2", scope("ana/shop"));
    other.title = Some("another title".into());
    let place = ReadingPlace { tool: "claude-code".into(), path: "/t.jsonl".into(), scope: String::new() };
    let reading = Reading { fingerprint: Some(7), sessions: vec![session.clone(), other], ..Reading::default() };
    store.put_reading(&place, &reading).unwrap();
    store.put_session(session).unwrap();
    place
}

fn forget_session(store: &SqliteStore) {
    let filter = Filter { session: Some("s-1".into()), ..Filter::default() };
    let ids: Vec<RecordId> =
        store.list(&filter).unwrap().into_iter().filter_map(Lookup::found).map(|stored| stored.record.id).collect();
    store.forget(&ids, Timestamp::now() - SignedDuration::from_secs(1)).unwrap();
    store.purge(Timestamp::now()).unwrap();
    store.checkpoint().unwrap();
}

/// The files of a store that hold these bytes.
fn holding(folder: &Path, needle: &str) -> Vec<String> {
    let files = std::fs::read_dir(folder).unwrap().flatten().filter(|entry| entry.path().is_file());
    files
        .filter(|entry| {
            let bytes = std::fs::read(entry.path()).unwrap();
            bytes.windows(needle.len()).any(|window| window == needle.as_bytes())
        })
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect()
}

#[test]
fn what_was_asked_and_noted_of_a_session_is_gone_with_it_for_good() {
    let folder = tempfile::tempdir().unwrap();
    let store = filled(folder.path(), "home");
    let home = folder.path().join("home");
    let place = use_session(&store);
    let version = store.trials_version().unwrap();
    assert!(!holding(&home, "quokka").is_empty(), "the test can see it");
    forget_session(&store);
    assert_eq!(holding(&home, "quokka"), Vec::<String>::new());
    assert_well(&store);
    assert!(store.trials_version().unwrap() > version, "who has computed credit from it computes it anew");
    // What is no text of it stays, and so do the others.
    let trials = store.trials(10).unwrap();
    let trial = trials.iter().find(|trial| trial.run == "s-1").unwrap();
    assert_eq!((trial.outcome, &trial.reason, &trial.task), (Some(Outcome::Failure), &None, &None));
    assert!(trials.iter().any(|trial| trial.query == "another query"));
    let reading = store.reading(&place).unwrap().unwrap();
    assert_eq!(reading.fingerprint, Some(7));
    assert_eq!(reading.sessions[0], Session::new("claude-code", "s-1", scope("ana/shop")));
    assert_eq!(reading.sessions[1].title.as_deref(), Some("another title"));
    // Reading its transcript again does not note it again.
    use_session(&store);
    let again = store.reading(&place).unwrap().unwrap();
    assert_eq!(again.sessions, reading.sessions);
}

#[test]
fn damaged_words_of_a_session_are_gone_with_it_and_stay_named() {
    let folder = tempfile::tempdir().unwrap();
    let store = filled(folder.path(), "home");
    use_session(&store);
    let raw = rusqlite::Connection::open(folder.path().join("home/store.db")).unwrap();
    raw.execute_batch(
        "UPDATE exposures SET at_ms = at_ms + 1 WHERE run = 's-1'; UPDATE runs SET at_ms = at_ms + 1 WHERE run = 's-1';
         UPDATE readings SET checksum = checksum + 1",
    )
    .unwrap();
    drop(raw);
    forget_session(&store);
    assert_eq!(holding(&folder.path().join("home"), "quokka"), Vec::<String>::new());
    let findings = store.check(&mut |_, _| true).unwrap();
    assert_eq!(findings.iter().map(|finding| finding.code).collect::<Vec<_>>(), ["exposure-damaged", "run-damaged"]);
}

#[test]
fn an_older_copy_does_not_bring_back_what_was_asked_in_a_forgotten_session() {
    let folder = tempfile::tempdir().unwrap();
    let store = filled(folder.path(), "home");
    let home = folder.path().join("home");
    use_session(&store);
    let (early, file) = (all(&store), folder.path().join("copy.db"));
    assert!(early.contains("quokka-query"));
    store.back_up(&file, &mut |_, _| true).unwrap();
    forget_session(&store);
    let late = all(&store);
    assert!(!late.contains("quokka"), "{late}");
    import(&store, &early);
    store.checkpoint().unwrap();
    assert_eq!(all(&store), late);
    restore(&home, &file, Timestamp::now(), &mut |_, _| true).unwrap();
    assert_eq!(holding(&home, "quokka"), Vec::<String>::new());
    assert_well(&store);
    // Nor does a file that still has it learn it to a store that knows the session from its tombstones alone.
    let other = new_store(folder.path(), "other");
    import(&other, &late);
    import(&other, &early);
    assert!(!all(&other).contains("quokka-query"));
}

#[test]
fn what_is_due_is_not_kept_beside_a_backup_that_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let store = filled(folder.path(), "home");
    let file = folder.path().join("copy.db");
    store.back_up(&file, &mut |_, _| true).unwrap();
    let due = put(&store, note("ana", "quokka"));
    assert!(!store.is_due(Timestamp::now()).unwrap());
    store.forget(&[due], Timestamp::now() - SignedDuration::from_secs(1)).unwrap();
    assert!(store.is_due(Timestamp::now()).unwrap());
    restore(&folder.path().join("home"), &file, Timestamp::now(), &mut |_, _| true).unwrap();
    assert_eq!(holding(&folder.path().join("home"), "quokka"), Vec::<String>::new());
}

#[test]
fn what_is_read_only_is_not_replaced_and_not_forgotten_by_what_comes_from_elsewhere() {
    let folder = tempfile::tempdir().unwrap();
    let store = new_store(folder.path(), "home");
    let handbook = put(&store, note("team/handbook", "the handbook"));
    let evidence = put(&store, note("ana", "what was seen"));
    let lesson = Lesson { text: "a lesson of the team".to_owned(), evidence: vec![evidence] };
    put(&store, Record::new(scope("team"), "harness", Origin::Agent, lesson));
    let whole = all(&store);
    store.forget(&[handbook], Timestamp::now() - SignedDuration::from_secs(1)).unwrap();
    let forgotten = all(&store);
    store.purge(Timestamp::now()).unwrap();
    let purged = all(&store);
    // The lines of another store may say another scope of a record than it has here.
    let elsewhere = |text: &str| text.replace("team/handbook", "ana");
    let other = new_store(folder.path(), "other");
    import(&other, &whole);
    other.set_read_only(scope("team").into());
    for file in [elsewhere(&forgotten), elsewhere(&purged)] {
        let report = import(&other, &file);
        assert!(report.skipped.iter().any(|skipped| skipped.reason.contains("read-only")), "{:?}", report.skipped);
        assert!(other.get(&[handbook]).unwrap().remove(0).found().is_some());
    }
    let mut vandalism = note("ana", "a better handbook");
    vandalism.replaces = Some(handbook);
    let refused = other.put(vec![admit(vandalism.clone())]);
    assert!(matches!(refused, Err(Error::ReadOnlyScope { .. })), "{refused:?}");
    let third = new_store(folder.path(), "third");
    put(&third, vandalism);
    assert_eq!(import(&other, &all(&third)).skipped_total, 1);
    assert_eq!(other.replaced_by(&[handbook]).unwrap(), [None]);
    // What is derived goes with what is forgotten, except there.
    assert_eq!(other.derived_from(&[evidence]).unwrap(), []);
    assert_eq!(other.forget_with_derived(&[evidence], later()).unwrap(), 1);
}

#[test]
fn nothing_is_written_to_a_read_only_scope() {
    let folder = tempfile::tempdir().unwrap();
    let store = new_store(folder.path(), "home");
    let id = put(&store, note("team/handbook", "the handbook"));
    store.set_read_only(scope("team").into());
    let refused = |result: Result<(), Error>| assert!(matches!(result, Err(Error::ReadOnlyScope { .. })), "{result:?}");
    refused(store.put(vec![admit(note("team/handbook", "vandalism"))]).map(|_| ()));
    refused(store.update(id, Patch { tags: Some(Vec::new()), ..Patch::default() }));
    refused(store.forget(&[id], later()).map(|_| ()));
    refused(store.put_session(Session::new("x", "y", scope("team"))));
    put(&store, note("ana", "elsewhere is written to"));
    assert!(store.get(&[id]).unwrap().remove(0).found().is_some());
}

#[test]
fn a_session_of_somebody_bound_to_a_scope_ends_and_empties_no_run_but_their_own() {
    let folder = tempfile::tempdir().unwrap();
    let store = new_store(folder.path(), "home");
    let id = put(&store, note("ana", "what was given"));
    for run in ["r", "r @ana", "r @eve"] {
        store.expose(Exposure::new(run, format!("asked in {run}"), vec![id])).unwrap();
        store.finish_run(run, Outcome::Success, Some("so")).unwrap();
    }
    let ends = || -> Vec<(String, Option<Outcome>, Option<String>, String)> {
        let trials = store.trials(10).unwrap().into_iter();
        trials.map(|trial| (trial.run, trial.outcome, trial.reason, trial.query)).collect()
    };
    let before = ends();
    let episode = Episode { outcome: Outcome::Failure, reason: Some("no".into()), ..Episode::new("x") };
    let mut told = Record::new(scope("eve"), "http", Origin::Agent, episode);
    told.session = Some("r".to_owned());
    let told_id = told.id;
    let admitted = Intake::new().admit_one(told).unwrap().from_bound(Some(scope("eve")));
    store.put(vec![admitted]).unwrap();
    let after = ends();
    assert_eq!((&before[0], &before[1]), (&after[0], &after[1]));
    assert_eq!((after[2].1, after[2].2.as_deref()), (Some(Outcome::Failure), Some("no")));
    store.forget(&[told_id], Timestamp::now() - SignedDuration::from_secs(1)).unwrap();
    store.purge(Timestamp::now()).unwrap();
    let after = ends();
    assert_eq!((&before[0], &before[1]), (&after[0], &after[1]), "who sees everything, and ana, have theirs");
    assert_eq!((after[2].2.as_deref(), after[2].3.as_str()), (None, ""), "its own words are gone with it");
    assert_well(&store);
}

//! Promises of the index when its rows are parted into cells.

use super::*;

const EVERYTHING: Partition = Partition { from_rows: 0, recall: 0.99 };

fn part(index: &mut VectorIndex) {
    let rebuilt = index.snapshot(EVERYTHING).rebuild().unwrap();
    index.adopt(rebuilt).unwrap();
    assert!(index.status().cells > 0);
}

/// Tight clusters, inserted one after the other, as sessions arrive.
fn sessions(clusters: usize, each: usize) -> Vec<Vec<f32>> {
    let mut random = Random(31);
    let mut vectors = Vec::new();
    for _ in 0..clusters {
        let centre = random.vector(384);
        vectors.extend((0..each).map(|_| random.near(&centre, 0.2)));
    }
    vectors
}

fn all_find_themselves(index: &VectorIndex, vectors: &[Vec<f32>]) {
    for (record, vector) in (0..).zip(vectors) {
        let matches = index.search(vector, 10, None).unwrap();
        assert!(found(&matches).contains(&record), "record {record} is lost");
    }
}

#[test]
fn every_vector_of_tight_clusters_finds_itself() {
    let vectors = sessions(20, 500);
    let folder = tempfile::tempdir().unwrap();
    let mut index = filled(folder.path(), &vectors);
    // The scan itself is shown to be exact elsewhere.
    assert!(index.audit(Some(1000)).unwrap().lost.is_empty());
    part(&mut index);
    all_find_themselves(&index, &vectors);
}

#[test]
fn every_vector_finds_itself_even_if_one_cell_is_read() {
    let vectors = sessions(20, 100);
    let folder = tempfile::tempdir().unwrap();
    let mut index = filled(folder.path(), &vectors);
    part(&mut index);
    for (record, vector) in (0..).zip(&vectors) {
        let matches = index.search_probing(vector, 1, 1).unwrap();
        assert_eq!(found(&matches), [record]);
    }
}

#[test]
fn every_duplicate_finds_itself_and_hides_no_other() {
    let mut random = Random(41);
    let twin = random.vector(384);
    let mut vectors = vec![twin; 500];
    vectors.extend((0..1500).map(|_| random.vector(384)));
    let folder = tempfile::tempdir().unwrap();
    let mut index = filled(folder.path(), &vectors);
    assert_eq!(index.status().live_rows, 1501);
    all_find_themselves(&index, &vectors);
    part(&mut index);
    all_find_themselves(&index, &vectors);
    assert_eq!(index.search(&vectors[0], 1, None).unwrap()[0].copies, 500);
}

#[test]
fn cells_reach_the_recall_that_was_asked_for() {
    let mut random = Random(51);
    let directions: Vec<Vec<f32>> = (0..24).map(|_| random.vector(96)).collect();
    let mut draw = || {
        let mut vector = vec![0f32; 96];
        for (direction, weight) in directions.iter().zip(random.vector(24)) {
            vector.iter_mut().zip(direction).for_each(|(x, d)| *x += weight * d);
        }
        vector
    };
    let vectors: Vec<Vec<f32>> = (0..5000).map(|_| draw()).collect();
    let queries: Vec<Vec<f32>> = (0..100).map(|_| draw()).collect();
    let folder = tempfile::tempdir().unwrap();
    let mut index = filled(folder.path(), &vectors);
    part(&mut index);
    let status = index.status();
    assert!(status.probes < status.cells, "{status:?}");
    let mut shared = 0;
    for query in &queries {
        let exact = found(&index.search_exact(query, 10).unwrap());
        let cells = found(&index.search(query, 10, None).unwrap());
        shared += cells.iter().filter(|record| exact.contains(record)).count();
    }
    assert!(shared >= 970, "{shared} of 1000");
}

#[test]
fn a_parted_index_answers_filters_exactly() {
    let vectors = sessions(10, 200);
    let folder = tempfile::tempdir().unwrap();
    let mut index = filled(folder.path(), &vectors);
    part(&mut index);
    let named: Vec<(u64, Vec<f32>)> = (0..).zip(vectors.clone()).collect();
    for modulus in [3, 50] {
        let kept = |record: &u64| record.is_multiple_of(modulus);
        let allowed = index.allow((0..2000).filter(kept));
        let part: Vec<(u64, Vec<f32>)> = named.iter().filter(|(record, _)| kept(record)).cloned().collect();
        for query in vectors.iter().step_by(97) {
            let matches = index.search(query, 10, Some(&allowed)).unwrap();
            assert_eq!(found(&matches), naive(&part, query, 10));
        }
    }
    // A wide filter reads cells: nothing forbidden comes back, and everybody finds himself.
    let allowed = index.allow((0..2000).filter(|record| record % 10 != 0));
    for (record, vector) in (0..).zip(&vectors) {
        let matches = found(&index.search(vector, 10, Some(&allowed)).unwrap());
        assert_eq!(matches.len(), 10);
        assert!(matches.iter().all(|record| record % 10 != 0));
        assert_eq!(matches.contains(&record), record % 10 != 0);
    }
}

#[test]
fn what_comes_after_the_partition_is_found_and_what_goes_is_gone() {
    let vectors = sessions(10, 200);
    let folder = tempfile::tempdir().unwrap();
    let mut index = filled(folder.path(), &vectors);
    part(&mut index);
    let mut random = Random(61);
    let late: Vec<Vec<f32>> = (0..300).map(|_| random.vector(384)).collect();
    for (record, vector) in (2000..).zip(&late) {
        index.insert(key(record), content(record), vector).unwrap();
    }
    for record in (0..2000).step_by(3) {
        index.remove(record);
    }
    let check = |index: &VectorIndex| {
        for (record, vector) in (0..).zip(vectors.iter().chain(&late)) {
            let matches = found(&index.search(vector, 10, None).unwrap());
            let gone = record < 2000 && record % 3 == 0;
            assert_eq!(matches.contains(&record), !gone, "record {record}");
            assert!(matches.iter().all(|&other| other >= 2000 || other % 3 != 0));
        }
    };
    check(&index);
    assert_eq!(index.status().tail_rows, 300);
    index.commit(b"later").unwrap();
    check(&VectorIndex::open(folder.path(), &space(384)).unwrap());
    assert!(index.wants_rebuild(&EVERYTHING), "more than a fifth is dead or behind");
    part(&mut index);
    assert!(!index.wants_rebuild(&EVERYTHING));
    let status = index.status();
    assert_eq!((status.dead_rows, status.tail_rows), (0, 0));
    check(&index);
    assert_eq!(index.position(), b"later");
}

#[test]
fn what_happens_during_a_rebuild_is_not_lost() {
    let vectors = sessions(10, 150);
    for partition in [EVERYTHING, Partition::default()] {
        let folder = tempfile::tempdir().unwrap();
        let mut index = filled(folder.path(), &vectors);
        index.remove(7);
        let snapshot = index.snapshot(partition);
        // Known content under another key, a new vector, a removal, a change of mind.
        index.insert(key(5000), content(3), &vectors[3]).unwrap();
        index.insert(key(5001), content(5001), &Random(71).vector(384)).unwrap();
        let rebuilt = snapshot.rebuild().unwrap();
        index.remove(8);
        index.insert(key(7), content(7), &vectors[7]).unwrap();
        index.insert(key(5001), content(5002), &Random(72).vector(384)).unwrap();
        index.commit(b"during").unwrap();
        let before: Vec<Vec<u64>> = vectors.iter().map(|v| found(&index.search(v, 1, None).unwrap())).collect();
        index.adopt(rebuilt).unwrap();
        for index in [&index, &VectorIndex::open(folder.path(), &space(384)).unwrap()] {
            assert_eq!(index.position(), b"during");
            for (vector, expected) in vectors.iter().zip(&before) {
                assert_eq!(found(&index.search(vector, 1, None).unwrap()), *expected);
            }
            let best = &index.search(&vectors[3], 1, None).unwrap()[0];
            assert_eq!(best.keys, [key(5000), key(3)]);
            let late = index.search(&Random(72).vector(384), 1, None).unwrap();
            assert_eq!(found(&late), [5001]);
            assert!(index.search(&Random(71).vector(384), 1, None).unwrap()[0].score < 0.9);
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}

#[test]
fn a_rebuild_from_another_snapshot_is_refused_and_leaves_nothing() {
    let vectors = sessions(2, 20);
    let folder = tempfile::tempdir().unwrap();
    let mut index = filled(folder.path(), &vectors);
    let old = index.snapshot(EVERYTHING).rebuild().unwrap();
    let new = index.snapshot(EVERYTHING).rebuild().unwrap();
    assert!(matches!(index.adopt(old), Err(Error::OtherSnapshot)));
    let elsewhere = tempfile::tempdir().unwrap();
    let mut other = filled(elsewhere.path(), &vectors);
    other.snapshot(EVERYTHING);
    assert!(matches!(other.adopt(new), Err(Error::OtherSnapshot)));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    all_find_themselves(&index, &vectors);
}

#[test]
fn an_old_handle_reads_on_while_a_new_generation_takes_over() {
    let vectors = sessions(4, 50);
    let folder = tempfile::tempdir().unwrap();
    let mut index = filled(folder.path(), &vectors);
    let reader = VectorIndex::open(folder.path(), &space(384)).unwrap();
    part(&mut index);
    all_find_themselves(&reader, &vectors);
}

#[test]
fn few_rows_can_be_parted() {
    for count in [1, 2, 9] {
        let vectors = sessions(1, count);
        let folder = tempfile::tempdir().unwrap();
        let mut index = filled(folder.path(), &vectors);
        part(&mut index);
        all_find_themselves(&index, &vectors);
    }
    let folder = tempfile::tempdir().unwrap();
    let mut empty = VectorIndex::create(folder.path(), &space(3)).unwrap();
    let rebuilt = empty.snapshot(EVERYTHING).rebuild().unwrap();
    empty.adopt(rebuilt).unwrap();
    assert!(empty.search(&[1.0, 0.0, 0.0], 3, None).unwrap().is_empty());
}

#[test]
fn an_audit_counts_what_it_searched_and_names_what_is_lost() {
    let vectors = sessions(3, 100);
    let folder = tempfile::tempdir().unwrap();
    let mut index = filled(folder.path(), &vectors);
    index.remove(5);
    let audit = index.audit(Some(50)).unwrap();
    assert_eq!((audit.searched, audit.lost.len()), (50, 0));
    let audit = index.audit(None).unwrap();
    assert_eq!((audit.searched, audit.lost.len()), (299, 0));
}

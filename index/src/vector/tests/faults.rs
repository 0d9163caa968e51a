//! Damaged, foreign and half-written files: a typed error, never a panic or a wrong neighbour.

use super::*;
use std::fs;
use std::path::PathBuf;

/// An index as it was filled, and one that was parted into cells.
fn samples() -> [(tempfile::TempDir, Vec<Vec<f32>>); 2] {
    let (folder, vectors) = sample();
    let mut index = VectorIndex::open(folder.path(), &space(32)).unwrap();
    let everything = Partition { from_rows: 0, ..Partition::default() };
    let rebuilt = index.snapshot(everything).rebuild().unwrap();
    index.adopt(rebuilt).unwrap();
    [sample(), (folder, vectors)]
}

fn sample() -> (tempfile::TempDir, Vec<Vec<f32>>) {
    let mut random = Random(21);
    let vectors: Vec<Vec<f32>> = (0..40).map(|_| random.vector(32)).collect();
    let folder = tempfile::tempdir().unwrap();
    let mut index = filled(folder.path(), &vectors);
    index.remove(39);
    index.commit(b"removed").unwrap();
    (folder, vectors)
}

fn files_of(folder: &Path) -> Vec<PathBuf> {
    let generation = fs::read_dir(folder).unwrap().next().unwrap().unwrap().path();
    let mut files: Vec<PathBuf> = fs::read_dir(generation).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() == 5 || files.len() == 6);
    files
}

/// Opens, searches every vector and checks; the first error, if any.
fn try_everything(folder: &Path, vectors: &[Vec<f32>]) -> Result<()> {
    let index = VectorIndex::open(folder, &space(32))?;
    for (record, vector) in (0..).zip(vectors) {
        let matches = index.search(vector, 1, None)?;
        if record < 39 {
            assert_eq!(found(&matches), [record], "a wrong neighbour");
        }
    }
    index.verify()
}

#[test]
fn an_untouched_sample_opens() {
    let (folder, vectors) = sample();
    try_everything(folder.path(), &vectors).unwrap();
    let index = VectorIndex::open(folder.path(), &space(32)).unwrap();
    assert_eq!(index.position(), b"removed");
}

#[test]
fn a_cut_off_file_is_a_typed_error() {
    for (folder, vectors) in samples() {
        for path in files_of(folder.path()) {
            let whole = fs::read(&path).unwrap();
            for length in [0, 1, whole.len() / 2, whole.len() - 1] {
                fs::write(&path, &whole[..length]).unwrap();
                let error = try_everything(folder.path(), &vectors).unwrap_err();
                assert!(error.wants_rebuild(), "{}: {error}", path.display());
            }
            fs::remove_file(&path).unwrap();
            let error = try_everything(folder.path(), &vectors).unwrap_err();
            assert!(error.wants_rebuild(), "{}: {error}", path.display());
            fs::write(&path, &whole).unwrap();
        }
        try_everything(folder.path(), &vectors).unwrap();
    }
}

#[test]
fn a_flipped_bit_is_a_typed_error() {
    for (folder, vectors) in samples() {
        let mut random = Random(3);
        for path in files_of(folder.path()) {
            let whole = fs::read(&path).unwrap();
            let all = 0..whole.len();
            let places: Vec<usize> =
                if whole.len() < 1000 { all.collect() } else { (0..200).map(|_| random.below(whole.len())).collect() };
            for place in places {
                let mut flipped = whole.clone();
                flipped[place] ^= 1 << random.below(8);
                fs::write(&path, &flipped).unwrap();
                let error =
                    try_everything(folder.path(), &vectors).expect_err(&format!("{} at {place}", path.display()));
                assert!(error.wants_rebuild(), "{}: {error}", path.display());
            }
            fs::write(&path, &whole).unwrap();
        }
    }
}

#[test]
fn a_missing_index_another_space_and_a_newer_format_are_told_apart() {
    let (folder, _) = sample();
    let empty = tempfile::tempdir().unwrap();
    for missing in [empty.path().to_owned(), empty.path().join("deeper")] {
        let error = VectorIndex::open(&missing, &space(32)).unwrap_err();
        assert!(matches!(error, Error::Missing { .. }) && error.wants_rebuild());
    }
    let error = VectorIndex::open(folder.path(), &space(33)).unwrap_err();
    assert!(matches!(error, Error::Foreign { .. }) && error.wants_rebuild());
    let other = Space { embedder: "other".to_owned(), dimensions: 32 };
    let error = VectorIndex::open(folder.path(), &other).unwrap_err();
    assert!(matches!(error, Error::Foreign { .. }) && error.wants_rebuild());

    let head = files_of(folder.path()).remove(0);
    let text = fs::read_to_string(&head).unwrap();
    let body = &text[..text.len() - 17];
    let newer = body.replace("\"format\": 1", "\"format\": 9");
    assert_ne!(newer, body);
    let sum = xxhash_rust::xxh3::xxh3_64(newer.as_bytes());
    fs::write(&head, format!("{newer}{sum:016x}\n")).unwrap();
    let error = VectorIndex::open(folder.path(), &space(32)).unwrap_err();
    assert!(matches!(error, Error::Format { found: 9, supported: 1, .. }));
    assert!(error.wants_rebuild());
}

#[test]
fn what_was_written_but_not_committed_is_cut_off() {
    let (folder, vectors) = sample();
    for path in files_of(folder.path()) {
        if !path.ends_with("head.json") {
            let mut bytes = fs::read(&path).unwrap();
            bytes.extend([77; 1001]);
            fs::write(&path, bytes).unwrap();
        }
    }
    try_everything(folder.path(), &vectors).unwrap();
    let mut index = VectorIndex::open(folder.path(), &space(32)).unwrap();
    index.insert(key(39), content(39), &vectors[39]).unwrap();
    index.insert(key(40), content(40), &Random(77).vector(32)).unwrap();
    index.commit(b"more").unwrap();
    try_everything(folder.path(), &vectors).unwrap();
    let index = VectorIndex::open(folder.path(), &space(32)).unwrap();
    assert_eq!(index.status().keys, 41);
    assert_eq!(found(&index.search(&vectors[39], 1, None).unwrap()), [39]);
}

#[test]
fn what_was_not_committed_is_gone_and_what_was_is_there() {
    let (folder, vectors) = sample();
    let mut index = VectorIndex::open(folder.path(), &space(32)).unwrap();
    index.remove(0);
    index.insert(key(100), content(100), &Random(5).vector(32)).unwrap();
    drop(index);
    try_everything(folder.path(), &vectors).unwrap();
}

#[test]
fn a_new_index_takes_the_place_of_a_damaged_one() {
    let (folder, vectors) = sample();
    for path in files_of(folder.path()) {
        fs::write(path, b"not an index").unwrap();
    }
    assert!(VectorIndex::open(folder.path(), &space(32)).unwrap_err().wants_rebuild());
    let index = filled(folder.path(), &vectors);
    assert_eq!(index.status().keys, 40);
}

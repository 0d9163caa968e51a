//! Random walks of inserts, deletes, commits and reopenings, against a map.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

#[derive(Debug, Clone)]
enum Step {
    Insert { record: u64, passage: u32, content: u64 },
    Remove { record: u64 },
    Commit,
    Reopen,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let insert =
        (0u64..12, 0u32..3, 0u64..10).prop_map(|(record, passage, content)| Step::Insert { record, passage, content });
    let step = prop_oneof![
        6 => insert,
        2 => (0u64..12).prop_map(|record| Step::Remove { record }),
        1 => Just(Step::Commit),
        1 => Just(Step::Reopen),
    ];
    proptest::collection::vec(step, 1..60)
}

fn vector_of(content: u64) -> Vec<f32> {
    // Two contents share a vector, as texts do that an embedder cannot tell apart.
    Random(content.min(8) + 100).vector(70)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_walk_leaves_what_a_map_holds(steps in steps()) {
        let folder = tempfile::tempdir().unwrap();
        let mut index = VectorIndex::create(folder.path(), &space(70)).unwrap();
        let mut map: BTreeMap<Key, u64> = BTreeMap::new();
        let mut committed = map.clone();
        for (at, step) in steps.into_iter().enumerate() {
            match step {
                Step::Insert { record, passage, content: number } => {
                    let key = Key { record, passage };
                    index.insert(key, content(number), &vector_of(number)).unwrap();
                    map.insert(key, number);
                }
                Step::Remove { record } => {
                    let before = map.len();
                    map.retain(|key, _| key.record != record);
                    prop_assert_eq!(index.remove(record), before - map.len());
                }
                Step::Commit => {
                    index.commit(&at.to_le_bytes()).unwrap();
                    committed = map.clone();
                }
                Step::Reopen => {
                    index = VectorIndex::open(folder.path(), &space(70)).unwrap();
                    map = committed.clone();
                }
            }
            prop_assert_eq!(index.status().keys, map.len());
            for number in 0..10 {
                let mut expected: Vec<Key> = map
                    .iter()
                    .filter(|(_, other)| **other == number || **other >= 8 && number >= 8)
                    .map(|(key, _)| *key)
                    .collect();
                let best = index.search(&vector_of(number), 1, None).unwrap();
                let mut found: Vec<Key> = best
                    .into_iter()
                    .filter(|best| best.score > 0.999)
                    .flat_map(|best| best.keys)
                    .collect();
                expected.sort();
                found.sort();
                prop_assert_eq!(found, expected);
            }
        }
    }
}

//! Iterators and cursors yield each entry once, in the order of the hashes.

use super::*;

pub(super) fn check<H: TestHeap>(plan: &Plan) {
    let pool = Pool::new();
    let [map, ..] = plan.maps::<H>(&pool);
    let entries = model(&map);
    let mut iter = map.iter();
    let mut seen: Vec<(HashOf<H>, u32)> = Vec::new();
    for left in (0..map.len()).rev() {
        let (hash, entry) = iter.next().expect("as many entries as there are");
        assert_eq!(iter.len(), left);
        seen.push((hash, entry.key));
    }
    for _ in 0..3 {
        assert!(iter.next().is_none(), "the end is the end");
        assert_eq!(iter.len(), 0);
    }
    assert!(seen.is_sorted_by_key(|(hash, _)| *hash), "in the order of the hashes");
    for &(stored, key) in &seen {
        assert_eq!(stored, hash(key, plan.bits), "with the hash of the key");
    }

    // A cursor keeps the entries alive that were in the map when it was made.
    let (mut edited, mut cursors) = (map.clone(), Vec::new());
    for key in 0..8 {
        cursors.push((edited.cursor(), model(&edited)));
        apply(&mut edited, &[(key, Some(1)), (key + 8, None)], 1, plan.bits, &pool);
    }
    let edited_entries = model(&edited);
    cursors.push((edited.into_cursor(), edited_entries));
    cursors.push((map.into_cursor(), entries));
    // Two cursors advance in turn.
    let mut found = vec![Model::new(); cursors.len()];
    let mut is_over = false;
    while !is_over {
        is_over = true;
        for ((cursor, _), found) in cursors.iter_mut().zip(&mut found) {
            if let Some(entry) = cursor.advance() {
                found.insert(id(entry.key), (entry.key, *entry.value));
                is_over = false;
            }
        }
    }
    for ((cursor, expected), found) in cursors.iter_mut().zip(found) {
        assert_eq!(found, *expected);
        assert!(cursor.advance().is_none(), "the end is the end");
    }
    drop(cursors);
    pool.assert_nothing_leaked();
}

/// Two keys whose hashes differ in this bit only.
fn check_deep<H: TestHeap>(bit: u32) {
    let pool = Pool::new();
    for first in [0, u32::MAX, 0x5555_5555] {
        let mut map = Trie::<H>::new();
        let hashes = BTreeSet::from([first, first ^ 1 << bit]);
        // Several entries each, so that leaves with a larger capacity are split as well.
        let mut keys = Vec::new();
        for (place, &hash) in hashes.iter().enumerate() {
            for key in (place as u32 * 20)..(place as u32 * 20 + 12) {
                let hash = Hash::from_words(hash, 7);
                certain(map.insert(hash, key, pool.get(key % VALUES), same));
                keys.push(key);
                assert_eq!(map.iter().count(), keys.len());
            }
        }
        map.check_invariants();
        let found: BTreeSet<u32> = map.iter().map(|(_, entry)| entry.key).collect();
        assert!(found.iter().eq(&keys), "all keys, those with the smaller hash first");
        let mut cursor = map.into_cursor();
        for _ in 0..5 {
            assert!(cursor.advance().is_some());
        }
    }
    pool.assert_nothing_leaked();
}

fn check_small<H: TestHeap>() {
    let pool = Pool::new();
    let mut map = Trie::<H>::new();
    assert!(map.iter().next().is_none() && map.cursor().advance().is_none());
    let hash = Hash::from_words(u32::MAX, u32::MAX);
    certain(map.insert(hash, 5, pool.get(5), same));
    assert_eq!(map.iter().map(|(hash, entry)| (hash, entry.key)).next(), Some((hash, 5)));
    let mut cursor = map.cursor();
    drop(map);
    assert_eq!(cursor.advance().map(|entry| (entry.key, *entry.value)), Some((5, 5)));
    assert!(cursor.advance().is_none() && cursor.root().is_some());
}

proptest! {
    #![proptest_config(cases(96))]

    #[test]
    fn yields_every_entry_once(plan in plan(48)) {
        on_every_heap!(check(&plan));
    }
}

#[test]
fn reaches_the_deepest_leaves() {
    for bit in [0, 1, 2, 3, 4, 15, 30, 31] {
        on_every_heap!(check_deep(bit));
    }
}

#[test]
fn handles_empty_and_small_maps() {
    on_every_heap!(check_small());
}

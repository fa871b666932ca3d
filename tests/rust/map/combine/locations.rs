//! Edits at a located key, and at a location that is out of date.

use super::*;

fn locate<H: TestHeap>(map: &Trie<H>, key: u32, bits: u32) -> Location {
    certain(map.locate(hash(key, bits), |stored: &u32| same(&key, stored)))
}

pub(super) fn check<H: TestHeap>(plan: &Plan) {
    let pool = Pool::new();
    let [_, mut map, _] = plan.maps::<H>(&pool);
    let mut expected = model(&map);
    for &(key, value) in &plan.theirs {
        let before = map.clone();
        let location = locate(&map, key, plan.bits);
        let hash = hash(key, plan.bits);
        assert_eq!(location.is_found(), expected.contains_key(&key));
        let found = map.entry_at(hash, location).map(|entry| (entry.key, *entry.value));
        assert_eq!(found, expected.get(&key).copied());
        let mut twin = map.clone();
        let old = match value {
            Some(value) => {
                let stored = expected.get(&key).map_or(key, |it| it.0);
                certain(twin.insert(hash, key, pool.get(value), same));
                expected.insert(key, (stored, value));
                certain(map.insert_at(hash, location, key, pool.get(value)).0)
            }
            None => {
                certain(twin.remove(hash, |stored: &u32| same(&key, stored)));
                expected.remove(&key);
                certain(map.remove_at(hash, location).0).map(|entry| entry.value)
            }
        };
        assert_eq!(old.map(|value| *value), found.map(|(_, value)| value));
        assert_eq!(model(&map), expected);
        assert_eq!(map.equal(&twin, &mut Judge::default()), Ok(true));
        assert_eq!(before.len(), model(&before).len(), "other maps see no change");
    }
    drop(map);
    pool.assert_nothing_leaked();
}

/// Uses locations of one map on another map. That may panic or edit the wrong entry, but must be
/// memory-safe.
fn check_stale<H: TestHeap>(plan: &Plan) {
    let pool = Pool::new();
    let [_, old, new] = plan.maps::<H>(&pool);
    for key in 0..2 * TRIED {
        let (hash, location) = (hash(key, plan.bits), locate(&old, key, plan.bits));
        for is_shared in [false, true] {
            let mut map = rebuilt(&new);
            let other = is_shared.then(|| (map.clone(), model(&map)));
            let _ = catch_unwind(AssertUnwindSafe(|| {
                map.entry_at(hash, location).map(|entry| *entry.value)
            }));
            for step in 0..4 {
                let _ = catch_unwind(AssertUnwindSafe(|| match step {
                    0 | 2 => drop(map.insert_at(hash, location, key, pool.get(1))),
                    _ => drop(map.remove_at(hash, location)),
                }));
                let _ = catch_unwind(AssertUnwindSafe(|| {
                    map.iter().take(100).map(|(_, entry)| *entry.value).sum::<u32>()
                }));
            }
            for key in 0..2 * TRIED {
                let edits = [(key, Some(1)), (key + 1, None)];
                let _ = catch_unwind(AssertUnwindSafe(|| {
                    apply(&mut map, &edits, 0, plan.bits, &pool);
                }));
            }
            if let Some((other, before)) = other {
                assert_eq!(model(&other), before, "other maps see no change");
            }
        }
    }
    drop((old, new));
    pool.assert_nothing_leaked();
}

proptest! {
    #![proptest_config(cases(64))]

    #[test]
    fn allow_the_same_edits_as_keys(plan in plan(48)) {
        on_every_heap!(check(&plan));
    }
}

proptest! {
    #![proptest_config(cases(12))]

    #[test]
    fn of_other_maps_are_memory_safe(plan in plan(24)) {
        on_every_heap!(check_stale(&plan));
    }
}

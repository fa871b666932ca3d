//! `map_entries` and `filter` agree with the model, and share unchanged nodes.

use super::*;

pub(super) fn check<H: TestHeap>(plan: &Plan) {
    let pool = Pool::new();
    let [map, ..] = plan.maps::<H>(&pool);
    let before = model(&map);
    let order: Vec<u32> = map.iter().map(|(_, entry)| entry.key).collect();

    let identical = certain(map.map_entries(|entry| Ok(Some(Rc::clone(&entry.value)))));
    assert_eq!(model(&identical), before);
    assert_eq!(identical.ptr_eq(&map), map.is_empty() || knows_identity::<H>());

    let mut seen = Vec::new();
    let changed = certain(map.map_entries(|entry| {
        seen.push(entry.key);
        let value = pool.get((*entry.value + 1) % VALUES);
        Ok((id(entry.key) % 3 != 0).then_some(value))
    }));
    assert_eq!(seen, order, "each entry is seen once, in order");
    let mut expected = before.clone();
    expected.retain(|id, _| id % 3 != 0);
    expected.values_mut().for_each(|(_, value)| *value = (*value + 1) % VALUES);
    assert_eq!(model(&changed), expected);

    // Only a few entries change.
    let filtered =
        certain(map.map_entries(|entry| Ok((*entry.value != 0).then(|| Rc::clone(&entry.value)))));
    let mut expected = before.clone();
    expected.retain(|_, (_, value)| *value != 0);
    assert_eq!(model(&filtered), expected);

    assert!(certain(map.map_entries(|_| Ok(None))).is_empty());
    assert_eq!(model(&map), before);
    drop((map, identical, changed, filtered));
    pool.assert_nothing_leaked();
}

proptest! {
    #![proptest_config(cases(96))]

    #[test]
    fn keeps_drops_and_replaces(plan in plan(48)) {
        on_every_heap!(check(&plan));
    }
}

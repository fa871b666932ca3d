//! Union, update, intersection and difference agree with sets of keys, and share nodes.

use super::*;

pub(super) fn check<H: TestHeap>(plan: &Plan) {
    let pool = Pool::new();
    let [_, a, b] = plan.maps::<H>(&pool);
    let (model_a, model_b) = (model(&a), model(&b));
    let judge = &mut Judge::default();

    let mut first_wins = model_b.clone();
    first_wins.extend(model_a.clone());
    let union = certain(a.union(&b, judge));
    assert_eq!(model(&union), first_wins);
    assert!(first_wins != model_a || union.ptr_eq(&a), "nothing is added");

    let mut either = model_b.clone();
    for (id, &(key, value)) in &model_a {
        let value = model_b.get(id).map_or(value, |&(_, value)| value);
        either.insert(*id, (key, value));
    }
    let updated = certain(a.updated(&b, judge));
    assert_eq!(model(&updated), either);
    if knows_identity::<H>() && either == model_a {
        assert!(updated.ptr_eq(&a), "an update that changes nothing returns the same map");
    }
    let mut entries: Vec<HashedEntry<H>> =
        b.iter().map(|(hash, entry)| (hash, entry.clone())).collect();
    assert_eq!(model(&certain(a.extended(&entries, judge))), either);
    // Of two values for one key, the first is ignored.
    entries.extend(entries.first().cloned());
    if let Some((_, entry)) = entries.first_mut() {
        entry.value = pool.get((*entry.value + 1) % VALUES);
    }
    assert_eq!(model(&certain(a.extended(&entries, judge))), either);
    drop(entries);

    let mut both = model_a.clone();
    both.retain(|id, _| model_b.contains_key(id));
    let intersection = certain(a.intersection(&b, judge));
    assert_eq!(model(&intersection), both);
    assert!(both != model_a || intersection.ptr_eq(&a), "nothing is left out");

    let mut first = model_a.clone();
    first.retain(|id, _| !model_b.contains_key(id));
    let difference = certain(a.difference(&b, judge));
    assert_eq!(model(&difference), first);
    assert!(first != model_a || difference.ptr_eq(&a), "nothing is left out");

    assert_eq!((model(&a), model(&b)), (model_a, model_b), "the arguments are as before");
    drop((a, b, union, updated, intersection, difference));
    pool.assert_nothing_leaked();
}

fn check_shared<H: TestHeap>(plan: &Plan) {
    let pool = Pool::new();
    let [map, ..] = plan.maps::<H>(&pool);
    let empty = Trie::new();
    let judge = &mut Judge::default();
    assert!(certain(map.union(&empty, judge)).ptr_eq(&map));
    assert!(certain(empty.union(&map, judge)).ptr_eq(&map));
    assert!(certain(map.union(&map, judge)).ptr_eq(&map));
    assert!(certain(map.updated(&empty, judge)).ptr_eq(&map));
    assert!(certain(empty.updated(&map, judge)).ptr_eq(&map));
    assert!(certain(map.updated(&map, judge)).ptr_eq(&map));
    assert!(certain(map.intersection(&map, judge)).ptr_eq(&map));
    assert!(certain(map.intersection(&empty, judge)).is_empty());
    assert!(certain(empty.intersection(&map, judge)).is_empty());
    assert!(certain(map.difference(&empty, judge)).ptr_eq(&map));
    assert!(certain(map.difference(&map, judge)).is_empty());
    assert!(certain(empty.difference(&map, judge)).is_empty());
    assert!(certain(map.merge(&map, &map, judge, |_| Ok(None))).ptr_eq(&map));
    assert_eq!(judge.calls, 0, "none of these looks at an entry");
}

proptest! {
    #![proptest_config(cases(128))]

    #[test]
    fn agrees_with_sets_of_keys(plan in plan(48)) {
        on_every_heap!(check(&plan));
    }

    #[test]
    fn shares_subtrees_it_need_not_visit(plan in plan(48)) {
        on_every_heap!(check_shared(&plan));
    }
}

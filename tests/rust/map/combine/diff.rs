//! `changes` and `diff` report exactly what differs.

use super::*;

pub(super) fn check<H: TestHeap>(plan: &Plan) {
    let pool = Pool::new();
    let [_, a, b] = plan.maps::<H>(&pool);
    let (model_a, model_b) = (model(&a), model(&b));
    let mut pairs = Vec::new();
    let Diff { added, removed, changed } =
        certain(a.diff(&b, &mut Judge::default(), |old, new| {
            pairs.push((**old, **new));
            Ok(Rc::clone(new))
        }));

    let mut expected = [model_b.clone(), model_a.clone(), Model::new()];
    expected[0].retain(|id, _| !model_a.contains_key(id));
    expected[1].retain(|id, _| !model_b.contains_key(id));
    let mut expected_pairs = Vec::new();
    for (&id, &(key, old)) in &model_a {
        if let Some(&(_, new)) = model_b.get(&id).filter(|&&(_, new)| old != new) {
            expected[2].insert(id, (key, new));
            expected_pairs.push((old, new));
        }
    }
    assert_eq!([&added, &removed, &changed].map(model), expected);
    pairs.sort_unstable();
    expected_pairs.sort_unstable();
    assert_eq!(pairs, expected_pairs, "each change is made once");

    let mut patched = a.clone();
    for (hash, entry) in &removed {
        let gone = patched.remove(hash, |stored: &u32| same(&entry.key, stored));
        assert!(certain(gone).is_some());
    }
    for (hash, entry) in added.iter().chain(&changed) {
        certain(patched.insert(hash, entry.key, Rc::clone(&entry.value), same));
    }
    patched.check_invariants();
    assert_eq!(patched.equal(&b, &mut Judge::default()), Ok(true));
    let is_same = added.is_empty() && removed.is_empty() && changed.is_empty();
    assert_eq!(a.equal(&b, &mut Judge::default()), Ok(is_same));

    let judge = &mut Judge::default();
    let nothing = certain(a.diff(&a, judge, |_, _| Err(Raised)));
    assert!(nothing.added.is_empty() && nothing.removed.is_empty());
    assert!(nothing.changed.is_empty());
    assert_eq!(judge.calls, 0, "a map differs from itself without a look");

    assert_eq!((model(&a), model(&b)), (model_a, model_b), "the arguments are as before");
    drop((a, b, added, removed, changed, patched));
    pool.assert_nothing_leaked();
}

proptest! {
    #![proptest_config(cases(128))]

    #[test]
    fn leads_from_one_map_to_the_other(plan in plan(48)) {
        on_every_heap!(check(&plan));
    }
}

//! Three-way merges agree with merges of the models.

use super::*;

type Values = [Option<u32>; 3];

fn values<H: TestHeap>(conflict: Conflict<'_, H>) -> Values {
    conflict.map(|entry| entry.map(|entry| *entry.value))
}

/// Some conflicts remove the key.
fn resolution(values: Values) -> Option<u32> {
    let sum: u32 = values.into_iter().flatten().sum();
    (sum % 3 != 0).then_some(sum % VALUES)
}

pub(super) fn check<H: TestHeap>(plan: &Plan) {
    let pool = Pool::new();
    let maps = plan.maps::<H>(&pool);
    let models = maps.each_ref().map(model);
    let [base, ours, theirs] = &maps;

    let mut conflicts = Vec::new();
    let merged = certain(base.merge(ours, theirs, &mut Judge::default(), |conflict| {
        let present = conflict.into_iter().flatten().map(|entry| id(entry.key));
        let ids: BTreeSet<u32> = present.collect();
        assert_eq!(ids.len(), 1, "a conflict is about one key");
        conflicts.push((ids.into_iter().sum(), values::<H>(conflict)));
        Ok(resolution(values::<H>(conflict)).map(|value| pool.get(value)))
    }));

    let mut expected = BTreeMap::new();
    let mut expected_conflicts = Vec::new();
    for key in 0..COPY {
        if models.iter().all(|model| model.range(key..).next().is_none()) {
            break;
        }
        let values = models.each_ref().map(|model| model.get(&key).map(|&(_, value)| value));
        let [base, ours, theirs] = values;
        let value = if ours == theirs || base == theirs {
            ours
        } else if base == ours {
            theirs
        } else {
            expected_conflicts.push((key, values));
            resolution(values)
        };
        expected.extend(value.map(|value| (key, value)));
    }
    conflicts.sort_unstable();
    assert_eq!(conflicts, expected_conflicts, "just the conflicts are put to resolve");
    let found = model(&merged);
    let found_values: BTreeMap<u32, u32> =
        found.iter().map(|(&id, &(_, value))| (id, value)).collect();
    assert_eq!(found_values, expected);
    for (id, (key, _)) in &found {
        let is_known = models.iter().any(|model| model.get(id).is_some_and(|it| it.0 == *key));
        assert!(is_known, "a key comes from one of the maps");
    }

    // A change by one side only is the result.
    let never = |_: Conflict<'_, H>| -> Result<Option<Rc<u32>>, Raised> {
        unreachable!("there is no conflict")
    };
    let judge = &mut Judge::default();
    for map in &maps {
        assert!(certain(base.merge(map, base, judge, never)).ptr_eq(map));
        assert!(certain(base.merge(base, map, judge, never)).ptr_eq(map));
        assert!(certain(base.merge(map, map, judge, never)).ptr_eq(map));
    }
    assert_eq!(judge.calls, 0, "shared maps are not looked into");
    let apart = rebuilt(base);
    for map in &maps {
        let (first, second) =
            (base.merge(map, &apart, judge, never), base.merge(&apart, map, judge, never));
        for merged in [certain(first), certain(second)] {
            assert_eq!(merged.equal(map, judge), Ok(true));
        }
    }
    if matches!(plan.relation, Relation::Apart) {
        assert!(certain(base.merge(ours, &apart, judge, never)).ptr_eq(ours));
    }

    assert_eq!(maps.each_ref().map(model), models, "the arguments are as before");
    drop((maps, merged, apart));
    pool.assert_nothing_leaked();
}

proptest! {
    #![proptest_config(cases(128))]

    #[test]
    fn agrees_with_a_merge_key_by_key(plan in plan(48)) {
        on_every_heap!(check(&plan));
    }
}

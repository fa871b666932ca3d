//! An operation that fails leaves its maps unchanged and leaks nothing, wherever it fails.

use super::*;

/// Makes `operation` fail at each of its calls of user code, or of the allocator, in turn.
fn fail_everywhere<T>(pool: &Pool, mut operation: impl FnMut() -> Result<T, Raised>) {
    for calls in 0.. {
        let before = (pool.references(), live_nodes());
        raise_after(calls);
        let result = operation();
        raise_never();
        let is_done = result.is_ok();
        drop(result);
        assert_eq!((pool.references(), live_nodes()), before, "nothing leaked");
        if is_done {
            return;
        }
    }
}

pub(super) fn check<H: TestHeap>(plan: &Plan) {
    let pool = Pool::new();
    let maps = plan.maps::<H>(&pool);
    let models = maps.each_ref().map(model);
    let [base, ours, theirs] = &maps;
    let judge = || Judge::default();
    fail_everywhere(&pool, || ours.updated(theirs, &mut judge()));
    let entries: Vec<HashedEntry<H>> =
        theirs.iter().map(|(hash, entry)| (hash, entry.clone())).collect();
    fail_everywhere(&pool, || ours.extended(&entries, &mut judge()));
    fail_everywhere(&pool, || ours.intersection(theirs, &mut judge()));
    fail_everywhere(&pool, || ours.difference(theirs, &mut judge()));
    fail_everywhere(&pool, || ours.equal(theirs, &mut judge()));
    fail_everywhere(&pool, || {
        ours.diff(theirs, &mut judge(), |_, new| user_code().map(|()| Rc::clone(new)))
    });
    fail_everywhere(&pool, || {
        base.merge(ours, theirs, &mut judge(), |_| user_code().map(|()| Some(pool.get(1))))
    });
    fail_everywhere(&pool, || {
        ours.map_entries(|entry| {
            user_code()?;
            Ok((*entry.value != 0).then(|| pool.get(1)))
        })
    });
    fail_everywhere(&pool, || ours.digest(|entry| user_code().map(|()| u64::from(entry.key))));
    for key in 0..TRIED {
        let hash = hash(key, plan.bits);
        fail_everywhere(&pool, || {
            let mut edited = ours.clone();
            let done = edited.insert(hash, key, pool.get(1), same);
            edited.check_invariants();
            assert!(done.is_ok() || model(&edited) == models[1]);
            done
        });
        fail_everywhere(&pool, || {
            let mut edited = ours.clone();
            let done = edited.remove(hash, |stored: &u32| same(&key, stored));
            edited.check_invariants();
            assert!(done.is_ok() || model(&edited) == models[1]);
            done
        });
    }
    assert_eq!(maps.each_ref().map(model), models, "the arguments are as before");
    drop((maps, entries));
    pool.assert_nothing_leaked();
}

proptest! {
    #![proptest_config(cases(32))]

    #[test]
    fn leave_the_maps_unchanged(plan in plan(24)) {
        on_every_heap!(check(&plan));
    }
}
